/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The loop: one thread, its tasks, timers and input and output. There is no state per process: any number of loops run in as
 * many threads, and know nothing of each other. A loop lives from the start to the end of weft_run (or of an app's worker).
 *
 * It waits by epoll(7), or by poll(2) where there is none (or with WEFT_POLLER=poll in the environment).
 *
 * Nothing of a loop may be touched from another thread, except by weft_loop_post.
 */
#ifndef WEFT_LOOP_H
#define WEFT_LOOP_H

#include <weft/task.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_loop weft_loop;

/* The loop that runs on this thread, or NULL. */
WEFT_API weft_loop *weft_loop_here(void);

/* Has fn(arg) called on the loop's thread, soon, outside any task (so fn must not wait), in the order of the posts of each
 * thread. From any thread, while the loop lives: who posts must know that it does. Posts that a loop has not reached when
 * it ends are called then. Returns 0, or -ENOMEM: then fn will not be called. Never waits (a short mutex aside). */
WEFT_API WEFT_MUST int weft_loop_post(weft_loop *loop, void (*fn)(void *arg), void *arg);

#ifdef __cplusplus
}
#endif
#endif
