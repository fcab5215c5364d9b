/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* What the tests of generators share: bodies, and a trace of what they do. */
#ifndef WEFT_TESTS_GENERATORS_H
#define WEFT_TESTS_GENERATORS_H

#include <weft/generator.h>

#include "tests/core/core.h"

/* What bodies note as they go. */
static char trace[256];

static inline void note(const char *word)
{
    size_t size = strlen(trace);
    snprintf(trace + size, sizeof trace - size, "%s ", word);
}

static inline bool traced(const char *words)
{
    bool same = strcmp(trace, words) == 0;
    if (!same)
        printf("# trace: %s\n", trace);
    trace[0] = '\0';
    return same;
}

static inline void note_arg(void *arg)
{
    note(arg);
}

/* 1 to *arg. */
static inline int count(weft_generator *g, void *arg)
{
    note("begin");
    for (int i = 1; i <= *(int *)arg; i++)
        WEFT_TRY(weft_generator_yield(g, &i));
    note("end");
    return 0;
}

static inline weft_generator *counting(int n)
{
    return weft_generator_new_copy(int, count, &n);
}

/* Hands out numbers until it is closed, and then cleans up, in a second. Ends with *arg, or with the reason. */
static inline int with_clean_up(weft_generator *g, void *arg)
{
    int i = 0, rc;
    WEFT_TRY(weft_defer(note_arg, (void *)(uintptr_t) "deferred-1"));
    WEFT_TRY(weft_defer(note_arg, (void *)(uintptr_t) "deferred-2"));
    do {
        i++;
        rc = weft_generator_yield(g, &i);
    } while (rc == 0);
    WEFT_CHECK(rc == WEFT_ECANCELED);
    WEFT_CHECK(weft_generator_yield(g, &i) == WEFT_ECANCELED); /* and it stays */
    WEFT_CHECK(weft_sleep(WEFT_SECOND) == 0);                  /* clean-up may wait */
    note("clean-up");
    return *(int *)arg ? *(int *)arg : rc;
}

/* 1 to *arg, each after 10 ms. */
static inline int count_slowly(weft_generator *g, void *arg)
{
    for (int i = 1; i <= *(int *)arg; i++) {
        WEFT_TRY(weft_sleep(10 * MS));
        WEFT_TRY(weft_generator_yield(g, &i));
    }
    return 0;
}

/* A task that takes one value. */
struct consumer {
    weft_generator *g;
    int rc, value;
};

static inline int consume_one(void *arg)
{
    struct consumer *c = arg;
    c->rc = weft_generator_next(c->g, &c->value);
    return 0;
}

/* A sink that keeps the latest line, in 300 bytes. */
static inline void keep_line(void *context, enum weft_log_level level, const char *line, size_t size)
{
    (void)level;
    snprintf(context, 300, "%.*s", (int)size, line);
}

#endif
