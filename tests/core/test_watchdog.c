/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The watchdog. No test depends on how fast the machine is: who holds the loop holds it until it has been named, and that the
 * innocent are not is shown on a loop that is not there, by looks whose time is certain.
 */
#include "child.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include <weft/debug.h>

#include "lib/task/task.h"
#include "lib/task/watchdog.h"
#include "tests/core/tools.h"

/* ---- a loop that runs ---- */

/* Until something has been said on standard error, which is a file. At most ten seconds. */
static void hold_until_named(void)
{
    struct stat file;
    for (int i = 0; i < 2000 && fstat(STDERR_FILENO, &file) == 0 && file.st_size == 0; i++)
        poll(NULL, 0, 5);
}

static int hold(void *label)
{
    weft_task_self()->label = label;
    weft_loop_beat_begin(weft_here); /* as a server does it, for each request */
    hold_until_named();
    return 0;
}

static int hold_in_task(void *unused)
{
    (void)unused;
    WEFT_GROUP (g) {
        weft_go(&g, hold, "/slow");
    }
    return g.result;
}

/* Until these words are there, whatever else was said before: a slow task of a busy machine. At most ten seconds. */
static void hold_until_said(const char *words)
{
    char text[4096] = "";
    for (int i = 0; i < 2000 && !strstr(text, words); i++) {
        poll(NULL, 0, 5);
        ssize_t size = pread(STDERR_FILENO, text, sizeof text - 1, 0);
        text[size > 0 ? size : 0] = '\0';
    }
}

static void posted(void *unused)
{
    (void)unused;
    hold_until_said("weft: a posted function, ");
}

static int hold_in_post(void *unused)
{
    (void)unused;
    WEFT_TRY(weft_loop_post(weft_loop_here(), posted, NULL));
    return weft_sleep(20 * MS);
}

static int hold_twice(void *unused)
{
    hold_until_named();
    if (ftruncate(STDERR_FILENO, 0) == 0)
        WEFT_TRY(hold_in_task(unused));
    return 0;
}

static weft_task_fn *chosen;

enum { RUN_LINE = __LINE__ + 4 };

static int run_debugging(void)
{
    return weft_run_with(chosen, NULL, .debug = true, .stall_limit = 20 * MS);
}

/* What was said goes to the real standard error at the end. */
static int run_with_file(void)
{
    char text[4096], name[] = "/tmp/weft-watchdog-XXXXXX";
    int former = dup(STDERR_FILENO), file = mkstemp(name);
    if (file < 0)
        return 1;
    unlink(name);
    fcntl(file, F_SETFL, O_APPEND);
    dup2(file, STDERR_FILENO);
    int rc = run_debugging();
    ssize_t size = pread(file, text, sizeof text, 0);
    if (size > 0 && write(former, text, (size_t)size) != size)
        return 1;
    return rc < 0;
}

static child run(weft_task_fn *fn)
{
    chosen = fn;
    child c = child_run(run_with_file);
    WEFT_CHECK(child_exited_with(&c, 0));
    return c;
}

static bool check_says(const child *c, const char *words)
{
    bool says = strstr(c->error, words) != NULL;
    if (!says)
        child_print(c);
    return says;
}

static int a_task_is_named(void)
{
    child c = run(hold_in_task);
    WEFT_CHECK(check_says(&c, "weft: task hold /slow started at " __FILE__ ":"));
    WEFT_CHECK(check_says(&c, " holds the loop, for "));
    if (!tools_is_sanitizer()) /* the thread sanitizer calls handlers later, from elsewhere */
        WEFT_CHECK(check_says(&c, " ms so far; it is in:\n    "));
#ifdef WEFT_LIBDW
    if (!tools_is_sanitizer())
        WEFT_CHECK(check_says(&c, "hold_until_named at test_watchdog.c:"));
#endif
    WEFT_CHECK(check_says(&c, "warning task hold /slow started at ")); /* and when it has let go: in the log */
    WEFT_CHECK(check_says(&c, " held the loop for "));
    return 0;
}

static int a_post_is_named(void)
{
    child c = run(hold_in_post);
    WEFT_CHECK(check_says(&c, "weft: a posted function, "));
    WEFT_CHECK(check_says(&c, "warning a posted function, "));
    return 0;
}

static int the_next_one_is_named_too(void)
{
    child c = run(hold_twice);
    WEFT_CHECK(check_says(&c, "weft: task hold /slow started at "));
    char words[200];
    snprintf(words, sizeof words, "task main started at %s:%d held the loop for ", __FILE__, RUN_LINE);
    WEFT_CHECK(check_says(&c, words));
    WEFT_CHECK(check_says(&c, "task hold /slow started at "));
    return 0;
}

/* ---- a loop that is not there ---- */

static weft_loop *fake_loop(uint64_t beat)
{
    static weft_loop loop;
    loop = (weft_loop){ .beat = beat, .is_closing = true };
    pthread_mutex_init(&loop.inbox_lock, NULL);
    weft_list_init(&loop.inbox);
    return &loop;
}

static void pause_for(weft_duration d)
{
    weft_duration until = weft_now() + d;
    while (weft_now() < until)
        poll(NULL, 0, 1);
}

static int who_is_idle_is_not_named(void)
{
    weft_watchdog w;
    weft_watchdog_open(&w, fake_loop(2), 4 * MS, false); /* in a poll, for as long as you like */
    for (int i = 0; i < 20; i++) {
        pause_for(2 * MS);
        weft_watchdog_look(&w);
        WEFT_CHECK(!w.is_reported && w.held == 0);
    }
    weft_watchdog_close(&w);
    return 0;
}

static int who_goes_on_is_not_named(void)
{
    weft_watchdog w;
    weft_loop *loop = fake_loop(1);
    weft_watchdog_open(&w, loop, 4 * MS, false);
    for (int i = 0; i < 20; i++) {
        pause_for(2 * MS);
        weft_loop_beat_begin(loop); /* one task after the other, each found in the middle of it */
        weft_watchdog_look(&w);
        WEFT_CHECK(!w.is_reported && w.held == 0 && loop->beat % 2 == 1);
    }
    weft_watchdog_close(&w);
    return 0;
}

static int a_pause_of_the_whole_process_is_nobodys(void)
{
    weft_watchdog w;
    weft_watchdog_open(&w, fake_loop(1), 40 * MS, false);
    weft_watchdog_look(&w);
    weft_duration held = w.held;
    pause_for(100 * MS); /* neither did the loop run, nor did anybody look */
    weft_watchdog_look(&w);
    WEFT_CHECK(!w.is_reported && w.held == held + 20 * MS);
    weft_watchdog_close(&w);
    return 0;
}

static int nothing_is_watched_without_a_limit(void)
{
    weft_watchdog w;
    weft_watchdog_open(&w, fake_loop(1), WEFT_NO_LIMIT, false);
    WEFT_CHECK(weft_watchdog_period(&w) == WEFT_NO_LIMIT);
    pause_for(2 * MS);
    weft_watchdog_look(&w);
    WEFT_CHECK(!w.is_reported && w.held == 0);
    weft_watchdog_close(&w);
    return 0;
}

static int beats_are_odd_while_something_runs(void)
{
    weft_loop *loop = fake_loop(0);
    uint64_t former = loop->beat;
    weft_loop_beat_begin(loop);
    WEFT_CHECK(loop->beat % 2 == 1 && loop->beat != former);
    former = loop->beat;
    weft_loop_beat_begin(loop); /* a post enters a task */
    WEFT_CHECK(loop->beat % 2 == 1 && loop->beat != former);
    weft_loop_beat_end(loop);
    WEFT_CHECK(loop->beat % 2 == 0);
    former = loop->beat;
    weft_loop_beat_end(loop);
    WEFT_CHECK(loop->beat % 2 == 0 && loop->beat >= former);
    return 0;
}

static const weft_test tests[] = {
    PLAIN(a_task_is_named),
    PLAIN(a_post_is_named),
    PLAIN(the_next_one_is_named_too),
    PLAIN(who_is_idle_is_not_named),
    PLAIN(who_goes_on_is_not_named),
    PLAIN(a_pause_of_the_whole_process_is_nobodys),
    PLAIN(nothing_is_watched_without_a_limit),
    PLAIN(beats_are_odd_while_something_runs),
};

TEST_MAIN(tests)
