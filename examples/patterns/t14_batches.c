/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* A thousand items, ten at a time. */
#include <weft.h>
#include <stdio.h>

struct totals {
    int now, most, sum;
};

static int process(size_t item, void *arg)
{
    struct totals *totals = arg;
    if (++totals->now > totals->most)
        totals->most = totals->now;
    WEFT_TRY(weft_sleep(WEFT_MILLISECOND));
    totals->now--;
    totals->sum += (int)item;
    return 0;
}

static int run(void *unused)
{
    (void)unused;
    struct totals totals = { 0 };
    WEFT_TRY(weft_concurrent_for(1000, process, &totals, .limit = 10));
    printf("at most %d at a time; 0 + 1 + ... + 999 = %d\n", totals.most, totals.sum);
    return 0;
}

int main(void)
{
    return weft_run(run, NULL) < 0;
}
