/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Folders: as the ground that paths do not leave, and walking, making and removing them.
 *
 *     weft_folder *site __attribute__((cleanup(weft_folder_drop))) = NULL;
 *     WEFT_TRY(weft_folder_open(&site, "/srv/site"));
 *     rc = weft_file_load(path_from_a_stranger, 1024 * 1024, &page, .beneath = site);    // -EXDEV if it would lead out
 *
 * Beneath a folder, ".." and links lead only to where they stay in it, also when somebody changes links and folders at that
 * moment. (The kernel sees to it, Linux 5.6 and later; elsewhere "..", and links, are refused altogether.)
 *
 * The waiting calls are as those of weft/file.h: in threads, on copies, cut short at once.
 */
#ifndef WEFT_FOLDER_H
#define WEFT_FOLDER_H

#include <weft/file.h>

#ifdef __cplusplus
extern "C" {
#endif

/* May wait. Opens a folder to begin paths in. It need not be readable. 0; -ENOTDIR, -ENOENT and the like; -ENOMEM; the reason.
 */
#define weft_folder_open(ret, path, ...)                                                                                       \
    weft_folder_open_((ret), (path), &(weft_file_options){ .struct_size = sizeof(weft_file_options), __VA_ARGS__ }, __FILE__,  \
                      __LINE__)
WEFT_API WEFT_WAITS int weft_folder_open_(weft_folder **ret, const char *path, const weft_file_options *options,
                                          const char *file, int line);

/* The end of it; calls that use it end well. Never waits. NULL is fine. */
WEFT_API void weft_folder_close(weft_folder *folder);

/* weft_folder_close for __attribute__((cleanup(weft_folder_drop))). */
WEFT_API void weft_folder_drop(weft_folder **folder);

/* May wait. Makes a folder (.permissions; 0 is 0777 less the umask). 0; -EEXIST there is something of that name; -ENOENT the
 * folder around it is missing. */
#define weft_folder_make(path, ...)                                                                                            \
    weft_folder_make_((path), &(weft_file_options){ .struct_size = sizeof(weft_file_options), __VA_ARGS__ })
WEFT_API WEFT_WAITS int weft_folder_make_(const char *path, const weft_file_options *options);

/* May wait. Makes a folder of a new name for this user alone (0700), in `parent` (NULL: $TMPDIR, or /tmp), and puts its path
 * into buf, NUL-terminated. 0; -ERANGE the path does not fit; as weft_folder_make. Cut short, it may leave an empty folder. */
WEFT_API WEFT_WAITS int weft_folder_temporary(char *buf, size_t size, const char *parent);

/* May wait. Removes an empty folder. 0; -ENOTEMPTY; -ENOTDIR; -ENOENT. */
#define weft_folder_remove(path, ...)                                                                                          \
    weft_folder_remove_((path), false, &(weft_file_options){ .struct_size = sizeof(weft_file_options), __VA_ARGS__ })

/* May wait. Removes a folder and all that is in it (or a file). Links are removed, never followed: whatever is changed
 * meanwhile, nothing outside goes. 0; the first error, and then it has removed what it could; -ELOOP more than 200 folders
 * within each other. Cut short, it stops. */
#define weft_folder_remove_tree(path, ...)                                                                                     \
    weft_folder_remove_((path), true, &(weft_file_options){ .struct_size = sizeof(weft_file_options), __VA_ARGS__ })
WEFT_API WEFT_WAITS int weft_folder_remove_(const char *path, bool whole_tree, const weft_file_options *options);

/* ---- walking ----
 *
 *     weft_walk *walk __attribute__((cleanup(weft_walk_drop))) = NULL;
 *     weft_walk_entry entry;
 *     WEFT_TRY(weft_walk_open(&walk, "/srv/site"));
 *     while ((rc = weft_walk_next(walk, &entry)) > 0)
 *         printf("%s\n", entry.path);
 */
typedef struct weft_walk weft_walk;

typedef struct weft_walk_options {
    size_t struct_size;
    weft_folder *beneath; /* as for files */
    int depth;            /* folders within each other that it enters; 1 lists only the folder itself; 0 is 64, at most 200 */
} weft_walk_options;

typedef struct weft_walk_entry {
    const char *path; /* from the folder walked on: "a/b.txt"; until the next call */
    const char *name; /* the last part of it */
    int depth;        /* 1 in the folder itself */
    enum weft_file_type type;
    int error; /* of a folder that could not be entered: -EACCES ...; told once more, after the entry itself; else 0 */
} weft_walk_entry;

/* May wait. Opens a folder to walk through all that is in it. 0 or as weft_folder_open. */
#define weft_walk_open(ret, path, ...)                                                                                         \
    weft_walk_open_((ret), (path), &(weft_walk_options){ .struct_size = sizeof(weft_walk_options), __VA_ARGS__ }, __FILE__,    \
                    __LINE__)
WEFT_API WEFT_WAITS int weft_walk_open_(weft_walk **ret, const char *path, const weft_walk_options *options, const char *file,
                                        int line);

/* May wait. The next entry, a folder's own before what is in it; otherwise in no order. Links are told, not followed. What
 * comes or goes meanwhile may be told or not. 1; 0 at the end; < 0: -EIO and the like, -ENOMEM, -EBUSY another task is asking,
 * WEFT_ECLOSED it was closed meanwhile; the reason, after which it goes on where it was. */
WEFT_API WEFT_WAITS int weft_walk_next(weft_walk *walk, weft_walk_entry *ret);

/* The folder that was told last is not entered. Never waits. */
WEFT_API void weft_walk_skip(weft_walk *walk);

/* The end of it, at any time. Never waits. NULL is fine. */
WEFT_API void weft_walk_close(weft_walk *walk);

/* weft_walk_close for __attribute__((cleanup(weft_walk_drop))). */
WEFT_API void weft_walk_drop(weft_walk **walk);

#ifdef __cplusplus
}
#endif
#endif
