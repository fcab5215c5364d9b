/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* What a select can wait for of lib/sync. */
#ifndef WEFT_LIB_SYNC_SOURCE_H
#define WEFT_LIB_SYNC_SOURCE_H

#include "lib/task/source.h"

extern const struct weft_source weft_source_queue_get, weft_source_queue_put, weft_source_event, weft_source_semaphore;

#endif
