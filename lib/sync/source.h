/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* What a select asks of the objects that it waits for: each kind of case has a table. */
#ifndef WEFT_LIB_SYNC_SOURCE_H
#define WEFT_LIB_SYNC_SOURCE_H

#include <weft/select.h>

#include "lib/base/list.h"

struct weft_source {
    const char *what; /* as for the call of its own */
    /* The line in which to wait; NULL when there is no need to: the call of its own would return at once. */
    weft_list *(*line)(const weft_select_case *c);
    /* The call of its own, when it need not wait. */
    int (*take)(const weft_select_case *c);
};

extern const struct weft_source weft_source_queue_get, weft_source_queue_put, weft_source_event, weft_source_semaphore;

#endif
