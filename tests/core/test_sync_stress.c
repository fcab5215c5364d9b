/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Tasks that do everything with every tool of lib/sync at random, under deadlines and cancellations, and count it: ten
 * thousand seeds, every wait cancelled in every way, every allocation failed. Afterwards the counts must add up, and every
 * object must be as if nobody had ever waited.
 */
#include <weft/barrier.h>
#include <weft/lock.h>
#include <weft/once.h>
#include <weft/rate.h>
#include <weft/select.h>

#include "lib/base/random.h"
#include "tests/core/core.h"
#include "tests/core/tools.h"

enum { ACTORS = 7, ITEMS = 200, QUEUES = 3, PLACES = 2, BURST = 4, TOKEN_TIME = 2 /* ms */ };

struct stress {
    uint64_t random;
    weft_queue *queues[QUEUES];
    int next_item;
    bool put[ITEMS];
    unsigned char got[ITEMS];
    int put_count, done_count;
    weft_semaphore semaphore;
    int holders;
    weft_lock lock;
    weft_condition condition;
    int inside, permits, permitted, refused, signals;
    weft_event event;
    weft_barrier barrier;
    int leaders, followers;
    weft_once once;
    int runs, running;
    weft_rate rate;
    uint64_t tokens;
    int selected[8];
    int wrong;
    bool has_begun, has_ended;
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

static int pause(struct stress *s)
{
    return weft_sleep((weft_duration)below(s, 3) * MS);
}

/* ---- queues ---- */

static void note_put(struct stress *s, int item, int rc)
{
    EXPECT(s, rc == 0 || rc == -EAGAIN || is_reason(rc));
    s->put[item] = rc == 0;
    s->put_count += rc == 0;
}

static void note_got(struct stress *s, weft_queue *q, int item)
{
    bool is_known = item >= 0 && item < ITEMS;
    EXPECT(s, is_known);
    if (is_known)
        s->got[item]++;
    s->done_count++;
    weft_queue_task_done(q);
}

static int put_item(struct stress *s)
{
    weft_queue *q = s->queues[below(s, QUEUES)];
    if (s->next_item == ITEMS)
        return 0;
    int item = s->next_item++;
    int rc = below(s, 4) ? weft_queue_put(q, &item) : weft_queue_try_put(q, &item);
    note_put(s, item, rc);
    return rc == -EAGAIN ? 0 : rc;
}

static int get_item(struct stress *s)
{
    weft_queue *q = s->queues[below(s, QUEUES)];
    int item = -1;
    int rc = below(s, 4) ? weft_queue_get(q, &item) : weft_queue_try_get(q, &item);
    EXPECT(s, rc == 1 || ((rc == -EAGAIN || is_reason(rc)) && item == -1));
    if (rc == 1)
        note_got(s, q, item);
    return is_reason(rc) ? rc : 0;
}

/* ---- semaphore, lock, condition ---- */

static int hold_place(struct stress *s)
{
    s->holders++;
    EXPECT(s, s->holders <= PLACES);
    int rc = pause(s);
    s->holders--;
    weft_semaphore_release(&s->semaphore);
    return rc;
}

static int take_place(struct stress *s)
{
    int rc = weft_semaphore_acquire(&s->semaphore);
    EXPECT(s, rc == 0 || is_reason(rc));
    return rc < 0 ? rc : hold_place(s);
}

static int wait_for_permit(struct stress *s)
{
    while (s->permits == 0) {
        s->inside--;
        int rc = weft_condition_wait(&s->condition);
        EXPECT(s, s->inside++ == 0 && weft_lock_owner(&s->lock) == weft_task_self());
        EXPECT(s, rc == 0 || is_reason(rc));
        if (rc < 0)
            return rc;
    }
    s->permits--;
    s->permitted++;
    return 0;
}

static int work_under_lock(struct stress *s)
{
    int rc = 0;
    WEFT_LOCKED (held, &s->lock) {
        EXPECT(s, s->inside++ == 0 && weft_lock_owner(&s->lock) == weft_task_self());
        rc = below(s, 2) ? wait_for_permit(s) : pause(s);
        EXPECT(s, s->inside-- == 1 && weft_lock_owner(&s->lock) == weft_task_self());
        if (below(s, 3) == 0)
            return rc;
    }
    EXPECT(s, held.result == 0 || is_reason(held.result));
    return held.result < 0 ? held.result : rc;
}

static int give_permits(struct stress *s)
{
    s->signals++;
    if (below(s, 2)) {
        s->permits++;
        weft_condition_signal(&s->condition);
    } else {
        s->permits += 2;
        weft_condition_broadcast(&s->condition);
    }
    return 0;
}

/* ---- event, barrier, once, rate ---- */

static int use_event(struct stress *s)
{
    if (below(s, 3) == 0)
        weft_event_clear(&s->event);
    else if (below(s, 2))
        weft_event_set(&s->event);
    int rc = below(s, 3) ? weft_event_wait(&s->event) : 0;
    EXPECT(s, rc == 0 || is_reason(rc));
    return rc;
}

static int use_barrier(struct stress *s)
{
    if (below(s, 8) == 0)
        weft_barrier_break(&s->barrier);
    if (below(s, 3) == 0)
        weft_barrier_reset(&s->barrier);
    int rc = weft_barrier_wait(&s->barrier);
    EXPECT(s, rc == 0 || rc == 1 || rc == WEFT_ECLOSED || is_reason(rc));
    s->leaders += rc == 1;
    s->followers += rc == 0;
    return rc == WEFT_ECLOSED ? 0 : rc;
}

static int run_once(void *arg)
{
    struct stress *s = arg;
    EXPECT(s, s->running++ == 0 && !weft_once_is_done(&s->once));
    s->runs++;
    int rc = pause(s);
    s->running--;
    return rc < 0 ? rc : below(s, 2) ? 42 : -EIO;
}

static int use_once(struct stress *s)
{
    int rc = weft_once_run(&s->once, run_once, s);
    EXPECT(s, rc == 42 ? weft_once_is_done(&s->once) : rc == -EIO || is_reason(rc));
    return is_reason(rc) ? rc : 0;
}

static int use_rate(struct stress *s)
{
    uint64_t tokens = 1 + below(s, BURST);
    int rc = below(s, 4) ? weft_rate_take(&s->rate, tokens) : weft_rate_try_take(&s->rate, tokens);
    EXPECT(s, rc == 0 || rc == -EAGAIN || is_reason(rc));
    s->tokens += rc == 0 ? tokens : 0;
    EXPECT(s, s->tokens <= BURST + (uint64_t)(weft_now() / (TOKEN_TIME * MS)));
    return is_reason(rc) ? rc : 0;
}

/* ---- select ---- */

static int sleep_a_little(void *arg)
{
    int rc = pause(arg);
    return rc < 0 ? rc : 9;
}

/* Any of the cases may be left out. */
static int use_select(struct stress *s)
{
    weft_queue *from = s->queues[below(s, QUEUES)], *to = s->queues[below(s, QUEUES)];
    int got = -1, item = s->next_item < ITEMS ? s->next_item++ : -1;
    weft_task *task = NULL;
    int rc = below(s, 3) ? 0 : weft_spawn(&task, sleep_a_little, s);
    EXPECT(s, rc == 0 || rc == -ENOMEM || is_reason(rc));
    weft_select_case cases[] = {
        WEFT_ON_GET(below(s, 4) ? from : NULL, &got),
        WEFT_ON_PUT(item >= 0 && below(s, 4) ? to : NULL, &item),
        WEFT_ON_EVENT(below(s, 2) ? &s->event : NULL),
        WEFT_ON_PLACE(below(s, 2) ? &s->semaphore : NULL),
        WEFT_ON_END(rc == 0 ? task : NULL),
        WEFT_ON_TIMEOUT((weft_duration)below(s, 6) * MS),
    };
    int which = weft_select(cases, COUNT(cases));
    EXPECT(s, (which >= 0 && which < (int)COUNT(cases)) || is_reason(which));
    EXPECT(s, (got >= 0) == (which == 0));
    if (which < 0)
        return which;
    s->selected[which]++;
    rc = cases[which].result;
    EXPECT(s, rc == (which == 0 ? 1 : which == 4 ? 9 : 0) || (which == 4 && is_reason(rc)));
    if (which == 0)
        note_got(s, from, got);
    else if (which == 1)
        note_put(s, item, rc);
    else if (which == 3)
        return hold_place(s);
    return 0;
}

/* ---- the whole ---- */

static int take_step(struct stress *s)
{
    static int (*const steps[])(struct stress * s) = {
        put_item,     put_item,  get_item,    get_item, take_place, take_place, work_under_lock, work_under_lock,
        give_permits, use_event, use_barrier, use_once, use_rate,   use_select, use_select,      use_select,
    };
    return steps[below(s, COUNT(steps))](s);
}

static int act(void *arg)
{
    struct stress *s = arg;
    for (int i = 0; i < 8; i++) {
        int rc = 0;
        WEFT_TIMEOUT (limit, (weft_duration)below(s, 12) * MS) {
            rc = take_step(s);
        }
        if (rc < 0 && !limit.expired)
            return rc;
        if (below(s, 3) == 0)
            WEFT_TRY(weft_yield());
    }
    return 0;
}

static int join_all(void *arg)
{
    struct stress *s = arg;
    for (int i = 0; i < QUEUES; i++) {
        int rc = weft_queue_join(s->queues[i]);
        EXPECT(s, rc == 0 || is_reason(rc));
        WEFT_TRY(rc);
    }
    return 0;
}

static int by_number(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static bool open_all(struct stress *s)
{
    s->queues[0] = weft_queue_new(sizeof(int), 1 + below(s, 3));
    s->queues[1] = weft_queue_new_lifo(sizeof(int), 1 + below(s, 3));
    s->queues[2] = weft_queue_new_priority(sizeof(int), 1 + below(s, 3), by_number);
    weft_semaphore_init(&s->semaphore, PLACES);
    weft_lock_init(&s->lock);
    weft_condition_init(&s->condition, &s->lock);
    weft_event_init(&s->event);
    weft_barrier_init(&s->barrier, 2);
    weft_once_init(&s->once);
    weft_rate_init(&s->rate, 1, TOKEN_TIME * MS, BURST);
    return s->queues[0] && s->queues[1] && s->queues[2];
}

/* Each close ends the program if anybody still stands in a line. */
static void close_all(struct stress *s)
{
    int item;
    for (int i = 0; i < QUEUES; i++) {
        while (s->queues[i] && weft_queue_try_get(s->queues[i], &item) == 1)
            note_got(s, s->queues[i], item);
        weft_queue_free(s->queues[i]);
    }
    EXPECT(s, weft_semaphore_count(&s->semaphore) == PLACES && weft_barrier_count(&s->barrier) == 0);
    EXPECT(s, !weft_lock_owner(&s->lock));
    weft_semaphore_close(&s->semaphore);
    weft_condition_close(&s->condition);
    weft_lock_close(&s->lock);
    weft_event_close(&s->event);
    weft_barrier_close(&s->barrier);
    weft_once_close(&s->once);
    weft_rate_close(&s->rate);
}

static int run_stress(void *arg)
{
    struct stress *s = arg;
    bool is_open = open_all(s);
    s->has_begun = true;
    if (is_open) {
        WEFT_GROUP (g, .timeout = 60 * MS, .on_error = WEFT_COLLECT, .stack_size = 32768) {
            for (int i = 0; i < ACTORS; i++) {
                int rc = weft_go(&g, i ? act : join_all, s);
                EXPECT(s, rc == 0 || rc == -ENOMEM || is_reason(rc));
            }
        }
    }
    close_all(s);
    s->has_ended = true;
    return is_open ? 7 : -ENOMEM;
}

static bool adds_up(const struct stress *s)
{
    bool ok = s->wrong == 0 && s->holders == 0 && s->inside == 0 && s->running == 0 && s->permits >= 0;
    ok = ok && s->put_count == s->done_count && s->leaders == s->followers;
    for (int i = 0; i < ITEMS; i++)
        ok = ok && s->got[i] == s->put[i];
    return ok;
}

/* The runs so far, added up. */
struct sums {
    uint64_t waits, selected[8], permitted, leaders, runs, got;
};

static bool run_one(uint64_t seed, weft_test_report *report, struct sums *sums, weft_test_options options)
{
    struct stress s = { .random = seed * 31 + 7 };
    options.struct_size = sizeof options;
    options.seed = seed;
    int rc = weft_test_run_(run_stress, &s, report, &options);
    bool has_ended = s.has_ended || (options.fail_at && !s.has_begun && rc == -ENOMEM);
    bool ok = adds_up(&s) && has_ended && (rc == 7 || (options.fail_at && rc == -ENOMEM));
    if (!ok)
        printf("# seed %llu ended with %d; cancel %llu %d; fail %llu %d; put %d, done %d\n", (unsigned long long)seed, rc,
               (unsigned long long)options.cancel_at, (int)options.cancel_when, (unsigned long long)options.fail_at,
               options.fail_after, s.put_count, s.done_count);
    sums->waits += report->waits;
    sums->permitted += (uint64_t)s.permitted;
    sums->leaders += (uint64_t)s.leaders;
    sums->runs += (uint64_t)s.runs;
    sums->got += (uint64_t)s.done_count;
    for (size_t i = 0; i < COUNT(s.selected); i++)
        sums->selected[i] += (uint64_t)s.selected[i];
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
    printf("# %llu seeds; on average %llu waits, %llu items\n", (unsigned long long)seeds,
           (unsigned long long)(sums.waits / seeds), (unsigned long long)(sums.got / seeds));
    WEFT_CHECK(sums.waits / seeds >= 20 && sums.got > seeds && sums.permitted > seeds / 10 && sums.leaders > seeds / 10);
    WEFT_CHECK(sums.runs > seeds / 10);
    for (int i = 0; i < 6; i++)
        WEFT_CHECK(sums.selected[i] > seeds / 20); /* every case of the select has happened */
    return 0;
}

static int cancel_every_wait(enum weft_cancel_when when)
{
    uint64_t struck = 0, runs = 0;
    struct sums sums = { 0 };
    for (uint64_t seed = 1; seed <= 30 / tools_slowness() + 1; seed++) {
        weft_test_report report;
        WEFT_CHECK(run_one(seed, &report, &sums, (weft_test_options){ 0 }));
        for (uint64_t n = 1, waits = report.waits; n <= waits; n++) {
            WEFT_CHECK(run_one(seed, &report, &sums, (weft_test_options){ .cancel_at = n, .cancel_when = when }));
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

static int every_allocation_failed(void)
{
    struct sums sums = { 0 };
    for (uint64_t seed = 1; seed <= 40 / tools_slowness() + 1; seed++) {
        weft_test_report report;
        WEFT_CHECK(run_one(seed, &report, &sums, (weft_test_options){ 0 }));
        for (uint64_t n = 1, allocations = report.allocations; n <= allocations; n++) {
            WEFT_CHECK(run_one(seed, &report, &sums, (weft_test_options){ .fail_at = n, .fail_after = n % 2 }));
            WEFT_CHECK(report.struck);
        }
    }
    return 0;
}

static int same_seed_same_run(void)
{
    struct sums sums = { 0 };
    for (uint64_t seed = 1; seed <= 20; seed++) {
        weft_test_report a, b;
        WEFT_CHECK(run_one(seed, &a, &sums, (weft_test_options){ 0 }) && run_one(seed, &b, &sums, (weft_test_options){ 0 }));
        WEFT_CHECK(a.waits == b.waits && a.switches == b.switches && a.ended_at == b.ended_at);
    }
    return 0;
}

static const weft_test tests[] = {
    PLAIN(shuffled_seeds),
    PLAIN(same_seed_same_run),
    PLAIN(every_wait_cancelled_before),
    PLAIN(every_wait_cancelled_when_parked),
    PLAIN(every_wait_cancelled_when_woken),
    PLAIN(every_allocation_failed),
};

TEST_MAIN(tests)
