/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
#include "lib/base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void weft_die(const char *format, ...)
{
    char line[512];
    int head = snprintf(line, sizeof line, "weft: ");
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line + head, sizeof line - (size_t)head - 1, format, args);
    va_end(args);
    size_t size = (size_t)head + (n < 0 ? 0 : (size_t)n);
    if (size > sizeof line - 2)
        size = sizeof line - 2;
    line[size++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, size);
    (void)written;
    abort();
}

const char *weft_version(void)
{
    return "0.1.0";
}
