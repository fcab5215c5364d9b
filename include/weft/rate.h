/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * A rate limiter: a bucket that holds so many tokens and is filled at a steady rate; doing something costs tokens.
 *
 *     weft_rate_init(&calls, 50, WEFT_SECOND, 10);     // 50 a second; 10 at once after a quiet time
 *     ...
 *     WEFT_TRY(weft_rate_take(&calls, 1));
 *
 * Over any stretch of time no more is let through than the burst and what the rate allows in that time. Waiting tasks are
 * served first come, first served, also when a later one wants less. A task that is cut short takes nothing, and those behind
 * it move up.
 *
 * It is embedded in its owner, and is for the tasks of one loop: weft_rate_init, then any calls, then weft_rate_close.
 */
#ifndef WEFT_RATE_H
#define WEFT_RATE_H

#include <weft/time.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_rate {
    void *own_[12]; /* private */
} weft_rate;

/* `count` tokens (at least 1) come in evenly each `per` (at most one a nanosecond, at least one in a century); the bucket
 * holds `burst` (at least 1, at most what a century brings) and is full at first. Other numbers are misuse, and end the
 * program. Never fails; allocates nothing. */
#define weft_rate_init(r, count, per, burst) weft_rate_init_((r), (count), (per), (burst), __FILE__, __LINE__)
WEFT_API void weft_rate_init_(weft_rate *r, uint64_t count, weft_duration per, uint64_t burst, const char *file, int line);

/* The end of it. Closing it while a task waits is misuse, and ends the program with a message. */
WEFT_API void weft_rate_close(weft_rate *r);

/* May wait. Takes n tokens, waiting until there are as many. 0; -EINVAL if n is larger than the burst; the reason, and then
 * none was taken. */
WEFT_API WEFT_WAITS int weft_rate_take(weft_rate *r, uint64_t n);

/* The same without waiting: -EAGAIN when there are not as many, or others wait. For the loop's thread, in a task or not. */
WEFT_API WEFT_MUST int weft_rate_try_take(weft_rate *r, uint64_t n);

#ifdef __cplusplus
}
#endif
#endif
