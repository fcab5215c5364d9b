/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Kinds of queues, once, the rate limiter: what they do. */
#include <stdlib.h>

#include <weft/once.h>
#include <weft/rate.h>

#include "lib/base/random.h"
#include "tests/core/core.h"

/* ---- kinds of queues ---- */

struct job {
    int rank, number;
    char padding[5];
};

static int by_rank(const void *a, const void *b)
{
    return ((const struct job *)a)->rank - ((const struct job *)b)->rank;
}

static int newest_first(void)
{
    weft_queue *q = weft_queue_new_lifo(sizeof(int), 3);
    int item;
    for (int round = 0; round < 3; round++) {
        for (int i = 1; i <= 3; i++)
            WEFT_CHECK(weft_queue_put(q, &i) == 0);
        WEFT_CHECK(weft_queue_try_put(q, &round) == -EAGAIN);
        for (int i = 3; i >= 1; i--)
            WEFT_CHECK(weft_queue_get(q, &item) == 1 && item == i);
        WEFT_CHECK(weft_queue_try_get(q, &item) == -EAGAIN);
    }
    weft_queue_free(q);
    return 0;
}

/* Against a plain array in which the first least one is looked for. */
static int least_first(void)
{
    enum { CAPACITY = 37 };
    weft_queue *q = weft_queue_new_priority(sizeof(struct job), CAPACITY, by_rank);
    struct job model[CAPACITY], got;
    size_t count = 0;
    uint64_t random = 1;
    for (int i = 0; i < 20000; i++) {
        if (weft_random_below(&random, 2)) {
            struct job job = { .rank = (int)weft_random_below(&random, 6), .number = i };
            WEFT_CHECK(weft_queue_try_put(q, &job) == (count < CAPACITY ? 0 : -EAGAIN));
            if (count < CAPACITY)
                model[count++] = job;
            continue;
        }
        size_t first = 0;
        for (size_t k = 1; k < count; k++)
            if (model[k].rank < model[first].rank)
                first = k;
        int rc = weft_queue_try_get(q, &got);
        WEFT_CHECK(rc == (count ? 1 : -EAGAIN));
        if (rc != 1)
            continue;
        WEFT_CHECK(got.rank == model[first].rank && got.number == model[first].number);
        memmove(&model[first], &model[first + 1], (--count - first) * sizeof *model);
    }
    WEFT_CHECK(weft_queue_count(q) == count);
    weft_queue_free(q);
    WEFT_CHECK(weft_queue_new_priority(0, 1, by_rank) == NULL && weft_queue_new_lifo(1, 0) == NULL && errno == EINVAL);
    return 0;
}

static int put_rank(void *arg)
{
    struct {
        weft_queue *queue;
        struct job job;
    } *me = arg;
    return weft_queue_put(me->queue, &me->job);
}

/* A place goes to who has waited longest, not to the least item; what is in then comes out by rank. */
static int places_by_turn_items_by_rank(void)
{
    weft_queue *q = weft_queue_new_priority(sizeof(struct job), 1, by_rank);
    struct job job = { .rank = 9 };
    WEFT_CHECK(weft_queue_put(q, &job) == 0);
    WEFT_GROUP (g) {
        for (int i = 3; i >= 1; i--) {
            struct {
                weft_queue *queue;
                struct job job;
            } putter = { q, { .rank = i } };
            weft_go_copy(&g, put_rank, &putter);
        }
        WEFT_TRY(weft_yield());
        static const int ranks[] = { 9, 3, 2, 1 };
        for (int i = 0; i < 4; i++)
            WEFT_CHECK(weft_queue_get(q, &job) == 1 && job.rank == ranks[i]);
    }
    weft_queue_free(q);
    return g.result;
}

struct worker {
    weft_queue *queue;
    int *done;
};

static int work(void *arg)
{
    const struct worker *me = arg;
    int item, rc;
    while ((rc = weft_queue_get(me->queue, &item)) > 0) {
        WEFT_TRY(weft_sleep(item * MS));
        ++*me->done;
        weft_queue_task_done(me->queue);
    }
    return rc;
}

static int joined_when_all_is_done(void)
{
    weft_queue *q = weft_queue_new(sizeof(int), 2);
    int done = 0;
    WEFT_CHECK(weft_queue_join(q) == 0); /* nothing was put in */
    WEFT_GROUP (g) {
        for (int i = 0; i < 3; i++)
            weft_go_copy(&g, work, (&(struct worker){ q, &done }));
        for (int i = 0; i < 20; i++)
            WEFT_TRY(weft_queue_put(q, &i));
        WEFT_CHECK(weft_queue_join(q) == 0 && done == 20 && weft_queue_count(q) == 0);
        break;
    }
    weft_queue_free(q);
    return g.result;
}

/* ---- once ---- */

struct loader {
    weft_once once;
    int runs, results[4];
    int fails; /* so many runs fail */
};

static int load(void *arg)
{
    struct loader *l = arg;
    l->runs++;
    WEFT_TRY(weft_sleep(10 * MS));
    return l->runs > l->fails ? 42 : -EIO;
}

struct user {
    struct loader *loader;
    int index;
    weft_duration limit;
};

static int use(void *arg)
{
    const struct user *me = arg;
    WEFT_TIMEOUT (limit, me->limit ? me->limit : WEFT_NO_LIMIT) {
        me->loader->results[me->index] = weft_once_run(&me->loader->once, load, me->loader);
    }
    return 0;
}

static int run_users(struct loader *l, const weft_duration limits[4])
{
    weft_once_init(&l->once);
    WEFT_GROUP (g) {
        for (int i = 0; i < 4; i++)
            weft_go_copy(&g, use, (&(struct user){ l, i, limits[i] }));
    }
    weft_once_close(&l->once);
    return g.result;
}

static bool has_results(const struct loader *l, int a, int b, int c, int d)
{
    return l->results[0] == a && l->results[1] == b && l->results[2] == c && l->results[3] == d;
}

static int once_for_all(void)
{
    struct loader l = { 0 };
    WEFT_TRY(run_users(&l, (weft_duration[4]){ 0 }));
    WEFT_CHECK(l.runs == 1 && has_results(&l, 42, 42, 42, 42));
    l = (struct loader){ .fails = 2 };
    WEFT_TRY(run_users(&l, (weft_duration[4]){ 0 }));
    WEFT_CHECK(l.runs == 3 && has_results(&l, -EIO, -EIO, 42, 42));
    l = (struct loader){ 0 }; /* the first run is cut short; so is a wait for the second */
    WEFT_TRY(run_users(&l, (weft_duration[4]){ 5 * MS, 0, 7 * MS, 0 }));
    WEFT_CHECK(l.runs == 2 && has_results(&l, WEFT_EDEADLINE, 42, WEFT_EDEADLINE, 42));
    weft_once_init(&l.once);
    WEFT_CHECK(!weft_once_is_done(&l.once) && weft_once_run(&l.once, load, &l) == 42 && weft_once_is_done(&l.once));
    WEFT_CHECK(weft_once_run(&l.once, load, &l) == 42 && l.runs == 3);
    WEFT_TIMEOUT (limit, 0) { /* done, but the wait is refused like any other */
        WEFT_CHECK(weft_once_run(&l.once, load, &l) == WEFT_EDEADLINE);
    }
    weft_once_close(&l.once);
    return 0;
}

static int run_and_free(void *arg)
{
    weft_once *once = arg;
    struct loader l = { 0 };
    int rc = weft_once_run(once, load, &l);
    weft_once_close(once);
    memset(once, 0xdd, sizeof *once);
    free(once);
    return rc;
}

static int run_only(void *arg)
{
    struct loader l = { 0 };
    return weft_once_run(arg, load, &l);
}

/* Who ran it may close it at once: those who have been told the result do not look at it again. */
static int once_freed_by_its_runner(void)
{
    weft_once *once = malloc(sizeof *once);
    weft_task *waits[2] = { NULL };
    weft_once_init(once);
    WEFT_GROUP (g) {
        weft_go(&g, run_and_free, once);
        WEFT_TRY(weft_sleep(1 * MS));
        for (int i = 0; i < 2; i++)
            WEFT_TRY(weft_spawn(&waits[i], run_only, once));
        for (int i = 0; i < 2; i++)
            WEFT_CHECK(weft_await(waits[i]) == 42);
    }
    return g.result;
}

/* Each of its waits cancelled in each way: it ends done, or as if nothing had been; and the function never runs twice at once.
 */
static int run_once_cut(void *arg)
{
    struct loader *l = arg;
    return run_users(l, (weft_duration[4]){ 0 });
}

static int once_cancelled_anywhere(void)
{
    for (enum weft_cancel_when when = WEFT_CANCEL_BEFORE; when <= WEFT_CANCEL_WOKEN; when++) {
        for (uint64_t n = 1; n <= 12; n++) {
            struct loader l = { .fails = 1 };
            weft_test_report report;
            int rc = weft_test_run(run_once_cut, &l, &report, .cancel_at = n, .cancel_when = when, .seed = n);
            int done = 0;
            for (int i = 0; i < 4; i++)
                done += l.results[i] == 42;
            WEFT_CHECK(rc == 0 && l.runs >= 2 && l.runs <= 3 && done >= 2);
        }
    }
    return 0;
}

/* ---- rate ---- */

static int rate_keeps_time(void)
{
    weft_rate r;
    weft_rate_init(&r, 10, WEFT_SECOND, 3);
    for (int i = 0; i < 3; i++)
        WEFT_CHECK(weft_rate_try_take(&r, 1) == 0);
    WEFT_CHECK(weft_rate_try_take(&r, 1) == -EAGAIN && weft_rate_try_take(&r, 4) == -EINVAL &&
               weft_rate_take(&r, 4) == -EINVAL);
    for (int i = 1; i <= 5; i++)
        WEFT_CHECK(weft_rate_take(&r, 1) == 0 && weft_now() == i * 100 * MS);
    WEFT_CHECK(weft_rate_take(&r, 3) == 0 && weft_now() == 800 * MS);
    WEFT_TRY(weft_sleep(WEFT_HOUR)); /* no more than the burst is saved */
    WEFT_CHECK(weft_rate_try_take(&r, 3) == 0 && weft_rate_try_take(&r, 1) == -EAGAIN);
    weft_rate_close(&r);
    return 0;
}

struct taker {
    weft_rate *rate;
    uint64_t tokens;
    weft_duration limit, ended;
    int rc;
};

static int take_tokens(void *arg)
{
    struct taker *t = arg;
    WEFT_TIMEOUT (limit, t->limit ? t->limit : WEFT_NO_LIMIT) {
        t->rc = weft_rate_take(t->rate, t->tokens);
    }
    t->ended = weft_now();
    return 0;
}

/* In the order of coming, whatever they want; who is cut short takes nothing, and the next moves up at once. */
static int rate_in_turn(void)
{
    weft_rate r;
    weft_rate_init(&r, 1, 10 * MS, 5);
    WEFT_CHECK(weft_rate_try_take(&r, 5) == 0);
    struct taker takers[] = {
        { &r, 2, 0, 0, 1 }, { &r, 5, 25 * MS, 0, 1 }, { &r, 1, 0, 0, 1 }, { &r, 5, 80 * MS, 0, 1 }, { &r, 1, 0, 0, 1 },
    };
    static const struct {
        int rc, ended;
    } due[] = { { 0, 20 }, { WEFT_EDEADLINE, 25 }, { 0, 30 }, { 0, 80 }, { 0, 90 } };
    WEFT_GROUP (g) {
        for (size_t i = 0; i < COUNT(takers); i++)
            weft_go(&g, take_tokens, &takers[i]);
        WEFT_TRY(weft_sleep(75 * MS));
        WEFT_CHECK(weft_rate_try_take(&r, 1) == -EAGAIN); /* there are some, but others wait */
    }
    for (size_t i = 0; i < COUNT(takers) - 2; i++)
        WEFT_CHECK(takers[i].rc == due[i].rc && takers[i].ended == due[i].ended * MS);
    /* The fourth's deadline is due in the tick of its tokens, and was set first. */
    WEFT_CHECK(takers[3].rc == WEFT_EDEADLINE && takers[3].ended == 80 * MS);
    WEFT_CHECK(takers[4].rc == 0 && takers[4].ended == 80 * MS);
    weft_rate_close(&r);
    return g.result;
}

static int count_trips(void *count)
{
    do
        ++*(int *)count;
    while (weft_yield() == 0);
    return 0;
}

/* A reason that was there before: refused, and no token taken; nor by one that is cut short later. */
static int rate_cut_short(void)
{
    weft_rate r;
    struct taker taker = { .rate = &r, .tokens = 1, .rc = 1 };
    weft_rate_init(&r, 1, 10 * MS, 1);
    int trips = 0;
    WEFT_GROUP (others) {
        weft_go(&others, count_trips, &trips);
        WEFT_TIMEOUT (limit, 0) {
            for (int i = 1; i <= 3; i++)
                WEFT_CHECK(weft_rate_take(&r, 1) == WEFT_EDEADLINE && trips == i); /* one trip through the scheduler */
        }
        break;
    }
    WEFT_CHECK(weft_rate_try_take(&r, 1) == 0);
    WEFT_GROUP (g) {
        weft_go(&g, take_tokens, &taker);
        WEFT_TRY(weft_sleep(5 * MS));
        break;
    }
    WEFT_CHECK(taker.rc == WEFT_ECANCELED && taker.ended == 5 * MS);
    WEFT_CHECK(weft_rate_take(&r, 1) == 0 && weft_now() == 10 * MS); /* it took nothing */
    weft_rate_close(&r);
    return 0;
}

struct canceller {
    weft_scope *scope;
    weft_duration at;
};

static int cancel_at(void *arg)
{
    const struct canceller *me = arg;
    WEFT_TRY(weft_sleep(me->at));
    if (me->scope)
        weft_cancel(me->scope);
    return 0;
}

/* A token and a cancellation in one tick: the wheel serves the line before any task runs, so who was served keeps its token,
 * and the next takes none; a deadline was set before the wait for the token, so it comes first (see rate_in_turn). */
static int rate_and_reason_in_one_tick(void)
{
    weft_rate r;
    weft_rate_init(&r, 1, 10 * MS, 1);
    WEFT_CHECK(weft_rate_try_take(&r, 1) == 0);
    WEFT_GROUP (g) {
        struct canceller canceller = { .at = 10 * MS };
        weft_go(&g, cancel_at, &canceller);
        WEFT_TRY(weft_yield()); /* its timer is set first, so it runs first when both are due */
        WEFT_TIMEOUT (around, WEFT_NO_LIMIT) {
            canceller.scope = &around;
            WEFT_CHECK(weft_rate_take(&r, 1) == 0 && around.cancelled && weft_now() == 10 * MS);
            WEFT_CHECK(weft_rate_take(&r, 1) == WEFT_ECANCELED);
            canceller.scope = NULL;
        }
        WEFT_CHECK(weft_rate_take(&r, 1) == 0 && weft_now() == 20 * MS); /* one was taken, not two */
    }
    weft_rate_close(&r);
    return g.result;
}

static int take_one(void *arg)
{
    return weft_rate_take(arg, 1);
}

/* Each wait of three takers cancelled in each way: woken first, it keeps its token; else the next has it, in the same time. */
static int run_takers(void *arg)
{
    int *taken = arg;
    weft_rate r;
    weft_rate_init(&r, 1, 10 * MS, 1);
    WEFT_GROUP (g, .on_error = WEFT_COLLECT) {
        for (int i = 0; i < 4; i++)
            weft_go(&g, take_one, &r);
        weft_ended ended;
        while (weft_group_next(&g, &ended) == 1)
            *taken += ended.result == 0;
    }
    weft_rate_close(&r);
    return 0;
}

static int rate_cancelled_anywhere(void)
{
    int struck = 0;
    for (enum weft_cancel_when when = WEFT_CANCEL_BEFORE; when <= WEFT_CANCEL_WOKEN; when++) {
        for (uint64_t n = 2; n <= 9; n++) {
            int taken = 0;
            weft_test_report report;
            WEFT_CHECK(weft_test_run(run_takers, &taken, &report, .cancel_at = n, .cancel_when = when) == 0);
            struck += report.struck;
            if (taken == 3)
                WEFT_CHECK(report.struck && report.ended_at == 20 * MS);
            else
                WEFT_CHECK(taken == 4 ? report.ended_at == 30 * MS : report.struck);
        }
    }
    WEFT_CHECK(struck > 8);
    return 0;
}

static int use_forever(void *arg)
{
    return weft_once_run(arg, sleep_long, NULL);
}

static int reports_name_them(void)
{
    weft_rate r;
    weft_once o;
    char text[3000] = "";
    weft_rate_init(&r, 1, WEFT_HOUR, 1);
    weft_once_init(&o);
    WEFT_CHECK(weft_rate_try_take(&r, 1) == 0);
    FILE *out = fmemopen(text, sizeof text, "w");
    WEFT_GROUP (g) {
        weft_go(&g, take_one, &r);
        weft_go(&g, use_forever, &o);
        weft_go(&g, use_forever, &o);
        WEFT_TRY(weft_yield());
        weft_tasks_print(out);
        fclose(out);
        break;
    }
    WEFT_CHECK(strstr(text, ", waits for: rate limiter (0x") && strstr(text, ", waits for: once (0x"));
    WEFT_CHECK(strstr(text, ", run by use_forever started at ") != NULL);
    weft_rate_close(&r);
    weft_once_close(&o);
    return g.result;
}

/* Over any stretch no more than burst and rate, though many come and go. */
static int rate_is_never_exceeded(void)
{
    enum { TAKERS = 200, BURST = 7 };
    static struct taker takers[TAKERS];
    weft_rate r;
    uint64_t random = 3;
    weft_rate_init(&r, 3, 10 * MS, BURST);
    WEFT_GROUP (g) {
        for (int i = 0; i < TAKERS; i++) {
            weft_duration limit = weft_random_below(&random, 3) ? 0 : (weft_duration)(1 + weft_random_below(&random, 40)) * MS;
            takers[i] = (struct taker){ .rate = &r, .tokens = 1 + weft_random_below(&random, 3), .limit = limit, .rc = 1 };
            weft_go(&g, take_tokens, &takers[i]);
            WEFT_TRY(weft_sleep((weft_duration)weft_random_below(&random, 9) * MS));
        }
    }
    int cut = 0;
    for (int i = 0; i < TAKERS; i++) {
        uint64_t taken = 0;
        cut += takers[i].rc != 0;
        for (int k = i; k < TAKERS && takers[i].rc == 0; k++) {
            if (takers[k].rc != 0)
                continue;
            taken += takers[k].tokens;
            WEFT_CHECK(taken <= BURST + (uint64_t)((takers[k].ended - takers[i].ended) / MS * 3 / 10) + 1);
        }
    }
    WEFT_CHECK(cut > 5 && cut < TAKERS / 2);
    weft_rate_close(&r);
    return g.result;
}

static const weft_test tests[] = {
    TEST(newest_first),
    TEST(least_first),
    TEST(places_by_turn_items_by_rank),
    TEST(joined_when_all_is_done),
    TEST(once_for_all),
    TEST(once_freed_by_its_runner),
    PLAIN(once_cancelled_anywhere),
    TEST(rate_keeps_time),
    TEST(rate_in_turn),
    TEST(rate_cut_short),
    TEST(rate_and_reason_in_one_tick),
    PLAIN(rate_cancelled_anywhere),
    TEST(reports_name_them),
    TEST(rate_is_never_exceeded),
};

TEST_MAIN(tests)
