/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Assertions for our own mistakes, and for misuse of the API; never for bytes from a peer.
 *
 * CHECK stays in release builds; DCHECK is for debug builds (WEFT_DEBUG). weft_die writes one line and aborts. Heap objects
 * begin with a magic number that their free clears, so that a stale pointer is caught by the next IS_A.
 */
#ifndef WEFT_LIB_BASE_CHECK_H
#define WEFT_LIB_BASE_CHECK_H

#include <weft/base.h>

#define LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* "weft: " and the words, as one line on standard error; then abort(). */
_Noreturn void weft_die(const char *format, ...) WEFT_PRINTF(1, 2);

#define CHECK(condition)                                                                                                       \
    do {                                                                                                                       \
        if (UNLIKELY(!(condition)))                                                                                            \
            weft_die("%s:%d: this must hold: %s", __FILE__, __LINE__, #condition);                                             \
    } while (0)

#ifdef WEFT_DEBUG
#define DCHECK(condition) CHECK(condition)
#else
#define DCHECK(condition) ((void)sizeof(condition))
#endif

#define IS_A(object, number) CHECK((object) && (object)->magic == (number))

#endif
