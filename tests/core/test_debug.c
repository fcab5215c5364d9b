/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Debug mode: what it reports, with the right line, and what it does not. */
#include "child.h"

#include <weft/barrier.h>
#include <weft/debug.h>
#include <weft/event.h>
#include <weft/folder.h>
#include <weft/generator.h>
#include <weft/lock.h>
#include <weft/once.h>
#include <weft/pool.h>
#include <weft/process.h>
#include <weft/rate.h>
#include <weft/semaphore.h>
#include <weft/signal.h>
#include <weft/stream.h>
#include <weft/watch.h>

#include "lib/task/debug.h"

static char records[8192]; /* without their times, each with its newline */

static void keep_record(void *context, enum weft_log_level level, const char *line, size_t size)
{
    (void)context;
    size_t used = strlen(records);
    const char *words = strstr(line, "debug: ");
    if (!words)
        return; /* the end of the loop has words of its own for streams */
    WEFT_CHECK(level == WEFT_LOG_WARNING && words < line + size);
    snprintf(records + used, sizeof records - used, "%.*s\n", (int)(line + size - words), words);
}

static weft_task_fn *body;

static int run_body_with_sink(void *arg)
{
    weft_log_set_sink(keep_record, NULL);
    return body(arg);
}

/* Runs fn in debug mode, with the n-th allocation failing; the count of mistakes. */
static size_t run(weft_task_fn *fn, uint64_t fail_at)
{
    weft_test_report report = { 0 };
    records[0] = '\0';
    body = fn;
    int rc = weft_test_run(run_body_with_sink, NULL, &report, .debug = true, .fail_at = fail_at);
    WEFT_CHECK(rc >= 0 || (fail_at && rc == -ENOMEM) || rc == -EIO);
    return report.mistakes;
}

/* Has it been reported that `words` hold of `what` at this line of this file? */
static bool has(const char *what, int line, const char *words)
{
    char record[300];
    snprintf(record, sizeof record, "debug: %s %s:%d %s", what, __FILE__, line, words);
    if (strstr(records, record))
        return true;
    printf("# not found: %s\n# in:\n# %s\n", record, records);
    return false;
}

/* ---- objects ---- */

static int first_line;
static weft_queue *fifo, *lifo;

static int make_all(bool gives_back)
{
    static weft_lock lock;
    static weft_condition condition;
    static weft_event event;
    static weft_semaphore semaphore;
    static weft_barrier barrier;
    static weft_once once;
    static weft_rate rate;
    weft_stream *a, *b;
    first_line = __LINE__;
    weft_lock_init(&lock);
    weft_condition_init(&condition, &lock);
    weft_event_init(&event);
    weft_semaphore_init(&semaphore, 1);
    weft_barrier_init(&barrier, 2);
    weft_once_init(&once);
    weft_rate_init(&rate, 1, WEFT_SECOND, 1);
    fifo = weft_queue_new(sizeof(int), 1);
    lifo = weft_queue_new_lifo(sizeof(int), 1);
    WEFT_TRY(weft_stream_pair(&a, &b, 0));
    if (!gives_back)
        return 0;
    weft_condition_close(&condition);
    weft_lock_close(&lock);
    weft_event_close(&event);
    weft_semaphore_close(&semaphore);
    weft_barrier_close(&barrier);
    weft_once_close(&once);
    weft_rate_close(&rate);
    weft_queue_free(fifo);
    weft_queue_free(lifo);
    weft_stream_close(a);
    weft_stream_close(b);
    return 0;
}

/* What was left is reported, and then given back behind debug mode's back. */
static size_t run_and_tidy(weft_task_fn *fn, uint64_t fail_at)
{
    fifo = lifo = NULL;
    size_t mistakes = run(fn, fail_at);
    weft_queue_free(fifo);
    weft_queue_free(lifo);
    return mistakes;
}

static int give_back_all(void *unused)
{
    (void)unused;
    return make_all(true);
}

static int leave_all(void *unused)
{
    (void)unused;
    return make_all(false);
}

static int what_is_not_given_back_is_reported(void)
{
    static const char *const kinds[] = { "a lock", "a condition",    "an event", "a semaphore", "a barrier",
                                         "a once", "a rate limiter", "a queue",  "a queue" };
    WEFT_CHECK(run(give_back_all, 0) == 0 && *records == '\0');
    WEFT_CHECK(run_and_tidy(leave_all, 0) == 11);
    for (size_t i = 0; i < COUNT(kinds); i++) {
        char made[50];
        snprintf(made, sizeof made, "%s made at", kinds[i]);
        WEFT_CHECK(has(made, first_line + 1 + (int)i, "was not given back\n"));
    }
    WEFT_CHECK(has("2 times a stream made at", first_line + 10, "was not given back\n"));
    return 0;
}

static weft_pool *pool;

static int fill_in(void *resource, void *unused)
{
    (void)resource;
    (void)unused;
    return 0;
}

static void clear(void *resource, void *unused)
{
    (void)resource;
    (void)unused;
}

static bool lacks_children;

static int open_all(bool closes)
{
    weft_file *file, *temporary;
    weft_folder *folder;
    weft_walk *walk;
    weft_watch *watch;
    weft_signal *signal;
    weft_process *process = NULL;
    first_line = __LINE__;
    WEFT_TRY(weft_pool_open(&pool, int, fill_in, clear));
    WEFT_TRY(weft_file_open(&file, "/dev/null", "r"));
    WEFT_TRY(weft_file_temporary(&temporary, NULL));
    WEFT_TRY(weft_folder_open(&folder, "/"));
    WEFT_TRY(weft_walk_open(&walk, "/"));
    WEFT_TRY(weft_watch_open(&watch));
    WEFT_TRY(weft_signal_open(&signal, SIGUSR1));
    int rc = weft_process_open(&process, WEFT_ARGV("true"));
    lacks_children = rc == -ENOSYS; /* Valgrind 3.19 */
    WEFT_CHECK(rc == 0 || lacks_children);
    if (!closes)
        return 0;
    WEFT_TRY(weft_pool_close(pool));
    weft_file_drop(&file);
    WEFT_TRY(weft_file_close(temporary));
    weft_folder_close(folder);
    weft_walk_close(walk);
    weft_watch_close(watch);
    weft_signal_close(signal);
    weft_process_close(process);
    return 0;
}

static int close_what_is_opened(void *unused)
{
    (void)unused;
    return open_all(true);
}

static int leave_what_is_opened(void *unused)
{
    (void)unused;
    return open_all(false);
}

static int what_is_left_open_is_reported(void)
{
    static const char *const kinds[] = {
        "a pool", "a file", "a file", "a folder", "a walk", "a watch", "a signal", "a process"
    };
    WEFT_CHECK(run(close_what_is_opened, 0) == 0 && *records == '\0');
    size_t count = COUNT(kinds) - lacks_children;
    WEFT_CHECK(run(leave_what_is_opened, 0) == count);
    for (size_t i = 0; i < count; i++) {
        char made[50];
        snprintf(made, sizeof made, "%s made at", kinds[i]);
        WEFT_CHECK(has(made, first_line + 1 + (int)i, "was not given back\n"));
    }
    return weft_pool_close(pool); /* behind debug mode's back */
}

/* Its memory is used again, or given back, while it is open: it is never looked at. */
static int lose_some(void *unused)
{
    (void)unused;
    for (int i = 0; i < 5; i++) {
        weft_event *event = malloc(sizeof *event);
        weft_lock lock;
        weft_event_init(event);
        weft_lock_init(&lock);
        memset(event, 0xff, sizeof *event);
        free(event);
    }
    return 0;
}

static int lost_objects_are_counted(void)
{
    WEFT_CHECK(run(lose_some, 0) == 10);
    WEFT_CHECK(strstr(records, "debug: 5 times an event made at ") && strstr(records, "debug: 5 times a lock made at "));
    return 0;
}

static int make_beside(void *queue)
{
    weft_queue_free(*(weft_queue **)queue);
    *(weft_queue **)queue = NULL;
    return 0;
}

static int free_others(void *unused)
{
    (void)unused;
    weft_queue *mine = weft_queue_new(sizeof(int), 1);
    WEFT_GROUP (g) {
        weft_go(&g, make_beside, &mine);
    }
    return g.result;
}

static int objects_from_elsewhere_do_no_harm(void)
{
    weft_queue *outside = weft_queue_new(sizeof(int), 1); /* no loop, no record */
    WEFT_CHECK(weft_test_run(make_beside, &outside, NULL, .debug = true) == 0);
    WEFT_CHECK(run(free_others, 0) == 0);
    return 0;
}

static int every_allocation_may_fail(void)
{
    for (uint64_t n = 1; n < 60; n++)
        WEFT_CHECK(run_and_tidy(leave_all, n) <= 11);
    return 0;
}

/* Against a model: objects are numbers, and collide. */
static int the_table_of_objects_is_right(void)
{
    enum { OBJECTS = 500, ROUNDS = 50000 };
    static char objects[OBJECTS * 64];
    static int line_of[OBJECTS]; /* 0: not there */
    struct weft_debug *debug = weft_debug_open();
    uint64_t random = 42;
    for (int i = 0; i < ROUNDS; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        size_t n = (random >> 33) % OBJECTS;
        if (random >> 63) {
            line_of[n] = 1 + (int)(random >> 40) % 20;
            weft_debug_add(debug, &objects[n * 64], "a thing", __FILE__, line_of[n]);
        } else {
            line_of[n] = 0;
            weft_debug_remove(debug, &objects[n * 64]);
        }
        if (i % 1000 != 0)
            continue;
        weft_loop here = { .debug = debug };
        weft_here = &here;
        for (size_t k = 0; k < OBJECTS; k++) {
            const char *file;
            int line = 0;
            WEFT_CHECK(weft_debug_find(&objects[k * 64], &file, &line) == (line_of[k] > 0) && line == line_of[k]);
        }
        weft_here = NULL;
    }
    weft_debug_close(debug);
    return 0;
}

/* ---- tasks ---- */

static int fail(void *unused)
{
    (void)unused;
    return weft_fail(-EIO, "out of paper");
}

static int spawned_at;

static int spawn_and_forget(void *unused)
{
    (void)unused;
    weft_task *t;
    WEFT_GROUP (g) {
        spawned_at = __LINE__ + 1;
        WEFT_TRY(weft_spawn(&t, succeed, NULL));
        WEFT_TRY(weft_spawn(&t, fail, NULL));
    }
    return g.result == -EIO ? 0 : -EDOM;
}

static int spawn_and_await(void *unused)
{
    (void)unused;
    weft_task *t[3];
    WEFT_GROUP (g, .on_error = WEFT_COLLECT) {
        WEFT_TRY(weft_spawn(&t[0], succeed, NULL));
        WEFT_TRY(weft_spawn(&t[1], fail, NULL));
        WEFT_TRY(weft_spawn(&t[2], sleep_long, NULL));
        WEFT_CHECK(weft_await(t[0]) == 0 && weft_await(t[1]) == -EIO);
        weft_task_cancel(t[2]); /* who cancels it does not care how it ends */
    }
    WEFT_GROUP (cut) {
        WEFT_TRY(weft_spawn(&t[0], sleep_long, NULL));
        WEFT_TRY(weft_yield());
        weft_group_cancel(&cut);
    }
    return 0;
}

static int spawn_many(void *unused)
{
    (void)unused;
    weft_task *t;
    spawned_at = __LINE__ + 2;
    for (int i = 0; i < 100; i++)
        WEFT_TRY(weft_spawn(&t, succeed, NULL));
    return 0;
}

static int tasks_that_nobody_awaited_are_reported(void)
{
    WEFT_CHECK(run(spawn_and_forget, 0) == 2);
    WEFT_CHECK(has("task succeed started at", spawned_at, "was never awaited\n"));
    WEFT_CHECK(has("task fail started at", spawned_at + 1, "was never awaited, and failed: "));
    WEFT_CHECK(strstr(records, ": out of paper: Input/output error\n"));
    WEFT_CHECK(run(spawn_and_await, 0) == 0);
    WEFT_CHECK(run(spawn_many, 0) == 100);
    WEFT_CHECK(has("task succeed started at", spawned_at, "was never awaited\n"));
    WEFT_CHECK(has("99 more times:", spawned_at, "was never awaited\n"));
    return 0;
}

static int fail_otherwise(void *unused)
{
    (void)unused;
    return -EDOM;
}

static int asks;

static int collect(void *unused)
{
    (void)unused;
    weft_ended ended;
    WEFT_GROUP (g, .on_error = WEFT_COLLECT) {
        weft_go(&g, fail, NULL);
        weft_go(&g, succeed, NULL);
        spawned_at = __LINE__ + 1;
        weft_go(&g, fail_otherwise, NULL);
        for (int i = 0; i < asks; i++)
            WEFT_CHECK(weft_group_next(&g, &ended) == 1);
    }
    return 0;
}

static int collected_errors_that_nobody_asked_for_are_reported(void)
{
    asks = 3;
    WEFT_CHECK(run(collect, 0) == 0);
    asks = 0; /* the first error is the result of the group */
    WEFT_CHECK(run(collect, 0) == 1);
    WEFT_CHECK(has("task fail_otherwise started at", spawned_at, "was never asked for, and failed: "));
    return 0;
}

/* ---- what is held, and left open ---- */

static weft_lock lock;

static int keep(void *unused)
{
    (void)unused;
    return weft_lock_acquire(&lock);
}

static int hold_at_the_end(void *unused)
{
    (void)unused;
    first_line = __LINE__ + 1;
    weft_lock_init(&lock);
    WEFT_GROUP (g) {
        weft_go(&g, keep, NULL);
        weft_go(&g, keep, NULL);
    }
    weft_lock_close(&lock);
    return g.result;
}

static weft_semaphore places;

static int keep_place(void *unused)
{
    (void)unused;
    return weft_semaphore_acquire(&places);
}

static int close_while_held(void *unused)
{
    (void)unused;
    first_line = __LINE__ + 1;
    weft_semaphore_init(&places, 3);
    WEFT_GROUP (g) {
        weft_go(&g, keep_place, NULL);
        weft_go(&g, keep_place, NULL);
        WEFT_PLACE (held, &places) {
            WEFT_CHECK(weft_semaphore_count(&places) == 2);
        }
    }
    weft_semaphore_close(&places);
    return g.result;
}

/* One that counts what there is to take: none was there at first. */
static int close_a_counter(void *unused)
{
    (void)unused;
    weft_semaphore_init(&places, 0);
    weft_semaphore_release(&places);
    weft_semaphore_release(&places);
    WEFT_TRY(weft_semaphore_acquire(&places));
    WEFT_TRY(weft_semaphore_acquire(&places));
    weft_semaphore_close(&places);
    return 0;
}

static int count_up(weft_generator *g, void *unused)
{
    (void)unused;
    for (int i = 0;; i++)
        WEFT_TRY(weft_generator_yield(g, &i));
}

static int leave_open(void *unused)
{
    (void)unused;
    int n;
    first_line = __LINE__ + 1;
    weft_generator *g = weft_generator_new(int, count_up, NULL);
    return weft_generator_next(g, &n) == 1 ? 0 : -EDOM;
}

static int what_is_held_or_left_open_is_reported(void)
{
    WEFT_CHECK(run(hold_at_the_end, 0) == 2);
    WEFT_CHECK(has("a lock made at", first_line, "is still held at the end of its task\n"));
    WEFT_CHECK(has("1 more times:", first_line, "is still held at the end of its task\n"));
    WEFT_CHECK(run(close_while_held, 0) == 1);
    WEFT_CHECK(has("a semaphore made at", first_line, "is closed while places of it are held: 2 of 3\n"));
    WEFT_CHECK(run(close_a_counter, 0) == 0);
    WEFT_CHECK(run(leave_open, 0) == 1);
    WEFT_CHECK(has("the generator count_up made at", first_line, "was left open\n"));
    return 0;
}

/* ---- the list of tasks ---- */

static int want(void *unused)
{
    (void)unused;
    WEFT_LOCKED (held, &lock) {
    }
    return held.result;
}

static int list_while_locked(void *unused)
{
    (void)unused;
    char *text = NULL, made[200];
    size_t size = 0;
    weft_lock_init(&lock);
    snprintf(made, sizeof made, " made at %s:%d, ", __FILE__, __LINE__ - 1);
    WEFT_LOCKED (held, &lock) {
        WEFT_GROUP (g) {
            weft_go(&g, want, NULL);
            WEFT_TRY(weft_sleep(MS));
            FILE *out = open_memstream(&text, &size);
            weft_tasks_print(out);
            fclose(out);
            weft_group_cancel(&g);
        }
    }
    const char *holds = strstr(text, ", holds a lock made at "), *waits = strstr(text, ", waits for: lock (0x");
    WEFT_CHECK(holds && waits && strstr(waits, made) && strstr(waits, ", held by test started at"));
    free(text);
    weft_lock_close(&lock);
    return 0;
}

static int the_list_says_where_objects_were_made(void)
{
    WEFT_CHECK(run(list_while_locked, 0) == 0);
    return 0;
}

/* ---- how it is asked for ---- */

static int exit_with_mode(void *unused)
{
    (void)unused;
    return weft_is_debugging() ? 7 : 8;
}

static int by_environment(void)
{
    setenv("WEFT_DEBUG", "1", 1);
    return weft_run(exit_with_mode, NULL);
}

static int by_option(void)
{
    unsetenv("WEFT_DEBUG");
    return weft_run_with(exit_with_mode, NULL, .debug = true);
}

static int not_at_all(void)
{
    setenv("WEFT_DEBUG", "0", 1);
    return weft_run_with(exit_with_mode, NULL) == 8 && weft_run(exit_with_mode, NULL) == 8 && !weft_is_debugging() ? 7 : 1;
}

static int it_is_asked_for(void)
{
    int (*const ways[])(void) = { by_environment, by_option, not_at_all };
    for (size_t i = 0; i < COUNT(ways); i++) {
        child c = child_run(ways[i]);
        WEFT_CHECK(child_exited_with(&c, 7) && *c.error == '\0');
    }
    return 0;
}

static const weft_test tests[] = {
    PLAIN(what_is_not_given_back_is_reported),
    PLAIN(what_is_left_open_is_reported),
    PLAIN(lost_objects_are_counted),
    PLAIN(objects_from_elsewhere_do_no_harm),
    PLAIN(every_allocation_may_fail),
    PLAIN(the_table_of_objects_is_right),
    PLAIN(tasks_that_nobody_awaited_are_reported),
    PLAIN(collected_errors_that_nobody_asked_for_are_reported),
    PLAIN(what_is_held_or_left_open_is_reported),
    PLAIN(the_list_says_where_objects_were_made),
    PLAIN(it_is_asked_for),
};

TEST_MAIN(tests)
