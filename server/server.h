/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * A server: an app on one loop. It owns the connections, the loop's output buffer, and the sweep that ends what takes too long.
 *
 * Every phase of a connection that has a time limit has a list, and every entry of a list has the same limit: so each list is
 * in the order of its deadlines, entering and leaving costs a list operation, and one timer serves them all.
 */
#ifndef WEFT_SERVER_SERVER_H
#define WEFT_SERVER_SERVER_H

#include "lib/base/slab.h"
#include "lib/http/date.h"
#include "lib/task/task.h"
#include "server/app.h"
#include "server/door.h"
#include "server/head_cache.h"

struct weft_connection;

enum {
    WEFT_OUTPUT_SIZE = 64 * 1024, /* the loop's output buffer, bytes; */
    WEFT_OUTPUT_PIECES = 32,      /* in so many pieces at most */
    WEFT_DATE_LINE = 37,          /* "Date: ...\r\n" */
};

/* The phases that have a time limit. */
enum weft_phase {
    WEFT_PHASE_NONE,    /* a handler works */
    WEFT_PHASE_PROXY,   /* a PROXY header is awaited: absolute */
    WEFT_PHASE_IDLE,    /* between requests */
    WEFT_PHASE_HEAD,    /* a head has begun: absolute */
    WEFT_PHASE_BODY,    /* a body is awaited: from its last byte */
    WEFT_PHASE_LINGER,  /* closed by us, waiting for the peer's end: absolute */
    WEFT_PHASE_LEAVING, /* draining, and idle: until its turn to be closed */
    WEFT_PHASE_LEFT,    /* draining: an idle one that was closed by us, waiting for the peer's end: absolute */
    WEFT_PHASES
};

/* How a stop goes on; it only ever grows. */
enum weft_stop_stage { WEFT_SERVING, WEFT_ANNOUNCING, WEFT_DRAINING, WEFT_CANCELLING };

/* Replies that are about to leave (output.c). */
typedef struct weft_output {
    struct weft_connection *owner; /* of the last piece; NULL: there is none, or its connection was closed */
    size_t size;                   /* of the buffer in use */
    unsigned piece_count, sent_count;
    uint64_t since; /* weft_clock_cycles when the first piece was begun */
    struct weft_output_piece {
        struct weft_connection *of; /* NULL: it was closed meanwhile */
        size_t at;                  /* in the buffer, up to where the next piece begins */
    } pieces[WEFT_OUTPUT_PIECES];
    char bytes[WEFT_OUTPUT_SIZE];
} weft_output;

typedef struct weft_server {
    weft_app *app;
    weft_list of_app; /* in its list of servers */
    weft_loop *loop;
    weft_group requests; /* the tasks that serve connections */
    weft_list warm;      /* those that wait for a request (connection_serve.c) */
    int warm_count;
    weft_door doors[WEFT_LISTEN_MAX];
    size_t door_count;
    size_t worker; /* which one it is */
    void *worker_state;
    _Atomic(int64_t) beat; /* when its loop last turned, for the others; 0: it does not tell (beats.c) */
    weft_timer beats;
    weft_list adopted; /* what it accepts from in place of others */
    bool accepts_paused;
    bool limit_is_said; /* in the log, and the connections have stayed near their limit since */

    weft_slab connection_slab, request_slab;
    weft_head_cache head_cache;
    weft_list connections;
    size_t connection_count;
    size_t served; /* WebSockets whose last callback is still to be called */
    size_t max_connections;
    weft_list phases[WEFT_PHASES];
    weft_duration phase_limits[WEFT_PHASES];
    weft_list writing; /* connections with queued output, the one that has waited longest first */
    weft_timer sweep;

    int64_t date_second;
    char date_line[WEFT_DATE_LINE + 1];

    enum weft_stop_stage stop_stage;
    struct weft_stop_wait *stop_wait; /* the root task's: settled when a stage is reached, or the last connection has gone */
    struct weft_server_counts counts;
    struct weft_ws_hall *hall;          /* what WebSockets share; NULL before the first */
    struct weft_access_log *access_log; /* NULL: off */
    uint64_t random;                    /* jitter */
    weft_output output;
} weft_server;

/* Makes it, on this thread's loop, in the calling task, which must close it. 0 or -ENOMEM. */
int weft_server_open(weft_server **ret_server, weft_app *app);

/* Listens on an address of the app; accepts from the next turn on. 0, WEFT_ECERTIFICATE if it needs one, or -errno. */
int weft_server_listen(weft_server *server, const char *address);

/* Listens where the server of another worker does, on sockets of its own. 0 or -errno. */
int weft_server_listen_beside(weft_server *server, const weft_server *first);

/* What a listener calls; the context is the door. */
void weft_server_accepted(void *door, int fd, bool is_tcp);

/* A connection of its own, or one that another worker has passed on, is the server's from now on. */
void weft_server_take(const weft_door *door, int fd, bool is_tcp);

/* Accepts again, if that was paused and the app's connections are fewer than its limit. */
void weft_server_resume(weft_server *server);

/* Bars every door, so that no connection is begun any more; those that the kernel has begun are still accepted. */
void weft_server_bar(weft_server *server);

/* Accepts what the kernel has completed, and closes the listening sockets. */
void weft_server_close_door(weft_server *server);

/* From now on each connection gets its present request answered, or, if it had none yet, its first, and is closed. Idle ones
 * are closed by and by. */
void weft_server_drain(weft_server *server);

/* Cancels every request, and ends the connections that have none. */
void weft_server_cancel(weft_server *server);

/* Resets every connection that is left, but for those that only wait for their peer's end. */
void weft_server_cut(weft_server *server);

/* May wait, and is never cut short. Until `d` has passed, a higher stage is reached, or, if `until_empty`, no connection is
 * left. */
void weft_server_wait(weft_server *server, const char *what, bool until_empty, weft_duration d);

/* Takes the stop to a stage, from the loop's thread; wakes who waits. */
void weft_server_stop(weft_server *server, enum weft_stop_stage stage);

/* Joins the requests' tasks, waits for every handle to close, and gives everything back. */
void weft_server_close(weft_server *server);

/* ---- for connections ---- */

/* Puts a connection into a phase, whose time begins now; that of an idle one by up to a thousandth of its limit sooner. */
void weft_server_set_phase(weft_server *server, struct weft_connection *c, enum weft_phase phase);

/* A request begins: puts its connection into WEFT_PHASE_NONE. One that was idle keeps its place among those, for a request that
 * ends soon costs no change of a list then. */
void weft_server_suspend_phase(weft_server *server, struct weft_connection *c);

/* Something must be looked at by the time `deadline`, on the loop's clock. */
void weft_server_sweep_by(weft_server *server, weft_duration deadline);

/* Bytes are held of the budget, or not any more (`more` is negative). */
static inline void weft_server_hold(weft_server *server, int64_t more)
{
    weft_count_by(&server->counts.buffered, (uint64_t)more);
}

static inline bool weft_server_is_full(const weft_server *server)
{
    return server->counts.buffered > server->app->settings.buffer_budget;
}

/* A connection's memory is not used any more. */
void weft_server_free_connection(weft_server *server, struct weft_connection *c);

/* "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", WEFT_DATE_LINE bytes, made once a second. */
const char *weft_server_date(weft_server *server);

#endif
