/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
#include "lib/base/fd_table.h"

#include <errno.h>
#include <string.h>

#include "lib/base/memory.h"

enum { COUNT_MIN = 64 };

int weft_fd_table_reserve(weft_fd_table *table, int fd)
{
    size_t count = table->count > 0 ? table->count : COUNT_MIN;
    while (count <= (size_t)fd)
        count *= 2;
    if (count == table->count)
        return 0;
    void **slots = weft_mem_realloc(table->slots, count * sizeof *slots);
    if (!slots)
        return -ENOMEM;
    memset(slots + table->count, 0, (count - table->count) * sizeof *slots);
    *table = (weft_fd_table){ .slots = slots, .count = count };
    return 0;
}

void weft_fd_table_free(weft_fd_table *table)
{
    weft_mem_free(table->slots);
    *table = (weft_fd_table){ 0 };
}
