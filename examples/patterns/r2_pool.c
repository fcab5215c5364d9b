/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* A pool of two connections for five tasks: whoever finds none waits, at most half a second; a broken one is replaced. */
#include <weft.h>
#include <errno.h>
#include <stdio.h>

struct connection {
    int number;
};

static int log_in(void *resource, void *count)
{
    struct connection *c = resource;
    WEFT_TRY(weft_sleep(5 * WEFT_MILLISECOND));
    c->number = ++*(int *)count;
    printf("connection %d: opened\n", c->number);
    return 0;
}

static void log_out(void *unused, void *count)
{
    (void)unused;
    printf("closed, of %d in all\n", *(int *)count);
}

static int query(void *arg)
{
    WEFT_POOLED (held, arg) {
        const struct connection *c = held.resource;
        WEFT_TRY(weft_sleep(20 * WEFT_MILLISECOND));
        held.is_broken = c->number == 1; /* so it is closed, and another one opened in its place */
    }
    return held.result;
}

static int run(void *unused)
{
    (void)unused;
    int count = 0;
    weft_pool *pool;
    struct connection *a, *b, *c;
    WEFT_TRY(weft_pool_open(&pool, struct connection, log_in, log_out, .arg = &count, .limit = 2,
                            .acquire_timeout = 500 * WEFT_MILLISECOND));
    WEFT_GROUP (g) {
        for (int i = 0; i < 5; i++)
            weft_go(&g, query, pool);
    }
    printf("five queries: %s\n", weft_strerror(g.result));
    WEFT_TRY(weft_pool_acquire(pool, &a));
    WEFT_TRY(weft_pool_acquire(pool, &b));
    printf("a third: %s\n", weft_strerror(weft_pool_acquire(pool, &c)));
    weft_pool_release(pool, b);
    weft_pool_release(pool, a);
    return weft_pool_close(pool);
}

int main(void)
{
    return weft_run(run, NULL) < 0;
}
