/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The switch by ucontext, for processors without one in assembly.
 *
 * A stack is left in weft_switch_, whose frame holds the context. To call a function on another stack, or to walk it, is to
 * visit it: the visitor leaves word in that context and switches there; who wakes with a visit finds it done before anything
 * else, and goes back to sleep.
 */
#include "lib/coro/switch.h"

#include <signal.h>
#include <stdint.h>
#include <ucontext.h>

#include "lib/base/check.h"

struct context {
    ucontext_t state;
    void (*entry)(void *arg); /* until it is first entered */
    void *arg;
    void (*visit)(void *arg); /* to be called on this stack first */
    void *visit_arg;
    struct context *visitor;
};

/* The signal mask stays that of the thread, as with the assembly: swapcontext would put back the one that `to` had. */
static void swap(struct context *here, struct context *to)
{
    CHECK(pthread_sigmask(SIG_SETMASK, NULL, &to->state.uc_sigmask) == 0);
    CHECK(swapcontext(&here->state, &to->state) == 0);
}

static void sleep_here(struct context *here, struct context *to)
{
    swap(here, to);
    while (here->visit) {
        struct context *visitor = here->visitor;
        here->visit(here->visit_arg);
        here->visit = NULL;
        swap(here, visitor);
    }
}

__attribute__((noinline)) void weft_switch_(void **save, void *load)
{
    struct context here = { .visit = NULL };
    *save = &here;
    sleep_here(&here, load);
}

void weft_switch_call_(void (*fn)(void *arg), void *arg, void *saved)
{
    struct context here = { .visit = NULL }, *host = saved;
    host->visit = fn;
    host->visit_arg = arg;
    host->visitor = &here;
    sleep_here(&here, host);
}

void weft_switch_walk_(void (*fn)(void *arg), void *arg, void *saved)
{
    weft_switch_call_(fn, arg, saved);
}

/* makecontext passes integers only. */
static void start(unsigned high, unsigned low)
{
    struct context *own = (struct context *)((uintptr_t)high << 16 << 16 | low); /* two shifts: it may have 32 bits only */
    void (*entry)(void *arg) = own->entry;
    own->entry = NULL;
    entry(own->arg);
    weft_die("a coroutine's function returned");
}

void *weft_switch_prepare_(char *low, char *top, void (*fn)(void *arg), void *arg)
{
    uintptr_t at = (uintptr_t)(top - sizeof(struct context)) & ~(uintptr_t)63;
    struct context *own = (struct context *)at;
    *own = (struct context){ .entry = fn, .arg = arg };
    CHECK(getcontext(&own->state) == 0);
    own->state.uc_stack.ss_sp = low;
    own->state.uc_stack.ss_size = at - (uintptr_t)low;
    makecontext(&own->state, (void (*)(void))start, 2, (unsigned)(at >> 16 >> 16), (unsigned)at);
    return own;
}

void (*weft_switch_entry_(const void *saved))(void *arg)
{
    return ((const struct context *)saved)->entry;
}

bool weft_switch_is_start_(const void *return_address)
{
    (void)return_address;
    return false; /* C has no label that a return address could be compared with: one frame more in a back-trace */
}
