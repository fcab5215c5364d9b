/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The TLS filter, for the files that it is made of: transport_tls.c (opening, closing, what the owner is told), _handshake.c
 * (until it is open), _in.c (records in, and how long one may take) and _out.c (records out).
 *
 *     ──> WAITING ── a client's first byte ──> SHAKING ──────> OPEN
 *            │                                    │              │
 *            └────────── no TLS, too slow ────────┴── failed ────┴──> BROKEN
 *
 * WAITING: a server's end that has heard nothing; it has no session yet. SHAKING: the inner transport is read, whether the
 * owner reads or not. OPEN: it is read while the owner reads. BROKEN: nothing is sent or read any more; the owner is told when
 * it reads. The end of input is a matter of its own (`ending`): after it we may still send.
 *
 * The state is one allocation apart from its owner, the inner transport in it. OpenSSL runs on the loop's stack, and events
 * are only delivered outside of it: a task that they enter may send and close.
 */
#ifndef WEFT_LIB_NET_TRANSPORT_TLS_H
#define WEFT_LIB_NET_TRANSPORT_TLS_H

#include "lib/base/check.h"
#include "lib/net/tls_session.h"

#define WEFT_TLS_FILTER_MAGIC 0x715715aeu

enum weft_tls_state { WEFT_TLS_WAITING, WEFT_TLS_SHAKING, WEFT_TLS_OPEN, WEFT_TLS_BROKEN };

typedef struct weft_tls_filter {
    unsigned magic;
    uint8_t state;
    bool is_client;
    bool is_ending;        /* no more input comes: to be said once the owner reads */
    bool has_said_peer;    /* `connected` has been said */
    int ending;            /* with what: 0 or -errno */
    weft_transport *t;     /* the owner's */
    weft_tls_setup *setup; /* held */
    weft_tls_session session;
    char *held; /* ciphertext that came while the owner did not read: `held_size` bytes */
    size_t held_size;
    size_t answers;        /* bytes of TLS's own that have been queued since nothing was */
    uint32_t timed_record; /* the one that was being read when the timer was set */
    weft_duration handshake_time, record_time;
    weft_timer timer;    /* of the handshake, then of a record of which a part has come */
    weft_callback again; /* to go on with what is held */
    weft_transport inner;
} weft_tls_filter;

/* Of the owner's transport, until it has been told `closed`. */
static inline weft_tls_filter *weft_tls_filter_of(const weft_transport *t)
{
    weft_tls_filter *f = *(weft_tls_filter *const *)(const void *)t->handle;
    IS_A(f, WEFT_TLS_FILTER_MAGIC);
    return f;
}

static inline weft_tls_filter *weft_tls_filter_around(weft_transport *inner)
{
    return CONTAINER_OF(inner, weft_tls_filter, inner);
}

static inline struct weft_tls_counts *weft_tls_filter_counts(weft_tls_filter *f)
{
    return &f->session.shared->counts;
}

/* ---- states, and what the owner is told (transport_tls.c) ---- */

void weft_tls_filter_set_state(weft_tls_filter *f, enum weft_tls_state state);

/* Tells a client's owner how its handshake has ended. */
void weft_tls_filter_say_connected(weft_tls_filter *f, int error);

/* Tells the end of input, if there is one and the owner wants to hear it now. */
void weft_tls_filter_say_ending(weft_tls_filter *f);

/* No more input comes: 0 or why. The first one counts. */
void weft_tls_filter_end_input(weft_tls_filter *f, int error);

/* It is broken: the owner is told by weft_tls_filter_say_ending. */
void weft_tls_filter_fail(weft_tls_filter *f, int error);

/* The same for what the peer did; counted, and logged with these words. */
void weft_tls_filter_refuse(weft_tls_filter *f, const char *words);

/* ---- the handshake (transport_tls_handshake.c) ---- */

/* Goes on with it. True when it is over, and the owner has not closed: then its last records are still to be flushed. */
bool weft_tls_filter_shake(weft_tls_filter *f);

/* ---- records in (transport_tls_in.c) ---- */

/* Makes what can be made of the ciphertext that is lent to the session, and keeps the rest. */
void weft_tls_filter_take(weft_tls_filter *f);

void weft_tls_filter_go_on(weft_callback *again);
void weft_tls_filter_on_time(weft_timer *timer);
void weft_tls_filter_set_timer(weft_tls_filter *f, weft_duration d);

int weft_tls_filter_read_start(weft_transport *t);
void weft_tls_filter_read_stop(weft_transport *t);
bool weft_tls_filter_has_unread(const weft_transport *t);
void weft_tls_filter_on_input(weft_transport *inner, char *data, int64_t size);

/* ---- records out (transport_tls_out.c) ---- */

/* Sends the records that have been made, or queues them; what becomes of it is in the inner transport's `error`. */
void weft_tls_filter_flush(weft_tls_session *session);

int64_t weft_tls_filter_try_send(weft_transport *t, const struct iovec *parts, int count);
int weft_tls_filter_queue(weft_transport *t, const struct iovec *parts, int count, size_t skip);
size_t weft_tls_filter_unsent(const weft_transport *t);
int weft_tls_filter_shutdown(weft_transport *t);
void weft_tls_filter_on_drained(weft_transport *inner, int error);
void weft_tls_filter_on_eased(weft_transport *inner);

/* Tells the peer that nothing more comes. On the loop's stack; `arg` is the filter. */
void weft_tls_filter_announce_end(void *arg);

#endif
