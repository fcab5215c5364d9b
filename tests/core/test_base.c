/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Arena, slab, lists, the fault plan, the random generator, durations at their limits, formatting. */
#include "tests/core/core.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>

#include "lib/base/arena.h"
#include "lib/base/clock.h"
#include "lib/base/format.h"
#include "lib/base/list.h"
#include "lib/base/memory.h"
#include "lib/base/random.h"
#include "lib/base/slab.h"
#include "lib/base/spin.h"
#include "lib/task/timer.h"

/* ---- arena ---- */

enum { CHUNK = WEFT_ARENA_CHUNK };

static bool is_aligned(const void *p)
{
    return p && (uintptr_t)p % 16 == 0;
}

static int arena_gives_what_does_not_overlap(void)
{
    weft_arena_pool pool;
    weft_arena arena;
    weft_arena_pool_init(&pool, 4);
    weft_arena_init(&arena, &pool);
    enum { PIECES = 400 };
    static unsigned char *piece[PIECES];
    static size_t size[PIECES];
    uint64_t random = 7;
    for (size_t i = 0; i < PIECES; i++) {
        size[i] = weft_random_below(&random, i % 10 == 0 ? 20000 : 300);
        piece[i] = weft_arena_alloc(&arena, size[i]);
        WEFT_CHECK(is_aligned(piece[i]));
        memset(piece[i], (int)i & 0xff, size[i]);
    }
    for (size_t i = 0; i < PIECES; i++)
        for (size_t k = 0; k < size[i]; k++)
            if (piece[i][k] != (i & 0xff)) {
                WEFT_CHECK(false && "a piece was written over");
                break;
            }
    weft_arena_free(&arena);
    WEFT_CHECK(arena.used == 0 && pool.free_count == 4);
    weft_arena_pool_close(&pool);
    return 0;
}

static int arena_edges(void)
{
    weft_arena_pool pool;
    weft_arena arena;
    static const size_t sizes[] = { 0, 1, 16, CHUNK / 4, CHUNK / 4 + 1, CHUNK - 32, CHUNK - 16, CHUNK - 15, CHUNK, 3 * CHUNK };
    for (size_t i = 0; i < COUNT(sizes); i++) {
        for (size_t first = 0; first < 2; first++) {
            weft_arena_pool_init(&pool, 1);
            weft_arena_init(&arena, &pool);
            if (first == 1)
                WEFT_CHECK(is_aligned(weft_arena_alloc(&arena, 1)));
            unsigned char *p = weft_arena_alloc(&arena, sizes[i]);
            WEFT_CHECK(is_aligned(p));
            memset(p, 0xaa, sizes[i]);
            unsigned char *after = weft_arena_alloc(&arena, 16);
            WEFT_CHECK(is_aligned(after) && (after >= p + sizes[i] || after + 16 <= p));
            memset(after, 0x55, 16);
            weft_arena_free(&arena);
            weft_arena_pool_close(&pool);
        }
    }
    weft_arena_pool_init(&pool, 1);
    weft_arena_init(&arena, &pool);
    WEFT_CHECK(!weft_arena_alloc(&arena, SIZE_MAX) && !weft_arena_alloc(&arena, SIZE_MAX - 15));
    WEFT_CHECK(!weft_arena_copy(&arena, "", SIZE_MAX));
    WEFT_CHECK(arena.used == 0);
    weft_arena_pool_close(&pool);
    return 0;
}

static int arena_of_nothing_takes_no_memory_twice(void)
{
    weft_arena_pool pool;
    weft_arena arena;
    weft_arena_pool_init(&pool, 1);
    weft_arena_init(&arena, &pool);
    for (int i = 0; i < 1000; i++)
        WEFT_CHECK(is_aligned(weft_arena_alloc(&arena, 0)));
    WEFT_CHECK(arena.used == CHUNK);
    for (size_t used = 0; used < 2 * CHUNK; used += 16) /* also where the chunk is exactly full */
        WEFT_CHECK(is_aligned(weft_arena_alloc(&arena, 16)) && is_aligned(weft_arena_alloc(&arena, 0)));
    weft_arena_free(&arena);
    weft_arena_pool_close(&pool);
    return 0;
}

static int arena_large_pieces_leave_the_chunk_in_use(void)
{
    weft_arena_pool pool;
    weft_arena arena;
    weft_arena_pool_init(&pool, 1);
    weft_arena_init(&arena, &pool);
    char *a = weft_arena_alloc(&arena, 16);
    WEFT_CHECK(weft_arena_alloc(&arena, 100000) != NULL);
    WEFT_CHECK((char *)weft_arena_alloc(&arena, 16) == a + 16);
    WEFT_CHECK(arena.used > 100000 + CHUNK);
    weft_arena_free(&arena);
    weft_arena_pool_close(&pool);
    return 0;
}

static int arena_trim_and_copy(void)
{
    weft_arena_pool pool;
    weft_arena arena;
    weft_arena_pool_init(&pool, 1);
    weft_arena_init(&arena, &pool);
    char *a = weft_arena_alloc(&arena, 100);
    weft_arena_trim(&arena, a, 100, 20);
    char *b = weft_arena_alloc(&arena, 8);
    WEFT_CHECK(b == a + 32);
    weft_arena_trim(&arena, a, 20, 4); /* no longer the newest: nothing happens */
    WEFT_CHECK((char *)weft_arena_alloc(&arena, 8) == b + 16);
    char *copy = weft_arena_copy(&arena, "a\0b", 3);
    WEFT_CHECK(memcmp(copy, "a\0b", 4) == 0);
    WEFT_CHECK(weft_arena_copy(&arena, NULL, 0)[0] == '\0');
    weft_arena_free(&arena);
    weft_arena_pool_close(&pool);
    return 0;
}

static int arena_pool_keeps_a_few(void)
{
    weft_arena_pool pool;
    weft_arena arena;
    weft_arena_pool_init(&pool, 2);
    weft_arena_init(&arena, &pool);
    for (int i = 0; i < 5; i++)
        WEFT_CHECK(weft_arena_alloc(&arena, CHUNK / 4) && weft_arena_alloc(&arena, CHUNK / 2));
    weft_arena_free(&arena);
    WEFT_CHECK(pool.free_count == 2);
    weft_faults faults = { 0 };
    weft_mem_set_faults(&faults);
    WEFT_CHECK(weft_arena_alloc(&arena, 1) && pool.free_count == 1 && faults.count == 0);
    weft_mem_set_faults(NULL);
    weft_arena_free(&arena);
    weft_arena_pool_close(&pool);
    WEFT_CHECK(pool.free_count == 0);
    return 0;
}

static int arena_out_of_memory(void)
{
    weft_arena_pool pool;
    weft_arena arena;
    weft_faults faults = { .fail_at = 1, .fail_after = true };
    weft_arena_pool_init(&pool, 2);
    weft_arena_init(&arena, &pool);
    weft_mem_set_faults(&faults);
    WEFT_CHECK(!weft_arena_alloc(&arena, 1) && !weft_arena_alloc(&arena, 100000) && !weft_arena_copy(&arena, "x", 1));
    weft_mem_set_faults(NULL);
    WEFT_CHECK(arena.used == 0 && faults.struck && faults.count == 3);
    WEFT_CHECK(weft_arena_alloc(&arena, 1) != NULL);
    weft_arena_free(&arena);
    weft_arena_pool_close(&pool);
    return 0;
}

/* ---- slab ---- */

static int slab_reuses_the_latest_first(void)
{
    weft_slab slab;
    weft_slab_init(&slab, 20, 4);
    void *object[10];
    for (size_t i = 0; i < COUNT(object); i++) {
        object[i] = weft_slab_take(&slab);
        WEFT_CHECK(is_aligned(object[i]));
        memset(object[i], (int)i, 20);
    }
    for (size_t i = 0; i < COUNT(object); i++)
        for (size_t k = 0; k < 20; k++)
            WEFT_CHECK(((unsigned char *)object[i])[k] == i);
    WEFT_CHECK(slab.in_use == 10);
    for (size_t i = 0; i < COUNT(object); i++)
        weft_slab_give(&slab, object[i]);
    for (size_t i = COUNT(object); i-- > 0;)
        WEFT_CHECK(weft_slab_take(&slab) == object[i]);
    for (size_t i = 0; i < COUNT(object); i++)
        weft_slab_give(&slab, object[i]);
    WEFT_CHECK(slab.in_use == 0);
    weft_slab_close(&slab);
    return 0;
}

static int slab_out_of_memory(void)
{
    weft_slab slab;
    weft_faults faults = { .fail_at = 2 };
    weft_slab_init(&slab, 64, 2);
    weft_mem_set_faults(&faults);
    void *a = weft_slab_take(&slab), *b = weft_slab_take(&slab);
    WEFT_CHECK(a && b && !weft_slab_take(&slab));
    void *c = weft_slab_take(&slab); /* the third request of memory does not fail */
    weft_mem_set_faults(NULL);
    WEFT_CHECK(c && slab.in_use == 3);
    weft_slab_give(&slab, a);
    weft_slab_give(&slab, b);
    weft_slab_give(&slab, c);
    weft_slab_close(&slab);
    return 0;
}

/* ---- lists ---- */

struct node {
    int number;
    weft_list link;
};

static bool holds(weft_list *head, const char *numbers)
{
    size_t at = 0;
    LIST_EACH (each, head) {
        if (each->next->prev != each || each->prev->next != each)
            return false;
        if (numbers[at++] - '0' != CONTAINER_OF(each, struct node, link)->number)
            return false;
    }
    return numbers[at] == '\0';
}

static int lists(void)
{
    weft_list a, b;
    struct node node[6];
    weft_list_init(&a);
    weft_list_init(&b);
    for (int i = 0; i < 6; i++) {
        node[i].number = i;
        weft_list_init(&node[i].link);
    }
    WEFT_CHECK(holds(&a, "") && !weft_list_shift(&a));
    weft_list_append(&a, &node[1].link);
    weft_list_append(&a, &node[2].link);
    weft_list_prepend(&a, &node[0].link);
    WEFT_CHECK(holds(&a, "012"));
    weft_list_append_all(&a, &b);
    weft_list_append_all(&b, &a);
    WEFT_CHECK(holds(&a, "") && holds(&b, "012"));
    weft_list_append(&a, &node[3].link);
    weft_list_append(&a, &node[4].link);
    weft_list_append_all(&b, &a);
    WEFT_CHECK(holds(&a, "") && holds(&b, "01234"));
    weft_list_remove(&node[2].link);
    weft_list_remove(&node[2].link);
    WEFT_CHECK(holds(&b, "0134") && weft_list_is_empty(&node[2].link));
    weft_list_move(&a, &b);
    WEFT_CHECK(holds(&a, "0134") && holds(&b, ""));
    weft_list_move(&a, &b); /* of nothing: the head is emptied */
    WEFT_CHECK(holds(&a, ""));
    return 0;
}

/* ---- durations ---- */

static int durations_do_not_overflow(void)
{
    WEFT_CHECK(weft_clock_add(5, 6) == 11 && weft_clock_add(5, -6) == -1);
    WEFT_CHECK(weft_clock_add(5, WEFT_NO_LIMIT) == WEFT_NO_LIMIT);
    WEFT_CHECK(weft_clock_add(WEFT_NO_LIMIT, WEFT_NO_LIMIT) == WEFT_NO_LIMIT);
    WEFT_CHECK(weft_clock_add(5, WEFT_NO_LIMIT - 5) == WEFT_NO_LIMIT &&
               weft_clock_add(5, WEFT_NO_LIMIT - 6) == WEFT_NO_LIMIT - 1);
    WEFT_CHECK(weft_tick_of(0) == 0 && weft_tick_of(1) == 1 && weft_tick_of(MS) == 1 && weft_tick_of(MS + 1) == 2);
    WEFT_CHECK(weft_tick_of(WEFT_NO_LIMIT) == WEFT_TICK_NEVER);
    WEFT_CHECK(weft_tick_of(WEFT_NO_LIMIT - 1) == WEFT_NO_LIMIT / MS + 1);
    return 0;
}

/* ---- formatting ---- */

/* In rooms of each size, as vsnprintf: the bytes, the NUL, what is beyond the room, and the size. */
static bool is_as_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
static bool is_as_printf(const char *format, ...)
{
    bool is_same = true;
    for (size_t room = 0; room < 60; room++) {
        char got[64], expected[64];
        memset(got, '#', sizeof got);
        memset(expected, '#', sizeof expected);
        va_list args;
        va_start(args, format);
        int64_t size = weft_format_args(got, room, format, args);
        va_end(args);
        va_start(args, format);
        is_same &= size == vsnprintf(expected, room, format, args);
        va_end(args);
        is_same &= memcmp(got, expected, sizeof got) == 0;
    }
    return is_same;
}

static int formatting_is_that_of_printf(void)
{
    WEFT_CHECK(is_as_printf("plain") && is_as_printf("%s", "") && is_as_printf("100%%"));
    WEFT_CHECK(is_as_printf("%s, %d of %u: '%c'", "text", -12, 34U, 'x'));
    WEFT_CHECK(is_as_printf("%d %d %u", INT_MAX, INT_MIN, UINT_MAX));
    WEFT_CHECK(is_as_printf("%s %5.2f %lld|%-4s|%.*s", "then", 3.14159, 1LL << 40, "ab", 2, "xyz"));
    WEFT_CHECK(
        is_as_printf("%s is longer than all rooms, which have %d bytes at the most, with or without %s", "this", 60, "NUL"));
    return 0;
}

/* ---- busy waits ---- */

/* How many of `waits` in a row are tried, when each fails or succeeds. */
static int count_tries(weft_spin_credit *credit, int waits, bool has_come)
{
    int tries = 0;
    for (int i = 0; i < waits; i++) {
        if (!weft_spin_is_worth(credit))
            continue;
        weft_spin_learn(credit, has_come, 0);
        tries++;
    }
    return tries;
}

static int busy_waits_that_fail_are_given_up(void)
{
    weft_spin_credit credit;
    weft_spin_init(&credit, 2);
    WEFT_CHECK(count_tries(&credit, 100, true) == 100);
    WEFT_CHECK(count_tries(&credit, 63 * WEFT_SPIN_REST, false) <= 3 + 6); /* the credit, then fewer and fewer */
    WEFT_CHECK(count_tries(&credit, 4 * WEFT_SPIN_REST_MOST, false) >= 2);
    WEFT_CHECK(count_tries(&credit, WEFT_SPIN_REST_MOST + 100, true) >= 100); /* one that succeeds brings others */
    weft_spin_learn(&credit, false, 3 * WEFT_MILLISECOND);                    /* much too late: that must not be repeated */
    WEFT_CHECK(count_tries(&credit, WEFT_SPIN_REST_MOST - 1, true) == 0);
    WEFT_CHECK(count_tries(&credit, 10, true) == 10);
    return 0;
}

static int a_busy_wait_is_short(void)
{
    for (int yields = 0; yields < 2; yields++) {
        atomic_int sign = 1;
        WEFT_CHECK(weft_spin(&sign, yields));
        atomic_store(&sign, 0);
        weft_duration start = weft_clock_monotonic();
        WEFT_CHECK(!weft_spin(&sign, yields) && weft_clock_monotonic() >= start + WEFT_SPIN_TIME);
    }
    return 0;
}

static void *raise_sign(void *sign)
{
    atomic_store((atomic_int *)sign, 1);
    return NULL;
}

/* Both threads on one processor: the wait lets the other one run. */
static int on_one_processor_a_busy_wait_yields(void)
{
    weft_spin_credit credit;
    weft_spin_init(&credit, 2);
    WEFT_CHECK(!credit.yields);
    weft_spin_init(&credit, 1);
    WEFT_CHECK(credit.yields);
    cpu_set_t before, one;
    WEFT_CHECK(sched_getaffinity(0, sizeof before, &before) == 0);
    CPU_ZERO(&one);
    CPU_SET((unsigned)sched_getcpu(), &one);
    WEFT_CHECK(sched_setaffinity(0, sizeof one, &one) == 0); /* and so of threads that are made now */
    pthread_t thread;
    atomic_int sign = 0;
    WEFT_CHECK(pthread_create(&thread, NULL, raise_sign, &sign) == 0);
    while (!weft_spin(&sign, true)) {
    }
    WEFT_CHECK(pthread_join(thread, NULL) == 0);
    WEFT_CHECK(sched_setaffinity(0, sizeof before, &before) == 0);
    return 0;
}

static const weft_test tests[] = {
    PLAIN(arena_gives_what_does_not_overlap),
    PLAIN(arena_edges),
    PLAIN(arena_of_nothing_takes_no_memory_twice),
    PLAIN(arena_large_pieces_leave_the_chunk_in_use),
    PLAIN(arena_trim_and_copy),
    PLAIN(arena_pool_keeps_a_few),
    PLAIN(arena_out_of_memory),
    PLAIN(slab_reuses_the_latest_first),
    PLAIN(slab_out_of_memory),
    PLAIN(lists),
    PLAIN(durations_do_not_overflow),
    PLAIN(formatting_is_that_of_printf),
    PLAIN(busy_waits_that_fail_are_given_up),
    PLAIN(a_busy_wait_is_short),
    PLAIN(on_one_processor_a_busy_wait_yields),
};

TEST_MAIN(tests)
