/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* N8: a broadcast server: register, loop over messages, broadcast, unregister whatever happens. Here with its clients. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <weft.h>

static weft_rooms *rooms;

static int broadcast(weft_request *req)
{
    weft_ws *ws;
    weft_member *me;
    weft_message msg;
    int rc;
    WEFT_TRY(weft_ws_accept(req, &ws));
    WEFT_TRY(weft_room_join(ws, "all", &me, .rooms = rooms)); /* left when the handler ends, however it ends */
    while ((rc = weft_ws_receive(ws, &msg)) > 0)
        (void)weft_room_send(me, &msg);
    return rc;
}

/* ---- clients, by hand ---- */

struct client {
    const char *name;
    weft_stream *stream;
};

static int read_all(weft_stream *s, char *buf, size_t size)
{
    for (int64_t n; size > 0; buf += n, size -= (size_t)n)
        if ((n = weft_stream_read(s, buf, size)) <= 0)
            return n < 0 ? (int)n : WEFT_EGONE;
    return 0;
}

static int join(struct client *c, int port)
{
    static const char handshake[] = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                                    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    char place[32], last[5] = "";
    snprintf(place, sizeof place, "127.0.0.1:%d", port);
    WEFT_TRY(weft_connect(&c->stream, place));
    WEFT_TRY(weft_stream_write(c->stream, handshake, sizeof handshake - 1));
    while (memcmp(last, "\r\n\r\n", 4) != 0) {
        memmove(last, last + 1, 3);
        WEFT_TRY(read_all(c->stream, last + 3, 1));
    }
    return 0;
}

static int say(struct client *c, const char *text)
{
    char frame[6 + 125] = { (char)0x81, (char)(0x80 | strlen(text)) }; /* a text, masked with zeros */
    memcpy(frame + 6, text, strlen(text));
    return weft_stream_write(c->stream, frame, 6 + strlen(text));
}

static int hear(struct client *c)
{
    char header[2], text[126] = "";
    WEFT_TRY(read_all(c->stream, header, 2));
    WEFT_TRY(read_all(c->stream, text, (size_t)header[1]));
    printf("%s hears: %s\n", c->name, text);
    return 0;
}

static int meet(void *arg)
{
    struct client all[] = { { "Ada", NULL }, { "Bob", NULL }, { "Cy", NULL } };
    for (int i = 0; i < 3; i++)
        WEFT_TRY(join(&all[i], *(int *)arg));
    while (weft_rooms_stats(rooms).members < 3)
        WEFT_TRY(weft_sleep(WEFT_MILLISECOND));
    WEFT_TRY(say(&all[0], "hello"));
    for (int i = 0; i < 3; i++)
        WEFT_TRY(hear(&all[i]));
    weft_stream_close(all[1].stream); /* Bob goes without a word */
    while (weft_rooms_stats(rooms).members > 2)
        WEFT_TRY(weft_sleep(WEFT_MILLISECOND));
    WEFT_TRY(say(&all[2], "where is Bob?"));
    WEFT_TRY(hear(&all[0]));
    WEFT_TRY(hear(&all[2]));
    weft_stream_close(all[0].stream);
    weft_stream_close(all[2].stream);
    return 0;
}

/* ---- the server, in a thread of its own ---- */

static void *serve(void *app)
{
    return weft_app_serve(app) < 0 ? app : NULL;
}

int main(void)
{
    static const char *const places[] = { "127.0.0.1:0" };
    weft_app *app = weft_app_new();
    const weft_app_options options = {
        .struct_size = sizeof options, .listen = places, .listen_count = 1, .log_level_is_set = true
    };
    rooms = weft_rooms_new(app, 0);
    weft_get(app, "/", broadcast);
    pthread_t server;
    void *has_failed = NULL;
    if (weft_app_configure(app, &options) < 0 || pthread_create(&server, NULL, serve, app) != 0)
        return 1;
    int port = 0;
    for (int i = 0; i < 5000 && port == 0; i++) { /* until it listens */
        usleep(1000);
        port = weft_app_port(app, 0);
    }
    int rc = port ? weft_run(meet, &port) : -1;
    weft_app_stop(app);
    pthread_join(server, &has_failed);
    weft_app_free(app);
    return rc < 0 || has_failed ? 1 : 0;
}
