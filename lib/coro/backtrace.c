/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The compiler's unwinder can only walk up from who calls it. weft_switch_walk_ calls us in such a way that our caller seems to
 * be where the coroutine was left: so nothing runs on its stack, and no page of it is touched that was not before. Frames
 * are taken while they lie on that stack above where it was left; with that our own are left out, and a walk that a
 * damaged stack has led astray ends.
 */
#include "lib/coro/backtrace.h"

#include <stdint.h>
#include <unwind.h>

struct walk {
    uintptr_t low, high;
    void **addresses;
    size_t count, most;
};

static _Unwind_Reason_Code take(struct _Unwind_Context *context, void *arg)
{
    struct walk *walk = arg;
    uintptr_t frame = _Unwind_GetCFA(context), address = _Unwind_GetIP(context);
    if (frame <= walk->low || frame > walk->high)
        return walk->count == 0 ? _URC_NO_REASON : _URC_END_OF_STACK;
    if (walk->count == walk->most || address == 0 || weft_switch_is_start_((void *)address))
        return _URC_END_OF_STACK;
    walk->addresses[walk->count++] = (void *)address;
    return _URC_NO_REASON;
}

static void walk_up(void *arg)
{
    _Unwind_Backtrace(take, arg);
}

size_t weft_coro_backtrace(const weft_coro *co, void **ret_addresses, size_t most)
{
    if (most == 0)
        return 0;
    void (*entry)(void *arg) = weft_switch_entry_(co->sp);
    if (entry) {
        ret_addresses[0] = (void *)((uintptr_t)entry + 1); /* as after a first instruction: who looks it up looks one before */
        return 1;
    }
#ifdef WEFT_SWITCH_UCONTEXT
    enum { ROOM = 8 * 1024 }; /* there the unwinder runs on the stack that it walks */
    if ((const char *)co->sp - co->stack->low < ROOM)
        return 0;
#endif
    uintptr_t high = (uintptr_t)co->stack->low + weft_stack_size(co->stack);
    struct walk walk = { .low = (uintptr_t)co->sp, .high = high, .addresses = ret_addresses, .most = most };
    weft_switch_walk_(walk_up, &walk, co->sp);
    return walk.count;
}
