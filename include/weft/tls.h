/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * TLS: HTTPS for an app, and streams to servers that speak TLS.
 *
 *     static const weft_tls_certificate mine[] = { { .cert_file = "chain.pem", .key_file = "key.pem" } };
 *     weft_app_tls(app, .certificates = mine, .certificate_count = 1);          // or --tls-cert F --tls-key F
 *
 * Then every address the app listens on speaks TLS 1.2 or 1.3, but for those written with "http://" before them; "redirect://"
 * listens for plain HTTP and sends every client to the same place under https. Handlers are the same; weft_request_tls tells
 * what there is to know about the connection.
 *
 * Of several certificates the first whose names fit what the client asks for (SNI) is shown, and the first one if none does.
 * Files are read again at SIGHUP, and when they change; connections that are open keep what they have. New files that cannot
 * be used are named in the log, and the old ones stay.
 *
 * The client's side verifies, unless it is told not to:
 *
 *     weft_stream *s;
 *     WEFT_TRY(weft_tls_connect(&s, "192.0.2.7:443", .name = "example.org"));
 *
 * Errors of TLS are WEFT_ETLS (the peer does not speak it, or not as we do) and WEFT_ECERTIFICATE (its certificate is not
 * trusted, or is for another name). An end of input that was not announced by TLS (close_notify) is -ECONNRESET: somebody in
 * between may have cut it.
 */
#ifndef WEFT_TLS_H
#define WEFT_TLS_H

#include <weft/request.h>
#include <weft/stream.h>
#include <weft/time.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- serving ---- */

/* A certificate, with those of its issuers behind it, and its key: PEM, the key without a passphrase, RSA of at least 2048
 * bits or an elliptic curve of at least 224. `ocsp_file`: an OCSP response (DER) to staple to it, or NULL. */
typedef struct weft_tls_certificate {
    const char *cert_file, *key_file, *ocsp_file;
} weft_tls_certificate;

enum weft_tls_client_auth {
    WEFT_TLS_NO_CLIENT_CERTIFICATE,
    WEFT_TLS_CLIENT_CERTIFICATE_OPTIONAL, /* asked for; one that does not verify is let in, and weft_request_tls says so */
    WEFT_TLS_CLIENT_CERTIFICATE_REQUIRED, /* no connection without one that verifies */
};

typedef struct weft_tls_options {
    size_t struct_size;
    const weft_tls_certificate *certificates; /* copied */
    size_t certificate_count;
    bool self_signed; /* for development: a certificate for localhost, made in memory; its fingerprint is logged */
    enum weft_tls_client_auth client_auth;
    const char *client_ca_file;      /* PEM: who may sign certificates of clients; copied; needed with client_auth */
    weft_duration handshake_timeout; /* (10 s) */
    weft_duration record_timeout;    /* a record of which only a part has come (30 s) */
    weft_duration hsts;              /* Strict-Transport-Security with this max-age on each reply over TLS (none) */
} weft_tls_options;

/* Has the app speak TLS. Before it serves. The files are read when it begins to serve: what is wrong with them is one logged
 * line then. 0; -EINVAL, with a logged line, for no certificate, more than 64, or client_auth without a client_ca_file;
 * -ENOMEM. */
WEFT_API int weft_app_tls_with(weft_app *app, const weft_tls_options *options);
#define weft_app_tls(app, ...)                                                                                                 \
    weft_app_tls_with((app), &(weft_tls_options){ .struct_size = sizeof(weft_tls_options), __VA_ARGS__ })

/* What a connection is, in texts of the request's arena. */
typedef struct weft_tls_info {
    const char *version, *cipher;   /* "TLSv1.3", "TLS_AES_128_GCM_SHA256" */
    const char *server_name;        /* that the client asked for; NULL: none */
    const char *client_subject;     /* of its certificate, as RFC 2253 writes it, "CN=ann,O=example"; NULL: it showed none */
    const char *client_fingerprint; /* SHA-256 of its certificate, 64 hexadecimal digits; NULL: it showed none */
    bool client_verified;           /* it showed one that is signed by client_ca_file's, and is valid now */
    bool is_resumed;                /* by a ticket of an earlier connection */
} weft_tls_info;

/* 0; -ENOENT when the request did not come by TLS, or its connection has been closed; -ENOMEM. */
WEFT_API int weft_request_tls(weft_request *req, weft_tls_info *ret_info);

/* "https" or "http". Static. */
WEFT_API const char *weft_request_scheme(const weft_request *req);

/* ---- connecting ---- */

/* Whom to trust, and what to show: for any number of connections, of any thread. */
typedef struct weft_tls_context weft_tls_context;

typedef struct weft_tls_client_options {
    size_t struct_size;
    const char *ca_file;              /* PEM: who is trusted, in place of those that the system trusts */
    const char *cert_file, *key_file; /* PEM: what to show to servers that ask; both, or none */
    bool insecure;                    /* trust anybody: for development */
} weft_tls_client_options;

/* Reads files, so it blocks for some milliseconds. 0, or after a logged line -ENOENT and other -errno of a file, -EINVAL for
 * one that cannot be used; -ENOMEM. */
WEFT_API WEFT_MUST int weft_tls_client_new_with(weft_tls_context **ret_context, const weft_tls_client_options *options);
#define weft_tls_client_new(...) weft_tls_client_new_(__VA_ARGS__, )
#define weft_tls_client_new_(ret_context, ...)                                                                                 \
    weft_tls_client_new_with((ret_context),                                                                                    \
                             &(weft_tls_client_options){ .struct_size = sizeof(weft_tls_client_options), __VA_ARGS__ })

/* Gives it back; streams that use it may be open still. NULL is fine. */
WEFT_API void weft_tls_context_free(weft_tls_context *context);

typedef struct weft_tls_connect_options {
    size_t struct_size;
    weft_tls_context *context; /* NULL: one of the loop's own, that trusts whom the system trusts; made at the first use */
    const char *name;          /* the server's, which its certificate must have (a dot at its end is left out); NULL: the
                                * address's, not of unix sockets */
    const char *alpn;          /* a protocol to ask for, "http/1.1"; NULL: none */
    weft_duration timeout;     /* of the handshake (10 s) */
    const char *file;          /* where it is called: set by the macro, for reports */
    int line;
} weft_tls_connect_options;

/* May wait. Connects as weft_connect does, and then by TLS: returns 0 when the server has been verified. < 0 as weft_connect,
 * or WEFT_ETLS, WEFT_ECERTIFICATE (weft_error_trail says what is wrong with it), -ETIMEDOUT, -ECONNRESET; -EINVAL for a name or
 * protocol that cannot be sent. The calls of weft/stream.h are the same on it. */
WEFT_API WEFT_WAITS int weft_tls_connect_with(weft_stream **ret_stream, const char *address,
                                              const weft_tls_connect_options *options);
#define weft_tls_connect(ret_stream, ...) weft_tls_connect_((ret_stream), __VA_ARGS__, )
#define weft_tls_connect_(ret_stream, address, ...)                                                                            \
    weft_tls_connect_with(                                                                                                     \
        (ret_stream), (address),                                                                                               \
        &(weft_tls_connect_options){                                                                                           \
            .struct_size = sizeof(weft_tls_connect_options), .file = __FILE__, .line = __LINE__, __VA_ARGS__ })

#ifdef __cplusplus
}
#endif
#endif
