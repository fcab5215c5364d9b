/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Asks another thread where it is, by a signal: SIGURG, which by default does nothing. */
#ifndef WEFT_LIB_TASK_SAMPLE_H
#define WEFT_LIB_TASK_SAMPLE_H

#include "lib/task/watchdog.h"

/* This thread can be asked from now on, until weft_sample_close. It has a signal stack (lib/coro/overflow.h). */
void weft_sample_open(struct weft_sample *sample);
void weft_sample_close(void);

/* From another thread: fills in where that one is now. The count of addresses; 0 if it does not answer in time. */
size_t weft_sample_take(struct weft_sample *sample, pthread_t thread);

#endif
