/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Dates as HTTP writes them: IMF-fixdate, "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 §5.6.7), whatever the locale. */
#ifndef WEFT_LIB_HTTP_DATE_H
#define WEFT_LIB_HTTP_DATE_H

#include <weft/base.h>

#define WEFT_HTTP_DATE_SIZE ((size_t)29)

/* Writes 29 bytes and a NUL. `seconds` since 1970 in UTC, may be negative; years outside 1 to 9999, which the format cannot
 * write, become the nearest second that it can. */
void weft_http_date_format(int64_t seconds, char text[WEFT_HTTP_DATE_SIZE + 1]);

#endif
