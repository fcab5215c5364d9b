/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Server-sent events, alone and in rooms, over memory and in virtual time. */
#include "harness.h"

#include <weft/room.h>
#include <weft/sse.h>

#include "lib/base/memory.h"
#include "server/rooms.h"

#define SECOND  WEFT_SECOND
#define HEAD_OF STATUS("200 OK") TYPE("text/event-stream")
#define FIELDS  "Cache-Control: no-cache\r\nX-Accel-Buffering: no\r\n\r\n"
#define CHUNKED HEAD_OF "Transfer-Encoding: chunked\r\n" FIELDS
#define LAST    "0\r\n\r\n"

static weft_app *app;
static weft_rooms *news_rooms, *lossy_rooms;
static int seen_rc, sent_count;

static int three(weft_request *req)
{
    WEFT_TRY(weft_events_begin(req));
    WEFT_TRY(weft_events_send(req, .data = "one"));
    WEFT_TRY(weft_events_send(req, .name = "n", .id = "7", .data = "a\nb\r\nc\r\rd\n", .retry = 3 * SECOND));
    WEFT_TRY(weft_sleep(SECOND));
    const char *last = weft_events_last_id(req);
    return weft_events_send(req, .data = last ? last : "none");
}

static int misuses(weft_request *req)
{
    WEFT_TRY(weft_events_begin(req));
    WEFT_CHECK(weft_events_begin(req) == -EALREADY && weft_write(req, "x", 1) == -EBUSY);
    WEFT_CHECK(weft_events_send(req, .name = "a\nb", .data = "") == -EINVAL && weft_events_send(req, .id = "\r") == -EINVAL);
    return 0;
}

static int quiet(weft_request *req)
{
    WEFT_TRY(weft_events_begin(req));
    seen_rc = weft_events_wait(req);
    return seen_rc;
}

static int busy(weft_request *req)
{
    static char data[10001];
    memset(data, 'x', 10000);
    WEFT_TRY(weft_events_begin(req));
    for (sent_count = 0; sent_count < 100; sent_count++) {
        seen_rc = weft_events_send(req, .data = data);
        WEFT_TRY(seen_rc);
    }
    return 0;
}

static int fails(weft_request *req)
{
    WEFT_TRY(weft_events_begin(req));
    WEFT_TRY(weft_events_send(req, .data = "so far"));
    return -EIO;
}

static int sends_without(weft_request *req)
{
    seen_rc = weft_events_send(req, .data = "x");
    return weft_reply_text(req, 200, "%d", seen_rc == -EINVAL);
}

static int news(weft_request *req)
{
    weft_member *me;
    WEFT_CHECK(weft_room_join(req, "news", &me) == -EINVAL);
    WEFT_TRY(weft_events_begin(req));
    WEFT_TRY(weft_room_join(req, "news", &me, .rooms = news_rooms, .since = weft_events_last_id(req)));
    return weft_events_wait(req);
}

static int wait_for_news(weft_request *req)
{
    weft_heard heard = { 0 };
    seen_rc = 0;
    WEFT_TIMEOUT (patience, WEFT_MINUTE) {
        seen_rc = weft_room_wait(req, "news", &heard, .rooms = news_rooms, .since = weft_query(req, "since"));
    }
    if (patience.expired)
        return weft_reply_empty(req, 204);
    WEFT_TRY(seen_rc);
    return weft_reply_text(req, 200, "%s %s%s", (const char *)heard.message.data, heard.position, heard.has_gap ? " gap" : "");
}

static int wait_lossily(weft_request *req)
{
    weft_heard heard;
    WEFT_TRY(weft_room_wait(req, "news", &heard, .rooms = lossy_rooms));
    return weft_reply_text(req, 200, "%.*s%s", (int)heard.message.size, (const char *)heard.message.data,
                           heard.has_gap ? " gap" : "");
}

static weft_server *begin(void)
{
    app = harness_app();
    weft_get(app, "/three", three);
    weft_get(app, "/misuses", misuses);
    weft_get(app, "/quiet", quiet);
    weft_get(app, "/busy", busy);
    weft_get(app, "/fails", fails);
    weft_get(app, "/without", sends_without);
    weft_get(app, "/news", news);
    weft_get(app, "/wait", wait_for_news);
    weft_get(app, "/wait-lossily", wait_lossily);
    lossy_rooms = weft_rooms_new(app, .slow = WEFT_SLOW_DROP_OLDEST);
    news_rooms = weft_rooms_new(app, .history = 10, .greets = true);
    seen_rc = sent_count = 0;
    return harness_open(app);
}

static int finish(weft_server *server)
{
    harness_close(server);
    weft_app_free(app);
    return 0;
}

static int events_in_chunks(void)
{
    weft_server *server = begin();
    client c;
    WEFT_TRY(client_open(&c, server, 4096));
    client_send(&c, TEXT("GET /three HTTP/1.1\r\nHost: a\r\nLast-Event-ID: 41\r\n\r\n" GET("/")));
    settle();
    CHECK_GOT(&c, CHUNKED "b\r\ndata: one\n\n\r\n"
                          "4a\r\nid: 7\nevent: n\nretry: 3000\ndata: a\ndata: b\ndata: c\ndata: \ndata: d\ndata: \n\n\r\n");
    client_forget(&c);
    WEFT_CHECK(weft_sleep(2 * SECOND) == 0);
    CHECK_GOT(&c, "a\r\ndata: 41\n\n\r\n" LAST FRONT); /* the connection goes on */
    client_forget(&c);
    client_send(&c, TEXT(GET("/misuses")));
    settle();
    CHECK_GOT(&c, CHUNKED LAST);
    client_forget(&c);
    client_send(&c, TEXT(GET("/without")));
    settle();
    WEFT_CHECK(client_got_one(&c, 200) && strstr(c.got, "\r\n\r\n1"));
    client_close(&c, false);
    return finish(server);
}

static int other_framings(void)
{
    weft_server *server = begin();
    client old, head;
    WEFT_TRY(client_open(&old, server, 4096));
    WEFT_TRY(client_open(&head, server, 4096));
    client_send(&old, TEXT("GET /three HTTP/1.0\r\nHost: a\r\n\r\n"));
    client_send(&head, TEXT("HEAD /three HTTP/1.1\r\nHost: a\r\n\r\n" GET("/")));
    WEFT_CHECK(weft_sleep(2 * SECOND) == 0);
    CHECK_GOT(&old, HEAD_OF CLOSE FIELDS "data: one\n\nid: 7\nevent: n\nretry: 3000\ndata: a\ndata: b\ndata: c\ndata: \ndata: "
                                         "d\ndata: \n\ndata: none\n\n");
    WEFT_CHECK(old.has_ended && old.error == 0);
    CHECK_GOT(&head, CHUNKED FRONT);
    client_close(&old, false);
    client_close(&head, false);
    return finish(server);
}

static int heart_beats(void)
{
    weft_server *server = begin();
    client c;
    WEFT_TRY(client_open(&c, server, 4096));
    client_send(&c, TEXT(GET("/quiet")));
    settle();
    CHECK_GOT(&c, CHUNKED);
    client_forget(&c);
    WEFT_CHECK(weft_sleep(46 * SECOND) == 0);
    CHECK_GOT(&c, "3\r\n:\n\n\r\n3\r\n:\n\n\r\n3\r\n:\n\n\r\n");
    client_close(&c, false); /* who ends his direction reads no more */
    settle();
    WEFT_CHECK(seen_rc == WEFT_EGONE);
    return finish(server);
}

/* To HEAD there is nothing but the head, however long it takes. */
static int nothing_for_head(void)
{
    weft_server *server = begin();
    client c;
    WEFT_TRY(client_open(&c, server, 4096));
    const char *const heads[] = { "HEAD /quiet HTTP/1.1\r\nHost: a\r\n\r\n" GET("/"),
                                  "HEAD /news HTTP/1.1\r\nHost: a\r\nLast-Event-ID: 0\r\n\r\n" GET("/") };
    for (int i = 0; i < 2; i++) {
        const weft_message msg = { "unheard", 7, true };
        WEFT_CHECK(weft_room_publish(news_rooms, "news", &msg) == 0);
        client_send(&c, heads[i], strlen(heads[i]));
        WEFT_CHECK(weft_sleep(20 * SECOND) == 0);
        CHECK_GOT(&c, CHUNKED FRONT);
        client_forget(&c);
    }
    client_close(&c, false);
    return finish(server);
}

/* One that does not read has much to come when the server stops: of that only what has begun to leave is kept. */
static int stopping_copies_little(void)
{
    weft_server *server = begin();
    client c;
    WEFT_TRY(client_open(&c, server, 1000));
    client_send(&c, TEXT(GET("/news")));
    settle();
    client_stop(&c);
    char data[10000];
    memset(data, 'y', sizeof data);
    const weft_message msg = { data, sizeof data, true };
    for (int i = 0; i < 90; i++) {
        WEFT_CHECK(weft_room_publish(news_rooms, "news", &msg) == 0);
        settle();
    }
    WEFT_CHECK(weft_rooms_stats(news_rooms).members == 1);
    weft_server_drain(server);
    settle();
    WEFT_CHECK(c.connection->transport.queued > 0 && c.connection->transport.queued < 20000);
    client_read(&c);
    settle();
    WEFT_CHECK(strstr(c.got, "\r\nretry: ") && strcmp(c.got + c.got_size - 9, "\n\n\r\n" LAST) == 0);
    client_close(&c, false);
    return finish(server);
}

static int a_slow_client(void)
{
    weft_server *server = begin();
    client c, other;
    WEFT_TRY(client_open(&c, server, 1000));
    WEFT_TRY(client_open(&other, server, 1000));
    client_stop(&c);
    client_send(&c, TEXT(GET("/busy")));
    settle();
    WEFT_CHECK(sent_count > 5 && sent_count < 10); /* 64 KiB */
    client_send(&other, TEXT(GET("/")));
    settle();
    CHECK_GOT(&other, FRONT);
    client_read(&c);
    settle();
    WEFT_CHECK(sent_count == 100 && c.got_size > 100 * 10000 && strcmp(c.got + c.got_size - 5, LAST) == 0);
    client_close(&c, false);

    WEFT_TRY(client_open(&c, server, 1000)); /* one that goes while the handler waits */
    client_stop(&c);
    client_send(&c, TEXT(GET("/busy")));
    settle();
    client_close(&c, true);
    settle();
    WEFT_CHECK(seen_rc == WEFT_EGONE && sent_count < 10);
    client_close(&other, false);
    return finish(server);
}

/* A stream that begins while the server stops ends in order as well, though it can join no room any more. */
static int begun_while_stopping(void)
{
    weft_server *server = begin();
    client c;
    WEFT_TRY(client_open(&c, server, 1000));
    client_send(&c, TEXT("GET /news HTTP/1.1\r\n"));
    settle();
    weft_server_drain(server);
    client_send(&c, TEXT("Host: a\r\n\r\n"));
    settle();
    WEFT_CHECK(strstr(c.got, "\r\nretry: ") && strcmp(c.got + c.got_size - 9, "\n\n\r\n" LAST) == 0);
    client_close(&c, false);
    return finish(server);
}

/* Nobody says anything any more, and it never reads what waits for it. */
static int a_stuck_client(void)
{
    weft_server *server = begin();
    client c;
    WEFT_TRY(client_open(&c, server, 1000));
    client_stop(&c);
    client_send(&c, TEXT(GET("/busy")));
    WEFT_CHECK(weft_sleep(40 * SECOND) == 0);
    WEFT_CHECK(server->connection_count == 1);
    WEFT_CHECK(weft_sleep(20 * SECOND) == 0);
    WEFT_CHECK(server->connection_count == 0 && seen_rc == WEFT_EGONE);
    client_close(&c, false);
    return finish(server);
}

static int no_false_end(void)
{
    weft_server *server = begin();
    client c;
    WEFT_TRY(client_open(&c, server, 4096));
    client_send(&c, TEXT(GET("/fails")));
    settle();
    WEFT_CHECK(strncmp(c.got, "HTTP/1.1 200", 12) == 0 && !strstr(c.got, LAST) && c.has_ended);
    client_close(&c, false);
    return finish(server);
}

/* "retry: N", the last chunk, and an orderly end, also for who begins while the server stops. */
static int stopping(void)
{
    weft_server *server = begin();
    client one, two, late;
    WEFT_TRY(client_open(&one, server, 4096));
    WEFT_TRY(client_open(&two, server, 4096));
    WEFT_TRY(client_open(&late, server, 4096));
    client_send(&one, TEXT(GET("/quiet")));
    client_send(&two, TEXT(GET("/news")));
    settle();
    weft_server_drain(server);
    client_send(&late, TEXT(GET("/quiet")));
    settle();
    client *all[] = { &one, &two, &late };
    for (size_t i = 0; i < COUNT(all); i++) {
        const char *hint = strstr(all[i]->got, "\r\nretry: ");
        WEFT_CHECK(hint && strtol(hint + 9, NULL, 10) >= 1000 && strtol(hint + 9, NULL, 10) < 3000);
        WEFT_CHECK(strcmp(all[i]->got + all[i]->got_size - 9, "\n\n\r\n" LAST) == 0 && all[i]->has_ended && all[i]->error == 0);
        client_close(all[i], false);
    }
    WEFT_CHECK(seen_rc == WEFT_ECANCELED && server->counts.drained == 3 && server->counts.cancelled == 0);
    return finish(server);
}

static void id_of(char text[WEFT_POSITION_SIZE], const char *room, uint64_t number)
{
    weft_topic_position(weft_topic_find(news_rooms, room, strlen(room)), number, text);
}

static int in_a_room(void)
{
    weft_server *server = begin();
    client one, two, back;
    char id[2][WEFT_POSITION_SIZE], expected[1000];
    WEFT_TRY(client_open(&one, server, 4096));
    WEFT_TRY(client_open(&two, server, 4096));
    client_send(&one, TEXT(GET("/news")));
    client_send(&two, TEXT("GET /news HTTP/1.0\r\n\r\n"));
    settle();
    client_forget(&one);
    client_forget(&two);
    const weft_message first = { "first\nline", 10, true }, second = { "second", 6, true };
    WEFT_CHECK(weft_room_publish(news_rooms, "news", &first) == 0 && weft_room_publish(news_rooms, "news", &second) == 0);
    settle();
    for (int i = 0; i < 2; i++)
        id_of(id[i], "news", (uint64_t)i + 1);
    int sizes[] = { (int)strlen(id[0]) + 29, (int)strlen(id[1]) + 19 };
    snprintf(expected, sizeof expected, "%x\r\nid: %s\ndata: first\ndata: line\n\n\r\n%x\r\nid: %s\ndata: second\n\n\r\n",
             sizes[0], id[0], sizes[1], id[1]);
    WEFT_CHECK(client_got(&one, expected, strlen(expected)));
    snprintf(expected, sizeof expected, "id: %s\ndata: first\ndata: line\n\nid: %s\ndata: second\n\n", id[0], id[1]);
    WEFT_CHECK(client_got(&two, expected, strlen(expected)));
    client_close(&two, true);
    settle();
    WEFT_CHECK(weft_rooms_stats(news_rooms).members == 1);

    WEFT_TRY(client_open(&back, server, 4096)); /* comes back after the first */
    snprintf(expected, sizeof expected, "GET /news HTTP/1.1\r\nHost: a\r\nLast-Event-ID: %s\r\n\r\n", id[0]);
    client_send(&back, expected, strlen(expected));
    settle();
    WEFT_CHECK(!strstr(back.got, "first") && strstr(back.got, "data: second\n"));
    client_close(&one, false);
    client_close(&back, false);
    settle();
    WEFT_CHECK(weft_rooms_stats(news_rooms).members == 0);
    return finish(server);
}

static int long_polling(void)
{
    weft_server *server = begin();
    client c, gone;
    char id[2][WEFT_POSITION_SIZE], text[300];
    const weft_message first = { "first", 5, true }, second = { "second", 6, true };
    WEFT_TRY(client_open(&c, server, 4096));
    WEFT_TRY(client_open(&gone, server, 4096));
    client_send(&c, TEXT(GET("/wait")));
    client_send(&gone, TEXT(GET("/wait")));
    settle();
    WEFT_CHECK(weft_rooms_stats(news_rooms).members == 2);
    client_close(&gone, true);
    settle();
    WEFT_CHECK(seen_rc == WEFT_EGONE && weft_rooms_stats(news_rooms).members == 1);
    WEFT_CHECK(weft_room_publish(news_rooms, "news", &first) == 0 && weft_room_publish(news_rooms, "news", &second) == 0);
    settle();
    id_of(id[0], "news", 1);
    id_of(id[1], "news", 2);
    snprintf(text, sizeof text, "first %s", id[0]);
    WEFT_CHECK(client_got_one(&c, 200) && strstr(c.got, text) && weft_rooms_stats(news_rooms).members == 0);
    client_forget(&c);
    snprintf(text, sizeof text, "GET /wait?since=%s HTTP/1.1\r\nHost: a\r\n\r\n", id[0]); /* sent already: at once */
    client_send(&c, text, strlen(text));
    settle();
    snprintf(text, sizeof text, "second %s", id[1]);
    WEFT_CHECK(client_got_one(&c, 200) && strstr(c.got, text) && !strstr(c.got, "gap"));
    client_forget(&c);
    client_send(&c, TEXT(GET("/wait?since=1-1")));
    settle();
    WEFT_CHECK(client_got_one(&c, 200) && strstr(c.got, "first") && strstr(c.got, " gap"));
    client_forget(&c);
    client_send(&c, TEXT(GET("/wait")));
    WEFT_CHECK(weft_sleep(2 * WEFT_MINUTE) == 0);
    WEFT_CHECK(client_got_one(&c, 204) && seen_rc == WEFT_EDEADLINE && weft_rooms_stats(news_rooms).members == 0);
    client_close(&c, false);
    return finish(server);
}

/* One that never reads is cut at its bound; meanwhile nobody is delayed, and all share one copy of each message. */
static int one_never_reads(void)
{
    weft_server *server = begin();
    client stuck, other;
    WEFT_TRY(client_open(&stuck, server, 1000));
    WEFT_TRY(client_open(&other, server, 4096));
    client_send(&stuck, TEXT(GET("/news")));
    client_send(&other, TEXT(GET("/news")));
    settle();
    client_stop(&stuck);
    char data[5000];
    memset(data, 'y', sizeof data);
    const weft_message msg = { data, sizeof data, true };
    size_t before = other.got_size;
    int sent = 0;
    for (; sent < 1000 && weft_rooms_stats(news_rooms).members == 2; sent++) {
        WEFT_CHECK(weft_room_publish(news_rooms, "news", &msg) == 0);
        settle();
        WEFT_CHECK(other.got_size > before + sizeof data);
        before = other.got_size;
    }
    WEFT_CHECK(sent > 200 && sent < 220 && weft_rooms_stats(news_rooms).disconnected == 1); /* 1 MiB */
    client_close(&stuck, false);
    client_close(&other, false);
    return finish(server);
}

static int day(void *arg)
{
    (void)arg;
    weft_server *server = harness_open(app);
    if (!server)
        return -ENOMEM;
    client one, two;
    int rc = client_open(&one, server, 4096);
    if (rc == 0) {
        rc = client_open(&two, server, 100);
        client_send(&one, TEXT(GET("/news") GET("/wait?since=0")));
        if (rc == 0)
            client_send(&two, TEXT(GET("/wait")));
        (void)!weft_sleep(MS);
        const weft_message msg = { "news", 4, true };
        (void)weft_room_publish(news_rooms, "news", &msg);
        if (rc == 0)
            client_send(&two, TEXT(GET("/three")));
        (void)!weft_sleep(20 * SECOND);
        client_close(&one, false);
        if (rc == 0)
            client_close(&two, false);
    }
    harness_close_now(server);
    return rc;
}

static int memory_runs_out(void)
{
    app = harness_app();
    weft_get(app, "/three", three);
    weft_get(app, "/news", news);
    weft_get(app, "/wait", wait_for_news);
    news_rooms = weft_rooms_new(app, .history = 10, .greets = true);
    weft_test_report report = { .struck = true };
    for (uint64_t n = 1; report.struck; n++) {
        int rc = weft_test_run(day, NULL, &report, .fail_at = n);
        WEFT_CHECK(rc == 0 || rc == -ENOMEM);
        WEFT_CHECK(n < 2000);
    }
    WEFT_CHECK(weft_rooms_stats(news_rooms).members == 0);
    weft_app_free(app);
    return 0;
}

/* Who waits for the next message, and for which there is no memory, is told so with the one after it. */
static int a_wait_misses_one(void)
{
    weft_server *server = begin();
    client c;
    WEFT_TRY(client_open(&c, server, 1000));
    client_send(&c, TEXT(GET("/wait-lossily")));
    settle();
    const weft_message first = { "first", 5, true }, second = { "second", 6, true };
    WEFT_CHECK(weft_room_publish(lossy_rooms, "news", &first) == 0);
    weft_faults faults = { .fail_at = 1 };
    weft_mem_set_faults(&faults);
    settle();
    weft_mem_set_faults(NULL);
    WEFT_CHECK(faults.struck && c.got_size == 0);
    WEFT_CHECK(weft_room_publish(lossy_rooms, "news", &second) == 0);
    settle();
    WEFT_CHECK(client_got_one(&c, 200) && strstr(c.got, "\r\n\r\nsecond gap"));
    client_close(&c, false);
    return finish(server);
}

/* Each wait of a day, before it, in it and behind its event; nobody keeps a seat. */
static int waits_are_cancelled(void)
{
    app = harness_app();
    weft_get(app, "/three", three);
    weft_get(app, "/news", news);
    weft_get(app, "/wait", wait_for_news);
    news_rooms = weft_rooms_new(app, .history = 10, .greets = true);
    for (int when = WEFT_CANCEL_BEFORE; when <= WEFT_CANCEL_WOKEN; when++) {
        weft_test_report report = { .struck = true };
        uint64_t n = 0, waits = 1;
        for (; n < waits && n < 500; waits = report.waits) {
            int rc = weft_test_run(day, NULL, &report, .cancel_at = ++n, .cancel_when = (enum weft_cancel_when)when);
            WEFT_CHECK(rc == 0 || rc == WEFT_ECANCELED);
            WEFT_CHECK(weft_rooms_stats(news_rooms).members == 0 && atomic_load(&news_rooms->hub_count) == 0);
        }
        WEFT_CHECK(n > 10 && n < 500);
    }
    weft_app_free(app);
    return 0;
}

static const weft_test tests[] = {
    TEST(events_in_chunks),
    TEST(other_framings),
    TEST(heart_beats),
    TEST(nothing_for_head),
    TEST(stopping_copies_little),
    TEST(a_slow_client),
    TEST(a_stuck_client),
    TEST(no_false_end),
    TEST(stopping),
    TEST(in_a_room),
    TEST(long_polling),
    TEST(one_never_reads),
    TEST(a_wait_misses_one),
    TEST(begun_while_stopping),
    PLAIN(memory_runs_out),
    PLAIN(waits_are_cancelled),
};

int main(int argc, char **argv)
{
    return weft_test_main(tests, COUNT(tests), argc, argv);
}
