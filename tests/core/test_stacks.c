/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Stacks: sizes, guards, reuse, trimming, what is resident, and weft_on_loop_stack. */
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/memory.h"
#include "lib/task/task.h"
#include "tests/core/core.h"
#include "tests/core/tools.h"

enum { PAGE = 4096 };

/* Can the kernel read there? It says EFAULT where a touch would raise SIGSEGV. */
static bool is_readable(const char *address)
{
    int end[2];
    if (pipe(end) != 0)
        return false;
    bool ok = write(end[1], address, 1) == 1;
    close(end[0]);
    close(end[1]);
    return ok;
}

static size_t resident_pages(const weft_stack *stack)
{
    unsigned char pages[WEFT_STACK_MAX / PAGE];
    size_t size = weft_stack_size(stack), count = 0;
    if (mincore(stack->low, size, pages) != 0)
        return SIZE_MAX / 2;
    for (size_t i = 0; i < size / PAGE; i++)
        count += pages[i] & 1;
    return count;
}

/* Of the whole process. */
static size_t resident_bytes(void)
{
    char line[100];
    FILE *file = fopen("/proc/self/statm", "r");
    size_t all, resident = 0;
    if (file && fgets(line, sizeof line, file) && sscanf(line, "%zu %zu", &all, &resident) != 2)
        resident = 0;
    if (file)
        fclose(file);
    return resident * PAGE;
}

/* ---- the pool ---- */

static int sizes_are_honoured(void)
{
    static const struct {
        size_t asked, given;
    } sizes[] = {
        { 0, 65536 },       { 1, 16384 },         { 16384, 16384 },     { 16385, 32768 },     { 65536, 65536 },
        { 100000, 131072 }, { 1 << 20, 1 << 20 }, { 8 << 20, 8 << 20 }, { 9 << 20, 8 << 20 }, { SIZE_MAX, 8 << 20 },
    };
    weft_stacks stacks;
    weft_stacks_init(&stacks);
    for (size_t i = 0; i < COUNT(sizes); i++) {
        weft_stack *stack = weft_stack_take(&stacks, sizes[i].asked);
        WEFT_CHECK(stack && weft_stack_size(stack) == sizes[i].given);
        size_t usable = (size_t)(stack->top - stack->low);
        WEFT_CHECK(usable <= sizes[i].given && usable >= sizes[i].given - 1024 && (uintptr_t)stack->top % 64 == 0);
        memset(stack->low, 0x77, usable);
        weft_stack_give(&stacks, stack);
    }
    WEFT_CHECK(stacks.in_use == 0);
    weft_stacks_close(&stacks);
    return 0;
}

static int tops_are_staggered(void)
{
    weft_stacks stacks;
    weft_stack *stack[16];
    bool seen[1024 / 64] = { false };
    size_t different = 0;
    weft_stacks_init(&stacks);
    for (size_t i = 0; i < COUNT(stack); i++) {
        stack[i] = weft_stack_take(&stacks, 0);
        size_t offset = (size_t)(stack[i]->low + 65536 - stack[i]->top) / 64;
        different += !seen[offset];
        seen[offset] = true;
    }
    WEFT_CHECK(different == 8);
    for (size_t i = 0; i < COUNT(stack); i++)
        weft_stack_give(&stacks, stack[i]);
    weft_stacks_close(&stacks);
    return 0;
}

static void check_guards(weft_stacks *stacks, size_t size)
{
    weft_stack *stack[5];
    for (size_t i = 0; i < COUNT(stack); i++) {
        stack[i] = weft_stack_take(stacks, size);
        memset(stack[i]->low, 1, weft_stack_size(stack[i]));
    }
    for (size_t i = 0; i < COUNT(stack); i++) {
        const char *low = stack[i]->low;
        for (size_t at = 1; at <= WEFT_STACK_GUARD; at += PAGE - 1)
            WEFT_CHECK(!is_readable(low - at) && weft_stack_is_guard(stack[i], low - at));
        WEFT_CHECK(!is_readable(low - WEFT_STACK_GUARD) && is_readable(low) &&
                   is_readable(low + weft_stack_size(stack[i]) - 1));
        WEFT_CHECK(weft_stack_is_guard(stack[i], low - WEFT_STACK_GUARD) && !weft_stack_is_guard(stack[i], low));
        WEFT_CHECK(!weft_stack_is_guard(stack[i], low - WEFT_STACK_GUARD - 1));
    }
    for (size_t i = 0; i < COUNT(stack); i++)
        weft_stack_give(stacks, stack[i]);
}

static int guards_fault(void)
{
    for (int by_mprotect = 0; by_mprotect < 2; by_mprotect++) {
        weft_stacks stacks;
        weft_stacks_init(&stacks);
        if (by_mprotect)
            stacks.best_guard = WEFT_GUARD_PROTECTED;
        check_guards(&stacks, 16384);
        check_guards(&stacks, 0);
        check_guards(&stacks, 1 << 20);
        WEFT_CHECK(by_mprotect ? stacks.protected_guards == 15 : stacks.protected_guards % 15 == 0);
        WEFT_CHECK(stacks.canaries == 0);
        weft_stacks_close(&stacks);
    }
    return 0;
}

static int past_the_budget_of_guards_there_are_canaries(void)
{
    weft_stacks stacks;
    weft_stacks_init(&stacks);
    WEFT_CHECK(stacks.protected_guards_max == 12000);
    stacks.best_guard = WEFT_GUARD_PROTECTED;
    stacks.protected_guards = 11999;
    weft_stack *last = weft_stack_take(&stacks, 0), *first = weft_stack_take(&stacks, 0);
    WEFT_CHECK(last && last->guard == WEFT_GUARD_PROTECTED && stacks.protected_guards == 12000);
    WEFT_CHECK(first && first->guard == WEFT_GUARD_CANARY && stacks.canaries == 1);
    WEFT_CHECK(is_readable(first->low - 1) && !is_readable(last->low - 1));
    weft_stack_give(&stacks, last);
    weft_stack_give(&stacks, first);
    weft_stacks_close(&stacks);
    return 0;
}

static int any_byte_of_a_canary_tells(void)
{
    weft_stacks stacks;
    weft_stacks_init(&stacks);
    stacks.best_guard = WEFT_GUARD_CANARY;
    weft_stack *stack = weft_stack_take(&stacks, 0), *below = weft_stack_take(&stacks, 0);
    memset(stack->low, 0xff, (size_t)(stack->top - stack->low)); /* all of the stack is its own */
    memset(below->low, 0xff, (size_t)(below->top - below->low));
    WEFT_CHECK(stack->guard == WEFT_GUARD_CANARY && !weft_stack_is_overrun(stack) && !weft_stack_is_overrun(below));
    for (size_t at = 1; at <= WEFT_STACK_GUARD; at += at < 100 || at > WEFT_STACK_GUARD - 100 ? 1 : 97) {
        stack->low[-(ptrdiff_t)at] = 1;
        WEFT_CHECK(weft_stack_is_overrun(stack) && !weft_stack_is_overrun(below));
        stack->low[-(ptrdiff_t)at] = 0;
    }
    WEFT_CHECK(!weft_stack_is_overrun(stack));
    weft_stack_give(&stacks, stack);
    weft_stack_give(&stacks, below);
    weft_stacks_close(&stacks);
    return 0;
}

/* Whether this kernel maps a page that is only read to the page of zeros that all share, as Linux mostly does. */
static bool reading_costs_nothing(void)
{
    enum { PAGES = 500 };
    char *pages = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pages == MAP_FAILED)
        return false;
    size_t before = resident_bytes();
    for (size_t i = 0; i < PAGES; i++)
        (void)*(volatile char *)(pages + i * PAGE);
    size_t after = resident_bytes();
    munmap(pages, PAGES * PAGE);
    return after < before + PAGES * PAGE / 2;
}

static int canaries_cost_no_memory(void)
{
    enum { STACKS = 500 };
    weft_stacks stacks;
    static weft_stack *stack[STACKS];
    weft_stacks_init(&stacks);
    stacks.best_guard = WEFT_GUARD_CANARY;
    size_t before = resident_bytes();
    for (size_t i = 0; i < STACKS; i++) {
        stack[i] = weft_stack_take(&stacks, 0);
        WEFT_CHECK(!weft_stack_is_overrun(stack[i]));
    }
    size_t after = resident_bytes();
    if (!tools_is_sanitizer() && !tools_is_valgrind() && reading_costs_nothing())
        WEFT_CHECK(after < before + (size_t)STACKS * PAGE / 2); /* pages that are read alone are not the process's own */
    for (size_t i = 0; i < STACKS; i++)
        weft_stack_give(&stacks, stack[i]);
    weft_stacks_close(&stacks);
    return 0;
}

static int the_latest_comes_back_first(void)
{
    weft_stacks stacks;
    weft_stack *stack[10];
    weft_stacks_init(&stacks);
    for (size_t i = 0; i < COUNT(stack); i++)
        stack[i] = weft_stack_take(&stacks, i % 2 ? 0 : 16384);
    for (size_t i = 0; i < COUNT(stack); i++)
        weft_stack_give(&stacks, stack[i]);
    for (size_t i = COUNT(stack); i-- > 0;)
        WEFT_CHECK(weft_stack_take(&stacks, i % 2 ? 0 : 16384) == stack[i]);
    for (size_t i = 0; i < COUNT(stack); i++)
        weft_stack_give(&stacks, stack[i]);
    weft_stacks_close(&stacks);
    return 0;
}

static int trimming_gives_pages_back(void)
{
    enum { STACKS = 200 };
    weft_stacks stacks;
    static weft_stack *stack[STACKS];
    size_t before = 0, after = 0;
    weft_stacks_init(&stacks);
    for (size_t i = 0; i < STACKS; i++) {
        stack[i] = weft_stack_take(&stacks, 0);
        memset(stack[i]->low, 1, 65536);
    }
    WEFT_CHECK(!weft_stacks_trim(&stacks)); /* all in use */
    for (size_t i = 0; i < STACKS; i++)
        weft_stack_give(&stacks, stack[i]);
    WEFT_CHECK(weft_stacks_trim(&stacks)); /* they were needed since the last trim: all stay */
    for (size_t i = 0; i < STACKS; i++)
        before += resident_pages(stack[i]);
    int trims = 1;
    while (weft_stacks_trim(&stacks) && trims < 100)
        trims++;
    WEFT_CHECK(trims > 3 && trims < 20); /* half at a time */
    for (size_t i = 0; i < STACKS; i++)
        after += resident_pages(stack[i]);
    if (!tools_is_valgrind())
        WEFT_CHECK(before == STACKS * 16 && after == 16 * 16);
    for (size_t i = 0; i < STACKS; i++) { /* and all can be had again */
        stack[i] = weft_stack_take(&stacks, 0);
        WEFT_CHECK(stack[i] && !is_readable(stack[i]->low - 1));
        memset(stack[i]->low, 2, 65536);
    }
    WEFT_CHECK(stacks.cut == STACKS);
    for (size_t i = 0; i < STACKS; i++)
        weft_stack_give(&stacks, stack[i]);
    weft_stacks_close(&stacks);
    return 0;
}

static int out_of_memory(void)
{
    weft_stacks stacks;
    weft_stacks_init(&stacks);
    for (uint64_t n = 1; n <= 2; n++) { /* the slab's table, and its mapping */
        weft_faults faults = { .fail_at = n };
        weft_mem_set_faults(&faults);
        WEFT_CHECK(!weft_stack_take(&stacks, 0) && faults.struck);
        weft_mem_set_faults(NULL);
    }
    weft_stack *stack = weft_stack_take(&stacks, 0);
    WEFT_CHECK(stack && stacks.in_use == 1);
    weft_stack_give(&stacks, stack);
    weft_stacks_close(&stacks);
    return 0;
}

/* ---- what parked tasks hold ---- */

static void drop_line(void *context, enum weft_log_level level, const char *line, size_t size)
{
    (void)level, (void)line;
    *(size_t *)context += size;
}

struct parked {
    weft_queue *queue;
    weft_stack *stack;
};

static int log_and_park(void *arg)
{
    struct parked *p = arg;
    int item;
    p->stack = weft_task_self()->coro.stack;
    weft_log(WEFT_LOG_INFO, "a line with %s, %d and %.3f", "words", 42, 3.25);
    return weft_queue_get(p->queue, &item);
}

static int parked_tasks_hold_little(void)
{
    enum { TASKS = 1000 };
    static struct parked parked[TASKS];
    size_t logged = 0, pages = 0;
    weft_queue *queue = weft_queue_new(sizeof(int), 1);
    weft_log_set_sink(drop_line, &logged);
    WEFT_GROUP (g) {
        for (size_t i = 0; i < TASKS; i++) {
            parked[i].queue = queue;
            WEFT_TRY(weft_go(&g, log_and_park, &parked[i]));
        }
        WEFT_TRY(weft_sleep(10 * MS));
        WEFT_CHECK(logged > (size_t)TASKS * 50);
        for (size_t i = 0; i < TASKS; i++)
            pages += resident_pages(parked[i].stack);
        weft_group_cancel(&g);
    }
    weft_log_set_sink(NULL, NULL);
    weft_queue_free(queue);
    double kib = (double)pages * PAGE / 1024 / TASKS;
    printf("# %.2f KiB of stack resident for each of %d parked tasks\n", kib, TASKS);
    if (!tools_is_sanitizer() && !tools_is_valgrind())
        WEFT_CHECK(kib <= 4.5);
    return g.result;
}

static int touch_stack(void *arg)
{
    volatile char room[40 * 1024];
    for (size_t i = 0; i < sizeof room; i += 512)
        room[i] = 1;
    *(weft_stack **)arg = weft_task_self()->coro.stack;
    int rc = weft_yield();
    return rc < 0 ? rc : room[0] - 1;
}

static size_t count_resident(weft_stack *const *stacks, size_t count)
{
    size_t pages = 0;
    for (size_t i = 0; i < count; i++)
        pages += resident_pages(stacks[i]);
    return pages;
}

static int a_peak(void *arg)
{
    enum { TASKS = 100 };
    static weft_stack *stack[TASKS];
    (void)arg;
    WEFT_GROUP (g) {
        for (size_t i = 0; i < TASKS; i++)
            WEFT_TRY(weft_go(&g, touch_stack, &stack[i]));
    }
    size_t before = count_resident(stack, TASKS), after = before;
    int seconds = 0;
    for (; seconds < 10 && after >= before / 2; seconds++) { /* three, where nobody else wants the processor */
        WEFT_TRY(weft_sleep(WEFT_SECOND));
        after = count_resident(stack, TASKS);
    }
    printf("# resident after the peak: %zu pages; %d seconds later: %zu\n", before, seconds, after);
    if (!tools_is_valgrind())
        WEFT_CHECK(before >= (size_t)TASKS * 10 && after < before / 2);
    return g.result;
}

static int a_loop_gives_back_what_a_peak_left(void)
{
    return weft_test_run(a_peak, NULL, NULL, .real_time = true);
}

/* ---- the loop's own stack ---- */

struct where {
    const char *local;
    int sum, nested;
    bool same_task;
    weft_task *task;
};

static __attribute__((noinline)) void note_local(void *arg)
{
    struct where *w = arg;
    volatile char local = 1;
    w->local = tools_is_sanitizer() ? (const char *)__builtin_frame_address(0) : (const char *)&local;
    w->sum += local;
    w->same_task = weft_task_self() == w->task;
}

static void nest(void *arg)
{
    struct where *w = arg;
    weft_on_loop_stack(note_local, w); /* a plain call */
    w->nested++;
}

static bool is_on_thread_stack(const char *address)
{
    pthread_attr_t attr;
    void *low;
    size_t size;
    if (pthread_getattr_np(pthread_self(), &attr) != 0)
        return false;
    pthread_attr_getstack(&attr, &low, &size);
    pthread_attr_destroy(&attr);
    return address >= (const char *)low && address < (const char *)low + size;
}

static int loop_stack_is_another_one(void)
{
    const weft_stack *own = weft_task_self()->coro.stack;
    struct where w = { .task = weft_task_self() };
    note_local(&w);
    WEFT_CHECK(w.local >= own->low && w.local < own->top);
    weft_on_loop_stack(note_local, &w);
    WEFT_CHECK((w.local < own->low || w.local >= own->top) && is_on_thread_stack(w.local) && w.same_task);
    weft_on_loop_stack(nest, &w);
    WEFT_CHECK(is_on_thread_stack(w.local) && w.nested == 1 && w.sum == 3);
    note_local(&w);
    WEFT_CHECK(w.local >= own->low && w.local < own->top);
    return 0;
}

static __attribute__((noinline)) void use_200_kib(void *arg)
{
    volatile char room[200 * 1024];
    int sum = 0;
    for (size_t i = 0; i < sizeof room; i++)
        room[i] = (char)(i % 3);
    for (size_t i = 0; i < sizeof room; i++)
        sum += room[i];
    *(int *)arg += sum;
}

static int loop_stack_holds_200_kib(void)
{
    int sum = 0;
    for (int i = 0; i < 3; i++) {
        weft_on_loop_stack(use_200_kib, &sum);
        WEFT_CHECK(weft_yield() == 0);
    }
    WEFT_CHECK(sum == 3 * (200 * 1024 / 3 * 3 + 1)); /* 0, 1, 2 again and again, ending in 0, 1 */
    return 0;
}

struct starter {
    weft_group *group;
    weft_queue *queue;
    int rc;
};

/* Everything that does not wait may be done from there. */
static void start_and_put(void *arg)
{
    struct starter *s = arg;
    int item = 5;
    s->rc = weft_go(s->group, succeed, NULL);
    s->rc += weft_queue_try_put(s->queue, &item);
    weft_log(WEFT_LOG_DEBUG, "not written");
}

static int get_five(void *arg)
{
    int item = 0, rc = weft_queue_get((weft_queue *)arg, &item);
    WEFT_CHECK(item == 5);
    return rc;
}

static int loop_stack_may_start_and_wake(void)
{
    struct starter s = { .queue = weft_queue_new(sizeof(int), 1), .rc = 1 };
    WEFT_GROUP (g) {
        s.group = &g;
        weft_go(&g, get_five, s.queue);
        WEFT_TRY(weft_yield());
        weft_on_loop_stack(start_and_put, &s);
    }
    WEFT_CHECK(s.rc == 0 && weft_queue_count(s.queue) == 0);
    weft_queue_free(s.queue);
    return g.result;
}

static int plain_call_outside(void)
{
    struct where w = { 0 };
    weft_on_loop_stack(note_local, &w);
    WEFT_CHECK(w.sum == 1 && is_on_thread_stack(w.local));
    return 0;
}

static const weft_test tests[] = {
    PLAIN(sizes_are_honoured),
    PLAIN(tops_are_staggered),
    PLAIN(guards_fault),
    PLAIN(past_the_budget_of_guards_there_are_canaries),
    PLAIN(any_byte_of_a_canary_tells),
    PLAIN(canaries_cost_no_memory),
    PLAIN(the_latest_comes_back_first),
    PLAIN(trimming_gives_pages_back),
    PLAIN(out_of_memory),
    TEST(parked_tasks_hold_little),
    PLAIN(a_loop_gives_back_what_a_peak_left),
    TEST(loop_stack_is_another_one),
    TEST(loop_stack_holds_200_kib),
    TEST(loop_stack_may_start_and_wake),
    PLAIN(plain_call_outside),
};

TEST_MAIN(tests)
