/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The switch alone, below the scheduler (lib/coro): what remains when nothing is queued, tested or settled. What a caller pays
 * through the API is in runtime.c. It prints "name best median" lines, in nanoseconds.
 *
 *     switch         from one stack to another
 *     resume_1000    into and out of each of a thousand coroutines in turn: two switches on stacks that fall out of the cache
 */
#include "bench/measure.h"
#include "lib/coro/coro.h"

#define SWITCHES  2000000
#define COROS_MAX 1000

static weft_home home;
static weft_coro coros[COROS_MAX];

static void leave_for_ever(void *arg)
{
    weft_coro *co = arg;
    weft_coro_arrived(&home);
    for (;;)
        weft_coro_leave(&home, co);
}

static double enter_each(int coro_count, int rounds)
{
    double start = measure_now();
    for (int i = 0; i < rounds; i++)
        for (int j = 0; j < coro_count; j++)
            weft_coro_enter(&home, &coros[j]);
    return measure_now() - start;
}

int main(void)
{
    static weft_stacks stacks;
    weft_stacks_init(&stacks);
    weft_home_init(&home);
    for (int i = 0; i < COROS_MAX; i++) {
        weft_stack *stack = weft_stack_take(&stacks, 0);
        if (!stack)
            return 1;
        weft_coro_init(&coros[i], stack, stack->top, leave_for_ever, &coros[i]);
    }
    double one[MEASURE_REPEATS], thousand[MEASURE_REPEATS];
    enter_each(COROS_MAX, 1);
    for (int i = 0; i < MEASURE_REPEATS; i++) {
        one[i] = enter_each(1, SWITCHES / 2) / SWITCHES;
        thousand[i] = enter_each(COROS_MAX, SWITCHES / 2 / COROS_MAX) / (SWITCHES / 2);
    }
    measure_report("switch", one);
    measure_report("resume_1000", thousand);
    for (int i = 0; i < COROS_MAX; i++) /* they are never entered again */
        weft_stack_give(&stacks, coros[i].stack);
    weft_stacks_close(&stacks);
    return 0;
}
