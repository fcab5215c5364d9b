/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Under which tool does a test run? Those that make it slow get fewer rounds; those that change memory skip what measures it.
 */
#ifndef WEFT_TESTS_TOOLS_H
#define WEFT_TESTS_TOOLS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/sanitize.h"

#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif

static inline bool tools_is_valgrind(void)
{
#ifdef RUNNING_ON_VALGRIND
    return RUNNING_ON_VALGRIND;
#else
    return false;
#endif
}

static inline bool tools_is_sanitizer(void)
{
#if defined(WEFT_ASAN) || defined(WEFT_TSAN)
    return true;
#else
    return false;
#endif
}

static inline bool tools_is_ucontext(void)
{
#ifdef WEFT_SWITCH_UCONTEXT
    return true;
#else
    return false;
#endif
}

/* By how much to divide rounds. */
static inline uint64_t tools_slowness(void)
{
    return tools_is_valgrind() ? 30 : tools_is_sanitizer() ? 5 : 1;
}

#endif
