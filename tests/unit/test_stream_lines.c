/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* weft_stream_line over pairs in memory: lines in every split, limits, ends, the table of waits, and torture. */
#include <weft/stream.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <weft/test.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct writing {
    weft_stream *s;
    const char *text;
    size_t size, piece;
};

/* Writes the text in pieces, each in a turn of its own, and closes. */
static int write_pieces(void *arg)
{
    const struct writing *w = arg;
    for (size_t at = 0; at < w->size; at += w->piece) {
        size_t left = w->size - at;
        WEFT_TRY(weft_stream_write(w->s, w->text + at, left < w->piece ? left : w->piece));
        WEFT_TRY(weft_yield());
    }
    return weft_stream_shutdown(w->s);
}

static int expect(weft_stream *s, const char *expected)
{
    weft_bytes line = { 0 };
    int rc = weft_stream_line(s, &line, 0);
    WEFT_CHECK(rc == 1 && line.size == strlen(expected) && strcmp(line.data, expected) == 0);
    return rc;
}

static int every_split(void)
{
    static const char text[] = "first\n\nthird \r\nbin,rest";
    for (size_t piece = 1; piece <= sizeof text; piece++) {
        weft_stream *a, *b;
        weft_bytes line;
        char buf[8];
        WEFT_TRY(weft_stream_pair(&a, &b, 0));
        struct writing w = { .s = b, .text = text, .size = sizeof text - 1, .piece = piece };
        WEFT_GROUP (g) {
            weft_go(&g, write_pieces, &w);
            WEFT_TRY(expect(a, "first"));
            WEFT_TRY(expect(a, ""));
            WEFT_TRY(expect(a, "third \r"));
            for (size_t got = 0; got < 4;) { /* reads and lines take from the same */
                int n = (int)weft_stream_read(a, buf, 4 - got);
                WEFT_CHECK(n > 0);
                WEFT_TRY(n);
                got += (size_t)n;
            }
            WEFT_TRY(expect(a, "rest"));
            WEFT_CHECK(weft_stream_line(a, &line, 0) == 0 && weft_stream_line(a, &line, 0) == 0);
        }
        weft_stream_close(a);
        weft_stream_close(b);
        WEFT_TRY(g.result);
    }
    return 0;
}

static int limits(void)
{
    weft_stream *a, *b;
    weft_bytes line;
    char many[200];
    memset(many, 'x', sizeof many);
    many[100] = '\n';
    WEFT_TRY(weft_stream_pair(&a, &b, 1024));
    WEFT_TRY(weft_stream_write(b, many, sizeof many));
    WEFT_CHECK(weft_stream_line(a, &line, 99) == -EMSGSIZE && weft_stream_line(a, &line, 99) == -EMSGSIZE);
    WEFT_CHECK(weft_stream_line(a, &line, 100) == 1 && line.size == 100);
    WEFT_CHECK(weft_stream_line(a, &line, 98) == -EMSGSIZE); /* 99 have come, and no end */
    WEFT_CHECK(weft_stream_read(a, many, sizeof many) == 99);
    weft_stream_close(a);
    weft_stream_close(b);
    return 0;
}

/* The longest line that goes, and what is longer, from a peer that sends without end. */
static int write_without_end(void *arg)
{
    static char much[4096];
    int rc = 0;
    memset(much, 'x', sizeof much);
    while (rc == 0)
        rc = weft_stream_write(arg, much, sizeof much);
    return rc == -EPIPE || rc == -ECONNRESET ? 0 : rc;
}

static int longest_line(void)
{
    enum { MOST = 64 * 1024 - 1 };
    char *text = malloc(MOST + 1);
    memset(text, 'x', MOST);
    text[MOST] = '\n';
    weft_stream *a, *b;
    weft_bytes line;
    WEFT_TRY(weft_stream_pair(&a, &b, 1000));
    struct writing w = { .s = b, .text = text, .size = MOST + 1, .piece = 1000 };
    WEFT_GROUP (g) {
        weft_go(&g, write_pieces, &w);
        WEFT_CHECK(weft_stream_line(a, &line, 1 << 30) == 1 && line.size == MOST);
    }
    weft_stream_close(a);
    weft_stream_close(b);
    free(text);
    WEFT_TRY(weft_stream_pair(&a, &b, 1000));
    WEFT_GROUP (h) {
        weft_go(&h, write_without_end, b);
        WEFT_CHECK(weft_stream_line(a, &line, 0) == -EMSGSIZE);
        weft_stream_close(a);
    }
    weft_stream_close(b);
    return h.result;
}

static int reset(void)
{
    weft_stream *a, *b;
    weft_bytes line;
    WEFT_TRY(weft_stream_pair(&a, &b, 0));
    WEFT_TRY(weft_stream_write(a, "unread", 6));
    WEFT_TRY(weft_stream_write(b, "part", 4));
    WEFT_TRY(weft_yield());
    weft_stream_close(b); /* with input unread: a reset */
    WEFT_CHECK(weft_stream_line(a, &line, 0) == -ECONNRESET);
    weft_stream_close(a);
    return 0;
}

/* ---- the table of waits ---- */

struct waiter {
    weft_stream *s;
    weft_scope *scope;
    weft_bytes line;
    int rc, next_rc;
};

static int wait_in_scope(void *arg)
{
    struct waiter *w = arg;
    WEFT_TIMEOUT (scope, WEFT_NO_LIMIT) {
        w->scope = &scope;
        w->rc = weft_stream_line(w->s, &w->line, 0);
        w->next_rc = weft_yield();
    }
    return 0;
}

static int waits(void)
{
    weft_stream *a, *b;
    WEFT_TRY(weft_stream_pair(&a, &b, 0));
    struct waiter w = { .s = a };
    WEFT_TRY(weft_stream_write(b, "one\n", 4));
    WEFT_TIMEOUT (limit, 0) { /* there before */
        WEFT_CHECK(weft_stream_line(a, &w.line, 0) == WEFT_EDEADLINE);
    }
    WEFT_TRY(expect(a, "one"));
    WEFT_GROUP (g) { /* while parked; then the line comes */
        char byte;
        weft_go(&g, wait_in_scope, &w);
        WEFT_TRY(weft_yield());
        WEFT_CHECK(weft_stream_line(a, &w.line, 0) == -EBUSY && weft_stream_read(a, &byte, 1) == -EBUSY);
        WEFT_TRY(weft_stream_write(b, "tw", 2));
        weft_cancel(w.scope);
        WEFT_TRY(weft_stream_write(b, "o\n", 2));
    }
    WEFT_CHECK(w.rc == WEFT_ECANCELED && w.next_rc == WEFT_ECANCELED);
    WEFT_TRY(expect(a, "two")); /* nothing was lost */
    WEFT_TRY(g.result);
    WEFT_TRY(weft_stream_write(b, "half", 4));
    WEFT_GROUP (h) { /* closed by another task, before and in the middle of it */
        weft_go(&h, wait_in_scope, &w);
        WEFT_TRY(weft_yield());
        WEFT_TRY(weft_stream_write(b, "more", 4));
        weft_stream_close(a);
    }
    WEFT_CHECK(w.rc == WEFT_ECLOSED);
    weft_stream_close(b);
    return h.result;
}

static int use_lines(void *arg)
{
    int *rc = arg;
    weft_stream *a, *b;
    weft_bytes line;
    *rc = weft_stream_pair(&a, &b, 16);
    if (*rc < 0)
        return 0;
    struct writing w = { .s = b, .text = "a long first line\nsecond\nlast", .size = 29, .piece = 5 };
    WEFT_GROUP (g) {
        weft_go(&g, write_pieces, &w);
        int count = 0;
        while ((*rc = weft_stream_line(a, &line, 0)) > 0)
            count++;
        WEFT_CHECK(*rc < 0 || count == 3 || g.result < 0);
        break;
    }
    weft_stream_close(a);
    weft_stream_close(b);
    return 0;
}

static int torture(void)
{
    weft_test_report report;
    int rc;
    WEFT_CHECK(weft_test_run(use_lines, &rc, &report) == 0 && rc == 0);
    uint64_t count = report.waits, allocations = report.allocations;
    for (int when = WEFT_CANCEL_BEFORE; when <= (int)WEFT_CANCEL_WOKEN; when++)
        for (uint64_t n = 1; n <= count; n++)
            /* A writer that was cancelled alone never comes to its shutdown: a deadlock, which is told. */
            WEFT_CHECK((weft_test_run(use_lines, &rc, &report, .cancel_at = n, .cancel_when = (enum weft_cancel_when)when,
                                      .quiet = true) == 0 ||
                        report.struck));
    for (uint64_t n = 1; n <= allocations; n++) {
        rc = 0;
        int run = weft_test_run(use_lines, &rc, &report, .fail_at = n, .quiet = true);
        WEFT_CHECK((run <= 0 && rc <= 0) && report.struck);
    }
    return 0;
}

static const weft_test tests[] = {
    { "every_split", every_split, 0, NULL },
    { "limits", limits, 0, NULL },
    { "longest_line", longest_line, 0, NULL },
    { "reset", reset, 0, NULL },
    { "waits", waits, 0, NULL },
    { "torture", NULL, 0, torture },
};

int main(int argc, char **argv)
{
    return weft_test_main(tests, COUNT(tests), argc, argv);
}
