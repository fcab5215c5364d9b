/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * How no wake-up is lost: the thread says that it rests, then looks at the rings once more; a loop puts, then looks whether the
 * thread rests. All four are sequentially consistent, so one of them sees the other. Whoever takes `rest` back to AWAKE owes
 * the one write to the eventfd, so it costs a loop a system call once per rest of the thread, and else a load.
 *
 * The thread is the only one that touches the file. What it shares is atomic, or under `lock` (how it ends).
 */
#include "server/access_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <weft/error.h>

#include "lib/base/check.h"
#include "lib/base/clock.h"
#include "lib/base/memory.h"

enum {
    GATHER = 10,            /* milliseconds between two writes */
    WRITE_MAX = 256 * 1024, /* bytes of one write, so that room in the ring comes back by and by */
    BLOCKED_POLL = 100,     /* milliseconds */
    NOTE_MAX = 512,
};

static const weft_duration SAY_EVERY = WEFT_SECOND, STOP_LIMIT = WEFT_SECOND;

enum rest {
    AWAKE,
    GATHERING, /* to be woken when a ring becomes half full */
    ASLEEP,    /* to be woken by any record */
};

struct weft_access_writer {
    struct weft_access_writer_options options;
    char *path;
    pthread_t thread;
    int wake_fd;
    _Atomic int rest;
    atomic_bool wants_reopen, is_stopping;
    _Atomic uint64_t written;

    pthread_mutex_t lock; /* over what follows */
    pthread_cond_t ended;
    bool has_ended, is_abandoned;

    /* the thread's own */
    int fd;
    bool is_failing;    /* the last write failed */
    bool has_open_line; /* a failed write has left a part of a line */
    uint64_t lost, lost_before, told_dropped;
    weft_duration told_at;

    weft_access_ring rings[];
};

/* ---- the file ---- */

/* Non-blocking, for a pipe with a name: one without a reader is an error then, and a full one cannot hold the stop. */
static int open_file(const char *path)
{
    if (strcmp(path, "-") == 0)
        return STDOUT_FILENO;
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0644);
    return fd < 0 ? -errno : fd;
}

static void close_file(weft_access_writer *w)
{
    if (w->fd != STDOUT_FILENO)
        close(w->fd);
}

static void say(const weft_access_writer *w, enum weft_log_level level, const char *format, ...) WEFT_PRINTF(3, 4);

static void say(const weft_access_writer *w, enum weft_log_level level, const char *format, ...)
{
    char words[NOTE_MAX];
    va_list args;
    if (level > w->options.log_level)
        return;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    weft_log(level, "access log %s: %s", w->path, words);
}

static void reopen(weft_access_writer *w)
{
    int fd = open_file(w->path);
    if (fd < 0) {
        say(w, WEFT_LOG_ERROR, "cannot be opened anew, the former file is kept: %s", weft_strerror(fd));
        return;
    }
    close_file(w);
    w->fd = fd;
    w->has_open_line = false;
    say(w, WEFT_LOG_INFO, "opened anew");
}

static uint64_t count_lines(const struct iovec *parts, int count)
{
    uint64_t lines = 0;
    for (int i = 0; i < count; i++) {
        const char *at = parts[i].iov_base, *end = at + parts[i].iov_len;
        while (at < end && (at = memchr(at, '\n', (size_t)(end - at)))) {
            lines++;
            at++;
        }
    }
    return lines;
}

static void skip(struct iovec *parts, int count, size_t size)
{
    for (int i = 0; i < count; i++) {
        size_t here = size < parts[i].iov_len ? size : parts[i].iov_len;
        parts[i].iov_base = (char *)parts[i].iov_base + here;
        parts[i].iov_len -= here;
        size -= here;
    }
}

static void note_failure(weft_access_writer *w, int error)
{
    if (w->is_failing)
        return;
    w->is_failing = true;
    w->lost_before = w->lost;
    say(w, WEFT_LOG_ERROR, "cannot be written to, records are lost: %s", weft_strerror(error));
}

static void note_success(weft_access_writer *w)
{
    if (!w->is_failing)
        return;
    w->is_failing = false;
    say(w, WEFT_LOG_WARNING, "is written to again; %llu records were lost", (unsigned long long)(w->lost - w->lost_before));
}

/* One attempt to go on: bytes written, 0 to try again, or -errno. */
static ssize_t write_once(weft_access_writer *w, const struct iovec *parts, int count)
{
    ssize_t n = writev(w->fd, parts, count);
    if (n >= 0)
        return n;
    if (errno == EINTR)
        return 0;
    if (errno != EAGAIN || atomic_load(&w->is_stopping))
        return -errno;
    struct pollfd fd = { .fd = w->fd, .events = POLLOUT };
    poll(&fd, 1, BLOCKED_POLL);
    return 0;
}

/* Writes two parts that end at a line's end; returns how many lines could not be written. */
static uint64_t write_lines(weft_access_writer *w, const struct iovec given[2])
{
    struct iovec parts[3] = { { (char *)(uintptr_t) "\n", w->has_open_line }, given[0], given[1] };
    size_t left = parts[0].iov_len + parts[1].iov_len + parts[2].iov_len;
    ssize_t n = 0;
    bool has_begun = false;
    while (left > 0 && (n = write_once(w, parts, 3)) >= 0) {
        has_begun |= n > 0;
        left -= (size_t)n;
        skip(parts, 3, (size_t)n);
    }
    if (n >= 0) {
        w->has_open_line = false;
        note_success(w);
        return 0;
    }
    if (has_begun) /* perhaps at a line's end, but then an empty line does little harm */
        w->has_open_line = true;
    note_failure(w, (int)n);
    return count_lines(parts + 1, 2);
}

/* ---- the rings ---- */

/* The size of the two parts up to the last line's end in them. */
static size_t whole_lines(const struct iovec parts[2])
{
    for (int i = 1; i >= 0; i--) {
        const char *end = parts[i].iov_len ? memrchr(parts[i].iov_base, '\n', parts[i].iov_len) : NULL;
        if (end)
            return (i ? parts[0].iov_len : 0) + (size_t)(end - (const char *)parts[i].iov_base) + 1;
    }
    weft_die("a record of the access log is longer than %d bytes", WRITE_MAX);
}

/* Writes what is in a ring; true if there was anything. */
static bool drain(weft_access_writer *w, weft_access_ring *from)
{
    size_t left = weft_ring_used(&from->ring); /* what comes meanwhile is for the next time: other rings wait */
    bool had_any = left > 0;
    while (left > 0) {
        struct iovec parts[2];
        weft_ring_peek(&from->ring, left < WRITE_MAX ? left : WRITE_MAX, parts);
        size_t size = whole_lines(parts);
        weft_ring_peek(&from->ring, size, parts);
        uint64_t lines = count_lines(parts, 2), lost = write_lines(w, parts);
        atomic_fetch_add(&w->written, lines - lost);
        w->lost += lost;
        weft_ring_take(&from->ring, size);
        left -= size;
    }
    return had_any;
}

static uint64_t sum_dropped(const weft_access_writer *w)
{
    uint64_t dropped = 0;
    for (size_t i = 0; i < w->options.ring_count; i++)
        dropped += atomic_load_explicit(&w->rings[i].dropped, memory_order_relaxed);
    return dropped;
}

/* Says what was dropped, not too often; true if there is something left to say. */
static bool tell_dropped(weft_access_writer *w, bool at_once)
{
    uint64_t dropped = sum_dropped(w) - w->told_dropped;
    if (dropped == 0)
        return false;
    weft_duration now = weft_clock_monotonic();
    if (!at_once && now - w->told_at < SAY_EVERY)
        return true;
    w->told_dropped += dropped;
    w->told_at = now;
    say(w, WEFT_LOG_WARNING, "%llu records dropped: they come faster than they can be written", (unsigned long long)dropped);
    if (!w->options.note)
        return false;
    char line[NOTE_MAX];
    struct iovec parts[2] = { { line, w->options.note(line, sizeof line, dropped) }, { NULL, 0 } };
    write_lines(w, parts); /* not counted: it is no record of a request */
    return false;
}

/* ---- the thread ---- */

static bool must_rise(const weft_access_writer *w, enum rest rest)
{
    for (size_t i = 0; i < w->options.ring_count; i++) {
        const weft_ring *ring = &w->rings[i].ring;
        if (weft_ring_used(ring) > (rest == GATHERING ? ring->size / 2 : 0))
            return true;
    }
    return false;
}

static void rest(weft_access_writer *w, enum rest how, int timeout)
{
    atomic_store(&w->rest, how);
    struct pollfd fd = { .fd = w->wake_fd, .events = POLLIN };
    if (must_rise(w, how))
        timeout = 0;
    uint64_t n;
    if (poll(&fd, 1, timeout) > 0)
        (void)!read(w->wake_fd, &n, sizeof n);
    atomic_store(&w->rest, AWAKE);
}

static bool drain_all(weft_access_writer *w)
{
    bool had_any = false;
    for (size_t i = 0; i < w->options.ring_count; i++)
        had_any |= drain(w, &w->rings[i]);
    return had_any;
}

static void write_on(weft_access_writer *w)
{
    while (!atomic_load(&w->is_stopping)) {
        bool had_any = drain_all(w), owes_words = tell_dropped(w, false);
        if (atomic_exchange(&w->wants_reopen, false))
            reopen(w);
        else
            rest(w, had_any ? GATHERING : ASLEEP, had_any ? GATHER : owes_words ? (int)(SAY_EVERY / WEFT_MILLISECOND) : -1);
    }
    drain_all(w); /* nobody puts any more */
    tell_dropped(w, true);
}

static void give_back(weft_access_writer *w)
{
    for (size_t i = 0; i < w->options.ring_count; i++)
        weft_ring_close(&w->rings[i].ring);
    pthread_cond_destroy(&w->ended);
    pthread_mutex_destroy(&w->lock);
    weft_mem_free(w->path);
    weft_mem_free(w);
}

static void *run(void *arg)
{
    weft_access_writer *w = arg;
    write_on(w);
    close_file(w);
    pthread_mutex_lock(&w->lock);
    w->has_ended = true;
    bool is_abandoned = w->is_abandoned;
    pthread_cond_signal(&w->ended);
    pthread_mutex_unlock(&w->lock);
    if (is_abandoned) {
        close(w->wake_fd);
        give_back(w);
    }
    return NULL;
}

/* Signals are for other threads; SIGPIPE, which this one may cause, stays pending and does no harm. */
static int start_thread(weft_access_writer *w)
{
    sigset_t all, former;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &former);
    int rc = -pthread_create(&w->thread, NULL, run, w);
    pthread_sigmask(SIG_SETMASK, &former, NULL);
    return rc;
}

/* ---- public ---- */

static weft_access_writer *make(const struct weft_access_writer_options *options)
{
    size_t path_size = strlen(options->path) + 1;
    weft_access_writer *w = weft_mem_calloc(1, sizeof *w + options->ring_count * sizeof w->rings[0]);
    char *path = w ? weft_mem_alloc(path_size) : NULL;
    if (!path) {
        weft_mem_free(w);
        return NULL;
    }
    w->options = *options;
    w->path = memcpy(path, options->path, path_size);
    w->told_at = -SAY_EVERY;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&w->ended, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&w->lock, NULL);
    for (size_t i = 0; i < options->ring_count; i++) {
        w->rings[i].writer = w;
        if (weft_ring_init(&w->rings[i].ring, options->ring_size) == 0)
            continue;
        give_back(w);
        return NULL;
    }
    return w;
}

int weft_access_writer_start(weft_access_writer **ret_writer, const struct weft_access_writer_options *options)
{
    weft_access_writer *w = make(options);
    if (!w)
        return -ENOMEM;
    int rc = w->fd = open_file(w->path);
    if (rc < 0)
        goto free_writer;
    rc = w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (rc < 0) {
        rc = -errno;
        goto close_it;
    }
    rc = start_thread(w);
    if (rc == 0) {
        *ret_writer = w;
        return 0;
    }
    close(w->wake_fd);
close_it:
    close_file(w);
free_writer:
    give_back(w);
    return rc;
}

weft_access_ring *weft_access_writer_ring(weft_access_writer *w, size_t n)
{
    CHECK(n < w->options.ring_count);
    return &w->rings[n];
}

static void wake(weft_access_writer *w)
{
    uint64_t one = 1;
    (void)!write(w->wake_fd, &one, sizeof one);
}

static void count_one(_Atomic uint64_t *count)
{
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + 1, memory_order_relaxed);
}

void weft_access_put(weft_access_ring *to, const char *record, size_t size)
{
    weft_access_writer *w = to->writer;
    if (weft_ring_put(&to->ring, record, size))
        count_one(&to->put);
    else
        count_one(&to->dropped);
    int how = atomic_load(&w->rest);
    if (how == AWAKE || (how == GATHERING && weft_ring_used(&to->ring) <= to->ring.size / 2))
        return;
    if (atomic_exchange(&w->rest, AWAKE) != AWAKE)
        wake(w);
}

void weft_access_writer_reopen(weft_access_writer *w)
{
    atomic_store(&w->wants_reopen, true);
    wake(w);
}

/* Waits for the thread's end, at most STOP_LIMIT; false: it has been left to itself, and gives everything back if it ever ends.
 */
static bool await_end(weft_access_writer *w, struct weft_access_counts *ret_counts)
{
    weft_duration deadline = weft_clock_monotonic() + STOP_LIMIT;
    struct timespec until = { .tv_sec = deadline / WEFT_SECOND, .tv_nsec = deadline % WEFT_SECOND };
    pthread_mutex_lock(&w->lock);
    while (!w->has_ended && pthread_cond_timedwait(&w->ended, &w->lock, &until) != ETIMEDOUT)
        ;
    bool has_ended = w->has_ended;
    w->is_abandoned = !has_ended;
    *ret_counts = (struct weft_access_counts){ .written = atomic_load(&w->written), .dropped = sum_dropped(w) };
    for (size_t i = 0; i < w->options.ring_count; i++)
        ret_counts->put += atomic_load_explicit(&w->rings[i].put, memory_order_relaxed);
    ret_counts->lost = ret_counts->put - ret_counts->written;
    pthread_t thread = w->thread;
    if (!has_ended)
        pthread_detach(thread);
    pthread_mutex_unlock(&w->lock); /* an abandoned one may be gone from here on */
    return has_ended;
}

void weft_access_writer_stop(weft_access_writer *w, struct weft_access_counts *ret_counts)
{
    atomic_store(&w->is_stopping, true);
    wake(w);
    if (!await_end(w, ret_counts))
        return;
    pthread_join(w->thread, NULL);
    close(w->wake_fd);
    give_back(w);
}
