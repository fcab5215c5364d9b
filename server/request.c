/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * A request from its head to its end. The order at the end is fixed: the handler returns; the reply is sealed; its tasks are
 * cancelled and joined; deferred calls run under the shield; the arena is given back; then comes the next request.
 */
#include "server/request.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "lib/base/check.h"
#include "lib/base/clock.h"
#include "lib/base/format.h"
#include "lib/base/memory.h"
#include "server/access_log.h"
#include "server/events.h"

/* ---- making ---- */

weft_request *weft_request_blank(weft_server *server)
{
    weft_request *req = weft_slab_take(&server->request_slab);
    if (req) /* the group is filled in by others */
        memset(&req->is_open, 0, sizeof *req - offsetof(weft_request, is_open));
    return req;
}

/* Takes the head off the input and reads it. 0, or the status to refuse it with. */
static int read_head(weft_request *req, size_t head_size, int field_count, const weft_head_cuts *cuts, const char **ret_reason)
{
    weft_input *input = &req->connection->input;
    char *data = weft_arena_alloc(&req->arena, head_size);
    if (!data)
        return 503;
    memcpy(data, input->at, head_size);
    weft_input_consume(input, head_size);
    if (UNLIKELY(req->connection->server->access_log))
        weft_access_log_begin(req->connection->server->access_log, req, data, head_size);
    int rc = weft_http_head_parse_cut(&req->head, &req->arena, data, head_size, field_count, cuts);
    if (rc != 0) {
        *ret_reason = req->head.reason;
        return rc < 0 ? 503 : rc;
    }
    rc = weft_http_target_parse(&req->target, req->head.target, req->head.target_size, req->head.method_id == WEFT_HTTP_OPTIONS,
                                ret_reason);
    if (rc != 0)
        return rc;
    if (req->head.expects_unknown) {
        *ret_reason = "an expectation that cannot be met";
        return 417;
    }
    return 0;
}

weft_request *weft_request_new(weft_connection *c, size_t head_size, int field_count, const weft_head_cuts *cuts,
                               int *ret_status, const char **ret_reason)
{
    weft_request *req = weft_request_blank(c->server);
    *ret_status = 503;
    *ret_reason = "out of memory";
    if (!req)
        return NULL;
    memset(req, 0, offsetof(weft_request, group));
    req->connection = c;
    weft_arena_init(&req->arena, &c->server->loop->arenas);
    *ret_status = read_head(req, head_size, field_count, cuts, ret_reason);
    if (*ret_status == 0)
        return req;
    weft_request_free(req);
    return NULL;
}

void weft_request_free(weft_request *req)
{
    weft_server *server = req->connection->server;
    if (UNLIKELY(req->buffered > 0))
        weft_server_hold(server, -(int64_t)req->buffered);
    weft_events_free(req);
    if (req->lender)
        weft_head_cache_take_back(req->lender);
    weft_arena_free(&req->arena);
    weft_mem_free(req->texts);
    if (!req->is_moved)
        weft_slab_give(&server->request_slab, req);
}

void weft_request_move(weft_request *req, weft_request *place)
{
    CHECK(!req->is_open && !req->fields.end && !req->trailers.end); /* nothing points into it */
    *place = *req;
    place->is_moved = true;
    place->connection->request = place;
    weft_slab_give(&place->connection->server->request_slab, req);
}

/* NUL-terminates the matched parts, in copies: the path itself stays whole. */
static int copy_params(weft_request *req)
{
    for (int i = 0; i < req->match->param_count; i++) {
        weft_route_param *param = &req->match->params[i];
        weft_bytes decoded;
        if (!req->target.has_escapes || !memchr(param->value, '%', param->value_size))
            param->value = weft_arena_copy(&req->arena, param->value, param->value_size);
        else if (weft_http_decode(&req->arena, param->value, param->value_size, &decoded) == 0)
            param->value = decoded.data;
        else
            param->value = NULL;
        if (!param->value)
            return -ENOMEM;
    }
    return 0;
}

static size_t match_size(const weft_route_match *match)
{
    return offsetof(weft_route_match, params) + (size_t)match->param_count * sizeof match->params[0];
}

/* Moves what a handler may ask for as long as it runs out of the arena, into a block of its own. 0 or -ENOMEM. */
static int keep_texts(weft_request *req)
{
    const char **texts[WEFT_ROUTE_PARAM_MAX + 2];
    int count = 0;
    size_t size = match_size(req->match);
    for (int i = 0; i < req->match->param_count; i++)
        texts[count++] = &req->match->params[i].value;
    texts[count++] = &req->path;
    const char *query = req->target.query;
    if (query)
        texts[count++] = &query;
    for (int i = 0; i < count; i++)
        size += strlen(*texts[i]) + 1;
    char *at = req->texts = weft_mem_alloc(size);
    if (!at)
        return -ENOMEM;
    at += match_size(req->match);
    for (int i = 0; i < count; i++) {
        size_t here = strlen(*texts[i]) + 1;
        *texts[i] = memcpy(at, *texts[i], here);
        at += here;
    }
    req->target.query = query ? at - strlen(query) - 1 : NULL;
    memcpy(req->texts, req->match, match_size(req->match)); /* with the values that have moved */
    req->match = (weft_route_match *)(void *)req->texts;
    return 0;
}

int weft_request_route(weft_request *req)
{
    const weft_http_target *target = &req->target;
    weft_app *app = req->connection->server->app;
    req->match = weft_arena_alloc(&req->arena, sizeof *req->match);
    if (!req->match)
        return 503;
    int rc = weft_router_find(app->router, req->head.method, target->path, req->match);
    req->path = target->path;
    if (rc != 0)
        return rc;
    req->route = req->match->target;
    weft_arena_trim(&req->arena, req->match, sizeof *req->match, match_size(req->match));
    weft_bytes decoded = { target->path, target->path_size };
    if (target->has_escapes && memchr(target->path, '%', target->path_size) &&
        weft_http_decode(&req->arena, target->path, target->path_size, &decoded) < 0)
        return 503;
    req->path = decoded.data;
    if (copy_params(req) < 0 || (UNLIKELY(req->head.wants_upgrade) && keep_texts(req) < 0))
        return 503;
    req->handed = req->arena.at;
    return 0;
}

void weft_request_slim(weft_request *req)
{
    if (!req->texts || req->arena.at != req->handed || req->connection->server->access_log)
        return;
    weft_arena_free(&req->arena);
    weft_http_head none = { .method = "GET", .version_minor = 1, .content_length = -1 };
    req->head = none;
    req->target.path = NULL;
    req->target.host = NULL;
    req->fields = (struct weft_reply_fields){ 0 };
}

/* ---- the end ---- */

/* The status that the handler's result stands for; 0 for no reply at all. */
static int status_of(const weft_request *req, int rc)
{
    const weft_server *server = req->connection->server;
    if (rc <= -5400 && rc >= -5599)
        return -5000 - rc;
    if (weft_request_gone(req))
        return 0;
    switch (rc) {
    case WEFT_EDEADLINE:
        return 503;
    case WEFT_ECANCELED:
        return server->stop_stage == WEFT_CANCELLING ? 503 : 500;
    case WEFT_EGONE: /* the client ended its direction before its body did */
        return req->connection->has_ended ? 400 : 500;
    default:
        return 500;
    }
}

static void log_failure(const weft_request *req, int rc, int status)
{
    if (rc >= 0)
        weft_log(WEFT_LOG_ERROR, "%s %s: the handler made no reply", req->head.method, req->path);
    else if (status >= 500 && rc != WEFT_EDEADLINE)
        weft_log(WEFT_LOG_ERROR, "%s %s: %s", req->head.method, req->path,
                 *weft_error_trail() ? weft_error_trail() : weft_strerror(rc));
    else if (status >= 500)
        weft_log(WEFT_LOG_WARNING, "%s %s: %s", req->head.method, req->path, weft_strerror(rc));
}

/* A stream that went wrong ends without a false end. Where only the close tells the end, a reset tells that it is none. */
static void cut(weft_request *req)
{
    req->connection->must_close = true;
    weft_connection_blame(req->connection, weft_request_gone(req) ? WEFT_END_RESET : WEFT_END_FAILED_STREAM);
    weft_connection_close(req->connection, req->framing == WEFT_FRAMING_CLOSE); /* behind what was written */
}

/* What the handler leaves unsaid is said now; from here on the reply is what it is. */
static void seal(weft_request *req, int rc)
{
    weft_server *server = req->connection->server;
    if (rc == WEFT_ECANCELED && server->stop_stage == WEFT_CANCELLING)
        weft_count(&server->counts.cancelled);
    else if (server->stop_stage >= WEFT_DRAINING)
        weft_count(&server->counts.drained);
    if (req->reply == WEFT_REPLY_STREAM && !weft_reply_end_stream(req, rc))
        cut(req);
    bool is_upgraded = req->connection->is_detached;
    if (is_upgraded)
        req->connection->upgrade->ops->sealed(req->connection->upgrade, rc);
    if (req->reply != WEFT_REPLY_NONE) {
        if (is_upgraded && (rc == WEFT_ECLOSED || rc == WEFT_EPROTOCOL))
            return; /* the peer's doing */
        if (rc < 0 && rc != WEFT_ECANCELED && rc != WEFT_EGONE)
            weft_log(WEFT_LOG_ERROR, "%s %s: after its reply: %s", req->head.method, req->path,
                     *weft_error_trail() ? weft_error_trail() : weft_strerror(rc));
        return;
    }
    int status = status_of(req, rc);
    if (status == 0)
        return;
    if (rc == WEFT_EDEADLINE && req->group.scope.expired)
        weft_connection_meet(req->connection, WEFT_LIMIT_REQUEST_TIME);
    log_failure(req, rc, status);
    if (status == 503 && server->stop_stage != WEFT_SERVING)
        (void)!weft_set_header(req, "Retry-After", "1");
    if (status == 408 || status == 413 || req->connection->has_ended)
        req->connection->must_close = true;
    weft_reply_error(req, status, NULL);
}

void weft_request_run(weft_request *req)
{
    weft_task *t = weft_here->current;
    weft_server *server = req->connection->server;
    weft_duration timeout = req->route->timeout ? req->route->timeout : server->app->settings.request_timeout;
    if (t->trail) {
        weft_trail_free(t->trail);
        t->trail = NULL;
    }
    req->group.timeout = timeout;
    req->group.limit = 0; /* the arena's memory holds what was there before */
    req->group.on_error = WEFT_CANCEL_SIBLINGS;
    req->group.keep_ended = false;
    req->group.stack_size = 0;
    weft_group_enter(&req->group, t,
                     timeout == WEFT_NO_LIMIT ? timeout : weft_clock_add(weft_loop_recent(server->loop), timeout));
    req->is_open = true;
    if (req->connection->state == WEFT_CONNECTION_CLOSING)
        weft_request_on_gone(req); /* it was closed between the head and here: nobody else would cancel the handler */
    int rc = req->route->handler(req);
    if (t->innermost != &req->group.scope)
        weft_misuse_die("the handler of %s returned with a scope or group still open", req->route->label);
    seal(req, rc);
    if (weft_group_own(&req->group)->count > 0)
        weft_group_cancel(&req->group);
    weft_group_join(&req->group);
    req->is_open = false;
    if (t->deferred)
        weft_task_run_deferred(t);
}

void weft_request_on_gone(weft_request *req)
{
    if (req->body_wait)
        weft_wait_settle(req->body_wait, WEFT_EGONE);
    if (req->write_wait)
        weft_wait_settle(req->write_wait, WEFT_EGONE);
    weft_events_on_gone(req);
    if (req->is_open && !req->route->finish_when_client_leaves)
        weft_scope_cut(&req->group.scope, WEFT_ECANCELED, false);
}

/* ---- what was asked ---- */

const char *weft_method(const weft_request *req)
{
    return req->head.method;
}

const char *weft_path(const weft_request *req)
{
    return req->path;
}

const char *weft_query_string(const weft_request *req)
{
    return req->target.query;
}

const char *weft_param_or(const weft_request *req, const char *name, const char *otherwise)
{
    for (int i = 0; i < req->match->param_count; i++)
        if (strcmp(req->match->params[i].name, name) == 0)
            return req->match->params[i].value;
    return otherwise;
}

const char *weft_param(const weft_request *req, const char *name)
{
    const char *value = weft_param_or(req, name, NULL);
    if (!value)
        weft_misuse_die("weft_param: the route %s has no {%s}", req->route->pattern, name);
    return value;
}

int64_t weft_param_int(const weft_request *req, const char *name)
{
    for (int i = 0; i < req->match->param_count; i++) {
        const weft_route_param *param = &req->match->params[i];
        int64_t number;
        if ((req->match->int_params >> i & 1) && strcmp(param->name, name) == 0 &&
            weft_pattern_read_int(param->value, strlen(param->value), &number))
            return number;
    }
    weft_misuse_die("weft_param_int: the route %s has no {%s:int}", req->route->pattern, name);
}

const char *weft_query(weft_request *req, const char *name)
{
    const char *value = NULL;
    if (weft_http_query_find(&req->arena, req->target.query, name, &value) < 0)
        weft_log(WEFT_LOG_ERROR, "out of memory for a field of the query");
    return value;
}

const char *weft_header(const weft_request *req, const char *name)
{
    return weft_http_head_find(&req->head, name);
}

void *weft_app_state(const weft_request *req)
{
    return req->connection->server->app->state;
}

bool weft_stopping(const weft_request *req)
{
    return req->connection->server->stop_stage != WEFT_SERVING;
}

bool weft_request_gone(const weft_request *req)
{
    return req->connection->is_broken || req->connection->state == WEFT_CONNECTION_CLOSING;
}

/* ---- memory ---- */

void *weft_alloc(weft_request *req, size_t size)
{
    return weft_arena_alloc(&req->arena, size);
}

char *weft_format(weft_request *req, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int64_t size = weft_format_args(NULL, 0, format, args);
    va_end(args);
    char *text = size < 0 ? NULL : weft_arena_alloc(&req->arena, (size_t)size + 1);
    if (!text)
        return NULL;
    va_start(args, format);
    weft_format_args(text, (size_t)size + 1, format, args);
    va_end(args);
    return text;
}
