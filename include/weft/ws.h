/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * WebSockets (RFC 6455), with compressed messages (RFC 7692).
 *
 * A handler turns its request into a WebSocket, and serves it in one of two ways. As a loop, straight-line code that may wait
 * anywhere; the socket is closed when the handler returns, however it does:
 *
 *     static int echo(weft_request *req)
 *     {
 *         weft_ws *ws;
 *         weft_message msg;
 *         int rc;
 *         WEFT_TRY(weft_ws_accept(req, &ws));
 *         while ((rc = weft_ws_receive(ws, &msg)) > 0)
 *             WEFT_TRY(weft_ws_send(ws, &msg));
 *         return rc;
 *     }
 *
 * Or by callbacks, without a stack while nothing happens: the handler ends, and each message gets a task for as long as it is
 * handled. One message of a socket is handled at a time, in order.
 *
 *     static int on_message(weft_ws *ws, const weft_message *msg)
 *     {
 *         return weft_ws_send(ws, msg);
 *     }
 *
 *     static int echo(weft_request *req)
 *     {
 *         return weft_ws_serve(req, &(weft_ws_handlers){ .message = on_message });
 *     }
 *
 * What is wrong with the handshake is answered by the error that accept and serve return, handed up: 400, 403 (its Origin),
 * 426. A handler that wants to know who asks does so before, and may reply 401 in place of accepting.
 *
 * After weft_ws_accept the request's header fields are gone, also those that weft_header returned before; parameters, path,
 * query and memory of weft_alloc stay. The route's deadline ends there.
 *
 * Pings, pongs and the closing handshake are ours: a peer of which nothing is heard for a minute is dropped. When the client
 * has gone without a word the handler is cancelled, as with any request. When the server stops, each socket gets close 1001,
 * and weft_ws_receive returns 0 once the client has answered. One task receives; any number may send.
 */
#ifndef WEFT_WS_H
#define WEFT_WS_H

#include <weft/message.h>
#include <weft/request.h>
#include <weft/time.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_ws weft_ws;

/* ---- accepting ---- */

/* Is permessage-deflate agreed to, if the client offers it? */
enum weft_ws_deflate {
    WEFT_WS_DEFLATE_SMALL,   /* yes, each message by itself: an idle socket holds nothing for it */
    WEFT_WS_DEFLATE_CONTEXT, /* yes, over messages: smaller messages, and up to 300 KiB a socket */
    WEFT_WS_DEFLATE_OFF
};

/* 0 or NULL is the default: that of the app (weft_app_options), where it has one. */
typedef struct weft_ws_options {
    size_t struct_size;
    const char *const *protocols; /* sub-protocols, the best first; ends in NULL. Texts are borrowed until the socket's end */
    const char *const *origins; /* that may connect besides the host's own ("https://example.org"), ends in NULL; "*" is any */
    int64_t message_limit;      /* bytes of a message, decompressed (1 MiB); WEFT_NO_LIMIT. Past it 1009 */
    int fragment_limit;         /* frames of a message (1,024); past it 1009 */
    enum weft_ws_deflate deflate;
    size_t deflate_threshold;    /* smaller messages are sent as they are, bytes (1 KiB) */
    weft_duration ping_every;    /* when nothing was heard for so long, less up to a tenth by chance (30 s; at most half of
                                    dead_after) */
    weft_duration dead_after;    /* when nothing was heard for so long the peer is dropped (60 s) */
    weft_duration close_timeout; /* for the peer to answer our close (5 s) */
} weft_ws_options;

/* Answers the request with 101: it is a WebSocket from now on. Never waits. Fields set by weft_set_header go with the answer.
 * The socket belongs to the request, and is closed at its end. Options may follow: weft_ws_accept(req, &ws, .origins = list).
 * Returns 0, or an error to hand up: WEFT_EHTTP of 400, 403 or 426; of 501 in a build without WebSockets; -EALREADY after a
 * reply; -ENOMEM; WEFT_EGONE. */
#define weft_ws_accept(...) weft_ws_accept_(__VA_ARGS__, )
#define weft_ws_accept_(req, ret_ws, ...)                                                                                      \
    weft_ws_accept_with((req), (ret_ws), &(weft_ws_options){ .struct_size = sizeof(weft_ws_options), __VA_ARGS__ })
WEFT_API WEFT_MUST int weft_ws_accept_with(weft_request *req, weft_ws **ret_ws, const weft_ws_options *options);

/* The sub-protocol that was agreed on; NULL for none. */
WEFT_API const char *weft_ws_protocol(const weft_ws *ws);

/* ---- receiving ---- */

/* May wait. The next message, put together and decompressed; a text is valid UTF-8. It is valid until the next receive. Returns
 * 1; 0: the socket is closed, by the peer or, once the peer has answered, by us; WEFT_EGONE: the peer has gone without a word;
 * WEFT_EPROTOCOL: it broke the protocol or a limit, and has been told so; -EBUSY while another task receives; the reason that
 * cut it short: then nothing is lost, and a later call goes on where this one stopped. */
WEFT_API WEFT_WAITS int weft_ws_receive(weft_ws *ws, weft_message *ret_message);

/* A part of a message, for messages larger than memory should hold: as much as has come, at most about 64 KiB (of a
 * compressed one 200 KiB). A character may lie across two parts. The limits on messages do not hold here, unless a
 * weft_ws_receive takes the rest of a message: then they hold for that. */
typedef struct weft_part {
    const void *data;
    size_t size; /* bytes; may be 0 at the end */
    bool is_text;
    bool is_last; /* of its message */
} weft_part;

/* May wait. The next part. Returns as weft_ws_receive. */
WEFT_API WEFT_WAITS int weft_ws_receive_part(weft_ws *ws, weft_part *ret_part);

/* ---- sending ---- */

typedef struct weft_ws_send_options {
    size_t struct_size;
    bool no_wait;     /* fail with -EAGAIN where the call would have to wait */
    bool no_compress; /* send it as it is */
} weft_ws_send_options;

/* May wait. Sends a message, whole and in order; copied, so that it may be one that was just received. Waits while more than
 * 64 KiB (or 256 messages) are unsent, or while another task streams a message. A text must be valid UTF-8. Returns 0;
 * WEFT_ECLOSED after a close, by whom ever; WEFT_EGONE; -EINVAL a text that is not UTF-8; -EBUSY in a task that streams a
 * message; -ENOMEM; the reason that cut it short: then nothing was sent. */
WEFT_API WEFT_WAITS int weft_ws_send(weft_ws *ws, const weft_message *message);

/* The same with options: weft_ws_send_with(ws, &msg, WEFT_WS_SENDING(.no_wait = true)). Returns as that; -EAGAIN with no_wait.
 */
#define WEFT_WS_SENDING(...) (&(weft_ws_send_options){ .struct_size = sizeof(weft_ws_send_options), __VA_ARGS__ })
WEFT_API WEFT_WAITS int weft_ws_send_with(weft_ws *ws, const weft_message *message, const weft_ws_send_options *options);

/* May wait. The same for a text, a formatted one, bytes, and JSON in the format of jansson's json_pack (-EINVAL for a format or
 * values that make none, logged). */
WEFT_API WEFT_WAITS int weft_ws_send_text(weft_ws *ws, const char *text);
WEFT_API WEFT_WAITS int weft_ws_sendf(weft_ws *ws, const char *format, ...) WEFT_PRINTF(2, 3);
WEFT_API WEFT_WAITS int weft_ws_send_bytes(weft_ws *ws, const void *data, size_t size);
WEFT_API WEFT_WAITS int weft_ws_send_json(weft_ws *ws, const char *pack_format, ...);

/* A message in pieces, when it is larger than memory should hold, or not known at once. Each piece is a fragment of its own;
 * compression is left out. Other tasks' sends wait for its end.
 *
 *     WEFT_TRY(weft_ws_stream(ws, false));
 *     while ((n = read_some(file, buf, sizeof buf)) > 0)
 *         WEFT_TRY(weft_ws_stream_write(ws, buf, n));
 *     WEFT_TRY(weft_ws_stream_end(ws));
 *
 * May wait, all three, and return as weft_ws_send; stream_write and stream_end -EPERM in a task that did not begin it. A task
 * that ends in the middle leaves the socket closed with 1011. A text's pieces are not checked for UTF-8. */
WEFT_API WEFT_WAITS int weft_ws_stream(weft_ws *ws, bool is_text);
WEFT_API WEFT_WAITS int weft_ws_stream_write(weft_ws *ws, const void *data, size_t size);
WEFT_API WEFT_WAITS int weft_ws_stream_end(weft_ws *ws);

/* ---- closing ---- */

/* Sends close with a code (1000 to 1003, 1007 to 1014, 3000 to 4999) and a reason (at most 123 bytes of UTF-8; NULL for none);
 * the rest happens by itself. Never waits; the second close is ignored. What the peer has under way can still be received:
 * weft_ws_receive returns 0 once it has answered. 0, -EINVAL, -ENOMEM. */
WEFT_API int weft_ws_close(weft_ws *ws, int code, const char *reason);

/* Why it is closed: the code that the peer sent (1005: it sent none), or that we failed it with; 1006 when it has gone without
 * a word, 0 while it is open. The reason is "" for none; it belongs to the socket. */
WEFT_API int weft_ws_close_code(const weft_ws *ws);
WEFT_API const char *weft_ws_close_reason(const weft_ws *ws);

/* ---- by callbacks ---- */

/* Each may wait, and may be NULL. The first two return 0 or more to go on; an error closes the socket with 1011. */
typedef struct weft_ws_handlers {
    int (*open)(weft_ws *ws); /* called by weft_ws_serve, once the socket is accepted: in the handler's task */
    int (*message)(weft_ws *ws, const weft_message *message);
    void (*closed)(
        weft_ws *ws);        /* the last call: the socket is gone when it returns. Always called, if the socket was accepted */
    void *state;             /* what weft_ws_state returns at first */
    weft_ws_options options; /* its struct_size need not be set */
} weft_ws_handlers;

/* May wait, in `open` only. Accepts the request and has it served by the callbacks from then on; the handler should return what
 * this returns. `handlers` is copied. Returns as weft_ws_accept, or what `open` returned. */
#define weft_ws_serve(req, ...) weft_ws_serve_with((req), __VA_ARGS__, sizeof(weft_ws_handlers))
WEFT_API WEFT_WAITS int weft_ws_serve_with(weft_request *req, const weft_ws_handlers *handlers, size_t handlers_size);

/* A pointer of the user's for each socket; NULL at first. */
WEFT_API void weft_ws_set(weft_ws *ws, void *state);
WEFT_API void *weft_ws_state(const weft_ws *ws);

#ifdef __cplusplus
}
#endif

#endif
