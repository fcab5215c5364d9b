/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * A semaphore: so many places, each of which one task can have at a time.
 *
 *     WEFT_PLACE (held, &downloads) {
 *         rc = download(url);                  // at most so many at once
 *     }
 *     WEFT_TRY(held.result);
 *
 * Places are given first come, first served: a release hands its place to the longest waiting task. It is embedded in its
 * owner, and is for the tasks of one loop: weft_semaphore_init, then any calls, then weft_semaphore_close.
 */
#ifndef WEFT_SEMAPHORE_H
#define WEFT_SEMAPHORE_H

#include <weft/held.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_semaphore {
    void *own_[5]; /* private */
} weft_semaphore;

/* `places` are free at first; 0 is fine. Never fails; allocates nothing. */
#define weft_semaphore_init(s, places) weft_semaphore_init_((s), (places), __FILE__, __LINE__)
WEFT_API void weft_semaphore_init_(weft_semaphore *s, size_t places, const char *file, int line);

/* The end of it. Closing one on which a task waits is misuse, and ends the program with a message. */
WEFT_API void weft_semaphore_close(weft_semaphore *s);

/* May wait. Takes a place, waiting for one. 0; or the reason, and then no place was taken. */
WEFT_API WEFT_WAITS int weft_semaphore_acquire(weft_semaphore *s);

/* The same without waiting: 0, or -EAGAIN. May be called outside a task, on the loop's thread. */
WEFT_API WEFT_MUST int weft_semaphore_try_acquire(weft_semaphore *s);

/* Gives a place back, or adds one: whoever has none may do so too. Never waits. */
WEFT_API void weft_semaphore_release(weft_semaphore *s);

/* Places that are free now. */
WEFT_API size_t weft_semaphore_count(const weft_semaphore *s);

/* May wait. A block that has a place of *semaphore_ptr, or is skipped (weft/held.h). */
#define WEFT_PLACE(name, semaphore_ptr) WEFT_HELD_(name, weft_semaphore_enter_(semaphore_ptr))
WEFT_API WEFT_WAITS weft_held weft_semaphore_enter_(weft_semaphore *s);

#ifdef __cplusplus
}
#endif
#endif
