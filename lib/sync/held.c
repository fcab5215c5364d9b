/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* The end of a block that holds something. */
#include <weft/held.h>

#include <weft/scope.h>

static void release_shielded(const weft_held *held)
{
    WEFT_SHIELD (shield, WEFT_CLEANUP_TIME) {
        held->release_(held->object_);
    }
}

void weft_held_leave_(weft_held **held)
{
    const weft_held *h = *held;
    if (h->result != 0)
        return;
    if (h->is_shielded_)
        release_shielded(h);
    else
        h->release_(h->object_);
}
