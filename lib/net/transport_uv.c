/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Transports over tcp and unix sockets: one of the doors to libuv.
 *
 * Output that the kernel does not take at once is copied into blocks, a circular list whose tail is handle->data. The first
 * blocks of the list, a batch of at most BATCH, are with libuv as one uv_write; the others wait, and the last of them is
 * filled up before a new one is taken. So a slow peer costs one block and not one request for each small send, a batch goes
 * out by one writev, and libuv's own queue (whose later writes are stuck after one has failed) never holds more than one.
 *
 * Bytes that are lent go to libuv alone and as they lie; blocks that are queued meanwhile wait for them.
 *
 * Our direction is ended by shutdown(2), as soon as the list is empty: uv_shutdown would need a request, which may not be
 * had, and a poll for writability, which is known already.
 */
#include "lib/net/transport.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

#include "lib/base/check.h"
#include "lib/base/memory.h"
#include "lib/net/address.h"
#include "lib/net/net.h"
#include "lib/task/poll.h"

enum { BATCH = 4 }; /* as many buffers as a uv_write_t has room for: more would be allocated */

_Static_assert(sizeof(uv_tcp_t) <= sizeof(((weft_transport *)0)->handle), "a transport has room for a uv_tcp_t");
_Static_assert(sizeof(uv_pipe_t) <= sizeof(((weft_transport *)0)->handle), "a transport has room for a uv_pipe_t");
_Static_assert(sizeof(uv_buf_t) == sizeof(struct iovec) && offsetof(uv_buf_t, base) == offsetof(struct iovec, iov_base) &&
                   offsetof(uv_buf_t, len) == offsetof(struct iovec, iov_len),
               "libuv promises that a uv_buf_t is an iovec");
_Static_assert(sizeof(uv_write_t) <= sizeof(((weft_transport_loan *)0)->request), "a loan has room for a uv_write_t");

struct output {
    struct output *next; /* the last one's is the first */
    size_t size, room;
    size_t batch_size; /* in the first one: bytes with libuv */
    int batch_count;   /* in the first one: blocks with libuv */
    bool is_block;     /* from the loop's pool, else from the heap */
    bool is_sent;      /* with libuv: cannot be filled up */
    uv_write_t request;
    char data[];
};

enum { BLOCK_ROOM = WEFT_NET_BLOCK - sizeof(struct output) };

static weft_transport *transport_of(void *handle)
{
    return CONTAINER_OF(handle, weft_transport, handle);
}

static uv_stream_t *stream_of(const weft_transport *t)
{
    return (uv_stream_t *)(uintptr_t)t->handle;
}

static struct output **tail_of(const weft_transport *t)
{
    return (struct output **)(void *)&stream_of(t)->data;
}

static int fd_of(const weft_transport *t)
{
    uv_os_fd_t fd;
    return uv_fileno((const uv_handle_t *)stream_of(t), &fd) == 0 ? fd : -1;
}

/* ---- reading ---- */

/* `size` as libuv tells it: of input, 0 for none, UV_EOF or another error. */
static void take_input(weft_transport *t, const struct iovec *place, ssize_t size)
{
    if (size > 0) {
        t->took_all = (size_t)size < place->iov_len;
        weft_net_trim_input(t->loop->net, place->iov_base, (size_t)size);
        t->events->input(t, place->iov_base, size);
    } else if (size < 0) {
        if (size == UV_EOF && t->error == -ECONNRESET)
            size = UV_ECONNRESET; /* a write heard of it first: the kernel tells each error once, and then an end */
        if (size != UV_EOF)
            t->error = (int)size;                                /* nothing can be written any more either */
        bool is_end = size == UV_EOF && t->error != -ECONNRESET; /* a reset that a write has been told of reads as an end */
        uv_read_stop(stream_of(t));
        t->is_reading = false;
        t->has_ended = true;
        t->events->input(t, NULL, is_end ? 0 : t->error);
    }
    weft_net_return_input(t->loop->net);
}

static void lend_input(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    (void)suggested;
    struct iovec place = weft_transport_input_place(transport_of(handle));
    *ret_buf = uv_buf_init(place.iov_base, (unsigned)place.iov_len);
}

static void on_read(uv_stream_t *handle, ssize_t size, const uv_buf_t *buf)
{
    const struct iovec place = { buf->base, buf->len };
    take_input(transport_of(handle), &place, size);
}

/* libuv reads by read(2), which goes through the file system's layer, as write(2) does: 6 % more than recv(2) takes. So it is
 * lent nothing for a TCP connection, for which it documents that it calls back at once with UV_ENOBUFS; and then we read. */
static void lend_nothing(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    (void)handle;
    (void)suggested;
    *ret_buf = uv_buf_init(NULL, 0);
}

static ssize_t receive(int fd, const struct iovec *place)
{
    ssize_t size;
    do
        size = recv(fd, place->iov_base, place->iov_len, MSG_DONTWAIT);
    while (size < 0 && errno == EINTR);
    if (size > 0)
        return size;
    return size == 0 ? UV_EOF : errno == EAGAIN ? 0 : -errno;
}

static void on_readable(uv_stream_t *handle, ssize_t why, const uv_buf_t *buf)
{
    enum { READS_AT_ONCE = 32 /* as libuv has it */ };
    weft_transport *t = transport_of(handle);
    (void)buf;
    DCHECK(why == UV_ENOBUFS);
    for (int reads = 0; reads < READS_AT_ONCE && t->is_open && t->is_reading; reads++) {
        struct iovec place = weft_transport_input_place(t);
        ssize_t size = receive(t->fd, &place);
        take_input(t, &place, size);
        if (size < (ssize_t)place.iov_len)
            return;
    }
}

static int read_start(weft_transport *t)
{
    bool is_ours = t->fd >= 0;
    int rc = uv_read_start(stream_of(t), is_ours ? lend_nothing : lend_input, is_ours ? on_readable : on_read);
    t->is_reading = rc == 0;
    return rc;
}

static void read_stop(weft_transport *t)
{
    uv_read_stop(stream_of(t));
    t->is_reading = false;
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
    o->size = o->batch_size = 0;
    o->batch_count = 0;
    o->is_sent = false;
    return o;
}

static void free_output(weft_net *net, struct output *o)
{
    if (o->is_block)
        weft_net_give_block(net, o);
    else
        weft_mem_free(o);
}

static void append_output(weft_transport *t, struct output *o)
{
    struct output **tail = tail_of(t);
    o->next = *tail ? (*tail)->next : o;
    if (*tail)
        (*tail)->next = o;
    *tail = o;
}

static struct output *shift_output(weft_transport *t)
{
    struct output **tail = tail_of(t), *first = (*tail)->next;
    if (first == *tail)
        *tail = NULL;
    else
        (*tail)->next = first->next;
    return first;
}

/* Gives up what is not with libuv: all but the first `keep` blocks. */
static void drop_output(weft_transport *t, int keep)
{
    struct output **tail = tail_of(t);
    if (!*tail)
        return;
    struct output *o = (*tail)->next, *end = *tail;
    struct output *last_kept = NULL;
    for (; keep > 0; keep--, o = o->next)
        last_kept = o;
    if (last_kept == end)
        return;
    for (bool is_end = false; !is_end;) {
        struct output *next = o->next;
        is_end = o == end;
        free_output(t->loop->net, o);
        o = next;
    }
    if (last_kept)
        last_kept->next = o; /* the first one */
    *tail = last_kept;
}

/* ---- sending ---- */

static int end_output(weft_transport *t)
{
    if (shutdown(fd_of(t), SHUT_WR) == 0)
        return 0;
    return -errno;
}

static void on_written(uv_write_t *request, int status);

/* Hands the next batch to libuv. */
static int submit(weft_transport *t)
{
    struct output *tail = *tail_of(t), *first = tail->next;
    uv_buf_t bufs[BATCH];
    int count = 0;
    size_t size = 0;
    for (struct output *o = first; count < BATCH; o = o->next) {
        bufs[count].base = o->data;
        bufs[count].len = o->size;
        o->is_sent = true;
        size += o->size;
        count++;
        if (o == tail)
            break;
    }
    first->batch_count = count;
    first->batch_size = size;
    int rc = uv_write(&first->request, stream_of(t), bufs, (unsigned)count, on_written);
    if (rc < 0)
        first->batch_count = 0;
    return rc;
}

static void fail_output(weft_transport *t, int error)
{
    drop_output(t, 0);
    t->queued = 0;
    t->error = error;
    t->events->drained(t, error);
}

/* libuv is done with `size` bytes that were queued, and has nothing else of this transport's. */
static void go_on(weft_transport *t, size_t size, int status)
{
    if (!t->is_open)
        return;
    t->queued -= size;
    if (status == 0 && *tail_of(t))
        status = submit(t);
    if (status < 0) {
        fail_output(t, status);
        return;
    }
    if (t->queued > 0) {
        weft_transport_say_eased(t);
        return;
    }
    if (t->is_shut)
        end_output(t); /* it can only fail because the connection is broken: reading tells */
    t->events->drained(t, 0);
}

static void on_written(uv_write_t *request, int status)
{
    struct output *first = CONTAINER_OF(request, struct output, request);
    weft_transport *t = transport_of(request->handle);
    size_t size = first->batch_size;
    for (int count = first->batch_count; count > 0; count--)
        free_output(t->loop->net, shift_output(t));
    go_on(t, size, status);
}

static void on_returned(uv_write_t *request, int status)
{
    weft_transport_loan *loan = CONTAINER_OF(request, weft_transport_loan, request);
    weft_transport *t = transport_of(request->handle);
    size_t size = loan->part.iov_len;
    t->has_loan = false;
    loan->returned(loan);
    go_on(t, size, status);
}

/* The same for the first block, from inside a call: nothing is said, the caller is told. */
static int submit_first(weft_transport *t)
{
    int rc = submit(t);
    if (rc == 0)
        return 0;
    drop_output(t, 0);
    t->queued = 0;
    if (rc != -ENOMEM)
        t->error = rc;
    return rc;
}

static int cannot_send(const weft_transport *t)
{
    return t->error ? t->error : t->is_shut ? -EPIPE : 0;
}

/* What uv_try_write does, by the calls for sockets: write(2) and writev(2), which it takes, go through the file system's layer.
 * Of others than TCP some are pipes, to which only those can write. */
static int64_t send_now(const weft_transport *t, const struct iovec *parts, int count)
{
    enum { FLAGS = MSG_DONTWAIT | MSG_NOSIGNAL };
    if (t->fd < 0)
        return uv_try_write(stream_of(t), (const uv_buf_t *)(const void *)parts, (unsigned)count);
    const struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = (size_t)count };
    ssize_t sent;
    do
        sent = count == 1 ? send(t->fd, parts->iov_base, parts->iov_len, FLAGS) : sendmsg(t->fd, &message, FLAGS);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return sent;
    return errno == EWOULDBLOCK || errno == ENOBUFS ? -EAGAIN : -errno; /* the kernel has none left now: later it may have */
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

    struct output *tail = *tail_of(t), *more = NULL;
    size_t here = tail && !tail->is_sent ? tail->room - tail->size : 0;
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
        append_output(t, more);
    }
    t->queued += size;
    return tail || t->has_loan ? 0 : submit_first(t);
}

static int lend(weft_transport *t, weft_transport_loan *loan)
{
    int rc = cannot_send(t);
    if (rc < 0)
        return rc;
    uv_buf_t buf = { .base = loan->part.iov_base, .len = loan->part.iov_len };
    rc = uv_write((uv_write_t *)(void *)loan->request, stream_of(t), &buf, 1, on_returned);
    if (rc < 0) {
        if (rc != -ENOMEM)
            t->error = rc;
        return rc;
    }
    t->has_loan = true;
    t->queued = loan->part.iov_len;
    return 0;
}

static size_t unsent(const weft_transport *t)
{
    const struct output *tail = *tail_of(t);
    size_t with_libuv = uv_stream_get_write_queue_size(stream_of(t));
    if (!t->has_loan)
        return tail ? t->queued - tail->next->batch_size + with_libuv : 0;
    for (const struct output *o = tail; o; o = o->next == tail ? NULL : o->next)
        with_libuv += o->size; /* waits behind the loan */
    return with_libuv;
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

static void on_closed(uv_handle_t *handle)
{
    weft_transport *t = transport_of(handle);
    DCHECK(!*tail_of(t)); /* libuv has called on_written before */
    t->events->closed(t);
}

static void close_handle(weft_transport *t, bool resets)
{
    t->is_open = t->is_reading = false;
    t->fd = -1; /* its number may soon be another's */
    t->queued = 0;
    struct output *tail = *tail_of(t);
    drop_output(t, tail ? tail->next->batch_count : 0);
    if (resets && t->is_tcp && uv_tcp_close_reset((uv_tcp_t *)(void *)t->handle, on_closed) == 0)
        return;
    uv_close((uv_handle_t *)(void *)t->handle, on_closed);
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

static const weft_transport_ops uv_ops = {
    .is_outside = true,
    .read_start = read_start,
    .read_stop = read_stop,
    .try_send = try_send,
    .queue = queue,
    .lend = lend,
    .unsent = unsent,
    .has_unread = has_unread,
    .shutdown = end_direction,
    .close = close_handle,
    .peer = peer,
};

static void init(weft_transport *t, weft_loop *loop, bool is_tcp, const weft_transport_events *events)
{
    t->ops = &uv_ops;
    t->events = events;
    t->loop = loop;
    t->queued = 0;
    t->error = 0;
    t->is_open = true;
    t->is_tcp = is_tcp;
    t->fd = -1;
    t->is_reading = t->took_all = t->has_ended = t->is_shut = t->has_loan = false;
    uv_loop_t *uv = weft_poll_uv(loop);
    if (is_tcp)
        CHECK(uv_tcp_init(uv, (uv_tcp_t *)(void *)t->handle) == 0);
    else
        CHECK(uv_pipe_init(uv, (uv_pipe_t *)(void *)t->handle, 0) == 0);
    *tail_of(t) = NULL;
}

/* A libuv handle can only be given up by closing it, which takes a turn: so all that can go wrong is tried before one is made,
 * and what is left (a descriptor that is watched already) is a mistake of ours. */
int weft_transport_open_fd(weft_transport *t, weft_loop *loop, int fd, bool is_tcp, const weft_transport_events *events)
{
    t->is_open = false;
    if (!weft_net_of(loop))
        return -ENOMEM;
    if (!is_tcp && fcntl(fd, F_GETFL) < 0)
        return -errno;
    init(t, loop, is_tcp, events);
    if (is_tcp)
        CHECK(uv_tcp_open((uv_tcp_t *)(void *)t->handle, fd) == 0);
    else
        CHECK(uv_pipe_open((uv_pipe_t *)(void *)t->handle, fd) == 0);
    t->fd = is_tcp ? fd : -1;
    return 0;
}

static void on_connected(uv_connect_t *request, int status)
{
    weft_transport *t = transport_of(request->handle);
    weft_mem_free(request);
    if (t->is_tcp && status == 0)
        t->fd = fd_of(t);
    if (t->is_open)
        t->events->connected(t, status);
}

int weft_transport_connect(weft_transport *t, weft_loop *loop, const struct weft_address *address,
                           const weft_transport_events *events)
{
    t->is_open = false;
    if (!weft_net_of(loop))
        return -ENOMEM;
    uv_connect_t *request = weft_mem_alloc(sizeof *request);
    if (!request)
        return -ENOMEM;
    bool is_tcp = address->sa.any.sa_family != AF_UNIX;
    init(t, loop, is_tcp, events);
    if (!is_tcp) {
        uv_pipe_connect(request, (uv_pipe_t *)(void *)t->handle, address->sa.un.sun_path, on_connected);
        return 0;
    }
    uv_tcp_t *tcp = (uv_tcp_t *)(void *)t->handle;
    uv_tcp_nodelay(tcp, 1); /* there is no socket yet: noted for when there is */
    int rc = uv_tcp_connect(request, tcp, &address->sa.any, on_connected);
    if (rc < 0)
        weft_mem_free(request);
    return rc;
}
