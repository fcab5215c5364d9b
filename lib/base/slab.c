/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Free objects are linked through their first word. Under the address sanitizer the rest of a free object is poisoned, so
 * that its use is reported as it would be for the heap.
 */
#include "lib/base/slab.h"

#include "lib/base/check.h"
#include "lib/base/memory.h"
#include "lib/base/sanitize.h"

struct weft_slab_chunk {
    struct weft_slab_chunk *next;
    void *unused_; /* keeps the objects aligned to 16 */
};

void weft_slab_init(weft_slab *slab, size_t object_size, size_t per_chunk)
{
    *slab = (weft_slab){ .object_size = (object_size + 15) & ~(size_t)15, .per_chunk = per_chunk };
}

static bool grow(weft_slab *slab)
{
    struct weft_slab_chunk *chunk = weft_mem_alloc(sizeof *chunk + slab->object_size * slab->per_chunk);
    if (!chunk)
        return false;
    chunk->next = slab->chunks;
    slab->chunks = chunk;
    char *first = (char *)(chunk + 1);
    for (size_t i = slab->per_chunk; i-- > 0;) {
        char *object = first + i * slab->object_size;
        *(void **)(void *)object = slab->free_list;
        slab->free_list = object;
        SANITIZE_POISON(object, slab->object_size);
    }
    return true;
}

void *weft_slab_take(weft_slab *slab)
{
    if (UNLIKELY(!slab->free_list) && !grow(slab))
        return NULL;
    char *object = slab->free_list;
    SANITIZE_UNPOISON(object, slab->object_size);
    slab->free_list = *(void **)(void *)object;
    slab->in_use++;
    return object;
}

void weft_slab_give(weft_slab *slab, void *object)
{
    DCHECK(slab->in_use > 0);
    *(void **)object = slab->free_list;
    slab->free_list = object;
    slab->in_use--;
    SANITIZE_POISON(object, slab->object_size);
}

void weft_slab_close(weft_slab *slab)
{
    CHECK(slab->in_use == 0);
    while (slab->chunks) {
        struct weft_slab_chunk *chunk = slab->chunks;
        slab->chunks = chunk->next;
        SANITIZE_UNPOISON(chunk + 1, slab->object_size * slab->per_chunk);
        weft_mem_free(chunk);
    }
    slab->free_list = NULL;
}
