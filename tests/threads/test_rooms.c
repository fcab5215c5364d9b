/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Rooms that span two loops in two threads: each member gets each message once, in the same order on both; nothing races. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "tests/server/sitter.h"

enum { LOOPS = 2, SITTERS = 4, MESSAGES = 200 };

#ifdef WEFT_TSAN
/* libuv closes descriptors by syscall(), which the sanitizer does not see: it takes the next use of a number for a race. */
const char *__tsan_default_suppressions(void);

const char *__tsan_default_suppressions(void)
{
    return "race:^eventfd$\nrace:^epoll_create1$\nrace:^pipe2$\nrace:^__interceptor_eventfd$\n"
           "race:^__interceptor_epoll_create1$\n";
}
#endif

struct side {
    weft_rooms *rooms;
    atomic_int *present, *done;
    int number;
    char *heard; /* by its first sitter: all messages, in order */
    unsigned failures;
    pthread_t thread;
};

/* Waits, in real time, for the other side too. */
static void meet(atomic_int *count, int all)
{
    atomic_fetch_add(count, 1);
    while (atomic_load(count) < all)
        WEFT_CHECK(weft_sleep(WEFT_MILLISECOND) == 0);
}

static bool has_all(const sitter *one)
{
    int count = 0;
    for (const char *at = sitter_got(one); (at = strchr(at, ';')); at++)
        count += at[-1] >= '0' && at[-1] <= '9'; /* messages, not notices */
    return count == LOOPS * MESSAGES;
}

static int sit(void *arg)
{
    struct side *side = arg;
    sitter all[SITTERS];
    for (int i = 0; i < SITTERS; i++) {
        char name[16];
        snprintf(name, sizeof name, "s%d.%d", side->number, i);
        WEFT_CHECK(sitter_open(&all[i], 1000000, 1) == 0 && sitter_join(&all[i], side->rooms, "r", .name = name) == 0);
    }
    meet(side->present, LOOPS);
    for (int i = 1; i <= MESSAGES; i++) {
        char text[32];
        snprintf(text, sizeof text, "%d.%d.%d", side->number, i % SITTERS, i);
        WEFT_CHECK(sitter_say(&all[i % SITTERS], text) == 0);
        if (i % 50 == 0)
            WEFT_CHECK(weft_sleep(WEFT_MILLISECOND) == 0);
    }
    for (int i = 0; i < SITTERS; i++)
        for (int wait = 0; !has_all(&all[i]) && wait < 10000; wait++)
            WEFT_CHECK(weft_sleep(WEFT_MILLISECOND) == 0);
    for (int i = 0; i < SITTERS; i++)
        WEFT_CHECK(has_all(&all[i]) && all[i].cuts == 0);
    meet(side->done, LOOPS);
    side->heard = strdup(sitter_got(&all[0]));
    for (int i = 0; i < SITTERS; i++)
        sitter_close(&all[i]);
    return 0;
}

static void *run_side(void *arg)
{
    struct side *side = arg;
    WEFT_CHECK(weft_run(sit, side) == 0);
    side->failures = weft_test_failures(); /* they are counted by thread */
    return NULL;
}

static int test_two_loops(void)
{
    weft_rooms *rooms = weft_rooms_new(NULL, .history = 10, .presence = true, .debounce = 5 * WEFT_MILLISECOND);
    atomic_int present = 0, done = 0;
    struct side sides[LOOPS];
    for (int i = 0; i < LOOPS; i++) {
        sides[i] = (struct side){ .rooms = rooms, .present = &present, .done = &done, .number = i };
        WEFT_CHECK(pthread_create(&sides[i].thread, NULL, run_side, &sides[i]) == 0);
    }
    const weft_message msg = { "aside", 5, true }; /* from a thread without a loop */
    for (int i = 0; i < 20; i++)
        WEFT_CHECK(weft_room_publish(rooms, "another", &msg) == 0);
    for (int i = 0; i < LOOPS; i++) {
        pthread_join(sides[i].thread, NULL);
        WEFT_CHECK(sides[i].failures == 0);
    }
    int last[LOOPS] = { 0 };
    const char *at[LOOPS] = { sides[0].heard, sides[1].heard };
    for (int n = 0; n < LOOPS * MESSAGES; n++) {
        int from[2], number[2];
        for (int i = 0; i < LOOPS; i++) {
            int sitter_number;
            while (*at[i] && sscanf(at[i], "%d.%d.%d;", &from[i], &sitter_number, &number[i]) != 3)
                at[i] = strchr(at[i], ';') + 1; /* a notice */
            at[i] = strchr(at[i], ';') + 1;
        }
        WEFT_CHECK(from[0] == from[1] && number[0] == number[1]); /* one order for all */
        WEFT_CHECK(number[0] == ++last[from[0]]);
    }
    for (int i = 0; i < LOOPS; i++)
        free(sides[i].heard);
    weft_room_stats stats = weft_rooms_stats(rooms);
    WEFT_CHECK(stats.members == 0 && stats.sent == LOOPS * MESSAGES + 20 && stats.dropped == 0);
    weft_rooms_free(rooms);
    return 0;
}

/* Loops come and go while others talk. */
static int visit(void *arg)
{
    weft_rooms *rooms = arg;
    for (int i = 0; i < 20; i++) {
        sitter one;
        WEFT_CHECK(sitter_open(&one, 1000000, 1) == 0 && sitter_join(&one, rooms, "r", .name = "visitor", .since = "0") == 0);
        WEFT_CHECK(sitter_say(&one, "hi") == 0 && weft_yield() == 0);
        sitter_close(&one);
    }
    return 0;
}

static void *run_visits(void *arg)
{
    for (int i = 0; i < 10; i++)
        WEFT_CHECK(weft_run(visit, arg) == 0);
    return (void *)(uintptr_t)weft_test_failures();
}

static int test_loops_come_and_go(void)
{
    weft_rooms *rooms = weft_rooms_new(NULL, .history = 5, .presence = true, .greets = true, .debounce = WEFT_MILLISECOND);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        WEFT_CHECK(pthread_create(&threads[i], NULL, run_visits, rooms) == 0);
    for (int i = 0; i < 3; i++) {
        void *failures = NULL;
        pthread_join(threads[i], &failures);
        WEFT_CHECK(failures == NULL);
    }
    WEFT_CHECK(weft_rooms_stats(rooms).sent == 600 && atomic_load(&rooms->hub_count) == 0);
    weft_rooms_free(rooms);
    return 0;
}

static const weft_test tests[] = {
    { .name = "one order on two loops", .plain = test_two_loops },
    { .name = "loops come and go", .plain = test_loops_come_and_go },
};

int main(int argc, char **argv)
{
    return weft_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
