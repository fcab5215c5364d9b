/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Walking a tree: a generator whose steps are made in threads, a batch of entries at a time.
 *
 * The folders that are open are a stack, each opened in the one around it and not if it is a link, so that nobody can lead the
 * walk elsewhere. A batch is what one folder tells next, as far as it has room, and ends with the first folder found: whether
 * that is entered is known when the next batch is asked for. The stack and the batch are the thread's while a work is under
 * way; one that was abandoned is waited for before the next, and its batch is told then.
 */
#include "lib/os/file.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/check.h"
#include "lib/base/memory.h"
#include "lib/os/beneath.h"
#include "lib/os/tree.h"
#include "lib/task/debug.h"

#define WEFT_WALK_MAGIC 0x3a1cba5eu

enum {
    DEPTH_DEFAULT = 64,
    BATCH_SIZE = 16 * 1024, /* bytes of names */
    BATCH_ENTRIES = 256,
    PATH_ROOM = 64 * 1024, /* a path with all its folders */
};

struct told {
    unsigned name_at; /* in `names` */
    int error;
    enum weft_file_type type;
};

struct walk_level {
    DIR *folder;
    size_t path_size; /* of the path to it, with the "/" behind it; 0 for the root */
};

struct weft_walk {
    unsigned magic;
    int depth_most;
    bool is_busy;    /* a task is asking */
    bool is_working; /* a thread has what is marked so below */
    bool is_closed;
    int users;      /* works, and tasks inside a call */
    weft_list line; /* who waits for the thread */
    weft_os_open open;
    weft_loop *loop;
    /* the thread's */
    bool has_ended;
    bool enters;                    /* the last entry of the batch is a folder to be entered, */
    bool skips;                     /* or not */
    int result;                     /* of the last batch */
    int depth;                      /* levels in use */
    unsigned count, at, names_size; /* of the batch */
    size_t path_size;               /* of the folder in which the batch is */
    struct walk_level levels[WEFT_TREE_DEPTH];
    struct told told[BATCH_ENTRIES];
    char names[BATCH_SIZE];
    char path[PATH_ROOM]; /* of that folder, then of the entry that was told last */
};

/* ---- in the thread ---- */

static enum weft_file_type type_of(int folder, const struct dirent *entry)
{
    struct stat st;
    unsigned type = entry->d_type;
    if (type == DT_UNKNOWN && fstatat(folder, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        type = IFTODT(st.st_mode);
    return type == DT_REG   ? WEFT_FILE_REGULAR
           : type == DT_DIR ? WEFT_FILE_FOLDER
           : type == DT_LNK ? WEFT_FILE_LINK
                            : WEFT_FILE_OTHER;
}

static void add(weft_walk *walk, const char *name, enum weft_file_type type, int error)
{
    size_t size = strlen(name) + 1;
    walk->told[walk->count++] = (struct told){ .name_at = walk->names_size, .type = type, .error = error };
    memcpy(walk->names + walk->names_size, name, size);
    walk->names_size += (unsigned)size;
}

static bool is_full(const weft_walk *walk)
{
    return walk->count == BATCH_ENTRIES || walk->names_size > BATCH_SIZE - (NAME_MAX + 1);
}

static int push(weft_walk *walk, int fd, size_t path_size)
{
    DIR *folder = fdopendir(fd);
    if (!folder) {
        close(fd);
        return -ENOMEM;
    }
    walk->levels[walk->depth++] = (struct walk_level){ .folder = folder, .path_size = path_size };
    return 0;
}

/* Enters the folder that was told last; its path is in `path`. A batch of its error alone if that fails. */
static void enter(weft_walk *walk)
{
    char name[NAME_MAX + 1];
    size_t parent_size = walk->path_size, size = strlen(walk->path + parent_size);
    memcpy(name, walk->path + parent_size, size + 1);
    int fd = openat(dirfd(walk->levels[walk->depth - 1].folder), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int rc = fd < 0 ? -errno : push(walk, fd, parent_size + size + 1);
    if (rc == 0)
        walk->path[parent_size + size] = '/';
    else if (rc != -ENOENT)
        add(walk, name, WEFT_FILE_FOLDER, rc);
}

/* Adds what the innermost folder has; false once the batch is to be told. */
static bool read_one(weft_walk *walk)
{
    struct walk_level *level = &walk->levels[walk->depth - 1];
    walk->path_size = level->path_size;
    errno = 0;
    const struct dirent *entry = readdir(level->folder);
    if (!entry) {
        walk->result = -errno;
        closedir(level->folder);
        walk->depth--;
        return walk->count == 0 && walk->result == 0;
    }
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
        return true;
    enum weft_file_type type = type_of(dirfd(level->folder), entry);
    bool fits = walk->path_size + strlen(entry->d_name) + 2 <= PATH_ROOM;
    add(walk, entry->d_name, type, fits ? 0 : -ENAMETOOLONG);
    walk->enters = fits && type == WEFT_FILE_FOLDER && walk->depth < walk->depth_most;
    return !walk->enters && !is_full(walk);
}

static int step_in_thread(weft_walk *walk)
{
    bool enters = walk->enters && !walk->skips;
    walk->count = walk->at = walk->names_size = 0;
    walk->enters = walk->skips = false;
    walk->result = 0;
    if (enters)
        enter(walk);
    if (walk->count == 0)
        while (walk->depth > 0 && read_one(walk))
            continue;
    walk->has_ended = walk->depth == 0;
    return 0;
}

/* ---- works ---- */

struct walk_work {
    weft_work work;
    weft_walk *walk;
};

static void free_walk(weft_walk *walk)
{
    while (walk->depth > 0)
        closedir(walk->levels[--walk->depth].folder);
    walk->magic = 0;
    weft_mem_free(walk);
}

static void leave(weft_walk *walk)
{
    if (--walk->users == 0 && walk->is_closed)
        free_walk(walk);
}

static void dispose_step(weft_work *work)
{
    weft_walk *walk = CONTAINER_OF(work, struct walk_work, work)->walk;
    walk->is_working = false;
    weft_mem_free(work);
    weft_waiter_serve_all(&walk->line, 0);
    leave(walk);
}

static int run_step(void *arg)
{
    return step_in_thread(((struct walk_work *)arg)->walk);
}

static int step(weft_walk *walk, const void *place)
{
    struct walk_work *w = weft_mem_calloc(1, sizeof *w);
    if (!w)
        return -ENOMEM;
    w->work.dispose = dispose_step;
    w->walk = walk;
    walk->users++;
    walk->is_working = true;
    int rc = weft_work_run(&w->work, "walk", run_step, place);
    if (rc == 0)
        dispose_step(&w->work);
    return rc;
}

static void withdraw_waiter(weft_wait *wait)
{
    weft_here->outside--;
    weft_waiting_withdraw(wait);
}

static int await_thread(weft_walk *walk, const void *place)
{
    struct weft_waiting waiting = { .wait = { .withdraw = withdraw_waiter, .what = "walk", .on = walk, .place = place } };
    if (!walk->is_working)
        return 0;
    walk->loop->outside++;
    return weft_waiting_park(&waiting, &walk->line);
}

/* ---- public ---- */

static void check_walk(const weft_walk *walk)
{
    IS_A(walk, WEFT_WALK_MAGIC);
    if (UNLIKELY(walk->is_closed))
        weft_misuse_die("use of a walk that has been closed");
}

static void tell(weft_walk *walk, weft_walk_entry *ret)
{
    const struct told *told = &walk->told[walk->at++];
    const char *name = walk->names + told->name_at;
    size_t room = PATH_ROOM - walk->path_size, size = strlen(name) + 1;
    memcpy(walk->path + walk->path_size, name, size <= room ? size : room);
    walk->path[PATH_ROOM - 1] = '\0';
    int depth = 1;
    for (const char *c = walk->path; *c; c++)
        depth += *c == '/';
    *ret = (weft_walk_entry){ .path = walk->path, .name = name, .type = told->type, .error = told->error, .depth = depth };
}

int weft_walk_next(weft_walk *walk, weft_walk_entry *ret)
{
    int rc = weft_wait_check("walk");
    if (rc < 0)
        return rc;
    check_walk(walk);
    if (walk->is_busy)
        return -EBUSY;
    walk->is_busy = true;
    walk->users++;
    rc = await_thread(walk, WEFT_PLACE_HERE);
    if (rc == 0 && walk->at == walk->count && walk->result == 0 && !walk->has_ended)
        rc = step(walk, WEFT_PLACE_HERE);
    if (rc == 0 && walk->is_closed) {
        rc = WEFT_ECLOSED; /* what it could tell goes with it */
    } else if (rc == 0 && walk->at < walk->count) {
        tell(walk, ret);
        rc = 1;
    } else if (rc == 0) {
        rc = walk->result;
        walk->result = 0;
    }
    walk->is_busy = false;
    leave(walk);
    return rc;
}

void weft_walk_skip(weft_walk *walk)
{
    check_walk(walk);
    if (!walk->is_working && walk->at == walk->count)
        walk->skips = true;
}

void weft_walk_close(weft_walk *walk)
{
    if (!walk)
        return;
    check_walk(walk);
    walk->is_closed = true;
    weft_list_remove(&walk->open.link);
    weft_debug_gone(walk);
    weft_waiter_serve_all(&walk->line, WEFT_ECLOSED);
    walk->users++;
    leave(walk);
}

void weft_walk_drop(weft_walk **walk)
{
    weft_walk_close(*walk);
}

static void stop_walk(weft_os_open *open)
{
    weft_walk_close(CONTAINER_OF(open, weft_walk, open));
}

/* ---- opening ---- */

struct root_work {
    weft_work work;
    struct weft_path path;
    weft_walk *walk;
};

static void dispose_root(weft_work *work)
{
    struct root_work *w = CONTAINER_OF(work, struct root_work, work);
    weft_path_close(&w->path);
    if (w->walk)
        free_walk(w->walk);
    weft_mem_free(w);
}

static int open_root_in_thread(void *arg)
{
    struct root_work *w = arg;
    int fd = weft_beneath_open(w->path.folder_fd, w->path.text, O_RDONLY | O_DIRECTORY, 0);
    return fd < 0 ? fd : push(w->walk, fd, 0);
}

static int depth_of(const weft_walk_options *options)
{
    bool has = options->struct_size >= offsetof(weft_walk_options, depth) + sizeof options->depth;
    return has && options->depth ? options->depth : DEPTH_DEFAULT;
}

static struct root_work *new_root(const char *path, const weft_walk_options *options, int *ret_error)
{
    const weft_file_options of_path = { .struct_size = sizeof of_path, .beneath = options->beneath };
    struct root_work *w = weft_mem_calloc(1, sizeof *w);
    *ret_error = w ? weft_path_init(&w->path, path, &of_path) : -ENOMEM;
    if (*ret_error < 0) {
        weft_mem_free(w);
        return NULL;
    }
    w->work.dispose = dispose_root;
    w->walk = weft_mem_calloc(1, sizeof *w->walk);
    if (!w->walk) {
        dispose_root(&w->work);
        *ret_error = -ENOMEM;
        return NULL;
    }
    w->walk->magic = WEFT_WALK_MAGIC;
    w->walk->depth_most = depth_of(options);
    w->walk->loop = weft_here;
    w->walk->open.stop = stop_walk;
    weft_list_init(&w->walk->line);
    return w;
}

int weft_walk_open_(weft_walk **ret, const char *path, const weft_walk_options *options, const char *file, int line)
{
    int rc = weft_wait_check("walk open");
    if (rc < 0)
        return rc;
    weft_os *os = weft_os_of(weft_here);
    if (!os)
        return -ENOMEM;
    if (depth_of(options) < 1 || depth_of(options) > WEFT_TREE_DEPTH)
        return -EINVAL;
    struct root_work *w = new_root(path, options, &rc);
    if (!w)
        return rc;
    rc = weft_work_run(&w->work, "walk open", open_root_in_thread, WEFT_PLACE_HERE);
    if (rc < 0)
        return rc;
    rc = w->work.job.result;
    if (rc == 0) {
        weft_list_append(&os->open[WEFT_OS_WALKS], &w->walk->open.link);
        weft_debug_made(w->walk, "a walk", file, line);
        *ret = w->walk;
        w->walk = NULL;
    }
    dispose_root(&w->work);
    return rc;
}
