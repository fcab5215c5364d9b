/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Tells which worker answers; blocks a worker; logs what its hooks do. What goes wrong with them is for the environment to say:
 * FAIL_START, FAIL_WORKER (the second), FAIL_LATER (what it has started in the background); SLEEP_START, SLEEP_WORKER_0,
 * SLEEP_WORKER_1, SLEEP_STOP: so many milliseconds; STOP_IN_START. CANCEL and CLEANUP are limits, in milliseconds. */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <weft.h>

struct mine {
    int number; /* in the order of their starts */
    int served; /* by this worker alone: no lock */
};

static atomic_int started, served_in_all;

static weft_duration duration(const char *variable)
{
    const char *ms = getenv(variable);
    return ms ? strtol(ms, NULL, 10) * WEFT_MILLISECOND : 0;
}

static int start(weft_app *app)
{
    weft_log(WEFT_LOG_INFO, "hook: start");
    if (getenv("STOP_IN_START"))
        weft_app_stop(app);
    return getenv("FAIL_START") ? -5 : weft_sleep(WEFT_MILLISECOND + duration("SLEEP_START"));
}

static void stop(weft_app *app)
{
    (void)app;
    (void)!weft_sleep(duration("SLEEP_STOP"));
    weft_log(WEFT_LOG_INFO, "hook: stop after %d", atomic_load(&served_in_all));
}

static int fail_later(void *unused)
{
    (void)unused;
    WEFT_TRY(weft_sleep(100 * WEFT_MILLISECOND));
    return -5;
}

static int worker_start(weft_app *app, void **ret_state)
{
    (void)app;
    struct mine *mine = calloc(1, sizeof *mine);
    mine->number = atomic_fetch_add(&started, 1);
    *ret_state = mine;
    int rc = weft_sleep(WEFT_MILLISECOND + duration(mine->number == 0 ? "SLEEP_WORKER_0" : "SLEEP_WORKER_1"));
    if (rc == 0 && mine->number == 1 && getenv("FAIL_WORKER"))
        rc = -5;
    if (rc < 0) {
        free(mine);
        return rc;
    }
    weft_task *task;
    if (mine->number == 1 && getenv("FAIL_LATER"))
        WEFT_TRY(weft_spawn(&task, fail_later, NULL));
    weft_log(WEFT_LOG_INFO, "hook: worker %d starts", mine->number);
    return 0;
}

static void worker_stop(weft_app *app, void *state)
{
    struct mine *mine = state;
    (void)app;
    if (weft_sleep(WEFT_MILLISECOND) == 0)
        weft_log(WEFT_LOG_INFO, "hook: worker %d stops after %d", mine->number, mine->served);
    free(mine);
}

static int who(weft_request *req)
{
    struct mine *mine = weft_worker_state(req);
    mine->served++;
    atomic_fetch_add(&served_in_all, 1);
    return weft_reply_text(req, 200, "%d %d", weft_worker_number(req), mine->number);
}

static int late(weft_request *req)
{
    WEFT_TRY(weft_sleep(weft_param_int(req, "ms") * WEFT_MILLISECOND));
    return who(req);
}

/* Holds the loop, for so long or until it is released. */
static atomic_bool is_released;

static int block(weft_request *req)
{
    for (int64_t left = weft_param_int(req, "ms"); left > 0 && !atomic_load(&is_released); left -= 10)
        nanosleep(&(struct timespec){ 0, 10 * 1000000 }, NULL);
    return who(req);
}

static int release_blocked(weft_request *req)
{
    atomic_store(&is_released, true);
    return who(req);
}

/* Connections that one worker accepted and the other serves, of all. */
static weft_app *the_app;

static int passed_on(weft_request *req)
{
    weft_counter counters[200];
    size_t count = weft_app_counters(the_app, counters, sizeof counters / sizeof counters[0]);
    uint64_t passed = 0, all = 0;
    for (size_t i = 0; i < count; i++) {
        passed += strcmp(counters[i].name, "connections_passed_on") == 0 ? counters[i].value : 0;
        all += strcmp(counters[i].name, "connections") == 0 ? counters[i].value : 0;
    }
    return weft_reply_text(req, 200, "%llu %llu", (unsigned long long)passed, (unsigned long long)all);
}

/* May a worker wait for SIGTERM itself? */
static int ask_for_signal(weft_request *req)
{
    weft_signal *s;
    int rc = weft_signal_open(&s, SIGTERM);
    if (rc == 0)
        weft_signal_close(s);
    return weft_reply_text(req, 200, "%d %s", weft_worker_number(req), rc == -EBUSY ? "refused" : "allowed");
}

int main(int argc, char **argv)
{
    weft_app *app = the_app = weft_app_new();
    weft_app_hooks(app, .start = start, .stop = stop, .worker_start = worker_start, .worker_stop = worker_stop);
    weft_get(app, "/", who);
    weft_get(app, "/passed-on", passed_on);
    weft_get(app, "/signal", ask_for_signal);
    weft_get(app, "/late/{ms:int}", late);
    weft_get(app, "/block/{ms:int}", block);
    weft_get(app, "/release", release_blocked);
    weft_app_options options = { .struct_size = sizeof options, .cancel = duration("CANCEL"), .cleanup = duration("CLEANUP") };
    if (weft_app_configure(app, &options) < 0)
        return 1;
    return weft_app_main(app, argc, argv);
}
