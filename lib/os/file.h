/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The inside of open files and folders, shared by the files of lib/os.
 *
 * Users of a file are works that have its descriptor, and tasks inside a call on it. It is closed when it has been closed by
 * its owner and the last user has gone; so a close takes nothing from under a thread. Works that change a file and have been
 * abandoned are counted: later calls wait in line until there is none, so that they see, and undo, what came before them.
 */
#ifndef WEFT_LIB_OS_FILE_H
#define WEFT_LIB_OS_FILE_H

#include <string.h>
#include <sys/types.h>

#include <weft/folder.h>

#include "lib/os/os.h"
#include "lib/os/work.h"
#include "lib/task/waiter.h"

#define WEFT_FILE_MAGIC   0xf11ef11eu
#define WEFT_FOLDER_MAGIC 0xf01def01u

enum { WEFT_FILE_CHUNK = 256 * 1024 /* bytes that one work reads or writes, at most */ };

struct weft_file {
    unsigned magic;
    int fd;
    bool can_read, can_write, appends;
    bool has_positions; /* else a FIFO, a terminal ...: read in the order in which bytes come */
    bool is_moving;     /* a task is in a call that moves the position */
    bool is_closed;
    bool skips_line; /* the present line was too long: the rest of it is not told */
    int users;
    int unfinished;   /* works that change it and were abandoned */
    weft_list line;   /* who waits for those */
    int64_t position; /* of what has been told: behind the bytes that were read ahead come `ahead_size` more */
    char *ahead;      /* read ahead by weft_file_line, from ahead_at on */
    size_t ahead_at, ahead_size, ahead_room;
    size_t line_limit;
    weft_loop *loop;
    weft_os_open open;
    weft_job closing;
    weft_wait *closer; /* waits for that; NULL: an error goes to the log */
};

struct weft_folder {
    unsigned magic;
    int fd;
    bool is_closed;
    int users; /* works */
    weft_os_open open;
};

/* ---- files (file.c) ---- */

/* Is it an open file of this loop? Dies if not. */
void weft_file_check(const weft_file *f);

void weft_file_leave(weft_file *f); /* a user goes: it may be gone afterwards */

/* ---- folders and paths (path.c) ---- */

/* A path as a work has it: on the heap, and a user of its folder. */
struct weft_path {
    weft_folder *folder; /* NULL: anywhere */
    int folder_fd;
    char *text;
};

/* 0; -ENOMEM; -EINVAL for NULL. */
int weft_path_init(struct weft_path *p, const char *text, const weft_file_options *options);
void weft_path_close(struct weft_path *p);

static inline weft_folder *weft_file_options_folder(const weft_file_options *o)
{
    return o->struct_size >= offsetof(weft_file_options, beneath) + sizeof o->beneath ? o->beneath : NULL;
}

static inline int weft_file_options_permissions(const weft_file_options *o)
{
    return o->struct_size >= offsetof(weft_file_options, permissions) + sizeof o->permissions ? o->permissions : 0;
}

static inline size_t weft_file_options_line_limit(const weft_file_options *o)
{
    return o->struct_size >= offsetof(weft_file_options, line_limit) + sizeof o->line_limit ? o->line_limit : 0;
}

/* ---- for threads (file.c) ---- */

/* A new file in the folder whose name is gone again: where O_TMPFILE is not supported. The descriptor or -errno. */
int weft_file_open_and_unlink(const char *folder, mode_t permissions);

/* ---- for threads (path.c) ---- */

/* A random name, 20 characters and a NUL. */
enum { WEFT_RANDOM_NAME = 21 };
void weft_random_name(char name[WEFT_RANDOM_NAME]);

/* Writes all of it; 0 or -errno, and how much was written. */
int weft_write_fully(int fd, const char *data, size_t size, size_t *ret_done);

struct stat;
void weft_file_info_from(weft_file_info *ret, const struct stat *st);

#endif
