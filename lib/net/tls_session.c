/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * OpenSSL is given a BIO of ours in place of a socket. Reading, it takes from what the caller has lent, and is told to come
 * again when that is used up; writing always succeeds, into the loop's output. So it holds neither ciphertext, except for a
 * record of which a part has come, nor a buffer while idle (SSL_MODE_RELEASE_BUFFERS), and its calls never have to be repeated
 * for the sake of output.
 *
 * The kernel's own TLS (kTLS) wants the socket itself to be the BIO, and all reading and writing to go through it. That is
 * neither possible over memory and in the middle of a buffer of input that was read already, nor worth it here: it saves the
 * copy into the kernel for files that are sent as they lie, and costs three system calls a connection.
 *
 * A peer can send records that come to nothing (key updates, each of which costs two derivations). BARREN_MOST bytes of them
 * in a row are enough.
 */
#include "lib/net/tls_session.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "lib/base/check.h"
#include "lib/base/memory.h"
#include "lib/base/sanitize.h"

enum {
    RECORD_HEAD = 5,
    BARREN_MOST = 32 * 1024,     /* bytes; a record is at most 16 KiB and a little */
    HANDSHAKE_MOST = 256 * 1024, /* the same in a handshake: OpenSSL's limits of each message are below it */
    NAME_MOST = 255,
};

/* ---- what a loop shares ---- */

static int bio_read(BIO *bio, char *buf, size_t size, size_t *ret_size);
static int bio_write(BIO *bio, const char *data, size_t size, size_t *ret_size);

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static int bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

static BIO_METHOD *new_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "weft");
    if (!method)
        return NULL;
    BIO_meth_set_read_ex(method, bio_read);
    BIO_meth_set_write_ex(method, bio_write);
    BIO_meth_set_ctrl(method, bio_ctrl);
    BIO_meth_set_create(method, bio_create);
    return method;
}

static void free_shared(struct weft_tls_loop *shared)
{
    if (shared->plain)
        SANITIZE_UNPOISON(shared->plain, WEFT_NET_INPUT);
    weft_mem_free(shared->plain);
    weft_mem_free(shared->gather);
    weft_mem_free(shared->output);
    BIO_meth_free(shared->method);
    weft_tls_context_free(shared->client);
    weft_mem_free(shared);
}

struct weft_tls_loop *weft_tls_loop_of(weft_loop *loop)
{
    weft_net *net = weft_net_of(loop);
    if (!net || net->tls)
        return net ? net->tls : NULL;
    struct weft_tls_loop *shared = weft_mem_calloc(1, sizeof *shared);
    if (!shared)
        return NULL;
    shared->plain = weft_mem_alloc(WEFT_NET_INPUT);
    shared->gather = weft_mem_alloc(WEFT_TLS_RECORD);
    shared->output = weft_mem_alloc(WEFT_TLS_OUTPUT);
    shared->method = new_method();
    if (!shared->plain || !shared->gather || !shared->output || !shared->method) {
        free_shared(shared);
        return NULL;
    }
    SANITIZE_POISON(shared->plain, WEFT_NET_INPUT);
    net->tls = shared;
    return shared;
}

void weft_tls_close_loop(weft_net *net)
{
    if (net->tls)
        free_shared(net->tls);
    net->tls = NULL;
}

int weft_tls_default_client(weft_loop *loop, weft_tls_context **ret_context)
{
    struct weft_tls_loop *shared = weft_tls_loop_of(loop);
    int rc = !shared ? -ENOMEM : shared->client ? 0 : weft_tls_client_new(&shared->client);
    if (rc == 0)
        *ret_context = shared->client;
    return rc;
}

const struct weft_tls_counts *weft_tls_counts_of(const weft_loop *loop)
{
    const weft_net *net = loop->net;
    return net && net->tls ? &net->tls->counts : NULL;
}

/* ---- the BIO ---- */

/* Keeps track of where records begin in what is taken. */
static void follow(weft_tls_session *s, const char *data, size_t size)
{
    while (size > 0) {
        if (s->body_left > 0) {
            size_t here = size < s->body_left ? size : s->body_left;
            s->body_left -= (uint32_t)here;
            data += here;
            size -= here;
            continue;
        }
        uint8_t byte = (uint8_t)*data++;
        size--;
        if (s->head_have == 0)
            s->records++;
        s->head_have++;
        if (s->head_have == RECORD_HEAD - 1) {
            s->size_high = byte;
        } else if (s->head_have == RECORD_HEAD) {
            s->body_left = (uint32_t)s->size_high << 8 | byte;
            s->head_have = 0;
        }
    }
}

static int bio_read(BIO *bio, char *buf, size_t size, size_t *ret_size)
{
    weft_tls_session *s = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (s->size == 0) {
        BIO_set_retry_read(bio);
        *ret_size = 0;
        return 0;
    }
    if (size > s->size)
        size = s->size;
    memcpy(buf, s->at, size);
    follow(s, s->at, size);
    s->at += size;
    s->size -= size;
    s->barren += size;
    *ret_size = size;
    return 1;
}

static int bio_write(BIO *bio, const char *data, size_t size, size_t *ret_size)
{
    weft_tls_session *s = BIO_get_data(bio);
    struct weft_tls_loop *shared = s->shared;
    BIO_clear_retry_flags(bio);
    if (shared->output_owner != s) {
        if (shared->output_owner)
            shared->output_owner->flush(shared->output_owner);
        shared->output_owner = s;
    }
    *ret_size = size;
    while (size > 0) {
        size_t here = WEFT_TLS_OUTPUT - shared->output_size;
        if (here > size)
            here = size;
        memcpy(shared->output + shared->output_size, data, here);
        shared->output_size += here;
        data += here;
        size -= here;
        if (shared->output_size == WEFT_TLS_OUTPUT) {
            s->flush(s);
            shared->output_owner = s;
        }
    }
    return 1;
}

/* ---- opening and closing ---- */

static int open_session(weft_tls_session *s, weft_tls_setup *setup)
{
    weft_tls_clear_errors();
    BIO *bio = BIO_new(s->shared->method);
    s->ssl = bio ? SSL_new(setup->of[0].ctx) : NULL;
    if (!s->ssl) {
        BIO_free(bio);
        return -ENOMEM;
    }
    BIO_set_data(bio, s);
    SSL_set_bio(s->ssl, bio, bio); /* takes it over */
    return 0;
}

int weft_tls_session_open_server(weft_tls_session *s, weft_tls_setup *setup)
{
    int rc = open_session(s, setup);
    if (rc == 0)
        SSL_set_accept_state(s->ssl);
    return rc;
}

static bool is_ip(const char *name)
{
    ASN1_OCTET_STRING *ip = a2i_IPADDRESS(name);
    ASN1_OCTET_STRING_free(ip);
    weft_tls_clear_errors();
    return ip != NULL;
}

/* The name that the certificate must have, and that the server is asked for. */
static int set_name(SSL *ssl, const char *name)
{
    char host[NAME_MOST + 1];
    size_t size = strlen(name);
    if (size == 0 || size > NAME_MOST || *name == '.') /* ".example.org" would be any name below that */
        return -EINVAL;
    if (name[size - 1] == '.')
        size--; /* the root's, which a look-up may need: neither asked for (RFC 6066 §3) nor in certificates */
    memcpy(host, name, size);
    host[size] = '\0';
    if (is_ip(host)) /* is not asked for (the same section) */
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1 ? 0 : -ENOMEM;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1 ? 0 : -ENOMEM;
}

static int set_alpn(SSL *ssl, const char *alpn)
{
    unsigned char wire[NAME_MOST + 1];
    size_t size = strlen(alpn);
    if (size == 0 || size > NAME_MOST)
        return -EINVAL;
    wire[0] = (unsigned char)size;
    memcpy(wire + 1, alpn, size);
    return SSL_set_alpn_protos(ssl, wire, (unsigned)size + 1) == 0 ? 0 : -ENOMEM; /* 0 is success here */
}

int weft_tls_session_open_client(weft_tls_session *s, weft_tls_setup *setup, const char *name, const char *alpn)
{
    int rc = open_session(s, setup);
    if (rc == 0 && name)
        rc = set_name(s->ssl, name);
    if (rc == 0 && alpn)
        rc = set_alpn(s->ssl, alpn);
    if (rc == 0)
        SSL_set_connect_state(s->ssl);
    else
        weft_tls_session_close(s);
    return rc;
}

void weft_tls_session_close(weft_tls_session *s)
{
    SSL_free(s->ssl); /* with its BIO */
    s->ssl = NULL;
    weft_tls_session_take_output(s); /* what has not been flushed is given up */
}

struct iovec weft_tls_session_take_output(weft_tls_session *s)
{
    struct weft_tls_loop *shared = s->shared;
    struct iovec part = { shared->output, 0 };
    if (shared->output_owner == s) {
        part.iov_len = shared->output_size;
        shared->output_size = 0;
        shared->output_owner = NULL;
    }
    return part;
}

/* ---- progress ---- */

static enum weft_tls_progress outcome(weft_tls_session *s, int rc)
{
    switch (SSL_get_error(s->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        return WEFT_TLS_MORE;
    case SSL_ERROR_ZERO_RETURN:
        return WEFT_TLS_END;
    default:
        return WEFT_TLS_FAILED;
    }
}

enum weft_tls_progress weft_tls_session_shake(weft_tls_session *s)
{
    weft_tls_clear_errors();
    int rc = SSL_do_handshake(s->ssl);
    if (rc == 1) {
        s->barren = 0;
        return WEFT_TLS_DONE;
    }
    enum weft_tls_progress progress = outcome(s, rc);
    if (SSL_get_verify_mode(s->ssl) != SSL_VERIFY_NONE) /* else it was not what made it fail */
        s->verdict = SSL_get_verify_result(s->ssl);
    if (progress == WEFT_TLS_MORE && s->barren <= HANDSHAKE_MOST)
        return WEFT_TLS_MORE;
    return WEFT_TLS_FAILED; /* an end in the middle too */
}

enum weft_tls_progress weft_tls_session_decrypt(weft_tls_session *s, size_t *ret_size)
{
    size_t size = 0;
    char *plain = s->shared->plain;
    enum weft_tls_progress progress = WEFT_TLS_DONE;
    weft_tls_clear_errors();
    SANITIZE_UNPOISON(plain, WEFT_NET_INPUT);
    while (WEFT_NET_INPUT - size >= WEFT_TLS_RECORD) {
        size_t got = 0;
        int rc = SSL_read_ex(s->ssl, plain + size, WEFT_NET_INPUT - size, &got);
        if (rc != 1) {
            progress = outcome(s, rc);
            break;
        }
        s->barren = 0;
        size += got;
        if (s->size == 0 && !SSL_has_pending(s->ssl)) { /* else it would be asked in vain, each time */
            progress = WEFT_TLS_MORE;
            break;
        }
    }
    *ret_size = size;
    return progress == WEFT_TLS_MORE && s->barren > BARREN_MOST ? WEFT_TLS_FAILED : progress;
}

bool weft_tls_session_encrypt(weft_tls_session *s, const char *data, size_t size)
{
    size_t written;
    DCHECK(size <= WEFT_TLS_SLICE);
    weft_tls_clear_errors();
    return SSL_write_ex(s->ssl, data, size, &written) == 1 && written == size;
}

void weft_tls_session_end(weft_tls_session *s)
{
    weft_tls_clear_errors();
    SSL_shutdown(s->ssl); /* 0 or 1: ours is said in any case; an error is found by the next call */
}

bool weft_tls_session_has_more(const weft_tls_session *s)
{
    return s->ssl && SSL_pending(s->ssl) > 0;
}

const char *weft_tls_session_words(void)
{
    const char *words = ERR_reason_error_string(ERR_peek_last_error());
    return words ? words : "it ended in the middle, or sent too much";
}
