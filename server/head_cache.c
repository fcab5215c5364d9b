/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
#include "server/head_cache.h"

#include <string.h>

#include "lib/base/check.h"
#include "lib/base/memory.h"
#include "server/access_log.h"
#include "server/request.h"

enum {
    VAIN_MAX = 4,    /* comparisons in vain, in a row, until heads are kept only now and then, */
    KEEP_EVERY = 16, /* one of so many; and until somebody else may have the slot */
    GRAIN = 256,     /* bytes that a slot's memory is a multiple of */
};

struct weft_cached_head {
    const weft_connection *of; /* NULL: nobody's */
    uint32_t room;             /* bytes that there is memory for */
    uint16_t head_size, image_size;
    uint8_t vain;              /* comparisons since the last that was of use */
    bool is_lent;              /* a request points into the image */
    weft_request request;      /* as its handler would have got it; what points into its arena points into the image here */
    _Alignas(16) char bytes[]; /* the image of the arena, then the head as it came */
};

_Static_assert(sizeof(weft_connection) % 16 == 0, "in a chunk of their slab they lie one behind the other");

/* Multiples of the golden ratio lie apart: the connections of one chunk have slots of their own, those of others mostly. */
static struct weft_cached_head **slot_of(weft_server *server, const weft_connection *c)
{
    uint32_t number = (uint32_t)((uintptr_t)c / sizeof *c);
    return &server->head_cache.slots[number * UINT32_C(0x9E3779B9) >> (32 - WEFT_HEAD_CACHE_BITS)];
}

/* ---- looking ---- */

typedef uint64_t block __attribute__((vector_size(16), aligned(1), may_alias));

static inline block difference(const char *a, const char *b)
{
    return *(const block *)(const void *)a ^ *(const block *)(const void *)b;
}

/* In a time that depends on `size` alone, which is 16 at least. */
static inline bool is_same(const char *a, const char *b, size_t size)
{
    block differ = difference(a + size - 16, b + size - 16);
    size_t at = 0;
    for (; at + 64 < size; at += 64)
        differ |= difference(a + at, b + at) | difference(a + at + 16, b + at + 16) | difference(a + at + 32, b + at + 32) |
                  difference(a + at + 48, b + at + 48);
    for (; at + 16 < size; at += 16)
        differ |= difference(a + at, b + at);
    return (differ[0] | differ[1]) == 0;
}

struct weft_cached_head *weft_head_cache_find(weft_server *server, const weft_connection *c)
{
    struct weft_cached_head *cached = *slot_of(server, c);
    if (!cached || cached->of != c || c->check.at > 0)
        return NULL;
    if (c->input.size >= cached->head_size && is_same(c->input.at, cached->bytes + cached->image_size, cached->head_size)) {
        cached->vain = 0;
        server->head_cache.hits++;
        return cached;
    }
    cached->vain++;
    return NULL;
}

/* ---- lending ---- */

weft_request *weft_head_cache_request(weft_connection *c, struct weft_cached_head *cached)
{
    weft_server *server = c->server;
    weft_request *req = weft_request_blank(server);
    if (!req)
        return NULL;
    memcpy(req, &cached->request, offsetof(weft_request, group));
    cached->is_lent = true;
    weft_input_consume(&c->input, cached->head_size);
    if (UNLIKELY(server->access_log))
        weft_access_log_begin_again(server->access_log, req);
    return req;
}

void weft_head_cache_take_back(struct weft_cached_head *cached)
{
    cached->is_lent = false;
}

/* ---- keeping ---- */

#define MOVE(pointer, to, from) ((pointer) = (pointer) ? (void *)((to) + ((const char *)(pointer) - (from))) : NULL)

/* What points into the image at `from` is to point into its copy at `to`. */
static void move_pointers(weft_request *req, char *to, const char *from)
{
    MOVE(req->head.data, to, from);
    MOVE(req->head.fields, to, from);
    MOVE(req->head.method, to, from);
    MOVE(req->head.target, to, from);
    MOVE(req->head.host, to, from);
    MOVE(req->target.path, to, from);
    MOVE(req->target.query, to, from);
    MOVE(req->target.host, to, from);
    MOVE(req->path, to, from);
    MOVE(req->handed, to, from);
    MOVE(req->line.data, to, from);
    MOVE(req->match, to, from);
    for (int i = 0; i < req->match->param_count; i++)
        MOVE(req->match->params[i].value, to, from);
}

/* The slot of a request's connection, with room for `size` bytes; NULL if it is somebody else's or lent, if nothing comes of
 * keeping this connection's heads, or if memory is out. */
static struct weft_cached_head *claim(weft_server *server, const weft_connection *c, size_t size)
{
    struct weft_cached_head **slot = slot_of(server, c), *cached = *slot;
    if (cached && cached->of == c && cached->vain >= VAIN_MAX && cached->vain % KEEP_EVERY > 0)
        return NULL;
    if (cached && cached->of && cached->of != c && cached->vain++ < VAIN_MAX)
        return NULL;
    if (cached && cached->is_lent)
        return NULL;
    if (!cached || cached->room < size) {
        size_t room = (size + GRAIN - 1) / GRAIN * GRAIN;
        weft_mem_free(cached);
        *slot = cached = weft_mem_alloc(sizeof *cached + room);
        if (!cached)
            return NULL;
        *cached = (struct weft_cached_head){ .room = (uint32_t)room };
    }
    if (cached->of != c)
        cached->vain = 0;
    return cached;
}

void weft_head_cache_keep(weft_server *server, const weft_request *req, const char *head, size_t size)
{
    const weft_connection *c = req->connection;
    if (size > WEFT_HEAD_CACHE_HEAD || req->head.wants_upgrade || req->arena.used != WEFT_ARENA_CHUNK)
        return;
    size_t image_size = (size_t)(req->arena.at - req->head.data); /* the arena's first piece; it is in one with all others */
    if (image_size > WEFT_HEAD_CACHE_REQUEST)
        return;
    struct weft_cached_head *cached = claim(server, c, image_size + size);
    if (!cached)
        return;
    cached->of = c;
    cached->head_size = (uint16_t)size;
    cached->image_size = (uint16_t)image_size;
    memcpy(&cached->request, req, offsetof(weft_request, group));
    memcpy(cached->bytes, req->head.data, image_size);
    memcpy(cached->bytes + image_size, head, size);
    move_pointers(&cached->request, cached->bytes, req->head.data);
    weft_arena_init(&cached->request.arena, &server->loop->arenas);
    cached->request.lender = cached;
}

void weft_head_cache_forget(weft_server *server, const weft_connection *c)
{
    struct weft_cached_head *cached = *slot_of(server, c);
    if (cached && cached->of == c)
        cached->of = NULL;
}

void weft_head_cache_close(weft_head_cache *cache)
{
    for (size_t i = 0; i < WEFT_HEAD_CACHE_SLOTS; i++)
        weft_mem_free(cache->slots[i]);
}
