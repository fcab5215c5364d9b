/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Objects that end, and are freed and made anew, while tasks use them at random: whoever is woken by the end of something, or
 * just before it, must not look at it again. The same from within generators (with scopes and groups that stay open while they
 * are suspended), shields, cancelled tasks and groups, and through the hard reason; with threads and descriptors beside them,
 * too. What is freed is overwritten.
 */
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <weft/barrier.h>
#include <weft/fd.h>
#include <weft/generator.h>
#include <weft/lock.h>
#include <weft/offload.h>
#include <weft/once.h>
#include <weft/pool.h>
#include <weft/rate.h>
#include <weft/select.h>

#include "lib/base/random.h"
#include "lib/task/task.h"
#include "tests/core/core.h"
#include "tests/core/tools.h"

enum { ACTORS = 7, STEPS = 8, ITEMS = 200, PLACES = 2, DEPTH = 2, CALLS = 4, GENERATORS = 4 };

enum kind { FIFO, LIFO, PRIORITY, SEMAPHORE, LOCK, EVENT, BARRIER, ONCE, RATE, POOL, GENERATOR, KINDS };

struct stress;

struct thing {
    enum kind kind;
    int number; /* it alone has */
    struct stress *s;
    weft_queue *queue;
    weft_semaphore semaphore;
    weft_lock lock;
    weft_condition condition;
    int in_condition; /* tasks */
    bool is_permitted;
    weft_event event;
    weft_barrier barrier;
    weft_once once;
    weft_rate rate;
    weft_pool *pool;
    weft_generator *generator;
    int steppers; /* tasks */
};

struct actor {
    struct stress *s;
    weft_task *task;
    const struct thing *calling[CALLS]; /* what it is in a call of; maybe freed by now */
    bool is_joining;
    int depth; /* of generators around it */
};

struct stress {
    uint64_t random;
    bool has_threads;
    int event_fd;
    struct thing *things[KINDS];
    struct actor actors[ACTORS];
    weft_generator *generators[GENERATORS]; /* made beforehand, for they belong to the group in which they are made */
    int next_generator, next_item, next_number;
    bool put[ITEMS];
    unsigned char got[ITEMS];
    int opened, closed, bodies_begun, bodies_ended;
    int started, ended; /* tasks of bodies */
    int ends[KINDS];
    bool is_hard, has_begun, has_ended;
    int wrong;
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

static bool is_expected(int rc)
{
    return rc >= 0 || is_reason(rc) || rc == -ENOMEM || rc == -EIO || rc == WEFT_ECLOSED;
}

static int doze(struct stress *s)
{
    return weft_sleep((weft_duration)below(s, 3) * MS);
}

/* ---- making ---- */

static int by_number(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static int open_resource(void *resource, void *arg)
{
    struct stress *s = arg;
    *(struct stress **)resource = s;
    WEFT_TRY(doze(s));
    s->opened++;
    return 0;
}

static void close_resource(void *resource, void *arg)
{
    struct stress *s = arg;
    EXPECT(s, *(struct stress **)resource == s);
    EXPECT(s, doze(s) == 0 || s->is_hard);
    s->closed++;
}

static int check_resource(void *resource, void *arg)
{
    struct stress *s = arg;
    EXPECT(s, *(struct stress **)resource == s);
    WEFT_TRY(doze(s));
    return below(s, 3) ? 0 : -EIO;
}

static int rest(void *arg)
{
    struct stress *s = arg;
    int rc = doze(s);
    rc = rc < 0 ? rc : doze(s);
    s->ended++;
    return rc < 0 ? rc : below(s, 6) ? 0 : -EIO;
}

typedef int run_fn(weft_generator *g, void *arg);

static int run_in_scope(struct stress *s, weft_generator *g, run_fn *run, void *arg)
{
    int rc = 0;
    WEFT_TIMEOUT (limit, (weft_duration)(1 + below(s, 20)) * MS) {
        rc = run(g, arg);
    }
    return rc;
}

static int run_in_group(struct stress *s, weft_generator *g, run_fn *run, void *arg)
{
    int rc = 0;
    WEFT_GROUP (group, .timeout = (weft_duration)below(s, 20) * MS, .stack_size = 16384) {
        for (int i = 0; i < 2; i++)
            s->started += weft_go(&group, rest, s) == 0;
        rc = run(g, arg);
        if (below(s, 2))
            break;
    }
    return rc < 0 ? rc : group.result;
}

/* The body of a generator: its steps, or around them a scope or a group that stays open while it is suspended. */
static int run_body(struct stress *s, weft_generator *g, run_fn *run, void *arg)
{
    uint64_t around = below(s, 4);
    s->bodies_begun++;
    int rc = around == 0 ? run_in_scope(s, g, run, arg) : around == 1 ? run_in_group(s, g, run, arg) : run(g, arg);
    EXPECT(s, is_expected(rc));
    s->bodies_ended++;
    return rc;
}

static int count(weft_generator *g, void *arg)
{
    struct stress *s = arg;
    int rc = 0;
    for (int i = 0; rc >= 0; i++) {
        rc = below(s, 3) ? 0 : doze(s);
        if (rc >= 0)
            rc = weft_generator_yield(g, &i);
    }
    EXPECT(s, is_reason(rc));
    return rc;
}

static int count_for_ever(weft_generator *g, void *arg)
{
    return run_body(arg, g, count, arg);
}

static bool open_queue(struct thing *t, enum kind kind, size_t capacity)
{
    t->queue = kind == FIFO   ? weft_queue_new(sizeof(int), capacity)
               : kind == LIFO ? weft_queue_new_lifo(sizeof(int), capacity)
                              : weft_queue_new_priority(sizeof(int), capacity, by_number);
    return t->queue;
}

/* False when memory is out. */
static bool open_thing(struct thing *t, enum kind kind)
{
    struct stress *s = t->s;
    switch (kind) {
    case FIFO:
    case LIFO:
    case PRIORITY:
        return open_queue(t, kind, 1 + below(s, 3));
    case SEMAPHORE:
        weft_semaphore_init(&t->semaphore, PLACES);
        return true;
    case LOCK:
        weft_lock_init(&t->lock);
        weft_condition_init(&t->condition, &t->lock);
        return true;
    case EVENT:
        weft_event_init(&t->event);
        return true;
    case BARRIER:
        weft_barrier_init(&t->barrier, 2 + below(s, 2));
        return true;
    case ONCE:
        weft_once_init(&t->once);
        return true;
    case RATE:
        weft_rate_init(&t->rate, 1, MS, 2);
        return true;
    case POOL:
        return weft_pool_open(&t->pool, struct stress *, open_resource, close_resource, .arg = s, .limit = 2,
                              .check = check_resource, .idle_timeout = 3 * MS, .lifetime = 9 * MS,
                              .acquire_timeout = (weft_duration)below(s, 4) * MS) == 0;
    default:
        t->generator = s->next_generator < GENERATORS ? s->generators[s->next_generator++] : NULL;
        return t->generator;
    }
}

/* ---- ending ---- */

static void note_got(struct stress *s, int item)
{
    EXPECT(s, item >= 0 && item < ITEMS && s->got[item]++ == 0);
}

static bool is_waited_for(const struct stress *s, const struct thing *t, bool by_joiners)
{
    for (const struct actor *a = s->actors; a < s->actors + ACTORS; a++)
        for (int i = 0; i < CALLS; i++)
            if (a->calling[i] == t && a->task && a->task->state == WEFT_TASK_PARKED && (!by_joiners || a->is_joining))
                return true;
    return false;
}

/* May it be closed without misuse? */
static bool can_end(const struct stress *s, const struct thing *t)
{
    switch (t->kind) {
    case FIFO:
    case LIFO:
    case PRIORITY:
        return !is_waited_for(s, t, true);
    case SEMAPHORE:
        return weft_semaphore_count(&t->semaphore) == PLACES;
    case LOCK:
        return !weft_lock_owner(&t->lock) && t->in_condition == 0;
    case ONCE:
        return weft_once_is_done(&t->once);
    case RATE:
        return !is_waited_for(s, t, false);
    case GENERATOR:
        return t->steppers == 0;
    default:
        return true; /* its end wakes all */
    }
}

static void end_queue(struct stress *s, weft_queue *q)
{
    int item;
    weft_queue_close(q);
    while (weft_queue_try_get(q, &item) == 1)
        note_got(s, item);
    weft_queue_free(q);
}

/* It is in no slot any more, so that nobody comes to it while its end waits. */
static void end_thing(struct stress *s, struct thing *t)
{
    switch (t->kind) {
    case FIFO:
    case LIFO:
    case PRIORITY:
        end_queue(s, t->queue);
        break;
    case SEMAPHORE:
        weft_semaphore_close(&t->semaphore);
        break;
    case LOCK:
        weft_condition_close(&t->condition);
        weft_lock_close(&t->lock);
        break;
    case EVENT:
        weft_event_set(&t->event);
        weft_event_close(&t->event);
        break;
    case BARRIER:
        weft_barrier_break(&t->barrier);
        weft_barrier_close(&t->barrier);
        break;
    case ONCE:
        weft_once_close(&t->once);
        break;
    case RATE:
        weft_rate_close(&t->rate);
        break;
    case POOL:
        EXPECT(s, is_expected(weft_pool_close(t->pool)));
        break;
    default:
        EXPECT(s, is_expected(weft_generator_close(t->generator)));
    }
    memset(t, 0xdd, sizeof *t);
    free(t);
}

static void make(struct stress *s, enum kind kind)
{
    struct thing *t = calloc(1, sizeof *t);
    t->kind = kind;
    t->number = ++s->next_number;
    t->s = s;
    if (!open_thing(t, kind))
        free(t);
    else if (s->things[kind]) /* another task has made one meanwhile */
        end_thing(s, t);
    else
        s->things[kind] = t;
}

static int end_one(struct stress *s, enum kind kind)
{
    struct thing *t = s->things[kind];
    if (t && can_end(s, t)) {
        s->things[kind] = NULL;
        s->ends[kind]++;
        end_thing(s, t);
    }
    if (!s->things[kind])
        make(s, kind);
    return 0;
}

/* ---- using ---- */

#define CALL(a, t, call) ((a)->calling[0] = (t), call)

static int use_queue(struct actor *a, struct thing *t)
{
    struct stress *s = a->s;
    enum kind kind = t->kind;
    int item = -1, rc, number = t->number;
    if (below(s, 5) == 0) {
        a->is_joining = true;
        rc = CALL(a, t, weft_queue_join(t->queue));
        a->is_joining = false;
        return rc;
    }
    if (below(s, 2) && s->next_item < ITEMS) {
        item = s->next_item++;
        rc = CALL(a, t, weft_queue_put(t->queue, &item));
        s->put[item] = rc == 0;
        EXPECT(s, rc == 0 || rc == WEFT_ECLOSED || is_reason(rc));
        return rc;
    }
    rc = CALL(a, t, weft_queue_get(t->queue, &item));
    EXPECT(s, rc == 1 || ((rc == 0 || is_reason(rc)) && item == -1));
    if (rc == 1)
        note_got(s, item);
    if (rc == 1 && s->things[kind] && s->things[kind]->number == number) /* else it has been freed */
        weft_queue_task_done(t->queue);
    return rc;
}

static int use_lock(struct actor *a, struct thing *t)
{
    struct stress *s = a->s;
    int rc = CALL(a, t, weft_lock_acquire(&t->lock));
    if (rc < 0)
        return rc;
    if (below(s, 2)) {
        t->in_condition++;
        rc = weft_condition_wait(&t->condition);
        t->in_condition--;
        EXPECT(s, weft_lock_owner(&t->lock) == weft_task_self());
    } else {
        rc = doze(s);
    }
    if (below(s, 2))
        weft_condition_signal(&t->condition);
    else
        weft_condition_broadcast(&t->condition);
    weft_lock_release(&t->lock);
    return rc;
}

static int hold_place(struct stress *s, struct thing *t)
{
    int rc = doze(s);
    weft_semaphore_release(&t->semaphore);
    return rc;
}

static int use_semaphore(struct actor *a, struct thing *t)
{
    int rc = CALL(a, t, weft_semaphore_acquire(&t->semaphore));
    return rc < 0 ? rc : hold_place(a->s, t);
}

static int use_event(struct actor *a, struct thing *t)
{
    if (below(a->s, 3) == 0)
        weft_event_set(&t->event);
    else if (below(a->s, 2))
        weft_event_clear(&t->event);
    return CALL(a, t, weft_event_wait(&t->event));
}

static int load(void *arg)
{
    WEFT_TRY(doze(arg));
    return 42;
}

static int use_once(struct actor *a, struct thing *t)
{
    int rc = CALL(a, t, weft_once_run(&t->once, load, a->s));
    EXPECT(a->s, rc == 42 || is_reason(rc) || rc == -EIO); /* that of a group around it, by WEFT_TRY */
    if (rc == 42 && below(a->s, 2))                        /* at once, while others are still to hear of it */
        return end_one(a->s, ONCE);
    return rc;
}

static int use_pool(struct actor *a, struct thing *t)
{
    struct stress *s = a->s;
    int rc = 0;
    WEFT_POOLED (held, t->pool) {
        EXPECT(s, *(struct stress **)held.resource == s);
        rc = doze(s);
        held.is_broken = below(s, 3) == 0;
    }
    return held.result < 0 ? held.result : rc;
}

static int use_generator(struct actor *a, struct thing *t)
{
    int value = -1;
    t->steppers++;
    int rc = CALL(a, t, weft_generator_next(t->generator, &value));
    t->steppers--;
    EXPECT(a->s, (rc == -EALREADY || is_expected(rc)) && (rc == 1) == (value >= 0));
    return rc == -EALREADY ? 0 : rc;
}

static int use_thing(struct actor *a, enum kind kind)
{
    struct thing *t = a->s->things[kind];
    if (!t)
        return end_one(a->s, kind);
    switch (kind) {
    case FIFO:
    case LIFO:
    case PRIORITY:
        return use_queue(a, t);
    case SEMAPHORE:
        return use_semaphore(a, t);
    case LOCK:
        return use_lock(a, t);
    case EVENT:
        return use_event(a, t);
    case BARRIER:
        return CALL(a, t, weft_barrier_wait(&t->barrier));
    case ONCE:
        return use_once(a, t);
    case RATE:
        return CALL(a, t, weft_rate_take(&t->rate, 1 + below(a->s, 2)));
    case POOL:
        return use_pool(a, t);
    default:
        return use_generator(a, t);
    }
}

static int use_select(struct actor *a)
{
    struct stress *s = a->s;
    struct thing *from = s->things[FIFO], *to = s->things[LIFO], *event = s->things[EVENT], *places = s->things[SEMAPHORE];
    int got = -1, item = s->next_item < ITEMS ? s->next_item++ : -1;
    weft_select_case cases[CALLS + 1] = {
        WEFT_ON_GET(from ? from->queue : NULL, &got),
        WEFT_ON_PUT(to && item >= 0 ? to->queue : NULL, &item),
        WEFT_ON_EVENT(event ? &event->event : NULL),
        WEFT_ON_PLACE(places ? &places->semaphore : NULL),
        WEFT_ON_TIMEOUT((weft_duration)(1 + below(s, 4)) * MS),
    };
    memcpy(a->calling, (const struct thing *[CALLS]){ from, to, event, places }, sizeof a->calling);
    int which = weft_select(cases, CALLS + 1);
    EXPECT(s, (got >= 0) == (which == 0 && cases[0].result == 1));
    if (got >= 0)
        note_got(s, got);
    if (which == 1)
        s->put[item] = cases[1].result == 0;
    return which == 3 ? hold_place(s, places) : which < 0 ? which : 0;
}

/* ---- threads and descriptors ---- */

static int add_one(void *arg)
{
    ++*(int *)arg;
    return 0;
}

static int do_nothing(size_t index, void *arg)
{
    (void)index;
    (void)arg;
    return 0;
}

static int use_threads(struct stress *s)
{
    int n = 5, rc = 0;
    switch (below(s, 4)) {
    case 0:
        rc = weft_offload(add_one, &n);
        EXPECT(s, n == (rc == 0 ? 6 : 5));
        return rc;
    case 1:
        rc = weft_offload_borrowed(add_one, &n);
        EXPECT(s, rc == 0 ? n == 6 : n == 5);
        return rc;
    case 2:
        return weft_parallel_for(3, do_nothing, NULL, .threads = 2, .grain = 1);
    default:
        rc = weft_fd_wait(s->event_fd, below(s, 3) ? WEFT_FD_READ | WEFT_FD_WRITE : WEFT_FD_WRITE);
        EXPECT(s, rc == WEFT_FD_WRITE || is_expected(rc));
        return rc;
    }
}

/* ---- steps, and what is around them ---- */

static int take_step(struct actor *a);

static int take_steps(weft_generator *g, void *arg)
{
    struct actor *a = arg;
    int rc = 0;
    a->depth++;
    for (int i = 0; i < 3 && rc >= 0; i++) {
        rc = take_step(a);
        if (rc >= 0)
            rc = weft_generator_yield(g, &i);
    }
    a->depth--;
    return rc;
}

static int body(weft_generator *g, void *arg)
{
    struct actor *a = arg;
    return run_body(a->s, g, take_steps, a);
}

static int step_in_generator(struct actor *a)
{
    int rc = 0;
    WEFT_FOR_EACH (int, i, weft_generator_new(int, body, a), .result = &rc) {
        EXPECT(a->s, i >= 0 && i < 3);
        if (below(a->s, 4) == 0)
            break;
    }
    return rc;
}

static int step_in_shield(struct actor *a)
{
    int rc = 0;
    WEFT_SHIELD (shield, (weft_duration)below(a->s, 5) * MS) {
        rc = take_step(a);
    }
    return rc;
}

static int take_step(struct actor *a)
{
    struct stress *s = a->s;
    uint64_t which = below(s, 16);
    if (which == 0 && a->depth < DEPTH)
        return step_in_generator(a);
    if (which == 1)
        return step_in_shield(a);
    if (which == 2 && s->has_threads)
        return use_threads(s);
    if (which == 3)
        return use_select(a);
    if (which < 7)
        return end_one(s, (enum kind)below(s, KINDS));
    const struct actor *other = &s->actors[below(s, ACTORS)];
    if (which == 7 && other->task && below(s, 3) == 0)
        weft_task_cancel(other->task);
    int rc = use_thing(a, (enum kind)below(s, KINDS));
    memset(a->calling, 0, sizeof a->calling);
    return rc;
}

static int act(void *arg)
{
    struct actor *a = arg;
    for (int i = 0; i < STEPS; i++) {
        int rc = 0;
        WEFT_TIMEOUT (limit, (weft_duration)(1 + below(a->s, 12)) * MS) {
            rc = take_step(a);
        }
        memset(a->calling, 0, sizeof a->calling);
        EXPECT(a->s, is_expected(rc));
        if (is_reason(rc) && !limit.expired)
            return rc;
    }
    return 0;
}

static int run_stress(void *arg)
{
    struct stress *s = arg;
    s->has_begun = true;
    weft_log_set_level(WEFT_LOG_ERROR);
    for (int i = 0; i < GENERATORS; i++)
        s->generators[i] = weft_generator_new(int, count_for_ever, s);
    for (int kind = 0; kind < KINDS; kind++)
        make(s, (enum kind)kind);
    WEFT_GROUP (g, .timeout = 60 * MS, .on_error = WEFT_COLLECT) {
        for (int i = 0; i < ACTORS; i++) {
            struct actor *a = &s->actors[i];
            a->s = s;
            if (weft_spawn(&a->task, act, a) < 0)
                break;
        }
        if (below(s, 4) == 0 && weft_sleep((weft_duration)below(s, 20) * MS) == 0) {
            s->is_hard = true;
            weft_group_cancel_hard(&g);
        }
    }
    for (int kind = 0; kind < KINDS; kind++) {
        struct thing *t = s->things[kind];
        EXPECT(s, !t || kind == ONCE || can_end(s, t));
        if (t)
            end_thing(s, t);
    }
    while (s->next_generator < GENERATORS)
        EXPECT(s, weft_generator_close(s->generators[s->next_generator++]) == 0);
    s->has_ended = true;
    return 7;
}

struct sums {
    uint64_t waits, ends[KINDS];
};

static bool run_one(uint64_t seed, bool has_threads, weft_test_report *report, struct sums *sums, weft_test_options options)
{
    struct stress s = { .random = seed * 31 + 7, .has_threads = has_threads, .event_fd = -1 };
    options.struct_size = sizeof options;
    options.seed = seed;
    if (has_threads)
        s.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rc = weft_test_run_(run_stress, &s, report, &options);
    bool ok = s.wrong == 0 && s.has_begun == s.has_ended && (rc == 7 || (options.fail_at && rc == -ENOMEM));
    ok = ok && s.opened == s.closed && s.bodies_begun == s.bodies_ended && s.started == s.ended;
    for (int i = 0; i < ITEMS; i++)
        ok = ok && s.got[i] == s.put[i];
    if (!ok)
        printf("# seed %llu ended with %d; cancel %llu %d; fail %llu %d; pool %d, %d; bodies %d, %d; wrong %d\n",
               (unsigned long long)seed, rc, (unsigned long long)options.cancel_at, (int)options.cancel_when,
               (unsigned long long)options.fail_at, options.fail_after, s.opened, s.closed, s.bodies_begun, s.bodies_ended,
               s.wrong);
    if (has_threads)
        close(s.event_fd);
    sums->waits += report->waits;
    for (int i = 0; i < KINDS; i++)
        sums->ends[i] += (uint64_t)s.ends[i];
    return ok;
}

static int run_seeds(uint64_t seeds, bool has_threads)
{
    struct sums sums = { 0 };
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        weft_test_report report;
        WEFT_CHECK(run_one(seed, has_threads, &report, &sums, (weft_test_options){ 0 }));
    }
    printf("# %llu seeds; on average %llu waits\n", (unsigned long long)seeds, (unsigned long long)(sums.waits / seeds));
    for (int i = 0; i < KINDS; i++)
        WEFT_CHECK(sums.ends[i] > seeds / 20); /* each has ended in the midst of it */
    return 0;
}

static int shuffled_seeds(void)
{
    return run_seeds(10000 / tools_slowness(), false);
}

static int with_threads_beside(void)
{
    return run_seeds(1000 / tools_slowness(), true);
}

static int cancel_every_wait(enum weft_cancel_when when)
{
    struct sums sums = { 0 };
    for (uint64_t seed = 1; seed <= 20 / tools_slowness() + 1; seed++) {
        weft_test_report report;
        WEFT_CHECK(run_one(seed, false, &report, &sums, (weft_test_options){ 0 }));
        for (uint64_t n = 1, waits = report.waits; n <= waits; n++)
            WEFT_CHECK(run_one(seed, false, &report, &sums, (weft_test_options){ .cancel_at = n, .cancel_when = when }));
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
        WEFT_CHECK(run_one(seed, false, &report, &sums, (weft_test_options){ 0 }));
        for (uint64_t n = 1, allocations = report.allocations; n <= allocations; n++)
            WEFT_CHECK(run_one(seed, false, &report, &sums, (weft_test_options){ .fail_at = n, .fail_after = n % 2 }));
    }
    return 0;
}

static const weft_test tests[] = {
    PLAIN(shuffled_seeds),
    PLAIN(with_threads_beside),
    PLAIN(every_wait_cancelled_before),
    PLAIN(every_wait_cancelled_when_parked),
    PLAIN(every_wait_cancelled_when_woken),
    PLAIN(every_allocation_failed),
};

TEST_MAIN(tests)
