/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * One wait with a waiter in the line of each case; whoever is served first settles the wait, which takes the others out.
 *
 * If some cases can happen at once, one of them is drawn with equal chances: not the first from a random place, which would
 * favour one that follows a long gap. Nothing is allocated: the waiters live in the cases, which stay in place while waited
 * for.
 */
#include <weft/select.h>

#include "lib/sync/source.h"
#include "lib/task/task.h"

struct case_own {
    weft_waiter waiter;
    weft_timer timer;
    bool is_outside; /* it holds up virtual time */
};
_Static_assert(sizeof(struct case_own) <= sizeof(((weft_select_case *)0)->own_), "weft_select_case has room");

struct selection {
    weft_wait wait;
    weft_select_case *cases;
    size_t count;
};

static struct case_own *own_of(const weft_select_case *c)
{
    return (struct case_own *)(void *)c->own_;
}

/* ---- the ends of tasks ---- */

static weft_list *end_line(const weft_select_case *c)
{
    weft_task *t = c->on.task;
    weft_task_check_handle(t, "weft_select");
    bool is_awaitable = t != weft_here->current && weft_list_is_empty(&t->awaiters);
    return t->state != WEFT_TASK_DONE && is_awaitable ? &t->awaiters : NULL;
}

static int take_end(const weft_select_case *c)
{
    struct weft_trail *trail;
    int rc = weft_task_check_awaitable(c->on.task);
    if (rc < 0)
        return rc;
    rc = weft_task_take_result(c->on.task, &trail);
    weft_trail_adopt(weft_here->current, trail);
    return rc;
}

static const struct weft_source source_end = { "await", false, end_line, take_end };

/* The time-out has no line: it is struck. */
static const struct weft_source *const sources[] = {
    [WEFT_SELECT_GET] = &weft_source_queue_get,
    [WEFT_SELECT_PUT] = &weft_source_queue_put,
    [WEFT_SELECT_EVENT] = &weft_source_event,
    [WEFT_SELECT_PLACE] = &weft_source_semaphore,
    [WEFT_SELECT_END] = &source_end,
};

static bool has_line(const weft_select_case *c)
{
    return c->kind != WEFT_SELECT_TIMEOUT && c->on.queue; /* any member: they are all pointers */
}

/* Of a case that has a line. Those of lib/os the loop knows once it has such an object. */
static const struct weft_source *source_of(const weft_select_case *c)
{
    if (c->kind < WEFT_SELECT_TIMEOUT)
        return sources[c->kind];
    const struct weft_source *const *others = weft_here->sources;
    if (!others)
        weft_misuse_die("a select waits for what is not of this loop");
    return others[c->kind - WEFT_SELECT_PROCESS];
}

/* ---- what can happen at once ---- */

static bool is_ready(const weft_select_case *c)
{
    return has_line(c) && !source_of(c)->line(c);
}

/* The case that happens without waiting; -1 if none can. */
static int take_ready(weft_select_case *cases, size_t count)
{
    size_t ready = 0;
    for (size_t i = 0; i < count; i++)
        ready += is_ready(&cases[i]);
    if (ready == 0)
        return -1;
    uint64_t chosen = ready == 1 ? 0 : weft_loop_draw(weft_here, ready);
    size_t i = 0;
    while (!is_ready(&cases[i]) || chosen-- > 0)
        i++;
    cases[i].result = source_of(&cases[i])->take(&cases[i]);
    return (int)i;
}

/* A time-out of 0 or less; the first of several. -1 if there is none. */
static int take_overdue(weft_select_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (cases[i].kind == WEFT_SELECT_TIMEOUT && cases[i].timeout <= 0) {
            cases[i].result = 0;
            return (int)i;
        }
    }
    return -1;
}

/* ---- waiting ---- */

static void strike(weft_timer *timer)
{
    weft_waiter_serve(&CONTAINER_OF(timer, struct case_own, timer)->waiter, 0);
}

static void withdraw(weft_wait *wait)
{
    const struct selection *selection = CONTAINER_OF(wait, struct selection, wait);
    for (size_t i = 0; i < selection->count; i++) {
        struct case_own *own = own_of(&selection->cases[i]);
        weft_list_remove(&own->waiter.link);
        weft_timer_clear(&own->timer);
        weft_here->outside -= own->is_outside;
    }
}

static void describe(const weft_wait *wait, FILE *out)
{
    const struct selection *selection = CONTAINER_OF(wait, const struct selection, wait);
    const char *separator = ": ";
    for (size_t i = 0; i < selection->count; i++) {
        const weft_select_case *c = &selection->cases[i];
        if (c->kind == WEFT_SELECT_TIMEOUT)
            fprintf(out, "%stime-out", separator);
        else if (has_line(c))
            fprintf(out, "%s%s (%p)", separator, source_of(c)->what, (void *)c->on.queue);
        separator = ", ";
    }
}

static void enlist(struct selection *selection, int index)
{
    weft_select_case *c = &selection->cases[index];
    struct case_own *own = own_of(c);
    own->waiter = (weft_waiter){ .wait = &selection->wait, .item = c->item, .index = index };
    weft_list_init(&own->waiter.link);
    weft_timer_init(&own->timer, strike);
    if (c->kind == WEFT_SELECT_TIMEOUT)
        weft_timer_set(&weft_here->wheel, &own->timer, weft_tick_of(weft_loop_deadline(weft_here, c->timeout)));
    weft_list *line = has_line(c) ? source_of(c)->line(c) : NULL;
    own->is_outside = line && source_of(c)->is_outside;
    weft_here->outside += own->is_outside;
    if (line) /* NULL also for the second case of one task, which the first now awaits */
        weft_list_append(line, &own->waiter.link);
}

int weft_select(weft_select_case *cases, size_t count)
{
    int rc = weft_wait_check("select");
    if (rc < 0)
        return rc;
    int which = take_ready(cases, count);
    if (which < 0)
        which = take_overdue(cases, count);
    if (which >= 0)
        return which;
    struct selection selection = { .wait = WEFT_WAIT("select", cases, withdraw), .cases = cases, .count = count };
    selection.wait.describe = describe;
    for (size_t i = 0; i < count; i++)
        enlist(&selection, (int)i);
    which = weft_wait_park(&selection.wait);
    if (which < 0)
        return which;
    const weft_waiter *served = &own_of(&cases[which])->waiter;
    cases[which].result = served->result;
    if (cases[which].kind == WEFT_SELECT_END)
        weft_trail_adopt(weft_here->current, served->item);
    return which;
}
