/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Blocks that hold something: WEFT_LOCKED (weft/lock.h), WEFT_PLACE (weft/semaphore.h), WEFT_POOLED (weft/pool.h), and
 * WEFT_WITH for anything that has a call to acquire and one to release it.
 *
 *     WEFT_LOCKED (held, &lock) {
 *         ...                                  // runs once, and only if the lock was acquired
 *     }
 *     WEFT_TRY(held.result);                   // 0, or the reason that cut the acquiring short: then the block was skipped
 *
 * What is held is released when the block is left, however that happens: off its end, by `break` or `continue`, by `return`,
 * WEFT_TRY or `goto`. A block needs braces around it after `if`.
 */
#ifndef WEFT_HELD_H
#define WEFT_HELD_H

#include <weft/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_held {
    int result; /* out: 0 the block has run; < 0 it was skipped, and this is why */
    bool left_; /* the block ran off its end */
    bool is_shielded_;
    void *object_;
    void (*release_)(void *object);
} weft_held;

WEFT_API void weft_held_leave_(weft_held **held);

/* May wait, if `acquire` or `release` does. A block that has what the expression `acquire` got; skipped if that is negative.
 * Leaving it calls release(object) under a shield of WEFT_CLEANUP_TIME, so that it may wait also after a cancellation.
 *     WEFT_WITH (held, connection_open(&c, url), connection_close, &c) { ... }         // void connection_close(void *c) */
#define WEFT_WITH(name, acquire, release, object) WEFT_HELD_(name, weft_with_((acquire), (release), (object)))

static inline weft_held weft_with_(int result, void (*release)(void *object), void *object)
{
    weft_held held = { 0, false, true, NULL, NULL };
    held.result = result < 0 ? result : 0;
    held.object_ = object;
    held.release_ = release;
    return held;
}

#define WEFT_HELD_(name, enter)                                                                                                \
    weft_held name = (enter);                                                                                                  \
    for (weft_held * WEFT_GLUE(weft_held_, __LINE__) __attribute__((cleanup(weft_held_leave_), unused)) = &name;               \
         name.result == 0 && !name.left_; name.left_ = true)

#ifdef __cplusplus
}
#endif
#endif
