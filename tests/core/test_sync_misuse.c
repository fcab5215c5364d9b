/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Misuse of the tools of lib/sync is told, with the task; what cannot go on ends the program, the rest only in debug builds. */
#include <weft/lock.h>
#include <weft/once.h>
#include <weft/rate.h>
#include <weft/semaphore.h>

#include "tests/core/child.h"

#ifdef WEFT_DEBUG
enum { HAS_CHECKS = 1 };
#else
enum { HAS_CHECKS = 0 };
#endif

static void check_says(int (*body)(void), const char *words, const char *task, bool dies)
{
    child c = child_run(body);
    bool ok = dies || HAS_CHECKS ? child_was_killed_by(&c, SIGABRT) : child_exited_with(&c, 7);
    ok = ok && strstr(c.error, "misuse: ") && strstr(c.error, words) && strstr(c.error, task);
    WEFT_CHECK(ok);
    if (!ok)
        child_print(&c);
}

#define IN_TASK(name)                                                                                                          \
    static int name(void)                                                                                                      \
    {                                                                                                                          \
        return weft_run(name##_task, NULL);                                                                                    \
    }

static int release_lock(void *arg)
{
    weft_lock_release(arg);
    return 0;
}

static int release_of_another_held_task(void *arg)
{
    (void)arg;
    weft_lock l;
    weft_lock_init(&l);
    WEFT_TRY(weft_lock_acquire(&l));
    WEFT_GROUP (g) {
        weft_go(&g, release_lock, &l);
    }
    return weft_lock_owner(&l) == weft_task_self() && (weft_lock_release(&l), true) ? 7 : 1;
}

static int release_free_task(void *arg)
{
    (void)arg;
    weft_lock l;
    weft_lock_init(&l);
    weft_lock_release(&l);
    return weft_lock_owner(&l) ? 1 : 7;
}

static int acquire_twice_task(void *arg)
{
    (void)arg;
    weft_lock l;
    weft_lock_init(&l);
    WEFT_TRY(weft_lock_acquire(&l));
    int rc = weft_lock_acquire(&l);
    weft_lock_release(&l);
    return rc == -EDEADLK ? 7 : 1;
}

static int acquire_only(void *arg)
{
    return weft_lock_acquire(arg);
}

static int end_with_lock_task(void *arg)
{
    (void)arg;
    weft_lock l;
    weft_lock_init(&l);
    WEFT_GROUP (g) {
        weft_go(&g, acquire_only, &l);
        weft_go(&g, acquire_only, &l); /* gets it although the first has not released it */
    }
    weft_lock_close(&l);
    return 7;
}

/* The same of a lock that was handed to it while it waited. */
static int end_with_handed_lock_task(void *arg)
{
    (void)arg;
    weft_lock l;
    weft_lock_init(&l);
    WEFT_GROUP (g) {
        WEFT_TRY(weft_lock_acquire(&l));
        weft_go(&g, acquire_only, &l);
        WEFT_TRY(weft_yield());
        weft_lock_release(&l);
    }
    weft_lock_close(&l);
    return 7;
}

static int close_held_task(void *arg)
{
    (void)arg;
    weft_lock l;
    weft_lock_init(&l);
    WEFT_TRY(weft_lock_acquire(&l));
    weft_lock_close(&l);
    return 1;
}

static int use_closed_task(void *arg)
{
    (void)arg;
    weft_semaphore s;
    weft_semaphore_init(&s, 1);
    weft_semaphore_close(&s);
    weft_semaphore_release(&s);
    return 1;
}

struct pair {
    weft_lock lock;
    weft_condition condition;
};

static int wait_for_condition(void *arg)
{
    struct pair *pair = arg;
    WEFT_LOCKED (held, &pair->lock) {
        WEFT_TRY(weft_condition_wait(&pair->condition));
    }
    return held.result;
}

/* Its task is to have the lock when it goes on. */
static int close_under_one_cut_short_task(void *arg)
{
    (void)arg;
    struct pair pair;
    weft_task *waits = NULL;
    weft_lock_init(&pair.lock);
    weft_condition_init(&pair.condition, &pair.lock);
    WEFT_TRY(weft_spawn(&waits, wait_for_condition, &pair));
    WEFT_TRY(weft_yield());
    weft_task_cancel(waits);
    weft_condition_close(&pair.condition);
    weft_lock_close(&pair.lock);
    return 1;
}

static int condition_without_lock_task(void *arg)
{
    (void)arg;
    weft_lock l;
    weft_condition c;
    weft_lock_init(&l);
    weft_condition_init(&c, &l);
    return weft_condition_wait(&c) == -EPERM ? 7 : 1;
}

static int run_again(void *arg)
{
    return weft_once_run(arg, run_again, arg) == -EDEADLK ? 7 : 1;
}

static int once_in_itself_task(void *arg)
{
    (void)arg;
    weft_once o;
    weft_once_init(&o);
    return weft_once_run(&o, run_again, &o);
}

static int done_too_often_task(void *arg)
{
    (void)arg;
    weft_queue *q = weft_queue_new(1, 1);
    weft_queue_task_done(q);
    int rc = weft_queue_join(q);
    weft_queue_free(q);
    return rc == 0 ? 7 : 1;
}

static int take_one(void *arg)
{
    return weft_rate_take(arg, 1);
}

static int close_waited_rate_task(void *arg)
{
    (void)arg;
    weft_rate r;
    weft_rate_init(&r, 1, WEFT_HOUR, 1);
    WEFT_TRY(weft_rate_try_take(&r, 1));
    WEFT_GROUP (g) {
        weft_go(&g, take_one, &r);
        WEFT_TRY(weft_yield());
        weft_rate_close(&r);
    }
    return 1;
}

static int use_once(void *arg)
{
    return weft_once_run(arg, sleep_long, NULL);
}

static int close_waited_once_task(void *arg)
{
    (void)arg;
    weft_once o;
    weft_once_init(&o);
    WEFT_GROUP (g) {
        weft_go(&g, use_once, &o);
        weft_go(&g, use_once, &o);
        WEFT_TRY(weft_yield());
        weft_once_close(&o);
    }
    return 1;
}

static int odd_rate_task(void *arg)
{
    (void)arg;
    weft_rate r;
    weft_rate_init(&r, 2, WEFT_NANOSECOND, 1);
    return 1;
}

IN_TASK(release_of_another_held)
IN_TASK(release_free)
IN_TASK(acquire_twice)
IN_TASK(end_with_lock)
IN_TASK(end_with_handed_lock)
IN_TASK(close_held)
IN_TASK(use_closed)
IN_TASK(close_under_one_cut_short)
IN_TASK(condition_without_lock)
IN_TASK(once_in_itself)
IN_TASK(done_too_often)
IN_TASK(close_waited_rate)
IN_TASK(close_waited_once)
IN_TASK(odd_rate)

static int misuse_is_reported(void)
{
    check_says(release_of_another_held, "it is held by task main", "in task release_lock", false);
    check_says(release_free, "a lock is released that the calling task has not: it is free", "in task main", false);
    check_says(acquire_twice, "a task acquires a lock that it has already", "in task main", false);
    check_says(end_with_lock, "a lock is still held at the end of its task", "in task acquire_only", false);
    check_says(end_with_handed_lock, "a lock is still held at the end of its task", "in task acquire_only", false);
    check_says(close_held, "a lock is closed while task main holds it", "in task main", true);
    check_says(use_closed, "a semaphore is used that is not open", "in task main", true);
    check_says(close_under_one_cut_short, "a lock is closed while a task comes back to it from a condition", "main", true);
    check_says(condition_without_lock, "a condition is waited for under a lock that the calling task has not", "main", false);
    check_says(once_in_itself, "runs the same once", "in task main", false);
    check_says(done_too_often, "weft_queue_task_done was called more often", "in task main", false);
    check_says(close_waited_rate, "a rate limiter is closed while task take_one waits on it", "in task main", true);
    check_says(close_waited_once, "a once is closed while task use_once waits on it", "in task main", true);
    check_says(odd_rate, "a rate of 2 tokens in 1 ns", "in task main", true);
    return 0;
}

static const weft_test tests[] = {
    PLAIN(misuse_is_reported),
};

TEST_MAIN(tests)
