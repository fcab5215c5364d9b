/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The balance between workers. The kernel gives a connection to a listening socket by a hash of its addresses: of few, one
 * worker may get twice as many as another. So a worker that has more than its share passes a connection that it has just
 * accepted on to the one that has least: into that one's mail, and a post tells its loop.
 *
 * Each worker has a seat, which outlives its server. How many connections it has is an atomic; the mail has a lock, which is
 * taken when something is passed on, and never on the path of a request. Nothing is passed on to who has not turned for a
 * while, and its mail is taken over like its listening sockets (beats.c).
 */
#ifndef WEFT_SERVER_BALANCE_H
#define WEFT_SERVER_BALANCE_H

#include "server/server.h"

/* Makes the seats of an app, if it has several workers. 0 or -ENOMEM. They are given back by weft_balance_close, after the last
 * worker has ended. */
int weft_balance_open(weft_app *app);
void weft_balance_close(weft_app *app);

/* The server takes its seat: it may be given connections from now on. Nothing if there are none. */
void weft_balance_enter(weft_server *server);

/* It is given none from now on; those that are in its mail are accepted, or, unless `accepts`, closed. */
void weft_balance_leave(weft_server *server, bool accepts);

/* It is alive. */
void weft_balance_beat(weft_server *server, weft_duration now);

/* A connection begins to count as one of the server's, or does no more. */
void weft_balance_count(weft_server *server, int more);

/* Passes on what the server has accepted at its n-th door, if it has more than its share. */
bool weft_balance_pass_on(weft_server *server, size_t door, int fd, bool is_tcp);

/* Accepts what lies in the mail of another worker. */
void weft_balance_take_over(weft_server *server, size_t worker);

#endif
