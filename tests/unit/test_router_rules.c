/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* The router against a plain reading of the rules: random routes, each of them tried for random paths. */
#include "tests/rounds.h"
#include "tests/unit/unit.h"

#include "lib/base/random.h"
#include "server/router.h"

enum { ROUTES = 500, DEPTH = 5 };

struct plain_route {
    char pattern[96], method[8];
    const char *segments[DEPTH]; /* as written */
    int count;
};

static int kind_of(const char *segment)
{
    return *segment != '{' ? 0 : strstr(segment, ":int") ? 1 : strstr(segment, "...") ? 3 : 2;
}

static bool plain_is_int(const char *text)
{
    const char *digits = text + (*text == '-');
    errno = 0;
    (void)strtoll(text, NULL, 10);
    return *digits && strspn(digits, "0123456789") == strlen(digits) && strlen(digits) <= 19 && errno == 0;
}

static bool plain_match(const struct plain_route *route, const char *const *path, int count)
{
    for (int i = 0; i < route->count; i++) {
        int kind = kind_of(route->segments[i]);
        if (i >= count)
            return false;
        if (kind == 3) {
            for (int j = i; j < count; j++)
                if (strstr(path[j], "%2F") || (*path[j] == '\0' && j < count - 1))
                    return false;
            return true;
        }
        if (kind == 0 ? strcmp(route->segments[i], path[i]) != 0 : kind == 1 ? !plain_is_int(path[i]) : !*path[i])
            return false;
    }
    return route->count == count;
}

/* How well a route serves a method: 0 best, 3 not at all. */
static int plain_serves(const struct plain_route *route, const char *method)
{
    if (strcmp(route->method, method) == 0)
        return 0;
    if (strcmp(route->method, "GET") == 0 && strcmp(method, "HEAD") == 0)
        return 1;
    return strcmp(route->method, "*") == 0 ? 2 : 3;
}

/* Is x before y: of a lower kind at the first segment in which their kinds differ, else better for the method? */
static bool plain_before(const struct plain_route *x, const struct plain_route *y, const char *method)
{
    for (int i = 0; i < x->count && i < y->count; i++)
        if (kind_of(x->segments[i]) != kind_of(y->segments[i]))
            return kind_of(x->segments[i]) < kind_of(y->segments[i]);
    return plain_serves(x, method) < plain_serves(y, method);
}

static bool plain_same(const struct plain_route *x, const struct plain_route *y)
{
    if (x->count != y->count || strcmp(x->method, y->method) != 0)
        return false;
    for (int i = 0; i < x->count; i++) {
        int kind = kind_of(x->segments[i]);
        if (kind != kind_of(y->segments[i]) || (kind == 0 && strcmp(x->segments[i], y->segments[i]) != 0))
            return false;
    }
    return true;
}

static void plain_make(struct plain_route *route, uint64_t *seed)
{
    static const char *const written[] = { "a",         "b",         "7", "-1",       "{p%d}",   "{q%d}",
                                           "{p%d:int}", "{q%d:int}", "",  "{p%d...}", "{q%d...}" };
    static const char *const some_methods[] = { "GET", "GET", "GET", "POST", "POST", "PUT", "PUT", "HEAD", "*" };
    static char texts[COUNT(written)][DEPTH][16];
    route->count = 1 + (int)weft_random_below(seed, DEPTH);
    snprintf(route->method, sizeof(route->method), "%s", some_methods[weft_random_below(seed, COUNT(some_methods))]);
    size_t size = 0;
    for (int i = 0; i < route->count; i++) {
        size_t which = weft_random_below(seed, COUNT(written) - (i < route->count - 1 ? 3 : i < 2 ? 2 : 0));
        const char *number = strstr(written[which], "%d");
        if (number)
            snprintf(texts[which][i], 16, "%.2s%d%s", written[which], i, number + 2);
        else
            snprintf(texts[which][i], 16, "%s", written[which]);
        route->segments[i] = texts[which][i];
        size += (size_t)snprintf(route->pattern + size, sizeof(route->pattern) - size, "/%s", route->segments[i]);
    }
}

static weft_route_match match;

static void check_param(int i, const char *name, const char *value)
{
    assert_true(i < match.param_count);
    assert_string_equal(match.params[i].name, name);
    assert_int_equal(match.params[i].value_size, strlen(value));
    assert_memory_equal(match.params[i].value, value, strlen(value));
}

/* The parameters that were found are what stands at their places. */
static void plain_check_params(const struct plain_route *route, const char *const *path, int count)
{
    int n = 0;
    for (int i = 0; i < route->count; i++) {
        int kind = kind_of(route->segments[i]);
        if (kind == 0)
            continue;
        char name[16], value[128];
        size_t size = 0;
        snprintf(name, sizeof(name), "%.2s", route->segments[i] + 1);
        for (int j = i; j < (kind == 3 ? count : i + 1); j++)
            size += (size_t)snprintf(value + size, sizeof(value) - size, "%s%s", j > i ? "/" : "", path[j]);
        check_param(n, name, value);
        assert_int_equal(match.int_params >> n & 1, kind == 1);
        n++;
    }
    assert_int_equal(match.param_count, n);
}

static void as_the_rules_say(void **state)
{
    (void)state;
    weft_router *router = weft_router_new();
    static struct plain_route routes[ROUTES];
    static const char *const parts[] = { "a", "b", "7", "-1", "8", "007", "x", "9223372036854775808", "a%2Fb", "" };
    static const char *const methods_asked[] = { "GET", "POST", "PUT", "HEAD", "OPTIONS", "PURGE" };
    uint64_t seed = 7;
    int count = 0, refused_twice = 0, seen[3] = { 0 }, kinds_found[4] = { 0 };
    for (int tries = 0; tries < ROUTES; tries++) {
        struct plain_route *route = &routes[count];
        plain_make(route, &seed);
        bool is_new = true;
        for (int i = 0; i < count; i++)
            is_new = is_new && !plain_same(route, &routes[i]);
        assert_int_equal(weft_router_add(router, route->method, route->pattern, route), is_new ? 0 : -EEXIST);
        count += is_new;
        refused_twice += !is_new;
    }
    int all = rounds(30000);
    for (int round = 0; round < all; round++) {
        const char *path[DEPTH + 1];
        int depth = 1 + (int)weft_random_below(&seed, DEPTH + 1);
        char text[160];
        size_t size = 0;
        for (int i = 0; i < depth; i++) {
            path[i] = parts[weft_random_below(&seed, COUNT(parts))];
            size += (size_t)snprintf(text + size, sizeof(text) - size, "/%s", path[i]);
        }
        const char *method = methods_asked[weft_random_below(&seed, COUNT(methods_asked))];
        const struct plain_route *best = NULL;
        bool is_there = false;
        for (int i = 0; i < count; i++) {
            if (!plain_match(&routes[i], path, depth))
                continue;
            is_there = true;
            if (plain_serves(&routes[i], method) < 3 && (!best || plain_before(&routes[i], best, method)))
                best = &routes[i];
        }
        int status = weft_router_find(router, method, text, &match);
        if (status != (best ? 0 : is_there ? 405 : 404) || (best && match.target != best))
            fail_msg("%s %s: %d %s, not %s", method, text, status, status ? "" : match.pattern, best ? best->pattern : "none");
        seen[status == 0 ? 0 : status - 403]++;
        if (!best)
            continue;
        plain_check_params(best, path, depth);
        kinds_found[kind_of(best->segments[best->count - 1])]++;
    }
    weft_router_free(router);
    print_message("# %d routes, %d refused; found %d, 404 %d, 405 %d; by last kind %d %d %d %d\n", count, refused_twice,
                  seen[0], seen[1], seen[2], kinds_found[0], kinds_found[1], kinds_found[2], kinds_found[3]);
    assert_true(seen[0] > all / 30 && seen[1] > all / 30 && seen[2] > all / 30 && refused_twice > 5);
    for (int kind = 0; kind < 4; kind++)
        assert_true(kinds_found[kind] > all / 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_the_rules_say),
    };
    return cmocka_run_group_tests_name("router_rules", tests, NULL, NULL);
}
