/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* A call that blocks, in a thread: the loop goes on, and a ticker proves it. On the loop itself it stops everything. */
#include <weft.h>
#include <stdio.h>
#include <time.h>

struct hash {
    int input, result;
};

/* Blocks for 200 ms, as a slow library would. */
static int slow_hash(void *arg)
{
    struct hash *hash = arg;
    nanosleep(&(struct timespec){ .tv_nsec = 200000000 }, NULL);
    hash->result = hash->input * 31;
    return 0;
}

static int tick(void *arg)
{
    for (;;) {
        WEFT_TRY(weft_sleep(10 * WEFT_MILLISECOND));
        ++*(int *)arg;
    }
}

static int compare(void *unused)
{
    (void)unused;
    struct hash hash = { .input = 2 };
    int ticks = 0;
    WEFT_GROUP (background) {
        weft_go(&background, tick, &ticks);
        WEFT_TRY(weft_sleep(50 * WEFT_MILLISECOND));

        int before = ticks;
        slow_hash(&hash);
        printf("on the loop: %d, and %d ticks\n", hash.result, ticks - before);

        before = ticks;
        hash.input = 3;
        WEFT_TRY(weft_offload(slow_hash, &hash));
        printf("in a thread: %d, and the ticker went on: %s\n", hash.result, ticks - before >= 5 ? "yes" : "no");
        break;
    }
    return background.result;
}

int main(void)
{
    return weft_run(compare, NULL) < 0;
}
