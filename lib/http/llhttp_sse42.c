/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * llhttp's state machine once more, for processors with SSE4.2: it has code that passes 16 bytes of a field's value at a
 * time, and has it only when it is compiled for such a processor, as this file alone is. Where llhttp comes as sources, head.c
 * chooses between the two; all else is shared, the callbacks and the object among it. lib/meson.build makes the header, which
 * gives every function of the state machine another name.
 */
#ifdef WEFT_LLHTTP_SSE42

#ifndef __SSE4_2__
#error "to be compiled with -msse4.2"
#endif

#include <llhttp_sse42_names.h>

#include <llhttp.c>

#endif
