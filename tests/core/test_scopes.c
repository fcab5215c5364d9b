/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Scopes: effective reasons, shields, whose deadline it was, level-triggered cancelling, and the brake on refused waits. */
#include "tests/core/core.h"

#include "lib/task/task.h"

struct lines {
    int count, names_task;
};

static void count_line(void *context, enum weft_log_level level, const char *line, size_t size)
{
    struct lines *lines = context;
    (void)size;
    lines->count++;
    lines->names_task += level == WEFT_LOG_WARNING && strstr(line, "ignore_results") && strstr(line, "queue get");
}

/* ---- effective reasons ---- */

static int outermost_reason_wins(void)
{
    WEFT_TIMEOUT (outer, WEFT_NO_LIMIT) {
        WEFT_TIMEOUT (inner, 10 * MS) {
            WEFT_CHECK(weft_sleep(WEFT_HOUR) == WEFT_EDEADLINE);
            weft_cancel(&outer);
            WEFT_CHECK(weft_sleep(WEFT_HOUR) == WEFT_ECANCELED);
            WEFT_CHECK(inner.expired && !inner.cancelled && outer.cancelled && !outer.expired);
        }
        WEFT_CHECK(weft_yield() == WEFT_ECANCELED);
    }
    WEFT_CHECK(weft_yield() == 0);
    return 0;
}

static int inner_deadline_inside_cut_scope(void)
{
    struct lines lines = { 0 };
    weft_log_set_sink(count_line, &lines);
    WEFT_TIMEOUT (outer, WEFT_NO_LIMIT) {
        weft_cancel(&outer);
        WEFT_TIMEOUT (inner, 0) {
            WEFT_CHECK(weft_yield() == WEFT_ECANCELED && !inner.expired);
        }
        WEFT_TIMEOUT (limit, 5 * MS) {
            int rc = 0;
            for (int i = 0; i < 110 && rc != WEFT_EDEADLINE; i++)
                rc = weft_sleep(WEFT_HOUR); /* over 100 refusals, so time passes */
            WEFT_CHECK(rc == WEFT_ECANCELED && weft_now() > 5 * MS && !limit.expired);
        }
    }
    return 0;
}

struct family {
    int child, grandchild, shielded;
};

static int grandchild(void *arg)
{
    ((struct family *)arg)->grandchild = weft_sleep(WEFT_HOUR);
    return 0;
}

static int child(void *arg)
{
    struct family *family = arg;
    WEFT_GROUP (g) {
        weft_go(&g, grandchild, family);
        WEFT_TIMEOUT (own, WEFT_MINUTE) {
            family->child = weft_sleep(WEFT_HOUR);
        }
    }
    return 0;
}

static int shielded_child(void *arg)
{
    struct family *family = arg;
    WEFT_SHIELD (s, WEFT_SECOND) {
        WEFT_GROUP (g) {
            weft_go(&g, grandchild, family);
            family->shielded = weft_sleep(20 * MS);
            weft_group_cancel(&g);
        }
    }
    return 0;
}

static int reason_reaches_tasks_of_groups(void)
{
    struct family one = { 0 }, two = { 0 };
    WEFT_TIMEOUT (limit, 10 * MS) {
        WEFT_GROUP (g) {
            weft_go(&g, child, &one);
            weft_go(&g, shielded_child, &two);
        }
        WEFT_CHECK(g.result == WEFT_EDEADLINE);
    }
    WEFT_CHECK(one.child == WEFT_EDEADLINE && one.grandchild == WEFT_EDEADLINE);
    WEFT_CHECK(two.shielded == 0 && two.grandchild == WEFT_ECANCELED); /* cut by its own group alone */
    WEFT_CHECK(weft_now() == 20 * MS);
    return 0;
}

/* ---- one tick ---- */

static int outermost_first_within_a_tick(void)
{
    WEFT_TIMEOUT (a, 10 * MS) {
        WEFT_TIMEOUT (b, 10 * MS) {
            WEFT_GROUP (g, .timeout = 10 * MS) {
                weft_go(&g, sleep_long, NULL);
                WEFT_TIMEOUT (c, 10 * MS - 1) { /* rounded up to the same tick */
                    WEFT_CHECK(weft_sleep(WEFT_HOUR) == WEFT_EDEADLINE);
                    WEFT_CHECK(a.expired && !b.expired && !g.scope.expired && !c.expired);
                }
            }
            WEFT_CHECK(g.result == WEFT_EDEADLINE && !g.scope.expired);
        }
    }
    return 0;
}

static int rounded_up_to_the_millisecond(void)
{
    WEFT_TIMEOUT (limit, 1) {
        WEFT_CHECK(weft_sleep(WEFT_HOUR) == WEFT_EDEADLINE);
    }
    WEFT_CHECK(weft_now() == 1 * MS);
    WEFT_CHECK(weft_sleep(2 * MS + 1) == 0 && weft_now() == 4 * MS);
    return 0;
}

/* ---- level-triggered ---- */

static int every_later_wait_is_cut(void)
{
    weft_queue *queue = weft_queue_new(sizeof(int), 4);
    int item = 1;
    WEFT_TIMEOUT (limit, 10 * MS) {
        WEFT_CHECK(weft_sleep(WEFT_HOUR) == WEFT_EDEADLINE);
        WEFT_CHECK(weft_sleep(0) == WEFT_EDEADLINE);
        WEFT_CHECK(weft_yield() == WEFT_EDEADLINE);
        WEFT_CHECK(weft_queue_put(queue, &item) == WEFT_EDEADLINE);
        WEFT_TIMEOUT (inner, WEFT_SECOND) {
            WEFT_CHECK(weft_queue_get(queue, &item) == WEFT_EDEADLINE);
        }
    }
    WEFT_CHECK(weft_now() == 10 * MS);
    WEFT_CHECK(weft_queue_put(queue, &item) == 0 && weft_queue_get(queue, &item) == 1);
    weft_queue_free(queue);
    return 0;
}

/* ---- expired already, and never ---- */

static int zero_or_less_has_expired(void)
{
    WEFT_TIMEOUT (zero, 0) {
        WEFT_CHECK(zero.expired && weft_yield() == WEFT_EDEADLINE);
    }
    WEFT_TIMEOUT (less, -WEFT_HOUR) {
        WEFT_CHECK(less.expired && weft_yield() == WEFT_EDEADLINE);
    }
    WEFT_SHIELD (shield, 0) {
        WEFT_CHECK(shield.expired && weft_yield() == WEFT_EDEADLINE);
    }
    return 0;
}

static int far_deadlines_do_not_strike(void)
{
    static const weft_duration far[] = { WEFT_NO_LIMIT, WEFT_NO_LIMIT - 1, WEFT_NO_LIMIT - WEFT_SECOND, 100000 * WEFT_HOUR };
    WEFT_CHECK(weft_sleep(1 * MS) == 0);
    for (size_t i = 0; i < COUNT(far); i++) {
        WEFT_TIMEOUT (limit, far[i]) {
            WEFT_CHECK(weft_sleep(WEFT_HOUR) == 0 && !limit.expired);
        }
    }
    WEFT_TIMEOUT (years, 10 * 365 * 24 * WEFT_HOUR) {
        WEFT_CHECK(weft_sleep(20 * 365 * 24 * WEFT_HOUR) == WEFT_EDEADLINE);
    }
    WEFT_CHECK(weft_now() == 1 * MS + (4 + 10 * 365 * 24) * WEFT_HOUR);
    return 0;
}

/* ---- shields ---- */

static int shield_hides_reasons_from_outside(void)
{
    WEFT_TIMEOUT (limit, 10 * MS) {
        WEFT_CHECK(weft_sleep(WEFT_HOUR) == WEFT_EDEADLINE);
        WEFT_SHIELD (s, WEFT_SECOND) {
            WEFT_CHECK(weft_sleep(20 * MS) == 0);
            WEFT_TIMEOUT (inside, 5 * MS) {
                WEFT_CHECK(weft_sleep(WEFT_HOUR) == WEFT_EDEADLINE && inside.expired); /* not one from inside */
            }
            WEFT_CHECK(!s.expired);
        }
        WEFT_CHECK(weft_sleep(20 * MS) == WEFT_EDEADLINE);
    }
    return 0;
}

static int shield_hides_what_comes_later(void)
{
    weft_duration start = weft_now();
    WEFT_TIMEOUT (limit, 10 * MS) {
        WEFT_SHIELD (s, 100 * MS) {
            WEFT_CHECK(weft_sleep(50 * MS) == 0 && limit.expired && !s.expired);
        }
        WEFT_CHECK(weft_yield() == WEFT_EDEADLINE && weft_now() == start + 50 * MS);
    }
    return 0;
}

static int shield_expires(void)
{
    WEFT_TIMEOUT (limit, WEFT_NO_LIMIT) {
        weft_cancel(&limit);
        WEFT_SHIELD (s, 30 * MS) {
            WEFT_CHECK(weft_sleep(WEFT_HOUR) == WEFT_EDEADLINE && weft_now() == 30 * MS);
            WEFT_CHECK(s.expired);
            WEFT_CHECK(weft_yield() == WEFT_EDEADLINE);
            WEFT_SHIELD (again, 10 * MS) {
                WEFT_CHECK(weft_sleep(5 * MS) == 0);
            }
        }
    }
    return 0;
}

struct stubborn {
    weft_duration until;
    int rc, second_rc;
};

static int clean_up_stubbornly(void *arg)
{
    struct stubborn *s = arg;
    WEFT_SHIELD (outer, WEFT_HOUR) {
        WEFT_SHIELD (inner, WEFT_HOUR) {
            s->rc = weft_sleep(WEFT_HOUR);
            s->until = weft_now();
        }
    }
    WEFT_SHIELD (late, WEFT_HOUR) {
        s->second_rc = weft_sleep(WEFT_HOUR); /* one that is opened afterwards is closed too */
    }
    return 0;
}

static int shield_is_closed_by_a_hard_reason(void)
{
    struct stubborn s = { 0 };
    WEFT_GROUP (g) {
        weft_go(&g, clean_up_stubbornly, &s);
        WEFT_TRY(weft_sleep(10 * MS));
        weft_group_cancel(&g);
        WEFT_SHIELD (mine, WEFT_SECOND) {
            WEFT_CHECK(weft_sleep(10 * MS) == 0);
            weft_group_cancel_hard(&g);
            WEFT_CHECK(weft_yield() == WEFT_ECANCELED);
        }
    }
    WEFT_CHECK(s.rc == WEFT_ECANCELED && s.second_rc == WEFT_ECANCELED && s.until == 20 * MS);
    WEFT_CHECK(weft_now() == 20 * MS && g.result == 0);
    WEFT_CHECK(weft_yield() == 0);
    return 0;
}

static int shield_is_closed_by_a_hard_reason_from_far(void)
{
    struct family family = { 0 };
    WEFT_GROUP (g) {
        weft_go(&g, shielded_child, &family);
        WEFT_TRY(weft_sleep(10 * MS));
        weft_group_cancel_hard(&g);
    }
    WEFT_CHECK(family.shielded == WEFT_ECANCELED && family.grandchild == WEFT_ECANCELED && weft_now() == 10 * MS);
    return 0;
}

/* ---- the brake on refused waits ---- */

static int ignore_results(void *arg)
{
    static const int naps[] = { 1, 2, 4, 8, 16, 32, 64, 100, 100, 100 };
    weft_queue *queue = arg;
    int item;
    for (int i = 0; i < 100; i++) {
        WEFT_CHECK(weft_queue_get(queue, &item) == WEFT_EDEADLINE);
        WEFT_CHECK(weft_now() == 0);
    }
    for (size_t i = 0; i < COUNT(naps); i++) {
        weft_duration before = weft_now();
        WEFT_CHECK(weft_queue_get(queue, &item) == WEFT_EDEADLINE);
        WEFT_CHECK(weft_now() == before + naps[i] * MS);
    }
    return 0;
}

static int parked_after_100_refusals(void)
{
    struct lines lines = { 0 };
    weft_queue *queue = weft_queue_new(sizeof(int), 1);
    weft_log_set_sink(count_line, &lines);
    WEFT_GROUP (g) {
        WEFT_GROUP (cut, .timeout = 0) {
            WEFT_TRY(weft_go(&cut, ignore_results, queue));
            weft_scope_cut(&cut.scope, WEFT_EDEADLINE, false);
        }
    }
    WEFT_CHECK(lines.count == 1 && lines.names_task == 1);
    weft_log_set_sink(NULL, NULL);
    weft_queue_free(queue);
    return 0;
}

static int refusals_are_forgotten_with_the_reason(void)
{
    struct lines lines = { 0 };
    weft_log_set_sink(count_line, &lines);
    for (int round = 0; round < 3; round++) {
        WEFT_TIMEOUT (over, 0) {
            for (int i = 0; i < 90; i++)
                WEFT_CHECK(weft_yield() == WEFT_EDEADLINE);
        }
        WEFT_CHECK(weft_now() == 0);
    }
    WEFT_CHECK(lines.count == 0);
    weft_log_set_sink(NULL, NULL);
    return 0;
}

/* ---- leaving ---- */

static int leave_by(int how)
{
    for (int i = 0; i < 2; i++) {
        WEFT_TIMEOUT (limit, 10 * MS) {
            WEFT_SHIELD (s, 20 * MS) {
                if (how == 0)
                    break;
                if (how == 1)
                    continue;
                if (how == 2)
                    return 2;
                if (how == 3)
                    goto out;
            }
            how += 100; /* break and continue leave the inner block alone */
        }
    }
out:
    return how;
}

static int blocks_may_be_left_in_any_way(void)
{
    WEFT_CHECK(leave_by(0) == 200 && leave_by(1) == 201 && leave_by(2) == 2 && leave_by(3) == 3);
    WEFT_CHECK(weft_task_self()->innermost == NULL);
    WEFT_CHECK(weft_sleep(WEFT_SECOND) == 0);
    return 0;
}

static int sleep_an_hour(void *arg)
{
    (void)arg;
    int rc = weft_sleep(WEFT_HOUR);
    return rc < 0 ? rc : 12;
}

static int timeout_calls_the_function(void)
{
    WEFT_CHECK(weft_timeout(2 * WEFT_HOUR, sleep_an_hour, NULL) == 12);
    WEFT_CHECK(weft_timeout(WEFT_SECOND, sleep_an_hour, NULL) == WEFT_EDEADLINE);
    WEFT_CHECK(weft_timeout(0, sleep_an_hour, NULL) == WEFT_EDEADLINE);
    WEFT_CHECK(weft_now() == WEFT_HOUR + WEFT_SECOND);
    return 0;
}

static const weft_test tests[] = {
    TEST(outermost_reason_wins),
    TEST(inner_deadline_inside_cut_scope),
    TEST(reason_reaches_tasks_of_groups),
    TEST(outermost_first_within_a_tick),
    TEST(rounded_up_to_the_millisecond),
    TEST(every_later_wait_is_cut),
    TEST(zero_or_less_has_expired),
    TEST(far_deadlines_do_not_strike),
    TEST(shield_hides_reasons_from_outside),
    TEST(shield_hides_what_comes_later),
    TEST(shield_expires),
    TEST(shield_is_closed_by_a_hard_reason),
    TEST(shield_is_closed_by_a_hard_reason_from_far),
    TEST(parked_after_100_refusals),
    TEST(refusals_are_forgotten_with_the_reason),
    TEST(blocks_may_be_left_in_any_way),
    TEST(timeout_calls_the_function),
};

TEST_MAIN(tests)
