/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The life of three WebSockets, again and again: the n-th allocation fails, the n-th wait is cancelled, the connection breaks
 * at each byte. Whatever happens, nothing crashes, nothing is left, and what is echoed is echoed right.
 */
#include "ws_client.h"

#include "lib/base/memory.h"

static int work(void *arg)
{
    weft_ws *ws = arg;
    WEFT_TRY(weft_sleep(MS));
    return weft_ws_sendf(ws, "%s", "task");
}

/* A loop with a task beside it, a deadline, a stream. */
static int loop(weft_request *req)
{
    weft_ws *ws;
    weft_message msg;
    weft_task *task;
    int rc = 0;
    WEFT_TRY(weft_ws_accept(req, &ws));
    WEFT_TRY(weft_spawn(&task, work, ws));
    WEFT_TRY(weft_await(task));
    WEFT_TIMEOUT (limit, WEFT_SECOND) {
        while ((rc = weft_ws_receive(ws, &msg)) > 0)
            WEFT_TRY(weft_ws_send(ws, &msg));
    }
    if (rc == WEFT_EDEADLINE) {
        WEFT_TRY(weft_ws_stream(ws, true));
        WEFT_TRY(weft_ws_stream_write(ws, "s", 1));
        WEFT_TRY(weft_ws_stream_end(ws));
        rc = weft_ws_close(ws, 1000, "so long");
    }
    return rc;
}

static int on_message(weft_ws *ws, const weft_message *msg)
{
    WEFT_TRY(weft_yield());
    return weft_ws_send(ws, msg);
}

static weft_app *app;
static unsigned opened, closed;

static int on_open(weft_ws *ws)
{
    (void)ws;
    opened++;
    return weft_yield();
}

static void on_closed(weft_ws *ws)
{
    (void)ws;
    closed++;
    (void)!weft_sleep(MS);
}

static int serves(weft_request *req)
{
    return weft_ws_serve(req, &(weft_ws_handlers){ .open = on_open, .message = on_message, .closed = on_closed });
}

static const char talk[] = "\x81\x83" Z "abc"
                           "\x89\x81" Z "p"
                           "\x02\x81" Z "1"
                           "\x80\x81" Z "2"
                           "\xc1\x87" Z "\xf2\x48\xcd\xc9\xc9\x07\x00"
                           "\x82\xfe\x01\x00" Z;

struct life {
    size_t send_only; /* bytes of the talk, then an end or a reset; SIZE_MAX for all */
    bool resets;
};

static int live(void *arg)
{
    const struct life *life = arg;
    static const char *const paths[] = { WS_GET_DEFLATE("/loop"), WS_GET_DEFLATE("/serves"), WS_GET("/none") };
    weft_server *server = harness_open(app);
    client clients[COUNT(paths)];
    bool is_open[COUNT(paths)] = { false };
    opened = closed = 0;
    for (size_t i = 0; server && i < COUNT(paths); i++) {
        is_open[i] = client_open(&clients[i], server, 100) == 0;
        if (!is_open[i])
            continue;
        client_send(&clients[i], paths[i], strlen(paths[i]));
        settle();
        size_t size = sizeof talk - 1 < life->send_only ? sizeof talk - 1 : life->send_only;
        client_send(&clients[i], talk, size);
    }
    settle();
    settle();
    settle();
    for (size_t i = 0; i < COUNT(paths); i++)
        if (is_open[i] && life->send_only != SIZE_MAX)
            client_close(&clients[i], life->resets);
    WEFT_SHIELD (ending, WEFT_HOUR) {
        WEFT_CHECK(weft_sleep(40 * WEFT_SECOND) == 0); /* deadlines of receiving and of closing */
    }
    for (size_t i = 0; i < COUNT(paths); i++)
        if (is_open[i] && life->send_only == SIZE_MAX)
            client_close(&clients[i], true);
    settle();
    WEFT_CHECK(opened == closed);
    if (server) {
        WEFT_CHECK(server->connection_count == 0 && server->counts.buffered == 0);
        harness_close_now(server);
    }
    return 0;
}

static void make_app(void)
{
    app = harness_app();
    weft_get(app, "/loop", loop);
    weft_get(app, "/serves", serves);
}

static int each_byte(void)
{
    make_app();
    for (size_t at = 0; at < sizeof talk; at++)
        for (int resets = 0; resets < 2; resets++)
            WEFT_CHECK(weft_test_run(live, (&(struct life){ at, resets }), NULL) == 0);
    weft_app_free(app);
    return 0;
}

static int each_allocation(void)
{
    weft_test_report report = { .struck = true };
    struct life life = { SIZE_MAX, false };
    uint64_t n = 0;
    make_app();
    while (report.struck && n < 2000) {
        n++;
        int rc = weft_test_run(live, &life, &report, .fail_at = n, .quiet = true);
        WEFT_CHECK(rc == 0 || rc == -ENOMEM);
        rc = weft_test_run(live, &life, NULL, .fail_at = n, .fail_after = true, .quiet = true);
        WEFT_CHECK(rc == 0 || rc == -ENOMEM);
    }
    WEFT_CHECK(n > 40 && n < 2000);
    weft_app_free(app);
    return 0;
}

static int each_wait(void)
{
    struct life life = { SIZE_MAX, false };
    make_app();
    for (int when = WEFT_CANCEL_BEFORE; when <= WEFT_CANCEL_WOKEN; when++) {
        weft_test_report report;
        uint64_t n = 0, waits = 1;
        while (n < waits && n < 2000) {
            n++;
            int rc = weft_test_run(live, &life, &report, .cancel_at = n, .cancel_when = (enum weft_cancel_when)when,
                                   .quiet = true);
            WEFT_CHECK(rc == 0 || rc == WEFT_ECANCELED);
            waits = report.waits;
        }
        WEFT_CHECK(n > 20 && n < 2000);
    }
    weft_app_free(app);
    return 0;
}

int main(int argc, char **argv)
{
    static const weft_test tests[] = { PLAIN(each_byte), PLAIN(each_allocation), PLAIN(each_wait) };
    return weft_test_main(tests, COUNT(tests), argc, argv);
}
