/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* The thread that writes the access log: many rings, files that cannot be written to, reopening, and the bound of its stop. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "server/access_writer.h"

struct place {
    char folder[64], path[96], other[96];
};

static int make_place(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    snprintf(place->folder, sizeof place->folder, "/tmp/weft-access-XXXXXX");
    if (!mkdtemp(place->folder))
        return -1;
    snprintf(place->path, sizeof place->path, "%s/log", place->folder);
    snprintf(place->other, sizeof place->other, "%s/log.1", place->folder);
    *state = place;
    return 0;
}

static int remove_place(void **state)
{
    struct place *place = *state;
    unlink(place->path);
    unlink(place->other);
    int rc = rmdir(place->folder);
    free(place);
    return rc;
}

static weft_access_writer *start(const char *path, size_t ring_count, size_t ring_size)
{
    weft_access_writer *writer = NULL;
    struct weft_access_writer_options options = { .path = path, .ring_count = ring_count, .ring_size = ring_size };
    assert_int_equal(weft_access_writer_start(&writer, &options), 0);
    return writer;
}

/* The whole file; NUL behind it. To be freed. */
static char *read_file(const char *path, size_t *ret_size)
{
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    struct stat status;
    assert_int_equal(fstat(fileno(file), &status), 0);
    char *text = calloc(1, (size_t)status.st_size + 1);
    *ret_size = fread(text, 1, (size_t)status.st_size, file);
    fclose(file);
    return text;
}

static void check_file(const char *path, const char *expected)
{
    size_t size;
    char *text = read_file(path, &size);
    assert_string_equal(text, expected);
    free(text);
}

/* Waits until the file has so many bytes; false after five seconds. */
static bool await_size(const char *path, off_t size)
{
    for (int i = 0; i < 5000; i++) {
        struct stat status;
        if (stat(path, &status) == 0 && status.st_size == size)
            return true;
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    }
    return false;
}

static void put(weft_access_writer *writer, size_t ring, const char *text)
{
    weft_access_put(weft_access_writer_ring(writer, ring), text, strlen(text));
}

/* ---- what is written ---- */

static void appends_and_ends(void **state)
{
    const struct place *place = *state;
    struct weft_access_counts n;
    for (int i = 0; i < 2; i++) {
        weft_access_writer *writer = start(place->path, 1, 65536);
        put(writer, 0, "one\n");
        put(writer, 0, "two\n");
        weft_access_writer_stop(writer, &n);
        assert_int_equal(n.put, 2);
        assert_int_equal(n.written, 2);
        assert_int_equal(n.lost, 0);
        assert_int_equal(n.dropped, 0);
    }
    check_file(place->path, "one\ntwo\none\ntwo\n");
}

static void a_sleeping_thread_wakes(void **state)
{
    const struct place *place = *state;
    struct weft_access_counts n;
    weft_access_writer *writer = start(place->path, 1, 65536);
    for (off_t i = 1; i <= 20; i++) { /* each time it has gone to sleep, or is about to */
        put(writer, 0, "1234567\n");
        assert_true(await_size(place->path, 8 * i));
        nanosleep(&(struct timespec){ .tv_nsec = (long)i * 1000000 }, NULL);
    }
    weft_access_writer_stop(writer, &n);
    assert_int_equal(n.written, 20);
}

static void nothing_to_write(void **state)
{
    const struct place *place = *state;
    struct weft_access_counts n;
    weft_access_writer_stop(start(place->path, 3, 65536), &n);
    assert_int_equal(n.put + n.written + n.lost + n.dropped, 0);
    check_file(place->path, "");
}

static void cannot_start(void **state)
{
    (void)state;
    weft_access_writer *writer = NULL;
    struct weft_access_writer_options options = { .path = "/nowhere/at/all", .ring_count = 1, .ring_size = 65536 };
    assert_int_equal(weft_access_writer_start(&writer, &options), -ENOENT);
    options.path = "/tmp";
    assert_int_equal(weft_access_writer_start(&writer, &options), -EISDIR);
    assert_null(writer);
}

/* ---- many loops ---- */

enum { LOOPS = 3, RECORDS = 30000 };

struct producer {
    weft_access_ring *ring;
    int number;
};

static void *put_records(void *arg)
{
    const struct producer *p = arg;
    for (int i = 0; i < RECORDS; i++) {
        char line[64];
        int size = snprintf(line, sizeof line, "%d %d %.*s\n", p->number, i, i % 30, "abcdefghijklmnopqrstuvwxyzabcd");
        weft_access_put(p->ring, line, (size_t)size);
        if (i % 1000 == 0)
            sched_yield();
    }
    return NULL;
}

static void many_rings(void **state)
{
    const struct place *place = *state;
    struct producer producers[LOOPS];
    pthread_t threads[LOOPS];
    struct weft_access_counts n;
    weft_access_writer *writer = start(place->path, LOOPS, 65536);
    for (int i = 0; i < LOOPS; i++) {
        producers[i] = (struct producer){ weft_access_writer_ring(writer, (size_t)i), i };
        assert_int_equal(pthread_create(&threads[i], NULL, put_records, &producers[i]), 0);
    }
    for (int i = 0; i < LOOPS; i++)
        pthread_join(threads[i], NULL);
    weft_access_writer_stop(writer, &n);
    assert_int_equal(n.put + n.dropped, LOOPS * RECORDS);
    assert_int_equal(n.written, n.put);
    /* Each line whole, and those of one loop in their order. */
    size_t size;
    char *text = read_file(place->path, &size);
    long last[LOOPS] = { -1, -1, -1 };
    uint64_t lines = 0;
    for (char *at = text, *end; at < text + size; at = end + 1, lines++) {
        end = memchr(at, '\n', (size_t)(text + size - at));
        assert_non_null(end);
        *end = '\0'; /* a sanitizer that is strict of strings reads all of each */
        char *behind;
        long number = strtol(at, &behind, 10), i = strtol(behind + 1, &behind, 10);
        assert_in_range(number, 0, LOOPS - 1);
        assert_true(i > last[number]);
        assert_int_equal(end - behind - 1, i % 30);
        last[number] = i;
    }
    assert_int_equal(lines, n.written);
    free(text);
}

/* ---- files that cannot be written to ---- */

static size_t note(char *line, size_t size, uint64_t dropped)
{
    return (size_t)snprintf(line, size, "dropped %llu\n", (unsigned long long)dropped);
}

static void full_ring_drops(void **state)
{
    const struct place *place = *state;
    struct weft_access_counts n;
    weft_access_writer *writer = NULL;
    struct weft_access_writer_options options = {
        .path = place->path, .ring_count = 1, .ring_size = 64, .log_level = WEFT_LOG_ERROR, .note = note
    };
    assert_int_equal(weft_access_writer_start(&writer, &options), 0);
    char line[66];
    memset(line, 'x', sizeof line);
    line[64] = '\n'; /* never fits */
    for (int i = 0; i < 5; i++)
        weft_access_put(weft_access_writer_ring(writer, 0), line, 65);
    put(writer, 0, "fits\n");
    weft_access_writer_stop(writer, &n);
    assert_int_equal(n.dropped, 5);
    assert_int_equal(n.put, 1);
    assert_int_equal(n.written, 1);
    size_t size;
    char *text = read_file(place->path, &size);
    assert_non_null(strstr(text, "fits\n"));
    int noted = 0;
    for (const char *at = text; (at = strstr(at, "dropped ")); at++)
        noted += (int)strtol(at + 8, NULL, 10);
    assert_int_equal(noted, 5);
    free(text);
}

static void full_disk(void **state)
{
    (void)state;
    struct weft_access_counts n;
    weft_access_writer *writer = start("/dev/full", 1, 65536);
    for (int i = 0; i < 100; i++)
        put(writer, 0, "record\n");
    weft_access_writer_stop(writer, &n);
    assert_int_equal(n.put, 100);
    assert_int_equal(n.lost, 100);
    assert_int_equal(n.written, 0);
}

/* A pipe with a name; its reader's end. */
static int open_pipe(const struct place *place)
{
    assert_int_equal(mkfifo(place->path, 0600), 0);
    int fd = open(place->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void closed_pipe(void **state)
{
    const struct place *place = *state;
    struct weft_access_counts n;
    int fd = open_pipe(place);
    weft_access_writer *writer = start(place->path, 1, 65536);
    close(fd);
    put(writer, 0, "lost\n"); /* and no SIGPIPE */
    put(writer, 0, "lost\n");
    weft_access_writer_stop(writer, &n);
    assert_int_equal(n.lost, 2);
}

static void a_pipe_without_a_reader_is_an_error(void **state)
{
    const struct place *place = *state;
    close(open_pipe(place));
    weft_access_writer *writer = NULL;
    struct weft_access_writer_options options = { .path = place->path, .ring_count = 1, .ring_size = 65536 };
    assert_int_equal(weft_access_writer_start(&writer, &options), -ENXIO);
}

/* A pipe that nobody empties: part of it is written, the rest is lost, and the stop does not wait for ever. */
static void stuck_pipe(void **state)
{
    const struct place *place = *state;
    struct weft_access_counts n;
    int fd = open_pipe(place);
    weft_access_writer *writer = start(place->path, 1, 1 << 20);
    char line[1001];
    memset(line, 'x', sizeof line);
    memcpy(line + 999, "\n", 2);
    for (int i = 0; i < 500; i++)
        put(writer, 0, line);
    weft_duration began = weft_clock_monotonic();
    weft_access_writer_stop(writer, &n);
    assert_true(weft_clock_monotonic() - began < 3 * WEFT_SECOND);
    assert_int_equal(n.put, 500);
    assert_true(n.written > 0 && n.lost > 0);
    assert_int_equal(n.written + n.lost, 500);
    close(fd);
}

/* A pipe that is emptied late: nothing is lost. */
static void a_full_pipe_goes_on(void **state)
{
    const struct place *place = *state;
    struct weft_access_counts n;
    int fd = open_pipe(place), size = fcntl(fd, F_SETPIPE_SZ, 4096);
    assert_true(size >= 4096);
    weft_access_writer *writer = start(place->path, 1, 1 << 20);
    char *line = calloc(1, (size_t)size + 102), *text = calloc(1, (size_t)size + 102);
    memset(line, 'x', (size_t)size + 100);
    line[size + 100] = '\n';
    put(writer, 0, line); /* more than the pipe takes */
    ssize_t got = 0;
    for (int i = 0; i < 5000 && got < size + 101; i++) {
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
        ssize_t more = read(fd, text + got, (size_t)(size + 101 - got));
        got += more > 0 ? more : 0;
    }
    assert_string_equal(text, line);
    weft_access_writer_stop(writer, &n);
    assert_int_equal(n.written, 1);
    close(fd);
    free(line);
    free(text);
}

/* A disk that becomes full in the middle of a line, and has room again later: the next record begins a line. */
static void a_cut_line_is_ended(void **state)
{
    const struct place *place = *state;
    struct weft_access_counts n;
    struct rlimit former, small;
    weft_access_writer *writer = start(place->path, 1, 65536);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &former), 0);
    small = former;
    small.rlim_cur = 10;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    put(writer, 0, "first\n");
    assert_true(await_size(place->path, 6));
    put(writer, 0, "second\n"); /* four bytes of it */
    assert_true(await_size(place->path, 10));
    put(writer, 0, "third\n"); /* none */
    nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &former), 0);
    put(writer, 0, "fourth\n");
    weft_access_writer_stop(writer, &n);
    check_file(place->path, "first\nseco\nfourth\n");
    assert_int_equal(n.written, 2);
    assert_int_equal(n.lost, 2);
}

/* ---- reopening ---- */

static void reopens(void **state)
{
    const struct place *place = *state;
    struct weft_access_counts n;
    weft_access_writer *writer = start(place->path, 1, 65536);
    put(writer, 0, "before\n");
    assert_true(await_size(place->path, 7));
    assert_int_equal(rename(place->path, place->other), 0);
    put(writer, 0, "between\n");
    assert_true(await_size(place->other, 15));
    weft_access_writer_reopen(writer);
    assert_true(await_size(place->path, 0));
    put(writer, 0, "after\n");
    weft_access_writer_stop(writer, &n);
    assert_int_equal(n.written, 3);
    check_file(place->other, "before\nbetween\n");
    check_file(place->path, "after\n");
}

static void keeps_the_former_file(void **state)
{
    struct place *place = *state;
    struct weft_access_counts n;
    weft_access_writer *writer = start(place->path, 1, 65536);
    assert_int_equal(rename(place->path, place->other), 0);
    assert_int_equal(mkdir(place->path, 0700), 0);
    weft_access_writer_reopen(writer); /* a folder cannot be opened */
    put(writer, 0, "kept\n");
    assert_true(await_size(place->other, 5));
    weft_access_writer_stop(writer, &n);
    assert_int_equal(rmdir(place->path), 0);
    check_file(place->other, "kept\n");
}

#define IN_A_PLACE(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_PLACE(appends_and_ends),
        IN_A_PLACE(a_sleeping_thread_wakes),
        IN_A_PLACE(nothing_to_write),
        cmocka_unit_test(cannot_start),
        IN_A_PLACE(many_rings),
        IN_A_PLACE(full_ring_drops),
        cmocka_unit_test(full_disk),
        IN_A_PLACE(closed_pipe),
        IN_A_PLACE(a_pipe_without_a_reader_is_an_error),
        IN_A_PLACE(stuck_pipe),
        IN_A_PLACE(a_full_pipe_goes_on),
        IN_A_PLACE(a_cut_line_is_ended),
        IN_A_PLACE(reopens),
        IN_A_PLACE(keeps_the_former_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
