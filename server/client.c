/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Whose a connection is: its peer's address, or what a trusted balancer tells in a PROXY header.
 *
 * With networks to trust, every connection over a socket must come from one of them and begin with a header. One from elsewhere
 * is reset, and so is one without a header: to guess whether there is one would let anybody choose his address, which the
 * protocol's specification forbids for that reason. Nothing is answered, as the other end is no HTTP client.
 */
#include <errno.h>
#include <string.h>
#include <sys/un.h>

#include "lib/base/check.h"
#include "lib/base/memory.h"
#include "lib/http/proxy.h"
#include "lib/net/network.h"
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

static void set_client(weft_connection *c, const char *text)
{
    size_t size = strlen(text) + 1;
    weft_mem_free(c->client);
    c->client = weft_mem_alloc(size);
    if (c->client)
        memcpy(c->client, text, size);
}

static const char *peer_of(const weft_connection *c, char text[ADDRESS_ROOM])
{
    weft_transport_peer(&c->transport, text, ADDRESS_ROOM);
    return c->transport.is_tcp ? without_port(text) : strncmp(text, "unix", 4) == 0 ? "unix" : text;
}

void weft_connection_note_client(weft_connection *c)
{
    char text[ADDRESS_ROOM];
    set_client(c, peer_of(c, text));
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

void weft_connection_await_proxy(weft_connection *c)
{
    c->awaits_proxy = true;
    weft_server_set_phase(c->server, c, WEFT_PHASE_PROXY);
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
    if (header.client[0])
        set_client(c, header.client);
    c->awaits_proxy = false;
    weft_server_set_phase(c->server, c, WEFT_PHASE_IDLE);
    return true;
}
