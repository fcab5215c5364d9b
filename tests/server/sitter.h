/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Subscribers for tests of rooms: each sends what it is given as lines ("kind:text;") over a pair in memory, and keeps what
 * comes out at the other end. */
#ifndef WEFT_TESTS_SERVER_SITTER_H
#define WEFT_TESTS_SERVER_SITTER_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft.h>

#include <weft/test.h>

#include "lib/net/transport_memory.h"
#include "server/rooms.h"

typedef struct sitter {
    weft_transport t, peer;
    weft_outbox outbox;
    weft_subscriber subscriber;
    weft_member *seat;
    char *got; /* NUL-terminated once something has come */
    size_t got_size, got_room;
    int closed, cuts, cut_code;
    bool closes_when_cut;
} sitter;

static int sitter_encodes; /* in tests of one thread */

static int sitter_encode(const weft_subscriber *s, const weft_delivery *d, weft_shared **ret_buf)
{
    if (s->variant == 0)
        sitter_encodes++;
    if (!d->is_text)
        return 0;
    size_t kind = d->kind ? strlen(d->kind) + 1 : 0;
    weft_shared *buf = weft_shared_new(kind + d->size + 1);
    if (!buf)
        return -ENOMEM;
    if (kind) {
        memcpy(buf->data, d->kind, kind - 1);
        buf->data[kind - 1] = ':';
    }
    if (d->size > 0)
        memcpy(buf->data + kind, d->data, d->size);
    buf->data[kind + d->size] = ';';
    *ret_buf = buf;
    return 1;
}

static void sitter_cut(weft_subscriber *s, int code, const char *why)
{
    sitter *one = CONTAINER_OF(s, sitter, subscriber);
    (void)why;
    one->cuts++;
    one->cut_code = code;
    weft_subscriber_leave(s);
    if (one->closes_when_cut)
        weft_subscriber_close(s);
    weft_outbox_close(&one->outbox);
}

static const weft_subscriber_ops sitter_ops = { .joins = true, .encode = sitter_encode, .cut = sitter_cut };

static void sitter_low(weft_outbox *o)
{
    weft_subscriber_on_low(&CONTAINER_OF(o, sitter, outbox)->subscriber);
}

static void sitter_failed(weft_outbox *o, int error)
{
    (void)o, (void)error;
}

static const weft_outbox_rules sitter_rules = {
    .size_most = 100000,
    .count_most = 10,
    .size_high = 5000,
    .count_high = 8,
    .low = sitter_low,
    .failed = sitter_failed,
};

/* Of variant 1. */
static const weft_outbox_rules sitter_large_rules = {
    .size_most = WEFT_OUTBOX_SIZE_MOST,
    .count_most = WEFT_OUTBOX_COUNT_MOST,
    .size_high = WEFT_OUTBOX_SIZE_MOST,
    .count_high = WEFT_OUTBOX_COUNT_MOST,
    .low = sitter_low,
    .failed = sitter_failed,
};

static void sitter_no_input(weft_transport *t, char *data, int64_t size)
{
    (void)t, (void)data, (void)size;
}

static void sitter_drained(weft_transport *t, int error)
{
    weft_outbox_on_drained(&CONTAINER_OF(t, sitter, t)->outbox, error);
}

static void sitter_closed(weft_transport *t)
{
    CONTAINER_OF(t, sitter, t)->closed++;
}

static void peer_input(weft_transport *t, char *data, int64_t size)
{
    sitter *one = CONTAINER_OF(t, sitter, peer);
    if (size <= 0)
        return;
    if (one->got_size + (size_t)size + 1 > one->got_room) {
        one->got_room = (one->got_size + (size_t)size + 1) * 2;
        one->got = realloc(one->got, one->got_room);
    }
    memcpy(one->got + one->got_size, data, (size_t)size);
    one->got_size += (size_t)size;
    one->got[one->got_size] = '\0';
}

static void peer_drained(weft_transport *t, int error)
{
    (void)t, (void)error;
}

static void peer_closed(weft_transport *t)
{
    CONTAINER_OF(t, sitter, peer)->closed++;
}

static const weft_transport_events sitter_events = { .input = sitter_no_input,
                                                     .drained = sitter_drained,
                                                     .closed = sitter_closed };
static const weft_transport_events peer_events = { .input = peer_input, .drained = peer_drained, .closed = peer_closed };

/* Takes its place on this loop, in no room yet; its peer reads. 0 or -ENOMEM: then it is closed all the same. */
static inline int sitter_open(sitter *one, size_t capacity, unsigned variant)
{
    memset(one, 0, sizeof *one);
    int rc = weft_transport_open_pair(&one->t, &one->peer, weft_loop_here(), capacity, &sitter_events, &peer_events);
    if (rc < 0)
        return rc;
    rc = weft_outbox_open(&one->outbox, &one->t, variant == 1 ? &sitter_large_rules : &sitter_rules);
    weft_subscriber_init(&one->subscriber, &sitter_ops, &one->outbox, variant);
    WEFT_CHECK(weft_transport_read_start(&one->peer) == 0);
    return rc;
}

#define sitter_join(one, rooms_, room, ...)                                                                                    \
    weft_room_join_subscriber((rooms_), &(one)->subscriber, (room), &(one)->seat,                                              \
                              &(weft_join_options){ .struct_size = sizeof(weft_join_options), __VA_ARGS__ })

/* May wait. */
static inline void sitter_close(sitter *one)
{
    if (one->outbox.transport || one->subscriber.ops || !weft_list_is_empty(&one->subscriber.members))
        weft_subscriber_close(&one->subscriber);
    weft_outbox_close(&one->outbox);
    weft_transport_close(&one->t, false);
    weft_transport_close(&one->peer, false);
    for (int i = 0; one->closed < 2 && i < 1000; i++)
        (void)!weft_sleep(WEFT_MILLISECOND);
    WEFT_CHECK(one->closed == 2);
    free(one->got);
}

static inline int sitter_say(sitter *one, const char *text)
{
    const weft_message msg = { text, strlen(text), true };
    return weft_room_send(one->seat, &msg);
}

static inline const char *sitter_got(const sitter *one)
{
    return one->got ? one->got : "";
}

static inline bool sitter_has(const sitter *one, const char *text)
{
    bool is_so = strcmp(sitter_got(one), text) == 0;
    if (!is_so)
        fprintf(stderr, "# expected %s\n#      got %s\n", text, sitter_got(one));
    return is_so;
}

static inline void sitter_forget(sitter *one)
{
    one->got_size = 0;
    if (one->got)
        one->got[0] = '\0';
}

static inline void settle(void)
{
    WEFT_CHECK(weft_sleep(WEFT_MILLISECOND) == 0);
}

static inline void open_all(sitter *all, int count, size_t capacity)
{
    for (int i = 0; i < count; i++)
        WEFT_CHECK(sitter_open(&all[i], capacity, 0) == 0);
}

static inline void close_all(sitter *all, int count)
{
    for (int i = 0; i < count; i++)
        sitter_close(&all[i]);
}

static inline void check_nothing_is_left(weft_rooms *rooms)
{
    settle();
    weft_room_stats stats = weft_rooms_stats(rooms);
    WEFT_CHECK(stats.rooms == 0 && stats.members == 0 && atomic_load(&rooms->hub_count) == 0 && !weft_loop_here()->hubs);
    weft_rooms_free(rooms);
}

#endif
