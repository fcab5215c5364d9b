/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Who looks after the others. Each server of several writes down every BEAT that its loop turns, and reads what the others have
 * written. The listening sockets of one that has not for STALE are accepted from by all others, through copies of the
 * descriptors, until it does again: so the connections in its queue are served, and only those that it had accepted wait. What
 * was passed on to it and lies in its mail (balance.h) is taken over with them.
 *
 * The list of the app's servers, and their doors, are read under the app's lock, which a server takes to close its doors.
 */
#include <stdatomic.h>

#include "lib/base/check.h"
#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "server/balance.h"
#include "server/workers.h"

static const weft_duration BEAT = 200 * WEFT_MILLISECOND, STALE = 600 * WEFT_MILLISECOND;

/* What was taken over from one server. */
struct adopted {
    weft_list link;
    const weft_server *of;
    size_t worker; /* that was */
    bool is_stale; /* still */
    size_t count;
    weft_listener *listeners[WEFT_LISTEN_MAX];
};

static struct adopted *find(weft_server *server, const weft_server *of)
{
    LIST_EACH (node, &server->adopted) {
        struct adopted *a = CONTAINER_OF(node, struct adopted, link);
        if (a->of == of)
            return a;
    }
    return NULL;
}

static void give_back(struct adopted *a, int most)
{
    weft_list_unlink(&a->link);
    for (size_t i = 0; i < a->count; i++) {
        if (most > 0)
            weft_listener_accept_rest(a->listeners[i], most);
        weft_listener_close(a->listeners[i]);
    }
    weft_mem_free(a);
}

/* Under the lock. NULL when memory or descriptors are out: the next beat tries again. */
static struct adopted *adopt(weft_server *server, const weft_server *of)
{
    struct adopted *a = weft_mem_calloc(1, sizeof *a);
    if (!a)
        return NULL;
    a->of = of;
    a->worker = of->worker;
    weft_list_append(&server->adopted, &a->link);
    for (; a->count < of->door_count; a->count++) {
        weft_listener **listener = &a->listeners[a->count];
        if (weft_listener_copy(listener, server->loop, of->doors[a->count].listener, weft_server_accepted,
                               &server->doors[a->count]) < 0) {
            give_back(a, 0);
            return NULL;
        }
        if (server->accepts_paused)
            weft_listener_pause(*listener);
    }
    return a;
}

void weft_beats_each(weft_server *server, void (*fn)(weft_listener *listener))
{
    LIST_EACH (node, &server->adopted) {
        struct adopted *a = CONTAINER_OF(node, struct adopted, link);
        for (size_t i = 0; i < a->count; i++)
            fn(a->listeners[i]);
    }
}

static void look_after_others(weft_server *server, weft_duration now)
{
    weft_app *app = server->app;
    LIST_EACH (node, &server->adopted)
        CONTAINER_OF(node, struct adopted, link)->is_stale = false;
    pthread_mutex_lock(&app->lock);
    LIST_EACH (node, &app->servers) {
        weft_server *other = CONTAINER_OF(node, weft_server, of_app);
        int64_t beat = atomic_load_explicit(&other->beat, memory_order_relaxed);
        if (other == server || beat == 0 || now - beat < STALE || other->door_count != server->door_count)
            continue;
        struct adopted *a = find(server, other);
        bool is_new = a == NULL;
        if (is_new)
            a = adopt(server, other);
        if (a)
            a->is_stale = true;
        if (a && is_new)
            weft_log(WEFT_LOG_WARNING, "worker %zu has not turned for %.1f s: worker %zu accepts in its place", other->worker,
                     (double)(now - beat) / (double)WEFT_SECOND, server->worker);
    }
    pthread_mutex_unlock(&app->lock);
    for (weft_list *node = server->adopted.next, *next; node != &server->adopted; node = next) {
        struct adopted *a = CONTAINER_OF(node, struct adopted, link);
        next = node->next;
        if (a->is_stale)
            weft_balance_take_over(server, a->worker);
        else
            give_back(a, 0);
    }
}

static void set_beat(weft_server *server)
{
    weft_duration due = weft_clock_add(weft_loop_now(server->loop), BEAT);
    weft_timer_set(&server->loop->wheel, &server->beats, weft_tick_of(due));
}

static void on_beat(weft_timer *timer)
{
    weft_server *server = CONTAINER_OF(timer, weft_server, beats);
    weft_duration now = weft_clock_monotonic(), before = atomic_load_explicit(&server->beat, memory_order_relaxed);
    atomic_store_explicit(&server->beat, now, memory_order_relaxed);
    weft_balance_beat(server, now);
    if (server->stop_stage < WEFT_DRAINING) {
        if (now - before < STALE) /* else all may have been held: the process was stopped, the machine slept */
            look_after_others(server, now);
        weft_server_resume(server); /* the connections that ended may have been another worker's */
    }
    set_beat(server);
}

void weft_beats_begin(weft_server *server)
{
    if (server->app->settings.workers == 1)
        return;
    weft_duration now = weft_clock_monotonic();
    atomic_store_explicit(&server->beat, now, memory_order_relaxed);
    weft_balance_beat(server, now);
    weft_balance_enter(server);
    weft_timer_init(&server->beats, on_beat);
    set_beat(server);
}

void weft_beats_end(weft_server *server, int most)
{
    if (atomic_load_explicit(&server->beat, memory_order_relaxed) == 0)
        return;
    atomic_store_explicit(&server->beat, 0, memory_order_relaxed);
    weft_timer_clear(&server->beats);
    while (!weft_list_is_empty(&server->adopted))
        give_back(CONTAINER_OF(server->adopted.next, struct adopted, link), most);
}

void weft_workers_bar(weft_app *app)
{
    pthread_mutex_lock(&app->lock);
    LIST_EACH (node, &app->servers)
        weft_server_bar(CONTAINER_OF(node, weft_server, of_app));
    pthread_mutex_unlock(&app->lock);
}
