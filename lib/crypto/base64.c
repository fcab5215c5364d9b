/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Base64 by hand: OpenSSL's decoder passes over white space and does not look at the unused bits, so two texts would mean one
 * key. */
#include <errno.h>

#include "lib/crypto/crypto.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t weft_base64_encode(char *out, const void *data, size_t size)
{
    const unsigned char *in = data;
    char *at = out;
    for (; size > 0; in += 3) {
        size_t here = size < 3 ? size : 3;
        unsigned bits = (unsigned)in[0] << 16 | (here > 1 ? (unsigned)in[1] << 8 : 0) | (here > 2 ? in[2] : 0U);
        *at++ = alphabet[bits >> 18];
        *at++ = alphabet[bits >> 12 & 63];
        *at++ = here > 1 ? alphabet[bits >> 6 & 63] : '=';
        *at++ = here > 2 ? alphabet[bits & 63] : '=';
        size -= here;
    }
    return (size_t)(at - out);
}

/* The six bits that a character stands for; -1 for another. */
static int bits_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int64_t weft_base64_decode(void *out, const char *text, size_t size)
{
    unsigned char *at = out;
    if (size % 4 != 0)
        return -EINVAL;
    for (size_t i = 0; i < size; i += 4) {
        bool is_last = i + 4 == size;
        int pads = is_last && text[i + 3] == '=' ? (text[i + 2] == '=' ? 2 : 1) : 0;
        unsigned bits = 0;
        for (int k = 0; k < 4 - pads; k++) {
            int six = bits_of(text[i + (size_t)k]);
            if (six < 0)
                return -EINVAL;
            bits |= (unsigned)six << (18 - 6 * k);
        }
        if (pads > 0 && (bits & (pads == 2 ? 0xffffU : 0xffU)) != 0)
            return -EINVAL;
        *at++ = (unsigned char)(bits >> 16);
        if (pads < 2)
            *at++ = (unsigned char)(bits >> 8);
        if (pads < 1)
            *at++ = (unsigned char)bits;
    }
    return at - (unsigned char *)out;
}
