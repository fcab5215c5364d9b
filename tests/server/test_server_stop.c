/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Stopping in virtual time, stage by stage: who is served, who is cancelled, who is cut, and what is counted. */
#include "harness.h"

#include "lib/task/task.h"

#define SECOND WEFT_SECOND

static weft_app *app;
static _Thread_local struct seen {
    int rc, rc2;
    bool stopping;
    weft_duration ended_at;
} seen;

/* ---- handlers ---- */

static int waits(weft_request *req)
{
    seen.rc = weft_sleep(WEFT_HOUR);
    seen.stopping = weft_stopping(req);
    return seen.rc;
}

static int waits_shielded(weft_request *req)
{
    (void)req;
    WEFT_SHIELD (work, WEFT_MINUTE) {
        seen.rc = weft_sleep(2 * SECOND);
        seen.rc2 = weft_sleep(20 * SECOND);
    }
    seen.ended_at = weft_now();
    return WEFT_ECANCELED;
}

/* Heeds nothing until its time is over. */
static int is_stubborn(weft_request *req)
{
    weft_duration until = weft_now() + 20 * SECOND;
    while (weft_now() < until)
        (void)!weft_sleep(SECOND);
    return weft_reply_text(req, 200, "late");
}

static int streams(weft_request *req)
{
    int rc = 0;
    for (int i = 0; i < 100 && rc == 0; i++) {
        WEFT_TRY(weft_write(req, "piece", 5));
        rc = weft_sleep(SECOND);
    }
    return rc;
}

static weft_server *begin(void)
{
    app = harness_app();
    weft_get(app, "/waits", waits, .timeout = WEFT_NO_LIMIT);
    weft_get(app, "/finishes", waits, .timeout = WEFT_NO_LIMIT, .finish_when_client_leaves = true);
    weft_get(app, "/shielded", waits_shielded);
    weft_get(app, "/stubborn", is_stubborn);
    weft_get(app, "/streams", streams);
    seen = (struct seen){ 0 };
    return harness_open(app);
}

static int finish(weft_server *server)
{
    harness_close(server);
    weft_app_free(app);
    return 0;
}

static void pass(weft_duration d)
{
    WEFT_CHECK(weft_sleep(d) == 0);
}

#define SLEPT_CLOSE STATUS("200 OK") PLAIN_TEXT LENGTH(5) CLOSE "\r\nslept"

/* ---- draining ---- */

static int requests_in_flight_finish(void)
{
    weft_server *server = begin();
    client sleeping, uploading, half, idle;
    WEFT_TRY(client_open(&sleeping, server, 4096));
    WEFT_TRY(client_open(&uploading, server, 4096));
    WEFT_TRY(client_open(&half, server, 4096));
    WEFT_TRY(client_open(&idle, server, 4096));
    client_send(&sleeping, TEXT(GET("/sleep/3000") GET("/")));
    client_send(&uploading, TEXT(POST("/echo", 4) "ab"));
    client_send(&half, TEXT("GET / HTTP/1.1\r\nHo"));
    client_send(&idle, TEXT(GET("/")));
    settle();
    CHECK_GOT(&idle, FRONT);
    weft_server_drain(server);
    pass(100 * MS);
    WEFT_CHECK(idle.has_ended && idle.error == 0 && server->connection_count == 4); /* it waits for the client's end */
    pass(1100 * MS);
    WEFT_CHECK(server->connection_count == 3); /* for a second */
    WEFT_CHECK(!sleeping.has_ended && !uploading.has_ended && !half.has_ended);
    pass(SECOND);
    client_send(&uploading, TEXT("cd"));
    client_send(&half, TEXT("st: a\r\n\r\n" GET("/")));
    pass(3 * SECOND);
    CHECK_GOT(&sleeping, SLEPT_CLOSE);
    CHECK_GOT(&uploading, STATUS("200 OK") TYPE("application/octet-stream") LENGTH(4) CLOSE "\r\nabcd");
    CHECK_GOT(&half, FRONT_CLOSE);
    CHECK_GOT(&idle, FRONT);
    WEFT_CHECK(sleeping.has_ended && uploading.has_ended && half.has_ended);
    client *all[] = { &sleeping, &uploading, &half, &idle };
    for (size_t i = 0; i < COUNT(all); i++)
        client_close(all[i], false);
    const struct weft_server_counts *n = &server->counts;
    WEFT_CHECK(n->accepted == 4 && n->requests == 4 && n->replies == 4 && n->drained == 3 && n->cancelled == 0 && n->cut == 0);
    return finish(server);
}

/* One that was just accepted gets its one request served, within 5 s. */
static int fresh_connections(void)
{
    weft_server *server = begin();
    client asks, silent;
    WEFT_TRY(client_open(&asks, server, 4096));
    WEFT_TRY(client_open(&silent, server, 4096));
    settle();
    weft_server_drain(server);
    weft_duration began = weft_now();
    pass(4900 * MS);
    WEFT_CHECK(!asks.has_ended && !silent.has_ended);
    client_send(&asks, TEXT(GET("/") GET("/")));
    settle();
    CHECK_GOT(&asks, FRONT_CLOSE);
    WEFT_CHECK(asks.has_ended && !silent.has_ended);
    weft_server_wait(server, "end", true, 10 * SECOND); /* linger and all */
    WEFT_CHECK(weft_now() - began < 7200 * MS && server->connection_count == 0);
    WEFT_CHECK(silent.has_ended && silent.got_size == 0 && silent.error == 0);
    client_close(&asks, false);
    client_close(&silent, false);
    WEFT_CHECK(server->counts.requests == 1 && server->counts.drained == 1 && server->counts.cut == 0);
    return finish(server);
}

/* A request that has been received but not read when the stop begins is served. */
static int bytes_in_the_pipe(void)
{
    weft_server *server = begin();
    client c;
    WEFT_TRY(client_open(&c, server, 4096));
    client_send(&c, TEXT(GET("/")));
    settle();
    client_forget(&c);
    client_send(&c, TEXT(GET("/"))); /* no turn of the loop in between */
    weft_server_drain(server);
    settle();
    CHECK_GOT(&c, FRONT_CLOSE);
    WEFT_CHECK(c.has_ended && c.error == 0);
    client_close(&c, false);
    return finish(server);
}

/* A reply that is made when the stop has been asked for, and has not begun. */
static int reply_between(void)
{
    weft_server *server = begin();
    client c;
    WEFT_TRY(client_open(&c, server, 4096));
    client_send(&c, TEXT(GET("/sleep/1000")));
    settle();
    weft_server_stop(server, WEFT_DRAINING);
    pass(2 * SECOND);
    CHECK_GOT(&c, SLEPT_CLOSE);
    WEFT_CHECK(c.has_ended && !c.error);
    weft_server_drain(server);
    client_close(&c, false);
    return finish(server);
}

/* The last reply of a slow reader is not cut by the stop. */
static int slow_reader(void)
{
    weft_server *server = begin();
    client c;
    WEFT_TRY(client_open(&c, server, 4096));
    c.sips = true;
    client_send(&c, TEXT(GET("/big/50000")));
    settle();
    weft_server_drain(server);
    for (int i = 0; i < 14; i++) {
        pass(SECOND);
        client_read(&c);
    }
    settle();
    WEFT_CHECK(client_got_one(&c, 200) && !c.error && server->counts.cut == 0);
    client_close(&c, false);
    return finish(server);
}

/* A new request in the drain is told to go; an idle one is not held. */
static int drain_is_told_to_handlers(void)
{
    weft_server *server = begin();
    client c;
    WEFT_TRY(client_open(&c, server, 4096));
    client_send(&c, TEXT(GET("/waits")));
    settle();
    weft_server_drain(server);
    pass(100 * SECOND);
    WEFT_CHECK(server->connection_count == 1);
    weft_server_cancel(server);
    settle();
    WEFT_CHECK(seen.rc == WEFT_ECANCELED && seen.stopping);
    client_close(&c, false);
    return finish(server);
}

/* ---- cancelling ---- */

#define CANCELLED                                                                                                              \
    STATUS("503 Service Unavailable") PLAIN_TEXT LENGTH(24) CLOSE "Retry-After: 1\r\n\r\n503 Service Unavailable\n"

static int cancelled_requests_are_answered(void)
{
    weft_server *server = begin();
    client c[4];
    static const char *const asks[] = { GET("/waits"), GET("/finishes"), POST("/echo", 5) "ab", GET("/streams") };
    for (size_t i = 0; i < COUNT(c); i++) {
        WEFT_TRY(client_open(&c[i], server, 4096));
        client_send(&c[i], asks[i], strlen(asks[i]));
    }
    pass(1500 * MS);
    weft_server_drain(server);
    weft_server_wait(server, "end", true, 3 * SECOND);
    WEFT_CHECK(server->connection_count == 4);
    weft_duration began = weft_now();
    weft_server_cancel(server);
    weft_server_wait(server, "end", true, 10 * SECOND);
    WEFT_CHECK(weft_now() - began < 2200 * MS && server->connection_count == 0);
    for (size_t i = 0; i < 3; i++)
        CHECK_GOT(&c[i], CANCELLED);
    WEFT_CHECK(c[3].got && strncmp(c[3].got, "HTTP/1.1 200 OK\r\n", 17) == 0);
    WEFT_CHECK(c[3].got && !strstr(c[3].got, "\r\n0\r\n") && !strstr(c[3].got, "HTTP/1.1 503")); /* no false end */
    for (size_t i = 0; i < COUNT(c); i++) {
        WEFT_CHECK(c[i].has_ended || c[i].error);
        client_close(&c[i], false);
    }
    WEFT_CHECK(server->counts.cancelled == 4 && server->counts.cut == 0);
    return finish(server);
}

/* Connections that have no request need not be waited for, and are not counted as cut. */
static int cancelling_ends_connections_without_requests(void)
{
    weft_server *server = begin();
    client fresh, half;
    WEFT_TRY(client_open(&fresh, server, 4096));
    WEFT_TRY(client_open(&half, server, 4096));
    client_send(&half, TEXT("GET / HT"));
    settle();
    weft_server_drain(server);
    settle();
    WEFT_CHECK(server->connection_count == 2);
    weft_server_cancel(server);
    settle();
    WEFT_CHECK(fresh.has_ended && fresh.got_size == 0 && half.has_ended && client_got_one(&half, 503));
    weft_server_wait(server, "end", true, 3 * SECOND); /* for the clients' ends */
    WEFT_CHECK(server->connection_count == 0 && server->counts.cut == 0 && server->counts.cancelled == 0);
    client_close(&fresh, false);
    client_close(&half, false);
    return finish(server);
}

static int shields_hold_until_the_hard_reason(void)
{
    weft_server *server = begin();
    client c;
    WEFT_TRY(client_open(&c, server, 4096));
    client_send(&c, TEXT(GET("/shielded")));
    settle();
    weft_server_drain(server);
    weft_server_cancel(server);
    weft_duration began = weft_now();
    weft_server_wait(server, "end", true, 3 * SECOND);
    WEFT_CHECK(server->connection_count == 1 && seen.rc == 0 && seen.rc2 == 0);
    weft_group_cancel_hard(&server->requests);
    settle();
    WEFT_CHECK(seen.rc == 0 && seen.rc2 == WEFT_ECANCELED && seen.ended_at - began < 3100 * MS);
    CHECK_GOT(&c, CANCELLED);
    client_close(&c, false);
    return finish(server);
}

static int cleans_up(weft_request *req)
{
    int rc = weft_sleep(WEFT_HOUR);
    WEFT_SHIELD (cleaning, WEFT_MINUTE) {
        seen.rc = weft_sleep(2 * SECOND);
    }
    WEFT_TRY(weft_reply_text(req, 200, "cleaned"));
    return rc;
}

/* As weft_app_serve has it: the task that waits for the end is the one that opened the group which it cancels. */
static int the_stop_can_wait_in_its_own_group(void)
{
    weft_server *server;
    client c, stubborn;
    app = harness_app();
    weft_get(app, "/cleans", cleans_up);
    weft_get(app, "/stubborn", is_stubborn);
    seen = (struct seen){ 0 };
    WEFT_TRY(weft_server_open(&server, app));
    WEFT_TRY(client_open(&c, server, 4096));
    WEFT_TRY(client_open(&stubborn, server, 4096));
    client_send(&c, TEXT(GET("/cleans")));
    client_send(&stubborn, TEXT(GET("/stubborn")));
    settle();
    weft_server_drain(server);
    weft_server_wait(server, "end", true, SECOND);
    weft_duration began = weft_now();
    weft_server_cancel(server);
    weft_server_wait(server, "end", true, 3 * SECOND);
    WEFT_CHECK(weft_now() - began == 3 * SECOND && seen.rc == 0 && client_got_one(&c, 200));
    weft_group_cancel_hard(&server->requests);
    weft_server_wait(server, "end", true, 3 * SECOND);
    WEFT_CHECK(weft_now() - began == 6 * SECOND && server->connection_count == 1 && server->counts.cut == 0);
    weft_server_cut(server);
    weft_server_wait(server, "end", true, WEFT_MINUTE);
    WEFT_CHECK(weft_now() - began < 20 * SECOND && server->connection_count == 0 && server->counts.cut == 1);
    weft_server_close(server);
    client_close(&c, false);
    client_close(&stubborn, false);
    weft_app_free(app);
    return 0;
}

/* ---- cutting ---- */

static int cut_connections(void)
{
    weft_server *server = begin();
    client stubborn, deaf;
    WEFT_TRY(client_open(&stubborn, server, 4096));
    WEFT_TRY(client_open(&deaf, server, 4096));
    client_stop(&deaf);
    client_send(&stubborn, TEXT(GET("/stubborn")));
    client_send(&deaf, TEXT(GET("/big/100000")));
    settle();
    weft_server_drain(server);
    weft_server_cancel(server);
    weft_group_cancel_hard(&server->requests);
    weft_server_wait(server, "end", true, 5 * SECOND);
    WEFT_CHECK(server->connection_count == 2);
    weft_server_cut(server);
    settle();
    WEFT_CHECK(stubborn.error == -ECONNRESET && server->counts.cut == 2 && server->connection_count == 1);
    pass(20 * SECOND); /* its task holds its memory until it ends */
    WEFT_CHECK(server->connection_count == 0 && stubborn.got_size == 0);
    client_close(&stubborn, false);
    client_close(&deaf, false);
    return finish(server);
}

/* The server can be closed at any moment, with everything in flight. */
static int closed_in_the_middle(void)
{
    static const char *const asks[] = { GET("/waits"),
                                        POST("/echo", 5) "ab",
                                        GET("/streams"),
                                        "GET / HT",
                                        POST("/ignore", 9) "",
                                        GET("/big/100000"),
                                        "",
                                        GET("/") "GET",
                                        "GET\n" };
    weft_server *server = begin();
    client c[COUNT(asks)];
    for (size_t i = 0; i < COUNT(c); i++) {
        WEFT_TRY(client_open(&c[i], server, 1000));
        if (i % 2)
            client_stop(&c[i]);
        client_send(&c[i], asks[i], strlen(asks[i]));
    }
    pass(10 * MS);
    harness_close_now(server);
    for (size_t i = 0; i < COUNT(c); i++)
        client_close(&c[i], false);
    weft_app_free(app);
    return 0;
}

static const weft_test tests[] = {
    TEST(requests_in_flight_finish),
    TEST(fresh_connections),
    TEST(bytes_in_the_pipe),
    TEST(reply_between),
    TEST(slow_reader),
    TEST(drain_is_told_to_handlers),
    TEST(cancelled_requests_are_answered),
    TEST(cancelling_ends_connections_without_requests),
    TEST(shields_hold_until_the_hard_reason),
    TEST(the_stop_can_wait_in_its_own_group),
    TEST(cut_connections),
    TEST(closed_in_the_middle),
};

int main(int argc, char **argv)
{
    return weft_test_main(tests, COUNT(tests), argc, argv);
}
