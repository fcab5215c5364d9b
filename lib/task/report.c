/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The tasks as a tree.
 *
 *     parked   main, 1.500 s old, started at a.c:40, waits for: join (0x7f...), of 9,999 tasks ...
 *              in main_task at a.c:20
 *       group opened at a.c:9: 9,999 tasks, deadline in 8.500 s
 *       parked   cook, 1.500 s old, started at a.c:10, holds a lock, waits for: sleep, 0.200 s left
 *                in stir at a.c:24
 *                in cook at a.c:31
 *       parked   eat, 1.500 s old, started at a.c:12, waits for: lock (0x7f...), held by cook ...
 *       ...
 *       and 9,995 more like this: parked eat, started at a.c:12
 *
 * It must be of use when there are 10,000 tasks, and while the house burns: so tasks of one group that are alike (started at
 * one place, waiting in one call) are counted, and only the oldest are written; the kinds of a group, the depth and the
 * whole are limited too, and what is left out is counted. Where a task stands is written unless it is where the first one like
 * it stands. One pass over the tasks of a group, a few compares for each: 100,000 parked ones take 20 ms. Names come from the
 * debug information, whose reading takes some milliseconds for each file of the program, and is not kept.
 */
#include "lib/task/report.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/coro/backtrace.h"
#include "lib/coro/symbols.h"
#include "lib/task/debug.h"

enum {
    KINDS = 64,  /* told apart in a group */
    ALIKE = 3,   /* of each that are written */
    DEPTH = 12,  /* of groups in groups */
    TASKS = 500, /* written in all */
    FRAMES = 16, /* of a stack that are written */
    STACKS = 8,  /* of a task that are written: of generators that step others */
    NUMBER = 32, /* bytes for a number with its commas */
};

struct kind {
    const weft_task *like; /* NULL: a free place */
    size_t count;
    uint64_t trace; /* where the first one stands, as a number */
};

struct report {
    FILE *out;
    weft_duration now;
    size_t written, counted; /* counted: those that are alike others */
    weft_symbols *symbols;   /* opened for the first trace */
};

static const char *const state_names[] = { "new", "ready", "running", "parked", "done" };

void weft_report_seconds(FILE *out, const char *before, int64_t milliseconds, const char *after)
{
    int64_t ms = milliseconds < 0 ? 0 : milliseconds;
    fprintf(out, "%s%" PRId64 ".%03d s%s", before, ms / 1000, (int)(ms % 1000), after);
}

/* 9998 is "9,998". */
static const char *format_count(char buf[static NUMBER], size_t n)
{
    size_t at = NUMBER - 1;
    buf[at] = '\0';
    for (int digits = 0; digits == 0 || n > 0; digits++, n /= 10) {
        if (digits > 0 && digits % 3 == 0)
            buf[--at] = ',';
        buf[--at] = (char)('0' + n % 10);
    }
    return buf + at;
}

static void indent(const struct report *r, int depth)
{
    fprintf(r->out, "%*s", 2 * depth, "");
}

/* ---- a task ---- */

static void print_deadline(const struct report *r, const weft_timer *timer)
{
    if (weft_timer_is_set(timer))
        weft_report_seconds(r->out, ", deadline in ", timer->tick - r->now / WEFT_MILLISECOND, "");
}

/* The next one of the task's own; those of groups stand beside these. */
static void print_own_deadline(const struct report *r, const weft_task *t)
{
    const weft_timer *first = NULL;
    for (const weft_scope *s = t->innermost; s; s = weft_scope_own(s)->outer) {
        const weft_timer *timer = &weft_scope_own(s)->timer;
        if (!weft_scope_own(s)->is_group && weft_timer_is_set(timer) && (!first || timer->tick < first->tick))
            first = timer;
    }
    if (first)
        print_deadline(r, first);
}

/* In debug mode that is known. */
static void print_made(const struct report *r, const void *object)
{
    const char *file;
    int line;
    if (weft_debug_find(object, &file, &line))
        fprintf(r->out, " made at %s:%d", file, line);
}

static void print_held(const struct report *r, const weft_task *t)
{
    LIST_EACH (node, &t->held) {
        const struct weft_holding *holding = CONTAINER_OF(node, const struct weft_holding, link);
        if (!holding->kind->what)
            continue;
        fprintf(r->out, ", holds %s", holding->kind->what);
        print_made(r, holding->object);
    }
}

static void print_wait(const struct report *r, const weft_wait *wait)
{
    fprintf(r->out, ", waits for: %s", wait->what);
    if (wait->on)
        fprintf(r->out, " (%p)", wait->on);
    print_made(r, wait->on);
    if (wait->describe)
        wait->describe(wait, r->out);
}

static void print_task(const struct report *r, const weft_task *t, int depth)
{
    indent(r, depth);
    fprintf(r->out, "%-8s %s%s%s", state_names[t->state], t->name, t->label ? " " : "", t->label ? t->label : "");
    weft_report_seconds(r->out, ", ", (r->now - t->started) / WEFT_MILLISECOND, " old");
    fprintf(r->out, ", started at %s:%d", t->file, t->line);
    print_own_deadline(r, t);
    print_held(r, t);
    if (t->wait)
        print_wait(r, t->wait);
    if (t->reason)
        fprintf(r->out, ", cut short: %s", weft_strerror(t->reason));
    fputc('\n', r->out);
}

/* ---- where it stands ---- */

struct trace {
    void *addresses[FRAMES];
    size_t count;
    bool is_cut;
};

/* From `place` up (NULL: all of it), without our own way there and the runtime's frame at the bottom. */
static void take_trace(const weft_coro *coro, const void *place, struct trace *trace)
{
    enum { OURS = 8, BOTTOM = 1 };
    void *all[OURS + FRAMES + BOTTOM];
    size_t count = weft_coro_backtrace(coro, all, OURS + FRAMES + BOTTOM), first = 0;
    bool has_bottom = count < OURS + FRAMES + BOTTOM;
    if (has_bottom && count > BOTTOM)
        count -= BOTTOM;
    while (first < count && place && all[first] != place)
        first++;
    if (first == count)
        first = 0; /* the place is none of those: all of it, then */
    trace->count = count - first < FRAMES ? count - first : FRAMES;
    trace->is_cut = !has_bottom || trace->count < count - first;
    memcpy(trace->addresses, all + first, trace->count * sizeof *all);
}

/* The traces of a task, of which it has one for each stack on which it stands: a generator's body first, then who steps it. */
static size_t take_traces(const weft_task *t, struct trace traces[static STACKS])
{
    size_t count = 0;
    take_trace(&t->coro, t->wait ? t->wait->place : NULL, &traces[count++]);
    for (const struct weft_nested *nested = t->nested; nested; nested = nested->outer) {
        if (count == STACKS) {
            traces[STACKS - 1].is_cut = true;
            break;
        }
        take_trace(&nested->coro, NULL, &traces[count++]);
    }
    return count;
}

static uint64_t number_of(const struct trace *traces, size_t count)
{
    uint64_t number = UINT64_C(0xcbf29ce484222325);
    for (const struct trace *trace = traces; trace < traces + count; trace++)
        for (size_t i = 0; i < trace->count; i++)
            number = (number ^ (uintptr_t)trace->addresses[i]) * UINT64_C(0x100000001b3);
    return number;
}

static void print_trace(struct report *r, const struct trace *trace, int depth)
{
    if (!r->symbols)
        r->symbols = weft_symbols_open();
    for (size_t i = 0; i < trace->count; i++) {
        indent(r, depth);
        fputs("         in ", r->out);
        weft_symbols_print(r->symbols, r->out, trace->addresses[i]);
        fputc('\n', r->out);
    }
    if (trace->is_cut) {
        indent(r, depth);
        fputs("         and more\n", r->out);
    }
}

static void print_place(struct report *r, const weft_task *t, struct kind *kind, int depth)
{
    struct trace traces[STACKS];
    if (t->state != WEFT_TASK_PARKED && t->state != WEFT_TASK_READY)
        return;
    size_t count = take_traces(t, traces);
    uint64_t number = number_of(traces, count);
    if (kind->count == 1)
        kind->trace = number;
    else if (kind->trace == number)
        return;
    print_trace(r, &traces[0], depth);
    const struct weft_nested *nested = t->nested;
    for (size_t i = 1; i < count; i++, nested = nested->outer) {
        indent(r, depth);
        fprintf(r->out, "         in the generator %s, which is stepped\n", nested->name);
        print_trace(r, &traces[i], depth);
    }
}

/* ---- those that are alike ---- */

static bool has_tasks_under(const weft_task *t)
{
    for (weft_scope *s = t->outermost; s; s = weft_scope_own(s)->inner) {
        const weft_group *g = weft_scope_group(s);
        if (g && weft_group_own(g)->count > 0)
            return true;
    }
    return false;
}

static bool is_alike(const weft_task *a, const weft_task *b)
{
    if (a->file != b->file || a->line != b->line || a->state != b->state || a->label != b->label || a->reason != b->reason ||
        !a->wait != !b->wait || has_tasks_under(a) != has_tasks_under(b))
        return false;
    return !a->wait || (a->wait->what == b->wait->what && a->wait->place == b->wait->place);
}

static size_t place_of(const weft_task *t)
{
    uintptr_t mix = (uintptr_t)t->file ^ (uintptr_t)t->line << 4 ^ (t->wait ? (uintptr_t)t->wait->place : 0);
    return (mix ^ mix >> 6 ^ mix >> 12) % KINDS;
}

/* Its kind, counting it; NULL when there are too many. */
static struct kind *count_kind(struct kind kinds[static KINDS], const weft_task *t)
{
    enum { TRIES = 8 };
    for (size_t i = 0; i < TRIES; i++) {
        struct kind *kind = &kinds[(place_of(t) + i) % KINDS];
        if (!kind->like)
            kind->like = t;
        else if (!is_alike(kind->like, t))
            continue;
        kind->count++;
        return kind;
    }
    return NULL;
}

static void print_rest(struct report *r, const struct kind kinds[static KINDS], size_t others, int depth)
{
    char number[NUMBER];
    for (size_t i = 0; i < KINDS; i++) {
        const weft_task *t = kinds[i].like;
        if (!t || kinds[i].count <= ALIKE)
            continue;
        size_t more = kinds[i].count - ALIKE;
        indent(r, depth);
        fprintf(r->out, "and %s more like this: %s %s%s%s, started at %s:%d\n", format_count(number, more),
                state_names[t->state], t->name, t->label ? " " : "", t->label ? t->label : "", t->file, t->line);
    }
    if (others == 0)
        return;
    indent(r, depth);
    fprintf(r->out, "and %s more of other kinds\n", format_count(number, others));
}

/* ---- groups ---- */

static void print_group(struct report *r, const weft_group *g, int depth);

/* The groups that t has opened. */
static void print_under(struct report *r, const weft_task *t, int depth)
{
    if (depth > DEPTH)
        return;
    for (weft_scope *s = t->outermost; s; s = weft_scope_own(s)->inner) {
        const weft_group *g = weft_scope_group(s);
        if (g && weft_group_own(g)->count > 0)
            print_group(r, g, depth);
    }
}

static void print_members(struct report *r, const weft_list *alive, int depth)
{
    struct kind kinds[KINDS] = { { 0 } };
    size_t others = 0;
    LIST_EACH (node, alive) {
        const weft_task *t = CONTAINER_OF(node, const weft_task, member);
        struct kind *kind = count_kind(kinds, t);
        if (kind && kind->count <= ALIKE && r->written < TASKS) {
            r->written++;
            print_task(r, t, depth);
            print_place(r, t, kind, depth);
            print_under(r, t, depth + 1);
            continue;
        }
        r->counted++;
        others += !kind || kind->count <= ALIKE;
    }
    print_rest(r, kinds, others, depth);
}

static void print_group(struct report *r, const weft_group *g, int depth)
{
    char number[NUMBER];
    const struct scope_own *scope = weft_scope_own(&g->scope);
    const struct group_own *own = weft_group_own(g);
    indent(r, depth);
    fputs("group", r->out);
    if (scope->file)
        fprintf(r->out, " opened at %s:%d", scope->file, scope->line);
    fprintf(r->out, ": %s task%s", format_count(number, own->count), own->count == 1 ? "" : "s");
    if (g->limit > 0)
        fprintf(r->out, " of at most %d", g->limit);
    print_deadline(r, &scope->timer);
    if (scope->reason)
        fprintf(r->out, ", cut short: %s", weft_strerror(scope->reason));
    fputc('\n', r->out);
    print_members(r, &own->alive, depth);
}

struct request {
    weft_loop *loop;
    FILE *out;
};

static void print_tree(void *arg)
{
    const struct request *request = arg;
    weft_loop *loop = request->loop;
    char number[NUMBER];
    struct report r = { .out = request->out, .now = weft_loop_clock(loop) };
    size_t count = 0;
    LIST_EACH (node, &loop->tasks)
        count++;
    print_members(&r, &weft_group_own(&loop->root)->alive, 0);
    weft_symbols_close(r.symbols);
    if (count > r.written + r.counted)
        fprintf(r.out, "and %s more, under those that are not shown, or in groups of generators that do not run\n",
                format_count(number, count - r.written - r.counted));
}

void weft_tasks_print(FILE *out)
{
    if (weft_here)
        weft_on_loop_stack(print_tree, &(struct request){ weft_here, out });
}

/* Standard error once more, with room for most lists; NULL when descriptors or memory are out. */
static FILE *open_buffered(void)
{
    enum { ROOM = 64 * 1024 };
    int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
    FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
    if (out)
        setvbuf(out, NULL, _IOFBF, ROOM);
    else if (fd >= 0)
        close(fd);
    return out;
}

void weft_tasks_tell(const char *head)
{
    flockfile(stderr);
    FILE *buffered = open_buffered(), *out = buffered ? buffered : stderr;
    if (head)
        fprintf(out, "%s\n", head);
    weft_tasks_print(out);
    if (buffered)
        fclose(buffered);
    funlockfile(stderr);
}
