/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Watching: being told of changes to files and folders.
 *
 *     weft_watch *watch __attribute__((cleanup(weft_watch_drop))) = NULL;
 *     weft_watch_event event;
 *     WEFT_TRY(weft_watch_open(&watch));
 *     WEFT_TRY(weft_watch_add(watch, "/etc/app", &id));
 *     while ((rc = weft_watch_next(watch, &event)) > 0)
 *         if ((event.what & (WEFT_WATCH_MADE | WEFT_WATCH_WRITTEN)) && strcmp(event.name, "app.conf") == 0)
 *             read_settings();
 *
 * A file that is replaced (by weft_file_save, by editors) is another file: watch its folder, and look at the name. A folder
 * tells of what is directly in it. The system keeps a bounded number of events (16,384 usually) for who does not ask for them;
 * when there were more, WEFT_WATCH_LOST is told in their place: then look at everything again. (The system's inotify is used as
 * it is: libuv's watchers drop that notice.)
 */
#ifndef WEFT_WATCH_H
#define WEFT_WATCH_H

#include <weft/file.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_watch weft_watch;

enum {
    WEFT_WATCH_MADE = 1,    /* a name has come: made, linked, or renamed to */
    WEFT_WATCH_REMOVED = 2, /* a name has gone: removed, or renamed from */
    WEFT_WATCH_CHANGED = 4, /* content, size, permissions, times */
    WEFT_WATCH_WRITTEN = 8, /* somebody who could write has closed it: the content is likely to be whole */
    WEFT_WATCH_GONE = 16,   /* what is watched has itself been removed, moved or unmounted */
    WEFT_WATCH_LOST = 32    /* events were lost */
};

typedef struct weft_watch_event {
    int what;         /* one of the above */
    int id;           /* of what is watched, as weft_watch_add gave it; -1 with WEFT_WATCH_LOST */
    const char *name; /* in the folder that is watched; "" when it is about what is watched itself; until the next call */
    bool is_folder;   /* that which the event is about */
} weft_watch_event;

/* Opens a watch of nothing. 0; -EMFILE (the system has few of them for each user); -ENOMEM; -EPERM outside a loop, which is
 * misuse. Never waits. */
#define weft_watch_open(ret) weft_watch_open_((ret), __FILE__, __LINE__)
WEFT_API WEFT_MUST int weft_watch_open_(weft_watch **ret, const char *file, int line);

/* May wait. Watches a file or a folder as well; *ret_id (may be NULL) tells its events from others', and is the same for the
 * same file. 0; -ENOENT, -EACCES and the like; -ENOSPC the user's limit is reached; -ENOMEM; WEFT_ECLOSED; the reason: then it
 * may be watched or not. .beneath as for files. */
#define weft_watch_add(w, path, ret_id, ...)                                                                                   \
    weft_watch_add_((w), (path), (ret_id), &(weft_file_options){ .struct_size = sizeof(weft_file_options), __VA_ARGS__ })
WEFT_API WEFT_WAITS int weft_watch_add_(weft_watch *w, const char *path, int *ret_id, const weft_file_options *options);

/* Watches it no more. What has happened before is still told. 0; -EINVAL no such id. Never waits. */
WEFT_API int weft_watch_remove(weft_watch *w, int id);

/* May wait. The next event, in the order in which they happened; events alike that follow each other may count as one. 1 with
 * *ret set; -EBUSY another task is asking; WEFT_ECLOSED it was closed meanwhile; -EIO and the like; the reason, and then
 * nothing was taken. */
WEFT_API WEFT_WAITS int weft_watch_next(weft_watch *w, weft_watch_event *ret);

/* The end of it. Never waits. NULL is fine. */
WEFT_API void weft_watch_close(weft_watch *w);

/* weft_watch_close for __attribute__((cleanup(weft_watch_drop))). */
WEFT_API void weft_watch_drop(weft_watch **w);

#ifdef __cplusplus
}
#endif
#endif
