/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * A bounded queue between tasks of one loop. Items have a fixed size and are copied in and out.
 *
 * Who waits is served first come, first served: an item is handed to the longest waiting getter, a place to the longest
 * waiting putter. A waiter whose scope is cut short takes nothing and loses nothing; one that has been served keeps what it
 * got. A closed queue refuses new items; getters take what is left and then see its end.
 *
 * Which item comes out next is the queue's kind: the oldest, the newest, or the least by a comparison. To know when all that
 * was put in has been dealt with, and not just taken out, getters call weft_queue_task_done after each item, and whoever
 * wants to know waits in weft_queue_join. A queue can be waited for together with other things: weft/select.h.
 */
#ifndef WEFT_QUEUE_H
#define WEFT_QUEUE_H

#include <weft/task.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_queue weft_queue;

/* A queue of up to `capacity` items (1 to 2^31) of `item_size` bytes (1 to 64 KiB), first in first out. NULL with errno
 * ENOMEM or EINVAL. */
#define weft_queue_new(item_size, capacity) weft_queue_new_((item_size), (capacity), __FILE__, __LINE__)
WEFT_API weft_queue *weft_queue_new_(size_t item_size, size_t capacity, const char *file, int line);

/* The same, last in first out. */
#define weft_queue_new_lifo(item_size, capacity) weft_queue_new_lifo_((item_size), (capacity), __FILE__, __LINE__)
WEFT_API weft_queue *weft_queue_new_lifo_(size_t item_size, size_t capacity, const char *file, int line);

/* The same, least first: compare(a, b) says, as for qsort, whether item a comes before (< 0) or after (> 0) item b. Of equal
 * ones the oldest comes first. It is called while putting and getting, and must neither wait nor use the queue. */
#define weft_queue_new_priority(item_size, capacity, compare)                                                                  \
    weft_queue_new_priority_((item_size), (capacity), (compare), __FILE__, __LINE__)
WEFT_API weft_queue *weft_queue_new_priority_(size_t item_size, size_t capacity, int (*compare)(const void *a, const void *b),
                                              const char *file, int line);

/* Gives it back, with the items in it. Freeing a queue on which a task waits is misuse, and ends the program with a message.
 * NULL is fine. */
WEFT_API void weft_queue_free(weft_queue *q);

/* No more items: waiting and later puts return WEFT_ECLOSED, getters drain it and then get 0. Idempotent; never waits. */
WEFT_API void weft_queue_close(weft_queue *q);

/* May wait. Copies *item_ptr in, waiting for a place. 0; WEFT_ECLOSED; -EINVAL if the size is not the queue's; the reason. */
#define weft_queue_put(q, item_ptr) weft_queue_put_((q), (item_ptr), sizeof *(item_ptr))
WEFT_API WEFT_WAITS int weft_queue_put_(weft_queue *q, const void *item, size_t item_size);

/* May wait. Copies the next item out, waiting for one. 1; 0 closed and empty; -EINVAL; the reason. */
#define weft_queue_get(q, item_ptr) weft_queue_get_((q), (item_ptr), sizeof *(item_ptr))
WEFT_API WEFT_WAITS int weft_queue_get_(weft_queue *q, void *item, size_t item_size);

/* The same without waiting: -EAGAIN when full or empty. May be called outside a task, on the loop's thread. */
#define weft_queue_try_put(q, item_ptr) weft_queue_try_put_((q), (item_ptr), sizeof *(item_ptr))
WEFT_API WEFT_MUST int weft_queue_try_put_(weft_queue *q, const void *item, size_t item_size);
#define weft_queue_try_get(q, item_ptr) weft_queue_try_get_((q), (item_ptr), sizeof *(item_ptr))
WEFT_API WEFT_MUST int weft_queue_try_get_(weft_queue *q, void *item, size_t item_size);

/* Items in it now. */
WEFT_API size_t weft_queue_count(const weft_queue *q);

/* One item that was taken out has been dealt with. More calls than items were put in is misuse: reported, and ignored.
 * Never waits. */
WEFT_API void weft_queue_task_done(weft_queue *q);

/* May wait. Waits until weft_queue_task_done has been called for every item put in so far and meanwhile. 0, or the reason. */
WEFT_API WEFT_WAITS int weft_queue_join(weft_queue *q);

#ifdef __cplusplus
}
#endif
#endif
