/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* The records of the access log: each format, and what no bytes of a client may do to it. */
#include "tests/rounds.h"
#include "tests/unit/unit.h"

#include <iconv.h>

#include "lib/base/random.h"
#include "server/access_log.h"

static struct weft_access_stamp stamp;

static const struct weft_access_record plain = {
    .time = INT64_C(1760104536042) * WEFT_MILLISECOND,
    .client = "127.0.0.1",
    .line = { TEXT("GET /hello/World?x=1 HTTP/1.1") },
    .status = 200,
    .body_size = 13,
    .duration = 84 * WEFT_MICROSECOND + 999,
    .referer = "http://x/",
    .user_agent = "curl/8.0",
    .route = "/hello/{name}",
};

/* The record as a text without its newline, in one buffer. */
static const char *format_record(enum weft_access_log_format format, const struct weft_access_record *record)
{
    static char line[WEFT_ACCESS_RECORD_MAX + 16];
    memset(line, '#', sizeof line);
    weft_access_stamp_set(&stamp, record->time / WEFT_SECOND);
    size_t size = weft_access_format(line, format, &stamp, record);
    assert_true(size > 0 && size <= WEFT_ACCESS_RECORD_MAX);
    assert_int_equal(line[size - 1], '\n');
    for (size_t i = size; i < sizeof line; i++)
        assert_int_equal(line[i], '#'); /* nothing behind it */
    line[size - 1] = '\0';
    assert_int_equal(strlen(line), size - 1);
    assert_null(strchr(line, '\n'));
    return line;
}

static void plain_records(void **state)
{
    (void)state;
    assert_string_equal(format_record(WEFT_ACCESS_LOG_COMMON, &plain),
                        "127.0.0.1 - - [10/Oct/2025:13:55:36 +0000] \"GET /hello/World?x=1 HTTP/1.1\" 200 13 84 -");
    assert_string_equal(format_record(WEFT_ACCESS_LOG_COMBINED, &plain),
                        "127.0.0.1 - - [10/Oct/2025:13:55:36 +0000] \"GET /hello/World?x=1 HTTP/1.1\" 200 13 "
                        "\"http://x/\" \"curl/8.0\" 84 -");
    assert_string_equal(
        format_record(WEFT_ACCESS_LOG_JSON, &plain),
        "{\"time\":\"2025-10-10T13:55:36.042Z\",\"client\":\"127.0.0.1\",\"method\":\"GET\","
        "\"target\":\"/hello/World?x=1\",\"version\":\"HTTP/1.1\",\"status\":200,\"bytes\":13,\"duration_us\":84,"
        "\"referer\":\"http://x/\",\"user_agent\":\"curl/8.0\",\"route\":\"/hello/{name}\"}");
}

static void nothing_known(void **state)
{
    (void)state;
    struct weft_access_record none = { .duration = -1 };
    assert_string_equal(format_record(WEFT_ACCESS_LOG_COMMON, &none), "- - - [01/Jan/1970:00:00:00 +0000] \"-\" - 0 - -");
    assert_string_equal(format_record(WEFT_ACCESS_LOG_COMBINED, &none),
                        "- - - [01/Jan/1970:00:00:00 +0000] \"-\" - 0 \"-\" \"-\" - -");
    assert_string_equal(format_record(WEFT_ACCESS_LOG_JSON, &none), "{\"time\":\"1970-01-01T00:00:00.000Z\",\"bytes\":0}");
}

static void how_it_ended(void **state)
{
    (void)state;
    struct weft_access_record record = plain;
    record.end = "cut";
    assert_non_null(strstr(format_record(WEFT_ACCESS_LOG_COMMON, &record), "\" 200 13 84 cut"));
    record.end = "gone";
    assert_non_null(strstr(format_record(WEFT_ACCESS_LOG_COMBINED, &record), "\"curl/8.0\" 84 gone"));
    assert_non_null(strstr(format_record(WEFT_ACCESS_LOG_JSON, &record), "\"route\":\"/hello/{name}\",\"end\":\"gone\"}"));
}

static void lines_that_are_no_request(void **state)
{
    static const struct {
        const char *line, *common, *json;
    } cases[] = {
        { "GET", "\"GET\"", "\"request\":\"GET\"" },
        { "GET /x", "\"GET /x\"", "\"request\":\"GET /x\"" },
        { " ", "\" \"", "\"request\":\" \"" },
        { "a b c d", "\"a b c d\"", "\"method\":\"a\",\"target\":\"b c\",\"version\":\"d\"" },
        { "  ", "\"  \"", "\"method\":\"\",\"target\":\"\",\"version\":\"\"" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct weft_access_record record = plain;
        record.line = (weft_bytes){ cases[i].line, strlen(cases[i].line) };
        assert_non_null(strstr(format_record(WEFT_ACCESS_LOG_COMMON, &record), cases[i].common));
        assert_non_null(strstr(format_record(WEFT_ACCESS_LOG_JSON, &record), cases[i].json));
    }
}

static void every_byte(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        for (size_t at = 0; at < 17; at++) { /* at each place of the eight that are looked at together */
            char line[] = "aaaaaaaaaaaaaaaaa", common[64], json[64];
            bool is_plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
            line[at] = (char)c;
            struct weft_access_record record = plain;
            record.line.data = line;
            record.line.size = 17;
            snprintf(common, sizeof common, is_plain ? "\"%.*s%c%s\"" : "\"%.*s\\x%02x%s\"", (int)at, line, c, line + at + 1);
            snprintf(json, sizeof json,
                     is_plain                ? "\"request\":\"%.*s%c%s\""
                     : c == '"' || c == '\\' ? "\"request\":\"%.*s\\%c%s\""
                     : c < 0x80              ? "\"request\":\"%.*s\\u00%02x%s\""
                                             : "\"request\":\"%.*s\\\\x%02x%s\"",
                     (int)at, line, c, line + at + 1);
            assert_non_null(strstr(format_record(WEFT_ACCESS_LOG_COMMON, &record), common));
            assert_non_null(strstr(format_record(WEFT_ACCESS_LOG_JSON, &record), json));
        }
    }
}

static void nobody_forges_a_record(void **state)
{
    (void)state;
    struct weft_access_record record = plain;
    record.line = (weft_bytes){ TEXT("GET /\" 200 1 -\n6.6.6.6 - - [\"\r\n") };
    record.user_agent = "x\" 0 -\n6.6.6.6 - - \\\x1b[31m";
    assert_string_equal(format_record(WEFT_ACCESS_LOG_COMBINED, &record),
                        "127.0.0.1 - - [10/Oct/2025:13:55:36 +0000] \"GET /\\x22 200 1 -\\x0a6.6.6.6 - - [\\x22\\x0d\\x0a\" "
                        "200 13 \"http://x/\" \"x\\x22 0 -\\x0a6.6.6.6 - - \\x5c\\x1b[31m\" 84 -");
}

/* ---- a small strict reader of JSON: one flat object of texts and numbers ---- */

/* Behind a text in quotes; its meaning into out (with a NUL), in UTF-8. NULL if it is none. */
static const char *read_text(const char *at, char *out)
{
    if (*at++ != '"')
        return NULL;
    while (*at != '"') {
        unsigned code;
        int size = 0;
        if ((unsigned char)*at < 0x20)
            return NULL;
        if (*at != '\\') {
            *out++ = *at++;
        } else if (at[1] == '"' || at[1] == '\\') {
            *out++ = at[1];
            at += 2;
        } else if (sscanf(at, "\\u%4x%n", &code, &size) == 1 && size == 6 && code < 0x800) {
            if (code >= 0x80)
                *out++ = (char)(0xc0 | code >> 6);
            *out++ = (char)(code >= 0x80 ? 0x80 | (code & 0x3f) : code);
            at += 6;
        } else {
            return NULL;
        }
    }
    *out = '\0';
    return at + 1;
}

/* Is `line` one object, in UTF-8? The text of its member `name` into out. */
static bool read_object(const char *line, const char *name, char *out)
{
    static char wide[2 * WEFT_ACCESS_RECORD_MAX + 2];
    static char key[WEFT_ACCESS_RECORD_MAX], value[WEFT_ACCESS_RECORD_MAX];
    iconv_t converter = iconv_open("UTF-16LE", "UTF-8");
    char *from = (char *)(uintptr_t)line, *to = wide;
    size_t from_left = strlen(line), to_left = sizeof wide;
    size_t rc = iconv(converter, &from, &from_left, &to, &to_left);
    iconv_close(converter);
    if (rc != 0 || *line != '{')
        return false;
    const char *at = line;
    do {
        at = read_text(at + 1, key);
        if (!at || *at++ != ':')
            return false;
        if (*at == '"')
            at = read_text(at, value);
        else
            at += snprintf(value, sizeof value, "%.*s", (int)strspn(at, "0123456789"), at);
        if (!at || (!*value && at[-1] == ':'))
            return false;
        if (strcmp(key, name) == 0)
            snprintf(out, WEFT_ACCESS_RECORD_MAX, "%s", value);
    } while (*at == ',');
    return strcmp(at, "}") == 0;
}

static void check_json(const char *user_agent, const char *expected)
{
    char text[WEFT_ACCESS_RECORD_MAX] = "";
    struct weft_access_record record = plain;
    record.user_agent = user_agent;
    assert_true(read_object(format_record(WEFT_ACCESS_LOG_JSON, &record), "user_agent", text));
    assert_string_equal(text, expected);
}

static void utf8(void **state)
{
    static const char *const valid[] = { "é",
                                         "€uro",
                                         "\U0001F600",
                                         "aaaaaaaé",
                                         "\xc2\xa0",
                                         "\xdf\xbf",
                                         "\xe0\xa0\x80",
                                         "\xed\x9f\xbf",
                                         "\xee\x80\x80",
                                         "\xef\xbf\xbf",
                                         "\xf0\x90\x80\x80",
                                         "\xf4\x8f\xbf\xbf" };
    static const struct {
        const char *bytes, *text;
    } invalid[] = {
        { "\xff", "\\xff" },
        { "\x80", "\\x80" },
        { "\xc0\xaf", "\\xc0\\xaf" },
        { "\xc1\xbf", "\\xc1\\xbf" },
        { "\xc3", "\\xc3" },
        { "\xc3(", "\\xc3(" },
        { "\xe0\x9f\xbf", "\\xe0\\x9f\\xbf" },
        { "\xe2\x82", "\\xe2\\x82" },
        { "\xe2\x82x", "\\xe2\\x82x" },
        { "\xed\xa0\x80", "\\xed\\xa0\\x80" },
        { "\xf0\x8f\xbf\xbf", "\\xf0\\x8f\\xbf\\xbf" },
        { "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" },
        { "\xf5\x80\x80\x80", "\\xf5\\x80\\x80\\x80" },
        { "\xf0\x9f\x98", "\\xf0\\x9f\\x98" },
        { "\xc2\x9b", "\xc2\x9b" }, /* a control character: the same text, but escaped */
    };
    (void)state;
    for (size_t i = 0; i < COUNT(valid); i++)
        check_json(valid[i], valid[i]);
    for (size_t i = 0; i < COUNT(invalid); i++)
        check_json(invalid[i].bytes, invalid[i].text);
    struct weft_access_record record = plain;
    record.user_agent = "\xc2\x9b";
    assert_non_null(strstr(format_record(WEFT_ACCESS_LOG_JSON, &record), "\"user_agent\":\"\\u009b\""));
}

/* Random bytes, many of them special: always one line, and in JSON always an object that a strict reader takes. */
static void any_bytes(void **state)
{
    static const char special[] = "\"\\\n\r\0\x7f\x80\xc2\xe2\x82\xac\xf0\x9f\x98\x80\xff \t";
    uint64_t random = 1;
    int all = rounds(5000);
    (void)state;
    for (int round = 0; round < all; round++) {
        char line[3000], agent[900];
        size_t sizes[2] = { weft_random_below(&random, sizeof line), weft_random_below(&random, sizeof agent - 1) };
        for (size_t i = 0; i < sizes[0]; i++)
            line[i] = weft_random_below(&random, 3) ? special[weft_random_below(&random, sizeof special - 1)]
                                                    : (char)weft_random_next(&random);
        for (size_t i = 0; i < sizes[1]; i++)
            agent[i] = (char)(1 + weft_random_below(&random, 255));
        agent[sizes[1]] = '\0';
        struct weft_access_record record = plain;
        record.line = (weft_bytes){ line, sizes[0] };
        record.user_agent = record.referer = agent;
        char duration[WEFT_ACCESS_RECORD_MAX] = "";
        assert_true(read_object(format_record(WEFT_ACCESS_LOG_JSON, &record), "duration_us", duration));
        assert_string_equal(duration, "84");
        const char *text = format_record(WEFT_ACCESS_LOG_COMBINED, &record);
        int quotes = 0;
        for (const char *at = text; *at; at++) {
            assert_true(*at >= 0x20 && *at < 0x7f);
            quotes += *at == '"';
        }
        assert_int_equal(quotes, 6);
    }
}

/* The longest texts, of the bytes that need the most room. */
static void long_ones_are_cut(void **state)
{
    static char line[10000], text[10000];
    static const char fills[] = { 'a', '\x01', '\xff', '"' };
    (void)state;
    for (size_t i = 0; i < COUNT(fills); i++) {
        memset(line, fills[i], sizeof line);
        memset(text, fills[i], sizeof text - 1);
        struct weft_access_record record = { .time = plain.time, .client = text, .line = { line, sizeof line }, .status = 599 };
        record.body_size = record.duration = INT64_MAX;
        record.referer = record.user_agent = record.route = text;
        record.end = "gone";
        for (int format = WEFT_ACCESS_LOG_COMMON; format <= WEFT_ACCESS_LOG_JSON; format++) {
            const char *made = format_record((enum weft_access_log_format)format, &record);
            assert_non_null(strstr(made, "...\""));
            assert_non_null(strstr(made, "gone"));
        }
        char end[WEFT_ACCESS_RECORD_MAX] = "";
        assert_true(read_object(format_record(WEFT_ACCESS_LOG_JSON, &record), "end", end));
        assert_string_equal(end, "gone");
    }
    memset(line, 'a', sizeof line);
    memcpy(line, "GET /", 5);
    struct weft_access_record record = plain;
    record.line = (weft_bytes){ line, 2000 };
    assert_null(strstr(format_record(WEFT_ACCESS_LOG_COMMON, &record), "..."));
    record.line.size = 2048;
    const char *made = format_record(WEFT_ACCESS_LOG_COMMON, &record);
    assert_non_null(strstr(made, "aaa...\" 200"));
}

static void stamps(void **state)
{
    static const struct {
        int64_t second;
        const char *common, *json;
    } cases[] = {
        { 0, "01/Jan/1970:00:00:00 +0000", "1970-01-01T00:00:00" },
        { 951782400, "29/Feb/2000:00:00:00 +0000", "2000-02-29T00:00:00" },
        { 1735689599, "31/Dec/2024:23:59:59 +0000", "2024-12-31T23:59:59" },
        { 253402300799, "31/Dec/9999:23:59:59 +0000", "9999-12-31T23:59:59" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct weft_access_stamp made;
        weft_access_stamp_set(&made, cases[i].second);
        assert_string_equal(made.common, cases[i].common);
        assert_string_equal(made.json, cases[i].json);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_records),
        cmocka_unit_test(nothing_known),
        cmocka_unit_test(how_it_ended),
        cmocka_unit_test(lines_that_are_no_request),
        cmocka_unit_test(every_byte),
        cmocka_unit_test(nobody_forges_a_record),
        cmocka_unit_test(utf8),
        cmocka_unit_test(any_bytes),
        cmocka_unit_test(long_ones_are_cut),
        cmocka_unit_test(stamps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
