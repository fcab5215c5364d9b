/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * A turn: what is to be settled, then a wait for what is polled, then what is ready there; libuv's own poll is among that, and
 * is run when it is ready, or has something to do before. Timers strike last: who comes in time is not late because of others.
 *
 * What is called before the wait may have work for the loop, which must not block then: weft_loop_wake says so.
 */
#include "lib/task/poll.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>
#include <weft/fd.h>

#include "lib/base/check.h"
#include "lib/base/memory.h"
#include "lib/task/task.h"

struct weft_poll {
    weft_poller poller; /* first: weft_poll_poller */
    uv_loop_t uv;
    uv_async_t inbox;
    bool is_uv_due; /* to be run before the next wait: it tells the kernel of changes then */
    weft_loop *loop;
};

_Static_assert(offsetof(struct weft_poll, poller) == 0, "as weft_poll_poller has it");

static void on_inbox(uv_async_t *inbox)
{
    weft_loop *loop = ((struct weft_poll *)inbox->data)->loop;
    if (weft_loop_drain_inbox(loop))
        weft_loop_wake(loop);
}

enum { TURNS_MOST = 1000 }; /* until all that is closing is closed */

static void close_poller(weft_poller *poller)
{
    for (int turns = 0; turns < TURNS_MOST && !weft_poller_is_settled(poller); turns++)
        weft_poller_settle(poller);
    weft_poller_close(poller);
}

static void close_uv(struct weft_poll *poll)
{
    int turns = 0;
    while (uv_loop_close(&poll->uv) == UV_EBUSY) {
        if (++turns > TURNS_MOST)
            weft_die("a loop ends while a handle on it is open");
        uv_run(&poll->uv, UV_RUN_NOWAIT);
    }
}

/* The best there is, unless WEFT_POLLER says "poll": to find out whether an error is epoll's, and for tests. */
static const weft_poller_kind *choose_poller(void)
{
    const char *name = getenv("WEFT_POLLER");
    return name && strcmp(name, "poll") == 0 ? &weft_poller_poll : &WEFT_POLLER_BEST;
}

int weft_poll_open(weft_loop *loop)
{
    struct weft_poll *poll = weft_mem_calloc(1, sizeof *poll);
    if (!poll)
        return -ENOMEM;
    int rc = uv_loop_init(&poll->uv);
    if (rc < 0)
        goto free_poll;
    poll->loop = loop;
    rc = weft_poller_open(&poll->poller, choose_poller(), uv_backend_fd(&poll->uv));
    if (rc < 0)
        goto close_loop;
    rc = uv_async_init(&poll->uv, &poll->inbox, on_inbox);
    if (rc < 0)
        goto close_poller;
    poll->inbox.data = poll;
    poll->is_uv_due = true;
    loop->poll = poll;
    return 0;

close_poller:
    weft_poller_close(&poll->poller);
close_loop:
    close_uv(poll);
free_poll:
    weft_mem_free(poll);
    return rc;
}

void weft_poll_close(weft_loop *loop)
{
    struct weft_poll *poll = loop->poll;
    close_poller(&poll->poller);
    uv_close((uv_handle_t *)&poll->inbox, NULL);
    close_uv(poll);
    weft_mem_free(poll);
    loop->poll = NULL;
}

/* ---- turns ---- */

static bool is_virtual(const weft_loop *loop)
{
    return loop->test && loop->test->is_virtual;
}

static void run_timers(weft_loop *loop)
{
    weft_wheel *wheel = &loop->wheel;
    if (wheel->armed == WEFT_TICK_NEVER || is_virtual(loop))
        return;
    int64_t now = weft_loop_now(loop) / WEFT_MILLISECOND;
    if (wheel->armed > now)
        return;
    weft_wheel_run(wheel, now, false);
    wheel->armed = weft_wheel_next(wheel);
}

/* Milliseconds; -1: for ever. */
static int until_timers(weft_loop *loop)
{
    int64_t tick = loop->wheel.armed;
    if (tick == WEFT_TICK_NEVER || is_virtual(loop))
        return -1;
    int64_t now = weft_loop_clock(loop);
    if (tick <= now / WEFT_MILLISECOND)
        return 0;
    if (tick - now / WEFT_MILLISECOND > INT_MAX / 2)
        return INT_MAX / 2; /* it waits again then */
    return (int)((tick * WEFT_MILLISECOND - now + WEFT_MILLISECOND - 1) / WEFT_MILLISECOND);
}

/* How long the wait may take. libuv has no timers here. */
static int time_to_wait(struct weft_poll *poll)
{
    bool is_over = weft_group_own(&poll->loop->root)->count == 0;
    if (poll->loop->is_woken || is_over || poll->is_uv_due || uv_backend_timeout(&poll->uv) == 0)
        return 0;
    int timeout = until_timers(poll->loop);
    bool tries_again = !weft_poller_is_settled(&poll->poller);
    return tries_again && (timeout < 0 || timeout > WEFT_POLLER_RETRY) ? WEFT_POLLER_RETRY : timeout;
}

/* Looks at what is ready there, without waiting, and calls back. */
static void run_uv(struct weft_poll *poll)
{
    poll->is_uv_due = false;
    uv_run(&poll->uv, UV_RUN_NOWAIT);
}

/* What there is to do before the wait. Has anything been called? */
static bool prepare(struct weft_poll *poll)
{
    if (weft_poller_settle(&poll->poller))
        return true;
    if (!poll->is_uv_due && uv_backend_timeout(&poll->uv) != 0)
        return false;
    run_uv(poll);
    return poll->loop->is_woken;
}

void weft_poll_turn(weft_loop *loop, bool may_block)
{
    struct weft_poll *poll = loop->poll;
    loop->is_woken = false;
    loop->is_polling = true;
    bool has_called = prepare(poll);
    if (poll->poller.kind->wait(&poll->poller, may_block && !has_called ? time_to_wait(poll) : 0))
        run_uv(poll);
    run_timers(loop);
    loop->is_polling = false;
    if (loop->flush)
        loop->flush(loop);
}

void weft_poll_wake(weft_loop *loop)
{
    uv_async_send(&loop->poll->inbox);
}

/* libuv aborts when its table of watched descriptors cannot grow, which is what it uses realloc for: no fault strikes here. */
static void *grow_spared(void *p, size_t size)
{
    weft_faults *faults = weft_mem_set_faults(NULL);
    void *grown = weft_mem_realloc(p, size);
    weft_mem_set_faults(faults);
    return grown;
}

void weft_poll_use_heap(void)
{
    uv_replace_allocator(weft_mem_alloc, grow_spared, weft_mem_calloc, weft_mem_free);
}

/* ---- descriptors ---- */

static struct weft_poll *poll_of(uv_loop_t *uv)
{
    return CONTAINER_OF(uv, struct weft_poll, uv);
}

struct poll_fd {
    weft_poll_fd base;
    uv_poll_t uv;
};

_Static_assert((int)WEFT_FD_READ == (int)UV_READABLE && (int)WEFT_FD_WRITE == (int)UV_WRITABLE,
               "the events have one numbering");

int weft_poll_fd_open(weft_loop *loop, int fd, void (*ready)(weft_poll_fd *watched, int events), weft_poll_fd **ret_watched)
{
    struct poll_fd *watched = weft_mem_alloc(sizeof *watched);
    if (!watched)
        return -ENOMEM;
    int rc = uv_poll_init(&loop->poll->uv, &watched->uv, fd);
    if (rc < 0) {
        weft_mem_free(watched);
        return rc;
    }
    watched->base = (weft_poll_fd){ .fd = fd, .ready = ready };
    weft_list_init(&watched->base.waiters);
    *ret_watched = &watched->base;
    return 0;
}

/* An error of the descriptor (libuv calls it EBADF) is for the caller's next read or write to find. */
static void on_fd(uv_poll_t *uv, int status, int events)
{
    weft_poll_fd *watched = &CONTAINER_OF(uv, struct poll_fd, uv)->base;
    if (status < 0)
        watched->events = 0; /* libuv has stopped it */
    watched->ready(watched, status < 0 ? WEFT_FD_READ | WEFT_FD_WRITE : events);
}

int weft_poll_fd_set(weft_poll_fd *watched, int events)
{
    uv_poll_t *uv = &CONTAINER_OF(watched, struct poll_fd, base)->uv;
    poll_of(uv->loop)->is_uv_due = true;
    int rc = events ? uv_poll_start(uv, events, on_fd) : uv_poll_stop(uv);
    if (rc == 0)
        watched->events = events;
    return rc;
}

static void free_fd(uv_handle_t *handle)
{
    struct poll_fd *watched = CONTAINER_OF(handle, struct poll_fd, uv);
    if (watched->base.closed)
        watched->base.closed(watched->base.context);
    weft_mem_free(watched);
}

void weft_poll_fd_close(weft_poll_fd *watched)
{
    uv_close((uv_handle_t *)&CONTAINER_OF(watched, struct poll_fd, base)->uv, free_fd);
}

/* ---- signals ---- */

struct poll_signal {
    weft_poll_signal base;
    uv_signal_t uv;
};

static void on_signal(uv_signal_t *uv, int signal)
{
    const weft_poll_signal *watched = &CONTAINER_OF(uv, struct poll_signal, uv)->base;
    (void)signal;
    watched->came(watched->context);
}

static void free_signal(uv_handle_t *handle)
{
    struct poll_signal *watched = CONTAINER_OF(handle, struct poll_signal, uv);
    if (watched->base.closed)
        watched->base.closed(watched->base.context);
    weft_mem_free(watched);
}

/* libuv's handler runs on the alternate stack that each loop's thread has for overflows: its frame of 3.5 KB would be much on
 * the stack of a task. */
static void move_handler(int signal)
{
    struct sigaction action;
    if (sigaction(signal, NULL, &action) < 0 || (action.sa_flags & SA_ONSTACK))
        return;
    action.sa_flags |= SA_ONSTACK;
    sigaction(signal, &action, NULL);
}

int weft_poll_signal_open(weft_loop *loop, int signal, weft_poll_signal calls, weft_poll_signal **ret_watched)
{
    struct poll_signal *watched = weft_mem_alloc(sizeof *watched);
    if (!watched)
        return -ENOMEM;
    int rc = uv_signal_init(&loop->poll->uv, &watched->uv);
    if (rc < 0) {
        weft_mem_free(watched);
        return rc;
    }
    rc = uv_signal_start(&watched->uv, on_signal, signal);
    if (rc < 0) {
        watched->base = (weft_poll_signal){ 0 };
        weft_poll_signal_close(&watched->base);
        return rc;
    }
    watched->base = calls;
    loop->poll->is_uv_due = true;
    move_handler(signal);
    *ret_watched = &watched->base;
    return 0;
}

void weft_poll_signal_close(weft_poll_signal *watched)
{
    uv_close((uv_handle_t *)&CONTAINER_OF(watched, struct poll_signal, base)->uv, free_signal);
}
