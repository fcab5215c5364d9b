/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* The tasks as a tree, and the circle of a deadlock: compared whole, with addresses and places in this file masked. */
#include "child.h"

#include <weft/generator.h>
#include <weft/lock.h>

#include "lib/task/task.h"

/* Each "0x..." becomes "@", each place in this file "HERE"; lines that say where a task stands are left out. In place. */
static void mask(char *text)
{
    char *out = text;
    for (const char *in = text; *in;) {
        if ((out == text || out[-1] == '\n') && strncmp(in + strspn(in, " "), "in ", 3) == 0) {
            in += strcspn(in, "\n");
            in += *in == '\n';
            continue;
        }
        size_t path = strcspn(in, " :,\n()");
        if (path > 13 && strncmp(in + path - 13, "test_report.c", 13) == 0 && in[path] == ':') {
            out = (char *)memcpy(out, "HERE", 4) + 4;
            in += path + 1 + strspn(in + path + 1, "0123456789");
        } else if (strncmp(in, "0x", 2) == 0) {
            *out++ = '@';
            in += 2 + strspn(in + 2, "0123456789abcdef");
        } else {
            *out++ = *in++;
        }
    }
    *out = '\0';
}

/* The list, masked; free it. */
static char *list(void)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    weft_tasks_print(out);
    fclose(out);
    mask(text);
    return text;
}

static bool check_list(const char *expected)
{
    char *text = list();
    bool ok = strcmp(text, expected) == 0;
    if (!ok)
        fprintf(stderr, "expected:\n%sgot:\n%s", expected, text);
    free(text);
    return ok;
}

/* ---- the tree ---- */

static int take_and_sleep(void *lock)
{
    WEFT_LOCKED (held, (weft_lock *)lock) {
        WEFT_TRY(weft_sleep(2 * WEFT_SECOND));
    }
    return held.result;
}

static int take_soon(void *lock)
{
    WEFT_TIMEOUT (limit, WEFT_MINUTE) {
        weft_task_self()->label = "/a/{b}";
        WEFT_TRY(weft_sleep(MS));
        int rc = weft_lock_acquire(lock);
        if (rc == 0)
            weft_lock_release(lock);
    }
    return 0;
}

static int open_group(void *lock)
{
    WEFT_GROUP (inner, .limit = 5, .timeout = 10 * WEFT_SECOND) {
        weft_go(&inner, take_and_sleep, lock);
        weft_go(&inner, take_soon, lock);
    }
    return inner.result;
}

static int a_tree_of_groups_and_tasks(void)
{
    weft_lock lock;
    weft_lock_init(&lock);
    WEFT_GROUP (outer) {
        weft_task *spawned;
        weft_go(&outer, open_group, &lock);
        WEFT_TRY(weft_spawn(&spawned, sleep_long, NULL));
        WEFT_TRY(weft_sleep(500 * MS));
        WEFT_CHECK(check_list(
            "running  test, 0.500 s old, started at HERE\n"
            "  group opened at HERE: 2 tasks\n"
            "  parked   open_group, 0.500 s old, started at HERE, waits for: join (@), of 2 tasks of the group opened at "
            "HERE\n"
            "    group opened at HERE: 2 tasks of at most 5, deadline in 9.500 s\n"
            "    parked   take_and_sleep, 0.500 s old, started at HERE, holds a lock, waits for: sleep, 1.500 s left\n"
            "    parked   take_soon /a/{b}, 0.500 s old, started at HERE, deadline in 59.500 s, waits for: lock (@), held "
            "by take_and_sleep started at HERE\n"
            "  parked   sleep_long, 0.500 s old, started at HERE, waits for: sleep, 3599.500 s left\n"));
        weft_group_cancel(&outer);
        WEFT_CHECK(
            check_list("running  test, 0.500 s old, started at HERE, cut short: cancelled\n"
                       "  group opened at HERE: 2 tasks, cut short: cancelled\n"
                       "  parked   open_group, 0.500 s old, started at HERE, waits for: join (@), of 2 tasks of the group "
                       "opened at HERE, cut short: cancelled\n"
                       "    group opened at HERE: 2 tasks of at most 5, deadline in 9.500 s, cut short: cancelled\n"
                       "    ready    take_and_sleep, 0.500 s old, started at HERE, holds a lock, cut short: cancelled\n"
                       "    ready    take_soon /a/{b}, 0.500 s old, started at HERE, deadline in 59.500 s, cut short: "
                       "cancelled\n"
                       "  ready    sleep_long, 0.500 s old, started at HERE, cut short: cancelled\n"));
    }
    weft_lock_close(&lock);
    return 0;
}

/* ---- where they stand ---- */

static __attribute__((noinline)) int wait_deep(int depth, void *queue)
{
    int item = 0, rc = depth > 0 ? wait_deep(depth - 1, queue) : weft_queue_get((weft_queue *)queue, &item);
    return rc + item * depth;
}

static int stand_deep(void *queue)
{
    return wait_deep(3, queue) + 1;
}

static int stand_deeper(void *queue)
{
    return wait_deep(40, queue) + 1;
}

static int start_in_one_place(weft_group *g, bool deeper, weft_queue *queue)
{
    return weft_go_(g, "stand", __FILE__, 1, deeper ? stand_deeper : stand_deep, queue, 0);
}

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, part)); at++)
        count++;
    return count;
}

static int each_shows_where_it_stands(void)
{
    weft_queue *queue = weft_queue_new(sizeof(int), 1);
    WEFT_GROUP (g) {
        WEFT_CHECK(start_in_one_place(&g, false, queue) == 0);
        WEFT_CHECK(start_in_one_place(&g, false, queue) == 0); /* where the first one stands */
        WEFT_CHECK(start_in_one_place(&g, true, queue) == 0);  /* alike, but elsewhere */
        WEFT_TRY(weft_sleep(MS));
        char *text = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);
        weft_tasks_print(out);
        fclose(out);
        WEFT_CHECK(count_of(text, "parked   stand") == 3);
        const char *third = strstr(text, "parked   stand");
        third = strstr(strstr(third + 1, "parked   stand") + 1, "parked   stand");
        WEFT_CHECK(count_of(text, "\n           in ") == 5 + 16 && count_of(third, "\n           in ") == 16);
        WEFT_CHECK(count_of(third, "\n           and more\n") == 1 && count_of(text, "\n           and more\n") == 1);
#ifdef WEFT_LIBDW
        WEFT_CHECK(strstr(text, "\n           in wait_deep at test_report.c:") &&
                   strstr(text, "in stand_deep at test_report.c:"));
#endif
        free(text);
        weft_group_cancel(&g);
    }
    weft_queue_free(queue);
    return 0;
}

/* ---- where a task stands that steps a generator: in the body, and in who steps that ---- */

static int sleepy_body(weft_generator *g, void *unused)
{
    int value = 1;
    (void)unused;
    WEFT_TRY(weft_sleep(WEFT_HOUR));
    return weft_generator_yield(g, &value);
}

static __attribute__((noinline)) int step_all(weft_generator *g)
{
    int value, rc;
    while ((rc = weft_generator_next(g, &value)) > 0)
        value = 0;
    return rc;
}

static int stepping_body(weft_generator *g, void *unused)
{
    (void)g;
    (void)unused;
    weft_generator *inner = weft_generator_new(int, sleepy_body, NULL);
    int rc = step_all(inner), closed = weft_generator_close(inner);
    return rc < 0 ? rc : closed;
}

static int consume(void *unused)
{
    (void)unused;
    weft_generator *g = weft_generator_new(int, stepping_body, NULL);
    int rc = step_all(g), closed = weft_generator_close(g);
    return rc < 0 ? rc : closed;
}

static int a_generator_shows_who_steps_it(void)
{
    static const char *const words[] = {
        "parked   consume, ",
#ifdef WEFT_LIBDW
        "\n           in sleepy_body at test_report.c:",
#endif
        "\n           in the generator sleepy_body, which is stepped\n",
#ifdef WEFT_LIBDW
        "in step_all at test_report.c:",
        "in stepping_body at test_report.c:",
#endif
        "\n           in the generator stepping_body, which is stepped\n",
#ifdef WEFT_LIBDW
        "in step_all at test_report.c:",
        "in consume at test_report.c:",
#endif
    };
    WEFT_GROUP (g) {
        for (int i = 0; i < 2; i++)
            weft_go(&g, consume, NULL); /* the second one stands in the same place */
        WEFT_TRY(weft_sleep(MS));
        char *text = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);
        weft_tasks_print(out);
        fclose(out);
        const char *at = text;
        for (size_t i = 0; i < COUNT(words) && at; i++) {
            at = strstr(at, words[i]);
            WEFT_CHECK(at != NULL);
        }
        WEFT_CHECK(count_of(text, ", which is stepped\n") == 2);
        if (!at || count_of(text, ", which is stepped\n") != 2)
            fprintf(stderr, "%s", text);
        free(text);
        weft_group_cancel(&g);
    }
    return 0;
}

/* ---- many ---- */

static int get_one(void *queue)
{
    int item;
    return weft_queue_get((weft_queue *)queue, &item);
}

static int open_and_wait(void *queue)
{
    WEFT_GROUP (g) {
        weft_go(&g, get_one, queue);
    }
    return g.result;
}

static int tasks_that_are_alike_are_counted(void)
{
    weft_queue *queue = weft_queue_new(sizeof(int), 1);
    WEFT_GROUP (many) {
        for (int i = 0; i < 9999; i++)
            weft_go(&many, get_one, queue);
        weft_go(&many, sleep_long, NULL);
        for (int i = 0; i < 100; i++)
            weft_go(&many, open_and_wait, queue);
        WEFT_TRY(weft_sleep(MS));
#define GET "  parked   get_one, 0.001 s old, started at HERE, waits for: queue get (@)\n"
#define OUTER                                                                                                                  \
    "  parked   open_and_wait, 0.001 s old, started at HERE, waits for: join (@), of 1 task of the group opened at HERE\n"
#define UNDER "    group opened at HERE: 1 task\n  " GET
        char *text = list();
        WEFT_CHECK(strstr(text,
                          "  group opened at HERE: 10,100 tasks\n" GET GET GET
                          "  parked   sleep_long, 0.001 s old, started at HERE, waits for: sleep, 3599.999 s left\n" OUTER UNDER
                              OUTER UNDER OUTER UNDER "  and "));
        WEFT_CHECK(strstr(text, "\n  and 9,996 more like this: parked get_one, started at HERE\n"));
        WEFT_CHECK(strstr(text, "\n  and 97 more like this: parked open_and_wait, started at HERE\n"));
        WEFT_CHECK(strstr(text, "\nand 97 more, under those that are not shown, or in groups of generators that do not run\n"));
        size_t lines = 0;
        for (const char *at = text; (at = strchr(at, '\n')); at++)
            lines++;
        WEFT_CHECK(lines == 1 + 1 + 3 + 1 + 3 * 3 + 2 + 1);
        free(text);
        weft_group_cancel(&many);
    }
    weft_queue_free(queue);
    return 0;
}

/* Each on a line of its own, so that all differ. */
static int start_different(weft_group *g, int n)
{
    static char names[2000][2]; /* places: told apart by their addresses */
    return weft_go_(g, "different", names[n], n, sleep_long, NULL, 0);
}

static int kinds_beyond_the_limit_are_counted_too(void)
{
    WEFT_GROUP (g) {
        for (int i = 0; i < 1500; i++)
            WEFT_CHECK(start_different(&g, i) == 0);
        WEFT_TRY(weft_sleep(MS));
        char *text = list();
        size_t lines = 0;
        for (const char *at = text; (at = strchr(at, '\n')); at++)
            lines++;
        WEFT_CHECK(lines > 30 && lines < 80);
        WEFT_CHECK(strstr(text, "\n  and 1,4") && strstr(text, " more of other kinds\n"));
        free(text);
        weft_group_cancel(&g);
    }
    return 0;
}

static int go_deeper(void *arg)
{
    int left = *(int *)arg;
    if (left == 0)
        return weft_sleep(WEFT_HOUR);
    left--;
    WEFT_GROUP (g) {
        weft_go(&g, go_deeper, &left);
    }
    return g.result;
}

static int depth_is_limited(void)
{
    WEFT_GROUP (g) {
        int depth = 1000;
        weft_go(&g, go_deeper, &depth);
        WEFT_TRY(weft_sleep(MS));
        char *text = list();
        WEFT_CHECK(strstr(text, "\nand 989 more, under those that are not shown"));
        free(text);
        weft_group_cancel(&g);
    }
    return 0;
}

/* ---- circles ---- */

struct two {
    weft_lock a, b;
    weft_task *first;
    weft_queue *queue;
};

static int a_then_b(void *arg)
{
    struct two *two = arg;
    WEFT_LOCKED (a, &two->a) {
        WEFT_TRY(weft_sleep(MS));
        WEFT_LOCKED (b, &two->b) {
        }
        WEFT_TRY(b.result);
    }
    return a.result;
}

static int b_then_a(void *arg)
{
    struct two *two = arg;
    WEFT_LOCKED (b, &two->b) {
        WEFT_TRY(weft_sleep(MS));
        WEFT_LOCKED (a, &two->a) {
        }
        WEFT_TRY(a.result);
    }
    return b.result;
}

static int cross(void *arg)
{
    WEFT_GROUP (g) {
        weft_go(&g, b_then_a, arg);
        weft_go(&g, a_then_b, arg);
    }
    return g.result;
}

static int want_a(void *arg)
{
    WEFT_LOCKED (a, &((struct two *)arg)->a) {
    }
    return a.result;
}

static int await_first(void *arg)
{
    return weft_await(((struct two *)arg)->first);
}

/* Holds a lock, and joins a group of tasks; the second awaits the third, which wants the lock. */
static int join_holding(void *arg)
{
    struct two *two = arg;
    WEFT_LOCKED (a, &two->a) {
        WEFT_GROUP (g) {
            weft_go(&g, get_one, two->queue);
            weft_go(&g, await_first, two);
            WEFT_TRY(weft_spawn(&two->first, want_a, two));
        }
        WEFT_TRY(g.result);
    }
    return a.result;
}

static int (*chosen)(void *arg);

static int run_chosen(void)
{
    struct two two = { .queue = weft_queue_new(sizeof(int), 1) };
    weft_lock_init(&two.a);
    weft_lock_init(&two.b);
    int rc = weft_test_run(chosen, &two, NULL);
    weft_lock_close(&two.a);
    weft_lock_close(&two.b);
    weft_queue_free(two.queue);
    return rc == -EDEADLK ? 7 : 1;
}

/* Does the report of the deadlock end with exactly this? */
static bool check_circle(int (*body)(void *arg), const char *expected)
{
    chosen = body;
    child c = child_run(run_chosen);
    mask(c.error);
    const char *circle = strstr(c.error, "a circle of ");
    bool ok = child_exited_with(&c, 7) && strcmp(circle ? circle : "", expected) == 0;
    if (!ok)
        child_print(&c);
    return ok;
}

static int get_only(void *arg)
{
    return get_one(((struct two *)arg)->queue);
}

static int a_deadlock_shows_its_circle(void)
{
    WEFT_CHECK(check_circle(
        cross, "a circle of 2:\n"
               "  b_then_a started at HERE waits for: lock (@), held by a_then_b started at HERE; so for a_then_b\n"
               "  a_then_b started at HERE waits for: lock (@), held by b_then_a started at HERE; so for b_then_a\n"));
    WEFT_CHECK(check_circle(join_holding,
                            "a circle of 3:\n"
                            "  test started at HERE waits for: join (@), of 3 tasks of the group opened at HERE; "
                            "so for await_first\n"
                            "  await_first started at HERE waits for: await (@), of want_a started at HERE; so for "
                            "want_a\n"
                            "  want_a started at HERE waits for: lock (@), held by test started at HERE; so for "
                            "test\n"));
    WEFT_CHECK(check_circle(get_only, "")); /* nobody in particular */
    return 0;
}

static const weft_test tests[] = {
    TEST(a_tree_of_groups_and_tasks),
    TEST(each_shows_where_it_stands),
    TEST(a_generator_shows_who_steps_it),
    TEST(tasks_that_are_alike_are_counted),
    TEST(kinds_beyond_the_limit_are_counted_too),
    TEST(depth_is_limited),
    PLAIN(a_deadlock_shows_its_circle),
};

TEST_MAIN(tests)
