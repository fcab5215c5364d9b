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
#include "server/access_log.h"
#include "server/events.h"
#include "server/request.h"

/* ---- states ---- */

/* Row: from; bit: to. */
static const uint8_t legal_moves[] = {
    [WEFT_CONNECTION_IDLE] = 1 << WEFT_CONNECTION_HEAD | 1 << WEFT_CONNECTION_HANDLING | 1 << WEFT_CONNECTION_LINGER |
                             1 << WEFT_CONNECTION_CLOSING,
    [WEFT_CONNECTION_HEAD] = 1 << WEFT_CONNECTION_HANDLING | 1 << WEFT_CONNECTION_LINGER | 1 << WEFT_CONNECTION_CLOSING,
    [WEFT_CONNECTION_HANDLING] = 1 << WEFT_CONNECTION_IDLE | 1 << WEFT_CONNECTION_LINGER | 1 << WEFT_CONNECTION_CLOSING,
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
    if (c->transport_closed && !c->task && !c->request)
        weft_server_free_connection(c->server, c);
}

void weft_connection_close(weft_connection *c, bool resets)
{
    if (c->state == WEFT_CONNECTION_CLOSING)
        return;
    set_state(c, WEFT_CONNECTION_CLOSING);
    weft_server_set_phase(c->server, c, WEFT_PHASE_NONE);
    weft_list_remove(&c->writing);
    if (c->server->output_owner == c) {
        c->server->output_owner = NULL;
        c->server->output_size = 0;
    }
    weft_input_free(&c->input);
    weft_transport_close(&c->transport, resets);
    if (c->request)
        weft_request_on_gone(c->request);
}

/* All is said: sends it, ends our direction, and waits for the peer's end. */
static void linger(weft_connection *c)
{
    weft_output_flush(c->server);
    if (c->is_broken || c->state == WEFT_CONNECTION_CLOSING) {
        weft_connection_close(c, false);
        return;
    }
    set_state(c, WEFT_CONNECTION_LINGER);
    weft_input_free(&c->input);
    c->discard = 0;
    bool is_sent = c->transport.queued == 0;
    weft_server_set_phase(c->server, c, is_sent ? WEFT_PHASE_LINGER : WEFT_PHASE_NONE);
    if (weft_transport_shutdown(&c->transport) < 0 || (c->has_ended && is_sent))
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
    int64_t left = 0;
    bool is_known = c->state != WEFT_CONNECTION_CLOSING && weft_request_skip_body(req, &left);
    bool wants_continue = left > 0 && req->head.expects_continue && !req->sent_continue; /* it may come, or not: who knows */
    c->has_served = true;
    c->request = NULL;
    end_request(req);
    if (c->state == WEFT_CONNECTION_CLOSING)
        return;
    if (c->must_close || c->server->stop_stage >= WEFT_DRAINING || !is_known || wants_continue || left > WEFT_DISCARD_MAX ||
        c->is_broken) {
        linger(c);
        return;
    }
    c->discard = (uint32_t)left;
    set_state(c, WEFT_CONNECTION_IDLE);
}

/* Throws away what is left of a body that nobody read. True when all of it has come. */
static bool discard_body(weft_connection *c)
{
    size_t size = c->input.size < c->discard ? c->input.size : c->discard;
    weft_input_consume(&c->input, size);
    c->discard -= (uint32_t)size;
    return c->discard == 0;
}

static void become_idle(weft_connection *c)
{
    if (c->input.store)
        weft_input_free(&c->input);
    if (c->has_served && c->server->stop_stage >= WEFT_DRAINING)
        linger(c);
    else
        weft_server_set_phase(c->server, c, WEFT_PHASE_IDLE);
}

/* Nothing more can be done with what is there: waits for input, or ends. */
static void rest(weft_connection *c)
{
    if (c->has_ended) {
        if (c->input.size > 0 && c->discard == 0)
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
    if (c->state != WEFT_CONNECTION_CLOSING && weft_transport_read_start(&c->transport) < 0)
        weft_connection_close(c, true);
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
        refuse(c, (weft_bytes){ head, head_size }, status, words);
        return NULL;
    }
    c->server->counts.requests++;
    c->request = req;
    set_state(c, WEFT_CONNECTION_HANDLING);
    weft_server_set_phase(c->server, c, WEFT_PHASE_NONE);
    if (!req->head.keep_alive || c->server->stop_stage >= WEFT_DRAINING)
        c->must_close = true;
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
    while (!is_over(c)) {
        if (c->transport.queued > WEFT_OUTPUT_HIGH) { /* goes on when that has been sent */
            weft_transport_read_stop(&c->transport);
            weft_server_set_phase(c->server, c, WEFT_PHASE_NONE); /* it is not the input that is awaited */
            return NULL;
        }
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
            refuse(c, unread(c), (int)-head, "a malformed or too large head");
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

/* Serves the present request, and those behind it that are there and fit this stack. */
static int serve(void *arg)
{
    weft_connection *c = arg;
    struct next next = { c, c->request };
    size_t size = stack_class(next.req->route->stack_size);
    while (next.req && stack_class(next.req->route->stack_size) == size) {
        c->task->label = next.req->route->label;
        weft_request_run(next.req);
        weft_on_loop_stack(finish_and_take_next, &next);
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
        .file = req->route->label,
        .enters_now = true,
    };
    if (weft_task_start(&c->server->requests, &spec, &c->task) < 0) {
        c->must_close = true;
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
    weft_connection_close(c, false);
}

void weft_connection_read_on(weft_connection *c)
{
    if (!is_over(c) && !c->has_ended && c->input.size <= WEFT_READ_AHEAD / 2 && weft_transport_read_start(&c->transport) < 0)
        weft_connection_close(c, true);
}

static void take_input(weft_connection *c, char *data, size_t size)
{
    if (c->state == WEFT_CONNECTION_LINGER) {
        c->discard += (uint32_t)size;
        if (c->discard > WEFT_DISCARD_MAX)
            weft_connection_close(c, false);
        return;
    }
    if (!weft_input_add(&c->input, data, size)) {
        weft_connection_close(c, true);
        return;
    }
    if (c->state == WEFT_CONNECTION_HANDLING)
        weft_request_on_input(c->request);
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
    } else if (c->state != WEFT_CONNECTION_HANDLING) {
        go_on(c);
    } else if (c->request->reply == WEFT_REPLY_STREAM) {
        weft_connection_close(c, false); /* who reads no further request, and may be reading no reply */
    } else {
        weft_request_on_input(c->request);
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
    if (c->state == WEFT_CONNECTION_HANDLING && c->input.size >= WEFT_READ_AHEAD)
        weft_transport_read_stop(&c->transport);
    if (c->state != WEFT_CONNECTION_CLOSING && !weft_input_keep(&c->input))
        weft_connection_close(c, true);
    weft_output_flush(server);
}

static void on_drained(weft_transport *t, int error)
{
    weft_connection *c = CONTAINER_OF(t, weft_connection, transport);
    weft_list_remove(&c->writing);
    if (c->state == WEFT_CONNECTION_CLOSING)
        return;
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
    } else {
        go_on(c);
        weft_output_flush(c->server);
    }
}

static void on_closed(weft_transport *t)
{
    weft_connection *c = CONTAINER_OF(t, weft_connection, transport);
    c->transport_closed = true;
    free_if_unused(c);
}

const weft_transport_events weft_connection_events = { .input = on_input, .drained = on_drained, .closed = on_closed };

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
    return c;
}

void weft_connection_abandon(weft_connection *c)
{
    weft_server_free_connection(c->server, c);
}

void weft_connection_start(weft_connection *c)
{
    c->server->counts.accepted++;
    if (c->server->access_log)
        weft_access_log_connected(c->server->access_log, c);
    weft_server_set_phase(c->server, c, WEFT_PHASE_IDLE);
    if (weft_transport_read_start(&c->transport) < 0)
        weft_connection_close(c, true);
}

bool weft_connection_drain(weft_connection *c)
{
    if (c->state == WEFT_CONNECTION_HANDLING) {
        c->must_close = true;
        weft_events_stop(c->request);
    } else if (c->state == WEFT_CONNECTION_HEAD || (c->state == WEFT_CONNECTION_IDLE && !c->has_served))
        weft_server_set_phase(c->server, c, c->phase); /* its time begins now */
    else if (c->state == WEFT_CONNECTION_IDLE && c->discard > 0)
        linger(c);
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
    linger(c);
    if (c->phase == WEFT_PHASE_LINGER)
        weft_server_set_phase(c->server, c, WEFT_PHASE_LEFT);
}

void weft_connection_cancel(weft_connection *c)
{
    if (c->state == WEFT_CONNECTION_HEAD)
        refuse(c, unread(c), 503, "the server stops");
    else if (c->state == WEFT_CONNECTION_IDLE)
        leave(c);
}

void weft_connection_expire(weft_connection *c)
{
    switch (c->phase) {
    case WEFT_PHASE_HEAD:
        refuse(c, unread(c), 408, "the head took too long");
        break;
    case WEFT_PHASE_BODY:
        if (c->request)
            weft_request_on_slow_body(c->request);
        else
            weft_connection_close(c, false);
        break;
    case WEFT_PHASE_IDLE:
        if (c->transport.queued > 0)
            weft_server_set_phase(c->server, c, WEFT_PHASE_IDLE); /* it still reads its reply */
        else
            weft_connection_close(c, false);
        break;
    case WEFT_PHASE_LEAVING:
        leave(c);
        break;
    default:
        weft_connection_close(c, false);
        break;
    }
}
