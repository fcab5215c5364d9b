/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* JSON: the door to jansson. What recurses runs on the loop's stack: call these through weft_on_loop_stack from a task. */
#ifndef WEFT_LIB_JSON_JSON_H
#define WEFT_LIB_JSON_JSON_H

#include <stdarg.h>

#include "lib/base/arena.h"

enum { WEFT_JSON_ERROR_SIZE = 160 };

/* The text of json_pack(format, args), compact, NUL-terminated, in the arena. 0, -EINVAL with jansson's words in `error`, or
 * -ENOMEM. */
int weft_json_pack(weft_arena *arena, weft_bytes *ret_text, char error[WEFT_JSON_ERROR_SIZE], const char *format, va_list args);

#endif
