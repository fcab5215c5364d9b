/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Whatever a peer can make grow or last: one table. A row makes the setting, its default, its range, its counter, and the words
 * of the log; docs/http.md lists the same rows, and a test compares.
 *
 *     ROW(ID, option, type, default, least, most, what happens past it)
 *
 * `option` is the member of weft_app_options, where 0 stands for the default. The counter is "limit_" and the option: how often
 * the limit was met. Durations from 0 on take WEFT_NO_LIMIT too.
 *
 * And why connections end: each ends for one reason, the first that was found, and is counted under it as "closed_" and its
 * name.
 *
 *     ROW(ID, name, in words)
 */
#ifndef WEFT_SERVER_LIMIT_H
#define WEFT_SERVER_LIMIT_H

#include <limits.h>

#include <weft/app.h>

#include "lib/http/head_check.h"

#define WEFT_KIB ((int64_t)1024)
#define WEFT_MIB (1024 * WEFT_KIB)

#define WEFT_LIMITS(ROW)                                                                                                       \
    ROW(CONNECTIONS, max_connections, int, 0, 1, INT_MAX, "no more are accepted until one ends")                               \
    ROW(HEAD_TIME, head_timeout, weft_duration, 10 * WEFT_SECOND, 1, INT64_MAX, "408, closed")                                 \
    ROW(REQUEST_LINE, request_line_limit, size_t, 8 * WEFT_KIB, 1, WEFT_HTTP_HEAD_MAX, "414, closed")                          \
    ROW(FIELD, field_limit, size_t, 8 * WEFT_KIB, 1, WEFT_HTTP_HEAD_MAX, "431, closed")                                        \
    ROW(HEAD, head_limit, size_t, 16 * WEFT_KIB, 1, WEFT_HTTP_HEAD_MAX, "431, closed")                                         \
    ROW(FIELD_COUNT, field_count_limit, int, 100, 1, 10000, "431, closed")                                                     \
    ROW(BODY, body_limit, int64_t, 1 * WEFT_MIB, 1, INT64_MAX, "413, closed")                                                  \
    ROW(BODY_TIME, body_timeout, weft_duration, 30 * WEFT_SECOND, 1, INT64_MAX, "408, closed")                                 \
    ROW(BODY_RATE, body_rate, int, 500, 1, INT_MAX, "408, closed")                                                             \
    ROW(REQUEST_TIME, request_timeout, weft_duration, 300 * WEFT_SECOND, 1, INT64_MAX, "cancelled, 503")                       \
    ROW(CHUNK_LINE, chunk_line_limit, size_t, 256, 1, 64 * WEFT_KIB, "400, closed")                                            \
    ROW(CHUNK_EXTENSIONS, chunk_extension_limit, size_t, 4 * WEFT_KIB, 1, WEFT_MIB, "413, closed")                             \
    ROW(TRAILERS, trailer_limit, size_t, 16 * WEFT_KIB, 2, WEFT_HTTP_HEAD_MAX, "431, closed")                                  \
    ROW(TRAILER_COUNT, trailer_count_limit, int, 32, 1, 10000, "431, closed")                                                  \
    ROW(BUFFERED, buffer_budget, size_t, 256 * WEFT_MIB, 1, INT64_MAX, "503, or reading pauses")                               \
    ROW(DISCARD, discard_limit, int, 256 * WEFT_KIB, 1, 1 << 30, "closed")                                                     \
    ROW(LINGER, linger_timeout, weft_duration, 2 * WEFT_SECOND, 1, INT64_MAX, "closed")                                        \
    ROW(KEEP_ALIVE, keep_alive_timeout, weft_duration, 75 * WEFT_SECOND, 1, INT64_MAX, "closed")                               \
    ROW(KEEP_ALIVE_REQUESTS, keep_alive_requests, int, 0, 1, UINT16_MAX, "closed after the reply")                             \
    ROW(PROXY_TIME, proxy_timeout, weft_duration, 5 * WEFT_SECOND, 1, INT64_MAX, "reset")                                      \
    ROW(PROXY_HEADER, proxy_header_limit, size_t, 4 * WEFT_KIB, 232, 64 * WEFT_KIB, "reset")                                   \
    ROW(WRITE_TIME, write_timeout, weft_duration, 30 * WEFT_SECOND, 1, INT64_MAX, "reset")                                     \
    ROW(OUTPUT, output_high, size_t, 64 * WEFT_KIB, 1, 1 << 30, "who writes waits")                                            \
    ROW(READ_AHEAD, read_ahead, size_t, 16 * WEFT_KIB, 2, 1 << 30, "reading pauses")                                           \
    ROW(WS_MESSAGE, websocket_message_limit, int64_t, 1 * WEFT_MIB, 1, INT64_MAX, "1009, closed")                              \
    ROW(WS_FRAGMENTS, websocket_fragment_limit, int, 1024, 1, INT_MAX, "1009, closed")                                         \
    ROW(WS_INFLATE, websocket_inflate_ratio, int, 25, 1, INT_MAX, "1009, closed")                                              \
    ROW(WS_CONTROL, websocket_control_rate, int, 1000, 1, INT_MAX, "1008, closed")                                             \
    ROW(WS_PING, websocket_ping_every, weft_duration, 30 * WEFT_SECOND, 1, INT64_MAX, "a ping")                                \
    ROW(WS_DEAD, websocket_dead_after, weft_duration, 60 * WEFT_SECOND, 1, INT64_MAX, "reset")                                 \
    ROW(WS_CLOSE_TIME, websocket_close_timeout, weft_duration, 5 * WEFT_SECOND, 1, INT64_MAX, "closed")                        \
    ROW(WS_QUEUE_SIZE, websocket_queue_size, size_t, 1 * WEFT_MIB, 16 * WEFT_KIB, 1 << 30, "the room's policy")                \
    ROW(WS_QUEUE_COUNT, websocket_queue_count, int, 1000, 8, 1 << 30, "the room's policy")

#define WEFT_ENDINGS(ROW)                                                                                                      \
    ROW(OTHER, other, "for another reason")                                                                                    \
    ROW(LIMIT, limit, "a limit was met")                                                                                       \
    ROW(BY_CLIENT, by_client, "the client has closed it")                                                                      \
    ROW(RESET, reset, "broken by the client or the network")                                                                   \
    ROW(LAST_REPLY, last_reply, "its last reply was sent")                                                                     \
    ROW(MALFORMED, malformed, "a request or a frame that is not allowed")                                                      \
    ROW(UNREAD_BODY, unread_body, "a body that nobody read, and whose end is not near")                                        \
    ROW(NO_PROXY, no_proxy, "no PROXY header, or one from a network that is not trusted")                                      \
    ROW(FAILED_STREAM, failed_stream, "a streamed reply failed")                                                               \
    ROW(NO_MEMORY, no_memory, "memory is out")                                                                                 \
    ROW(STOPPED, stopped, "the server stops")                                                                                  \
    ROW(CUT, cut, "the server could not wait for it when it stopped")

#define WEFT_LIMIT_ID_(id, ...)  WEFT_LIMIT_##id,
#define WEFT_ENDING_ID_(id, ...) WEFT_END_##id,

enum weft_limit { WEFT_LIMITS(WEFT_LIMIT_ID_) WEFT_LIMIT_COUNT };
enum weft_ending { WEFT_ENDINGS(WEFT_ENDING_ID_) WEFT_ENDING_COUNT };

/* What a server counts. Written by its loop's thread, through weft_count, and read by any. */
struct weft_server_counts {
    uint64_t accepted, requests, replies;
    uint64_t open;       /* connections whose end has not begun */
    uint64_t buffered;   /* bytes that bodies, unread input and unsent output hold, of the budget */
    uint64_t drained;    /* requests finished while draining or cancelling, and not cancelled */
    uint64_t cancelled;  /* requests that ended because they were cancelled by the stop */
    uint64_t cut;        /* connections reset at the end of the stop */
    uint64_t websockets; /* closed by a handshake while stopping */
    uint64_t passed_on;  /* connections that were accepted, and given to another worker */
    uint64_t unaccepted; /* times that descriptors or memory were short for a connection */
    uint64_t limits[WEFT_LIMIT_COUNT];
    uint64_t closed[WEFT_ENDING_COUNT];
};

static inline void weft_count_by(uint64_t *counter, uint64_t more)
{
    __atomic_store_n(counter, *counter + more, __ATOMIC_RELAXED);
}

static inline void weft_count(uint64_t *counter)
{
    weft_count_by(counter, 1);
}

/* Adds what `counts` has by now; they may be another thread's. */
void weft_counts_add(struct weft_server_counts *sum, const struct weft_server_counts *counts);

/* The sum over all servers of an app, those that have closed too. From any thread. */
struct weft_server_counts weft_counts_of_app(weft_app *app);

extern const char *const weft_ending_words[WEFT_ENDING_COUNT];

/* What happens past each limit, with its option: "head_timeout: 408, closed". */
extern const char *const weft_limit_words[WEFT_LIMIT_COUNT];

#endif
