/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* An owner of a transport that writes down what it is told. */
#ifndef WEFT_TESTS_NET_PROBE_H
#define WEFT_TESTS_NET_PROBE_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <weft/test.h>

#include "lib/net/transport.h"
#include "tests/unit/grow.h"

typedef struct probe {
    weft_transport t;
    char *got; /* all input */
    size_t got_size, inputs, largest, ends, errors, drains, closes, eases;
    int error, drain_error;
    bool in_call;       /* a test is inside a call on this transport: no event may come */
    bool echoes;        /* sends all input back */
    bool closes_itself; /* in its first input event */
    bool stops_itself;  /* reading, in each input event */
    bool spoils;        /* writes over its input */
    char *room;         /* where it would have the next input, */
    size_t room_size;   /* and how much of it: falls as it comes */
    size_t in_room;     /* bytes that came there */
} probe;

static void probe_input(weft_transport *t, char *data, int64_t size)
{
    probe *p = CONTAINER_OF(t, probe, t);
    WEFT_CHECK(!p->in_call && t->is_open && p->closes == 0);
    WEFT_CHECK(p->ends + p->errors == 0); /* nothing comes after the end */
    if (size <= 0) {
        WEFT_CHECK(!t->is_reading);
        size == 0 ? p->ends++ : p->errors++;
        p->error = (int)size;
        return;
    }
    WEFT_CHECK(t->is_reading && size <= 64 * 1024);
    if (p->room_size > 0) {
        WEFT_CHECK(data == p->room && (size_t)size <= p->room_size);
        p->room += size;
        p->room_size -= (size_t)size;
        p->in_room += (size_t)size;
    }
    p->inputs++;
    if ((size_t)size > p->largest)
        p->largest = (size_t)size;
    p->got = grow(p->got, p->got_size, (size_t)size);
    memcpy(p->got + p->got_size, data, (size_t)size);
    p->got_size += (size_t)size;
    if (p->echoes)
        WEFT_CHECK(weft_transport_send(t, &(struct iovec){ data, (size_t)size }, 1) == 0);
    if (p->spoils)
        memset(data, '#', (size_t)size);
    if (p->stops_itself)
        weft_transport_read_stop(t);
    if (p->closes_itself)
        weft_transport_close(t, false);
}

static struct iovec probe_room(weft_transport *t)
{
    probe *p = CONTAINER_OF(t, probe, t);
    WEFT_CHECK(!p->in_call && t->is_open && t->is_reading);
    return (struct iovec){ p->room, p->room_size };
}

static void probe_drained(weft_transport *t, int error)
{
    probe *p = CONTAINER_OF(t, probe, t);
    WEFT_CHECK(!p->in_call && t->is_open && p->closes == 0 && t->queued == 0);
    p->drains++;
    p->drain_error = error;
}

static void probe_eased(weft_transport *t)
{
    probe *p = CONTAINER_OF(t, probe, t);
    WEFT_CHECK(!p->in_call && t->is_open && p->closes == 0 && t->queued > 0 && weft_transport_unsent(t) <= t->queued);
    p->eases++;
}

static void probe_closed(weft_transport *t)
{
    probe *p = CONTAINER_OF(t, probe, t);
    WEFT_CHECK(!p->in_call && !t->is_open);
    p->closes++;
    memset(&p->t, 0x5a, sizeof p->t); /* it is ours again */
}

static const weft_transport_events probe_events = {
    .input = probe_input,
    .room = probe_room,
    .drained = probe_drained,
    .eased = probe_eased,
    .closed = probe_closed,
};

static inline int probe_send(probe *p, const void *data, size_t size)
{
    p->in_call = true;
    int rc = weft_transport_send(&p->t, &(struct iovec){ (void *)(uintptr_t)data, size }, 1);
    p->in_call = false;
    return rc;
}

static inline int64_t probe_try(probe *p, const void *data, size_t size)
{
    p->in_call = true;
    int64_t rc = weft_transport_try_send(&p->t, &(struct iovec){ (void *)(uintptr_t)data, size }, 1);
    p->in_call = false;
    return rc;
}

static inline void probe_read(probe *p)
{
    p->in_call = true;
    WEFT_CHECK(weft_transport_read_start(&p->t) == 0);
    p->in_call = false;
}

static inline int probe_shutdown(probe *p)
{
    p->in_call = true;
    int rc = weft_transport_shutdown(&p->t);
    p->in_call = false;
    return rc;
}

static inline void probe_close(probe *p, bool resets)
{
    p->in_call = true;
    weft_transport_close(&p->t, resets);
    weft_transport_close(&p->t, !resets); /* has no effect */
    p->in_call = false;
}

static inline bool probe_got(const probe *p, const char *text)
{
    return p->got_size == strlen(text) && memcmp(p->got, text, p->got_size) == 0;
}

/* Bytes of which no two neighbours, and no two blocks, are alike. */
static inline void probe_pattern(char *buf, size_t size)
{
    uint32_t x = 1;
    for (size_t i = 0; i < size; i++) {
        x = x * 1664525u + 1013904223u;
        buf[i] = (char)(x >> 24);
    }
}

#endif
