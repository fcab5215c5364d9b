/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Listening sockets: polled as connections are, with accept4; not libuv's, which spin when descriptors run out.
 *
 * Each readiness accepts until EAGAIN, at most 64 a turn; when descriptors or memory run out it pauses for 100 ms and says so
 * once. The socket has SO_REUSEADDR and not SO_REUSEPORT, which would hide that the address is in use (two servers would share
 * the port in silence), unless it is opened to be shared.
 *
 * To stop without losing a connection that the kernel has completed (closing a listening socket resets those):
 *
 *     weft_listener_bar(each); ... 20 ms of accepting ...; weft_listener_accept_rest(each, many); weft_listener_close(each);
 */
#ifndef WEFT_LIB_NET_LISTENER_H
#define WEFT_LIB_NET_LISTENER_H

#include <weft/base.h>

#include "lib/task/loop.h"

typedef struct weft_listener weft_listener;

/* A new connection: a non-blocking, close-on-exec socket, which is the callee's now. It may close the listener. */
typedef void weft_listener_accepted(void *context, int fd, bool is_tcp);

/* Listens on "127.0.0.1:80", "[::1]:80", ":80" (all addresses, dual stack where there is IPv6) or "unix:/path" (a stale socket
 * file that nobody listens on is replaced); lib/net/address.h has the rules. "[::]:80" is IPv6 alone. Port 0 lets the kernel
 * choose. Returns 0; -EINVAL for an address it cannot read; -EADDRINUSE (also for a path that is no socket), -EACCES and
 * other -errno. */
int weft_listener_open(weft_listener **ret_listener, weft_loop *loop, const char *address, weft_listener_accepted *accepted,
                       void *context);

/* From now on each time that descriptors or memory are short is counted there, by a store that other threads may load. */
void weft_listener_count_shortages(weft_listener *listener, uint64_t *counter);

/* The same, for several that share an address, each with a queue of its own (SO_REUSEPORT). The address is tried without that
 * first, so one that somebody else uses is -EADDRINUSE. */
int weft_listener_open_shared(weft_listener **ret_listener, weft_loop *loop, const char *address,
                              weft_listener_accepted *accepted, void *context);

/* Listens beside `first`, which was opened as shared and may be another loop's; on a unix socket they take turns at one queue.
 * 0 or -errno. */
int weft_listener_open_beside(weft_listener **ret_listener, weft_loop *loop, const weft_listener *first,
                              weft_listener_accepted *accepted, void *context);

/* Accepts from the queue of `other`, too, which may be another loop's, and must be open during this call. 0 or -errno. */
int weft_listener_copy(weft_listener **ret_listener, weft_loop *loop, const weft_listener *other,
                       weft_listener_accepted *accepted, void *context);

/* Stops and resumes accepting: connections wait in the kernel's queue meanwhile. Idempotent. */
void weft_listener_pause(weft_listener *listener);
void weft_listener_resume(weft_listener *listener);

/* Bars the door: connections that the kernel has begun are still completed and accepted, new ones are not begun (their SYN is
 * dropped, so they are refused after the close, when they are sent again; a unix socket's file is removed). For ever.
 * 0, or -errno: then the door is open as before. */
int weft_listener_bar(weft_listener *listener);

/* Accepts what the kernel has completed already, up to `most`, although paused; returns how many. */
int weft_listener_accept_rest(weft_listener *listener, int most);

/* Closes and frees it (the handle's memory a turn later); removes a unix socket's file if it is still ours. NULL is fine. */
void weft_listener_close(weft_listener *listener);

int weft_listener_port(const weft_listener *listener); /* 0 for a unix socket */

#define WEFT_LISTENER_URL_MAX 128 /* bytes, with the NUL */

/* "http://localhost:8080" (of all addresses), "http://127.0.0.1:8080" or "unix:/path", for people; into buf. Returns buf. */
const char *weft_listener_url(const weft_listener *listener, char *buf, size_t size);

#endif
