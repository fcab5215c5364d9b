/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Where a coroutine that does not run stands: the return addresses on its stack.
 *
 * It is read, not run: what happens is on the caller's stack, and costs about a microsecond a frame. Only with the switch by
 * ucontext the walk runs on the coroutine's own stack. lib/coro/symbols.h puts names to the addresses.
 */
#ifndef WEFT_LIB_CORO_BACKTRACE_H
#define WEFT_LIB_CORO_BACKTRACE_H

#include "lib/coro/coro.h"

/* Writes the return addresses of co, the innermost first, `most` at most, and returns how many. The first is in whoever left.
 * The last is in the function of weft_coro_init (if that has not been entered yet, it is the only one). 0 with ucontext
 * if less than 8 KiB of the stack are free. co must not be the running one, nor have ended. */
size_t weft_coro_backtrace(const weft_coro *co, void **ret_addresses, size_t most);

#endif
