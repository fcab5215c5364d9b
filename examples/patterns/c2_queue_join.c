/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Waiting until everything that was put in has been dealt with, not only taken out; then the consumers are cancelled. */
#include <weft.h>
#include <errno.h>
#include <stdio.h>

struct worker {
    weft_queue *queue;
    int number, *done;
};

static int work(void *arg)
{
    const struct worker *me = arg;
    int milliseconds, rc;
    while ((rc = weft_queue_get(me->queue, &milliseconds)) > 0) {
        WEFT_TRY(weft_sleep(milliseconds * WEFT_MILLISECOND));
        ++*me->done;
        weft_queue_task_done(me->queue);
    }
    printf("worker %d: %s\n", me->number, weft_strerror(rc));
    return rc;
}

static int shop(void *unused)
{
    (void)unused;
    int done = 0;
    weft_queue *queue = weft_queue_new(sizeof(int), 20);
    if (!queue)
        return -errno;
    WEFT_GROUP (workers) {
        for (int i = 1; i <= 3; i++)
            weft_go_copy(&workers, work, (&(struct worker){ queue, i, &done }));
        for (int i = 1; i <= 20; i++)
            WEFT_TRY(weft_queue_put(queue, &i));
        WEFT_TRY(weft_queue_join(queue));
        printf("%d of 20 are done, %zu are left\n", done, weft_queue_count(queue));
        break; /* cancels the workers, which wait for more */
    }
    weft_queue_free(queue);
    return workers.result;
}

int main(void)
{
    return weft_run(shop, NULL) < 0;
}
