/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * What all streams and connections of a loop share: the one buffer that input is read into, and blocks for queued output.
 * So an idle connection owns neither. Made when the loop first needs it, given back when the loop closes.
 *
 * While it lives SIGPIPE is blocked in the loop's thread (and in no other): a write to a peer that has gone is -EPIPE.
 */
#ifndef WEFT_LIB_NET_NET_H
#define WEFT_LIB_NET_NET_H

#include <signal.h>

#include "lib/base/list.h"
#include "lib/task/loop.h"

enum {
    WEFT_NET_INPUT = 64 * 1024, /* bytes of one input event, at most */
    WEFT_NET_BLOCK = 16 * 1024, /* bytes of a block of queued output, with its header */
    WEFT_NET_BLOCKS_KEPT = 256, /* free blocks beyond these go back to the heap */
};

typedef struct weft_net {
    char *input; /* WEFT_NET_INPUT bytes; poisoned under the address sanitizer while no input event is delivered */
    struct weft_net_block *free_blocks;
    size_t free_count;
    weft_list streams;              /* of weft/stream.h: all whose memory is not given back */
    struct weft_outboxes *outboxes; /* what the outboxes of the loop share; made when first needed (outbox.c) */
    struct weft_tls_loop *tls;      /* what its TLS connections share; NULL until there is one */
    bool blocked_pipe;              /* SIGPIPE: by us */
} weft_net;

/* Closes streams that the loop's tasks have left open, and says how many (stream.c). */
void weft_net_close_streams(weft_net *net);

/* NULL when memory is out. */
weft_net *weft_net_make(weft_loop *loop);

static inline weft_net *weft_net_of(weft_loop *loop)
{
    return loop->net ? loop->net : weft_net_make(loop);
}

/* WEFT_NET_BLOCK bytes, not cleared; NULL when memory is out. */
void *weft_net_take_block(weft_net *net);
void weft_net_give_block(weft_net *net, void *block);

/* The buffer of input, from before a read until its event has been handled. */
char *weft_net_lend_input(weft_net *net);
void weft_net_trim_input(weft_net *net, const char *input, size_t size); /* only so much of it holds input, if that is it */
void weft_net_return_input(weft_net *net);

#endif
