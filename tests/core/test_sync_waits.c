/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Every waiting call of lib/sync against the table: a reason that was there before, that comes while it is parked, that comes
 * in one turn with what it waits for, before and after it; and what is closed while a task waits for it. Each kit is a call
 * with what it takes to make it wait, to wake it, and to see whether anything was taken.
 */
#include <weft/barrier.h>
#include <weft/lock.h>
#include <weft/once.h>
#include <weft/pool.h>
#include <weft/rate.h>
#include <weft/select.h>

#include "tests/core/child.h"
#include "tests/core/tools.h"

struct things {
    weft_queue *empty, *full; /* one place each */
    weft_semaphore semaphore; /* no place */
    weft_lock lock;           /* held by whoever opened the things */
    weft_condition condition; /* under a lock of its own */
    weft_lock condition_lock;
    weft_event event; /* not set */
    weft_barrier barrier;
    weft_pool *pool; /* of one resource, which is lent */
    int *lent, *got;
    weft_once once; /* run by a task of its own, until `finish` is set */
    weft_event finish;
    weft_task *runner;
    int run_result, runs;
    bool has_run_begun, is_run_over;
    int item;
};

struct kit {
    const char *what;                      /* as reports name it */
    int served;                            /* what the call returns when it was not cut short */
    int (*call)(struct things *t);         /* parks, once the things have just been opened */
    void (*wake)(struct things *t);        /* serves one caller, or makes the next call succeed */
    void (*check_taken)(struct things *t); /* in the caller, at once after it was served; gives back what it got */
    void (*check_left)(struct things *t);  /* after a wake that nobody has taken */
    void (*close)(struct things *t);       /* that one thing alone */
    bool tells_close;                      /* to who waits; else it is misuse */
};

static int fill_in(void *resource, void *unused)
{
    (void)resource;
    (void)unused;
    return 0;
}

static void clear(void *resource, void *unused)
{
    (void)resource;
    (void)unused;
}

static void open_pool(struct things *t)
{
    int rc = weft_pool_open(&t->pool, int, fill_in, clear, .limit = 1);
    WEFT_CHECK(rc == 0);
    rc = weft_pool_acquire(t->pool, &t->lent);
    WEFT_CHECK(rc == 0);
}

static int await_finish(void *things)
{
    struct things *t = things;
    t->has_run_begun = true;
    WEFT_TRY(weft_event_wait(&t->finish));
    return t->run_result;
}

static int run_first(void *things)
{
    struct things *t = things;
    int rc = weft_once_run(&t->once, await_finish, t);
    WEFT_CHECK(rc == t->run_result);
    t->is_run_over = true;
    return 0;
}

static void open_once(struct things *t)
{
    weft_once_init(&t->once);
    weft_event_init(&t->finish);
    int rc = weft_spawn(&t->runner, run_first, t);
    WEFT_CHECK(rc == 0);
    while (!t->has_run_begun)
        WEFT_CHECK(weft_yield() == 0);
}

static void close_once_and_runner(struct things *t)
{
    weft_event_set(&t->finish);
    int rc = weft_await(t->runner);
    WEFT_CHECK(rc == 0);
    weft_once_close(&t->once);
    weft_event_close(&t->finish);
}

static void open_things(struct things *t)
{
    int five = 5;
    *t = (struct things){ .empty = weft_queue_new(sizeof(int), 1), .full = weft_queue_new(sizeof(int), 1) };
    WEFT_CHECK(weft_queue_try_put(t->full, &five) == 0);
    weft_semaphore_init(&t->semaphore, 0);
    weft_lock_init(&t->lock);
    WEFT_CHECK(weft_lock_try_acquire(&t->lock) == 0);
    weft_lock_init(&t->condition_lock);
    weft_condition_init(&t->condition, &t->condition_lock);
    weft_event_init(&t->event);
    weft_barrier_init(&t->barrier, 2);
    open_pool(t);
    open_once(t);
}

static void close_things(struct things *t)
{
    close_once_and_runner(t);
    weft_queue_free(t->empty);
    weft_queue_free(t->full);
    weft_semaphore_close(&t->semaphore);
    if (weft_lock_owner(&t->lock))
        weft_lock_release(&t->lock);
    weft_lock_close(&t->lock);
    weft_condition_close(&t->condition);
    weft_lock_close(&t->condition_lock);
    weft_event_close(&t->event);
    weft_barrier_close(&t->barrier);
    if (t->lent)
        weft_pool_release(t->pool, t->lent);
    int rc = weft_pool_close(t->pool);
    WEFT_CHECK(rc == 0);
}

static void nothing(struct things *t)
{
    (void)t;
}

/* ---- semaphore ---- */

static int call_acquire(struct things *t)
{
    return weft_semaphore_acquire(&t->semaphore);
}

static void wake_release(struct things *t)
{
    weft_semaphore_release(&t->semaphore);
}

static void taken_place(struct things *t)
{
    WEFT_CHECK(weft_semaphore_count(&t->semaphore) == 0);
    weft_semaphore_release(&t->semaphore);
}

static void left_place(struct things *t)
{
    WEFT_CHECK(weft_semaphore_count(&t->semaphore) == 1);
    WEFT_CHECK(weft_semaphore_try_acquire(&t->semaphore) == 0 && weft_semaphore_try_acquire(&t->semaphore) == -EAGAIN);
}

static void close_semaphore(struct things *t)
{
    weft_semaphore_close(&t->semaphore);
}

static const struct kit semaphore = { "semaphore", 0, call_acquire, wake_release, taken_place, left_place, close_semaphore };

/* ---- lock ---- */

static int call_lock(struct things *t)
{
    return weft_lock_acquire(&t->lock);
}

static void wake_lock(struct things *t)
{
    weft_lock_release(&t->lock);
}

static void taken_lock(struct things *t)
{
    WEFT_CHECK(weft_lock_owner(&t->lock) == weft_task_self());
    weft_lock_release(&t->lock);
}

static void left_lock(struct things *t)
{
    WEFT_CHECK(weft_lock_owner(&t->lock) == NULL);
    WEFT_CHECK(weft_lock_try_acquire(&t->lock) == 0 && weft_lock_try_acquire(&t->lock) == -EAGAIN);
}

static void close_lock(struct things *t)
{
    weft_lock_close(&t->lock);
}

static const struct kit lock = { "lock", 0, call_lock, wake_lock, taken_lock, left_lock, close_lock };

/* The block form: skipped when the acquiring is cut short. */
static int call_block(struct things *t)
{
    bool has_run = false;
    WEFT_LOCKED (held, &t->lock) {
        has_run = true;
        WEFT_CHECK(weft_lock_owner(&t->lock) == weft_task_self());
    }
    WEFT_CHECK(weft_lock_owner(&t->lock) != weft_task_self() && has_run == (held.result == 0));
    return held.result;
}

static const struct kit locked = { "lock", 0, call_block, wake_lock, nothing, left_lock, close_lock };

/* ---- condition: afterwards the caller has its lock, whatever has happened ---- */

static int call_condition(struct things *t)
{
    WEFT_CHECK(weft_lock_try_acquire(&t->condition_lock) == 0);
    int rc = weft_condition_wait(&t->condition);
    WEFT_CHECK(weft_lock_owner(&t->condition_lock) == weft_task_self());
    weft_lock_release(&t->condition_lock);
    return rc;
}

static void wake_signal(struct things *t)
{
    weft_condition_signal(&t->condition);
}

static void left_condition(struct things *t)
{
    WEFT_CHECK(weft_lock_owner(&t->condition_lock) == NULL);
}

static void close_condition(struct things *t)
{
    weft_condition_close(&t->condition);
}

static const struct kit condition = { "condition", 0, call_condition, wake_signal, nothing, left_condition, close_condition };

/* ---- event ---- */

static int call_event(struct things *t)
{
    return weft_event_wait(&t->event);
}

static void wake_event(struct things *t)
{
    weft_event_set(&t->event);
}

static void taken_event(struct things *t)
{
    WEFT_CHECK(weft_event_is_set(&t->event));
    WEFT_CHECK(weft_event_wait(&t->event) <= 0); /* does not park */
}

static void close_event(struct things *t)
{
    weft_event_close(&t->event);
}

static const struct kit event = { "event", 0, call_event, wake_event, taken_event, nothing, close_event };

/* ---- barrier: the caller and who wakes it are the two parties ---- */

static int call_barrier(struct things *t)
{
    return weft_barrier_wait(&t->barrier);
}

static void wake_barrier(struct things *t)
{
    if (weft_barrier_count(&t->barrier) > 0)
        WEFT_CHECK(weft_barrier_wait(&t->barrier) == 1);
}

static void left_barrier(struct things *t)
{
    WEFT_CHECK(weft_barrier_count(&t->barrier) == 0);
}

static void close_barrier(struct things *t)
{
    weft_barrier_close(&t->barrier);
}

static const struct kit barrier = { "barrier", 0, call_barrier, wake_barrier, left_barrier, left_barrier, close_barrier };

/* ---- queue: get, put, join ---- */

static int call_get(struct things *t)
{
    return weft_queue_get(t->empty, &t->item);
}

static void wake_get(struct things *t)
{
    int seven = 7;
    WEFT_CHECK(weft_queue_try_put(t->empty, &seven) == 0);
}

static void taken_get(struct things *t)
{
    WEFT_CHECK(t->item == 7 && weft_queue_count(t->empty) == 0);
}

static void left_get(struct things *t)
{
    int item = 0;
    WEFT_CHECK(t->item == 0 && weft_queue_count(t->empty) == 1);
    WEFT_CHECK(weft_queue_try_get(t->empty, &item) == 1 && item == 7 && weft_queue_count(t->empty) == 0);
}

static void close_get(struct things *t)
{
    weft_queue_free(t->empty);
}

static const struct kit get = { "queue get", 1, call_get, wake_get, taken_get, left_get, close_get };

static int call_put(struct things *t)
{
    static const int six = 6;
    return weft_queue_put(t->full, &six);
}

static void wake_put(struct things *t)
{
    int item = 0;
    WEFT_CHECK(weft_queue_try_get(t->full, &item) == 1 && item == 5);
}

static void taken_put(struct things *t)
{
    int item = 0;
    WEFT_CHECK(weft_queue_count(t->full) == 1 && weft_queue_try_get(t->full, &item) == 1 && item == 6);
}

static void left_put(struct things *t)
{
    WEFT_CHECK(weft_queue_count(t->full) == 0);
}

static void close_put(struct things *t)
{
    weft_queue_free(t->full);
}

static const struct kit put = { "queue put", 0, call_put, wake_put, taken_put, left_put, close_put };

static int call_join(struct things *t)
{
    return weft_queue_join(t->full);
}

static void wake_join(struct things *t)
{
    weft_queue_task_done(t->full);
}

static const struct kit join = { "queue join", 0, call_join, wake_join, nothing, nothing, close_put };

/* ---- pool ---- */

static int call_pool(struct things *t)
{
    return weft_pool_acquire(t->pool, &t->got);
}

static void wake_pool(struct things *t)
{
    weft_pool_release(t->pool, t->lent);
    t->lent = NULL;
}

static void taken_pool(struct things *t)
{
    weft_pool_counts counts = weft_pool_count(t->pool);
    WEFT_CHECK(t->got && counts.open == 1 && counts.idle == 0 && counts.waiting == 0);
    weft_pool_release(t->pool, t->got);
}

static void left_pool(struct things *t)
{
    weft_pool_counts counts = weft_pool_count(t->pool);
    WEFT_CHECK(!t->got && counts.open == 1 && counts.idle == 1 && counts.waiting == 0);
}

/* It waits for what is lent; cut short, the pool goes with that. */
static void close_pool(struct things *t)
{
    WEFT_TIMEOUT (limit, MS) {
        int rc = weft_pool_close(t->pool);
        WEFT_CHECK(rc == WEFT_EDEADLINE);
    }
    weft_pool_release(t->pool, t->lent);
    t->pool = NULL;
    t->lent = NULL;
}

static const struct kit pool = { "pool", 0, call_pool, wake_pool, taken_pool, left_pool, close_pool, true };

/* ---- once: the run that goes on succeeds, or fails and hands its turn on ---- */

enum { RUN_RESULT = 42 };

static int run_at_once(void *things)
{
    struct things *t = things;
    t->runs++;
    return RUN_RESULT;
}

static int call_once(struct things *t)
{
    return weft_once_run(&t->once, run_at_once, t);
}

/* Whoever waits has been served when this returns, and has not run, but in a shuffled queue. */
static void finish_run(struct things *t, int result)
{
    t->run_result = result;
    weft_event_set(&t->finish);
    while (!t->is_run_over)
        WEFT_CHECK(weft_yield() == 0);
}

static void wake_once(struct things *t)
{
    finish_run(t, RUN_RESULT);
}

static void taken_done(struct things *t)
{
    WEFT_CHECK(weft_once_is_done(&t->once) && t->runs == 0);
}

static void left_done(struct things *t)
{
    WEFT_CHECK(weft_once_is_done(&t->once) && call_once(t) == RUN_RESULT && t->runs == 0);
}

static void close_once(struct things *t)
{
    weft_once_close(&t->once);
}

static const struct kit once = { "once", RUN_RESULT, call_once, wake_once, taken_done, left_done, close_once };

static void wake_turn(struct things *t)
{
    finish_run(t, -EIO);
}

static void taken_turn(struct things *t)
{
    WEFT_CHECK(weft_once_is_done(&t->once) && t->runs == 1);
}

static void left_turn(struct things *t)
{
    WEFT_CHECK(!weft_once_is_done(&t->once) && t->runs == 0 && call_once(t) == RUN_RESULT && t->runs == 1);
}

static const struct kit once_turn = { "once", RUN_RESULT, call_once, wake_turn, taken_turn, left_turn, close_once };

/* ---- select: each of its cases in turn is the one that happens; no other may leave a trace ---- */

static int select_all(struct things *t)
{
    static const int six = 6;
    weft_select_case cases[] = {
        WEFT_ON_TIMEOUT(WEFT_HOUR),      WEFT_ON_GET(t->empty, &t->item), WEFT_ON_PUT(t->full, &six),
        WEFT_ON_EVENT(&t->event),        WEFT_ON_PLACE(&t->semaphore),    WEFT_ON_GET((weft_queue *)NULL, &t->item),
        WEFT_ON_GET(t->empty, &t->item),
    };
    int which = weft_select(cases, COUNT(cases));
    if (which >= 0)
        WEFT_CHECK(cases[which].result == (cases[which].kind == WEFT_SELECT_GET));
    return which == 6 ? 1 : which; /* twice the same */
}

static void check_no_trace(struct things *t)
{
    WEFT_CHECK(!weft_event_is_set(&t->event) || weft_queue_count(t->empty) == 0);
    WEFT_CHECK(weft_queue_count(t->full) == 1 && weft_semaphore_count(&t->semaphore) == 0);
}

static void taken_select_get(struct things *t)
{
    taken_get(t);
    check_no_trace(t);
}

static void taken_select_event(struct things *t)
{
    taken_event(t);
    WEFT_CHECK(t->item == 0);
    check_no_trace(t);
}

static void taken_select_place(struct things *t)
{
    check_no_trace(t);
    taken_place(t);
}

static const struct kit select_get = { "select", 1, select_all, wake_get, taken_select_get, left_get, close_get };
static const struct kit select_put = { "select", 2, select_all, wake_put, taken_put, left_put, close_put };
static const struct kit select_event = { "select", 3, select_all, wake_event, taken_select_event, nothing, close_event };
static const struct kit select_place = {
    "select", 4, select_all, wake_release, taken_select_place, left_place, close_semaphore
};

/* ---- a reason that was there before: one trip through the scheduler, refused, and nothing taken ---- */

struct trips {
    int count;
    bool stop;
};

static int count_trips(void *arg)
{
    struct trips *trips = arg;
    int rc = 0;
    while (!trips->stop && rc == 0) {
        trips->count++;
        rc = weft_yield();
    }
    return rc;
}

static int check_before(const struct kit *kit)
{
    struct things t;
    struct trips trips = { 0 };
    open_things(&t);
    kit->wake(&t);
    WEFT_GROUP (others) {
        weft_go(&others, count_trips, &trips);
        WEFT_TIMEOUT (limit, 0) {
            for (int i = 1; i <= 3; i++)
                WEFT_CHECK(kit->call(&t) == WEFT_EDEADLINE && trips.count == i);
        }
        trips.stop = true;
    }
    kit->check_left(&t);
    close_things(&t);
    return others.result;
}

/* ---- it comes while parked ---- */

static int check_parked(const struct kit *kit)
{
    struct things t;
    open_things(&t);
    weft_duration start = weft_now();
    if (kit->call != call_lock && kit->call != call_block) { /* this task has that lock */
        WEFT_TIMEOUT (outer, 10 * MS) {
            WEFT_TIMEOUT (inner, 10 * MS) {
                WEFT_CHECK(kit->call(&t) == WEFT_EDEADLINE);
                WEFT_CHECK(weft_now() == start + 10 * MS && outer.expired && !inner.expired);
            }
        }
        WEFT_GROUP (others) {
            WEFT_TIMEOUT (around, WEFT_NO_LIMIT) {
                weft_go(&others, cancel_scope_later, &around);
                WEFT_CHECK(kit->call(&t) == WEFT_ECANCELED && around.cancelled);
            }
        }
    }
    kit->wake(&t); /* nobody waits any more */
    kit->check_left(&t);
    close_things(&t);
    return 0;
}

/* ---- both in one turn ---- */

struct caller {
    const struct kit *kit;
    struct things *things;
    weft_scope *scope;
    weft_duration limit; /* 0 for none */
    int rc, next_rc, order;
    int *turn; /* counts those that were served */
};

static int call_in_scope(void *arg)
{
    struct caller *c = arg;
    WEFT_TIMEOUT (s, c->limit ? c->limit : WEFT_NO_LIMIT) {
        c->scope = &s;
        c->rc = c->kit->call(c->things);
        c->scope = NULL;
        if (c->turn)
            c->order = (*c->turn)++;
        if (c->rc == c->kit->served)
            c->kit->check_taken(c->things);
        c->next_rc = weft_yield();
    }
    return 0;
}

static int check_turn(const struct kit *kit, bool reason_first)
{
    struct things t;
    struct caller c = { .kit = kit, .things = &t };
    open_things(&t);
    WEFT_GROUP (g) {
        weft_go(&g, call_in_scope, &c);
        WEFT_TRY(weft_yield());
        weft_scope *scope = c.scope;
        WEFT_CHECK(scope != NULL);
        if (reason_first)
            weft_cancel(scope);
        kit->wake(&t);
        weft_cancel(scope);
    }
    WEFT_CHECK(c.rc == (reason_first ? WEFT_ECANCELED : kit->served) && c.next_rc == WEFT_ECANCELED);
    if (reason_first)
        kit->check_left(&t);
    close_things(&t);
    return g.result;
}

static int check_event_first(const struct kit *kit)
{
    return check_turn(kit, false);
}

static int check_reason_first(const struct kit *kit)
{
    return check_turn(kit, true);
}

/* ---- what wakes it, a cancellation and a deadline in one tick, in every order that a shuffled queue brings ---- */

struct race {
    struct caller caller;
    struct things things;
};

static int wake_at_10(void *arg)
{
    struct race *race = arg;
    WEFT_TRY(weft_sleep(10 * MS));
    race->caller.kit->wake(&race->things);
    return 0;
}

static int cancel_at_10(void *arg)
{
    struct race *race = arg;
    WEFT_TRY(weft_sleep(10 * MS));
    if (race->caller.scope)
        weft_cancel(race->caller.scope);
    return 0;
}

/* The first task, which holds the lock, is who wakes. */
static int run_race(void *arg)
{
    struct race *race = arg;
    open_things(&race->things);
    race->caller.things = &race->things;
    WEFT_GROUP (g) {
        weft_go(&g, call_in_scope, &race->caller);
        weft_go(&g, cancel_at_10, race);
        WEFT_TRY(weft_yield());
        WEFT_TRY(wake_at_10(race));
    }
    if (race->caller.rc != race->caller.kit->served)
        race->caller.kit->check_left(&race->things);
    close_things(&race->things);
    return g.result;
}

static int check_race(const struct kit *kit)
{
    int served = 0, cancelled = 0, expired = 0;
    uint64_t seeds = 60 / tools_slowness() + 8;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        struct race race = { .caller = { .kit = kit, .limit = seed % 8 == 0 ? 10 * MS : 0 } };
        WEFT_CHECK(weft_test_run(run_race, &race, NULL, .seed = seed) == 0);
        served += race.caller.rc == kit->served;
        cancelled += race.caller.rc == WEFT_ECANCELED;
        expired += race.caller.rc == WEFT_EDEADLINE;
    }
    WEFT_CHECK(served > 0 && cancelled > 0 && expired > 0 && served + cancelled + expired == (int)seeds);
    return 0;
}

/* ---- several in a line ---- */

enum { CROWD = 6 };

/* All wait; those of `cut` (bits) are cut short in the turn in which all are woken. First come, first served. */
static void check_line(const struct kit *kit, unsigned cut, bool cut_first)
{
    struct things t;
    struct caller callers[CROWD];
    int turn = 0, last = -1, due = 0;
    open_things(&t);
    WEFT_GROUP (g) {
        for (int i = 0; i < CROWD; i++) {
            callers[i] = (struct caller){ .kit = kit, .things = &t, .turn = &turn };
            weft_go(&g, call_in_scope, &callers[i]);
        }
        int rc = weft_yield();
        WEFT_CHECK(rc == 0);
        if (!cut_first)
            kit->wake(&t);
        for (int i = 0; i < CROWD; i++)
            if (cut >> i & 1)
                weft_cancel(callers[i].scope);
        if (cut_first)
            kit->wake(&t);
    }
    for (int i = 0; i < CROWD; i++) {
        bool is_cut = cut >> i & 1 && (cut_first || i > 0); /* the first was served before */
        WEFT_CHECK(callers[i].rc == (is_cut ? WEFT_ECANCELED : kit->served));
        if (is_cut)
            continue;
        WEFT_CHECK(callers[i].order > last);
        last = callers[i].order;
        due++;
    }
    WEFT_CHECK(turn == CROWD);
    if (due == 0)
        kit->check_left(&t);
    else if (kit->call == call_acquire)
        WEFT_CHECK(weft_semaphore_try_acquire(&t.semaphore) == 0 && weft_semaphore_count(&t.semaphore) == 0);
    close_things(&t);
}

/* Each that is served gives what it got to the next: who is cut short never has it, who was served and then cut keeps it. */
static int lines(void)
{
    const struct kit *const kits[] = { &semaphore, &lock, &locked, &select_place };
    for (size_t k = 0; k < COUNT(kits); k++) {
        for (unsigned cut = 0; cut < 1u << CROWD; cut++) {
            check_line(kits[k], cut, false);
            check_line(kits[k], cut, true);
        }
    }
    return 0;
}

/* ---- closed while a task waits for it ---- */

static const struct kit *doomed;

static int close_too_early(void *arg)
{
    (void)arg;
    struct things t;
    struct caller c = { .kit = doomed, .things = &t };
    open_things(&t);
    WEFT_GROUP (g) {
        weft_go(&g, call_in_scope, &c);
        WEFT_TRY(weft_yield());
        doomed->close(&t);
    }
    WEFT_CHECK(doomed->tells_close && c.rc == WEFT_ECLOSED);
    close_things(&t);
    return 1;
}

static int run_doomed(void)
{
    return weft_run(close_too_early, NULL);
}

static int check_closed(const struct kit *kit)
{
    doomed = kit;
    if (kit->tells_close)
        return weft_run(close_too_early, NULL);
    child c = child_run(run_doomed);
    bool ok = child_was_killed_by(&c, SIGABRT) && strstr(c.error, "weft: misuse: a") &&
              strstr(c.error, "while task call_in_scope waits on it, in task main");
    WEFT_CHECK(ok);
    if (!ok)
        child_print(&c);
    return 0;
}

/* ---- reports say what it waits for ---- */

static int check_report(const struct kit *kit)
{
    struct things t;
    struct caller c = { .kit = kit, .things = &t };
    char text[2000] = "";
    open_things(&t);
    FILE *out = fmemopen(text, sizeof text, "w");
    WEFT_GROUP (g) {
        weft_go(&g, call_in_scope, &c);
        WEFT_TRY(weft_yield());
        weft_tasks_print(out);
        fclose(out);
        kit->wake(&t);
    }
    char words[100];
    snprintf(words, sizeof words, ", waits for: %s (0x", kit->what);
    WEFT_CHECK(strstr(text, words) != NULL);
    if (strcmp(kit->what, "lock") == 0)
        WEFT_CHECK(strstr(text, ", held by ") != NULL && strstr(text, " started at ") != NULL);
    if (strcmp(kit->what, "select") == 0)
        WEFT_CHECK(strstr(text, ": time-out, queue get (0x") != NULL && strstr(text, ", event (0x") != NULL);
    close_things(&t);
    return g.result;
}

/* ---- the tests: every check for every kit ---- */

#define KIT(name)                                                                                                              \
    static int name##_before(void)                                                                                             \
    {                                                                                                                          \
        return check_before(&name);                                                                                            \
    }                                                                                                                          \
    static int name##_parked(void)                                                                                             \
    {                                                                                                                          \
        return check_parked(&name);                                                                                            \
    }                                                                                                                          \
    static int name##_event_first(void)                                                                                        \
    {                                                                                                                          \
        return check_event_first(&name);                                                                                       \
    }                                                                                                                          \
    static int name##_reason_first(void)                                                                                       \
    {                                                                                                                          \
        return check_reason_first(&name);                                                                                      \
    }                                                                                                                          \
    static int name##_race(void)                                                                                               \
    {                                                                                                                          \
        return check_race(&name);                                                                                              \
    }                                                                                                                          \
    static int name##_closed(void)                                                                                             \
    {                                                                                                                          \
        return check_closed(&name);                                                                                            \
    }                                                                                                                          \
    static int name##_report(void)                                                                                             \
    {                                                                                                                          \
        return check_report(&name);                                                                                            \
    }

#define KITS(X)                                                                                                                \
    X(semaphore)                                                                                                               \
    X(lock)                                                                                                                    \
    X(locked)                                                                                                                  \
    X(once)                                                                                                                    \
    X(once_turn)                                                                                                               \
    X(condition) X(event) X(barrier) X(pool) X(get) X(put) X(join) X(select_get) X(select_put) X(select_event) X(select_place)

KITS(KIT)

#define TESTS(kit)                                                                                                             \
    { #kit " / reason there before: one trip, refused, takes nothing", kit##_before },                                         \
        { #kit " / reason while parked: withdrawn, the outermost", kit##_parked },                                             \
        { #kit " / event, then reason in one turn: keeps it, next refused", kit##_event_first },                               \
        { #kit " / reason, then event in one turn: takes nothing", kit##_reason_first },                                       \
        { .name = #kit " / event, reason and deadline in one tick", .plain = kit##_race },                                     \
        { .name = #kit " / closed while a task waits: reported", .plain = kit##_closed },                                      \
        { #kit " / reports say what it waits for", kit##_report },

static const weft_test tests[] = { KITS(TESTS) TEST(lines) };

TEST_MAIN(tests)
