/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
#include "lib/base/arena.h"

#include <stdint.h>
#include <string.h>

#include "lib/base/check.h"
#include "lib/base/memory.h"
#include "lib/base/sanitize.h"

struct weft_arena_chunk {
    struct weft_arena_chunk *next;
    size_t size; /* with this header */
};

void weft_arena_pool_init(weft_arena_pool *pool, size_t keep)
{
    *pool = (weft_arena_pool){ .keep = keep };
}

void weft_arena_pool_close(weft_arena_pool *pool)
{
    while (pool->free_list) {
        struct weft_arena_chunk *chunk = pool->free_list;
        SANITIZE_UNPOISON(chunk, WEFT_ARENA_CHUNK);
        pool->free_list = chunk->next;
        weft_mem_free(chunk);
    }
    pool->free_count = 0;
}

void weft_arena_init(weft_arena *arena, weft_arena_pool *pool)
{
    *arena = (weft_arena){ .pool = pool };
}

static struct weft_arena_chunk *take(weft_arena_pool *pool)
{
    struct weft_arena_chunk *chunk = pool->free_list;
    if (!chunk)
        return weft_mem_alloc(WEFT_ARENA_CHUNK);
    SANITIZE_UNPOISON(chunk, WEFT_ARENA_CHUNK);
    pool->free_list = chunk->next;
    pool->free_count--;
    return chunk;
}

void *weft_arena_grow_(weft_arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    if (size == 0 && arena->chunks)
        return arena->at;
    size_t rounded = (size + 15) & ~(size_t)15;
    bool is_large = rounded > WEFT_ARENA_CHUNK / 4;
    bool shares = rounded <= WEFT_ARENA_CHUNK - sizeof(struct weft_arena_chunk) && !(is_large && arena->chunks);
    size_t chunk_size = shares ? WEFT_ARENA_CHUNK : sizeof(struct weft_arena_chunk) + rounded;
    struct weft_arena_chunk *chunk = shares ? take(arena->pool) : weft_mem_alloc(chunk_size);
    if (!chunk)
        return NULL;
    chunk->size = chunk_size;
    arena->used += chunk_size;
    char *first = (char *)(chunk + 1);
    if (!shares && arena->chunks) { /* keep on using what is left of the newest chunk */
        chunk->next = arena->chunks->next;
        arena->chunks->next = chunk;
        return first;
    }
    chunk->next = arena->chunks;
    arena->chunks = chunk;
    arena->at = first + rounded;
    arena->end = (char *)chunk + chunk_size;
    return first;
}

void weft_arena_trim(weft_arena *arena, void *newest, size_t size, size_t keep)
{
    DCHECK(keep <= size);
    char *end = (char *)newest + ((size + 15) & ~(size_t)15);
    if (end == arena->at)
        arena->at = (char *)newest + ((keep + 15) & ~(size_t)15);
}

char *weft_arena_copy(weft_arena *arena, const char *data, size_t size)
{
    char *copy = size < SIZE_MAX ? weft_arena_alloc(arena, size + 1) : NULL;
    if (!copy)
        return NULL;
    if (size > 0)
        memcpy(copy, data, size);
    copy[size] = '\0';
    return copy;
}

void weft_arena_free(weft_arena *arena)
{
    weft_arena_pool *pool = arena->pool;
    while (arena->chunks) {
        struct weft_arena_chunk *chunk = arena->chunks;
        arena->chunks = chunk->next;
        if (chunk->size == WEFT_ARENA_CHUNK && pool->free_count < pool->keep) {
            chunk->next = pool->free_list;
            pool->free_list = chunk;
            pool->free_count++;
            SANITIZE_POISON(chunk, WEFT_ARENA_CHUNK);
        } else {
            weft_mem_free(chunk);
        }
    }
    weft_arena_init(arena, pool);
}
