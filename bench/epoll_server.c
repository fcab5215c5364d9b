/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * "raw": the least that a server on one core can do, as the measure of all others. One thread and one epoll; it counts blank
 * lines (no parsing), answers each with the same bytes, and sends all answers to one read in one write.
 *
 *     epoll_server [--port N] [--reply-size N] [--body N] [--close] [--threads N]
 *
 * It prints its port on standard output (0, the default, takes a free one) and ends on SIGTERM. --reply-size pads the reply
 * with a header field to the size of another server's, so that both write the same number of bytes. --body makes the body N
 * bytes long, in place of "Hello, World!"; --close ends each connection behind its first reply. --threads has so many threads
 * do this, each with a listening socket and an epoll of its own.
 *
 * What it must not do is cheat: a blank line that two reads share counts once, and when the socket is full, what is owed is
 * sent later and nothing is read meanwhile. A body would be taken for heads: it is for requests without one.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE   65536
#define FDS_MAX     65536
#define HEAD_MAX    1024
#define BODY_MAX    (1024 * 1024)
#define BLOCK_SIZE  (256 * 1024) /* bytes of replies that one write can hold, more or less */
#define THREADS_MAX 8
#define TAIL_SIZE   3 /* of "\r\n\r\n", what one read can leave to the next */

struct connection {
    size_t owed; /* bytes of replies that the socket has not taken */
    unsigned char tail_size;
    char tail[TAIL_SIZE];
};

struct server {
    int epoll, listener;
    bool is_other; /* than the first thread's */
    bool shares;   /* its port, with the others */
    size_t reply_size, block_replies;
    char *block; /* so many replies, one after the other */
    bool closes;
    struct connection connections[FDS_MAX];
};

static volatile sig_atomic_t stopping;

static void on_term(int signo)
{
    (void)signo;
    stopping = 1;
}

static int fail(const char *what)
{
    fprintf(stderr, "epoll_server: %s: %s\n", what, strerror(errno));
    return -1;
}

/* How many heads end in these bytes; keeps the bytes that may be the beginning of a blank line. */
static size_t count_heads(struct connection *c, const char *data, size_t size)
{
    const char *at = data, *end = data + size, *blank;
    size_t count = 0;
    while ((blank = memmem(at, (size_t)(end - at), "\r\n\r\n", 4))) {
        at = blank + 4;
        count++;
    }
    size_t left = (size_t)(end - at);
    c->tail_size = (unsigned char)(left < TAIL_SIZE ? left : TAIL_SIZE);
    if (c->tail_size)
        memcpy(c->tail, end - c->tail_size, c->tail_size);
    return count;
}

static void watch(struct server *s, int op, int fd, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.fd = fd };
    if (epoll_ctl(s->epoll, op, fd, &event) < 0)
        fail("epoll_ctl");
}

static void drop(int fd)
{
    close(fd); /* which also takes it out of the epoll */
}

/* Sends what is owed, as far as the socket takes it. False when the connection is dead. */
static bool send_owed(struct server *s, int fd)
{
    struct connection *c = &s->connections[fd];
    while (c->owed) {
        size_t done_of_first = (s->reply_size - c->owed % s->reply_size) % s->reply_size;
        size_t room = s->block_replies * s->reply_size - done_of_first;
        size_t size = c->owed < room ? c->owed : room;
        ssize_t n = send(fd, s->block + done_of_first, size, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        c->owed -= (size_t)n;
    }
    return true;
}

static void on_readable(struct server *s, int fd)
{
    static _Thread_local char buffer[TAIL_SIZE + READ_SIZE];
    struct connection *c = &s->connections[fd];
    size_t kept = c->tail_size;
    memcpy(buffer, c->tail, kept);
    ssize_t n = recv(fd, buffer + kept, READ_SIZE, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        drop(fd);
        return;
    }
    c->owed += count_heads(c, buffer, kept + (size_t)n) * s->reply_size;
    bool has_reply = c->owed > 0;
    if (!send_owed(s, fd) || (s->closes && has_reply && !c->owed))
        drop(fd);
    else if (c->owed)
        watch(s, EPOLL_CTL_MOD, fd, EPOLLOUT);
}

static void on_writable(struct server *s, int fd)
{
    if (!send_owed(s, fd) || (s->closes && !s->connections[fd].owed))
        drop(fd);
    else if (!s->connections[fd].owed)
        watch(s, EPOLL_CTL_MOD, fd, EPOLLIN);
}

static void on_connecting(struct server *s)
{
    int fd, one = 1;
    while ((fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        if (fd >= FDS_MAX) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        s->connections[fd] = (struct connection){ 0 };
        watch(s, EPOLL_CTL_ADD, fd, EPOLLIN);
    }
}

static int serve(struct server *s)
{
    struct epoll_event events[256];
    sigset_t held; /* SIGTERM comes only while the first thread waits, so that none is missed */
    sigemptyset(&held);
    if (s->is_other)
        sigaddset(&held, SIGTERM);
    while (!stopping) {
        int count = epoll_pwait(s->epoll, events, 256, -1, &held);
        if (count < 0 && errno != EINTR)
            return fail("epoll_pwait");
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == s->listener)
                on_connecting(s);
            else if (s->connections[fd].owed)
                on_writable(s, fd);
            else
                on_readable(s, fd);
        }
    }
    return 0;
}

/* Fills the block. `size` 0 leaves the head as short as it is, `body` 0 the body "Hello, World!". */
static int make_block(struct server *s, size_t size, size_t body)
{
    static const char hello[] = "Hello, World!", pad_field[] = "X-Pad: \r\n";
    char fields[256], pad[HEAD_MAX] = "";
    body = body ? body : sizeof hello - 1;
    int bare = snprintf(fields, sizeof fields,
                        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: "
                        "%zu\r\n%s",
                        body, s->closes ? "Connection: close\r\n" : "");
    size_t least = (size_t)bare + sizeof pad_field - 1 + 2 + body;
    if (size && (size < least || size - least >= HEAD_MAX)) {
        fprintf(stderr, "epoll_server: such a reply has %zu to %zu bytes\n", least, least + HEAD_MAX - 1);
        return -1;
    }
    if (size)
        memset(pad, 'x', size - least);
    s->reply_size = size ? size : (size_t)bare + 2 + body;
    s->block_replies = s->reply_size < BLOCK_SIZE ? BLOCK_SIZE / s->reply_size : 1;
    s->block = malloc(s->block_replies * s->reply_size + 1);
    if (!s->block)
        return fail("the reply");
    int head = snprintf(s->block, s->reply_size + 1, "%s%s%s%s\r\n", fields, size ? "X-Pad: " : "", pad, size ? "\r\n" : "");
    memset(s->block + head, 'x', body);
    memcpy(s->block + head, hello, body < sizeof hello - 1 ? body : sizeof hello - 1);
    for (size_t i = 1; i < s->block_replies; i++)
        memcpy(s->block + i * s->reply_size, s->block, s->reply_size);
    return 0;
}

/* Where *port is, or on a free one, which it then is. */
static int listen_on(struct server *s, uint16_t *port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(*port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    int one = 1;
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->listener < 0)
        return fail("socket");
    setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (s->shares)
        setsockopt(s->listener, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    if (bind(s->listener, (struct sockaddr *)&address, size) < 0 || listen(s->listener, 4096) < 0 ||
        getsockname(s->listener, (struct sockaddr *)&address, &size) < 0)
        return fail("listen");
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (s->epoll < 0)
        return fail("epoll_create1");
    watch(s, EPOLL_CTL_ADD, s->listener, EPOLLIN);
    *port = ntohs(address.sin_port);
    return 0;
}

static void *serve_in_thread(void *arg)
{
    serve(arg);
    return NULL;
}

static bool read_number(const char *text, long max, long *ret)
{
    char *end;
    errno = 0;
    *ret = strtol(text, &end, 10);
    return !errno && end != text && !*end && *ret >= 0 && *ret <= max;
}

int main(int argc, char **argv)
{
    static struct server servers[THREADS_MAX];
    static const struct option flags[] = {
        { "port", required_argument, NULL, 'p' },    { "reply-size", required_argument, NULL, 'r' },
        { "body", required_argument, NULL, 'b' },    { "close", no_argument, NULL, 'c' },
        { "threads", required_argument, NULL, 't' }, { NULL, 0, NULL, 0 }
    };
    long port = 0, reply_size = 0, body = 0, threads = 1;
    bool closes = false;
    for (int flag; (flag = getopt_long(argc, argv, "", flags, NULL)) != -1;) {
        bool ok = flag == 'p'   ? read_number(optarg, UINT16_MAX, &port)
                  : flag == 'r' ? read_number(optarg, BODY_MAX + HEAD_MAX, &reply_size)
                  : flag == 'b' ? read_number(optarg, BODY_MAX, &body)
                  : flag == 't' ? read_number(optarg, THREADS_MAX, &threads) && threads > 0
                                : flag == 'c';
        closes = closes || flag == 'c';
        if (!ok) {
            fprintf(stderr, "usage: epoll_server [--port N] [--reply-size N] [--body N] [--close] [--threads N]\n");
            return 2;
        }
    }
    sigset_t term;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    signal(SIGTERM, on_term);
    uint16_t at = (uint16_t)port;
    for (long i = 0; i < threads; i++) {
        servers[i].closes = closes;
        servers[i].shares = threads > 1;
        if (make_block(&servers[i], (size_t)reply_size, (size_t)body) < 0 || listen_on(&servers[i], &at) < 0)
            return 1;
    }
    printf("%d\n", at);
    fflush(stdout);
    for (long i = 1; i < threads; i++) {
        pthread_t thread;
        servers[i].is_other = true;
        if (pthread_create(&thread, NULL, serve_in_thread, &servers[i]) != 0)
            return 1;
    }
    return serve(&servers[0]) < 0; /* the others end with the process */
}
