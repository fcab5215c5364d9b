/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
#include "lib/base/ring.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/check.h"
#include "lib/base/memory.h"

enum { LEAST_SIZE = 64 };

int weft_ring_init(weft_ring *ring, size_t size)
{
    size_t room = LEAST_SIZE;
    while (room < size && room <= SIZE_MAX / 2)
        room *= 2;
    char *data = room >= size ? weft_mem_alloc(room) : NULL;
    if (!data)
        return -ENOMEM;
    ring->data = data;
    ring->size = room;
    ring->tail_seen = 0;
    atomic_init(&ring->head, 0);
    atomic_init(&ring->tail, 0);
    return 0;
}

void weft_ring_close(weft_ring *ring)
{
    weft_mem_free(ring->data);
    ring->data = NULL;
    ring->size = 0;
}

bool weft_ring_put(weft_ring *ring, const void *data, size_t size)
{
    size_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    if (size > ring->size - (head - ring->tail_seen)) {
        ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
        if (size > ring->size - (head - ring->tail_seen))
            return false;
    }
    size_t at = head & (ring->size - 1), first = ring->size - at;
    if (LIKELY(size <= first)) {
        memcpy(ring->data + at, data, size);
    } else {
        memcpy(ring->data + at, data, first);
        memcpy(ring->data, (const char *)data + first, size - first);
    }
    atomic_store(&ring->head, head + size);
    return true;
}

size_t weft_ring_peek(const weft_ring *ring, size_t most, struct iovec parts[2])
{
    size_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    size_t size = atomic_load(&ring->head) - tail, at = tail & (ring->size - 1);
    if (size > most)
        size = most;
    size_t first = size < ring->size - at ? size : ring->size - at;
    parts[0] = (struct iovec){ ring->data + at, first };
    parts[1] = (struct iovec){ ring->data, size - first };
    return size;
}

void weft_ring_take(weft_ring *ring, size_t size)
{
    CHECK(size <= weft_ring_used(ring));
    atomic_store_explicit(&ring->tail, atomic_load_explicit(&ring->tail, memory_order_relaxed) + size, memory_order_release);
}
