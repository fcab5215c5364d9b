/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * A slab: objects of one size, cut from larger chunks, reused last in, first out (the warm one comes back first).
 *
 * For one thread. Chunks go back to the heap when the slab is closed; closing one with objects still out is a mistake.
 */
#ifndef WEFT_LIB_BASE_SLAB_H
#define WEFT_LIB_BASE_SLAB_H

#include <stddef.h>

struct weft_slab_chunk;

typedef struct weft_slab {
    size_t object_size; /* a multiple of 16 */
    size_t per_chunk;
    void *free_list;
    struct weft_slab_chunk *chunks;
    size_t in_use;
} weft_slab;

/* `object_size` in bytes, rounded up to 16; `per_chunk` objects are allocated together. */
void weft_slab_init(weft_slab *slab, size_t object_size, size_t per_chunk);

/* An object, not cleared; NULL when memory is out. */
void *weft_slab_take(weft_slab *slab);
void weft_slab_give(weft_slab *slab, void *object);
void weft_slab_close(weft_slab *slab);

#endif
