/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Locks, and conditions under a lock.
 *
 *     WEFT_LOCKED (held, &account.lock) {
 *         while (account.balance < amount)
 *             WEFT_TRY(weft_condition_wait(&account.changed));
 *         account.balance -= amount;
 *     }
 *     WEFT_TRY(held.result);
 *
 * Tasks of one loop run one at a time, so a lock is needed only around work that waits in its middle. It belongs to the task
 * that has acquired it, which alone may release it, and must do so before it ends. It is given first come, first served.
 *
 * A condition belongs to a lock. Waiting for it releases the lock and acquires it again before returning, also when the wait
 * was cut short: whoever holds the lock before weft_condition_wait holds it afterwards, whatever it returned. What is waited
 * for may have changed again by then, hence the loop.
 *
 * Both are embedded in their owner: _init, then any calls, then _close (the condition before its lock).
 */
#ifndef WEFT_LOCK_H
#define WEFT_LOCK_H

#include <weft/held.h>
#include <weft/task.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_lock {
    void *own_[8]; /* private */
} weft_lock;

/* A new lock is free. Never fails; allocates nothing. */
#define weft_lock_init(l) weft_lock_init_((l), __FILE__, __LINE__)
WEFT_API void weft_lock_init_(weft_lock *l, const char *file, int line);

/* The end of it. Closing a lock that is held, or waited for, is misuse, and ends the program with a message. */
WEFT_API void weft_lock_close(weft_lock *l);

/* May wait. Acquires it. 0; the reason, and then it was not acquired; -EDEADLK if the calling task has it already, which is
 * misuse. */
WEFT_API WEFT_WAITS int weft_lock_acquire(weft_lock *l);

/* The same without waiting, in a task: 0, or -EAGAIN when any task has it. */
WEFT_API WEFT_MUST int weft_lock_try_acquire(weft_lock *l);

/* Hands it to the longest waiting task, or frees it. Never waits. Releasing a lock that the calling task has not is misuse:
 * reported, and nothing is released. A lock that its task still has when it ends is reported, and released then. */
WEFT_API void weft_lock_release(weft_lock *l);

/* The task that has it; NULL when it is free. */
WEFT_API weft_task *weft_lock_owner(const weft_lock *l);

/* May wait. A block that has *lock_ptr, or is skipped (weft/held.h). */
#define WEFT_LOCKED(name, lock_ptr) WEFT_HELD_(name, weft_lock_enter_(lock_ptr))
WEFT_API WEFT_WAITS weft_held weft_lock_enter_(weft_lock *l);

typedef struct weft_condition {
    void *own_[4]; /* private */
} weft_condition;

/* A condition under *lock, which must outlive it. Never fails; allocates nothing. */
#define weft_condition_init(c, lock) weft_condition_init_((c), (lock), __FILE__, __LINE__)
WEFT_API void weft_condition_init_(weft_condition *c, weft_lock *lock, const char *file, int line);

/* The end of it. Closing a condition on which a task waits is misuse, and ends the program with a message. */
WEFT_API void weft_condition_close(weft_condition *c);

/* May wait. Releases the lock, waits for a signal, and acquires the lock again; that last part is never cut short. 0 after a
 * signal, or the reason; in both cases the calling task has the lock. -EPERM if it had not before, which is misuse. */
WEFT_API WEFT_WAITS int weft_condition_wait(weft_condition *c);

/* Wakes the task that has waited longest, or all of them; each goes on once it has got the lock, in the order in which they
 * came. Without a waiting task it does nothing. The caller need not have the lock. Never waits. */
WEFT_API void weft_condition_signal(weft_condition *c);
WEFT_API void weft_condition_broadcast(weft_condition *c);

#ifdef __cplusplus
}
#endif
#endif
