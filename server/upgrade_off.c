/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* For a build without wslay or libcrypto: every handshake is answered 501, so nobody ever has a socket. */
#include <errno.h>

#include <weft/room.h>

#include "lib/base/check.h"
#include "server/session.h"

static int refuse(void)
{
    return weft_fail(WEFT_EHTTP(501), "this build has no WebSockets");
}

_Noreturn static void no_socket(const weft_ws *ws)
{
    weft_die("%p is no WebSocket: this build has none", (const void *)ws);
}

void weft_ws_hall_close(weft_server *server)
{
    (void)server;
}

int weft_ws_accept_with(weft_request *req, weft_ws **ret_ws, const weft_ws_options *options)
{
    (void)req;
    (void)ret_ws;
    (void)options;
    return refuse();
}

int weft_ws_serve_with(weft_request *req, const weft_ws_handlers *handlers, size_t handlers_size)
{
    (void)req;
    (void)handlers;
    (void)handlers_size;
    return refuse();
}

/* Nobody has a socket to call these with. */
#pragma GCC diagnostic ignored "-Wunused-parameter"

int weft_room_join_ws(weft_ws *ws, const char *room, weft_member **ret_member, const weft_join_options *options)
{
    no_socket(ws);
}

const char *weft_ws_protocol(const weft_ws *ws)
{
    no_socket(ws);
}

int weft_ws_receive(weft_ws *ws, weft_message *ret_message)
{
    no_socket(ws);
}

int weft_ws_receive_part(weft_ws *ws, weft_part *ret_part)
{
    no_socket(ws);
}

int weft_ws_send(weft_ws *ws, const weft_message *message)
{
    no_socket(ws);
}

int weft_ws_send_with(weft_ws *ws, const weft_message *message, const weft_ws_send_options *options)
{
    no_socket(ws);
}

int weft_ws_send_text(weft_ws *ws, const char *text)
{
    no_socket(ws);
}

int weft_ws_sendf(weft_ws *ws, const char *format, ...)
{
    no_socket(ws);
}

int weft_ws_send_bytes(weft_ws *ws, const void *data, size_t size)
{
    no_socket(ws);
}

int weft_ws_send_json(weft_ws *ws, const char *pack_format, ...)
{
    no_socket(ws);
}

int weft_ws_stream(weft_ws *ws, bool is_text)
{
    no_socket(ws);
}

int weft_ws_stream_write(weft_ws *ws, const void *data, size_t size)
{
    no_socket(ws);
}

int weft_ws_stream_end(weft_ws *ws)
{
    no_socket(ws);
}

int weft_ws_close(weft_ws *ws, int code, const char *reason)
{
    no_socket(ws);
}

int weft_ws_close_code(const weft_ws *ws)
{
    no_socket(ws);
}

const char *weft_ws_close_reason(const weft_ws *ws)
{
    no_socket(ws);
}

void weft_ws_set(weft_ws *ws, void *state)
{
    no_socket(ws);
}

void *weft_ws_state(const weft_ws *ws)
{
    no_socket(ws);
}
