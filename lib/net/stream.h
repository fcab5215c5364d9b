/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Streams over descriptors that come from elsewhere. */
#ifndef WEFT_LIB_NET_STREAM_H
#define WEFT_LIB_NET_STREAM_H

#include <weft/stream.h>

/* A stream over an end of a pipe or a unix socket, which is the stream's from now on; on failure it is still the caller's. Of a
 * pipe the one direction works that it has, and weft_stream_close is the way to end it. 0 or -errno. Never waits. */
int weft_stream_open_fd(weft_stream **ret_stream, int fd);

#endif
