/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Child processes.
 *
 *     running ──(close, drop)──> ending: SIGTERM sent ──(grace)──> SIGKILL sent
 *        └──────────────┬───────────┴────────────────────────────────┘
 *                     ended ──> reaped
 *
 * A descriptor of the child (a pidfd) is watched from its start to its end, and its callback reaps it: whether anybody waits,
 * is waiting for something else or has gone. Until then its number is its own, so signals cannot hit another. The leader of a
 * group is reaped only once the process is closed, for then what is left of the group is to be killed, whose number is the
 * leader's.
 *
 * The time of grace is kept by a timerfd: in virtual time, too, a child needs its time. If that cannot be had there is no
 * grace.
 *
 * The object is freed once it is closed, the child is reaped and no task is between its wake-up and its next step (`users`).
 */
#include <weft/fd.h>
#include <weft/process.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/check.h"
#include "lib/base/memory.h"
#include "lib/net/stream.h"
#include "lib/os/os.h"
#include "lib/os/spawn.h"
#include "lib/os/work.h"
#include "lib/task/debug.h"
#include "lib/task/poll.h"
#include "lib/task/task.h"

#define WEFT_PROCESS_MAGIC 0xc411dc41u

static const weft_duration GRACE_DEFAULT = 2 * WEFT_SECOND;

struct weft_process {
    unsigned magic;
    bool own_group;
    bool is_closed; /* by its owner */
    bool is_ending; /* SIGTERM has been sent to end it */
    bool has_ended;
    bool is_kept; /* it has ended and is not reaped: of .own_group, until it is closed */
    int error;    /* of its status */
    int users;
    pid_t pid;
    int pid_fd, grace_fd;
    weft_poll_fd *child, *alarm; /* that are watched */
    weft_duration grace;
    weft_process_status status;
    weft_stream *streams[3];
    weft_list line; /* who waits for its end */
    weft_loop *loop;
    weft_os_open open; /* among the open ones, or once it is closed among the orphans */
};

/* ---- the end ---- */

static void free_if_unused(weft_process *p)
{
    if (!p->is_closed || !p->has_ended || p->users > 0)
        return;
    weft_list_remove(&p->open.link);
    p->magic = 0;
    weft_mem_free(p);
}

static void send(weft_process *p, int signal)
{
    kill(p->own_group ? -p->pid : p->pid, signal);
}

static void stop_watching(weft_poll_fd **watched, int *fd)
{
    if (!*watched)
        return;
    weft_poll_fd_close(*watched);
    close(*fd);
    *watched = NULL;
    *fd = -1;
}

static void set_status(weft_process *p, int waited, const siginfo_t *info)
{
    if (waited < 0)
        p->error = -ECHILD; /* somebody else has reaped it */
    else if (info->si_code == CLD_EXITED)
        p->status = (weft_process_status){ .code = info->si_status };
    else
        p->status = (weft_process_status){ .code = -1, .signal = info->si_status };
}

/* Reaps the child, which has ended; before, as long as its number is kept, it kills what is left of its group. */
static void release(weft_process *p)
{
    if (p->own_group)
        kill(-p->pid, SIGKILL);
    while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    p->is_kept = false;
}

/* To all who wait, with the status for those that wait in a select too: they are no users. */
static void tell_end(weft_process *p)
{
    weft_waiter *waiter;
    while ((waiter = weft_waiter_first(&p->line))) {
        if (waiter->item)
            *(weft_process_status *)waiter->item = p->status;
        weft_waiter_serve(waiter, p->error);
    }
}

/* If the child has ended, or (`flags` 0) when it does: takes its status, and reaps it unless its group's number is needed. */
static void take_end(weft_process *p, int flags)
{
    siginfo_t info = { 0 };
    int waited;
    do
        waited = waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOWAIT | flags);
    while (waited < 0 && errno == EINTR);
    if (waited == 0 && info.si_pid == 0)
        return;
    set_status(p, waited, &info);
    p->has_ended = true;
    p->is_kept = waited == 0;
    if (p->is_kept && (!p->own_group || p->is_closed))
        release(p);
    stop_watching(&p->child, &p->pid_fd);
    stop_watching(&p->alarm, &p->grace_fd);
    tell_end(p);
    free_if_unused(p);
}

static void on_child(weft_poll_fd *watched, int events)
{
    (void)events;
    take_end(watched->context, WNOHANG);
}

static void on_alarm(weft_poll_fd *watched, int events)
{
    weft_process *p = watched->context;
    (void)events;
    stop_watching(&p->alarm, &p->grace_fd);
    send(p, SIGKILL);
}

static int watch(weft_process *p, int fd, void (*ready)(weft_poll_fd *watched, int events), weft_poll_fd **ret)
{
    int rc = weft_poll_fd_open(p->loop, fd, ready, ret);
    if (rc < 0)
        return rc;
    (*ret)->context = p;
    rc = weft_poll_fd_set(*ret, WEFT_FD_READ);
    if (rc < 0) {
        weft_poll_fd_close(*ret);
        *ret = NULL;
    }
    return rc;
}

static bool set_alarm(weft_process *p)
{
    struct itimerspec when = { .it_value = { .tv_sec = (time_t)(p->grace / WEFT_SECOND),
                                             .tv_nsec = (long)(p->grace % WEFT_SECOND) } };
    p->grace_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (p->grace_fd < 0)
        return false;
    if (timerfd_settime(p->grace_fd, 0, &when, NULL) == 0 && watch(p, p->grace_fd, on_alarm, &p->alarm) == 0)
        return true;
    close(p->grace_fd);
    p->grace_fd = -1;
    return false;
}

/* Asks the child to end, and sees to it that it does. */
static void begin_end(weft_process *p)
{
    if (p->has_ended || p->is_ending)
        return;
    p->is_ending = true;
    send(p, SIGTERM);
    if (p->grace < WEFT_NO_LIMIT && !set_alarm(p))
        send(p, SIGKILL);
}

/* ---- closing ---- */

static void check_process(const weft_process *p)
{
    IS_A(p, WEFT_PROCESS_MAGIC);
    if (UNLIKELY(p->is_closed))
        weft_misuse_die("use of a process that has been closed");
    if (UNLIKELY(p->loop != weft_here))
        weft_misuse_die("use of a process of another loop");
}

/* To its owner it is gone; the caller is a user of it. */
static void mark_closed(weft_process *p)
{
    check_process(p);
    p->is_closed = true;
    p->users++;
    weft_list_remove(&p->open.link);
    weft_debug_gone(p);
    weft_list_append(&((weft_os *)p->loop->os)->orphans, &p->open.link);
    for (int i = 0; i < 3; i++)
        weft_stream_close(p->streams[i]);
    weft_waiter_serve_all(&p->line, WEFT_ECLOSED);
    if (p->is_kept)
        release(p);
    begin_end(p);
}

static void leave(weft_process *p)
{
    p->users--;
    free_if_unused(p);
}

void weft_process_drop(weft_process **p)
{
    if (!*p)
        return;
    mark_closed(*p);
    leave(*p);
}

static void withdraw(weft_wait *wait)
{
    weft_here->outside--;
    weft_waiting_withdraw(wait);
}

/* Waits in line for the end. The caller is a user. */
static int park(weft_process *p, const char *what, const void *place)
{
    struct weft_waiting waiting = { .wait = { .withdraw = withdraw, .what = what, .on = p, .place = place } };
    p->loop->outside++;
    return weft_waiting_park(&waiting, &p->line);
}

void weft_process_close(weft_process *p)
{
    if (!p)
        return;
    mark_closed(p);
    if (!p->has_ended && weft_wait_is_allowed("process close")) {
        weft_scope shield = { .timeout = WEFT_NO_LIMIT, .shielded = true };
        weft_scope_open(&shield);
        int rc = weft_wait_check("process close");
        if (rc == 0 && !p->has_ended)
            rc = park(p, "process close", WEFT_PLACE_HERE);
        weft_scope_close(&shield);
        if (!p->has_ended)
            send(p, SIGKILL); /* the last stage of stopping: the loop reaps it */
    }
    leave(p);
}

static void stop_process(weft_os_open *open)
{
    weft_process *p = CONTAINER_OF(open, weft_process, open);
    if (!p->is_closed) {
        weft_process_drop(&p);
        return;
    }
    send(p, SIGKILL);
    take_end(p, 0);
}

/* ---- waiting ---- */

int weft_process_wait(weft_process *p, weft_process_status *ret)
{
    int rc = weft_wait_check("process wait");
    if (rc < 0)
        return rc;
    check_process(p);
    p->users++;
    rc = p->has_ended ? p->error : park(p, "process wait", WEFT_PLACE_HERE);
    if (rc == 0)
        *ret = p->status;
    leave(p);
    return rc;
}

static weft_list *end_line(const weft_select_case *c)
{
    weft_process *p = c->on.process;
    check_process(p);
    return p->has_ended || c->item_size != sizeof p->status ? NULL : &p->line;
}

static int take_status(const weft_select_case *c)
{
    const weft_process *p = c->on.process;
    if (c->item_size != sizeof p->status)
        return -EINVAL;
    if (p->error == 0)
        *(weft_process_status *)c->item = p->status;
    return p->error;
}

const struct weft_source weft_source_process = { "process wait", true, end_line, take_status };

int weft_process_kill(weft_process *p, int signal)
{
    check_process(p);
    if (p->has_ended)
        return -ESRCH;
    return kill(p->own_group ? -p->pid : p->pid, signal) < 0 ? -errno : 0;
}

int weft_process_id(const weft_process *p)
{
    check_process(p);
    return p->pid;
}

weft_stream *weft_process_input(const weft_process *p)
{
    check_process(p);
    return p->streams[STDIN_FILENO];
}

weft_stream *weft_process_output(const weft_process *p)
{
    check_process(p);
    return p->streams[STDOUT_FILENO];
}

weft_stream *weft_process_errors(const weft_process *p)
{
    check_process(p);
    return p->streams[STDERR_FILENO];
}

void weft_process_end_input(weft_process *p)
{
    check_process(p);
    weft_stream_close(p->streams[STDIN_FILENO]);
    p->streams[STDIN_FILENO] = NULL;
}

/* ---- starting ---- */

struct start_work {
    weft_work work;
    struct weft_spawn spawn;
    bool is_started;
};

static int start_in_thread(void *arg)
{
    struct start_work *w = arg;
    int rc = weft_spawn_run(&w->spawn);
    w->is_started = rc == 0;
    return rc;
}

static void dispose_start(weft_work *work)
{
    struct start_work *w = CONTAINER_OF(work, struct start_work, work);
    if (w->is_started)
        weft_spawn_undo(&w->spawn);
    weft_mem_free(w->spawn.argv);
    weft_mem_free(w->spawn.environment);
    weft_mem_free(w->spawn.folder);
    weft_mem_free(w);
}

/* A copy of strings up to NULL, in one piece; NULL when memory is out. */
static char **copy_strings(const char *const *strings)
{
    size_t count = 0, size = 0;
    for (; strings[count]; count++)
        size += strlen(strings[count]) + 1;
    char **copy = weft_mem_alloc((count + 1) * sizeof *copy + size);
    if (!copy)
        return NULL;
    char *text = (char *)(copy + count + 1);
    for (size_t i = 0; i < count; i++) {
        size = strlen(strings[i]) + 1;
        copy[i] = memcpy(text, strings[i], size);
        text += size;
    }
    copy[count] = NULL;
    return copy;
}

static int set_options(struct start_work *w, const char *const *argv, const weft_process_options *o)
{
    w->spawn.argv = copy_strings(argv);
    if (!w->spawn.argv)
        return -ENOMEM;
    if (o->environment && !(w->spawn.environment = copy_strings(o->environment)))
        return -ENOMEM;
    if (o->folder) {
        size_t size = strlen(o->folder) + 1;
        w->spawn.folder = weft_mem_alloc(size);
        if (!w->spawn.folder)
            return -ENOMEM;
        memcpy(w->spawn.folder, o->folder, size);
    }
    w->spawn.io[0] = o->input;
    w->spawn.io[1] = o->output;
    w->spawn.io[2] = o->errors;
    w->spawn.own_group = o->own_group;
    return 0;
}

static bool is_sound(const char *const *argv, const weft_process_options *o)
{
    const int io[3] = { o->input, o->output, o->errors };
    for (int i = 0; i < 3; i++)
        if (io[i] < 0 || (io[i] > WEFT_IO_OUTPUT && io[i] < WEFT_IO_FD_BASE_) ||
            (io[i] == WEFT_IO_OUTPUT && i != STDERR_FILENO))
            return false;
    return argv && argv[0] && *argv[0] && o->grace >= 0;
}

/* The object over a child that has been started. What it has taken over it takes out of the spawn. */
static int adopt(weft_process *p, struct weft_spawn *s)
{
    for (int i = 0; i < 3; i++) {
        int rc = s->ends[i] >= 0 ? weft_stream_open_fd(&p->streams[i], s->ends[i]) : 0;
        if (rc < 0)
            return rc;
        s->ends[i] = -1;
    }
    p->pid = s->pid;
    p->pid_fd = s->pid_fd;
    return watch(p, p->pid_fd, on_child, &p->child);
}

static void give_up(weft_process *p)
{
    for (int i = 0; i < 3; i++)
        weft_stream_close(p->streams[i]);
    weft_mem_free(p);
}

static int start(weft_process *p, struct start_work *w, const void *place)
{
    int rc = weft_work_run_in(WEFT_THREADS_PROCESSES, &w->work, "process open", start_in_thread, place);
    if (rc < 0)
        return rc;
    rc = w->work.job.result;
    if (rc == 0)
        rc = adopt(p, &w->spawn);
    if (rc == 0)
        w->is_started = false; /* no longer the work's */
    dispose_start(&w->work);
    return rc;
}

int weft_process_open_(weft_process **ret, const char *const *argv, const weft_process_options *given, const char *file,
                       int line)
{
    int rc = weft_wait_check("process open");
    if (rc < 0)
        return rc;
    weft_process_options o = { 0 };
    memcpy(&o, given, given->struct_size < sizeof o ? given->struct_size : sizeof o);
    if (!is_sound(argv, &o))
        return -EINVAL;
    weft_os *os = weft_os_of(weft_here);
    weft_process *p = os ? weft_mem_calloc(1, sizeof *p) : NULL;
    struct start_work *w = p ? weft_mem_calloc(1, sizeof *w) : NULL;
    if (!w) {
        weft_mem_free(p);
        return -ENOMEM;
    }
    *p = (weft_process){ .magic = WEFT_PROCESS_MAGIC,
                         .own_group = o.own_group,
                         .pid_fd = -1,
                         .grace_fd = -1,
                         .grace = o.grace ? o.grace : GRACE_DEFAULT,
                         .loop = weft_here,
                         .open = { .stop = stop_process } };
    weft_list_init(&p->line);
    weft_list_init(&p->open.link);
    w->work.dispose = dispose_start;
    rc = set_options(w, argv, &o);
    if (rc < 0)
        dispose_start(&w->work);
    else
        rc = start(p, w, WEFT_PLACE_HERE);
    if (rc < 0) {
        give_up(p);
        return rc;
    }
    weft_list_append(&os->open[WEFT_OS_PROCESSES], &p->open.link);
    weft_debug_made(p, "a process", file, line);
    *ret = p;
    return 0;
}
