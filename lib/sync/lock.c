/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Locks and conditions.
 *
 * A lock is handed over in the act of its release: the next in line owns it before it runs, so nobody can come in between.
 * The owner has the lock in its list of what it holds, by which a lock that outlives its task is noticed.
 *
 * A signal does not wake a task that could only go and wait for the lock: it moves the waiter from the condition's line to
 * the lock's. From then on nothing cuts the wait short, and it ends owning the lock. One that is cut short while it waits for
 * the signal goes to the end of the lock's line by itself.
 */
#include <weft/lock.h>

#include <errno.h>

#include "lib/sync/own.h"
#include "lib/task/debug.h"

#define LOCK_MAGIC      0x10c410c4u
#define CONDITION_MAGIC 0xc04d1710u

struct lock_own {
    unsigned magic;
    unsigned returning; /* tasks whose wait for a condition was cut short, and which will come for the lock */
    weft_task *owner;   /* NULL: free, and nobody waits */
    weft_list line;
    struct weft_holding holding; /* in the owner's list */
};

OWN_OF(weft_lock, lock_own, LOCK_MAGIC, "a lock")

/* Into and out of the list of what a task holds. Mostly it is the only thing, and then what is written does not depend on what
 * is read: a lock acquired and released again and again takes 3.6 ns, 7.3 when each waits for the stores of the last. */
static void take(struct lock_own *own, weft_task *t)
{
    weft_list *held = &t->held, *link = &own->holding.link;
    own->owner = t;
    if (UNLIKELY(!weft_list_is_empty(held))) {
        weft_list_append(held, link);
        return;
    }
    held->next = held->prev = link;
    link->next = link->prev = held;
}

static void strike_off(struct lock_own *own, weft_task *t)
{
    weft_list *held = &t->held, *link = &own->holding.link;
    own->owner = NULL;
    if (LIKELY(link->next == held && link->prev == held))
        weft_list_init(held);
    else
        weft_list_unlink(link);
}

/* From its owner t to the next in line. */
static void hand_over(struct lock_own *own, weft_task *t)
{
    strike_off(own, t);
    weft_waiter *next = weft_waiter_first(&own->line);
    if (LIKELY(!next))
        return;
    take(own, next->wait->task);
    weft_waiter_serve(next, 0);
}

static void let_go(struct weft_holding *holding)
{
    struct lock_own *own = CONTAINER_OF(holding, struct lock_own, holding);
    hand_over(own, own->owner);
}

static void describe_owner(FILE *out, const weft_lock *l)
{
    const weft_task *t = own_of(l)->owner;
    fprintf(out, ", held by %s started at %s:%d", t->name, t->file, t->line);
}

static void describe(const weft_wait *wait, FILE *out)
{
    describe_owner(out, wait->on);
}

static const weft_task *owner_of_wanted(const weft_wait *wait, const weft_task *after)
{
    return after ? NULL : own_of(wait->on)->owner;
}

/* ---- locks ---- */

static const struct weft_holding_kind holding_kind = { "a lock", let_go };

void weft_lock_init_(weft_lock *l, const char *file, int line)
{
    struct lock_own *own = (struct lock_own *)(void *)l->own_;
    *own = (struct lock_own){ .magic = LOCK_MAGIC, .holding = { .kind = &holding_kind, .object = l } };
    weft_debug_made(l, "a lock", file, line);
    weft_list_init(&own->line);
    weft_list_init(&own->holding.link);
}

void weft_lock_close(weft_lock *l)
{
    struct lock_own *own = own_of(l);
    weft_waiter_check_none(&own->line, "a lock is closed");
    if (own->owner)
        weft_misuse_die("a lock is closed while task %s holds it", own->owner->name);
    if (own->returning > 0)
        weft_misuse_die("a lock is closed while a task comes back to it from a condition");
    weft_debug_gone(l);
    own->magic = 0;
}

/* As weft_lock_acquire, of what is held by another task. */
static int wait_for_lock(weft_lock *l, struct lock_own *own, const void *place)
{
    if (own->owner == weft_here->current) {
        weft_misuse("a task acquires a lock that it has already");
        return -EDEADLK;
    }
    struct weft_waiting waiting = WEFT_WAITING("lock", l);
    waiting.wait.place = place;
    waiting.wait.describe = describe;
    waiting.wait.blocker = owner_of_wanted;
    return weft_waiting_park(&waiting, &own->line);
}

int weft_lock_acquire(weft_lock *l)
{
    struct lock_own *own = own_of(l);
    int rc = weft_wait_begin("lock");
    if (rc < 0)
        return rc;
    if (UNLIKELY(own->owner))
        return wait_for_lock(l, own, __builtin_return_address(0));
    take(own, weft_here->current);
    return 0;
}

int weft_lock_try_acquire(weft_lock *l)
{
    struct lock_own *own = own_of(l);
    weft_task *t = weft_task_self();
    if (!t) {
        weft_misuse("weft_lock_try_acquire outside a task");
        return -EPERM;
    }
    if (own->owner)
        return -EAGAIN;
    take(own, t);
    return 0;
}

/* Has the running task the lock? Reports misuse if not. */
static bool is_held(const struct lock_own *own, const char *what)
{
    const weft_loop *loop = weft_here;
    if (LIKELY(loop && own->owner && own->owner == loop->current))
        return true;
    weft_misuse("%s that the calling task has not: %s%s", what, own->owner ? "it is held by task " : "it is free",
                own->owner ? own->owner->name : "");
    return false;
}

void weft_lock_release(weft_lock *l)
{
    struct lock_own *own = own_of(l);
    if (is_held(own, "a lock is released"))
        hand_over(own, own->owner);
}

weft_task *weft_lock_owner(const weft_lock *l)
{
    return own_of(l)->owner;
}

static void release(void *lock)
{
    weft_lock_release(lock);
}

weft_held weft_lock_enter_(weft_lock *l)
{
    return (weft_held){ .result = weft_lock_acquire(l), .object_ = l, .release_ = release };
}

/* ---- conditions ---- */

struct condition_own {
    unsigned magic;
    weft_lock *lock;
    weft_list line;
};
_Static_assert(sizeof(struct condition_own) <= sizeof(((weft_condition *)0)->own_), "weft_condition has room");

static struct condition_own *own_of_condition(const weft_condition *c)
{
    struct condition_own *own = (struct condition_own *)(void *)c->own_;
    if (UNLIKELY(own->magic != CONDITION_MAGIC))
        weft_misuse_die("a condition is used that is not open");
    return own;
}

void weft_condition_init_(weft_condition *c, weft_lock *lock, const char *file, int line)
{
    weft_debug_made(c, "a condition", file, line);
    struct condition_own *own = (struct condition_own *)(void *)c->own_;
    *own = (struct condition_own){ .magic = CONDITION_MAGIC, .lock = lock };
    weft_list_init(&own->line);
}

void weft_condition_close(weft_condition *c)
{
    struct condition_own *own = own_of_condition(c);
    weft_waiter_check_none(&own->line, "a condition is closed");
    weft_debug_gone(c);
    own->magic = 0;
}

/* Signalled, or cut short: then the lock is to be there when its task runs. */
static void withdraw(weft_wait *wait)
{
    weft_waiting_withdraw(wait);
    if (wait->result < 0)
        own_of(own_of_condition(wait->on)->lock)->returning++;
}

static void reacquire(weft_lock *l, const void *place)
{
    struct lock_own *own = own_of(l);
    own->returning--;
    if (!own->owner) {
        take(own, weft_here->current);
        return;
    }
    struct weft_waiting waiting = WEFT_WAITING("lock, after a condition", l);
    waiting.wait.place = place;
    waiting.wait.describe = describe;
    waiting.wait.blocker = owner_of_wanted;
    waiting.wait.is_uncut = true;
    weft_waiting_park(&waiting, &own->line);
}

int weft_condition_wait(weft_condition *c)
{
    weft_lock *lock = own_of_condition(c)->lock;
    int rc = weft_wait_check("condition");
    if (rc < 0)
        return rc;
    if (!is_held(own_of(lock), "a condition is waited for under a lock"))
        return -EPERM;
    struct weft_waiting waiting = WEFT_WAITING("condition", c);
    waiting.wait.withdraw = withdraw;
    hand_over(own_of(lock), weft_here->current);
    rc = weft_waiting_park(&waiting, &own_of_condition(c)->line);
    if (rc < 0) /* a signal would have brought the lock with it */
        reacquire(lock, __builtin_return_address(0));
    return rc;
}

/* The first in the line is to have the lock, now or in its turn. */
static void move_to_lock(weft_waiter *waiter, weft_lock *lock)
{
    struct lock_own *own = own_of(lock);
    if (!own->owner) {
        take(own, waiter->wait->task);
        weft_waiter_serve(waiter, 0);
        return;
    }
    waiter->wait->what = "lock, after a condition";
    waiter->wait->on = lock;
    waiter->wait->describe = describe;
    waiter->wait->blocker = owner_of_wanted;
    waiter->wait->is_uncut = true;
    weft_list_unlink(&waiter->link);
    weft_list_append(&own->line, &waiter->link);
}

void weft_condition_signal(weft_condition *c)
{
    const struct condition_own *own = own_of_condition(c);
    weft_waiter *waiter = weft_waiter_first(&own->line);
    if (waiter)
        move_to_lock(waiter, own->lock);
}

void weft_condition_broadcast(weft_condition *c)
{
    const struct condition_own *own = own_of_condition(c);
    weft_waiter *waiter;
    while ((waiter = weft_waiter_first(&own->line)))
        move_to_lock(waiter, own->lock);
}
