/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Watching files: a descriptor of inotify, which is read when a task asks. So the queue is the kernel's, bounded by it, and its
 * notice of events lost comes through as it is. Adding a path may have to look it up on a slow disk: that is done in a thread.
 */
#include <weft/watch.h>

#include <errno.h>
#include <stdalign.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>
#include <weft/fd.h>

#include "lib/base/check.h"
#include "lib/base/memory.h"
#include "lib/os/beneath.h"
#include "lib/os/file.h"
#include "lib/task/debug.h"
#include "lib/task/poll.h"
#include "lib/task/task.h"

#define WEFT_WATCH_MAGIC 0x3a7c43a7u

enum { BUFFER_SIZE = 4096 /* a dozen events; one takes 272 bytes at most */ };

struct weft_watch {
    unsigned magic;
    int fd;
    bool is_busy; /* a task is asking */
    bool is_closed;
    int users; /* works, and tasks inside a call */
    weft_list line;
    weft_poll_fd *watched;
    weft_loop *loop;
    weft_os_open open;
    size_t at, size; /* of the buffer */
    alignas(struct inotify_event) char buffer[BUFFER_SIZE];
};

/* ---- the end ---- */

static void leave(weft_watch *w)
{
    if (--w->users > 0 || !w->is_closed)
        return;
    close(w->fd); /* the kernel frees what is queued and watched; no disk is involved */
    w->magic = 0;
    weft_mem_free(w);
}

static void check_watch(const weft_watch *w)
{
    IS_A(w, WEFT_WATCH_MAGIC);
    if (UNLIKELY(w->is_closed))
        weft_misuse_die("use of a watch that has been closed");
    if (UNLIKELY(w->loop != weft_here))
        weft_misuse_die("use of a watch of another loop");
}

void weft_watch_close(weft_watch *w)
{
    if (!w)
        return;
    check_watch(w);
    w->is_closed = true;
    weft_list_remove(&w->open.link);
    weft_debug_gone(w);
    weft_poll_fd_close(w->watched);
    weft_waiter_serve_all(&w->line, WEFT_ECLOSED);
    w->users++;
    leave(w);
}

void weft_watch_drop(weft_watch **w)
{
    weft_watch_close(*w);
}

static void stop_watch(weft_os_open *open)
{
    weft_watch_close(CONTAINER_OF(open, weft_watch, open));
}

/* ---- opening ---- */

/* It is watched only while a task waits. */
static void on_ready(weft_poll_fd *watched, int events)
{
    weft_watch *w = watched->context;
    (void)events;
    weft_waiter_serve_all(&w->line, 0);
}

int weft_watch_open_(weft_watch **ret, const char *file, int line)
{
    weft_loop *loop = weft_here;
    if (!loop) {
        weft_misuse("weft_watch_open on a thread without a loop");
        return -EPERM;
    }
    weft_os *os = weft_os_of(loop);
    weft_watch *w = os ? weft_mem_calloc(1, sizeof *w) : NULL;
    if (!w)
        return -ENOMEM;
    w->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    int rc = w->fd < 0 ? -errno : weft_poll_fd_open(loop, w->fd, on_ready, &w->watched);
    if (rc < 0) {
        if (w->fd >= 0)
            close(w->fd);
        weft_mem_free(w);
        return rc;
    }
    w->watched->context = w;
    w->magic = WEFT_WATCH_MAGIC;
    w->loop = loop;
    w->open.stop = stop_watch;
    weft_list_init(&w->line);
    weft_list_append(&os->open[WEFT_OS_WATCHES], &w->open.link);
    weft_debug_made(w, "a watch", file, line);
    *ret = w;
    return 0;
}

/* ---- what is watched ---- */

struct add_work {
    weft_work work;
    weft_watch *watch;
    struct weft_path path;
};

static void dispose_add(weft_work *work)
{
    struct add_work *add = CONTAINER_OF(work, struct add_work, work);
    weft_watch *w = add->watch;
    weft_path_close(&add->path);
    weft_mem_free(add);
    leave(w);
}

static int add_in_thread(void *arg)
{
    enum {
        MASK = IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM | IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE | IN_DELETE_SELF |
               IN_MOVE_SELF
    };
    const struct add_work *add = arg;
    char path[64];
    int fd = weft_beneath_open(add->path.folder_fd, add->path.text, O_PATH, 0);
    if (fd < 0)
        return fd;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd); /* that very file, whatever its path names by now */
    int id = inotify_add_watch(add->watch->fd, path, MASK);
    int rc = id < 0 ? -errno : id;
    close(fd);
    return rc;
}

int weft_watch_add_(weft_watch *w, const char *path, int *ret_id, const weft_file_options *options)
{
    int rc = weft_wait_check("watch add");
    if (rc < 0)
        return rc;
    check_watch(w);
    struct add_work *add = weft_mem_calloc(1, sizeof *add);
    if (!add)
        return -ENOMEM;
    rc = weft_path_init(&add->path, path, options);
    if (rc < 0) {
        weft_mem_free(add);
        return rc;
    }
    add->watch = w;
    add->work.dispose = dispose_add;
    w->users++;
    rc = weft_work_run(&add->work, "watch add", add_in_thread, WEFT_PLACE_HERE);
    if (rc < 0)
        return rc;
    rc = w->is_closed ? WEFT_ECLOSED : add->work.job.result;
    if (rc >= 0 && ret_id)
        *ret_id = rc;
    dispose_add(&add->work);
    return rc < 0 ? rc : 0;
}

int weft_watch_remove(weft_watch *w, int id)
{
    check_watch(w);
    return inotify_rm_watch(w->fd, id) < 0 ? -errno : 0;
}

/* ---- events ---- */

static int kind_of(uint32_t mask)
{
    static const struct {
        uint32_t mask;
        int what;
    } kinds[] = {
        { IN_Q_OVERFLOW, WEFT_WATCH_LOST },
        { IN_CREATE | IN_MOVED_TO, WEFT_WATCH_MADE },
        { IN_DELETE | IN_MOVED_FROM, WEFT_WATCH_REMOVED },
        { IN_CLOSE_WRITE, WEFT_WATCH_WRITTEN },
        { IN_MODIFY | IN_ATTRIB, WEFT_WATCH_CHANGED },
        { IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT, WEFT_WATCH_GONE },
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (mask & kinds[i].mask)
            return kinds[i].what;
    return 0; /* IN_IGNORED: the end of a watch, which has been told */
}

/* The next event of the buffer that is to be told. */
static bool tell(weft_watch *w, weft_watch_event *ret)
{
    while (w->at < w->size) {
        const struct inotify_event *event = (const struct inotify_event *)(const void *)(w->buffer + w->at);
        w->at += sizeof *event + event->len;
        int what = kind_of(event->mask);
        if (what == 0)
            continue;
        *ret = (weft_watch_event){
            .what = what, .id = event->wd, .is_folder = event->mask & IN_ISDIR, .name = event->len > 0 ? event->name : ""
        };
        return true;
    }
    return false;
}

static void withdraw(weft_wait *wait)
{
    weft_watch *w = (weft_watch *)(uintptr_t)wait->on;
    w->loop->outside--;
    weft_waiting_withdraw(wait);
    if (!w->is_closed)
        weft_poll_fd_set(w->watched, 0); /* watching nothing cannot fail */
}

static int await_events(weft_watch *w, const void *place)
{
    struct weft_waiting waiting = { .wait = { .withdraw = withdraw, .what = "watch", .on = w, .place = place } };
    int rc = weft_poll_fd_set(w->watched, WEFT_FD_READ);
    if (rc < 0)
        return rc;
    w->loop->outside++;
    return weft_waiting_park(&waiting, &w->line);
}

static int read_events(weft_watch *w)
{
    ssize_t n = read(w->fd, w->buffer, sizeof w->buffer);
    w->at = 0;
    w->size = n > 0 ? (size_t)n : 0;
    return n >= 0 ? 0 : -errno;
}

static int next_event(weft_watch *w, weft_watch_event *ret, const void *place)
{
    for (int waits = 0; !tell(w, ret);) {
        int rc = waits > 0 ? weft_wait_check("watch") : 0;
        if (rc == 0)
            rc = w->is_closed ? WEFT_ECLOSED : read_events(w);
        if (rc == -EAGAIN) {
            rc = await_events(w, place);
            waits++;
        }
        if (rc < 0 && rc != -EINTR)
            return rc;
    }
    return 1;
}

int weft_watch_next(weft_watch *w, weft_watch_event *ret)
{
    int rc = weft_wait_check("watch");
    if (rc < 0)
        return rc;
    check_watch(w);
    if (w->is_busy)
        return -EBUSY;
    w->is_busy = true;
    w->users++;
    rc = next_event(w, ret, WEFT_PLACE_HERE);
    w->is_busy = false;
    leave(w);
    return rc;
}
