/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Cancelling is a return value, and it stays: no later wait can lose it. */
#include <weft.h>
#include <stdio.h>

static int worker(void *unused)
{
    (void)unused;
    int rc = weft_sleep(10 * WEFT_SECOND);
    printf("the first wait: %s\n", weft_strerror(rc));
    rc = weft_sleep(10 * WEFT_SECOND);
    printf("the next one, at once: %s\n", weft_strerror(rc));
    return rc;
}

static int crunch(void *arg)
{
    unsigned *rounds = arg;
    while (!weft_cancelled()) {
        for (int i = 0; i < 100000; i++)
            *rounds = *rounds * 1664525 + 1013904223;
    }
    return WEFT_EDEADLINE;
}

static int main_task(void *unused)
{
    (void)unused;
    unsigned rounds = 0;
    WEFT_GROUP (workers) {
        weft_go(&workers, worker, NULL);
        WEFT_TRY(weft_sleep(50 * WEFT_MILLISECOND));
        weft_group_cancel(&workers);
    }
    printf("a group that was cancelled by its owner: %d\n", workers.result);

    int rc = weft_timeout(50 * WEFT_MILLISECOND, crunch, &rounds);
    printf("a loop that never waits: %s\n", weft_strerror(rc));
    return 0;
}

int main(void)
{
    return weft_run(main_task, NULL) < 0;
}
