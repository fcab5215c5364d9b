/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Peers that do not read, that send more than is taken, and floods: of pings, and of tiny fragments. */
#include "ws_client.h"

static weft_app *app;
static weft_server *server;

static void open_server(void)
{
    app = ws_app();
    server = harness_open(app);
}

static int close_server(void)
{
    harness_close(server);
    weft_app_free(app);
    return 0;
}

enum { FLOOD = 200, PIECE = 5000 };

static int floods(weft_request *req)
{
    weft_ws *ws;
    char bytes[PIECE];
    WEFT_TRY(weft_ws_accept(req, &ws));
    for (int i = 0; i < FLOOD; i++) {
        memset(bytes, i, sizeof bytes);
        weft_message msg = { bytes, sizeof bytes, false };
        int rc = weft_ws_send_with(ws, &msg, WEFT_WS_SENDING(.no_wait = true));
        if (rc == -EAGAIN) {
            see("%s", strchr(seen, 'w') ? "" : "w");
            WEFT_CHECK(weft_outbox_is_high(&ws->outbox) && ws->outbox.size <= WEFT_OUTBOX_SIZE_HIGH + sizeof bytes + 10);
            rc = weft_ws_send(ws, &msg);
        }
        if (rc < 0) {
            see("%d at %d;", rc, i);
            return rc;
        }
    }
    see("all;");
    return 0;
}

static int a_sender_waits(void)
{
    client c;
    open_server();
    weft_get(app, "/floods", floods);
    WEFT_CHECK(client_open(&c, server, 4096) == 0);
    client_stop(&c);
    client_send(&c, TEXT(WS_GET("/floods")));
    WEFT_CHECK(weft_sleep(20 * WEFT_SECOND) == 0);
    CHECK_SEEN("w");
    client_read(&c);
    for (int i = 0; i < 1000 && !strchr(seen, ';'); i++)
        settle();
    CHECK_SEEN("wall;");
    settle();
    const char *blank = strstr(c.got, "\r\n\r\n"), *data;
    size_t at = blank ? (size_t)(blank + 4 - c.got) : 0, size;
    for (int i = 0; i < FLOOD; i++) {
        WEFT_CHECK(ws_next_frame(&c, &at, &data, &size) == 0x82 && size == PIECE);
        WEFT_CHECK(data[0] == (char)i && data[PIECE - 1] == (char)i);
    }
    client_close(&c, true);
    return close_server();
}

static int a_peer_that_never_reads_is_dropped(void)
{
    client c;
    open_server();
    weft_get(app, "/floods", floods);
    WEFT_CHECK(client_open(&c, server, 4096) == 0);
    client_stop(&c);
    client_send(&c, TEXT(WS_GET("/floods")));
    for (int i = 0; i < 29; i++) { /* it does send */
        WEFT_CHECK(weft_sleep(WEFT_SECOND) == 0);
        client_send(&c, TEXT("\x8a\x80" Z));
    }
    CHECK_SEEN("w");
    WEFT_CHECK(weft_sleep(3 * WEFT_SECOND) == 0);
    WEFT_CHECK(strncmp(seen, "w-4004 at ", 10) == 0);
    WEFT_CHECK(server->counts.closed[WEFT_END_LIMIT] == 1 && server->counts.limits[WEFT_LIMIT_WRITE_TIME] == 1);
    client_close(&c, true);
    return close_server();
}

static int a_flood_of_pings_costs_one_pong_a_read(void)
{
    enum { PINGS = 10000 };
    client c;
    weft_app_options options = { .struct_size = sizeof options, .websocket_control_rate = 1000 * 1000 };
    app = ws_app();
    WEFT_CHECK(weft_app_configure(app, &options) == 0);
    server = harness_open(app);
    ws_open(&c, server, "/ws");
    char *pings = malloc(PINGS * 6);
    for (int i = 0; i < PINGS; i++)
        memcpy(pings + i * 6, "\x89\x80" Z, 6);
    client_send(&c, pings, PINGS * 6);
    settle();
    settle();
    WEFT_CHECK(c.got_size > 0 && c.got_size <= 20);
    client_stop(&c); /* and one that does not read its pongs makes nothing grow */
    for (int i = 0; i < 2000; i++) {
        client_send(&c, pings, 600);
        if (i % 10 == 0)
            settle();
    }
    weft_ws *ws = CONTAINER_OF(c.connection->upgrade, weft_ws, upgrade);
    WEFT_CHECK(ws->outbox.count <= WEFT_OUTBOX_COUNT_HIGH + 1);
    client_forget(&c);
    client_read(&c);
    settle();
    settle();
    WEFT_CHECK(c.got_size >= 2 && memcmp(c.got + c.got_size - 2, "\x8a\0", 2) == 0); /* the last is answered in the end */
    free(pings);
    client_close(&c, true);
    return close_server();
}

static int takes_parts(weft_request *req)
{
    weft_ws *ws;
    weft_part part;
    size_t size = 0;
    int rc;
    WEFT_TRY(weft_ws_accept(req, &ws, .fragment_limit = 3)); /* which does not hold for parts */
    while ((rc = weft_ws_receive_part(ws, &part)) > 0 && !part.is_last)
        size += part.size;
    see("%zu;", size);
    return rc < 0 ? rc : 0;
}

/* A message of 100,000 fragments, two of three of them empty: what is held for it is as little as for one of a few. */
static int a_flood_of_tiny_fragments_makes_nothing_grow(void)
{
    enum { FRAGMENTS = 100000 };
    client c;
    open_server();
    weft_get(app, "/parts", takes_parts);
    ws_open(&c, server, "/parts");
    client_send(&c, TEXT("\x02\x80" Z));
    uint64_t most = 0;
    for (int i = 0; i < FRAGMENTS / 3; i++) {
        client_send(&c, TEXT("\x00\x80" Z "\x00\x80" Z "\x00\x81" Z "x"));
        if (i % 1000 == 0)
            settle();
        most = server->counts.buffered > most ? server->counts.buffered : most;
    }
    client_send(&c, TEXT("\x80\x80" Z));
    settle();
    char words[32];
    snprintf(words, sizeof words, "%d;", FRAGMENTS / 3);
    CHECK_SEEN(words);
    WEFT_CHECK(most <= 128 * 1024);
    client_close(&c, true);
    return close_server();
}

/* A handler that does not receive slows its peer down: what is unread stays small. */
static int sleeps(weft_request *req)
{
    weft_ws *ws;
    weft_message msg;
    WEFT_TRY(weft_ws_accept(req, &ws));
    WEFT_TRY(weft_sleep(WEFT_HOUR));
    int rc, n = 0;
    while ((rc = weft_ws_receive(ws, &msg)) > 0)
        n += msg.size == 1000;
    see("%d;", n);
    return rc;
}

static int a_peer_is_slowed_down(void)
{
    enum { COUNT_SENT = 100 };
    client c;
    char frame[1008] = "\x82\xfe\x03\xe8" Z;
    open_server();
    weft_get(app, "/sleeps", sleeps);
    WEFT_CHECK(client_open(&c, server, 4096) == 0);
    client_send(&c, TEXT(WS_GET("/sleeps")));
    for (int i = 0; i < COUNT_SENT; i++)
        client_send(&c, frame, sizeof frame);
    settle();
    WEFT_CHECK(c.connection->input.size >= 8 * 1024 && c.connection->input.size <= 64 * 1024 && c.t.queued > 0);
    WEFT_CHECK(weft_sleep(WEFT_HOUR) == 0); /* not taken for dead meanwhile: it is we who do not listen */
    client_send(&c, TEXT("\x88\x80" Z));
    settle();
    CHECK_SEEN("100;");
    client_close(&c, false);
    return close_server();
}

int main(int argc, char **argv)
{
    static const weft_test tests[] = {
        TEST(a_sender_waits),
        TEST(a_peer_that_never_reads_is_dropped),
        TEST(a_flood_of_pings_costs_one_pong_a_read),
        TEST(a_flood_of_tiny_fragments_makes_nothing_grow),
        TEST(a_peer_is_slowed_down),
    };
    return weft_test_main(tests, COUNT(tests), argc, argv);
}
