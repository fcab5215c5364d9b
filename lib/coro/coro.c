/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
#include "lib/coro/coro.h"

#include <stdint.h>

#include "lib/base/check.h"

/* The thread sanitizer keeps a stack of calls for each fiber. The frames of a coroutine that has ended never returned, and stay
 * on it: some 60,000 uses of one fiber would overflow it. */
static void renew_fiber(weft_stack *stack)
{
#ifdef WEFT_TSAN
    enum { USES = 1000 };
    if (stack->fiber && ++stack->fiber_uses < USES)
        return;
    weft_fiber_free(stack->fiber);
    stack->fiber = weft_fiber_new();
    stack->fiber_uses = 0;
#else
    (void)stack;
#endif
}

void weft_coro_init(weft_coro *co, weft_stack *stack, char *top, void (*fn)(void *arg), void *arg)
{
    DCHECK((uintptr_t)top % 16 == 0 && top <= stack->top && top > stack->low);
    co->sp = weft_switch_prepare_(stack->low, top, fn, arg);
    co->stack = stack;
    renew_fiber(stack);
}

void weft_home_init(weft_home *home)
{
    *home = (weft_home){ 0 };
#ifdef WEFT_TSAN
    home->fiber = weft_fiber_here();
#endif
}

#ifdef WEFT_ASAN
struct call_home {
    weft_home *home;
    weft_coro *co;
    void (*fn)(void *arg);
    void *arg;
};

static void call_home(void *arg)
{
    struct call_home *call = arg;
    __sanitizer_finish_switch_fiber(call->home->fake_stack, NULL, NULL);
    call->fn(call->arg);
    __sanitizer_start_switch_fiber(&call->home->fake_stack, call->co->stack->low, weft_stack_size(call->co->stack));
}
#endif

void weft_coro_call_home(weft_home *home, weft_coro *co, void (*fn)(void *arg), void *arg)
{
#ifdef WEFT_ASAN
    struct call_home call = { home, co, fn, arg };
    __sanitizer_start_switch_fiber(&co->fake_stack, home->low, home->size);
    weft_switch_call_(call_home, &call, home->sp);
    __sanitizer_finish_switch_fiber(co->fake_stack, NULL, NULL);
#else
    (void)co;
    weft_switch_call_(fn, arg, home->sp);
#endif
}
