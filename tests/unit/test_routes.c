/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Routes of an app: groups, options, names, URLs, --routes; and what a request gets of them. */
#include "tests/rounds.h"
#include "tests/unit/unit.h"

#include <sys/wait.h>
#include <unistd.h>

#include <weft.h>

#include "lib/base/memory.h"
#include "lib/base/random.h"
#include "server/request.h"
#include "server/routes.h"

static weft_app *app;
static weft_server *server;
static weft_connection *connection;
static weft_request *req;
static weft_arena_pool pool;
static char path_text[4096];

static int handler(weft_request *r)
{
    (void)r;
    return 0;
}

static int other_handler(weft_request *r)
{
    (void)r;
    return 1;
}

/* A request that gets as far as its route, with nothing else of a server under it. */
static int setup(void **state)
{
    (void)state;
    app = weft_app_new();
    server = calloc(1, sizeof *server);
    connection = calloc(1, sizeof *connection);
    req = calloc(1, sizeof *req);
    if (!app || !server || !connection || !req)
        return -1;
    server->app = app;
    connection->server = server;
    req->connection = connection;
    weft_arena_pool_init(&pool, 4);
    weft_arena_init(&req->arena, &pool);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    weft_arena_free(&req->arena);
    weft_arena_pool_close(&pool);
    free(req);
    free(connection);
    free(server);
    weft_app_free(app);
    return 0;
}

/* Routes the request as it would come from the wire. */
static int ask(const char *method, const char *target)
{
    const char *reason = "";
    snprintf(path_text, sizeof path_text, "%s", target);
    req->head.method = method;
    req->path = "?";
    int status = weft_http_target_parse(&req->target, path_text, strlen(path_text), false, &reason);
    return status ? status : weft_request_route(req);
}

static void check_route(const char *method, const char *target, const char *pattern)
{
    int status = ask(method, target);
    if (status != 0 || strcmp(req->route->pattern, pattern) != 0)
        fail_msg("%s %s: %d %s", method, target, status, status ? "" : req->route->pattern);
}

static void check_problem(int n, const char *words)
{
    assert_true(n < app->problem_count);
    if (strcmp(app->problems[n], words) != 0)
        fail_msg("%s", app->problems[n]);
}

/* ---- groups ---- */

static void add_users(weft_routes *users)
{
    weft_get(users, "", handler, .name = "list");
    weft_get(users, "/", handler);
    weft_get(users, "/{id:int}", handler, .name = "user");
    weft_delete(users, "/{id:int}", other_handler, .name = "user");
}

static void groups(void **state)
{
    (void)state;
    weft_routes *api = weft_under(app, "/api/v1", .timeout = 5 * WEFT_SECOND, .stack_size = 128 * 1024);
    add_users(weft_under(api, "/users"));
    add_users(weft_under(app, "/t/{tenant}/users", .name = "tenant"));
    weft_get(weft_under(app, ""), "/plain", handler);
    weft_any(api, "/any", handler);
    weft_put(api, "/put", handler);
    weft_patch(api, "/patch", handler);
    weft_post(api, "/post", handler);
    weft_route(api, "PURGE", "/purge", handler);
    weft_route(app, "PURGE", "/purge", handler);
    assert_int_equal(app->problem_count, 0);
    check_route("GET", "/api/v1/users", "/api/v1/users");
    check_route("GET", "/api/v1/users/", "/api/v1/users/");
    check_route("GET", "/api/v1/users/7", "/api/v1/users/{id:int}");
    assert_ptr_equal(req->route->handler, handler);
    check_route("DELETE", "/api/v1/users/7", "/api/v1/users/{id:int}");
    assert_ptr_equal(req->route->handler, other_handler);
    assert_string_equal(req->route->label, "user");
    check_route("GET", "/t/acme/users/8", "/t/{tenant}/users/{id:int}");
    assert_string_equal(req->route->label, "tenant.user");
    assert_string_equal(weft_param(req, "tenant"), "acme");
    assert_int_equal(weft_param_int(req, "id"), 8);
    check_route("GET", "/plain", "/plain");
    assert_string_equal(req->route->label, "/plain");
    check_route("HEAD", "/api/v1/any", "/api/v1/any");
    check_route("PURGE", "/api/v1/purge", "/api/v1/purge");
    check_route("PURGE", "/purge", "/purge");
    assert_int_equal(ask("GET", "/api/v1"), 404);
    assert_int_equal(ask("GET", "/users/7"), 404);
    assert_int_equal(ask("POST", "/api/v1/put"), 405);
}

static void options_of_groups(void **state)
{
    (void)state;
    weft_routes *outer = weft_under(app, "/o", .timeout = 5 * WEFT_SECOND, .body_limit = 1000, .stack_size = 128 * 1024);
    weft_routes *inner = weft_under(outer, "/i", .timeout = WEFT_NO_LIMIT, .finish_when_client_leaves = true);
    weft_get(app, "/x", handler, .body_limit = 7);
    weft_get(outer, "/x", handler);
    weft_get(inner, "/x", handler);
    weft_get(inner, "/y", handler, .timeout = WEFT_SECOND, .body_limit = 2000, .stack_size = 32 * 1024);
    assert_int_equal(app->problem_count, 0);
    static const struct {
        const char *path;
        weft_duration timeout;
        int64_t body_limit;
        size_t stack_size;
        bool finish;
    } expected[] = {
        { "/x", 0, 7, 0, false },
        { "/o/x", 5 * WEFT_SECOND, 1000, 128 * 1024, false },
        { "/o/i/x", WEFT_NO_LIMIT, 1000, 128 * 1024, true },
        { "/o/i/y", WEFT_SECOND, 2000, 32 * 1024, true },
    };
    for (size_t i = 0; i < COUNT(expected); i++) {
        check_route("GET", expected[i].path, expected[i].path);
        assert_int_equal(req->route->timeout, expected[i].timeout);
        assert_int_equal(req->route->body_limit, expected[i].body_limit);
        assert_int_equal(req->route->stack_size, expected[i].stack_size);
        assert_int_equal(req->route->finish_when_client_leaves, expected[i].finish);
    }
}

/* ---- mistakes ---- */

static void mistakes(void **state)
{
    (void)state;
    char name[] = "user";
    assert_int_equal(weft_get(app, "/a/{x}", handler, .name = name), 0);
    name[0] = 'X'; /* it was copied */
    assert_int_equal(weft_get(app, "/a/{y}", handler), -EEXIST);
    check_problem(0, "route GET /a/{y}: GET \"/a/{y}\" matches the same as \"/a/{x}\"");
    assert_int_equal(weft_get(app, "/b/{x}", handler, .name = "user"), -EEXIST);
    check_problem(1, "route GET /b/{x}: the name \"user\" is that of GET /a/{x}");
    assert_int_equal(ask("GET", "/b/1"), 404);
    assert_int_equal(weft_post(app, "/a/{x}", handler, .name = "user"), 0); /* the same URL */
    assert_int_equal(weft_get(app, "a", handler), -EINVAL);
    check_problem(2, "route GET a: the pattern has no '/' at its start");
    assert_int_equal(weft_get(app, "", handler), -EINVAL);
    check_problem(3, "route GET : the pattern \"\" has no '/' at its start");
    assert_int_equal(weft_get(weft_under(app, "/g"), "x", handler), -EINVAL);
    check_problem(4, "route GET /gx: the pattern has no '/' at its start");
    assert_int_equal(weft_get(app, "/h", NULL), -EINVAL);
    check_problem(5, "route GET /h: there is no handler");
    assert_int_equal(weft_get(app, "/h", handler, .stack_size = 100), -EINVAL);
    check_problem(6, "route GET /h: its stack_size is out of its range");
    assert_int_equal(weft_get(app, "/h", handler, .name = ""), -EINVAL);
    check_problem(7, "route GET /h: its name is empty");
    assert_int_equal(app->problem_count, 8);
    assert_int_equal(weft_get(app, "/h", handler, .timeout = -1), -EINVAL); /* counted, if not kept */
    assert_int_equal(weft_get(app, "/h", handler, .body_limit = -1), -EINVAL);
    assert_int_equal(app->problem_count, 10);
    assert_int_equal(ask("GET", "/h"), 404);
}

/* One problem for the group, none for its routes. */
static void mistakes_in_groups(void **state)
{
    (void)state;
    static const struct {
        const char *prefix, *words;
    } bad[] = {
        { "x", "routes under x: the prefix has no '/' at its start" },
        { "/", "routes under /: the prefix has a '/' at its end" },
        { "/x/", "routes under /x/: the prefix has a '/' at its end" },
        { "/x//y", "routes under /x//y: the prefix has an empty segment" },
        { "/{t...}", "routes under /{t...}: the prefix has a {name...}, behind which nothing can stand" },
        { "/{a}/{a}", "routes under /{a}/{a}: the prefix has a parameter's name twice" },
    };
    for (int i = 0; i < (int)COUNT(bad); i++) {
        weft_routes *routes = weft_under(app, bad[i].prefix);
        assert_non_null(routes);
        assert_int_equal(weft_get(routes, "/in", handler), -EINVAL);
        assert_int_equal(weft_get(weft_under(routes, "no slash"), "/in", handler), -EINVAL);
        assert_int_equal(app->problem_count, i + 1);
        check_problem(i, bad[i].words);
    }
    weft_routes *fine = weft_under(app, "/fine/{a}");
    assert_int_equal(weft_get(weft_under(fine, "/{a}"), "", handler), -EINVAL);
    check_problem(6, "routes under /fine/{a}/{a}: the prefix has a parameter's name twice");
    assert_int_equal(weft_get(weft_under(app, "/o", .stack_size = 1), "", handler), -EINVAL);
    check_problem(7, "routes under /o: its stack_size is out of its range");
    assert_int_equal(app->problem_count, 8);
    assert_int_equal(ask("GET", "/in"), 404);
}

/* Fails each allocation of setting up in turn: it is a problem each time, and what was added nevertheless works. */
static void out_of_memory(void **state)
{
    (void)state;
    int failures = 0;
    weft_app *kept = app;
    for (uint64_t n = 1;; n++) {
        weft_faults faults = { .fail_at = n };
        weft_mem_set_faults(&faults);
        app = weft_app_new();
        int added = 0;
        for (int i = 0; app && i < 40; i++) {
            char prefix[32];
            snprintf(prefix, sizeof prefix, "/g%d", i);
            added += weft_get(weft_under(app, prefix, .name = prefix), "/{x:int}", handler, .name = "n") == 0;
        }
        weft_mem_set_faults(NULL);
        if (app) {
            assert_int_equal(app->problem_count, faults.struck ? 1 : 0);
            assert_int_equal(added, faults.struck ? 39 : 40);
            if (faults.struck)
                assert_non_null(strstr(app->problems[0], "out of memory"));
            failures += faults.struck;
        }
        weft_app_free(app);
        if (!faults.struck)
            break;
    }
    app = kept;
    assert_true(failures > 100);
}

/* ---- parameters ---- */

static void parameters(void **state)
{
    (void)state;
    weft_get(app, "/u/{id:int}/{name}/{rest...}", handler);
    check_route("GET", "/u/-42/a%2Fb%20c/x%2525/y%C3%A9/", "/u/{id:int}/{name}/{rest...}");
    assert_int_equal(weft_param_int(req, "id"), -42);
    assert_string_equal(weft_param(req, "id"), "-42");
    assert_string_equal(weft_param(req, "name"), "a/b c");
    assert_string_equal(weft_param(req, "rest"), "x%25/y\xc3\xa9/");
    check_route("GET", "/u/%34%32/x/", "/u/{id:int}/{name}/{rest...}"); /* an escaped digit is one */
    assert_int_equal(weft_param_int(req, "id"), 42);
    assert_string_equal(weft_param(req, "rest"), "");
    check_route("GET", "/u/9223372036854775807/x/a/../b/./c", "/u/{id:int}/{name}/{rest...}");
    assert_int_equal(weft_param_int(req, "id"), INT64_MAX);
    assert_string_equal(weft_param(req, "rest"), "b/c");
    static const char *const escapes_a_folder[] = { "/u/1/x/..%2F..%2Fetc", "/u/1/x/%2Fetc", "/u/1/x//etc",
                                                    "/u/1/x/a/%2e%2e%2fb" };
    for (size_t i = 0; i < COUNT(escapes_a_folder); i++)
        assert_int_equal(ask("GET", escapes_a_folder[i]), 404);
    assert_int_equal(ask("GET", "/u/1/x/../../../../etc"), 400);   /* above the root */
    assert_int_equal(ask("GET", "/u/1/x/%2e%2e/%2e%2e/etc"), 404); /* that is /u/etc */
}

/* Runs fn in a process of its own, which must abort; what it said is in `said`. */
static void check_dies(void (*fn)(void), const char *words)
{
    int ends[2], status;
    char said[512] = "";
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        fn();
        _exit(0);
    }
    close(ends[1]);
    size_t size = 0;
    for (ssize_t n; size < sizeof said - 1 && (n = read(ends[0], said + size, sizeof said - 1 - size)) > 0;)
        size += (size_t)n;
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT || !strstr(said, words))
        fail_msg("%d %s", status, said);
}

static void ask_plain(void)
{
    (void)weft_param_int(req, "name");
}

static void ask_none(void)
{
    (void)weft_param_int(req, "nothing");
}

static void misuse(void **state)
{
    (void)state;
    weft_get(app, "/{id:int}/{name}", handler);
    check_route("GET", "/1/2", "/{id:int}/{name}");
    check_dies(ask_plain, "weft_param_int: the route /{id:int}/{name} has no {name:int}");
    check_dies(ask_none, "weft_param_int: the route /{id:int}/{name} has no {nothing:int}");
}

/* ---- URLs ---- */

static void check_url(char *url, const char *expected)
{
    if (!url || strcmp(url, expected) != 0)
        fail_msg("%s", url ? url : "no URL");
}

static void urls(void **state)
{
    (void)state;
    weft_get(app, "/", handler, .name = "root");
    weft_get(app, "/users/{id:int}", handler, .name = "user");
    weft_get(app, "/caf\xc3\xa9/100%25/a b/{x}/~'&@:%2f", handler, .name = "odd");
    weft_get(app, "/files/{path...}", handler, .name = "file");
    req->head.method = "GET";
    req->path = "/";
    check_url(weft_url(req, "root"), "/");
    check_url(weft_url(req, "user", "id", "42"), "/users/42");
    check_url(weft_url(req, "user", "id", "-007", NULL), "/users/-007");
    check_url(weft_url(req, "user", "id", "1", "id", "2"), "/users/1");
    check_url(weft_url(req, "user", "page", "2", "id", "1", "q", "a b&c=d?", "", "e"), "/users/1?page=2&q=a%20b%26c%3Dd%3F&=e");
    check_url(weft_url(req, "odd", "x", "a/b%\xc3\xa9 \x01'\"<>&?#{}~-._"),
              "/caf%C3%A9/100%25/a%20b/a%2Fb%25%C3%A9%20%01%27%22%3C%3E%26%3F%23%7B%7D~-._/~'&@:%2f");
    check_url(weft_url(req, "file", "path", "css/a b.css"), "/files/css/a%20b.css");
    check_url(weft_url(req, "file", "path", ""), "/files/");
    check_url(weft_url(req, "file", "path", "a/"), "/files/a/");
    assert_null(weft_url(req, "nobody"));
    assert_null(weft_url(req, ""));
    assert_null(weft_url(req, "user"));
    assert_null(weft_url(req, "user", "i", "1"));
    assert_null(weft_url(req, "user", "id", (const char *)NULL));
    static const char *const no_int[] = { "", "x", "1.5", "9223372036854775808" };
    for (size_t i = 0; i < COUNT(no_int); i++)
        assert_null(weft_url(req, "user", "id", no_int[i]));
    static const char *const no_segment[] = { "", ".", ".." };
    for (size_t i = 0; i < COUNT(no_segment); i++)
        assert_null(weft_url(req, "odd", "x", no_segment[i]));
    static const char *const no_tail[] = { "/", "/a", "a//b", "..", "../x", "a/../b", "a/.", "a//" };
    for (size_t i = 0; i < COUNT(no_tail); i++)
        assert_null(weft_url(req, "file", "path", no_tail[i]));
    assert_int_equal(weft_reply_redirect(req, 303, NULL), -EINVAL);
    weft_faults faults = { .fail_at = 1 };
    char *big = weft_alloc(req, 8000);
    memset(big, 'x', 7999);
    big[7999] = '\0';
    weft_mem_set_faults(&faults);
    assert_null(weft_url(req, "odd", "x", big)); /* larger than a chunk: from the heap */
    weft_mem_set_faults(NULL);
    assert_true(faults.struck);
}

static void random_text(uint64_t *seed, char *text, size_t size, bool may_have_slash)
{
    static const char some[] = "/%.a7-~ ?#{}\xc3\xa9\x7f\x01+&";
    size_t length = 1 + weft_random_below(seed, size - 1);
    for (size_t i = 0; i < length; i++) {
        do
            text[i] = weft_random_below(seed, 2) ? some[weft_random_below(seed, sizeof some - 1)]
                                                 : (char)(1 + weft_random_below(seed, 255));
        while (text[i] == '/' && !may_have_slash);
    }
    text[length] = '\0';
}

/* What is built is routed to the same route with the same values; what is not built had a value that no path has. */
static void round_trip(void **state)
{
    (void)state;
    weft_get(app, "/r \xc3\xbc/{a}/{n:int}/{b}/x%2fy/{t...}", handler, .name = "r");
    uint64_t seed = 11;
    int built = 0, not_built = 0;
    req->head.method = "GET";
    int all = rounds(20000);
    for (int round = 0; round < all; round++) {
        char a[16], b[4], t[16], n[24];
        random_text(&seed, a, sizeof a, true);
        random_text(&seed, b, sizeof b, true);
        random_text(&seed, t, sizeof t, weft_random_below(&seed, 2));
        int64_t number = (int64_t)weft_random_next(&seed) >> weft_random_below(&seed, 64);
        snprintf(n, sizeof n, "%lld", (long long)number);
        req->path = "/";
        weft_pattern_value values[] = { { "a", a }, { "b", b }, { "n", n }, { "t", t } };
        char *url = NULL;
        weft_bytes param;
        int rc = weft_pattern_build(&req->arena, "/r \xc3\xbc/{a}/{n:int}/{b}/x%2fy/{t...}", values, 4, &url, &param);
        if (rc < 0) {
            bool a_is_dots = !strcmp(a, ".") || !strcmp(a, ".."), b_is_dots = !strcmp(b, ".") || !strcmp(b, "..");
            bool t_is_odd = *t == '/' || strstr(t, "//") || strchr(t, '.');
            assert_int_equal(rc, -EINVAL);
            assert_true(a_is_dots || b_is_dots || t_is_odd);
            not_built++;
        } else {
            for (const char *at = url; *at; at++)
                assert_true(*at > ' ' && *at < 0x7f);
            check_route("GET", url, "/r \xc3\xbc/{a}/{n:int}/{b}/x%2fy/{t...}");
            assert_string_equal(weft_param(req, "a"), a);
            assert_string_equal(weft_param(req, "b"), b);
            assert_string_equal(weft_param(req, "t"), t);
            assert_int_equal(weft_param_int(req, "n"), number);
            built++;
        }
        weft_arena_free(&req->arena);
    }
    assert_true(built > all / 2 && not_built > all * 3 / 200);
}

/* ---- served ---- */

static int next(weft_request *r)
{
    return weft_reply_redirect(r, 303,
                               weft_url(r, "next", "id", weft_format(r, "%lld", (long long)weft_param_int(r, "id") + 1)));
}

static int own_head(weft_request *r)
{
    return weft_reply_empty(r, 204);
}

static int any(weft_request *r)
{
    return weft_reply_text(r, 200, "%s %s", weft_method(r), weft_param(r, "path"));
}

static int serve_some(void *arg)
{
    (void)arg;
    weft_test_reply reply = weft_test_get(app, "/n/41");
    assert_int_equal(reply.status, 303);
    assert_non_null(strstr(reply.head, "\r\nLocation: /n/42\r\n"));
    reply = weft_test_get(app, "/n/9999999999999999999");
    assert_int_equal(reply.status, 200);
    assert_string_equal(reply.body, "GET n/9999999999999999999");
    assert_int_equal(weft_test_request(app, .method = "HEAD", .target = "/n/1").status, 204);
    reply = weft_test_request(app, .method = "DELETE", .target = "/n/a%20b/%2e%2e/c");
    assert_string_equal(reply.body, "DELETE n/c");
    reply = weft_test_request(app, .method = "OPTIONS", .target = "/n/1");
    assert_int_equal(reply.status, 204);
    assert_non_null(strstr(reply.head, "\r\nAllow: DELETE, GET, HEAD, OPTIONS\r\n"));
    reply = weft_test_request(app, .method = "OPTIONS", .target = "*");
    assert_int_equal(reply.status, 204);
    assert_non_null(strstr(reply.head, "\r\nAllow: DELETE, GET, HEAD, OPTIONS\r\n"));
    assert_int_equal(weft_test_get(app, "/..%2Fx").status, 404);
    return 0;
}

static void served(void **state)
{
    (void)state;
    weft_get(app, "/n/{id:int}", next, .name = "next");
    weft_route(app, "HEAD", "/n/{id:int}", own_head);
    weft_get(app, "/{path...}", any);
    weft_delete(app, "/{path...}", any);
    assert_int_equal(weft_run(serve_some, NULL), 0);
}

/* ---- --routes ---- */

/* The exit status of weft_app_main(app, "prog", word), and what it wrote. The app is gone then. */
static int run_main(const char *word, char *out, char *err, size_t size)
{
    FILE *files[2] = { tmpfile(), tmpfile() };
    char *texts[2] = { out, err };
    int saved[2] = { dup(1), dup(2) };
    fflush(NULL);
    for (int i = 0; i < 2; i++)
        dup2(fileno(files[i]), i + 1);
    char program[] = "prog", flag[32];
    snprintf(flag, sizeof flag, "%s", word);
    char *argv[] = { program, flag, NULL };
    int status = weft_app_main(app, 2, argv);
    app = NULL;
    fflush(NULL);
    for (int i = 0; i < 2; i++) {
        dup2(saved[i], i + 1);
        close(saved[i]);
        rewind(files[i]);
        texts[i][fread(texts[i], 1, size - 1, files[i])] = '\0';
        fclose(files[i]);
    }
    return status;
}

static void table(void **state)
{
    (void)state;
    char out[4096], err[4096];
    weft_get(app, "/{t...}", handler);
    weft_any(app, "/a/{x}", handler, .finish_when_client_leaves = true);
    weft_get(app, "/a/{x}", handler, .timeout = 1500 * WEFT_MILLISECOND);
    weft_get(app, "/a/{n:int}", handler, .name = "n", .body_limit = 10);
    weft_get(app, "/a-b", handler);
    weft_get(app, "/a/{n:int}/z", handler, .timeout = WEFT_NO_LIMIT);
    weft_delete(weft_under(app, "/a", .stack_size = 131072, .timeout = 30 * WEFT_SECOND, .name = "group"), "/b", handler,
                .name = "b");
    weft_get(app, "/", handler);
    assert_int_equal(run_main("--routes", out, err, sizeof out), 0);
    assert_string_equal(err, "");
    assert_string_equal(out, "METHOD  PATTERN       NAME     OPTIONS\n"
                             "GET     /             -\n"
                             "DELETE  /a/b          group.b  timeout=30s stack_size=131072\n"
                             "GET     /a/{n:int}    n        body_limit=10\n"
                             "GET     /a/{n:int}/z  -        timeout=none\n"
                             "GET     /a/{x}        -        timeout=1500ms\n"
                             "*       /a/{x}        -        finish_when_client_leaves\n"
                             "GET     /a-b          -\n"
                             "GET     /{t...}       -\n");
}

static void table_with_problems(void **state)
{
    (void)state;
    char out[4096], err[4096];
    weft_get(app, "/{a}", handler);
    weft_get(app, "/{b}", handler);
    weft_get(app, "/{b", handler);
    assert_int_equal(run_main("--routes", out, err, sizeof out), 2);
    assert_string_equal(out, "METHOD  PATTERN  NAME  OPTIONS\nGET     /{a}     -\n");
    assert_string_equal(err,
                        "prog: route GET /{b}: GET \"/{b}\" matches the same as \"/{a}\"\n"
                        "prog: route GET /{b: the pattern \"/{b\" has a brace that is not the first or last of its segment (a "
                        "literal one is written %7B or %7D)\n");
}

/* A program with a mistake does not serve. */
static void problems_end_it(void **state)
{
    (void)state;
    char out[256], err[1024];
    weft_get(app, "/{a}", handler);
    weft_get(app, "/{b}", handler);
    assert_int_equal(run_main("--port=0", out, err, sizeof out), 2);
    assert_string_equal(err, "prog: route GET /{b}: GET \"/{b}\" matches the same as \"/{a}\"\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(groups, setup, teardown),
        cmocka_unit_test_setup_teardown(options_of_groups, setup, teardown),
        cmocka_unit_test_setup_teardown(mistakes, setup, teardown),
        cmocka_unit_test_setup_teardown(mistakes_in_groups, setup, teardown),
        cmocka_unit_test_setup_teardown(out_of_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(parameters, setup, teardown),
        cmocka_unit_test_setup_teardown(misuse, setup, teardown),
        cmocka_unit_test_setup_teardown(urls, setup, teardown),
        cmocka_unit_test_setup_teardown(round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(served, setup, teardown),
        cmocka_unit_test_setup_teardown(table, setup, teardown),
        cmocka_unit_test_setup_teardown(table_with_problems, setup, teardown),
        cmocka_unit_test_setup_teardown(problems_end_it, setup, teardown),
    };
    return cmocka_run_group_tests_name("routes", tests, NULL, NULL);
}
