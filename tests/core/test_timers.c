/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* The wheel, against a plain list that is searched: order within a tick, cascades, far deadlines, set and cleared at random. */
#include "tests/core/core.h"

#include "lib/base/random.h"
#include "lib/task/timer.h"

enum { TIMERS = 60 };

struct probe {
    weft_timer timer;
    bool is_set;
    int64_t due;
    uint64_t order; /* when it was set, among all settings */
};

static struct {
    weft_wheel wheel;
    struct probe probe[TIMERS];
    uint64_t random, settings;
    int64_t now; /* where the wheel is being run to */
    int64_t last_due;
    uint64_t last_order;
    int strikes;
    bool is_run, one_tick;
} world;

/* Mostly near, sometimes across several digits of the wheel, sometimes years away. */
static int64_t random_distance(void)
{
    unsigned bits = (unsigned)weft_random_below(&world.random, weft_random_below(&world.random, 3) ? 10 : 41);
    return (int64_t)(weft_random_next(&world.random) >> (63 - bits)) - (bits < 3 ? 2 : 0);
}

static void set(struct probe *probe, int64_t due)
{
    weft_timer_set(&world.wheel, &probe->timer, due);
    probe->is_set = true;
    probe->due = due;
    probe->order = ++world.settings;
}

static void clear(struct probe *probe)
{
    weft_timer_clear(&probe->timer);
    probe->is_set = false;
}

static struct probe *first_due(int64_t until)
{
    struct probe *first = NULL;
    for (int i = 0; i < TIMERS; i++) {
        struct probe *p = &world.probe[i];
        if (p->is_set && p->due <= until &&
            (!first || p->due < first->due || (p->due == first->due && p->order < first->order)))
            first = p;
    }
    return first;
}

/* Sets and clears others, and itself, in the middle of a run. */
static void act_at_random(void)
{
    for (uint64_t n = weft_random_below(&world.random, 3); n > 0; n--) {
        struct probe *p = &world.probe[weft_random_below(&world.random, TIMERS)];
        if (p->is_set)
            clear(p);
        else
            set(p, world.now + 1 + random_distance() + 2);
    }
}

static void strike(weft_timer *timer)
{
    struct probe *p = CONTAINER_OF(timer, struct probe, timer);
    WEFT_CHECK(p->is_set && p->due <= world.now && world.is_run);
    WEFT_CHECK(!weft_timer_is_set(timer));
    struct probe *expected = first_due(world.now);
    WEFT_CHECK(expected == p);
    if (world.one_tick && world.strikes > 0)
        WEFT_CHECK(p->due == world.last_due);
    world.last_due = p->due;
    world.strikes++;
    p->is_set = false;
    act_at_random();
}

static void run_to(int64_t now, bool one_tick)
{
    bool is_due = first_due(now);
    world.now = now;
    world.strikes = 0;
    world.is_run = true;
    world.one_tick = one_tick;
    bool any = weft_wheel_run(&world.wheel, now, one_tick);
    world.is_run = false;
    WEFT_CHECK(any == (world.strikes > 0) && any == is_due);
    WEFT_CHECK(one_tick || !first_due(now));
}

/* What the wheel says is next is never later than what is, and leads there. */
static void check_next(void)
{
    struct probe *first = first_due(INT64_MAX);
    int64_t next = weft_wheel_next(&world.wheel);
    if (!first)
        WEFT_CHECK(next == WEFT_TICK_NEVER);
    else
        WEFT_CHECK(next <= first->due && next > world.wheel.now);
    WEFT_CHECK(world.wheel.armed <= (first ? first->due : WEFT_TICK_NEVER));
}

static void begin(uint64_t seed, int64_t now)
{
    memset(&world, 0, sizeof world);
    world.random = seed;
    world.now = now;
    weft_wheel_init(&world.wheel, now);
    for (int i = 0; i < TIMERS; i++)
        weft_timer_init(&world.probe[i].timer, strike);
}

static int like_a_sorted_list(void)
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        begin(seed, seed % 3 ? (int64_t)(seed * 7777777) : 0);
        for (int step = 0; step < 200; step++) {
            struct probe *p = &world.probe[weft_random_below(&world.random, TIMERS)];
            if (p->is_set && weft_random_below(&world.random, 4) == 0)
                clear(p);
            else if (!p->is_set)
                set(p, world.now + 1 + random_distance() + 2);
            check_next();
            if (weft_random_below(&world.random, 3))
                continue;
            struct probe *first = first_due(INT64_MAX);
            int64_t to = weft_random_below(&world.random, 2) && first ? first->due : world.now + random_distance() + 2;
            if (to < world.now)
                to = world.now;
            bool one_tick = weft_random_below(&world.random, 2);
            run_to(to, one_tick);
            while (one_tick && first_due(world.now)) /* the loop goes on at once, too, when more is due */
                run_to(world.now, true);
        }
        if (weft_test_failures())
            WEFT_CHECK(false && "the wheel and the list differ");
    }
    return 0;
}

/* Virtual time goes from one tick of weft_wheel_next to the next, and misses none. */
static int following_next_strikes_everything_on_time(void)
{
    for (uint64_t seed = 1; seed <= 100; seed++) {
        begin(seed, 0);
        for (int i = 0; i < TIMERS; i++)
            set(&world.probe[i], world.now + 3 + random_distance());
        for (int turns = 0; first_due(INT64_MAX) && turns < 5000; turns++) {
            int64_t next = weft_wheel_next(&world.wheel);
            struct probe *first = first_due(INT64_MAX);
            if (next < first->due) {
                world.now = next;
                WEFT_CHECK(!weft_wheel_run(&world.wheel, next, true));
                continue;
            }
            run_to(next, true);
            if (world.settings > 400) /* let it end */
                for (int i = 0; i < TIMERS; i++)
                    if (world.probe[i].is_set && i % 2)
                        clear(&world.probe[i]);
        }
    }
    return 0;
}

static int what_is_overdue_strikes_at_the_next_run(void)
{
    begin(1, 1000);
    set(&world.probe[0], 5);
    WEFT_CHECK(weft_wheel_next(&world.wheel) <= 1000);
    world.random = 12345;
    run_to(1000, false);
    WEFT_CHECK(world.strikes == 1);
    return 0;
}

static int centuries_never_come(void)
{
    begin(1, 1000);
    weft_timer_set(&world.wheel, &world.probe[0].timer, WEFT_TICK_NEVER);
    weft_timer_set(&world.wheel, &world.probe[1].timer, INT64_C(1) << 42);
    WEFT_CHECK(!weft_timer_is_set(&world.probe[0].timer) && weft_wheel_next(&world.wheel) == WEFT_TICK_NEVER);
    set(&world.probe[2], (INT64_C(1) << 42) - 1);
    world.now = (INT64_C(1) << 42) - 2;
    WEFT_CHECK(!weft_wheel_run(&world.wheel, world.now, false));
    run_to((INT64_C(1) << 42) - 1, false);
    return 0;
}

static const weft_test tests[] = {
    PLAIN(like_a_sorted_list),
    PLAIN(following_next_strikes_everything_on_time),
    PLAIN(what_is_overdue_strikes_at_the_next_run),
    PLAIN(centuries_never_come),
};

TEST_MAIN(tests)
