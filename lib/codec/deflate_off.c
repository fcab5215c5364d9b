/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* For a build without zlib: there is no deflate, and nobody who asks weft_deflate_is_there calls the rest. */
#include <errno.h>

#include "lib/codec/deflate.h"

bool weft_deflate_is_there(void)
{
    return false;
}

weft_deflate *weft_deflate_new(int window_bits, int level)
{
    (void)window_bits;
    (void)level;
    return NULL;
}

void weft_deflate_free(weft_deflate *z)
{
    (void)z;
}

size_t weft_deflate_bound(weft_deflate *z, size_t size)
{
    (void)z;
    return size;
}

int64_t weft_deflate_message(weft_deflate *z, const void *data, size_t size, void *out, size_t room, bool keeps_context)
{
    (void)z;
    (void)data;
    (void)size;
    (void)out;
    (void)room;
    (void)keeps_context;
    return -ENOMEM;
}

weft_inflate *weft_inflate_new(int window_bits)
{
    (void)window_bits;
    return NULL;
}

void weft_inflate_free(weft_inflate *z)
{
    (void)z;
}

void weft_inflate_reset(weft_inflate *z)
{
    (void)z;
}

int64_t weft_inflate_run(weft_inflate *z, unsigned ratio, const void *in, size_t size, size_t *at, void *out, size_t room)
{
    (void)z;
    (void)ratio;
    (void)in;
    (void)size;
    (void)at;
    (void)out;
    (void)room;
    return -ENOMEM;
}

int weft_inflate_end(weft_inflate *z, bool keeps_context)
{
    (void)z;
    (void)keeps_context;
    return -ENOMEM;
}
