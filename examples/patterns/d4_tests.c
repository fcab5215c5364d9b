/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Tests of code that waits: bodies that wait, a time-out that is expected, an hour that takes no time. */
#include <weft.h>
#include <weft/test.h>

/* What is tested. */
static int fetch(weft_duration takes, int *ret_value)
{
    WEFT_TRY(weft_sleep(takes));
    *ret_value = 42;
    return 0;
}

static int it_brings_a_value(void)
{
    int value = 0;
    WEFT_CHECK(fetch(WEFT_SECOND, &value) == 0);
    WEFT_CHECK(value == 42);
    return 0;
}

static int it_is_cut_short_by_a_time_out(void)
{
    int value = 0, rc = 0;
    WEFT_TIMEOUT (limit, WEFT_HOUR) {
        rc = fetch(2 * WEFT_HOUR, &value);
    }
    WEFT_CHECK(rc == WEFT_EDEADLINE && limit.expired && value == 0);
    WEFT_CHECK(weft_now() == WEFT_HOUR); /* the virtual clock: it began at 0, and this took milliseconds */
    return 0;
}

static int fetch_slowly(void *value)
{
    return fetch(WEFT_MINUTE, value);
}

static int it_gives_nothing_back_when_cancelled(void)
{
    int value = 0;
    weft_task *task;
    WEFT_TRY(weft_spawn(&task, fetch_slowly, &value));
    WEFT_TRY(weft_yield());
    weft_task_cancel(task);
    WEFT_CHECK(weft_await(task) == WEFT_ECANCELED && value == 0);
    return 0;
}

int main(int argc, char **argv)
{
    static const weft_test tests[] = {
        { .name = "it brings a value", .body = it_brings_a_value },
        { .name = "it is cut short by a time-out", .body = it_is_cut_short_by_a_time_out },
        { .name = "it gives nothing back when cancelled", .body = it_gives_nothing_back_when_cancelled, .seed = 7 },
    };
    return weft_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
