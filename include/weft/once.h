/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Once: something expensive is done by the first task that needs it; others that need it meanwhile wait for it, later ones
 * find it done.
 *
 *     WEFT_TRY(weft_once_run(&config.once, load_config, &config));
 *
 * If the first run fails, or is cut short, only its own task gets that error: the longest waiting task tries next. It is
 * embedded in its owner, and is for the tasks of one loop: weft_once_init, then any calls, then weft_once_close.
 */
#ifndef WEFT_ONCE_H
#define WEFT_ONCE_H

#include <weft/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_once {
    void *own_[5]; /* private */
} weft_once;

/* Nothing has been done. Never fails; allocates nothing. */
#define weft_once_init(o) weft_once_init_((o), __FILE__, __LINE__)
WEFT_API void weft_once_init_(weft_once *o, const char *file, int line);

/* The end of it. Closing it while a task runs its function, or waits for that, is misuse, and ends the program. */
WEFT_API void weft_once_close(weft_once *o);

/* May wait. Runs fn(arg) in the calling task, unless some task has done so with success or is doing so. Returns what the run
 * with success returned (>= 0); the error of fn, when this call ran it; the reason that cut the waiting short; -EDEADLK from
 * inside fn, which is misuse. */
WEFT_API WEFT_WAITS int weft_once_run(weft_once *o, int (*fn)(void *arg), void *arg);

/* Has a run succeeded? */
WEFT_API bool weft_once_is_done(const weft_once *o);

#ifdef __cplusplus
}
#endif
#endif
