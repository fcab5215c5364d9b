/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Sending on WebSockets: frames into the outbox, in order, whoever sends.
 *
 * A small message is copied into a buffer behind its header and leaves at the end of the turn, together with all others. A
 * large one is written from where it lies, and only what the kernel does not take is copied. While a task streams a message in
 * pieces, no other message may come between: senders wait, and what rooms append is held back.
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "lib/base/check.h"
#include "lib/base/format.h"
#include "lib/base/memory.h"
#include "lib/json/json.h"
#include "server/session.h"

enum {
    COPY_MAX = 4 * 1024,      /* larger messages are sent from where they lie */
    YIELD_AFTER = 256 * 1024, /* bytes sent at once, after which others may run */
    TEXT_ROOM = 512,
};

/* ---- frames ---- */

static weft_shared *new_frame(weft_ws_hall *hall, enum weft_ws_opcode opcode, bool is_final, bool is_compressed,
                              const void *data, size_t size)
{
    char header[WEFT_WS_HEADER_MAX];
    int header_size = weft_ws_frame_write(&hall->store.contexts, header, opcode, is_final, is_compressed, size, NULL);
    weft_shared *frame = header_size < 0 ? NULL : weft_shared_new((size_t)header_size + size);
    if (!frame)
        return NULL;
    memcpy(frame->data, header, (size_t)header_size);
    if (size > 0)
        memcpy(frame->data + header_size, data, size);
    return frame;
}

/* A compressed frame; NULL with *ret_error 0 when that is no gain, else -ENOMEM. */
static weft_shared *new_compressed(weft_ws_hall *hall, weft_deflate *z, bool keeps_context, const weft_message *m,
                                   int *ret_error)
{
    size_t bound = weft_deflate_bound(z, m->size);
    weft_shared *frame = NULL;
    *ret_error = -ENOMEM;
    char *out = weft_mem_alloc(bound);
    int64_t size = out ? weft_deflate_message(z, m->data, m->size, out, bound, keeps_context) : -ENOMEM;
    if (size >= 0 && (keeps_context || (size_t)size < m->size))
        frame = new_frame(hall, m->is_text ? WEFT_WS_TEXT : WEFT_WS_BINARY, true, true, out, (size_t)size);
    else if (size >= 0)
        *ret_error = 0;
    weft_mem_free(out);
    return frame;
}

weft_shared *weft_session_encode(weft_server *server, const weft_message *m, int deflate_id)
{
    weft_ws_hall *hall = weft_ws_hall_of(server);
    if (!hall)
        return NULL;
    if (deflate_id != 0) {
        CHECK(deflate_id <= WEFT_DEFLATE_WINDOW_MAX);
        weft_deflate **z = &hall->deflates[deflate_id];
        int error = 0;
        if (!*z)
            *z = weft_deflate_new(deflate_id, WEFT_WS_DEFLATE_LEVEL);
        weft_shared *frame = *z ? new_compressed(hall, *z, false, m, &error) : NULL;
        if (frame)
            return frame;
    }
    return new_frame(hall, m->is_text ? WEFT_WS_TEXT : WEFT_WS_BINARY, true, false, m->data, m->size);
}

int weft_session_control(weft_ws *ws, enum weft_ws_opcode opcode, const void *data, size_t size, bool in_front)
{
    weft_shared *frame = new_frame(ws->connection->server->hall, opcode, true, false, data, size);
    if (!frame)
        return -ENOMEM;
    int rc = in_front ? weft_outbox_append_front(&ws->outbox, frame) : weft_outbox_append(&ws->outbox, frame);
    weft_shared_unref(frame);
    return rc;
}

/* ---- what comes while a message is streamed ---- */

static bool held_is_full_of_messages(const weft_ws *ws, const weft_shared *frame)
{
    return ws->extra->held_messages + frame->count > ws->outbox.rules->count_most / 2;
}

/* No more than half of the queue: a stream ends in an outbox that is not high, so that there is room for all of it then. */
static int hold_back(weft_ws *ws, weft_shared *frame)
{
    struct weft_ws_extra *extra = weft_session_extra(ws);
    const weft_outbox_rules *rules = ws->outbox.rules;
    if (!extra)
        return -ENOMEM;
    if (held_is_full_of_messages(ws, frame) || extra->held_size + frame->size > rules->size_most / 2)
        return -ENOBUFS;
    if (extra->held_count == extra->held_room) {
        size_t room = extra->held_room ? 2 * extra->held_room : 8;
        weft_shared **held = weft_mem_realloc(extra->held, room * sizeof(*held));
        if (!held)
            return -ENOMEM;
        extra->held = held;
        extra->held_room = room;
    }
    extra->held[extra->held_count++] = weft_shared_ref(frame);
    extra->held_size += frame->size;
    extra->held_messages += frame->count;
    return 0;
}

/* The stream has ended, well or not. 0, or why not all of what was held back could be appended. */
static int let_held_go(weft_ws *ws, bool is_whole)
{
    struct weft_ws_extra *extra = ws->extra; /* a streamer has one */
    int rc = 0;
    ws->streamer = NULL;
    weft_list_remove(&extra->streaming.link);
    for (size_t i = 0; i < extra->held_count; i++) {
        if (is_whole && rc == 0) /* there is room: a stream ends in an outbox that is not high */
            rc = weft_outbox_append(&ws->outbox, extra->held[i]);
        weft_shared_unref(extra->held[i]);
    }
    extra->held_count = 0;
    extra->held_size = 0;
    extra->held_messages = 0;
    weft_session_wake_senders(ws);
    return rc;
}

void weft_session_end_stream(weft_ws *ws)
{
    if (ws->streamer)
        (void)let_held_go(ws, false);
}

/* Its queue is full: of messages, or of bytes. */
static void meet_queue(weft_ws *ws, const weft_shared *frame)
{
    const weft_outbox_rules *rules = ws->outbox.rules;
    bool is_of_count = ws->streamer ? held_is_full_of_messages(ws, frame) : ws->outbox.count >= rules->count_most;
    weft_connection_meet(ws->connection, is_of_count ? WEFT_LIMIT_WS_QUEUE_COUNT : WEFT_LIMIT_WS_QUEUE_SIZE);
}

int weft_session_append(weft_ws *ws, weft_shared *frame)
{
    if (ws->state != WEFT_WS_OPEN)
        return WEFT_ECLOSED;
    int rc = UNLIKELY(ws->streamer) ? hold_back(ws, frame) : weft_outbox_append(&ws->outbox, frame);
    if (UNLIKELY(rc == -ENOBUFS))
        meet_queue(ws, frame);
    if (UNLIKELY(weft_outbox_is_high(&ws->outbox)))
        weft_session_watch(ws);
    return rc;
}

/* ---- waiting ---- */

void weft_session_wake_senders(weft_ws *ws)
{
    weft_waiter_serve_all(&ws->senders, 0);
}

static int cannot_send(const weft_ws *ws)
{
    if (ws->state == WEFT_WS_OPEN)
        return 0;
    return ws->state == WEFT_WS_CLOSING || ws->is_clean || ws->has_failed ? WEFT_ECLOSED : WEFT_EGONE;
}

/* May a message of this size be put into the outbox now? A large one goes alone. */
static bool has_room(weft_ws *ws, size_t size)
{
    if (ws->streamer && ws->streamer != weft_here->current)
        return false;
    if (weft_outbox_is_high(&ws->outbox))
        return false;
    if (size <= ws->outbox.rules->size_most / 2 || weft_outbox_is_empty(&ws->outbox))
        return true;
    return weft_outbox_flush(&ws->outbox) < 0 || weft_outbox_is_empty(&ws->outbox);
}

/* Waits until a message of this size may be sent. 0, or why not. */
static int await_room(weft_ws *ws, size_t size, bool no_wait)
{
    int rc = weft_wait_check("WebSocket send");
    if (rc == WEFT_ECANCELED && ws->state == WEFT_WS_OVER)
        return cannot_send(ws);
    while (rc == 0 && (rc = cannot_send(ws)) == 0 && !has_room(ws, size)) {
        if (weft_outbox_is_high(&ws->outbox)) {
            weft_connection_meet(ws->connection, WEFT_LIMIT_OUTPUT);
            weft_session_watch(ws);
        }
        if (no_wait)
            return -EAGAIN;
        struct weft_waiting waiting = WEFT_WAITING("WebSocket send", ws);
        rc = weft_waiting_park(&waiting, &ws->senders);
    }
    return rc;
}

/* ---- messages ---- */

/* The outbox could not keep the rest of a frame that has begun to leave: nothing can be sent behind it. */
static int check_outbox(weft_ws *ws, int rc)
{
    if (rc < 0 && ws->outbox.error && ws->state < WEFT_WS_CLOSED_BOTH) {
        weft_session_drop(ws, true);
        return rc == -ENOMEM ? rc : WEFT_EGONE;
    }
    return rc;
}

static int send_frame(weft_ws *ws, enum weft_ws_opcode opcode, bool is_final, const void *data, size_t size)
{
    weft_ws_hall *hall = ws->connection->server->hall;
    if (size > COPY_MAX) {
        char header[WEFT_WS_HEADER_MAX];
        int header_size = weft_ws_frame_write(&hall->store.contexts, header, opcode, is_final, false, size, NULL);
        if (header_size < 0)
            return header_size;
        struct iovec parts[] = { { header, (size_t)header_size }, { (void *)(uintptr_t)data, size } };
        return check_outbox(ws, weft_outbox_send(&ws->outbox, parts, 2));
    }
    weft_shared *frame = new_frame(hall, opcode, is_final, false, data, size);
    int rc = frame ? weft_outbox_append(&ws->outbox, frame) : -ENOMEM;
    weft_shared_unref(frame);
    return check_outbox(ws, rc);
}

struct compress {
    weft_ws *ws;
    const weft_message *message;
    weft_shared *frame;
};

static void compress(void *arg)
{
    struct compress *c = arg;
    weft_ws *ws = c->ws;
    int error;
    c->frame = ws->deflate_id == WEFT_WS_DEFLATE_OWN
                   ? new_compressed(ws->connection->server->hall, ws->extra->deflate, true, c->message, &error)
                   : weft_session_encode(ws->connection->server, c->message, ws->deflate_id);
}

static int send_message(weft_ws *ws, const weft_message *m, bool compresses)
{
    if (!compresses || ws->deflate_id == 0 || m->size < ws->deflate_threshold)
        return send_frame(ws, m->is_text ? WEFT_WS_TEXT : WEFT_WS_BINARY, true, m->data, m->size);
    struct compress c = { .ws = ws, .message = m };
    weft_on_loop_stack(compress, &c);
    int rc = c.frame ? weft_outbox_append(&ws->outbox, c.frame) : -ENOMEM;
    weft_shared_unref(c.frame);
    if (rc < 0 && ws->deflate_id == WEFT_WS_DEFLATE_OWN)
        weft_session_drop(ws, true); /* what the next message refers to was never sent */
    return check_outbox(ws, rc);
}

static bool is_valid_text(const weft_message *m)
{
    weft_utf8 utf8 = { 0 };
    return weft_utf8_check(&utf8, m->data, m->size) && weft_utf8_is_whole(&utf8);
}

static int send_checked(weft_ws *ws, const weft_message *m, const weft_ws_send_options *o)
{
    if (m->is_text && !is_valid_text(m))
        return -EINVAL;
    int rc = await_room(ws, m->size, o->no_wait);
    if (rc < 0)
        return rc;
    if (ws->streamer)
        return -EBUSY; /* this very task is in the middle of another message */
    return send_message(ws, m, !o->no_compress);
}

int weft_ws_send_with(weft_ws *ws, const weft_message *message, const weft_ws_send_options *given)
{
    weft_ws_send_options o = { 0 };
    IS_A(ws, WEFT_WS_MAGIC);
    memcpy(&o, given, given->struct_size < sizeof o ? given->struct_size : sizeof o);
    return send_checked(ws, message, &o);
}

static const weft_ws_send_options no_options;

int weft_ws_send(weft_ws *ws, const weft_message *message)
{
    IS_A(ws, WEFT_WS_MAGIC);
    return send_checked(ws, message, &no_options);
}

int weft_ws_send_bytes(weft_ws *ws, const void *data, size_t size)
{
    IS_A(ws, WEFT_WS_MAGIC);
    return send_checked(ws, &(weft_message){ .data = data, .size = size }, &no_options);
}

static int send_text(weft_ws *ws, const char *text, size_t size)
{
    return send_checked(ws, &(weft_message){ .data = text, .size = size, .is_text = true }, &no_options);
}

int weft_ws_send_text(weft_ws *ws, const char *text)
{
    IS_A(ws, WEFT_WS_MAGIC);
    return send_text(ws, text, strlen(text));
}

int weft_ws_sendf(weft_ws *ws, const char *format, ...)
{
    char small[TEXT_ROOM];
    va_list args;
    IS_A(ws, WEFT_WS_MAGIC);
    va_start(args, format);
    int64_t size = weft_format_args(small, sizeof small, format, args);
    va_end(args);
    if (size < 0)
        return -EINVAL;
    if ((size_t)size < sizeof small)
        return send_text(ws, small, (size_t)size);
    char *large = weft_mem_alloc((size_t)size + 1);
    if (!large)
        return -ENOMEM;
    va_start(args, format);
    weft_format_args(large, (size_t)size + 1, format, args);
    va_end(args);
    int rc = send_text(ws, large, (size_t)size);
    weft_mem_free(large);
    return rc;
}

struct pack {
    weft_arena arena;
    weft_bytes text;
    const char *format;
    va_list *args;
    int rc;
};

static void pack(void *arg)
{
    struct pack *p = arg;
    char error[WEFT_JSON_ERROR_SIZE];
    p->rc = weft_json_pack(&p->arena, &p->text, error, p->format, *p->args);
    if (p->rc == -EINVAL)
        weft_log(WEFT_LOG_ERROR, "a WebSocket: no JSON from \"%s\": %s", p->format, error);
}

int weft_ws_send_json(weft_ws *ws, const char *pack_format, ...)
{
    struct pack p = { .format = pack_format };
    va_list args;
    IS_A(ws, WEFT_WS_MAGIC);
    weft_arena_init(&p.arena, &weft_here->arenas);
    va_start(args, pack_format);
    p.args = &args;
    weft_on_loop_stack(pack, &p);
    va_end(args);
    int rc = p.rc < 0 ? p.rc : send_text(ws, p.text.data, p.text.size);
    weft_arena_free(&p.arena);
    return rc;
}

/* ---- messages in pieces ---- */

/* The task that streams has ended in the middle: what it has begun cannot be completed. */
static void on_streamer_ended(struct weft_holding *holding)
{
    weft_ws *ws = CONTAINER_OF(holding, struct weft_ws_extra, streaming)->ws;
    weft_session_hold(ws);
    weft_session_end_stream(ws);
    if (weft_session_close(ws, 1011, NULL, 0) < 0)
        weft_session_drop(ws, true);
    weft_session_release(ws);
}

static const struct weft_holding_kind streaming = { .let_go = on_streamer_ended };

int weft_ws_stream(weft_ws *ws, bool is_text)
{
    IS_A(ws, WEFT_WS_MAGIC);
    int rc = await_room(ws, 0, false);
    if (rc == 0 && ws->streamer)
        rc = -EBUSY;
    struct weft_ws_extra *extra = rc == 0 ? weft_session_extra(ws) : NULL;
    if (rc == 0)
        rc = extra ? send_frame(ws, is_text ? WEFT_WS_TEXT : WEFT_WS_BINARY, false, NULL, 0) : -ENOMEM;
    if (rc < 0)
        return rc;
    ws->streamer = weft_here->current;
    extra->streaming = (struct weft_holding){ .kind = &streaming, .object = ws };
    weft_list_append(&ws->streamer->held, &extra->streaming.link);
    return 0;
}

static int stream_piece(weft_ws *ws, const void *data, size_t size, bool is_last)
{
    IS_A(ws, WEFT_WS_MAGIC);
    int rc = await_room(ws, size, false);
    if (rc == 0 && ws->streamer != weft_here->current)
        rc = -EPERM;
    return rc < 0 ? rc : send_frame(ws, WEFT_WS_CONTINUATION, is_last, data, size);
}

int weft_ws_stream_write(weft_ws *ws, const void *data, size_t size)
{
    int rc = size > 0 ? stream_piece(ws, data, size, false) : await_room(ws, 0, false);
    return rc == 0 && size >= YIELD_AFTER ? weft_yield() : rc;
}

int weft_ws_stream_end(weft_ws *ws)
{
    int rc = stream_piece(ws, NULL, 0, true);
    if (rc == 0 && (rc = let_held_go(ws, true)) < 0)
        weft_session_drop(ws, true); /* those who sent it believe that it is sent */
    return rc;
}
