/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
#include "server/server.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/check.h"
#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "lib/task/supervisor.h"
#include "server/balance.h"
#include "server/connection.h"
#include "server/request.h"
#include "server/session.h"
#include "server/tls.h"
#include "server/workers.h"

enum {
    CONNECTIONS_PER_CHUNK = 64,
    REQUESTS_PER_CHUNK = 16,
    SWEEP_GRAIN = 20,     /* milliseconds between two sweeps, at least: deadlines of a crowd are looked at together */
    LEFT_SECONDS = 1,     /* the same of an idle connection when stopping: all are to be gone 3 s after the signal */
    LEAVE_AT_MOST = 1500, /* milliseconds over which idle connections are closed, */
    LEAVE_EACH = 150,     /* or so many microseconds for each of them */
    AGAIN_AFTER = 100,    /* milliseconds between two looks for what needs memory to end */
    IDLE_GRAINS = 1024,   /* an idle connection may be closed sooner by such a part of its time */
    ACCEPT_REST = 4096,   /* connections that the kernel has completed when the door closes */
};

/* ---- the sweep ---- */

void weft_server_sweep_by(weft_server *server, weft_duration deadline)
{
    int64_t tick = weft_tick_of(deadline);
    if (weft_timer_is_set(&server->sweep)) {
        if (server->sweep.tick <= tick)
            return;
        weft_timer_clear(&server->sweep);
    }
    weft_timer_set(&server->loop->wheel, &server->sweep, tick);
}

/* Does it serve a request, and keep its place among the idle ones? Nothing else is in a list in the phase NONE. */
static bool has_place(const weft_connection *c)
{
    return c->phase == WEFT_PHASE_NONE && !weft_list_is_empty(&c->timed);
}

void weft_server_suspend_phase(weft_server *server, weft_connection *c)
{
    if (c->phase == WEFT_PHASE_IDLE)
        c->phase = WEFT_PHASE_NONE;
    else if (c->phase != WEFT_PHASE_NONE)
        weft_server_set_phase(server, c, WEFT_PHASE_NONE);
}

void weft_server_set_phase(weft_server *server, weft_connection *c, enum weft_phase phase)
{
    if (phase == WEFT_PHASE_IDLE && has_place(c) &&
        weft_loop_now(server->loop) - c->since <= server->phase_limits[phase] / IDLE_GRAINS) {
        c->phase = WEFT_PHASE_IDLE;
        return;
    }
    weft_list_remove(&c->timed);
    c->phase = (uint8_t)phase;
    if (phase == WEFT_PHASE_NONE || server->phase_limits[phase] == WEFT_NO_LIMIT)
        return;
    /* An idle one may be closed sooner by what somebody has held the loop: no harm, and every request comes by here. */
    c->since = phase == WEFT_PHASE_IDLE ? weft_loop_now(server->loop) : weft_loop_recent(server->loop);
    weft_list_append(&server->phases[phase], &c->timed);
    weft_server_sweep_by(server, weft_clock_add(c->since, server->phase_limits[phase]));
}

/* Ends what has lasted too long in one phase; returns when the next one is due. */
static weft_duration sweep_phase(weft_server *server, enum weft_phase phase, weft_duration now)
{
    weft_list *list = &server->phases[phase];
    while (!weft_list_is_empty(list)) {
        weft_connection *c = CONTAINER_OF(list->next, weft_connection, timed);
        weft_duration due = weft_clock_add(c->since, server->phase_limits[phase]);
        if (due > now)
            return due;
        weft_list_remove(&c->timed);
        if (c->phase == phase) /* else it only has its place here */
            weft_connection_expire(c);
    }
    return WEFT_NO_LIMIT;
}

/* Resets connections whose peers do not read. */
static weft_duration sweep_writing(weft_server *server, weft_duration now)
{
    weft_duration limit = server->app->settings.write_timeout;
    while (!weft_list_is_empty(&server->writing)) {
        weft_connection *c = CONTAINER_OF(server->writing.next, weft_connection, writing);
        weft_duration due = weft_clock_add(c->sent, limit);
        if (due > now)
            return due;
        weft_list_remove(&c->writing);
        size_t left = weft_transport_unsent(&c->transport);
        if (left < c->left_then) { /* some of it has moved */
            c->left_then = left;
            c->sent = now;
            weft_list_append(&server->writing, &c->writing);
        } else {
            weft_connection_end_by(c, WEFT_LIMIT_WRITE_TIME);
            weft_connection_close(c, true);
        }
    }
    return WEFT_NO_LIMIT;
}

static void sweep(weft_timer *timer)
{
    weft_server *server = CONTAINER_OF(timer, weft_server, sweep);
    weft_duration now = weft_loop_now(server->loop), next = sweep_writing(server, now);
    for (int phase = WEFT_PHASE_NONE + 1; phase < WEFT_PHASES; phase++) {
        weft_duration due = sweep_phase(server, (enum weft_phase)phase, now);
        next = due < next ? due : next;
    }
    weft_output_flush(server);
    weft_duration soonest = now + SWEEP_GRAIN * WEFT_MILLISECOND;
    if (next != WEFT_NO_LIMIT)
        weft_server_sweep_by(server, next > soonest ? next : soonest);
}

/* ---- the date ---- */

const char *weft_server_date(weft_server *server)
{
    int64_t second = weft_loop_now(server->loop) / WEFT_SECOND;
    if (second != server->date_second) {
        char date[WEFT_HTTP_DATE_SIZE + 1];
        server->date_second = second;
        weft_http_date_format((int64_t)time(NULL), date);
        memcpy(server->date_line, "Date: ", 6);
        memcpy(server->date_line + 6, date, WEFT_HTTP_DATE_SIZE);
        memcpy(server->date_line + 6 + WEFT_HTTP_DATE_SIZE, "\r\n", 3);
    }
    return server->date_line;
}

/* ---- accepting ---- */

static void each_listener(weft_server *server, void (*fn)(weft_listener *listener))
{
    for (size_t i = 0; i < server->door_count; i++)
        fn(server->doors[i].listener);
    weft_beats_each(server, fn);
}

static void pause_accepting(weft_server *server)
{
    if (server->accepts_paused)
        return;
    server->accepts_paused = true;
    weft_count(&server->counts.limits[WEFT_LIMIT_CONNECTIONS]);
    if (!server->limit_is_said)
        weft_log(WEFT_LOG_WARNING, "%zu connections are open, which is the limit: no more are accepted for now",
                 server->max_connections); /* not the count: another worker may have passed it in this instant */
    server->limit_is_said = true;
    each_listener(server, weft_listener_pause);
}

static size_t open_in_all(const weft_server *server)
{
    return atomic_load_explicit(&server->app->open, memory_order_relaxed);
}

static void pause_if_full(weft_server *server)
{
    if (open_in_all(server) >= server->max_connections && server->stop_stage < WEFT_DRAINING)
        pause_accepting(server);
}

void weft_server_accepted(void *context, int fd, bool is_tcp)
{
    const weft_door *door = context;
    if (weft_balance_pass_on(door->server, (size_t)(door - door->server->doors), fd, is_tcp))
        pause_if_full(door->server);
    else
        weft_server_take(door, fd, is_tcp);
}

void weft_server_take(const weft_door *door, int fd, bool is_tcp)
{
    weft_server *server = door->server;
    weft_connection *c = weft_connection_new(server);
    if (!c) {
        weft_count(&server->counts.unaccepted);
        close(fd);
        return;
    }
    c->is_redirected = door->kind == WEFT_DOOR_REDIRECT;
    if ((door->kind == WEFT_DOOR_TLS
             ? weft_tls_open(c, fd, is_tcp)
             : weft_transport_open_fd(&c->transport, server->loop, fd, is_tcp, &weft_connection_events)) < 0) {
        weft_count(&server->counts.unaccepted);
        close(fd);
        weft_connection_abandon(c);
        return;
    }
    if (UNLIKELY(server->app->trusted_count > 0))
        weft_connection_start_behind_proxy(c, fd);
    else
        weft_connection_start(c);
    pause_if_full(server);
}

void weft_server_resume(weft_server *server)
{
    size_t open = open_in_all(server);
    if (open < server->max_connections - server->max_connections / 4)
        server->limit_is_said = false; /* not at each that comes and goes at the limit */
    if (!server->accepts_paused || server->stop_stage >= WEFT_DRAINING || open >= server->max_connections)
        return;
    server->accepts_paused = false;
    each_listener(server, weft_listener_resume);
}

int weft_server_listen(weft_server *server, const char *address)
{
    weft_door *door = &server->doors[server->door_count];
    *door = (weft_door){ .server = server };
    address = weft_door_address(address, server->app->tls != NULL, &door->kind);
    if (door->kind != WEFT_DOOR_PLAIN && !server->app->tls)
        return WEFT_ECERTIFICATE;
    int rc = (server->app->settings.workers > 1 ? weft_listener_open_shared : weft_listener_open)(
        &door->listener, server->loop, address, weft_server_accepted, door);
    if (rc < 0)
        return rc;
    weft_listener_count_shortages(door->listener, &server->counts.unaccepted);
    server->door_count++;
    return 0;
}

int weft_server_listen_beside(weft_server *server, const weft_server *first)
{
    int rc = 0;
    for (size_t i = 0; i < first->door_count && rc == 0; i++) {
        weft_door *door = &server->doors[i];
        *door = (weft_door){ .server = server, .kind = first->doors[i].kind };
        rc = weft_listener_open_beside(&door->listener, server->loop, first->doors[i].listener, weft_server_accepted, door);
        if (rc < 0)
            break;
        weft_listener_count_shortages(door->listener, &server->counts.unaccepted);
        pthread_mutex_lock(&server->app->lock); /* others may look at the doors from now on */
        server->door_count++;
        pthread_mutex_unlock(&server->app->lock);
    }
    return rc;
}

/* ---- the task that stops it ---- */

struct weft_stop_wait {
    weft_wait wait;
    weft_timer timer;
    weft_server *server;
    bool until_empty;
};

static void wake_stopper(weft_server *server)
{
    if (server->stop_wait)
        weft_wait_settle(&server->stop_wait->wait, 0);
}

static void wake_in_time(weft_timer *timer)
{
    weft_wait_settle(&CONTAINER_OF(timer, struct weft_stop_wait, timer)->wait, 0);
}

static void withdraw_stopper(weft_wait *wait)
{
    struct weft_stop_wait *w = CONTAINER_OF(wait, struct weft_stop_wait, wait);
    weft_timer_clear(&w->timer);
    w->server->stop_wait = NULL;
}

/* The task has the requests' group open, and cancels it: its own waits must not be cut short by that. */
void weft_server_wait(weft_server *server, const char *what, bool until_empty, weft_duration d)
{
    struct weft_stop_wait w = { .wait = WEFT_WAIT(what, server, withdraw_stopper),
                                .server = server,
                                .until_empty = until_empty };
    if (d <= 0 || (until_empty && server->connection_count == 0))
        return;
    w.wait.is_uncut = true;
    weft_timer_init(&w.timer, wake_in_time);
    if (d != WEFT_NO_LIMIT)
        weft_timer_set(&server->loop->wheel, &w.timer, weft_tick_of(weft_loop_deadline(server->loop, d)));
    server->stop_wait = &w;
    weft_wait_park(&w.wait);
}

void weft_server_stop(weft_server *server, enum weft_stop_stage stage)
{
    if (stage <= server->stop_stage)
        return;
    server->stop_stage = stage;
    wake_stopper(server);
}

/* ---- connections that end ---- */

void weft_server_free_connection(weft_server *server, weft_connection *c)
{
    weft_list_unlink(&c->all);
    weft_list_remove(&c->timed);
    weft_list_remove(&c->writing);
    weft_callback_clear(&c->again);
    weft_mem_free(c->client);
    weft_head_cache_forget(server, c);
    weft_output_forget(server, c);
    weft_slab_give(&server->connection_slab, c);
    server->connection_count--;
    weft_balance_count(server, -1);
    if (server->connection_count == 0 && server->stop_wait && server->stop_wait->until_empty)
        wake_stopper(server);
    weft_server_resume(server);
}

/* ---- opening and closing ---- */

static void flush(weft_loop *loop)
{
    weft_output_flush_if_due(loop->server);
}

int weft_server_open(weft_server **ret_server, weft_app *app)
{
    weft_loop *loop = weft_here;
    weft_server *server = weft_mem_calloc(1, sizeof *server);
    if (!server)
        return -ENOMEM;
    const struct weft_settings *settings = &app->settings;
    server->app = app;
    server->loop = loop;
    server->max_connections = (size_t)settings->max_connections;
    server->date_second = -1;
    weft_slab_init(&server->connection_slab, sizeof(weft_connection), CONNECTIONS_PER_CHUNK);
    weft_slab_init(&server->request_slab, sizeof(weft_request), REQUESTS_PER_CHUNK);
    weft_list_init(&server->connections);
    weft_list_init(&server->writing);
    weft_list_init(&server->adopted);
    weft_list_init(&server->warm);
    for (int i = 0; i < WEFT_PHASES; i++)
        weft_list_init(&server->phases[i]);
    server->phase_limits[WEFT_PHASE_IDLE] = settings->keep_alive_timeout;
    server->phase_limits[WEFT_PHASE_HEAD] = settings->head_timeout;
    server->phase_limits[WEFT_PHASE_PROXY] = settings->proxy_timeout;
    server->phase_limits[WEFT_PHASE_BODY] = settings->body_timeout;
    server->phase_limits[WEFT_PHASE_LINGER] = settings->linger_timeout;
    server->phase_limits[WEFT_PHASE_LEFT] = LEFT_SECONDS * WEFT_SECOND;
    weft_timer_init(&server->sweep, sweep);
    weft_group_open(&server->requests);
    weft_app_hold(app);
    pthread_mutex_lock(&app->lock);
    weft_list_append(&app->servers, &server->of_app);
    pthread_mutex_unlock(&app->lock);
    server->random = (uint64_t)weft_loop_now(loop) ^ (uint64_t)(uintptr_t)server;
    loop->server = server;
    loop->flush = flush;
    *ret_server = server;
    return 0;
}

static void close_listeners(weft_server *server, int most)
{
    weft_beats_end(server, most);
    weft_balance_leave(server, most > 0);
    pthread_mutex_lock(&server->app->lock); /* another thread may ask for a port */
    size_t count = server->door_count;
    server->door_count = 0;
    pthread_mutex_unlock(&server->app->lock);
    for (size_t i = 0; i < count; i++)
        weft_listener_close(server->doors[i].listener);
}

/* ---- stopping ---- */

void weft_server_bar(weft_server *server)
{
    for (size_t i = 0; i < server->door_count; i++) {
        char url[WEFT_LISTENER_URL_MAX];
        int rc = weft_listener_bar(server->doors[i].listener);
        if (rc < 0)
            weft_log(WEFT_LOG_DEBUG, "%s: the filter that turns new connections away is refused (%s): some may be reset",
                     weft_listener_url(server->doors[i].listener, url, sizeof url), weft_strerror(rc));
    }
}

void weft_server_close_door(weft_server *server)
{
    for (size_t i = 0; i < server->door_count; i++)
        weft_listener_accept_rest(server->doors[i].listener, ACCEPT_REST);
    close_listeners(server, ACCEPT_REST);
}

/* The turns of idle connections: the i-th of them leaves at the i-th part of the time. */
static void set_turns(weft_server *server, weft_list *idle, size_t count)
{
    weft_duration most = LEAVE_AT_MOST * WEFT_MILLISECOND, all = (weft_duration)count * LEAVE_EACH * WEFT_MICROSECOND;
    weft_duration now = server->loop->now, each = (all < most ? all : most) / (weft_duration)(count ? count : 1);
    weft_list *node;
    for (weft_duration turn = now; (node = weft_list_shift(idle)); turn += each) {
        weft_connection *c = CONTAINER_OF(node, weft_connection, timed);
        c->phase = WEFT_PHASE_LEAVING; /* whose limit is 0: it is due at its `since` */
        c->since = turn;
        weft_list_append(&server->phases[WEFT_PHASE_LEAVING], node);
    }
    if (count > 0)
        weft_server_sweep_by(server, now);
}

void weft_server_drain(weft_server *server)
{
    const struct weft_settings *s = &server->app->settings;
    weft_list all, idle;
    weft_list *node;
    size_t idle_count = 0;
    weft_server_stop(server, WEFT_DRAINING);
    server->phase_limits[WEFT_PHASE_IDLE] = s->fresh_connection;
    if (s->fresh_connection < s->head_timeout)
        server->phase_limits[WEFT_PHASE_HEAD] = s->fresh_connection;
    weft_list_init(&idle);
    weft_list_move(&all, &server->connections);
    while ((node = weft_list_shift(&all))) {
        weft_connection *c = CONTAINER_OF(node, weft_connection, all);
        weft_list_append(&server->connections, node);
        if (!weft_connection_drain(c))
            continue;
        weft_server_set_phase(server, c, WEFT_PHASE_NONE);
        weft_list_append(&idle, &c->timed);
        idle_count++;
    }
    set_turns(server, &idle, idle_count);
}

void weft_server_cancel(weft_server *server)
{
    weft_list all;
    weft_list *node;
    weft_server_stop(server, WEFT_CANCELLING);
    weft_group_cancel(&server->requests);
    weft_list_move(&all, &server->connections);
    while ((node = weft_list_shift(&all))) {
        weft_list_append(&server->connections, node);
        weft_connection_cancel(CONTAINER_OF(node, weft_connection, all));
    }
}

void weft_server_cut(weft_server *server)
{
    weft_list all;
    weft_list_move(&all, &server->connections);
    weft_list *node;
    while ((node = weft_list_shift(&all))) {
        weft_connection *c = CONTAINER_OF(node, weft_connection, all);
        weft_list_append(&server->connections, node);
        if (c->state == WEFT_CONNECTION_CLOSING)
            continue;
        bool has_said_all = c->state == WEFT_CONNECTION_LINGER && c->transport.queued == 0;
        if (!has_said_all)
            weft_count(&server->counts.cut);
        weft_connection_blame(c, WEFT_END_CUT);
        weft_connection_close(c, !has_said_all);
    }
}

static void close_upgraded(weft_server *server)
{
    weft_list all;
    weft_list *node;
    weft_list_move(&all, &server->connections);
    while ((node = weft_list_shift(&all))) {
        weft_connection *c = CONTAINER_OF(node, weft_connection, all);
        weft_list_append(&server->connections, node);
        if (c->state == WEFT_CONNECTION_UPGRADED)
            weft_connection_close(c, true);
    }
}

/* WebSockets without a stack need a task each to end, which is joined with the others; also one for which there is no memory
 * yet, or whose handler has upgraded the connection just now. */
static void join_all(weft_server *server)
{
    for (;;) {
        close_upgraded(server);
        weft_group_cancel(&server->requests);
        weft_group_join(&server->requests);
        if (server->served == 0)
            return;
        weft_group_open(&server->requests);
        weft_server_wait(server, "memory for the ends of WebSockets", false, AGAIN_AFTER * WEFT_MILLISECOND);
    }
}

void weft_server_close(weft_server *server)
{
    weft_loop *loop = server->loop;
    close_listeners(server, 0);
    join_all(server);
    weft_server_stop(server, WEFT_CANCELLING);
    weft_server_cut(server);
    weft_server_wait(server, "end of the connections", true, WEFT_NO_LIMIT); /* closed events come in the next turns */
    weft_timer_clear(&server->sweep);
    weft_ws_hall_close(server);
    loop->flush = NULL;
    loop->server = NULL;
    weft_slab_close(&server->connection_slab);
    weft_slab_close(&server->request_slab);
    weft_head_cache_close(&server->head_cache);
    pthread_mutex_lock(&server->app->lock);
    weft_list_unlink(&server->of_app);
    server->counts.open = server->counts.buffered = 0;
    weft_counts_add(&server->app->counts, &server->counts);
    pthread_mutex_unlock(&server->app->lock);
    weft_app_release(server->app);
    weft_mem_free(server);
}
