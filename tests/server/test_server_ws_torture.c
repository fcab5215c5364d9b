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
    bool is_empty; /* nobody connects */
};

static int live(void *arg)
{
    const struct life *life = arg;
    static const char *const paths[] = { WS_GET_DEFLATE("/loop"), WS_GET_DEFLATE("/serves"), WS_GET("/none") };
    weft_server *server = harness_open(app);
    client clients[COUNT(paths)];
    bool is_open[COUNT(paths)] = { false };
    opened = closed = 0;
    for (size_t i = 0; server && !life->is_empty && i < COUNT(paths); i++) {
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

/* What an undisturbed life allocates. */
static uint64_t allocations_of(struct life life)
{
    weft_test_report report;
    WEFT_CHECK(weft_test_run(live, &life, &report) == 0);
    return report.allocations;
}

/* Of all that the sockets are of: connections, requests, their texts, tasks and stacks, the hall, sessions, a buffer, an
 * inflater and what zlib has for it, an extra, outboxes, references and frames. */
static int each_allocation(void)
{
    make_app();
    const uint64_t all = allocations_of((struct life){ SIZE_MAX }), none = allocations_of((struct life){ .is_empty = true });
    WEFT_CHECK(all - none >= 30);
    for (uint64_t n = 1; n <= all; n++) {
        weft_test_report report;
        struct life life = { SIZE_MAX };
        int rc = weft_test_run(live, &life, &report, .fail_at = n, .quiet = true);
        WEFT_CHECK(report.struck && (rc == 0 || rc == -ENOMEM));
        rc = weft_test_run(live, &life, NULL, .fail_at = n, .fail_after = true, .quiet = true);
        WEFT_CHECK(rc == 0 || rc == -ENOMEM);
    }
    weft_app_free(app);
    return 0;
}

/* How many there are depends on what the cancelled ones leave out: so the last life says when it has met them all. */
static int each_wait(void)
{
    struct life life = { SIZE_MAX };
    weft_test_report report;
    make_app();
    WEFT_CHECK(weft_test_run(live, &life, &report) == 0);
    const uint64_t undisturbed = report.waits;
    for (int when = WEFT_CANCEL_BEFORE; when <= WEFT_CANCEL_WOKEN; when++) {
        uint64_t n = 0, struck = 0;
        do {
            n++;
            int rc = weft_test_run(live, &life, &report, .cancel_at = n, .cancel_when = (enum weft_cancel_when)when,
                                   .quiet = true);
            WEFT_CHECK(rc == 0 || rc == WEFT_ECANCELED);
            struck += report.struck;
        } while (n < report.waits && n < 2000);
        bool is_each = when == WEFT_CANCEL_BEFORE; /* the others strike those that really park */
        WEFT_CHECK(n < 2000 && n >= undisturbed && struck >= (is_each ? undisturbed : undisturbed / 2));
    }
    weft_app_free(app);
    return 0;
}

int main(int argc, char **argv)
{
    static const weft_test tests[] = { PLAIN(each_byte), PLAIN(each_allocation), PLAIN(each_wait) };
    return weft_test_main(tests, COUNT(tests), argc, argv);
}
