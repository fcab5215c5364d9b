/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Transports: what carries bytes under a stream or a connection, by callbacks and without waiting.
 *
 * One small table of functions over tcp, unix sockets, memory, and TLS as a filter over each; protocol code never sees which.
 * The struct is embedded in its owner (a connection is one slab object); idle, it owns nothing else. Everything happens on the
 * loop's thread; events are delivered on the loop's stack with no task running, never from inside a call on the transport.
 *
 *     (connecting ──>) open ──> (reading or not, sending or not) ──> close ──> closed event: only now may the memory be reused
 *
 * No event but `closed` comes after close.
 */
#ifndef WEFT_LIB_NET_TRANSPORT_H
#define WEFT_LIB_NET_TRANSPORT_H

#include <sys/uio.h>

#include "lib/task/loop.h"

typedef struct weft_transport weft_transport;
struct weft_address;

/* What the owner is told. In each of them the owner may call anything on the transport, close included. */
typedef struct weft_transport_events {
    /* size > 0: bytes, at most 64 KiB, in a buffer of the loop that is valid (and may be written to) until this returns, or in
     * the owner's `room`. 0: the peer has ended its direction; said once. < 0: -errno, the connection is broken in both
     * directions; said once. After either no more input comes, and reading is off. Only said while reading. */
    void (*input)(weft_transport *t, char *data, int64_t size);
    /* Where the owner would have the next input, which spares it a copy: asked right before it is read, not by TLS. Of length
     * 0: nowhere. NULL: the owner never has room. */
    struct iovec (*room)(weft_transport *t);
    /* What was queued has all been sent (0), or cannot be (-errno, said once). Not said when nothing had to be queued. */
    void (*drained)(weft_transport *t, int error);
    /* Some of what was queued has been sent and some is left: t->queued has fallen. NULL: the owner does not ask. */
    void (*eased)(weft_transport *t);
    /* Nothing of it is in use any more. */
    void (*closed)(weft_transport *t);
    /* Only of weft_transport_connect: 0, or -errno; it is then to be closed. */
    void (*connected)(weft_transport *t, int error);
} weft_transport_events;

/* Bytes that their owner lends to a transport, which so needs no copy; the owner keeps the loan and the bytes until `returned`,
 * in which nothing may be called on the transport. */
typedef struct weft_transport_loan {
    struct iovec part;
    void (*returned)(struct weft_transport_loan *loan);
    size_t sent; /* the transport's own: so much of it */
} weft_transport_loan;

typedef struct weft_transport_ops {
    bool is_outside; /* what it waits for comes from outside the loop: virtual time does not jump meanwhile */
    int (*read_start)(weft_transport *t);
    void (*read_stop)(weft_transport *t);
    int64_t (*try_send)(weft_transport *t, const struct iovec *parts, int count);
    int (*queue)(weft_transport *t, const struct iovec *parts, int count, size_t skip);
    int (*lend)(weft_transport *t, weft_transport_loan *loan); /* NULL: a copy is queued instead */
    size_t (*unsent)(const weft_transport *t);
    bool (*has_unread)(const weft_transport *t);
    int (*shutdown)(weft_transport *t);
    void (*close)(weft_transport *t, bool resets);
    const char *(*peer)(const weft_transport *t, char *buf, size_t size);
} weft_transport_ops;

struct weft_transport {
    const weft_transport_ops *ops;
    const weft_transport_events *events;
    weft_loop *loop;
    size_t queued; /* bytes that were queued; falls as they are sent, by and by, and is 0 before `drained` is said */
    int error;     /* why nothing can be sent any more; 0 */
    bool is_open;  /* until close */
    bool is_reading;
    bool is_tcp;
    bool took_all;      /* the last read left nothing behind it (not set by TLS) */
    bool has_ended;     /* the end of input, or an error, has been said */
    bool is_shut;       /* our direction has been ended */
    bool is_last;       /* set by the owner: it shuts down at once behind what it sends next, which may wait for that */
    bool is_connecting; /* of a socket's own: not open yet */
    bool is_socket;     /* of its own too: else it is a pipe */
    _Alignas(8) char handle[56]; /* its kind's own */
};

/* Takes over a connected, non-blocking, close-on-exec socket, of TCP one that a listener (with TCP_NODELAY) has accepted; on
 * failure it is still the caller's, and nothing is to be closed (t->is_open is false). 0 or -errno. */
int weft_transport_open_fd(weft_transport *t, weft_loop *loop, int fd, bool is_tcp, const weft_transport_events *events);

/* Two ends in memory, each on the same loop; `capacity` bytes may be under way in each direction before sends queue. An end
 * that is closed with input unread resets its peer, as TCP does. 0 or -ENOMEM. */
int weft_transport_open_pair(weft_transport *a, weft_transport *b, weft_loop *loop, size_t capacity,
                             const weft_transport_events *a_events, const weft_transport_events *b_events);

/* Opens a transport that is not connected yet; the connected event tells when it is. Until then only close may be called.
 * 0, or -errno without an event: then t->is_open tells whether it has to be closed. */
int weft_transport_connect(weft_transport *t, weft_loop *loop, const struct weft_address *address,
                           const weft_transport_events *events);

/* Begins or goes on to read. Costs no system call when it was reading already, and nothing after the end of input. 0 or
 * -errno. */
static inline int weft_transport_read_start(weft_transport *t)
{
    return t->is_reading || t->has_ended ? 0 : t->ops->read_start(t);
}

/* For the transports themselves: where the next input is to go, the owner's room or the loop's buffer of input. */
struct iovec weft_transport_input_place(weft_transport *t);

static inline void weft_transport_say_eased(weft_transport *t)
{
    if (t->events->eased)
        t->events->eased(t);
}

static inline void weft_transport_read_stop(weft_transport *t)
{
    if (t->is_reading)
        t->ops->read_stop(t);
}

/* Takes as many bytes as it can without queueing: their count, -EAGAIN for none (and always while anything is queued, so that
 * order holds), or another -errno, which is final (-EPIPE, -ECONNRESET ...) except for -ENOMEM. */
static inline int64_t weft_transport_try_send(weft_transport *t, const struct iovec *parts, int count)
{
    return t->ops->try_send(t, parts, count);
}

/* Queues a copy of everything after the first `skip` bytes: all of it (0), or nothing (-ENOMEM, or an -errno that is final).
 * There is no limit here: the owner keeps one by t->queued. */
static inline int weft_transport_queue(weft_transport *t, const struct iovec *parts, int count, size_t skip)
{
    return t->ops->queue(t, parts, count, skip);
}

/* Queues the loan's bytes as they lie; only while nothing is queued. `drained` follows as for a copy. 0, or -errno: then the
 * loan has not been taken, and `returned` is not called. It may be called before this returns, and after weft_transport_close,
 * but before the closed event. */
int weft_transport_lend(weft_transport *t, weft_transport_loan *loan);

/* Sends, and queues a copy of what could not be sent at once: t->queued tells whether any was. 0 or -errno; after an error a
 * part may have been sent. */
int weft_transport_send(weft_transport *t, const struct iovec *parts, int count);

/* The exact count of queued bytes that the kernel (or the peer) has not taken; t->queued falls in larger steps. Who watches
 * for a peer that takes nothing compares two of these. */
static inline size_t weft_transport_unsent(const weft_transport *t)
{
    return t->queued ? t->ops->unsent(t) : 0;
}

/* Are there bytes of the peer's that no input event has brought yet? A system call. To close then would reset the peer. */
static inline bool weft_transport_has_unread(const weft_transport *t)
{
    return t->ops->has_unread(t);
}

/* Ends our direction once the queue is sent; later sends are -EPIPE. May queue what was to be `is_last`. Idempotent. 0 or
 * -errno
 * (-ENOTCONN after a reset). */
static inline int weft_transport_shutdown(weft_transport *t)
{
    return t->ops->shutdown(t);
}

/* Begins to close; idempotent. What is queued is given up. `resets`: TCP RST in place of FIN (a unix socket has none). The
 * closed event follows, later. */
static inline void weft_transport_close(weft_transport *t, bool resets)
{
    if (t->is_open)
        t->ops->close(t, resets);
}

/* The peer's address as text ("127.0.0.1:4711", "unix", "memory") into buf; returns buf. */
static inline const char *weft_transport_peer(const weft_transport *t, char *buf, size_t size)
{
    return t->ops->peer(t, buf, size);
}

#endif
