/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * A library to be loaded before libc: each n-th call of the ones below fails. FAULTY says which, how and how often:
 * "accept4 105 3" lets each third accept4 fail with errno 105 (ENOBUFS). A call that fails has done nothing.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static char name[32];
static int error, every;
static int counts; /* of one thread at a time: it is only a test's */

__attribute__((constructor)) static void read_plan(void)
{
    const char *plan = getenv("FAULTY");
    if (!plan || sscanf(plan, "%31s %d %d", name, &error, &every) != 3)
        every = 0;
}

static int is_socket(int fd)
{
    int type;
    socklen_t size = sizeof type;
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0;
}

static int fails(const char *call, int fd)
{
    if (every == 0 || strcmp(call, name) != 0 || !is_socket(fd) ||
        __atomic_add_fetch(&counts, 1, __ATOMIC_RELAXED) % every != 0)
        return 0;
    errno = error;
    return 1;
}

/* The next one of that name. */
static void find(const char *call, void *ret_function, size_t size)
{
    void *found = dlsym(RTLD_NEXT, call);
    memcpy(ret_function, &found, size);
}

#define DECLARE_REAL(call)                                                                                                     \
    __typeof__(call) *real;                                                                                                    \
    find(#call, &real, sizeof real)

int accept4(int fd, __SOCKADDR_ARG address, socklen_t *size, int flags)
{
    DECLARE_REAL(accept4);
    return fails("accept4", fd) ? -1 : real(fd, address, size, flags);
}

int epoll_ctl(int epoll, int what, int fd, struct epoll_event *event)
{
    DECLARE_REAL(epoll_ctl);
    return fails("epoll_ctl", fd) ? -1 : real(epoll, what, fd, event);
}

ssize_t read(int fd, void *buf, size_t size)
{
    DECLARE_REAL(read);
    return fails("read", fd) ? -1 : real(fd, buf, size);
}

ssize_t recv(int fd, void *buf, size_t size, int flags)
{
    DECLARE_REAL(recv);
    return !(flags & MSG_PEEK) && fails("read", fd) ? -1 : real(fd, buf, size, flags);
}

ssize_t write(int fd, const void *data, size_t size)
{
    DECLARE_REAL(write);
    return fails("write", fd) ? -1 : real(fd, data, size);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    DECLARE_REAL(writev);
    return fails("write", fd) ? -1 : real(fd, parts, count);
}

ssize_t send(int fd, const void *data, size_t size, int flags)
{
    DECLARE_REAL(send);
    return fails("write", fd) ? -1 : real(fd, data, size, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    DECLARE_REAL(sendmsg);
    return fails("write", fd) ? -1 : real(fd, message, flags);
}
