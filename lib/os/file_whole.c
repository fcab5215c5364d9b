/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Whole files, each in one work: loading, and replacing so that nobody ever sees a part. */
#include "lib/os/file.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/memory.h"
#include "lib/os/beneath.h"

enum { READ_MIN = 4096 };

struct whole_work {
    weft_work work;
    struct weft_path path;
    size_t limit;
    int permissions;
    char *data; /* loaded, or to be saved */
    size_t size;
};

static void dispose_whole(weft_work *work)
{
    struct whole_work *w = CONTAINER_OF(work, struct whole_work, work);
    weft_path_close(&w->path);
    weft_mem_free(w->data);
    weft_mem_free(w);
}

static struct whole_work *new_whole(const char *path, const weft_file_options *options, int *ret_error)
{
    struct whole_work *w = weft_mem_calloc(1, sizeof *w);
    *ret_error = w ? weft_path_init(&w->path, path, options) : -ENOMEM;
    if (*ret_error < 0) {
        weft_mem_free(w);
        return NULL;
    }
    w->permissions = weft_file_options_permissions(options);
    w->work.dispose = dispose_whole;
    return w;
}

void weft_bytes_drop(weft_bytes *bytes)
{
    weft_mem_free((void *)(uintptr_t)bytes->data);
    *bytes = (weft_bytes){ 0 };
}

/* ---- loading ---- */

/* Reads to the end, as far as the limit and a byte more. The size that the file says is a hint: in /proc it is 0. */
static int read_whole(struct whole_work *w, int fd, size_t expected)
{
    size_t room = 0;
    for (;;) {
        if (w->size + 1 >= room) {
            room = room == 0 ? (expected < READ_MIN ? READ_MIN : expected) + 2 : room * 2;
            if (room > w->limit + 2)
                room = w->limit + 2;
            char *grown = weft_mem_realloc(w->data, room);
            if (!grown)
                return -ENOMEM;
            w->data = grown;
        }
        ssize_t n = read(fd, w->data + w->size, room - w->size - 1);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            break;
        w->size += n > 0 ? (size_t)n : 0;
        if (w->size > w->limit)
            return -EFBIG;
        if (weft_threads_is_cut())
            return -ECANCELED;
    }
    w->data[w->size] = '\0';
    return 0;
}

static int load_in_thread(void *arg)
{
    struct whole_work *w = arg;
    struct stat st;
    int fd = weft_beneath_open(w->path.folder_fd, w->path.text, O_RDONLY | O_NOCTTY | O_NONBLOCK, 0);
    if (fd < 0)
        return fd;
    int rc = fstat(fd, &st) < 0                                       ? -errno
             : S_ISDIR(st.st_mode)                                    ? -EISDIR
             : S_ISREG(st.st_mode) && (uint64_t)st.st_size > w->limit ? -EFBIG
                                                                      : read_whole(w, fd, (size_t)st.st_size);
    close(fd);
    return rc;
}

int weft_file_load_(const char *path, size_t limit, weft_bytes *ret, const weft_file_options *options)
{
    *ret = (weft_bytes){ .data = NULL };
    int rc = weft_wait_check("file load");
    if (rc < 0)
        return rc;
    struct whole_work *w = new_whole(path, options, &rc);
    if (!w)
        return rc;
    w->limit = limit < SIZE_MAX / 4 ? limit : SIZE_MAX / 4;
    rc = weft_work_run(&w->work, "file load", load_in_thread, WEFT_PLACE_HERE);
    if (rc < 0)
        return rc;
    rc = w->work.job.result;
    if (rc == 0) {
        *ret = (weft_bytes){ .data = w->data, .size = w->size };
        w->data = NULL;
    }
    dispose_whole(&w->work);
    return rc;
}

/* ---- saving ---- */

/* What the new file is to have of the former one. */
struct keep {
    mode_t permissions; /* 0 for the usual ones, less the umask */
    bool has_group;
    gid_t group;
};

/* Permissions are those asked for, else those of the file that is replaced. Its owner and group may be others now: a program
 * that runs as them is not made to run as this process's. */
static struct keep find_former(const struct whole_work *w, int folder, const char *name)
{
    struct stat st;
    if (w->permissions)
        return (struct keep){ .permissions = (mode_t)w->permissions };
    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
        return (struct keep){ 0 };
    return (struct keep){ .permissions = st.st_mode & 0777, .has_group = true, .group = st.st_gid };
}

/* What the former group might do is not for another one: if that cannot be kept, the new one may do what all may. */
static mode_t keep_group(int fd, const struct keep *keep)
{
    enum { GROUP = 070, OTHERS = 07 };
    struct stat st;
    bool is_kept = !keep->has_group || (fstat(fd, &st) == 0 && st.st_gid == keep->group) ||
                   fchown(fd, (uid_t)-1, keep->group) == 0;
    mode_t all = keep->permissions & OTHERS;
    return is_kept ? keep->permissions : (keep->permissions & ~(mode_t)GROUP) | all << 3;
}

/* Makes a new file in the folder, under a name that nobody has. */
static int make_beside(int folder, char name[WEFT_RANDOM_NAME], mode_t permissions)
{
    int fd, tries = 100;
    do {
        weft_random_name(name);
        fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, permissions);
    } while (fd < 0 && errno == EEXIST && --tries > 0);
    return fd < 0 ? -errno : fd;
}

static int fill_and_sync(const struct whole_work *w, int fd, const struct keep *keep)
{
    size_t done;
    int rc = weft_write_fully(fd, w->data, w->size, &done);
    if (rc == 0 && keep->permissions && fchmod(fd, keep_group(fd, keep)) < 0)
        rc = -errno;
    if (rc == 0 && fsync(fd) < 0)
        rc = -errno;
    return rc;
}

/* The content may be secret: nobody else can open the new file before its permissions are set. */
static int replace(const struct whole_work *w, int folder, const char *name)
{
    char beside[WEFT_RANDOM_NAME];
    struct keep keep = find_former(w, folder, name);
    int fd = make_beside(folder, beside, keep.permissions ? 0600 : 0666);
    if (fd < 0)
        return fd;
    int rc = fill_and_sync(w, fd, &keep);
    if (close(fd) < 0 && rc == 0)
        rc = -errno;
    if (rc == 0 && renameat(folder, beside, folder, name) < 0)
        rc = -errno;
    if (rc < 0)
        unlinkat(folder, beside, 0);
    else if (fsync(folder) < 0 && errno != EINVAL) /* file systems without it say EINVAL */
        rc = -errno;
    return rc;
}

static int save_in_thread(void *arg)
{
    const struct whole_work *w = arg;
    char name[NAME_MAX + 1];
    int folder = weft_beneath_parent(w->path.folder_fd, w->path.text, O_RDONLY, name);
    if (folder < 0)
        return folder;
    int rc = replace(w, folder, name);
    close(folder);
    return rc;
}

int weft_file_save_(const char *path, const void *data, size_t size, const weft_file_options *options)
{
    int rc = weft_wait_check("file save");
    if (rc < 0)
        return rc;
    struct whole_work *w = new_whole(path, options, &rc);
    if (!w)
        return rc;
    w->data = weft_mem_alloc(size + 1);
    if (!w->data) {
        dispose_whole(&w->work);
        return -ENOMEM;
    }
    if (size > 0)
        memcpy(w->data, data, size);
    w->size = size;
    rc = weft_work_run(&w->work, "file save", save_in_thread, WEFT_PLACE_HERE);
    if (rc < 0)
        return rc;
    rc = w->work.job.result;
    dispose_whole(&w->work);
    return rc;
}
