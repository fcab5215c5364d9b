/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The switch between stacks, in assembly (switch_x86_64.S).
 *
 * Only what the calling convention has a callee keep is saved: six registers and the stack pointer, 2-2.5 ns in a loop. The
 * floating-point control words are not (9-20 ns more): whoever changes them must put them back before waiting.
 */
#ifndef WEFT_LIB_CORO_SWITCH_H
#define WEFT_LIB_CORO_SWITCH_H

/* Saves the caller's state on its stack, stores its stack pointer in *save, and goes on where `load` was saved. */
void weft_switch_(void **save, void *load);

/* Where a new stack begins: calls r12(rbx), which must never return. */
void weft_switch_start_(void);

/* Calls fn(arg) with the stack pointer at `stack`, and comes back. */
void weft_switch_call_(void (*fn)(void *arg), void *arg, void *stack);

#endif
