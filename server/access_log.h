/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The access log: a record of each request at its end, and of each refusal of what never became one.
 *
 *     common     127.0.0.1 - - [10/Oct/2025:13:55:36 +0000] "GET /hello/World HTTP/1.1" 200 13 84 -
 *     combined   127.0.0.1 - - [10/Oct/2025:13:55:36 +0000] "GET /hello/World HTTP/1.1" 200 13 "http://x/" "curl/8.0" 84 -
 *     json       {"time":"2025-10-10T13:55:36.042Z","client":"127.0.0.1","method":"GET","target":"/hello/World",
 *                 "version":"HTTP/1.1","status":200,"bytes":13,"duration_us":84,"referer":"http://x/",
 *                 "user_agent":"curl/8.0","route":"/hello/{name}"}                                        (on one line)
 *
 * The first two are the formats that tools know, with two fields behind them. The fields: the client's address without its
 * port ("unix", "memory" where there is none); the time (UTC) of the record, which is the request's end; the first line as it
 * came; the status (of a reply that was begun); bytes of the body handed to the client's connection; microseconds from the
 * whole head to the end of the request; how it ended: "-" for well, "gone" when the client had left, "cut" when the server
 * broke the connection off. What is not known is "-"; in JSON its member is left out. A first line that is not of three words
 * is the JSON member "request" in place of the three.
 *
 * No bytes of a client can forge a record or a field. In common and combined, '"', '\\', control bytes and bytes above 0x7e are
 * written \xNN. JSON has its own escapes; bytes that are no UTF-8 become the text "\xNN" there, and a line is always valid
 * UTF-8. What is longer than 2,048 bytes (the line) or 600 (each other field) after that is cut, and "..." put behind it.
 *
 * Everything here runs on the loop's thread and never waits; access_writer.h carries the records on. A server without an access
 * log has no weft_access_log: then a request costs two branches.
 */
#ifndef WEFT_SERVER_ACCESS_LOG_H
#define WEFT_SERVER_ACCESS_LOG_H

#include <weft/app.h>

#include "lib/task/loop.h"
#include "server/access_writer.h"

enum { WEFT_ACCESS_RECORD_MAX = 4096 }; /* bytes of a record with its newline */

struct weft_connection;

typedef struct weft_access_log weft_access_log;

/* What a record is made of. Texts need not end in NUL; data NULL is unknown. */
struct weft_access_record {
    int64_t time;           /* nanoseconds since 1970 */
    const char *client;     /* NULL: unknown */
    weft_bytes line;        /* the first line as it came, without its end */
    int status;             /* 0: none was sent */
    int64_t body_size;      /* bytes */
    weft_duration duration; /* < 0: unknown */
    const char *referer, *user_agent, *route;
    const char *end; /* NULL: well */
};

/* The date of a second as the formats write it. */
struct weft_access_stamp {
    int64_t second; /* since 1970 */
    char common[27], json[20];
};

/* Writes the texts of a second. Years beyond 9999 are written as 9999. */
void weft_access_stamp_set(struct weft_access_stamp *stamp, int64_t second);

/* Makes a record with its newline; its size. The stamp is that of record->time's second. */
size_t weft_access_format(char line[WEFT_ACCESS_RECORD_MAX], enum weft_access_log_format format,
                          const struct weft_access_stamp *stamp, const struct weft_access_record *record);

/* Starts the writer that the app's settings ask for, with a ring for each of `loop_count` loops. 0 (*ret_writer is NULL if the
 * log is off), or -errno after a logged line. */
int weft_access_log_start(weft_access_writer **ret_writer, const weft_app *app, size_t loop_count);

/* Writes what is left (at most a second is spent on it), ends the writer and says what it did. After the loops that log to it
 * have closed their servers. NULL is fine. */
void weft_access_log_stop(weft_access_writer *writer);

/* The log of one loop, over the n-th ring. NULL when memory is out. */
weft_access_log *weft_access_log_new(weft_access_writer *writer, size_t n, weft_loop *loop, enum weft_access_log_format format);
void weft_access_log_free(weft_access_log *log);

/* ---- for connections; `log` is not NULL ---- */

/* It is open: notes its peer's address. */
void weft_access_log_connected(weft_access_log *log, struct weft_connection *c);

/* A whole head has come, and is not parsed yet: notes the time and the first line, in the arena. */
void weft_access_log_begin(weft_access_log *log, weft_request *req, const char *head, size_t size);

/* The same when the request is a copy of an earlier one, with its first line. */
void weft_access_log_begin_again(weft_access_log *log, weft_request *req);

/* The request has ended: its record. */
void weft_access_log_end(weft_access_log *log, const weft_request *req);

/* A refusal, with a body of body_size, of the bytes `input`, which never became a request: its record. */
void weft_access_log_refusal(weft_access_log *log, const struct weft_connection *c, int status, size_t body_size,
                             weft_bytes input);

#endif
