/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * TLS as a transport over a transport: the owner sees plaintext and the same table of functions.
 *
 *     ──> WAITING ── a client's first byte ──> SHAKING ──────> OPEN
 *            │                                    │              │
 *            └────────── no TLS, too slow ────────┴── failed ────┴──> BROKEN
 *
 * WAITING: a server's end that has heard nothing; it has no session yet. SHAKING: the inner transport is read, whether the
 * owner reads or not. OPEN: it is read while the owner reads. BROKEN: nothing is sent or read any more; the owner is told when
 * it reads. The end of input is a matter of its own (`ending`): after it we may still send.
 *
 * Ciphertext is decrypted straight from the inner transport's input event, and what the owner does not want any more is copied
 * (`held`) and waits for it to read again. Output is encrypted when it is sent, never queued as plaintext: what has become
 * records is queued by the inner transport, if it does not go at once, so order holds by itself.
 *
 * The state is one allocation apart from its owner, the inner transport in it. OpenSSL runs on the loop's stack, and events
 * are only delivered outside of it: a task that they enter may send and close.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/check.h"
#include "lib/base/memory.h"
#include "lib/base/sanitize.h"
#include "lib/net/tls_session.h"

#define TLS_MAGIC 0x715715aeu

enum tls_state { TLS_WAITING, TLS_SHAKING, TLS_OPEN, TLS_BROKEN };

static const weft_duration HANDSHAKE_TIME = 10 * WEFT_SECOND, RECORD_TIME = 30 * WEFT_SECOND;

struct tls {
    unsigned magic;
    uint8_t state;
    bool is_client;
    bool is_ending;        /* no more input comes: to be said once the owner reads */
    bool has_said_peer;    /* `connected` has been said */
    int ending;            /* with what: 0 or -errno */
    weft_transport *t;     /* the owner's */
    weft_tls_setup *setup; /* held */
    weft_tls_session session;
    char *held; /* ciphertext that came while the owner did not read: `held_size` bytes */
    size_t held_size;
    uint32_t timed_record; /* the one that was being read when the timer was set */
    weft_duration handshake_time, record_time;
    weft_timer timer;    /* of the handshake, then of a record of which a part has come */
    weft_callback again; /* to go on with what is held */
    weft_transport inner;
};

static const weft_transport_ops ops_outside, ops_inside;

bool weft_tls_is(const weft_transport *t)
{
    return t->ops == &ops_outside || t->ops == &ops_inside;
}

static struct tls *tls_of(const weft_transport *t)
{
    struct tls *s = *(struct tls *const *)(const void *)t->handle;
    IS_A(s, TLS_MAGIC);
    return s;
}

static struct tls *tls_around(weft_transport *inner)
{
    return CONTAINER_OF(inner, struct tls, inner);
}

static void set_state(struct tls *s, enum tls_state state)
{
    DCHECK(s->state < state);
    s->state = (uint8_t)state;
}

static struct weft_tls_counts *counts(struct tls *s)
{
    return &s->session.shared->counts;
}

/* ---- telling the owner ---- */

static void say_connected(struct tls *s, int error)
{
    s->has_said_peer = true;
    s->t->events->connected(s->t, error);
}

/* The end of input, if the owner wants to hear it now. */
static void say_ending(struct tls *s)
{
    weft_transport *t = s->t;
    if (!s->is_ending || !t->is_open || t->has_ended)
        return;
    if (s->is_client && !s->has_said_peer) {
        t->has_ended = true;
        say_connected(s, s->ending ? s->ending : -ECONNRESET);
        return;
    }
    if (!t->is_reading)
        return;
    t->is_reading = false;
    t->has_ended = true;
    t->events->input(t, NULL, s->ending);
}

static void end_input(struct tls *s, int error)
{
    if (s->is_ending)
        return;
    s->is_ending = true;
    s->ending = error;
    weft_timer_clear(&s->timer);
}

static void fail(struct tls *s, int error)
{
    if (s->state == TLS_BROKEN)
        return;
    set_state(s, TLS_BROKEN);
    s->t->error = error;
    weft_transport_read_stop(&s->inner);
    end_input(s, error);
}

/* ---- output ---- */

/* Sends the records that have been made, or queues them. If memory is out, what is lost is the middle of a stream. */
static void flush(weft_tls_session *session)
{
    struct tls *s = CONTAINER_OF(session, struct tls, session);
    struct weft_tls_loop *shared = session->shared;
    struct iovec part = { shared->output, shared->output_size };
    shared->output_size = 0;
    if (part.iov_len == 0 || s->inner.error)
        return;
    int rc = weft_transport_send(&s->inner, &part, 1);
    if (rc < 0)
        s->inner.error = rc;
}

static int cannot_send(const struct tls *s)
{
    const weft_transport *t = s->t;
    return t->error ? t->error : t->is_shut ? -EPIPE : 0;
}

/* Encrypts so much of the parts as makes one record, or up to WEFT_TLS_SLICE bytes of a large one; moves on behind it. */
static size_t encrypt_some(struct tls *s, const struct iovec **at, int *count, size_t *skip)
{
    const char *data = (const char *)(*at)->iov_base + *skip;
    size_t here = (*at)->iov_len - *skip, size = 0;
    if (*count == 1 || here >= WEFT_TLS_RECORD) {
        size = here < WEFT_TLS_SLICE ? here : WEFT_TLS_SLICE;
        if (*count > 1)
            size -= size % WEFT_TLS_RECORD; /* the rest goes with what follows */
        *skip += size;
        return weft_tls_session_encrypt(&s->session, data, size) ? size : 0;
    }
    char *gather = s->session.shared->gather;
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
    return weft_tls_session_encrypt(&s->session, gather, size) ? size : 0;
}

struct sending {
    struct tls *s;
    const struct iovec *parts;
    int count;
    size_t skip;
    bool queues; /* all of it, though the inner transport does not keep up */
    int64_t result;
};

static void send_parts(void *arg)
{
    struct sending *call = arg;
    struct tls *s = call->s;
    weft_transport *t = s->t;
    size_t sent = 0, left = 0;
    for (int i = 0; i < call->count; i++)
        left += call->parts[i].iov_len;
    left -= call->skip;
    for (; call->count > 0 && call->skip >= call->parts->iov_len; call->count--)
        call->skip -= call->parts++->iov_len;
    while (left > 0 && (call->queues || s->inner.queued == 0)) {
        size_t size = encrypt_some(s, &call->parts, &call->count, &call->skip);
        for (; call->count > 0 && call->skip == call->parts->iov_len; call->count--, call->parts++)
            call->skip = 0;
        flush(&s->session);
        t->error = size == 0 ? WEFT_ETLS : s->inner.error;
        if (t->error) {
            call->result = t->error;
            return;
        }
        sent += size;
        left -= size;
    }
    t->queued = s->inner.queued;
    call->result = (int64_t)sent;
}

static int64_t try_send(weft_transport *t, const struct iovec *parts, int count)
{
    struct tls *s = tls_of(t);
    int rc = cannot_send(s);
    if (rc < 0)
        return rc;
    if (s->state != TLS_OPEN || s->inner.queued > 0)
        return -EAGAIN;
    struct sending call = { .s = s, .parts = parts, .count = count };
    weft_on_loop_stack(send_parts, &call);
    return call.result;
}

static int queue(weft_transport *t, const struct iovec *parts, int count, size_t skip)
{
    struct tls *s = tls_of(t);
    int rc = cannot_send(s);
    if (rc < 0)
        return rc;
    if (s->state != TLS_OPEN)
        return -ENOTCONN; /* there is nothing to encrypt it with */
    struct sending call = { .s = s, .parts = parts, .count = count, .skip = skip, .queues = true };
    weft_on_loop_stack(send_parts, &call);
    return call.result < 0 ? (int)call.result : 0;
}

static size_t unsent(const weft_transport *t)
{
    return weft_transport_unsent(&tls_of(t)->inner);
}

static void announce_end(void *arg)
{
    struct tls *s = arg;
    weft_tls_session_end(&s->session);
    flush(&s->session);
}

static int end_direction(weft_transport *t)
{
    struct tls *s = tls_of(t);
    if (t->is_shut)
        return 0;
    if (t->error)
        return -ENOTCONN;
    t->is_shut = true;
    if (s->state == TLS_OPEN)
        weft_on_loop_stack(announce_end, s);
    return weft_transport_shutdown(&s->inner);
}

/* ---- time ---- */

static void set_timer(struct tls *s, weft_duration d)
{
    weft_duration due = weft_clock_add(weft_loop_now(s->t->loop), d);
    weft_timer_set(&s->t->loop->wheel, &s->timer, weft_tick_of(due));
}

/* A record has begun, or is over. The timer is left alone while records come: it looks for itself. */
static void watch_record(struct tls *s)
{
    if (s->state != TLS_OPEN || s->is_ending)
        return;
    if (!weft_tls_session_is_partial(&s->session)) {
        weft_timer_clear(&s->timer);
    } else if (!weft_timer_is_set(&s->timer)) {
        s->timed_record = s->session.records;
        set_timer(s, s->record_time);
    }
}

static void on_time(weft_timer *timer)
{
    struct tls *s = CONTAINER_OF(timer, struct tls, timer);
    if (s->state == TLS_OPEN && (s->timed_record != s->session.records || s->held_size > 0 || !s->t->is_reading)) {
        watch_record(s); /* another one by now; or it is the owner who does not read */
        return;
    }
    counts(s)->slow++;
    fail(s, -ETIMEDOUT);
    say_ending(s);
}

/* ---- the handshake ---- */

/* Is it the beginning of a request for plain HTTP? Whoever made that mistake is told in a way that a browser shows. */
static void answer_plain(struct tls *s, const char *data, size_t size)
{
    static const char reply[] = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 57\r\n"
                                "Connection: close\r\n\r\n400 Bad Request: this port speaks HTTPS, not plain HTTP.\n";
    for (size_t i = 0; i < size && i < 3; i++)
        if (data[i] < 'A' || data[i] > 'Z')
            return;
    struct iovec part = { (void *)(uintptr_t)reply, sizeof reply - 1 };
    if (weft_transport_send(&s->inner, &part, 1) == 0)
        weft_transport_shutdown(&s->inner);
}

static void refuse(struct tls *s, const char *words)
{
    char peer[96];
    bool is_about_certificate = s->is_client && s->session.verdict != X509_V_OK;
    counts(s)->refused++;
    weft_log(WEFT_LOG_DEBUG, "TLS with %s: %s", weft_transport_peer(&s->inner, peer, sizeof peer),
             is_about_certificate ? weft_tls_verdict(s->t) : words);
    weft_tls_clear_errors();
    fail(s, is_about_certificate ? WEFT_ECERTIFICATE : WEFT_ETLS);
}

static bool begin(struct tls *s)
{
    enum { HANDSHAKE_RECORD = 22 };
    if (s->session.size > 0 && *s->session.at != HANDSHAKE_RECORD) {
        answer_plain(s, s->session.at, s->session.size);
        refuse(s, "this is no TLS");
        return false;
    }
    if (weft_tls_session_open_server(&s->session, s->setup) < 0) {
        fail(s, -ENOMEM);
        return false;
    }
    set_state(s, TLS_SHAKING);
    return true;
}

/* True when the handshake is over. */
static bool shake(struct tls *s)
{
    if (s->state == TLS_WAITING && !begin(s))
        return false;
    enum weft_tls_progress progress = weft_tls_session_shake(&s->session);
    const char *words = progress == WEFT_TLS_FAILED ? weft_tls_session_words() : NULL;
    flush(&s->session);
    if (progress == WEFT_TLS_MORE)
        return false;
    if (progress == WEFT_TLS_FAILED) {
        refuse(s, words);
        return false;
    }
    set_state(s, TLS_OPEN);
    weft_timer_clear(&s->timer);
    counts(s)->handshakes++;
    counts(s)->resumed += SSL_session_reused(s->session.ssl) == 1;
    if (s->is_client)
        say_connected(s, 0);
    return s->t->is_open;
}

/* ---- input ---- */

static bool wants_input(const struct tls *s)
{
    return s->t->is_open && s->t->is_reading && s->state == TLS_OPEN && !s->is_ending;
}

static void deliver(struct tls *s, size_t size)
{
    char *plain = s->session.shared->plain;
    SANITIZE_POISON(plain + size, WEFT_NET_INPUT - size);
    if (size > 0)
        s->t->events->input(s->t, plain, (int64_t)size);
    SANITIZE_POISON(plain, WEFT_NET_INPUT);
}

/* Makes of the ciphertext that is lent to the session what can be made of it. */
static void progress(struct tls *s)
{
    if (s->is_ending)
        return;
    if (s->state < TLS_OPEN && !shake(s))
        return;
    while (wants_input(s)) {
        size_t size;
        enum weft_tls_progress result = weft_tls_session_decrypt(&s->session, &size);
        if (result == WEFT_TLS_FAILED) {
            const char *words = weft_tls_session_words();
            flush(&s->session);
            refuse(s, words);
        } else {
            flush(&s->session); /* answers of TLS's own */
            if (result == WEFT_TLS_END)
                end_input(s, 0);
        }
        deliver(s, size);
        if (result != WEFT_TLS_DONE)
            break;
    }
}

/* What is left of the ciphertext waits until the owner reads. */
static bool keep_rest(struct tls *s)
{
    weft_tls_session *session = &s->session;
    char *held = s->held;
    s->held = NULL;
    s->held_size = 0;
    bool is_kept = true;
    if (session->size > 0 && s->t->is_open && !s->is_ending) {
        s->held = weft_mem_alloc(session->size);
        is_kept = s->held != NULL;
        if (is_kept) {
            memcpy(s->held, session->at, session->size);
            s->held_size = session->size;
        }
    }
    session->size = 0;
    weft_mem_free(held);
    return is_kept;
}

/* Reads from the inner transport as long as somebody wants it. */
static int set_reading(struct tls *s)
{
    bool wants = s->t->is_open && !s->is_ending && (s->state < TLS_OPEN || (s->t->is_reading && s->held_size == 0));
    if (wants)
        return weft_transport_read_start(&s->inner);
    weft_transport_read_stop(&s->inner);
    return 0;
}

/* After progress. */
static void rest(struct tls *s)
{
    if (!keep_rest(s))
        fail(s, -ENOMEM);
    if (!s->t->is_open)
        return;
    watch_record(s);
    int rc = set_reading(s);
    if (rc < 0)
        fail(s, rc);
    say_ending(s);
}

static void go_on(weft_callback *again)
{
    struct tls *s = CONTAINER_OF(again, struct tls, again);
    s->session.at = s->held;
    s->session.size = s->held_size;
    progress(s);
    rest(s);
}

static int read_start(weft_transport *t)
{
    struct tls *s = tls_of(t);
    t->is_reading = true;
    if (s->held_size == 0 && !s->is_ending && !weft_tls_session_has_more(&s->session)) {
        int rc = set_reading(s);
        t->is_reading = rc == 0;
        return rc;
    }
    weft_callback_soon(t->loop, &s->again);
    return 0;
}

static void read_stop(weft_transport *t)
{
    struct tls *s = tls_of(t);
    t->is_reading = false;
    if (s->state == TLS_OPEN)
        weft_transport_read_stop(&s->inner);
}

static bool has_unread(const weft_transport *t)
{
    const struct tls *s = tls_of(t);
    return s->held_size > 0 || weft_tls_session_has_more(&s->session) || weft_transport_has_unread(&s->inner);
}

/* ---- events of the inner transport ---- */

/* An end that was not announced, unless nothing was expected any more. */
static void take_cut(struct tls *s)
{
    bool is_fine = s->is_ending || s->state == TLS_WAITING || (s->state == TLS_OPEN && s->t->is_shut);
    if (!is_fine)
        counts(s)->cut++;
    end_input(s, is_fine ? 0 : -ECONNRESET);
}

static void on_inner_input(weft_transport *inner, char *data, int64_t size)
{
    struct tls *s = tls_around(inner);
    if (size < 0) {
        s->t->error = (int)size;
        end_input(s, (int)size);
        say_ending(s);
    } else if (size == 0) {
        take_cut(s);
        say_ending(s);
    } else {
        DCHECK(s->held_size == 0);
        s->session.at = data;
        s->session.size = (size_t)size;
        progress(s);
        rest(s);
    }
}

static void on_inner_drained(weft_transport *inner, int error)
{
    struct tls *s = tls_around(inner);
    weft_transport *t = s->t;
    bool is_awaited = t->queued > 0;
    t->queued = 0;
    if (error)
        t->error = error;
    if (is_awaited)
        t->events->drained(t, error);
}

static void on_inner_eased(weft_transport *inner)
{
    weft_transport *t = tls_around(inner)->t;
    t->queued = t->queued ? inner->queued : 0;
    if (t->queued)
        weft_transport_say_eased(t);
}

static void free_tls(struct tls *s)
{
    weft_tls_release_setup(s->setup);
    weft_mem_free(s->held);
    s->magic = 0;
    weft_mem_free(s);
}

static void on_inner_closed(weft_transport *inner)
{
    struct tls *s = tls_around(inner);
    weft_transport *t = s->t;
    free_tls(s);
    t->events->closed(t);
}

static void on_inner_connected(weft_transport *inner, int error)
{
    struct tls *s = tls_around(inner);
    if (error) {
        s->t->error = error;
        end_input(s, error);
        say_ending(s);
        return;
    }
    progress(s); /* the hello */
    rest(s);
}

const weft_transport_events weft_tls_inner_events = {
    .input = on_inner_input,
    .drained = on_inner_drained,
    .eased = on_inner_eased,
    .closed = on_inner_closed,
    .connected = on_inner_connected,
};

/* ---- opening and closing ---- */

static void close_session(void *arg)
{
    struct tls *s = arg;
    weft_tls_session_close(&s->session);
}

static void close_tls(weft_transport *t, bool resets)
{
    struct tls *s = tls_of(t);
    bool announces = s->state == TLS_OPEN && !t->is_shut && !t->error && !resets && s->inner.queued == 0;
    t->is_open = t->is_reading = false;
    t->queued = 0;
    weft_timer_clear(&s->timer);
    weft_callback_clear(&s->again);
    if (announces)
        weft_on_loop_stack(announce_end, s);
    weft_on_loop_stack(close_session, s);
    weft_transport_close(&s->inner, resets);
}

static const char *peer(const weft_transport *t, char *buf, size_t size)
{
    return weft_transport_peer(&tls_of(t)->inner, buf, size);
}

#define OPS                                                                                                                    \
    .read_start = read_start, .read_stop = read_stop, .try_send = try_send, .queue = queue, .unsent = unsent,                  \
    .has_unread = has_unread, .shutdown = end_direction, .close = close_tls, .peer = peer

static const weft_transport_ops ops_outside = { .is_outside = true, OPS };
static const weft_transport_ops ops_inside = { OPS };

weft_transport *weft_tls_inner(const weft_transport *t)
{
    return &tls_of(t)->inner;
}

weft_transport *weft_tls_outer(weft_transport *inner)
{
    return tls_around(inner)->t;
}

int weft_tls_wrap(weft_transport *t, weft_loop *loop, const weft_transport_events *events,
                  const struct weft_tls_wrap_options *options)
{
    const weft_tls_context *context = options->context;
    struct weft_tls_loop *shared = weft_tls_loop_of(loop);
    struct tls *s = shared ? weft_mem_calloc(1, sizeof *s) : NULL;
    if (!s)
        return -ENOMEM;
    s->setup = weft_tls_take_setup(options->context);
    s->session.shared = shared;
    s->session.flush = flush;
    s->session.verdict = X509_V_OK;
    int rc = 0;
    if (context->is_client) {
        rc = weft_tls_session_open_client(&s->session, s->setup, options->name, options->alpn);
        s->is_client = true;
        set_state(s, TLS_SHAKING);
    }
    if (rc < 0) {
        free_tls(s);
        return rc;
    }
    const weft_tls_options *o = &context->options;
    s->magic = TLS_MAGIC;
    s->t = t;
    s->handshake_time = options->timeout ? options->timeout : o->handshake_timeout ? o->handshake_timeout : HANDSHAKE_TIME;
    s->record_time = o->record_timeout ? o->record_timeout : RECORD_TIME;
    weft_timer_init(&s->timer, on_time);
    weft_callback_init(&s->again, go_on);
    *t = (weft_transport){ .ops = &ops_outside, .events = events, .loop = loop };
    *(struct tls **)(void *)t->handle = s;
    return 0;
}

void weft_tls_start(weft_transport *t, bool is_connecting)
{
    struct tls *s = tls_of(t);
    t->ops = s->inner.ops->is_outside ? &ops_outside : &ops_inside;
    t->is_tcp = s->inner.is_tcp;
    t->is_open = true;
    set_timer(s, s->handshake_time);
    if (s->is_client && !is_connecting)
        weft_callback_soon(t->loop, &s->again);
}

void weft_tls_abandon(weft_transport *t)
{
    struct tls *s = tls_of(t);
    close_session(s);
    free_tls(s);
    t->is_open = false;
}

/* ---- what there is to know ---- */

const char *weft_tls_verdict(const weft_transport *t)
{
    const struct tls *s = tls_of(t);
    return s->session.verdict == X509_V_OK ? "" : X509_verify_cert_error_string(s->session.verdict);
}

struct describing {
    const struct tls *s;
    struct weft_tls_description *d;
};

static void describe(void *arg)
{
    const struct describing *call = arg;
    weft_tls_session_describe(&call->s->session, call->d);
}

bool weft_tls_describe(const weft_transport *t, struct weft_tls_description *ret_description)
{
    const struct tls *s = tls_of(t);
    if (!t->is_open || s->state != TLS_OPEN)
        return false;
    weft_on_loop_stack(describe, &(struct describing){ s, ret_description });
    return true;
}
