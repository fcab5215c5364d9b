/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Connecting to hosts by name, with a resolver of the test's own in place of the C library's: what it finds is tried in order,
 * what it says is told, and while it takes its time others run. */
#include <weft/stream.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weft/test.h>

/* What the resolver does, said before it is asked. */
static struct {
    const char *name; /* that it must be asked for */
    const char *const *numbers;
    size_t count;
    int error, error_number;
    bool waits; /* until `go` is raised */
    atomic_int asked;
} resolver;
static sem_t go;

/* Takes the place of the C library's, as the library is linked statically. */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **ret_list)
{
    struct addrinfo **at = ret_list;
    resolver.asked++;
    if (resolver.waits)
        while (sem_wait(&go) < 0) {
        }
    if (strcmp(name, resolver.name) != 0 || service || hints->ai_socktype != SOCK_STREAM)
        return EAI_BADFLAGS;
    if (resolver.error) {
        errno = resolver.error_number;
        return resolver.error;
    }
    *at = NULL;
    for (size_t i = 0; i < resolver.count; i++) {
        struct addrinfo *info = calloc(1, sizeof *info + sizeof(struct sockaddr_in6));
        struct sockaddr_in *in = (struct sockaddr_in *)(void *)(info + 1);
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)(info + 1);
        bool is_6 = strchr(resolver.numbers[i], ':');
        info->ai_family = is_6 ? AF_INET6 : strcmp(resolver.numbers[i], "odd") == 0 ? AF_APPLETALK : AF_INET;
        info->ai_addr = (struct sockaddr *)(void *)(info + 1);
        info->ai_addrlen = is_6 ? sizeof *in6 : sizeof *in;
        info->ai_addr->sa_family = (sa_family_t)info->ai_family;
        inet_pton(info->ai_family, resolver.numbers[i], is_6 ? (void *)&in6->sin6_addr : (void *)&in->sin_addr);
        *at = info;
        at = &info->ai_next;
    }
    return 0;
}

void freeaddrinfo(struct addrinfo *list)
{
    while (list) {
        struct addrinfo *next = list->ai_next;
        free(list);
        list = next;
    }
}

#define FINDS(...)                                                                                                             \
    do {                                                                                                                       \
        static const char *const numbers_[] = { __VA_ARGS__ };                                                                 \
        resolver.name = "a.example";                                                                                           \
        resolver.numbers = numbers_;                                                                                           \
        resolver.count = sizeof numbers_ / sizeof numbers_[0];                                                                 \
        resolver.error = 0;                                                                                                    \
        resolver.asked = 0;                                                                                                    \
    } while (0)

static void fails(int error, int error_number)
{
    resolver.name = "a.example";
    resolver.error = error;
    resolver.error_number = error_number;
}

/* At 127.0.0.1 and nowhere else. The port is written into `text`, behind a.example. */
static int listen_at_one(char text[32])
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    WEFT_CHECK(bind(fd, (struct sockaddr *)&address, size) == 0 && listen(fd, 100) == 0);
    WEFT_CHECK(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
    snprintf(text, 32, "a.example:%d", ntohs(address.sin_port));
    return fd;
}

static int connect_to(const char *text)
{
    weft_stream *s = NULL;
    int rc = weft_connect(&s, text);
    WEFT_CHECK((rc == 0) == (s != NULL));
    weft_stream_close(s);
    return rc;
}

static int one_after_the_other(void *arg)
{
    const char *text = arg;
    FINDS("127.0.0.1");
    WEFT_CHECK(connect_to(text) == 0 && resolver.asked == 1);
    FINDS("127.0.0.2", "127.0.0.3", "127.0.0.1");
    WEFT_CHECK(connect_to(text) == 0);
    FINDS("odd", "127.0.0.1"); /* of a family that we do not know */
    WEFT_CHECK(connect_to(text) == 0);
    FINDS("127.0.0.2", "127.0.0.3");
    WEFT_CHECK(connect_to(text) == -ECONNREFUSED);
    FINDS("127.0.0.2", "127.0.0.2", "127.0.0.2", "127.0.0.2", "127.0.0.2", "127.0.0.2", "127.0.0.2", "127.0.0.1");
    WEFT_CHECK(connect_to(text) == 0);
    FINDS("127.0.0.2", "127.0.0.2", "127.0.0.2", "127.0.0.2", "127.0.0.2", "127.0.0.2", "127.0.0.2", "127.0.0.2", "127.0.0.1");
    WEFT_CHECK(connect_to(text) == -ECONNREFUSED); /* a ninth is not tried */
    FINDS("255.255.255.255", "127.0.0.1");         /* refused inside the call */
    WEFT_CHECK(connect_to(text) == 0);
    return 0;
}

static int what_it_says(void *arg)
{
    const char *text = arg;
    fails(EAI_NONAME, 0);
    WEFT_CHECK(connect_to(text) == WEFT_ENAME);
    WEFT_CHECK(strstr(weft_error_trail(), "the host a.example: ") && strstr(weft_error_trail(), gai_strerror(EAI_NONAME)));
    fails(EAI_AGAIN, 0);
    WEFT_CHECK(connect_to(text) == WEFT_ENAME && strstr(weft_error_trail(), gai_strerror(EAI_AGAIN)));
    fails(EAI_MEMORY, 0);
    WEFT_CHECK(connect_to(text) == -ENOMEM);
    fails(EAI_SYSTEM, EMFILE);
    WEFT_CHECK(connect_to(text) == -EMFILE);
    fails(EAI_SYSTEM, 0);
    WEFT_CHECK(connect_to(text) == -EIO);
    FINDS("odd");
    WEFT_CHECK(connect_to(text) == WEFT_ENAME && strstr(weft_error_trail(), "no address that can be used"));
    return 0;
}

static int connect_in_task(void *arg)
{
    return connect_to(arg);
}

/* The loop goes on meanwhile; who does not wait any more leaves the thread to end by itself. */
static int while_it_takes_its_time(void *arg)
{
    FINDS("127.0.0.1");
    resolver.waits = true;
    WEFT_TIMEOUT (limit, 20 * WEFT_MILLISECOND) {
        WEFT_CHECK(connect_to(arg) == WEFT_EDEADLINE);
    }
    WEFT_CHECK(limit.expired);
    WEFT_CHECK(sem_post(&go) == 0);
    weft_task *task;
    WEFT_TRY(weft_spawn(&task, connect_in_task, arg));
    WEFT_CHECK(weft_sleep(5 * WEFT_MILLISECOND) == 0);
    WEFT_CHECK(sem_post(&go) == 0);
    int rc = weft_await(task);
    resolver.waits = false;
    return rc;
}

static int in_real_time(weft_task_fn *fn)
{
    char text[32];
    int fd = listen_at_one(text);
    int rc = weft_test_run(fn, text, NULL, .real_time = true);
    close(fd);
    return rc;
}

static int test_order(void)
{
    return in_real_time(one_after_the_other);
}

static int test_errors(void)
{
    return in_real_time(what_it_says);
}

static int test_waiting(void)
{
    WEFT_CHECK(sem_init(&go, 0, 0) == 0);
    int rc = in_real_time(while_it_takes_its_time);
    sem_destroy(&go);
    return rc;
}

static const weft_test tests[] = {
    { .name = "addresses are tried in order", .plain = test_order },
    { .name = "what the resolver says is told", .plain = test_errors },
    { .name = "a look-up that takes its time", .plain = test_waiting },
};

int main(int argc, char **argv)
{
    return weft_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
