/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * zlib, with memory from lib/base/memory.h, so that a test can fail each of its allocations.
 *
 * A peer may end the stream inside a message (a block with BFINAL): the rest of the message is then a new stream, without what
 * went before. What comes out of a message is counted against what went in.
 *
 * A message is whole when its last byte ends in the header of an empty block without compression, the rest of which was left
 * out: zlib's inflateSyncPoint tells exactly that. To feed the rest and see whether zlib objects is not enough: in the middle
 * of a block the four bytes are codes or data like any others.
 */
#include "lib/codec/deflate.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <zlib.h>

#include <weft/error.h>

#include "lib/base/check.h"
#include "lib/base/memory.h"

enum { TAIL_SIZE = 4, MEMORY_LEVEL = 8 };

static const unsigned char tail[TAIL_SIZE] = { 0x00, 0x00, 0xff, 0xff };

struct weft_deflate {
    z_stream stream;
};

struct weft_inflate {
    z_stream stream;
    uint64_t in, out; /* bytes of this message */
};

bool weft_deflate_is_there(void)
{
    return true;
}

static void *take(void *context, unsigned count, unsigned size)
{
    (void)context;
    return weft_mem_calloc(count, size);
}

static void give(void *context, void *p)
{
    (void)context;
    weft_mem_free(p);
}

/* ---- deflate ---- */

weft_deflate *weft_deflate_new(int window_bits, int level)
{
    CHECK(window_bits >= WEFT_DEFLATE_WINDOW_MIN && window_bits <= WEFT_DEFLATE_WINDOW_MAX);
    weft_deflate *z = weft_mem_calloc(1, sizeof *z);
    if (!z)
        return NULL;
    z->stream.zalloc = take;
    z->stream.zfree = give;
    if (deflateInit2(&z->stream, level, Z_DEFLATED, -window_bits, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) == Z_OK)
        return z;
    weft_mem_free(z);
    return NULL;
}

void weft_deflate_free(weft_deflate *z)
{
    if (!z)
        return;
    deflateEnd(&z->stream);
    weft_mem_free(z);
}

size_t weft_deflate_bound(weft_deflate *z, size_t size)
{
    return deflateBound(&z->stream, size) + TAIL_SIZE + 16;
}

int64_t weft_deflate_message(weft_deflate *z, const void *data, size_t size, void *out, size_t room, bool keeps_context)
{
    z_stream *s = &z->stream;
    if (size > UINT_MAX || room > UINT_MAX)
        return -ENOMEM;
    s->next_in = (unsigned char *)(uintptr_t)data;
    s->avail_in = (unsigned)size;
    s->next_out = out;
    s->avail_out = (unsigned)room;
    int rc = deflate(s, Z_SYNC_FLUSH);
    size_t made = room - s->avail_out;
    bool is_whole = (rc == Z_OK || rc == Z_BUF_ERROR) && s->avail_in == 0 && s->avail_out > 0;
    if (is_whole && made >= TAIL_SIZE && memcmp((char *)out + made - TAIL_SIZE, tail, TAIL_SIZE) == 0)
        made -= TAIL_SIZE;
    if (!keeps_context || !is_whole)
        deflateReset(s);
    if (!is_whole)
        return -ENOMEM; /* the bound was not kept to: nothing else can be wrong */
    if (made == 0)
        ((char *)out)[made++] = 0; /* nothing at all: an empty message after another (RFC 7692 §7.2.3.6) */
    return (int64_t)made;
}

/* ---- inflate ---- */

weft_inflate *weft_inflate_new(int window_bits)
{
    CHECK(window_bits >= 8 && window_bits <= WEFT_DEFLATE_WINDOW_MAX);
    weft_inflate *z = weft_mem_calloc(1, sizeof *z);
    if (!z)
        return NULL;
    z->stream.zalloc = take;
    z->stream.zfree = give;
    if (inflateInit2(&z->stream, -window_bits) == Z_OK)
        return z;
    weft_mem_free(z);
    return NULL;
}

void weft_inflate_free(weft_inflate *z)
{
    if (!z)
        return;
    inflateEnd(&z->stream);
    weft_mem_free(z);
}

void weft_inflate_reset(weft_inflate *z)
{
    inflateReset(&z->stream);
    z->in = z->out = 0;
}

/* What comes out beyond the free part is held against all that went in. */
static bool is_bomb(const weft_inflate *z, unsigned ratio)
{
    return z->out > WEFT_INFLATE_FREE && (z->out - WEFT_INFLATE_FREE - 1) / ratio >= z->in;
}

int64_t weft_inflate_run(weft_inflate *z, unsigned ratio, const void *in, size_t size, size_t *at, void *out, size_t room)
{
    z_stream *s = &z->stream;
    size_t left = size - *at;
    s->next_in = (unsigned char *)(uintptr_t)in + *at;
    s->avail_in = left < UINT_MAX ? (unsigned)left : UINT_MAX;
    s->next_out = out;
    s->avail_out = room < UINT_MAX ? (unsigned)room : UINT_MAX;
    unsigned in_before = s->avail_in, out_before = s->avail_out;
    int rc;
    do {
        rc = inflate(s, Z_SYNC_FLUSH);
        if (rc == Z_STREAM_END)
            inflateReset(s);
    } while (rc == Z_STREAM_END && s->avail_in > 0 && s->avail_out > 0);
    size_t taken = in_before - s->avail_in, written = out_before - s->avail_out;
    *at += taken;
    z->in += taken;
    z->out += written;
    if (rc == Z_MEM_ERROR)
        return -ENOMEM;
    bool is_wrong = rc != Z_OK && rc != Z_BUF_ERROR && rc != Z_STREAM_END;
    if (is_wrong && written == 0) /* else it says so again: what came before is judged first, however the input was cut */
        return WEFT_EPROTOCOL;
    return is_bomb(z, ratio) ? -E2BIG : (int64_t)written;
}

int weft_inflate_end(weft_inflate *z, bool keeps_context)
{
    z_stream *s = &z->stream;
    unsigned char nothing;
    bool is_whole = z->in == 0 || inflateSyncPoint(s) == 1;
    if (is_whole && z->in > 0 && keeps_context) {
        s->next_in = (unsigned char *)(uintptr_t)tail;
        s->avail_in = TAIL_SIZE;
        s->next_out = &nothing;
        s->avail_out = sizeof nothing;
        int rc = inflate(s, Z_SYNC_FLUSH);
        if (rc == Z_STREAM_END)
            inflateReset(s);
        is_whole = (rc == Z_OK || rc == Z_STREAM_END) && s->avail_in == 0;
    }
    z->in = z->out = 0;
    if (!keeps_context)
        weft_inflate_reset(z);
    return is_whole ? 0 : WEFT_EPROTOCOL;
}
