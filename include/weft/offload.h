/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Offload: calls that block or compute, in threads, while the loop goes on.
 *
 *     static int resize(void *arg)                       // in a thread: plain blocking C, no waiting calls of Weft
 *     {
 *         struct image *image = arg;
 *         return slow_library_resize(image->path, image->width);
 *     }
 *     ...
 *     struct image image = { .width = 100 };
 *     WEFT_TRY(weft_offload(resize, &image));            // the task waits, the loop does not
 *
 * A thread cannot be cut short, so the question is who owns what it works on. weft_offload gives the thread a copy of the
 * value, and copies it back when the function has returned: a wait that is cut short abandons it at once, the copy outlives the
 * wait, and what the thread makes of it is dropped. What the value points at is not copied: it must outlive the thread too
 * (static, or owned by the value and given up by the function). If that cannot be had, weft_offload_borrowed lends the argument
 * itself, and pays for it: once the thread has started, the call returns when the thread has, however long that takes.
 *
 * The function can ask weft_cancelled() from time to time: it becomes true in the thread when nobody waits for it any more.
 * Of Weft's other calls only weft_loop_post, weft_now, weft_log and weft_strerror are for threads.
 *
 * Each loop has threads of its own, in pools that do not starve each other: one for these calls, one for weft_parallel_for,
 * and others for files, for name look-ups and for starting children. Threads start when there is work for them, up to a limit,
 * and end when they have had none for a while. While functions mostly return within microseconds, the loop and the thread wait
 * for each other awake for up to 20 us; with slower ones, or one processor, they sleep. All signals but those of faults are
 * blocked in them. At the loop's end it waits for its threads, and if one hangs says so in the log after a second, and every
 * ten: a thread that does not return holds up the end of weft_run.
 */
#ifndef WEFT_OFFLOAD_H
#define WEFT_OFFLOAD_H

#include <weft/error.h>
#include <weft/time.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef int weft_offload_fn(void *arg); /* in a thread; >= 0 success, < 0 an error */

typedef struct weft_offload_options {
    size_t struct_size;
    bool fail_when_full; /* -EAGAIN at once when `queue` calls wait for a thread already; else it waits in line */
} weft_offload_options;

/* May wait. Calls fn on a copy of *value_ptr (aligned to 16) in a thread, and copies that back when fn has returned, also with
 * an error. Returns what fn returned; or, with *value_ptr as it was: the reason that cut the wait short (a call that had not
 * started yet never will; one that had is abandoned); -EAGAIN (see above, or no thread can be started); -ENOMEM.
 * weft_offload(fn, &value, .fail_when_full = true) */
#define weft_offload(fn, value_ptr, ...)                                                                                       \
    weft_offload_(#fn, (fn), (value_ptr), sizeof *(value_ptr),                                                                 \
                  &(weft_offload_options){ .struct_size = sizeof(weft_offload_options), __VA_ARGS__ })

/* May wait. Calls fn(arg) in a thread. Cut short, it withdraws a call that has not started yet and returns the reason; once
 * the thread has started it waits until fn returns, and returns what fn returned. Errors as above. */
#define weft_offload_borrowed(fn, arg, ...)                                                                                    \
    weft_offload_borrowed_(#fn, (fn), (arg),                                                                                   \
                           &(weft_offload_options){ .struct_size = sizeof(weft_offload_options), __VA_ARGS__ })

WEFT_API WEFT_WAITS int weft_offload_(const char *name, weft_offload_fn *fn, void *value, size_t size,
                                      const weft_offload_options *options);
WEFT_API WEFT_WAITS int weft_offload_borrowed_(const char *name, weft_offload_fn *fn, void *arg,
                                               const weft_offload_options *options);

typedef int weft_parallel_fn(size_t index, void *arg); /* in a thread; >= 0 success, < 0 an error */

typedef struct weft_parallel_options {
    size_t struct_size;
    int threads;  /* at once, at most; 0, or more than that, is one for each processor that the process may use */
    size_t grain; /* items that a thread takes at a time; 0 chooses so that each comes about eight times */
} weft_parallel_options;

/* May wait. Calls fn(0, arg) to fn(count - 1, arg), several at once, in threads: for work that computes. In which order, and
 * which of them at the same time, is open: what the calls share in `arg` they must not write unguarded. An item that fails
 * lets no further item begin, and so does a reason: it returns when the items that have begun have returned (they can look
 * at weft_cancelled). Returns 0 when all were done, the error of the item that failed first, the reason, -EAGAIN or -ENOMEM.
 * weft_parallel_for(count, fn, arg, .threads = 2) */
#define weft_parallel_for(count, fn, arg, ...)                                                                                 \
    weft_parallel_for_(#fn, (count), (fn), (arg),                                                                              \
                       &(weft_parallel_options){ .struct_size = sizeof(weft_parallel_options), __VA_ARGS__ })
WEFT_API WEFT_WAITS int weft_parallel_for_(const char *name, size_t count, weft_parallel_fn *fn, void *arg,
                                           const weft_parallel_options *options);

typedef struct weft_offload_limits {
    int threads;        /* 1 to 1,000; 0 is the number of processors plus four, 32 at most */
    int queue;          /* calls that wait for a thread before .fail_when_full refuses more; 0 is 1,024 */
    weft_duration idle; /* after which a thread without work ends; 0 is ten seconds */
} weft_offload_limits;

/* Sets the limits of this loop's pool for weft_offload. Returns 0; -EBUSY once it has been used; -EINVAL; -ENOMEM; -EPERM
 * outside a loop. Never waits. */
WEFT_API WEFT_MUST int weft_offload_set_limits(const weft_offload_limits *limits);

#ifdef __cplusplus
}
#endif
#endif
