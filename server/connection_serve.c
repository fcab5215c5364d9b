/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The tasks that serve connections. One is entered from the read callback when a head is complete; it goes on with the requests
 * behind it, and when there is none, the connection keeps no task.
 *
 * The task itself stays warm, if it is as it was when it began and few are so: parked, in the server's list, for the next
 * request of any connection. That spares most of what beginning and retiring one costs.
 * A warm task is of the requests' group as any other: what cancels that wakes and ends it.
 */
#include "lib/base/check.h"
#include "server/connection_own.h"
#include "server/request.h"

enum { WARM_TASKS_MAX = 8 };

/* On the stack of a task that waits for work. */
struct warm {
    weft_wait wait;
    weft_list link; /* in the server's list, the latest first */
    weft_server *server;
    weft_connection *work;
};

struct next {
    weft_connection *c;
    weft_request *req;
};

static void finish_and_take_next(void *arg)
{
    struct next *next = arg;
    weft_connection_after_reply(next->c, next->c->request);
    next->req = weft_connection_next(next->c);
}

static size_t stack_size(const weft_request *req)
{
    return req->route->stack_size ? req->route->stack_size : WEFT_STACK_DEFAULT;
}

static void run(struct next *next)
{
    weft_request_run(next->req);
    weft_on_loop_stack(finish_and_take_next, next);
}

/* The request of a socket, which may stay for hours, lies here: 700 bytes of a page that its task needs anyway. */
static __attribute__((noinline)) void run_here(struct next *next)
{
    weft_request here;
    weft_request_move(next->req, &here);
    next->req = &here;
    run(next);
}

/* Serves c's present request, and those behind it that are there and fit this stack. c may be gone afterwards. */
static void serve_all(weft_task *t, weft_connection *c)
{
    struct next next = { c, c->request };
    size_t size = stack_size(next.req);
    while (next.req && stack_size(next.req) == size) {
        const weft_route_target *route = next.req->route;
        weft_loop_beat_begin(c->server->loop); /* each request has the time of a stall for itself */
        weft_task_describe(t, t->name, route->label, route->file, route->line);
        if (UNLIKELY(next.req->head.wants_upgrade))
            run_here(&next);
        else
            run(&next);
    }
    c->task = NULL;
    if (next.req)
        weft_callback_soon(c->server->loop, &c->again);
    weft_connection_free_if_unused(c);
}

/* ---- warm tasks ---- */

static void withdraw_warm(weft_wait *wait)
{
    struct warm *warm = CONTAINER_OF(wait, struct warm, wait);
    weft_list_unlink(&warm->link);
    warm->server->warm_count--;
}

/* Waits for work: a connection with a request; NULL if the task is to end. */
static weft_connection *await_work(weft_task *t, weft_server *server)
{
    if (server->warm_count == WARM_TASKS_MAX || !weft_task_is_as_new(t))
        return NULL;
    struct warm warm = { .wait = WEFT_WAIT("next request", NULL, withdraw_warm), .server = server };
    weft_task_describe(t, t->name, NULL, t->file, t->line);
    if (UNLIKELY(t->trail)) {
        weft_trail_free(t->trail);
        t->trail = NULL;
    }
    weft_list_prepend(&server->warm, &warm.link);
    server->warm_count++;
    return weft_wait_park(&warm.wait) < 0 ? NULL : warm.work;
}

static int serve(void *arg)
{
    weft_connection *c = arg;
    weft_task *t = c->task;
    weft_server *server = c->server;
    size_t size = stack_size(c->request);
    do
        serve_all(t, c);
    while (size == WEFT_STACK_DEFAULT && (c = await_work(t, server)));
    return 0;
}

/* Has a warm task serve it, if there is one. */
static bool serve_warmly(weft_connection *c)
{
    weft_server *server = c->server;
    if (server->warm_count == 0 || stack_size(c->request) != WEFT_STACK_DEFAULT)
        return false;
    struct warm *warm = CONTAINER_OF(server->warm.next, struct warm, link);
    warm->work = c;
    c->task = warm->wait.task;
    c->task->started = weft_loop_now(server->loop);
    weft_wait_settle_and_enter(&warm->wait, 0); /* c may be gone afterwards, if its transport was */
    return true;
}

static void start_serving(weft_connection *c)
{
    weft_request *req = c->request;
    if (LIKELY(serve_warmly(c)))
        return;
    struct weft_task_spec spec = {
        .fn = serve,
        .arg = c,
        .stack_size = req->route->stack_size,
        .name = "request",
        .file = req->route->file,
        .line = req->route->line,
        .enters_now = true,
    };
    if (weft_task_start(&c->server->requests, &spec, &c->task) < 0) {
        c->must_close = true;
        weft_connection_blame(c, WEFT_END_NO_MEMORY);
        weft_reply_error(req, 503, "no memory for a task");
        weft_connection_after_reply(c, req);
        weft_connection_free_if_unused(c);
        return;
    }
    weft_task_enter(c->task); /* as above */
}

/* ---- who asks for it ---- */

void weft_connection_serve_again(weft_callback *callback)
{
    weft_connection *c = CONTAINER_OF(callback, weft_connection, again);
    if (c->state == WEFT_CONNECTION_HANDLING) {
        start_serving(c);
        return;
    }
    weft_connection_end_request(c->request); /* the connection was closed meanwhile */
    c->request = NULL;
    weft_connection_free_if_unused(c);
}

void weft_connection_go_on(weft_connection *c)
{
    if (!c->task && !c->request && weft_connection_next(c))
        start_serving(c);
}
