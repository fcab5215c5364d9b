/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* A WebSocket client of the harness: the handshake, frames by hand, and an app whose handlers note what they see. */
#ifndef WEFT_TESTS_SERVER_WS_CLIENT_H
#define WEFT_TESTS_SERVER_WS_CLIENT_H

#include "harness.h"
#include "lib/codec/deflate.h"
#include "server/session.h"

#define WS_FIELDS                                                                                                              \
    "Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"                                    \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define WS_GET(path)         "GET " path " HTTP/1.1\r\n" WS_FIELDS "\r\n"
#define WS_GET_DEFLATE(path) "GET " path " HTTP/1.1\r\n" WS_FIELDS "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
#define WS_SWITCH(fields)                                                                                                      \
    STATUS("101 Switching Protocols")                                                                                          \
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" fields "\r\n"

#define Z "\0\0\0\0" /* a mask that leaves payloads readable */

/* What handlers noted, since seen_forget; "" at first. */
extern char seen[4096];
void seen_forget(void);
void see(const char *format, ...) WEFT_PRINTF(1, 2);

#define CHECK_SEEN(expected) WEFT_CHECK(seen_is(expected))
bool seen_is(const char *expected);

/* /echo, and those that a test adds. Ends the program when memory is out. */
weft_app *ws_app(void);

/* Connects, shakes hands and forgets the answer, having checked that it is 101. */
void ws_open(client *c, weft_server *server, const char *path);

/* Takes the next whole frame of a server off what has come, from *at on: its first byte, or -1; its payload is at *ret_data. */
int ws_next_frame(const client *c, size_t *at, const char **ret_data, size_t *ret_size);

#endif
