/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * A head that a connection sends again is not judged anew: what a handler sees, and what is refused, must be as if it were.
 * Whether the cache was used is told by its hits, so that no test passes because it was not.
 */
#include "harness.h"

#include "lib/base/memory.h"
#include "server/head_cache.h"

static weft_app *app;
static weft_server *server;

static uint64_t hits(void)
{
    return server->head_cache.hits;
}

/* All that a handler can ask for. */
static int tells(weft_request *req)
{
    const char *query = weft_query_string(req), *field = weft_header(req, "X-Field"), *n = weft_query(req, "n");
    char *told = weft_format(req, "%s %s|%s|%s|%s|%s|%s|%s|%s", weft_method(req), weft_path(req), weft_param(req, "a"),
                             weft_param(req, "b"), query ? query : "-", n ? n : "-", weft_header(req, "Host"),
                             field ? field : "-", weft_header(req, "Accept") ? weft_header(req, "Accept") : "-");
    return weft_reply_text(req, 200, "%s", told);
}

static weft_event gate;

static int tells_late(weft_request *req)
{
    int rc = weft_event_wait(&gate);
    tells(req); /* what was asked is there, though the client may not be */
    return rc;
}

static int with_body(weft_request *req)
{
    weft_bytes body;
    WEFT_TRY(weft_body(req, &body));
    return weft_reply_text(req, 200, "%.*s", (int)body.size, (const char *)body.data);
}

static void begin(void)
{
    app = harness_app();
    weft_route(app, "GET", "/tell/{a}/{b...}", tells);
    weft_route(app, "GET", "/late/{a}/{b...}", tells_late);
    weft_route(app, "POST", "/body", with_body);
    server = harness_open(app);
}

static void end(void)
{
    harness_close(server);
    weft_app_free(app);
}

static bool asks(client *c, const char *head, const char *body)
{
    char expected[4096];
    int size = snprintf(expected, sizeof expected, STATUS("200 OK") PLAIN_TEXT "Content-Length: %zu\r\n\r\n%s", strlen(body),
                        body);
    client_forget(c);
    client_send(c, head, strlen(head));
    settle();
    return client_got(c, expected, (size_t)size);
}

/* ---- the same again ---- */

#define TELL(target, fields) "GET " target " HTTP/1.1\r\nHost: a\r\n" fields "\r\n"

static int every_part_is_there_again(void)
{
    static const struct {
        const char *head, *told;
    } cases[] = {
        { TELL("/tell/x/y", ""), "GET /tell/x/y|x|y|-|-|a|-|-" },
        { TELL("/tell/x/y/z?n=1&m", "X-Field: v\r\n"), "GET /tell/x/y/z|x|y/z|n=1&m|1|a|v|-" },
        { TELL("/tell/b%2Fc%25/%41", "X-Field:\r\nAccept: */*\r\n"), "GET /tell/b/c%/A|b/c%|A|-|-|a||*/*" },
        { TELL("/tell/../tell/./a/b", ""), "GET /tell/a/b|a|b|-|-|a|-|-" },
        { TELL("http://b:1/tell/x/y?n=%31", ""), "GET /tell/x/y|x|y|n=%31|1|a|-|-" },
        { "\r\n" TELL("/tell/x/y", ""), "GET /tell/x/y|x|y|-|-|a|-|-" },
    };
    begin();
    for (size_t i = 0; i < COUNT(cases); i++) {
        client c;
        client_open(&c, server, 4096);
        for (int round = 0; round < 5; round++) { /* the second is kept */
            uint64_t before = hits();
            WEFT_CHECK(asks(&c, cases[i].head, cases[i].told));
            WEFT_CHECK(hits() - before == (round >= 2));
        }
        client_close(&c, false);
    }
    end();
    return 0;
}

static int in_pieces_it_is_judged_and_whole_it_is_not(void)
{
    static const char head[] = TELL("/tell/x/y", "X-Field: v\r\n"), told[] = "GET /tell/x/y|x|y|-|-|a|v|-";
    client c;
    begin();
    client_open(&c, server, 4096);
    WEFT_CHECK(asks(&c, head, told) && asks(&c, head, told));
    for (size_t at = 1; at < sizeof head - 1; at++) {
        uint64_t before = hits();
        client_send(&c, head, at);
        settle();
        WEFT_CHECK(asks(&c, head + at, told));
        WEFT_CHECK(hits() == before);
        WEFT_CHECK(asks(&c, head, told));
        WEFT_CHECK(hits() == before + 1);
    }
    client_close(&c, false);
    end();
    return 0;
}

static int pipelined_they_are_each_a_request(void)
{
    enum { ALL = 40, HEAD = sizeof GET("/") - 1, REPLY = sizeof FRONT - 1 };
    char heads[ALL * HEAD], replies[ALL * REPLY];
    client c;
    begin();
    client_open(&c, server, 64 * 1024);
    for (size_t i = 0; i < ALL; i++) {
        memcpy(heads + i * HEAD, GET("/"), HEAD);
        memcpy(replies + i * REPLY, FRONT, REPLY);
    }
    client_send(&c, heads, sizeof heads);
    settle();
    WEFT_CHECK(client_got(&c, replies, sizeof replies));
    WEFT_CHECK(hits() == ALL - 2);
    client_close(&c, false);
    end();
    return 0;
}

static int a_body_is_no_part_of_it(void)
{
    client c;
    begin();
    client_open(&c, server, 4096);
    WEFT_CHECK(asks(&c, POST("/body", 3) "one", "one"));
    WEFT_CHECK(asks(&c, POST("/body", 3) "two", "two"));
    WEFT_CHECK(asks(&c, POST("/body", 3) "six", "six"));
    WEFT_CHECK(hits() == 1);
    client_send(&c, TEXT(POST("/body", 3)));
    settle();
    WEFT_CHECK(asks(&c, "ten", "ten"));
    WEFT_CHECK(hits() == 2);
    client_close(&c, false);
    end();
    return 0;
}

static int a_last_request_is_the_last(void)
{
    static const char head[] = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    client c;
    begin();
    client_open(&c, server, 4096);
    client_send(&c, TEXT(GET("/") GET("/")));
    client_send(&c, TEXT(head));
    settle();
    CHECK_GOT(&c, FRONT FRONT FRONT_CLOSE);
    WEFT_CHECK(c.has_ended);
    client_close(&c, false);
    end();
    return 0;
}

/* ---- nearly the same ---- */

/* What a connection gets that has served `before` twice, and then gets `head`. */
static void replies_to(const char *before, const char *head, size_t size, char *ret_got, size_t room)
{
    client c;
    client_open(&c, server, 4096);
    for (int i = 0; before && i < 2; i++) {
        client_send(&c, before, strlen(before));
        settle();
    }
    client_forget(&c);
    client_send(&c, head, size);
    client_shutdown(&c);
    settle();
    client_has(&c, "", 0); /* masks the date */
    snprintf(ret_got, room, "%s", c.got ? c.got : "");
    client_close(&c, false);
}

/* Each byte in turn is another one, is missing, or comes twice: the answer is that of a connection that never knew the head. */
static int any_other_byte_is_another_head(void)
{
    static const char head[] = TELL("/tell/xx/y?n=1", "X-Field: some value\r\nAccept: */*\r\n");
    static const char others[] = { '\0', '\r', '\n', ' ', ':', '/', '%', 'a', '1', (char)0x80 };
    char got[2048], expected[2048];
    begin();
    for (size_t at = 0; at < sizeof head - 1; at++) {
        for (size_t i = 0; i < COUNT(others) + 2; i++) {
            char other[2 * sizeof head];
            size_t size = sizeof head - 1;
            memcpy(other, head, size);
            if (i < COUNT(others)) {
                other[at] = others[i];
            } else if (i == COUNT(others)) {
                memmove(other + at, other + at + 1, --size - at);
            } else {
                memmove(other + at + 1, other + at, size++ - at);
            }
            uint64_t before = hits();
            replies_to(NULL, other, size, expected, sizeof expected);
            replies_to(head, other, size, got, sizeof got);
            bool is_same = size >= sizeof head - 1 && memcmp(other, head, sizeof head - 1) == 0;
            WEFT_CHECK(hits() == before + is_same);
            WEFT_CHECK(strcmp(got, expected) == 0);
            if (strcmp(got, expected) != 0)
                printf("# byte %zu, kind %zu:\n# %s\n# in place of\n# %s\n", at, i, got, expected);
        }
    }
    end();
    return 0;
}

static int who_never_sends_the_same_is_kept_now_and_then(void)
{
    char head[128], told[128];
    client c;
    begin();
    client_open(&c, server, 4096);
    for (int i = 0; i < 400; i++) {
        snprintf(head, sizeof head, TELL("/tell/%03d/y", ""), i);
        snprintf(told, sizeof told, "GET /tell/%03d/y|%03d|y|-|-|a|-|-", i, i);
        WEFT_CHECK(asks(&c, head, told));
    }
    WEFT_CHECK(hits() == 0);
    for (int i = 0; i < 20; i++) /* and is found again when it does */
        WEFT_CHECK(asks(&c, head, told));
    WEFT_CHECK(hits() >= 3);
    client_close(&c, false);
    end();
    return 0;
}

static int what_is_too_large_is_not_kept(void)
{
    static char head[4096], told[4096];
    client c;
    begin();
    client_open(&c, server, 8192);
    for (int size = 900; size < 1200; size += 20) {
        uint64_t before = hits();
        int length = snprintf(head, sizeof head, "GET /tell/x/y HTTP/1.1\r\nHost: a\r\nX-Field: %0*d\r\n\r\n", size, 7);
        snprintf(told, sizeof told, "GET /tell/x/y|x|y|-|-|a|%0*d|-", size, 7);
        for (int i = 0; i < 20; i++)
            WEFT_CHECK(asks(&c, head, told));
        WEFT_CHECK((hits() > before) == (length <= WEFT_HEAD_CACHE_HEAD));
    }
    client_close(&c, false);
    end();
    return 0;
}

/* ---- whose it is ---- */

static int another_connection_in_the_same_place_begins_anew(void)
{
    static const char head[] = TELL("/tell/x/y", ""), told[] = "GET /tell/x/y|x|y|-|-|a|-|-";
    client c;
    begin();
    client_open(&c, server, 4096);
    const weft_connection *place = c.connection;
    WEFT_CHECK(asks(&c, head, told) && asks(&c, head, told) && asks(&c, head, told));
    WEFT_CHECK(hits() == 1);
    client_close(&c, false);
    settle();
    client_open(&c, server, 4096);
    WEFT_CHECK(c.connection == place);
    WEFT_CHECK(asks(&c, head, told) && asks(&c, head, told));
    WEFT_CHECK(hits() == 1);
    WEFT_CHECK(asks(&c, head, told));
    WEFT_CHECK(hits() == 2);
    client_close(&c, false);
    end();
    return 0;
}

/* More connections than slots: each is served, the first to come keep their slots, and these are given on when they rest. */
static int slots_are_few(void)
{
    enum { CLIENTS = WEFT_HEAD_CACHE_SLOTS + 100 };
    static client clients[CLIENTS];
    char head[128], told[128];
    begin();
    for (int i = 0; i < CLIENTS; i++)
        client_open(&clients[i], server, 4096);
    for (int round = 0; round < 12; round++) {
        uint64_t before = hits();
        int first = round < 6 ? 0 : WEFT_HEAD_CACHE_SLOTS;
        for (int i = first; i < CLIENTS; i++) {
            snprintf(head, sizeof head, TELL("/tell/%d/y", ""), i);
            snprintf(told, sizeof told, "GET /tell/%d/y|%d|y|-|-|a|-|-", i, i);
            WEFT_CHECK(asks(&clients[i], head, told));
        }
        WEFT_CHECK(hits() - before <= WEFT_HEAD_CACHE_SLOTS);
        if (round == 5)
            WEFT_CHECK(hits() - before > WEFT_HEAD_CACHE_SLOTS / 2);
        if (round == 11)
            WEFT_CHECK(hits() - before > 50);
    }
    for (int i = 0; i < CLIENTS; i++)
        client_close(&clients[i], false);
    end();
    return 0;
}

/* Many connections, of which some want the slot that another's request points into while its handler waits. */
static void all_slots_are_wanted(int first)
{
    enum { CLIENTS = 2 * WEFT_HEAD_CACHE_SLOTS };
    static client clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        client_open(&clients[i], server, 4096);
    for (int round = 0; round < 8; round++) {
        for (int i = 0; i < CLIENTS; i++) {
            char head[128], told[128];
            snprintf(head, sizeof head, TELL("/tell/%d/y", ""), first + i);
            snprintf(told, sizeof told, "GET /tell/%d/y|%d|y|-|-|a|-|-", first + i, first + i);
            WEFT_CHECK(asks(&clients[i], head, told));
        }
    }
    for (int i = 0; i < CLIENTS; i++)
        client_close(&clients[i], false);
}

static int what_a_request_points_into_stays(void)
{
    static const char head[] = TELL("/late/xx/yy/zz?n=1", "X-Field: v\r\n"), told[] = "GET /late/xx/yy/zz|xx|yy/zz|n=1|1|a|v|-";
    client c;
    begin();
    weft_event_init(&gate);
    weft_event_set(&gate);
    client_open(&c, server, 4096);
    WEFT_CHECK(asks(&c, head, told) && asks(&c, head, told));
    for (int round = 0; round < 2; round++) {
        uint64_t before = hits();
        weft_event_clear(&gate);
        client_send(&c, head, strlen(head));
        settle();
        WEFT_CHECK(hits() == before + 1);
        client_forget(&c);
        all_slots_are_wanted(1000);
        weft_event_set(&gate);
        before = hits();
        WEFT_CHECK(asks(&c, "", told));
        WEFT_CHECK(asks(&c, head, told)); /* and is its own still */
        WEFT_CHECK(hits() == before + 1);
    }
    weft_event_clear(&gate);
    client_send(&c, head, strlen(head));
    settle();
    client_close(&c, true); /* its handler is cancelled, and looks again at what was asked */
    all_slots_are_wanted(3000);
    end();
    weft_event_close(&gate);
    return 0;
}

/* ---- without memory ---- */

/* The n-th allocation of the second request, which is kept, and of the third fails: each is answered, or refused. */
static int every_allocation_may_fail(void)
{
    static const char head[] = TELL("/tell/x/y", ""), told[] = "GET /tell/x/y|x|y|-|-|a|-|-";
    bool failed = true;
    int served = 0;
    begin();
    for (unsigned n = 1; failed; n++) {
        weft_faults faults = { .fail_at = n };
        client c;
        client_open(&c, server, 4096);
        WEFT_CHECK(asks(&c, head, told));
        client_forget(&c);
        weft_mem_set_faults(&faults);
        client_send(&c, TEXT(TELL("/tell/x/y", "")));
        settle();
        if (!c.has_ended)
            client_send(&c, TEXT(TELL("/tell/x/y", "")));
        settle();
        weft_mem_set_faults(NULL);
        failed = faults.struck;
        if (!c.has_ended && !c.is_closed) {
            served++;
            WEFT_CHECK(asks(&c, head, told));
        }
        client_close(&c, false);
        settle();
    }
    WEFT_CHECK(served > 0);
    end();
    return 0;
}

static const weft_test tests[] = {
    TEST(every_part_is_there_again),
    TEST(in_pieces_it_is_judged_and_whole_it_is_not),
    TEST(pipelined_they_are_each_a_request),
    TEST(a_body_is_no_part_of_it),
    TEST(a_last_request_is_the_last),
    TEST(any_other_byte_is_another_head),
    TEST(who_never_sends_the_same_is_kept_now_and_then),
    TEST(what_is_too_large_is_not_kept),
    TEST(another_connection_in_the_same_place_begins_anew),
    TEST(slots_are_few),
    TEST(what_a_request_points_into_stays),
    TEST(every_allocation_may_fail),
};

int main(int argc, char **argv)
{
    return weft_test_main(tests, COUNT(tests), argc, argv);
}
