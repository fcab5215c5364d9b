/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * An arena: memory that is given back all at once. It grows by chunks of WEFT_ARENA_CHUNK bytes from a pool (which keeps a
 * few, last in, first out), and takes what is larger from the heap. For one thread.
 */
#ifndef WEFT_LIB_BASE_ARENA_H
#define WEFT_LIB_BASE_ARENA_H

#include <stddef.h>

#include <weft/base.h>

#define WEFT_ARENA_CHUNK ((size_t)4096)

struct weft_arena_chunk;

typedef struct weft_arena_pool {
    struct weft_arena_chunk *free_list;
    size_t free_count, keep; /* chunks beyond `keep` go back to the heap */
} weft_arena_pool;

typedef struct weft_arena {
    char *at, *end; /* the free part of the newest chunk */
    struct weft_arena_chunk *chunks;
    weft_arena_pool *pool;
    size_t used; /* bytes of all chunks: for limits */
} weft_arena;

void weft_arena_pool_init(weft_arena_pool *pool, size_t keep);
void weft_arena_pool_close(weft_arena_pool *pool);

void weft_arena_init(weft_arena *arena, weft_arena_pool *pool);

/* The slow path of weft_arena_alloc. */
void *weft_arena_grow_(weft_arena *arena, size_t size);

/* Aligned to 16, not cleared; NULL when memory is out. Size 0 is fine. */
static inline void *weft_arena_alloc(weft_arena *arena, size_t size)
{
    if (size - 1 < (size_t)(arena->end - arena->at)) { /* not for 0, for which an empty arena has no address yet */
        size_t rounded = (size + 15) & ~(size_t)15;    /* chunks are a multiple of 16 */
        void *p = arena->at;
        arena->at += rounded;
        return p;
    }
    return weft_arena_grow_(arena, size);
}

/* The newest allocation, made with `size`, turns out to need only `keep` bytes: gives the rest back if it can. */
void weft_arena_trim(weft_arena *arena, void *newest, size_t size, size_t keep);

/* A NUL-terminated copy; NULL when memory is out. */
char *weft_arena_copy(weft_arena *arena, const char *data, size_t size);

/* Gives everything back; the arena is empty and may be used again. */
void weft_arena_free(weft_arena *arena);

#endif
