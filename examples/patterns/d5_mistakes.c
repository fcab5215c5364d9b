/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Mistakes that a program gets away with, and that debug mode reports, each with its line. */
#include <weft.h>
#include <stdio.h>
#include <time.h>

static int fail(void *unused)
{
    (void)unused;
    return weft_fail(-5, "the printer is on fire");
}

static int never_awaited(void *unused)
{
    (void)unused;
    weft_task *task;
    return weft_spawn(&task, fail, NULL);
}

static int hold_at_exit(void *lock)
{
    return weft_lock_acquire(lock);
}

static int sleep_that_blocks(void *unused)
{
    (void)unused;
    struct timespec left = { .tv_sec = 1 };
    while (nanosleep(&left, &left) != 0) /* weft_sleep would let others run */
        ;
    return 0;
}

static int main_task(void *unused)
{
    (void)unused;
    weft_lock lock;
    weft_lock_init(&lock);
    WEFT_GROUP (mistakes, .on_error = WEFT_COLLECT) {
        weft_go(&mistakes, never_awaited, NULL);
        weft_go(&mistakes, hold_at_exit, &lock);
    }
    weft_event done;
    weft_event_init(&done); /* and nobody closes it, nor the lock */
    printf("done: %s\n", weft_event_is_set(&done) ? "yes" : "not yet");
    WEFT_GROUP (slow) {
        weft_go(&slow, sleep_that_blocks, NULL);
    }
    return slow.result;
}

int main(void)
{
    return weft_run_with(main_task, NULL, .debug = true) < 0;
}
