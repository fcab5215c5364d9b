/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Every outcome, in the order in which the tasks end. */
#include <weft.h>
#include <errno.h>
#include <stdio.h>

struct page {
    const char *name;
    int size; /* < 0: cannot be had */
    weft_duration takes;
};

static int fetch(void *arg)
{
    struct page *page = arg;
    WEFT_TRY(weft_sleep(page->takes));
    return page->size;
}

static int fetch_all(void *unused)
{
    (void)unused;
    struct page pages[] = {
        { "news", 1200, 90 * WEFT_MILLISECOND },
        { "weather", -ENOENT, 30 * WEFT_MILLISECOND },
        { "sports", 800, 60 * WEFT_MILLISECOND },
    };
    weft_ended ended;
    WEFT_GROUP (all, .on_error = WEFT_COLLECT) {
        for (int i = 0; i < 3; i++)
            weft_go(&all, fetch, &pages[i]);
        int rc;
        while ((rc = weft_group_next(&all, &ended)) > 0) {
            const struct page *page = ended.arg;
            if (ended.result < 0)
                printf("%s: %s\n", page->name, weft_strerror(ended.result));
            else
                printf("%s: %d bytes\n", page->name, ended.result);
        }
        WEFT_TRY(rc);
    }
    printf("the first error: %s\n", weft_strerror(all.result));
    return 0;
}

int main(void)
{
    return weft_run(fetch_all, NULL) < 0;
}
