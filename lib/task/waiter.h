/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Places in the line of an object: how tasks wait for one thing, or for one of several.
 *
 *     object ── line ── waiter ── waiter ── ...        each waiter points to its wait, on the stack of a parked task;
 *                          │         │                 a select has one waiter for each of its cases
 *                        wait      wait
 *
 * An object serves who is first in its line: it hands over what there is to hand over and calls weft_waiter_serve, in one act.
 * That settles the wait, which takes all its waiters out of their lines; so who has been served cannot be served again, here
 * or elsewhere, and who has been cut short stands in no line any more.
 */
#ifndef WEFT_LIB_TASK_WAITER_H
#define WEFT_LIB_TASK_WAITER_H

#include "lib/base/list.h"
#include "lib/task/wait.h"

typedef struct weft_waiter {
    weft_list link; /* in a line */
    weft_wait *wait;
    void *item; /* what the object hands over, or takes: its own business */
    int index;  /* the case of a select; 0 for a wait for one thing */
    int result; /* what the call returns once it has been served */
} weft_waiter;

/* The wait for one thing: a call that waits has one on its stack. */
struct weft_waiting {
    weft_wait wait;
    weft_waiter waiter;
};

#define WEFT_WAITING(what_, on_)                                                                                               \
    {                                                                                                                          \
        .wait = WEFT_WAIT(what_, on_, weft_waiting_withdraw)                                                                   \
    }

void weft_waiting_withdraw(weft_wait *wait);

/* Goes to the end of a line and parks. The result with which it was served, or the reason that cut it short. */
int weft_waiting_park(struct weft_waiting *waiting, weft_list *line);

/* The first of a line; NULL if nobody waits. */
static inline weft_waiter *weft_waiter_first(const weft_list *line)
{
    return weft_list_is_empty(line) ? NULL : CONTAINER_OF(line->next, weft_waiter, link);
}

/* Wakes its task: its call will return `result`, or be select's choice. */
void weft_waiter_serve(weft_waiter *waiter, int result);

/* The same for all of a line. */
void weft_waiter_serve_all(weft_list *line, int result);

/* Whatever the line belongs to goes away ("a queue is freed"): the program ends with a message if anybody waits. */
void weft_waiter_check_none(const weft_list *line, const char *event);

#endif
