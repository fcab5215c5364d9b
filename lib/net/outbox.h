/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Outboxes: what is to be sent on a transport, as references to buffers that many outboxes share.
 *
 * A message to 10,000 subscribers is encoded once, into a weft_shared; each subscriber's outbox holds a reference of 16 bytes
 * from a slab, so that a delivery allocates nothing. All outboxes of a loop that have something to send are flushed once a
 * turn, each by one write of many buffers: what is appended in one turn leaves together. What the kernel does not take stays
 * as references, so that 10,000 consumers that do not read share one message too; only the buffer that was cut is lent to the
 * transport, whose `drained` event then tells that the peer reads on. An idle outbox holds nothing but itself.
 *
 *     weft_outbox_open(&session->outbox, &connection->transport, &rules);
 *     weft_shared *message = weft_shared_new(size);          // write the encoded bytes to message->data; then never again
 *     for each subscriber:
 *         rc = weft_outbox_append(&subscriber->outbox, message);
 *         -ENOBUFS: the bound is reached; drop something (weft_outbox_drop_oldest) and append again, or disconnect
 *     weft_shared_unref(message);                            // ours; the outboxes have theirs
 *
 *     the transport's drained(t, error)  ──>  weft_outbox_on_drained(&session->outbox, error)
 *     weft_outbox_close(&session->outbox)                    // before the memory goes; gives the references back
 *
 * A buffer holds one frame, or several, always whole ones: so a control frame may be put in front of what is queued (never in
 * front of a buffer of which a part has been sent). Whoever sends on the same transport by other means must do so while the
 * outbox is empty.
 *
 * Appending is for code that cannot wait: it says when the bound is reached. A sender that can wait does so while
 * weft_outbox_is_high, until `low` is said. Everything happens on the loop's thread; buffers are not shared between threads.
 */
#ifndef WEFT_LIB_NET_OUTBOX_H
#define WEFT_LIB_NET_OUTBOX_H

#include "lib/base/list.h"
#include "lib/net/transport.h"

/* ---- buffers ---- */

typedef struct weft_shared {
    unsigned magic;
    uint32_t refs;
    bool may_drop;  /* by weft_outbox_drop_oldest; false at first */
    uint32_t count; /* messages in it, for the bounds; 1 at first */
    uint64_t key;   /* of weft_outbox_drop_key; 0 for none, as at first */
    size_t size;
    char data[];
} weft_shared;

/* A buffer of `size` bytes (not 0), not cleared, with one reference, the caller's; to be filled in before it is appended
 * anywhere. NULL when memory is out. Small ones are kept by the loop for the next. */
weft_shared *weft_shared_new(size_t size);

static inline weft_shared *weft_shared_ref(weft_shared *buf)
{
    buf->refs++;
    return buf;
}

/* Gives a reference back; the last one frees the buffer. NULL is fine. */
void weft_shared_unref(weft_shared *buf);

/* ---- outboxes ---- */

typedef struct weft_outbox weft_outbox;
struct weft_outbox_ref;
struct weft_outbox_loan;

/* The bounds of an outbox, and what its owner is told, on the loop's stack; in each the owner may close the outbox. */
typedef struct weft_outbox_rules {
    size_t size_most;    /* bytes unsent: an append beyond is refused, unless the outbox is empty */
    uint32_t count_most; /* messages */
    size_t size_high;    /* from here on it is high, until both have fallen to half of it */
    uint32_t count_high;
    void (*low)(weft_outbox *o);               /* it was high and is not any more; may be NULL */
    void (*failed)(weft_outbox *o, int error); /* nothing can be sent any more (-EPIPE, ... or -ENOMEM): said once */
} weft_outbox_rules;

enum {
    WEFT_OUTBOX_SIZE_MOST = 1024 * 1024, /* the usual bounds */
    WEFT_OUTBOX_COUNT_MOST = 1000,
    WEFT_OUTBOX_SIZE_HIGH = 64 * 1024,
    WEFT_OUTBOX_COUNT_HIGH = 256,
};

struct weft_outbox {
    weft_transport *transport; /* NULL when closed */
    const weft_outbox_rules *rules;
    weft_list dirty; /* in the list of those to flush */
    struct weft_outbox_ref *first, *last;
    struct weft_outbox_loan *loan; /* the buffer that was cut, with the transport */
    size_t size;                   /* bytes unsent, those lent included */
    size_t sent;                   /* bytes of the first buffer that have gone */
    uint32_t count;                /* messages unsent, the one lent included */
    int error;
    bool is_blocked; /* the transport is to say `drained` first */
    bool is_high;
    bool is_begun; /* the first one is the rest of a frame: nothing goes in front of it */
};

/* `rules` and the transport are borrowed until it is closed. 0 or -ENOMEM. */
int weft_outbox_open(weft_outbox *o, weft_transport *transport, const weft_outbox_rules *rules);

/* Gives up what is unsent; idempotent. The transport is the owner's. */
void weft_outbox_close(weft_outbox *o);

static inline bool weft_outbox_is_empty(const weft_outbox *o)
{
    return o->count == 0;
}

static inline bool weft_outbox_is_high(const weft_outbox *o)
{
    return o->is_high;
}

/* Appends a reference of its own; it leaves in the next turn. Never waits. 0; -ENOBUFS: the bound is reached, nothing was
 * appended; -ENOMEM; what made the outbox fail (-EPIPE, ...), also when closed. */
int weft_outbox_append(weft_outbox *o, weft_shared *buf);

/* The same in front of all that has not begun to leave, with no bound: for control frames, of which the caller keeps count. */
int weft_outbox_append_front(weft_outbox *o, weft_shared *buf);

/* Sends whole frames that lie elsewhere: what goes at once without a copy, the rest as a copy in one buffer (which may exceed
 * the bound). When something is queued already, all of it is copied and queued behind. 0; -ENOBUFS, -ENOMEM: nothing was
 * sent, or the outbox has failed (o->error) because the rest of a frame could not be kept; -errno. */
int weft_outbox_send(weft_outbox *o, const struct iovec *parts, int count);

/* Sends what is queued now, not in the next turn. 0 or -errno; `failed` is not called. */
int weft_outbox_flush(weft_outbox *o);

/* Hands all that is left to the transport, as a copy, so that others may send behind it. 0 or -errno. */
int weft_outbox_hand_over(weft_outbox *o);

/* Gives up the oldest buffer that may be dropped and has not begun to leave. Was there one? */
bool weft_outbox_drop_oldest(weft_outbox *o);

/* Gives up each buffer with this key (not 0) that has not begun to leave. How many? */
int weft_outbox_drop_key(weft_outbox *o, uint64_t key);

/* Gives up all that has not begun to leave, whatever it is. */
void weft_outbox_drop_waiting(weft_outbox *o);

/* The owner of the transport has been told `drained`. */
void weft_outbox_on_drained(weft_outbox *o, int error);

/* ---- for lib/net/net.c ---- */

struct weft_outboxes;
void weft_outboxes_close(struct weft_outboxes *all);

#endif
