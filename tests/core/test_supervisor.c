/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* The supervisor's posts and signals, above all at its end. A signal that is sent to the loop's thread alone is one that the
 * supervisor has not read: it pends until the mask is restored. */
#include "child.h"

#include <poll.h>
#include <pthread.h>

#include "lib/task/supervisor.h"

struct seen {
    int stops[4], stop_count;
    int posts;
};

static void note_stop(void *context, int count)
{
    struct seen *seen = context;
    if (seen->stop_count < 4)
        seen->stops[seen->stop_count] = count;
    seen->stop_count++;
}

static void note_post(void *arg)
{
    WEFT_CHECK(!weft_task_self()); /* never inside of a task */
    ((struct seen *)arg)->posts++;
}

static void ignore_hangup(void *context)
{
    (void)context;
}

static weft_supervisor *start(struct seen *seen)
{
    weft_supervisor *s = NULL;
    int rc = weft_supervisor_start(&s, weft_here,
                                   &(struct weft_supervisor_options){
                                       .limit = WEFT_MINUTE,
                                       .hurry_limit = WEFT_MINUTE,
                                       .stop = note_stop,
                                       .context = seen,
                                       .hangup = ignore_hangup,
                                       .stall_limit = WEFT_NO_LIMIT,
                                   });
    WEFT_CHECK(rc == 0);
    return s;
}

static size_t count_posts(weft_loop *loop)
{
    size_t count = 0;
    pthread_mutex_lock(&loop->inbox_lock);
    LIST_EACH (node, &loop->inbox)
        count++;
    pthread_mutex_unlock(&loop->inbox_lock);
    return count;
}

/* Holds the loop until so many posts wait. */
static void await_posts(size_t count)
{
    while (count_posts(weft_here) < count)
        poll(NULL, 0, 1);
}

/* ---- posts ---- */

static int the_end_calls_nothing_task(void *arg)
{
    struct seen *seen = arg;
    weft_supervisor *s = start(seen);
    WEFT_CHECK(weft_loop_post(weft_here, note_post, seen) == 0);
    weft_supervisor_request_stop(s);
    await_posts(2);
    kill(getpid(), SIGQUIT);
    await_posts(3);
    weft_supervisor_end(s);
    WEFT_CHECK(seen->posts == 0 && seen->stop_count == 0 && count_posts(weft_here) == 1);
    WEFT_TRY(weft_sleep(MS));
    WEFT_CHECK(seen->posts == 1 && seen->stop_count == 0);
    return 0;
}

static int the_end_calls_nothing(void)
{
    struct seen seen = { 0 };
    return weft_run(the_end_calls_nothing_task, &seen);
}

/* The end, in a post that is called before the supervisor's own of the same round. */
static void end_from_post(void *arg)
{
    weft_supervisor_end(*(weft_supervisor **)arg);
}

static int the_end_within_a_round_of_posts_task(void *arg)
{
    struct seen *seen = arg;
    weft_supervisor *s = start(seen);
    WEFT_CHECK(weft_loop_post(weft_here, end_from_post, &s) == 0);
    weft_supervisor_request_stop(s);
    await_posts(2);
    WEFT_TRY(weft_sleep(MS));
    WEFT_CHECK(seen->stop_count == 0);
    return 0;
}

static int the_end_within_a_round_of_posts(void)
{
    struct seen seen = { 0 };
    return weft_run(the_end_within_a_round_of_posts_task, &seen);
}

static int requests_are_told_in_order_task(void *arg)
{
    struct seen *seen = arg;
    weft_supervisor *s = start(seen);
    weft_supervisor_request_stop(s);
    weft_supervisor_request_stop(s); /* by call it is asked for once */
    await_posts(1);
    kill(getpid(), SIGTERM);
    await_posts(2);
    WEFT_TRY(weft_sleep(MS));
    WEFT_CHECK(seen->stop_count == 2 && seen->stops[0] == 1 && seen->stops[1] == 2);
    weft_supervisor_end(s);
    return 0;
}

static int requests_are_told_in_order(void)
{
    struct seen seen = { 0 };
    return weft_run(requests_are_told_in_order_task, &seen);
}

static int lists_that_are_asked_for_at_once_are_one_task(void *unused)
{
    (void)unused;
    struct seen seen = { 0 };
    weft_supervisor *s = start(&seen);
    for (int i = 0; i < 20; i++) {
        kill(getpid(), SIGQUIT);
        poll(NULL, 0, 1);
    }
    await_posts(1);
    WEFT_CHECK(count_posts(weft_here) == 1);
    WEFT_TRY(weft_sleep(MS));
    kill(getpid(), SIGQUIT); /* and another one later is another one */
    await_posts(1);
    WEFT_TRY(weft_sleep(MS));
    weft_supervisor_end(s);
    return 0;
}

static int list_in_child(void)
{
    return weft_run(lists_that_are_asked_for_at_once_are_one_task, NULL) < 0;
}

static int lists_that_are_asked_for_at_once_are_one(void)
{
    child c = child_run(list_in_child);
    int lists = 0;
    for (const char *at = c.error; (at = strstr(at, "main, ")); at++)
        lists++;
    WEFT_CHECK(child_exited_with(&c, 0) && lists == 2);
    if (lists != 2)
        child_print(&c);
    return 0;
}

/* ---- signals that come too late ---- */

static int ask_then_send_late(void *arg)
{
    struct seen *seen = arg;
    weft_supervisor *s = start(seen);
    kill(getpid(), SIGTERM);
    while (seen->stop_count == 0)
        WEFT_TRY(weft_sleep(MS));
    static const int late[] = { SIGTERM, SIGINT, SIGQUIT, SIGHUP };
    for (size_t i = 0; i < COUNT(late); i++)
        pthread_kill(pthread_self(), late[i]);
    weft_supervisor_end(s);
    return 0;
}

static int after_a_stop(void)
{
    struct seen seen = { 0 };
    return weft_run(ask_then_send_late, &seen) < 0 || seen.stop_count != 1;
}

/* What others have blocked since is not given back, as SIGPIPE is while sockets are used: pending, it would kill. */
static int end_with_a_pipe_pending(void *arg)
{
    weft_supervisor *s = start(arg);
    sigset_t pipe_only;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_only, NULL);
    pthread_kill(pthread_self(), SIGPIPE);
    weft_supervisor_end(s);
    WEFT_CHECK(sigtimedwait(&pipe_only, NULL, &(struct timespec){ 0 }) == SIGPIPE);
    return 0;
}

static int with_a_pipe_pending(void)
{
    struct seen seen = { 0 };
    return weft_run(end_with_a_pipe_pending, &seen) < 0 || weft_test_failures() > 0;
}

static int the_end_leaves_alone_what_others_block(void)
{
    child c = child_run(with_a_pipe_pending);
    WEFT_CHECK(child_exited_with(&c, 0));
    return 0;
}

static int late_signals_do_not_kill_after_a_stop(void)
{
    child c = child_run(after_a_stop);
    WEFT_CHECK(child_exited_with(&c, 0));
    return 0;
}

static int late_signal; /* of the child */

static int send_late(void *arg)
{
    weft_supervisor *s = start(arg);
    pthread_kill(pthread_self(), late_signal);
    weft_supervisor_end(s);
    return 0;
}

static int without_a_stop(void)
{
    struct seen seen = { 0 };
    return weft_run(send_late, &seen) < 0;
}

/* The program is asked to end, and nobody else has heard it. */
static int a_first_request_that_comes_late_is_the_programs(void)
{
    static const int killing[] = { SIGTERM, SIGINT }, dropped[] = { SIGQUIT, SIGHUP };
    for (size_t i = 0; i < 2; i++) {
        late_signal = killing[i];
        child c = child_run(without_a_stop);
        WEFT_CHECK(child_was_killed_by(&c, killing[i]));
        late_signal = dropped[i];
        c = child_run(without_a_stop);
        WEFT_CHECK(child_exited_with(&c, 0));
    }
    return 0;
}

static int blocked_before(void)
{
    sigset_t term, pending;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &term, NULL);
    struct seen seen = { 0 };
    int rc = weft_run(ask_then_send_late, &seen);
    sigpending(&pending);
    return rc < 0 || !sigismember(&pending, SIGTERM) || sigismember(&pending, SIGINT);
}

static int what_was_blocked_before_is_left_alone(void)
{
    child c = child_run(blocked_before);
    WEFT_CHECK(child_exited_with(&c, 0));
    return 0;
}

static const weft_test tests[] = {
    PLAIN(the_end_calls_nothing),
    PLAIN(the_end_within_a_round_of_posts),
    PLAIN(requests_are_told_in_order),
    PLAIN(lists_that_are_asked_for_at_once_are_one),
    PLAIN(late_signals_do_not_kill_after_a_stop),
    PLAIN(the_end_leaves_alone_what_others_block),
    PLAIN(a_first_request_that_comes_late_is_the_programs),
    PLAIN(what_was_blocked_before_is_left_alone),
};

TEST_MAIN(tests)
