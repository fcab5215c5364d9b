/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Calls in threads: what is copied, what is abandoned, what is withdrawn, limits of the pools, and the loop's end. */
#include <dirent.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <weft/log.h>
#include <weft/offload.h>

#include "lib/task/threads.h"
#include "tests/core/child.h"
#include "tests/core/tools.h"

static void pause_for(weft_duration d)
{
    nanosleep(&(struct timespec){ .tv_sec = d / WEFT_SECOND, .tv_nsec = d % WEFT_SECOND }, NULL);
}

/* What a call in a thread works on: it says that it has begun, and waits to be let go. */
struct gate {
    sem_t begun, go;
    atomic_int calls, ended, seen_cut;
};

static struct gate gate;

static void gate_open(void)
{
    sem_init(&gate.begun, 0, 0);
    sem_init(&gate.go, 0, 0);
    gate.calls = gate.ended = gate.seen_cut = 0;
}

struct value {
    int in, out;
};

static int double_it(void *arg)
{
    struct value *v = arg;
    v->out = 2 * v->in;
    v->in = -1;
    return v->out == 14 ? 3 : -EIO;
}

static int pass_gate(void *arg)
{
    struct value *v = arg;
    gate.calls++;
    sem_post(&gate.begun);
    sem_wait(&gate.go);
    v->out = 2 * v->in;
    gate.seen_cut += weft_cancelled();
    gate.ended++;
    return 5;
}

static int offload_gate(void *arg)
{
    return weft_offload(pass_gate, (struct value *)arg);
}

static int offload_gate_borrowed(void *arg)
{
    return weft_offload_borrowed(pass_gate, arg);
}

/* For a task: sleeps in steps until the thread has begun. In virtual time the clock stands still meanwhile. */
static int await_begun(void)
{
    while (sem_trywait(&gate.begun) != 0)
        WEFT_TRY(weft_yield());
    return 0;
}

/* ---- one call ---- */

static int value_goes_in_and_out(void)
{
    struct value v = { .in = 7 };
    WEFT_CHECK(weft_offload(double_it, &v) == 3);
    WEFT_CHECK(v.out == 14 && v.in == -1);
    v.in = 8;
    WEFT_CHECK(weft_offload(double_it, &v) == -EIO); /* an error brings the value back too */
    WEFT_CHECK(v.out == 16 && v.in == -1);
    v.in = 7;
    WEFT_CHECK(weft_offload_borrowed(double_it, &v) == 3);
    WEFT_CHECK(v.out == 14 && weft_loop_here()->outside == 0);
    return 0;
}

static int look_around(void *arg)
{
    *(bool *)arg = weft_loop_here() == NULL && weft_task_self() == NULL && !weft_cancelled();
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    return sigismember(&mask, SIGTERM) == 1 && sigismember(&mask, SIGCHLD) == 1 && sigismember(&mask, SIGSEGV) == 0;
}

static int in_a_thread_without_loop_and_signals(void)
{
    bool is_alone = false;
    WEFT_CHECK(weft_offload_borrowed(look_around, &is_alone) == 1 && is_alone);
    return 0;
}

static int pause_20_ms(void *arg)
{
    (void)arg;
    pause_for(20 * MS);
    return 0;
}

static int tick(void *arg)
{
    for (;;) {
        WEFT_TRY(weft_sleep(1 * MS));
        atomic_fetch_add((atomic_int *)arg, 1);
    }
}

/* In a thread: until the loop has ticked, however slow the machine is; but not for ever. */
static int wait_for_ticks(void *arg)
{
    for (int i = 0; i < 10000 && atomic_load((atomic_int *)arg) < 2; i++)
        pause_for(1 * MS);
    return 0;
}

static int tick_meanwhile(void *arg)
{
    (void)arg;
    atomic_int ticks = 0;
    WEFT_GROUP (ticking) {
        weft_go(&ticking, tick, &ticks);
        WEFT_CHECK(weft_offload_borrowed(wait_for_ticks, &ticks) == 0);
        break;
    }
    WEFT_CHECK(atomic_load(&ticks) >= 2);
    return 0;
}

static int loop_goes_on_meanwhile(void)
{
    return weft_test_run(tick_meanwhile, NULL, NULL, .real_time = true);
}

static int virtual_time_stands_still(void)
{
    atomic_int ticks = 0;
    WEFT_GROUP (ticking) {
        weft_go(&ticking, tick, &ticks);
        WEFT_CHECK(weft_offload_borrowed(pause_20_ms, NULL) == 0);
        break;
    }
    WEFT_CHECK(ticks == 0 && weft_now() == 0);
    return 0;
}

/* ---- cut short ---- */

static int abandoned_when_running(void)
{
    gate_open();
    struct value v = { .in = 7 };
    WEFT_GROUP (g) {
        weft_go(&g, offload_gate, &v);
        WEFT_TRY(await_begun());
        weft_group_cancel(&g);
    }
    WEFT_CHECK(g.result == 0 && v.in == 7 && v.out == 0 && gate.ended == 0);
    WEFT_CHECK(weft_loop_here()->outside == 0);
    WEFT_TRY(weft_sleep(WEFT_HOUR)); /* nobody waits for it: time goes on */
    sem_post(&gate.go);
    while (gate.ended == 0)
        WEFT_TRY(weft_yield());
    WEFT_CHECK(gate.seen_cut == 1 && v.out == 0 && weft_loop_here()->outside == 0);
    return 0;
}

static int deadline_abandons(void)
{
    gate_open();
    struct value v = { .in = 7 };
    WEFT_TIMEOUT (limit, 0) {
        WEFT_CHECK(weft_offload(pass_gate, &v) == WEFT_EDEADLINE); /* cut before: nothing is started */
    }
    WEFT_CHECK(gate.calls == 0);
    return 0;
}

static int abandon_for_real(void *arg)
{
    (void)arg;
    struct value v = { .in = 7 };
    WEFT_TIMEOUT (limit, 30 * MS) {
        WEFT_CHECK(weft_offload(pass_gate, &v) == WEFT_EDEADLINE && limit.expired);
    }
    WEFT_CHECK(v.in == 7 && v.out == 0);
    sem_post(&gate.go);
    return 0; /* the thread may still run: the loop's end waits for it */
}

static int loop_end_waits_for_the_abandoned(void)
{
    gate_open();
    int rc = weft_test_run(abandon_for_real, NULL, NULL, .real_time = true);
    WEFT_CHECK(gate.calls == 1 && gate.ended == 1);
    return rc;
}

static int borrowed_is_not_cut_when_running(void)
{
    gate_open();
    struct value v = { .in = 7 };
    weft_task *task;
    WEFT_GROUP (g) {
        WEFT_TRY(weft_spawn(&task, offload_gate_borrowed, &v));
        WEFT_TRY(await_begun());
        weft_task_cancel(task);
        for (int i = 0; i < 10; i++)
            WEFT_TRY(weft_yield());
        WEFT_CHECK(gate.ended == 0 && v.out == 0 && weft_loop_here()->outside == 1);
        sem_post(&gate.go);
        WEFT_CHECK(weft_await(task) == 5);
        WEFT_CHECK(v.out == 14 && gate.seen_cut == 1);
    }
    return g.result;
}

/* With one thread, and that one busy. */
static int withdraw_queued(weft_task_fn *second_call)
{
    gate_open();
    struct value first = { .in = 7 }, second = { .in = 8 };
    weft_task *task;
    WEFT_TRY(weft_offload_set_limits(&(weft_offload_limits){ .threads = 1 }));
    WEFT_GROUP (g) {
        weft_go(&g, offload_gate, &first);
        WEFT_TRY(await_begun());
        WEFT_TRY(weft_spawn(&task, second_call, &second));
        WEFT_TRY(weft_yield());
        WEFT_CHECK(weft_loop_here()->outside == 2);
        weft_task_cancel(task);
        WEFT_CHECK(weft_loop_here()->outside == 1);
        WEFT_CHECK(weft_await(task) == WEFT_ECANCELED);
        sem_post(&gate.go);
    }
    WEFT_CHECK(g.result == 0 && gate.calls == 1 && first.out == 14 && second.in == 8 && second.out == 0);
    return 0;
}

static int queued_is_withdrawn(void)
{
    return withdraw_queued(offload_gate);
}

static int queued_borrowed_is_withdrawn(void)
{
    return withdraw_queued(offload_gate_borrowed);
}

/* ---- limits ---- */

static int full_queue_fails_or_waits(void)
{
    gate_open();
    struct value a = { .in = 1 }, b = { .in = 2 }, c = { .in = 3 }, d = { .in = 4 };
    WEFT_TRY(weft_offload_set_limits(&(weft_offload_limits){ .threads = 1, .queue = 1 }));
    WEFT_GROUP (g) {
        weft_go(&g, offload_gate, &a);
        WEFT_TRY(await_begun());
        weft_go(&g, offload_gate, &b);
        WEFT_TRY(weft_yield());
        WEFT_CHECK(weft_offload(pass_gate, &c, .fail_when_full = true) == -EAGAIN && c.in == 3);
        WEFT_CHECK(weft_offload_borrowed(pass_gate, &c, .fail_when_full = true) == -EAGAIN);
        weft_go(&g, offload_gate, &d);
        WEFT_TRY(weft_yield());
        for (int i = 0; i < 3; i++)
            sem_post(&gate.go);
    }
    WEFT_CHECK(g.result == 0 && a.out == 2 && b.out == 4 && c.out == 0 && d.out == 8 && gate.calls == 3);
    sem_post(&gate.go);
    WEFT_CHECK(weft_offload(pass_gate, &c, .fail_when_full = true) == 5 && c.out == 6);
    return 0;
}

static int limits_are_checked(void)
{
    WEFT_CHECK(weft_offload_set_limits(&(weft_offload_limits){ .threads = -1 }) == -EINVAL);
    WEFT_CHECK(weft_offload_set_limits(&(weft_offload_limits){ .threads = 1001 }) == -EINVAL);
    WEFT_CHECK(weft_offload_set_limits(&(weft_offload_limits){ .queue = -1 }) == -EINVAL);
    WEFT_CHECK(weft_offload_set_limits(&(weft_offload_limits){ .idle = -1 }) == -EINVAL);
    struct value v = { .in = 7 };
    WEFT_CHECK(weft_offload(double_it, &v) == 3);
    WEFT_CHECK(weft_offload_set_limits(&(weft_offload_limits){ .threads = 1 }) == -EBUSY);
    return 0;
}

static atomic_int running, most;

static int be_counted(void *arg)
{
    (void)arg;
    int now = ++running, seen = most;
    while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now)) {
        /* `seen` is newer now */
    }
    pause_for(2 * MS);
    running--;
    return 0;
}

static int offload_count(void *arg)
{
    return weft_offload_borrowed(be_counted, arg);
}

static int count_threads(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/task");
    while (folder && readdir(folder))
        count++;
    if (folder)
        closedir(folder);
    return count - 2;
}

static int thirty_calls(void *arg)
{
    int *threads = arg;
    WEFT_TRY(weft_offload_set_limits(&(weft_offload_limits){ .threads = 3, .idle = 5 * MS }));
    threads[0] = count_threads();
    for (int round = 0; round < 3; round++) {
        WEFT_GROUP (g) {
            for (int i = 0; i < 10; i++)
                weft_go(&g, offload_count, NULL);
        }
        WEFT_TRY(g.result);
        threads[1] = count_threads();
        for (int i = 0; i < 500 && count_threads() > threads[0]; i++)
            WEFT_TRY(weft_sleep(5 * MS));
        threads[2] = count_threads();
    }
    return 0;
}

static int threads_are_bounded_and_end_when_idle(void)
{
    int threads[3];
    most = 0;
    int rc = weft_test_run(thirty_calls, threads, NULL, .real_time = true);
    WEFT_CHECK(most == 3);
    WEFT_CHECK(threads[1] <= threads[0] + 3 && threads[2] == threads[0]);
    return rc;
}

static int pools_do_not_starve_each_other(void)
{
    gate_open();
    struct value busy = { .in = 7 }, v = { .in = 7 };
    WEFT_TRY(weft_offload_set_limits(&(weft_offload_limits){ .threads = 1 }));
    WEFT_GROUP (g) {
        weft_go(&g, offload_gate, &busy);
        WEFT_TRY(await_begun());
        WEFT_CHECK(weft_threads_call(&(struct weft_threads_call){ .kind = WEFT_THREADS_FILES, .fn = double_it, .arg = &v }) ==
                   3);
        v.in = 7;
        WEFT_CHECK(weft_threads_call(&(struct weft_threads_call){ .kind = WEFT_THREADS_NAMES, .fn = double_it, .arg = &v }) ==
                   3);
        WEFT_CHECK(gate.ended == 0);
        sem_post(&gate.go);
    }
    return g.result;
}

static int without_threads(void)
{
    struct rlimit tight = { 1024 * 1024, 1024 * 1024 };
    setrlimit(RLIMIT_AS, &tight); /* less than there is already */
    struct value v = { .in = 7 };
    return weft_offload(double_it, &v) == -EAGAIN && v.in == 7 && weft_loop_here()->outside == 0 ? 7 : 1;
}

static int run_without_threads(void *arg)
{
    (void)arg;
    return without_threads();
}

static int child_without_threads(void)
{
    return weft_test_run(run_without_threads, NULL, NULL);
}

static int no_thread_to_be_had(void)
{
    if (tools_is_sanitizer() || tools_is_valgrind())
        return 0; /* they need memory themselves */
    child c = child_run(child_without_threads);
    WEFT_CHECK(child_exited_with(&c, 7));
    return 0;
}

/* ---- the loop's end, and several loops ---- */

static atomic_bool has_begun, was_reported;

static void hear_report(void *context, enum weft_log_level level, const char *line, size_t size)
{
    (void)context;
    (void)level;
    fwrite(line, 1, size, stderr);
    if (strstr(line, "the loop has ended"))
        atomic_store(&was_reported, true);
}

/* Until the report is made: a fixed time might be over before a busy machine comes to make one. */
static int hang(void *arg)
{
    (void)arg;
    atomic_store(&has_begun, true);
    for (int i = 0; i < 3000 && !atomic_load(&was_reported); i++)
        pause_for(10 * MS);
    return 0;
}

static int offload_what_hangs(void *arg)
{
    (void)arg;
    char value = 0;
    return weft_offload(hang, &value);
}

static int abandon_one_that_hangs(void *arg)
{
    (void)arg;
    weft_log_set_sink(hear_report, NULL);
    WEFT_GROUP (g) {
        weft_go(&g, offload_what_hangs, NULL);
        while (!atomic_load(&has_begun)) /* until then it would be taken back */
            WEFT_TRY(weft_sleep(MS));
        break;
    }
    return 7;
}

static int child_with_hanging_thread(void)
{
    return weft_run(abandon_one_that_hangs, NULL);
}

static int hanging_thread_is_reported(void)
{
    child c = child_run(child_with_hanging_thread);
    WEFT_CHECK(child_exited_with(&c, 7));
    WEFT_CHECK(strstr(c.error, "the loop has ended and waits for a thread (weft-user): hang has been running for "));
    return 0;
}

/* Both loops are open before one of them ends: the thread sanitizer does not see how libuv closes descriptors, and would take
 * the second use of a number for a race. */
static int many_calls(void *arg)
{
    pthread_barrier_wait(arg);
    for (int i = 0; i < 100; i++) {
        struct value v = { .in = 7 };
        WEFT_TRY(weft_offload(double_it, &v));
        WEFT_CHECK(v.out == 14);
    }
    return 0;
}

static void *run_loop(void *arg)
{
    int rc = weft_run(many_calls, arg);
    return rc == 0 ? arg : NULL;
}

static int two_loops_have_threads_of_their_own(void)
{
    pthread_t threads[2];
    pthread_barrier_t barrier;
    void *result;
    pthread_barrier_init(&barrier, NULL, 2);
    for (int i = 0; i < 2; i++)
        WEFT_CHECK(pthread_create(&threads[i], NULL, run_loop, &barrier) == 0);
    for (int i = 0; i < 2; i++)
        WEFT_CHECK(pthread_join(threads[i], &result) == 0 && result == &barrier);
    pthread_barrier_destroy(&barrier);
    return 0;
}

/* ---- torture ---- */

struct round {
    int called, results[4];
    struct value values[4];
};

static int one_of_round(void *arg)
{
    struct value *v = arg;
    return v->in % 2 ? weft_offload(double_it, v) : weft_offload_borrowed(double_it, v);
}

/* Two threads for four calls, of both kinds; each must end with its value doubled, or as it was. */
static int run_round(void *arg)
{
    struct round *round = arg;
    weft_task *tasks[4];
    WEFT_TRY(weft_offload_set_limits(&(weft_offload_limits){ .threads = 2 }));
    WEFT_GROUP (g, .on_error = WEFT_COLLECT) {
        for (int i = 0; i < 4; i++) {
            round->values[i].in = 100 + i;
            round->results[i] = weft_spawn(&tasks[i], one_of_round, &round->values[i]);
        }
        for (int i = 0; i < 4; i++)
            round->results[i] = round->results[i] < 0 ? round->results[i] : weft_await(tasks[i]);
    }
    return 0;
}

static bool is_whole(const struct round *round)
{
    for (int i = 0; i < 4; i++) {
        const struct value *v = &round->values[i];
        bool is_done = v->in == -1 && v->out == 2 * (100 + i), is_left = v->out == 0;
        if (!is_done && (round->results[i] == -EIO || !is_left))
            return false;
    }
    return true;
}

static bool run_tortured(weft_test_report *report, weft_test_options options)
{
    struct round round = { 0 };
    options.struct_size = sizeof options;
    int rc = weft_test_run_(run_round, &round, report, &options);
    bool ok = is_whole(&round) && rc != -EDEADLK;
    if (!ok)
        printf("# ended with %d; seed %llu, cancel %llu %d, fail %llu\n", rc, (unsigned long long)options.seed,
               (unsigned long long)options.cancel_at, (int)options.cancel_when, (unsigned long long)options.fail_at);
    return ok;
}

static int every_wait_cancelled(void)
{
    static const enum weft_cancel_when ways[] = { WEFT_CANCEL_BEFORE, WEFT_CANCEL_PARKED, WEFT_CANCEL_WOKEN };
    weft_test_report report;
    for (size_t way = 0; way < COUNT(ways); way++) {
        uint64_t struck = 0, n = 0;
        do {
            n++;
            WEFT_CHECK(run_tortured(&report, (weft_test_options){ .cancel_at = n, .cancel_when = ways[way], .seed = n }));
            struck += report.struck;
        } while (n < report.waits && n < 30);
        WEFT_CHECK(struck >= 4 && report.waits >= 8);
    }
    return 0;
}

static int every_allocation_failed(void)
{
    weft_test_report report;
    uint64_t n = 0;
    do
        WEFT_CHECK(run_tortured(&report, (weft_test_options){ .fail_at = ++n }));
    while (report.struck && n < 200);
    WEFT_CHECK(n > 10 && n < 200);
    return 0;
}

static int many_seeds(void)
{
    weft_test_report report;
    for (uint64_t seed = 1; seed <= 300 / tools_slowness() + 5; seed++)
        WEFT_CHECK(run_tortured(&report, (weft_test_options){ .seed = seed }));
    return 0;
}

static const weft_test tests[] = {
    PLAIN(no_thread_to_be_had), /* first, for the stacks of threads that have ended are kept and used again */
    TEST(value_goes_in_and_out),
    TEST(in_a_thread_without_loop_and_signals),
    PLAIN(loop_goes_on_meanwhile),
    TEST(virtual_time_stands_still),
    TEST(abandoned_when_running),
    TEST(deadline_abandons),
    PLAIN(loop_end_waits_for_the_abandoned),
    TEST(borrowed_is_not_cut_when_running),
    TEST(queued_is_withdrawn),
    TEST(queued_borrowed_is_withdrawn),
    TEST(full_queue_fails_or_waits),
    TEST(limits_are_checked),
    PLAIN(threads_are_bounded_and_end_when_idle),
    TEST(pools_do_not_starve_each_other),
    PLAIN(hanging_thread_is_reported),
    PLAIN(two_loops_have_threads_of_their_own),
    PLAIN(every_wait_cancelled),
    PLAIN(every_allocation_failed),
    PLAIN(many_seeds),
};

TEST_MAIN(tests)
