/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Tests of code that waits, in virtual time.
 *
 *     static int an_hour_passes_at_once(void)
 *     {
 *         int rc = 0;
 *         WEFT_TIMEOUT(limit, WEFT_HOUR) {
 *             rc = weft_sleep(2 * WEFT_HOUR);
 *         }
 *         WEFT_CHECK(rc == WEFT_EDEADLINE && limit.expired);
 *         return 0;
 *     }
 *
 * Each test runs as the first task of a loop of its own in test mode: time jumps to the next deadline when nothing is ready
 * (not while sockets, threads or files are awaited), the ready queue is shuffled by a seed, and a test in which every task
 * waits for ever ends with -EDEADLK and a list of the tasks. Torture: the n-th waiting call can be cancelled, the n-th
 * allocation can fail; weft_test_run tells how many there were, so a loop over n can cover them all.
 */
#ifndef WEFT_TEST_H
#define WEFT_TEST_H

#include <weft/task.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_test {
    const char *name;
    int (*body)(void);  /* a task; < 0 fails the test, and so does a failed WEFT_CHECK */
    uint64_t seed;      /* shuffles the ready queue; 0 leaves it in order */
    int (*plain)(void); /* in place of `body`: called outside any loop, for tests that make their own */
} weft_test;

/* Runs the tests one after the other and prints a TAP line for each. Flags: --list, --seed N (for all), --repeat N (with N
 * seeds each), and names or parts of names to choose tests. Returns the exit status: 0 all passed, 1 not, 2 a bad flag. */
#define weft_test_main(tests, count, argc, argv) weft_test_main_((tests), (count), (argc), (argv), __FILE__, __LINE__)
WEFT_API int weft_test_main_(const weft_test *tests, size_t count, int argc, char **argv, const char *file, int line);

/* Fails the test with file, line and text, and lets it go on. */
#define WEFT_CHECK(condition) weft_check_((condition), #condition, __FILE__, __LINE__)
WEFT_API void weft_check_(bool ok, const char *text, const char *file, int line);

/* How many checks have failed on this thread since the last call of this. */
WEFT_API unsigned weft_test_failures(void);

enum weft_cancel_when {
    WEFT_CANCEL_BEFORE, /* before the call looks at anything */
    WEFT_CANCEL_PARKED, /* when it has parked; calls that need not park are left alone */
    WEFT_CANCEL_WOKEN   /* when its event has come and it has not run yet */
};

typedef struct weft_test_options {
    size_t struct_size;
    uint64_t seed;      /* shuffles the ready queue; 0 leaves it in order */
    bool real_time;     /* the real clock in place of the virtual one */
    uint64_t cancel_at; /* the task that makes the n-th waiting call, from 1, is cancelled; 0 for none */
    enum weft_cancel_when cancel_when;
    uint64_t fail_at; /* the n-th allocation on this thread, from 1, fails; 0 for none */
    bool fail_after;  /* and so does every later one */
    bool quiet;       /* do not print the list of tasks at a deadlock */
    bool debug;       /* debug mode (weft/debug.h): the report counts the mistakes; who holds the loop is not watched */
    const char *file; /* where it is called; set by weft_test_run */
    int line;
} weft_test_options;

typedef struct weft_test_report {
    uint64_t waits;         /* waiting calls made */
    uint64_t allocations;   /* allocations tried: heap, slabs, stacks, and libuv's own */
    uint64_t switches;      /* times a task was entered */
    weft_duration ended_at; /* the clock at the end */
    bool struck;            /* the cancellation or the failure asked for has happened */
    size_t mistakes;        /* in debug mode: how many were reported */
} weft_test_report;

/* weft_run in test mode. `report` may be NULL. Returns as weft_run; -EDEADLK when every task waited for ever (they are then
 * cancelled, in spite of shields, so that their clean-up runs). */
WEFT_API int weft_test_run_(weft_task_fn *fn, void *arg, weft_test_report *report, const weft_test_options *options);
#define weft_test_run(fn, arg, report, ...)                                                                                    \
    weft_test_run_(                                                                                                            \
        (fn), (void *)(arg), (report),                                                                                         \
        &(weft_test_options){ .struct_size = sizeof(weft_test_options), .file = __FILE__, .line = __LINE__, __VA_ARGS__ })

/* ---- requests to an app, without a socket ----
 * They go through the real connection code over a memory stream, on the loop of the calling task; the app is served there from
 * the first request until every task that made one has ended. One app at a time on a loop. Virtual time holds: a handler that
 * sleeps for an hour answers at once.
 */
struct weft_app;

typedef struct weft_test_request_options {
    size_t struct_size;
    const char *method; /* NULL is "GET" */
    const char *target; /* "/path?query", as it goes over the wire; NULL is "/" */
    const char *fields; /* further header lines, each with its CRLF: "Accept: a/b\r\nCookie: c=d\r\n"; NULL for none */
    const void *body;   /* sent with Content-Length; NULL for none */
    size_t body_size;   /* bytes */
} weft_test_request_options;

typedef struct weft_test_reply {
    int status;       /* 200 ...; or < 0: the reason that cut the wait short, -EBUSY another app is being tested here, -ENOMEM,
                         WEFT_EPROTOCOL what came is no reply */
    bool is_cut;      /* the connection ended before the reply did */
    const char *head; /* the status line and the fields, as they came, NUL-terminated; "" if none came */
    const char *body; /* without its chunks, NUL-terminated; "" for none */
    size_t body_size; /* bytes */
} weft_test_reply;

/* May wait. Makes a request (HTTP/1.1, Host: test, Connection: close) and returns what came back. The texts of the reply stay
 * until the calling task ends. */
WEFT_API weft_test_reply weft_test_request_(struct weft_app *app, const weft_test_request_options *options);
#define weft_test_request(app, ...)                                                                                            \
    weft_test_request_((app), &(weft_test_request_options){ .struct_size = sizeof(weft_test_request_options), __VA_ARGS__ })
#define weft_test_get(app, path) weft_test_request((app), .target = (path))

/* A field of the reply's head: its value's size is *ret_size (may be NULL). NULL if there is none. Not NUL-terminated. */
WEFT_API const char *weft_test_field(const weft_test_reply *reply, const char *name, size_t *ret_size);

#ifdef __cplusplus
}
#endif
#endif
