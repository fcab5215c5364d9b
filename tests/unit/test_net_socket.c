/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Transports and streams over real sockets, on loopback: by the table first, then by the waiting calls. */
#include "tests/unit/net_probe.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weft/stream.h>

#include "lib/net/listener.h"
#include "lib/task/poll.h"
#include "tests/unit/real_time.h"

#ifdef MSG_MORE
enum { MSG_MORE_WAITS = true };
#else
enum { MSG_MORE_WAITS = false };
#endif

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Two connected sockets. */
static void connect_sockets(int fds[2], bool is_tcp)
{
    if (!is_tcp) {
        WEFT_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
        return;
    }
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    WEFT_CHECK(bind(listening, (struct sockaddr *)&address, size) == 0 && listen(listening, 1) == 0);
    WEFT_CHECK(getsockname(listening, (struct sockaddr *)&address, &size) == 0);
    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    WEFT_CHECK(connect(fds[0], (struct sockaddr *)&address, size) == 0);
    fds[1] = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    WEFT_CHECK(fds[1] >= 0);
    close(listening);
}

static void open_pair(probe *a, probe *b, bool is_tcp)
{
    int fds[2] = { -1, -1 };
    memset(a, 0, sizeof *a);
    memset(b, 0, sizeof *b);
    connect_sockets(fds, is_tcp);
    WEFT_CHECK(weft_transport_open_fd(&a->t, weft_loop_here(), fds[0], is_tcp, &probe_events) == 0);
    WEFT_CHECK(weft_transport_open_fd(&b->t, weft_loop_here(), fds[1], is_tcp, &probe_events) == 0);
}

static void close_pair(probe *a, probe *b)
{
    if (a->closes == 0)
        probe_close(a, false);
    if (b->closes == 0)
        probe_close(b, false);
    WAIT_UNTIL(a->closes == 1 && b->closes == 1);
    free(a->got);
    free(b->got);
}

/* ---- transports ---- */

static void exchange(bool is_tcp)
{
    probe a, b;
    char text[64];
    open_pair(&a, &b, is_tcp);
    weft_transport_peer(&a.t, text, sizeof text);
    WEFT_CHECK(is_tcp ? strncmp(text, "127.0.0.1:", 10) == 0 : strcmp(text, "unix") == 0);
    a.spoils = true;
    probe_read(&a);
    probe_read(&a);
    WEFT_CHECK(probe_send(&b, "one", 3) == 0);
    WAIT_UNTIL(probe_got(&a, "one"));
    weft_transport_read_stop(&a.t);
    WEFT_CHECK(probe_send(&b, " two", 4) == 0);
    WEFT_CHECK(weft_sleep(5 * WEFT_MILLISECOND) == 0 && probe_got(&a, "one"));
    probe_read(&a);
    WAIT_UNTIL(probe_got(&a, "one two"));
    WEFT_CHECK(probe_shutdown(&b) == 0 && probe_shutdown(&b) == 0 && probe_send(&b, "x", 1) == -EPIPE);
    WAIT_UNTIL(a.ends == 1);
    probe_read(&a);
    WEFT_CHECK(weft_sleep(5 * WEFT_MILLISECOND) == 0 && a.ends == 1);
    WEFT_CHECK(probe_send(&a, "answer", 6) == 0);
    probe_read(&b);
    WAIT_UNTIL(probe_got(&b, "answer"));
    WEFT_CHECK(b.ends + b.errors + a.errors + a.drains + b.drains == 0);
    close_pair(&a, &b);
}

static int exchange_both(void *arg)
{
    (void)arg;
    exchange(true);
    exchange(false);
    return 0;
}

static int test_exchange(void)
{
    return in_real_time(exchange_both);
}

static void fill_room(bool is_tcp)
{
    char data[300], room[200];
    probe a, b;
    probe_pattern(data, sizeof data);
    open_pair(&a, &b, is_tcp);
    a.room = room;
    a.room_size = sizeof room;
    probe_read(&a);
    WEFT_CHECK(probe_send(&b, data, 50) == 0);
    WAIT_UNTIL(a.in_room == 50);
    WEFT_CHECK(a.t.took_all);
    WEFT_CHECK(probe_send(&b, data + 50, 250) == 0);
    WAIT_UNTIL(a.got_size == 300);
    WEFT_CHECK(a.in_room == 200 && memcmp(room, data, 200) == 0 && memcmp(a.got, data, 300) == 0);
    close_pair(&a, &b);
}

static int fill_room_of_both(void *arg)
{
    (void)arg;
    fill_room(true);
    fill_room(false);
    return 0;
}

static int test_the_owner_has_room(void)
{
    return in_real_time(fill_room_of_both);
}

/* Sends of many sizes to a peer that does not read: queued, in order, said once when they have gone. */
static void queue_much(bool is_tcp, bool in_the_end)
{
    enum { SIZE = 32 * 1024 * 1024 }; /* more than the kernel takes, several times */
    static const size_t sizes[] = { 1, 100, 5000, 16 * 1024, 100 * 1024, 16 * 1024 + 1, 3, 500 * 1024 };
    char *data = malloc(SIZE);
    probe_pattern(data, SIZE);
    probe a, b;
    open_pair(&a, &b, is_tcp);
    size_t sent = 0;
    for (size_t i = 0; sent < SIZE; i++) {
        size_t size = sizes[i % COUNT(sizes)];
        if (size > SIZE - sent)
            size = SIZE - sent;
        WEFT_CHECK(probe_send(&b, data + sent, size) == 0);
        sent += size;
    }
    WEFT_CHECK(b.t.queued > 0 && weft_transport_unsent(&b.t) <= b.t.queued);
    WEFT_CHECK(probe_try(&b, "x", 1) == -EAGAIN);
    if (in_the_end)
        WEFT_CHECK(probe_shutdown(&b) == 0);
    size_t unsent = weft_transport_unsent(&b.t);
    probe_read(&a);
    while (b.t.queued > 0) {
        WEFT_CHECK(weft_sleep(WEFT_MILLISECOND) == 0);
        WEFT_CHECK(weft_transport_unsent(&b.t) <= unsent);
        unsent = weft_transport_unsent(&b.t);
    }
    WAIT_UNTIL(a.got_size == SIZE && a.ends == in_the_end);
    WEFT_CHECK(memcmp(a.got, data, SIZE) == 0 && a.largest <= 64 * 1024);
    WEFT_CHECK(b.drains == 1 && b.drain_error == 0 && b.eases > 1);
    if (!in_the_end) {
        WEFT_CHECK(probe_try(&b, "x", 1) == 1);
        WAIT_UNTIL(a.got_size == SIZE + 1);
    }
    close_pair(&a, &b);
    free(data);
}

static int queue_much_both(void *arg)
{
    (void)arg;
    for (int i = 0; i < 4; i++)
        queue_much(i & 1, i & 2);
    return 0;
}

static int test_queue(void)
{
    return in_real_time(queue_much_both);
}

/* Small sends while others are on their way: they fill up the last block, part of which may have gone, and overtake nothing. */
static void send_while_draining(bool is_tcp)
{
    enum { SIZE = 6 * 1024 * 1024, PIECE = 700 };
    char *data = malloc(SIZE);
    probe_pattern(data, SIZE);
    probe a, b;
    open_pair(&a, &b, is_tcp);
    a.stops_itself = true;
    size_t queued_high = 0;
    for (size_t sent = 0, i = 0; sent < SIZE; i++) {
        size_t size = SIZE - sent < PIECE ? SIZE - sent : PIECE;
        struct iovec part = { data + sent, size };
        int64_t taken = probe_try(&b, part.iov_base, size);
        if (taken < (int64_t)size)
            WEFT_CHECK(weft_transport_queue(&b.t, &part, 1, taken > 0 ? (size_t)taken : 0) == 0);
        sent += size;
        queued_high = b.t.queued > queued_high ? b.t.queued : queued_high;
        if (b.t.queued > 400 * 1024 || (b.t.queued > 0 && i % 16 == 0)) {
            probe_read(&a);
            WEFT_CHECK(weft_sleep(0) == 0 && (i % 64 || weft_sleep(WEFT_MILLISECOND) == 0));
        }
    }
    WEFT_CHECK(queued_high > 0 && b.drains > 0);
    a.stops_itself = false;
    probe_read(&a);
    WAIT_UNTIL(a.got_size == SIZE && b.t.queued == 0);
    WEFT_CHECK(memcmp(a.got, data, SIZE) == 0);
    close_pair(&a, &b);
    free(data);
}

static int send_while_draining_both(void *arg)
{
    (void)arg;
    send_while_draining(true);
    send_while_draining(false);
    return 0;
}

static int test_send_while_draining(void)
{
    return in_real_time(send_while_draining_both);
}

/* Two that echo to each other: sends from input events, back-pressure in both directions. */
static int echo_both(void *arg)
{
    (void)arg;
    enum { SIZE = 4 * 1024 * 1024 };
    char *data = malloc(SIZE);
    probe_pattern(data, SIZE);
    for (int is_tcp = 0; is_tcp < 2; is_tcp++) {
        probe a, b;
        open_pair(&a, &b, is_tcp);
        b.echoes = true;
        probe_read(&a);
        probe_read(&b);
        WEFT_CHECK(probe_send(&a, data, SIZE) == 0);
        WAIT_UNTIL(a.got_size == SIZE);
        WEFT_CHECK(memcmp(a.got, data, SIZE) == 0 && a.drains == 1);
        close_pair(&a, &b);
    }
    free(data);
    return 0;
}

static int test_echo(void)
{
    return in_real_time(echo_both);
}

static int resets(void *arg)
{
    (void)arg;
    probe a, b;
    open_pair(&a, &b, true);
    probe_read(&a);
    probe_close(&b, true);
    WAIT_UNTIL(a.errors == 1);
    WEFT_CHECK(a.error == -ECONNRESET && a.ends == 0 && probe_send(&a, "x", 1) == -ECONNRESET);
    WEFT_CHECK(probe_shutdown(&a) == -ENOTCONN);
    close_pair(&a, &b);

    /* with much queued, reading and not */
    static char much[6 * 1024 * 1024];
    for (int reads = 0; reads < 2; reads++) {
        open_pair(&a, &b, true);
        if (reads)
            probe_read(&a);
        WEFT_CHECK(probe_send(&a, much, sizeof much) == 0 && a.t.queued > 0);
        WEFT_CHECK(weft_sleep(5 * WEFT_MILLISECOND) == 0);
        probe_close(&b, true);
        WAIT_UNTIL(a.drains == 1 && a.errors == (size_t)reads);
        WEFT_CHECK(a.drain_error < 0 && a.t.queued == 0 && probe_send(&a, "x", 1) < 0);
        WEFT_CHECK(weft_sleep(5 * WEFT_MILLISECOND) == 0 && a.drains == 1);
        close_pair(&a, &b);
    }

    /* an orderly close after all was read is no reset */
    open_pair(&a, &b, true);
    probe_read(&a);
    probe_close(&b, false);
    WAIT_UNTIL(a.ends == 1);
    WEFT_CHECK(a.errors == 0);
    close_pair(&a, &b);
    return 0;
}

static int test_resets(void)
{
    return in_real_time(resets);
}

/* A reset of which a write hears first is no orderly end to who reads; but one that follows an end leaves it an end. */
static int reset_is_heard_by_a_write(void *arg)
{
    (void)arg;
    for (int has_ended = 0; has_ended < 2; has_ended++) {
        probe a, b;
        open_pair(&a, &b, true);
        if (has_ended)
            WEFT_CHECK(probe_send(&a, "bye", 3) == 0);
        probe_close(&a, !has_ended);
        WAIT_UNTIL(a.closes == 1);
        int64_t rc;
        while ((rc = probe_try(&b, "x", 1)) == 1) /* if it has ended, it answers to this by a reset */
            WEFT_CHECK(weft_sleep(WEFT_MILLISECOND) == 0);
        WEFT_CHECK(rc == (has_ended ? -EPIPE : -ECONNRESET));
        probe_read(&b);
        WAIT_UNTIL(b.ends + b.errors == 1);
        WEFT_CHECK(has_ended ? b.ends == 1 && probe_got(&b, "bye") : b.error == -ECONNRESET);
        close_pair(&a, &b);
    }
    return 0;
}

static int test_reset_is_heard_by_a_write(void)
{
    return in_real_time(reset_is_heard_by_a_write);
}

/* What is sent as the last comes with the end, and comes although there is input that nobody has read. */
static int the_last(void *arg)
{
    (void)arg;
    for (int i = 0; i < 4; i++) {
        bool is_tcp = i & 1, has_unread = i & 2;
        probe a, b;
        char buf[16];
        int fds[2] = { -1, -1 };
        memset(&a, 0, sizeof a);
        memset(&b, 0, sizeof b);
        connect_sockets(fds, is_tcp);
        WEFT_CHECK(weft_transport_open_fd(&a.t, weft_loop_here(), fds[0], is_tcp, &probe_events) == 0);
        if (has_unread)
            WEFT_CHECK(send(fds[1], "unread", 6, 0) == 6);
        a.t.is_last = true;
        WEFT_CHECK(probe_send(&a, "bye", 3) == 0);
        if (is_tcp && MSG_MORE_WAITS)
            WEFT_CHECK(recv(fds[1], buf, sizeof buf, MSG_DONTWAIT) == -1 && errno == EAGAIN);
        WEFT_CHECK(probe_shutdown(&a) == 0);
        probe_close(&a, false);
        WEFT_CHECK(recv(fds[1], buf, sizeof buf, 0) == 3 && memcmp(buf, "bye", 3) == 0);
        ssize_t end = recv(fds[1], buf, sizeof buf, 0);
        WEFT_CHECK(end == 0 || (has_unread && end == -1 && errno == ECONNRESET));
        close(fds[1]);
        WAIT_UNTIL(a.closes == 1);
    }
    return 0;
}

static int test_the_last(void)
{
    return in_real_time(the_last);
}

/* Closed with output queued, in an input event, and at once: the closed event comes once, and nothing after it. */
static int closes(void *arg)
{
    (void)arg;
    static char much[6 * 1024 * 1024];
    for (int is_tcp = 0; is_tcp < 2; is_tcp++) {
        probe a, b;
        open_pair(&a, &b, is_tcp);
        WEFT_CHECK(probe_send(&a, much, sizeof much) == 0 && probe_send(&a, "x", 1) == 0);
        probe_close(&a, false);
        WEFT_CHECK(a.closes == 0 && a.t.queued == 0);
        probe_read(&b);
        WAIT_UNTIL(b.ends + b.errors == 1 && a.closes == 1);
        WEFT_CHECK(a.drains == 0);
        close_pair(&a, &b);

        open_pair(&a, &b, is_tcp);
        a.closes_itself = true;
        probe_read(&a);
        WEFT_CHECK(probe_send(&b, "abc", 3) == 0);
        WAIT_UNTIL(a.closes == 1);
        WEFT_CHECK(a.inputs == 1);
        close_pair(&a, &b);
    }
    return 0;
}

static int test_closes(void)
{
    return in_real_time(closes);
}

/* Who sends on a closed one is told so, and does not reach those who have the numbers of its descriptors now. */
static int closed_for_good(void *arg)
{
    (void)arg;
    for (int is_tcp = 0; is_tcp < 2; is_tcp++) {
        probe a, b, next[2];
        open_pair(&a, &b, is_tcp);
        probe_close(&a, false);
        probe_close(&b, false);
        open_pair(&next[0], &next[1], is_tcp);
        probe_read(&next[0]);
        probe_read(&next[1]);
        char text[] = "stray";
        const struct iovec stray = { text, 5 };
        WEFT_CHECK(weft_transport_try_send(&a.t, &stray, 1) == -EBADF && weft_transport_try_send(&b.t, &stray, 1) == -EBADF);
        WEFT_CHECK(weft_transport_queue(&a.t, &stray, 1, 0) == -EBADF && a.t.queued == 0);
        WEFT_CHECK(weft_sleep(5 * WEFT_MILLISECOND) == 0 && next[0].inputs + next[1].inputs == 0);
        close_pair(&next[0], &next[1]);
        close_pair(&a, &b);
    }
    return 0;
}

static int test_closed_for_good(void)
{
    return in_real_time(closed_for_good);
}

static int opens(void *arg)
{
    (void)arg;
    weft_transport t;
    int fds[2];
    WEFT_CHECK(weft_transport_open_fd(&t, weft_loop_here(), 9999, false, &probe_events) == -EBADF && !t.is_open);

    connect_sockets(fds, true);
    probe p = { 0 };
    WEFT_CHECK(weft_transport_open_fd(&p.t, weft_loop_here(), fds[0], true, &probe_events) == 0);
    probe_close(&p, false);
    WAIT_UNTIL(p.closes == 1);
    WEFT_CHECK(close(fds[0]) == -1 && errno == EBADF); /* taken over */
    close(fds[1]);
    return 0;
}

static int test_opens(void)
{
    return in_real_time(opens);
}

/* ---- a peer that has gone is an error, not a signal ---- */

static int write_to_nobody(void *arg)
{
    (void)arg;
    static char much[6 * 1024 * 1024];
    for (int is_tcp = 0; is_tcp < 2; is_tcp++) {
        probe a, b;
        open_pair(&a, &b, is_tcp);
        probe_close(&b, false);
        WAIT_UNTIL(b.closes == 1);
        int rc = probe_send(&a, "x", 1);
        for (int i = 0; i < 100 && rc == 0; i++) {
            WEFT_CHECK(weft_sleep(WEFT_MILLISECOND) == 0);
            rc = probe_send(&a, "x", 1);
        }
        WEFT_CHECK(rc == -EPIPE);
        close_pair(&a, &b);

        open_pair(&a, &b, is_tcp); /* the same by a queued write */
        WEFT_CHECK(probe_send(&a, much, sizeof much) == 0);
        probe_close(&b, false);
        WAIT_UNTIL(a.drains == 1);
        WEFT_CHECK(a.drain_error == -EPIPE || a.drain_error == -ECONNRESET);
        close_pair(&a, &b);
    }
    sigset_t set;
    pthread_sigmask(SIG_SETMASK, NULL, &set);
    WEFT_CHECK(sigismember(&set, SIGPIPE) == 1);
    return 0;
}

static int test_broken_pipe(void)
{
    sigset_t set;
    WEFT_CHECK(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    int rc = in_real_time(write_to_nobody);
    pthread_sigmask(SIG_SETMASK, NULL, &set);
    WEFT_CHECK(sigismember(&set, SIGPIPE) == 0); /* as before, and none is pending: we are alive */
    return rc;
}

/* ---- streams ---- */

/* A server that answers each connection by a probe. */
struct server {
    weft_listener *listener;
    probe *last;
    int count;
    char address[64];
};

static void serve(void *context, int fd, bool is_tcp)
{
    struct server *server = context;
    probe *p = calloc(1, sizeof *p);
    WEFT_CHECK(weft_transport_open_fd(&p->t, weft_loop_here(), fd, is_tcp, &probe_events) == 0);
    server->last = p;
    server->count++;
}

static void open_server(struct server *server, const char *address)
{
    *server = (struct server){ 0 };
    WEFT_CHECK(weft_listener_open(&server->listener, weft_loop_here(), address, serve, server) == 0);
    int port = weft_listener_port(server->listener);
    if (port)
        snprintf(server->address, sizeof server->address, "127.0.0.1:%d", port);
    else
        snprintf(server->address, sizeof server->address, "%s", address);
}

static probe *accepted(struct server *server)
{
    WAIT_UNTIL(server->last);
    probe *p = server->last;
    server->last = NULL;
    return p;
}

static void close_probe(probe *p, bool resets)
{
    if (p->closes == 0)
        probe_close(p, resets);
    WAIT_UNTIL(p->closes == 1);
    free(p->got);
    free(p);
}

static void make_path(char *path, size_t size)
{
    snprintf(path, size, "unix:/tmp/weft-test-%d", (int)getpid());
}

static int talk(void *arg)
{
    const char *address = arg;
    enum { SIZE = 1000 * 1000 };
    char *data = malloc(SIZE), *got = malloc(SIZE);
    probe_pattern(data, SIZE);
    struct server server;
    weft_stream *s;
    open_server(&server, address);
    WEFT_CHECK(weft_connect(&s, server.address) == 0);
    probe *p = accepted(&server);
    p->echoes = true;
    probe_read(p);
    for (size_t at = 0; at < SIZE; at += 100 * 1000) {
        WEFT_CHECK(weft_stream_write(s, data + at, 100 * 1000) == 0);
        for (size_t size = 0; size < 100 * 1000;) {
            int64_t n = weft_stream_read(s, got + at + size, 100 * 1000 - size);
            WEFT_CHECK(n > 0);
            size += n > 0 ? (size_t)n : SIZE;
        }
    }
    WEFT_CHECK(memcmp(got, data, SIZE) == 0);
    WEFT_CHECK(weft_stream_shutdown(s) == 0);
    WAIT_UNTIL(p->ends == 1);
    WEFT_CHECK(probe_send(p, "bye", 3) == 0);
    WEFT_CHECK(weft_stream_read(s, got, SIZE) == 3 && memcmp(got, "bye", 3) == 0);
    close_probe(p, false);
    WEFT_CHECK(weft_stream_read(s, got, SIZE) == 0 && weft_stream_read(s, got, SIZE) == 0);
    weft_stream_close(s);
    weft_listener_close(server.listener);
    free(data);
    free(got);
    return 0;
}

static int test_talk_tcp(void)
{
    return weft_test_run(talk, "127.0.0.1:0", NULL, .real_time = true);
}

static int test_talk_unix(void)
{
    char path[64];
    make_path(path, sizeof path);
    return weft_test_run(talk, path, NULL, .real_time = true);
}

static int connects(void *arg)
{
    (void)arg;
    static const char *const wrong[] = { "",       ":80",           "127.0.0.1:0", "[::1]:0",   "127.1:80",
                                         "a b:80", "example.org:0", "example.org", "127.0.0.1", "unix:" };
    weft_stream *s = NULL;
    for (size_t i = 0; i < COUNT(wrong); i++)
        WEFT_CHECK(weft_connect(&s, wrong[i]) == -EINVAL);
    struct server server;
    open_server(&server, "127.0.0.1:0");
    weft_listener_close(server.listener);
    WEFT_CHECK(weft_connect(&s, server.address) == -ECONNREFUSED);
    WEFT_CHECK(weft_connect(&s, "unix:/tmp/weft-test-nothing-here") == -ENOENT);
    int rc = weft_connect(&s, "255.255.255.255:80"); /* refused by the kernel inside the call */
    WEFT_CHECK(rc < 0 && rc != -EINVAL);
    WEFT_CHECK(!s); /* written only on success */

    /* cut short: nobody answers behind a barred door */
    open_server(&server, "127.0.0.1:0");
    WEFT_CHECK(weft_listener_bar(server.listener) == 0);
    WEFT_TIMEOUT (limit, 20 * WEFT_MILLISECOND) {
        WEFT_CHECK(weft_connect(&s, server.address) == WEFT_EDEADLINE);
    }
    weft_listener_close(server.listener);
    WEFT_CHECK(!s);
    return 0;
}

static int test_connects(void)
{
    return in_real_time(connects);
}

static int refuse(weft_poller *poller, const weft_polled *p)
{
    (void)poller;
    (void)p;
    return -ENOSPC;
}

/* Where the kernel polls nothing, and all is only tried: who has not connected yet is not said to have. */
static int connects_unpolled(void *arg)
{
    (void)arg;
    weft_poller *poller = weft_poll_poller(weft_loop_here());
    const weft_poller_kind *kind = poller->kind;
    weft_poller_kind refusing = *kind;
    refusing.ask = refuse;
    struct server server, barred;
    weft_stream *s = NULL;
    open_server(&server, "127.0.0.1:0");
    open_server(&barred, "127.0.0.1:0");
    WEFT_CHECK(weft_listener_bar(barred.listener) == 0);
    poller->kind = &refusing;
    WEFT_TIMEOUT (limit, 350 * WEFT_MILLISECOND) {
        WEFT_CHECK(weft_connect(&s, barred.address) == WEFT_EDEADLINE && !s);
    }
    WEFT_CHECK(weft_connect(&s, server.address) == 0);
    probe *p = accepted(&server);
    WEFT_CHECK(weft_stream_write(s, "abc", 3) == 0);
    probe_read(p);
    WAIT_UNTIL(probe_got(p, "abc"));
    weft_stream_close(s);
    close_probe(p, false);
    weft_listener_close(barred.listener);
    weft_listener_close(server.listener);
    poller->kind = kind;
    return 0;
}

static int test_connects_unpolled(void)
{
    return in_real_time(connects_unpolled);
}

/* Of the name that the system's own table has, in letters that are not the ones we know without it; and of one that no resolver
 * would ask anybody for, as its label is too long. */
static int connect_by_name(void *arg)
{
    char text[32];
    weft_stream *s = NULL;
    snprintf(text, sizeof text, "Localhost:%d", *(const int *)arg);
    int rc = weft_connect(&s, text);
    WEFT_CHECK((rc == 0) == (s != NULL));
    weft_stream_close(s);
    return rc;
}

static int names(void *arg)
{
    static const char unknown[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.invalid:80";
    weft_stream *s = NULL;
    WEFT_CHECK(connect_by_name(arg) == 0);
    WEFT_CHECK(weft_connect(&s, unknown) == WEFT_ENAME && !s);
    WEFT_CHECK(strstr(weft_error_trail(), "the host aaaa"));
    WEFT_TIMEOUT (limit, 0) {
        WEFT_CHECK(connect_by_name(arg) == WEFT_EDEADLINE);
    }
    WEFT_CHECK(limit.expired);
    return 0;
}

static int test_names(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    WEFT_CHECK(bind(listening, (struct sockaddr *)&address, size) == 0 && listen(listening, 1000) == 0);
    WEFT_CHECK(getsockname(listening, (struct sockaddr *)&address, &size) == 0);
    int port = ntohs(address.sin_port);
    WEFT_CHECK(weft_test_run(names, &port, NULL, .real_time = true) == 0);
    WEFT_CHECK(weft_test_run(connect_by_name, &port, NULL) == 0);
    weft_test_report report;
    bool has_struck = true;
    for (uint64_t n = 1; has_struck; n++) { /* in the look-up, and in each connect that follows */
        has_struck = false;
        for (int when = 0; when <= WEFT_CANCEL_WOKEN; when++) {
            int rc = weft_test_run(connect_by_name, &port, &report, .real_time = true, .cancel_at = n,
                                   .cancel_when = (enum weft_cancel_when)when);
            WEFT_CHECK(rc == 0 || rc == WEFT_ECANCELED);
            has_struck = has_struck || report.struck;
        }
    }
    report.struck = true;
    for (uint64_t n = 1; report.struck; n++) {
        int rc = weft_test_run(connect_by_name, &port, &report, .real_time = true, .fail_at = n);
        WEFT_CHECK(rc == 0 || rc == -ENOMEM || rc == -EAGAIN);
    }
    close(listening);
    return 0;
}

struct job {
    weft_stream *s;
    int64_t result;
};

static int read_one(void *arg)
{
    struct job *job = arg;
    char byte;
    job->result = weft_stream_read(job->s, &byte, 1);
    return 0;
}

static int write_much(void *arg)
{
    static char much[16 * 1024 * 1024];
    struct job *job = arg;
    job->result = weft_stream_write(job->s, much, sizeof much);
    return 0;
}

static int waiting(void *arg)
{
    (void)arg;
    struct server server;
    char buf[16];
    open_server(&server, "127.0.0.1:0");
    for (int closes_here = 0; closes_here < 2; closes_here++) {
        weft_stream *s = NULL;
        WEFT_CHECK(weft_connect(&s, server.address) == 0);
        probe *p = accepted(&server);
        struct job reader = { .s = s }, writer = { .s = s };
        WEFT_GROUP (g) {
            weft_go(&g, read_one, &reader);
            weft_go(&g, write_much, &writer);
            WEFT_CHECK(weft_sleep(10 * WEFT_MILLISECOND) == 0);
            WEFT_CHECK(weft_stream_read(s, buf, 1) == -EBUSY && weft_stream_write(s, buf, 1) == -EBUSY);
            if (closes_here)
                weft_stream_close(s);
            else
                probe_close(p, true);
        }
        if (closes_here) {
            WEFT_CHECK(reader.result == WEFT_ECLOSED && writer.result == WEFT_ECLOSED);
        } else {
            WEFT_CHECK(reader.result == -ECONNRESET && writer.result == -ECONNRESET);
            WEFT_CHECK(weft_stream_read(s, buf, 1) == -ECONNRESET);
            weft_stream_close(s);
        }
        close_probe(p, false);
    }
    weft_listener_close(server.listener);
    return 0;
}

/* The system tells of a reset once: if that was the write, to read there is an end, but the peer has made none. */
static int told_by_a_write(void *arg)
{
    (void)arg;
    struct server server;
    char buf[16];
    weft_stream *s = NULL;
    open_server(&server, "127.0.0.1:0");
    WEFT_CHECK(weft_connect(&s, server.address) == 0);
    probe *p = accepted(&server);
    probe_close(p, true);
    WEFT_CHECK(weft_stream_write(s, "x", 1) == -ECONNRESET);
    WEFT_CHECK(weft_stream_read(s, buf, sizeof buf) == -ECONNRESET);
    weft_stream_close(s);
    close_probe(p, false);
    weft_listener_close(server.listener);
    return 0;
}

static int test_told_by_a_write(void)
{
    return in_real_time(told_by_a_write);
}

static int test_waiting(void)
{
    return in_real_time(waiting);
}

/* A stream that is cut while it reads and writes, and goes on. */
static int cut(void *arg)
{
    (void)arg;
    struct server server;
    weft_stream *s;
    char buf[16];
    open_server(&server, "127.0.0.1:0");
    WEFT_CHECK(weft_connect(&s, server.address) == 0);
    probe *p = accepted(&server);
    WEFT_TIMEOUT (reading, 5 * WEFT_MILLISECOND) {
        WEFT_CHECK(weft_stream_read(s, buf, sizeof buf) == WEFT_EDEADLINE);
    }
    WEFT_CHECK(probe_send(p, "abc", 3) == 0 && weft_sleep(5 * WEFT_MILLISECOND) == 0);
    WEFT_CHECK(weft_stream_read(s, buf, 1) == 1 && weft_stream_read(s, buf + 1, 9) == 2 && memcmp(buf, "abc", 3) == 0);

    enum { SIZE = 16 * 1024 * 1024 };
    char *data = malloc(SIZE);
    probe_pattern(data, SIZE);
    WEFT_TIMEOUT (writing, 20 * WEFT_MILLISECOND) {
        WEFT_CHECK(weft_stream_write(s, data, SIZE) == WEFT_EDEADLINE);
    }
    probe_read(p);
    WEFT_CHECK(weft_stream_write(s, "end", 3) == 0);
    weft_stream_close(s);
    WAIT_UNTIL(p->ends == 1);
    size_t part = p->got_size - 3;
    WEFT_CHECK(part > 0 && part < SIZE && memcmp(p->got, data, part) == 0 && memcmp(p->got + part, "end", 3) == 0);
    close_probe(p, false);
    weft_listener_close(server.listener);
    free(data);
    return 0;
}

static int test_cut(void)
{
    return in_real_time(cut);
}

/* ---- virtual time does not jump while a socket is awaited ---- */

static void *answer_late(void *arg)
{
    int listening = *(int *)arg;
    int fd = accept(listening, NULL, NULL);
    usleep(30 * 1000);
    WEFT_CHECK(write(fd, "x", 1) == 1);
    close(fd);
    return NULL;
}

static int read_late(void *arg)
{
    weft_stream *s;
    char byte = 0;
    WEFT_TIMEOUT (limit, WEFT_HOUR) {
        WEFT_CHECK(weft_connect(&s, arg) == 0);
        WEFT_CHECK(weft_stream_read(s, &byte, 1) == 1 && byte == 'x');
    }
    WEFT_CHECK(!limit.expired && weft_now() == 0);
    WEFT_CHECK(weft_loop_here()->outside == 0);
    weft_stream_close(s);
    return 0;
}

static int test_virtual_time(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    WEFT_CHECK(bind(listening, (struct sockaddr *)&address, size) == 0 && listen(listening, 1) == 0);
    WEFT_CHECK(getsockname(listening, (struct sockaddr *)&address, &size) == 0);
    char text[32];
    snprintf(text, sizeof text, "127.0.0.1:%d", ntohs(address.sin_port));
    pthread_t thread;
    WEFT_CHECK(pthread_create(&thread, NULL, answer_late, &listening) == 0);
    int rc = weft_test_run(read_late, text, NULL);
    pthread_join(thread, NULL);
    close(listening);
    return rc;
}

/* ---- memory runs out ---- */

static int converse(void *arg)
{
    int listening = *(int *)arg;
    static char data[300 * 1024];
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    char text[32];
    getsockname(listening, (struct sockaddr *)&address, &size);
    snprintf(text, sizeof text, "127.0.0.1:%d", ntohs(address.sin_port));
    weft_stream *s;
    int rc = weft_connect(&s, text);
    if (rc < 0)
        return rc;
    int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    WEFT_CHECK(fd >= 0);
    for (int i = 0; i < 30 && rc == 0; i++) {
        WEFT_TIMEOUT (limit, WEFT_MILLISECOND) {
            rc = weft_stream_write(s, data, sizeof data);
        }
        rc = rc == WEFT_EDEADLINE ? 0 : rc;
        static char sink[64 * 1024];
        WEFT_CHECK(read(fd, sink, sizeof sink) != 0); /* slower than the writer */
    }
    WEFT_CHECK(write(fd, data, 50000) > 0);
    char buf[10];
    int64_t n = rc < 0 ? rc : 1;
    for (int i = 0; i < 100 && n > 0; i++)
        n = weft_stream_read(s, buf, sizeof buf);
    close(fd);
    weft_stream_close(s);
    return n < 0 ? (int)n : rc;
}

static int test_memory_runs_out(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    WEFT_CHECK(bind(listening, (struct sockaddr *)&address, sizeof address) == 0 && listen(listening, 100) == 0);
    weft_test_report report = { .struck = true };
    bool goes_on = getenv("WEFT_POLLER"); /* poll(2) needs memory to poll, and tries until there is some */
    for (uint64_t n = 1; report.struck && n < 200; n++) {
        int rc = weft_test_run(converse, &listening, &report, .fail_at = n, .real_time = true);
        WEFT_CHECK(rc == (report.struck ? -ENOMEM : 0) || (rc == 0 && goes_on));
    }
    WEFT_CHECK(!report.struck);
    close(listening);
    return 0;
}

static const weft_test tests[] = {
    { .name = "transports exchange bytes", .plain = test_exchange },
    { .name = "input where its owner has room", .plain = test_the_owner_has_room },
    { .name = "a reset is heard by a write first", .plain = test_reset_is_heard_by_a_write },
    { .name = "transports queue, drain and end in order", .plain = test_queue },
    { .name = "sends while others are on their way", .plain = test_send_while_draining },
    { .name = "transports echo from input events", .plain = test_echo },
    { .name = "resets are told from ends", .plain = test_resets },
    { .name = "the last and the end", .plain = test_the_last },
    { .name = "closing in every state", .plain = test_closes },
    { .name = "closed for good", .plain = test_closed_for_good },
    { .name = "opening takes over or leaves alone", .plain = test_opens },
    { .name = "a peer that has gone is no signal", .plain = test_broken_pipe },
    { .name = "a stream over tcp", .plain = test_talk_tcp },
    { .name = "a stream over a unix socket", .plain = test_talk_unix },
    { .name = "connecting fails, or is cut short", .plain = test_connects },
    { .name = "connecting where nothing can be polled", .plain = test_connects_unpolled },
    { .name = "hosts by their names", .plain = test_names },
    { .name = "closed or reset while tasks wait", .plain = test_waiting },
    { .name = "a reset that a write is told of", .plain = test_told_by_a_write },
    { .name = "a stream that is cut goes on", .plain = test_cut },
    { .name = "virtual time waits for sockets", .plain = test_virtual_time },
    { .name = "the n-th allocation fails", .plain = test_memory_runs_out },
};

int main(int argc, char **argv)
{
    return weft_test_main(tests, COUNT(tests), argc, argv);
}
