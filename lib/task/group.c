/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Groups: what holds tasks together.
 *
 * A task is in exactly one list of its group: alive until it has left its stack for good; then `unawaited` if weft_spawn gave
 * its handle out, or `ended` if the group keeps ended tasks; else it is given back. The table in weft/task.h of what an end
 * means is `count_end` and `settle_result`, row by row.
 */
#include <weft/task.h>

#include <errno.h>

#include "lib/task/debug.h"
#include "lib/task/task.h"

static bool is_reason(int result)
{
    return result == WEFT_ECANCELED || result == WEFT_EDEADLINE;
}

static bool keeps_ended(const weft_group *g)
{
    return g->keep_ended || g->on_error == WEFT_COLLECT;
}

/* The first error becomes the result; siblings are cancelled, unless collecting. */
static void fail(weft_group *g, int error)
{
    if (!g->result)
        g->result = error;
    if (g->on_error == WEFT_COLLECT)
        return;
    struct scope_own *scope = weft_scope_own(&g->scope);
    if (!scope->own_reason)
        scope->has_failed = true;
    weft_scope_cut(&g->scope, WEFT_ECANCELED, false);
}

/* ---- opening ---- */

void weft_group_enter(weft_group *g, weft_task *t, weft_duration deadline)
{
    struct group_own *own = weft_group_own(g);
    *own = (struct group_own){ 0 };
    weft_list_init(&own->alive);
    weft_list_init(&own->ended);
    weft_list_init(&own->unawaited);
    weft_list_init(&own->placers);
    weft_list_init(&own->work);
    g->result = 0;
    g->scope.timeout = g->timeout;
    g->scope.shielded = false;
    weft_scope_enter(&g->scope, t, true, deadline);
}

void weft_group_open_(weft_group *g, const char *file, int line)
{
    weft_task *t = weft_here ? weft_here->current : NULL;
    if (!t)
        weft_misuse_die("weft_group_open outside a task");
    bool has_deadline = g->timeout > 0 && g->timeout != WEFT_NO_LIMIT;
    weft_group_enter(g, t, has_deadline ? weft_loop_deadline(t->loop, g->timeout) : WEFT_NO_LIMIT);
    weft_scope_own(&g->scope)->file = file;
    weft_scope_own(&g->scope)->line = line;
    if (g->timeout < 0) { /* a deadline worked out by the caller that has passed already */
        if (!weft_scope_own(&g->scope)->reason)
            g->scope.expired = true;
        weft_scope_cut(&g->scope, WEFT_EDEADLINE, false);
    }
}

/* ---- starting ---- */

static void check_open(const weft_group *g, const char *call)
{
    if (weft_scope_own(&g->scope)->magic != WEFT_SCOPE_MAGIC)
        weft_misuse_die("%s on a group that is not open", call);
    if (!weft_here)
        weft_misuse_die("%s on a thread without a loop", call);
}

static bool is_full(const weft_group *g)
{
    const struct group_own *own = weft_group_own(g);
    return g->limit > 0 && own->count + own->promised >= (size_t)g->limit;
}

static int start(weft_group *g, const struct weft_task_spec *spec, weft_task **ret_task)
{
    int reason = weft_scope_own(&g->scope)->reason;
    if (reason)
        return reason;
    int rc = spec->copy_size > WEFT_GO_COPY_MAX ? -E2BIG : weft_task_start(g, spec, ret_task);
    if (rc < 0)
        fail(g, rc);
    return rc;
}

static int start_if_place(weft_group *g, const struct weft_task_spec *spec, weft_task **ret_task)
{
    if (UNLIKELY(is_full(g)) && !weft_scope_own(&g->scope)->reason) {
        fail(g, -EAGAIN);
        return -EAGAIN;
    }
    return start(g, spec, ret_task);
}

int weft_go_(weft_group *g, const char *name, const char *file, int line, weft_task_fn *fn, void *arg, size_t copy_size)
{
    check_open(g, "weft_go");
    struct weft_task_spec spec = {
        .fn = fn, .arg = arg, .copy_size = copy_size, .stack_size = g->stack_size, .name = name, .file = file, .line = line
    };
    return start_if_place(g, &spec, NULL);
}

/* Hands free places to those who wait for one. */
static void offer_places(weft_group *g)
{
    struct group_own *own = weft_group_own(g);
    while (!weft_list_is_empty(&own->placers) && !is_full(g)) {
        own->promised++;
        weft_waiter_serve(weft_waiter_first(&own->placers), 0);
    }
}

void weft_group_refuse_placers(weft_group *g)
{
    weft_waiter_serve_all(&weft_group_own(g)->placers, weft_scope_own(&g->scope)->reason);
}

int weft_go_wait_(weft_group *g, const char *name, const char *file, int line, weft_task_fn *fn, void *arg, size_t copy_size)
{
    check_open(g, "weft_go_wait");
    struct group_own *own = weft_group_own(g);
    int rc = weft_wait_check("place in a group");
    if (rc < 0)
        return rc;
    rc = weft_scope_own(&g->scope)->reason;
    if (rc < 0)
        return rc;
    if (is_full(g) || !weft_list_is_empty(&own->placers)) {
        struct weft_waiting placer = WEFT_WAITING("place in a group", g);
        rc = weft_waiting_park(&placer, &own->placers);
        if (rc < 0)
            return rc;
        own->promised--;
    }
    struct weft_task_spec spec = {
        .fn = fn, .arg = arg, .copy_size = copy_size, .stack_size = g->stack_size, .name = name, .file = file, .line = line
    };
    rc = start(g, &spec, NULL);
    if (rc < 0)
        offer_places(g); /* the place was not used */
    return rc;
}

int weft_spawn_(weft_task **ret_task, const char *name, const char *file, int line, weft_task_fn *fn, void *arg)
{
    weft_task *t = weft_task_self();
    if (!t) {
        weft_misuse("weft_spawn outside a task");
        return -EPERM;
    }
    weft_group *g = t->group;
    for (weft_scope *s = t->innermost; s; s = weft_scope_own(s)->outer) {
        if (weft_scope_own(s)->is_group) {
            g = weft_scope_group(s);
            break;
        }
    }
    struct weft_task_spec spec = {
        .fn = fn, .arg = arg, .stack_size = g->stack_size, .name = name, .file = file, .line = line, .has_handle = true
    };
    return start_if_place(g, &spec, ret_task);
}

/* ---- ending ---- */

/* The rows "a task of the group ends with". */
static void count_end(weft_group *g, weft_task *t)
{
    if (t->result >= 0)
        return;
    bool was_cut = weft_scope_own(&g->scope)->reason || t->own_reason;
    if (is_reason(t->result) && was_cut)
        return;
    if (!g->result && (t->has_handle || keeps_ended(g))) {
        weft_group_own(g)->trail = weft_trail_copy(t->trail); /* who asks for its end gets it too */
    } else if (!g->result) {
        weft_group_own(g)->trail = t->trail;
        t->trail = NULL;
    }
    fail(g, t->result);
}

/* The waiter's item is a copy of the trail; NULL when memory is out. */
static void tell_awaiter(weft_task *t)
{
    weft_waiter *awaiter = weft_waiter_first(&t->awaiters);
    awaiter->item = weft_trail_copy(t->trail);
    weft_waiter_serve(awaiter, t->result);
}

void weft_group_ended(weft_group *g, weft_task *t)
{
    struct group_own *own = weft_group_own(g);
    bool is_awaited = !weft_list_is_empty(&t->awaiters);
    if (is_awaited)
        tell_awaiter(t); /* before its error may cut short the very task that awaits it */
    count_end(g, t);
    weft_list_remove(&t->member);
    own->count--;
    if (is_awaited) {
        weft_task_free(t);
    } else if (t->has_handle) {
        weft_list_append(&own->unawaited, &t->member);
    } else if (keeps_ended(g)) {
        weft_list_append(&own->ended, &t->member);
        if (own->nexter)
            weft_wait_settle(own->nexter, 1);
    } else {
        weft_task_free(t);
    }
    offer_places(g);
    if (own->count > 0)
        return;
    if (own->nexter)
        weft_wait_settle(own->nexter, 0);
    if (own->joiner)
        weft_wait_settle(own->joiner, 0);
}

static void give_back(weft_list *tasks)
{
    weft_list *node;
    while ((node = weft_list_shift(tasks))) {
        weft_task *t = CONTAINER_OF(node, weft_task, member);
        if (UNLIKELY(t->loop->debug))
            weft_debug_check_read(t);
        weft_task_free(t);
    }
}

/* The rows "(join, result still 0)". */
static void settle_result(weft_group *g)
{
    if (g->result)
        return;
    const struct scope_own *scope = weft_scope_own(&g->scope);
    if (g->scope.expired)
        g->result = WEFT_EDEADLINE;
    if (scope->outer)
        scope = weft_scope_own(scope->outer);
    int around = scope != weft_scope_own(&g->scope) ? scope->reason : scope->task ? scope->task->base_reason : 0;
    if (around)
        g->result = around;
}

void weft_group_finish(weft_group *g)
{
    struct group_own *own = weft_group_own(g);
    weft_task *t = weft_scope_own(&g->scope)->task;
    CHECK(own->count == 0 && !own->owned);
    if (own->promised || !weft_list_is_empty(&own->placers))
        weft_misuse_die("a group ends while a task that is not of it waits for a place in it");
    settle_result(g);
    if (UNLIKELY(!weft_list_is_empty(&own->ended)))
        give_back(&own->ended);
    if (UNLIKELY(!weft_list_is_empty(&own->unawaited)))
        give_back(&own->unawaited);
    if (t && !weft_trail_begins_as(t->trail, own->trail)) /* it may have come by an await, and gone further since */
        weft_trail_adopt(t, own->trail);
    else
        weft_trail_free(own->trail);
    own->trail = NULL;
    weft_scope_leave(&g->scope);
}

static void describe_group(const weft_wait *wait, FILE *out)
{
    const weft_group *g = wait->on;
    const struct scope_own *scope = weft_scope_own(&g->scope);
    size_t count = weft_group_own(g)->count;
    fprintf(out, ", of %zu task%s", count, count == 1 ? "" : "s");
    if (scope->file)
        fprintf(out, " of the group opened at %s:%d", scope->file, scope->line);
}

static const weft_task *next_alive(const weft_wait *wait, const weft_task *after)
{
    const struct group_own *own = weft_group_own(wait->on);
    const weft_list *node = after ? after->member.next : own->alive.next;
    return node == &own->alive ? NULL : CONTAINER_OF(node, const weft_task, member);
}

static void withdraw_joiner(weft_wait *wait)
{
    weft_group_own((weft_group *)(uintptr_t)wait->on)->joiner = NULL;
}

int weft_group_join(weft_group *g)
{
    const struct scope_own *scope = weft_scope_own(&g->scope);
    struct group_own *own = weft_group_own(g);
    weft_task *t = weft_task_self();
    if (!t || scope->magic != WEFT_SCOPE_MAGIC || scope->task != t)
        weft_misuse_die("a group is joined that this task has not open");
    if (t->innermost != &g->scope)
        weft_misuse_die("a group is joined out of order: a scope was opened in it and is still open");
    if ((own->count > 0 || own->owned) && t->loop->on_loop_stack)
        weft_misuse_die("a group is joined on the loop's stack");
    while (own->count > 0 || own->owned) {
        if (own->count == 0) {
            weft_owned_end_all(&own->owned);
            continue;
        }
        weft_wait wait = WEFT_WAIT("join", g, withdraw_joiner);
        wait.is_uncut = true;
        wait.describe = describe_group;
        wait.blocker = next_alive;
        own->joiner = &wait;
        weft_wait_park(&wait);
    }
    weft_group_finish(g);
    return g->result;
}

void weft_group_cancel(weft_group *g)
{
    weft_cancel(&g->scope);
}

void weft_group_cancel_hard(weft_group *g)
{
    g->scope.cancelled = true;
    weft_scope_cut(&g->scope, WEFT_ECANCELED, true);
}

/* ---- asking for ends ---- */

static void withdraw_nexter(weft_wait *wait)
{
    weft_group_own((weft_group *)(uintptr_t)wait->on)->nexter = NULL;
}

static int take_ended(weft_group *g, weft_ended *ended)
{
    weft_list *node = weft_list_shift(&weft_group_own(g)->ended);
    if (!node)
        return 0;
    weft_task *t = CONTAINER_OF(node, weft_task, member);
    *ended = (weft_ended){ .index = t->index, .arg = t->is_copied ? NULL : t->arg, .result = t->result };
    weft_trail_adopt(t->loop->current, t->trail);
    t->trail = NULL;
    weft_task_free(t);
    return 1;
}

int weft_group_next(weft_group *g, weft_ended *ended)
{
    check_open(g, "weft_group_next");
    struct group_own *own = weft_group_own(g);
    weft_task *t = weft_task_self();
    if (!t || weft_scope_own(&g->scope)->task != t) {
        weft_misuse("weft_group_next in a task that has not opened the group");
        return -EPERM;
    }
    if (!keeps_ended(g)) {
        weft_misuse("weft_group_next on a group that neither collects nor keeps its ended tasks");
        return -EINVAL;
    }
    int rc = weft_wait_check_inside("next of a group", g);
    if (rc < 0)
        return rc;
    if (weft_list_is_empty(&own->ended) && own->count > 0) {
        weft_wait wait = WEFT_WAIT("next of a group", g, withdraw_nexter);
        wait.inside = g;
        wait.describe = describe_group;
        own->nexter = &wait;
        rc = weft_wait_park(&wait);
        if (rc < 0)
            return rc;
    }
    return take_ended(g, ended);
}

void weft_task_check_handle(const weft_task *task, const char *call)
{
    if (!task || task->magic != WEFT_TASK_MAGIC || !task->has_handle)
        weft_misuse_die("%s of what is no task, or was awaited before", call);
}

int weft_task_check_awaitable(const weft_task *task)
{
    if (task == weft_here->current) {
        weft_misuse("a task awaits itself");
        return -EDEADLK;
    }
    return weft_list_is_empty(&task->awaiters) ? 0 : -EALREADY;
}

int weft_task_take_result(weft_task *task, struct weft_trail **ret_trail)
{
    int result = task->result;
    weft_list_remove(&task->member);
    *ret_trail = task->trail;
    task->trail = NULL;
    weft_task_free(task);
    return result;
}

static void describe_awaited(const weft_wait *wait, FILE *out)
{
    const weft_task *t = wait->on;
    fprintf(out, ", of %s started at %s:%d", t->name, t->file, t->line);
}

static const weft_task *awaited(const weft_wait *wait, const weft_task *after)
{
    return after ? NULL : wait->on;
}

int weft_await(weft_task *task)
{
    weft_task_check_handle(task, "weft_await");
    int rc = weft_wait_check("await");
    if (rc < 0)
        return rc;
    rc = weft_task_check_awaitable(task);
    if (rc < 0)
        return rc;
    struct weft_trail *trail;
    if (task->state == WEFT_TASK_DONE) {
        rc = weft_task_take_result(task, &trail);
    } else {
        struct weft_waiting awaiter = WEFT_WAITING("await", task);
        awaiter.wait.describe = describe_awaited;
        awaiter.wait.blocker = awaited;
        rc = weft_waiting_park(&awaiter, &task->awaiters);
        trail = awaiter.waiter.item;
    }
    weft_trail_adopt(weft_here->current, trail);
    return rc;
}
