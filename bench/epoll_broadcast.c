/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The least that a broadcast server can do, as the measure of ours: one thread and one epoll; it answers each handshake with
 * the same bytes, copies the payload of each small masked frame behind a header, and writes all frames of one read to each
 * connection by one write. It has no queues: what a socket does not take is lost, and counted at the end.
 *
 *     epoll_broadcast        prints its port on standard output, and ends on SIGTERM
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_SIZE = 65536, FDS_MAX = 65536, HEADER_MOST = 4, MASK_SIZE = 4 };

static bool is_open[FDS_MAX]; /* shaken hands with */
static int members[FDS_MAX], member_count;
static unsigned long lost;

static const char answer[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n";

static void leave(int fd)
{
    for (int i = 0; i < member_count; i++)
        if (members[i] == fd)
            members[i] = members[--member_count];
    is_open[fd] = false;
    close(fd);
}

/* Frames as clients send them (masked, less than 64 KiB, whole in one read) to frames as they are sent; returns their size. */
static size_t reframe(unsigned char *in, size_t size, unsigned char *out)
{
    unsigned char *end = in + size, *at = out;
    while (end - in >= 6) {
        size_t length = in[1] & 0x7f, header = 2;
        if (length == 126) {
            length = (size_t)in[2] << 8 | in[3];
            header = 4;
        }
        if ((size_t)(end - in) < header + MASK_SIZE + length)
            break;
        memcpy(at, in, header);
        at[1] &= 0x7f;
        for (size_t i = 0; i < length; i++)
            at[header + i] = in[header + MASK_SIZE + i] ^ in[header + (i & 3)];
        at += header + length;
        in += header + MASK_SIZE + length;
    }
    return (size_t)(at - out);
}

static void serve(int fd)
{
    static unsigned char in[READ_SIZE], out[READ_SIZE];
    ssize_t size = read(fd, in, sizeof in);
    if (size <= 0) {
        leave(fd);
        return;
    }
    if (!is_open[fd]) {
        is_open[fd] = true;
        members[member_count++] = fd;
        if (write(fd, answer, sizeof answer - 1) < 0)
            leave(fd);
        return;
    }
    size_t out_size = reframe(in, (size_t)size, out);
    for (int i = 0; out_size > 0 && i < member_count; i++)
        lost += write(members[i], out, out_size) != (ssize_t)out_size;
}

static void stop(int number)
{
    (void)number;
    if (lost > 0)
        fprintf(stderr, "epoll_broadcast: %lu writes were not taken whole\n", lost);
    _exit(lost > 0);
}

int main(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), epoll = epoll_create1(EPOLL_CLOEXEC), on = 1;
    struct epoll_event events[256] = { { .events = EPOLLIN, .data.fd = listening } };
    signal(SIGTERM, stop);
    signal(SIGPIPE, SIG_IGN);
    if (bind(listening, (struct sockaddr *)&address, size) < 0 || listen(listening, 4096) < 0 ||
        getsockname(listening, (struct sockaddr *)&address, &size) < 0 ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, listening, events) < 0) {
        perror("epoll_broadcast");
        return 1;
    }
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        int count = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd != listening) {
                serve(fd);
                continue;
            }
            fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd < 0 || fd >= FDS_MAX)
                continue;
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
            epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
        }
    }
}
