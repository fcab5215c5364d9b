/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Scopes and how a reason spreads.
 *
 * Kept true at all times: for every open scope, `reason` and `is_hard` are what `effective` works out from what is around it;
 * for every task, `reason` is that of its innermost scope, or its base reason. Whatever changes one of these changes all that
 * is inside before it returns: along the owner's chain, and, with a work list in place of recursion, through the groups met.
 */
#include <weft/scope.h>

#include <errno.h>

#include "lib/task/threads.h"
#include "lib/task/task.h"

struct around {
    int reason;
    bool is_hard;
};

static struct around around_scope(const struct scope_own *own)
{
    if (own->outer) {
        const struct scope_own *outer = weft_scope_own(own->outer);
        return (struct around){ outer->reason, outer->is_hard };
    }
    if (own->task)
        return (struct around){ own->task->base_reason, own->task->is_hard };
    return (struct around){ 0, false };
}

static bool is_seen(struct around around, bool shielded)
{
    return around.reason && (!shielded || around.is_hard);
}

/* Works out the effective reason of s; false if it is what it was. */
static bool update_scope(weft_scope *s)
{
    struct scope_own *own = weft_scope_own(s);
    struct around around = around_scope(own);
    int reason = is_seen(around, s->shielded) ? around.reason : own->own_reason;
    bool is_hard = around.is_hard || own->own_hard;
    if (reason == own->reason && is_hard == own->is_hard)
        return false;
    own->reason = reason;
    own->is_hard = is_hard;
    return true;
}

/* The reason that would cut the present wait of t short; 0 for none. */
static int reason_for_wait(const weft_task *t)
{
    return t->wait->inside ? weft_scope_reason_inside(t, t->wait->inside) : t->reason;
}

static void cut_wait(weft_task *t)
{
    if (!t->wait || t->wait->is_uncut)
        return;
    int reason = reason_for_wait(t);
    if (reason)
        weft_wait_settle(t->wait, reason);
}

static void update_task(weft_task *t)
{
    t->reason = t->innermost ? weft_scope_own(t->innermost)->reason : t->base_reason;
    if (!t->reason)
        t->refusals = 0;
    cut_wait(t);
}

/* s, a scope of t's chain (t NULL: the root), may have changed: spreads inward, and notes the groups on the way. */
static void spread_chain(weft_task *t, weft_scope *s, weft_list *work)
{
    for (; s; s = weft_scope_own(s)->inner) {
        if (!update_scope(s))
            return;
        weft_group *g = weft_scope_group(s);
        if (g && weft_list_is_empty(&weft_group_own(g)->work))
            weft_list_append(work, &weft_group_own(g)->work);
    }
    if (t)
        update_task(t);
}

static void spread_base(weft_task *t, weft_list *work)
{
    const struct scope_own *group = weft_scope_own(&t->group->scope);
    int reason = group->reason ? group->reason : t->own_reason;
    if (reason == t->base_reason && group->is_hard == t->is_hard)
        return;
    t->base_reason = reason;
    t->is_hard = group->is_hard;
    if (!t->outermost) {
        update_task(t);
        return;
    }
    spread_chain(t, t->outermost, work);
    cut_wait(t); /* as in weft_scope_cut: a group on the chain may have had that reason as its own, and stopped the spreading */
}

/* Settling only queues tasks, and withdrawing touches the object waited on: no list of tasks changes meanwhile. */
static void spread_groups(weft_list *work)
{
    weft_list *node;
    while ((node = weft_list_shift(work))) {
        struct group_own *own = CONTAINER_OF(node, struct group_own, work);
        weft_group *g = CONTAINER_OF((void **)(void *)own, weft_group, own_);
        if (UNLIKELY(!weft_list_is_empty(&own->placers)) && weft_scope_own(&g->scope)->reason)
            weft_group_refuse_placers(g);
        LIST_EACH (member, &own->alive)
            spread_base(CONTAINER_OF(member, weft_task, member), work);
    }
}

void weft_task_spread(weft_task *t)
{
    weft_list work;
    weft_list_init(&work);
    spread_base(t, &work);
    spread_groups(&work);
}

void weft_scope_cut(weft_scope *s, int reason, bool is_hard)
{
    struct scope_own *own = weft_scope_own(s);
    if (!own->own_reason)
        own->own_reason = reason;
    else if (!is_hard || own->own_hard)
        return;
    own->own_hard = own->own_hard || is_hard;
    weft_list work;
    weft_list_init(&work);
    spread_chain(own->task, s, &work);
    spread_groups(&work);
    if (own->task)
        cut_wait(own->task); /* a wait inside a group looks at own reasons too, which may not show as effective ones */
}

static void strike(weft_timer *timer)
{
    struct scope_own *own = CONTAINER_OF(timer, struct scope_own, timer);
    weft_scope *s = CONTAINER_OF((void **)(void *)own, weft_scope, own_);
    if (!own->reason)
        s->expired = true; /* nothing around it, and no cancel, was first */
    weft_scope_cut(s, WEFT_EDEADLINE, false);
}

void weft_scope_enter(weft_scope *s, weft_task *t, bool is_group, weft_duration deadline)
{
    struct scope_own *own = weft_scope_own(s);
    *own = (struct scope_own){ .magic = WEFT_SCOPE_MAGIC, .is_group = is_group, .task = t };
    s->expired = s->cancelled = false;
    weft_timer_init(&own->timer, strike);
    if (deadline != WEFT_NO_LIMIT)
        weft_timer_set(&weft_here->wheel, &own->timer, weft_tick_of(deadline));
    if (!t)
        return;
    own->outer = t->innermost;
    if (own->outer)
        weft_scope_own(own->outer)->inner = s;
    else
        t->outermost = s;
    t->innermost = s;
    update_scope(s);
    t->reason = own->reason;
    if (!t->reason)
        t->refusals = 0;
}

void weft_scope_leave(weft_scope *s)
{
    struct scope_own *own = weft_scope_own(s);
    weft_task *t = own->task;
    weft_timer_clear(&own->timer);
    own->magic = 0;
    if (!t)
        return;
    t->innermost = own->outer;
    if (own->outer)
        weft_scope_own(own->outer)->inner = NULL;
    else
        t->outermost = NULL;
    update_task(t);
}

/* The chain has moved to `t` (NULL: to nowhere): its scopes belong to that, and have the reasons that are around there. */
static void move_chain(weft_task *t, const struct weft_scope_chain *chain)
{
    weft_list work;
    weft_list_init(&work);
    for (weft_scope *s = chain->outermost; s; s = weft_scope_own(s)->inner)
        weft_scope_own(s)->task = t;
    spread_chain(t, chain->outermost, &work);
    spread_groups(&work);
}

void weft_scope_detach(weft_task *t, weft_scope *base, struct weft_scope_chain *ret_chain)
{
    weft_scope **place = base ? &weft_scope_own(base)->inner : &t->outermost;
    *ret_chain = (struct weft_scope_chain){ .outermost = *place, .innermost = t->innermost };
    *place = NULL;
    t->innermost = base;
    weft_scope_own(ret_chain->outermost)->outer = NULL;
    move_chain(NULL, ret_chain);
    update_task(t);
}

void weft_scope_attach(weft_task *t, struct weft_scope_chain *chain)
{
    weft_scope **place = t->innermost ? &weft_scope_own(t->innermost)->inner : &t->outermost;
    *place = chain->outermost;
    weft_scope_own(chain->outermost)->outer = t->innermost;
    t->innermost = chain->innermost;
    move_chain(t, chain);
    update_task(t);
    *chain = (struct weft_scope_chain){ NULL, NULL };
}

weft_scope *weft_scope_origin(const weft_task *t)
{
    weft_scope *s = t->innermost;
    while (s && is_seen(around_scope(weft_scope_own(s)), s->shielded))
        s = weft_scope_own(s)->outer;
    return s;
}

int weft_scope_reason_inside(const weft_task *t, const weft_group *g)
{
    int reason = 0;
    for (const weft_scope *s = t->innermost; s != &g->scope; s = weft_scope_own(s)->outer) {
        const struct scope_own *own = weft_scope_own(s);
        if (own->own_reason)
            reason = own->own_reason;
        if (s->shielded && !own->is_hard)
            return reason;
    }
    struct around around = around_scope(weft_scope_own(&g->scope));
    if (weft_scope_own(&g->scope)->own_hard)
        return WEFT_ECANCELED;
    return around.reason ? around.reason : reason;
}

/* ---- public ---- */

static weft_task *running_task(const char *call)
{
    weft_task *t = weft_here ? weft_here->current : NULL;
    if (!t)
        weft_misuse_die("%s outside a task", call);
    return t;
}

void weft_scope_open_(weft_scope *s, const char *file, int line)
{
    weft_task *t = running_task("weft_scope_open");
    bool is_over = s->timeout <= 0;
    weft_scope_enter(s, t, false, is_over ? WEFT_NO_LIMIT : weft_loop_deadline(t->loop, s->timeout));
    weft_scope_own(s)->file = file;
    weft_scope_own(s)->line = line;
    if (is_over)
        strike(&weft_scope_own(s)->timer);
}

void weft_scope_close(weft_scope *s)
{
    weft_task *t = running_task("weft_scope_close");
    const struct scope_own *own = weft_scope_own(s);
    if (own->magic != WEFT_SCOPE_MAGIC || own->task != t)
        weft_misuse_die("a scope is closed that this task has not open");
    if (t->innermost != s)
        weft_misuse_die("a scope is closed out of order: another one was opened in it and is still open");
    if (own->is_group)
        weft_misuse_die("a group is closed as if it were a scope: join it");
    weft_scope_leave(s);
}

void weft_cancel(weft_scope *s)
{
    if (weft_scope_own(s)->magic != WEFT_SCOPE_MAGIC)
        weft_misuse_die("weft_cancel of a scope that is not open");
    s->cancelled = true;
    weft_scope_cut(s, WEFT_ECANCELED, false);
}

/* The scope around s: of the same task, else the group of that task; NULL around the root group. */
static weft_scope *scope_around(const weft_scope *s)
{
    const struct scope_own *own = weft_scope_own(s);
    return own->outer ? own->outer : own->task ? &own->task->group->scope : NULL;
}

/* The timer that the loop, if it could run, would have struck first of those whose scope t is in; NULL for none. */
static weft_timer *overdue_timer(const weft_task *t, int64_t tick)
{
    weft_timer *first = NULL;
    for (weft_scope *s = t->innermost ? t->innermost : &t->group->scope; s; s = s->shielded ? NULL : scope_around(s)) {
        weft_timer *timer = &weft_scope_own(s)->timer;
        if (weft_timer_is_set(timer) && timer->tick <= tick && (!first || timer->tick <= first->tick))
            first = timer;
    }
    return first;
}

bool weft_cancelled(void)
{
    if (!weft_here)
        return weft_threads_is_cut();
    weft_task *t = weft_here->current;
    if (!t)
        return false;
    int64_t tick = weft_loop_clock(t->loop) / WEFT_MILLISECOND;
    weft_timer *timer;
    while (!t->reason && (timer = overdue_timer(t, tick))) {
        weft_timer_clear(timer);
        strike(timer);
    }
    return t->reason != 0;
}

int weft_timeout(weft_duration d, int (*fn)(void *arg), void *arg)
{
    int rc;
    weft_scope limit = { .timeout = d };
    weft_scope_open(&limit);
    rc = fn(arg);
    weft_scope_close(&limit);
    return rc;
}

void weft_block_leave_(weft_block_ *b)
{
    if (!b->group) {
        weft_scope_close(b->scope);
        return;
    }
    if (!b->left)
        weft_group_cancel(b->group);
    weft_group_join(b->group);
}
