/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The watchdog: who holds the loop, so that nothing else runs on it?
 *
 * A loop counts a beat when it enters a task or calls a post, and another when that has come back: the count is odd while
 * somebody else's code runs. That costs the loop seven instructions a switch, and no clock. The supervisor's thread looks at
 * the count from time to time; if it is odd and has stayed the same for the limit, the loop is held, and what it says of the
 * task is what that thread reads between two equal counts. The report goes to standard error at once, for who holds a loop may
 * never let go; when it does, the loop logs how long it took.
 *
 * In debug mode the report says where the task is: the loop's thread is asked by a signal, whose handler runs on a stack of its
 * own and walks up from where the thread was interrupted. That cuts short a nanosleep, or whatever else the system does not
 * restart, which is why nobody is asked outside debug mode.
 */
#ifndef WEFT_LIB_TASK_WATCHDOG_H
#define WEFT_LIB_TASK_WATCHDOG_H

#include <pthread.h>
#include <stdatomic.h>

#include "lib/task/loop.h"

#define WEFT_STALL_LIMIT       WEFT_SECOND              /* unless told otherwise, */
#define WEFT_STALL_LIMIT_DEBUG (100 * WEFT_MILLISECOND) /* and in debug mode */

enum { WEFT_SAMPLE_FRAMES = 32, WEFT_STALLS_UNTOLD = 8 /* past which the loop is not told of more */ };

/* Where the loop's thread is, written by that thread in a signal handler. */
struct weft_sample {
    atomic_bool is_wanted, is_taken;
    size_t count;
    void *addresses[WEFT_SAMPLE_FRAMES]; /* the innermost first */
};

/* Who holds the loop. The texts are static, or live as long as the app. */
struct weft_holder {
    const char *name, *label, *file; /* no name: a posted function */
    int line;
    void (*posted)(void *arg);
};

/* One that is over: the loop is told how long it was held. */
struct weft_stall {
    struct weft_loop_post post;
    atomic_bool is_posted; /* then the loop's, else the supervisor's */
    struct weft_holder holder;
    weft_duration held;
};

typedef struct weft_watchdog {
    weft_loop *loop;
    weft_duration limit; /* WEFT_NO_LIMIT: nothing is watched */
    bool takes_samples;
    pthread_t loop_thread;
    struct weft_sample sample;
    /* of the supervisor's thread */
    uint64_t beat;
    weft_duration began, held, looked; /* first seen; since then, as the looks have it; the last look */
    struct weft_holder holder;
    bool is_reported;
    struct weft_stall stalls[WEFT_STALLS_UNTOLD];
} weft_watchdog;

/* On the loop's thread, while the supervisor's does not look. The end logs what the loop has not heard yet. */
void weft_watchdog_open(weft_watchdog *w, weft_loop *loop, weft_duration limit, bool takes_samples);
void weft_watchdog_close(weft_watchdog *w);

/* How long the supervisor may sleep until it looks again; WEFT_NO_LIMIT. */
weft_duration weft_watchdog_period(const weft_watchdog *w);

/* On the supervisor's thread. */
void weft_watchdog_look(weft_watchdog *w);

#endif
