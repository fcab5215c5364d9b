/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Signals, by libuv's handles. Its handler writes to a pipe of each loop that wants the signal, so it does not matter which
 * thread the kernel picks, loops in several threads all get it, and the state per process that signals need is libuv's. (A
 * signalfd would give it to one of them, and lets the default effect strike in any thread of others that has not blocked the
 * signal.)
 *
 * In the loop's thread the signal is unblocked while it is open, whatever it was before.
 */
#include <weft/signal.h>

#include <errno.h>
#include <signal.h>

#include "lib/base/check.h"
#include "lib/base/memory.h"
#include "lib/os/os.h"
#include "lib/task/debug.h"
#include "lib/task/poll.h"
#include "lib/task/task.h"

#define WEFT_SIGNAL_MAGIC 0x51916a15u

struct weft_signal {
    unsigned magic; /* 0 once libuv has let go of it */
    int signal;
    int count;        /* that nobody was told of */
    bool was_blocked; /* in the loop's thread; to be put back by the last that is open for it */
    bool is_closed;
    int users; /* tasks between their wake-up and their next step */
    weft_list line;
    weft_os_open open;
    weft_loop *loop;
    weft_poll_signal *watched;
};

/* ---- the end ---- */

static void free_if_unused(weft_signal *s)
{
    if (s->magic == 0 && s->users == 0)
        weft_mem_free(s);
}

static void on_closed(void *signal)
{
    weft_signal *s = signal;
    s->magic = 0;
    free_if_unused(s);
}

static void check_signal(const weft_signal *s)
{
    IS_A(s, WEFT_SIGNAL_MAGIC);
    if (UNLIKELY(s->is_closed))
        weft_misuse_die("use of a signal that has been closed");
    if (UNLIKELY(s->loop != weft_here))
        weft_misuse_die("use of a signal of another loop");
}

static void set_mask(int how, int signal, sigset_t *ret_former)
{
    sigset_t only;
    sigemptyset(&only);
    sigaddset(&only, signal);
    pthread_sigmask(how, &only, ret_former);
}

/* Blocks the signal again if it was, or leaves that to another one that is open for it. */
static void restore_mask(weft_signal *s)
{
    if (!s->was_blocked)
        return;
    LIST_EACH (link, &((weft_os *)s->loop->os)->open[WEFT_OS_SIGNALS]) {
        weft_signal *other = CONTAINER_OF(link, weft_signal, open.link);
        if (other->signal == s->signal) {
            other->was_blocked = true;
            return;
        }
    }
    set_mask(SIG_BLOCK, s->signal, NULL);
}

void weft_signal_close(weft_signal *s)
{
    if (!s)
        return;
    check_signal(s);
    s->is_closed = true;
    weft_list_remove(&s->open.link);
    weft_debug_gone(s);
    restore_mask(s);
    weft_waiter_serve_all(&s->line, WEFT_ECLOSED);
    weft_poll_signal_close(s->watched);
}

void weft_signal_drop(weft_signal **s)
{
    weft_signal_close(*s);
}

static void stop_signal(weft_os_open *open)
{
    weft_signal_close(CONTAINER_OF(open, weft_signal, open));
}

/* ---- opening ---- */

static void on_came(void *signal)
{
    weft_signal *s = signal;
    if (weft_list_is_empty(&s->line))
        s->count += s->count < INT32_MAX;
    else
        weft_waiter_serve_all(&s->line, 1);
}

static bool can_be_awaited(int signal)
{
    sigset_t set;
    sigemptyset(&set);
    return signal > 0 && sigaddset(&set, signal) == 0 && signal != SIGKILL && signal != SIGSTOP && signal != SIGSEGV &&
           signal != SIGBUS && signal != SIGFPE && signal != SIGILL && signal != SIGTRAP && signal != SIGABRT &&
           signal != SIGSYS;
}

int weft_signal_open_(weft_signal **ret, int signal, const char *file, int line)
{
    weft_loop *loop = weft_here;
    if (!loop) {
        weft_misuse("weft_signal_open on a thread without a loop");
        return -EPERM;
    }
    if (!can_be_awaited(signal))
        return -EINVAL;
    if (signal < 64 && (loop->supervised >> signal & 1))
        return -EBUSY;
    weft_os *os = weft_os_of(loop);
    weft_signal *s = os ? weft_mem_calloc(1, sizeof *s) : NULL;
    if (!s)
        return -ENOMEM;
    const weft_poll_signal calls = { .context = s, .came = on_came, .closed = on_closed };
    int rc = weft_poll_signal_open(loop, signal, calls, &s->watched);
    if (rc < 0) {
        weft_mem_free(s);
        return rc;
    }
    s->magic = WEFT_SIGNAL_MAGIC;
    s->signal = signal;
    s->loop = loop;
    s->open.stop = stop_signal;
    weft_list_init(&s->line);
    sigset_t former;
    set_mask(SIG_UNBLOCK, signal, &former);
    s->was_blocked = sigismember(&former, signal) == 1;
    weft_list_append(&os->open[WEFT_OS_SIGNALS], &s->open.link);
    weft_debug_made(s, "a signal", file, line);
    *ret = s;
    return 0;
}

/* ---- waiting ---- */

static void withdraw(weft_wait *wait)
{
    weft_here->outside--;
    weft_waiting_withdraw(wait);
}

static int take_count(weft_signal *s)
{
    int count = s->count;
    s->count = 0;
    return count;
}

int weft_signal_wait(weft_signal *s)
{
    int rc = weft_wait_check("signal");
    if (rc < 0)
        return rc;
    check_signal(s);
    if (s->count > 0)
        return take_count(s);
    struct weft_waiting waiting = WEFT_WAITING("signal", s);
    waiting.wait.withdraw = withdraw;
    s->loop->outside++;
    s->users++;
    rc = weft_waiting_park(&waiting, &s->line);
    s->users--;
    free_if_unused(s);
    return rc;
}

static weft_list *line(const weft_select_case *c)
{
    weft_signal *s = c->on.signal;
    check_signal(s);
    return s->count > 0 ? NULL : &s->line;
}

static int take(const weft_select_case *c)
{
    return take_count(c->on.signal);
}

const struct weft_source weft_source_signal = { "signal", true, line, take };

/* ---- programs that can be interrupted ---- */

struct interruptible {
    weft_task_fn *fn;
    void *arg;
    int result;
    weft_group *work;
    weft_signal *signals[2];
    int came;
    const char *file;
    int line;
};

static void close_signals(struct interruptible *it)
{
    for (int i = 0; i < 2; i++) {
        weft_signal_close(it->signals[i]);
        it->signals[i] = NULL;
    }
}

/* The first signal cancels the work, and gives both back their default effect. */
static int await_signal(struct interruptible *it, weft_signal *s)
{
    int signal = s->signal;
    if (weft_signal_wait(s) > 0 && !it->came) {
        it->came = signal;
        close_signals(it);
        weft_group_cancel(it->work);
    }
    return 0;
}

static int await_interrupt(void *arg)
{
    struct interruptible *it = arg;
    return it->signals[0] ? await_signal(it, it->signals[0]) : 0;
}

static int await_termination(void *arg)
{
    struct interruptible *it = arg;
    return it->signals[1] ? await_signal(it, it->signals[1]) : 0;
}

static int work(void *arg)
{
    struct interruptible *it = arg;
    it->result = it->fn(it->arg);
    return it->result;
}

static int run_interruptible(void *arg)
{
    struct interruptible *it = arg;
    WEFT_TRY(weft_signal_open(&it->signals[0], SIGINT));
    WEFT_TRY(weft_signal_open(&it->signals[1], SIGTERM));
    WEFT_GROUP (watching) {
        WEFT_GROUP (working) {
            it->work = &working;
            weft_go(&watching, await_interrupt, it);
            weft_go(&watching, await_termination, it);
            weft_go_(&working, "main", it->file, it->line, work, it, 0);
        }
        it->result = working.result < 0 ? working.result : it->result;
        break;
    }
    close_signals(it);
    return watching.result < 0 ? watching.result : it->result;
}

int weft_run_interruptible_(weft_task_fn *fn, void *arg, int *ret_signal, const char *file, int line)
{
    struct interruptible it = { .fn = fn, .arg = arg, .file = file, .line = line };
    int rc = weft_run_(run_interruptible, &it, file, line);
    if (ret_signal)
        *ret_signal = it.came;
    return rc;
}
