/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Those who have come are those in the line: one that is cut short leaves it, so it does not count any more. */
#include <weft/barrier.h>

#include <weft/error.h>

#include "lib/sync/own.h"
#include "lib/task/debug.h"
#include "lib/task/waiter.h"

#define BARRIER_MAGIC 0xba441e40u

struct barrier_own {
    unsigned magic;
    bool is_broken;
    size_t parties, count; /* count: in the line */
    weft_list line;
};

OWN_OF(weft_barrier, barrier_own, BARRIER_MAGIC, "a barrier")

struct party {
    weft_wait wait;
    weft_waiter waiter;
    struct barrier_own *barrier;
};

static void withdraw(weft_wait *wait)
{
    struct party *party = CONTAINER_OF(wait, struct party, wait);
    weft_list_remove(&party->waiter.link);
    party->barrier->count--;
}

void weft_barrier_init_(weft_barrier *b, size_t parties, const char *file, int line)
{
    struct barrier_own *own = (struct barrier_own *)(void *)b->own_;
    if (parties == 0)
        weft_misuse_die("a barrier for no task at all");
    *own = (struct barrier_own){ .magic = BARRIER_MAGIC, .parties = parties };
    weft_list_init(&own->line);
    weft_debug_made(b, "a barrier", file, line);
}

void weft_barrier_close(weft_barrier *b)
{
    struct barrier_own *own = own_of(b);
    weft_waiter_check_none(&own->line, "a barrier is closed");
    weft_debug_gone(b);
    own->magic = 0;
}

int weft_barrier_wait(weft_barrier *b)
{
    struct barrier_own *own = own_of(b);
    int rc = weft_wait_check("barrier");
    if (rc < 0)
        return rc;
    if (own->is_broken)
        return WEFT_ECLOSED;
    if (own->count + 1 == own->parties) {
        weft_waiter_serve_all(&own->line, 0);
        return 1;
    }
    struct party party = { .wait = WEFT_WAIT("barrier", b, withdraw), .barrier = own };
    party.waiter.wait = &party.wait;
    weft_list_append(&own->line, &party.waiter.link);
    own->count++;
    rc = weft_wait_park(&party.wait);
    return rc < 0 ? rc : party.waiter.result;
}

void weft_barrier_break(weft_barrier *b)
{
    struct barrier_own *own = own_of(b);
    own->is_broken = true;
    weft_waiter_serve_all(&own->line, WEFT_ECLOSED);
}

void weft_barrier_reset(weft_barrier *b)
{
    struct barrier_own *own = own_of(b);
    own->is_broken = false;
    weft_waiter_serve_all(&own->line, WEFT_ECLOSED);
}

size_t weft_barrier_count(const weft_barrier *b)
{
    return own_of(b)->count;
}
