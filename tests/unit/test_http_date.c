/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
#include "tests/unit/unit.h"

#include <time.h>

#include "lib/http/date.h"

static void check_date(int64_t seconds, const char *expected)
{
    char text[WEFT_HTTP_DATE_SIZE + 1];
    memset(text, 'x', sizeof(text));
    weft_http_date_format(seconds, text);
    assert_string_equal(text, expected);
}

static void known_dates(void **state)
{
    (void)state;
    check_date(0, "Thu, 01 Jan 1970 00:00:00 GMT");
    check_date(784111777, "Sun, 06 Nov 1994 08:49:37 GMT"); /* the one of RFC 9110 */
    check_date(951782399, "Mon, 28 Feb 2000 23:59:59 GMT");
    check_date(951782400, "Tue, 29 Feb 2000 00:00:00 GMT");
    check_date(951868800, "Wed, 01 Mar 2000 00:00:00 GMT");
    check_date(1709164800, "Thu, 29 Feb 2024 00:00:00 GMT");
    check_date(1735689599, "Tue, 31 Dec 2024 23:59:59 GMT");
    check_date(2147483647, "Tue, 19 Jan 2038 03:14:07 GMT");
    check_date(2147483648, "Tue, 19 Jan 2038 03:14:08 GMT");
    check_date(4107542400, "Mon, 01 Mar 2100 00:00:00 GMT"); /* 2100 is no leap year */
}

static void before_1970(void **state)
{
    (void)state;
    check_date(-1, "Wed, 31 Dec 1969 23:59:59 GMT");
    check_date(-86400, "Wed, 31 Dec 1969 00:00:00 GMT");
    check_date(-62135596800, "Mon, 01 Jan 0001 00:00:00 GMT");
}

static void beyond_the_format(void **state)
{
    (void)state;
    check_date(253402300799, "Fri, 31 Dec 9999 23:59:59 GMT");
    check_date(253402300800, "Fri, 31 Dec 9999 23:59:59 GMT");
    check_date(INT64_MAX, "Fri, 31 Dec 9999 23:59:59 GMT");
    check_date(-62135596801, "Mon, 01 Jan 0001 00:00:00 GMT");
    check_date(INT64_MIN, "Mon, 01 Jan 0001 00:00:00 GMT");
}

/* Every 11th hour or so of four centuries, against the C library in the C locale. */
static void same_as_strftime(void **state)
{
    (void)state;
    for (int64_t seconds = -6000000000; seconds < 7000000000; seconds += 39989) {
        char expected[64];
        time_t t = (time_t)seconds;
        struct tm tm;
        assert_non_null(gmtime_r(&t, &tm));
        assert_true(strftime(expected, sizeof(expected), "%a, %d %b %Y %H:%M:%S GMT", &tm) > 0);
        check_date(seconds, expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_dates),
        cmocka_unit_test(before_1970),
        cmocka_unit_test(beyond_the_format),
        cmocka_unit_test(same_as_strftime),
    };
    return cmocka_run_group_tests_name("http date", tests, NULL, NULL);
}
