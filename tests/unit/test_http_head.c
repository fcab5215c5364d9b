/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Request heads as the connection takes them, byte check and parser together: for each the status that it must get, written
 * by hand, whole, split in two at each byte, and a byte at a time.
 */
#include "tests/unit/unit.h"

#include "lib/base/memory.h"
#include "lib/http/head.h"
#include "lib/http/head_check.h"

static const weft_http_limits limits = WEFT_HTTP_LIMITS_DEFAULT;
static weft_arena_pool pool;
static weft_arena arena;
static weft_http_head head;

static int setup(void **state)
{
    (void)state;
    weft_arena_pool_init(&pool, 2);
    weft_arena_init(&arena, &pool);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    weft_arena_free(&arena);
    weft_arena_pool_close(&pool);
    return 0;
}

/* The parser cuts the head itself: is that what it makes of the check's cuts, which are in `head`? */
static void check_own_cuts(const char *text, size_t size, int field_count, int status)
{
    weft_arena own;
    weft_http_head again;
    weft_arena_init(&own, &pool);
    char *data = weft_arena_alloc(&own, size);
    assert_non_null(data);
    memcpy(data, text, size);
    assert_int_equal(weft_http_head_parse(&again, &own, data, size, field_count), status);
    assert_int_equal(again.method == NULL, head.method == NULL);
    if (status == 0) {
        assert_memory_equal(again.data, head.data, size); /* the ends of all parts, too */
        assert_int_equal(again.field_count, head.field_count);
        assert_memory_equal(again.fields, head.fields, head.field_count * sizeof(*head.fields));
        assert_int_equal(again.content_length, head.content_length);
        assert_memory_equal(&again.target_size, &head.target_size,
                            offsetof(weft_http_head, expects_unknown) + 1 - offsetof(weft_http_head, target_size));
        assert_true(again.host ? again.host - again.data == head.host - head.data : !head.host);
    } else if (!head.reason || !again.reason || strcmp(head.reason, again.reason) != 0) {
        fail_msg("refused for two reasons, %s and %s", head.reason, again.reason);
    }
    weft_arena_free(&own);
}

static unsigned cut_by_check; /* heads of which the check has seen all */

/* Delivers the text up to `first` and then in steps, and parses what the check lets pass into `head`, which is left in the
 * arena. Returns the status, 0 for a head that is accepted, -1 for one that never ends. */
static int receive(const char *text, size_t size, size_t first, size_t step)
{
    weft_head_check check;
    weft_head_cuts cuts;
    weft_head_check_init(&check);
    int64_t rc = 0;
    for (size_t at = first; rc == 0; at += step) {
        at = at < size ? at : size;
        char *data = malloc(at ? at : 1);
        assert_non_null(data);
        memcpy(data, text, at);
        rc = weft_head_check_run_cutting(&check, data, at, &limits, &cuts);
        free(data);
        if (at == size)
            break;
    }
    if (rc <= 0)
        return rc < 0 ? (int)-rc : -1;
    weft_arena_free(&arena);
    char *data = weft_arena_alloc(&arena, (size_t)rc);
    assert_non_null(data);
    memcpy(data, text, (size_t)rc);
    cut_by_check += cuts.fields_at > 0 && cuts.count == check.field_count;
    int status = weft_http_head_parse_cut(&head, &arena, data, (size_t)rc, check.field_count, &cuts);
    assert_int_equal(status == 0, head.reason == NULL);
    check_own_cuts(text, (size_t)rc, check.field_count, status);
    return status;
}

static void check_head(const char *text, size_t size, int expected)
{
    int status = receive(text, size, size, 1);
    if (status != expected)
        fail_msg("%d, %s, in place of %d:\n%.*s", status, status > 0 && head.reason ? head.reason : "", expected, (int)size,
                 text);
    for (size_t split = 0; split < size; split++)
        assert_int_equal(receive(text, size, split, size), expected);
    assert_int_equal(receive(text, size, 0, 1), expected);
}

typedef struct head_case {
    int status;
    const char *text;
    size_t size;
} head_case;

static void check_heads(const head_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check_head(cases[i].text, cases[i].size, cases[i].status);
}

#define HOST         "Host: a\r\n"
#define POST_START   "POST / HTTP/1.1\r\n" HOST
#define POST(fields) POST_START fields "\r\n\r\n"
#define GET(fields)  "GET / HTTP/1.1\r\n" HOST fields "\r\n\r\n"

static void reads_all_parts(void **state)
{
    (void)state;
    check_head(TEXT("\r\nPATCH /a/b?c=d HTTP/1.1\r\nHost: example.org:8080\r\nEMPTY:\r\nSpaces: \t \r\n"
                    "X-Long-Name-0123456789:\tv w\t \r\ncontent-LENGTH:  42 \r\nX: caf\xc3\xa9\r\nx: second\r\n\r\n"),
               0);
    assert_string_equal(head.method, "PATCH");
    assert_int_equal(head.method_id, WEFT_HTTP_PATCH);
    assert_string_equal(head.target, "/a/b?c=d");
    assert_int_equal(head.target_size, 8);
    assert_int_equal(head.version_minor, 1);
    assert_string_equal(head.host, "example.org:8080");
    assert_int_equal(head.content_length, 42);
    assert_true(head.has_body);
    assert_false(head.is_chunked);
    assert_true(head.keep_alive);
    assert_false(head.wants_upgrade || head.expects_continue || head.expects_unknown);
    static const char *const fields[][2] = {
        { "Host", "example.org:8080" }, { "EMPTY", "" },        { "Spaces", "" }, { "X-Long-Name-0123456789", "v w" },
        { "content-LENGTH", "42" },     { "X", "caf\xc3\xa9" }, { "x", "second" }
    };
    assert_int_equal(head.field_count, COUNT(fields));
    for (size_t i = 0; i < COUNT(fields); i++) {
        const weft_http_field *field = &head.fields[i];
        assert_string_equal(weft_http_field_name(&head, field), fields[i][0]);
        assert_int_equal(field->name_size, strlen(fields[i][0]));
        assert_string_equal(weft_http_field_value(&head, field), fields[i][1]);
        assert_int_equal(field->value_size, strlen(fields[i][1]));
    }
    assert_string_equal(weft_http_head_find(&head, "host"), "example.org:8080");
    assert_string_equal(weft_http_head_find(&head, "X"), "caf\xc3\xa9"); /* the first */
    assert_string_equal(weft_http_head_find(&head, "x-long-name-0123456789"), "v w");
    assert_string_equal(weft_http_head_find(&head, "empty"), "");
    assert_null(weft_http_head_find(&head, "Hos"));
    assert_null(weft_http_head_find(&head, "Hosts"));
    assert_null(weft_http_head_find(&head, ""));
}

static void names_differ_by_case_only(void **state)
{
    (void)state;
    check_head(TEXT(GET("a^b: 1\r\na~b: 2\r\na-b: 3")), 0);
    assert_string_equal(weft_http_head_find(&head, "A^B"), "1");
    assert_string_equal(weft_http_head_find(&head, "A~B"), "2");
    assert_string_equal(weft_http_head_find(&head, "A-B"), "3");
    assert_null(weft_http_head_find(&head, "A\rB"));
    /* as long as a name that counts, or one bit away from it */
    check_head(TEXT(GET("Hosu: b\r\nxost: b\r\nContent-Lengti: x\r\nTransfer-Encodinf: y\r\nTransfes-Encoding: "
                        "y\r\nuransfer-encoding: y\r\n"
                        "Expecu: z\r\nUpgradf: z\r\nConnectioo: close")),
               0);
    assert_true(head.keep_alive);
    assert_int_equal(head.content_length, -1);
    assert_false(head.has_body || head.expects_unknown);
}

static void methods(void **state)
{
    (void)state;
    static const char *const served[] = { "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS" };
    for (size_t i = 0; i < COUNT(served); i++) {
        char text[64];
        int size = snprintf(text, sizeof(text), "%s / HTTP/1.1\r\nHost: a\r\n\r\n", served[i]);
        check_head(text, (size_t)size, 0);
        assert_int_equal(head.method_id, (int)i);
        assert_string_equal(head.method, served[i]);
    }
    static const char *const others[] = { "CONNECT",  "TRACE",  "PRI",  "PROPFIND", "M-SEARCH", "SOURCE",
                                          "DESCRIBE", "get",    "GETT", "GE",       "X",        "!#$%&'*+-.^_`|~",
                                          "OPTION",   "PATCHX", "ACL",  "QUERY" };
    for (size_t i = 0; i < COUNT(others); i++) {
        char text[64];
        int size = snprintf(text, sizeof(text), "%s / HTTP/1.1\r\nHost: a\r\n\r\n", others[i]);
        check_head(text, (size_t)size, 501);
        assert_string_equal(head.method, others[i]);
    }
    static const char *const malformed[] = { "G(T", "G@T", "\"GET\"", "GET,", "{GET}", "G/T", "G=T", "[GET]" };
    for (size_t i = 0; i < COUNT(malformed); i++) {
        char text[64];
        int size = snprintf(text, sizeof(text), "%s / HTTP/1.1\r\nHost: a\r\n\r\n", malformed[i]);
        check_head(text, (size_t)size, 400);
        assert_null(head.method);
    }
}

static void request_lines(void **state)
{
    (void)state;
    static const head_case cases[] = {
        { 0, TEXT("GET / HTTP/1.1\r\nHost: a\r\n\r\n") },
        { 0, TEXT("GET / HTTP/1.0\r\n\r\n") },
        { 0, TEXT("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n") },
        { 0, TEXT("GET http://b/c HTTP/1.1\r\nHost: a\r\n\r\n") },
        { 501, TEXT("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n") },
        { 501, TEXT("TRACE / HTTP/1.1\r\n\r\n") }, /* the method before the fields */
        { 505, TEXT("GET / HTTP/2.0\r\nHost: a\r\n\r\n") },
        { 505, TEXT("GET / HTTP/1.2\r\nHost: a\r\n\r\n") },
        { 505, TEXT("GET / HTTP/1.9\r\n\r\n") },
        { 505, TEXT("GET / HTTP/3.0\r\n\r\n") },
        { 505, TEXT("GET / HTTP/9.9\r\n\r\n") },
        { 505, TEXT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") }, /* the protocol before the method */
        { 400, TEXT("GET / HTTP/0.9\r\n\r\n") },
        { 400, TEXT("GET /\r\n\r\n") }, /* HTTP/0.9 */
        { 400, TEXT("GET / \r\n\r\n") },
        { 400, TEXT("GET\r\n\r\n") },
        { 400, TEXT("GET \r\n\r\n") },
        { 400, TEXT("GET HTTP/1.1\r\nHost: a\r\n\r\n") },
        { 400, TEXT("GET  HTTP/1.1\r\nHost: a\r\n\r\n") },
        { 400, TEXT("GET  / HTTP/1.1\r\nHost: a\r\n\r\n") },
        { 400, TEXT("GET /  HTTP/1.1\r\nHost: a\r\n\r\n") },
        { 400, TEXT("GET / HTTP/1.1 \r\nHost: a\r\n\r\n") },
        { 400, TEXT("GET / a HTTP/1.1\r\nHost: a\r\n\r\n") },
        { 400, TEXT("GET / http/1.1\r\nHost: a\r\n\r\n") },
        { 400, TEXT("GET / HTTP/1.\r\nHost: a\r\n\r\n") },
        { 400, TEXT("GET / HTTP/1\r\nHost: a\r\n\r\n") },
        { 400, TEXT("GET / HTTP/1.10\r\nHost: a\r\n\r\n") },
        { 400, TEXT("GET / HTTP/01.1\r\nHost: a\r\n\r\n") },
        { 400, TEXT("GET / HTTP/1,1\r\nHost: a\r\n\r\n") },
        { 400, TEXT("GET / HTTP/+1.1\r\nHost: a\r\n\r\n") },
        { 400, TEXT("GET / HTTPS/1.1\r\nHost: a\r\n\r\n") },
        { 400, TEXT("GET / HTTP 1.1\r\nHost: a\r\n\r\n") },
        { 400, TEXT("GET /HTTP/1.1\r\nHost: a\r\n\r\n") },
        { 400, TEXT("GET / RTSP/1.0\r\nHost: a\r\n\r\n") },
        { 400, TEXT("GET rtsp://a/b RTSP/1.0\r\n\r\n") },
        { 400, TEXT("DESCRIBE rtsp://a/b RTSP/1.0\r\nCSeq: 1\r\n\r\n") },
        { 400, TEXT("SOURCE /live ICE/1.0\r\n\r\n") },
        { 400, TEXT("GET / ICE/1.0\r\n\r\n") },
        { 400, TEXT("HTTP/1.1 200 OK\r\nHost: a\r\n\r\n") },
        { 400, TEXT("a: b\r\n\r\n") },
        { 400, TEXT("\x16\x03\x01\x02\r\n\r\n") }, /* TLS on a plain port */
        { 400, TEXT("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n") },
        { 400, TEXT("GET a HTTP/1.1\r\nHost: a\r\n\r\n") },
    };
    check_heads(cases, COUNT(cases));
}

static void lines(void **state)
{
    (void)state;
    static const head_case cases[] = {
        { 400, TEXT("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n") },
        { 400, TEXT("GET /\t HTTP/1.1\r\nHost: a\r\n\r\n") },
        { 400, TEXT("GET /caf\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n") },
        { 400, TEXT("GET / HTTP/1.1\nHost: a\n\n") },
        { 400, TEXT("GET / HTTP/1.1\r\nHost: a\n\r\n") },
        { 400, TEXT("GET / HTTP/1.1\r\nHost: a\r\n\n") },
        { 400, TEXT("GET / HTTP/1.1\r\nHost: a\r\n\rX") },
        { 400, TEXT("GET / HTTP/1.1\rHost: a\r\n\r\n") },
        { 400, TEXT(GET("X: a\rb")) },
        { 400, TEXT(GET("X: a\0b")) },
        { 400, TEXT(GET("X: a\x0b")) },
        { 400, TEXT(GET("X: a\r\n folded")) },
        { 400, TEXT(GET("X: a\r\n\tfolded")) },
        { 400, TEXT("GET / HTTP/1.1\r\n Host: a\r\n\r\n") },
        { 400, TEXT(GET("X : a")) },
        { 400, TEXT(GET("X\t: a")) },
        { 400, TEXT(GET("X")) },
        { 400, TEXT(GET(": a")) },
        { 400, TEXT(GET("X Y: a")) },
        { 400, TEXT(GET("X@: a")) },
        { 400, TEXT(GET("X(: a")) },
        { 400, TEXT(GET("\"X\": a")) },
        { 400, TEXT(GET("{X}: a")) },
        { 400, TEXT(GET("X/: a")) },
        { 400, TEXT(GET("X=: a")) },
        { 400, TEXT(GET("caf\xc3\xa9: a")) },
        { 0, TEXT(GET("X: caf\xc3\xa9 \xff")) },
        { 0, TEXT(GET("X: a\tb")) },
        { 0, TEXT(GET("!#$%&'*+-.^_`|~09: a")) },
        { 0, TEXT(GET("X: :a: \"b\" (c) {d}")) },
    };
    check_heads(cases, COUNT(cases));
}

static void hosts(void **state)
{
    (void)state;
    static const head_case cases[] = {
        { 0, TEXT("GET / HTTP/1.1\r\nhOST:a\r\n\r\n") },
        { 0, TEXT("GET / HTTP/1.1\r\nHost: \t[::1]:80 \r\n\r\n") },
        { 0, TEXT("GET / HTTP/1.0\r\nHost: a\r\n\r\n") },
        { 0, TEXT("GET / HTTP/1.0\r\n\r\n") },
        { 400, TEXT("GET / HTTP/1.1\r\n\r\n") },
        { 400, TEXT("GET / HTTP/1.1\r\nX: a\r\n\r\n") },
        { 400, TEXT("GET http://a/ HTTP/1.1\r\n\r\n") },
        { 400, TEXT("GET / HTTP/1.1\r\nHost:\r\n\r\n") },
        { 400, TEXT("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n") },
        { 400, TEXT("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nHOST: b\r\n\r\n") },
        { 400, TEXT("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n") },
        { 400, TEXT("GET / HTTP/1.0\r\nHost: a b\r\n\r\n") },
        { 400, TEXT("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n") },
        { 400, TEXT("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n") },
        { 400, TEXT("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n") },
        { 400, TEXT("GET / HTTP/1.1\r\nHost: http://a\r\n\r\n") },
        { 400, TEXT("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n") },
        { 400, TEXT("GET / HTTP/1.1\r\nHost: caf\xc3\xa9\r\n\r\n") },
    };
    check_heads(cases, COUNT(cases));
    check_head(TEXT("GET / HTTP/1.0\r\n\r\n"), 0);
    assert_null(head.host);
    assert_int_equal(head.field_count, 0);
}

static void content_length(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;
        int64_t length;
    } good[] = {
        { TEXT(POST("Content-Length: 0")), 0 },
        { TEXT(POST("Content-Length:5")), 5 },
        { TEXT(POST("Content-Length: \t5  ")), 5 },
        { TEXT(POST("Content-Length: 0005")), 5 },
        { TEXT(POST("Content-Length: 1048576")), 1048576 },
        { TEXT(POST("Content-Length: 4294967296")), 4294967296 },
        { TEXT(POST("Content-Length: 9223372036854775807")), INT64_MAX },
        { TEXT(POST("X: Content-Length: 5")), -1 },
    };
    for (size_t i = 0; i < COUNT(good); i++) {
        check_head(good[i].text, good[i].size, 0);
        assert_int_equal(head.content_length, good[i].length);
        assert_int_equal(head.has_body, good[i].length > 0);
    }
    static const head_case bad[] = {
        { 400, TEXT(POST("Content-Length:")) },
        { 400, TEXT(POST("Content-Length: +5")) },
        { 400, TEXT(POST("Content-Length: -5")) },
        { 400, TEXT(POST("Content-Length: -0")) },
        { 400, TEXT(POST("Content-Length: 0x5")) },
        { 400, TEXT(POST("Content-Length: 5a")) },
        { 400, TEXT(POST("Content-Length: a")) },
        { 400, TEXT(POST("Content-Length: 5 5")) },
        { 400, TEXT(POST("Content-Length: 5, 5")) },
        { 400, TEXT(POST("Content-Length: 5,5")) },
        { 400, TEXT(POST("Content-Length: 5,")) },
        { 400, TEXT(POST("Content-Length: ,5")) },
        { 400, TEXT(POST("Content-Length: 5;a")) },
        { 400, TEXT(POST("Content-Length: 5.0")) },
        { 400, TEXT(POST("Content-Length: 5e1")) },
        { 400, TEXT(POST("Content-Length: \"5\"")) },
        { 400, TEXT(POST("Content-Length: 5\xc2\xa0")) },
        { 400, TEXT(POST("Content-Length: 5\r\nContent-Length: 5")) },
        { 400, TEXT(POST("Content-Length: 5\r\nContent-Length: 6")) },
        { 400, TEXT(POST("Content-Length: 0\r\ncontent-length: 0")) },
        { 400, TEXT(POST("Content-Length: 5\r\nX: y\r\nContent-Length:")) },
        { 400, TEXT(POST("Content-Length : 5")) },
        { 400, TEXT(POST("Content-Length: 9223372036854775808")) },
        { 400, TEXT(POST("Content-Length: 18446744073709551615")) },
        { 400, TEXT(POST("Content-Length: 18446744073709551616")) },
        { 400, TEXT(POST("Content-Length: 18446744073709551621")) }, /* 5, were it to wrap */
        { 400, TEXT(POST("Content-Length: 100000000000000000000000000000000000000000")) },
    };
    check_heads(bad, COUNT(bad));
}

static void transfer_encoding(void **state)
{
    (void)state;
    static const head_case good[] = {
        { 0, TEXT(POST("Transfer-Encoding: chunked")) },
        { 0, TEXT(POST("transfer-encoding:\tCHUNKED \t")) },
        { 0, TEXT("GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n") },
    };
    for (size_t i = 0; i < COUNT(good); i++) {
        check_head(good[i].text, good[i].size, 0);
        assert_true(head.is_chunked && head.has_body && head.keep_alive);
        assert_int_equal(head.content_length, -1);
    }
    static const head_case bad[] = {
        { 400, TEXT(POST("Transfer-Encoding: chunked\r\nContent-Length: 5")) },
        { 400, TEXT(POST("Content-Length: 5\r\nTransfer-Encoding: chunked")) },
        { 400, TEXT(POST("Content-Length: 0\r\nTransfer-Encoding: chunked")) },
        { 400, TEXT(POST("Content-Length: 5\r\nTransfer-Encoding: gzip")) },
        { 400, TEXT(POST("Transfer-Encoding: identity\r\nContent-Length: 5")) },
        { 501, TEXT(POST("Transfer-Encoding: gzip")) },
        { 501, TEXT(POST("Transfer-Encoding: identity")) },
        { 501, TEXT(POST("Transfer-Encoding: gzip, chunked")) },
        { 501, TEXT(POST("Transfer-Encoding: gzip;q=1, chunked")) },
        { 501, TEXT(POST("Transfer-Encoding: xchunked")) },
        { 501, TEXT(POST("Transfer-Encoding: chunkedx")) },
        { 400, TEXT(POST("Transfer-Encoding: chunked, gzip")) },
        { 400, TEXT(POST("Transfer-Encoding: chunked, identity")) },
        { 400, TEXT(POST("Transfer-Encoding: chunked, chunked")) },
        { 400, TEXT(POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked")) },
        { 400, TEXT(POST("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked")) },
        { 400, TEXT(POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip")) },
        { 400, TEXT(POST("Transfer-Encoding: chunked,")) },
        { 400, TEXT(POST("Transfer-Encoding: ,chunked")) },
        { 400, TEXT(POST("Transfer-Encoding: chunked;a=b")) },
        { 400, TEXT(POST("Transfer-Encoding: \"chunked\"")) },
        { 400, TEXT(POST("Transfer-Encoding: chun ked")) },
        { 400, TEXT(POST("Transfer-Encoding: chunked chunked")) },
        { 400, TEXT(POST("Transfer-Encoding: gzip chunked")) },
        { 400, TEXT(POST("Transfer-Encoding:")) },
        { 400, TEXT(POST("Transfer-Encoding: ,")) },
        { 400, TEXT(POST("Transfer-Encoding: \x0b"
                         "chunked")) },
        { 400, TEXT(POST("Transfer-Encoding: chunked\x0b")) },
        { 400, TEXT(POST("Transfer-Encoding : chunked")) },
        { 400, TEXT(POST("Transfer-Encoding\t: chunked")) },
        { 400, TEXT(POST("Transfer-Encoding:\r\n chunked")) },
        { 400, TEXT("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n") },
        { 400, TEXT("POST / HTTP/1.0\r\nTransfer-Encoding: gzip\r\n\r\n") },
    };
    check_heads(bad, COUNT(bad));
}

static void keep_alive(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;
        bool expected;
    } cases[] = {
        { TEXT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), true },
        { TEXT(GET("Connection: close")), false },
        { TEXT(GET("Connection: close\t")), false }, /* llhttp overlooks this one */
        { TEXT(GET("Connection:CLOSE")), false },
        { TEXT(GET("Connection: keep-alive, Close")), false },
        { TEXT(GET("Connection: close, keep-alive")), false },
        { TEXT(GET("Connection: ,,close ,")), false },
        { TEXT(GET("Connection: Upgrade,\tclose")), false },
        { TEXT(GET("Connection: keep-alive\r\nConnection: close")), false },
        { TEXT(GET("Connection: close\r\nConnection: keep-alive")), false },
        { TEXT(GET("Connection: closed")), true },
        { TEXT(GET("Connection: clos")), true },
        { TEXT(GET("Connection: not close")), true },
        { TEXT(GET("Connection:")), true },
        { TEXT(GET("Proxy-Connection: close")), true },
        { TEXT("GET / HTTP/1.0\r\n\r\n"), false },
        { TEXT("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), true },
        { TEXT("GET / HTTP/1.0\r\nConnection: x, Keep-Alive\t\r\n\r\n"), true },
        { TEXT("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"), false },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        check_head(cases[i].text, cases[i].size, 0);
        if (head.keep_alive != cases[i].expected)
            fail_msg("keep-alive of:\n%s", cases[i].text);
    }
}

static void upgrades(void **state)
{
    (void)state;
    check_head(TEXT(GET("Connection: Upgrade\r\nUpgrade: websocket")), 0);
    assert_true(head.wants_upgrade && head.keep_alive);
    check_head(TEXT(GET("Upgrade: websocket\r\nConnection: keep-alive, uPGRADE")), 0);
    assert_true(head.wants_upgrade);
    check_head(TEXT(GET("Upgrade: websocket\r\nUpgrade:\r\nConnection: upgrade")), 0);
    assert_true(head.wants_upgrade);
    check_head(TEXT(POST("Upgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 3")), 0);
    assert_true(head.wants_upgrade && head.has_body);
    check_head(TEXT(GET("Upgrade: websocket")), 0);
    assert_false(head.wants_upgrade);
    check_head(TEXT(GET("Connection: upgrade")), 0);
    assert_false(head.wants_upgrade);
    check_head(TEXT("GET / HTTP/1.0\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"), 0);
    assert_false(head.wants_upgrade);
}

static void expectations(void **state)
{
    (void)state;
    check_head(TEXT(POST("Expect: 100-continue\r\nContent-Length: 5")), 0);
    assert_true(head.expects_continue && !head.expects_unknown);
    check_head(TEXT(POST("Expect: 100-Continue\t\r\nTransfer-Encoding: chunked")), 0);
    assert_true(head.expects_continue && !head.expects_unknown);
    check_head(TEXT(POST("Expect: 100-continue\r\nContent-Length: 0")), 0); /* nothing to continue with */
    assert_false(head.expects_continue || head.expects_unknown);
    check_head(TEXT("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"), 0);
    assert_false(head.expects_continue || head.expects_unknown);
    check_head(TEXT(POST("Expect: 200-ok\r\nContent-Length: 5")), 0);
    assert_true(!head.expects_continue && head.expects_unknown);
    check_head(TEXT(POST("Expect: 100-continue, x\r\nContent-Length: 5")), 0);
    assert_true(head.expects_unknown);
    check_head(TEXT(POST("Expect: 100-continue\r\nExpect: x=y\r\nContent-Length: 5")), 0);
    assert_true(head.expects_unknown);
    check_head(TEXT(POST("Expect: ,\r\nContent-Length: 5")), 0);
    assert_false(head.expects_continue || head.expects_unknown);
}

/* The largest head that is possible, and one of a hundred fields. */
static void largest_heads(void **state)
{
    (void)state;
    static char text[WEFT_HTTP_HEAD_MAX + 16];
    size_t at = (size_t)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\nX: ");
    memset(text + at, 'x', sizeof(text) - at);
    memcpy(text + WEFT_HTTP_HEAD_MAX - 10, "\r\nY: z\r\n\r\n", 10);
    char *data = malloc(WEFT_HTTP_HEAD_MAX);
    assert_non_null(data);
    memcpy(data, text, WEFT_HTTP_HEAD_MAX);
    assert_int_equal(weft_http_head_parse(&head, &arena, data, WEFT_HTTP_HEAD_MAX, 3), 0);
    assert_string_equal(weft_http_head_find(&head, "y"), "z");
    assert_int_equal(head.fields[1].value_size, WEFT_HTTP_HEAD_MAX - 10 - at);
    free(data);
    memcpy(text + WEFT_HTTP_HEAD_MAX - 9, "\r\nY: z\r\n\r\n", 10);
    assert_int_equal(weft_http_head_parse(&head, &arena, text, WEFT_HTTP_HEAD_MAX + 1, 3), 431);

    at = (size_t)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 1; i < 100; i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "X-%d: %d\r\n", i, i);
    at += (size_t)snprintf(text + at, sizeof(text) - at, "\r\n");
    check_head(text, at, 0);
    assert_int_equal(head.field_count, 100);
    assert_string_equal(weft_http_head_find(&head, "x-99"), "99");
}

/* Two readings of the same bytes are never both right. */
static void readings_must_agree(void **state)
{
    (void)state;
    static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
    char data[sizeof(text)];
    for (int count = 0; count < 5; count++) {
        memcpy(data, text, sizeof(text));
        int status = weft_http_head_parse(&head, &arena, data, sizeof(text) - 1, count);
        assert_int_equal(status, count == 2 ? 0 : 400);
    }
    memcpy(data, text, sizeof(text));
    assert_int_equal(weft_http_head_parse(&head, &arena, data, sizeof(text) - 3, 2), 400); /* no blank line */
    memcpy(data, text, sizeof(text));
    assert_int_equal(weft_http_head_parse(&head, &arena, data, sizeof(text), 2), 400); /* a byte behind it */
}

static void out_of_memory(void **state)
{
    (void)state;
    weft_faults faults = { .fail_at = 1 };
    char data[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    weft_arena empty;
    weft_arena_init(&empty, &pool);
    weft_arena_pool none;
    weft_arena_pool_init(&none, 0);
    empty.pool = &none;
    weft_mem_set_faults(&faults);
    int rc = weft_http_head_parse(&head, &empty, data, sizeof(data) - 1, 1);
    weft_mem_set_faults(NULL);
    assert_int_equal(rc, -ENOMEM);
    assert_int_equal(weft_http_head_parse(&head, &empty, data, sizeof(data) - 1, 1), 0);
    weft_arena_free(&empty);
}

/* What all heads of these tests were compared for was there to be compared: two ways to cut them. */
static void the_check_has_cut_many(void **state)
{
    (void)state;
#if defined(__SSE2__) || defined(__aarch64__)
    assert_true(cut_by_check > 300);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_all_parts),
        cmocka_unit_test(names_differ_by_case_only),
        cmocka_unit_test(methods),
        cmocka_unit_test(request_lines),
        cmocka_unit_test(lines),
        cmocka_unit_test(hosts),
        cmocka_unit_test(content_length),
        cmocka_unit_test(transfer_encoding),
        cmocka_unit_test(keep_alive),
        cmocka_unit_test(upgrades),
        cmocka_unit_test(expectations),
        cmocka_unit_test(largest_heads),
        cmocka_unit_test(readings_must_agree),
        cmocka_unit_test(out_of_memory),
        cmocka_unit_test(the_check_has_cut_many), /* the last */
    };
    return cmocka_run_group_tests_name("http head", tests, setup, teardown);
}
