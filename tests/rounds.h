/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * How many rounds of a test with random input are run: all, or at most WEFT_TEST_ROUNDS where the environment has that. Under
 * Valgrind, which takes fifty times as long for each, it is 1,000; the sanitizers run all of them.
 */
#ifndef WEFT_TESTS_ROUNDS_H
#define WEFT_TESTS_ROUNDS_H

#include <stdlib.h>

static inline int rounds(int all)
{
    const char *text = getenv("WEFT_TEST_ROUNDS");
    int most = text ? (int)strtol(text, NULL, 10) : 0;
    return most > 0 && most < all ? most : all;
}

#endif
