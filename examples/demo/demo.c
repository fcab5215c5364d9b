/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Everything that Weft can do, on one port: `GET /` lists it. needs: libcrypto; with: chat/chat.c */
#include <weft.h>

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

void chat_add(weft_app *app); /* chat.c */

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

/* A number from 0 to `most`; the client's mistake if it is none. */
static int parse_number(const char *text, int64_t most, int64_t *ret_number)
{
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || n > most)
        return weft_fail(WEFT_EHTTP(400), "not a number from 0 to %lld: %s", (long long)most, text);
    *ret_number = n;
    return 0;
}

static int sleep_for(weft_request *req)
{
    int64_t ms;
    WEFT_TRY(parse_number(weft_param(req, "ms"), 600000, &ms));
    WEFT_TRY(weft_sleep(ms * WEFT_MILLISECOND));
    return weft_reply_text(req, 200, "slept %d ms\n", (int)ms);
}

/* A line every 100 ms, chunked; ?n= says how many. */
static int stream(weft_request *req)
{
    const char *text = weft_query(req, "n");
    int64_t n = 10;
    if (text)
        WEFT_TRY(parse_number(text, 1000000, &n));
    WEFT_TRY(weft_reply_stream(req, 200, "text/plain; charset=utf-8", -1));
    for (int64_t i = 1; i <= n; i++) {
        char line[32];
        WEFT_TRY(weft_write(req, line, (size_t)snprintf(line, sizeof line, "line %lld\n", (long long)i)));
        if (i < n)
            WEFT_TRY(weft_sleep(100 * WEFT_MILLISECOND));
    }
    return 0;
}

/* So many bytes, of declared length, in flat memory. */
static int download(weft_request *req)
{
    static const char block[64 * 1024];
    int64_t size;
    WEFT_TRY(parse_number(weft_param(req, "size"), (int64_t)1 << 40, &size));
    WEFT_TRY(weft_reply_stream(req, 200, "application/octet-stream", size));
    for (int64_t left = size; left > 0; left -= (int64_t)sizeof block)
        WEFT_TRY(weft_write(req, block, left < (int64_t)sizeof block ? (size_t)left : sizeof block));
    return 0;
}

static void free_digest(void *digest)
{
    EVP_MD_CTX_free(digest);
}

/* A body of any size, in flat memory: its length and SHA-256. */
static int upload(weft_request *req)
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    if (!digest)
        return -ENOMEM;
    int rc = weft_defer(free_digest, digest);
    if (rc < 0) {
        free_digest(digest);
        return rc;
    }
    if (!EVP_DigestInit_ex(digest, EVP_sha256(), NULL))
        return -ENOMEM;
    char buf[16 * 1024], hex[2 * 32 + 1];
    unsigned char sum[32];
    int64_t n, total = 0;
    while ((n = weft_body_read(req, buf, sizeof buf)) > 0) {
        EVP_DigestUpdate(digest, buf, (size_t)n);
        total += n;
    }
    WEFT_TRY((int)n);
    EVP_DigestFinal_ex(digest, sum, NULL);
    for (int i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", sum[i]);
    return weft_reply_json(req, 200, "{s:I, s:s}", "length", (long long)total, "sha256", hex);
}

/* Each message comes back as it is. */
static int ws_echo(weft_request *req)
{
    weft_ws *ws;
    weft_message msg;
    int rc;
    WEFT_TRY(weft_ws_accept(req, &ws));
    while ((rc = weft_ws_receive(ws, &msg)) > 0)
        WEFT_TRY(weft_ws_send(ws, &msg));
    return rc;
}

/* Each message goes as it came to every member of the room, the sender included. */
static int ws_chat(weft_request *req)
{
    weft_ws *ws;
    weft_member *me;
    weft_message msg;
    int rc;
    WEFT_TRY(weft_ws_accept(req, &ws));
    WEFT_TRY(weft_room_join(ws, weft_param(req, "room"), &me));
    while ((rc = weft_ws_receive(ws, &msg)) > 0)
        (void)weft_room_send(me, &msg);
    return rc;
}

/* A tick every second; who comes back goes on with the number after its last. */
static int events(weft_request *req)
{
    const char *last = weft_events_last_id(req);
    int64_t n = 0;
    if (last)
        WEFT_TRY(parse_number(last, INT32_MAX, &n));
    WEFT_TRY(weft_events_begin(req));
    for (;;) {
        char id[24], data[32];
        snprintf(id, sizeof id, "%lld", (long long)++n);
        snprintf(data, sizeof data, "tick %lld", (long long)n);
        WEFT_TRY(weft_events_send(req, .name = "tick", .id = id, .data = data));
        WEFT_TRY(weft_sleep(WEFT_SECOND));
    }
}

static int healthz(weft_request *req)
{
    return weft_reply_text(req, 200, "ok\n");
}

/* Not ready once it stops: balancers send no new clients then. */
static int readyz(weft_request *req)
{
    return weft_stopping(req) ? weft_reply_text(req, 503, "stopping\n") : weft_reply_text(req, 200, "ready\n");
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
    weft_get(app, "/stream", stream);
    weft_get(app, "/download/{size}", download);
    weft_post(app, "/upload", upload, .body_limit = WEFT_NO_LIMIT);
    weft_get(app, "/ws/echo", ws_echo);
    weft_get(app, "/ws/chat/{room}", ws_chat);
    weft_get(app, "/events", events);
    chat_add(app);
    weft_get(app, "/healthz", healthz);
    weft_get(app, "/readyz", readyz);
    return weft_app_main(app, argc, argv);
}
