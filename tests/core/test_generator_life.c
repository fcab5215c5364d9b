/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Generators among tasks: scopes and groups of bodies, whose end closes what is left open, misuse, and torture. */
#include "lib/task/task.h"
#include "tests/core/child.h"
#include "tests/core/generators.h"
#include "tests/core/tools.h"

/* ---- scopes of bodies ---- */

static int with_deadline(weft_generator *g, void *arg)
{
    (void)arg;
    int value = 1;
    WEFT_TIMEOUT (limit, 20 * MS) {
        WEFT_TRY(weft_generator_yield(g, &value));
        value = weft_sleep(10 * MS);
        WEFT_TRY(weft_generator_yield(g, &value));
        value = weft_sleep(10 * MS);
        WEFT_CHECK(limit.expired);
        WEFT_TRY(weft_generator_yield(g, &value));
    }
    value = weft_sleep(10 * MS);
    return weft_generator_yield(g, &value);
}

static int a_scope_of_the_body_stays_in_the_body(void)
{
    int value = 0;
    weft_generator *g = weft_generator_new(int, with_deadline, NULL);
    WEFT_CHECK(weft_generator_next(g, &value) == 1 && value == 1);
    WEFT_CHECK(weft_task_self()->innermost == NULL);
    WEFT_TIMEOUT (around_it, WEFT_HOUR) {
        WEFT_CHECK(weft_generator_next(g, &value) == 1 && value == 0 && weft_now() == 10 * MS);
    }
    WEFT_CHECK(weft_sleep(50 * MS) == 0); /* its deadline passes meanwhile */
    WEFT_CHECK(weft_generator_next(g, &value) == 1 && value == WEFT_EDEADLINE && weft_now() == 60 * MS);
    WEFT_CHECK(weft_sleep(1 * MS) == 0);
    WEFT_CHECK(weft_generator_next(g, &value) == 1 && value == 0 && weft_now() == 71 * MS);
    WEFT_CHECK(weft_generator_close(g) == 0);
    return 0;
}

static int end_after(void *arg)
{
    WEFT_TRY(weft_sleep(*(int *)arg * MS));
    return *(int *)arg;
}

/* As completed: hands out what its tasks end with. */
static int as_they_end(weft_generator *g, void *arg)
{
    int *times = arg;
    weft_ended ended;
    WEFT_GROUP (tasks, .keep_ended = true) {
        for (int i = 0; i < 3; i++)
            weft_go(&tasks, end_after, &times[i]);
        int rc;
        while ((rc = weft_group_next(&tasks, &ended)) > 0)
            WEFT_TRY(weft_generator_yield(g, &ended.result));
        if (rc < 0)
            return rc;
    }
    note("joined");
    return tasks.result;
}

static int a_group_of_the_body_goes_on(void)
{
    int times[3] = { 30, 10, 20 }, value;
    struct consumer other = { .g = weft_generator_new(int, as_they_end, times) };
    WEFT_CHECK(weft_generator_next(other.g, &value) == 1 && value == 10);
    WEFT_TRY(weft_sleep(100 * MS)); /* its tasks end meanwhile */
    WEFT_GROUP (g) {
        weft_go(&g, consume_one, &other);
    }
    WEFT_CHECK(other.rc == 1 && other.value == 20 && weft_now() == 110 * MS);
    WEFT_CHECK(weft_generator_next(other.g, &value) == 1 && value == 30 && traced(""));
    WEFT_CHECK(weft_generator_next(other.g, &value) == 0 && traced("joined "));
    WEFT_CHECK(weft_generator_close(other.g) == 0);
    return 0;
}

static int a_group_of_the_body_is_cancelled_by_the_close(void)
{
    int times[3] = { 30, 10, 20 }, value;
    weft_generator *g = weft_generator_new(int, as_they_end, times);
    WEFT_CHECK(weft_generator_next(g, &value) == 1 && value == 10);
    WEFT_CHECK(weft_generator_close(g) == 0 && weft_now() == 10 * MS); /* they were cut short */
    WEFT_CHECK(traced(""));
    g = weft_generator_new(int, as_they_end, times);
    WEFT_TIMEOUT (limit, 5 * MS) {
        WEFT_CHECK(weft_generator_next(g, &value) == WEFT_EDEADLINE && weft_now() == 15 * MS);
    }
    WEFT_CHECK(weft_generator_close(g) == 0);
    return 0;
}

/* ---- left open ---- */

static int left_in_a_task(void *arg)
{
    int value;
    (void)arg;
    static int none;
    return weft_generator_next(weft_generator_new(int, with_clean_up, &none), &value);
}

static int closed_at_the_end_of_the_group(void)
{
    char line[300] = "";
    int value, none = 0;
    weft_log_set_sink(keep_line, line);
    WEFT_GROUP (g) {
        WEFT_CHECK(weft_generator_next(weft_generator_new(int, with_clean_up, &none), &value) == 1);
        weft_go(&g, left_in_a_task, NULL);
        (void)counting(3);
        WEFT_TRY(weft_yield());
        WEFT_CHECK(traced(""));
    }
    WEFT_CHECK(traced("clean-up deferred-2 deferred-1 clean-up deferred-2 deferred-1 "));
    WEFT_CHECK(g.result == 0);
#ifdef WEFT_DEBUG
    WEFT_CHECK(strstr(line, "the generator with_clean_up made at ") && strstr(line, "was left open"));
#endif
    return 0;
}

static int leave_in_the_root_group(void *arg)
{
    weft_log_set_level(WEFT_LOG_ERROR);
    return left_in_a_task(arg);
}

static int leave_and_spawn(void *arg)
{
    weft_task *task;
    WEFT_TRY(weft_spawn(&task, leave_in_the_root_group, arg));
    return leave_in_the_root_group(arg);
}

static int closed_at_the_end_of_the_loop(void)
{
    WEFT_CHECK(weft_test_run(leave_in_the_root_group, NULL, NULL) == 1);
    WEFT_CHECK(traced("clean-up deferred-2 deferred-1 "));
    WEFT_CHECK(weft_test_run(leave_and_spawn, NULL, NULL) == 1);
    WEFT_CHECK(traced("clean-up deferred-2 deferred-1 clean-up deferred-2 deferred-1 "));
    return 0;
}

static int leave_one_inside(weft_generator *g, void *arg)
{
    int value;
    WEFT_TRY(weft_generator_next(weft_generator_new(int, with_clean_up, arg), &value));
    WEFT_TRY(weft_generator_yield(g, &value));
    note("outer");
    return 0;
}

static int closed_at_the_end_of_the_body(void)
{
    int value, none = 0;
    weft_log_set_level(WEFT_LOG_ERROR);
    weft_generator *g = weft_generator_new(int, leave_one_inside, &none);
    WEFT_GROUP (passing) {
        WEFT_CHECK(weft_generator_next(g, &value) == 1); /* it is the body's, not this group's */
    }
    WEFT_CHECK(passing.result == 0 && traced(""));
    WEFT_CHECK(weft_generator_next(g, &value) == 0 && traced("outer clean-up deferred-2 deferred-1 "));
    WEFT_CHECK(weft_generator_close(g) == 0);
    return 0;
}

/* ---- misuse ---- */

static int yield_outside(void *arg)
{
    int value = 0;
    (void)arg;
    weft_generator *g = counting(1);
    return weft_generator_yield(g, &value) == -EPERM && weft_generator_close(g) == 0 ? 7 : 1;
}

static int close_inside(weft_generator *g, void *arg)
{
    (void)arg;
    return weft_generator_close(g);
}

static int close_running(void *arg)
{
    int value = 0;
    (void)arg;
    weft_generator *g = weft_generator_new(int, close_inside, NULL);
    return weft_generator_next(g, &value) == -EALREADY && weft_generator_close(g) == 0 ? 7 : 1;
}

static int leave_scope_open(weft_generator *g, void *arg)
{
    (void)g;
    weft_scope_open(arg);
    return 0;
}

static int end_with_open_scope(void *arg)
{
    weft_scope scope = { .timeout = WEFT_HOUR };
    int value;
    (void)arg;
    return weft_generator_next(weft_generator_new(int, leave_scope_open, &scope), &value);
}

static int overflow(weft_generator *g, void *arg)
{
    volatile char deep[1024];
    deep[0] = 1;
    return *(int *)arg ? overflow(g, arg) + deep[0] : 0;
}

static int overflow_in_a_body(void *arg)
{
    int value, yes = 1;
    (void)arg;
    return weft_generator_next(weft_generator_new(int, overflow, &yes, .stack_size = 16 * 1024), &value);
}

static weft_task_fn *misuse;

static int run_misuse(void)
{
    return weft_run(misuse, NULL);
}

static bool dies_or_says(weft_task_fn *fn, const char *words, bool always)
{
    misuse = fn;
    child c = child_run(run_misuse);
    bool ended = child_exited_with(&c, 7) ? !always : child_was_killed_by(&c, SIGABRT) || child_was_killed_by(&c, SIGSEGV);
    bool ok = ended && strstr(c.error, words);
    if (!ok)
        child_print(&c);
    return ok;
}

static int misuse_is_named(void)
{
    WEFT_CHECK(dies_or_says(yield_outside, "yield outside the generator's body (count)", false));
    WEFT_CHECK(dies_or_says(close_running, "a generator (close_inside) is closed while it is being stepped", false));
    WEFT_CHECK(dies_or_says(end_with_open_scope, "the body of a generator (leave_scope_open) ended with a scope", true));
    if (!tools_is_sanitizer() && !tools_is_valgrind())
        WEFT_CHECK(dies_or_says(overflow_in_a_body, "stack overflow in task main", true));
    return 0;
}

/* ---- torture ---- */

static int pass_on(weft_generator *g, void *arg)
{
    int two = 2;
    WEFT_TRY(weft_defer(note_arg, (void *)(uintptr_t) "d"));
    WEFT_TRY(weft_generator_yield_from(g, weft_generator_new_copy(int, count_slowly, &two)));
    return weft_generator_yield_from(g, weft_generator_new(int, as_they_end, arg));
}

struct scenario {
    int times[3], sum, begun, ended;
};

static int consume_all(void *arg)
{
    struct scenario *s = arg;
    int rc = 0, last = 0;
    bool leaves = ++s->begun == 2;
    WEFT_FOR_EACH (int, i, weft_generator_new(int, pass_on, s->times), .result = &rc) {
        last = i;
        if (leaves && i == 10)
            break;
        rc = weft_yield();
        if (rc < 0)
            break;
    }
    s->sum += last;
    s->ended++;
    return rc;
}

static int run_scenario(void *arg)
{
    struct scenario *s = arg;
    int value;
    weft_log_set_level(WEFT_LOG_ERROR); /* it leaves one open when it is cut short */
    weft_generator *g = weft_generator_new(int, pass_on, s->times);
    WEFT_GROUP (tasks) {
        weft_go(&tasks, consume_all, s);
        weft_go(&tasks, consume_all, s);
        WEFT_TRY(weft_generator_next(g, &value));
        WEFT_TRY(weft_generator_next(g, &value));
        WEFT_TRY(weft_generator_next(g, &value));
    }
    int rc = weft_generator_close(g);
    return tasks.result < 0 ? tasks.result : rc;
}

static bool run_tortured(weft_test_report *report, weft_test_options options)
{
    struct scenario s = { .times = { 30, 10, 20 } };
    options.struct_size = sizeof options;
    int rc = weft_test_run_(run_scenario, &s, report, &options);
    bool ok = s.begun == s.ended && rc != -EDEADLK && report->ended_at < WEFT_MINUTE;
    ok = ok && (rc == 0 || (options.cancel_at && rc == WEFT_ECANCELED) || (options.fail_at && rc == -ENOMEM));
    ok = ok && (s.sum == 40 || options.cancel_at || options.fail_at);
    if (!ok)
        printf("# ended with %d, sum %d; seed %llu, cancel %llu %d, fail %llu\n", rc, s.sum, (unsigned long long)options.seed,
               (unsigned long long)options.cancel_at, (int)options.cancel_when, (unsigned long long)options.fail_at);
    trace[0] = '\0';
    return ok;
}

static int every_wait_cancelled(void)
{
    for (int way = WEFT_CANCEL_BEFORE; way <= WEFT_CANCEL_WOKEN; way++) {
        uint64_t struck = 0, n = 0;
        weft_test_report report;
        do {
            weft_test_options options = { .cancel_at = n + 1, .cancel_when = (enum weft_cancel_when)way, .seed = n };
            WEFT_CHECK(run_tortured(&report, options));
            struck += report.struck;
        } while (++n < report.waits);
        WEFT_CHECK(struck > 10);
    }
    return 0;
}

static int every_allocation_failed(void)
{
    weft_test_report report;
    uint64_t n = 0;
    do
        WEFT_CHECK(run_tortured(&report, (weft_test_options){ .fail_at = ++n }));
    while (report.struck && n < 200);
    WEFT_CHECK(n > 15 && n < 200);
    return 0;
}

static int many_seeds(void)
{
    weft_test_report report;
    for (uint64_t seed = 1; seed <= 2000 / tools_slowness(); seed++)
        WEFT_CHECK(run_tortured(&report, (weft_test_options){ .seed = seed }));
    return 0;
}

static const weft_test tests[] = {
    TEST(a_scope_of_the_body_stays_in_the_body),
    TEST(a_group_of_the_body_goes_on),
    TEST(a_group_of_the_body_is_cancelled_by_the_close),
    TEST(closed_at_the_end_of_the_group),
    PLAIN(closed_at_the_end_of_the_loop),
    TEST(closed_at_the_end_of_the_body),
    PLAIN(misuse_is_named),
    PLAIN(every_wait_cancelled),
    PLAIN(every_allocation_failed),
    PLAIN(many_seeds),
};

TEST_MAIN(tests)
