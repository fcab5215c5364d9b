/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* What belongs to each descriptor, by its number. Zeroed memory is an empty table. */
#ifndef WEFT_LIB_BASE_FD_TABLE_H
#define WEFT_LIB_BASE_FD_TABLE_H

#include <stddef.h>

typedef struct weft_fd_table {
    void **slots; /* NULL where there is nothing */
    size_t count;
} weft_fd_table;

/* Makes room for this descriptor's slot. 0 or -ENOMEM. */
int weft_fd_table_reserve(weft_fd_table *table, int fd);

static inline void *weft_fd_table_get(const weft_fd_table *table, size_t fd)
{
    return fd < table->count ? table->slots[fd] : NULL;
}

/* Gives the table back; what its slots point to is not its own. */
void weft_fd_table_free(weft_fd_table *table);

#endif
