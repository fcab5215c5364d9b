/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Select: waits for one of several things.
 *
 *     weft_select_case cases[] = {
 *         WEFT_ON_GET(jobs, &job),
 *         WEFT_ON_EVENT(&stop),
 *         WEFT_ON_TIMEOUT(2 * WEFT_SECOND),
 *     };
 *     switch (weft_select(cases, 3)) {
 *     case 0: ...                              // cases[0].result: 1 a job, 0 the queue is closed and empty
 *     case 1: ...
 *     case 2: ...                              // two seconds have passed
 *     default: ...                             // < 0: cut short; nothing was taken
 *     }
 *
 * Exactly one case happens: one item is taken or put, one place acquired, one task's result told; all the others are as if
 * they had never been waited for. Of several that can happen at once one is chosen at random, each as likely as the others;
 * in test mode by its seed, so that a run can be repeated. The cases can be used again for the next select. One whose object
 * is NULL never happens: set cases[0].on.queue = NULL once a queue has ended, or it is chosen for ever.
 */
#ifndef WEFT_SELECT_H
#define WEFT_SELECT_H

#include <weft/event.h>
#include <weft/queue.h>
#include <weft/semaphore.h>
#include <weft/task.h>

#ifdef __cplusplus
extern "C" {
#endif

enum weft_select_kind {
    WEFT_SELECT_GET,
    WEFT_SELECT_PUT,
    WEFT_SELECT_EVENT,
    WEFT_SELECT_PLACE,
    WEFT_SELECT_END,
    WEFT_SELECT_TIMEOUT,
    WEFT_SELECT_PROCESS,
    WEFT_SELECT_SIGNAL
};

struct weft_process;
struct weft_signal;

typedef struct weft_select_case {
    enum weft_select_kind kind;
    union {
        weft_queue *queue;
        weft_event *event;
        weft_semaphore *semaphore;
        weft_task *task;
        struct weft_process *process;
        struct weft_signal *signal;
    } on; /* borrowed; NULL: the case never happens */
    void *item;
    size_t item_size;
    weft_duration timeout;
    int result;     /* out, of the case that happened: what the call of its own would have returned */
    void *own_[12]; /* private */
} weft_select_case;

/* As weft_queue_get: result 1, or 0 closed and empty, or -EINVAL. */
#define WEFT_ON_GET(q, item_ptr)                                                                                               \
    {                                                                                                                          \
        .kind = WEFT_SELECT_GET, .on = { .queue = (q) }, .item = (item_ptr), .item_size = sizeof *(item_ptr)                   \
    }

/* As weft_queue_put: result 0, or WEFT_ECLOSED, or -EINVAL. The item is borrowed. */
#define WEFT_ON_PUT(q, item_ptr)                                                                                               \
    {                                                                                                                          \
        .kind = WEFT_SELECT_PUT, .on = { .queue = (q) }, .item = (void *)(item_ptr), .item_size = sizeof *(item_ptr)           \
    }

/* The event is set: result 0. */
#define WEFT_ON_EVENT(e)                                                                                                       \
    {                                                                                                                          \
        .kind = WEFT_SELECT_EVENT, .on = {.event = (e) }                                                                       \
    }

/* A place of a semaphore has been acquired, and must be released: result 0. */
#define WEFT_ON_PLACE(s)                                                                                                       \
    {                                                                                                                          \
        .kind = WEFT_SELECT_PLACE, .on = {.semaphore = (s) }                                                                   \
    }

/* A task started by weft_spawn has ended, as weft_await: the result is the task's, and the handle is spent; or -EALREADY. */
#define WEFT_ON_END(t)                                                                                                         \
    {                                                                                                                          \
        .kind = WEFT_SELECT_END, .on = {.task = (t) }                                                                          \
    }

/* A child has ended, as weft_process_wait (weft/process.h): result 0 with its status, or -ECHILD, or WEFT_ECLOSED. */
#define WEFT_ON_PROCESS(p, status_ptr)                                                                                         \
    {                                                                                                                          \
        .kind = WEFT_SELECT_PROCESS, .on = { .process = (p) }, .item = (status_ptr), .item_size = sizeof *(status_ptr)         \
    }

/* A signal has come, as weft_signal_wait (weft/signal.h): result how often, > 0, or WEFT_ECLOSED. */
#define WEFT_ON_SIGNAL(s)                                                                                                      \
    {                                                                                                                          \
        .kind = WEFT_SELECT_SIGNAL, .on = {.signal = (s) }                                                                     \
    }

/* d has passed since the call: result 0. 0 or less happens at once, unless another case can: so select does not wait. */
#define WEFT_ON_TIMEOUT(d)                                                                                                     \
    {                                                                                                                          \
        .kind = WEFT_SELECT_TIMEOUT, .timeout = (d)                                                                            \
    }

/* May wait. Returns the index of the case that happened, with its `result` set; or the reason, and then no case has. */
WEFT_API WEFT_WAITS int weft_select(weft_select_case *cases, size_t count);

#ifdef __cplusplus
}
#endif
#endif
