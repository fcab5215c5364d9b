/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* The end of a block that holds something. */
#include <weft/held.h>

void weft_held_leave_(weft_held **held)
{
    if ((*held)->result == 0)
        (*held)->release_((*held)->object_);
}
