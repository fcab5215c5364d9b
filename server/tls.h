/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* What the server knows of TLS: opening a connection by it, its files, and the redirect to it. */
#ifndef WEFT_SERVER_TLS_H
#define WEFT_SERVER_TLS_H

#include "lib/net/tls.h"
#include "server/connection.h"

/* What an app has of TLS. */
struct weft_app_tls {
    weft_tls_context *context;
    char hsts[64]; /* the line of a reply's head, with CRLF; "" for none */
    size_t hsts_size;
    struct weft_tls_counts counts; /* of the servers that are closed; under the app's lock */
};

void weft_app_tls_free(struct weft_app_tls *tls);

/* Opens a connection's transport over a socket, by TLS. 0 or -errno: then the socket is the caller's. */
int weft_tls_open(weft_connection *c, int fd, bool is_tcp);

/* Reads the app's files for the first time. 0, or -errno after a logged line. */
int weft_tls_prepare(weft_app *app);

/* Reads them again, and says so, if they have changed or `always`. Blocks; from any thread. */
void weft_tls_refresh(weft_app *app, bool always);

/* A task: refreshes them from time to time, until it is cancelled. The argument is the app. */
int weft_tls_watch(void *app);

/* Answers a request that came to a WEFT_DOOR_REDIRECT. */
void weft_tls_redirect(weft_request *req);

/* Adds what this loop has counted, once it serves no more. */
void weft_tls_count(weft_app *app);

/* One line for the log: what became of the handshakes. */
void weft_tls_report(weft_app *app);

#endif
