/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* A million numbers in an array, and from a generator: what each takes in memory, measured. */
#include <weft.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { COUNT = 1000000 };

/* The memory of this process that is really there, in bytes. */
static long resident(void)
{
    long all = 0, present = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld %ld", &all, &present) != 2)
        abort();
    fclose(file);
    return present * sysconf(_SC_PAGESIZE);
}

static int numbers(weft_generator *g, void *unused)
{
    (void)unused;
    for (long i = 0; i < COUNT; i++)
        WEFT_TRY(weft_generator_yield(g, &i));
    return 0;
}

static int compare(void *unused)
{
    (void)unused;
    long before = resident(), sum = 0, sum_of_list = 0, most = 0;
    long *list = malloc(COUNT * sizeof *list);
    if (!list)
        return -ENOMEM;
    for (long i = 0; i < COUNT; i++)
        list[i] = i;
    long size = resident() - before;
    for (long i = 0; i < COUNT; i++)
        sum_of_list += list[i];
    free(list);

    weft_generator *g = weft_generator_new(long, numbers, NULL);
    WEFT_FOR_EACH (long, n, g) {
        sum += n;
        if (n == COUNT / 2)
            most = (long)weft_generator_memory(g);
    }
    printf("a list of %d numbers: %ld bytes\n", COUNT, size);
    printf("a generator of them: %ld bytes\n", most);
    printf("the same sum: %s\n", sum == sum_of_list ? "yes" : "no");
    printf("500 times less, at least: %s\n", most > 0 && size / most >= 500 ? "yes" : "no");
    return 0;
}

int main(void)
{
    return weft_run(compare, NULL) < 0;
}
