/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The door to OpenSSL's TLS, and what the files behind it share. Nothing of OpenSSL is seen outside of them.
 *
 * OpenSSL keeps a queue of errors for each thread, in which one connection's would be found by the next: whoever calls it
 * clears the queue before, by weft_tls_clear_errors.
 */
#ifndef WEFT_LIB_NET_TLS_OPENSSL_H
#define WEFT_LIB_NET_TLS_OPENSSL_H

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "lib/net/tls.h"

/* What a context's files came to, at one time. */
typedef struct weft_tls_setup {
    atomic_int holds;
    weft_tls_context *context; /* held */
    size_t count;
    struct weft_tls_shown {
        SSL_CTX *ctx;
        unsigned char *ocsp; /* the response to staple; NULL: none */
        size_t ocsp_size;
        time_t ocsp_until; /* it is good until then; 0: it does not say */
    } of[];                /* one a certificate; a client's has one */
} weft_tls_setup;

enum { WEFT_TLS_TICKET_KEYS = 3 };

struct weft_tls_ticket_key {
    unsigned char name[16], cipher[32], mac[32];
    weft_duration made; /* 0: not yet */
};

struct weft_tls_tickets {
    pthread_mutex_t lock;
    struct weft_tls_ticket_key keys[WEFT_TLS_TICKET_KEYS]; /* the present one first */
};

/* A file as it was when it was read. */
struct weft_tls_stamp {
    uint64_t inode, size;
    int64_t changed; /* nanoseconds */
};

#define WEFT_TLS_CONTEXT_MAGIC 0x715c0e87u

struct weft_tls_context {
    unsigned magic;
    bool is_client;
    atomic_int holds;
    weft_tls_options options; /* texts are the context's own */
    X509 *made;               /* self-signed */
    EVP_PKEY *made_key;
    struct weft_tls_tickets tickets;
    pthread_mutex_t reload_lock; /* over the stamps, and one reload at a time */
    struct weft_tls_stamp *stamps;
    pthread_mutex_t lock;  /* over `setup` */
    weft_tls_setup *setup; /* held */
};

static inline void weft_tls_clear_errors(void)
{
    if (ERR_peek_error())
        ERR_clear_error();
}

/* The present setup, held. */
weft_tls_setup *weft_tls_take_setup(weft_tls_context *context);
void weft_tls_release_setup(weft_tls_setup *setup);

/* Has SSL_CTX issue and take tickets with the keys of `tickets`, which live as long. */
void weft_tls_tickets_init(struct weft_tls_tickets *tickets);
void weft_tls_tickets_close(struct weft_tls_tickets *tickets);
void weft_tls_use_tickets(SSL_CTX *ctx);

/* ---- certificates (tls_certificate.c) ---- */

/* Loads a certificate with its key into ctx. 0, or -errno with words. */
int weft_tls_load(SSL_CTX *ctx, const weft_tls_certificate *files, weft_tls_words *ret_words);

/* Has it staple the response in a file, for clients that ask. 0, or -errno with words. */
int weft_tls_load_ocsp(struct weft_tls_shown *shown, const char *path, weft_tls_words *ret_words);

/* Trusts the certificates in a file: NULL is what the system trusts. 0, or -errno with words. */
int weft_tls_load_trust(SSL_CTX *ctx, const char *path, weft_tls_words *ret_words);

/* A certificate for localhost, good for 30 days. 0 or -ENOMEM. */
int weft_tls_make_certificate(X509 **ret_cert, EVP_PKEY **ret_key);

void weft_tls_fingerprint_of(const X509 *cert, char ret_text[WEFT_TLS_FINGERPRINT + 1]);

#endif
