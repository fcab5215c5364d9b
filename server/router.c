/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * A tree with a node for each segment of the patterns. A node has at most one parameter below it (what it is called is the
 * route's affair) and any number of literals. The literals of all nodes are in one hash table, keyed by the node above and the
 * text, so that a step down costs the hash of the segment, which is computed while its end is looked for, and one probe.
 *
 * A search goes down depth first. Each node is reached by one way only, so even an evil path visits no node twice.
 *
 * New kinds of segments have their place in read_segment (how they are written), struct node (a link for each kind, in the
 * order in which walk tries them).
 */
#include "server/router.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/arena.h"
#include "lib/base/check.h"
#include "lib/base/memory.h"

#define ROUTER_MAGIC  0x70c7e501u
#define HASH_FACTOR   UINT64_C(0x9E3779B97F4A7C15)
#define TABLE_MINIMUM 64
#define METHOD_SIZE   16

enum { GET, HEAD, OPTIONS, FIRST_METHOD }; /* the methods with a meaning of their own; others follow as they come */

enum segment_kind { LITERAL, PARAMETER };

struct segment {
    enum segment_kind kind;
    const char *text; /* in the form in which paths are compared; or the name */
    size_t size;
};

struct route {
    struct route *next; /* of the same node */
    unsigned method;
    void *target;
    const char *pattern;
    int param_count;
    const char *names[];
};

struct node {
    struct node *above;
    struct node *parameter; /* one segment, not empty */
    struct route *routes;   /* of patterns that end here */
    uint32_t methods;       /* theirs, as bits */
    bool has_literals;      /* below it */
    uint64_t seed;          /* of the hash of those */
    size_t size;
    const char *text;
};

struct entry {
    uint64_t hash;
    struct node *node; /* NULL: free */
};

struct weft_router {
    unsigned magic;
    weft_arena_pool pool;
    weft_arena arena; /* nodes, routes and texts */
    struct node *root;
    struct entry *table; /* of a power of two, at most half full */
    size_t table_size, node_count;
    unsigned method_count;
    uint32_t methods; /* that have a route */
    char method_names[WEFT_ROUTER_METHOD_MAX][METHOD_SIZE];
    char error[512];
};

/* ---- the tree ---- */

static inline uint64_t hash_byte(uint64_t hash, char c)
{
    return (hash ^ (unsigned char)c) * UINT64_C(0x100000001B3);
}

static inline size_t slot_of(const weft_router *router, uint64_t hash)
{
    return (size_t)((hash * HASH_FACTOR) >> 32) & (router->table_size - 1);
}

static struct node *find_literal(const weft_router *router, const struct node *above, uint64_t hash, const char *text,
                                 size_t size)
{
    for (size_t slot = slot_of(router, hash);; slot = (slot + 1) & (router->table_size - 1)) {
        const struct entry *entry = &router->table[slot];
        if (!entry->node)
            return NULL;
        if (entry->hash == hash && entry->node->above == above && entry->node->size == size &&
            memcmp(entry->node->text, text, size) == 0)
            return entry->node;
    }
}

static void put(weft_router *router, uint64_t hash, struct node *node)
{
    size_t slot = slot_of(router, hash);
    while (router->table[slot].node)
        slot = (slot + 1) & (router->table_size - 1);
    router->table[slot] = (struct entry){ .hash = hash, .node = node };
}

/* Makes room for one more. */
static bool grow(weft_router *router)
{
    if ((router->node_count + 1) * 2 <= router->table_size)
        return true;
    struct entry *old = router->table;
    size_t old_size = router->table_size, size = old ? old_size * 2 : TABLE_MINIMUM;
    struct entry *table = weft_mem_calloc(size, sizeof(*table));
    if (!table)
        return false;
    router->table = table;
    router->table_size = size;
    for (size_t i = 0; i < old_size; i++)
        if (old[i].node)
            put(router, old[i].hash, old[i].node);
    weft_mem_free(old);
    return true;
}

static struct node *new_node(weft_router *router, struct node *above)
{
    struct node *node = grow(router) ? weft_arena_alloc(&router->arena, sizeof(*node)) : NULL;
    if (node)
        *node = (struct node){ .above = above, .seed = ++router->node_count * HASH_FACTOR };
    return node;
}

/* The node below `above` for this segment, made if it is not there yet. NULL when memory is out. */
static struct node *step(weft_router *router, struct node *above, const struct segment *segment)
{
    if (segment->kind == PARAMETER) {
        if (!above->parameter)
            above->parameter = new_node(router, above);
        return above->parameter;
    }
    uint64_t hash = above->seed;
    for (size_t i = 0; i < segment->size; i++)
        hash = hash_byte(hash, segment->text[i]);
    struct node *node = find_literal(router, above, hash, segment->text, segment->size);
    if (node || !(node = new_node(router, above)))
        return node;
    node->text = segment->text;
    node->size = segment->size;
    above->has_literals = true;
    put(router, hash, node);
    return node;
}

/* ---- reading patterns ---- */

static int WEFT_PRINTF(3, 4) fail(weft_router *router, int error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(router->error, sizeof(router->error), format, args);
    va_end(args);
    return error;
}

static bool is_name(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!is_letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return size > 0;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Brings a literal to the form of a path that was made normal, in place. */
static const char *read_literal(char *text, size_t *size)
{
    char *to = text, *end = text + *size;
    for (char *from = text; from < end; from++) {
        unsigned char c = (unsigned char)*from;
        if (c == '{' || c == '}')
            return "a brace that is not the first or last of its segment (a literal one is written %7B or %7D)";
        if (c == '?' || c == '#' || c < 0x20 || c == 0x7f)
            return "a byte that no path has";
        if (c != '%') {
            *to++ = *from;
            continue;
        }
        int high = end - from > 2 ? hex_value(from[1]) : -1, low = high >= 0 ? hex_value(from[2]) : -1;
        int byte = high * 16 + low;
        if (high < 0 || low < 0 || byte == 0)
            return "a bad escape";
        if (byte == '/' || byte == '%') {
            memcpy(to, byte == '/' ? "%2F" : "%25", 3);
            to += 3;
        } else {
            *to++ = (char)byte;
        }
        from += 2;
    }
    *size = (size_t)(to - text);
    if ((*size == 1 || *size == 2) && memcmp(text, "..", *size) == 0)
        return "a segment of dots, which no path has";
    return NULL;
}

/* One segment, "name" or "{name}", of text[0, size). Returns what is wrong with it, or NULL. */
static const char *read_segment(struct segment *segment, char *text, size_t size)
{
    *segment = (struct segment){ .kind = LITERAL, .text = text, .size = size };
    if (size < 2 || text[0] != '{' || text[size - 1] != '}') {
        const char *wrong = read_literal(text, &segment->size);
        text[segment->size] = '\0';
        return wrong;
    }
    *segment = (struct segment){ .kind = PARAMETER, .text = text + 1, .size = size - 2 };
    text[size - 1] = '\0';
    if (segment->size == 0)
        return "a parameter without a name";
    return is_name(segment->text, segment->size) ? NULL : "a parameter whose name is not made of letters, digits and '_'";
}

/* Splits `text` (a copy, which is overwritten) into segments. Returns what is wrong, or NULL. */
static const char *read_pattern(char *text, struct segment *segments, int *ret_count, int *ret_param_count)
{
    int count = 0, param_count = 0;
    if (*text != '/')
        return "no '/' at its start";
    for (char *at = text + 1, *end;; at = end + 1) {
        if (count == WEFT_ROUTE_SEGMENT_MAX)
            return "too many segments";
        end = at + strcspn(at, "/");
        bool is_last = *end == '\0';
        if (end == at && !is_last)
            return "an empty segment";
        struct segment *segment = &segments[count];
        const char *wrong = read_segment(segment, at, (size_t)(end - at));
        if (wrong)
            return wrong;
        for (int i = 0; i < count && segment->kind == PARAMETER; i++)
            if (segments[i].kind == PARAMETER && strcmp(segments[i].text, segment->text) == 0)
                return "a parameter's name twice";
        param_count += segment->kind == PARAMETER;
        if (param_count > WEFT_ROUTE_PARAM_MAX)
            return "too many parameters";
        count++;
        if (is_last)
            break;
    }
    *ret_count = count;
    *ret_param_count = param_count;
    return NULL;
}

/* ---- methods ---- */

static int find_method(const weft_router *router, const char *method)
{
    for (unsigned i = 0; i < router->method_count; i++)
        if (strcmp(router->method_names[i], method) == 0)
            return (int)i;
    return -1;
}

static int add_method(weft_router *router, const char *method)
{
    size_t size = strlen(method);
    if (size == 0 || size >= METHOD_SIZE || strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") != size)
        return fail(router, -EINVAL, "the method \"%.40s\" is not one: capitals and '-' only", method);
    int known = find_method(router, method);
    if (known >= 0)
        return known;
    if (router->method_count == WEFT_ROUTER_METHOD_MAX)
        return fail(router, -EINVAL, "%s would be one method too many", method);
    memcpy(router->method_names[router->method_count], method, size + 1);
    return (int)router->method_count++;
}

/* ---- the public part ---- */

weft_router *weft_router_new(void)
{
    weft_router *router = weft_mem_calloc(1, sizeof(*router));
    if (!router)
        return NULL;
    router->magic = ROUTER_MAGIC;
    weft_arena_pool_init(&router->pool, 0);
    weft_arena_init(&router->arena, &router->pool);
    router->root = new_node(router, NULL);
    if (!router->root) {
        weft_router_free(router);
        return NULL;
    }
    static const char own[FIRST_METHOD][METHOD_SIZE] = { [GET] = "GET", [HEAD] = "HEAD", [OPTIONS] = "OPTIONS" };
    memcpy(router->method_names, own, sizeof(own));
    router->method_count = FIRST_METHOD;
    return router;
}

void weft_router_free(weft_router *router)
{
    if (!router)
        return;
    IS_A(router, ROUTER_MAGIC);
    weft_arena_free(&router->arena);
    weft_arena_pool_close(&router->pool);
    weft_mem_free(router->table);
    router->magic = 0;
    weft_mem_free(router);
}

const char *weft_router_error(const weft_router *router)
{
    return router->error;
}

static struct route *find_route(const struct node *node, unsigned method)
{
    struct route *route = node->routes;
    while (route && route->method != method)
        route = route->next;
    return route;
}

int weft_router_add(weft_router *router, const char *method, const char *pattern, void *target)
{
    IS_A(router, ROUTER_MAGIC);
    int method_index = add_method(router, method);
    if (method_index < 0)
        return method_index;
    struct segment segments[WEFT_ROUTE_SEGMENT_MAX];
    int count, param_count;
    char *text = weft_arena_copy(&router->arena, pattern, strlen(pattern));
    if (!text)
        goto no_memory;
    const char *wrong = read_pattern(text, segments, &count, &param_count);
    if (wrong)
        return fail(router, -EINVAL, "the pattern \"%.200s\" has %s", pattern, wrong);
    struct node *node = router->root;
    for (int i = 0; i < count; i++)
        if (!(node = step(router, node, &segments[i])))
            goto no_memory;
    struct route *route = find_route(node, (unsigned)method_index);
    if (route)
        return fail(router, -EEXIST, "%s \"%.200s\" matches the same as \"%.200s\"", method, pattern, route->pattern);

    route = weft_arena_alloc(&router->arena, sizeof(*route) + (size_t)param_count * sizeof(*route->names));
    const char *copy = weft_arena_copy(&router->arena, pattern, strlen(pattern));
    if (!route || !copy)
        goto no_memory;
    *route = (struct route){ .next = node->routes, .method = (unsigned)method_index, .target = target, .pattern = copy };
    for (int i = 0; i < count; i++)
        if (segments[i].kind == PARAMETER)
            route->names[route->param_count++] = segments[i].text;
    node->routes = route;
    node->methods |= UINT32_C(1) << method_index;
    router->methods |= node->methods;
    return 0;
no_memory:
    return fail(router, -ENOMEM, "out of memory");
}

struct search {
    const weft_router *router;
    int method; /* -1: one that no route has */
    weft_route_match *match;
    uint32_t allowed;
};

/* A pattern that ends here matches the whole path: does it have the method? */
static bool take(struct search *s, const struct node *node, int param_count)
{
    s->allowed |= node->methods;
    struct route *route = s->method >= 0 ? find_route(node, (unsigned)s->method) : NULL;
    if (!route && s->method == HEAD)
        route = find_route(node, GET);
    if (!route)
        return false;
    DCHECK(route->param_count == param_count);
    s->match->target = route->target;
    s->match->pattern = route->pattern;
    s->match->param_count = param_count;
    for (int i = 0; i < param_count; i++)
        s->match->params[i].name = route->names[i];
    return true;
}

/* Matches the path from the segment that begins at `at` against what is below `node`. No deeper than the deepest pattern. */
static bool walk(struct search *s, const struct node *node, const char *at, int param_count)
{
    const char *end = at;
    uint64_t hash = node->seed;
    for (; *end != '/' && *end != '\0'; end++)
        hash = hash_byte(hash, *end);
    size_t size = (size_t)(end - at);
    const struct node *below = node->has_literals ? find_literal(s->router, node, hash, at, size) : NULL;
    if (below && (*end == '\0' ? take(s, below, param_count) : walk(s, below, end + 1, param_count)))
        return true;
    below = size > 0 ? node->parameter : NULL;
    if (!below)
        return false;
    weft_route_param *param = &s->match->params[param_count++];
    param->value = at;
    param->value_size = size;
    return *end == '\0' ? take(s, below, param_count) : walk(s, below, end + 1, param_count);
}

int weft_router_find(const weft_router *router, const char *method, const char *path, weft_route_match *ret_match)
{
    struct search search = { .router = router, .method = find_method(router, method), .match = ret_match };
    if (*path == '/' && walk(&search, router->root, path + 1, 0))
        return 0;
    ret_match->allowed = search.allowed;
    return search.allowed ? 405 : 404;
}

uint32_t weft_router_methods(const weft_router *router)
{
    return router->methods;
}

size_t weft_router_allow(const weft_router *router, uint32_t allowed, char *text, size_t size)
{
    CHECK(size >= WEFT_ROUTER_ALLOW_SIZE);
    const char *names[WEFT_ROUTER_METHOD_MAX];
    int count = 0;
    if (allowed & 1u << GET)
        allowed |= 1u << HEAD;
    allowed |= 1u << OPTIONS;
    for (unsigned i = 0; i < router->method_count; i++) {
        if (!(allowed >> i & 1))
            continue;
        int at = count++;
        for (; at > 0 && strcmp(names[at - 1], router->method_names[i]) > 0; at--)
            names[at] = names[at - 1];
        names[at] = router->method_names[i];
    }
    size_t used = 0;
    for (int i = 0; i < count; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i > 0 ? ", " : "", names[i]);
    return used;
}
