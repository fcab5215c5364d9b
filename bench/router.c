/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* What it costs to find a route among 500: plain ones, with parameters, with a tail, and one that is not there. */
#include <stdbool.h>
#include <stdint.h>

#include "bench/measure.h"
#include "server/router.h"

enum { PARTS = 100, OPERATIONS = 200000 };

static weft_router *make_router(void)
{
    static const char *const patterns[] = { "/api/v1/part%d", "/api/v1/part%d/{id:int}", "/api/v1/part%d/{id:int}/items/{item}",
                                            "/api/v1/part%d/latest", "/files/part%d/{path...}" };
    weft_router *router = weft_router_new();
    for (int i = 0; router && i < PARTS; i++) {
        for (size_t k = 0; k < sizeof patterns / sizeof patterns[0]; k++) {
            char pattern[100];
            snprintf(pattern, sizeof pattern, patterns[k], i);
            if (weft_router_add(router, "GET", pattern, router) < 0)
                return NULL;
        }
    }
    return router;
}

static bool measure(const weft_router *router, const char *name, const char *const *paths, int expected)
{
    double figures[MEASURE_REPEATS];
    for (int repeat = 0; repeat < MEASURE_REPEATS; repeat++) {
        double began = measure_now();
        for (int i = 0; i < OPERATIONS; i++) {
            weft_route_match match;
            if (weft_router_find(router, "GET", paths[i & 3], &match) != expected)
                return false;
        }
        figures[repeat] = (measure_now() - began) / OPERATIONS;
    }
    measure_report(name, figures);
    return true;
}

int main(void)
{
    static const char *const plain[] = { "/api/v1/part0", "/api/v1/part37/latest", "/api/v1/part99", "/api/v1/part64/latest" };
    static const char *const parameters[] = { "/api/v1/part3/17", "/api/v1/part77/1/items/x", "/api/v1/part50/42",
                                              "/api/v1/part9/8/items/long-name" };
    static const char *const tails[] = { "/files/part3/a", "/files/part77/css/site.css", "/files/part50/a/b/c/d",
                                         "/files/part9/" };
    static const char *const none[] = { "/api/v1/part100", "/api/v2/part3", "/api/v1/part3/17/none", "/" };
    weft_router *router = make_router();
    bool is_good = router && measure(router, "plain", plain, 0) && measure(router, "with_parameters", parameters, 0) &&
                   measure(router, "with_a_tail", tails, 0) && measure(router, "none", none, 404);
    weft_router_free(router);
    if (!is_good)
        fprintf(stderr, "router: a look-up went wrong\n");
    return is_good ? 0 : 1;
}
