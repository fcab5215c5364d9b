/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Formatting without printf where that is easy: vsnprintf costs 800 instructions for "%s" alone.
 *
 * weft_format_simple handles formats of plain text, %s, %d, %u, %c and %% and nothing else; for any other it returns -1, and
 * the caller takes vsnprintf, with a copy of `args` (this one is used up).
 */
#ifndef WEFT_LIB_BASE_FORMAT_H
#define WEFT_LIB_BASE_FORMAT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/* Writes at most `room` bytes without a NUL. The size that the whole text has (it may be more than `room`: then the rest is
 * missing), or -1. */
int64_t weft_format_simple(char *out, size_t room, const char *format, va_list args);

/* The decimal digits of n into out (room for 20), without a NUL; their count. */
size_t weft_format_number(char *out, uint64_t n);

#endif
