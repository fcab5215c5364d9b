/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Several at once; the results stand in the order in which they were asked for, whatever the order of the ends. */
#include <weft.h>
#include <stdio.h>

struct job {
    int delay, result;
};

static int fetch(void *arg)
{
    struct job *job = arg;
    WEFT_TRY(weft_sleep(job->delay * WEFT_MILLISECOND));
    printf("%d has ended\n", job->delay);
    job->result = job->delay * 10;
    return 0;
}

static int gather(void *unused)
{
    (void)unused;
    struct job jobs[] = { { 200, 0 }, { 50, 0 }, { 100, 0 } };
    WEFT_GROUP (g) {
        for (int i = 0; i < 3; i++)
            weft_go(&g, fetch, &jobs[i]);
    }
    WEFT_TRY(g.result);
    printf("results: %d %d %d\n", jobs[0].result, jobs[1].result, jobs[2].result);
    return 0;
}

int main(void)
{
    return weft_run(gather, NULL) < 0;
}
