/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The items in a queue, in the order of its kind: a ring, a stack or a heap.
 *
 * The heap sorts entries that point to the items, so that an item is copied once in and once out, however large. Entries
 * beyond `count` point to free places; those beyond `used` have never been used, and are filled in when first needed, so that
 * a large capacity costs nothing before.
 */
#ifndef WEFT_LIB_SYNC_STORE_H
#define WEFT_LIB_SYNC_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/check.h"

enum weft_store_kind { WEFT_STORE_RING, WEFT_STORE_STACK, WEFT_STORE_HEAP };

struct weft_store_entry {
    uint64_t turn; /* of equal items the earlier one is first */
    void *item;
};

struct weft_store {
    enum weft_store_kind kind;
    size_t item_size, capacity, count;
    size_t first; /* of a ring */
    char *items;
    /* of a heap */
    int (*compare)(const void *a, const void *b);
    struct weft_store_entry *entries;
    size_t used;
    uint64_t next_turn;
};

/* Bytes for `capacity` items of a kind. */
size_t weft_store_size(enum weft_store_kind kind, size_t item_size, size_t capacity);

/* `memory` is that many bytes, aligned to 16, not cleared. */
void weft_store_init(struct weft_store *store, enum weft_store_kind kind, size_t item_size, size_t capacity, void *memory,
                     int (*compare)(const void *a, const void *b));

void weft_store_push_other(struct weft_store *store, const void *item);
void weft_store_pop_other(struct weft_store *store, void *item);

/* Most items are a word: one instruction, not a call. */
static inline void weft_store_copy(void *to, const void *from, size_t size)
{
    if (LIKELY(size == sizeof(void *)))
        memcpy(to, from, sizeof(void *));
    else
        memcpy(to, from, size);
}

/* Copies an item in; there must be a place. */
static inline void weft_store_push(struct weft_store *store, const void *item)
{
    if (UNLIKELY(store->kind != WEFT_STORE_RING)) {
        weft_store_push_other(store, item);
        return;
    }
    size_t at = store->first + store->count++;
    if (at >= store->capacity)
        at -= store->capacity;
    weft_store_copy(store->items + at * store->item_size, item, store->item_size);
}

/* Copies the next item out; there must be one. */
static inline void weft_store_pop(struct weft_store *store, void *item)
{
    if (UNLIKELY(store->kind != WEFT_STORE_RING)) {
        weft_store_pop_other(store, item);
        return;
    }
    weft_store_copy(item, store->items + store->first * store->item_size, store->item_size);
    if (++store->first == store->capacity)
        store->first = 0;
    store->count--;
}

#endif
