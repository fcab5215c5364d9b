/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Streamed replies and large ones before clients that are slow: when a writer waits, when it goes on, and what is held
 * meanwhile. */
#include "harness.h"

#define SECOND WEFT_SECOND

enum { HIGH = 64 * 1024, LOW = HIGH / 4, LARGE = 1024 * 1024, PIECE = 256 * 1024 };

static char large[LARGE];

static struct {
    size_t written, waits, least, most; /* what was unsent when a write that had waited returned */
    int rc, other;
} seen;

static weft_server *begin(weft_app *app, client *c, size_t capacity)
{
    memset(&seen, 0, sizeof seen);
    memset(large, 'x', sizeof large);
    weft_server *server = harness_open(app);
    WEFT_CHECK(client_open(c, server, capacity) == 0);
    return server;
}

static int finish(weft_app *app, weft_server *server, client *c)
{
    client_close(c, false);
    WEFT_CHECK(server->counts.buffered == 0);
    harness_close(server);
    weft_app_free(app);
    return 0;
}

static weft_app *app_with(size_t output_high, size_t budget)
{
    weft_app *app = harness_app();
    weft_app_options options = { .struct_size = sizeof options, .output_high = output_high, .buffer_budget = budget };
    WEFT_CHECK(weft_app_configure(app, &options) == 0);
    return app;
}

/* ---- high and low water ---- */

enum { STREAMED = 600 * 1000 };

static int writes_on(weft_request *req)
{
    char piece[500];
    memset(piece, 's', sizeof piece);
    seen.least = SIZE_MAX;
    WEFT_TRY(weft_reply_stream(req, 200, NULL, STREAMED));
    while (seen.written < STREAMED) {
        weft_duration before = weft_now();
        WEFT_TRY(weft_write(req, piece, sizeof piece));
        seen.written += sizeof piece;
        size_t queued = req->connection->transport.queued;
        if (weft_now() == before)
            continue;
        seen.waits++;
        seen.least = queued < seen.least ? queued : seen.least;
        seen.most = queued > seen.most ? queued : seen.most;
    }
    return 0;
}

/* A writer goes on at the low-water mark, before all has gone; and a client that takes a little now and then is not cut for
 * taking nothing, though what is unsent is never less than it was once. */
static int goes_on_at_low_water(void)
{
    weft_app *app = app_with(0, 0);
    weft_get(app, "/writes", writes_on);
    client c;
    weft_server *server = begin(app, &c, 8000);
    c.sips = true;
    client_send(&c, TEXT(GET("/writes")));
    for (int i = 0; i < 200 && !c.error && seen.written < STREAMED; i++) {
        WEFT_CHECK(weft_sleep(12 * SECOND) == 0);
        client_read(&c);
    }
    WEFT_CHECK(weft_now() > 300 * SECOND && seen.written == STREAMED && !c.error);
    WEFT_CHECK(seen.waits > 3 && seen.least > 0 && seen.most <= LOW);
    c.sips = false;
    client_read(&c);
    settle();
    WEFT_CHECK(client_got_one(&c, 200));
    return finish(app, server, &c);
}

/* ---- a piece larger than any buffer should be ---- */

static int writes_large(weft_request *req)
{
    seen.rc = weft_write(req, large, LARGE);
    return seen.rc;
}

static int large_pieces_are_not_held_whole(void)
{
    weft_app *app = app_with(0, 0);
    weft_get(app, "/large", writes_large);
    client c;
    weft_server *server = begin(app, &c, 4096);
    client_stop(&c);
    client_send(&c, TEXT(GET("/large")));
    settle();
    WEFT_CHECK(c.connection->transport.queued > 0 && c.connection->transport.queued <= PIECE + 1000);
    client_read(&c);
    WEFT_CHECK(weft_sleep(SECOND) == 0);
    static const char head[] = STATUS("200 OK") TYPE("application/octet-stream") "Transfer-Encoding: chunked\r\n\r\n";
    static const char line[] = "40000\r\n"; /* 256 KiB */
    size_t chunk = sizeof line - 1 + PIECE + 2, all = sizeof head - 1 + LARGE / PIECE * chunk + 5;
    char *expected = malloc(all), *at = expected;
    at = (char *)memcpy(at, head, sizeof head - 1) + sizeof head - 1;
    for (int i = 0; i < LARGE / PIECE; i++) {
        at = (char *)memcpy(at, line, sizeof line - 1) + sizeof line - 1;
        at = (char *)memcpy(at, large, PIECE) + PIECE;
        at = (char *)memcpy(at, "\r\n", 2) + 2;
    }
    memcpy(at, "0\r\n\r\n", 5);
    WEFT_CHECK(client_got(&c, expected, all) && seen.rc == 0 && !c.has_ended);
    free(expected);
    return finish(app, server, &c);
}

static int writes_large_in_time(weft_request *req)
{
    WEFT_TIMEOUT (limit, SECOND) {
        seen.rc = weft_write(req, large, LARGE);
    }
    return 0;
}

static int write_large_in_a_task(void *arg)
{
    seen.rc = weft_write(arg, large, LARGE);
    return seen.rc;
}

static int leaves_a_writer_behind(weft_request *req)
{
    weft_task *task;
    WEFT_TRY(weft_spawn(&task, write_large_in_a_task, req));
    WEFT_TRY(weft_sleep(100 * MS));
    seen.other = weft_write(req, "y", 1);
    return 0;
}

/* One that was cut short in the middle of a piece has no false end, whatever its handler returns; and nobody else writes in the
 * middle of it. */
static int half_a_piece_has_no_false_end(void)
{
    static const char *const asks[] = { GET("/in-time"), GET("/left") };
    static const int reasons[] = { WEFT_EDEADLINE, WEFT_EGONE };
    for (size_t i = 0; i < COUNT(asks); i++) {
        weft_app *app = app_with(0, 0);
        weft_get(app, "/in-time", writes_large_in_time);
        weft_get(app, "/left", leaves_a_writer_behind);
        client c;
        weft_server *server = begin(app, &c, 4096);
        client_stop(&c);
        client_send(&c, asks[i], strlen(asks[i]));
        WEFT_CHECK(weft_sleep(2 * SECOND) == 0);
        client_read(&c);
        WEFT_CHECK(weft_sleep(2 * SECOND) == 0);
        WEFT_CHECK(seen.rc == reasons[i] || (i == 1 && seen.rc == WEFT_ECANCELED));
        WEFT_CHECK(i == 0 || seen.other == -EBUSY);
        WEFT_CHECK((c.has_ended || c.error) && (c.got_size < 5 || memcmp(c.got + c.got_size - 5, "0\r\n\r\n", 5) != 0));
        WEFT_CHECK(server->counts.closed[WEFT_END_FAILED_STREAM] == 1);
        finish(app, server, &c);
    }
    return 0;
}

static int writes_between(weft_request *req)
{
    weft_task *task;
    WEFT_TRY(weft_reply_stream(req, 200, NULL, LARGE));
    WEFT_TRY(weft_spawn(&task, write_large_in_a_task, req));
    WEFT_TRY(weft_yield());
    seen.other = weft_write(req, "y", 1);
    return weft_await(task);
}

/* Also not before a fast client, where the writer only lets others run between two parts. */
static int nobody_writes_in_the_middle_of_a_piece(void)
{
    weft_app *app = app_with(0, 0);
    weft_get(app, "/between", writes_between);
    client c;
    weft_server *server = begin(app, &c, 4 * LARGE);
    client_send(&c, TEXT(GET("/between")));
    settle();
    WEFT_CHECK(seen.other == -EBUSY && seen.rc == 0 && client_got_one(&c, 200));
    return finish(app, server, &c);
}

/* ---- the budget ---- */

/* A whole reply that does not fit is refused before anything of it is made; what is smaller is still answered. */
static int replies_beyond_the_budget(void)
{
    weft_app *app = app_with(0, 100 * 1000);
    client c;
    weft_server *server = begin(app, &c, 4096);
    client_send(&c, TEXT(GET("/big/100001") GET("/")));
    settle();
    CHECK_GOT(&c, STATUS("503 Service Unavailable") PLAIN_TEXT LENGTH(24) "\r\n503 Service Unavailable\n" FRONT);
    WEFT_CHECK(server->counts.limits[WEFT_LIMIT_BUFFERED] == 1 && !c.has_ended);
    WEFT_CHECK(strstr(harness_log, "a reply of 100001 bytes: all connections together may buffer 100000"));
    client_forget(&c);
    client_send(&c, TEXT("HEAD /big/100001 HTTP/1.1\r\nHost: a\r\n\r\n")); /* nothing has to be held */
    settle();
    CHECK_GOT(&c, STATUS("200 OK") LENGTH(100001) "\r\n");
    client_forget(&c);
    client_send(&c, TEXT(GET("/big/90000")));
    settle();
    WEFT_CHECK(client_got_one(&c, 200));
    return finish(app, server, &c);
}

/* What one connection holds leaves less for the others; and it counts for what it is, however much. */
static int the_budget_is_for_all(void)
{
    enum { HUGE = 80 * 1000 * 1000, BUDGET = 100 * 1000 * 1000 };
    weft_app *app = app_with(0, BUDGET);
    client c, other;
    weft_server *server = begin(app, &c, 4096);
    client_stop(&c);
    client_send(&c, TEXT(GET("/big/80000000")));
    settle();
    WEFT_CHECK(server->counts.buffered > HUGE - (1 << 20) && server->counts.buffered < HUGE + 1000);
    WEFT_TRY(client_open(&other, server, 4096));
    client_send(&other, TEXT(GET("/big/30000000") GET("/")));
    settle();
    CHECK_GOT(&other, STATUS("503 Service Unavailable") PLAIN_TEXT LENGTH(24) "\r\n503 Service Unavailable\n" FRONT);
    client_close(&other, false);
    return finish(app, server, &c);
}

static int writes_much(weft_request *req)
{
    for (int i = 0; i < 1000; i++)
        WEFT_TRY(weft_write(req, large, 1000));
    return 0;
}

/* While it is spent, a stream waits as soon as anything of it is queued. */
static int streams_wait_when_the_budget_is_spent(void)
{
    weft_app *app = app_with(0, 10 * 1000);
    weft_get(app, "/much", writes_much);
    client c;
    weft_server *server = begin(app, &c, 4096);
    client_stop(&c);
    client_send(&c, TEXT(GET("/much")));
    settle();
    WEFT_CHECK(c.connection->transport.queued > 10 * 1000 && c.connection->transport.queued <= WEFT_OUTPUT_SIZE);
    client_read(&c);
    WEFT_CHECK(weft_sleep(SECOND) == 0);
    WEFT_CHECK(c.got_size > 1000 * 1000 && memcmp(c.got + c.got_size - 5, "0\r\n\r\n", 5) == 0);
    return finish(app, server, &c);
}

/* Says more than the pipe takes, and then reads the body piece by piece. */
static int answers_and_reads(weft_request *req)
{
    char piece[100];
    int64_t size;
    WEFT_TRY(weft_reply_stream(req, 200, NULL, -1));
    WEFT_TRY(weft_write(req, large, 8000));
    while ((size = weft_body_read(req, piece, sizeof piece)) > 0)
        seen.written += (size_t)size;
    seen.rc = (int)size;
    return seen.rc;
}

/* Nor does reading stop then for one who waits for it, and of whom only output is held: nothing would set it going again. */
static int reading_goes_on_when_the_budget_is_spent(void)
{
    weft_app *app = app_with(0, 10 * 1000);
    weft_get(app, "/much", writes_much);
    weft_post(app, "/both", answers_and_reads);
    client hog, c;
    weft_server *server = begin(app, &c, 4096);
    WEFT_TRY(client_open(&hog, server, 4096));
    client_stop(&hog);
    client_stop(&c);
    client_send(&hog, TEXT(GET("/much")));
    client_send(&c, TEXT(POST("/both", 50)));
    settle();
    WEFT_CHECK(weft_server_is_full(server) && c.connection->transport.queued > 0);
    for (int i = 0; i < 10; i++) {
        client_send(&c, TEXT("01234"));
        settle();
    }
    WEFT_CHECK(seen.written == 50 && seen.rc == 0);
    client_close(&hog, false);
    return finish(app, server, &c);
}

static const weft_test tests[] = {
    TEST(goes_on_at_low_water),
    TEST(large_pieces_are_not_held_whole),
    TEST(half_a_piece_has_no_false_end),
    TEST(nobody_writes_in_the_middle_of_a_piece),
    TEST(replies_beyond_the_budget),
    TEST(the_budget_is_for_all),
    TEST(streams_wait_when_the_budget_is_spent),
    TEST(reading_goes_on_when_the_budget_is_spent),
};

int main(int argc, char **argv)
{
    return weft_test_main(tests, COUNT(tests), argc, argv);
}
