/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Opening what a path names, beneath a folder and never outside it. All of this is for threads: it may take long.
 *
 * The kernel does it (openat2, RESOLVE_BENEATH): it holds each step of the path to the folder while it takes it, so that
 * neither
 * "..", nor an absolute path or link, nor a link that is put there in the middle of it, leads out. Checking the path beforehand
 * could not do that. Where there is no openat2, weft_beneath_step takes the steps one by one, and follows no link at all.
 */
#ifndef WEFT_LIB_OS_BENEATH_H
#define WEFT_LIB_OS_BENEATH_H

#include <fcntl.h>
#include <limits.h>
#include <sys/types.h>

/* A descriptor that a bare syscall() has made, or -1 with errno set: it, or -errno. */
int weft_fd_of_syscall(long fd);

#define WEFT_ANYWHERE AT_FDCWD /* in place of a folder: paths as usual */

/* A descriptor (close-on-exec), or -errno: -EXDEV for a path that would lead out. `folder` is a descriptor or WEFT_ANYWHERE. */
int weft_beneath_open(int folder, const char *path, int flags, mode_t mode);

/* The same without openat2, for a folder only: "..", and links (-ELOOP or -ENOTDIR), are refused wherever they lead. */
int weft_beneath_step(int folder, const char *path, int flags, mode_t mode);

/* Opens the folder in which path names something (`flags` beside O_DIRECTORY: O_PATH, or O_RDONLY), and tells what it is called
 * there. -EINVAL if the last part is none ("..", "/"). */
int weft_beneath_parent(int folder, const char *path, int flags, char ret_name[NAME_MAX + 1]);

#endif
