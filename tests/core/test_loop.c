/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* The loop: virtual time and its deadlocks, posts, callbacks due soon, and timers in real time. */
#include <dirent.h>
#include <pthread.h>
#include <time.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/net/address.h"
#include "lib/net/transport.h"
#include "lib/task/task.h"
#include "tests/core/child.h"
#include "tests/core/tools.h"

static void pause_for(weft_duration d)
{
    nanosleep(&(struct timespec){ .tv_sec = d / WEFT_SECOND, .tv_nsec = d % WEFT_SECOND }, NULL);
}

/* ---- deadlock ---- */

static int cleaned_up;

static void clean_up(void *arg)
{
    (void)arg;
    cleaned_up += weft_sleep(WEFT_HOUR) == WEFT_ECANCELED;
}

static int get_for_ever(void *arg)
{
    int item;
    WEFT_TRY(weft_defer(clean_up, NULL));
    WEFT_SHIELD (s, WEFT_NO_LIMIT) {
        WEFT_CHECK(weft_queue_get((weft_queue *)arg, &item) == WEFT_ECANCELED);
    }
    return 0;
}

static int put_for_ever(void *arg)
{
    int item = 1;
    WEFT_TRY(weft_queue_try_put((weft_queue *)arg, &item));
    int rc = weft_queue_put((weft_queue *)arg, &item);
    return rc == WEFT_ECANCELED ? 0 : -EIO;
}

static int await_for_ever(void *arg)
{
    weft_task *task;
    WEFT_TRY(weft_spawn(&task, get_for_ever, arg));
    return weft_await(task);
}

static int deadlock(void *arg)
{
    weft_queue **queue = arg;
    WEFT_GROUP (g) {
        weft_go(&g, get_for_ever, queue[0]);
        weft_go(&g, put_for_ever, queue[1]);
        weft_go(&g, await_for_ever, queue[0]);
        WEFT_TRY(weft_sleep(90 * MS));
    }
    return g.result;
}

static int run_deadlock(bool quiet)
{
    weft_queue *queue[2] = { weft_queue_new(sizeof(int), 1), weft_queue_new(sizeof(int), 1) };
    weft_test_report report;
    cleaned_up = 0;
    int rc = weft_test_run(deadlock, queue, &report, .quiet = quiet);
    weft_queue_free(queue[0]);
    weft_queue_free(queue[1]);
    return rc == -EDEADLK && cleaned_up == 2 && report.ended_at == 90 * MS && !weft_test_failures() ? 7 : 1;
}

static int run_deadlock_loudly(void)
{
    return run_deadlock(false);
}

static int run_deadlock_quietly(void)
{
    return run_deadlock(true);
}

static int deadlock_names_every_task(void)
{
    static const char *const words[] = {
        "deadlock: ",
        "parked   test, 0.090 s old, started at ",
        "waits for: join (",
        "parked   get_for_ever, 0.090 s old, started at ",
        "waits for: queue get (",
        "parked   put_for_ever, ",
        "waits for: queue put (",
        "parked   await_for_ever, ",
        "waits for: await (",
    };
    child c = child_run(run_deadlock_loudly);
    WEFT_CHECK(child_exited_with(&c, 7));
    for (size_t i = 0; i < COUNT(words); i++)
        WEFT_CHECK(strstr(c.error, words[i]));
    const char *first = strstr(c.error, "get_for_ever");
    WEFT_CHECK(first && strstr(first + 1, "parked   get_for_ever")); /* both of them */
    if (weft_test_failures() && (child_print(&c), 1))
        WEFT_CHECK(false && "as above");
    c = child_run(run_deadlock_quietly);
    WEFT_CHECK(child_exited_with(&c, 7) && !strstr(c.error, "deadlock"));
    return 0;
}

/* ---- what is awaited from outside ---- */

struct outside {
    weft_loop *loop;
    weft_queue *queue;
    pthread_t thread;
    bool on_loop, in_task;
};

static void bring_item(void *arg)
{
    struct outside *o = arg;
    int item = 5, rc = weft_queue_try_put(o->queue, &item);
    o->loop->outside--;
    o->on_loop = weft_loop_here() == o->loop && rc == 0;
    o->in_task = weft_task_self();
}

static void *post_item_later(void *arg)
{
    struct outside *o = arg;
    pause_for(30 * MS);
    WEFT_CHECK(weft_loop_here() == NULL);
    WEFT_CHECK(weft_loop_post(o->loop, bring_item, o) == 0);
    return NULL;
}

static int await_from_outside(struct outside *o)
{
    *o = (struct outside){ .loop = weft_loop_here(), .queue = weft_queue_new(sizeof(int), 1) };
    o->loop->outside++;
    return -pthread_create(&o->thread, NULL, post_item_later, o);
}

static void end_outside(struct outside *o)
{
    pthread_join(o->thread, NULL);
    weft_queue_free(o->queue);
}

static int virtual_time_waits_for_what_is_outside(void)
{
    struct outside o;
    int item = 0;
    WEFT_TRY(await_from_outside(&o));
    WEFT_TIMEOUT (limit, 1 * MS) {
        WEFT_CHECK(weft_queue_get(o.queue, &item) == 1 && item == 5);
        WEFT_CHECK(!limit.expired && weft_now() == 0 && o.on_loop && !o.in_task);
        WEFT_CHECK(weft_sleep(WEFT_HOUR) == WEFT_EDEADLINE && weft_now() == 1 * MS); /* and jumps again */
    }
    end_outside(&o);
    return 0;
}

/* Time does not jump, but what is due by it now is due. */
static int what_is_overdue_strikes_meanwhile(void)
{
    struct outside o;
    int item = 0;
    WEFT_TRY(weft_sleep(10 * MS));
    WEFT_TRY(await_from_outside(&o));
    weft_group g = { 0 };
    weft_group_enter(&g, weft_task_self(), 5 * MS); /* an absolute time, past */
    WEFT_CHECK(weft_queue_get(o.queue, &item) == WEFT_EDEADLINE && g.scope.expired);
    WEFT_CHECK(weft_group_join(&g) == WEFT_EDEADLINE);
    WEFT_CHECK(weft_queue_get(o.queue, &item) == 1 && weft_now() == 10 * MS);
    end_outside(&o);
    return 0;
}

/* ---- posts ---- */

struct posts {
    int count, order[8], calls;
    weft_loop *loop;
};

struct post {
    struct posts *posts;
    int number;
};

static void note_post(void *arg)
{
    struct post *p = arg;
    p->posts->order[p->posts->count++] = p->number;
}

static int posts_are_called_in_order(void)
{
    struct posts posts = { 0 };
    struct post post[5];
    for (int i = 0; i < 5; i++) {
        post[i] = (struct post){ &posts, i };
        WEFT_TRY(weft_loop_post(weft_loop_here(), note_post, &post[i]));
    }
    WEFT_CHECK(posts.count == 0); /* not now, but soon */
    WEFT_TRY(weft_sleep(1 * MS));
    WEFT_CHECK(posts.count == 5);
    for (int i = 0; i < 5; i++)
        WEFT_CHECK(posts.order[i] == i);
    return 0;
}

static void post_again(void *arg)
{
    struct posts *posts = arg;
    if (++posts->calls < 5)
        WEFT_CHECK(weft_loop_post(posts->loop, post_again, posts) == 0);
}

static int post_and_end(void *arg)
{
    struct posts *posts = arg;
    posts->loop = weft_loop_here();
    return weft_loop_post(posts->loop, post_again, posts);
}

static int posts_before_the_end_are_all_called(void)
{
    struct posts posts = { 0 };
    WEFT_CHECK(weft_run(post_and_end, &posts) == 0 && posts.calls == 5);
    return 0;
}

static int fail_to_post(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        int rc = weft_loop_post(weft_loop_here(), note_post, NULL); /* it would crash if it were called */
        if (rc < 0)
            return rc;
        WEFT_CHECK(false && "every allocation fails here");
    }
    return 0;
}

static int a_post_without_memory_is_not_called(void)
{
    weft_test_report report;
    WEFT_TRY(weft_test_run(succeed, NULL, &report));
    WEFT_CHECK(weft_test_run(fail_to_post, NULL, NULL, .fail_at = report.allocations + 1, .fail_after = true) == -ENOMEM);
    return 0;
}

/* ---- callbacks due soon ---- */

struct soon {
    weft_callback callback;
    int calls;
};

static void count_call(weft_callback *callback)
{
    CONTAINER_OF(callback, struct soon, callback)->calls++;
}

static int ask_and_end(void *arg)
{
    struct soon *s = arg;
    weft_callback_init(&s->callback, count_call);
    weft_callback_soon(weft_loop_here(), &s->callback);
    weft_callback_soon(weft_loop_here(), &s->callback);
    return 0;
}

static int what_is_due_soon_comes_before_the_end(void)
{
    struct soon s = { .calls = 0 };
    WEFT_CHECK(weft_run(ask_and_end, &s) == 0 && s.calls == 1);
    WEFT_CHECK(weft_test_run(ask_and_end, &s, NULL) == 0 && s.calls == 2);
    return 0;
}

/* ---- real time ---- */

static int a_yield_lets_input_happen_task(void *arg)
{
    struct posts posts = { 0 };
    struct post post = { &posts, 0 };
    (void)arg;
    WEFT_TRY(weft_loop_post(weft_loop_here(), note_post, &post));
    pause_for(2 * MS);
    WEFT_CHECK(posts.count == 0 && weft_yield() == 0 && posts.count == 1);
    WEFT_TIMEOUT (over, 0) { /* a refused wait as well */
        WEFT_TRY(weft_loop_post(weft_loop_here(), note_post, &post));
        pause_for(2 * MS);
        WEFT_CHECK(weft_yield() == WEFT_EDEADLINE && posts.count == 2);
    }
    WEFT_TRY(weft_loop_post(weft_loop_here(), note_post, &post));
    weft_duration start = weft_now();
    while (posts.count == 2 && weft_now() < start + WEFT_SECOND)
        WEFT_TRY(weft_yield());
    WEFT_CHECK(posts.count == 3); /* also one that yields in a tight loop */
    return 0;
}

struct ping {
    weft_queue *queue[2];
    bool stop;
};

static int pass_on_task(void *arg)
{
    struct ping *p = arg;
    int item, rc;
    while ((rc = weft_queue_get(p->queue[0], &item)) > 0 && !p->stop)
        WEFT_TRY(weft_queue_put(p->queue[1], &item));
    weft_queue_close(p->queue[1]);
    return rc < 0 ? rc : 0;
}

/* Two tasks that wake each other, and never yield, do not starve input either. */
static int hand_overs_let_input_happen_task(void *arg)
{
    struct ping p = { .queue = { weft_queue_new(sizeof(int), 1), weft_queue_new(sizeof(int), 1) } };
    struct posts posts = { 0 };
    struct post post = { &posts, 0 };
    int hops = 0, item = 0;
    (void)arg;
    WEFT_GROUP (g) {
        weft_go(&g, pass_on_task, &p);
        WEFT_TRY(weft_loop_post(weft_loop_here(), note_post, &post));
        while (posts.count == 0 && hops < 400) {
            pause_for(100 * WEFT_MICROSECOND);
            hops++;
            WEFT_TRY(weft_queue_put(p.queue[0], &item));
            WEFT_CHECK(weft_queue_get(p.queue[1], &item) == 1);
        }
        p.stop = true;
        weft_queue_close(p.queue[0]);
    }
    WEFT_CHECK(posts.count == 1 && hops <= 50);
    weft_queue_free(p.queue[0]);
    weft_queue_free(p.queue[1]);
    return g.result;
}

static int nothing_strikes_early_task(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10; i++) {
        weft_duration start = weft_now();
        pause_for(300 * WEFT_MICROSECOND * i); /* the loop's clock is old by then, the deadline's is not */
        start = weft_now();
        WEFT_TRY(weft_sleep(2 * MS));
        WEFT_CHECK(weft_now() >= start + 2 * MS && (tools_is_valgrind() || weft_now() < start + 500 * MS));
        start = weft_now();
        WEFT_TIMEOUT (limit, 3 * MS) {
            WEFT_CHECK(weft_sleep(WEFT_HOUR) == WEFT_EDEADLINE);
        }
        WEFT_CHECK(weft_now() >= start + 3 * MS);
    }
    return 0;
}

/* A timer that is set in a callback which comes before the poll waits (of a transport that is closed) counts in it. */
struct late {
    weft_transport transport;
    weft_timer timer;
    weft_duration struck;
    bool is_closed;
};

static void note_strike(weft_timer *timer)
{
    CONTAINER_OF(timer, struct late, timer)->struck = weft_now();
}

static void set_timer(weft_transport *t)
{
    struct late *late = CONTAINER_OF(t, struct late, transport);
    late->is_closed = true;
    weft_timer_set(&t->loop->wheel, &late->timer, weft_tick_of(weft_loop_deadline(t->loop, 2 * MS)));
}

static int a_timer_set_before_the_poll_counts_task(void *arg)
{
    static const weft_transport_events events = { .closed = set_timer };
    struct late late = { .struck = 0 };
    int ends[2];
    (void)arg;
    weft_timer_init(&late.timer, note_strike);
    WEFT_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    WEFT_TRY(weft_transport_open_fd(&late.transport, weft_loop_here(), ends[0], false, &events));
    weft_transport_close(&late.transport, false);
    WEFT_CHECK(!late.is_closed); /* never from inside a call */
    weft_duration start = weft_now();
    WEFT_TRY(weft_sleep(500 * MS));
    WEFT_CHECK(late.is_closed && late.struck && late.struck < start + 250 * MS);
    close(ends[1]);
    return 0;
}

struct late_post {
    weft_loop *loop;
    weft_duration cached, read;
};

static void note_cached(void *arg)
{
    struct late_post *late = arg;
    late->cached = weft_loop_now(late->loop);
    late->read = weft_now();
}

static void *post_late(void *arg)
{
    struct late_post *late = arg;
    pause_for(300 * MS);
    if (weft_loop_post(late->loop, note_cached, late) < 0)
        abort();
    return NULL;
}

/* What ends a long poll must not be dated from before it: a new connection would be as old as the idle time before. */
static int the_cached_clock_is_fresh_in_a_callback_task(void *arg)
{
    struct late_post late = { .loop = weft_loop_here() };
    pthread_t thread;
    (void)arg;
    if (pthread_create(&thread, NULL, post_late, &late) != 0)
        return -EAGAIN;
    while (!late.read)
        WEFT_TRY(weft_sleep(400 * MS));
    pthread_join(thread, NULL);
    WEFT_CHECK(late.read - late.cached < 100 * MS);
    return 0;
}

#define REAL(name)                                                                                                             \
    static int name(void)                                                                                                      \
    {                                                                                                                          \
        return weft_test_run(name##_task, NULL, NULL, .real_time = true);                                                      \
    }

REAL(a_yield_lets_input_happen)
REAL(hand_overs_let_input_happen)
REAL(nothing_strikes_early)
REAL(the_cached_clock_is_fresh_in_a_callback)
REAL(a_timer_set_before_the_poll_counts)

static int count_descriptors(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (dir && readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static int runs_leave_nothing_behind(void)
{
    int before = count_descriptors();
    for (int i = 0; i < 100; i++)
        WEFT_CHECK(weft_run(succeed, NULL) == 0);
    WEFT_CHECK(count_descriptors() == before && weft_loop_here() == NULL);
    return 0;
}

/* ---- the log ---- */

struct record {
    int count;
    size_t size;
    enum weft_log_level level;
    char line[2000];
};

static void keep_record(void *context, enum weft_log_level level, const char *line, size_t size)
{
    struct record *r = context;
    r->count++;
    r->level = level;
    r->size = size;
    memcpy(r->line, line, size + 1 < sizeof r->line ? size + 1 : sizeof r->line);
}

static int log_lines(void)
{
    struct record r = { 0 };
    char longer[3000];
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    weft_log_set_sink(keep_record, &r);
    errno = EXDEV;
    weft_log(WEFT_LOG_WARNING, "one\r\nforged \x1b[1m \x7f %d", 7);
    WEFT_CHECK(errno == EXDEV && r.count == 1 && r.level == WEFT_LOG_WARNING && strlen(r.line) == r.size);
    WEFT_CHECK(strstr(r.line, "warning") && strstr(r.line, "[test] one\\x0d\\x0aforged \\x1b[1m \\x7f 7"));
    weft_log(WEFT_LOG_WARNING, "W\xc3\xb6rld \xc2\x9b"
                               "31m \x9b"
                               "32m \xff \xc2\xa0."); /* what some terminals obey, and what is no text */
    WEFT_CHECK(r.count == 2 && strstr(r.line, "] W\xc3\xb6rld \\xc2\\x9b"
                                              "31m \\x9b"
                                              "32m \\xff \xc2\xa0."));
    r.count = 1;
    WEFT_CHECK(r.line[4] == '-' && r.line[10] == 'T' && r.line[23] == 'Z');
    weft_log(WEFT_LOG_INFO, "%s", longer);
    WEFT_CHECK(r.count == 2 && r.size <= 1100 && r.size >= 1000);
    weft_log(WEFT_LOG_DEBUG, "not written");
    WEFT_CHECK(r.count == 2);
    weft_log_set_level(WEFT_LOG_DEBUG);
    weft_log(WEFT_LOG_DEBUG, "written");
    weft_log_set_level(WEFT_LOG_ERROR);
    weft_log(WEFT_LOG_WARNING, "not written");
    WEFT_CHECK(r.count == 3);
    weft_log_set_sink(NULL, NULL);
    return 0;
}

/* The text as a record of JSON has it, between its fixed parts. */
static bool logs_json(const char *text, const char *expected)
{
    static const char end[] = "\"}", between[] = "Z\",\"level\":\"error\",\"task\":\"test\",\"message\":\"";
    struct record r = { 0 };
    weft_log_set_sink(keep_record, &r);
    weft_log(WEFT_LOG_ERROR, "%s", text);
    weft_log_set_sink(NULL, NULL);
    const char *at = strstr(r.line, between);
    size_t size = strlen(expected);
    bool ok = r.count == 1 && strlen(r.line) == r.size && strncmp(r.line, "{\"time\":\"2", 10) == 0 && at &&
              strncmp(at + sizeof between - 1, expected, size) == 0 && strcmp(at + sizeof between - 1 + size, end) == 0;
    if (!ok)
        printf("# %s\n", r.line);
    return ok;
}

static int log_lines_of_json(void)
{
    weft_log_set_format(WEFT_LOG_JSON);
    WEFT_CHECK(logs_json("plain", "plain"));
    WEFT_CHECK(logs_json("\"a\\b\"\n\x7f\x01", "\\\"a\\\\b\\\"\\u000a\\u007f\\u0001"));
    WEFT_CHECK(logs_json("\xc3\xa4 \xe2\x82\xac \xf0\x9f\x90\x8d", "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x90\x8d"));
    WEFT_CHECK(logs_json("\xc2\x9b"
                         "31m\xc2\xa0",
                         "\\u009b"
                         "31m\xc2\xa0")); /* terminals may obey it */
    WEFT_CHECK(logs_json("\xc3(\xa4", "\\ufffd(\\ufffd"));
    WEFT_CHECK(logs_json("\xc0\x80", "\\ufffd\\ufffd"));                         /* overlong */
    WEFT_CHECK(logs_json("\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd"));              /* a surrogate */
    WEFT_CHECK(logs_json("\xf4\x90\x80\x80.", "\\ufffd\\ufffd\\ufffd\\ufffd.")); /* past the last */
    WEFT_CHECK(logs_json("\xe2\x82", "\\ufffd\\ufffd"));                         /* ends in the middle */
    struct record r = { 0 };
    char longer[3000];
    memset(longer, '\n', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    weft_log_set_sink(keep_record, &r);
    weft_log(WEFT_LOG_ERROR, "%s", longer);
    WEFT_CHECK(r.size < sizeof r.line && r.size > 1000 &&
               strcmp(r.line + r.size - 8, "\\u000a\"}") == 0); /* whole, though cut */
    weft_log_set_sink(NULL, NULL);
    weft_log_set_format(WEFT_LOG_TEXT);
    return 0;
}

static const weft_test tests[] = {
    PLAIN(deadlock_names_every_task),
    TEST(virtual_time_waits_for_what_is_outside),
    TEST(what_is_overdue_strikes_meanwhile),
    TEST(posts_are_called_in_order),
    PLAIN(posts_before_the_end_are_all_called),
    PLAIN(a_post_without_memory_is_not_called),
    PLAIN(what_is_due_soon_comes_before_the_end),
    PLAIN(a_yield_lets_input_happen),
    PLAIN(hand_overs_let_input_happen),
    PLAIN(nothing_strikes_early),
    PLAIN(the_cached_clock_is_fresh_in_a_callback),
    PLAIN(a_timer_set_before_the_poll_counts),
    PLAIN(runs_leave_nothing_behind),
    TEST(log_lines),
    TEST(log_lines_of_json),
};

TEST_MAIN(tests)
