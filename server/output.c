/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The loop's output buffer. Replies are gathered here, a piece for each connection, and each piece is one write: so pipelined
 * replies leave together, which is worth 5.9x.
 *
 * A reply leaves when the task that made it waits or ends. Only within a poll it may wait until the other connections that are
 * readable have been served, but for no more than WEFT_OUTPUT_PIECES of them, and a fraction of a millisecond or one handler
 * that takes longer: the kernel's sending displaces from the processor's caches what serving needs, so not to do them in turns
 * takes some 2 % off a request.
 *
 * What the kernel does not take is queued by the transport, in memory of its own.
 */
#include <string.h>

#include "lib/base/check.h"
#include "lib/base/clock.h"
#include "server/connection.h"

enum { WAIT_CYCLES = 1 << 18 }; /* of the processor's count: 50 to 260 microseconds */

/* After sending: keeps track of who waits for its peer to read. `before`: what was unsent. */
static void note_sent(weft_connection *c, int error, size_t before)
{
    weft_server *server = c->server;
    if (error < 0) {
        c->is_broken = true;
        return;
    }
    if (c->transport.queued == 0)
        return;
    if (!weft_list_is_empty(&c->writing)) { /* what comes on top must not look as if nothing had moved */
        c->left_then += weft_transport_unsent(&c->transport) - before;
        return;
    }
    c->sent = weft_loop_recent(server->loop);
    c->left_then = weft_transport_unsent(&c->transport);
    weft_list_append(&server->writing, &c->writing);
    weft_server_sweep_by(server, weft_clock_add(c->sent, server->app->settings.write_timeout));
}

void weft_output_watch(weft_connection *c)
{
    note_sent(c, 0, weft_transport_unsent(&c->transport));
}

static void send(weft_connection *c, const struct iovec *parts, int count)
{
    if (c->is_broken || c->state == WEFT_CONNECTION_CLOSING)
        return;
    size_t before = weft_transport_unsent(&c->transport);
    note_sent(c, weft_transport_send(&c->transport, parts, count), before);
    weft_connection_weigh(c);
    if (c->is_broken) {
        weft_connection_blame(c, WEFT_END_RESET);
        weft_connection_close(c, false); /* reading may be off, so nothing else would tell */
    }
}

/* All has been sent, or is about to be. */
static void clear(weft_output *output)
{
    output->sent_count = output->piece_count = 0;
    output->size = 0;
    output->owner = NULL;
}

static void send_next_piece(weft_output *output)
{
    weft_connection *c = output->pieces[output->sent_count].of;
    size_t at = output->pieces[output->sent_count++].at;
    bool is_last = output->sent_count == output->piece_count;
    struct iovec part = { output->bytes + at, (is_last ? output->size : output->pieces[output->sent_count].at) - at };
    if (is_last)
        clear(output);
    if (c && part.iov_len > 0)
        send(c, &part, 1);
}

void weft_output_flush(weft_server *server)
{
    while (server->output.piece_count > 0)
        send_next_piece(&server->output);
}

void weft_output_flush_if_due(weft_server *server)
{
    const weft_output *output = &server->output;
    if (output->piece_count > 0 && (!server->loop->is_polling || output->piece_count == WEFT_OUTPUT_PIECES ||
                                    weft_clock_cycles_since(output->since) > WAIT_CYCLES))
        weft_output_flush(server);
}

void weft_output_forget(weft_server *server, const weft_connection *c)
{
    weft_output *output = &server->output;
    for (unsigned i = output->sent_count; i < output->piece_count; i++)
        if (output->pieces[i].of == c)
            output->pieces[i].of = NULL;
    if (output->owner == c)
        output->owner = NULL;
}

static __attribute__((noinline)) void begin_piece(weft_connection *c, size_t size)
{
    weft_output *output = &c->server->output;
    if (output->piece_count == WEFT_OUTPUT_PIECES || size > WEFT_OUTPUT_SIZE - output->size)
        weft_output_flush(c->server);
    if (output->piece_count == 0)
        output->since = weft_clock_cycles();
    output->pieces[output->piece_count++] = (struct weft_output_piece){ c, output->size };
    output->owner = c;
}

char *weft_output_room(weft_connection *c, size_t size)
{
    weft_output *output = &c->server->output;
    DCHECK(size <= WEFT_OUTPUT_SIZE);
    if (output->owner != c || size > WEFT_OUTPUT_SIZE - output->size)
        begin_piece(c, size);
    return output->bytes + output->size;
}

void weft_output_take(weft_connection *c, size_t size)
{
    c->server->output.size += size;
}

/* Without a copy, in one write with what is c's last piece. */
static void send_large(weft_connection *c, const void *data, size_t size)
{
    weft_output *output = &c->server->output;
    while (output->piece_count > output->sent_count + 1 || (output->piece_count > 0 && output->owner != c))
        send_next_piece(output);
    struct iovec parts[2] = { { 0 }, { (void *)(uintptr_t)data, size } };
    bool has_head = output->piece_count > 0;
    if (has_head) {
        size_t at = output->pieces[output->sent_count].at;
        parts[0] = (struct iovec){ output->bytes + at, output->size - at };
    }
    clear(output);
    send(c, has_head ? parts : parts + 1, has_head ? 2 : 1);
}

void weft_output_write(weft_connection *c, const void *data, size_t size)
{
    if (size > WEFT_OUTPUT_COPY_MAX) {
        send_large(c, data, size);
    } else if (size > 0) {
        memcpy(weft_output_room(c, size), data, size);
        weft_output_take(c, size);
    }
}
