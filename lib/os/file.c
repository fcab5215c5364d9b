/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Files: opening, and an end that waits for all who use them.
 *
 *     open ──> closed by its owner ──> no user left ──> close(2) in a thread ──> freed
 *
 * The descriptor is opened non-blocking, and stays so: a FIFO without another end keeps no thread, neither at its opening nor
 * when it is read. To files of a disk that means nothing.
 */
#include "lib/os/file.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/check.h"
#include "lib/base/memory.h"
#include "lib/os/beneath.h"
#include "lib/task/debug.h"

enum { LINE_DEFAULT = 64 * 1024 };

/* ---- the end ---- */

static int close_in_thread(void *arg)
{
    const weft_file *f = arg;
    return close(f->fd) < 0 ? -errno : 0;
}

static void free_file(weft_file *f)
{
    f->magic = 0;
    weft_mem_free(f->ahead);
    weft_mem_free(f);
}

static void end_close(weft_file *f, int result)
{
    if (f->closer)
        weft_wait_settle(f->closer, result);
    else if (result < 0)
        weft_log(WEFT_LOG_WARNING, "an error at the close of a file: %s", weft_strerror(result));
    free_file(f);
}

static void come_back(weft_job *job)
{
    end_close(CONTAINER_OF(job, weft_file, closing), job->result);
}

/* The last user has gone. False when no thread can be had, or threads are ending. */
static bool begin_close(weft_file *f)
{
    f->closing = (weft_job){ .fn = close_in_thread, .arg = f, .name = "file close", .done = come_back };
    return !((weft_os *)f->loop->os)->is_stopping && weft_threads_submit(WEFT_THREADS_FILES, &f->closing, false) == 0;
}

void weft_file_leave(weft_file *f)
{
    if (--f->users == 0 && f->is_closed && !begin_close(f))
        end_close(f, close_in_thread(f));
}

void weft_file_check(const weft_file *f)
{
    IS_A(f, WEFT_FILE_MAGIC);
    if (UNLIKELY(f->is_closed))
        weft_misuse_die("use of a file that has been closed");
    if (UNLIKELY(f->loop != weft_here))
        weft_misuse_die("use of a file of another loop");
}

/* To its owner it is gone. The owner is a user until weft_file_leave. */
static void mark_closed(weft_file *f)
{
    weft_file_check(f);
    f->is_closed = true;
    f->users++;
    weft_list_remove(&f->open.link);
    weft_debug_gone(f);
    weft_waiter_serve_all(&f->line, WEFT_ECLOSED);
}

void weft_file_drop(weft_file **f)
{
    if (!*f)
        return;
    mark_closed(*f);
    weft_file_leave(*f);
}

static void stop_file(weft_os_open *open)
{
    weft_file *f = CONTAINER_OF(open, weft_file, open);
    weft_file_drop(&f);
}

static void withdraw_closer(weft_wait *wait)
{
    weft_file *f = (weft_file *)(uintptr_t)wait->on;
    f->closer = NULL;
    f->loop->outside--;
}

int weft_file_close(weft_file *f)
{
    if (!f)
        return 0;
    int rc = weft_wait_check("file close");
    if (rc < 0) {
        weft_file_drop(&f);
        return rc;
    }
    mark_closed(f);
    weft_wait wait = WEFT_WAIT("file close", f, withdraw_closer);
    if (--f->users == 0 && !begin_close(f)) {
        rc = close_in_thread(f);
        free_file(f);
        return rc;
    }
    f->closer = &wait;
    f->loop->outside++;
    return weft_wait_park(&wait);
}

/* ---- the beginning ---- */

/* A file over a descriptor, which is the file's even when this fails. NULL when memory is out. */
static weft_file *new_file(weft_loop *loop, int fd, int flags, size_t line_limit)
{
    weft_os *os = weft_os_of(loop);
    weft_file *f = os ? weft_mem_calloc(1, sizeof *f) : NULL;
    if (!f) {
        close(fd);
        return NULL;
    }
    f->magic = WEFT_FILE_MAGIC;
    f->fd = fd;
    f->can_read = (flags & O_ACCMODE) != O_WRONLY;
    f->can_write = (flags & O_ACCMODE) != O_RDONLY;
    f->appends = flags & O_APPEND;
    f->has_positions = lseek(fd, 0, SEEK_CUR) >= 0;
    f->line_limit = line_limit ? line_limit : LINE_DEFAULT;
    f->loop = loop;
    f->open.stop = stop_file;
    weft_list_init(&f->line);
    weft_list_append(&os->open[WEFT_OS_FILES], &f->open.link);
    return f;
}

/* The flags of a mode as fopen's; -EINVAL for another one. */
static int flags_of(const char *mode)
{
    int flags = *mode == 'r' ? 0 : *mode == 'w' ? O_CREAT | O_TRUNC : *mode == 'a' ? O_CREAT | O_APPEND : -EINVAL;
    if (flags < 0)
        return flags;
    bool updates = false, makes_new = false;
    for (const char *c = mode + 1; *c; c++) {
        if (*c == '+')
            updates = true;
        else if (*c == 'x' && *mode != 'r')
            makes_new = true;
        else if (*c != 'b' && *c != 'e')
            return -EINVAL;
    }
    return flags | (makes_new ? O_EXCL : 0) | (updates ? O_RDWR : *mode == 'r' ? O_RDONLY : O_WRONLY);
}

struct open_work {
    weft_work work;
    struct weft_path path;
    int flags;
    mode_t permissions;
    int fd;
};

/* Folders can be opened to read, but not read. */
static int check_kind(int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    return S_ISDIR(st.st_mode) ? -EISDIR : 0;
}

static int open_in_thread(void *arg)
{
    struct open_work *w = arg;
    int fd = weft_beneath_open(w->path.folder_fd, w->path.text, w->flags | O_NOCTTY | O_NONBLOCK, w->permissions);
    if (fd < 0)
        return fd;
    int rc = check_kind(fd);
    if (rc < 0)
        close(fd);
    else
        w->fd = fd;
    return rc;
}

int weft_file_open_and_unlink(const char *folder, mode_t permissions)
{
    char name[WEFT_RANDOM_NAME], path[PATH_MAX];
    int fd, tries = 100;
    do {
        weft_random_name(name);
        int size = snprintf(path, sizeof path, "%s/%s", folder, name);
        if (size < 0 || (size_t)size >= sizeof path)
            return -ENAMETOOLONG;
        fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, permissions);
    } while (fd < 0 && errno == EEXIST && --tries > 0);
    if (fd < 0)
        return -errno;
    if (unlink(path) == 0)
        return fd;
    int rc = -errno;
    close(fd);
    return rc;
}

static int open_unnamed_in_thread(void *arg)
{
    struct open_work *w = arg;
    const char *folder = *w->path.text ? w->path.text : getenv("TMPDIR");
    folder = folder && *folder ? folder : "/tmp";
    w->fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, w->permissions);
    if (w->fd < 0 && errno != EOPNOTSUPP && errno != EISDIR) /* the latter from kernels that do not know the flag */
        return -errno;
    if (w->fd < 0)
        w->fd = weft_file_open_and_unlink(folder, w->permissions);
    return w->fd < 0 ? w->fd : 0;
}

static void dispose_open(weft_work *work)
{
    struct open_work *w = CONTAINER_OF(work, struct open_work, work);
    if (w->fd >= 0)
        close(w->fd);
    weft_path_close(&w->path);
    weft_mem_free(w);
}

static int open_file(weft_file **ret, const char *path, int flags, const weft_file_options *options, int (*fn)(void *work),
                     const void *place)
{
    struct open_work *w = weft_mem_calloc(1, sizeof *w);
    if (!w)
        return -ENOMEM;
    int rc = weft_path_init(&w->path, path, options);
    if (rc < 0) {
        weft_mem_free(w);
        return rc;
    }
    int permissions = weft_file_options_permissions(options);
    w->flags = flags;
    w->permissions = permissions ? (mode_t)permissions : 0666;
    w->fd = -1;
    w->work.dispose = dispose_open;
    rc = weft_work_run(&w->work, "file open", fn, place);
    if (rc < 0)
        return rc;
    rc = w->work.job.result;
    if (rc == 0) {
        weft_file *f = new_file(weft_here, w->fd, flags, weft_file_options_line_limit(options));
        w->fd = -1;
        rc = f ? 0 : -ENOMEM;
        if (f)
            *ret = f;
    }
    dispose_open(&w->work);
    return rc;
}

int weft_file_open_(weft_file **ret, const char *path, const char *mode, const weft_file_options *options, const char *file,
                    int line)
{
    int rc = weft_wait_check("file open");
    if (rc < 0)
        return rc;
    int flags = flags_of(mode);
    rc = flags < 0 ? flags : open_file(ret, path, flags, options, open_in_thread, WEFT_PLACE_HERE);
    if (rc == 0)
        weft_debug_made(*ret, "a file", file, line);
    return rc;
}

int weft_file_temporary_(weft_file **ret, const char *folder, const char *file, int line)
{
    int rc = weft_wait_check("file temporary");
    if (rc < 0)
        return rc;
    const weft_file_options options = { .struct_size = sizeof options, .permissions = 0600 };
    rc = open_file(ret, folder ? folder : "", O_RDWR, &options, open_unnamed_in_thread, WEFT_PLACE_HERE);
    if (rc == 0)
        weft_debug_made(*ret, "a file", file, line);
    return rc;
}

/* ---- questions ---- */

int weft_file_fd(const weft_file *f)
{
    weft_file_check(f);
    return f->fd;
}

int64_t weft_file_position(const weft_file *f)
{
    weft_file_check(f);
    return f->position;
}

int weft_file_seek(weft_file *f, int64_t offset)
{
    weft_file_check(f);
    if (f->is_moving)
        return -EBUSY;
    if (offset < 0)
        return -EINVAL;
    if (!f->has_positions)
        return -ESPIPE;
    f->position = offset;
    f->ahead_at = f->ahead_size = 0;
    f->skips_line = false;
    return 0;
}
