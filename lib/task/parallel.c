/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Many items over many threads: a job for each thread, and a counter from which they take runs of items.
 *
 * The task waits until the last job has come back, whatever happens: what the jobs share is in one block that it owns.
 */
#include <weft/offload.h>

#include <errno.h>
#include <string.h>

#include "lib/base/memory.h"
#include "lib/task/threads.h"
#include "lib/task/task.h"

enum { RUNS_PER_THREAD = 8 };

struct parallel;

struct share {
    weft_job job;
    struct parallel *parallel;
    size_t done_count; /* items */
};

struct parallel {
    weft_parallel_fn *fn;
    void *arg;
    size_t count, grain;
    atomic_size_t next;       /* item */
    atomic_int error;         /* of the item that failed first */
    atomic_bool is_over;      /* no further item is to begin */
    size_t share_count, left; /* jobs in all; those that have not come back */
    weft_wait *wait;
    struct share shares[];
};

struct parallel_wait {
    weft_wait wait;
    struct parallel *parallel;
};

/* In a thread: one item; false if it failed. */
static bool do_item(struct parallel *p, size_t index)
{
    int none = 0, rc = p->fn(index, p->arg);
    if (rc >= 0)
        return true;
    atomic_compare_exchange_strong(&p->error, &none, rc);
    atomic_store(&p->is_over, true);
    for (size_t i = 0; i < p->share_count; i++)
        atomic_store_explicit(&p->shares[i].job.is_cut, true, memory_order_relaxed);
    return false;
}

/* The next run of items; false if there is none. The counter stays near `count`, so that it cannot wrap. */
static bool take_run(struct parallel *p, size_t *ret_first, size_t *ret_end)
{
    size_t first = atomic_load(&p->next), end;
    do {
        if (first == p->count)
            return false;
        end = p->count - first > p->grain ? first + p->grain : p->count;
    } while (!atomic_compare_exchange_weak(&p->next, &first, end));
    *ret_first = first;
    *ret_end = end;
    return true;
}

static int do_share(void *arg)
{
    struct share *share = arg;
    struct parallel *p = share->parallel;
    size_t at, end;
    while (take_run(p, &at, &end)) {
        for (; at < end; at++) {
            if (atomic_load_explicit(&p->is_over, memory_order_relaxed) || !do_item(p, at))
                return 0;
            share->done_count++;
        }
    }
    return 0;
}

static void end_share(weft_job *job)
{
    struct parallel *p = CONTAINER_OF(job, struct share, job)->parallel;
    if (--p->left == 0 && p->wait)
        weft_wait_settle(p->wait, 0);
}

/* Settled: all have come back, or a reason has come. */
static void withdraw(weft_wait *wait)
{
    struct parallel *p = CONTAINER_OF(wait, struct parallel_wait, wait)->parallel;
    p->wait = NULL;
    if (p->left == 0)
        return;
    atomic_store(&p->is_over, true);
    for (size_t i = 0; i < p->share_count; i++)
        p->left -= p->shares[i].job.pool && weft_threads_withdraw(&p->shares[i].job);
}

static int park(struct parallel *p, const void *place, bool is_uncut)
{
    struct parallel_wait wait = {
        .wait = { .withdraw = withdraw, .what = "parallel for", .on = p, .place = place, .is_uncut = is_uncut },
        .parallel = p,
    };
    p->wait = &wait.wait;
    return weft_wait_park(&wait.wait);
}

static size_t count_done(const struct parallel *p)
{
    size_t done = 0;
    for (size_t i = 0; i < p->share_count; i++)
        done += p->shares[i].done_count;
    return done;
}

/* Starts the shares, as many as threads can be had for; an error if for none. */
static int start(struct parallel *p, const char *name)
{
    for (size_t i = 0; i < p->share_count; i++) {
        struct share *share = &p->shares[i];
        share->parallel = p;
        share->job = (weft_job){ .fn = do_share, .arg = share, .name = name, .done = end_share };
        weft_list_init(&share->job.link);
    }
    for (size_t i = 0; i < p->share_count; i++) {
        int rc = weft_threads_submit(WEFT_THREADS_COMPUTE, &p->shares[i].job, false);
        if (rc < 0)
            return p->left > 0 ? 0 : rc;
        p->left++;
    }
    return 0;
}

static int run(struct parallel *p, const char *name, const void *place)
{
    int rc = start(p, name);
    if (rc < 0)
        return rc;
    rc = park(p, place, false);
    while (p->left > 0)
        park(p, place, true);
    return rc < 0 && count_done(p) < p->count ? rc : atomic_load(&p->error);
}

int weft_parallel_for_(const char *name, size_t count, weft_parallel_fn *fn, void *arg, const weft_parallel_options *given)
{
    weft_parallel_options options = { 0 };
    memcpy(&options, given, given->struct_size < sizeof options ? given->struct_size : sizeof options);
    int rc = weft_wait_check("parallel for");
    if (rc < 0 || count == 0)
        return rc;
    size_t threads = (size_t)weft_threads_processors();
    if (options.threads > 0 && (size_t)options.threads < threads)
        threads = (size_t)options.threads;
    size_t grain = options.grain > 0 ? options.grain : count / (threads * RUNS_PER_THREAD) + 1;
    size_t runs = (count - 1) / grain + 1;
    size_t share_count = runs < threads ? runs : threads;
    struct parallel *p = weft_mem_calloc(1, sizeof *p + share_count * sizeof p->shares[0]);
    if (!p)
        return -ENOMEM;
    p->fn = fn;
    p->arg = arg;
    p->count = count;
    p->grain = grain;
    p->share_count = share_count;
    rc = run(p, name, __builtin_return_address(0));
    weft_mem_free(p);
    return rc;
}
