/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Requests through the server's own connection code, over a stream in memory: no kernel, no second process. For callgrind,
 * which counts what a request executes; run it with two counts, and the difference is requests and nothing else.
 *
 *     request_instructions CASE=COUNT
 *
 *     plain      GET /plaintext
 *     hello      GET /hello/{name}
 *     pipelined  GET /plaintext, sixteen at once
 *     browser    GET /plaintext with a browser's head of 600 bytes
 *     others     GET /plaintext?n=..., which is another number each time, so that no head is as the one before
 *     browsers   the same with a browser's head
 *     echo       a WebSocket's binary message of 64 bytes, echoed by a loop in a handler
 *     served     the same, echoed by a callback
 *     stream     a peer that sends the same bytes back without being a server: what of the others is the stream's and ours
 *
 * The client works in callbacks and sends the next requests as soon as it has all replies to the last. Each reply must be 200
 * (an echo: a binary frame) and have the size of the first.
 */
#include <weft/app.h>
#include <weft/queue.h>
#include <weft/ws.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/connection.h"

#define BATCH_MAX 16
#define HOST      "Host: localhost:8080\r\n"
#define REPLY     "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 13\r\n\r\nHello, World!"

static const char plain_request[] = "GET /plaintext HTTP/1.1\r\n" HOST "\r\n";
static const char hello_request[] = "GET /hello/World HTTP/1.1\r\n" HOST "\r\n";
#define BROWSER                                                                                                                \
    HOST "Connection: keep-alive\r\n"                                                                                          \
         "sec-ch-ua: \"Chromium\";v=\"128\", \"Not;A=Brand\";v=\"24\"\r\nsec-ch-ua-mobile: ?0\r\n"                             \
         "sec-ch-ua-platform: \"Linux\"\r\nUpgrade-Insecure-Requests: 1\r\n"                                                   \
         "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 "                \
         "Safari/537.36\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8\r\n"             \
         "Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n"                                    \
         "Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\n"                                     \
         "Cookie: session=0123456789abcdef0123456789\r\n\r\n"

static const char browser_request[] = "GET /plaintext HTTP/1.1\r\n" BROWSER;

/* The digits are another number each time. */
#define OTHERS "GET /plaintext?n=00000000 HTTP/1.1\r\n"
enum { DIGITS_AT = 17, DIGITS = 8 };
static const char others_request[] = OTHERS HOST "\r\n";
static const char browsers_request[] = OTHERS BROWSER;

#define UPGRADE(path)                                                                                                          \
    "GET " path " HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"              \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

/* 64 bytes under the mask "mask". */
static const char frame[] = "\x82\xc0maskabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz0123456789ab";
static const char ok[] = "HTTP/1.1 200 OK\r\n", echoed[] = "\x82\x40";

static const struct kind {
    const char *name, *request;
    int batch;
    bool has_server;
    const char *opening, *reply; /* what is asked first, if anything; what replies begin with */
} kinds[] = {
    { "plain", plain_request, 1, true, NULL, ok },
    { "hello", hello_request, 1, true, NULL, ok },
    { "pipelined", plain_request, BATCH_MAX, true, NULL, ok },
    { "browser", browser_request, 1, true, NULL, ok },
    { "others", others_request, 1, true, NULL, ok },
    { "browsers", browsers_request, 1, true, NULL, ok },
    { "echo", frame, 1, true, UPGRADE("/echo"), echoed },
    { "served", frame, 1, true, UPGRADE("/served"), echoed },
    { "stream", plain_request, 1, false, NULL, ok },
};

struct client {
    weft_transport transport;
    weft_transport peer; /* without a server */
    const struct kind *kind;
    char requests[BATCH_MAX * 1024];
    size_t request_size; /* of one */
    size_t reply_size;   /* of one; 0 until the first has come */
    bool is_opening;     /* the answer to kind->opening is awaited */
    size_t got, awaited; /* bytes of the replies to the present batch */
    long left;           /* batches to send after this one */
    weft_queue *done;    /* gets the result: 0, or an error */
};

static void finish(struct client *c, int result)
{
    if (weft_queue_try_put(c->done, &result) < 0)
        fprintf(stderr, "request_instructions: finished twice\n");
}

static void count_up(char *digits)
{
    int i = DIGITS - 1;
    for (; i >= 0 && digits[i] == '9'; i--)
        digits[i] = '0';
    if (i >= 0)
        digits[i]++;
}

static void send_batch(struct client *c, int count)
{
    struct iovec part = { c->requests, c->request_size * (size_t)count };
    if (c->kind->request == others_request || c->kind->request == browsers_request)
        count_up(c->requests + DIGITS_AT);
    c->got = 0;
    c->awaited = c->reply_size * (size_t)count;
    int rc = weft_transport_send(&c->transport, &part, 1);
    if (rc < 0)
        finish(c, rc);
}

/* The size of the first reply, which must come whole: all others must have it too. 0 if it did not. */
static size_t whole_size(const char *data, size_t size)
{
    static const char field[] = "Content-Length: ";
    const char *length = memmem(data, size, field, sizeof field - 1), *blank = memmem(data, size, "\r\n\r\n", 4);
    if (!length || !blank)
        return 0;
    size_t whole = (size_t)(blank + 4 - data) + strtoul(length + sizeof field - 1, NULL, 10);
    return whole == size ? whole : 0;
}

/* 101 must come whole. */
static void take_switch(struct client *c, const char *data, size_t size)
{
    static const char switching[] = "HTTP/1.1 101 ";
    c->is_opening = false;
    if (size < sizeof switching || memcmp(data, switching, sizeof switching - 1) != 0 ||
        memcmp(data + size - 4, "\r\n\r\n", 4) != 0)
        finish(c, WEFT_EPROTOCOL);
    else
        send_batch(c, 1);
}

static void client_input(weft_transport *t, char *data, int64_t size)
{
    struct client *c = CONTAINER_OF(t, struct client, transport);
    if (size <= 0) {
        finish(c, size ? (int)size : -ECONNRESET);
        return;
    }
    if (c->is_opening) {
        take_switch(c, data, (size_t)size);
        return;
    }
    size_t begin_size = strlen(c->kind->reply);
    if (c->got == 0 && ((size_t)size < begin_size || memcmp(data, c->kind->reply, begin_size) != 0)) {
        fprintf(stderr, "unexpected reply: %.*s\n", (int)size, data);
        finish(c, WEFT_EPROTOCOL);
        return;
    }
    c->got += (size_t)size;
    if (c->reply_size == 0)
        c->awaited = c->reply_size = c->kind->opening ? (size_t)size : whole_size(data, (size_t)size);
    if (c->reply_size == 0 || c->got > c->awaited) {
        finish(c, WEFT_EPROTOCOL);
    } else if (c->got == c->awaited && c->left == 0) {
        finish(c, 0);
    } else if (c->got == c->awaited) {
        c->left--;
        send_batch(c, c->kind->batch);
    }
}

static void nothing_drained(weft_transport *t, int error)
{
    (void)t, (void)error;
}

static void nothing_closed(weft_transport *t)
{
    (void)t;
}

static const weft_transport_events client_events = { .input = client_input,
                                                     .drained = nothing_drained,
                                                     .closed = nothing_closed };

static void peer_input(weft_transport *t, char *data, int64_t size)
{
    (void)data;
    struct iovec reply = { (char *)(uintptr_t)REPLY, sizeof REPLY - 1 };
    if (size > 0 && weft_transport_send(t, &reply, 1) < 0)
        weft_transport_close(t, true);
}

static const weft_transport_events peer_events = { .input = peer_input, .drained = nothing_drained, .closed = nothing_closed };

/* Sends everything, one request alone first, and waits for the last reply. */
static int exchange(struct client *c)
{
    int result = 0;
    WEFT_TRY(weft_transport_read_start(&c->transport));
    c->is_opening = c->kind->opening != NULL;
    if (c->is_opening) {
        struct iovec part = { (char *)(uintptr_t)c->kind->opening, strlen(c->kind->opening) };
        WEFT_TRY(weft_transport_send(&c->transport, &part, 1));
    } else {
        send_batch(c, 1);
    }
    int rc = weft_queue_get(c->done, &result);
    weft_transport_close(&c->transport, false);
    return rc < 0 ? rc : result;
}

static int with_bare_peer(struct client *c)
{
    WEFT_TRY(weft_transport_open_pair(&c->peer, &c->transport, weft_loop_here(), 65536, &peer_events, &client_events));
    int rc = weft_transport_read_start(&c->peer);
    if (rc == 0)
        rc = exchange(c);
    weft_transport_close(&c->peer, false);
    return rc;
}

static int plaintext(weft_request *req)
{
    return weft_reply_text(req, 200, "Hello, World!");
}

static int hello(weft_request *req)
{
    return weft_reply_text(req, 200, "Hello, %s!", weft_param(req, "name"));
}

static int echo(weft_request *req)
{
    weft_ws *ws;
    weft_message msg;
    int rc;
    WEFT_TRY(weft_ws_accept(req, &ws));
    while ((rc = weft_ws_receive(ws, &msg)) > 0)
        WEFT_TRY(weft_ws_send(ws, &msg));
    return rc;
}

static int on_message(weft_ws *ws, const weft_message *msg)
{
    return weft_ws_send(ws, msg);
}

static int served(weft_request *req)
{
    return weft_ws_serve(req, &(weft_ws_handlers){ .message = on_message });
}

static int with_server(struct client *c)
{
    weft_app *app = weft_app_new();
    if (!app)
        return -ENOMEM;
    weft_get(app, "/plaintext", plaintext);
    weft_get(app, "/hello/{name}", hello);
    weft_get(app, "/echo", echo);
    weft_get(app, "/served", served);
    weft_server *server = NULL;
    int rc = weft_server_open(&server, app);
    weft_connection *connection = rc == 0 ? weft_connection_new(server) : NULL;
    if (connection) {
        rc = weft_transport_open_pair(&connection->transport, &c->transport, weft_loop_here(), 65536, &weft_connection_events,
                                      &client_events);
        if (rc == 0) {
            weft_connection_start(connection);
            rc = exchange(c);
        } else {
            weft_connection_abandon(connection);
        }
    }
    if (server) {
        weft_server_drain(server);
        weft_server_close(server);
    }
    weft_app_free(app);
    return rc < 0 || connection ? rc : -ENOMEM;
}

static int run(void *arg)
{
    struct client *c = arg;
    c->done = weft_queue_new(sizeof(int), 1);
    if (!c->done)
        return -ENOMEM;
    int rc = c->kind->has_server ? with_server(c) : with_bare_peer(c);
    weft_queue_free(c->done);
    int slept = weft_sleep(WEFT_MILLISECOND); /* until the closed events have come */
    return rc < 0 ? rc : slept;
}

static const struct kind *find_kind(const char *argument, long *ret_count)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t size = strlen(kinds[i].name);
        if (strncmp(argument, kinds[i].name, size) != 0 || argument[size] != '=')
            continue;
        *ret_count = strtol(argument + size + 1, NULL, 10);
        return *ret_count > 0 ? &kinds[i] : NULL;
    }
    return NULL;
}

int main(int argc, char **argv)
{
    static struct client client;
    long count = 0;
    client.kind = argc == 2 ? find_kind(argv[1], &count) : NULL;
    if (!client.kind) {
        fprintf(stderr, "usage: request_instructions plain|hello|pipelined|browser|others|browsers|echo|served|stream=COUNT\n");
        return 2;
    }
    client.request_size = strlen(client.kind->request);
    for (int i = 0; i < client.kind->batch; i++)
        memcpy(client.requests + (size_t)i * client.request_size, client.kind->request, client.request_size);
    client.left = count / client.kind->batch;
    int rc = weft_run(run, &client);
    if (rc < 0)
        fprintf(stderr, "request_instructions: %s\n", weft_strerror(rc));
    return rc < 0;
}
