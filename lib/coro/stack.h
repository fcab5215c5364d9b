/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Stacks of coroutines, in slabs.
 *
 * A slab is one NORESERVE mapping cut into slots of one size: 16 KiB of guard, then the stack. Stacks are reused last in,
 * first out, so that the next task runs on warm pages. Their tops are staggered by multiples of 128 bytes: stacks at equal
 * offsets collide in the cache (1,000 tasks: a yield went from 119 to 60 ns). A pool belongs to one thread.
 *
 * The guard is the best that can be had: pages that fault by MADV_GUARD_INSTALL; by mprotect, up to a budget; and beyond that
 * the same 16 KiB as a canary. Nobody has any business there, so they stay zero. What is found written there is an overflow,
 * noticed late: by who gives the stack back, and in debug builds at each switch away.
 *
 * What a peak left behind is given back by weft_stacks_trim, half at a time: stacks that were not needed since the last trim
 * keep their address range and lose their pages.
 */
#ifndef WEFT_LIB_CORO_STACK_H
#define WEFT_LIB_CORO_STACK_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/list.h"

#define WEFT_STACK_DEFAULT ((size_t)64 * 1024)
#define WEFT_STACK_MIN     ((size_t)16 * 1024)
#define WEFT_STACK_MAX     ((size_t)8 * 1024 * 1024)
#define WEFT_STACK_GUARD   ((size_t)16 * 1024)
#define WEFT_STACK_CLASSES 10 /* powers of two from the least to the largest */

typedef enum weft_guard { WEFT_GUARD_INSTALLED, WEFT_GUARD_PROTECTED, WEFT_GUARD_CANARY } weft_guard;

typedef struct weft_stack {
    weft_list link; /* among the free ones */
    char *low;      /* the lowest usable byte; the guard lies below */
    char *top;      /* one past the highest that is used: aligned to 64, staggered */
    unsigned class_index;
    weft_guard guard;
    unsigned valgrind_id;
    void *fiber; /* the thread sanitizer's; made on first use, kept with the stack for a while */
    unsigned fiber_uses;
} weft_stack;

struct weft_stack_slab;

struct weft_stack_class {
    weft_list warm; /* free, pages kept; the latest first */
    weft_list cold; /* free, pages given back */
    size_t warm_count;
    size_t warm_low;               /* the least warm_count since the last trim */
    struct weft_stack_slab *slabs; /* the newest first; only it may have slots not cut yet */
};

/* Memory of a slab that outlives its pool, for the next: test mode makes thousands of loops, each with a few stacks. */
struct weft_stack_spare {
    char *base; /* NULL: there is none */
    size_t mapped;
    size_t guarded; /* so many slots have their guard installed */
};

typedef struct weft_stacks {
    struct weft_stack_class classes[WEFT_STACK_CLASSES];
    size_t in_use, cut;      /* stacks handed out; stacks ever cut */
    weft_guard best_guard;   /* what new stacks may have: tests set it to have a worse one */
    size_t protected_guards; /* guards made by mprotect, and how many there may be */
    size_t protected_guards_max;
    size_t canaries;
    struct weft_stack_spare *spare; /* borrowed; of stacks of the default size; NULL: none is taken or left */
} weft_stacks;

void weft_stacks_init(weft_stacks *stacks);
void weft_stacks_close(weft_stacks *stacks); /* none may be in use */

/* `size` in bytes, 0 for the default; clamped to the limits above and rounded up to a power of two. NULL when memory is
 * out. */
weft_stack *weft_stack_take(weft_stacks *stacks, size_t size);
void weft_stack_give(weft_stacks *stacks, weft_stack *stack);

/* Gives pages back; returns true while there may be more to give back later. */
bool weft_stacks_trim(weft_stacks *stacks);

static inline size_t weft_stack_size(const weft_stack *stack)
{
    return WEFT_STACK_MIN << stack->class_index;
}

/* Has the canary been written to? */
bool weft_stack_look_at_canary(const weft_stack *stack);

/* Has the stack overflown, and was not stopped by its guard? Then the process cannot go on. */
static inline bool weft_stack_is_overrun(const weft_stack *stack)
{
    return __builtin_expect(stack->guard == WEFT_GUARD_CANARY, 0) && weft_stack_look_at_canary(stack);
}

/* Does `address` lie in the stack's guard? Safe in a signal handler. */
static inline bool weft_stack_is_guard(const weft_stack *stack, const void *address)
{
    const char *a = address;
    return a < stack->low && a >= stack->low - WEFT_STACK_GUARD;
}

#endif
