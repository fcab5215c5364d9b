/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * One test for each cell of the table that says what a waiting call does when a reason was there before, comes while it is
 * parked, or comes in one turn with its event. Each test is named after its row and column.
 */
#include "tests/core/core.h"

/* What the calls of the first row work on. */
struct bench {
    weft_queue *queue; /* of ints, one place */
    weft_task *task;
    weft_group *group;
    int item;
};

typedef int call_fn(struct bench *b);

static int call_sleep(struct bench *b)
{
    (void)b;
    return weft_sleep(5 * MS);
}

static int call_yield(struct bench *b)
{
    (void)b;
    return weft_yield();
}

static int call_get(struct bench *b)
{
    return weft_queue_get(b->queue, &b->item);
}

static int call_put(struct bench *b)
{
    return weft_queue_put(b->queue, &b->item);
}

static int call_await(struct bench *b)
{
    return weft_await(b->task);
}

static int call_go_wait(struct bench *b)
{
    return weft_go_wait(b->group, succeed, NULL);
}

/* ---- the first row, the reason was there before ---- */

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

/* The call, which could succeed at once, returns the reason after exactly one trip through the scheduler. */
static void check_refused(call_fn *call, struct bench *b)
{
    struct trips trips = { 0 };
    WEFT_GROUP (others) {
        weft_go(&others, count_trips, &trips);
        WEFT_TIMEOUT (limit, 0) {
            WEFT_CHECK(call(b) == WEFT_EDEADLINE);
            WEFT_CHECK(trips.count == 1);
            WEFT_CHECK(call(b) == WEFT_EDEADLINE);
            WEFT_CHECK(trips.count == 2);
        }
        trips.stop = true;
    }
    WEFT_CHECK(others.result == 0);
}

static int sleep_before(void)
{
    weft_duration start = weft_now();
    check_refused(call_sleep, NULL);
    WEFT_CHECK(weft_now() == start);
    return 0;
}

static int yield_before(void)
{
    check_refused(call_yield, NULL);
    return 0;
}

static int get_before(void)
{
    struct bench b = { .queue = weft_queue_new(sizeof(int), 1), .item = 7 };
    WEFT_TRY(weft_queue_try_put(b.queue, &b.item));
    b.item = 0;
    check_refused(call_get, &b);
    WEFT_CHECK(weft_queue_count(b.queue) == 1 && b.item == 0);
    WEFT_CHECK(call_get(&b) == 1 && b.item == 7);
    weft_queue_free(b.queue);
    return 0;
}

static int put_before(void)
{
    struct bench b = { .queue = weft_queue_new(sizeof(int), 1), .item = 7 };
    check_refused(call_put, &b);
    WEFT_CHECK(weft_queue_count(b.queue) == 0);
    weft_queue_free(b.queue);
    return 0;
}

static int await_before(void)
{
    int result = 42;
    struct bench b = { 0 };
    WEFT_TRY(weft_spawn(&b.task, end_with, &result));
    WEFT_TRY(weft_sleep(20 * MS));
    check_refused(call_await, &b);
    WEFT_CHECK(call_await(&b) == 42);
    return 0;
}

static int go_wait_before(void)
{
    WEFT_GROUP (g, .keep_ended = true) {
        struct bench b = { .group = &g };
        weft_ended ended;
        check_refused(call_go_wait, &b);
        WEFT_CHECK(weft_group_next(&g, &ended) == 0); /* nothing was started */
    }
    return g.result;
}

/* ---- the first row, the reason comes while parked ---- */

/* The call parks; it is cut after 10 ms, by the outer one of two deadlines of one tick. */
static void check_cut(call_fn *call, struct bench *b)
{
    weft_duration start = weft_now();
    WEFT_TIMEOUT (outer, 10 * MS) {
        WEFT_TIMEOUT (inner, 10 * MS) {
            WEFT_CHECK(call(b) == WEFT_EDEADLINE);
            WEFT_CHECK(weft_now() == start + 10 * MS);
            WEFT_CHECK(outer.expired && !inner.expired);
        }
    }
    WEFT_GROUP (others) {
        WEFT_TIMEOUT (around, WEFT_NO_LIMIT) {
            weft_go(&others, cancel_scope_later, &around);
            WEFT_TIMEOUT (within, 20 * MS) {
                WEFT_CHECK(call(b) == WEFT_ECANCELED);
                WEFT_CHECK(around.cancelled && !within.cancelled && !within.expired);
            }
        }
    }
    WEFT_CHECK(others.result == 0);
}

static int call_sleep_long(struct bench *b)
{
    (void)b;
    return weft_sleep(30 * MS);
}

static int sleep_parked(void)
{
    check_cut(call_sleep_long, NULL);
    WEFT_CHECK(weft_sleep(WEFT_SECOND) == 0); /* over the ticks at which the withdrawn ones were due */
    return 0;
}

struct yielder {
    int rc;
    weft_scope *scope;
};

static int yield_in_scope(void *arg)
{
    struct yielder *y = arg;
    WEFT_TIMEOUT (s, WEFT_NO_LIMIT) {
        y->scope = &s;
        y->rc = weft_yield();
    }
    return 0;
}

/* A yield is never parked, but its reason may come while it is ready. */
static int yield_parked(void)
{
    struct yielder y = { 0 };
    WEFT_GROUP (g) {
        weft_go(&g, yield_in_scope, &y);
        WEFT_CHECK(weft_yield() == 0);
        weft_cancel(y.scope);
    }
    WEFT_CHECK(y.rc == WEFT_ECANCELED);
    return g.result;
}

static int get_parked(void)
{
    struct bench b = { .queue = weft_queue_new(sizeof(int), 1), .item = 7 };
    int item = 8;
    check_cut(call_get, &b);
    WEFT_CHECK(weft_queue_try_put(b.queue, &item) == 0 && weft_queue_count(b.queue) == 1); /* nobody waits any more */
    WEFT_CHECK(b.item == 7);
    weft_queue_free(b.queue);
    return 0;
}

static int put_parked(void)
{
    struct bench b = { .queue = weft_queue_new(sizeof(int), 1), .item = 7 };
    int item;
    WEFT_TRY(weft_queue_try_put(b.queue, &b.item));
    check_cut(call_put, &b);
    WEFT_CHECK(weft_queue_try_get(b.queue, &item) == 1 && item == 7);
    WEFT_CHECK(weft_queue_count(b.queue) == 0); /* the cut put has left nothing */
    weft_queue_free(b.queue);
    return 0;
}

static int end_after_50(void *arg)
{
    (void)arg;
    int rc = weft_sleep(50 * MS);
    return rc < 0 ? rc : 42;
}

static int await_parked(void)
{
    struct bench b = { 0 };
    WEFT_TRY(weft_spawn(&b.task, end_after_50, NULL));
    check_cut(call_await, &b);
    WEFT_CHECK(call_await(&b) == 42); /* the task went on, the handle is good */
    return 0;
}

static int go_wait_parked(void)
{
    int zero = 0;
    WEFT_GROUP (g, .limit = 1, .keep_ended = true) {
        struct bench b = { .group = &g };
        weft_ended ended;
        weft_go(&g, end_after_50, &zero);
        check_cut(call_go_wait, &b);
        WEFT_CHECK(weft_group_next(&g, &ended) == 1 && ended.index == 0 && ended.result == 42);
        WEFT_CHECK(weft_group_next(&g, &ended) == 0);
        WEFT_CHECK(weft_go(&g, succeed, NULL) == 0); /* its place was not lost */
    }
    return g.result;
}

/* ---- the first row, event and reason in one turn ---- */

struct turn {
    weft_queue *queue;
    weft_scope *scope;
    weft_task *gate; /* a task that ends when its own scope is cancelled */
    bool reason_first;
    int rc, next_rc, item;
};

static int get_in_scope(void *arg)
{
    struct turn *turn = arg;
    WEFT_TIMEOUT (s, WEFT_NO_LIMIT) {
        turn->scope = &s;
        turn->rc = weft_queue_get(turn->queue, &turn->item);
        turn->next_rc = weft_yield();
    }
    return 0;
}

/* Parks the getter, then gives it item and reason in one turn. */
static int run_get_turn(struct turn *turn)
{
    int item = 5;
    WEFT_GROUP (g) {
        weft_go(&g, get_in_scope, turn);
        WEFT_TRY(weft_yield());
        if (turn->reason_first)
            weft_cancel(turn->scope);
        WEFT_TRY(weft_queue_try_put(turn->queue, &item));
        weft_cancel(turn->scope);
    }
    return g.result;
}

static int get_turn_event_first(void)
{
    struct turn turn = { .queue = weft_queue_new(sizeof(int), 1) };
    WEFT_TRY(run_get_turn(&turn));
    WEFT_CHECK(turn.rc == 1 && turn.item == 5);
    WEFT_CHECK(turn.next_rc == WEFT_ECANCELED);
    WEFT_CHECK(weft_queue_count(turn.queue) == 0);
    weft_queue_free(turn.queue);
    return 0;
}

static int get_turn_reason_first(void)
{
    struct turn turn = { .queue = weft_queue_new(sizeof(int), 1), .reason_first = true };
    WEFT_TRY(run_get_turn(&turn));
    WEFT_CHECK(turn.rc == WEFT_ECANCELED && turn.item == 0);
    WEFT_CHECK(turn.next_rc == WEFT_ECANCELED);
    WEFT_CHECK(weft_queue_count(turn.queue) == 1);
    weft_queue_free(turn.queue);
    return 0;
}

static int put_in_scope(void *arg)
{
    struct turn *turn = arg;
    WEFT_TIMEOUT (s, WEFT_NO_LIMIT) {
        turn->scope = &s;
        turn->rc = weft_queue_put(turn->queue, &turn->item);
        turn->next_rc = weft_yield();
    }
    return 0;
}

static int run_put_turn(struct turn *turn)
{
    int item = 5;
    WEFT_TRY(weft_queue_try_put(turn->queue, &item));
    WEFT_GROUP (g) {
        weft_go(&g, put_in_scope, turn);
        WEFT_TRY(weft_yield());
        if (turn->reason_first)
            weft_cancel(turn->scope);
        WEFT_CHECK(weft_queue_try_get(turn->queue, &item) == 1 && item == 5);
        weft_cancel(turn->scope);
    }
    return g.result;
}

static int put_turn_event_first(void)
{
    struct turn turn = { .queue = weft_queue_new(sizeof(int), 1), .item = 6 };
    WEFT_TRY(run_put_turn(&turn));
    WEFT_CHECK(turn.rc == 0 && turn.next_rc == WEFT_ECANCELED);
    WEFT_CHECK(weft_queue_try_get(turn.queue, &turn.item) == 1 && turn.item == 6);
    weft_queue_free(turn.queue);
    return 0;
}

static int put_turn_reason_first(void)
{
    struct turn turn = { .queue = weft_queue_new(sizeof(int), 1), .item = 6, .reason_first = true };
    WEFT_TRY(run_put_turn(&turn));
    WEFT_CHECK(turn.rc == WEFT_ECANCELED && weft_queue_count(turn.queue) == 0);
    weft_queue_free(turn.queue);
    return 0;
}

/* A sleep and the deadline around it are due in one tick: whichever was set first settles it. */
static int sleep_turn(void)
{
    WEFT_TIMEOUT (limit, 10 * MS) {
        WEFT_CHECK(weft_sleep(10 * MS) == WEFT_EDEADLINE); /* the scope is older */
        WEFT_CHECK(limit.expired);
    }
    struct turn turn = { 0 };
    WEFT_GROUP (g) {
        weft_duration start = weft_now();
        WEFT_TIMEOUT (later, WEFT_NO_LIMIT) {
            weft_go(&g, cancel_scope_later, &later); /* its sleep is set later, and so struck later */
            turn.rc = weft_sleep(10 * MS);
            turn.next_rc = weft_yield();
            WEFT_CHECK(weft_now() == start + 10 * MS);
        }
    }
    WEFT_CHECK(turn.rc == 0 && turn.next_rc == WEFT_ECANCELED);
    return g.result;
}

static int await_in_scope(void *arg)
{
    struct turn *turn = arg;
    WEFT_TIMEOUT (s, WEFT_NO_LIMIT) {
        turn->scope = &s;
        turn->rc = weft_await(turn->gate);
        turn->next_rc = weft_yield();
    }
    return 0;
}

static int wait_for_item(void *arg)
{
    int item;
    int rc = weft_queue_get((weft_queue *)arg, &item);
    return rc < 0 ? rc : item;
}

static int await_turn(void)
{
    for (int reason_first = 0; reason_first < 2; reason_first++) {
        struct turn turn = { .queue = weft_queue_new(sizeof(int), 1) };
        int item = 5;
        WEFT_GROUP (g) {
            WEFT_TRY(weft_spawn(&turn.gate, wait_for_item, turn.queue));
            weft_go(&g, await_in_scope, &turn);
            WEFT_TRY(weft_sleep(1 * MS));
            WEFT_TRY(weft_queue_try_put(turn.queue, &item)); /* the task ends in the next round, before us */
            if (reason_first)
                weft_cancel(turn.scope);
            WEFT_TRY(weft_yield());
            weft_cancel(turn.scope);
            if (reason_first)
                WEFT_CHECK(weft_await(turn.gate) == 5);
        }
        WEFT_CHECK(turn.rc == (reason_first ? WEFT_ECANCELED : 5) && turn.next_rc == WEFT_ECANCELED);
        WEFT_TRY(g.result);
        weft_queue_free(turn.queue);
    }
    return 0;
}

struct place {
    weft_group *group;
    weft_scope *scope;
    int rc, next_rc, ran;
};

static int count_run(void *arg)
{
    ((struct place *)arg)->ran++;
    return 0;
}

static int go_wait_in_scope(void *arg)
{
    struct place *place = arg;
    WEFT_TIMEOUT (s, WEFT_NO_LIMIT) {
        place->scope = &s;
        place->rc = weft_go_wait(place->group, count_run, place);
        place->next_rc = weft_yield();
    }
    return 0;
}

static int go_wait_turn(void)
{
    for (int reason_first = 0; reason_first < 2; reason_first++) {
        struct place place = { 0 };
        weft_queue *queue = weft_queue_new(sizeof(int), 1);
        int item = 0;
        WEFT_GROUP (others) {
            WEFT_GROUP (g, .limit = 1) {
                place.group = &g;
                weft_go(&g, wait_for_item, queue);
                weft_go(&others, go_wait_in_scope, &place);
                WEFT_TRY(weft_sleep(1 * MS));
                WEFT_TRY(weft_queue_try_put(queue, &item));
                if (reason_first)
                    weft_cancel(place.scope);
                WEFT_TRY(weft_yield()); /* the place is free now, and given to who waits for it */
                weft_cancel(place.scope);
                WEFT_TRY(weft_yield());
            }
        }
        WEFT_CHECK(place.rc == (reason_first ? WEFT_ECANCELED : 0) && place.next_rc == WEFT_ECANCELED);
        WEFT_CHECK(place.ran == !reason_first);
        weft_queue_free(queue);
    }
    return 0;
}

static const weft_test tests[] = {
    { "sleep / reason there before: one trip, refused", sleep_before },
    { "yield / reason there before: one trip, refused", yield_before },
    { "queue get / reason there before: one trip, refused, takes nothing", get_before },
    { "queue put / reason there before: one trip, refused, puts nothing", put_before },
    { "await / reason there before: one trip, refused, handle stays good", await_before },
    { "go_wait / reason there before: one trip, refused, starts nothing", go_wait_before },
    { "sleep / reason while parked: withdrawn, the outermost", sleep_parked },
    { "yield / reason while ready: returns it", yield_parked },
    { "queue get / reason while parked: withdrawn, the outermost", get_parked },
    { "queue put / reason while parked: withdrawn, the outermost", put_parked },
    { "await / reason while parked: withdrawn, the outermost", await_parked },
    { "go_wait / reason while parked: withdrawn, the outermost", go_wait_parked },
    { "sleep / event and reason in one turn: first settler wins", sleep_turn },
    { "queue get / event, then reason in one turn: keeps it, next refused", get_turn_event_first },
    { "queue get / reason, then event in one turn: takes nothing", get_turn_reason_first },
    { "queue put / event, then reason in one turn: it is in, next refused", put_turn_event_first },
    { "queue put / reason, then event in one turn: it is not in", put_turn_reason_first },
    { "await / event and reason in one turn: first settler wins", await_turn },
    { "go_wait / event and reason in one turn: first settler wins", go_wait_turn },
};

TEST_MAIN(tests)
