/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * From a request to a WebSocket: the handshake, 101, and what of the request stays.
 *
 * The request itself stays until its handler ends, with copies of its parameters, path and query; its head and all other memory
 * of its arena are given back, so that a socket that waits for its next message holds little more than its stack. With an
 * access log they stay: the record at the end names some of it.
 */
#include <errno.h>
#include <string.h>

#include "lib/net/tls.h"
#include "lib/task/task.h"
#include "server/request.h"
#include "server/session.h"

enum { LINES_MAX = 1024 };

/* ---- options ---- */

static int read_options(weft_ws_options *o, const weft_ws_options *given)
{
    *o = (weft_ws_options){ 0 };
    memcpy(o, given, given->struct_size < sizeof *o ? given->struct_size : sizeof *o);
    bool is_fine = o->message_limit >= 0 && o->fragment_limit >= 0 && o->deflate >= WEFT_WS_DEFLATE_SMALL &&
                   o->deflate <= WEFT_WS_DEFLATE_OFF && o->ping_every >= 0 && o->dead_after >= 0 && o->close_timeout >= 0;
    return is_fine ? 0 : weft_fail(-EINVAL, "an option of the WebSocket is out of its range");
}

/* ---- the handshake ---- */

static int judge(weft_request *req, const weft_ws_options *o, weft_ws_answer *answer)
{
    const weft_http_head *head = &req->head;
    weft_ws_handshake h = {
        .is_get = head->method_id == WEFT_HTTP_GET,
        .is_1_1 = head->version_minor == 1,
        .has_body = head->has_body,
        .is_secure = weft_tls_is(&req->connection->transport),
    };
    for (int i = 0; i < head->field_count; i++) {
        const weft_http_field *field = &head->fields[i];
        weft_ws_handshake_field(&h, weft_http_field_name(head, field), field->name_size, weft_http_field_value(head, field),
                                field->value_size);
    }
    if (req->target.host) /* the absolute form's counts (RFC 9112 §3.2.2) */
        h.host = (weft_bytes){ req->target.host, strlen(req->target.host) };
    weft_ws_terms terms = {
        .protocols = o->protocols,
        .origins = o->origins,
        .deflates = o->deflate != WEFT_WS_DEFLATE_OFF && weft_deflate_is_there(),
        .keeps_our_context = o->deflate == WEFT_WS_DEFLATE_CONTEXT,
        .keeps_their_context = o->deflate == WEFT_WS_DEFLATE_CONTEXT,
    };
    return weft_ws_handshake_judge(&h, &terms, answer);
}

/* An error to hand up, with the fields that go with its answer. */
static int refuse(weft_request *req, int status, const char *words)
{
    int rc = 0;
    if (status == 426) { /* RFC 9110 §15.5.22, RFC 6455 §4.4 */
        rc = weft_set_header(req, "Upgrade", "websocket");
        if (rc == 0)
            rc = weft_set_header(req, "Sec-WebSocket-Version", "13");
    }
    return rc < 0 ? rc : weft_fail(WEFT_EHTTP(status), "%s", words);
}

/* ---- 101 ---- */

static void write_text(weft_connection *c, const char *text)
{
    weft_output_write(c, text, strlen(text));
}

static void write_answer(weft_request *req, const weft_ws_answer *answer)
{
    weft_connection *c = req->connection;
    req->reply = WEFT_REPLY_WHOLE;
    req->status = 101;
    weft_count(&c->server->counts.replies);
    write_text(c, "HTTP/1.1 101 Switching Protocols\r\n");
    weft_output_write(c, weft_server_date(c->server), WEFT_DATE_LINE);
    write_text(c, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ");
    write_text(c, answer->accept);
    if (answer->protocol) {
        write_text(c, "\r\nSec-WebSocket-Protocol: ");
        write_text(c, answer->protocol);
    }
    if (*answer->extension) {
        write_text(c, "\r\nSec-WebSocket-Extensions: ");
        write_text(c, answer->extension);
    }
    write_text(c, "\r\n");
    for (const struct weft_reply_field *field = req->fields.first; field; field = field->next)
        weft_output_write(c, field->line, field->size);
    write_text(c, "\r\n");
}

/* ---- public ---- */

static int try_accept(weft_request *req, weft_ws **ret_ws, const weft_ws_options *given)
{
    weft_ws_options o;
    weft_ws_answer answer;
    if (req->reply != WEFT_REPLY_NONE)
        return -EALREADY;
    if (weft_request_gone(req))
        return WEFT_EGONE;
    int rc = read_options(&o, given);
    if (rc < 0)
        return rc;
    rc = judge(req, &o, &answer);
    if (rc != 0)
        return refuse(req, rc, answer.words);
    weft_ws *ws = weft_session_new(req->connection, &o, &answer);
    if (!ws)
        return -ENOMEM;
    write_answer(req, &answer);
    weft_timer_clear(&weft_scope_own(&req->group.scope)->timer); /* the route's deadline is for the head of a reply */
    weft_session_start(ws);
    weft_request_slim(req);
    if (ws->state == WEFT_WS_OVER)
        return WEFT_EGONE;
    *ret_ws = ws;
    return 0;
}

struct accepting {
    weft_request *req;
    weft_ws *ws;
    const weft_ws_options *options;
    int rc;
};

static void run_accept(void *arg)
{
    struct accepting *a = arg;
    a->rc = try_accept(a->req, &a->ws, a->options);
}

/* On the loop's stack: the digest of the key and the first write go deep, and the page that they would touch stays resident for
 * as long as the socket is there. */
static int accept(weft_request *req, weft_ws **ret_ws, const weft_ws_options *options)
{
    struct accepting a = { .req = req, .options = options };
    weft_on_loop_stack(run_accept, &a);
    if (a.rc == 0)
        *ret_ws = a.ws;
    return a.rc;
}

int weft_ws_accept_with(weft_request *req, weft_ws **ret_ws, const weft_ws_options *options)
{
    return accept(req, ret_ws, options);
}

int weft_ws_serve_with(weft_request *req, const weft_ws_handlers *given, size_t given_size)
{
    weft_ws_handlers handlers = { .open = NULL };
    weft_ws *ws = NULL;
    memcpy(&handlers, given, given_size < sizeof handlers ? given_size : sizeof handlers);
    handlers.options.struct_size = sizeof handlers.options;
    int rc = accept(req, &ws, &handlers.options);
    if (rc < 0)
        return rc;
    ws->on_message = handlers.message;
    ws->on_closed = handlers.closed;
    ws->user = handlers.state;
    ws->is_served = true;
    req->connection->server->served++;
    weft_session_hold(ws); /* until `closed` has been called */
    return handlers.open ? handlers.open(ws) : 0;
}
