/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Waiting for descriptors. What libuv watches for a descriptor is at all times the union of what tasks wait for; with the last
 * of them the watch goes too, for the descriptor may then be closed, and its number be another's.
 */
#include <weft/fd.h>

#include <errno.h>
#include <fcntl.h>

#include "lib/task/poll.h"
#include "lib/task/threads.h"
#include "lib/task/task.h"

struct waiter {
    weft_wait wait;
    weft_list link;
    weft_poll_fd *watched;
    int events;
};

static int union_of(const weft_poll_fd *watched)
{
    int events = 0;
    LIST_EACH (node, &watched->waiters)
        events |= CONTAINER_OF(node, struct waiter, link)->events;
    return events;
}

static void withdraw(weft_wait *wait)
{
    struct waiter *waiter = CONTAINER_OF(wait, struct waiter, wait);
    weft_poll_fd *watched = waiter->watched;
    weft_loop *loop = weft_here;
    int before = union_of(watched);
    weft_list_remove(&waiter->link);
    loop->outside--;
    int left = union_of(watched);
    if (left == 0) {
        loop->fds.slots[watched->fd] = NULL;
        weft_poll_fd_close(watched);
    } else if (left != before) {
        weft_poll_fd_set(watched, left); /* watching less cannot fail */
    }
}

/* A watch that has lost its last waiter is closed, but stays in memory until the loop goes on. */
static void be_ready(weft_poll_fd *watched, int events)
{
    weft_list *node = watched->waiters.next;
    while (node != &watched->waiters) {
        struct waiter *waiter = CONTAINER_OF(node, struct waiter, link);
        node = node->next;
        if (waiter->events & events)
            weft_wait_settle(&waiter->wait, waiter->events & events);
    }
}

/* The watch of fd, made if there is none. */
static int find_watch(weft_loop *loop, int fd, weft_poll_fd **ret_watched)
{
    int rc = weft_fd_table_reserve(&loop->fds, fd);
    if (rc < 0)
        return rc;
    *ret_watched = loop->fds.slots[fd];
    if (*ret_watched)
        return 0;
    rc = weft_poll_fd_open(loop, fd, be_ready, ret_watched);
    if (rc == 0)
        loop->fds.slots[fd] = *ret_watched;
    return rc;
}

static int add_waiter(weft_loop *loop, int fd, struct waiter *waiter)
{
    weft_poll_fd *watched;
    int rc = find_watch(loop, fd, &watched);
    if (rc < 0)
        return rc;
    int before = union_of(watched), all = before | waiter->events;
    rc = all != before ? weft_poll_fd_set(watched, all) : 0;
    if (rc < 0 && before == 0) {
        loop->fds.slots[fd] = NULL;
        weft_poll_fd_close(watched);
    }
    if (rc < 0)
        return rc;
    waiter->watched = watched;
    weft_list_append(&watched->waiters, &waiter->link);
    loop->outside++;
    return 0;
}

int weft_fd_park(int fd, int events, const char *what, const void *on, const void *place)
{
    struct waiter waiter = {
        .wait = { .withdraw = withdraw, .what = what, .on = on, .place = place },
        .events = events,
    };
    int rc = add_waiter(weft_here, fd, &waiter);
    return rc < 0 ? rc : weft_wait_park(&waiter.wait);
}

int weft_fd_wait(int fd, int events)
{
    int rc = weft_wait_check("descriptor");
    if (rc < 0)
        return rc;
    if (events == 0 || (events & ~(WEFT_FD_READ | WEFT_FD_WRITE)))
        return -EINVAL;
    if (fcntl(fd, F_GETFD) < 0) /* before a table has room for whatever number this is */
        return -EBADF;
    return weft_fd_park(fd, events, "descriptor", (void *)(intptr_t)fd, __builtin_return_address(0));
}

void weft_fds_close(weft_loop *loop)
{
    weft_fd_table_free(&loop->fds);
}
