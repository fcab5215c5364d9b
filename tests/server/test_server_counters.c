/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Each limit of the table is met once by a client made for it, with an option that makes it small: the answer, the counter and
 * the reason for which the connection ended are looked at, and that nothing else was counted. So a limit that nobody keeps, or
 * that is not counted, is found here; one that has no row fails `each_limit_has_a_row`.
 */
#include "harness.h"

static uint64_t counter(const weft_app *app, const char *name)
{
    weft_counter all[100];
    size_t count = weft_app_counters(app, all, COUNT(all));
    WEFT_CHECK(count <= COUNT(all));
    for (size_t i = 0; i < count && i < COUNT(all); i++)
        if (strcmp(all[i].name, name) == 0)
            return all[i].value;
    printf("# no counter is named %s\n", name);
    WEFT_CHECK(false);
    return 0;
}

/* The sum of all whose names begin so. */
static uint64_t counters(const weft_app *app, const char *prefix)
{
    weft_counter all[100];
    size_t count = weft_app_counters(app, all, COUNT(all));
    uint64_t sum = 0;
    for (size_t i = 0; i < count && i < COUNT(all); i++)
        if (strncmp(all[i].name, prefix, strlen(prefix)) == 0)
            sum += all[i].value;
    return sum;
}

/* ---- limits ---- */

static int streams_much(weft_request *req)
{
    char data[1000] = "";
    for (int i = 0; i < 200; i++)
        WEFT_TRY(weft_write(req, data, sizeof data));
    return 0;
}

#define CHUNKED(fields) "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n" fields "\r\n"
#define LONG_TEXT       "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define KIB_TEXT                                                                                                               \
    LONG_TEXT LONG_TEXT LONG_TEXT LONG_TEXT LONG_TEXT LONG_TEXT LONG_TEXT LONG_TEXT LONG_TEXT LONG_TEXT LONG_TEXT LONG_TEXT    \
        LONG_TEXT LONG_TEXT LONG_TEXT LONG_TEXT LONG_TEXT LONG_TEXT LONG_TEXT LONG_TEXT LONG_TEXT

#define OPTIONS(...) .options = { .struct_size = sizeof(weft_app_options), __VA_ARGS__ }
#define SENDS(text)  .in = (text), .in_size = sizeof(text) - 1

static const struct row {
    enum weft_limit limit;
    const char *option;
    weft_app_options options;
    const char *in; /* what the client sends */
    size_t in_size;
    const char *drip; /* and then every 10 s, for `lasts` */
    weft_duration lasts;
    int status;         /* of the only reply; 0: none, or not looked at */
    const char *closed; /* NULL: it stays open */
    bool reads_not;
} rows[] = {
    { WEFT_LIMIT_HEAD_TIME, "head_timeout", OPTIONS(.head_timeout = WEFT_SECOND), SENDS("GET"), .status = 408, "limit" },
    { WEFT_LIMIT_REQUEST_LINE, "request_line_limit", OPTIONS(.request_line_limit = 20), SENDS("GET /" LONG_TEXT), .status = 414,
      "limit" },
    { WEFT_LIMIT_FIELD, "field_limit", OPTIONS(.field_limit = 20), SENDS("GET / HTTP/1.1\r\nX: " LONG_TEXT), .status = 431,
      "limit" },
    { WEFT_LIMIT_HEAD, "head_limit", OPTIONS(.head_limit = 50), SENDS("GET / HTTP/1.1\r\nX: " LONG_TEXT), .status = 431,
      "limit" },
    { WEFT_LIMIT_FIELD_COUNT, "field_count_limit", OPTIONS(.field_count_limit = 2),
      SENDS("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nY: z\r\n\r\n"), .status = 431, "limit" },
    { WEFT_LIMIT_BODY, "body_limit", OPTIONS(.body_limit = 9), SENDS(POST("/echo", 10) "0123456789"), .status = 413, "limit" },
    { WEFT_LIMIT_BODY, "body_limit", OPTIONS(.body_limit = 9), SENDS(CHUNKED("") "5\r\n01234\r\n5\r\n"), .status = 413,
      "limit" },
    { WEFT_LIMIT_BODY_TIME, "body_timeout", OPTIONS(.body_timeout = WEFT_SECOND), SENDS(POST("/echo", 10) "0"), .status = 408,
      "limit" },
    { WEFT_LIMIT_BODY_TIME, "body_timeout", OPTIONS(.body_timeout = WEFT_SECOND), SENDS(POST("/ignore", 10) "0"), .status = 200,
      "limit" },
    { WEFT_LIMIT_BODY_RATE, "body_rate", OPTIONS(.body_rate = 10), SENDS(POST("/echo", 10000)), .drip = "0",
      .lasts = 70 * WEFT_SECOND, .status = 408, "limit" },
    { WEFT_LIMIT_REQUEST_TIME, "request_timeout", OPTIONS(.request_timeout = WEFT_SECOND), SENDS(GET("/sleep/5000")),
      .status = 503, .closed = NULL },
    { WEFT_LIMIT_CHUNK_LINE, "chunk_line_limit", OPTIONS(.chunk_line_limit = 20), SENDS(CHUNKED("") "5;" LONG_TEXT),
      .status = 400, "limit" },
    { WEFT_LIMIT_CHUNK_EXTENSIONS, "chunk_extension_limit", OPTIONS(.chunk_extension_limit = 20),
      SENDS(CHUNKED("") "1;abcdefgh\r\nx\r\n1;abcdefghijklmnop"), .status = 413, "limit" },
    { WEFT_LIMIT_TRAILERS, "trailer_limit", OPTIONS(.trailer_limit = 40), SENDS(CHUNKED("") "0\r\nX: " LONG_TEXT),
      .status = 431, "limit" },
    { WEFT_LIMIT_TRAILER_COUNT, "trailer_count_limit", OPTIONS(.trailer_count_limit = 2),
      SENDS(CHUNKED("") "0\r\nX: y\r\nX: y\r\nX: y\r\n\r\n"), .status = 431, "limit" },
    { WEFT_LIMIT_BUFFERED, "buffer_budget", OPTIONS(.buffer_budget = 2000), SENDS(POST("/echo", 3000)), .drip = LONG_TEXT,
      .lasts = WEFT_SECOND, .status = 503, .closed = NULL },
    { WEFT_LIMIT_BUFFERED, "buffer_budget", OPTIONS(.buffer_budget = 500), SENDS("GET / HTTP/1.1\r\nX: " KIB_TEXT),
      .status = 503, "limit" },
    { WEFT_LIMIT_DISCARD, "discard_limit", OPTIONS(.discard_limit = 20), SENDS(POST("/ignore", 21)), .status = 200, "limit" },
    { WEFT_LIMIT_LINGER, "linger_timeout", OPTIONS(.linger_timeout = WEFT_SECOND), SENDS("GET / HTTP/1.0\r\nHost: a\r\n\r\n"),
      .status = 200, "last_reply" },
    { WEFT_LIMIT_KEEP_ALIVE, "keep_alive_timeout", OPTIONS(.keep_alive_timeout = WEFT_SECOND), SENDS(GET("/")), .status = 200,
      "limit" },
    { WEFT_LIMIT_KEEP_ALIVE_REQUESTS, "keep_alive_requests", OPTIONS(.keep_alive_requests = 1), SENDS(GET("/") GET("/")),
      .status = 200, "limit" },
    { WEFT_LIMIT_PROXY_TIME, "proxy_timeout", OPTIONS(.proxy_timeout = WEFT_SECOND), SENDS("PROXY TCP4"), .closed = "limit" },
    { WEFT_LIMIT_PROXY_HEADER, "proxy_header_limit", OPTIONS(.proxy_header_limit = 300),
      SENDS("\r\n\r\n\0\r\nQUIT\n\x21\x11\x10\x00"), .closed = "limit" },
    { WEFT_LIMIT_WRITE_TIME, "write_timeout", OPTIONS(.write_timeout = WEFT_SECOND), SENDS(GET("/big/20000")),
      .closed = "limit", .reads_not = true },
    { WEFT_LIMIT_OUTPUT, "output_high", OPTIONS(.output_high = 8000), SENDS(GET("/much")), .lasts = WEFT_SECOND, .drip = "",
      .reads_not = true },
    { WEFT_LIMIT_READ_AHEAD, "read_ahead", OPTIONS(.read_ahead = 800), SENDS(GET("/sleep/3000") POST("/echo", 1050) KIB_TEXT) },
};

static void drip(client *c, const struct row *row)
{
    weft_duration until = weft_now() + row->lasts;
    while (weft_now() < until && !c->has_ended) {
        if (*row->drip)
            client_send(c, row->drip, strlen(row->drip));
        WEFT_CHECK(weft_sleep(row->lasts < 10 * WEFT_SECOND ? row->lasts : 10 * WEFT_SECOND) == 0);
    }
}

/* Not counted by name, because they accompany others. */
static bool is_incidental(const struct row *row, const char *name)
{
    return strcmp(name, "limit_linger_timeout") == 0 || (row->reads_not && strcmp(name, "limit_write_timeout") == 0);
}

static void check_counters(const weft_app *app, const struct row *row)
{
    weft_counter all[100];
    size_t count = weft_app_counters(app, all, COUNT(all));
    char limit[64], closed[64];
    snprintf(limit, sizeof limit, "limit_%s", row->option);
    snprintf(closed, sizeof closed, "closed_%s", row->closed ? row->closed : "none");
    for (size_t i = 0; i < count; i++) {
        const char *name = all[i].name;
        bool is_it = strcmp(name, limit) == 0 || strcmp(name, closed) == 0;
        bool is_wrong = is_it ? all[i].value == 0
                              : all[i].value != 0 && !is_incidental(row, name) &&
                                    (strncmp(name, "limit_", 6) == 0 || strncmp(name, "closed_", 7) == 0);
        if (is_wrong)
            printf("# %s: %s is %llu\n", row->option, name, (unsigned long long)all[i].value);
        WEFT_CHECK(!is_wrong);
    }
}

static void meet(const struct row *row)
{
    bool is_behind_proxy = row->limit == WEFT_LIMIT_PROXY_TIME || row->limit == WEFT_LIMIT_PROXY_HEADER;
    if (is_behind_proxy && harness_is_by_tls())
        return; /* its header comes before TLS, where these clients do not speak */
    weft_app *app = harness_app();
    weft_get(app, "/much", streams_much);
    WEFT_CHECK(weft_app_configure(app, &row->options) == 0);
    weft_server *server = harness_open(app);
    client c;
    WEFT_CHECK(client_open(&c, server, 4096) == 0);
    weft_log_set_level(WEFT_LOG_DEBUG);
    if (is_behind_proxy)
        weft_connection_await_proxy(c.connection);
    if (row->reads_not)
        client_stop(&c);
    client_send(&c, row->in, row->in_size);
    settle();
    if (row->drip)
        drip(&c, row);
    WEFT_CHECK(weft_sleep(4 * WEFT_SECOND) == 0);
    check_counters(app, row);
    char words[64];
    snprintf(words, sizeof words, "limit: %s: ", row->option);
    WEFT_CHECK(strstr(harness_log, words));
    bool is_right = !row->status || client_got_one(&c, row->status);
    if (!is_right)
        printf("# %s\n", row->option);
    WEFT_CHECK(is_right && counter(app, "connections_open") == (row->closed ? 0 : 1));
    client_close(&c, false);
    WEFT_CHECK(counter(app, "connections_open") == 0 && counter(app, "buffered") == 0);
    WEFT_CHECK(counter(app, "connections") == 1 && counters(app, "closed_") == 1);
    harness_close(server);
    WEFT_CHECK(counter(app, "connections") == 1 && counter(app, "connections_open") == 0); /* they outlive the server */
    weft_app_free(app);
}

static int each_limit_is_met(void)
{
    for (size_t i = 0; i < COUNT(rows); i++)
        meet(&rows[i]);
    return 0;
}

static int each_limit_has_a_row(void)
{
    for (int limit = 0; limit < WEFT_LIMIT_COUNT; limit++) {
        bool has_row = limit == WEFT_LIMIT_CONNECTIONS ||                       /* test_server_sockets.c */
                       strncmp(weft_limit_words[limit], "websocket_", 10) == 0; /* test_server_ws_limits.c */
        for (size_t i = 0; i < COUNT(rows); i++)
            has_row = has_row || (int)rows[i].limit == limit;
        if (!has_row)
            printf("# %s\n", weft_limit_words[limit]);
        WEFT_CHECK(has_row);
    }
    return 0;
}

/* ---- why connections end ---- */

static int fails_in_mid_stream(weft_request *req)
{
    WEFT_TRY(weft_write(req, "x", 1));
    return -EIO;
}

static const struct {
    const char *in, *closed;
    enum { WAITS, ENDS, RESETS } then;
} endings[] = {
    { "", "by_client", ENDS },
    { GET("/"), "by_client", ENDS },
    { GET("/"), "reset", RESETS },
    { GET("/sleep/1000"), "reset", RESETS },
    { "GET / HTTP/1.0\r\n\r\n", "last_reply", ENDS },
    { "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "last_reply", WAITS },
    { "GET /\r\n\r\n", "malformed", WAITS },
    { "GET / HTTP/1.1\r\nX : y\r\n\r\n", "malformed", WAITS },
    { "GET / HTTP/1.1\r\nHo", "malformed", ENDS },
    { "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "malformed", WAITS },
    { "POST /ignore HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n", "unread_body", WAITS },
    { GET("/fails"), "failed_stream", WAITS },
};

static int each_end_has_its_reason(void)
{
    for (size_t i = 0; i < COUNT(endings); i++) {
        weft_app *app = harness_app();
        weft_get(app, "/fails", fails_in_mid_stream);
        weft_server *server = harness_open(app);
        client c;
        WEFT_TRY(client_open(&c, server, 4096));
        client_send(&c, endings[i].in, strlen(endings[i].in));
        settle();
        if (endings[i].then == ENDS)
            client_shutdown(&c);
        if (endings[i].then == RESETS)
            client_close(&c, true);
        WEFT_CHECK(weft_sleep(4 * WEFT_SECOND) == 0);
        char name[64];
        snprintf(name, sizeof name, "closed_%s", endings[i].closed);
        if (counter(app, name) != 1 || counters(app, "closed_") != 1)
            printf("# %s: %.60s\n", name, endings[i].in);
        WEFT_CHECK(counter(app, name) == 1 && counters(app, "closed_") == 1);
        if (endings[i].then != RESETS)
            client_close(&c, false);
        harness_close(server);
        weft_app_free(app);
    }
    return 0;
}

/* ---- requests on a connection ---- */

/* At most the limit, and at least nine tenths of it; not all the same. */
static int requests_on_a_connection(void)
{
    enum { LIMIT = 100, CLIENTS = 20 };
    weft_app *app = harness_app();
    weft_app_options options = { .struct_size = sizeof options, .keep_alive_requests = LIMIT };
    WEFT_CHECK(weft_app_configure(app, &options) == 0);
    weft_server *server = harness_open(app);
    uint64_t least = LIMIT + 1, most = 0;
    for (int i = 0; i < CLIENTS; i++) {
        client c;
        uint64_t before = server->counts.requests;
        WEFT_TRY(client_open(&c, server, 4096));
        for (int k = 0; k < LIMIT + 10 && !c.has_ended; k++) {
            client_send(&c, TEXT(GET("/")));
            settle();
        }
        uint64_t count = server->counts.requests - before;
        const char *last = c.got + c.got_size - strlen(FRONT_CLOSE);
        client_has(&c, "", 0); /* masks the dates */
        WEFT_CHECK(c.has_ended && memcmp(last, FRONT_CLOSE, strlen(FRONT_CLOSE)) == 0);
        least = count < least ? count : least;
        most = count > most ? count : most;
        client_close(&c, false);
    }
    WEFT_CHECK(most <= LIMIT && least >= LIMIT * 9 / 10 && most > least);
    harness_close(server);
    weft_app_free(app);
    return 0;
}

/* ---- options ---- */

static void say_nothing(void *context, enum weft_log_level level, const char *line, size_t size)
{
    (void)context, (void)level, (void)line, (void)size;
}

static int options_out_of_range(void)
{
    static const weft_app_options wrong[] = {
        { .head_timeout = -1 },         { .max_connections = -5 },        { .body_rate = -1 },    { .head_limit = 65536 },
        { .field_count_limit = 10001 }, { .keep_alive_requests = 65536 }, { .trailer_limit = 1 }, { .body_limit = -1 },
    };
    weft_app *app = harness_app();
    weft_log_set_sink(say_nothing, NULL);
    for (size_t i = 0; i < COUNT(wrong); i++) {
        weft_app_options options = wrong[i];
        options.struct_size = sizeof options;
        WEFT_CHECK(weft_app_configure(app, &options) == -EINVAL);
    }
    weft_log_set_sink(NULL, NULL);
    WEFT_CHECK(app->settings.head_timeout == 10 * WEFT_SECOND && app->settings.head.head == 16384);
    WEFT_CHECK(app->settings.max_connections >= 16 && app->settings.chunked.size_line == 256);
    weft_app_free(app);
    return 0;
}

static const weft_test tests[] = {
    TEST(each_limit_is_met),        TEST(each_limit_has_a_row), TEST(each_end_has_its_reason),
    TEST(requests_on_a_connection), TEST(options_out_of_range),
};

int main(int argc, char **argv)
{
    return weft_test_main(tests, COUNT(tests), argc, argv);
}
