/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Stack overflows, reported before the process dies of them.
 *
 * A touched guard raises SIGSEGV; the handler runs on an alternate stack of the thread and asks the thread's watch whether
 * the address lies in a guard of its own. If so, the watch has written its report, and the signal is raised again with the
 * default action; if not, it is passed on to the action that was installed before ours. Signal actions belong to the process
 * by their nature, so the handler is installed once and stays.
 */
#ifndef WEFT_LIB_CORO_OVERFLOW_H
#define WEFT_LIB_CORO_OVERFLOW_H

#include <stdbool.h>
#include <stddef.h>

typedef struct weft_overflow_watch {
    /* In a signal handler: reports, with async-signal-safe calls only, and returns true if `address` is in a guard. */
    bool (*report)(void *context, const void *address);
    void *context;
    void *signal_stack, *former_stack; /* private */
    size_t former_size;
    bool had_former;
} weft_overflow_watch;

/* Watches this thread; the struct stays in place until weft_overflow_close. Returns 0 or -errno. */
int weft_overflow_open(weft_overflow_watch *watch);
void weft_overflow_close(weft_overflow_watch *watch);

#endif
