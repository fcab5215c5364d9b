/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Stepping by hand, and closing early: the body cleans up, with its cancellation as the reason. */
#include <weft.h>
#include <stdio.h>

static void close_file(void *arg)
{
    printf("deferred: %s is closed\n", (const char *)arg);
}

static int lines(weft_generator *g, void *arg)
{
    int rc = weft_defer(close_file, arg);
    for (int i = 1; rc == 0; i++)
        rc = weft_generator_yield(g, &i);
    printf("the body ends: %s\n", weft_strerror(rc));
    if (weft_sleep(10 * WEFT_MILLISECOND) == 0)
        puts("its clean-up could wait");
    return rc;
}

static int step(void *unused)
{
    (void)unused;
    static char name[] = "the file";
    int line;
    weft_generator *g = weft_generator_new(int, lines, name);
    for (int i = 0; i < 2; i++)
        if (weft_generator_next(g, &line) > 0)
            printf("line %d\n", line);
    puts("enough");
    return weft_generator_close(g);
}

int main(void)
{
    return weft_run(step, NULL) < 0;
}
