/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Whose a connection is: its peer's address, or what a trusted balancer tells in a PROXY header.
 *
 * With networks to trust, every connection over a socket must come from one of them and begin with a header. One from elsewhere
 * is reset, and so is one without a header: to guess whether there is one would let anybody choose his address, which the
 * protocol's specification forbids for that reason. Nothing is answered, as the other end is no HTTP client.
 *
 * A header comes in clear, also before TLS: inside of it, it would be the client's own. There it is read off the transport
 * under TLS, by events of our own, which then give the transport and what has come behind the header to TLS.
 */
#include <errno.h>
#include <string.h>
#include <sys/un.h>

#include "lib/base/check.h"
#include "lib/base/memory.h"
#include "lib/http/proxy.h"
#include "lib/net/network.h"
#include "lib/net/tls.h"
#include "server/connection.h"
#include "server/request.h"

enum { ADDRESS_ROOM = 128 };

/* ---- the address ---- */

/* A peer's address without its port, cut out of `text`: "[::1]:80" and "1.2.3.4:80" have one. */
static const char *without_port(char *text)
{
    char *port = strrchr(text, ':');
    if (port && *text == '[' && port[-1] == ']') {
        port[-1] = '\0';
        return text + 1;
    }
    if (port)
        *port = '\0';
    return text;
}

/* False when memory is out. */
static bool set_client(weft_connection *c, const char *text)
{
    size_t size = strlen(text) + 1;
    weft_mem_free(c->client);
    c->client = weft_mem_alloc(size);
    if (c->client)
        memcpy(c->client, text, size);
    return c->client;
}

static const char *peer_of(const weft_connection *c, char text[ADDRESS_ROOM])
{
    weft_transport_peer(&c->transport, text, ADDRESS_ROOM);
    return c->transport.is_tcp ? without_port(text) : strncmp(text, "unix", 4) == 0 ? "unix" : text;
}

void weft_connection_note_client(weft_connection *c)
{
    char text[ADDRESS_ROOM];
    (void)set_client(c, peer_of(c, text)); /* asked for again by who needs it */
}

const char *weft_client_address(const weft_request *req)
{
    weft_connection *c = req->connection;
    if (!c->client)
        weft_connection_note_client(c);
    return c->client ? c->client : "unknown";
}

/* ---- trust ---- */

/* The next of the parts of a list that commas separate, from *at on; its size. */
static size_t next_part(const char **at, const char **ret_part)
{
    *ret_part = *at;
    size_t size = strcspn(*at, ",");
    *at += size + ((*at)[size] == ',');
    return size;
}

int weft_app_set_trusted(weft_app *app, const char *list)
{
    size_t count = 1;
    for (const char *at = list; *at; at++)
        count += *at == ',';
    weft_network *networks = weft_mem_calloc(count, sizeof *networks);
    if (!networks)
        return -ENOMEM;
    const char *at = list, *part;
    for (size_t i = 0; i < count; i++) {
        size_t size = next_part(&at, &part);
        if (weft_network_parse(&networks[i], part, size) == 0)
            continue;
        weft_log(WEFT_LOG_ERROR, "\"%.*s\" is no network to trust", (int)(size < 80 ? size : 80), part);
        weft_mem_free(networks);
        return -EINVAL;
    }
    weft_mem_free(app->trusted);
    app->trusted = networks;
    app->trusted_count = count;
    return 0;
}

static bool is_trusted(const weft_app *app, int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_storage room;
    } peer;
    socklen_t size = sizeof peer;
    memset(&peer, 0, sizeof peer);
    if (getpeername(fd, &peer.any, &size) < 0)
        return false;
    for (size_t i = 0; i < app->trusted_count; i++)
        if (weft_network_has(&app->trusted[i], &peer.any))
            return true;
    return false;
}

/* ---- the header ---- */

bool weft_connection_take_proxy(weft_connection *c)
{
    weft_proxy_header header;
    size_t limit = c->server->app->settings.proxy_header_limit;
    int64_t size = weft_proxy_read(&header, c->input.at, c->input.size, limit);
    if (size == 0 && !c->has_ended)
        return false;
    if (size <= 0) {
        bool is_large = size < 0 && weft_proxy_is_too_large(c->input.at, c->input.size, limit);
        if (is_large)
            weft_connection_end_by(c, WEFT_LIMIT_PROXY_HEADER);
        weft_connection_blame(c, WEFT_END_NO_PROXY);
        weft_connection_close(c, true);
        return false;
    }
    weft_input_consume(&c->input, (size_t)size);
    if (header.client[0] && !set_client(c, header.client)) { /* whoever asks would be told the balancer's address */
        weft_connection_blame(c, WEFT_END_NO_MEMORY);
        weft_connection_close(c, true);
        return false;
    }
    c->awaits_proxy = false;
    weft_server_set_phase(c->server, c, WEFT_PHASE_IDLE);
    return true;
}

/* ---- before TLS ---- */

static void give_to_tls(weft_connection *c, weft_transport *clear)
{
    weft_input rest = c->input; /* the connection's own is for what TLS finds in it */
    c->input = (weft_input){ 0 };
    clear->events = &weft_tls_inner_events;
    if (rest.size > 0)
        clear->events->input(clear, rest.at, (int64_t)rest.size);
    weft_input_free(&rest);
}

static void on_clear_input(weft_transport *clear, char *data, int64_t size)
{
    weft_connection *c = CONTAINER_OF(weft_tls_outer(clear), weft_connection, transport);
    if (size <= 0) { /* TLS tells the connection */
        clear->events = &weft_tls_inner_events;
        clear->events->input(clear, data, size);
        return;
    }
    if (c->state >= WEFT_CONNECTION_LINGER)
        return;
    bool is_kept = weft_input_add(&c->input, data, (size_t)size);
    if (is_kept && weft_connection_take_proxy(c))
        give_to_tls(c, clear);
    else if (is_kept)
        is_kept = weft_input_keep(&c->input); /* until more has come; when it was reset there is nothing to keep */
    if (!is_kept) {
        weft_connection_blame(c, WEFT_END_NO_MEMORY);
        weft_connection_close(c, true);
    }
    weft_connection_weigh(c);
}

static void on_clear_drained(weft_transport *clear, int error)
{
    weft_tls_inner_events.drained(clear, error);
}

static void on_clear_closed(weft_transport *clear)
{
    weft_tls_inner_events.closed(clear);
}

static const weft_transport_events clear_events = {
    .input = on_clear_input,
    .drained = on_clear_drained,
    .closed = on_clear_closed,
};

/* ---- beginning ---- */

void weft_connection_await_proxy(weft_connection *c)
{
    c->awaits_proxy = true;
    weft_server_set_phase(c->server, c, WEFT_PHASE_PROXY);
    if (weft_tls_is(&c->transport))
        weft_tls_inner(&c->transport)->events = &clear_events;
}

void weft_connection_start_behind_proxy(weft_connection *c, int fd)
{
    bool is_welcome = is_trusted(c->server->app, fd);
    weft_connection_start(c);
    if (c->state == WEFT_CONNECTION_CLOSING)
        return;
    if (is_welcome) {
        weft_connection_await_proxy(c);
        return;
    }
    weft_connection_blame(c, WEFT_END_NO_PROXY);
    weft_connection_close(c, true);
}
