/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* One task waits for two queues, an event and a deadline at once. */
#include <weft.h>
#include <errno.h>
#include <stdio.h>

struct office {
    weft_queue *letters, *calls;
    weft_event closing;
};

static int send_letters(void *arg)
{
    struct office *office = arg;
    for (int i = 1; i <= 3; i++) {
        WEFT_TRY(weft_sleep(100 * WEFT_MILLISECOND));
        WEFT_TRY(weft_queue_put(office->letters, &i));
    }
    weft_queue_close(office->letters);
    return 0;
}

static int make_calls(void *arg)
{
    struct office *office = arg;
    double number = 555.5;
    WEFT_TRY(weft_sleep(150 * WEFT_MILLISECOND));
    WEFT_TRY(weft_queue_put(office->calls, &number));
    WEFT_TRY(weft_sleep(WEFT_SECOND));
    weft_event_set(&office->closing);
    return 0;
}

static int attend(struct office *office)
{
    int letter;
    double number;
    weft_select_case cases[] = {
        WEFT_ON_GET(office->letters, &letter),
        WEFT_ON_GET(office->calls, &number),
        WEFT_ON_EVENT(&office->closing),
        WEFT_ON_TIMEOUT(500 * WEFT_MILLISECOND),
    };
    for (;;) {
        int which = weft_select(cases, 4);
        WEFT_TRY(which);
        if (which == 0 && cases[0].result == 0) {
            printf("no more letters\n");
            cases[0].on.queue = NULL; /* or its end would be told for ever */
        } else if (which == 0) {
            printf("letter %d\n", letter);
        } else if (which == 1) {
            printf("call from %.1f\n", number);
        } else if (which == 3) {
            printf("quiet for 500 ms\n");
        } else {
            printf("closing\n");
            return 0;
        }
    }
}

static int day(void *unused)
{
    (void)unused;
    struct office office = { .letters = weft_queue_new(sizeof(int), 1), .calls = weft_queue_new(sizeof(double), 1) };
    if (!office.letters || !office.calls)
        return -ENOMEM;
    weft_event_init(&office.closing);
    WEFT_GROUP (g) {
        weft_go(&g, send_letters, &office);
        weft_go(&g, make_calls, &office);
        WEFT_TRY(attend(&office));
    }
    weft_event_close(&office.closing);
    weft_queue_free(office.letters);
    weft_queue_free(office.calls);
    return g.result;
}

int main(void)
{
    return weft_run(day, NULL) < 0;
}
