/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Workers: an app on several threads (--workers N, or .workers), and hooks around its life.
 *
 * Each worker has a loop and connections of its own; a request is handled from its head to its end by one of them. Routes,
 * settings and the app's state are the same for all: what handlers change in that state needs a lock or atomics, once there is
 * more than one worker. What a worker keeps for itself (a database connection, a cache) is made by a hook and needs neither:
 *
 *     static int open_cache(weft_app *app, void **ret_state) { return (*ret_state = cache_new()) ? 0 : -ENOMEM; }
 *     static void close_cache(weft_app *app, void *state)    { cache_free(state); }
 *     …
 *     weft_app_hooks(app, .worker_start = open_cache, .worker_stop = close_cache);
 *     …
 *     struct cache *cache = weft_worker_state(req);
 */
#ifndef WEFT_WORKER_H
#define WEFT_WORKER_H

#include <weft/app.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEFT_WORKERS_AUTO (-1) /* for .workers: as many as there are processors */

/* Each runs in a task, and may wait. An error (< 0) of one that starts something is logged, and weft_app_serve returns it. A
 * request to stop that comes while one starts something cancels it (its waits return WEFT_ECANCELED), and weft_app_serve
 * returns 0; those that stop something have what is left of the time of the stop. */
typedef struct weft_app_hook_options {
    size_t struct_size;
    int (*start)(weft_app *app);                          /* once, before anything listens */
    void (*stop)(weft_app *app);                          /* once, after the last worker has ended; if `start` succeeded */
    int (*worker_start)(weft_app *app, void **ret_state); /* in each worker, before it listens */
    void (*worker_stop)(weft_app *app, void *state); /* in each, after its last connection; if its worker_start succeeded */
} weft_app_hook_options;

/* Before it serves. The last call counts. */
WEFT_API void weft_app_hooks_with(weft_app *app, const weft_app_hook_options *options);
#define weft_app_hooks(app, ...)                                                                                               \
    weft_app_hooks_with((app), &(weft_app_hook_options){ .struct_size = sizeof(weft_app_hook_options), __VA_ARGS__ })

/* What the worker_start of the worker that handles it has made; NULL if there is none. */
WEFT_API void *weft_worker_state(const weft_request *req);

/* Which worker that is, from 0. */
WEFT_API int weft_worker_number(const weft_request *req);

#ifdef __cplusplus
}
#endif
#endif
