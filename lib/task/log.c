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

static size_t stamp(char *out, size_t size)
{
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t n = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &utc);
    return n + (size_t)snprintf(out + n, size - n, ".%03dZ", (int)(now.tv_nsec / 1000000));
}

/* How many bytes at `in` are one character of UTF-8 (RFC 3629); 0: none. A NUL ends the text. */
static size_t utf8_size(const unsigned char *in)
{
    unsigned char low = 0x80, high = 0xbf; /* of the second byte: neither overlong, nor a surrogate, nor past U+10FFFF */
    size_t size = in[0] < 0x80 ? 1 : in[0] < 0xc2 ? 0 : in[0] < 0xe0 ? 2 : in[0] < 0xf0 ? 3 : in[0] < 0xf5 ? 4 : 0;
    if (in[0] == 0xe0)
        low = 0xa0;
    else if (in[0] == 0xed)
        high = 0x9f;
    else if (in[0] == 0xf0)
        low = 0x90;
    else if (in[0] == 0xf4)
        high = 0x8f;
    for (size_t i = 1; i < size; i++, low = 0x80, high = 0xbf)
        if (in[i] < low || in[i] > high)
            return 0;
    return size;
}

/* Is this character, of `length` bytes, one that a terminal may obey? C1 ones are two bytes of UTF-8. */
static bool is_control(const unsigned char *in, size_t length)
{
    return *in < 0x20 || *in == 0x7f || (length == 2 && in[0] == 0xc2 && in[1] < 0xa0);
}

/* What is no text as \xNN, so that nobody forges a line, or commands the terminal of who reads it. */
static size_t escape(char *out, size_t size, const char *text)
{
    enum { LONGEST = 8 };
    size_t n = 0;
    const unsigned char *in = (const unsigned char *)text;
    while (*in && n + LONGEST < size) {
        size_t length = utf8_size(in);
        if (length > 0 && !is_control(in, length)) {
            memcpy(out + n, in, length);
            n += length;
            in += length;
            continue;
        }
        for (size_t left = length ? length : 1; left > 0; left--)
            n += (size_t)snprintf(out + n, size - n, "\\x%02x", *in++);
    }
    out[n] = '\0';
    return n;
}

/* As a string of JSON, without its quotes; cut before the character for which there is no room. */
static size_t escape_json(char *out, size_t size, const char *text)
{
    enum { LONGEST = 6 };
    size_t n = 0;
    const unsigned char *in = (const unsigned char *)text;
    while (*in && n + LONGEST < size) {
        size_t length = utf8_size(in);
        if (length == 0)
            n += (size_t)snprintf(out + n, size - n, "\\ufffd");
        else if (is_control(in, length))
            n += (size_t)snprintf(out + n, size - n, "\\u%04x", in[length - 1]); /* of two bytes, the second is its number */
        else if (*in == '"' || *in == '\\') {
            out[n++] = '\\';
            out[n++] = (char)*in;
        } else {
            memcpy(out + n, in, length);
            n += length;
        }
        in += length ? length : 1;
    }
    out[n] = '\0';
    return n;
}

/* The record as a line, without its end. `task` may be NULL. Returns its size. */
static size_t format_text(char *line, size_t size, enum weft_log_level level, const char *task, const char *words)
{
    size_t n = stamp(line, size);
    n += (size_t)snprintf(line + n, 100, " %-7s %s%.60s%s", level_names[level], task ? "[" : "", task ? task : "",
                          task ? "] " : "");
    return n + escape(line + n, size - n, words);
}

static size_t format_json(char *line, size_t size, enum weft_log_level level, const char *task, const char *words)
{
    enum { NAME = 70 };
    size_t n = (size_t)snprintf(line, size, "{\"time\":\"");
    n += stamp(line + n, size - n);
    n += (size_t)snprintf(line + n, size - n, "\",\"level\":\"%s\"", level_names[level]);
    if (task) {
        n += (size_t)snprintf(line + n, size - n, ",\"task\":\"");
        n += escape_json(line + n, NAME, task);
        line[n++] = '"';
    }
    n += (size_t)snprintf(line + n, size - n, ",\"message\":\"");
    n += escape_json(line + n, size - n - 2, words);
    return n + (size_t)snprintf(line + n, size - n, "\"}");
}

static void write_record(void *arg)
{
    const struct record *r = arg;
    const char *format = r->format; /* read before its use, or gcc's sanitizers see a path on which it is NULL */
    weft_loop *loop = weft_here;
    char words[LINE_MAX_SIZE], line[LINE_MAX_SIZE + 200];
    const char *task = loop && loop->current ? loop->current->name : NULL;
    vsnprintf(words, sizeof words, format, *r->args);
    bool is_json = loop && loop->log_format == WEFT_LOG_JSON;
    size_t n = (is_json ? format_json : format_text)(line, sizeof line - 1, r->level, task, words);
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

void weft_log_set_format(enum weft_log_format format)
{
    if (weft_here)
        weft_here->log_format = format;
}

void weft_log_set_sink(weft_log_sink *sink, void *context)
{
    if (!weft_here)
        return;
    weft_here->log_sink = sink;
    weft_here->log_context = context;
}
