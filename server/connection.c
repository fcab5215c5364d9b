/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * A connection's life, and what its transport tells. Everything here runs on the loop's stack.
 *
 * `weft_connection_events` is the one way in from the transport. A borrowed input never outlives an input event: every way out
 * of on_input goes through weft_input_keep.
 */
#include "lib/base/check.h"
#include "lib/base/random.h"
#include "server/access_log.h"
#include "server/balance.h"
#include "server/connection_own.h"
#include "server/events.h"
#include "server/request.h"
#include "server/tls.h"

/* ---- states ---- */

/* Row: from; column: to. */
static const bool legal_moves[][WEFT_CONNECTION_CLOSING + 1] = {
    [WEFT_CONNECTION_IDLE] = { [WEFT_CONNECTION_HEAD] = true,
                               [WEFT_CONNECTION_HANDLING] = true,
                               [WEFT_CONNECTION_LINGER] = true,
                               [WEFT_CONNECTION_CLOSING] = true },
    [WEFT_CONNECTION_HEAD] = { [WEFT_CONNECTION_HANDLING] = true,
                               [WEFT_CONNECTION_LINGER] = true,
                               [WEFT_CONNECTION_CLOSING] = true },
    [WEFT_CONNECTION_HANDLING] = { [WEFT_CONNECTION_IDLE] = true,
                                   [WEFT_CONNECTION_LINGER] = true,
                                   [WEFT_CONNECTION_CLOSING] = true,
                                   [WEFT_CONNECTION_UPGRADED] = true },
    [WEFT_CONNECTION_UPGRADED] = { [WEFT_CONNECTION_LINGER] = true, [WEFT_CONNECTION_CLOSING] = true },
    [WEFT_CONNECTION_LINGER] = { [WEFT_CONNECTION_CLOSING] = true },
    [WEFT_CONNECTION_CLOSING] = { false },
};

void weft_connection_set_state(weft_connection *c, enum weft_connection_state state)
{
    CHECK(legal_moves[c->state][state]);
    c->state = (uint8_t)state;
}

static bool is_over(const weft_connection *c)
{
    return c->state >= WEFT_CONNECTION_LINGER;
}

/* ---- ending ---- */

void weft_connection_free_if_unused(weft_connection *c)
{
    if (c->transport_closed && !c->task && !c->request && !c->is_detached)
        weft_server_free_connection(c->server, c);
}

void weft_connection_close(weft_connection *c, bool resets)
{
    if (!c->is_broken)
        weft_output_flush(c->server); /* a reply that waits for others leaves before; c may be found broken, and be closed */
    if (c->state == WEFT_CONNECTION_CLOSING)
        return;
    weft_connection_set_state(c, WEFT_CONNECTION_CLOSING);
    weft_count(&c->server->counts.closed[c->ending]);
    weft_count_by(&c->server->counts.open, UINT64_MAX);
    weft_connection_say(c, "closed", weft_ending_words[c->ending]);
    weft_server_set_phase(c->server, c, WEFT_PHASE_NONE);
    weft_list_remove(&c->writing);
    weft_output_forget(c->server, c);
    weft_input_free(&c->input);
    weft_transport_close(&c->transport, resets);
    weft_connection_weigh(c);
    if (c->is_detached)
        c->upgrade->ops->closed(c->upgrade);
    else if (c->request)
        weft_request_on_gone(c->request);
}

void weft_connection_linger(weft_connection *c)
{
    c->transport.is_last = true;
    weft_output_flush(c->server);
    if (c->is_broken || c->state == WEFT_CONNECTION_CLOSING) {
        weft_connection_close(c, false);
        return;
    }
    weft_connection_set_state(c, WEFT_CONNECTION_LINGER);
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

void weft_connection_part(weft_connection *c)
{
    if (!weft_tls_is(&c->transport)) {
        c->transport.is_last = true;
        weft_output_flush(c->server);
        if (c->state == WEFT_CONNECTION_CLOSING)
            return;
        if (c->transport.took_all && c->input.size == 0 && c->transport.queued == 0) {
            weft_transport_shutdown(&c->transport); /* or else what has come since would take the reply with it */
            weft_connection_close(c, false);
            return;
        }
    }
    weft_connection_linger(c);
}

/* ---- events ---- */

void weft_connection_read_start(weft_connection *c)
{
    if (weft_transport_read_start(&c->transport) == 0)
        return;
    weft_connection_blame(c, WEFT_END_RESET);
    weft_connection_close(c, true);
}

static void on_broken(weft_connection *c)
{
    c->is_broken = true;
    weft_connection_blame(c, WEFT_END_RESET);
    weft_connection_close(c, false);
}

void weft_connection_read_on(weft_connection *c)
{
    if (!is_over(c) && !c->has_ended && c->input.size <= c->server->app->settings.read_ahead / 2)
        weft_connection_read_start(c);
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
        weft_connection_go_on(c);
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
        weft_connection_go_on(c);
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
        weft_connection_refuse_unread(c, 503, "all connections together hold too much");
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
    weft_output_flush_if_due(server);
}

/* What is unread is in front of what comes next, and so lies in one piece with it. */
static struct iovec on_room(weft_transport *t)
{
    weft_connection *c = CONTAINER_OF(t, weft_connection, transport);
    bool has_room = c->state == WEFT_CONNECTION_UPGRADED && c->input.size == 0;
    return has_room ? c->upgrade->ops->room(c->upgrade) : (struct iovec){ NULL, 0 };
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
        weft_connection_go_on(c);
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
    weft_connection_free_if_unused(c);
}

const weft_transport_events weft_connection_events = {
    .input = on_input,
    .room = on_room,
    .drained = on_drained,
    .eased = on_eased,
    .closed = on_closed,
};

/* ---- upgrades ---- */

void weft_connection_detach(weft_connection *c, weft_upgrade *upgrade)
{
    weft_output_flush(c->server);
    if (c->state == WEFT_CONNECTION_HANDLING)
        weft_connection_set_state(c, WEFT_CONNECTION_UPGRADED);
    c->must_close = true;
    weft_callback_clear(&c->again);
    c->is_detached = true;
    c->upgrade = upgrade;
}

void weft_connection_finish(weft_connection *c)
{
    if (c->state == WEFT_CONNECTION_UPGRADED)
        weft_connection_linger(c);
}

void weft_connection_let_go(weft_connection *c)
{
    c->is_detached = false;
    weft_callback_init(&c->again, weft_connection_serve_again);
    weft_connection_free_if_unused(c);
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
    weft_callback_init(&c->again, weft_connection_serve_again);
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
    weft_connection_read_start(c);
}

static void stop(weft_connection *c)
{
    weft_connection_blame(c, WEFT_END_STOPPED);
    weft_connection_linger(c);
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
        weft_connection_refuse_unread(c, 503, "the server stops");
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
        weft_connection_refuse_unread(c, 408, "the head took too long");
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
