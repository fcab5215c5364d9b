/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Handles each result as soon as it is there, in the order in which the tasks end. */
#include <weft.h>
#include <stdio.h>

static int fetch(void *arg)
{
    int delay = *(int *)arg;
    WEFT_TRY(weft_sleep(delay * WEFT_MILLISECOND));
    return delay * 10;
}

static int run(void *unused)
{
    (void)unused;
    int rc = 0, delays[] = { 200, 100, 50 };
    WEFT_GROUP (g, .keep_ended = true) {
        weft_ended ended;
        for (int i = 0; i < 3; i++)
            weft_go(&g, fetch, &delays[i]);
        while ((rc = weft_group_next(&g, &ended)) > 0)
            printf("task %zu: %d\n", ended.index, ended.result);
        WEFT_TRY(rc);
    }
    return g.result;
}

int main(void)
{
    return weft_run(run, NULL) < 0;
}
