/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Patterns of routes, read and turned back into paths.
 *
 * A pattern is a path whose segments are each
 *
 *     users       a literal, which matches itself
 *     {id:int}    a whole number: an optional '-' and 1 to 19 digits (zeros in front are fine) that fit 64 bits
 *     {name}      one segment that is not empty
 *     {path...}   at the end only: all that is left, which may be empty ("/files/{path...}" matches "/files/", not "/files")
 *
 * What a tail matches is a path below something, safe to append to the name of a folder: no segment is empty (but for
 * the last: a slash at the end stays), "." or "..", and every '/' in it was one on the wire. A rest with %2F in a segment, or
 * with "//", is not matched.
 *
 * Paths are expected as weft_http_target_parse makes them: dots resolved, escapes decoded but for %2F and %25. A pattern's
 * literals are brought to the same form, so "/café", "/caf%C3%A9" and "/caf%c3%a9" are one pattern, "/a%2Fb" is a single
 * segment, and a literal brace is written %7B.
 */
#ifndef WEFT_SERVER_PATTERN_H
#define WEFT_SERVER_PATTERN_H

#include "lib/base/arena.h"

enum { WEFT_ROUTE_PARAM_MAX = 16, WEFT_ROUTE_SEGMENT_MAX = 64 };

/* In the order in which they are tried. */
enum weft_segment_kind { WEFT_SEGMENT_LITERAL, WEFT_SEGMENT_INT, WEFT_SEGMENT_PLAIN, WEFT_SEGMENT_TAIL };

typedef struct weft_segment {
    enum weft_segment_kind kind;
    const char *text; /* in the form in which paths are compared; or the parameter's name. Ends in NUL */
    size_t size;
} weft_segment;

typedef struct weft_pattern {
    int count, param_count;
    weft_segment segments[WEFT_ROUTE_SEGMENT_MAX];
} weft_pattern;

/* Splits `text`, which is overwritten and lies below the result. Returns NULL, or what is wrong with it: words that go on after
 * "the pattern has". */
const char *weft_pattern_read(weft_pattern *pattern, char *text);

/* Is text[0, size) what an {x:int} matches? Then *ret_number is its value. */
bool weft_pattern_read_int(const char *text, size_t size, int64_t *ret_number);

/* Is the path at `rest`, which ends in NUL, what a tail matches? */
bool weft_pattern_is_tail(const char *rest);

typedef struct weft_pattern_value {
    const char *name, *value;
} weft_pattern_value;

/* Puts values (the first of each name) into a pattern that weft_pattern_read has found good, and encodes them: the path that it
 * matches with these parameters. Names that the pattern does not have make a query, in their order. The URL is in the arena.
 * Returns 0; -ENOENT when a parameter has no value and -EINVAL when it is one that the parameter could not have matched (not a
 * number, empty, dots), with *ret_param then what is between the braces, a part of the pattern; -ENOMEM. */
int weft_pattern_build(weft_arena *arena, const char *pattern, const weft_pattern_value *values, size_t count, char **ret_url,
                       weft_bytes *ret_param);

#endif
