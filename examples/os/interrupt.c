/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* A program that a Ctrl-C ends well (it sends itself one). */
#include <weft.h>
#include <signal.h>
#include <stdio.h>

static void say_goodbye(void *unused)
{
    (void)unused;
    printf("cleaned up\n");
}

static int work(void *unused)
{
    (void)unused;
    WEFT_TRY(weft_defer(say_goodbye, NULL));
    printf("working\n");
    raise(SIGINT);
    return weft_sleep(WEFT_HOUR);
}

int main(void)
{
    int signal, rc = weft_run_interruptible(work, NULL, &signal);
    if (signal)
        printf("ended by %s: %s\n", signal == SIGINT ? "Ctrl-C" : "SIGTERM", weft_strerror(rc));
    return rc < 0 && !signal;
}
