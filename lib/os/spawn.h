/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Starting a child, in a thread: it takes until the program has been loaded, from a disk that may be slow. */
#ifndef WEFT_LIB_OS_SPAWN_H
#define WEFT_LIB_OS_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

struct weft_spawn {
    char **argv;
    char **environment; /* NULL: this program's */
    char *folder;       /* NULL: this program's */
    int io[3];          /* WEFT_IO_ */
    bool own_group;
    /* made by weft_spawn_run */
    pid_t pid;
    int pid_fd;  /* readable once the child has ended */
    int ends[3]; /* ours, of the pipes, not blocking; -1 */
};

/* 0 or -errno, and then nothing is left behind. All descriptors are close-on-exec. */
int weft_spawn_run(struct weft_spawn *spawn);

/* Kills and reaps the child, and closes the descriptors that are not -1. It waits for that, which takes no time to speak of:
 * the child can do nothing against it. */
void weft_spawn_undo(struct weft_spawn *spawn);

#endif
