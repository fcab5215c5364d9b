/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* WebSockets: served by loops and by callbacks, with a guard, a deadline, and more than fits into memory. */
#include <weft.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Each message comes back as it is. */
static int echo(weft_request *req)
{
    weft_ws *ws;
    weft_message msg;
    int rc;
    WEFT_TRY(weft_ws_accept(req, &ws));
    while ((rc = weft_ws_receive(ws, &msg)) > 0)
        WEFT_TRY(weft_ws_send(ws, &msg));
    return rc;
}

/* Who may not is answered as ever; the others say which protocol they speak. */
static int guarded(weft_request *req)
{
    static const char *const protocols[] = { "greet.v2", "greet.v1", NULL };
    static const char *const origins[] = { "https://app.example", NULL };
    const char *token = weft_query(req, "token");
    weft_ws *ws;
    if (!token || strcmp(token, "secret") != 0)
        return weft_reply_text(req, 401, "who are you?\n");
    WEFT_TRY(weft_ws_accept(req, &ws, .protocols = protocols, .origins = origins, .message_limit = 4096));
    WEFT_TRY(weft_ws_sendf(ws, "welcome to %s", weft_ws_protocol(ws) ? weft_ws_protocol(ws) : "no protocol"));
    return weft_ws_close(ws, 1000, "that was all");
}

/* A tick each second while the client says nothing; what it says is answered at once. */
static int ticks(weft_request *req)
{
    weft_ws *ws;
    weft_message msg;
    WEFT_TRY(weft_ws_accept(req, &ws));
    for (int n = 1;; n++) {
        int rc = 0;
        WEFT_TIMEOUT (second, WEFT_SECOND) {
            rc = weft_ws_receive(ws, &msg);
        }
        if (second.expired)
            WEFT_TRY(weft_ws_send_json(ws, "{s:i}", "tick", n));
        else if (rc > 0)
            WEFT_TRY(weft_ws_send(ws, &msg));
        else
            return rc;
    }
}

/* A position is only worth sending while it is new. */
static int send_position(weft_ws *ws, int x)
{
    char text[32];
    weft_message msg = { text, (size_t)snprintf(text, sizeof text, "%d", x), true };
    int rc = weft_ws_send_with(ws, &msg, WEFT_WS_SENDING(.no_wait = true));
    return rc == -EAGAIN ? 0 : rc;
}

static int moves(weft_request *req)
{
    weft_ws *ws;
    WEFT_TRY(weft_ws_accept(req, &ws));
    for (int x = 0;; x++) {
        WEFT_TRY(send_position(ws, x));
        WEFT_TRY(weft_sleep(20 * WEFT_MILLISECOND));
    }
}

/* Counts bytes of messages of any size, a part at a time. */
static int measure(weft_request *req)
{
    weft_ws *ws;
    weft_part part;
    long long size = 0;
    int rc;
    WEFT_TRY(weft_ws_accept(req, &ws, .message_limit = WEFT_NO_LIMIT));
    while ((rc = weft_ws_receive_part(ws, &part)) > 0) {
        size += (long long)part.size;
        if (!part.is_last)
            continue;
        WEFT_TRY(weft_ws_sendf(ws, "%lld", size));
        size = 0;
    }
    return rc;
}

/* ---- without a stack while nothing happens ---- */

static int on_message(weft_ws *ws, const weft_message *msg)
{
    return weft_ws_send(ws, msg);
}

static void on_closed(weft_ws *ws)
{
    printf("closed with %d %s\n", weft_ws_close_code(ws), weft_ws_close_reason(ws));
}

static int idle(weft_request *req)
{
    return weft_ws_serve(req, &(weft_ws_handlers){ .message = on_message, .closed = on_closed });
}

int main(int argc, char **argv)
{
    weft_app *app = weft_app_new();
    weft_get(app, "/echo", echo);
    weft_get(app, "/guarded", guarded);
    weft_get(app, "/ticks", ticks);
    weft_get(app, "/moves", moves);
    weft_get(app, "/measure", measure);
    weft_get(app, "/idle", idle);
    return weft_app_main(app, argc, argv);
}
