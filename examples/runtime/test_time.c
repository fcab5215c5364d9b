/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Tests of code that waits, in virtual time. */
#include <weft/test.h>

/* What is tested: tries up to `tries` times, with pauses that double. */
static int retry(int tries, int (*attempt)(void *arg), void *arg)
{
    weft_duration pause = WEFT_SECOND;
    for (;;) {
        int rc = attempt(arg);
        if (rc >= 0 || --tries == 0 || weft_cancelled())
            return rc;
        WEFT_TRY(weft_sleep(pause));
        pause *= 2;
    }
}

static int refuse(void *arg)
{
    int *attempts = arg;
    ++*attempts;
    return WEFT_ECLOSED;
}

static int it_gives_up_after_seven_seconds(void)
{
    int attempts = 0;
    weft_duration start = weft_now();
    WEFT_CHECK(retry(4, refuse, &attempts) == WEFT_ECLOSED);
    WEFT_CHECK(attempts == 4);
    WEFT_CHECK(weft_now() - start == 7 * WEFT_SECOND); /* exactly, and at once */
    return 0;
}

static int it_stops_when_it_is_cut_short(void)
{
    int attempts = 0, rc = 0;
    WEFT_TIMEOUT (limit, WEFT_HOUR) {
        rc = retry(1000, refuse, &attempts);
    }
    WEFT_CHECK(rc == WEFT_EDEADLINE);
    WEFT_CHECK(limit.expired);
    WEFT_CHECK(attempts == 12); /* after 0, 1, 3, 7 ... 2047 seconds */
    return 0;
}

int main(int argc, char **argv)
{
    static const weft_test tests[] = {
        { .name = "retry gives up after seven seconds", .body = it_gives_up_after_seven_seconds },
        { .name = "retry stops when it is cut short", .body = it_stops_when_it_is_cut_short, .seed = 42 },
    };
    return weft_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
