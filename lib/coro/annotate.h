/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* What the tools are told of stacks and switches: the address and thread sanitizers, and Valgrind. Nothing otherwise. */
#ifndef WEFT_LIB_CORO_ANNOTATE_H
#define WEFT_LIB_CORO_ANNOTATE_H

#include <stddef.h>

#include "lib/base/sanitize.h"

#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif

#ifdef VALGRIND_STACK_REGISTER
#define ANNOTATE_STACK_REGISTER(low, high) ((unsigned)VALGRIND_STACK_REGISTER((low), (high)))
#define ANNOTATE_STACK_DEREGISTER(id)      VALGRIND_STACK_DEREGISTER(id)
#else
#define ANNOTATE_STACK_REGISTER(low, high) 0u
#define ANNOTATE_STACK_DEREGISTER(id)      ((void)(id))
#endif

#ifdef WEFT_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

#ifdef WEFT_TSAN
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
#endif

static inline void *weft_fiber_here(void)
{
#ifdef WEFT_TSAN
    return __tsan_get_current_fiber();
#else
    return NULL;
#endif
}

static inline void *weft_fiber_new(void)
{
#ifdef WEFT_TSAN
    return __tsan_create_fiber(0);
#else
    return NULL;
#endif
}

static inline void weft_fiber_free(void *fiber)
{
#ifdef WEFT_TSAN
    if (fiber)
        __tsan_destroy_fiber(fiber);
#else
    (void)fiber;
#endif
}

#endif
