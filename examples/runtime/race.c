/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* The first of several; the rest are cancelled. */
#include <weft.h>
#include <stdio.h>

struct mirror {
    const char *name;
    weft_duration takes;
};

static int ask(void *arg)
{
    const struct mirror *mirror = arg;
    int rc = weft_sleep(mirror->takes);
    printf("%s: %s\n", mirror->name, rc == 0 ? "answers" : weft_strerror(rc));
    return rc;
}

static int fastest(void *unused)
{
    (void)unused;
    struct mirror mirrors[] = { { "north", 3 * WEFT_SECOND }, { "south", 100 * WEFT_MILLISECOND }, { "east", WEFT_SECOND } };
    weft_ended first = { 0 };
    WEFT_GROUP (race, .keep_ended = true) {
        for (int i = 0; i < 3; i++)
            weft_go(&race, ask, &mirrors[i]);
        WEFT_TRY(weft_group_next(&race, &first));
        break; /* cancels the others, and waits until they have ended */
    }
    WEFT_TRY(race.result);
    printf("the first: %s\n", mirrors[first.index].name);
    return 0;
}

int main(void)
{
    return weft_run(fastest, NULL) < 0;
}
