/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Several at once, of which some fail: no outcome is lost, and no error harms another task. */
#include <weft.h>
#include <errno.h>
#include <stdio.h>

static int fetch(void *arg)
{
    int id = *(int *)arg;
    WEFT_TRY(weft_sleep((6 - id) * 10 * WEFT_MILLISECOND));
    return id % 2 ? id * 10 : weft_fail(-ECONNREFUSED, "fetching %d", id);
}

static int gather(void *unused)
{
    (void)unused;
    int outcomes[5];
    WEFT_GROUP (g, .on_error = WEFT_COLLECT) {
        weft_ended ended;
        for (int i = 1; i <= 5; i++)
            weft_go_copy(&g, fetch, &i);
        while (weft_group_next(&g, &ended) > 0)
            outcomes[ended.index] = ended.result;
    }
    for (int i = 0; i < 5; i++) {
        if (outcomes[i] >= 0)
            printf("%d: %d\n", i + 1, outcomes[i]);
        else
            printf("%d: %s\n", i + 1, weft_strerror(outcomes[i]));
    }
    return 0;
}

int main(void)
{
    return weft_run(gather, NULL) < 0;
}
