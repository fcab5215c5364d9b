/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Two loops in two threads know nothing of each other but what they post; under the thread sanitizer nothing races. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "tests/core/core.h"
#include "tests/core/stress.h"
#include "tests/core/tools.h"

enum { THREADS = 2 };

#ifdef WEFT_TSAN
/* libuv closes descriptors by syscall(), which the sanitizer does not see: it takes the next use of a number for a race. */
const char *__tsan_default_suppressions(void);

const char *__tsan_default_suppressions(void)
{
    return "race:^eventfd$\nrace:^epoll_create1$\nrace:^pipe2$\nrace:^__interceptor_eventfd$\n"
           "race:^__interceptor_epoll_create1$\n";
}
#endif

/* Runs body in `count` threads at once, each with an element of `args`; no check may fail in any. */
struct thread {
    pthread_t id;
    void (*body)(void *arg);
    void *arg;
    unsigned failures;
};

static void *run_thread(void *arg)
{
    struct thread *t = arg;
    t->body(t->arg);
    t->failures = weft_test_failures(); /* they are counted by thread */
    return NULL;
}

static void run_threads(void (*body)(void *arg), void *args, size_t arg_size, size_t count)
{
    struct thread thread[8];
    for (size_t i = 0; i < count; i++) {
        thread[i] = (struct thread){ .body = body, .arg = (char *)args + i * arg_size };
        WEFT_CHECK(pthread_create(&thread[i].id, NULL, run_thread, &thread[i]) == 0);
    }
    for (size_t i = 0; i < count; i++) {
        pthread_join(thread[i].id, NULL);
        WEFT_CHECK(thread[i].failures == 0);
    }
}

/* ---- each busy with its own ---- */

static void stress_seeds(void *arg)
{
    uint64_t first = *(uint64_t *)arg, seeds = 500 / tools_slowness() + 1;
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        weft_stress s;
        weft_test_report report;
        weft_stress_init(&s, seed);
        WEFT_CHECK(weft_test_run(weft_stress_run, &s, &report, .seed = seed) == 7 && weft_stress_check(&s));
        uint64_t waits = report.waits;
        weft_stress_init(&s, seed);
        int rc = weft_test_run(weft_stress_run, &s, &report, .seed = seed, .fail_at = 20);
        WEFT_CHECK(rc != -EDEADLK && weft_stress_check(&s));
        weft_stress_init(&s, seed);
        rc = weft_test_run(weft_stress_run, &s, &report, .seed = seed, .cancel_at = waits / 2,
                           .cancel_when = WEFT_CANCEL_WOKEN);
        WEFT_CHECK(rc == 7 && weft_stress_check(&s));
    }
}

static int stress_in_two_threads(void)
{
    uint64_t first[THREADS] = { 1, 100001 };
    run_threads(stress_seeds, first, sizeof first[0], THREADS);
    return 0;
}

/* ---- post to each other ---- */

enum { PLAYERS = 6, ROUNDS = 300 };

struct side {
    struct side *peer;
    _Atomic(weft_loop *) loop;
    weft_queue *balls;
    weft_queue *peer_done;
    int received, sent, out_of_order, last_seen;
    uint64_t timers;
};

struct ball {
    struct side *to;
    int number;
};

/* On the loop of `to`, outside any task. */
static void catch_ball(void *arg)
{
    struct ball *ball = arg;
    struct side *side = ball->to;
    int number = ball->number;
    free(ball);
    side->received++;
    side->out_of_order += number != side->last_seen + 1;
    side->last_seen = number;
    WEFT_CHECK(weft_loop_here() == side->loop && !weft_task_self());
    WEFT_CHECK(weft_queue_try_put(side->balls, &number) == 0);
}

static int throw_ball(struct side *side)
{
    struct ball *ball = malloc(sizeof *ball);
    if (!ball)
        return -ENOMEM;
    *ball = (struct ball){ side->peer, ++side->sent };
    return weft_loop_post(side->peer->loop, catch_ball, ball);
}

static int play(void *arg)
{
    struct side *side = arg;
    for (int i = 0; i < ROUNDS; i++) {
        int number;
        WEFT_TRY(throw_ball(side));
        int rc = weft_queue_get(side->balls, &number);
        WEFT_CHECK(rc == 1);
    }
    return 0;
}

static int keep_time(void *arg)
{
    struct side *side = arg;
    int rc = 0;
    while (rc == 0) {
        WEFT_TIMEOUT (limit, 1 * MS) {
            rc = weft_sleep(WEFT_HOUR);
        }
        if (limit.expired)
            rc = 0;
        side->timers++;
    }
    return rc;
}

static void note_peer_done(void *arg)
{
    struct side *side = arg;
    weft_queue_close(side->peer_done);
}

static int run_side(void *arg)
{
    struct side *side = arg;
    int item;
    side->loop = weft_loop_here();
    while (!side->peer->loop)
        WEFT_TRY(weft_sleep(1 * MS));
    WEFT_GROUP (others) {
        weft_go(&others, keep_time, side);
        WEFT_GROUP (players) {
            for (int i = 0; i < PLAYERS; i++)
                weft_go(&players, play, side);
        }
        WEFT_CHECK(players.result == 0);
        WEFT_TRY(weft_sleep(5 * MS));
        WEFT_TRY(weft_loop_post(side->peer->loop, note_peer_done, side->peer));
        WEFT_CHECK(weft_queue_get(side->peer_done, &item) == 0); /* it posts no more: this loop may end */
        weft_group_cancel(&others);
    }
    return others.result;
}

static void run_side_alone(void *arg)
{
    WEFT_CHECK(weft_run(run_side, arg) == 0);
}

static int two_loops_post_to_each_other(void)
{
    struct side side[THREADS] = { { .peer = &side[1] }, { .peer = &side[0] } };
    for (int i = 0; i < THREADS; i++) {
        side[i].balls = weft_queue_new(sizeof(int), PLAYERS * ROUNDS);
        side[i].peer_done = weft_queue_new(sizeof(int), 1);
    }
    run_threads(run_side_alone, side, sizeof side[0], THREADS);
    for (int i = 0; i < THREADS; i++) {
        WEFT_CHECK(side[i].sent == PLAYERS * ROUNDS && side[i].received == PLAYERS * ROUNDS);
        WEFT_CHECK(side[i].out_of_order == 0 && side[i].timers > 0);
        weft_queue_free(side[i].balls);
        weft_queue_free(side[i].peer_done);
    }
    return 0;
}

/* ---- many threads post to one loop ---- */

enum { POSTERS = 4, POSTS = 2000 };

struct target {
    weft_loop *loop;
    int called[POSTERS], out_of_order;
    atomic_int ready;
};

struct letter {
    struct target *target;
    int poster, number;
};

struct poster {
    struct target *target;
    int number;
    struct letter letter[POSTS];
};

static void read_letter(void *arg)
{
    struct letter *letter = arg;
    int *called = &letter->target->called[letter->poster];
    letter->target->out_of_order += letter->number != *called;
    ++*called;
}

static void *post_letters(void *arg)
{
    struct poster *p = arg;
    for (int i = 0; i < POSTS; i++) {
        p->letter[i] = (struct letter){ p->target, p->number, i };
        if (weft_loop_post(p->target->loop, read_letter, &p->letter[i]) != 0)
            break;
    }
    p->target->ready++;
    return NULL;
}

/* Ends as soon as all have been posted, whether they have been read or not. */
static int wait_for_posters(void *arg)
{
    struct target *target = arg;
    static struct poster poster[POSTERS];
    pthread_t thread[POSTERS];
    target->loop = weft_loop_here();
    for (int i = 0; i < POSTERS; i++) {
        poster[i] = (struct poster){ .target = target, .number = i };
        WEFT_CHECK(pthread_create(&thread[i], NULL, post_letters, &poster[i]) == 0);
    }
    while (target->ready < POSTERS)
        WEFT_TRY(weft_yield());
    for (int i = 0; i < POSTERS; i++)
        pthread_join(thread[i], NULL);
    return 0;
}

static int posts_before_the_end_are_all_called(void)
{
    for (int round = 0; round < 5; round++) {
        struct target target = { .ready = 0 };
        WEFT_CHECK(weft_run(wait_for_posters, &target) == 0);
        for (int i = 0; i < POSTERS; i++)
            WEFT_CHECK(target.called[i] == POSTS);
        WEFT_CHECK(target.out_of_order == 0);
    }
    return 0;
}

/* ---- what belongs to a loop ---- */

struct logged {
    char name;
    int lines, wrong;
};

static void check_line(void *context, enum weft_log_level level, const char *line, size_t size)
{
    struct logged *l = context;
    (void)level;
    l->lines++;
    l->wrong += line[size - 1] != l->name;
}

static int log_own_lines(void *arg)
{
    struct logged *l = arg;
    weft_log_set_sink(check_line, l);
    weft_log_set_level(l->name == 'a' ? WEFT_LOG_DEBUG : WEFT_LOG_ERROR);
    for (int i = 0; i < 1000; i++) {
        weft_log(WEFT_LOG_DEBUG, "line %d of %c", i, l->name);
        weft_log(WEFT_LOG_ERROR, "line %d of %c", i, l->name);
        WEFT_TRY(weft_yield());
    }
    return weft_fail(-EIO, "%c", l->name);
}

static void run_logged(void *arg)
{
    WEFT_CHECK(weft_run(log_own_lines, arg) == -EIO);
}

static int logs_do_not_mix(void)
{
    struct logged logged[THREADS] = { { .name = 'a' }, { .name = 'b' } };
    run_threads(run_logged, logged, sizeof logged[0], THREADS);
    WEFT_CHECK(logged[0].lines == 2000 && logged[1].lines == 1000 && logged[0].wrong == 0 && logged[1].wrong == 0);
    return 0;
}

/* ---- the same stacks again and again: what the tools keep of each must not grow ---- */

static int start_many(void *arg)
{
    enum { BATCH = 1, BATCHES = 150000 };
    (void)arg;
    for (int i = 0; i < BATCHES; i++) {
        WEFT_GROUP (g) {
            for (int k = 0; k < BATCH; k++)
                weft_go(&g, succeed, NULL);
        }
        WEFT_TRY(g.result);
    }
    return 0;
}

static void run_many(void *arg)
{
    WEFT_CHECK(weft_run(start_many, arg) == 0);
}

static int stacks_may_be_reused_very_often(void)
{
    char none[THREADS] = { 0 };
    run_threads(run_many, none, 1, THREADS);
    return 0;
}

static const weft_test tests[] = {
    PLAIN(stress_in_two_threads), PLAIN(two_loops_post_to_each_other),    PLAIN(posts_before_the_end_are_all_called),
    PLAIN(logs_do_not_mix),       PLAIN(stacks_may_be_reused_very_often),
};

TEST_MAIN(tests)
