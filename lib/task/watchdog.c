/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Time is what the watchdog has seen pass: a look that comes late, since the whole process had been stopped, counts as one that
 * came in time, so that a debugger or a laptop's lid makes nobody a culprit.
 *
 * Standard error may be a pipe that nobody reads, and the supervisor has the clock of the stop to keep: a report for which
 * there is no room at once is dropped.
 */
#include "lib/task/watchdog.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/coro/symbols.h"
#include "lib/task/sample.h"
#include "lib/task/task.h"

enum { LOOKS = 4 /* in the limit */, REPORT_SIZE = 4096 /* what a pipe has room for when it is writable */ };

weft_duration weft_watchdog_period(const weft_watchdog *w)
{
    return w->limit == WEFT_NO_LIMIT ? WEFT_NO_LIMIT : w->limit / LOOKS;
}

/* ---- who it is ---- */

static uint64_t beat_of(const weft_loop *loop)
{
    return __atomic_load_n(&loop->beat, __ATOMIC_ACQUIRE);
}

/* False if the loop has gone on meanwhile, and what was read may be of several. */
static bool read_holder(const weft_watchdog *w, struct weft_holder *ret_holder)
{
    const weft_loop *loop = w->loop;
    const weft_task *t = __atomic_load_n(&loop->current, __ATOMIC_RELAXED);
    struct weft_holder holder = { .posted = __atomic_load_n(&loop->posted, __ATOMIC_RELAXED) };
    if (t)
        holder = (struct weft_holder){ .name = __atomic_load_n(&t->name, __ATOMIC_RELAXED),
                                       .label = __atomic_load_n(&t->label, __ATOMIC_RELAXED),
                                       .file = __atomic_load_n(&t->file, __ATOMIC_RELAXED),
                                       .line = __atomic_load_n(&t->line, __ATOMIC_RELAXED) };
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (beat_of(loop) != w->beat)
        return false;
    *ret_holder = holder;
    return true;
}

struct words {
    char *at;
    size_t left;
};

static void add(struct words *words, const char *format, ...) WEFT_PRINTF(2, 3);

static void add(struct words *words, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(words->at, words->left, format, args);
    va_end(args);
    size_t size = n < 0 ? 0 : (size_t)n < words->left ? (size_t)n : words->left - 1;
    words->at += size;
    words->left -= size;
}

static void add_symbol(struct words *words, weft_symbols *symbols, const void *return_address)
{
    char name[300] = "";
    FILE *out = fmemopen(name, sizeof name, "w");
    if (!out)
        return;
    weft_symbols_print(symbols, out, return_address);
    fclose(out);
    add(words, "%s", name);
}

static void add_holder(struct words *words, const struct weft_holder *holder)
{
    weft_symbols *symbols = holder->name ? NULL : weft_symbols_open();
    if (holder->name)
        add(words, "task %s%s%s started at %s:%d", holder->name, holder->label ? " " : "", holder->label ? holder->label : "",
            holder->file, holder->line);
    else {
        add(words, "a posted function, ");
        add_symbol(words, symbols, (char *)(uintptr_t)holder->posted + 1);
    }
    weft_symbols_close(symbols);
}

/* ---- what is said ---- */

/* Each on a line; what there is no room for is left out. */
static void add_places(struct words *words, void *const *addresses, size_t count)
{
    weft_symbols *symbols = count > 0 ? weft_symbols_open() : NULL;
    for (size_t i = 0; i < count; i++) {
        struct words before = *words;
        add(words, "    ");
        add_symbol(words, symbols, addresses[i]);
        add(words, "\n");
        if (words->left < 2) {
            *words = before;
            *words->at = '\0';
            break;
        }
    }
    weft_symbols_close(symbols);
}

static void say(const char *text, size_t size)
{
    struct pollfd out = { .fd = STDERR_FILENO, .events = POLLOUT };
    if (poll(&out, 1, 0) != 1 || !(out.revents & POLLOUT))
        return;
    ssize_t written = write(STDERR_FILENO, text, size);
    (void)written;
}

static void report(weft_watchdog *w)
{
    char text[REPORT_SIZE];
    struct words words = { text, sizeof text };
    add(&words, "weft: ");
    add_holder(&words, &w->holder);
    add(&words, " holds the loop, for %" PRId64 " ms so far", w->held / WEFT_MILLISECOND);
    size_t count = w->takes_samples ? weft_sample_take(&w->sample, w->loop_thread) : 0;
    add(&words, "%s\n", count > 0 ? "; it is in:" : "");
    add_places(&words, w->sample.addresses, count);
    say(text, (size_t)(words.at - text));
}

/* On the loop's thread. */
static void log_stall(void *arg)
{
    struct weft_stall *stall = arg;
    char text[500];
    struct words words = { text, sizeof text };
    add_holder(&words, &stall->holder);
    int64_t ms = stall->held / WEFT_MILLISECOND;
    atomic_store(&stall->is_posted, false);
    weft_log(WEFT_LOG_WARNING, "%s held the loop for %" PRId64 ".%03d s", text, ms / 1000, (int)(ms % 1000));
}

static void end_stall(weft_watchdog *w)
{
    w->is_reported = false;
    for (size_t i = 0; i < WEFT_STALLS_UNTOLD; i++) {
        struct weft_stall *stall = &w->stalls[i];
        if (atomic_load(&stall->is_posted))
            continue;
        stall->holder = w->holder;
        stall->held = w->held;
        atomic_store(&stall->is_posted, true);
        weft_loop_post_embedded(w->loop, &stall->post);
        return;
    }
}

void weft_watchdog_look(weft_watchdog *w)
{
    if (w->limit == WEFT_NO_LIMIT)
        return;
    weft_duration now = weft_clock_monotonic(), passed = now - w->looked, most = 2 * weft_watchdog_period(w);
    w->looked = now;
    uint64_t beat = beat_of(w->loop);
    if (beat != w->beat) {
        w->held = now - passed / 2 - w->began; /* it went on somewhere between two looks */
        if (w->is_reported)
            end_stall(w);
        w->beat = beat;
        w->began = now - passed / 2;
        w->held = 0;
        return;
    }
    if (beat % 2 == 0)
        return;
    w->held += passed < most ? passed : most;
    if (w->held < w->limit || w->is_reported || !read_holder(w, &w->holder))
        return;
    w->is_reported = true;
    report(w);
}

void weft_watchdog_open(weft_watchdog *w, weft_loop *loop, weft_duration limit, bool takes_samples)
{
    *w = (weft_watchdog){
        .loop = loop,
        .limit = limit > 0 ? limit : WEFT_NO_LIMIT,
        .takes_samples = takes_samples,
        .loop_thread = pthread_self(),
        .looked = weft_clock_monotonic(),
        .beat = loop->beat,
        .began = weft_clock_monotonic(),
    };
    for (size_t i = 0; i < WEFT_STALLS_UNTOLD; i++) {
        w->stalls[i].post = (struct weft_loop_post){ .fn = log_stall, .arg = &w->stalls[i] };
        weft_list_init(&w->stalls[i].post.link);
    }
    if (takes_samples)
        weft_sample_open(&w->sample);
}

void weft_watchdog_close(weft_watchdog *w)
{
    w->held = weft_clock_monotonic() - w->began;
    if (w->is_reported)
        end_stall(w);
    for (size_t i = 0; i < WEFT_STALLS_UNTOLD; i++) {
        weft_loop_withdraw(w->loop, &w->stalls[i].post);
        if (atomic_load(&w->stalls[i].is_posted))
            log_stall(&w->stalls[i]);
    }
    if (w->takes_samples)
        weft_sample_close();
}
