/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Threads of a pool, and the queue before them. Under the pool's lock: the queue, the counts, and what each worker is at.
 *
 * A worker's slot is free, taken by a thread that is alive, or by one that has ended and is to be joined: by the next thread
 * that takes the slot, or at the loop's end. Only the loop's thread starts and joins.
 */
#include "lib/task/threads.h"

#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <time.h>

#include "lib/base/check.h"
#include "lib/base/clock.h"
#include "lib/base/memory.h"

enum {
    THREADS_OF_FILES = 4,
    THREADS_OF_NAMES = 4,
    THREADS_OF_PROCESSES = 2,
    THREADS_BESIDE_PROCESSORS = 4,
    THREADS_DEFAULT_MAX = 32,
    THREADS_MAX = 1000,
    QUEUE_DEFAULT = 1024,
    STACK_SIZE = 8 * 1024 * 1024, /* of a thread, as of a process; touched pages alone count */
};

static const weft_duration IDLE_DEFAULT = 10 * WEFT_SECOND;

enum worker_state { WORKER_FREE, WORKER_ALIVE, WORKER_ENDED };

struct worker {
    struct weft_thread_pool *pool;
    pthread_t thread;
    enum worker_state state;
    const char *job; /* the name of what it does; NULL when idle */
    weft_duration since;
};

struct weft_thread_pool {
    weft_loop *loop;
    const char *name;
    weft_offload_limits limits;
    struct worker *workers; /* limits.threads of them; NULL until the pool is used */
    pthread_mutex_t lock;
    sem_t work; /* raised for an idle worker when there is some, and for all at the end; one too many does no harm */
    pthread_cond_t ended;
    weft_list queue;   /* jobs */
    atomic_int queued; /* of the queue; workers that spin look at it without the lock */
    int alive, idle;   /* workers; idle ones sleep */
    int spinning;      /* neither: one at most */
    bool is_ending;
};

struct weft_threads {
    struct weft_thread_pool of[WEFT_THREADS_KINDS];
};

static _Thread_local const weft_job *job_here;

bool weft_threads_is_cut(void)
{
    return job_here && atomic_load_explicit(&job_here->is_cut, memory_order_relaxed);
}

int weft_threads_processors(void)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count > 0 ? count : 1;
}

/* ---- in a thread ---- */

static void set_time(struct timespec *ret, weft_duration at)
{
    *ret = (struct timespec){ .tv_sec = (time_t)(at / WEFT_SECOND), .tv_nsec = (long)(at % WEFT_SECOND) };
}

/* Looks for a while whether one comes, under the lock but for that. */
static void spin_for_job(struct weft_thread_pool *pool)
{
    pool->spinning++;
    pthread_mutex_unlock(&pool->lock);
    weft_spin(&pool->queued, pool->loop->spin.yields);
    pthread_mutex_lock(&pool->lock);
    pool->spinning--;
}

/* The next job, under the lock; NULL for the thread to end. */
static weft_job *take_job(struct weft_thread_pool *pool, bool may_spin)
{
    struct timespec until;
    if (may_spin && weft_list_is_empty(&pool->queue) && !pool->is_ending && pool->spinning == 0)
        spin_for_job(pool);
    set_time(&until, weft_clock_add(weft_clock_monotonic(), pool->limits.idle));
    while (weft_list_is_empty(&pool->queue)) {
        if (pool->is_ending)
            return NULL;
        pool->idle++;
        pthread_mutex_unlock(&pool->lock);
        bool is_late = sem_clockwait(&pool->work, CLOCK_MONOTONIC, &until) < 0 && errno == ETIMEDOUT;
        pthread_mutex_lock(&pool->lock);
        pool->idle--;
        if (is_late && weft_list_is_empty(&pool->queue))
            return NULL;
    }
    pool->queued--;
    return CONTAINER_OF(weft_list_shift(&pool->queue), weft_job, link);
}

/* Is the loop awake, so that it may have another one at once? */
static bool run_job(weft_loop *loop, weft_job *job)
{
    job_here = job;
    job->result = job->fn(job->arg);
    job_here = NULL;
    return weft_loop_post_embedded(loop, &job->post); /* now it is the loop's again */
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct weft_thread_pool *pool = worker->pool;
    weft_job *job;
    bool may_spin = false;
    pthread_mutex_lock(&pool->lock);
    while ((job = take_job(pool, may_spin))) {
        worker->job = job->name;
        worker->since = weft_clock_monotonic();
        pthread_mutex_unlock(&pool->lock);
        may_spin = run_job(pool->loop, job);
        pthread_mutex_lock(&pool->lock);
        worker->job = NULL;
    }
    worker->state = WORKER_ENDED;
    if (--pool->alive == 0)
        pthread_cond_signal(&pool->ended);
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* ---- starting threads ---- */

/* A slot without a thread that is alive; there is one while fewer are alive than there are slots. */
static struct worker *find_slot(struct weft_thread_pool *pool)
{
    struct worker *worker = pool->workers;
    while (worker->state == WORKER_ALIVE)
        worker++;
    return worker;
}

/* The thread inherits the signal mask: everything blocked, so that signals are for the threads that expect them; but faults,
 * which are its own. */
static int create_thread(struct worker *worker)
{
    static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS };
    sigset_t blocked, former;
    pthread_attr_t attributes;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        sigdelset(&blocked, faults[i]);
    int rc = pthread_attr_init(&attributes);
    if (rc != 0)
        return -rc;
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    pthread_sigmask(SIG_SETMASK, &blocked, &former);
    rc = pthread_create(&worker->thread, &attributes, work, worker);
    pthread_sigmask(SIG_SETMASK, &former, NULL);
    pthread_attr_destroy(&attributes);
    if (rc == 0)
        pthread_setname_np(worker->thread, worker->pool->name);
    return -rc;
}

static int start_worker(struct weft_thread_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    struct worker *worker = find_slot(pool);
    bool is_ended = worker->state == WORKER_ENDED;
    worker->state = WORKER_ALIVE;
    pool->alive++;
    pthread_mutex_unlock(&pool->lock);
    if (is_ended)
        pthread_join(worker->thread, NULL);
    int rc = create_thread(worker);
    if (rc == 0)
        return 0;
    pthread_mutex_lock(&pool->lock);
    worker->state = WORKER_FREE;
    pool->alive--;
    pthread_mutex_unlock(&pool->lock);
    return rc;
}

/* ---- opening ---- */

static weft_offload_limits default_limits(enum weft_threads_kind kind)
{
    int processors = weft_threads_processors(), user = processors + THREADS_BESIDE_PROCESSORS;
    const int threads[] = {
        [WEFT_THREADS_USER] = user < THREADS_DEFAULT_MAX ? user : THREADS_DEFAULT_MAX,
        [WEFT_THREADS_COMPUTE] = processors,
        [WEFT_THREADS_FILES] = THREADS_OF_FILES,
        [WEFT_THREADS_NAMES] = THREADS_OF_NAMES,
        [WEFT_THREADS_PROCESSES] = THREADS_OF_PROCESSES,
    };
    return (weft_offload_limits){ .threads = threads[kind], .queue = QUEUE_DEFAULT, .idle = IDLE_DEFAULT };
}

static int open_pool(struct weft_thread_pool *pool, weft_loop *loop, enum weft_threads_kind kind,
                     const weft_offload_limits *limits)
{
    static const char *const names[] = {
        [WEFT_THREADS_USER] = "weft-user",   [WEFT_THREADS_COMPUTE] = "weft-compute",     [WEFT_THREADS_FILES] = "weft-files",
        [WEFT_THREADS_NAMES] = "weft-names", [WEFT_THREADS_PROCESSES] = "weft-processes",
    };
    pool->workers = weft_mem_calloc((size_t)limits->threads, sizeof *pool->workers);
    if (!pool->workers)
        return -ENOMEM;
    for (int i = 0; i < limits->threads; i++) {
        pool->workers[i].pool = pool;
    }
    pool->loop = loop;
    pool->name = names[kind];
    pool->limits = *limits;
    weft_list_init(&pool->queue);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    sem_init(&pool->work, 0, 0);
    pthread_cond_init(&pool->ended, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&pool->lock, NULL);
    return 0;
}

/* The pool of that kind, opened with the limits if it was not; NULL when memory is out. */
static struct weft_thread_pool *find_pool(weft_loop *loop, enum weft_threads_kind kind, const weft_offload_limits *limits)
{
    if (!loop->threads)
        loop->threads = weft_mem_calloc(1, sizeof *loop->threads);
    if (!loop->threads)
        return NULL;
    struct weft_thread_pool *pool = &loop->threads->of[kind];
    if (pool->workers)
        return pool;
    weft_offload_limits chosen = default_limits(kind);
    if (limits && limits->threads)
        chosen.threads = limits->threads;
    if (limits && limits->queue)
        chosen.queue = limits->queue;
    if (limits && limits->idle)
        chosen.idle = limits->idle;
    return open_pool(pool, loop, kind, &chosen) == 0 ? pool : NULL;
}

int weft_offload_set_limits(const weft_offload_limits *limits)
{
    weft_loop *loop = weft_here;
    if (!loop) {
        weft_misuse("weft_offload_set_limits on a thread without a loop");
        return -EPERM;
    }
    if (limits->threads < 0 || limits->threads > THREADS_MAX || limits->queue < 0 || limits->idle < 0)
        return -EINVAL;
    if (loop->threads && loop->threads->of[WEFT_THREADS_USER].workers)
        return -EBUSY;
    return find_pool(loop, WEFT_THREADS_USER, limits) ? 0 : -ENOMEM;
}

/* ---- jobs, on the loop's thread ---- */

static void uncount(weft_job *job)
{
    job->pool->loop->outside -= job->is_counted;
    job->pool->loop->jobs -= job->is_counted;
    job->is_counted = false;
}

static void come_back(void *arg)
{
    weft_job *job = arg;
    uncount(job);
    job->done(job);
}

/* Those in the queue that no thread is free for. */
static int count_waiting(const struct weft_thread_pool *pool)
{
    return pool->queued - pool->idle - pool->spinning - (pool->limits.threads - pool->alive);
}

static bool unqueue(weft_job *job)
{
    struct weft_thread_pool *pool = job->pool;
    pthread_mutex_lock(&pool->lock);
    bool is_queued = !weft_list_is_empty(&job->link);
    weft_list_remove(&job->link);
    pool->queued -= is_queued;
    pthread_mutex_unlock(&pool->lock);
    return is_queued;
}

int weft_threads_submit(enum weft_threads_kind kind, weft_job *job, bool fails_when_full)
{
    struct weft_thread_pool *pool = find_pool(weft_here, kind, NULL);
    if (!pool)
        return -ENOMEM;
    job->pool = pool;
    job->post = (struct weft_loop_post){ .fn = come_back, .arg = job };
    job->is_counted = true;
    pthread_mutex_lock(&pool->lock);
    if (fails_when_full && count_waiting(pool) >= pool->limits.queue) {
        pthread_mutex_unlock(&pool->lock);
        return -EAGAIN;
    }
    weft_list_append(&pool->queue, &job->link);
    pool->queued++;
    bool needs_thread = pool->queued > pool->idle + pool->spinning && pool->alive < pool->limits.threads;
    bool has_thread = pool->alive > 0;
    bool has_idle = pool->idle > 0 && pool->queued > pool->spinning;
    pthread_mutex_unlock(&pool->lock);
    if (has_idle) /* after the unlock: on one core the thread would wake only to wait for the lock */
        sem_post(&pool->work);
    pool->loop->outside++;
    pool->loop->jobs++;
    int rc = needs_thread ? start_worker(pool) : 0;
    if (rc == 0 || has_thread || !unqueue(job)) /* those that there are will come to it */
        return 0;
    uncount(job);
    return rc;
}

bool weft_threads_withdraw(weft_job *job)
{
    if (unqueue(job)) {
        uncount(job);
        return true;
    }
    atomic_store_explicit(&job->is_cut, true, memory_order_relaxed);
    return false;
}

void weft_threads_abandon(weft_job *job)
{
    uncount(job);
}

/* ---- the end ---- */

static void report_hanging(struct weft_thread_pool *pool)
{
    weft_duration now = weft_clock_monotonic();
    for (int i = 0; i < pool->limits.threads; i++) {
        const struct worker *worker = &pool->workers[i];
        if (worker->state == WORKER_ALIVE && worker->job)
            weft_log(WEFT_LOG_WARNING, "the loop has ended and waits for a thread (%s): %s has been running for %lld s",
                     pool->name, worker->job, (long long)((now - worker->since) / WEFT_SECOND));
    }
}

static void await_end(struct weft_thread_pool *pool)
{
    weft_duration report_at = weft_clock_add(weft_clock_monotonic(), WEFT_SECOND);
    pthread_mutex_lock(&pool->lock);
    while (pool->alive > 0) {
        struct timespec until;
        set_time(&until, report_at);
        if (pthread_cond_timedwait(&pool->ended, &pool->lock, &until) != ETIMEDOUT)
            continue;
        report_hanging(pool);
        report_at = weft_clock_add(report_at, 10 * WEFT_SECOND);
    }
    pthread_mutex_unlock(&pool->lock);
}

static void join_threads(struct weft_thread_pool *pool)
{
    await_end(pool);
    for (int i = 0; i < pool->limits.threads; i++)
        if (pool->workers[i].state == WORKER_ENDED)
            pthread_join(pool->workers[i].thread, NULL);
}

static void close_pool(struct weft_thread_pool *pool)
{
    CHECK(weft_list_is_empty(&pool->queue));
    pthread_mutex_destroy(&pool->lock);
    sem_destroy(&pool->work);
    pthread_cond_destroy(&pool->ended);
    weft_mem_free(pool->workers);
}

void weft_threads_close(weft_loop *loop)
{
    if (!loop->threads)
        return;
    for (int kind = 0; kind < WEFT_THREADS_KINDS; kind++) {
        struct weft_thread_pool *pool = &loop->threads->of[kind];
        if (!pool->workers)
            continue;
        pthread_mutex_lock(&pool->lock);
        pool->is_ending = true;
        for (int i = 0; i < pool->alive; i++)
            sem_post(&pool->work);
        pthread_mutex_unlock(&pool->lock);
    }
    for (int kind = 0; kind < WEFT_THREADS_KINDS; kind++)
        if (loop->threads->of[kind].workers)
            join_threads(&loop->threads->of[kind]);
    weft_loop_drain_inbox(loop); /* the last jobs come back */
    for (int kind = 0; kind < WEFT_THREADS_KINDS; kind++)
        if (loop->threads->of[kind].workers)
            close_pool(&loop->threads->of[kind]);
    weft_mem_free(loop->threads);
    loop->threads = NULL;
}
