/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* What only shows on real sockets, in real time: bytes in the kernel's buffers, and listeners. */
#include "harness.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- a write that makes progress ---- */

static weft_app *app_with_write_timeout(void)
{
    weft_app *app = harness_app();
    weft_app_options options = { .struct_size = sizeof options, .write_timeout = 300 * MS };
    WEFT_CHECK(weft_app_configure(app, &options) == 0);
    return app;
}

/* Reads what is there, at most `most`; returns the count, 0 at the end. */
static size_t read_some(int fd, size_t most)
{
    static char buf[65536];
    ssize_t n = read(fd, buf, most < sizeof buf ? most : sizeof buf);
    return n > 0 ? (size_t)n : 0;
}

static int slow_but_steady(void *arg)
{
    (void)arg;
    enum { SIZE = 200 * 1000 };
    static const char ask[] = "GET /big/200000 HTTP/1.1\r\nHost: a\r\n\r\n";
    weft_app *app = app_with_write_timeout();
    weft_server *server = harness_open(app);
    int fd = harness_connect(server, 8192);
    WEFT_CHECK(write(fd, ask, sizeof ask - 1) == (ssize_t)sizeof ask - 1);
    size_t got = 0;
    for (int i = 0; i < 100 && got < SIZE; i++) {
        WEFT_CHECK(weft_sleep(20 * MS) == 0);
        got += read_some(fd, 4000);
    }
    WEFT_CHECK(got >= SIZE && weft_now() > 0);
    close(fd);
    WEFT_CHECK(weft_sleep(50 * MS) == 0);
    harness_close(server);
    weft_app_free(app);
    return 0;
}

static int never_read(void *arg)
{
    (void)arg;
    static const char ask[] = "GET /big/200000 HTTP/1.1\r\nHost: a\r\n\r\n";
    weft_app *app = app_with_write_timeout();
    weft_server *server = harness_open(app);
    int fd = harness_connect(server, 8192);
    WEFT_CHECK(write(fd, ask, sizeof ask - 1) == (ssize_t)sizeof ask - 1);
    WEFT_CHECK(weft_sleep(200 * MS) == 0);
    WEFT_CHECK(server->connection_count == 1);
    WEFT_CHECK(weft_sleep(300 * MS) == 0);
    WEFT_CHECK(server->connection_count == 0);
    close(fd);
    harness_close(server);
    weft_app_free(app);
    return 0;
}

/* ---- limits that begin while somebody holds the loop ---- */

enum { HELD = 400 /* ms */, LIMIT_OF_BRIEF = 200, TICK = 10 /* at most, the kernel's, by which a limit may begin sooner */ };

static struct {
    int rc;
    weft_duration let_go, began, ended;
} held;

static void hold_loop(void)
{
    weft_duration until = weft_now() + HELD * MS;
    while (weft_now() < until)
        ;
    held.let_go = weft_now();
}

static int hold(weft_request *req)
{
    hold_loop();
    return weft_reply_text(req, 200, "held");
}

static int hold_and_fill(weft_request *req)
{
    hold_loop();
    return weft_reply_text(req, 200, "%200000d", 5);
}

static int brief(weft_request *req)
{
    held.began = weft_now();
    held.rc = weft_sleep(WEFT_MINUTE);
    held.ended = weft_now();
    return weft_reply_text(req, 504, "late");
}

static int limits_are_whole(void *arg)
{
    (void)arg;
    static const char ask[] = GET("/hold") GET("/brief"), fill[] = GET("/fill");
    weft_app *app = app_with_write_timeout();
    weft_get(app, "/hold", hold);
    weft_get(app, "/brief", brief, .timeout = LIMIT_OF_BRIEF * MS);
    weft_get(app, "/fill", hold_and_fill);
    weft_server *server = harness_open(app);
    int fd = harness_connect(server, 8192);
    held.rc = 1;
    WEFT_CHECK(write(fd, TEXT(ask)) == (ssize_t)sizeof ask - 1);
    while (held.rc == 1)
        WEFT_TRY(weft_sleep(20 * MS));
    WEFT_CHECK(held.rc == WEFT_EDEADLINE && held.ended - held.began >= (LIMIT_OF_BRIEF - TICK) * MS);
    close(fd);
    fd = harness_connect(server, 8192);
    WEFT_CHECK(write(fd, TEXT(fill)) == (ssize_t)sizeof fill - 1);
    held.let_go = 0;
    while (held.let_go == 0 || server->connection_count > 0)
        WEFT_TRY(weft_sleep(1 * MS));
    WEFT_CHECK(weft_now() - held.let_go >= (300 - TICK) * MS);
    close(fd);
    harness_close(server);
    weft_app_free(app);
    return 0;
}

/* ---- listeners ---- */

static int connect_to(int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((in_port_t)port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    WEFT_CHECK(connect(fd, (struct sockaddr *)&address, sizeof address) == 0); /* the kernel completes it */
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static weft_app *app_with_limit(int connections)
{
    weft_app *app = harness_app();
    weft_app_options options = { .struct_size = sizeof options, .max_connections = connections };
    WEFT_CHECK(weft_app_configure(app, &options) == 0);
    return app;
}

/* The connections that the door finds when it closes make the limit. */
static int limit_is_met_by_the_rest(void *arg)
{
    (void)arg;
    weft_app *app = app_with_limit(1);
    weft_server *server = harness_open(app);
    WEFT_CHECK(weft_server_listen(server, "127.0.0.1:0") == 0 && weft_server_listen(server, "127.0.0.1:0") == 0);
    int fd = connect_to(weft_listener_port(server->doors[1].listener));
    weft_server_drain(server);
    weft_server_close_door(server); /* no turn of the loop before it */
    WEFT_CHECK(server->counts.accepted == 1);
    WEFT_CHECK(write(fd, "GET / HTTP/1.0\r\n\r\n", 18) == 18);
    WEFT_CHECK(weft_sleep(50 * MS) == 0);
    WEFT_CHECK(read_some(fd, 1000) > 100);
    close(fd);
    WEFT_CHECK(weft_sleep(50 * MS) == 0);
    harness_close(server);
    weft_app_free(app);
    return 0;
}

/* At the limit no more are accepted, later they are; and a client that comes and goes does not fill the log with it. */
static int limit_of_connections(void *arg)
{
    (void)arg;
    enum { LIMIT = 4, MORE = 12 };
    weft_app *app = app_with_limit(LIMIT);
    weft_server *server = harness_open(app);
    int fds[MORE];
    WEFT_CHECK(weft_server_listen(server, "127.0.0.1:0") == 0);
    for (int i = 0; i < MORE; i++)
        fds[i] = connect_to(weft_listener_port(server->doors[0].listener));
    WEFT_CHECK(weft_sleep(50 * MS) == 0);
    WEFT_CHECK(server->connection_count == LIMIT && server->counts.accepted == LIMIT);
    for (int i = 0; i < MORE; i++) {
        close(fds[i]);
        WEFT_CHECK(weft_sleep(10 * MS) == 0);
        WEFT_CHECK(server->connection_count <= LIMIT);
    }
    WEFT_CHECK(weft_sleep(50 * MS) == 0);
    WEFT_CHECK(server->counts.accepted == MORE);
    size_t lines = 0;
    for (const char *at = harness_log; (at = strstr(at, "which is the limit")); at++)
        lines++;
    WEFT_CHECK(lines == 1);
    harness_close(server);
    weft_app_free(app);
    return 0;
}

REAL(slow_but_steady)
REAL(never_read)
REAL(limits_are_whole)
REAL(limit_is_met_by_the_rest)
REAL(limit_of_connections)

static const weft_test tests[] = {
    PLAIN(run_slow_but_steady),          PLAIN(run_never_read),           PLAIN(run_limits_are_whole),
    PLAIN(run_limit_is_met_by_the_rest), PLAIN(run_limit_of_connections),
};

int main(int argc, char **argv)
{
    return weft_test_main(tests, COUNT(tests), argc, argv);
}
