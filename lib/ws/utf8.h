/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * UTF-8 checked as it arrives (RFC 3629; RFC 6455 §8.1): piece by piece, failing at the first byte that cannot be right, which
 * may be in the middle of a character. Surrogates, overlong forms and what is beyond U+10FFFF are refused.
 */
#ifndef WEFT_LIB_WS_UTF8_H
#define WEFT_LIB_WS_UTF8_H

#include <weft/base.h>

/* Where the text so far has stopped; all zero at its beginning. */
typedef struct weft_utf8 {
    uint8_t left;      /* bytes that the present character still needs, */
    uint8_t low, high; /* and what the next of them may be */
} weft_utf8;

/* Is the text so far, with these bytes behind it, the beginning of valid text? */
bool weft_utf8_check(weft_utf8 *u, const char *data, size_t size);

/* May the text end here? */
static inline bool weft_utf8_is_whole(const weft_utf8 *u)
{
    return u->left == 0;
}

#endif
