/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Many items over a few tasks: a group of them, and a counter from which each takes its next item. */
#include <weft/concurrent.h>

#include <string.h>

#include "lib/task/task.h"

enum { LIMIT = 10 };

struct items {
    size_t next, count;
    weft_concurrent_fn *fn;
    void *arg;
};

static int take_items(void *arg)
{
    struct items *items = arg;
    while (items->next < items->count) {
        int rc = items->fn(items->next++, items->arg);
        if (rc >= 0)
            rc = weft_yield(); /* also those that never wait let others run, and see that they are to stop */
        if (rc < 0)
            return rc;
    }
    return 0;
}

int weft_concurrent_for_(const char *name, const char *file, int line, size_t count, weft_concurrent_fn *fn, void *arg,
                         const weft_concurrent_options *given)
{
    weft_concurrent_options options = { 0 };
    memcpy(&options, given, given->struct_size < sizeof options ? given->struct_size : sizeof options);
    int rc = weft_wait_check("concurrent for");
    if (rc < 0)
        return rc;
    size_t limit = options.limit ? options.limit : LIMIT;
    struct items items = { .count = count, .fn = fn, .arg = arg };
    weft_group g = { .stack_size = options.stack_size };
    weft_group_open(&g);
    for (size_t i = 0; i < limit && i < count && rc == 0; i++)
        rc = weft_go_(&g, name, file, line, take_items, &items, 0);
    return weft_group_join(&g);
}
