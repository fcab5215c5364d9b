/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Records are made on the loop's stack, in one buffer there, and written with one call. */
#include <weft/log.h>

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/task/task.h"

enum { LINE_MAX_SIZE = 1000 };

static const char *const level_names[] = { "error", "warning", "info", "debug" };

struct record {
    enum weft_log_level level;
    const char *format;
    va_list *args;
};

/* Control bytes as \xNN, so that nobody forges a line. */
static size_t escape(char *out, size_t size, const char *in)
{
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;
    for (; *in && n + 5 < size; in++) {
        unsigned char c = (unsigned char)*in;
        if (c >= 0x20 && c != 0x7f) {
            out[n++] = (char)c;
            continue;
        }
        out[n++] = '\\';
        out[n++] = 'x';
        out[n++] = hex[c >> 4];
        out[n++] = hex[c & 15];
    }
    out[n] = '\0';
    return n;
}

static size_t stamp(char *out, size_t size)
{
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t n = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &utc);
    return n + (size_t)snprintf(out + n, size - n, ".%03dZ", (int)(now.tv_nsec / 1000000));
}

static void write_record(void *arg)
{
    struct record *r = arg;
    weft_loop *loop = weft_here;
    char words[LINE_MAX_SIZE], line[LINE_MAX_SIZE + 200];
    const char *task = loop && loop->current ? loop->current->name : NULL;
    vsnprintf(words, sizeof words, r->format, *r->args);
    size_t n = stamp(line, sizeof line);
    n += (size_t)snprintf(line + n, 100, " %-7s %s%.60s%s", level_names[r->level], task ? "[" : "", task ? task : "",
                          task ? "] " : "");
    n += escape(line + n, sizeof line - n - 1, words);
    if (loop && loop->log_sink) {
        loop->log_sink(loop->log_context, r->level, line, n);
        return;
    }
    line[n++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, n); /* nobody to tell if it fails */
    (void)written;
}

void weft_log(enum weft_log_level level, const char *format, ...)
{
    enum weft_log_level least = weft_here ? weft_here->log_level : WEFT_LOG_INFO;
    if (level > least)
        return;
    int kept_errno = errno;
    va_list args;
    va_start(args, format);
    struct record record = { level, format, &args };
    weft_on_loop_stack(write_record, &record);
    va_end(args);
    errno = kept_errno;
}

void weft_log_set_level(enum weft_log_level level)
{
    if (weft_here)
        weft_here->log_level = level;
}

void weft_log_set_sink(weft_log_sink *sink, void *context)
{
    if (!weft_here)
        return;
    weft_here->log_sink = sink;
    weft_here->log_context = context;
}
