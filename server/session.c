/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * WebSockets from 101 to their end: states, what comes in, and closing. session.h has the states; `set_state` is the one place
 * that changes them, `go_down` the one that tells everybody of the end, and `weft_session_pull` the one way in for bytes.
 */
#include "server/session.h"

#include <errno.h>
#include <string.h>

#include "lib/base/check.h"
#include "lib/base/memory.h"
#include "lib/base/random.h"
#include "lib/crypto/crypto.h"
#include "server/request.h"

/* ---- states ---- */

/* Row: from; column: to. */
static const bool legal_moves[][WEFT_WS_OVER + 1] = {
    [WEFT_WS_OPEN] = { [WEFT_WS_CLOSING] = true, [WEFT_WS_CLOSED_BOTH] = true, [WEFT_WS_OVER] = true },
    [WEFT_WS_CLOSING] = { [WEFT_WS_CLOSED_BOTH] = true, [WEFT_WS_OVER] = true },
    [WEFT_WS_CLOSED_BOTH] = { [WEFT_WS_OVER] = true },
    [WEFT_WS_OVER] = { false },
};

static void set_state(weft_ws *ws, enum weft_ws_state state)
{
    CHECK(legal_moves[ws->state][state]);
    ws->state = (uint8_t)state;
}

static weft_ws *session_of(weft_upgrade *u)
{
    weft_ws *ws = CONTAINER_OF(u, weft_ws, upgrade);
    IS_A(ws, WEFT_WS_MAGIC);
    return ws;
}

static weft_loop *loop_of(const weft_ws *ws)
{
    return ws->connection->server->loop;
}

struct weft_ws_extra *weft_session_extra(weft_ws *ws)
{
    if (!ws->extra && (ws->extra = weft_mem_calloc(1, sizeof *ws->extra))) {
        weft_list_init(&ws->extra->streaming.link);
        ws->extra->ws = ws;
    }
    return ws->extra;
}

/* ---- who uses it ---- */

void weft_session_hold(weft_ws *ws)
{
    CHECK(ws->holds < UINT8_MAX);
    ws->holds++;
}

static void free_extra(struct weft_ws_extra *extra)
{
    if (!extra)
        return;
    for (size_t i = 0; i < extra->held_count; i++)
        weft_shared_unref(extra->held[i]);
    weft_mem_free(extra->held);
    weft_deflate_free(extra->deflate);
    weft_mem_free(extra);
}

static void free_session(weft_ws *ws)
{
    weft_connection *c = ws->connection;
    weft_timer_clear(&ws->timer);
    weft_outbox_close(&ws->outbox);
    weft_ws_reader_close(&ws->reader);
    free_extra(ws->extra);
    CHECK(weft_list_is_empty(&ws->hooks) && weft_list_is_empty(&ws->senders) && !ws->receiver);
    ws->magic = 0;
    weft_slab_give(&c->server->hall->sessions, ws);
    if (c->is_detached)
        weft_connection_let_go(c);
}

void weft_session_release(weft_ws *ws)
{
    CHECK(ws->holds > 0);
    if (--ws->holds == 0)
        free_session(ws);
}

void weft_session_end_hooks(weft_ws *ws)
{
    weft_list *node;
    while ((node = weft_list_shift(&ws->hooks))) {
        weft_ws_hook *hook = CONTAINER_OF(node, weft_ws_hook, link);
        hook->end(hook, ws);
    }
}

int weft_session_outcome(const weft_ws *ws)
{
    if (ws->has_failed)
        return ws->close_code == 1013 ? -ENOMEM : WEFT_EPROTOCOL;
    return ws->is_clean ? 0 : WEFT_EGONE;
}

/* ---- the end ---- */

/* Nothing can be sent or received any more: everybody who waits learns it, once. */
static void go_down(weft_ws *ws)
{
    if (ws->is_down)
        return;
    ws->is_down = true;
    weft_timer_clear(&ws->timer);
    weft_session_end_stream(ws);
    weft_outbox_close(&ws->outbox);
    weft_session_wake_senders(ws);
    if (ws->receiver) {
        ws->is_told = true;
        weft_wait_settle(ws->receiver, 0);
    }
    weft_list all, *node;
    weft_list_move(&all, &ws->hooks);
    while ((node = weft_list_shift(&all))) {
        weft_list_append(&ws->hooks, node);
        weft_ws_hook *hook = CONTAINER_OF(node, weft_ws_hook, link);
        if (hook->down)
            hook->down(hook, ws);
    }
    if (ws->is_served && !ws->has_handler)
        weft_session_serve(ws, false);
}

/* All is said, or as much as can be: the connection lingers for the peer's end. */
static void finish(weft_ws *ws)
{
    weft_connection *c = ws->connection;
    set_state(ws, WEFT_WS_CLOSED_BOTH);
    weft_connection_blame(c, c->server->stop_stage >= WEFT_DRAINING ? WEFT_END_STOPPED
                             : ws->has_failed                       ? WEFT_END_MALFORMED
                             : ws->is_clean                         ? WEFT_END_BY_CLIENT
                                                                    : WEFT_END_OTHER);
    if (!ws->close_code)
        ws->close_code = 1006;
    bool is_sent = weft_outbox_hand_over(&ws->outbox) == 0;
    go_down(ws);
    if (is_sent) {
        weft_output_watch(c);
        weft_connection_finish(c);
    } else {
        weft_connection_close(c, true);
    }
    weft_session_release(ws); /* the connection's hold */
}

/* The connection is closing, whoever closes it. */
static void on_closed(weft_upgrade *u)
{
    weft_ws *ws = session_of(u);
    weft_connection *c = ws->connection;
    bool is_held = ws->state < WEFT_WS_CLOSED_BOTH;
    if (ws->state == WEFT_WS_OVER)
        return;
    weft_session_hold(ws);
    set_state(ws, WEFT_WS_OVER);
    if (!ws->close_code)
        ws->close_code = 1006;
    go_down(ws);
    if (ws->handling && !ws->is_clean)
        weft_cancel(ws->handling);
    if (c->request && ws->has_handler && (!ws->is_clean || !ws->is_told))
        weft_request_on_gone(c->request);
    if (is_held)
        weft_session_release(ws);
    weft_session_release(ws);
}

void weft_session_drop(weft_ws *ws, bool resets)
{
    weft_connection_blame(ws->connection, WEFT_END_RESET);
    weft_connection_close(ws->connection, resets);
}

/* ---- closing ---- */

/* A close frame behind all that waits; if there is no room for that, in its place. */
static int send_close(weft_ws *ws, int code, const char *reason, size_t size)
{
    char payload[WEFT_WS_CONTROL_MAX] = { (char)(code >> 8), (char)(code & 0xff) };
    if (size > sizeof payload - 2)
        size = sizeof payload - 2;
    if (size > 0)
        memcpy(payload + 2, reason, size);
    weft_session_end_stream(ws);
    size_t payload_size = code == 1005 ? 0 : 2 + size;
    int rc = weft_session_control(ws, WEFT_WS_CLOSE, payload, payload_size, false);
    if (rc != -ENOBUFS)
        return rc;
    weft_outbox_drop_waiting(&ws->outbox); /* nothing may follow a close */
    return weft_session_control(ws, WEFT_WS_CLOSE, payload, payload_size, true);
}

int weft_session_close(weft_ws *ws, int code, const char *reason, size_t size)
{
    if (ws->state != WEFT_WS_OPEN)
        return 0;
    int rc = send_close(ws, code, reason, size);
    if (rc == -ENOMEM)
        return rc;
    if (rc < 0) {
        weft_session_drop(ws, true);
        return 0;
    }
    set_state(ws, WEFT_WS_CLOSING);
    weft_session_wake_senders(ws);
    weft_session_set_timer(ws, ws->close_timeout);
    weft_connection_read_on(ws->connection);
    return 0;
}

/* Our close, if it has not been sent, before the end. What is unsent then is handed to the transport as a copy: so of much that
 * the peer does not read, and many may share, nothing goes but the close. If that cannot be sent, the end of TCP tells as much.
 */
static void say_close(weft_ws *ws, int code, const char *reason, size_t size)
{
    weft_outbox *o = &ws->outbox;
    uint32_t dropped = 0;
    if (o->size > o->rules->size_high && weft_outbox_flush(o) == 0 && o->size > o->rules->size_high) {
        dropped = o->count;
        weft_outbox_drop_waiting(o);
        dropped -= o->count;
    }
    if (ws->state == WEFT_WS_OPEN || dropped > 0)
        (void)send_close(ws, code, reason, size);
}

/* Ends it without waiting for the peer's close, if it has not been closed. */
static void close_now(weft_ws *ws, int code)
{
    if (ws->state < WEFT_WS_CLOSED_BOTH)
        say_close(ws, code, NULL, 0);
    if (ws->state < WEFT_WS_CLOSED_BOTH)
        finish(ws);
}

static void keep_reason(weft_ws *ws, const char *reason, size_t size)
{
    if (size == 0 || size >= sizeof ws->extra->reason || !weft_session_extra(ws))
        return;
    memcpy(ws->extra->reason, reason, size);
    ws->extra->reason[size] = '\0';
}

/* The peer's close has come. */
static void take_close(weft_ws *ws, const weft_ws_event *event)
{
    ws->close_code = event->code;
    ws->is_clean = true;
    keep_reason(ws, event->bytes, event->size);
    if (ws->connection->server->stop_stage >= WEFT_DRAINING)
        weft_count(&ws->connection->server->counts.websockets);
    say_close(ws, event->code, NULL, 0);
    finish(ws);
}

/* The peer broke the protocol or a limit, or memory is out. */
static void fail(weft_ws *ws, const weft_ws_event *event)
{
    static const uint8_t limits[] = {
        [WEFT_WS_LIMIT_MESSAGE] = WEFT_LIMIT_WS_MESSAGE,
        [WEFT_WS_LIMIT_FRAGMENTS] = WEFT_LIMIT_WS_FRAGMENTS,
        [WEFT_WS_LIMIT_INFLATE] = WEFT_LIMIT_WS_INFLATE,
        [WEFT_WS_LIMIT_BUFFERED] = WEFT_LIMIT_BUFFERED,
    };
    weft_connection_say(ws->connection, "a WebSocket has failed", event->words);
    if (event->limit != WEFT_WS_LIMIT_NONE)
        weft_connection_end_by(ws->connection, (enum weft_limit)limits[event->limit]);
    ws->close_code = event->code;
    ws->has_failed = true;
    keep_reason(ws, event->words, strlen(event->words));
    say_close(ws, event->code, event->words, strlen(event->words));
    finish(ws);
}

/* ---- what comes in ---- */

static void fail_flood(weft_ws *ws)
{
    weft_connection_end_by(ws->connection, WEFT_LIMIT_WS_CONTROL);
    fail(ws, &(weft_ws_event){ .code = 1008, .words = "too many pings" });
}

/* At once; or, so that a peer which does not read its pongs makes nothing grow, when there is room. */
static void answer_ping(weft_ws *ws, const weft_ws_event *ping)
{
    if (ws->state != WEFT_WS_OPEN)
        return;
    ws->has_pong = false;
    if (!weft_outbox_is_high(&ws->outbox)) {
        (void)weft_session_control(ws, WEFT_WS_PONG, ping->bytes, ping->size, true); /* one that is missing breaks nothing */
    } else if (weft_session_extra(ws)) {
        ws->has_pong = true;
        ws->extra->pong_size = ping->size;
        memcpy(ws->extra->pong, ping->bytes, ping->size);
    }
}

/* The outbox may have room again. */
static void go_on_sending(weft_ws *ws)
{
    if (ws->has_pong && ws->state == WEFT_WS_OPEN && !weft_outbox_is_high(&ws->outbox)) {
        ws->has_pong = false;
        (void)weft_session_control(ws, WEFT_WS_PONG, ws->extra->pong, ws->extra->pong_size, true);
    }
    weft_session_wake_senders(ws);
}

enum weft_ws_kind weft_session_pull(weft_ws *ws, enum weft_ws_want want)
{
    weft_connection *c = ws->connection;
    weft_ws_event event, ping;
    enum weft_ws_kind kind = WEFT_WS_MORE;
    bool is_pinged = false;
    weft_session_hold(ws);
    while (ws->state < WEFT_WS_CLOSED_BOTH) {
        size_t taken;
        kind = weft_ws_reader_next(&ws->reader, want, c->input.at, c->input.size, &taken, &event);
        weft_input_consume(&c->input, taken);
        if ((kind == WEFT_WS_PINGED || kind == WEFT_WS_PONGED) && UNLIKELY(weft_session_is_flood(ws))) {
            fail_flood(ws);
        } else if (kind == WEFT_WS_PINGED) { /* of several only the last is answered (RFC 6455 §5.5.3) */
            is_pinged = true;
            ping.size = event.size;
            memcpy(ping.bytes, event.bytes, event.size);
        } else if (kind == WEFT_WS_CLOSED) {
            take_close(ws, &event);
        } else if (kind == WEFT_WS_FAILED) {
            fail(ws, &event);
        } else if (kind != WEFT_WS_PONGED) {
            break;
        }
    }
    if (ws->state >= WEFT_WS_CLOSED_BOTH)
        kind = WEFT_WS_MORE;
    if (is_pinged)
        answer_ping(ws, &ping);
    if (kind == WEFT_WS_MORE && ws->state < WEFT_WS_CLOSED_BOTH) {
        if (c->has_ended)
            weft_session_drop(ws, false);
        else
            weft_connection_read_on(c);
    }
    weft_session_release(ws);
    return kind;
}

/* Nobody wants what comes, but for the peer's close. */
static void discard(weft_ws *ws)
{
    enum weft_ws_kind kind;
    do
        kind = weft_session_pull(ws, WEFT_WS_WANT_PART);
    while (kind == WEFT_WS_PART || kind == WEFT_WS_MESSAGE); /* ws may be gone after any other */
}

static void on_input(weft_upgrade *u)
{
    weft_ws *ws = session_of(u);
    ws->heard = weft_loop_now(loop_of(ws));
    if (ws->receiver) { /* it takes its message right out of the loop's buffer */
        weft_task *t = ws->receiver->task;
        weft_wait_settle(ws->receiver, 0);
        weft_task_enter(t);
    } else if (ws->has_handler) {
        weft_session_pull(ws, WEFT_WS_WANT_CONTROL);
    } else if (ws->is_served) {
        weft_session_serve(ws, true);
    } else {
        discard(ws);
    }
}

/* A whole message that is awaited takes its bytes where they will lie: all of them in on_input, before the buffer can go. */
static struct iovec on_room(weft_upgrade *u)
{
    weft_ws *ws = session_of(u);
    bool is_awaited = ws->receiver ? ws->wants_whole : ws->is_served && !ws->has_handler && !ws->serving;
    return is_awaited ? weft_ws_reader_room(&ws->reader) : (struct iovec){ NULL, 0 };
}

/* ---- what goes out ---- */

/* Reading has stopped if all connections together held too much: who waits for input is to get it some time. */
static void listen_again(weft_ws *ws)
{
    if (ws->receiver || (!ws->has_handler && !ws->serving))
        weft_connection_read_on(ws->connection);
}

static void on_drained(weft_upgrade *u)
{
    weft_ws *ws = session_of(u);
    if (ws->is_down)
        return;
    weft_session_hold(ws);
    weft_outbox_on_drained(&ws->outbox, 0);
    go_on_sending(ws);
    listen_again(ws);
    weft_session_release(ws);
}

static void on_low(weft_outbox *o)
{
    weft_ws *ws = CONTAINER_OF(o, weft_ws, outbox);
    LIST_EACH (link, &ws->hooks) {
        weft_ws_hook *hook = CONTAINER_OF(link, weft_ws_hook, link);
        if (hook->low)
            hook->low(hook, ws);
    }
    go_on_sending(ws);
}

static void on_failed(weft_outbox *o, int error)
{
    (void)error;
    weft_session_drop(CONTAINER_OF(o, weft_ws, outbox), true);
}

static void on_time(weft_timer *timer)
{
    weft_ws *ws = CONTAINER_OF(timer, weft_ws, timer);
    weft_session_hold(ws);
    if (ws->state == WEFT_WS_OPEN) {
        weft_session_look_after(ws);
        if (ws->state == WEFT_WS_OPEN && !ws->connection->transport.is_reading)
            listen_again(ws);
    } else if (ws->state == WEFT_WS_CLOSING) { /* the peer does not answer our close */
        weft_connection_end_by(ws->connection, WEFT_LIMIT_WS_CLOSE_TIME);
        close_now(ws, 1001);
    } else {
        weft_session_serve(ws, false); /* there was no memory for the task of its last callback */
    }
    weft_session_release(ws);
}

/* ---- what the server and the request say ---- */

static void on_stop(weft_upgrade *u)
{
    static const char words[] = "the server stops";
    weft_ws *ws = session_of(u);
    weft_server *server = ws->connection->server;
    weft_session_hold(ws);
    if (server->stop_stage < WEFT_CANCELLING) {
        ws->close_timeout = weft_session_milliseconds(server->app->settings.websocket_drain);
        if (ws->state == WEFT_WS_CLOSING)
            weft_session_set_timer(ws, ws->close_timeout);
        else if (weft_session_close(ws, 1001, words, sizeof words - 1) < 0)
            weft_session_drop(ws, true);
    } else if (!ws->has_handler && !ws->serving) { /* the others end when their cancelled tasks do */
        close_now(ws, 1001);
    }
    weft_session_release(ws);
}

static void on_sealed(weft_upgrade *u, int rc)
{
    weft_ws *ws = session_of(u);
    enum weft_stop_stage stage = ws->connection->server->stop_stage;
    if (ws->is_served && rc >= 0)
        return;
    int code = rc >= 0 ? 1000 : rc == WEFT_ECANCELED && stage >= WEFT_DRAINING ? 1001 : 1011;
    if (stage == WEFT_CANCELLING)
        close_now(ws, code);
    else if (weft_session_close(ws, code, NULL, 0) < 0)
        weft_session_drop(ws, true);
}

static void on_released(weft_upgrade *u)
{
    weft_ws *ws = session_of(u);
    ws->has_handler = false;
    if (ws->is_served) {
        weft_session_serve(ws, false);
    } else {
        weft_session_end_hooks(ws);
        if (ws->state < WEFT_WS_CLOSED_BOTH)
            discard(ws);
    }
    weft_session_release(ws);
}

static const struct weft_upgrade_ops upgrade_ops = {
    .input = on_input,
    .room = on_room,
    .drained = on_drained,
    .closed = on_closed,
    .stop = on_stop,
    .sealed = on_sealed,
    .released = on_released,
};

/* ---- what all of a server share ---- */

/* Who may wait does so from the same mark as a writer of HTTP; what rooms queue beyond it, they queue up to the limits. */
static void init_outbox_rules(weft_outbox_rules *rules, const struct weft_settings *s)
{
    size_t size_high = s->websocket_queue_size / 4;
    uint32_t count_most = (uint32_t)s->websocket_queue_count;
    *rules = (weft_outbox_rules){
        .size_most = s->websocket_queue_size,
        .count_most = count_most,
        .size_high = size_high < s->output_high ? size_high : s->output_high,
        .count_high = count_most / 4 < WEFT_OUTBOX_COUNT_HIGH ? count_most / 4 : WEFT_OUTBOX_COUNT_HIGH,
        .low = on_low,
        .failed = on_failed,
    };
}

weft_ws_hall *weft_ws_hall_of(weft_server *server)
{
    if (server->hall)
        return server->hall;
    weft_ws_hall *hall = weft_mem_calloc(1, sizeof *hall);
    if (!hall)
        return NULL;
    if (weft_random_bytes(&hall->random, sizeof hall->random) < 0)
        hall->random = (uint64_t)weft_loop_now(server->loop); /* it only spreads pings */
    weft_ws_store_init(&hall->store, &server->counts.buffered, server->app->settings.buffer_budget);
    init_outbox_rules(&hall->outbox, &server->app->settings);
    weft_slab_init(&hall->sessions, sizeof(weft_ws), WEFT_WS_SESSIONS_PER_CHUNK);
    server->hall = hall;
    return hall;
}

void weft_ws_hall_close(weft_server *server)
{
    weft_ws_hall *hall = server->hall;
    if (!hall)
        return;
    for (int i = 0; i <= WEFT_DEFLATE_WINDOW_MAX; i++)
        weft_deflate_free(hall->deflates[i]);
    weft_ws_store_close(&hall->store);
    weft_slab_close(&hall->sessions);
    weft_mem_free(hall);
    server->hall = NULL;
}

/* ---- the beginning ---- */

static void init_reader(weft_ws *ws, const weft_ws_options *o, const weft_ws_deflate_terms *deflate)
{
    const struct weft_settings *s = weft_session_settings(ws);
    int64_t limit = o->message_limit ? o->message_limit : s->websocket_message_limit;
    ws->reader = (weft_ws_reader){
        .store = &ws->connection->server->hall->store,
        .role = WEFT_WS_SERVER,
        .limit = limit == WEFT_NO_LIMIT ? SIZE_MAX : (size_t)limit,
        .fragment_limit = (uint32_t)(o->fragment_limit ? o->fragment_limit : s->websocket_fragment_limit),
        .inflate_ratio = (uint32_t)s->websocket_inflate_ratio,
        .window_bits = deflate->is_on ? deflate->their_window : 0,
        .keeps_context = deflate->keeps_their_context,
    };
}

weft_ws *weft_session_new(weft_connection *c, const weft_ws_options *o, const weft_ws_answer *answer)
{
    weft_ws_hall *hall = weft_ws_hall_of(c->server);
    weft_ws *ws = hall ? weft_slab_take(&hall->sessions) : NULL;
    if (!ws)
        return NULL;
    *ws = (weft_ws){
        .magic = WEFT_WS_MAGIC,
        .upgrade = { &upgrade_ops },
        .connection = c,
        .holds = 1,
        .deflate_threshold = o->deflate_threshold < UINT32_MAX ? (uint32_t)o->deflate_threshold : UINT32_MAX,
        .protocol = answer->protocol,
    };
    if (o->deflate_threshold == 0)
        ws->deflate_threshold = 1024;
    if (answer->deflate.is_on)
        ws->deflate_id = answer->deflate.keeps_our_context ? WEFT_WS_DEFLATE_OWN : answer->deflate.our_window;
    weft_timer_init(&ws->timer, on_time);
    weft_list_init(&ws->senders);
    weft_list_init(&ws->hooks);
    init_reader(ws, o, &answer->deflate);
    weft_session_init_times(ws, o);
    bool is_whole = weft_outbox_open(&ws->outbox, &c->transport, &hall->outbox) == 0;
    if (is_whole && ws->deflate_id == WEFT_WS_DEFLATE_OWN) {
        struct weft_ws_extra *extra = weft_session_extra(ws);
        is_whole = extra && (extra->deflate = weft_deflate_new(answer->deflate.our_window, WEFT_WS_DEFLATE_LEVEL));
    }
    if (is_whole)
        return ws;
    weft_session_release(ws);
    return NULL;
}

void weft_session_start(weft_ws *ws)
{
    weft_connection *c = ws->connection;
    weft_session_hold(ws); /* the handler's; the connection's was there from the beginning */
    ws->has_handler = true;
    weft_connection_detach(c, &ws->upgrade);
    if (c->state != WEFT_CONNECTION_UPGRADED) {
        on_closed(&ws->upgrade); /* the answer found it broken */
        return;
    }
    ws->heard = weft_loop_now(loop_of(ws));
    weft_session_set_ping_timer(ws, ws->heard);
    if (c->server->stop_stage >= WEFT_DRAINING)
        on_stop(&ws->upgrade);
}
