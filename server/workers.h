/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Workers: an app on several loops, each with a thread, a server and listening sockets of its own.
 *
 * The first worker is the thread that called weft_app_serve: it alone hears signals, opens the addresses first, orders the
 * stop, and reports. The others are started by it and do as it says, by posts to their loops. On the path of a request they
 * share nothing but what is read-only; what they do share is the count of open connections, one atomic.
 *
 * Each listening socket has its own queue of connections (SO_REUSEPORT), so a worker whose loop is held by a handler would let
 * its queue wait. Every worker notes that it is alive (`beat`), looks at the others when it does, and accepts from the sockets
 * of those that have not for a while.
 */
#ifndef WEFT_SERVER_WORKERS_H
#define WEFT_SERVER_WORKERS_H

#include "server/access_writer.h"
#include "server/server.h"

enum { WEFT_WORKERS_MAX = 256 };

typedef struct weft_workers weft_workers;

/* As many as there are processors for this process. */
int weft_workers_auto(void);

/* Starts all but the first, whose server is open and listens; `first` runs in this thread. May wait, and is never cut short:
 * until all of them listen, or one has failed. 0, and they are the app's; or -errno: then those that had started have ended
 * again. When a stop is asked for meanwhile it is theirs too: it cuts their hooks short, which is no failure. */
int weft_workers_start(weft_server *first, weft_access_writer *log_writer);

/* Takes their stop to a stage. On the first worker's loop. NULL is fine in all of these. */
void weft_workers_stop(weft_workers *workers, enum weft_stop_stage stage);

/* May wait, and is never cut short. Until all but the first are through with their stop; adds what they have counted. */
void weft_workers_sum(weft_workers *workers, struct weft_server_counts *sum);

/* May wait, and is never cut short. Until all but the first have ended; `workers` is no more. 0, or the first error with which
 * one has ended. */
int weft_workers_join(weft_workers *workers);

/* Prints the tasks of all but the first. From any thread. */
void weft_workers_list(weft_workers *workers);

/* Bars the doors of all servers of the app. From any worker. */
void weft_workers_bar(weft_app *app);

/* ---- beats (beats.c) ---- */

/* The server begins to tell that it is alive, and to look after the others; nothing when there is one worker. */
void weft_beats_begin(weft_server *server);

/* Each listener by which it accepts in place of others. */
void weft_beats_each(weft_server *server, void (*fn)(weft_listener *listener));

/* Accepts at most `most` connections more from each socket that it has taken over, and gives them back; and beats no more. */
void weft_beats_end(weft_server *server, int most);

#endif
