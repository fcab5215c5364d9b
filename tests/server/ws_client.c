/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
#include "ws_client.h"

#include <stdarg.h>

char seen[4096];
static size_t seen_size;

void seen_forget(void)
{
    seen_size = 0;
    seen[0] = '\0';
}

void see(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(seen + seen_size, sizeof seen - seen_size, format, args);
    va_end(args);
    if (n > 0 && (size_t)n < sizeof seen - seen_size)
        seen_size += (size_t)n;
}

bool seen_is(const char *expected)
{
    if (strcmp(seen, expected) == 0)
        return true;
    printf("# expected \"%s\", seen \"%s\"\n", expected, seen);
    return false;
}

static int echo(weft_request *req)
{
    weft_ws *ws;
    weft_message msg;
    int rc;
    WEFT_TRY(weft_ws_accept(req, &ws));
    while ((rc = weft_ws_receive(ws, &msg)) > 0)
        WEFT_TRY(weft_ws_send(ws, &msg));
    see("end %d %d(%s);", rc, weft_ws_close_code(ws), weft_ws_close_reason(ws));
    return rc;
}

weft_app *ws_app(void)
{
    weft_app *app = harness_app();
    weft_get(app, "/ws", echo);
    seen_forget();
    return app;
}

void ws_open(client *c, weft_server *server, const char *path)
{
    char request[600];
    int size = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\n" WS_FIELDS "\r\n", path);
    WEFT_CHECK(client_open(c, server, 256 * 1024) == 0);
    WEFT_CHECK(client_send(c, request, (size_t)size) == 0);
    settle();
    CHECK_GOT(c, WS_SWITCH(""));
    client_forget(c);
}

int ws_next_frame(const client *c, size_t *at, const char **ret_data, size_t *ret_size)
{
    const unsigned char *p = (const unsigned char *)c->got + *at;
    size_t left = c->got_size - *at, header = 2;
    if (left < 2)
        return -1;
    uint64_t size = p[1];
    if (size >= 126) {
        int more = size == 126 ? 2 : 8;
        if (left < 2 + (size_t)more)
            return -1;
        size = 0;
        for (int i = 0; i < more; i++)
            size = size << 8 | p[2 + i];
        header = 2 + (size_t)more;
    }
    if (left < header + size)
        return -1;
    *ret_data = (const char *)p + header;
    *ret_size = (size_t)size;
    *at += header + (size_t)size;
    return p[0];
}
