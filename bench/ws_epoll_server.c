/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * "raw": the least that a WebSocket echo server on one core can do, as the measure of others. One thread and one epoll; it
 * answers any request with 101 to a fixed key (the load generator's), takes each frame as a whole message, unmasks it in place,
 * eight bytes at a time, and writes it back behind a header of its own: one read and one write a frame, no check of anything.
 *
 *     ws_epoll_server [--port N]
 *
 * It prints its port on standard output (0, the default, takes a free one) and ends on SIGTERM. A frame that one read does not
 * bring whole is collected in a buffer of the connection's own; what the socket does not take is waited for.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
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
#define HEADER_ROOM 16 /* in front of what is read, for our header */

struct connection {
    bool is_upgraded;
    bool is_partial;
    char *frame; /* one that has not come whole, behind HEADER_ROOM bytes; kept for the next */
    size_t room, size, whole;
};

static struct connection connections[FDS_MAX];
static volatile sig_atomic_t stopping;

static void on_term(int signo)
{
    (void)signo;
    stopping = 1;
}

static void drop(int fd)
{
    free(connections[fd].frame);
    connections[fd] = (struct connection){ .is_upgraded = false };
    close(fd);
}

static bool send_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            struct pollfd p = { .fd = fd, .events = POLLOUT };
            poll(&p, 1, 1000);
            continue;
        }
        if (n <= 0)
            return false;
        data += n;
        size -= (size_t)n;
    }
    return true;
}

/* The size of the header and of the whole frame; 0 when its header is not whole. */
static size_t frame_size(const unsigned char *at, size_t size, size_t *ret_header)
{
    size_t length, header = 2;
    if (size < 14 && size < (size_t)((at[1] & 0x7f) == 127 ? 14 : (at[1] & 0x7f) == 126 ? 8 : 6))
        return 0;
    length = at[1] & 0x7f;
    int more = length == 126 ? 2 : length == 127 ? 8 : 0;
    if (more)
        length = 0;
    for (int i = 0; i < more; i++)
        length = length << 8 | at[2 + i];
    header += (size_t)more + 4;
    *ret_header = header;
    return header + length;
}

/* Sends a frame back; there are HEADER_ROOM bytes in front of it. */
static bool echo(int fd, unsigned char *at, size_t header, size_t whole)
{
    uint32_t key;
    memcpy(&key, at + header - 4, 4);
    uint64_t mask = key | (uint64_t)key << 32, word;
    unsigned char *payload = at + header, first = at[0];
    size_t size = whole - header, i = 0;
    for (; size - i >= 8; i += 8) {
        memcpy(&word, payload + i, 8);
        word ^= mask;
        memcpy(payload + i, &word, 8);
    }
    for (; i < size; i++)
        payload[i] ^= (unsigned char)(mask >> (8 * (i & 7)));
    unsigned char *out = payload - (header - 4); /* the same header without its key */
    memmove(out, at, header - 4);
    out[0] = first;
    out[1] &= 0x7f;
    return send_all(fd, (char *)out, whole - 4);
}

static bool upgrade(int fd)
{
    static const char answer[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                 "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    connections[fd].is_upgraded = true;
    return send_all(fd, answer, sizeof answer - 1);
}

/* What is left of a read is the beginning of a frame: keeps it. False when there is no memory. */
static bool keep(struct connection *c, const unsigned char *at, size_t size, size_t whole)
{
    c->whole = whole ? whole : 14;
    size_t room = HEADER_ROOM + (c->whole > size ? c->whole : size);
    if (room > c->room) {
        free(c->frame);
        c->frame = malloc(room);
        c->room = c->frame ? room : 0;
    }
    if (!c->frame)
        return false;
    c->is_partial = true;
    memcpy(c->frame + HEADER_ROOM, at, size);
    c->size = size;
    return true;
}

/* Reads on into the frame that is kept. */
static bool read_on(int fd)
{
    struct connection *c = &connections[fd];
    ssize_t n = recv(fd, c->frame + HEADER_ROOM + c->size, c->whole - c->size, 0);
    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    c->size += (size_t)n;
    if (c->size < c->whole)
        return true;
    size_t header, whole = frame_size((unsigned char *)c->frame + HEADER_ROOM, c->size, &header);
    if (whole > c->whole) { /* only its header was awaited so far */
        char *more = realloc(c->frame, HEADER_ROOM + whole);
        if (!more)
            return false;
        c->frame = more;
        c->room = HEADER_ROOM + whole;
        c->whole = whole;
        return true;
    }
    c->is_partial = false;
    return echo(fd, (unsigned char *)c->frame + HEADER_ROOM, header, c->whole);
}

static bool on_readable(int fd)
{
    static unsigned char buffer[HEADER_ROOM + READ_SIZE];
    struct connection *c = &connections[fd];
    if (c->is_partial)
        return read_on(fd);
    ssize_t n = recv(fd, buffer + HEADER_ROOM, READ_SIZE, 0);
    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    if (!c->is_upgraded)
        return upgrade(fd);
    unsigned char *at = buffer + HEADER_ROOM, *end = at + n;
    while (at < end) {
        size_t header, whole = frame_size(at, (size_t)(end - at), &header);
        if (whole == 0 || whole > (size_t)(end - at))
            return keep(c, at, (size_t)(end - at), whole);
        if (!echo(fd, at, header, whole))
            return false;
        at += whole;
    }
    return true;
}

int main(int argc, char **argv)
{
    int on = 1, port = argc == 3 && strcmp(argv[1], "--port") == 0 ? (int)strtol(argv[2], NULL, 10) : 0;
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    socklen_t size = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), epoll = epoll_create1(EPOLL_CLOEXEC);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, 4096) < 0) {
        perror("ws_epoll_server");
        return 1;
    }
    signal(SIGTERM, on_term);
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &(struct epoll_event){ .events = EPOLLIN, .data.fd = listener });
    while (!stopping) {
        struct epoll_event events[256];
        int count = epoll_wait(epoll, events, 256, 1000);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd != listener) {
                if (!on_readable(fd))
                    drop(fd);
                continue;
            }
            while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                if (fd >= FDS_MAX || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &(struct epoll_event){ EPOLLIN, { .fd = fd } }) < 0)
                    close(fd);
            }
        }
    }
    return 0;
}
