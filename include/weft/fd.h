/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Waiting for a file descriptor: how a library with descriptors of its own is driven by tasks.
 *
 *     while ((n = read(fd, buf, sizeof buf)) < 0 && errno == EAGAIN)
 *         WEFT_TRY(weft_fd_wait(fd, WEFT_FD_READ));
 *
 * It works for what poll(2) can wait for: sockets, pipes, terminals, eventfds, other pollers; not for files of a disk, and not
 * for the descriptors of Weft's own streams. It puts the descriptor into non-blocking mode. Several tasks may wait for one
 * descriptor, in one direction or both; each is woken when its own is ready, all of them at once. Close a descriptor only when
 * no task waits for it (cancel the waits first): else that task is not woken, or libuv, which finds it gone, ends the program.
 */
#ifndef WEFT_FD_H
#define WEFT_FD_H

#include <weft/time.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { WEFT_FD_READ = 1, WEFT_FD_WRITE = 2 };

/* May wait. Waits until fd can be read, or written, or either (`events` is the sum of the above). The end of the input, a
 * hang-up and an error count as ready: the read or write that follows tells. Returns the events that are ready, > 0; the
 * reason that cut it short; -EINVAL for no or unknown events; -EBADF; -EPERM for what cannot be waited for; -EEXIST for a
 * descriptor that libuv watches already; -ENOMEM. */
WEFT_API WEFT_WAITS int weft_fd_wait(int fd, int events);

#ifdef __cplusplus
}
#endif
#endif
