/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Sixteen bytes of ASCII at a time where they are that, else byte by byte: what the next byte may be is kept as a range. */
#include "lib/ws/utf8.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* How many of the first bytes are ASCII, as far as that can be told by blocks. */
static size_t skip_ascii(const char *data, size_t size)
{
    size_t at = 0;
#ifdef __SSE2__
    for (; size - at >= 16; at += 16)
        if (_mm_movemask_epi8(_mm_loadu_si128((const __m128i *)(const void *)(data + at))))
            return at;
#endif
    for (; size - at >= 8; at += 8) {
        uint64_t word;
        memcpy(&word, data + at, 8);
        if (word & UINT64_C(0x8080808080808080))
            return at;
    }
    return at;
}

/* The first byte of a character (RFC 3629 §4). */
static bool begin(weft_utf8 *u, unsigned char c)
{
    u->low = 0x80;
    u->high = 0xbf;
    if (c < 0x80)
        return true;
    if (c < 0xc2 || c > 0xf4)
        return false;
    u->left = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
    if (c == 0xe0)
        u->low = 0xa0;
    else if (c == 0xed)
        u->high = 0x9f;
    else if (c == 0xf0)
        u->low = 0x90;
    else if (c == 0xf4)
        u->high = 0x8f;
    return true;
}

bool weft_utf8_check(weft_utf8 *u, const char *data, size_t size)
{
    for (size_t at = 0; at < size; at++) {
        if (u->left == 0) {
            at += skip_ascii(data + at, size - at);
            if (at == size)
                break;
            if (!begin(u, (unsigned char)data[at]))
                return false;
            continue;
        }
        unsigned char c = (unsigned char)data[at];
        if (c < u->low || c > u->high)
            return false;
        u->left--;
        u->low = 0x80;
        u->high = 0xbf;
    }
    return true;
}
