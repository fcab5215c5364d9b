/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Bodies and replies of any size, in pieces. */
#include <weft.h>

#include <stdio.h>
#include <stdlib.h>

/* Counts the lines of a body of any size. */
static int count_lines(weft_request *req)
{
    char buf[4096];
    int64_t size;
    int lines = 0;
    while ((size = weft_body_read(req, buf, sizeof buf)) > 0) {
        for (int64_t i = 0; i < size; i++)
            lines += buf[i] == '\n';
    }
    WEFT_TRY((int)size);
    return weft_reply_text(req, 200, "%d lines\n", lines);
}

/* Counts down, a line every 100 ms. */
static int countdown(weft_request *req)
{
    long from = strtol(weft_param(req, "from"), NULL, 10);
    WEFT_TRY(weft_reply_stream(req, 200, "text/plain; charset=utf-8", -1));
    for (long i = from; i >= 0 && !weft_stopping(req); i--) {
        char line[32];
        WEFT_TRY(weft_write(req, line, (size_t)snprintf(line, sizeof line, "%ld\n", i)));
        WEFT_TRY(weft_sleep(100 * WEFT_MILLISECOND)); /* what was written leaves here */
    }
    return 0;
}

int main(int argc, char **argv)
{
    weft_app *app = weft_app_new();
    weft_post(app, "/lines", count_lines, .body_limit = WEFT_NO_LIMIT);
    weft_get(app, "/countdown/{from}", countdown);
    return weft_app_main(app, argc, argv);
}
