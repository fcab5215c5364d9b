/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* WebSockets served by loops: the handshake, messages, control frames, closing and going, in virtual time. */
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

/* ---- the handshake ---- */

static int handshake(void)
{
    static const struct {
        const char *request, *answer;
    } cases[] = {
        { WS_GET("/ws"), WS_SWITCH("") },
        { WS_GET_DEFLATE("/ws"), WS_SWITCH("Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
                                           "client_no_context_takeover\r\n") },
        { GET("/ws"), STATUS("426 Upgrade Required") PLAIN_TEXT LENGTH(
                          21) "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n426 Upgrade Required\n" },
        { "GET /ws HTTP/1.1\r\nOrigin: http://b\r\n" WS_FIELDS "\r\n",
          STATUS("403 Forbidden") PLAIN_TEXT LENGTH(14) "\r\n403 Forbidden\n" },
        { "GET /ws HTTP/1.0\r\n" WS_FIELDS "\r\n",
          STATUS("400 Bad Request") PLAIN_TEXT LENGTH(16) CLOSE "\r\n400 Bad Request\n" },
        { "GET /ws HTTP/1.1\r\nContent-Length: 1\r\n" WS_FIELDS "\r\nx",
          STATUS("400 Bad Request") PLAIN_TEXT LENGTH(16) "\r\n400 Bad Request\n" },
    };
    open_server();
    for (size_t i = 0; i < COUNT(cases); i++) {
        client c;
        const char *answer = i == 1 && !weft_deflate_is_there() ? cases[0].answer : cases[i].answer; /* nothing is agreed on */
        WEFT_CHECK(client_open(&c, server, 4096) == 0);
        client_send(&c, cases[i].request, strlen(cases[i].request));
        settle();
        WEFT_CHECK(client_got(&c, answer, strlen(answer)));
        client_close(&c, false);
    }
    return close_server();
}

static int guarded(weft_request *req)
{
    weft_ws *ws;
    static const char *const protocols[] = { "b", "a", NULL };
    if (!weft_query(req, "token"))
        return weft_reply_text(req, 401, "no");
    WEFT_TRY(weft_set_header(req, "X-Room", weft_param(req, "room")));
    WEFT_TRY(weft_ws_accept(req, &ws, .protocols = protocols));
    WEFT_CHECK(weft_ws_accept(req, &ws) == -EALREADY && weft_reply_text(req, 200, "x") == -EALREADY);
    weft_message msg;
    int rc = weft_ws_receive(ws, &msg);
    see("%s %s %s %s;", weft_ws_protocol(ws), weft_param(req, "room"), weft_query(req, "token"), weft_path(req));
    return rc;
}

static int authentication_and_protocols(void)
{
    client c;
    open_server();
    weft_get(app, "/room/{room}", guarded);
    client_open(&c, server, 4096);
    client_send(&c, TEXT(WS_GET("/room/x")));
    settle();
    CHECK_GOT(&c, STATUS("401 Unauthorized") PLAIN_TEXT LENGTH(2) "\r\nno");
    client_forget(&c);
    client_send(&c, TEXT("GET /room/b%C3%A9?token=t HTTP/1.1\r\nSec-WebSocket-Protocol: a, b\r\n" WS_FIELDS "\r\n"));
    settle();
    CHECK_GOT(&c, WS_SWITCH("Sec-WebSocket-Protocol: b\r\nX-Room: b\xc3\xa9\r\n"));
    client_close(&c, true);
    CHECK_SEEN("b b\xc3\xa9 t /room/b\xc3\xa9;");
    return close_server();
}

/* ---- messages ---- */

static int echoes(void)
{
    client c;
    open_server();
    ws_open(&c, server, "/ws");
    client_send(&c, TEXT("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"));
    settle();
    CHECK_GOT(&c, "\x81\x05Hello");
    client_forget(&c);
    client_send(&c, TEXT("\x82\x83" Z "a\0b"
                         "\x01\x81" Z "1"
                         "\x89\x81" Z "p"
                         "\x80\x81" Z "2"
                         "\x81\x80" Z));
    settle();
    CHECK_GOT(&c, "\x8a\x01p"
                  "\x82\x03"
                  "a\0b"
                  "\x81\x02"
                  "12"
                  "\x81\x00");
    client_close(&c, true);
    return close_server();
}

/* A whole conversation from the first byte of the handshake, cut everywhere. */
static int every_split(void)
{
    static const char all[] = WS_GET("/ws") "\x81\x82" Z "ab"
                                            "\x89\x81" Z "p"
                                            "\x01\x81" Z "c"
                                            "\x80\x81" Z "d"
                                            "\x88\x84" Z "\x0f\xa1ok";
    static const char answer[] = WS_SWITCH("") "\x81\x02"
                                               "ab"
                                               "\x8a\x01p"
                                               "\x81\x02"
                                               "cd"
                                               "\x88\x02\x0f\xa1";
    /* What leaves in one turn has its pong in front. */
    static const char early[] = WS_SWITCH("") "\x8a\x01p"
                                              "\x81\x02"
                                              "ab"
                                              "\x81\x02"
                                              "cd"
                                              "\x88\x02\x0f\xa1";
    open_server();
    for (size_t at = 0; at < sizeof all; at++) {
        client c;
        WEFT_CHECK(client_open(&c, server, 4096) == 0);
        client_send(&c, all, at);
        if (at > 0)
            settle();
        client_send(&c, all + at, sizeof all - 1 - at);
        settle();
        seen_forget();
        WEFT_CHECK(client_has(&c, TEXT(early)) || client_got(&c, TEXT(answer)));
        WEFT_CHECK(c.has_ended);
        client_close(&c, false);
    }
    return close_server();
}

/* And what comes behind it in one piece; with a mask that would show if a byte were unmasked twice, or not. */
static void large_message(size_t step)
{
    enum { SIZE = 300 * 1000, HEADER = 14, BEHIND = 8 };
    static const char key[4] = "\x01\x52\xa3\xf4";
    client c;
    char *bytes = malloc(HEADER + SIZE + BEHIND), *payload = malloc(SIZE);
    ws_open(&c, server, "/ws");
    memcpy(bytes, "\x82\xff\0\0\0\0\0\x04\x93\xe0", HEADER - 4);
    memcpy(bytes + HEADER - 4, key, 4);
    for (int i = 0; i < SIZE; i++) {
        payload[i] = (char)(i * 7 + i / 251);
        bytes[HEADER + i] = (char)(payload[i] ^ key[i % 4]);
    }
    memcpy(bytes + HEADER + SIZE, "\x81\x82" Z "ab", BEHIND);
    for (size_t at = 0, left = HEADER + SIZE + BEHIND, size; left > 0; at += size, left -= size) {
        size = left < step ? left : step;
        client_send(&c, bytes + at, size);
        settle();
    }
    settle();
    WEFT_CHECK(c.got_size == 10 + SIZE + 4 && memcmp(c.got + 10, payload, SIZE) == 0);
    WEFT_CHECK(memcmp(c.got + 10 + SIZE,
                      "\x81\x02"
                      "ab",
                      4) == 0);
    WEFT_CHECK(server->counts.buffered < 1024);
    client_close(&c, true);
    free(bytes);
    free(payload);
}

static int large_messages(void)
{
    open_server();
    large_message(10000);
    large_message(65537);
    large_message(SIZE_MAX);
    return close_server();
}

/* What is wrong with a text is seen where it lies, and the end of the socket takes that memory. */
static int large_text_that_is_none(void)
{
    enum { SIZE = 300 * 1000 };
    client c;
    char *bytes = malloc(14 + SIZE);
    open_server();
    ws_open(&c, server, "/ws");
    memcpy(bytes, "\x81\xff\0\0\0\0\0\x04\x93\xe0" Z, 14);
    memset(bytes + 14, 'x', SIZE);
    bytes[14 + SIZE / 2] = '\xff';
    client_send(&c, bytes, 14 + SIZE);
    settle();
    WEFT_CHECK(c.got_size > 4 && memcmp(c.got + 2, "\x03\xef", 2) == 0);
    client_close(&c, true);
    free(bytes);
    return close_server();
}

/* Waits for a whole message, and then for what there is of it. */
static int whole_or_parts(weft_request *req)
{
    weft_ws *ws;
    weft_message message;
    weft_part part;
    size_t size = 0;
    int rc = 0;
    WEFT_TRY(weft_ws_accept(req, &ws));
    WEFT_TIMEOUT (limit, 10 * WEFT_MILLISECOND) {
        rc = weft_ws_receive(ws, &message);
    }
    see("%s", weft_strerror(rc));
    do {
        rc = weft_ws_receive_part(ws, &part);
        for (size_t i = 0; rc > 0 && i < part.size; i++, size++)
            WEFT_CHECK(((const char *)part.data)[i] == (char)(size * 7 + size / 251));
    } while (rc > 0 && !part.is_last);
    see(" %zu", size);
    return rc < 0 ? rc : 0;
}

static int a_message_that_is_then_taken_in_parts(void)
{
    enum { SIZE = 300 * 1000 };
    client c;
    char *bytes = malloc(14 + SIZE);
    open_server();
    weft_get(app, "/whole-or-parts", whole_or_parts);
    ws_open(&c, server, "/whole-or-parts");
    memcpy(bytes, "\x82\xff\0\0\0\0\0\x04\x93\xe0" Z, 14);
    for (size_t i = 0; i < SIZE; i++)
        bytes[14 + i] = (char)(i * 7 + i / 251);
    client_send(&c, bytes, 100000);
    WEFT_CHECK(weft_sleep(20 * WEFT_MILLISECOND) == 0);
    client_send(&c, bytes + 100000, 14 + SIZE - 100000);
    settle();
    CHECK_SEEN("the deadline has passed 300000");
    client_close(&c, true);
    free(bytes);
    return close_server();
}

static int parts(weft_request *req)
{
    weft_ws *ws;
    weft_part part;
    int rc;
    WEFT_TRY(weft_ws_accept(req, &ws, .message_limit = 4));
    while ((rc = weft_ws_receive_part(ws, &part)) > 0)
        see("%.*s%s", (int)part.size, (const char *)part.data, part.is_last ? "!" : "+");
    see(" %d", rc);
    return rc;
}

static int streaming_in(void)
{
    client c;
    open_server();
    weft_get(app, "/parts", parts);
    ws_open(&c, server, "/parts");
    client_send(&c, TEXT("\x82\x88" Z "abc"));
    settle();
    client_send(&c, TEXT("defgh"
                         "\x02\x82" Z "12"));
    settle();
    client_send(&c, TEXT("\x80\x80" Z "\x88\x80" Z));
    settle();
    CHECK_SEEN("abc+defgh!12+! 0");
    client_close(&c, false);
    return close_server();
}

/* ---- control frames while nobody receives ---- */

static int sleeps(weft_request *req)
{
    weft_ws *ws;
    weft_message msg;
    WEFT_TRY(weft_ws_accept(req, &ws));
    WEFT_CHECK(!weft_header(req, "host") && req->arena.used == 0); /* the head is gone */
    int rc = weft_sleep(10 * WEFT_SECOND);
    see("slept %d;", rc);
    rc = rc < 0 ? rc : weft_ws_receive(ws, &msg);
    see("%d %d %d;", rc, weft_ws_close_code(ws), weft_request_gone(req));
    return rc < 0 ? rc : 0;
}

static int pings_are_answered_meanwhile(void)
{
    client c;
    open_server();
    weft_get(app, "/sleeps", sleeps);
    ws_open(&c, server, "/sleeps");
    client_send(&c, TEXT("\x89\x81" Z "1"
                         "\x89\x81" Z "2"
                         "\x89\x81" Z "3"
                         "\x81\x81" Z "m"
                         "\x89\x81" Z "4"));
    settle();
    CHECK_GOT(&c, "\x8a\x01"
                  "3"); /* the last one before the message */
    WEFT_CHECK(weft_sleep(11 * WEFT_SECOND) == 0);
    CHECK_SEEN("slept 0;1 0 0;");
    CHECK_GOT(&c, "\x8a\x01"
                  "3"
                  "\x88\x02\x03\xe8"); /* and none once we have closed */
    client_close(&c, true);
    return close_server();
}

/* ---- closing ---- */

static int the_peer_closes(void)
{
    static const struct {
        const char *frame, *answer, *words;
        size_t size, answer_size;
    } cases[] = {
#define CASE(frame, answer, words) { frame, answer, words, sizeof(frame) - 1, sizeof(answer) - 1 }
        CASE("\x88\x80" Z, "\x88\x00", "end 0 1005();"),
        CASE("\x88\x82" Z "\x03\xe8", "\x88\x02\x03\xe8", "end 0 1000();"),
        CASE("\x88\x85" Z "\x0f\xa0"
             "bye",
             "\x88\x02\x0f\xa0", "end 0 4000(bye);"),
    };
    open_server();
    for (size_t i = 0; i < COUNT(cases); i++) {
        client c;
        ws_open(&c, server, "/ws");
        client_send(&c, cases[i].frame, cases[i].size);
        settle();
        WEFT_CHECK(client_got(&c, cases[i].answer, cases[i].answer_size) && c.has_ended && c.error == 0);
        CHECK_SEEN(cases[i].words);
        seen_forget();
        client_close(&c, false);
    }
    return close_server();
}

static int wrong_bytes(void)
{
    static const struct {
        const char *frame;
        size_t size;
        int code;
    } cases[] = {
        { "\x88\x81" Z "\x03", 7, 1002 },
        { "\x88\x82" Z "\x03\xec", 8, 1002 },
        { "\x81\x01x", 3, 1002 },
        { "\x81\x82" Z "\xc3\x28", 8, 1007 },
        { "\x83\x80" Z, 6, 1002 },
        { "\xc1\x80" Z, 6, 1002 },
        { "\x82\xff\0\0\0\0\0\x10\0\x01", 10, 0 }, /* not whole yet */
        { "\x82\xff\0\0\0\0\0\x10\0\x01" Z, 14, 1009 },
    };
    open_server();
    for (size_t i = 0; i < COUNT(cases); i++) {
        client c;
        ws_open(&c, server, "/ws");
        client_send(&c, cases[i].frame, cases[i].size);
        settle();
        if (cases[i].code) {
            char words[100];
            WEFT_CHECK(c.got_size > 4 && c.got[0] == '\x88' && (c.got[1] & 0x7f) == (char)(c.got_size - 2));
            WEFT_CHECK(c.got && ((unsigned char)c.got[2] << 8 | (unsigned char)c.got[3]) == cases[i].code && c.has_ended);
            snprintf(words, sizeof words, "end %d %d(%.*s);", WEFT_EPROTOCOL, cases[i].code, (int)c.got_size - 4, c.got + 4);
            CHECK_SEEN(words);
        } else {
            WEFT_CHECK(c.got_size == 0);
        }
        client_close(&c, cases[i].code == 0);
        seen_forget();
    }
    WEFT_CHECK(!strstr(harness_log, "error"));
    return close_server();
}

static int closes(weft_request *req)
{
    weft_ws *ws;
    weft_message msg;
    int rc;
    WEFT_TRY(weft_ws_accept(req, &ws, .close_timeout = 3 * WEFT_SECOND));
    WEFT_CHECK(weft_ws_close(ws, 1005, NULL) == -EINVAL && weft_ws_close(ws, 1000, "\xff") == -EINVAL);
    WEFT_CHECK(weft_ws_close(ws, 4001, "enough") == 0 && weft_ws_close(ws, 4002, NULL) == 0);
    WEFT_CHECK(weft_ws_send_text(ws, "late") == WEFT_ECLOSED);
    while ((rc = weft_ws_receive(ws, &msg)) > 0)
        see("%s;", (const char *)msg.data);
    see("%d %d(%s);", rc, weft_ws_close_code(ws), weft_ws_close_reason(ws));
    return rc;
}

static int we_close(void)
{
    client c;
    open_server();
    weft_get(app, "/closes", closes);
    client_open(&c, server, 4096);
    client_send(&c, TEXT(WS_GET("/closes")));
    settle();
    CHECK_GOT(&c, WS_SWITCH("") "\x88\x08\x0f\xa1"
                                "enough");
    client_send(&c, TEXT("\x81\x82" Z "on"));
    settle();
    CHECK_SEEN("on;"); /* what was under way is still taken */
    WEFT_CHECK(!c.has_ended);
    client_send(&c, TEXT("\x88\x82" Z "\x0f\xa1"));
    settle();
    WEFT_CHECK(c.has_ended && c.error == 0);
    CHECK_SEEN("on;0 4001();");
    client_close(&c, false);
    return close_server();
}

static int a_close_that_is_never_answered(void)
{
    client c;
    open_server();
    weft_get(app, "/closes", closes);
    client_open(&c, server, 4096);
    client_send(&c, TEXT(WS_GET("/closes")));
    WEFT_CHECK(weft_sleep(2900 * MS) == 0);
    WEFT_CHECK(!c.has_ended);
    WEFT_CHECK(weft_sleep(200 * MS) == 0);
    WEFT_CHECK(c.has_ended && c.error == 0);
    CHECK_SEEN("-4004 1006();");
    client_close(&c, false);
    return close_server();
}

static int ends_at_once(weft_request *req)
{
    weft_ws *ws;
    WEFT_TRY(weft_ws_accept(req, &ws));
    return (int)strtol(weft_param(req, "rc"), NULL, 10);
}

static int the_handler_ends(void)
{
    client c;
    open_server();
    weft_get(app, "/ends/{rc}", ends_at_once);
    client_open(&c, server, 4096);
    client_send(&c, TEXT(WS_GET("/ends/0")));
    settle();
    CHECK_GOT(&c, WS_SWITCH("") "\x88\x02\x03\xe8");
    WEFT_CHECK(server->requests.scope.expired == false && !c.has_ended);
    client_send(&c, TEXT("\x81\x81" Z "x"
                         "\x81\xfe\x10\x00" Z)); /* thrown away, up to the close */
    settle();
    for (int i = 0; i < 4096; i++)
        client_send(&c, "y", 1);
    client_send(&c, TEXT("\x88\x82" Z "\x03\xe8"));
    settle();
    WEFT_CHECK(c.has_ended && c.error == 0);
    client_close(&c, false);
    client_open(&c, server, 4096);
    client_send(&c, TEXT(WS_GET("/ends/-5")));
    settle();
    CHECK_GOT(&c, WS_SWITCH("") "\x88\x02\x03\xf3");
    WEFT_CHECK(strstr(harness_log, "after its reply"));
    WEFT_CHECK(weft_sleep(6 * WEFT_SECOND) == 0 && c.has_ended); /* never answered: 5 s */
    client_close(&c, false);
    return close_server();
}

/* ---- going ---- */

static int the_peer_goes(void)
{
    for (int resets = 0; resets < 2; resets++) {
        client c;
        open_server();
        weft_get(app, "/sleeps", sleeps);
        ws_open(&c, server, "/ws");
        client_close(&c, resets);
        CHECK_SEEN("end -4004 1006();");
        seen_forget();
        ws_open(&c, server, "/sleeps"); /* it is cancelled in the middle of its sleep */
        client_close(&c, resets);
        CHECK_SEEN("slept -4001;-4001 1006 1;");
        seen_forget();
        ws_open(&c, server, "/ws"); /* in the middle of a message */
        client_send(&c, TEXT("\x82\x84" Z "ab"));
        settle();
        client_close(&c, resets);
        CHECK_SEEN("end -4004 1006();");
        close_server();
    }
    return 0;
}

static int what_came_before_an_end_is_delivered(void)
{
    client c;
    open_server();
    weft_get(app, "/sleeps", sleeps);
    ws_open(&c, server, "/sleeps");
    client_send(&c, TEXT("\x81\x81" Z "m"));
    client_shutdown(&c);
    WEFT_CHECK(weft_sleep(11 * WEFT_SECOND) == 0);
    CHECK_SEEN("slept 0;1 0 0;");
    client_close(&c, false);
    seen_forget();
    ws_open(&c, server, "/sleeps"); /* a close that nobody waits for: the sleep is cut when the connection ends */
    client_send(&c, TEXT("\x88\x80" Z));
    settle();
    CHECK_GOT(&c, "\x88\x00");
    WEFT_CHECK(c.has_ended);
    client_close(&c, false);
    CHECK_SEEN("slept -4001;-4001 1005 1;");
    return close_server();
}

/* ---- deadlines ---- */

static int in_time(weft_request *req)
{
    weft_ws *ws;
    weft_message msg;
    int rc = 0;
    WEFT_TRY(weft_ws_accept(req, &ws));
    for (int i = 0; i < 2; i++) {
        WEFT_TIMEOUT (limit, WEFT_SECOND) {
            rc = weft_ws_receive(ws, &msg);
        }
        see("%d %d %s;", rc, limit.expired, rc > 0 ? (const char *)msg.data : "");
    }
    return 0;
}

static int a_deadline_loses_nothing(void)
{
    client c;
    open_server();
    weft_get(app, "/time", in_time, .timeout = 500 * MS); /* the route's deadline is for the head */
    ws_open(&c, server, "/time");
    client_send(&c, TEXT("\x81\x84" Z "ab"));
    WEFT_CHECK(weft_sleep(1500 * MS) == 0);
    CHECK_SEEN("-4002 1 ;");
    client_send(&c, TEXT("cd"));
    settle();
    CHECK_SEEN("-4002 1 ;1 0 abcd;");
    client_close(&c, true);
    return close_server();
}

static int pings_keep_it_alive(void)
{
    client c;
    open_server();
    ws_open(&c, server, "/ws");
    for (int i = 0; i < 20; i++) {
        WEFT_CHECK(weft_sleep(31 * WEFT_SECOND) == 0);
        WEFT_CHECK(c.got_size >= 2 && c.got[0] == '\x89' && c.got[1] == 0);
        client_forget(&c);
        client_send(&c, TEXT("\x8a\x80" Z));
    }
    WEFT_CHECK(!c.has_ended && c.error == 0);
    WEFT_CHECK(weft_sleep(59 * WEFT_SECOND) == 0);
    WEFT_CHECK(!c.has_ended && c.error == 0);
    WEFT_CHECK(weft_sleep(2 * WEFT_SECOND) == 0); /* nothing was heard for a minute */
    WEFT_CHECK(c.error != 0);
    CHECK_SEEN("end -4004 1006();");
    client_close(&c, false);
    return close_server();
}

int main(int argc, char **argv)
{
    static const weft_test tests[] = {
        TEST(handshake),
        TEST(authentication_and_protocols),
        TEST(echoes),
        TEST(every_split),
        TEST(large_messages),
        TEST(large_text_that_is_none),
        TEST(a_message_that_is_then_taken_in_parts),
        TEST(streaming_in),
        TEST(pings_are_answered_meanwhile),
        TEST(the_peer_closes),
        TEST(wrong_bytes),
        TEST(we_close),
        TEST(a_close_that_is_never_answered),
        TEST(the_handler_ends),
        TEST(the_peer_goes),
        TEST(what_came_before_an_end_is_delivered),
        TEST(a_deadline_loses_nothing),
        TEST(pings_keep_it_alive),
    };
    return weft_test_main(tests, COUNT(tests), argc, argv);
}
