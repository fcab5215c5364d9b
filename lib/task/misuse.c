/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Misuse of the API: one line that says what, in which task, and where that was started. */
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "lib/task/task.h"

static void format(char *line, size_t size, const char *words, va_list args)
{
    int n = vsnprintf(line, size, words, args);
    const weft_task *t = weft_task_self();
    if (t && n > 0 && (size_t)n < size)
        snprintf(line + n, size - (size_t)n, ", in task %s started at %s:%d", t->name, t->file, t->line);
}

void weft_misuse(const char *words, ...)
{
    char line[300];
    va_list args;
    va_start(args, words);
    format(line, sizeof line, words, args);
    va_end(args);
#ifdef WEFT_DEBUG
    weft_die("misuse: %s", line);
#else
    weft_log(WEFT_LOG_ERROR, "misuse: %s", line);
#endif
}

void weft_misuse_die(const char *words, ...)
{
    char line[300];
    va_list args;
    va_start(args, words);
    format(line, sizeof line, words, args);
    va_end(args);
    weft_die("misuse: %s", line);
}
