/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
#include "harness.h"

#include <sys/socket.h>

#include "lib/base/memory.h"
#include "tests/unit/grow.h"

char harness_log[64 * 1024];
static size_t log_size;

/* ---- the app ---- */

static int front(weft_request *req)
{
    return weft_reply_text(req, 200, "front");
}

static int hello(weft_request *req)
{
    return weft_reply_text(req, 200, "Hello, %s!", weft_param(req, "name"));
}

static int echo(weft_request *req)
{
    weft_bytes body;
    WEFT_TRY(weft_body(req, &body));
    const char *type = weft_header(req, "content-type");
    return weft_reply_bytes(req, 200, type ? type : "application/octet-stream", body.data, body.size);
}

static int ignore(weft_request *req)
{
    return weft_reply_text(req, 200, "ignored");
}

static int sleep_for(weft_request *req)
{
    WEFT_TRY(weft_sleep(strtol(weft_param(req, "ms"), NULL, 10) * MS));
    return weft_reply_text(req, 200, "slept");
}

static int big(weft_request *req)
{
    size_t size = (size_t)strtol(weft_param(req, "n"), NULL, 10);
    char *data = weft_alloc(req, size);
    if (!data)
        return -ENOMEM;
    memset(data, 'x', size);
    return weft_reply_bytes(req, 200, NULL, data, size);
}

weft_app *harness_app(void)
{
    weft_app *app = weft_app_new();
    if (!app)
        abort();
    weft_get(app, "/", front);
    weft_get(app, "/hello/{name}", hello);
    weft_post(app, "/echo", echo);
    weft_post(app, "/ignore", ignore);
    weft_get(app, "/sleep/{ms}", sleep_for);
    weft_get(app, "/big/{n}", big);
    return app;
}

/* ---- the server ---- */

static void keep_log(void *context, enum weft_log_level level, const char *line, size_t size)
{
    (void)context;
    (void)level;
    if (log_size + size + 2 > sizeof harness_log)
        return;
    memcpy(harness_log + log_size, line, size);
    harness_log[log_size + size] = '\n';
    harness_log[log_size + size + 1] = '\0';
    log_size += size + 1;
}

static struct host {
    weft_app *app;
    weft_server *server;
    weft_task *task;
    weft_wait closing; /* is never cut short: the task is inside the group that the stop cancels */
} host;

static int run_server(void *arg)
{
    (void)arg;
    WEFT_TRY(weft_server_open(&host.server, host.app));
    host.closing = (weft_wait)WEFT_WAIT("end of the test", host.server, NULL);
    host.closing.is_uncut = true;
    weft_wait_park(&host.closing);
    weft_server_close(host.server);
    return 0;
}

/* Made once: the tests of failing memory are not about them. */
static weft_tls_context *server_side, *client_side;

static void make_contexts(void)
{
    weft_tls_words words;
    if (server_side)
        return;
    if (weft_tls_server_new(&server_side, &(weft_tls_options){ .self_signed = true }) < 0 ||
        weft_tls_reload(server_side, false, &words) < 0 || weft_tls_client_new(&client_side, .insecure = true) < 0)
        abort();
}

weft_server *harness_open(weft_app *app)
{
    make_contexts();
    log_size = 0;
    harness_log[0] = '\0';
    weft_log_set_sink(keep_log, NULL);
    host = (struct host){ .app = app };
    if (weft_spawn(&host.task, run_server, NULL) < 0)
        return NULL;
    settle();
    return host.server;
}

void harness_close_now(weft_server *server)
{
    WEFT_CHECK(server == host.server);
    weft_wait_settle(&host.closing, 0);
    WEFT_SHIELD (closing, WEFT_HOUR) {
        WEFT_CHECK(weft_await(host.task) == 0);
    }
    weft_log_set_sink(NULL, NULL);
}

void harness_close(weft_server *server)
{
    WEFT_CHECK(server->connection_count == 0);
    harness_close_now(server);
}

int harness_connect(weft_server *server, int send_buffer)
{
    int ends[2];
    WEFT_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    if (send_buffer > 0)
        setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer);
    weft_connection *c = weft_connection_new(server);
    WEFT_CHECK(weft_transport_open_fd(&c->transport, server->loop, ends[0], false, &weft_connection_events) == 0);
    weft_connection_start(c);
    return ends[1];
}

/* ---- clients ---- */

static void on_input(weft_transport *t, char *data, int64_t size)
{
    client *c = CONTAINER_OF(t, client, t);
    if (size < 0)
        c->error = (int)size;
    else if (size == 0)
        c->has_ended = true;
    if (size <= 0)
        return;
    c->got = grow(c->got, c->got_size, (size_t)size + 1);
    memcpy(c->got + c->got_size, data, (size_t)size);
    c->got_size += (size_t)size;
    c->got[c->got_size] = '\0';
    if (c->sips)
        client_stop(c);
}

static void on_drained(weft_transport *t, int error)
{
    (void)t;
    (void)error; /* input says it too */
}

static void on_closed(weft_transport *t)
{
    CONTAINER_OF(t, client, t)->is_closed = true;
}

static void on_connected(weft_transport *t, int error)
{
    client *c = CONTAINER_OF(t, client, t);
    c->is_connected = error == 0;
    c->error = error;
}

static const weft_transport_events events = {
    .input = on_input,
    .drained = on_drained,
    .closed = on_closed,
    .connected = on_connected,
};

bool harness_is_by_tls(void)
{
    return getenv("WEFT_TEST_TLS") != NULL;
}

/* `header` comes first, in clear; NULL: none. */
static int open_tls(client *c, weft_loop *loop, size_t capacity, const struct iovec *header)
{
    weft_transport *server = &c->connection->transport;
    int rc = weft_tls_wrap(server, loop, &weft_connection_events, &(struct weft_tls_wrap_options){ .context = server_side });
    if (rc < 0)
        return rc;
    rc = weft_tls_wrap(&c->t, loop, &events, &(struct weft_tls_wrap_options){ .context = client_side });
    if (rc < 0)
        goto abandon_server;
    rc = weft_transport_open_pair(weft_tls_inner(server), weft_tls_inner(&c->t), loop, capacity, &weft_tls_inner_events,
                                  &weft_tls_inner_events);
    if (rc < 0)
        goto abandon_both;
    weft_tls_start(server, false);
    weft_tls_start(&c->t, false);
    if (header)
        (void)!weft_transport_send(weft_tls_inner(&c->t), header, 1); /* else the server waits for it in vain */
    return 0;

abandon_both:
    weft_tls_abandon(&c->t);
abandon_server:
    weft_tls_abandon(server);
    return rc;
}

/* May wait. The server has closed its end if memory is out. */
static int await_tls(client *c)
{
    while (!c->is_connected && !c->error && !c->has_ended)
        settle();
    if (c->is_connected)
        return 0;
    client_close(c, false);
    return -ENOMEM;
}

int client_open_behind_proxy(client *c, weft_server *server, const char *header, size_t size, size_t each)
{
    *c = (client){ .connection = weft_connection_new(server) };
    if (!c->connection)
        return -ENOMEM;
    int rc = open_tls(c, server->loop, 65536, &(struct iovec){ (void *)(uintptr_t)header, size });
    if (rc < 0) {
        weft_connection_abandon(c->connection);
        return rc;
    }
    weft_connection_start(c->connection);
    weft_connection_await_proxy(c->connection);
    server_knobs(c)->input_most = each;
    client_read(c);
    return await_tls(c);
}

int client_open(client *c, weft_server *server, size_t capacity)
{
    *c = (client){ .connection = weft_connection_new(server) };
    if (!c->connection)
        return -ENOMEM;
    int rc = harness_is_by_tls() ? open_tls(c, server->loop, capacity, NULL)
                                 : weft_transport_open_pair(&c->connection->transport, &c->t, server->loop, capacity,
                                                            &weft_connection_events, &events);
    if (rc < 0) {
        weft_connection_abandon(c->connection);
        return rc;
    }
    weft_connection_start(c->connection);
    client_read(c);
    return harness_is_by_tls() ? await_tls(c) : 0;
}

int client_send(client *c, const char *data, size_t size)
{
    return weft_transport_send(&c->t, &(struct iovec){ (void *)(uintptr_t)data, size }, 1);
}

void client_shutdown(client *c)
{
    weft_transport_shutdown(&c->t);
}

void client_stop(client *c)
{
    weft_transport_read_stop(&c->t);
}

void client_read(client *c)
{
    WEFT_CHECK(weft_transport_read_start(&c->t) == 0);
}

void client_forget(client *c)
{
    free(c->got);
    c->got = NULL;
    c->got_size = 0;
}

void client_close(client *c, bool resets)
{
    weft_transport_close(&c->t, resets);
    WEFT_SHIELD (closing, WEFT_MINUTE) {
        while (!c->is_closed && weft_sleep(MS) == 0)
            continue;
        settle();
    }
    client_forget(c);
}

void settle(void)
{
    WEFT_SHIELD (short_while, WEFT_MINUTE) {
        WEFT_CHECK(weft_sleep(MS) == 0);
    }
}

/* ---- what they have got ---- */

static void mask_dates(client *c)
{
    static const char field[] = "\r\nDate: ";
    char *at = c->got, *end = at ? at + c->got_size : NULL;
    while (at && (at = memmem(at, (size_t)(end - at), field, sizeof field - 1))) {
        at += sizeof field - 1;
        if ((size_t)(end - at) > WEFT_HTTP_DATE_SIZE && memcmp(at + WEFT_HTTP_DATE_SIZE - 4, " GMT\r", 5) == 0)
            memset(at, 'x', WEFT_HTTP_DATE_SIZE);
        else if ((size_t)(end - at) <= WEFT_HTTP_DATE_SIZE) /* cut */
            memset(at, 'x', (size_t)(end - at));
    }
}

static void print(const char *what, const char *data, size_t size)
{
    enum { MOST = 1500 };
    printf("# %s (%zu bytes): ", what, size);
    for (size_t i = 0; i < size && i < MOST; i++) {
        if (data[i] == '\n')
            printf("\\n\n#    ");
        else if (data[i] < ' ' || data[i] == 0x7f)
            printf("\\x%02x", (unsigned char)data[i]);
        else
            putchar(data[i]);
    }
    printf("\n");
}

bool client_has(client *c, const char *expected, size_t size)
{
    mask_dates(c);
    return c->got_size == size && (size == 0 || memcmp(c->got, expected, size) == 0);
}

bool client_got(client *c, const char *expected, size_t size)
{
    if (client_has(c, expected, size))
        return true;
    print("expected", expected, size);
    print("got", c->got, c->got_size);
    return false;
}

bool client_got_one(client *c, int status)
{
    char line[32];
    snprintf(line, sizeof line, "HTTP/1.1 %d ", status);
    const char *end = c->got ? strstr(c->got, "\r\n\r\n") : NULL;
    const char *length = end ? strstr(c->got, "\r\nContent-Length: ") : NULL;
    size_t size = length && length < end ? strtoul(length + 18, NULL, 10) : 0;
    if (end && strncmp(c->got, line, strlen(line)) == 0 && c->got_size == (size_t)(end + 4 - c->got) + size)
        return true;
    printf("# expected one reply, %d\n", status);
    print("got", c->got, c->got_size);
    return false;
}

/* ---- telling ---- */

bool harness_tells(int argc, char **argv)
{
    return argc == 2 && strcmp(argv[1], "--tell") == 0;
}

void harness_tell(const char *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        printf("%02x", (unsigned char)data[i]);
}
