/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Five workers add ten each to a counter, waiting in the middle: with a lock all fifty count, without one most are lost. */
#include <weft.h>
#include <stdio.h>

struct counter {
    weft_lock lock;
    int value;
};

static int add_one(struct counter *counter)
{
    int value = counter->value;
    WEFT_TRY(weft_sleep(WEFT_MILLISECOND));
    counter->value = value + 1;
    return 0;
}

static int add_ten(void *arg)
{
    struct counter *counter = arg;
    for (int i = 0; i < 10; i++) {
        WEFT_LOCKED (held, &counter->lock) {
            WEFT_TRY(add_one(counter));
        }
        WEFT_TRY(held.result);
    }
    return 0;
}

static int add_ten_unlocked(void *arg)
{
    for (int i = 0; i < 10; i++)
        WEFT_TRY(add_one(arg));
    return 0;
}

static int count(void *unused)
{
    (void)unused;
    struct counter locked = { .value = 0 }, unlocked = { .value = 0 };
    weft_lock_init(&locked.lock);
    WEFT_GROUP (g) {
        for (int i = 0; i < 5; i++) {
            weft_go(&g, add_ten, &locked);
            weft_go(&g, add_ten_unlocked, &unlocked);
        }
    }
    weft_lock_close(&locked.lock);
    printf("with a lock: %d\n", locked.value);
    printf("without: %s\n", unlocked.value < 50 ? "fewer" : "as many, by luck");
    return g.result;
}

int main(void)
{
    return weft_run(count, NULL) < 0;
}
