/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Request targets (RFC 9112 §3.2, RFC 3986): path, query, and the host of an absolute form; and percent-encoding.
 *
 * A path is made normal, in place, before it is routed. It is split at each '/', and then
 *
 *     escapes are decoded in their segment, except %2F and %25, which stay (in capitals): a decoded slash never splits;
 *     segments "." and "..", also when they were escaped, are resolved; never above the root (400);
 *     %00, and '%' without two hexadecimal digits, are refused (400).
 *
 * So two paths that mean the same are the same bytes, comparing needs no decoding, and what is left to decode (for a
 * parameter, or the path that a handler sees) has a '%' in it, which is rare. Empty segments ("//") are kept. UTF-8 is not
 * checked. A path with neither '%' nor dots behind a slash costs one scan.
 */
#ifndef WEFT_LIB_HTTP_TARGET_H
#define WEFT_LIB_HTTP_TARGET_H

#include "lib/base/arena.h"

typedef struct weft_http_target {
    char *path;       /* normal, begins with '/', ends in NUL; "*" for the asterisk form */
    size_t path_size; /* bytes */
    bool has_escapes; /* in the path a '%' may be left: %2F or %25 */
    char *query;      /* as it came, behind the '?', ends in NUL; NULL if there is no '?' */
    const char *host; /* "host" or "host:port" of an absolute form, which counts in place of Host (§3.2.2); else NULL */
} weft_http_target;

/* Reads `text`, which ends in NUL at text[size] and is overwritten: all results lie in it. No byte in it may be a control byte,
 * SP or above 0x7e (the head's check and llhttp see to that). `is_options`: the method is OPTIONS, which alone may ask for "*".
 * Accepted are the origin form and the absolute form of http and https. Returns 0, or 400 with *ret_reason, words for the log
 * (fragments, a bad escape, a path above the root, another form, another scheme, an authority that is no host). */
int weft_http_target_parse(weft_http_target *target, char *text, size_t size, bool is_options, const char **ret_reason);

/* Is it "host" or "host:port" (RFC 3986 §3.2.2): a name, an IPv4 address or an address in brackets, and a port up to 65535?
 * Not empty, and never with a user's name. */
bool weft_http_is_host(const char *text, size_t size);

/* Decodes all escapes into `arena`, with a NUL behind them. Returns 0, -EINVAL for a bad escape or %00, -ENOMEM. */
int weft_http_decode(weft_arena *arena, const char *text, size_t size, weft_bytes *ret_decoded);

/* The first field `name` of a query, "a=1&b&name=x": its value, decoded ('+' is a space) and NUL-terminated in `arena`; "" for
 * one without '='. Names are compared decoded. In a query, a bad escape and %00 stand for themselves: "100%" is what people
 * type. `query` NULL has no fields. Returns 1, 0 if there is none (*ret_value is left alone), -ENOMEM. */
int weft_http_query_find(weft_arena *arena, const char *query, const char *name, const char **ret_value);

#endif
