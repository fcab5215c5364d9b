/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * libuv's order: uv_run(ONCE) runs timers before the poll, and closing callbacks after it. Whoever makes a task ready from one
 * of them calls weft_loop_wake, which makes the present run return (and its poll not block); outside of a run it must not,
 * for a stop flag that is set then would skip the next poll. libuv is told of timers before the run: of what comes between that
 * and its poll, only its own timers' callbacks could set one that the poll would sleep past (after pending ones it does not
 * block), and those are ours.
 */
#include "lib/task/poll.h"

#include <errno.h>
#include <signal.h>
#include <uv.h>
#include <weft/fd.h>

#include "lib/base/check.h"
#include "lib/base/memory.h"

struct weft_poll {
    uv_loop_t uv;
    uv_timer_t timer;
    uv_async_t inbox;
    weft_loop *loop;
};

static void arm(struct weft_poll *poll);

static void on_timer(uv_timer_t *timer)
{
    struct weft_poll *poll = timer->data;
    weft_wheel *wheel = &poll->loop->wheel;
    weft_wheel_run(wheel, weft_loop_clock(poll->loop) / WEFT_MILLISECOND, false);
    wheel->armed = weft_wheel_next(wheel);
    arm(poll);
}

/* Tells libuv when the wheel wants to be run. Its clock is the same one, in milliseconds, read once a turn. */
static void arm(struct weft_poll *poll)
{
    weft_wheel *wheel = &poll->loop->wheel;
    wheel->is_dirty = false;
    if (wheel->armed == WEFT_TICK_NEVER)
        return;
    int64_t now = (int64_t)uv_now(&poll->uv);
    uv_timer_start(&poll->timer, on_timer, wheel->armed > now ? (uint64_t)(wheel->armed - now) : 0, 0);
}

static void on_inbox(uv_async_t *inbox)
{
    weft_loop_drain_inbox(((struct weft_poll *)inbox->data)->loop);
}

int weft_poll_open(weft_loop *loop)
{
    struct weft_poll *poll = weft_mem_calloc(1, sizeof *poll);
    if (!poll)
        return -ENOMEM;
    int rc = uv_loop_init(&poll->uv);
    if (rc < 0) {
        weft_mem_free(poll);
        return rc;
    }
    poll->loop = loop;
    uv_timer_init(&poll->uv, &poll->timer);
    poll->timer.data = poll;
    rc = uv_async_init(&poll->uv, &poll->inbox, on_inbox);
    if (rc < 0) {
        uv_close((uv_handle_t *)&poll->timer, NULL);
        uv_run(&poll->uv, UV_RUN_DEFAULT);
        CHECK(uv_loop_close(&poll->uv) == 0);
        weft_mem_free(poll);
        return rc;
    }
    poll->inbox.data = poll;
    loop->poll = poll;
    return 0;
}

void weft_poll_close(weft_loop *loop)
{
    enum { TURNS = 1000 };
    struct weft_poll *poll = loop->poll;
    uv_close((uv_handle_t *)&poll->timer, NULL);
    uv_close((uv_handle_t *)&poll->inbox, NULL);
    int turns = 0;
    while (uv_loop_close(&poll->uv) == UV_EBUSY) {
        if (++turns > TURNS)
            weft_die("a loop ends while a handle on it is open");
        uv_run(&poll->uv, UV_RUN_NOWAIT);
    }
    weft_mem_free(poll);
    loop->poll = NULL;
}

void weft_poll_turn(weft_loop *loop, bool may_block)
{
    struct weft_poll *poll = loop->poll;
    if (loop->wheel.is_dirty && !(loop->test && loop->test->is_virtual))
        arm(poll);
    loop->is_polling = true;
    uv_run(&poll->uv, may_block ? UV_RUN_ONCE : UV_RUN_NOWAIT);
    loop->is_polling = false;
    if (loop->flush)
        loop->flush(loop);
}

void weft_loop_wake(weft_loop *loop)
{
    if (loop->is_polling)
        uv_stop(&loop->poll->uv);
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
    move_handler(signal);
    *ret_watched = &watched->base;
    return 0;
}

void weft_poll_signal_close(weft_poll_signal *watched)
{
    uv_close((uv_handle_t *)&CONTAINER_OF(watched, struct poll_signal, base)->uv, free_signal);
}

void *weft_poll_uv(weft_loop *loop)
{
    return &loop->poll->uv;
}
