/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The inside of tasks, scopes and groups.
 *
 * States of a task (changed by weft_task_set_state alone):
 *
 *     NEW ──────> READY <────> RUNNING ──> DONE
 *      └──────────────────────> ↑ │
 *                    PARKED <─────┘
 *                      └──> READY (by weft_wait_settle alone)
 *
 * Reasons. Every scope and every task stores its effective reason: that of what is around it, if that has one and no shield
 * is between, else its own. It is spread eagerly, when it changes, down the owner's chain of scopes and into the task lists of
 * groups on that chain; so a wait tests one integer. What is around the outermost scope of a task is the task itself, what is
 * around a task is its group. A hard reason passes shields.
 */
#ifndef WEFT_LIB_TASK_TASK_H
#define WEFT_LIB_TASK_TASK_H

#include "lib/base/check.h"
#include "lib/task/loop.h"
#include "lib/task/waiter.h"

#define WEFT_TASK_MAGIC  0x7a5c7a5cu
#define WEFT_SCOPE_MAGIC 0x5c09e5c0u

enum weft_task_state { WEFT_TASK_NEW, WEFT_TASK_READY, WEFT_TASK_RUNNING, WEFT_TASK_PARKED, WEFT_TASK_DONE };

struct weft_trail;
struct weft_holding;

struct weft_deferred {
    struct weft_deferred *next;
    void (*fn)(void *arg);
    void *arg;
};

/* What the end of a group, or of a generator's body, closes if nobody has before. Embedded; in one list of its owner. */
struct weft_owned {
    struct weft_owned *next, **place;
    void (*end)(struct weft_owned *owned); /* in a task, which may wait; takes it out of the list */
};

static inline void weft_owned_add(struct weft_owned **list, struct weft_owned *owned)
{
    owned->next = *list;
    owned->place = list;
    if (*list)
        (*list)->place = &owned->next;
    *list = owned;
}

static inline void weft_owned_remove(struct weft_owned *owned)
{
    *owned->place = owned->next;
    if (owned->next)
        owned->next->place = owned->place;
}

/* The latest first; also those that are added meanwhile. */
static inline void weft_owned_end_all(struct weft_owned **list)
{
    while (*list)
        (*list)->end(*list);
}

/* A coroutine that runs inside a task as if it were a call of it: the body of a generator. */
struct weft_nested {
    struct weft_nested *outer; /* in which it was entered; NULL: in the task's own */
    weft_coro coro;            /* while it runs: where that one was left */
    const char *name;          /* of the generator; static */
};

struct weft_task {
    const char *name, *label, *file; /* written by weft_task_describe, for the watchdog's thread reads them */
    int line;
    unsigned magic; /* this and all behind it are cleared when it is started */
    uint8_t state;
    bool has_handle; /* weft_spawn gave out a pointer: kept until awaited, or until its group ends */
    bool is_copied;  /* its argument was copied */
    bool is_hard;    /* base_reason passes shields */
    int reason;      /* effective in the innermost scope: what a wait tests */
    int base_reason; /* effective around the outermost scope: the group's, else own_reason */
    int own_reason;  /* weft_task_cancel */
    int refusals;    /* waits refused in a row */
    int result;
    weft_coro coro;
    weft_loop *loop;
    weft_wait *wait;  /* while parked */
    weft_list queue;  /* in the ready queue */
    weft_list member; /* in its group's list: alive, ended or unawaited */
    weft_list all;    /* in the loop's list */
    weft_group *group;
    weft_scope *outermost, *innermost; /* open scopes of its own */
    weft_task_fn *fn;
    void *arg;
    weft_list held; /* struct weft_holding */
    size_t index;   /* the how-manieth of its group */
    weft_duration started;
    weft_list awaiters; /* at most one waiter: a weft_await or a select */
    struct weft_deferred *deferred;
    struct weft_trail *trail;
    uint8_t mark;               /* of who walks over all tasks: a report */
    struct weft_nested *nested; /* the innermost of what runs in it; `coro` is that one's then */
};

/* What it is called in reports (borrowed): its name, what it works on (a route's pattern; NULL for nothing), and where that was
 * started. The watchdog may be reading it: where the loop's beat goes on with that, let it do so before, and it will see. */
static inline void weft_task_describe(weft_task *t, const char *name, const char *label, const char *file, int line)
{
    __atomic_thread_fence(__ATOMIC_RELEASE); /* behind the beat */
    __atomic_store_n(&t->name, name, __ATOMIC_RELAXED);
    __atomic_store_n(&t->label, label, __ATOMIC_RELAXED);
    __atomic_store_n(&t->file, file, __ATOMIC_RELAXED);
    __atomic_store_n(&t->line, line, __ATOMIC_RELAXED);
}

struct weft_holding_kind {
    const char *what; /* "a lock"; NULL for what a task may end with */
    void (*let_go)(struct weft_holding *holding);
};

/* What a task holds and must let go before it ends. */
struct weft_holding {
    weft_list link;
    const struct weft_holding_kind *kind;
    const void *object;
};

struct scope_own {
    unsigned magic;
    int reason;     /* effective inside */
    int own_reason; /* its deadline's, its cancel's, or its group's failure */
    bool is_hard;   /* effective: it passes shields */
    bool own_hard;
    bool is_group;
    bool has_failed;   /* a group: own_reason is a failure of its own */
    weft_task *task;   /* who opened it; NULL for the root group */
    weft_scope *outer; /* NULL: around it is the task itself */
    weft_scope *inner;
    weft_timer timer;
    const char *file; /* where it was opened; NULL: by the runtime */
    int line;
};
_Static_assert(sizeof(struct scope_own) <= sizeof(((weft_scope *)0)->own_), "weft_scope has room");

struct group_own {
    weft_list alive;     /* tasks */
    weft_list ended;     /* kept for weft_group_next */
    weft_list unawaited; /* ended, with a handle given out */
    weft_list placers;   /* waiters: weft_go_wait */
    size_t count;        /* of alive */
    size_t promised;     /* places given to placers that have not run yet */
    size_t next_index;
    weft_wait *joiner, *nexter;
    weft_list work; /* in the work list while a reason is spread */
    struct weft_trail *trail;
    struct weft_owned *owned;
};
_Static_assert(sizeof(struct group_own) <= sizeof(((weft_group *)0)->own_), "weft_group has room");

static inline struct scope_own *weft_scope_own(const weft_scope *s)
{
    return (struct scope_own *)(void *)s->own_;
}

static inline struct group_own *weft_group_own(const weft_group *g)
{
    return (struct group_own *)(void *)g->own_;
}

static inline weft_group *weft_scope_group(weft_scope *s)
{
    return weft_scope_own(s)->is_group ? CONTAINER_OF(s, weft_group, scope) : NULL;
}

/* weft_wait_check with its usual case in the caller: for calls that are over in less than the check would take as a call. */
static inline int weft_wait_begin(const char *what)
{
    const weft_loop *loop = weft_here;
    if (LIKELY(loop && loop->current && !loop->on_loop_stack && !loop->test && !loop->current->reason))
        return 0;
    return weft_wait_check(what);
}

/* Is the running task as it was when it began: nothing open, nothing held, nothing to be done at its end, and no reason? Then
 * its function may do for somebody else what it did. */
static inline bool weft_task_is_as_new(const weft_task *t)
{
    return !t->reason && !t->own_reason && !t->innermost && !t->deferred && !t->nested && weft_list_is_empty(&t->held) &&
           weft_list_is_empty(&t->awaiters) && !weft_stack_is_overrun(t->coro.stack);
}

void weft_task_set_state(weft_task *t, enum weft_task_state state);

/* ---- scopes (scope.c) ---- */

/* As the public calls, for task t (NULL: around it is nothing), with an absolute deadline in nanoseconds. */
void weft_scope_enter(weft_scope *s, weft_task *t, bool is_group, weft_duration deadline);
void weft_scope_leave(weft_scope *s);

/* A part of a task's chain that a generator's body has opened, while the body is suspended: then nothing is around it. */
struct weft_scope_chain {
    weft_scope *outermost, *innermost;
};

/* Takes the scopes inside `base` (NULL: all of them; there are some) off t's chain, and puts them on again, in t or another. */
void weft_scope_detach(weft_task *t, weft_scope *base, struct weft_scope_chain *ret_chain);
void weft_scope_attach(weft_task *t, struct weft_scope_chain *chain);

/* Cuts s short with an own reason (the first one stays) and spreads it. */
void weft_scope_cut(weft_scope *s, int reason, bool is_hard);

/* Works out the base reason of t anew, and spreads it. */
void weft_task_spread(weft_task *t);

/* The reason that may cut a wait inside group g in task t; 0 for none. */
int weft_scope_reason_inside(const weft_task *t, const weft_group *g);

/* Where t's effective reason comes from: a scope of its own, or NULL for its base. */
weft_scope *weft_scope_origin(const weft_task *t);

/* ---- groups (group.c) ---- */

/* As weft_group_open with an absolute deadline; t NULL for the root. */
void weft_group_enter(weft_group *g, weft_task *t, weft_duration deadline);

/* A task of g has left its stack for the last time. */
void weft_group_ended(weft_group *g, weft_task *t);

/* g has been cut short: whoever waits for a place in it is told the reason. */
void weft_group_refuse_placers(weft_group *g);

/* All tasks of g have ended: settles its result, lets go of what was kept, leaves its scope. */
void weft_group_finish(weft_group *g);

/* The last stage of stopping: cancels everything in g, through all shields. */
void weft_group_cancel_hard(weft_group *g);

/* ---- tasks (task.c) ---- */

struct weft_task_spec {
    weft_task_fn *fn;
    void *arg;
    size_t copy_size; /* 0: arg is borrowed */
    size_t stack_size;
    const char *name, *file;
    int line;
    bool has_handle;
    bool enters_now; /* left in state NEW, for weft_task_enter; else put into the ready queue */
};

/* Starts a task in g; 0 with *ret_task (may be NULL), or as weft_go. Does not look at the group's limit. */
int weft_task_start(weft_group *g, const struct weft_task_spec *spec, weft_task **ret_task);

/* Enters a task that is NEW, or the first time or again one that is READY, from the loop's stack. */
void weft_task_enter(weft_task *t);

void weft_task_make_ready(weft_task *t);

/* The running task lets all others that are ready run, and input and output happen; then it goes on. */
void weft_task_yield(weft_task *t);

/* Is it a handle of weft_spawn that has not been spent? The program ends with a message if not. */
void weft_task_check_handle(const weft_task *task, const char *call);

/* May the running task await it? 0; -EDEADLK itself, which is misuse; -EALREADY another one does. */
int weft_task_check_awaitable(const weft_task *task);

/* Takes out a spawned task that has ended, with its trail (give it to weft_trail_adopt); the handle is then spent. */
int weft_task_take_result(weft_task *t, struct weft_trail **ret_trail);

/* Gives back a stack of t's, or of a generator that t has stepped, that nothing runs on any more. */
void weft_task_give_stack(weft_task *t, weft_stack *stack);

/* Says that t has overflown the stack, whose guard has not stopped it, and ends the program (loop.c). */
_Noreturn void weft_task_die_overrun(const weft_task *t, const weft_stack *stack);

/* Gives back the object of a task that is done and in no list. */
void weft_task_free(weft_task *t);

/* Runs and removes the deferred calls of the calling task, each under a shield. */
void weft_task_run_deferred(weft_task *t);

/* ---- trails of errors (trail.c) ---- */
void weft_trail_free(struct weft_trail *trail);

/* Moves a trail (may be NULL) that another task made to t, in place of t's own. */
void weft_trail_adopt(weft_task *t, struct weft_trail *trail);

/* A copy; NULL when memory is out, or for NULL. */
struct weft_trail *weft_trail_copy(const struct weft_trail *trail);

/* Do both begin with the same failure? */
bool weft_trail_begins_as(const struct weft_trail *a, const struct weft_trail *b);

/* The trail as a line into buf; "" for NULL. Returns buf. */
const char *weft_trail_format(const struct weft_trail *trail, char *buf, size_t size);

#endif
