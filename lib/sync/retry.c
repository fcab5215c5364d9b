/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Trying again. All there is to remember between two tries is the present delay, so it is a step of a loop and not a call that
 * takes a function: what is tried reads and writes the caller's own variables.
 *
 * The trail of a try that failed is dropped when the next one begins, lest that one's error be taken for the same going on.
 */
#include <weft/retry.h>

#include "lib/task/task.h"

enum { TRIES = 3 };

static const weft_duration DELAY = 100 * WEFT_MILLISECOND, DELAY_MAX = 30 * WEFT_SECOND;

struct retry_own {
    weft_duration delay; /* of the next pause */
};
_Static_assert(sizeof(struct retry_own) <= sizeof(((weft_retry *)0)->own_), "weft_retry has room");

static struct retry_own *own_of(weft_retry *r)
{
    return (struct retry_own *)(void *)r->own_;
}

static weft_duration longest(const weft_retry *r)
{
    return r->delay_max > 0 ? r->delay_max : DELAY_MAX;
}

static weft_duration at_most(weft_duration d, weft_duration max)
{
    return d < max ? d : max;
}

static bool is_worth_it(const weft_retry *r)
{
    if (r->result >= 0 || r->result == WEFT_ECANCELED || r->result == WEFT_EDEADLINE)
        return false;
    int tries = r->tries ? r->tries : TRIES;
    return (tries < 0 || r->attempt < tries) && (!r->retry_if || r->retry_if(r->result));
}

/* The present delay, or a part of it; and what it grows to. */
static weft_duration next_pause(weft_retry *r)
{
    weft_duration *delay = &own_of(r)->delay, now = *delay;
    if (now <= 0)
        return 0;
    double grown = (double)now * (r->factor > 0 ? r->factor : 2);
    *delay = grown < (double)longest(r) ? (weft_duration)grown : longest(r);
    if (r->no_jitter)
        return now;
    return (weft_duration)weft_loop_draw(weft_here, (uint64_t)now + 1);
}

static void forget_trail(void)
{
    weft_task *t = weft_here->current;
    weft_trail_free(t->trail);
    t->trail = NULL;
}

bool weft_retry_next_(weft_retry *r, const char *file, int line)
{
    if (r->attempt == 0) {
        own_of(r)->delay = at_most(r->delay ? r->delay : DELAY, longest(r));
        r->attempt = 1;
        return true;
    }
    if (r->result < 0)
        r->error = r->result;
    if (!is_worth_it(r))
        return false;
    if (!weft_wait_is_allowed("retry"))
        return false;
    int reason = weft_sleep(next_pause(r));
    if (reason < 0) {
        r->result = weft_fail_(file, line, reason, "after %d tries, the last of which: %s", r->attempt,
                               weft_strerror(r->error));
        return false;
    }
    forget_trail();
    r->attempt++;
    r->result = 0;
    return true;
}
