/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Slow work in a thread of its own; the loop goes on meanwhile. */
#include <weft.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

struct work {
    weft_loop *loop;
    weft_queue *done;
    long result;
};

/* On the loop's thread, outside any task: so it must not wait. */
static void deliver(void *arg)
{
    struct work *work = arg;
    if (weft_queue_try_put(work->done, &work->result) < 0)
        weft_log(WEFT_LOG_ERROR, "a result is lost");
}

/* In the other thread, where of Weft's calls that touch a loop only weft_loop_post is allowed. */
static void *compute(void *arg)
{
    struct work *work = arg;
    nanosleep(&(struct timespec){ .tv_nsec = 250000000 }, NULL);
    work->result = 42;
    if (weft_loop_post(work->loop, deliver, work) < 0)
        perror("weft_loop_post"); /* out of memory: nobody will be told */
    return NULL;
}

static int tick(void *arg)
{
    int *ticks = arg;
    for (;;) {
        WEFT_TRY(weft_sleep(100 * WEFT_MILLISECOND));
        ++*ticks;
    }
}

static int main_task(void *unused)
{
    (void)unused;
    int ticks = 0, rc = 0;
    long result = 0;
    pthread_t thread;
    struct work work = { .loop = weft_loop_here(), .done = weft_queue_new(sizeof(long), 1) };
    if (!work.done || pthread_create(&thread, NULL, compute, &work) != 0)
        return -ENOMEM;
    WEFT_GROUP (ticking) {
        weft_go(&ticking, tick, &ticks);
        WEFT_SHIELD (owed, WEFT_NO_LIMIT) { /* the thread holds `work`: nothing may cut this wait short */
            rc = weft_queue_get(work.done, &result);
        }
        break;
    }
    pthread_join(thread, NULL);
    weft_queue_free(work.done);
    WEFT_TRY(rc);
    printf("the thread says %ld; meanwhile the loop ticked %s\n", result, ticks > 0 ? "on" : "never");
    return 0;
}

int main(void)
{
    return weft_run(main_task, NULL) < 0;
}
