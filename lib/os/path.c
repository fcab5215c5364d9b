/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Calls on paths. Each is a work with its paths and a function that makes a few system calls; the descriptors that it opens on
 * the way it closes itself, so that there is nothing to dispose of but memory.
 */
#include "lib/os/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/check.h"
#include "lib/base/memory.h"
#include "lib/os/beneath.h"
#include "lib/os/tree.h"
#include "lib/task/debug.h"

/* ---- folders ---- */

static void leave_folder(weft_folder *folder)
{
    if (--folder->users > 0 || !folder->is_closed)
        return;
    close(folder->fd);
    folder->magic = 0;
    weft_mem_free(folder);
}

static void check_folder(const weft_folder *folder)
{
    IS_A(folder, WEFT_FOLDER_MAGIC);
    if (UNLIKELY(folder->is_closed))
        weft_misuse_die("use of a folder that has been closed");
}

void weft_folder_close(weft_folder *folder)
{
    if (!folder)
        return;
    check_folder(folder);
    weft_list_remove(&folder->open.link);
    weft_debug_gone(folder);
    folder->is_closed = true;
    folder->users++;
    leave_folder(folder);
}

void weft_folder_drop(weft_folder **folder)
{
    weft_folder_close(*folder);
}

static void stop_folder(weft_os_open *open)
{
    weft_folder_close(CONTAINER_OF(open, weft_folder, open));
}

/* A folder over a descriptor, which is the folder's even when this fails. */
static weft_folder *new_folder(int fd)
{
    weft_os *os = weft_os_of(weft_here);
    weft_folder *folder = os ? weft_mem_calloc(1, sizeof *folder) : NULL;
    if (!folder) {
        close(fd);
        return NULL;
    }
    folder->magic = WEFT_FOLDER_MAGIC;
    folder->fd = fd;
    folder->open.stop = stop_folder;
    weft_list_append(&os->open[WEFT_OS_FOLDERS], &folder->open.link);
    return folder;
}

/* ---- paths ---- */

int weft_path_init(struct weft_path *p, const char *text, const weft_file_options *options)
{
    weft_folder *folder = weft_file_options_folder(options);
    if (!text)
        return -EINVAL;
    size_t size = strlen(text) + 1;
    if (folder)
        check_folder(folder);
    p->text = weft_mem_alloc(size);
    if (!p->text)
        return -ENOMEM;
    memcpy(p->text, text, size);
    p->folder = folder;
    p->folder_fd = folder ? folder->fd : WEFT_ANYWHERE;
    if (folder)
        folder->users++;
    return 0;
}

void weft_path_close(struct weft_path *p)
{
    if (p->text && p->folder)
        leave_folder(p->folder);
    weft_mem_free(p->text);
    p->text = NULL;
}

void weft_random_name(char name[WEFT_RANDOM_NAME])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[7] = { 0 };
    ssize_t got = getrandom(bytes, sizeof bytes, 0); /* names are tried until one is free: it may well be poor */
    (void)got;
    memcpy(name, ".weft-", 6);
    for (size_t i = 0; i < sizeof bytes; i++) {
        name[6 + 2 * i] = digits[bytes[i] >> 4];
        name[7 + 2 * i] = digits[bytes[i] & 15];
    }
    name[6 + 2 * sizeof bytes] = '\0';
}

int weft_write_fully(int fd, const char *data, size_t size, size_t *ret_done)
{
    *ret_done = 0;
    while (*ret_done < size) {
        ssize_t n = write(fd, data + *ret_done, size - *ret_done);
        if (n < 0 && errno != EINTR)
            return -errno;
        *ret_done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

void weft_file_info_from(weft_file_info *ret, const struct stat *st)
{
    *ret = (weft_file_info){
        .type = S_ISREG(st->st_mode)   ? WEFT_FILE_REGULAR
                : S_ISDIR(st->st_mode) ? WEFT_FILE_FOLDER
                : S_ISLNK(st->st_mode) ? WEFT_FILE_LINK
                                       : WEFT_FILE_OTHER,
        .permissions = (int)(st->st_mode & 07777),
        .size = st->st_size,
        .modified = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec,
        .user = st->st_uid,
        .group = st->st_gid,
        .device = st->st_dev,
        .inode = st->st_ino,
        .links = st->st_nlink,
    };
}

/* ---- calls ---- */

struct path_work {
    weft_work work;
    struct weft_path path, to;
    int permissions;
    bool follows, whole_tree;
    int fd; /* that it hands over */
    weft_file_info info;
    char made[PATH_MAX];
};

static void dispose_path(weft_work *work)
{
    struct path_work *w = CONTAINER_OF(work, struct path_work, work);
    if (w->fd >= 0)
        close(w->fd);
    weft_path_close(&w->path);
    weft_path_close(&w->to);
    weft_mem_free(w);
}

static struct path_work *new_path_work(const char *path, const weft_file_options *options, int *ret_error)
{
    struct path_work *w = weft_mem_calloc(1, sizeof *w);
    *ret_error = w ? weft_path_init(&w->path, path, options) : -ENOMEM;
    if (*ret_error < 0) {
        weft_mem_free(w);
        return NULL;
    }
    w->permissions = weft_file_options_permissions(options);
    w->fd = -1;
    w->work.dispose = dispose_path;
    return w;
}

/* For calls that hand nothing over. */
static int run(struct path_work *w, const char *name, int (*fn)(void *work), const void *place)
{
    int rc = weft_work_run(&w->work, name, fn, place);
    if (rc < 0)
        return rc;
    rc = w->work.job.result;
    dispose_path(&w->work);
    return rc;
}

static int close_with(int fd, int rc)
{
    int result = rc < 0 ? -errno : rc;
    close(fd);
    return result;
}

/* ---- opening a folder ---- */

static int open_folder_in_thread(void *arg)
{
    struct path_work *w = arg;
    w->fd = weft_beneath_open(w->path.folder_fd, w->path.text, O_PATH | O_DIRECTORY, 0);
    return w->fd < 0 ? w->fd : 0;
}

int weft_folder_open_(weft_folder **ret, const char *path, const weft_file_options *options, const char *file, int line)
{
    int rc = weft_wait_check("folder open");
    if (rc < 0)
        return rc;
    struct path_work *w = new_path_work(path, options, &rc);
    if (!w)
        return rc;
    rc = weft_work_run(&w->work, "folder open", open_folder_in_thread, WEFT_PLACE_HERE);
    if (rc < 0)
        return rc;
    rc = w->work.job.result;
    weft_folder *folder = rc == 0 ? new_folder(w->fd) : NULL;
    if (rc == 0)
        w->fd = -1;
    if (folder) {
        weft_debug_made(folder, "a folder", file, line);
        *ret = folder;
    } else if (rc == 0)
        rc = -ENOMEM;
    dispose_path(&w->work);
    return rc;
}

/* ---- stat ---- */

static int stat_in_thread(void *arg)
{
    struct path_work *w = arg;
    struct stat st;
    int fd = weft_beneath_open(w->path.folder_fd, w->path.text, O_PATH | (w->follows ? 0 : O_NOFOLLOW), 0);
    if (fd < 0)
        return fd;
    int rc = close_with(fd, fstat(fd, &st));
    if (rc == 0)
        weft_file_info_from(&w->info, &st);
    return rc;
}

int weft_file_stat_(const char *path, bool follows, weft_file_info *ret, const weft_file_options *options)
{
    int rc = weft_wait_check("file stat");
    if (rc < 0)
        return rc;
    struct path_work *w = new_path_work(path, options, &rc);
    if (!w)
        return rc;
    w->follows = follows;
    rc = weft_work_run(&w->work, "file stat", stat_in_thread, WEFT_PLACE_HERE);
    if (rc < 0)
        return rc;
    rc = w->work.job.result;
    if (rc == 0)
        *ret = w->info;
    dispose_path(&w->work);
    return rc;
}

/* ---- names ---- */

static int rename_in_thread(void *arg)
{
    struct path_work *w = arg;
    char from[NAME_MAX + 1], to[NAME_MAX + 1];
    int from_fd = weft_beneath_parent(w->path.folder_fd, w->path.text, O_PATH, from);
    if (from_fd < 0)
        return from_fd;
    int to_fd = weft_beneath_parent(w->to.folder_fd, w->to.text, O_PATH, to);
    int rc = to_fd < 0 ? to_fd : close_with(to_fd, renameat(from_fd, from, to_fd, to));
    close(from_fd);
    return rc;
}

int weft_file_rename_(const char *from, const char *to, const weft_file_options *options)
{
    int rc = weft_wait_check("file rename");
    if (rc < 0)
        return rc;
    struct path_work *w = new_path_work(from, options, &rc);
    if (!w)
        return rc;
    rc = weft_path_init(&w->to, to, options);
    if (rc < 0) {
        dispose_path(&w->work);
        return rc;
    }
    return run(w, "file rename", rename_in_thread, WEFT_PLACE_HERE);
}

static int remove_in_thread(void *arg)
{
    struct path_work *w = arg;
    char name[NAME_MAX + 1];
    int fd = weft_beneath_parent(w->path.folder_fd, w->path.text, O_PATH, name);
    return fd < 0 ? fd : close_with(fd, unlinkat(fd, name, 0));
}

int weft_file_remove_(const char *path, const weft_file_options *options)
{
    int rc = weft_wait_check("file remove");
    if (rc < 0)
        return rc;
    struct path_work *w = new_path_work(path, options, &rc);
    return w ? run(w, "file remove", remove_in_thread, WEFT_PLACE_HERE) : rc;
}

/* ---- making and removing folders ---- */

static int make_in_thread(void *arg)
{
    struct path_work *w = arg;
    char name[NAME_MAX + 1];
    int fd = weft_beneath_parent(w->path.folder_fd, w->path.text, O_PATH, name);
    return fd < 0 ? fd : close_with(fd, mkdirat(fd, name, w->permissions ? (mode_t)w->permissions : 0777));
}

int weft_folder_make_(const char *path, const weft_file_options *options)
{
    int rc = weft_wait_check("folder make");
    if (rc < 0)
        return rc;
    struct path_work *w = new_path_work(path, options, &rc);
    return w ? run(w, "folder make", make_in_thread, WEFT_PLACE_HERE) : rc;
}

static int remove_folder_in_thread(void *arg)
{
    struct path_work *w = arg;
    char name[NAME_MAX + 1];
    int fd = weft_beneath_parent(w->path.folder_fd, w->path.text, O_PATH, name);
    if (fd < 0)
        return fd;
    if (!w->whole_tree)
        return close_with(fd, unlinkat(fd, name, AT_REMOVEDIR));
    int rc = weft_tree_remove(fd, name);
    close(fd);
    return rc;
}

int weft_folder_remove_(const char *path, bool whole_tree, const weft_file_options *options)
{
    int rc = weft_wait_check("folder remove");
    if (rc < 0)
        return rc;
    struct path_work *w = new_path_work(path, options, &rc);
    if (!w)
        return rc;
    w->whole_tree = whole_tree;
    return run(w, "folder remove", remove_folder_in_thread, WEFT_PLACE_HERE);
}

static int make_temporary_in_thread(void *arg)
{
    struct path_work *w = arg;
    char name[WEFT_RANDOM_NAME];
    const char *parent = *w->path.text ? w->path.text : getenv("TMPDIR");
    for (int tries = 100; tries > 0; tries--) {
        weft_random_name(name);
        int size = snprintf(w->made, sizeof w->made, "%s/%s", parent && *parent ? parent : "/tmp", name + 1);
        if (size < 0 || (size_t)size >= sizeof w->made)
            return -ENAMETOOLONG;
        if (mkdir(w->made, 0700) == 0)
            return size;
        if (errno != EEXIST)
            return -errno;
    }
    return -EEXIST;
}

int weft_folder_temporary(char *buf, size_t size, const char *parent)
{
    int rc = weft_wait_check("folder temporary");
    if (rc < 0)
        return rc;
    const weft_file_options options = { .struct_size = sizeof options };
    struct path_work *w = new_path_work(parent ? parent : "", &options, &rc);
    if (!w)
        return rc;
    rc = weft_work_run(&w->work, "folder temporary", make_temporary_in_thread, WEFT_PLACE_HERE);
    if (rc < 0)
        return rc;
    rc = w->work.job.result;
    if (rc >= 0 && (size_t)rc >= size) {
        rmdir(w->made);
        rc = -ERANGE;
    }
    if (rc >= 0)
        memcpy(buf, w->made, (size_t)rc + 1);
    dispose_path(&w->work);
    return rc < 0 ? rc : 0;
}
