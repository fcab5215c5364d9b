/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* A flag, and a line that is empty while it is set. */
#include <weft/event.h>

#include "lib/sync/own.h"
#include "lib/sync/source.h"
#include "lib/task/debug.h"
#include "lib/task/waiter.h"

#define EVENT_MAGIC 0xe5e47f1au

struct event_own {
    unsigned magic;
    bool is_set;
    weft_list line;
};

OWN_OF(weft_event, event_own, EVENT_MAGIC, "an event")

void weft_event_init_(weft_event *e, const char *file, int line)
{
    struct event_own *own = (struct event_own *)(void *)e->own_;
    own->magic = EVENT_MAGIC;
    own->is_set = false;
    weft_list_init(&own->line);
    weft_debug_made(e, "an event", file, line);
}

void weft_event_close(weft_event *e)
{
    struct event_own *own = own_of(e);
    weft_waiter_check_none(&own->line, "an event is closed");
    weft_debug_gone(e);
    own->magic = 0;
}

void weft_event_set(weft_event *e)
{
    struct event_own *own = own_of(e);
    own->is_set = true;
    weft_waiter_serve_all(&own->line, 0);
}

void weft_event_clear(weft_event *e)
{
    own_of(e)->is_set = false;
}

bool weft_event_is_set(const weft_event *e)
{
    return own_of(e)->is_set;
}

int weft_event_wait(weft_event *e)
{
    struct event_own *own = own_of(e);
    int rc = weft_wait_check("event");
    if (rc < 0 || own->is_set)
        return rc;
    struct weft_waiting waiting = WEFT_WAITING("event", e);
    return weft_waiting_park(&waiting, &own->line);
}

/* ---- in a select ---- */

static weft_list *line(const weft_select_case *c)
{
    struct event_own *own = own_of(c->on.event);
    return own->is_set ? NULL : &own->line;
}

static int take(const weft_select_case *c)
{
    (void)c;
    return 0;
}

const struct weft_source weft_source_event = { "event", false, line, take };
