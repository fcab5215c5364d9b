/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
#include "lib/net/net.h"

#include <time.h>

#include "lib/base/check.h"
#include "lib/base/memory.h"
#include "lib/base/sanitize.h"
#include "lib/net/outbox.h"
#include "lib/net/tls.h"

struct weft_net_block {
    struct weft_net_block *next;
};

/* ---- SIGPIPE ---- */

static bool block_pipe(void)
{
    sigset_t pipe_only, former;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_only, &former);
    return sigismember(&former, SIGPIPE) == 0;
}

/* One that came meanwhile is still pending in this thread, and would end the program now: it is taken first. */
static void unblock_pipe(void)
{
    sigset_t pipe_only;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    while (sigtimedwait(&pipe_only, NULL, &(struct timespec){ 0 }) == SIGPIPE)
        continue;
    pthread_sigmask(SIG_UNBLOCK, &pipe_only, NULL);
}

/* ---- making and closing ---- */

/* The last closed events of memory ends may still be due: they must come before the loop's memory goes. */
static void run_callbacks(weft_loop *loop)
{
    weft_list *node;
    while ((node = weft_list_shift(&loop->soon))) {
        weft_callback *callback = CONTAINER_OF(node, weft_callback, link);
        callback->fn(callback);
    }
}

static void stop_net(weft_loop *loop)
{
    weft_net_close_streams(loop->net);
}

static void close_net(weft_loop *loop)
{
    weft_net *net = loop->net;
    run_callbacks(loop);
    CHECK(weft_list_is_empty(&net->streams));
    weft_tls_close_loop(net);
    weft_outboxes_close(net->outboxes);
    net->outboxes = NULL;
    while (net->free_blocks) {
        struct weft_net_block *block = net->free_blocks;
        net->free_blocks = block->next;
        weft_mem_free(block);
    }
    weft_net_lend_input(net);
    weft_mem_free(net->input);
    if (net->blocked_pipe)
        unblock_pipe();
    loop->net = NULL;
    weft_mem_free(net);
}

weft_net *weft_net_make(weft_loop *loop)
{
    weft_net *net = weft_mem_calloc(1, sizeof *net);
    if (!net)
        return NULL;
    net->input = weft_mem_alloc(WEFT_NET_INPUT);
    if (!net->input) {
        weft_mem_free(net);
        return NULL;
    }
    weft_net_return_input(net);
    weft_list_init(&net->streams);
    net->blocked_pipe = block_pipe();
    loop->net = net;
    loop->net_stop = stop_net;
    loop->net_close = close_net;
    return net;
}

/* ---- blocks of output ---- */

void *weft_net_take_block(weft_net *net)
{
    struct weft_net_block *block = net->free_blocks;
    if (!block)
        return weft_mem_alloc(WEFT_NET_BLOCK);
    net->free_blocks = block->next;
    net->free_count--;
    SANITIZE_UNPOISON(block, WEFT_NET_BLOCK);
    return block;
}

void weft_net_give_block(weft_net *net, void *memory)
{
    struct weft_net_block *block = memory;
    if (net->free_count == WEFT_NET_BLOCKS_KEPT) {
        weft_mem_free(block);
        return;
    }
    block->next = net->free_blocks;
    net->free_blocks = block;
    net->free_count++;
    SANITIZE_POISON((char *)block + sizeof *block, WEFT_NET_BLOCK - sizeof *block);
}

/* ---- the buffer of input ---- */

char *weft_net_lend_input(weft_net *net)
{
    SANITIZE_UNPOISON(net->input, WEFT_NET_INPUT);
    return net->input;
}

void weft_net_trim_input(weft_net *net, const char *input, size_t size)
{
    if (input == net->input)
        SANITIZE_POISON(net->input + size, WEFT_NET_INPUT - size);
}

void weft_net_return_input(weft_net *net)
{
    SANITIZE_POISON(net->input, WEFT_NET_INPUT);
}
