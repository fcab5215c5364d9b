/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Delegation: a generator that hands out all of another one between its own values. */
#include <weft.h>
#include <stdio.h>

static int inner(weft_generator *g, void *unused)
{
    (void)unused;
    static const char *const words[] = { "one", "two", "three" };
    for (int i = 0; i < 3; i++)
        WEFT_TRY(weft_generator_yield(g, &words[i]));
    return 0;
}

static int outer(weft_generator *g, void *unused)
{
    (void)unused;
    const char *start = "Start", *end = "End";
    WEFT_TRY(weft_generator_yield(g, &start));
    WEFT_TRY(weft_generator_yield_from(g, weft_generator_new(const char *, inner, NULL)));
    return weft_generator_yield(g, &end);
}

static int consume(void *unused)
{
    (void)unused;
    int rc = 0;
    WEFT_FOR_EACH (const char *, word, weft_generator_new(const char *, outer, NULL), .result = &rc)
        puts(word);
    return rc;
}

int main(void)
{
    return weft_run(consume, NULL) < 0;
}
