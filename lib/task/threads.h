/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Pools of threads, which a loop has for each kind of blocking work: a disk that hangs holds up neither name look-ups nor the
 * start of a child.
 *
 * A job goes to the queue of its pool, is taken from there by a thread, which calls its function, and comes back to the loop by
 * a post that is part of it, so that nothing can fail on the way. Jobs belong to the loop's thread, on which `done` is called;
 * the pool's thread only reads fn and arg, and writes `result` before it posts. What may wait for jobs is above:
 * weft_threads_call for one call (offload.c), weft_parallel_for for many (parallel.c).
 */
#ifndef WEFT_LIB_TASK_THREADS_H
#define WEFT_LIB_TASK_THREADS_H

#include <stdatomic.h>

#include <weft/offload.h>

#include "lib/task/loop.h"

enum weft_threads_kind {
    WEFT_THREADS_USER,    /* weft_offload */
    WEFT_THREADS_COMPUTE, /* weft_parallel_for: as many threads as there are processors */
    WEFT_THREADS_FILES,
    WEFT_THREADS_NAMES,
    WEFT_THREADS_PROCESSES, /* starting children */
    WEFT_THREADS_KINDS
};

struct weft_thread_pool;

/* Embedded in its owner, zeroed but for the first members, and in place until `done` is called or it is withdrawn. */
typedef struct weft_job {
    int (*fn)(void *arg);
    void *arg;
    const char *name;                   /* for reports; static */
    void (*done)(struct weft_job *job); /* on the loop's stack, with no task running; may free the job */
    int result;                         /* what fn returned */
    /* the pool's own */
    struct weft_thread_pool *pool;
    weft_list link; /* in its queue until a thread takes it; under the pool's lock */
    bool is_counted;
    atomic_bool is_cut;
    struct weft_loop_post post;
} weft_job;

/* On the loop's thread. 0; -EAGAIN when the queue is full and `fails_when_full`, or no thread can be started; -ENOMEM. */
int weft_threads_submit(enum weft_threads_kind kind, weft_job *job, bool fails_when_full);

/* Takes back a job that no thread has taken: true, and `done` will not be called. Else the job goes on, and weft_cancelled is
 * true in it from now on. */
bool weft_threads_withdraw(weft_job *job);

/* Nobody waits for the job any more: it does not hold up virtual time. `done` is still called. */
void weft_threads_abandon(weft_job *job);

/* In a thread of a pool: is what runs there to be cut short? False elsewhere. */
bool weft_threads_is_cut(void);

/* Processors that this process may use. */
int weft_threads_processors(void);

/* Waits for all of them. No job may be left but abandoned ones. */
void weft_threads_close(weft_loop *loop);

/* ---- one call (offload.c) ---- */

struct weft_threads_call {
    enum weft_threads_kind kind;
    const char *name; /* for reports; static */
    int (*fn)(void *arg);
    void *arg;
    size_t copy_size; /* 0: arg is borrowed; else copied in, and out again */
    bool fails_when_full;
    const void *place; /* the return address of the public call */
};

/* May wait. As weft_offload and weft_offload_borrowed, in the pool of that kind. */
WEFT_WAITS int weft_threads_call(const struct weft_threads_call *call);

/* ---- descriptors (fd.c) ---- */

/* May wait. weft_fd_wait for another call, which has asked weft_wait_check; `what`, `on` and `place` are for reports. */
WEFT_WAITS int weft_fd_park(int fd, int events, const char *what, const void *on, const void *place);

/* Gives the table back. No task may wait for a descriptor. */
void weft_fds_close(weft_loop *loop);

#endif
