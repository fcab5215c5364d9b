/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Load for WebSocket servers that echo: one thread, one epoll.
 *
 *     ws_load PORT PATH echo SIZE CONNECTIONS SECONDS
 *         each connection has one message of SIZE bytes under way; prints how many came back in that time
 *     ws_load PORT PATH idle COUNT
 *         opens COUNT sockets, from 127.0.0.2 on, 2,000 from each address; prints "ready"; ends when standard input does.
 *         Pings are answered, also while it opens more. Its limit of open files is raised as far as the system lets it
 *
 * It counts bytes, having looked at the first echo of each connection: a server that echoes wrongly is noticed there.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PER_ADDRESS = 2000, READ_SIZE = 256 * 1024 };

struct connection {
    int fd;
    size_t sent; /* of the frame that is being sent */
    size_t got;  /* of the echo */
    bool is_checked;
};

static char *frame, *answer;
static size_t frame_size, answer_size;

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "ws_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A masked binary frame, and what comes back for it. */
static void make_frame(size_t size)
{
    static const unsigned char key[4] = { 0x37, 0xfa, 0x21, 0x3d };
    frame = malloc(size + 14);
    answer = malloc(size + 10);
    if (!frame || !answer)
        die("memory");
    unsigned char header[10] = { 0x82, 0 };
    size_t header_size = size < 126 ? 2 : size < 65536 ? 4 : 10;
    header[1] = size < 126 ? (unsigned char)size : size < 65536 ? 126 : 127;
    for (size_t i = 2; i < header_size; i++)
        header[i] = (unsigned char)((uint64_t)size >> (8 * (header_size - 1 - i)));
    memcpy(answer, header, header_size);
    header[1] |= 0x80;
    memcpy(frame, header, header_size);
    memcpy(frame + header_size, key, 4);
    for (size_t i = 0; i < size; i++) {
        answer[header_size + i] = (char)(i * 31 + 7);
        frame[header_size + 4 + i] = (char)(answer[header_size + i] ^ key[i & 3]);
    }
    frame_size = header_size + 4 + size;
    answer_size = header_size + size;
}

static int connect_from(int port, const char *path, int number)
{
    char text[300], reply[1024];
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) }, from = { .sin_family = AF_INET };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    from.sin_addr.s_addr = htonl(0x7f000002U + (unsigned)(number / PER_ADDRESS));
    if (fd < 0 || bind(fd, (struct sockaddr *)&from, sizeof from) < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    int size = snprintf(text, sizeof text,
                        "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                        path);
    if (send(fd, text, (size_t)size, 0) != size)
        die("send");
    size_t got = 0;
    while (got < 4 || memcmp(reply + got - 4, "\r\n\r\n", 4) != 0) {
        ssize_t n = recv(fd, reply + got, sizeof reply - got, 0);
        if (n <= 0 || (got += (size_t)n) == sizeof reply)
            die("handshake");
    }
    if (memcmp(reply, "HTTP/1.1 101 ", 13) != 0)
        die("it does not switch");
    return fd;
}

/* Sends on; waits for room if there is none, for the peer may wait for us to read. */
static void send_on(int epoll, struct connection *c)
{
    while (c->sent < frame_size) {
        ssize_t n = send(c->fd, frame + c->sent, frame_size - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN)
            die("send");
        if (n > 0)
            c->sent += (size_t)n;
        if (n < 0)
            break;
    }
    if (frame_size > READ_SIZE / 4) { /* only such a one may not go at once */
        struct epoll_event event = { .events = EPOLLIN | (c->sent < frame_size ? EPOLLOUT : 0U), .data.ptr = c };
        epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event);
    }
}

/* 1 when an echo is whole. */
static int receive(struct connection *c)
{
    static char buf[READ_SIZE];
    ssize_t n = recv(c->fd, buf, sizeof buf, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n <= 0)
        die("receive");
    if (c->got + (size_t)n > answer_size || (!c->is_checked && memcmp(buf, answer + c->got, (size_t)n) != 0)) {
        errno = EPROTO;
        die("another message came back");
    }
    c->got += (size_t)n;
    if (c->got < answer_size)
        return 0;
    c->is_checked = true;
    c->got = c->sent = 0;
    return 1;
}

static int run_echo(int port, const char *path, int count, double seconds)
{
    struct connection *all = calloc((size_t)count, sizeof *all);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    uint64_t messages = 0;
    if (!all)
        die("memory");
    for (int i = 0; i < count; i++) {
        all[i].fd = connect_from(port, path, i);
        epoll_ctl(epoll, EPOLL_CTL_ADD, all[i].fd, &(struct epoll_event){ EPOLLIN, { .ptr = &all[i] } });
    }
    for (int i = 0; i < count; i++)
        send_on(epoll, &all[i]);
    for (double end = now() + seconds; now() < end;) {
        struct epoll_event events[256];
        int ready = epoll_wait(epoll, events, 256, 100);
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if ((events[i].events & EPOLLIN) && receive(c)) {
                messages++;
                send_on(epoll, c);
            } else if (events[i].events & EPOLLOUT) {
                send_on(epoll, c);
            }
        }
    }
    printf("%llu\n", (unsigned long long)messages);
    return 0;
}

static void answer_ping(int fd)
{
    static const char pong[] = { '\x8a', '\x80', 0, 0, 0, 0 };
    char got[256];
    ssize_t n = recv(fd, got, sizeof got, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        die("an idle socket has ended");
    if (n > 0 && got[0] == '\x89' && send(fd, pong, sizeof pong, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        die("pong");
}

/* Looks after all, for at most so long. False once standard input has ended. */
static bool look_after(int epoll, int milliseconds)
{
    struct epoll_event events[256];
    int ready = epoll_wait(epoll, events, 256, milliseconds);
    for (int i = 0; i < ready; i++)
        if (events[i].data.fd != STDIN_FILENO)
            answer_ping(events[i].data.fd);
        else if (getchar() == EOF)
            return false;
    return true;
}

static int run_idle(int port, const char *path, int count)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &(struct epoll_event){ EPOLLIN, { .fd = STDIN_FILENO } });
    for (int i = 0; i < count; i++) {
        int fd = connect_from(port, path, i);
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &(struct epoll_event){ EPOLLIN, { .fd = fd } }) < 0)
            die("epoll");
        if (i % 64 == 0 && !look_after(epoll, 0))
            return 1;
    }
    puts("ready");
    fflush(stdout);
    while (look_after(epoll, -1))
        continue;
    return 0;
}

int main(int argc, char **argv)
{
    int port = argc > 2 ? (int)strtol(argv[1], NULL, 10) : 0;
    if (argc == 7 && strcmp(argv[3], "echo") == 0) {
        make_frame(strtoul(argv[4], NULL, 10));
        return run_echo(port, argv[2], (int)strtol(argv[5], NULL, 10), strtod(argv[6], NULL));
    }
    if (argc == 5 && strcmp(argv[3], "idle") == 0)
        return run_idle(port, argv[2], (int)strtol(argv[4], NULL, 10));
    fprintf(stderr, "usage: ws_load PORT PATH echo SIZE CONNECTIONS SECONDS | idle COUNT\n");
    return 2;
}
