/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* A server for the tests of the stop: handlers that wait, that hold out, that spin. The limits that have no flag come from the
 * environment: STOPPER_FRESH, STOPPER_WEBSOCKETS, STOPPER_CANCEL, STOPPER_CLEANUP, in milliseconds. */
#include <weft.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { WORKERS_MAX = 16 };

/* Of each worker: the gate's queue is closed once it is open. */
struct mine {
    weft_loop *loop;
    weft_queue *gate;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct mine all[WORKERS_MAX]; /* under the lock; a loop and its queue are of that thread */
static atomic_int waiting;

static int worker_start(weft_app *app, void **ret_state)
{
    weft_queue *gate = weft_queue_new(1, 1);
    int rc = -ENOSPC;
    (void)app;
    if (!gate)
        return -ENOMEM;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < WORKERS_MAX && rc < 0; i++)
        if (!all[i].loop) {
            all[i] = (struct mine){ weft_loop_here(), gate };
            *ret_state = &all[i];
            rc = 0;
        }
    pthread_mutex_unlock(&lock);
    return rc;
}

static void worker_stop(weft_app *app, void *state)
{
    struct mine *mine = state;
    (void)app;
    pthread_mutex_lock(&lock);
    mine->loop = NULL;
    pthread_mutex_unlock(&lock);
    weft_queue_free(mine->gate);
    mine->gate = NULL;
}

static int hello(weft_request *req)
{
    return weft_reply_text(req, 200, "hello\n");
}

static int readyz(weft_request *req)
{
    return weft_stopping(req) ? weft_reply_text(req, 503, "stopping\n") : weft_reply_text(req, 200, "ready\n");
}

static int sleep_for(weft_request *req)
{
    WEFT_TRY(weft_sleep(strtol(weft_param(req, "ms"), NULL, 10) * WEFT_MILLISECOND));
    return weft_reply_text(req, 200, "slept\n");
}

/* Answers once the gate is open, with two thousand digits that are the request's own. */
static int wait_for_gate(weft_request *req)
{
    char digits[2001], nothing;
    const struct mine *mine = weft_worker_state(req);
    unsigned long long number = strtoull(weft_param(req, "number"), NULL, 10);
    waiting++;
    int rc = weft_queue_get(mine->gate, &nothing);
    waiting--;
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < 2000; i++)
        digits[i] = (char)('0' + (number + i) % 10);
    digits[2000] = '\0';
    return weft_reply_text(req, 200, "%llu %s\n", number, digits);
}

static void open_mine(void *arg)
{
    const struct mine *mine = arg;
    if (mine->gate)
        weft_queue_close(mine->gate);
}

/* Of all workers. */
static int open_gate(weft_request *req)
{
    int rc = 0;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < WORKERS_MAX && rc == 0; i++)
        if (all[i].loop)
            rc = weft_loop_post(all[i].loop, open_mine, &all[i]);
    pthread_mutex_unlock(&lock);
    return rc < 0 ? rc : weft_reply_text(req, 200, "open\n");
}

static int count_waiting(weft_request *req)
{
    return weft_reply_text(req, 200, "%d\n", atomic_load(&waiting));
}

/* The length of a body, and the sum of its bytes. */
static int upload(weft_request *req)
{
    char buf[4096];
    int64_t n, size = 0;
    unsigned long long sum = 0;
    waiting++;
    while ((n = weft_body_read(req, buf, sizeof buf)) > 0) {
        size += n;
        for (int64_t i = 0; i < n; i++)
            sum += (unsigned char)buf[i];
    }
    waiting--;
    if (n < 0)
        return (int)n;
    return weft_reply_text(req, 200, "%lld %llu\n", (long long)size, sum);
}

/* So many bytes that can be told from each other; they are on their way until the client has read them. */
static int download(weft_request *req)
{
    char piece[10007]; /* a prime: no two pieces lie alike in the reader's blocks */
    long long left = strtoll(weft_param(req, "size"), NULL, 10);
    for (size_t i = 0; i < sizeof piece; i++)
        piece[i] = (char)('a' + i % 26);
    WEFT_TRY(weft_reply_stream(req, 200, "text/plain", left));
    waiting++;
    int rc = 0;
    for (; rc == 0 && left > 0; left -= (long long)sizeof piece)
        rc = weft_write(req, piece, left < (long long)sizeof piece ? (size_t)left : sizeof piece);
    waiting--;
    return rc;
}

/* One chunk, and then nothing more. */
static int begin(weft_request *req)
{
    WEFT_TRY(weft_reply_stream(req, 200, "text/plain", -1));
    WEFT_TRY(weft_write(req, "begun\n", 6));
    return weft_sleep(WEFT_HOUR);
}

static int wait_forever(weft_request *req)
{
    WEFT_TRY(weft_sleep(WEFT_HOUR));
    return weft_reply_text(req, 200, "an hour\n");
}

/* Takes no notice of being cancelled. */
static int hold_out(weft_request *req)
{
    while (weft_method(req))
        (void)!weft_sleep(WEFT_SECOND);
    return 0;
}

static int spin(weft_request *req)
{
    for (volatile bool turns = true; turns;)
        turns = weft_method(req);
    return 0;
}

/* When cancelled, needs so long to clean up. */
static int clean_up(weft_request *req)
{
    long ms = strtol(weft_param(req, "ms"), NULL, 10);
    int rc = weft_sleep(WEFT_HOUR), cleaned = 0;
    WEFT_SHIELD (shield, WEFT_MINUTE) {
        cleaned = weft_sleep(ms * WEFT_MILLISECOND);
    }
    fprintf(stderr, "clean-up %s\n", cleaned == 0 ? "ended" : "was cut short");
    return rc;
}

/* Each message goes back. */
static int echo(weft_request *req)
{
    weft_ws *ws;
    weft_message msg;
    int rc;
    WEFT_TRY(weft_ws_accept(req, &ws));
    while ((rc = weft_ws_receive(ws, &msg)) > 0)
        WEFT_TRY(weft_ws_send(ws, &msg));
    return rc;
}

static weft_duration limit(const char *variable)
{
    const char *ms = getenv(variable);
    return ms ? strtol(ms, NULL, 10) * WEFT_MILLISECOND : 0;
}

int main(int argc, char **argv)
{
    weft_app *app = weft_app_new();
    if (!app)
        return 1;
    weft_app_hooks(app, .worker_start = worker_start, .worker_stop = worker_stop);
    weft_get(app, "/hello", hello);
    weft_get(app, "/readyz", readyz);
    weft_get(app, "/sleep/{ms}", sleep_for);
    weft_get(app, "/gate/{number}", wait_for_gate);
    weft_get(app, "/open", open_gate);
    weft_get(app, "/waiting", count_waiting);
    weft_post(app, "/upload", upload, .body_limit = WEFT_NO_LIMIT);
    weft_get(app, "/download/{size}", download);
    weft_get(app, "/begin", begin);
    weft_get(app, "/forever", wait_forever, .timeout = WEFT_NO_LIMIT);
    weft_get(app, "/hold-out", hold_out);
    weft_get(app, "/spin", spin);
    weft_get(app, "/echo", echo);
    weft_get(app, "/clean-up/{ms}", clean_up, .timeout = WEFT_NO_LIMIT);
    weft_app_options options = {
        .struct_size = sizeof options,
        /* Halves of uploads and of downloads, sockets and what comes last wait as long as a slow machine needs for a crowd. */
        .body_timeout = 10 * WEFT_MINUTE,
        .body_rate = 1,
        .write_timeout = 10 * WEFT_MINUTE,
        .keep_alive_timeout = 10 * WEFT_MINUTE,
        .websocket_ping_every = 10 * WEFT_MINUTE,
        .websocket_dead_after = 20 * WEFT_MINUTE,
        .fresh_connection = limit("STOPPER_FRESH"),
        .websocket_drain = limit("STOPPER_WEBSOCKETS"),
        .cancel = limit("STOPPER_CANCEL"),
        .cleanup = limit("STOPPER_CLEANUP"),
    };
    return weft_app_configure(app, &options) < 0 ? 1 : weft_app_main(app, argc, argv);
}
