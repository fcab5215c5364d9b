/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Signals as events: what each call does, against the table of waits, and under torture. */
#include <pthread.h>
#include <signal.h>

#include <weft/offload.h>
#include <weft/signal.h>

#include "lib/task/supervisor.h"
#include "tests/core/child.h"
#include "tests/core/tools.h"

static bool has_default_effect(int signal)
{
    struct sigaction action;
    return sigaction(signal, NULL, &action) == 0 && action.sa_handler == SIG_DFL;
}

static bool is_blocked(int signal)
{
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    return sigismember(&mask, signal) == 1;
}

static int counted(void)
{
    weft_signal *s;
    WEFT_TRY(weft_signal_open(&s, SIGUSR1));
    for (int i = 0; i < 3; i++) {
        raise(SIGUSR1); /* before the wait: not lost */
        WEFT_CHECK(weft_signal_wait(s) == 1);
    }
    WEFT_TIMEOUT (limit, 0) {
        raise(SIGUSR1);
        WEFT_CHECK(weft_signal_wait(s) == WEFT_EDEADLINE);
    }
    WEFT_CHECK(weft_signal_wait(s) == 1); /* the refused wait has taken nothing */
    weft_signal_close(s);
    weft_signal_close(NULL);
    WEFT_CHECK(has_default_effect(SIGUSR1));
    return 0;
}

static int cannot_be_awaited(void)
{
    weft_signal *s;
    static const int wrong[] = { 0, -1, 10000, SIGKILL, SIGSTOP, SIGSEGV, SIGABRT };
    for (size_t i = 0; i < COUNT(wrong); i++)
        WEFT_CHECK(weft_signal_open(&s, wrong[i]) == -EINVAL);
    WEFT_TRY(weft_signal_open(&s, SIGRTMIN + 3));
    raise(SIGRTMIN + 3);
    WEFT_CHECK(weft_signal_wait(s) == 1);
    weft_signal_close(s);
    return 0;
}

static int wait_for_one(void *arg)
{
    return weft_signal_wait(arg);
}

static int several_wait(void)
{
    weft_signal *a, *b;
    int told = 0;
    WEFT_TRY(weft_signal_open(&a, SIGUSR1));
    WEFT_TRY(weft_signal_open(&b, SIGUSR1));
    WEFT_GROUP (g, .keep_ended = true) {
        weft_ended ended;
        for (int i = 0; i < 3; i++)
            weft_go(&g, wait_for_one, a);
        weft_go(&g, wait_for_one, b);
        WEFT_TRY(weft_yield());
        raise(SIGUSR1);
        while (weft_group_next(&g, &ended) > 0)
            told += ended.result;
    }
    WEFT_CHECK(told == 4);
    raise(SIGUSR1);
    WEFT_CHECK(weft_signal_wait(a) == 1);
    weft_signal_close(a);
    WEFT_CHECK(!has_default_effect(SIGUSR1) && weft_signal_wait(b) == 1); /* its own count */
    raise(SIGUSR1);
    WEFT_CHECK(weft_signal_wait(b) == 1);
    WEFT_GROUP (h, .on_error = WEFT_COLLECT) {
        weft_ended ended;
        weft_go(&h, wait_for_one, b);
        WEFT_TRY(weft_yield());
        weft_signal_drop(&b);
        WEFT_CHECK(weft_group_next(&h, &ended) == 1 && ended.result == WEFT_ECLOSED);
    }
    WEFT_CHECK(has_default_effect(SIGUSR1));
    return 0;
}

/* The mask of the thread is as before once the last is closed, in whatever order. */
static int masks(void)
{
    for (int order = 0; order < 2; order++) {
        sigset_t usr2;
        weft_signal *s[2];
        sigemptyset(&usr2);
        sigaddset(&usr2, SIGUSR2);
        pthread_sigmask(SIG_BLOCK, &usr2, NULL);
        for (int i = 0; i < 2; i++)
            WEFT_TRY(weft_signal_open(&s[i], SIGUSR2));
        raise(SIGUSR2);
        WEFT_CHECK(weft_signal_wait(s[0]) == 1 && weft_signal_wait(s[1]) == 1);
        weft_signal_close(s[order]);
        WEFT_CHECK(!is_blocked(SIGUSR2));
        weft_signal_close(s[!order]);
        WEFT_CHECK(is_blocked(SIGUSR2));
        pthread_sigmask(SIG_UNBLOCK, &usr2, NULL);
    }
    return 0;
}

/* ---- the table of waits ---- */

struct waiter {
    weft_signal *s;
    weft_scope *scope;
    int rc, next_rc;
};

static int wait_in_scope(void *arg)
{
    struct waiter *w = arg;
    WEFT_TIMEOUT (s, WEFT_NO_LIMIT) {
        w->scope = &s;
        w->rc = weft_signal_wait(w->s);
        w->next_rc = weft_yield();
    }
    return 0;
}

static int cut_while_parked(void)
{
    struct waiter w = { 0 };
    WEFT_TRY(weft_signal_open(&w.s, SIGUSR1));
    WEFT_GROUP (g) {
        weft_go(&g, wait_in_scope, &w);
        WEFT_TRY(weft_yield());
        raise(SIGUSR1); /* the loop has not seen it when the reason comes */
        weft_cancel(w.scope);
    }
    WEFT_CHECK(w.rc == WEFT_ECANCELED && w.next_rc == WEFT_ECANCELED);
    WEFT_CHECK(weft_signal_wait(w.s) == 1);
    weft_signal_close(w.s);
    return g.result;
}

static int signal_and_cancel(void *arg)
{
    weft_signal *s;
    int rc = weft_signal_open(&s, SIGUSR1);
    if (rc == 0) {
        raise(SIGUSR1);
        raise(SIGUSR1);
        rc = weft_yield();
        int got = rc < 0 ? rc : weft_signal_wait(s);
        *(int *)arg = got < 0 ? got : 0;
        rc = got < 0 ? got : weft_yield();
        raise(SIGUSR1);
        rc = rc < 0 ? rc : weft_signal_wait(s);
        weft_signal_close(s);
    }
    *(int *)arg = rc < 0 ? rc : 0;
    return 0;
}

static int torture(void)
{
    weft_test_report report;
    int rc;
    WEFT_CHECK(weft_test_run(signal_and_cancel, &rc, &report) == 0 && rc == 0);
    uint64_t waits = report.waits, allocations = report.allocations;
    for (int when = WEFT_CANCEL_BEFORE; when <= (int)WEFT_CANCEL_WOKEN; when++)
        for (uint64_t n = 1; n <= waits; n++) {
            WEFT_CHECK(weft_test_run(signal_and_cancel, &rc, &report, .cancel_at = n,
                                     .cancel_when = (enum weft_cancel_when)when) == 0);
            WEFT_CHECK((rc == 0 || rc == WEFT_ECANCELED) && has_default_effect(SIGUSR1));
        }
    for (uint64_t n = 1; n <= allocations; n++) {
        rc = 0;
        int run = weft_test_run(signal_and_cancel, &rc, &report, .fail_at = n);
        WEFT_CHECK((run == -ENOMEM || rc == -ENOMEM || rc == 0) && report.struck && has_default_effect(SIGUSR1));
    }
    return 0;
}

/* ---- loops and threads ---- */

static int left_open(void *arg)
{
    weft_signal *s;
    (void)arg;
    weft_log_set_level(WEFT_LOG_ERROR);
    return weft_signal_open(&s, SIGUSR1);
}

static int closed_at_the_end_of_the_loop(void)
{
    WEFT_CHECK(weft_run(left_open, NULL) == 0 && has_default_effect(SIGUSR1));
    return 0;
}

static pthread_barrier_t both;

static void open_late(void *arg)
{
    weft_signal *s;
    const weft_offload_limits limits = { .threads = 1 };
    weft_log_set_level(WEFT_LOG_ERROR);
    *(int *)arg = weft_signal_open(&s, SIGUSR1);
    WEFT_CHECK(weft_offload_set_limits(&limits) == 0);
}

static int post_and_end(void *arg)
{
    return weft_loop_post(weft_loop_here(), open_late, arg);
}

/* The last posts are called when no task is left. */
static int opened_by_a_post_at_the_end_of_the_loop(void)
{
    int rc = 1;
    WEFT_CHECK(weft_run(post_and_end, &rc) == 0 && rc == 0 && has_default_effect(SIGUSR1));
    return 0;
}

static int wait_in_a_loop(void *arg)
{
    weft_signal *s;
    WEFT_TRY(weft_signal_open(&s, SIGUSR1));
    pthread_barrier_wait(&both);
    *(int *)arg = weft_signal_wait(s);
    pthread_barrier_wait(&both); /* the other one has it too: the effect may be the default one again */
    weft_signal_close(s);
    return 0;
}

static void *run_loop(void *arg)
{
    weft_run(wait_in_a_loop, arg);
    return NULL;
}

/* One signal, sent to the process: both loops are told. */
static int two_loops(void)
{
    pthread_t threads[2];
    int got[2] = { 0 };
    pthread_barrier_init(&both, NULL, 3);
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, run_loop, &got[i]);
    pthread_barrier_wait(&both);
    kill(getpid(), SIGUSR1);
    pthread_barrier_wait(&both);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&both);
    WEFT_CHECK(got[0] > 0 && got[1] > 0 && has_default_effect(SIGUSR1));
    return 0;
}

static void stop(void *context, int count)
{
    (void)context;
    (void)count;
}

/* What an app's supervisor reads stays its own. */
static int supervised(void)
{
    static const int theirs[] = { SIGTERM, SIGINT, SIGQUIT };
    const struct weft_supervisor_options options = { .limit = WEFT_HOUR, .hurry_limit = WEFT_HOUR, .stop = stop };
    weft_supervisor *supervisor;
    weft_signal *s;
    WEFT_TRY(weft_supervisor_start(&supervisor, weft_loop_here(), &options));
    for (size_t i = 0; i < COUNT(theirs); i++)
        WEFT_CHECK(weft_signal_open(&s, theirs[i]) == -EBUSY);
    WEFT_TRY(weft_signal_open(&s, SIGHUP));
    weft_signal_close(s);
    weft_supervisor_end(supervisor);
    WEFT_TRY(weft_signal_open(&s, SIGTERM));
    weft_signal_close(s);
    return 0;
}

/* ---- programs that can be interrupted ---- */

struct program {
    int signal, cleaned, child;
};

static int sleep_in_child(void *arg)
{
    int rc = weft_sleep(WEFT_HOUR);
    ((struct program *)arg)->child = rc;
    return rc;
}

static void clean_up(void *arg)
{
    ((struct program *)arg)->cleaned += weft_sleep(1 * MS) == 0; /* it may wait */
}

static int be_interrupted(void *arg)
{
    struct program *program = arg;
    weft_task *task;
    WEFT_TRY(weft_defer(clean_up, program));
    WEFT_TRY(weft_spawn(&task, sleep_in_child, program));
    WEFT_TRY(weft_yield());
    raise(program->signal);
    return weft_sleep(WEFT_HOUR);
}

static int return_seven(void *arg)
{
    (void)arg;
    return 7;
}

static int return_error(void *arg)
{
    (void)arg;
    return -ENOENT;
}

static int interrupted(void)
{
    static const int signals[] = { SIGINT, SIGTERM };
    for (size_t i = 0; i < COUNT(signals); i++) {
        struct program program = { .signal = signals[i] };
        int came = 0;
        WEFT_CHECK(weft_run_interruptible(be_interrupted, &program, &came) == WEFT_ECANCELED);
        WEFT_CHECK(came == signals[i] && program.cleaned == 1 && program.child == WEFT_ECANCELED);
        WEFT_CHECK(has_default_effect(SIGINT) && has_default_effect(SIGTERM));
    }
    int came = 1;
    WEFT_CHECK(weft_run_interruptible(return_seven, NULL, &came) == 7 && came == 0);
    WEFT_CHECK(weft_run_interruptible(return_error, NULL, NULL) == -ENOENT);
    return 0;
}

static int wait_deaf(void *arg)
{
    (void)arg;
    int rc;
    for (int i = 0; i < 3; i++) {
        raise(SIGINT);
        while ((rc = weft_sleep(1 * MS)) == 0)
            continue;
    }
    return rc;
}

static int interrupt_twice(void)
{
    weft_run_interruptible(wait_deaf, NULL, NULL);
    return 3;
}

static int interrupted_twice(void)
{
    child c = child_run(interrupt_twice);
    WEFT_CHECK(child_was_killed_by(&c, SIGINT));
    return 0;
}

static const weft_test tests[] = {
    TEST(counted),
    TEST(cannot_be_awaited),
    TEST(several_wait),
    TEST(masks),
    TEST(cut_while_parked),
    PLAIN(torture),
    TEST(supervised),
    PLAIN(closed_at_the_end_of_the_loop),
    PLAIN(opened_by_a_post_at_the_end_of_the_loop),
    PLAIN(two_loops),
    PLAIN(interrupted),
    PLAIN(interrupted_twice),
};

TEST_MAIN(tests)
