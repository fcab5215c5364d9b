/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* A pipeline without a body: the squares of a million numbers, those that end in 6, the first ten; lazily. */
#include <weft.h>
#include <stdio.h>

WEFT_MAP_FN(square, long, long, n, (n * n))
WEFT_FILTER_FN(ends_in_6, long, n, n % 10 == 6)

static int consume(void *unused)
{
    (void)unused;
    int rc = 0;
    weft_generator *squares = weft_generator_map(long, weft_generator_range(0, 1000000, 1), square, NULL);
    weft_generator *first_ten = weft_generator_take(weft_generator_filter(squares, ends_in_6, NULL), 10);
    printf("%zu bytes in all\n", weft_generator_memory(first_ten));
    WEFT_FOR_EACH (long, n, first_ten, .result = &rc)
        printf("%ld\n", n);
    return rc;
}

int main(void)
{
    return weft_run(consume, NULL) < 0;
}
