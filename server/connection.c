/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Connections. Everything here runs on the loop's stack, but for `serve`, which is a task.
 *
 * `next_request` is the one place that takes requests off the input, and `weft_connection_events` the one way in from the
 * transport. A borrowed input never outlives an input event: every way out of on_input goes through weft_input_keep.
 */
#include "server/connection.h"

#include "lib/base/check.h"
#include "lib/base/random.h"
#include "server/access_log.h"
#include "server/balance.h"
#include "server/events.h"
#include "server/request.h"
#include "server/tls.h"

/* ---- states ---- */

/* Row: from; bit: to. */
static const uint8_t legal_moves[] = {
    [WEFT_CONNECTION_IDLE] = 1 << WEFT_CONNECTION_HEAD | 1 << WEFT_CONNECTION_HANDLING | 1 << WEFT_CONNECTION_LINGER |
                             1 << WEFT_CONNECTION_CLOSING,
    [WEFT_CONNECTION_HEAD] = 1 << WEFT_CONNECTION_HANDLING | 1 << WEFT_CONNECTION_LINGER | 1 << WEFT_CONNECTION_CLOSING,
    [WEFT_CONNECTION_HANDLING] = 1 << WEFT_CONNECTION_IDLE | 1 << WEFT_CONNECTION_LINGER | 1 << WEFT_CONNECTION_CLOSING |
                                 1 << WEFT_CONNECTION_UPGRADED,
    [WEFT_CONNECTION_UPGRADED] = 1 << WEFT_CONNECTION_LINGER | 1 << WEFT_CONNECTION_CLOSING,
    [WEFT_CONNECTION_LINGER] = 1 << WEFT_CONNECTION_CLOSING,
    [WEFT_CONNECTION_CLOSING] = 0,
};

static void set_state(weft_connection *c, enum weft_connection_state state)
{
    CHECK(legal_moves[c->state] >> state & 1);
    c->state = (uint8_t)state;
}

static bool is_over(const weft_connection *c)
{
    return c->state >= WEFT_CONNECTION_LINGER;
}

/* ---- ending ---- */

static void free_if_unused(weft_connection *c)
{
    if (c->transport_closed && !c->task && !c->request && !c->is_detached)
        weft_server_free_connection(c->server, c);
}

void weft_connection_close(weft_connection *c, bool resets)
{
    if (c->state == WEFT_CONNECTION_CLOSING)
        return;
    set_state(c, WEFT_CONNECTION_CLOSING);
    weft_count(&c->server->counts.closed[c->ending]);
    weft_count_by(&c->server->counts.open, UINT64_MAX);
    weft_connection_say(c, "closed", weft_ending_words[c->ending]);
    weft_server_set_phase(c->server, c, WEFT_PHASE_NONE);
    weft_list_remove(&c->writing);
    if (c->server->output_owner == c) {
        c->server->output_owner = NULL;
        c->server->output_size = 0;
    }
    weft_input_free(&c->input);
    weft_transport_close(&c->transport, resets);
    weft_connection_weigh(c);
    if (c->is_detached)
        c->upgrade->ops->closed(c->upgrade);
    else if (c->request)
        weft_request_on_gone(c->request);
}

/* All is said: sends it, ends our direction, and waits for the peer's end. */
static void linger(weft_connection *c)
{
    c->transport.is_last = true;
    weft_output_flush(c->server);
    if (c->is_broken || c->state == WEFT_CONNECTION_CLOSING) {
        weft_connection_close(c, false);
        return;
    }
    set_state(c, WEFT_CONNECTION_LINGER);
    weft_input_free(&c->input);
    c->discard = 0;
    int rc = weft_transport_shutdown(&c->transport);
    bool is_sent = c->transport.queued == 0;
    weft_output_watch(c);
    weft_server_set_phase(c->server, c, is_sent ? WEFT_PHASE_LINGER : WEFT_PHASE_NONE);
    if (rc < 0 || (c->has_ended && is_sent))
        weft_connection_close(c, false);
    else if (!c->has_ended && weft_transport_read_start(&c->transport) < 0)
        weft_connection_close(c, true);
}

/* ---- the next request ---- */

static weft_bytes unread(const weft_connection *c)
{
    return (weft_bytes){ c->input.at, c->input.size };
}

/* What never became a request; `head` begins with its first line, as far as it has come. It lies in the input, which is kept
 * for the record: sending what was made before may find the connection broken, and close it. */
static void refuse(weft_connection *c, weft_bytes head, int status, const char *words)
{
    weft_log(WEFT_LOG_DEBUG, "refused a request with %d: %s", status, words ? words : "");
    weft_input input = c->input;
    c->input = (weft_input){ 0 };
    size_t body_size = weft_reply_refusal(c, status, words);
    if (c->server->access_log)
        weft_access_log_refusal(c->server->access_log, c, status, body_size, head);
    weft_input_free(&input);
    linger(c);
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
    refuse(c, unread(c), status, status == 400 ? "a malformed head" : "a head that is too large");
}

static void end_request(weft_request *req)
{
    weft_access_log *log = req->connection->server->access_log;
    if (UNLIKELY(log))
        weft_access_log_end(log, req);
    weft_request_free(req);
}

/* The reply of the present request is made, and its arena still there: what now of the connection? */
static void after_reply(weft_connection *c, weft_request *req)
{
    if (c->is_detached) {
        c->request = NULL;
        end_request(req);
        c->upgrade->ops->released(c->upgrade);
        return;
    }
    int64_t left = 0;
    bool is_known = c->state != WEFT_CONNECTION_CLOSING && weft_request_skip_body(req, &left);
    bool wants_continue = weft_request_awaits_continue(req, left);
    c->has_served = true;
    c->request = NULL;
    end_request(req);
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
        linger(c);
        return;
    }
    c->discard = (uint32_t)left;
    set_state(c, WEFT_CONNECTION_IDLE);
}

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
        linger(c);
    } else {
        weft_server_set_phase(c->server, c, WEFT_PHASE_IDLE);
    }
}

static void read_start(weft_connection *c)
{
    if (weft_transport_read_start(&c->transport) == 0)
        return;
    weft_connection_blame(c, WEFT_END_RESET);
    weft_connection_close(c, true);
}

/* Nothing more can be done with what is there: waits for input, or ends. */
static void rest(weft_connection *c)
{
    if (c->has_ended) {
        bool is_cut = c->input.size > 0 && c->discard == 0;
        weft_connection_blame(c, is_cut ? WEFT_END_MALFORMED : WEFT_END_BY_CLIENT);
        if (is_cut)
            refuse(c, unread(c), 400, "the head ends in the middle");
        else
            linger(c);
        return;
    }
    if (c->discard > 0)
        weft_server_set_phase(c->server, c, WEFT_PHASE_BODY);
    else if (c->input.size == 0)
        become_idle(c);
    else if (c->phase != WEFT_PHASE_HEAD) {
        if (c->state == WEFT_CONNECTION_IDLE)
            set_state(c, WEFT_CONNECTION_HEAD);
        weft_server_set_phase(c->server, c, WEFT_PHASE_HEAD);
    }
    if (c->state != WEFT_CONNECTION_CLOSING)
        read_start(c);
}

/* A whole head is there. Its request, if a handler is to run; NULL when it has been answered. */
static weft_request *begin_request(weft_connection *c, size_t head_size)
{
    int status = 0;
    const char *words = NULL;
    int field_count = c->check.field_count;
    const char *head = c->input.at;
    weft_head_check_init(&c->check);
    weft_request *req = weft_request_new(c, head_size, field_count, &status, &words);
    if (!req) {
        weft_connection_blame(c, status == 503 ? WEFT_END_NO_MEMORY : WEFT_END_MALFORMED);
        refuse(c, (weft_bytes){ head, head_size }, status, words);
        return NULL;
    }
    weft_count(&c->server->counts.requests);
    c->request = req;
    set_state(c, WEFT_CONNECTION_HANDLING);
    weft_server_set_phase(c->server, c, WEFT_PHASE_NONE);
    if (!req->head.keep_alive || c->server->stop_stage >= WEFT_DRAINING)
        c->must_close = true;
    if (UNLIKELY(c->requests_left > 0) && --c->requests_left == 0) {
        weft_connection_end_by(c, WEFT_LIMIT_KEEP_ALIVE_REQUESTS);
        c->must_close = true;
    }
    if (UNLIKELY(c->is_redirected)) {
        weft_tls_redirect(req);
        after_reply(c, req);
        return NULL;
    }
    status = weft_request_route(req);
    if (status == 0)
        return req;
    if (status == 405)
        weft_reply_allow(req, req->head.method_id == WEFT_HTTP_OPTIONS ? 204 : 405);
    else
        weft_reply_error(req, status, NULL);
    after_reply(c, req);
    return NULL;
}

/* Takes the next request off the input; answers and passes over what needs no handler. NULL when there is none to handle now:
 * then the connection waits for input or for its peer to read, or it is over. */
static weft_request *next_request(weft_connection *c)
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
        int64_t head = weft_head_check_run(&c->check, c->input.at, c->input.size, &c->server->app->settings.head);
        if (head == 0) {
            rest(c);
            return NULL;
        }
        if (head < 0) {
            refuse_head(c, (int)-head);
            return NULL;
        }
        weft_request *req = begin_request(c, (size_t)head);
        if (!req)
            continue;
        weft_connection_read_on(c); /* it may have stopped for the request before */
        return req;
    }
    return NULL;
}

/* ---- the task that serves ---- */

struct next {
    weft_connection *c;
    weft_request *req;
};

static void finish_and_take_next(void *arg)
{
    struct next *next = arg;
    after_reply(next->c, next->c->request);
    next->req = next_request(next->c);
}

static size_t stack_class(size_t size)
{
    return size ? size : WEFT_STACK_DEFAULT;
}

/* For reports: which request it is at. */
static void name_task(weft_task *t, const weft_route_target *route)
{
    t->label = route->label;
    t->file = route->file;
    t->line = route->line;
}

/* Serves the present request, and those behind it that are there and fit this stack. */
static int serve(void *arg)
{
    weft_connection *c = arg;
    struct next next = { c, c->request };
    size_t size = stack_class(next.req->route->stack_size);
    while (next.req && stack_class(next.req->route->stack_size) == size) {
        name_task(c->task, next.req->route);
        weft_loop_beat_begin(c->server->loop); /* each request has the time of a stall for itself */
        if (UNLIKELY(next.req->head.wants_upgrade)) {
            weft_request_run_here(next.req, finish_and_take_next, &next);
        } else {
            weft_request_run(next.req);
            weft_on_loop_stack(finish_and_take_next, &next);
        }
    }
    c->task = NULL;
    if (next.req)
        weft_callback_soon(c->server->loop, &c->again);
    free_if_unused(c);
    return 0;
}

static void start_serving(weft_connection *c)
{
    weft_request *req = c->request;
    struct weft_task_spec spec = {
        .fn = serve,
        .arg = c,
        .stack_size = req->route->stack_size,
        .name = "request",
        .file = req->route->file,
        .line = req->route->line,
        .enters_now = true,
    };
    if (weft_task_start(&c->server->requests, &spec, &c->task) < 0) {
        c->must_close = true;
        weft_connection_blame(c, WEFT_END_NO_MEMORY);
        weft_reply_error(req, 503, "no memory for a task");
        after_reply(c, req);
        free_if_unused(c);
        return;
    }
    weft_task_enter(c->task); /* c may be gone afterwards, if its transport was */
}

static void serve_again(weft_callback *callback)
{
    weft_connection *c = CONTAINER_OF(callback, weft_connection, again);
    if (c->state == WEFT_CONNECTION_HANDLING) {
        start_serving(c);
        return;
    }
    end_request(c->request); /* the connection was closed meanwhile */
    c->request = NULL;
    free_if_unused(c);
}

/* Goes on, if no task does. */
static void go_on(weft_connection *c)
{
    if (!c->task && !c->request && next_request(c))
        start_serving(c);
}

/* ---- events ---- */

static void on_broken(weft_connection *c)
{
    c->is_broken = true;
    weft_connection_blame(c, WEFT_END_RESET);
    weft_connection_close(c, false);
}

void weft_connection_read_on(weft_connection *c)
{
    if (!is_over(c) && !c->has_ended && c->input.size <= c->server->app->settings.read_ahead / 2)
        read_start(c);
}

static void take_input(weft_connection *c, char *data, size_t size)
{
    if (c->state == WEFT_CONNECTION_LINGER) {
        c->discard += (uint32_t)size;
        if (c->discard > (uint32_t)c->server->app->settings.discard_limit) {
            weft_connection_end_by(c, WEFT_LIMIT_DISCARD);
            weft_connection_close(c, false);
        }
        return;
    }
    if (!weft_input_add(&c->input, data, size)) {
        weft_connection_blame(c, WEFT_END_NO_MEMORY);
        weft_connection_close(c, true);
        return;
    }
    if (c->state == WEFT_CONNECTION_HANDLING)
        weft_request_on_input(c->request);
    else if (c->state == WEFT_CONNECTION_UPGRADED)
        c->upgrade->ops->input(c->upgrade);
    else
        go_on(c);
}

static void take_end(weft_connection *c)
{
    c->has_ended = true;
    weft_transport_read_stop(&c->transport);
    if (c->state == WEFT_CONNECTION_LINGER) {
        if (c->transport.queued == 0)
            weft_connection_close(c, false);
    } else if (c->state == WEFT_CONNECTION_UPGRADED) {
        c->upgrade->ops->input(c->upgrade);
    } else if (c->state != WEFT_CONNECTION_HANDLING) {
        go_on(c);
    } else if (c->request->reply == WEFT_REPLY_STREAM) {
        weft_connection_blame(c, WEFT_END_BY_CLIENT);
        weft_connection_close(c, false); /* who reads no further request, and may be reading no reply */
    } else {
        weft_request_on_input(c->request);
    }
}

/* What is unread outlives this event, if the loop's budget allows it. */
static void keep_input(weft_connection *c)
{
    if (!weft_input_keep(&c->input)) {
        weft_connection_blame(c, WEFT_END_NO_MEMORY);
        weft_connection_close(c, true);
        return;
    }
    weft_connection_weigh(c);
    if (LIKELY(!weft_server_is_full(c->server) || c->held == 0))
        return;
    if (c->state == WEFT_CONNECTION_HEAD) {
        weft_connection_end_by(c, WEFT_LIMIT_BUFFERED);
        refuse(c, unread(c), 503, "all connections together hold too much");
    } else if (c->input.size > 0 && c->transport.is_reading) { /* else it is awaited, and only output is held */
        weft_connection_meet(c, WEFT_LIMIT_BUFFERED);
        weft_transport_read_stop(&c->transport); /* it goes on when half of the read-ahead is left */
    }
}

static void on_input(weft_transport *t, char *data, int64_t size)
{
    weft_connection *c = CONTAINER_OF(t, weft_connection, transport);
    weft_server *server = c->server;
    if (c->state == WEFT_CONNECTION_CLOSING)
        return;
    if (size < 0) {
        on_broken(c);
        return;
    }
    if (size > 0)
        take_input(c, data, (size_t)size);
    else
        take_end(c);
    bool is_used = c->state == WEFT_CONNECTION_HANDLING || c->state == WEFT_CONNECTION_UPGRADED;
    if (is_used && c->input.size >= server->app->settings.read_ahead && c->transport.is_reading) {
        weft_connection_meet(c, WEFT_LIMIT_READ_AHEAD);
        weft_transport_read_stop(&c->transport);
    }
    if (c->state != WEFT_CONNECTION_CLOSING)
        keep_input(c);
    weft_output_flush(server);
}

static void on_drained(weft_transport *t, int error)
{
    weft_connection *c = CONTAINER_OF(t, weft_connection, transport);
    weft_list_remove(&c->writing);
    if (c->state == WEFT_CONNECTION_CLOSING)
        return;
    weft_connection_weigh(c);
    if (error < 0) {
        on_broken(c);
        return;
    }
    if (c->state == WEFT_CONNECTION_LINGER) {
        if (c->has_ended)
            weft_connection_close(c, false);
        else
            weft_server_set_phase(c->server, c, WEFT_PHASE_LINGER);
    } else if (c->state == WEFT_CONNECTION_HANDLING) {
        weft_request_on_drained(c->request);
    } else if (c->state == WEFT_CONNECTION_UPGRADED) {
        c->upgrade->ops->drained(c->upgrade);
    } else {
        go_on(c);
        weft_output_flush(c->server);
    }
}

static void on_eased(weft_transport *t)
{
    weft_connection *c = CONTAINER_OF(t, weft_connection, transport);
    weft_connection_weigh(c);
    if (c->state == WEFT_CONNECTION_HANDLING && t->queued <= weft_output_low(c))
        weft_request_on_low_water(c->request);
}

static void on_closed(weft_transport *t)
{
    weft_connection *c = CONTAINER_OF(t, weft_connection, transport);
    c->transport_closed = true;
    free_if_unused(c);
}

const weft_transport_events weft_connection_events = {
    .input = on_input,
    .drained = on_drained,
    .eased = on_eased,
    .closed = on_closed,
};

/* ---- upgrades ---- */

void weft_connection_detach(weft_connection *c, weft_upgrade *upgrade)
{
    weft_output_flush(c->server);
    if (c->state == WEFT_CONNECTION_HANDLING)
        set_state(c, WEFT_CONNECTION_UPGRADED);
    c->must_close = true;
    weft_callback_clear(&c->again);
    c->is_detached = true;
    c->upgrade = upgrade;
}

void weft_connection_finish(weft_connection *c)
{
    if (c->state == WEFT_CONNECTION_UPGRADED)
        linger(c);
}

void weft_connection_let_go(weft_connection *c)
{
    c->is_detached = false;
    weft_callback_init(&c->again, serve_again);
    free_if_unused(c);
}

/* ---- beginning, and what the server asks ---- */

weft_connection *weft_connection_new(weft_server *server)
{
    weft_connection *c = weft_slab_take(&server->connection_slab);
    if (!c)
        return NULL;
    *c = (weft_connection){ .server = server, .state = WEFT_CONNECTION_IDLE, .phase = WEFT_PHASE_NONE };
    weft_head_check_init(&c->check);
    weft_list_append(&server->connections, &c->all);
    weft_list_init(&c->timed);
    weft_list_init(&c->writing);
    weft_callback_init(&c->again, serve_again);
    server->connection_count++;
    weft_balance_count(server, 1);
    return c;
}

void weft_connection_abandon(weft_connection *c)
{
    weft_server_free_connection(c->server, c);
}

/* Up to a tenth less than the limit: connections that began together are not to end together. */
static uint16_t draw_requests(weft_server *server)
{
    int most = server->app->settings.keep_alive_requests;
    return (uint16_t)(most - (int)weft_random_below(&server->random, (uint64_t)most / 10 + 1));
}

void weft_connection_start(weft_connection *c)
{
    weft_count(&c->server->counts.accepted);
    weft_count(&c->server->counts.open);
    if (c->server->app->settings.keep_alive_requests > 0)
        c->requests_left = draw_requests(c->server);
    if (c->server->access_log)
        weft_access_log_connected(c->server->access_log, c);
    weft_server_set_phase(c->server, c, WEFT_PHASE_IDLE);
    read_start(c);
}

static void stop(weft_connection *c)
{
    weft_connection_blame(c, WEFT_END_STOPPED);
    linger(c);
}

bool weft_connection_drain(weft_connection *c)
{
    if (c->state == WEFT_CONNECTION_HANDLING) {
        c->must_close = true;
        weft_events_stop(c->request);
    } else if (c->state == WEFT_CONNECTION_UPGRADED)
        c->upgrade->ops->stop(c->upgrade);
    else if (c->state == WEFT_CONNECTION_HEAD || (c->state == WEFT_CONNECTION_IDLE && !c->has_served))
        weft_server_set_phase(c->server, c, c->phase); /* its time begins now */
    else if (c->state == WEFT_CONNECTION_IDLE && c->discard > 0)
        stop(c);
    else /* one that still sends, or has more requests unread, goes on when all is sent */
        return c->state == WEFT_CONNECTION_IDLE && c->transport.queued == 0;
    return false;
}

/* An idle connection's turn to be closed; one with unread bytes gets them answered first. */
static void leave(weft_connection *c)
{
    if (weft_transport_has_unread(&c->transport)) {
        weft_server_set_phase(c->server, c, WEFT_PHASE_IDLE);
        return;
    }
    stop(c);
    if (c->phase == WEFT_PHASE_LINGER)
        weft_server_set_phase(c->server, c, WEFT_PHASE_LEFT);
}

void weft_connection_cancel(weft_connection *c)
{
    if (c->state == WEFT_CONNECTION_HEAD) {
        weft_connection_blame(c, WEFT_END_STOPPED);
        refuse(c, unread(c), 503, "the server stops");
    } else if (c->state == WEFT_CONNECTION_UPGRADED) {
        c->upgrade->ops->stop(c->upgrade);
    } else if (c->state == WEFT_CONNECTION_IDLE) {
        leave(c);
    }
}

void weft_connection_expire(weft_connection *c)
{
    switch (c->phase) {
    case WEFT_PHASE_HEAD:
        weft_connection_end_by(c, WEFT_LIMIT_HEAD_TIME);
        refuse(c, unread(c), 408, "the head took too long");
        break;
    case WEFT_PHASE_BODY:
        weft_connection_end_by(c, WEFT_LIMIT_BODY_TIME);
        if (c->request)
            weft_request_on_slow_body(c->request);
        else
            weft_connection_close(c, false);
        break;
    case WEFT_PHASE_IDLE:
        if (c->transport.queued > 0) {
            weft_server_set_phase(c->server, c, WEFT_PHASE_IDLE); /* it still reads its reply */
            break;
        }
        weft_connection_end_by(c, WEFT_LIMIT_KEEP_ALIVE);
        weft_connection_close(c, false);
        break;
    case WEFT_PHASE_LEAVING:
        leave(c);
        break;
    case WEFT_PHASE_PROXY:
        weft_connection_end_by(c, WEFT_LIMIT_PROXY_TIME);
        weft_connection_close(c, true);
        break;
    case WEFT_PHASE_LINGER:
        weft_connection_end_by(c, WEFT_LIMIT_LINGER);
        weft_connection_close(c, false);
        break;
    default:
        weft_connection_close(c, false);
        break;
    }
}
