/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Fifty thousand WebSockets at once, through the connection's own code, over memory and in virtual time: what an idle one
 * costs, that pings reach each and each that is silent is dropped, that a message to their room reaches each once, and how they
 * end. The clients answer pings in callbacks. Real sockets are bench/ws_table.py's, as many as the system lets it have.
 */
#include "ws_client.h"

#include <malloc.h>

#include <weft/room.h>

#include "lib/base/sanitize.h"

enum { ALL = 50000, IN_LOOPS = 5000 };

struct many {
    weft_transport t;
    uint32_t pings, messages, closes, others;
    bool is_silent, is_closed, has_ended;
};

static weft_rooms *rooms;
static struct many *clients;

/* Frames come whole: there is room for all that is sent in a turn. */
static void take_frame(struct many *c, const unsigned char *data, size_t size)
{
    if (data[0] == 'H')
        return;
    c->pings += data[0] == 0x89;
    c->closes += data[0] == 0x88;
    c->messages += data[0] == 0x81 && size == 7 && memcmp(data + 2, "hello", 5) == 0;
    c->others += data[0] != 0x89 && data[0] != 0x88 && data[0] != 0x81;
    if (data[0] == 0x89 && !c->is_silent)
        WEFT_CHECK(weft_transport_send(&c->t, &(struct iovec){ (char *)"\x8a\x80" Z, 6 }, 1) == 0);
    if (data[0] == 0x88)
        WEFT_CHECK(weft_transport_send(&c->t, &(struct iovec){ (char *)"\x88\x82" Z "\x03\xe9", 8 }, 1) == 0);
}

static void on_input(weft_transport *t, char *data, int64_t size)
{
    struct many *c = CONTAINER_OF(t, struct many, t);
    c->has_ended = c->has_ended || size <= 0;
    if (size > 0)
        take_frame(c, (const unsigned char *)data, (size_t)size);
}

static void on_drained(weft_transport *t, int error)
{
    (void)t, (void)error;
}

static void on_closed(weft_transport *t)
{
    CONTAINER_OF(t, struct many, t)->is_closed = true;
}

static const weft_transport_events events = { .input = on_input, .drained = on_drained, .closed = on_closed };

static int joins(weft_ws *ws)
{
    weft_member *me;
    return weft_room_join(ws, "all", &me, .rooms = rooms);
}

static int serves(weft_request *req)
{
    return weft_ws_serve(req, &(weft_ws_handlers){ .open = joins });
}

static int bare(weft_request *req)
{
    return weft_ws_serve(req, &(weft_ws_handlers){ .open = NULL });
}

static int loop(weft_request *req)
{
    weft_ws *ws;
    weft_message msg;
    WEFT_TRY(weft_ws_accept(req, &ws));
    return weft_ws_receive(ws, &msg);
}

static int loops(weft_request *req)
{
    weft_ws *ws;
    weft_member *me;
    weft_message msg;
    WEFT_TRY(weft_ws_accept(req, &ws));
    WEFT_TRY(weft_room_join(ws, "all", &me, .rooms = rooms));
    return weft_ws_receive(ws, &msg);
}

static int open_one(struct many *c, weft_server *server)
{
    weft_connection *connection = weft_connection_new(server);
    if (!connection)
        return -ENOMEM;
    WEFT_TRY(weft_transport_open_pair(&connection->transport, &c->t, server->loop, 512, &weft_connection_events, &events));
    weft_connection_start(connection);
    return weft_transport_read_start(&c->t);
}

static void ask(struct many *c, const char *request)
{
    WEFT_CHECK(weft_transport_send(&c->t, &(struct iovec){ (void *)(uintptr_t)request, strlen(request) }, 1) == 0);
}

static size_t heap_in_use(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static size_t resident(void)
{
    size_t pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    WEFT_CHECK(file && fscanf(file, "%*u %zu", &pages) == 1);
    if (file)
        fclose(file);
    return pages * 4096;
}

/* What the server has for an idle one of SOME, its connection included, on the heap or, of those with a stack, in all. */
static size_t cost_of_one(const char *request, size_t (*measure)(void))
{
    enum { SOME = 5000 };
    weft_app *app = ws_app();
    weft_get(app, "/bare", bare);
    weft_get(app, "/loop", loop);
    weft_server *server = harness_open(app);
    clients = calloc(SOME, sizeof *clients);
    for (int i = 0; i < SOME; i++) {
        WEFT_CHECK(open_one(&clients[i], server) == 0);
        ask(&clients[i], GET("/")); /* so that the pair in memory has its buffers */
    }
    settle();
    size_t before = measure();
    for (int i = 0; i < SOME; i++)
        ask(&clients[i], request);
    settle();
    settle();
    size_t after = measure();
    weft_server_cancel(server);
    for (int i = 0; i < SOME; i++)
        weft_transport_close(&clients[i].t, false);
    settle();
    free(clients);
    harness_close(server);
    weft_app_free(app);
    return sizeof(weft_connection) + (after > before ? (after - before) / SOME : 0);
}

static int what_one_costs(void)
{
    size_t loop_one = cost_of_one(WS_GET("/loop"), resident); /* first: later there are stacks of others, resident already */
    size_t bare_one = cost_of_one(WS_GET("/bare"), heap_in_use);
    printf("# an idle socket is %zu bytes by callbacks, %zu by a loop; its connection is %zu of them\n", bare_one, loop_one,
           sizeof(weft_connection));
#ifndef WEFT_ASAN
    WEFT_CHECK(bare_one <= 1024);
    WEFT_CHECK(loop_one <= 5632 || getenv("VALGRIND_LIB") || getenv("LD_PRELOAD"));
#endif
    return 0;
}

static uint64_t sum(size_t member)
{
    uint64_t all = 0;
    for (int i = 0; i < ALL; i++)
        all += *(const uint32_t *)(const void *)((const char *)&clients[i] + member);
    return all;
}

static bool each_has(size_t member, uint32_t least, uint32_t most)
{
    for (int i = 0; i < ALL; i++) {
        uint32_t value = *(const uint32_t *)(const void *)((const char *)&clients[i] + member);
        if (value < least || value > most) {
            printf("# client %d has %u\n", i, value);
            return false;
        }
    }
    return true;
}

static void say_hello(void)
{
    weft_message hello = { "hello", 5, true };
    WEFT_CHECK(weft_room_publish(rooms, "all", &hello) == 0);
    settle();
    for (int i = 0; i < 200 && sum(offsetof(struct many, messages)) % ALL; i++) /* a slice of them a turn */
        settle();
}

static int fifty_thousand(void)
{
    weft_app *app = ws_app();
    weft_get(app, "/serves", serves);
    weft_get(app, "/loops", loops);
    WEFT_CHECK(
        weft_app_configure(app, &(weft_app_options){ .struct_size = sizeof(weft_app_options), .max_connections = ALL }) == 0);
    rooms = weft_rooms_new(app);
    weft_server *server = harness_open(app);
    clients = calloc(ALL, sizeof *clients);
    for (int i = 0; i < ALL; i++) {
        WEFT_CHECK(open_one(&clients[i], server) == 0);
        ask(&clients[i], i % (ALL / IN_LOOPS) ? WS_GET("/serves") : WS_GET("/loops"));
        if (i % 1000 == 0)
            settle();
    }
    settle();
    WEFT_CHECK(server->counts.open == ALL && weft_rooms_stats(rooms).members == ALL);
    WEFT_CHECK(each_has(offsetof(struct many, messages), 0, 0));

    for (int minute = 0; minute < 3; minute++) { /* each is asked twice a minute, answers, and lives on */
        WEFT_CHECK(weft_sleep(WEFT_MINUTE) == 0);
        WEFT_CHECK(each_has(offsetof(struct many, pings), 2 * (unsigned)minute + 1, 3 * (unsigned)minute + 3));
        WEFT_CHECK(server->counts.open == ALL);
        say_hello();
        WEFT_CHECK(each_has(offsetof(struct many, messages), (unsigned)minute + 1, (unsigned)minute + 1));
    }

    for (int i = 0; i < ALL; i += 2) /* a half falls silent, and is dropped; the others are not */
        clients[i].is_silent = true;
    WEFT_CHECK(weft_sleep(90 * WEFT_SECOND) == 0);
    for (int i = 0; i < ALL; i++)
        WEFT_CHECK(clients[i].has_ended == (i % 2 == 0));
    WEFT_CHECK(server->counts.limits[WEFT_LIMIT_WS_DEAD] == ALL / 2 && server->counts.open == ALL / 2);
    WEFT_CHECK(weft_rooms_stats(rooms).members == ALL / 2);

    weft_server_drain(server); /* the rest is told 1001, and answers */
    WEFT_CHECK(weft_sleep(WEFT_SECOND) == 0);
    WEFT_CHECK(sum(offsetof(struct many, closes)) == ALL / 2 && sum(offsetof(struct many, others)) == 0);
    for (int i = 0; i < ALL; i++) {
        WEFT_CHECK(clients[i].has_ended);
        weft_transport_close(&clients[i].t, false);
    }
    settle();
    WEFT_CHECK(server->counts.websockets == ALL / 2 && server->counts.open == 0 && server->counts.buffered == 0);
    harness_close(server);
    free(clients);
    weft_app_free(app);
    return 0;
}

int main(int argc, char **argv)
{
    static const weft_test tests[] = { TEST(what_one_costs), TEST(fifty_thousand) };
    return weft_test_main(tests, COUNT(tests), argc, argv);
}
