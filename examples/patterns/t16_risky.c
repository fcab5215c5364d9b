/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Ten tasks, each of which may fail at random: what worked and what failed adds up to ten. */
#include <weft.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int take_a_risk(void *unused)
{
    (void)unused;
    WEFT_TRY(weft_sleep(rand() % 10 * WEFT_MILLISECOND));
    return rand() % 10 < 3 ? -EIO : 0;
}

static int run(void *unused)
{
    (void)unused;
    int worked = 0, failed = 0;
    srand(7);
    WEFT_GROUP (g, .on_error = WEFT_COLLECT) {
        weft_ended ended;
        for (int i = 0; i < 10; i++)
            weft_go(&g, take_a_risk, NULL);
        while (weft_group_next(&g, &ended) > 0)
            ended.result < 0 ? failed++ : worked++;
    }
    printf("%d worked, %d failed, %d in all\n", worked, failed, worked + failed);
    return 0;
}

int main(void)
{
    return weft_run(run, NULL) < 0;
}
