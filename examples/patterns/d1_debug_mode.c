/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Debug mode names the task that computes for long without a wait, and where it is: the ticker beside it stands still. */
#include <weft.h>
#include <stdio.h>

static unsigned collatz(unsigned from)
{
    unsigned steps = 0;
    for (unsigned long n = from; n != 1; steps++)
        n = n % 2 ? 3 * n + 1 : n / 2;
    return steps;
}

static int crunch(void *arg)
{
    unsigned *longest = arg;
    weft_duration until = weft_now() + WEFT_SECOND;
    for (unsigned n = 1; weft_now() < until; n++)
        if (collatz(n) > *longest)
            *longest = collatz(n);
    return 0;
}

static int tick(void *arg)
{
    int *ticks = arg;
    for (int i = 0; i < 10; i++) {
        WEFT_TRY(weft_sleep(WEFT_MILLISECOND));
        ++*ticks;
    }
    return 0;
}

static int main_task(void *unused)
{
    (void)unused;
    unsigned longest = 0;
    int ticks = 0;
    WEFT_GROUP (g) {
        weft_go(&g, tick, &ticks);
        weft_go(&g, crunch, &longest);
    }
    printf("%d ticks, and chains of %s steps\n", ticks, longest > 100 ? "hundreds of" : "few");
    return g.result;
}

int main(void)
{
    return weft_run_with(main_task, NULL, .debug = true) < 0;
}
