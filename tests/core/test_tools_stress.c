/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * What test_sync_stress.c leaves out, at random, under deadlines and cancellations: generators of one task and of many, ends
 * told by groups, many items a few at a time, tries, pools, blocks that hold something. Ten thousand seeds, every wait
 * cancelled in every way, every allocation failed; afterwards nothing is left over, and nothing was told twice.
 */
#include <weft/concurrent.h>
#include <weft/generator.h>
#include <weft/pool.h>
#include <weft/retry.h>
#include <weft/semaphore.h>

#include "lib/base/random.h"
#include "tests/core/core.h"
#include "tests/core/tools.h"

enum { ACTORS = 6, STEPS = 6, VALUES = 400, CROWD = 4 };

struct stress {
    uint64_t random;
    weft_generator *shared; /* 0, 1, 2 ... for whoever asks */
    unsigned char seen[VALUES];
    int stepping, handed_out, skipped;
    int bodies_begun, bodies_ended;
    weft_pool *pool;
    int opened, closed, out;
    weft_semaphore places;
    int held, done_items, tries;
    int told;
    int wrong;
    bool has_begun, has_ended;
};

struct resource {
    struct stress *s;
    int users;
};

static uint64_t below(struct stress *s, uint64_t bound)
{
    return weft_random_below(&s->random, bound);
}

static void expect(struct stress *s, bool ok, int line)
{
    if (ok)
        return;
    s->wrong++;
    printf("# line %d does not hold\n", line);
}

#define EXPECT(s, condition) expect((s), (condition), __LINE__)

static bool is_reason(int rc)
{
    return rc == WEFT_ECANCELED || rc == WEFT_EDEADLINE;
}

/* One of the errors that may happen here: those of a failed allocation too. */
static bool is_expected(int rc)
{
    return rc >= 0 || is_reason(rc) || rc == -ENOMEM || rc == -EIO;
}

static int pause(struct stress *s)
{
    return weft_sleep((weft_duration)below(s, 3) * MS);
}

/* ---- generators ---- */

static int count_for_ever(weft_generator *g, void *arg)
{
    struct stress *s = arg;
    int rc = 0;
    s->bodies_begun++;
    for (int i = 0; rc == 0; i++) {
        if (below(s, 2)) {
            rc = pause(s);
            if (rc < 0)
                break;
        }
        rc = weft_generator_yield(g, &i);
    }
    EXPECT(s, is_reason(rc));
    if (below(s, 2))
        EXPECT(s, weft_sleep(MS) == 0 || is_reason(weft_sleep(0))); /* when closed it is shielded, when cut short not */
    s->bodies_ended++;
    return rc;
}

static int step_shared(struct stress *s)
{
    int value = -1, rc = weft_generator_next(s->shared, &value);
    if (rc == -EALREADY) {
        s->skipped++;
        return 0;
    }
    EXPECT(s, is_expected(rc) && (rc == 1) == (value >= 0));
    if (rc == 1) {
        EXPECT(s, value < VALUES && s->seen[value]++ == 0);
        s->handed_out++;
    }
    return rc;
}

struct range {
    struct stress *s;
    int count, depth;
};

/* 0 ... count - 1, the second half of it by another generator of this kind, if there is one below. */
static int count_up(weft_generator *g, void *arg)
{
    const struct range *r = arg;
    int rc = 0, own = r->depth > 0 ? r->count / 2 : r->count;
    r->s->bodies_begun++;
    for (int i = 0; i < own && rc >= 0; i++) {
        rc = below(r->s, 3) ? 0 : pause(r->s);
        if (rc >= 0)
            rc = weft_generator_yield(g, &i);
    }
    struct range rest = { r->s, r->count - own, r->depth - 1 };
    if (rc >= 0 && r->depth > 0)
        rc = weft_generator_yield_from(g, weft_generator_new_copy(int, count_up, &rest));
    EXPECT(r->s, is_expected(rc));
    r->s->bodies_ended++;
    return rc;
}

static int use_own_generator(struct stress *s)
{
    struct range range = { s, (int)below(s, 8), (int)below(s, 3) };
    int rc = 0, count = 0, leave_at = (int)below(s, 10);
    WEFT_FOR_EACH (int, i, weft_generator_new_copy(int, count_up, &range), .result = &rc) {
        EXPECT(s, i >= 0 && i < range.count);
        if (++count == leave_at)
            break;
    }
    EXPECT(s, is_expected(rc) && (rc < 0 || count == leave_at || count == range.count));
    return rc;
}

/* ---- groups ---- */

static int end_somehow(void *arg)
{
    struct stress *s = arg;
    WEFT_TRY(pause(s));
    return below(s, 4) ? 0 : -EIO;
}

static int ask_for_ends(struct stress *s)
{
    int rc = 0, started = 0, told = 0;
    unsigned seen = 0;
    bool collects = below(s, 2);
    WEFT_GROUP (g, .keep_ended = true, .on_error = collects ? WEFT_COLLECT : WEFT_CANCEL_SIBLINGS) {
        weft_ended ended;
        for (int i = 0; i < CROWD; i++)
            started += weft_go(&g, end_somehow, s) == 0;
        while ((rc = weft_group_next(&g, &ended)) > 0) {
            EXPECT(s, ended.index < CROWD && !(seen >> ended.index & 1) && ended.arg == s);
            seen |= 1u << ended.index;
            told++;
        }
        EXPECT(s, rc == 0 ? told == started : is_reason(rc));
    }
    s->told += told;
    EXPECT(s, is_expected(g.result));
    return is_reason(rc) ? rc : 0;
}

/* ---- items, tries, pools, blocks ---- */

static int do_item(size_t index, void *arg)
{
    struct stress *s = arg;
    EXPECT(s, index < 6);
    WEFT_TRY(pause(s));
    s->done_items++;
    return below(s, 8) ? 0 : -EIO;
}

static int do_items(struct stress *s)
{
    int rc = weft_concurrent_for(6, do_item, s, .limit = 1 + below(s, 4));
    EXPECT(s, is_expected(rc));
    return is_reason(rc) ? rc : 0;
}

static int try_again(struct stress *s)
{
    WEFT_RETRY (r, .tries = 3, .delay = 2 * MS) {
        s->tries++;
        EXPECT(s, r.attempt >= 1 && r.attempt <= 3);
        r.result = pause(s);
        if (r.result == 0 && below(s, 2))
            r.result = -EIO;
    }
    EXPECT(s, r.result == 0 || is_reason(r.result) || (r.result == -EIO && r.attempt == 3));
    return is_reason(r.result) ? r.result : 0;
}

static int open_resource(void *resource, void *arg)
{
    struct stress *s = arg;
    WEFT_TRY(pause(s));
    *(struct resource *)resource = (struct resource){ .s = s };
    s->opened++;
    return 0;
}

static void close_resource(void *resource, void *arg)
{
    struct stress *s = arg;
    EXPECT(s, ((struct resource *)resource)->users == 0 && ((struct resource *)resource)->s == s);
    EXPECT(s, pause(s) == 0);
    s->closed++;
}

static int use_pool(struct stress *s)
{
    int rc = 0;
    WEFT_POOLED (held, s->pool) {
        struct resource *r = held.resource;
        EXPECT(s, r->users++ == 0 && ++s->out <= 2);
        rc = pause(s);
        r->users--;
        s->out--;
        held.is_broken = below(s, 3) == 0;
    }
    EXPECT(s, is_expected(held.result));
    return held.result < 0 ? held.result : rc;
}

static int take(struct stress *s)
{
    int rc = weft_semaphore_acquire(&s->places);
    s->held += rc == 0;
    return rc;
}

static void give(void *arg)
{
    struct stress *s = arg;
    EXPECT(s, pause(s) == 0); /* shielded */
    s->held--;
    weft_semaphore_release(&s->places);
}

static int hold(struct stress *s)
{
    WEFT_WITH (held, take(s), give, s) {
        EXPECT(s, s->held <= 2);
        WEFT_TRY(pause(s));
    }
    return held.result;
}

/* ---- the whole ---- */

static int act(void *arg)
{
    static int (*const steps[])(struct stress * s) = {
        step_shared, step_shared, use_own_generator, ask_for_ends, do_items, try_again, use_pool, use_pool, hold,
    };
    struct stress *s = arg;
    for (int i = 0; i < STEPS; i++) {
        int rc = 0;
        WEFT_TIMEOUT (limit, (weft_duration)below(s, 12) * MS) {
            rc = steps[below(s, COUNT(steps))](s);
        }
        if (rc < 0 && !limit.expired)
            return rc;
    }
    return 0;
}

static int run_stress(void *arg)
{
    struct stress *s = arg;
    s->has_begun = true;
    weft_log_set_level(WEFT_LOG_ERROR);
    s->shared = weft_generator_new(int, count_for_ever, s);
    weft_semaphore_init(&s->places, 2);
    int rc = weft_pool_open(&s->pool, struct resource, open_resource, close_resource, .arg = s, .limit = 2,
                            .idle_timeout = 3 * MS);
    if (rc == 0) {
        WEFT_GROUP (g, .timeout = 60 * MS, .on_error = WEFT_COLLECT) {
            for (int i = 0; i < ACTORS; i++)
                weft_go(&g, act, s);
        }
        EXPECT(s, is_expected(g.result));
        rc = weft_pool_close(s->pool);
        EXPECT(s, rc == 0 || is_reason(rc));
    }
    int closing = weft_generator_close(s->shared);
    EXPECT(s, is_expected(closing));
    EXPECT(s, weft_semaphore_count(&s->places) == 2);
    weft_semaphore_close(&s->places);
    s->has_ended = true;
    return is_expected(rc) ? 7 : rc;
}

struct sums {
    uint64_t waits, handed_out, skipped, told, items, opened;
};

static bool run_one(uint64_t seed, weft_test_report *report, struct sums *sums, weft_test_options options)
{
    struct stress s = { .random = seed * 31 + 7 };
    options.struct_size = sizeof options;
    options.seed = seed;
    int rc = weft_test_run_(run_stress, &s, report, &options);
    bool ok = s.wrong == 0 && s.has_begun == s.has_ended && (rc == 7 || (options.fail_at && rc == -ENOMEM));
    ok = ok && s.bodies_begun == s.bodies_ended && s.opened == s.closed && s.out == 0 && s.held == 0;
    if (!ok)
        printf("# seed %llu ended with %d; cancel %llu %d; fail %llu %d; bodies %d, %d; pool %d, %d\n",
               (unsigned long long)seed, rc, (unsigned long long)options.cancel_at, (int)options.cancel_when,
               (unsigned long long)options.fail_at, options.fail_after, s.bodies_begun, s.bodies_ended, s.opened, s.closed);
    sums->waits += report->waits;
    sums->handed_out += (uint64_t)s.handed_out;
    sums->skipped += (uint64_t)s.skipped;
    sums->told += (uint64_t)s.told;
    sums->items += (uint64_t)s.done_items;
    sums->opened += (uint64_t)s.opened;
    return ok;
}

static int shuffled_seeds(void)
{
    uint64_t seeds = 10000 / tools_slowness();
    struct sums sums = { 0 };
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        weft_test_report report;
        WEFT_CHECK(run_one(seed, &report, &sums, (weft_test_options){ 0 }));
    }
    printf("# %llu seeds; on average %llu waits\n", (unsigned long long)seeds, (unsigned long long)(sums.waits / seeds));
    WEFT_CHECK(sums.handed_out > seeds && sums.skipped > seeds / 10 && sums.told > seeds);
    WEFT_CHECK(sums.items > seeds && sums.opened > seeds);
    return 0;
}

static int cancel_every_wait(enum weft_cancel_when when)
{
    struct sums sums = { 0 };
    for (uint64_t seed = 1; seed <= 15 / tools_slowness() + 1; seed++) {
        weft_test_report report;
        WEFT_CHECK(run_one(seed, &report, &sums, (weft_test_options){ 0 }));
        for (uint64_t n = 1, waits = report.waits; n <= waits; n++)
            WEFT_CHECK(run_one(seed, &report, &sums, (weft_test_options){ .cancel_at = n, .cancel_when = when }));
    }
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

static int every_allocation_failed(void)
{
    struct sums sums = { 0 };
    for (uint64_t seed = 1; seed <= 20 / tools_slowness() + 1; seed++) {
        weft_test_report report;
        WEFT_CHECK(run_one(seed, &report, &sums, (weft_test_options){ 0 }));
        for (uint64_t n = 1, allocations = report.allocations; n <= allocations; n++)
            WEFT_CHECK(run_one(seed, &report, &sums, (weft_test_options){ .fail_at = n, .fail_after = n % 2 }));
    }
    return 0;
}

static const weft_test tests[] = {
    PLAIN(shuffled_seeds),
    PLAIN(every_wait_cancelled_before),
    PLAIN(every_wait_cancelled_when_parked),
    PLAIN(every_wait_cancelled_when_woken),
    PLAIN(every_allocation_failed),
};

TEST_MAIN(tests)
