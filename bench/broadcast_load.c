/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The load of a broadcast: many members of one room, one of which speaks; the time until the last has heard it, and what the
 * server's processor time is for each delivery.
 *
 *     broadcast_load PORT PID MEMBERS SIZE BURST ROUNDS [HTTP-PATH | --tls | --behind]
 *
 * A round is a burst of BURST messages of SIZE bytes in one write, and ends when every member has received all of it; the next
 * one follows at once. With an HTTP-PATH a second thread asks for that all the while, a request at a time. With --tls the
 * members come by TLS, and check no certificate. With --behind they read when the server has sent to all of them, and the time
 * is until then: so the load takes no processor from it meanwhile. Prints
 *
 *     CPU-us-per-delivery  p50-ms p99-ms (to the last member)  http-p50-ms http-p99-ms http-count
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "bench/measure.h"

enum { FDS_MAX = 65536, HTTP_MOST = 100000, WARM_UP = 3, SECONDS_MOST = 8, PING_SIZE = 2 };

static size_t received[FDS_MAX];
static int port;
static atomic_bool is_over;
static double http_times[HTTP_MOST];
static size_t http_count;
static const char *http_path;
static SSL_CTX *tls; /* NULL without --tls */
static bool reads_behind;
static int seats[FDS_MAX]; /* the members' descriptors in the order in which they have joined */
static SSL *sessions[FDS_MAX];

/* Nanoseconds; what is waited for counts, unlike in measure_now. */
static double wall_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int number(const char *text)
{
    return (int)strtol(text, NULL, 10);
}

static int dial(int n)
{
    struct sockaddr_in from = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + (unsigned)n / 20000) };
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (fd < 0 || fd >= FDS_MAX || bind(fd, (struct sockaddr *)&from, sizeof from) < 0 ||
        connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        fail("connect");
    return fd;
}

static void shake_hands(int fd)
{
    SSL *session = SSL_new(tls);
    if (!session || SSL_set_fd(session, fd) != 1 || SSL_connect(session) != 1)
        fail("TLS handshake");
    sessions[fd] = session;
}

static ssize_t read_some(int fd, char *data, size_t size)
{
    return sessions[fd] ? SSL_read(sessions[fd], data, (int)size) : read(fd, data, size);
}

static void write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = sessions[fd] ? SSL_write(sessions[fd], data, (int)size) : write(fd, data, size);
        if (n < 0)
            fail("write");
        data += n;
        size -= (size_t)n;
    }
}

static const char handshake[] =
    "GET /ws/chat/bench HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/* The rest of the handshake: nothing follows it, for nobody speaks yet. */
static void join(int fd)
{
    char reply[1024];
    size_t size = 0;
    while (size < 4 || memcmp(reply + size - 4, "\r\n\r\n", 4) != 0) {
        ssize_t got = read_some(fd, reply + size, sizeof reply - size);
        if (got <= 0)
            fail("handshake");
        size += (size_t)got;
    }
    if (memcmp(reply, "HTTP/1.1 101", 12) != 0)
        fail("no 101");
    fcntl(fd, F_SETFL, O_NONBLOCK);
}

/* Returns the first of them. */
static int join_all(int epoll, int members)
{
    enum { AT_ONCE = 200 };
    int fds[AT_ONCE], speaker = -1;
    for (int done = 0; done < members;) {
        int count = 0;
        for (; count < AT_ONCE && done + count < members; count++) {
            fds[count] = dial(done + count);
            if (tls)
                shake_hands(fds[count]);
            write_all(fds[count], handshake, sizeof handshake - 1);
        }
        for (int i = 0; i < count; i++) {
            struct epoll_event event = { .events = EPOLLIN, .data.fd = fds[i] };
            join(fds[i]);
            seats[done + i] = fds[i];
            epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event);
        }
        speaker = done == 0 ? fds[0] : speaker;
        done += count;
    }
    usleep(200 * 1000); /* the answer to a handshake may come a moment before the seat, on another worker */
    return speaker;
}

static void *ask(void *arg)
{
    char request[256], reply[4096];
    int size = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", http_path), fd = dial(0);
    (void)arg;
    while (!atomic_load(&is_over) && http_count < HTTP_MOST) {
        double began = wall_now();
        write_all(fd, request, (size_t)size);
        if (read(fd, reply, sizeof reply) <= 0)
            fail("http");
        http_times[http_count++] = wall_now() - began;
        usleep(1000);
    }
    close(fd);
    return NULL;
}

/* Nanoseconds that the threads of the process have run. */
static double cpu_of(const char *pid)
{
    char path[400];
    double all = 0, time;
    snprintf(path, sizeof path, "/proc/%s/task", pid);
    DIR *tasks = opendir(path);
    if (!tasks)
        fail(path);
    for (struct dirent *task; (task = readdir(tasks));) {
        if (task->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/%s/task/%s/schedstat", pid, task->d_name);
        FILE *file = fopen(path, "r");
        if (file && fscanf(file, "%lf", &time) == 1)
            all += time;
        if (file)
            fclose(file);
    }
    closedir(tasks);
    return all;
}

/* Until there is something to read for all members, of which it looks at every sixteenth. Who joined last is sent to last: this
 * sleeps most of the time. */
static void await_all(int members)
{
    for (int i = members - 1; i >= 0; i -= 16) {
        struct pollfd one = { .fd = seats[i], .events = POLLIN };
        if (poll(&one, 1, 20000) != 1)
            fail("nothing comes");
    }
}

/* All that came, until each member has `expected` bytes. */
static void receive(int epoll, int members, size_t expected)
{
    static char buf[256 * 1024];
    struct epoll_event events[256];
    while (members > 0) {
        int count = epoll_wait(epoll, events, 256, 20000);
        if (count <= 0)
            fail("nothing comes");
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            ssize_t n = read_some(fd, buf, sizeof buf);
            if (n <= 0 && sessions[fd] && SSL_get_error(sessions[fd], (int)n) == SSL_ERROR_WANT_READ)
                continue; /* a part of a record */
            if (n <= 0)
                fail("a member was closed");
            received[fd] += (size_t)n;
            while (sessions[fd] && SSL_pending(sessions[fd]) > 0 && (n = read_some(fd, buf, sizeof buf)) > 0)
                received[fd] += (size_t)n;
            if (received[fd] == PING_SIZE || received[fd] == expected + PING_SIZE) {
                write_all(fd, "\x8a\x80\0\0\0\0", 6); /* a ping by itself, or beside messages */
                received[fd] -= PING_SIZE;
            }
            if (received[fd] == expected) {
                received[fd] = 0;
                members--;
            }
        }
    }
}

static double percentile(double *times, size_t count, double part)
{
    qsort(times, count, sizeof *times, measure_compare);
    return count ? times[(size_t)((double)(count - 1) * part)] / 1e6 : 0;
}

int main(int argc, char **argv)
{
    if (argc < 7)
        return 2;
    port = number(argv[1]);
    const char *extra = argc > 7 ? argv[7] : NULL;
    if (extra && strcmp(extra, "--tls") == 0) {
        tls = SSL_CTX_new(TLS_client_method());
        extra = NULL;
    }
    if (extra && strcmp(extra, "--behind") == 0) {
        reads_behind = true;
        extra = NULL;
    }
    int members = number(argv[3]), done = 0, burst = number(argv[5]), rounds = number(argv[6]);
    size_t size = (size_t)number(argv[4]), header = size < 126 ? 2 : 4, frame = header + 4 + size;
    char *data = calloc((size_t)burst, frame);
    double *times = calloc((size_t)rounds, sizeof *times);
    for (int i = 0; i < burst; i++) { /* masked with a key that changes nothing */
        unsigned char *at = (unsigned char *)data + (size_t)i * frame;
        at[0] = 0x81;
        at[1] = (unsigned char)(0x80 | (size < 126 ? size : 126));
        if (size >= 126) {
            at[2] = (unsigned char)(size >> 8);
            at[3] = (unsigned char)size;
        }
        memset(at + header + 4, 'x', size);
    }
    int epoll = epoll_create1(EPOLL_CLOEXEC), speaker = join_all(epoll, members);
    pthread_t asker;
    double cpu = 0, end = wall_now() + SECONDS_MOST * 1e9;
    for (int round = -WARM_UP; round < rounds && (round < 3 || wall_now() < end); round++) {
        if (round == 0) {
            cpu = cpu_of(argv[2]);
            http_path = extra;
            if (http_path)
                pthread_create(&asker, NULL, ask, NULL);
        }
        double began = wall_now();
        write_all(speaker, data, (size_t)burst * frame);
        double sent = 0;
        if (reads_behind) {
            await_all(members);
            sent = wall_now();
        }
        receive(epoll, members, (size_t)burst * (header + size));
        if (round >= 0)
            times[done++] = (reads_behind ? sent : wall_now()) - began;
    }
    rounds = done;
    cpu = cpu_of(argv[2]) - cpu;
    atomic_store(&is_over, true);
    if (http_path)
        pthread_join(asker, NULL);
    printf("%.3f %.2f %.2f %.2f %.2f %zu\n", cpu / 1e3 / ((double)members * burst * rounds),
           percentile(times, (size_t)rounds, 0.5), percentile(times, (size_t)rounds, 0.99),
           percentile(http_times, http_count, 0.5), percentile(http_times, http_count, 0.99), http_count);
    return 0;
}
