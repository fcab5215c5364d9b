/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Requests that are refused: one short answer, the connection is closed, and nothing behind is parsed. A valid request stands
 * behind each of them; each is played whole, split at each byte and one byte at a time.
 */
#include "harness.h"

struct refusal {
    int status;
    const char *in;
    size_t size;
};

#define REFUSED(status_, text)                                                                                                 \
    {                                                                                                                          \
        .status = (status_), .in = (text), .size = sizeof(text) - 1                                                            \
    }
#define HEAD(line)   line "\r\nHost: a\r\n\r\n"
#define FIELD(text)  "GET / HTTP/1.1\r\nHost: a\r\n" text "\r\n\r\n"
#define BODY(fields) "POST /echo HTTP/1.1\r\nHost: a\r\n" fields "\r\n\r\n"

static const struct refusal refusals[] = {
    /* lines */
    REFUSED(400, "\0GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    REFUSED(400, "\n" GET("/")),
    REFUSED(400, "\r\n\r\n" GET("/")),
    REFUSED(400, "\r" GET("/")),
    REFUSED(400, HEAD(" GET / HTTP/1.1")),
    REFUSED(400, HEAD("\tGET / HTTP/1.1")),
    REFUSED(400, HEAD("GET  / HTTP/1.1")),
    REFUSED(400, HEAD("GET /  HTTP/1.1")),
    REFUSED(400, HEAD("GET / HTTP/1.1 ")),
    REFUSED(400, HEAD("GET\t/ HTTP/1.1")),
    REFUSED(400, HEAD("GET /")),
    REFUSED(400, HEAD("GET")),
    REFUSED(400, HEAD("G\xc3\xa9T / HTTP/1.1")),
    REFUSED(400, HEAD("GET /\xc3\xa9 HTTP/1.1")),
    REFUSED(400, HEAD("GET /\x01 HTTP/1.1")),
    REFUSED(400, HEAD("GET /#a HTTP/1.1")),
    REFUSED(400, HEAD("GET /?a#b HTTP/1.1")),
    REFUSED(400, HEAD("GET x HTTP/1.1")),
    REFUSED(400, HEAD("GET * HTTP/1.1")),
    REFUSED(400, HEAD("GET /%0 HTTP/1.1")),
    REFUSED(400, HEAD("GET /%zz HTTP/1.1")),
    REFUSED(400, HEAD("GET /hello/%00 HTTP/1.1")),
    REFUSED(400, HEAD("GET /.. HTTP/1.1")),
    REFUSED(400, HEAD("GET /a/%2e%2e/%2e./x HTTP/1.1")),
    REFUSED(400, HEAD("GET ftp://a/ HTTP/1.1")),
    REFUSED(400, HEAD("GET http:// HTTP/1.1")),
    REFUSED(400, HEAD("GET http://me@a/ HTTP/1.1")),
    REFUSED(400, HEAD("GET / HTTP/0.9")),
    REFUSED(400, HEAD("GET / HTTP/1")),
    REFUSED(400, HEAD("GET / HTTP/11.1")),
    REFUSED(400, HEAD("GET / http/1.1")),
    REFUSED(400, HEAD("GET / RTSP/1.0")),
    REFUSED(400, HEAD("GET / ICE/1.0")),
    REFUSED(400, "GET / HTTP/1.1\nHost: a\r\n\r\n"),
    REFUSED(400, "GET / HTTP/1.1\r\nHost: a\n\r\n"),
    REFUSED(400, "GET / HTTP/1.1\r\nHost: a\r\n\n"),
    REFUSED(400, "GET / HTTP/1.1\r\nHost: a\r\n\rX"),
    REFUSED(400, "GET / HTTP/1.1\rHost: a\r\n\r\n"),
    REFUSED(505, HEAD("GET / HTTP/1.2")),
    REFUSED(505, HEAD("GET / HTTP/2.0")),
    REFUSED(505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    REFUSED(501, HEAD("CONNECT a:1 HTTP/1.1")),
    REFUSED(501, HEAD("TRACE / HTTP/1.1")),
    REFUSED(501, HEAD("PROPFIND / HTTP/1.1")),
    REFUSED(501, HEAD("get / HTTP/1.1")),
    REFUSED(501, HEAD("X / HTTP/1.1")),
    /* fields */
    REFUSED(400, "GET / HTTP/1.1\r\n\r\n"),
    REFUSED(400, FIELD("Host: a")),
    REFUSED(400, "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    REFUSED(400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    REFUSED(400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    REFUSED(400, FIELD(" folded: x")),
    REFUSED(400, FIELD("X: y\r\n z")),
    REFUSED(400, FIELD("X: y\r\n\tz")),
    REFUSED(400, FIELD("X : y")),
    REFUSED(400, FIELD("X\t: y")),
    REFUSED(400, FIELD("X")),
    REFUSED(400, FIELD(": y")),
    REFUSED(400, FIELD("X(: y")),
    REFUSED(400, FIELD("X\xe9: y")),
    REFUSED(400, FIELD("X: y\0z")),
    REFUSED(400, FIELD("X: y\x7fz")),
    REFUSED(400, FIELD("X: y\rz")),
    REFUSED(400, FIELD("X: y\x1bz")),
    /* framing */
    REFUSED(400, BODY("Content-Length: 3\r\nTransfer-Encoding: chunked") "0\r\n\r\n"),
    REFUSED(400, BODY("Transfer-Encoding: chunked\r\nContent-Length: 3") "0\r\n\r\n"),
    REFUSED(400, BODY("Content-Length: 3\r\nContent-Length: 3") "abc"),
    REFUSED(400, BODY("Content-Length: 3\r\nContent-Length: 4") "abc"),
    REFUSED(400, BODY("Content-Length: 3, 3") "abc"),
    REFUSED(400, BODY("Content-Length: +3") "abc"),
    REFUSED(400, BODY("Content-Length: -3") "abc"),
    REFUSED(400, BODY("Content-Length: 3 3") "abc"),
    REFUSED(400, BODY("Content-Length: 0x3") "abc"),
    REFUSED(400, BODY("Content-Length: 3;") "abc"),
    REFUSED(400, BODY("Content-Length:") "abc"),
    REFUSED(400, BODY("Content-Length: 9223372036854775808")),
    REFUSED(400, BODY("Content-Length: 18446744073709551619")),
    REFUSED(400, BODY("Content-Length: 99999999999999999999999999")),
    REFUSED(501, BODY("Transfer-Encoding: gzip")),
    REFUSED(501, BODY("Transfer-Encoding: gzip, chunked")),
    REFUSED(501, BODY("Transfer-Encoding: identity")),
    REFUSED(501, BODY("Transfer-Encoding: xchunked")),
    REFUSED(400, BODY("Transfer-Encoding: chunked, chunked")),
    REFUSED(400, BODY("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked")),
    REFUSED(400, BODY("Transfer-Encoding: chunked, gzip")),
    REFUSED(400, BODY("Transfer-Encoding: chunked;a=b")),
    REFUSED(400, BODY("Transfer-Encoding:")),
    REFUSED(400, BODY("Transfer-Encoding: \x0b"
                      "chunked")),
    REFUSED(400, "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    /* expectations */
    REFUSED(417, BODY("Expect: 200-ok\r\nContent-Length: 2") "ab"),
    REFUSED(417, BODY("Expect: 100-continue, x\r\nContent-Length: 2") "ab"),
};

static bool has_close(const client *c)
{
    const char *end = strstr(c->got, "\r\n\r\n"), *at = strstr(c->got, "\r\nConnection: close\r\n");
    return at && at < end;
}

enum { WHOLE, BYTE_BY_BYTE, SPLIT };

/* way SPLIT + n: split at n. */
static bool play(weft_server *server, const char *in, size_t size, int status, size_t way)
{
    client c;
    uint64_t requests = server->counts.requests, replies = server->counts.replies;
    if (client_open(&c, server, 8192) < 0)
        return false;
    if (way == BYTE_BY_BYTE)
        server_knobs(&c)->input_most = 1;
    size_t first = way >= SPLIT ? way - SPLIT : size;
    client_send(&c, in, first);
    if (way >= SPLIT)
        settle();
    client_send(&c, in + first, size - first);
    client_send(&c, TEXT(GET("/hello/behind") GET("/"))); /* must not be looked at */
    settle();
    bool is_right = client_got_one(&c, status) && has_close(&c) && c.has_ended && !c.error;
    is_right = is_right && server->counts.requests == requests && server->counts.replies == replies + 1;
    client_send(&c, TEXT(GET("/")));
    WEFT_CHECK(weft_sleep(WEFT_SECOND) == 0);
    is_right = is_right && client_got_one(&c, status) && server->counts.replies == replies + 1;
    client_close(&c, false);
    return is_right && server->connection_count == 0;
}

static bool play_all_ways(weft_server *server, const char *in, size_t size, int status)
{
    size_t step = size > 1000 ? size / 300 : 1;
    bool is_right = play(server, in, size, status, WHOLE) && play(server, in, size, status, BYTE_BY_BYTE);
    for (size_t at = 0; at <= size && is_right; at += step)
        is_right = play(server, in, size, status, SPLIT + at);
    return is_right;
}

static int refused(void)
{
    weft_app *app = harness_app();
    weft_server *server = harness_open(app);
    for (size_t i = 0; i < COUNT(refusals); i++) {
        const struct refusal *r = &refusals[i];
        bool is_right = play_all_ways(server, r->in, r->size, r->status);
        if (!is_right)
            printf("# number %zu, %d: %.60s\n", i, r->status, r->in);
        WEFT_CHECK(is_right);
    }
    WEFT_CHECK(*harness_log == '\0'); /* a peer cannot fill the log */
    harness_close(server);
    weft_app_free(app);
    return 0;
}

/* Behind requests that are answered. */
static int refused_behind_others(void)
{
    weft_app *app = harness_app();
    weft_server *server = harness_open(app);
    client c;
    WEFT_TRY(client_open(&c, server, 8192));
    client_send(&c, TEXT(GET("/") POST("/echo", 2) "ab" GET("/sleep/5") "GET\n" GET("/hello/behind")));
    WEFT_CHECK(weft_sleep(WEFT_SECOND) == 0);
    const char *last = c.got ? strstr(c.got, "HTTP/1.1 400 ") : NULL;
    WEFT_CHECK(last && has_close(&c) == false && strstr(last, CLOSE) && !strstr(last + 1, "HTTP/1.1"));
    WEFT_CHECK(c.has_ended && server->counts.requests == 3 && server->counts.replies == 4);
    client_close(&c, false);
    harness_close(server);
    weft_app_free(app);
    return 0;
}

/* ---- limits: what is as long as one passes, a byte more does not ---- */

struct text {
    char data[80000];
    size_t size;
};

static void add(struct text *t, const char *words)
{
    size_t size = strlen(words);
    memcpy(t->data + t->size, words, size);
    t->size += size;
}

static void fill(struct text *t, size_t size)
{
    memset(t->data + t->size, 'x', size);
    t->size += size;
}

static bool passes(weft_server *server, const struct text *t)
{
    bool passed = true;
    for (int byte_by_byte = 0; byte_by_byte < 2; byte_by_byte++) {
        client c;
        if (client_open(&c, server, 8192) < 0)
            return false;
        server_knobs(&c)->input_most = (size_t)byte_by_byte;
        client_send(&c, t->data, t->size);
        client_send(&c, TEXT(GET("/")));
        settle();
        passed = passed && client_got(&c, TEXT(FRONT FRONT)) && !c.has_ended;
        client_close(&c, false);
    }
    return passed;
}

enum limit { REQUEST_LINE, FIELD_LINE, HEAD_SIZE, FIELD_COUNT };

static void make(struct text *t, enum limit limit, size_t size)
{
    t->size = 0;
    add(t, "GET /?");
    if (limit == REQUEST_LINE)
        fill(t, size - strlen("GET /? HTTP/1.1"));
    add(t, " HTTP/1.1\r\nHost: a\r\n");
    if (limit == FIELD_LINE) {
        add(t, "X:");
        fill(t, size - 2);
        add(t, "\r\n");
    }
    for (size_t i = 1; limit == FIELD_COUNT && i < size; i++)
        add(t, "X: y\r\n");
    if (limit == HEAD_SIZE) {
        for (int i = 0; i < 3; i++) {
            add(t, "X: ");
            fill(t, 4000);
            add(t, "\r\n");
        }
        size_t left = size - t->size - strlen("X:\r\n\r\n");
        add(t, "X:");
        fill(t, left);
        add(t, "\r\n");
    }
    add(t, "\r\n");
}

static int limits(void)
{
    static const struct {
        enum limit limit;
        size_t most;
        int status;
    } rows[] = { { REQUEST_LINE, 8192, 414 }, { FIELD_LINE, 8192, 431 }, { HEAD_SIZE, 16384, 431 }, { FIELD_COUNT, 100, 431 } };
    weft_app *app = harness_app();
    weft_server *server = harness_open(app);
    struct text *t = malloc(sizeof *t);
    for (size_t i = 0; i < COUNT(rows); i++) {
        make(t, rows[i].limit, rows[i].most);
        WEFT_CHECK(passes(server, t));
        make(t, rows[i].limit, rows[i].most + 1);
        WEFT_CHECK(play_all_ways(server, t->data, t->size, rows[i].status));
        WEFT_CHECK(play(server, t->data, t->size, rows[i].status, BYTE_BY_BYTE));
    }
    t->size = 0;
    fill(t, 70000); /* no line ever ends */
    WEFT_CHECK(play(server, t->data, t->size, 414, WHOLE));
    free(t);
    harness_close(server);
    weft_app_free(app);
    return 0;
}

/* ---- limits of chunked bodies, the same ---- */

enum chunk_limit { SIZE_LINE, EXTENSIONS, TRAILERS, TRAILER_COUNT, TRAILER_LINE };

static void add_field(struct text *t, size_t size)
{
    add(t, "X:");
    fill(t, size - 2);
    add(t, "\r\n");
}

/* A body of as many bytes 'x' as it has chunks. */
static void make_chunks(struct text *t, enum chunk_limit limit, size_t size)
{
    enum { EACH = 200 }; /* bytes of extensions a chunk */
    t->size = 0;
    add(t, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    size_t extensions = limit == EXTENSIONS ? size : limit == SIZE_LINE ? size - 1 : 0;
    size_t most = limit == EXTENSIONS ? EACH : extensions;
    for (size_t here; extensions > 0; extensions -= here) {
        here = extensions < most ? extensions : most;
        add(t, "1;");
        fill(t, here - 1);
        add(t, "\r\nx\r\n");
    }
    add(t, "0\r\n");
    if (limit == TRAILER_LINE)
        add_field(t, size);
    for (size_t i = 0; limit == TRAILER_COUNT && i < size; i++)
        add(t, "X:y\r\n");
    for (size_t left = size - 2; limit == TRAILERS && left > 0;) {
        size_t here = left > 5000 ? 4000 : left;
        add_field(t, here - 2);
        left -= here;
    }
    add(t, "\r\n");
}

static bool chunks_pass(weft_server *server, const struct text *t)
{
    bool passed = true;
    for (int byte_by_byte = 0; byte_by_byte < 2; byte_by_byte++) {
        client c;
        if (client_open(&c, server, 8192) < 0)
            return false;
        server_knobs(&c)->input_most = (size_t)byte_by_byte;
        client_send(&c, t->data, t->size);
        client_send(&c, TEXT(GET("/")));
        settle();
        passed = passed && c.got_size > 20 && memcmp(c.got, "HTTP/1.1 200 OK\r\n", 17) == 0 &&
                 memcmp(c.got + c.got_size - 5, "front", 5) == 0 && !c.has_ended;
        client_close(&c, false);
    }
    return passed;
}

static int limits_of_chunks(void)
{
    static const struct {
        enum chunk_limit limit;
        size_t most;
        int status;
    } rows[] = { { SIZE_LINE, 256, 400 },
                 { EXTENSIONS, 4096, 413 },
                 { TRAILERS, 16384, 431 },
                 { TRAILER_COUNT, 32, 431 },
                 { TRAILER_LINE, 8192, 431 } };
    weft_app *app = harness_app();
    weft_server *server = harness_open(app);
    struct text *t = malloc(sizeof *t);
    for (size_t i = 0; i < COUNT(rows); i++) {
        client c;
        make_chunks(t, rows[i].limit, rows[i].most);
        WEFT_CHECK(chunks_pass(server, t));
        make_chunks(t, rows[i].limit, rows[i].most + 1);
        for (int byte_by_byte = 0; byte_by_byte < 2; byte_by_byte++) {
            WEFT_TRY(client_open(&c, server, 8192));
            server_knobs(&c)->input_most = (size_t)byte_by_byte;
            client_send(&c, t->data, t->size);
            client_send(&c, TEXT(GET("/hello/behind")));
            WEFT_CHECK(weft_sleep(WEFT_SECOND) == 0);
            WEFT_CHECK(client_got_one(&c, rows[i].status) && has_close(&c) && c.has_ended && !c.error);
            client_close(&c, false);
        }
    }
    free(t);
    harness_close(server);
    weft_app_free(app);
    return 0;
}

/* A body's limit is the route's. */
static int bodies_too_large(void)
{
    static const struct {
        const char *in;
        int status;
    } rows[] = {
        { "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n", 413 },
        { "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\nExpect: 100-continue\r\n\r\n", 413 },
        { "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\n", 413 },
    };
    weft_app *app = harness_app();
    weft_server *server = harness_open(app);
    for (size_t i = 0; i < COUNT(rows); i++) {
        client c;
        WEFT_TRY(client_open(&c, server, 8192));
        client_send(&c, rows[i].in, strlen(rows[i].in));
        client_send(&c, TEXT(GET("/hello/behind") GET("/")));
        WEFT_CHECK(weft_sleep(WEFT_SECOND) == 0);
        WEFT_CHECK(client_got_one(&c, rows[i].status) && has_close(&c) && c.has_ended);
        WEFT_CHECK(server->counts.requests == i + 1);
        client_close(&c, false);
    }
    WEFT_CHECK(*harness_log == '\0');
    harness_close(server);
    weft_app_free(app);
    return 0;
}

static int small_echo(weft_request *req)
{
    weft_bytes body;
    WEFT_TRY(weft_body(req, &body));
    return weft_reply_bytes(req, 200, NULL, body.data, body.size);
}

static int body_limit_of_a_route(void)
{
    weft_app *app = harness_app();
    weft_post(app, "/small", small_echo, .body_limit = 4);
    weft_server *server = harness_open(app);
    client c;
    WEFT_TRY(client_open(&c, server, 8192));
    client_send(&c, TEXT(POST("/small", 4) "1234" POST("/small", 5) "12345" GET("/")));
    settle();
    CHECK_GOT(&c, STATUS("200 OK") LENGTH(4) "\r\n1234" STATUS("413 Content Too Large") PLAIN_TEXT LENGTH(22) CLOSE
              "\r\n413 Content Too Large\n");
    WEFT_CHECK(c.has_ended);
    client_close(&c, false);
    harness_close(server);
    weft_app_free(app);
    return 0;
}

static const weft_test tests[] = {
    TEST(refused),          TEST(refused_behind_others), TEST(limits),
    TEST(limits_of_chunks), TEST(bodies_too_large),      TEST(body_limit_of_a_route),
};

int main(int argc, char **argv)
{
    return weft_test_main(tests, COUNT(tests), argc, argv);
}
