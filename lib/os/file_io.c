/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Reading and writing open files, a chunk a work.
 *
 * A work has a buffer of its own, so that its task may go away: what was read is copied out, what is to be written is copied in
 * (256 KiB take about as long as a thread and back: 10 us). Reads go by position (pread) and move the file's only once they are
 * told; so one that was cut short has taken nothing. A write that was abandoned counts as unfinished until its thread is back,
 * and whatever is called next waits for that.
 *
 * What has no positions (a FIFO, a terminal) is not waited for in a thread, which might be for ever: the thread says EAGAIN,
 * and the loop waits for the descriptor. A read of it takes what it reads; so an abandoned one counts as unfinished too, and
 * leaves its bytes to the next.
 */
#include "lib/os/file.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>
#include <weft/fd.h>

#include "lib/base/check.h"
#include "lib/base/memory.h"

enum { LINE_READ = 16 * 1024 /* bytes read ahead at a time for lines */ };

struct io_work {
    weft_work work;
    weft_file *file;
    int64_t offset; /* < 0: where the system's position is */
    size_t size;
    size_t done;  /* bytes written */
    bool changes; /* the file, or what is left to read in it */
    bool reads;
    weft_file_info info;
    char data[];
};

/* ---- in the thread ---- */

static int read_in_thread(void *arg)
{
    struct io_work *w = arg;
    ssize_t n;
    do
        n = w->offset < 0 ? read(w->file->fd, w->data, w->size) : pread(w->file->fd, w->data, w->size, w->offset);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : (int)n;
}

static int write_in_thread(void *arg)
{
    struct io_work *w = arg;
    while (w->done < w->size) {
        const char *data = w->data + w->done;
        size_t size = w->size - w->done;
        ssize_t n = w->offset < 0 ? write(w->file->fd, data, size)
                                  : pwrite(w->file->fd, data, size, w->offset + (int64_t)w->done);
        if (n < 0 && errno != EINTR)
            return -errno;
        w->done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int truncate_in_thread(void *arg)
{
    const struct io_work *w = arg;
    return ftruncate(w->file->fd, w->offset) < 0 ? -errno : 0;
}

static int sync_in_thread(void *arg)
{
    const struct io_work *w = arg;
    return fsync(w->file->fd) < 0 ? -errno : 0;
}

static int info_in_thread(void *arg)
{
    struct io_work *w = arg;
    struct stat st;
    if (fstat(w->file->fd, &st) < 0)
        return -errno;
    weft_file_info_from(&w->info, &st);
    return 0;
}

/* ---- works ---- */

static void abandon_io(weft_work *work)
{
    const struct io_work *w = CONTAINER_OF(work, struct io_work, work);
    w->file->unfinished += w->changes;
}

/* Room for `size` more bytes behind what has been read ahead, and a NUL. */
static int make_room(weft_file *f, size_t size)
{
    if (f->ahead_at > 0) {
        memmove(f->ahead, f->ahead + f->ahead_at, f->ahead_size);
        f->ahead_at = 0;
    }
    size_t room = f->ahead_room;
    if (room >= f->ahead_size + size + 1)
        return 0;
    while (room < f->ahead_size + size + 1)
        room = room ? room * 2 : 2 * LINE_READ;
    char *grown = weft_mem_realloc(f->ahead, room);
    if (!grown)
        return -ENOMEM;
    f->ahead = grown;
    f->ahead_room = room;
    return 0;
}

/* What an abandoned work has read and the file has no more, for the next call that reads. */
static void leave_to_next(weft_file *f, const struct io_work *w)
{
    if (!w->reads || w->work.job.result <= 0)
        return;
    size_t size = (size_t)w->work.job.result;
    if (make_room(f, size) < 0) {
        weft_log(WEFT_LOG_WARNING, "memory was out: %zu bytes that were read for a cancelled call are lost", size);
        return;
    }
    memcpy(f->ahead + f->ahead_at + f->ahead_size, w->data, size);
    f->ahead_size += size;
}

static void dispose_io(weft_work *work)
{
    struct io_work *w = CONTAINER_OF(work, struct io_work, work);
    weft_file *f = w->file;
    if (work->is_abandoned && w->changes) {
        leave_to_next(f, w);
        if (--f->unfinished == 0)
            weft_waiter_serve_all(&f->line, 0);
    }
    weft_mem_free(w);
    weft_file_leave(f);
}

static struct io_work *new_io(weft_file *f, size_t size, int64_t offset)
{
    struct io_work *w = weft_mem_alloc(sizeof *w + size);
    if (!w)
        return NULL;
    memset(w, 0, sizeof *w);
    w->work.dispose = dispose_io;
    w->work.abandoned = abandon_io;
    w->file = f;
    w->offset = offset;
    w->size = size;
    f->users++;
    return w;
}

static void withdraw_waiter(weft_wait *wait)
{
    weft_here->outside--;
    weft_waiting_withdraw(wait);
}

/* Waits until no abandoned work may change the file any more. The caller is a user of it. */
static int await_unfinished(weft_file *f, const void *place)
{
    int rc = 0;
    while (rc == 0 && f->unfinished > 0) {
        struct weft_waiting waiting = { .wait = { .withdraw = withdraw_waiter, .what = "file", .on = f, .place = place } };
        f->loop->outside++;
        rc = weft_waiting_park(&waiting, &f->line);
    }
    return rc;
}

/* Until the descriptor can be read or written: 0, or the reason. */
static int await_ready(weft_file *f, int events, const char *what, const void *place)
{
    int rc = weft_wait_check(what);
    if (rc == 0)
        rc = weft_fd_park(f->fd, events, what, f, place);
    return rc > 0 ? weft_wait_check(what) : rc;
}

static void end_call(weft_file *f, bool moves)
{
    if (moves)
        f->is_moving = false;
    weft_file_leave(f);
}

/* The beginning of every call: on success the task is a user of the file until end_call. */
static int begin_call(weft_file *f, const char *what, bool is_allowed, bool moves, const void *place)
{
    int rc = weft_wait_check(what);
    if (rc < 0)
        return rc;
    weft_file_check(f);
    if (!is_allowed)
        return -EBADF;
    if (moves && f->is_moving)
        return -EBUSY;
    f->is_moving = f->is_moving || moves;
    f->users++;
    rc = await_unfinished(f, place);
    if (rc < 0)
        end_call(f, moves);
    return rc;
}

/* ---- reading ---- */

/* What is there: as weft_file_read; -EAGAIN nothing is, yet. */
static int64_t read_chunk(weft_file *f, const char *what, void *buf, size_t size, int64_t offset, const void *place)
{
    struct io_work *w = new_io(f, size < WEFT_FILE_CHUNK ? size : WEFT_FILE_CHUNK, offset);
    if (!w)
        return -ENOMEM;
    w->reads = w->changes = !f->has_positions;
    int rc = weft_work_run(&w->work, what, read_in_thread, place);
    if (rc < 0)
        return rc;
    rc = w->work.job.result;
    if (rc > 0)
        memcpy(buf, w->data, (size_t)rc);
    dispose_io(&w->work);
    return rc;
}

static int64_t read_at(weft_file *f, const char *what, void *buf, size_t size, int64_t offset, const void *place)
{
    int64_t rc;
    do {
        rc = read_chunk(f, what, buf, size, offset, place);
        if (rc != -EAGAIN)
            return rc;
        rc = await_ready(f, WEFT_FD_READ, what, place);
    } while (rc == 0);
    return rc;
}

/* Where the next byte comes from that has not been read ahead. */
static int64_t offset_of_next(const weft_file *f)
{
    return f->has_positions ? f->position + (int64_t)f->ahead_size : -1;
}

static void take_ahead(weft_file *f, size_t size)
{
    f->ahead_at += size;
    f->ahead_size -= size;
    f->position += (int64_t)size;
}

int64_t weft_file_read(weft_file *f, void *buf, size_t size)
{
    int64_t rc = begin_call(f, "file read", f->can_read, true, WEFT_PLACE_HERE);
    if (rc < 0)
        return rc;
    if (size == 0) {
        rc = -EINVAL;
    } else if (f->ahead_size > 0) {
        rc = (int64_t)(size < f->ahead_size ? size : f->ahead_size);
        memcpy(buf, f->ahead + f->ahead_at, (size_t)rc);
        take_ahead(f, (size_t)rc);
    } else {
        rc = read_at(f, "file read", buf, size, offset_of_next(f), WEFT_PLACE_HERE);
        f->position += rc > 0 ? rc : 0;
    }
    end_call(f, true);
    return rc;
}

int64_t weft_file_pread(weft_file *f, void *buf, size_t size, int64_t offset)
{
    int64_t rc = begin_call(f, "file pread", f->can_read, false, WEFT_PLACE_HERE);
    if (rc < 0)
        return rc;
    rc = size == 0 || offset < 0 ? -EINVAL
         : !f->has_positions     ? -ESPIPE
                                 : read_at(f, "file pread", buf, size, offset, WEFT_PLACE_HERE);
    end_call(f, false);
    return rc;
}

/* ---- lines ---- */

/* The count of bytes that were read ahead; 0 at the end. */
static int read_ahead(weft_file *f, const void *place)
{
    int rc = make_room(f, LINE_READ);
    if (rc < 0)
        return rc;
    rc = (int)read_at(f, "file line", f->ahead + f->ahead_size, LINE_READ, offset_of_next(f), place);
    f->ahead_size += rc > 0 ? (size_t)rc : 0;
    return rc;
}

/* Tells the first `size` bytes as a line, or that they are too many; goes on behind them and their end. */
static int tell_line(weft_file *f, size_t size, size_t end_size, weft_bytes *ret)
{
    char *line = f->ahead + f->ahead_at;
    take_ahead(f, size + end_size);
    if (size > f->line_limit)
        return -EMSGSIZE;
    line[size] = '\0';
    *ret = (weft_bytes){ .data = line, .size = size };
    return 1;
}

/* The next line of what has been read ahead, of which `searched` bytes hold no end: as weft_file_line, but 0 for none. */
static int find_line(weft_file *f, size_t *searched, weft_bytes *ret)
{
    for (;;) {
        const char *line = f->ahead + f->ahead_at;
        const char *end = f->ahead_size > *searched ? memchr(line + *searched, '\n', f->ahead_size - *searched) : NULL;
        if (!end)
            break;
        size_t size = (size_t)(end - line);
        if (!f->skips_line)
            return tell_line(f, size, 1, ret);
        take_ahead(f, size + 1);
        f->skips_line = false;
        *searched = 0;
    }
    *searched = f->ahead_size;
    if (!f->skips_line && f->ahead_size <= f->line_limit)
        return 0;
    take_ahead(f, f->ahead_size);
    *searched = 0;
    bool was_skipping = f->skips_line;
    f->skips_line = true;
    return was_skipping ? 0 : -EMSGSIZE;
}

/* At the end of the file. */
static int tell_rest(weft_file *f, weft_bytes *ret)
{
    f->skips_line = false;
    return f->ahead_size > 0 ? tell_line(f, f->ahead_size, 0, ret) : 0;
}

static int next_line(weft_file *f, weft_bytes *ret, const void *place)
{
    size_t searched = 0;
    for (int reads = 0;; reads++) {
        int rc = find_line(f, &searched, ret);
        if (rc != 0)
            return rc;
        rc = reads > 0 ? weft_wait_check("file line") : 0; /* a reason may have come that parking would not see */
        if (rc == 0)
            rc = read_ahead(f, place);
        if (rc <= 0)
            return rc < 0 ? rc : tell_rest(f, ret);
    }
}

int weft_file_line(weft_file *f, weft_bytes *ret_line)
{
    int rc = begin_call(f, "file line", f->can_read, true, WEFT_PLACE_HERE);
    if (rc < 0)
        return rc;
    rc = next_line(f, ret_line, WEFT_PLACE_HERE);
    if (rc > 0 && f->is_closed)
        rc = WEFT_ECLOSED; /* the line goes with the file, as soon as nobody uses that */
    end_call(f, true);
    return rc;
}

/* ---- writing ---- */

/* Writes one chunk, and tells how much of it is known to be written; -EAGAIN for the rest there is no room, yet. */
static int write_chunk(weft_file *f, const char *what, const char *data, size_t size, int64_t offset, size_t *ret_done,
                       const void *place)
{
    *ret_done = 0;
    struct io_work *w = new_io(f, size, offset);
    if (!w)
        return -ENOMEM;
    memcpy(w->data, data, size);
    w->changes = true;
    int rc = weft_work_run(&w->work, what, write_in_thread, place);
    if (rc < 0)
        return rc;
    rc = w->work.job.result;
    *ret_done = w->done;
    dispose_io(&w->work);
    return rc;
}

/* The same for any number of chunks; an offset < 0 is the system's position. */
static int write_at(weft_file *f, const char *what, const char *data, size_t size, int64_t offset, size_t *ret_done,
                    const void *place)
{
    int rc = 0;
    *ret_done = 0;
    while (rc == 0 && *ret_done < size) {
        size_t left = size - *ret_done, done;
        rc = write_chunk(f, what, data + *ret_done, left < WEFT_FILE_CHUNK ? left : WEFT_FILE_CHUNK,
                         offset < 0 ? offset : offset + (int64_t)*ret_done, &done, place);
        *ret_done += done;
        if (rc == -EAGAIN)
            rc = await_ready(f, WEFT_FD_WRITE, what, place);
        else if (rc == 0 && *ret_done < size)
            rc = weft_wait_check(what);
    }
    return rc;
}

int weft_file_write(weft_file *f, const void *data, size_t size)
{
    int rc = begin_call(f, "file write", f->can_write, true, WEFT_PLACE_HERE);
    if (rc < 0)
        return rc;
    size_t done;
    bool is_placed = f->has_positions && !f->appends;
    f->ahead_at = f->has_positions ? 0 : f->ahead_at; /* what was read ahead may change */
    f->ahead_size = f->has_positions ? 0 : f->ahead_size;
    f->skips_line = false;
    rc = write_at(f, "file write", data, size, is_placed ? f->position : -1, &done, WEFT_PLACE_HERE);
    f->position += is_placed ? (int64_t)done : 0;
    end_call(f, true);
    return rc;
}

int weft_file_pwrite(weft_file *f, const void *data, size_t size, int64_t offset)
{
    int rc = begin_call(f, "file pwrite", f->can_write, false, WEFT_PLACE_HERE);
    if (rc < 0)
        return rc;
    size_t done;
    rc = offset < 0          ? -EINVAL
         : !f->has_positions ? -ESPIPE
                             : write_at(f, "file pwrite", data, size, offset, &done, WEFT_PLACE_HERE);
    end_call(f, false);
    return rc;
}

/* ---- the rest ---- */

static int run_simple(weft_file *f, const char *what, int (*fn)(void *work), int64_t offset, bool changes, weft_file_info *ret,
                      const void *place)
{
    struct io_work *w = new_io(f, 0, offset);
    if (!w)
        return -ENOMEM;
    w->changes = changes;
    int rc = weft_work_run(&w->work, what, fn, place);
    if (rc < 0)
        return rc;
    rc = w->work.job.result;
    if (rc == 0 && ret)
        *ret = w->info;
    dispose_io(&w->work);
    return rc;
}

int weft_file_truncate(weft_file *f, int64_t size)
{
    int rc = begin_call(f, "file truncate", f->can_write, false, WEFT_PLACE_HERE);
    if (rc < 0)
        return rc;
    rc = size < 0 ? -EINVAL : run_simple(f, "file truncate", truncate_in_thread, size, true, NULL, WEFT_PLACE_HERE);
    end_call(f, false);
    return rc;
}

int weft_file_sync(weft_file *f)
{
    int rc = begin_call(f, "file sync", true, false, WEFT_PLACE_HERE);
    if (rc < 0)
        return rc;
    rc = run_simple(f, "file sync", sync_in_thread, 0, false, NULL, WEFT_PLACE_HERE);
    end_call(f, false);
    return rc;
}

int weft_file_get_info(weft_file *f, weft_file_info *ret)
{
    int rc = begin_call(f, "file info", true, false, WEFT_PLACE_HERE);
    if (rc < 0)
        return rc;
    rc = run_simple(f, "file info", info_in_thread, 0, false, ret, WEFT_PLACE_HERE);
    end_call(f, false);
    return rc;
}
