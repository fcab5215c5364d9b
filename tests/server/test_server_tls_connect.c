/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * weft_tls_connect to a server of our own, on one loop, over a unix socket: the n-th allocation fails, the n-th wait is
 * cancelled, the ready queue is shuffled. Whatever happens, nothing crashes, nothing is left, and a whole reply is right.
 */
#include "harness.h"

#include <unistd.h>

#include "server/tls.h"

static weft_app *app;
static weft_tls_context *trust;
static char address[64];
static bool is_whole;

static int ask(weft_stream *s)
{
    static const char request[] = GET("/hello/you") "GET /big/40000 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    char buf[4096];
    int64_t n;
    size_t size = 0;
    WEFT_TRY(weft_stream_write(s, request, sizeof request - 1));
    while ((n = weft_stream_read(s, buf, sizeof buf)) > 0) {
        if (size == 0)
            WEFT_CHECK(memcmp(buf, TEXT("HTTP/1.1 ")) == 0);
        size += (size_t)n;
    }
    is_whole = n == 0 && size > 40000 + 200;
    return (int)n;
}

static int talk(void *arg)
{
    weft_stream *s;
    (void)arg;
    WEFT_TRY(weft_tls_connect(&s, address, .context = trust, .name = "localhost", .alpn = "http/1.1"));
    int rc = ask(s);
    weft_stream_close(s);
    return rc;
}

static int live(void *arg)
{
    (void)arg;
    is_whole = false;
    weft_server *server = harness_open(app);
    if (!server)
        return -ENOMEM;
    int rc = weft_server_listen(server, address);
    if (rc == 0) {
        WEFT_GROUP (clients) {
            for (int i = 0; i < 3; i++)
                weft_go(&clients, talk, NULL);
        }
        rc = clients.result;
    }
    WEFT_SHIELD (ending, WEFT_HOUR) {
        WEFT_CHECK(weft_sleep(100 * MS) == 0); /* the server notices that they have gone */
    }
    harness_close_now(server);
    return rc;
}

static void make_app(void)
{
    snprintf(address, sizeof address, "unix:/tmp/weft-tls-%ld", (long)getpid());
    app = harness_app();
    WEFT_CHECK(weft_app_tls(app, .self_signed = true) == 0 && weft_tls_prepare(app) == 0);
    WEFT_CHECK(weft_tls_client_new(&trust, .insecure = true) == 0);
}

static void free_app(void)
{
    weft_tls_context_free(trust);
    weft_app_free(app);
}

static bool is_expected(int rc)
{
    return rc == 0 || rc == -ENOMEM || rc == WEFT_ECANCELED || rc == -ECONNRESET || rc == WEFT_ETLS || rc == -EPIPE ||
           rc == -ETIMEDOUT;
}

static int allocations_fail(void)
{
    weft_test_report report = { .struck = true };
    uint64_t n = 0, whole = 0;
    make_app();
    WEFT_CHECK(weft_test_run(live, NULL, NULL) == 0 && is_whole);
    while (report.struck && n < 2000) {
        n++;
        int rc = weft_test_run(live, NULL, &report, .fail_at = n, .quiet = true);
        WEFT_CHECK(is_expected(rc));
        whole += is_whole;
        WEFT_CHECK(is_expected(weft_test_run(live, NULL, NULL, .fail_at = n, .fail_after = true, .quiet = true)));
    }
    WEFT_CHECK(n > 20 && n < 2000 && whole > 0);
    free_app();
    return 0;
}

static int waits_are_cancelled(void)
{
    make_app();
    for (int when = WEFT_CANCEL_BEFORE; when <= WEFT_CANCEL_WOKEN; when++) {
        weft_test_report report = { .struck = true };
        uint64_t n = 0;
        while (n < report.waits || n == 0) {
            n++;
            int rc = weft_test_run(live, NULL, &report, .cancel_at = n, .cancel_when = (enum weft_cancel_when)when);
            WEFT_CHECK(is_expected(rc));
        }
        WEFT_CHECK(n > 10);
    }
    free_app();
    return 0;
}

static int order_is_shuffled(void)
{
    make_app();
    for (uint64_t seed = 1; seed <= 100; seed++)
        WEFT_CHECK(weft_test_run(live, NULL, NULL, .seed = seed) == 0 && is_whole);
    free_app();
    return 0;
}

static const weft_test tests[] = {
    PLAIN(allocations_fail),
    PLAIN(waits_are_cancelled),
    PLAIN(order_is_shuffled),
};

int main(int argc, char **argv)
{
    return weft_test_main(tests, COUNT(tests), argc, argv);
}
