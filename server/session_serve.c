/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * WebSockets without a stack: each message, and at last the close, gets a task while it is handled.
 *
 * One task at a time serves a socket. It goes on with the next message as long as one is there whole, and ends when there is
 * none. While it works the socket is read only up to the next message.
 */
#include <errno.h>

#include "lib/base/check.h"
#include "server/session.h"

enum { AGAIN_AFTER = 100 /* milliseconds: when there was no memory for a task that must be */ };

struct next {
    weft_ws *ws;
    bool has_message;
};

static void pull(void *arg)
{
    struct next *next = arg;
    next->has_message = weft_session_pull(next->ws, WEFT_WS_WANT_MESSAGE) == WEFT_WS_MESSAGE;
}

static void handle(weft_ws *ws)
{
    struct next next = { ws, true };
    do {
        weft_message message = { ws->reader.data, ws->reader.size, ws->reader.is_text };
        int rc = ws->on_message ? ws->on_message(ws, &message) : 0;
        if (rc < 0 && rc != WEFT_EGONE && rc != WEFT_ECLOSED && ws->state == WEFT_WS_OPEN) {
            if (rc != WEFT_ECANCELED)
                weft_log(WEFT_LOG_ERROR, "a WebSocket's message: %s",
                         *weft_error_trail() ? weft_error_trail() : weft_strerror(rc));
            if (weft_session_close(ws, rc == WEFT_ECANCELED ? 1001 : 1011, NULL, 0) < 0)
                weft_session_drop(ws, true);
        }
        weft_on_loop_stack(pull, &next);
    } while (next.has_message);
}

/* Everything has been handled, and the socket is closed. */
static void close_served(weft_ws *ws)
{
    ws->is_served = false;
    ws->connection->server->served--;
    if (ws->on_closed) {
        WEFT_SHIELD (closing, WEFT_CLEANUP_TIME) {
            ws->on_closed(ws);
        }
    }
    weft_session_end_hooks(ws);
    weft_session_release(ws); /* the callbacks' hold */
}

static int run(void *arg)
{
    weft_ws *ws = arg;
    weft_scope handling = { .timeout = WEFT_NO_LIMIT };
    weft_scope_open(&handling);
    ws->handling = &handling;
    if (ws->reader.is_delivered)
        handle(ws);
    ws->handling = NULL;
    weft_scope_close(&handling);
    ws->serving = NULL;
    if (ws->state >= WEFT_WS_CLOSED_BOTH && ws->is_served)
        close_served(ws);
    weft_session_release(ws);
    return 0;
}

static void start(weft_ws *ws, bool enters_now)
{
    struct weft_task_spec spec = {
        .fn = run, .arg = ws, .name = "WebSocket", .file = __FILE__, .line = __LINE__, .enters_now = enters_now
    };
    if (weft_task_start(&ws->connection->server->requests, &spec, &ws->serving) == 0) {
        weft_session_hold(ws); /* the task's */
        if (enters_now)
            weft_task_enter(ws->serving);
        return;
    }
    ws->serving = NULL;
    if (ws->state < WEFT_WS_CLOSED_BOTH) {
        weft_session_drop(ws, true); /* comes back here for `closed` */
        return;
    }
    weft_loop *loop = ws->connection->server->loop;
    weft_timer_set(&loop->wheel, &ws->timer, weft_tick_of(weft_loop_now(loop) + AGAIN_AFTER * WEFT_MILLISECOND));
}

void weft_session_serve(weft_ws *ws, bool enters_now)
{
    weft_session_hold(ws);
    if (ws->serving) {
        weft_session_pull(ws, WEFT_WS_WANT_CONTROL);
    } else {
        bool has_message = weft_session_pull(ws, WEFT_WS_WANT_MESSAGE) == WEFT_WS_MESSAGE;
        if (!ws->serving && !has_message && ws->reader.is_delivered)
            weft_ws_reader_release(&ws->reader); /* what `open` has received is not to be handled again */
        if (!ws->serving && (has_message || ws->state >= WEFT_WS_CLOSED_BOTH))
            start(ws, enters_now);
    }
    weft_session_release(ws);
}
