/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* What the tests of the core share. */
#ifndef WEFT_TESTS_CORE_H
#define WEFT_TESTS_CORE_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <weft/error.h>
#include <weft/log.h>
#include <weft/loop.h>
#include <weft/queue.h>
#include <weft/scope.h>
#include <weft/task.h>
#include <weft/test.h>
#include <weft/time.h>

#define MS           WEFT_MILLISECOND
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* Entries of a test program's list: a task in virtual time, or a function that makes its own loops. */
#define TEST(function)                                                                                                         \
    {                                                                                                                          \
        .name = #function, .body = function                                                                                    \
    }
#define PLAIN(function)                                                                                                        \
    {                                                                                                                          \
        .name = #function, .plain = function                                                                                   \
    }

#define TEST_MAIN(tests)                                                                                                       \
    int main(int argc, char **argv)                                                                                            \
    {                                                                                                                          \
        return weft_test_main(tests, COUNT(tests), argc, argv);                                                                \
    }

/* Tasks that many tests start. */
static inline int succeed(void *arg)
{
    (void)arg;
    return 0;
}

static inline int sleep_long(void *arg)
{
    (void)arg;
    return weft_sleep(WEFT_HOUR);
}

/* Sleeps 10 ms, then ends with *arg. */
static inline int end_with(void *arg)
{
    int rc = weft_sleep(10 * MS);
    return rc < 0 ? rc : *(int *)arg;
}

static inline int cancel_scope(void *arg)
{
    weft_cancel(arg);
    return 0;
}

/* Cancels the scope after 10 ms. */
static inline int cancel_scope_later(void *arg)
{
    int rc = weft_sleep(10 * MS);
    weft_cancel(arg);
    return rc;
}

static inline int cancel_group(void *arg)
{
    weft_group_cancel(arg);
    return 0;
}

#endif
