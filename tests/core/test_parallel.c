/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Work over all processors: each item once, errors and reasons between items. */
#include <limits.h>
#include <stdatomic.h>
#include <time.h>

#include <weft/offload.h>

#include "tests/core/core.h"
#include "tests/core/tools.h"

enum { ITEMS_MAX = 1000 };

struct work {
    atomic_int times[ITEMS_MAX];
    atomic_int calls, running, most, seen_cut;
    size_t fails_at; /* item */
};

static struct work *work_new(void)
{
    static struct work work;
    memset((void *)&work, 0, sizeof work);
    work.fails_at = ITEMS_MAX;
    return &work;
}

static int do_item(size_t index, void *arg)
{
    struct work *work = arg;
    int now = ++work->running, seen = work->most;
    while (now > seen && !atomic_compare_exchange_weak(&work->most, &seen, now)) {
        /* `seen` is newer now */
    }
    work->times[index]++;
    work->calls++;
    work->running--;
    return index == work->fails_at ? -ERANGE : 1;
}

static int each_item_once(void)
{
    static const size_t counts[] = { 0, 1, 2, 7, 64, 1000 }, grains[] = { 0, 1, 3, 2000 };
    static const int threads[] = { 0, 1, 2, 5 };
    for (size_t c = 0; c < COUNT(counts); c++) {
        for (size_t g = 0; g < COUNT(grains); g++) {
            for (size_t t = 0; t < COUNT(threads); t++) {
                struct work *work = work_new();
                WEFT_CHECK(weft_parallel_for(counts[c], do_item, work, .grain = grains[g], .threads = threads[t]) == 0);
                for (size_t i = 0; i < ITEMS_MAX; i++)
                    WEFT_CHECK(work->times[i] == (i < counts[c]));
                WEFT_CHECK(threads[t] == 0 || work->most <= threads[t]);
            }
        }
    }
    return 0;
}

static int an_error_ends_it(void)
{
    struct work *work = work_new();
    work->fails_at = 10;
    WEFT_CHECK(weft_parallel_for(ITEMS_MAX, do_item, work, .threads = 1, .grain = 4) == -ERANGE);
    WEFT_CHECK(work->calls == 11);
    work = work_new();
    work->fails_at = 10;
    WEFT_CHECK(weft_parallel_for(ITEMS_MAX, do_item, work) == -ERANGE && work->times[10] == 1);
    WEFT_CHECK(weft_loop_here() && weft_parallel_for(1, do_item, work_new()) == 0);
    return 0;
}

static int fail(size_t index, void *arg)
{
    (void)index;
    (void)arg;
    return -ERANGE;
}

/* There are never more threads than processors: asking for more costs nothing. */
static int very_many_threads(void)
{
    WEFT_CHECK(weft_parallel_for(SIZE_MAX / 4, fail, NULL, .threads = INT_MAX, .grain = 1) == -ERANGE);
    return 0;
}

/* An item that takes until it is told to stop. */
static int wait_for_cut(size_t index, void *arg)
{
    struct work *work = arg;
    work->calls++;
    work->times[index]++;
    for (int i = 0; i < 4000 && !weft_cancelled(); i++)
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    work->seen_cut += weft_cancelled();
    return 0;
}

static int cut_between_items(void *arg)
{
    struct work *work = arg;
    WEFT_TIMEOUT (limit, 30 * MS) {
        WEFT_CHECK(weft_parallel_for(ITEMS_MAX, wait_for_cut, work, .threads = 2, .grain = 1) == WEFT_EDEADLINE);
    }
    WEFT_CHECK(work->calls >= 1 && work->calls <= 2 && work->seen_cut == work->calls);
    WEFT_TIMEOUT (passed, 0) {
        WEFT_CHECK(weft_parallel_for(ITEMS_MAX, wait_for_cut, work) == WEFT_EDEADLINE);
    }
    WEFT_CHECK(work->calls <= 2);
    return 0;
}

static int a_reason_ends_it_between_items(void)
{
    return weft_test_run(cut_between_items, work_new(), NULL, .real_time = true);
}

static int a_late_reason_does_not_count(void *arg)
{
    WEFT_TIMEOUT (limit, 30 * MS) {
        WEFT_CHECK(weft_parallel_for(2, wait_for_cut, arg, .threads = 2, .grain = 1) == 0);
        WEFT_CHECK(limit.expired); /* it came when all items had begun, and they have all been done */
    }
    return 0;
}

static int all_done_is_done(void)
{
    struct work *work = work_new();
    int rc = weft_test_run(a_late_reason_does_not_count, work, NULL, .real_time = true);
    return rc < 0 ? rc : work->calls == 2 ? 0 : -EIO;
}

static int one_for(void *arg)
{
    return weft_parallel_for(100, do_item, arg, .grain = 1);
}

static int several_tasks_at_once(void)
{
    struct work *work = work_new();
    WEFT_GROUP (g) {
        for (int i = 0; i < 5; i++)
            weft_go(&g, one_for, work);
    }
    WEFT_CHECK(work->calls == 500);
    return g.result;
}

static int run_round(void *arg)
{
    WEFT_TRY(weft_parallel_for(50, do_item, arg, .threads = 2, .grain = 5));
    return weft_parallel_for(50, do_item, arg, .grain = 5);
}

/* Whatever is cancelled or fails: it returns when no item runs any more. */
static int tortured(void)
{
    weft_test_report report;
    for (int way = WEFT_CANCEL_BEFORE; way <= WEFT_CANCEL_WOKEN; way++) {
        for (uint64_t n = 1; n <= 2; n++) {
            struct work *work = work_new();
            int rc = weft_test_run(run_round, work, &report, .cancel_at = n, .cancel_when = (enum weft_cancel_when)way);
            WEFT_CHECK(rc == WEFT_ECANCELED || (rc == 0 && work->calls == 100));
            WEFT_CHECK(report.struck && work->running == 0 && (way != WEFT_CANCEL_BEFORE || work->calls == (int)(n - 1) * 50));
        }
    }
    uint64_t n = 0;
    do {
        struct work *work = work_new();
        int rc = weft_test_run(run_round, work, &report, .fail_at = ++n);
        WEFT_CHECK(work->running == 0 && (rc == 0 || rc == -ENOMEM));
    } while (report.struck && n < 100);
    WEFT_CHECK(n > 5 && n < 100);
    return 0;
}

static const weft_test tests[] = {
    TEST(each_item_once),    TEST(an_error_ends_it),      PLAIN(a_reason_ends_it_between_items),
    PLAIN(all_done_is_done), TEST(several_tasks_at_once), TEST(very_many_threads),
    PLAIN(tortured),
};

TEST_MAIN(tests)
