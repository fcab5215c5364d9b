/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * A pool of resources that are dear to open: database connections, for example. (Threads have pools of their own:
 * weft/offload.h.)
 *
 *     weft_pool *pool;
 *     WEFT_TRY(weft_pool_open(&pool, struct connection, log_in, log_out, .arg = url, .limit = 5, .check = ping));
 *     ...
 *     WEFT_POOLED (held, pool) {                       // waits until there is one
 *         struct connection *c = held.resource;
 *         rc = query(c, "...");
 *         held.is_broken = rc == -EPIPE;               // then it is not used again
 *     }                                                // given back, however the block is left
 *     WEFT_TRY(held.result);
 *     ...
 *     weft_pool_close(pool);                           // waits for those that are out
 *
 * Resources are of one type, and live in the pool. It opens them when they are needed, up to `limit`; what is given back is
 * lent again, the latest first, so that those which a quieter time does not need grow old and are closed. Who finds none waits,
 * first come first served: what is given back is handed to the longest waiting task, or the right to open a new one if that is
 * broken. So never more than `limit` are open, those being opened or closed included.
 *
 * A resource is closed, and a new one opened in its place, if it was given back as broken, if `check` says so before it is lent
 * again, or if it has been idle for too long or grown too old. The functions for opening, checking and closing may wait. They
 * are called in the task that acquires or releases, under its deadlines; `close` always under a shield of WEFT_CLEANUP_TIME,
 * and in a task of the pool's own for what has been idle.
 *
 * A pool is for the tasks of one loop, and must be closed before that ends.
 */
#ifndef WEFT_POOL_H
#define WEFT_POOL_H

#include <weft/held.h>
#include <weft/time.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_pool weft_pool;

typedef int weft_pool_open_fn(void *resource, void *arg);   /* fills in *resource: >= 0, or an error; then there is none */
typedef void weft_pool_close_fn(void *resource, void *arg); /* the end of it */
typedef int weft_pool_check_fn(void *resource, void *arg);  /* >= 0 it is good, < 0 broken */

typedef struct weft_pool_options {
    size_t struct_size;
    void *arg;                     /* for the functions; borrowed until the pool is closed */
    size_t limit;                  /* open at once, at most; 0 is 10 */
    size_t minimum;                /* opened at once, and not closed for being idle */
    weft_pool_check_fn *check;     /* before one that was idle is lent again; NULL: none is broken */
    weft_duration check_after;     /* only if it was idle for so long; 0: each time */
    weft_duration acquire_timeout; /* after which acquiring gives up; 0: only scopes around it count */
    weft_duration idle_timeout;    /* after which it is closed; 0 is 5 minutes, WEFT_NO_LIMIT never */
    weft_duration lifetime;        /* from opening, after which it is not lent again; 0 is for ever */
} weft_pool_options;

/* May wait. A pool of resources of `type` (aligned to 16), and `minimum` of them opened. 0 with *ret_pool set; the error of
 * `open`, and then those opened before are closed; -EINVAL (minimum above the limit, limit over 65,536, no function, a type of
 * no or more than 64 KiB); -ENOMEM; the reason. weft_pool_open(&pool, struct connection, log_in, log_out, .limit = 5) */
#define weft_pool_open(ret_pool, type, open, close, ...)                                                                       \
    weft_pool_open_((ret_pool), sizeof(type), (open), (close),                                                                 \
                    &(weft_pool_options){ .struct_size = sizeof(weft_pool_options), __VA_ARGS__ }, __FILE__, __LINE__)
WEFT_API WEFT_WAITS int weft_pool_open_(weft_pool **ret_pool, size_t size, weft_pool_open_fn *open, weft_pool_close_fn *close,
                                        const weft_pool_options *options, const char *file, int line);

/* Lets nobody acquire any more: tasks that wait for it get WEFT_ECLOSED, and so does who comes before it returns. Closes what
 * is idle, waits until the others have come back and are closed, and gives the pool back. 0; or the reason that cut the waiting
 * short: then each of the others is closed when it is released, and the pool goes with the last. In any case the pool is not to
 * be used afterwards but for releasing. -EALREADY if another task is closing it, which is misuse. NULL is fine. */
WEFT_API int weft_pool_close(weft_pool *p);

/* May wait. Sets *ret_ptr, a pointer to a pointer to the pool's type, to a resource which the caller has until it releases it.
 * 0; the error of `open`; WEFT_ECLOSED; WEFT_EDEADLINE after `acquire_timeout`; -EINVAL a type of another size; the reason. */
#define weft_pool_acquire(p, ret_ptr) weft_pool_acquire_((p), (ret_ptr), sizeof **(ret_ptr))
WEFT_API WEFT_WAITS int weft_pool_acquire_(weft_pool *p, void *ret_ptr, size_t size);

/* Gives it back, from any task. It may wait, if the resource has to be closed: its time is over, or the pool is being closed.
 * Never refused. Releasing what is not out is misuse, and ends the program with a message. */
WEFT_API void weft_pool_release(weft_pool *p, void *resource);

/* Gives it back as broken: it is closed, which may wait. Never refused. */
WEFT_API void weft_pool_discard(weft_pool *p, void *resource);

typedef struct weft_pool_counts {
    size_t open;    /* resources, those being opened or closed included */
    size_t idle;    /* of them, waiting to be lent */
    size_t waiting; /* tasks */
} weft_pool_counts;
WEFT_API weft_pool_counts weft_pool_count(const weft_pool *p);

/* May wait. A block that has a resource of the pool in name.resource, or is skipped (weft/held.h). Leaving it releases that, or
 * discards it if name.is_broken has been set. */
typedef struct weft_pooled {
    int result;     /* out: 0 the block has run; < 0 it was skipped, and this is why */
    bool is_broken; /* in: set in the block */
    void *resource;
    bool left_;
    weft_pool *pool_;
} weft_pooled;
#define WEFT_POOLED(name, pool)                                                                                                \
    weft_pooled name = weft_pool_enter_(pool);                                                                                 \
    for (weft_pooled * WEFT_GLUE(weft_pooled_, __LINE__) __attribute__((cleanup(weft_pool_leave_), unused)) = &name;           \
         name.result == 0 && !name.left_; name.left_ = true)
WEFT_API WEFT_WAITS weft_pooled weft_pool_enter_(weft_pool *p);
WEFT_API void weft_pool_leave_(weft_pooled **pooled);

#ifdef __cplusplus
}
#endif
#endif
