/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Tests in real time, for what comes from the kernel. */
#ifndef WEFT_TESTS_REAL_TIME_H
#define WEFT_TESTS_REAL_TIME_H

#include <weft/test.h>

enum { PATIENCE = 5 }; /* seconds until a test gives up */

/* Waits, in real time, until the condition holds (a last time when the patience is at an end). */
#define WAIT_UNTIL(condition)                                                                                                  \
    do {                                                                                                                       \
        weft_duration end_ = weft_now() + PATIENCE * WEFT_SECOND;                                                              \
        bool holds_;                                                                                                           \
        while (!(holds_ = (condition)) && weft_now() < end_)                                                                   \
            WEFT_CHECK(weft_sleep(WEFT_MILLISECOND) == 0);                                                                     \
        weft_check_(holds_, #condition, __FILE__, __LINE__);                                                                   \
    } while (0)

static inline int in_real_time(weft_task_fn *fn)
{
    return weft_test_run(fn, NULL, NULL, .real_time = true);
}

#endif
