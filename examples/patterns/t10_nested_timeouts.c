/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Time-outs around blocks, one in the other: the outer, shorter one strikes, and it is the outer that tells. */
#include <weft.h>
#include <stdio.h>

static int run(void *unused)
{
    (void)unused;
    int rc = 0;
    WEFT_TIMEOUT (outer, 40 * WEFT_MILLISECOND) {
        WEFT_TIMEOUT (inner, WEFT_HOUR) {
            rc = weft_sleep(2 * WEFT_HOUR);
            printf("inside: %s\n", weft_strerror(rc));
        }
        printf("the inner one struck: %s\n", inner.expired ? "yes" : "no");
    }
    printf("the outer one struck: %s\n", outer.expired ? "yes" : "no");
    return 0;
}

int main(void)
{
    return weft_run(run, NULL) < 0;
}
