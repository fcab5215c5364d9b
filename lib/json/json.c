/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
#include "lib/json/json.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>

enum { GUESS = 512 };

int weft_json_pack(weft_arena *arena, weft_bytes *ret_text, char error[WEFT_JSON_ERROR_SIZE], const char *format, va_list args)
{
    json_error_t problem;
    json_t *value = json_vpack_ex(&problem, 0, format, args);
    if (!value) {
        snprintf(error, WEFT_JSON_ERROR_SIZE, "%s", problem.text);
        return json_error_code(&problem) == json_error_out_of_memory ? -ENOMEM : -EINVAL;
    }
    int rc = -ENOMEM;
    char *text = weft_arena_alloc(arena, GUESS);
    size_t size = text ? json_dumpb(value, text, GUESS - 1, JSON_COMPACT | JSON_ENCODE_ANY) : 0;
    if (text && size > GUESS - 1) {
        size_t room = size;
        text = weft_arena_alloc(arena, room + 1);
        size = text ? json_dumpb(value, text, room, JSON_COMPACT | JSON_ENCODE_ANY) : 0;
    }
    if (size > 0) {
        text[size] = '\0';
        *ret_text = (weft_bytes){ text, size };
        rc = 0;
    } else if (text) {
        snprintf(error, WEFT_JSON_ERROR_SIZE, "the value cannot be written");
        rc = -EINVAL;
    }
    json_decref(value);
    return rc;
}
