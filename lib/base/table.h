/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Intrusive hash tables of names: chains, which grow and shrink with their count; an empty table owns no memory.
 *
 * Names may come from peers: they are hashed by SipHash-1-3 under a key of the table's own, so that nobody can choose names
 * that share a chain.
 */
#ifndef WEFT_LIB_BASE_TABLE_H
#define WEFT_LIB_BASE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Embedded in what is kept, before or beside its name. */
typedef struct weft_table_node {
    struct weft_table_node *next;
    uint64_t hash;
    const char *name; /* borrowed; need not end with NUL */
    size_t name_size;
} weft_table_node;

typedef struct weft_table {
    uint64_t key[2];
    weft_table_node **chains;
    size_t chain_count; /* 0 or a power of two */
    size_t count;
} weft_table;

void weft_table_init(weft_table *table, uint64_t key0, uint64_t key1);

weft_table_node *weft_table_find(const weft_table *table, const char *name, size_t name_size);

/* Adds a node whose name and name_size are set, and which is not there yet. 0, or -ENOMEM (only when the table was empty: a
 * table that cannot grow goes on with longer chains). */
int weft_table_add(weft_table *table, weft_table_node *node);

void weft_table_remove(weft_table *table, weft_table_node *node);

#endif
