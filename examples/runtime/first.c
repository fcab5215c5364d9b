/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* One task that waits. */
#include <weft.h>
#include <stdio.h>

static int greet(void *arg)
{
    const char *name = arg;
    printf("Hello, %s.\n", name);
    WEFT_TRY(weft_sleep(200 * WEFT_MILLISECOND));
    printf("Goodbye.\n");
    return 0;
}

int main(void)
{
    char name[] = "World";
    return weft_run(greet, name) < 0;
}
