/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* For the test of the gdb script (the volatile results keep calls from becoming jumps): tasks that stand in known functions, in
 * two loops; then everything_stands is called. With the argument "abort" the program ends there, with a core file in the folder
 * in which it was started. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <weft.h>

static __attribute__((noinline)) int wait_for_the_bus(weft_queue *stop, int stops_before)
{
    int bus;
    volatile int rc = stops_before > 0 ? wait_for_the_bus(stop, stops_before - 1) : weft_queue_get(stop, &bus);
    return rc;
}

static int passenger(void *arg)
{
    volatile int rc = wait_for_the_bus(arg, 2);
    return rc;
}

static __attribute__((noinline)) int doze(weft_duration d)
{
    volatile int rc = weft_sleep(d);
    return rc;
}

static int sleepy_body(weft_generator *g, void *arg)
{
    int one = 1;
    (void)arg;
    WEFT_TRY(weft_generator_yield(g, &one));
    volatile int rc = doze(WEFT_HOUR);
    return rc;
}

static __attribute__((noinline)) int step_all(weft_generator *g)
{
    int value, rc;
    while ((rc = weft_generator_next(g, &value)) > 0)
        continue;
    return rc;
}

static int consumer(void *arg)
{
    weft_generator *g = weft_generator_new(int, sleepy_body, NULL);
    (void)arg;
    volatile int rc = step_all(g);
    return rc;
}

static int latecomer(void *arg)
{
    (void)arg;
    return 0;
}

static int elsewhere(void *arg)
{
    volatile int rc = doze(WEFT_HOUR);
    if (write(*(int *)arg, "", 1) != 1) /* not reached */
        return -1;
    return rc;
}

static int start_elsewhere(void *arg)
{
    WEFT_GROUP (g) {
        weft_go(&g, elsewhere, arg);
        WEFT_TRY(weft_yield());
        if (write(*(int *)arg, "x", 1) != 1)
            return -1;
    }
    return g.result;
}

static void *second_loop(void *arg)
{
    weft_run(start_elsewhere, arg);
    return NULL;
}

static __attribute__((noinline)) void everything_stands(bool is_to_abort)
{
    puts("everything stands");
    fflush(stdout);
    if (is_to_abort) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){ RLIM_INFINITY, RLIM_INFINITY });
        abort();
    }
}

static int stand(void *arg)
{
    int end[2];
    char byte;
    pthread_t thread;
    weft_queue *stop = weft_queue_new(sizeof(int), 1);
    if (pipe(end) != 0 || pthread_create(&thread, NULL, second_loop, &end[1]) != 0 || read(end[0], &byte, 1) != 1)
        return -1;
    WEFT_GROUP (g) {
        weft_go(&g, passenger, stop);
        weft_go(&g, consumer, NULL);
        WEFT_TRY(weft_sleep(WEFT_MILLISECOND));
        weft_go(&g, latecomer, NULL);
        everything_stands(*(bool *)arg);
        weft_group_cancel(&g);
    }
    weft_queue_free(stop);
    return 0;
}

int main(int argc, char **argv)
{
    bool is_to_abort = argc > 1 && strcmp(argv[1], "abort") == 0;
    int rc = weft_run(stand, &is_to_abort);
    printf("it ends with %d\n", rc);
    fflush(stdout);
    _Exit(rc != 0); /* the second loop goes on */
}
