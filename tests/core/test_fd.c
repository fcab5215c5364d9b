/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Waiting for descriptors: directions, several tasks, hang-ups, errors, and every way to be cut short. */
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weft/fd.h>

#include "lib/task/task.h"
#include "tests/core/core.h"
#include "tests/core/tools.h"

struct ends {
    int fd[2];
};

static struct ends pair_new(void)
{
    struct ends ends;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.fd) != 0)
        abort();
    return ends;
}

static void pair_close(struct ends *ends)
{
    close(ends->fd[0]);
    close(ends->fd[1]);
}

/* Fills the socket until it takes no more. */
static void fill(int fd)
{
    static const char bytes[4096];
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    while (write(fd, bytes, sizeof bytes) > 0) {
        /* there is room */
    }
}

static void drain(int fd)
{
    char bytes[4096];
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    while (read(fd, bytes, sizeof bytes) > 0) {
        /* there is more */
    }
}

static bool has_watch(int fd)
{
    return weft_fd_table_get(&weft_loop_here()->fds, (size_t)fd);
}

static int ready_at_once(void)
{
    struct ends ends = pair_new();
    WEFT_CHECK(weft_fd_wait(ends.fd[0], WEFT_FD_WRITE) == WEFT_FD_WRITE);
    WEFT_CHECK(weft_fd_wait(ends.fd[0], WEFT_FD_READ | WEFT_FD_WRITE) == WEFT_FD_WRITE);
    WEFT_CHECK(write(ends.fd[1], "x", 1) == 1);
    WEFT_CHECK(weft_fd_wait(ends.fd[0], WEFT_FD_READ | WEFT_FD_WRITE) == (WEFT_FD_READ | WEFT_FD_WRITE));
    WEFT_CHECK(weft_fd_wait(ends.fd[0], WEFT_FD_READ) == WEFT_FD_READ);
    WEFT_CHECK(!has_watch(ends.fd[0]) && weft_loop_here()->outside == 0);
    pair_close(&ends);
    return 0;
}

struct waiting {
    int fd, events, result;
};

static int wait_for(void *arg)
{
    struct waiting *w = arg;
    w->result = weft_fd_wait(w->fd, w->events);
    return 0;
}

static int two_directions_and_two_readers(void)
{
    struct ends ends = pair_new();
    struct waiting r1 = { ends.fd[0], WEFT_FD_READ, 0 }, r2 = r1, w = { ends.fd[0], WEFT_FD_WRITE, 0 };
    fill(ends.fd[0]);
    WEFT_GROUP (g) {
        weft_go(&g, wait_for, &r1);
        weft_go(&g, wait_for, &w);
        weft_go(&g, wait_for, &r2);
        for (int i = 0; i < 5; i++)
            WEFT_TRY(weft_yield());
        WEFT_CHECK(r1.result == 0 && r2.result == 0 && w.result == 0 && weft_loop_here()->outside == 3);
        WEFT_CHECK(write(ends.fd[1], "x", 1) == 1);
        while (r1.result == 0)
            WEFT_TRY(weft_yield());
        WEFT_CHECK(r1.result == WEFT_FD_READ && r2.result == WEFT_FD_READ && w.result == 0);
        WEFT_CHECK(weft_loop_here()->outside == 1);
        drain(ends.fd[1]);
    }
    WEFT_CHECK(w.result == WEFT_FD_WRITE && !has_watch(ends.fd[0]) && weft_loop_here()->outside == 0);
    pair_close(&ends);
    return g.result;
}

static int one_is_cancelled_the_other_goes_on(void)
{
    struct ends ends = pair_new();
    struct waiting r = { ends.fd[0], WEFT_FD_READ, 0 }, w = { ends.fd[0], WEFT_FD_WRITE, 0 };
    weft_task *reader, *writer;
    fill(ends.fd[0]);
    WEFT_TRY(weft_spawn(&reader, wait_for, &r));
    WEFT_TRY(weft_spawn(&writer, wait_for, &w));
    WEFT_TRY(weft_yield());
    weft_task_cancel(reader);
    WEFT_TRY(weft_await(reader));
    WEFT_CHECK(r.result == WEFT_ECANCELED && w.result == 0 && has_watch(ends.fd[0]));
    WEFT_CHECK(write(ends.fd[1], "x", 1) == 1); /* nobody asks any more: it must not spin, nor wake the writer */
    for (int i = 0; i < 5; i++)
        WEFT_TRY(weft_yield());
    WEFT_CHECK(w.result == 0);
    drain(ends.fd[1]);
    WEFT_TRY(weft_await(writer));
    WEFT_CHECK(w.result == WEFT_FD_WRITE && !has_watch(ends.fd[0]));
    pair_close(&ends);
    return 0;
}

static int number_is_reused(void)
{
    struct ends ends = pair_new();
    int fd = ends.fd[0];
    WEFT_TIMEOUT (limit, 0) {
        WEFT_CHECK(weft_fd_wait(fd, WEFT_FD_READ) == WEFT_EDEADLINE);
    }
    for (int i = 0; i < 50; i++) {
        WEFT_CHECK(weft_fd_wait(fd, WEFT_FD_WRITE) == WEFT_FD_WRITE);
        int other = eventfd(1, EFD_CLOEXEC);
        close(fd);
        WEFT_CHECK(weft_fd_wait(fd, WEFT_FD_WRITE) == -EBADF);
        WEFT_CHECK(dup2(other, fd) == fd);
        WEFT_CHECK(weft_fd_wait(fd, WEFT_FD_READ) == WEFT_FD_READ);
        close(other);
    }
    pair_close(&ends);
    return 0;
}

static int hang_up_is_ready(void)
{
    struct ends ends = pair_new();
    int pipe_fd[2];
    WEFT_CHECK(pipe(pipe_fd) == 0);
    close(ends.fd[1]);
    WEFT_CHECK(weft_fd_wait(ends.fd[0], WEFT_FD_READ) == WEFT_FD_READ);
    close(pipe_fd[0]);
    WEFT_CHECK(weft_fd_wait(pipe_fd[1], WEFT_FD_WRITE) == WEFT_FD_WRITE); /* an error: the write says which */
    close(ends.fd[0]);
    close(pipe_fd[1]);
    return 0;
}

static int refused_connection_is_ready(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t size = sizeof address;
    int taken = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
        fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    WEFT_CHECK(bind(taken, (struct sockaddr *)&address, size) == 0); /* bound, and does not listen */
    getsockname(taken, (struct sockaddr *)&address, &size);
    WEFT_CHECK(connect(fd, (struct sockaddr *)&address, size) != 0 && (errno == EINPROGRESS || errno == ECONNREFUSED));
    WEFT_CHECK(weft_fd_wait(fd, WEFT_FD_WRITE) == WEFT_FD_WRITE);
    close(fd);
    close(taken);
    return 0;
}

static int errors(void)
{
    char path[] = "/tmp/weft_fd_XXXXXX";
    int file = mkstemp(path);
    unlink(path);
    WEFT_CHECK(weft_fd_wait(0, 0) == -EINVAL);
    WEFT_CHECK(weft_fd_wait(0, 4) == -EINVAL);
    WEFT_CHECK(weft_fd_wait(-1, WEFT_FD_READ) == -EBADF);
    WEFT_CHECK(weft_fd_wait(999, WEFT_FD_READ) == -EBADF);
    WEFT_CHECK(weft_fd_wait(INT_MAX, WEFT_FD_READ) == -EBADF && weft_loop_here()->fds.count < 100000); /* 16 GiB of a table */
    WEFT_CHECK(weft_fd_wait(file, WEFT_FD_READ) == -EPERM);
    WEFT_CHECK(weft_loop_here()->outside == 0 && !has_watch(file));
    close(file);
    return 0;
}

/* ---- torture ---- */

struct talk {
    struct ends ends;
    int received, sent;
};

static int receive(void *arg)
{
    struct talk *talk = arg;
    char c;
    while (talk->received < 5) {
        WEFT_TRY(weft_fd_wait(talk->ends.fd[0], WEFT_FD_READ));
        if (read(talk->ends.fd[0], &c, 1) == 1)
            talk->received++;
    }
    return 0;
}

static int send_5(void *arg)
{
    struct talk *talk = arg;
    while (talk->sent < 5) {
        WEFT_TRY(weft_fd_wait(talk->ends.fd[1], WEFT_FD_WRITE));
        talk->sent += write(talk->ends.fd[1], "x", 1) == 1;
        WEFT_TRY(weft_yield());
    }
    return 0;
}

/* Two readers share an end, so each may find it empty. */
static int run_talk(void *arg)
{
    struct talk *talk = arg;
    WEFT_GROUP (g) {
        weft_go(&g, receive, talk);
        weft_go(&g, receive, talk);
        weft_go(&g, send_5, talk);
        while (talk->received < 5)
            WEFT_TRY(weft_yield());
        break;
    }
    WEFT_CHECK(!has_watch(talk->ends.fd[0]) && !has_watch(talk->ends.fd[1]) && weft_loop_here()->outside == 0);
    return g.result;
}

/* Real time, for the whole may stand still when a task of it is cancelled: then a deadline ends it. */
static int run_talk_within(void *arg)
{
    WEFT_TIMEOUT (limit, 10 * MS) {
        int rc = run_talk(arg);
        WEFT_CHECK(rc == 0 || rc == WEFT_EDEADLINE || rc == WEFT_ECANCELED || rc == -ENOMEM);
    }
    return 0;
}

static bool talk_tortured(weft_test_report *report, weft_test_options options)
{
    struct talk talk = { .ends = pair_new() };
    options.struct_size = sizeof options;
    options.real_time = options.cancel_at || options.fail_at;
    int rc = weft_test_run_(run_talk_within, &talk, report, &options);
    pair_close(&talk.ends);
    return (rc == 0 || rc == -ENOMEM) && (talk.received == 5 || options.cancel_at || options.fail_at);
}

static int every_wait_cancelled(void)
{
    for (int way = WEFT_CANCEL_BEFORE; way <= WEFT_CANCEL_WOKEN; way++) {
        uint64_t struck = 0;
        for (uint64_t n = 1; n <= 40 / tools_slowness() + 8; n++) {
            weft_test_report report;
            WEFT_CHECK(
                talk_tortured(&report, (weft_test_options){ .cancel_at = n, .cancel_when = (enum weft_cancel_when)way }));
            struck += report.struck;
        }
        WEFT_CHECK(struck >= 3);
    }
    return 0;
}

static int every_allocation_failed(void)
{
    weft_test_report report;
    uint64_t n = 0;
    do
        WEFT_CHECK(talk_tortured(&report, (weft_test_options){ .fail_at = ++n }));
    while (report.struck && n < 200);
    WEFT_CHECK(n > 10 && n < 200);
    return 0;
}

static int many_seeds(void)
{
    weft_test_report report;
    for (uint64_t seed = 1; seed <= 200 / tools_slowness() + 5; seed++)
        WEFT_CHECK(talk_tortured(&report, (weft_test_options){ .seed = seed }));
    return 0;
}

static const weft_test tests[] = {
    TEST(ready_at_once),
    TEST(two_directions_and_two_readers),
    TEST(one_is_cancelled_the_other_goes_on),
    TEST(number_is_reused),
    TEST(hang_up_is_ready),
    TEST(refused_connection_is_ready),
    TEST(errors),
    PLAIN(every_wait_cancelled),
    PLAIN(every_allocation_failed),
    PLAIN(many_seeds),
};

TEST_MAIN(tests)
