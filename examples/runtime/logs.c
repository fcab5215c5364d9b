/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Records of a log that goes to standard output. */
#include <weft.h>
#include <stdio.h>

static void to_stdout(void *context, enum weft_log_level level, const char *line, size_t size)
{
    (void)context;
    (void)level;
    printf("%.*s\n", (int)size, line);
}

static int import(void *unused)
{
    (void)unused;
    weft_log(WEFT_LOG_INFO, "read %d rows", 3);
    weft_log(WEFT_LOG_DEBUG, "nobody sees this yet");
    weft_log_set_level(WEFT_LOG_DEBUG);
    weft_log(WEFT_LOG_DEBUG, "from a peer: %s", "no\nforged line");
    return 0;
}

static int main_task(void *unused)
{
    (void)unused;
    weft_log_set_sink(to_stdout, NULL);
    WEFT_GROUP (jobs) {
        weft_go(&jobs, import, NULL);
    }
    return jobs.result;
}

int main(void)
{
    return weft_run(main_task, NULL) < 0;
}
