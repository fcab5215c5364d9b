/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
#ifndef WEFT_LIB_BASE_CLOCK_H
#define WEFT_LIB_BASE_CLOCK_H

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

/* a + b for a >= 0, at most WEFT_NO_LIMIT: a deadline that far away never comes. */
static inline weft_duration weft_clock_add(weft_duration a, weft_duration b)
{
    return b >= WEFT_NO_LIMIT - a ? WEFT_NO_LIMIT : a + b;
}

#endif
