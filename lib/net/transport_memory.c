/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Transports in memory: two ends, and a growing buffer of bytes on their way to each.
 *
 *     the input of an end:   | taken by the pipe, at most `capacity` | queued by the peer (its t->queued) |
 *
 * It behaves as a socket does, so that what is tested on it holds there too: events come from the loop, never from a call;
 * input is at most 64 KiB, in the loop's buffer; bytes that were taken arrive, also when the connection breaks after them;
 * queued ones are lost by a close; closing an end with input unread resets its peer. What an end has to be told waits for
 * its callback, which says one thing of a kind and asks to be called again while there is more.
 */
#include "lib/net/transport_memory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/check.h"
#include "lib/base/memory.h"
#include "lib/net/net.h"

#define END_MAGIC 0x3e303e7du

struct pair;

struct end {
    unsigned magic;
    weft_transport *t; /* NULL once its closed event has come */
    struct pair *pair;
    weft_callback due;
    char *data; /* its input: `size` bytes from `at` on */
    size_t at, size, room;
    size_t received, sent; /* since the opening; by the pipe, not by the queue */
    int broken;            /* to be said after the input; 0 */
    bool is_over;          /* the end of input follows */
    bool says_drained;     /* with `broken` */
    weft_memory_knobs knobs;
};

struct pair {
    struct end ends[2];
    int open_count;
    size_t capacity;
};

static struct end *end_of(const weft_transport *t)
{
    struct end *e = *(struct end *const *)(const void *)t->handle;
    IS_A(e, END_MAGIC);
    return e;
}

static struct end *peer_of(struct end *e)
{
    return &e->pair->ends[e == &e->pair->ends[0]];
}

static bool is_open(const struct end *e)
{
    return e->t && e->t->is_open;
}

static void say_soon(struct end *e)
{
    if (e->t)
        weft_callback_soon(e->t->loop, &e->due);
}

weft_memory_knobs *weft_memory_knobs_of(weft_transport *t)
{
    return &end_of(t)->knobs;
}

/* ---- the bytes on their way to an end ---- */

static bool reserve(struct end *e, size_t more)
{
    enum { ROOM_MIN = 512 };
    if (e->room - e->at - e->size >= more)
        return true;
    size_t need = e->size + more;
    if (e->room >= need + need / 2) { /* moving is rare then */
        memmove(e->data, e->data + e->at, e->size);
        e->at = 0;
        return true;
    }
    size_t room = ROOM_MIN;
    while (room < need + need / 2)
        room *= 2;
    char *data = weft_mem_alloc(room);
    if (!data)
        return false;
    if (e->size > 0)
        memcpy(data, e->data + e->at, e->size);
    weft_mem_free(e->data);
    e->data = data;
    e->at = 0;
    e->room = room;
    return true;
}

/* Appends `size` bytes of the parts, after the first `skip`, for which there is room. */
static void append(struct end *e, const struct iovec *parts, size_t skip, size_t size)
{
    for (; size > 0; parts++) {
        if (skip >= parts->iov_len) {
            skip -= parts->iov_len;
            continue;
        }
        size_t here = parts->iov_len - skip;
        if (here > size)
            here = size;
        memcpy(e->data + e->at + e->size, (const char *)parts->iov_base + skip, here);
        e->size += here;
        size -= here;
        skip = 0;
    }
}

/* Input that may be delivered: without what the peer has only queued. */
static size_t taken(struct end *e)
{
    const struct end *peer = peer_of(e);
    return e->size - (is_open(peer) ? peer->t->queued : 0);
}

/* How many of `size` more bytes of e's output the pipe takes now. */
static size_t takes(struct end *e, size_t size)
{
    size_t room = e->pair->capacity - taken(peer_of(e));
    size_t left = e->knobs.breaks ? e->knobs.break_after - e->sent : SIZE_MAX;
    if (size > room)
        size = room;
    return size > left ? left : size;
}

/* ---- breaking ---- */

static void reset(struct end *e)
{
    if (!is_open(e))
        return;
    weft_transport *t = e->t;
    if (t->queued > 0) {
        peer_of(e)->size -= t->queued;
        t->queued = 0;
        e->says_drained = true;
    }
    e->broken = t->error = -ECONNRESET;
    say_soon(e);
}

/* Has the knob's offset been reached? Then nothing passes any more. */
static bool breaks_now(struct end *e)
{
    if (!e->knobs.breaks || e->sent < e->knobs.break_after)
        return false;
    reset(e);
    reset(peer_of(e));
    return true;
}

/* ---- sending ---- */

static int cannot_send(struct end *e)
{
    weft_transport *t = e->t;
    if (!t->error && !is_open(peer_of(e)))
        t->error = -EPIPE;
    return t->error ? t->error : t->is_shut ? -EPIPE : 0;
}

static size_t size_of(const struct iovec *parts, int count)
{
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += parts[i].iov_len;
    return size;
}

static int64_t try_send(weft_transport *t, const struct iovec *parts, int count)
{
    struct end *e = end_of(t), *peer = peer_of(e);
    int rc = cannot_send(e);
    if (rc < 0)
        return rc;
    size_t size = size_of(parts, count);
    if (size == 0)
        return 0;
    if (t->queued > 0 || e->knobs.refuses_send)
        return -EAGAIN;
    if (breaks_now(e))
        return t->error;
    if (e->knobs.send_most && size > e->knobs.send_most)
        size = e->knobs.send_most;
    size = takes(e, size);
    if (size == 0)
        return -EAGAIN;
    if (!reserve(peer, size))
        return -ENOMEM;
    append(peer, parts, 0, size);
    e->sent += size;
    say_soon(peer);
    return (int64_t)size;
}

static int queue(weft_transport *t, const struct iovec *parts, int count, size_t skip)
{
    struct end *e = end_of(t), *peer = peer_of(e);
    int rc = cannot_send(e);
    if (rc < 0)
        return rc;
    size_t size = size_of(parts, count) - skip;
    if (size == 0)
        return 0;
    if (!reserve(peer, size))
        return -ENOMEM;
    append(peer, parts, skip, size);
    t->queued += size;
    say_soon(e);
    return 0;
}

static size_t unsent(const weft_transport *t)
{
    return t->queued;
}

static bool has_unread(const weft_transport *t)
{
    return taken(end_of(t)) > 0;
}

static void end_input(struct end *e)
{
    e->is_over = true;
    say_soon(e);
}

static int end_direction(weft_transport *t)
{
    struct end *e = end_of(t);
    if (t->is_shut)
        return 0;
    if (t->error)
        return -ENOTCONN;
    t->is_shut = true;
    if (t->queued == 0)
        end_input(peer_of(e));
    return 0;
}

/* ---- what an end is told ---- */

/* The pipe takes what it can of the queue. */
static void drain(struct end *e)
{
    weft_transport *t = e->t;
    if (t->queued > 0) {
        const size_t size = takes(e, t->queued);
        t->queued -= size;
        e->sent += size;
        if (size > 0)
            say_soon(peer_of(e));
        if (t->queued > 0 && !breaks_now(e)) {
            if (size > 0)
                weft_transport_say_eased(t);
            return;
        }
        e->says_drained = true;
        if (t->is_shut && !t->error)
            end_input(peer_of(e));
    }
    if (!e->says_drained)
        return;
    e->says_drained = false;
    t->events->drained(t, t->error);
}

/* Of the next input event, into a place of `most` bytes. */
static size_t input_size(struct end *e, size_t most)
{
    const weft_memory_knobs *knobs = &e->knobs;
    size_t size = taken(e);
    if (size > most)
        size = most;
    if (knobs->input_most && size > knobs->input_most)
        size = knobs->input_most;
    for (size_t i = 0; i < knobs->split_count; i++) {
        if (knobs->splits[i] <= e->received)
            continue;
        if (size > knobs->splits[i] - e->received)
            size = knobs->splits[i] - e->received;
        break;
    }
    return size;
}

static void deliver(struct end *e)
{
    weft_transport *t = e->t;
    if (taken(e) > 0) {
        weft_net *net = t->loop->net;
        struct iovec place = weft_transport_input_place(t);
        size_t size = input_size(e, place.iov_len);
        char *input = place.iov_base;
        memcpy(input, e->data + e->at, size);
        weft_net_trim_input(net, input, size);
        e->size -= size;
        e->at = e->size ? e->at + size : 0;
        e->received += size;
        t->took_all = e->size == 0;
        say_soon(e); /* for what is left, or for the end */
        if (is_open(peer_of(e)) && peer_of(e)->t->queued > 0)
            say_soon(peer_of(e));
        t->events->input(t, input, (int64_t)size);
        weft_net_return_input(net);
    } else if (e->broken || e->is_over) {
        t->is_reading = false;
        t->has_ended = true;
        t->events->input(t, NULL, e->broken);
    }
}

static void free_end(struct end *e)
{
    weft_transport *t = e->t;
    struct pair *pair = e->pair;
    weft_mem_free(e->data);
    e->magic = 0;
    e->t = NULL;
    if (--pair->open_count == 0)
        weft_mem_free(pair);
    t->events->closed(t);
}

static void say(weft_callback *due)
{
    struct end *e = CONTAINER_OF(due, struct end, due);
    weft_transport *t = e->t;
    if (t->is_open)
        drain(e);
    if (t->is_open && t->is_reading)
        deliver(e);
    else if (!t->is_open && weft_list_is_empty(&e->due.link))
        free_end(e);
}

/* ---- reading, opening and closing ---- */

static int read_start(weft_transport *t)
{
    t->is_reading = true;
    say_soon(end_of(t));
    return 0;
}

static void read_stop(weft_transport *t)
{
    t->is_reading = false;
}

static void close_end(weft_transport *t, bool resets)
{
    struct end *e = end_of(t), *peer = peer_of(e);
    if (is_open(peer)) {
        peer->size -= t->queued;
        t->queued = 0;
        if (resets || e->size > 0)
            reset(peer);
        else
            end_input(peer);
    }
    t->queued = 0;
    t->is_open = t->is_reading = false;
    say_soon(e);
}

static const char *peer(const weft_transport *t, char *buf, size_t size)
{
    (void)t;
    snprintf(buf, size, "memory");
    return buf;
}

static const weft_transport_ops memory_ops = {
    .read_start = read_start,
    .read_stop = read_stop,
    .try_send = try_send,
    .queue = queue,
    .unsent = unsent,
    .has_unread = has_unread,
    .shutdown = end_direction,
    .close = close_end,
    .peer = peer,
};

static void init(weft_transport *t, struct end *e, struct pair *pair, weft_loop *loop, const weft_transport_events *events)
{
    t->ops = &memory_ops;
    t->events = events;
    t->loop = loop;
    t->queued = 0;
    t->error = 0;
    t->is_open = true;
    t->is_reading = t->took_all = t->is_tcp = t->has_ended = t->is_shut = false;
    *(struct end **)(void *)t->handle = e;
    e->magic = END_MAGIC;
    e->t = t;
    e->pair = pair;
    weft_callback_init(&e->due, say);
}

int weft_transport_open_pair(weft_transport *a, weft_transport *b, weft_loop *loop, size_t capacity,
                             const weft_transport_events *a_events, const weft_transport_events *b_events)
{
    CHECK(capacity > 0);
    a->is_open = b->is_open = false;
    struct pair *pair = weft_net_of(loop) ? weft_mem_calloc(1, sizeof *pair) : NULL;
    if (!pair)
        return -ENOMEM;
    pair->capacity = capacity;
    pair->open_count = 2;
    init(a, &pair->ends[0], pair, loop, a_events);
    init(b, &pair->ends[1], pair, loop, b_events);
    return 0;
}
