/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * A connection: one slab object that holds its transport. Idle, it owns nothing else: no stack, no arena, no buffer.
 *
 *          ┌──────────── the reply is made, nothing is unread ───────────┐
 *          v                                                             │
 *     ──> IDLE ── bytes ──> HEAD ── a whole head ──> HANDLING ───────────┤
 *          │                 │                          │                │
 *          │ peer's end,     │ refused, 408             │ must close     │ broken
 *          v time            v                          v                v
 *        CLOSING <──────── LINGER <─────────────────────┘              CLOSING ──> gone
 *
 * From HANDLING a connection may also go to UPGRADED: its transport and its unread bytes are with another protocol
 * (weft_connection_detach), which takes it on to LINGER or CLOSING.
 *
 * IDLE: no unread bytes, or only what is being discarded. HEAD: a part of a head is unread. HANDLING: `request` is set, and a
 * task serves it, begun from the read callback; it goes on with the next request while whole heads are there (pipelining), and
 * ends when there is none. LINGER: everything is said and our direction is shut; input is thrown away until the peer's end, so
 * that the last reply is not lost to a reset. CLOSING: the transport is closing.
 *
 * The slot is given back at the later of the transport's closed event and the end of the task.
 */
#ifndef WEFT_SERVER_CONNECTION_H
#define WEFT_SERVER_CONNECTION_H

#include "lib/http/head_check.h"
#include "lib/net/transport.h"
#include "server/input.h"
#include "server/server.h"

enum weft_connection_state {
    WEFT_CONNECTION_IDLE,
    WEFT_CONNECTION_HEAD,
    WEFT_CONNECTION_HANDLING,
    WEFT_CONNECTION_UPGRADED,
    WEFT_CONNECTION_LINGER,
    WEFT_CONNECTION_CLOSING,
};

/* Who has taken a connection over: told what the connection is told, on the loop's stack but where it is said otherwise.
 * Embedded in its owner. */
typedef struct weft_upgrade {
    const struct weft_upgrade_ops *ops;
} weft_upgrade;

struct weft_upgrade_ops {
    void (*input)(weft_upgrade *u); /* more is unread, or the peer's direction has ended */
    /* Where it would have the next input: of length 0, nowhere. What comes there is said by `input` as everything is. */
    struct iovec (*room)(weft_upgrade *u);
    void (*drained)(weft_upgrade *u);
    void (*closed)(weft_upgrade *u);         /* on any stack: the connection is closing, nothing can be sent or read any more */
    void (*stop)(weft_upgrade *u);           /* the server has begun to drain, or to cancel */
    void (*sealed)(weft_upgrade *u, int rc); /* in the task: the handler of the request that was upgraded has returned */
    void (*released)(weft_upgrade *u);       /* and the request is gone */
};

typedef struct weft_connection {
    weft_transport transport;
    weft_server *server;
    weft_request *request; /* while HANDLING */
    weft_task *task;       /* that serves it; NULL when none does */
    weft_input input;
    weft_head_check check;
    uint8_t state;
    uint8_t phase;
    uint8_t ending;            /* enum weft_ending: why it ends, once that is known */
    bool transport_closed : 1; /* the closed event has come */
    bool has_ended : 1;        /* the peer's direction has ended */
    bool is_broken : 1;        /* nothing can be sent any more */
    bool must_close : 1;       /* after the present reply */
    bool has_served : 1;       /* at least one request */
    bool is_redirected : 1;    /* from a WEFT_DOOR_REDIRECT: each request is sent to HTTPS */
    bool is_detached : 1;      /* an upgrade uses it */
    bool awaits_proxy : 1;     /* a PROXY header must come first */
    uint16_t requests_left;    /* of the limit, if there is one */
    uint16_t held;             /* KiB of the loop's budget; from 32 MiB on, MiB with the highest bit */
    uint32_t discard;          /* bytes of a body that nobody read, still to come; at most discard_limit */
    weft_list all;             /* in the server's list */
    weft_list timed;           /* in the list of its phase */
    weft_list writing;         /* in the server's list, while output is queued */
    char *client;              /* its address without the port; NULL: not asked for yet, or there is none */
    union {
        weft_callback again;   /* to go on with a request that needs another stack */
        weft_upgrade *upgrade; /* while is_detached */
    };
    weft_duration since; /* when its phase began */
    weft_duration sent;  /* when queued output last moved, */
    size_t left_then;    /* and how much of it was left then */
} weft_connection;

/* With its place in the poller's table, and what a chunk of them wastes, an idle one costs 302 bytes. */
_Static_assert(sizeof(weft_connection) <= 288, "a connection stays small");

/* A new connection, its transport not opened yet; NULL when memory is out. */
weft_connection *weft_connection_new(weft_server *server);

/* Gives back one whose transport could not be opened. */
void weft_connection_abandon(weft_connection *c);

extern const weft_transport_events weft_connection_events;

/* Its transport is open: begins to read. */
void weft_connection_start(weft_connection *c);

/* Notes why it ends; the first reason stands. */
static inline void weft_connection_blame(weft_connection *c, enum weft_ending ending)
{
    if (c->ending == WEFT_END_OTHER)
        c->ending = (uint8_t)ending;
}

/* A line for the log of debugging, with its peer's address. */
void weft_connection_say(const weft_connection *c, const char *what, const char *words);

/* It has met a limit: counts and logs it; in the second form that is why it ends. */
void weft_connection_meet(weft_connection *c, enum weft_limit limit);
void weft_connection_end_by(weft_connection *c, enum weft_limit limit);

/* What it holds of the loop's budget may have changed: unread input, unsent output. */
void weft_connection_weigh(weft_connection *c);

/* ---- connection.c ---- */

/* Ends it at once; `resets` with a reset. Its request, if any, is cancelled. */
void weft_connection_close(weft_connection *c, bool resets);

/* In the task that handles its request, whose reply says so: `upgrade` has the transport and the input from now on, until it
 * lets go. What the reply put into the output buffer is sent first. */
void weft_connection_detach(weft_connection *c, weft_upgrade *upgrade);

/* The upgrade has said all: ends our direction and waits for the peer's end, in its stead. */
void weft_connection_finish(weft_connection *c);

/* The upgrade does not use it any more; it may be gone afterwards. */
void weft_connection_let_go(weft_connection *c);

/* The server drains: the present request, or the first, is its last. True if it is idle: then it is to be put into
 * WEFT_PHASE_LEAVING. */
bool weft_connection_drain(weft_connection *c);

/* The server cancels: ends it if no request is being handled. */
void weft_connection_cancel(weft_connection *c);

/* Its phase has lasted too long. */
void weft_connection_expire(weft_connection *c);

/* Reads on if reading had stopped and less than half of the read-ahead is unread. */
void weft_connection_read_on(weft_connection *c);

/* ---- client.c ---- */

/* Notes its peer's address in c->client, where it stays when the peer has gone. */
void weft_connection_note_client(weft_connection *c);

/* The same as weft_connection_start, of a socket with the descriptor `fd`, where a PROXY header must come first: from a network
 * that is trusted, or the connection is reset. */
void weft_connection_start_behind_proxy(weft_connection *c, int fd);

/* A PROXY header must come first. */
void weft_connection_await_proxy(weft_connection *c);

/* Takes it off the input. False if it is not whole yet, or if the connection has been reset for it. */
bool weft_connection_take_proxy(weft_connection *c);

/* ---- output.c ---- */

enum { WEFT_OUTPUT_COPY_MAX = 16 * 1024 }; /* a larger body is sent from where it lies */

/* A writer that waits, past output_high, goes on when so few bytes are unsent. */
static inline size_t weft_output_low(const weft_connection *c)
{
    return c->server->app->settings.output_high / 4;
}

/* Room for `size` bytes (at most WEFT_OUTPUT_SIZE) in the loop's output buffer, for c; never NULL. Then take it. */
char *weft_output_room(weft_connection *c, size_t size);
void weft_output_take(weft_connection *c, size_t size);

/* Any bytes: copied into the buffer if they fit well, else sent behind it. */
void weft_output_write(weft_connection *c, const void *data, size_t size);

/* Output has been queued by other means: watches that it moves. */
void weft_output_watch(weft_connection *c);

/* Sends all that is in the buffer. */
void weft_output_flush(weft_server *server);

/* The same, unless it may wait for others that are readable in the same poll. */
void weft_output_flush_if_due(weft_server *server);

/* What of c is in the buffer is given up. */
void weft_output_forget(weft_server *server, const weft_connection *c);

#endif
