/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* The inside of an app: what it was set up with. Read-only while it serves. */
#ifndef WEFT_SERVER_APP_H
#define WEFT_SERVER_APP_H

#include <pthread.h>
#include <stdatomic.h>

#include <weft/app.h>
#include <weft/worker.h>

#include "lib/base/list.h"
#include "lib/http/chunked.h"
#include "lib/http/head_check.h"
#include "server/limit.h"
#include "server/router.h"

#define WEFT_APP_MAGIC 0xa99a99a9u

enum { WEFT_LISTEN_MAX = 16, WEFT_APP_PROBLEMS_MAX = 8, WEFT_APP_PROBLEM_SIZE = 500 };

/* What a route leads to. It and its texts are one allocation. */
typedef struct weft_route_target {
    struct weft_route_target *next;
    weft_handler *handler;
    weft_duration timeout; /* 0: the app's */
    int64_t body_limit;    /* 0: the app's */
    size_t stack_size;
    bool finish_when_client_leaves;
    const char *label;                   /* its name or pattern, for reports */
    const char *method, *name, *pattern; /* the name may be NULL */
    const char *file;                    /* where it was added */
    int line;
} weft_route_target;

#define WEFT_SETTING_(id, option, type, ...) type option;

/* Settings with every default filled in. */
struct weft_settings {
    WEFT_LIMITS(WEFT_SETTING_)
    weft_http_limits head;       /* of these, */
    weft_chunked_limits chunked; /* and these */
    weft_duration announce, drain, fresh_connection, websocket_drain, cancel, cleanup;
    enum weft_log_level log_level;
    enum weft_log_format log_format;
    weft_duration stall_limit; /* 0: the default of the mode */
    enum weft_access_log_format access_log_format;
    size_t access_log_buffer;
    bool debug;
    int workers;
};

/* A group of routes. It and its texts are one allocation. */
struct weft_routes {
    unsigned magic;
    weft_app *app;
    weft_routes *next; /* of the app's */
    const char *prefix;
    weft_route_options defaults;
};

struct weft_route_table {
    weft_routes outermost;
    weft_routes broken;  /* stands for each group with a mistake: its routes are passed over */
    weft_routes *groups; /* the others */
    weft_route_target *targets;
    const weft_route_target **named; /* sorted by their names */
    size_t named_count, named_room;
};

struct weft_server;
struct weft_seats;
struct weft_supervisor;
struct weft_app_tls;

struct weft_app {
    unsigned magic;
    weft_router *router;
    struct weft_route_table routes;
    void *state;
    struct weft_settings settings;
    char *listen[WEFT_LISTEN_MAX];
    size_t listen_count;
    char *access_log;             /* NULL: none */
    struct weft_network *trusted; /* to send PROXY headers: none are expected if there are none */
    size_t trusted_count;
    struct weft_app_tls *tls; /* NULL: plain HTTP only */
    weft_app_hook_options hooks;
    atomic_size_t open;       /* connections of all its servers; those that wait in a mail, too (balance.h) */
    struct weft_seats *seats; /* NULL unless it serves with several workers */
    atomic_uint said;         /* the steps of a stop that are in the log: bits (serve.c) */
    int problem_count;        /* of routes; the first WEFT_APP_PROBLEMS_MAX are kept */
    char problems[WEFT_APP_PROBLEMS_MAX][WEFT_APP_PROBLEM_SIZE];

    pthread_mutex_t lock;                     /* over what follows */
    weft_list servers;                        /* that are open, */
    struct weft_server_counts counts;         /* and what those that are closed have counted */
    struct weft_rooms *rooms, *default_rooms; /* all sets; the one that is made when no other is asked for */
    struct weft_server *server;               /* while it serves */
    struct weft_supervisor *supervisor;       /* from before its hooks start until they have stopped */
    struct weft_workers *workers;             /* but the first; NULL: none. Of the first worker's loop */
    int holds;                                /* servers that use it */
    bool is_freed;                            /* weft_app_free was called: the last hold frees it */
};

/* Takes a list of networks (lib/net/network.h), separated by commas, that are trusted with PROXY headers. 0, -EINVAL after a
 * logged line, -ENOMEM (client.c). */
int weft_app_set_trusted(weft_app *app, const char *list);

/* A server uses the app, and does not any more. */
void weft_app_hold(weft_app *app);
void weft_app_release(weft_app *app);

#endif
