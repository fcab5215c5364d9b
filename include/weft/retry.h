/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Retry: the same again, with ever longer pauses, until it works or enough has been tried.
 *
 *     WEFT_TIMEOUT (limit, 10 * WEFT_SECOND) {             // for all of it, if there is to be a limit
 *         WEFT_RETRY (r, .tries = 5, .delay = 200 * WEFT_MILLISECOND)
 *             r.result = fetch(url, &page);                // r.attempt: 1, 2 ...
 *         rc = r.result;                                   // >= 0, or the error of the last try
 *     }
 *
 * The block says in `result` how it went: >= 0 ends the loop, and so does an error for which `retry_if` says no; `continue`
 * goes to the next try, `break` ends the loop. The two reasons, WEFT_ECANCELED and WEFT_EDEADLINE, are never tried again: to
 * try again what a deadline of its own has cut short, hand up another error in their place,
 *
 *     WEFT_TIMEOUT (each, WEFT_SECOND) {
 *         r.result = fetch(url, &page);
 *     }
 *     if (each.expired)
 *         r.result = -ETIMEDOUT;
 *
 * Between two tries it pauses for a random time from 0 to `delay`, which grows by `factor` each time up to `delay_max`; so many
 * that failed together do not come back together. In test mode the seed decides. The error that is left is that of the last
 * try, with its trail. A pause that is cut short ends the loop with the reason, and the trail tells the error of the last try.
 */
#ifndef WEFT_RETRY_H
#define WEFT_RETRY_H

#include <weft/time.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_retry {
    /* options, not changed; zero them all, or use WEFT_RETRY */
    int tries;                   /* in all; 0 is 3, and negative no limit */
    weft_duration delay;         /* the longest first pause; 0 is 100 ms, negative none */
    double factor;               /* by which it grows; 0 is 2 */
    weft_duration delay_max;     /* where it stops growing; 0 is 30 s */
    bool no_jitter;              /* pause for all of `delay`, not a random part of it */
    bool (*retry_if)(int error); /* is it worth trying again after this error? NULL: after any */
    /* outcome */
    int attempt; /* which it is, from 1 */
    int result;  /* of the present try, set by the block; 0 at its beginning */
    int error;   /* of the latest try that failed; 0 if none has */
    void *own_[4];
} weft_retry;

/* May wait. Is there to be another try? The first time there is; afterwards as `result` tells, when the pause is over. False
 * also when the pause was cut short: then `result` is the reason. */
#define weft_retry_next(r) weft_retry_next_((r), __FILE__, __LINE__)
WEFT_API WEFT_WAITS bool weft_retry_next_(weft_retry *r, const char *file, int line);

/* Declares `name` and runs the block, or statement, that follows for each try. */
#define WEFT_RETRY(...) WEFT_RETRY_(__VA_ARGS__, )
#define WEFT_RETRY_(name, ...)                                                                                                 \
    weft_retry name = { .result = 0, __VA_ARGS__ };                                                                            \
    while (weft_retry_next(&name))

#ifdef __cplusplus
}
#endif
#endif
