/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Many of everything, over memory in virtual time: nothing may grow with the number of requests or connections that have been.
 */
#include "harness.h"

#include <malloc.h>

static size_t heap_in_use(void)
{
    return mallinfo2().uordblks;
}

static weft_server *begin(weft_app **ret_app)
{
    *ret_app = harness_app();
    return harness_open(*ret_app);
}

static int finish(weft_server *server, weft_app *app)
{
    harness_close(server);
    weft_app_free(app);
    return 0;
}

/* ---- requests ---- */

static void ask_many(client *c, const char *batch, size_t batch_size, int batches)
{
    for (int i = 0; i < batches; i++) {
        client_send(c, batch, batch_size);
        settle();
        client_forget(c);
    }
}

static int memory_is_flat_over_a_million_requests(void)
{
    enum { BATCH = 500, KINDS = 5, ALL = 1000000, FIRST = 100000 };
    static const char *const asks[KINDS] = {
        GET("/"),
        GET("/hello/World?x=y"),
        POST("/echo", 10) "0123456789",
        GET("/none"),
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n",
    };
    weft_app *app;
    weft_server *server = begin(&app);
    client c;
    char *batch = calloc(BATCH, 200);
    size_t size = 0;
    for (int i = 0; i < BATCH; i++) {
        memcpy(batch + size, asks[i % KINDS], strlen(asks[i % KINDS]));
        size += strlen(asks[i % KINDS]);
    }
    WEFT_TRY(client_open(&c, server, 65536));
    ask_many(&c, batch, size, FIRST / BATCH);
    size_t before = heap_in_use();
    ask_many(&c, batch, size, (ALL - FIRST) / BATCH);
    size_t after = heap_in_use();
    WEFT_CHECK(server->counts.requests == ALL && server->counts.replies == ALL);
    WEFT_CHECK(after <= before + 4096);
    if (after > before)
        printf("# %zu bytes in use after %d requests, %zu after %d\n", before, (int)FIRST, after, (int)ALL);
    free(batch);
    client_close(&c, false);
    return finish(server, app);
}

/* ---- connections ---- */

static int five_thousand_connect_and_reset(void)
{
    enum { ALL = 5000, FIRST = 500 };
    static const char *const asks[] = {
        "", "GET / HT", GET("/"), POST("/echo", 10) "012", GET("/sleep/1000"), GET("/big/90000")
    };
    weft_app *app;
    weft_server *server = begin(&app);
    size_t before = 0;
    for (int i = 0; i < ALL; i++) {
        client c;
        const char *ask = asks[(size_t)i % COUNT(asks)];
        WEFT_TRY(client_open(&c, server, 4096));
        client_send(&c, ask, strlen(ask));
        if (i % 2)
            settle(); /* else it is reset before anything was read */
        client_close(&c, true);
        if (i + 1 == FIRST)
            before = heap_in_use();
    }
    WEFT_CHECK(server->connection_count == 0 && server->counts.accepted == ALL && server->counts.open == 0);
    WEFT_CHECK(server->counts.closed[WEFT_END_RESET] > ALL * 9 / 10);
    WEFT_CHECK(heap_in_use() <= before + 4096);
    return finish(server, app);
}

/* All idle: each is served, sits through 70 s, is served again, and goes when its time is over. */
static int ten_thousand_idle(void)
{
    enum { ALL = 10000 };
    weft_app *app;
    weft_server *server = begin(&app);
    client *clients = calloc(ALL, sizeof *clients);
    for (int i = 0; i < ALL; i++)
        WEFT_TRY(client_open(&clients[i], server, 1024));
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < ALL; i++)
            client_send(&clients[i], TEXT(GET("/")));
        settle();
        int right = 0;
        for (int i = 0; i < ALL; i++) {
            right += client_got(&clients[i], TEXT(FRONT));
            client_forget(&clients[i]);
        }
        WEFT_CHECK(right == ALL && server->connection_count == ALL);
        WEFT_CHECK(weft_sleep(70 * WEFT_SECOND) == 0);
    }
    WEFT_CHECK(server->counts.open == ALL);
    WEFT_CHECK(weft_sleep(6 * WEFT_SECOND) == 0);
    WEFT_CHECK(server->counts.open == 0 && server->counts.limits[WEFT_LIMIT_KEEP_ALIVE] == ALL);
    for (int i = 0; i < ALL; i++) {
        WEFT_CHECK(clients[i].has_ended && !clients[i].error);
        weft_transport_close(&clients[i].t, false);
    }
    settle();
    free(clients);
    return finish(server, app);
}

/* Each holds a part of a head, and never sends more: all are refused in their time. */
static int two_thousand_slow_heads(void)
{
    enum { ALL = 2000 };
    weft_app *app;
    weft_server *server = begin(&app);
    client *clients = calloc(ALL, sizeof *clients);
    for (int i = 0; i < ALL; i++) {
        WEFT_TRY(client_open(&clients[i], server, 1024));
        client_send(&clients[i], TEXT("GET / HTTP/1.1\r\nHo"));
    }
    WEFT_CHECK(weft_sleep(9 * WEFT_SECOND) == 0);
    WEFT_CHECK(server->counts.open == ALL && server->counts.buffered <= (uint64_t)ALL * 1024);
    WEFT_CHECK(weft_sleep(2 * WEFT_SECOND) == 0);
    int right = 0;
    for (int i = 0; i < ALL; i++)
        right += client_got_one(&clients[i], 408);
    WEFT_CHECK(right == ALL && server->counts.limits[WEFT_LIMIT_HEAD_TIME] == ALL);
    WEFT_CHECK(weft_sleep(3 * WEFT_SECOND) == 0 && server->counts.open == 0);
    for (int i = 0; i < ALL; i++) {
        client_forget(&clients[i]);
        weft_transport_close(&clients[i].t, false);
    }
    settle();
    free(clients);
    return finish(server, app);
}

static const weft_test tests[] = {
    TEST(memory_is_flat_over_a_million_requests),
    TEST(five_thousand_connect_and_reset),
    TEST(ten_thousand_idle),
    TEST(two_thousand_slow_heads),
};

int main(int argc, char **argv)
{
    return weft_test_main(tests, COUNT(tests), argc, argv);
}
