/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* The first error cancels the siblings, and is what the group results in. */
#include <weft.h>
#include <errno.h>
#include <stdio.h>

static int steady(void *unused)
{
    (void)unused;
    int rc = weft_sleep(10 * WEFT_SECOND);
    printf("steady: %s\n", weft_strerror(rc));
    return rc;
}

static int hasty(void *unused)
{
    (void)unused;
    WEFT_TRY(weft_sleep(50 * WEFT_MILLISECOND));
    printf("hasty: fails\n");
    return -ECONNREFUSED;
}

static int pair(void *unused)
{
    (void)unused;
    WEFT_GROUP (both) {
        weft_go(&both, steady, NULL);
        weft_go(&both, hasty, NULL);
    }
    printf("both: %s\n", weft_strerror(both.result));
    return 0;
}

int main(void)
{
    return weft_run(pair, NULL) < 0;
}
