/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
#include "tests/core/stress.h"

#include "lib/base/random.h"
#include "tests/core/core.h"

enum { DEPTH = 3, TASKS = 150 };

/* The tasks of one group: never more at once than its limit. */
struct crowd {
    int alive, limit;
};

struct actor {
    weft_stress *s;
    struct crowd *crowd;
    int depth;
};

static int act(void *actor);
static int take_steps(struct actor *a, int count);

static uint64_t below(weft_stress *s, uint64_t bound)
{
    return weft_random_below(&s->random, bound);
}

static void expect(weft_stress *s, bool ok, int line)
{
    if (ok)
        return;
    s->wrong++;
    printf("# stress.c:%d does not hold\n", line);
}

#define EXPECT(s, condition) expect((s), (condition), __LINE__)

static bool is_reason(int rc)
{
    return rc == WEFT_ECANCELED || rc == WEFT_EDEADLINE;
}

/* ---- the queue ---- */

static int put_items(struct actor *a)
{
    weft_stress *s = a->s;
    int rc = 0;
    for (uint64_t n = 1 + below(s, 4); n > 0 && rc == 0 && s->next_item < STRESS_ITEMS; n--) {
        int item = s->next_item++;
        rc = below(s, 4) ? weft_queue_put(s->queue, &item) : weft_queue_try_put(s->queue, &item);
        s->put[item] = rc == 0;
        EXPECT(s, rc == 0 || rc == -EAGAIN || is_reason(rc));
    }
    return rc == -EAGAIN ? 0 : rc;
}

static void take(weft_stress *s, int item)
{
    if (item < 0 || item >= STRESS_ITEMS)
        EXPECT(s, false);
    else
        s->got[item]++;
}

static int get_items(struct actor *a)
{
    weft_stress *s = a->s;
    int rc = 1;
    for (uint64_t n = 1 + below(s, 4); n > 0 && rc == 1; n--) {
        int item = -1;
        rc = below(s, 4) ? weft_queue_get(s->queue, &item) : weft_queue_try_get(s->queue, &item);
        if (rc == 1)
            take(s, item);
        EXPECT(s, rc == 1 || ((rc == -EAGAIN || is_reason(rc)) && item == -1));
    }
    return is_reason(rc) ? rc : 0;
}

/* ---- groups ---- */

static void count_start(struct actor *a, int rc)
{
    a->s->started += rc == 0;
    EXPECT(a->s, rc == 0 || rc == -ENOMEM || rc == -EAGAIN || is_reason(rc));
}

static int ask_for_ends(struct actor *a, weft_group *g)
{
    int rc = 1;
    for (uint64_t n = below(a->s, 5); n > 0 && rc == 1; n--) {
        weft_ended ended;
        rc = weft_group_next(g, &ended);
        a->s->ends_told += rc == 1;
        EXPECT(a->s, rc == 0 || rc == 1 || is_reason(rc));
    }
    return rc < 0 ? rc : 0;
}

static int gather(struct actor *a)
{
    static const weft_duration timeouts[] = { 0, 0, 3 * MS, 10 * MS, -1 };
    weft_stress *s = a->s;
    struct crowd crowd = { .limit = (int)below(s, 4) };
    struct actor child = { s, &crowd, a->depth + 1 };
    bool keeps = below(s, 2);
    WEFT_GROUP (g, .limit = crowd.limit, .timeout = timeouts[below(s, 5)], .keep_ended = keeps,
                .on_error = below(s, 2) ? WEFT_COLLECT : WEFT_CANCEL_SIBLINGS, .stack_size = 32768) {
        int rc = 0;
        for (uint64_t n = 1 + below(s, 5); n > 0 && rc >= 0 && s->started < TASKS; n--) {
            rc = below(s, 2) ? weft_go_wait_copy(&g, act, &child) : weft_go_copy(&g, act, &child);
            count_start(a, rc);
        }
        if (keeps && below(s, 2))
            WEFT_TRY(ask_for_ends(a, &g));
        if (below(s, 3) == 0)
            WEFT_TRY(take_steps(a, 1));
        if (below(s, 4) == 0)
            weft_group_cancel(&g);
        if (below(s, 6) == 0)
            break;
    }
    EXPECT(s, crowd.alive == 0);
    return g.result;
}

/* ---- single tasks ---- */

static int act_alone(void *actor)
{
    struct actor *a = actor;
    int rc = take_steps(a, 2);
    a->s->ended++;
    return rc;
}

static int spawn_and_await(struct actor *a)
{
    weft_stress *s = a->s;
    struct actor child = { s, NULL, a->depth + 1 };
    int rc = 0;
    WEFT_GROUP (g) { /* a group of its own, so that the child may borrow */
        weft_task *task = NULL;
        rc = weft_spawn(&task, act_alone, &child);
        count_start(a, rc);
        if (rc < 0)
            return rc;
        if (below(s, 3) == 0)
            weft_task_cancel(task);
        WEFT_TIMEOUT (limit, below(s, 2) ? 2 * MS : WEFT_NO_LIMIT) {
            rc = weft_await(task);
        }
        s->ends_told += rc >= 0;
        if (below(s, 2))
            weft_task_cancel(weft_task_self()); /* the rest of it is clean-up */
    }
    return rc;
}

static void count_deferred(void *stress)
{
    weft_stress *s = stress;
    s->undeferred++;
    int rc = weft_sleep((weft_duration)below(s, 3) * MS);
    EXPECT(s, rc == 0 || is_reason(rc));
}

/* ---- steps ---- */

static int step_in_timeout(struct actor *a)
{
    int rc = 0;
    WEFT_TIMEOUT (limit, (weft_duration)below(a->s, 8) * MS) {
        rc = take_steps(a, 2);
    }
    return limit.expired ? 0 : rc;
}

static int step_in_shield(struct actor *a)
{
    int rc = 0;
    WEFT_SHIELD (shield, (weft_duration)below(a->s, 8) * MS) {
        rc = take_steps(a, 1);
    }
    return rc;
}

static int take_step(struct actor *a)
{
    weft_stress *s = a->s;
    int rc = 0;
    switch (below(s, 12)) {
    case 0:
    case 1:
        return put_items(a);
    case 2:
    case 3:
        return get_items(a);
    case 4:
        return weft_sleep((weft_duration)below(s, 6) * MS);
    case 5:
        rc = weft_defer(count_deferred, s);
        s->deferred += rc == 0;
        return weft_yield();
    case 6:
    case 7:
    case 8:
        if (a->depth >= DEPTH || s->started >= TASKS)
            return weft_yield();
        return below(s, 2) ? gather(a) : spawn_and_await(a);
    case 9:
        return step_in_timeout(a);
    case 10:
        return step_in_shield(a);
    default:
        return below(s, 10) ? weft_yield() : weft_fail(-EIO, "at random");
    }
}

static int take_steps(struct actor *a, int count)
{
    for (int i = 0; i < count; i++)
        WEFT_TRY(take_step(a));
    return 0;
}

static int act(void *actor)
{
    struct actor *a = actor;
    struct crowd *crowd = a->crowd;
    crowd->alive++;
    EXPECT(a->s, crowd->limit == 0 || crowd->alive <= crowd->limit);
    int rc = take_steps(a, 3 + (int)below(a->s, 12));
    crowd->alive--;
    a->s->ended++;
    return below(a->s, 3) ? 0 : rc;
}

/* ---- the whole ---- */

void weft_stress_init(weft_stress *s, uint64_t seed)
{
    *s = (weft_stress){ .random = seed * 77 + 1 };
}

static void run_all(weft_stress *s)
{
    struct crowd crowd = { 0 };
    struct actor child = { s, &crowd, 0 };
    WEFT_GROUP (g, .timeout = 40 * MS, .on_error = WEFT_COLLECT) {
        for (int i = 0; i < 14; i++)
            count_start(&child, weft_go_copy(&g, act, &child));
        if (weft_sleep(20 * MS) < 0)
            break;
    }
    EXPECT(s, crowd.alive == 0);
}

int weft_stress_run(void *stress)
{
    weft_stress *s = stress;
    int item;
    s->has_begun = true;
    s->queue = weft_queue_new(sizeof(int), 1 + below(s, 4));
    if (!s->queue)
        return -ENOMEM;
    run_all(s);
    while (weft_queue_try_get(s->queue, &item) == 1)
        take(s, item);
    weft_queue_free(s->queue);
    s->has_ended = true;
    return 7;
}

bool weft_stress_check(const weft_stress *s)
{
    bool ok = s->wrong == 0 && s->started == s->ended && s->deferred == s->undeferred && s->ends_told <= s->started;
    for (int i = 0; i < STRESS_ITEMS; i++)
        ok = ok && s->got[i] == (s->put[i] ? 1 : 0);
    if (!ok)
        printf("# started %d, ended %d; deferred %d, run %d; wrong %d\n", s->started, s->ended, s->deferred, s->undeferred,
               s->wrong);
    return ok;
}
