/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Streams of server-sent events, as the request and the connection see them. All are fine for a request that has none. */
#ifndef WEFT_SERVER_EVENTS_H
#define WEFT_SERVER_EVENTS_H

#include "server/request.h"
#include "server/subscriber.h"

/* Of a request whose reply streams events; in its arena. */
struct weft_events {
    weft_request *req;
    weft_outbox outbox;
    weft_subscriber subscriber;
    weft_timer beat;
    weft_wait *wait; /* parked in a send or wait; or NULL */
    size_t unsent;   /* at the last heart-beat, */
    int stuck_beats; /* and for how many of them it has not changed */
    bool is_chunked;
    bool is_head;     /* HEAD: nothing is sent */
    bool is_busy;     /* something was sent since the last heart-beat */
    bool has_stopped; /* the client has been told to come back */
};

/* The transport has sent what was queued. */
void weft_events_on_drained(weft_request *req);

/* The connection is closing. */
void weft_events_on_gone(weft_request *req);

/* The app stops: tells the client when to come back, and cancels the handler. */
void weft_events_stop(weft_request *req);

/* The handler has returned: hands what is queued to the transport. Does the stream end in order? */
bool weft_events_end(weft_request *req, int rc);

/* The request ends. */
void weft_events_free(weft_request *req);

#endif
