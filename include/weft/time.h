/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Time: durations, the monotonic clock, and sleeping.
 *
 * A duration is a 64-bit count of nanoseconds, written 2 * WEFT_SECOND or 500 * WEFT_MILLISECOND. In options 0 means "the
 * default" and WEFT_NO_LIMIT "never". Deadlines are rounded up to the millisecond: nothing strikes early. In test mode
 * (weft/test.h) the clock is virtual, starts at 0, and jumps to the next deadline when nothing else can happen.
 */
#ifndef WEFT_TIME_H
#define WEFT_TIME_H

#include <weft/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef int64_t weft_duration;

#define WEFT_NANOSECOND  ((weft_duration)1)
#define WEFT_MICROSECOND (1000 * WEFT_NANOSECOND)
#define WEFT_MILLISECOND (1000 * WEFT_MICROSECOND)
#define WEFT_SECOND      (1000 * WEFT_MILLISECOND)
#define WEFT_MINUTE      (60 * WEFT_SECOND)
#define WEFT_HOUR        (60 * WEFT_MINUTE)
#define WEFT_NO_LIMIT    INT64_MAX

/* The monotonic clock, read now (about 30 ns); in test mode the virtual one. Its zero means nothing outside test mode. */
WEFT_API weft_duration weft_now(void);

/* May wait. Lets d pass; 0 or less is weft_yield(). Returns 0, or WEFT_EDEADLINE or WEFT_ECANCELED if a scope around it was
 * cut short first (at once if that had happened before). */
WEFT_API WEFT_WAITS int weft_sleep(weft_duration d);

/* May wait. Lets every task that is ready run once, and pending input and output happen. Returns as weft_sleep. */
WEFT_API WEFT_WAITS int weft_yield(void);

#ifdef __cplusplus
}
#endif
#endif
