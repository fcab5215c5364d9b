/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Where all memory comes from: the C heap and anonymous mappings, with a place to make the n-th request fail.
 *
 * A thread may set a fault plan; each request of that thread counts, and the chosen one returns NULL. Without a plan the
 * cost is one thread-local load.
 */
#ifndef WEFT_LIB_BASE_MEMORY_H
#define WEFT_LIB_BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct weft_faults {
    uint64_t count;   /* requests so far */
    uint64_t fail_at; /* this one fails, from 1; 0 for none */
    bool fail_after;  /* and every later one */
    bool struck;
} weft_faults;

/* The fault plan of this thread (borrowed); NULL for none. Returns the former one. */
weft_faults *weft_mem_set_faults(weft_faults *faults);

void *weft_mem_alloc(size_t size);
void *weft_mem_calloc(size_t count, size_t size);
void *weft_mem_realloc(void *p, size_t size);
void weft_mem_free(void *p);

/* Anonymous, private, NORESERVE memory without huge pages; `size` a multiple of the page. NULL when out. */
void *weft_mem_map(size_t size);
void weft_mem_unmap(void *p, size_t size);

/* Counts a request that is served by other means than these; true: it is the chosen one, and must be refused. */
bool weft_mem_strikes(void);

#endif
