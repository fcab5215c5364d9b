/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
#include "lib/task/poller.h"

#ifdef __linux__
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <weft/fd.h>

enum { EVENTS_AT_ONCE = 256 };

static const uint64_t of_libuv = UINT64_MAX;

_Static_assert((unsigned)WEFT_FD_READ == (unsigned)EPOLLIN && (unsigned)WEFT_FD_WRITE << 1 == (unsigned)EPOLLOUT,
               "the events have these numbers");

static uint32_t bits_of(int events)
{
    return (uint32_t)(events & WEFT_FD_READ) | (uint32_t)(events & WEFT_FD_WRITE) << 1;
}

static int events_of(uint32_t bits)
{
    return (int)((bits & EPOLLIN) | (bits & EPOLLOUT) >> 1);
}

static int open_epoll(weft_poller *poller)
{
    struct epoll_event event = { .events = EPOLLIN, .data.u64 = of_libuv };
    poller->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (poller->epoll < 0)
        return -errno;
    if (epoll_ctl(poller->epoll, EPOLL_CTL_ADD, poller->uv, &event) == 0)
        return 0;
    int error = -errno;
    close(poller->epoll);
    return error;
}

static void close_epoll(weft_poller *poller)
{
    close(poller->epoll);
}

static int ask(weft_poller *poller, const weft_polled *p)
{
    int what = !p->asked ? EPOLL_CTL_ADD : p->wanted ? EPOLL_CTL_MOD : EPOLL_CTL_DEL;
    struct epoll_event event = { .events = bits_of(p->wanted), .data.u64 = (uint64_t)p->number << 32 | (unsigned)p->fd };
    return epoll_ctl(poller->epoll, what, p->fd, &event) < 0 ? -errno : 0;
}

static bool wait_epoll(weft_poller *poller, int timeout)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    bool is_uv_ready = false;
    int count = epoll_wait(poller->epoll, events, EVENTS_AT_ONCE, timeout); /* none if a signal came */
    for (int i = 0; i < count; i++) {
        uint64_t data = events[i].data.u64;
        if (data == of_libuv)
            is_uv_ready = true;
        else
            weft_poller_tell(poller, (unsigned)data, (uint32_t)(data >> 32), events_of(events[i].events),
                             events[i].events & (EPOLLERR | EPOLLHUP));
    }
    return is_uv_ready;
}

const weft_poller_kind weft_poller_epoll = { .open = open_epoll, .close = close_epoll, .ask = ask, .wait = wait_epoll };
#endif
