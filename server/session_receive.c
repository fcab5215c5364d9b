/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Receiving in a handler's loop, closing, and what can be asked about a socket. */
#include <errno.h>
#include <string.h>

#include "lib/base/check.h"
#include "lib/task/task.h"
#include "server/session.h"

/* ---- receiving ---- */

struct pull {
    weft_ws *ws;
    enum weft_ws_want want;
    enum weft_ws_kind kind;
};

static void pull(void *arg)
{
    struct pull *p = arg;
    p->kind = weft_session_pull(p->ws, p->want);
}

static void withdraw(weft_wait *wait)
{
    ((weft_ws *)(uintptr_t)wait->on)->receiver = NULL;
}

/* Is there anything to look at? If not, the last message is let go of and the transport read, as looking would have done: in
 * most receives there is nothing at first. */
static bool has_input(weft_ws *ws)
{
    weft_connection *c = ws->connection;
    if (c->input.size > 0 || c->has_ended || ws->state >= WEFT_WS_CLOSED_BOTH)
        return true;
    if (ws->reader.is_delivered)
        weft_ws_reader_release(&ws->reader);
    weft_connection_read_on(c);
    return false;
}

/* Waits for the next event of a message; 1, or why there is none. */
static int receive(weft_ws *ws, enum weft_ws_want want, enum weft_ws_kind *ret_kind)
{
    IS_A(ws, WEFT_WS_MAGIC);
    int rc = weft_wait_check("WebSocket receive");
    if (rc == WEFT_ECANCELED && ws->state == WEFT_WS_OVER && !ws->is_clean)
        return weft_session_outcome(ws);
    if (rc < 0)
        return rc;
    if (ws->receiver)
        return -EBUSY;
    for (;;) {
        struct pull p = { ws, want, WEFT_WS_MORE };
        if (has_input(ws))
            weft_on_loop_stack(pull, &p);
        *ret_kind = p.kind;
        if (p.kind == WEFT_WS_MESSAGE || p.kind == WEFT_WS_PART)
            return 1;
        if (ws->state >= WEFT_WS_CLOSED_BOTH) {
            ws->is_told = true;
            return weft_session_outcome(ws);
        }
        weft_wait wait = WEFT_WAIT("WebSocket receive", ws, withdraw);
        ws->receiver = &wait;
        ws->wants_whole = want == WEFT_WS_WANT_MESSAGE;
        rc = weft_wait_park(&wait);
        if (rc < 0)
            return rc;
    }
}

int weft_ws_receive(weft_ws *ws, weft_message *ret_message)
{
    enum weft_ws_kind kind;
    int rc = receive(ws, WEFT_WS_WANT_MESSAGE, &kind);
    if (rc == 1)
        *ret_message = (weft_message){ ws->reader.data, ws->reader.size, ws->reader.is_text };
    return rc;
}

int weft_ws_receive_part(weft_ws *ws, weft_part *ret_part)
{
    enum weft_ws_kind kind;
    int rc = receive(ws, WEFT_WS_WANT_PART, &kind);
    if (rc == 1)
        *ret_part = (weft_part){ ws->reader.data, ws->reader.size, ws->reader.is_text, kind == WEFT_WS_MESSAGE };
    return rc;
}

/* ---- closing ---- */

int weft_ws_close(weft_ws *ws, int code, const char *reason)
{
    IS_A(ws, WEFT_WS_MAGIC);
    size_t size = reason ? strlen(reason) : 0;
    weft_utf8 utf8 = { 0 };
    if (!weft_ws_close_code_is_valid(code) || size > WEFT_WS_CONTROL_MAX - 2 || !weft_utf8_check(&utf8, reason, size) ||
        !weft_utf8_is_whole(&utf8))
        return -EINVAL;
    weft_session_hold(ws);
    int rc = weft_session_close(ws, code, reason, size);
    weft_session_release(ws);
    return rc;
}

int weft_ws_close_code(const weft_ws *ws)
{
    return ws->close_code;
}

const char *weft_ws_close_reason(const weft_ws *ws)
{
    return ws->extra ? ws->extra->reason : "";
}

/* ---- what it is ---- */

const char *weft_ws_protocol(const weft_ws *ws)
{
    return ws->protocol;
}

void weft_ws_set(weft_ws *ws, void *state)
{
    ws->user = state;
}

void *weft_ws_state(const weft_ws *ws)
{
    return ws->user;
}
