/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * What a loop has of files, folders, watches, processes and signals: lists of those that are open, so that what its tasks have
 * left open is closed at its end. Made when the loop first needs it.
 */
#ifndef WEFT_LIB_OS_OS_H
#define WEFT_LIB_OS_OS_H

#include "lib/base/list.h"
#include "lib/task/loop.h"
#include "lib/task/source.h"

enum weft_os_kind {
    WEFT_OS_FILES,
    WEFT_OS_FOLDERS,
    WEFT_OS_WALKS,
    WEFT_OS_WATCHES,
    WEFT_OS_PROCESSES,
    WEFT_OS_SIGNALS,
    WEFT_OS_KINDS
};

/* Embedded in an object that is to be closed. */
typedef struct weft_os_open {
    weft_list link;
    /* At the loop's end, once no task is left and while threads still are: gives up the object, without waiting for anything
     * but what cannot last. Takes it out of the list. */
    void (*stop)(struct weft_os_open *open);
} weft_os_open;

typedef struct weft_os {
    weft_list open[WEFT_OS_KINDS];
    weft_list orphans; /* processes nobody has any more, and which have not ended */
    bool is_stopping;  /* no new work for threads */
} weft_os;

extern const struct weft_source weft_source_process, weft_source_signal;

/* NULL when memory is out. */
weft_os *weft_os_make(weft_loop *loop);

static inline weft_os *weft_os_of(weft_loop *loop)
{
    return loop->os ? loop->os : weft_os_make(loop);
}

#endif
