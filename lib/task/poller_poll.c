/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* By poll(2), where the kernel has no epoll: each wait looks at all that are polled, so it is not for many. */
#include "lib/task/poller.h"

#include <errno.h>
#include <poll.h>
#include <weft/fd.h>

#include "lib/base/memory.h"

static int open_poll(weft_poller *poller)
{
    poller->list = weft_mem_alloc(sizeof *poller->list);
    poller->list_room = 1;
    return poller->list ? 0 : -ENOMEM;
}

static void close_poll(weft_poller *poller)
{
    weft_mem_free(poller->list);
}

/* The list is made when it waits; all that is in the table has room there, and libuv's. */
static int ask(weft_poller *poller, const weft_polled *p)
{
    (void)p;
    if (poller->list_room > poller->table.count)
        return 0;
    struct pollfd *list = weft_mem_realloc(poller->list, (poller->table.count + 1) * sizeof *list);
    if (!list)
        return -ENOMEM;
    poller->list = list;
    poller->list_room = poller->table.count + 1;
    return 0;
}

static size_t make_list(weft_poller *poller)
{
    size_t count = 0;
    poller->list[count++] = (struct pollfd){ .fd = poller->uv, .events = POLLIN };
    for (size_t fd = 0; fd < poller->table.count; fd++) {
        const weft_polled *p = poller->table.slots[fd];
        if (p && p->asked)
            poller->list[count++] = (struct pollfd){
                .fd = (int)fd,
                .events = (short)((p->asked & WEFT_FD_READ ? POLLIN : 0) | (p->asked & WEFT_FD_WRITE ? POLLOUT : 0)),
            };
    }
    return count;
}

/* Those that are told may close others, whose numbers may be taken by new ones at once: these have not been asked for yet. */
static bool wait_poll(weft_poller *poller, int timeout)
{
    size_t count = make_list(poller);
    if (poll(poller->list, (nfds_t)count, timeout) <= 0)
        return false; /* a signal came, or nothing */
    for (size_t i = 1; i < count; i++) {
        const struct pollfd *of = &poller->list[i];
        const weft_polled *p = of->revents ? poller->table.slots[of->fd] : NULL;
        int events = (of->revents & POLLIN ? WEFT_FD_READ : 0) | (of->revents & POLLOUT ? WEFT_FD_WRITE : 0);
        if (p && p->asked)
            weft_poller_tell(poller, (unsigned)of->fd, p->number, events, of->revents & (POLLERR | POLLHUP | POLLNVAL));
    }
    return poller->list[0].revents;
}

const weft_poller_kind weft_poller_poll = { .open = open_poll, .close = close_poll, .ask = ask, .wait = wait_poll };
