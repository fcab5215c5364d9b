/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
#include "tests/unit/unit.h"

#include "lib/base/memory.h"
#include "lib/http/target.h"
#include "server/router.h"

static weft_router *router;

static int setup(void **state)
{
    (void)state;
    router = weft_router_new();
    return router ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    weft_router_free(router);
    router = NULL;
    return 0;
}

/* The target of a route is the pattern that it was added with. */
static void add(const char *method, const char *pattern)
{
    int rc = weft_router_add(router, method, pattern, (void *)pattern);
    if (rc != 0)
        fail_msg("%s %s: %d, %s", method, pattern, rc, weft_router_error(router));
}

static weft_route_match match;

/* `expected` is the pattern, NULL for 404, or the Allow field of a 405. */
static void find(const char *method, const char *path, const char *expected)
{
    int status = weft_router_find(router, method, path, &match);
    char allow[WEFT_ROUTER_ALLOW_SIZE] = "";
    if (status == 405) {
        size_t size = weft_router_allow(router, match.allowed, allow, sizeof(allow));
        assert_int_equal(size, strlen(allow));
    }
    const char *got = status == 0 ? match.pattern : status == 405 ? allow : NULL;
    if ((expected == NULL) != (got == NULL) || (got && strcmp(got, expected) != 0))
        fail_msg("%s %s: %d %s", method, path, status, got ? got : "");
    if (status == 0)
        assert_string_equal(match.target, match.pattern);
    else if (status == 404)
        assert_int_equal(match.allowed, 0);
}

static void check_param(int i, const char *name, const char *value)
{
    assert_true(i < match.param_count);
    assert_string_equal(match.params[i].name, name);
    assert_int_equal(match.params[i].value_size, strlen(value));
    assert_memory_equal(match.params[i].value, value, strlen(value));
}

static void literals(void **state)
{
    (void)state;
    find("GET", "/", NULL);
    add("GET", "/");
    add("GET", "/a");
    add("GET", "/a/");
    add("GET", "/a/b");
    add("GET", "/ab");
    add("GET", "/x/y/z");
    find("GET", "/", "/");
    find("GET", "/a", "/a");
    find("GET", "/a/", "/a/"); /* the slash at the end is significant */
    find("GET", "/a/b", "/a/b");
    find("GET", "/ab", "/ab");
    find("GET", "/x/y/z", "/x/y/z");
    assert_int_equal(match.param_count, 0);
    static const char *const none[] = { "/A",   "/ab/",  "/a/b/",   "/a//b", "//", "//a", "/x",
                                        "/x/y", "/x/y/", "/x/y/z/", "/b",    "",   "a",   "*" };
    for (size_t i = 0; i < COUNT(none); i++)
        find("GET", none[i], NULL);
}

static void parameters(void **state)
{
    (void)state;
    add("GET", "/{name}");
    add("GET", "/users/{id}/orders/{order_2}");
    add("GET", "/users/{id}/");
    find("GET", "/x", "/{name}");
    check_param(0, "name", "x");
    assert_int_equal(match.param_count, 1);
    find("GET", "/users", "/{name}");
    find("GET", "/users/7/orders/a-b.c", "/users/{id}/orders/{order_2}");
    check_param(0, "id", "7");
    check_param(1, "order_2", "a-b.c");
    find("GET", "/users/7/", "/users/{id}/");
    check_param(0, "id", "7");
    find("GET", "/", NULL); /* a parameter is never empty */
    find("GET", "/users//orders/1", NULL);
    find("GET", "/users/", NULL);
    find("GET", "/users/7/orders/", NULL);
    find("GET", "/users/7", NULL);
}

static void literals_win(void **state)
{
    (void)state;
    add("GET", "/{a}/{b}");
    add("GET", "/x/{b}");
    add("GET", "/{a}/y");
    add("GET", "/x/y");
    find("GET", "/x/y", "/x/y");
    find("GET", "/x/z", "/x/{b}");
    check_param(0, "b", "z");
    find("GET", "/z/y", "/{a}/y");
    check_param(0, "a", "z");
    find("GET", "/z/z", "/{a}/{b}");
}

static void goes_back(void **state)
{
    (void)state;
    add("GET", "/a/{x}/c");
    add("GET", "/{y}/b/d");
    add("GET", "/{y}/b/{z}/e");
    find("GET", "/a/b/c", "/a/{x}/c");
    check_param(0, "x", "b");
    find("GET", "/a/b/d", "/{y}/b/d");
    check_param(0, "y", "a");
    assert_int_equal(match.param_count, 1);
    find("GET", "/a/b/c/e", "/{y}/b/{z}/e");
    check_param(0, "y", "a");
    check_param(1, "z", "c");
    find("GET", "/a/c/d", NULL);
}

static void methods(void **state)
{
    (void)state;
    add("GET", "/g");
    add("POST", "/g");
    add("PUT", "/p");
    add("HEAD", "/h");
    add("GET", "/both/{x}");
    add("HEAD", "/both/{y}");
    find("GET", "/g", "/g");
    find("POST", "/g", "/g");
    find("HEAD", "/g", "/g"); /* GET answers it */
    find("DELETE", "/g", "GET, HEAD, OPTIONS, POST");
    find("OPTIONS", "/g", "GET, HEAD, OPTIONS, POST");
    find("PROPFIND", "/g", "GET, HEAD, OPTIONS, POST"); /* one it has never seen */
    find("get", "/g", "GET, HEAD, OPTIONS, POST");
    find("GET", "/p", "OPTIONS, PUT");
    find("HEAD", "/p", "OPTIONS, PUT");
    find("GET", "/h", "HEAD, OPTIONS");
    find("HEAD", "/both/1", "/both/{y}");
    find("GET", "/both/1", "/both/{x}");
    find("DELETE", "/nothing", NULL);
    add("OPTIONS", "/p");
    find("OPTIONS", "/p", "/p");
    find("OPTIONS", "*", "GET, HEAD, OPTIONS, POST, PUT"); /* of the server itself */
    find("GET", "*", NULL);
}

/* A method that the best match lacks is looked for in the others; only then is it 405, with the methods of all. */
static void methods_of_several_matches(void **state)
{
    (void)state;
    add("GET", "/a/{x}");
    add("POST", "/{y}/b");
    add("PATCH", "/{y}/{z}");
    find("GET", "/a/b", "/a/{x}");
    find("POST", "/a/b", "/{y}/b");
    check_param(0, "y", "a");
    find("PATCH", "/a/b", "/{y}/{z}");
    check_param(1, "z", "b");
    find("DELETE", "/a/b", "GET, HEAD, OPTIONS, PATCH, POST");
    find("POST", "/a/c", "GET, HEAD, OPTIONS, PATCH");
}

static void names_belong_to_the_route(void **state)
{
    (void)state;
    add("GET", "/u/{id}");
    add("POST", "/u/{name}");
    find("GET", "/u/1", "/u/{id}");
    check_param(0, "id", "1");
    find("POST", "/u/1", "/u/{name}");
    check_param(0, "name", "1");
}

static void refuse(int expected, const char *method, const char *pattern, const char *words)
{
    int rc = weft_router_add(router, method, pattern, NULL);
    if (rc != expected || !strstr(weft_router_error(router), words))
        fail_msg("%s %s: %d, %s", method, pattern, rc, weft_router_error(router));
}

static void malformed_patterns(void **state)
{
    (void)state;
    static const char *const patterns[] = {
        "",           "a",        "{a}",         "*",           "http://a/",    "//",
        "/a//b",      "//a",      "/{}",         "/{",          "/}",           "/{a",
        "/a}",        "/{a}b",    "/b{a}",       "/{a}{b}",     "/{{a}}",       "/{a}/{a}",
        "/{a}/b/{a}", "/{1a}",    "/{a-b}",      "/{a b}",      "/{a.b}",       "/{caf\xc3\xa9}",
        "/{a%41}",    "/%",       "/%4",         "/%zz",        "/%00",         "/a%",
        "/.",         "/..",      "/a/../b",     "/a/.",        "/%2e%2E",      "/a?b",
        "/a#b",       "/a\nb",    "/a\x7f",      "/{a:}",       "/{a:uuid}",    "/{a:int}b",
        "/{:int}",    "/{...}",   "/{a:int...}", "/{a...:int}", "/{a..}",       "/{a....}",
        "/{1:int}",   "/{a...}/", "/{a...}/b",   "/x{a...}",    "/{a}/{a:int}", "/{a:int}/{a...}",
        "/{a: int}",  "/{a:INT}",
    };
    for (size_t i = 0; i < COUNT(patterns); i++) {
        refuse(-EINVAL, "GET", patterns[i], patterns[i]);
        refuse(-EINVAL, "GET", patterns[i], "the pattern");
    }
    find("GET", "/a", NULL); /* nothing of them has stayed */
    find("GET", "/", NULL);
    add("GET", "/{_a1}/{A}/...");
    add("GET", "/..a/ b/\"<|>");
    find("GET", "/..a/ b/\"<|>", "/..a/ b/\"<|>");
}

static void malformed_methods(void **state)
{
    (void)state;
    static const char *const names[] = { "", "get", "Get", "GET ", "G:T", "GET\n", "ABCDEFGHIJKLMNOP", "**", "G*" };
    for (size_t i = 0; i < COUNT(names); i++)
        refuse(-EINVAL, names[i], "/", "method");
    add("M-SEARCH", "/");
    find("M-SEARCH", "/", "/");
}

static void too_many(void **state)
{
    (void)state;
    char pattern[512], method[3] = "AA";
    size_t size = 0;
    for (int i = 0; i < WEFT_ROUTE_PARAM_MAX; i++)
        size += (size_t)snprintf(pattern + size, sizeof(pattern) - size, "/{p%d}", i);
    add("GET", pattern);
    find("GET", "/0/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15", pattern);
    check_param(15, "p15", "15");
    snprintf(pattern + size, sizeof(pattern) - size, "/{more}");
    refuse(-EINVAL, "GET", pattern, "too many parameters");
    for (int i = 0; i < WEFT_ROUTE_SEGMENT_MAX; i++)
        memcpy(pattern + i * 2, "/s", 3);
    add("GET", pattern);
    find("GET", pattern, pattern);
    memcpy(pattern + (size_t)WEFT_ROUTE_SEGMENT_MAX * 2, "/s", 3);
    find("GET", pattern, NULL);
    refuse(-EINVAL, "GET", pattern, "too many segments");
    for (int i = 4; i < WEFT_ROUTER_METHOD_MAX; i++) { /* GET, HEAD, OPTIONS and "*" are there already */
        method[0] = (char)('A' + i / 26);
        method[1] = (char)('A' + i % 26);
        add(method, "/");
    }
    refuse(-EINVAL, "ZZ", "/", "one method too many");
    char allow[WEFT_ROUTER_ALLOW_SIZE];
    size = weft_router_allow(router, UINT32_MAX, allow, sizeof(allow));
    assert_int_equal(size, strlen(allow));
    assert_non_null(strstr(allow, ", OPTIONS"));
    assert_null(strchr(allow, '*'));
}

static void twice_the_same(void **state)
{
    (void)state;
    add("GET", "/a/{x}");
    refuse(-EEXIST, "GET", "/a/{x}", "GET \"/a/{x}\" matches the same as \"/a/{x}\"");
    refuse(-EEXIST, "GET", "/a/{y}", "\"/a/{y}\" matches the same as \"/a/{x}\"");
    add("POST", "/a/{y}");
    add("GET", "/a/{x}/");
    add("GET", "/a/x");
    add("GET", "/a/{x:int}");
    refuse(-EEXIST, "GET", "/a/{number:int}", "GET \"/a/{number:int}\" matches the same as \"/a/{x:int}\"");
    add("GET", "/a/{rest...}");
    refuse(-EEXIST, "GET", "/a/{x...}", "GET \"/a/{x...}\" matches the same as \"/a/{rest...}\"");
    add("*", "/a/{x}");
    refuse(-EEXIST, "*", "/a/{any}", "* \"/a/{any}\" matches the same as \"/a/{x}\"");
    add("GET", "/caf\xc3\xa9");
    refuse(-EEXIST, "GET", "/caf%C3%a9", "/caf\xc3\xa9");
    refuse(-EEXIST, "GET", "/%61/%78", "/a/x");
    find("GET", "/a/1", "/a/{x:int}");
    check_param(0, "x", "1");
}

/* Literals are compared with what the request's target becomes. */
static void escapes(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        { "/caf%C3%A9", "/caf%c3%a9" }, { "/caf%C3%A9", "/c%61f%C3%A9" },
        { "/a%2fb", "/a%2Fb" },         { "/100%25", "/100%25" },
        { "/a b", "/a%20b" },           { "/%7Bx%7D", "/{x}" },
        { "/%7Bx%7D", "/%7bx%7d" },     { "/q%3F", "/%71%3f" },
        { "/%252F", "/%252F" },         { "/~x", "/%7ex" },
    };
    for (size_t i = 0; i < COUNT(pairs); i++) {
        char text[32];
        int rc = weft_router_add(router, "GET", pairs[i][0], (void *)pairs[i][0]);
        assert_true(rc == 0 || rc == -EEXIST);
        snprintf(text, sizeof(text), "%s", pairs[i][1]);
        weft_http_target target;
        const char *reason;
        assert_int_equal(weft_http_target_parse(&target, text, strlen(text), false, &reason), 0);
        find("GET", target.path, pairs[i][0]);
    }
    find("GET", "/a/b", NULL);
    add("GET", "/p/{x}");
    find("GET", "/p/a%2Fb", "/p/{x}");
    check_param(0, "x", "a%2Fb");
}

/* ---- kinds of parameters ---- */

static void whole_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t number;
    } good[] = {
        { "0", 0 },
        { "7", 7 },
        { "42", 42 },
        { "-1", -1 },
        { "-0", 0 },
        { "007", 7 },
        { "-08", -8 },
        { "0000000000000000001", 1 },
        { "9223372036854775807", INT64_MAX },
        { "-9223372036854775808", INT64_MIN },
        { "-9223372036854775807", -INT64_MAX },
    };
    static const char *const bad[] = {
        "",
        "-",
        "--1",
        "+1",
        "1-",
        "1a",
        "a1",
        "0x1",
        "1.0",
        "1e3",
        " 1",
        "1 ",
        "1_0",
        "1%2F2",
        "%",
        ":",
        "/",
        "\xd9\xa1",
        "9223372036854775808",
        "-9223372036854775809",
        "9999999999999999999",
        "00000000000000000001",
        "18446744073709551617",
        "-18446744073709551617",
        "99999999999999999999999999999999",
    };
    int64_t number;
    for (size_t i = 0; i < COUNT(good); i++) {
        number = 77;
        assert_true(weft_pattern_read_int(good[i].text, strlen(good[i].text), &number));
        assert_int_equal(number, good[i].number);
    }
    for (size_t i = 0; i < COUNT(bad); i++)
        if (weft_pattern_read_int(bad[i], strlen(bad[i]), &number))
            fail_msg("%s was taken for %lld", bad[i], (long long)number);
    assert_true(weft_pattern_read_int("123", 2, &number)); /* the size counts */
    assert_int_equal(number, 12);
}

static void int_parameters(void **state)
{
    (void)state;
    add("GET", "/n/{id:int}");
    add("GET", "/n/{id:int}/x");
    add("GET", "/d/{y:int}/{m:int}/{slug}/{d:int}");
    find("GET", "/n/42", "/n/{id:int}");
    check_param(0, "id", "42");
    assert_int_equal(match.int_params, 1);
    find("GET", "/n/-42/x", "/n/{id:int}/x");
    find("GET", "/d/2024/02/hello/-0", "/d/{y:int}/{m:int}/{slug}/{d:int}");
    assert_int_equal(match.int_params, 1 | 2 | 8);
    check_param(1, "m", "02");
    check_param(2, "slug", "hello");
    find("GET", "/n/x", NULL);
    find("GET", "/n/", NULL);
    find("GET", "/n/9223372036854775808", NULL);
    find("POST", "/n/1", "GET, HEAD, OPTIONS");
    find("POST", "/n/x", NULL);
}

static void tails(void **state)
{
    (void)state;
    add("GET", "/files/{path...}");
    add("GET", "/u/{id:int}/{rest...}");
    static const char *const values[] = { "",        "a",   "a/",    "a/b",  "a/b/",    "css/site.min.css",
                                          ".hidden", "...", "a%25b", "1/-2", "a..b/..c" };
    for (size_t i = 0; i < COUNT(values); i++) {
        char path[64];
        snprintf(path, sizeof(path), "/files/%s", values[i]);
        find("GET", path, "/files/{path...}");
        assert_int_equal(match.param_count, 1);
        check_param(0, "path", values[i]);
    }
    find("GET", "/u/7/a/b", "/u/{id:int}/{rest...}");
    check_param(0, "id", "7");
    check_param(1, "rest", "a/b");
    assert_int_equal(match.int_params, 1);
    /* what could lead out of a folder, or be taken for another name than it is */
    static const char *const none[] = { "/files",        "/files//",   "/files//a",    "/files//etc/passwd",
                                        "/files/a//b",   "/files/a//", "/files/a%2Fb", "/files/..%2Fx",
                                        "/files/a/b%2F", "/u/7",       "/u/x/a",       "/" };
    for (size_t i = 0; i < COUNT(none); i++)
        find("GET", none[i], NULL);
    find("DELETE", "/files/a", "GET, HEAD, OPTIONS");
    find("DELETE", "/files//a", NULL);
    add("GET", "/{all...}");
    find("GET", "/", "/{all...}");
    check_param(0, "all", "");
    find("GET", "/files", "/{all...}");
    check_param(0, "all", "files");
    find("GET", "/files/x", "/files/{path...}");
    find("GET", "/files//x", NULL);
}

/* The kinds in their order, each hiding the later ones only where it matches. */
static void precedence(void **state)
{
    (void)state;
    static const char *const orders[][4] = {
        { "/p/7", "/p/{i:int}", "/p/{s}", "/p/{t...}" },
        { "/p/{t...}", "/p/{s}", "/p/{i:int}", "/p/7" },
        { "/p/{s}", "/p/7", "/p/{t...}", "/p/{i:int}" },
    };
    for (size_t order = 0; order < COUNT(orders); order++) {
        weft_router_free(router);
        router = weft_router_new();
        for (int i = 0; i < 4; i++)
            add("GET", orders[order][i]);
        find("GET", "/p/7", "/p/7");
        find("GET", "/p/8", "/p/{i:int}");
        find("GET", "/p/07", "/p/{i:int}");
        find("GET", "/p/x", "/p/{s}");
        find("GET", "/p/7/", "/p/{t...}");
        find("GET", "/p/x/7", "/p/{t...}");
        find("GET", "/p/", "/p/{t...}");
        find("GET", "/p/a%2Fb", "/p/{s}"); /* one segment */
    }
}

/* A better kind that leads nowhere further down gives way, from the deepest choice upwards. */
static void gives_way(void **state)
{
    (void)state;
    add("GET", "/7/a/x");
    add("GET", "/{i:int}/b/x");
    add("GET", "/{s}/c/x");
    add("GET", "/{s}/c/{i:int}");
    add("GET", "/{s}/{t...}");
    add("GET", "/{t...}");
    add("POST", "/{i:int}/c/x");
    find("GET", "/7/a/x", "/7/a/x");
    find("GET", "/7/b/x", "/{i:int}/b/x");
    find("GET", "/7/c/x", "/{s}/c/x"); /* the int's has no GET */
    find("POST", "/7/c/x", "/{i:int}/c/x");
    find("GET", "/7/c/8", "/{s}/c/{i:int}");
    check_param(0, "s", "7");
    check_param(1, "i", "8");
    assert_int_equal(match.int_params, 2);
    find("GET", "/7/c/y", "/{s}/{t...}");
    check_param(0, "s", "7");
    check_param(1, "t", "c/y");
    assert_int_equal(match.int_params, 0);
    find("GET", "/7", "/{t...}");
    check_param(0, "t", "7");
    assert_int_equal(match.param_count, 1);
    find("PUT", "/7/c/x", "GET, HEAD, OPTIONS, POST");
    find("PUT", "/8", "GET, HEAD, OPTIONS");
}

static void any_method(void **state)
{
    (void)state;
    add("*", "/a");
    add("POST", "/a");
    add("GET", "/g");
    add("*", "/g");
    add("HEAD", "/h");
    add("*", "/h");
    add("GET", "/{x}");
    find("POST", "/a", "/a");
    static const char *const all[] = { "GET", "HEAD", "OPTIONS", "DELETE", "PROPFIND" };
    for (size_t i = 0; i < COUNT(all); i++)
        find(all[i], "/a", "/a");
    find("POST", "/x", "GET, HEAD, OPTIONS");
    find("OPTIONS", "*", "GET, HEAD, OPTIONS, POST");
    /* which of two routes of one pattern it was */
    weft_router_free(router);
    router = weft_router_new();
    int get, head, any;
    assert_int_equal(weft_router_add(router, "*", "/{p}", &any), 0);
    assert_int_equal(weft_router_add(router, "GET", "/{p}", &get), 0);
    assert_int_equal(weft_router_find(router, "HEAD", "/1", &match), 0);
    assert_ptr_equal(match.target, &get);
    assert_int_equal(weft_router_add(router, "HEAD", "/{p}", &head), 0);
    assert_int_equal(weft_router_find(router, "HEAD", "/1", &match), 0);
    assert_ptr_equal(match.target, &head);
    assert_int_equal(weft_router_find(router, "GET", "/1", &match), 0);
    assert_ptr_equal(match.target, &get);
    assert_int_equal(weft_router_find(router, "OPTIONS", "/1", &match), 0);
    assert_ptr_equal(match.target, &any);
}

/* Hundreds of siblings, and as many at each of several depths. */
static void many_routes(void **state)
{
    (void)state;
    static char patterns[500][48];
    for (int i = 0; i < 500; i++) {
        snprintf(patterns[i], sizeof(patterns[i]), i % 2 ? "/api/v1/resource%d/{id}" : "/thing%d", i);
        add("GET", patterns[i]);
    }
    for (int i = 0; i < 500; i++) {
        char path[64];
        snprintf(path, sizeof(path), i % 2 ? "/api/v1/resource%d/%d" : "/thing%d", i, i);
        find("GET", path, patterns[i]);
    }
    find("GET", "/thing500", NULL);
    find("GET", "/api/v1/resource2/1", NULL);
}

/* Fails each allocation in turn: the call says so, nothing is lost, and the same call succeeds afterwards. */
static void out_of_memory(void **state)
{
    (void)state;
    int failures = 0;
    for (uint64_t n = 1;; n++) {
        weft_faults faults = { .fail_at = n };
        weft_mem_set_faults(&faults);
        weft_router *r = weft_router_new();
        for (int i = 0; r && i < 100; i++) {
            char pattern[32];
            static const char *const kinds[] = { "/a%d/{x}/b", "/a%d/{x:int}/b", "/a%d/{x...}" };
            snprintf(pattern, sizeof(pattern), kinds[i % 3], i);
            int rc = weft_router_add(r, "GET", pattern, NULL);
            if (rc != 0) {
                assert_int_equal(rc, -ENOMEM);
                assert_int_equal(weft_router_add(r, "GET", pattern, NULL), 0);
                failures++;
            }
            snprintf(pattern, sizeof(pattern), "/a%d/7/b", i);
            assert_int_equal(weft_router_find(r, "GET", pattern, &match), 0);
        }
        weft_mem_set_faults(NULL);
        weft_router_free(r);
        if (!faults.struck)
            break;
    }
    assert_true(failures > 5);
    weft_router_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(literals, setup, teardown),
        cmocka_unit_test_setup_teardown(parameters, setup, teardown),
        cmocka_unit_test_setup_teardown(literals_win, setup, teardown),
        cmocka_unit_test_setup_teardown(goes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(methods, setup, teardown),
        cmocka_unit_test_setup_teardown(methods_of_several_matches, setup, teardown),
        cmocka_unit_test_setup_teardown(names_belong_to_the_route, setup, teardown),
        cmocka_unit_test_setup_teardown(malformed_patterns, setup, teardown),
        cmocka_unit_test_setup_teardown(malformed_methods, setup, teardown),
        cmocka_unit_test_setup_teardown(too_many, setup, teardown),
        cmocka_unit_test_setup_teardown(twice_the_same, setup, teardown),
        cmocka_unit_test_setup_teardown(escapes, setup, teardown),
        cmocka_unit_test(whole_numbers),
        cmocka_unit_test_setup_teardown(int_parameters, setup, teardown),
        cmocka_unit_test_setup_teardown(tails, setup, teardown),
        cmocka_unit_test_setup_teardown(precedence, setup, teardown),
        cmocka_unit_test_setup_teardown(gives_way, setup, teardown),
        cmocka_unit_test_setup_teardown(any_method, setup, teardown),
        cmocka_unit_test_setup_teardown(many_routes, setup, teardown),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests_name("router", tests, NULL, NULL);
}
