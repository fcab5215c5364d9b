/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* The steps of a stop that every worker goes through. */
#ifndef WEFT_SERVER_SERVE_H
#define WEFT_SERVER_SERVE_H

#include "server/server.h"

/* May wait, and is never cut short. Closes the doors, drains, cancels and cuts, within the app's limits. The first worker's
 * announcement goes before it. */
void weft_serve_out(weft_server *server);

/* In debug mode: the tasks that are alive beside the one that calls are leaks, and listed. */
void weft_serve_list_leaks(const weft_server *server);

/* Who holds a worker's loop for longer is named in the log. */
weft_duration weft_serve_stall_limit(const struct weft_settings *settings);

#endif
