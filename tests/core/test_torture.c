/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Torture: ten thousand seeds, every wait cancelled in every way, every allocation failed, and races within one turn. */
#include "lib/base/random.h"
#include "tests/core/core.h"
#include "tests/core/stress.h"
#include "tests/core/tools.h"

/* One run of the stress; false, with a word, if anything was wrong. */
static bool run_stress(uint64_t seed, weft_test_report *report, weft_test_options options)
{
    weft_stress s;
    weft_stress_init(&s, seed);
    options.struct_size = sizeof options;
    options.seed = seed;
    int rc = weft_test_run_(weft_stress_run, &s, report, &options);
    bool ok = weft_stress_check(&s) && rc != -EDEADLK && report->ended_at < WEFT_MINUTE;
    if (options.fail_at)
        ok = ok && (rc == -ENOMEM || rc == 7) && (s.has_ended || rc == -ENOMEM);
    else
        ok = ok && rc == 7 && s.has_ended;
    if (!ok)
        printf("# seed %llu ended with %d; cancel %llu %d; fail %llu %d\n", (unsigned long long)seed, rc,
               (unsigned long long)options.cancel_at, (int)options.cancel_when, (unsigned long long)options.fail_at,
               options.fail_after);
    return ok;
}

static int shuffled_seeds(void)
{
    uint64_t seeds = 10000 / tools_slowness(), waits = 0, switches = 0, allocations = 0;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        weft_test_report report;
        WEFT_CHECK(run_stress(seed, &report, (weft_test_options){ 0 }));
        waits += report.waits;
        switches += report.switches;
        allocations += report.allocations;
    }
    printf("# %llu seeds: on average %llu waits, %llu switches, %llu allocations\n", (unsigned long long)seeds,
           (unsigned long long)(waits / seeds), (unsigned long long)(switches / seeds),
           (unsigned long long)(allocations / seeds));
    WEFT_CHECK(waits / seeds >= 20 && switches / seeds >= 50); /* it does do something */
    return 0;
}

static int same_seed_same_run(void)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        weft_test_report a, b;
        WEFT_CHECK(run_stress(seed, &a, (weft_test_options){ 0 }) && run_stress(seed, &b, (weft_test_options){ 0 }));
        WEFT_CHECK(a.waits == b.waits && a.switches == b.switches && a.allocations == b.allocations &&
                   a.ended_at == b.ended_at);
    }
    return 0;
}

/* Every wait of a few seeds; in each way some must have struck, else the test tests nothing. */
static int cancel_every_wait(enum weft_cancel_when when)
{
    uint64_t struck = 0, runs = 0;
    for (uint64_t seed = 1; seed <= 20 / tools_slowness() + 1; seed++) {
        weft_test_report report;
        WEFT_CHECK(run_stress(seed, &report, (weft_test_options){ 0 }));
        uint64_t waits = report.waits;
        for (uint64_t n = 1; n <= waits; n++) {
            WEFT_CHECK(run_stress(seed, &report, (weft_test_options){ .cancel_at = n, .cancel_when = when }));
            struck += report.struck;
            runs++;
        }
    }
    WEFT_CHECK(when == WEFT_CANCEL_BEFORE ? struck == runs : struck * 20 > runs);
    return 0;
}

static int every_wait_cancelled_before(void)
{
    return cancel_every_wait(WEFT_CANCEL_BEFORE);
}

static int every_wait_cancelled_when_parked(void)
{
    return cancel_every_wait(WEFT_CANCEL_PARKED);
}

static int every_wait_cancelled_when_woken(void)
{
    return cancel_every_wait(WEFT_CANCEL_WOKEN);
}

static int fail_every_allocation(bool after)
{
    for (uint64_t seed = 1; seed <= 40 / tools_slowness() + 1; seed++) {
        weft_test_report report;
        WEFT_CHECK(run_stress(seed, &report, (weft_test_options){ 0 }));
        uint64_t allocations = report.allocations;
        WEFT_CHECK(allocations > 10);
        for (uint64_t n = 1; n <= allocations; n++) {
            WEFT_CHECK(run_stress(seed, &report, (weft_test_options){ .fail_at = n, .fail_after = after }));
            WEFT_CHECK(report.struck);
        }
    }
    return 0;
}

static int every_allocation_failed(void)
{
    return fail_every_allocation(false);
}

static int every_allocation_and_all_later_failed(void)
{
    return fail_every_allocation(true);
}

/* ---- races within one tick and one turn ---- */

struct race {
    weft_queue *queue;
    weft_group *group;
    weft_scope *scope;
    weft_task *getter;
    weft_duration limit; /* of the getter */
    uint64_t seed;
    int rc, item, puts;
    bool expired;
};

static int get_in_race(void *arg)
{
    struct race *race = arg;
    WEFT_TIMEOUT (limit, race->limit) {
        race->scope = &limit;
        race->rc = weft_queue_get(race->queue, &race->item);
        race->scope = NULL;
    }
    race->expired = limit.expired;
    return 0;
}

static int put_at_10(void *arg)
{
    struct race *race = arg;
    int item = 5;
    WEFT_TRY(weft_sleep(10 * MS));
    race->puts += weft_queue_try_put(race->queue, &item) == 0;
    return 0;
}

static int close_at_10(void *arg)
{
    struct race *race = arg;
    WEFT_TRY(weft_sleep(10 * MS));
    weft_queue_close(race->queue);
    return 0;
}

static int cancel_at_10(void *arg)
{
    struct race *race = arg;
    WEFT_TRY(weft_sleep(10 * MS));
    if (race->scope)
        weft_cancel(race->scope);
    return 0;
}

static int run_race(void *arg)
{
    static weft_task_fn *const wakers[] = { put_at_10, put_at_10, close_at_10, cancel_at_10 };
    struct race *race = arg;
    race->queue = weft_queue_new(sizeof(int), 2);
    WEFT_GROUP (g) {
        uint64_t random = race->seed;
        size_t getter = weft_random_below(&random, COUNT(wakers) + 1), first = weft_random_below(&random, COUNT(wakers));
        for (size_t i = 0; i < COUNT(wakers); i++) { /* the ticks are set in the order of the starts */
            if (i == getter)
                weft_go(&g, get_in_race, race);
            weft_go(&g, wakers[(first + i) % COUNT(wakers)], race);
            WEFT_TRY(weft_yield());
        }
        if (getter == COUNT(wakers))
            weft_go(&g, get_in_race, race);
    }
    return g.result;
}

/* Two items, the end of the queue, a cancellation and sometimes a deadline, all in one tick: one settles it, nothing is lost.
 */
static int four_wakers_in_one_tick(void)
{
    int outcomes[4] = { 0 };
    for (uint64_t seed = 1; seed <= 2000 / tools_slowness() + 20; seed++) {
        struct race race = { .seed = seed, .limit = seed % 5 ? WEFT_SECOND : 10 * MS };
        WEFT_CHECK(weft_test_run(run_race, &race, NULL, .seed = seed) == 0);
        int left = (int)weft_queue_count(race.queue), item;
        WEFT_CHECK(race.rc == 1 || race.rc == 0 || race.rc == WEFT_ECANCELED || race.rc == WEFT_EDEADLINE);
        WEFT_CHECK(race.puts == left + (race.rc == 1) && (race.rc == 1 ? race.item == 5 : race.item == 0));
        WEFT_CHECK(race.rc != WEFT_EDEADLINE || race.expired);
        while (weft_queue_try_get(race.queue, &item) == 1)
            left--;
        WEFT_CHECK(left == 0);
        outcomes[race.rc == 1 ? 0 : race.rc == 0 ? 1 : race.rc == WEFT_ECANCELED ? 2 : 3]++;
        weft_queue_free(race.queue);
    }
    for (int i = 0; i < 4; i++)
        WEFT_CHECK(outcomes[i] > 0);
    return 0;
}

static const weft_test tests[] = {
    PLAIN(shuffled_seeds),
    PLAIN(same_seed_same_run),
    PLAIN(every_wait_cancelled_before),
    PLAIN(every_wait_cancelled_when_parked),
    PLAIN(every_wait_cancelled_when_woken),
    PLAIN(every_allocation_failed),
    PLAIN(every_allocation_and_all_later_failed),
    PLAIN(four_wakers_in_one_tick),
};

TEST_MAIN(tests)
