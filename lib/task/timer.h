/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Timers: a hierarchical wheel with slots of a millisecond.
 *
 * Setting and clearing is a list operation. A timer's level is the highest base-64 digit in which its tick differs from the
 * wheel's: so timers of one tick always share a list, and strike in the order in which they were set; and the earliest
 * timer is always in the lowest level that is not empty. Bits of the occupancy maps are cleared when a slot is next looked
 * at, not when a timer is cleared.
 */
#ifndef WEFT_LIB_TASK_TIMER_H
#define WEFT_LIB_TASK_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/time.h>

#include "lib/base/list.h"

#define WEFT_TICK_NEVER INT64_MAX

enum { WEFT_WHEEL_LEVELS = 7, WEFT_WHEEL_SLOTS = 64 };

typedef struct weft_timer {
    weft_list link; /* in a slot; on itself when not set */
    int64_t tick;   /* due, in milliseconds of the loop's clock */
    void (*strike)(struct weft_timer *timer);
} weft_timer;

typedef struct weft_wheel {
    int64_t now;   /* every tick up to this one has been dealt with */
    int64_t armed; /* no timer is due before this tick; WEFT_TICK_NEVER when none is set */
    uint64_t occupied[WEFT_WHEEL_LEVELS];
    weft_list due; /* of the tick being struck, and those set in the past */
    weft_list slots[WEFT_WHEEL_LEVELS][WEFT_WHEEL_SLOTS];
} weft_wheel;

void weft_wheel_init(weft_wheel *wheel, int64_t now);

static inline void weft_timer_init(weft_timer *timer, void (*strike)(weft_timer *timer))
{
    weft_list_init(&timer->link);
    timer->strike = strike;
}

/* The tick at which something that must not happen before `deadline` (nanoseconds) may happen. */
static inline int64_t weft_tick_of(weft_duration deadline)
{
    return deadline == WEFT_NO_LIMIT ? WEFT_TICK_NEVER : deadline / WEFT_MILLISECOND + (deadline % WEFT_MILLISECOND > 0);
}

/* Sets a timer that is not set. A tick in the past strikes at the next run; WEFT_TICK_NEVER sets nothing. */
void weft_timer_set(weft_wheel *wheel, weft_timer *timer, int64_t tick);

static inline void weft_timer_clear(weft_timer *timer)
{
    weft_list_remove(&timer->link);
}

static inline bool weft_timer_is_set(const weft_timer *timer)
{
    return !weft_list_is_empty(&timer->link);
}

/* Strikes what is due up to `now`, tick by tick; a strike may set and clear timers. With `one_tick` it stops after the first
 * tick in which anything struck. Returns whether anything did. */
bool weft_wheel_run(weft_wheel *wheel, int64_t now, bool one_tick);

/* A tick before which nothing is due (not always exact, always later than `now`, so that running it makes progress). */
int64_t weft_wheel_next(weft_wheel *wheel);

#endif
