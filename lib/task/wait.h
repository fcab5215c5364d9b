/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Waiting: how every call that may wait parks its task and is woken, once.
 *
 *     int rc = weft_wait_check("queue get");          // looks for a reason first; every waiting call does, also if it
 *     if (rc < 0) return rc;                          // would not have to park
 *     if (... there is one ...) return 1;
 *     struct getter g = { .wait = WEFT_WAIT("queue get", q, getter_withdraw) };
 *     weft_list_append(&q->getters, &g.link);
 *     return weft_wait_park(&g.wait);                 // what it was settled with: a result, or the reason
 *
 * The wait lives on the parked task's stack. It is settled exactly once: by its event, by its deadline (a timer that the
 * caller sets) or by a reason; settling calls `withdraw`, which takes the wait out of wherever it is registered, so that the
 * other two find nothing any more. The task itself runs later, from the ready queue.
 */
#ifndef WEFT_LIB_TASK_WAIT_H
#define WEFT_LIB_TASK_WAIT_H

#include <stdbool.h>

#include <weft/task.h>

typedef struct weft_wait {
    weft_task *task;                          /* while parked; set by weft_wait_park */
    void (*withdraw)(struct weft_wait *wait); /* may be NULL */
    const char *what;                         /* for reports: "queue get"; static */
    const void *on;                           /* for reports: the object */
    const void *place;                        /* the return address of the public call */
    int result;
    /* For reports: more words, ", held by ..."; may be NULL. */
    void (*describe)(const struct weft_wait *wait, FILE *out);
    /* For the report of a deadlock: a task that has to go on before this wait can end, the first (after NULL) or the next one;
     * NULL past the last. May be NULL: nobody in particular. */
    const weft_task *(*blocker)(const struct weft_wait *wait, const weft_task *after);
    bool is_uncut;      /* no reason cuts it short: a join */
    weft_group *inside; /* only reasons from around this group, or scopes inside it, cut it short: weft_group_next */
} weft_wait;

#define WEFT_WAIT(what_, on_, withdraw_)                                                                                       \
    {                                                                                                                          \
        .withdraw = (withdraw_), .what = (what_), .on = (on_), .place = __builtin_return_address(0)                            \
    }

/* The first act of a waiting call, on the task's stack. 0 to go on; or the task's reason, after one trip through the
 * scheduler; -EPERM outside a task, which is misuse. */
int weft_wait_check(const char *what);

/* The same for a wait inside a group: only reasons that may cut such a wait are refused. */
int weft_wait_check_inside(const char *what, weft_group *inside);

/* What weft_wait_check does about a reason, for one that is not the task's: a trip through the scheduler. Returns the reason,
 * or a later one of the task's. */
int weft_wait_refuse(const char *what, int reason);

/* Parks the calling task until the wait is settled; returns the result. */
int weft_wait_park(weft_wait *wait);

/* Wakes the parked task with a result. Settling what is not parked is a mistake of ours and ends the program. */
void weft_wait_settle(weft_wait *wait, int result);

/* The same, and runs the task at once: on the loop's stack, while no other runs. */
void weft_wait_settle_and_enter(weft_wait *wait, int result);

/* May the calling thread wait now: is it in a task, on that task's own stack? Reports misuse if not, and returns false. */
bool weft_wait_is_allowed(const char *what);

#endif
