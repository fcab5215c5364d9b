/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Tasks one by one: await, cancel, deferred calls, names, the result of a run, the report of tasks. */
#include "tests/core/core.h"

/* ---- await ---- */

static int sleep_and_answer(void *arg)
{
    int rc = weft_sleep(10 * MS);
    return rc < 0 ? rc : *(int *)arg;
}

static int await_before_and_after_the_end(void)
{
    int one = 1, two = 2;
    weft_task *a, *b;
    WEFT_TRY(weft_spawn(&a, sleep_and_answer, &one));
    WEFT_TRY(weft_spawn(&b, sleep_and_answer, &two));
    WEFT_CHECK(weft_await(b) == 2 && weft_now() == 10 * MS);
    WEFT_CHECK(weft_await(a) == 1 && weft_now() == 10 * MS);
    return 0;
}

struct awaiting {
    weft_task *task;
    int rc;
};

static int await_it(void *arg)
{
    struct awaiting *a = arg;
    a->rc = weft_await(a->task);
    return 0;
}

static int await_by_two(void)
{
    struct awaiting first = { 0 };
    int answer = 3;
    WEFT_GROUP (g) {
        WEFT_TRY(weft_spawn(&first.task, sleep_and_answer, &answer));
        weft_go(&g, await_it, &first);
        WEFT_TRY(weft_sleep(1 * MS));
        WEFT_CHECK(weft_await(first.task) == -EALREADY);
    }
    WEFT_CHECK(first.rc == 3);
    return g.result;
}

/* The wait is for the task's result; that the same end makes the group fail, and cuts later waits short, comes second. */
static int await_returns_the_error_that_fails_the_group(void)
{
    int error = -EIO;
    struct awaiting sibling = { 0 };
    weft_task *task;
    WEFT_GROUP (g) {
        WEFT_TRY(weft_spawn(&task, sleep_and_answer, &error));
        WEFT_CHECK(weft_await(task) == -EIO);
        WEFT_CHECK(weft_yield() == WEFT_ECANCELED);
    }
    WEFT_CHECK(g.result == -EIO);
    WEFT_GROUP (h) {
        WEFT_TRY(weft_spawn(&sibling.task, sleep_and_answer, &error));
        weft_go(&h, await_it, &sibling);
    }
    WEFT_CHECK(h.result == -EIO && sibling.rc == -EIO);
    return 0;
}

static int unawaited_handles_are_given_back(void)
{
    int answer = 3;
    weft_task *task;
    for (int i = 0; i < 100; i++) {
        WEFT_GROUP (g) {
            for (int k = 0; k < 10; k++)
                WEFT_TRY(weft_spawn(&task, sleep_and_answer, &answer));
            WEFT_CHECK(weft_await(task) == 3);
        }
        WEFT_TRY(g.result);
    }
    return 0;
}

/* ---- weft_task_cancel ---- */

static int wait_for_gate(void *arg)
{
    int item;
    return weft_queue_get((weft_queue *)arg, &item);
}

static int cancelling_a_task_is_no_error_of_its_group(void)
{
    weft_queue *gate = weft_queue_new(sizeof(int), 1);
    weft_task *task;
    WEFT_GROUP (g) {
        WEFT_TRY(weft_spawn(&task, wait_for_gate, gate));
        WEFT_TRY(weft_yield());
        weft_task_cancel(task);
        weft_task_cancel(task);
        WEFT_CHECK(weft_await(task) == WEFT_ECANCELED);
        WEFT_CHECK(weft_yield() == 0);
    }
    WEFT_CHECK(g.result == 0);
    WEFT_GROUP (h) {
        WEFT_TRY(weft_spawn(&task, wait_for_gate, gate));
        weft_task_cancel(task); /* before it has run */
        WEFT_CHECK(weft_sleep(1 * MS) == 0);
        weft_task_cancel(task); /* after its end */
        WEFT_CHECK(weft_await(task) == WEFT_ECANCELED);
    }
    weft_queue_free(gate);
    return h.result;
}

static int open_group_and_wait(void *arg)
{
    int rc;
    WEFT_GROUP (g) {
        weft_go(&g, sleep_long, NULL);
        rc = weft_sleep(WEFT_HOUR);
    }
    *(int *)arg = g.result;
    return rc;
}

static int cancelling_a_task_cancels_its_groups(void)
{
    int result = 0;
    weft_task *task;
    WEFT_TRY(weft_spawn(&task, open_group_and_wait, &result));
    WEFT_TRY(weft_sleep(1 * MS));
    weft_task_cancel(task);
    WEFT_CHECK(weft_await(task) == WEFT_ECANCELED && result == WEFT_ECANCELED && weft_now() == 1 * MS);
    return 0;
}

/* ---- deferred calls ---- */

struct journal {
    int count, order[8];
    int rc[8];
};

struct entry {
    struct journal *journal;
    int number;
};

static void write_entry(void *arg)
{
    struct entry *e = arg;
    e->journal->rc[e->journal->count] = weft_sleep(10 * MS);
    e->journal->order[e->journal->count++] = e->number;
}

static void defer_one_more(void *arg)
{
    WEFT_CHECK(weft_defer(write_entry, arg) == 0);
}

static int defer_three(void *arg)
{
    struct entry *e = arg;
    WEFT_TRY(weft_defer(write_entry, &e[0]));
    WEFT_TRY(weft_defer(defer_one_more, &e[1]));
    WEFT_TRY(weft_defer(write_entry, &e[2]));
    return weft_sleep(WEFT_HOUR);
}

static int deferred_calls_run_latest_first_under_a_shield(void)
{
    struct journal j = { 0 };
    struct entry e[3] = { { &j, 0 }, { &j, 1 }, { &j, 2 } };
    WEFT_GROUP (g, .timeout = 20 * MS, .keep_ended = true) {
        weft_ended ended;
        weft_go(&g, defer_three, e);
        WEFT_CHECK(weft_group_next(&g, &ended) == 1 && ended.result == WEFT_EDEADLINE);
        WEFT_CHECK(weft_now() == 50 * MS); /* it has ended once they have run */
    }
    WEFT_CHECK(j.count == 3 && j.order[0] == 2 && j.order[1] == 1 && j.order[2] == 0);
    WEFT_CHECK(j.rc[0] == 0 && j.rc[1] == 0 && j.rc[2] == 0);
    return 0;
}

static void clean_up_too_long(void *arg)
{
    *(int *)arg = weft_sleep(WEFT_HOUR);
}

static int defer_long(void *arg)
{
    WEFT_TRY(weft_defer(clean_up_too_long, &((int *)arg)[0]));
    WEFT_TRY(weft_defer(clean_up_too_long, &((int *)arg)[1]));
    return -EIO;
}

static int the_shield_of_deferred_calls_expires(void)
{
    int rc[2] = { 0 };
    WEFT_GROUP (g) {
        weft_go(&g, defer_long, rc);
    }
    WEFT_CHECK(rc[0] == WEFT_EDEADLINE && rc[1] == WEFT_EDEADLINE && weft_now() == 2 * WEFT_CLEANUP_TIME);
    WEFT_CHECK(g.result == -EIO);
    return 0;
}

/* ---- names, places, reports ---- */

static int named(void *arg)
{
    *(const char **)arg = weft_task_name(weft_task_self());
    return 0;
}

static int tasks_have_names(void)
{
    const char *name = NULL;
    WEFT_GROUP (g) {
        weft_go(&g, named, &name);
    }
    WEFT_CHECK(name && strcmp(name, "named") == 0);
    WEFT_CHECK(strcmp(weft_task_name(weft_task_self()), "test") == 0);
    return g.result;
}

static int no_task_outside(void)
{
    WEFT_CHECK(weft_task_self() == NULL && weft_task_name(NULL) == NULL && weft_loop_here() == NULL);
    weft_duration a = weft_now();
    WEFT_CHECK(a > 0 && weft_now() >= a);
    return 0;
}

static int print_shows_every_task(void)
{
    char text[4096] = "";
    weft_queue *gate = weft_queue_new(sizeof(int), 1);
    WEFT_GROUP (g) {
        weft_go(&g, wait_for_gate, gate);
        weft_go(&g, sleep_long, NULL);
        WEFT_TRY(weft_sleep(1500 * MS));
        weft_go(&g, succeed, NULL);
        FILE *out = fmemopen(text, sizeof text, "w");
        weft_tasks_print(out);
        fclose(out);
        weft_group_cancel(&g);
    }
    WEFT_CHECK(strstr(text, "running  test"));
    WEFT_CHECK(strstr(text, "parked   wait_for_gate, 1.500 s old") && strstr(text, "waits for: queue get"));
    WEFT_CHECK(strstr(text, "parked   sleep_long") && strstr(text, "waits for: sleep"));
    WEFT_CHECK(strstr(text, "ready    succeed, 0.000 s old") && strstr(text, "test_tasks.c:"));
    weft_queue_free(gate);
    return g.result;
}

/* ---- the result of a run ---- */

static int answer(void *arg)
{
    return *(int *)arg;
}

static int spawn_a_failure(void *arg)
{
    weft_task *task;
    WEFT_TRY(weft_spawn(&task, sleep_and_answer, arg));
    return 5;
}

static int run_returns_the_answer_or_the_first_error(void)
{
    int seven = 7, error = -EIO, reason = WEFT_EDEADLINE;
    WEFT_CHECK(weft_run(answer, &seven) == 7);
    WEFT_CHECK(weft_run(answer, &error) == -EIO);
    WEFT_CHECK(weft_run(answer, &reason) == WEFT_EDEADLINE);
    WEFT_CHECK(weft_run(spawn_a_failure, &seven) == 5);
    WEFT_CHECK(weft_run(spawn_a_failure, &error) == -EIO); /* it waits for what was spawned */
    return 0;
}

static const weft_test tests[] = {
    TEST(await_before_and_after_the_end),
    TEST(await_by_two),
    TEST(await_returns_the_error_that_fails_the_group),
    TEST(unawaited_handles_are_given_back),
    TEST(cancelling_a_task_is_no_error_of_its_group),
    TEST(cancelling_a_task_cancels_its_groups),
    TEST(deferred_calls_run_latest_first_under_a_shield),
    TEST(the_shield_of_deferred_calls_expires),
    TEST(tasks_have_names),
    PLAIN(no_task_outside),
    TEST(print_shows_every_task),
    PLAIN(run_returns_the_answer_or_the_first_error),
};

TEST_MAIN(tests)
