/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * A connection that has just been accepted often has its request there: it is read at once, which spares telling the kernel of
 * it and back if that request is its last, and a trip through the poll in any case. As it costs a call where nothing has come
 * yet, it is done as long as it mostly succeeds, and now and then to see whether it would.
 */
#include "lib/task/poller.h"

#include <errno.h>
#include <unistd.h>
#include <weft/error.h>
#include <weft/fd.h>
#include <weft/log.h>

#include "lib/base/check.h"
#include "lib/base/clock.h"

enum {
    LUCK_MOST = 16,
    TRY_EVERY = 16, /* while it mostly fails */
};

int weft_poller_open(weft_poller *poller, const weft_poller_kind *kind, int uv)
{
    *poller = (weft_poller){ .kind = kind, .uv = uv, .luck = LUCK_MOST };
    weft_list_init(&poller->unsettled);
    return kind->open(poller);
}

void weft_poller_close(weft_poller *poller)
{
    CHECK(weft_poller_is_settled(poller));
    for (size_t fd = 0; fd < poller->table.count; fd++)
        if (poller->table.slots[fd])
            weft_die("a loop ends while a socket on it is open");
    poller->kind->close(poller);
    weft_fd_table_free(&poller->table);
}

int weft_poller_make_room(weft_poller *poller, int fd)
{
    return weft_fd_table_reserve(&poller->table, fd);
}

int weft_polled_open(weft_poller *poller, weft_polled *p, int fd, const weft_polled_events *events)
{
    int rc = weft_poller_make_room(poller, fd);
    if (rc < 0)
        return rc;
    CHECK(!poller->table.slots[fd]); /* somebody else has closed a descriptor of ours */
    *p = (weft_polled){ .events = events, .fd = fd, .number = ++poller->last_number };
    weft_list_init(&p->link);
    poller->table.slots[fd] = p;
    return 0;
}

void weft_polled_forget(weft_poller *poller, weft_polled *p)
{
    p->wanted = 0;
    if (p->asked)
        poller->kind->ask(poller, p); /* it cannot fail */
    p->asked = 0;
}

void weft_polled_close(weft_poller *poller, weft_polled *p)
{
    poller->table.slots[p->fd] = NULL;
    close(p->fd); /* so the kernel forgets what was asked of it */
    p->fd = -1;
    p->wanted = p->asked = 0;
    if (weft_list_is_empty(&p->link))
        weft_list_append(&poller->unsettled, &p->link);
}

static bool is_worth_a_try(weft_poller *poller)
{
    return poller->luck >= LUCK_MOST / 2 || ++poller->untried % TRY_EVERY == 0;
}

static bool try_to_read(weft_poller *poller, weft_polled *p)
{
    if (!is_worth_a_try(poller))
        return false;
    bool any = p->events->ready(p, WEFT_FD_READ);
    if (any && poller->luck < LUCK_MOST)
        poller->luck++;
    else if (!any && poller->luck > 0)
        poller->luck--;
    return any;
}

/* The kernel has no memory for it, or more are polled than it allows (epoll's max_user_watches): what is refused is tried, and
 * asked for again, until it is not. It is said once for as long as there is such a one, and once a second at most. */
static void say_refused(weft_poller *poller, int error)
{
    weft_duration now = weft_clock_monotonic();
    if (poller->has_refused || (poller->said && now - poller->said < WEFT_SECOND))
        return;
    poller->said = now;
    weft_log(WEFT_LOG_WARNING, "a connection cannot be polled: %s; it is tried every %d ms", weft_strerror(error),
             WEFT_POLLER_RETRY);
}

static bool ask(weft_poller *poller, weft_polled *p)
{
    int rc = poller->kind->ask(poller, p);
    if (rc < 0) {
        say_refused(poller, rc);
        poller->has_refused = true;
        return false;
    }
    p->asked = p->wanted;
    return true;
}

bool weft_poller_settle(weft_poller *poller)
{
    bool any = false;
    weft_list refused, *node;
    weft_list_init(&refused);
    while ((node = weft_list_shift(&poller->unsettled))) {
        weft_polled *p = CONTAINER_OF(node, weft_polled, link);
        if (p->fd < 0) {
            p->events->closed(p); /* it may be gone */
            continue;
        }
        if (p->is_new && (p->wanted & WEFT_FD_READ)) {
            p->is_new = false;
            any = try_to_read(poller, p) || any;
            if (!weft_list_is_empty(&p->link))
                continue; /* it was closed, or wants something else now */
        }
        if (p->wanted == p->asked || ask(poller, p))
            continue;
        weft_list_append(&refused, &p->link);
        any = p->events->ready(p, p->wanted) || any;
    }
    poller->has_refused = !weft_list_is_empty(&refused);
    weft_list_append_all(&poller->unsettled, &refused);
    return any;
}
