/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* A warm task serves one request after the other, of any connection: of what a handler did nothing may be left for the next. */
#include "harness.h"

#include "lib/base/memory.h"
#include "lib/task/task.h"

/* What the handlers tell the tests. */
static _Thread_local struct seen {
    weft_task *task;
    int deferred;
    weft_lock *lock;
    int locked;
    weft_duration age;
} seen;

static int myself(weft_request *req)
{
    seen.task = weft_task_self();
    seen.age = weft_now() - seen.task->started;
    return weft_reply_text(req, 200, "front");
}

static void count_deferred(void *arg)
{
    (void)arg;
    seen.deferred++;
}

static int defers(weft_request *req)
{
    seen.task = weft_task_self();
    WEFT_TRY(weft_defer(count_deferred, NULL));
    return weft_reply_text(req, 200, "front");
}

static int keeps_lock(weft_request *req)
{
    seen.task = weft_task_self();
    WEFT_TRY(weft_lock_acquire(seen.lock));
    seen.locked++;
    return weft_reply_text(req, 200, "front");
}

static int cancels_itself(weft_request *req)
{
    seen.task = weft_task_self();
    weft_task_cancel(seen.task);
    return weft_reply_text(req, 200, "front");
}

static int fails(weft_request *req)
{
    (void)req;
    seen.task = weft_task_self();
    return weft_fail(-EIO, "the first one's words");
}

static int fails_plainly(weft_request *req)
{
    (void)req;
    seen.task = weft_task_self();
    return -ENOENT;
}

static int naps(weft_request *req)
{
    seen.task = weft_task_self();
    WEFT_TRY(weft_sleep(100 * MS));
    return weft_reply_text(req, 200, "front");
}

static int streams(weft_request *req)
{
    seen.task = weft_task_self();
    WEFT_TRY(weft_reply_stream(req, 200, "text/plain; charset=utf-8", 5));
    WEFT_TRY(weft_sleep(10 * MS));
    return weft_write(req, "front", 5);
}

static int sits(weft_request *req)
{
    weft_ws *ws;
    weft_message message;
    seen.task = weft_task_self();
    WEFT_TRY(weft_ws_accept(req, &ws));
    return weft_ws_receive(ws, &message);
}

static weft_app *make_app(void)
{
    weft_app *app = harness_app();
    seen = (struct seen){ 0 };
    weft_get(app, "/me", myself);
    weft_get(app, "/me/deep", myself, .stack_size = 256 * 1024);
    weft_get(app, "/me/quick", myself, .timeout = 50 * MS);
    weft_get(app, "/defer", defers);
    weft_get(app, "/lock", keeps_lock);
    weft_get(app, "/cancel", cancels_itself);
    weft_get(app, "/fail", fails);
    weft_get(app, "/fail/plainly", fails_plainly);
    weft_get(app, "/nap", naps);
    weft_get(app, "/stream", streams);
    weft_get(app, "/ws", sits);
    return app;
}

static void pass(weft_duration d)
{
    WEFT_CHECK(weft_sleep(d) == 0);
}

/* Sends a request that is answered at once with FRONT; returns the task that served it. */
static weft_task *get_front(client *c, const char *path)
{
    char text[200];
    int size = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path);
    seen.task = NULL;
    client_forget(c);
    client_send(c, text, (size_t)size);
    settle();
    CHECK_GOT(c, FRONT);
    return seen.task;
}

static weft_server *begin(weft_app **ret_app, client *clients, int count)
{
    *ret_app = make_app();
    weft_server *server = harness_open(*ret_app);
    for (int i = 0; i < count; i++)
        WEFT_CHECK(client_open(&clients[i], server, 4096) == 0);
    return server;
}

static int finish(weft_app *app, weft_server *server, client *clients, int count)
{
    for (int i = 0; i < count; i++)
        client_close(&clients[i], false);
    harness_close(server);
    weft_app_free(app);
    return 0;
}

/* ---- who serves ---- */

static int one_task_serves_all_that_come_in_turn(void)
{
    weft_app *app;
    client c[2];
    weft_server *server = begin(&app, c, 2);
    weft_task *task = get_front(&c[0], "/me");
    WEFT_CHECK(task && server->warm_count == 1 && task->state == WEFT_TASK_PARKED && !task->label);
    WEFT_CHECK(!c[0].connection->task);
    pass(WEFT_SECOND);
    WEFT_CHECK(get_front(&c[1], "/me") == task && server->warm_count == 1);
    WEFT_CHECK(seen.age < WEFT_SECOND); /* the reports say how old the request is */
    WEFT_CHECK(get_front(&c[0], "/me") == task);
    for (int i = 0; i < 2; i++)
        client_forget(&c[i]);
    client_send(&c[1], TEXT(GET("/me") GET("/me")));
    settle();
    CHECK_GOT(&c[1], FRONT FRONT);
    WEFT_CHECK(seen.task == task && server->warm_count == 1);
    return finish(app, server, c, 2);
}

static int a_larger_stack_is_not_kept(void)
{
    weft_app *app;
    client c;
    weft_server *server = begin(&app, &c, 1);
    weft_task *task = get_front(&c, "/me");
    WEFT_CHECK(weft_stack_size(task->coro.stack) == WEFT_STACK_DEFAULT);
    get_front(&c, "/me/deep");
    WEFT_CHECK(seen.task != task && server->warm_count == 1);
    WEFT_CHECK(get_front(&c, "/me") == task);
    return finish(app, server, &c, 1);
}

static int few_are_kept(void)
{
    enum { MANY = 30 };
    weft_app *app;
    static client c[MANY];
    weft_server *server = begin(&app, c, MANY);
    for (int i = 0; i < MANY; i++)
        client_send(&c[i], TEXT(GET("/nap")));
    settle();
    WEFT_CHECK(server->warm_count == 0 && weft_group_own(&server->requests)->count == MANY);
    pass(WEFT_SECOND);
    for (int i = 0; i < MANY; i++)
        CHECK_GOT(&c[i], FRONT);
    WEFT_CHECK(server->warm_count == 8 && weft_group_own(&server->requests)->count == 8);
    return finish(app, server, c, MANY);
}

/* ---- nothing is left ---- */

static int a_deadline_ends_with_its_request(void)
{
    weft_app *app;
    client c;
    weft_server *server = begin(&app, &c, 1);
    weft_task *task = get_front(&c, "/me/quick");
    client_forget(&c);
    client_send(&c, TEXT(GET("/nap")));
    pass(200 * MS);
    CHECK_GOT(&c, FRONT);
    WEFT_CHECK(seen.task == task);
    return finish(app, server, &c, 1);
}

static int deferred_calls_run_before_the_next_request(void)
{
    weft_app *app;
    client c;
    weft_server *server = begin(&app, &c, 1);
    weft_task *task = get_front(&c, "/defer");
    WEFT_CHECK(seen.deferred == 1 && !task->deferred && server->warm_count == 1);
    WEFT_CHECK(get_front(&c, "/me") == task && seen.deferred == 1);
    return finish(app, server, &c, 1);
}

#ifndef WEFT_DEBUG /* with the checks it is misuse, which ends the program */
static int who_keeps_a_lock_ends(void)
{
    weft_app *app;
    client c;
    weft_server *server = begin(&app, &c, 1);
    weft_lock lock;
    weft_lock_init(&lock);
    seen.lock = &lock;
    get_front(&c, "/lock");
    WEFT_CHECK(server->warm_count == 0 && weft_group_own(&server->requests)->count == 0);
    WEFT_CHECK(strstr(harness_log, "still held at the end of its task"));
    get_front(&c, "/lock");
    WEFT_CHECK(seen.locked == 2);
    return finish(app, server, &c, 1);
}
#endif

static int who_was_cancelled_ends(void)
{
    weft_app *app;
    client c;
    weft_server *server = begin(&app, &c, 1);
    get_front(&c, "/cancel");
    WEFT_CHECK(server->warm_count == 0);
    weft_task *task = get_front(&c, "/me");
    WEFT_CHECK(server->warm_count == 1);
    weft_task_cancel(task); /* by who has kept its pointer */
    settle();
    WEFT_CHECK(server->warm_count == 0 && weft_group_own(&server->requests)->count == 0);
    client_forget(&c);
    client_send(&c, TEXT(GET("/nap")));
    pass(200 * MS);
    CHECK_GOT(&c, FRONT);
    return finish(app, server, &c, 1);
}

static int words_of_a_failure_are_not_the_next_ones(void)
{
    weft_app *app;
    client c;
    weft_server *server = begin(&app, &c, 1);
    client_send(&c, TEXT(GET("/fail")));
    settle();
    weft_task *task = seen.task;
    char *first = strstr(harness_log, "the first one's words");
    WEFT_CHECK(client_got_one(&c, 500) && first && server->warm_count == 1 && !task->trail);
    client_forget(&c);
    client_send(&c, TEXT(GET("/fail/plainly")));
    settle();
    WEFT_CHECK(client_got_one(&c, 500) && seen.task == task);
    WEFT_CHECK(first && !strstr(first + 1, "the first one's words") && strstr(harness_log, "/fail/plainly: "));
    return finish(app, server, &c, 1);
}

static int a_client_that_left_is_not_the_next_ones(void)
{
    weft_app *app;
    client c[2];
    weft_server *server = begin(&app, c, 2);
    weft_task *task = get_front(&c[0], "/me");
    client_send(&c[0], TEXT(GET("/nap")));
    settle();
    client_close(&c[0], true);
    settle();
    WEFT_CHECK(seen.task == task && server->warm_count == 1 && server->connection_count == 1);
    client_send(&c[1], TEXT(GET("/nap")));
    pass(200 * MS);
    CHECK_GOT(&c[1], FRONT);
    WEFT_CHECK(seen.task == task);
    client_forget(&c[1]);
    client_send(&c[1], TEXT(GET("/stream")));
    pass(200 * MS);
    CHECK_GOT(&c[1], FRONT);
    WEFT_CHECK(seen.task == task);
    return finish(app, server, c + 1, 1);
}

/* A socket keeps the task as long as its handler runs; then that is warm again. */
static int a_socket_is_served_by_a_warm_task(void)
{
    weft_app *app;
    client c[2];
    weft_server *server = begin(&app, c, 2);
    weft_task *task = get_front(&c[0], "/me");
    client_send(&c[1], TEXT("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"));
    settle();
    WEFT_CHECK(seen.task == task);
    bool is_upgraded = c[1].got && strncmp(c[1].got, "HTTP/1.1 101 ", 13) == 0;
    WEFT_CHECK(is_upgraded || client_got_one(&c[1], 501)); /* where Weft is built without them */
    weft_task *other = get_front(&c[0], "/me");
    WEFT_CHECK((other == task) == !is_upgraded && server->warm_count == 1);
    client_close(&c[1], true);
    settle();
    WEFT_CHECK(server->warm_count == (is_upgraded ? 2 : 1));
    WEFT_CHECK(get_front(&c[0], "/me") == task); /* the latest first */
    return finish(app, server, c, 1);
}

/* ---- stopping, and memory ---- */

static int cancelling_the_requests_ends_warm_tasks(void)
{
    weft_app *app;
    client c;
    weft_server *server = begin(&app, &c, 1);
    get_front(&c, "/me");
    WEFT_CHECK(server->warm_count == 1);
    weft_server_drain(server);
    settle();
    WEFT_CHECK(server->warm_count == 1); /* others may have a request yet */
    weft_server_cancel(server);
    settle();
    WEFT_CHECK(server->warm_count == 0 && weft_group_own(&server->requests)->count == 0);
    pass(3 * WEFT_SECOND);
    return finish(app, server, &c, 1);
}

/* After the cancel requests are begun in a group that has a reason: none of their tasks waits for more work. */
static int a_last_request_leaves_no_warm_task(void)
{
    weft_app *app;
    client c;
    weft_server *server = begin(&app, &c, 1);
    weft_group_cancel(&server->requests);
    weft_task *task = get_front(&c, "/me");
    WEFT_CHECK(task && server->warm_count == 0 && weft_group_own(&server->requests)->count == 0);
    return finish(app, server, &c, 1);
}

static int a_server_closes_over_warm_tasks(void)
{
    weft_app *app;
    client c;
    weft_server *server = begin(&app, &c, 1);
    get_front(&c, "/me");
    client_send(&c, TEXT(GET("/nap")));
    settle();
    harness_close_now(server);
    client_close(&c, false);
    weft_app_free(app);
    return 0;
}

/* A warm task needs no memory to go on. */
static int warm_tasks_need_no_memory(void)
{
    weft_app *app;
    client c;
    weft_server *server = begin(&app, &c, 1);
    weft_task *task = get_front(&c, "/me");
    weft_faults faults = { .fail_at = 1, .fail_after = true };
    client_forget(&c);
    client_send(&c, TEXT(GET("/me")));
    weft_mem_set_faults(&faults);
    settle();
    weft_mem_set_faults(NULL);
    CHECK_GOT(&c, FRONT);
    WEFT_CHECK(seen.task == task);
    return finish(app, server, &c, 1);
}

static const weft_test tests[] = {
    TEST(one_task_serves_all_that_come_in_turn),
    TEST(a_larger_stack_is_not_kept),
    TEST(few_are_kept),
    TEST(a_deadline_ends_with_its_request),
    TEST(deferred_calls_run_before_the_next_request),
#ifndef WEFT_DEBUG
    TEST(who_keeps_a_lock_ends),
#endif
    TEST(who_was_cancelled_ends),
    TEST(words_of_a_failure_are_not_the_next_ones),
    TEST(a_client_that_left_is_not_the_next_ones),
    TEST(a_socket_is_served_by_a_warm_task),
    TEST(cancelling_the_requests_ends_warm_tasks),
    TEST(a_last_request_leaves_no_warm_task),
    TEST(a_server_closes_over_warm_tasks),
    TEST(warm_tasks_need_no_memory),
};

int main(int argc, char **argv)
{
    return weft_test_main(tests, COUNT(tests), argc, argv);
}
