/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * From seconds to a calendar date without the C library: strftime obeys the locale, and gmtime_r takes the time zone's lock.
 * Years are counted from March, so that the leap day is a year's last, in eras of 400 years, which are all alike.
 */
#include "lib/http/date.h"

#include <string.h>

#define DAY                    INT64_C(86400)
#define ERA_DAYS               146097                  /* days in 400 years */
#define DAYS_TO_1970           719468                  /* from 0000-03-01 */
#define FIRST_SECOND           (-INT64_C(62135596800)) /* 0001-01-01 00:00:00 */
#define LAST_SECOND            INT64_C(253402300799)   /* 9999-12-31 23:59:59 */
#define MARCH_TO_MONTH_DAYS(m) ((153 * (m) + 2) / 5)   /* days before the m-th month from March */

static void put2(char *at, unsigned number)
{
    at[0] = (char)('0' + number / 10);
    at[1] = (char)('0' + number % 10);
}

void weft_http_date_format(int64_t seconds, char text[WEFT_HTTP_DATE_SIZE + 1])
{
    seconds = seconds < FIRST_SECOND ? FIRST_SECOND : seconds > LAST_SECOND ? LAST_SECOND : seconds;
    int64_t days = seconds / DAY;
    if (seconds % DAY < 0)
        days--;
    unsigned of_day = (unsigned)(seconds - days * DAY);

    unsigned since = (unsigned)(days + DAYS_TO_1970); /* not negative from the year 1 on */
    unsigned era = since / ERA_DAYS;
    unsigned of_era = since % ERA_DAYS;
    unsigned year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / (ERA_DAYS - 1)) / 365;
    unsigned of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned month = (5 * of_year + 2) / 153; /* 0 is March */
    unsigned day = of_year - MARCH_TO_MONTH_DAYS(month) + 1;
    unsigned year = era * 400 + year_of_era + (month >= 10);

    memcpy(text, "Sun, 00 Jan 0000 00:00:00 GMT", WEFT_HTTP_DATE_SIZE + 1);
    memcpy(text, &"WedThuFriSatSunMonTue"[since % 7 * 3], 3); /* 0000-03-01 was a Wednesday */
    put2(text + 5, day);
    memcpy(text + 8, &"MarAprMayJunJulAugSepOctNovDecJanFeb"[month * 3], 3);
    put2(text + 12, year / 100);
    put2(text + 14, year % 100);
    put2(text + 17, of_day / 3600);
    put2(text + 20, of_day / 60 % 60);
    put2(text + 23, of_day % 60);
}
