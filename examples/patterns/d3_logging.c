/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Logging: levels, one line a record, the task's name in it; as text and as JSON, to a sink of one's own. */
#include <weft.h>
#include <stdio.h>

static void to_stdout(void *context, enum weft_log_level level, const char *line, size_t size)
{
    int *warnings = context;
    *warnings += level <= WEFT_LOG_WARNING;
    printf("%.*s\n", (int)size, line);
}

static int import(void *arg)
{
    const char *file = arg;
    weft_log(WEFT_LOG_DEBUG, "opens %s", file);
    weft_log(WEFT_LOG_INFO, "read 3 rows of %s", file);
    WEFT_TRY(weft_yield());
    weft_log(WEFT_LOG_WARNING, "row 2 has \"no\nname\"");
    return 0;
}

static int main_task(void *unused)
{
    (void)unused;
    int warnings = 0;
    weft_log_set_sink(to_stdout, &warnings);
    weft_log_set_level(WEFT_LOG_DEBUG);
    WEFT_GROUP (text) {
        weft_go(&text, import, "a.csv");
    }
    weft_log_set_level(WEFT_LOG_INFO);
    weft_log_set_format(WEFT_LOG_JSON);
    WEFT_GROUP (json) {
        weft_go(&json, import, "b.csv");
    }
    printf("%d warnings\n", warnings);
    return 0;
}

int main(void)
{
    return weft_run(main_task, NULL) < 0;
}
