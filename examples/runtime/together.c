/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Two tasks at once: the group takes as long as the longer one. */
#include <weft.h>
#include <stdio.h>

struct dish {
    const char *name;
    weft_duration takes;
};

static int cook(void *arg)
{
    const struct dish *dish = arg;
    printf("%s: begun\n", dish->name);
    WEFT_TRY(weft_sleep(dish->takes));
    printf("%s: ready\n", dish->name);
    return 0;
}

static int breakfast(void *unused)
{
    (void)unused;
    struct dish coffee = { "coffee", 600 * WEFT_MILLISECOND };
    struct dish eggs = { "eggs", 400 * WEFT_MILLISECOND };
    weft_duration start = weft_now();
    WEFT_GROUP (both) {
        weft_go(&both, cook, &coffee);
        weft_go(&both, cook, &eggs);
    }
    WEFT_TRY(both.result);
    printf("both: after %d tenths of a second\n", (int)((weft_now() - start) / (100 * WEFT_MILLISECOND)));
    return 0;
}

int main(void)
{
    return weft_run(breakfast, NULL) < 0;
}
