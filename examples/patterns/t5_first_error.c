/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* The first error wins: the others are cancelled, clean up, and have ended when the group ends. */
#include <weft.h>
#include <errno.h>
#include <stdio.h>

static int work(void *arg)
{
    int rc = weft_sleep(10 * WEFT_SECOND);
    printf("%s: %s\n", (const char *)arg, weft_strerror(rc));
    WEFT_SHIELD (clean_up, WEFT_SECOND) {
        WEFT_TRY(weft_sleep(20 * WEFT_MILLISECOND));
        printf("%s: cleaned up\n", (const char *)arg);
    }
    return rc;
}

static int fail(void *unused)
{
    (void)unused;
    WEFT_TRY(weft_sleep(20 * WEFT_MILLISECOND));
    return -ECONNREFUSED;
}

static int gather(void *unused)
{
    (void)unused;
    WEFT_GROUP (g) {
        weft_go(&g, work, "a");
        weft_go(&g, fail, NULL);
        weft_go(&g, work, "b");
    }
    printf("all have ended: %s\n", weft_strerror(g.result));
    return 0;
}

int main(void)
{
    return weft_run(gather, NULL) < 0;
}
