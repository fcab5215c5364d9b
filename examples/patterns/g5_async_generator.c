/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* An asynchronous generator, which sleeps before each value; then three of them at once. */
#include <weft.h>
#include <stdio.h>

static int slow_range(weft_generator *g, void *arg)
{
    for (int i = 0; i < *(int *)arg; i++) {
        WEFT_TRY(weft_sleep(40 * WEFT_MILLISECOND));
        WEFT_TRY(weft_generator_yield(g, &i));
    }
    return 0;
}

/* Turns *arg into the sum of the numbers below it. */
static int add_up(void *arg)
{
    int *sum = arg, rc = 0, count = *sum;
    *sum = 0;
    WEFT_FOR_EACH (int, i, weft_generator_new(int, slow_range, &count), .result = &rc)
        *sum += i;
    return rc;
}

static int consume(void *unused)
{
    (void)unused;
    int rc = 0, three = 3, sums[] = { 3, 4, 5 };
    WEFT_FOR_EACH (int, i, weft_generator_new(int, slow_range, &three), .result = &rc)
        printf("got %d\n", i);
    WEFT_TRY(rc);
    weft_duration start = weft_now();
    WEFT_GROUP (g) {
        for (int i = 0; i < 3; i++)
            weft_go(&g, add_up, &sums[i]);
    }
    weft_duration took = weft_now() - start;
    printf("sums: %d %d %d\n", sums[0], sums[1], sums[2]);
    printf("three at once took %lld ms, less than one after the other: %s\n", (long long)(took / WEFT_MILLISECOND),
           took >= 200 * WEFT_MILLISECOND && took < 480 * WEFT_MILLISECOND ? "yes" : "no");
    return g.result;
}

int main(void)
{
    return weft_run(consume, NULL) < 0;
}
