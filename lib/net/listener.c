/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * A listening socket is polled while nothing speaks against it: it is not paused by its owner (`is_paused`) and does not wait
 * for descriptors (`retry` is set). watch() is the one place that watches it, or not, accordingly.
 */
#include "lib/net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <weft/fd.h>
#ifdef __linux__
#include <linux/filter.h>
#endif

#include "lib/base/check.h"
#include "lib/base/memory.h"
#include "lib/net/address.h"
#include "lib/task/poll.h"

#define LISTENER_MAGIC 0x115e4e4u

enum {
    BACKLOG = 4096,
    ACCEPTS_PER_TURN = 64,
    RETRY_AFTER = 100, /* milliseconds */
};

struct weft_listener {
    unsigned magic;
    bool is_paused, is_closed;
    bool is_short; /* descriptors or memory ran out, and nothing has been accepted since: said already */
    bool has_file; /* a unix socket's, with this device and inode */
    int fd;
    dev_t device;
    ino_t inode;
    weft_loop *loop;
    weft_listener_accepted *accepted;
    void *context;
    weft_timer retry;
    uint64_t *shortages; /* NULL: not counted */
    weft_address address;
    weft_polled polled;
};

/* ---- accepting ---- */

static void watch(weft_listener *l)
{
    bool wanted = !l->is_paused && !weft_timer_is_set(&l->retry);
    if (!l->is_closed)
        weft_polled_want(weft_poll_poller(l->loop), &l->polled, wanted ? WEFT_FD_READ : 0);
}

static void retry_later(weft_listener *l)
{
    if (!weft_timer_is_set(&l->retry))
        weft_timer_set(&l->loop->wheel, &l->retry, weft_tick_of(weft_loop_deadline(l->loop, RETRY_AFTER * WEFT_MILLISECOND)));
    watch(l);
}

static void on_retry(weft_timer *timer)
{
    watch(CONTAINER_OF(timer, weft_listener, retry));
}

/* No connection now: says once that something has run out, and pauses. Errors of a single connection, which was aborted
 * before it was accepted, are passed over. */
static bool goes_on(weft_listener *l, int error)
{
    switch (error) {
    case EAGAIN:
#if EWOULDBLOCK != EAGAIN
    case EWOULDBLOCK:
#endif
        return false;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        break;
    case EBADF:
    case EINVAL:
    case ENOTSOCK:
    case EFAULT:
    case EOPNOTSUPP:
        weft_die("accepting: %s", weft_strerror(-error));
    default:
        return true;
    }
    if (!l->is_short) {
        char url[WEFT_LISTENER_URL_MAX];
        weft_log(WEFT_LOG_WARNING, "%s: cannot accept: %s; trying again every %d ms", weft_listener_url(l, url, sizeof url),
                 weft_strerror(-error), RETRY_AFTER);
    }
    l->is_short = true;
    if (l->shortages)
        __atomic_store_n(l->shortages, *l->shortages + 1, __ATOMIC_RELAXED);
    retry_later(l);
    return false;
}

/* At most `most`; returns how many. The callee may pause the listener, which `is_rest` overlooks, or close it: its memory stays
 * until a later turn. */
static int accept_some(weft_listener *l, int most, bool is_rest)
{
    int count = 0;
    bool is_tcp = l->address.sa.any.sa_family != AF_UNIX;
    for (int tries = 0; tries < most && !l->is_closed && (is_rest || !l->is_paused); tries++) {
        int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            l->is_short = false;
            count++;
            l->accepted(l->context, fd, is_tcp);
        } else if (!goes_on(l, errno)) {
            break;
        }
    }
    return count;
}

static bool on_ready(weft_polled *polled, int events)
{
    (void)events; /* what is wrong, accept will tell */
    weft_listener *l = CONTAINER_OF(polled, weft_listener, polled);
    int count = accept_some(l, ACCEPTS_PER_TURN, false);
    watch(l);
    return count > 0;
}

static void on_closed(weft_polled *polled)
{
    weft_mem_free(CONTAINER_OF(polled, weft_listener, polled));
}

static const weft_polled_events polled_events = { .ready = on_ready, .closed = on_closed };

void weft_listener_count_shortages(weft_listener *l, uint64_t *counter)
{
    IS_A(l, LISTENER_MAGIC);
    l->shortages = counter;
}

int weft_listener_accept_rest(weft_listener *l, int most)
{
    IS_A(l, LISTENER_MAGIC);
    return accept_some(l, most, true);
}

void weft_listener_pause(weft_listener *l)
{
    IS_A(l, LISTENER_MAGIC);
    l->is_paused = true;
    watch(l);
}

void weft_listener_resume(weft_listener *l)
{
    IS_A(l, LISTENER_MAGIC);
    l->is_paused = false;
    watch(l);
}

/* ---- the socket ---- */

static int new_socket(int family)
{
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd < 0 ? -errno : fd;
}

/* Returns the socket, or -errno. */
static int bind_tcp(const weft_address *address, bool is_shared)
{
    int fd = new_socket(address->sa.any.sa_family);
    if (fd < 0)
        return fd;
    int on = 1, v6_only = !address->is_everywhere;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
        goto fail;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0) /* those that are accepted have it from here */
        goto fail;
    if (is_shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0)
        goto fail;
    if (address->sa.any.sa_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof v6_only) < 0)
        goto fail;
    if (bind(fd, &address->sa.any, address->size) < 0)
        goto fail;
    if (listen(fd, BACKLOG) < 0) /* here too: the address may be bound by one that listens only now */
        goto fail;
    return fd;

fail:;
    int error = -errno;
    close(fd);
    return error;
}

static bool has_no_ipv6(int error)
{
    return error == -EAFNOSUPPORT || error == -EPROTONOSUPPORT || error == -EADDRNOTAVAIL;
}

static int open_tcp(weft_listener *l, bool is_shared)
{
    int fd = bind_tcp(&l->address, false);
    if (l->address.is_everywhere && has_no_ipv6(fd)) {
        int port = weft_address_port(&l->address);
        l->address.sa.in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY) };
        l->address.size = sizeof l->address.sa.in;
        weft_address_set_port(&l->address, port);
        fd = bind_tcp(&l->address, false);
    }
    if (fd < 0)
        return fd;
    if (weft_address_port(&l->address) == 0)
        getsockname(fd, &l->address.sa.any, &l->address.size);
    if (is_shared) { /* nobody else has it */
        close(fd);
        fd = bind_tcp(&l->address, true);
        if (fd < 0)
            return fd;
    }
    l->fd = fd;
    return 0;
}

/* Is it a socket file that nobody listens on? Then it is removed. */
static bool remove_stale(const weft_address *address)
{
    const char *path = address->sa.un.sun_path;
    struct stat before, after;
    if (lstat(path, &before) < 0 || !S_ISSOCK(before.st_mode))
        return false;
    int fd = new_socket(AF_UNIX);
    if (fd < 0)
        return false;
    bool is_stale = connect(fd, &address->sa.any, address->size) < 0 && errno == ECONNREFUSED;
    close(fd);
    return is_stale && lstat(path, &after) == 0 && after.st_dev == before.st_dev && after.st_ino == before.st_ino &&
           unlink(path) == 0;
}

static bool is_our_file(const weft_listener *l)
{
    struct stat now;
    return l->has_file && lstat(l->address.sa.un.sun_path, &now) == 0 && now.st_dev == l->device && now.st_ino == l->inode;
}

static void remove_file(weft_listener *l)
{
    if (is_our_file(l))
        unlink(l->address.sa.un.sun_path);
    l->has_file = false;
}

static int bind_unix(int fd, const weft_address *address)
{
    return bind(fd, &address->sa.any, address->size) < 0 ? -errno : 0;
}

static int open_unix(weft_listener *l)
{
    l->fd = new_socket(AF_UNIX);
    if (l->fd < 0)
        return l->fd;
    const weft_address *address = &l->address;
    int rc = bind_unix(l->fd, address);
    if (rc == -EADDRINUSE && remove_stale(address))
        rc = bind_unix(l->fd, address);
    struct stat file;
    if (rc == 0 && lstat(address->sa.un.sun_path, &file) == 0) {
        l->has_file = true;
        l->device = file.st_dev;
        l->inode = file.st_ino;
    }
    if (rc == 0 && listen(l->fd, BACKLOG) < 0)
        rc = -errno;
    if (rc == 0)
        return 0;
    remove_file(l);
    close(l->fd);
    return rc;
}

int weft_listener_bar(weft_listener *l)
{
    IS_A(l, LISTENER_MAGIC);
    if (l->address.sa.any.sa_family == AF_UNIX) {
        remove_file(l);
        return 0;
    }
#ifdef SO_ATTACH_FILTER
    /* What is given to a TCP socket's filter begins with the TCP header, whose 14th byte has the flags. Only a SYN without ACK
     * is dropped: the last ACK of a handshake that has begun must come through. */
    enum { FLAGS_AT = 13, SYN = 0x02, SYN_ACK = 0x12 };
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, FLAGS_AT),   BPF_STMT(BPF_ALU | BPF_AND | BPF_K, SYN_ACK),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYN, 0, 1), BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    struct sock_fprog filter = { .len = sizeof program / sizeof program[0], .filter = program };
    return setsockopt(l->fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) < 0 ? -errno : 0;
#else
    return -ENOTSUP;
#endif
}

/* ---- opening and closing ---- */

static weft_listener *new_listener(weft_loop *loop, weft_listener_accepted *accepted, void *context)
{
    weft_listener *l = weft_mem_calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->magic = LISTENER_MAGIC;
    l->loop = loop;
    l->accepted = accepted;
    l->context = context;
    weft_timer_init(&l->retry, on_retry);
    return l;
}

/* Begins to accept on the socket that rc < 0 says could not be had. Takes l over. */
static int begin(weft_listener **ret_listener, weft_listener *l, int rc)
{
    if (rc < 0)
        goto free_listener;
    rc = weft_polled_open(weft_poll_poller(l->loop), &l->polled, l->fd, &polled_events);
    if (rc < 0)
        goto close_socket;
    watch(l);
    *ret_listener = l;
    return 0;

close_socket:
    remove_file(l);
    close(l->fd);
free_listener:
    weft_mem_free(l);
    return rc;
}

static int open_at(weft_listener **ret_listener, weft_listener *l, const char *address, bool is_shared)
{
    if (!l)
        return -ENOMEM;
    int rc = weft_address_parse(&l->address, address);
    if (rc == 0)
        rc = l->address.sa.any.sa_family == AF_UNIX ? open_unix(l) : open_tcp(l, is_shared);
    return begin(ret_listener, l, rc);
}

int weft_listener_open(weft_listener **ret_listener, weft_loop *loop, const char *address, weft_listener_accepted *accepted,
                       void *context)
{
    return open_at(ret_listener, new_listener(loop, accepted, context), address, false);
}

int weft_listener_open_shared(weft_listener **ret_listener, weft_loop *loop, const char *address,
                              weft_listener_accepted *accepted, void *context)
{
    return open_at(ret_listener, new_listener(loop, accepted, context), address, true);
}

int weft_listener_open_beside(weft_listener **ret_listener, weft_loop *loop, const weft_listener *first,
                              weft_listener_accepted *accepted, void *context)
{
    if (first->address.sa.any.sa_family == AF_UNIX)
        return weft_listener_copy(ret_listener, loop, first, accepted, context);
    weft_listener *l = new_listener(loop, accepted, context);
    if (!l)
        return -ENOMEM;
    l->address = first->address;
    l->fd = bind_tcp(&l->address, true);
    return begin(ret_listener, l, l->fd);
}

int weft_listener_copy(weft_listener **ret_listener, weft_loop *loop, const weft_listener *other,
                       weft_listener_accepted *accepted, void *context)
{
    weft_listener *l = new_listener(loop, accepted, context);
    if (!l)
        return -ENOMEM;
    l->address = other->address;
    l->fd = fcntl(other->fd, F_DUPFD_CLOEXEC, 0);
    return begin(ret_listener, l, l->fd < 0 ? -errno : 0);
}

void weft_listener_close(weft_listener *l)
{
    if (!l)
        return;
    IS_A(l, LISTENER_MAGIC);
    l->magic = 0;
    l->is_closed = true;
    weft_timer_clear(&l->retry);
    remove_file(l);
    weft_polled_forget(weft_poll_poller(l->loop), &l->polled); /* other workers may have copies of a unix socket */
    weft_polled_close(weft_poll_poller(l->loop), &l->polled);
}

/* ---- what it is called ---- */

int weft_listener_port(const weft_listener *l)
{
    IS_A(l, LISTENER_MAGIC);
    return weft_address_port(&l->address);
}

const char *weft_listener_url(const weft_listener *l, char *buf, size_t size)
{
    IS_A(l, LISTENER_MAGIC);
    char text[WEFT_LISTENER_URL_MAX];
    weft_address_format(&l->address, text, sizeof text);
    if (l->address.sa.any.sa_family == AF_UNIX)
        snprintf(buf, size, "%s", text);
    else if (l->address.is_everywhere)
        snprintf(buf, size, "http://localhost:%d", weft_address_port(&l->address));
    else
        snprintf(buf, size, "http://%s", text);
    return buf;
}
