/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * WebSockets as subscribers of rooms. A socket in some room has a hook for its seats: `down` leaves the rooms, `end` gives the
 * seats back. Sockets that have agreed to the same compression are sent the same bytes; those with a compression of their own
 * over messages are sent rooms' messages as they are.
 */
#include <errno.h>
#include <string.h>

#include "lib/base/check.h"
#include "lib/base/memory.h"
#include "server/rooms.h"
#include "server/session.h"

enum { COMPRESS_FROM = 1024 }; /* bytes of a message: below it a gain is rare */

struct seats {
    weft_ws_hook hook;
    weft_subscriber subscriber;
    weft_ws *ws;
};

static struct seats *seats_of(const weft_subscriber *s)
{
    return CONTAINER_OF((weft_subscriber *)(uintptr_t)s, struct seats, subscriber);
}

static int encode(const weft_subscriber *s, const weft_delivery *delivery, weft_shared **ret_buf)
{
    const weft_message msg = { delivery->data, delivery->size, delivery->is_text };
    int deflate_id = msg.size >= COMPRESS_FROM ? (int)s->variant : 0;
    *ret_buf = weft_session_encode(weft_session_server(seats_of(s)->ws), &msg, deflate_id);
    return *ret_buf ? 1 : -ENOMEM;
}

static int append(weft_subscriber *s, weft_shared *buf)
{
    return weft_session_append(seats_of(s)->ws, buf);
}

/* Takes one of the frames out that are held back while a task streams a message. */
static void drop_held(struct weft_ws_extra *extra, size_t i)
{
    extra->held_size -= extra->held[i]->size;
    extra->held_messages -= extra->held[i]->count;
    weft_shared_unref(extra->held[i]);
    extra->held_count--;
    memmove(&extra->held[i], &extra->held[i + 1], (extra->held_count - i) * sizeof(*extra->held));
}

static bool drop_oldest(weft_subscriber *s)
{
    weft_ws *ws = seats_of(s)->ws;
    if (!ws->streamer)
        return weft_outbox_drop_oldest(&ws->outbox);
    for (size_t i = 0; i < ws->extra->held_count; i++) /* only these make room */
        if (ws->extra->held[i]->may_drop) {
            drop_held(ws->extra, i);
            return true;
        }
    return false;
}

static void drop_key(weft_subscriber *s, uint64_t key)
{
    weft_ws *ws = seats_of(s)->ws;
    if (ws->outbox.is_blocked)
        weft_outbox_drop_key(&ws->outbox, key);
    for (size_t i = ws->streamer ? ws->extra->held_count : 0; i-- > 0;)
        if (ws->extra->held[i]->key == key)
            drop_held(ws->extra, i);
}

/* What it has not read is given up, so that the close is the next thing that it reads. */
static void cut(weft_subscriber *s, int code, const char *why)
{
    weft_ws *ws = seats_of(s)->ws;
    weft_subscriber_leave(s);
    weft_outbox_drop_waiting(&ws->outbox);
    if (weft_session_close(ws, code, why, strlen(why)) < 0)
        weft_session_drop(ws, true);
}

static const weft_subscriber_ops ops = {
    .joins = true,
    .encode = encode,
    .append = append,
    .drop_oldest = drop_oldest,
    .drop_key = drop_key,
    .cut = cut,
};

static void on_down(weft_ws_hook *hook, weft_ws *ws)
{
    (void)ws;
    weft_subscriber_leave(&CONTAINER_OF(hook, struct seats, hook)->subscriber);
}

static void on_low(weft_ws_hook *hook, weft_ws *ws)
{
    (void)ws;
    weft_subscriber_on_low(&CONTAINER_OF(hook, struct seats, hook)->subscriber);
}

static void on_end(weft_ws_hook *hook, weft_ws *ws)
{
    struct seats *seats = CONTAINER_OF(hook, struct seats, hook);
    (void)ws;
    weft_subscriber_close(&seats->subscriber);
    weft_mem_free(seats);
}

static struct seats *get_seats(weft_ws *ws)
{
    LIST_EACH (link, &ws->hooks) {
        weft_ws_hook *hook = CONTAINER_OF(link, weft_ws_hook, link);
        if (hook->end == on_end)
            return CONTAINER_OF(hook, struct seats, hook);
    }
    struct seats *seats = weft_mem_alloc(sizeof *seats);
    if (!seats)
        return NULL;
    *seats = (struct seats){ .hook = { .down = on_down, .low = on_low, .end = on_end }, .ws = ws };
    int id = weft_session_deflate_id(ws);
    weft_subscriber_init(&seats->subscriber, &ops, &ws->outbox, id == WEFT_WS_DEFLATE_OWN ? 0 : (unsigned)id);
    weft_session_add_hook(ws, &seats->hook);
    return seats;
}

int weft_room_join_ws(weft_ws *ws, const char *room, weft_member **ret_member, const weft_join_options *options)
{
    IS_A(ws, WEFT_WS_MAGIC);
    if (ws->state != WEFT_WS_OPEN)
        return WEFT_ECLOSED;
    struct seats *seats = get_seats(ws);
    if (!seats)
        return -ENOMEM;
    return weft_room_join_subscriber(weft_app_rooms(weft_session_server(ws)->app), &seats->subscriber, room, ret_member,
                                     options);
}
