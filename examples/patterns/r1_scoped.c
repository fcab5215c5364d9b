/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* A resource that is acquired and released by waiting, and is released however its block is left: also by an error or a
 * cancellation. */
#include <weft.h>
#include <errno.h>
#include <stdio.h>

static int log_in(const char *name)
{
    WEFT_TRY(weft_sleep(5 * WEFT_MILLISECOND));
    printf("%s: logged in\n", name);
    return 0;
}

static void log_out(void *name)
{
    if (weft_sleep(5 * WEFT_MILLISECOND) == 0) /* shielded */
        printf("%s: logged out\n", (const char *)name);
}

static int work(char *name, int rc)
{
    WEFT_WITH (session, log_in(name), log_out, name) {
        WEFT_TRY(weft_sleep(20 * WEFT_MILLISECOND));
        WEFT_TRY(rc);
        printf("%s: worked\n", name);
    }
    return session.result;
}

static int run(void *unused)
{
    (void)unused;
    char ada[] = "Ada", ben[] = "Ben", cleo[] = "Cleo";
    printf("Ada: %s\n", weft_strerror(work(ada, 0)));
    printf("Ben: %s\n", weft_strerror(work(ben, -EIO)));
    WEFT_TIMEOUT (limit, 15 * WEFT_MILLISECOND) {
        printf("Cleo: %s\n", weft_strerror(work(cleo, 0)));
    }
    return 0;
}

int main(void)
{
    return weft_run(run, NULL) < 0;
}
