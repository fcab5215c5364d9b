/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Raw deflate streams (RFC 1951), message by message, within limits: the door to zlib.
 *
 *     weft_deflate *z = weft_deflate_new(15, 1);
 *     int64_t size = weft_deflate_message(z, data, size, out, weft_deflate_bound(z, size), false);
 *
 * A message is flushed to a byte's end, and the empty block that this makes (00 00 FF FF) is left out, as RFC 7692 §7.2.1 has
 * it; the inflater puts it back. Streams cost 256 KiB (deflate) and up to 40 KiB (inflate): who can, shares them.
 */
#ifndef WEFT_LIB_CODEC_DEFLATE_H
#define WEFT_LIB_CODEC_DEFLATE_H

#include <weft/base.h>

typedef struct weft_deflate weft_deflate;
typedef struct weft_inflate weft_inflate;

enum {
    WEFT_INFLATE_FREE = 64 * 1024, /* bytes of a message that may come out of however few */
    WEFT_DEFLATE_WINDOW_MIN = 9,   /* zlib makes no raw stream with a window of 2^8 */
    WEFT_DEFLATE_WINDOW_MAX = 15,
};

/* Can this build do it at all? Without zlib every _new returns NULL. */
bool weft_deflate_is_there(void);

/* `window_bits` from 9 to 15, `level` from 1 (fast) to 9. NULL when memory is out. */
weft_deflate *weft_deflate_new(int window_bits, int level);
void weft_deflate_free(weft_deflate *z);

/* The most that a message of `size` bytes can become, and what zlib wants to have beyond it. */
size_t weft_deflate_bound(weft_deflate *z, size_t size);

/* Compresses one message into `out`, which has room for its bound. `keeps_context`: the next one may refer to this one. Returns
 * the size, at least 1; or -ENOMEM. */
int64_t weft_deflate_message(weft_deflate *z, const void *data, size_t size, void *out, size_t room, bool keeps_context);

/* `window_bits` from 8 to 15. NULL when memory is out. */
weft_inflate *weft_inflate_new(int window_bits);
void weft_inflate_free(weft_inflate *z);

/* Forgets everything: for a stream that another message is to use. */
void weft_inflate_reset(weft_inflate *z);

/* Inflates in[*at, size) into out[0, room), moving *at behind what was taken; the count of bytes written. While that is not 0
 * there may be more to come of what was taken already, or something wrong in it. WEFT_EPROTOCOL for what is no deflate stream;
 * -E2BIG when more comes out of the message than WEFT_INFLATE_FREE and `ratio` bytes for each that went in; -ENOMEM. */
int64_t weft_inflate_run(weft_inflate *z, unsigned ratio, const void *in, size_t size, size_t *at, void *out, size_t room);

/* The message has ended, and all that could be inflated of it has been. `keeps_context`: the next one may refer to it. 0, or
 * WEFT_EPROTOCOL: it was cut off in the middle of a block. A message of no bytes at all, which some peers send for an empty
 * one, is fine. */
int weft_inflate_end(weft_inflate *z, bool keeps_context);

#endif
