/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* What a session can tell about itself and its peer. */
#include <stdio.h>

#include "lib/net/tls_session.h"

static void describe_certificate(struct weft_tls_description *d, const SSL *ssl)
{
    X509 *cert = SSL_get0_peer_certificate(ssl);
    if (!cert)
        return;
    d->has_certificate = true;
    d->is_verified = SSL_get_verify_result(ssl) == X509_V_OK;
    weft_tls_fingerprint_of(cert, d->fingerprint);
    BIO *out = BIO_new(BIO_s_mem());
    if (out && X509_NAME_print_ex(out, X509_get_subject_name(cert), 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0) {
        char *text = NULL;
        long size = BIO_get_mem_data(out, &text);
        snprintf(d->subject, sizeof d->subject, "%.*s", (int)size, text ? text : "");
    }
    BIO_free(out);
}

void weft_tls_session_describe(const weft_tls_session *s, struct weft_tls_description *ret_description)
{
    *ret_description = (struct weft_tls_description){
        .version = SSL_get_version(s->ssl),
        .cipher = SSL_get_cipher_name(s->ssl),
        .server_name = SSL_get_servername(s->ssl, TLSEXT_NAMETYPE_host_name),
        .is_resumed = SSL_session_reused(s->ssl) == 1,
    };
    weft_tls_clear_errors();
    describe_certificate(ret_description, s->ssl);
}
