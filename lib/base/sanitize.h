/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Which sanitizer this is built with, and what memory it is told of; nothing otherwise. */
#ifndef WEFT_LIB_BASE_SANITIZE_H
#define WEFT_LIB_BASE_SANITIZE_H

#if defined(__SANITIZE_ADDRESS__)
#define WEFT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEFT_ASAN 1
#endif
#endif

#if defined(__SANITIZE_THREAD__)
#define WEFT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WEFT_TSAN 1
#endif
#endif

#ifdef WEFT_ASAN
#include <sanitizer/asan_interface.h>
#define SANITIZE_POISON(p, size)   ASAN_POISON_MEMORY_REGION((p), (size))
#define SANITIZE_UNPOISON(p, size) ASAN_UNPOISON_MEMORY_REGION((p), (size))
#else
#define SANITIZE_POISON(p, size)   ((void)(p), (void)(size))
#define SANITIZE_UNPOISON(p, size) ((void)(p), (void)(size))
#endif

#endif
