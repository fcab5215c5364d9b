/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * posix_spawn and pidfd_open, in place of uv_spawn or fork: it does not copy the page tables of a large server (the child runs
 * on the parent's memory until it has another program), needs no handler of SIGCHLD and no table of children, so no state per
 * process, and every loop has its own descriptor of its own child. Nothing else can reap a child of which only we know, so its
 * number stays its own until we do: pidfd_open after the start names the right one, also if it has ended already.
 *
 * What the child gets is put together here: three descriptors, an empty signal mask (all is blocked in this thread), and the
 * default for signals that libraries use to ignore.
 */
#include "lib/os/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weft/process.h>

#include "lib/os/beneath.h"
#include "lib/task/threads.h"

enum { FIRST_FREE = 3 }; /* behind the standard descriptors: so none of ours is overwritten by the one before it */

/* Moves a descriptor behind the standard ones, should it be one. */
static int move_up(int fd)
{
    if (fd < 0 || fd >= FIRST_FREE)
        return fd < 0 ? -errno : fd;
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FREE), error = -errno;
    close(fd);
    return moved < 0 ? error : moved;
}

static int open_pipe(struct weft_spawn *s, int which)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    int ours = move_up(ends[which == STDIN_FILENO]), theirs = move_up(ends[which != STDIN_FILENO]);
    if (ours >= 0 && theirs >= 0 && fcntl(ours, F_SETFL, O_NONBLOCK) == 0) {
        s->ends[which] = ours;
        return theirs;
    }
    int error = ours < 0 ? ours : theirs < 0 ? theirs : -errno;
    if (ours >= 0)
        close(ours);
    if (theirs >= 0)
        close(theirs);
    return error;
}

/* The descriptor that becomes the child's standard one, as a copy of ours; -errno. */
static int open_end(struct weft_spawn *s, int which)
{
    if (s->io[which] == WEFT_IO_PIPE)
        return open_pipe(s, which);
    if (s->io[which] == WEFT_IO_NULL)
        return move_up(open("/dev/null", O_RDWR | O_CLOEXEC));
    int fd = fcntl(s->io[which] - WEFT_IO_FD_BASE_, F_DUPFD_CLOEXEC, FIRST_FREE);
    return fd < 0 ? -errno : fd;
}

static int add_ends(struct weft_spawn *s, posix_spawn_file_actions_t *actions, int theirs[3])
{
    int rc = 0;
    for (int i = 0; i < 3 && rc == 0; i++) {
        if (s->io[i] == WEFT_IO_INHERIT)
            continue;
        if (s->io[i] == WEFT_IO_OUTPUT) {
            rc = -posix_spawn_file_actions_adddup2(actions, STDOUT_FILENO, i);
            continue;
        }
        theirs[i] = open_end(s, i);
        rc = theirs[i] < 0 ? theirs[i] : -posix_spawn_file_actions_adddup2(actions, theirs[i], i);
    }
    return rc;
}

static int start(struct weft_spawn *s, const posix_spawn_file_actions_t *actions)
{
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    sigaddset(&defaults, SIGCHLD);
    sigaddset(&defaults, SIGXFSZ);
    int rc = -posix_spawnattr_init(&attributes);
    if (rc < 0)
        return rc;
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(
        &attributes, (short)(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | (s->own_group ? POSIX_SPAWN_SETPGROUP : 0)));
    rc = -posix_spawnp(&s->pid, s->argv[0], actions, &attributes, s->argv, s->environment ? s->environment : environ);
    posix_spawnattr_destroy(&attributes);
    return rc;
}

static void kill_and_reap(pid_t pid)
{
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

/* The child runs: from here on a failure has to end it. */
static int watch(struct weft_spawn *s)
{
    s->pid_fd = weft_fd_of_syscall(syscall(SYS_pidfd_open, s->pid, 0)); /* close-on-exec by itself */
    int rc = s->pid_fd < 0 ? s->pid_fd : 0;
    if (rc == 0 && weft_threads_is_cut())
        rc = -ECANCELED;
    if (rc < 0)
        kill_and_reap(s->pid);
    return rc;
}

static void close_ends(struct weft_spawn *s)
{
    for (int i = 0; i < 3; i++)
        if (s->ends[i] >= 0)
            close(s->ends[i]);
    if (s->pid_fd >= 0)
        close(s->pid_fd);
}

int weft_spawn_run(struct weft_spawn *s)
{
    int theirs[3] = { -1, -1, -1 };
    posix_spawn_file_actions_t actions;
    s->pid_fd = s->ends[0] = s->ends[1] = s->ends[2] = -1;
    int rc = -posix_spawn_file_actions_init(&actions);
    if (rc < 0)
        return rc;
    rc = add_ends(s, &actions, theirs);
    if (rc == 0 && s->folder)
        rc = -posix_spawn_file_actions_addchdir_np(&actions, s->folder);
    if (rc == 0)
        rc = -posix_spawn_file_actions_addclosefrom_np(&actions, FIRST_FREE);
    if (rc == 0)
        rc = start(s, &actions);
    posix_spawn_file_actions_destroy(&actions);
    for (int i = 0; i < 3; i++)
        if (theirs[i] >= 0)
            close(theirs[i]);
    if (rc == 0)
        rc = watch(s);
    if (rc < 0)
        close_ends(s);
    return rc;
}

void weft_spawn_undo(struct weft_spawn *s)
{
    kill_and_reap(s->pid);
    close_ends(s);
}
