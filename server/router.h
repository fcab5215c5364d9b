/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The router: from a method and a path to what was registered for them.
 *
 * A pattern is a path whose segments are literal or a parameter: "/users/{id}/orders". A parameter matches one whole segment
 * that is not empty; a literal wins over a parameter, and where it leads nowhere further down, the parameter is tried
 * ("/a/{x}/c" does not hide "/{y}/b/d"). Of several patterns that match, the first in this order that has the method counts.
 * A slash at the end is significant. GET answers HEAD too, unless HEAD has a route of its own.
 *
 * Paths are expected as weft_http_target_parse makes them: dots resolved, escapes decoded but for %2F and %25. A pattern's
 * literals are brought to the same form, so "/café", "/caf%C3%A9" and "/caf%c3%a9" are one pattern, "/a%2Fb" is a single
 * segment, and a literal brace is written %7B.
 *
 * Filled in by one thread, then only read, by any number.
 */
#ifndef WEFT_SERVER_ROUTER_H
#define WEFT_SERVER_ROUTER_H

#include <weft/base.h>

enum { WEFT_ROUTE_PARAM_MAX = 16, WEFT_ROUTE_SEGMENT_MAX = 64, WEFT_ROUTER_METHOD_MAX = 32, WEFT_ROUTER_ALLOW_SIZE = 544 };

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
    weft_route_param params[WEFT_ROUTE_PARAM_MAX]; /* in the order of the pattern */
} weft_route_match;

/* NULL when memory is out. */
weft_router *weft_router_new(void);

/* Gives all back, but no target. NULL is fine. */
void weft_router_free(weft_router *router);

/* Has `target` (borrowed) found by `method`, in capitals, and `pattern` (both copied). Returns 0, or with weft_router_error
 * telling more: -EINVAL a malformed method or pattern (without '/' at its start; with an empty or dot segment inside, a brace
 * out of place, a parameter's name that is empty, twice there or no [A-Za-z_][A-Za-z0-9_]*, a bad escape, '?', '#', control
 * bytes; too many segments, parameters, or methods in all), -EEXIST one that matches the same with this method, -ENOMEM. */
int weft_router_add(weft_router *router, const char *method, const char *pattern, void *target);

/* What was wrong with the last call of weft_router_add that failed; a sentence without a dot. Valid until the next one. */
const char *weft_router_error(const weft_router *router);

/* Looks up a path, which ends in NUL. Returns 0 with the match (its texts live as long as the router, its values as long as
 * the path); 404 if no pattern matches; 405 if some do, but none with this method, with ret_match->allowed set and nothing
 * else. OPTIONS without a route of its own gets 405 as well: the list is the answer to it. */
int weft_router_find(const weft_router *router, const char *method, const char *path, weft_route_match *ret_match);

/* All methods that are registered, for "OPTIONS *". */
uint32_t weft_router_methods(const weft_router *router);

/* Writes the methods for an Allow field, "GET, HEAD, OPTIONS": sorted, HEAD where GET is, OPTIONS always. `size` must be at
 * least WEFT_ROUTER_ALLOW_SIZE. Returns the size of the text without its NUL. */
size_t weft_router_allow(const weft_router *router, uint32_t allowed, char *text, size_t size);

#endif
