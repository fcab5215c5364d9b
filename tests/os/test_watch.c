/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Watching files: each kind of event, events lost, the table of waits, and torture. */
#include <weft/watch.h>

#include "tests/core/tools.h"
#include "tests/os/os.h"

static int expect(weft_watch *w, int what, int id, const char *name)
{
    weft_watch_event event = { 0 };
    int rc = weft_watch_next(w, &event);
    bool is_right = rc == 1 && event.what == what && event.id == id && strcmp(event.name, name) == 0;
    WEFT_CHECK(is_right);
    if (!is_right)
        printf("# %d: %d of %d, not %d of %d %s\n", rc, event.what, event.id, what, id, name);
    return rc;
}

static void make_ground(void)
{
    os_renew_root();
    WEFT_CHECK(mkdir(os_path("folder"), 0700) == 0);
    os_put("file", "file");
}

static int events(void)
{
    weft_watch *w;
    weft_watch_event event;
    int folder, again, file;
    make_ground();
    WEFT_TRY(weft_watch_open(&w));
    WEFT_CHECK(weft_watch_add(w, os_path("none"), NULL) == -ENOENT && weft_watch_remove(w, 7) == -EINVAL);
    WEFT_TRY(weft_watch_add(w, os_path("folder"), &folder));
    WEFT_TRY(weft_watch_add(w, os_path("folder"), &again));
    WEFT_TRY(weft_watch_add(w, os_path("file"), &file));
    WEFT_CHECK(again == folder && file != folder);
    os_put("folder/a", "a");
    WEFT_TRY(expect(w, WEFT_WATCH_MADE, folder, "a"));
    WEFT_TRY(expect(w, WEFT_WATCH_CHANGED, folder, "a"));
    WEFT_TRY(expect(w, WEFT_WATCH_WRITTEN, folder, "a"));
    WEFT_CHECK(mkdir(os_path("folder/sub"), 0700) == 0);
    WEFT_CHECK(weft_watch_next(w, &event) == 1 && event.is_folder && event.what == WEFT_WATCH_MADE);
    WEFT_CHECK(rename(os_path("folder/a"), os_path("folder/b")) == 0 && unlink(os_path("folder/b")) == 0);
    WEFT_TRY(expect(w, WEFT_WATCH_REMOVED, folder, "a"));
    WEFT_TRY(expect(w, WEFT_WATCH_MADE, folder, "b"));
    WEFT_TRY(expect(w, WEFT_WATCH_REMOVED, folder, "b"));
    WEFT_CHECK(chmod(os_path("file"), 0600) == 0);
    WEFT_TRY(expect(w, WEFT_WATCH_CHANGED, file, ""));
    WEFT_CHECK(weft_watch_remove(w, folder) == 0);
    os_put("folder/a", "a");
    WEFT_CHECK(rename(os_path("file"), os_path("moved")) == 0);
    WEFT_TRY(expect(w, WEFT_WATCH_GONE, file, ""));

    weft_folder *beneath;
    WEFT_TRY(weft_folder_open(&beneath, os_path("folder")));
    WEFT_CHECK(weft_watch_add(w, "../moved", NULL, .beneath = beneath) == -EXDEV);
    WEFT_TRY(weft_watch_add(w, "a", &file, .beneath = beneath));
    weft_folder_close(beneath);
    WEFT_TRY(weft_file_remove(os_path("folder/a")));
    WEFT_TRY(expect(w, WEFT_WATCH_CHANGED, file, "")); /* it has a name less */
    WEFT_TRY(expect(w, WEFT_WATCH_GONE, file, ""));
    weft_watch_close(w);
    weft_watch_close(NULL);
    return 0;
}

/* The atomic replacement of a file, as who watches its folder sees it. */
static int saved(void)
{
    weft_watch *w;
    weft_watch_event event;
    int id, rc;
    make_ground();
    WEFT_TRY(weft_watch_open(&w));
    WEFT_TRY(weft_watch_add(w, os_root, &id));
    WEFT_TRY(weft_file_save(os_path("file"), "new", 3));
    do
        rc = weft_watch_next(w, &event);
    while (rc == 1 && !(event.what == WEFT_WATCH_MADE && strcmp(event.name, "file") == 0));
    WEFT_CHECK(rc == 1 && os_has("file", "new"));
    weft_watch_close(w);
    return 0;
}

static long queue_limit(void)
{
    char text[32] = "";
    FILE *file = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
    if (!file)
        return 0;
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    return size > 0 ? strtol(text, NULL, 10) : 0;
}

static int lost(void)
{
    weft_watch *w;
    weft_watch_event event = { 0 };
    int id, rc;
    long limit = queue_limit(), told = 0;
    if (limit == 0 || limit > 100000)
        return 0;
    make_ground();
    int files[2] = { open(os_path("folder/a"), O_CREAT | O_RDWR, 0600), open(os_path("folder/b"), O_CREAT | O_RDWR, 0600) };
    WEFT_TRY(weft_watch_open(&w));
    WEFT_TRY(weft_watch_add(w, os_path("folder"), &id));
    for (long i = 0; i < limit + 10; i++) /* in turns: events alike that follow each other would count as one */
        WEFT_CHECK(fchmod(files[i % 2], 0600) == 0);
    while ((rc = weft_watch_next(w, &event)) == 1 && event.what != WEFT_WATCH_LOST)
        told++;
    WEFT_CHECK(rc == 1 && event.id == -1 && told == limit);
    WEFT_CHECK(mkdir(os_path("folder/y"), 0700) == 0);
    WEFT_TRY(expect(w, WEFT_WATCH_MADE, id, "y")); /* and it goes on */
    close(files[0]);
    close(files[1]);
    weft_watch_close(w);
    return 0;
}

/* ---- the table of waits ---- */

struct waiter {
    weft_watch *w;
    weft_scope *scope;
    weft_watch_event event;
    int rc, next_rc;
};

static int wait_in_scope(void *arg)
{
    struct waiter *waiter = arg;
    WEFT_TIMEOUT (s, WEFT_NO_LIMIT) {
        waiter->scope = &s;
        waiter->rc = weft_watch_next(waiter->w, &waiter->event);
        waiter->next_rc = weft_yield();
    }
    return 0;
}

static int waits(void)
{
    struct waiter waiter = { 0 };
    weft_watch_event event;
    int id;
    make_ground();
    WEFT_TRY(weft_watch_open(&waiter.w));
    WEFT_TRY(weft_watch_add(waiter.w, os_path("folder"), &id));
    WEFT_GROUP (g) { /* the reason while it waits, with an event that the loop has not seen */
        weft_go(&g, wait_in_scope, &waiter);
        WEFT_TRY(weft_yield());
        WEFT_CHECK(weft_watch_next(waiter.w, &event) == -EBUSY);
        WEFT_CHECK(mkdir(os_path("folder/a"), 0700) == 0);
        weft_cancel(waiter.scope);
    }
    WEFT_CHECK(waiter.rc == WEFT_ECANCELED && waiter.next_rc == WEFT_ECANCELED);
    WEFT_TIMEOUT (limit, 0) {
        WEFT_CHECK(weft_watch_next(waiter.w, &event) == WEFT_EDEADLINE);
        WEFT_CHECK(weft_watch_add(waiter.w, os_root, NULL) == WEFT_EDEADLINE);
    }
    WEFT_TRY(expect(waiter.w, WEFT_WATCH_MADE, id, "a"));
    WEFT_GROUP (h) { /* closed while a task waits */
        weft_go(&h, wait_in_scope, &waiter);
        WEFT_TRY(weft_yield());
        weft_watch_close(waiter.w);
    }
    WEFT_CHECK(waiter.rc == WEFT_ECLOSED);
    return h.result;
}

static int use_all(void *arg)
{
    weft_watch *w __attribute__((cleanup(weft_watch_drop))) = NULL;
    weft_watch_event event;
    int *rc = arg, id;
    if ((*rc = weft_watch_open(&w)) < 0 || (*rc = weft_watch_add(w, os_path("folder"), &id)) < 0)
        return 0;
    for (int i = 0; i < 2 && *rc >= 0; i++) {
        WEFT_CHECK(mkdir(os_path("folder/x"), 0700) == 0 && rmdir(os_path("folder/x")) == 0);
        *rc = weft_watch_next(w, &event);
        if (*rc >= 0)
            *rc = weft_watch_next(w, &event);
    }
    return 0;
}

static int torture(void)
{
    weft_test_report report;
    int rc, before = os_descriptors();
    make_ground();
    WEFT_CHECK(weft_test_run(use_all, &rc, &report) == 0 && rc == 1);
    uint64_t count = report.waits, allocations = report.allocations;
    for (int when = WEFT_CANCEL_BEFORE; when <= (int)WEFT_CANCEL_WOKEN; when++)
        for (uint64_t n = 1; n <= count; n++) {
            WEFT_CHECK(weft_test_run(use_all, &rc, &report, .cancel_at = n, .cancel_when = (enum weft_cancel_when)when) == 0);
            WEFT_CHECK((rc == 1 || rc == WEFT_ECANCELED) && os_descriptors() == before);
        }
    for (uint64_t n = 1; n <= allocations; n++) {
        rc = 1;
        int run = weft_test_run(use_all, &rc, &report, .fail_at = n);
        WEFT_CHECK((run == -ENOMEM || rc == -ENOMEM || rc == 1) && report.struck && os_descriptors() == before);
    }
    return 0;
}

static int left_open(void *arg)
{
    weft_watch *w;
    (void)arg;
    weft_log_set_level(WEFT_LOG_ERROR);
    return weft_watch_open(&w);
}

static int closed_at_the_end_of_the_loop(void)
{
    int before = os_descriptors();
    WEFT_CHECK(weft_run(left_open, NULL) == 0 && os_descriptors() == before);
    return 0;
}

static const weft_test tests[] = {
    TEST(events), TEST(saved), TEST(lost), TEST(waits), PLAIN(torture), PLAIN(closed_at_the_end_of_the_loop),
};

OS_TEST_MAIN(tests)
