/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
#include "server/input.h"

#include <string.h>

#include "lib/base/check.h"
#include "lib/base/memory.h"

enum { LEAST_ROOM = 1024 };

static uint32_t room_for(size_t size)
{
    CHECK(size <= UINT32_MAX / 2);
    uint32_t room = LEAST_ROOM;
    while (room < size)
        room *= 2;
    return room;
}

/* Makes the store begin with the unread bytes and have room for `more`. */
static bool make_room(weft_input *input, size_t more)
{
    size_t needed = input->size + more;
    if (needed <= input->room) {
        memmove(input->store, input->at, input->size);
    } else {
        uint32_t room = room_for(needed);
        char *store = weft_mem_alloc(room);
        if (!store)
            return false;
        if (input->size > 0)
            memcpy(store, input->at, input->size);
        weft_mem_free(input->store);
        input->store = store;
        input->room = room;
    }
    input->at = input->store;
    input->is_borrowed = false;
    return true;
}

bool weft_input_add(weft_input *input, char *data, size_t size)
{
    DCHECK(!input->is_borrowed || input->size == 0);
    if (input->size == 0) {
        input->at = data;
        input->size = size;
        input->is_borrowed = true;
        return true;
    }
    size_t behind = (size_t)(input->store + input->room - (input->at + input->size));
    if (behind < size && !make_room(input, size))
        return false;
    memcpy(input->at + input->size, data, size);
    input->size += size;
    return true;
}

bool weft_input_keep(weft_input *input)
{
    if (input->size == 0) {
        if (input->store)
            weft_input_free(input);
        input->is_borrowed = false;
        return true;
    }
    return !input->is_borrowed || make_room(input, 0);
}

void weft_input_consume(weft_input *input, size_t size)
{
    CHECK(size <= input->size);
    input->at += size;
    input->size -= size;
}

void weft_input_free(weft_input *input)
{
    weft_mem_free(input->store);
    *input = (weft_input){ 0 };
}
