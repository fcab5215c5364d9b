/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
#ifndef WEFT_LIB_BASE_CLOCK_H
#define WEFT_LIB_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include <weft/time.h>

/* CLOCK_MONOTONIC in nanoseconds. */
static inline weft_duration weft_clock_monotonic(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (weft_duration)now.tv_sec * WEFT_SECOND + now.tv_nsec;
}

/* The same clock as the kernel's last tick left it, 1 to 10 ms ago, at an eighth of the price. */
static inline weft_duration weft_clock_coarse(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (weft_duration)now.tv_sec * WEFT_SECOND + now.tv_nsec;
}

/* The processor's own count, where it has one that any program may read; it costs less than a look at any clock, and touches no
 * memory. Only for weft_clock_is_near. */
static inline uint64_t weft_clock_cycles(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    return 0;
#endif
}

/* How far it has gone on since it was `cycles`, by 1 to 5 a nanosecond; UINT64_MAX where nothing counts. */
static inline uint64_t weft_clock_cycles_since(uint64_t cycles)
{
#if defined(__x86_64__)
    return weft_clock_cycles() - cycles;
#else
    (void)cycles;
    return UINT64_MAX;
#endif
}

/* Have surely not more than 4 milliseconds passed since that was the count? */
static inline bool weft_clock_is_near(uint64_t cycles)
{
    return weft_clock_cycles_since(cycles) < UINT64_C(1) << 22;
}

/* a + b for a >= 0, at most WEFT_NO_LIMIT: a deadline that far away never comes. */
static inline weft_duration weft_clock_add(weft_duration a, weft_duration b)
{
    return b >= WEFT_NO_LIMIT - a ? WEFT_NO_LIMIT : a + b;
}

#endif
