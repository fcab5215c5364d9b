/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* The waiting calls of weft/stream.h over pairs in memory, in virtual time. */
#include <weft/stream.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <weft/log.h>
#include <weft/test.h>

#include "lib/base/random.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void fill(char *buf, size_t size)
{
    uint64_t state = 1;
    for (size_t i = 0; i < size; i++)
        buf[i] = (char)weft_random_next(&state);
}

/* Reads to the end, into a buffer of `room` bytes. Returns the count, or < 0. */
static int64_t read_all(weft_stream *s, char *buf, size_t room)
{
    size_t size = 0;
    for (;;) {
        char none;
        int64_t n = weft_stream_read(s, size < room ? buf + size : &none, size < room ? room - size : 1);
        if (n < 0)
            return n;
        if (n == 0)
            return (int64_t)size;
        WEFT_CHECK(size < room);
        size += (size_t)n;
    }
}

struct job {
    weft_stream *s;
    const char *data; /* to write */
    char *into;       /* to read */
    size_t size;
    weft_duration ended;
    int result;
};

static int write_job(void *arg)
{
    struct job *job = arg;
    job->result = weft_stream_write(job->s, job->data, job->size);
    job->ended = weft_now();
    return 0;
}

static int read_job(void *arg)
{
    struct job *job = arg;
    job->result = (int)weft_stream_read(job->s, job->into, job->size);
    job->ended = weft_now();
    return 0;
}

/* ---- reading and writing ---- */

static int echo(void *arg)
{
    weft_stream *s = arg;
    char buf[7];
    int64_t n;
    while ((n = weft_stream_read(s, buf, sizeof buf)) > 0)
        WEFT_TRY(weft_stream_write(s, buf, (size_t)n));
    weft_stream_close(s);
    return (int)n;
}

static int test_conversation(void)
{
    weft_stream *a, *b;
    char buf[100];
    WEFT_TRY(weft_stream_pair(&a, &b, 0));
    WEFT_GROUP (g) {
        weft_go(&g, echo, b);
        WEFT_CHECK(weft_stream_write(a, "hello, this is long", 19) == 0);
        for (size_t size = 0; size < 19;) {
            int64_t n = weft_stream_read(a, buf + size, sizeof buf - size);
            WEFT_CHECK(n > 0);
            size += n > 0 ? (size_t)n : 19;
        }
        WEFT_CHECK(memcmp(buf, "hello, this is long", 19) == 0);
        WEFT_CHECK(weft_stream_shutdown(a) == 0);
        WEFT_CHECK(weft_stream_write(a, "x", 1) == -EPIPE);
        WEFT_CHECK(weft_stream_read(a, buf, sizeof buf) == 0);
        WEFT_CHECK(weft_stream_read(a, buf, sizeof buf) == 0); /* again and again */
        weft_stream_close(a);
    }
    return g.result;
}

static int test_wrong_calls(void)
{
    weft_stream *a, *b;
    char byte;
    WEFT_CHECK(weft_stream_pair(&a, &b, 16 * 1024 * 1024 + 1) == -EINVAL);
    WEFT_TRY(weft_stream_pair(&a, &b, 1));
    WEFT_CHECK(weft_stream_read(a, &byte, 0) == -EINVAL);
    WEFT_CHECK(weft_stream_write(a, "", 0) == 0);
    weft_stream *nothing = NULL;
    weft_stream_drop(&nothing);
    weft_stream_close(NULL);
    struct job reader = { .s = a, .into = &byte, .size = 1 }, writer = { .s = a, .data = "12", .size = 2 };
    WEFT_GROUP (g) {
        weft_go(&g, read_job, &reader);
        weft_go(&g, write_job, &writer);
        WEFT_CHECK(weft_sleep(WEFT_SECOND) == 0);
        WEFT_CHECK(weft_stream_read(a, &byte, 1) == -EBUSY);
        WEFT_CHECK(weft_stream_write(a, "x", 1) == -EBUSY);
        WEFT_CHECK(weft_stream_write(b, "y", 1) == 0);
        WEFT_CHECK(weft_stream_read(b, &byte, 1) == 1 && byte == '1');
        WEFT_CHECK(weft_stream_read(b, &byte, 1) == 1 && byte == '2');
    }
    WEFT_CHECK(reader.result == 1 && writer.result == 0);
    weft_stream_close(a);
    weft_stream_close(b);
    return g.result;
}

static int test_sizes(void)
{
    static const size_t capacities[] = { 1, 7, 4096, 65536, 1 << 20 };
    static const size_t sizes[] = { 1, 6, 7, 8, 4095, 65535, 65536, 65537, 300000 };
    char *data = malloc(300000), *got = malloc(300000);
    fill(data, 300000);
    for (size_t c = 0; c < COUNT(capacities); c++) {
        for (size_t k = 0; k < COUNT(sizes); k++) {
            if (sizes[k] / capacities[c] > 50000)
                continue;
            weft_stream *a, *b;
            WEFT_TRY(weft_stream_pair(&a, &b, capacities[c]));
            struct job writer = { .s = a, .data = data, .size = sizes[k] };
            WEFT_GROUP (g) {
                weft_go(&g, write_job, &writer);
                size_t size = 0;
                while (size < sizes[k]) {
                    int64_t n = weft_stream_read(b, got + size, sizes[k] - size);
                    WEFT_CHECK(n > 0);
                    size = n > 0 ? size + (size_t)n : sizes[k];
                }
            }
            WEFT_CHECK(writer.result == 0 && memcmp(got, data, sizes[k]) == 0);
            weft_stream_close(a);
            WEFT_CHECK(weft_stream_read(b, got, 1) == 0);
            weft_stream_close(b);
        }
    }
    free(data);
    free(got);
    return 0;
}

/* What is written before a close arrives, however slow the reader was. */
static int test_close_loses_nothing(void)
{
    static char data[3000], got[3000];
    fill(data, sizeof data);
    weft_stream *a, *b;
    WEFT_TRY(weft_stream_pair(&a, &b, 100));
    struct job writer = { .s = a, .data = data, .size = sizeof data };
    WEFT_GROUP (g) {
        weft_go(&g, write_job, &writer);
        WEFT_CHECK(weft_sleep(WEFT_HOUR) == 0);
        for (size_t size = 0; size < 2900;) {
            int64_t n = weft_stream_read(b, got + size, 2900 - size);
            size += n > 0 ? (size_t)n : 2900;
        }
    }
    WEFT_CHECK(writer.result == 0 && writer.ended == WEFT_HOUR);
    weft_stream_close(a);
    WEFT_CHECK(weft_sleep(WEFT_SECOND) == 0);
    WEFT_CHECK(read_all(b, got + 2900, 100) == 100 && memcmp(got, data, sizeof data) == 0);
    weft_stream_close(b);
    return g.result;
}

/* A writer waits until its bytes have been taken, and no more than the limits is held in between. */
static int test_back_pressure(void)
{
    enum { SIZE = 1024 * 1024, CAPACITY = 1000, AHEAD = 64 * 1024, EVENT = 64 * 1024 };
    char *data = malloc(SIZE), *got = malloc(SIZE);
    fill(data, SIZE);
    weft_stream *a, *b;
    WEFT_TRY(weft_stream_pair(&a, &b, CAPACITY));
    size_t written = 0;
    WEFT_TIMEOUT (limit, WEFT_HOUR) {
        WEFT_CHECK(weft_stream_write(a, data, 1) == 0);
        WEFT_CHECK(weft_stream_read(b, got, 1) == 1); /* reading ahead is on now */
        for (written = 1; written < SIZE; written += 1000)
            if (weft_stream_write(a, data + written, 1000) < 0)
                break;
    }
    WEFT_CHECK(limit.expired);
    WEFT_CHECK(written >= AHEAD && written < AHEAD + EVENT + 2 * CAPACITY);
    weft_stream_close(a);
    int64_t size = read_all(b, got + 1, SIZE - 1);
    WEFT_CHECK(size + 1 >= (int64_t)written && memcmp(got, data, (size_t)size + 1) == 0);
    weft_stream_close(b);
    free(data);
    free(got);
    return 0;
}

/* Reading ahead goes on before all of it has been read. */
static int test_reads_ahead_again(void)
{
    static char data[80000], got[80000];
    fill(data, sizeof data);
    weft_stream *a, *b;
    WEFT_TRY(weft_stream_pair(&a, &b, 1000));
    struct job writer = { .s = a, .data = data, .size = sizeof data, .ended = -1 };
    WEFT_GROUP (g) {
        weft_go(&g, write_job, &writer);
        WEFT_CHECK(weft_stream_read(b, got, 1) == 1);
        WEFT_CHECK(weft_sleep(WEFT_SECOND) == 0 && writer.ended == -1);
        WEFT_CHECK(weft_stream_read(b, got + 1, 20000) == 20000);
        WEFT_CHECK(weft_sleep(WEFT_SECOND) == 0 && writer.ended == -1); /* more than the half is there */
        WEFT_CHECK(weft_stream_read(b, got + 20001, 20000) == 20000);
        WEFT_CHECK(weft_sleep(WEFT_SECOND) == 0 && writer.ended == 2 * WEFT_SECOND);
    }
    weft_stream_close(a);
    WEFT_CHECK(read_all(b, got + 40001, 39999) == 39999 && memcmp(got, data, sizeof data) == 0);
    weft_stream_close(b);
    return g.result;
}

/* ---- cut short ---- */

static int test_cut_read_loses_nothing(void)
{
    weft_stream *a, *b;
    char buf[10];
    WEFT_TRY(weft_stream_pair(&a, &b, 0));
    WEFT_TIMEOUT (limit, WEFT_SECOND) {
        WEFT_CHECK(weft_stream_read(a, buf, sizeof buf) == WEFT_EDEADLINE);
        WEFT_CHECK(weft_stream_read(a, buf, sizeof buf) == WEFT_EDEADLINE);
    }
    WEFT_CHECK(limit.expired && weft_now() == WEFT_SECOND);
    WEFT_CHECK(weft_stream_write(b, "abcdef", 6) == 0);
    WEFT_CHECK(weft_sleep(WEFT_SECOND) == 0); /* now it has been read ahead */
    WEFT_TIMEOUT (passed, 0) {
        WEFT_CHECK(weft_stream_read(a, buf, sizeof buf) == WEFT_EDEADLINE); /* also what need not wait takes nothing */
    }
    WEFT_CHECK(weft_stream_read(a, buf, 4) == 4 && memcmp(buf, "abcd", 4) == 0);
    WEFT_CHECK(weft_stream_read(a, buf, sizeof buf) == 2 && memcmp(buf, "ef", 2) == 0);
    weft_stream_close(a);
    weft_stream_close(b);
    return 0;
}

static int test_cut_write(void)
{
    char data[100], got[200];
    memset(data, '1', sizeof data);
    weft_stream *a, *b;
    WEFT_TRY(weft_stream_pair(&a, &b, 10));
    for (int i = 0; i < 3; i++) {
        WEFT_TIMEOUT (limit, WEFT_SECOND) {
            WEFT_CHECK(weft_stream_write(a, data, sizeof data) == WEFT_EDEADLINE);
        }
    }
    struct job writer = { .s = a, .data = "22", .size = 2 };
    WEFT_GROUP (g) {
        weft_go(&g, write_job, &writer);
        size_t size = 0;
        while (size < 102) {
            int64_t n = weft_stream_read(b, got + size, sizeof got - size);
            size += n > 0 ? (size_t)n : 102;
        }
        /* What the first had begun goes; the others, which could only wait for it, have sent nothing. */
        WEFT_CHECK(size == 102 && memcmp(got, data, 100) == 0 && memcmp(got + 100, "22", 2) == 0);
    }
    WEFT_CHECK(writer.result == 0);
    weft_stream_close(a);
    WEFT_CHECK(read_all(b, got, sizeof got) == 0);
    weft_stream_close(b);
    return g.result;
}

/* A reason that comes when a part has been sent and the writer was woken for the next: it must not park again. */
struct late {
    struct job writer;
    bool main_was_cut;
};

static int cut_between_parts(void *arg)
{
    static char data[300 * 1024], got[100 * 1024];
    struct late *late = arg;
    weft_stream *a, *b;
    WEFT_TRY(weft_stream_pair(&a, &b, 1000));
    *late = (struct late){ .writer = { .s = a, .data = data, .size = sizeof data } };
    WEFT_GROUP (g) {
        weft_go(&g, write_job, &late->writer);
        size_t size = 0;
        int64_t n = 1;
        while (n > 0 && size < 70 * 1024) { /* the first part and some of the second */
            n = weft_stream_read(b, got + size, sizeof got - size);
            size += n > 0 ? (size_t)n : 0;
        }
        if (n < 0 || weft_sleep(WEFT_HOUR) < 0 || weft_cancelled())
            late->main_was_cut = true;
        weft_stream_close(b);
    }
    weft_stream_close(a);
    return 0;
}

static int test_cut_between_parts(void)
{
    struct late late;
    int cut = 0;
    weft_test_report report = { .waits = 1 };
    for (uint64_t n = 1; n <= report.waits; n++) {
        weft_test_run(cut_between_parts, &late, &report, .cancel_at = n, .cancel_when = WEFT_CANCEL_WOKEN, .quiet = true);
        if (late.main_was_cut || !report.struck || late.writer.result != WEFT_ECANCELED)
            continue;
        cut++;
        WEFT_CHECK(late.writer.ended < WEFT_SECOND);
    }
    WEFT_CHECK(cut > 0);
    return 0;
}

static int test_close_while_waiting(void)
{
    weft_stream *a, *b;
    char buf[10];
    WEFT_TRY(weft_stream_pair(&a, &b, 1));
    struct job reader = { .s = a, .into = buf, .size = 10 }, writer = { .s = a, .data = "xyz", .size = 3 };
    WEFT_GROUP (g) {
        weft_go(&g, read_job, &reader);
        weft_go(&g, write_job, &writer);
        WEFT_CHECK(weft_sleep(WEFT_SECOND) == 0);
        weft_stream_close(a);
    }
    WEFT_CHECK(reader.result == WEFT_ECLOSED && writer.result == WEFT_ECLOSED && reader.ended == WEFT_SECOND);
    WEFT_CHECK(weft_stream_read(b, buf, 10) == 1 && weft_stream_read(b, buf, 10) == 0);
    WEFT_CHECK(weft_stream_write(b, "x", 1) == -EPIPE);
    weft_stream_close(b);
    return g.result;
}

/* A close between the wake-up of a writer and its next step. */
static int read_and_close(void *arg)
{
    weft_stream **pair = arg;
    char buf[10];
    int64_t n = weft_stream_read(pair[1], buf, 10); /* woken in the same turn as the writer whose place this makes */
    weft_stream_close(pair[0]);
    weft_stream_close(pair[1]);
    return n < 0 ? (int)n : 0;
}

static int close_races(void *arg)
{
    (void)arg;
    weft_stream *pair[2];
    WEFT_TRY(weft_stream_pair(&pair[0], &pair[1], 2));
    struct job writer = { .s = pair[0], .data = "12345", .size = 5 };
    WEFT_GROUP (g) {
        weft_go(&g, write_job, &writer);
        weft_go(&g, read_and_close, pair);
    }
    WEFT_CHECK(writer.result == 0 || writer.result == WEFT_ECLOSED);
    return g.result;
}

static int test_close_races(void)
{
    for (uint64_t seed = 0; seed < 50; seed++)
        WEFT_CHECK(weft_test_run(close_races, NULL, NULL, .seed = seed) == 0);
    return 0;
}

static int test_peer_resets(void)
{
    weft_stream *a, *b;
    char buf[10];
    WEFT_TRY(weft_stream_pair(&a, &b, 1));
    struct job reader = { .s = a, .into = buf, .size = 10 }, writer = { .s = a, .data = "xyz", .size = 3 };
    WEFT_GROUP (g) {
        weft_go(&g, read_job, &reader);
        weft_go(&g, write_job, &writer);
        WEFT_CHECK(weft_sleep(WEFT_SECOND) == 0);
        weft_stream_close(b); /* with input unread */
    }
    WEFT_CHECK(reader.result == -ECONNRESET && writer.result == -ECONNRESET);
    WEFT_CHECK(weft_stream_read(a, buf, 10) == -ECONNRESET && weft_stream_write(a, "x", 1) == -ECONNRESET);
    WEFT_CHECK(weft_stream_shutdown(a) == -ENOTCONN);
    weft_stream_close(a);
    return g.result;
}

static int wait_for_nothing(void *arg)
{
    (void)arg;
    weft_stream *a, *b;
    char byte;
    WEFT_TRY(weft_stream_pair(&a, &b, 1));
    WEFT_CHECK(weft_stream_read(a, &byte, 1) == WEFT_ECANCELED);
    weft_stream_close(a);
    weft_stream_close(b);
    return 0;
}

/* A stream in memory is nothing from outside: a wait that nothing can end is a deadlock. */
static int test_deadlock(void)
{
    WEFT_CHECK(weft_test_run(wait_for_nothing, NULL, NULL, .quiet = true) == -EDEADLK);
    return 0;
}

/* ---- left open ---- */

struct sink {
    int warnings;
    bool tells_two;
};

static void count_warning(void *context, enum weft_log_level level, const char *line, size_t size)
{
    (void)size;
    struct sink *sink = context;
    sink->warnings += level == WEFT_LOG_WARNING;
    sink->tells_two |= strstr(line, "2 streams were left open") != NULL;
}

static int leave_open(void *arg)
{
    weft_stream *a, *b, *c, *d;
    weft_log_set_sink(count_warning, arg);
    WEFT_TRY(weft_stream_pair(&a, &b, 0));
    WEFT_TRY(weft_stream_pair(&c, &d, 0));
    WEFT_CHECK(weft_stream_write(a, "x", 1) == 0);
    weft_stream_close(c);
    weft_stream_close(b);
    return 0;
}

static int test_left_open(void)
{
    struct sink sink = { 0 };
    WEFT_CHECK(weft_test_run(leave_open, &sink, NULL) == 0);
    WEFT_CHECK(sink.warnings == 1 && sink.tells_two);
    return 0;
}

/* ---- torture ---- */

/* A writer and a reader through a narrow pair; afterwards what is left is read, so that every byte is accounted for. */
struct torture {
    weft_stream *a, *b;
    weft_group *group;
    char data[3000], got[3000];
    size_t written, got_size; /* by writes that returned 0 */
    int write_result, read_result;
};

static int torture_write(void *arg)
{
    struct torture *t = arg;
    static const size_t sizes[] = { 1, 500, 20, 700, 64, 65 };
    for (size_t i = 0; i < COUNT(sizes); i++) {
        t->write_result = weft_stream_write(t->a, t->data + t->written, sizes[i]);
        if (t->write_result < 0) {
            weft_group_cancel(t->group);
            return t->write_result;
        }
        t->written += sizes[i];
    }
    return weft_stream_shutdown(t->a);
}

static int torture_read(void *arg)
{
    struct torture *t = arg;
    static const size_t sizes[] = { 1, 3, 100, 1000 };
    for (size_t i = 0;; i++) {
        int64_t n = weft_stream_read(t->b, t->got + t->got_size, sizes[i % COUNT(sizes)]);
        if (n <= 0) {
            t->read_result = (int)n;
            if (n < 0)
                weft_group_cancel(t->group);
            return (int)n;
        }
        t->got_size += (size_t)n;
    }
}

static int torture_body(void *arg)
{
    struct torture *t = arg;
    *t = (struct torture){ 0 };
    fill(t->data, sizeof t->data);
    int rc = weft_stream_pair(&t->a, &t->b, 64);
    if (rc < 0)
        return rc;
    WEFT_GROUP (g) {
        t->group = &g;
        weft_go(&g, torture_write, t);
        weft_go(&g, torture_read, t);
    }
    WEFT_SHIELD (clean_up, WEFT_HOUR) {
        weft_stream_close(t->a);
        int64_t n = 1;
        while (n > 0 && t->read_result != -ENOMEM) {
            n = weft_stream_read(t->b, t->got + t->got_size, sizeof t->got - t->got_size);
            t->got_size += n > 0 ? (size_t)n : 0;
        }
        weft_stream_close(t->b);
    }
    WEFT_CHECK(t->got_size <= 1350 && memcmp(t->got, t->data, t->got_size) == 0);
    return g.result;
}

static int test_cancelled_anywhere(void)
{
    static struct torture t;
    static const enum weft_cancel_when whens[] = { WEFT_CANCEL_BEFORE, WEFT_CANCEL_PARKED, WEFT_CANCEL_WOKEN };
    unsigned struck = 0;
    for (size_t w = 0; w < COUNT(whens); w++) {
        for (uint64_t seed = 0; seed < 3; seed++) {
            weft_test_report report = { .waits = 1 };
            for (uint64_t n = 1; n <= report.waits; n++) {
                int rc = weft_test_run(torture_body, &t, &report, .cancel_at = n, .cancel_when = whens[w], .seed = seed);
                WEFT_CHECK(rc == 0 || rc == WEFT_ECANCELED);
                /* What a write that returned 0 has sent has arrived, also when the reader was cut in between. */
                WEFT_CHECK(t.got_size >= t.written);
                WEFT_CHECK(t.write_result == 0 || t.write_result == WEFT_ECANCELED);
                WEFT_CHECK(t.read_result == 0 || t.read_result == WEFT_ECANCELED);
                struck += report.struck;
            }
        }
    }
    WEFT_CHECK(struck > 100);
    return 0;
}

static int test_memory_runs_out(void)
{
    static struct torture t;
    weft_test_report report = { .struck = true };
    for (uint64_t n = 1; report.struck && n < 1000; n++) {
        int rc = weft_test_run(torture_body, &t, &report, .fail_at = n, .seed = n);
        WEFT_CHECK(rc == 0 || rc == -ENOMEM || rc == -ECONNRESET || rc == -EPIPE);
        WEFT_CHECK(report.struck || (rc == 0 && t.got_size == 1350));
        rc = weft_test_run(torture_body, &t, NULL, .fail_at = n, .fail_after = true, .seed = n);
        WEFT_CHECK(rc <= 0);
    }
    WEFT_CHECK(!report.struck);
    return 0;
}

/* ---- many at once, shuffled ---- */

enum { PAIRS = 8, BYTES = 4000 };

struct stress_pair {
    struct stress *stress;
    weft_stream *ends[2];
    size_t got_size;
    bool is_closed;
    char got[2 * BYTES];
};

struct stress {
    struct stress_pair pairs[PAIRS];
    uint64_t random;
    char data[BYTES];
};

/* Pieces of every size; some pairs are closed by their writer in the middle. */
static int stress_write(void *arg)
{
    struct stress_pair *p = arg;
    uint64_t *random = &p->stress->random;
    for (size_t sent = 0; sent < BYTES;) {
        size_t size = 1 + weft_random_below(random, BYTES - sent < 300 ? BYTES - sent : 300);
        WEFT_TRY(weft_stream_write(p->ends[0], p->stress->data + sent, size));
        sent += size;
        if (weft_random_below(random, 4) == 0)
            WEFT_TRY(weft_sleep((weft_duration)weft_random_below(random, 3) * WEFT_MILLISECOND));
        p->is_closed = weft_random_below(random, 200) == 0;
        if (p->is_closed)
            break;
    }
    weft_stream_close(p->ends[0]);
    return 0;
}

/* Reads with short deadlines, that strike in every state. */
static int stress_read(void *arg)
{
    struct stress_pair *p = arg;
    uint64_t *random = &p->stress->random;
    int64_t n = 1;
    while (n != 0) {
        WEFT_TIMEOUT (limit, (weft_duration)weft_random_below(random, 3) * WEFT_MILLISECOND) {
            n = weft_stream_read(p->ends[1], p->got + p->got_size, 1 + weft_random_below(random, 500));
        }
        WEFT_CHECK(n >= 0 || (n == WEFT_EDEADLINE && limit.expired));
        p->got_size += n > 0 ? (size_t)n : 0;
    }
    weft_stream_close(p->ends[1]);
    return 0;
}

static int stress(void *arg)
{
    struct stress *s = arg;
    WEFT_GROUP (g) {
        for (int i = 0; i < PAIRS; i++) {
            struct stress_pair *p = &s->pairs[i];
            p->stress = s;
            WEFT_TRY(weft_stream_pair(&p->ends[0], &p->ends[1], 1 + weft_random_below(&s->random, 200)));
            weft_go(&g, stress_write, p);
            weft_go(&g, stress_read, p);
        }
    }
    for (int i = 0; i < PAIRS; i++) {
        struct stress_pair *p = &s->pairs[i];
        WEFT_CHECK(memcmp(p->got, s->data, p->got_size) == 0 && (p->got_size == BYTES || p->is_closed));
    }
    return g.result;
}

static int test_stress(void)
{
    struct stress *s = malloc(sizeof *s);
    for (uint64_t seed = 1; seed <= 100; seed++) {
        memset(s, 0, sizeof *s);
        s->random = seed;
        fill(s->data, BYTES);
        WEFT_CHECK(weft_test_run(stress, s, NULL, .seed = seed) == 0);
    }
    free(s);
    return 0;
}

static const weft_test tests[] = {
    { .name = "a conversation", .body = test_conversation },
    { .name = "wrong calls, and two at once", .body = test_wrong_calls },
    { .name = "every size through every capacity", .body = test_sizes },
    { .name = "a close after a write loses nothing", .body = test_close_loses_nothing },
    { .name = "back-pressure and the limit of reading ahead", .body = test_back_pressure },
    { .name = "reading ahead goes on below the half", .body = test_reads_ahead_again },
    { .name = "a read cut short loses nothing", .body = test_cut_read_loses_nothing },
    { .name = "a write cut short, and the next one", .body = test_cut_write },
    { .name = "a write cut short between two parts", .plain = test_cut_between_parts },
    { .name = "a close while tasks wait", .body = test_close_while_waiting },
    { .name = "a close between wake-up and the next step", .plain = test_close_races },
    { .name = "the peer resets", .body = test_peer_resets },
    { .name = "waiting for nothing is a deadlock", .plain = test_deadlock },
    { .name = "streams left open are closed with the loop", .plain = test_left_open },
    { .name = "each wait cancelled, before, parked and woken", .plain = test_cancelled_anywhere },
    { .name = "the n-th allocation fails", .plain = test_memory_runs_out },
    { .name = "many at once, shuffled, with deadlines", .plain = test_stress },
};

int main(int argc, char **argv)
{
    return weft_test_main(tests, COUNT(tests), argc, argv);
}
