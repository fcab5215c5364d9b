/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Cancelling a task: its clean-up runs, and may wait; and who has cancelled it learns that it has ended. */
#include <weft.h>
#include <stdio.h>

static int work(void *unused)
{
    (void)unused;
    int rc = weft_sleep(WEFT_HOUR);
    printf("work: %s\n", weft_strerror(rc));
    WEFT_SHIELD (saving, WEFT_SECOND) {
        WEFT_TRY(weft_sleep(20 * WEFT_MILLISECOND));
        printf("work: saved\n");
    }
    return rc;
}

static int run(void *unused)
{
    (void)unused;
    weft_task *task;
    WEFT_TRY(weft_spawn(&task, work, NULL));
    WEFT_TRY(weft_sleep(20 * WEFT_MILLISECOND));
    weft_task_cancel(task);
    printf("cancel is asked for\n");
    printf("it has ended: %s\n", weft_strerror(weft_await(task)));
    return 0;
}

int main(void)
{
    return weft_run(run, NULL) < 0;
}
