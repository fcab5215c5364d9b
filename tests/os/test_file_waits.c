/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Every waiting call on files and folders against the table of waits: a reason that was there before, that comes while the call
 * waits for a thread, while a thread is at it, and in one turn with its end; then every wait of all of them cancelled, and
 * every allocation failing. Whatever happens, no descriptor stays open, and later calls find things in order.
 */
#include <poll.h>

#include "tests/core/tools.h"
#include "tests/os/os.h"

struct things {
    weft_file *file, *closing;
    weft_folder *folder;
    weft_walk *walk;
};

struct kit {
    const char *name;
    int (*call)(struct things *t); /* what it opens it closes again */
    bool changes;                  /* the ground */
};

static int call_open(struct things *t)
{
    weft_file *f;
    int rc = weft_file_open(&f, "new", "w", .beneath = t->folder);
    if (rc == 0)
        weft_file_drop(&f);
    return rc;
}

static int call_temporary(struct things *t)
{
    (void)t;
    weft_file *f;
    int rc = weft_file_temporary(&f, os_root);
    if (rc == 0)
        weft_file_drop(&f);
    return rc;
}

static int call_close(struct things *t)
{
    weft_file *f = t->closing;
    t->closing = NULL;
    return weft_file_close(f);
}

static int call_load(struct things *t)
{
    weft_bytes text;
    int rc = weft_file_load("file", 100, &text, .beneath = t->folder);
    if (rc == 0)
        weft_bytes_drop(&text);
    return rc;
}

static int call_save(struct things *t)
{
    return weft_file_save("file", "saved\n", 6, .beneath = t->folder);
}

static int call_read(struct things *t)
{
    char buf[4] = "____";
    int64_t rc = weft_file_read(t->file, buf, sizeof buf);
    WEFT_CHECK(rc < 0 ? memcmp(buf, "____", 4) == 0 : rc == 4 && memcmp(buf, "cont", 4) == 0);
    return rc < 0 ? (int)rc : weft_file_seek(t->file, 0);
}

static int call_pread(struct things *t)
{
    char buf[4] = "____";
    int64_t rc = weft_file_pread(t->file, buf, sizeof buf, 2);
    WEFT_CHECK(rc < 0 ? memcmp(buf, "____", 4) == 0 : rc == 4 && memcmp(buf, "nten", 4) == 0);
    return rc < 0 ? (int)rc : 0;
}

static int call_line(struct things *t)
{
    weft_bytes line = { 0 };
    int rc = weft_file_line(t->file, &line);
    WEFT_CHECK(rc < 0 ? line.data == NULL : rc == 1 && line.size == 7);
    return rc < 0 ? rc : weft_file_seek(t->file, 0);
}

static int call_write(struct things *t)
{
    int rc = weft_file_write(t->file, "CONT", 4);
    WEFT_CHECK(weft_file_position(t->file) == (rc == 0 ? 4 : 0));
    return rc < 0 ? rc : weft_file_seek(t->file, 0);
}

static int call_pwrite(struct things *t)
{
    return weft_file_pwrite(t->file, "T", 1, 3);
}

static int call_truncate(struct things *t)
{
    return weft_file_truncate(t->file, 3);
}

static int call_sync(struct things *t)
{
    return weft_file_sync(t->file);
}

static int call_info(struct things *t)
{
    weft_file_info info;
    return weft_file_get_info(t->file, &info);
}

static int call_stat(struct things *t)
{
    weft_file_info info;
    return weft_file_stat("file", &info, .beneath = t->folder);
}

static int call_rename(struct things *t)
{
    return weft_file_rename("other", "renamed", .beneath = t->folder);
}

static int call_remove(struct things *t)
{
    return weft_file_remove("third", .beneath = t->folder);
}

static int call_folder_open(struct things *t)
{
    weft_folder *folder;
    int rc = weft_folder_open(&folder, "sub", .beneath = t->folder);
    if (rc == 0)
        weft_folder_close(folder);
    return rc;
}

static int call_make(struct things *t)
{
    return weft_folder_make("made", .beneath = t->folder);
}

static int call_folder_temporary(struct things *t)
{
    (void)t;
    char path[256];
    return weft_folder_temporary(path, sizeof path, os_path("ground"));
}

static int call_remove_tree(struct things *t)
{
    return weft_folder_remove_tree("tree", .beneath = t->folder);
}

static int call_walk_open(struct things *t)
{
    weft_walk *walk;
    int rc = weft_walk_open(&walk, "sub", .beneath = t->folder);
    if (rc == 0)
        weft_walk_close(walk);
    return rc;
}

static int call_walk_next(struct things *t)
{
    weft_walk_entry entry;
    int rc = weft_walk_next(t->walk, &entry);
    return rc > 0 ? 0 : rc;
}

static const struct kit kits[] = {
    { "file open", call_open, true },
    { "file temporary", call_temporary, false },
    { "file close", call_close, false },
    { "file load", call_load, false },
    { "file save", call_save, true },
    { "file read", call_read, false },
    { "file pread", call_pread, false },
    { "file line", call_line, false },
    { "file write", call_write, true },
    { "file pwrite", call_pwrite, true },
    { "file truncate", call_truncate, true },
    { "file sync", call_sync, false },
    { "file info", call_info, false },
    { "file stat", call_stat, false },
    { "file rename", call_rename, true },
    { "file remove", call_remove, true },
    { "folder open", call_folder_open, false },
    { "folder make", call_make, true },
    { "folder temporary", call_folder_temporary, true },
    { "folder remove", call_remove_tree, true },
    { "walk open", call_walk_open, false },
    { "walk", call_walk_next, false },
};

static void make_ground(void)
{
    os_renew_root();
    WEFT_CHECK(mkdir(os_path("ground"), 0700) == 0);
    WEFT_CHECK(mkdir(os_path("ground/sub"), 0700) == 0 && mkdir(os_path("ground/tree"), 0700) == 0);
    os_put("ground/file", "content\n");
    os_put("ground/other", "");
    os_put("ground/third", "");
    os_put("ground/tree/file", "");
}

static bool is_untouched(void)
{
    return os_count(os_path("ground")) == 5 && os_has("ground/file", "content\n") && os_has("ground/other", "") &&
           os_has("ground/third", "") && os_count(os_path("ground/tree")) == 1;
}

static int open_things(struct things *t)
{
    *t = (struct things){ 0 };
    WEFT_TRY(weft_folder_open(&t->folder, os_path("ground")));
    WEFT_TRY(weft_file_open(&t->file, "file", "r+", .beneath = t->folder));
    WEFT_TRY(weft_file_open(&t->closing, "file", "r", .beneath = t->folder));
    return weft_walk_open(&t->walk, ".", .beneath = t->folder);
}

static void close_things(struct things *t)
{
    weft_folder_drop(&t->folder);
    weft_file_drop(&t->file);
    weft_file_drop(&t->closing);
    weft_walk_drop(&t->walk);
}

/* ---- the table ---- */

struct call {
    const struct kit *kit;
    struct things *things;
    weft_scope *scope;
    int rc, next_rc;
    bool has_ended;
};

static int make_call(void *arg)
{
    struct call *call = arg;
    WEFT_TIMEOUT (s, WEFT_NO_LIMIT) {
        call->scope = &s;
        call->rc = call->kit->call(call->things);
        call->next_rc = weft_yield();
    }
    call->has_ended = true;
    return 0;
}

static int for_each_kit(int (*check)(const struct kit *kit, struct things *t))
{
    for (size_t i = 0; i < COUNT(kits); i++) {
        struct things t;
        make_ground();
        WEFT_TRY(open_things(&t));
        int rc = check(&kits[i], &t);
        if (rc < 0)
            printf("# %s: %s\n", kits[i].name, weft_strerror(rc));
        close_things(&t);
        WEFT_TRY(rc);
    }
    return 0;
}

static int not_cut(const struct kit *kit, struct things *t)
{
    int rc = kit->call(t);
    WEFT_CHECK(rc == 0 && is_untouched() == !kit->changes);
    return rc;
}

static int without_a_reason(void)
{
    return for_each_kit(not_cut);
}

static int count_trip(void *arg)
{
    ++*(int *)arg;
    return 0;
}

static int reason_before(const struct kit *kit, struct things *t)
{
    int trips = 0;
    WEFT_GROUP (g) {
        weft_go(&g, count_trip, &trips);
        WEFT_TIMEOUT (limit, 0) {
            WEFT_CHECK(kit->call(t) == WEFT_EDEADLINE && trips == 1);
        }
    }
    WEFT_CHECK(is_untouched());
    return g.result;
}

static int reason_there_before(void)
{
    return for_each_kit(reason_before);
}

static int reason_in_line(const struct kit *kit, struct things *t)
{
    struct os_gate gate;
    struct call call = { .kit = kit, .things = t };
    os_shut(&gate);
    WEFT_GROUP (g) {
        weft_go(&g, make_call, &call);
        WEFT_TRY(weft_yield());
        WEFT_CHECK(!call.has_ended);
        weft_cancel(call.scope);
        WEFT_TRY(weft_yield());
        WEFT_TRY(weft_yield());
        WEFT_CHECK(call.has_ended); /* at once, although no thread is free */
    }
    WEFT_CHECK(call.rc == WEFT_ECANCELED && call.next_rc == WEFT_ECANCELED && is_untouched());
    WEFT_TRY(os_open_gate(&gate));
    WEFT_CHECK(is_untouched());
    return g.result;
}

static int reason_while_waiting_for_a_thread(void)
{
    return for_each_kit(reason_in_line);
}

/* The loop is kept waiting until the thread has done its part; the reason comes before its word does. */
static int reason_at_work(const struct kit *kit, struct things *t)
{
    struct call call = { .kit = kit, .things = t };
    weft_file_info info;
    WEFT_GROUP (g) {
        weft_go(&g, make_call, &call);
        WEFT_TRY(weft_yield());
        for (int i = 0; i < 5 || (kit->changes && is_untouched() && i < 10000); i++)
            os_block(1);
        weft_cancel(call.scope);
    }
    WEFT_CHECK(call.rc == WEFT_ECANCELED && call.next_rc == WEFT_ECANCELED);
    WEFT_CHECK(kit->changes || is_untouched());
    WEFT_TRY(weft_file_get_info(t->file, &info)); /* waits for what was abandoned */
    WEFT_CHECK(is_untouched() == !kit->changes);  /* what a thread had begun has been done */
    return g.result;
}

static int reason_while_a_thread_is_at_it(void)
{
    return for_each_kit(reason_at_work);
}

/* A write that was abandoned in the middle is not overtaken by what is called after it. */
struct fifo {
    weft_file *file;
    weft_scope *scope;
    char data[200 * 1000]; /* more than a FIFO holds */
    int rc;
};

static int write_much(void *arg)
{
    struct fifo *fifo = arg;
    WEFT_TIMEOUT (s, WEFT_NO_LIMIT) {
        fifo->scope = &s;
        fifo->rc = weft_file_write(fifo->file, fifo->data, sizeof fifo->data);
    }
    return 0;
}

static int write_end(void *arg)
{
    return weft_file_write(((struct fifo *)arg)->file, "end", 3);
}

/* It blocks from now on, as a disk that hangs. */
static void hold_its_thread(const weft_file *f)
{
    int fd = weft_file_fd(f);
    WEFT_CHECK(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) == 0);
}

static int order_after_an_abandoned_write(void)
{
    static struct fifo fifo;
    static char got[sizeof fifo.data + 16];
    make_ground();
    WEFT_CHECK(mkfifo(os_path("fifo"), 0600) == 0);
    int reader = open(os_path("fifo"), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    WEFT_TRY(weft_file_open(&fifo.file, os_path("fifo"), "w"));
    hold_its_thread(fifo.file);
    size_t size = 0;
    WEFT_GROUP (g) {
        weft_go(&g, write_much, &fifo);
        WEFT_TRY(weft_yield());
        WEFT_CHECK(poll(&(struct pollfd){ .fd = reader, .events = POLLIN }, 1, 10000) ==
                   1); /* a thread is in the middle of it */
        weft_cancel(fifo.scope);
        WEFT_TRY(weft_yield());
        WEFT_CHECK(fifo.rc == WEFT_ECANCELED);
        WEFT_TIMEOUT (limit, 0) {
            WEFT_CHECK(weft_file_write(fifo.file, "x", 1) == WEFT_EDEADLINE);
        }
        weft_go(&g, write_end, &fifo);
        WEFT_TRY(weft_yield());
        WEFT_CHECK(weft_file_position(fifo.file) == 0);
        while (size < sizeof fifo.data + 3) {
            ssize_t n = read(reader, got + size, sizeof got - size);
            if (n <= 0)
                WEFT_TRY(weft_yield());
            size += n > 0 ? (size_t)n : 0;
        }
    }
    WEFT_CHECK(size == sizeof fifo.data + 3 && memcmp(got + size - 3, "end", 3) == 0);
    close(reader);
    WEFT_TRY(weft_file_close(fifo.file));
    return g.result;
}

/* ---- what has no positions ---- */

struct listener {
    weft_file *file;
    weft_scope *scope;
    int64_t rc;
    char heard[8];
};

static int listen_to(void *arg)
{
    struct listener *l = arg;
    WEFT_TIMEOUT (s, WEFT_NO_LIMIT) {
        l->scope = &s;
        l->rc = weft_file_read(l->file, l->heard, sizeof l->heard);
    }
    return 0;
}

static weft_file *open_fifo(const char *name)
{
    weft_file *f = NULL;
    WEFT_CHECK(mkfifo(os_path(name), 0600) == 0);
    int rc = weft_file_open(&f, os_path(name), "r+");
    WEFT_CHECK(rc == 0);
    return f;
}

/* Time does not jump while something is awaited from outside: threads and the loop get to do what they can. */
static int settle_down(void)
{
    for (int i = 0; i < 20; i++) {
        os_block(1);
        WEFT_TRY(weft_yield());
    }
    return 0;
}

/* More of them are read than there are threads, and nothing comes; other files are read all the same, and the loop ends. */
static int fifos_keep_no_thread(void)
{
    enum { FIFOS = 6 };
    struct listener listeners[FIFOS] = { { 0 } };
    weft_bytes text;
    make_ground();
    WEFT_GROUP (g) {
        for (int i = 0; i < FIFOS; i++) {
            listeners[i].file = open_fifo((char[]){ 'f', (char)('0' + i), '\0' });
            weft_go(&g, listen_to, &listeners[i]);
        }
        WEFT_TRY(settle_down());
        WEFT_TRY(weft_file_load(os_path("ground/file"), 100, &text));
        WEFT_CHECK(text.size == 8);
        weft_bytes_drop(&text);
        int writer = open(os_path("f0"), O_WRONLY | O_CLOEXEC);
        WEFT_CHECK(write(writer, "yes", 3) == 3 && close(writer) == 0);
        for (int i = 0; i < 500 && listeners[0].rc == 0; i++)
            WEFT_TRY(settle_down());
        WEFT_CHECK(listeners[0].rc == 3 && memcmp(listeners[0].heard, "yes", 3) == 0);
        weft_group_cancel(&g);
    }
    for (int i = 0; i < FIFOS; i++) {
        WEFT_CHECK(i == 0 || listeners[i].rc == WEFT_ECANCELED);
        weft_file_drop(&listeners[i].file);
    }
    return g.result;
}

/* What its thread reads after that is for the next call. */
static int nothing_is_lost_of_an_abandoned_read(void)
{
    make_ground();
    struct listener l = { .file = open_fifo("fifo") };
    int writer = open(os_path("fifo"), O_WRONLY | O_CLOEXEC);
    char buf[8];
    hold_its_thread(l.file);
    WEFT_GROUP (g) {
        weft_go(&g, listen_to, &l);
        WEFT_TRY(weft_yield());
        os_block(20); /* the thread is in its read */
        weft_cancel(l.scope);
        WEFT_TRY(weft_yield());
        WEFT_CHECK(l.rc == WEFT_ECANCELED);
        WEFT_CHECK(write(writer, "late", 4) == 4);
    }
    WEFT_CHECK(weft_file_read(l.file, buf, sizeof buf) == 4 && memcmp(buf, "late", 4) == 0);
    close(writer);
    WEFT_TRY(weft_file_close(l.file));
    return g.result;
}

/* More than it holds: cut short while there is no room, what has been written is a beginning of it. */
static int a_full_fifo_keeps_no_thread(void)
{
    static struct fifo fifo;
    static char got[sizeof fifo.data];
    weft_file *reader;
    make_ground();
    fifo.file = open_fifo("fifo");
    WEFT_TRY(weft_file_open(&reader, os_path("fifo"), "r"));
    WEFT_GROUP (g) {
        weft_go(&g, write_much, &fifo);
        WEFT_TRY(settle_down());
        weft_cancel(fifo.scope);
    }
    WEFT_CHECK(fifo.rc == WEFT_ECANCELED);
    int64_t first = weft_file_read(reader, got, sizeof got);
    WEFT_CHECK(first > 0 && first < (int64_t)sizeof fifo.data);
    WEFT_GROUP (h) {
        weft_go(&h, write_much, &fifo);
        int64_t size = 0, n;
        while (size < (int64_t)sizeof got && (n = weft_file_read(reader, got, sizeof got)) > 0)
            size += n;
        WEFT_CHECK(size == (int64_t)sizeof got);
    }
    WEFT_CHECK(fifo.rc == 0);
    WEFT_TRY(weft_file_close(reader));
    WEFT_TRY(weft_file_close(fifo.file));
    return h.result;
}

/* ---- torture ---- */

static int call_all(void *arg)
{
    struct things t;
    int rc = open_things(&t), first = rc;
    for (size_t i = 0; i < COUNT(kits) && rc == 0; i++) {
        rc = kits[i].call(&t);
        first = first < 0 ? first : rc;
    }
    close_things(&t);
    *(int *)arg = first;
    return 0;
}

static bool is_closed_again(int before)
{
    int now = os_descriptors();
    if (now != before)
        printf("# %d descriptors more than before\n", now - before);
    return now == before;
}

static int cancel_each_wait(enum weft_cancel_when when)
{
    uint64_t waits = 1, struck = 0;
    int rc, before = os_descriptors();
    for (uint64_t n = 0; n <= waits; n++) {
        weft_test_report report;
        make_ground();
        WEFT_CHECK(weft_test_run(call_all, &rc, &report, .cancel_at = n, .cancel_when = when) == 0);
        WEFT_CHECK(is_closed_again(before) && (n == 0 ? rc == 0 : rc == 0 || rc == WEFT_ECANCELED));
        waits = n == 0 ? report.waits : waits;
        struck += report.struck;
    }
    WEFT_CHECK(waits >= COUNT(kits) && struck * 2 > waits);
    return 0;
}

static int each_wait_cancelled_before(void)
{
    return cancel_each_wait(WEFT_CANCEL_BEFORE);
}

static int each_wait_cancelled_when_parked(void)
{
    return cancel_each_wait(WEFT_CANCEL_PARKED);
}

static int each_wait_cancelled_when_woken(void)
{
    return cancel_each_wait(WEFT_CANCEL_WOKEN);
}

static int each_allocation_failed(void)
{
    uint64_t allocations = 1;
    int rc = 0, before = os_descriptors();
    for (int after = 0; after < 2; after++)
        for (uint64_t n = 0; n <= allocations; n += after ? 5 : 1) {
            weft_test_report report;
            make_ground();
            rc = 0;
            int run = weft_test_run(call_all, &rc, &report, .fail_at = n, .fail_after = after);
            WEFT_CHECK((run == 0 || run == -ENOMEM) && (rc == 0 || rc == -ENOMEM || rc == -EAGAIN));
            WEFT_CHECK(is_closed_again(before));
            WEFT_CHECK(n == 0 || report.struck);
            allocations = n == 0 ? report.allocations : allocations;
        }
    WEFT_CHECK(allocations > 2 * COUNT(kits));
    return 0;
}

static const weft_test tests[] = {
    TEST(without_a_reason),
    TEST(reason_there_before),
    TEST(reason_while_waiting_for_a_thread),
    TEST(reason_while_a_thread_is_at_it),
    TEST(order_after_an_abandoned_write),
    TEST(fifos_keep_no_thread),
    TEST(nothing_is_lost_of_an_abandoned_read),
    TEST(a_full_fifo_keeps_no_thread),
    PLAIN(each_wait_cancelled_before),
    PLAIN(each_wait_cancelled_when_parked),
    PLAIN(each_wait_cancelled_when_woken),
    PLAIN(each_allocation_failed),
};

OS_TEST_MAIN(tests)
