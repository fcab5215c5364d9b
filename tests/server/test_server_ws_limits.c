/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Each limit of the table that WebSockets keep is met once by a client made for it, with an option that makes it small: the
 * close code, the counter and the reason for which the connection ended are looked at, and that nothing else was counted. With
 * an option that is just large enough the same client meets nothing. A limit of WebSockets without a row fails
 * `each_limit_has_a_row`.
 */
#include "ws_client.h"

/* ---- what the handlers do ---- */

static int closes(weft_request *req)
{
    weft_ws *ws;
    weft_message msg;
    WEFT_TRY(weft_ws_accept(req, &ws));
    WEFT_TRY(weft_ws_close(ws, 1000, NULL));
    return weft_ws_receive(ws, &msg);
}

static int sleeps(weft_request *req)
{
    weft_ws *ws;
    WEFT_TRY(weft_ws_accept(req, &ws));
    return weft_sleep(WEFT_HOUR);
}

/* A task that waits for its turn to send. */
static int writes(weft_request *req)
{
    weft_ws *ws;
    char bytes[3000] = "";
    WEFT_TRY(weft_ws_accept(req, &ws));
    for (int i = 0; i < 30; i++)
        WEFT_TRY(weft_ws_send_bytes(ws, bytes, sizeof bytes));
    return weft_sleep(WEFT_HOUR);
}

/* What a room does: 20 messages of 1 KiB at once, and what is refused is dropped. */
static int is_subscribed(weft_request *req)
{
    weft_ws *ws;
    char bytes[1024] = "";
    WEFT_TRY(weft_ws_accept(req, &ws));
    for (int i = 0; i < 20; i++) {
        weft_shared *frame = weft_session_encode(weft_session_server(ws), &(weft_message){ bytes, sizeof bytes, false }, 0);
        if (!frame)
            return -ENOMEM;
        int rc = weft_session_append(ws, frame);
        weft_shared_unref(frame);
        if (rc < 0 && rc != -ENOBUFS)
            return rc;
    }
    return weft_sleep(WEFT_HOUR);
}

/* ---- rows ---- */

#define OPTIONS(...)                                                                                                           \
    {                                                                                                                          \
        .struct_size = sizeof(weft_app_options), __VA_ARGS__                                                                   \
    }
#define SENDS(text) .in = (text), .in_size = sizeof(text) - 1
#define X50         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define PING        "\x89\x80" Z

static const struct row {
    enum weft_limit limit;
    const char *option;
    weft_app_options options, roomy;
    const char *path;
    const char *in; /* what the client sends */
    size_t in_size;
    int code;               /* of the close; 0: none */
    const char *closed;     /* NULL: it stays open */
    const char *incidental; /* another limit, which may be met as well */
    bool bombs, reads_not;
} rows[] = {
    { WEFT_LIMIT_WS_MESSAGE, "websocket_message_limit", OPTIONS(.websocket_message_limit = 9),
      OPTIONS(.websocket_message_limit = 10), "/ws", SENDS("\x82\x8a" Z "0123456789"), 1009, "limit" },
    { WEFT_LIMIT_WS_FRAGMENTS, "websocket_fragment_limit", OPTIONS(.websocket_fragment_limit = 2),
      OPTIONS(.websocket_fragment_limit = 3), "/ws", SENDS("\x02\x81" Z "0\x00\x81" Z "1\x80\x81" Z "2"), 1009, "limit" },
    { WEFT_LIMIT_WS_INFLATE, "websocket_inflate_ratio", OPTIONS(.websocket_inflate_ratio = 30),
      OPTIONS(.websocket_inflate_ratio = 2000), "/ws", .code = 1009, .closed = "limit", .bombs = true },
    { WEFT_LIMIT_WS_CONTROL, "websocket_control_rate", OPTIONS(.websocket_control_rate = 4),
      OPTIONS(.websocket_control_rate = 5), "/ws", SENDS(PING PING "\x8a\x80" Z PING PING), 1008, "limit" },
    { WEFT_LIMIT_WS_PING, "websocket_ping_every", OPTIONS(.websocket_ping_every = WEFT_SECOND),
      OPTIONS(.websocket_ping_every = 10 * WEFT_SECOND), "/ws" },
    { WEFT_LIMIT_WS_DEAD, "websocket_dead_after", OPTIONS(.websocket_dead_after = WEFT_SECOND),
      OPTIONS(.websocket_dead_after = 20 * WEFT_SECOND), "/ws", .closed = "limit", .incidental = "websocket_ping_every" },
    { WEFT_LIMIT_WS_CLOSE_TIME, "websocket_close_timeout", OPTIONS(.websocket_close_timeout = WEFT_SECOND),
      OPTIONS(.websocket_close_timeout = 10 * WEFT_SECOND), "/closes", .code = 1000, .closed = "limit" },
    { WEFT_LIMIT_WS_QUEUE_SIZE, "websocket_queue_size", OPTIONS(.websocket_queue_size = 16 * 1024),
      OPTIONS(.websocket_queue_size = 21 * 1024), "/subscribed" },
    { WEFT_LIMIT_WS_QUEUE_COUNT, "websocket_queue_count", OPTIONS(.websocket_queue_count = 8),
      OPTIONS(.websocket_queue_count = 20), "/subscribed" },
    { WEFT_LIMIT_BUFFERED, "buffer_budget", OPTIONS(.buffer_budget = 200), OPTIONS(.buffer_budget = 20000), "/ws",
      SENDS("\x82\xfe\x01\xf4" Z X50 X50 X50 X50 X50 X50 X50 X50 X50 X50), 1013, "limit" },
    { WEFT_LIMIT_WRITE_TIME, "write_timeout", OPTIONS(.write_timeout = WEFT_SECOND), OPTIONS(.write_timeout = WEFT_NO_LIMIT),
      "/writes", .closed = "limit", .reads_not = true },
    { WEFT_LIMIT_OUTPUT, "output_high", OPTIONS(.output_high = 8000), OPTIONS(.output_high = 100 * 1000), "/writes",
      .reads_not = true },
    { WEFT_LIMIT_READ_AHEAD, "read_ahead", OPTIONS(.read_ahead = 200), OPTIONS(.read_ahead = 2000), "/sleeps",
      SENDS("\x82\xfe\x01\xf4" Z X50 X50 X50 X50 X50 X50 X50 X50 X50 X50) },
};

/* ---- meeting them ---- */

enum { BOMB_SIZE = 200 * 1024 };

static void send_bomb(client *c)
{
    char *zeros = calloc(1, BOMB_SIZE), *frame = malloc(BOMB_SIZE);
    weft_deflate *z = weft_deflate_new(15, 9);
    WEFT_CHECK(zeros && frame && z);
    int64_t size = weft_deflate_message(z, zeros, BOMB_SIZE, frame + 8, weft_deflate_bound(z, BOMB_SIZE), false);
    WEFT_CHECK(size > 125 && size * 1000 > BOMB_SIZE - WEFT_INFLATE_FREE);
    memcpy(frame, "\xc2\xfe", 2);
    frame[2] = (char)(size >> 8);
    frame[3] = (char)size;
    memset(frame + 4, 0, 4);
    client_send(c, frame, (size_t)size + 8);
    weft_deflate_free(z);
    free(zeros);
    free(frame);
}

static void check_counters(const weft_app *app, const struct row *row, bool is_met)
{
    weft_counter all[100];
    size_t count = weft_app_counters(app, all, COUNT(all));
    char limit[64], closed[64], incidental[64];
    snprintf(limit, sizeof limit, "limit_%s", row->option);
    snprintf(closed, sizeof closed, "closed_%s", row->closed ? row->closed : "none");
    snprintf(incidental, sizeof incidental, "limit_%s", row->incidental ? row->incidental : "none");
    for (size_t i = 0; i < count; i++) {
        const char *name = all[i].name;
        if (strncmp(name, "limit_", 6) != 0 && strncmp(name, "closed_", 7) != 0)
            continue;
        bool is_wanted = is_met && (strcmp(name, limit) == 0 || strcmp(name, closed) == 0);
        bool is_allowed = is_wanted || strcmp(name, incidental) == 0 || strcmp(name, "limit_linger_timeout") == 0 ||
                          (row->reads_not && strcmp(name, "limit_output_high") == 0 && strcmp(name, limit) != 0);
        bool is_right = is_wanted ? all[i].value > 0 : is_allowed || all[i].value == 0;
        if (!is_right)
            printf("# %s, %s: %s is %llu\n", row->option, is_met ? "met" : "not met", name, (unsigned long long)all[i].value);
        WEFT_CHECK(is_right);
    }
}

/* Has it got a close with this code? */
static bool has_close(const client *c, int code)
{
    const char *data, *blank = c->got ? strstr(c->got, "\r\n\r\n") : NULL; /* behind 101 */
    size_t at = blank ? (size_t)(blank + 4 - c->got) : 0, size;
    for (int first; (first = ws_next_frame(c, &at, &data, &size)) >= 0;)
        if (first == 0x88)
            return size >= 2 && ((unsigned char)data[0] << 8 | (unsigned char)data[1]) == code;
    return false;
}

static void run(const struct row *row, bool is_met)
{
    if (row->bombs && !weft_deflate_is_there())
        return;
    weft_app *app = ws_app();
    weft_get(app, "/closes", closes);
    weft_get(app, "/sleeps", sleeps);
    weft_get(app, "/writes", writes);
    weft_get(app, "/subscribed", is_subscribed);
    WEFT_CHECK(weft_app_configure(app, is_met ? &row->options : &row->roomy) == 0);
    weft_server *server = harness_open(app);
    client c;
    char request[400];
    int size = snprintf(request, sizeof request, row->bombs ? WS_GET_DEFLATE("%s") : WS_GET("%s"), row->path);
    WEFT_CHECK(client_open(&c, server, 4096) == 0);
    weft_log_set_level(WEFT_LOG_DEBUG);
    client_send(&c, request, (size_t)size);
    if (row->reads_not)
        client_stop(&c);
    settle();
    if (row->bombs)
        send_bomb(&c);
    else if (row->in_size > 0)
        client_send(&c, row->in, row->in_size);
    WEFT_CHECK(weft_sleep(5 * WEFT_SECOND) == 0);
    check_counters(app, row, is_met);
    char words[64];
    snprintf(words, sizeof words, "limit: %s: ", row->option);
    WEFT_CHECK(is_met == (strstr(harness_log, words) != NULL));
    bool is_right = !is_met || row->code == 0 || has_close(&c, row->code);
    if (!is_right)
        printf("# %s\n", row->option);
    WEFT_CHECK(is_right);
    weft_server_cut(server);
    client_close(&c, true);
    WEFT_CHECK(server->counts.open == 0 && server->counts.buffered == 0);
    harness_close(server);
    weft_app_free(app);
}

static int each_limit_is_met(void)
{
    for (size_t i = 0; i < COUNT(rows); i++)
        run(&rows[i], true);
    return 0;
}

static int and_not_without_need(void)
{
    for (size_t i = 0; i < COUNT(rows); i++)
        run(&rows[i], false);
    return 0;
}

static int each_limit_has_a_row(void)
{
    for (int limit = 0; limit < WEFT_LIMIT_COUNT; limit++) {
        bool has_row = strncmp(weft_limit_words[limit], "websocket_", 10) != 0;
        for (size_t i = 0; i < COUNT(rows); i++)
            has_row = has_row || (int)rows[i].limit == limit;
        if (!has_row)
            printf("# %s\n", weft_limit_words[limit]);
        WEFT_CHECK(has_row);
    }
    return 0;
}

/* ---- what a socket's own options say ---- */

static int dies_soon(weft_request *req)
{
    weft_ws *ws;
    weft_message msg;
    WEFT_TRY(weft_ws_accept(req, &ws, .dead_after = 8 * WEFT_SECOND));
    WEFT_CHECK(ws->ping_every == 4000 && ws->close_timeout == 5000);
    return weft_ws_receive(ws, &msg);
}

/* Who shortens the life of silent peers need not think of pings: a peer that answers them lives on. */
static int a_short_life_has_sooner_pings(void)
{
    weft_app *app = ws_app();
    weft_get(app, "/dies", dies_soon);
    weft_server *server = harness_open(app);
    client c;
    ws_open(&c, server, "/dies");
    for (int i = 0; i < 10; i++) {
        WEFT_CHECK(weft_sleep(5 * WEFT_SECOND) == 0); /* a ping each 4 s, and the beat that it waits for */
        WEFT_CHECK(c.got_size >= 2 && c.got[0] == '\x89');
        client_forget(&c);
        client_send(&c, TEXT("\x8a\x80" Z));
    }
    WEFT_CHECK(!c.has_ended && c.error == 0);
    WEFT_CHECK(weft_sleep(9 * WEFT_SECOND) == 0);
    WEFT_CHECK(c.error != 0 && server->counts.limits[WEFT_LIMIT_WS_DEAD] == 1);
    client_close(&c, false);
    harness_close(server);
    weft_app_free(app);
    return 0;
}

static int of_its_own(weft_request *req)
{
    weft_ws *ws;
    weft_message msg;
    WEFT_TRY(weft_ws_accept(req, &ws, .message_limit = 20, .ping_every = WEFT_MINUTE, .dead_after = WEFT_NO_LIMIT));
    WEFT_CHECK(ws->reader.limit == 20 && ws->reader.fragment_limit == 7 && ws->ping_every == 60 * 1000);
    return weft_ws_receive(ws, &msg);
}

static int a_sockets_options_come_before_the_apps(void)
{
    weft_app *app = ws_app();
    weft_app_options options = { .struct_size = sizeof options, .websocket_message_limit = 5, .websocket_fragment_limit = 7 };
    weft_get(app, "/own", of_its_own);
    WEFT_CHECK(weft_app_configure(app, &options) == 0);
    weft_server *server = harness_open(app);
    client c;
    ws_open(&c, server, "/own");
    client_send(&c, TEXT("\x82\x8a" Z "0123456789"));
    settle();
    CHECK_GOT(&c, "\x88\x02\x03\xe8");
    client_close(&c, true);
    harness_close(server);
    weft_app_free(app);
    return 0;
}

int main(int argc, char **argv)
{
    static const weft_test tests[] = {
        TEST(each_limit_is_met),
        TEST(and_not_without_need),
        TEST(each_limit_has_a_row),
        TEST(a_short_life_has_sooner_pings),
        TEST(a_sockets_options_come_before_the_apps),
    };
    return weft_test_main(tests, COUNT(tests), argc, argv);
}
