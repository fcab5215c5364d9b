/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Transports: what carries bytes under a stream or a connection, by callbacks and without waiting.
 *
 * One small table of functions over tcp, unix sockets and memory (and TLS, as a filter, later); protocol code never sees
 * which. The struct is embedded in its owner (a connection is one slab object) and holds the libuv handle in place; idle, it
 * owns nothing else. Everything happens on the loop's thread; events are delivered on the loop's stack with no task running,
 * never from inside a call on the transport.
 *
 *     opened ──> (reading or not, sending or not) ──> close ──> closed event: only now may the memory be reused
 */
#ifndef WEFT_LIB_NET_TRANSPORT_H
#define WEFT_LIB_NET_TRANSPORT_H

#include <sys/uio.h>

#include "lib/task/loop.h"

typedef struct weft_transport weft_transport;

/* What the owner is told. */
typedef struct weft_transport_events {
    /* size > 0: bytes, in a buffer of the loop that is valid (and may be written to) until this returns. 0: the peer has ended
     * its direction; said once. < 0: -errno, the connection is broken; said once. */
    void (*input)(weft_transport *t, char *data, int64_t size);
    /* What was queued has all been sent (0), or cannot be (-errno, said once). Not said when nothing had to be queued. */
    void (*drained)(weft_transport *t, int error);
    /* Nothing of it is in use any more. */
    void (*closed)(weft_transport *t);
} weft_transport_events;

typedef struct weft_transport_ops {
    int (*read_start)(weft_transport *t); /* 0 or -errno; idempotent */
    void (*read_stop)(weft_transport *t); /* idempotent */
    /* Takes as many bytes as it can without queueing: their count, -EAGAIN for none, or another -errno. */
    int64_t (*try_send)(weft_transport *t, const struct iovec *parts, int count);
    /* Queues a copy of everything. 0, -ENOMEM, or another -errno. */
    int (*queue)(weft_transport *t, const struct iovec *parts, int count);
    int (*shutdown)(weft_transport *t);            /* ends our direction once the queue is sent; 0 or -errno */
    void (*close)(weft_transport *t, bool resets); /* `resets`: TCP RST in place of FIN */
} weft_transport_ops;

struct weft_transport {
    const weft_transport_ops *ops;
    const weft_transport_events *events;
    weft_loop *loop;
    size_t queued; /* bytes that were queued and not sent yet */
    bool is_open;  /* until close */
    bool is_reading;
    bool is_tcp;
    _Alignas(16) char handle[272]; /* the uv_tcp_t, uv_pipe_t or memory end */
};

/* Takes over a connected, non-blocking, close-on-exec socket; on failure it is still the caller's. 0 or -errno. */
int weft_transport_open_fd(weft_transport *t, weft_loop *loop, int fd, bool is_tcp, const weft_transport_events *events);

/* Two ends in memory, each on the same loop; `capacity` bytes may be under way in each direction before sends queue. */
int weft_transport_open_pair(weft_transport *a, weft_transport *b, weft_loop *loop, size_t capacity,
                             const weft_transport_events *a_events, const weft_transport_events *b_events);

/* Sends, and queues a copy of what could not be sent at once: t->queued tells whether any was. 0 or -errno. */
int weft_transport_send(weft_transport *t, const struct iovec *parts, int count);

static inline int weft_transport_read_start(weft_transport *t)
{
    return t->is_reading ? 0 : t->ops->read_start(t);
}

static inline void weft_transport_read_stop(weft_transport *t)
{
    if (t->is_reading)
        t->ops->read_stop(t);
}

static inline int weft_transport_shutdown(weft_transport *t)
{
    return t->ops->shutdown(t);
}

/* Begins to close; idempotent. What is queued is given up. The closed event follows, later. */
static inline void weft_transport_close(weft_transport *t, bool resets)
{
    if (t->is_open)
        t->ops->close(t, resets);
}

/* The peer's address as text ("127.0.0.1:4711", "unix", "memory") into buf; returns buf. */
const char *weft_transport_peer(const weft_transport *t, char *buf, size_t size);

#endif
