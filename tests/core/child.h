/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* What ends a program is tested in a child process, whose standard error is read. */
#ifndef WEFT_TESTS_CHILD_H
#define WEFT_TESTS_CHILD_H

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/core/core.h"

typedef struct child {
    int status;       /* of waitpid */
    char error[8192]; /* what it wrote to standard error */
} child;

/* Runs body in a child; what it returns becomes the exit status. */
static inline child child_run(int (*body)(void))
{
    child result = { .status = -1 };
    int end[2];
    fflush(stdout);
    if (pipe(end) != 0)
        return result;
    pid_t pid = fork();
    if (pid == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
        dup2(end[1], STDERR_FILENO);
        close(end[0]);
        close(end[1]);
        _exit(body());
    }
    close(end[1]);
    size_t size = 0;
    ssize_t n;
    while (size < sizeof result.error - 1 && (n = read(end[0], result.error + size, sizeof result.error - 1 - size)) > 0)
        size += (size_t)n;
    result.error[size] = '\0';
    close(end[0]);
    waitpid(pid, &result.status, 0);
    return result;
}

static inline bool child_was_killed_by(const child *c, int signal)
{
    return WIFSIGNALED(c->status) && WTERMSIG(c->status) == signal;
}

static inline bool child_exited_with(const child *c, int status)
{
    return WIFEXITED(c->status) && WEXITSTATUS(c->status) == status;
}

/* Shown when a check fails. */
static inline void child_print(const child *c)
{
    printf("# status %x; standard error:\n", (unsigned)c->status);
    char copy[sizeof c->error], *rest = copy;
    memcpy(copy, c->error, sizeof copy);
    for (char *line; (line = strsep(&rest, "\n")) && *line;)
        printf("#   %s\n", line);
}

#endif
