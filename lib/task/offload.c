/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * One call in a thread, and the task that waits for it.
 *
 * A copied call is on the heap: it belongs to the waiting task until that abandons it, then to itself, and is freed when its
 * thread is done with it. A borrowed one is on the task's stack, which stays until the thread is done.
 */
#include <weft/offload.h>

#include <errno.h>
#include <stdalign.h>
#include <string.h>

#include "lib/base/memory.h"
#include "lib/task/threads.h"
#include "lib/task/task.h"

struct call {
    weft_job job;
    weft_wait *wait;   /* NULL when the task is not parked for it */
    bool is_done;      /* the thread has come back */
    bool is_served;    /* and that is what settled the wait */
    bool is_withdrawn; /* no thread has, nor will have, seen it */
    bool is_abandoned;
};

struct copied_call {
    struct call call;
    alignas(16) char copy[];
};

struct call_wait {
    weft_wait wait;
    struct call *call;
};

/* Settled: by the thread's end, or else by a reason, which takes back what no thread has begun. */
static void withdraw(weft_wait *wait)
{
    struct call *call = CONTAINER_OF(wait, struct call_wait, wait)->call;
    call->wait = NULL;
    if (!call->is_done)
        call->is_withdrawn = weft_threads_withdraw(&call->job);
}

static void end_call(weft_job *job)
{
    struct call *call = CONTAINER_OF(job, struct call, job);
    if (call->is_abandoned) {
        weft_mem_free(CONTAINER_OF(call, struct copied_call, call));
        return;
    }
    call->is_done = true;
    call->is_served = call->wait;
    if (call->wait)
        weft_wait_settle(call->wait, job->result);
}

static int park(struct call *call, const struct weft_threads_call *how, bool is_uncut)
{
    struct call_wait wait = {
        .wait = { .withdraw = withdraw, .what = "thread", .on = call, .place = how->place, .is_uncut = is_uncut },
        .call = call,
    };
    call->wait = &wait.wait;
    return weft_wait_park(&wait.wait);
}

static int submit(struct call *call, const struct weft_threads_call *how, void *arg)
{
    *call = (struct call){ .job = { .fn = how->fn, .arg = arg, .name = how->name, .done = end_call } };
    return weft_threads_submit(how->kind, &call->job, how->fails_when_full);
}

static int call_borrowed(const struct weft_threads_call *how)
{
    struct call call;
    int rc = submit(&call, how, how->arg);
    if (rc < 0)
        return rc;
    rc = park(&call, how, false);
    if (call.is_withdrawn)
        return rc;
    return call.is_done ? call.job.result : park(&call, how, true);
}

static int call_copied(const struct weft_threads_call *how)
{
    struct copied_call *copied = weft_mem_alloc(sizeof *copied + how->copy_size);
    if (!copied)
        return -ENOMEM;
    struct call *call = &copied->call;
    memcpy(copied->copy, how->arg, how->copy_size);
    int rc = submit(call, how, copied->copy);
    if (rc < 0) {
        weft_mem_free(copied);
        return rc;
    }
    rc = park(call, how, false);
    if (call->is_served)
        memcpy(how->arg, copied->copy, how->copy_size);
    if (call->is_done || call->is_withdrawn) {
        weft_mem_free(copied);
        return rc;
    }
    call->is_abandoned = true;
    weft_threads_abandon(&call->job);
    return rc;
}

int weft_threads_call(const struct weft_threads_call *call)
{
    int rc = weft_wait_check("thread");
    if (rc < 0)
        return rc;
    return call->copy_size > 0 ? call_copied(call) : call_borrowed(call);
}

/* ---- public ---- */

static bool fails_when_full(const weft_offload_options *options)
{
    return options->struct_size >= offsetof(weft_offload_options, fail_when_full) + sizeof options->fail_when_full &&
           options->fail_when_full;
}

int weft_offload_(const char *name, weft_offload_fn *fn, void *value, size_t size, const weft_offload_options *options)
{
    return weft_threads_call(&(struct weft_threads_call){
        .kind = WEFT_THREADS_USER,
        .name = name,
        .fn = fn,
        .arg = value,
        .copy_size = size,
        .fails_when_full = fails_when_full(options),
        .place = __builtin_return_address(0),
    });
}

int weft_offload_borrowed_(const char *name, weft_offload_fn *fn, void *arg, const weft_offload_options *options)
{
    return weft_threads_call(&(struct weft_threads_call){
        .kind = WEFT_THREADS_USER,
        .name = name,
        .fn = fn,
        .arg = arg,
        .fails_when_full = fails_when_full(options),
        .place = __builtin_return_address(0),
    });
}
