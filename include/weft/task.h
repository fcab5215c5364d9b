/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Tasks and groups: straight-line code that may wait, several at once.
 *
 *     static int both(void *arg)
 *     {
 *         WEFT_GROUP(g, .timeout = 2 * WEFT_SECOND) {
 *             weft_go(&g, load_user, &user);
 *             weft_go(&g, load_orders, &orders);
 *         }                                    // both have ended here; the first error cancelled the other
 *         return g.result;
 *     }
 *     int main(void) { return weft_run(both, NULL) < 0; }
 *
 * A task is a function with a stack of its own (64 KiB unless said otherwise, about 4 KiB of it resident). It runs on the
 * thread of its loop, never at the same time as another task of that loop, and never moves to another. Every task belongs
 * to a group, and a group does not end before its tasks: leaving the block normally waits for them; leaving it by break,
 * return or goto cancels them first, and then waits. A join is never cut short: cancelled, it cancels its tasks and goes on
 * waiting. A group is a scope (weft/scope.h), and a task's waits are cut short by its group's reason.
 *
 * What a task that has ended means for its group:
 *   a result >= 0             success
 *   an error                  the first one becomes g.result; the siblings are cancelled, unless collecting
 *   WEFT_ECANCELED, _EDEADLINE   an error like any other, unless the group had been cut short (or the task by
 *                             weft_task_cancel): then it does not count
 * and at the end of a group with no error: its own deadline, or a reason from around it, becomes g.result; its own cancel
 * (or leaving early) leaves 0.
 */
#ifndef WEFT_TASK_H
#define WEFT_TASK_H

#include <stdio.h>

#include <weft/error.h>
#include <weft/scope.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef int weft_task_fn(void *arg); /* >= 0 success, < 0 an error */
typedef struct weft_task weft_task;

enum weft_on_error {
    WEFT_CANCEL_SIBLINGS, /* the first error cancels the other tasks of the group */
    WEFT_COLLECT          /* errors cancel nobody; ended tasks are kept for weft_group_next */
};

typedef struct weft_group {
    /* options, read at opening; zero them all, or use WEFT_GROUP */
    weft_duration timeout; /* deadline for all of it; 0 or WEFT_NO_LIMIT for none */
    int limit;             /* tasks alive at once; 0 for any number */
    enum weft_on_error on_error;
    bool keep_ended;   /* keep ended tasks for weft_group_next also when not collecting */
    size_t stack_size; /* of its tasks, bytes: 16 KiB to 8 MiB, rounded up to a power of two; 0 is 64 KiB */
    /* outcome */
    int result;       /* 0, or the first error; final when the group has ended */
    weft_scope scope; /* scope.expired: its own deadline struck; cancel it with weft_group_cancel */
    void *own_[17];   /* private */
} weft_group;

typedef struct weft_ended {
    size_t index; /* the how-manieth task of the group, from 0 */
    void *arg;    /* what it was started with; NULL when that was copied */
    int result;
} weft_ended;

/* Opens a group in the calling task, which must join it. The struct stays in place while open. Outside a task: misuse. */
#define weft_group_open(g) weft_group_open_((g), __FILE__, __LINE__)
WEFT_API void weft_group_open_(weft_group *g, const char *file, int line);

/* Waits until every task of the group has ended, then closes it. Never cut short. Returns g->result. */
WEFT_API int weft_group_join(weft_group *g);

/* Cancels every task of the group. Never waits; the join still does. Any task of the loop may call it; idempotent. */
WEFT_API void weft_group_cancel(weft_group *g);

/* May wait. Tells which task of the group ended next, in the order of their ends; each is told once. Only for groups that
 * collect or keep_ended (-EINVAL otherwise), and only in the task that opened the group (-EPERM); tasks of weft_spawn are not
 * told. Works in a group that has failed or was cancelled: only a reason from around the group, or from a scope opened inside
 * it, cuts it short. `arg` is borrowed. Returns 1 with *ended set, 0 when none is left, or the reason. */
WEFT_API WEFT_WAITS int weft_group_next(weft_group *g, weft_ended *ended);

/* Starts fn(arg) as a task of g; it first runs when the caller waits next. `arg` is borrowed: it must outlive the task.
 * Never waits. Returns 0; or, starting nothing: the group's reason when it has been cut short; -EAGAIN when .limit tasks are
 * alive; -ENOMEM. The latter two also make the group fail, so an ignored result is not lost. */
#define weft_go(g, fn, arg) weft_go_((g), #fn, __FILE__, __LINE__, (fn), (void *)(arg), 0)

/* The same with a copy of *value_ptr on the new task's stack, aligned to 16. At most 512 bytes: more is -E2BIG, and makes the
 * group fail. */
#define weft_go_copy(g, fn, value_ptr) weft_go_((g), #fn, __FILE__, __LINE__, (fn), (void *)(value_ptr), sizeof *(value_ptr))

/* May wait. As weft_go, but waits for a place when .limit tasks are alive, first come first served. Returns as weft_go, or
 * the reason that cut it short. A group that ends while a task that is not of it waits here is misuse, and ends the program with
 * a message. */
#define weft_go_wait(g, fn, arg) weft_go_wait_((g), #fn, __FILE__, __LINE__, (fn), (void *)(arg), 0)
#define weft_go_wait_copy(g, fn, value_ptr)                                                                                    \
    weft_go_wait_((g), #fn, __FILE__, __LINE__, (fn), (void *)(value_ptr), sizeof *(value_ptr))

#define WEFT_GO_COPY_MAX 512

WEFT_API int weft_go_(weft_group *g, const char *name, const char *file, int line, weft_task_fn *fn, void *arg,
                      size_t copy_size);
WEFT_API WEFT_WAITS int weft_go_wait_(weft_group *g, const char *name, const char *file, int line, weft_task_fn *fn, void *arg,
                                      size_t copy_size);

/* Starts fn(arg) in the innermost group: one that the calling task has opened, else the one it belongs to. *ret_task is for
 * weft_await and weft_task_cancel, valid until awaited or until that group ends. Never waits. Returns as weft_go; -EPERM
 * outside a task, which is misuse. */
#define weft_spawn(ret_task, fn, arg) weft_spawn_((ret_task), #fn, __FILE__, __LINE__, (fn), (void *)(arg))
WEFT_API WEFT_MUST int weft_spawn_(weft_task **ret_task, const char *name, const char *file, int line, weft_task_fn *fn,
                                   void *arg);

/* May wait. Waits for a spawned task to end and returns its result; the handle is then spent. If the wait is cut short it
 * returns the reason, the task goes on, and the handle stays good. -EALREADY while another task awaits it; -EDEADLK when a
 * task awaits itself, which is misuse. */
WEFT_API WEFT_WAITS int weft_await(weft_task *task);

/* Cancels one spawned task: its waits return WEFT_ECANCELED. Its end is then no error of its group. Idempotent. */
WEFT_API void weft_task_cancel(weft_task *task);

/* Runs fn(arg) as the first task of a new loop on this thread, until it and every task it spawned have ended. Returns the
 * first error of them, else what fn returned; -ENOMEM or another -errno if the loop cannot start; -EDEADLK inside a task,
 * which is misuse. */
#define weft_run(fn, arg) weft_run_((fn), (void *)(arg), __FILE__, __LINE__)
WEFT_API int weft_run_(weft_task_fn *fn, void *arg, const char *file, int line);

/* Calls fn(arg) at the end of the calling task (in a handler: of the request), also when it fails or is cancelled; the
 * latest first, after the tasks of its groups have ended, under a shield of WEFT_CLEANUP_TIME for each, so fn may wait.
 * Returns 0, or -ENOMEM: then fn will not be called; -EPERM outside a task, which is misuse. */
WEFT_API WEFT_MUST int weft_defer(void (*fn)(void *arg), void *arg);

/* The calling task, NULL outside one; and the name of a task: that of its function (NULL for NULL). Static. */
WEFT_API weft_task *weft_task_self(void);
WEFT_API const char *weft_task_name(const weft_task *task);

/* Writes the tasks of this thread's loop as a tree, groups under the task that opened them and tasks under their group: name,
 * state, age, where it was started, what it waits for and who keeps it waiting, deadlines, what it holds, and where it stands.
 * Of tasks that are alike the three oldest are written, and how many more there are; 500 in all. docs/debugging.md reads one.
 */
WEFT_API void weft_tasks_print(FILE *out);

/* Runs fn(arg) on the loop's own large stack, now, and returns when it has returned: for deep or recursive code of others
 * (JSON, TLS, printf of doubles). fn must not wait. Outside a task it is a plain call. */
WEFT_API void weft_on_loop_stack(void (*fn)(void *arg), void *arg);

/* A block that owns a group: options are named, WEFT_GROUP(g, .limit = 10) { ... }. */
#define WEFT_GROUP(...) WEFT_GROUP_(__VA_ARGS__, )
#define WEFT_GROUP_(name, ...)                                                                                                 \
    weft_group name = { .result = 0, __VA_ARGS__ };                                                                            \
    weft_group_open(&name);                                                                                                    \
    WEFT_BLOCK_(&name, NULL)

#ifdef __cplusplus
}
#endif
#endif
