/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
#include "lib/net/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <weft/test.h>

#include "tests/unit/real_time.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* What has been accepted. */
struct door {
    weft_listener *listener;
    int fds[512];
    int count;
    int close_after; /* the listener is closed in the n-th call; 0 for never */
    bool is_tcp;
};

static void accepted(void *context, int fd, bool is_tcp)
{
    int on = 0;
    socklen_t size = sizeof on;
    WEFT_CHECK(!is_tcp || (getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &size) == 0 && on)); /* transports rely on it */
    struct door *door = context;
    WEFT_CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) && (fcntl(fd, F_GETFL) & O_NONBLOCK));
    WEFT_CHECK(door->count < (int)COUNT(door->fds));
    door->fds[door->count++] = fd;
    door->is_tcp = is_tcp;
    if (door->count == door->close_after)
        weft_listener_close(door->listener);
}

static int open_door(struct door *door, const char *address)
{
    *door = (struct door){ 0 };
    return weft_listener_open(&door->listener, weft_loop_here(), address, accepted, door);
}

static void close_fds(struct door *door)
{
    while (door->count > 0)
        close(door->fds[--door->count]);
}

static void close_door(struct door *door)
{
    close_fds(door);
    weft_listener_close(door->listener);
}

/* A socket that has begun to connect. */
static int knock_in(int family, int port)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((in_port_t)port) };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = in.sin_port, .sin6_addr = in6addr_loopback };
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int rc = family == AF_INET ? connect(fd, (struct sockaddr *)&in, sizeof in)
                               : connect(fd, (struct sockaddr *)&in6, sizeof in6);
    WEFT_CHECK(rc == 0 || errno == EINPROGRESS);
    return fd;
}

static int knock(int port)
{
    return knock_in(AF_INET, port);
}

/* How the connecting has ended: 0 or an errno; EINPROGRESS when it has not. */
static int outcome(int fd)
{
    struct pollfd ready = { .fd = fd, .events = POLLOUT };
    int error = 0;
    socklen_t size = sizeof error;
    if (poll(&ready, 1, 0) == 0)
        return EINPROGRESS;
    WEFT_CHECK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0);
    return error;
}

static bool is_refused(int family, int port)
{
    int fd = knock_in(family, port), error;
    while ((error = outcome(fd)) == EINPROGRESS)
        usleep(1000);
    close(fd);
    return error == ECONNREFUSED;
}

static int knock_unix(const char *path)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    snprintf(un.sun_path, sizeof un.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&un, sizeof un) == 0)
        return fd;
    int error = -errno;
    close(fd);
    return error;
}

/* ---- tcp ---- */

static int accepts(void *arg)
{
    (void)arg;
    struct door door;
    char url[WEFT_LISTENER_URL_MAX], expected[64];
    static const char *const wrong[] = { "", "80", "example.org:80", "127.0.0.1:65536", "unix:" };
    for (size_t i = 0; i < COUNT(wrong); i++)
        WEFT_CHECK(open_door(&door, wrong[i]) == -EINVAL);
    WEFT_CHECK(open_door(&door, "203.0.113.1:0") == -EADDRNOTAVAIL);
    weft_listener_close(NULL);

    WEFT_TRY(open_door(&door, "127.0.0.1:0"));
    int port = weft_listener_port(door.listener);
    WEFT_CHECK(port > 0);
    snprintf(expected, sizeof expected, "http://127.0.0.1:%d", port);
    WEFT_CHECK(strcmp(weft_listener_url(door.listener, url, sizeof url), expected) == 0);
    int fds[200];
    for (size_t i = 0; i < COUNT(fds); i++) /* more than are accepted in a turn */
        fds[i] = knock(port);
    WAIT_UNTIL(door.count == COUNT(fds));
    WEFT_CHECK(door.is_tcp);
    for (size_t i = 0; i < COUNT(fds); i++)
        close(fds[i]);
    close_door(&door);
    WEFT_CHECK(is_refused(AF_INET, port));

    /* again at once, although connections of it are in TIME_WAIT */
    char address[64];
    snprintf(address, sizeof address, "127.0.0.1:%d", port);
    WEFT_CHECK(open_door(&door, address) == 0);
    close_door(&door);
    return 0;
}

static int test_accepts(void)
{
    return in_real_time(accepts);
}

/* ":0" is both families, "[::1]:0" is one. */
static int families(void *arg)
{
    (void)arg;
    struct door door;
    char url[WEFT_LISTENER_URL_MAX], expected[64];
    WEFT_TRY(open_door(&door, ":0"));
    int port = weft_listener_port(door.listener);
    snprintf(expected, sizeof expected, "http://localhost:%d", port);
    WEFT_CHECK(port > 0 && strcmp(weft_listener_url(door.listener, url, sizeof url), expected) == 0);
    int fd = knock(port);
    WAIT_UNTIL(door.count == 1);
    close(fd);
    int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in6 loopback = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
    bool has_ipv6 = probe >= 0 && bind(probe, (struct sockaddr *)&loopback, sizeof loopback) == 0;
    close(probe);
    if (has_ipv6) {
        fd = knock_in(AF_INET6, port);
        WAIT_UNTIL(door.count == 2);
        close(fd);
    }
    close_door(&door);
    if (!has_ipv6)
        return 0;
    WEFT_CHECK(open_door(&door, "[::]:0") == 0);
    WEFT_CHECK(is_refused(AF_INET, weft_listener_port(door.listener)));
    snprintf(expected, sizeof expected, "http://[::]:%d", weft_listener_port(door.listener));
    WEFT_CHECK(strcmp(weft_listener_url(door.listener, url, sizeof url), expected) == 0);
    close_door(&door);
    return 0;
}

static int test_families(void)
{
    return in_real_time(families);
}

static int in_use(void *arg)
{
    (void)arg;
    struct door door, other;
    char address[64];
    /* somebody shares the port in the way that hides it */
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof in;
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    WEFT_CHECK(bind(fd, (struct sockaddr *)&in, size) == 0 && listen(fd, 1) == 0);
    WEFT_CHECK(getsockname(fd, (struct sockaddr *)&in, &size) == 0);
    snprintf(address, sizeof address, "127.0.0.1:%d", ntohs(in.sin_port));
    WEFT_CHECK(open_door(&door, address) == -EADDRINUSE);
    snprintf(address, sizeof address, ":%d", ntohs(in.sin_port));
    WEFT_CHECK(open_door(&door, address) == -EADDRINUSE);
    close(fd);

    WEFT_TRY(open_door(&door, "127.0.0.1:0"));
    snprintf(address, sizeof address, "127.0.0.1:%d", weft_listener_port(door.listener));
    WEFT_CHECK(open_door(&other, address) == -EADDRINUSE);
    close_door(&door);
    return 0;
}

static int test_in_use(void)
{
    return in_real_time(in_use);
}

static int pauses(void *arg)
{
    (void)arg;
    struct door door;
    WEFT_TRY(open_door(&door, "127.0.0.1:0"));
    weft_listener_pause(door.listener);
    weft_listener_pause(door.listener);
    int fds[5];
    for (size_t i = 0; i < COUNT(fds); i++)
        fds[i] = knock(weft_listener_port(door.listener));
    WEFT_CHECK(weft_sleep(10 * WEFT_MILLISECOND) == 0 && door.count == 0);
    WEFT_CHECK(weft_listener_accept_rest(door.listener, 2) == 2 && door.count == 2);
    weft_listener_resume(door.listener);
    weft_listener_resume(door.listener);
    WAIT_UNTIL(door.count == 5);
    WEFT_CHECK(weft_listener_accept_rest(door.listener, 100) == 0);
    for (size_t i = 0; i < COUNT(fds); i++)
        close(fds[i]);
    close_door(&door);
    return 0;
}

static int test_pauses(void)
{
    return in_real_time(pauses);
}

static int closes_in_callback(void *arg)
{
    (void)arg;
    struct door door;
    WEFT_TRY(open_door(&door, "127.0.0.1:0"));
    door.close_after = 2;
    int fds[4];
    for (size_t i = 0; i < COUNT(fds); i++)
        fds[i] = knock(weft_listener_port(door.listener));
    WAIT_UNTIL(door.count == 2);
    WEFT_CHECK(weft_sleep(5 * WEFT_MILLISECOND) == 0 && door.count == 2);
    for (size_t i = 0; i < COUNT(fds); i++)
        close(fds[i]);
    close_fds(&door);
    return 0;
}

static int test_closes_in_callback(void)
{
    return in_real_time(closes_in_callback);
}

/* A connection that was aborted before it was accepted does no harm. */
static int aborted(void *arg)
{
    (void)arg;
    struct door door;
    WEFT_TRY(open_door(&door, "127.0.0.1:0"));
    weft_listener_pause(door.listener);
    struct linger resets = { 1, 0 };
    for (int i = 0; i < 3; i++) {
        int fd = knock(weft_listener_port(door.listener));
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &resets, sizeof resets);
        close(fd);
    }
    int fd = knock(weft_listener_port(door.listener));
    weft_listener_resume(door.listener);
    WAIT_UNTIL(door.count >= 1);
    char byte;
    WEFT_CHECK(send(fd, "x", 1, 0) == 1);
    WAIT_UNTIL(recv(door.fds[door.count - 1], &byte, 1, 0) == 1);
    close(fd);
    close_door(&door);
    return 0;
}

static int test_aborted(void)
{
    return in_real_time(aborted);
}

/* What was begun before is completed; what comes after is refused once the socket is closed, and never left to hang. */
static int bars(void *arg)
{
    (void)arg;
    struct door door;
    WEFT_TRY(open_door(&door, ":0"));
    int port = weft_listener_port(door.listener);
    weft_listener_pause(door.listener);
    int before = knock(port);
    WEFT_CHECK(weft_listener_bar(door.listener) == 0);
    int after = knock(port);
    WEFT_CHECK(weft_sleep(20 * WEFT_MILLISECOND) == 0);
    WEFT_CHECK(outcome(after) == EINPROGRESS);
    WEFT_CHECK(weft_listener_accept_rest(door.listener, 100) == 1);
    weft_listener_close(door.listener);
    /* the one that came in is served as ever */
    char byte;
    WEFT_CHECK(send(before, "x", 1, 0) == 1);
    WAIT_UNTIL(recv(door.fds[0], &byte, 1, 0) == 1);
    /* the other one knocks again after a second */
    int error = EINPROGRESS;
    WAIT_UNTIL((error = outcome(after)) != EINPROGRESS);
    WEFT_CHECK(error == ECONNREFUSED);
    close(before);
    close(after);
    close_fds(&door);
    return 0;
}

static int test_bars(void)
{
    return in_real_time(bars);
}

/* ---- descriptors run out ---- */

struct sink {
    int warnings;
};

static void count_warning(void *context, enum weft_log_level level, const char *line, size_t size)
{
    (void)line;
    (void)size;
    ((struct sink *)context)->warnings += level == WEFT_LOG_WARNING;
}

static int64_t used_milliseconds(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (int64_t)used.tv_sec * 1000 + used.tv_nsec / 1000000;
}

static int runs_out(void *arg)
{
    (void)arg;
    struct sink sink = { 0 };
    weft_log_set_sink(count_warning, &sink);
    struct door door;
    WEFT_TRY(open_door(&door, "127.0.0.1:0"));
    weft_listener_pause(door.listener);
    int fds[10];
    for (size_t i = 0; i < COUNT(fds); i++)
        fds[i] = knock(weft_listener_port(door.listener));
    struct rlimit limit;
    WEFT_CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = (rlim_t)fds[COUNT(fds) - 1] + 4;
    WEFT_CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0); /* three are left */
    weft_listener_resume(door.listener);
    int64_t used = used_milliseconds();
    WEFT_CHECK(weft_sleep(350 * WEFT_MILLISECOND) == 0);
    WEFT_CHECK(door.count == 3 && sink.warnings == 1);
    WEFT_CHECK(used_milliseconds() - used < 100); /* it does not spin */
    close(door.fds[0]);
    close(door.fds[1]);
    WAIT_UNTIL(door.count == 5);
    WEFT_CHECK(weft_sleep(150 * WEFT_MILLISECOND) == 0);
    WEFT_CHECK(sink.warnings == 2);     /* once for each time that it runs out */
    weft_listener_pause(door.listener); /* while it waits */
    weft_listener_resume(door.listener);
    weft_listener_close(door.listener);
    WEFT_CHECK(weft_sleep(150 * WEFT_MILLISECOND) == 0);
    return 0;
}

static int test_runs_out(void)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        int rc = in_real_time(runs_out);
        fflush(stdout);
        _exit(rc < 0 || weft_test_failures() > 0);
    }
    int status = -1;
    WEFT_CHECK(waitpid(child, &status, 0) == child);
    WEFT_CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return 0;
}

/* ---- unix sockets ---- */

static char directory[] = "/tmp/weft-test-XXXXXX";

static bool exists(const char *path)
{
    struct stat file;
    return lstat(path, &file) == 0;
}

static int unix_sockets(void *arg)
{
    (void)arg;
    char path[64], address[80], url[WEFT_LISTENER_URL_MAX];
    snprintf(path, sizeof path, "%s/socket", directory);
    snprintf(address, sizeof address, "unix:%s", path);
    struct door door, other;
    WEFT_TRY(open_door(&door, address));
    WEFT_CHECK(weft_listener_port(door.listener) == 0);
    WEFT_CHECK(strcmp(weft_listener_url(door.listener, url, sizeof url), address) == 0);
    int fd = knock_unix(path);
    WAIT_UNTIL(door.count == 1);
    WEFT_CHECK(!door.is_tcp);
    close(fd);
    WEFT_CHECK(open_door(&other, address) == -EADDRINUSE); /* it is in use, and stays so */
    fd = knock_unix(path);
    WAIT_UNTIL(door.count >= 2);
    close(fd);

    WEFT_CHECK(weft_listener_bar(door.listener) == 0 && knock_unix(path) == -ENOENT);
    close_door(&door);
    WEFT_CHECK(!exists(path));

    WEFT_TRY(open_door(&door, address));
    close_door(&door);
    WEFT_CHECK(!exists(path)); /* a close removes it too */
    return 0;
}

static int unix_files(void *arg)
{
    (void)arg;
    char path[64], address[80];
    snprintf(path, sizeof path, "%s/socket", directory);
    snprintf(address, sizeof address, "unix:%s", path);
    struct door door;

    /* stale: somebody listened there and has died */
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    snprintf(un.sun_path, sizeof un.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    WEFT_CHECK(bind(fd, (struct sockaddr *)&un, sizeof un) == 0 && listen(fd, 1) == 0);
    close(fd);
    WEFT_CHECK(exists(path) && knock_unix(path) == -ECONNREFUSED);
    WEFT_TRY(open_door(&door, address));
    fd = knock_unix(path);
    WAIT_UNTIL(door.count == 1);
    close(fd);

    /* another one has taken the name meanwhile: not ours to remove */
    WEFT_CHECK(unlink(path) == 0);
    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    WEFT_CHECK(fd >= 0 && write(fd, "precious", 8) == 8 && close(fd) == 0);
    close_door(&door);
    WEFT_CHECK(exists(path));

    /* and no socket at all: left alone */
    WEFT_CHECK(open_door(&door, address) == -EADDRINUSE);
    struct stat file;
    WEFT_CHECK(stat(path, &file) == 0 && file.st_size == 8);
    WEFT_CHECK(unlink(path) == 0);
    snprintf(address, sizeof address, "unix:%s/nowhere/socket", directory);
    WEFT_CHECK(open_door(&door, address) == -ENOENT);
    return 0;
}

static int test_unix(void)
{
    WEFT_CHECK(mkdtemp(directory) != NULL);
    int rc = in_real_time(unix_sockets);
    if (rc == 0)
        rc = in_real_time(unix_files);
    WEFT_CHECK(rmdir(directory) == 0);
    return rc;
}

/* ---- memory runs out ---- */

static int open_and_close(void *arg)
{
    (void)arg;
    struct door door;
    WEFT_TRY(open_door(&door, "127.0.0.1:0"));
    close_door(&door);
    return 0;
}

static int test_memory_runs_out(void)
{
    weft_test_report report = { .struck = true };
    for (uint64_t n = 1; report.struck && n < 100; n++)
        WEFT_CHECK(weft_test_run(open_and_close, NULL, &report, .fail_at = n) == (report.struck ? -ENOMEM : 0));
    WEFT_CHECK(!report.struck);
    return 0;
}

static const weft_test tests[] = {
    { .name = "accepts, more than in one turn", .plain = test_accepts },
    { .name = "all addresses are both families", .plain = test_families },
    { .name = "an address in use is told, also where it is shared", .plain = test_in_use },
    { .name = "pauses, resumes, accepts the rest", .plain = test_pauses },
    { .name = "closed by the one it calls", .plain = test_closes_in_callback },
    { .name = "aborted connections do no harm", .plain = test_aborted },
    { .name = "bars the door before it is closed", .plain = test_bars },
    { .name = "descriptors run out", .plain = test_runs_out },
    { .name = "unix sockets and their files", .plain = test_unix },
    { .name = "the n-th allocation fails", .plain = test_memory_runs_out },
};

int main(int argc, char **argv)
{
    return weft_test_main(tests, COUNT(tests), argc, argv);
}
