/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Children and signals in a select, beside a queue: each is told once, whatever is cut short, and none is favoured. */
#include <signal.h>
#include <sys/wait.h>

#include <weft/process.h>
#include <weft/select.h>
#include <weft/signal.h>

#include "tests/core/tools.h"
#include "tests/os/os.h"

enum { CHILD, SIGNAL, ITEM, KINDS };

struct office {
    weft_process *child; /* ends with 7 */
    weft_signal *signal;
    weft_queue *queue;
    weft_process_status status;
    int item;
    bool told[KINDS];
};

#define CASES(o)                                                                                                               \
    {                                                                                                                          \
        WEFT_ON_PROCESS((o)->child, &(o)->status), WEFT_ON_SIGNAL((o)->signal), WEFT_ON_GET((o)->queue, &(o)->item),           \
            WEFT_ON_TIMEOUT(WEFT_HOUR)                                                                                         \
    }

static int open_office(struct office *o, const char *script)
{
    *o = (struct office){ .queue = weft_queue_new(sizeof(int), 1) };
    WEFT_TRY(weft_signal_open(&o->signal, SIGUSR1));
    return weft_process_open(&o->child, WEFT_ARGV("/bin/sh", "-c", script));
}

static void close_office(struct office *o)
{
    weft_process_drop(&o->child);
    weft_signal_drop(&o->signal);
    weft_queue_free(o->queue);
}

static int put_item(void *queue)
{
    int item = 42;
    WEFT_TRY(weft_sleep(MS));
    return weft_queue_put((weft_queue *)queue, &item);
}

/* Waits until all three have been told; < 0 if it was cut short. */
static int attend(struct office *o)
{
    weft_select_case cases[] = CASES(o);
    for (int left = KINDS; left > 0; left--) {
        int which = weft_select(cases, COUNT(cases));
        if (which < 0)
            return which;
        WEFT_CHECK(which < KINDS && !o->told[which]);
        WEFT_CHECK(cases[which].result == (which == CHILD ? 0 : 1));
        o->told[which] = true;
        cases[which].on.queue = NULL;
    }
    return 0;
}

/* ---- what is told ---- */

static int all_are_told(void)
{
    struct office o;
    weft_duration start = weft_now();
    WEFT_TRY(open_office(&o, "exit 7"));
    WEFT_GROUP (g) {
        weft_go(&g, put_item, o.queue);
        raise(SIGUSR1);
        WEFT_TRY(attend(&o));
    }
    WEFT_CHECK(o.status.code == 7 && o.status.signal == 0 && o.item == 42);
    WEFT_CHECK(weft_now() < start + WEFT_HOUR); /* the virtual clock does not jump while a child runs */
    close_office(&o);
    return g.result;
}

/* As long as the child lives nothing but the time-out can happen, and that does only when nobody is awaited from outside. */
static int each_alone(void)
{
    struct office o;
    int unused;
    WEFT_TRY(open_office(&o, "exec sleep 100"));
    weft_select_case wrong = WEFT_ON_PROCESS(o.child, &unused);
    WEFT_CHECK(weft_select(&wrong, 1) == 0 && wrong.result == -EINVAL);
    WEFT_CHECK(weft_process_kill(o.child, SIGKILL) == 0);
    weft_select_case child = WEFT_ON_PROCESS(o.child, &o.status), again = child;
    WEFT_CHECK(weft_select(&child, 1) == 0 && child.result == 0 && o.status.code == -1 && o.status.signal == SIGKILL);
    o.status = (weft_process_status){ 0 };
    WEFT_CHECK(weft_select(&again, 1) == 0 && o.status.signal == SIGKILL); /* an end stays */
    raise(SIGUSR1);
    weft_select_case signal = WEFT_ON_SIGNAL(o.signal);
    WEFT_CHECK(weft_select(&signal, 1) == 0 && signal.result == 1);
    weft_select_case none[] = { WEFT_ON_SIGNAL(o.signal), WEFT_ON_TIMEOUT(0) };
    WEFT_CHECK(weft_select(none, 2) == 1); /* a signal is told once */
    weft_select_case nothing[] = { WEFT_ON_SIGNAL((weft_signal *)NULL), WEFT_ON_TIMEOUT(WEFT_HOUR) };
    WEFT_CHECK(weft_select(nothing, 2) == 1); /* and time jumps when none is waited for */
    close_office(&o);
    return 0;
}

struct watcher {
    struct office *office;
    weft_process_status status;
    int which, result;
};

static int watch_child(void *arg)
{
    struct watcher *w = arg;
    weft_select_case cases[] = { WEFT_ON_SIGNAL(w->office->signal), WEFT_ON_PROCESS(w->office->child, &w->status) };
    w->which = weft_select(cases, 2);
    w->result = w->which >= 0 ? cases[w->which].result : 0;
    return 0;
}

static int several_are_told_of_one_end(void)
{
    struct office o;
    struct watcher watchers[3];
    weft_process_status status = { 0 };
    WEFT_TRY(open_office(&o, "exit 7"));
    WEFT_GROUP (g) {
        for (int i = 0; i < 3; i++) {
            watchers[i] = (struct watcher){ .office = &o };
            weft_go(&g, watch_child, &watchers[i]);
        }
        WEFT_TRY(weft_process_wait(o.child, &status));
    }
    for (int i = 0; i < 3; i++)
        WEFT_CHECK(watchers[i].which == 1 && watchers[i].result == 0 && watchers[i].status.code == 7);
    WEFT_CHECK(status.code == 7);
    close_office(&o);
    return g.result;
}

static int closed_while_waited_for(void)
{
    for (int which = 0; which < 2; which++) {
        struct office o;
        WEFT_TRY(open_office(&o, "exec sleep 100"));
        struct watcher w = { .office = &o, .status.code = 99 };
        WEFT_GROUP (g) {
            weft_go(&g, watch_child, &w);
            WEFT_TRY(weft_yield());
            if (which == 0)
                weft_signal_close(o.signal);
            else
                weft_process_drop(&o.child);
        }
        WEFT_CHECK(w.which == which && w.result == WEFT_ECLOSED && w.status.code == 99);
        if (which == 0)
            o.signal = NULL;
        else
            o.child = NULL;
        close_office(&o);
    }
    return 0;
}

static int reports_say_what_it_waits_for(void)
{
    struct office o;
    char text[2000] = "";
    WEFT_TRY(open_office(&o, "exec sleep 100"));
    struct watcher w = { .office = &o };
    WEFT_GROUP (g) {
        weft_go(&g, watch_child, &w);
        WEFT_TRY(weft_yield());
        FILE *out = fmemopen(text, sizeof text, "w");
        weft_tasks_print(out);
        fclose(out);
        weft_group_cancel(&g);
    }
    WEFT_CHECK(strstr(text, ": signal (0x") && strstr(text, ", process wait (0x"));
    close_office(&o);
    return 0;
}

/* ---- fair ---- */

static int choose_one(void *arg)
{
    struct office o;
    int item = 1;
    WEFT_TRY(open_office(&o, "exit 7"));
    raise(SIGUSR1);
    WEFT_TRY(weft_process_wait(o.child, &o.status));
    WEFT_TRY(weft_sleep(MS)); /* the signal has come too, at the latest with the next poll */
    WEFT_TRY(weft_queue_put(o.queue, &item));
    weft_select_case cases[] = CASES(&o);
    int which = weft_select(cases, COUNT(cases));
    ++((int *)arg)[which];
    close_office(&o);
    return which < 0 ? which : 0;
}

static int none_is_favoured(void)
{
    int counts[KINDS + 1] = { 0 };
    int rounds = 240 / (int)tools_slowness() + 60;
    for (int seed = 1; seed <= rounds; seed++)
        WEFT_CHECK(weft_test_run(choose_one, counts, NULL, .seed = (uint64_t)seed) == 0);
    WEFT_CHECK(counts[CHILD] + counts[SIGNAL] + counts[ITEM] == rounds);
    for (int kind = 0; kind < KINDS; kind++)
        WEFT_CHECK(counts[kind] > rounds / 6);
    return 0;
}

/* ---- cut short at any wait: what was not told is still there ---- */

static int take_the_rest(struct office *o)
{
    weft_process_status status = { 0 };
    int item = 0;
    if (!o->told[CHILD])
        WEFT_CHECK(weft_process_wait(o->child, &status) == 0 && status.code == 7);
    if (!o->told[SIGNAL])
        WEFT_CHECK(weft_signal_wait(o->signal) == 1);
    if (!o->told[ITEM])
        WEFT_CHECK(weft_queue_get(o->queue, &item) == 1 && item == 42);
    return 0;
}

static int attend_and_check(void *arg)
{
    struct office o;
    int item = 42, rc = open_office(&o, "exit 7");
    if (rc == 0)
        rc = weft_queue_try_put(o.queue, &item);
    if (rc == 0) {
        raise(SIGUSR1);
        *(int *)arg = attend(&o);
        WEFT_SHIELD (shield, WEFT_MINUTE) {
            take_the_rest(&o);
        }
    }
    WEFT_SHIELD (closing, WEFT_MINUTE) {
        weft_process_close(o.child);
    }
    o.child = NULL;
    close_office(&o);
    return 0;
}

static int cut_at_each_wait(void)
{
    static const enum weft_cancel_when whens[] = { WEFT_CANCEL_BEFORE, WEFT_CANCEL_PARKED, WEFT_CANCEL_WOKEN };
    int cut = 0;
    for (size_t i = 0; i < COUNT(whens); i++) {
        bool struck = true;
        for (uint64_t n = 1; n < 12 && (struck || whens[i] != WEFT_CANCEL_BEFORE); n++) {
            weft_test_report report;
            int rc = 0;
            WEFT_CHECK(weft_test_run(attend_and_check, &rc, &report, .cancel_at = n, .cancel_when = whens[i]) == 0);
            struck = report.struck;
            cut += rc == WEFT_ECANCELED;
        }
    }
    WEFT_CHECK(cut >= 3);
    return 0;
}

static int deadline_and_event_in_one_turn(void)
{
    struct office o;
    WEFT_TRY(open_office(&o, "exit 7"));
    WEFT_TRY(weft_process_wait(o.child, &o.status));
    WEFT_TIMEOUT (limit, 0) { /* there before: refused, and nothing taken */
        weft_select_case cases[] = CASES(&o);
        raise(SIGUSR1);
        WEFT_CHECK(weft_select(cases, COUNT(cases)) == WEFT_EDEADLINE);
    }
    WEFT_CHECK(weft_signal_wait(o.signal) == 1);
    close_office(&o);
    return 0;
}

static const weft_test tests[] = {
    TEST(all_are_told),
    TEST(each_alone),
    TEST(several_are_told_of_one_end),
    TEST(closed_while_waited_for),
    TEST(reports_say_what_it_waits_for),
    PLAIN(none_is_favoured),
    PLAIN(cut_at_each_wait),
    TEST(deadline_and_event_in_one_turn),
};

OS_CHILD_TEST_MAIN(tests)
