/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Peers that have fallen silent, that do not read, or that ping without end. One timer a socket is set for what is due first:
 * the next ping, the moment at which a silent peer is dead, and the one at which a peer that takes nothing is; it looks, and is
 * set again. So nothing is done for it when bytes come or go.
 */
#include "lib/base/clock.h"
#include "lib/base/random.h"
#include "server/session.h"

static const weft_duration SOON = WEFT_SECOND;

static weft_loop *loop_of(const weft_ws *ws)
{
    return ws->connection->server->loop;
}

uint32_t weft_session_milliseconds(weft_duration d)
{
    weft_duration ms = d / WEFT_MILLISECOND, most = INT32_MAX;
    return ms < 1 ? 1 : ms > most ? (uint32_t)most : (uint32_t)ms;
}

/* Who sets a short time for dead peers has them asked before. */
void weft_session_init_times(weft_ws *ws, const weft_ws_options *o)
{
    const struct weft_settings *s = weft_session_settings(ws);
    weft_duration dead_after = o->dead_after ? o->dead_after : s->websocket_dead_after;
    weft_duration ping_every = o->ping_every ? o->ping_every : s->websocket_ping_every;
    ws->dead_after = weft_session_milliseconds(dead_after);
    ws->ping_every = weft_session_milliseconds(ping_every < dead_after / 2 || o->ping_every ? ping_every : dead_after / 2);
    ws->close_timeout = weft_session_milliseconds(o->close_timeout ? o->close_timeout : s->websocket_close_timeout);
}

void weft_session_set_timer(weft_ws *ws, uint32_t milliseconds)
{
    weft_loop *loop = loop_of(ws);
    weft_timer_clear(&ws->timer);
    weft_timer_set(&loop->wheel, &ws->timer, weft_tick_of(weft_loop_now(loop) + milliseconds * WEFT_MILLISECOND));
}

/* ---- pings ---- */

void weft_session_set_ping_timer(weft_ws *ws, weft_duration base)
{
    weft_duration now = weft_loop_now(loop_of(ws));
    uint32_t jitter = (uint32_t)weft_random_below(&ws->connection->server->hall->random, ws->ping_every / 10 + 1);
    weft_duration dead = ws->heard + ws->dead_after * WEFT_MILLISECOND - now;
    weft_duration wait = base + (ws->ping_every - jitter) * WEFT_MILLISECOND - now;
    if (dead < wait)
        wait = dead;
    weft_duration stuck = weft_clock_add(ws->moved, weft_session_settings(ws)->write_timeout);
    if (ws->unsent > 0 && stuck - now < wait)
        wait = stuck - now;
    weft_session_set_timer(ws, wait > 0 ? (uint32_t)((wait + WEFT_MILLISECOND - 1) / WEFT_MILLISECOND) : 1);
}

static void ping(weft_ws *ws)
{
    weft_connection_meet(ws->connection, WEFT_LIMIT_WS_PING);
    if (!weft_outbox_is_high(&ws->outbox))
        (void)weft_session_control(ws, WEFT_WS_PING, NULL, 0, true); /* one that is missing breaks nothing */
}

/* Does the peer read nothing of what waits for it? */
static bool is_stuck(weft_ws *ws, weft_duration now)
{
    size_t unsent = weft_transport_unsent(&ws->connection->transport);
    if (unsent == 0 || unsent != ws->unsent) {
        ws->unsent = unsent;
        ws->moved = now;
        return false;
    }
    return now - ws->moved >= weft_session_settings(ws)->write_timeout;
}

void weft_session_look_after(weft_ws *ws)
{
    weft_connection *c = ws->connection;
    weft_duration now = weft_loop_now(loop_of(ws));
    if (!c->transport.is_reading)
        ws->heard = now; /* we do not listen: the handler is busy */
    bool is_dead = now - ws->heard >= ws->dead_after * WEFT_MILLISECOND;
    if (is_dead || is_stuck(ws, now)) {
        weft_connection_end_by(c, is_dead ? WEFT_LIMIT_WS_DEAD : WEFT_LIMIT_WRITE_TIME);
        weft_session_drop(ws, true);
        return;
    }
    weft_duration base = ws->heard;
    if (now - ws->heard >= (ws->ping_every - ws->ping_every / 10) * WEFT_MILLISECOND) {
        base = now;
        ping(ws);
    }
    if (ws->state == WEFT_WS_OPEN)
        weft_session_set_ping_timer(ws, base);
}

/* ---- peers that do not read ---- */

/* What is queued may leave in this very turn: then there is nothing to note yet, and it is looked at again soon. */
void weft_session_watch(weft_ws *ws)
{
    if (ws->unsent > 0 || ws->state != WEFT_WS_OPEN)
        return;
    weft_duration now = weft_loop_recent(loop_of(ws)), wait = weft_session_settings(ws)->write_timeout;
    ws->unsent = weft_transport_unsent(&ws->connection->transport);
    ws->moved = now;
    if (ws->unsent == 0 && wait > SOON)
        wait = SOON;
    int64_t due = weft_tick_of(weft_clock_add(now, wait));
    if (weft_timer_is_set(&ws->timer) && due >= ws->timer.tick)
        return;
    weft_timer_clear(&ws->timer);
    weft_timer_set(&loop_of(ws)->wheel, &ws->timer, due);
}

/* ---- floods ---- */

bool weft_session_is_flood(weft_ws *ws)
{
    uint32_t second = (uint32_t)(weft_loop_now(loop_of(ws)) / WEFT_SECOND);
    if (second != ws->control_second)
        ws->control_count = 0;
    ws->control_second = second;
    return ++ws->control_count > (uint32_t)weft_session_settings(ws)->websocket_control_rate;
}
