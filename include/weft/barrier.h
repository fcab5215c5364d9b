/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * A barrier: so many tasks wait until all of them have come; then they all go on, and it can be used again.
 *
 * A task whose wait is cut short leaves again, as if it had not come: the others go on waiting for one more. Who knows that
 * the others would wait in vain breaks the barrier, so that they get an error instead (as asyncio's BrokenBarrierError).
 *
 * It is embedded in its owner, and is for the tasks of one loop: weft_barrier_init, then any calls, then weft_barrier_close.
 */
#ifndef WEFT_BARRIER_H
#define WEFT_BARRIER_H

#include <weft/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_barrier {
    void *own_[5]; /* private */
} weft_barrier;

/* For `parties` tasks, at least 1. Never fails; allocates nothing. */
#define weft_barrier_init(b, parties) weft_barrier_init_((b), (parties), __FILE__, __LINE__)
WEFT_API void weft_barrier_init_(weft_barrier *b, size_t parties, const char *file, int line);

/* The end of it. Closing a barrier at which a task waits is misuse, and ends the program with a message. */
WEFT_API void weft_barrier_close(weft_barrier *b);

/* May wait. Waits until all have come. 1 for exactly one of them, the last to come, which may do what is to be done once; 0
 * for the others; WEFT_ECLOSED when it is broken or reset; the reason, and then this task has not come. */
WEFT_API WEFT_WAITS int weft_barrier_wait(weft_barrier *b);

/* Breaks it: waiting and later waits return WEFT_ECLOSED, until it is reset. Never waits. */
WEFT_API void weft_barrier_break(weft_barrier *b);

/* Makes it new: those who wait get WEFT_ECLOSED, and nobody has come. Never waits. */
WEFT_API void weft_barrier_reset(weft_barrier *b);

/* Tasks that wait at it now. */
WEFT_API size_t weft_barrier_count(const weft_barrier *b);

#ifdef __cplusplus
}
#endif
#endif
