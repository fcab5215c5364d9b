/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The inside of debug mode: what is made and not given back, and mistakes that can only be seen at the end of something.
 *
 * Whoever makes an object says so, with the place, and says when it is given back. The object itself is never looked at again:
 * one whose memory was given back unclosed is a leak to report, not a danger. Outside debug mode a call costs one look at the
 * loop.
 */
#ifndef WEFT_LIB_TASK_DEBUG_H
#define WEFT_LIB_TASK_DEBUG_H

#include "lib/base/check.h"
#include "lib/task/task.h"

/* For options: is debug mode asked for by the environment, WEFT_DEBUG=1? */
bool weft_debug_is_asked_for(void);

/* NULL when memory is out: then the loop is not in debug mode. */
struct weft_debug *weft_debug_open(void);
void weft_debug_close(struct weft_debug *debug);

/* Reports what has been made on this loop and is still there. */
void weft_debug_report(weft_loop *loop);

/* How many mistakes have been reported so far. */
size_t weft_debug_mistakes(const struct weft_debug *debug);

/* `what` is "a queue"; static, as `file` is. */
void weft_debug_add(struct weft_debug *debug, const void *object, const char *what, const char *file, int line);
void weft_debug_remove(struct weft_debug *debug, const void *object);

/* Where an object was made, which is in the making or there: false if that is not known. */
bool weft_debug_find(const void *object, const char **ret_file, int *ret_line);

static inline void weft_debug_made(const void *object, const char *what, const char *file, int line)
{
    const weft_loop *loop = weft_here;
    if (UNLIKELY(loop && loop->debug))
        weft_debug_add(loop->debug, object, what, file, line);
}

static inline void weft_debug_gone(const void *object)
{
    const weft_loop *loop = weft_here;
    if (UNLIKELY(loop && loop->debug))
        weft_debug_remove(loop->debug, object);
}

/* Reports a mistake with the place that it is about; more of the same kind (`words`, static) and place are counted. */
void weft_debug_mistake(const char *words, const char *name, const char *file, int line, const char *more);

/* A task of a group that ends has ended, and nobody has asked how. */
void weft_debug_check_read(const weft_task *t);

#endif
