/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Where an error began, and through what it passed. */
#include <weft.h>
#include <errno.h>
#include <stdio.h>

static int read_setting(const char *name)
{
    return weft_fail(-ENOENT, "no setting %s", name);
}

static int start(void *unused)
{
    (void)unused;
    WEFT_TRY(read_setting("colour"));
    return 0;
}

static int main_task(void *unused)
{
    (void)unused;
    WEFT_GROUP (services) {
        weft_go(&services, start, NULL);
    }
    if (services.result < 0)
        printf("%s\n", weft_error_trail());
    return 0;
}

int main(void)
{
    return weft_run(main_task, NULL) < 0;
}
