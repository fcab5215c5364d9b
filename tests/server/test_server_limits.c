/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Whatever a peer can make grow, or last, has a limit: each is met here, in virtual time, and what is within it is left alone.
 */
#include "harness.h"

#define SECOND WEFT_SECOND
enum {
    GRACE = 50, /* milliseconds that a sweep may be late */
    OUTPUT_HIGH = 64 * 1024,
    READ_AHEAD = 16 * 1024,
};

static weft_app *app;

static weft_server *begin(client *c, size_t capacity)
{
    app = harness_app();
    weft_server *server = harness_open(app);
    WEFT_CHECK(client_open(c, server, capacity) == 0);
    return server;
}

static int finish(weft_server *server, client *c)
{
    client_close(c, false);
    harness_close(server);
    weft_app_free(app);
    return 0;
}

static void pass(weft_duration d)
{
    WEFT_CHECK(weft_sleep(d) == 0);
}

/* ---- the head ---- */

/* 10 s from its first byte, however it trickles. */
static int slow_heads(void)
{
    for (int is_second = 0; is_second < 2; is_second++) {
        client c;
        weft_server *server = begin(&c, 4096);
        pass(20 * SECOND); /* idle time does not count */
        if (is_second) {
            client_send(&c, TEXT(GET("/")));
            settle();
            client_forget(&c);
            pass(20 * SECOND);
        }
        for (int i = 0; i < 10; i++) {
            client_send(&c, "GET / HTTP/1.1\r\n" + i, 1);
            pass(990 * MS);
        }
        WEFT_CHECK(c.got_size == 0 && !c.has_ended);
        pass(100 * MS + GRACE * MS);
        WEFT_CHECK(client_got_one(&c, 408) && strstr(c.got, CLOSE) && c.has_ended);
        client_send(&c, TEXT("/ HTTP/1.1\r\nHost: a\r\n\r\n" GET("/")));
        pass(1800 * MS);
        WEFT_CHECK(client_got_one(&c, 408) && server->connection_count == 1 && !c.error);
        pass(200 * MS); /* it has lingered for 2 s */
        WEFT_CHECK(server->connection_count == 0);
        finish(server, &c);
    }
    return 0;
}

/* A head that is done within its time is served, and its handler has its own time. */
static int head_in_time(void)
{
    client c;
    weft_server *server = begin(&c, 4096);
    client_send(&c, TEXT("GET /sleep/20000 HTTP/1.1\r\n"));
    pass(9900 * MS);
    client_send(&c, TEXT("Host: a\r\n\r\n"));
    pass(21 * SECOND);
    WEFT_CHECK(client_got_one(&c, 200) && !c.has_ended);
    return finish(server, &c);
}

/* ---- the body ---- */

static int slow_body(void)
{
    client c;
    weft_server *server = begin(&c, 4096);
    client_send(&c, TEXT(POST("/echo", 200000)));
    char part[20000];
    memset(part, 'b', sizeof part);
    for (int i = 0; i < 4; i++) {
        pass(29 * SECOND);
        client_send(&c, part, sizeof part); /* some of it, in time; and fast enough on average */
        settle();
    }
    WEFT_CHECK(c.got_size == 0);
    pass(29 * SECOND);
    WEFT_CHECK(c.got_size == 0 || client_got_one(&c, 408));
    pass(SECOND + GRACE * MS);
    WEFT_CHECK(client_got_one(&c, 408) && strstr(c.got, CLOSE) && c.has_ended);
    WEFT_CHECK(*harness_log == '\0');
    return finish(server, &c);
}

/* A byte every few seconds is not progress. */
static int trickling_body(void)
{
    client c;
    weft_server *server = begin(&c, 4096);
    client_send(&c, TEXT(POST("/echo", 1000000)));
    for (int i = 0; i < 12 && !c.has_ended; i++) {
        pass(5 * SECOND);
        client_send(&c, TEXT("x"));
    }
    settle();
    WEFT_CHECK(client_got_one(&c, 408) && c.has_ended && weft_now() < 62 * SECOND);
    return finish(server, &c);
}

/* Who only announces large bodies takes no room from others. */
static int announced_body(void)
{
    static char part[100000];
    client c, d;
    weft_server *server = begin(&c, 4096);
    app->settings.buffer_budget = 1200000;
    WEFT_CHECK(client_open(&d, server, sizeof part) == 0);
    client_send(&c, TEXT(POST("/echo", 1000000) "begun"));
    settle();
    client_send(&d, TEXT(POST("/echo", 500000)));
    for (int i = 0; i < 5; i++) {
        client_send(&d, part, sizeof part);
        settle();
    }
    WEFT_CHECK(d.got_size > 17 && memcmp(d.got, "HTTP/1.1 200 OK\r\n", 17) == 0 && c.got_size == 0);
    client_close(&d, false);
    return finish(server, &c);
}

static int body_left_unread_that_stops(void)
{
    client c;
    weft_server *server = begin(&c, 4096);
    client_send(&c, TEXT(POST("/ignore", 100) "0123456789"));
    pass(29 * SECOND);
    WEFT_CHECK(client_got_one(&c, 200) && !c.has_ended);
    pass(SECOND + GRACE * MS);
    WEFT_CHECK(c.has_ended && server->connection_count == 0);
    return finish(server, &c);
}

/* More than 256 KiB left unread: the answer, and the end; but it lingers, so that the answer arrives. */
static int large_body_left_unread(void)
{
    client c;
    char part[8192] = "";
    weft_server *server = begin(&c, 8192);
    client_send(&c, TEXT(POST("/ignore", 300000)));
    settle();
    WEFT_CHECK(client_got_one(&c, 200) && c.has_ended && !c.error && server->connection_count == 1);
    int parts = 0;
    for (; parts < 100 && server->connection_count == 1; parts++) {
        client_send(&c, part, sizeof part);
        settle();
    }
    WEFT_CHECK(parts == 33 && weft_now() < 2 * SECOND); /* 256 KiB and a little more */
    WEFT_CHECK(server->counts.requests == 1);
    finish(server, &c);
    server = begin(&c, 8192);
    client_send(&c, TEXT(POST("/ignore", 262144))); /* as much as is passed over */
    for (int i = 0; i < 32; i++) {
        client_send(&c, part, sizeof part);
        settle();
    }
    WEFT_CHECK(client_got_one(&c, 200));
    client_forget(&c);
    client_send(&c, TEXT(GET("/")));
    settle();
    CHECK_GOT(&c, FRONT);
    return finish(server, &c);
}

/* ---- idle ---- */

static int keep_alive_ends(void)
{
    client c;
    weft_server *server = begin(&c, 4096);
    pass(74900 * MS);
    client_send(&c, TEXT(GET("/")));
    pass(74900 * MS);
    CHECK_GOT(&c, FRONT);
    WEFT_CHECK(!c.has_ended);
    pass(100 * MS + GRACE * MS);
    CHECK_GOT(&c, FRONT);
    WEFT_CHECK(c.has_ended && !c.error && server->connection_count == 0);
    finish(server, &c);
    server = begin(&c, 4096);
    pass(74900 * MS);
    WEFT_CHECK(!c.has_ended);
    pass(100 * MS + GRACE * MS);
    WEFT_CHECK(c.has_ended && c.got_size == 0 && server->connection_count == 0);
    return finish(server, &c);
}

/* One that asks again and again stays; then its time is that since its last request, up to a thousandth. */
static int keep_alive_counts_from_the_last_request(void)
{
    static const weft_duration each[] = { 10 * MS, 73 * MS, 74 * MS, SECOND, 30 * SECOND };
    for (size_t i = 0; i < COUNT(each); i++) {
        client c;
        weft_server *server = begin(&c, 4096);
        weft_duration all = 0;
        while (all < 160 * SECOND) {
            client_forget(&c);
            client_send(&c, TEXT(GET("/")));
            settle();
            CHECK_GOT(&c, FRONT);
            pass(each[i]);
            all += each[i];
        }
        pass(75 * SECOND - each[i] - 80 * MS);
        WEFT_CHECK(!c.has_ended);
        pass(80 * MS + GRACE * MS);
        WEFT_CHECK(c.has_ended && !c.error && server->connection_count == 0);
        finish(server, &c);
    }
    return 0;
}

/* Who is served is not idle, however long it takes; and is idle from then on, with others that came before and after. */
static int a_long_request_is_not_idle(void)
{
    client c, before, after;
    weft_server *server = begin(&c, 4096);
    app->settings.request_timeout = WEFT_NO_LIMIT;
    WEFT_CHECK(client_open(&before, server, 4096) == 0);
    client_send(&before, TEXT(GET("/")));
    client_send(&c, TEXT(GET("/")));
    settle();
    client_forget(&c);
    client_send(&c, TEXT(GET("/sleep/100000")));
    pass(20 * MS);
    WEFT_CHECK(client_open(&after, server, 4096) == 0);
    client_send(&after, TEXT(GET("/")));
    pass(75 * SECOND - 60 * MS);
    WEFT_CHECK(!before.has_ended && !after.has_ended);
    pass(60 * MS + GRACE * MS);
    WEFT_CHECK(before.has_ended && after.has_ended && !c.has_ended && server->connection_count == 1);
    pass(25 * SECOND);
    CHECK_GOT(&c, STATUS("200 OK") PLAIN_TEXT LENGTH(5) "\r\nslept");
    pass(74900 * MS - 70 * MS);
    WEFT_CHECK(!c.has_ended);
    pass(170 * MS + GRACE * MS);
    WEFT_CHECK(c.has_ended && server->connection_count == 0);
    client_close(&before, false);
    client_close(&after, false);
    return finish(server, &c);
}

/* ---- output ---- */

static int never_reads(void)
{
    enum { REQUESTS = 2000 };
    client c;
    weft_server *server = begin(&c, 4096);
    client_stop(&c);
    for (int i = 0; i < REQUESTS; i++)
        client_send(&c, TEXT(GET("/big/1000")));
    pass(10 * SECOND);
    size_t queued = c.connection->transport.queued;
    uint64_t requests = server->counts.requests;
    WEFT_CHECK(queued > OUTPUT_HIGH && queued <= OUTPUT_HIGH + WEFT_OUTPUT_SIZE);
    WEFT_CHECK(requests * 1000 < OUTPUT_HIGH + WEFT_OUTPUT_SIZE + 4096);
    WEFT_CHECK(c.connection->input.size < 2 * READ_AHEAD && !c.connection->transport.is_reading);
    pass(19900 * MS);
    WEFT_CHECK(server->connection_count == 1 && server->counts.requests == requests);
    pass(100 * MS + GRACE * MS);
    WEFT_CHECK(server->connection_count == 0);
    client_read(&c);
    settle();
    WEFT_CHECK(c.error == -ECONNRESET);
    return finish(server, &c);
}

/* One that reads again gets everything, in order. */
static int reads_late(void)
{
    enum { REQUESTS = 500 };
    client c;
    weft_server *server = begin(&c, 4096);
    client_stop(&c);
    for (int i = 0; i < REQUESTS; i++)
        client_send(&c, TEXT(GET("/big/1000") GET("/")));
    pass(10 * SECOND);
    WEFT_CHECK(server->counts.requests < REQUESTS);
    client_read(&c);
    pass(10 * SECOND);
    size_t count = 0;
    for (const char *at = c.got; (at = strstr(at, "\r\n\r\nfrontHTTP/1.1 200 OK")); at++)
        count++;
    WEFT_CHECK(server->counts.requests == 2 * REQUESTS && count == REQUESTS - 1 && !c.has_ended);
    return finish(server, &c);
}

/* A slow reader who makes progress is not cut, neither as idle nor as stuck, and gets all of it. */
static int reads_slowly(void)
{
    for (int way = 0; way < 4; way++) {
        const char *ask = way & 1 ? GET("/big/100000") : GET("/big/60000"); /* on both sides of the high-water mark */
        bool shuts = way & 2;
        client c;
        weft_server *server = begin(&c, 4096);
        c.sips = true;
        client_send(&c, ask, strlen(ask));
        if (shuts)
            client_shutdown(&c);
        for (int i = 0; i < 100 && c.got_size < (way & 1 ? 100000 : 60000) && !c.error && !c.has_ended; i++) {
            pass(20 * SECOND);
            client_read(&c);
        }
        c.sips = false;
        client_read(&c);
        settle();
        WEFT_CHECK(weft_now() > (harness_is_by_tls() ? 40 : 200) * SECOND); /* a record comes at once */
        ;
        WEFT_CHECK(client_got_one(&c, 200) && c.has_ended == shuts && !c.error);
        client_forget(&c);
        if (!shuts) {
            pass(30 * SECOND); /* it is idle only now */
            client_send(&c, TEXT(GET("/")));
            settle();
            CHECK_GOT(&c, FRONT);
        }
        finish(server, &c);
    }
    return 0;
}

/* ---- input ---- */

static int read_ahead(void)
{
    static const size_t capacities[] = { 4096, 65536 };
    for (size_t i = 0; i < COUNT(capacities); i++) {
        enum { SIZE = 60000 };
        client c;
        char *body = malloc(SIZE);
        memset(body, 'b', SIZE);
        weft_server *server = begin(&c, capacities[i]);
        client_send(&c, TEXT(GET("/sleep/1000")));
        for (int k = 0; k < 4; k++) {
            client_send(&c, TEXT(POST("/echo", 60000)));
            client_send(&c, body, SIZE);
        }
        client_send(&c, TEXT(GET("/")));
        pass(500 * MS);
        WEFT_CHECK(c.connection->input.size >= READ_AHEAD && !c.connection->transport.is_reading);
        WEFT_CHECK(c.connection->input.size < READ_AHEAD + capacities[i]);
        pass(SECOND);
        WEFT_CHECK(server->counts.requests == 6 && c.got_size > 4 * SIZE &&
                   memcmp(c.got + c.got_size - 7, "\r\nfront", 7) == 0);
        free(body);
        finish(server, &c);
    }
    return 0;
}

/* When what was read ahead has been used, reading goes on, so that a client that leaves is noticed. */
static int reading_goes_on(void)
{
    client c;
    char body[17000] = "";
    weft_server *server = begin(&c, 65536);
    client_send(&c, TEXT(GET("/sleep/1000") POST("/ignore", 17000)));
    client_send(&c, body, sizeof body);
    client_send(&c, TEXT(GET("/sleep/60000")));
    pass(500 * MS);
    WEFT_CHECK(!c.connection->transport.is_reading);
    pass(SECOND);
    WEFT_CHECK(server->counts.requests == 3 && c.connection->transport.is_reading);
    client_close(&c, true);
    settle();
    WEFT_CHECK(server->connection_count == 0);
    WEFT_TRY(client_open(&c, server, 4096));
    return finish(server, &c);
}

/* ---- lingering ---- */

static int lingers(void)
{
    client c;
    weft_server *server = begin(&c, 4096);
    client_send(&c, TEXT("GET / HTTP/1.0\r\n\r\n"));
    settle();
    CHECK_GOT(&c, FRONT_CLOSE);
    WEFT_CHECK(c.has_ended);
    for (int i = 0; i < 19; i++) {
        client_send(&c, TEXT(GET("/")));
        pass(100 * MS);
    }
    WEFT_CHECK(server->connection_count == 1 && c.error == 0); /* not reset: the answer would be lost */
    pass(100 * MS + GRACE * MS);
    WEFT_CHECK(server->connection_count == 0 && server->counts.requests == 1);
    CHECK_GOT(&c, FRONT_CLOSE);
    return finish(server, &c);
}

/* A client that says itself that it is done is not waited for, unless it goes on all the same. */
static int parts_from_those_that_are_done(void)
{
    static const struct {
        const char *request;
        bool parts;
    } rows[] = {
        { "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", true },
        { "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", false },
        { "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc", true },
        { "POST /ignore HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc", false },
        { "POST /ignore HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\nab", false },
        { "GET / HTTP/1.0\r\nHost: a\r\n\r\n", false },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        client c;
        weft_server *server = begin(&c, 4096);
        client_send(&c, rows[i].request, strlen(rows[i].request));
        settle();
        WEFT_CHECK(c.has_ended && c.error == 0 && client_got_one(&c, 200));
        bool parts = rows[i].parts && !harness_is_by_tls(); /* there the end of TLS is awaited */
        WEFT_CHECK(server->connection_count == (parts ? 0 : 1) && server->counts.requests == 1);
        finish(server, &c);
    }
    return 0;
}

/* The limit of a linger begins when the last byte has gone, not while a slow client still reads. */
static int lingers_behind_a_slow_reader(void)
{
    client c;
    weft_server *server = begin(&c, 4096);
    c.sips = true;
    client_send(&c, TEXT("GET /big/100000 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    for (int i = 0; i < 100 && !c.has_ended && !c.error; i++) {
        pass(SECOND);
        client_read(&c);
    }
    WEFT_CHECK(weft_now() > (harness_is_by_tls() ? 4 : 20) * SECOND && c.has_ended && client_got_one(&c, 200));
    return finish(server, &c);
}

static const weft_test tests[] = {
    TEST(slow_heads),
    TEST(head_in_time),
    TEST(slow_body),
    TEST(trickling_body),
    TEST(announced_body),
    TEST(body_left_unread_that_stops),
    TEST(large_body_left_unread),
    TEST(keep_alive_ends),
    TEST(keep_alive_counts_from_the_last_request),
    TEST(a_long_request_is_not_idle),
    TEST(never_reads),
    TEST(reads_late),
    TEST(reads_slowly),
    TEST(read_ahead),
    TEST(reading_goes_on),
    TEST(lingers),
    TEST(parts_from_those_that_are_done),
    TEST(lingers_behind_a_slow_reader),
};

int main(int argc, char **argv)
{
    return weft_test_main(tests, COUNT(tests), argc, argv);
}
