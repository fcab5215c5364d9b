/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * A short busy wait before a long sleep, where it has been worth it.
 *
 * To put a thread to sleep and wake it takes two calls to the system, and what it waits for may come sooner. So it looks for up
 * to WEFT_SPIN_TIME first, as long as that mostly succeeds: each success gives credit for further tries, each failure takes
 * more of it, and without credit one in WEFT_SPIN_REST waits is tried, then one in twice as many, up to WEFT_SPIN_REST_MOST. So
 * who waits for what takes long, or for a thread that the machine has no processor for, spends next to nothing.
 *
 * On one processor what it waits for can only come while it does not run: there it yields in place of looking, which lets the
 * other thread run as sleeping would, by fewer calls. If a third one is busy there, a yield may take a slice of its, 3 ms,
 * where sleeping would not: one such try ends all but one in WEFT_SPIN_REST_MOST.
 */
#ifndef WEFT_LIB_BASE_SPIN_H
#define WEFT_LIB_BASE_SPIN_H

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "lib/base/clock.h"

enum {
    WEFT_SPIN_CREDIT = 8,
    WEFT_SPIN_COST = 3,
    WEFT_SPIN_REST = 64,
    WEFT_SPIN_REST_MOST = 8192,
    WEFT_SPIN_LOOKS = 32,
};

#define WEFT_SPIN_TIME (20 * WEFT_MICROSECOND)
#define WEFT_SPIN_LATE (200 * WEFT_MICROSECOND)

/* Of who waits; used by that thread alone. */
typedef struct weft_spin_credit {
    bool yields; /* on one processor; not changed once it is set */
    int credit;
    unsigned rest, rested; /* waits between two tries without credit, and since the last one */
} weft_spin_credit;

static inline void weft_spin_init(weft_spin_credit *c, int processors)
{
    *c = (weft_spin_credit){ .yields = processors == 1, .credit = WEFT_SPIN_CREDIT, .rest = WEFT_SPIN_REST };
}

/* Is it worth a try? To be asked once for each wait. */
static inline bool weft_spin_is_worth(weft_spin_credit *c)
{
    bool is_worth = c->credit > 0 || ++c->rested >= c->rest;
    if (is_worth)
        c->rested = 0;
    return is_worth;
}

/* How the try went, and how long it took. */
static inline void weft_spin_learn(weft_spin_credit *c, bool has_come, weft_duration took)
{
    if (took > WEFT_SPIN_LATE) {
        c->credit = 0;
        c->rest = WEFT_SPIN_REST_MOST;
        return;
    }
    if (has_come)
        c->rest = WEFT_SPIN_REST;
    else if (c->credit == 0 && c->rest < WEFT_SPIN_REST_MOST)
        c->rest *= 2;
    int credit = c->credit + (has_come ? 1 : -WEFT_SPIN_COST);
    c->credit = credit > WEFT_SPIN_CREDIT ? WEFT_SPIN_CREDIT : credit < 0 ? 0 : credit;
}

static inline void weft_spin_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

/* Waits until *sign is not 0 any more: true; false when that has taken too long, though *sign may be set by then. */
static inline bool weft_spin(const atomic_int *sign, bool yields)
{
    weft_duration end = weft_clock_monotonic() + WEFT_SPIN_TIME;
    do {
        for (int i = 0; i < (yields ? 1 : WEFT_SPIN_LOOKS); i++) {
            if (atomic_load_explicit(sign, memory_order_relaxed))
                return true;
            if (yields)
                sched_yield();
            else
                weft_spin_pause();
        }
    } while (weft_clock_monotonic() < end);
    return false;
}

/* The same, and learns from it. */
static inline void weft_spin_try(weft_spin_credit *c, const atomic_int *sign)
{
    weft_duration start = weft_clock_monotonic();
    bool has_come = weft_spin(sign, c->yields);
    weft_spin_learn(c, has_come, weft_clock_monotonic() - start);
}

#endif
