/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* The inside of an app: what it was set up with. Read-only while it serves. */
#ifndef WEFT_SERVER_APP_H
#define WEFT_SERVER_APP_H

#include <pthread.h>

#include <weft/app.h>

#include "lib/http/head_check.h"
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
} weft_route_target;

/* Settings with every default filled in. */
struct weft_settings {
    weft_duration announce, drain, fresh_connection, cancel, cleanup;
    weft_duration request_timeout, head_timeout, keep_alive_timeout, body_timeout, write_timeout;
    int64_t body_limit;
    size_t buffer_budget;
    weft_http_limits head;
    int max_connections;
    enum weft_log_level log_level;
    enum weft_access_log_format access_log_format;
    size_t access_log_buffer;
    bool debug;
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

struct weft_app {
    unsigned magic;
    weft_router *router;
    struct weft_route_table routes;
    void *state;
    struct weft_settings settings;
    char *listen[WEFT_LISTEN_MAX];
    size_t listen_count;
    char *access_log;  /* NULL: none */
    int problem_count; /* of routes; the first WEFT_APP_PROBLEMS_MAX are kept */
    char problems[WEFT_APP_PROBLEMS_MAX][WEFT_APP_PROBLEM_SIZE];

    pthread_mutex_t lock;                     /* over what follows */
    struct weft_rooms *rooms, *default_rooms; /* all sets; the one that is made when no other is asked for */
    struct weft_server *server;               /* while it serves */
    int holds;                                /* servers that use it */
    bool is_freed;                            /* weft_app_free was called: the last hold frees it */
};

/* A server uses the app, and does not any more. */
void weft_app_hold(weft_app *app);
void weft_app_release(weft_app *app);

#endif
