/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * A store of items, and two lines of waiters of which at most one is not empty: getters wait only while the store is empty,
 * putters only while it is full. Whoever serves a waiter copies its item and settles it in one act, so that a waiter which is
 * cut short before has taken nothing, and one cut short after keeps what it got.
 */
#include <weft/queue.h>

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/memory.h"
#include "lib/sync/source.h"
#include "lib/sync/store.h"
#include "lib/task/debug.h"

#define QUEUE_MAGIC 0x9be0e0e5u

enum { ITEM_SIZE_MAX = 64 * 1024 };

struct weft_queue {
    unsigned magic;
    bool is_closed;
    size_t undone; /* items put in for which weft_queue_task_done has not been called */
    struct weft_store store;
    weft_list getters, putters, joiners;
    _Alignas(16) char memory[]; /* of the store */
};

static weft_queue *make(enum weft_store_kind kind, size_t item_size, size_t capacity,
                        int (*compare)(const void *, const void *), const char *file, int line)
{
    if (item_size == 0 || item_size > ITEM_SIZE_MAX || capacity == 0 || capacity > (size_t)1 << 31) {
        errno = EINVAL;
        return NULL;
    }
    weft_queue *q = weft_mem_alloc(sizeof *q + weft_store_size(kind, item_size, capacity));
    if (!q) {
        errno = ENOMEM;
        return NULL;
    }
    q->magic = QUEUE_MAGIC;
    q->is_closed = false;
    q->undone = 0;
    weft_store_init(&q->store, kind, item_size, capacity, q->memory, compare);
    weft_list_init(&q->getters);
    weft_list_init(&q->putters);
    weft_list_init(&q->joiners);
    weft_debug_made(q, "a queue", file, line);
    return q;
}

weft_queue *weft_queue_new_(size_t item_size, size_t capacity, const char *file, int line)
{
    return make(WEFT_STORE_RING, item_size, capacity, NULL, file, line);
}

weft_queue *weft_queue_new_lifo_(size_t item_size, size_t capacity, const char *file, int line)
{
    return make(WEFT_STORE_STACK, item_size, capacity, NULL, file, line);
}

weft_queue *weft_queue_new_priority_(size_t item_size, size_t capacity, int (*compare)(const void *a, const void *b),
                                     const char *file, int line)
{
    return make(WEFT_STORE_HEAP, item_size, capacity, compare, file, line);
}

void weft_queue_free(weft_queue *q)
{
    if (!q)
        return;
    IS_A(q, QUEUE_MAGIC);
    weft_waiter_check_none(&q->getters, "a queue is freed");
    weft_waiter_check_none(&q->putters, "a queue is freed");
    weft_waiter_check_none(&q->joiners, "a queue is freed");
    weft_debug_gone(q);
    q->magic = 0;
    weft_mem_free(q);
}

void weft_queue_close(weft_queue *q)
{
    IS_A(q, QUEUE_MAGIC);
    q->is_closed = true;
    weft_waiter_serve_all(&q->putters, WEFT_ECLOSED);
    weft_waiter_serve_all(&q->getters, 0);
}

/* Each of these is one call without another in it when nobody waits: to put and get an item took 219 instructions, and takes
 * 118.
 */
#define INLINE static inline __attribute__((always_inline))

INLINE int put_now(weft_queue *q, const void *item, size_t item_size)
{
    IS_A(q, QUEUE_MAGIC);
    if (UNLIKELY(item_size != q->store.item_size))
        return -EINVAL;
    if (UNLIKELY(q->is_closed))
        return WEFT_ECLOSED;
    weft_waiter *getter = weft_waiter_first(&q->getters);
    if (getter) {
        weft_store_copy(getter->item, item, item_size);
        weft_waiter_serve(getter, 1);
    } else if (q->store.count < q->store.capacity) {
        weft_store_push(&q->store, item);
    } else {
        return -EAGAIN;
    }
    q->undone++;
    return 0;
}

INLINE int get_now(weft_queue *q, void *item, size_t item_size)
{
    IS_A(q, QUEUE_MAGIC);
    if (UNLIKELY(item_size != q->store.item_size))
        return -EINVAL;
    if (q->store.count == 0)
        return q->is_closed ? 0 : -EAGAIN;
    weft_store_pop(&q->store, item);
    weft_waiter *putter = weft_waiter_first(&q->putters);
    if (putter) {
        weft_store_push(&q->store, putter->item);
        q->undone++;
        weft_waiter_serve(putter, 0);
    }
    return 1;
}

static __attribute__((noinline)) int wait_to_put(weft_queue *q, const void *item, const void *place)
{
    struct weft_waiting putter = WEFT_WAITING("queue put", q);
    putter.wait.place = place;
    putter.waiter.item = (void *)(uintptr_t)item;
    return weft_waiting_park(&putter, &q->putters);
}

static __attribute__((noinline)) int wait_to_get(weft_queue *q, void *item, const void *place)
{
    struct weft_waiting getter = WEFT_WAITING("queue get", q);
    getter.wait.place = place;
    getter.waiter.item = item;
    return weft_waiting_park(&getter, &q->getters);
}

int weft_queue_try_put_(weft_queue *q, const void *item, size_t item_size)
{
    return put_now(q, item, item_size);
}

int weft_queue_try_get_(weft_queue *q, void *item, size_t item_size)
{
    return get_now(q, item, item_size);
}

int weft_queue_put_(weft_queue *q, const void *item, size_t item_size)
{
    int rc = weft_wait_begin("queue put");
    if (LIKELY(rc == 0))
        rc = put_now(q, item, item_size);
    return LIKELY(rc != -EAGAIN) ? rc : wait_to_put(q, item, __builtin_return_address(0));
}

int weft_queue_get_(weft_queue *q, void *item, size_t item_size)
{
    int rc = weft_wait_begin("queue get");
    if (LIKELY(rc == 0))
        rc = get_now(q, item, item_size);
    return LIKELY(rc != -EAGAIN) ? rc : wait_to_get(q, item, __builtin_return_address(0));
}

size_t weft_queue_count(const weft_queue *q)
{
    IS_A(q, QUEUE_MAGIC);
    return q->store.count;
}

/* ---- what has been dealt with ---- */

void weft_queue_task_done(weft_queue *q)
{
    IS_A(q, QUEUE_MAGIC);
    if (q->undone == 0) {
        weft_misuse("weft_queue_task_done was called more often than items were put in");
        return;
    }
    if (--q->undone == 0)
        weft_waiter_serve_all(&q->joiners, 0);
}

int weft_queue_join(weft_queue *q)
{
    IS_A(q, QUEUE_MAGIC);
    int rc = weft_wait_check("queue join");
    if (rc < 0 || q->undone == 0)
        return rc;
    struct weft_waiting joiner = WEFT_WAITING("queue join", q);
    return weft_waiting_park(&joiner, &q->joiners);
}

/* ---- in a select ---- */

static weft_list *get_line(const weft_select_case *c)
{
    weft_queue *q = c->on.queue;
    IS_A(q, QUEUE_MAGIC);
    return q->store.count == 0 && !q->is_closed && c->item_size == q->store.item_size ? &q->getters : NULL;
}

static int take_get(const weft_select_case *c)
{
    return weft_queue_try_get_(c->on.queue, c->item, c->item_size);
}

const struct weft_source weft_source_queue_get = { "queue get", false, get_line, take_get };

static weft_list *put_line(const weft_select_case *c)
{
    weft_queue *q = c->on.queue;
    IS_A(q, QUEUE_MAGIC);
    bool is_full = q->store.count == q->store.capacity; /* then nobody waits to get */
    return is_full && !q->is_closed && c->item_size == q->store.item_size ? &q->putters : NULL;
}

static int take_put(const weft_select_case *c)
{
    return weft_queue_try_put_(c->on.queue, c->item, c->item_size);
}

const struct weft_source weft_source_queue_put = { "queue put", false, put_line, take_put };
