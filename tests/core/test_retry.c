/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Trying again, many items a few at a time, and blocks that hold anything: what each promises, cut short or not. */
#include <weft/concurrent.h>
#include <weft/held.h>
#include <weft/retry.h>

#include "tests/core/core.h"

/* ---- retry ---- */

static int tries_until_it_works(void)
{
    int seen[4] = { 0 };
    WEFT_RETRY (r, .tries = 4) {
        seen[r.attempt - 1]++;
        WEFT_CHECK(r.result == 0);
        r.result = r.attempt < 3 ? -EIO : 7;
    }
    WEFT_CHECK(r.result == 7 && r.attempt == 3 && r.error == -EIO);
    WEFT_CHECK(seen[0] == 1 && seen[1] == 1 && seen[2] == 1 && seen[3] == 0);
    return 0;
}

static int pauses_grow_up_to_the_cap(void)
{
    weft_duration at[7];
    WEFT_RETRY (r, .tries = 6, .delay = 100 * MS, .factor = 3, .delay_max = 1000 * MS, .no_jitter = true) {
        at[r.attempt] = weft_now();
        r.result = -EIO;
    }
    WEFT_CHECK(r.result == -EIO && r.attempt == 6);
    static const int expected[] = { 100, 300, 900, 1000, 1000 };
    for (int i = 1; i <= 5; i++)
        WEFT_CHECK(at[i + 1] - at[i] == expected[i - 1] * MS);
    WEFT_CHECK(weft_now() == at[6]); /* no pause after the last */
    return 0;
}

static int the_usual_is_three_tries(void)
{
    WEFT_RETRY (r, .no_jitter = true)
        r.result = -EIO;
    WEFT_CHECK(r.attempt == 3 && weft_now() == 300 * MS);
    WEFT_RETRY (at_once, .delay = -1, .tries = 5)
        at_once.result = -EIO;
    WEFT_CHECK(at_once.attempt == 5 && weft_now() == 300 * MS);
    return 0;
}

static int first_pause(void *arg)
{
    weft_duration start = weft_now();
    WEFT_RETRY (r, .tries = 2, .delay = 1000 * MS)
        r.result = -EIO;
    *(weft_duration *)arg = weft_now() - start;
    return 0;
}

static int jitter_is_full_and_seeded(void)
{
    weft_duration least = WEFT_HOUR, most = 0, sum = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        weft_duration pause, again;
        WEFT_CHECK(weft_test_run(first_pause, &pause, NULL, .seed = seed) == 0);
        WEFT_CHECK(weft_test_run(first_pause, &again, NULL, .seed = seed) == 0);
        WEFT_CHECK(pause == again && pause >= 0 && pause <= 1000 * MS);
        least = pause < least ? pause : least;
        most = pause > most ? pause : most;
        sum += pause;
    }
    WEFT_CHECK(least < 100 * MS && most > 900 * MS);
    WEFT_CHECK(sum / 200 > 400 * MS && sum / 200 < 600 * MS);
    return 0;
}

static bool is_busy(int error)
{
    return error == -EBUSY;
}

static int the_predicate_decides(void)
{
    WEFT_RETRY (r, .tries = 10, .delay = MS, .retry_if = is_busy)
        r.result = r.attempt < 4 ? -EBUSY : -EINVAL;
    WEFT_CHECK(r.attempt == 4 && r.result == -EINVAL && r.error == -EINVAL);
    return 0;
}

static int no_limit_of_tries(void)
{
    WEFT_RETRY (r, .tries = -1, .delay_max = MS)
        r.result = r.attempt < 1000 ? -EIO : 0;
    WEFT_CHECK(r.attempt == 1000 && r.result == 0);
    return 0;
}

static int delays_do_not_overflow(void)
{
    WEFT_RETRY (r, .tries = 20, .delay = WEFT_NO_LIMIT, .factor = 1e300, .delay_max = WEFT_MILLISECOND, .no_jitter = true)
        r.result = -EIO;
    WEFT_CHECK(r.attempt == 20 && weft_now() == 19 * MS);
    weft_duration start = weft_now();
    WEFT_RETRY (s, .tries = 3, .delay = MS, .factor = 1e300, .delay_max = WEFT_NO_LIMIT / 4, .no_jitter = true) {
        if (s.attempt == 2)
            break; /* the next pause is that of centuries */
        s.result = -EIO;
    }
    WEFT_CHECK(weft_now() == start + MS);
    return 0;
}

static int the_two_reasons_end_it(void)
{
    static const int reasons[] = { WEFT_ECANCELED, WEFT_EDEADLINE };
    for (int i = 0; i < 2; i++) {
        WEFT_RETRY (r, .tries = 5)
            r.result = reasons[i];
        WEFT_CHECK(r.attempt == 1 && r.result == reasons[i]);
    }
    return 0;
}

/* A deadline of one try is tried again if its error is another one. */
static int a_try_may_have_a_deadline(void)
{
    WEFT_RETRY (r, .delay = MS) {
        WEFT_TIMEOUT (each, 10 * MS) {
            r.result = weft_sleep(r.attempt < 3 ? WEFT_HOUR : MS);
        }
        if (each.expired)
            r.result = -ETIMEDOUT;
    }
    WEFT_CHECK(r.attempt == 3 && r.result == 0 && r.error == -ETIMEDOUT);
    return 0;
}

static int a_deadline_around_it_cuts_the_pause(void)
{
    int rc = 0, error = 0, attempt = 0;
    WEFT_TIMEOUT (limit, 250 * MS) {
        WEFT_RETRY (r, .tries = 9, .no_jitter = true)
            r.result = weft_fail(-EIO, "the disk");
        rc = r.result;
        error = r.error;
        attempt = r.attempt;
    }
    WEFT_CHECK(limit.expired && rc == WEFT_EDEADLINE && error == -EIO && attempt == 2 && weft_now() == 250 * MS);
    WEFT_CHECK(strstr(weft_error_trail(), "after 2 tries, the last of which: Input/output error: "));
    return 0;
}

static int what_was_cancelled_before_tries_once(void)
{
    int count = 0;
    WEFT_TIMEOUT (limit, WEFT_NO_LIMIT) {
        weft_cancel(&limit);
        WEFT_RETRY (r, .tries = 9) {
            count++;
            r.result = -EIO; /* a try that does not wait */
        }
        WEFT_CHECK(r.result == WEFT_ECANCELED && r.attempt == 1);
    }
    WEFT_CHECK(count == 1);
    return 0;
}

static int step_a(void)
{
    return weft_fail(-EIO, "step a");
}

static int step_b(void)
{
    return -EIO;
}

static int two_steps(int attempt)
{
    if (attempt == 1)
        WEFT_TRY(step_a());
    WEFT_TRY(step_b());
    return 0;
}

static int the_trail_is_that_of_the_last_try(void)
{
    WEFT_RETRY (r, .tries = 2)
        r.result = two_steps(r.attempt);
    const char *trail = weft_error_trail();
    WEFT_CHECK(r.result == -EIO && strstr(trail, "test_retry.c") && !strstr(trail, "step a") && !strstr(trail, "passed"));
    return 0;
}

static int break_and_continue(void)
{
    int count = 0;
    WEFT_RETRY (r, .tries = 5) {
        count++;
        r.result = -EIO;
        if (r.attempt < 3)
            continue;
        break;
    }
    WEFT_CHECK(count == 3 && r.result == -EIO && r.attempt == 3);
    return 0;
}

/* ---- many items, a few at a time ---- */

struct items {
    int now, most, done, last_begun;
    int fails_at, failure;
    bool in_order;
};

static int sleep_item(size_t index, void *arg)
{
    struct items *items = arg;
    items->in_order = items->in_order && (int)index == items->last_begun + 1;
    items->last_begun = (int)index;
    if (++items->now > items->most)
        items->most = items->now;
    int rc = (int)index == items->fails_at ? weft_fail(items->failure, "item %zu", index) : weft_sleep(10 * MS);
    items->now--;
    items->done += rc == 0;
    return rc;
}

static int so_many_at_a_time(void)
{
    struct items items = { .last_begun = -1, .fails_at = -1, .in_order = true };
    WEFT_CHECK(weft_concurrent_for(1000, sleep_item, &items, .limit = 10) == 0);
    WEFT_CHECK(items.done == 1000 && items.most == 10 && items.now == 0 && items.in_order && weft_now() == 1000 * MS);
    items = (struct items){ .last_begun = -1, .fails_at = -1 };
    WEFT_CHECK(weft_concurrent_for(7, sleep_item, &items, .limit = 100) == 0 && items.most == 7 && items.done == 7);
    items = (struct items){ .last_begun = -1, .fails_at = -1 };
    WEFT_CHECK(weft_concurrent_for(100, sleep_item, &items) == 0 && items.most == 10); /* the usual */
    WEFT_CHECK(weft_concurrent_for(0, sleep_item, &items) == 0);
    return 0;
}

static int the_first_failure_stops_it(void)
{
    struct items items = { .last_begun = -1, .fails_at = 25, .failure = -EIO };
    WEFT_CHECK(weft_concurrent_for(1000, sleep_item, &items, .limit = 10) == -EIO);
    WEFT_CHECK(items.now == 0 && items.done == 20 && items.last_begun <= 29);
    WEFT_CHECK(strstr(weft_error_trail(), "item 25: Input/output error"));
    return 0;
}

static int a_reason_stops_it(void)
{
    struct items items = { .last_begun = -1, .fails_at = -1 };
    int rc = 0;
    WEFT_TIMEOUT (limit, 25 * MS) {
        rc = weft_concurrent_for(1000, sleep_item, &items, .limit = 10);
        WEFT_CHECK(items.now == 0 && items.done == 20 && items.last_begun == 29);
        WEFT_CHECK(weft_concurrent_for(1000, sleep_item, &items) == WEFT_EDEADLINE && items.last_begun == 29);
    }
    WEFT_CHECK(rc == WEFT_EDEADLINE && limit.expired);
    return 0;
}

static int tick(void *arg)
{
    for (int i = 0; i < 50; i++) {
        WEFT_TRY(weft_yield());
        ++*(int *)arg;
    }
    return 0;
}

struct spin {
    int *ticks, most, count;
};

static int never_waits(size_t index, void *arg)
{
    struct spin *spin = arg;
    spin->count++;
    if (index == 999)
        spin->most = *spin->ticks;
    return 0;
}

static int items_that_never_wait_starve_nobody(void)
{
    int ticks = 0;
    struct spin spin = { .ticks = &ticks };
    WEFT_GROUP (g) {
        weft_go(&g, tick, &ticks);
        WEFT_TRY(weft_concurrent_for(1000, never_waits, &spin, .limit = 10));
    }
    WEFT_CHECK(spin.count == 1000 && spin.most == 50);
    return g.result;
}

static int a_thousand(void *arg)
{
    return weft_concurrent_for(30, sleep_item, arg, .limit = 4);
}

static int torture_of_items(void)
{
    struct items items = { .last_begun = -1, .fails_at = -1 };
    weft_test_report report;
    WEFT_CHECK(weft_test_run(a_thousand, &items, &report, .seed = 0) == 0);
    for (uint64_t n = 1, waits = report.waits; n <= waits; n++) {
        for (int when = WEFT_CANCEL_BEFORE; when <= WEFT_CANCEL_WOKEN; when++) {
            items = (struct items){ .last_begun = -1, .fails_at = -1 };
            int rc = weft_test_run(a_thousand, &items, NULL, .cancel_at = n, .cancel_when = (enum weft_cancel_when)when);
            WEFT_CHECK((rc == 0 || rc == WEFT_ECANCELED) && items.now == 0);
        }
    }
    for (uint64_t n = 1, allocations = report.allocations; n <= allocations; n++) {
        items = (struct items){ .last_begun = -1, .fails_at = -1 };
        int rc = weft_test_run(a_thousand, &items, NULL, .fail_at = n, .fail_after = n % 2);
        WEFT_CHECK((rc == 0 ? items.done == 30 : rc == -ENOMEM) && items.now == 0);
    }
    return 0;
}

/* ---- blocks that hold anything ---- */

struct thing {
    int opened, closed, in_use;
};

static int open_thing(struct thing *t, int rc)
{
    WEFT_TRY(weft_sleep(MS));
    t->opened += rc >= 0;
    return rc;
}

static void close_thing(void *arg)
{
    struct thing *t = arg;
    t->closed += weft_sleep(MS) == 0; /* it may wait, whatever has happened */
}

static int use_thing(struct thing *t, int rc)
{
    WEFT_WITH (held, open_thing(t, 0), close_thing, t) {
        t->in_use++;
        WEFT_TRY(rc);
        t->in_use++;
    }
    return held.result;
}

static int blocks_release_however_they_are_left(void)
{
    struct thing t = { 0 };
    WEFT_CHECK(use_thing(&t, 0) == 0 && t.opened == 1 && t.closed == 1 && t.in_use == 2);
    WEFT_CHECK(use_thing(&t, -EIO) == -EIO && t.opened == 2 && t.closed == 2 && t.in_use == 3);
    WEFT_WITH (broken, open_thing(&t, -ENOENT), close_thing, &t) {
        t.in_use++;
    }
    WEFT_CHECK(broken.result == -ENOENT && t.closed == 2 && t.in_use == 3);
    WEFT_WITH (counted, open_thing(&t, 5), close_thing, &t) {
        break;
    }
    WEFT_CHECK(counted.result == 0 && t.closed == 3); /* any result that is no error */
    WEFT_TIMEOUT (limit, 10 * MS) {
        WEFT_WITH (held, open_thing(&t, 0), close_thing, &t) {
            WEFT_CHECK(weft_sleep(WEFT_HOUR) == WEFT_EDEADLINE);
        }
        WEFT_CHECK(held.result == 0 && t.closed == 4); /* released in spite of the reason */
        WEFT_WITH (refused, open_thing(&t, 0), close_thing, &t) {
            t.in_use = 100;
        }
        WEFT_CHECK(refused.result == WEFT_EDEADLINE && t.in_use == 3 && t.closed == 4);
    }
    return 0;
}

static const weft_test tests[] = {
    TEST(tries_until_it_works),
    TEST(pauses_grow_up_to_the_cap),
    TEST(the_usual_is_three_tries),
    PLAIN(jitter_is_full_and_seeded),
    TEST(the_predicate_decides),
    TEST(no_limit_of_tries),
    TEST(delays_do_not_overflow),
    TEST(the_two_reasons_end_it),
    TEST(a_try_may_have_a_deadline),
    TEST(a_deadline_around_it_cuts_the_pause),
    TEST(what_was_cancelled_before_tries_once),
    TEST(the_trail_is_that_of_the_last_try),
    TEST(break_and_continue),
    TEST(so_many_at_a_time),
    TEST(the_first_failure_stops_it),
    TEST(a_reason_stops_it),
    TEST(items_that_never_wait_starve_nobody),
    PLAIN(torture_of_items),
    TEST(blocks_release_however_they_are_left),
};

TEST_MAIN(tests)
