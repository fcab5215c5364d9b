/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The byte check: what every request head, and every trailer section, must pass before a parser sees it.
 *
 * It finds the end of a head, and refuses what llhttp lets through even in its strict mode, and what is too large. It runs
 * over the same bytes again and again as they arrive, but looks at each only once: its 12 bytes of state say where it
 * stopped. A verdict depends on the bytes alone, never on how they were cut into reads: the first offence in their order
 * decides. Refused are
 *
 *   400  NUL and other control bytes (HTAB may stand in a field's value); CR without LF, LF without CR; DEL; bytes from 0x80
 *        on, outside field values; a line that begins with SP, HTAB or ':' (so line folding is refused); a field's line
 *        without ':', and SP or HTAB before it; an empty line before the request line, but for the one that RFC 9112 §2.2
 *        allows
 *   414  a request line longer than its limit
 *   431  a field's line, or the whole, longer than its limit; too many fields
 *
 * What a method, a target, a version or a name may be made of beyond that is the parser's business.
 */
#ifndef WEFT_LIB_HTTP_HEAD_CHECK_H
#define WEFT_LIB_HTTP_HEAD_CHECK_H

#include <weft/base.h>

/* What is as long as its limit passes. */
typedef struct weft_http_limits {
    size_t request_line; /* bytes, without its CRLF */
    size_t field;        /* bytes of name, ':' and value, without its CRLF */
    size_t head;         /* bytes of all, from the first to the blank line; at most WEFT_HTTP_HEAD_MAX */
    int field_count;
} weft_http_limits;

#define WEFT_HTTP_HEAD_MAX ((size_t)65535) /* a parsed head has offsets of 16 bits */
#define WEFT_HTTP_LIMITS_DEFAULT                                                                                               \
    {                                                                                                                          \
        .request_line = 8192, .field = 8192, .head = 16384, .field_count = 100                                                 \
    }

/* Which limit was passed, of a head that was refused with 414 or 431. */
enum weft_head_excess { WEFT_HEAD_IN_LIMITS, WEFT_HEAD_LONG_LINE, WEFT_HEAD_LONG_FIELD, WEFT_HEAD_LONG, WEFT_HEAD_MANY_FIELDS };

/* Where a field lies, in bytes from the first one of its head on. The value has no white space around it. */
typedef struct weft_http_field {
    uint16_t name, name_size;
    uint16_t value, value_size;
} weft_http_field;

enum { WEFT_HEAD_CUTS = 100 };

/* What a check that finds the end of a head has seen on its way: a parser need not look for it again. Where all came in one
 * piece and is as usual, that is everything; else it is less, and the parser cuts the head itself. */
typedef struct weft_head_cuts {
    uint32_t fields_at; /* where the line behind the request line begins; 0: not seen */
    uint32_t count;     /* fields that were seen: all, if it is the check's field_count */
    weft_http_field fields[WEFT_HEAD_CUTS];
} weft_head_cuts;

typedef struct weft_head_check {
    uint32_t at;          /* bytes before this have been looked at */
    uint32_t line;        /* where the present line begins */
    uint16_t field_count; /* fields so far; after the end, of the whole head */
    uint8_t state;
    uint8_t excess; /* enum weft_head_excess */
} weft_head_check;

/* For a request's head, or for a trailer section (fields and a blank line). */
void weft_head_check_init(weft_head_check *check);
void weft_head_check_init_trailers(weft_head_check *check);

/* Goes on with `data`, which begins where the head begins and has `size` bytes by now: all that were there before, and more.
 * Returns the size of the head with its blank line (and with a CRLF before the request line), as soon as that is there; 0
 * when more is needed; or the negative status, -400, -414 or -431, after which the check must not go on. `limits` must be
 * the same each time. At most limits->head bytes are needed to know; what lies behind the head is not looked at. */
int64_t weft_head_check_run(weft_head_check *check, const char *data, size_t size, const weft_http_limits *limits);

/* The same, and tells what this very call has seen. A name that it tells of is a token. */
int64_t weft_head_check_run_cutting(weft_head_check *check, const char *data, size_t size, const weft_http_limits *limits,
                                    weft_head_cuts *ret_cuts);

/* The same, a byte at a time: for machines without vectors, and for a test that the two agree. */
int64_t weft_head_check_run_scalar(weft_head_check *check, const char *data, size_t size, const weft_http_limits *limits);

/* How many bytes at the front of text[0, size) may stand in a token (RFC 9110 §5.6.2). */
size_t weft_http_token_size(const char *text, size_t size);

#endif
