/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Coffee (3) and eggs (2) at once take as long as the longer of them, not the sum. */
#include <weft.h>
#include <stdio.h>

struct dish {
    const char *name;
    int time; /* 100 ms each */
};

static int make(void *arg)
{
    const struct dish *dish = arg;
    printf("%s: begun\n", dish->name);
    WEFT_TRY(weft_sleep(dish->time * 100 * WEFT_MILLISECOND));
    printf("%s: ready\n", dish->name);
    return 0;
}

static int breakfast(void *unused)
{
    (void)unused;
    weft_duration start = weft_now();
    WEFT_GROUP (g) {
        weft_go_copy(&g, make, (&(struct dish){ "coffee", 3 }));
        weft_go_copy(&g, make, (&(struct dish){ "eggs", 2 }));
    }
    weft_duration took = weft_now() - start;
    printf("took %lld ms, less than 500: %s\n", (long long)(took / WEFT_MILLISECOND),
           took >= 300 * WEFT_MILLISECOND && took < 500 * WEFT_MILLISECOND ? "yes" : "no");
    return g.result;
}

int main(void)
{
    return weft_run(breakfast, NULL) < 0;
}
