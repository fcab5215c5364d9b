/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Host names: looked up by the C library's resolver (getaddrinfo), which blocks, in a thread of the pool for names. */
#ifndef WEFT_LIB_NET_NAMES_H
#define WEFT_LIB_NET_NAMES_H

#include "lib/net/address.h"

enum { WEFT_NAMES_FOUND_MOST = 8 }; /* addresses of a host that are taken; others are not tried */

/* May wait. The addresses of a host, in the order in which they are to be tried (RFC 6724), each with the port. Their count;
 * WEFT_ENAME, with the resolver's words in the trail, if there is none; -ENOMEM, -errno. A wait that is cut short leaves the
 * thread to end by itself. */
WEFT_WAITS int weft_names_look_up(const char *name, int port, weft_address ret_found[WEFT_NAMES_FOUND_MOST]);

#endif
