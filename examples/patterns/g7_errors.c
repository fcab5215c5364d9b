/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Errors in a generator: one that fails tells its consumer; one that handles its own error goes on. */
#include <weft.h>
#include <errno.h>
#include <stdio.h>

static int parse(const char *text, int *ret_number)
{
    if (*text < '0' || *text > '9')
        return weft_fail(-EINVAL, "\"%s\" is no digit", text);
    *ret_number = *text - '0';
    return 0;
}

static const char *const texts[] = { "1", "2", "x", "4" };

static int strict(weft_generator *g, void *unused)
{
    (void)unused;
    for (int number = 0, i = 0; i < 4; i++) {
        WEFT_TRY(parse(texts[i], &number));
        WEFT_TRY(weft_generator_yield(g, &number));
    }
    return 0;
}

static int lenient(weft_generator *g, void *unused)
{
    (void)unused;
    for (int number = 0, i = 0; i < 4; i++) {
        if (parse(texts[i], &number) < 0)
            number = -1;
        WEFT_TRY(weft_generator_yield(g, &number));
    }
    return 0;
}

static void consume(weft_generator *g)
{
    int rc;
    WEFT_FOR_EACH (int, number, g, .result = &rc)
        printf("%d\n", number);
    puts(rc < 0 ? weft_strerror(rc) : "done");
}

static int both(void *unused)
{
    (void)unused;
    consume(weft_generator_new(int, strict, NULL));
    consume(weft_generator_new(int, lenient, NULL));
    return 0;
}

int main(void)
{
    return weft_run(both, NULL) < 0;
}
