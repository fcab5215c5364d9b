/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Misuse is told in a line that names what, the task and where it was started. What cannot go on ends the program in every
 * build; the rest ends it in builds with checks, and is logged and refused in others.
 */
#include "lib/task/task.h"
#include "tests/core/child.h"
#include "tests/core/tools.h"

#ifdef WEFT_DEBUG
enum { HAS_CHECKS = 1 };
#else
enum { HAS_CHECKS = 0 };
#endif

/* Where it says the task was started; NULL: outside a task, or by the run itself. */
static void check_dies(int (*body)(void), const char *words, const char *task)
{
    child c = child_run(body);
    bool ok = child_was_killed_by(&c, SIGABRT) && strstr(c.error, "weft: misuse: ") && strstr(c.error, words) &&
              (!task || (strstr(c.error, task) && strstr(c.error, " started at ")));
    WEFT_CHECK(ok);
    if (!ok)
        child_print(&c);
}

/* Dies with checks; without, the call is refused (the body then exits with 7) and a line is logged. */
static void check_refused(int (*body)(void), const char *words, const char *task)
{
    if (HAS_CHECKS) {
        check_dies(body, words, task);
        return;
    }
    child c = child_run(body);
    bool ok = child_exited_with(&c, 7) && strstr(c.error, "error") && strstr(c.error, "misuse: ") && strstr(c.error, words) &&
              (!task || strstr(c.error, task));
    WEFT_CHECK(ok);
    if (!ok)
        child_print(&c);
}

#define IN_TASK(name)                                                                                                          \
    static int name(void)                                                                                                      \
    {                                                                                                                          \
        return weft_run(name##_task, NULL);                                                                                    \
    }

/* ---- waiting where it cannot be ---- */

static int wait_outside(void)
{
    return weft_sleep(MS) == -EPERM && weft_yield() == -EPERM ? 7 : 1;
}

static void wait_in_post(void *arg)
{
    *(int *)arg = weft_sleep(MS) == -EPERM ? 7 : 1;
}

static int post_and_wait_task(void *arg)
{
    int rc = 0;
    (void)arg;
    WEFT_TRY(weft_loop_post(weft_loop_here(), wait_in_post, &rc));
    WEFT_TRY(weft_sleep(5 * MS));
    return rc;
}

IN_TASK(post_and_wait)

static void sleep_now(void *arg)
{
    *(int *)arg = weft_sleep(MS);
}

static int wait_on_loop_stack_task(void *arg)
{
    int rc = 0;
    (void)arg;
    weft_on_loop_stack(sleep_now, &rc);
    return rc == -EPERM ? 7 : 1;
}

IN_TASK(wait_on_loop_stack)

static void join_now(void *arg)
{
    weft_group_join(arg);
}

static int join_on_loop_stack_task(void *arg)
{
    (void)arg;
    weft_group g = { 0 };
    weft_group_open(&g);
    weft_go(&g, succeed, NULL);
    weft_on_loop_stack(join_now, &g);
    return 1;
}

IN_TASK(join_on_loop_stack)

static int waiting(void)
{
    check_refused(wait_outside, "waiting (sleep) outside a task", NULL);
    check_refused(post_and_wait, "waiting (sleep) outside a task", NULL);
    check_refused(wait_on_loop_stack, "waiting (sleep) on the loop's stack", "in task main");
    check_dies(join_on_loop_stack, "joined on the loop's stack", "in task main");
    return 0;
}

/* ---- runs and calls outside a task ---- */

static int run_in_task_task(void *arg)
{
    (void)arg;
    return weft_run(succeed, NULL) == -EDEADLK ? 7 : 1;
}

IN_TASK(run_in_task)

static void ignore(void *arg)
{
    (void)arg;
}

static int spawn_outside(void)
{
    weft_task *task;
    return weft_spawn(&task, succeed, NULL) == -EPERM ? 7 : 1;
}

static int defer_outside(void)
{
    return weft_defer(ignore, NULL) == -EPERM ? 7 : 1;
}

static int open_scope_outside(void)
{
    weft_scope s = { .timeout = MS };
    weft_scope_open(&s);
    return 1;
}

static int open_group_outside(void)
{
    weft_group g = { 0 };
    weft_group_open(&g);
    return 1;
}

static int calls_outside_a_task(void)
{
    check_refused(run_in_task, "weft_run on a thread that runs a loop", "in task main");
    check_refused(spawn_outside, "weft_spawn outside a task", NULL);
    check_refused(defer_outside, "weft_defer outside a task", NULL);
    check_dies(open_scope_outside, "weft_scope_open outside a task", NULL);
    check_dies(open_group_outside, "weft_group_open outside a task", NULL);
    return 0;
}

/* ---- scopes and groups ---- */

static int close_out_of_order_task(void *arg)
{
    (void)arg;
    weft_scope a = { .timeout = MS }, b = { .timeout = MS };
    weft_scope_open(&a);
    weft_scope_open(&b);
    weft_scope_close(&a);
    return 1;
}

IN_TASK(close_out_of_order)

static int close_twice_task(void *arg)
{
    (void)arg;
    weft_scope a = { .timeout = MS };
    weft_scope_open(&a);
    weft_scope_close(&a);
    weft_scope_close(&a);
    return 1;
}

IN_TASK(close_twice)

static int close_of_another(void *arg)
{
    weft_scope_close(arg);
    return 1;
}

static int close_by_another_task_task(void *arg)
{
    (void)arg;
    WEFT_TIMEOUT (s, WEFT_SECOND) {
        WEFT_GROUP (g) {
            weft_go(&g, close_of_another, &s);
        }
    }
    return 1;
}

IN_TASK(close_by_another_task)

static int close_group_as_scope_task(void *arg)
{
    (void)arg;
    weft_group g = { 0 };
    weft_group_open(&g);
    weft_scope_close(&g.scope);
    return 1;
}

IN_TASK(close_group_as_scope)

static int join_out_of_order_task(void *arg)
{
    (void)arg;
    weft_group g = { 0 };
    weft_scope s = { .timeout = MS };
    weft_group_open(&g);
    weft_scope_open(&s);
    return weft_group_join(&g);
}

IN_TASK(join_out_of_order)

static int join_twice_task(void *arg)
{
    (void)arg;
    weft_group g = { 0 };
    weft_group_open(&g);
    weft_group_join(&g);
    return weft_group_join(&g);
}

IN_TASK(join_twice)

static int go_after_join_task(void *arg)
{
    (void)arg;
    weft_group g = { 0 };
    weft_group_open(&g);
    weft_group_join(&g);
    return weft_go(&g, succeed, NULL);
}

IN_TASK(go_after_join)

static int cancel_closed_scope_task(void *arg)
{
    (void)arg;
    weft_scope s = { .timeout = MS };
    weft_scope_open(&s);
    weft_scope_close(&s);
    weft_cancel(&s);
    return 1;
}

IN_TASK(cancel_closed_scope)

static weft_group left_group;
static weft_scope left_scope;

static int leave_group_open_task(void *arg)
{
    (void)arg;
    weft_group_open(&left_group);
    return 0;
}

IN_TASK(leave_group_open)

static int leave_scope_open(void *arg)
{
    (void)arg;
    left_scope.timeout = WEFT_SECOND;
    weft_scope_open(&left_scope);
    return 0;
}

static int leave_scope_open_in_a_task_task(void *arg)
{
    (void)arg;
    WEFT_GROUP (g) {
        weft_go(&g, leave_scope_open, NULL);
    }
    return 1;
}

IN_TASK(leave_scope_open_in_a_task)

static int scopes_and_groups(void)
{
    check_dies(close_out_of_order, "closed out of order", "in task main");
    check_dies(close_twice, "closed that this task has not open", "in task main");
    check_dies(close_by_another_task, "closed that this task has not open", "in task close_of_another");
    check_dies(close_group_as_scope, "closed as if it were a scope", "in task main");
    check_dies(join_out_of_order, "joined out of order", "in task main");
    check_dies(join_twice, "joined that this task has not open", "in task main");
    check_dies(go_after_join, "weft_go on a group that is not open", "in task main");
    check_dies(cancel_closed_scope, "weft_cancel of a scope that is not open", "in task main");
    check_dies(leave_group_open, "ended with a scope or group still open", "in task main");
    check_dies(leave_scope_open_in_a_task, "ended with a scope or group still open", "in task leave_scope_open started at ");
    return 0;
}

/* ---- asking for ends ---- */

static int next_without_keeping_task(void *arg)
{
    int rc = 0;
    (void)arg;
    WEFT_GROUP (g) {
        weft_ended ended;
        rc = weft_group_next(&g, &ended);
    }
    return rc == -EINVAL ? 7 : 1;
}

IN_TASK(next_without_keeping)

static int next_of_another(void *arg)
{
    weft_ended ended;
    return weft_group_next(arg, &ended) == -EPERM ? 0 : -EIO;
}

static int next_in_another_task_task(void *arg)
{
    (void)arg;
    WEFT_GROUP (g, .keep_ended = true) {
        weft_go(&g, next_of_another, &g);
    }
    return g.result == 0 ? 7 : 1;
}

IN_TASK(next_in_another_task)

static int await_self(void *arg)
{
    weft_task **task = arg;
    return weft_await(*task) == -EDEADLK ? 7 : 1;
}

static int spawn_self_awaiter_task(void *arg)
{
    weft_task *task;
    (void)arg;
    WEFT_TRY(weft_spawn(&task, await_self, &task));
    return weft_await(task);
}

IN_TASK(spawn_self_awaiter)

static int await_twice_task(void *arg)
{
    weft_task *task;
    (void)arg;
    WEFT_TRY(weft_spawn(&task, succeed, NULL));
    WEFT_TRY(weft_await(task));
    return weft_await(task);
}

IN_TASK(await_twice)

static int await_nothing_task(void *arg)
{
    (void)arg;
    return weft_await(NULL);
}

IN_TASK(await_nothing)

static int cancel_nothing_task(void *arg)
{
    (void)arg;
    weft_task_cancel(NULL);
    return 1;
}

IN_TASK(cancel_nothing)

static int asking_for_ends(void)
{
    check_refused(next_without_keeping, "neither collects nor keeps", "in task main");
    check_refused(next_in_another_task, "a task that has not opened the group", "in task next_of_another started at ");
    check_refused(spawn_self_awaiter, "a task awaits itself", "in task await_self started at ");
    check_dies(await_nothing, "weft_await of what is no task", "in task main");
    check_dies(cancel_nothing, "weft_task_cancel of what is no task", "in task main");
    if (!tools_is_sanitizer()) /* the address sanitizer reports the stale pointer before we do */
        check_dies(await_twice, "or was awaited before", "in task main");
    return 0;
}

/* ---- what is waited for ---- */

static int get_one(void *arg)
{
    int item;
    return weft_queue_get((weft_queue *)arg, &item);
}

static int free_waited_queue_task(void *arg)
{
    (void)arg;
    weft_queue *queue = weft_queue_new(sizeof(int), 1);
    WEFT_GROUP (g) {
        weft_go(&g, get_one, queue);
        WEFT_TRY(weft_yield());
        weft_queue_free(queue);
    }
    return 1;
}

IN_TASK(free_waited_queue)

static int wake_twice_task(void *arg)
{
    (void)arg;
    weft_queue *queue = weft_queue_new(sizeof(int), 1);
    WEFT_GROUP (g) {
        weft_go(&g, get_one, queue);
        WEFT_TRY(weft_yield());
        weft_list *tasks = &weft_loop_here()->tasks;
        weft_task *getter = CONTAINER_OF(tasks->prev, weft_task, all);
        weft_wait *wait = getter->wait;
        weft_wait_settle(wait, 0);
        weft_wait_settle(wait, 0);
    }
    return 1;
}

IN_TASK(wake_twice)

static int what_is_waited_for(void)
{
    check_dies(free_waited_queue, "a queue is freed while task get_one waits on it", "in task main");
    check_dies(wake_twice, "a second wake-up of a wait (queue get)", "in task main");
    return 0;
}

static const weft_test tests[] = {
    PLAIN(waiting), PLAIN(calls_outside_a_task), PLAIN(scopes_and_groups), PLAIN(asking_for_ends), PLAIN(what_is_waited_for),
};

TEST_MAIN(tests)
