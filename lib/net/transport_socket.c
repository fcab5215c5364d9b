/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Transports over tcp and unix sockets, and pipes, which the loop's poller watches.
 *
 * Output that the kernel does not take at once is copied into blocks, a circular list whose tail the transport knows; the last
 * of them is filled up before a new one is taken, and a batch of them goes out by one call. So a slow peer costs one block and
 * not one for each small send. Bytes that are lent go as they lie, before the blocks that are queued meanwhile.
 *
 * Our direction is ended by shutdown(2), as soon as all has been sent; what is the last waits for that in the kernel
 * (MSG_MORE), so that the end goes with it: a segment less each way, which is a sixth of a connection for one request.
 */
#include "lib/net/transport.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <weft/fd.h>

#include "lib/base/check.h"
#include "lib/base/memory.h"
#include "lib/net/address.h"
#include "lib/net/net.h"
#include "lib/task/poll.h"

#ifndef MSG_MORE
#define MSG_MORE 0
#endif

enum {
    READS_AT_ONCE = 32, /* of 64 KiB, before others have their turn */
    WRITES_AT_ONCE = 4,
    BATCH = 16, /* blocks of one write */
};

struct output {
    struct output *next; /* the last one's is the first */
    size_t size, room;
    size_t sent;   /* of the first one */
    bool is_block; /* from the loop's pool, else from the heap */
    char data[];
};

enum { BLOCK_ROOM = WEFT_NET_BLOCK - sizeof(struct output) };

/* What lies in a transport's handle. */
struct wire {
    weft_polled polled;
    struct output *tail;
    weft_transport_loan *loan; /* on its way */
};

_Static_assert(sizeof(struct wire) <= sizeof(((weft_transport *)0)->handle), "a transport has room for it");

static struct wire *wire_of(const weft_transport *t)
{
    return (struct wire *)(uintptr_t)t->handle;
}

static weft_transport *transport_of(weft_polled *polled)
{
    return CONTAINER_OF(CONTAINER_OF(polled, struct wire, polled), weft_transport, handle);
}

static int fd_of(const weft_transport *t)
{
    return wire_of(t)->polled.fd;
}

static void want(weft_transport *t)
{
    struct wire *w = wire_of(t);
    bool has_output = w->tail || w->loan || t->is_connecting;
    weft_polled_want(weft_poll_poller(t->loop), &w->polled,
                     (t->is_reading ? WEFT_FD_READ : 0) | (has_output ? WEFT_FD_WRITE : 0));
}

/* ---- reading ---- */

/* It has ended (0), or is broken. */
static void end_input(weft_transport *t, int error)
{
    if (error == 0 && t->error == -ECONNRESET)
        error = -ECONNRESET; /* a write heard of it first: the kernel tells each error once, and then an end */
    if (error < 0)
        t->error = error; /* nothing can be written any more either */
    t->is_reading = false;
    t->has_ended = true;
    want(t);
    t->events->input(t, NULL, error);
}

/* recv(2) and send(2) where that can be: read(2) and write(2) go through the file system's layer, and cost 6 % more. */
static ssize_t receive(const weft_transport *t, const struct iovec *place)
{
    ssize_t size;
    do
        size = t->is_socket ? recv(fd_of(t), place->iov_base, place->iov_len, MSG_DONTWAIT)
                            : read(fd_of(t), place->iov_base, place->iov_len);
    while (size < 0 && errno == EINTR);
    return size >= 0 ? size : errno == EWOULDBLOCK ? -EAGAIN : -errno;
}

/* Was there anything? */
static bool read_ready(weft_transport *t)
{
    bool any = false, is_more = true;
    for (int calls = 0; is_more && calls < READS_AT_ONCE && t->is_open && t->is_reading; calls++) {
        struct iovec place = weft_transport_input_place(t);
        ssize_t size = receive(t, &place);
        any = any || size != -EAGAIN;
        is_more = size == (ssize_t)place.iov_len;
        if (size > 0) {
            t->took_all = !is_more;
            weft_net_trim_input(t->loop->net, place.iov_base, (size_t)size);
            t->events->input(t, place.iov_base, size);
        } else if (size != -EAGAIN) {
            end_input(t, (int)size);
        }
        weft_net_return_input(t->loop->net);
    }
    return any;
}

static int read_start(weft_transport *t)
{
    t->is_reading = true;
    want(t);
    return 0;
}

static void read_stop(weft_transport *t)
{
    t->is_reading = false;
    want(t);
}

/* ---- the list of output ---- */

static struct output *new_output(weft_net *net, size_t size)
{
    bool is_block = size <= BLOCK_ROOM;
    struct output *o = is_block ? weft_net_take_block(net) : weft_mem_alloc(sizeof *o + size);
    if (!o)
        return NULL;
    o->is_block = is_block;
    o->room = is_block ? BLOCK_ROOM : size;
    o->size = o->sent = 0;
    return o;
}

static void free_output(weft_net *net, struct output *o)
{
    if (o->is_block)
        weft_net_give_block(net, o);
    else
        weft_mem_free(o);
}

static void append_output(struct wire *w, struct output *o)
{
    o->next = w->tail ? w->tail->next : o;
    if (w->tail)
        w->tail->next = o;
    w->tail = o;
}

static void free_first_output(weft_net *net, struct wire *w)
{
    struct output *first = w->tail->next;
    if (first == w->tail)
        w->tail = NULL;
    else
        w->tail->next = first->next;
    free_output(net, first);
}

static void drop_output(weft_transport *t)
{
    struct wire *w = wire_of(t);
    while (w->tail)
        free_first_output(t->loop->net, w);
    t->queued = 0;
}

static void return_loan(struct wire *w)
{
    weft_transport_loan *loan = w->loan;
    w->loan = NULL;
    if (loan)
        loan->returned(loan);
}

/* ---- sending ---- */

static int end_output(const weft_transport *t)
{
    return shutdown(fd_of(t), SHUT_WR) < 0 ? -errno : 0;
}

/* What the kernel takes now; -EAGAIN for nothing, or another -errno. */
static ssize_t send_now(const weft_transport *t, const struct iovec *parts, int count)
{
    const int flags = MSG_DONTWAIT | MSG_NOSIGNAL | (t->is_last ? MSG_MORE : 0);
    const struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = (size_t)count };
    ssize_t sent;
    do
        sent = !t->is_socket ? writev(fd_of(t), parts, count)
               : count == 1  ? send(fd_of(t), parts->iov_base, parts->iov_len, flags)
                             : sendmsg(fd_of(t), &message, flags);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return sent;
    return errno == EWOULDBLOCK || errno == ENOBUFS ? -EAGAIN : -errno; /* the kernel has none left now: later it may have */
}

/* What is first in the queue: the loan, or a batch of blocks. Returns the count of parts. */
static int first_parts(const struct wire *w, struct iovec parts[BATCH])
{
    if (w->loan) {
        parts[0] = (struct iovec){ (char *)w->loan->part.iov_base + w->loan->sent, w->loan->part.iov_len - w->loan->sent };
        return 1;
    }
    int count = 0;
    for (struct output *o = w->tail->next; count < BATCH; o = o->next) {
        parts[count++] = (struct iovec){ o->data + o->sent, o->size - o->sent };
        if (o == w->tail)
            break;
    }
    return count;
}

/* So many bytes of what is first have gone. */
static void take_sent(weft_transport *t, size_t size)
{
    struct wire *w = wire_of(t);
    t->queued -= size;
    if (w->loan) {
        w->loan->sent += size;
        if (w->loan->sent == w->loan->part.iov_len)
            return_loan(w);
        return;
    }
    while (size > 0) {
        struct output *first = w->tail->next;
        size_t here = first->size - first->sent;
        if (here > size)
            here = size;
        first->sent += here;
        size -= here;
        if (first->sent == first->size)
            free_first_output(t->loop->net, w);
    }
}

/* Sends what is queued, as far as it goes: 0 or -errno. */
static int send_queued(weft_transport *t)
{
    struct iovec parts[BATCH];
    for (int calls = 0; calls < WRITES_AT_ONCE && t->queued > 0; calls++) {
        int count = first_parts(wire_of(t), parts);
        size_t size = 0;
        for (int i = 0; i < count; i++)
            size += parts[i].iov_len;
        ssize_t sent = send_now(t, parts, count);
        if (sent < 0)
            return sent == -EAGAIN ? 0 : (int)sent;
        take_sent(t, (size_t)sent);
        if ((size_t)sent < size)
            break;
    }
    return 0;
}

/* The owner is told last, for it may close it. */
static void write_ready(weft_transport *t)
{
    size_t before = t->queued;
    int rc = send_queued(t);
    if (rc < 0) {
        drop_output(t);
        return_loan(wire_of(t));
        t->error = rc;
    }
    want(t);
    if (t->queued > 0) {
        if (t->queued < before)
            weft_transport_say_eased(t);
        return;
    }
    if (rc == 0 && t->is_shut)
        end_output(t); /* it can only fail because the connection is broken: reading tells */
    t->events->drained(t, rc);
}

/* False if it is too soon to tell, as it can be where the poller only tries. */
static bool finish_connecting(weft_transport *t)
{
    weft_address address = { .size = sizeof address.sa };
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(fd_of(t), SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        error = errno;
    if (error == 0 && getpeername(fd_of(t), &address.sa.any, &address.size) < 0 && errno == ENOTCONN)
        return false;
    t->is_connecting = false;
    want(t);
    t->events->connected(t, -error);
    return true;
}

static bool on_ready(weft_polled *polled, int events)
{
    weft_transport *t = transport_of(polled);
    if (t->is_connecting)
        return finish_connecting(t);
    bool any = (events & WEFT_FD_READ) && read_ready(t);
    if (!(events & WEFT_FD_WRITE) || !t->is_open || t->queued == 0)
        return any;
    write_ready(t);
    return true;
}

static int cannot_send(const weft_transport *t)
{
    return t->error ? t->error : t->is_shut ? -EPIPE : t->is_open ? 0 : -EBADF;
}

static int64_t try_send(weft_transport *t, const struct iovec *parts, int count)
{
    int rc = cannot_send(t);
    if (rc < 0)
        return rc;
    if (t->queued > 0)
        return -EAGAIN;
    int64_t sent = send_now(t, parts, count);
    if (sent < 0 && sent != -EAGAIN && sent != -ENOMEM)
        t->error = (int)sent;
    return sent;
}

/* Copies up to `size` bytes to `to` from the parts, of which *at and *skip tell the present place. */
static void gather(char *to, size_t size, const struct iovec **at, size_t *skip)
{
    while (size > 0) {
        size_t here = (*at)->iov_len - *skip;
        if (here > size)
            here = size;
        if (here > 0)
            memcpy(to, (const char *)(*at)->iov_base + *skip, here);
        to += here;
        size -= here;
        *skip += here;
        if (*skip == (*at)->iov_len) {
            (*at)++;
            *skip = 0;
        }
    }
}

static int queue(weft_transport *t, const struct iovec *parts, int count, size_t skip)
{
    int rc = cannot_send(t);
    if (rc < 0)
        return rc;
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += parts[i].iov_len;
    DCHECK(skip <= size);
    size -= skip;
    if (size == 0)
        return 0;
    for (; skip >= parts->iov_len; parts++)
        skip -= parts->iov_len;

    struct wire *w = wire_of(t);
    struct output *tail = w->tail, *more = NULL;
    size_t here = tail ? tail->room - tail->size : 0;
    if (here > size)
        here = size;
    if (size > here) {
        more = new_output(t->loop->net, size - here);
        if (!more)
            return -ENOMEM;
    }
    if (here > 0) {
        gather(tail->data + tail->size, here, &parts, &skip);
        tail->size += here;
    }
    if (more) {
        more->size = size - here;
        gather(more->data, more->size, &parts, &skip);
        append_output(w, more);
    }
    t->queued += size;
    want(t);
    return 0;
}

static int lend(weft_transport *t, weft_transport_loan *loan)
{
    int rc = cannot_send(t);
    if (rc < 0)
        return rc;
    loan->sent = 0;
    wire_of(t)->loan = loan;
    t->queued = loan->part.iov_len;
    want(t);
    return 0;
}

static size_t unsent(const weft_transport *t)
{
    return t->queued;
}

static bool has_unread(const weft_transport *t)
{
    char byte;
    return recv(fd_of(t), &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static int end_direction(weft_transport *t)
{
    if (t->is_shut)
        return 0;
    if (t->error)
        return -ENOTCONN;
    t->is_shut = true;
    return t->queued ? 0 : end_output(t);
}

/* ---- opening and closing ---- */

static void on_closed(weft_polled *polled)
{
    weft_transport *t = transport_of(polled);
    return_loan(wire_of(t));
    t->events->closed(t);
}

static const weft_polled_events polled_events = { .ready = on_ready, .closed = on_closed };

static void close_wire(weft_transport *t, bool resets)
{
    struct wire *w = wire_of(t);
    t->is_open = t->is_reading = t->is_connecting = false;
    drop_output(t);
    if (resets && t->is_tcp)
        setsockopt(w->polled.fd, SOL_SOCKET, SO_LINGER, &(struct linger){ .l_onoff = 1 }, sizeof(struct linger));
    weft_polled_close(weft_poll_poller(t->loop), &w->polled);
}

static const char *peer(const weft_transport *t, char *buf, size_t size)
{
    weft_address address = { .size = sizeof address.sa };
    if (!t->is_tcp)
        snprintf(buf, size, "unix");
    else if (getpeername(fd_of(t), &address.sa.any, &address.size) == 0)
        weft_address_format(&address, buf, size);
    else
        snprintf(buf, size, "unknown"); /* it has gone */
    return buf;
}

static const weft_transport_ops socket_ops = {
    .is_outside = true,
    .read_start = read_start,
    .read_stop = read_stop,
    .try_send = try_send,
    .queue = queue,
    .lend = lend,
    .unsent = unsent,
    .has_unread = has_unread,
    .shutdown = end_direction,
    .close = close_wire,
    .peer = peer,
};

/* 0, or -ENOMEM: then fd is still the caller's. */
static int init(weft_transport *t, weft_loop *loop, int fd, bool is_tcp, const weft_transport_events *events)
{
    struct wire *w = wire_of(t);
    int rc = weft_polled_open(weft_poll_poller(loop), &w->polled, fd, &polled_events);
    if (rc < 0)
        return rc;
    w->tail = NULL;
    w->loan = NULL;
    t->ops = &socket_ops;
    t->events = events;
    t->loop = loop;
    t->queued = 0;
    t->error = 0;
    t->is_open = true;
    t->is_tcp = t->is_socket = is_tcp;
    t->is_reading = t->took_all = t->has_ended = t->is_shut = t->is_last = t->is_connecting = false;
    return 0;
}

int weft_transport_open_fd(weft_transport *t, weft_loop *loop, int fd, bool is_tcp, const weft_transport_events *events)
{
    struct stat what;
    t->is_open = false;
    if (!weft_net_of(loop))
        return -ENOMEM;
    if (!is_tcp && fstat(fd, &what) < 0)
        return -errno;
    int rc = init(t, loop, fd, is_tcp, events);
    if (rc < 0)
        return rc;
    t->is_socket = is_tcp || S_ISSOCK(what.st_mode);
    wire_of(t)->polled.is_new = t->is_socket;
    return 0;
}

int weft_transport_connect(weft_transport *t, weft_loop *loop, const struct weft_address *address,
                           const weft_transport_events *events)
{
    int on = 1, family = address->sa.any.sa_family;
    bool is_tcp = family != AF_UNIX;
    t->is_open = false;
    if (!weft_net_of(loop))
        return -ENOMEM;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (is_tcp)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    int rc = weft_poller_make_room(weft_poll_poller(loop), fd);
    if (rc == 0 && connect(fd, &address->sa.any, address->size) < 0 && errno != EINPROGRESS && errno != EINTR)
        rc = -errno;
    if (rc < 0) {
        close(fd);
        return rc;
    }
    CHECK(init(t, loop, fd, is_tcp, events) == 0);
    t->is_socket = t->is_connecting = true;
    want(t);
    return 0;
}
