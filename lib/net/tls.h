/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * TLS for those who open transports: contexts, and the filter over any transport. OpenSSL stays behind it.
 *
 *     weft_tls_wrap(t, ...)  ->  open weft_tls_inner(t), with weft_tls_inner_events  ->  weft_tls_start(t)
 *                                or weft_tls_abandon(t), if it could not be opened
 *
 * A server's context is shared by threads. Its certificates are one setup, which a reload replaces as a whole: connections
 * keep the one they began with.
 */
#ifndef WEFT_LIB_NET_TLS_H
#define WEFT_LIB_NET_TLS_H

#include <weft/tls.h>

#include "lib/net/transport.h"

enum { WEFT_TLS_CERTIFICATES_MAX = 64, WEFT_TLS_WORDS = 400, WEFT_TLS_FINGERPRINT = 64 };

/* What went wrong with a file, for people: a line without a newline. */
typedef struct weft_tls_words {
    char text[WEFT_TLS_WORDS];
} weft_tls_words;

/* What a loop's TLS connections have come to. */
struct weft_tls_counts {
    uint64_t handshakes; /* completed; */
    uint64_t resumed;    /* of which by a ticket */
    uint64_t refused;    /* failed: no TLS, or not as we speak it, or a certificate that is not trusted */
    uint64_t slow;       /* given up: the handshake, or a record, took too long */
    uint64_t cut;        /* ended without being announced */
};

/* ---- contexts ---- */

/* The options are copied; no file is read yet. 0 or -ENOMEM. */
int weft_tls_server_new(weft_tls_context **ret_context, const weft_tls_options *options);

/* Reads its files: always, or if they have changed since they were last read. 1: they are in use from now on; 0: nothing
 * has changed; < 0, with words: the old ones stay, if there are any. From any thread; blocks for some milliseconds. */
int weft_tls_reload(weft_tls_context *context, bool only_if_changed, weft_tls_words *ret_words);

/* The loop's own client context, that trusts whom the system trusts; made at the first use. 0 or -errno, logged. */
int weft_tls_default_client(weft_loop *loop, weft_tls_context **ret_context);

/* The SHA-256 of the first certificate, in hexadecimal digits, with a NUL. */
void weft_tls_fingerprint(weft_tls_context *context, char ret_text[WEFT_TLS_FINGERPRINT + 1]);

/* ---- the filter ---- */

struct weft_tls_wrap_options {
    weft_tls_context *context; /* a server's, or a client's; it may be freed while t is open */
    const char *name, *alpn;   /* of a client: as in weft_tls_connect_options; borrowed until the call returns */
    weft_duration timeout;     /* of a client's handshake; 0: the context's */
};

/* Makes t one end of a TLS connection over a transport of its own. 0; -EINVAL for a name or protocol; -ENOMEM: then there is
 * nothing to abandon. t->is_open is false until the start. */
int weft_tls_wrap(weft_transport *t, weft_loop *loop, const weft_transport_events *events,
                  const struct weft_tls_wrap_options *options);

extern const weft_transport_events weft_tls_inner_events;
weft_transport *weft_tls_inner(const weft_transport *t);
weft_transport *weft_tls_outer(weft_transport *inner); /* the one that it is inside of */

/* The inner one is open, or connecting. A server's end waits for the client, from the first read_start on; a client's says
 * `connected` when the handshake is over, or why it is not. */
void weft_tls_start(weft_transport *t, bool is_connecting);

/* The inner one could not be opened. */
void weft_tls_abandon(weft_transport *t);

bool weft_tls_is(const weft_transport *t);

/* Why a client's end did not trust its peer: for people. Static; "" if that was not it. */
const char *weft_tls_verdict(const weft_transport *t);

/* What there is to know. The texts of OpenSSL are static or live as long as t is open; subject and fingerprint are written to
 * the caller's buffers, cut to fit. */
struct weft_tls_description {
    const char *version, *cipher, *server_name;
    bool has_certificate, is_verified, is_resumed;
    char subject[512], fingerprint[WEFT_TLS_FINGERPRINT + 1];
};

/* False before the handshake is over, or after the close. */
bool weft_tls_describe(const weft_transport *t, struct weft_tls_description *ret_description);

/* Of this loop; NULL when it has had no TLS. */
const struct weft_tls_counts *weft_tls_counts_of(const weft_loop *loop);

struct weft_net;
void weft_tls_close_loop(struct weft_net *net);

#endif
