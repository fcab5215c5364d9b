/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* One wait after the other takes the sum of both; values come back as from any function. */
#include <weft.h>
#include <stdio.h>

static int fetch(int id, weft_duration delay)
{
    WEFT_TRY(weft_sleep(delay));
    return id * 10;
}

static int run(void *unused)
{
    (void)unused;
    weft_duration start = weft_now();
    int first = fetch(1, 30 * WEFT_MILLISECOND);
    WEFT_TRY(first);
    int second = fetch(2, 20 * WEFT_MILLISECOND);
    WEFT_TRY(second);
    printf("%d and %d\n", first, second);
    printf("at least the sum: %s\n", weft_now() - start >= 50 * WEFT_MILLISECOND ? "yes" : "no");
    return 0;
}

int main(void)
{
    return weft_run(run, NULL) < 0;
}
