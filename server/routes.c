/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The routes of an app. A mistake in one is kept as a problem of the app, for whoever starts it, and the route is as if it had
 * never been added; so setting up needs no error handling, and a program with a mistake never serves.
 *
 * A group is no more than a prefix and defaults: it is resolved when a route is added, and nothing of it is left in the path of
 * a request.
 */
#include "server/routes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/check.h"
#include "lib/base/memory.h"
#include "server/request.h"

#define ROUTES_MAGIC 0x90075e75u

enum { URL_PAIR_MAX = 32 };

static int note_problem(weft_app *app, int error, const char *format, ...) WEFT_PRINTF(3, 4);

static int note_problem(weft_app *app, int error, const char *format, ...)
{
    int n = app->problem_count++;
    if (n < WEFT_APP_PROBLEMS_MAX) {
        va_list args;
        va_start(args, format);
        vsnprintf(app->problems[n], WEFT_APP_PROBLEM_SIZE, format, args);
        va_end(args);
    }
    return error;
}

/* ---- options ---- */

static weft_route_options read_options(const weft_route_options *given)
{
    weft_route_options options = { 0 };
    size_t size = given ? given->struct_size : 0;
    if (size > 0)
        memcpy(&options, given, size < sizeof options ? size : sizeof options);
    return options;
}

/* Returns what is wrong with them, or NULL. */
static const char *check_options(const weft_route_options *o)
{
    if (o->timeout < 0)
        return "its timeout is negative";
    if (o->body_limit < 0)
        return "its body_limit is negative";
    if ((o->stack_size && o->stack_size < WEFT_STACK_MIN) || o->stack_size > WEFT_STACK_MAX)
        return "its stack_size is out of its range";
    return o->name && !*o->name ? "its name is empty" : NULL;
}

static void add_defaults(weft_route_options *o, const weft_route_options *defaults)
{
    if (o->timeout == 0)
        o->timeout = defaults->timeout;
    if (o->body_limit == 0)
        o->body_limit = defaults->body_limit;
    if (o->stack_size == 0)
        o->stack_size = defaults->stack_size;
    o->finish_when_client_leaves = o->finish_when_client_leaves || defaults->finish_when_client_leaves;
}

/* Puts `a`, `between` and `b` at *to with a NUL, and moves *to behind it. Returns where it begins. */
static const char *put_joined(char **to, const char *a, const char *between, const char *b)
{
    char *start = *to;
    const char *const parts[] = { a, between, b };
    for (int i = 0; i < 3; i++) {
        size_t size = strlen(parts[i]);
        memcpy(*to, parts[i], size);
        *to += size;
    }
    *(*to)++ = '\0';
    return start;
}

static size_t joined_size(const char *a, const char *between, const char *b)
{
    return strlen(a) + strlen(between) + strlen(b) + 1;
}

/* The name of what is called `name` below what is called `above`; either may be NULL. */
static size_t name_size(const char *above, const char *name)
{
    return joined_size(above ? above : "", ".", name ? name : "");
}

static const char *put_name(char **to, const char *above, const char *name)
{
    return put_joined(to, above ? above : "", above && name ? "." : "", name ? name : "");
}

/* ---- groups ---- */

void weft_routes_init(weft_app *app)
{
    app->routes.outermost = (weft_routes){ .magic = ROUTES_MAGIC, .app = app, .prefix = "" };
    app->routes.broken = app->routes.outermost;
}

static weft_routes *new_group(weft_routes *above, const char *prefix, const weft_route_options *given)
{
    const weft_route_options *o = &above->defaults;
    size_t size = joined_size(above->prefix, "", prefix) + name_size(o->name, given->name);
    weft_routes *routes = weft_mem_alloc(sizeof *routes + size);
    if (!routes)
        return NULL;
    char *to = (char *)(routes + 1);
    *routes = (weft_routes){ .magic = ROUTES_MAGIC, .app = above->app, .defaults = *given };
    routes->prefix = put_joined(&to, above->prefix, "", prefix);
    if (o->name || given->name)
        routes->defaults.name = put_name(&to, o->name, given->name);
    add_defaults(&routes->defaults, o);
    return routes;
}

/* Returns what is wrong with the prefix of a group, of which `text` is a copy, or NULL. */
static const char *check_prefix(char *text)
{
    weft_pattern pattern;
    size_t size = strlen(text);
    if (size == 0)
        return NULL;
    if (text[size - 1] == '/')
        return "a '/' at its end";
    const char *wrong = weft_pattern_read(&pattern, text);
    if (!wrong && pattern.segments[pattern.count - 1].kind == WEFT_SEGMENT_TAIL)
        wrong = "a {name...}, behind which nothing can stand";
    return wrong;
}

static weft_routes *broken(weft_routes *above, int error, const char *prefix, const char *words)
{
    note_problem(above->app, error, "routes under %s%s: %s", above->prefix, prefix, words);
    return &above->app->routes.broken;
}

weft_routes *weft_routes_under_with(weft_routes *above, const char *prefix, const weft_route_options *defaults)
{
    IS_A(above, ROUTES_MAGIC);
    weft_app *app = above->app;
    CHECK(!app->server);
    if (above == &app->routes.broken)
        return above;
    weft_route_options options = read_options(defaults);
    const char *wrong = check_options(&options);
    if (wrong)
        return broken(above, -EINVAL, prefix, wrong);
    if (*prefix && *prefix != '/')
        return broken(above, -EINVAL, prefix, "the prefix has no '/' at its start");
    weft_routes *routes = new_group(above, prefix, &options);
    char *copy = routes ? weft_mem_alloc(strlen(routes->prefix) + 1) : NULL;
    if (!copy) {
        weft_mem_free(routes);
        return broken(above, -ENOMEM, prefix, "out of memory");
    }
    wrong = check_prefix(memcpy(copy, routes->prefix, strlen(routes->prefix) + 1));
    weft_mem_free(copy);
    if (wrong) {
        char words[160];
        snprintf(words, sizeof words, "the prefix has %s", wrong);
        weft_mem_free(routes);
        return broken(above, -EINVAL, prefix, words);
    }
    routes->next = app->routes.groups;
    app->routes.groups = routes;
    return routes;
}

weft_routes *weft_under_with(weft_app *app, const char *prefix, const weft_route_options *defaults)
{
    IS_A(app, WEFT_APP_MAGIC);
    return weft_routes_under_with(&app->routes.outermost, prefix, defaults);
}

/* ---- names ---- */

/* Where `name` stands among the named targets, or would; *ret_target is the one that has it, or NULL. */
static size_t find_name(const struct weft_route_table *table, const char *name, const weft_route_target **ret_target)
{
    size_t low = 0, high = table->named_count;
    *ret_target = NULL;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(table->named[middle]->name, name);
        if (order == 0)
            *ret_target = table->named[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool has_room_for_name(struct weft_route_table *table)
{
    if (table->named_count < table->named_room)
        return true;
    size_t room = table->named_room ? table->named_room * 2 : 16;
    const weft_route_target **named = weft_mem_realloc(table->named, room * sizeof(*named));
    if (!named)
        return false;
    table->named = named;
    table->named_room = room;
    return true;
}

/* One name may stand for several methods of one pattern: it has one URL. */
static void insert_name(struct weft_route_table *table, const weft_route_target *target)
{
    const weft_route_target *other;
    size_t at = find_name(table, target->name, &other);
    if (other)
        return;
    memmove(table->named + at + 1, table->named + at, (table->named_count - at) * sizeof(*table->named));
    table->named[at] = target;
    table->named_count++;
}

/* ---- adding ---- */

static weft_route_target *new_target(const weft_routes *routes, const char *method, const char *pattern, weft_handler *h,
                                     weft_route_options o)
{
    const char *name_above = routes->defaults.name;
    size_t size = joined_size(routes->prefix, "", pattern) + joined_size(method, "", "") + name_size(name_above, o.name);
    weft_route_target *target = weft_mem_alloc(sizeof *target + size);
    if (!target)
        return NULL;
    add_defaults(&o, &routes->defaults);
    *target = (weft_route_target){
        .handler = h,
        .timeout = o.timeout,
        .body_limit = o.body_limit,
        .stack_size = o.stack_size,
        .finish_when_client_leaves = o.finish_when_client_leaves,
        .file = o.file ? o.file : __FILE__,
        .line = o.file ? o.line : __LINE__,
    };
    char *to = (char *)(target + 1);
    target->pattern = put_joined(&to, routes->prefix, "", pattern);
    target->method = put_joined(&to, method, "", "");
    target->name = o.name ? put_name(&to, name_above, o.name) : NULL;
    target->label = target->name ? target->name : target->pattern;
    return target;
}

/* Puts it into the router and among the names. On failure it is in neither, and a problem is noted. */
static int take_in(weft_app *app, weft_route_target *target)
{
    struct weft_route_table *table = &app->routes;
    const weft_route_target *other = NULL;
    if (target->name)
        find_name(table, target->name, &other);
    if (other && strcmp(other->pattern, target->pattern) != 0)
        return note_problem(app, -EEXIST, "route %s %s: the name \"%s\" is that of %s %s", target->method, target->pattern,
                            target->name, other->method, other->pattern);
    if (target->name && !has_room_for_name(table))
        return note_problem(app, -ENOMEM, "route %s %s: out of memory", target->method, target->pattern);
    int rc = weft_router_add(app->router, target->method, target->pattern, target);
    if (rc < 0)
        return note_problem(app, rc, "route %s %s: %s", target->method, target->pattern, weft_router_error(app->router));
    if (target->name)
        insert_name(table, target);
    target->next = table->targets;
    table->targets = target;
    return 0;
}

int weft_routes_route_with(weft_routes *routes, const char *method, const char *pattern, weft_handler *h,
                           const weft_route_options *given)
{
    IS_A(routes, ROUTES_MAGIC);
    weft_app *app = routes->app;
    CHECK(!app->server);
    if (routes == &app->routes.broken)
        return -EINVAL;
    weft_route_options options = read_options(given);
    const char *wrong = h ? check_options(&options) : "there is no handler";
    if (!wrong && *pattern && *pattern != '/')
        wrong = "the pattern has no '/' at its start";
    if (wrong)
        return note_problem(app, -EINVAL, "route %s %s%s: %s", method, routes->prefix, pattern, wrong);
    weft_route_target *target = new_target(routes, method, pattern, h, options);
    if (!target)
        return note_problem(app, -ENOMEM, "route %s %s%s: out of memory", method, routes->prefix, pattern);
    int rc = take_in(app, target);
    if (rc < 0)
        weft_mem_free(target);
    return rc;
}

int weft_route_with(weft_app *app, const char *method, const char *pattern, weft_handler *h, const weft_route_options *given)
{
    IS_A(app, WEFT_APP_MAGIC);
    return weft_routes_route_with(&app->routes.outermost, method, pattern, h, given);
}

void weft_routes_free(weft_app *app)
{
    struct weft_route_table *table = &app->routes;
    for (weft_route_target *target = table->targets, *next; target; target = next) {
        next = target->next;
        weft_mem_free(target);
    }
    for (weft_routes *routes = table->groups, *next; routes; routes = next) {
        next = routes->next;
        routes->magic = 0;
        weft_mem_free(routes);
    }
    weft_mem_free(table->named);
}

/* ---- URLs ---- */

/* The pairs of a call, up to the NULL. Their count, or -1: too many, or a name without its value. */
static int read_pairs(weft_pattern_value *pairs, va_list args)
{
    int count = 0;
    for (const char *name; (name = va_arg(args, const char *));) {
        const char *value = va_arg(args, const char *);
        if (!value || count == URL_PAIR_MAX)
            return -1;
        pairs[count++] = (weft_pattern_value){ .name = name, .value = value };
    }
    return count;
}

static void log_url(const weft_request *req, const weft_route_target *target, int rc, weft_bytes param)
{
    if (rc == -ENOMEM)
        weft_log(WEFT_LOG_ERROR, "%s %s: weft_url(\"%s\"): out of memory", req->head.method, req->path, target->name);
    else
        weft_log(WEFT_LOG_ERROR, "%s %s: weft_url(\"%s\"): %s {%.*s} of %s", req->head.method, req->path, target->name,
                 rc == -ENOENT ? "there is no value for" : "the value given could not have matched", (int)param.size,
                 param.data, target->pattern);
}

char *weft_url_with(weft_request *req, const char *route, ...)
{
    const weft_route_target *target;
    weft_pattern_value pairs[URL_PAIR_MAX];
    weft_bytes param = { 0 };
    char *url = NULL;
    find_name(&req->connection->server->app->routes, route, &target);
    if (!target) {
        weft_log(WEFT_LOG_ERROR, "%s %s: weft_url: no route has the name \"%s\"", req->head.method, req->path, route);
        return NULL;
    }
    va_list args;
    va_start(args, route);
    int count = read_pairs(pairs, args);
    va_end(args);
    if (count < 0) {
        weft_log(WEFT_LOG_ERROR, "%s %s: weft_url(\"%s\"): a name without a value, or more than %d pairs", req->head.method,
                 req->path, route, URL_PAIR_MAX);
        return NULL;
    }
    int rc = weft_pattern_build(&req->arena, target->pattern, pairs, (size_t)count, &url, &param);
    if (rc < 0)
        log_url(req, target, rc, param);
    return url;
}

/* ---- the table ---- */

struct row {
    const weft_route_target *target;
    char *key; /* rows are sorted by it, byte by byte */
};

/* Segment by segment, a byte below all that a pattern has, its kind and, of literals, the text. */
static char *new_key(const char *written)
{
    weft_pattern pattern;
    size_t size = strlen(written);
    char *copy = weft_mem_alloc(size + 1);
    char *key = copy ? weft_mem_alloc(size + WEFT_ROUTE_SEGMENT_MAX * 2 + 1) : NULL, *to = key;
    if (!key || weft_pattern_read(&pattern, memcpy(copy, written, size + 1)))
        pattern.count = 0; /* the router has read all of them before */
    for (int i = 0; i < pattern.count; i++) {
        const weft_segment *segment = &pattern.segments[i];
        *to++ = '\x01';
        *to++ = (char)('0' + segment->kind);
        if (segment->kind != WEFT_SEGMENT_LITERAL)
            continue;
        memcpy(to, segment->text, segment->size);
        to += segment->size;
    }
    if (key)
        *to = '\0';
    weft_mem_free(copy);
    return key;
}

static int compare_rows(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    int order = strcmp(x->key, y->key);
    if (order)
        return order;
    bool x_is_any = strcmp(x->target->method, "*") == 0, y_is_any = strcmp(y->target->method, "*") == 0;
    return x_is_any != y_is_any ? (x_is_any ? 1 : -1) : strcmp(x->target->method, y->target->method);
}

static void print_duration(FILE *out, weft_duration d)
{
    if (d == WEFT_NO_LIMIT)
        fputs("none", out);
    else if (d % WEFT_SECOND == 0)
        fprintf(out, "%" PRId64 "s", d / WEFT_SECOND);
    else if (d % WEFT_MILLISECOND == 0)
        fprintf(out, "%" PRId64 "ms", d / WEFT_MILLISECOND);
    else
        fprintf(out, "%" PRId64 "ns", d);
}

/* One line; it never ends in blanks. */
static void print_row(FILE *out, const weft_route_target *t, int method, int pattern, int name)
{
    bool is_plain = !t->timeout && !t->body_limit && !t->stack_size && !t->finish_when_client_leaves;
    fprintf(out, "%-*s  %-*s  ", method, t->method, pattern, t->pattern);
    fprintf(out, "%-*s", is_plain ? 0 : name + 1, t->name ? t->name : "-");
    if (t->timeout) {
        fputs(" timeout=", out);
        print_duration(out, t->timeout);
    }
    if (t->body_limit == WEFT_NO_LIMIT)
        fputs(" body_limit=none", out);
    else if (t->body_limit)
        fprintf(out, " body_limit=%" PRId64, t->body_limit);
    if (t->stack_size)
        fprintf(out, " stack_size=%zu", t->stack_size);
    if (t->finish_when_client_leaves)
        fputs(" finish_when_client_leaves", out);
    fputc('\n', out);
}

static void print_rows(FILE *out, const struct row *rows, size_t count)
{
    int method = 6, pattern = 7, name = 4; /* widths; of the words above them at least */
    for (size_t i = 0; i < count; i++) {
        const weft_route_target *t = rows[i].target;
        int sizes[] = { (int)strlen(t->method), (int)strlen(t->pattern), t->name ? (int)strlen(t->name) : 0 };
        method = sizes[0] > method ? sizes[0] : method;
        pattern = sizes[1] > pattern ? sizes[1] : pattern;
        name = sizes[2] > name ? sizes[2] : name;
    }
    fprintf(out, "%-*s  %-*s  %-*s  OPTIONS\n", method, "METHOD", pattern, "PATTERN", name, "NAME");
    for (size_t i = 0; i < count; i++)
        print_row(out, rows[i].target, method, pattern, name);
}

int weft_routes_print(const weft_app *app, FILE *out)
{
    size_t room = 0, count = 0;
    for (const weft_route_target *target = app->routes.targets; target; target = target->next)
        room++;
    struct row *rows = weft_mem_alloc((room + 1) * sizeof(*rows));
    bool is_complete = rows != NULL;
    for (const weft_route_target *target = app->routes.targets; target && is_complete; target = target->next) {
        rows[count] = (struct row){ .target = target, .key = new_key(target->pattern) };
        is_complete = rows[count].key != NULL;
        count += is_complete;
    }
    if (is_complete) {
        qsort(rows, count, sizeof(*rows), compare_rows);
        print_rows(out, rows, count);
    }
    while (count > 0)
        weft_mem_free(rows[--count].key);
    weft_mem_free(rows);
    if (!is_complete)
        return -ENOMEM;
    return fflush(out) != 0 || ferror(out) ? -EIO : 0;
}
