/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
#include "lib/os/work.h"

#include "lib/base/check.h"

struct work_wait {
    weft_wait wait;
    weft_work *work;
};

/* Settled: by the thread's end, or else by a reason, which takes back what no thread has begun. */
static void withdraw(weft_wait *wait)
{
    weft_work *work = CONTAINER_OF(wait, struct work_wait, wait)->work;
    work->wait = NULL;
    if (!work->is_done)
        work->is_withdrawn = weft_threads_withdraw(&work->job);
}

static void come_back(weft_job *job)
{
    weft_work *work = CONTAINER_OF(job, weft_work, job);
    work->is_done = true;
    work->is_served = work->wait;
    if (work->is_abandoned)
        work->dispose(work);
    else if (work->wait)
        weft_wait_settle(work->wait, 0);
}

int weft_work_run_in(enum weft_threads_kind kind, weft_work *work, const char *name, int (*fn)(void *work), const void *place)
{
    work->job = (weft_job){ .fn = fn, .arg = work, .name = name, .done = come_back };
    work->is_done = work->is_served = work->is_withdrawn = work->is_abandoned = false;
    work->wait = NULL;
    int rc = weft_threads_submit(kind, &work->job, false);
    if (rc < 0) {
        work->dispose(work);
        return rc;
    }
    struct work_wait wait = {
        .wait = { .withdraw = withdraw, .what = name, .on = work, .place = place },
        .work = work,
    };
    work->wait = &wait.wait;
    rc = weft_wait_park(&wait.wait);
    if (work->is_served)
        return 0;
    if (work->is_done || work->is_withdrawn) {
        work->dispose(work);
        return rc;
    }
    work->is_abandoned = true;
    if (work->abandoned)
        work->abandoned(work);
    weft_threads_abandon(&work->job);
    return rc;
}

int weft_work_run(weft_work *work, const char *name, int (*fn)(void *work), const void *place)
{
    return weft_work_run_in(WEFT_THREADS_FILES, work, name, fn, place);
}
