/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Groups beyond their tables: blocks, limits and places, copies, spawn's choice, next, WEFT_TRY in a failed group. */
#include "tests/core/core.h"

#include "lib/task/task.h"

/* ---- leaving the block ---- */

struct leaving {
    int how, started, ended, rc;
};

static int note_end(void *arg)
{
    struct leaving *l = arg;
    l->started++;
    l->rc = weft_sleep(50 * MS);
    l->ended++;
    return 0;
}

static int leave_by(struct leaving *l)
{
    WEFT_GROUP (g) {
        weft_go(&g, note_end, l);
        WEFT_TRY(weft_yield());
        if (l->how == 1)
            break;
        if (l->how == 2)
            continue;
        if (l->how == 3)
            return 3;
        if (l->how == 4)
            goto out;
        if (l->how == 5)
            WEFT_TRY(-EIO);
    }
    WEFT_CHECK(l->ended == 1);
    return 0;
out:
    return 4;
}

static int blocks_may_be_left_in_any_way(void)
{
    static const int returns[] = { 0, 0, 0, 3, 4, -EIO };
    for (int how = 0; how < (int)COUNT(returns); how++) {
        struct leaving l = { .how = how };
        weft_duration start = weft_now();
        bool waits = how == 0 || how == 2;
        WEFT_CHECK(leave_by(&l) == returns[how]);
        WEFT_CHECK(l.started == 1 && l.ended == 1); /* joined in every case */
        WEFT_CHECK(l.rc == (waits ? 0 : WEFT_ECANCELED));
        WEFT_CHECK(weft_now() == start + (waits ? 50 * MS : 0));
    }
    WEFT_CHECK(weft_task_self()->innermost == NULL);
    return 0;
}

static int empty_groups_end_at_once(void)
{
    WEFT_GROUP (g, .timeout = WEFT_SECOND) {
    }
    WEFT_CHECK(g.result == 0 && weft_now() == 0);
    return 0;
}

/* ---- WEFT_TRY inside a failed group ---- */

static int fail_with_eio(void *arg)
{
    (void)arg;
    WEFT_TRY(weft_sleep(10 * MS));
    return weft_fail(-EIO, "the disk");
}

static int try_in_failed_group(void *arg)
{
    WEFT_GROUP (g) {
        weft_go(&g, arg ? sleep_long : fail_with_eio, NULL);
        WEFT_TRY(weft_sleep(WEFT_HOUR));
    }
    return g.result;
}

static int try_returns_the_cause(void)
{
    WEFT_CHECK(try_in_failed_group(NULL) == -EIO);
    WEFT_CHECK(strstr(weft_error_trail(), "test_groups.c") && strstr(weft_error_trail(), "the disk"));
    return 0;
}

static int try_in_group_cancelled_from_outside(void)
{
    WEFT_TIMEOUT (limit, 5 * MS) {
        WEFT_CHECK(try_in_failed_group(NULL) == WEFT_EDEADLINE);
    }
    WEFT_TIMEOUT (cut, WEFT_NO_LIMIT) {
        weft_cancel(&cut);
        WEFT_CHECK(try_in_failed_group(NULL) == WEFT_ECANCELED);
    }
    return 0;
}

struct sibling {
    int tried;
};

static int try_once(void *arg)
{
    (void)arg;
    WEFT_TRY(weft_sleep(WEFT_HOUR));
    return 0;
}

static int try_and_tell(void *arg)
{
    ((struct sibling *)arg)->tried = try_once(NULL);
    return 0;
}

static int only_the_opener_gets_the_cause(void)
{
    struct sibling s = { 0 };
    WEFT_GROUP (g) {
        weft_go(&g, try_and_tell, &s);
        weft_go(&g, fail_with_eio, NULL);
    }
    WEFT_CHECK(g.result == -EIO && s.tried == WEFT_ECANCELED);
    return 0;
}

static int inner_cut_in_group(void)
{
    WEFT_GROUP (g) {
        WEFT_TIMEOUT (inner, 5 * MS) {
            WEFT_CHECK(try_once(NULL) == WEFT_EDEADLINE); /* not the group's */
        }
        weft_group_cancel(&g);
        WEFT_CHECK(try_once(NULL) == WEFT_ECANCELED); /* cancelled, not failed */
    }
    return g.result;
}

/* ---- limits and places ---- */

struct places {
    int alive, most, ran;
    int order[64];
    weft_group *group;
};

struct numbered {
    struct places *places;
    int number;
};

static int hold_place(void *arg)
{
    struct places *p = arg;
    if (++p->alive > p->most)
        p->most = p->alive;
    int rc = weft_sleep(10 * MS);
    p->alive--;
    p->ran++;
    return rc;
}

static int limit_is_kept(void)
{
    struct places p = { 0 };
    WEFT_GROUP (g, .limit = 3) {
        for (int i = 0; i < 20; i++)
            WEFT_CHECK(weft_go_wait(&g, hold_place, &p) == 0);
    }
    WEFT_CHECK(p.most == 3 && p.ran == 20 && weft_now() == 70 * MS);
    return g.result;
}

static int go_beyond_the_limit_fails_the_group(void)
{
    struct places p = { 0 };
    WEFT_GROUP (g, .limit = 2) {
        WEFT_CHECK(weft_go(&g, hold_place, &p) == 0 && weft_go(&g, hold_place, &p) == 0);
        WEFT_CHECK(weft_go(&g, hold_place, &p) == -EAGAIN);
        WEFT_CHECK(weft_yield() == WEFT_ECANCELED);
    }
    WEFT_CHECK(g.result == -EAGAIN && p.ran == 2);
    return 0;
}

static int run_numbered(void *arg)
{
    struct numbered *n = arg;
    n->places->order[n->places->ran++] = n->number;
    return weft_sleep(1 * MS);
}

static int place_one(void *arg)
{
    struct numbered *n = arg;
    return weft_go_wait_copy(n->places->group, run_numbered, n);
}

static int places_are_given_in_order(void)
{
    struct places p = { 0 };
    WEFT_GROUP (g, .limit = 1) {
        p.group = &g;
        WEFT_GROUP (placers) {
            for (int i = 0; i < 50; i++) {
                struct numbered n = { &p, i };
                WEFT_TRY(weft_go_copy(&placers, place_one, &n));
            }
        }
        WEFT_CHECK(placers.result == 0);
    }
    WEFT_CHECK(p.ran == 50);
    for (int i = 0; i < 50; i++)
        WEFT_CHECK(p.order[i] == i);
    return g.result;
}

/* Nobody overtakes who waits: not even a weft_go_wait that finds a place at that moment. */
static int placers_are_not_overtaken(void)
{
    struct places p = { 0 };
    struct numbered first = { &p, 0 }, second = { &p, 1 }, third = { &p, 2 };
    WEFT_GROUP (g, .limit = 1) {
        p.group = &g;
        WEFT_GROUP (placers) {
            WEFT_TRY(weft_go(&g, run_numbered, &first));
            WEFT_TRY(weft_go(&placers, place_one, &second));
            WEFT_TRY(weft_sleep(1 * MS));
            WEFT_TRY(weft_go_wait(&g, run_numbered, &third));
        }
    }
    WEFT_CHECK(p.ran == 3 && p.order[0] == 0 && p.order[1] == 1 && p.order[2] == 2);
    return g.result;
}

static int end_slowly(void *arg)
{
    (void)arg;
    int rc = weft_sleep(WEFT_HOUR);
    WEFT_SHIELD (s, WEFT_SECOND) {
        WEFT_CHECK(weft_sleep(50 * MS) == 0);
    }
    return rc;
}

/* Wakes who waits on the queue, and then ends. */
static int signal_and_end(void *arg)
{
    int item = 0;
    WEFT_TRY(weft_sleep(1 * MS));
    return weft_queue_try_put((weft_queue *)arg, &item);
}

/* A place that has been given to a waiter which has not run yet is taken: nobody else gets it in that turn. */
static int a_promised_place_is_taken(void)
{
    struct places p = { 0 };
    struct numbered n = { &p, 1 };
    weft_queue *signal = weft_queue_new(sizeof(int), 1);
    int item;
    WEFT_GROUP (placers) {
        WEFT_GROUP (g, .limit = 1, .on_error = WEFT_COLLECT) {
            p.group = &g;
            weft_go(&g, signal_and_end, signal);
            weft_go(&placers, place_one, &n);
            WEFT_CHECK(weft_queue_get(signal, &item) == 1); /* we run before the placer, whose place is free by now */
            WEFT_CHECK(weft_group_own(&g)->promised == 1 && weft_group_own(&g)->count == 0 && p.ran == 0);
            WEFT_CHECK(weft_go(&g, succeed, NULL) == -EAGAIN);
            WEFT_TRY(weft_sleep(1 * MS)); /* a group may not end while another's task waits for a place in it */
        }
        WEFT_CHECK(g.result == -EAGAIN && p.ran == 1);
    }
    weft_queue_free(signal);
    return placers.result;
}

struct outsider {
    struct places *places;
    int rc, second_rc;
    weft_duration at;
};

static int place_from_outside(void *arg)
{
    struct outsider *o = arg;
    struct numbered n = { o->places, 1 };
    o->rc = place_one(&n);
    o->second_rc = place_one(&n);
    o->at = weft_now();
    return 0;
}

/* Who waits for a place in a group that is cut short, without being in it, is told at once, and is not kept waiting later. */
static int go_wait_in_a_cut_group_returns_its_reason(void)
{
    struct places p = { 0 };
    struct outsider o = { .places = &p };
    WEFT_GROUP (others) {
        WEFT_GROUP (g, .limit = 1, .timeout = 10 * MS) {
            p.group = &g;
            weft_go(&g, end_slowly, NULL);
            weft_go(&others, place_from_outside, &o);
        }
    }
    WEFT_CHECK(o.rc == WEFT_EDEADLINE && o.second_rc == WEFT_EDEADLINE && o.at == 10 * MS);
    WEFT_CHECK(p.ran == 0 && weft_now() == 60 * MS);
    return 0;
}

/* ---- copies ---- */

struct largest {
    unsigned char bytes[WEFT_GO_COPY_MAX];
};
struct too_large {
    unsigned char bytes[WEFT_GO_COPY_MAX + 1];
};

static int check_copy(void *arg)
{
    struct largest *copy = arg;
    WEFT_CHECK((uintptr_t)copy % 16 == 0);
    WEFT_CHECK(weft_yield() == 0);
    for (size_t i = 0; i < sizeof copy->bytes; i++)
        WEFT_CHECK(copy->bytes[i] == (unsigned char)i);
    return copy->bytes[3];
}

static int copies_up_to_512_bytes(void)
{
    struct largest value;
    for (size_t i = 0; i < sizeof value.bytes; i++)
        value.bytes[i] = (unsigned char)i;
    WEFT_GROUP (g, .keep_ended = true, .stack_size = 16384) {
        weft_ended ended;
        WEFT_CHECK(weft_go_copy(&g, check_copy, &value) == 0);
        memset(&value, 0, sizeof value);
        WEFT_CHECK(weft_group_next(&g, &ended) == 1 && ended.arg == NULL && ended.result == 3);
    }
    return g.result;
}

static int a_copy_of_513_bytes_is_refused(void)
{
    struct too_large value = { { 0 } };
    WEFT_GROUP (g) {
        WEFT_CHECK(weft_go_copy(&g, check_copy, &value) == -E2BIG);
    }
    WEFT_CHECK(g.result == -E2BIG); /* so an ignored result is not lost */
    return 0;
}

/* ---- spawn ---- */

static int group_of_self(void *arg)
{
    *(weft_group **)arg = weft_task_self()->group;
    return 5;
}

static int spawn_uses_the_innermost_group(void)
{
    weft_group *seen = NULL;
    weft_task *task;
    WEFT_TRY(weft_spawn(&task, group_of_self, &seen));
    WEFT_CHECK(weft_await(task) == 5 && seen == weft_task_self()->group);
    WEFT_GROUP (outer) {
        WEFT_GROUP (inner) {
            WEFT_TIMEOUT (scope, WEFT_SECOND) {
                WEFT_TRY(weft_spawn(&task, group_of_self, &seen));
                WEFT_CHECK(weft_await(task) == 5 && seen == &inner);
            }
        }
        WEFT_TRY(weft_spawn(&task, group_of_self, &seen));
        WEFT_CHECK(weft_await(task) == 5 && seen == &outer);
    }
    return outer.result;
}

/* ---- next ---- */

static int sleep_for(void *arg)
{
    int rc = weft_sleep(*(weft_duration *)arg);
    return rc < 0 ? rc : (int)(*(weft_duration *)arg / MS);
}

static int next_tells_in_the_order_of_ends(void)
{
    weft_duration d[] = { 30 * MS, 10 * MS, 20 * MS };
    weft_task *unseen;
    WEFT_GROUP (g, .on_error = WEFT_COLLECT) {
        weft_ended ended;
        for (size_t i = 0; i < COUNT(d); i++)
            weft_go(&g, sleep_for, &d[i]);
        WEFT_TRY(weft_spawn(&unseen, sleep_for, &d[1]));
        WEFT_CHECK(weft_group_next(&g, &ended) == 1 && ended.index == 1 && ended.result == 10 && ended.arg == &d[1]);
        WEFT_CHECK(weft_group_next(&g, &ended) == 1 && ended.index == 2 && ended.result == 20 && ended.arg == &d[2]);
        weft_go(&g, succeed, NULL);
        WEFT_CHECK(weft_group_next(&g, &ended) == 1 && ended.index == 4 && ended.result == 0 && !ended.arg);
        WEFT_CHECK(weft_group_next(&g, &ended) == 1 && ended.index == 0 && ended.result == 30);
        WEFT_CHECK(weft_group_next(&g, &ended) == 0);
        WEFT_CHECK(weft_await(unseen) == 10);
    }
    return g.result;
}

static int next_ends_when_only_a_spawned_task_was_left(void)
{
    weft_duration d = 10 * MS;
    weft_task *task;
    WEFT_GROUP (g, .keep_ended = true) {
        weft_ended ended;
        WEFT_TRY(weft_spawn(&task, sleep_for, &d));
        WEFT_CHECK(weft_group_next(&g, &ended) == 0 && weft_now() == 10 * MS);
    }
    return g.result;
}

static int next_under_a_shield(void)
{
    weft_duration d = 20 * MS;
    WEFT_TIMEOUT (limit, 10 * MS) {
        WEFT_SHIELD (s, 100 * MS) {
            WEFT_GROUP (g, .keep_ended = true) {
                weft_ended ended;
                weft_go(&g, sleep_for, &d);
                weft_go(&g, sleep_long, NULL);
                WEFT_CHECK(weft_group_next(&g, &ended) == 1 && ended.result == 20 && limit.expired);
                WEFT_SHIELD (inner, 10 * MS) {
                    WEFT_CHECK(weft_group_next(&g, &ended) == WEFT_EDEADLINE && inner.expired);
                }
                WEFT_CHECK(weft_group_next(&g, &ended) == WEFT_EDEADLINE && s.expired);
            }
        }
    }
    return 0;
}

static int next_under_a_shield_inside_the_group(void)
{
    weft_duration d = 50 * MS;
    WEFT_TIMEOUT (limit, 10 * MS) {
        WEFT_GROUP (g, .keep_ended = true) {
            weft_ended ended;
            weft_go(&g, sleep_for, &d);
            WEFT_SHIELD (s, 100 * MS) {
                WEFT_CHECK(weft_group_next(&g, &ended) == 1); /* hidden from next, not from the tasks */
                WEFT_CHECK(ended.result == WEFT_EDEADLINE && weft_now() == 10 * MS);
                WEFT_CHECK(weft_group_next(&g, &ended) == 0);
            }
        }
    }
    return 0;
}

/* Cut by a deadline inside a group that had failed before: the reason is that deadline's, whether it was parked or refused. */
static int next_cut_from_inside_a_failed_group(void)
{
    WEFT_GROUP (g, .keep_ended = true) {
        weft_ended ended;
        weft_go(&g, fail_with_eio, NULL);
        WEFT_CHECK(weft_group_next(&g, &ended) == 1 && ended.result == -EIO);
        WEFT_TIMEOUT (inside, 0) {
            WEFT_CHECK(weft_group_next(&g, &ended) == WEFT_EDEADLINE);
        }
        WEFT_CHECK(weft_group_next(&g, &ended) == 0);
    }
    return 0;
}

static const weft_test tests[] = {
    TEST(blocks_may_be_left_in_any_way),
    TEST(empty_groups_end_at_once),
    TEST(try_returns_the_cause),
    TEST(try_in_group_cancelled_from_outside),
    TEST(only_the_opener_gets_the_cause),
    TEST(inner_cut_in_group),
    TEST(limit_is_kept),
    TEST(go_beyond_the_limit_fails_the_group),
    TEST(places_are_given_in_order),
    TEST(placers_are_not_overtaken),
    TEST(a_promised_place_is_taken),
    TEST(go_wait_in_a_cut_group_returns_its_reason),
    TEST(copies_up_to_512_bytes),
    TEST(a_copy_of_513_bytes_is_refused),
    TEST(spawn_uses_the_innermost_group),
    TEST(next_tells_in_the_order_of_ends),
    TEST(next_ends_when_only_a_spawned_task_was_left),
    TEST(next_under_a_shield),
    TEST(next_under_a_shield_inside_the_group),
    TEST(next_cut_from_inside_a_failed_group),
};

TEST_MAIN(tests)
