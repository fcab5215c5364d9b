/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Deep code runs on the loop's stack, or in a task with a larger one. With an argument: on neither. */
#include <weft.h>
#include <stdio.h>
#include <string.h>

struct sum {
    int from, result;
};

/* Uses 200 KiB of stack. */
static void add_up(void *arg)
{
    struct sum *sum = arg;
    volatile int numbers[50000];
    for (int i = 0; i < 50000; i++)
        numbers[i] = sum->from + i % 10;
    for (int i = 0; i < 50000; i++)
        sum->result += numbers[i];
}

static int add_up_here(void *arg)
{
    add_up(arg);
    return 0;
}

static int main_task(void *arg)
{
    const bool *too_deep = arg;
    struct sum sum = { .from = 1 };
    weft_on_loop_stack(add_up, &sum);
    printf("on the loop's stack: %d\n", sum.result);

    sum.result = 0;
    WEFT_GROUP (large, .stack_size = 512 * 1024) {
        weft_go(&large, add_up_here, &sum);
    }
    WEFT_TRY(large.result);
    printf("in a task with 512 KiB: %d\n", sum.result);
    fflush(stdout);

    if (*too_deep)
        add_up(&sum);
    return 0;
}

int main(int argc, char **argv)
{
    bool too_deep = argc > 1 && strcmp(argv[1], "overflow") == 0;
    return weft_run(main_task, &too_deep) < 0;
}
