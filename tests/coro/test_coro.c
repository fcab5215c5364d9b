/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Coroutines alone: the switch, stacks, transfers, calls home and walks, of whichever switch this is compiled with. It needs
 * lib/base and lib/coro and nothing else, so that it can be compiled for another processor and run by an emulator.
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/sanitize.h"
#include "lib/coro/backtrace.h"
#include "lib/coro/coro.h"

static int failures;

#define EXPECT(condition)                                                                                                      \
    do {                                                                                                                       \
        if (!(condition)) {                                                                                                    \
            failures++;                                                                                                        \
            printf("# %s:%d: this should hold: %s\n", __FILE__, __LINE__, #condition);                                         \
        }                                                                                                                      \
    } while (0)

static weft_home home;
static weft_stacks stacks;

/* A coroutine and what it is at. */
struct worker {
    weft_coro coro;
    int steps, limit;
    double half;
    bool has_ended;
    const void *local, *place;
};

static void start_worker(struct worker *w, void (*fn)(void *arg), size_t stack_size)
{
    weft_stack *stack = weft_stack_take(&stacks, stack_size);
    if (!stack)
        abort();
    weft_coro_init(&w->coro, stack, stack->top, fn, w);
}

static bool is_on_stack_of(const struct worker *w, const void *address)
{
    const char *at = address;
    return at >= w->coro.stack->low && at < w->coro.stack->top;
}

/* ---- enter and leave ---- */

static void count_steps(void *arg)
{
    struct worker *w = arg;
    weft_coro_arrived(&home);
    volatile double half = 0; /* in a register that is kept, or on the stack: the same in the end */
    while (w->steps < w->limit) {
        w->steps++;
        half += 0.5;
        weft_coro_leave(&home, &w->coro);
    }
    w->half = half;
    w->has_ended = true;
    weft_coro_end(&home, &w->coro);
}

static void a_coroutine_runs_in_steps(void)
{
    struct worker w = { .limit = 1000 };
    start_worker(&w, count_steps, 0);
    for (int i = 1; i <= 1000; i++) {
        weft_coro_enter(&home, &w.coro);
        EXPECT(w.steps == i && !w.has_ended);
    }
    weft_coro_enter(&home, &w.coro);
    EXPECT(w.steps == 1000 && w.has_ended && w.half == 500.0);
    weft_stack_give(&stacks, w.coro.stack);
}

static void many_coroutines_take_turns(void)
{
    enum { MANY = 500, ROUNDS = 20 };
    static struct worker workers[MANY];
    for (int i = 0; i < MANY; i++) {
        workers[i] = (struct worker){ .limit = ROUNDS };
        start_worker(&workers[i], count_steps, i % 2 ? WEFT_STACK_MIN : 0);
    }
    for (int round = 0; round <= ROUNDS; round++)
        for (int i = 0; i < MANY; i++)
            weft_coro_enter(&home, &workers[(i * 7) % MANY].coro);
    for (int i = 0; i < MANY; i++) {
        EXPECT(workers[i].has_ended && workers[i].steps == ROUNDS);
        weft_stack_give(&stacks, workers[i].coro.stack);
    }
}

static void stacks_are_used_again(void)
{
    size_t cut = stacks.cut;
    for (int i = 0; i < 100; i++) {
        struct worker w = { .limit = 1 };
        start_worker(&w, count_steps, 0);
        weft_coro_enter(&home, &w.coro);
        weft_coro_enter(&home, &w.coro);
        EXPECT(w.has_ended);
        weft_stack_give(&stacks, w.coro.stack);
    }
    EXPECT(stacks.cut == cut && stacks.in_use == 0);
}

/* ---- what is kept ---- */

#if (defined(__x86_64__) || defined(__aarch64__)) && !defined(WEFT_ASAN) && !defined(WEFT_TSAN)
#define HAS_REGISTERS 1
int registers_survive_(void **save, void *load, unsigned long base); /* registers.S */

static int wrong_register;

static void change_registers(void *arg)
{
    struct worker *w = arg;
    while (w->steps++ < 10)
        wrong_register += registers_survive_(&w->coro.sp, home.sp, 0x5555000000 + (unsigned long)w->steps);
    w->has_ended = true;
    weft_coro_end(&home, &w->coro);
}
#endif

static void all_registers_are_kept_that_must_be(void)
{
#ifdef HAS_REGISTERS
    struct worker w = { 0 };
    start_worker(&w, change_registers, 0);
    for (unsigned long i = 0; i < 10; i++) {
        int wrong = registers_survive_(&home.sp, w.coro.sp, 0x7777000000 + i);
        EXPECT(wrong == 0 && wrong_register == 0);
        if (wrong != 0 || wrong_register != 0)
            printf("# home: %d, coroutine: %d\n", wrong, wrong_register);
    }
    weft_coro_enter(&home, &w.coro);
    EXPECT(w.has_ended);
    weft_stack_give(&stacks, w.coro.stack);
#endif
}

static void note_alignment(void *arg)
{
    struct worker *w = arg;
    weft_coro_arrived(&home);
    _Alignas(16) volatile char aligned[16] = { 0 };
    char words[40];
    w->local = __builtin_frame_address(0);
    EXPECT((uintptr_t)aligned % 16 == 0 && (uintptr_t)w->local % 16 == 0);
    snprintf(words, sizeof words, "%.2f %Lg %d", 1.25, (long double)2.5, 3); /* saves vector registers, aligned */
    EXPECT(strcmp(words, "1.25 2.5 3") == 0);
    weft_coro_end(&home, &w->coro);
}

static void stacks_are_aligned(void)
{
    for (int i = 0; i < 20; i++) {
        struct worker w = { 0 };
        weft_stack *stack = weft_stack_take(&stacks, 0);
        weft_coro_init(&w.coro, stack, stack->top - 16 * i, note_alignment, &w);
        weft_coro_enter(&home, &w.coro);
        EXPECT(is_on_stack_of(&w, w.local));
        weft_stack_give(&stacks, stack);
    }
}

static bool is_blocked(int signal)
{
    sigset_t mask;
    return pthread_sigmask(SIG_SETMASK, NULL, &mask) == 0 && sigismember(&mask, signal);
}

static void change_mask(void *arg)
{
    struct worker *w = arg;
    sigset_t one;
    weft_coro_arrived(&home);
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &one, NULL);
    weft_coro_leave(&home, &w->coro);
    w->steps = is_blocked(SIGUSR1) + 2 * is_blocked(SIGUSR2);
    pthread_sigmask(SIG_UNBLOCK, &one, NULL);
    weft_coro_end(&home, &w->coro);
}

static void the_signal_mask_is_the_threads(void)
{
    struct worker w = { 0 };
    sigset_t other;
    start_worker(&w, change_mask, 0);
    weft_coro_enter(&home, &w.coro);
    EXPECT(is_blocked(SIGUSR1) && !is_blocked(SIGUSR2));
    sigemptyset(&other);
    sigaddset(&other, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &other, NULL);
    weft_coro_enter(&home, &w.coro);
    EXPECT(w.steps == 3 && !is_blocked(SIGUSR1) && is_blocked(SIGUSR2));
    pthread_sigmask(SIG_UNBLOCK, &other, NULL);
    weft_stack_give(&stacks, w.coro.stack);
}

/* ---- transfers: a generator's body and who steps it ---- */

struct generator {
    weft_coro task;  /* what home enters, and what leaves for it: the body's while that runs */
    weft_coro other; /* the consumer's while the body runs, else the body's */
    int value, sum;
    bool has_ended;
};

static void exchange(struct generator *g)
{
    weft_coro task = g->task;
    g->task = g->other;
    g->other = task;
}

static void produce(void *arg)
{
    struct generator *g = arg;
    weft_coro_arrived_by_transfer();
    for (int i = 1; i <= 100; i++) {
        if (i == 50)
            weft_coro_leave(&home, &g->task); /* a wait in the body */
        g->value = i;
        exchange(g);
        weft_coro_transfer(&g->other.sp, g->task.sp, g->task.stack);
    }
    g->value = 0;
    exchange(g);
    weft_coro_transfer_end(&g->other.sp, g->task.sp, g->task.stack);
}

static void consume(void *arg)
{
    struct generator *g = arg;
    weft_coro_arrived(&home);
    do {
        exchange(g);
        weft_coro_transfer(&g->other.sp, g->task.sp, g->task.stack);
        g->sum += g->value;
        if (g->value == 70)
            weft_coro_leave(&home, &g->task);
    } while (g->value > 0);
    g->has_ended = true;
    weft_coro_end(&home, &g->task);
}

static void a_generator_hands_out_values(void)
{
    struct generator g = { .value = -1 };
    weft_stack *body_stack = weft_stack_take(&stacks, WEFT_STACK_MIN), *stack = weft_stack_take(&stacks, 0);
    weft_coro_init(&g.other, body_stack, body_stack->top, produce, &g);
    weft_coro_init(&g.task, stack, stack->top, consume, &g);
    weft_coro_enter(&home, &g.task);
    EXPECT(g.sum == 49 * 50 / 2 && g.task.stack == body_stack);
    weft_coro_enter(&home, &g.task);
    EXPECT(g.sum == 70 * 71 / 2 && g.task.stack == stack);
    weft_coro_enter(&home, &g.task);
    EXPECT(g.sum == 100 * 101 / 2 && g.has_ended);
    weft_stack_give(&stacks, stack);
    weft_stack_give(&stacks, body_stack);
}

/* ---- calls home ---- */

static void use_much_stack(void *arg)
{
    struct worker *w = arg;
    volatile char room[100 * 1024];
    for (size_t i = 0; i < sizeof room; i += 512)
        room[i] = 1;
    w->local = __builtin_frame_address(0);
    w->steps += room[512];
}

static void call_home_often(void *arg)
{
    struct worker *w = arg;
    weft_coro_arrived(&home);
    for (int i = 0; i < 10; i++) {
        weft_coro_call_home(&home, &w->coro, use_much_stack, w);
        EXPECT(w->steps == i + 1 && !is_on_stack_of(w, w->local));
        weft_coro_leave(&home, &w->coro);
    }
    weft_coro_end(&home, &w->coro);
}

static void calls_home_are_on_homes_stack(void)
{
    struct worker w = { 0 };
    volatile int before = 4711;
    start_worker(&w, call_home_often, WEFT_STACK_MIN);
    for (int i = 0; i < 11; i++)
        weft_coro_enter(&home, &w.coro);
    EXPECT(w.steps == 10 && before == 4711);
    weft_stack_give(&stacks, w.coro.stack);
}

/* ---- walks ---- */

static __attribute__((noinline)) void stand(struct worker *w)
{
    w->steps++;
    weft_coro_leave(&home, &w->coro);
    w->steps++;
}

static __attribute__((noinline)) int go_down(struct worker *w, int depth)
{
    volatile int below = 0;
    if (depth > 0) {
        below = go_down(w, depth - 1);
    } else {
        w->place = __builtin_return_address(0);
        stand(w);
    }
    return below + 1;
}

static void stand_deep(void *arg)
{
    struct worker *w = arg;
    weft_coro_arrived(&home);
    w->limit = go_down(w, w->limit);
    weft_coro_end(&home, &w->coro);
}

static void a_parked_stack_is_walked(void)
{
    enum { MOST = 50, DEPTH = 5 };
    void *address[MOST];
    struct worker w = { .limit = DEPTH };
    start_worker(&w, stand_deep, 0);
    EXPECT(weft_coro_backtrace(&w.coro, address, MOST) == 1 && (uintptr_t)address[0] == (uintptr_t)stand_deep + 1);
    weft_coro_enter(&home, &w.coro);
    size_t count = weft_coro_backtrace(&w.coro, address, MOST), found = 0;
    for (size_t i = 0; i < count; i++)
        found += address[i] == w.place;
    EXPECT(count >= 7 && count < 14 && found == DEPTH); /* each but the last of go_down was called from one place */
    EXPECT(weft_coro_backtrace(&w.coro, address, 4) == 4 && weft_coro_backtrace(&w.coro, address, 0) == 0);
    weft_coro_enter(&home, &w.coro);
    EXPECT(w.steps == 2 && w.limit == 6);
    weft_stack_give(&stacks, w.coro.stack);
}

static const struct test {
    const char *name;
    void (*body)(void);
} tests[] = {
    { "a_coroutine_runs_in_steps", a_coroutine_runs_in_steps },
    { "many_coroutines_take_turns", many_coroutines_take_turns },
    { "stacks_are_used_again", stacks_are_used_again },
    { "all_registers_are_kept_that_must_be", all_registers_are_kept_that_must_be },
    { "stacks_are_aligned", stacks_are_aligned },
    { "the_signal_mask_is_the_threads", the_signal_mask_is_the_threads },
    { "a_generator_hands_out_values", a_generator_hands_out_values },
    { "calls_home_are_on_homes_stack", calls_home_are_on_homes_stack },
    { "a_parked_stack_is_walked", a_parked_stack_is_walked },
};

int main(void)
{
    enum { TESTS = sizeof tests / sizeof tests[0] };
    int failed = 0;
    weft_stacks_init(&stacks);
    weft_home_init(&home);
    printf("1..%d\n", TESTS);
    for (int i = 0; i < TESTS; i++) {
        failures = 0;
        tests[i].body();
        printf("%sok %d - %s\n", failures > 0 ? "not " : "", i + 1, tests[i].name);
        failed += failures > 0;
    }
    weft_stacks_close(&stacks);
    return failed > 0;
}
