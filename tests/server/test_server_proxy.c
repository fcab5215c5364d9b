/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Connections behind a balancer that speaks the PROXY protocol: over memory, split at each byte, and over real sockets, where
 * it is decided whom to trust. */
#include "harness.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#define V1(client)     "PROXY TCP4 " client " 198.51.100.7 51234 443\r\n"
#define SIGNATURE      "\r\n\r\n\0\r\nQUIT\n"
#define V2             SIGNATURE "\x21\x11\0\x11\xc0\x00\x02\x01\xc6\x33\x64\x07\x12\x34\x01\xbb\x04\0\2ab"
#define V2_LOCAL       SIGNATURE "\x20\0\0\0"
#define WHO(n, client) STATUS("200 OK") PLAIN_TEXT LENGTH(n) "\r\n" client

static int who(weft_request *req)
{
    return weft_reply_text(req, 200, "%s", weft_client_address(req));
}

static weft_app *who_app(void)
{
    weft_app *app = harness_app();
    weft_get(app, "/who", who);
    return app;
}

/* ---- over memory ---- */

static const struct script {
    const char *in;
    size_t in_size;
    const char *out; /* NULL: reset, without a word */
} scripts[] = {
    { TEXT(V1("192.0.2.1") GET("/who") GET("/who")), WHO(9, "192.0.2.1") WHO(9, "192.0.2.1") },
    { TEXT("PROXY TCP6 2001:db8::1 ::1 1 2\r\n" GET("/who")), WHO(11, "2001:db8::1") },
    { TEXT("PROXY UNKNOWN\r\n" GET("/who")), WHO(6, "memory") },
    { TEXT(V2 GET("/who")), WHO(9, "192.0.2.1") },
    { TEXT(V2_LOCAL GET("/who")), WHO(6, "memory") },
    { TEXT(V1("192.0.2.1") "GET /\n"),
      STATUS("400 Bad Request") PLAIN_TEXT LENGTH(34) CLOSE "\r\n400 Bad Request: a malformed head\n" },
    { TEXT(V1("192.0.2.1")), "" },
    { TEXT(V2_LOCAL), "" },
    { TEXT(GET("/who")), NULL },
    { TEXT("PUT / HTTP/1.1\r\nHost: a\r\n\r\n"), NULL },
    { TEXT(V1("192.0.2.256") GET("/who")), NULL },
    { TEXT(SIGNATURE "\x31\x11\0\0" GET("/who")), NULL },
    { TEXT(V1("192.0.2.1") V1("192.0.2.2") GET("/who")),
      STATUS("400 Bad Request") PLAIN_TEXT LENGTH(34) CLOSE "\r\n400 Bad Request: a malformed head\n" },
};

enum { WHOLE = -1, BYTE_BY_BYTE = -2 }; /* else: split there */

static bool play(weft_server *server, const struct script *s, int way)
{
    client c;
    if (client_open(&c, server, 4096) < 0)
        return false;
    weft_connection_await_proxy(c.connection);
    if (way == BYTE_BY_BYTE)
        server_knobs(&c)->input_most = 1;
    size_t first = way >= 0 ? (size_t)way : s->in_size;
    client_send(&c, s->in, first);
    if (way >= 0) {
        settle();
        client_send(&c, s->in + first, s->in_size - first); /* may be behind what it is reset for */
    }
    settle();
    bool is_right = s->out ? !c.error && client_got(&c, s->out, strlen(s->out)) : c.got_size == 0 && c.error == -ECONNRESET;
    client_close(&c, false);
    return is_right && server->connection_count == 0;
}

static int headers(void)
{
    weft_app *app = who_app();
    weft_server *server = harness_open(app);
    for (size_t i = 0; i < COUNT(scripts); i++) {
        for (int way = BYTE_BY_BYTE; way <= (int)scripts[i].in_size; way++) {
            bool is_right = play(server, &scripts[i], way);
            if (!is_right)
                printf("# number %zu, way %d\n", i, way);
            WEFT_CHECK(is_right);
        }
    }
    WEFT_CHECK(*harness_log == '\0');
    harness_close(server);
    weft_app_free(app);
    return 0;
}

/* The whole header within its time, however it trickles; then the head has its own. */
static int deadline(void)
{
    weft_app *app = who_app();
    weft_server *server = harness_open(app);
    client c;
    WEFT_TRY(client_open(&c, server, 4096));
    weft_connection_await_proxy(c.connection);
    for (int i = 0; i < 5; i++) {
        client_send(&c, &"PROXY TCP4 "[i], 1);
        WEFT_CHECK(weft_sleep(990 * MS) == 0);
    }
    WEFT_CHECK(!c.error && server->connection_count == 1);
    WEFT_CHECK(weft_sleep(150 * MS) == 0);
    WEFT_CHECK(c.error == -ECONNRESET && server->connection_count == 0);
    client_close(&c, false);
    WEFT_TRY(client_open(&c, server, 4096));
    weft_connection_await_proxy(c.connection);
    WEFT_CHECK(weft_sleep(4900 * MS) == 0);
    client_send(&c, TEXT(V1("192.0.2.1")));
    WEFT_CHECK(weft_sleep(60 * WEFT_SECOND) == 0); /* it is idle now */
    client_send(&c, TEXT(GET("/who")));
    settle();
    CHECK_GOT(&c, WHO(9, "192.0.2.1"));
    client_close(&c, false);
    harness_close(server);
    weft_app_free(app);
    return 0;
}

/* An end in the middle of a header is no request to answer; nor is a stop. */
static int ends(void)
{
    for (int is_stop = 0; is_stop < 2; is_stop++) {
        weft_app *app = who_app();
        weft_server *server = harness_open(app);
        client c;
        WEFT_TRY(client_open(&c, server, 4096));
        weft_connection_await_proxy(c.connection);
        client_send(&c, TEXT("PROXY TCP4 1"));
        settle();
        if (is_stop)
            weft_server_cancel(server);
        else
            client_shutdown(&c);
        WEFT_CHECK(weft_sleep(3 * WEFT_SECOND) == 0);
        WEFT_CHECK(c.got_size == 0 && server->connection_count == 0);
        client_close(&c, false);
        harness_close(server);
        weft_app_free(app);
    }
    return 0;
}

/* ---- before TLS ---- */

static const struct {
    const char *header;
    size_t size;
    const char *answer;
} clear[] = {
    { TEXT(V1("192.0.2.1")), WHO(9, "192.0.2.1") },
    { TEXT(V2), WHO(9, "192.0.2.1") },
    { TEXT(V2_LOCAL), WHO(6, "memory") },
};

/* In each piece that the header and what TLS says can come in. */
static int headers_before_tls(void)
{
    weft_app *app = who_app();
    weft_server *server = harness_open(app);
    for (size_t i = 0; i < COUNT(clear); i++)
        for (size_t each = 0; each <= clear[i].size + 1; each++) {
            client c;
            WEFT_TRY(client_open_behind_proxy(&c, server, clear[i].header, clear[i].size, each));
            client_send(&c, TEXT(GET("/who")));
            settle();
            WEFT_CHECK(client_got(&c, clear[i].answer, strlen(clear[i].answer)));
            client_close(&c, false);
            WEFT_CHECK(server->counts.buffered == 0);
        }
    static const char wrong[] = "PROXY TCP4 192.0.2.256 198.51.100.7 51234 443\r\n";
    client c;
    WEFT_CHECK(client_open_behind_proxy(&c, server, TEXT(wrong), 0) == -ENOMEM && server->connection_count == 0);
    WEFT_CHECK(server->counts.closed[WEFT_END_NO_PROXY] == 1);
    WEFT_CHECK(client_open_behind_proxy(&c, server, wrong, 15, 0) == -ENOMEM); /* TLS's hello is no header */
    WEFT_CHECK(server->counts.closed[WEFT_END_NO_PROXY] == 2);
    harness_close(server);
    weft_app_free(app);
    return 0;
}

/* The client is the one that the header names, or there is no answer. */
static int ask_when_memory_is_out(void *arg)
{
    weft_app *app = arg;
    weft_server *server = harness_open(app);
    client c;
    if (!server)
        return -ENOMEM;
    if (client_open_behind_proxy(&c, server, TEXT(V2), 7) == 0) {
        client_send(&c, TEXT(GET("/who")));
        WEFT_SHIELD (asking, WEFT_HOUR) {
            WEFT_CHECK(weft_sleep(WEFT_SECOND) == 0);
        }
        WEFT_CHECK(c.got_size == 0 || client_has(&c, TEXT(WHO(9, "192.0.2.1"))) || strstr(c.got, "HTTP/1.1 503 "));
        client_close(&c, false);
    }
    WEFT_SHIELD (ending, WEFT_HOUR) {
        WEFT_CHECK(weft_sleep(20 * WEFT_SECOND) == 0); /* the handshake's time passes */
    }
    WEFT_CHECK(server->counts.buffered == 0);
    harness_close(server);
    return 0;
}

static int memory_is_out_before_tls(void)
{
    weft_app *app = who_app();
    weft_test_report report = { .struck = true };
    uint64_t n = 0;
    while (report.struck && n < 1000) {
        int rc = weft_test_run(ask_when_memory_is_out, app, &report, .fail_at = ++n);
        WEFT_CHECK(rc == 0 || rc == -ENOMEM);
    }
    WEFT_CHECK(n > 10 && n < 1000);
    weft_app_free(app);
    return 0;
}

/* ---- over sockets ---- */

static int connect_to(int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((in_port_t)port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    WEFT_CHECK(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

/* Sends `text` to an app that trusts `networks`; what comes back goes into reply, "" if the connection was reset. */
static void ask(const char *networks, const char *text, char *reply, size_t room)
{
    weft_app *app = who_app();
    weft_app_options options = { .struct_size = sizeof options, .proxy_protocol = networks };
    WEFT_CHECK(weft_app_configure(app, &options) == 0);
    weft_server *server = harness_open(app);
    WEFT_CHECK(weft_server_listen(server, "127.0.0.1:0") == 0);
    int fd = connect_to(weft_listener_port(server->doors[0].listener));
    ssize_t n = -1;
    (void)!write(fd, text, strlen(text)); /* the server may have reset it already */
    for (int i = 0; i < 200 && n < 0; i++) {
        WEFT_CHECK(weft_sleep(10 * MS) == 0);
        n = recv(fd, reply, room - 1, 0);
        if (n < 0 && errno == ECONNRESET)
            n = 0;
    }
    WEFT_CHECK(n >= 0);
    reply[n < 0 ? 0 : n] = '\0';
    close(fd);
    WEFT_CHECK(weft_sleep(20 * MS) == 0);
    harness_close(server);
    weft_app_free(app);
}

static int whom_to_trust(void *arg)
{
    (void)arg;
    char reply[1000];
    ask("10.0.0.0/8,127.0.0.1", V1("192.0.2.1") GET("/who"), reply, sizeof reply);
    WEFT_CHECK(strstr(reply, "\r\n\r\n192.0.2.1"));
    ask("::1,127.0.0.0/8,unix", "PROXY UNKNOWN\r\n" GET("/who"), reply, sizeof reply);
    WEFT_CHECK(strstr(reply, "\r\n\r\n127.0.0.1"));
    ask("127.0.0.1", GET("/who"), reply, sizeof reply);
    WEFT_CHECK(*reply == '\0');
    ask("127.0.0.2,unix", V1("192.0.2.1") GET("/who"), reply, sizeof reply);
    WEFT_CHECK(*reply == '\0');
    ask("127.0.0.2,unix", GET("/who"), reply, sizeof reply);
    WEFT_CHECK(*reply == '\0');
    ask(NULL, GET("/who"), reply, sizeof reply);
    WEFT_CHECK(strstr(reply, "\r\n\r\n127.0.0.1"));
    ask(NULL, V1("192.0.2.1") GET("/who"), reply, sizeof reply); /* not asked for: no request */
    WEFT_CHECK(strncmp(reply, "HTTP/1.1 400 ", 13) == 0);
    return 0;
}

static int run_whom_to_trust(void)
{
    return weft_test_run(whom_to_trust, NULL, NULL, .real_time = true);
}

static int wrong_networks(void)
{
    static const char *const wrong[] = { ",", "10.0.0.0/8,", "localhost", "127.0.0.1 ::1", "127.0.0.1:80" };
    weft_app *app = who_app();
    weft_server *server = harness_open(app); /* for its log */
    for (size_t i = 0; i < COUNT(wrong); i++) {
        weft_app *other = weft_app_new();
        weft_app_options options = { .struct_size = sizeof options, .proxy_protocol = wrong[i] };
        WEFT_CHECK(weft_app_configure(other, &options) == -EINVAL && strstr(harness_log, "is no network to trust"));
        weft_app_free(other);
    }
    harness_close(server);
    weft_app_free(app);
    return 0;
}

static const weft_test tests[] = {
    TEST(headers),
    TEST(deadline),
    TEST(ends),
    TEST(headers_before_tls),
    PLAIN(memory_is_out_before_tls),
    PLAIN(run_whom_to_trust),
    TEST(wrong_networks),
};

int main(int argc, char **argv)
{
    return weft_test_main(tests, COUNT(tests), argc, argv);
}
