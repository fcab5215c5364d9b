/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The switch between stacks: in assembly (switch_x86_64.S, switch_aarch64.S), or by the C library's ucontext
 * (switch_ucontext.c, with -Dswitch=ucontext and on other processors).
 *
 * Only what the calling convention has a callee keep is saved: six registers and the stack pointer on x86-64, 2-2.5 ns in a
 * loop; twelve and the low halves of eight vector registers on aarch64. The floating-point control words are not (9-20 ns
 * more): whoever changes them must put them back before waiting. The signal mask is the thread's, whoever
 * runs; ucontext takes system calls to keep it so, and is some 100 times as slow.
 *
 * `saved` is where a stack was left: of the assembly, its stack pointer, which points to the frame below.
 */
#ifndef WEFT_LIB_CORO_SWITCH_H
#define WEFT_LIB_CORO_SWITCH_H

#include <stdbool.h>
#include <stddef.h>

/* Saves the caller's state on its stack, stores where in *save, and goes on where `load` was saved. */
void weft_switch_(void **save, void *load);

/* Calls fn(arg) on the stack that was left at `saved`, below what is used of it, and comes back. */
void weft_switch_call_(void (*fn)(void *arg), void *arg, void *saved);

/* Calls fn(arg) in such a way that an unwinder, started in fn, walks on into the stack that was left at `saved` as if fn had
 * been called where that was left. Not for one that has not been entered yet. */
void weft_switch_walk_(void (*fn)(void *arg), void *arg, void *saved);

#ifdef WEFT_SWITCH_UCONTEXT

/* Makes the stack from `low` to `top` (aligned to 16) one that was left just before calling fn(arg), which must never return;
 * where it was left. */
void *weft_switch_prepare_(char *low, char *top, void (*fn)(void *arg), void *arg);

/* Is it an address in what called the function given to weft_switch_prepare_? */
bool weft_switch_is_start_(const void *return_address);

/* The function that weft_switch_prepare_ was given, if the stack has not been entered since; else NULL. */
void (*weft_switch_entry_(const void *saved))(void *arg);

#else

#if defined(__x86_64__)
struct weft_switch_frame {
    void *r15, *r14, *r13;
    void (*entry)(void *arg); /* r12 */
    void *arg;                /* rbx */
    void *rbp;
    void (*resume)(void);
};
#elif defined(__aarch64__)
struct weft_switch_frame {
    void (*entry)(void *arg); /* x19 */
    void *arg;                /* x20 */
    void *x21, *x22, *x23, *x24, *x25, *x26, *x27, *x28, *x29;
    void (*resume)(void); /* x30 */
    double d8, d9, d10, d11, d12, d13, d14, d15;
};
#else
#error "no switch in assembly for this processor: -Dswitch=ucontext"
#endif

/* Where a new stack begins: calls entry(arg), which must never return. */
void weft_switch_start_(void);

/* The address that entry would return to. */
extern const char weft_switch_started_[];

static inline void *weft_switch_prepare_(char *low, char *top, void (*fn)(void *arg), void *arg)
{
    (void)low;
    struct weft_switch_frame *frame = (struct weft_switch_frame *)(void *)(top - sizeof *frame);
    *frame = (struct weft_switch_frame){ .entry = fn, .arg = arg, .resume = weft_switch_start_ };
    return frame; /* the stack is aligned to 16 once it is off */
}

static inline bool weft_switch_is_start_(const void *return_address)
{
    return return_address == weft_switch_started_;
}

static inline void (*weft_switch_entry_(const void *saved))(void *arg)
{
    const struct weft_switch_frame *frame = saved;
    return frame->resume == weft_switch_start_ ? frame->entry : NULL;
}

#endif

#endif
