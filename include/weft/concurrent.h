/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Many items, so many at a time, each by a call that may wait: weft_parallel_for (weft/offload.h) for work that waits.
 *
 *     static int fetch(size_t index, void *arg) { ... }
 *     ...
 *     WEFT_TRY(weft_concurrent_for(1000, fetch, &pages, .limit = 10));
 *
 * As soon as one is done the next begins, so that a slow one holds up nobody. It takes as many tasks as go on at a time, and
 * not one for each item. For items that are not numbered, or tasks that differ, there is a group with a limit (weft/task.h).
 */
#ifndef WEFT_CONCURRENT_H
#define WEFT_CONCURRENT_H

#include <weft/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef int weft_concurrent_fn(size_t index, void *arg); /* in a task; >= 0 success, < 0 an error */

typedef struct weft_concurrent_options {
    size_t struct_size;
    size_t limit;      /* at a time; 0 is 10 */
    size_t stack_size; /* as in weft_group */
} weft_concurrent_options;

/* May wait. Calls fn(0, arg) to fn(count - 1, arg), which begin in this order, in tasks of which `limit` go on at a time; other
 * tasks run between any two of them. The calls share `arg`. An item that fails cancels those that go on, and lets no further
 * one begin; so does a reason. It returns when all that have begun have ended: 0 when all were done; the error of the item that
 * failed first, with its trail; the reason; -ENOMEM. weft_concurrent_for(count, fn, arg, .limit = 10) */
#define weft_concurrent_for(count, fn, arg, ...)                                                                               \
    weft_concurrent_for_(#fn, __FILE__, __LINE__, (count), (fn), (void *)(arg),                                                \
                         &(weft_concurrent_options){ .struct_size = sizeof(weft_concurrent_options), __VA_ARGS__ })
WEFT_API WEFT_WAITS int weft_concurrent_for_(const char *name, const char *file, int line, size_t count, weft_concurrent_fn *fn,
                                             void *arg, const weft_concurrent_options *options);

#ifdef __cplusplus
}
#endif
#endif
