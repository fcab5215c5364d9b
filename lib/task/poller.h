/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The poller: which of many sockets and pipes are ready. It is epoll(7), or poll(2) where there is none.
 *
 * The loop waits here; libuv's own poll is one descriptor among the others, and is run when that is ready. So what comes on a
 * connection takes one system call for all of them, and none of libuv's work for each; a connection that is closed, or served
 * before it has to be waited for, was never told to the kernel at all.
 *
 * What is wanted of a descriptor is told to the kernel when the poll begins, once, however often it has changed since. The
 * kernel may tell of a descriptor that has been closed meanwhile, whose number is another's by then (as long as a child has a
 * copy that it has not closed yet): so each has a number of its own beside, and what is told of others is passed over.
 */
#ifndef WEFT_LIB_TASK_POLLER_H
#define WEFT_LIB_TASK_POLLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/time.h>

#include "lib/base/fd_table.h"
#include "lib/base/list.h"

enum { WEFT_POLLER_RETRY = 100 /* milliseconds, until what the kernel has refused is tried again */ };

struct weft_polled;

/* What its owner is told, on the loop's stack, with no task running, and never from inside a call on it. */
typedef struct weft_polled_events {
    /* It is, or may be, ready for these WEFT_FD_ that are wanted; all of them if it is broken. Was there anything to do? */
    bool (*ready)(struct weft_polled *p, int events);
    /* It was closed, and is not in use any more. */
    void (*closed)(struct weft_polled *p);
} weft_polled_events;

/* A descriptor that is polled: in its owner. */
typedef struct weft_polled {
    weft_list link; /* in the poller's list of those to settle, or on itself */
    const weft_polled_events *events;
    int fd;          /* -1 once it is closed */
    uint32_t number; /* of all that there have been */
    uint8_t wanted;  /* WEFT_FD_: by its owner */
    uint8_t asked;   /* WEFT_FD_: of the kernel */
    bool is_new;     /* it may have been readable before it was polled: is worth a try */
} weft_polled;

typedef struct weft_poller {
    const struct weft_poller_kind *kind;
    weft_fd_table table; /* of weft_polled */
    weft_list unsettled; /* where wanted is not what was asked, or that are closed */
    uint32_t last_number;
    uint8_t luck, untried; /* of reading what is new (poller.c) */
    bool has_refused;      /* the kernel, and it still does */
    weft_duration said;    /* when that was said for the last time */
    int uv;                /* libuv's, polled for reading */
    int epoll;             /* of epoll(7) */
    struct pollfd *list;   /* of poll(2) */
    size_t list_room;
} weft_poller;

typedef struct weft_poller_kind {
    int (*open)(weft_poller *poller); /* 0 or -errno */
    void (*close)(weft_poller *poller);
    int (*ask)(weft_poller *poller, const weft_polled *p); /* p->wanted in place of p->asked; 0 or -errno */
    /* At most so many milliseconds, or without an end (-1). Tells by weft_poller_tell; is libuv ready? */
    bool (*wait)(weft_poller *poller, int timeout);
} weft_poller_kind;

extern const weft_poller_kind weft_poller_epoll, weft_poller_poll;

#ifdef __linux__
#define WEFT_POLLER_BEST weft_poller_epoll
#else
#define WEFT_POLLER_BEST weft_poller_poll
#endif

/* `uv`: another poll's descriptor. 0 or -errno. */
int weft_poller_open(weft_poller *poller, const weft_poller_kind *kind, int uv);

/* All that were polled must be closed. */
void weft_poller_close(weft_poller *poller);

/* So that weft_polled_open does not fail for this descriptor. 0 or -ENOMEM. */
int weft_poller_make_room(weft_poller *poller, int fd);

/* Takes over a descriptor, which does not block. 0, or -ENOMEM: then it is still the caller's. */
int weft_polled_open(weft_poller *poller, weft_polled *p, int fd, const weft_polled_events *events);

/* Has the kernel forget it at once: for a descriptor of which there is a copy, before it is closed. */
void weft_polled_forget(weft_poller *poller, weft_polled *p);

/* Ends polling and closes the descriptor. `closed` follows, in a later turn. */
void weft_polled_close(weft_poller *poller, weft_polled *p);

static inline void weft_polled_want(weft_poller *poller, weft_polled *p, int events)
{
    p->wanted = (uint8_t)events;
    if (weft_list_is_empty(&p->link) && p->wanted != p->asked)
        weft_list_append(&poller->unsettled, &p->link);
}

/* Says who is closed, reads what is new, and tells the kernel what is wanted. Was there anything to do, but to say who is
 * closed? Then there may be more that is to be done before a wait. */
bool weft_poller_settle(weft_poller *poller);

/* Is there nothing to settle? Else, after settling: what the kernel has refused, to be tried again soon. */
static inline bool weft_poller_is_settled(const weft_poller *poller)
{
    return weft_list_is_empty(&poller->unsettled);
}

/* For the kinds: an event; `is_broken`: an error of it, or its other end has gone. */
static inline void weft_poller_tell(const weft_poller *poller, unsigned fd, uint32_t number, int events, bool is_broken)
{
    weft_polled *p = weft_fd_table_get(&poller->table, fd);
    if (!p || p->number != number)
        return;
    events = is_broken ? p->wanted : events & p->wanted;
    if (events)
        p->events->ready(p, events);
}

#endif
