/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The inside of a request. It lives from the moment its head is whole until its deferred calls have run; everything it hands
 * out is in its arena, or lent to it for as long (server/head_cache.h).
 */
#ifndef WEFT_SERVER_REQUEST_H
#define WEFT_SERVER_REQUEST_H

#include <weft/request.h>

#include "lib/http/chunked.h"
#include "lib/http/head.h"
#include "lib/http/target.h"
#include "server/connection.h"

/* A header field that the handler set: its line, with CRLF, in the arena. */
struct weft_reply_field {
    struct weft_reply_field *next;
    size_t size;
    char line[];
};

struct weft_reply_fields {
    struct weft_reply_field *first, **end;
    size_t size; /* bytes of their lines */
};

enum weft_reply_kind { WEFT_REPLY_NONE, WEFT_REPLY_WHOLE, WEFT_REPLY_STREAM };

/* How the end of a reply's body is told. */
enum weft_reply_framing { WEFT_FRAMING_LENGTH, WEFT_FRAMING_CHUNKED, WEFT_FRAMING_CLOSE };

struct weft_request {
    weft_connection *connection;
    const weft_route_target *route;
    weft_arena arena;
    weft_http_head head;
    weft_http_target target;
    const char *path;                /* decoded */
    char *texts;                     /* of a request that may be upgraded: path, query and parameters; else NULL */
    const char *handed;              /* where the arena was when the handler began */
    weft_route_match *match;         /* in the arena; of a request that may be upgraded, in its texts */
    struct weft_cached_head *lender; /* what would be in the arena is lent by it; or NULL */
    weft_bytes line;                 /* the first line as it came; with an access log */
    weft_duration began;             /* when the head was there; with an access log */

    weft_group group; /* the request's: opened around the handler */
    bool is_open;     /* the group is */
    bool is_moved;    /* it lies on the stack of its task */

    enum weft_reply_kind reply;
    enum weft_reply_framing framing; /* of a streamed one */
    bool stream_failed;              /* it must be cut */
    bool is_writing;                 /* a task waits in the middle of a large piece */
    int64_t body_sent;               /* bytes of the reply's body */
    int status;
    struct weft_reply_fields fields, trailers;
    int64_t stream_left; /* of a declared length */
    size_t unyielded;    /* bytes written since the writer last let others run */
    weft_wait *write_wait;
    struct weft_events *events; /* a stream of server-sent events */

    bool sent_continue;
    bool body_ended, body_streamed;
    int body_error; /* why the body was refused; every later call returns it too */
    struct weft_chunked *chunked;
    int64_t run_left;   /* bytes at the front of the input that are payload */
    int64_t body_taken; /* bytes of payload taken off the input */
    char *body;         /* collected by weft_body */
    size_t body_room;
    size_t buffered; /* of the loop's budget */
    weft_duration body_waited;
    weft_wait *body_wait;
};

/* Makes a request of the first `head_size` unread bytes of c, which the byte check has passed with `field_count` fields and
 * `cuts`, and consumes them. Returns it, or NULL with *ret_status (and words for it): the head is refused. */
weft_request *weft_request_new(weft_connection *c, size_t head_size, int field_count, const weft_head_cuts *cuts,
                               int *ret_status, const char **ret_reason);

/* One of which all from its group on is as it begins, and what is before that, which its head and its route make up, is to be
 * filled in. NULL when memory is out. */
weft_request *weft_request_blank(weft_server *server);

/* Finds its route. 0, 404, 405, or 503 when memory is out. */
int weft_request_route(weft_request *req);

/* Has it go on at `place`, on the stack of the task that is to run it, and gives back where it was: for one that may stay long,
 * on a page that is resident anyway. Before it is run. */
void weft_request_move(weft_request *req, weft_request *place);

/* In a task: runs the handler, seals the reply, ends its tasks, runs the deferred calls. */
void weft_request_run(weft_request *req);

/* It has been upgraded: gives back its head, and its arena, unless the handler has got memory of it. What it was asked for by
 * path, query and parameters stays where it is. */
void weft_request_slim(weft_request *req);

/* Gives the arena and the request back. */
void weft_request_free(weft_request *req);

/* Bytes of a body of declared length that nobody has taken from the connection's input. */
int64_t weft_request_body_left(const weft_request *req);

/* At the request's end: passes over what is left of its body, as far as it has come; *ret_left bytes are still to come. False
 * if it is not known where the body ends: then the connection must close. */
bool weft_request_skip_body(weft_request *req, int64_t *ret_left);

/* May the request's task wait? 0, or the reason why not, which is that the client has gone rather than what came of that. */
static inline int weft_request_wait_check(const weft_request *req, const char *what)
{
    int rc = weft_wait_check(what);
    return rc == WEFT_ECANCELED && weft_request_gone(req) ? WEFT_EGONE : rc;
}

/* Does the client wait for a 100 before it sends the `left` bytes of its body, so that nobody can know whether they come? */
static inline bool weft_request_awaits_continue(const weft_request *req, int64_t left)
{
    return left > 0 && req->head.expects_continue && !req->sent_continue;
}

/* A whole reply is about to be made: must the connection close because of what is left of the body? Then the reply says so. */
void weft_request_foresee_close(weft_request *req);

/* The same of a streamed reply to a request with a body, of which the handler may read more behind the reply's head. */
void weft_request_foresee_stream_close(weft_request *req);

/* Unread bytes have come, or the peer's end. On the loop's stack; the request may be over when this returns. */
void weft_request_on_input(weft_request *req);

/* What was queued has been sent; or so much of it that less than the low-water mark is left. */
void weft_request_on_drained(weft_request *req);
void weft_request_on_low_water(weft_request *req);

/* A streamed reply ends, the handler having returned rc: true if it ends well, false if it must be cut. */
bool weft_reply_end_stream(weft_request *req, int rc);

/* The connection is broken, or is being closed: cancels the handler, unless it is to finish, and ends a wait for the body. */
void weft_request_on_gone(weft_request *req);

/* The body has stopped coming. */
void weft_request_on_slow_body(weft_request *req);

/* The calls of the public API that make a reply, from the loop's stack: a short text that says what is wrong. */
void weft_reply_error(weft_request *req, int status, const char *words);

/* Makes 405 (or the answer to OPTIONS) with the methods that the path has. */
void weft_reply_allow(weft_request *req, int status);

/* A reply to what never became a request; the connection closes behind it. Returns the size of its body. */
size_t weft_reply_refusal(weft_connection *c, int status, const char *words);

#endif
