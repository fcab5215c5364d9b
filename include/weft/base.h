/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The marks that every other header of Weft uses, and the version.
 *
 * WEFT_API     an exported call; everything else is hidden.
 * WEFT_MUST    ignoring the result is a bug, and the compiler says so.
 * WEFT_WAITS   the call may wait: other tasks run meanwhile, so what the calling task does not own may have changed when it
 *              returns; a negative result tells that it was cut short or failed. Its comment begins "May wait.". Outside a
 *              task, or on the loop's stack, it is misuse and returns -EPERM.
 */
#ifndef WEFT_BASE_H
#define WEFT_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEFT_VERSION_MAJOR 0
#define WEFT_VERSION_MINOR 1
#define WEFT_VERSION_PATCH 0

#if defined(__GNUC__)
#define WEFT_API                         __attribute__((visibility("default")))
#define WEFT_MUST                        __attribute__((warn_unused_result))
#define WEFT_PRINTF(format_at, first_at) __attribute__((format(printf, format_at, first_at)))
#define WEFT_SENTINEL                    __attribute__((sentinel)) /* the last argument is a NULL pointer */
#else
#define WEFT_API
#define WEFT_MUST
#define WEFT_PRINTF(format_at, first_at)
#define WEFT_SENTINEL
#endif
#define WEFT_WAITS WEFT_MUST

#define WEFT_GLUE_(a, b) a##b
#define WEFT_GLUE(a, b)  WEFT_GLUE_(a, b)

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the library that is linked, as "0.1.0"; compare with the WEFT_VERSION_ macros of the headers. Static. */
WEFT_API const char *weft_version(void);

/* A run of bytes that somebody else owns. `data` may hold NUL bytes; where a call promises it, a NUL follows the last. */
typedef struct weft_bytes {
    const char *data;
    size_t size; /* bytes, without the NUL */
} weft_bytes;

#ifdef __cplusplus
}
#endif
#endif
