/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Reports for people: the tasks of a loop as a tree (weft_tasks_print), and who waits for whom in a circle.
 *
 * They are made on the loop's thread, of tasks that do not run meanwhile (the one that asks aside), and change nothing.
 */
#ifndef WEFT_LIB_TASK_REPORT_H
#define WEFT_LIB_TASK_REPORT_H

#include "lib/task/task.h"

/* A time in milliseconds between words: ", 1.500 s left". */
void weft_report_seconds(FILE *out, const char *before, int64_t milliseconds, const char *after);

/* All tasks of this loop, with the line `head` before them if it is not NULL, to standard error: those of
 * another thread do not come in between. */
void weft_tasks_tell(const char *head);

/* Writes the tasks of which each waits for the next one, and the last for the first; nothing if there are none. */
void weft_report_cycle(weft_loop *loop, FILE *out);

#endif
