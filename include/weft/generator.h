/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Generators: functions that hand out one value after the other, each when it is asked for.
 *
 *     static int count(weft_generator *g, void *arg)
 *     {
 *         for (int i = 1; i <= *(int *)arg; i++)
 *             WEFT_TRY(weft_generator_yield(g, &i));      // goes on when the next value is asked for
 *         return 0;                                       // the end; or an error, which the consumer gets
 *     }
 *     ...
 *     WEFT_FOR_EACH (int, i, weft_generator_new(int, count, &three)) {
 *         printf("%d\n", i);                              // break and return are fine: the generator is closed
 *     }
 *
 * The body has a stack of its own (taken at the first `next`: nothing runs, and hardly any memory is used, before) and runs
 * only while somebody waits for a value, as if `next` were a call of it: in the task of the consumer, under the consumer's
 * scopes. So a body may wait between its values; a deadline or cancellation of the consumer cuts that wait of the body short,
 * as it would in a function called; a body that passes the reason on, as WEFT_TRY does, has thereby ended, and `next` returns
 * the reason. When the consumer has a reason already, `next` is refused, and the generator is as before. Any task of the loop
 * may be the consumer, one at a time, each time another.
 *
 * Closing a generator whose body has not ended runs the body's clean-up: its yield returns WEFT_ECANCELED, now and ever after,
 * and what it waits for then is shielded from reasons outside for WEFT_CLEANUP_TIME in all. After the body come its deferred
 * calls (weft_defer, called in a body, counts for the body). A body that has not begun is not entered any more.
 *
 * A generator must be closed. What is left open is closed at the end of the innermost group in which it was made (of the task's
 * own, or that which the task belongs to; one made in a body at the end of that body); in debug mode the log says so.
 *
 * Scopes and groups that a body opens may stay open while it yields: then nothing is around them, so that only their own
 * deadlines and cancellations count, and their tasks go on. Tasks that a body starts by weft_spawn belong to the consumer's
 * innermost group, unless the body has opened one.
 *
 * A lock that a body takes is held by the consumer's task, so it is let go before the next yield.
 *
 * Values have a fixed size and are copied; sizes are checked at each call, like those of queues.
 */
#ifndef WEFT_GENERATOR_H
#define WEFT_GENERATOR_H

#include <weft/task.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_generator weft_generator;

/* The body: calls weft_generator_yield for each value; >= 0 the end, < 0 an error. */
typedef int weft_generator_fn(weft_generator *g, void *arg);

typedef struct weft_generator_options {
    size_t struct_size;
    size_t stack_size; /* as in weft_group */
} weft_generator_options;

/* ---- for the consumer ---- */

/* A generator of values of `type` (up to 64 KiB) with fn(g, arg) as its body; `arg` is borrowed. NULL with errno ENOMEM,
 * EINVAL, or EPERM outside a task. Every call below takes NULL for a generator that fails with -ENOMEM, so one check is enough.
 */
#define weft_generator_new(type, fn, arg, ...)                                                                                 \
    weft_generator_new_(sizeof(type), #fn, __FILE__, __LINE__, (fn), (void *)(arg), 0,                                         \
                        &(weft_generator_options){ .struct_size = sizeof(weft_generator_options), __VA_ARGS__ })

/* The same with a copy of *value_ptr (up to 64 KiB), aligned to 16, that lives as long as the generator. */
#define weft_generator_new_copy(type, fn, value_ptr, ...)                                                                      \
    weft_generator_new_(sizeof(type), #fn, __FILE__, __LINE__, (fn), (void *)(value_ptr), sizeof *(value_ptr),                 \
                        &(weft_generator_options){ .struct_size = sizeof(weft_generator_options), __VA_ARGS__ })
WEFT_API weft_generator *weft_generator_new_(size_t item_size, const char *name, const char *file, int line,
                                             weft_generator_fn *fn, void *arg, size_t copy_size,
                                             const weft_generator_options *options);

/* May wait (if the body does). The next value, into *value_ptr. 1; 0 there is none any more; the body's error, and from then on
 * always that; the reason; -ENOMEM no stack could be had, which ends it; -EALREADY while it is being stepped, by another task
 * or this one; -EINVAL the size is not the generator's. */
#define weft_generator_next(g, value_ptr) weft_generator_next_((g), (value_ptr), sizeof *(value_ptr))
WEFT_API WEFT_WAITS int weft_generator_next_(weft_generator *g, void *value, size_t size);

/* May wait. The same, and *sent_ptr is what the body's weft_generator_yield_receive gets. -EINVAL also if the body does not
 * stand in one, or in one of another size: so the first step is a `next`. */
#define weft_generator_send(g, sent_ptr, value_ptr)                                                                            \
    weft_generator_send_((g), (sent_ptr), sizeof *(sent_ptr), (value_ptr), sizeof *(value_ptr))
WEFT_API WEFT_WAITS int weft_generator_send_(weft_generator *g, const void *sent, size_t sent_size, void *value, size_t size);

/* Ends the body as told above, and gives the generator back. It may wait for the body's clean-up, and is never refused. Returns
 * 0; or the error with which a body that it had to end ended, if that is not WEFT_ECANCELED. -EALREADY, and not closed, while
 * the generator is being stepped: misuse. NULL is fine. */
WEFT_API int weft_generator_close(weft_generator *g);

/* What it takes now, in bytes: itself and what it reads from, and of its stack the pages that have been touched. */
WEFT_API size_t weft_generator_memory(const weft_generator *g);

/* ---- for the body; only in its own stack, else -EPERM ---- */

/* Hands *value_ptr to the consumer, and returns when the next one is asked for: 0; WEFT_ECANCELED: it is being closed; -EINVAL
 * the size is not the generator's. */
#define weft_generator_yield(g, value_ptr) weft_generator_yield_((g), (value_ptr), sizeof *(value_ptr), NULL, 0)

/* The same; returns 1, with *received_ptr set, if the consumer asked by `send`, 0 if by `next`. */
#define weft_generator_yield_receive(g, value_ptr, received_ptr)                                                               \
    weft_generator_yield_((g), (value_ptr), sizeof *(value_ptr), (received_ptr), sizeof *(received_ptr))
WEFT_API WEFT_MUST int weft_generator_yield_(weft_generator *g, const void *value, size_t size, void *received,
                                             size_t received_size);

/* May wait. Hands out all that is left of another generator of the same size, which it owns from now on and closes; what the
 * consumer sends goes to that one. 0 when that has ended; its error; WEFT_ECANCELED; -EINVAL; -EALREADY the other is being
 * stepped: then it stays the caller's. */
WEFT_API WEFT_WAITS int weft_generator_yield_from(weft_generator *g, weft_generator *other);

/* ---- pipelines, which need no stack ---- */

/* Values of type long: first, first + step ... as long as they are below `end` (above it when step is negative). A step of 0
 * is EINVAL. */
WEFT_API weft_generator *weft_generator_range(long first, long end, long step);

/* Each of these owns its source from now on and closes it when it is closed itself; also when it cannot be made (NULL with
 * errno). What the functions return < 0 is an error, and ends it. They may wait. `arg` is borrowed. */
typedef int weft_map_fn(const void *from, void *to, void *arg);
typedef int weft_filter_fn(const void *value, void *arg); /* > 0 keep, 0 leave out */
#define weft_generator_map(type, source, fn, arg) weft_generator_map_(sizeof(type), (source), (fn), (void *)(arg))
WEFT_API weft_generator *weft_generator_map_(size_t item_size, weft_generator *source, weft_map_fn *fn, void *arg);
WEFT_API weft_generator *weft_generator_filter(weft_generator *source, weft_filter_fn *fn, void *arg);

/* The first `count` values, and then the end, without asking the source for more. */
WEFT_API weft_generator *weft_generator_take(weft_generator *source, size_t count);

/* Functions for these, from an expression: WEFT_MAP_FN(square, long, long, n, n * n), WEFT_FILTER_FN(is_odd, long, n, n % 2) */
#define WEFT_MAP_FN(name, to_type, from_type, variable, expression)                                                            \
    static int name(const void *from_, void *to_, void *arg_)                                                                  \
    {                                                                                                                          \
        const from_type variable = *(const from_type *)from_;                                                                  \
        (void)arg_;                                                                                                            \
        *(to_type *)to_ = (expression);                                                                                        \
        return 0;                                                                                                              \
    }
#define WEFT_FILTER_FN(name, type, variable, expression)                                                                       \
    static int name(const void *value_, void *arg_)                                                                            \
    {                                                                                                                          \
        const type variable = *(const type *)value_;                                                                           \
        (void)arg_;                                                                                                            \
        return (expression) ? 1 : 0;                                                                                           \
    }

/* ---- the loop ---- */

/* Runs the block for each value, and closes the generator however the block is left. An error of the generator ends the loop
 * and is logged (a reason of the task's is not), unless asked for: WEFT_FOR_EACH(int, i, numbers, .result = &rc) sets rc to 0
 * or that error, after the close. */
#define WEFT_FOR_EACH(type, name, g, ...)                                                                                      \
    for (weft_each_ WEFT_GLUE(weft_each_, __LINE__)                                                                            \
             __attribute__((cleanup(weft_each_leave_))) = { .generator = (g), __VA_ARGS__ };                                   \
         !WEFT_GLUE(weft_each_, __LINE__).left; WEFT_GLUE(weft_each_, __LINE__).left = true)                                   \
        for (type name; weft_each_next_(&WEFT_GLUE(weft_each_, __LINE__), &name, sizeof name);)

typedef struct weft_each_ {
    weft_generator *generator;
    int *result;
    int error;
    bool left;
} weft_each_;
WEFT_API bool weft_each_next_(weft_each_ *each, void *value, size_t size);
WEFT_API void weft_each_leave_(weft_each_ *each);

#ifdef __cplusplus
}
#endif
#endif
