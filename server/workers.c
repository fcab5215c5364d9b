/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The threads of workers, and their orders.
 *
 * A worker's thread runs a loop whose first task opens a server beside the first worker's, says that it is ready (or that it
 * has failed), waits for its orders, goes through the same steps of a stop as the first one, and says that it has ended. What
 * is said goes by embedded posts, which cannot fail. A worker's loop is posted to under the lock, and is NULL there once it
 * takes no more orders: so no post goes to a loop that has gone.
 */
#include "server/workers.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>

#include "lib/base/check.h"
#include "lib/base/memory.h"
#include "lib/task/supervisor.h"
#include "server/access_log.h"
#include "server/request.h"
#include "server/serve.h"

typedef struct weft_worker {
    weft_workers *all;
    size_t index; /* from 1 */
    pthread_t thread;
    bool is_started;
    int error; /* of its start; only written if there is one */
    struct weft_server_counts counts;
    /* under the lock */
    weft_loop *loop; /* NULL: takes no orders */
    weft_server *server;
    enum weft_stop_stage ordered;
    /* orders, and what it says to the first */
    struct weft_loop_post order, list, said;
    bool is_order_posted, is_list_posted; /* under the lock */
} weft_worker;

struct weft_workers {
    weft_app *app;
    weft_server *first;
    weft_loop *home; /* the first worker's */
    weft_access_writer *log_writer;
    weft_wait *wait; /* the first worker's task, until `awaited` more have said something */
    size_t awaited;
    pthread_mutex_t lock;
    size_t count; /* without the first */
    weft_worker of[];
};

int weft_workers_auto(void)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count < 1 ? 1 : count > WEFT_WORKERS_MAX ? WEFT_WORKERS_MAX : count;
}

static void prepare_post(struct weft_loop_post *post, void (*fn)(void *arg), void *arg)
{
    weft_list_init(&post->link);
    post->fn = fn;
    post->arg = arg;
}

/* ---- what the first worker hears ---- */

static void on_said(void *arg)
{
    weft_workers *all = ((weft_worker *)arg)->all;
    if (--all->awaited == 0 && all->wait)
        weft_wait_settle(all->wait, 0);
}

static void say(weft_worker *w)
{
    weft_loop_post_embedded(w->all->home, &w->said);
}

static void withdraw(weft_wait *wait)
{
    ((weft_workers *)(uintptr_t)wait->on)->wait = NULL;
}

static void wait_said(weft_workers *all, const char *what)
{
    weft_wait wait = WEFT_WAIT(what, all, withdraw);
    if (all->awaited == 0)
        return;
    wait.is_uncut = true;
    all->wait = &wait;
    weft_wait_park(&wait);
}

/* ---- orders, on the worker's loop ---- */

static void take_order(void *arg)
{
    weft_worker *w = arg;
    pthread_mutex_lock(&w->all->lock);
    w->is_order_posted = false;
    enum weft_stop_stage stage = w->ordered;
    weft_server *server = w->server;
    pthread_mutex_unlock(&w->all->lock);
    if (server)
        weft_server_stop(server, stage);
}

static void print_tasks(void *arg)
{
    weft_worker *w = arg;
    pthread_mutex_lock(&w->all->lock);
    w->is_list_posted = false;
    pthread_mutex_unlock(&w->all->lock);
    fprintf(stderr, "worker %zu:\n", w->index);
    weft_tasks_print(stderr);
}

void weft_workers_stop(weft_workers *all, enum weft_stop_stage stage)
{
    for (size_t i = 0; all && i < all->count; i++) {
        weft_worker *w = &all->of[i];
        pthread_mutex_lock(&all->lock);
        if (stage > w->ordered)
            w->ordered = stage;
        if (w->loop && !w->is_order_posted) {
            w->is_order_posted = true;
            weft_loop_post_embedded(w->loop, &w->order);
        }
        pthread_mutex_unlock(&all->lock);
    }
}

void weft_workers_list(weft_workers *all)
{
    for (size_t i = 0; all && i < all->count; i++) {
        weft_worker *w = &all->of[i];
        pthread_mutex_lock(&all->lock);
        if (w->loop && !w->is_list_posted) {
            w->is_list_posted = true;
            weft_loop_post_embedded(w->loop, &w->list);
        }
        pthread_mutex_unlock(&all->lock);
    }
}

/* ---- hooks ---- */

int weft_worker_enter(weft_app *app, void **ret_state)
{
    int rc = app->hooks.worker_start ? app->hooks.worker_start(app, ret_state) : 0;
    if (rc < 0)
        weft_log(WEFT_LOG_ERROR, "the worker's start failed: %s", weft_strerror(rc));
    return rc;
}

void weft_worker_leave(weft_app *app, void *state)
{
    if (app->hooks.worker_stop)
        app->hooks.worker_stop(app, state);
}

void *weft_worker_state(const weft_request *req)
{
    return req->connection->server->worker_state;
}

int weft_worker_number(const weft_request *req)
{
    return (int)req->connection->server->worker;
}

/* ---- a worker's life ---- */

static void take_orders(weft_worker *w, weft_server *server)
{
    pthread_mutex_lock(&w->all->lock);
    w->loop = weft_here;
    w->server = server;
    enum weft_stop_stage stage = w->ordered;
    pthread_mutex_unlock(&w->all->lock);
    weft_server_stop(server, stage);
}

static void take_no_more_orders(weft_worker *w)
{
    pthread_mutex_lock(&w->all->lock);
    w->loop = NULL;
    w->server = NULL;
    pthread_mutex_unlock(&w->all->lock);
    weft_loop_withdraw(weft_here, &w->order);
    weft_loop_withdraw(weft_here, &w->list);
}

static int listen_too(weft_worker *w, weft_server *server)
{
    const struct weft_settings *s = &w->all->app->settings;
    if (w->all->log_writer &&
        !(server->access_log = weft_access_log_new(w->all->log_writer, w->index, weft_here, s->access_log_format)))
        return -ENOMEM;
    return weft_server_listen_beside(server, w->all->first);
}

static int serve_beside(weft_worker *w, void *state)
{
    weft_server *server;
    WEFT_TRY(weft_server_open(&server, w->all->app));
    server->worker = w->index;
    server->worker_state = state;
    int rc = listen_too(w, server);
    if (rc == 0) {
        weft_beats_begin(server);
        take_orders(w, server);
        say(w); /* ready */
        while (server->stop_stage < WEFT_DRAINING)
            weft_server_wait(server, "request to stop", false, WEFT_NO_LIMIT);
        weft_serve_out(server);
        take_no_more_orders(w);
        weft_counts_add(&w->counts, &server->counts);
    }
    weft_access_log *log = server->access_log;
    weft_server_close(server);
    weft_access_log_free(log);
    return rc;
}

/* With a watchdog of its own. */
static int work(void *arg)
{
    weft_worker *w = arg;
    weft_app *app = w->all->app;
    weft_supervisor *watch;
    void *state = NULL;
    weft_log_set_level(app->settings.log_level);
    weft_log_set_format(app->settings.log_format);
    weft_here->supervised = w->all->home->supervised; /* the first one's supervisor has them for all: set before we began */
    WEFT_TRY(weft_supervisor_start(&watch, weft_here,
                                   &(struct weft_supervisor_options){
                                       .leaves_signals = true,
                                       .stall_limit = weft_serve_stall_limit(&app->settings),
                                   }));
    int rc = weft_worker_enter(app, &state);
    if (rc == 0) {
        rc = serve_beside(w, state);
        weft_worker_leave(app, state);
    }
    weft_supervisor_end(watch);
    return rc;
}

static void *run(void *arg)
{
    weft_worker *w = arg;
    const struct weft_loop_options options = {
        .name = "worker",
        .file = __FILE__,
        .line = __LINE__,
        .debug = w->all->app->settings.debug,
        .has_supervisor = true,
    };
    int rc = weft_loop_run(&options, work, w);
    if (rc < 0)
        w->error = rc;
    say(w); /* failed, or ended */
    return NULL;
}

/* ---- starting and joining ---- */

static int start_thread(weft_worker *w)
{
    int rc = -pthread_create(&w->thread, NULL, run, w);
    w->is_started = rc == 0;
    return rc;
}

static weft_workers *new_workers(weft_server *first, weft_access_writer *log_writer)
{
    size_t count = (size_t)first->app->settings.workers - 1;
    weft_workers *all = weft_mem_calloc(1, sizeof *all + count * sizeof all->of[0]);
    if (!all)
        return NULL;
    all->app = first->app;
    all->first = first;
    all->home = first->loop;
    all->log_writer = log_writer;
    all->count = count;
    pthread_mutex_init(&all->lock, NULL);
    for (size_t i = 0; i < count; i++) {
        weft_worker *w = &all->of[i];
        *w = (weft_worker){ .all = all, .index = i + 1 };
        prepare_post(&w->order, take_order, w);
        prepare_post(&w->list, print_tasks, w);
        prepare_post(&w->said, on_said, w);
    }
    return all;
}

static void publish(weft_app *app, weft_workers *all)
{
    pthread_mutex_lock(&app->lock);
    app->workers = all;
    pthread_mutex_unlock(&app->lock);
}

int weft_workers_start(weft_server *first, weft_access_writer *log_writer)
{
    int rc = 0;
    if (first->app->settings.workers == 1)
        return 0;
    weft_workers *all = new_workers(first, log_writer);
    if (!all)
        return -ENOMEM;
    for (size_t i = 0; i < all->count && rc == 0; i++) {
        rc = start_thread(&all->of[i]);
        all->awaited += rc == 0;
    }
    wait_said(all, "workers to listen");
    for (size_t i = 0; i < all->count && rc == 0; i++)
        rc = all->of[i].error;
    if (rc == 0) {
        publish(all->app, all);
        return 0;
    }
    weft_log(WEFT_LOG_ERROR, "cannot start the workers: %s", weft_strerror(rc));
    weft_workers_stop(all, WEFT_CANCELLING);
    struct weft_server_counts none = { 0 };
    weft_workers_join(all, &none);
    return rc;
}

void weft_workers_join(weft_workers *all, struct weft_server_counts *sum)
{
    if (!all)
        return;
    for (size_t i = 0; i < all->count; i++)
        all->awaited += all->of[i].is_started && all->of[i].error == 0;
    wait_said(all, "end of the workers");
    for (size_t i = 0; i < all->count; i++) {
        if (all->of[i].is_started)
            pthread_join(all->of[i].thread, NULL); /* it has said all: this takes no time */
        weft_counts_add(sum, &all->of[i].counts);
    }
    publish(all->app, NULL);
    pthread_mutex_destroy(&all->lock);
    weft_mem_free(all);
}
