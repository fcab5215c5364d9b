/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * One end of a TLS connection without its input and output: ciphertext in, ciphertext out, by OpenSSL.
 *
 * What comes in is lent by the caller (`at`, `size`) and taken a record at a time; what goes out is gathered in the loop's
 * buffer, and `flush` is called when that is full, before another session's output, and when the caller asks. All of this runs
 * on the loop's stack.
 */
#ifndef WEFT_LIB_NET_TLS_SESSION_H
#define WEFT_LIB_NET_TLS_SESSION_H

#include "lib/net/net.h"
#include "lib/net/tls_openssl.h"

enum {
    WEFT_TLS_RECORD = 16 * 1024,                 /* plaintext of a record, at most */
    WEFT_TLS_SLICE = 4 * WEFT_TLS_RECORD,        /* plaintext that is encrypted in one go, at most */
    WEFT_TLS_OUTPUT = WEFT_TLS_SLICE + 4 * 1024, /* the same as records */
};

/* What the TLS connections of a loop share, made when the first of them begins. */
struct weft_tls_loop {
    char *plain;  /* WEFT_NET_INPUT bytes of input, decrypted; poisoned while no input event is delivered */
    char *gather; /* WEFT_TLS_RECORD bytes of output, to be one record */
    char *output; /* WEFT_TLS_OUTPUT bytes of ciphertext, */
    size_t output_size;
    struct weft_tls_session *output_owner; /* whose it is; another one's flushes it first; NULL while it is empty */
    BIO_METHOD *method;
    weft_tls_context *client; /* that trusts whom the system trusts; NULL until it is needed */
    struct weft_tls_counts counts;
};

/* NULL when memory is out. */
struct weft_tls_loop *weft_tls_loop_of(weft_loop *loop);

enum weft_tls_progress {
    WEFT_TLS_MORE,   /* it needs more input */
    WEFT_TLS_DONE,   /* the handshake is over; as much plaintext has been made as there is room for */
    WEFT_TLS_END,    /* the peer has announced its end */
    WEFT_TLS_FAILED, /* and, if it can, has put an alert into the output */
};

typedef struct weft_tls_session {
    SSL *ssl; /* NULL until the first byte of a client has come */
    struct weft_tls_loop *shared;
    const char *at; /* ciphertext, lent: `size` bytes from here on */
    size_t size;
    void (*flush)(struct weft_tls_session *session);
    size_t barren;      /* bytes taken since anything came of them */
    uint32_t body_left; /* of the record that is being read, */
    uint8_t head_have;  /* or of its five bytes of head these have come, */
    uint8_t size_high;  /* the first of its size's bytes among them */
    uint32_t records;   /* begun so far; wraps */
    long verdict;       /* of the peer's certificate */
} weft_tls_session;

/* 0, -EINVAL (a name or protocol that cannot be sent), -ENOMEM. */
int weft_tls_session_open_server(weft_tls_session *s, weft_tls_setup *setup);
int weft_tls_session_open_client(weft_tls_session *s, weft_tls_setup *setup, const char *name, const char *alpn);
void weft_tls_session_close(weft_tls_session *s);

/* What `flush` has to send: the loop's output as far as it is this session's. Valid until the next call. */
struct iovec weft_tls_session_take_output(weft_tls_session *s);

/* Goes on with the handshake: MORE, DONE or FAILED. */
enum weft_tls_progress weft_tls_session_shake(weft_tls_session *s);

/* Decrypts into the loop's `plain`. *ret_size bytes of it have been made, whatever it returns. */
enum weft_tls_progress weft_tls_session_decrypt(weft_tls_session *s, size_t *ret_size);

/* Encrypts at most WEFT_TLS_SLICE bytes into the output. False if it failed. */
bool weft_tls_session_encrypt(weft_tls_session *s, const char *data, size_t size);

/* Announces our end. */
void weft_tls_session_end(weft_tls_session *s);

/* Has a part of a record been taken? */
static inline bool weft_tls_session_is_partial(const weft_tls_session *s)
{
    return s->head_have > 0 || s->body_left > 0;
}

/* Is there plaintext that has been decrypted, and not been asked for? */
bool weft_tls_session_has_more(const weft_tls_session *s);

/* Once the handshake is over. */
void weft_tls_session_describe(const weft_tls_session *s, struct weft_tls_description *ret_description);

/* Why the last call failed, in OpenSSL's words. Static. */
const char *weft_tls_session_words(void);

#endif
