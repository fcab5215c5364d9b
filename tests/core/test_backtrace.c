/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Where a task stands that does not run: the addresses on its stack, and their names. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <unwind.h>

#include <weft/generator.h>

#include "lib/base/memory.h"
#include "lib/coro/backtrace.h"
#include "lib/coro/symbols.h"
#include "lib/task/task.h"
#include "lib/task/wait.h"
#include "tests/core/core.h"
#include "tests/core/tools.h"

enum { MOST = 100 };

struct trace {
    size_t count;
    void *address[MOST];
    char names[MOST * 200]; /* a line each, after an empty one */
};

static void name_all(void *arg)
{
    struct trace *trace = arg;
    FILE *out = fmemopen(trace->names, sizeof trace->names, "w");
    weft_symbols *symbols = weft_symbols_open();
    fputc('\n', out);
    for (size_t i = 0; i < trace->count; i++) {
        weft_symbols_print(symbols, out, trace->address[i]);
        fputc('\n', out);
    }
    weft_symbols_close(symbols);
    fclose(out);
}

static struct trace *trace_task(const weft_task *task)
{
    static struct trace trace;
    trace.count = weft_coro_backtrace(&task->coro, trace.address, MOST);
    weft_on_loop_stack(name_all, &trace);
    return &trace;
}

/* Is the place at which its wait was called among them? */
static bool has_place_of_wait(const struct trace *trace, const weft_task *task)
{
    for (size_t i = 0; i < trace->count; i++)
        if (trace->address[i] == task->wait->place)
            return true;
    return false;
}

#ifdef WEFT_LIBDW

/* Does a line begin with one of the names, and a later one with the next, and so on? */
static bool has_in_order(const struct trace *trace, const char *const *names, size_t count)
{
    const char *at = trace->names;
    for (size_t i = 0; i < count; i++) {
        char start[100];
        snprintf(start, sizeof start, "\n%s", names[i]);
        at = strstr(at, start);
        if (!at)
            return false;
        at++;
    }
    return true;
}

#define WEFT_CHECK_NAMES(trace, ...)                                                                                           \
    do {                                                                                                                       \
        const char *const names_[] = { __VA_ARGS__ };                                                                          \
        bool ok_ = has_in_order((trace), names_, COUNT(names_));                                                               \
        WEFT_CHECK(ok_);                                                                                                       \
        if (!ok_)                                                                                                              \
            printf("# the names are:%s# end\n", (trace)->names);                                                               \
    } while (0)

#else
#define WEFT_CHECK_NAMES(trace, ...) WEFT_CHECK((trace)->count > 2)
#endif

/* ---- a parked task ---- */

enum { STAND_LINE = __LINE__ + 4 };

static __attribute__((noinline)) int stand_here(int depth)
{
    volatile int rc = depth > 0 ? stand_here(depth - 1) : weft_sleep(WEFT_HOUR);
    return rc < 0 ? rc : depth;
}

static __attribute__((noinline)) int go_down(int *depth)
{
    volatile int rc = stand_here(*depth); /* not a jump, so that this frame stays */
    return rc;
}

static int stand_and_wait(void *arg)
{
    volatile int rc = go_down(arg);
    return rc;
}

static int a_parked_task_is_walked(void)
{
    int depth = 2;
    weft_task *task;
    WEFT_TRY(weft_spawn(&task, stand_and_wait, &depth));
    WEFT_TRY(weft_yield());
    const struct trace *trace = trace_task(task);
    WEFT_CHECK(task->state == WEFT_TASK_PARKED && has_place_of_wait(trace, task) && trace->count < 20);
    WEFT_CHECK_NAMES(trace, "weft_sleep", "stand_here", "stand_here", "stand_here", "go_down", "stand_and_wait", "run_task");
#ifdef WEFT_LIBDW
    char words[60];
    snprintf(words, sizeof words, "stand_here at test_backtrace.c:%d\n", STAND_LINE);
    WEFT_CHECK(strstr(trace->names, words));
    WEFT_CHECK(strstr(strstr(trace->names, "run_task"), "\n")[1] == '\0' || tools_is_ucontext()); /* it is the last */
#endif
    weft_task_cancel(task);
    WEFT_CHECK(weft_await(task) == WEFT_ECANCELED);
    return 0;
}

static int a_deep_stack_is_walked_as_far_as_there_is_room(void)
{
    int depth = 150;
    void *few[3];
    weft_task *task;
    WEFT_TRY(weft_spawn(&task, stand_and_wait, &depth));
    WEFT_TRY(weft_yield());
    const struct trace *trace = trace_task(task);
    WEFT_CHECK(trace->count == MOST && has_place_of_wait(trace, task));
    WEFT_CHECK(weft_coro_backtrace(&task->coro, few, 0) == 0);
    WEFT_CHECK(weft_coro_backtrace(&task->coro, few, 3) == 3 && memcmp(few, trace->address, sizeof few) == 0);
    weft_task_cancel(task);
    WEFT_CHECK(weft_await(task) == WEFT_ECANCELED);
    return 0;
}

static int a_task_that_has_not_begun_is_at_its_first_function(void)
{
    int depth = 0;
    weft_task *task;
    WEFT_TRY(weft_spawn(&task, stand_and_wait, &depth));
    const struct trace *trace = trace_task(task);
    WEFT_CHECK(trace->count == 1);
#ifdef WEFT_LIBDW
    WEFT_CHECK(strncmp(trace->names, "\nrun_task at task.c:", 20) == 0);
#endif
    weft_task_cancel(task);
    WEFT_CHECK(weft_await(task) == WEFT_ECANCELED);
    return 0;
}

static __attribute__((noinline)) int give_way(int *steps)
{
    int rc = 0;
    while (rc == 0) {
        rc = weft_yield();
        ++*steps;
    }
    return rc;
}

static int yield_for_ever(void *arg)
{
    volatile int rc = give_way(arg);
    return rc;
}

static int a_task_that_has_yielded_is_walked(void)
{
    int steps = 0;
    weft_task *task;
    WEFT_TRY(weft_spawn(&task, yield_for_ever, &steps));
    while (steps < 3)
        WEFT_TRY(weft_yield());
    const struct trace *trace = trace_task(task);
    WEFT_CHECK(task->state == WEFT_TASK_READY);
    WEFT_CHECK_NAMES(trace, "give_way", "yield_for_ever", "run_task");
    weft_task_cancel(task);
    WEFT_CHECK(weft_await(task) == WEFT_ECANCELED && steps >= 3); /* it goes on as if nothing had been */
    return 0;
}

/* ---- inside a generator ---- */

static __attribute__((noinline)) int sleep_in_body(void)
{
    volatile int rc = weft_sleep(WEFT_HOUR);
    return rc;
}

static int sleeping_body(weft_generator *g, void *arg)
{
    (void)arg;
    int one = 1;
    WEFT_TRY(weft_generator_yield(g, &one));
    volatile int rc = sleep_in_body();
    return rc;
}

static int consume(void *arg)
{
    int value, rc;
    (void)arg;
    weft_generator *g = weft_generator_new(int, sleeping_body, NULL);
    while ((rc = weft_generator_next(g, &value)) > 0)
        continue;
    weft_generator_close(g);
    return rc;
}

static int a_task_that_waits_in_a_generator_stands_in_its_body(void)
{
    weft_task *task;
    WEFT_TRY(weft_spawn(&task, consume, NULL));
    WEFT_TRY(weft_sleep(1 * MS));
    const struct trace *trace = trace_task(task);
    WEFT_CHECK(has_place_of_wait(trace, task));
    WEFT_CHECK_NAMES(trace, "weft_sleep", "sleep_in_body", "sleeping_body", "run_body");
    weft_task_cancel(task);
    WEFT_CHECK(weft_await(task) == WEFT_ECANCELED);
    return 0;
}

/* ---- what a walk leaves alone ---- */

static size_t resident_pages(const weft_stack *stack)
{
    enum { PAGE = 4096 };
    unsigned char pages[64 * 1024 / PAGE];
    size_t count = 0;
    if (mincore(stack->low, sizeof pages * PAGE, pages) != 0)
        return 0;
    for (size_t i = 0; i < sizeof pages; i++)
        count += pages[i] & 1;
    return count;
}

static int a_walk_touches_no_page_of_the_stack(void)
{
    int depth = 0;
    weft_task *task;
    WEFT_TRY(weft_spawn(&task, stand_and_wait, &depth));
    WEFT_TRY(weft_yield());
    size_t before = resident_pages(task->coro.stack);
    WEFT_CHECK(trace_task(task)->count > 3);
    if (!tools_is_ucontext())
        WEFT_CHECK(before > 0 && resident_pages(task->coro.stack) == before);
    weft_task_cancel(task);
    WEFT_CHECK(weft_await(task) == WEFT_ECANCELED);
    return 0;
}

static int walk_all(void *arg)
{
    const weft_loop *loop = weft_here;
    void *address[MOST];
    LIST_EACH (node, &loop->tasks) {
        const weft_task *task = CONTAINER_OF(node, weft_task, all);
        if (task != loop->current)
            *(size_t *)arg += weft_coro_backtrace(&task->coro, address, MOST) > 0;
    }
    return 0;
}

static int many_are_walked_in_one_go(void)
{
    enum { TASKS = 1000 };
    int depth = 3;
    size_t walked = 0;
    WEFT_GROUP (g) {
        for (int i = 0; i < TASKS; i++)
            WEFT_TRY(weft_go(&g, stand_and_wait, &depth));
        WEFT_TRY(weft_yield());
        walk_all(&walked);
        weft_group_cancel(&g);
    }
    WEFT_CHECK(walked == TASKS);
    return 0;
}

/* ---- unwinding through the switch while something runs ---- */

static _Unwind_Reason_Code note_frame(struct _Unwind_Context *context, void *arg)
{
    struct trace *trace = arg;
    if (trace->count < MOST)
        trace->address[trace->count++] = (void *)_Unwind_GetIP(context);
    return _URC_NO_REASON;
}

static void unwind_here(void *arg)
{
    struct trace *trace = arg;
    trace->count = 0;
    _Unwind_Backtrace(note_frame, trace);
    weft_on_loop_stack(name_all, trace);
}

static __attribute__((noinline)) int unwind_deeper(struct trace *trace, bool on_loop_stack)
{
    if (on_loop_stack)
        weft_on_loop_stack(unwind_here, trace);
    else
        unwind_here(trace);
    return trace->count > 2 ? 0 : -1;
}

static int a_running_task_is_unwound_to_its_beginning(void)
{
    static struct trace trace;
    WEFT_CHECK(unwind_deeper(&trace, false) == 0 && trace.count < MOST);
#ifdef WEFT_LIBDW
    WEFT_CHECK(strstr(trace.names, "unwind_deeper")); /* into which unwind_here is inlined, or not */
#endif
    WEFT_CHECK_NAMES(&trace, "a_running_task_is_unwound_to_its_beginning", "run_task");
    return 0;
}

static int a_call_on_the_loops_stack_is_unwound_into_the_task(void)
{
    if (tools_is_ucontext())
        return 0; /* there the loop itself makes the call */
    static struct trace trace;
    WEFT_CHECK(unwind_deeper(&trace, true) == 0 && trace.count < MOST);
    WEFT_CHECK_NAMES(&trace, "unwind_deeper", "a_call_on_the_loops_stack_is_unwound_into_the_task", "run_task");
    return 0;
}

/* ---- names ---- */

static void print_to(char *buf, size_t size, weft_symbols *symbols, const void *address)
{
    FILE *out = fmemopen(buf, size, "w");
    weft_symbols_print(symbols, out, address);
    fclose(out);
}

static int what_has_no_name_is_printed_as_a_number(void)
{
    char line[200];
    weft_symbols *symbols = weft_symbols_open();
    print_to(line, sizeof line, symbols, (void *)17);
    WEFT_CHECK(strcmp(line, "0x10") == 0);
    print_to(line, sizeof line, NULL, (void *)17);
    WEFT_CHECK(strcmp(line, "0x10") == 0);
    weft_symbols_close(symbols);
    return 0;
}

static int exported_functions_are_known_without_debug_information(void)
{
    char line[200];
    print_to(line, sizeof line, NULL, (char *)(uintptr_t)getsubopt + 2);
    WEFT_CHECK(strstr(line, "getsubopt") && strstr(line, "libc.so"));
    weft_symbols *symbols = weft_symbols_open();
    print_to(line, sizeof line, symbols, (char *)(uintptr_t)getsubopt + 2);
    WEFT_CHECK(strstr(line, "getsubopt"));
    weft_symbols_close(symbols);
    return 0;
}

static int symbols_without_memory(void)
{
    weft_faults faults = { .fail_at = 1 };
    weft_mem_set_faults(&faults);
    weft_symbols *symbols = weft_symbols_open();
    weft_mem_set_faults(NULL);
    WEFT_CHECK(!symbols);
    weft_symbols_close(symbols);
    return 0;
}

static const weft_test tests[] = {
    TEST(a_parked_task_is_walked),
    TEST(a_deep_stack_is_walked_as_far_as_there_is_room),
    TEST(a_task_that_has_not_begun_is_at_its_first_function),
    TEST(a_task_that_has_yielded_is_walked),
    TEST(a_task_that_waits_in_a_generator_stands_in_its_body),
    TEST(a_walk_touches_no_page_of_the_stack),
    TEST(many_are_walked_in_one_go),
    TEST(a_running_task_is_unwound_to_its_beginning),
    TEST(a_call_on_the_loops_stack_is_unwound_into_the_task),
    PLAIN(what_has_no_name_is_printed_as_a_number),
    PLAIN(exported_functions_are_known_without_debug_information),
    PLAIN(symbols_without_memory),
};

TEST_MAIN(tests)
