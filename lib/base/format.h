/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Formatting without printf where that is easy: vsnprintf costs 800 instructions for "%s" alone.
 */
#ifndef WEFT_LIB_BASE_FORMAT_H
#define WEFT_LIB_BASE_FORMAT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/* As vsnprintf, with `room` for the text and its NUL (0: `out` may be NULL): the size of the whole text, of which the end is
 * missing if there is no room for it, or a negative number. Plain text, %s, %d, %u, %c and %% are written without printf. */
int64_t weft_format_args(char *out, size_t room, const char *format, va_list args);

/* The decimal digits of n into out (room for 20), without a NUL; their count. */
size_t weft_format_number(char *out, uint64_t n);

#endif
