/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Bodies that are refused, or asked for when a reason is there: what the calls say then, and again. */
#include "harness.h"

static struct {
    int rc;
    bool is_same, has_run;
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

static const weft_test tests[] = {
    TEST(bodies_with_a_reason_before),
    TEST(a_refusal_is_said_again),
};

int main(int argc, char **argv)
{
    return weft_test_main(tests, COUNT(tests), argc, argv);
}
