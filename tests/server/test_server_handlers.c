/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* What a handler may rely on: replies, their header fields, errors, the order at its end, its tasks, and clients that leave. */
#include "harness.h"

/* What the handlers tell the tests. */
static _Thread_local struct seen {
    int rc, rc2;
    bool gone, ran_on;
    char order[200]; /* words, in the order in which things happened */
} seen;

static void note(const char *word)
{
    size_t size = strlen(seen.order);
    snprintf(seen.order + size, sizeof seen.order - size, "%s%s", size ? " " : "", word);
}

/* A server with the routes of `add`, one client with what it sends, and all that comes of it within a second. */
static weft_server *begin(weft_app **ret_app, void (*add)(weft_app *app), client *c)
{
    weft_app *app = harness_app();
    seen = (struct seen){ 0 };
    add(app);
    weft_server *server = harness_open(app);
    WEFT_CHECK(client_open(c, server, 4096) == 0);
    *ret_app = app;
    return server;
}

static void pass_second(void)
{
    WEFT_CHECK(weft_sleep(WEFT_SECOND) == 0);
}

static int finish(weft_app *app, weft_server *server, client *c)
{
    client_close(c, false);
    harness_close(server);
    weft_app_free(app);
    return 0;
}

/* ---- replies ---- */

static int reply_twice(weft_request *req)
{
    WEFT_TRY(weft_reply_text(req, 201, "%s", "one"));
    seen.rc = weft_reply_bytes(req, 200, NULL, "two", 3);
    seen.rc2 = weft_reply_text(req, 200, "%d", 2);
    WEFT_CHECK(weft_reply_json(req, 200, "{s:i}", "a", 1) == -EALREADY && weft_reply_empty(req, 204) == -EALREADY);
    WEFT_CHECK(weft_reply_redirect(req, 302, "/") == -EALREADY && weft_set_header(req, "A", "b") == -EALREADY);
    return 0;
}

static int bad_replies(weft_request *req)
{
    WEFT_CHECK(weft_reply_text(req, 199, "x") == -EINVAL && weft_reply_text(req, 600, "x") == -EINVAL);
    WEFT_CHECK(weft_reply_text(req, -1, "x") == -EINVAL && weft_reply_text(req, 100, "x") == -EINVAL);
    WEFT_CHECK(weft_reply_text(req, 204, "x") == -EINVAL && weft_reply_bytes(req, 304, NULL, "x", 1) == -EINVAL);
    WEFT_CHECK(weft_reply_bytes(req, 200, "a\r\nb: c", "x", 1) == -EINVAL);
    WEFT_CHECK(weft_reply_bytes(req, 200, "a\nb: c", "x", 1) == -EINVAL);
    WEFT_CHECK(weft_reply_redirect(req, 200, "/") == -EINVAL && weft_reply_redirect(req, 304, "/") == -EINVAL);
    WEFT_CHECK(weft_reply_redirect(req, 302, "") == -EINVAL && weft_reply_redirect(req, 302, "/\r\nA: b") == -EINVAL);
    WEFT_CHECK(weft_reply_json(req, 200, "{s:s}", "a", "\xff") == -EINVAL);
    return weft_reply_text(req, 200, "%s", "good");
}

static int empty(weft_request *req)
{
    return weft_reply_empty(req, 204);
}

static int not_modified(weft_request *req)
{
    WEFT_TRY(weft_set_header(req, "ETag", "\"1\""));
    return weft_reply_empty(req, 304);
}

static int accepted(weft_request *req)
{
    return weft_reply_empty(req, 202);
}

static int json(weft_request *req)
{
    return weft_reply_json(req, 200, "{s:s, s:i}", "a", "\xc3\xa9\"", "b", 7);
}

static int redirect(weft_request *req)
{
    return weft_reply_redirect(req, 307, weft_query(req, "to"));
}

static int long_text(weft_request *req)
{
    return weft_reply_text(req, 200, "%600d", 5);
}

static void add_replies(weft_app *app)
{
    weft_get(app, "/twice", reply_twice);
    weft_get(app, "/bad", bad_replies);
    weft_get(app, "/empty", empty);
    weft_get(app, "/304", not_modified);
    weft_get(app, "/202", accepted);
    weft_get(app, "/json", json);
    weft_get(app, "/redirect", redirect);
    weft_get(app, "/long", long_text);
}

static int replies(void)
{
    weft_app *app;
    client c;
    weft_server *server = begin(&app, add_replies, &c);
    client_send(&c, TEXT(GET("/twice") GET("/bad") GET("/empty") GET("/304") GET("/202") GET("/json")));
    settle();
    CHECK_GOT(&c,
              STATUS("201 Created") PLAIN_TEXT LENGTH(3) "\r\none" STATUS("200 OK") PLAIN_TEXT LENGTH(4) "\r\ngood" STATUS(
                  "204 No Content") "\r\n" STATUS("304 Not Modified") "ETag: \"1\"\r\n\r\n" STATUS("202 Accepted")
                  LENGTH(0) "\r\n" STATUS("200 OK") TYPE("application/json") LENGTH(18) "\r\n{\"a\":\"\xc3\xa9\\\"\",\"b\":7}");
    WEFT_CHECK(seen.rc == -EALREADY && seen.rc2 == -EALREADY);
    WEFT_CHECK(strstr(harness_log, " error ") && strstr(harness_log, "GET /bad: no JSON from \"{s:s}\""));
    client_forget(&c);
    client_send(&c, TEXT(GET("/redirect?to=/a%3Fb") GET("/long") "HEAD /json HTTP/1.1\r\nHost: a\r\n\r\n"));
    settle();
    const char *text = c.got ? strstr(c.got, LENGTH(600) "\r\n") : NULL;
    WEFT_CHECK(text && strspn(text + 23, " ") == 599 && strncmp(text + 23 + 599, "5HTTP/1.1 200 OK\r\n", 18) == 0);
    WEFT_CHECK(c.got && strncmp(c.got, "HTTP/1.1 307 Temporary Redirect\r\n", 33) == 0);
    WEFT_CHECK(c.got && strstr(c.got, LENGTH(0) "Location: /a?b\r\n\r\nHTTP"));
    WEFT_CHECK(c.got && strcmp(c.got + c.got_size - 24, "\r\nContent-Length: 18\r\n\r\n") == 0);
    return finish(app, server, &c);
}

/* ---- header fields ---- */

static int fields(weft_request *req)
{
    static const char *const refused[][2] = {
        { "", "x" },
        { "a b", "x" },
        { "a:", "x" },
        { "a\r\nb", "x" },
        { "\xc3\xa9", "x" },
        { "A", "x\r\nB: c" },
        { "A", "x\n" },
        { "A", "x\r" },
        { "A", "x\x01" },
        { "A", "\x7f" },
        { "Date", "x" },
        { "dAtE", "x" },
        { "Content-Length", "1" },
        { "content-length", "1" },
        { "Connection", "close" },
        { "Transfer-Encoding", "chunked" },
        { "TRANSFER-ENCODING", "x" },
    };
    for (size_t i = 0; i < COUNT(refused); i++)
        WEFT_CHECK(weft_set_header(req, refused[i][0], refused[i][1]) == -EINVAL);
    char name[] = "X-One", value[] = "first";
    WEFT_CHECK(weft_set_header(req, name, value) == 0);
    memset(name, '#', 5); /* they were copied */
    memset(value, '#', 5);
    WEFT_CHECK(weft_set_header(req, "x-one", "\tcaf\xc3\xa9 \"q\"") == 0);
    WEFT_CHECK(weft_set_header(req, "Empty", "") == 0);
    return weft_reply_text(req, 200, "x");
}

static int many_fields(weft_request *req)
{
    char value[1001];
    memset(value, 'v', 1000);
    value[1000] = '\0';
    int count = 0;
    while (count < 1000 && weft_set_header(req, "N", value) == 0)
        count++;
    seen.rc = count;
    return weft_reply_text(req, 200, "x");
}

static int fields_read(weft_request *req)
{
    WEFT_CHECK(weft_header(req, "None") == NULL && strcmp(weft_header(req, "x-a"), "one  two") == 0);
    WEFT_CHECK(strcmp(weft_header(req, "X-E"), "") == 0 && strcmp(weft_header(req, "hOST"), "a") == 0);
    WEFT_CHECK(strcmp(weft_query_string(req), "a=1&b&c=%20+x&a=2") == 0 && strcmp(weft_query(req, "a"), "1") == 0);
    WEFT_CHECK(strcmp(weft_query(req, "b"), "") == 0 && strcmp(weft_query(req, "c"), "  x") == 0 && !weft_query(req, "d"));
    WEFT_CHECK(strcmp(weft_method(req), "GET") == 0 && strcmp(weft_path(req), "/read/p q/r/s") == 0);
    WEFT_CHECK(strcmp(weft_param(req, "one"), "p q") == 0 && strcmp(weft_param(req, "two"), "r/s") == 0);
    WEFT_CHECK(weft_param_or(req, "three", NULL) == NULL && weft_app_state(req) == &seen);
    return weft_reply_text(req, 200, "%s", weft_format(req, "%s-%d", "x", 5));
}

static void add_fields(weft_app *app)
{
    weft_get(app, "/fields", fields);
    weft_get(app, "/many", many_fields);
    weft_get(app, "/read/{one}/{two}", fields_read);
    weft_app_set(app, &seen);
}

static int header_fields(void)
{
    weft_app *app;
    client c;
    weft_server *server = begin(&app, add_fields, &c);
    client_send(&c, TEXT(GET("/fields")));
    client_send(
        &c, TEXT("GET /read/p%20q/r%2fs?a=1&b&c=%20+x&a=2 HTTP/1.1\r\nHost: a\r\nX-E:\r\nX-A: one  two \t\r\nX-A: 2\r\n\r\n"));
    settle();
    CHECK_GOT(&c, STATUS("200 OK") PLAIN_TEXT LENGTH(1) "X-One: first\r\nx-one: \tcaf\xc3\xa9 \"q\"\r\nEmpty: \r\n\r\nx" STATUS(
                      "200 OK") PLAIN_TEXT LENGTH(3) "\r\nx-5");
    client_forget(&c);
    client_send(&c, TEXT(GET("/many")));
    settle();
    WEFT_CHECK(seen.rc > 10 && seen.rc < 100); /* bounded */
    WEFT_CHECK(client_got_one(&c, 200) && c.got_size > (size_t)seen.rc * 1005);
    return finish(app, server, &c);
}

/* ---- errors ---- */

static int load(void)
{
    return weft_fail(-ECONNREFUSED, "the database %s", "is away");
}

static int fails(weft_request *req)
{
    (void)req;
    WEFT_TRY(load());
    return 0;
}

static int is_silent(weft_request *req)
{
    (void)req;
    return 0;
}

static int invalid(weft_request *req)
{
    (void)req;
    return -EINVAL;
}

static int teapot(weft_request *req)
{
    (void)req;
    return WEFT_EHTTP(418);
}

static int fails_after_reply(weft_request *req)
{
    WEFT_TRY(weft_reply_text(req, 200, "fine"));
    return weft_fail(-EIO, "too late");
}

static int slow(weft_request *req)
{
    (void)req;
    seen.rc = weft_sleep(WEFT_HOUR);
    return seen.rc;
}

static int slow_but_polite(weft_request *req)
{
    seen.rc = weft_sleep(WEFT_HOUR);
    return weft_reply_text(req, 504, "too slow");
}

static void add_errors(weft_app *app)
{
    weft_get(app, "/fails", fails);
    weft_get(app, "/fails/{name}", fails);
    weft_get(app, "/silent", is_silent);
    weft_get(app, "/invalid", invalid);
    weft_get(app, "/teapot", teapot);
    weft_get(app, "/late", fails_after_reply);
    weft_get(app, "/slow", slow, .timeout = 2 * WEFT_SECOND);
    weft_get(app, "/polite", slow_but_polite, .timeout = 2 * WEFT_SECOND);
    weft_get(app, "/slowest", slow);
}

#define E500 STATUS("500 Internal Server Error") PLAIN_TEXT LENGTH(26) "\r\n500 Internal Server Error\n"
#define E503 STATUS("503 Service Unavailable") PLAIN_TEXT LENGTH(24) "\r\n503 Service Unavailable\n"

static int errors(void)
{
    weft_app *app;
    client c;
    weft_server *server = begin(&app, add_errors, &c);
    client_send(&c, TEXT(GET("/fails") GET("/silent") GET("/invalid") GET("/teapot") GET("/late") GET("/")));
    settle();
    CHECK_GOT(&c, E500 E500 E500 STATUS("418 Unknown") PLAIN_TEXT LENGTH(12) "\r\n418 Unknown\n" STATUS("200 OK")
                      PLAIN_TEXT LENGTH(4) "\r\nfine" FRONT);
    WEFT_CHECK(strstr(harness_log, " error   [request] GET /fails: ") && strstr(harness_log, "the database is away: "));
    WEFT_CHECK(strstr(harness_log, "passed ") && strstr(harness_log, "GET /silent: the handler made no reply\n"));
    WEFT_CHECK(strstr(harness_log, "GET /invalid: ") && strstr(harness_log, "GET /late: after its reply: "));
    WEFT_CHECK(!strstr(harness_log, "/teapot")); /* a 4xx of the handler's choice is no event */
    const char *invalid_line = strstr(harness_log, "GET /invalid: ");
    WEFT_CHECK(invalid_line && !strstr(invalid_line, "the database")); /* not the trail of an earlier request */
    return finish(app, server, &c);
}

/* A line of the log cannot be forged by a path. */
static int log_lines_are_whole(void)
{
    weft_app *app;
    client c;
    weft_server *server = begin(&app, add_errors, &c);
    client_send(&c, TEXT(GET("/fails/a%0Ab%1B")));
    settle();
    const char *end = strchr(harness_log, '\n');
    WEFT_CHECK(client_got_one(&c, 500) && end && end[1] == '\0' && strstr(harness_log, "GET /fails/a\\x0ab\\x1b: "));
    return finish(app, server, &c);
}

static int deadlines(void)
{
    weft_app *app;
    client c;
    weft_server *server = begin(&app, add_errors, &c);
    client_send(&c, TEXT(GET("/slow") GET("/")));
    WEFT_CHECK(weft_sleep(1999 * MS) == 0);
    WEFT_CHECK(c.got_size == 0);
    WEFT_CHECK(weft_sleep(3 * MS) == 0);
    CHECK_GOT(&c, E503 FRONT);
    WEFT_CHECK(seen.rc == WEFT_EDEADLINE && strstr(harness_log, " warning [request] GET /slow: "));
    client_forget(&c);
    client_send(&c, TEXT(GET("/polite")));
    WEFT_CHECK(weft_sleep(2001 * MS) == 0);
    WEFT_CHECK(client_got_one(&c, 504) && seen.rc == WEFT_EDEADLINE); /* a reply after the reason is sent all the same */
    client_forget(&c);
    client_send(&c, TEXT(GET("/slowest")));
    WEFT_CHECK(weft_sleep(299 * WEFT_SECOND) == 0);
    WEFT_CHECK(c.got_size == 0);
    WEFT_CHECK(weft_sleep(2 * WEFT_SECOND) == 0);
    CHECK_GOT(&c, E503);
    return finish(app, server, &c);
}

/* ---- the end of a request ---- */

static void deferred_note(void *arg)
{
    weft_request *req = arg;
    note(weft_path(req)); /* the arena is alive */
    note(weft_sleep(10 * MS) == 0 ? "waited" : "refused");
    WEFT_CHECK(weft_reply_text(req, 200, "again") == -EALREADY && weft_alloc(req, 100) != NULL);
}

static void deferred_word(void *word)
{
    note(word);
}

static int lasts(void *arg)
{
    int rc = weft_sleep(WEFT_HOUR), cleaned = -1;
    (void)arg;
    WEFT_SHIELD (clean_up, WEFT_SECOND) {
        cleaned = weft_sleep(20 * MS);
    }
    note(rc == WEFT_ECANCELED && cleaned == 0 ? "task" : "?");
    return rc;
}

static int ends_in_order(weft_request *req)
{
    static char latest[] = "latest";
    weft_task *first, *second;
    WEFT_TRY(weft_defer(deferred_note, req));
    WEFT_TRY(weft_defer(deferred_word, latest));
    WEFT_TRY(weft_spawn(&first, lasts, NULL));
    WEFT_TRY(weft_spawn(&second, lasts, NULL));
    WEFT_TRY(weft_yield());
    note("handler");
    return weft_reply_text(req, 200, "done");
}

static int next_one(weft_request *req)
{
    note("next");
    return weft_reply_empty(req, 204);
}

static void add_ends(weft_app *app)
{
    weft_get(app, "/ends", ends_in_order);
    weft_get(app, "/next", next_one);
}

static int order_at_the_end(void)
{
    weft_app *app;
    client c;
    weft_server *server = begin(&app, add_ends, &c);
    client_send(&c, TEXT(GET("/ends") GET("/next")));
    settle();
    CHECK_GOT(&c, STATUS("200 OK") PLAIN_TEXT LENGTH(4) "\r\ndone"); /* sent before its tasks and clean-up have ended */
    WEFT_CHECK(strcmp(seen.order, "handler") == 0);
    pass_second();
    WEFT_CHECK(strcmp(seen.order, "handler task task latest /ends waited next") == 0);
    CHECK_GOT(&c, STATUS("200 OK") PLAIN_TEXT LENGTH(4) "\r\ndone" STATUS("204 No Content") "\r\n");
    return finish(app, server, &c);
}

/* The request's group must not be what the arena's memory held before. */
static int spoils(weft_request *req)
{
    for (int i = 0; i < 100; i++) {
        uint32_t *words = weft_alloc(req, 400);
        for (size_t k = 0; k < 100; k++)
            words[k] = 1; /* as a limit, one task */
    }
    return weft_reply_empty(req, 204);
}

static int wait_little(void *arg)
{
    (*(int *)arg)++;
    return weft_sleep(5 * MS);
}

static int spawns(weft_request *req)
{
    weft_task *task[3];
    int count = 0;
    for (int i = 0; i < 3; i++)
        WEFT_TRY(weft_spawn(&task[i], wait_little, &count));
    for (int i = 0; i < 3; i++)
        WEFT_TRY(weft_await(task[i]));
    return weft_reply_text(req, 200, "%d", count);
}

static void add_spawns(weft_app *app)
{
    weft_get(app, "/spoils", spoils);
    weft_get(app, "/spawns", spawns);
}

static int groups_are_fresh(void)
{
    weft_app *app;
    client c;
    weft_server *server = begin(&app, add_spawns, &c);
    client others[4]; /* each holds the memory that would be used again first */
    for (size_t i = 0; i < COUNT(others); i++) {
        client_send(&c, TEXT(GET("/spoils")));
        settle();
        WEFT_TRY(client_open(&others[i], server, 4096));
        client_send(&others[i], TEXT(GET("/sleep/60000")));
        settle();
        client_send(&c, TEXT(GET("/spawns")));
        pass_second();
        CHECK_GOT(&c, STATUS("204 No Content") "\r\n" STATUS("200 OK") PLAIN_TEXT LENGTH(1) "\r\n3");
        client_forget(&c);
    }
    for (size_t i = 0; i < COUNT(others); i++)
        client_close(&others[i], true);
    return finish(app, server, &c);
}

/* ---- stacks ---- */

static char *here(void)
{
    return __builtin_frame_address(0);
}

static int uses_stack(weft_request *req)
{
    volatile char room[12 * 1024];
    memset((char *)(uintptr_t)room, 7, sizeof room);
    WEFT_TRY(weft_sleep(MS));
    return weft_reply_text(req, 200, "%d%d", room[0], here() != NULL);
}

static int uses_much_stack(weft_request *req)
{
    volatile char room[300 * 1024];
    memset((char *)(uintptr_t)room, 8, sizeof room);
    WEFT_TRY(weft_sleep(MS));
    return weft_reply_text(req, 200, "%d%d", room[0], here() != NULL);
}

static void add_stacks(weft_app *app)
{
    weft_get(app, "/small", uses_stack, .stack_size = 32 * 1024);
    weft_get(app, "/middle", uses_stack);
    weft_get(app, "/same", uses_stack, .stack_size = 64 * 1024);
    weft_get(app, "/large", uses_much_stack, .stack_size = 512 * 1024);
}

#define SEVEN STATUS("200 OK") PLAIN_TEXT LENGTH(2) "\r\n71"
#define EIGHT STATUS("200 OK") PLAIN_TEXT LENGTH(2) "\r\n81"

static int stacks_of_two_sizes(void)
{
    weft_app *app;
    client c;
    weft_server *server = begin(&app, add_stacks, &c);
    client_send(&c, TEXT(GET("/small") GET("/large") GET("/middle") GET("/same") GET("/large") GET("/small") GET("/")));
    pass_second();
    CHECK_GOT(&c, SEVEN EIGHT SEVEN SEVEN EIGHT SEVEN FRONT);
    client_forget(&c);
    client_send(&c, TEXT(GET("/small") GET("/large"))); /* and one is left behind with nobody to serve it */
    client_close(&c, true);
    settle();
    WEFT_CHECK(server->connection_count == 0);
    WEFT_TRY(client_open(&c, server, 4096));
    return finish(app, server, &c);
}

/* ---- bodies ---- */

static int body_twice(weft_request *req)
{
    weft_bytes one, two;
    WEFT_TRY(weft_body(req, &one));
    WEFT_TRY(weft_body(req, &two));
    WEFT_CHECK(one.data == two.data && one.size == two.size && ((const char *)one.data)[one.size] == '\0');
    return weft_reply_bytes(req, 200, NULL, two.data, two.size);
}

static int body_later(weft_request *req)
{
    weft_bytes body;
    int rc = 0;
    WEFT_TIMEOUT (limit, WEFT_SECOND) {
        rc = weft_body(req, &body);
    }
    seen.rc = rc;
    WEFT_TRY(weft_sleep(WEFT_SECOND));
    WEFT_TRY(weft_body(req, &body));
    return weft_reply_bytes(req, 200, NULL, body.data, body.size);
}

static void add_bodies(weft_app *app)
{
    weft_post(app, "/twice", body_twice);
    weft_post(app, "/later", body_later);
}

static int bodies(void)
{
    weft_app *app;
    client c;
    weft_server *server = begin(&app, add_bodies, &c);
    client_send(&c, TEXT(POST("/twice", 5) "he"));
    settle();
    client_send(&c, TEXT("llo" POST("/later", 8) "12"));
    WEFT_CHECK(weft_sleep(500 * MS) == 0);
    client_send(&c, TEXT("34"));
    WEFT_CHECK(weft_sleep(1000 * MS) == 0); /* the first call has been cut short */
    WEFT_CHECK(seen.rc == WEFT_EDEADLINE);
    client_send(&c, TEXT("56"));
    WEFT_CHECK(weft_sleep(1000 * MS) == 0);
    client_send(&c, TEXT("78" GET("/")));
    settle();
    CHECK_GOT(&c, STATUS("200 OK") LENGTH(5) "\r\nhello" STATUS("200 OK") LENGTH(8) "\r\n12345678" FRONT);
    return finish(app, server, &c);
}

/* A client that ends its direction in the middle of a body cannot send the rest: its fault, and its answer. */
static int body_that_ends(void)
{
    weft_app *app;
    client c;
    weft_server *server = begin(&app, add_bodies, &c);
    client_send(&c, TEXT(POST("/twice", 5) "he"));
    settle();
    client_shutdown(&c);
    settle();
    WEFT_CHECK(client_got_one(&c, 400) && c.has_ended && strstr(c.got, CLOSE));
    WEFT_CHECK(*harness_log == '\0');
    return finish(app, server, &c);
}

/* ---- clients that leave ---- */

static int waits(weft_request *req)
{
    seen.rc = weft_sleep(WEFT_MINUTE);
    seen.gone = weft_request_gone(req);
    seen.rc2 = weft_reply_text(req, 200, "to nobody");
    seen.ran_on = true;
    return seen.rc;
}

static int waits_for_body(weft_request *req)
{
    weft_bytes body;
    seen.rc = weft_body(req, &body);
    seen.gone = weft_request_gone(req);
    seen.ran_on = true;
    return seen.rc;
}

static int waits_after_reply(weft_request *req)
{
    WEFT_TRY(weft_reply_text(req, 200, "early"));
    return waits(req);
}

static void add_waits(weft_app *app)
{
    weft_get(app, "/waits", waits);
    weft_get(app, "/finishes", waits, .finish_when_client_leaves = true);
    weft_post(app, "/body", waits_for_body);
    weft_post(app, "/finishes", waits_for_body, .finish_when_client_leaves = true);
    weft_get(app, "/replied", waits_after_reply);
}

static int resets(void)
{
    static const struct {
        const char *in;
        int rc;
        bool runs_on;
    } rows[] = {
        { GET("/waits"), WEFT_ECANCELED, false },     { GET("/finishes"), 0, true },
        { POST("/body", 5) "he", WEFT_EGONE, false }, { POST("/finishes", 5) "he", WEFT_EGONE, false },
        { GET("/replied"), WEFT_ECANCELED, false },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        weft_app *app;
        client c;
        weft_server *server = begin(&app, add_waits, &c);
        client_send(&c, rows[i].in, strlen(rows[i].in));
        settle();
        WEFT_CHECK(!seen.ran_on);
        client_close(&c, true);
        WEFT_CHECK(seen.ran_on != rows[i].runs_on && server->connection_count == rows[i].runs_on);
        WEFT_CHECK(weft_sleep(WEFT_MINUTE) == 0);
        WEFT_CHECK(seen.ran_on && seen.gone && seen.rc == rows[i].rc && server->connection_count == 0);
        WEFT_CHECK(seen.rc2 == 0 || i == 4); /* a reply is never refused */
        WEFT_CHECK(*harness_log == '\0');
        WEFT_TRY(client_open(&c, server, 4096));
        finish(app, server, &c);
    }
    return 0;
}

/* Nobody reads ahead for ever, so a reset may only show when something is sent. */
static int early(weft_request *req)
{
    WEFT_TRY(weft_sleep(10 * MS)); /* by now the client's end has been read */
    WEFT_TRY(weft_reply_text(req, 200, "early"));
    seen.rc = weft_sleep(WEFT_SECOND); /* here the reply is sent, and that fails */
    seen.gone = weft_request_gone(req);
    return seen.rc;
}

static void add_early(weft_app *app)
{
    weft_get(app, "/early", early);
}

static int reset_is_noticed_by_sending(void)
{
    weft_app *app;
    client c;
    weft_server *server = begin(&app, add_early, &c);
    client_send(&c, TEXT(GET("/early")));
    client_shutdown(&c);
    server_knobs(&c)->breaks = true;
    WEFT_CHECK(weft_sleep(50 * MS) == 0);
    WEFT_CHECK(seen.gone && seen.rc == WEFT_ECANCELED);
    return finish(app, server, &c);
}

static const weft_test tests[] = {
    TEST(replies),   TEST(header_fields),    TEST(errors),           TEST(log_lines_are_whole),
    TEST(deadlines), TEST(order_at_the_end), TEST(groups_are_fresh), TEST(stacks_of_two_sizes),
    TEST(bodies),    TEST(body_that_ends),   TEST(resets),           TEST(reset_is_noticed_by_sending),
};

int main(int argc, char **argv)
{
    return weft_test_main(tests, COUNT(tests), argc, argv);
}
