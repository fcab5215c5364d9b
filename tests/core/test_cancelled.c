/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* weft_cancelled in loops that compute: nothing else runs on their loop, and yet a deadline counts. In real time. */
#include "tests/core/core.h"

/* Computes until weft_cancelled says so, two seconds at most. */
static bool compute(void)
{
    weft_duration start = weft_now();
    while (!weft_cancelled())
        if (weft_now() > start + 2 * WEFT_SECOND)
            return false;
    return true;
}

static int compute_task(void *arg)
{
    *(bool *)arg = compute();
    return 0;
}

static int own_deadline(void *arg)
{
    (void)arg;
    weft_duration start = weft_now();
    WEFT_TIMEOUT (limit, 5 * MS) {
        WEFT_CHECK(!weft_cancelled() || weft_now() >= start + 5 * MS); /* which may have passed already, where much is run */
        WEFT_CHECK(compute() && limit.expired);
        WEFT_CHECK(weft_now() >= start + 5 * MS);
        WEFT_CHECK(weft_yield() == WEFT_EDEADLINE);
    }
    WEFT_CHECK(!weft_cancelled());
    return 0;
}

static int deadline_of_the_group(void *arg)
{
    (void)arg;
    bool seen = false;
    WEFT_GROUP (g, .timeout = 5 * MS) {
        weft_go(&g, compute_task, &seen);
    }
    WEFT_CHECK(seen && g.result == WEFT_EDEADLINE && g.scope.expired);
    return 0;
}

static int deadline_around_the_group(void *arg)
{
    (void)arg;
    bool seen = false;
    WEFT_TIMEOUT (around, 5 * MS) {
        WEFT_GROUP (g, .timeout = WEFT_MINUTE) {
            weft_go(&g, compute_task, &seen);
        }
        WEFT_CHECK(seen && g.result == WEFT_EDEADLINE && !g.scope.expired && around.expired);
    }
    return 0;
}

static int the_earliest_of_several(void *arg)
{
    (void)arg;
    WEFT_TIMEOUT (outer, 20 * MS) {
        WEFT_TIMEOUT (inner, 5 * MS) {
            weft_duration end = weft_now() + 30 * MS;
            while (weft_now() < end) {
                /* past both, without looking */
            }
            WEFT_CHECK(weft_cancelled() && inner.expired && !outer.expired);
            WEFT_CHECK(weft_yield() == WEFT_EDEADLINE);
            WEFT_CHECK(outer.expired); /* the loop has seen to it meanwhile */
        }
    }
    WEFT_TIMEOUT (a, 5 * MS) {
        WEFT_TIMEOUT (b, 5 * MS) {
            WEFT_CHECK(compute() && a.expired != b.expired); /* one tick, usually: then the outermost */
        }
    }
    return 0;
}

static int not_through_a_shield(void *arg)
{
    (void)arg;
    WEFT_TIMEOUT (limit, 1 * MS) {
        weft_duration start = weft_now();
        WEFT_SHIELD (s, 15 * MS) {
            WEFT_CHECK(compute() && weft_now() >= start + 15 * MS && s.expired);
        }
        WEFT_CHECK(weft_cancelled() && limit.expired);
    }
    return 0;
}

static int cancelled_by_another_task(void *arg)
{
    (void)arg;
    WEFT_GROUP (g) {
        WEFT_TIMEOUT (s, WEFT_NO_LIMIT) {
            weft_go(&g, cancel_scope, &s);
            WEFT_CHECK(!weft_cancelled());
            WEFT_CHECK(weft_yield() == WEFT_ECANCELED);
            WEFT_CHECK(weft_cancelled());
        }
        WEFT_CHECK(!weft_cancelled());
    }
    return g.result;
}

#define REAL(function)                                                                                                         \
    static int run_##function(void)                                                                                            \
    {                                                                                                                          \
        return weft_test_run(function, NULL, NULL, .real_time = true);                                                         \
    }

REAL(own_deadline)
REAL(deadline_of_the_group)
REAL(deadline_around_the_group)
REAL(the_earliest_of_several)
REAL(not_through_a_shield)
REAL(cancelled_by_another_task)

static int false_outside_a_task(void)
{
    WEFT_CHECK(!weft_cancelled());
    return 0;
}

static const weft_test tests[] = {
    PLAIN(run_own_deadline),
    PLAIN(run_deadline_of_the_group),
    PLAIN(run_deadline_around_the_group),
    PLAIN(run_the_earliest_of_several),
    PLAIN(run_not_through_a_shield),
    PLAIN(run_cancelled_by_another_task),
    PLAIN(false_outside_a_task),
};

TEST_MAIN(tests)
