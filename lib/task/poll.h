/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* A loop's poll: the poller, and the door to libuv, which wakes it, and watches signals and the descriptors of others. */
#ifndef WEFT_LIB_TASK_POLL_H
#define WEFT_LIB_TASK_POLL_H

#include "lib/task/loop.h"
#include "lib/task/poller.h"

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
    int events; /* WEFT_FD_: watched now; 0 also after an error of the descriptor */
    void *context;
    weft_list waiters;
    void (*ready)(struct weft_poll_fd *watched, int events); /* on the loop's stack; WEFT_FD_, both of an error */
    void (*closed)(void *context);                           /* in a later turn than the closing; may be NULL */
} weft_poll_fd;

/* Begins to watch nothing of fd. 0 or -errno. */
int weft_poll_fd_open(weft_loop *loop, int fd, void (*ready)(weft_poll_fd *watched, int events), weft_poll_fd **ret_watched);

/* Watches these events, or nothing, in place of the former ones; calls `ready` while one of them is there. 0 or -errno. */
int weft_poll_fd_set(weft_poll_fd *watched, int events);

/* Stops at once, and gives it back a little later. */
void weft_poll_fd_close(weft_poll_fd *watched);

/* A signal that is watched. The context is its owner's. */
typedef struct weft_poll_signal {
    void *context;
    void (*came)(void *context);   /* on the loop's stack */
    void (*closed)(void *context); /* in a later turn than the closing */
} weft_poll_signal;

/* Watches a signal from now on. 0 or -errno: then neither of the calls comes. */
int weft_poll_signal_open(weft_loop *loop, int signal, weft_poll_signal calls, weft_poll_signal **ret_watched);

/* Stops at once, and gives it back a little later. */
void weft_poll_signal_close(weft_poll_signal *watched);

/* Of sockets and pipes. */
static inline weft_poller *weft_poll_poller(const weft_loop *loop)
{
    return (weft_poller *)(void *)loop->poll; /* its first member */
}

#endif
