/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Started now, awaited later, other work between. */
#include <weft.h>
#include <stdio.h>

static int count(void *arg)
{
    int *words = arg;
    WEFT_TRY(weft_sleep(100 * WEFT_MILLISECOND));
    *words = 42;
    return 0;
}

static int report(void *unused)
{
    (void)unused;
    int words = 0;
    WEFT_GROUP (background) {
        weft_task *counting;
        WEFT_TRY(weft_spawn(&counting, count, &words));
        printf("started\n");
        WEFT_TRY(weft_sleep(50 * WEFT_MILLISECOND));
        printf("other work done\n");
        WEFT_TRY(weft_await(counting));
    }
    printf("%d words\n", words);
    return 0;
}

int main(void)
{
    return weft_run(report, NULL) < 0;
}
