/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * A bounded ring of bytes between two threads: one puts, one takes, and neither ever waits or takes a lock.
 *
 *     the producer   weft_ring_put: a record whole, or not at all
 *     the consumer   weft_ring_peek, use what lies there, weft_ring_take
 *
 * Records are published whole, so what is peeked at with room for all of it ends with one. Head and tail count bytes for ever
 * and wrap with their type. Whoever owns it inits it before the threads begin and closes it after both have ended.
 *
 * A consumer that sleeps while the ring is empty says so in an atomic of its own (sequentially consistent), looks at
 * weft_ring_used once more, and sleeps; a producer puts, then reads that atomic. Put and used are sequentially consistent
 * too, so one of the two sees the other, and no wake-up is lost.
 */
#ifndef WEFT_LIB_BASE_RING_H
#define WEFT_LIB_BASE_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

enum { WEFT_RING_APART = 64 }; /* bytes between what the two threads write to: a cache line */

typedef struct weft_ring {
    char *data;
    size_t size; /* a power of two */
    char apart1_[WEFT_RING_APART];
    atomic_size_t head; /* bytes ever put: written by the producer */
    size_t tail_seen;   /* the tail when the producer last looked: it only looks again when that is not room enough */
    char apart2_[WEFT_RING_APART];
    atomic_size_t tail; /* bytes ever taken: written by the consumer */
    char apart3_[WEFT_RING_APART];
} weft_ring;

/* Makes an empty ring of `size` bytes or the next power of two. 0, or -ENOMEM (also for a size that has no such). */
int weft_ring_init(weft_ring *ring, size_t size);

void weft_ring_close(weft_ring *ring);

/* The producer: appends all of it, or returns false because there is no room for all of it now. */
bool weft_ring_put(weft_ring *ring, const void *data, size_t size);

/* The consumer: where the first bytes lie, at most `most`; their count. parts[1] is empty unless they wrap round the end. They
 * stay there until they are taken. */
size_t weft_ring_peek(const weft_ring *ring, size_t most, struct iovec parts[2]);

/* The consumer: gives the room of the first `size` bytes back; no more than are there. */
void weft_ring_take(weft_ring *ring, size_t size);

/* Either: the bytes in it. The other thread may be changing that. */
static inline size_t weft_ring_used(const weft_ring *ring)
{
    size_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire); /* first: it never overtakes the head */
    return atomic_load(&ring->head) - tail;
}

#endif
