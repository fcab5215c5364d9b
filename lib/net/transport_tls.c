/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* TLS as a transport over a transport: the owner sees plaintext and the same table of functions. */
#include "lib/net/transport_tls.h"

#include <errno.h>

#include "lib/base/memory.h"

static const weft_duration HANDSHAKE_TIME = 10 * WEFT_SECOND, RECORD_TIME = 30 * WEFT_SECOND;

/* ---- states, and what the owner is told ---- */

void weft_tls_filter_set_state(weft_tls_filter *f, enum weft_tls_state state)
{
    DCHECK(f->state < state);
    f->state = (uint8_t)state;
}

void weft_tls_filter_say_connected(weft_tls_filter *f, int error)
{
    f->has_said_peer = true;
    f->t->events->connected(f->t, error);
}

void weft_tls_filter_say_ending(weft_tls_filter *f)
{
    weft_transport *t = f->t;
    if (!f->is_ending || !t->is_open || t->has_ended)
        return;
    if (f->is_client && !f->has_said_peer) {
        t->has_ended = true;
        weft_tls_filter_say_connected(f, f->ending ? f->ending : -ECONNRESET);
        return;
    }
    if (!t->is_reading)
        return;
    t->is_reading = false;
    t->has_ended = true;
    t->events->input(t, NULL, f->ending);
}

void weft_tls_filter_end_input(weft_tls_filter *f, int error)
{
    if (f->is_ending)
        return;
    f->is_ending = true;
    f->ending = error;
    weft_timer_clear(&f->timer);
}

void weft_tls_filter_fail(weft_tls_filter *f, int error)
{
    if (f->state == WEFT_TLS_BROKEN)
        return;
    weft_tls_filter_set_state(f, WEFT_TLS_BROKEN);
    f->t->error = error;
    weft_transport_read_stop(&f->inner);
    weft_tls_filter_end_input(f, error);
}

void weft_tls_filter_refuse(weft_tls_filter *f, const char *words)
{
    char peer[96];
    bool is_about_certificate = f->is_client && f->session.verdict != X509_V_OK;
    weft_tls_filter_counts(f)->refused++;
    weft_log(WEFT_LOG_DEBUG, "TLS with %s: %s", weft_transport_peer(&f->inner, peer, sizeof peer),
             is_about_certificate ? weft_tls_verdict(f->t) : words);
    weft_tls_clear_errors();
    weft_tls_filter_fail(f, is_about_certificate ? WEFT_ECERTIFICATE : WEFT_ETLS);
}

/* ---- opening and closing ---- */

static void free_filter(weft_tls_filter *f)
{
    weft_tls_release_setup(f->setup);
    weft_mem_free(f->held);
    f->magic = 0;
    weft_mem_free(f);
}

static void on_inner_closed(weft_transport *inner)
{
    weft_tls_filter *f = weft_tls_filter_around(inner);
    weft_transport *t = f->t;
    free_filter(f);
    t->events->closed(t);
}

static void on_inner_connected(weft_transport *inner, int error)
{
    weft_tls_filter *f = weft_tls_filter_around(inner);
    if (!error) {
        weft_tls_filter_take(f); /* the hello */
        return;
    }
    f->t->error = error;
    weft_tls_filter_end_input(f, error);
    weft_tls_filter_say_ending(f);
}

const weft_transport_events weft_tls_inner_events = {
    .input = weft_tls_filter_on_input,
    .drained = weft_tls_filter_on_drained,
    .eased = weft_tls_filter_on_eased,
    .closed = on_inner_closed,
    .connected = on_inner_connected,
};

static void close_session(void *arg)
{
    weft_tls_filter *f = arg;
    weft_tls_session_close(&f->session);
}

static void close_filter(weft_transport *t, bool resets)
{
    weft_tls_filter *f = weft_tls_filter_of(t);
    bool announces = f->state == WEFT_TLS_OPEN && !t->is_shut && !t->error && !resets && f->inner.queued == 0;
    t->is_open = t->is_reading = false;
    t->queued = 0;
    weft_timer_clear(&f->timer);
    weft_callback_clear(&f->again);
    if (announces)
        weft_on_loop_stack(weft_tls_filter_announce_end, f);
    weft_on_loop_stack(close_session, f);
    weft_transport_close(&f->inner, resets);
}

static const char *peer(const weft_transport *t, char *buf, size_t size)
{
    return weft_transport_peer(&weft_tls_filter_of(t)->inner, buf, size);
}

#define OPS                                                                                                                    \
    .read_start = weft_tls_filter_read_start, .read_stop = weft_tls_filter_read_stop, .try_send = weft_tls_filter_try_send,    \
    .queue = weft_tls_filter_queue, .unsent = weft_tls_filter_unsent, .has_unread = weft_tls_filter_has_unread,                \
    .shutdown = weft_tls_filter_shutdown, .close = close_filter, .peer = peer

static const weft_transport_ops ops_outside = { .is_outside = true, OPS };
static const weft_transport_ops ops_inside = { OPS };

bool weft_tls_is(const weft_transport *t)
{
    return t->ops == &ops_outside || t->ops == &ops_inside;
}

weft_transport *weft_tls_inner(const weft_transport *t)
{
    return &weft_tls_filter_of(t)->inner;
}

weft_transport *weft_tls_outer(weft_transport *inner)
{
    return weft_tls_filter_around(inner)->t;
}

struct opening {
    weft_tls_filter *f;
    const struct weft_tls_wrap_options *options;
    int rc;
};

static void open_client(void *arg)
{
    struct opening *call = arg;
    call->rc = weft_tls_session_open_client(&call->f->session, call->f->setup, call->options->name, call->options->alpn);
}

int weft_tls_wrap(weft_transport *t, weft_loop *loop, const weft_transport_events *events,
                  const struct weft_tls_wrap_options *options)
{
    const weft_tls_context *context = options->context;
    struct weft_tls_loop *shared = weft_tls_loop_of(loop);
    weft_tls_filter *f = shared ? weft_mem_calloc(1, sizeof *f) : NULL;
    if (!f)
        return -ENOMEM;
    f->setup = weft_tls_take_setup(options->context);
    f->session.shared = shared;
    f->session.flush = weft_tls_filter_flush;
    f->session.verdict = X509_V_OK;
    struct opening call = { .f = f, .options = options };
    if (context->is_client) {
        weft_on_loop_stack(open_client, &call);
        f->is_client = true;
        weft_tls_filter_set_state(f, WEFT_TLS_SHAKING);
    }
    if (call.rc < 0) {
        free_filter(f);
        return call.rc;
    }
    const weft_tls_options *o = &context->options;
    f->magic = WEFT_TLS_FILTER_MAGIC;
    f->t = t;
    f->handshake_time = options->timeout ? options->timeout : o->handshake_timeout ? o->handshake_timeout : HANDSHAKE_TIME;
    f->record_time = o->record_timeout ? o->record_timeout : RECORD_TIME;
    weft_timer_init(&f->timer, weft_tls_filter_on_time);
    weft_callback_init(&f->again, weft_tls_filter_go_on);
    *t = (weft_transport){ .ops = &ops_outside, .events = events, .loop = loop };
    *(weft_tls_filter **)(void *)t->handle = f;
    return 0;
}

void weft_tls_start(weft_transport *t, bool is_connecting)
{
    weft_tls_filter *f = weft_tls_filter_of(t);
    t->ops = f->inner.ops->is_outside ? &ops_outside : &ops_inside;
    t->is_tcp = f->inner.is_tcp;
    t->is_open = true;
    weft_tls_filter_set_timer(f, f->handshake_time);
    if (f->is_client && !is_connecting)
        weft_callback_soon(t->loop, &f->again);
}

void weft_tls_abandon(weft_transport *t)
{
    weft_tls_filter *f = weft_tls_filter_of(t);
    weft_on_loop_stack(close_session, f);
    free_filter(f);
    t->is_open = false;
}

/* ---- what there is to know ---- */

const char *weft_tls_verdict(const weft_transport *t)
{
    const weft_tls_filter *f = weft_tls_filter_of(t);
    return f->session.verdict == X509_V_OK ? "" : X509_verify_cert_error_string(f->session.verdict);
}

struct describing {
    const weft_tls_filter *f;
    struct weft_tls_description *d;
};

static void describe(void *arg)
{
    const struct describing *call = arg;
    weft_tls_session_describe(&call->f->session, call->d);
}

bool weft_tls_describe(const weft_transport *t, struct weft_tls_description *ret_description)
{
    if (!t->is_open)
        return false;
    const weft_tls_filter *f = weft_tls_filter_of(t);
    if (f->state != WEFT_TLS_OPEN)
        return false;
    weft_on_loop_stack(describe, &(struct describing){ f, ret_description });
    return true;
}
