/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
#include "lib/os/os.h"

#include "lib/base/memory.h"

static const struct {
    const char *what, *missing;
} kinds[] = {
    [WEFT_OS_FILES] = { "files", "weft_file_close" },
    [WEFT_OS_FOLDERS] = { "folders", "weft_folder_close" },
    [WEFT_OS_WALKS] = { "walks", "weft_walk_close" },
    [WEFT_OS_WATCHES] = { "watches", "weft_watch_close" },
    [WEFT_OS_PROCESSES] = { "processes", "weft_process_close" },
    [WEFT_OS_SIGNALS] = { "signals", "weft_signal_close" },
};

/* What a select can wait for, from WEFT_SELECT_PROCESS on. */
static const struct weft_source *const sources[] = { &weft_source_process, &weft_source_signal };

static void stop_all(weft_list *list, size_t *count)
{
    while (!weft_list_is_empty(list)) {
        weft_os_open *open = CONTAINER_OF(list->next, weft_os_open, link);
        open->stop(open);
        ++*count;
    }
}

static void stop_os(weft_loop *loop)
{
    weft_os *os = loop->os;
    size_t ignored = 0;
    os->is_stopping = true;
    for (int kind = 0; kind < WEFT_OS_KINDS; kind++) {
        size_t count = 0;
        stop_all(&os->open[kind], &count);
        if (count > 0)
            weft_log(WEFT_LOG_WARNING, "%zu %s were left open at the end of the loop: %s is missing", count, kinds[kind].what,
                     kinds[kind].missing);
    }
    stop_all(&os->orphans, &ignored);
}

static void close_os(weft_loop *loop)
{
    weft_mem_free(loop->os);
    loop->os = NULL;
}

weft_os *weft_os_make(weft_loop *loop)
{
    weft_os *os = weft_mem_calloc(1, sizeof *os);
    if (!os)
        return NULL;
    for (int kind = 0; kind < WEFT_OS_KINDS; kind++)
        weft_list_init(&os->open[kind]);
    weft_list_init(&os->orphans);
    loop->os = os;
    loop->os_stop = stop_os;
    loop->os_close = close_os;
    loop->sources = sources;
    return os;
}
