/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * What both sides say, word for word, one step after the other: the client says its bytes of a step, and must have heard
 * exactly the server's before it says those of the next. Each dialogue is played whole, with the client's bytes of each step
 * split at every byte with time in between, and one byte at a time. Here are bodies in chunks, expectations, and what is
 * refused in mid-body, and streamed replies; single exchanges are in test_server_scripts.c, refused heads in
 * test_server_refusals.c.
 */
#include "harness.h"

enum { STEPS_MAX = 5 };

struct step {
    const char *says;
    size_t says_size;
    const char *hears;
    size_t hears_size;
};

struct dialogue {
    const char *name;
    struct step steps[STEPS_MAX];
    bool ends;  /* the server ends the connection behind the last step */
    bool shuts; /* the client ends its direction behind the last step */
};

#define STEP(client, server)                                                                                                   \
    {                                                                                                                          \
        .says = (client), .says_size = sizeof(client) - 1, .hears = (server), .hears_size = sizeof(server) - 1                 \
    }
#define CHUNKED(path)     "POST " path " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
#define EXPECTING(fields) "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n" fields "\r\n\r\n"
#define CONTINUE          "HTTP/1.1 100 Continue\r\n\r\n"
#define REFUSED(words, n) STATUS(words) PLAIN_TEXT LENGTH(n) CLOSE "\r\n" words "\n"
#define BAD               REFUSED("400 Bad Request", 16)
#define TOO_LARGE         REFUSED("413 Content Too Large", 22)
#define FIELDS_TOO_LARGE  REFUSED("431 Request Header Fields Too Large", 36)
#define SUM(n, digits)    STATUS("200 OK") PLAIN_TEXT LENGTH(n) "\r\n" digits
#define IGNORED           STATUS("200 OK") PLAIN_TEXT LENGTH(7) "\r\nignored"
#define IGNORED_CLOSE     STATUS("200 OK") PLAIN_TEXT LENGTH(7) CLOSE "\r\nignored"
#define NOT_FOUND_CLOSE   STATUS("404 Not Found") PLAIN_TEXT LENGTH(14) CLOSE "\r\n404 Not Found\n"
#define LETTERS           "abcdefghijklmnopqrstuvwxyz"
#define STREAMED          STATUS("200 OK") TYPE("a/b") "Transfer-Encoding: chunked\r\n\r\n"
#define FIRST             STATUS("200 OK") LENGTH(2) "\r\nab"
#define FIRST_CLOSE       STATUS("200 OK") LENGTH(2) CLOSE "\r\nab"
/* Behind what is refused: must not be looked at. */
#define BEHIND GET("/hello/behind")
/* A body that goes wrong, to one who collects it and to one who reads it piece by piece. */
#define WRONG(name_, body, answer)                                                                                             \
    { .name = name_ ", collected", .steps = { STEP(CHUNKED("/echo") body BEHIND, answer) }, .ends = true },                    \
    {                                                                                                                          \
        .name = name_ ", read", .steps = { STEP(CHUNKED("/sums") body BEHIND, answer) }, .ends = true                          \
    }
#define FIFTY "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define LONG  FIFTY FIFTY FIFTY FIFTY FIFTY

static const struct dialogue dialogues[] = {
    /* chunks */
    { "chunks, and on", { STEP(CHUNKED("/echo") "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n" GET("/"), ECHO(7, "abcdefg") FRONT) } },
    { "chunks, read", { STEP(CHUNKED("/sums") "1\r\n1\r\n1\r\n2\r\n0\r\n\r\n" GET("/"), SUM(2, "99") FRONT) } },
    { "no chunks",
      { STEP(CHUNKED("/echo") "0\r\n\r\n" CHUNKED("/sums") "0\r\n\r\n" GET("/"), ECHO(0, "") SUM(1, "0") FRONT) } },
    { "capitals, leading zeros, extensions",
      { STEP(CHUNKED("/echo") "00A;a;b=c;d=\"e \\\" f\"\r\n0123456789\r\n0000;x\r\n\r\n" GET("/"),
             ECHO(10, "0123456789") FRONT) } },
    { "trailers", { STEP(CHUNKED("/echo") "1\r\nx\r\n0\r\nA: b\r\nC:d\r\n\r\n" GET("/"), ECHO(1, "x") FRONT) } },
    { "chunks of what looks like the end",
      { STEP(CHUNKED("/echo") "5\r\n0\r\n\r\n\r\n0\r\n\r\n" GET("/"), ECHO(5, "0\r\n\r\n") FRONT) } },
    { "chunks to a path that is not there", { STEP(CHUNKED("/x"), NOT_FOUND_CLOSE) }, .ends = true },
    { "chunks that nobody reads, step by step", { STEP(CHUNKED("/ignore") "3\r\n", IGNORED_CLOSE) }, .ends = true },
    { "a body too long to pass over", { STEP(POST("/ignore", 262145), IGNORED_CLOSE) }, .ends = true },
    { "chunks step by step",
      { STEP(CHUNKED("/echo") "3\r\n", ""), STEP("abc", ""), STEP("\r\n0\r", ""), STEP("\n\r\n", ECHO(3, "abc")),
        STEP(GET("/"), FRONT) } },
    { "chunks and the client's end",
      { STEP(CHUNKED("/echo") "3\r\nabc\r\n0\r\n\r\n", ECHO(3, "abc")) },
      .ends = true,
      .shuts = true },
    /* what no chunk may look like */
    WRONG("a plus", "+1\r\nx\r\n0\r\n\r\n", BAD),
    WRONG("a minus", "-1\r\nx\r\n0\r\n\r\n", BAD),
    WRONG("a space before", " 1\r\nx\r\n0\r\n\r\n", BAD),
    WRONG("a space behind", "1 \r\nx\r\n0\r\n\r\n", BAD),
    WRONG("hex with its prefix", "0x1\r\nx\r\n0\r\n\r\n", BAD),
    WRONG("no size", "\r\nx\r\n0\r\n\r\n", BAD),
    WRONG("no number", "g\r\nx\r\n0\r\n\r\n", BAD),
    WRONG("a size beyond 64 bits", "10000000000000001\r\nx\r\n0\r\n\r\n", BAD),
    WRONG("a size beyond 63 bits", "8000000000000000\r\nx\r\n0\r\n\r\n", BAD),
    WRONG("LF alone behind a size", "1\nx\r\n0\r\n\r\n", BAD),
    WRONG("CR alone behind a size", "1\rx\r\n0\r\n\r\n", BAD),
    WRONG("LF alone behind a chunk", "1\r\nx\n0\r\n\r\n", BAD),
    WRONG("nothing behind a chunk", "1\r\nx0\r\n\r\n", BAD),
    WRONG("a chunk longer than its size", "1\r\nxx\r\n0\r\n\r\n", BAD),
    WRONG("LF alone at the end", "1\r\nx\r\n0\r\n\n", BAD),
    WRONG("NUL in a size", "1\0\r\nx\r\n0\r\n\r\n", BAD),
    WRONG("a malformed extension", "1;=a\r\nx\r\n0\r\n\r\n", BAD),
    WRONG("a size line without end", "1;" LONG FIFTY, BAD),
    WRONG("a chunk larger than any body may be", "7fffffffffffffff\r\nx", TOO_LARGE),
    WRONG("a chunk larger than the limit", "100001\r\nx", TOO_LARGE),
    /* trailers */
    WRONG("a folded trailer", "0\r\nA: b\r\n c\r\n\r\n", BAD),
    WRONG("a trailer without a name", "0\r\n: b\r\n\r\n", BAD),
    WRONG("a trailer with a space before its colon", "0\r\nA : b\r\n\r\n", BAD),
    WRONG("a trailer without a colon", "0\r\nA\r\n\r\n", BAD),
    WRONG("a bare LF among trailers", "0\r\nA: b\n\r\n", BAD),
    WRONG("a length among trailers", "0\r\nContent-Length: 3\r\n\r\n", BAD),
    WRONG("a coding among trailers", "0\r\nTransfer-Encoding: chunked\r\n\r\n", BAD),
    WRONG("a host among trailers", "0\r\nHost: a\r\n\r\n", BAD),
    WRONG(
        "33 trailers",
        "0\r\nA:b\r\nA:b\r\nA:b\r\nA:b\r\nA:b\r\nA:b\r\nA:b\r\nA:b\r\nA:b\r\nA:b\r\nA:b\r\nA:b\r\nA:b\r\nA:b\r\nA:b\r\nA:b\r\n"
        "A:b\r\nA:b\r\nA:b\r\nA:b\r\nA:b\r\nA:b\r\nA:b\r\nA:b\r\nA:b\r\nA:b\r\nA:b\r\nA:b\r\nA:b\r\nA:b\r\nA:b\r\nA:b\r\nA:"
        "b\r\n\r\n",
        FIELDS_TOO_LARGE),
    /* expectations */
    { "100, and then the body",
      { STEP(EXPECTING("Content-Length: 4"), CONTINUE), STEP("bo", ""), STEP("dy", ECHO(4, "body")), STEP(GET("/"), FRONT) } },
    { "100, and then chunks",
      { STEP(EXPECTING("Transfer-Encoding: chunked"), CONTINUE),
        STEP("4\r\nbody\r\n0\r\n\r\n" GET("/"), ECHO(4, "body") FRONT) } },
    { "no 100 for a body that is too large", { STEP(EXPECTING("Content-Length: 2000000"), TOO_LARGE) }, .ends = true },
    { "no 100 where nobody reads",
      { STEP("POST /ignore HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n", IGNORED_CLOSE) },
      .ends = true },
    { "an end in place of the body",
      { STEP(EXPECTING("Content-Length: 4"), CONTINUE), STEP("bo", BAD) },
      .ends = true,
      .shuts = true },
    /* streamed replies */
    { "chunks out, and on", { STEP(GET("/stream") GET("/"), STREAMED "3\r\nabc\r\n1a\r\n" LETTERS "\r\n0\r\n\r\n" FRONT) } },
    { "chunks out with trailers",
      { STEP(GET("/stream?trailers") GET("/"),
             STREAMED "3\r\nabc\r\n1a\r\n" LETTERS "\r\n0\r\nX-Sum: 1\r\nX-End: yes\r\n\r\n" FRONT) } },
    { "a stream of nothing", { STEP(GET("/stream?nothing") GET("/"), STREAMED "0\r\n\r\n" FRONT) } },
    { "a stream of declared length",
      { STEP(GET("/stream?length") GET("/"), STATUS("200 OK") TYPE("a/b") LENGTH(29) "\r\nabc" LETTERS FRONT) } },
    { "a stream to HTTP/1.0 ends with the connection",
      { STEP("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", STATUS("200 OK") TYPE("a/b") CLOSE "\r\nabc" LETTERS) },
      .ends = true },
    { "HEAD of a stream", { STEP("HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n" GET("/"), STREAMED FRONT) } },
    /* lengths */
    { "a body in two steps", { STEP(POST("/echo", 4) "bo", ""), STEP("dy", ECHO(4, "body")), STEP(GET("/"), FRONT) } },
    { "a body that nobody reads, in two steps",
      { STEP(POST("/ignore", 4) "bo", IGNORED), STEP("dy" GET("/"), FRONT), STEP(GET("/"), FRONT) } },
    { "an end in the middle of a body", { STEP(POST("/echo", 4) "bo", BAD) }, .ends = true, .shuts = true },
    { "an end in the middle of chunks", { STEP(CHUNKED("/sums") "4\r\nbo", BAD) }, .ends = true, .shuts = true },
    { "an end in the middle of a head",
      { STEP(GET("/"), FRONT), STEP("GET / HTTP/1.1\r\nHo", STATUS("400 Bad Request") PLAIN_TEXT LENGTH(45) CLOSE
                                    "\r\n400 Bad Request: the head ends in the middle\n") },
      .ends = true,
      .shuts = true },
};

/* ---- playing ---- */

enum way { WHOLE, BYTE_BY_BYTE, SPLIT };

static void say(client *c, const struct step *step, bool is_last, bool shuts, size_t split)
{
    size_t first = split < step->says_size ? split : step->says_size;
    client_send(c, step->says, first);
    if (split <= step->says_size)
        settle();
    client_send(c, step->says + first, step->says_size - first); /* may be behind what it is refused for */
    if (is_last && shuts)
        client_shutdown(c);
}

/* With SPLIT the bytes of step number `which` come in two parts. */
static bool play(weft_server *server, const struct dialogue *d, enum way way, size_t which, size_t split)
{
    client c;
    bool is_right = true;
    if (client_open(&c, server, 4096) < 0)
        return false;
    if (way == BYTE_BY_BYTE)
        server_knobs(&c)->input_most = 1;
    for (size_t i = 0; is_right && i < STEPS_MAX && d->steps[i].says; i++) {
        bool is_last = i + 1 == STEPS_MAX || !d->steps[i + 1].says;
        say(&c, &d->steps[i], is_last, d->shuts, way == SPLIT && i == which ? split : SIZE_MAX);
        WEFT_CHECK(weft_sleep(100 * MS) == 0);
        is_right = client_got(&c, d->steps[i].hears, d->steps[i].hears_size) && !c.error && c.has_ended == (is_last && d->ends);
        if (!is_right)
            printf("# %s: step %zu, way %d, step %zu split at %zu; has %sended\n", d->name, i, (int)way, which, split,
                   c.has_ended ? "" : "not ");
        client_forget(&c);
    }
    client_close(&c, false);
    WEFT_CHECK(server->connection_count == 0);
    return is_right;
}

static bool play_all_ways(weft_server *server, const struct dialogue *d)
{
    bool is_right = play(server, d, WHOLE, 0, 0) && play(server, d, BYTE_BY_BYTE, 0, 0);
    for (size_t i = 0; i < STEPS_MAX && d->steps[i].says; i++)
        for (size_t at = 0; is_right && at <= d->steps[i].says_size; at++)
            is_right = play(server, d, SPLIT, i, at);
    return is_right;
}

/* What nobody reads is passed over as far as it has come with the head; so these are not split. Once a crash: no route. */
static const struct dialogue whole_only[] = {
    { "chunks to a path that is not there, with the head",
      { STEP(CHUNKED("/x") "3\r\nabc\r\n0\r\n\r\n" GET("/"), NOT_FOUND FRONT) } },
    { "chunks for a method that is not there, with the head",
      { STEP("PUT /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" GET("/"),
             STATUS("405 Method Not Allowed")
                 PLAIN_TEXT LENGTH(23) "Allow: OPTIONS, POST\r\n\r\n405 Method Not Allowed\n" FRONT) } },
    { "chunks of which some are read, with the head and behind it",
      { STEP(CHUNKED("/first") "3\r\nabc\r\n3\r\ndef\r\n0\r\nA: b\r\n\r\n" GET("/"), FIRST FRONT),
        STEP(CHUNKED("/first") "3\r\nabc\r\n3", FIRST_CLOSE) },
      .ends = true },
    { "chunks that nobody reads, with the head", { STEP(CHUNKED("/ignore") "3\r\nabc\r\n0\r\n\r\n" GET("/"), IGNORED FRONT) } },
    { "wrong chunks that nobody reads", { STEP(CHUNKED("/x") "3\r\nabcd" BEHIND, NOT_FOUND_CLOSE) }, .ends = true },
};

static int sums(weft_request *req)
{
    unsigned char buf[64];
    unsigned sum = 0;
    int64_t n;
    while ((n = weft_body_read(req, buf, sizeof buf)) > 0)
        for (int64_t i = 0; i < n; i++)
            sum += buf[i];
    return n < 0 ? (int)n : weft_reply_text(req, 200, "%u", sum);
}

static int stream(weft_request *req)
{
    const char *query = weft_query_string(req) ? weft_query_string(req) : "";
    WEFT_TRY(weft_reply_stream(req, 200, "a/b", strcmp(query, "length") == 0 ? 29 : -1));
    if (strcmp(query, "nothing") == 0)
        return 0;
    WEFT_TRY(weft_write(req, "abc", 3));
    WEFT_TRY(weft_sleep(10 * MS));
    WEFT_TRY(weft_write(req, LETTERS, 26));
    if (strcmp(query, "trailers") != 0)
        return 0;
    WEFT_TRY(weft_set_trailer(req, "X-Sum", "1"));
    return weft_set_trailer(req, "X-End", "yes");
}

/* Reads some of the body, in the middle of a chunk. */
static int first(weft_request *req)
{
    char bytes[2];
    int64_t n = weft_body_read(req, bytes, sizeof bytes);
    return n < 0 ? (int)n : weft_reply_bytes(req, 200, NULL, bytes, (size_t)n);
}

static int play_dialogues(void)
{
    weft_app *app = harness_app();
    weft_post(app, "/sums", sums);
    weft_post(app, "/first", first);
    weft_get(app, "/stream", stream);
    weft_server *server = harness_open(app);
    for (size_t i = 0; i < COUNT(dialogues); i++)
        WEFT_CHECK(play_all_ways(server, &dialogues[i]));
    for (size_t i = 0; i < COUNT(whole_only); i++)
        WEFT_CHECK(play(server, &whole_only[i], WHOLE, 0, 0));
    WEFT_CHECK(*harness_log == '\0');
    harness_close(server);
    weft_app_free(app);
    return 0;
}

static const weft_test tests[] = { TEST(play_dialogues) };

static void tell(const struct dialogue *d)
{
    for (size_t i = 0; i < STEPS_MAX && d->steps[i].says; i++)
        harness_tell(d->steps[i].says, d->steps[i].says_size);
    putchar(':');
    for (size_t i = 0; i < STEPS_MAX && d->steps[i].says; i++)
        harness_tell(d->steps[i].hears, d->steps[i].hears_size);
    putchar('\n');
}

int main(int argc, char **argv)
{
    if (harness_tells(argc, argv)) {
        for (size_t i = 0; i < COUNT(dialogues); i++)
            tell(&dialogues[i]);
        for (size_t i = 0; i < COUNT(whole_only); i++)
            tell(&whole_only[i]);
        return 0;
    }
    return weft_test_main(tests, COUNT(tests), argc, argv);
}
