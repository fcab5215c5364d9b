/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* A message of a WebSocket or a room: text (UTF-8) or bytes, which somebody else owns. `data` ends in a NUL that does not
 * count, where it comes from weft_ws_receive. */
#ifndef WEFT_MESSAGE_H
#define WEFT_MESSAGE_H

#include <weft/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_message {
    const void *data;
    size_t size; /* bytes */
    bool is_text;
} weft_message;

#ifdef __cplusplus
}
#endif
#endif
