/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The PROXY protocol, versions 1 and 2, as HAProxy specifies it: a header that a balancer sends before everything else on a
 * connection, to tell whose it is.
 *
 *     1   "PROXY TCP4 192.0.2.1 198.51.100.7 51234 443\r\n", a line of at most 107 bytes
 *     2   12 fixed bytes, version and command, family, a size; then the addresses, and TLVs, which are passed over
 *
 * Whom to believe is the caller's business: anybody can send one. A verdict depends on the bytes alone, never on how they were
 * cut into reads. Refused is whatever does not begin like one of the two, at the first byte that differs; and in them anything
 * but single spaces, CRLF, whole addresses of the family named, and ports of 1 to 5 digits without leading zeros; a version,
 * command or family that is not specified; a header too short for its addresses, or longer than the limit.
 *
 * No address comes with UNKNOWN in version 1, and in 2 with the command LOCAL (the balancer's own connection, to see whether we
 * live), an unspecified family, or datagrams: then the connection's own peer is the client. Of a unix socket no more is told
 * than that it is one.
 */
#ifndef WEFT_LIB_HTTP_PROXY_H
#define WEFT_LIB_HTTP_PROXY_H

#include <weft/base.h>

#define WEFT_PROXY_CLIENT_SIZE ((size_t)46) /* bytes of an address as text, with its NUL */

typedef struct weft_proxy_header {
    char client[WEFT_PROXY_CLIENT_SIZE]; /* "192.0.2.1", "2001:db8::1", "unix"; "" if none was told */
} weft_proxy_header;

/* Reads the header that data[0, size) begins with; `limit` is what one of version 2 may have, at least 16 bytes. Returns its
 * size, with *ret_header written; 0 when more is needed; or -400. No more than 107 bytes or `limit` are needed to know. */
int64_t weft_proxy_read(weft_proxy_header *ret_header, const char *data, size_t size, size_t limit);

/* Of one of version 2 that was refused: was it only for its size? */
bool weft_proxy_is_too_large(const char *data, size_t size, size_t limit);

#endif
