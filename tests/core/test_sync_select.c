/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Select: fair among what is ready, one case and no more, time-outs, ends of tasks, and what is left out. */
#include <weft/select.h>

#include "tests/core/child.h"
#include "tests/core/tools.h"

/* ---- what is ready ---- */

/* Four cases that are always ready: each is chosen about as often as the others. */
static int equal_chances(void)
{
    weft_queue *get = weft_queue_new(sizeof(int), 1), *put = weft_queue_new(sizeof(int), 1);
    weft_event event;
    weft_semaphore semaphore;
    int item = 1, chosen[7] = { 0 };
    weft_event_init(&event);
    weft_event_set(&event);
    weft_semaphore_init(&semaphore, 1);
    WEFT_TRY(weft_queue_try_put(get, &item));
    weft_select_case cases[] = {
        WEFT_ON_TIMEOUT(0), /* only if nothing else can happen */
        WEFT_ON_GET(get, &item),
        WEFT_ON_GET((weft_queue *)NULL, &item), /* the gaps favour nobody */
        WEFT_ON_EVENT((weft_event *)NULL),
        WEFT_ON_PUT(put, &item),
        WEFT_ON_EVENT(&event),
        WEFT_ON_PLACE(&semaphore),
    };
    enum { ROUNDS = 4000 };
    for (int i = 0; i < ROUNDS; i++) {
        int which = weft_select(cases, COUNT(cases));
        WEFT_TRY(which);
        chosen[which]++;
        WEFT_CHECK(cases[which].result == (which == 1));
        WEFT_CHECK(weft_queue_count(get) == (which != 1) && weft_queue_count(put) == (which == 4));
        WEFT_CHECK(weft_semaphore_count(&semaphore) == (which != 6));
        if (which == 1)
            WEFT_TRY(weft_queue_try_put(get, &item));
        else if (which == 4)
            WEFT_CHECK(weft_queue_try_get(put, &item) == 1);
        else if (which == 6)
            weft_semaphore_release(&semaphore);
    }
    WEFT_CHECK(chosen[0] == 0 && chosen[2] == 0 && chosen[3] == 0);
    for (int i = 1; i < 7; i++)
        WEFT_CHECK(i == 2 || i == 3 || (chosen[i] > ROUNDS / 5 && chosen[i] < ROUNDS * 3 / 10));
    weft_queue_free(get);
    weft_queue_free(put);
    weft_event_close(&event);
    weft_semaphore_close(&semaphore);
    return 0;
}

static int choose_ten_times(void *arg)
{
    char *choices = arg;
    weft_event events[3];
    weft_select_case cases[3];
    for (int i = 0; i < 3; i++) {
        weft_event_init(&events[i]);
        weft_event_set(&events[i]);
        cases[i] = (weft_select_case)WEFT_ON_EVENT(&events[i]);
    }
    for (int i = 0; i < 10; i++)
        choices[i] = (char)('0' + weft_select(cases, 3));
    return 0;
}

static int same_seed_same_choices(void)
{
    char a[11] = "", b[11] = "", c[11] = "";
    WEFT_CHECK(weft_test_run(choose_ten_times, a, NULL, .seed = 5) == 0);
    WEFT_CHECK(weft_test_run(choose_ten_times, b, NULL, .seed = 5) == 0);
    WEFT_CHECK(weft_test_run(choose_ten_times, c, NULL, .seed = 6) == 0);
    WEFT_CHECK(strcmp(a, b) == 0 && strcmp(a, c) != 0 && strchr(a, '0') && strchr(a, '1') && strchr(a, '2'));
    WEFT_CHECK(weft_test_run(choose_ten_times, a, NULL) == 0 && weft_test_run(choose_ten_times, b, NULL) == 0);
    WEFT_CHECK(strcmp(a, b) == 0); /* without a seed too */
    return 0;
}

/* ---- time ---- */

static int times_out(void)
{
    weft_queue *q = weft_queue_new(sizeof(int), 1);
    int item = 0;
    weft_select_case cases[] = { WEFT_ON_TIMEOUT(WEFT_NO_LIMIT), WEFT_ON_GET(q, &item), WEFT_ON_TIMEOUT(30 * MS),
                                 WEFT_ON_TIMEOUT(20 * MS) };
    WEFT_CHECK(weft_select(cases, 4) == 3 && cases[3].result == 0 && weft_now() == 20 * MS);
    WEFT_CHECK(weft_select(cases, 3) == 2 && weft_now() == 50 * MS);
    cases[0].timeout = 0;
    WEFT_CHECK(weft_select(cases, 4) == 0 && weft_now() == 50 * MS);
    item = 7;
    WEFT_TRY(weft_queue_try_put(q, &item));
    WEFT_CHECK(weft_select(cases, 4) == 1 && cases[1].result == 1);
    WEFT_TIMEOUT (limit, 5 * MS) {
        WEFT_CHECK(weft_select(cases + 1, 3) == WEFT_EDEADLINE && weft_select(NULL, 0) == WEFT_EDEADLINE);
    }
    WEFT_TIMEOUT (idle, 5 * MS) { /* nothing can happen at all: it waits until it is cut short */
        cases[1].on.queue = NULL;
        WEFT_CHECK(weft_select(cases + 1, 1) == WEFT_EDEADLINE && weft_now() == 60 * MS);
    }
    WEFT_TRY(weft_sleep(WEFT_SECOND)); /* over the ticks of time-outs that were withdrawn */
    weft_queue_free(q);
    return 0;
}

/* ---- closed queues, wrong sizes ---- */

static int close_queue(void *arg)
{
    weft_queue_close(arg);
    return 0;
}

static int ends_and_errors(void)
{
    weft_queue *get = weft_queue_new(sizeof(int), 1), *put = weft_queue_new(sizeof(int), 1);
    int item = 0;
    char small = 0;
    WEFT_TRY(weft_queue_try_put(put, &item));
    weft_select_case cases[] = { WEFT_ON_GET(get, &item), WEFT_ON_PUT(put, &item) };
    weft_select_case wrong[] = { WEFT_ON_GET(get, &small) };
    WEFT_CHECK(weft_select(wrong, 1) == 0 && wrong[0].result == -EINVAL);
    WEFT_GROUP (g) { /* while it waits */
        weft_go(&g, close_queue, put);
        WEFT_CHECK(weft_select(cases, 2) == 1 && cases[1].result == WEFT_ECLOSED);
        weft_go(&g, close_queue, get);
        cases[1].on.queue = NULL;
        WEFT_CHECK(weft_select(cases, 2) == 0 && cases[0].result == 0);
    }
    WEFT_CHECK(weft_select(cases, 2) == 0 && cases[0].result == 0); /* and before */
    weft_queue_free(get);
    weft_queue_free(put);
    return g.result;
}

/* ---- ends of tasks ---- */

static int fail_later(void *arg)
{
    (void)arg;
    WEFT_TRY(weft_sleep(10 * MS));
    return weft_fail(-EIO, "the disk");
}

static int await_it(void *arg)
{
    weft_task **task = arg;
    return weft_await(*task);
}

static int ends_of_tasks(void)
{
    int one = 1;
    weft_task *fast, *slow;
    WEFT_GROUP (g, .on_error = WEFT_COLLECT) {
        WEFT_TRY(weft_spawn(&fast, end_with, &one));
        WEFT_TRY(weft_spawn(&slow, sleep_long, NULL));
        weft_select_case cases[] = { WEFT_ON_END(slow), WEFT_ON_END(fast), WEFT_ON_TIMEOUT(5 * MS), WEFT_ON_END(fast) };
        WEFT_CHECK(weft_select(cases, 4) == 2);
        cases[2].timeout = WEFT_MINUTE;
        WEFT_CHECK(weft_select(cases, 4) == 1 && cases[1].result == 1 && weft_now() == 10 * MS);
        WEFT_TIMEOUT (limit, 5 * MS) {
            WEFT_CHECK(weft_select(cases, 1) == WEFT_EDEADLINE); /* the handle stays good */
        }
        weft_go(&g, await_it, &slow);
        WEFT_TRY(weft_yield());
        WEFT_CHECK(weft_select(cases, 1) == 0 && cases[0].result == -EALREADY);
        weft_task_cancel(slow);
    }
    WEFT_TRY(weft_spawn(&slow, sleep_long, NULL));
    weft_select_case cancelled[] = { WEFT_ON_TIMEOUT(WEFT_MINUTE), WEFT_ON_END(slow) };
    weft_task_cancel(slow);
    WEFT_CHECK(weft_select(cancelled, 2) == 1 && cancelled[1].result == WEFT_ECANCELED);
    return 0;
}

static int end_brings_its_trail(void)
{
    weft_task *failing = NULL;
    WEFT_GROUP (g, .on_error = WEFT_COLLECT) {
        for (int is_late = 0; is_late < 2; is_late++) {
            WEFT_TRY(weft_spawn(&failing, fail_later, NULL));
            if (is_late)
                WEFT_TRY(weft_sleep(20 * MS));
            weft_select_case cases[] = { WEFT_ON_TIMEOUT(WEFT_MINUTE), WEFT_ON_END(failing) };
            WEFT_CHECK(weft_select(cases, 2) == 1 && cases[1].result == -EIO);
            WEFT_CHECK(strstr(weft_error_trail(), "the disk") != NULL); /* the cause comes with it */
        }
    }
    WEFT_CHECK(g.result == -EIO);
    return 0;
}

/* ---- misuse ---- */

static int select_of_nothing(void *arg)
{
    (void)arg;
    weft_event event = { { NULL } };
    weft_select_case cases[] = { WEFT_ON_EVENT(&event) };
    return weft_select(cases, 1);
}

static int run_select_of_nothing(void)
{
    return weft_run(select_of_nothing, NULL);
}

static int misuse_is_reported(void)
{
    child c = child_run(run_select_of_nothing);
    WEFT_CHECK(child_was_killed_by(&c, SIGABRT) && strstr(c.error, "misuse: an event is used that is not open, in task main"));
    return 0;
}

static const weft_test tests[] = {
    TEST(equal_chances), PLAIN(same_seed_same_choices), TEST(times_out),           TEST(ends_and_errors),
    TEST(ends_of_tasks), TEST(end_brings_its_trail),    PLAIN(misuse_is_reported),
};

TEST_MAIN(tests)
