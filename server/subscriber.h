/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Subscribers: what sits in rooms. A WebSocket session and a stream of events embed one each; a room knows no more of them than
 * this: how a post of it is encoded for them, where to append it, and how to get rid of one that does not keep up.
 *
 *     weft_subscriber_init(&session->subscriber, &ops, &session->outbox, variant);
 *     … joins rooms, any number …
 *     the outbox says `low`  ──>  weft_subscriber_on_low(&session->subscriber)
 *     weft_subscriber_leave(&session->subscriber)     // before the outbox is closed: leaves every room it is in
 *     weft_subscriber_close(&session->subscriber)     // when nobody can use a seat any more: gives them back
 */
#ifndef WEFT_SERVER_SUBSCRIBER_H
#define WEFT_SERVER_SUBSCRIBER_H

#include "lib/base/list.h"
#include "lib/net/outbox.h"

/* What is sent to the members of a room, as they see it. */
typedef struct weft_delivery {
    const char *data;
    size_t size;
    bool is_text;
    const char *kind;       /* NULL: somebody's message; else a notice of the room's, in JSON: "hello", "presence", "dropped" */
    uint64_t epoch, number; /* its position in the room; the number is 0 for what has none */
} weft_delivery;

typedef struct weft_subscriber weft_subscriber;

typedef struct weft_subscriber_ops {
    bool joins; /* what is encoded for them means the same when it is put together into one buffer */
    /* Encodes for every subscriber with these ops and this one's variant, on the loop's stack. 1 and *ret_buf, which is the
     * caller's; 0: this kind is not sent to them (bytes, to a stream of events); -ENOMEM. */
    int (*encode)(const weft_subscriber *s, const weft_delivery *delivery, weft_shared **ret_buf);
    /* As weft_outbox_append, which it is if NULL; WEFT_ECLOSED: it takes nothing more, and will leave. */
    int (*append)(weft_subscriber *s, weft_shared *buf);
    /* As weft_outbox_drop_oldest and, while it does not keep up, weft_outbox_drop_key, which they are if NULL: for one that
     * holds something outside its outbox. */
    bool (*drop_oldest)(weft_subscriber *s);
    void (*drop_key)(weft_subscriber *s, uint64_t key);
    /* It does not keep up: ends it, with this close code where there is one (1013 try again later, 1008 policy). It may leave
     * or close the subscriber at once, or later. */
    void (*cut)(weft_subscriber *s, int code, const char *why);
} weft_subscriber_ops;

struct weft_subscriber {
    const weft_subscriber_ops *ops; /* NULL when closed */
    weft_outbox *outbox;
    weft_list members; /* its seats */
    unsigned variant;  /* subscribers of one kind that are sent the same bytes; of a WebSocket: the compression's parameters */
    uint64_t dropped;  /* messages it was not sent, because it did not keep up */
    uint64_t untold;   /* of these, since it was last told */
};

void weft_subscriber_init(weft_subscriber *s, const weft_subscriber_ops *ops, weft_outbox *outbox, unsigned variant);

/* Leaves all rooms, and joins none any more; idempotent. The seats stay, for whoever has one. */
void weft_subscriber_leave(weft_subscriber *s);

/* The same, and gives the seats back; idempotent. */
void weft_subscriber_close(weft_subscriber *s);

/* Its outbox was high and is not any more: it can be told what it has missed. */
void weft_subscriber_on_low(weft_subscriber *s);

#endif
