/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* A signal as an event: it is sent to this very program, so that there is one. */
#include <weft.h>
#include <signal.h>
#include <stdio.h>

static int reload(void *arg)
{
    weft_signal *hangup = arg;
    for (;;) {
        WEFT_TRY(weft_signal_wait(hangup));
        printf("reads its settings again\n");
    }
}

static int work(void *unused)
{
    (void)unused;
    weft_signal *hangup __attribute__((cleanup(weft_signal_drop))) = NULL;
    WEFT_TRY(weft_signal_open(&hangup, SIGHUP));
    WEFT_GROUP (background) {
        weft_go(&background, reload, hangup);
        raise(SIGHUP);
        WEFT_TRY(weft_sleep(50 * WEFT_MILLISECOND));
        printf("goes on\n");
        break;
    }
    return background.result;
}

int main(void)
{
    return weft_run(work, NULL) < 0;
}
