/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* WebSockets in rooms, as bytes, over memory and in virtual time. */
#include "harness.h"

#include <weft/room.h>
#include <weft/ws.h>

#include "lib/base/memory.h"
#include "lib/codec/deflate.h"
#include "server/rooms.h"
#include "server/session.h"

#define HANDSHAKE(path)                                                                                                        \
    "GET " path " HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"           \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define MASKED(opcode, size) opcode size "\0\0\0\0" /* a key that changes nothing */
#define SAYS(size, text)     MASKED("\x81", size) text

static weft_app *app;
static weft_rooms *rooms;
static int after_rc, last_rc;

static int chat(weft_request *req)
{
    weft_ws *ws;
    weft_member *me;
    weft_message msg;
    int rc;
    WEFT_TRY(weft_ws_accept(req, &ws));
    WEFT_TRY(weft_room_join(ws, weft_param(req, "room"), &me, .rooms = rooms));
    while ((rc = weft_ws_receive(ws, &msg)) > 0)
        (void)weft_room_send(me, &msg);
    msg = (weft_message){ "late", 4, true };
    after_rc = weft_room_send(me, &msg); /* the seat is there as long as the handler is */
    return last_rc = rc;
}

/* Without a stack: the seat is in the socket's state. */
static int joins(weft_ws *ws)
{
    weft_member *me;
    WEFT_TRY(weft_room_join(ws, "r", &me, .rooms = rooms));
    weft_ws_set(ws, me);
    return 0;
}

static int passes_on(weft_ws *ws, const weft_message *msg)
{
    return weft_room_send((weft_member *)weft_ws_state(ws), msg);
}

static int served(weft_request *req)
{
    const weft_ws_handlers handlers = { .open = joins, .message = passes_on };
    return weft_ws_serve(req, &handlers);
}

/* Works on each message for a while, then sends it back. */
static int dawdles(weft_request *req)
{
    weft_ws *ws;
    weft_message msg;
    int rc;
    WEFT_TRY(weft_ws_accept(req, &ws));
    while ((rc = weft_ws_receive(ws, &msg)) > 0) {
        (void)!weft_sleep(10 * MS);
        WEFT_TRY(weft_ws_send(ws, &msg));
    }
    return rc;
}

static int dawdles_on_message(weft_ws *ws, const weft_message *msg)
{
    (void)!weft_sleep(10 * MS);
    return weft_ws_send(ws, msg);
}

/* One message is for `open`; what comes after it is counted. */
static int counted;

static int open_receives(weft_ws *ws)
{
    weft_message msg;
    WEFT_TRY(weft_ws_receive(ws, &msg));
    return weft_sleep(10 * MS);
}

static int counts(weft_ws *ws, const weft_message *msg)
{
    (void)ws, (void)msg;
    counted++;
    return 0;
}

static int served_after_one(weft_request *req)
{
    const weft_ws_handlers handlers = { .open = open_receives, .message = counts };
    return weft_ws_serve(req, &handlers);
}

static weft_faults end_faults; /* while it ends a stream */

/* Sits in a room while it streams a message, which takes a second. */
static int streams(weft_request *req)
{
    weft_ws *ws;
    weft_member *me;
    WEFT_TRY(weft_ws_accept(req, &ws));
    WEFT_TRY(weft_room_join(ws, "r", &me, .rooms = rooms));
    WEFT_TRY(weft_ws_stream(ws, false));
    WEFT_TRY(weft_sleep(WEFT_SECOND));
    weft_mem_set_faults(&end_faults);
    int rc = weft_ws_stream_end(ws);
    weft_mem_set_faults(NULL);
    WEFT_TRY(rc);
    return weft_sleep(WEFT_SECOND);
}

static int served_slowly(weft_request *req)
{
    const weft_ws_handlers handlers = { .message = dawdles_on_message };
    return weft_ws_serve(req, &handlers);
}

static weft_server *begin(void)
{
    app = harness_app();
    weft_get(app, "/ws/{room}", chat);
    weft_get(app, "/served", served);
    weft_get(app, "/dawdles", dawdles);
    weft_get(app, "/served-slowly", served_slowly);
    weft_get(app, "/served-after-one", served_after_one);
    weft_get(app, "/streams", streams);
    rooms = weft_rooms_new(app, .slow_code = 1008);
    return harness_open(app);
}

static int finish(weft_server *server)
{
    settle();
    WEFT_CHECK(weft_rooms_stats(rooms).members == 0);
    harness_close(server);
    weft_app_free(app);
    return 0;
}

/* Opens, shakes hands and forgets the answer. */
static int open_socket(client *c, weft_server *server, size_t capacity, const char *handshake)
{
    WEFT_TRY(client_open(c, server, capacity));
    client_send(c, handshake, strlen(handshake));
    client_send(c, TEXT("\r\n"));
    settle();
    WEFT_CHECK(strncmp(c->got, "HTTP/1.1 101", 12) == 0);
    client_forget(c);
    return 0;
}

static int everybody_hears(void)
{
    weft_server *server = begin();
    client a, b, c, elsewhere;
    WEFT_TRY(open_socket(&a, server, 4096, HANDSHAKE("/ws/r")));
    WEFT_TRY(open_socket(&b, server, 4096, HANDSHAKE("/ws/r")));
    WEFT_TRY(open_socket(&c, server, 4096, HANDSHAKE("/served")));
    WEFT_TRY(open_socket(&elsewhere, server, 4096, HANDSHAKE("/ws/other")));
    client_send(&a, TEXT(SAYS("\x82", "hi") SAYS("\x83", "two")));
    settle();
    client_send(&c, TEXT(MASKED("\x82", "\x82") "\0\1"));
    settle();
    client *all[] = { &a, &b, &c };
    for (int i = 0; i < 3; i++)
        CHECK_GOT(all[i], "\x81\2hi\x81\3two\x82\2\0\1");
    CHECK_GOT(&elsewhere, "");
    client_close(&b, true); /* left without a word */
    settle();
    WEFT_CHECK(weft_rooms_stats(rooms).members == 3 && last_rc == WEFT_EGONE && after_rc == WEFT_ECLOSED);
    client_send(&a, TEXT(MASKED("\x88", "\x82") "\x03\xe8")); /* left by a close */
    settle();
    WEFT_CHECK(weft_rooms_stats(rooms).members == 2 && last_rc == 0 && after_rc == WEFT_ECLOSED);
    client_close(&a, false);
    client_close(&c, false);
    client_close(&elsewhere, false);
    return finish(server);
}

/* What is said within a turn goes to each member together; each message still counts. */
static int said_in_one_turn(void)
{
    enum { SAID = 40 };
    weft_server *server = begin();
    client early, stuck, deflated;
    char expected[400], large[2000];
    size_t size = 0;
    memset(large, 'z', sizeof large);
    WEFT_TRY(open_socket(&early, server, 100000, HANDSHAKE("/ws/r")));
    WEFT_TRY(open_socket(&stuck, server, 100, HANDSHAKE("/ws/r")));
    WEFT_TRY(open_socket(&deflated, server, 100000,
                         HANDSHAKE("/ws/r") "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n"));
    client_stop(&stuck);
    for (int i = 0; i < SAID; i++) {
        char text[8];
        weft_message msg = { text, (size_t)snprintf(text, sizeof text, "m%d", i), true };
        WEFT_CHECK(weft_room_publish(rooms, "r", &msg) == 0);
        size += (size_t)snprintf(expected + size, sizeof expected - size, "\x81%c%s", (char)msg.size, text);
    }
    weft_message msg = { large, sizeof large, true };
    WEFT_CHECK(weft_room_publish(rooms, "r", &msg) == 0);
    settle();
    WEFT_CHECK(early.got_size == size + 2004 && memcmp(early.got, expected, size) == 0);
    WEFT_CHECK(deflated.got_size < size + 100 && memcmp(deflated.got, expected, size) == 0);
    const weft_ws *ws = CONTAINER_OF(stuck.connection->upgrade, weft_ws, upgrade);
    /* The first batch is with the transport, which by TLS took it encrypted: as one copy. */
    WEFT_CHECK(ws->outbox.count == SAID + 1 - WEFT_BATCH_MOST || harness_is_by_tls());
    client_read(&stuck);
    settle();
    WEFT_CHECK(stuck.got_size == early.got_size && memcmp(stuck.got, early.got, early.got_size) == 0);
    WEFT_CHECK(weft_rooms_stats(rooms).delivered == 3 * (SAID + 1));
    client *all[] = { &early, &stuck, &deflated };
    for (int i = 0; i < 3; i++)
        client_close(all[i], true);
    return finish(server);
}

/* Two that are to be sent compressed messages, and one that is not: each gets what it can read. */
static int compressed_once(void)
{
    if (!weft_deflate_is_there())
        return 0;
    weft_server *server = begin();
    client plain, small, too;
    static const char deflate[] = HANDSHAKE(
        "/ws/r") "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n";
    WEFT_TRY(open_socket(&plain, server, 100000, HANDSHAKE("/ws/r")));
    WEFT_TRY(open_socket(&small, server, 100000, deflate));
    WEFT_TRY(open_socket(&too, server, 100000, deflate));
    char message[8 + 2000] = "\x81\xfe\x07\xd0\0\0\0\0";
    memset(message + 8, 'z', 2000);
    client_send(&plain, message, sizeof message);
    settle();
    WEFT_CHECK(plain.got_size == 2004 && memcmp(plain.got, "\x81\x7e\x07\xd0zz", 6) == 0);
    WEFT_CHECK(small.got_size < 100 && (unsigned char)small.got[0] == 0xc1);
    WEFT_CHECK(too.got_size == small.got_size && memcmp(too.got, small.got, small.got_size) == 0);
    client_close(&plain, false);
    client_close(&small, false);
    client_close(&too, false);
    return finish(server);
}

/* One that never reads is closed at its bound; the others hear everything at once. */
static int one_never_reads(void)
{
    weft_server *server = begin();
    client stuck, talker;
    WEFT_TRY(open_socket(&stuck, server, 1000, HANDSHAKE("/ws/r")));
    WEFT_TRY(open_socket(&talker, server, 100000, HANDSHAKE("/ws/r")));
    client_stop(&stuck);
    char message[8 + 10000] = "\x81\xfe\x27\x10\0\0\0\0";
    memset(message + 8, 'z', 10000);
    int said = 0;
    for (; said < 1000 && weft_rooms_stats(rooms).members == 2; said++) {
        size_t before = talker.got_size;
        client_send(&talker, message, sizeof message);
        settle();
        WEFT_CHECK(talker.got_size == before + 10004);
    }
    WEFT_CHECK(said > 100 && said < 110 && weft_rooms_stats(rooms).disconnected == 1);
    client_read(&stuck);
    settle();
    const char *close = stuck.got_size > 100 ? memmem(stuck.got, stuck.got_size, "\x03\xf0", 2) : NULL;
    WEFT_CHECK(close && stuck.got_size < 30000); /* 1008 at once, not behind a megabyte */
    client_close(&stuck, false);
    client_close(&talker, false);
    return finish(server);
}

static int stopping(void)
{
    weft_server *server = begin();
    client a, b;
    WEFT_TRY(open_socket(&a, server, 4096, HANDSHAKE("/ws/r")));
    WEFT_TRY(open_socket(&b, server, 4096, HANDSHAKE("/served")));
    weft_server_drain(server);
    settle();
    client *all[] = { &a, &b };
    for (int i = 0; i < 2; i++) {
        WEFT_CHECK(all[i]->got_size > 4 && memcmp(all[i]->got, "\x88", 1) == 0 && memcmp(all[i]->got + 2, "\x03\xe9", 2) == 0);
        client_send(all[i], TEXT(MASKED("\x88", "\x82") "\x03\xe9"));
    }
    settle();
    WEFT_CHECK(a.has_ended && b.has_ended && weft_rooms_stats(rooms).members == 0);
    client_close(&a, false);
    client_close(&b, false);
    return finish(server);
}

/* A message stays what it is while it is worked on, whatever comes meanwhile. */
static int more_comes_meanwhile(void)
{
    weft_server *server = begin();
    const char *const paths[] = { HANDSHAKE("/dawdles"), HANDSHAKE("/served-slowly") };
    for (int i = 0; i < 2; i++) {
        client c;
        WEFT_TRY(open_socket(&c, server, 4096, paths[i]));
        client_send(&c, TEXT(SAYS("\x95", "twenty bytes, no less")));
        settle();
        client_send(&c, TEXT(MASKED("\x89", "\x80") SAYS("\x83", "two")));
        settle();
        WEFT_CHECK(weft_sleep(30 * MS) == 0);
        CHECK_GOT(&c, "\x8a\0\x81\x15twenty bytes, no less\x81\3two");
        client_close(&c, true);
    }
    return finish(server);
}

static int what_open_received_is_not_handled_again(void)
{
    weft_server *server = begin();
    client c;
    counted = 0;
    WEFT_TRY(open_socket(&c, server, 4096, HANDSHAKE("/served-after-one")));
    client_send(&c, TEXT(SAYS("\x82", "hi")));
    settle();
    client_close(&c, true);
    settle();
    WEFT_CHECK(counted == 0);
    return finish(server);
}

/* What a room says meanwhile is held back, but not without limit, and none of it is lost. */
static int held_back(void)
{
    weft_server *server = begin();
    char message[8 + 10000] = "\x81\xfe\x27\x10\0\0\0\0";
    memset(message + 8, 'z', 10000);
    for (int count = 50; count <= 60; count += 10) {
        client c, talker;
        WEFT_TRY(open_socket(&c, server, 2000000, HANDSHAKE("/streams")));
        WEFT_TRY(open_socket(&talker, server, 2000000, HANDSHAKE("/ws/r")));
        for (int i = 0; i < count; i++)
            client_send(&talker, message, sizeof message);
        WEFT_CHECK(weft_sleep(1500 * MS) == 0);
        WEFT_CHECK(weft_rooms_stats(rooms).disconnected == (count > 52));
        WEFT_CHECK(count > 52 || c.got_size == 2 + (size_t)count * 10004);
        client_close(&c, true);
        client_close(&talker, true);
        WEFT_CHECK(weft_sleep(2 * WEFT_SECOND) == 0);
    }
    return finish(server);
}

/* Of what is held back each message counts, also of those that came together. */
static int held_back_together(void)
{
    weft_server *server = begin();
    const weft_message msg = { "hi", 2, true };
    for (int count = 500; count <= 600; count += 100) {
        client c;
        WEFT_TRY(open_socket(&c, server, 2000000, HANDSHAKE("/streams")));
        for (int i = 0; i < count; i++)
            WEFT_CHECK(weft_room_publish(rooms, "r", &msg) == 0);
        WEFT_CHECK(weft_sleep(1500 * MS) == 0);
        WEFT_CHECK(weft_rooms_stats(rooms).disconnected == (count > 500));
        WEFT_CHECK(count > 500 || (!c.error && c.got_size == 2 + (size_t)count * 4));
        client_close(&c, true);
        WEFT_CHECK(weft_sleep(2 * WEFT_SECOND) == 0);
    }
    return finish(server);
}

/* What is held back is subject to the policy like what waits: of the latest nothing is lost. */
static int held_back_by_policy(void)
{
    for (int latest = 0; latest < 2; latest++) {
        weft_server *server = begin();
        rooms = weft_rooms_new(app, .slow = latest ? WEFT_SLOW_KEEP_LATEST : WEFT_SLOW_DROP_OLDEST);
        client c;
        WEFT_TRY(open_socket(&c, server, 2000000, HANDSHAKE("/streams")));
        char data[10000], first[16], last[16];
        memset(data, 'z', sizeof data);
        const weft_message msg = { data, sizeof data, true };
        for (int i = 0; i < 60; i++) {
            snprintf(data, sizeof data, "<%d>", i);
            WEFT_CHECK(weft_room_publish(rooms, "r", &msg, .key = (uint64_t)(1 + i % 2)) == 0);
            settle();
        }
        WEFT_CHECK(weft_sleep(1500 * MS) == 0);
        size_t count = latest ? 2 : 52;
        WEFT_CHECK(weft_rooms_stats(rooms).dropped == (latest ? 0 : 8) && c.got_size == 2 + count * 10004);
        snprintf(first, sizeof first, "<%zu>", 60 - count);
        snprintf(last, sizeof last, "<%d>", 59);
        WEFT_CHECK(strcmp(c.got + 6, first) == 0 && strcmp(c.got + c.got_size - sizeof data, last) == 0);
        client_close(&c, true);
        WEFT_CHECK(weft_sleep(2 * WEFT_SECOND) == 0);
        WEFT_TRY(finish(server));
    }
    return 0;
}

/* What is held back cannot be kept when the stream has ended: then the socket is reset, and misses nothing in silence. */
static int memory_for_what_is_held_runs_out(void)
{
    enum { HELD = 450 };
    weft_server *server = begin();
    client stuck[2], c;
    for (int i = 0; i < 2; i++) {
        WEFT_TRY(open_socket(&stuck[i], server, 10, HANDSHAKE("/ws/r")));
        client_stop(&stuck[i]);
    }
    WEFT_TRY(open_socket(&c, server, 2000000, HANDSHAKE("/streams")));
    const weft_message msg = { "hi", 2, true };
    for (int i = 0; i < HELD; i++) { /* those who are stuck have most of the 1,024 references of a chunk */
        WEFT_CHECK(weft_room_publish(rooms, "r", &msg) == 0);
        settle();
    }
    end_faults = (weft_faults){ .fail_at = 2 }; /* the first is the last frame */
    WEFT_CHECK(weft_sleep(1500 * MS) == 0);
    WEFT_CHECK(end_faults.struck && c.got_size < 4 + HELD * 4 && c.error == -ECONNRESET &&
               weft_rooms_stats(rooms).members == 2);
    end_faults = (weft_faults){ .fail_at = 0 };
    client_close(&c, true);
    for (int i = 0; i < 2; i++)
        client_close(&stuck[i], true);
    return finish(server);
}

/* One that does not read has most of a megabyte to come, which many may share, when the server stops, or it closes itself. */
static int an_end_copies_little(void)
{
    for (int stops = 0; stops < 2; stops++) {
        weft_server *server = begin();
        client stuck;
        WEFT_TRY(open_socket(&stuck, server, 1000, HANDSHAKE("/ws/r")));
        client_stop(&stuck);
        char data[10000];
        memset(data, 'z', sizeof data);
        const weft_message msg = { data, sizeof data, true };
        for (int i = 0; i < 90; i++) {
            WEFT_CHECK(weft_room_publish(rooms, "r", &msg) == 0);
            settle();
        }
        weft_transport *t = &stuck.connection->transport;
        WEFT_CHECK(weft_rooms_stats(rooms).members == 1 && t->queued < 10010);
        if (stops)
            weft_server_drain(server);
        else
            client_send(&stuck, TEXT(MASKED("\x88", "\x82") "\x03\xe8"));
        for (int i = 0; i < 200 && stuck.connection->state == WEFT_CONNECTION_UPGRADED; i++)
            WEFT_CHECK(weft_sleep(100 * MS) == 0 && t->queued < 20000);
        WEFT_CHECK(stuck.connection->state == WEFT_CONNECTION_LINGER && t->queued < 20000);
        client_read(&stuck);
        settle();
        WEFT_CHECK(stuck.got_size < 30000 &&
                   memcmp(stuck.got + stuck.got_size - 4, stops ? "\x88\2\x03\xe9" : "\x88\2\x03\xe8", 4) == 0);
        client_close(&stuck, false);
        WEFT_TRY(finish(server));
    }
    return 0;
}

/* A close for which there is no room takes the place of what waits: nothing may follow it. */
static int nothing_follows_a_close(void)
{
    weft_server *server = begin();
    client stuck;
    WEFT_TRY(open_socket(&stuck, server, 1000, HANDSHAKE("/ws/r")));
    client_stop(&stuck);
    const weft_message msg = { "hi", 2, true };
    char large[2000];
    memset(large, 'z', sizeof large);
    const weft_message first = { large, sizeof large, true };
    WEFT_CHECK(weft_room_publish(rooms, "r", &first) == 0);
    settle();
    for (int i = 0; i < WEFT_OUTBOX_COUNT_MOST; i++) {
        WEFT_CHECK(weft_room_publish(rooms, "r", &msg) == 0);
        if (i % 100 == 0)
            settle();
    }
    settle();
    const weft_ws *ws = CONTAINER_OF(stuck.connection->upgrade, weft_ws, upgrade);
    WEFT_CHECK(weft_rooms_stats(rooms).members == 1 && ws->outbox.count == WEFT_OUTBOX_COUNT_MOST);
    weft_server_drain(server);
    settle();
    client_read(&stuck);
    settle();
    WEFT_CHECK(stuck.got_size > 20 && memcmp(stuck.got + stuck.got_size - 16, "the server stops", 16) == 0);
    client_close(&stuck, false);
    return finish(server);
}

/* When all connections together hold too much nothing is read; that is over when they do not any more. */
static int reading_goes_on(void)
{
    weft_server *server = begin();
    client c;
    WEFT_TRY(open_socket(&c, server, 4096, HANDSHAKE("/ws/r")));
    size_t budget = server->app->settings.buffer_budget;
    server->app->settings.buffer_budget = 0;
    client_send(&c, "\x81", 1);
    settle();
    WEFT_CHECK(!c.connection->transport.is_reading);
    server->app->settings.buffer_budget = budget;
    client_send(&c, TEXT("\x82\0\0\0\0hi"));
    WEFT_CHECK(weft_sleep(35 * WEFT_SECOND) == 0);
    WEFT_CHECK(c.got_size >= 4 && memmem(c.got, c.got_size, "\x81\2hi", 4));
    client_close(&c, true);
    return finish(server);
}

static unsigned closed_count, tidied_count;

static int tidy_up(void *arg)
{
    (void)arg;
    WEFT_SHIELD (tidying, WEFT_SECOND) {
        (void)!weft_sleep(50 * MS);
    }
    tidied_count++;
    return 0;
}

static void on_closed(weft_ws *ws)
{
    weft_task *task;
    closed_count++;
    WEFT_CHECK(weft_spawn(&task, tidy_up, ws) == 0);
}

static int served_to_the_end(weft_request *req)
{
    return weft_ws_serve(req, &(weft_ws_handlers){ .closed = on_closed });
}

static int sleep_long(void *arg)
{
    (void)arg;
    WEFT_SHIELD (long_sleep, WEFT_MINUTE) {
        (void)!weft_sleep(WEFT_SECOND);
    }
    return 0;
}

/* There is no memory for the task of `closed` when the socket goes, and the server closes before there is. */
static int closed_comes_before_the_end(void)
{
    app = harness_app();
    weft_get(app, "/to-the-end", served_to_the_end);
    rooms = weft_rooms_new(app, 0);
    weft_server *server = harness_open(app);
    client c;
    WEFT_TRY(open_socket(&c, server, 4096, HANDSHAKE("/to-the-end")));
    WEFT_GROUP (sleepers) {
        weft_faults none_left = { .fail_at = 1, .fail_after = true };
        weft_faults *before = weft_mem_set_faults(&none_left);
        while (weft_go(&sleepers, sleep_long, NULL) == 0) /* until the pools are empty, which cancels the group */
            continue;
        client_close(&c, true);
        WEFT_CHECK(closed_count == 0 && server->connection_count == 1);
        weft_mem_set_faults(before);
        harness_close_now(server);
        WEFT_CHECK(closed_count == 1 && tidied_count == 1); /* what it has started was joined as well */
    }
    weft_app_free(app);
    return 0;
}

static int day(void *arg)
{
    (void)arg;
    weft_server *server = harness_open(app);
    if (!server)
        return -ENOMEM;
    client all[2];
    int opened = 0, rc = 0;
    for (; opened < 2; opened++) {
        rc = client_open(&all[opened], server, 200);
        if (rc < 0)
            break;
        client_send(&all[opened], TEXT(HANDSHAKE("/ws/r") "\r\n"));
        (void)!weft_sleep(MS);
        for (int i = 0; i < 3; i++)
            client_send(&all[opened], TEXT(SAYS("\x82", "hi")));
        (void)!weft_sleep(MS);
    }
    for (int i = 0; i < opened; i++)
        client_close(&all[i], i == 0);
    (void)!weft_sleep(MS);
    harness_close_now(server);
    return rc;
}

static int memory_runs_out(void)
{
    app = harness_app();
    weft_get(app, "/ws/{room}", chat);
    rooms = weft_rooms_new(app, 0);
    weft_test_report report = { .struck = true };
    for (uint64_t n = 1; report.struck; n++) {
        int rc = weft_test_run(day, NULL, &report, .fail_at = n);
        WEFT_CHECK(rc == 0 || rc == -ENOMEM);
        WEFT_CHECK(n < 2000);
    }
    WEFT_CHECK(weft_rooms_stats(rooms).members == 0);
    weft_app_free(app);
    return 0;
}

static const weft_test tests[] = {
    TEST(everybody_hears),
    TEST(said_in_one_turn),
    TEST(compressed_once),
    TEST(one_never_reads),
    TEST(stopping),
    TEST(more_comes_meanwhile),
    TEST(what_open_received_is_not_handled_again),
    TEST(held_back),
    TEST(held_back_by_policy),
    TEST(held_back_together),
    TEST(memory_for_what_is_held_runs_out),
    TEST(an_end_copies_little),
    TEST(nothing_follows_a_close),
    TEST(reading_goes_on),
    TEST(closed_comes_before_the_end),
    PLAIN(memory_runs_out),
};

int main(int argc, char **argv)
{
    return weft_test_main(tests, COUNT(tests), argc, argv);
}
