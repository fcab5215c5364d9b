/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * A coroutine: a function on a stack of its own, entered and left by a switch.
 *
 * A thread has a `home` context, its ordinary stack. weft_coro_enter switches from home to a coroutine, weft_coro_leave back.
 * When its function is at its end it leaves for the last time by weft_coro_end, and its stack may be given back.
 *
 * One coroutine may also switch to another by weft_coro_transfer: a generator's body and who steps it. For the scheduler the
 * two are one: whoever does so sees to it that what home enters and what leaves for it is one weft_coro, that of the task.
 */
#ifndef WEFT_LIB_CORO_CORO_H
#define WEFT_LIB_CORO_CORO_H

#include "lib/coro/annotate.h"
#include "lib/coro/stack.h"
#include "lib/coro/switch.h"

typedef struct weft_coro {
    void *sp; /* where it was left */
    weft_stack *stack;
#ifdef WEFT_ASAN
    void *fake_stack;
#endif
} weft_coro;

typedef struct weft_home {
    void *sp; /* where the loop was left, while a coroutine runs */
#ifdef WEFT_ASAN
    void *fake_stack;
    const void *low;
    size_t size;
#endif
#ifdef WEFT_TSAN
    void *fiber;
#endif
} weft_home;

/* Prepares co to call fn(arg) on `stack` below `top` (within the stack, aligned to 16) when it is first entered. */
void weft_coro_init(weft_coro *co, weft_stack *stack, char *top, void (*fn)(void *arg), void *arg);

/* To be called on the thread's own stack, once, before the first enter. */
void weft_home_init(weft_home *home);

/* The first act of a coroutine's function. */
static inline void weft_coro_arrived(weft_home *home)
{
#ifdef WEFT_ASAN
    __sanitizer_finish_switch_fiber(NULL, &home->low, &home->size);
#else
    (void)home;
#endif
}

static inline void weft_coro_enter(weft_home *home, weft_coro *co)
{
#ifdef WEFT_TSAN
    __tsan_switch_to_fiber(co->stack->fiber, 0);
#endif
#ifdef WEFT_ASAN
    __sanitizer_start_switch_fiber(&home->fake_stack, co->stack->low, weft_stack_size(co->stack));
#endif
    weft_switch_(&home->sp, co->sp);
#ifdef WEFT_ASAN
    __sanitizer_finish_switch_fiber(home->fake_stack, NULL, NULL);
#endif
}

static inline void weft_coro_leave(weft_home *home, weft_coro *co)
{
#ifdef WEFT_TSAN
    __tsan_switch_to_fiber(home->fiber, 0);
#endif
#ifdef WEFT_ASAN
    __sanitizer_start_switch_fiber(&co->fake_stack, home->low, home->size);
#endif
    weft_switch_(&co->sp, home->sp);
#ifdef WEFT_ASAN
    __sanitizer_finish_switch_fiber(co->fake_stack, &home->low, &home->size);
#endif
}

/* The last act of a coroutine's function. */
static inline void weft_coro_end(weft_home *home, weft_coro *co)
{
#ifdef WEFT_TSAN
    __tsan_switch_to_fiber(home->fiber, 0);
#endif
#ifdef WEFT_ASAN
    __sanitizer_start_switch_fiber(NULL, home->low, home->size);
#endif
    weft_switch_(&co->sp, home->sp);
    __builtin_unreachable();
}

/* From the running coroutine, whose place is kept in *save, to where another was left, on `stack`. */
static inline void weft_coro_transfer(void **save, void *sp, const weft_stack *stack)
{
#ifdef WEFT_TSAN
    __tsan_switch_to_fiber(stack->fiber, 0);
#endif
#ifdef WEFT_ASAN
    void *fake_stack = NULL;
    __sanitizer_start_switch_fiber(&fake_stack, stack->low, weft_stack_size(stack));
#endif
    (void)stack;
    weft_switch_(save, sp);
#ifdef WEFT_ASAN
    __sanitizer_finish_switch_fiber(fake_stack, NULL, NULL);
#endif
}

/* The first act of a function that is first entered by a transfer. */
static inline void weft_coro_arrived_by_transfer(void)
{
#ifdef WEFT_ASAN
    __sanitizer_finish_switch_fiber(NULL, NULL, NULL);
#endif
}

/* The last act of a function that ends by a transfer. */
_Noreturn static inline void weft_coro_transfer_end(void **save, void *sp, const weft_stack *stack)
{
#ifdef WEFT_TSAN
    __tsan_switch_to_fiber(stack->fiber, 0);
#endif
#ifdef WEFT_ASAN
    __sanitizer_start_switch_fiber(NULL, stack->low, weft_stack_size(stack));
#endif
    (void)stack;
    weft_switch_(save, sp);
    __builtin_unreachable();
}

/* From a coroutine: calls fn(arg) on the home stack, below where home was left. */
void weft_coro_call_home(weft_home *home, weft_coro *co, void (*fn)(void *arg), void *arg);

#endif
