/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * What the table of limits is turned into: words for the log, names for who reads counters, and their sums over the servers of
 * an app. Each server's counters are written by its own thread only, so counting is a load and a store; whoever sums reads them
 * one by one, and so sees each as it was at some moment.
 */
#include "server/limit.h"

#include "lib/base/check.h"
#include "server/connection.h"

#define WORDS_OF_LIMIT(id, option, type, otherwise, least, most, past) [WEFT_LIMIT_##id] = #option ": " past,
#define WORDS_OF_ENDING(id, name, words)                               [WEFT_END_##id] = words,

const char *const weft_limit_words[WEFT_LIMIT_COUNT] = { WEFT_LIMITS(WORDS_OF_LIMIT) };
const char *const weft_ending_words[WEFT_ENDING_COUNT] = { WEFT_ENDINGS(WORDS_OF_ENDING) };

/* ---- what a connection meets, and holds ---- */

void weft_connection_say(const weft_connection *c, const char *what, const char *words)
{
    char peer[128];
    if (UNLIKELY(c->server->loop->log_level >= WEFT_LOG_DEBUG))
        weft_log(WEFT_LOG_DEBUG, "%s: %s: %s", weft_transport_peer(&c->transport, peer, sizeof peer), what, words);
}

void weft_connection_meet(weft_connection *c, enum weft_limit limit)
{
    weft_count(&c->server->counts.limits[limit]);
    weft_connection_say(c, "limit", weft_limit_words[limit]);
}

void weft_connection_end_by(weft_connection *c, enum weft_limit limit)
{
    weft_connection_blame(c, WEFT_END_LIMIT);
    weft_connection_meet(c, limit);
}

/* A connection that may hold gigabytes has 16 bits for how many: see weft_connection. */
enum { IN_MIB = 0x8000 };

static uint16_t held_of(size_t bytes)
{
    size_t kib = bytes / WEFT_KIB, mib = bytes / WEFT_MIB;
    return (uint16_t)(kib < IN_MIB ? kib : IN_MIB | (mib < IN_MIB ? mib : IN_MIB - 1));
}

static int64_t bytes_of(uint16_t held)
{
    return held & IN_MIB ? (held - IN_MIB) * WEFT_MIB : held * WEFT_KIB;
}

void weft_connection_weigh(weft_connection *c)
{
    bool is_closing = c->state == WEFT_CONNECTION_CLOSING;
    uint16_t held = held_of(is_closing ? 0 : (c->input.store ? c->input.room : 0) + c->transport.queued);
    if (LIKELY(held == c->held))
        return;
    weft_server_hold(c->server, bytes_of(held) - bytes_of(c->held));
    c->held = held;
}

/* ---- for everybody ---- */

#define COUNTER(member, name_, words)                                                                                          \
    {                                                                                                                          \
        offsetof(struct weft_server_counts, member), name_, words, false                                                       \
    }
#define LEVEL(member, name_, words)                                                                                            \
    {                                                                                                                          \
        offsetof(struct weft_server_counts, member), name_, words, true                                                        \
    }
#define COUNTER_OF_LIMIT(id, option, type, otherwise, least, most, past)                                                       \
    COUNTER(limits[WEFT_LIMIT_##id], "limit_" #option, "times that " #option " was met"),
#define COUNTER_OF_ENDING(id, name_, words) COUNTER(closed[WEFT_END_##id], "closed_" #name_, "connections: " words),

static const struct {
    size_t at;
    const char *name, *words;
    bool is_level;
} counters[] = { COUNTER(accepted, "connections", "that were accepted"),
                 LEVEL(open, "connections_open", "that are open now"),
                 COUNTER(requests, "requests", "whose head was read"),
                 COUNTER(replies, "replies", "that were begun"),
                 LEVEL(buffered, "buffered", "bytes of bodies, of input and of output that are held now"),
                 COUNTER(passed_on, "connections_passed_on", "that one worker has accepted and another serves"),
                 COUNTER(unaccepted, "accepts_failed", "for want of descriptors or memory"),
                 COUNTER(drained, "requests_drained", "that were finished while the server stopped"),
                 COUNTER(cancelled, "requests_cancelled", "that ended because the server stopped"),
                 COUNTER(cut, "connections_cut", "that were reset at the end of the stop"),
                 COUNTER(websockets, "websockets_closed", "whose closing handshake ended while stopping"),
                 WEFT_LIMITS(COUNTER_OF_LIMIT) WEFT_ENDINGS(COUNTER_OF_ENDING) };

enum {
    COUNTER_COUNT = sizeof counters / sizeof counters[0],
    MEMBER_COUNT = sizeof(struct weft_server_counts) / sizeof(uint64_t)
};

_Static_assert((int)COUNTER_COUNT == (int)MEMBER_COUNT, "each counter has a name");

void weft_counts_add(struct weft_server_counts *sum, const struct weft_server_counts *counts)
{
    uint64_t *to = (uint64_t *)sum;
    const uint64_t *from = (const uint64_t *)counts;
    for (size_t i = 0; i < MEMBER_COUNT; i++)
        to[i] += __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

struct weft_server_counts weft_counts_of_app(weft_app *app)
{
    pthread_mutex_lock(&app->lock);
    struct weft_server_counts sum = app->counts;
    LIST_EACH (node, &app->servers)
        weft_counts_add(&sum, &CONTAINER_OF(node, weft_server, of_app)->counts);
    pthread_mutex_unlock(&app->lock);
    return sum;
}

size_t weft_app_counters(const weft_app *app, weft_counter *ret_counters, size_t room)
{
    IS_A(app, WEFT_APP_MAGIC);
    struct weft_server_counts sum = weft_counts_of_app((weft_app *)(uintptr_t)app);
    for (size_t i = 0; i < COUNTER_COUNT && i < room; i++)
        ret_counters[i] = (weft_counter){
            .name = counters[i].name,
            .words = counters[i].words,
            .value = *(const uint64_t *)(const void *)((const char *)&sum + counters[i].at),
            .is_level = counters[i].is_level,
        };
    return COUNTER_COUNT;
}
