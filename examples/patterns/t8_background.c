/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* A task in the background: started now, awaited later, with other work between. */
#include <weft.h>
#include <stdio.h>

static int download(void *unused)
{
    (void)unused;
    printf("download: begun\n");
    WEFT_TRY(weft_sleep(60 * WEFT_MILLISECOND));
    printf("download: done\n");
    return 42;
}

static int run(void *unused)
{
    (void)unused;
    weft_task *task;
    WEFT_TRY(weft_spawn(&task, download, NULL));
    for (int i = 1; i <= 2; i++) {
        printf("other work %d\n", i);
        WEFT_TRY(weft_sleep(10 * WEFT_MILLISECOND));
    }
    printf("it came to %d\n", weft_await(task));
    return 0;
}

int main(void)
{
    return weft_run(run, NULL) < 0;
}
