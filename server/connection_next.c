/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The requests on a connection: from its input to their end. weft_connection_next is the one place that takes them off the
 * input. On the loop's stack.
 */
#include "lib/base/check.h"
#include "server/access_log.h"
#include "server/connection_own.h"
#include "server/request.h"
#include "server/tls.h"

/* ---- refusals ---- */

/* The head lies in the input, which is kept for the record: sending what was made before may find the connection broken, and
 * close it. */
void weft_connection_refuse(weft_connection *c, weft_bytes head, int status, const char *words)
{
    weft_log(WEFT_LOG_DEBUG, "refused a request with %d: %s", status, words ? words : "");
    weft_input input = c->input;
    c->input = (weft_input){ 0 };
    size_t body_size = weft_reply_refusal(c, status, words);
    if (c->server->access_log)
        weft_access_log_refusal(c->server->access_log, c, status, body_size, head);
    weft_input_free(&input);
    weft_connection_linger(c);
}

void weft_connection_refuse_unread(weft_connection *c, int status, const char *words)
{
    weft_connection_refuse(c, (weft_bytes){ c->input.at, c->input.size }, status, words);
}

/* The byte check has refused the head that is begun; `status` is 400, 414 or 431. */
static void refuse_head(weft_connection *c, int status)
{
    static const uint8_t limits[] = {
        [WEFT_HEAD_LONG_LINE] = WEFT_LIMIT_REQUEST_LINE,
        [WEFT_HEAD_LONG_FIELD] = WEFT_LIMIT_FIELD,
        [WEFT_HEAD_LONG] = WEFT_LIMIT_HEAD,
        [WEFT_HEAD_MANY_FIELDS] = WEFT_LIMIT_FIELD_COUNT,
    };
    if (status == 400)
        weft_connection_blame(c, WEFT_END_MALFORMED);
    else
        weft_connection_end_by(c, (enum weft_limit)limits[c->check.excess]);
    weft_connection_refuse_unread(c, status, status == 400 ? "a malformed head" : "a head that is too large");
}

/* ---- the end of a request ---- */

void weft_connection_end_request(weft_request *req)
{
    weft_access_log *log = req->connection->server->access_log;
    if (UNLIKELY(log))
        weft_access_log_end(log, req);
    weft_request_free(req);
}

void weft_connection_after_reply(weft_connection *c, weft_request *req)
{
    if (c->is_detached) {
        c->request = NULL;
        weft_connection_end_request(req);
        c->upgrade->ops->released(c->upgrade);
        return;
    }
    bool client_ends = req->head.version_minor > 0 && !req->head.keep_alive; /* it said so: not by being old */
    int64_t left = 0;
    bool is_known = c->state != WEFT_CONNECTION_CLOSING && weft_request_skip_body(req, &left);
    bool wants_continue = weft_request_awaits_continue(req, left);
    c->has_served = true;
    c->request = NULL;
    weft_connection_end_request(req);
    if (c->state == WEFT_CONNECTION_CLOSING)
        return;
    bool is_stopping = c->server->stop_stage >= WEFT_DRAINING;
    if (left > c->server->app->settings.discard_limit)
        weft_connection_end_by(c, WEFT_LIMIT_DISCARD);
    if (c->must_close || is_stopping || !is_known || wants_continue || c->ending == WEFT_END_LIMIT || c->is_broken) {
        weft_connection_blame(c, c->is_broken                  ? WEFT_END_RESET
                                 : !is_known || wants_continue ? WEFT_END_UNREAD_BODY
                                 : is_stopping                 ? WEFT_END_STOPPED
                                                               : WEFT_END_LAST_REPLY);
        if (client_ends && left == 0)
            weft_connection_part(c);
        else
            weft_connection_linger(c);
        return;
    }
    c->discard = (uint32_t)left;
    weft_connection_set_state(c, WEFT_CONNECTION_IDLE);
}

/* ---- the next one ---- */

/* Throws away what is left of a body that nobody read. True when all of it has come. */
static bool discard_body(weft_connection *c)
{
    if (LIKELY(c->discard == 0))
        return true;
    size_t size = c->input.size < c->discard ? c->input.size : c->discard;
    weft_input_consume(&c->input, size);
    c->discard -= (uint32_t)size;
    return c->discard == 0;
}

static void become_idle(weft_connection *c)
{
    if (c->input.store)
        weft_input_free(&c->input);
    if (c->has_served && c->server->stop_stage >= WEFT_DRAINING) {
        weft_connection_blame(c, WEFT_END_STOPPED);
        weft_connection_linger(c);
    } else {
        weft_server_set_phase(c->server, c, WEFT_PHASE_IDLE);
    }
}

/* Nothing more can be done with what is there: waits for input, or ends. */
static void rest(weft_connection *c)
{
    if (c->has_ended) {
        bool is_cut = c->input.size > 0 && c->discard == 0;
        weft_connection_blame(c, is_cut ? WEFT_END_MALFORMED : WEFT_END_BY_CLIENT);
        if (is_cut)
            weft_connection_refuse_unread(c, 400, "the head ends in the middle");
        else
            weft_connection_linger(c);
        return;
    }
    if (c->discard > 0)
        weft_server_set_phase(c->server, c, WEFT_PHASE_BODY);
    else if (c->input.size == 0)
        become_idle(c);
    else if (c->phase != WEFT_PHASE_HEAD) {
        if (c->state == WEFT_CONNECTION_IDLE)
            weft_connection_set_state(c, WEFT_CONNECTION_HEAD);
        weft_server_set_phase(c->server, c, WEFT_PHASE_HEAD);
    }
    if (c->state != WEFT_CONNECTION_CLOSING)
        weft_connection_read_start(c);
}

static void begin_request(weft_connection *c, weft_request *req)
{
    weft_count(&c->server->counts.requests);
    c->request = req;
    weft_connection_set_state(c, WEFT_CONNECTION_HANDLING);
    weft_server_suspend_phase(c->server, c);
    if (!req->head.keep_alive || c->server->stop_stage >= WEFT_DRAINING)
        c->must_close = true;
    if (UNLIKELY(c->requests_left > 0) && --c->requests_left == 0) {
        weft_connection_end_by(c, WEFT_LIMIT_KEEP_ALIVE_REQUESTS);
        c->must_close = true;
    }
}

/* A whole head is there. Its request, if a handler is to run; NULL when it has been answered. */
static weft_request *take_head(weft_connection *c, size_t head_size, const weft_head_cuts *cuts)
{
    int status = 0;
    const char *words = NULL;
    int field_count = c->check.field_count;
    const char *head = c->input.at;
    weft_head_check_init(&c->check);
    weft_request *req = weft_request_new(c, head_size, field_count, cuts, &status, &words);
    if (!req) {
        weft_connection_blame(c, status == 503 ? WEFT_END_NO_MEMORY : WEFT_END_MALFORMED);
        weft_connection_refuse(c, (weft_bytes){ head, head_size }, status, words);
        return NULL;
    }
    begin_request(c, req);
    if (UNLIKELY(c->is_redirected)) {
        weft_tls_redirect(req);
        weft_connection_after_reply(c, req);
        return NULL;
    }
    status = weft_request_route(req);
    if (status == 0) {
        if (c->has_served)
            weft_head_cache_keep(c->server, req, head, head_size);
        return req;
    }
    if (status == 405)
        weft_reply_allow(req, req->head.method_id == WEFT_HTTP_OPTIONS ? 204 : 405);
    else
        weft_reply_error(req, status, NULL);
    weft_connection_after_reply(c, req);
    return NULL;
}

/* The same when it is the last one's head again. */
static weft_request *take_head_again(weft_connection *c, struct weft_cached_head *cached)
{
    weft_request *req = weft_head_cache_request(c, cached);
    if (!req) {
        weft_connection_blame(c, WEFT_END_NO_MEMORY);
        weft_connection_refuse_unread(c, 503, "out of memory");
        return NULL;
    }
    begin_request(c, req);
    return req;
}

weft_request *weft_connection_next(weft_connection *c)
{
    while (c->state < WEFT_CONNECTION_UPGRADED) {
        if (c->transport.queued > c->server->app->settings.output_high) { /* goes on when that has been sent */
            weft_connection_meet(c, WEFT_LIMIT_OUTPUT);
            weft_transport_read_stop(&c->transport);
            weft_server_set_phase(c->server, c, WEFT_PHASE_NONE); /* it is not the input that is awaited */
            return NULL;
        }
        if (UNLIKELY(c->awaits_proxy) && !weft_connection_take_proxy(c))
            return NULL;
        if (!discard_body(c) || c->input.size == 0) {
            rest(c);
            return NULL;
        }
        weft_request *req;
        struct weft_cached_head *cached = weft_head_cache_find(c->server, c);
        if (cached) {
            req = take_head_again(c, cached);
        } else {
            weft_head_cuts cuts;
            int64_t head = weft_head_check_run_cutting(&c->check, c->input.at, c->input.size, &c->server->app->settings.head,
                                                       &cuts);
            if (head < 0)
                refuse_head(c, (int)-head);
            else if (head == 0)
                rest(c);
            if (head <= 0)
                return NULL;
            req = take_head(c, (size_t)head, &cuts);
        }
        if (!req)
            continue;
        weft_connection_read_on(c); /* it may have stopped for the request before */
        return req;
    }
    return NULL;
}
