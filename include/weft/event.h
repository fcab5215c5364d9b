/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * An event: a flag that tasks wait for. While it is set, nobody waits.
 *
 * It is embedded in its owner, and is for the tasks of one loop: weft_event_init, then any calls, then weft_event_close.
 */
#ifndef WEFT_EVENT_H
#define WEFT_EVENT_H

#include <weft/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_event {
    void *own_[4]; /* private */
} weft_event;

/* A new event is not set. Never fails; allocates nothing. */
#define weft_event_init(e) weft_event_init_((e), __FILE__, __LINE__)
WEFT_API void weft_event_init_(weft_event *e, const char *file, int line);

/* The end of it. Closing an event on which a task waits is misuse, and ends the program with a message. */
WEFT_API void weft_event_close(weft_event *e);

/* Sets it, and wakes every task that waits for it. Never waits; may be called outside a task, on the loop's thread. */
WEFT_API void weft_event_set(weft_event *e);

/* Those who wait from now on wait for the next weft_event_set; those who were woken are not concerned. Never waits. */
WEFT_API void weft_event_clear(weft_event *e);

WEFT_API bool weft_event_is_set(const weft_event *e);

/* May wait. Waits until it is set. 0, although it may have been cleared since; or the reason. */
WEFT_API WEFT_WAITS int weft_event_wait(weft_event *e);

#ifdef __cplusplus
}
#endif
#endif
