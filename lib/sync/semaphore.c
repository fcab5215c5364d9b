/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* A count of free places, and a line that is empty unless it is 0: a release hands its place over without counting it. */
#include <weft/semaphore.h>

#include <errno.h>
#include <stdio.h>

#include "lib/sync/own.h"
#include "lib/sync/source.h"
#include "lib/task/debug.h"
#include "lib/task/waiter.h"

#define SEMAPHORE_MAGIC 0x5e3a9047u

struct semaphore_own {
    unsigned magic;
    size_t count, places; /* free now; at first */
    weft_list line;
};

OWN_OF(weft_semaphore, semaphore_own, SEMAPHORE_MAGIC, "a semaphore")

void weft_semaphore_init_(weft_semaphore *s, size_t places, const char *file, int line)
{
    struct semaphore_own *own = (struct semaphore_own *)(void *)s->own_;
    own->magic = SEMAPHORE_MAGIC;
    own->count = own->places = places;
    weft_list_init(&own->line);
    weft_debug_made(s, "a semaphore", file, line);
}

/* Fewer are free than there were at first: somebody has not released his. */
static void report_held(const weft_semaphore *s, const struct semaphore_own *own)
{
    const char *file;
    int line;
    char more[60];
    if (own->count >= own->places || !weft_debug_find(s, &file, &line))
        return;
    snprintf(more, sizeof more, ": %zu of %zu", own->places - own->count, own->places);
    weft_debug_mistake("is closed while places of it are held", "a semaphore made at", file, line, more);
}

void weft_semaphore_close(weft_semaphore *s)
{
    struct semaphore_own *own = own_of(s);
    weft_waiter_check_none(&own->line, "a semaphore is closed");
    report_held(s, own);
    weft_debug_gone(s);
    own->magic = 0;
}

int weft_semaphore_try_acquire(weft_semaphore *s)
{
    struct semaphore_own *own = own_of(s);
    if (own->count == 0)
        return -EAGAIN;
    own->count--;
    return 0;
}

int weft_semaphore_acquire(weft_semaphore *s)
{
    struct semaphore_own *own = own_of(s);
    int rc = weft_wait_begin("semaphore");
    if (rc < 0)
        return rc;
    if (own->count > 0) {
        own->count--;
        return 0;
    }
    struct weft_waiting waiting = WEFT_WAITING("semaphore", s);
    return weft_waiting_park(&waiting, &own->line);
}

void weft_semaphore_release(weft_semaphore *s)
{
    struct semaphore_own *own = own_of(s);
    weft_waiter *waiter = weft_waiter_first(&own->line);
    if (waiter)
        weft_waiter_serve(waiter, 0);
    else
        own->count++;
}

size_t weft_semaphore_count(const weft_semaphore *s)
{
    return own_of(s)->count;
}

static void release(void *semaphore)
{
    weft_semaphore_release(semaphore);
}

weft_held weft_semaphore_enter_(weft_semaphore *s)
{
    return (weft_held){ .result = weft_semaphore_acquire(s), .object_ = s, .release_ = release };
}

/* ---- in a select ---- */

static weft_list *line(const weft_select_case *c)
{
    struct semaphore_own *own = own_of(c->on.semaphore);
    return own->count > 0 ? NULL : &own->line;
}

static int take(const weft_select_case *c)
{
    return weft_semaphore_try_acquire(c->on.semaphore);
}

const struct weft_source weft_source_semaphore = { "semaphore", false, line, take };
