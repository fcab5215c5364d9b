/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Debug mode: mistakes that a program gets away with are reported, each with the line of the program it is about.
 *
 *     return weft_run_with(main_task, NULL, .debug = true) < 0;        // or the environment: WEFT_DEBUG=1 ./program
 *
 * While it runs:
 *   a task, or a function given to weft_loop_post, that holds the loop for longer than 100 ms, without letting others run: who
 *   it is, where it was started, for how long, and where it is
 *   a task of weft_spawn that nobody has awaited when its group ends (unless it was cancelled), with its error if it failed
 *   an error that was collected by a group, and that nobody asked for by weft_group_next
 *   a lock that its task still has when it ends; a generator that is left open
 * and when the loop ends:
 *   queues, streams, locks and the like that were made on the loop and not given back
 *
 * The reports are records in the log, of level warning, that begin with "debug:"; but who holds the loop is named on standard
 * error at once, for it may do so for ever. The same mistake at the same place is reported once and then counted. It costs
 * about 50 ns for each object that is made, and a thread that looks at the loop forty times a second.
 *
 * A server's debug mode is its flag --debug; without it, a second is the time after which who holds the loop is named.
 */
#ifndef WEFT_DEBUG_H
#define WEFT_DEBUG_H

#include <weft/task.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_run_options {
    size_t struct_size;
    bool debug;                /* debug mode; also by WEFT_DEBUG=1 */
    weft_duration stall_limit; /* in debug mode: who holds the loop for longer is named; 0 is 100 ms; WEFT_NO_LIMIT */
    const char *file;          /* where it is called; set by weft_run_with */
    int line;
} weft_run_options;

/* As weft_run, with options: weft_run_with(fn, arg, .debug = true). */
#define weft_run_with(fn, arg, ...)                                                                                            \
    weft_run_with_(                                                                                                            \
        (fn), (void *)(arg),                                                                                                   \
        &(weft_run_options){ .struct_size = sizeof(weft_run_options), .file = __FILE__, .line = __LINE__, __VA_ARGS__ })
WEFT_API int weft_run_with_(weft_task_fn *fn, void *arg, const weft_run_options *options);

/* Is this thread's loop in debug mode? */
WEFT_API bool weft_is_debugging(void);

#ifdef __cplusplus
}
#endif
#endif
