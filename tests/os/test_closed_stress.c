/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Files, walks, watches, signals and children that some tasks use while others close them, or are cancelled, at random: what
 * has begun ends well or is told of the close, nothing is looked at that has been freed, and no descriptor is left behind.
 */
#include <signal.h>

#include <weft/process.h>
#include <weft/signal.h>
#include <weft/watch.h>

#include "lib/base/random.h"
#include "tests/core/tools.h"
#include "tests/os/os.h"

enum { ACTORS = 5, STEPS = 6 };

enum kind { REGULAR, FIFO, FOLDER, WALK, WATCH, SIGNAL, PROCESS, KINDS };

struct stress {
    uint64_t random;
    weft_file *files[2]; /* of REGULAR, FIFO */
    weft_file *writer;   /* the other end of the FIFO */
    weft_folder *folder;
    weft_walk *walk;
    weft_watch *watch;
    weft_signal *signal;
    weft_process *process;
    weft_task *tasks[ACTORS];
    int uses[KINDS], closes[KINDS], told; /* of a close */
    int steps, wrong;
};

static uint64_t below(struct stress *s, uint64_t bound)
{
    return weft_random_below(&s->random, bound);
}

static void expect(struct stress *s, bool ok, int64_t rc, int line)
{
    s->told += rc == WEFT_ECLOSED;
    if (ok)
        return;
    s->wrong++;
    printf("# line %d: %lld\n", line, (long long)rc);
}

#define EXPECT(s, rc, condition) expect((s), (condition), (rc), __LINE__)

static bool is_expected(int64_t rc)
{
    return rc >= 0 || rc == WEFT_ECANCELED || rc == WEFT_ECLOSED || rc == -EBUSY;
}

/* What a task makes another one may have made meanwhile: then this one is closed again. */
#define KEEP(place, rc, made, close)                                                                                           \
    do {                                                                                                                       \
        if ((rc) == 0 && !(place))                                                                                             \
            (place) = (made);                                                                                                  \
        else if ((rc) == 0)                                                                                                    \
            close(made);                                                                                                       \
    } while (0)

static void drop_file(weft_file *f)
{
    weft_file_drop(&f);
}

static int make(struct stress *s, enum kind kind)
{
    weft_file *file;
    weft_folder *folder;
    weft_walk *walk;
    weft_watch *watch;
    weft_signal *signal;
    weft_process *process;
    int rc;
    switch (kind) {
    case REGULAR:
    case FIFO:
        rc = weft_file_open(&file, os_path(kind == FIFO ? "fifo" : "lines"), kind == FIFO ? "r" : "r+");
        KEEP(s->files[kind], rc, file, drop_file);
        return rc;
    case FOLDER:
        rc = weft_folder_open(&folder, os_root);
        KEEP(s->folder, rc, folder, weft_folder_close);
        return rc;
    case WALK:
        rc = weft_walk_open(&walk, os_root);
        KEEP(s->walk, rc, walk, weft_walk_close);
        return rc;
    case WATCH:
        rc = weft_watch_open(&watch);
        KEEP(s->watch, rc, watch, weft_watch_close);
        return rc;
    case SIGNAL:
        rc = weft_signal_open(&signal, SIGUSR1);
        KEEP(s->signal, rc, signal, weft_signal_close);
        return rc;
    default:
        rc = weft_process_open(&process, WEFT_ARGV("cat"), .input = WEFT_IO_PIPE, .output = WEFT_IO_PIPE);
        KEEP(s->process, rc, process, weft_process_close);
        return rc;
    }
}

/* ---- closing ---- */

#define TAKE(place)                                                                                                            \
    (__extension__({                                                                                                           \
        __typeof__(place) taken_ = (place);                                                                                    \
        (place) = NULL;                                                                                                        \
        taken_;                                                                                                                \
    }))

static int end(struct stress *s, enum kind kind)
{
    weft_file *file;
    weft_process *process;
    s->closes[kind]++;
    switch (kind) {
    case REGULAR:
    case FIFO:
        file = TAKE(s->files[kind]);
        if (kind == FIFO || below(s, 2)) /* a read from the FIFO may wait for ever, and the close for that */
            weft_file_drop(&file);
        else
            return weft_file_close(file);
        return 0;
    case FOLDER:
        weft_folder_close(TAKE(s->folder));
        return 0;
    case WALK:
        weft_walk_close(TAKE(s->walk));
        return 0;
    case WATCH:
        weft_watch_close(TAKE(s->watch));
        return 0;
    case SIGNAL:
        weft_signal_close(TAKE(s->signal));
        return 0;
    default:
        process = TAKE(s->process);
        if (below(s, 2))
            weft_process_close(process);
        else
            weft_process_drop(&process);
        return 0;
    }
}

/* ---- using ---- */

static int64_t use_file(struct stress *s, weft_file *f)
{
    char buf[64];
    weft_bytes line;
    int64_t rc;
    switch (below(s, 4)) {
    case 0:
        return weft_file_read(f, buf, sizeof buf);
    case 1:
        return weft_file_pread(f, buf, sizeof buf, 3);
    case 2:
        return weft_file_pwrite(f, "x", 1, 3);
    default:
        rc = weft_file_line(f, &line);
        EXPECT(s, rc, rc != 1 || strlen(line.data) == line.size);
        if (rc == 0 && s->files[REGULAR] == f)
            EXPECT(s, rc, is_expected(weft_file_seek(f, 0)));
        return rc;
    }
}

static int64_t use_fifo(struct stress *s, weft_file *f)
{
    char byte;
    weft_bytes line;
    EXPECT(s, 0, is_expected(weft_file_write(s->writer, "a\n", 2)));
    if (s->files[FIFO] != f) /* closed meanwhile */
        return 0;
    return below(s, 2) ? weft_file_read(f, &byte, 1) : weft_file_line(f, &line);
}

static int64_t use_folder(struct stress *s, weft_folder *folder)
{
    weft_file_info info;
    (void)s;
    return weft_file_stat("lines", &info, .beneath = folder);
}

static int64_t use_walk(struct stress *s, weft_walk *walk)
{
    weft_walk_entry entry;
    int rc = weft_walk_next(walk, &entry);
    EXPECT(s, rc, rc != 1 || strlen(entry.path) >= strlen(entry.name));
    return rc;
}

static int64_t use_watch(struct stress *s, weft_watch *watch)
{
    weft_watch_event event;
    int rc = weft_watch_add(watch, os_root, NULL);
    if (rc < 0 || s->watch != watch)
        return rc;
    os_put("seen", "x");
    rc = weft_watch_next(watch, &event);
    EXPECT(s, rc, rc != 1 || event.what > 0);
    return rc;
}

static int64_t use_signal(struct stress *s, weft_signal *signal)
{
    (void)s;
    raise(SIGUSR1);
    return weft_signal_wait(signal);
}

static int64_t use_process(struct stress *s, weft_process *p)
{
    weft_process_status status;
    char buf[8];
    switch (below(s, 4)) {
    case 0:
        return weft_stream_write(weft_process_input(p), "talk", 4);
    case 1:
        EXPECT(s, 0, weft_process_kill(p, SIGKILL) == 0 || s->process == p);
        return weft_process_wait(p, &status);
    case 2: {
        int rc = weft_stream_write(weft_process_input(p), "abcd", 4);
        return rc < 0 || s->process != p ? rc : weft_stream_read(weft_process_output(p), buf, sizeof buf);
    }
    default:
        weft_process_end_input(p);
        return weft_process_wait(p, &status);
    }
}

/* The last kind is a process, which Valgrind 3.19 cannot watch. */
static int kinds(void)
{
    return os_has_call(SYS_pidfd_open) ? KINDS : PROCESS;
}

static bool is_there(const struct stress *s, enum kind kind)
{
    const void *const things[] = { s->files[REGULAR], s->files[FIFO], s->folder, s->walk, s->watch, s->signal, s->process };
    return things[kind];
}

static int64_t use(struct stress *s, enum kind kind)
{
    s->uses[kind]++;
    switch (kind) {
    case REGULAR:
        return use_file(s, s->files[REGULAR]);
    case FIFO:
        return use_fifo(s, s->files[FIFO]);
    case FOLDER:
        return use_folder(s, s->folder);
    case WALK:
        return use_walk(s, s->walk);
    case WATCH:
        return use_watch(s, s->watch);
    case SIGNAL:
        return use_signal(s, s->signal);
    default:
        return weft_process_input(s->process) ? use_process(s, s->process) : 0;
    }
}

/* ---- the whole ---- */

static int act(void *arg)
{
    struct stress *s = arg;
    for (int i = 0; i < STEPS; i++, s->steps++) {
        enum kind kind = (enum kind)below(s, (uint64_t)kinds());
        int64_t rc;
        if (!is_there(s, kind))
            rc = make(s, kind);
        else if (below(s, 4) == 0)
            rc = end(s, kind);
        else
            rc = use(s, kind);
        EXPECT(s, rc, is_expected(rc) || (kind == PROCESS && (rc == -EPIPE || rc == -ECHILD)));
        if (rc == WEFT_ECANCELED)
            return 0;
        if (below(s, 8) == 0)
            weft_task_cancel(s->tasks[below(s, ACTORS)]);
    }
    return 0;
}

/* Those who wait for what nobody brings any more are let go. */
static int let_go(void *arg)
{
    struct stress *s = arg;
    int seen;
    do {
        seen = s->steps;
        WEFT_TRY(weft_sleep((weft_duration)(10 * tools_slowness()) * MS));
    } while (s->steps != seen);
    for (int i = 0; i < ACTORS; i++)
        weft_task_cancel(s->tasks[i]);
    return 0;
}

static int run_stress(void *arg)
{
    struct stress *s = arg;
    weft_log_set_level(WEFT_LOG_ERROR);
    WEFT_TRY(make(s, FIFO));
    WEFT_TRY(weft_file_open(&s->writer, os_path("fifo"), "w"));
    WEFT_GROUP (g) {
        for (int i = 0; i < ACTORS; i++)
            WEFT_TRY(weft_spawn(&s->tasks[i], act, s));
        weft_go(&g, let_go, s);
    }
    for (int i = 0; i < 50; i++) /* threads that read from the FIFO come back */
        EXPECT(s, 0, weft_file_write(s->writer, "a\n", 2) <= 0);
    for (int kind = 0; kind < KINDS; kind++)
        if (is_there(s, (enum kind)kind))
            EXPECT(s, 0, end(s, (enum kind)kind) == 0);
    WEFT_TRY(weft_file_close(s->writer));
    return g.result;
}

/* With the first signal libuv makes descriptors that it keeps. */
static int open_a_signal(void *arg)
{
    weft_signal *signal;
    (void)arg;
    WEFT_TRY(weft_signal_open(&signal, SIGUSR1));
    weft_signal_close(signal);
    return 0;
}

/* Those that are to be there at the end. The thread sanitizer has two of its own once it has looked at a suppressed report. */
static bool are_back(int before)
{
#ifdef WEFT_TSAN
    return before > 0;
#else
    return os_descriptors() == before;
#endif
}

static int shuffled_seeds(void)
{
    uint64_t seeds = 150 / tools_slowness() + 1, seed;
    WEFT_CHECK(weft_run(open_a_signal, NULL) == 0);
    int before = os_descriptors(), told = 0, uses[KINDS] = { 0 }, closes[KINDS] = { 0 };
    os_renew_root();
    os_put("lines", "one\ntwo\nthree\n");
    WEFT_CHECK(mkfifo(os_path("fifo"), 0600) == 0 && mkdir(os_path("folder"), 0700) == 0);
    /* Every third seed has a call that is told of a close: a few seeds, where all is slow, may be none of those. */
    for (seed = 1; seed <= seeds || (told == 0 && seed <= 20 * seeds); seed++) {
        struct stress s = { .random = seed * 31 + 7 };
        int rc = weft_test_run(run_stress, &s, NULL, .seed = seed, .real_time = true);
        bool ok = rc == 0 && s.wrong == 0 && are_back(before);
        WEFT_CHECK(ok);
        if (!ok)
            printf("# seed %llu ended with %d; %d wrong; %d descriptors, not %d\n", (unsigned long long)seed, rc, s.wrong,
                   os_descriptors(), before);
        told += s.told;
        for (int i = 0; i < KINDS; i++) {
            uses[i] += s.uses[i];
            closes[i] += s.closes[i];
        }
    }
    for (int i = 0; i < kinds(); i++)
        WEFT_CHECK((uint64_t)uses[i] > seeds / 4 && (uint64_t)closes[i] > seeds / 4);
    WEFT_CHECK(told > 0);
    printf("# %llu seeds; %d calls were told of a close\n", (unsigned long long)seed - 1, told);
    return 0;
}

static const weft_test tests[] = {
    PLAIN(shuffled_seeds),
};

OS_TEST_MAIN(tests)
