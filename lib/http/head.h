/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * A request's head, parsed: the door to llhttp.
 *
 * A head that has passed the byte check (head_check.h) is copied into the request's arena and parsed there in one go, in
 * place: the parts are NUL-terminated where they lie and live as long as the arena. llhttp judges the request line and the
 * fields that frame; the other fields, and what it leaves to its user, are judged here (RFC 9112 §2.3, §3, §6, §9.3, RFC 9110
 * §7.2, §10.1.1). The target is only cut out; target.h reads it.
 *
 *     at first  the protocol must be HTTP/1.0 or HTTP/1.1: 505 for another version, 400 for what is not HTTP/d.d
 *     then      the method must be one of those below: 501 for any other token
 *     then      all else: 400, and 501 for a transfer coding that is not `chunked`
 */
#ifndef WEFT_LIB_HTTP_HEAD_H
#define WEFT_LIB_HTTP_HEAD_H

#include "lib/base/arena.h"
#include "lib/http/head_check.h"

/* The methods that are served. */
enum weft_http_method {
    WEFT_HTTP_GET,
    WEFT_HTTP_HEAD,
    WEFT_HTTP_POST,
    WEFT_HTTP_PUT,
    WEFT_HTTP_DELETE,
    WEFT_HTTP_PATCH,
    WEFT_HTTP_OPTIONS,
};

typedef struct weft_http_head {
    char *data;              /* the head; everything below points into it, or is in the same arena */
    weft_http_field *fields; /* from `data` on; each name and value ends in NUL */
    const char *method;      /* "GET" */
    char *target;            /* as it came */
    const char *host;        /* the value of Host; NULL if there is none (only on 1.0) */
    int64_t content_length;  /* -1 if there is none */
    const char *reason;      /* of a head that is refused: a few words for the log; else NULL */
    uint16_t target_size;
    uint16_t field_count;
    uint8_t method_id;     /* enum weft_http_method */
    uint8_t version_minor; /* 0 or 1 */
    bool is_chunked;
    bool has_body;         /* chunked, or of a length that is not 0 */
    bool keep_alive;       /* may the connection go on after this request? From the version and Connection */
    bool wants_upgrade;    /* Upgrade is there, Connection names it, and the version is 1.1 */
    bool expects_continue; /* a body comes once 100 (Continue) is sent; never on 1.0 */
    bool expects_unknown;  /* an expectation that nobody can meet: 417 */
} weft_http_head;

/* Parses the whole head data[0, size), which weft_head_check_run has passed with `field_count` fields, and writes to all of
 * it. `data` must stay as long as the result is used, and is expected in `arena`, from which the table of fields comes.
 * Returns 0; the status to refuse it with (400, 431 if it is larger than WEFT_HTTP_HEAD_MAX, 501, 505) with head->reason set
 * and nothing else to be read but head->method (NULL, or a token); or -ENOMEM. */
int weft_http_head_parse(weft_http_head *head, weft_arena *arena, char *data, size_t size, int field_count);

/* The same with what the check has seen of this head, if it has seen all: an answer as from weft_http_head_parse, sooner. */
int weft_http_head_parse_cut(weft_http_head *head, weft_arena *arena, char *data, size_t size, int field_count,
                             const weft_head_cuts *cuts);

/* The value of the first field of this name, in any case; NULL if there is none. */
const char *weft_http_head_find(const weft_http_head *head, const char *name);

static inline const char *weft_http_field_name(const weft_http_head *head, const weft_http_field *field)
{
    return head->data + field->name;
}

static inline const char *weft_http_field_value(const weft_http_head *head, const weft_http_field *field)
{
    return head->data + field->value;
}

#endif
