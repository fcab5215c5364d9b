/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Twenty downloads, at most three at once. */
#include <weft.h>
#include <stdio.h>

struct downloads {
    weft_semaphore places;
    int now, most, done;
};

static int download(void *arg)
{
    struct downloads *all = arg;
    WEFT_PLACE (held, &all->places) {
        if (++all->now > all->most)
            all->most = all->now;
        WEFT_TRY(weft_sleep(10 * WEFT_MILLISECOND));
        all->now--;
        all->done++;
    }
    return held.result;
}

static int fetch_all(void *unused)
{
    (void)unused;
    struct downloads all = { .now = 0 };
    weft_semaphore_init(&all.places, 3);
    WEFT_GROUP (g) {
        for (int i = 0; i < 20; i++)
            weft_go(&g, download, &all);
    }
    weft_semaphore_close(&all.places);
    printf("%d done, at most %d at once\n", all.done, all.most);
    return g.result;
}

int main(void)
{
    return weft_run(fetch_all, NULL) < 0;
}
