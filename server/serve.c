/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Serving and stopping: one task, from the first listener to the report, as straight-line code.
 *
 * The steps of a stop: no new connections; what is in flight finishes (`drain`); then it is cancelled, and its clean-up runs
 * under shields (`cleanup`), which a second, hard reason closes; connections still held `cancel` after that began are reset and
 * their tasks listed. The supervisor's clock stands behind all of it.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "lib/base/check.h"
#include "lib/base/clock.h"
#include "lib/task/supervisor.h"
#include "server/access_log.h"
#include "server/connection.h"

static int open_listeners(weft_server *server)
{
    const weft_app *app = server->app;
    static const char *const otherwise[] = { ":8080" };
    size_t count = app->listen_count ? app->listen_count : 1;
    for (size_t i = 0; i < count; i++) {
        const char *address = app->listen_count ? app->listen[i] : otherwise[i];
        int rc = weft_server_listen(server, address);
        if (rc < 0) {
            weft_log(WEFT_LOG_ERROR, "cannot listen on %s: %s", address, weft_strerror(rc));
            return rc;
        }
    }
    return 0;
}

/* Once signals are heeded: who reads this may send one. */
static void announce(const weft_server *server)
{
    for (size_t i = 0; i < server->listener_count; i++) {
        char url[160];
        weft_log(WEFT_LOG_INFO, "listening on %s", weft_listener_url(server->listeners[i], url, sizeof url));
    }
}

static void on_stop(void *context, int count)
{
    weft_server_stop(context, count == 1 ? WEFT_DRAINING : WEFT_CANCELLING);
}

/* On the supervisor's thread. */
static void on_hangup(void *context)
{
    weft_access_writer_reopen(context);
}

static void publish(weft_app *app, weft_server *server)
{
    pthread_mutex_lock(&app->lock);
    app->server = server;
    pthread_mutex_unlock(&app->lock);
}

/* Step "cancel": level after level, until no connection is left. */
static void cancel_all(weft_server *server)
{
    const struct weft_settings *s = &server->app->settings;
    weft_server_cancel(server);
    weft_duration first = s->cleanup < s->cancel ? s->cleanup : s->cancel;
    weft_server_wait_empty(server, first);
    if (server->connection_count == 0)
        return;
    weft_group_cancel_hard(&server->requests);
    weft_server_wait_empty(server, s->cancel - first);
    if (server->connection_count == 0)
        return;
    weft_log(WEFT_LOG_WARNING, "%zu connections are still held: they are reset; the tasks:", server->connection_count);
    weft_tasks_print(stderr);
    weft_server_cut(server);
    weft_server_wait_empty(server, WEFT_SECOND);
}

static void stop(weft_server *server, weft_duration *ret_took)
{
    const struct weft_settings *s = &server->app->settings;
    weft_duration began = weft_now();
    weft_log(WEFT_LOG_INFO, "stopping: %zu connections, at most %.1f s for what is in flight", server->connection_count,
             (double)s->drain / (double)WEFT_SECOND);
    weft_server_drain(server);
    if (server->stop_stage == WEFT_DRAINING)
        weft_server_wait_empty(server, s->drain);
    if (server->connection_count > 0)
        cancel_all(server);
    *ret_took = weft_now() - began;
}

static int report(const weft_server *server, weft_duration took)
{
    const struct weft_server_counts *n = &server->counts;
    weft_log(
        WEFT_LOG_INFO,
        "stopped: %llu requests served on %llu connections, %llu finished while draining, %llu cancelled, %llu connections "
        "cut, %.2f s",
        (unsigned long long)n->replies, (unsigned long long)n->accepted, (unsigned long long)n->drained,
        (unsigned long long)n->cancelled, (unsigned long long)n->cut, (double)took / (double)WEFT_SECOND);
    return n->cancelled || n->cut ? WEFT_EXIT_CUT : 0;
}

static int serve_logging(weft_app *app, weft_access_writer *log_writer)
{
    const struct weft_settings *s = &app->settings;
    weft_server *server;
    weft_duration took = 0;
    WEFT_TRY(weft_server_open(&server, app));
    int rc = 0;
    if (log_writer && !(server->access_log = weft_access_log_new(log_writer, 0, weft_here, s->access_log_format)))
        rc = -ENOMEM;
    if (rc == 0)
        rc = open_listeners(server);
    if (rc == 0)
        rc = weft_supervisor_start(&server->supervisor, weft_here,
                                   &(struct weft_supervisor_options){
                                       .limit = weft_clock_add(s->drain, weft_clock_add(s->cancel, s->cleanup)),
                                       .stop = on_stop,
                                       .context = server,
                                       .hangup = log_writer && strcmp(app->access_log, "-") != 0 ? on_hangup : NULL,
                                       .hangup_context = log_writer,
                                   });
    if (rc == 0) {
        publish(app, server);
        announce(server);
        weft_server_wait_empty(server, WEFT_NO_LIMIT);
        stop(server, &took);
        rc = report(server, took);
        publish(app, NULL);
    }
    weft_access_log *log = server->access_log;
    weft_server_close(server);
    weft_access_log_free(log);
    return rc;
}

static int serve(void *arg)
{
    weft_app *app = arg;
    weft_access_writer *log_writer;
    weft_log_set_level(app->settings.log_level);
    WEFT_TRY(weft_access_log_start(&log_writer, app, 1));
    int rc = serve_logging(app, log_writer);
    weft_access_log_stop(log_writer);
    return rc;
}

int weft_app_serve(weft_app *app)
{
    IS_A(app, WEFT_APP_MAGIC);
    return weft_loop_run(&(struct weft_loop_options){ .name = "serve" }, serve, app);
}

void weft_app_stop(weft_app *app)
{
    pthread_mutex_lock(&app->lock);
    if (app->server)
        weft_supervisor_request_stop(app->server->supervisor);
    pthread_mutex_unlock(&app->lock);
}

int weft_app_port(const weft_app *app, size_t n)
{
    weft_app *locked = (weft_app *)(uintptr_t)app;
    int port = 0;
    pthread_mutex_lock(&locked->lock);
    if (app->server && n < app->server->listener_count)
        port = weft_listener_port(app->server->listeners[n]);
    pthread_mutex_unlock(&locked->lock);
    return port;
}
