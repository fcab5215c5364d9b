/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Stacks and heaps. */
#include "lib/sync/store.h"

static size_t items_size(size_t item_size, size_t capacity)
{
    return (item_size * capacity + 15) & ~(size_t)15;
}

size_t weft_store_size(enum weft_store_kind kind, size_t item_size, size_t capacity)
{
    size_t entries = kind == WEFT_STORE_HEAP ? capacity * sizeof(struct weft_store_entry) : 0;
    return items_size(item_size, capacity) + entries;
}

void weft_store_init(struct weft_store *store, enum weft_store_kind kind, size_t item_size, size_t capacity, void *memory,
                     int (*compare)(const void *a, const void *b))
{
    *store = (struct weft_store){
        .kind = kind,
        .item_size = item_size,
        .capacity = capacity,
        .items = memory,
        .compare = compare,
        .entries = (void *)((char *)memory + items_size(item_size, capacity)),
    };
}

static bool comes_before(const struct weft_store *store, const struct weft_store_entry *a, const struct weft_store_entry *b)
{
    int order = store->compare(a->item, b->item);
    return order ? order < 0 : a->turn < b->turn;
}

static void swap(struct weft_store_entry *a, struct weft_store_entry *b)
{
    struct weft_store_entry was = *a;
    *a = *b;
    *b = was;
}

static void push_heap(struct weft_store *store, const void *item)
{
    struct weft_store_entry *entries = store->entries;
    size_t at = store->count++;
    if (at == store->used)
        entries[store->used++].item = store->items + at * store->item_size;
    entries[at].turn = store->next_turn++;
    memcpy(entries[at].item, item, store->item_size);
    for (size_t parent; at > 0 && comes_before(store, &entries[at], &entries[parent = (at - 1) / 2]); at = parent)
        swap(&entries[at], &entries[parent]);
}

static void pop_heap(struct weft_store *store, void *item)
{
    struct weft_store_entry *entries = store->entries;
    memcpy(item, entries[0].item, store->item_size);
    size_t count = --store->count;
    swap(&entries[0], &entries[count]); /* its place is free now */
    for (size_t at = 0, child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && comes_before(store, &entries[child + 1], &entries[child]))
            child++;
        if (!comes_before(store, &entries[child], &entries[at]))
            return;
        swap(&entries[at], &entries[child]);
    }
}

void weft_store_push_other(struct weft_store *store, const void *item)
{
    if (store->kind == WEFT_STORE_HEAP)
        push_heap(store, item);
    else
        memcpy(store->items + store->count++ * store->item_size, item, store->item_size);
}

void weft_store_pop_other(struct weft_store *store, void *item)
{
    if (store->kind == WEFT_STORE_HEAP)
        pop_heap(store, item);
    else
        memcpy(item, store->items + --store->count * store->item_size, store->item_size);
}
