/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Locks, conditions, blocks that hold something, events, barriers: what they do. */
#include <weft/barrier.h>
#include <weft/event.h>
#include <weft/lock.h>
#include <weft/semaphore.h>

#include "tests/core/core.h"

/* ---- locks ---- */

struct account {
    weft_lock lock;
    weft_condition changed;
    int balance, inside;
};

static int add_slowly(void *arg)
{
    struct account *a = arg;
    for (int i = 0; i < 10; i++) {
        WEFT_LOCKED (held, &a->lock) {
            WEFT_CHECK(a->inside++ == 0 && weft_lock_owner(&a->lock) == weft_task_self());
            int before = a->balance;
            WEFT_TRY(weft_sleep(1 * MS));
            a->balance = before + 1;
            a->inside--;
        }
        WEFT_TRY(held.result);
    }
    return 0;
}

static int one_at_a_time(void)
{
    struct account a = { 0 };
    weft_lock_init(&a.lock);
    WEFT_GROUP (g) {
        for (int i = 0; i < 5; i++)
            weft_go(&g, add_slowly, &a);
    }
    WEFT_CHECK(a.balance == 50 && weft_now() == 50 * MS);
    weft_lock_close(&a.lock);
    return g.result;
}

static int return_from_block(weft_lock *l)
{
    WEFT_LOCKED (held, l) {
        return 42;
    }
    return 0;
}

static int fail_in_block(weft_lock *l)
{
    WEFT_LOCKED (held, l) {
        WEFT_TRY(-EIO);
    }
    return 0;
}

/* However a block is left, the lock is free, and the place is back. */
static int blocks_release(void)
{
    weft_lock l;
    weft_semaphore s;
    int runs = 0;
    weft_lock_init(&l);
    weft_semaphore_init(&s, 1);
    for (int i = 0; i < 4; i++) {
        WEFT_LOCKED (held, &l) {
            runs++;
            if (i == 0)
                continue;
            if (i == 1)
                break;
            WEFT_CHECK(weft_lock_owner(&l) == weft_task_self());
            if (i == 2)
                goto out;
        }
    out:
        WEFT_CHECK(held.result == 0 && !weft_lock_owner(&l));
        WEFT_PLACE (place, &s) {
            WEFT_CHECK(weft_semaphore_count(&s) == 0);
            runs++;
            if (i % 2)
                break;
        }
        WEFT_CHECK(place.result == 0 && weft_semaphore_count(&s) == 1);
    }
    WEFT_CHECK(runs == 8 && return_from_block(&l) == 42 && fail_in_block(&l) == -EIO && !weft_lock_owner(&l));
    WEFT_TIMEOUT (limit, 0) {
        WEFT_LOCKED (held, &l) {
            runs = -1;
        }
        WEFT_PLACE (place, &s) {
            runs = -1;
        }
        WEFT_CHECK(held.result == WEFT_EDEADLINE && place.result == WEFT_EDEADLINE && runs == 8);
    }
    WEFT_CHECK(!weft_lock_owner(&l) && weft_semaphore_count(&s) == 1);
    weft_lock_close(&l);
    weft_semaphore_close(&s);
    return 0;
}

static int draw_money(void *arg)
{
    struct account *a = arg;
    WEFT_LOCKED (held, &a->lock) {
        while (a->balance < 10)
            WEFT_TRY(weft_condition_wait(&a->changed));
        a->balance -= 10;
    }
    return held.result;
}

static int condition_one_and_all(void)
{
    struct account a = { 0 };
    weft_lock_init(&a.lock);
    weft_condition_init(&a.changed, &a.lock);
    weft_condition_signal(&a.changed); /* lost: nobody waits */
    WEFT_GROUP (g) {
        for (int i = 0; i < 4; i++)
            weft_go(&g, draw_money, &a);
        WEFT_TRY(weft_yield());
        a.balance = 10;
        weft_condition_signal(&a.changed);
        WEFT_TRY(weft_yield());
        WEFT_CHECK(a.balance == 0);
        WEFT_LOCKED (held, &a.lock) { /* held while it is signalled: they wait for the lock then */
            a.balance = 30;
            weft_condition_broadcast(&a.changed);
            WEFT_TRY(weft_sleep(5 * MS));
            WEFT_CHECK(a.balance == 30);
        }
    }
    WEFT_CHECK(a.balance == 0);
    weft_condition_close(&a.changed);
    weft_lock_close(&a.lock);
    return g.result;
}

struct cut_under_lock {
    struct account account;
    weft_scope *scope;
    int rc;
    weft_duration ended;
};

static int wait_for_change(void *arg)
{
    struct cut_under_lock *c = arg;
    WEFT_TIMEOUT (s, WEFT_NO_LIMIT) {
        c->scope = &s;
        WEFT_LOCKED (held, &c->account.lock) {
            c->rc = weft_condition_wait(&c->account.changed);
            WEFT_CHECK(weft_lock_owner(&c->account.lock) == weft_task_self());
        }
    }
    c->ended = weft_now();
    return 0;
}

/* Cut short while another task has the lock, before a signal and after it: in both cases it waits for the lock, uncut. */
static int condition_cut_waits_for_the_lock(void)
{
    for (int is_signalled = 0; is_signalled < 2; is_signalled++) {
        struct cut_under_lock c = { .rc = 1 };
        weft_duration start = weft_now();
        weft_lock_init(&c.account.lock);
        weft_condition_init(&c.account.changed, &c.account.lock);
        WEFT_GROUP (g) {
            weft_go(&g, wait_for_change, &c);
            WEFT_TRY(weft_yield());
            WEFT_LOCKED (held, &c.account.lock) {
                if (is_signalled)
                    weft_condition_signal(&c.account.changed);
                weft_cancel(c.scope);
                WEFT_TRY(weft_sleep(10 * MS));
                WEFT_CHECK(c.rc == 1);
            }
        }
        WEFT_CHECK(c.rc == (is_signalled ? 0 : WEFT_ECANCELED) && c.ended == start + 10 * MS);
        WEFT_CHECK(!weft_lock_owner(&c.account.lock));
        weft_condition_close(&c.account.changed);
        weft_lock_close(&c.account.lock);
    }
    return 0;
}

/* ---- events ---- */

struct crowd {
    weft_event event;
    int woken;
};

static int wait_twice(void *arg)
{
    struct crowd *crowd = arg;
    for (int i = 0; i < 2; i++) {
        WEFT_TRY(weft_event_wait(&crowd->event));
        crowd->woken++;
    }
    return 0;
}

/* Setting wakes all, also when it is cleared in the same breath; then they wait for the next. */
static int event_wakes_all(void)
{
    struct crowd crowd = { .woken = 0 };
    weft_event_init(&crowd.event);
    WEFT_GROUP (g) {
        for (int i = 0; i < 5; i++)
            weft_go(&g, wait_twice, &crowd);
        WEFT_TRY(weft_yield());
        weft_event_set(&crowd.event);
        weft_event_clear(&crowd.event);
        WEFT_CHECK(!weft_event_is_set(&crowd.event));
        WEFT_TRY(weft_sleep(1 * MS));
        WEFT_CHECK(crowd.woken == 5);
        weft_event_set(&crowd.event);
        weft_event_set(&crowd.event);
    }
    WEFT_CHECK(crowd.woken == 10 && weft_event_wait(&crowd.event) == 0);
    weft_event_close(&crowd.event);
    return g.result;
}

/* ---- barrier ---- */

struct runners {
    weft_barrier barrier;
    int leaders, arrived, broken;
};

static int run_laps(void *arg)
{
    struct runners *r = arg;
    for (int lap = 1; lap <= 5; lap++) {
        r->arrived++;
        int rc = weft_barrier_wait(&r->barrier);
        WEFT_TRY(rc);
        WEFT_CHECK(r->arrived >= 4 * lap);
        r->leaders += rc;
    }
    return 0;
}

static int barrier_again_and_again(void)
{
    struct runners r = { 0 };
    weft_barrier_init(&r.barrier, 4);
    WEFT_GROUP (g) {
        for (int i = 0; i < 4; i++)
            weft_go(&g, run_laps, &r);
    }
    WEFT_CHECK(r.leaders == 5 && r.arrived == 20 && weft_barrier_count(&r.barrier) == 0);
    weft_barrier_close(&r.barrier);
    weft_barrier_init(&r.barrier, 1);
    WEFT_CHECK(weft_barrier_wait(&r.barrier) == 1);
    weft_barrier_close(&r.barrier);
    return g.result;
}

static int meet(void *arg)
{
    struct runners *r = arg;
    int rc = weft_barrier_wait(&r->barrier);
    r->broken += rc == WEFT_ECLOSED;
    r->leaders += rc == 1;
    return 0;
}

static int barrier_broken_and_reset(void)
{
    struct runners r = { 0 };
    weft_barrier_init(&r.barrier, 3);
    WEFT_GROUP (g) {
        weft_go(&g, meet, &r);
        weft_go(&g, meet, &r);
        WEFT_TRY(weft_yield());
        weft_barrier_break(&r.barrier);
        WEFT_CHECK(weft_barrier_wait(&r.barrier) == WEFT_ECLOSED && weft_barrier_count(&r.barrier) == 0);
        weft_barrier_reset(&r.barrier);
        weft_go(&g, meet, &r);
        WEFT_TRY(weft_yield());
        WEFT_CHECK(r.broken == 2 && weft_barrier_count(&r.barrier) == 1);
        weft_barrier_reset(&r.barrier);
        WEFT_TRY(weft_yield());
        WEFT_CHECK(r.broken == 3);
        for (int i = 0; i < 3; i++)
            weft_go(&g, meet, &r);
    }
    WEFT_CHECK(r.broken == 3 && r.leaders == 1);
    weft_barrier_close(&r.barrier);
    return g.result;
}

static const weft_test tests[] = {
    TEST(one_at_a_time),
    TEST(blocks_release),
    TEST(condition_one_and_all),
    TEST(condition_cut_waits_for_the_lock),
    TEST(event_wakes_all),
    TEST(barrier_again_and_again),
    TEST(barrier_broken_and_reset),
};

TEST_MAIN(tests)
