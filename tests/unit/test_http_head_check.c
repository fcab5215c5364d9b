/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The byte check: what it finds and refuses, written by hand; that a verdict never depends on how the bytes were cut; limits
 * to the byte; and that the vectors agree with the bytewise version. Buffers are allocated to the exact size, so that the
 * address sanitizer sees a byte read too many.
 */
#include "tests/rounds.h"
#include "tests/unit/unit.h"

#include "lib/base/random.h"
#include "lib/http/field.h"
#include "lib/http/head_check.h"

typedef int64_t run_fn(weft_head_check *check, const char *data, size_t size, const weft_http_limits *limits);

static const weft_http_limits defaults = WEFT_HTTP_LIMITS_DEFAULT;
static run_fn *const runs[] = { weft_head_check_run, weft_head_check_run_scalar };

static int64_t feed(weft_head_check *check, run_fn *run, const char *text, size_t size, const weft_http_limits *limits)
{
    char *data = malloc(size ? size : 1);
    assert_non_null(data);
    memcpy(data, text, size);
    int64_t rc = run(check, data, size, limits);
    free(data);
    return rc;
}

/* The verdict when the text comes in pieces that end at `first` and then every `step` bytes. *ret_at: how much had come. */
static int64_t verdict(run_fn *run, bool trailers, const char *text, size_t size, size_t first, size_t step,
                       const weft_http_limits *limits, size_t *ret_at, int *ret_fields)
{
    weft_head_check check;
    if (trailers)
        weft_head_check_init_trailers(&check);
    else
        weft_head_check_init(&check);
    int64_t rc = 0;
    size_t at = first;
    for (;; at += step) {
        if (at > size)
            at = size;
        rc = feed(&check, run, text, at, limits);
        if (rc != 0 || at == size)
            break;
    }
    *ret_at = at;
    *ret_fields = check.field_count;
    return rc;
}

/* The text gets the expected verdict whole, split in two at each byte, and byte by byte, from both versions. `noticed`: how
 * many bytes it takes to know. */
static void check_all_ways(bool trailers, const char *text, size_t size, const weft_http_limits *limits, int64_t expected,
                           size_t noticed)
{
    size_t at;
    int fields, whole_fields;
    for (size_t r = 0; r < COUNT(runs); r++) {
        assert_int_equal(verdict(runs[r], trailers, text, size, size, 1, limits, &at, &whole_fields), expected);
        for (size_t split = 0; split < size; split++) {
            assert_int_equal(verdict(runs[r], trailers, text, size, split, size, limits, &at, &fields), expected);
            if (expected > 0)
                assert_int_equal(fields, whole_fields);
        }
        assert_int_equal(verdict(runs[r], trailers, text, size, 0, 1, limits, &at, &fields), expected);
        assert_int_equal(at, noticed);
        if (expected > 0)
            assert_int_equal(fields, whole_fields);
    }
}

typedef struct check_case {
    const char *text;
    size_t size;
    int64_t expected;
    size_t noticed; /* bytes after which it must be known */
} check_case;

static void check_cases(bool trailers, const check_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check_all_ways(trailers, cases[i].text, cases[i].size, &defaults, cases[i].expected, cases[i].noticed);
}

#define GOOD(text)                                                                                                             \
    {                                                                                                                          \
        TEXT(text), sizeof(text) - 1, sizeof(text) - 1                                                                         \
    }
#define BAD(start, rest)                                                                                                       \
    {                                                                                                                          \
        TEXT(start rest), -400, sizeof(start) - 1                                                                              \
    } /* known after the last byte of `start` */
#define CUT(text)                                                                                                              \
    {                                                                                                                          \
        TEXT(text), 0, sizeof(text) - 1                                                                                        \
    }
#define MORE(text, behind)                                                                                                     \
    {                                                                                                                          \
        TEXT(text behind), sizeof(text) - 1, sizeof(text) - 1                                                                  \
    }

static void finds_the_end(void **state)
{
    (void)state;
    static const check_case cases[] = {
        GOOD("GET / HTTP/1.1\r\n\r\n"),
        GOOD("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        GOOD("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), /* one CRLF before it */
        GOOD("GET / HTTP/1.1\r\nHost:a\r\nX:\r\nY: \t \r\nZ:\tb\tc\t\r\n\r\n"),
        GOOD("GET / HTTP/1.1\r\nHost: a\r\nX: caf\xc3\xa9 \xff\x80\r\n\r\n"), /* obs-text in a value */
        GOOD("GET / HTTP/1.1\r\nA-Name-Of-More-Than-16-Bytes: and a value that is longer than two blocks: 0123456789\r\n\r\n"),
        GOOD("x\r\n\r\n"), /* not its business */
        MORE("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET \r\r\0\n"),
        MORE("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "\r\n\r\n"),
    };
    check_cases(false, cases, COUNT(cases));
}

static void waits_for_more(void **state)
{
    (void)state;
    static const check_case cases[] = {
        CUT(""),
        CUT("\r"),
        CUT("\r\n"),
        CUT("G"),
        CUT("GET / HTTP/1.1"),
        CUT("GET / HTTP/1.1\r"),
        CUT("GET / HTTP/1.1\r\n"),
        CUT("GET / HTTP/1.1\r\nHost"),
        CUT("GET / HTTP/1.1\r\nHost:"),
        CUT("GET / HTTP/1.1\r\nHost: a\r"),
        CUT("GET / HTTP/1.1\r\nHost: a\r\n\r"),
    };
    check_cases(false, cases, COUNT(cases));
}

static void refuses_in_the_request_line(void **state)
{
    (void)state;
    static const check_case cases[] = {
        BAD("\0", "GET / HTTP/1.1\r\n\r\n"),        BAD("GET /\0", " HTTP/1.1\r\n\r\n"),
        BAD("GET /a\t", " HTTP/1.1\r\n\r\n"),       BAD("GET /\x01", " HTTP/1.1\r\n\r\n"),
        BAD("GET /\x1f", " HTTP/1.1\r\n\r\n"),      BAD("GET /\x7f", " HTTP/1.1\r\n\r\n"),
        BAD("GET /\x80", " HTTP/1.1\r\n\r\n"),      BAD("GET /caf\xc3", "\xa9 HTTP/1.1\r\n\r\n"),
        BAD("GET /\xff", " HTTP/1.1\r\n\r\n"),      BAD("GET / HTTP/1.1\n", "Host: a\r\n\r\n"),
        BAD("GET / HTTP/1.1\rH", "ost: a\r\n\r\n"), BAD("GET / HTTP/1.1\r\r", "\nHost: a\r\n\r\n"),
        BAD("GET\r ", "/ HTTP/1.1\r\n\r\n"),        BAD(" ", "GET / HTTP/1.1\r\n\r\n"),
        BAD("\t", "GET / HTTP/1.1\r\n\r\n"),        BAD(":", "GET / HTTP/1.1\r\n\r\n"),
        BAD("\n", "GET / HTTP/1.1\r\n\r\n"),        BAD("\rG", "ET / HTTP/1.1\r\n\r\n"),
        BAD("\r\r", "\nGET / HTTP/1.1\r\n\r\n"),    BAD("\r\n ", "GET / HTTP/1.1\r\n\r\n"),
        BAD("\r\n\r", "\nGET / HTTP/1.1\r\n\r\n"), /* a second one */
        BAD("\r\n\n", "GET / HTTP/1.1\r\n\r\n"),
    };
    check_cases(false, cases, COUNT(cases));
}

#define LINE "GET / HTTP/1.1\r\nHost: a\r\n"

static void refuses_in_fields(void **state)
{
    (void)state;
    static const check_case cases[] = {
        BAD(LINE " ", "folded\r\n\r\n"), /* obs-fold */
        BAD(LINE "\t", "folded\r\n\r\n"),
        BAD(LINE ":", " no name\r\n\r\n"),
        BAD(LINE "\n", "\r\n"),
        BAD(LINE "X ", ": space before the colon\r\n\r\n"),
        BAD(LINE "X\t", ": tab before the colon\r\n\r\n"),
        BAD(LINE "X ", "Y: a\r\n\r\n"),
        BAD(LINE "NoColon\r", "\n\r\n"),
        BAD(LINE "NoColon\n", "\r\n"),
        BAD(LINE "X\0", ": a\r\n\r\n"),
        BAD(LINE "X\x01", ": a\r\n\r\n"),
        BAD(LINE "X\x7f", ": a\r\n\r\n"),
        BAD(LINE "X\x80", ": a\r\n\r\n"),
        BAD(LINE "X\xff", ": a\r\n\r\n"),
        BAD(LINE "X: a\0", "\r\n\r\n"),
        BAD(LINE "X: a\x01", "\r\n\r\n"),
        BAD(LINE "X: a\x0b", "\r\n\r\n"),
        BAD(LINE "X: a\x1f", "\r\n\r\n"),
        BAD(LINE "X: a\x7f", "\r\n\r\n"),
        BAD(LINE "X: a\n", "\r\n"),
        BAD(LINE "X: a\rb", "\r\n\r\n"),
        BAD(LINE "X: a\r\r", "\n\r\n"),
        BAD(LINE "\rX", ": a\r\n\r\n"),
        BAD(LINE "\r\r", "\n"),
        BAD("GET / HTTP/1.1\r\n ", "Host: a\r\n\r\n"), /* between the request line and the first field */
    };
    check_cases(false, cases, COUNT(cases));
}

static void checks_trailers(void **state)
{
    (void)state;
    static const check_case cases[] = {
        GOOD("\r\n"),
        GOOD("X: a\r\nY: b\xff\t\r\n\r\n"),
        MORE("\r\n", "GET / HTTP/1.1\r\n\r\n"),
        CUT(""),
        CUT("\r"),
        CUT("X: a\r\n"),
        BAD(" ", "X: a\r\n\r\n"),
        BAD("\n", ""),
        BAD("\r\r", ""),
        BAD("X: a\n", "\r\n"),
        BAD("X\r", "\n\r\n"),
        BAD("GET ", "/ HTTP/1.1\r\n\r\n"),
    };
    check_cases(true, cases, COUNT(cases));
    weft_http_limits limits = { .request_line = 0, .field = 4, .head = 64, .field_count = 2 };
    check_all_ways(true, TEXT("X: a\r\nY: b\r\n\r\n"), &limits, 14, 14);
    check_all_ways(true, TEXT("X: a\r\nY: bc\r\n\r\n"), &limits, -431, 11);
    check_all_ways(true, TEXT("X: a\r\nY: b\r\nZ: c\r\n\r\n"), &limits, -431, 13);
}

/* A head whose request line, and a field's line, have the given sizes, with more fields of 3 bytes. */
static size_t make_head(char *text, size_t line, size_t field, int more_fields)
{
    size_t at = 0;
    memcpy(text, "GET /", 5);
    memset(text + 5, 'a', line - 5);
    at = line;
    memcpy(text + at, "\r\nX:", 4);
    memset(text + at + 4, 'b', field - 2);
    at += 2 + field;
    for (int i = 0; i < more_fields; i++, at += 5)
        memcpy(text + at, "\r\nY:c", 5);
    memcpy(text + at, "\r\n\r\n", 4);
    return at + 4;
}

static void limits_to_the_byte(void **state)
{
    (void)state;
    char text[512];
    /* around sizes of blocks, where an error by one would hide */
    for (size_t n = 14; n < 70; n++) {
        weft_http_limits limits = { .request_line = n, .field = 40, .head = 4096, .field_count = 3 };
        size_t size = make_head(text, n, 10, 0);
        check_all_ways(false, text, size, &limits, (int64_t)size, size);
        size = make_head(text, n + 1, 10, 0);
        check_all_ways(false, text, size, &limits, -414, n + 1);

        limits = (weft_http_limits){ .request_line = 40, .field = n, .head = 4096, .field_count = 3 };
        size = make_head(text, 20, n, 1);
        check_all_ways(false, text, size, &limits, (int64_t)size, size);
        size = make_head(text, 20, n + 1, 1);
        check_all_ways(false, text, size, &limits, -431, 20 + 2 + n + 1);

        size = make_head(text, 20, n, 1);
        limits = (weft_http_limits){ .request_line = 40, .field = 100, .head = size, .field_count = 3 };
        check_all_ways(false, text, size, &limits, (int64_t)size, size);
        limits.head = size - 1;
        check_all_ways(false, text, size, &limits, -431, size - 1);
    }
}

static void limits_the_count_of_fields(void **state)
{
    (void)state;
    char text[1024];
    weft_http_limits limits = defaults;
    size_t size = make_head(text, 20, 10, 99); /* 100 in all */
    check_all_ways(false, text, size, &limits, (int64_t)size, size);
    size = make_head(text, 20, 10, 100);
    check_all_ways(false, text, size, &limits, -431, size - 4 - 2); /* at the first byte of "Y:c" */
    limits.field_count = 0;
    check_all_ways(false, TEXT("GET / HTTP/1.1\r\n\r\n"), &limits, 18, 18);
    check_all_ways(false, TEXT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), &limits, -431, 17);
}

/* Lines that never end are refused as soon as they are too long, names and values alike. */
static void endless_lines(void **state)
{
    (void)state;
    char text[400];
    weft_http_limits limits = { .request_line = 50, .field = 60, .head = 4096, .field_count = 9 };
    memset(text, 'a', sizeof(text));
    check_all_ways(false, text, sizeof(text), &limits, -414, 51);
    check_all_ways(false, text, 50, &limits, 0, 50);
    memcpy(text, "\r\n", 2); /* that does not count as a part of the line */
    check_all_ways(false, text, sizeof(text), &limits, -414, 53);
    memcpy(text, "GET / HTTP/1.1\r\n", 16);
    check_all_ways(false, text, sizeof(text), &limits, -431, 16 + 61);
    check_all_ways(false, text, 16 + 60, &limits, 0, 16 + 60);
    text[16 + 59] = ':';
    check_all_ways(false, text, sizeof(text), &limits, -431, 16 + 61);
    text[20] = ':';
    check_all_ways(false, text, sizeof(text), &limits, -431, 16 + 61);
    limits = (weft_http_limits){ .request_line = 1000, .field = 1000, .head = 100, .field_count = 9 };
    check_all_ways(false, text, sizeof(text), &limits, -431, 100);
    memset(text, 'a', 20);
    check_all_ways(false, text, sizeof(text), &limits, -414, 100);
    limits = (weft_http_limits){ .request_line = SIZE_MAX, .field = SIZE_MAX, .head = 100, .field_count = 9 };
    check_all_ways(false, text, sizeof(text), &limits, -414, 100);
}

/* The first offence in the order of the bytes decides. */
static void first_offence_decides(void **state)
{
    (void)state;
    char text[256];
    weft_http_limits limits = { .request_line = 30, .field = 30, .head = 60, .field_count = 2 };
    memset(text, 'a', sizeof(text));
    text[30] = '\0';
    check_all_ways(false, text, sizeof(text), &limits, -400, 31);
    text[30] = 'a';
    text[31] = '\0';
    check_all_ways(false, text, sizeof(text), &limits, -414, 31);
    text[0] = ' ';
    check_all_ways(false, text, sizeof(text), &limits, -400, 1);
    memset(text, 'a', sizeof(text));
    memcpy(text, "GET / HTTP/1.1\r\n\n", 17);
    check_all_ways(false, text, sizeof(text), &limits, -400, 17);
}

/* A head of tokens that are likely to matter, cut into random reads: the two versions go on in step. */
static void vectors_agree_with_bytes(void **state)
{
    (void)state;
    static const char *const pieces[] = { "GET / HTTP/1.1",
                                          "\r\n",
                                          "\r\n",
                                          "\r\n\r\n",
                                          "Host: a",
                                          "X-Name:",
                                          " value, value; ",
                                          "0123456789abcdef",
                                          "\t",
                                          ":",
                                          " ",
                                          "\xc3\xa9",
                                          "\x7f",
                                          "a: b\r\nccc: dddddddddddddddddddd\r\n",
                                          "name",
                                          "\r",
                                          "\n" };
    uint64_t seed = 1;
    int ended = 0, refused[3] = { 0 };
    char text[600];
    int all = rounds(60000);
    for (int round = 0; round < all; round++) {
        size_t size = 0, count = weft_random_below(&seed, 24);
        weft_http_limits limits = { .request_line = 14 + weft_random_below(&seed, 40),
                                    .field = 5 + weft_random_below(&seed, 60),
                                    .head = 40 + weft_random_below(&seed, 400),
                                    .field_count = (int)weft_random_below(&seed, 9) };
        if (weft_random_below(&seed, 4) > 0) { /* most begin well, or hardly any would come far */
            memcpy(text, "GET / HTTP/1.1\r\n", 16);
            size = 16;
        }
        for (size_t i = 0; i < count; i++) {
            const char *piece = pieces[weft_random_below(&seed, round % 2 ? COUNT(pieces) - 5 : COUNT(pieces))];
            size_t piece_size = strlen(piece);
            if (size + piece_size > sizeof(text))
                break;
            memcpy(text + size, piece, piece_size);
            size += piece_size;
        }
        if (size > 0 && weft_random_below(&seed, 4) == 0)
            text[weft_random_below(&seed, size)] = (char)weft_random_next(&seed);
        weft_head_check vector, scalar;
        weft_head_check_init(&vector);
        weft_head_check_init(&scalar);
        int64_t rc = 0;
        for (size_t at = 0; at < size && rc == 0;) {
            at += 1 + weft_random_below(&seed, size - at);
            rc = feed(&vector, weft_head_check_run, text, at, &limits);
            assert_int_equal(feed(&scalar, weft_head_check_run_scalar, text, at, &limits), rc);
            assert_true(rc < 0 || (vector.field_count == scalar.field_count && vector.state == scalar.state));
            assert_true(rc != 0 || (vector.at == scalar.at && vector.line == scalar.line));
        }
        ended += rc > 0;
        refused[0] += rc == -400;
        refused[1] += rc == -414;
        refused[2] += rc == -431;
    }
    /* the input was such that it could have told them apart */
    print_message("# %d heads, %d × 400, %d × 414, %d × 431\n", ended, refused[0], refused[1], refused[2]);
    assert_true(ended > all / 60 && refused[0] > all / 60 && refused[1] > all / 120 && refused[2] > all / 60);
}

/* What the head with this byte put at `place` gets, from both versions. */
static void check_byte(char *text, size_t size, size_t place, int c, bool is_good)
{
    size_t at;
    int fields;
    text[place] = (char)c;
    for (size_t r = 0; r < COUNT(runs); r++)
        assert_int_equal(verdict(runs[r], false, text, size, size, 1, &defaults, &at, &fields), is_good ? (int64_t)size : -400);
}

/* Each byte at each place of a block, in the request line, in a value and in a name. */
static void every_byte_everywhere(void **state)
{
    (void)state;
    char text[128];
    for (size_t place = 1; place < 40; place++)
        for (int c = 0; c < 256; c++) {
            bool is_control = c < 0x20 || c == 0x7f;
            size_t size = make_head(text, 48, 42, 0);
            check_byte(text, size, place, c, !is_control && c < 0x80);
            make_head(text, 48, 42, 0);
            check_byte(text, size, 48 + 2 + 1 + place, c, !is_control || c == '\t'); /* behind "X:" */
            memset(text + 48 + 2, 'n', 41);                                          /* a name of 41 bytes, then its colon */
            text[48 + 2 + 41] = ':';
            check_byte(text, size, 48 + 2 + place, c, c > 0x20 && c < 0x7f);
        }
}

/* Bytes that have been passed are not read again: they may change without notice. */
static void looks_once(void **state)
{
    (void)state;
    static const char head[] = "GET /a-longer-target-than-a-block HTTP/1.1\r\nHost: example\r\n\r\n";
    size_t size = sizeof(head) - 1;
    char text[sizeof(head)];
    for (size_t split = 20; split < size - 1; split++) {
        weft_head_check check;
        weft_head_check_init(&check);
        memcpy(text, head, sizeof(head));
        assert_int_equal(weft_head_check_run_scalar(&check, text, split, &defaults), 0);
        assert_true(check.at == split || (check.at == split - 1 && text[check.at] == '\r'));
        memset(text + 1, '\0', check.at - 1);
        if (check.line == 0)
            assert_int_equal(weft_head_check_run_scalar(&check, text, size, &defaults), (int64_t)size);
    }
    assert_true(sizeof(weft_head_check) <= 16);
}

/* Each byte at each place of texts of all sizes around a block, and none behind the size is looked at. */
static void token_sizes(void **state)
{
    (void)state;
    for (size_t size = 0; size <= 40; size++) {
        char *text = malloc(size ? size : 1); /* of the exact size, for the address sanitizer */
        assert_non_null(text);
        memset(text, 'n', size);
        assert_int_equal(weft_http_token_size(text, size), size);
        for (size_t at = 0; at < size; at++) {
            for (int byte = 0; byte < 256; byte++) {
                text[at] = (char)byte;
                bool is_token = weft_http_is_token(&text[at], 1);
                assert_int_equal(weft_http_token_size(text, size), is_token ? size : at);
            }
            text[at] = at % 2 ? 'Z' : '_';
        }
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(token_sizes),
        cmocka_unit_test(finds_the_end),
        cmocka_unit_test(waits_for_more),
        cmocka_unit_test(refuses_in_the_request_line),
        cmocka_unit_test(refuses_in_fields),
        cmocka_unit_test(checks_trailers),
        cmocka_unit_test(limits_to_the_byte),
        cmocka_unit_test(limits_the_count_of_fields),
        cmocka_unit_test(endless_lines),
        cmocka_unit_test(first_offence_decides),
        cmocka_unit_test(vectors_agree_with_bytes),
        cmocka_unit_test(every_byte_everywhere),
        cmocka_unit_test(looks_once),
    };
    return cmocka_run_group_tests_name("http head check", tests, NULL, NULL);
}
