/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Setting an app up: state and settings; routes are in routes.c. */
#include "server/app.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "lib/base/check.h"
#include "lib/base/memory.h"
#include "server/rooms.h"
#include "server/routes.h"
#include "server/server.h"
#include "server/tls.h"
#include "server/workers.h"

enum { ACCESS_LOG_BUFFER_MIN = 16 * 1024, ACCESS_LOG_BUFFER_MAX = 1024 * 1024 * 1024 };

static int default_connections(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return 512;
    double most = (double)files.rlim_cur * 0.9 - 64;
    return most < 16 ? 16 : most > 1000000 ? 1000000 : (int)most;
}

/* What protocol code takes is made of the limits. */
static void derive(struct weft_settings *s)
{
    s->head = (weft_http_limits){
        .request_line = s->request_line_limit,
        .field = s->field_limit,
        .head = s->head_limit,
        .field_count = s->field_count_limit,
    };
    s->chunked = (weft_chunked_limits){
        .size_line = s->chunk_line_limit,
        .extensions = s->chunk_extension_limit,
        .trailer_field = s->field_limit,
        .trailers = s->trailer_limit,
        .trailer_count = s->trailer_count_limit,
    };
}

#define DEFAULT(id, option, type, otherwise, ...) .option = otherwise,

static void set_defaults(struct weft_settings *s)
{
    *s = (struct weft_settings){
        WEFT_LIMITS(DEFAULT).drain = 15 * WEFT_SECOND,
        .fresh_connection = 5 * WEFT_SECOND,
        .websocket_drain = 10 * WEFT_SECOND,
        .cancel = 5 * WEFT_SECOND,
        .cleanup = WEFT_CLEANUP_TIME,
        .log_level = WEFT_LOG_INFO,
        .workers = 1,
        .access_log_buffer = 1024 * 1024,
    };
    s->max_connections = default_connections();
    derive(s);
}

weft_app *weft_app_new(void)
{
    weft_app *app = weft_mem_calloc(1, sizeof *app);
    if (!app)
        return NULL;
    app->router = weft_router_new();
    if (!app->router) {
        weft_mem_free(app);
        return NULL;
    }
    app->magic = WEFT_APP_MAGIC;
    weft_routes_init(app);
    set_defaults(&app->settings);
    weft_list_init(&app->servers);
    pthread_mutex_init(&app->lock, NULL);
    return app;
}

static void free_listen(weft_app *app)
{
    while (app->listen_count > 0)
        weft_mem_free(app->listen[--app->listen_count]);
}

static void dispose(weft_app *app)
{
    weft_app_free_rooms(app);
    weft_router_free(app->router);
    weft_routes_free(app);
    free_listen(app);
    weft_mem_free(app->access_log);
    weft_app_tls_free(app->tls);
    weft_mem_free(app->trusted);
    pthread_mutex_destroy(&app->lock);
    app->magic = 0;
    weft_mem_free(app);
}

void weft_app_free(weft_app *app)
{
    if (!app)
        return;
    IS_A(app, WEFT_APP_MAGIC);
    CHECK(!app->server);
    pthread_mutex_lock(&app->lock);
    app->is_freed = true;
    bool is_held = app->holds > 0;
    pthread_mutex_unlock(&app->lock);
    if (!is_held)
        dispose(app);
}

void weft_app_hold(weft_app *app)
{
    pthread_mutex_lock(&app->lock);
    app->holds++;
    pthread_mutex_unlock(&app->lock);
}

void weft_app_release(weft_app *app)
{
    pthread_mutex_lock(&app->lock);
    bool is_last = --app->holds == 0 && app->is_freed;
    pthread_mutex_unlock(&app->lock);
    if (is_last)
        dispose(app);
}

/* ---- settings ---- */

void weft_app_set(weft_app *app, void *state)
{
    IS_A(app, WEFT_APP_MAGIC);
    app->state = state;
}

static int set_listen(weft_app *app, const weft_app_options *o)
{
    if (o->listen_count > WEFT_LISTEN_MAX) {
        weft_log(WEFT_LOG_ERROR, "at most %d addresses can be listened on", WEFT_LISTEN_MAX);
        return -EINVAL;
    }
    free_listen(app);
    for (size_t i = 0; i < o->listen_count; i++) {
        size_t size = strlen(o->listen[i]) + 1;
        char *copy = weft_mem_alloc(size);
        if (!copy)
            return -ENOMEM;
        app->listen[app->listen_count++] = memcpy(copy, o->listen[i], size);
    }
    return 0;
}

static int set_access_log(weft_app *app, const char *path)
{
    size_t size = strlen(path) + 1;
    char *copy = weft_mem_alloc(size);
    if (!copy)
        return -ENOMEM;
    weft_mem_free(app->access_log);
    app->access_log = memcpy(copy, path, size);
    return 0;
}

static int bad_option(const char *name)
{
    weft_log(WEFT_LOG_ERROR, "the option %s is out of its range", name);
    return -EINVAL;
}

#define SET_DURATION(name)                                                                                                     \
    do {                                                                                                                       \
        if (o.name < 0)                                                                                                        \
            return bad_option(#name);                                                                                          \
        if (o.name > 0)                                                                                                        \
            s.name = o.name;                                                                                                   \
    } while (0)

#define SET_LIMIT(id, option, type, otherwise, least, most, past)                                                              \
    if (o.option != 0 && ((int64_t)o.option < (int64_t)(least) || (int64_t)o.option > (int64_t)(most)))                        \
        return bad_option(#option);                                                                                            \
    if (o.option != 0)                                                                                                         \
        s.option = o.option;

int weft_app_configure(weft_app *app, const weft_app_options *given)
{
    weft_app_options o = { 0 };
    IS_A(app, WEFT_APP_MAGIC);
    CHECK(!app->server);
    memcpy(&o, given, given->struct_size < sizeof o ? given->struct_size : sizeof o);
    struct weft_settings s = app->settings;
    SET_DURATION(announce);
    SET_DURATION(drain);
    SET_DURATION(fresh_connection);
    SET_DURATION(websocket_drain);
    SET_DURATION(cancel);
    SET_DURATION(cleanup);
    SET_DURATION(stall_limit);
    WEFT_LIMITS(SET_LIMIT)
    derive(&s);
    if (o.access_log_format < WEFT_ACCESS_LOG_COMMON || o.access_log_format > WEFT_ACCESS_LOG_JSON)
        return bad_option("access_log_format");
    if (o.access_log_format != WEFT_ACCESS_LOG_COMMON)
        s.access_log_format = o.access_log_format;
    if (o.access_log_buffer > 0 && (o.access_log_buffer < ACCESS_LOG_BUFFER_MIN || o.access_log_buffer > ACCESS_LOG_BUFFER_MAX))
        return bad_option("access_log_buffer");
    if (o.access_log_buffer > 0)
        s.access_log_buffer = o.access_log_buffer;
    if (o.log_level_is_set)
        s.log_level = o.log_level;
    else if (o.debug)
        s.log_level = WEFT_LOG_DEBUG;
    s.debug = s.debug || o.debug;
    if (o.log_format != WEFT_LOG_TEXT)
        s.log_format = o.log_format;
    if (o.workers < WEFT_WORKERS_AUTO || o.workers > WEFT_WORKERS_MAX)
        return bad_option("workers");
    if (o.workers != 0)
        s.workers = o.workers == WEFT_WORKERS_AUTO ? weft_workers_auto() : o.workers;
    app->settings = s;
    if (o.access_log && *o.access_log && set_access_log(app, o.access_log) < 0)
        return -ENOMEM;
    if (o.proxy_protocol && *o.proxy_protocol) {
        int rc = weft_app_set_trusted(app, o.proxy_protocol);
        if (rc < 0)
            return rc;
    }
    return o.listen_count > 0 ? set_listen(app, &o) : 0;
}
