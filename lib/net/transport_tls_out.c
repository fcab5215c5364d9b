/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Records out. Output is encrypted when it is sent, never queued as plaintext: what has become records is queued by the inner
 * transport, if it does not go at once, so order holds by itself.
 */
#include <errno.h>
#include <string.h>

#include "lib/net/transport_tls.h"

/* If memory is out, what is lost is the middle of a stream. */
void weft_tls_filter_flush(weft_tls_session *session)
{
    weft_tls_filter *f = CONTAINER_OF(session, weft_tls_filter, session);
    struct iovec part = weft_tls_session_take_output(session);
    if (part.iov_len == 0 || f->inner.error)
        return;
    int rc = weft_transport_send(&f->inner, &part, 1);
    if (rc < 0)
        f->inner.error = rc;
}

static int cannot_send(const weft_tls_filter *f)
{
    const weft_transport *t = f->t;
    return t->error ? t->error : t->is_shut ? -EPIPE : 0;
}

/* Encrypts so much of the parts as makes one record, or up to WEFT_TLS_SLICE bytes of a large one; moves on behind it. */
static size_t encrypt_some(weft_tls_filter *f, const struct iovec **at, int *count, size_t *skip)
{
    const char *data = (const char *)(*at)->iov_base + *skip;
    size_t here = (*at)->iov_len - *skip, size = 0;
    if (*count == 1 || here >= WEFT_TLS_RECORD) {
        size = here < WEFT_TLS_SLICE ? here : WEFT_TLS_SLICE;
        if (*count > 1)
            size -= size % WEFT_TLS_RECORD; /* the rest goes with what follows */
        *skip += size;
        return weft_tls_session_encrypt(&f->session, data, size) ? size : 0;
    }
    char *gather = f->session.shared->gather;
    while (size<WEFT_TLS_RECORD && * count> 0) {
        here = (*at)->iov_len - *skip;
        if (here > WEFT_TLS_RECORD - size)
            here = WEFT_TLS_RECORD - size;
        if (here > 0)
            memcpy(gather + size, (const char *)(*at)->iov_base + *skip, here);
        size += here;
        *skip += here;
        if (*skip < (*at)->iov_len)
            break;
        (*at)++;
        (*count)--;
        *skip = 0;
    }
    return weft_tls_session_encrypt(&f->session, gather, size) ? size : 0;
}

struct sending {
    weft_tls_filter *f;
    const struct iovec *parts;
    int count;
    size_t skip;
    bool queues; /* all of it, though the inner transport does not keep up */
    int64_t result;
};

/* The last bytes leave together with the announcement of the end. */
static bool may_wait_for_end(const weft_tls_filter *f)
{
    return f->t->is_last && f->inner.queued == 0;
}

static void send_parts(void *arg)
{
    struct sending *call = arg;
    weft_tls_filter *f = call->f;
    weft_transport *t = f->t;
    size_t sent = 0, left = 0;
    for (int i = 0; i < call->count; i++)
        left += call->parts[i].iov_len;
    left -= call->skip;
    for (; call->count > 0 && call->skip >= call->parts->iov_len; call->count--)
        call->skip -= call->parts++->iov_len;
    while (left > 0 && (call->queues || f->inner.queued == 0)) {
        size_t size = encrypt_some(f, &call->parts, &call->count, &call->skip);
        for (; call->count > 0 && call->skip == call->parts->iov_len; call->count--, call->parts++)
            call->skip = 0;
        if (size < left || !may_wait_for_end(f))
            weft_tls_filter_flush(&f->session);
        t->error = size == 0 ? WEFT_ETLS : f->inner.error;
        if (t->error) {
            call->result = t->error;
            return;
        }
        sent += size;
        left -= size;
    }
    t->queued = f->inner.queued;
    call->result = (int64_t)sent;
}

int64_t weft_tls_filter_try_send(weft_transport *t, const struct iovec *parts, int count)
{
    weft_tls_filter *f = weft_tls_filter_of(t);
    int rc = cannot_send(f);
    if (rc < 0)
        return rc;
    if (f->state != WEFT_TLS_OPEN || f->inner.queued > 0)
        return -EAGAIN;
    struct sending call = { .f = f, .parts = parts, .count = count };
    weft_on_loop_stack(send_parts, &call);
    return call.result;
}

int weft_tls_filter_queue(weft_transport *t, const struct iovec *parts, int count, size_t skip)
{
    weft_tls_filter *f = weft_tls_filter_of(t);
    int rc = cannot_send(f);
    if (rc < 0)
        return rc;
    if (f->state != WEFT_TLS_OPEN)
        return -ENOTCONN; /* there is nothing to encrypt it with */
    struct sending call = { .f = f, .parts = parts, .count = count, .skip = skip, .queues = true };
    weft_on_loop_stack(send_parts, &call);
    return call.result < 0 ? (int)call.result : 0;
}

size_t weft_tls_filter_unsent(const weft_transport *t)
{
    return weft_transport_unsent(&weft_tls_filter_of(t)->inner);
}

void weft_tls_filter_announce_end(void *arg)
{
    weft_tls_filter *f = arg;
    weft_tls_session_end(&f->session);
    weft_tls_filter_flush(&f->session);
}

int weft_tls_filter_shutdown(weft_transport *t)
{
    weft_tls_filter *f = weft_tls_filter_of(t);
    if (t->is_shut)
        return 0;
    if (t->error)
        return -ENOTCONN;
    t->is_shut = true;
    f->inner.is_last = true;
    if (f->state == WEFT_TLS_OPEN)
        weft_on_loop_stack(weft_tls_filter_announce_end, f);
    t->queued = f->inner.queued;
    return weft_transport_shutdown(&f->inner);
}

void weft_tls_filter_on_drained(weft_transport *inner, int error)
{
    weft_tls_filter *f = weft_tls_filter_around(inner);
    weft_transport *t = f->t;
    bool is_awaited = t->queued > 0;
    t->queued = 0;
    f->answers = 0;
    if (error)
        t->error = error;
    if (is_awaited)
        t->events->drained(t, error);
}

void weft_tls_filter_on_eased(weft_transport *inner)
{
    weft_transport *t = weft_tls_filter_around(inner)->t;
    t->queued = t->queued ? inner->queued : 0;
    if (t->queued)
        weft_transport_say_eased(t);
}
