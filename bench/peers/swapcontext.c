/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * A peer of bench/runtime: what the C library's own contexts cost. It prints "name best median" lines, in nanoseconds.
 *
 *     switch      from one context to another
 *     yield_2     out to a scheduler and into the next of two tasks: two switches
 *     yield_1000  the same with a thousand
 */
#include <stdlib.h>
#include <ucontext.h>

#include "bench/measure.h"

#define SWITCHES   400000
#define TASKS_MAX  1000
#define STACK_SIZE 65536

static ucontext_t scheduler, tasks[TASKS_MAX];
static int current;

static void body(void)
{
    for (;;)
        swapcontext(&tasks[current], &scheduler);
}

static double run(int task_count, int rounds)
{
    double start = measure_now();
    for (int i = 0; i < rounds; i++)
        for (current = 0; current < task_count; current++)
            swapcontext(&scheduler, &tasks[current]);
    return measure_now() - start;
}

int main(void)
{
    char *stacks = malloc((size_t)TASKS_MAX * STACK_SIZE);
    if (!stacks)
        return 1;
    for (size_t i = 0; i < TASKS_MAX; i++) {
        getcontext(&tasks[i]);
        tasks[i].uc_stack.ss_sp = stacks + i * STACK_SIZE;
        tasks[i].uc_stack.ss_size = STACK_SIZE;
        tasks[i].uc_link = NULL;
        makecontext(&tasks[i], body, 0);
    }
    double one[MEASURE_REPEATS], two[MEASURE_REPEATS], thousand[MEASURE_REPEATS];
    run(TASKS_MAX, 1);
    for (int i = 0; i < MEASURE_REPEATS; i++) {
        two[i] = run(2, SWITCHES / 4) / (SWITCHES / 2);
        one[i] = two[i] / 2;
        thousand[i] = run(TASKS_MAX, SWITCHES / 2 / TASKS_MAX) / (SWITCHES / 2);
    }
    measure_report("switch", one);
    measure_report("yield_2", two);
    measure_report("yield_1000", thousand);
    free(stacks);
    return 0;
}
