/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* What tests can ask of an end in memory: input in every split, a peer that takes little or nothing, a pipe that breaks. */
#ifndef WEFT_LIB_NET_TRANSPORT_MEMORY_H
#define WEFT_LIB_NET_TRANSPORT_MEMORY_H

#include "lib/net/transport.h"

typedef struct weft_memory_knobs {
    /* input of this end */
    size_t input_most;    /* bytes of one input event; 0 for 64 KiB */
    const size_t *splits; /* no input event crosses these offsets from the beginning of the input; ascending; borrowed */
    size_t split_count;
    /* output of this end */
    size_t send_most;   /* bytes that try_send takes at once; 0 for any number */
    bool refuses_send;  /* try_send takes nothing: everything has to be queued */
    bool breaks;        /* once `break_after` bytes have been sent, both ends are reset; the peer is given those first */
    size_t break_after; /* bytes from the beginning of the output */
} weft_memory_knobs;

/* Of an end of weft_transport_open_pair, to be changed at any time. */
weft_memory_knobs *weft_memory_knobs_of(weft_transport *t);

#endif
