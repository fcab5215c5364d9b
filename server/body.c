/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * A request's body, of declared length: taken off the connection's one input into the arena, as it comes, while the handler
 * waits for it. What nobody takes is discarded by the connection.
 */
#include <errno.h>
#include <string.h>

#include "lib/base/check.h"
#include "server/request.h"

static int64_t length_of(const weft_request *req)
{
    return req->head.content_length > 0 ? req->head.content_length : 0;
}

int64_t weft_request_body_left(const weft_request *req)
{
    return length_of(req) - req->body_size;
}

/* Moves what has come into the body. */
static void take(weft_request *req)
{
    weft_input *input = &req->connection->input;
    int64_t left = weft_request_body_left(req);
    size_t size = (int64_t)input->size < left ? input->size : (size_t)left;
    if (size == 0)
        return;
    memcpy(req->body + req->body_size, input->at, size);
    weft_input_consume(input, size);
    req->body_size += (int64_t)size;
}

void weft_request_on_input(weft_request *req)
{
    weft_connection *c = req->connection;
    if (!req->body_wait)
        return;
    take(req);
    if (weft_request_body_left(req) == 0)
        weft_wait_settle(req->body_wait, 0);
    else if (c->has_ended)
        weft_wait_settle(req->body_wait, WEFT_EGONE);
    else
        weft_server_set_phase(c->server, c, WEFT_PHASE_BODY);
}

void weft_request_on_slow_body(weft_request *req)
{
    weft_connection *c = req->connection;
    c->must_close = true;
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
    if (!req->head.expects_continue || req->sent_continue || req->connection->input.size > 0)
        return;
    req->sent_continue = true;
    weft_output_write(req->connection, line, sizeof line - 1);
}

static int wait_for_body(weft_request *req)
{
    weft_connection *c = req->connection;
    if (weft_request_gone(req) || c->has_ended)
        return WEFT_EGONE;
    send_continue(req);
    weft_connection_read_on(c);
    struct body_wait wait = { .wait = WEFT_WAIT("body", req, withdraw), .req = req };
    req->body_wait = &wait.wait;
    weft_server_set_phase(c->server, c, WEFT_PHASE_BODY);
    return weft_wait_park(&wait.wait);
}

static int64_t limit_of(const weft_request *req)
{
    return req->route->body_limit ? req->route->body_limit : req->connection->server->app->settings.body_limit;
}

int weft_body(weft_request *req, weft_bytes *ret_body)
{
    int rc = weft_wait_check("body");
    if (rc < 0)
        return rc;
    int64_t length = length_of(req);
    if (length > limit_of(req))
        return weft_fail(WEFT_EHTTP(413), "a body of %lld bytes, at most %lld are taken", (long long)length,
                         (long long)limit_of(req));
    if (!req->body) {
        req->body = weft_arena_alloc(&req->arena, (size_t)length + 1);
        if (!req->body)
            return -ENOMEM;
        req->body[length] = '\0';
    }
    take(req);
    if (weft_request_body_left(req) > 0)
        rc = wait_for_body(req);
    if (rc < 0)
        return rc;
    weft_connection_read_on(req->connection);
    *ret_body = (weft_bytes){ req->body, (size_t)length };
    return 0;
}
