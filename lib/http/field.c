/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
#include "lib/http/field.h"

#include <string.h>

/* tchar of RFC 9110 §5.6.2: a bit for each byte up to 0x7f. */
static const uint32_t token_bits[4] = { 0x00000000, 0x03ff6cfa, 0xc7fffffe, 0x57ffffff };

static inline bool is_token_byte(char byte)
{
    unsigned char c = (unsigned char)byte;
    return c < 0x80 && (token_bits[c >> 5] >> (c & 31) & 1);
}

bool weft_http_is_token(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!is_token_byte(text[i]))
            return false;
    return size > 0;
}

bool weft_http_is_field_value(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

bool weft_http_same_text(const char *a, const char *b, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (a[i] != b[i] && lower(a[i]) != lower(b[i]))
            return false;
    return true;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

bool weft_http_list_next(const char **at, size_t *left, weft_bytes *ret_member)
{
    if (*left == 0)
        return false;
    const char *start = *at;
    const char *comma = memchr(start, ',', *left);
    size_t size = comma ? (size_t)(comma - start) : *left;
    size_t passed = comma ? size + 1 : size;
    *at += passed;
    *left -= passed;
    while (size > 0 && is_space(*start))
        start++, size--;
    while (size > 0 && is_space(start[size - 1]))
        size--;
    *ret_member = (weft_bytes){ .data = start, .size = size };
    return true;
}
