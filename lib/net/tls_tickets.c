/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Session tickets: what a client gives back to go on without a full handshake, sealed with keys that only we have.
 *
 * The keys are made in memory and shared by all threads of the context; a reload of certificates leaves them alone. They are
 * replaced every KEY_TIME and taken for two more, so a stolen key opens the tickets of a few hours. A ticket that fits no key
 * is no error: the handshake is a full one. The lock is held for a copy of a key; it is on the way of a handshake, never of a
 * request.
 */
#include <string.h>

#include "lib/base/clock.h"
#include "lib/net/tls_openssl.h"

static const weft_duration KEY_TIME = WEFT_HOUR;

void weft_tls_tickets_init(struct weft_tls_tickets *tickets)
{
    memset(tickets->keys, 0, sizeof tickets->keys);
    pthread_mutex_init(&tickets->lock, NULL);
}

void weft_tls_tickets_close(struct weft_tls_tickets *tickets)
{
    OPENSSL_cleanse(tickets->keys, sizeof tickets->keys);
    pthread_mutex_destroy(&tickets->lock);
}

static bool is_alive(const struct weft_tls_ticket_key *key, weft_duration now)
{
    return key->made && now - key->made < WEFT_TLS_TICKET_KEYS * KEY_TIME;
}

/* The key to seal with, made anew if its time has come. */
static bool present_key(struct weft_tls_tickets *tickets, struct weft_tls_ticket_key *ret_key)
{
    weft_duration now = weft_clock_monotonic();
    struct weft_tls_ticket_key *keys = tickets->keys;
    bool is_good = true;
    pthread_mutex_lock(&tickets->lock);
    if (!keys[0].made || now - keys[0].made >= KEY_TIME) {
        struct weft_tls_ticket_key made = { .made = now };
        is_good = RAND_bytes(made.name, sizeof made.name) == 1 && RAND_priv_bytes(made.cipher, sizeof made.cipher) == 1 &&
                  RAND_priv_bytes(made.mac, sizeof made.mac) == 1;
        if (is_good) {
            memmove(keys + 1, keys, (WEFT_TLS_TICKET_KEYS - 1) * sizeof *keys);
            keys[0] = made;
        }
        OPENSSL_cleanse(&made, sizeof made);
    }
    *ret_key = keys[0];
    pthread_mutex_unlock(&tickets->lock);
    return is_good;
}

/* The key of that name. *ret_renews: it is not the one to seal with any more. */
static bool find_key(struct weft_tls_tickets *tickets, const unsigned char *name, struct weft_tls_ticket_key *ret_key,
                     bool *ret_renews)
{
    weft_duration now = weft_clock_monotonic();
    bool is_found = false;
    pthread_mutex_lock(&tickets->lock);
    for (int i = 0; i < WEFT_TLS_TICKET_KEYS && !is_found; i++) {
        const struct weft_tls_ticket_key *key = &tickets->keys[i];
        if (!is_alive(key, now) || memcmp(key->name, name, sizeof key->name) != 0)
            continue;
        *ret_key = *key;
        *ret_renews = i > 0 || now - key->made >= KEY_TIME;
        is_found = true;
    }
    pthread_mutex_unlock(&tickets->lock);
    return is_found;
}

static bool set_up(const struct weft_tls_ticket_key *key, const unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                   int seals)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)key->mac, sizeof key->mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)(uintptr_t) "SHA256", 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv, seals) == 1 &&
           EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* What OpenSSL asks for: 1 goes on, 2 as well and issues a new ticket, 0 there is no such key, -1 an error. By 1.3 there is
 * always a new one, for its clients use a ticket once (RFC 8446 C.4): else every second connection would be a full one. */
static int give_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seals)
{
    const weft_tls_setup *setup = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    struct weft_tls_tickets *tickets = &setup->context->tickets;
    struct weft_tls_ticket_key key;
    bool renews = false;
    if (seals) {
        if (!present_key(tickets, &key) || RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1)
            return -1;
        memcpy(name, key.name, sizeof key.name);
    } else if (!find_key(tickets, name, &key, &renews)) {
        return 0;
    }
    bool is_good = set_up(&key, iv, cipher, mac, seals);
    OPENSSL_cleanse(&key, sizeof key);
    return !is_good ? -1 : renews || SSL_version(ssl) == TLS1_3_VERSION ? 2 : 1;
}

void weft_tls_use_tickets(SSL_CTX *ctx)
{
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, give_key);
    SSL_CTX_set_timeout(ctx, (long)(2 * KEY_TIME / WEFT_SECOND));
    SSL_CTX_set_num_tickets(ctx, 1); /* of 1.3: one is enough to come back, and each costs as much as a small reply */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets alone: nothing is kept here */
}
