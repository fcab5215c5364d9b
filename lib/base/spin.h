/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * A short busy wait before a long sleep, where it has been worth it.
 *
 * To put a thread to sleep and wake it takes two calls to the system, and what it waits for may come sooner. So it looks for up
 * to WEFT_SPIN_TIME first, as long as that mostly succeeds: each success gives credit for further tries, each failure takes
 * more of it, and without credit only one in WEFT_SPIN_REST waits is tried. So who waits for what takes long, or for a thread
 * that the machine has no processor for, spends next to nothing. With one processor there are no tries.
 */
#ifndef WEFT_LIB_BASE_SPIN_H
#define WEFT_LIB_BASE_SPIN_H

#include <stdatomic.h>
#include <stdbool.h>

#include "lib/base/clock.h"

enum { WEFT_SPIN_CREDIT = 8, WEFT_SPIN_COST = 3, WEFT_SPIN_REST = 64, WEFT_SPIN_LOOKS = 32 };

#define WEFT_SPIN_TIME (20 * WEFT_MICROSECOND)

/* Of who waits; used by that thread alone. */
typedef struct weft_spin_credit {
    bool is_allowed;
    int credit;
    unsigned rested; /* waits since the last try */
} weft_spin_credit;

static inline void weft_spin_init(weft_spin_credit *c, int processors)
{
    *c = (weft_spin_credit){ .is_allowed = processors > 1, .credit = WEFT_SPIN_CREDIT };
}

/* Is it worth a try? To be asked once for each wait. */
static inline bool weft_spin_is_worth(weft_spin_credit *c)
{
    bool is_worth = c->is_allowed && (c->credit > 0 || ++c->rested >= WEFT_SPIN_REST);
    if (is_worth)
        c->rested = 0;
    return is_worth;
}

/* How the try went. */
static inline void weft_spin_learn(weft_spin_credit *c, bool has_come)
{
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

/* Waits until *sign is not 0 any more: true; false when that has taken too long. */
static inline bool weft_spin(const atomic_int *sign)
{
    weft_duration end = weft_clock_monotonic() + WEFT_SPIN_TIME;
    do {
        for (int i = 0; i < WEFT_SPIN_LOOKS; i++) {
            if (atomic_load_explicit(sign, memory_order_relaxed))
                return true;
            weft_spin_pause();
        }
    } while (weft_clock_monotonic() < end);
    return false;
}

#endif
