/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* An event starts all at once, a condition tells each that there is something for it, a barrier lets them go on together. */
#include <weft.h>
#include <stdio.h>

struct kitchen {
    weft_event open;
    weft_lock lock;
    weft_condition served; /* under the lock */
    int plates;
    weft_barrier table;
};

struct guest {
    struct kitchen *kitchen;
    const char *name;
};

static int dine(void *arg)
{
    const struct guest *me = arg;
    struct kitchen *kitchen = me->kitchen;
    WEFT_TRY(weft_event_wait(&kitchen->open));
    printf("%s comes in\n", me->name);
    WEFT_LOCKED (held, &kitchen->lock) {
        while (kitchen->plates == 0)
            WEFT_TRY(weft_condition_wait(&kitchen->served));
        kitchen->plates--;
        printf("%s has a plate\n", me->name);
    }
    WEFT_TRY(held.result);
    int is_last = weft_barrier_wait(&kitchen->table); /* nobody eats before all have a plate */
    WEFT_TRY(is_last);
    printf("%s eats%s\n", me->name, is_last ? ", and says: enjoy your meal" : "");
    return 0;
}

static int serve(struct kitchen *kitchen)
{
    WEFT_TRY(weft_sleep(10 * WEFT_MILLISECOND));
    printf("the kitchen opens\n");
    weft_event_set(&kitchen->open);
    for (int i = 0; i < 3; i++) {
        WEFT_TRY(weft_sleep(10 * WEFT_MILLISECOND));
        WEFT_LOCKED (held, &kitchen->lock) {
            kitchen->plates++;
            weft_condition_signal(&kitchen->served);
        }
        WEFT_TRY(held.result);
    }
    return 0;
}

static int evening(void *unused)
{
    (void)unused;
    struct kitchen kitchen = { .plates = 0 };
    weft_event_init(&kitchen.open);
    weft_lock_init(&kitchen.lock);
    weft_condition_init(&kitchen.served, &kitchen.lock);
    weft_barrier_init(&kitchen.table, 3);
    struct guest guests[] = { { &kitchen, "Ada" }, { &kitchen, "Ben" }, { &kitchen, "Cleo" } };
    WEFT_GROUP (g) {
        for (int i = 0; i < 3; i++)
            weft_go(&g, dine, &guests[i]);
        WEFT_TRY(serve(&kitchen));
    }
    weft_barrier_close(&kitchen.table);
    weft_condition_close(&kitchen.served);
    weft_lock_close(&kitchen.lock);
    weft_event_close(&kitchen.open);
    return g.result;
}

int main(void)
{
    return weft_run(evening, NULL) < 0;
}
