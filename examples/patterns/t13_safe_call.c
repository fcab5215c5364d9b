/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* A call that may fail, with a default in place of its error, which is logged. A cancellation is no such error. */
#include <weft.h>
#include <errno.h>
#include <stdio.h>

static int fetch_price(void *arg)
{
    int id = *(int *)arg;
    WEFT_TRY(weft_sleep(5 * WEFT_MILLISECOND));
    return id == 2 ? weft_fail(-ECONNREFUSED, "price of %d", id) : id * 100;
}

static int safely(int (*fn)(void *arg), void *arg, int otherwise)
{
    int rc = fn(arg);
    if (rc >= 0 || weft_cancelled())
        return rc;
    weft_log(WEFT_LOG_WARNING, "%d is used: %s", otherwise, weft_error_trail());
    return otherwise;
}

static int run(void *unused)
{
    (void)unused;
    for (int id = 1; id <= 3; id++)
        printf("price of %d: %d\n", id, safely(fetch_price, &id, -1));
    return 0;
}

int main(void)
{
    return weft_run(run, NULL) < 0;
}
