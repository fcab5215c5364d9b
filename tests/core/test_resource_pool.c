/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Pools of resources. A resource counts itself: never more than the limit are open, each is in one hand at a time, and in the
 * end as many are closed as were opened. A stress does everything at random under deadlines and cancellations.
 */
#include <weft/pool.h>

#include "lib/base/random.h"
#include "tests/core/child.h"
#include "tests/core/tools.h"

struct world {
    int now, most, opened, closed, checked, next_number;
    int open_time, close_time, check_time; /* ms */
    int open_error, wrong;
    int is_broken; /* number of a resource whose check fails; -1: of all */
};

struct resource {
    struct world *world;
    int number, users;
};

static int open_resource(void *resource, void *arg)
{
    struct world *w = arg;
    struct resource *r = resource;
    if (++w->now > w->most)
        w->most = w->now;
    int rc = w->open_time ? weft_sleep(w->open_time * MS) : 0;
    rc = rc < 0 ? rc : w->open_error;
    if (rc < 0) {
        w->now--;
        return rc;
    }
    *r = (struct resource){ .world = w, .number = ++w->next_number };
    w->opened++;
    return 0;
}

static void close_resource(void *resource, void *arg)
{
    struct world *w = arg;
    struct resource *r = resource;
    w->wrong += r->users != 0 || r->world != w;
    if (w->close_time && weft_sleep(w->close_time * MS) < 0)
        w->wrong++; /* it is shielded */
    r->world = NULL;
    w->closed++;
    w->now--;
}

static int check_resource(void *resource, void *arg)
{
    struct world *w = arg;
    const struct resource *r = resource;
    w->checked++;
    if (w->check_time)
        WEFT_TRY(weft_sleep(w->check_time * MS));
    return w->is_broken == -1 || w->is_broken == r->number ? -EPIPE : 0;
}

static bool is_balanced(const struct world *w)
{
    bool ok = w->now == 0 && w->opened == w->closed && w->wrong == 0;
    if (!ok)
        printf("# %d are open; %d opened, %d closed, %d wrong\n", w->now, w->opened, w->closed, w->wrong);
    return ok;
}

#define OPEN(pool, world, ...)                                                                                                 \
    weft_pool_open((pool), struct resource, open_resource, close_resource, .arg = (world), __VA_ARGS__)

struct user {
    weft_pool *pool;
    int hold; /* ms */
    int rc, number;
    bool is_broken;
};

static int use(void *arg)
{
    struct user *u = arg;
    WEFT_POOLED (held, u->pool) {
        struct resource *r = held.resource;
        r->world->wrong += r->users++ != 0;
        u->number = r->number;
        int rc = u->hold ? weft_sleep(u->hold * MS) : 0;
        r->users--;
        held.is_broken = u->is_broken || rc < 0;
    }
    u->rc = held.result;
    return 0;
}

/* ---- lending ---- */

static int opened_when_needed_and_lent_again(void)
{
    struct world w = { 0 };
    weft_pool *pool;
    struct resource *a, *b, *c;
    WEFT_TRY(OPEN(&pool, &w, .limit = 3));
    WEFT_CHECK(w.opened == 0 && weft_pool_count(pool).open == 0);
    WEFT_TRY(weft_pool_acquire(pool, &a));
    WEFT_TRY(weft_pool_acquire(pool, &b));
    WEFT_CHECK(a->number == 1 && b->number == 2 && ((uintptr_t)a & 15) == 0 && ((uintptr_t)b & 15) == 0);
    weft_pool_release(pool, a);
    weft_pool_release(pool, b);
    weft_pool_counts counts = weft_pool_count(pool);
    WEFT_CHECK(counts.open == 2 && counts.idle == 2 && counts.waiting == 0);
    WEFT_TRY(weft_pool_acquire(pool, &c));
    WEFT_CHECK(c == b && w.opened == 2); /* the latest first */
    weft_pool_release(pool, c);
    WEFT_CHECK(weft_pool_acquire_(pool, &c, 1) == -EINVAL);
    WEFT_CHECK(weft_pool_close(pool) == 0 && is_balanced(&w) && weft_pool_close(NULL) == 0);
    return 0;
}

static int never_more_than_the_limit_and_in_turn(void)
{
    struct world w = { .open_time = 5, .close_time = 5 };
    struct user users[20];
    weft_pool *pool;
    WEFT_TRY(OPEN(&pool, &w, .limit = 3));
    WEFT_GROUP (g) {
        for (int i = 0; i < 20; i++) {
            users[i] = (struct user){ .pool = pool, .hold = 10, .is_broken = i % 3 == 0 };
            weft_go(&g, use, &users[i]);
        }
        WEFT_TRY(weft_sleep(MS));
        WEFT_CHECK(weft_pool_count(pool).waiting == 17 && weft_pool_count(pool).open == 3);
    }
    for (int i = 0; i < 20; i++)
        WEFT_CHECK(users[i].rc == 0 && users[i].number > 0);
    WEFT_CHECK(w.most == 3 && w.opened >= 7);
    WEFT_CHECK(weft_pool_close(pool) == 0 && is_balanced(&w));
    return g.result;
}

struct turn {
    weft_pool *pool;
    int *next, number;
};

static int take_turn(void *arg)
{
    const struct turn *t = arg;
    WEFT_POOLED (held, t->pool) {
        WEFT_CHECK((*t->next)++ == t->number);
        WEFT_TRY(weft_sleep(MS));
    }
    return held.result;
}

static int first_come_first_served(void)
{
    struct world w = { 0 };
    weft_pool *pool;
    int next = 0;
    WEFT_TRY(OPEN(&pool, &w, .limit = 1));
    WEFT_GROUP (g) {
        for (int i = 0; i < 10; i++) {
            weft_go_copy(&g, take_turn, (&(struct turn){ pool, &next, i }));
            WEFT_TRY(weft_yield());
        }
    }
    WEFT_CHECK(next == 10 && w.opened == 1 && weft_pool_close(pool) == 0);
    return g.result;
}

static int the_minimum_is_opened_at_once(void)
{
    struct world w = { .open_time = 10 };
    weft_pool *pool = NULL;
    WEFT_TRY(OPEN(&pool, &w, .limit = 5, .minimum = 2));
    WEFT_CHECK(w.opened == 2 && weft_pool_count(pool).idle == 2);
    WEFT_CHECK(weft_pool_close(pool) == 0 && is_balanced(&w));
    w.open_error = -ECONNREFUSED;
    pool = NULL;
    WEFT_CHECK(OPEN(&pool, &w, .limit = 5, .minimum = 2) == -ECONNREFUSED && !pool && is_balanced(&w));
    WEFT_CHECK(OPEN(&pool, &w, .limit = 5, .minimum = 6) == -EINVAL && !pool);
    WEFT_CHECK(OPEN(&pool, &w, .limit = 100000) == -EINVAL && !pool);
    WEFT_CHECK(weft_pool_open(&pool, struct resource, NULL, close_resource) == -EINVAL && !pool);
    w.open_error = 0;
    WEFT_TIMEOUT (limit, 15 * MS) {
        WEFT_CHECK(OPEN(&pool, &w, .minimum = 3) == WEFT_EDEADLINE && !pool && is_balanced(&w)); /* one was open already */
    }
    return 0;
}

static int acquiring_has_a_deadline(void)
{
    struct world w = { 0 };
    weft_pool *pool;
    struct resource *a, *b = NULL;
    WEFT_TRY(OPEN(&pool, &w, .limit = 1, .acquire_timeout = 100 * MS));
    WEFT_TRY(weft_pool_acquire(pool, &a));
    WEFT_CHECK(weft_pool_acquire(pool, &b) == WEFT_EDEADLINE && !b && weft_now() == 100 * MS);
    WEFT_TIMEOUT (limit, 10 * MS) {
        WEFT_CHECK(weft_pool_acquire(pool, &b) == WEFT_EDEADLINE && !b);
    }
    WEFT_CHECK(limit.expired && weft_now() == 110 * MS && weft_pool_count(pool).waiting == 0);
    weft_pool_release(pool, a);
    WEFT_TRY(weft_pool_acquire(pool, &b)); /* nobody has taken it who was cut short */
    WEFT_TRY(weft_sleep(WEFT_SECOND));     /* the limit is for the acquiring alone */
    weft_pool_release(pool, b);
    return weft_pool_close(pool);
}

/* ---- both in one turn ---- */

struct waiter {
    weft_pool *pool;
    weft_scope scope;
    int rc, next_rc;
    struct resource *got;
};

static int wait_in_scope(void *arg)
{
    struct waiter *w = arg;
    w->scope = (weft_scope){ .timeout = WEFT_NO_LIMIT };
    weft_scope_open(&w->scope);
    w->rc = weft_pool_acquire(w->pool, &w->got);
    w->next_rc = weft_yield();
    if (w->rc == 0)
        weft_pool_release(w->pool, w->got);
    weft_scope_close(&w->scope);
    return 0;
}

/* Two wait; the first is cut short before or after what it waits for comes back, sound or broken. */
static int release_and_reason(bool reason_first, bool is_broken)
{
    struct world w = { 0 };
    weft_pool *pool;
    struct resource *a;
    WEFT_TRY(OPEN(&pool, &w, .limit = 1));
    struct waiter first = { .pool = pool }, second = { .pool = pool };
    WEFT_TRY(weft_pool_acquire(pool, &a));
    WEFT_GROUP (g) {
        weft_go(&g, wait_in_scope, &first);
        weft_go(&g, wait_in_scope, &second);
        WEFT_TRY(weft_yield());
        if (reason_first)
            weft_cancel(&first.scope);
        if (is_broken)
            weft_pool_discard(pool, a);
        else
            weft_pool_release(pool, a);
        weft_cancel(&first.scope);
    }
    bool is_served = !reason_first && !is_broken; /* to open a new one would be to go on waiting */
    WEFT_CHECK(first.rc == (is_served ? 0 : WEFT_ECANCELED) && first.next_rc == WEFT_ECANCELED);
    WEFT_CHECK(second.rc == 0 && second.next_rc == 0 && w.opened == 1 + is_broken);
    WEFT_CHECK(weft_pool_close(pool) == 0 && is_balanced(&w));
    return g.result;
}

static int who_is_served_first_keeps_it(void)
{
    for (int i = 0; i < 4; i++)
        WEFT_TRY(release_and_reason(i & 1, i & 2));
    return 0;
}

/* ---- broken ones ---- */

static int broken_ones_are_replaced(void)
{
    struct world w = { .close_time = 10 };
    weft_pool *pool;
    struct resource *a;
    WEFT_TRY(OPEN(&pool, &w, .limit = 1));
    WEFT_TRY(weft_pool_acquire(pool, &a));
    WEFT_CHECK(a->number == 1);
    weft_pool_discard(pool, a);
    WEFT_CHECK(w.closed == 1 && weft_now() == 10 * MS && weft_pool_count(pool).open == 0);
    struct user u = { .pool = pool, .is_broken = true };
    WEFT_CHECK(use(&u) == 0 && u.rc == 0 && u.number == 2 && w.closed == 2);
    u.is_broken = false;
    WEFT_CHECK(use(&u) == 0 && u.rc == 0 && u.number == 3 && w.closed == 2);
    return weft_pool_close(pool);
}

static int the_right_to_open_is_handed_on(void)
{
    struct world w = { .open_time = 5, .close_time = 5 };
    weft_pool *pool;
    WEFT_TRY(OPEN(&pool, &w, .limit = 1));
    struct user users[3] = { { pool, 10, 1, 0, true }, { pool, 10, 1, 0, false }, { pool, 10, 1, 0, false } };
    WEFT_GROUP (g) {
        for (int i = 0; i < 3; i++)
            weft_go(&g, use, &users[i]);
    }
    WEFT_CHECK(users[0].number == 1 && users[1].number == 2 && users[2].number == 2 && w.most == 1);
    WEFT_CHECK(weft_now() == (5 + 10 + 5 + 5 + 10 + 10) * MS);
    w.open_error = -ECONNREFUSED;
    struct resource *a;
    WEFT_TRY(weft_pool_acquire(pool, &a));
    WEFT_GROUP (h) {
        for (int i = 0; i < 3; i++)
            weft_go(&h, use, &users[i]);
        WEFT_TRY(weft_yield());
        weft_pool_discard(pool, a);
    }
    for (int i = 0; i < 3; i++) /* each in its turn is told why, and nobody waits for ever */
        WEFT_CHECK(users[i].rc == -ECONNREFUSED);
    WEFT_CHECK(weft_pool_close(pool) == 0 && is_balanced(&w));
    return g.result;
}

static int what_was_idle_is_checked(void)
{
    struct world w = { .check_time = 10 };
    weft_pool *pool;
    struct user u = { 0 };
    WEFT_TRY(OPEN(&pool, &w, .limit = 2, .check = check_resource, .check_after = WEFT_SECOND));
    u.pool = pool;
    WEFT_TRY(use(&u));
    WEFT_TRY(use(&u));
    WEFT_CHECK(w.checked == 0 && u.number == 1); /* a new one, and one that was idle for a moment */
    WEFT_TRY(weft_sleep(2 * WEFT_SECOND));
    WEFT_TRY(use(&u));
    WEFT_CHECK(w.checked == 1 && u.number == 1);
    WEFT_TRY(weft_sleep(2 * WEFT_SECOND));
    w.is_broken = 1;
    WEFT_TRY(use(&u));
    WEFT_CHECK(w.checked == 2 && u.number == 2 && w.closed == 1);
    return weft_pool_close(pool);
}

static int a_check_that_is_cut_short(void)
{
    struct world w = { .check_time = 1000, .close_time = 5 };
    weft_pool *pool;
    struct resource *a = NULL;
    WEFT_TRY(OPEN(&pool, &w, .limit = 1, .minimum = 1, .check = check_resource));
    WEFT_TIMEOUT (limit, 10 * MS) {
        WEFT_CHECK(weft_pool_acquire(pool, &a) == WEFT_EDEADLINE && !a);
    }
    WEFT_CHECK(w.closed == 1 && w.opened == 1 && weft_pool_count(pool).open == 0); /* it stood in the middle of something */
    w.check_time = 0;
    WEFT_TRY(weft_pool_acquire(pool, &a));
    weft_pool_release(pool, a);
    return weft_pool_close(pool);
}

/* ---- time ---- */

static int use_at_once(weft_pool *pool, int count)
{
    struct user users[8];
    WEFT_GROUP (g) {
        for (int i = 0; i < count; i++) {
            users[i] = (struct user){ .pool = pool, .hold = 1 };
            weft_go(&g, use, &users[i]);
        }
    }
    return g.result;
}

static int idle_ones_are_closed_down_to_the_minimum(void)
{
    struct world w = { .close_time = 5 };
    weft_pool *pool;
    WEFT_TRY(OPEN(&pool, &w, .limit = 8, .minimum = 2, .idle_timeout = WEFT_SECOND));
    WEFT_TRY(use_at_once(pool, 6));
    WEFT_CHECK(weft_pool_count(pool).idle == 6);
    WEFT_TRY(weft_sleep(500 * MS));
    WEFT_TRY(use_at_once(pool, 4));
    WEFT_TRY(weft_sleep(550 * MS));
    WEFT_CHECK(w.closed == 2 && weft_pool_count(pool).open == 4); /* those that were not needed since */
    WEFT_TRY(weft_sleep(10 * WEFT_SECOND));
    WEFT_CHECK(w.closed == 4 && weft_pool_count(pool).open == 2);
    WEFT_TRY(use_at_once(pool, 1));
    WEFT_CHECK(w.opened == 7); /* what was idle for so long is not lent, also if it was kept */
    WEFT_CHECK(weft_pool_close(pool) == 0 && is_balanced(&w));
    return 0;
}

/* In real time, where the clock is read once a turn: one that comes back after its user has held the loop is not idle since
 * the turn began. */
static int held_then_idle(void *arg)
{
    enum { HELD = 300, TICK = 10 /* at most, the kernel's */ };
    struct world w = { 0 };
    weft_pool *pool;
    struct resource *resource;
    (void)arg;
    WEFT_TRY(OPEN(&pool, &w, .limit = 1, .idle_timeout = 200 * MS));
    WEFT_TRY(weft_pool_acquire(pool, &resource));
    weft_duration until = weft_now() + HELD * MS;
    while (weft_now() < until)
        ;
    weft_duration released = weft_now();
    weft_pool_release(pool, resource);
    while (w.closed == 0)
        WEFT_TRY(weft_sleep(1 * MS));
    WEFT_CHECK(weft_now() - released >= (200 - TICK) * MS);
    return weft_pool_close(pool);
}

static int idle_since_it_came_back(void)
{
    return weft_test_run(held_then_idle, NULL, NULL, .real_time = true);
}

static int old_ones_are_not_lent_again(void)
{
    struct world w = { 0 };
    weft_pool *pool;
    struct user u = { .hold = 1 };
    WEFT_TRY(OPEN(&pool, &w, .limit = 1, .lifetime = WEFT_SECOND, .idle_timeout = WEFT_NO_LIMIT));
    u.pool = pool;
    WEFT_TRY(use(&u));
    WEFT_CHECK(u.number == 1);
    WEFT_TRY(weft_sleep(WEFT_SECOND));
    WEFT_TRY(use(&u));
    WEFT_CHECK(u.number == 2 && w.closed == 1);
    u.hold = 2000;
    WEFT_TRY(use(&u));
    WEFT_CHECK(u.number == 2 && w.closed == 2 && weft_pool_count(pool).open == 0); /* closed when it came back */
    return weft_pool_close(pool);
}

/* ---- the end ---- */

static int close_pool(void *arg)
{
    struct user *u = arg;
    u->rc = weft_pool_close(u->pool);
    u->number = (int)(weft_now() / MS);
    return 0;
}

static int close_waits_for_those_that_are_out(void)
{
    struct world w = { .close_time = 5 };
    weft_pool *pool;
    WEFT_TRY(OPEN(&pool, &w, .limit = 1));
    struct user holder = { .pool = pool, .hold = 50 }, waiter = { .pool = pool }, closer = { .pool = pool };
    WEFT_GROUP (g) {
        weft_go(&g, use, &holder);
        WEFT_TRY(weft_yield());
        weft_go(&g, use, &waiter);
        WEFT_TRY(weft_yield());
        weft_go(&g, close_pool, &closer);
        WEFT_TRY(weft_yield());
        struct resource *a;
        WEFT_CHECK(weft_pool_acquire(pool, &a) == WEFT_ECLOSED);
    }
    WEFT_CHECK(waiter.rc == WEFT_ECLOSED && holder.rc == 0 && closer.rc == 0 && closer.number == 55 && is_balanced(&w));
    return g.result;
}

static int a_close_that_is_cut_short_leaves_it_to_the_last(void)
{
    struct world w = { .close_time = 5 };
    weft_pool *pool;
    WEFT_TRY(OPEN(&pool, &w, .limit = 3, .minimum = 3));
    struct user holders[2] = { { .pool = pool, .hold = 50 }, { .pool = pool, .hold = 70 } };
    WEFT_GROUP (g) {
        weft_go(&g, use, &holders[0]);
        weft_go(&g, use, &holders[1]);
        WEFT_TRY(weft_yield());
        WEFT_TIMEOUT (limit, 20 * MS) {
            WEFT_CHECK(weft_pool_close(pool) == WEFT_EDEADLINE && w.closed == 1);
        }
    }
    WEFT_CHECK(is_balanced(&w) && weft_now() == 75 * MS);
    WEFT_TIMEOUT (limit, -1) { /* cut short before: what is idle is closed all the same */
        WEFT_SHIELD (s, WEFT_SECOND) {
            WEFT_TRY(OPEN(&pool, &w, .minimum = 2));
        }
        WEFT_CHECK(weft_pool_close(pool) == 0 && is_balanced(&w));
    }
    return g.result;
}

static int one_is_closed_for_being_idle_meanwhile(void)
{
    struct world w = { .close_time = 50 };
    weft_pool *pool;
    WEFT_TRY(OPEN(&pool, &w, .idle_timeout = 10 * MS));
    WEFT_TRY(use_at_once(pool, 2));
    WEFT_TRY(weft_sleep(20 * MS));
    WEFT_CHECK(w.now == 2 && weft_pool_count(pool).idle == 1); /* the first is being closed */
    WEFT_CHECK(weft_pool_close(pool) == 0 && is_balanced(&w));
    return 0;
}

static int how_a_block_is_left(void)
{
    struct world w = { 0 };
    weft_pool *pool;
    WEFT_TRY(OPEN(&pool, &w, .limit = 1));
    for (int i = 0; i < 2; i++) {
        WEFT_POOLED (held, pool) {
            held.is_broken = i == 1;
            break;
        }
        WEFT_CHECK(held.result == 0 && w.closed == i);
    }
    w.open_error = -ENOENT;
    bool has_run = false;
    WEFT_POOLED (held, pool) {
        has_run = true;
    }
    WEFT_CHECK(!has_run && held.result == -ENOENT);
    return weft_pool_close(pool);
}

/* ---- misuse ---- */

static int release_twice_task(void *arg)
{
    struct world w = { 0 };
    weft_pool *pool;
    struct resource *a;
    WEFT_TRY(OPEN(&pool, &w, .limit = 2));
    WEFT_TRY(weft_pool_acquire(pool, &a));
    weft_pool_release(pool, a);
    weft_pool_release(pool, arg ? arg : a);
    return 0;
}

static int release_twice(void)
{
    return weft_run(release_twice_task, NULL);
}

static int release_another(void)
{
    static struct resource other[2];
    return weft_run(release_twice_task, &other[1]);
}

static int misuse_is_told(void)
{
    child twice = child_run(release_twice), another = child_run(release_another);
    WEFT_CHECK(child_was_killed_by(&twice, SIGABRT) && strstr(twice.error, "what is released to a pool is not out, in task"));
    WEFT_CHECK(child_was_killed_by(&another, SIGABRT) && strstr(another.error, "what is released to a pool is not of it"));
    return 0;
}

/* ---- stress ---- */

enum { ACTORS = 6, STEPS = 6 };

struct stress {
    struct world world;
    weft_pool *pool;
    uint64_t random;
    int got;
    bool has_begun, is_closed, has_ended;
};

static uint64_t below(struct stress *s, uint64_t bound)
{
    return weft_random_below(&s->random, bound);
}

static int use_one(struct stress *s)
{
    int rc = 0;
    WEFT_POOLED (held, s->pool) {
        struct resource *r = held.resource;
        s->got++;
        s->world.wrong += r->users++ != 0 || r->world != &s->world;
        rc = weft_sleep((weft_duration)below(s, 4) * MS);
        r->users--;
        held.is_broken = below(s, 4) == 0;
        if (below(s, 3) == 0)
            return rc;
    }
    s->world.wrong += held.result < 0 && held.result != WEFT_ECANCELED && held.result != WEFT_EDEADLINE &&
                      held.result != WEFT_ECLOSED && held.result != -EIO;
    return held.result < 0 ? held.result : rc;
}

static int act(void *arg)
{
    struct stress *s = arg;
    for (int i = 0; i < STEPS && !s->is_closed; i++) {
        s->world.open_error = below(s, 6) ? 0 : -EIO;
        s->world.is_broken = below(s, 4) ? 0 : -1;
        WEFT_TIMEOUT (limit, (weft_duration)below(s, 30) * MS) {
            int rc = use_one(s);
            (void)rc;
        }
        WEFT_TRY(weft_sleep((weft_duration)below(s, 12) * MS));
    }
    return 0;
}

static int run_stress(void *arg)
{
    struct stress *s = arg;
    s->world.open_time = (int)below(s, 3);
    s->world.close_time = (int)below(s, 3);
    s->world.check_time = (int)below(s, 3);
    s->has_begun = true;
    int rc = OPEN(&s->pool, &s->world, .limit = 1 + below(s, 3), .minimum = below(s, 2), .check = check_resource,
                  .idle_timeout = 4 * MS, .lifetime = below(s, 2) ? 20 * MS : 0, .acquire_timeout = below(s, 2) ? 15 * MS : 0);
    if (rc < 0)
        return rc;
    WEFT_GROUP (g, .timeout = 80 * MS) {
        for (int i = 0; i < ACTORS; i++)
            weft_go(&g, act, s);
        if (below(s, 2)) { /* closed while in use, and perhaps given up */
            rc = weft_sleep((weft_duration)below(s, 60) * MS);
            WEFT_TIMEOUT (limit, (weft_duration)below(s, 10) * MS) {
                rc = weft_pool_close(s->pool);
                s->world.wrong += rc != 0 && rc != WEFT_EDEADLINE && rc != WEFT_ECANCELED;
            }
            s->is_closed = true;
        }
    }
    if (!s->is_closed)
        s->world.wrong += weft_pool_close(s->pool) < 0 && weft_sleep(0) == 0;
    s->has_ended = true;
    return 7;
}

static bool run_one(uint64_t seed, weft_test_report *report, weft_test_options options, int *got)
{
    struct stress s = { .random = seed * 31 + 7 };
    options.struct_size = sizeof options;
    options.seed = seed;
    int rc = weft_test_run_(run_stress, &s, report, &options);
    bool is_short = rc == -ENOMEM || rc == WEFT_ECANCELED || rc == -EIO;
    bool ok = is_balanced(&s.world) && s.world.most <= 3 && (rc == 7 || (is_short && !s.has_ended) || !s.has_begun);
    if (!ok)
        printf("# seed %llu ended with %d; cancel %llu %d; fail %llu\n", (unsigned long long)seed, rc,
               (unsigned long long)options.cancel_at, (int)options.cancel_when, (unsigned long long)options.fail_at);
    *got += s.got;
    return ok;
}

static int shuffled_seeds(void)
{
    uint64_t seeds = 10000 / tools_slowness();
    int got = 0;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        weft_test_report report;
        WEFT_CHECK(run_one(seed, &report, (weft_test_options){ 0 }, &got));
    }
    WEFT_CHECK(got > (int)seeds * 5);
    return 0;
}

static int every_wait_cancelled(void)
{
    int got = 0;
    for (uint64_t seed = 1; seed <= 30 / tools_slowness() + 1; seed++) {
        weft_test_report report;
        WEFT_CHECK(run_one(seed, &report, (weft_test_options){ 0 }, &got));
        for (uint64_t n = 1, waits = report.waits; n <= waits; n++)
            for (int way = WEFT_CANCEL_BEFORE; way <= WEFT_CANCEL_WOKEN; way++) {
                weft_test_options options = { .cancel_at = n, .cancel_when = (enum weft_cancel_when)way };
                WEFT_CHECK(run_one(seed, &report, options, &got));
            }
    }
    return 0;
}

static int every_allocation_failed(void)
{
    int got = 0;
    for (uint64_t seed = 1; seed <= 100 / tools_slowness() + 1; seed++) {
        weft_test_report report;
        WEFT_CHECK(run_one(seed, &report, (weft_test_options){ 0 }, &got));
        for (uint64_t n = 1, allocations = report.allocations; n <= allocations; n++)
            WEFT_CHECK(run_one(seed, &report, (weft_test_options){ .fail_at = n, .fail_after = n % 2 }, &got));
    }
    return 0;
}

static const weft_test tests[] = {
    TEST(opened_when_needed_and_lent_again),
    TEST(never_more_than_the_limit_and_in_turn),
    TEST(first_come_first_served),
    TEST(the_minimum_is_opened_at_once),
    TEST(acquiring_has_a_deadline),
    TEST(who_is_served_first_keeps_it),
    TEST(broken_ones_are_replaced),
    TEST(the_right_to_open_is_handed_on),
    TEST(what_was_idle_is_checked),
    TEST(a_check_that_is_cut_short),
    TEST(idle_ones_are_closed_down_to_the_minimum),
    PLAIN(idle_since_it_came_back),
    TEST(old_ones_are_not_lent_again),
    TEST(close_waits_for_those_that_are_out),
    TEST(a_close_that_is_cut_short_leaves_it_to_the_last),
    TEST(one_is_closed_for_being_idle_meanwhile),
    TEST(how_a_block_is_left),
    PLAIN(misuse_is_told),
    PLAIN(shuffled_seeds),
    PLAIN(every_wait_cancelled),
    PLAIN(every_allocation_failed),
};

TEST_MAIN(tests)
