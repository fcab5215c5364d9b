/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Errors. Weft's calls return 1 for "got one", 0 for "done" or "clean end", and a negative value for "cut short or failed":
 * -errno, or one of the codes below, which no system call, and neither libuv, can return.
 *
 * A task remembers the trail of its present error: where it failed first and through which WEFT_TRY it passed. It follows
 * the error from a task into its group and out of the block of the group, and stands in the log line of whoever reports it.
 *
 *     WEFT_TRY(load(&user));                                   // hands an error up, noting this place
 *     return weft_fail(WEFT_EHTTP(404), "no user %d", id);     // starts a trail, with words
 */
#ifndef WEFT_ERROR_H
#define WEFT_ERROR_H

#include <weft/base.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    WEFT_ECANCELED = -4001,    /* cut short: a scope around this wait was cancelled */
    WEFT_EDEADLINE = -4002,    /* cut short: the deadline of a scope around this wait has passed */
    WEFT_ECLOSED = -4003,      /* the other side of this object, or the object itself, has been closed */
    WEFT_EGONE = -4004,        /* the client has gone */
    WEFT_EPROTOCOL = -4005,    /* the peer broke the protocol */
    WEFT_ETLS = -4006,         /* the peer does not speak TLS, or not as we do */
    WEFT_ECERTIFICATE = -4007, /* the peer's certificate is not trusted, or is for another name */
    WEFT_ENAME = -4008,        /* there is no address for a host's name */
};

/* An error that a request's handler returns to answer with a 4xx or 5xx of its choice; only these become a 4xx. */
#define WEFT_EHTTP(status) (-(5000 + (status)))

/* A short English text for any error that a call of Weft returns, the HTTP codes included. Never NULL; static. */
WEFT_API const char *weft_strerror(int error);

/* The trail of the calling task's present error as one line, "a.c:10: the words: Connection refused; passed b.c:20", or ""
 * when there is none. Belongs to the task; valid until its next WEFT_TRY or weft_fail that fails. "" outside a task. */
WEFT_API const char *weft_error_trail(void);

WEFT_API int weft_note_(int error, const char *file, int line);
WEFT_API int weft_fail_(const char *file, int line, int error, const char *format, ...) WEFT_PRINTF(4, 5);

/* Begins the trail of `error` (negative) here, with words (up to 160 bytes of them are kept); returns `error`. */
#define weft_fail(error, ...) weft_fail_(__FILE__, __LINE__, (error), __VA_ARGS__)

/* Returns from the calling function with the value of `expr` if that is negative, after noting file and line. Inside the
 * block of a group that has failed, where every wait returns WEFT_ECANCELED, it returns the group's error in its place, so
 * that the cause is not lost (only in the task that opened the group). `expr` is evaluated once and must fit an int. */
#define WEFT_TRY(expr)                                                                                                         \
    do {                                                                                                                       \
        int weft_rc_ = (expr);                                                                                                 \
        if (weft_rc_ < 0)                                                                                                      \
            return weft_note_(weft_rc_, __FILE__, __LINE__);                                                                   \
    } while (0)

#ifdef __cplusplus
}
#endif
#endif
