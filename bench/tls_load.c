/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Clients of the TLS table: tls_load PORT SECONDS CONNECTIONS full|resumed
 *
 * Keeps so many connections at work, each of which shakes hands, asks for /plaintext with "Connection: close" and reads to the
 * end. `full` has no session to go on with; `resumed` goes on with the last session that its slot was given, as a browser does,
 * and each ticket is used once. Prints "N connections, M resumed, K failed".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 1024 };

struct slot {
    SSL *ssl;
    int fd;
    bool has_asked;
    size_t got;
    SSL_SESSION *session; /* to go on with */
};

static struct {
    SSL_CTX *ctx;
    struct sockaddr_in address;
    int epoll;
    bool resumes, is_over;
    struct slot slots[CONNECTIONS_MAX];
    size_t open;
    unsigned long done, resumed, failed;
} load;

static void die(const char *words)
{
    perror(words);
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    struct slot *s = SSL_get_app_data(ssl);
    SSL_SESSION_free(s->session);
    s->session = session;
    return 1;
}

static void start(struct slot *s)
{
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0)
        die("socket");
    if (connect(s->fd, (struct sockaddr *)&load.address, sizeof load.address) < 0 && errno != EINPROGRESS)
        die("connect");
    s->ssl = SSL_new(load.ctx);
    if (!s->ssl)
        die("SSL_new");
    SSL_set_app_data(s->ssl, s);
    SSL_set_fd(s->ssl, s->fd);
    if (load.resumes && s->session) {
        SSL_set_session(s->ssl, s->session);
        SSL_SESSION_free(s->session);
        s->session = NULL;
    }
    SSL_set_connect_state(s->ssl);
    s->has_asked = false;
    s->got = 0;
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = s };
    if (epoll_ctl(load.epoll, EPOLL_CTL_ADD, s->fd, &event) < 0)
        die("epoll_ctl");
    load.open++;
}

static void end(struct slot *s, bool is_good)
{
    load.done += is_good;
    load.failed += !is_good;
    load.resumed += is_good && SSL_session_reused(s->ssl) == 1;
    if (is_good)
        SSL_shutdown(s->ssl);
    SSL_free(s->ssl);
    close(s->fd);
    ERR_clear_error();
    load.open--;
    if (!load.is_over)
        start(s);
}

/* Goes on as far as the socket lets it. */
static void work(struct slot *s)
{
    static const char ask[] = "GET /plaintext HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    char buf[16384];
    int rc;
    if (!s->has_asked) {
        rc = SSL_do_handshake(s->ssl);
        if (rc == 1)
            rc = SSL_write(s->ssl, ask, sizeof ask - 1);
        s->has_asked = rc > 0;
    }
    if (s->has_asked)
        while ((rc = SSL_read(s->ssl, buf, sizeof buf)) > 0)
            s->got += (size_t)rc;
    int error = SSL_get_error(s->ssl, rc);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
        end(s, s->got > 0); /* also an end that was not announced, if there was a reply */
}

static void run(double seconds)
{
    double ends = now() + seconds;
    while (load.open > 0) {
        struct epoll_event events[256];
        int count = epoll_wait(load.epoll, events, 256, 1000);
        load.is_over = load.is_over || now() >= ends;
        for (int i = 0; i < count; i++)
            work(events[i].data.ptr);
        if (count == 0 && load.is_over)
            return; /* those are stuck */
    }
}

static SSL_CTX *new_ctx(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx || SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 || SSL_CTX_set1_groups_list(ctx, "X25519:P-256") != 1)
        die("SSL_CTX");
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, keep_session);
    SSL_CTX_set_mode(ctx, SSL_MODE_AUTO_RETRY);
    return ctx;
}

int main(int argc, char **argv)
{
    size_t count = argc == 5 ? strtoul(argv[3], NULL, 10) : 0;
    if (argc != 5 || count == 0 || count > CONNECTIONS_MAX) {
        fprintf(stderr, "usage: tls_load PORT SECONDS CONNECTIONS full|resumed\n");
        return 2;
    }
    load.address = (struct sockaddr_in){ .sin_family = AF_INET,
                                         .sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10)),
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    load.resumes = strcmp(argv[4], "resumed") == 0;
    load.ctx = new_ctx();
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    for (size_t i = 0; i < count; i++)
        start(&load.slots[i]);
    run(strtod(argv[2], NULL));
    printf("%lu connections, %lu resumed, %lu failed\n", load.done, load.resumed, load.failed);
    return 0;
}
