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
#include "lib/task/report.h"
#include "lib/task/supervisor.h"
#include "lib/task/watchdog.h"
#include "server/access_log.h"
#include "server/balance.h"
#include "server/connection.h"
#include "server/hooks.h"
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

/* One call of weft_app_serve. */
struct serving {
    weft_app *app;
    weft_access_writer *log_writer; /* or NULL */
    weft_start start;
};

static bool logs_to_file(const struct serving *s)
{
    return s->log_writer && strcmp(s->app->access_log, "-") != 0;
}

/* On the supervisor's thread. */
static void on_hangup(void *context)
{
    const struct serving *s = context;
    if (logs_to_file(s))
        weft_access_writer_reopen(s->log_writer);
    if (s->app->tls)
        weft_tls_refresh(s->app, true);
}

static void publish(weft_app *app, weft_server *server)
{
    pthread_mutex_lock(&app->lock);
    app->server = server;
    pthread_mutex_unlock(&app->lock);
}

static void publish_supervisor(weft_app *app, weft_supervisor *supervisor)
{
    pthread_mutex_lock(&app->lock);
    app->supervisor = supervisor;
    pthread_mutex_unlock(&app->lock);
}

/* On the loop's thread, which alone publishes: needs no lock. */
static void on_stop(void *context, int count)
{
    struct serving *s = context;
    enum weft_stop_stage stage = count == 1 ? WEFT_ANNOUNCING : WEFT_CANCELLING;
    weft_start_cut(&s->start);
    if (!s->app->server)
        return;
    weft_server_stop(s->app->server, stage);
    weft_workers_stop(s->app->workers, stage);
}

/* On the supervisor's thread. */
static void on_list(void *context)
{
    weft_app *app = ((struct serving *)context)->app;
    pthread_mutex_lock(&app->lock);
    weft_workers_list(app->workers);
    pthread_mutex_unlock(&app->lock);
}

/* ---- the steps of a stop ---- */

/* The first worker goes through the first ones in any case; who comes to one of these first says so, for all. */
enum said { SAID_CANCELLING = 1, SAID_CUTTING = 2 };

static bool is_first_to_say(weft_app *app, enum said step)
{
    return !(atomic_fetch_or(&app->said, step) & step);
}

static size_t open_in_all(const weft_app *app)
{
    return atomic_load_explicit(&app->open, memory_order_relaxed);
}

static void tell_tasks(const weft_server *server)
{
    char head[40];
    snprintf(head, sizeof head, "worker %zu:", server->worker);
    weft_tasks_tell(server->app->settings.workers > 1 ? head : NULL);
}

static void announce(weft_server *server)
{
    const struct weft_settings *s = &server->app->settings;
    weft_log(WEFT_LOG_INFO, "stopping: %zu connections; at most %.1f s in all", open_in_all(server->app),
             seconds(s->announce) + seconds(s->drain) + seconds(s->cancel));
    weft_notify("STOPPING=1");
    if (server->stop_stage == WEFT_ANNOUNCING)
        weft_server_wait(server, "announced stop", false, s->announce);
}

/* Draining begins with it, so that every reply from here on says that the connection closes. */
static void close_door(weft_server *server)
{
    uint64_t before = weft_counts_of_app(server->app).accepted;
    weft_workers_bar(server->app); /* all, before the first of them is closed */
    weft_server_drain(server);
    weft_duration until = weft_clock_add(weft_now(), DOOR_TIME);
    for (weft_duration now; (now = weft_now()) < until;) /* a second request to stop ends one wait only */
        weft_server_wait(server, "last connections", false, until - now);
    weft_server_close_door(server);
    if (server->worker == 0)
        weft_log(WEFT_LOG_INFO, "the door is closed: %llu connections came in meanwhile",
                 (unsigned long long)(weft_counts_of_app(server->app).accepted - before));
}

static void drain(weft_server *server)
{
    const struct weft_settings *s = &server->app->settings;
    if (server->worker == 0)
        weft_log(WEFT_LOG_INFO, "draining: %zu connections; at most %.1f s", open_in_all(server->app), seconds(s->drain));
    if (server->stop_stage == WEFT_DRAINING)
        weft_server_wait(server, "end of the connections", true, s->drain);
}

static void cut(weft_server *server)
{
    weft_duration closing = server->app->settings.cleanup / 4; /* a turn or two, unless a task holds one: the clock goes on */
    if (is_first_to_say(server->app, SAID_CUTTING))
        weft_log(WEFT_LOG_WARNING, "cutting: %zu connections are still held; the tasks:", open_in_all(server->app));
    tell_tasks(server);
    weft_server_cut(server);
    weft_server_wait(server, "end of the connections", true, closing < WEFT_SECOND ? closing : WEFT_SECOND);
}

/* Level after level, until no connection is left. */
static void cancel(weft_server *server)
{
    const struct weft_settings *s = &server->app->settings;
    weft_duration first = s->cleanup < s->cancel ? s->cleanup : s->cancel;
    if (is_first_to_say(server->app, SAID_CANCELLING))
        weft_log(WEFT_LOG_WARNING, "cancelling: %zu connections; at most %.1f s", open_in_all(server->app), seconds(s->cancel));
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

void weft_serve_list_leaks(const weft_server *server)
{
    size_t count = 0, idle = (size_t)server->warm_count; /* which wait for a request, and end with the server's group */
    LIST_EACH (node, &server->loop->tasks)
        count++;
    if (!server->app->settings.debug || count <= 1 + idle)
        return;
    weft_log(WEFT_LOG_WARNING, "tear-down: %zu tasks are still alive, with this one:", count - idle);
    tell_tasks(server);
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
    weft_workers_sum(workers, &sum);
    int status = report(server->app, &sum, weft_now() - began);
    weft_serve_list_leaks(server);
    int rc = weft_workers_join(workers);
    return rc < 0 ? rc : status;
}

weft_duration weft_serve_stall_limit(const struct weft_settings *s)
{
    return s->stall_limit > 0 ? s->stall_limit : weft_is_debugging() ? WEFT_STALL_LIMIT_DEBUG : WEFT_STALL_LIMIT;
}

/* Until it is asked to stop. */
static void serve_on(weft_server *server)
{
    weft_app *app = server->app;
    weft_group background;
    weft_beats_begin(server);
    say_where(server);
    weft_notify("READY=1");
    weft_group_open(&background);
    if (app->tls && weft_go(&background, weft_tls_watch, app) < 0)
        weft_log(WEFT_LOG_WARNING, "TLS: changed files will only be seen at SIGHUP: out of memory");
    if (server->stop_stage == WEFT_SERVING)
        weft_server_wait(server, "request to stop", false, WEFT_NO_LIMIT);
    weft_group_cancel(&background);
    weft_group_join(&background);
}

static int serve_with(struct serving *s, void *state)
{
    weft_app *app = s->app;
    weft_server *server;
    if (s->start.is_cut)
        return WEFT_ECANCELED;
    int rc = weft_balance_open(app);
    if (rc == 0)
        rc = weft_server_open(&server, app);
    if (rc < 0) {
        weft_balance_close(app);
        return rc;
    }
    atomic_store(&app->said, 0);
    server->worker_state = state;
    if (s->log_writer &&
        !(server->access_log = weft_access_log_new(s->log_writer, 0, weft_here, app->settings.access_log_format)))
        rc = -ENOMEM;
    if (rc == 0)
        rc = open_listeners(server);
    if (rc == 0) { /* it has not waited since it looked: no request to stop has been missed */
        publish(app, server);
        rc = weft_workers_start(server, s->log_writer);
    }
    if (rc == 0) {
        serve_on(server);
        rc = stop(server);
    }
    publish(app, NULL);
    weft_access_log *log = server->access_log;
    weft_server_close(server); /* joins the tasks: should one never end, the supervisor ends the process */
    weft_balance_close(app);
    weft_access_log_free(log);
    return rc;
}

static int serve_between_hooks(struct serving *s)
{
    void *state = NULL;
    WEFT_TRY(weft_hooks_start(s->app, &s->start));
    int rc = weft_hooks_worker_start(s->app, &s->start, &state);
    if (rc == 0) {
        rc = serve_with(s, state);
        weft_hooks_worker_stop(s->app, state);
    }
    weft_hooks_stop(s->app);
    return rc;
}

/* From the first hook to the last it can be asked to stop, and to list its tasks, and is watched. */
static int serve_supervised(struct serving *s)
{
    const struct weft_settings *settings = &s->app->settings;
    weft_duration hurry = weft_clock_add(settings->cancel, settings->cleanup);
    weft_supervisor *supervisor;
    WEFT_TRY(weft_supervisor_start(&supervisor, weft_here,
                                   &(struct weft_supervisor_options){
                                       .limit = weft_clock_add(settings->announce, weft_clock_add(settings->drain, hurry)),
                                       .hurry_limit = hurry,
                                       .stall_limit = weft_serve_stall_limit(settings),
                                       .stop = on_stop,
                                       .list = on_list,
                                       .list_head = settings->workers > 1 ? "worker 0:" : NULL,
                                       .context = s,
                                       .hangup = logs_to_file(s) || s->app->tls ? on_hangup : NULL,
                                       .hangup_context = s,
                                   }));
    publish_supervisor(s->app, supervisor);
    int rc = serve_between_hooks(s);
    publish_supervisor(s->app, NULL);
    weft_supervisor_end(supervisor);
    if (rc != WEFT_ECANCELED || !s->start.is_cut)
        return rc;
    weft_log(WEFT_LOG_INFO, "stopped before it listened");
    return 0;
}

static int serve(void *arg)
{
    struct serving s = { .app = arg };
    weft_log_set_level(s.app->settings.log_level);
    weft_log_set_format(s.app->settings.log_format);
    WEFT_TRY(weft_access_log_start(&s.log_writer, s.app, (size_t)s.app->settings.workers));
    int rc = weft_tls_prepare(s.app);
    if (rc == 0)
        rc = serve_supervised(&s);
    weft_access_log_stop(s.log_writer);
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
    return weft_loop_run(&options, serve, app);
}

void weft_app_stop(weft_app *app)
{
    pthread_mutex_lock(&app->lock);
    if (app->supervisor)
        weft_supervisor_request_stop(app->supervisor);
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
