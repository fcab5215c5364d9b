/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The inside of an object that is embedded in its owner's memory: the public struct is room for a struct X_own that begins
 * with a magic number. Using one that was never initialised, or has been closed, ends the program with a message.
 *
 *     OWN_OF(weft_event, event_own, EVENT_MAGIC, "an event")    defines   struct event_own *own_of(const weft_event *object)
 */
#ifndef WEFT_LIB_SYNC_OWN_H
#define WEFT_LIB_SYNC_OWN_H

#include "lib/base/check.h"
#include "lib/task/loop.h"

#define OWN_OF(type, own, number, name)                                                                                        \
    _Static_assert(sizeof(struct own) <= sizeof(((type *)0)->own_), #type " has room");                                        \
    static struct own *own_of(const type *object)                                                                              \
    {                                                                                                                          \
        struct own *found = (struct own *)(void *)object->own_;                                                                \
        if (UNLIKELY(found->magic != (number)))                                                                                \
            weft_misuse_die("%s is used that is not open", (name));                                                            \
        return found;                                                                                                          \
    }

#endif
