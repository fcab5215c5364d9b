/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* A small generator (splitmix64) for shuffling and jitter; for nothing that must be secret. */
#ifndef WEFT_LIB_BASE_RANDOM_H
#define WEFT_LIB_BASE_RANDOM_H

#include <stdint.h>

static inline uint64_t weft_random_next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* A number from 0 to bound - 1; bound must not be 0. */
static inline uint64_t weft_random_below(uint64_t *state, uint64_t bound)
{
    return weft_random_next(state) % bound;
}

#endif
