/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The inside of a WebSocket: what has taken a connection over after 101.
 *
 *     ──> OPEN ──── our close ────> CLOSING ──────── theirs, or time ──────┐
 *           │                                                              v
 *           ├───── their close, answered; a failure, told ─────────────> CLOSED ──> OVER
 *           └───── a reset, an end without a word, nothing heard ──────────────────> OVER
 *
 * OPEN: both ways. CLOSING: our close has been sent; theirs is awaited, and what comes before it is still taken. CLOSED: all is
 * said: the connection lingers for the peer's end of TCP, by itself. OVER: the connection closes, or is closed.
 *
 * It is held by the connection, until CLOSED or OVER, by the handler's task, by the callbacks until the last of them has been
 * called, and by each act here that may end it; the last to let go frees it. Input is read on the loop's stack, whoever asks
 * for it: a receiver pulls the next message out of the connection's one input; while nobody receives, only what lies in front
 * of the next message is looked at, so that the peer is slowed down to the handler's pace. Everything that is sent goes through
 * the outbox, in order.
 */
#ifndef WEFT_SERVER_SESSION_H
#define WEFT_SERVER_SESSION_H

#include <weft/ws.h>

#include "lib/net/outbox.h"
#include "lib/ws/handshake.h"
#include "lib/ws/reader.h"
#include "server/connection.h"

#define WEFT_WS_MAGIC 0x3eb50c4eu

enum weft_ws_state { WEFT_WS_OPEN, WEFT_WS_CLOSING, WEFT_WS_CLOSED_BOTH, WEFT_WS_OVER };

enum { WEFT_WS_SESSIONS_PER_CHUNK = 32, WEFT_WS_DEFLATE_LEVEL = 1, WEFT_WS_DEFLATE_OWN = 255 };

/* What all WebSockets of a server share; made with the first. */
typedef struct weft_ws_hall {
    weft_ws_store store;
    weft_outbox_rules outbox; /* of each socket */
    weft_slab sessions;
    weft_deflate *deflates[WEFT_DEFLATE_WINDOW_MAX + 1]; /* by their window: for messages compressed each by itself */
    uint64_t random;                                     /* of the pings' jitter */
} weft_ws_hall;

/* Something that is to be told of a socket's end, as a seat in a room. On the loop's stack or in a task; it must not wait. */
typedef struct weft_ws_hook {
    weft_list link;
    void (*down)(struct weft_ws_hook *hook, weft_ws *ws); /* nothing can be sent any more; said once; may be NULL */
    void (*low)(struct weft_ws_hook *hook, weft_ws *ws);  /* much was unsent, and is not any more; may be NULL */
    void (*end)(struct weft_ws_hook *hook, weft_ws *ws);  /* the handler has ended: forget the socket. It is out of the list */
} weft_ws_hook;

struct weft_ws {
    unsigned magic;
    uint8_t state;
    uint8_t deflate_id; /* weft_session_deflate_id */
    bool has_handler;   /* the request's task uses it */
    bool is_served;     /* by callbacks */
    bool is_told;       /* the handler knows that it is closed */
    bool is_down;       /* nothing can be sent any more, and all who care know */
    bool is_clean;      /* closed by a handshake, not by a reset or silence */
    bool has_failed;    /* by the peer's fault, or for want of memory */
    bool has_pong;      /* in extra: to be sent once the outbox is not high any more */
    bool wants_whole;   /* the receiver does: a message, not a part */
    uint8_t holds;
    uint16_t close_code;
    weft_upgrade upgrade;
    weft_connection *connection;
    weft_outbox outbox;
    weft_ws_reader reader;
    weft_timer timer;                               /* of the next ping, or the limit of a closing handshake */
    weft_duration heard;                            /* when the last bytes came */
    weft_duration moved;                            /* when unsent output was last seen to move, */
    size_t unsent;                                  /* and how much there was */
    uint32_t ping_every, dead_after, close_timeout; /* milliseconds */
    uint32_t deflate_threshold;
    uint32_t control_second, control_count; /* pings and pongs that have come in that second of the loop's clock */
    weft_wait *receiver;
    weft_list senders;   /* waiters for room in the outbox, or for the end of a stream */
    weft_task *streamer; /* who is in the middle of a message in pieces */
    weft_list hooks;
    struct weft_ws_extra *extra; /* what few have, or what is there at the end; NULL */
    int (*on_message)(weft_ws *ws, const weft_message *message);
    void (*on_closed)(weft_ws *ws);
    weft_task *serving;   /* the task of a callback, */
    weft_scope *handling; /* and while it handles messages, a scope in it */
    const char *protocol;
    void *user;
};

/* What only some need, in one allocation each. */
struct weft_ws_extra {
    weft_deflate *deflate;         /* with a context of its own */
    struct weft_holding streaming; /* in the list of the task that streams */
    weft_ws *ws;
    weft_shared **held; /* what came for it while a message was streamed */
    size_t held_count, held_room;
    size_t held_size; /* bytes of them */
    uint32_t held_messages;
    char reason[WEFT_WS_CONTROL_MAX];
    uint8_t pong_size;
    char pong[WEFT_WS_CONTROL_MAX];
};

/* ---- session.c ---- */

weft_ws_hall *weft_ws_hall_of(weft_server *server);

/* At the server's end. */
void weft_ws_hall_close(weft_server *server);

/* Makes a session of a connection whose request has been answered with 101. NULL when memory is out. */
weft_ws *weft_session_new(weft_connection *c, const weft_ws_options *options, const weft_ws_answer *answer);

/* Takes the connection over: the 101 is in the output buffer. */
void weft_session_start(weft_ws *ws);

/* On the loop's stack: the next event of the input for who wants it; WEFT_WS_MORE when there is none, or the socket is closed.
 * Answers pings and closes by itself. */
enum weft_ws_kind weft_session_pull(weft_ws *ws, enum weft_ws_want want);

/* Sends close and goes to CLOSING; 0 or -ENOMEM. Ignored unless OPEN. */
int weft_session_close(weft_ws *ws, int code, const char *reason, size_t size);

/* The connection is to be closed without a word. */
void weft_session_drop(weft_ws *ws, bool resets);

/* One more, or one less, who needs it to stay. */
void weft_session_hold(weft_ws *ws);
void weft_session_release(weft_ws *ws);

/* Tells the hooks that it ends, and forgets them. */
void weft_session_end_hooks(weft_ws *ws);

/* What a receiver is told of a socket that is closed: 0, WEFT_EGONE, WEFT_EPROTOCOL or -ENOMEM. */
int weft_session_outcome(const weft_ws *ws);

struct weft_ws_extra *weft_session_extra(weft_ws *ws);

static inline const struct weft_settings *weft_session_settings(const weft_ws *ws)
{
    return &ws->connection->server->app->settings;
}

/* ---- session_watch.c ---- */

/* Its times of pings, dead peers and closing, as the options have them. */
void weft_session_init_times(weft_ws *ws, const weft_ws_options *o);

/* As the members of weft_ws have it: at least 1, at most 24 days. */
uint32_t weft_session_milliseconds(weft_duration d);

/* Sets the timer, whatever it was set to. */
void weft_session_set_timer(weft_ws *ws, uint32_t milliseconds);

/* The same for the next look at a peer: `ping_every` after `base`, less the jitter, or before, when it is dead then. */
void weft_session_set_ping_timer(weft_ws *ws, weft_duration base);

/* The timer has struck: pings the peer, or drops it. */
void weft_session_look_after(weft_ws *ws);

/* Much is unsent: has it looked at in time whether the peer takes any of it. */
void weft_session_watch(weft_ws *ws);

/* One more ping or pong has come. Each costs us little, and makes nothing grow: are they more than anybody needs? */
bool weft_session_is_flood(weft_ws *ws);

/* ---- session_send.c ---- */

/* What can a message for this socket be encoded as? 0: as it is; from 9 to 15: also compressed, the same for all sockets of
 * this id; WEFT_WS_DEFLATE_OWN: compressed for it alone. */
static inline int weft_session_deflate_id(const weft_ws *ws)
{
    return ws->deflate_id;
}

/* A message as one frame, for all sockets with this id (not WEFT_WS_DEFLATE_OWN); compressed if that makes it smaller. NULL
 * when memory is out. On the loop's stack (deflate is deep) if the id is not 0. */
weft_shared *weft_session_encode(weft_server *server, const weft_message *message, int deflate_id);

/* Appends such a frame to the socket's outbox; while a task streams a message it is held back until the end of that. Never
 * waits. 0, -ENOBUFS: its queue is full; WEFT_ECLOSED, -ENOMEM, or what made the outbox fail. */
int weft_session_append(weft_ws *ws, weft_shared *frame);

/* A control frame of at most 125 bytes, in front of what waits if `in_front`. */
int weft_session_control(weft_ws *ws, enum weft_ws_opcode opcode, const void *data, size_t size, bool in_front);

/* The outbox has room again, or the socket is closed: wakes who waits to send. */
void weft_session_wake_senders(weft_ws *ws);

/* The task that streams has gone without the end of its message. */
void weft_session_end_stream(weft_ws *ws);

/* ---- session_serve.c ---- */

/* A socket that is served by callbacks has input, or is closed: has it handled. On the loop's stack; `enters_now`: with no task
 * running. */
void weft_session_serve(weft_ws *ws, bool enters_now);

/* ---- for rooms ---- */

static inline void weft_session_add_hook(weft_ws *ws, weft_ws_hook *hook)
{
    weft_list_append(&ws->hooks, &hook->link);
}

static inline weft_server *weft_session_server(const weft_ws *ws)
{
    return ws->connection->server;
}

#endif
