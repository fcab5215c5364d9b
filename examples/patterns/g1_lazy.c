/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* A lazy generator: nothing runs until the first value is asked for, and the end is told apart from every value. */
#include <weft.h>
#include <stdio.h>

static int numbers(weft_generator *g, void *unused)
{
    (void)unused;
    puts("the body begins");
    for (int i = 1; i <= 3; i++)
        WEFT_TRY(weft_generator_yield(g, &i));
    puts("the body ends");
    return 0;
}

static int consume(void *unused)
{
    (void)unused;
    int value, rc;
    weft_generator *g = weft_generator_new(int, numbers, NULL);
    puts("made");
    while ((rc = weft_generator_next(g, &value)) > 0)
        printf("%d\n", value);
    puts(rc == 0 ? "done" : weft_strerror(rc));
    return weft_generator_close(g);
}

int main(void)
{
    return weft_run(consume, NULL) < 0;
}
