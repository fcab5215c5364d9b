/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Three tries, with growing pauses and jitter between them; if all fail, the error of the last is reported. */
#include <weft.h>
#include <errno.h>
#include <stdio.h>

static int fetch(int attempt, int works_at)
{
    printf("try %d\n", attempt);
    WEFT_TRY(weft_sleep(5 * WEFT_MILLISECOND));
    return attempt < works_at ? weft_fail(-ECONNREFUSED, "try %d", attempt) : 42;
}

static int run(void *unused)
{
    (void)unused;
    WEFT_RETRY (lucky, .tries = 3, .delay = 10 * WEFT_MILLISECOND)
        lucky.result = fetch(lucky.attempt, 3);
    printf("it came to %d\n", lucky.result);
    WEFT_RETRY (unlucky, .tries = 3, .delay = 10 * WEFT_MILLISECOND)
        unlucky.result = fetch(unlucky.attempt, 4);
    printf("it failed: %s\n", weft_strerror(unlucky.result));
    return 0;
}

int main(void)
{
    return weft_run(run, NULL) < 0;
}
