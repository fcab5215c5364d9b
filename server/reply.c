/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Replies. One is made whole, straight into the loop's output buffer, by the call that makes it; it leaves when the handler
 * waits or ends. Exactly one of Content-Length and nothing is sent: replies that have no body by their status (204, 304) have
 * no length either (RFC 9110 §8.6).
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/check.h"
#include "lib/base/format.h"
#include "lib/base/http_status.h"
#include "lib/http/field.h"
#include "lib/json/json.h"
#include "server/reply.h"
#include "server/tls.h"

#define TYPE(literal)                                                                                                          \
    {                                                                                                                          \
        literal, sizeof(literal) - 1                                                                                           \
    }

static const weft_bytes no_type, text_type = TYPE("text/plain; charset=utf-8"), json_type = TYPE("application/json");

enum {
    HEAD_ROOM = 256,
    TEXT_ROOM = 512,
    TYPE_MAX = 1024,
    FIELD_MAX = 16 * 1024,  /* a reply's field, bytes */
    FIELDS_MAX = 32 * 1024, /* all of them, before the last: together they fit the output buffer */
};

static bool has_no_body(int status)
{
    return status == 204 || status == 304;
}

/* ---- the head ---- */

static char *put(char *at, const char *text, size_t size)
{
    memcpy(at, text, size);
    return at + size;
}

#define PUT(at, literal) put((at), (literal), sizeof(literal) - 1)

static char *put_status(char *at, int status)
{
    if (status == 200)
        return PUT(at, "HTTP/1.1 200 OK\r\n");
    const char *text = weft_http_status_text(status);
    at = PUT(at, "HTTP/1.1 ");
    at += weft_format_number(at, (uint64_t)status);
    *at++ = ' ';
    at = put(at, text, strlen(text));
    return PUT(at, "\r\n");
}

static char *put_connection(char *at, const weft_connection *c, int version_minor)
{
    if (c->must_close)
        return PUT(at, "Connection: close\r\n");
    return version_minor == 0 ? PUT(at, "Connection: keep-alive\r\n") : at;
}

static char *put_length(char *at, size_t size)
{
    at = PUT(at, "Content-Length: ");
    at += weft_format_number(at, size);
    return PUT(at, "\r\n");
}

struct head {
    int status;
    int version_minor;
    weft_bytes type;                        /* its data is NULL for none */
    const struct weft_reply_fields *fields; /* NULL for none */
    enum weft_reply_framing framing;
    int64_t length; /* of the body; announced by its framing, unless the status has none */
};

static char *put_framing(char *at, const struct head *h)
{
    if (has_no_body(h->status))
        return at;
    switch (h->framing) {
    case WEFT_FRAMING_LENGTH:
        return put_length(at, (size_t)h->length);
    case WEFT_FRAMING_CHUNKED:
        return PUT(at, "Transfer-Encoding: chunked\r\n");
    default:
        return at;
    }
}

static void write_head(weft_connection *c, const struct head *h)
{
    const struct weft_app_tls *tls = c->server->app->tls;
    size_t hsts_size = UNLIKELY(tls) && tls->hsts_size > 0 && weft_tls_is(&c->transport) ? tls->hsts_size : 0;
    size_t room = HEAD_ROOM + h->type.size + (h->fields ? h->fields->size : 0) + hsts_size;
    char *start = weft_output_room(c, room), *at = put_status(start, h->status);
    at = put(at, weft_server_date(c->server), WEFT_DATE_LINE);
    if (h->type.data && !has_no_body(h->status)) {
        at = PUT(at, "Content-Type: ");
        at = put(at, h->type.data, h->type.size);
        at = PUT(at, "\r\n");
    }
    at = put_framing(at, h);
    at = put_connection(at, c, h->version_minor);
    if (hsts_size > 0)
        at = put(at, tls->hsts, hsts_size);
    for (const struct weft_reply_field *field = h->fields ? h->fields->first : NULL; field; field = field->next)
        at = put(at, field->line, field->size);
    at = PUT(at, "\r\n");
    weft_output_take(c, (size_t)(at - start));
}

/* ---- the one way to reply ---- */

int weft_reply_begin(weft_request *req, enum weft_reply_kind kind, int status, weft_bytes type, enum weft_reply_framing framing,
                     int64_t length)
{
    if (req->reply != WEFT_REPLY_NONE)
        return -EALREADY;
    if (status < 200 || status > 599 || (has_no_body(status) && (framing != WEFT_FRAMING_LENGTH || length > 0)))
        return -EINVAL;
    if (UNLIKELY(req->head.has_body) && kind == WEFT_REPLY_STREAM)
        weft_request_foresee_stream_close(req);
    else if (UNLIKELY(req->head.has_body))
        weft_request_foresee_close(req);
    weft_connection *c = req->connection;
    req->reply = kind;
    req->status = status;
    weft_count(&c->server->counts.replies);
    if (framing == WEFT_FRAMING_CLOSE || c->server->stop_stage >= WEFT_DRAINING)
        c->must_close = true;
    write_head(c, &(struct head){
                      .status = status,
                      .version_minor = req->head.version_minor,
                      .type = type,
                      .fields = &req->fields,
                      .framing = framing,
                      .length = length,
                  });
    return 0;
}

bool weft_reply_is_type(const char *type)
{
    size_t size = type ? strlen(type) : 0;
    return size <= TYPE_MAX && weft_http_is_field_value(type, size);
}

/* What the client does not take at once is copied, and counts for the loop's budget. */
static int check_budget(weft_request *req, size_t size)
{
    weft_server *server = req->connection->server;
    if (!weft_server_is_full(server) && size <= server->app->settings.buffer_budget - server->counts.buffered)
        return 0;
    weft_connection_meet(req->connection, WEFT_LIMIT_BUFFERED);
    return weft_fail(WEFT_EHTTP(503), "a reply of %zu bytes: all connections together may buffer %zu", size,
                     server->app->settings.buffer_budget);
}

static int reply(weft_request *req, int status, weft_bytes type, const void *data, size_t size)
{
    if (req->reply != WEFT_REPLY_NONE)
        return -EALREADY;
    if (UNLIKELY(size > WEFT_OUTPUT_COPY_MAX) && req->head.method_id != WEFT_HTTP_HEAD)
        WEFT_TRY(check_budget(req, size));
    int rc = weft_reply_begin(req, WEFT_REPLY_WHOLE, status, type, WEFT_FRAMING_LENGTH, (int64_t)size);
    if (rc == 0 && size > 0 && req->head.method_id != WEFT_HTTP_HEAD) {
        req->body_sent = (int64_t)size;
        weft_output_write(req->connection, data, size);
    }
    return rc;
}

/* ---- public ---- */

int weft_reply_bytes(weft_request *req, int status, const char *type, const void *data, size_t size)
{
    return weft_reply_is_type(type) ? reply(req, status, (weft_bytes){ type, type ? strlen(type) : 0 }, data, size) : -EINVAL;
}

int weft_reply_empty(weft_request *req, int status)
{
    return reply(req, status, no_type, NULL, 0);
}

int weft_reply_text(weft_request *req, int status, const char *format, ...)
{
    if (req->reply != WEFT_REPLY_NONE)
        return -EALREADY;
    char small[TEXT_ROOM], *text = small;
    va_list args;
    va_start(args, format);
    int64_t size = weft_format_args(small, sizeof small, format, args);
    va_end(args);
    if (UNLIKELY(size >= TEXT_ROOM)) {
        text = weft_arena_alloc(&req->arena, (size_t)size + 1);
        if (!text)
            return -ENOMEM;
        va_start(args, format);
        size = weft_format_args(text, (size_t)size + 1, format, args);
        va_end(args);
    }
    return size < 0 ? -EINVAL : reply(req, status, text_type, text, (size_t)size);
}

struct pack {
    weft_request *req;
    weft_bytes text;
    const char *format;
    va_list *args;
    char error[WEFT_JSON_ERROR_SIZE];
    int rc;
};

static void pack(void *arg)
{
    struct pack *p = arg;
    p->rc = weft_json_pack(&p->req->arena, &p->text, p->error, p->format, *p->args);
    if (p->rc == -EINVAL)
        weft_log(WEFT_LOG_ERROR, "%s %s: no JSON from \"%s\": %s", p->req->head.method, p->req->path, p->format, p->error);
}

int weft_reply_json(weft_request *req, int status, const char *pack_format, ...)
{
    if (req->reply != WEFT_REPLY_NONE)
        return -EALREADY;
    struct pack p = { .req = req, .format = pack_format };
    va_list args;
    va_start(args, pack_format);
    p.args = &args;
    weft_on_loop_stack(pack, &p);
    va_end(args);
    return p.rc < 0 ? p.rc : reply(req, status, json_type, p.text.data, p.text.size);
}

int weft_reply_redirect(weft_request *req, int status, const char *location)
{
    bool is_redirect = status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
    if (req->reply != WEFT_REPLY_NONE)
        return -EALREADY;
    if (!is_redirect || !location || !*location)
        return -EINVAL;
    int rc = weft_set_header(req, "Location", location);
    return rc < 0 ? rc : reply(req, status, no_type, NULL, 0);
}

static bool is_ours(const char *name, size_t size)
{
    static const char *const names[] = { "content-length", "connection", "transfer-encoding", "date" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strlen(names[i]) == size && weft_http_same_text(names[i], name, size))
            return true;
    return false;
}

int weft_reply_add_field(weft_request *req, struct weft_reply_fields *fields, const char *name, const char *value)
{
    size_t name_size = strlen(name), value_size = strlen(value);
    if (!weft_http_is_token(name, name_size) || !weft_http_is_field_value(value, value_size) || is_ours(name, name_size) ||
        name_size + value_size > FIELD_MAX || fields->size > FIELDS_MAX)
        return -EINVAL;
    size_t size = name_size + value_size + 4;
    struct weft_reply_field *field = weft_arena_alloc(&req->arena, sizeof *field + size);
    if (!field)
        return -ENOMEM;
    field->next = NULL;
    field->size = size;
    char *at = put(field->line, name, name_size);
    at = PUT(at, ": ");
    at = put(at, value, value_size);
    PUT(at, "\r\n");
    if (!fields->end)
        fields->end = &fields->first;
    *fields->end = field;
    fields->end = &field->next;
    fields->size += size;
    return 0;
}

int weft_set_header(weft_request *req, const char *name, const char *value)
{
    return req->reply == WEFT_REPLY_NONE ? weft_reply_add_field(req, &req->fields, name, value) : -EALREADY;
}

/* ---- errors ---- */

static size_t format_error(char *text, size_t size, int status, const char *words)
{
    int n = snprintf(text, size, "%d %s%s%s\n", status, weft_http_status_text(status), words ? ": " : "", words ? words : "");
    return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}

void weft_reply_error(weft_request *req, int status, const char *words)
{
    char text[160];
    size_t size = format_error(text, sizeof text, status, words);
    reply(req, status, text_type, text, size); /* cannot fail: no reply was made, and the status is one of ours */
}

void weft_reply_allow(weft_request *req, int status)
{
    char methods[WEFT_ROUTER_ALLOW_SIZE];
    weft_router_allow(req->connection->server->app->router, req->match->allowed, methods, sizeof methods);
    if (weft_set_header(req, "Allow", methods) < 0)
        status = 503; /* out of memory */
    if (status == 204)
        weft_reply_empty(req, status);
    else
        weft_reply_error(req, status, NULL);
}

size_t weft_reply_refusal(weft_connection *c, int status, const char *words)
{
    char text[160];
    size_t size = format_error(text, sizeof text, status, words);
    c->must_close = true;
    weft_count(&c->server->counts.replies);
    write_head(c, &(struct head){
                      .status = status,
                      .version_minor = 1,
                      .type = text_type,
                      .length = (int64_t)size,
                  });
    weft_output_write(c, text, size);
    return size;
}
