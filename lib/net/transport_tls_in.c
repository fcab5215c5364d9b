/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Records in. Ciphertext is decrypted straight from the inner transport's input event, and what the owner does not want any
 * more is copied (`held`) and waits for it to read again.
 *
 * TLS answers some records by itself (key updates, attempts to renegotiate), and nobody else limits those answers: a peer that
 * has more than ANSWERS_MOST bytes of them queued because it does not read is refused.
 */
#include <errno.h>
#include <string.h>

#include "lib/base/memory.h"
#include "lib/base/sanitize.h"
#include "lib/net/transport_tls.h"

enum { ANSWERS_MOST = 16 * 1024 };

/* ---- time ---- */

void weft_tls_filter_set_timer(weft_tls_filter *f, weft_duration d)
{
    weft_duration due = weft_clock_add(weft_loop_recent(f->t->loop), d);
    weft_timer_set(&f->t->loop->wheel, &f->timer, weft_tick_of(due));
}

/* A record has begun, or is over. The timer is left alone while records come: it looks for itself. */
static void watch_record(weft_tls_filter *f)
{
    if (f->state != WEFT_TLS_OPEN || f->is_ending)
        return;
    if (!weft_tls_session_is_partial(&f->session)) {
        weft_timer_clear(&f->timer);
    } else if (!weft_timer_is_set(&f->timer)) {
        f->timed_record = f->session.records;
        weft_tls_filter_set_timer(f, f->record_time);
    }
}

void weft_tls_filter_on_time(weft_timer *timer)
{
    weft_tls_filter *f = CONTAINER_OF(timer, weft_tls_filter, timer);
    if (f->state == WEFT_TLS_OPEN && (f->timed_record != f->session.records || f->held_size > 0 || !f->t->is_reading)) {
        watch_record(f); /* another one by now; or it is the owner who does not read */
        return;
    }
    weft_tls_filter_counts(f)->slow++;
    weft_tls_filter_fail(f, -ETIMEDOUT);
    weft_tls_filter_say_ending(f);
}

/* ---- progress ---- */

static bool wants_input(const weft_tls_filter *f)
{
    return f->t->is_open && f->t->is_reading && f->state == WEFT_TLS_OPEN && !f->is_ending;
}

static void deliver(weft_tls_filter *f, size_t size)
{
    char *plain = f->session.shared->plain;
    SANITIZE_POISON(plain + size, WEFT_NET_INPUT - size);
    if (size > 0)
        f->t->events->input(f->t, plain, (int64_t)size);
    SANITIZE_POISON(plain, WEFT_NET_INPUT);
}

/* Sends what TLS has answered by itself. False if the peer lets it pile up. */
static bool send_answers(weft_tls_filter *f)
{
    size_t before = f->inner.queued;
    weft_tls_filter_flush(&f->session);
    if (f->inner.queued > before)
        f->answers += f->inner.queued - before;
    return f->answers <= ANSWERS_MOST;
}

/* With `holds` what TLS has to say may leave together with what the owner answers. */
static enum weft_tls_progress decrypt(weft_tls_filter *f, bool holds, size_t *ret_size)
{
    enum weft_tls_progress result = weft_tls_session_decrypt(&f->session, ret_size);
    const char *words = result == WEFT_TLS_FAILED ? weft_tls_session_words() : NULL;
    bool is_held = holds && (result == WEFT_TLS_DONE || result == WEFT_TLS_MORE);
    bool is_read = is_held || send_answers(f);
    if (!is_read && result != WEFT_TLS_FAILED) {
        words = "it does not read what it asks for";
        result = WEFT_TLS_FAILED;
    }
    if (result == WEFT_TLS_FAILED)
        weft_tls_filter_refuse(f, words);
    else if (result == WEFT_TLS_END)
        weft_tls_filter_end_input(f, 0);
    return result;
}

static void progress(weft_tls_filter *f)
{
    if (f->is_ending)
        return;
    bool is_fresh = f->state < WEFT_TLS_OPEN;
    if (is_fresh && !weft_tls_filter_shake(f))
        return;
    enum weft_tls_progress result = WEFT_TLS_DONE;
    while (result == WEFT_TLS_DONE && wants_input(f)) {
        size_t size;
        result = decrypt(f, is_fresh, &size);
        deliver(f, size);
        if (is_fresh) /* the ticket, and the reply to a request that came with the end of the handshake: one packet */
            weft_tls_filter_flush(&f->session);
        is_fresh = false;
    }
    if (is_fresh)
        weft_tls_filter_flush(&f->session);
}

/* ---- what is left ---- */

/* What is left of the ciphertext waits until the owner reads. */
static bool keep_rest(weft_tls_filter *f)
{
    weft_tls_session *session = &f->session;
    char *held = f->held;
    f->held = NULL;
    f->held_size = 0;
    bool is_kept = true;
    if (session->size > 0 && f->t->is_open && !f->is_ending) {
        f->held = weft_mem_alloc(session->size);
        is_kept = f->held != NULL;
        if (is_kept) {
            memcpy(f->held, session->at, session->size);
            f->held_size = session->size;
        }
    }
    session->size = 0;
    weft_mem_free(held);
    return is_kept;
}

/* Reads from the inner transport as long as somebody wants it. */
static int set_reading(weft_tls_filter *f)
{
    const weft_transport *t = f->t;
    bool wants = t->is_open && !f->is_ending && (f->state < WEFT_TLS_OPEN || (t->is_reading && f->held_size == 0));
    if (wants)
        return weft_transport_read_start(&f->inner);
    weft_transport_read_stop(&f->inner);
    return 0;
}

void weft_tls_filter_take(weft_tls_filter *f)
{
    progress(f);
    if (!keep_rest(f))
        weft_tls_filter_fail(f, -ENOMEM);
    if (!f->t->is_open)
        return;
    watch_record(f);
    int rc = set_reading(f);
    if (rc < 0)
        weft_tls_filter_fail(f, rc);
    weft_tls_filter_say_ending(f);
}

void weft_tls_filter_go_on(weft_callback *again)
{
    weft_tls_filter *f = CONTAINER_OF(again, weft_tls_filter, again);
    f->session.at = f->held;
    f->session.size = f->held_size;
    weft_tls_filter_take(f);
}

/* ---- reading ---- */

int weft_tls_filter_read_start(weft_transport *t)
{
    weft_tls_filter *f = weft_tls_filter_of(t);
    t->is_reading = true;
    if (f->held_size == 0 && !f->is_ending && !weft_tls_session_has_more(&f->session)) {
        int rc = set_reading(f);
        t->is_reading = rc == 0;
        return rc;
    }
    weft_callback_soon(t->loop, &f->again);
    return 0;
}

void weft_tls_filter_read_stop(weft_transport *t)
{
    weft_tls_filter *f = weft_tls_filter_of(t);
    t->is_reading = false;
    if (f->state == WEFT_TLS_OPEN)
        weft_transport_read_stop(&f->inner);
}

bool weft_tls_filter_has_unread(const weft_transport *t)
{
    const weft_tls_filter *f = weft_tls_filter_of(t);
    return f->held_size > 0 || weft_tls_session_has_more(&f->session) || weft_transport_has_unread(&f->inner);
}

/* An end that was not announced, unless nothing was expected any more. */
static void take_cut(weft_tls_filter *f)
{
    bool is_fine = f->is_ending || f->state == WEFT_TLS_WAITING || (f->state == WEFT_TLS_OPEN && f->t->is_shut);
    if (!is_fine)
        weft_tls_filter_counts(f)->cut++;
    weft_tls_filter_end_input(f, is_fine ? 0 : -ECONNRESET);
}

void weft_tls_filter_on_input(weft_transport *inner, char *data, int64_t size)
{
    weft_tls_filter *f = weft_tls_filter_around(inner);
    if (size > 0) {
        DCHECK(f->held_size == 0);
        f->session.at = data;
        f->session.size = (size_t)size;
        weft_tls_filter_take(f);
        return;
    }
    if (size < 0) {
        f->t->error = (int)size;
        weft_tls_filter_end_input(f, (int)size);
    } else {
        take_cut(f);
    }
    weft_tls_filter_say_ending(f);
}
