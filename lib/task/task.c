/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Tasks: from their start, through the loop's hands, to their end. A warm one is started, run and given back in ~70 ns. */
#include "lib/task/task.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "lib/task/debug.h"

/* Row: from; column: to. (Bits would be tested by `bt`, which Valgrind works by a store beneath the stack; after a change of
 * threads it takes that for an error.) */
static const bool legal_moves[][WEFT_TASK_DONE + 1] = {
    [WEFT_TASK_NEW] = { [WEFT_TASK_READY] = true, [WEFT_TASK_RUNNING] = true },
    [WEFT_TASK_READY] = { [WEFT_TASK_RUNNING] = true },
    [WEFT_TASK_RUNNING] = { [WEFT_TASK_PARKED] = true, [WEFT_TASK_READY] = true, [WEFT_TASK_DONE] = true },
    [WEFT_TASK_PARKED] = { [WEFT_TASK_READY] = true },
    [WEFT_TASK_DONE] = { false },
};

void weft_task_set_state(weft_task *t, enum weft_task_state state)
{
    DCHECK(t->magic == WEFT_TASK_MAGIC);
    CHECK(legal_moves[t->state][state]);
    t->state = (uint8_t)state;
}

static void report_held(const weft_task *t, const struct weft_holding *holding)
{
    const char *file = t->file;
    int line = t->line;
    char name[200];
    if (!t->loop->debug) {
        weft_misuse("%s is still held at the end of its task", holding->kind->what);
        return;
    }
    weft_debug_find(holding->object, &file, &line);
    snprintf(name, sizeof name, "%s made at", holding->kind->what);
    weft_debug_mistake("is still held at the end of its task", name, file, line, "");
}

/* Who waits for it would wait for ever; and nobody may be pointed to who is no more. */
static void let_go(weft_task *t)
{
    weft_list *node;
    while ((node = weft_list_shift(&t->held))) {
        struct weft_holding *holding = CONTAINER_OF(node, struct weft_holding, link);
        if (holding->kind->what)
            report_held(t, holding);
        holding->kind->let_go(holding);
    }
}

/* A group that no task has opened, and so none joins, closes what it owns in the last of its tasks. */
static void end_owned(weft_task *t)
{
    struct group_own *own = weft_group_own(t->group);
    if (UNLIKELY(own->owned) && own->count == 1 && !weft_scope_own(&t->group->scope)->task)
        weft_owned_end_all(&own->owned);
}

static void run_task(void *arg)
{
    weft_task *t = arg;
    weft_loop *loop = t->loop;
    weft_coro_arrived(&loop->home);
    t->result = t->fn(t->arg);
    if (t->deferred)
        weft_task_run_deferred(t);
    end_owned(t);
    if (UNLIKELY(!weft_list_is_empty(&t->held)))
        let_go(t);
    if (t->innermost)
        weft_misuse_die("a task ended with a scope or group still open");
    weft_task_set_state(t, WEFT_TASK_DONE);
    weft_coro_end(&loop->home, &t->coro);
}

/* By blocks: for all of it at once gcc makes a `rep stos`, which costs some 10 ns more. */
static void clear(weft_task *t)
{
    enum { BLOCK = 64, SIZE = sizeof *t - offsetof(weft_task, magic), REST = SIZE % BLOCK };
    char *at = (char *)&t->magic;
    for (size_t i = 0; i < SIZE / BLOCK; i++, at += BLOCK)
        memset(at, 0, BLOCK);
    memset(at, 0, REST);
}

int weft_task_start(weft_group *g, const struct weft_task_spec *spec, weft_task **ret_task)
{
    weft_loop *loop = weft_here;
    weft_stack *stack = weft_stack_take(&loop->stacks, spec->stack_size);
    if (!stack)
        return -ENOMEM;
    weft_task *t = weft_slab_take(&loop->task_slab);
    if (!t) {
        weft_stack_give(&loop->stacks, stack);
        return -ENOMEM;
    }
    struct group_own *own = weft_group_own(g);
    const struct scope_own *scope = weft_scope_own(&g->scope);
    clear(t);
    t->magic = WEFT_TASK_MAGIC;
    t->state = WEFT_TASK_NEW;
    t->has_handle = spec->has_handle;
    t->is_copied = spec->copy_size > 0;
    t->is_hard = scope->is_hard;
    t->reason = t->base_reason = scope->reason;
    weft_task_describe(t, spec->name, NULL, spec->file, spec->line);
    t->loop = loop;
    t->group = g;
    t->fn = spec->fn;
    t->arg = spec->arg;
    t->index = own->next_index++;
    t->started = weft_loop_now(loop);
    char *top = stack->top;
    if (spec->copy_size > 0) {
        top -= (spec->copy_size + 15) & ~(size_t)15;
        t->arg = memcpy(top, spec->arg, spec->copy_size);
    }
    weft_coro_init(&t->coro, stack, top, run_task, t);
    weft_list_append(&own->alive, &t->member);
    own->count++;
    weft_list_append(&loop->tasks, &t->all);
    weft_list_init(&t->queue);
    weft_list_init(&t->awaiters);
    weft_list_init(&t->held);
    if (!spec->enters_now)
        weft_task_make_ready(t);
    if (ret_task)
        *ret_task = t;
    return 0;
}

void weft_task_make_ready(weft_task *t)
{
    weft_task_set_state(t, WEFT_TASK_READY);
    weft_list_append(&t->loop->ready, &t->queue);
    weft_loop_wake(t->loop);
}

void weft_task_yield(weft_task *t)
{
    weft_task_set_state(t, WEFT_TASK_READY);
    weft_list_append(&t->loop->yielded, &t->queue);
    weft_loop_wake(t->loop); /* it may have been entered from a callback */
    weft_coro_leave(&t->loop->home, &t->coro);
}

void weft_task_give_stack(weft_task *t, weft_stack *stack)
{
    weft_loop *loop = t->loop;
    if (UNLIKELY(weft_stack_is_overrun(stack)))
        weft_task_die_overrun(t, stack);
    weft_stack_give(&loop->stacks, stack);
    if (!weft_timer_is_set(&loop->trim) && !(loop->test && loop->test->is_virtual))
        weft_timer_set(&loop->wheel, &loop->trim, weft_tick_of(weft_clock_add(weft_loop_now(loop), WEFT_SECOND)));
}

/* The task has left its stack for the last time. */
static void retire(weft_task *t)
{
    weft_task_give_stack(t, t->coro.stack);
    weft_list_unlink(&t->all);
    weft_group_ended(t->group, t);
}

void weft_task_enter(weft_task *t)
{
    weft_loop *loop = t->loop;
    CHECK(!loop->current);
    weft_list_remove(&t->queue);
    weft_task_set_state(t, WEFT_TASK_RUNNING);
    __atomic_store_n(&loop->current, t, __ATOMIC_RELAXED);
    weft_loop_beat_begin(loop);
    if (UNLIKELY(loop->test))
        loop->test->switches++;
    weft_coro_enter(&loop->home, &t->coro);
#ifdef WEFT_DEBUG
    if (UNLIKELY(weft_stack_is_overrun(t->coro.stack)))
        weft_task_die_overrun(t, t->coro.stack);
#endif
    weft_loop_beat_end(loop);
    __atomic_store_n(&loop->current, NULL, __ATOMIC_RELAXED);
    if (t->state == WEFT_TASK_DONE)
        retire(t);
    if (loop->flush)
        loop->flush(loop);
}

void weft_task_free(weft_task *t)
{
    DCHECK(t->state == WEFT_TASK_DONE && weft_list_is_empty(&t->awaiters));
    if (UNLIKELY(t->trail))
        weft_trail_free(t->trail);
    t->magic = 0;
    weft_slab_give(&t->loop->task_slab, t);
}

void weft_task_run_deferred(weft_task *t)
{
    struct weft_deferred *deferred;
    while ((deferred = t->deferred)) {
        t->deferred = deferred->next;
        weft_scope shield = { .timeout = WEFT_CLEANUP_TIME, .shielded = true };
        weft_scope_open(&shield);
        deferred->fn(deferred->arg);
        weft_scope_close(&shield);
        weft_mem_free(deferred);
    }
}

/* ---- public ---- */

weft_task *weft_task_self(void)
{
    return weft_here ? weft_here->current : NULL;
}

const char *weft_task_name(const weft_task *task)
{
    return task ? task->name : NULL;
}

int weft_defer(void (*fn)(void *arg), void *arg)
{
    weft_task *t = weft_task_self();
    if (!t) {
        weft_misuse("weft_defer outside a task");
        return -EPERM;
    }
    struct weft_deferred *deferred = weft_mem_alloc(sizeof *deferred);
    if (!deferred)
        return -ENOMEM;
    *deferred = (struct weft_deferred){ .next = t->deferred, .fn = fn, .arg = arg };
    t->deferred = deferred;
    return 0;
}

void weft_task_cancel(weft_task *task)
{
    if (!task || task->magic != WEFT_TASK_MAGIC)
        weft_misuse_die("weft_task_cancel of what is no task");
    if (task->state == WEFT_TASK_DONE)
        return;
    task->own_reason = WEFT_ECANCELED;
    weft_task_spread(task);
}

void weft_on_loop_stack(void (*fn)(void *arg), void *arg)
{
    weft_loop *loop = weft_here;
    if (!loop || !loop->current || loop->on_loop_stack) {
        fn(arg);
        return;
    }
    loop->on_loop_stack = true;
    weft_coro_call_home(&loop->home, &loop->current->coro, fn, arg);
    loop->on_loop_stack = false;
}
