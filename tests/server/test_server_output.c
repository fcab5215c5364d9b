/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * What many connections are sent in one poll, over real sockets: all of them are readable before the loop turns.
 */
#include "harness.h"

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

enum { CLIENTS = 3 * WEFT_OUTPUT_PIECES + 5, GOT_MAX = 128 * 1024, ASKS_MAX = 1000 };

struct socket_client {
    int fd;
    char *got;
    size_t size;
    bool has_ended;
};

static struct socket_client clients[CLIENTS];

static void ask(int i, const char *text)
{
    WEFT_CHECK(write(clients[i].fd, text, strlen(text)) == (ssize_t)strlen(text));
}

/* Reads what is there, and masks the dates. */
static void listen_to(struct socket_client *c)
{
    ssize_t n = -1;
    while (c->fd >= 0 && (n = read(c->fd, c->got + c->size, GOT_MAX - c->size)) > 0)
        c->size += (size_t)n;
    c->has_ended |= n == 0;
    for (char *at = c->got; (at = memmem(at, c->size - (size_t)(at - c->got), "\r\nDate: ", 8)); at += 8)
        memset(at + 8, 'x', 29);
}

/* Waits until everybody has got so many bytes, or the end. */
static void listen_to_all(const size_t *sizes)
{
    for (int left = CLIENTS; left > 0;) {
        WEFT_CHECK(weft_sleep(MS) == 0);
        left = 0;
        for (int i = 0; i < CLIENTS; i++) {
            listen_to(&clients[i]);
            left += clients[i].size < sizes[i] && !clients[i].has_ended;
        }
    }
}

static weft_server *begin(weft_app *app, int send_buffer)
{
    weft_server *server = harness_open(app);
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = (struct socket_client){ .fd = harness_connect(server, send_buffer), .got = malloc(GOT_MAX) };
    return server;
}

static void end(weft_app *app, weft_server *server)
{
    for (int i = 0; i < CLIENTS; i++) {
        if (clients[i].fd >= 0)
            close(clients[i].fd);
        free(clients[i].got);
    }
    WEFT_CHECK(weft_sleep(20 * MS) == 0);
    harness_close(server);
    weft_app_free(app);
}

/* ---- everybody gets their own ---- */

#define BIG_HEAD(n) STATUS("200 OK") "Content-Length: " #n "\r\n\r\n"

/* The i-th client's requests; what it is to get goes to `to`. */
static size_t of_each_kind(int i, char *asks, char *to)
{
    static char big[20000];
    memset(big, 'x', sizeof big);
    char name[16], hello[300];
    snprintf(name, sizeof name, "c%04d", i);
    snprintf(hello, sizeof hello, STATUS("200 OK") PLAIN_TEXT LENGTH(13) "\r\nHello, %s!", name);
    switch (i % 7) {
    case 0:
        snprintf(asks, ASKS_MAX, GET("/hello/%s"), name);
        return (size_t)snprintf(to, GOT_MAX, "%s", hello);
    case 1: /* pipelined */
        snprintf(asks, ASKS_MAX, GET("/hello/%s") GET("/") GET("/hello/%s"), name, name);
        return (size_t)snprintf(to, GOT_MAX, "%s" FRONT "%s", hello, hello);
    case 2: /* larger than what is copied */
        snprintf(asks, ASKS_MAX, GET("/big/20000"));
        return (size_t)snprintf(to, GOT_MAX, BIG_HEAD(20000) "%.20000s", big);
    case 3: /* behind and before small ones */
        snprintf(asks, ASKS_MAX, GET("/hello/%s") GET("/big/20000") GET("/hello/%s"), name, name);
        return (size_t)snprintf(to, GOT_MAX, "%s" BIG_HEAD(20000) "%.20000s%s", hello, big, hello);
    case 4: /* the last one */
        snprintf(asks, ASKS_MAX, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        return (size_t)snprintf(to, GOT_MAX, FRONT_CLOSE);
    case 5: /* later, behind one at once */
        snprintf(asks, ASKS_MAX, GET("/hello/%s") GET("/sleep/3"), name);
        return (size_t)snprintf(to, GOT_MAX, "%s" STATUS("200 OK") PLAIN_TEXT LENGTH(5) "\r\nslept", hello);
    default: /* refused, behind a good one */
        snprintf(asks, ASKS_MAX, GET("/hello/%s") "GET\r\n\r\n", name);
        return (size_t)snprintf(to, GOT_MAX, "%s" STATUS("400 Bad Request") PLAIN_TEXT LENGTH(63) CLOSE "\r\n%s\n", hello,
                                "400 Bad Request: the request line does not begin with a method");
    }
}

static int everybody_gets_their_own(void *arg)
{
    static char asks[ASKS_MAX], expected[CLIENTS][GOT_MAX];
    size_t sizes[CLIENTS];
    weft_app *app = harness_app();
    weft_server *server = begin(app, arg ? *(int *)arg : 0);
    for (int i = 0; i < CLIENTS; i++) {
        sizes[i] = of_each_kind(i, asks, expected[i]);
        ask(i, asks);
    }
    listen_to_all(sizes);
    WEFT_CHECK(weft_sleep(5 * MS) == 0);
    for (int i = 0; i < CLIENTS; i++) {
        listen_to(&clients[i]);
        bool is_right = clients[i].size == sizes[i] && memcmp(clients[i].got, expected[i], sizes[i]) == 0;
        WEFT_CHECK(is_right);
        if (!is_right)
            printf("# %d got %zu bytes, not %zu:\n# %.*s\n", i, clients[i].size, sizes[i], (int)clients[i].size,
                   clients[i].got);
    }
    end(app, server);
    return 0;
}

/* Replies that are copied, and together are many times as large as the buffer. */
static int more_than_the_buffer(void *arg)
{
    size_t sizes[CLIENTS];
    (void)arg;
    weft_app *app = harness_app();
    weft_server *server = begin(app, 0);
    for (int i = 0; i < CLIENTS; i++) {
        ask(i, GET("/big/15000"));
        sizes[i] = sizeof BIG_HEAD(15000) - 1 + 15000;
    }
    listen_to_all(sizes);
    for (int i = 0; i < CLIENTS; i++) {
        WEFT_CHECK(clients[i].size == sizes[i] && memcmp(clients[i].got, BIG_HEAD(15000), sizeof BIG_HEAD(15000) - 1) == 0);
        for (size_t at = sizeof BIG_HEAD(15000) - 1; at < sizes[i]; at++)
            WEFT_CHECK(clients[i].got[at] == 'x');
    }
    end(app, server);
    return 0;
}

/* ---- those that go ---- */

/* Some have gone by the time their reply is sent: the others do not notice. */
static int who_has_gone_takes_nobody_along(void *arg)
{
    enum { TWO = sizeof(STATUS("200 OK") PLAIN_TEXT LENGTH(11) "\r\nHello, two!" BIG_HEAD(20000)) - 1 + 20000 };
    size_t sizes[CLIENTS] = { 0 };
    int gone = 0;
    (void)arg;
    weft_app *app = harness_app();
    weft_server *server = begin(app, 0);
    for (int i = 0; i < CLIENTS; i++) {
        ask(i, i % 2 ? GET("/") : GET("/hello/two") GET("/big/20000"));
        sizes[i] = i % 2 ? sizeof FRONT - 1 : TWO;
        if (i % 3 == 0) {
            close(clients[i].fd);
            clients[i].fd = -1;
            sizes[i] = 0;
            gone++;
        }
    }
    listen_to_all(sizes);
    for (int i = 0; i < CLIENTS; i++)
        WEFT_CHECK(clients[i].size == sizes[i]);
    WEFT_CHECK(server->connection_count == (size_t)(CLIENTS - gone));
    end(app, server);
    return 0;
}

static weft_connection *served_last;

static int serves(weft_request *req)
{
    served_last = req->connection;
    return weft_reply_text(req, 200, "front");
}

/* Of another connection, in the same poll if its client asked at the same time. */
static int closes_the_last(weft_request *req)
{
    if (served_last)
        weft_connection_close(served_last, false);
    served_last = NULL;
    return weft_reply_text(req, 200, "front");
}

/* A connection that is closed before its reply has left: it leaves before. */
static int a_reply_leaves_before_its_connection_is_closed(void *arg)
{
    size_t sizes[CLIENTS], closed = 0;
    (void)arg;
    weft_app *app = harness_app();
    weft_get(app, "/serves", serves);
    weft_get(app, "/closes", closes_the_last);
    served_last = NULL;
    weft_server *server = begin(app, 0);
    for (int i = 0; i < CLIENTS; i++) {
        ask(i, i % 2 ? GET("/closes") : GET("/serves"));
        sizes[i] = sizeof FRONT - 1;
    }
    listen_to_all(sizes);
    WEFT_CHECK(weft_sleep(5 * MS) == 0);
    for (int i = 0; i < CLIENTS; i++) {
        listen_to(&clients[i]);
        WEFT_CHECK(clients[i].size == sizes[i] && memcmp(clients[i].got, FRONT, sizes[i]) == 0);
        closed += clients[i].has_ended;
    }
    WEFT_CHECK(closed > 0 && server->connection_count == CLIENTS - closed);
    end(app, server);
    return 0;
}

/* ---- who holds the loop ---- */

enum { HELD = 3 /* ms */ };

static int served[CLIENTS], served_count; /* in their order */
static int before_hold;                   /* so many of them, until somebody held the loop for the last time */
static int seen_waiting;                  /* replies that were not there yet when a handler behind them ran */

static bool has_left(int i)
{
    struct pollfd p = { .fd = clients[i].fd, .events = POLLIN };
    return clients[i].size > 0 || poll(&p, 1, 0) == 1;
}

static int note(weft_request *req)
{
    for (int k = 0; k < before_hold; k++) /* what was made before it has left */
        WEFT_CHECK(has_left(served[k]));
    for (int k = before_hold; k < served_count; k++)
        seen_waiting += !has_left(served[k]);
    served[served_count++] = (int)weft_param_int(req, "i");
    return weft_reply_text(req, 200, "front");
}

static int slow(weft_request *req)
{
    weft_duration until = weft_now() + HELD * MS;
    while (weft_now() < until)
        ;
    int rc = note(req);
    before_hold = served_count - 1; /* its own may wait for others, as any */
    return rc;
}

static int a_reply_waits_for_one_that_holds_the_loop_at_most(void *arg)
{
    (void)arg;
    weft_app *app = harness_app();
    weft_get(app, "/note/{i:int}", note);
    weft_get(app, "/slow/{i:int}", slow);
    weft_server *server = begin(app, 0);
    for (int round = 0; round < 200 && (round == 0 || seen_waiting == 0); round++) {
        size_t sizes[CLIENTS];
        served_count = before_hold = 0;
        for (int i = 0; i < CLIENTS; i++) {
            char text[100];
            snprintf(text, sizeof text, i == 5 || i == 50 ? GET("/slow/%d") : GET("/note/%d"), i);
            clients[i].size = 0;
            ask(i, text);
            sizes[i] = sizeof FRONT - 1;
        }
        listen_to_all(sizes);
        WEFT_CHECK(served_count == CLIENTS && before_hold > 0);
    }
#if defined(__x86_64__)
    WEFT_CHECK(seen_waiting > 0);
#endif
    end(app, server);
    return 0;
}

/* ---- before the loop waits ---- */

/* How long until there is something to read. */
static void *time_reply(void *arg)
{
    struct pollfd p = { .fd = *(int *)arg, .events = POLLIN };
    weft_duration start = weft_now();
    WEFT_CHECK(poll(&p, 1, 10000) == 1);
    static weft_duration took;
    took = weft_now() - start;
    return &took;
}

/* What a new connection is read at once fills the loop's buffer, and there is no more: its replies leave before the loop waits.
 */
static int replies_to_what_fills_the_buffer_leave(void *arg)
{
    enum { EACH = 8192, COUNT_OF_ALL = 8 };
    static const char begin_of_each[] = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
    static char asks[EACH * COUNT_OF_ALL];
    (void)arg;
    weft_app *app = harness_app();
    weft_server *server = harness_open(app);
    for (size_t at = 0; at < sizeof asks; at += EACH) {
        memset(asks + at, 'x', EACH);
        memcpy(asks + at, begin_of_each, sizeof begin_of_each - 1);
        memcpy(asks + at + EACH - 4, "\r\n\r\n", 4);
    }
    _Static_assert(sizeof asks == 64 * 1024, "the loop's buffer");
    for (int round = 0; round < 3; round++) { /* the first is slow, and has its replies leave for that */
        int fd = harness_connect(server, 0);
        WEFT_CHECK(write(fd, asks, sizeof asks) == (ssize_t)sizeof asks);
        pthread_t thread;
        WEFT_CHECK(pthread_create(&thread, NULL, time_reply, &fd) == 0);
        WEFT_CHECK(weft_sleep(700 * MS) == 0);
        void *took;
        pthread_join(thread, &took);
        WEFT_CHECK(*(weft_duration *)took < 400 * MS);
        char got[(sizeof FRONT - 1) * COUNT_OF_ALL + 1];
        WEFT_CHECK(read(fd, got, sizeof got) == sizeof got - 1);
        close(fd);
        WEFT_CHECK(weft_sleep(20 * MS) == 0);
    }
    harness_close(server);
    weft_app_free(app);
    return 0;
}

/* ---- all of it ---- */

static int small_buffers = 4096;

REAL(everybody_gets_their_own)
REAL(more_than_the_buffer)
REAL(who_has_gone_takes_nobody_along)
REAL(a_reply_leaves_before_its_connection_is_closed)
REAL(a_reply_waits_for_one_that_holds_the_loop_at_most)
REAL(replies_to_what_fills_the_buffer_leave)

/* What the kernel does not take is queued, and leaves later. */
static int run_everybody_gets_their_own_slowly(void)
{
    return weft_test_run(everybody_gets_their_own, &small_buffers, NULL, .real_time = true);
}

static const weft_test tests[] = {
    PLAIN(run_everybody_gets_their_own),
    PLAIN(run_everybody_gets_their_own_slowly),
    PLAIN(run_more_than_the_buffer),
    PLAIN(run_who_has_gone_takes_nobody_along),
    PLAIN(run_a_reply_leaves_before_its_connection_is_closed),
    PLAIN(run_a_reply_waits_for_one_that_holds_the_loop_at_most),
    PLAIN(run_replies_to_what_fills_the_buffer_leave),
};

int main(int argc, char **argv)
{
    return weft_test_main(tests, COUNT(tests), argc, argv);
}
