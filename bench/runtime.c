/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * What the runtime costs, through the public calls: "name best median" lines of MEASURE_REPEATS repetitions, in nanoseconds
 * of processor time per operation (bytes for parked_). Names given on the command line choose; all are measured by default.
 *
 *     parked_bytes, parked_table_bytes   resident memory, and page tables, of each of 200,000 tasks that wait, after each has
 *                                        written a log line: stack, task and all
 *     yield_2, yield_1000                one weft_yield, of that many tasks that yield in turn
 *     spawn_one                          a group opened, one task started in it, run and ended, the group joined
 *     spawn_beside_1000                  the same while a thousand other tasks wait
 *     spawn_64, spawn_1000               a task started, run and ended; that many are started before the first one runs
 *     timeout_unused                     a WEFT_TIMEOUT around nothing: the clock read, a timer set and cleared
 *     sleep_cut                          a sleep in a scope that another task cancels, and that task's yield
 *     generator_step                     a value from a generator's body: one next, one yield
 *     generator_whole                    a generator made, its first value, its end, and it is closed
 *     pipeline_step                      a value from range, map and filter that lets all through
 *     offload                            a function that does nothing, called in a thread and back, its value copied
 *     file_load, file_pread              a file of 4 KiB, in the page cache, loaded whole; the same read from an open one
 *     process_run                        a program that does nothing started, waited for and reaped, its outputs collected
 *     queue_1, queue_10, queue_64        an item from one task to another through a queue of that capacity
 *     queue_alone                        an item put and got by one task, so that nobody waits
 *     lock, semaphore                    one acquired and released that nobody else wants
 *     event                              a task woken by an event, and its answer by another
 *     select_4                           an item from a task by a select over four queues
 *
 * Each operation is checked: a figure of something that failed is not printed, and the program ends with status 1.
 * NAME=COUNT does that many operations once and prints nothing: for callgrind, which counts instructions.
 */
#include <weft/event.h>
#include <weft/folder.h>
#include <weft/generator.h>
#include <weft/lock.h>
#include <weft/log.h>
#include <weft/offload.h>
#include <weft/process.h>
#include <weft/queue.h>
#include <weft/select.h>
#include <weft/semaphore.h>
#include <weft/task.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "bench/measure.h"

#define PARKED_COUNT 200000

struct measure {
    const char *name;
    long count;                                  /* operations of a repetition */
    int (*once)(const struct measure *m);        /* runs them */
    long tasks;                                  /* or the queue's capacity */
    int (*whole)(const struct measure *measure); /* in place of `once`: measures and prints by itself */
};

/* ---- yield ---- */

static int yield_often(void *arg)
{
    for (long left = *(long *)arg; left; left--)
        WEFT_TRY(weft_yield());
    return 0;
}

static int yields(const struct measure *m)
{
    long each = m->count / m->tasks;
    WEFT_GROUP (g) {
        for (long i = 0; i < m->tasks; i++)
            weft_go(&g, yield_often, &each);
    }
    return g.result;
}

/* ---- spawn, run, end ---- */

static int count_one(void *arg)
{
    ++*(long *)arg;
    return 0;
}

static int spawns(const struct measure *m)
{
    long ran = 0;
    for (long i = 0; i < m->count; i += m->tasks) {
        WEFT_GROUP (g) {
            for (long j = 0; j < m->tasks; j++)
                weft_go(&g, count_one, &ran);
        }
        WEFT_TRY(g.result);
    }
    return ran == m->count ? 0 : weft_fail(-EIO, "%ld of %ld tasks ran", ran, m->count);
}

static int wait_for_close(void *arg)
{
    int nothing, rc = weft_queue_get((weft_queue *)arg, &nothing);
    return rc;
}

static int spawns_beside_others(const struct measure *m)
{
    weft_queue *never = weft_queue_new(sizeof(int), 1);
    if (!never)
        return -ENOMEM;
    int rc = 0;
    WEFT_GROUP (others) {
        for (int i = 0; i < 1000; i++)
            weft_go(&others, wait_for_close, never);
        rc = weft_yield();
        if (rc == 0)
            rc = spawns(m);
        weft_queue_close(never);
    }
    weft_queue_free(never);
    return rc < 0 ? rc : others.result;
}

/* ---- timers ---- */

static int timeouts_unused(const struct measure *m)
{
    for (long i = 0; i < m->count; i++) {
        WEFT_TIMEOUT (limit, WEFT_SECOND) {
        }
        if (limit.expired)
            return weft_fail(-EIO, "a deadline struck");
    }
    return 0;
}

struct sleeper {
    weft_scope *scope; /* NULL when it has ended */
    long count;
};

static int sleep_and_be_cut(void *arg)
{
    struct sleeper *s = arg;
    int rc = 0;
    for (long left = s->count; left; left--) {
        weft_scope scope = { .timeout = WEFT_NO_LIMIT };
        weft_scope_open(&scope);
        s->scope = &scope;
        rc = weft_sleep(WEFT_HOUR);
        weft_scope_close(&scope);
        if (rc != WEFT_ECANCELED)
            break;
    }
    s->scope = NULL;
    return rc == WEFT_ECANCELED ? 0 : weft_fail(-EIO, "a sleep returned %d", rc);
}

static int cut_sleeps(void *arg)
{
    struct sleeper *s = arg;
    while (s->scope) {
        weft_cancel(s->scope);
        WEFT_TRY(weft_yield());
    }
    return 0;
}

static int sleeps_cut(const struct measure *m)
{
    struct sleeper sleeper = { .count = m->count };
    WEFT_GROUP (g) {
        weft_go(&g, sleep_and_be_cut, &sleeper);
        weft_go(&g, cut_sleeps, &sleeper);
    }
    return g.result;
}

/* ---- queue ---- */

struct hand_over {
    weft_queue *queue;
    long count;
};

static int put_all(void *arg)
{
    struct hand_over *h = arg;
    for (long i = 0; i < h->count; i++)
        WEFT_TRY(weft_queue_put(h->queue, &i));
    weft_queue_close(h->queue);
    return 0;
}

static int get_all(void *arg)
{
    struct hand_over *h = arg;
    long item, expected = 0;
    int rc;
    while ((rc = weft_queue_get(h->queue, &item)) > 0)
        if (item != expected++)
            return weft_fail(-EIO, "item %ld in place of %ld", item, expected - 1);
    return rc == 0 && expected != h->count ? weft_fail(-EIO, "%ld of %ld items", expected, h->count) : rc;
}

static int hand_over(const struct measure *m)
{
    struct hand_over h = { weft_queue_new(sizeof(long), (size_t)m->tasks), m->count };
    if (!h.queue)
        return -ENOMEM;
    WEFT_GROUP (g) {
        weft_go(&g, get_all, &h);
        weft_go(&g, put_all, &h);
    }
    weft_queue_free(h.queue);
    return g.result;
}

static int queue_alone(const struct measure *m)
{
    weft_queue *q = weft_queue_new(sizeof(long), 1);
    int rc = q ? 0 : -ENOMEM;
    for (long i = 0, item = -1; i < m->count && rc >= 0; i++) {
        rc = weft_queue_put(q, &i);
        if (rc == 0)
            rc = weft_queue_get(q, &item);
        if (rc == 1 && item != i)
            rc = -EIO;
    }
    weft_queue_free(q);
    return rc;
}

/* ---- lock, semaphore, event, select ---- */

static int locks(const struct measure *m)
{
    weft_lock l;
    weft_lock_init(&l);
    for (long i = 0; i < m->count; i++) {
        WEFT_TRY(weft_lock_acquire(&l));
        weft_lock_release(&l);
    }
    weft_lock_close(&l);
    return 0;
}

static int semaphores(const struct measure *m)
{
    weft_semaphore s;
    weft_semaphore_init(&s, 1);
    for (long i = 0; i < m->count; i++) {
        WEFT_TRY(weft_semaphore_acquire(&s));
        weft_semaphore_release(&s);
    }
    size_t places = weft_semaphore_count(&s);
    weft_semaphore_close(&s);
    return places == 1 ? 0 : -EIO;
}

struct ping {
    weft_event there, back;
    long count, answered;
};

static int answer(void *arg)
{
    struct ping *p = arg;
    for (; p->answered < p->count; p->answered++) {
        WEFT_TRY(weft_event_wait(&p->there));
        weft_event_clear(&p->there);
        weft_event_set(&p->back);
    }
    return 0;
}

static int events(const struct measure *m)
{
    struct ping p = { .count = m->count };
    weft_event_init(&p.there);
    weft_event_init(&p.back);
    WEFT_GROUP (g) {
        weft_go(&g, answer, &p);
        for (long i = 0; i < m->count; i++) {
            weft_event_set(&p.there);
            WEFT_TRY(weft_event_wait(&p.back));
            weft_event_clear(&p.back);
        }
    }
    weft_event_close(&p.there);
    weft_event_close(&p.back);
    return g.result < 0 ? g.result : p.answered == m->count ? 0 : -EIO;
}

struct sources {
    weft_queue *queues[4];
    long count;
};

static int put_in_turn(void *arg)
{
    const struct sources *s = arg;
    for (long i = 0; i < s->count; i++)
        WEFT_TRY(weft_queue_put(s->queues[i % 4], &i));
    return 0;
}

static int select_all(const struct sources *s)
{
    long item = 0, sum = 0;
    weft_select_case cases[] = {
        WEFT_ON_GET(s->queues[0], &item),
        WEFT_ON_GET(s->queues[1], &item),
        WEFT_ON_GET(s->queues[2], &item),
        WEFT_ON_GET(s->queues[3], &item),
    };
    for (long i = 0; i < s->count; i++) {
        WEFT_TRY(weft_select(cases, 4));
        sum += item;
    }
    return sum == s->count * (s->count - 1) / 2 ? 0 : -EIO;
}

static int selects(const struct measure *m)
{
    struct sources s = { .count = m->count };
    int rc = 0;
    for (int i = 0; i < 4; i++)
        if (!(s.queues[i] = weft_queue_new(sizeof(long), 1)))
            rc = -ENOMEM;
    WEFT_GROUP (g) {
        if (rc == 0)
            weft_go(&g, put_in_turn, &s);
        if (rc == 0)
            rc = select_all(&s);
    }
    for (int i = 0; i < 4; i++)
        weft_queue_free(s.queues[i]);
    return rc < 0 ? rc : g.result;
}

/* ---- memory ---- */

/* Bytes of a line of /proc/self/status that counts kB; 0 when there is none. */
static double status_bytes(const char *name)
{
    char line[256];
    double bytes = 0;
    FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, name, strlen(name)) == 0)
            bytes = 1024 * strtod(line + strlen(name), NULL);
    if (f)
        fclose(f);
    return bytes;
}

static double resident_bytes(void)
{
    unsigned long total, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f && fscanf(f, "%lu %lu", &total, &resident) != 2)
        resident = 0;
    if (f)
        fclose(f);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

struct parking {
    weft_queue *queue;
    long parked, logged;
};

static void throw_away(void *context, enum weft_log_level level, const char *line, size_t size)
{
    (void)level, (void)line;
    ((struct parking *)context)->logged += size > 0;
}

static int log_and_wait(void *arg)
{
    struct parking *p = arg;
    weft_log(WEFT_LOG_INFO, "task %ld of %s is ready", p->parked++, "many");
    return wait_for_close(p->queue);
}

static int park(struct parking *p)
{
    double resident = resident_bytes(), table = status_bytes("VmPTE:");
    int rc = 0;
    WEFT_GROUP (g) {
        for (long i = 0; i < PARKED_COUNT; i++)
            if (weft_go(&g, log_and_wait, p) < 0)
                break;
        while (rc == 0 && p->parked < PARKED_COUNT && !weft_cancelled())
            rc = weft_yield();
        resident = (resident_bytes() - resident) / PARKED_COUNT;
        table = (status_bytes("VmPTE:") - table) / PARKED_COUNT;
        weft_queue_close(p->queue);
    }
    if (rc == 0 && g.result == 0 && p->logged != PARKED_COUNT)
        rc = weft_fail(-EIO, "%ld of %d logged", p->logged, PARKED_COUNT);
    if (rc == 0 && g.result == 0)
        printf("parked_bytes %.0f %.0f\nparked_table_bytes %.0f %.0f\n", resident, resident, table, table);
    return rc < 0 ? rc : g.result;
}

static int parked(const struct measure *m)
{
    (void)m;
    struct parking p = { .queue = weft_queue_new(sizeof(int), 1) };
    if (!p.queue)
        return -ENOMEM;
    weft_log_set_sink(throw_away, &p);
    int rc = park(&p);
    weft_log_set_sink(NULL, NULL);
    weft_queue_free(p.queue);
    return rc;
}

/* ---- generators ---- */

static int count_up(weft_generator *g, void *arg)
{
    for (long i = 0; i < *(long *)arg; i++)
        WEFT_TRY(weft_generator_yield(g, &i));
    return 0;
}

static int consume(const struct measure *m, weft_generator *g)
{
    int rc = 0;
    long sum = 0;
    WEFT_FOR_EACH (long, n, g, .result = &rc)
        sum += n;
    return rc < 0 ? rc : sum == m->count * (m->count - 1) / 2 ? 0 : -EIO;
}

static int generator_steps(const struct measure *m)
{
    return consume(m, weft_generator_new_copy(long, count_up, &m->count));
}

static int generators(const struct measure *m)
{
    long one = 1, value = 1;
    for (long i = 0; i < m->count; i++) {
        weft_generator *g = weft_generator_new(long, count_up, &one);
        if (weft_generator_next(g, &value) != 1 || value != 0 || weft_generator_next(g, &value) != 0)
            return -EIO;
        WEFT_TRY(weft_generator_close(g));
    }
    return 0;
}

WEFT_MAP_FN(same, long, long, n, n)
WEFT_FILTER_FN(any, long, n, n >= 0)

static int pipeline_steps(const struct measure *m)
{
    weft_generator *g = weft_generator_range(0, m->count, 1);
    return consume(m, weft_generator_filter(weft_generator_map(long, g, same, NULL), any, NULL));
}

/* ---- threads ---- */

static int count_in_thread(void *arg)
{
    return (int)++*(long *)arg;
}

static int offloads(const struct measure *m)
{
    long calls = 0;
    for (long i = 0; i < m->count; i++)
        WEFT_TRY(weft_offload(count_in_thread, &calls));
    return calls == m->count ? 0 : -EIO;
}

/* ---- files and processes ---- */

enum { FILE_SIZE = 4096 };

static int make_file(char path[300])
{
    char folder[256];
    static const char zeros[FILE_SIZE];
    WEFT_TRY(weft_folder_temporary(folder, sizeof folder, NULL));
    snprintf(path, 300, "%s/file", folder);
    return weft_file_save(path, zeros, sizeof zeros);
}

static int remove_file(char path[300])
{
    *strrchr(path, '/') = '\0';
    return weft_folder_remove_tree(path);
}

static int loads(const struct measure *m)
{
    char path[300];
    weft_bytes content;
    WEFT_TRY(make_file(path));
    for (long i = 0; i < m->count; i++) {
        WEFT_TRY(weft_file_load(path, FILE_SIZE, &content));
        bool is_whole = content.size == FILE_SIZE;
        weft_bytes_drop(&content);
        if (!is_whole)
            return -EIO;
    }
    return remove_file(path);
}

static int preads(const struct measure *m)
{
    char path[300], buf[FILE_SIZE];
    weft_file *f __attribute__((cleanup(weft_file_drop))) = NULL;
    WEFT_TRY(make_file(path));
    WEFT_TRY(weft_file_open(&f, path, "r"));
    for (long i = 0; i < m->count; i++)
        if (weft_file_pread(f, buf, sizeof buf, 0) != FILE_SIZE)
            return -EIO;
    return remove_file(path);
}

static int process_runs(const struct measure *m)
{
    weft_process_result done;
    for (long i = 0; i < m->count; i++) {
        WEFT_TRY(weft_process_run(&done, WEFT_ARGV("true")));
        weft_process_result_drop(&done);
        if (done.status.code != 0)
            return -EIO;
    }
    return 0;
}

static const struct measure measures[] = {
    { .name = "parked_bytes", .whole = parked },
    { "yield_2", 400000, yields, 2, NULL },
    { "yield_1000", 400000, yields, 1000, NULL },
    { "spawn_one", 200000, spawns, 1, NULL },
    { "spawn_beside_1000", 200000, spawns_beside_others, 1, NULL },
    { "spawn_64", 64 * 4000, spawns, 64, NULL },
    { "spawn_1000", 1000 * 200, spawns, 1000, NULL },
    { "timeout_unused", 200000, timeouts_unused, 0, NULL },
    { "sleep_cut", 100000, sleeps_cut, 0, NULL },
    { "generator_step", 400000, generator_steps, 0, NULL },
    { "generator_whole", 100000, generators, 0, NULL },
    { "pipeline_step", 400000, pipeline_steps, 0, NULL },
    { "offload", 5000, offloads, 0, NULL },
    { "file_load", 3000, loads, 0, NULL },
    { "file_pread", 5000, preads, 0, NULL },
    { "process_run", 100, process_runs, 0, NULL },
    { "queue_1", 200000, hand_over, 1, NULL },
    { "queue_10", 200000, hand_over, 10, NULL },
    { "queue_64", 200000, hand_over, 64, NULL },
    { "queue_alone", 400000, queue_alone, 1, NULL },
    { "lock", 400000, locks, 0, NULL },
    { "semaphore", 400000, semaphores, 0, NULL },
    { "event", 200000, events, 0, NULL },
    { "select_4", 200000, selects, 4, NULL },
};

static int run_measure(void *arg)
{
    const struct measure *m = arg;
    double figures[MEASURE_REPEATS];
    if (m->whole)
        return m->whole(m);
    WEFT_TRY(m->once(m)); /* warm */
    for (int i = 0; i < MEASURE_REPEATS; i++) {
        double start = measure_now();
        WEFT_TRY(m->once(m));
        figures[i] = (measure_now() - start) / (double)m->count;
    }
    measure_report(m->name, figures);
    return 0;
}

static int run_once(void *arg)
{
    const struct measure *m = arg;
    return m->once(m);
}

/* Is `argument` this measure's name, or NAME=COUNT (then *ret_count is set)? */
static bool is_meant(const char *argument, const struct measure *m, long *ret_count)
{
    size_t size = strlen(m->name);
    if (strncmp(argument, m->name, size) != 0)
        return false;
    if (argument[size] == '=')
        *ret_count = strtol(argument + size + 1, NULL, 10);
    return !argument[size] || (*ret_count > 0 && m->once);
}

int main(int argc, char **argv)
{
    int status = 0, meant = 0;
    for (size_t i = 0; i < sizeof measures / sizeof *measures; i++) {
        struct measure m = measures[i];
        long count = 0;
        bool chosen = argc == 1;
        for (int j = 1; j < argc && !chosen; j++)
            chosen = is_meant(argv[j], &m, &count);
        if (!chosen)
            continue;
        meant++;
        if (count > 0)
            m.count = count;
        int rc = weft_run(count > 0 ? run_once : run_measure, &m);
        if (rc < 0) {
            fprintf(stderr, "%s: %s\n", m.name, weft_strerror(rc));
            status = 1;
        }
    }
    if (!meant)
        fprintf(stderr, "usage: runtime [NAME|NAME=COUNT]...\n");
    return meant ? status : 2;
}
