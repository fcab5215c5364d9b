/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * What is in the mail counts as a connection of the worker that is to take it, and of the app: so the limit holds, and several
 * that pass on in one moment see each other.
 */
#include "server/balance.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/memory.h"
#include "server/connection.h"

enum {
    MAIL_MAX = 64, /* connections that wait to be taken; past it they are not passed on */
    SPARE = 1,     /* more than its share, and this, and a part of it: */
    SPARE_PART = 32,
    BRIEF = 4, /* as many times the open ones have been accepted within a beat: they come and go */
    LINE = 64, /* of the cache */
};

/* Who has not turned for so long may be held. A little more than a beat. */
static const weft_duration QUIET = 300 * WEFT_MILLISECOND;

struct mail {
    int fd;
    uint8_t door;
    bool is_tcp;
};

struct seat {
    _Alignas(LINE) _Atomic int64_t load; /* connections */
    _Atomic int64_t beat;
    uint64_t accepted, accepted_lately; /* by its own thread: at the last beat, and between the last two */
    pthread_mutex_t lock;               /* over what follows */
    weft_server *server;                /* NULL: it takes nothing */
    struct weft_loop_post post;
    bool is_posted;
    size_t count;
    struct mail mail[MAIL_MAX];
};

struct weft_seats {
    size_t count;
    void *memory;
    struct seat *of;
};

static struct seat *seat_of(const weft_server *server)
{
    return &server->app->seats->of[server->worker];
}

/* ---- counting ---- */

static void count_at(weft_app *app, struct seat *seat, int more)
{
    atomic_fetch_add_explicit(&app->open, (size_t)more, memory_order_relaxed);
    if (seat)
        atomic_fetch_add_explicit(&seat->load, more, memory_order_relaxed);
}

void weft_balance_count(weft_server *server, int more)
{
    count_at(server->app, server->app->seats ? seat_of(server) : NULL, more);
}

void weft_balance_beat(weft_server *server, weft_duration now)
{
    if (!server->app->seats)
        return;
    struct seat *seat = seat_of(server);
    atomic_store_explicit(&seat->beat, now, memory_order_relaxed);
    seat->accepted_lately = server->counts.accepted - seat->accepted;
    seat->accepted = server->counts.accepted;
}

/* ---- taking ---- */

/* Takes all that is in the mail of `seat`, and has the server accept it, or closes it. */
static void take(struct seat *seat, weft_server *server, bool accepts)
{
    struct mail mail[MAIL_MAX];
    pthread_mutex_lock(&seat->lock);
    size_t count = seat->count;
    memcpy(mail, seat->mail, count * sizeof mail[0]);
    seat->count = 0;
    pthread_mutex_unlock(&seat->lock);
    for (size_t i = 0; i < count; i++) {
        count_at(server->app, seat, -1); /* it will count as any other */
        if (accepts)
            weft_server_take(&server->doors[mail[i].door], mail[i].fd, mail[i].is_tcp);
        else
            close(mail[i].fd);
    }
}

static void take_own(void *arg)
{
    struct seat *seat = arg;
    pthread_mutex_lock(&seat->lock);
    seat->is_posted = false;
    weft_server *server = seat->server; /* it is this thread that takes it away */
    pthread_mutex_unlock(&seat->lock);
    if (server)
        take(seat, server, true);
}

void weft_balance_take_over(weft_server *server, size_t worker)
{
    if (server->app->seats)
        take(&server->app->seats->of[worker], server, true);
}

/* ---- passing on ---- */

/* The one with the least connections that is alive. */
static struct seat *find_least(struct weft_seats *seats, weft_duration now)
{
    struct seat *least = NULL;
    int64_t load_of_least = INT64_MAX;
    for (size_t i = 0; i < seats->count; i++) {
        struct seat *seat = &seats->of[i];
        int64_t load = atomic_load_explicit(&seat->load, memory_order_relaxed);
        if (load >= load_of_least || now - atomic_load_explicit(&seat->beat, memory_order_relaxed) > QUIET)
            continue;
        least = seat;
        load_of_least = load;
    }
    return least;
}

static bool post_to(struct seat *seat, struct mail mail)
{
    pthread_mutex_lock(&seat->lock);
    bool has_room = seat->server && seat->count < MAIL_MAX;
    if (has_room)
        seat->mail[seat->count++] = mail;
    if (has_room && !seat->is_posted) {
        seat->is_posted = true;
        weft_loop_post_embedded(seat->server->loop, &seat->post);
    }
    pthread_mutex_unlock(&seat->lock);
    return has_room;
}

bool weft_balance_pass_on(weft_server *server, size_t door, int fd, bool is_tcp)
{
    weft_app *app = server->app;
    if (!app->seats || server->stop_stage >= WEFT_DRAINING)
        return false;
    struct seat *own = seat_of(server), *least;
    int64_t load = atomic_load_explicit(&own->load, memory_order_relaxed) + 1;
    int64_t open = (int64_t)atomic_load_explicit(&app->open, memory_order_relaxed) + 1;
    int64_t share = open / (int64_t)app->seats->count;
    if (load <= share + share / SPARE_PART + SPARE)
        return false;
    if (own->accepted_lately > BRIEF * (uint64_t)load) /* to pass one on costs more than it takes to serve it here */
        return false;
    least = find_least(app->seats, weft_loop_now(server->loop));
    if (!least || least == own || atomic_load_explicit(&least->load, memory_order_relaxed) + 1 >= load)
        return false;
    count_at(app, least, 1);
    if (post_to(least, (struct mail){ .fd = fd, .door = (uint8_t)door, .is_tcp = is_tcp })) {
        weft_count(&server->counts.passed_on);
        return true;
    }
    count_at(app, least, -1);
    return false;
}

/* ---- seats ---- */

int weft_balance_open(weft_app *app)
{
    size_t count = (size_t)app->settings.workers;
    if (count == 1)
        return 0;
    struct weft_seats *seats = weft_mem_calloc(1, sizeof *seats);
    if (!seats)
        return -ENOMEM;
    seats->memory = weft_mem_calloc(1, count * sizeof(struct seat) + LINE);
    if (!seats->memory) {
        weft_mem_free(seats);
        return -ENOMEM;
    }
    seats->of = (struct seat *)(((uintptr_t)seats->memory + LINE - 1) / LINE * LINE);
    seats->count = count;
    for (size_t i = 0; i < count; i++) {
        struct seat *seat = &seats->of[i];
        pthread_mutex_init(&seat->lock, NULL);
        weft_list_init(&seat->post.link);
        seat->post.fn = take_own;
        seat->post.arg = seat;
    }
    app->seats = seats;
    return 0;
}

void weft_balance_close(weft_app *app)
{
    struct weft_seats *seats = app->seats;
    if (!seats)
        return;
    app->seats = NULL;
    for (size_t i = 0; i < seats->count; i++)
        pthread_mutex_destroy(&seats->of[i].lock);
    weft_mem_free(seats->memory);
    weft_mem_free(seats);
}

void weft_balance_enter(weft_server *server)
{
    if (!server->app->seats)
        return;
    struct seat *seat = seat_of(server);
    pthread_mutex_lock(&seat->lock);
    seat->server = server;
    pthread_mutex_unlock(&seat->lock);
}

void weft_balance_leave(weft_server *server, bool accepts)
{
    if (!server->app->seats)
        return;
    struct seat *seat = seat_of(server);
    pthread_mutex_lock(&seat->lock);
    seat->server = NULL;
    seat->is_posted = false;
    pthread_mutex_unlock(&seat->lock);
    weft_loop_withdraw(server->loop, &seat->post);
    take(seat, server, accepts);
}
