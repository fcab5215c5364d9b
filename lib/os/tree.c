/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Removing a tree. Each folder is opened in the open folder around it, never by a path, and not if it is a link: whatever
 * others put in its place meanwhile, what is removed is beneath. The folders that are being emptied are a stack, not a
 * recursion.
 */
#include "lib/os/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/memory.h"
#include "lib/task/threads.h"

struct level {
    DIR *folder;
    char name[NAME_MAX + 1]; /* in the level around it */
};

struct removal {
    int depth; /* levels in use */
    int error; /* the first */
    struct level levels[WEFT_TREE_DEPTH];
};

static void note(struct removal *r, int error)
{
    if (r->error == 0)
        r->error = error;
}

/* Opens a folder to be emptied. 0 or -errno. */
static int enter(struct removal *r, int parent, const char *name)
{
    if (r->depth == WEFT_TREE_DEPTH)
        return -ELOOP;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ELOOP ? -ENOTDIR : -errno; /* a link */
    struct level *level = &r->levels[r->depth];
    level->folder = fdopendir(fd);
    if (!level->folder) {
        close(fd);
        return -ENOMEM;
    }
    memcpy(level->name, name, strlen(name) + 1);
    r->depth++;
    return 0;
}

/* Removes it if it is no folder, else enters it. What has gone by itself is fine. */
static void remove_or_enter(struct removal *r, int parent, const char *name)
{
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return;
    int error = -errno;
    if (error != -EISDIR && error != -EPERM) { /* POSIX says EPERM for a folder, Linux EISDIR */
        note(r, error);
        return;
    }
    int rc = enter(r, parent, name);
    if (rc == -ENOTDIR) /* a file or a link has taken its place */
        rc = unlinkat(parent, name, 0) == 0 || errno == ENOENT ? 0 : rc;
    if (rc < 0 && rc != -ENOENT)
        note(r, rc);
}

static int fd_of_level(const struct removal *r, int parent, int depth)
{
    return depth == 0 ? parent : dirfd(r->levels[depth - 1].folder);
}

/* The innermost folder is empty, as far as it could be emptied. */
static void leave(struct removal *r, int parent)
{
    struct level *level = &r->levels[--r->depth];
    closedir(level->folder);
    if (unlinkat(fd_of_level(r, parent, r->depth), level->name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        note(r, -errno);
}

static void step(struct removal *r, int parent)
{
    DIR *folder = r->levels[r->depth - 1].folder;
    errno = 0;
    const struct dirent *entry = readdir(folder);
    if (!entry) {
        if (errno)
            note(r, -errno);
        leave(r, parent);
        return;
    }
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
        remove_or_enter(r, dirfd(folder), entry->d_name);
}

int weft_tree_remove(int parent, const char *name)
{
    struct removal *r = weft_mem_alloc(sizeof *r);
    if (!r)
        return -ENOMEM;
    r->depth = r->error = 0;
    if (unlinkat(parent, name, 0) < 0) {
        int error = -errno;
        r->error = error == -EISDIR || error == -EPERM ? enter(r, parent, name) : error;
    }
    while (r->depth > 0 && !weft_threads_is_cut())
        step(r, parent);
    int rc = r->depth > 0 ? -ECANCELED : r->error;
    while (r->depth > 0)
        closedir(r->levels[--r->depth].folder);
    weft_mem_free(r);
    return rc;
}
