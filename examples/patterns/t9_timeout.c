/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* A time-out around one call: an error at the deadline, not later. */
#include <weft.h>
#include <stdio.h>

static int fetch(void *delay)
{
    WEFT_TRY(weft_sleep(*(weft_duration *)delay));
    return 42;
}

static int run(void *unused)
{
    (void)unused;
    weft_duration fast = 10 * WEFT_MILLISECOND, slow = WEFT_HOUR, start = weft_now();
    printf("fast: %d\n", weft_timeout(WEFT_SECOND, fetch, &fast));
    printf("slow: %s\n", weft_strerror(weft_timeout(50 * WEFT_MILLISECOND, fetch, &slow)));
    weft_duration took = weft_now() - start;
    printf("at its deadline: %s\n", took >= 60 * WEFT_MILLISECOND && took < WEFT_SECOND ? "yes" : "no");
    return 0;
}

int main(void)
{
    return weft_run(run, NULL) < 0;
}
