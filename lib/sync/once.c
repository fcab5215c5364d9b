/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Idle, running or done. The end of a run with an error hands the turn to the next in line, as a lock is handed over, so that
 * there is never more than one who runs. Those who are told that it is done do not look at it again: whoever ran it may have
 * closed it by then.
 */
#include <weft/once.h>

#include <errno.h>
#include <limits.h>

#include "lib/sync/own.h"
#include "lib/task/debug.h"

#define ONCE_MAGIC 0x04ce04ceu

enum { IT_IS_YOUR_TURN = INT_MIN /* beside the results of a run that succeeded, and reasons */ };

struct once_own {
    unsigned magic;
    bool is_done;
    int result;        /* when done */
    weft_task *runner; /* NULL: none */
    weft_list line;
};

OWN_OF(weft_once, once_own, ONCE_MAGIC, "a once")

static void describe(const weft_wait *wait, FILE *out)
{
    const weft_task *t = own_of(wait->on)->runner;
    fprintf(out, ", run by %s started at %s:%d", t->name, t->file, t->line);
}

static const weft_task *runner_of_wanted(const weft_wait *wait, const weft_task *after)
{
    return after ? NULL : own_of(wait->on)->runner;
}

void weft_once_init_(weft_once *o, const char *file, int line)
{
    struct once_own *own = (struct once_own *)(void *)o->own_;
    *own = (struct once_own){ .magic = ONCE_MAGIC };
    weft_list_init(&own->line);
    weft_debug_made(o, "a once", file, line);
}

void weft_once_close(weft_once *o)
{
    struct once_own *own = own_of(o);
    weft_waiter_check_none(&own->line, "a once is closed");
    if (own->runner)
        weft_misuse_die("a once is closed while task %s runs it", own->runner->name);
    weft_debug_gone(o);
    own->magic = 0;
}

static void end_run(struct once_own *own, int result)
{
    own->runner = NULL;
    if (result >= 0) {
        own->is_done = true;
        own->result = result;
        weft_waiter_serve_all(&own->line, result);
        return;
    }
    weft_waiter *next = weft_waiter_first(&own->line);
    if (next) {
        own->runner = next->wait->task;
        weft_waiter_serve(next, IT_IS_YOUR_TURN);
    }
}

int weft_once_run(weft_once *o, int (*fn)(void *arg), void *arg)
{
    struct once_own *own = own_of(o);
    int rc = weft_wait_check("once");
    if (rc < 0)
        return rc;
    if (own->is_done)
        return own->result;
    weft_task *t = weft_here->current;
    if (own->runner == t) {
        weft_misuse("the function of a once runs the same once");
        return -EDEADLK;
    }
    if (own->runner) {
        struct weft_waiting waiting = WEFT_WAITING("once", o);
        waiting.wait.describe = describe;
        waiting.wait.blocker = runner_of_wanted;
        rc = weft_waiting_park(&waiting, &own->line);
        if (rc != IT_IS_YOUR_TURN)
            return rc;
    }
    own->runner = t;
    rc = fn(arg);
    end_run(own, rc);
    return rc;
}

bool weft_once_is_done(const weft_once *o)
{
    return own_of(o)->is_done;
}
