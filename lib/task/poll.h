/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* The door to libuv's loop: polling, one timer, wake-ups. lib/net and lib/os reach the uv_loop_t through weft_poll_uv. */
#ifndef WEFT_LIB_TASK_POLL_H
#define WEFT_LIB_TASK_POLL_H

#include "lib/task/loop.h"

/* 0 or -errno. */
int weft_poll_open(weft_loop *loop);

/* Closes it once every handle is closed: handles of others must be closing already. */
void weft_poll_close(weft_loop *loop);

/* One turn; waits for something to happen if `may_block`. Strikes timers, unless time is virtual. */
void weft_poll_turn(weft_loop *loop, bool may_block);

/* From any thread. */
void weft_poll_wake(weft_loop *loop);

/* Has libuv use our heap, so that its allocations fail in tests too; before the first loop of the process. */
void weft_poll_use_heap(void);

/* A descriptor that is watched. The list and the context are its owner's. */
typedef struct weft_poll_fd {
    int fd;
    void *context;
    weft_list waiters;
    void (*ready)(struct weft_poll_fd *watched, int events); /* on the loop's stack; WEFT_FD_ */
} weft_poll_fd;

/* Begins to watch nothing of fd. 0 or -errno. */
int weft_poll_fd_open(weft_loop *loop, int fd, void (*ready)(weft_poll_fd *watched, int events), weft_poll_fd **ret_watched);

/* Watches these events in place of the former ones; calls `ready` while one of them is there. 0 or -errno. */
int weft_poll_fd_set(weft_poll_fd *watched, int events);

/* Stops at once, and gives it back a little later. */
void weft_poll_fd_close(weft_poll_fd *watched);

/* The uv_loop_t. */
void *weft_poll_uv(weft_loop *loop);

#endif
