/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Logging: one line a record, with time (UTC), level and the name of the task, to standard error unless told otherwise.
 *
 *     2026-11-25T22:10:00.123Z warning [import] row 7 has no name
 *     {"time":"2026-11-25T22:10:00.123Z","level":"warning","task":"import","message":"row 7 has no name"}
 *
 * The level and the sink belong to the loop of the calling thread. A line longer than 1,000 bytes is cut; control bytes are
 * shown as \xNN, so that no text from a peer can forge a line. Formatting is done on the loop's stack: a task that logs
 * needs no deeper stack for it.
 */
#ifndef WEFT_LOG_H
#define WEFT_LOG_H

#include <weft/base.h>

#ifdef __cplusplus
extern "C" {
#endif

enum weft_log_level { WEFT_LOG_ERROR, WEFT_LOG_WARNING, WEFT_LOG_INFO, WEFT_LOG_DEBUG };

/* Writes a record if `level` is at or above the loop's level. Never waits, never fails, keeps errno. */
WEFT_API void weft_log(enum weft_log_level level, const char *format, ...) WEFT_PRINTF(2, 3);

/* The least important level that this thread's loop writes (WEFT_LOG_INFO at first). Nothing outside a loop. */
WEFT_API void weft_log_set_level(enum weft_log_level level);

/* How this thread's loop writes its records. In JSON a record is an object, without "task" outside a task; bytes that are no
 * UTF-8 are shown as U+FFFD. */
enum weft_log_format { WEFT_LOG_TEXT, WEFT_LOG_JSON };
WEFT_API void weft_log_set_format(enum weft_log_format format);

/* Where this thread's loop writes its records: `line` is one whole record without its newline. NULL is standard error. */
typedef void weft_log_sink(void *context, enum weft_log_level level, const char *line, size_t size);
WEFT_API void weft_log_set_sink(weft_log_sink *sink, void *context);

#ifdef __cplusplus
}
#endif
#endif
