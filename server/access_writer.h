/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The writer of the access log: one thread that carries the records of all loops to a file.
 *
 *     loop ── weft_access_put ──> its ring ──┐
 *     loop ── weft_access_put ──> its ring ──┼──> the writer's thread ──> FILE, or standard output
 *     loop ── weft_access_put ──> its ring ──┘
 *
 * A loop never waits: a record that finds no room in the loop's ring is dropped and counted. The thread sleeps while all rings
 * are empty; the first record wakes it, it writes what is there, and then gathers for 10 ms before it looks again, so that a
 * busy loop pays for at most a hundred wake-ups a second (and one more whenever its ring becomes half full), and the file gets
 * large writes. Records of one loop stay in their order, and lines are never mixed, also not with those of another process that
 * appends to the same file.
 *
 * What is dropped is said in the log of the program at most once a second, and, where the format has room for it, in the access
 * log itself. A file that cannot be written to (a full disk, a closed pipe) costs the records that were for it, which are
 * counted as lost; it is said once, and once again when writing works again. Nothing of that ever ends the server.
 */
#ifndef WEFT_SERVER_ACCESS_WRITER_H
#define WEFT_SERVER_ACCESS_WRITER_H

#include <stdint.h>

#include <weft/log.h>

#include "lib/base/ring.h"

typedef struct weft_access_writer weft_access_writer;

/* Where one loop's records go in. */
typedef struct weft_access_ring {
    weft_ring ring;
    weft_access_writer *writer;
    _Atomic uint64_t put, dropped; /* records: written by the loop's thread alone */
} weft_access_ring;

struct weft_access_writer_options {
    const char *path;              /* appended to, and made if it is not there; "-" is standard output. Copied */
    size_t ring_count, ring_size;  /* a ring for each loop; bytes each */
    enum weft_log_level log_level; /* of what it says itself, on standard error */
    /* Makes a record, with its newline, that says how many were dropped; its size. NULL where the format has none. */
    size_t (*note)(char *line, size_t size, uint64_t dropped);
};

/* Of all records: put == written + lost once it has stopped. */
struct weft_access_counts {
    uint64_t put, written;
    uint64_t lost;    /* could not be written */
    uint64_t dropped; /* never put, because the ring was full */
};

/* Opens the file and starts the thread. 0, or -errno (-ENOMEM; what open says of the file; -EAGAIN no thread). */
int weft_access_writer_start(weft_access_writer **ret_writer, const struct weft_access_writer_options *options);

/* The n-th ring. One thread at a time may put into it. */
weft_access_ring *weft_access_writer_ring(weft_access_writer *writer, size_t n);

/* A record: whole lines, newline included, not longer than the ring. Never waits. */
void weft_access_put(weft_access_ring *ring, const char *record, size_t size);

/* Has the file opened anew, by the thread, after what was put so far: for who rotates logs by renaming. If that fails, the
 * former file is kept, and it is said. From any thread. */
void weft_access_writer_reopen(weft_access_writer *writer);

/* Writes all that is left and ends the thread; no loop may put any more. It takes at most a second: a thread that hangs in a
 * write (a pipe that nobody reads, a dead file server) is left behind, with its memory, and what it has not written counts as
 * lost. */
void weft_access_writer_stop(weft_access_writer *writer, struct weft_access_counts *ret_counts);

#endif
