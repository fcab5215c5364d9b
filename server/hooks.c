/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
#include "server/hooks.h"

#include <string.h>

#include "lib/base/check.h"

void weft_app_hooks_with(weft_app *app, const weft_app_hook_options *given)
{
    IS_A(app, WEFT_APP_MAGIC);
    CHECK(!app->server);
    app->hooks = (weft_app_hook_options){ 0 };
    memcpy(&app->hooks, given, given->struct_size < sizeof app->hooks ? given->struct_size : sizeof app->hooks);
}

void weft_start_cut(weft_start *start)
{
    start->is_cut = true;
    if (start->hook)
        weft_cancel(start->hook);
}

/* A hook begins; false if none may. */
static bool enter(weft_start *start, weft_scope *scope)
{
    if (start->is_cut)
        return false;
    weft_scope_open(scope);
    start->hook = scope;
    return true;
}

/* It has returned rc. One that was cut and fails has failed for that, whatever it says; if it succeeds, there is something to
 * clean up. */
static int leave(weft_start *start, weft_scope *scope, int rc, const char *whose)
{
    start->hook = NULL;
    weft_scope_close(scope);
    if (rc >= 0)
        return 0;
    if (start->is_cut)
        return WEFT_ECANCELED;
    weft_log(WEFT_LOG_ERROR, "the %s's start failed: %s", whose, weft_strerror(rc));
    return rc;
}

int weft_hooks_start(weft_app *app, weft_start *start)
{
    weft_scope scope = { .timeout = WEFT_NO_LIMIT };
    if (!app->hooks.start)
        return 0;
    return enter(start, &scope) ? leave(start, &scope, app->hooks.start(app), "app") : WEFT_ECANCELED;
}

int weft_hooks_worker_start(weft_app *app, weft_start *start, void **ret_state)
{
    weft_scope scope = { .timeout = WEFT_NO_LIMIT };
    if (!app->hooks.worker_start)
        return 0;
    return enter(start, &scope) ? leave(start, &scope, app->hooks.worker_start(app, ret_state), "worker") : WEFT_ECANCELED;
}

void weft_hooks_stop(weft_app *app)
{
    if (app->hooks.stop)
        app->hooks.stop(app);
}

void weft_hooks_worker_stop(weft_app *app, void *state)
{
    if (app->hooks.worker_stop)
        app->hooks.worker_stop(app, state);
}
