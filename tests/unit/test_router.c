/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
#include "tests/unit/unit.h"

#include "lib/base/memory.h"
#include "lib/base/random.h"
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
    char all[WEFT_ROUTER_ALLOW_SIZE];
    weft_router_allow(router, weft_router_methods(router), all, sizeof(all));
    assert_string_equal(all, "GET, HEAD, OPTIONS, POST, PUT");
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
        "",        "a",        "{a}",        "*",     "http://a/", "//",     "/a//b",  "//a",
        "/{}",     "/{",       "/}",         "/{a",   "/a}",       "/{a}b",  "/b{a}",  "/{a}{b}",
        "/{{a}}",  "/{a}/{a}", "/{a}/b/{a}", "/{1a}", "/{a-b}",    "/{a b}", "/{a.b}", "/{caf\xc3\xa9}",
        "/{a%41}", "/%",       "/%4",        "/%zz",  "/%00",      "/a%",    "/.",     "/..",
        "/a/../b", "/a/.",     "/%2e%2E",    "/a?b",  "/a#b",      "/a\nb",  "/a\x7f", "/{a:}",
        "/{a...}",
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
    static const char *const names[] = { "", "get", "Get", "GET ", "G:T", "GET\n", "ABCDEFGHIJKLMNOP" };
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
    for (int i = 3; i < WEFT_ROUTER_METHOD_MAX; i++) { /* GET, HEAD and OPTIONS are there already */
        method[0] = (char)('A' + i / 26);
        method[1] = (char)('A' + i % 26);
        add(method, "/");
    }
    refuse(-EINVAL, "ZZ", "/", "one method too many");
    char allow[WEFT_ROUTER_ALLOW_SIZE];
    size = weft_router_allow(router, UINT32_MAX, allow, sizeof(allow));
    assert_int_equal(size, strlen(allow));
    assert_non_null(strstr(allow, ", OPTIONS"));
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
    add("GET", "/caf\xc3\xa9");
    refuse(-EEXIST, "GET", "/caf%C3%a9", "/caf\xc3\xa9");
    refuse(-EEXIST, "GET", "/%61/%78", "/a/x");
    find("GET", "/a/1", "/a/{x}");
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

/* ---- against a plain reading of the rules ---- */

enum { ROUTES = 300, WORDS = 4, DEPTH = 5 };

static const char *const words[WORDS] = { "a", "b", "cc", "ddd" };

struct plain_route {
    char pattern[64];
    int segments[DEPTH]; /* a word, or -1: a parameter */
    int count;
    const char *method;
};

static bool plain_match(const struct plain_route *route, const int *path, int count)
{
    if (route->count != count)
        return false;
    for (int i = 0; i < count; i++)
        if (route->segments[i] >= 0 && route->segments[i] != path[i])
            return false;
    return true;
}

/* Is x before y: a literal at the first segment in which their kinds differ? */
static bool plain_before(const struct plain_route *x, const struct plain_route *y)
{
    for (int i = 0; i < x->count; i++)
        if ((x->segments[i] < 0) != (y->segments[i] < 0))
            return x->segments[i] >= 0;
    return false;
}

static void as_the_rules_say(void **state)
{
    (void)state;
    static struct plain_route routes[ROUTES];
    static const char *const some_methods[] = { "GET", "POST", "PUT" };
    uint64_t seed = 7;
    int count = 0, found = 0, refused = 0;
    for (int tries = 0; tries < ROUTES; tries++) {
        struct plain_route *route = &routes[count];
        route->count = 1 + (int)weft_random_below(&seed, DEPTH);
        route->method = some_methods[weft_random_below(&seed, COUNT(some_methods))];
        size_t size = 0;
        for (int i = 0; i < route->count; i++) {
            route->segments[i] = (int)weft_random_below(&seed, WORDS + 2) - 2;
            if (route->segments[i] >= 0)
                size += (size_t)snprintf(route->pattern + size, 64 - size, "/%s", words[route->segments[i]]);
            else
                size += (size_t)snprintf(route->pattern + size, 64 - size, "/{p%d}", i);
        }
        int rc = weft_router_add(router, route->method, route->pattern, route);
        assert_true(rc == 0 || rc == -EEXIST);
        count += rc == 0;
    }
    for (int round = 0; round < 20000; round++) {
        int path[DEPTH], depth = 1 + (int)weft_random_below(&seed, DEPTH);
        char text[64];
        size_t size = 0;
        for (int i = 0; i < depth; i++) {
            path[i] = (int)weft_random_below(&seed, WORDS + 1); /* one that no pattern has */
            size += (size_t)snprintf(text + size, 64 - size, "/%s", path[i] < WORDS ? words[path[i]] : "other");
        }
        const char *method = some_methods[weft_random_below(&seed, COUNT(some_methods))];
        const struct plain_route *best = NULL;
        bool is_there = false;
        for (int i = 0; i < count; i++) {
            if (!plain_match(&routes[i], path, depth))
                continue;
            is_there = true;
            if (strcmp(routes[i].method, method) == 0 && (!best || plain_before(&routes[i], best)))
                best = &routes[i];
        }
        int status = weft_router_find(router, method, text, &match);
        assert_int_equal(status, best ? 0 : is_there ? 405 : 404);
        if (best)
            assert_ptr_equal(match.target, best);
        found += status == 0;
        refused += status == 405;
    }
    assert_true(found > 1000 && refused > 1000);
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
            snprintf(pattern, sizeof(pattern), "/a%d/{x}/b", i);
            int rc = weft_router_add(r, "GET", pattern, NULL);
            if (rc != 0) {
                assert_int_equal(rc, -ENOMEM);
                assert_int_equal(weft_router_add(r, "GET", pattern, NULL), 0);
                failures++;
            }
            snprintf(pattern, sizeof(pattern), "/a%d/y/b", i);
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
        cmocka_unit_test_setup_teardown(as_the_rules_say, setup, teardown),
        cmocka_unit_test_setup_teardown(many_routes, setup, teardown),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests_name("router", tests, NULL, NULL);
}
