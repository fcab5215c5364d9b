/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* A program without a server: two tasks and a queue, linked with lib/ alone, all of it. That it links is the test. */
#include <weft/queue.h>
#include <weft/task.h>

#include <stdio.h>

static int put_three(void *arg)
{
    weft_queue *q = arg;
    for (int i = 1; i <= 3; i++)
        WEFT_TRY(weft_queue_put(q, &i));
    weft_queue_close(q);
    return 0;
}

static int add_up(void *arg)
{
    weft_queue *q = arg;
    int item, sum = 0;
    WEFT_GROUP (both) {
        weft_go(&both, put_three, q);
        while (weft_queue_get(q, &item) > 0)
            sum += item;
    }
    WEFT_TRY(both.result);
    return sum;
}

int main(void)
{
    weft_queue *q = weft_queue_new(sizeof(int), 1);
    int sum = q ? weft_run(add_up, q) : -1;
    weft_queue_free(q);
    printf("%d\n", sum);
    return sum != 6;
}
