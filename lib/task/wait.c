/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The one way to park, and the one way to wake.
 *
 * A refused wait (its task has a reason) still goes through the scheduler once, so that a loop which ignores results cannot
 * starve input and output; after 100 refusals in a row it is really parked, for 1, 2, 4 ... 100 ms, and named once in the log.
 */
#include "lib/task/wait.h"

#include <errno.h>

#include "lib/task/report.h"
#include "lib/task/task.h"

enum { REFUSALS_AT_ONCE = 100, LONGEST_REFUSAL = 100 /* milliseconds */ };

bool weft_wait_is_allowed(const char *what)
{
    weft_loop *loop = weft_here;
    if (LIKELY(loop && loop->current && !loop->on_loop_stack))
        return true;
    if (loop && loop->on_loop_stack)
        weft_misuse("waiting (%s) on the loop's stack", what);
    else
        weft_misuse("waiting (%s) outside a task", what);
    return false;
}

struct nap {
    weft_wait wait;
    weft_timer timer;
};

static void end_nap(weft_timer *timer)
{
    weft_wait_settle(&CONTAINER_OF(timer, struct nap, timer)->wait, 0);
}

static void withdraw_nap(weft_wait *wait)
{
    weft_timer_clear(&CONTAINER_OF(wait, struct nap, wait)->timer);
}

static void describe_nap(const weft_wait *wait, FILE *out)
{
    int64_t left = CONTAINER_OF(wait, const struct nap, wait)->timer.tick -
                   weft_loop_clock(wait->task->loop) / WEFT_MILLISECOND;
    weft_report_seconds(out, ", ", left, " left");
}

static void park_refused(weft_task *t, const char *what)
{
    int turn = t->refusals - REFUSALS_AT_ONCE - 1;
    if (turn == 0)
        weft_log(WEFT_LOG_WARNING, "%s (%s:%d) goes on waiting (%s) although it was cut short: is a result ignored?", t->name,
                 t->file, t->line, what);
    int milliseconds = turn < 7 ? 1 << turn : LONGEST_REFUSAL;
    struct nap nap = { .wait = WEFT_WAIT("refused wait", NULL, withdraw_nap) };
    nap.wait.is_uncut = true;
    nap.wait.describe = describe_nap;
    weft_timer_init(&nap.timer, end_nap);
    weft_timer_set(&t->loop->wheel, &nap.timer, weft_tick_of(weft_loop_deadline(t->loop, milliseconds * WEFT_MILLISECOND)));
    weft_wait_park(&nap.wait);
}

/* The reason that refuses a wait of t; 0 for none. */
static int reason_to_refuse(const weft_task *t, const weft_group *inside)
{
    return LIKELY(!t->reason) ? 0 : inside ? weft_scope_reason_inside(t, inside) : t->reason;
}

static int refuse(weft_task *t, int reason, const weft_group *inside, const char *what)
{
    if (++t->refusals <= REFUSALS_AT_ONCE) {
        weft_task_yield(t);
    } else {
        park_refused(t, what);
    }
    int latest = reason_to_refuse(t, inside); /* one from further out may have come meanwhile */
    return latest ? latest : reason;
}

static void count_wait(weft_loop *loop)
{
    struct weft_test_mode *test = loop->test;
    bool is_chosen = ++test->waits == test->cancel_at;
    test->cancel_this_wait = is_chosen && test->cancel_when != WEFT_CANCEL_BEFORE;
    if (is_chosen && test->cancel_when == WEFT_CANCEL_BEFORE) {
        test->struck = true;
        weft_task_cancel(loop->current);
    }
}

__attribute__((noinline)) static int check(const char *what, const weft_group *inside)
{
    if (!weft_wait_is_allowed(what))
        return -EPERM;
    weft_loop *loop = weft_here;
    if (UNLIKELY(loop->test))
        count_wait(loop);
    weft_task *t = loop->current;
    int reason = reason_to_refuse(t, inside);
    return LIKELY(!reason) ? 0 : refuse(t, reason, inside, what);
}

int weft_wait_check(const char *what)
{
    const weft_loop *loop = weft_here;
    if (LIKELY(loop && loop->current && !loop->on_loop_stack && !loop->test && !loop->current->reason))
        return 0; /* the usual case apart, so that it saves no registers: 16 instructions, not 29 */
    return check(what, NULL);
}

int weft_wait_check_inside(const char *what, weft_group *inside)
{
    return check(what, inside);
}

int weft_wait_refuse(const char *what, int reason)
{
    return refuse(weft_here->current, reason, NULL, what);
}

/* Test mode: the wait that has just parked is the one to be cancelled, now or when it is woken. */
static void cancel_chosen(weft_task *t, weft_wait *wait)
{
    struct weft_test_mode *test = t->loop->test;
    test->cancel_this_wait = false;
    if (test->cancel_when == WEFT_CANCEL_WOKEN) {
        test->chosen = wait;
        return;
    }
    test->struck = true;
    weft_task_cancel(t);
}

int weft_wait_park(weft_wait *wait)
{
    weft_loop *loop = weft_here;
    weft_task *t = loop->current;
    wait->task = t;
    t->wait = wait;
    weft_task_set_state(t, WEFT_TASK_PARKED);
    if (UNLIKELY(loop->test) && loop->test->cancel_this_wait && !wait->is_uncut)
        cancel_chosen(t, wait);
    weft_coro_leave(&loop->home, &t->coro);
    return wait->result;
}

static weft_task *settle(weft_wait *wait, int result)
{
    weft_task *t = wait->task;
    if (UNLIKELY(!t || t->wait != wait))
        weft_misuse_die("a second wake-up of a wait (%s)", wait->what);
    t->wait = NULL;
    wait->result = result;
    if (wait->withdraw)
        wait->withdraw(wait);
    return t;
}

/* Test mode: the wait that is now settled may be the one to be cancelled when it is woken. */
static inline void cancel_woken(weft_task *t, const weft_wait *wait)
{
    struct weft_test_mode *test = t->loop->test;
    if (LIKELY(!test) || test->chosen != wait)
        return;
    test->chosen = NULL;
    test->struck = true;
    weft_task_cancel(t);
}

void weft_wait_settle(weft_wait *wait, int result)
{
    weft_task *t = settle(wait, result);
    weft_task_make_ready(t);
    cancel_woken(t, wait);
}

void weft_wait_settle_and_enter(weft_wait *wait, int result)
{
    weft_task *t = settle(wait, result);
    weft_task_set_state(t, WEFT_TASK_READY);
    cancel_woken(t, wait);
    weft_task_enter(t);
}

/* ---- sleeping ---- */

int weft_yield(void)
{
    int rc = weft_wait_check("yield");
    if (rc < 0)
        return rc;
    weft_task *t = weft_here->current;
    weft_task_yield(t);
    return t->reason;
}

int weft_sleep(weft_duration d)
{
    if (d <= 0)
        return weft_yield();
    int rc = weft_wait_check("sleep");
    if (rc < 0)
        return rc;
    weft_loop *loop = weft_here;
    struct nap nap = { .wait = WEFT_WAIT("sleep", NULL, withdraw_nap) };
    nap.wait.describe = describe_nap;
    weft_timer_init(&nap.timer, end_nap);
    weft_timer_set(&loop->wheel, &nap.timer, weft_tick_of(weft_loop_deadline(loop, d)));
    return weft_wait_park(&nap.wait);
}
