/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Everything that Weft can do, on one port: `GET /` lists it. */
#include <weft.h>

#include <stdlib.h>
#include <string.h>

/* page.html, by embed.py */
extern const char demo_page[];
extern const size_t demo_page_size;

static int front(weft_request *req)
{
    return weft_reply_bytes(req, 200, "text/html; charset=utf-8", demo_page, demo_page_size);
}

static int hello(weft_request *req)
{
    return weft_reply_text(req, 200, "Hello, %s!", weft_param_or(req, "name", "Anonymous"));
}

static int plaintext(weft_request *req)
{
    return weft_reply_bytes(req, 200, "text/plain", "Hello, World!", 13);
}

static int json(weft_request *req)
{
    return weft_reply_json(req, 200, "{s:s}", "message", "Hello, World!");
}

static int echo(weft_request *req)
{
    weft_bytes body;
    WEFT_TRY(weft_body(req, &body));
    const char *type = weft_header(req, "Content-Type");
    return weft_reply_bytes(req, 200, type ? type : "application/octet-stream", body.data, body.size);
}

static int sleep_for(weft_request *req)
{
    const char *text = weft_param(req, "ms");
    char *end;
    long ms = strtol(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || ms > 600000)
        return weft_fail(WEFT_EHTTP(400), "not a number of milliseconds from 0 to 600000: %s", text);
    WEFT_TRY(weft_sleep(ms * WEFT_MILLISECOND));
    return weft_reply_text(req, 200, "slept %d ms\n", (int)ms);
}

static int healthz(weft_request *req)
{
    return weft_reply_text(req, 200, "ok\n");
}

int main(int argc, char **argv)
{
    weft_app *app = weft_app_new();
    weft_get(app, "/", front);
    weft_get(app, "/hello", hello);
    weft_get(app, "/hello/{name}", hello);
    weft_get(app, "/plaintext", plaintext);
    weft_get(app, "/json", json);
    weft_post(app, "/echo", echo);
    weft_get(app, "/sleep/{ms}", sleep_for, .timeout = 11 * WEFT_MINUTE);
    weft_get(app, "/healthz", healthz);
    return weft_app_main(app, argc, argv);
}
