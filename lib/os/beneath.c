/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
#include "lib/os/beneath.h"

#include <errno.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/sanitize.h"

enum { TRIES = 32 }; /* the kernel gives up (EAGAIN) when something is renamed while it follows a ".." */

/* The thread sanitizer sees only descriptors that libc's calls make and close, and takes any other for the last one of its
 * number (libuv closes its own by bare calls): so it is shown a number of its own, to which the descriptor is then moved. */
int weft_fd_of_syscall(long fd)
{
    if (fd < 0)
        return -errno;
#ifdef WEFT_TSAN
    int known = eventfd(0, EFD_CLOEXEC), error = -errno;
    if (known >= 0)
        syscall(SYS_dup3, (int)fd, known, O_CLOEXEC);
    syscall(SYS_close, (int)fd);
    return known >= 0 ? known : error;
#else
    return (int)fd;
#endif
}

static int open_once(int folder, const char *path, int flags, mode_t mode)
{
    struct open_how how = {
        .flags = (unsigned)(flags | O_CLOEXEC),
        .mode = flags & (O_CREAT | __O_TMPFILE) ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    return weft_fd_of_syscall(syscall(SYS_openat2, folder, path, &how, sizeof how));
}

/* Opens one part of a path in `folder`, following no link. */
static int open_part(int folder, const char *part, size_t size, int flags, mode_t mode)
{
    char name[NAME_MAX + 1];
    if (size > NAME_MAX)
        return -ENAMETOOLONG;
    memcpy(name, part, size);
    name[size] = '\0';
    int fd = openat(folder, name, flags | O_NOFOLLOW | O_CLOEXEC, mode);
    return fd < 0 ? -errno : fd;
}

/* The next part of *at, which moves behind it and the slashes that follow; its size, 0 at the end. "." is none. */
static size_t next_part(const char **at, const char **ret_part)
{
    for (;;) {
        *at += strspn(*at, "/");
        size_t size = strcspn(*at, "/");
        *ret_part = *at;
        *at += size;
        if (size != 1 || **ret_part != '.')
            return size;
    }
}

int weft_beneath_step(int folder, const char *path, int flags, mode_t mode)
{
    if (*path == '/')
        return -EXDEV;
    if (*path == '\0')
        return -ENOENT;
    if (path[strlen(path) - 1] == '/')
        flags |= O_DIRECTORY;
    const char *part, *next;
    size_t size = next_part(&path, &part), next_size;
    if (size == 0)
        return open_part(folder, ".", 1, flags, mode);
    int here = folder, fd;
    do {
        next_size = next_part(&path, &next);
        bool is_up = size == 2 && part[0] == '.' && part[1] == '.';
        fd = is_up ? -EXDEV : open_part(here, part, size, next_size > 0 ? O_PATH | O_DIRECTORY : flags, mode);
        if (here != folder)
            close(here);
        here = fd;
        part = next;
        size = next_size;
    } while (fd >= 0 && size > 0);
    return fd;
}

int weft_beneath_open(int folder, const char *path, int flags, mode_t mode)
{
    int fd;
    if (folder == WEFT_ANYWHERE) {
        fd = open(path, flags | O_CLOEXEC, mode);
        return fd < 0 ? -errno : fd;
    }
    int tries = TRIES;
    do
        fd = open_once(folder, path, flags, mode);
    while (fd == -EAGAIN && --tries > 0);
    /* Sandboxes that do not know openat2 say EPERM; stepping is as safe, so it does no harm to try. */
    return fd == -ENOSYS || fd == -EPERM ? weft_beneath_step(folder, path, flags, mode) : fd;
}

int weft_beneath_parent(int folder, const char *path, int flags, char ret_name[NAME_MAX + 1])
{
    char parent[PATH_MAX];
    size_t size = strlen(path);
    if (size >= sizeof parent)
        return -ENAMETOOLONG;
    while (size > 0 && path[size - 1] == '/')
        size--;
    size_t start = size;
    while (start > 0 && path[start - 1] != '/')
        start--;
    const char *name = path + start;
    size_t name_size = size - start;
    if (name_size == 0 || (name_size == 1 && *name == '.') || (name_size == 2 && name[0] == '.' && name[1] == '.'))
        return -EINVAL;
    if (name_size > NAME_MAX)
        return -ENAMETOOLONG;
    memcpy(parent, path, start);
    parent[start] = '\0';
    int fd = weft_beneath_open(folder, start > 0 ? parent : ".", flags | O_DIRECTORY, 0);
    if (fd < 0)
        return fd;
    memcpy(ret_name, name, name_size);
    ret_name[name_size] = '\0';
    return fd;
}
