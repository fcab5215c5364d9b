/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* An error that passes through several hands: the log tells where it failed first, and through what it passed. */
#include <weft.h>
#include <errno.h>
#include <stdio.h>

static int read_file(const char *name)
{
    return weft_fail(-ENOENT, "reading %s", name);
}

static int load_settings(void)
{
    WEFT_TRY(weft_sleep(WEFT_MILLISECOND));
    WEFT_TRY(read_file("settings.json"));
    return 0;
}

static int start(void *unused)
{
    (void)unused;
    WEFT_TRY(load_settings());
    return 0;
}

static int run(void *unused)
{
    (void)unused;
    WEFT_GROUP (g) {
        weft_go(&g, start, NULL);
    }
    printf("cannot start: %s\n", weft_strerror(g.result));
    weft_log(WEFT_LOG_ERROR, "%s", weft_error_trail());
    return 0;
}

int main(void)
{
    return weft_run(run, NULL) < 0;
}
