/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Work that computes, on one core and then on all of them: primes below a million, in a hundred slices. */
#include <weft.h>
#include <stdio.h>

enum { SLICES = 100, SLICE = 10000 };

static int count_primes(size_t slice, void *arg)
{
    int *counts = arg;
    for (long n = (long)slice * SLICE; n < (long)(slice + 1) * SLICE; n++) {
        bool is_prime = n > 1;
        for (long d = 2; is_prime && d * d <= n; d++)
            is_prime = n % d != 0;
        counts[slice] += is_prime;
    }
    return 0;
}

static int measure(int threads, double *ret_ms)
{
    int counts[SLICES] = { 0 }, sum = 0;
    weft_duration start = weft_now();
    WEFT_TRY(weft_parallel_for(SLICES, count_primes, counts, .threads = threads));
    *ret_ms = (double)(weft_now() - start) / WEFT_MILLISECOND;
    for (int i = 0; i < SLICES; i++)
        sum += counts[i];
    return sum;
}

static int compare(void *unused)
{
    (void)unused;
    double one = 0, all = 0;
    int primes = measure(1, &one), again = measure(0, &all);
    WEFT_TRY(primes);
    WEFT_TRY(again);
    printf("%d primes; again: %d\n", primes, again);
    printf("one core: %.0f ms, all cores: %.0f ms, %.1f times as fast\n", one, all, one / all);
    return 0;
}

int main(void)
{
    return weft_run(compare, NULL) < 0;
}
