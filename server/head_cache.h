/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The last head of each connection, and the request that was made of it. Who keeps a connection often sends the same head
 * again, byte for byte: programs that ask for the same again, checks of health, load generators. The same bytes have the same
 * end, the same verdict, the same parts and the same route, so they are not judged, cut and routed once more: what a request
 * points to, its head and what was made of it, is lent to the next. What a body brings, and who asks, is no part of it.
 *
 * A connection is compared with itself alone, and in a time that does not tell where two heads differ: behind a proxy that
 * shares connections the one before may have been somebody else's.
 *
 * A head is kept from a connection's second request on. One that never sends the same pays 150 to 400 instructions for each,
 * most of them for the comparison: after four in vain only every sixteenth of its heads is kept. There are
 * WEFT_HEAD_CACHE_SLOTS slots for all connections of a loop; of two with the same one the first keeps it while it has use of
 * it. A slot is at most 4 KiB, so that a loop has at most 2 MiB of them, and mostly an eighth of that.
 */
#ifndef WEFT_SERVER_HEAD_CACHE_H
#define WEFT_SERVER_HEAD_CACHE_H

#include <stddef.h>
#include <stdint.h>

struct weft_server;
struct weft_connection;
struct weft_request;

enum {
    WEFT_HEAD_CACHE_BITS = 9,
    WEFT_HEAD_CACHE_SLOTS = 1 << WEFT_HEAD_CACHE_BITS,
    WEFT_HEAD_CACHE_HEAD = 1024,    /* bytes of a head that is kept, at most; */
    WEFT_HEAD_CACHE_REQUEST = 2048, /* of what its request has in its arena */
};

struct weft_cached_head;

typedef struct weft_head_cache {
    struct weft_cached_head *slots[WEFT_HEAD_CACHE_SLOTS];
    uint64_t hits;
} weft_head_cache;

/* At the beginning of a head: do the unread bytes of c begin with its last one? That, for weft_head_cache_request; or NULL. */
struct weft_cached_head *weft_head_cache_find(struct weft_server *server, const struct weft_connection *c);

/* Makes the request of the head that was found, as weft_request_new and weft_request_route would, and consumes the head. What
 * it points to is lent to it until weft_head_cache_take_back. NULL when memory is out. */
struct weft_request *weft_head_cache_request(struct weft_connection *c, struct weft_cached_head *cached);

/* The request it was lent to is at its end. */
void weft_head_cache_take_back(struct weft_cached_head *cached);

/* Keeps the request, which has been routed and was not handed to its handler yet, for head[0, size), of which it was made; or
 * does not, if it is too large, of a kind that is not sent twice, or memory is out. */
void weft_head_cache_keep(struct weft_server *server, const struct weft_request *req, const char *head, size_t size);

/* Another connection may come to lie where c does. */
void weft_head_cache_forget(struct weft_server *server, const struct weft_connection *c);

void weft_head_cache_close(weft_head_cache *cache);

#endif
