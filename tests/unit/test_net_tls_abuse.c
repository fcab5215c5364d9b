/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Peers that keep to the letter of TLS to cost what they can: floods of records that come to nothing, answers that pile up. */
#include <stdio.h>

#include "lib/net/transport_tls.h"
#include "tests/unit/tls_pair.h"

/* ---- key updates ---- */

struct updating {
    weft_tls_filter *f;
    int kind;
};

static void send_update(void *arg)
{
    struct updating *call = arg;
    WEFT_CHECK(SSL_key_update(call->f->session.ssl, call->kind) == 1 && SSL_do_handshake(call->f->session.ssl) == 1);
    weft_tls_filter_flush(&call->f->session);
}

static void update_keys(probe *client, int kind)
{
    struct updating call = { weft_tls_filter_of(&client->t), kind };
    weft_on_loop_stack(send_update, &call);
}

static int test_keys_change(void)
{
    probe server, client;
    WEFT_TRY(open_ready(&server, &client, 65536));
    for (int i = 0; i < 3000; i++) {
        update_keys(&client, i % 2 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
        WEFT_CHECK(probe_send(&client, "x", 1) == 0 && probe_send(&server, "y", 1) == 0);
        if (i % 100 == 0)
            settle();
    }
    settle();
    WEFT_CHECK(server.got_size == 3000 && client.got_size == 3000 && server.errors + client.errors == 0);
    close_pair(&server, &client);
    return 0;
}

/* Each costs two derivations, and nothing comes of them: 32 KiB in a row are enough. */
static int test_flood_of_key_updates(void)
{
    enum { RECORD = 27, MOST = 32 * 1024 / RECORD };
    probe server, client;
    WEFT_TRY(open_ready(&server, &client, 65536));
    int n = 0;
    for (; n < 2 * MOST && server.errors == 0; n++) {
        update_keys(&client, SSL_KEY_UPDATE_NOT_REQUESTED);
        settle();
    }
    WEFT_CHECK(server.errors == 1 && server.error == WEFT_ETLS && n == MOST + 1);
    WEFT_CHECK(weft_tls_counts_of(weft_loop_here())->refused == 1);
    close_pair(&server, &client);
    return 0;
}

/* Updates that ask for one in return, by a peer that reads none of them; the bytes between make them no flood. */
static int test_answers_pile_up(void)
{
    enum { PIPE = 4096, ANSWERS = 16 * 1024 };
    probe server, client;
    size_t most = 0;
    WEFT_TRY(open_ready(&server, &client, PIPE));
    weft_transport_read_stop(&client.t);
    for (int i = 0; i < 5000 && server.errors == 0; i++) {
        update_keys(&client, SSL_KEY_UPDATE_REQUESTED);
        WEFT_CHECK(probe_send(&client, "x", 1) == 0);
        settle();
        if (weft_tls_inner(&server.t)->queued > most)
            most = weft_tls_inner(&server.t)->queued;
    }
    WEFT_CHECK(server.errors == 1 && server.error == WEFT_ETLS);
    WEFT_CHECK(most > ANSWERS - 100 && most < ANSWERS + 200);
    close_pair(&server, &client);

    WEFT_TRY(open_ready(&server, &client, PIPE)); /* who reads now and then may ask for hours */
    for (int i = 0; i < 5000; i++) {
        if (i % 300 == 299) {
            WEFT_CHECK(probe_send(&server, "y", 1) == 0);
            probe_read(&client);
        }
        update_keys(&client, SSL_KEY_UPDATE_REQUESTED);
        WEFT_CHECK(probe_send(&client, "x", 1) == 0);
        settle();
        if (i % 300 == 299)
            weft_transport_read_stop(&client.t);
    }
    WEFT_CHECK(server.errors == 0 && server.got_size == 5000);
    close_pair(&server, &client);
    return 0;
}

/* ---- empty records ---- */

/* The client's secret of 1.3, as OpenSSL tells it for debugging. */
static unsigned char secret[32];

static void note_secret(const SSL *ssl, const char *line)
{
    static const char label[] = "CLIENT_TRAFFIC_SECRET_0 ";
    (void)ssl;
    if (strncmp(line, label, sizeof label - 1) != 0)
        return;
    const char *hex = strrchr(line, ' ') + 1;
    for (size_t i = 0; i < sizeof secret; i++) {
        char two[3] = { hex[2 * i], hex[2 * i + 1], '\0' };
        secret[i] = (unsigned char)strtoul(two, NULL, 16);
    }
}

/* HKDF-Expand-Label (RFC 8446 §7.1) of the secret, without context, for a key of at most one block of the hash. */
static void derive(const char *label, unsigned char *ret_key, size_t size)
{
    unsigned char info[64], block[EVP_MAX_MD_SIZE];
    size_t got;
    int used = snprintf((char *)info, sizeof info, "%c%c%ctls13 %s", 0, (int)size, (int)(6 + strlen(label)), label);
    info[used++] = 0;
    info[used++] = 1; /* the first block */
    WEFT_CHECK(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, secret, sizeof secret, info, (size_t)used, block, sizeof block,
                         &got) != NULL);
    memcpy(ret_key, block, size);
}

/* The n-th record of the client's, of no content at all. */
static void seal_empty(unsigned char n, unsigned char ret_record[22])
{
    unsigned char key[16], iv[12];
    int size;
    derive("key", key, sizeof key);
    derive("iv", iv, sizeof iv);
    iv[11] ^= n;
    memcpy(ret_record, "\x17\x03\x03\x00\x11", 5);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    WEFT_CHECK(EVP_EncryptInit_ex(ctx, EVP_aes_128_gcm(), NULL, key, iv) == 1 &&
               EVP_EncryptUpdate(ctx, NULL, &size, ret_record, 5) == 1 &&
               EVP_EncryptUpdate(ctx, ret_record + 5, &size, (const unsigned char *)"\x17", 1) == 1 &&
               EVP_EncryptFinal_ex(ctx, ret_record + 6, &size) == 1 &&
               EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, ret_record + 6) == 1);
    EVP_CIPHER_CTX_free(ctx);
}

static int test_empty_records(void)
{
    probe server, client;
    weft_tls_context *ours = new_server(), *theirs = new_client();
    SSL_CTX_set_keylog_callback(theirs->setup->of[0].ctx, note_secret);
    WEFT_TRY(open_tls_with(&server, &client, 65536, ours, &(struct weft_tls_wrap_options){ .context = theirs }));
    probe_read(&server);
    probe_read(&client);
    settle();
    WEFT_CHECK(connects == 1 && connect_error == 0);
    unsigned char n = 0;
    for (; n < 200 && server.errors == 0; n++) {
        unsigned char record[22];
        seal_empty(n, record);
        WEFT_CHECK(weft_transport_send(weft_tls_inner(&client.t), &(struct iovec){ record, sizeof record }, 1) == 0);
        settle();
    }
    WEFT_CHECK(server.errors == 1 && server.error == WEFT_ETLS && n > 10 && n < 50 && server.inputs == 0);
    close_pair(&server, &client);
    weft_tls_context_free(ours);
    weft_tls_context_free(theirs);
    return 0;
}

/* ---- renegotiation ---- */

struct asking {
    weft_tls_filter *f;
    int result;
};

static void renegotiate(void *arg)
{
    struct asking *call = arg;
    SSL_set_options(call->f->session.ssl, SSL_OP_ALLOW_CLIENT_RENEGOTIATION);
    SSL_clear_options(call->f->session.ssl, SSL_OP_NO_RENEGOTIATION);
    call->result = SSL_renegotiate(call->f->session.ssl) == 1 ? SSL_do_handshake(call->f->session.ssl) : 0;
    weft_tls_filter_flush(&call->f->session);
    weft_tls_clear_errors();
}

/* Of 1.2: the server says no, by a warning; its own application data goes on. */
static int test_renegotiation(void)
{
    probe server, client;
    weft_tls_context *ours = new_server(), *theirs = new_client();
    WEFT_CHECK(SSL_CTX_set_max_proto_version(theirs->setup->of[0].ctx, TLS1_2_VERSION) == 1);
    WEFT_TRY(open_tls_with(&server, &client, 65536, ours, &(struct weft_tls_wrap_options){ .context = theirs }));
    probe_read(&server);
    probe_read(&client);
    settle();
    WEFT_CHECK(connects == 1 && connect_error == 0);
    struct asking call = { .f = weft_tls_filter_of(&client.t) };
    weft_on_loop_stack(renegotiate, &call);
    settle();
    WEFT_CHECK(call.result != 1 && weft_tls_counts_of(weft_loop_here())->handshakes == 2);
    WEFT_CHECK(client.errors == 1 && client.error == WEFT_ETLS); /* OpenSSL's client takes the warning for the end */
    close_pair(&server, &client);
    weft_tls_context_free(ours);
    weft_tls_context_free(theirs);
    return 0;
}

static const weft_test tests[] = {
    { .name = "keys change on both sides under data", .body = test_keys_change },
    { .name = "a flood of key updates", .body = test_flood_of_key_updates },
    { .name = "answers that nobody reads", .body = test_answers_pile_up },
    { .name = "empty records", .body = test_empty_records },
    { .name = "renegotiation", .body = test_renegotiation },
};

int main(int argc, char **argv)
{
    return weft_test_main(tests, COUNT(tests), argc, argv);
}
