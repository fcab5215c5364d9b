/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The inside of a request. It lives at the head of its own arena, from the moment its head is whole until its deferred calls
 * have run; everything it hands out is in there.
 */
#ifndef WEFT_SERVER_REQUEST_H
#define WEFT_SERVER_REQUEST_H

#include <weft/request.h>

#include "lib/http/head.h"
#include "lib/http/target.h"
#include "server/connection.h"

/* A header field that the handler set: its line, with CRLF, in the arena. */
struct weft_reply_field {
    struct weft_reply_field *next;
    size_t size;
    char line[];
};

struct weft_request {
    weft_connection *connection;
    const weft_route_target *route;
    weft_arena arena;
    weft_http_head head;
    weft_http_target target;
    const char *path; /* decoded */
    weft_route_match match;
    weft_group group; /* the request's: opened around the handler */
    bool is_open;     /* the group is */
    bool has_reply;
    bool sent_continue;
    int status; /* of the reply */
    struct weft_reply_field *fields, **fields_end;
    size_t fields_size; /* bytes of their lines */

    char *body;        /* collected so far; NULL before weft_body */
    int64_t body_size; /* bytes of it that have come */
    weft_wait *body_wait;
};

/* Makes a request of the first `head_size` unread bytes of c, which the byte check has passed with `field_count` fields, and
 * consumes them. Returns it, or NULL with *ret_status (and words for it): the head is refused. */
weft_request *weft_request_new(weft_connection *c, size_t head_size, int field_count, int *ret_status, const char **ret_reason);

/* Finds its route. 0, 404, 405, or 500 when memory is out. */
int weft_request_route(weft_request *req);

/* In a task: runs the handler, seals the reply, ends its tasks, runs the deferred calls. */
void weft_request_run(weft_request *req);

/* Gives the arena, and the request in it, back. */
void weft_request_free(weft_request *req);

/* Bytes of its body that nobody has taken from the connection's input. */
int64_t weft_request_body_left(const weft_request *req);

/* Unread bytes have come, or the peer's end. On the loop's stack. */
void weft_request_on_input(weft_request *req);

/* The connection is broken, or is being closed: cancels the handler, unless it is to finish, and ends a wait for the body. */
void weft_request_on_gone(weft_request *req);

/* The body has stopped coming. */
void weft_request_on_slow_body(weft_request *req);

/* The calls of the public API that make a reply, from the loop's stack: a short text that says what is wrong. */
void weft_reply_error(weft_request *req, int status, const char *words);

/* Makes 405 (or the answer to OPTIONS) with the methods that the path has. */
void weft_reply_allow(weft_request *req, int status);

/* A reply to what never became a request; the connection closes behind it. */
void weft_reply_refusal(weft_connection *c, int status, const char *words);

#endif
