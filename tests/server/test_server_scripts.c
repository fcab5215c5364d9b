/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Bytes in, bytes out. What is expected is written by hand, and each script is played whole, split at each byte with time in
 * between, and one byte at a time. The server's side of them is played to real clients, too: tests/pytest/test_dialogues.py.
 */
#include "harness.h"

struct script {
    const char *name;
    const char *in;
    size_t in_size;
    const char *out;
    size_t out_size;
    int requests; /* that were begun */
    bool ends;    /* the server ends the connection by itself */
    bool shuts;   /* the client ends its direction behind the input */
};

#define BYTES(input, output) .in = (input), .in_size = sizeof(input) - 1, .out = (output), .out_size = sizeof(output) - 1

#define HELLO(n, name) STATUS("200 OK") PLAIN_TEXT LENGTH(n) "\r\nHello, " name "!"
#define IGNORED        STATUS("200 OK") PLAIN_TEXT LENGTH(7) "\r\nignored"
#define IGNORED_CLOSE  STATUS("200 OK") PLAIN_TEXT LENGTH(7) CLOSE "\r\nignored"
#define FRONT_KEEP     STATUS("200 OK") PLAIN_TEXT LENGTH(5) KEEP_ALIVE "\r\nfront"
#define FRONT_HEAD     STATUS("200 OK") PLAIN_TEXT LENGTH(5) "\r\n"
#define CONTINUE       "HTTP/1.1 100 Continue\r\n\r\n"
#define ALLOW(methods) STATUS("204 No Content") "Allow: " methods "\r\n\r\n"

static const struct script scripts[] = {
    { .name = "a plain GET", BYTES(GET("/"), FRONT), .requests = 1 },
    { .name = "field names in any case, white space around values",
      BYTES("GET / HTTP/1.1\r\nhOsT:\t a \t\r\nX:y\r\n\r\n", FRONT),
      .requests = 1 },
    { .name = "bytes above 0x7f in a value",
      BYTES("GET / HTTP/1.1\r\nHost: a\r\nX: \xe9\x80\xff\r\n\r\n", FRONT),
      .requests = 1 },
    { .name = "one empty line before a request", BYTES("\r\n" GET("/") "\r\n" GET("/"), FRONT FRONT), .requests = 2 },
    { .name = "three pipelined", BYTES(GET("/") GET("/hello/a") GET("/"), FRONT HELLO(9, "a") FRONT), .requests = 3 },
    { .name = "an absolute target",
      BYTES("GET http://b:80/hello/x?y HTTP/1.1\r\nHost: a\r\n\r\n", HELLO(9, "x")),
      .requests = 1 },
    { .name = "a percent-encoded parameter", BYTES(GET("/hello/%57%C3%A9%2ft%25"), HELLO(14, "W\xc3\xa9/t%")), .requests = 1 },
    { .name = "dots in the path", BYTES(GET("/x/../hello/./y"), HELLO(9, "y")), .requests = 1 },
    { .name = "HTTP/1.0 closes", BYTES("GET / HTTP/1.0\r\n\r\n" GET("/"), FRONT_CLOSE), .requests = 1, .ends = true },
    { .name = "HTTP/1.0 with keep-alive",
      BYTES("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\nGET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            FRONT_KEEP FRONT_KEEP),
      .requests = 2 },
    { .name = "HTTP/1.0 with keep-alive and close",
      BYTES("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", FRONT_CLOSE),
      .requests = 1,
      .ends = true },
    { .name = "Connection: close",
      BYTES("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, close\t\r\n\r\n" GET("/"), FRONT_CLOSE),
      .requests = 1,
      .ends = true },
    { .name = "HEAD", BYTES("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" GET("/"), FRONT_HEAD FRONT), .requests = 2 },
    { .name = "HEAD of what is not there",
      BYTES("HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n" GET("/"), STATUS("404 Not Found") PLAIN_TEXT LENGTH(14) "\r\n" FRONT),
      .requests = 2 },
    { .name = "OPTIONS", BYTES("OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n", ALLOW("GET, HEAD, OPTIONS")), .requests = 1 },
    { .name = "OPTIONS *",
      BYTES("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n" GET("/"), ALLOW("GET, HEAD, OPTIONS, POST") FRONT),
      .requests = 2 },
    { .name = "OPTIONS of what is not there", BYTES("OPTIONS /x HTTP/1.1\r\nHost: a\r\n\r\n", NOT_FOUND), .requests = 1 },
    { .name = "404, and on", BYTES(GET("/x") GET("/hello/") GET("/"), NOT_FOUND NOT_FOUND FRONT), .requests = 3 },
    { .name = "404 with a body, and on", BYTES(POST("/x", 3) "abc" GET("/"), NOT_FOUND FRONT), .requests = 2 },
    { .name = "405 with Allow, and on",
      BYTES(POST("/", 2) "ab" GET("/echo") GET("/"),
            STATUS("405 Method Not Allowed") PLAIN_TEXT LENGTH(
                23) "Allow: GET, HEAD, OPTIONS\r\n\r\n405 Method Not Allowed\n" STATUS("405 Method Not Allowed")
                PLAIN_TEXT LENGTH(23) "Allow: OPTIONS, POST\r\n\r\n405 Method Not Allowed\n" FRONT),
      .requests = 3 },
    { .name = "an echo, and on", BYTES(POST("/echo", 5) "hello" GET("/"), ECHO(5, "hello") FRONT), .requests = 2 },
    { .name = "an echo of bytes that look like a request",
      BYTES("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: x/y\r\nContent-Length: 27\r\n\r\n" GET("/") GET("/"),
            STATUS("200 OK") TYPE("x/y") LENGTH(27) "\r\n" GET("/") FRONT),
      .requests = 2 },
    { .name = "bodies of no bytes",
      BYTES(POST("/echo", 0) "POST /echo HTTP/1.1\r\nHost: a\r\n\r\n" GET("/"), ECHO(0, "") ECHO(0, "") FRONT),
      .requests = 3 },
    { .name = "a body in a GET",
      BYTES("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nGET " GET("/"), FRONT FRONT),
      .requests = 2 },
    { .name = "a body that nobody reads",
      BYTES(POST("/ignore", 6) "GET / " POST("/ignore", 3) "abc" GET("/"), IGNORED IGNORED FRONT),
      .requests = 3 },
    { .name = "an echo of zeros and line ends",
      BYTES(POST("/echo", 7) "\0\r\n\r\n\0\xff" GET("/"), ECHO(7, "\0\r\n\r\n\0\xff") FRONT),
      .requests = 2 },
    { .name = "an expectation of a body without one",
      BYTES("GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n" GET("/"), FRONT FRONT),
      .requests = 2 },
    { .name = "100-continue on HTTP/1.0 is overlooked",
      BYTES("POST /echo HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nhi",
            STATUS("200 OK") TYPE("application/octet-stream") LENGTH(2) CLOSE "\r\nhi"),
      .requests = 1,
      .ends = true },
    { .name = "an expectation whose body nobody reads: closed",
      BYTES("POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n", IGNORED_CLOSE),
      .requests = 1,
      .ends = true },
    { .name = "a client that ends its direction gets its answer",
      BYTES(GET("/sleep/20"), STATUS("200 OK") PLAIN_TEXT LENGTH(5) "\r\nslept"),
      .requests = 1,
      .ends = true,
      .shuts = true },
    { .name = "pipelined requests and the end",
      BYTES(GET("/") POST("/echo", 2) "ab" GET("/sleep/3"),
            FRONT ECHO(2, "ab") STATUS("200 OK") PLAIN_TEXT LENGTH(5) "\r\nslept"),
      .requests = 3,
      .ends = true,
      .shuts = true },
    { .name = "the end and no request", BYTES("", ""), .ends = true, .shuts = true },
};

/* ---- playing ---- */

enum way { WHOLE, SPLIT, BYTE_BY_BYTE };

static bool play(weft_server *server, const struct script *s, enum way way, size_t split)
{
    client c;
    uint64_t requests = server->counts.requests;
    if (client_open(&c, server, 4096) < 0)
        return false;
    if (way == BYTE_BY_BYTE)
        server_knobs(&c)->input_most = 1;
    size_t first = way == SPLIT ? split : s->in_size;
    client_send(&c, s->in, first);
    if (way == SPLIT) {
        settle();
        client_send(&c, s->in + first, s->in_size - first); /* may be behind what it is refused for */
    }
    if (s->shuts)
        client_shutdown(&c);
    WEFT_CHECK(weft_sleep(100 * MS) == 0);
    bool is_right = client_got(&c, s->out, s->out_size) && c.has_ended == s->ends && c.error == 0 &&
                    (int)(server->counts.requests - requests) == s->requests;
    if (!is_right)
        printf("# %s: way %d, split at %zu, has %sended, error %d, %d requests\n", s->name, (int)way, split,
               c.has_ended ? "" : "not ", c.error, (int)(server->counts.requests - requests));
    client_close(&c, false);
    WEFT_CHECK(server->connection_count == 0);
    return is_right && server->connection_count == 0;
}

static void play_all_ways(weft_server *server, const struct script *s)
{
    size_t step = s->in_size > 600 ? s->in_size / 600 : 1;
    bool is_right = play(server, s, WHOLE, 0);
    for (size_t at = 0; at <= s->in_size && is_right; at += step)
        is_right = play(server, s, SPLIT, at);
    WEFT_CHECK(is_right && play(server, s, BYTE_BY_BYTE, 0));
}

static int play_scripts(void)
{
    weft_app *app = harness_app();
    weft_server *server = harness_open(app);
    for (size_t i = 0; i < COUNT(scripts); i++)
        play_all_ways(server, &scripts[i]);
    WEFT_CHECK(*harness_log == '\0');
    harness_close(server);
    weft_app_free(app);
    return 0;
}

/* ---- the same again and again ---- */

static char *repeat(const char *text, size_t size, size_t times, size_t *ret_size)
{
    char *all = malloc(size * times);
    for (size_t i = 0; i < times; i++)
        memcpy(all + i * size, text, size);
    *ret_size = size * times;
    return all;
}

static void play_repeated(const char *name, const char *in, size_t in_size, const char *out, size_t out_size, int requests)
{
    enum { TIMES = 100 };
    weft_app *app = harness_app();
    weft_server *server = harness_open(app);
    struct script s = { .name = name, .requests = TIMES * requests };
    char *all_in = repeat(in, in_size, TIMES, &s.in_size), *all_out = repeat(out, out_size, TIMES, &s.out_size);
    s.in = all_in;
    s.out = all_out;
    play_all_ways(server, &s);
    free(all_in);
    free(all_out);
    harness_close(server);
    weft_app_free(app);
}

static int a_hundred_pipelined(void)
{
    play_repeated("a hundred pipelined", TEXT(GET("/hello/World")), TEXT(HELLO(13, "World")), 1);
    return 0;
}

static int a_hundred_pipelined_with_bodies(void)
{
    play_repeated("a hundred with bodies", TEXT(POST("/echo", 11) "GET / HTTP/" GET("/") POST("/ignore", 1) "x"),
                  TEXT(ECHO(11, "GET / HTTP/") FRONT IGNORED), 3);
    return 0;
}

/* ---- what needs a client that waits for the answer ---- */

static int keep_alive(void)
{
    weft_app *app = harness_app();
    weft_server *server = harness_open(app);
    client c;
    WEFT_TRY(client_open(&c, server, 4096));
    for (int i = 0; i < 50; i++) {
        client_forget(&c);
        client_send(&c, TEXT(GET("/")));
        WEFT_CHECK(weft_sleep(WEFT_SECOND) == 0);
        CHECK_GOT(&c, FRONT);
    }
    WEFT_CHECK(server->counts.requests == 50 && server->counts.accepted == 1 && !c.has_ended);
    client_close(&c, false);
    harness_close(server);
    weft_app_free(app);
    return 0;
}

static int expect_100_continue(void)
{
    weft_app *app = harness_app();
    weft_server *server = harness_open(app);
    client c;
    WEFT_TRY(client_open(&c, server, 4096));
    client_send(&c, TEXT("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-Continue\r\n\r\n"));
    settle();
    CHECK_GOT(&c, CONTINUE);
    client_send(&c, TEXT("bo"));
    settle();
    CHECK_GOT(&c, CONTINUE);
    client_send(&c, TEXT("dy" GET("/")));
    settle();
    CHECK_GOT(&c, CONTINUE ECHO(4, "body") FRONT);
    client_forget(&c);
    client_send(&c, TEXT("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nhere"));
    settle();
    CHECK_GOT(&c, ECHO(4, "here")); /* it was there already */
    client_close(&c, false);
    harness_close(server);
    weft_app_free(app);
    return 0;
}

static const weft_test tests[] = {
    TEST(play_scripts), TEST(a_hundred_pipelined), TEST(a_hundred_pipelined_with_bodies),
    TEST(keep_alive),   TEST(expect_100_continue),
};

int main(int argc, char **argv)
{
    if (harness_tells(argc, argv)) {
        for (size_t i = 0; i < COUNT(scripts); i++) {
            harness_tell(scripts[i].in, scripts[i].in_size);
            putchar(':');
            harness_tell(scripts[i].out, scripts[i].out_size);
            putchar('\n');
        }
        return 0;
    }
    return weft_test_main(tests, COUNT(tests), argc, argv);
}
