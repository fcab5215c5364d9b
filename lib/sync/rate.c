/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The bucket is one number: the time at which it will be full. Taking n tokens moves it by n intervals, and is possible if it
 * is then no further ahead than the whole bucket takes to fill. Nothing has to be added as time passes, and nothing is lost
 * to rounding.
 *
 * One timer serves the line: it is set to when the first in it can be served, and anew whenever the first changes.
 */
#include <weft/rate.h>

#include <errno.h>

#include "lib/sync/own.h"
#include "lib/task/debug.h"
#include "lib/task/timer.h"
#include "lib/task/waiter.h"

#define RATE_MAGIC 0x4a7e4a7eu

static const weft_duration CENTURY = 100 * 365 * 24 * WEFT_HOUR;

struct rate_own {
    unsigned magic;
    weft_duration interval; /* of a token; rounded up, so that the rate is never exceeded */
    weft_duration depth;    /* what the empty bucket takes to fill */
    weft_duration full_at;  /* in the past: it is full */
    weft_list line;
    weft_timer timer; /* for the first in the line */
};

OWN_OF(weft_rate, rate_own, RATE_MAGIC, "a rate limiter")

struct taker {
    weft_wait wait;
    weft_waiter waiter;
    weft_duration cost;
    struct rate_own *rate;
};

static struct taker *first_taker(const struct rate_own *own)
{
    weft_waiter *waiter = weft_waiter_first(&own->line);
    return waiter ? CONTAINER_OF(waiter, struct taker, waiter) : NULL;
}

/* When can as much be taken? */
static weft_duration time_for(const struct rate_own *own, weft_duration cost)
{
    return own->full_at + cost - own->depth;
}

static void take(struct rate_own *own, weft_duration cost, weft_duration now)
{
    own->full_at = (own->full_at > now ? own->full_at : now) + cost;
}

static void set_timer(struct rate_own *own)
{
    const struct taker *first = first_taker(own);
    weft_timer_clear(&own->timer);
    if (first)
        weft_timer_set(&weft_here->wheel, &own->timer, weft_tick_of(time_for(own, first->cost)));
}

static void strike(weft_timer *timer)
{
    struct rate_own *own = CONTAINER_OF(timer, struct rate_own, timer);
    weft_duration now = weft_loop_clock(weft_here);
    struct taker *first;
    while ((first = first_taker(own)) && time_for(own, first->cost) <= now) {
        take(own, first->cost, now);
        weft_waiter_serve(&first->waiter, 0);
    }
    set_timer(own);
}

static void withdraw(weft_wait *wait)
{
    struct taker *taker = CONTAINER_OF(wait, struct taker, wait);
    bool was_first = taker == first_taker(taker->rate);
    weft_list_remove(&taker->waiter.link);
    if (was_first)
        set_timer(taker->rate);
}

void weft_rate_init_(weft_rate *r, uint64_t count, weft_duration per, uint64_t burst, const char *file, int line)
{
    struct rate_own *own = (struct rate_own *)(void *)r->own_;
    if (count == 0 || per <= 0 || per > CENTURY || count > (uint64_t)per)
        weft_misuse_die("a rate of %llu tokens in %lld ns", (unsigned long long)count, (long long)per);
    weft_duration interval = (weft_duration)(((uint64_t)per - 1) / count + 1);
    if (burst == 0 || burst > (uint64_t)(CENTURY / interval))
        weft_misuse_die("a rate limiter with a burst of %llu", (unsigned long long)burst);
    *own = (struct rate_own){ .magic = RATE_MAGIC, .interval = interval, .depth = interval * (weft_duration)burst };
    weft_list_init(&own->line);
    weft_debug_made(r, "a rate limiter", file, line);
    weft_timer_init(&own->timer, strike);
}

void weft_rate_close(weft_rate *r)
{
    struct rate_own *own = own_of(r);
    weft_waiter_check_none(&own->line, "a rate limiter is closed");
    weft_debug_gone(r);
    own->magic = 0;
}

int weft_rate_try_take(weft_rate *r, uint64_t n)
{
    struct rate_own *own = own_of(r);
    if (n > (uint64_t)(own->depth / own->interval))
        return -EINVAL;
    weft_duration now = weft_now(), cost = own->interval * (weft_duration)n;
    if (!weft_list_is_empty(&own->line) || time_for(own, cost) > now)
        return -EAGAIN;
    take(own, cost, now);
    return 0;
}

int weft_rate_take(weft_rate *r, uint64_t n)
{
    struct rate_own *own = own_of(r);
    int rc = weft_wait_check("rate limiter");
    if (rc == 0)
        rc = weft_rate_try_take(r, n);
    if (rc != -EAGAIN)
        return rc;
    struct taker taker = { .wait = WEFT_WAIT("rate limiter", r, withdraw),
                           .cost = own->interval * (weft_duration)n,
                           .rate = own };
    taker.waiter.wait = &taker.wait;
    weft_list_append(&own->line, &taker.waiter.link);
    if (first_taker(own) == &taker)
        set_timer(own);
    rc = weft_wait_park(&taker.wait);
    return rc < 0 ? rc : taker.waiter.result;
}
