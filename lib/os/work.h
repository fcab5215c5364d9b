/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Work: a call to the system that may take long, made in a thread of the pool for files, or in another, and the task that waits
 * for it.
 *
 * It owns whatever the thread touches: paths, buffers, the descriptor it opens. So the wait can be cut short at any time: the
 * work then belongs to itself, and is disposed of, on the loop's thread, when its thread is done with it.
 */
#ifndef WEFT_LIB_OS_WORK_H
#define WEFT_LIB_OS_WORK_H

#include "lib/task/threads.h"
#include "lib/task/wait.h"

/* The first member of what a call needs, on the heap. */
typedef struct weft_work {
    weft_job job;
    void (*dispose)(struct weft_work *work);   /* gives back what its function has made, if it was called, and the work */
    void (*abandoned)(struct weft_work *work); /* its task has gone, its thread has not; may be NULL */
    weft_wait *wait;                           /* NULL when no task is parked for it */
    bool is_done;                              /* the thread has come back */
    bool is_served;                            /* and that is what settled the wait */
    bool is_withdrawn;                         /* no thread has seen it, or will */
    bool is_abandoned;
} weft_work;

/* For the public calls: where the report of a wait says that it waits. */
#define WEFT_PLACE_HERE __builtin_return_address(0)

/* May wait. Calls fn(work) in a thread; `name` is for reports and static. Returns 0, and work->job.result is what fn returned;
 * or < 0, the reason that cut it short or what kept it from beginning, and the work is disposed of, now or later. The caller
 * has asked weft_wait_check. */
WEFT_WAITS int weft_work_run(weft_work *work, const char *name, int (*fn)(void *work), const void *place);

/* The same in a thread of another pool. */
WEFT_WAITS int weft_work_run_in(enum weft_threads_kind kind, weft_work *work, const char *name, int (*fn)(void *work),
                                const void *place);

#endif
