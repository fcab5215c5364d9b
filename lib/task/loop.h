/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The inside of a loop: the scheduler's state, and what the layers above may hook into.
 *
 * A turn: callbacks that are due soon, then tasks that are ready, then one poll, which calls back into lib/net, into
 * timers and posts. Tasks that yield run again when all that were ready have run. So that input is never starved, the poll
 * comes after READY_BUDGET switches, or SLICE after the last one, whichever is first. A task is entered only from here or by
 * weft_task_enter from a callback: always on the loop's stack, while no other runs.
 */
#ifndef WEFT_LIB_TASK_LOOP_H
#define WEFT_LIB_TASK_LOOP_H

#include <pthread.h>

#include <weft/log.h>
#include <weft/loop.h>
#include <weft/test.h>

#include "lib/base/arena.h"
#include "lib/base/clock.h"
#include "lib/base/fd_table.h"
#include "lib/base/list.h"
#include "lib/base/slab.h"
#include "lib/base/spin.h"
#include "lib/coro/coro.h"
#include "lib/coro/overflow.h"
#include "lib/task/timer.h"

#define WEFT_LOOP_MAGIC 0x100bae5eu

struct weft_poll;
struct weft_threads;
struct weft_poll_fd;
struct weft_debug;
struct weft_source;

/* Something to do soon on the loop's stack, with no task running: a way out of deep call chains. Embedded in its owner. */
typedef struct weft_callback {
    weft_list link; /* on itself when not due */
    void (*fn)(struct weft_callback *callback);
} weft_callback;

/* What test mode adds to a loop. */
struct weft_test_mode {
    bool is_virtual, is_quiet;
    uint64_t random; /* state of the shuffle; 0 leaves the ready queue in order */
    uint64_t waits, cancel_at, switches;
    enum weft_cancel_when cancel_when;
    bool struck, is_deadlocked;
    bool cancel_this_wait;          /* the wait now being made is the chosen one */
    const struct weft_wait *chosen; /* it has parked, and is to be cancelled once woken */
    struct weft_stack_spare *spare; /* the thread's */
};

struct weft_loop_post {
    weft_list link;
    void (*fn)(void *arg);
    void *arg;
    bool is_embedded; /* in something of its sender's; else freed by the loop */
};

struct weft_loop {
    unsigned magic;
    weft_task *current; /* the task that runs, or NULL */
    weft_home home;
    uint64_t beat;             /* odd while a task or a post runs; read by the supervisor's thread (watchdog.h) */
    void (*posted)(void *arg); /* the post that runs */
    bool is_polling;           /* inside a turn's poll */
    bool is_woken;             /* the present turn's poll must not block */
    bool on_loop_stack;        /* the running task has called home: it must not wait */
    weft_list ready;           /* tasks */
    weft_list yielded;         /* tasks that are ready too, once those have run */
    weft_list soon;            /* callbacks */
    weft_list tasks;           /* all that have not ended */
    weft_duration now;         /* the clock, read about once a turn: ask weft_loop_now; in virtual time the clock itself */
    uint64_t now_cycles;       /* and weft_clock_cycles when it was read */
    bool is_stale;             /* a poll has begun since it was read */
    weft_wheel wheel;
    weft_stacks stacks;
    weft_timer trim; /* of stacks */
    weft_slab task_slab;
    weft_arena_pool arenas;
    weft_group root;
    uint64_t random;       /* of weft_loop_draw, without a seed */
    int outside;           /* things awaited from outside (sockets, threads): virtual time does not jump meanwhile */
    int jobs;              /* of threads, that are awaited; counted there too */
    weft_spin_credit spin; /* before a poll that waits for a job */
    int unpolled;          /* jobs in a row that came before a poll */
    struct weft_poll *poll;
    struct weft_threads *threads; /* its pools of them; made when first needed */
    weft_fd_table fds;            /* weft_poll_fd that tasks wait for (fd.c) */

    pthread_mutex_t inbox_lock;
    weft_list inbox;      /* posts; under the lock */
    bool is_spinning;     /* the loop looks at has_posts: it need not be woken; under the lock */
    atomic_int has_posts; /* is the inbox not empty? */
    bool is_closing;      /* posts wake nobody any more; under the lock */

    /* For the layers above; both run on the loop's stack with no task running. */
    void (*flush)(struct weft_loop *loop);     /* after a task ran, and after a poll */
    void *server;                              /* the layer above's own */
    void *test_client;                         /* the test client's own (server/test_client.c) */
    void *hubs;                                /* of the rooms that have members here (server/hub.c) */
    void *net;                                 /* lib/net's own, made when first needed */
    void (*net_stop)(struct weft_loop *loop);  /* no task is left: closes what was left open */
    void (*net_close)(struct weft_loop *loop); /* gives it back, after the last handle is closed */
    void *os;                                  /* lib/os's own, made when first needed */
    void (*os_stop)(struct weft_loop *loop);   /* no task is left, threads are: closes what was left open */
    void (*os_close)(struct weft_loop *loop);  /* gives it back, after the last handle is closed */
    const struct weft_source *const *sources;  /* lib/os's: what else a select can wait for, from WEFT_SELECT_PROCESS on */
    uint64_t supervised;                       /* signals that are the supervisor's: bit n is signal n */

    enum weft_log_level log_level;
    enum weft_log_format log_format;
    weft_log_sink *log_sink;
    void *log_context;

    weft_overflow_watch overflow;
    struct weft_debug *debug; /* NULL outside debug mode */
    struct weft_test_mode *test;
    int result;
};

/* The loop of this thread. */
extern _Thread_local weft_loop *weft_here;

static inline void weft_callback_init(weft_callback *callback, void (*fn)(weft_callback *callback))
{
    weft_list_init(&callback->link);
    callback->fn = fn;
}

/* Calls it once, soon; it may be asked for again, and withdrawn by weft_callback_clear. */
void weft_callback_soon(weft_loop *loop, weft_callback *callback);

static inline void weft_callback_clear(weft_callback *callback)
{
    weft_list_remove(&callback->link);
}

/* A random number from 0 to bound - 1: from the seed in test mode, so that a run can be repeated. */
uint64_t weft_loop_draw(weft_loop *loop, uint64_t bound);

/* The absolute time `d` from now, from a clock read now. */
weft_duration weft_loop_deadline(weft_loop *loop, weft_duration d);

/* The cached clock, for what happens on every request: as old as this turn, so about a millisecond, but as long as somebody has
 * held the loop if somebody has. The first callback of a poll reads it anew, since the poll may have lasted for hours. */
static inline weft_duration weft_loop_now(weft_loop *loop)
{
    if (__builtin_expect(loop->is_stale, 0)) {
        loop->is_stale = false;
        loop->now = weft_clock_monotonic();
        loop->now_cycles = weft_clock_cycles();
    }
    return loop->now;
}

/* The cached clock, read anew if a few milliseconds have passed since (up to 4, or a tick of the kernel's, which is up to 10):
 * for a limit that begins here, which must not be over sooner because somebody has held the loop before. */
weft_duration weft_loop_recent(weft_loop *loop);

/* Something of others begins to run on the loop, after what was before has ended or not, or has ended. */
static inline void weft_loop_beat_begin(weft_loop *loop)
{
    __atomic_store_n(&loop->beat, (loop->beat + 1) | 1, __ATOMIC_RELEASE);
}

static inline void weft_loop_beat_end(weft_loop *loop)
{
    __atomic_store_n(&loop->beat, (loop->beat + 1) & ~UINT64_C(1), __ATOMIC_RELEASE);
}

/* Reads the clock (the virtual one in virtual time). */
weft_duration weft_loop_clock(weft_loop *loop);

struct weft_loop_options {
    struct weft_test_mode *test; /* NULL outside test mode */
    const char *name, *file;     /* of the first task; where it is started */
    int line;
    size_t *mistakes;                           /* that debug mode has reported; may be NULL */
    bool debug;                                 /* debug mode; also by WEFT_DEBUG=1 outside test mode */
    bool has_supervisor;                        /* the first task starts one, which has the watchdog */
    weft_duration stall_limit;                  /* in debug mode without one; 0 is the default */
    weft_duration *ended_at;                    /* the clock at the end; may be NULL */
    void (*opened)(weft_loop *loop, void *arg); /* before the first task is started; may be NULL */
};

/* As weft_loop_post, with a post that the caller owns until it is called: it cannot fail. Was the loop awake, looking for one?
 */
bool weft_loop_post_embedded(weft_loop *loop, struct weft_loop_post *post);

/* Takes an embedded post back, if it has not been called yet. Its link is either in use or on itself. On the loop's thread. */
void weft_loop_withdraw(weft_loop *loop, struct weft_loop_post *post);

/* Calls what has been posted so far; was there anything? */
bool weft_loop_drain_inbox(weft_loop *loop);

/* What weft_run is made of. */
int weft_loop_run(const struct weft_loop_options *options, weft_task_fn *fn, void *arg);

/* There is work, or no reason to run any more: a poll that has begun must not block. */
static inline void weft_loop_wake(weft_loop *loop)
{
    loop->is_woken = true;
}

/* A report of misuse: one line with the running task and where it was started; in debug builds the program ends. */
void weft_misuse(const char *format, ...) WEFT_PRINTF(1, 2);

/* As weft_misuse, and the program ends in every build: going on would not be safe. */
_Noreturn void weft_misuse_die(const char *format, ...) WEFT_PRINTF(1, 2);

#endif
