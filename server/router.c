/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * A tree with a node for each segment of the patterns. A node has at most one parameter of each kind below it (what it is
 * called is the route's affair) and any number of literals. The literals of all nodes are in one hash table, keyed by the node
 * above and the text, so that a step down costs the end of the segment, its hash, eight bytes at a time, and one probe.
 *
 * A search goes down depth first, at each node in the order of the kinds. Each node is reached by one way only, so even an evil
 * path visits no node twice.
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

/* The methods with a meaning of their own; others follow as they come. ANY is whatever its pattern has no route for. */
enum { GET, HEAD, OPTIONS, ANY, FIRST_METHOD };

struct route {
    struct route *next; /* of the same node */
    unsigned method;
    void *target;
    const char *pattern;
    int param_count;
    uint32_t int_params; /* those that are {x:int}, as bits */
    const char *names[];
};

struct node {
    struct node *above;
    const char *text;
    size_t size;
    uint64_t seed;         /* of the hash of the literals below it */
    bool has_literals;     /* below it */
    uint32_t methods;      /* of patterns that end here, as bits */
    struct route *routes;  /* theirs */
    struct node *below[3]; /* an int, a plain parameter, a tail */
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

static inline uint64_t mix(uint64_t hash, uint64_t more)
{
    hash = (hash ^ more) * HASH_FACTOR;
    return hash ^ hash >> 32;
}

static inline uint64_t load(const char *text, size_t size)
{
    uint64_t bytes = 0;
    memcpy(&bytes, text, size);
    return bytes;
}

/* Of texts up to 16 bytes the first and the last eight are all, or four of up to eight: bytes that are in both do no harm. */
static inline uint64_t hash_text(uint64_t seed, const char *text, size_t size)
{
    uint64_t hash = seed ^ size;
    for (; size > 16; size -= 8, text += 8)
        hash = mix(hash, load(text, 8));
    if (size >= 8)
        return mix(mix(hash, load(text, 8)), load(text + size - 8, 8));
    if (size >= 4)
        return mix(hash, load(text, 4) << 32 | load(text + size - 4, 4));
    for (size_t i = 0; i < size; i++)
        hash ^= (uint64_t)(unsigned char)text[i] << (8 * i + 8);
    return mix(hash, 0);
}

static inline size_t slot_of(const weft_router *router, uint64_t hash)
{
    return (size_t)hash & (router->table_size - 1);
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
static struct node *step(weft_router *router, struct node *above, const weft_segment *segment)
{
    if (segment->kind != WEFT_SEGMENT_LITERAL) {
        struct node **below = &above->below[segment->kind - WEFT_SEGMENT_INT];
        if (!*below)
            *below = new_node(router, above);
        return *below;
    }
    uint64_t hash = hash_text(above->seed, segment->text, segment->size);
    struct node *node = find_literal(router, above, hash, segment->text, segment->size);
    if (node || !(node = new_node(router, above)))
        return node;
    node->text = segment->text;
    node->size = segment->size;
    above->has_literals = true;
    put(router, hash, node);
    return node;
}

/* ---- adding ---- */

static int WEFT_PRINTF(3, 4) fail(weft_router *router, int error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(router->error, sizeof(router->error), format, args);
    va_end(args);
    return error;
}

static int find_method(const weft_router *router, const char *method)
{
    for (unsigned i = 0; i < router->method_count; i++)
        if (router->method_names[i][0] == method[0] && strcmp(router->method_names[i], method) == 0)
            return (int)i;
    return -1;
}

static int add_method(weft_router *router, const char *method)
{
    size_t size = strlen(method);
    if (strcmp(method, "*") == 0)
        return ANY;
    if (size == 0 || size >= METHOD_SIZE || strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") != size)
        return fail(router, -EINVAL, "the method \"%.40s\" is not one: capitals and '-' only, or \"*\"", method);
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
    static const char own[FIRST_METHOD][METHOD_SIZE] = { [GET] = "GET", [HEAD] = "HEAD", [OPTIONS] = "OPTIONS", [ANY] = "*" };
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

static struct route *new_route(weft_router *router, const weft_pattern *pattern, const char *written)
{
    struct route *route = weft_arena_alloc(&router->arena, sizeof(*route) + (size_t)pattern->param_count * sizeof(char *));
    const char *copy = weft_arena_copy(&router->arena, written, strlen(written));
    if (!route || !copy)
        return NULL;
    *route = (struct route){ .pattern = copy };
    for (int i = 0; i < pattern->count; i++) {
        if (pattern->segments[i].kind == WEFT_SEGMENT_LITERAL)
            continue;
        if (pattern->segments[i].kind == WEFT_SEGMENT_INT)
            route->int_params |= UINT32_C(1) << route->param_count;
        route->names[route->param_count++] = pattern->segments[i].text;
    }
    return route;
}

int weft_router_add(weft_router *router, const char *method, const char *pattern, void *target)
{
    IS_A(router, ROUTER_MAGIC);
    int method_index = add_method(router, method);
    if (method_index < 0)
        return method_index;
    weft_pattern read;
    char *text = weft_arena_copy(&router->arena, pattern, strlen(pattern));
    if (!text)
        goto no_memory;
    const char *wrong = weft_pattern_read(&read, text);
    if (wrong)
        return fail(router, -EINVAL, "the pattern \"%.200s\" has %s", pattern, wrong);
    struct node *node = router->root;
    for (int i = 0; i < read.count; i++)
        if (!(node = step(router, node, &read.segments[i])))
            goto no_memory;
    struct route *route = find_route(node, (unsigned)method_index);
    if (route)
        return fail(router, -EEXIST, "%s \"%.200s\" matches the same as \"%.200s\"", method, pattern, route->pattern);
    if (!(route = new_route(router, &read, pattern)))
        goto no_memory;
    route->method = (unsigned)method_index;
    route->target = target;
    route->next = node->routes;
    node->routes = route;
    node->methods |= UINT32_C(1) << method_index;
    router->methods |= node->methods;
    return 0;
no_memory:
    return fail(router, -ENOMEM, "out of memory");
}

/* ---- finding ---- */

struct search {
    const weft_router *router;
    int method; /* -1: one that no route has */
    weft_route_match *match;
    uint32_t allowed;
};

/* The route of a node for a method, or the one that stands in for it. */
static struct route *route_for(const struct node *node, int method)
{
    struct route *route = method >= 0 ? find_route(node, (unsigned)method) : NULL;
    if (!route && method == HEAD)
        route = find_route(node, GET);
    return route || !(node->methods >> ANY & 1) ? route : find_route(node, ANY);
}

/* A pattern that ends here matches the whole path: does it have the method? */
static bool take(struct search *s, const struct node *node, int param_count)
{
    s->allowed |= node->methods;
    struct route *route = route_for(node, s->method);
    if (!route)
        return false;
    DCHECK(route->param_count == param_count);
    s->match->target = route->target;
    s->match->pattern = route->pattern;
    s->match->int_params = route->int_params;
    s->match->param_count = param_count;
    for (int i = 0; i < param_count; i++)
        s->match->params[i].name = route->names[i];
    return true;
}

/* Matches the path from the segment that begins at `at` against what is below `node`. No deeper than the deepest pattern. */
static bool walk(struct search *s, const struct node *node, const char *at, int param_count)
{
    const char *end = strchrnul(at, '/');
    size_t size = (size_t)(end - at);
    const struct node *below = node->has_literals ? find_literal(s->router, node, hash_text(node->seed, at, size), at, size)
                                                  : NULL;
    if (below && (*end == '\0' ? take(s, below, param_count) : walk(s, below, end + 1, param_count)))
        return true;
    for (int kind = WEFT_SEGMENT_INT; kind <= WEFT_SEGMENT_PLAIN; kind++) {
        int64_t number;
        below = node->below[kind - WEFT_SEGMENT_INT];
        if (!below || size == 0 || (kind == WEFT_SEGMENT_INT && !weft_pattern_read_int(at, size, &number)))
            continue;
        weft_route_param *param = &s->match->params[param_count];
        param->value = at;
        param->value_size = size;
        if (*end == '\0' ? take(s, below, param_count + 1) : walk(s, below, end + 1, param_count + 1))
            return true;
    }
    below = node->below[WEFT_SEGMENT_TAIL - WEFT_SEGMENT_INT];
    if (!below || !weft_pattern_is_tail(at) || !take(s, below, param_count + 1))
        return false;
    s->match->params[param_count].value = at;
    s->match->params[param_count].value_size = size + strlen(end);
    return true;
}

int weft_router_find(const weft_router *router, const char *method, const char *path, weft_route_match *ret_match)
{
    struct search search = { .router = router, .method = find_method(router, method), .match = ret_match };
    if (*path == '/' && walk(&search, router->root, path + 1, 0))
        return 0;
    if (search.method == OPTIONS && strcmp(path, "*") == 0)
        search.allowed = router->methods | 1u << OPTIONS;
    ret_match->allowed = search.allowed;
    return search.allowed ? 405 : 404;
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
        if (!(allowed >> i & 1) || i == ANY)
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
