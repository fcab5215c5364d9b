/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* What a select asks of the objects that it waits for: each kind of case has a table. */
#ifndef WEFT_LIB_TASK_SOURCE_H
#define WEFT_LIB_TASK_SOURCE_H

#include <weft/select.h>

#include "lib/base/list.h"

struct weft_source {
    const char *what; /* as for the call of its own */
    bool is_outside;  /* what it waits for does not come from tasks: virtual time does not jump meanwhile */
    /* The line in which to wait, with the case's `item` in the waiter; NULL when there is no need to: the call of its own would
     * return at once. */
    weft_list *(*line)(const weft_select_case *c);
    /* The call of its own, when it need not wait. */
    int (*take)(const weft_select_case *c);
};

#endif
