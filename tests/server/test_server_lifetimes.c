/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* What is over stays over, and what is still read stays there: streams written to after their end, connections that break in
 * the middle of a call. */
#include "harness.h"

#include "server/access_log.h"

/* ---- a stream that has ended ---- */

struct late {
    weft_request *req;
    int write_rc, trailer_rc;
};

static struct late late;

static void write_late(void *arg)
{
    (void)arg;
    late.write_rc = weft_write(late.req, "late", 4);
    late.trailer_rc = weft_set_trailer(late.req, "X-Late", "1");
}

static int write_shielded(void *arg)
{
    int rc = weft_sleep(WEFT_HOUR);
    WEFT_SHIELD (clean, WEFT_SECOND) {
        write_late(arg);
    }
    return rc;
}

static int stream_and_defer(weft_request *req)
{
    late = (struct late){ .req = req };
    WEFT_TRY(weft_defer(write_late, NULL));
    WEFT_TRY(weft_reply_stream(req, 200, NULL, -1));
    return weft_write(req, "abc", 3);
}

static int stream_and_leave_a_task(weft_request *req)
{
    weft_task *task;
    late = (struct late){ .req = req };
    WEFT_TRY(weft_spawn(&task, write_shielded, NULL));
    WEFT_TRY(weft_reply_stream(req, 200, NULL, -1));
    WEFT_TRY(weft_write(req, "abc", 3));
    return weft_yield();
}

/* Bytes behind the last chunk would be taken for the beginning of the next reply. */
static int nothing_follows_the_end_of_a_stream(void)
{
    static const char *const paths[] = { GET("/deferred"), GET("/left") };
    for (size_t i = 0; i < COUNT(paths); i++) {
        weft_app *app = harness_app();
        weft_get(app, "/deferred", stream_and_defer);
        weft_get(app, "/left", stream_and_leave_a_task);
        weft_server *server = harness_open(app);
        client c;
        WEFT_CHECK(client_open(&c, server, 4096) == 0);
        client_send(&c, paths[i], strlen(paths[i]));
        client_send(&c, TEXT(GET("/")));
        settle();
        CHECK_GOT(&c, STATUS("200 OK") "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" FRONT);
        WEFT_CHECK(late.write_rc == -EALREADY && late.trailer_rc == -EINVAL);
        client_close(&c, false);
        harness_close(server);
        weft_app_free(app);
    }
    return 0;
}

/* ---- a connection that breaks while it is refused ---- */

static void break_in_refusal(int count)
{
    weft_app *app = harness_app();
    weft_app_options options = { .struct_size = sizeof options, .access_log = "/dev/null" };
    WEFT_CHECK(weft_app_configure(app, &options) == 0);
    weft_server *server = harness_open(app);
    weft_access_writer *writer;
    WEFT_CHECK(weft_access_log_start(&writer, app, 1) == 0);
    weft_access_log *log = server->access_log = weft_access_log_new(writer, 0, weft_loop_here(), WEFT_ACCESS_LOG_COMMON);
    client c;
    WEFT_CHECK(client_open(&c, server, 64 * 1024) == 0);
    server_knobs(&c)->breaks = true;
    client_send(&c, TEXT(GET("/sleep/5")));
    settle();
    for (int i = 0; i < count; i++) /* read ahead, into the connection's own store */
        client_send(&c, TEXT(GET("/")));
    client_send(&c, TEXT("GET\x01 /malformed HTTP/1.1\r\nHost: a\r\n\r\n"));
    WEFT_CHECK(weft_sleep(20 * MS) == 0);
    WEFT_CHECK(c.got_size == 0 && server->connection_count == 0 && server->counts.replies > 500);
    client_close(&c, false);
    harness_close(server);
    weft_access_log_free(log);
    weft_access_log_stop(writer);
    weft_app_free(app);
}

/* The last of many pipelined requests is malformed, and to make room for the refusal what was made before is sent, which finds
 * the connection broken: its unread bytes, which the record quotes, would be given back by then. The buffer holds 64 KiB: with
 * one of these counts it is so full that the refusal is the first that finds no room. */
static int a_refusal_that_breaks_is_recorded(void)
{
    enum { FIT = 64 * 1024 / (sizeof FRONT - 1) };
    for (int count = FIT - 6; count <= FIT; count++)
        break_in_refusal(count);
    return 0;
}

/* ---- a connection that is closed between a head and its handler ---- */

static int waited_rc;
static bool was_gone;

static int wait_long(weft_request *req)
{
    waited_rc = weft_sleep(WEFT_SECOND);
    was_gone = weft_request_gone(req);
    return waited_rc;
}

static int refuse_to_read(weft_transport *t)
{
    (void)t;
    return -ENOMEM;
}

/* So much was read ahead behind the first request that reading has stopped; taking the second off the input starts it again,
 * and that fails: nobody will ever tell the handler that the connection is closed, unless it hears at once. */
static void close_before(const char *path, bool finishes)
{
    enum { FIELD = 7000, BODY = 4000 };
    weft_app *app = harness_app();
    weft_post(app, "/cancelled", wait_long);
    weft_post(app, "/finished", wait_long, .finish_when_client_leaves = true);
    weft_server *server = harness_open(app);
    client c;
    WEFT_CHECK(client_open(&c, server, 64 * 1024) == 0);
    client_send(&c, TEXT(GET("/sleep/5")));
    settle();
    static char second[2 * FIELD + BODY + 300];
    int size = snprintf(second, sizeof second,
                        "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\nA: %0*d\r\nB: %0*d\r\n\r\n%0*d", path, FIELD, 0,
                        FIELD, 0, BODY, 0);
    client_send(&c, second, (size_t)size);
    settle();
    weft_transport_ops broken = *c.connection->transport.ops;
    broken.read_start = refuse_to_read;
    c.connection->transport.ops = &broken;
    WEFT_CHECK(!c.connection->transport.is_reading);
    waited_rc = 1;
    was_gone = false;
    WEFT_CHECK(weft_sleep(10 * MS) == 0);
    WEFT_CHECK(server->counts.requests == 2 && server->connection_count == (finishes ? 1 : 0));
    WEFT_CHECK(finishes ? waited_rc == 1 : waited_rc == WEFT_ECANCELED && was_gone);
    WEFT_CHECK(weft_sleep(WEFT_SECOND) == 0);
    WEFT_CHECK(finishes ? waited_rc == 0 && was_gone : waited_rc == WEFT_ECANCELED);
    client_close(&c, false);
    harness_close(server);
    weft_app_free(app);
}

static int a_handler_hears_that_its_connection_was_closed_before(void)
{
    close_before("/cancelled", false);
    close_before("/finished", true);
    return 0;
}

static const weft_test tests[] = {
    TEST(a_handler_hears_that_its_connection_was_closed_before),
    TEST(nothing_follows_the_end_of_a_stream),
    TEST(a_refusal_that_breaks_is_recorded),
};

int main(int argc, char **argv)
{
    return weft_test_main(tests, COUNT(tests), argc, argv);
}
