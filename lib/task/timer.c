/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
#include "lib/task/timer.h"

#include "lib/base/check.h"

enum { DIGIT_BITS = 6 };

static const int64_t LAST_TICK = (INT64_C(1) << (DIGIT_BITS * WEFT_WHEEL_LEVELS)) - 1; /* 139 years of milliseconds */

void weft_wheel_init(weft_wheel *wheel, int64_t now)
{
    *wheel = (weft_wheel){ .now = now, .armed = WEFT_TICK_NEVER };
    weft_list_init(&wheel->due);
    for (int level = 0; level < WEFT_WHEEL_LEVELS; level++)
        for (int slot = 0; slot < WEFT_WHEEL_SLOTS; slot++)
            weft_list_init(&wheel->slots[level][slot]);
}

static void place(weft_wheel *wheel, weft_timer *timer)
{
    if (timer->tick <= wheel->now) {
        weft_list_append(&wheel->due, &timer->link);
        return;
    }
    int level = (63 - __builtin_clzll((uint64_t)(timer->tick ^ wheel->now))) / DIGIT_BITS;
    int slot = (int)((timer->tick >> (level * DIGIT_BITS)) & (WEFT_WHEEL_SLOTS - 1));
    weft_list_append(&wheel->slots[level][slot], &timer->link);
    wheel->occupied[level] |= UINT64_C(1) << slot;
}

void weft_timer_set(weft_wheel *wheel, weft_timer *timer, int64_t tick)
{
    DCHECK(!weft_timer_is_set(timer));
    if (tick > LAST_TICK)
        return; /* also WEFT_TICK_NEVER */
    timer->tick = tick;
    place(wheel, timer);
    if (tick < wheel->armed)
        wheel->armed = tick;
}

/* The lowest level that is not empty and the first tick of its first slot; false when nothing is set. */
static bool first_slot(weft_wheel *wheel, int *ret_level, int64_t *ret_start)
{
    for (int level = 0; level < WEFT_WHEEL_LEVELS; level++) {
        while (wheel->occupied[level]) {
            int slot = __builtin_ctzll(wheel->occupied[level]);
            if (!weft_list_is_empty(&wheel->slots[level][slot])) {
                int64_t above = wheel->now >> ((level + 1) * DIGIT_BITS) << ((level + 1) * DIGIT_BITS);
                *ret_level = level;
                *ret_start = above | (int64_t)slot << (level * DIGIT_BITS);
                return true;
            }
            wheel->occupied[level] &= wheel->occupied[level] - 1;
        }
    }
    return false;
}

static bool strike_due(weft_wheel *wheel)
{
    weft_list due;
    weft_list_move(&due, &wheel->due); /* what a strike sets in the past waits for the next run */
    bool any = false;
    weft_list *node;
    while ((node = weft_list_shift(&due))) {
        weft_timer *timer = CONTAINER_OF(node, weft_timer, link);
        timer->strike(timer);
        any = true;
    }
    return any;
}

bool weft_wheel_run(weft_wheel *wheel, int64_t now, bool one_tick)
{
    bool any = strike_due(wheel);
    int level;
    int64_t start;
    while (!(any && one_tick) && first_slot(wheel, &level, &start) && start <= now) {
        weft_list moved;
        weft_list_move(&moved, &wheel->slots[level][(start >> (level * DIGIT_BITS)) & (WEFT_WHEEL_SLOTS - 1)]);
        wheel->now = start;
        weft_list *node;
        while ((node = weft_list_shift(&moved)))
            place(wheel, CONTAINER_OF(node, weft_timer, link));
        any = strike_due(wheel) || any;
    }
    if (wheel->now < now && !(any && one_tick))
        wheel->now = now; /* nothing set lies between, so every timer keeps its place */
    return any;
}

int64_t weft_wheel_next(weft_wheel *wheel)
{
    int level;
    int64_t start;
    if (!weft_list_is_empty(&wheel->due))
        return wheel->now;
    return first_slot(wheel, &level, &start) ? start : WEFT_TICK_NEVER;
}
