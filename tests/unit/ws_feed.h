/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * A reader fed with bytes in pieces, and what it says as a line of text:
 *
 *     T(hello) a text   B(..) binary   P(x) a ping   Q(x) a pong   C1000(bye) a close   F1002 a failure
 *
 * Input is kept as a connection keeps it: what is left unread comes again with more behind it. Each piece lies in memory of its
 * exact size, so that the address sanitizer sees a byte too many.
 */
#ifndef WEFT_TESTS_UNIT_WS_FEED_H
#define WEFT_TESTS_UNIT_WS_FEED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/ws/reader.h"

enum { FEED_SAID_MAX = 8192 };

typedef struct feed {
    weft_ws_store store;
    weft_ws_reader reader;
    enum weft_ws_want want;
    uint64_t buffered;
    char *unread;
    size_t unread_size;
    char said[FEED_SAID_MAX];
    size_t said_size;
    size_t message_count, byte_count;
    bool is_over;
} feed;

static inline void feed_open(feed *f, enum weft_ws_role role)
{
    memset(f, 0, sizeof *f);
    weft_ws_store_init(&f->store, &f->buffered, 64 * 1024 * 1024);
    f->reader.store = &f->store;
    f->reader.role = (uint8_t)role;
    f->reader.limit = 1024 * 1024;
    f->reader.fragment_limit = 1024;
    f->reader.inflate_ratio = 25;
    f->want = WEFT_WS_WANT_MESSAGE;
}

static inline void feed_say(feed *f, const char *mark, int code, const char *bytes, size_t size)
{
    f->message_count++;
    f->byte_count += size;
    if (f->said_size + size + 32 > sizeof f->said)
        return;
    int n = code ? snprintf(f->said + f->said_size, 32, "%s%d", mark, code) : snprintf(f->said + f->said_size, 32, "%s", mark);
    f->said_size += (size_t)n;
    if (!bytes)
        return;
    f->said[f->said_size++] = '(';
    memcpy(f->said + f->said_size, bytes, size);
    f->said_size += size;
    f->said[f->said_size++] = ')';
    f->said[f->said_size] = '\0';
}

static inline void feed_bytes(feed *f, const char *data, size_t size)
{
    size_t left = f->unread_size + size, taken;
    char *all = malloc(left ? left : 1), *at = all;
    if (f->unread_size > 0)
        memcpy(all, f->unread, f->unread_size);
    if (size > 0)
        memcpy(all + f->unread_size, data, size);
    free(f->unread);
    f->unread = NULL;
    while (!f->is_over) {
        weft_ws_event event;
        enum weft_ws_kind kind = weft_ws_reader_next(&f->reader, f->want, at, left, &taken, &event);
        at += taken;
        left -= taken;
        if (kind == WEFT_WS_MORE || kind == WEFT_WS_AHEAD)
            break;
        if (kind == WEFT_WS_MESSAGE || kind == WEFT_WS_PART)
            feed_say(f, kind == WEFT_WS_PART ? "p" : f->reader.is_text ? "T" : "B", 0, f->reader.data, f->reader.size);
        else if (kind == WEFT_WS_PINGED || kind == WEFT_WS_PONGED)
            feed_say(f, kind == WEFT_WS_PINGED ? "P" : "Q", 0, event.bytes, event.size);
        else if (kind == WEFT_WS_CLOSED)
            feed_say(f, "C", event.code, event.bytes, event.size);
        else
            feed_say(f, "F", event.code, NULL, 0);
        f->is_over = kind == WEFT_WS_CLOSED || kind == WEFT_WS_FAILED;
    }
    f->unread = malloc(left ? left : 1);
    if (left > 0)
        memcpy(f->unread, at, left);
    f->unread_size = left;
    free(all);
}

/* Gives everything back; the count of bytes that buffers still hold, which must be 0. */
static inline uint64_t feed_close(feed *f)
{
    weft_ws_reader_close(&f->reader);
    weft_ws_store_close(&f->store);
    free(f->unread);
    return f->buffered;
}

/* A client's frame: masked with a key that depends on `n`, or, for n 0, with zeros. Returns its size. */
static inline size_t feed_frame(char *out, unsigned first, const void *payload, size_t size, unsigned n)
{
    unsigned char *at = (unsigned char *)out, key[4];
    *at++ = (unsigned char)first;
    if (size < 126) {
        *at++ = (unsigned char)(0x80 | size);
    } else if (size < 65536) {
        *at++ = 0x80 | 126;
        *at++ = (unsigned char)(size >> 8);
        *at++ = (unsigned char)size;
    } else {
        *at++ = 0x80 | 127;
        for (int i = 7; i >= 0; i--)
            *at++ = (unsigned char)((uint64_t)size >> (8 * i));
    }
    for (unsigned i = 0; i < 4; i++)
        *at++ = key[i] = (unsigned char)(n * 0x9E3779B1u >> (8 * i));
    for (size_t i = 0; i < size; i++)
        at[i] = (unsigned char)(((const unsigned char *)payload)[i] ^ key[i & 3]);
    return (size_t)(at - (unsigned char *)out) + size;
}

#endif
