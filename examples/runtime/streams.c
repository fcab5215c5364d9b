/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Two tasks that talk over a pair of streams in memory; over a socket they would read the same. */
#include <weft.h>
#include <stdio.h>

static int echo(void *arg)
{
    weft_stream *s = arg;
    char buf[64];
    int64_t size;
    while ((size = weft_stream_read(s, buf, sizeof buf)) > 0)
        WEFT_TRY(weft_stream_write(s, buf, (size_t)size));
    WEFT_TRY((int)size);
    return weft_stream_shutdown(s);
}

static int talk(weft_stream *s)
{
    char buf[64];
    int64_t size;
    WEFT_TRY(weft_stream_write(s, "hello, stream", 13));
    WEFT_TRY(weft_stream_shutdown(s)); /* we have said all; reading goes on */
    while ((size = weft_stream_read(s, buf, sizeof buf)) > 0)
        printf("%.*s\n", (int)size, buf);
    return (int)size;
}

static int main_task(void *unused)
{
    (void)unused;
    weft_stream *near, *far;
    WEFT_TRY(weft_stream_pair(&near, &far, 0));
    int rc = 0;
    WEFT_GROUP (both, .timeout = 2 * WEFT_SECOND) {
        weft_go(&both, echo, far);
        rc = talk(near);
    }
    weft_stream_close(near);
    weft_stream_close(far);
    WEFT_TRY(rc);
    return both.result;
}

int main(void)
{
    return weft_run(main_task, NULL) < 0;
}
