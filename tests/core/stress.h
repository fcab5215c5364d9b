/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * A program that does everything at random: tasks, groups with limits, scopes, shields, spawned tasks, deferred calls and a
 * queue, all at once. It counts what it does; weft_stress_check says whether the counts add up, however it was cut short.
 */
#ifndef WEFT_TESTS_STRESS_H
#define WEFT_TESTS_STRESS_H

#include <weft/queue.h>
#include <weft/test.h>

enum { STRESS_ITEMS = 256 };

typedef struct weft_stress {
    uint64_t random;
    weft_queue *queue;
    int next_item;
    bool put[STRESS_ITEMS];          /* weft_queue_put said that it is in */
    unsigned char got[STRESS_ITEMS]; /* how often it came out */
    int started, ended;              /* tasks */
    int deferred, undeferred;        /* deferred calls registered, and run */
    int ends_told;                   /* by weft_group_next and weft_await */
    int wrong;                       /* checks that failed */
    bool has_begun, has_ended;       /* its first task */
} weft_stress;

void weft_stress_init(weft_stress *s, uint64_t seed);

/* The first task. Ends of itself within a second of virtual time. */
int weft_stress_run(void *stress);

/* After the run: true if everything adds up. */
bool weft_stress_check(const weft_stress *s);

#endif
