/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* The peer of the WebSocket table in C: libwebsockets, one thread, echoing each message whole. lws_ws PORT */
#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>

struct session {
    unsigned char *data; /* LWS_PRE bytes for the library, then the message */
    size_t size, room;
    int is_binary, is_due; /* the library also says that one may write when nobody has asked */
};

static int add(struct session *s, const void *in, size_t size)
{
    if (s->size + size > s->room) {
        size_t room = 2 * (s->size + size);
        unsigned char *data = realloc(s->data, LWS_PRE + room);
        if (!data)
            return -1;
        s->data = data;
        s->room = room;
    }
    if (size > 0)
        memcpy(s->data + LWS_PRE + s->size, in, size);
    s->size += size;
    return 0;
}

static int receive(struct lws *wsi, struct session *s, const void *in, size_t size)
{
    if (lws_is_first_fragment(wsi))
        s->size = 0;
    s->is_binary = lws_frame_is_binary(wsi);
    if (add(s, in, size) < 0)
        return -1;
    if (lws_is_final_fragment(wsi) && lws_remaining_packet_payload(wsi) == 0) {
        s->is_due = 1;
        lws_callback_on_writable(wsi);
    }
    return 0;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t size)
{
    struct session *s = user;
    switch (reason) {
    case LWS_CALLBACK_RECEIVE:
        return receive(wsi, s, in, size);
    case LWS_CALLBACK_SERVER_WRITEABLE:
        if (!s->is_due)
            return 0;
        s->is_due = 0;
        return lws_write(wsi, s->data + LWS_PRE, s->size, s->is_binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT) < 0 ? -1 : 0;
    case LWS_CALLBACK_CLOSED:
        free(s->data);
        s->data = NULL;
        return 0;
    default:
        return 0;
    }
}

int main(int argc, char **argv)
{
    static const struct lws_protocols protocols[] = {
        { .name = "echo", .callback = on_event, .per_session_data_size = sizeof(struct session), .rx_buffer_size = 65536 },
        { .name = NULL },
    };
    struct lws_context_creation_info info = { .protocols = protocols, .iface = "127.0.0.1", .gid = -1, .uid = -1 };
    if (argc != 2)
        return 2;
    info.port = (int)strtol(argv[1], NULL, 10);
    lws_set_log_level(LLL_ERR, NULL);
    struct lws_context *context = lws_create_context(&info);
    if (!context)
        return 1;
    while (lws_service(context, 0) >= 0)
        continue;
    lws_context_destroy(context);
    return 0;
}
