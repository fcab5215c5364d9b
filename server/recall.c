/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * What a hub has encoded of histories, for those who join next: ten thousand that come back after a cut are given one buffer
 * each of what they have missed, which is made once, and lies in memory once however slowly they read.
 *
 * A table in which each post has WAYS places, for as many kinds of members or other rooms' posts; one too many takes the last.
 * It is made for the first joiner that is given something, and forgets everything when there is more in it than FULL histories;
 * it goes with its hub.
 */
#include "lib/base/memory.h"
#include "server/rooms.h"

enum { WAYS = 4, FULL = 4 };

static size_t place_count(const weft_hub *hub)
{
    size_t count = 64;
    while (count < WAYS * (size_t)hub->rooms->options.history)
        count *= 2;
    return count;
}

static struct weft_recalled *place_of(const weft_hub *hub, const weft_post *post, size_t way)
{
    uint64_t start = post->epoch * UINT64_C(0x9e3779b97f4a7c15) >> 32; /* posts of one room lie side by side */
    size_t count = place_count(hub);
    return &hub->recalled[(start + post->number + way * (count / WAYS)) & (count - 1)];
}

static bool is_it(const struct weft_recalled *place, const weft_subscriber *s, const weft_post *post)
{
    return place->buf && place->epoch == post->epoch && place->number == post->number && place->ops == s->ops &&
           place->variant == s->variant;
}

static void forget(weft_hub *hub, struct weft_recalled *place)
{
    if (!place->buf)
        return;
    hub->recalled_size -= place->buf->size;
    weft_shared_unref(place->buf);
    *place = (struct weft_recalled){ .buf = NULL };
}

static void forget_all(weft_hub *hub)
{
    for (size_t i = 0; i < place_count(hub); i++)
        forget(hub, &hub->recalled[i]);
}

weft_shared *weft_recall(const weft_hub *hub, const weft_subscriber *s, const weft_post *post)
{
    if (!post->is_kept || !hub->recalled)
        return NULL;
    for (size_t way = 0; way < WAYS; way++)
        if (is_it(place_of(hub, post, way), s, post))
            return weft_shared_ref(place_of(hub, post, way)->buf);
    return NULL;
}

void weft_recall_keep(weft_hub *hub, const weft_subscriber *s, const weft_post *post, weft_shared *buf)
{
    size_t most = FULL * hub->rooms->options.history_size, way = 0;
    if (!post->is_kept || buf->size > most)
        return;
    if (!hub->recalled)
        hub->recalled = weft_mem_calloc(place_count(hub), sizeof *hub->recalled);
    if (!hub->recalled)
        return;
    if (hub->recalled_size + buf->size > most)
        forget_all(hub);
    while (way < WAYS - 1 && place_of(hub, post, way)->buf)
        way++;
    struct weft_recalled *place = place_of(hub, post, way);
    forget(hub, place);
    *place = (struct weft_recalled){ post->epoch, post->number, s->ops, s->variant, weft_shared_ref(buf) };
    hub->recalled_size += buf->size;
}

void weft_recall_end(weft_hub *hub)
{
    if (!hub->recalled)
        return;
    forget_all(hub);
    weft_mem_free(hub->recalled);
    hub->recalled = NULL;
}
