/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * One test for each cell of the two tables that speak of groups: the rows of group_next, join, weft_go and what never waits;
 * and what the end of a task, or of the block, means for the group. Named after row and column.
 */
#include "tests/core/core.h"

/* ---- group_next ---- */

static int next_before_from_outside(void)
{
    int result = 3;
    WEFT_TIMEOUT (outside, WEFT_NO_LIMIT) {
        WEFT_GROUP (g, .keep_ended = true) {
            weft_ended ended = { .index = 99 };
            weft_go(&g, end_with, &result);
            WEFT_TRY(weft_sleep(20 * MS));
            weft_cancel(&outside);
            WEFT_CHECK(weft_group_next(&g, &ended) == WEFT_ECANCELED && ended.index == 99);
        }
        WEFT_CHECK(g.result == WEFT_ECANCELED);
    }
    return 0;
}

static int next_before_own_failure(void)
{
    int error = -EIO, result = 3;
    WEFT_GROUP (g, .keep_ended = true) {
        weft_ended ended;
        weft_go(&g, sleep_long, NULL);
        weft_go(&g, end_with, &result);
        weft_go(&g, end_with, &error);
        WEFT_CHECK(weft_sleep(20 * MS) == WEFT_ECANCELED);
        WEFT_CHECK(weft_group_next(&g, &ended) == 1 && ended.index == 1 && ended.result == 3);
        WEFT_CHECK(weft_group_next(&g, &ended) == 1 && ended.index == 2 && ended.result == -EIO);
        WEFT_CHECK(weft_group_next(&g, &ended) == 1 && ended.index == 0 && ended.result == WEFT_ECANCELED);
        WEFT_CHECK(weft_group_next(&g, &ended) == 0);
    }
    WEFT_CHECK(g.result == -EIO);
    return 0;
}

static int next_parked_from_outside(void)
{
    weft_duration start = weft_now();
    WEFT_TIMEOUT (outside, 10 * MS) {
        WEFT_GROUP (g, .keep_ended = true) {
            weft_ended ended;
            weft_go(&g, sleep_long, NULL);
            WEFT_CHECK(weft_group_next(&g, &ended) == WEFT_EDEADLINE);
            WEFT_CHECK(weft_now() == start + 10 * MS && outside.expired);
        }
        WEFT_CHECK(g.result == WEFT_EDEADLINE);
    }
    return 0;
}

static int next_parked_from_inside(void)
{
    WEFT_GROUP (g, .keep_ended = true) {
        weft_ended ended;
        int result = 3;
        weft_go(&g, end_with, &result);
        WEFT_TIMEOUT (inside, 5 * MS) {
            WEFT_CHECK(weft_group_next(&g, &ended) == WEFT_EDEADLINE && inside.expired);
        }
        WEFT_CHECK(weft_group_next(&g, &ended) == 1 && ended.result == 3);
    }
    return g.result;
}

static int end_slowly(void *arg)
{
    (void)arg;
    int rc = weft_sleep(WEFT_HOUR);
    WEFT_SHIELD (s, WEFT_SECOND) {
        WEFT_CHECK(weft_sleep(50 * MS) == 0);
    }
    return rc;
}

static int next_parked_own_failure(void)
{
    int error = -EIO;
    weft_duration start = weft_now();
    WEFT_GROUP (g, .keep_ended = true) {
        weft_ended ended;
        weft_go(&g, end_slowly, NULL);
        weft_go(&g, end_with, &error);
        WEFT_CHECK(weft_group_next(&g, &ended) == 1 && ended.index == 1 && ended.result == -EIO);
        WEFT_CHECK(weft_group_next(&g, &ended) == 1 && ended.index == 0 && ended.result == WEFT_ECANCELED);
        WEFT_CHECK(weft_now() == start + 60 * MS); /* it waited, although the group had failed */
    }
    return 0;
}

/* A reason from outside cuts it also when the group has failed before, from wherever it comes. */
static int next_of_failed_group(void *arg)
{
    int error = -EIO, *rc = arg;
    weft_duration start = weft_now();
    WEFT_GROUP (g, .keep_ended = true) {
        weft_ended ended;
        weft_go(&g, end_slowly, NULL);
        weft_go(&g, end_with, &error);
        WEFT_CHECK(weft_group_next(&g, &ended) == 1 && ended.index == 1);
        *rc = weft_group_next(&g, &ended);
        WEFT_CHECK(weft_now() == start + 20 * MS);
    }
    return g.result == -EIO ? 0 : g.result;
}

static int next_parked_failed_then_outer_group(void)
{
    int rc = 1;
    WEFT_GROUP (outer) {
        weft_go(&outer, next_of_failed_group, &rc);
        WEFT_TRY(weft_sleep(20 * MS));
        weft_group_cancel(&outer);
    }
    WEFT_CHECK(rc == WEFT_ECANCELED);
    return 0;
}

static int next_parked_failed_then_own_scope(void)
{
    int error = -EIO;
    weft_duration start = weft_now();
    WEFT_TIMEOUT (outside, 20 * MS) {
        WEFT_GROUP (g, .keep_ended = true) {
            weft_ended ended;
            weft_go(&g, end_slowly, NULL);
            weft_go(&g, end_with, &error);
            WEFT_CHECK(weft_group_next(&g, &ended) == 1 && ended.index == 1);
            WEFT_CHECK(weft_group_next(&g, &ended) == WEFT_EDEADLINE);
            WEFT_CHECK(weft_now() == start + 20 * MS);
        }
    }
    return 0;
}

/* Its task ends and a reason comes: what has ended is told first. */
static int next_turn(void)
{
    int zero = 0;
    WEFT_TIMEOUT (outside, WEFT_NO_LIMIT) {
        WEFT_GROUP (others) {
            WEFT_GROUP (g, .keep_ended = true) {
                weft_ended ended = { .result = 9 };
                weft_go(&g, end_with, &zero);
                weft_go(&others, cancel_scope_later, &outside); /* one tick, one turn; set later */
                WEFT_CHECK(weft_group_next(&g, &ended) == 1 && ended.result == 0);
                WEFT_CHECK(weft_group_next(&g, &ended) == WEFT_ECANCELED);
            }
        }
    }
    return 0;
}

/* ---- join ---- */

static int join_before(void)
{
    weft_duration start = weft_now();
    WEFT_TIMEOUT (limit, WEFT_NO_LIMIT) {
        WEFT_GROUP (g) {
            weft_go(&g, end_slowly, NULL);
            WEFT_TRY(weft_sleep(1 * MS));
            weft_cancel(&limit);
        }
        WEFT_CHECK(weft_now() == start + 51 * MS); /* it waited for the clean-up */
        WEFT_CHECK(g.result == WEFT_ECANCELED);
    }
    return 0;
}

static int join_parked(void)
{
    weft_duration start = weft_now();
    WEFT_TIMEOUT (limit, 10 * MS) {
        WEFT_GROUP (g) {
            weft_go(&g, end_slowly, NULL);
        }
        WEFT_CHECK(weft_now() == start + 60 * MS);
        WEFT_CHECK(g.result == WEFT_EDEADLINE && limit.expired && !g.scope.expired);
    }
    return 0;
}

/* ---- weft_go ---- */

static int go_before(void)
{
    int ran = 0;
    WEFT_GROUP (g, .timeout = -1) {
        WEFT_CHECK(weft_go(&g, cancel_group, &ran) == WEFT_EDEADLINE);
    }
    WEFT_GROUP (h) {
        weft_group_cancel(&h);
        WEFT_CHECK(weft_go(&h, cancel_group, &ran) == WEFT_ECANCELED); /* it would crash if it ran */
    }
    WEFT_CHECK(g.result == WEFT_EDEADLINE && h.result == 0);
    return 0;
}

static int run_and_wait(void *arg)
{
    *(int *)arg = 1;
    *(int *)arg = weft_yield();
    return 0;
}

static int go_turn(void)
{
    int seen = 0;
    WEFT_GROUP (g) {
        WEFT_CHECK(weft_go(&g, run_and_wait, &seen) == 0);
        weft_group_cancel(&g);
        WEFT_CHECK(seen == 0);
    }
    WEFT_CHECK(seen == WEFT_ECANCELED); /* it did run, and its first wait was refused */
    return g.result;
}

/* ---- what never waits ---- */

static void count_call(void *arg)
{
    ++*(int *)arg;
}

struct unrefused {
    weft_queue *queue;
    int deferred;
    int trips;
    bool stop;
};

static int act_though_cancelled(void *arg)
{
    struct unrefused *u = arg;
    int item = 4;
    int before = u->trips;
    WEFT_TIMEOUT (over, 0) {
        WEFT_CHECK(weft_defer(count_call, &u->deferred) == 0);
        WEFT_CHECK(weft_queue_try_put(u->queue, &item) == 0);
        WEFT_CHECK(weft_queue_try_get(u->queue, &item) == 1);
        weft_queue_close(u->queue);
        weft_cancel(&over);
        weft_task_cancel(weft_task_self());
        WEFT_CHECK(weft_cancelled());
    }
    WEFT_CHECK(u->trips == before);
    return 0;
}

static int count_trips(void *arg)
{
    struct unrefused *u = arg;
    int rc = 0;
    while (!u->stop && rc == 0) {
        u->trips++;
        rc = weft_yield();
    }
    return rc;
}

static int never_refused(void)
{
    struct unrefused u = { .queue = weft_queue_new(sizeof(int), 1) };
    WEFT_GROUP (g) {
        weft_go(&g, count_trips, &u);
        weft_go(&g, act_though_cancelled, &u);
        WEFT_TRY(weft_yield());
        WEFT_TRY(weft_yield());
        u.stop = true;
    }
    WEFT_CHECK(u.deferred == 1);
    weft_queue_free(u.queue);
    return g.result;
}

/* ---- a task of the group ends with ---- */

static int success_no_reason(void)
{
    int result = 7;
    WEFT_GROUP (g) {
        weft_go(&g, end_with, &result);
        WEFT_TRY(weft_sleep(20 * MS)); /* nobody was cancelled */
    }
    WEFT_CHECK(g.result == 0);
    return 0;
}

static int swallow_and_end(void *arg)
{
    int rc = weft_sleep(WEFT_HOUR);
    return rc < 0 ? *(int *)arg : rc;
}

static int success_with_reason(void)
{
    int result = 7;
    WEFT_GROUP (g) {
        weft_go(&g, swallow_and_end, &result);
        WEFT_TRY(weft_yield());
        weft_group_cancel(&g);
    }
    WEFT_CHECK(g.result == 0);
    return 0;
}

static int error_no_reason(void)
{
    int error = -EIO, later = -EPIPE;
    WEFT_GROUP (g) {
        weft_go(&g, swallow_and_end, &later); /* is cancelled, and fails with an error of its own: the second one */
        weft_go(&g, end_with, &error);
        WEFT_CHECK(weft_sleep(20 * MS) == WEFT_ECANCELED);
        WEFT_CHECK(weft_now() == 10 * MS);
    }
    WEFT_CHECK(g.result == -EIO && !g.scope.expired && !g.scope.cancelled);
    return 0;
}

static int error_with_reason(void)
{
    int error = -EIO;
    WEFT_GROUP (g) {
        weft_go(&g, swallow_and_end, &error);
        WEFT_TRY(weft_yield());
        weft_group_cancel(&g);
    }
    WEFT_CHECK(g.result == -EIO);
    WEFT_GROUP (h, .timeout = 5 * MS) {
        weft_go(&h, swallow_and_end, &error);
    }
    WEFT_CHECK(h.result == -EIO && h.scope.expired);
    return 0;
}

static int error_collecting(void)
{
    int error = -EIO, later = -EPIPE;
    WEFT_GROUP (g, .on_error = WEFT_COLLECT) {
        weft_go(&g, end_with, &error);
        weft_go(&g, end_with, &later);
        WEFT_CHECK(weft_sleep(20 * MS) == 0);
        WEFT_CHECK(weft_go(&g, succeed, NULL) == 0);
    }
    WEFT_CHECK(g.result == -EIO);
    return 0;
}

static int end_with_reason(void *arg)
{
    (void)arg;
    WEFT_TIMEOUT (own, 5 * MS) {
        WEFT_TRY(weft_sleep(WEFT_HOUR));
    }
    return 0;
}

static int reason_no_reason(void)
{
    WEFT_GROUP (g) {
        weft_go(&g, end_with_reason, NULL);
        WEFT_CHECK(weft_sleep(20 * MS) == WEFT_ECANCELED);
    }
    WEFT_CHECK(g.result == WEFT_EDEADLINE && !g.scope.expired);
    return 0;
}

static int reason_with_reason(void)
{
    WEFT_GROUP (g) {
        weft_go(&g, sleep_long, NULL);
        WEFT_TRY(weft_yield());
        weft_group_cancel(&g);
    }
    WEFT_CHECK(g.result == 0);
    int error = -EIO;
    WEFT_GROUP (h) {
        weft_go(&h, sleep_long, NULL); /* ends with the reason before the error comes */
        weft_go(&h, end_slowly, NULL);
        weft_go(&h, swallow_and_end, &error);
        WEFT_TRY(weft_yield());
        weft_group_cancel(&h);
    }
    WEFT_CHECK(h.result == -EIO);
    return 0;
}

/* ---- (join, result still 0) ---- */

static int join_own_deadline(void)
{
    int zero = 0;
    WEFT_GROUP (g, .timeout = 10 * MS) {
        weft_go(&g, sleep_long, NULL);
    }
    WEFT_CHECK(g.result == WEFT_EDEADLINE && g.scope.expired);
    WEFT_GROUP (h, .timeout = 10 * MS) {
        weft_go(&h, swallow_and_end, &zero);
    }
    WEFT_CHECK(h.result == WEFT_EDEADLINE && h.scope.expired);
    return 0;
}

static int join_from_outside(void)
{
    int zero = 0;
    WEFT_TIMEOUT (limit, 10 * MS) {
        WEFT_GROUP (g) {
            weft_go(&g, swallow_and_end, &zero);
        }
        WEFT_CHECK(g.result == WEFT_EDEADLINE && !g.scope.expired);
        WEFT_GROUP (h, .timeout = 5 * MS) {
            weft_cancel(&limit);
        }
        WEFT_CHECK(h.result == WEFT_EDEADLINE); /* the first reason of a scope stays */
    }
    return 0;
}

static int group_under_reason(void *arg)
{
    int zero = 0;
    WEFT_GROUP (g) {
        weft_go(&g, swallow_and_end, &zero);
    }
    *(int *)arg = g.result;
    return 0;
}

static int join_from_outer_group(void)
{
    int result = 1;
    WEFT_GROUP (outer) {
        weft_go(&outer, group_under_reason, &result);
        WEFT_TRY(weft_sleep(1 * MS));
        weft_group_cancel(&outer);
    }
    WEFT_CHECK(result == WEFT_ECANCELED && outer.result == 0);
    return 0;
}

static int join_own_cancel(void)
{
    WEFT_GROUP (g) {
        weft_go(&g, sleep_long, NULL);
        weft_group_cancel(&g);
    }
    WEFT_CHECK(g.result == 0 && g.scope.cancelled);
    return 0;
}

static int join_break(void)
{
    WEFT_GROUP (g) {
        weft_go(&g, sleep_long, NULL);
        WEFT_TRY(weft_yield());
        break;
    }
    WEFT_CHECK(g.result == 0 && g.scope.cancelled && weft_now() == 0);
    return 0;
}

static const weft_test tests[] = {
    { "group_next / reason there before, from outside: refused", next_before_from_outside },
    { "group_next / reason there before, the group's own: not refused", next_before_own_failure },
    { "group_next / reason while parked, from outside: cut", next_parked_from_outside },
    { "group_next / reason while parked, from a scope inside: cut", next_parked_from_inside },
    { "group_next / reason while parked, the group's own: not cut", next_parked_own_failure },
    { "group_next / failed, then a reason from the outer group: cut", next_parked_failed_then_outer_group },
    { "group_next / failed, then a reason from a scope around: cut", next_parked_failed_then_own_scope },
    { "group_next / event and reason in one turn: ended tasks first", next_turn },
    { "join / reason there before: waits", join_before },
    { "join / reason while parked: waits", join_parked },
    { "weft_go / reason there before: starts nothing, returns it", go_before },
    { "weft_go / start and reason in one turn: it runs, its first wait is refused", go_turn },
    { "close, cancel, defer, try / never wait, never refused", never_refused },
    { "ends with >= 0 / no reason: success", success_no_reason },
    { "ends with >= 0 / a reason: success", success_with_reason },
    { "ends with an error / no reason: the first is the result, siblings cancelled", error_no_reason },
    { "ends with an error / a reason: the first is the result", error_with_reason },
    { "ends with an error / collecting: the first is the result, nobody cancelled", error_collecting },
    { "ends with a reason / the group has none: an error like any other", reason_no_reason },
    { "ends with a reason / the group has one: not counted", reason_with_reason },
    { "join / own deadline: it is the result, also where swallowed", join_own_deadline },
    { "join / reason from a scope outside: it is the result, also where swallowed", join_from_outside },
    { "join / reason from the group outside: it is the result, also where swallowed", join_from_outer_group },
    { "join / own cancel: 0", join_own_cancel },
    { "join / break: 0", join_break },
};

TEST_MAIN(tests)
