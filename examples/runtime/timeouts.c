/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Deadlines: around a block, one inside the other, and around one call. */
#include <weft.h>
#include <stdio.h>

static int slow(void *unused)
{
    (void)unused;
    return weft_sleep(10 * WEFT_SECOND);
}

static int deadlines(void *unused)
{
    (void)unused;
    int rc = 0;
    WEFT_TIMEOUT (limit, 100 * WEFT_MILLISECOND) {
        rc = weft_sleep(10 * WEFT_SECOND);
    }
    printf("the sleep: %s; limit %s\n", weft_strerror(rc), limit.expired ? "has expired" : "holds");

    WEFT_TIMEOUT (outer, 100 * WEFT_MILLISECOND) {
        WEFT_TIMEOUT (inner, WEFT_MINUTE) {
            rc = weft_sleep(10 * WEFT_SECOND);
        }
        printf("inner %s\n", inner.expired ? "has expired" : "holds");
    }
    printf("outer %s\n", outer.expired ? "has expired" : "holds");

    rc = weft_timeout(100 * WEFT_MILLISECOND, slow, NULL);
    printf("the call: %s\n", weft_strerror(rc));
    return 0;
}

int main(void)
{
    return weft_run(deadlines, NULL) < 0;
}
