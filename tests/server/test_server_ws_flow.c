/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* WebSockets with several senders, streams, compression and callbacks, and how a server that stops ends them. */
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

/* ---- several tasks ---- */

struct sender {
    weft_ws *ws;
    int number;
};

static int send_many(void *arg)
{
    const struct sender *s = arg;
    char text[3000];
    for (int i = 0; i < 50; i++) {
        memset(text, 'a' + s->number, sizeof text);
        int size = 10 + (i * 71 + s->number * 13) % 2900;
        snprintf(text, sizeof text, "%d %d", s->number, i);
        text[strlen(text)] = ' ';
        WEFT_TRY(weft_ws_send_bytes(s->ws, text, (size_t)size));
    }
    return 0;
}

static int crowd(weft_request *req)
{
    weft_ws *ws;
    WEFT_TRY(weft_ws_accept(req, &ws));
    WEFT_GROUP (all) {
        for (int i = 0; i < 5; i++)
            weft_go_copy(&all, send_many, (&(struct sender){ ws, i }));
    }
    see("%d;", all.result);
    return all.result;
}

static int several_tasks_send(void)
{
    client c;
    open_server();
    weft_get(app, "/crowd", crowd);
    WEFT_CHECK(client_open(&c, server, 4096) == 0);
    c.sips = true;
    client_send(&c, TEXT(WS_GET("/crowd")));
    for (int i = 0; i < 3000 && !*seen; i++) {
        settle();
        client_read(&c);
    }
    c.sips = false;
    client_read(&c);
    settle();
    CHECK_SEEN("0;");
    size_t at = (size_t)(strstr(c.got, "\r\n\r\n") + 4 - c.got), size;
    const char *data;
    int next[5] = { 0 }, first;
    while ((first = ws_next_frame(&c, &at, &data, &size)) == 0x82) {
        int number = data[0] - '0', i = (int)strtol(data + 2, NULL, 10);
        WEFT_CHECK(number >= 0 && number < 5 && i == next[number]++); /* whole, and in order of each */
    }
    WEFT_CHECK(first == 0x88 && next[0] == 50 && next[4] == 50);
    client_close(&c, true);
    return close_server();
}

static int two_receive(void *arg)
{
    weft_message msg;
    int rc = weft_ws_receive(arg, &msg);
    see("%d;", rc);
    return 0;
}

static int receives_twice(weft_request *req)
{
    weft_ws *ws;
    WEFT_TRY(weft_ws_accept(req, &ws));
    WEFT_GROUP (both) {
        weft_go(&both, two_receive, ws);
        weft_go(&both, two_receive, ws);
    }
    return both.result;
}

static int one_task_receives(void)
{
    client c;
    open_server();
    weft_get(app, "/twice", receives_twice);
    ws_open(&c, server, "/twice");
    client_send(&c, TEXT("\x81\x81" Z "x"));
    settle();
    WEFT_CHECK(strstr(seen, "-16;") && strstr(seen, "1;"));
    client_close(&c, true);
    return close_server();
}

/* ---- messages in pieces ---- */

static int other_sender(void *arg)
{
    int rc = weft_ws_send_text(arg, "between");
    see("sent %d;", rc);
    return rc;
}

static int streams(weft_request *req)
{
    weft_ws *ws;
    weft_task *task;
    WEFT_TRY(weft_ws_accept(req, &ws));
    WEFT_CHECK(weft_ws_stream_write(ws, "x", 1) == -EPERM);
    WEFT_TRY(weft_ws_stream(ws, true));
    WEFT_TRY(weft_spawn(&task, other_sender, ws));
    static char large[WEFT_OUTBOX_SIZE_MOST]; /* what would find no room at the end of the stream is refused now */
    weft_shared *frame = weft_session_encode(server, &(weft_message){ large, sizeof large, false }, 0);
    WEFT_CHECK(weft_session_append(ws, frame) == -ENOBUFS);
    weft_shared_unref(frame);
    frame = weft_session_encode(server, &(weft_message){ "room", 4, true }, 0);
    WEFT_CHECK(weft_session_append(ws, frame) == 0);
    weft_shared_unref(frame);
    WEFT_CHECK(weft_ws_send_text(ws, "no") == -EBUSY);
    WEFT_TRY(weft_ws_stream_write(ws, "ab", 2));
    WEFT_TRY(weft_sleep(5 * MS));
    WEFT_TRY(weft_ws_stream_write(ws, "cd", 2));
    WEFT_TRY(weft_ws_stream_end(ws));
    return weft_await(task);
}

static int streaming_out(void)
{
    client c;
    open_server();
    weft_get(app, "/streams", streams);
    WEFT_CHECK(client_open(&c, server, 4096) == 0);
    client_send(&c, TEXT(WS_GET("/streams")));
    WEFT_CHECK(weft_sleep(3 * MS) == 0);
    client_send(&c, TEXT("\x89\x81" Z "p"));
    WEFT_CHECK(weft_sleep(10 * MS) == 0);
    CHECK_GOT(&c, WS_SWITCH("") "\x01\x00"
                                "\x00\x02"
                                "ab"
                                "\x8a\x01p"
                                "\x00\x02"
                                "cd"
                                "\x80\x00"
                                "\x81\x04room"
                                "\x81\x07"
                                "between"
                                "\x88\x02\x03\xe8");
    CHECK_SEEN("sent 0;");
    client_close(&c, true);
    return close_server();
}

static int begins_a_stream(void *arg)
{
    WEFT_TRY(weft_ws_stream(arg, false));
    return weft_ws_stream_write(arg, "half", 4);
}

static int waits_for_a_stream(void *arg)
{
    WEFT_TRY(weft_yield());
    see("%d;", weft_ws_send_text(arg, "x"));
    return 0;
}

static int leaves_a_stream(weft_request *req)
{
    weft_ws *ws;
    weft_message msg;
    WEFT_TRY(weft_ws_accept(req, &ws));
    WEFT_GROUP (both) {
        weft_go(&both, waits_for_a_stream, ws);
        weft_go(&both, begins_a_stream, ws);
    }
    see("%d %d;", both.result, weft_ws_receive(ws, &msg));
    return 0;
}

static int a_stream_without_an_end(void)
{
    client c;
    open_server();
    weft_get(app, "/leaves", leaves_a_stream);
    WEFT_CHECK(client_open(&c, server, 4096) == 0);
    client_send(&c, TEXT(WS_GET("/leaves")));
    settle();
    CHECK_GOT(&c, WS_SWITCH("") "\x02\x00"
                                "\x00\x04half"
                                "\x88\x02\x03\xf3");
    client_send(&c, TEXT("\x88\x82" Z "\x03\xf3"));
    settle();
    CHECK_SEEN("-4003;0 0;");
    client_close(&c, false);
    return close_server();
}

/* ---- ways to send ---- */

static int all_ways(weft_request *req)
{
    weft_ws *ws;
    char large[700];
    WEFT_TRY(weft_ws_accept(req, &ws));
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    WEFT_TRY(weft_ws_send_text(ws, "text"));
    WEFT_TRY(weft_ws_sendf(ws, "%d of %s", 3, "5"));
    WEFT_TRY(weft_ws_sendf(ws, "%s", large));
    WEFT_TRY(weft_ws_send_json(ws, "{s:i}", "n", 1));
    WEFT_TRY(weft_ws_send_bytes(ws, "\xff", 1));
    WEFT_CHECK(weft_ws_send_text(ws, "\xff") == -EINVAL);
    WEFT_CHECK(weft_ws_send_json(ws, "{s:?}", "n", 1) == -EINVAL);
    return 0;
}

static int ways_to_send(void)
{
    client c;
    open_server();
    weft_get(app, "/ways", all_ways);
    WEFT_CHECK(client_open(&c, server, 4096) == 0);
    client_send(&c, TEXT(WS_GET("/ways")));
    settle();
    size_t at = (size_t)(strstr(c.got, "\r\n\r\n") + 4 - c.got), size;
    static const struct {
        int first;
        const char *text;
        size_t size;
    } expected[] = {
        { 0x81, "text", 4 }, { 0x81, "3 of 5", 6 }, { 0x81, "xxx", 699 }, { 0x81, "{\"n\":1}", 7 }, { 0x82, "\xff", 1 }
    };
    for (size_t i = 0; i < COUNT(expected); i++) {
        const char *data;
        WEFT_CHECK(ws_next_frame(&c, &at, &data, &size) == expected[i].first && size == expected[i].size);
        WEFT_CHECK(memcmp(data, expected[i].text, strlen(expected[i].text)) == 0);
    }
    client_close(&c, true);
    return close_server();
}

static int deflates(weft_request *req)
{
    weft_ws *ws;
    weft_message msg;
    char text[3000];
    WEFT_TRY(weft_ws_accept(req, &ws));
    memset(text, 'z', sizeof text);
    WEFT_TRY(weft_ws_send(ws, &(weft_message){ text, sizeof text, true }));
    WEFT_TRY(weft_ws_send_with(ws, &(weft_message){ text, sizeof text, true }, WEFT_WS_SENDING(.no_compress = true)));
    WEFT_TRY(weft_ws_send(ws, &(weft_message){ text, 100, true }));
    int rc;
    while ((rc = weft_ws_receive(ws, &msg)) > 0)
        see("%s;", (const char *)msg.data);
    return rc;
}

static int compressed_messages(void)
{
    client c;
    open_server();
    weft_get(app, "/deflates", deflates);
    WEFT_CHECK(client_open(&c, server, 8192) == 0);
    client_send(&c, TEXT(WS_GET_DEFLATE("/deflates")));
    settle();
    size_t at = (size_t)(strstr(c.got, "\r\n\r\n") + 4 - c.got), size;
    const char *data;
    bool compresses = weft_deflate_is_there();
    WEFT_CHECK(ws_next_frame(&c, &at, &data, &size) == (compresses ? 0xc1 : 0x81) && (size < 50) == compresses);
    WEFT_CHECK(ws_next_frame(&c, &at, &data, &size) == 0x81 && size == 3000);
    WEFT_CHECK(ws_next_frame(&c, &at, &data, &size) == 0x81 && size == 100);
    client_send(&c, TEXT("\xc1\x87" Z "\xf2\x48\xcd\xc9\xc9\x07\x00")); /* RFC 7692 §7.2.3.1 */
    settle();
    CHECK_SEEN(compresses ? "Hello;" : ""); /* what was not agreed on is refused */
    WEFT_CHECK(c.has_ended == !compresses);
    client_close(&c, true);
    return close_server();
}

/* ---- by callbacks ---- */

static int on_open(weft_ws *ws)
{
    weft_ws_set(ws, (void *)(uintptr_t)(strcmp(weft_ws_state(ws), "wait") == 0));
    WEFT_TRY(weft_sleep(MS));
    see("open;");
    return 0;
}

static int on_message(weft_ws *ws, const weft_message *msg)
{
    see("%s<", (const char *)msg->data);
    if (weft_ws_state(ws))
        WEFT_TRY(weft_sleep(10 * WEFT_SECOND));
    if (strcmp(msg->data, "fail") == 0)
        return -EIO;
    WEFT_TRY(weft_ws_send(ws, msg));
    see(">");
    return 0;
}

static void on_closed(weft_ws *ws)
{
    int rc = weft_sleep(MS);
    see("closed %d %d;", weft_ws_close_code(ws), rc);
}

static int serves(weft_request *req)
{
    return weft_ws_serve(req, &(weft_ws_handlers){ on_open, on_message, on_closed, (void *)(uintptr_t)weft_param(req, "how") });
}

static int callbacks(void)
{
    client c;
    open_server();
    weft_get(app, "/serves/{how}", serves);
    WEFT_CHECK(client_open(&c, server, 8192) == 0);
    client_send(&c, TEXT(WS_GET("/serves/x") "\x81\x81" Z "1")); /* a message that comes early */
    settle();
    settle();
    CHECK_GOT(&c, WS_SWITCH("") "\x81\x01"
                                "1");
    CHECK_SEEN("open;1<>");
    WEFT_CHECK(!c.connection->request && !c.connection->task); /* nothing but the socket is left */
    client_forget(&c);
    client_send(&c, TEXT("\x81\x81" Z "2"
                         "\x81\x81" Z "3"
                         "\x01\x81" Z "4"));
    settle();
    CHECK_GOT(&c, "\x81\x01"
                  "2"
                  "\x81\x01"
                  "3");
    client_send(&c, TEXT("\x80\x81" Z "5"
                         "\x88\x82" Z "\x03\xe8"));
    settle();
    settle();
    CHECK_GOT(&c, "\x81\x01"
                  "2"
                  "\x81\x01"
                  "3"
                  "\x81\x02"
                  "45"
                  "\x88\x02\x03\xe8");
    CHECK_SEEN("open;1<>2<>3<>45<>closed 1000 0;");
    WEFT_CHECK(c.has_ended);
    client_close(&c, false);
    return close_server();
}

static int callbacks_fail_and_go(void)
{
    client c;
    open_server();
    weft_get(app, "/serves/{how}", serves);
    ws_open(&c, server, "/serves/x");
    settle();
    client_send(&c, TEXT("\x81\x84" Z "fail"));
    settle();
    CHECK_GOT(&c, "\x88\x02\x03\xf3");
    client_send(&c, TEXT("\x88\x82" Z "\x03\xf3"));
    settle();
    settle();
    CHECK_SEEN("open;fail<closed 1011 0;");
    client_close(&c, false);

    for (int resets = 0; resets < 2; resets++) { /* in the middle of a message, which is cancelled */
        seen_forget();
        ws_open(&c, server, "/serves/wait");
        settle();
        client_send(&c, TEXT("\x81\x81" Z "w"));
        settle();
        client_close(&c, resets);
        settle();
        CHECK_SEEN("open;w<closed 1006 0;");
    }
    return close_server();
}

static int a_served_socket_is_small(void)
{
    WEFT_CHECK(sizeof(weft_connection) + sizeof(weft_ws) <= 1024);
    return 0;
}

/* ---- stopping ---- */

static int sleeps(weft_request *req)
{
    weft_ws *ws;
    WEFT_TRY(weft_ws_accept(req, &ws));
    return weft_sleep(WEFT_HOUR);
}

static int stops(void)
{
    client loop, served, silent, sleeper;
    open_server();
    weft_get(app, "/serves/{how}", serves);
    weft_get(app, "/sleeps", sleeps);
    ws_open(&loop, server, "/ws");
    ws_open(&served, server, "/serves/x");
    ws_open(&silent, server, "/ws");
    ws_open(&sleeper, server, "/sleeps");
    settle();
    seen_forget();
    weft_server_drain(server);
    settle();
    client *all[] = { &loop, &served, &silent, &sleeper };
    for (size_t i = 0; i < COUNT(all); i++)
        CHECK_GOT(all[i], "\x88\x12\x03\xe9"
                          "the server stops");
    client_send(&loop, TEXT("\x81\x81" Z "m"
                            "\x88\x82" Z "\x03\xe9")); /* what crosses our close is still taken */
    client_send(&served, TEXT("\x88\x82" Z "\x03\xe9"));
    settle();
    settle();
    CHECK_SEEN("closed 1001 0;"); /* the loop could not answer that, and ended */
    WEFT_CHECK(loop.has_ended && served.has_ended && server->counts.websockets == 2);
    WEFT_CHECK(weft_sleep(9900 * MS) == 0);
    WEFT_CHECK(!silent.has_ended);
    WEFT_CHECK(weft_sleep(200 * MS) == 0);
    WEFT_CHECK(silent.has_ended && silent.error == 0);
    WEFT_CHECK(sleeper.has_ended);
    weft_server_cancel(server);
    settle();
    for (size_t i = 0; i < COUNT(all); i++)
        client_close(all[i], false);
    return close_server();
}

static int is_cancelled(void)
{
    client loop, served, busy;
    open_server();
    weft_get(app, "/serves/{how}", serves);
    ws_open(&loop, server, "/ws");
    ws_open(&served, server, "/serves/x");
    ws_open(&busy, server, "/serves/wait");
    settle();
    client_send(&busy, TEXT("\x81\x81" Z "b"));
    settle();
    weft_server_cancel(server);
    settle();
    settle();
    WEFT_CHECK(loop.has_ended && served.has_ended);
    WEFT_CHECK(weft_sleep(6 * WEFT_SECOND) == 0);
    WEFT_CHECK(busy.has_ended);
    client_close(&loop, false);
    client_close(&served, false);
    client_close(&busy, false);
    return close_server();
}

static int the_server_is_closed_under_it(void)
{
    client loop, served, busy;
    open_server();
    weft_get(app, "/serves/{how}", serves);
    ws_open(&loop, server, "/ws");
    ws_open(&served, server, "/serves/x");
    ws_open(&busy, server, "/serves/wait");
    settle();
    client_send(&busy, TEXT("\x81\x81" Z "b"));
    settle();
    harness_close_now(server);
    client_close(&loop, false);
    client_close(&served, false);
    client_close(&busy, false);
    weft_app_free(app);
    return 0;
}

int main(int argc, char **argv)
{
    static const weft_test tests[] = {
        TEST(several_tasks_send),
        TEST(one_task_receives),
        TEST(streaming_out),
        TEST(a_stream_without_an_end),
        TEST(ways_to_send),
        TEST(compressed_messages),
        TEST(callbacks),
        TEST(callbacks_fail_and_go),
        TEST(a_served_socket_is_small),
        TEST(stops),
        TEST(is_cancelled),
        TEST(the_server_is_closed_under_it),
    };
    return weft_test_main(tests, COUNT(tests), argc, argv);
}
