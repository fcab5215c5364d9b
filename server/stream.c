/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Streamed replies: a head, then pieces as the handler writes them, chunked or of a declared length.
 *
 * Pieces are gathered in the loop's output buffer like everything else. A writer whose client does not keep up parks past the
 * high-water mark until what is queued has fallen to the low one; while the loop's budget is spent it does so as soon as
 * anything is queued. One whose client does keep up is still sent through the scheduler after PIECE_MAX bytes, so that one
 * download cannot hold the loop. A larger piece is written in several, each a chunk of its own, so that no call can queue more
 * than that: if it is cut short in between, the stream can only be cut too. A stream that ends wrongly is cut, and never gets a
 * false end: no last chunk, no padding.
 */
#include <errno.h>
#include <string.h>

#include "lib/base/check.h"
#include "lib/http/chunked.h"
#include "lib/http/field.h"
#include "server/events.h"
#include "server/reply.h"

enum { PIECE_MAX = 256 * 1024 };

int weft_reply_stream(weft_request *req, int status, const char *type, int64_t length)
{
    if (length < -1 || !weft_reply_is_type(type))
        return -EINVAL;
    enum weft_reply_framing framing = length >= 0                    ? WEFT_FRAMING_LENGTH
                                      : req->head.version_minor == 1 ? WEFT_FRAMING_CHUNKED
                                                                     : WEFT_FRAMING_CLOSE;
    const weft_bytes trusted = { type, type ? strlen(type) : 0 };
    int rc = weft_reply_begin(req, WEFT_REPLY_STREAM, status, trusted, framing, length);
    if (rc < 0)
        return rc;
    req->framing = framing;
    req->stream_left = length;
    weft_timer_clear(&weft_scope_own(&req->group.scope)->timer); /* the route's deadline is for the head of a reply */
    return 0;
}

struct stream_wait {
    weft_wait wait;
    weft_request *req;
};

static void withdraw(weft_wait *wait)
{
    CONTAINER_OF(wait, struct stream_wait, wait)->req->write_wait = NULL;
}

void weft_request_on_low_water(weft_request *req)
{
    if (req->write_wait)
        weft_wait_settle(req->write_wait, 0);
}

void weft_request_on_drained(weft_request *req)
{
    weft_request_on_low_water(req);
    weft_events_on_drained(req);
}

/* After a piece: waits for a slow client, and lets others run beside a fast one. */
static int keep_pace(weft_request *req, size_t size)
{
    weft_connection *c = req->connection;
    const size_t high = weft_server_is_full(c->server) ? 0 : c->server->app->settings.output_high;
    req->unyielded += size;
    if (req->unyielded < PIECE_MAX && c->transport.queued <= high)
        return 0;
    req->unyielded = 0;
    weft_output_flush(c->server);
    if (weft_request_gone(req))
        return WEFT_EGONE;
    if (c->transport.queued <= high)
        return weft_yield();
    weft_connection_meet(c, WEFT_LIMIT_OUTPUT);
    struct stream_wait wait = { .wait = WEFT_WAIT("write", req, withdraw), .req = req };
    req->write_wait = &wait.wait;
    return weft_wait_park(&wait.wait);
}

static void write_piece(weft_request *req, const void *data, size_t size)
{
    weft_connection *c = req->connection;
    if (req->framing != WEFT_FRAMING_CHUNKED) {
        weft_output_write(c, data, size);
        return;
    }
    char line[WEFT_CHUNK_HEAD_MAX];
    weft_output_write(c, line, weft_chunk_head(line, size));
    weft_output_write(c, data, size);
    weft_output_write(c, WEFT_CHUNK_END, 2);
}

/* Others may do anything while one of the pieces waits: end the stream, or break the connection. */
static int write_pieces(weft_request *req, const char *data, size_t size)
{
    int rc;
    do {
        size_t piece = size < PIECE_MAX ? size : PIECE_MAX;
        if (piece > 0 && req->head.method_id != WEFT_HTTP_HEAD) {
            req->body_sent += (int64_t)piece;
            write_piece(req, data, piece);
        }
        size -= piece;
        if (size > 0)
            data += piece;
        req->is_writing = size > 0;
        rc = keep_pace(req, piece);
        req->is_writing = false;
        if (rc == 0 && size > 0 && req->reply != WEFT_REPLY_STREAM)
            rc = WEFT_EGONE;
    } while (rc == 0 && size > 0);
    req->stream_failed |= size > 0;
    return rc;
}

static int begin_by_default(weft_request *req)
{
    return req->reply == WEFT_REPLY_NONE    ? weft_reply_stream(req, 200, "application/octet-stream", -1)
           : req->reply == WEFT_REPLY_WHOLE ? -EALREADY
                                            : 0;
}

int weft_write(weft_request *req, const void *data, size_t size)
{
    int rc = weft_request_wait_check(req, "write");
    if (rc == 0)
        rc = begin_by_default(req);
    if (rc < 0)
        return rc;
    if (req->write_wait || req->is_writing || req->events)
        return -EBUSY;
    if (weft_request_gone(req))
        return WEFT_EGONE;
    if (req->framing == WEFT_FRAMING_LENGTH && (int64_t)size > req->stream_left) {
        req->stream_failed = true;
        return weft_fail(-EMSGSIZE, "%zu bytes written, where %lld of the promised length are left", size,
                         (long long)req->stream_left);
    }
    if (req->framing == WEFT_FRAMING_LENGTH)
        req->stream_left -= (int64_t)size;
    return write_pieces(req, data, size);
}

int weft_set_trailer(weft_request *req, const char *name, const char *value)
{
    if (req->reply != WEFT_REPLY_STREAM || req->framing != WEFT_FRAMING_CHUNKED)
        return -EINVAL;
    return weft_reply_add_field(req, &req->trailers, name, value);
}

static void write_last_chunk(weft_request *req)
{
    weft_connection *c = req->connection;
    weft_output_write(c, "0\r\n", 3);
    for (const struct weft_reply_field *field = req->trailers.first; field; field = field->next)
        weft_output_write(c, field->line, field->size);
    weft_output_write(c, "\r\n", 2);
}

bool weft_reply_end_stream(weft_request *req, int rc)
{
    bool is_short = req->framing == WEFT_FRAMING_LENGTH && req->stream_left > 0;
    bool is_head = req->head.method_id == WEFT_HTTP_HEAD;
    if (req->events)
        rc = weft_events_end(req, rc) ? 0 : -EIO;
    req->stream_failed |= req->is_writing; /* its end has not been written */
    if (rc >= 0 && !req->stream_failed && (!is_short || is_head)) {
        if (req->framing == WEFT_FRAMING_CHUNKED && !is_head)
            write_last_chunk(req);
        req->reply = WEFT_REPLY_WHOLE; /* what a deferred call wrote behind it would be taken for the next reply */
        return true;
    }
    if (rc >= 0 && is_short && !req->stream_failed)
        weft_log(WEFT_LOG_ERROR, "%s %s: %lld bytes of the promised length were not written: the connection is cut",
                 req->head.method, req->path, (long long)req->stream_left);
    return false;
}
