/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Chunked bodies: what is found and refused, written by hand; limits to the byte; that nothing depends on how the bytes were
 * cut (every text goes through whole, split in two at each byte, and byte by byte); and bodies made at random, which come out
 * as they went in. Each piece is allocated to its exact size and freed at once, so that the address sanitizer sees a byte
 * read too many, or too late.
 */
#include "tests/unit/unit.h"

#include "lib/base/arena.h"
#include "lib/base/memory.h"
#include "lib/base/random.h"
#include "lib/http/chunked.h"

static const weft_chunked_limits defaults = WEFT_CHUNKED_LIMITS_DEFAULT;

typedef struct outcome {
    int rc;       /* WEFT_CHUNKED_MORE, WEFT_CHUNKED_END or a negative status */
    size_t given; /* bytes that it took to know */
    size_t end;   /* bytes taken, when the body has ended */
    int64_t declared;
    char payload[1 << 16];
    size_t payload_size;
    char trailers[1 << 15]; /* "name=value;" for each */
    const char *reason;
} outcome;

typedef struct decoder {
    weft_arena_pool pool;
    weft_arena arena;
    weft_chunked *chunked;
} decoder;

static void open_decoder(decoder *d, const weft_chunked_limits *limits)
{
    weft_arena_pool_init(&d->pool, 0);
    weft_arena_init(&d->arena, &d->pool);
    d->chunked = weft_chunked_new(&d->arena, limits);
    assert_non_null(d->chunked);
}

static void close_decoder(decoder *d)
{
    weft_arena_free(&d->arena);
    weft_arena_pool_close(&d->pool);
}

/* One piece, of which it may take several rounds to take all. The last result. */
static int feed_piece(weft_chunked *chunked, const char *text, size_t size, outcome *o)
{
    char *data = malloc(size ? size : 1);
    assert_non_null(data);
    memcpy(data, text, size);
    int rc;
    size_t at = 0;
    do {
        size_t consumed;
        weft_bytes payload = { 0 };
        rc = weft_chunked_next(chunked, data + at, size - at, &consumed, &payload);
        if (rc < 0)
            break;
        assert_true(consumed <= size - at);
        if (rc == WEFT_CHUNKED_PAYLOAD) {
            assert_true(payload.size > 0 && payload.size <= consumed);
            assert_ptr_equal(payload.data + payload.size, data + at + consumed);
            assert_true(o->payload_size + payload.size <= sizeof(o->payload));
            memcpy(o->payload + o->payload_size, payload.data, payload.size);
            o->payload_size += payload.size;
            assert_true(weft_chunked_declared(chunked) >= (int64_t)o->payload_size);
        }
        at += consumed;
    } while (rc == WEFT_CHUNKED_PAYLOAD);
    if (rc == WEFT_CHUNKED_MORE)
        assert_int_equal(at, size);
    o->end = o->given + at;
    o->given += size;
    free(data);
    return rc;
}

static void note_trailers(const weft_chunked *chunked, outcome *o)
{
    int count;
    size_t at = 0;
    const weft_trailer *trailers = weft_chunked_trailers(chunked, &count);
    for (int i = 0; i < count; i++) {
        assert_int_equal(strlen(trailers[i].name.data), trailers[i].name.size);
        assert_int_equal(strlen(trailers[i].value.data), trailers[i].value.size);
        at += (size_t)snprintf(o->trailers + at, sizeof(o->trailers) - at, "%s=%s;", trailers[i].name.data,
                               trailers[i].value.data);
        assert_true(at < sizeof(o->trailers));
    }
    o->trailers[at] = '\0';
}

/* In pieces that end at `first` and then every `step` bytes. */
static void decode(const char *text, size_t size, size_t first, size_t step, const weft_chunked_limits *limits, outcome *o)
{
    decoder d;
    open_decoder(&d, limits);
    o->rc = WEFT_CHUNKED_MORE;
    o->given = o->end = o->payload_size = 0;
    for (size_t at = 0, next = first; o->rc == WEFT_CHUNKED_MORE; at = next, next += step) {
        if (next > size)
            next = size;
        o->rc = feed_piece(d.chunked, text + at, next - at, o);
        if (next == size)
            break;
    }
    o->declared = weft_chunked_declared(d.chunked);
    o->reason = weft_chunked_reason(d.chunked);
    assert_true((o->reason != NULL) == (o->rc < 0));
    note_trailers(d.chunked, o);
    if (o->rc != WEFT_CHUNKED_MORE) { /* final: whatever comes, nothing changes */
        size_t consumed = 1;
        weft_bytes payload;
        assert_int_equal(weft_chunked_next(d.chunked, "1\r\na\r\n", 6, &consumed, &payload), o->rc);
        assert_int_equal(consumed, 0);
    }
    close_decoder(&d);
}

static void assert_same(const outcome *a, const outcome *b)
{
    assert_int_equal(a->rc, b->rc);
    assert_int_equal(a->declared, b->declared);
    assert_int_equal(a->payload_size, b->payload_size);
    assert_memory_equal(a->payload, b->payload, a->payload_size);
    assert_string_equal(a->trailers, b->trailers);
    if (a->rc == WEFT_CHUNKED_END)
        assert_int_equal(a->end, b->end);
    if (a->rc < 0)
        assert_string_equal(a->reason, b->reason);
}

/* The outcome, the same in every split; `given` is from the byte by byte one. Static, and good until the next call. */
static const outcome *decode_all_ways(const char *text, size_t size, const weft_chunked_limits *limits)
{
    static outcome whole, cut;
    decode(text, size, size, 1, limits, &whole);
    for (size_t split = 0; split < size; split++) {
        decode(text, size, split, size, limits, &cut);
        assert_same(&cut, &whole);
    }
    decode(text, size, 0, 1, limits, &cut);
    assert_same(&cut, &whole);
    return &cut;
}

typedef struct good_case {
    const char *text;
    size_t size, behind_size; /* with what lies behind it */
    const char *payload, *trailers;
} good_case;

#define GOOD(text, behind, payload, trailers)                                                                                  \
    {                                                                                                                          \
        TEXT(text behind), sizeof(behind) - 1, payload, trailers                                                               \
    }

static void check_good(const good_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const outcome *o = decode_all_ways(cases[i].text, cases[i].size, &defaults);
        assert_int_equal(o->rc, WEFT_CHUNKED_END);
        assert_int_equal(o->end, cases[i].size - cases[i].behind_size);
        assert_int_equal(o->given, o->end); /* known at once, without a byte of what is behind */
        assert_int_equal(o->payload_size, strlen(cases[i].payload));
        assert_int_equal(o->declared, o->payload_size);
        assert_memory_equal(o->payload, cases[i].payload, o->payload_size);
        assert_string_equal(o->trailers, cases[i].trailers);
    }
}

static void reads_bodies(void **state)
{
    (void)state;
    static const good_case cases[] = {
        GOOD("0\r\n\r\n", "", "", ""),
        GOOD("0\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "", ""),
        GOOD("0\r\n\r\n", "\r\n", "", ""),
        GOOD("5\r\nhello\r\n0\r\n\r\n", "", "hello", ""),
        GOOD("5\r\nhello\r\n7\r\n, world\r\n1\r\n!\r\n0\r\n\r\n", "0\r\n\r\n", "hello, world!", ""),
        GOOD("a\r\n0123456789\r\nA\r\nabcdefghij\r\n00\r\n\r\n", "x", "0123456789abcdefghij", ""),
        GOOD("1A\r\nabcdefghijklmnopqrstuvwxyz\r\n1b\r\nABCDEFGHIJKLMNOPQRSTUVWXYZ-\r\n000\r\n\r\n", "",
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-", ""),
        GOOD("0000000000000003\r\nabc\r\n0000000000000000\r\n\r\n", "", "abc", ""), /* 16 digits */
        GOOD("9\r\n\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n", "", "\r\n0\r\n\r\n\r\n", ""),
        GOOD("3\r\n\n\r\t\r\n0\r\n\r\n", "\n", "\n\r\t", ""), /* payload may be anything */
    };
    check_good(cases, COUNT(cases));
}

static void passes_extensions_over(void **state)
{
    (void)state;
    static const good_case cases[] = {
        GOOD("1;a\r\nx\r\n0;b\r\n\r\n", "", "x", ""),
        GOOD("1;a;b;c\r\nx\r\n0\r\n\r\n", "", "x", ""),
        GOOD("1;a=b\r\nx\r\n1;a=b;c=d\r\ny\r\n0;e=f\r\n\r\n", "", "xy", ""),
        GOOD("1;a=\"\"\r\nx\r\n0\r\n\r\n", "", "x", ""),
        GOOD("1;a=\"b c\td;e=f,\x80\xff\"\r\nx\r\n0\r\n\r\n", "", "x", ""),
        GOOD("1;a=\"\\\"\\\\\\a\\ \";b\r\nx\r\n0\r\n\r\n", "", "x", ""),
        GOOD("1;!#$%&'*+-.^_`|~09azAZ=!#$%&'*+-.^_`|~09azAZ\r\nx\r\n0\r\n\r\n", "", "x", ""),
    };
    check_good(cases, COUNT(cases));
}

static void reads_trailers(void **state)
{
    (void)state;
    static const good_case cases[] = {
        GOOD("0\r\nA: b\r\n\r\n", "", "", "A=b;"),
        GOOD("1\r\nx\r\n0\r\nA:b\r\nLong-Name: \t a value, of words \t\r\n\r\n", "\r\n", "x",
             "A=b;Long-Name=a value, of words;"),
        GOOD("0\r\nA:\r\nB: \t\r\nA: 2\r\n\r\n", "A: 3\r\n\r\n", "", "A=;B=;A=2;"),
        GOOD("0\r\nA: caf\xc3\xa9\r\n\r\n", "", "", "A=caf\xc3\xa9;"),
        GOOD("0;ext=1\r\nA: b:c;d\r\n\r\n", "", "", "A=b:c;d;"),
        /* left out: RFC 9110 §6.5.1 */
        GOOD("0\r\nAuthorization: Basic YQ==\r\nA: b\r\nCookie: a=b\r\nContent-Type: text/html\r\n\r\n", "", "", "A=b;"),
        GOOD("0\r\nconnection: close\r\nUPGRADE: h2c\r\nExpect: 100-continue\r\nTrailer: X\r\nIf-Match: *\r\n\r\n", "GET", "",
             ""),
        GOOD("0\r\nConnection: upgrade\r\nUpgrade: websocket\r\nX-Forwarded-For: ::1\r\nB: c\r\n\r\n", "", "", "B=c;"),
    };
    check_good(cases, COUNT(cases));
}

static void finds_trailers(void **state)
{
    (void)state;
    static const char text[] = "0\r\nFirst: 1\r\nhost-not: 2\r\nFIRST: 3\r\nRange: x\r\n\r\n";
    decoder d;
    static outcome o;
    open_decoder(&d, &defaults);
    o.payload_size = o.given = 0;
    assert_int_equal(feed_piece(d.chunked, text, sizeof(text) - 3, &o), WEFT_CHUNKED_MORE);
    assert_null(weft_chunked_find(d.chunked, "First")); /* not before the end */
    assert_int_equal(feed_piece(d.chunked, text + sizeof(text) - 3, 2, &o), WEFT_CHUNKED_END);
    assert_string_equal(weft_chunked_find(d.chunked, "first"), "1");
    assert_string_equal(weft_chunked_find(d.chunked, "Host-Not"), "2");
    assert_null(weft_chunked_find(d.chunked, "range"));
    assert_null(weft_chunked_find(d.chunked, "firs"));
    close_decoder(&d);
}

static void waits_for_more(void **state)
{
    (void)state;
    static const char text[] = "2;a=\"b\"\r\nxy\r\n0\r\nA: b\r\n\r\n";
    for (size_t size = 0; size < sizeof(text) - 1; size++) {
        const outcome *o = decode_all_ways(text, size, &defaults);
        assert_int_equal(o->rc, WEFT_CHUNKED_MORE);
        assert_int_equal(o->declared, size < 9 ? 0 : 2);
        assert_int_equal(o->payload_size, size < 10 ? 0 : size == 10 ? 1 : 2);
        assert_string_equal(o->trailers, "");
    }
}

/* The size is known before a byte of the chunk is there. */
static void tells_the_size_at_once(void **state)
{
    (void)state;
    assert_int_equal(decode_all_ways(TEXT("7ffffffffffffff\r"), &defaults)->declared, 0);
    assert_int_equal(decode_all_ways(TEXT("7ffffffffffffff\r\n"), &defaults)->declared, 0x7ffffffffffffff);
    assert_int_equal(decode_all_ways(TEXT("7fffffffffffffff\r\n"), &defaults)->declared, INT64_MAX);
    assert_int_equal(decode_all_ways(TEXT("1\r\na\r\nff;x\r\n"), &defaults)->declared, 256);
}

typedef struct bad_case {
    const char *text;
    size_t size;
    int status;
    size_t noticed; /* bytes after which it must be known */
} bad_case;

#define BAD(start, rest)                                                                                                       \
    {                                                                                                                          \
        TEXT(start rest), -400, sizeof(start) - 1                                                                              \
    } /* known after the last byte of `start` */
#define LATE(text)                                                                                                             \
    {                                                                                                                          \
        TEXT(text "0\r\n\r\n"), -400, sizeof(text) - 1                                                                         \
    } /* known once the trailers have ended */

static void check_bad(const bad_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const outcome *o = decode_all_ways(cases[i].text, cases[i].size, &defaults);
        assert_int_equal(o->rc, cases[i].status);
        assert_int_equal(o->given, cases[i].noticed);
    }
}

static void refuses_bad_sizes(void **state)
{
    (void)state;
    static const bad_case cases[] = {
        BAD("\r", "\n"),
        BAD("\n", ""),
        BAD(";", "a\r\n"),
        BAD("-", "1\r\na\r\n"),
        BAD("+", "1\r\na\r\n"),
        BAD(" ", "1\r\na\r\n"),
        BAD("\t", "1\r\na\r\n"),
        BAD("1 ", "\r\na\r\n"),
        BAD("1\t", "\r\na\r\n"),
        BAD("1 ", ";a\r\na\r\n"),
        BAD("0x", "1\r\na\r\n"),
        BAD("0X", "1\r\na\r\n"),
        BAD("1h", "\r\n"),
        BAD("g", "\r\n"),
        BAD("1G", "\r\n"),
        BAD("@", "\r\n"),
        BAD("`", "\r\n"),
        BAD("/", "\r\n"),
        BAD(":", "\r\n"),
        BAD("1_", "0\r\n"),
        BAD("1,", "0\r\n"),
        BAD("1.", "0\r\n"),
        BAD("\0", "1\r\n"),
        BAD("1\0", "\r\n"),
        BAD("\x80", "1\r\n"),
        BAD("\x11", "\r\n"), /* a digit but for one bit */
        BAD("1\x10", "\r\n"),
        BAD("00000000000000000", "\r\n\r\n"), /* 17 digits */
        BAD("00000000000000001", "\r\na\r\n"),
        BAD("8000000000000000", "\r\n"),
        BAD("ffffffffffffffff", "\r\n"),
        BAD("10000000000000000", "\r\n"),
        BAD("1\r\na\r\n-", "1\r\n"),
        BAD("1\r\na\r\n\r", "\n0\r\n\r\n"),
    };
    check_bad(cases, COUNT(cases));
}

static void refuses_bad_line_ends(void **state)
{
    (void)state;
    static const bad_case cases[] = {
        BAD("1\n", "a\r\n0\r\n\r\n"),
        BAD("1\ra", "\r\n0\r\n\r\n"),
        BAD("1\r\r", "\na\r\n0\r\n\r\n"),
        BAD("0\n", "\r\n"),
        BAD("0\r\n\n", ""),
        BAD("0\r\r", "\n\r\n"),
        BAD("0\r\n\r0", ""),
        BAD("0\r\n\r\r", "\n"),
        BAD("1;a\n", "a\r\n"),
        BAD("1;a\rb", "\n"),
        BAD("1;a=b\n", "a\r\n"),
        BAD("1;a=\"\n", "\"\r\n"),
        BAD("1;a=\"\r", "\n\"\r\n"),
        BAD("1;a=\"\\\r", "\n\"\r\n"),
        BAD("1\r\na\n", "0\r\n\r\n"),
        BAD("1\r\na\r0", "\r\n\r\n"),
        BAD("1\r\nab", "\r\n0\r\n\r\n"), /* more payload than was said */
        BAD("1\r\na0", "\r\n\r\n"),
        BAD("2\r\na\r\n", "0\r\n\r\n"), /* less: what is taken for its CR is LF */
    };
    check_bad(cases, COUNT(cases));
}

static void refuses_bad_extensions(void **state)
{
    (void)state;
    static const bad_case cases[] = {
        BAD("1;\r", "\n"),           BAD("1;;", "a\r\n"),           BAD("1; ", "a\r\n"),       BAD("1;a ", "\r\n"),
        BAD("1;a ", "=b\r\n"),       BAD("1;a= ", "b\r\n"),         BAD("1;a=\r", "\n"),       BAD("1;a=;", "b\r\n"),
        BAD("1;a=b ", "\r\n"),       BAD("1;a=b=", "c\r\n"),        BAD("1;=", "b\r\n"),       BAD("1;a=b\"", "c\"\r\n"),
        BAD("1;\"", "a\"\r\n"),      BAD("1;a=\"b\"c", "\r\n"),     BAD("1;a=\"b\" ", "\r\n"), BAD("1;a=\"b\"\"", "\"\r\n"),
        BAD("1;a\0", "\r\n"),        BAD("1;a=\"\0", "\"\r\n"),     BAD("1;a=\x01", "\r\n"),   BAD("1;a=\"\x1f", "\"\r\n"),
        BAD("1;a=\"\x7f", "\"\r\n"), BAD("1;a=\"\\\x7f", "\"\r\n"), BAD("1;\x80", "\r\n"),     BAD("1;a=\x80", "\r\n"),
        BAD("1;a(", ")\r\n"),        BAD("1;a,", "b\r\n"),          BAD("1;a=b;\r", "\n"),     BAD("0;\t", "a\r\n\r\n"),
    };
    check_bad(cases, COUNT(cases));
}

static void refuses_bad_trailers(void **state)
{
    (void)state;
    static const bad_case cases[] = {
        BAD("0\r\n ", "A: b\r\n\r\n"),
        BAD("0\r\nA: b\r\n ", "c\r\n\r\n"),
        BAD("0\r\n:", " b\r\n\r\n"),
        BAD("0\r\nA ", ": b\r\n\r\n"),
        BAD("0\r\nA\r", "\n\r\n"),
        BAD("0\r\nA: b\n", "\r\n"),
        BAD("0\r\nA: b\rc", "\r\n\r\n"),
        BAD("0\r\nA: \0", "\r\n\r\n"),
        BAD("0\r\nA: \x7f", "\r\n\r\n"),
        BAD("0\r\nA\x80", ": b\r\n\r\n"),
        LATE("0\r\nA@: b\r\n\r\n"),
        LATE("0\r\nA: b\r\n(): c\r\n\r\n"),
        LATE("0\r\nContent-Length: 0\r\n\r\n"),
        LATE("1\r\na\r\n0\r\nA: b\r\ncontent-LENGTH: 5\r\n\r\n"),
        LATE("0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        LATE("0\r\ntransfer-encoding:\r\n\r\n"),
        LATE("0\r\nHost: a\r\n\r\n"),
    };
    check_bad(cases, COUNT(cases));
}

static void refuses_a_body_beyond_measure(void **state)
{
    (void)state;
    static const char text[] = "1\r\na\r\n7fffffffffffffff\r\n";
    const outcome *o = decode_all_ways(TEXT(text), &defaults);
    assert_int_equal(o->rc, -413);
    assert_int_equal(o->declared, 1);
    assert_int_equal(decode_all_ways(TEXT("1\r\na\r\n7ffffffffffffffe\r\n"), &defaults)->declared, INT64_MAX);
}

/* `text` passes within the limits, and gets `status` when the one at `limit` is smaller by one. */
static void check_limit(const char *text, weft_chunked_limits *limits, size_t *limit, int status)
{
    assert_int_equal(decode_all_ways(text, strlen(text), limits)->rc, WEFT_CHUNKED_END);
    --*limit;
    assert_int_equal(decode_all_ways(text, strlen(text), limits)->rc, status);
    ++*limit;
}

static void keeps_limits_to_the_byte(void **state)
{
    (void)state;
    weft_chunked_limits limits = { .size_line = 8, .extensions = 9, .trailer_field = 6, .trailers = 20, .trailer_count = 3 };
    check_limit("01;a=bcd\r\nx\r\n0\r\n\r\n", &limits, &limits.size_line, -400);
    check_limit("1;a=\"bc\"\r\nx\r\n0\r\n\r\n", &limits, &limits.size_line, -400);
    check_limit("00000001\r\nx\r\n0\r\n\r\n", &limits, &limits.size_line, -400);
    check_limit("1;abc\r\nx\r\n1;a\r\ny\r\n0;bc\r\n\r\n", &limits, &limits.extensions, -413); /* of the whole message */
    check_limit("0\r\nAb: cd\r\nA: b\r\n\r\n", &limits, &limits.trailer_field, -431);
    check_limit("0\r\nA:bcd\r\nAb: cd\r\n\r\nbehind", &limits, &limits.trailer_field, -431);
    check_limit("0\r\nAb: cd\r\nA:bc\r\nB:\r\n\r\n", &limits, &limits.trailers, -431); /* 8 + 6 + 4 + 2 */
    limits.trailers = 2;
    check_limit("0\r\n\r\n", &limits, &limits.trailers, -431);
    limits.trailers = 40;
    assert_int_equal(decode_all_ways(TEXT("0\r\nA:\r\nB:\r\nC:\r\n\r\n"), &limits)->rc, WEFT_CHUNKED_END);
    assert_int_equal(decode_all_ways(TEXT("0\r\nA:\r\nB:\r\nC:\r\nD:\r\n\r\n"), &limits)->rc, -431);
}

/* A body of `count` times `piece` between two texts. */
static char *repeat(const char *before, const char *piece, size_t count, const char *after, size_t *ret_size)
{
    size_t piece_size = strlen(piece), at = strlen(before);
    char *text = malloc(at + count * piece_size + strlen(after) + 1);
    assert_non_null(text);
    memcpy(text, before, at);
    for (size_t i = 0; i < count; i++, at += piece_size)
        memcpy(text + at, piece, piece_size);
    memcpy(text + at, after, strlen(after) + 1);
    *ret_size = at + strlen(after);
    return text;
}

static int repeated(const char *before, const char *piece, size_t count, const char *after)
{
    static outcome whole, cut;
    size_t size;
    char *text = repeat(before, piece, count, after, &size);
    decode(text, size, size, 1, &defaults, &whole);
    for (size_t step = 1; step < 5000; step = step * 7 + 1) {
        decode(text, size, step, step, &defaults, &cut);
        assert_same(&cut, &whole);
    }
    free(text);
    return whole.rc;
}

/* The limits that PROTOCOL promises. */
static void has_the_default_limits(void **state)
{
    (void)state;
    assert_int_equal(repeated("1;", "a", 254, "\r\nx\r\n0\r\n\r\n"), WEFT_CHUNKED_END);
    assert_int_equal(repeated("1;", "a", 255, "\r\nx\r\n0\r\n\r\n"), -400);
    assert_int_equal(repeated("", "1;a=bcde\r\nx\r\n", 585, "0;b\r\n\r\n"), -413); /* 4,095 and 2 */
    assert_int_equal(repeated("", "1;a=bcde\r\nx\r\n", 585, "0\r\n\r\n"), WEFT_CHUNKED_END);
    assert_int_equal(repeated("", "1;a=bcdef\r\nx\r\n", 512, "0\r\n\r\n"), WEFT_CHUNKED_END); /* 4,096 */
    assert_int_equal(repeated("", "1;a=bcdef\r\nx\r\n", 512, "0;b\r\n\r\n"), -413);
    assert_int_equal(repeated("1;", "a", 1000000, ""), -400); /* without an end */
    assert_int_equal(repeated("0\r\n", "A: b\r\n", 32, "\r\n"), WEFT_CHUNKED_END);
    assert_int_equal(repeated("0\r\n", "A: b\r\n", 33, "\r\n"), -431);
    assert_int_equal(repeated("0\r\nA:", "b", 8190, "\r\n\r\n"), WEFT_CHUNKED_END);
    assert_int_equal(repeated("0\r\nA:", "b", 8191, "\r\n\r\n"), -431);
    assert_int_equal(repeated("0\r\nA: b\r\nB:", "b", 100000, ""), -431);
    char line[1025], last[1025]; /* 16 lines of 1,024 bytes with their CRLF, but for the blank line's two, are 16,384 */
    memset(line, 'v', sizeof(line) - 1);
    memcpy(line, "Nm:", 3);
    memcpy(line + 1022, "\r\n", 3);
    snprintf(last, sizeof(last), "Nm:%.1017s\r\n\r\n", line + 3);
    assert_int_equal(strlen(last), 1024);
    assert_int_equal(repeated("0\r\n", line, 15, last), WEFT_CHUNKED_END);
    last[1020] = 'v', last[1021] = '\r', last[1022] = '\n', last[1023] = '\r'; /* a byte more, and the LF is cut off */
    assert_int_equal(repeated("0\r\n", line, 15, last), -431);
    assert_int_equal(repeated("0\r\n", line, 16, "\r\n"), -431); /* 16,386 */
}

/* A hundred bodies behind each other, each with a decoder of its own, as requests come. */
static void leaves_the_next_message_alone(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "0\r\n\r\n",
        "3\r\nabc\r\n0\r\n\r\n",
        "1;x\r\na\r\n2\r\nbc\r\n00\r\nT: v\r\n\r\n",
        "0\r\nA:\r\n\r\n",
    };
    static outcome o;
    size_t size = 0, at = 0;
    char *text = malloc(100 * 64);
    assert_non_null(text);
    for (size_t i = 0; i < 100; i++) {
        const char *body = bodies[i % COUNT(bodies)];
        memcpy(text + size, body, strlen(body));
        size += strlen(body);
    }
    for (size_t i = 0; i < 100; i++) {
        size_t body_size = strlen(bodies[i % COUNT(bodies)]);
        decode(text + at, size - at, size - at, 1, &defaults, &o);
        assert_int_equal(o.rc, WEFT_CHUNKED_END);
        assert_int_equal(o.end, body_size);
        decode(text + at, size - at, 1, 1, &defaults, &o);
        assert_int_equal(o.end, body_size);
        at += body_size;
    }
    assert_int_equal(at, size);
    free(text);
}

static size_t write_size_line(char *text, size_t size, const char *extension, uint64_t *seed)
{
    if (*extension == '\0' && weft_random_below(seed, 2) == 0)
        return weft_chunk_head(text, size);
    switch (weft_random_below(seed, 4)) {
    case 0:
        return (size_t)snprintf(text, 64, "%zx%s\r\n", size, extension);
    case 1:
        return (size_t)snprintf(text, 64, "%zX%s\r\n", size, extension);
    case 2:
        return (size_t)snprintf(text, 64, "%08zx%s\r\n", size, extension);
    default:
        return (size_t)snprintf(text, 64, "%016zX%s\r\n", size, extension);
    }
}

/* Writes a valid body around the payload. Returns its size. */
static size_t make_body(char *text, const char *payload, size_t payload_size, uint64_t *seed, char *trailers)
{
    static const char *const extensions[] = { "", "", "", ";a", ";name=value", ";q=\"a \\\" b\"", ";a;b=\"\";c=d" };
    size_t at = 0, extended = 0;
    for (size_t done = 0; done < payload_size;) {
        size_t most = weft_random_below(seed, 4) == 0 ? payload_size - done : 1 + weft_random_below(seed, 40);
        size_t size = 1 + weft_random_below(seed, most < payload_size - done ? most : payload_size - done);
        const char *extension = extended < 3000 ? extensions[weft_random_below(seed, COUNT(extensions))] : "";
        extended += strlen(extension);
        at += write_size_line(text + at, size, extension, seed);
        memcpy(text + at, payload + done, size);
        at += size;
        memcpy(text + at, WEFT_CHUNK_END, 2);
        at += 2;
        done += size;
    }
    at += (size_t)snprintf(text + at, 8, "0\r\n");
    *trailers = '\0';
    size_t noted = 0;
    for (uint64_t i = 0, count = weft_random_below(seed, 4); i < count; i++) {
        unsigned value = (unsigned)weft_random_below(seed, 1000000);
        at += (size_t)snprintf(text + at, 64, "T%u:%s%u\r\n", (unsigned)i, value & 1 ? " " : "\t ", value);
        noted += (size_t)snprintf(trailers + noted, 64, "T%u=%u;", (unsigned)i, value);
    }
    memcpy(text + at, "\r\n", 2);
    return at + 2;
}

static void gives_back_what_went_in(void **state)
{
    (void)state;
    static outcome o;
    static char payload[20000], text[400000], trailers[256];
    uint64_t seed = 11;
    for (int round = 0; round < 600; round++) {
        size_t size = weft_random_below(&seed, round % 10 == 0 ? sizeof(payload) : 300);
        for (size_t i = 0; i < size; i++)
            payload[i] = (char)weft_random_next(&seed);
        size_t text_size = make_body(text, payload, size, &seed, trailers);
        memcpy(text + text_size, "GET", 3); /* the next message */
        decoder d;
        open_decoder(&d, &defaults);
        o.payload_size = o.given = 0;
        int rc = WEFT_CHUNKED_MORE;
        for (size_t at = 0, piece, most = 1 + weft_random_below(&seed, 2000); rc == WEFT_CHUNKED_MORE; at += piece) {
            assert_true(at < text_size);
            piece = weft_random_below(&seed, most + 1);
            if (piece > text_size + 3 - at)
                piece = text_size + 3 - at;
            rc = feed_piece(d.chunked, text + at, piece, &o);
        }
        assert_int_equal(rc, WEFT_CHUNKED_END);
        assert_int_equal(o.end, text_size);
        assert_int_equal(o.payload_size, size);
        assert_memory_equal(o.payload, payload, size);
        assert_int_equal(weft_chunked_declared(d.chunked), size);
        note_trailers(d.chunked, &o);
        assert_string_equal(o.trailers, trailers);
        close_decoder(&d);
    }
}

/* However the trailers come, what is kept of them stays within a few times their limit. */
static void keeps_memory_bounded(void **state)
{
    (void)state;
    static outcome o;
    size_t size;
    char *text = repeat("0\r\nA:", "b", 8000, "\r\nB:", &size);
    decoder d;
    open_decoder(&d, &defaults);
    o.payload_size = o.given = 0;
    for (size_t i = 0; i < size; i++)
        assert_int_equal(feed_piece(d.chunked, text + i, 1, &o), WEFT_CHUNKED_MORE);
    int rc = WEFT_CHUNKED_MORE;
    for (size_t i = 0; rc == WEFT_CHUNKED_MORE; i++)
        rc = feed_piece(d.chunked, i % 1000 == 999 ? "\r\nC:" : "cccc", 4, &o);
    assert_int_equal(rc, -431);
    assert_true(d.arena.used <= 4 * defaults.trailers);
    close_decoder(&d);
    free(text);
}

/* Memory that runs out ends the body, for good. */
static void survives_want_of_memory(void **state)
{
    (void)state;
    size_t size;
    char *text = repeat("1\r\na\r\n0\r\nA:", "b", 8000, "\r\nB:c\r\n\r\n", &size);
    for (size_t step = 100; step <= 9000; step += 8900) {
        bool struck = true;
        for (uint64_t fail_at = 1; struck; fail_at++) {
            weft_arena_pool pool;
            weft_arena arena;
            weft_faults faults = { .fail_at = fail_at };
            weft_arena_pool_init(&pool, 0);
            weft_arena_init(&arena, &pool);
            weft_mem_set_faults(&faults);
            weft_chunked *chunked = weft_chunked_new(&arena, &defaults);
            int rc = chunked ? WEFT_CHUNKED_MORE : -ENOMEM;
            for (size_t at = 0, consumed; at < size && rc >= 0; at += consumed) {
                weft_bytes payload;
                rc = weft_chunked_next(chunked, text + at, step < size - at ? step : size - at, &consumed, &payload);
                if (rc < 0)
                    assert_int_equal(weft_chunked_next(chunked, text, size, &consumed, &payload), -ENOMEM);
            }
            weft_mem_set_faults(NULL);
            struck = faults.struck;
            assert_int_equal(rc, struck ? -ENOMEM : WEFT_CHUNKED_END);
            weft_arena_free(&arena);
        }
    }
    free(text);
}

static void writes_chunk_heads(void **state)
{
    (void)state;
    char out[WEFT_CHUNK_HEAD_MAX], expected[32];
    for (int bit = 0; bit < 64; bit++) {
        const size_t sizes[] = { (size_t)1 << bit, ((size_t)1 << bit) | 1, ((size_t)2 << bit) - 1 };
        for (size_t i = 0; i < COUNT(sizes); i++) {
            size_t size = sizes[i] ? sizes[i] : SIZE_MAX;
            int expected_size = snprintf(expected, sizeof(expected), "%zx\r\n", size);
            assert_int_equal(weft_chunk_head(out, size), expected_size);
            assert_memory_equal(out, expected, (size_t)expected_size);
        }
    }
    assert_int_equal(sizeof(WEFT_CHUNK_LAST), 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_bodies),
        cmocka_unit_test(passes_extensions_over),
        cmocka_unit_test(reads_trailers),
        cmocka_unit_test(finds_trailers),
        cmocka_unit_test(waits_for_more),
        cmocka_unit_test(tells_the_size_at_once),
        cmocka_unit_test(refuses_bad_sizes),
        cmocka_unit_test(refuses_bad_line_ends),
        cmocka_unit_test(refuses_bad_extensions),
        cmocka_unit_test(refuses_bad_trailers),
        cmocka_unit_test(refuses_a_body_beyond_measure),
        cmocka_unit_test(keeps_limits_to_the_byte),
        cmocka_unit_test(has_the_default_limits),
        cmocka_unit_test(leaves_the_next_message_alone),
        cmocka_unit_test(gives_back_what_went_in),
        cmocka_unit_test(keeps_memory_bounded),
        cmocka_unit_test(survives_want_of_memory),
        cmocka_unit_test(writes_chunk_heads),
    };
    return cmocka_run_group_tests_name("chunked bodies", tests, NULL, NULL);
}
