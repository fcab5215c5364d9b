/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * A bounded queue between tasks of one loop. Items have a fixed size and are copied in and out.
 *
 * Who waits is served first come, first served: an item is handed to the longest waiting getter, a place to the longest
 * waiting putter. A waiter whose scope is cut short takes nothing and loses nothing; one that has been served keeps what it
 * got. A closed queue refuses new items; getters take what is left and then see its end.
 */
#ifndef WEFT_QUEUE_H
#define WEFT_QUEUE_H

#include <weft/task.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_queue weft_queue;

/* A queue of up to `capacity` items (1 to 2^31) of `item_size` bytes (1 to 64 KiB). NULL with errno ENOMEM or EINVAL. */
WEFT_API weft_queue *weft_queue_new(size_t item_size, size_t capacity);

/* Gives it back, with the items in it. Freeing a queue on which a task waits is misuse. NULL is fine. */
WEFT_API void weft_queue_free(weft_queue *q);

/* No more items: waiting and later puts return WEFT_ECLOSED, getters drain it and then get 0. Idempotent; never waits. */
WEFT_API void weft_queue_close(weft_queue *q);

/* May wait. Copies *item_ptr in, waiting for a place. 0; WEFT_ECLOSED; -EINVAL if the size is not the queue's; the reason. */
#define weft_queue_put(q, item_ptr) weft_queue_put_((q), (item_ptr), sizeof *(item_ptr))
WEFT_API WEFT_WAITS int weft_queue_put_(weft_queue *q, const void *item, size_t item_size);

/* May wait. Copies the oldest item out, waiting for one. 1; 0 closed and empty; -EINVAL; the reason. */
#define weft_queue_get(q, item_ptr) weft_queue_get_((q), (item_ptr), sizeof *(item_ptr))
WEFT_API WEFT_WAITS int weft_queue_get_(weft_queue *q, void *item, size_t item_size);

/* The same without waiting: -EAGAIN when full or empty. May be called outside a task, on the loop's thread. */
#define weft_queue_try_put(q, item_ptr) weft_queue_try_put_((q), (item_ptr), sizeof *(item_ptr))
WEFT_API WEFT_MUST int weft_queue_try_put_(weft_queue *q, const void *item, size_t item_size);
#define weft_queue_try_get(q, item_ptr) weft_queue_try_get_((q), (item_ptr), sizeof *(item_ptr))
WEFT_API WEFT_MUST int weft_queue_try_get_(weft_queue *q, void *item, size_t item_size);

/* Items in it now. */
WEFT_API size_t weft_queue_count(const weft_queue *q);

#ifdef __cplusplus
}
#endif
#endif
