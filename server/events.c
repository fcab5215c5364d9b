/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Server-sent events. The head goes through the loop's output buffer like any other; from then on everything goes through an
 * outbox, an event (or heart-beat) a buffer and a chunk, so that rooms can send by reference. At the end what is left is handed
 * to the transport, and the last chunk follows through the output buffer again.
 */
#include <weft/sse.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/check.h"
#include "lib/base/clock.h"
#include "lib/base/random.h"
#include "lib/http/chunked.h"
#include "server/events.h"
#include "server/rooms.h"

static const weft_duration BEAT = 15 * WEFT_SECOND;

enum { STUCK_BEATS = 2 }; /* so long may a client take nothing of what waits for it */

enum { RETRY_LEAST = 1000, RETRY_SPREAD = 2000 }; /* milliseconds: not all clients are to come back at once */

/* ---- encoding ---- */

/* A text that is measured first (`at` is NULL), then written. */
struct pen {
    char *at;
    size_t size;
};

static void put(struct pen *pen, const char *data, size_t size)
{
    if (pen->at) {
        memcpy(pen->at, data, size);
        pen->at += size;
    }
    pen->size += size;
}

static void put_field(struct pen *pen, const char *name, const char *value, size_t size)
{
    put(pen, name, strlen(name));
    put(pen, value, size);
    put(pen, "\n", 1);
}

static void put_data(struct pen *pen, const char *data, size_t size)
{
    for (;;) {
        size_t line = 0;
        while (line < size && data[line] != '\n' && data[line] != '\r')
            line++;
        put_field(pen, "data: ", data, line);
        if (line == size)
            return;
        size_t end = data[line] == '\r' && line + 1 < size && data[line + 1] == '\n' ? 2 : 1;
        data += line + end;
        size -= line + end;
    }
}

struct event {
    const char *name, *id, *data; /* NULL for none */
    size_t data_size;
    weft_duration retry;
};

static void put_event(struct pen *pen, const struct event *e)
{
    if (e->id)
        put_field(pen, "id: ", e->id, strlen(e->id));
    if (e->name)
        put_field(pen, "event: ", e->name, strlen(e->name));
    if (e->retry > 0) {
        char number[24];
        int size = snprintf(number, sizeof number, "%lld", (long long)(e->retry / WEFT_MILLISECOND));
        put_field(pen, "retry: ", number, (size_t)size);
    }
    if (e->data)
        put_data(pen, e->data, e->data_size);
    put(pen, "\n", 1);
}

/* `text`: in place of an event. NULL when memory is out. */
static weft_shared *encode(bool is_chunked, const struct event *e, const char *text)
{
    struct pen measure = { 0 };
    char line[WEFT_CHUNK_HEAD_MAX];
    if (e)
        put_event(&measure, e);
    else
        put(&measure, text, strlen(text));
    size_t line_size = is_chunked ? weft_chunk_head(line, measure.size) : 0;
    weft_shared *buf = weft_shared_new(measure.size + (is_chunked ? line_size + 2 : 0));
    if (!buf)
        return NULL;
    memcpy(buf->data, line, line_size);
    struct pen pen = { .at = buf->data + line_size };
    if (e)
        put_event(&pen, e);
    else
        put(&pen, text, strlen(text));
    if (is_chunked)
        memcpy(pen.at, WEFT_CHUNK_END, 2);
    return buf;
}

/* ---- as a subscriber of rooms ---- */

enum variant { PLAIN, CHUNKED, NOTHING /* the reply to HEAD */ };

static int encode_delivery(const weft_subscriber *s, const weft_delivery *delivery, weft_shared **ret_buf)
{
    if (!delivery->is_text || s->variant == NOTHING)
        return 0;
    char id[WEFT_POSITION_SIZE];
    const weft_topic place = { .epoch = delivery->epoch };
    weft_topic_position(&place, delivery->number, id);
    const struct event e = {
        .id = delivery->number > 0 || delivery->epoch > 0 ? id : NULL,
        .name = delivery->kind,
        .data = delivery->data,
        .data_size = delivery->size,
    };
    *ret_buf = encode(s->variant == CHUNKED, &e, NULL);
    return *ret_buf ? 1 : -ENOMEM;
}

static void cut(weft_subscriber *s, int code, const char *why)
{
    struct weft_events *events = CONTAINER_OF(s, struct weft_events, subscriber);
    (void)code;
    weft_log(WEFT_LOG_DEBUG, "%s: a stream of events is ended: it %s", events->req->path, why);
    weft_connection_close(events->req->connection, true);
}

static const weft_subscriber_ops subscriber_ops = { .joins = true, .encode = encode_delivery, .cut = cut };

int weft_room_join_request(weft_request *req, const char *room, weft_member **ret_member, const weft_join_options *options)
{
    struct weft_events *events = req->events;
    if (!events)
        return -EINVAL;
    return weft_room_join_subscriber(weft_app_rooms(req->connection->server->app), &events->subscriber, room, ret_member,
                                     options);
}

/* ---- the outbox ---- */

static void settle(struct weft_events *events, int result)
{
    if (events->wait)
        weft_wait_settle(events->wait, result);
}

static void on_low(weft_outbox *o)
{
    struct weft_events *events = CONTAINER_OF(o, struct weft_events, outbox);
    weft_subscriber_on_low(&events->subscriber);
    settle(events, 0);
}

static void on_failed(weft_outbox *o, int error)
{
    struct weft_events *events = CONTAINER_OF(o, struct weft_events, outbox);
    (void)error;
    events->req->connection->is_broken = true;
    weft_connection_close(events->req->connection, false);
}

static const weft_outbox_rules rules = {
    .size_most = WEFT_OUTBOX_SIZE_MOST,
    .count_most = WEFT_OUTBOX_COUNT_MOST,
    .size_high = WEFT_OUTBOX_SIZE_HIGH,
    .count_high = WEFT_OUTBOX_COUNT_HIGH,
    .low = on_low,
    .failed = on_failed,
};

void weft_events_on_drained(weft_request *req)
{
    if (req->events)
        weft_outbox_on_drained(&req->events->outbox, 0);
}

static bool is_stuck(struct weft_events *events)
{
    size_t unsent = weft_transport_unsent(&events->req->connection->transport);
    events->stuck_beats = unsent > 0 && unsent == events->unsent ? events->stuck_beats + 1 : 0;
    events->unsent = unsent;
    return events->stuck_beats >= STUCK_BEATS;
}

static void beat(weft_timer *timer)
{
    struct weft_events *events = CONTAINER_OF(timer, struct weft_events, beat);
    weft_loop *loop = events->req->connection->server->loop;
    if (is_stuck(events)) {
        weft_connection_close(events->req->connection, true);
        return;
    }
    if (!events->is_busy && weft_outbox_is_empty(&events->outbox)) {
        weft_shared *buf = encode(events->is_chunked, NULL, ":\n\n");
        if (buf)
            (void)weft_outbox_append(&events->outbox, buf); /* else the next one */
        weft_shared_unref(buf);
    }
    events->is_busy = false;
    weft_timer_set(&loop->wheel, timer, weft_tick_of(weft_clock_add(weft_loop_now(loop), BEAT)));
}

/* ---- ends ---- */

static void release(struct weft_events *events)
{
    weft_timer_clear(&events->beat);
    weft_subscriber_leave(&events->subscriber);
    weft_outbox_close(&events->outbox);
}

void weft_events_on_gone(weft_request *req)
{
    if (!req->events)
        return;
    release(req->events);
    settle(req->events, WEFT_EGONE);
}

void weft_events_stop(weft_request *req)
{
    struct weft_events *events = req->events;
    if (!events || events->has_stopped)
        return;
    weft_loop *loop = req->connection->server->loop;
    events->has_stopped = true;
    weft_subscriber_leave(&events->subscriber);
    if (events->outbox.size > WEFT_OUTBOX_SIZE_HIGH)
        weft_outbox_drop_waiting(&events->outbox); /* at the end it would be copied: too much, for who comes back for it */
    uint64_t spread = weft_random_below(&loop->random, RETRY_SPREAD);
    const struct event hint = { .retry = (weft_duration)(RETRY_LEAST + spread) * WEFT_MILLISECOND };
    weft_shared *buf = events->is_head ? NULL : encode(events->is_chunked, &hint, NULL);
    if (buf)
        (void)weft_outbox_append(&events->outbox, buf); /* only a hint */
    weft_shared_unref(buf);
    if (req->is_open)
        weft_scope_cut(&req->group.scope, WEFT_ECANCELED, false); /* also what is parked in a send or wait */
}

bool weft_events_end(weft_request *req, int rc)
{
    struct weft_events *events = req->events;
    bool in_order = rc >= 0 || (events->has_stopped && (rc == WEFT_ECANCELED || rc == WEFT_ECLOSED)); /* of joining a room */
    weft_timer_clear(&events->beat);
    weft_subscriber_leave(&events->subscriber);
    if (in_order && weft_outbox_hand_over(&events->outbox) < 0)
        in_order = false;
    weft_outbox_close(&events->outbox);
    return in_order;
}

void weft_events_free(weft_request *req)
{
    if (!req->events)
        return;
    release(req->events);
    weft_subscriber_close(&req->events->subscriber);
}

/* ---- public ---- */

int weft_events_begin(weft_request *req)
{
    weft_connection *c = req->connection;
    if (req->reply != WEFT_REPLY_NONE)
        return -EALREADY;
    if (weft_request_gone(req))
        return WEFT_EGONE;
    struct weft_events *events = weft_arena_alloc(&req->arena, sizeof *events);
    if (!events)
        return -ENOMEM;
    *events = (struct weft_events){ .req = req, .is_head = req->head.method_id == WEFT_HTTP_HEAD };
    weft_timer_init(&events->beat, beat);
    int rc = weft_set_header(req, "Cache-Control", "no-cache");
    if (rc == 0)
        rc = weft_set_header(req, "X-Accel-Buffering", "no"); /* a proxy is to pass each event on at once */
    if (rc == 0)
        rc = weft_outbox_open(&events->outbox, &c->transport, &rules);
    if (rc < 0)
        return rc;
    rc = weft_reply_stream(req, 200, "text/event-stream", -1);
    if (rc < 0) {
        weft_outbox_close(&events->outbox);
        return rc;
    }
    events->is_chunked = req->framing == WEFT_FRAMING_CHUNKED;
    enum variant variant = events->is_head ? NOTHING : events->is_chunked ? CHUNKED : PLAIN;
    weft_subscriber_init(&events->subscriber, &subscriber_ops, &events->outbox, variant);
    req->events = events;
    weft_output_flush(c->server); /* the head goes before everything in the outbox */
    if (weft_request_gone(req))
        return WEFT_EGONE;
    weft_loop *loop = c->server->loop;
    if (!events->is_head)
        weft_timer_set(&loop->wheel, &events->beat, weft_tick_of(weft_clock_add(weft_loop_now(loop), BEAT)));
    if (c->server->stop_stage >= WEFT_DRAINING)
        weft_events_stop(req);
    return 0;
}

static void withdraw(weft_wait *wait)
{
    ((struct weft_events *)(uintptr_t)wait->on)->wait = NULL;
}

/* What both waiting calls begin with, and do again after a wait. */
static int check(weft_request *req, const char *what)
{
    int rc = weft_wait_check(what);
    if (rc == WEFT_ECANCELED && weft_request_gone(req))
        return WEFT_EGONE;
    if (rc < 0)
        return rc;
    if (!req->events || req->reply != WEFT_REPLY_STREAM)
        return -EINVAL;
    if (weft_request_gone(req))
        return WEFT_EGONE;
    if (req->events->has_stopped)
        return WEFT_ECANCELED;
    return req->events->wait ? -EBUSY : 0;
}

static int park(weft_request *req, const char *what)
{
    struct weft_events *events = req->events;
    weft_wait wait = WEFT_WAIT(what, events, withdraw);
    events->wait = &wait;
    int rc = weft_wait_park(&wait);
    return (rc == WEFT_ECANCELED || rc == 0) && weft_request_gone(req) ? WEFT_EGONE : rc;
}

static bool is_one_line(const char *text)
{
    return !text || !strpbrk(text, "\r\n");
}

int weft_events_send_(weft_request *req, const weft_sse *event)
{
    int rc = check(req, "events send");
    if (rc < 0)
        return rc;
    if (!is_one_line(event->name) || !is_one_line(event->id))
        return -EINVAL;
    struct weft_events *events = req->events;
    if (events->is_head)
        return 0;
    const struct event e = {
        .name = event->name,
        .id = event->id,
        .data = event->data,
        .data_size = event->data ? strlen(event->data) : 0,
        .retry = event->retry,
    };
    weft_shared *buf = encode(events->is_chunked, &e, NULL);
    if (!buf)
        return -ENOMEM;
    while (rc == 0 && weft_outbox_is_high(&events->outbox))
        rc = park(req, "events send");
    if (rc == 0)
        rc = weft_outbox_append(&events->outbox, buf);
    weft_shared_unref(buf);
    events->is_busy = true;
    return rc;
}

int weft_events_wait(weft_request *req)
{
    int rc = check(req, "events wait");
    if (rc == 0 && req->events->is_head)
        return 0;
    while (rc == 0)
        rc = park(req, "events wait");
    return rc;
}

const char *weft_events_last_id(const weft_request *req)
{
    return weft_header(req, "Last-Event-ID");
}
