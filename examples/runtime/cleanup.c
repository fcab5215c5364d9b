/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Clean-up that may wait, also when the task is cancelled. */
#include <weft.h>
#include <stdio.h>

static void say_goodbye(void *arg)
{
    const char *name = arg;
    int rc = weft_sleep(20 * WEFT_MILLISECOND); /* deferred calls run under a shield */
    printf("%s: goodbye %s\n", name, rc == 0 ? "was sent" : "was cut short");
}

static int session(void *arg)
{
    WEFT_TRY(weft_defer(say_goodbye, arg));
    int rc = weft_sleep(10 * WEFT_SECOND);
    if (rc < 0) {
        WEFT_SHIELD (saving, WEFT_SECOND) {
            int saved = weft_sleep(20 * WEFT_MILLISECOND);
            printf("%s: %s\n", (const char *)arg, saved == 0 ? "saved" : "not saved");
        }
    }
    printf("%s: ends with: %s\n", (const char *)arg, weft_strerror(rc));
    return rc;
}

static int main_task(void *unused)
{
    (void)unused;
    char name[] = "session";
    WEFT_GROUP (sessions, .timeout = 100 * WEFT_MILLISECOND) {
        weft_go(&sessions, session, name);
    }
    printf("the group: %s\n", weft_strerror(sessions.result));
    return 0;
}

int main(void)
{
    return weft_run(main_task, NULL) < 0;
}
