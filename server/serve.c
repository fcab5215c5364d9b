/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Serving and stopping: one task, from the first listener to the report, as straight-line code.
 *
 * The steps of a stop, each logged once: it is announced, while everything goes on (`announce`); the door is closed, without
 * losing a connection that the kernel has completed; what is in flight finishes (`drain`), and idle connections leave; then
 * what is left is cancelled, and its clean-up runs under shields (`cleanup`), which a second, hard reason closes; connections
 * still held `cancel` after that began are reset and their tasks listed; the report; the tear-down. A second request to stop
 * goes straight to cancelling. The supervisor's clock stands behind all of it, to the very end.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include <weft/debug.h>

#include "lib/base/check.h"
#include "lib/base/clock.h"
#include "lib/task/supervisor.h"
#include "lib/task/watchdog.h"
#include "server/access_log.h"
#include "server/connection.h"
#include "server/notify.h"
#include "server/serve.h"
#include "server/tls.h"
#include "server/workers.h"

/* Accepting goes on for so long once new connections are turned away: what the kernel has begun, it completes. Of 85 stops
 * under load none lost a connection then, of 140 that closed at once 44 were lost. */
static const weft_duration DOOR_TIME = 20 * WEFT_MILLISECOND;

static double seconds(weft_duration d)
{
    return (double)d / (double)WEFT_SECOND;
}

static int open_listeners(weft_server *server)
{
    const weft_app *app = server->app;
    static const char *const otherwise[] = { ":8080" };
    size_t count = app->listen_count ? app->listen_count : 1;
    for (size_t i = 0; i < count; i++) {
        const char *address = app->listen_count ? app->listen[i] : otherwise[i];
        int rc = weft_server_listen(server, address);
        if (rc < 0) {
            weft_log(WEFT_LOG_ERROR, "cannot listen on %s: %s", address,
                     rc == WEFT_ECERTIFICATE ? "there is no certificate" : weft_strerror(rc));
            return rc;
        }
    }
    return 0;
}

/* Once signals are heeded: who reads this may send one. */
static void say_where(const weft_server *server)
{
    for (size_t i = 0; i < server->door_count; i++) {
        char url[WEFT_DOOR_URL_MAX];
        weft_log(WEFT_LOG_INFO, "listening on %s", weft_door_url(&server->doors[i], url));
    }
}

/* ---- how others reach the server ---- */

struct hangup {
    weft_app *app;
    weft_access_writer *log_writer; /* of a file; or NULL */
};

/* On the supervisor's thread. */
static void on_hangup(void *context)
{
    const struct hangup *hangup = context;
    if (hangup->log_writer)
        weft_access_writer_reopen(hangup->log_writer);
    if (hangup->app->tls)
        weft_tls_refresh(hangup->app, true);
}

static void publish(weft_app *app, weft_server *server)
{
    pthread_mutex_lock(&app->lock);
    app->server = server;
    pthread_mutex_unlock(&app->lock);
}

/* On the loop's thread, which alone publishes: needs no lock. A request that comes earlier is heard when the task first waits.
 */
static void on_stop(void *context, int count)
{
    weft_app *app = context;
    enum weft_stop_stage stage = count == 1 ? WEFT_ANNOUNCING : WEFT_CANCELLING;
    if (!app->server)
        return;
    weft_server_stop(app->server, stage);
    weft_workers_stop(app->workers, stage);
}

/* On the supervisor's thread. */
static void on_list(void *context)
{
    weft_app *app = context;
    pthread_mutex_lock(&app->lock);
    weft_workers_list(app->workers);
    pthread_mutex_unlock(&app->lock);
}

/* ---- the steps of a stop ---- */

static void announce(weft_server *server)
{
    const struct weft_settings *s = &server->app->settings;
    weft_log(WEFT_LOG_INFO, "stopping: %zu connections; at most %.1f s in all", server->connection_count,
             seconds(s->announce) + seconds(s->drain) + seconds(s->cancel));
    weft_notify("STOPPING=1");
    if (server->stop_stage == WEFT_ANNOUNCING)
        weft_server_wait(server, "announced stop", false, s->announce);
}

/* Draining begins with it, so that every reply from here on says that the connection closes. */
static void close_door(weft_server *server)
{
    uint64_t before = server->counts.accepted;
    weft_workers_bar(server->app); /* all, before the first of them is closed */
    weft_server_drain(server);
    weft_duration until = weft_clock_add(weft_now(), DOOR_TIME);
    for (weft_duration now; (now = weft_now()) < until;) /* a second request to stop ends one wait only */
        weft_server_wait(server, "last connections", false, until - now);
    weft_server_close_door(server);
    weft_log(WEFT_LOG_INFO, "the door is closed: %llu connections came in meanwhile",
             (unsigned long long)(server->counts.accepted - before));
}

static void drain(weft_server *server)
{
    const struct weft_settings *s = &server->app->settings;
    weft_log(WEFT_LOG_INFO, "draining: %zu connections; at most %.1f s", server->connection_count, seconds(s->drain));
    if (server->stop_stage == WEFT_DRAINING)
        weft_server_wait(server, "end of the connections", true, s->drain);
}

static void cut(weft_server *server)
{
    weft_duration closing = server->app->settings.cleanup / 4; /* a turn or two, unless a task holds one: the clock goes on */
    weft_log(WEFT_LOG_WARNING, "cutting: %zu connections are still held; the tasks:", server->connection_count);
    weft_tasks_print(stderr);
    weft_server_cut(server);
    weft_server_wait(server, "end of the connections", true, closing < WEFT_SECOND ? closing : WEFT_SECOND);
}

/* Level after level, until no connection is left. */
static void cancel(weft_server *server)
{
    const struct weft_settings *s = &server->app->settings;
    weft_duration first = s->cleanup < s->cancel ? s->cleanup : s->cancel;
    weft_log(WEFT_LOG_WARNING, "cancelling: %zu connections; at most %.1f s", server->connection_count, seconds(s->cancel));
    weft_server_cancel(server);
    weft_server_wait(server, "end of the cancelled", true, first);
    if (server->connection_count == 0)
        return;
    weft_group_cancel_hard(&server->requests);
    weft_server_wait(server, "end of the cancelled", true, s->cancel - first);
    if (server->connection_count > 0)
        cut(server);
}

static int report(weft_app *app, const struct weft_server_counts *n, weft_duration took)
{
    char sockets[64] = "";
    if (n->websockets > 0)
        snprintf(sockets, sizeof sockets, ", %llu WebSockets closed", (unsigned long long)n->websockets);
    weft_log(
        WEFT_LOG_INFO,
        "stopped: %llu requests served on %llu connections, %llu finished while draining, %llu cancelled, %llu connections "
        "cut, %.2f s%s",
        (unsigned long long)n->replies, (unsigned long long)n->accepted, (unsigned long long)n->drained,
        (unsigned long long)n->cancelled, (unsigned long long)n->cut, seconds(took), sockets);
    weft_tls_report(app);
    return n->cancelled || n->cut ? WEFT_EXIT_CUT : 0;
}

void weft_serve_out(weft_server *server)
{
    close_door(server);
    drain(server);
    if (server->connection_count > 0)
        cancel(server);
    weft_tls_count(server->app);
}

static int stop(weft_server *server)
{
    weft_workers *workers = server->app->workers;
    weft_duration began = weft_now();
    announce(server);
    weft_workers_stop(workers, WEFT_DRAINING);
    weft_serve_out(server);
    struct weft_server_counts sum = { 0 };
    weft_counts_add(&sum, &server->counts);
    weft_workers_join(workers, &sum);
    return report(server->app, &sum, weft_now() - began);
}

/* In debug mode whatever is still alive is a leak. */
static void list_leaks(const weft_server *server)
{
    size_t count = 0;
    LIST_EACH (node, &server->loop->tasks)
        count++;
    if (!server->app->settings.debug || count <= 1)
        return;
    weft_log(WEFT_LOG_WARNING, "tear-down: %zu tasks are still alive, with this one:", count);
    weft_tasks_print(stderr);
}

weft_duration weft_serve_stall_limit(const struct weft_settings *s)
{
    return s->stall_limit > 0 ? s->stall_limit : weft_is_debugging() ? WEFT_STALL_LIMIT_DEBUG : WEFT_STALL_LIMIT;
}

static int serve_logging(weft_app *app, weft_access_writer *log_writer, void *state)
{
    const struct weft_settings *s = &app->settings;
    weft_duration hurry = weft_clock_add(s->cancel, s->cleanup);
    weft_supervisor *supervisor = NULL;
    weft_server *server;
    struct hangup hangup = { app, log_writer && strcmp(app->access_log, "-") != 0 ? log_writer : NULL };
    WEFT_TRY(weft_server_open(&server, app));
    server->worker_state = state;
    int rc = weft_tls_prepare(app);
    if (rc == 0 && log_writer && !(server->access_log = weft_access_log_new(log_writer, 0, weft_here, s->access_log_format)))
        rc = -ENOMEM;
    if (rc == 0) /* before anybody can connect: then signals are not taken by their default any more */
        rc = weft_supervisor_start(&supervisor, weft_here,
                                   &(struct weft_supervisor_options){
                                       .limit = weft_clock_add(s->announce, weft_clock_add(s->drain, hurry)),
                                       .hurry_limit = hurry,
                                       .stall_limit = weft_serve_stall_limit(s),
                                       .stop = on_stop,
                                       .list = on_list,
                                       .context = app,
                                       .hangup = hangup.log_writer || app->tls ? on_hangup : NULL,
                                       .hangup_context = &hangup,
                                   });
    if (rc == 0)
        rc = open_listeners(server);
    if (rc == 0) {
        server->supervisor = supervisor;
        publish(app, server);
        rc = weft_workers_start(server, log_writer);
    }
    if (rc == 0) {
        weft_beats_begin(server);
        say_where(server);
        weft_notify("READY=1");
        weft_group background;
        weft_group_open(&background);
        if (app->tls && weft_go(&background, weft_tls_watch, app) < 0)
            weft_log(WEFT_LOG_WARNING, "TLS: changed files will only be seen at SIGHUP: out of memory");
        if (server->stop_stage == WEFT_SERVING)
            weft_server_wait(server, "request to stop", false, WEFT_NO_LIMIT);
        weft_group_cancel(&background);
        weft_group_join(&background);
        rc = stop(server);
        list_leaks(server);
    }
    publish(app, NULL);
    weft_access_log *log = server->access_log;
    weft_server_close(server); /* joins the tasks: should one never end, the supervisor ends the process */
    if (supervisor)
        weft_supervisor_end(supervisor);
    weft_access_log_free(log);
    return rc;
}

static int serve(void *arg)
{
    weft_app *app = arg;
    weft_access_writer *log_writer;
    weft_log_set_level(app->settings.log_level);
    weft_log_set_format(app->settings.log_format);
    WEFT_TRY(weft_access_log_start(&log_writer, app, (size_t)app->settings.workers));
    void *state = NULL;
    int rc = weft_worker_enter(app, &state);
    if (rc == 0) {
        rc = serve_logging(app, log_writer, state);
        weft_worker_leave(app, state);
    }
    weft_access_log_stop(log_writer);
    return rc;
}

static int serve_hooked(void *arg)
{
    weft_app *app = arg;
    int rc = app->hooks.start ? app->hooks.start(app) : 0;
    if (rc < 0) {
        weft_log(WEFT_LOG_ERROR, "the app's start failed: %s", weft_strerror(rc));
        return rc;
    }
    rc = serve(app);
    if (app->hooks.stop)
        app->hooks.stop(app);
    return rc;
}

int weft_app_serve(weft_app *app)
{
    IS_A(app, WEFT_APP_MAGIC);
    const struct weft_loop_options options = {
        .name = "serve",
        .file = __FILE__,
        .line = __LINE__,
        .debug = app->settings.debug,
        .has_supervisor = true,
    };
    return weft_loop_run(&options, serve_hooked, app);
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
    if (app->server && n < app->server->door_count)
        port = weft_listener_port(app->server->doors[n].listener);
    pthread_mutex_unlock(&locked->lock);
    return port;
}
