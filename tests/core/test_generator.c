/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Generators: steps, errors, closing, waiting, sending, delegation, the loop, and pipelines. */
#include <limits.h>

#include "tests/core/generators.h"

/* ---- steps and ends ---- */

static int nothing_runs_before_the_first_next(void)
{
    int three = 3, value = 0;
    weft_generator *g = weft_generator_new(int, count, &three);
    WEFT_TRY(weft_yield());
    WEFT_CHECK(traced(""));
    for (int i = 1; i <= 3; i++)
        WEFT_CHECK(weft_generator_next(g, &value) == 1 && value == i);
    WEFT_CHECK(traced("begin "));
    WEFT_CHECK(weft_generator_next(g, &value) == 0 && value == 3);
    WEFT_CHECK(traced("end "));
    WEFT_CHECK(weft_generator_next(g, &value) == 0 && weft_generator_next(g, &value) == 0);
    WEFT_CHECK(weft_generator_close(g) == 0);
    return 0;
}

static int fail_in_the_middle(weft_generator *g, void *arg)
{
    int one = 1;
    WEFT_TRY(weft_generator_yield(g, &one));
    if (arg)
        note("handled"); /* its own error */
    else
        return weft_fail(-ERANGE, "no more of these");
    int two = 2;
    return weft_generator_yield(g, &two);
}

static int errors_reach_the_consumer(void)
{
    int value = 0;
    weft_generator *g = weft_generator_new(int, fail_in_the_middle, NULL);
    WEFT_CHECK(weft_generator_next(g, &value) == 1 && value == 1);
    WEFT_CHECK(weft_generator_next(g, &value) == -ERANGE && strstr(weft_error_trail(), "no more of these"));
    WEFT_CHECK(weft_generator_next(g, &value) == -ERANGE);
    WEFT_CHECK(weft_generator_close(g) == 0); /* it has been told */
    g = weft_generator_new(int, fail_in_the_middle, "");
    WEFT_CHECK(weft_generator_next(g, &value) == 1 && weft_generator_next(g, &value) == 1 && value == 2);
    WEFT_CHECK(weft_generator_next(g, &value) == 0);
    WEFT_CHECK(weft_generator_close(g) == 0 && traced("handled "));
    return 0;
}

static int wrong_sizes_and_no_generator(void)
{
    int value;
    char small;
    weft_generator *g = counting(1);
    WEFT_CHECK(weft_generator_next(g, &small) == -EINVAL && traced(""));
    WEFT_CHECK(weft_generator_next(g, &value) == 1);
    WEFT_CHECK(weft_generator_close(g) == 0 && traced("begin "));
    WEFT_CHECK(weft_generator_next((weft_generator *)NULL, &value) == -ENOMEM);
    WEFT_CHECK(weft_generator_send((weft_generator *)NULL, &value, &value) == -ENOMEM);
    WEFT_CHECK(weft_generator_close(NULL) == 0 && weft_generator_memory(NULL) == 0);
    errno = 0;
    WEFT_CHECK(!weft_generator_new_(0, "", "", 0, count, NULL, 0, &(weft_generator_options){ 0 }) && errno == EINVAL);
    WEFT_CHECK(!weft_generator_new_(65537, "", "", 0, count, NULL, 0, &(weft_generator_options){ 0 }));
    WEFT_CHECK(!weft_generator_new_(1, "", "", 0, count, trace, 65537, &(weft_generator_options){ 0 }));
    return 0;
}

static int memory_is_that_of_touched_pages(void)
{
    int value;
    weft_generator *g = counting(2);
    size_t before = weft_generator_memory(g);
    WEFT_CHECK(before > 0 && before < 1024);
    WEFT_CHECK(weft_generator_next(g, &value) == 1);
    size_t during = weft_generator_memory(g);
    WEFT_CHECK(during >= before + 4096 && during <= before + 64 * 1024);
    WEFT_CHECK(weft_generator_next(g, &value) == 1 && weft_generator_next(g, &value) == 0);
    WEFT_CHECK(weft_generator_memory(g) == before);
    WEFT_CHECK(weft_generator_close(g) == 0 && traced("begin end "));
    return 0;
}

/* ---- closing ---- */

static int close_runs_the_clean_up(void)
{
    int value, ends_with = 0;
    weft_generator *g = weft_generator_new(int, with_clean_up, &ends_with);
    WEFT_CHECK(weft_generator_next(g, &value) == 1 && weft_generator_next(g, &value) == 1 && value == 2);
    weft_duration start = weft_now();
    WEFT_CHECK(weft_generator_close(g) == 0);
    WEFT_CHECK(weft_now() == start + WEFT_SECOND);
    WEFT_CHECK(traced("clean-up deferred-2 deferred-1 "));
    ends_with = -EIO;
    g = weft_generator_new(int, with_clean_up, &ends_with);
    WEFT_CHECK(weft_generator_close(g) == 0 && traced("")); /* it had not begun */
    g = weft_generator_new(int, with_clean_up, &ends_with);
    WEFT_CHECK(weft_generator_next(g, &value) == 1 && weft_generator_close(g) == -EIO);
    WEFT_CHECK(traced("clean-up deferred-2 deferred-1 "));
    return 0;
}

static int clean_up_for_ever(weft_generator *g, void *arg)
{
    (void)arg;
    int i = 0;
    if (weft_generator_yield(g, &i) < 0)
        return weft_sleep(WEFT_HOUR);
    return 0;
}

static int ignore_the_close(weft_generator *g, void *arg)
{
    int i = 0;
    for (int refused = 0; refused < 120;)
        refused += weft_generator_yield(g, &i) < 0;
    *(weft_duration *)arg = weft_now();
    return 0;
}

static int clean_up_is_bounded(void)
{
    int value;
    weft_duration start = weft_now(), end = 0;
    weft_generator *g = weft_generator_new(int, clean_up_for_ever, NULL);
    WEFT_CHECK(weft_generator_next(g, &value) == 1);
    WEFT_CHECK(weft_generator_close(g) == WEFT_EDEADLINE && weft_now() == start + WEFT_CLEANUP_TIME);
    g = weft_generator_new(int, ignore_the_close, &end);
    WEFT_CHECK(weft_generator_next(g, &value) == 1);
    start = weft_now();
    weft_log_set_level(WEFT_LOG_ERROR);
    WEFT_CHECK(weft_generator_close(g) == 0 && end > start + WEFT_SECOND); /* it was slowed down */
    return 0;
}

static int close_in_a_cancelled_task(void *arg)
{
    int value, none = 0;
    weft_generator *g = weft_generator_new(int, with_clean_up, &none);
    WEFT_CHECK(weft_generator_next(g, &value) == 1 && value == 1);
    weft_cancel(arg);
    WEFT_CHECK(weft_generator_next(g, &value) == WEFT_ECANCELED && value == 1); /* refused: the body does not hear of it */
    WEFT_CHECK(weft_generator_next(g, &value) == WEFT_ECANCELED && traced(""));
    WEFT_CHECK(weft_generator_close(g) == 0 && traced("clean-up deferred-2 deferred-1 "));
    return 0;
}

static int a_cancelled_consumer_closes(void)
{
    WEFT_TIMEOUT (scope, WEFT_NO_LIMIT) {
        WEFT_TRY(close_in_a_cancelled_task(&scope));
    }
    int value;
    weft_generator *g = counting(2);
    WEFT_TIMEOUT (limit, 0) {
        WEFT_CHECK(weft_generator_next(g, &value) == WEFT_EDEADLINE && traced(""));
    }
    WEFT_CHECK(weft_generator_next(g, &value) == 1 && value == 1); /* nothing was lost */
    WEFT_CHECK(weft_generator_close(g) == 0 && traced("begin "));
    return 0;
}

/* ---- bodies that wait ---- */

static int count_in_spite(weft_generator *g, void *arg)
{
    for (int i = 1; i <= *(int *)arg; i++) {
        int rc = weft_sleep(10 * MS);
        int value = rc < 0 ? rc : i;
        WEFT_TRY(weft_generator_yield(g, &value));
    }
    return 0;
}

static int a_deadline_cuts_the_body(void)
{
    int three = 3, value = 0;
    weft_generator *g = weft_generator_new(int, count_slowly, &three);
    WEFT_CHECK(weft_generator_next(g, &value) == 1 && weft_now() == 10 * MS);
    WEFT_TIMEOUT (limit, 5 * MS) {
        WEFT_CHECK(weft_generator_next(g, &value) == WEFT_EDEADLINE && limit.expired && weft_now() == 15 * MS);
    }
    WEFT_CHECK(weft_generator_next(g, &value) == WEFT_EDEADLINE); /* the body has ended with it */
    WEFT_CHECK(weft_generator_close(g) == 0);
    g = weft_generator_new(int, count_in_spite, &three);
    WEFT_TIMEOUT (second, 5 * MS) {
        WEFT_CHECK(weft_generator_next(g, &value) == 1 && value == WEFT_EDEADLINE);
    }
    WEFT_CHECK(weft_generator_next(g, &value) == 1 && value == 2);
    WEFT_CHECK(weft_generator_close(g) == 0);
    return 0;
}

static int sum_slowly(void *arg)
{
    int *sum = arg, n = *sum;
    *sum = 0;
    WEFT_FOR_EACH (int, i, weft_generator_new(int, count_slowly, &n))
        *sum += i;
    return 0;
}

static int several_at_once_in_several_tasks(void)
{
    int sums[4] = { 1, 2, 3, 4 };
    WEFT_GROUP (g) {
        for (int i = 0; i < 4; i++)
            weft_go(&g, sum_slowly, &sums[i]);
    }
    WEFT_CHECK(sums[0] == 1 && sums[1] == 3 && sums[2] == 6 && sums[3] == 10 && weft_now() == 40 * MS);
    return g.result;
}

static int several_at_once_in_one_task(void)
{
    int x, y, sum = 0;
    weft_generator *a = counting(5), *b = counting(4);
    while (weft_generator_next(a, &x) > 0 && weft_generator_next(b, &y) > 0)
        sum += x * y;
    WEFT_CHECK(sum == 1 + 4 + 9 + 16 && x == 5);
    WEFT_CHECK(weft_generator_close(a) == 0 && weft_generator_close(b) == 0 && traced("begin begin end "));
    return 0;
}

/* ---- other consumers ---- */

static int one_consumer_at_a_time(void)
{
    int three = 3;
    struct consumer a = { .g = weft_generator_new(int, count_slowly, &three) }, b = a, c = a;
    WEFT_GROUP (g) {
        weft_go(&g, consume_one, &a);
        weft_go(&g, consume_one, &b);
    }
    WEFT_CHECK(a.rc == 1 && a.value == 1 && b.rc == -EALREADY);
    WEFT_CHECK(weft_generator_send(a.g, &three, &b.value) == -EINVAL);
    WEFT_GROUP (g2) {
        weft_go(&g2, consume_one, &c);
    }
    WEFT_CHECK(c.rc == 1 && c.value == 2);
    WEFT_CHECK(weft_generator_next(a.g, &a.value) == 1 && a.value == 3 && weft_generator_next(a.g, &a.value) == 0);
    WEFT_CHECK(weft_generator_close(a.g) == 0);
    return 0;
}

static int step_itself(weft_generator *g, void *arg)
{
    (void)arg;
    int value = 0;
    value = weft_generator_next(g, &value);
    return weft_generator_yield(g, &value);
}

static int a_body_cannot_step_itself(void)
{
    int value = 0;
    weft_generator *g = weft_generator_new(int, step_itself, NULL);
    WEFT_CHECK(weft_generator_next(g, &value) == 1 && value == -EALREADY);
    WEFT_CHECK(weft_generator_close(g) == 0);
    return 0;
}

/* ---- two ways ---- */

static int average(weft_generator *g, void *arg)
{
    (void)arg;
    double sum = 0, mean = 0;
    for (int n = 1;; n++) {
        int value, rc = weft_generator_yield_receive(g, &mean, &value);
        if (rc < 0)
            return rc;
        if (rc == 0)
            return 0; /* a plain next: nothing more will be sent */
        sum += value;
        mean = sum / n;
    }
}

static int values_are_sent_in(void)
{
    double mean = -1;
    int value = 10;
    long too_long = 1;
    weft_generator *g = weft_generator_new(double, average, NULL);
    WEFT_CHECK(weft_generator_send(g, &value, &mean) == -EINVAL); /* there is no yield yet to receive it */
    WEFT_CHECK(weft_generator_next(g, &mean) == 1 && mean == 0);
    WEFT_CHECK(weft_generator_send(g, &too_long, &mean) == -EINVAL);
    WEFT_CHECK(weft_generator_send(g, &value, &mean) == 1 && mean == 10);
    value = 20;
    WEFT_CHECK(weft_generator_send(g, &value, &value) == -EINVAL);
    WEFT_CHECK(weft_generator_send(g, &value, &mean) == 1 && mean == 15);
    WEFT_CHECK(weft_generator_next(g, &mean) == 0);
    WEFT_CHECK(weft_generator_send(g, &value, &mean) == 0 && mean == 15);
    WEFT_CHECK(weft_generator_close(g) == 0);
    int two = 2;
    g = weft_generator_new(int, count, &two);
    WEFT_CHECK(weft_generator_next(g, &value) == 1);
    WEFT_CHECK(weft_generator_send(g, &two, &value) == -EINVAL); /* a yield that receives nothing */
    WEFT_CHECK(weft_generator_close(g) == 0 && traced("begin "));
    return 0;
}

/* ---- delegation ---- */

static int around(weft_generator *g, void *arg)
{
    int zero = 0, ninety_nine = 99;
    WEFT_TRY(weft_generator_yield(g, &zero));
    WEFT_TRY(weft_generator_yield_from(g, *(weft_generator **)arg));
    return weft_generator_yield(g, &ninety_nine);
}

static int sum_of(weft_generator *g, int *ret_rc)
{
    int sum = 0;
    WEFT_FOR_EACH (int, i, g, .result = ret_rc)
        sum = sum * 10 + i;
    return sum;
}

static int delegation(void)
{
    int rc = 1;
    weft_generator *inner = counting(3), *middle = weft_generator_new(int, around, &inner);
    WEFT_CHECK(sum_of(weft_generator_new(int, around, &middle), &rc) ==
               (((((0 * 10 + 0) * 10 + 1) * 10 + 2) * 10 + 3) * 10 + 99) * 10 + 99);
    WEFT_CHECK(rc == 0 && traced("begin end "));
    inner = weft_generator_new(int, fail_in_the_middle, NULL);
    WEFT_CHECK(sum_of(weft_generator_new(int, around, &inner), &rc) == 1 && rc == -ERANGE);
    weft_generator *wide = weft_generator_range(0, 3, 1);
    WEFT_CHECK(sum_of(weft_generator_new(int, around, &wide), &rc) == 0 && rc == -EINVAL); /* of longs */
    inner = NULL;
    WEFT_CHECK(sum_of(weft_generator_new(int, around, &inner), &rc) == 0 && rc == -ENOMEM);
    return 0;
}

static int clean_up_after(weft_generator *g, void *arg)
{
    int rc = weft_generator_yield_from(g, *(weft_generator **)arg);
    note(rc == WEFT_ECANCELED ? "outer" : "?");
    return rc;
}

static int close_goes_inward_first(void)
{
    int value, none = 0;
    weft_generator *inner = weft_generator_new(int, with_clean_up, &none);
    weft_generator *outer = weft_generator_new(int, clean_up_after, &inner);
    WEFT_CHECK(weft_generator_next(outer, &value) == 1 && weft_generator_close(outer) == 0);
    WEFT_CHECK(traced("clean-up deferred-2 deferred-1 outer "));
    return 0;
}

static int average_from(weft_generator *g, void *arg)
{
    (void)arg;
    return weft_generator_yield_from(g, weft_generator_new(double, average, NULL));
}

static int what_is_sent_goes_inward(void)
{
    double mean;
    int value = 10;
    weft_generator *g = weft_generator_new(double, average_from, NULL);
    WEFT_CHECK(weft_generator_next(g, &mean) == 1 && weft_generator_send(g, &value, &mean) == 1 && mean == 10);
    value = 30;
    WEFT_CHECK(weft_generator_send(g, &value, &mean) == 1 && mean == 20 && weft_generator_next(g, &mean) == 0);
    WEFT_CHECK(weft_generator_close(g) == 0);
    return 0;
}

/* ---- the loop ---- */

static int leave_by_return(void)
{
    static int none;
    WEFT_FOR_EACH (int, i, weft_generator_new(int, with_clean_up, &none)) {
        if (i == 3)
            return 7;
    }
    return 0;
}

static int the_loop_closes(void)
{
    int none = 0, sum = 0, rc = 1;
    WEFT_FOR_EACH (int, i, weft_generator_new(int, with_clean_up, &none)) {
        if (i % 2)
            continue;
        if (i > 6)
            break;
        WEFT_FOR_EACH (int, k, counting(i))
            sum += k;
    }
    WEFT_CHECK(sum == 3 + 10 + 21);
    WEFT_CHECK(traced("begin end begin end begin end clean-up deferred-2 deferred-1 "));
    WEFT_CHECK(leave_by_return() == 7 && traced("clean-up deferred-2 deferred-1 "));
    none = -EIO;
    WEFT_FOR_EACH (int, i, weft_generator_new(int, with_clean_up, &none), .result = &rc) {
        if (i == 1)
            break;
    }
    WEFT_CHECK(rc == -EIO && traced("clean-up deferred-2 deferred-1 "));
    WEFT_FOR_EACH (int, i, counting(1), .result = &rc)
        sum -= i;
    WEFT_CHECK(rc == 0 && sum == 33 && traced("begin end "));
    return 0;
}

static int the_loop_logs_errors_that_nobody_asks_for(void)
{
    char line[300] = "";
    weft_log_set_sink(keep_line, line);
    WEFT_FOR_EACH (int, i, weft_generator_new(int, fail_in_the_middle, NULL))
        WEFT_CHECK(i == 1);
    WEFT_CHECK(strstr(line, "a loop over a generator ended with an error: "));
    line[0] = '\0';
    WEFT_TIMEOUT (limit, 0) {
        WEFT_FOR_EACH (int, i, counting(1))
            WEFT_CHECK(!i);
    }
    WEFT_CHECK(!line[0]);
    return 0;
}

/* ---- pipelines ---- */

WEFT_MAP_FN(square, long, long, n, n *n)
WEFT_MAP_FN(shorten, short, long, n, (short)n)
WEFT_FILTER_FN(is_odd, long, n, n % 2)

static int fail_at_3(const void *from, void *to, void *arg)
{
    (void)arg;
    *(long *)to = *(const long *)from;
    return *(const long *)from == 3 ? -ERANGE : 0;
}

static int wait_and_keep(const void *value, void *arg)
{
    (void)arg;
    int rc = weft_sleep(10 * MS);
    return rc < 0 ? rc : *(const long *)value != 1;
}

static int sum_of_longs(weft_generator *g, int *ret_rc)
{
    long sum = 0;
    WEFT_FOR_EACH (long, n, g, .result = ret_rc)
        sum = sum * 100 + n;
    return (int)sum;
}

static int pipelines(void)
{
    int rc;
    WEFT_CHECK(sum_of_longs(weft_generator_range(3, 6, 1), &rc) == 30405 && rc == 0);
    WEFT_CHECK(sum_of_longs(weft_generator_range(6, 3, -1), &rc) == 60504);
    WEFT_CHECK(sum_of_longs(weft_generator_range(6, 6, 1), &rc) == 0 && sum_of_longs(weft_generator_range(7, 6, 1), &rc) == 0);
    WEFT_CHECK(!weft_generator_range(1, 2, 0));
    weft_generator *g = weft_generator_map(long, weft_generator_range(0, 1000000, 1), square, NULL);
    g = weft_generator_take(weft_generator_filter(g, is_odd, NULL), 4);
    WEFT_CHECK(weft_generator_memory(g) > 0 && weft_generator_memory(g) < 2000);
    WEFT_CHECK(sum_of_longs(g, &rc) == 1092549 && rc == 0);
    short little = 0;
    g = weft_generator_map(short, weft_generator_range(7, 8, 1), shorten, NULL);
    WEFT_CHECK(weft_generator_next(g, &little) == 1 && little == 7 && weft_generator_next(g, &little) == 0);
    WEFT_CHECK(weft_generator_send(g, &little, &little) == 0 && weft_generator_close(g) == 0);
    g = weft_generator_map(long, weft_generator_range(1, 9, 1), fail_at_3, NULL);
    WEFT_CHECK(sum_of_longs(g, &rc) == 102 && rc == -ERANGE);
    g = weft_generator_filter(weft_generator_range(0, 3, 1), wait_and_keep, NULL);
    WEFT_CHECK(sum_of_longs(g, &rc) == 2 && weft_now() == 30 * MS);
    return 0;
}

static int ranges_end_at_the_ends_of_long(void)
{
    int times = 0;
    WEFT_FOR_EACH (long, n, weft_generator_range(LONG_MAX - 1, LONG_MAX, 5))
        times += n > 0;
    WEFT_FOR_EACH (long, n, weft_generator_range(LONG_MIN + 3, LONG_MIN, -2))
        times += n < 0;
    WEFT_CHECK(times == 3);
    return 0;
}

static int count_longs(weft_generator *g, void *arg)
{
    long n = 0;
    int rc;
    do {
        ++*(int *)arg;
        n++;
        rc = weft_generator_yield(g, &n);
    } while (rc == 0);
    note("closed");
    return rc;
}

static int stages_own_their_source(void)
{
    int asked = 0, rc;
    weft_generator *g = weft_generator_new(long, count_longs, &asked);
    WEFT_CHECK(sum_of_longs(weft_generator_take(weft_generator_filter(g, is_odd, NULL), 2), &rc) == 103 && rc == 0);
    WEFT_CHECK(asked == 3 && traced("closed ")); /* nothing was asked for that nobody wanted */
    WEFT_CHECK(!weft_generator_map(long, weft_generator_filter(weft_generator_take(NULL, 1), is_odd, NULL), square, NULL));
    return 0;
}

static const weft_test tests[] = {
    TEST(nothing_runs_before_the_first_next),
    TEST(errors_reach_the_consumer),
    TEST(wrong_sizes_and_no_generator),
    TEST(memory_is_that_of_touched_pages),
    TEST(close_runs_the_clean_up),
    TEST(clean_up_is_bounded),
    TEST(a_cancelled_consumer_closes),
    TEST(a_deadline_cuts_the_body),
    TEST(several_at_once_in_several_tasks),
    TEST(several_at_once_in_one_task),
    TEST(one_consumer_at_a_time),
    TEST(a_body_cannot_step_itself),
    TEST(values_are_sent_in),
    TEST(delegation),
    TEST(close_goes_inward_first),
    TEST(what_is_sent_goes_inward),
    TEST(the_loop_closes),
    TEST(the_loop_logs_errors_that_nobody_asks_for),
    TEST(pipelines),
    TEST(ranges_end_at_the_ends_of_long),
    TEST(stages_own_their_source),
};

TEST_MAIN(tests)
