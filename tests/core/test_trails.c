/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Trails: where an error failed first and through what it passed, in one task and from task to task. */
#include <stdlib.h>

#include "tests/core/core.h"

#define NOINLINE __attribute__((noinline))

/* "test_trails.c:LINE" of the words after `mark` in a trail; 0 when there is none. */
static int line_after(const char *trail, const char *mark)
{
    const char *at = strstr(trail, mark);
    at = at ? strstr(at, "test_trails.c:") : NULL;
    return at ? (int)strtol(at + strlen("test_trails.c:"), NULL, 10) : 0;
}

static int count_places(const char *trail)
{
    int count = 0;
    while ((trail = strstr(trail, "test_trails.c:"))) {
        trail++;
        count++;
    }
    return count;
}

static int fail_line, try_line;

static NOINLINE int fail_deep(int error)
{
    fail_line = __LINE__ + 1;
    return weft_fail(error, "no user %d", 7);
}

static NOINLINE int pass_on(int error)
{
    try_line = __LINE__ + 1;
    WEFT_TRY(fail_deep(error));
    return 0;
}

static NOINLINE int pass_twice(int error)
{
    WEFT_TRY(pass_on(error));
    return 0;
}

static int through_calls(void)
{
    WEFT_CHECK(weft_error_trail()[0] == '\0');
    WEFT_CHECK(pass_twice(-EIO) == -EIO);
    const char *trail = weft_error_trail();
    WEFT_CHECK(line_after(trail, "") == fail_line && strstr(trail, "no user 7: Input/output error"));
    WEFT_CHECK(line_after(trail, "passed") == try_line && count_places(trail) == 3);
    return 0;
}

static NOINLINE int raw(int error)
{
    WEFT_TRY(error);
    return 0;
}

static int a_new_error_begins_a_new_trail(void)
{
    WEFT_CHECK(pass_twice(-EIO) == -EIO);
    WEFT_CHECK(raw(-EPIPE) == -EPIPE);
    WEFT_CHECK(count_places(weft_error_trail()) == 1 && strstr(weft_error_trail(), "Broken pipe"));
    for (int i = 0; i < 3; i++) /* the same place again is a new failure */
        WEFT_CHECK(raw(-EPIPE) == -EPIPE && count_places(weft_error_trail()) == 1);
    WEFT_CHECK(pass_on(-EIO) == -EIO && count_places(weft_error_trail()) == 2);
    return 0;
}

static NOINLINE int recurse(int depth)
{
    if (depth == 0)
        return weft_fail(-EIO, "%0200d", 1); /* cut to what is kept */
    if (depth % 2)
        WEFT_TRY(recurse(depth - 1));
    else
        WEFT_TRY(recurse(depth - 1));
    return 0;
}

static int long_trails_are_cut(void)
{
    WEFT_CHECK(recurse(60) == -EIO);
    const char *trail = weft_error_trail();
    WEFT_CHECK(strlen(trail) < 1024 && strstr(trail, "0000") && strstr(trail, " ... ") && count_places(trail) == 10);
    return 0;
}

/* ---- from task to task ---- */

static int fail_in_task(void *arg)
{
    WEFT_TRY(weft_sleep(10 * MS));
    return pass_on(*(int *)arg);
}

static NOINLINE int join_and_try(int *error)
{
    WEFT_GROUP (g) {
        weft_go(&g, fail_in_task, error);
    }
    WEFT_TRY(g.result);
    return 0;
}

static void check_whole(const char *trail, int places)
{
    WEFT_CHECK(line_after(trail, "") == fail_line && line_after(trail, "passed") == try_line);
    WEFT_CHECK(strstr(trail, "no user 7") && count_places(trail) == places);
}

static int through_a_group(void)
{
    int error = -EIO;
    WEFT_CHECK(join_and_try(&error) == -EIO);
    check_whole(weft_error_trail(), 3);
    return 0;
}

static NOINLINE int wait_in_failed_group(int *error)
{
    WEFT_GROUP (g) {
        weft_go(&g, fail_in_task, error);
        WEFT_TRY(weft_sleep(WEFT_HOUR));
    }
    return g.result;
}

static int out_of_a_failed_block(void)
{
    int error = -EIO;
    WEFT_CHECK(wait_in_failed_group(&error) == -EIO);
    check_whole(weft_error_trail(), 3);
    return 0;
}

static NOINLINE int await_and_try(int *error, bool after)
{
    weft_task *task;
    WEFT_TRY(weft_spawn(&task, fail_in_task, error));
    if (after)
        WEFT_TRY(weft_sleep(20 * MS));
    WEFT_TRY(weft_await(task));
    return 0;
}

struct collector {
    int *error;
    bool after;
};

/* Spawns into the group of this task. */
static int await_in_task(void *arg)
{
    struct collector *c = arg;
    WEFT_CHECK(await_and_try(c->error, c->after) == *c->error);
    check_whole(weft_error_trail(), 3);
    return 0;
}

static int through_an_await(void)
{
    int error = -EIO;
    for (int after = 0; after < 2; after++) {
        struct collector c = { &error, after };
        WEFT_GROUP (g, .on_error = WEFT_COLLECT) {
            weft_go(&g, await_in_task, &c);
        }
        WEFT_CHECK(g.result == -EIO);
        check_whole(weft_error_trail(), 2); /* the group has it too */
    }
    return 0;
}

static NOINLINE int await_in_group(int *error)
{
    weft_task *task;
    WEFT_GROUP (g) {
        WEFT_TRY(weft_spawn(&task, fail_in_task, error));
        WEFT_TRY(weft_await(task));
    }
    return 0;
}

static int through_an_await_out_of_its_group(void)
{
    int error = -EIO;
    WEFT_CHECK(await_in_group(&error) == -EIO);
    check_whole(weft_error_trail(), 3);
    return 0;
}

static int through_next(void)
{
    int error = -EIO;
    WEFT_GROUP (g, .keep_ended = true, .on_error = WEFT_COLLECT) {
        weft_ended ended;
        weft_go(&g, succeed, NULL);
        weft_go(&g, fail_in_task, &error);
        weft_go(&g, fail_in_task, &error);
        WEFT_CHECK(weft_group_next(&g, &ended) == 1 && ended.result == 0);
        WEFT_CHECK(weft_group_next(&g, &ended) == 1 && ended.result == -EIO);
        WEFT_CHECK(weft_group_next(&g, &ended) == 1 && ended.result == -EIO);
        check_whole(weft_error_trail(), 2);
    }
    WEFT_CHECK(g.result == -EIO);
    return 0;
}

static int outside_a_task(void)
{
    WEFT_CHECK(weft_error_trail()[0] == '\0');
    WEFT_CHECK(pass_twice(-EIO) == -EIO);
    WEFT_CHECK(weft_error_trail()[0] == '\0');
    return 0;
}

static int errors_have_words(void)
{
    static const int errors[] = {
        WEFT_ECANCELED,    WEFT_EDEADLINE, WEFT_ECLOSED, WEFT_EGONE, WEFT_EPROTOCOL,  WEFT_ETLS,
        WEFT_ECERTIFICATE, WEFT_ENAME,     -EIO,         -ENOMEM,    WEFT_EHTTP(404), WEFT_EHTTP(503)
    };
    for (size_t i = 0; i < COUNT(errors); i++) {
        WEFT_CHECK(strcmp(weft_strerror(errors[i]), "unknown error") != 0);
        for (size_t k = 0; k < i; k++)
            WEFT_CHECK(strcmp(weft_strerror(errors[i]), weft_strerror(errors[k])) != 0);
    }
    WEFT_CHECK(strcmp(weft_strerror(0), "success") == 0 && strcmp(weft_strerror(1), "success") == 0);
    static const int unknown[] = { -3999, -4000, -4009, -4999, -5000, -5099, -5600, INT32_MIN };
    for (size_t i = 0; i < COUNT(unknown); i++)
        WEFT_CHECK(strcmp(weft_strerror(unknown[i]), "unknown error") == 0);
    return 0;
}

static const weft_test tests[] = {
    TEST(through_calls),
    TEST(a_new_error_begins_a_new_trail),
    TEST(long_trails_are_cut),
    TEST(through_a_group),
    TEST(out_of_a_failed_block),
    TEST(through_an_await),
    TEST(through_an_await_out_of_its_group),
    TEST(through_next),
    PLAIN(outside_a_task),
    PLAIN(errors_have_words),
};

TEST_MAIN(tests)
