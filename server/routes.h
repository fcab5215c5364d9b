/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* The routes of an app: groups, options, names, URLs, and the table that --routes prints. */
#ifndef WEFT_SERVER_ROUTES_H
#define WEFT_SERVER_ROUTES_H

#include <stdio.h>

#include "server/app.h"

/* The table of a new app. */
void weft_routes_init(weft_app *app);

/* Gives back what the app's route table holds. */
void weft_routes_free(weft_app *app);

/* Writes a line for each route, sorted as they are tried: a route that could also match what another one matches comes behind
 * that one. 0; -ENOMEM; -EIO when it could not be written. */
int weft_routes_print(const weft_app *app, FILE *out);

#endif
