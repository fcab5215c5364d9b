/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The supervisor: a thread of its own that reads signals, keeps the clock of the stop, and watches that nobody holds the loop
 * (watchdog.h).
 *
 * A handler in `while (1)` hangs the very loop that should cut it, so the clock cannot live there: from the first request to
 * stop the supervisor counts, and ends the process with status 75 when the limit has passed. It also keeps signal frames
 * (3.5 KB) off coroutine stacks: the signals are blocked in all other threads, which inherit that from who starts it.
 */
#ifndef WEFT_LIB_TASK_SUPERVISOR_H
#define WEFT_LIB_TASK_SUPERVISOR_H

#include "lib/task/loop.h"

enum { WEFT_EXIT_CUT = 75 };

typedef struct weft_supervisor weft_supervisor;

struct weft_supervisor_options {
    weft_duration limit;       /* from the first request to stop until the process is ended, */
    weft_duration hurry_limit; /* and from the second, if that is sooner */
    /* On the loop's thread, outside any task: the how-manieth request to stop it is, 1 or 2. A third ends the process. */
    void (*stop)(void *context, int count);
    void *context;
    /* On the supervisor's thread: SIGQUIT has come, which is for other loops of the context's too. May be NULL. */
    void (*list)(void *context);
    const char *list_head;     /* a line before the list of this loop's tasks; or NULL */
    bool leaves_signals;       /* it only watches, and keeps no clock of a stop */
    weft_duration stall_limit; /* who holds the loop for longer is named; 0: nobody is watched */
    /* On the supervisor's thread: SIGHUP has come. NULL leaves that signal alone. */
    void (*hangup)(void *context);
    void *hangup_context;
};

/* Blocks SIGTERM, SIGINT, SIGQUIT (and SIGHUP, if there is a use for it) in the calling thread (and all it starts), and starts
 * the thread. 0 or -errno. */
int weft_supervisor_start(weft_supervisor **ret_supervisor, weft_loop *loop, const struct weft_supervisor_options *options);

/* Asks for the stop, as a signal would. From any thread. */
void weft_supervisor_request_stop(weft_supervisor *supervisor);

/* Ends the thread, takes back what the loop has not heard yet, and restores the signal mask; signals that came too late are
 * dropped, except for a first request to stop. On the thread that started it; calls nothing. */
void weft_supervisor_end(weft_supervisor *supervisor);

#endif
