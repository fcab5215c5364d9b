/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Server-sent events: a reply that stays open, and what a browser's EventSource reads (HTML, "Server-sent events").
 *
 *     static int ticks(weft_request *req)
 *     {
 *         WEFT_TRY(weft_events_begin(req));
 *         for (int n = 1;; n++) {
 *             WEFT_TRY(weft_events_send(req, .name = "tick", .data = weft_format(req, "%d", n)));
 *             WEFT_TRY(weft_sleep(WEFT_SECOND));
 *         }
 *     }
 *
 * A stream can also sit in rooms (weft/room.h): then it is sent what is said there, with positions as ids, and goes on after
 * what a client has seen when that comes back with Last-Event-ID:
 *
 *     static int news(weft_request *req)
 *     {
 *         weft_member *me;
 *         WEFT_TRY(weft_events_begin(req));
 *         WEFT_TRY(weft_room_join(req, "news", &me, .since = weft_events_last_id(req)));
 *         return weft_events_wait(req);
 *     }
 *
 * Heart-beats are sent by themselves; a client that takes nothing for three of them (45 s) is dropped. When the client has gone
 * the handler is cancelled; when the app stops, the client is told when to come back (`retry:`), the handler is cancelled, and
 * the reply ends in order.
 */
#ifndef WEFT_SSE_H
#define WEFT_SSE_H

#include <weft/request.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_sse {
    const char *name;    /* of the event; NULL for "message". No line ends in it */
    const char *id;      /* what Last-Event-ID brings back; NULL for none. No line ends in it */
    const char *data;    /* any number of lines, ended by "\n", "\r\n" or "\r"; NULL: no event, only the id or `retry` */
    weft_duration retry; /* how long the client is to wait before it comes back; 0 says nothing about it */
} weft_sse;

/* Makes the head of the reply: 200, text/event-stream. Fields may be set before (weft_set_header). 0; -EALREADY after a reply;
 * WEFT_EGONE; -ENOMEM. From here on weft_write returns -EBUSY. */
WEFT_API int weft_events_begin(weft_request *req);

/* May wait: while the client does not keep up. Sends an event. 0; WEFT_EGONE the client has gone; WEFT_ECANCELED also when the
 * app stops; -EINVAL a line end in a name or id, or weft_events_begin was not called; -EBUSY another task waits in it; -ENOMEM.
 */
WEFT_API WEFT_WAITS int weft_events_send_(weft_request *req, const weft_sse *event);
#define weft_events_send(req, ...) weft_events_send_((req), &(weft_sse){ __VA_ARGS__ })

/* May wait: until the client has gone (WEFT_EGONE), or the app stops or something else cuts it short (WEFT_ECANCELED …). For
 * streams that only sit in rooms. Errors as weft_events_send; 0, at once, for a request of HEAD. */
WEFT_API WEFT_WAITS int weft_events_wait(weft_request *req);

/* The id of the last event that the client has seen, from its field Last-Event-ID; NULL if it sent none. */
WEFT_API const char *weft_events_last_id(const weft_request *req);

#ifdef __cplusplus
}
#endif
#endif
