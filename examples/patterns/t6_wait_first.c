/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Waits for the first of several, and cancels the rest; then waits for all. */
#include <weft.h>
#include <stdio.h>

static int fetch(void *arg)
{
    int delay = *(int *)arg;
    int rc = weft_sleep(delay * WEFT_MILLISECOND);
    printf("%d: %s\n", delay, rc < 0 ? weft_strerror(rc) : "done");
    return rc < 0 ? rc : delay;
}

static int run(void *unused)
{
    (void)unused;
    int delays[] = { 200, 50, 100 };
    weft_ended first;
    WEFT_GROUP (race, .keep_ended = true) {
        for (int i = 0; i < 3; i++)
            weft_go(&race, fetch, &delays[i]);
        WEFT_TRY(weft_group_next(&race, &first));
        printf("the first: %d\n", first.result);
        break; /* cancels the rest, and waits for their ends */
    }
    WEFT_GROUP (all) {
        for (int i = 0; i < 3; i++)
            weft_go(&all, fetch, &delays[i]);
    }
    printf("all are done\n");
    return all.result;
}

int main(void)
{
    return weft_run(run, NULL) < 0;
}
