/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Bodies that are refused, or asked for when a reason is there or comes in the same turn as the bytes, or when the client has
 * gone: what the calls say then, and again. */
#include "harness.h"

static struct {
    int rc, then;
    bool is_same, has_run;
    char bytes[100];
    weft_scope *scope;
} seen;

static weft_server *begin(weft_app **ret_app, void (*add)(weft_app *app), client *c)
{
    weft_app *app = *ret_app = harness_app();
    memset(&seen, 0, sizeof seen);
    add(app);
    weft_server *server = harness_open(app);
    WEFT_CHECK(client_open(c, server, 4096) == 0);
    return server;
}

static void finish(weft_app *app, weft_server *server, client *c)
{
    client_close(c, false);
    harness_close(server);
    weft_app_free(app);
}

/* With a reason there before, a body's calls are refused and take nothing, though the bytes lie there. */
static int read_when_cut(weft_request *req)
{
    char bytes[10];
    weft_bytes body;
    bool is_stream = strcmp(weft_path(req), "/read") == 0;
    WEFT_TIMEOUT (limit, 0) {
        seen.rc = is_stream ? (int)weft_body_read(req, bytes, sizeof bytes) : weft_body(req, &body);
    }
    if (!is_stream) {
        WEFT_TRY(weft_body(req, &body));
        return weft_reply_bytes(req, 200, NULL, body.data, body.size);
    }
    int64_t size = weft_body_read(req, bytes, sizeof bytes);
    return size < 0 ? (int)size : weft_reply_bytes(req, 200, NULL, bytes, (size_t)size);
}

static void add_when_cut(weft_app *app)
{
    weft_post(app, "/read", read_when_cut);
    weft_post(app, "/whole", read_when_cut);
}

static int bodies_with_a_reason_before(void)
{
    static const char *const rows[] = { POST("/read", 5) "hello", POST("/whole", 5) "hello" };
    for (size_t i = 0; i < COUNT(rows); i++) {
        weft_app *app;
        client c;
        weft_server *server = begin(&app, add_when_cut, &c);
        client_send(&c, rows[i], strlen(rows[i]));
        settle();
        WEFT_CHECK(seen.rc == WEFT_EDEADLINE);
        CHECK_GOT(&c, STATUS("200 OK") LENGTH(5) "\r\nhello");
        finish(app, server, &c);
    }
    return 0;
}

/* What refused a body once is said again, and a third time: the handler may ask anywhere, and hand up what it is told. */
static int ask_again(weft_request *req)
{
    weft_bytes body;
    int first = weft_body(req, &body);
    seen.rc = first;
    seen.is_same = weft_body(req, &body) == first && weft_body(req, &body) == first;
    seen.has_run = true;
    return weft_body(req, &body);
}

static int read_again(weft_request *req)
{
    char bytes[100];
    int64_t first;
    while ((first = weft_body_read(req, bytes, sizeof bytes)) > 0)
        ;
    seen.rc = (int)first;
    seen.is_same = weft_body_read(req, bytes, sizeof bytes) == first && weft_body_read(req, bytes, 1) == first;
    seen.has_run = true;
    return (int)weft_body_read(req, bytes, sizeof bytes);
}

static void add_again(weft_app *app)
{
    weft_post(app, "/ask", ask_again, .body_limit = 10);
    weft_post(app, "/read", read_again, .body_limit = 10);
}

static int a_refusal_is_said_again(void)
{
    static const struct {
        const char *in;
        int status;
    } rows[] = {
        { POST("/ask", 11) "hello, hello", 413 },
        { "POST /ask HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX", 400 },
        { "POST /ask HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello, hello\r\n", 413 },
        { "POST /read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX", 400 },
        { "POST /read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\nhello!\r\n", 413 },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        weft_app *app;
        client c;
        weft_server *server = begin(&app, add_again, &c);
        client_send(&c, rows[i].in, strlen(rows[i].in));
        settle();
        WEFT_CHECK(seen.rc == WEFT_EHTTP(rows[i].status) && seen.is_same && seen.has_run);
        WEFT_CHECK(client_got_one(&c, rows[i].status) && c.has_ended);
        finish(app, server, &c);
    }
    return 0;
}

/* One that has stopped to come too: it must not wait for another 30 s each time. */
static int read_on(weft_request *req)
{
    char bytes[10];
    seen.then = (int)weft_body_read(req, bytes, sizeof bytes);
    seen.rc = (int)weft_body_read(req, bytes, sizeof bytes);
    seen.is_same = weft_body_read(req, bytes, sizeof bytes) == seen.rc;
    seen.has_run = true;
    return weft_reply_text(req, 200, "so far");
}

static void add_read_on(weft_app *app)
{
    weft_post(app, "/on", read_on);
}

static int a_body_that_stops_is_refused_for_good(void)
{
    weft_app *app;
    client c;
    weft_server *server = begin(&app, add_read_on, &c);
    client_send(&c, TEXT(POST("/on", 100) "hello"));
    WEFT_CHECK(weft_sleep(31 * WEFT_SECOND) == 0);
    WEFT_CHECK(seen.has_run && seen.then == 5 && seen.rc == WEFT_EHTTP(408) && seen.is_same);
    CHECK_GOT(&c, STATUS("200 OK") PLAIN_TEXT LENGTH(6) CLOSE "\r\nso far");
    WEFT_CHECK(c.has_ended);
    finish(app, server, &c);
    return 0;
}

/* A second reply is refused, and does nothing to the connection: the body is still being read. */
static int reply_twice(weft_request *req)
{
    int64_t size;
    WEFT_TRY(weft_reply_stream(req, 200, NULL, 5));
    seen.rc = weft_reply_bytes(req, 200, NULL, "again", 5);
    while ((size = weft_body_read(req, seen.bytes, sizeof seen.bytes)) > 0)
        WEFT_TRY(weft_write(req, seen.bytes, (size_t)size));
    return (int)size;
}

static void add_reply_twice(weft_app *app)
{
    weft_post(app, "/reply-twice", reply_twice);
}

static int a_second_reply_closes_nothing(void)
{
    weft_app *app;
    client c;
    weft_server *server = begin(&app, add_reply_twice, &c);
    client_send(&c, TEXT("POST /reply-twice HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n"));
    settle();
    client_send(&c, TEXT("3\r\nllo\r\n0\r\n\r\n" GET("/")));
    settle();
    WEFT_CHECK(seen.rc == -EALREADY && !c.has_ended);
    CHECK_GOT(&c, STATUS("200 OK") LENGTH(5) "\r\nhello" FRONT);
    finish(app, server, &c);
    return 0;
}

/* ---- streamed replies to requests with a body ---- */

/* What a streamed reply's handler does with the body. */
static int stream_ignoring(weft_request *req)
{
    WEFT_TRY(weft_reply_stream(req, 200, NULL, 2));
    return weft_write(req, "ok", 2);
}

static int stream_then_read(weft_request *req)
{
    WEFT_TRY(weft_reply_stream(req, 200, NULL, 2));
    seen.rc = (int)weft_body_read(req, seen.bytes, sizeof seen.bytes);
    return weft_write(req, "ok", 2);
}

static int read_then_stream(weft_request *req)
{
    seen.rc = (int)weft_body_read(req, seen.bytes, sizeof seen.bytes);
    return stream_ignoring(req);
}

/* Two replies that cannot be made leave everything as it was. */
static int fail_then_read(weft_request *req)
{
    WEFT_CHECK(weft_reply_empty(req, 99) == -EINVAL && weft_reply_stream(req, 600, NULL, 2) == -EINVAL);
    return read_then_stream(req);
}

static void add_streams(weft_app *app)
{
    weft_post(app, "/fails-first", fail_then_read, .body_limit = 10);
    weft_post(app, "/ignores", stream_ignoring, .body_limit = 10);
    weft_post(app, "/then-reads", stream_then_read, .body_limit = 10);
    weft_post(app, "/reads-first", read_then_stream);
}

#define SENT(path, fields) "POST " path " HTTP/1.1\r\nHost: a\r\n" fields "\r\n\r\n"
#define EXPECT             "Expect: 100-continue\r\n"
#define STREAMED           STATUS("200 OK") LENGTH(2)

/* The head says that the connection closes where that is sure by then, and only there. */
static int streams_say_when_they_close(void)
{
    static const struct {
        const char *in, *then, *out;
        int rc;
        bool closes;
    } rows[] = {
        { SENT("/ignores", EXPECT "Content-Length: 4"), "", STREAMED CLOSE "\r\nok", 0, true },
        { SENT("/ignores", EXPECT "Transfer-Encoding: chunked"), "", STREAMED CLOSE "\r\nok", 0, true },
        { SENT("/then-reads", EXPECT "Content-Length: 4"), "here", STREAMED CLOSE "\r\nok", 4, true },
        { SENT("/then-reads", EXPECT "Content-Length: 4") "here", GET("/"), STREAMED "\r\nok" FRONT, 4, false },
        { SENT("/reads-first", EXPECT "Content-Length: 4"), "here", "HTTP/1.1 100 Continue\r\n\r\n" STREAMED "\r\nok", 4,
          false },
        { SENT("/fails-first", EXPECT "Content-Length: 4"), "here", "HTTP/1.1 100 Continue\r\n\r\n" STREAMED "\r\nok", 4,
          false },
        { SENT("/ignores", "Content-Length: 300000"), "", STREAMED CLOSE "\r\nok", 0, true },
        { SENT("/then-reads", "Content-Length: 300000"), "", STREAMED CLOSE "\r\nok", WEFT_EHTTP(413), true },
        { SENT("/ignores", "Content-Length: 11") "hello hello", GET("/"), STREAMED "\r\nok" FRONT, 0, false },
        { SENT("/ignores", "Transfer-Encoding: chunked") "0\r\n\r\n", GET("/"), STREAMED "\r\nok" FRONT, 0, false },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        weft_app *app;
        client c;
        weft_server *server = begin(&app, add_streams, &c);
        client_send(&c, rows[i].in, strlen(rows[i].in));
        settle();
        client_send(&c, rows[i].then, strlen(rows[i].then));
        settle();
        WEFT_CHECK(seen.rc == rows[i].rc && c.has_ended == rows[i].closes);
        WEFT_CHECK(client_got(&c, rows[i].out, strlen(rows[i].out)));
        finish(app, server, &c);
    }
    return 0;
}

/* ---- the client has gone ---- */

/* Reads on although the client has gone, with a part of what had come still unread: that has gone too. */
static int read_late(weft_request *req)
{
    bool is_whole = strcmp(weft_path(req), "/whole") == 0;
    weft_bytes body;
    if (is_whole)
        seen.rc = weft_body(req, &body);
    else
        seen.rc = (int)weft_body_read(req, seen.bytes, 4);
    WEFT_CHECK(weft_sleep(WEFT_SECOND) == 0 && weft_request_gone(req));
    seen.then = is_whole ? weft_body(req, &body) : (int)weft_body_read(req, seen.bytes, sizeof seen.bytes);
    seen.is_same = (is_whole ? weft_body(req, &body) : (int)weft_body_read(req, seen.bytes, 1)) == seen.then;
    seen.has_run = true;
    return 0;
}

static void add_late(weft_app *app)
{
    weft_post(app, "/read", read_late, .finish_when_client_leaves = true);
    weft_post(app, "/whole", read_late, .finish_when_client_leaves = true);
}

static int bodies_of_a_client_that_has_gone(void)
{
    static const struct {
        const char *in;
        int rc, then;
    } rows[] = {
        { POST("/read", 10) "0123456789", 4, WEFT_EGONE },
        { POST("/read", 10) "01234567", 4, WEFT_EGONE },
        { POST("/read", 4) "0123", 4, 0 },
        { "POST /read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n", 4, WEFT_EGONE },
        { POST("/whole", 4) "0123", 0, 0 },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        weft_app *app;
        client c;
        weft_server *server = begin(&app, add_late, &c);
        client_send(&c, rows[i].in, strlen(rows[i].in));
        settle();
        client_close(&c, true);
        WEFT_CHECK(weft_sleep(2 * WEFT_SECOND) == 0);
        WEFT_CHECK(seen.has_run && seen.rc == rows[i].rc && seen.then == rows[i].then && seen.is_same);
        harness_close(server);
        weft_app_free(app);
    }
    return 0;
}

/* A handler that is cancelled because the client has gone hears the same from each call, also a second time. */
static int read_twice(weft_request *req)
{
    char bytes[10];
    weft_bytes body;
    seen.rc = (int)weft_body_read(req, bytes, sizeof bytes);
    seen.then = (int)weft_body_read(req, bytes, sizeof bytes);
    seen.is_same = weft_write(req, "x", 1) == seen.rc && weft_body(req, &body) == seen.rc;
    seen.has_run = true;
    return seen.rc;
}

static void add_twice(weft_app *app)
{
    weft_post(app, "/twice", read_twice);
}

static int gone_is_said_again(void)
{
    weft_app *app;
    client c;
    weft_server *server = begin(&app, add_twice, &c);
    client_send(&c, TEXT(POST("/twice", 10)));
    settle();
    client_close(&c, true);
    settle();
    WEFT_CHECK(seen.has_run && seen.rc == WEFT_EGONE && seen.then == WEFT_EGONE && seen.is_same);
    harness_close(server);
    weft_app_free(app);
    return 0;
}

/* ---- bytes and a reason in one turn ---- */

enum { DEADLINE = 10 };

/* Waits for the body inside of a scope; what came of it and of the next wait; then, outside of it, for what is left. */
static int read_in_scope(weft_request *req)
{
    bool has_deadline = strncmp(weft_path(req), "/deadline", 9) == 0, is_whole = strstr(weft_path(req), "whole");
    weft_bytes body = { NULL, 0 };
    WEFT_TIMEOUT (limit, has_deadline ? DEADLINE * MS : WEFT_HOUR) {
        seen.scope = &limit;
        seen.rc = is_whole ? weft_body(req, &body) : (int)weft_body_read(req, seen.bytes, sizeof seen.bytes);
        seen.then = weft_sleep(WEFT_HOUR);
        seen.scope = NULL;
    }
    if (is_whole && seen.rc < 0)
        WEFT_TRY(weft_body(req, &body));
    if (is_whole)
        return weft_reply_bytes(req, 200, NULL, body.data, body.size);
    int64_t size = seen.rc > 0 ? seen.rc : weft_body_read(req, seen.bytes, sizeof seen.bytes);
    return size < 0 ? (int)size : weft_reply_bytes(req, 200, NULL, seen.bytes, (size_t)size);
}

static void add_in_scope(weft_app *app)
{
    weft_post(app, "/cancel/read", read_in_scope);
    weft_post(app, "/cancel/whole", read_in_scope);
    weft_post(app, "/deadline/read", read_in_scope);
    weft_post(app, "/deadline/whole", read_in_scope);
}

/* What happens in the one turn, on the loop's stack. */
static struct turn {
    weft_callback callback;
    weft_timer timer;
    weft_connection *connection;
    bool input_first;
} turn;

static void bring_input(void)
{
    static char bytes[] = "hello";
    weft_connection_events.input(&turn.connection->transport, bytes, 5);
}

static void bring_both(weft_callback *callback)
{
    (void)callback;
    if (turn.input_first)
        bring_input();
    weft_cancel(seen.scope);
    if (!turn.input_first)
        bring_input();
}

static void bring_at_the_deadline(weft_timer *timer)
{
    (void)timer;
    bring_input();
}

/* Bytes first: they are taken, and the next wait is cut. The reason first: nothing is taken, and nothing is lost. */
static void check_turn(const char *path, bool is_deadline, bool input_first)
{
    weft_app *app;
    client c;
    char ask[100];
    weft_server *server = begin(&app, add_in_scope, &c);
    weft_duration began = weft_loop_now(server->loop);
    turn = (struct turn){ .connection = c.connection, .input_first = input_first };
    weft_callback_init(&turn.callback, bring_both);
    weft_timer_init(&turn.timer, bring_at_the_deadline);
    int64_t tick = weft_tick_of(weft_loop_deadline(server->loop, DEADLINE * MS));
    if (is_deadline && input_first) /* timers of one tick strike in the order in which they were set */
        weft_timer_set(&server->loop->wheel, &turn.timer, tick);
    snprintf(ask, sizeof ask, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", path);
    client_send(&c, ask, strlen(ask));
    settle();
    WEFT_CHECK(seen.scope && weft_loop_now(server->loop) == began + MS);
    if (is_deadline && !input_first)
        weft_timer_set(&server->loop->wheel, &turn.timer, tick);
    if (!is_deadline)
        weft_callback_soon(server->loop, &turn.callback);
    WEFT_CHECK(weft_sleep(2 * DEADLINE * MS) == 0);
    int reason = is_deadline ? WEFT_EDEADLINE : WEFT_ECANCELED, got = strstr(path, "whole") ? 0 : 5;
    WEFT_CHECK(seen.rc == (input_first ? got : reason) && seen.then == reason);
    CHECK_GOT(&c, STATUS("200 OK") LENGTH(5) "\r\nhello");
    finish(app, server, &c);
}

static int bytes_and_a_reason_in_one_turn(void)
{
    static const char *const paths[] = { "/cancel/read", "/cancel/whole", "/deadline/read", "/deadline/whole" };
    for (size_t i = 0; i < COUNT(paths); i++) {
        check_turn(paths[i], i >= 2, true);
        check_turn(paths[i], i >= 2, false);
    }
    return 0;
}

static const weft_test tests[] = {
    TEST(bodies_with_a_reason_before),
    TEST(a_refusal_is_said_again),
    TEST(a_body_that_stops_is_refused_for_good),
    TEST(a_second_reply_closes_nothing),
    TEST(streams_say_when_they_close),
    TEST(bodies_of_a_client_that_has_gone),
    TEST(gone_is_said_again),
    TEST(bytes_and_a_reason_in_one_turn),
};

int main(int argc, char **argv)
{
    return weft_test_main(tests, COUNT(tests), argc, argv);
}
