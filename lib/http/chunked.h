/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * A chunked body (RFC 9112 §7.1), read as it arrives and written as it leaves.
 *
 * Reading: weft_chunked_next is given what has come and takes from it: framing vanishes, and runs of payload are handed out
 * where they lie, never copied and never looked at. Nothing that was taken need be kept by the caller; a line that was cut
 * is remembered in a few bytes of state, and the trailers in the arena. A verdict, and where the body ends, depend on the
 * bytes alone, never on how they were cut into reads: the first offence in their order decides. Refused are
 *
 *   400  anything but hexadecimal digits before ';' or CRLF: signs, white space, "0x", no digit at all; more than 16 digits,
 *        leading zeros among them; a chunk from 2^63 bytes on; CR without LF and LF without CR; payload that CRLF does not
 *        follow; an extension that is not ";name", ";name=token" or ";name=\"quoted\"" (with white space in quotes only:
 *        what §7.1.1 calls bad white space, no sender may send); a size line longer than its limit; trailers that a head's
 *        fields may not look like; Content-Length, Host or Transfer-Encoding among them
 *   413  more bytes of extensions in the message than their limit; a body from 2^63 bytes on
 *   431  trailers larger than their limits, or too many
 *
 * How large the body may be is the caller's business: the size of a chunk counts in weft_chunked_declared as soon as its line
 * has ended, before the first byte of its payload is handed out.
 *
 * Trailers stay apart from the head's fields (RFC 9110 §6.5.1). Those that a trailer section may not hold because something
 * was decided by them when they could still have come in the head (connection, routing, authentication, conditions, what the
 * content is) are left out without a word. Two decide where messages end, and one whose they are: they are never there by
 * accident, and the message is refused.
 */
#ifndef WEFT_LIB_HTTP_CHUNKED_H
#define WEFT_LIB_HTTP_CHUNKED_H

#include "lib/base/arena.h"

/* What is as long as its limit passes. */
typedef struct weft_chunked_limits {
    size_t size_line;     /* bytes of a size and its extensions, without the CRLF */
    size_t extensions;    /* bytes of all extensions of a message, each from its ';' on */
    size_t trailer_field; /* bytes of name, ':' and value, without the CRLF */
    size_t trailers;      /* bytes of all, with the blank line; at most WEFT_HTTP_HEAD_MAX */
    int trailer_count;
} weft_chunked_limits;

#define WEFT_CHUNKED_LIMITS_DEFAULT                                                                                            \
    {                                                                                                                          \
        .size_line = 256, .extensions = 4096, .trailer_field = 8192, .trailers = 16384, .trailer_count = 32                    \
    }

/* Which limit was passed, of a body that was refused. */
enum weft_chunked_excess {
    WEFT_CHUNKED_IN_LIMITS,
    WEFT_CHUNKED_LONG_LINE,
    WEFT_CHUNKED_LONG_EXTENSIONS,
    WEFT_CHUNKED_LONG_TRAILERS, /* or one of them is */
    WEFT_CHUNKED_MANY_TRAILERS,
};

/* Both texts end in NUL, and the value has no white space around it. */
typedef struct weft_trailer {
    weft_bytes name, value;
} weft_trailer;

enum weft_chunked_result {
    WEFT_CHUNKED_MORE,    /* all was taken: more is needed */
    WEFT_CHUNKED_PAYLOAD, /* a run of payload, of at least one byte */
    WEFT_CHUNKED_END,     /* the body has ended; what lies behind is the next message */
};

typedef struct weft_chunked weft_chunked;

/* Lives in the arena, about 250 bytes. The limits are borrowed for as long. NULL when memory is out. */
weft_chunked *weft_chunked_new(weft_arena *arena, const weft_chunked_limits *limits);

/* Another at the same place of the same body, in the same arena: to look ahead with. NULL when memory is out. */
weft_chunked *weft_chunked_copy(const weft_chunked *chunked);

/* Takes from the front of `data`, up to the end of the first run of payload, of the body, or of `data`. Returns what it has
 * found, an enum weft_chunked_result, with the bytes taken in *ret_consumed and, for payload only, the run in *ret_payload,
 * which points into `data`. Or returns the negative status to refuse the message with: -400, -413 or -431, of which
 * weft_chunked_reason tells why; or -ENOMEM. A refusal and the end are final: every later call returns the same. */
int weft_chunked_next(weft_chunked *chunked, const char *data, size_t size, size_t *ret_consumed, weft_bytes *ret_payload);

/* The size of the body as far as it is known: of all chunks whose size lines have ended. */
int64_t weft_chunked_declared(const weft_chunked *chunked);

/* Of a body that was refused: a few words for the log. Static. Else NULL. */
const char *weft_chunked_reason(const weft_chunked *chunked);

enum weft_chunked_excess weft_chunked_excess(const weft_chunked *chunked);

/* The trailers that may be seen, in their order, once the body has ended; before that, and often then, there are none. They
 * live in the arena. */
const weft_trailer *weft_chunked_trailers(const weft_chunked *chunked, int *ret_count);

/* The value of the first trailer of this name, in any case; NULL if there is none. */
const char *weft_chunked_find(const weft_chunked *chunked, const char *name);

/* Writing: weft_chunk_head, payload, WEFT_CHUNK_END for each chunk; then WEFT_CHUNK_LAST. */
#define WEFT_CHUNK_HEAD_MAX 18
#define WEFT_CHUNK_END      "\r\n"
#define WEFT_CHUNK_LAST     "0\r\n\r\n"

/* Writes the line before a chunk of `size` bytes, "1a2b\r\n", without a NUL. Returns its size. A chunk of no bytes would end
 * the body: `size` must not be 0. */
size_t weft_chunk_head(char out[WEFT_CHUNK_HEAD_MAX], size_t size);

#endif
