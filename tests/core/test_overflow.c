/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* The report of a stack overflow, by real ones; and that other faults are passed on. */
#include <pthread.h>

#include <weft/generator.h>

#include "lib/base/sanitize.h"
#include "lib/task/task.h"
#include "tests/core/child.h"
#include "tests/core/tools.h"

/* Uses the stack up in small frames; the compiler cannot make a loop of it. */
static __attribute__((noinline)) int recurse(volatile int *depth)
{
    volatile char frame[256];
    frame[0] = (char)++*depth;
    int below = *depth < 1 << 30 ? recurse(depth) : 0;
    return below + frame[0];
}

static int dive(void *arg)
{
    volatile int depth = 0;
    (void)arg;
    return recurse(&depth);
}

/* One frame that begins below the guard, where another task's stack is, and touches nothing else. */
static __attribute__((noinline)) int step_over(void)
{
    volatile char frame[100 * 1024];
    frame[0] = 1;
    return frame[0];
}

static int stride(void *arg)
{
    (void)arg;
    return step_over() - 2; /* an error, so that the group ends if it gets that far */
}

enum { DIVE_LINE = __LINE__ + 6 }; /* where dive is started, below */

static int start_diver(void *arg)
{
    WEFT_GROUP (g, .stack_size = *(size_t *)arg) {
        weft_go(&g, sleep_long, NULL);
        weft_go(&g, dive, NULL);
    }
    return g.result;
}

static int overflow_default(void)
{
    size_t size = 0;
    return weft_run(start_diver, &size);
}

static int start_strider(void *arg)
{
    (void)arg;
    WEFT_GROUP (g) {
        weft_go(&g, sleep_long, NULL);
        weft_go(&g, stride, NULL);
    }
    return g.result;
}

static int overflow_by_one_frame(void)
{
    return weft_run(start_strider, NULL);
}

static int overflow_1_mib(void)
{
    size_t size = 1 << 20;
    return weft_run(start_diver, &size);
}

static void *run_in_thread(void *arg)
{
    weft_run(start_diver, arg);
    return NULL;
}

static int sleep_a_second(void *arg)
{
    (void)arg;
    return weft_sleep(WEFT_SECOND);
}

static int overflow_in_a_second_loop(void)
{
    pthread_t thread;
    size_t size = 16384;
    if (pthread_create(&thread, NULL, run_in_thread, &size) != 0)
        return 1;
    weft_run(sleep_a_second, NULL);
    return 1;
}

static void check_report(int (*body)(void), const char *size)
{
    char words[200];
    child c = child_run(body);
    snprintf(words, sizeof words, "test_overflow.c:%d: its stack is %s KiB", DIVE_LINE, size);
    bool ok = child_was_killed_by(&c, SIGSEGV) && strstr(c.error, "weft: stack overflow in task dive started at ") &&
              strstr(c.error, words);
    WEFT_CHECK(ok);
    if (!ok)
        child_print(&c);
}

static int overflow_is_reported(void)
{
    check_report(overflow_default, "64");
    check_report(overflow_1_mib, "1024");
    check_report(overflow_in_a_second_loop, "16");
    return 0;
}

static int large_frames_do_not_step_over_the_guard(void)
{
#ifdef WEFT_TSAN
    return 0; /* the thread sanitizer lays out and steps through frames in its own way */
#endif
    child c = child_run(overflow_by_one_frame);
    bool ok = child_was_killed_by(&c, SIGSEGV) && strstr(c.error, "weft: stack overflow in task stride started at ");
    WEFT_CHECK(ok);
    if (!ok)
        child_print(&c);
    return 0;
}

/* ---- guards that are not the best ---- */

static int overflow_into_a_protected_guard(void *arg)
{
    weft_here->stacks.best_guard = WEFT_GUARD_PROTECTED;
    int rc = start_diver(arg);
    return rc;
}

static int run_into_a_protected_guard(void)
{
    size_t size = 0;
    return weft_run(overflow_into_a_protected_guard, &size);
}

/* Uses the stack up to some 4 KiB below its end, and comes back. */
static __attribute__((noinline)) int dip_below(const char *floor)
{
    volatile char frame[256];
    frame[0] = 1;
    int below = (const char *)__builtin_frame_address(0) > floor ? dip_below(floor) : 0;
    return below + frame[0];
}

static int dip(void *arg)
{
    (void)arg;
    int depth = dip_below(weft_task_self()->coro.stack->low - 4096);
    return depth > 0 ? 0 : -1;
}

static int dip_and_wait(void *arg)
{
    int rc = dip(arg);
    if (rc == 0)
        rc = weft_yield();
    fputs("it went on\n", stderr);
    return rc;
}

static int dipping_body(weft_generator *g, void *arg)
{
    (void)g;
    return dip(arg);
}

static int consume_dipping(void *arg)
{
    int value, rc;
    (void)arg;
    weft_generator *g = weft_generator_new(int, dipping_body, NULL);
    while ((rc = weft_generator_next(g, &value)) > 0)
        continue;
    fputs("it went on\n", stderr);
    weft_generator_close(g);
    return rc;
}

/* Starts *fn, over canaries. */
static int over_canaries(void *arg)
{
    weft_here->stacks.best_guard = WEFT_GUARD_CANARY;
    WEFT_GROUP (g) {
        weft_go(&g, sleep_long, NULL); /* its stack is the one below */
        weft_go(&g, *(weft_task_fn **)arg, NULL);
        WEFT_TRY(weft_sleep(500 * MS));
        fputs("the end was not noticed\n", stderr);
        weft_group_cancel(&g);
    }
    return g.result;
}

static int run_over_canaries(weft_task_fn *fn)
{
    return weft_run(over_canaries, &fn);
}

static int run_dip(void)
{
    return run_over_canaries(dip);
}

static int run_dip_and_wait(void)
{
    return run_over_canaries(dip_and_wait);
}

static int run_dipping_generator(void)
{
    return run_over_canaries(consume_dipping);
}

static int run_harmless(void)
{
    return run_over_canaries(succeed);
}

/* Reported once it is over: at the task's end, or in debug builds before that, when it waits. */
static void check_late_report(int (*body)(void), const char *task, bool goes_on)
{
    char words[80];
    snprintf(words, sizeof words, "weft: stack overflow in task %s started at ", task);
    child c = child_run(body);
    bool ok = child_was_killed_by(&c, SIGABRT) && strstr(c.error, words) && strstr(c.error, "its stack is 64 KiB") &&
              strstr(c.error, "noticed too late") && !strstr(c.error, "the end was not noticed") &&
              !strstr(c.error, "it went on") == !goes_on;
    WEFT_CHECK(ok);
    if (!ok)
        child_print(&c);
}

static int protected_guards_report_too(void)
{
    check_report(run_into_a_protected_guard, "64");
    return 0;
}

static int canaries_report_late(void)
{
#ifdef WEFT_DEBUG
    bool is_checked_at_waits = true;
#else
    bool is_checked_at_waits = false;
#endif
    check_late_report(run_dip, "*(weft_task_fn **)arg", false);
    check_late_report(run_dip_and_wait, "*(weft_task_fn **)arg", !is_checked_at_waits);
    check_late_report(run_dipping_generator, "*(weft_task_fn **)arg", false);
    child c = child_run(run_harmless);
    WEFT_CHECK(child_exited_with(&c, 0) && strstr(c.error, "the end was not noticed"));
    return 0;
}

/* ---- other faults ---- */

static int *volatile nowhere = (int *)16;

static int touch_nowhere_task(void *arg)
{
    (void)arg;
    return ++*nowhere;
}

static int fault_in_a_task(void)
{
    return weft_run(touch_nowhere_task, NULL);
}

static int fault_outside(void)
{
    if (weft_run(succeed, NULL) != 0)
        return 1;
    return touch_nowhere_task(NULL);
}

static int send_segv_task(void *arg)
{
    (void)arg;
    kill(getpid(), SIGSEGV);
    return 3;
}

static int segv_that_was_sent(void)
{
    return weft_run(send_segv_task, NULL);
}

static int segv_that_is_ignored(void)
{
    signal(SIGSEGV, SIG_IGN);
    return weft_run(send_segv_task, NULL);
}

static void check_passed_on(int (*body)(void))
{
    child c = child_run(body);
    /* The address sanitizer, whose handler comes next, exits with 1 after a report of its own. */
    bool ok = !strstr(c.error, "stack overflow in task") &&
              (child_was_killed_by(&c, SIGSEGV) || (tools_is_sanitizer() && strstr(c.error, "SEGV")));
    WEFT_CHECK(ok);
    if (!ok)
        child_print(&c);
}

static int other_faults_are_passed_on(void)
{
    check_passed_on(fault_in_a_task);
    check_passed_on(fault_outside);
    check_passed_on(segv_that_was_sent);
    child c = child_run(segv_that_is_ignored);
    WEFT_CHECK(child_exited_with(&c, 3));
    return 0;
}

static void former_with_info(int number, siginfo_t *info, void *context)
{
    (void)context;
    _exit(number == SIGSEGV && info->si_addr == (void *)nowhere ? 42 : 1);
}

static void former_plain(int number)
{
    _exit(number == SIGSEGV ? 43 : 1);
}

static int fault_with_former_handler(void)
{
    sigaction(SIGSEGV, &(struct sigaction){ .sa_sigaction = former_with_info, .sa_flags = SA_SIGINFO }, NULL);
    return weft_run(touch_nowhere_task, NULL);
}

static int fault_with_plain_handler(void)
{
    sigaction(SIGSEGV, &(struct sigaction){ .sa_handler = former_plain }, NULL);
    return weft_run(touch_nowhere_task, NULL);
}

static int former_handlers_are_called(void)
{
    child c = child_run(fault_with_former_handler);
    WEFT_CHECK(child_exited_with(&c, 42) || (tools_is_valgrind() && WIFEXITED(c.status))); /* it has a status of its own */
    c = child_run(fault_with_plain_handler);
    WEFT_CHECK(child_exited_with(&c, 43) || (tools_is_valgrind() && WIFEXITED(c.status)));
    return 0;
}

static int signal_stack_is_put_back(void)
{
    static char own[64 * 1024];
    stack_t mine = { .ss_sp = own, .ss_size = sizeof own }, before, after;
    WEFT_CHECK(sigaltstack(&mine, &before) == 0);
    WEFT_CHECK(weft_run(succeed, NULL) == 0);
    WEFT_CHECK(sigaltstack(NULL, &after) == 0);
    WEFT_CHECK(after.ss_sp == own && after.ss_size == sizeof own && !(after.ss_flags & SS_DISABLE));
    if (before.ss_flags & SS_DISABLE)
        before.ss_size = sizeof own;
    WEFT_CHECK(sigaltstack(&before, NULL) == 0);
    return 0;
}

static const weft_test tests[] = {
    PLAIN(overflow_is_reported),        PLAIN(large_frames_do_not_step_over_the_guard),
    PLAIN(protected_guards_report_too), PLAIN(canaries_report_late),
    PLAIN(other_faults_are_passed_on),  PLAIN(former_handlers_are_called),
    PLAIN(signal_stack_is_put_back),
};

TEST_MAIN(tests)
