/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* State of the app, which all workers share, and of each worker, which nobody else touches. */
#include <weft.h>

#include <stdatomic.h>
#include <stdlib.h>

struct shared {
    atomic_int visits; /* of all workers */
};

struct cache {
    int visits; /* of this worker: no other thread sees it */
};

static int open_cache(weft_app *app, void **ret_state)
{
    (void)app;
    *ret_state = calloc(1, sizeof(struct cache));
    return *ret_state ? 0 : -1;
}

static void close_cache(weft_app *app, void *state)
{
    (void)app;
    free(state);
}

static int visit(weft_request *req)
{
    struct shared *shared = weft_app_state(req);
    struct cache *cache = weft_worker_state(req);
    cache->visits++;
    int all = atomic_fetch_add(&shared->visits, 1) + 1;
    return weft_reply_text(req, 200, "visit %d, the worker's %s\n", all, cache->visits == all ? "too" : "is another");
}

int main(int argc, char **argv)
{
    static struct shared shared;
    weft_app *app = weft_app_new();
    weft_app_set(app, &shared);
    weft_app_hooks(app, .worker_start = open_cache, .worker_stop = close_cache);
    weft_get(app, "/", visit);
    return weft_app_main(app, argc, argv);
}
