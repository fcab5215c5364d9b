/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * An app's hooks. Those that start something run before there is a server that could be stopped, and may wait for long (for a
 * database that does not answer): a request to stop cuts them short, as it would a handler. Those that clean up are not cut
 * short, but by the last limit of the stop.
 */
#ifndef WEFT_SERVER_HOOKS_H
#define WEFT_SERVER_HOOKS_H

#include <weft/scope.h>

#include "server/app.h"

/* The start of the app or of a worker, on its loop's thread. All zero at first. */
typedef struct weft_start {
    bool is_cut;
    weft_scope *hook; /* around the one that runs; or NULL */
} weft_start;

/* A stop was asked for: the hook that runs is cancelled, and none begins any more. */
void weft_start_cut(weft_start *start);

/* May wait. 0; WEFT_ECANCELED if the start was cut; or the hook's error, logged. */
int weft_hooks_start(weft_app *app, weft_start *start);
int weft_hooks_worker_start(weft_app *app, weft_start *start, void **ret_state);

/* May wait. */
void weft_hooks_stop(weft_app *app);
void weft_hooks_worker_stop(weft_app *app, void *state);

#endif
