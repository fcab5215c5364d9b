/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Two ends of a TLS connection in memory, each with a probe for its owner; or one end, and a raw one that sends anything. */
#ifndef WEFT_TESTS_TLS_PAIR_H
#define WEFT_TESTS_TLS_PAIR_H

#include "tests/unit/net_probe.h"

#include <weft/tls.h>

#include "lib/net/tls.h"
#include "lib/net/transport_memory.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Of a client: how its handshake ended, once `connects` is 1. */
static size_t connects;
static int connect_error;

static void probe_connected(weft_transport *t, int error)
{
    WEFT_CHECK(t->is_open);
    connects++;
    connect_error = error;
}

static const weft_transport_events tls_probe_events = {
    .input = probe_input,
    .drained = probe_drained,
    .closed = probe_closed,
    .connected = probe_connected,
};

static inline void settle(void)
{
    WEFT_CHECK(weft_sleep(WEFT_MILLISECOND) == 0);
}

static inline weft_memory_knobs *inner_knobs(probe *p)
{
    return weft_memory_knobs_of(weft_tls_inner(&p->t));
}

static inline weft_tls_context *new_server(void)
{
    weft_tls_context *context;
    weft_tls_words words;
    WEFT_CHECK(weft_tls_server_new(&context, &(weft_tls_options){ .self_signed = true }) == 0);
    WEFT_CHECK(weft_tls_reload(context, false, &words) == 1);
    return context;
}

static inline weft_tls_context *new_client(void)
{
    weft_tls_context *context;
    WEFT_CHECK(weft_tls_client_new(&context, .insecure = true) == 0);
    return context;
}

/* The handshake has not begun: it does when the client's callback comes. */
static inline int open_tls_with(probe *server, probe *client, size_t capacity, weft_tls_context *ours,
                                const struct weft_tls_wrap_options *theirs)
{
    weft_loop *loop = weft_loop_here();
    struct weft_tls_wrap_options options = { .context = ours };
    memset(server, 0, sizeof *server);
    memset(client, 0, sizeof *client);
    connects = 0;
    int rc = weft_tls_wrap(&server->t, loop, &tls_probe_events, &options);
    if (rc < 0)
        return rc;
    rc = weft_tls_wrap(&client->t, loop, &tls_probe_events, theirs);
    if (rc == 0) {
        rc = weft_transport_open_pair(weft_tls_inner(&server->t), weft_tls_inner(&client->t), loop, capacity,
                                      &weft_tls_inner_events, &weft_tls_inner_events);
        if (rc < 0)
            weft_tls_abandon(&client->t);
    }
    if (rc < 0) {
        weft_tls_abandon(&server->t);
        return rc;
    }
    weft_tls_start(&server->t, false);
    weft_tls_start(&client->t, false);
    return 0;
}

static inline int open_tls(probe *server, probe *client, size_t capacity)
{
    weft_tls_context *ours = new_server(), *theirs = new_client();
    int rc = open_tls_with(server, client, capacity, ours, &(struct weft_tls_wrap_options){ .context = theirs });
    weft_tls_context_free(ours); /* what is open holds what it needs */
    weft_tls_context_free(theirs);
    return rc;
}

/* With the handshake done, and both reading. */
static inline int open_ready(probe *server, probe *client, size_t capacity)
{
    int rc = open_tls(server, client, capacity);
    if (rc < 0)
        return rc;
    probe_read(server);
    probe_read(client);
    for (int i = 0; i < 100 && connects == 0; i++)
        settle();
    WEFT_CHECK(connects == 1 && connect_error == 0);
    settle();
    return 0;
}

/* A server's end, and a raw one. */
static inline int open_raw(probe *server, probe *raw, weft_tls_context *context)
{
    memset(server, 0, sizeof *server);
    memset(raw, 0, sizeof *raw);
    int rc = weft_tls_wrap(&server->t, weft_loop_here(), &tls_probe_events,
                           &(struct weft_tls_wrap_options){ .context = context });
    if (rc < 0)
        return rc;
    rc = weft_transport_open_pair(weft_tls_inner(&server->t), &raw->t, weft_loop_here(), 65536, &weft_tls_inner_events,
                                  &probe_events);
    if (rc < 0) {
        weft_tls_abandon(&server->t);
        return rc;
    }
    weft_tls_start(&server->t, false);
    probe_read(server);
    probe_read(raw);
    return 0;
}

static inline void close_pair(probe *a, probe *b)
{
    if (a->closes == 0)
        probe_close(a, false);
    if (b->closes == 0)
        probe_close(b, false);
    settle();
    WEFT_CHECK(a->closes == 1 && b->closes == 1);
    free(a->got);
    free(b->got);
}

#endif
