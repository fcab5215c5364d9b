/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Test mode, and the small runner that prints TAP. */
#include <weft/test.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/memory.h"
#include "lib/task/poll.h"
#include "lib/task/task.h"

static _Thread_local unsigned failures;

void weft_check_(bool ok, const char *text, const char *file, int line)
{
    if (ok)
        return;
    failures++;
    printf("# %s:%d: this should hold: %s\n", file, line, text);
    fflush(stdout);
}

unsigned weft_test_failures(void)
{
    unsigned n = failures;
    failures = 0;
    return n;
}

int weft_test_run_(weft_task_fn *fn, void *arg, weft_test_report *report, const weft_test_options *given)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    static _Thread_local struct weft_stack_spare spare;
    pthread_once(&once, weft_poll_use_heap);
    weft_test_options options = { 0 };
    size_t size = given->struct_size < sizeof options ? given->struct_size : sizeof options;
    memcpy(&options, given, size);
    struct weft_test_mode mode = {
        .is_virtual = !options.real_time,
        .is_quiet = options.quiet,
        .random = options.seed,
        .cancel_at = options.cancel_at,
        .cancel_when = options.cancel_when,
        .spare = &spare,
    };
    weft_faults faults = { .fail_at = options.fail_at, .fail_after = options.fail_after };
    weft_faults *former = weft_mem_set_faults(&faults);
    weft_duration ended_at = 0;
    size_t mistakes = 0;
    struct weft_loop_options run = {
        .test = &mode,
        .name = "test",
        .file = options.file,
        .line = options.line,
        .ended_at = &ended_at,
        .debug = options.debug,
        .mistakes = &mistakes,
    };
    int result = weft_loop_run(&run, fn, arg);
    weft_mem_set_faults(former);
    if (report)
        *report = (weft_test_report){
            .waits = mode.waits,
            .allocations = faults.count,
            .switches = mode.switches,
            .ended_at = ended_at,
            .struck = mode.struck || faults.struck,
            .mistakes = mistakes,
        };
    return mode.is_deadlocked ? -EDEADLK : result;
}

/* ---- the runner ---- */

struct plan {
    const weft_test *tests;
    size_t count;
    uint64_t seed, repeat;
    bool has_seed;
    char **names;
    int name_count;
    const char *file;
    int line;
};

static int usage(const char *program)
{
    fprintf(stderr, "usage: %s [--list] [--seed N] [--repeat N] [part of a name]...\n", program);
    return 2;
}

static bool parse_number(const char *text, uint64_t *ret_number)
{
    char *end = NULL;
    errno = 0;
    unsigned long long n = text && *text >= '0' && *text <= '9' ? strtoull(text, &end, 10) : 0;
    if (!end || *end || errno)
        return false;
    *ret_number = n;
    return true;
}

static bool is_chosen(const struct plan *plan, const weft_test *test)
{
    for (int i = 0; i < plan->name_count; i++)
        if (strstr(test->name, plan->names[i]))
            return true;
    return plan->name_count == 0;
}

static int run_body(void *arg)
{
    return ((const weft_test *)arg)->body();
}

static int run_in_virtual_time(const struct plan *plan, const weft_test *test, uint64_t seed)
{
    const weft_test_options options = { .struct_size = sizeof options, .seed = seed, .file = plan->file, .line = plan->line };
    return weft_test_run_(run_body, (void *)(uintptr_t)test, NULL, &options);
}

/* One test with one seed; true if it passed. */
static bool run_once(const struct plan *plan, const weft_test *test, uint64_t seed)
{
    failures = 0;
    int rc = test->plain ? test->plain() : run_in_virtual_time(plan, test, seed);
    if (rc < 0)
        printf("# %s ended with %d: %s\n", test->name, rc, weft_strerror(rc));
    if (failures > 0 || rc < 0)
        printf("# seed %llu\n", (unsigned long long)seed);
    return rc >= 0 && failures == 0;
}

static bool run_test(const struct plan *plan, const weft_test *test)
{
    uint64_t seed = plan->has_seed ? plan->seed : test->seed;
    bool passed = run_once(plan, test, seed);
    for (uint64_t n = 1; passed && n < plan->repeat && !test->plain; n++)
        passed = run_once(plan, test, seed + n);
    return passed;
}

static int run_all(const struct plan *plan)
{
    size_t number = 0, failed = 0, chosen = 0;
    for (size_t i = 0; i < plan->count; i++)
        chosen += is_chosen(plan, &plan->tests[i]);
    printf("1..%zu\n", chosen);
    for (size_t i = 0; i < plan->count; i++) {
        const weft_test *test = &plan->tests[i];
        if (!is_chosen(plan, test))
            continue;
        bool passed = run_test(plan, test);
        failed += !passed;
        printf("%sok %zu - %s\n", passed ? "" : "not ", ++number, test->name);
        fflush(stdout);
    }
    return failed > 0;
}

int weft_test_main_(const weft_test *tests, size_t count, int argc, char **argv, const char *file, int line)
{
    struct plan plan = { .tests = tests, .count = count, .file = file, .line = line };
    int i = 1;
    while (i < argc && argv[i][0] == '-') {
        if (strcmp(argv[i], "--list") == 0) {
            for (size_t k = 0; k < count; k++)
                puts(tests[k].name);
            return 0;
        }
        if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc && parse_number(argv[i + 1], &plan.seed))
            plan.has_seed = true;
        else if (strcmp(argv[i], "--repeat") != 0 || i + 1 >= argc || !parse_number(argv[i + 1], &plan.repeat))
            return usage(argv[0]);
        i += 2;
    }
    plan.names = argv + i;
    plan.name_count = argc - i;
    return run_all(&plan);
}
