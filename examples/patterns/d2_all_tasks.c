/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* All tasks: names, states, ages, what each waits for and where it stands. */
#include <weft.h>
#include <stdio.h>

static int bake(void *arg)
{
    weft_lock *oven = arg;
    WEFT_LOCKED (held, oven) {
        WEFT_TRY(weft_sleep(10 * WEFT_SECOND));
    }
    return held.result;
}

static int wash(void *arg)
{
    int dish;
    return weft_queue_get((weft_queue *)arg, &dish);
}

static int main_task(void *unused)
{
    (void)unused;
    weft_lock oven;
    weft_lock_init(&oven);
    weft_queue *dishes = weft_queue_new(sizeof(int), 10);
    WEFT_GROUP (kitchen, .timeout = WEFT_MINUTE) {
        weft_go(&kitchen, bake, &oven);
        weft_go(&kitchen, bake, &oven);
        for (int i = 0; i < 100; i++)
            weft_go(&kitchen, wash, dishes);
        WEFT_TRY(weft_sleep(100 * WEFT_MILLISECOND));
        weft_tasks_print(stdout);
        weft_group_cancel(&kitchen);
    }
    weft_queue_free(dishes);
    weft_lock_close(&oven);
    return kitchen.result;
}

int main(void)
{
    return weft_run(main_task, NULL) < 0;
}
