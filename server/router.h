/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The router: from a method and a path to what was registered for them. How patterns are written is in pattern.h.
 *
 * At each segment a literal goes before an {x:int}, that before an {x}, and that before an {x...}; where one leads nowhere
 * further down, the next is tried ("/a/{x}/c" does not hide "/{y}/b/d"). Of several patterns that match, the first in this
 * order that has the method counts. A slash at the end is significant. GET answers HEAD too, unless HEAD has a route of its
 * own; the method "*" answers every method that its pattern has no other route for.
 *
 * Filled in by one thread, then only read, by any number.
 */
#ifndef WEFT_SERVER_ROUTER_H
#define WEFT_SERVER_ROUTER_H

#include "server/pattern.h"

enum { WEFT_ROUTER_METHOD_MAX = 32, WEFT_ROUTER_ALLOW_SIZE = 544 };

typedef struct weft_router weft_router;

/* A parameter's value is a part of the path, not NUL-terminated, in which %2F and %25 are still to be decoded. */
typedef struct weft_route_param {
    const char *name;
    const char *value;
    size_t value_size;
} weft_route_param;

typedef struct weft_route_match {
    void *target;        /* as it was registered */
    const char *pattern; /* as it was written */
    uint32_t allowed;    /* after 405: for weft_router_allow */
    int param_count;
    uint32_t int_params;                           /* those of them that are {x:int}, as bits */
    weft_route_param params[WEFT_ROUTE_PARAM_MAX]; /* in the order of the pattern */
} weft_route_match;

/* NULL when memory is out. */
weft_router *weft_router_new(void);

/* Gives all back, but no target. NULL is fine. */
void weft_router_free(weft_router *router);

/* Has `target` (borrowed) found by `method`, in capitals or "*", and `pattern` (both copied). Returns 0, or with
 * weft_router_error telling more: -EINVAL a malformed method or pattern (weft_pattern_read), or one method too many, -EEXIST a
 * pattern that matches the same with this method, -ENOMEM. */
int weft_router_add(weft_router *router, const char *method, const char *pattern, void *target);

/* What was wrong with the last call of weft_router_add that failed; a sentence without a dot. Valid until the next one. */
const char *weft_router_error(const weft_router *router);

/* Looks up a path, which ends in NUL. Returns 0 with the match (its texts live as long as the router, its values as long as
 * the path); 404 if no pattern matches; 405 if some do, but none with this method, with ret_match->allowed set and nothing
 * else. OPTIONS without a route of its own gets 405 as well: the list is the answer to it; for the path "*" it is of all
 * methods that any route has. */
int weft_router_find(const weft_router *router, const char *method, const char *path, weft_route_match *ret_match);

/* Writes the methods for an Allow field, "GET, HEAD, OPTIONS": sorted, HEAD where GET is, OPTIONS always. `size` must be at
 * least WEFT_ROUTER_ALLOW_SIZE. Returns the size of the text without its NUL. */
size_t weft_router_allow(const weft_router *router, uint32_t allowed, char *text, size_t size);

#endif
