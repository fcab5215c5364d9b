/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Three producers, two consumers, and room for ten items between them. The closed queue ends the consumers. */
#include <weft.h>
#include <errno.h>
#include <stdio.h>

enum { PRODUCERS = 3, CONSUMERS = 2, ITEMS = 10 };

static size_t most; /* items in the queue at once */

struct worker {
    weft_queue *queue;
    int first, *sum;
};

static int produce(void *arg)
{
    const struct worker *me = arg;
    for (int i = 0; i < ITEMS; i++) {
        int item = me->first + i;
        WEFT_TRY(weft_queue_put(me->queue, &item)); /* waits while the queue is full */
        if (weft_queue_count(me->queue) > most)
            most = weft_queue_count(me->queue);
    }
    return 0;
}

static int consume(void *arg)
{
    const struct worker *me = arg;
    int item, rc;
    while ((rc = weft_queue_get(me->queue, &item)) > 0) {
        *me->sum += item;
        WEFT_TRY(weft_sleep(5 * WEFT_MILLISECOND));
    }
    return rc; /* 0: closed and empty */
}

static int market(void *unused)
{
    (void)unused;
    int sum = 0;
    weft_queue *queue = weft_queue_new(sizeof(int), 10);
    if (!queue)
        return -errno;
    WEFT_GROUP (consumers) {
        for (int i = 0; i < CONSUMERS; i++)
            weft_go_copy(&consumers, consume, (&(struct worker){ queue, 0, &sum }));
        WEFT_GROUP (producers) {
            for (int i = 0; i < PRODUCERS; i++)
                weft_go_copy(&producers, produce, (&(struct worker){ queue, i * ITEMS, NULL }));
        }
        printf("all are in; at most %zu waited at once\n", most);
        weft_queue_close(queue);
    }
    weft_queue_free(queue);
    printf("0 + 1 + ... + %d = %d\n", PRODUCERS * ITEMS - 1, sum);
    return consumers.result;
}

int main(void)
{
    return weft_run(market, NULL) < 0;
}
