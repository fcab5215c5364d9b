/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Scopes: a deadline, or a shield, around a piece of work.
 *
 *     WEFT_TIMEOUT(limit, 2 * WEFT_SECOND) {
 *         rc = fetch(&page);                   // every wait in here, however deep, is cut short after two seconds
 *     }
 *     if (limit.expired) ...                   // it was this deadline that struck, not one around it
 *
 * A scope belongs to the task that opened it, and scopes are left in the reverse order of their opening. When its deadline
 * passes, or when it is cancelled, every waiting call inside it, the present one and all later ones, returns the reason:
 * WEFT_EDEADLINE or WEFT_ECANCELED; of several scopes the outermost's. Cancelling is a return value: nothing is unwound.
 *
 * The block forms declare the scope and run the block once. `continue` leaves the block; so do `break`, `return` and `goto`.
 * A block needs braces around it after `if`. They are sugar over weft_scope_open and weft_scope_close, which serve C++ too.
 * Everything here is for the thread of the loop only.
 */
#ifndef WEFT_SCOPE_H
#define WEFT_SCOPE_H

#include <weft/time.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_scope {
    weft_duration timeout; /* in: from opening; WEFT_NO_LIMIT for none; 0 or less has expired already */
    bool shielded;         /* in: hides the reasons of scopes around it, for `timeout`; then it has expired itself */
    bool expired;          /* out: its own deadline struck, and no scope around it was cut short before */
    bool cancelled;        /* out: weft_cancel was called on it */
    void *own_[13];        /* private */
} weft_scope;

/* Opens a scope in the calling task, which must close it. The struct stays in place while open. Outside a task: misuse. */
#define weft_scope_open(s) weft_scope_open_((s), __FILE__, __LINE__)
WEFT_API void weft_scope_open_(weft_scope *s, const char *file, int line);

/* Closes the innermost scope of the calling task. Closing another one is misuse, and ends the program with a message. */
WEFT_API void weft_scope_close(weft_scope *s);

/* Cancels an open scope: every wait inside returns WEFT_ECANCELED from now on. Any task of the loop may call it; idempotent.
 * Never waits. */
WEFT_API void weft_cancel(weft_scope *s);

/* Has a scope around the calling task been cut short? For loops that compute and do not wait; looks at the clock, so that a
 * deadline counts although the loop could not run. In a thread of weft_offload: does nobody wait for it any more? Else false
 * outside a task. */
WEFT_API bool weft_cancelled(void);

/* May wait. Runs fn(arg) in the calling task within d and returns what it returns: WEFT_EDEADLINE, usually, when cut. */
WEFT_API WEFT_WAITS int weft_timeout(weft_duration d, int (*fn)(void *arg), void *arg);

/* How long a shield holds when nothing else is said, and the one under which deferred calls run. */
#define WEFT_CLEANUP_TIME (3 * WEFT_SECOND)

/* The block forms. */
struct weft_group;
typedef struct weft_block_ {
    struct weft_group *group;
    weft_scope *scope;
    int left; /* 1 once the block ran off its end */
} weft_block_;
WEFT_API void weft_block_leave_(weft_block_ *b);

#define WEFT_BLOCK_(group_ptr, scope_ptr)                                                                                      \
    for (weft_block_ WEFT_GLUE(weft_block_, __LINE__)                                                                          \
             __attribute__((cleanup(weft_block_leave_), unused)) = { (group_ptr), (scope_ptr), 0 };                            \
         !WEFT_GLUE(weft_block_, __LINE__).left; WEFT_GLUE(weft_block_, __LINE__).left = 1)

/* A block with a deadline d from now. */
#define WEFT_TIMEOUT(name, d)                                                                                                  \
    weft_scope name = { .timeout = (d) };                                                                                      \
    weft_scope_open(&name);                                                                                                    \
    WEFT_BLOCK_(NULL, &name)

/* A block in which clean-up may wait: reasons from outside are hidden for d. Only the last stage of stopping passes it. */
#define WEFT_SHIELD(name, d)                                                                                                   \
    weft_scope name = { .timeout = (d), .shielded = true };                                                                    \
    weft_scope_open(&name);                                                                                                    \
    WEFT_BLOCK_(NULL, &name)

#ifdef __cplusplus
}
#endif
#endif
