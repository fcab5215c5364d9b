/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* What reply.c and stream.c share: making the head of a reply, and lists of fields. */
#ifndef WEFT_SERVER_REPLY_H
#define WEFT_SERVER_REPLY_H

#include "server/request.h"

/* Writes the head of the one reply, of this kind, and notes that it is made. 0, or as weft_reply_bytes, and then nothing has
 * changed; `type` is trusted; its data is NULL for none. `length` of the body in bytes; it is announced only with
 * WEFT_FRAMING_LENGTH. */
int weft_reply_begin(weft_request *req, enum weft_reply_kind kind, int status, weft_bytes type, enum weft_reply_framing framing,
                     int64_t length);

/* May this be sent as a Content-Type? NULL, for none, may. The types of our own are not looked at for each reply: 300
 * instructions. */
bool weft_reply_is_type(const char *type);

/* Checks a field and adds its line. 0, -EINVAL, -ENOMEM. */
int weft_reply_add_field(weft_request *req, struct weft_reply_fields *fields, const char *name, const char *value);

#endif
