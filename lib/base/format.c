/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
#include "lib/base/format.h"

#include <stdio.h>
#include <string.h>

size_t weft_format_number(char *out, uint64_t n)
{
    size_t size = 1;
    for (uint64_t rest = n; rest >= 10; rest /= 10)
        size++;
    for (size_t at = size; at-- > 0; n /= 10)
        out[at] = (char)('0' + n % 10);
    return size;
}

struct sink {
    char *out;
    size_t room, size;
};

static void put(struct sink *sink, const char *text, size_t size)
{
    if (sink->size < sink->room) {
        size_t left = sink->room - sink->size;
        memcpy(sink->out + sink->size, text, size < left ? size : left);
    }
    sink->size += size;
}

static void put_number(struct sink *sink, uint64_t n, int is_negative)
{
    char digits[21] = "-";
    size_t size = weft_format_number(digits + 1, n);
    put(sink, is_negative ? digits : digits + 1, is_negative ? size + 1 : size);
}

/* The size of the whole text, or -1 if the format is not simple. */
static int64_t format_simply(char *out, size_t room, const char *format, va_list args)
{
    struct sink sink = { out, room, 0 };
    for (;;) {
        const char *mark = strchrnul(format, '%');
        if (mark > format)
            put(&sink, format, (size_t)(mark - format));
        if (!*mark)
            return (int64_t)sink.size;
        const char *text;
        char c;
        int n;
        switch (mark[1]) {
        case 's':
            text = va_arg(args, const char *);
            if (!text)
                text = "(null)";
            put(&sink, text, strlen(text));
            break;
        case 'd':
            n = va_arg(args, int);
            put_number(&sink, n < 0 ? (uint64_t)0 - (uint64_t)(int64_t)n : (uint64_t)n, n < 0);
            break;
        case 'u':
            put_number(&sink, va_arg(args, unsigned), 0);
            break;
        case 'c':
            c = (char)va_arg(args, int);
            put(&sink, &c, 1);
            break;
        case '%':
            put(&sink, "%", 1);
            break;
        default:
            return -1;
        }
        format = mark + 2;
    }
}

int64_t weft_format_args(char *out, size_t room, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int64_t size = format_simply(out, room, format, args);
    if (size < 0)
        size = vsnprintf(out, room, format, again);
    else if (room > 0)
        out[(size_t)size < room ? (size_t)size : room - 1] = '\0';
    va_end(again);
    return size;
}
