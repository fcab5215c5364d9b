/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * What the parts of a connection share: its life and its events (connection.c), the requests on it (connection_next.c), and the
 * tasks that serve them (connection_serve.c).
 */
#ifndef WEFT_SERVER_CONNECTION_OWN_H
#define WEFT_SERVER_CONNECTION_OWN_H

#include "server/connection.h"

/* ---- connection.c ---- */

/* The one that changes c->state. */
void weft_connection_set_state(weft_connection *c, enum weft_connection_state state);

/* Begins or goes on to read; closes it if that cannot be. */
void weft_connection_read_start(weft_connection *c);

/* All is said: sends it, ends our direction, and waits for the peer's end. */
void weft_connection_linger(weft_connection *c);

/* The same after the request that the client itself has said is its last (RFC 9112, section 9.6): without a linger, if all is
 * sent and no end of TLS is to come, for then it has nothing to send that the kernel could answer by a reset. */
void weft_connection_part(weft_connection *c);

/* Gives its slot back once nothing uses it: it may be gone afterwards. */
void weft_connection_free_if_unused(weft_connection *c);

/* ---- connection_next.c ---- */

/* Takes the next request off the input; answers and passes over what needs no handler. NULL when there is none to handle now:
 * then the connection waits for input or for its peer to read, or it is over. */
weft_request *weft_connection_next(weft_connection *c);

/* The reply of the present request is made, and its arena still there: ends it. What now of the connection? */
void weft_connection_after_reply(weft_connection *c, weft_request *req);

/* Logs the request and gives it back. */
void weft_connection_end_request(weft_request *req);

/* Answers what never became a request, and ends the connection; `head` begins with its first line, as far as it has come. */
void weft_connection_refuse(weft_connection *c, weft_bytes head, int status, const char *words);

/* The same of all that is unread. */
void weft_connection_refuse_unread(weft_connection *c, int status, const char *words);

/* ---- connection_serve.c ---- */

/* Goes on with what is unread, if no task does. c may be gone afterwards. */
void weft_connection_go_on(weft_connection *c);

/* c->again. */
void weft_connection_serve_again(weft_callback *callback);

#endif
