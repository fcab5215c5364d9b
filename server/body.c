/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * A request's body, of declared length or chunked: taken off the connection's one input as the handler asks for it.
 *
 * `next_run` says what lies at the front of the input: a run of payload, the end, or nothing yet; both calls of the API take
 * runs from there, and what nobody takes is discarded by the connection. A handler that waits for bytes is entered right from
 * the read event, so that it takes them out of the loop's buffer, with one copy.
 */
#include <errno.h>
#include <string.h>

#include "lib/base/check.h"
#include "server/request.h"

enum {
    FIRST_ROOM = 4096,
    BELIEVED = 64 * 1024, /* so much of a body has to come before its declared length takes more of the budget */
};

static const weft_duration RATE_GRACE = 30 * WEFT_SECOND; /* of waiting, before the rate counts */

enum run { RUN_END, RUN_BYTES, RUN_MORE };

/* Refuses the rest: nothing behind it can be trusted, so the connection closes after the reply. */
static int refuse_body(weft_request *req, int status, const char *words)
{
    req->body_error = WEFT_EHTTP(status);
    req->connection->must_close = true;
    return weft_fail(WEFT_EHTTP(status), "%s", words);
}

static int refuse_chunks(weft_request *req, int status)
{
    static const int8_t limits[] = {
        [WEFT_CHUNKED_LONG_LINE] = WEFT_LIMIT_CHUNK_LINE,
        [WEFT_CHUNKED_LONG_EXTENSIONS] = WEFT_LIMIT_CHUNK_EXTENSIONS,
        [WEFT_CHUNKED_LONG_TRAILERS] = WEFT_LIMIT_TRAILERS,
        [WEFT_CHUNKED_MANY_TRAILERS] = WEFT_LIMIT_TRAILER_COUNT,
    };
    enum weft_chunked_excess excess = weft_chunked_excess(req->chunked);
    if (excess == WEFT_CHUNKED_IN_LIMITS)
        weft_connection_blame(req->connection, WEFT_END_MALFORMED);
    else
        weft_connection_end_by(req->connection, (enum weft_limit)limits[excess]);
    return refuse_body(req, status, weft_chunked_reason(req->chunked));
}

/* A request without a route (404, 405) has a body to pass over too. */
static int64_t limit_of(const weft_request *req)
{
    return req->route && req->route->body_limit ? req->route->body_limit : req->connection->server->app->settings.body_limit;
}

static int next_chunk_run(weft_request *req)
{
    weft_input *input = &req->connection->input;
    size_t consumed;
    weft_bytes payload = { NULL, 0 };
    if (!req->chunked)
        req->chunked = weft_chunked_new(&req->arena, &req->connection->server->app->settings.chunked);
    if (!req->chunked)
        return -ENOMEM;
    int rc = weft_chunked_next(req->chunked, input->at, input->size, &consumed, &payload);
    if (rc < 0)
        return rc == -ENOMEM ? rc : refuse_chunks(req, -rc);
    weft_input_consume(input, consumed - payload.size);
    if (weft_chunked_declared(req->chunked) > limit_of(req)) {
        weft_connection_end_by(req->connection, WEFT_LIMIT_BODY);
        return refuse_body(req, 413, "a chunked body larger than its limit");
    }
    req->run_left = (int64_t)payload.size;
    req->body_ended = rc == WEFT_CHUNKED_END;
    return rc == WEFT_CHUNKED_END ? RUN_END : rc == WEFT_CHUNKED_PAYLOAD ? RUN_BYTES : RUN_MORE;
}

/* What lies at the front of the input? An enum run, or an error. */
static int next_run(weft_request *req)
{
    if (req->run_left > 0)
        return RUN_BYTES;
    if (req->body_error)
        return req->body_error;
    if (req->body_ended)
        return RUN_END;
    if (req->head.is_chunked)
        return next_chunk_run(req);
    int64_t left = weft_request_body_left(req), here = (int64_t)req->connection->input.size;
    if (left == 0) {
        req->body_ended = true;
        return RUN_END;
    }
    req->run_left = here < left ? here : left;
    return here > 0 ? RUN_BYTES : RUN_MORE;
}

/* Takes up to `size` bytes of the run at the front. */
static size_t take_run(weft_request *req, char *into, size_t size)
{
    weft_input *input = &req->connection->input;
    if ((int64_t)size > req->run_left)
        size = (size_t)req->run_left;
    if (into)
        memcpy(into, input->at, size);
    weft_input_consume(input, size);
    req->run_left -= (int64_t)size;
    req->body_taken += (int64_t)size;
    return size;
}

int64_t weft_request_body_left(const weft_request *req)
{
    return req->head.content_length > 0 ? req->head.content_length - req->body_taken : 0;
}

bool weft_request_skip_body(weft_request *req, int64_t *ret_left)
{
    *ret_left = 0;
    if (!req->head.has_body)
        return true;
    if (!req->head.is_chunked) {
        *ret_left = weft_request_body_left(req);
        return !req->body_error;
    }
    if (req->head.expects_continue && !req->sent_continue && req->connection->input.size == 0)
        return req->body_ended;
    int rc = RUN_END;
    while (!req->body_error && (rc = next_run(req)) == RUN_BYTES)
        take_run(req, NULL, (size_t)req->run_left);
    return rc == RUN_END && !req->body_error;
}

/* Is all that is left of a chunked body, of a size within its limit, among what is unread? Takes nothing. */
static bool is_rest_at_hand(weft_request *req)
{
    const weft_input *input = &req->connection->input;
    const char *at = input->at + req->run_left;
    size_t left = input->size - (size_t)req->run_left;
    weft_chunked *look = req->chunked ? weft_chunked_copy(req->chunked)
                                      : weft_chunked_new(&req->arena, &req->connection->server->app->settings.chunked);
    int rc = WEFT_CHUNKED_PAYLOAD;
    while (look && rc == WEFT_CHUNKED_PAYLOAD) {
        size_t consumed;
        weft_bytes payload;
        rc = weft_chunked_next(look, at, left, &consumed, &payload);
        at += consumed;
        left -= consumed;
    }
    return look && rc == WEFT_CHUNKED_END && weft_chunked_declared(look) <= limit_of(req);
}

void weft_request_foresee_close(weft_request *req)
{
    weft_connection *c = req->connection;
    if (c->must_close || req->body_ended || weft_request_gone(req))
        return;
    int64_t left = weft_request_body_left(req);
    bool is_unknown = req->head.is_chunked ? !is_rest_at_hand(req) : weft_request_awaits_continue(req, left);
    if (is_unknown)
        weft_connection_blame(c, WEFT_END_UNREAD_BODY);
    c->must_close = is_unknown || left > c->server->app->settings.discard_limit;
}

/* Whatever the handler still reads: no 100 is sent behind a reply's head, so that nobody can know whether a body comes of which
 * nothing has come yet (RFC 9110 §10.1.1); and one past its route's limit is neither read nor thrown away. */
void weft_request_foresee_stream_close(weft_request *req)
{
    weft_connection *c = req->connection;
    if (req->body_ended || weft_request_gone(req))
        return;
    bool awaits_continue = req->head.expects_continue && !req->sent_continue && req->body_taken == 0 && c->input.size == 0;
    c->must_close |= awaits_continue || (req->head.content_length > limit_of(req) &&
                                         req->head.content_length > c->server->app->settings.discard_limit);
}

/* ---- waiting ---- */

/* Wakes who waits for the body, at once: the request may be over when this returns. */
static void wake(weft_request *req, int result)
{
    weft_task *t = req->body_wait->task;
    weft_wait_settle(req->body_wait, result);
    weft_task_enter(t);
}

void weft_request_on_input(weft_request *req)
{
    if (req->body_wait)
        wake(req, 0);
}

void weft_request_on_slow_body(weft_request *req)
{
    weft_connection *c = req->connection;
    c->must_close = true;
    req->body_error = WEFT_EHTTP(408);
    weft_server_set_phase(c->server, c, WEFT_PHASE_NONE);
    if (req->body_wait)
        weft_wait_settle(req->body_wait, WEFT_EHTTP(408));
}

struct body_wait {
    weft_wait wait;
    weft_request *req;
};

static void withdraw(weft_wait *wait)
{
    weft_request *req = CONTAINER_OF(wait, struct body_wait, wait)->req;
    req->body_wait = NULL;
    if (req->connection->state == WEFT_CONNECTION_HANDLING)
        weft_server_set_phase(req->connection->server, req->connection, WEFT_PHASE_NONE);
}

static void send_continue(weft_request *req)
{
    static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (!req->head.expects_continue || req->sent_continue || req->reply != WEFT_REPLY_NONE || req->body_taken > 0)
        return;
    req->sent_continue = true;
    weft_output_write(req->connection, line, sizeof line - 1);
}

/* Does the body come so slowly that it never ends? Only the time that we waited for it counts. */
static bool is_trickle(const weft_request *req)
{
    int64_t rate = req->connection->server->app->settings.body_rate;
    return req->body_waited > RATE_GRACE && req->body_taken < (req->body_waited - RATE_GRACE) / WEFT_SECOND * rate;
}

static int wait_for_body(weft_request *req, const char *what)
{
    weft_connection *c = req->connection;
    if (weft_request_gone(req) || c->has_ended)
        return WEFT_EGONE;
    if (req->body_wait)
        return -EBUSY;
    if (is_trickle(req)) {
        weft_connection_end_by(c, WEFT_LIMIT_BODY_RATE);
        return refuse_body(req, 408, "the body comes too slowly");
    }
    send_continue(req);
    weft_connection_read_on(c);
    if (weft_request_gone(req)) /* either call may have found the connection broken */
        return WEFT_EGONE;
    struct body_wait wait = { .wait = WEFT_WAIT(what, req, withdraw), .req = req };
    weft_duration began = weft_loop_recent(c->server->loop);
    req->body_wait = &wait.wait;
    weft_server_set_phase(c->server, c, WEFT_PHASE_BODY);
    int rc = weft_wait_park(&wait.wait);
    req->body_waited += weft_loop_now(c->server->loop) - began;
    return rc;
}

/* The next run of payload, waited for: RUN_BYTES, RUN_END or an error. */
static int await_run(weft_request *req, const char *what)
{
    int rc;
    if (weft_request_gone(req))
        req->run_left = 0; /* what was found in the input has gone with it */
    if (req->head.content_length > limit_of(req) && !req->body_error) {
        weft_connection_end_by(req->connection, WEFT_LIMIT_BODY);
        return refuse_body(req, 413, "a body of a length that is larger than its limit");
    }
    while ((rc = next_run(req)) == RUN_MORE) {
        rc = wait_for_body(req, what);
        if (rc < 0)
            return rc;
    }
    return rc;
}

/* ---- public ---- */

int64_t weft_body_read(weft_request *req, void *buf, size_t size)
{
    int rc = weft_request_wait_check(req, "body read");
    if (rc < 0)
        return rc;
    if (req->body || size == 0)
        return -EINVAL;
    req->body_streamed = true;
    rc = await_run(req, "body read");
    if (rc != RUN_BYTES)
        return rc;
    size_t taken = take_run(req, buf, size);
    weft_connection_read_on(req->connection);
    return (int64_t)taken;
}

/* Makes room for `more` bytes of the whole body, and a NUL. */
static int make_room(weft_request *req, size_t more)
{
    weft_server *server = req->connection->server;
    size_t needed = (size_t)req->body_taken + more + 1;
    if (needed <= req->body_room)
        return 0;
    size_t room = req->body_room ? req->body_room * 2 : FIRST_ROOM;
    if (req->head.content_length >= 0)
        room = (size_t)req->head.content_length + 1;
    if (room > BELIEVED && needed <= BELIEVED && !req->body)
        room = BELIEVED;
    while (room < needed)
        room *= 2;
    if (weft_server_is_full(server) || room > server->app->settings.buffer_budget - server->counts.buffered) {
        weft_connection_meet(req->connection, WEFT_LIMIT_BUFFERED);
        return weft_fail(WEFT_EHTTP(503), "all bodies together would buffer more than %zu bytes",
                         server->app->settings.buffer_budget);
    }
    char *body = weft_arena_alloc(&req->arena, room);
    if (!body)
        return -ENOMEM;
    if (req->body)
        memcpy(body, req->body, (size_t)req->body_taken);
    req->body = body;
    req->body_room = room;
    req->buffered += room;
    weft_server_hold(server, (int64_t)room);
    return 0;
}

static int collect(weft_request *req)
{
    int rc;
    while ((rc = await_run(req, "body")) == RUN_BYTES) {
        rc = make_room(req, (size_t)req->run_left);
        if (rc < 0)
            return rc;
        take_run(req, req->body + req->body_taken, (size_t)req->run_left);
    }
    return rc < 0 ? rc : make_room(req, 0);
}

int weft_body(weft_request *req, weft_bytes *ret_body)
{
    int rc = weft_request_wait_check(req, "body");
    if (rc == 0 && req->body_streamed)
        rc = -EINVAL;
    if (rc == 0)
        rc = collect(req);
    if (rc < 0)
        return rc;
    weft_connection_read_on(req->connection);
    req->body[req->body_taken] = '\0';
    *ret_body = (weft_bytes){ req->body, (size_t)req->body_taken };
    return 0;
}
