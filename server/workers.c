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
#include "lib/task/report.h"
#include "lib/task/supervisor.h"
#include "server/access_log.h"
#include "server/hooks.h"
#include "server/request.h"
#include "server/serve.h"

typedef struct weft_worker {
    weft_workers *all;
    size_t index; /* from 1 */
    pthread_t thread;
    /* the first one's */
    bool is_started;
    bool is_ready, has_ended;         /* as it has said */
    struct weft_server_counts counts; /* of all it has served: can be read once it is through */
    int error;                        /* with which it has ended, or 0: can be read once it has */
    /* the worker's */
    weft_start start;
    enum weft_stop_stage stage; /* of which it has heard */
    weft_server *server;        /* NULL before, and after */
    /* under the lock */
    weft_loop *loop; /* NULL: takes no orders */
    enum weft_stop_stage ordered;
    /* orders, and what it says to the first */
    struct weft_loop_post order, list, ready, through, ended;
    bool is_order_posted, is_list_posted; /* under the lock */
} weft_worker;

struct weft_workers {
    weft_app *app;
    weft_server *first;
    weft_loop *home; /* the first worker's */
    weft_access_writer *log_writer;
    /* the first one's */
    size_t starting_count; /* those that are neither ready nor have ended */
    size_t serving_count;  /* those that are ready, and not through with the stop */
    size_t alive_count;    /* those that have not ended */
    const size_t *awaited; /* the count for which its task waits to be 0, */
    weft_wait *wait;       /* and how; or NULL */
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

static void look_at_counts(weft_workers *all)
{
    if (all->wait && *all->awaited == 0)
        weft_wait_settle(all->wait, 0);
}

static void on_ready(void *arg)
{
    weft_worker *w = arg;
    w->is_ready = true;
    w->all->starting_count--;
    w->all->serving_count++;
    look_at_counts(w->all);
}

static void on_through(void *arg)
{
    weft_worker *w = arg;
    w->all->serving_count--;
    look_at_counts(w->all);
}

static void on_ended(void *arg)
{
    weft_worker *w = arg;
    w->has_ended = true;
    w->all->starting_count -= !w->is_ready;
    w->all->alive_count--;
    look_at_counts(w->all);
}

static void withdraw(weft_wait *wait)
{
    ((weft_workers *)(uintptr_t)wait->on)->wait = NULL;
}

static void await_none(weft_workers *all, const size_t *count, const char *what)
{
    weft_wait wait = WEFT_WAIT(what, all, withdraw);
    if (*count == 0)
        return;
    wait.is_uncut = true;
    all->awaited = count;
    all->wait = &wait;
    weft_wait_park(&wait);
}

/* ---- orders, on the worker's loop ---- */

static void obey(weft_worker *w, enum weft_stop_stage stage)
{
    w->stage = stage;
    if (stage > WEFT_SERVING)
        weft_start_cut(&w->start);
    if (w->server)
        weft_server_stop(w->server, stage);
}

static void take_order(void *arg)
{
    weft_worker *w = arg;
    pthread_mutex_lock(&w->all->lock);
    w->is_order_posted = false;
    enum weft_stop_stage stage = w->ordered;
    pthread_mutex_unlock(&w->all->lock);
    obey(w, stage);
}

static void print_tasks(void *arg)
{
    weft_worker *w = arg;
    pthread_mutex_lock(&w->all->lock);
    w->is_list_posted = false;
    pthread_mutex_unlock(&w->all->lock);
    char head[40];
    snprintf(head, sizeof head, "worker %zu:", w->index);
    weft_tasks_tell(head);
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

/* ---- for handlers ---- */

void *weft_worker_state(const weft_request *req)
{
    return req->connection->server->worker_state;
}

int weft_worker_number(const weft_request *req)
{
    return (int)req->connection->server->worker;
}

/* ---- a worker's life ---- */

/* Orders may have been given before. */
static void take_orders(weft_worker *w)
{
    pthread_mutex_lock(&w->all->lock);
    w->loop = weft_here;
    enum weft_stop_stage stage = w->ordered;
    pthread_mutex_unlock(&w->all->lock);
    obey(w, stage);
}

static void take_no_more_orders(weft_worker *w)
{
    pthread_mutex_lock(&w->all->lock);
    w->loop = NULL;
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
        w->server = server;
        weft_server_stop(server, w->stage);
        weft_loop_post_embedded(w->all->home, &w->ready);
        while (server->stop_stage < WEFT_DRAINING)
            weft_server_wait(server, "request to stop", false, WEFT_NO_LIMIT);
        weft_serve_out(server);
        w->server = NULL;
        weft_counts_add(&w->counts, &server->counts);
        weft_loop_post_embedded(w->all->home, &w->through);
        weft_serve_list_leaks(server);
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
    take_orders(w);
    int rc = weft_hooks_worker_start(app, &w->start, &state);
    if (rc == 0) {
        rc = serve_beside(w, state);
        weft_hooks_worker_stop(app, state);
    }
    take_no_more_orders(w);
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
    w->error = rc < 0 ? rc : 0;
    weft_loop_post_embedded(w->all->home, &w->ended);
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
        prepare_post(&w->ready, on_ready, w);
        prepare_post(&w->through, on_through, w);
        prepare_post(&w->ended, on_ended, w);
    }
    return all;
}

static void publish(weft_app *app, weft_workers *all)
{
    pthread_mutex_lock(&app->lock);
    app->workers = all;
    pthread_mutex_unlock(&app->lock);
}

/* With which it has ended, but for a start that was cut short as it should be. */
static int error_of(const weft_worker *w)
{
    if (!w->has_ended || (w->error == WEFT_ECANCELED && w->start.is_cut))
        return 0;
    return w->error;
}

static int start_threads(weft_workers *all)
{
    int rc = 0;
    for (size_t i = 0; i < all->count && rc == 0; i++) {
        rc = start_thread(&all->of[i]);
        all->starting_count += rc == 0;
        all->alive_count += rc == 0;
    }
    await_none(all, &all->starting_count, "workers to listen");
    for (size_t i = 0; i < all->count && rc == 0; i++)
        rc = error_of(&all->of[i]);
    return rc;
}

int weft_workers_start(weft_server *first, weft_access_writer *log_writer)
{
    if (first->app->settings.workers == 1)
        return 0;
    weft_workers *all = new_workers(first, log_writer);
    if (!all)
        return -ENOMEM;
    publish(all->app, all); /* before they start: a stop is for them too */
    int rc = start_threads(all);
    if (rc == 0)
        return 0;
    weft_log(WEFT_LOG_ERROR, "cannot start the workers: %s", weft_strerror(rc));
    weft_workers_stop(all, WEFT_CANCELLING);
    weft_workers_join(all);
    return rc;
}

void weft_workers_sum(weft_workers *all, struct weft_server_counts *sum)
{
    if (!all)
        return;
    await_none(all, &all->serving_count, "workers to stop");
    for (size_t i = 0; i < all->count; i++)
        weft_counts_add(sum, &all->of[i].counts);
}

int weft_workers_join(weft_workers *all)
{
    int rc = 0;
    if (!all)
        return 0;
    await_none(all, &all->alive_count, "end of the workers");
    for (size_t i = 0; i < all->count; i++) {
        weft_worker *w = &all->of[i];
        if (w->is_started)
            pthread_join(w->thread, NULL); /* it has said all: this takes no time */
        int error = error_of(w);
        if (error < 0 && w->is_ready)
            weft_log(WEFT_LOG_ERROR, "worker %zu has ended with an error: %s", w->index, weft_strerror(error));
        rc = rc < 0 ? rc : error;
    }
    publish(all->app, NULL);
    pthread_mutex_destroy(&all->lock);
    weft_mem_free(all);
    return rc;
}
