/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Bytes that tests collect. */
#ifndef WEFT_TESTS_GROW_H
#define WEFT_TESTS_GROW_H

#include <stdlib.h>

/* The room that is had for so many bytes: a power of two. */
static inline size_t grow_room(size_t size)
{
    size_t room = 64;
    while (room < size)
        room *= 2;
    return room;
}

/* The bytes at data (NULL at first), of which used are taken, with room for more: a sanitizer's realloc always copies, so that
 * to ask for a few more each time would take the square of their number. */
static inline char *grow(char *data, size_t used, size_t more)
{
    if (data != NULL && used + more <= grow_room(used))
        return data;
    return realloc(data, grow_room(used + more));
}

#endif
