/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * A ring of items, and two lists of waiters of which at most one is not empty: getters wait only while the ring is empty,
 * putters only while it is full. Whoever serves a waiter copies its item and settles it in one act, so that a waiter which is
 * cut short before has taken nothing, and one cut short after keeps what it got.
 */
#include <weft/queue.h>

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/list.h"
#include "lib/base/memory.h"
#include "lib/task/task.h"

#define QUEUE_MAGIC 0x9be0e0e5u

enum { ITEM_SIZE_MAX = 64 * 1024 };

struct weft_queue {
    unsigned magic;
    bool is_closed;
    size_t item_size, capacity;
    size_t first, count; /* in the ring */
    weft_list getters, putters;
    char ring[];
};

struct waiter {
    weft_wait wait;
    weft_list link;
    void *item; /* to fill, or to take */
};

static void withdraw(weft_wait *wait)
{
    weft_list_remove(&CONTAINER_OF(wait, struct waiter, wait)->link);
}

static struct waiter *first_waiter(weft_list *waiters)
{
    return weft_list_is_empty(waiters) ? NULL : CONTAINER_OF(waiters->next, struct waiter, link);
}

static void push(weft_queue *q, const void *item)
{
    size_t at = q->first + q->count;
    if (at >= q->capacity)
        at -= q->capacity;
    memcpy(q->ring + at * q->item_size, item, q->item_size);
    q->count++;
}

static void pop(weft_queue *q, void *item)
{
    memcpy(item, q->ring + q->first * q->item_size, q->item_size);
    if (++q->first == q->capacity)
        q->first = 0;
    q->count--;
}

weft_queue *weft_queue_new(size_t item_size, size_t capacity)
{
    if (item_size == 0 || item_size > ITEM_SIZE_MAX || capacity == 0 || capacity > (size_t)1 << 31) {
        errno = EINVAL;
        return NULL;
    }
    weft_queue *q = weft_mem_alloc(sizeof *q + item_size * capacity);
    if (!q) {
        errno = ENOMEM;
        return NULL;
    }
    *q = (weft_queue){ .magic = QUEUE_MAGIC, .item_size = item_size, .capacity = capacity };
    weft_list_init(&q->getters);
    weft_list_init(&q->putters);
    return q;
}

void weft_queue_free(weft_queue *q)
{
    if (!q)
        return;
    IS_A(q, QUEUE_MAGIC);
    const struct waiter *waiter = first_waiter(weft_list_is_empty(&q->getters) ? &q->putters : &q->getters);
    if (waiter)
        weft_misuse_die("a queue is freed while task %s waits on it", waiter->wait.task->name);
    q->magic = 0;
    weft_mem_free(q);
}

void weft_queue_close(weft_queue *q)
{
    IS_A(q, QUEUE_MAGIC);
    struct waiter *waiter;
    q->is_closed = true;
    while ((waiter = first_waiter(&q->putters)))
        weft_wait_settle(&waiter->wait, WEFT_ECLOSED);
    while ((waiter = first_waiter(&q->getters)))
        weft_wait_settle(&waiter->wait, 0);
}

int weft_queue_try_put_(weft_queue *q, const void *item, size_t item_size)
{
    IS_A(q, QUEUE_MAGIC);
    if (item_size != q->item_size)
        return -EINVAL;
    if (q->is_closed)
        return WEFT_ECLOSED;
    struct waiter *getter = first_waiter(&q->getters);
    if (getter) {
        memcpy(getter->item, item, item_size);
        weft_wait_settle(&getter->wait, 1);
        return 0;
    }
    if (q->count == q->capacity)
        return -EAGAIN;
    push(q, item);
    return 0;
}

int weft_queue_try_get_(weft_queue *q, void *item, size_t item_size)
{
    IS_A(q, QUEUE_MAGIC);
    if (item_size != q->item_size)
        return -EINVAL;
    if (q->count == 0)
        return q->is_closed ? 0 : -EAGAIN;
    pop(q, item);
    struct waiter *putter = first_waiter(&q->putters);
    if (putter) {
        push(q, putter->item);
        weft_wait_settle(&putter->wait, 0);
    }
    return 1;
}

int weft_queue_put_(weft_queue *q, const void *item, size_t item_size)
{
    int rc = weft_wait_check("queue put");
    if (rc == 0)
        rc = weft_queue_try_put_(q, item, item_size);
    if (rc != -EAGAIN)
        return rc;
    struct waiter putter = { .wait = WEFT_WAIT("queue put", q, withdraw), .item = (void *)(uintptr_t)item };
    weft_list_append(&q->putters, &putter.link);
    return weft_wait_park(&putter.wait);
}

int weft_queue_get_(weft_queue *q, void *item, size_t item_size)
{
    int rc = weft_wait_check("queue get");
    if (rc == 0)
        rc = weft_queue_try_get_(q, item, item_size);
    if (rc != -EAGAIN)
        return rc;
    struct waiter getter = { .wait = WEFT_WAIT("queue get", q, withdraw), .item = item };
    weft_list_append(&q->getters, &getter.link);
    return weft_wait_park(&getter.wait);
}

size_t weft_queue_count(const weft_queue *q)
{
    IS_A(q, QUEUE_MAGIC);
    return q->count;
}
