/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* The handshake, and what is told to those who speak something else. */
#include <errno.h>

#include "lib/net/transport_tls.h"

/* Is it the beginning of a request for plain HTTP? Whoever made that mistake is told in a way that a browser shows. */
static void answer_plain(weft_tls_filter *f, const char *data, size_t size)
{
    static const char reply[] = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 57\r\n"
                                "Connection: close\r\n\r\n400 Bad Request: this port speaks HTTPS, not plain HTTP.\n";
    for (size_t i = 0; i < size && i < 3; i++)
        if (data[i] < 'A' || data[i] > 'Z')
            return;
    struct iovec part = { (void *)(uintptr_t)reply, sizeof reply - 1 };
    if (weft_transport_send(&f->inner, &part, 1) == 0)
        weft_transport_shutdown(&f->inner);
}

static bool begin(weft_tls_filter *f)
{
    enum { HANDSHAKE_RECORD = 22 };
    if (f->session.size > 0 && *f->session.at != HANDSHAKE_RECORD) {
        answer_plain(f, f->session.at, f->session.size);
        weft_tls_filter_refuse(f, "this is no TLS");
        return false;
    }
    if (weft_tls_session_open_server(&f->session, f->setup) < 0) {
        weft_tls_filter_fail(f, -ENOMEM);
        return false;
    }
    weft_tls_filter_set_state(f, WEFT_TLS_SHAKING);
    return true;
}

bool weft_tls_filter_shake(weft_tls_filter *f)
{
    if (f->state == WEFT_TLS_WAITING && !begin(f))
        return false;
    enum weft_tls_progress progress = weft_tls_session_shake(&f->session);
    const char *words = progress == WEFT_TLS_FAILED ? weft_tls_session_words() : NULL;
    if (progress != WEFT_TLS_DONE)
        weft_tls_filter_flush(&f->session);
    if (progress == WEFT_TLS_MORE) {
        if (f->inner.error) /* what the peer waits for cannot be sent */
            weft_tls_filter_fail(f, f->inner.error);
        return false;
    }
    if (progress == WEFT_TLS_FAILED) {
        weft_tls_filter_refuse(f, words);
        return false;
    }
    weft_tls_filter_set_state(f, WEFT_TLS_OPEN);
    weft_timer_clear(&f->timer);
    weft_tls_filter_counts(f)->handshakes++;
    weft_tls_filter_counts(f)->resumed += SSL_session_reused(f->session.ssl) == 1;
    if (f->is_client)
        weft_tls_filter_say_connected(f, 0);
    return f->t->is_open;
}
