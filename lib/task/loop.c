/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* The loop: turns, virtual time, posts from other threads, and the report of an overflow. */
#include "lib/task/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weft/debug.h>

#include "lib/base/check.h"
#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "lib/base/random.h"
#include "lib/task/debug.h"
#include "lib/task/poll.h"
#include "lib/task/threads.h"
#include "lib/task/report.h"
#include "lib/task/supervisor.h"
#include "lib/task/task.h"
#include "lib/task/watchdog.h"

enum {
    READY_BUDGET = 1024,  /* switches between two polls */
    CLOCK_EVERY = 32,     /* switches between two looks at the clock, which costs 30 ns */
    TASKS_PER_CHUNK = 64, /* of the slab */
    ARENA_CHUNKS_KEPT = 256,
    UNPOLLED_MOST = 32, /* jobs of threads that may come before input and output are looked at: 0.6 ms at most */
};

static const weft_duration SLICE = WEFT_MILLISECOND; /* of tasks, between two polls */

_Thread_local weft_loop *weft_here;

weft_loop *weft_loop_here(void)
{
    return weft_here;
}

/* ---- the clock ---- */

static bool is_virtual(const weft_loop *loop)
{
    return loop->test && loop->test->is_virtual;
}

weft_duration weft_loop_clock(weft_loop *loop)
{
    return is_virtual(loop) ? loop->now : weft_clock_monotonic();
}

weft_duration weft_loop_recent(weft_loop *loop)
{
    if (!weft_clock_is_near(loop->now_cycles) && !is_virtual(loop) && weft_clock_coarse() > loop->now)
        loop->is_stale = true;
    return weft_loop_now(loop);
}

weft_duration weft_loop_deadline(weft_loop *loop, weft_duration d)
{
    return d == WEFT_NO_LIMIT ? d : weft_clock_add(weft_loop_clock(loop), d);
}

weft_duration weft_now(void)
{
    return weft_here ? weft_loop_clock(weft_here) : weft_clock_monotonic();
}

/* ---- posts ---- */

/* Was the loop waiting for it awake? */
static bool put_post(weft_loop *loop, struct weft_loop_post *post)
{
    pthread_mutex_lock(&loop->inbox_lock);
    bool was_empty = weft_list_is_empty(&loop->inbox);
    weft_list_append(&loop->inbox, &post->link);
    atomic_store_explicit(&loop->has_posts, 1, memory_order_relaxed);
    bool is_awake = loop->is_spinning;
    if (was_empty && !loop->is_closing && !is_awake)
        weft_poll_wake(loop); /* under the lock: the loop cannot end in between */
    pthread_mutex_unlock(&loop->inbox_lock);
    return is_awake;
}

int weft_loop_post(weft_loop *loop, void (*fn)(void *arg), void *arg)
{
    struct weft_loop_post *post = weft_mem_alloc(sizeof *post);
    if (!post)
        return -ENOMEM;
    *post = (struct weft_loop_post){ .fn = fn, .arg = arg };
    put_post(loop, post);
    return 0;
}

bool weft_loop_post_embedded(weft_loop *loop, struct weft_loop_post *post)
{
    post->is_embedded = true;
    return put_post(loop, post);
}

/* It may be in the inbox, or in the list of those that are being called: that one is this thread's own. */
void weft_loop_withdraw(weft_loop *loop, struct weft_loop_post *post)
{
    pthread_mutex_lock(&loop->inbox_lock);
    weft_list_remove(&post->link);
    pthread_mutex_unlock(&loop->inbox_lock);
}

bool weft_loop_drain_inbox(weft_loop *loop)
{
    weft_list posts;
    pthread_mutex_lock(&loop->inbox_lock);
    weft_list_move(&posts, &loop->inbox);
    atomic_store_explicit(&loop->has_posts, 0, memory_order_relaxed);
    loop->is_spinning = false;
    pthread_mutex_unlock(&loop->inbox_lock);
    bool any = !weft_list_is_empty(&posts);
    weft_list *node;
    while ((node = weft_list_shift(&posts))) {
        struct weft_loop_post *post = CONTAINER_OF(node, struct weft_loop_post, link);
        bool is_embedded = post->is_embedded;
        __atomic_store_n(&loop->posted, post->fn, __ATOMIC_RELAXED);
        weft_loop_beat_begin(loop);
        post->fn(post->arg); /* an embedded one may be gone now */
        weft_loop_beat_end(loop);
        if (!is_embedded)
            weft_mem_free(post);
    }
    return any;
}

uint64_t weft_loop_draw(weft_loop *loop, uint64_t bound)
{
    bool is_seeded = loop->test && loop->test->random;
    return weft_random_below(is_seeded ? &loop->test->random : &loop->random, bound);
}

/* ---- turns ---- */

void weft_callback_soon(weft_loop *loop, weft_callback *callback)
{
    if (weft_list_is_empty(&callback->link))
        weft_list_append(&loop->soon, &callback->link);
    weft_loop_wake(loop);
}

static void run_soon(weft_loop *loop)
{
    weft_list due;
    weft_list_move(&due, &loop->soon); /* what is asked for meanwhile is for the next turn */
    weft_list *node;
    while ((node = weft_list_shift(&due))) {
        weft_callback *callback = CONTAINER_OF(node, weft_callback, link);
        callback->fn(callback);
    }
}

static weft_task *next_ready(weft_loop *loop)
{
    weft_list *node = loop->ready.next;
    if (node == &loop->ready)
        return NULL;
    if (UNLIKELY(loop->test) && loop->test->random) {
        uint64_t count = 0;
        LIST_EACH (each, &loop->ready)
            count++;
        for (uint64_t skip = weft_random_below(&loop->test->random, count); skip > 0; skip--)
            node = node->next;
    }
    return CONTAINER_OF(node, weft_task, queue);
}

/* Those that have yielded come after those that are ready now. */
static void take_yielded(weft_loop *loop)
{
    weft_list_append_all(&loop->ready, &loop->yielded);
}

/* How long this turn has kept input waiting. In virtual time only switches count, so that a run can be repeated. */
static weft_duration time_in_turn(const weft_loop *loop)
{
    return is_virtual(loop) ? 0 : weft_clock_monotonic() - loop->now;
}

static void run_ready(weft_loop *loop)
{
    int unwatched = 1; /* switches until a look at the clock is worth it */
    take_yielded(loop);
    for (int budget = READY_BUDGET; budget > 0; budget--) {
        weft_task *t = next_ready(loop);
        bool is_round = !t;
        if (is_round && weft_list_is_empty(&loop->yielded))
            return;
        if (--unwatched < 0 && (is_round || budget % CLOCK_EVERY == 0)) {
            weft_duration spent = time_in_turn(loop);
            if (spent >= SLICE)
                return;
            unwatched = spent < SLICE / CLOCK_EVERY ? CLOCK_EVERY : 0;
        }
        if (is_round) {
            take_yielded(loop);
            t = next_ready(loop);
        }
        weft_task_enter(t);
    }
}

static bool has_work(const weft_loop *loop)
{
    return !weft_list_is_empty(&loop->ready) || !weft_list_is_empty(&loop->yielded) || !weft_list_is_empty(&loop->soon);
}

/* A job that is over soon costs less if the loop waits for it awake: 1 us in place of 10. False when none has come: time for a
 * poll, as it is after some that have. */
static bool spin_for_jobs(weft_loop *loop)
{
    if (loop->jobs == 0 || loop->unpolled >= UNPOLLED_MOST || !weft_spin_is_worth(&loop->spin)) {
        loop->unpolled = 0;
        return false;
    }
    pthread_mutex_lock(&loop->inbox_lock);
    loop->is_spinning = true;
    pthread_mutex_unlock(&loop->inbox_lock);
    weft_spin_try(&loop->spin, &loop->has_posts);
    loop->unpolled++;
    return weft_loop_drain_inbox(loop);
}

/* Waits for something to happen. */
static void await_events(weft_loop *loop)
{
    if (!spin_for_jobs(loop))
        weft_poll_turn(loop, true);
}

/* Nothing can ever happen again: says so, and cancels everything, so that clean-up runs and the test can end. */
static void end_deadlock(weft_loop *loop)
{
    loop->test->is_deadlocked = true;
    if (!loop->test->is_quiet) {
        fprintf(stderr, "deadlock: nothing is ready, no timer is set, nothing is awaited from outside; the tasks:\n");
        weft_tasks_print(stderr);
        weft_report_cycle(loop, stderr);
    }
    weft_group_cancel_hard(&loop->root);
}

/* Virtual time: it jumps when nothing else can happen. */
static void turn_virtual(weft_loop *loop)
{
    weft_poll_turn(loop, false);
    if (has_work(loop))
        return;
    if (weft_wheel_run(&loop->wheel, loop->now / WEFT_MILLISECOND, false))
        return; /* what was due already, as a deadline set in the past is */
    if (loop->outside > 0) {
        await_events(loop);
        return;
    }
    int64_t tick;
    while ((tick = weft_wheel_next(&loop->wheel)) != WEFT_TICK_NEVER) {
        if (tick * WEFT_MILLISECOND > loop->now)
            loop->now = tick * WEFT_MILLISECOND;
        if (weft_wheel_run(&loop->wheel, tick, true))
            return;
    }
    if (loop->test->is_deadlocked)
        weft_die("a test does not end: its tasks wait for ever, although cancelled");
    end_deadlock(loop);
}

static void turn(weft_loop *loop)
{
    run_soon(loop);
    run_ready(loop);
    if (weft_group_own(&loop->root)->count == 0)
        return;
    if (is_virtual(loop) && !has_work(loop)) {
        turn_virtual(loop);
        return;
    }
    bool is_real = !is_virtual(loop);
    loop->is_stale = is_real;
    if (has_work(loop))
        weft_poll_turn(loop, false);
    else
        await_events(loop);
    loop->is_stale = is_real; /* callbacks took their time */
    weft_loop_now(loop);
}

/* ---- the report of an overflow: in a signal handler, so with write alone ---- */

static void put(const char *text)
{
    ssize_t written = write(STDERR_FILENO, text, strlen(text));
    (void)written;
}

static void put_number(size_t n)
{
    char digits[24];
    size_t at = sizeof digits - 1;
    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    put(digits + at);
}

static void put_overflow(const weft_task *t, const weft_stack *stack)
{
    put("weft: stack overflow in task ");
    put(t->name);
    if (t->label) {
        put(" (route ");
        put(t->label);
        put(")");
    }
    put(" started at ");
    put(t->file);
    put(":");
    put_number((size_t)t->line);
    put(": its stack is ");
    put_number(weft_stack_size(stack) / 1024);
    put(" KiB; give it more by .stack_size, or run deep code by weft_on_loop_stack\n");
}

static bool report_overflow(void *context, const void *address)
{
    const weft_loop *loop = context;
    const weft_task *t = loop->current;
    if (!t || !weft_stack_is_guard(t->coro.stack, address))
        return false;
    put_overflow(t, t->coro.stack);
    return true;
}

void weft_task_die_overrun(const weft_task *t, const weft_stack *stack)
{
    put_overflow(t, stack);
    put("weft: it was noticed too late to be stopped, and memory of another stack may be damaged\n");
    abort();
}

/* ---- opening and closing ---- */

static void trim(weft_timer *timer)
{
    weft_loop *loop = CONTAINER_OF(timer, weft_loop, trim);
    if (weft_stacks_trim(&loop->stacks))
        weft_timer_set(&loop->wheel, timer, weft_tick_of(weft_loop_deadline(loop, WEFT_SECOND)));
}

static weft_loop *open_loop(const struct weft_loop_options *options, int *ret_error)
{
    weft_loop *loop = weft_mem_calloc(1, sizeof *loop);
    *ret_error = -ENOMEM;
    if (!loop)
        return NULL;
    loop->magic = WEFT_LOOP_MAGIC;
    loop->test = options->test;
    loop->log_level = WEFT_LOG_INFO;
    weft_list_init(&loop->ready);
    weft_list_init(&loop->yielded);
    weft_list_init(&loop->soon);
    weft_list_init(&loop->tasks);
    weft_list_init(&loop->inbox);
    loop->now = is_virtual(loop) ? 0 : weft_clock_monotonic();
    if (!loop->test) /* no two processes alike: those that failed together do not come back together */
        loop->random = (uint64_t)weft_clock_monotonic() ^ (uint64_t)(uintptr_t)loop << 24;
    weft_wheel_init(&loop->wheel, loop->now / WEFT_MILLISECOND);
    weft_stacks_init(&loop->stacks);
    loop->stacks.spare = loop->test ? loop->test->spare : NULL;
    weft_timer_init(&loop->trim, trim);
    weft_slab_init(&loop->task_slab, sizeof(weft_task), TASKS_PER_CHUNK);
    weft_arena_pool_init(&loop->arenas, ARENA_CHUNKS_KEPT);
    weft_home_init(&loop->home);
    weft_spin_init(&loop->spin, weft_threads_processors());
    loop->overflow = (weft_overflow_watch){ .report = report_overflow, .context = loop };
    *ret_error = weft_overflow_open(&loop->overflow);
    if (*ret_error < 0)
        goto free_loop;
    *ret_error = weft_poll_open(loop);
    if (*ret_error < 0)
        goto close_overflow;
    pthread_mutex_init(&loop->inbox_lock, NULL);
    return loop;

close_overflow:
    weft_overflow_close(&loop->overflow);
free_loop:
    weft_mem_free(loop);
    return NULL;
}

/* Calls what is left: what it posts, and has called soon, as well. */
static void call_rest(weft_loop *loop)
{
    do
        run_soon(loop);
    while (weft_loop_drain_inbox(loop) || !weft_list_is_empty(&loop->soon));
}

/* Ends threads, and closes what was left open; once more for what the last posts have opened. */
static void stop_all(weft_loop *loop)
{
    for (int round = 0; round < 2; round++) {
        if (loop->os_stop)
            loop->os_stop(loop);
        weft_threads_close(loop);
        call_rest(loop);
    }
}

static void close_loop(weft_loop *loop)
{
    stop_all(loop);
    weft_timer_clear(&loop->trim);
    weft_fds_close(loop);
    if (loop->net_stop)
        loop->net_stop(loop);
    pthread_mutex_lock(&loop->inbox_lock);
    loop->is_closing = true;
    pthread_mutex_unlock(&loop->inbox_lock);
    weft_poll_close(loop);
    call_rest(loop);
    if (loop->net_close)
        loop->net_close(loop);
    if (loop->os_close)
        loop->os_close(loop);
    weft_overflow_close(&loop->overflow);
    weft_stacks_close(&loop->stacks);
    weft_slab_close(&loop->task_slab);
    weft_arena_pool_close(&loop->arenas);
    pthread_mutex_destroy(&loop->inbox_lock);
    if (loop->debug)
        weft_debug_close(loop->debug);
    loop->magic = 0;
    weft_mem_free(loop);
}

/* Who watches the loop in debug mode, if its first task will not have it watched. */
static weft_supervisor *enter_debug(weft_loop *loop, const struct weft_loop_options *options)
{
    weft_supervisor *watcher = NULL;
    if (options->debug || (!loop->test && weft_debug_is_asked_for()))
        loop->debug = weft_debug_open();
    if (!loop->debug || options->has_supervisor || loop->test)
        return NULL;
    struct weft_supervisor_options watch = {
        .leaves_signals = true,
        .stall_limit = options->stall_limit > 0 ? options->stall_limit : WEFT_STALL_LIMIT_DEBUG,
    };
    int rc = weft_supervisor_start(&watcher, loop, &watch);
    if (rc < 0)
        weft_log(WEFT_LOG_WARNING, "debug: nobody watches who holds the loop: %s", weft_strerror(rc));
    return watcher;
}

struct first_task {
    weft_task_fn *fn;
    void *arg;
    int result;
};

static int run_first(void *arg)
{
    struct first_task *first = arg;
    first->result = first->fn(first->arg);
    return first->result;
}

int weft_loop_run(const struct weft_loop_options *options, weft_task_fn *fn, void *arg)
{
    if (weft_here) {
        weft_misuse("weft_run on a thread that runs a loop");
        return -EDEADLK;
    }
    int error;
    weft_loop *loop = open_loop(options, &error);
    if (!loop)
        return error;
    weft_here = loop;
    weft_supervisor *watcher = enter_debug(loop, options);
    if (options->opened)
        options->opened(loop, arg);
    weft_group_enter(&loop->root, NULL, WEFT_NO_LIMIT);
    struct first_task first = { .fn = fn, .arg = arg };
    struct weft_task_spec spec = {
        .fn = run_first, .arg = &first, .name = options->name, .file = options->file, .line = options->line
    };
    first.result = weft_task_start(&loop->root, &spec, NULL);
    while (weft_group_own(&loop->root)->count > 0 || !weft_list_is_empty(&loop->soon))
        turn(loop);
    weft_group_finish(&loop->root);
    int result = loop->root.result < 0 ? loop->root.result : first.result;
    if (options->ended_at)
        *options->ended_at = weft_loop_clock(loop);
    if (watcher)
        weft_supervisor_end(watcher);
    if (loop->debug)
        weft_debug_report(loop);
    if (loop->debug && options->mistakes)
        *options->mistakes = weft_debug_mistakes(loop->debug);
    close_loop(loop);
    weft_here = NULL;
    return result;
}

int weft_run_with_(weft_task_fn *fn, void *arg, const weft_run_options *given)
{
    weft_run_options options = { 0 };
    memcpy(&options, given, given->struct_size < sizeof options ? given->struct_size : sizeof options);
    const struct weft_loop_options run = {
        .name = "main",
        .file = options.file ? options.file : __FILE__,
        .line = options.file ? options.line : __LINE__,
        .debug = options.debug,
        .stall_limit = options.stall_limit,
    };
    return weft_loop_run(&run, fn, arg);
}

bool weft_is_debugging(void)
{
    return weft_here && weft_here->debug;
}

int weft_run_(weft_task_fn *fn, void *arg, const char *file, int line)
{
    return weft_loop_run(&(struct weft_loop_options){ .name = "main", .file = file, .line = line }, fn, arg);
}
