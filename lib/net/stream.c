/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Streams: the waiting calls over a transport.
 *
 * Reading is turned on by the first read and stays on, so that a conversation costs no epoll_ctl for each message, until
 * AHEAD_MOST bytes have been read ahead; it goes on below AHEAD_LOW. Input goes straight to the task that reads, as far as it
 * has room, and else to the store: so a read that is cut short has taken nothing, and one that was given bytes before it was
 * cut returns them.
 *
 * A write returns when the kernel (or the pair's buffer) has taken all of it, so a close after it loses nothing. Meanwhile at
 * most QUEUE_MOST bytes are queued as a copy; when the write is cut, those still go, and the next write waits for them first.
 *
 *     who wakes what:  input ──> reader     drained ──> writer     connected ──> connecter     close ──> all, WEFT_ECLOSED
 *
 * The object lives until its transport is closed and no task is between its wake-up and its next step (`users`): such a task
 * has been settled already, and a close in between must not take the object away from under it.
 */
#include <weft/stream.h>

#include <errno.h>
#include <string.h>

#include "lib/base/check.h"
#include "lib/base/memory.h"
#include "lib/net/address.h"
#include "lib/net/names.h"
#include "lib/net/net.h"
#include "lib/net/stream.h"
#include "lib/net/tls.h"
#include "lib/net/transport.h"
#include "lib/task/debug.h"
#include "lib/task/wait.h"

#define STREAM_MAGIC 0x57e4757eu

enum {
    AHEAD_MOST = 64 * 1024,
    AHEAD_LOW = AHEAD_MOST / 2,
    QUEUE_MOST = 64 * 1024,
    STORE_MIN = 4 * 1024, /* also the store that an idle stream may keep */
    PAIR_DEFAULT = 64 * 1024,
    PAIR_MOST = 16 * 1024 * 1024,
};

struct weft_stream {
    unsigned magic;
    bool is_closed;  /* by weft_stream_close */
    bool is_writing; /* a task is inside weft_stream_write */
    bool has_ended;  /* the end of input came, or `error` did; what is stored is read first */
    int error;       /* of the input: 0 for an orderly end */
    int users;
    struct reader *reader; /* parked, or NULL */
    weft_wait *writer;     /* parked: until the queue is empty; or NULL */
    weft_wait *connecter;  /* parked, or NULL */
    char *store;           /* read ahead: `stored` bytes from `at` on */
    size_t at, stored, room;
    char *line; /* that was told last, with room for `line_room` bytes */
    size_t line_room;
    weft_list link; /* in the loop's list of open streams */
    weft_transport transport;
};

struct reader {
    weft_wait wait;
    char *buf;
    size_t size;
};

/* ---- waiting ---- */

static weft_stream *stream_of(weft_transport *t)
{
    return CONTAINER_OF(t, weft_stream, transport);
}

static void withdraw(weft_wait *wait)
{
    weft_stream *s = (weft_stream *)(uintptr_t)wait->on;
    if (s->reader && wait == &s->reader->wait)
        s->reader = NULL;
    else if (wait == s->writer)
        s->writer = NULL;
    else if (wait == s->connecter)
        s->connecter = NULL;
    s->transport.loop->outside -= s->transport.ops->is_outside;
}

static int park(weft_stream *s, weft_wait *wait)
{
    s->transport.loop->outside += s->transport.ops->is_outside;
    return weft_wait_park(wait);
}

static void settle_all(weft_stream *s, int result)
{
    if (s->reader)
        weft_wait_settle(&s->reader->wait, result);
    if (s->writer)
        weft_wait_settle(s->writer, result);
    if (s->connecter)
        weft_wait_settle(s->connecter, result);
}

/* ---- the store ---- */

static bool store(weft_stream *s, const char *data, size_t size)
{
    if (s->room - s->at - s->stored < size) {
        size_t room = STORE_MIN;
        while (room < s->stored + size)
            room *= 2;
        char *grown = weft_mem_alloc(room);
        if (!grown)
            return false;
        if (s->stored > 0)
            memcpy(grown, s->store + s->at, s->stored);
        weft_mem_free(s->store);
        s->store = grown;
        s->at = 0;
        s->room = room;
    }
    memcpy(s->store + s->at + s->stored, data, size);
    s->stored += size;
    return true;
}

static size_t take_stored(weft_stream *s, char *buf, size_t size)
{
    if (size > s->stored)
        size = s->stored;
    memcpy(buf, s->store + s->at, size);
    s->at += size;
    s->stored -= size;
    if (s->stored > 0)
        return size;
    s->at = 0;
    if (s->room > STORE_MIN) {
        weft_mem_free(s->store);
        s->store = NULL;
        s->room = 0;
    }
    return size;
}

/* ---- events of the transport ---- */

static void fail_input(weft_stream *s, int error)
{
    weft_transport_read_stop(&s->transport);
    s->has_ended = true;
    s->error = error;
}

static void on_input(weft_transport *t, char *data, int64_t size)
{
    weft_stream *s = stream_of(t);
    struct reader *reader = s->reader;
    if (size <= 0) {
        fail_input(s, (int)size);
        if (size < 0)
            settle_all(s, (int)size); /* a writer too: it is broken in both directions */
        else if (reader)
            weft_wait_settle(&reader->wait, 0);
        return;
    }
    size_t left = (size_t)size;
    if (reader) {
        size_t taken = left < reader->size ? left : reader->size;
        memcpy(reader->buf, data, taken);
        data += taken;
        left -= taken;
        weft_wait_settle(&reader->wait, (int)taken);
    }
    if (left > 0 && !store(s, data, left))
        fail_input(s, -ENOMEM); /* bytes are lost: what follows them would be wrong */
    if (s->stored >= AHEAD_MOST)
        weft_transport_read_stop(t);
}

static void on_drained(weft_transport *t, int error)
{
    weft_stream *s = stream_of(t);
    if (s->writer)
        weft_wait_settle(s->writer, error);
}

static void on_connected(weft_transport *t, int error)
{
    weft_stream *s = stream_of(t);
    if (s->connecter)
        weft_wait_settle(s->connecter, error);
}

static void free_stream(weft_stream *s)
{
    weft_list_unlink(&s->link);
    weft_mem_free(s->store);
    weft_mem_free(s->line);
    weft_mem_free(s);
}

/* Also at the end of a call that was woken by something else than the close. */
static void free_if_unused(weft_stream *s)
{
    if (s->magic == 0 && s->users == 0)
        free_stream(s);
}

static void on_closed(weft_transport *t)
{
    weft_stream *s = stream_of(t);
    s->magic = 0;
    free_if_unused(s);
}

static const weft_transport_events stream_events = {
    .input = on_input,
    .drained = on_drained,
    .closed = on_closed,
    .connected = on_connected,
};

/* ---- opening and closing ---- */

static weft_stream *new_stream(weft_net *net)
{
    weft_stream *s = weft_mem_calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->magic = STREAM_MAGIC;
    weft_list_append(&net->streams, &s->link);
    return s;
}

static void check_stream(const weft_stream *s)
{
    IS_A(s, STREAM_MAGIC);
    if (UNLIKELY(s->is_closed))
        weft_misuse_die("use of a stream that has been closed");
    if (UNLIKELY(s->transport.loop != weft_here))
        weft_misuse_die("use of a stream of another loop");
}

void weft_stream_close(weft_stream *s)
{
    if (!s)
        return;
    check_stream(s);
    weft_debug_gone(s);
    s->is_closed = true;
    settle_all(s, WEFT_ECLOSED);
    weft_transport_close(&s->transport, false);
}

void weft_stream_drop(weft_stream **s)
{
    weft_stream_close(*s);
}

void weft_net_close_streams(weft_net *net)
{
    size_t count = 0;
    LIST_EACH (link, &net->streams) {
        weft_stream *s = CONTAINER_OF(link, weft_stream, link);
        if (s->is_closed)
            continue;
        weft_stream_close(s);
        count++;
    }
    if (count > 0)
        weft_log(WEFT_LOG_WARNING, "%zu streams were left open at the end of the loop: weft_stream_close is missing", count);
}

int weft_stream_pair_(weft_stream **ret_a, weft_stream **ret_b, size_t capacity, const char *file, int line)
{
    if (!weft_here) {
        weft_misuse("a pair of streams outside a loop");
        return -EPERM;
    }
    if (capacity > PAIR_MOST)
        return -EINVAL;
    weft_net *net = weft_net_of(weft_here);
    weft_stream *a = net ? new_stream(net) : NULL;
    if (!a)
        return -ENOMEM;
    weft_stream *b = new_stream(net);
    if (!b)
        goto free_a;
    int rc = weft_transport_open_pair(&a->transport, &b->transport, weft_here, capacity ? capacity : PAIR_DEFAULT,
                                      &stream_events, &stream_events);
    if (rc < 0)
        goto free_b;
    weft_debug_made(a, "a stream", file, line);
    weft_debug_made(b, "a stream", file, line);
    *ret_a = a;
    *ret_b = b;
    return 0;

free_b:
    free_stream(b);
free_a:
    free_stream(a);
    return -ENOMEM;
}

int weft_stream_open_fd(weft_stream **ret_stream, int fd)
{
    weft_net *net = weft_net_of(weft_here);
    weft_stream *s = net ? new_stream(net) : NULL;
    if (!s)
        return -ENOMEM;
    int rc = weft_transport_open_fd(&s->transport, weft_here, fd, false, &stream_events);
    if (rc < 0)
        free_stream(s);
    else
        *ret_stream = s;
    return rc;
}

static bool is_a_place(const weft_address *address)
{
    return address->sa.any.sa_family == AF_UNIX || (!address->is_everywhere && weft_address_port(address) > 0);
}

/* With `tls` by TLS. 0, or -errno: then the stream's transport may have to be closed. */
static int begin_to_connect(weft_stream *s, const weft_address *address, const struct weft_tls_wrap_options *tls)
{
    if (!tls)
        return weft_transport_connect(&s->transport, weft_here, address, &stream_events);
    int rc = weft_tls_wrap(&s->transport, weft_here, &stream_events, tls);
    if (rc < 0)
        return rc;
    weft_transport *inner = weft_tls_inner(&s->transport);
    rc = weft_transport_connect(inner, weft_here, address, &weft_tls_inner_events);
    if (inner->is_open)
        weft_tls_start(&s->transport, true);
    else
        weft_tls_abandon(&s->transport);
    return rc;
}

static int connect_to(weft_stream **ret_stream, const weft_address *address, const struct weft_tls_wrap_options *tls,
                      const char *file, int line)
{
    weft_net *net = weft_net_of(weft_here);
    weft_stream *s = net ? new_stream(net) : NULL;
    if (!s)
        return -ENOMEM;
    int rc = begin_to_connect(s, address, tls);
    if (rc < 0 && !s->transport.is_open) {
        free_stream(s);
        return rc;
    }
    if (rc == 0) {
        weft_wait wait = WEFT_WAIT("connect", s, withdraw);
        s->connecter = &wait;
        rc = park(s, &wait);
    }
    if (rc == WEFT_ECERTIFICATE)
        rc = weft_fail(rc, "the certificate of %s: %s", tls->name, weft_tls_verdict(&s->transport));
    if (rc < 0) {
        weft_stream_close(s);
        return rc;
    }
    weft_debug_made(s, "a stream", file, line);
    *ret_stream = s;
    return 0;
}

/* Where to connect to, and by which name. */
struct target {
    char name[WEFT_ADDRESS_NAME_SIZE]; /* of a host, or its number; "" of a unix socket */
    int count;
    weft_address addresses[WEFT_NAMES_FOUND_MOST];
};

/* Looks up a host's name, if it is one. */
static int find_target(struct target *target, const char *text)
{
    int port, rc = weft_address_parse(&target->addresses[0], text);
    bool is_named = weft_address_split_name(text, target->name, &port) == 0;
    if (rc < 0 && is_named)
        rc = weft_names_look_up(target->name, port, target->addresses);
    else if (rc == 0 && !is_a_place(&target->addresses[0]))
        rc = -EINVAL;
    if (rc < 0)
        return rc;
    target->count = rc > 0 ? rc : 1;
    if (!is_named && weft_address_host(&target->addresses[0], target->name, sizeof target->name) < 0)
        target->name[0] = '\0';
    return 0;
}

/* It could not be reached there, which says nothing of its other addresses. */
static bool may_try_next(int rc)
{
    return rc < 0 && rc > -4000 && rc != -ENOMEM;
}

/* One address after the other; the last error is the one that is told. */
static int connect_to_target(weft_stream **ret_stream, const struct target *target, const struct weft_tls_wrap_options *tls,
                             const char *file, int line)
{
    int rc = connect_to(ret_stream, &target->addresses[0], tls, file, line);
    for (int i = 1; i < target->count && may_try_next(rc); i++)
        rc = connect_to(ret_stream, &target->addresses[i], tls, file, line);
    return rc;
}

int weft_connect_(weft_stream **ret_stream, const char *text, const char *file, int line)
{
    struct target target;
    int rc = weft_wait_check("connect");
    if (rc == 0)
        rc = find_target(&target, text);
    return rc < 0 ? rc : connect_to_target(ret_stream, &target, NULL, file, line);
}

int weft_tls_connect_with(weft_stream **ret_stream, const char *text, const weft_tls_connect_options *given)
{
    weft_tls_connect_options o = { 0 };
    memcpy(&o, given, given->struct_size < sizeof o ? given->struct_size : sizeof o);
    struct target target;
    int rc = weft_wait_check("connect");
    if (rc == 0)
        rc = find_target(&target, text);
    if (rc == 0 && !o.name) {
        o.name = target.name;
        rc = target.name[0] ? 0 : -EINVAL;
    }
    if (rc == 0 && !o.context)
        rc = weft_tls_default_client(weft_here, &o.context);
    if (rc < 0)
        return rc;
    struct weft_tls_wrap_options tls = { .context = o.context, .name = o.name, .alpn = o.alpn, .timeout = o.timeout };
    return connect_to_target(ret_stream, &target, &tls, o.file, o.line);
}

/* ---- reading ---- */

int64_t weft_stream_read(weft_stream *s, void *buf, size_t size)
{
    int rc = weft_wait_check("stream read");
    if (rc < 0)
        return rc;
    check_stream(s);
    if (s->reader)
        return -EBUSY;
    if (size == 0)
        return -EINVAL;
    size_t taken = s->stored ? take_stored(s, buf, size) : 0;
    if (s->stored < AHEAD_LOW && !s->has_ended) {
        rc = weft_transport_read_start(&s->transport);
        if (rc < 0)
            fail_input(s, rc);
    }
    if (taken > 0)
        return (int64_t)taken;
    if (s->has_ended)
        return s->error;
    struct reader reader = { .wait = WEFT_WAIT("stream read", s, withdraw), .buf = buf, .size = size };
    s->reader = &reader;
    return park(s, &reader.wait);
}

/* ---- reading lines ---- */

/* Waits for input, and leaves it in the store. When it returns < 0 the stream may be gone. */
static int await_input(weft_stream *s, bool checks, const void *place)
{
    char nothing;
    struct reader reader = { .wait = { .withdraw = withdraw, .what = "stream line", .on = s, .place = place },
                             .buf = &nothing };
    s->users++;
    int rc = checks ? weft_wait_check("stream line") : 0;
    if (rc == 0 && !s->is_closed && !s->has_ended)
        rc = weft_transport_read_start(&s->transport);
    if (rc == 0 && !s->is_closed && !s->has_ended) {
        s->reader = &reader;
        rc = park(s, &reader.wait);
    }
    s->users--;
    if (!s->is_closed)
        return rc;
    free_if_unused(s);
    return rc < 0 ? rc : WEFT_ECLOSED;
}

/* Takes the first `size` bytes as a line, and its end. */
static int take_line(weft_stream *s, size_t size, bool has_end, weft_bytes *ret_line)
{
    char end;
    if (size + 1 > s->line_room) {
        char *grown = weft_mem_realloc(s->line, size + 1);
        if (!grown)
            return -ENOMEM;
        s->line = grown;
        s->line_room = size + 1;
    }
    if (size > 0)
        take_stored(s, s->line, size);
    if (has_end)
        take_stored(s, &end, 1);
    s->line[size] = '\0';
    *ret_line = (weft_bytes){ .data = s->line, .size = size };
    return 1;
}

int weft_stream_line(weft_stream *s, weft_bytes *ret_line, size_t limit)
{
    int rc = weft_wait_check("stream line");
    if (rc < 0)
        return rc;
    check_stream(s);
    if (s->reader)
        return -EBUSY;
    if (limit == 0 || limit >= AHEAD_MOST)
        limit = AHEAD_MOST - 1;
    size_t searched = 0; /* of the store, without finding an end */
    for (bool has_waited = false;; has_waited = true) {
        const char *line = s->store + s->at;
        const char *end = s->stored > searched ? memchr(line + searched, '\n', s->stored - searched) : NULL;
        size_t size = end ? (size_t)(end - line) : s->stored;
        if (size > limit)
            return -EMSGSIZE;
        if (end || (s->has_ended && s->error == 0 && size > 0))
            return take_line(s, size, end, ret_line);
        if (s->has_ended)
            return s->error;
        searched = size;
        rc = await_input(s, has_waited, __builtin_return_address(0));
        if (rc < 0)
            return rc;
    }
}

/* ---- writing ---- */

/* Waits until what is queued has been taken. A reason may have come since the last wait of the same call: parking would not
 * see it, so `checks`. When it returns < 0 the stream may be gone. */
static int wait_drained(weft_stream *s, weft_wait *wait, bool checks)
{
    s->users++;
    int rc = checks ? weft_wait_check("stream write") : 0;
    if (rc == 0 && !s->is_closed && s->transport.queued > 0) {
        s->writer = wait;
        rc = park(s, wait);
    }
    s->users--;
    if (s->is_closed) {
        free_if_unused(s);
        return rc < 0 ? rc : WEFT_ECLOSED;
    }
    if (rc < 0)
        s->is_writing = false;
    return rc;
}

/* Sends what goes at once and queues some of the rest. Returns the count of both, or < 0. */
static int64_t send_some(weft_stream *s, const char *data, size_t size)
{
    struct iovec part = { .iov_base = (void *)(uintptr_t)data, .iov_len = size };
    int64_t sent = weft_transport_try_send(&s->transport, &part, 1);
    if (sent == -EAGAIN)
        sent = 0;
    if (sent < 0 || (size_t)sent == size)
        return sent;
    part.iov_base = (void *)(uintptr_t)(data + sent);
    part.iov_len = size - (size_t)sent < QUEUE_MOST ? size - (size_t)sent : QUEUE_MOST;
    int rc = weft_transport_queue(&s->transport, &part, 1, 0);
    return rc < 0 ? rc : sent + (int64_t)part.iov_len;
}

int weft_stream_write(weft_stream *s, const void *data, size_t size)
{
    int rc = weft_wait_check("stream write");
    if (rc < 0)
        return rc;
    check_stream(s);
    if (s->is_writing)
        return -EBUSY;
    s->is_writing = true;
    const char *at = data;
    bool has_waited = false;
    while (rc == 0 && (size > 0 || s->transport.queued > 0)) {
        if (s->transport.queued > 0) {
            weft_wait wait = WEFT_WAIT("stream write", s, withdraw);
            rc = wait_drained(s, &wait, has_waited);
            if (rc < 0)
                return rc;
            has_waited = true;
            continue;
        }
        int64_t done = send_some(s, at, size);
        if (done < 0) {
            rc = (int)done;
        } else {
            at += done;
            size -= (size_t)done;
        }
    }
    s->is_writing = false;
    return rc;
}

int weft_stream_shutdown(weft_stream *s)
{
    check_stream(s);
    return weft_transport_shutdown(&s->transport);
}
