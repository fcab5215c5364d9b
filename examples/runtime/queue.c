/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Three producers, two consumers, and room for four items between them. */
#include <weft.h>
#include <errno.h>
#include <stdio.h>

struct producer {
    weft_queue *jobs;
    int first;
};

struct consumer {
    weft_queue *jobs;
    int *sum;
};

static int produce(void *arg)
{
    const struct producer *me = arg;
    for (int i = 0; i < 10; i++) {
        int job = me->first + i;
        WEFT_TRY(weft_queue_put(me->jobs, &job)); /* waits while the queue is full */
    }
    return 0;
}

static int consume(void *arg)
{
    const struct consumer *me = arg;
    int job, rc;
    while ((rc = weft_queue_get(me->jobs, &job)) > 0)
        *me->sum += job;
    return rc; /* 0: closed, and nothing is left in it */
}

static int market(void *unused)
{
    (void)unused;
    int sum = 0;
    weft_queue *jobs = weft_queue_new(sizeof(int), 4);
    if (!jobs)
        return -errno;
    WEFT_GROUP (consumers) {
        for (int i = 0; i < 2; i++)
            weft_go_copy(&consumers, consume, (&(struct consumer){ jobs, &sum }));
        WEFT_GROUP (producers) {
            for (int i = 0; i < 3; i++)
                weft_go_copy(&producers, produce, (&(struct producer){ jobs, i * 10 }));
        }
        weft_queue_close(jobs); /* all producers have ended: the consumers empty it and end */
    }
    weft_queue_free(jobs);
    WEFT_TRY(consumers.result);
    printf("0 + 1 + ... + 29 = %d\n", sum);
    return 0;
}

int main(void)
{
    return weft_run(market, NULL) < 0;
}
