/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Signals that are sent to the program, as something to wait for.
 *
 *     weft_signal *reload __attribute__((cleanup(weft_signal_drop))) = NULL;
 *     WEFT_TRY(weft_signal_open(&reload, SIGHUP));
 *     for (;;) {
 *         WEFT_TRY(weft_signal_wait(reload));
 *         read_settings();
 *     }
 *
 * From weft_signal_open to its close the signal does not have its usual effect, and is counted: none is lost between two waits,
 * though, as everywhere in Unix, several of one kind that come quickly may count as one. Each weft_signal that is open for a
 * signal is told of it, in each loop and thread; after the last one is closed the signal has its default effect again.
 *
 * A program that serves an app leaves SIGTERM, SIGINT, SIGQUIT, and SIGHUP where it reopens a log, to the app: on its loop they
 * are refused with -EBUSY. Other programs wait for them as for any other, or let weft_run_interruptible do it.
 */
#ifndef WEFT_SIGNAL_H
#define WEFT_SIGNAL_H

#include <weft/task.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_signal weft_signal;

/* Begins to count a signal. 0 with *ret set; -EINVAL not a signal that can be waited for (SIGKILL, SIGSTOP, SIGSEGV and other
 * faults); -EBUSY it is the app's; -ENOMEM; -EPERM outside a loop, which is misuse. Never waits. */
#define weft_signal_open(ret, signal) weft_signal_open_((ret), (signal), __FILE__, __LINE__)
WEFT_API WEFT_MUST int weft_signal_open_(weft_signal **ret, int signal, const char *file, int line);

/* May wait. Waits until the signal has come since the last time that this was told; returns how often it has, > 0. Several
 * tasks may wait: all are told. WEFT_ECLOSED it was closed meanwhile; or the reason, and then nothing was taken. */
WEFT_API WEFT_WAITS int weft_signal_wait(weft_signal *s);

/* The end of it; who waits gets WEFT_ECLOSED. Never waits. NULL is fine. */
WEFT_API void weft_signal_close(weft_signal *s);

/* weft_signal_close for __attribute__((cleanup(weft_signal_drop))). */
WEFT_API void weft_signal_drop(weft_signal **s);

/* weft_run for programs that a Ctrl-C should end well: SIGINT or SIGTERM cancels the first task and all that it started, so
 * that their waits return WEFT_ECANCELED and their clean-up runs. A second one has its default effect: it ends the program at
 * once. Returns as weft_run; *ret_signal (may be NULL) is the signal that came, or 0. */
#define weft_run_interruptible(fn, arg, ret_signal)                                                                            \
    weft_run_interruptible_((fn), (void *)(arg), (ret_signal), __FILE__, __LINE__)
WEFT_API int weft_run_interruptible_(weft_task_fn *fn, void *arg, int *ret_signal, const char *file, int line);

#ifdef __cplusplus
}
#endif
#endif
