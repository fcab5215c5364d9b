/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
#include "tests/unit/unit.h"

#include "lib/base/memory.h"
#include "lib/http/target.h"

static weft_arena_pool pool;
static weft_arena arena;

static int setup(void **state)
{
    (void)state;
    weft_arena_pool_init(&pool, 0);
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

typedef struct target_case {
    const char *text, *path, *query, *host;
} target_case;

/* Parses a copy of the exact size, whose results must lie inside it. */
static void check_target(const target_case *c, bool is_options)
{
    size_t size = strlen(c->text);
    char *text = malloc(size + 1);
    assert_non_null(text);
    memcpy(text, c->text, size + 1);
    weft_http_target target;
    const char *reason = NULL;
    int rc = weft_http_target_parse(&target, text, size, is_options, &reason);
    if (!c->path) {
        if (rc != 400 || !reason)
            fail_msg("%s: %d, %s", c->text, rc, reason ? reason : "no reason");
        free(text);
        return;
    }
    if (rc != 0)
        fail_msg("%s: %d, %s", c->text, rc, reason);
    assert_string_equal(target.path, c->path);
    assert_int_equal(target.path_size, strlen(c->path));
    if (c->query)
        assert_string_equal(target.query, c->query);
    else
        assert_null(target.query);
    if (c->host)
        assert_string_equal(target.host, c->host);
    else
        assert_null(target.host);
    free(text);
}

static void check_targets(const target_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check_target(&cases[i], false);
}

static void origin_form(void **state)
{
    (void)state;
    static const target_case cases[] = {
        { "/", "/", NULL, NULL },
        { "/a", "/a", NULL, NULL },
        { "/a/b.c/", "/a/b.c/", NULL, NULL },
        { "/a?", "/a", "", NULL },
        { "/a?b=c&d=%zz?/../x", "/a", "b=c&d=%zz?/../x", NULL },
        { "/?/..", "/", "/..", NULL },
        { "//", "//", NULL, NULL },
        { "//a//b//", "//a//b//", NULL, NULL },
        { "/http://x/", "/http://x/", NULL, NULL },
        { "/*", "/*", NULL, NULL },
        { "/{|}^`\"<>\\", "/{|}^`\"<>\\", NULL, NULL }, /* browsers send some of these */
        { "/#", NULL, NULL, NULL },
        { "/a#b", NULL, NULL, NULL },
        { "/a?b#c", NULL, NULL, NULL },
        { "/a?#", NULL, NULL, NULL },
        { "/%41#", NULL, NULL, NULL },
    };
    check_targets(cases, COUNT(cases));
}

static void dot_segments(void **state)
{
    (void)state;
    static const target_case cases[] = {
        { "/.", "/", NULL, NULL },
        { "/./", "/", NULL, NULL },
        { "/a/.", "/a/", NULL, NULL },
        { "/a/./b", "/a/b", NULL, NULL },
        { "/a/..", "/", NULL, NULL },
        { "/a/../", "/", NULL, NULL },
        { "/a/b/..", "/a/", NULL, NULL },
        { "/a/b/../c", "/a/c", NULL, NULL },
        { "/a/b/../../c?d", "/c", "d", NULL },
        { "/a/b/c/./../../g", "/a/g", NULL, NULL }, /* RFC 3986 §5.2.4 */
        { "/a//..", "/a/", NULL, NULL },            /* an empty segment is one */
        { "/a//../..", "/", NULL, NULL },
        { "/a/../b/../c/..", "/", NULL, NULL },
        { "/.a/..b/...", "/.a/..b/...", NULL, NULL },
        { "/a./b../c", "/a./b../c", NULL, NULL },
        { "/%2e", "/", NULL, NULL },
        { "/a/%2E%2e/b", "/b", NULL, NULL },
        { "/a/.%2e/b", "/b", NULL, NULL },
        { "/a/%252e%252e/b", "/a/%252e%252e/b", NULL, NULL }, /* decoded once only */
        { "/..", NULL, NULL, NULL },
        { "/../", NULL, NULL, NULL },
        { "/../a", NULL, NULL, NULL },
        { "/./..", NULL, NULL, NULL },
        { "/a/../..", NULL, NULL, NULL },
        { "/a/../../a", NULL, NULL, NULL },
        { "/%2e%2e/etc/passwd", NULL, NULL, NULL },
        { "/a/%2e./..", NULL, NULL, NULL },
    };
    check_targets(cases, COUNT(cases));
}

static void escapes(void **state)
{
    (void)state;
    static const target_case cases[] = {
        { "/%61", "/a", NULL, NULL },
        { "/caf%C3%a9", "/caf\xc3\xa9", NULL, NULL },
        { "/a%20b/c+d", "/a b/c+d", NULL, NULL },
        { "/a%2fb", "/a%2Fb", NULL, NULL }, /* never splits */
        { "/a%2Fb/..", "/", NULL, NULL },
        { "/a%2f..%2fb", "/a%2F..%2Fb", NULL, NULL },
        { "/%25", "/%25", NULL, NULL },
        { "/%252F", "/%252F", NULL, NULL },
        { "/%3F%23", "/?#", NULL, NULL }, /* neither a query nor a fragment */
        { "/%3f?%3f", "/?", "%3f", NULL },
        { "/%0d%0a", "/\r\n", NULL, NULL },
        { "/%ff%80", "/\xff\x80", NULL, NULL }, /* UTF-8 is not checked */
        { "/%00", NULL, NULL, NULL },
        { "/a%00b", NULL, NULL, NULL },
        { "/%", NULL, NULL, NULL },
        { "/%4", NULL, NULL, NULL },
        { "/%4?1", NULL, NULL, NULL },
        { "/%/41", NULL, NULL, NULL },
        { "/%4/1", NULL, NULL, NULL },
        { "/%g1", NULL, NULL, NULL },
        { "/%1g", NULL, NULL, NULL },
        { "/%%41", NULL, NULL, NULL },
        { "/%u0041", NULL, NULL, NULL },
        { "/%-1", NULL, NULL, NULL },
    };
    check_targets(cases, COUNT(cases));
}

static void absolute_form(void **state)
{
    (void)state;
    static const target_case cases[] = {
        { "http://a/", "/", NULL, "a" },
        { "http://a", "/", NULL, "a" },
        { "HTTPS://Example.org:8443/x/../y?z", "/y", "z", "Example.org:8443" },
        { "http://[::1]:80/a", "/a", NULL, "[::1]:80" },
        { "http://a?b", "/", "b", "a" },
        { "http://a:80?", "/", "", "a:80" },
        { "http://127.0.0.1/%41", "/A", NULL, "127.0.0.1" },
        { "http://a/%zz", NULL, NULL, NULL },
        { "http://a/..", NULL, NULL, NULL },
        { "http://a#b", NULL, NULL, NULL },
        { "http:///a", NULL, NULL, NULL },
        { "http://", NULL, NULL, NULL },
        { "https://", NULL, NULL, NULL },
        { "http:/a", NULL, NULL, NULL },
        { "http://user@a/", NULL, NULL, NULL },
        { "http://user:pass@a/", NULL, NULL, NULL },
        { "http://a:b/", NULL, NULL, NULL },
        { "http://a:65536/", NULL, NULL, NULL },
        { "http://[::1/", NULL, NULL, NULL },
        { "ftp://a/", NULL, NULL, NULL },
        { "ws://a/", NULL, NULL, NULL },
        { "a", NULL, NULL, NULL },
        { "a:80", NULL, NULL, NULL }, /* the authority form */
        { "", NULL, NULL, NULL },
        { "?a", NULL, NULL, NULL },
    };
    check_targets(cases, COUNT(cases));
}

static void asterisk_form(void **state)
{
    (void)state;
    check_target(&(target_case){ "*", "*", NULL, NULL }, true);
    check_target(&(target_case){ "http://a:1", "*", NULL, "a:1" }, true);
    check_target(&(target_case){ "http://a:1/", "/", NULL, "a:1" }, true);
    check_target(&(target_case){ "http://a?b", "/", "b", "a" }, true);
    check_target(&(target_case){ "/*", "/*", NULL, NULL }, true);
    check_target(&(target_case){ "*", NULL, NULL, NULL }, false);
    check_target(&(target_case){ "**", NULL, NULL, NULL }, true);
    check_target(&(target_case){ "*?a", NULL, NULL, NULL }, true);
}

static void hosts(void **state)
{
    (void)state;
    static const char *const good[] = {
        "a",        "example.org", "example.org:80", "127.0.0.1:8080",     "a:", "a:0", "a:65535", "[::1]", "[::1]:80",
        "[v1.a:b]", "a_b-c.d~e",   "%41bc:1",        "xn--caf-dma.example"
    };
    static const char *const bad[] = {
        "",    ":",    ":80",  "a b", "a/b",    "a:80:90", "a:-1",    "a:65536", "a:99999999999999", "a:8 0",
        "u@a", "[::1", "::1",  "[]",  "[g::1]", "[::1]a",  "[::1]:x", "a,b/",    "caf\xc3\xa9",      "%4",
        "%zz", "%00",  "a\"b", "a?b", "a#b",    "a\\b",    "http://a"
    };
    for (size_t i = 0; i < COUNT(good); i++)
        if (!weft_http_is_host(good[i], strlen(good[i])))
            fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < COUNT(bad); i++)
        if (weft_http_is_host(bad[i], strlen(bad[i])))
            fail_msg("accepted: %s", bad[i]);
    for (int c = 0; c < 256; c++) { /* each byte inside of a name: the 77 of RFC 3986, less ':' here and '%' */
        bool is_good = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z' && c < 0x80) ||
                       (c != 0 && c < 0x80 && strchr("-._~!$&'()*+,;=", c));
        for (size_t size = 3; size <= 20; size++) {
            for (size_t place = 0; place < size - 1; place++) {
                char text[20];
                memset(text, 'z', sizeof(text));
                text[place] = (char)c;
                assert_int_equal(weft_http_is_host(text, size), is_good);
            }
        }
    }
    for (size_t size = 3; size <= 20; size++) { /* a port behind a name of every size */
        char text[20];
        memset(text, 'z', sizeof(text));
        text[size - 2] = ':';
        text[size - 1] = '8';
        assert_true(weft_http_is_host(text, size));
        text[size - 1] = 'x';
        assert_false(weft_http_is_host(text, size));
    }
    assert_true(weft_http_is_host("a:80x", 4)); /* not a byte more than it was told */
    assert_true(weft_http_is_host("[::1]:", 5));
    assert_false(weft_http_is_host("%41", 2));
}

static void decoding(void **state)
{
    (void)state;
    weft_bytes decoded;
    assert_int_equal(weft_http_decode(&arena, TEXT("a%2Fb%25+%c3%A9"), &decoded), 0);
    assert_int_equal(decoded.size, 7);
    assert_memory_equal(decoded.data, "a/b%+\xc3\xa9", 8);
    assert_int_equal(weft_http_decode(&arena, "", 0, &decoded), 0);
    assert_string_equal(decoded.data, "");
    assert_int_equal(weft_http_decode(&arena, "ab%41", 2, &decoded), 0);
    assert_string_equal(decoded.data, "ab");
    decoded.data = NULL;
    static const char *const bad[] = { "%", "%4", "a%", "%zz", "%00", "%4%41" };
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_equal(weft_http_decode(&arena, bad[i], strlen(bad[i]), &decoded), -EINVAL);
    assert_int_equal(weft_http_decode(&arena, "%41", 2, &decoded), -EINVAL); /* the size ends it */
    assert_null(decoded.data);
}

static void check_query(const char *query, const char *name, const char *expected)
{
    const char *value = NULL;
    assert_int_equal(weft_http_query_find(&arena, query, name, &value), expected ? 1 : 0);
    if (expected)
        assert_string_equal(value, expected);
    else
        assert_null(value);
}

static void queries(void **state)
{
    (void)state;
    check_query(NULL, "a", NULL);
    check_query("", "a", NULL);
    check_query("a=1", "a", "1");
    check_query("a=1&b=2", "b", "2");
    check_query("a=1&a=2", "a", "1"); /* the first */
    check_query("a", "a", "");
    check_query("a&b", "b", "");
    check_query("a=", "a", "");
    check_query("a==b=", "a", "=b=");
    check_query("ab=1&a=2", "a", "2");
    check_query("a=1", "ab", NULL);
    check_query("A=1", "a", NULL);
    check_query("&&a=1&&", "a", "1");
    check_query("a=b+c%20d%2B%26", "a", "b c d+&");
    check_query("%61%3d+b=1", "a= b", "1"); /* names are compared decoded */
    check_query("caf%C3%A9=x", "caf\xc3\xa9", "x");
    check_query("a=100%&b=%zz%4", "a", "100%"); /* bad escapes stand for themselves */
    check_query("a=100%&b=%zz%4", "b", "%zz%4");
    check_query("a=%00b", "a", "%00b");
    check_query("a=%4&b=1", "a", "%4"); /* an escape does not reach over the end */
    check_query("a;b=1", "a", NULL);
    check_query("=1", "", "1");
    check_query("&&", "", NULL);
}

static void out_of_memory(void **state)
{
    (void)state;
    weft_faults faults = { .fail_at = 1, .fail_after = true };
    weft_bytes decoded = { .data = "untouched" };
    const char *value = "untouched";
    weft_mem_set_faults(&faults);
    int decode = weft_http_decode(&arena, "a", 1, &decoded);
    int find = weft_http_query_find(&arena, "a=1", "a", &value);
    weft_mem_set_faults(NULL);
    assert_int_equal(decode, -ENOMEM);
    assert_int_equal(find, -ENOMEM);
    assert_string_equal(decoded.data, "untouched");
    assert_string_equal(value, "untouched");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(origin_form),
        cmocka_unit_test(dot_segments),
        cmocka_unit_test(escapes),
        cmocka_unit_test(absolute_form),
        cmocka_unit_test(asterisk_form),
        cmocka_unit_test(hosts),
        cmocka_unit_test_setup_teardown(decoding, setup, teardown),
        cmocka_unit_test_setup_teardown(queries, setup, teardown),
        cmocka_unit_test_setup_teardown(out_of_memory, setup, teardown),
    };
    return cmocka_run_group_tests_name("http target", tests, NULL, NULL);
}
