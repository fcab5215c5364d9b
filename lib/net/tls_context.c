/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Contexts: what a server shows and whom a client trusts, shared by the connections of all threads.
 *
 * All that comes from files is one setup, made whole before it is used and never changed afterwards. A reload makes another
 * and puts it in the place of the first; each connection holds the setup that it began with, and the last one frees it. So the
 * lock is held for two instructions at the beginning of a connection, and a certificate is changed under load without one of
 * them noticing.
 *
 * The choices for TLS itself are here too, in `new_server`: 1.2 and 1.3, ciphers with forward secrecy and authenticated
 * encryption only, no renegotiation, no compression, no early data (which can be replayed).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/check.h"
#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "lib/net/tls_openssl.h"

/* In the order of preference: AES of 128 bits is as good as it needs to be, and faster. A client without AES in hardware asks
 * for ChaCha first, and gets it. */
static const char CIPHERS_1_3[] = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
static const char CIPHERS_1_2[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
                                  "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
static const char GROUPS[] = "X25519:P-256:P-384";

enum { SECURITY_LEVEL = 2 }; /* of OpenSSL: 112 bits, so RSA from 2048 */

static int out_of_memory(weft_tls_words *words)
{
    snprintf(words->text, sizeof words->text, "out of memory");
    weft_tls_clear_errors();
    return -ENOMEM;
}

/* ---- what both sides have ---- */

static SSL_CTX *new_ctx(const SSL_METHOD *method)
{
    SSL_CTX *ctx = SSL_CTX_new(method);
    if (!ctx)
        return NULL;
    SSL_CTX_set_security_level(ctx, SECURITY_LEVEL);
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ctx, 0); /* exactly a record at a time is taken from the input */
    if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 && SSL_CTX_set_ciphersuites(ctx, CIPHERS_1_3) == 1 &&
        SSL_CTX_set_cipher_list(ctx, CIPHERS_1_2) == 1 && SSL_CTX_set1_groups_list(ctx, GROUPS) == 1)
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

static weft_tls_setup *new_setup(weft_tls_context *context, size_t count)
{
    weft_tls_setup *setup = weft_mem_calloc(1, sizeof *setup + count * sizeof setup->of[0]);
    if (!setup)
        return NULL;
    atomic_init(&setup->holds, 1);
    setup->context = context;
    setup->count = count;
    atomic_fetch_add(&context->holds, 1);
    return setup;
}

weft_tls_setup *weft_tls_take_setup(weft_tls_context *context)
{
    pthread_mutex_lock(&context->lock);
    weft_tls_setup *setup = context->setup;
    atomic_fetch_add_explicit(&setup->holds, 1, memory_order_relaxed);
    pthread_mutex_unlock(&context->lock);
    return setup;
}

static void release_context(weft_tls_context *context);

void weft_tls_release_setup(weft_tls_setup *setup)
{
    if (!setup || atomic_fetch_sub(&setup->holds, 1) > 1)
        return;
    for (size_t i = 0; i < setup->count; i++) {
        SSL_CTX_free(setup->of[i].ctx);
        weft_mem_free(setup->of[i].ocsp);
    }
    weft_tls_context *context = setup->context;
    weft_mem_free(setup);
    release_context(context);
}

/* ---- what a server decides in the handshake ---- */

static int choose_protocol(SSL *ssl, const unsigned char **ret_name, unsigned char *ret_size, const unsigned char *offered,
                           unsigned offered_size, void *context)
{
    static const unsigned char ours[] = "\x08http/1.1\x08http/1.0";
    (void)ssl;
    (void)context;
    unsigned char *name;
    if (SSL_select_next_proto(&name, ret_size, ours, sizeof ours - 1, offered, offered_size) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL; /* RFC 7301 §3.2; what is meant for another protocol is not taken for HTTP */
    *ret_name = name;
    return SSL_TLSEXT_ERR_OK;
}

/* The first certificate that is for the name; else the first. */
static int choose_certificate(SSL *ssl, int *alert, void *arg)
{
    const weft_tls_setup *setup = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    (void)alert;
    for (size_t i = 0; name && i < setup->count; i++) {
        X509 *cert = SSL_CTX_get0_certificate(setup->of[i].ctx);
        if (X509_check_host(cert, name, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) != 1)
            continue;
        if (i > 0)
            SSL_set_SSL_CTX(ssl, setup->of[i].ctx);
        break;
    }
    return SSL_TLSEXT_ERR_OK; /* without a name we would not say that we have heard it */
}

/* With an optional certificate: lets all in, and leaves the result to be asked for. */
static int let_in(int is_good, X509_STORE_CTX *store)
{
    (void)is_good;
    (void)store;
    return 1;
}

static int ask_clients(SSL_CTX *ctx, const weft_tls_options *o, weft_tls_words *words)
{
    if (o->client_auth == WEFT_TLS_NO_CLIENT_CERTIFICATE)
        return 0;
    int rc = weft_tls_load_trust(ctx, o->client_ca_file, words);
    if (rc < 0)
        return rc;
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(o->client_ca_file);
    if (!names)
        return out_of_memory(words);
    SSL_CTX_set_client_CA_list(ctx, names); /* takes it over */
    if (o->client_auth == WEFT_TLS_CLIENT_CERTIFICATE_REQUIRED)
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    else
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, let_in);
    return 0;
}

/* Sessions are only taken up by who asks clients the same: else a ticket would get round a new client_ca_file. */
static bool set_session_scope(SSL_CTX *ctx, const weft_tls_options *o)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool is_good = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
                   EVP_DigestUpdate(md, &o->client_auth, sizeof o->client_auth) == 1;
    FILE *in = is_good && o->client_ca_file ? fopen(o->client_ca_file, "re") : NULL;
    if (in) {
        char buf[4096];
        size_t got;
        while (is_good && (got = fread(buf, 1, sizeof buf, in)) > 0)
            is_good = EVP_DigestUpdate(md, buf, got) == 1;
        fclose(in);
    }
    is_good = is_good && EVP_DigestFinal_ex(md, digest, &size) == 1 && SSL_CTX_set_session_id_context(ctx, digest, size) == 1;
    EVP_MD_CTX_free(md);
    return is_good;
}

/* ---- a server's setup ---- */

static int show_certificate(weft_tls_context *context, struct weft_tls_shown *shown, size_t i, weft_tls_words *words)
{
    const weft_tls_options *o = &context->options;
    if (i == o->certificate_count) /* the one made in memory comes last */
        return SSL_CTX_use_certificate(shown->ctx, context->made) == 1 &&
                       SSL_CTX_use_PrivateKey(shown->ctx, context->made_key) == 1
                   ? 0
                   : out_of_memory(words);
    const weft_tls_certificate *files = &o->certificates[i];
    int rc = weft_tls_load(shown->ctx, files, words);
    return rc == 0 && files->ocsp_file ? weft_tls_load_ocsp(shown, files->ocsp_file, words) : rc;
}

static int new_server(weft_tls_context *context, weft_tls_setup *setup, size_t i, weft_tls_words *words)
{
    struct weft_tls_shown *shown = &setup->of[i];
    SSL_CTX *ctx = shown->ctx = new_ctx(TLS_server_method());
    if (!ctx)
        return out_of_memory(words);
    SSL_CTX_set_app_data(ctx, setup);
    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
    SSL_CTX_set_tlsext_servername_callback(ctx, choose_certificate);
    SSL_CTX_set_tlsext_servername_arg(ctx, setup);
    weft_tls_use_tickets(ctx);
    if (!set_session_scope(ctx, &context->options))
        return out_of_memory(words);
    int rc = ask_clients(ctx, &context->options, words);
    return rc < 0 ? rc : show_certificate(context, shown, i, words);
}

static int make_server_setup(weft_tls_context *context, weft_tls_setup **ret_setup, weft_tls_words *words)
{
    size_t count = context->options.certificate_count + (context->made != NULL);
    weft_tls_setup *setup = new_setup(context, count);
    if (!setup)
        return out_of_memory(words);
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = new_server(context, setup, i, words);
    if (rc < 0)
        weft_tls_release_setup(setup);
    else
        *ret_setup = setup;
    return rc;
}

/* ---- files that change ---- */

enum { FILES_A_CERTIFICATE = 3 };

static size_t file_count(const weft_tls_context *context)
{
    return context->options.certificate_count * FILES_A_CERTIFICATE + 1;
}

static const char *file_at(const weft_tls_context *context, size_t i)
{
    if (i == context->options.certificate_count * FILES_A_CERTIFICATE)
        return context->options.client_ca_file;
    const weft_tls_certificate *files = &context->options.certificates[i / FILES_A_CERTIFICATE];
    const char *const names[FILES_A_CERTIFICATE] = { files->cert_file, files->key_file, files->ocsp_file };
    return names[i % FILES_A_CERTIFICATE];
}

/* Takes note of the files as they are; were they different before? */
static bool stamp_files(weft_tls_context *context)
{
    bool has_changed = false;
    for (size_t i = 0; i < file_count(context); i++) {
        struct stat file;
        struct weft_tls_stamp stamp = { 0 };
        const char *path = file_at(context, i);
        if (path && stat(path, &file) == 0)
            stamp = (struct weft_tls_stamp){ .inode = file.st_ino,
                                             .size = (uint64_t)file.st_size,
                                             .changed = file.st_ctim.tv_sec * WEFT_SECOND + file.st_ctim.tv_nsec };
        has_changed = has_changed || memcmp(&stamp, &context->stamps[i], sizeof stamp) != 0;
        context->stamps[i] = stamp;
    }
    return has_changed;
}

/* Is it no fault of the files? Then they are tried again, though they do not change. */
static bool is_passing(int rc)
{
    return rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE || rc == -EIO;
}

int weft_tls_reload(weft_tls_context *context, bool only_if_changed, weft_tls_words *ret_words)
{
    IS_A(context, WEFT_TLS_CONTEXT_MAGIC);
    weft_tls_setup *setup, *former = NULL;
    pthread_mutex_lock(&context->reload_lock);
    bool has_changed = stamp_files(context); /* before they are read: what changes meanwhile is seen the next time */
    int rc = has_changed || !only_if_changed ? make_server_setup(context, &setup, ret_words) : 1;
    if (rc == 0) {
        pthread_mutex_lock(&context->lock);
        former = context->setup;
        context->setup = setup;
        pthread_mutex_unlock(&context->lock);
    }
    if (is_passing(rc))
        memset(context->stamps, 0, file_count(context) * sizeof *context->stamps);
    pthread_mutex_unlock(&context->reload_lock);
    weft_tls_release_setup(former);
    return rc < 0 ? rc : rc == 0;
}

/* ---- making and freeing ---- */

static void free_texts(weft_tls_context *context)
{
    weft_tls_options *o = &context->options;
    for (size_t i = 0; i < o->certificate_count; i++) {
        weft_mem_free((void *)(uintptr_t)o->certificates[i].cert_file);
        weft_mem_free((void *)(uintptr_t)o->certificates[i].key_file);
        weft_mem_free((void *)(uintptr_t)o->certificates[i].ocsp_file);
    }
    weft_mem_free((void *)(uintptr_t)o->certificates);
    weft_mem_free((void *)(uintptr_t)o->client_ca_file);
}

static void release_context(weft_tls_context *context)
{
    if (atomic_fetch_sub(&context->holds, 1) > 1)
        return;
    context->magic = 0;
    free_texts(context);
    X509_free(context->made);
    EVP_PKEY_free(context->made_key);
    weft_tls_tickets_close(&context->tickets);
    pthread_mutex_destroy(&context->reload_lock);
    pthread_mutex_destroy(&context->lock);
    weft_mem_free(context->stamps);
    weft_mem_free(context);
}

void weft_tls_context_free(weft_tls_context *context)
{
    if (!context)
        return;
    IS_A(context, WEFT_TLS_CONTEXT_MAGIC);
    weft_tls_setup *setup = context->setup;
    context->setup = NULL;
    weft_tls_release_setup(setup);
    release_context(context);
}

static weft_tls_context *new_context(bool is_client)
{
    weft_tls_context *context = weft_mem_calloc(1, sizeof *context);
    if (!context)
        return NULL;
    context->magic = WEFT_TLS_CONTEXT_MAGIC;
    context->is_client = is_client;
    atomic_init(&context->holds, 1);
    pthread_mutex_init(&context->lock, NULL);
    pthread_mutex_init(&context->reload_lock, NULL);
    weft_tls_tickets_init(&context->tickets);
    return context;
}

static bool copy_text(const char **ret_copy, const char *text)
{
    if (!text)
        return true;
    size_t size = strlen(text) + 1;
    char *copy = weft_mem_alloc(size);
    *ret_copy = copy ? memcpy(copy, text, size) : NULL;
    return copy != NULL;
}

static bool copy_options(weft_tls_context *context, const weft_tls_options *from)
{
    weft_tls_options *o = &context->options;
    weft_tls_certificate *certificates = weft_mem_calloc(from->certificate_count + 1, sizeof *certificates);
    if (!certificates)
        return false;
    *o = *from;
    o->certificates = certificates;
    o->client_ca_file = NULL;
    bool is_good = copy_text(&o->client_ca_file, from->client_ca_file);
    for (size_t i = 0; i < o->certificate_count; i++)
        is_good = is_good && copy_text(&certificates[i].cert_file, from->certificates[i].cert_file) &&
                  copy_text(&certificates[i].key_file, from->certificates[i].key_file) &&
                  copy_text(&certificates[i].ocsp_file, from->certificates[i].ocsp_file);
    context->stamps = weft_mem_calloc(file_count(context), sizeof *context->stamps);
    return is_good && context->stamps;
}

int weft_tls_server_new(weft_tls_context **ret_context, const weft_tls_options *options)
{
    weft_tls_context *context = new_context(false);
    if (!context)
        return -ENOMEM;
    if (!copy_options(context, options) ||
        (options->self_signed && weft_tls_make_certificate(&context->made, &context->made_key) < 0)) {
        weft_tls_context_free(context);
        return -ENOMEM;
    }
    *ret_context = context;
    return 0;
}

void weft_tls_fingerprint(weft_tls_context *context, char ret_text[WEFT_TLS_FINGERPRINT + 1])
{
    weft_tls_setup *setup = weft_tls_take_setup(context);
    weft_tls_fingerprint_of(SSL_CTX_get0_certificate(setup->of[0].ctx), ret_text);
    weft_tls_release_setup(setup);
}

/* ---- a client's ---- */

static int set_up_client(SSL_CTX *ctx, const weft_tls_client_options *o, weft_tls_words *words)
{
    SSL_CTX_set_verify(ctx, o->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    int rc = o->insecure ? 0 : weft_tls_load_trust(ctx, o->ca_file, words);
    if (rc == 0 && o->cert_file)
        rc = weft_tls_load(ctx, &(weft_tls_certificate){ .cert_file = o->cert_file, .key_file = o->key_file }, words);
    return rc;
}

struct making {
    const weft_tls_client_options *options;
    weft_tls_context *context;
    int rc;
};

static void make_client(void *arg)
{
    struct making *call = arg;
    const weft_tls_client_options *o = call->options;
    weft_tls_words words = { "a certificate needs its key, and a key its certificate" };
    call->rc = !o->cert_file == !o->key_file ? 0 : -EINVAL;
    weft_tls_context *context = call->rc == 0 ? new_context(true) : NULL;
    if (context) {
        context->setup = new_setup(context, 1);
        SSL_CTX *ctx = context->setup ? context->setup->of[0].ctx = new_ctx(TLS_client_method()) : NULL;
        call->rc = ctx ? set_up_client(ctx, o, &words) : out_of_memory(&words);
    } else if (call->rc == 0) {
        call->rc = out_of_memory(&words);
    }
    if (call->rc == 0) {
        call->context = context;
        return;
    }
    weft_log(WEFT_LOG_ERROR, "TLS: %s", words.text);
    weft_tls_context_free(context);
}

int weft_tls_client_new_with(weft_tls_context **ret_context, const weft_tls_client_options *given)
{
    weft_tls_client_options o = { 0 };
    memcpy(&o, given, given->struct_size < sizeof o ? given->struct_size : sizeof o);
    struct making call = { .options = &o };
    weft_on_loop_stack(make_client, &call); /* OpenSSL reads its own files too, deep down */
    if (call.rc == 0)
        *ret_context = call.context;
    return call.rc;
}
