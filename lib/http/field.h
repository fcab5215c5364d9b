/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The small grammar of header fields (RFC 9110 §5): tokens, field values, and lists separated by commas. Text is given by
 * its size and need not end in NUL. Nothing here allocates.
 */
#ifndef WEFT_LIB_HTTP_FIELD_H
#define WEFT_LIB_HTTP_FIELD_H

#include <weft/base.h>

/* One or more of the characters that make a method, a field name or a list's member (RFC 9110 §5.6.2). */
bool weft_http_is_token(const char *text, size_t size);

/* What may be sent as a field's value: no CR, LF or NUL, and no other control byte but HTAB. Bytes from 0x80 on may be in it,
 * and it may be empty. */
bool weft_http_is_field_value(const char *text, size_t size);

/* Are the two the same in ASCII, in any case? */
bool weft_http_same_text(const char *a, const char *b, size_t size);

/* The next member of the list *at, without the white space around it; moves *at (and *left, the size from there on) behind
 * the comma that ends it. False when there is none left. Members may be empty ("a,,b" has three), but the
 * end of the list is no member: "a," has one, "" none. Not for lists whose members may be quoted. */
bool weft_http_list_next(const char **at, size_t *left, weft_bytes *ret_member);

#endif
