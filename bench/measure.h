/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * How the programs of the bench measure and report: "name best median" lines, which runtime_table.py makes a table of.
 *
 * Time is the processor time of the process, with what the system does for it: nothing that is measured sleeps, and a busy
 * machine must not count. (What it takes away besides, of caches and of a shared core, still does.)
 */
#ifndef WEFT_BENCH_MEASURE_H
#define WEFT_BENCH_MEASURE_H

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MEASURE_REPEATS 11

static inline double measure_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static inline int measure_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts the figures of MEASURE_REPEATS repetitions and prints the best and the median. */
static inline void measure_report(const char *name, double *figures)
{
    qsort(figures, MEASURE_REPEATS, sizeof *figures, measure_compare);
    printf("%s %.1f %.1f\n", name, figures[0], figures[MEASURE_REPEATS / 2]);
    fflush(stdout);
}

#endif
