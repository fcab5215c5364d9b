/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Nine jobs, three at a time, each with a copy of its own argument. */
#include <weft.h>
#include <stdio.h>

struct job {
    int number;
    int *alive, *most;
};

static int work(void *arg)
{
    struct job *job = arg; /* the copy, on this task's own stack */
    if (++*job->alive > *job->most)
        *job->most = *job->alive;
    WEFT_TRY(weft_sleep(20 * WEFT_MILLISECOND));
    --*job->alive;
    return 0;
}

static int batch(void *unused)
{
    (void)unused;
    int alive = 0, most = 0;
    WEFT_GROUP (jobs, .limit = 3) {
        for (int i = 1; i <= 9; i++) {
            struct job job = { i, &alive, &most };
            WEFT_TRY(weft_go_wait_copy(&jobs, work, &job));
        }
    }
    WEFT_TRY(jobs.result);
    printf("%d left, at most %d at once\n", alive, most);
    return 0;
}

int main(void)
{
    return weft_run(batch, NULL) < 0;
}
