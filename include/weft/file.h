/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Files: reading and writing them without keeping the loop waiting for a disk.
 *
 *     weft_file *f __attribute__((cleanup(weft_file_drop))) = NULL;
 *     weft_bytes line;
 *     int rc;
 *     WEFT_TRY(weft_file_open(&f, "names.txt", "r"));
 *     while ((rc = weft_file_line(f, &line)) > 0)
 *         puts(line.data);
 *
 * What may take long is done in a thread: each loop has a few for files alone, so a slow disk keeps neither the loop nor name
 * look-ups waiting. A thread works on copies, never on the caller's memory, so every call can be cut short at once. What its
 * thread had begun goes on:
 *
 *     a call that only looks (open to read, read, line, load, stat, a walk) leaves no trace; what it got is given back
 *     a call that changes something may have changed it, wholly or in part, or may do so a little later: later calls on the
 *     same weft_file wait for that first, and weft_file_save replaces its file whole or not at all
 *
 * A call that is cut before its thread has begun has done nothing. The loop's end waits for the threads.
 *
 * Paths are looked up from the current directory; with .beneath = folder (weft/folder.h) from that folder, and nothing outside
 * it is ever reached. Descriptors are close-on-exec. A file is for the tasks of one loop.
 */
#ifndef WEFT_FILE_H
#define WEFT_FILE_H

#include <weft/error.h>
#include <weft/time.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_file weft_file;
typedef struct weft_folder weft_folder;

typedef struct weft_file_options {
    size_t struct_size;
    weft_folder *beneath; /* where the path begins, and what it does not leave (-EXDEV if it would); NULL for neither */
    int permissions;      /* of a file that is made: 0600 ...; 0 is 0666 less the umask (for weft_file_save see there) */
    size_t line_limit;    /* bytes of a line, without its end, that weft_file_line takes; 0 is 64 KiB */
} weft_file_options;

/* ---- whole files ---- */

/* May wait. Reads the whole file into memory of its own, ret->data (a NUL follows), to be given back by weft_bytes_drop. 0;
 * or else *ret is empty: -EFBIG it is larger than `limit` bytes; -ENOENT, -EACCES, -EISDIR and the like; -EAGAIN a FIFO or
 * terminal in which there is nothing yet (open that, and read it); -ENOMEM; the reason.
 *
 *     weft_file_load("config.json", 64 * 1024, &text, .beneath = folder)
 */
#define weft_file_load(path, limit, ret, ...)                                                                                  \
    weft_file_load_((path), (limit), (ret), &(weft_file_options){ .struct_size = sizeof(weft_file_options), __VA_ARGS__ })
WEFT_API WEFT_WAITS int weft_file_load_(const char *path, size_t limit, weft_bytes *ret, const weft_file_options *options);

/* May wait. Makes these bytes the whole content of the file, made if it was not there: whoever reads it sees the former content
 * or the new one, never a mixture, and so does who looks after a power cut. (A new file beside it is written, synced, renamed
 * over it, and the folder is synced.) A new file has .permissions, a former one's are kept unless .permissions is given, but
 * for those to run as its owner or group (04000, 02000), and its group if that may be (else the group that it gets may only do
 * what all may); the owner becomes this process. A link is replaced, not followed. 0; -ENOSPC and the like, -ENOMEM, the
 * reason: then the former content stands, unless a thread had begun, which goes on, or it was the folder that could not be
 * synced (-EIO): then the new content is there, and a power cut may yet bring back the former. */
#define weft_file_save(path, data, size, ...)                                                                                  \
    weft_file_save_((path), (data), (size), &(weft_file_options){ .struct_size = sizeof(weft_file_options), __VA_ARGS__ })
WEFT_API WEFT_WAITS int weft_file_save_(const char *path, const void *data, size_t size, const weft_file_options *options);

/* Gives back the memory of what weft_file_load or weft_process_run made, and empties it. For __attribute__((cleanup)) too. */
WEFT_API void weft_bytes_drop(weft_bytes *bytes);

/* ---- open files ---- */

/* May wait. Opens a file, as fopen's modes say: "r" reads, "w" makes it or empties it, "a" makes it and writes at the end; "+"
 * both reads and writes; "x" after "w" or "a" makes a new one, and fails with -EEXIST. ("b" and "e" change nothing.) 0 with
 * *ret set; -EINVAL another mode; -EISDIR; -ENXIO a FIFO that nobody reads from; -ENOENT and the like; -ENOMEM; the reason.
 * Opening never waits for the other end of a FIFO. A read from one, or from a terminal, waits in the loop, not in a thread. */
#define weft_file_open(ret, path, mode, ...)                                                                                   \
    weft_file_open_((ret), (path), (mode), &(weft_file_options){ .struct_size = sizeof(weft_file_options), __VA_ARGS__ },      \
                    __FILE__, __LINE__)
WEFT_API WEFT_WAITS int weft_file_open_(weft_file **ret, const char *path, const char *mode, const weft_file_options *options,
                                        const char *file, int line);

/* May wait. A new file without a name, to write and read ("w+"), in `folder` (NULL: $TMPDIR, or /tmp); it goes away with its
 * close. (On a file system without such files it has one for a moment.) 0 or as weft_file_open. */
#define weft_file_temporary(ret, folder) weft_file_temporary_((ret), (folder), __FILE__, __LINE__)
WEFT_API WEFT_WAITS int weft_file_temporary_(weft_file **ret, const char *folder, const char *file, int line);

/* May wait. Closes it and frees it: call it once, it is never refused and cannot be used afterwards whatever is returned.
 * Returns 0; or an error of earlier writes that only now came to light (some network file systems); or the reason that cut the
 * wait short: then it is closed a little later. Calls of other tasks that have begun end first. NULL is fine. */
WEFT_API int weft_file_close(weft_file *f);

/* The same without waiting, for __attribute__((cleanup(weft_file_drop))): an error goes to the log. */
WEFT_API void weft_file_drop(weft_file **f);

/* The calls below fail with -EBADF if the mode does not allow them, with -EBUSY if another task is in one of those that move
 * the position (read, line, write) and they do too, and with WEFT_ECLOSED if another task closes the file before they begin (a
 * line: before it has come). */

/* May wait. Reads from the position on what is there, at most `size` bytes and at most 256 KiB, at least one. The count; 0 at
 * the end (of a FIFO, also while nobody has it open to write); -EINVAL for a size of 0, -EIO and the like, -ENOMEM, the reason:
 * then the position has not moved, and nothing is lost. */
WEFT_API WEFT_WAITS int64_t weft_file_read(weft_file *f, void *buf, size_t size);

/* May wait. The same from `offset` on, whatever the position; several tasks may do so at once. -ESPIPE where there is none. */
WEFT_API WEFT_WAITS int64_t weft_file_pread(weft_file *f, void *buf, size_t size, int64_t offset);

/* May wait. Writes all of it at the position ("a": at the end). 0; -ENOSPC, -EFBIG, -EIO and the like, -ENOMEM, the reason:
 * then a part of it may have been written, and the position is behind what is known to be. */
WEFT_API WEFT_WAITS int weft_file_write(weft_file *f, const void *data, size_t size);

/* May wait. The same at `offset`, whatever the position; several tasks may do so at once. */
WEFT_API WEFT_WAITS int weft_file_pwrite(weft_file *f, const void *data, size_t size, int64_t offset);

/* May wait. The next line, ended by "\n" or the end of the file: 1 with *ret_line set (its end is left out, a NUL follows)
 * until the next call on the file; 0 at the end; -EMSGSIZE it is longer than .line_limit (the next call goes on behind it);
 * errors as weft_file_read. A "\r" before the end stays. */
WEFT_API WEFT_WAITS int weft_file_line(weft_file *f, weft_bytes *ret_line);

/* Moves the position of the next read or write to `offset` bytes from the beginning. Never waits. 0; -EINVAL for < 0; -ESPIPE
 * for what has no positions; -EBUSY. */
WEFT_API WEFT_MUST int weft_file_seek(weft_file *f, int64_t offset);

/* The position: where weft_file_read, write or line goes on. */
WEFT_API int64_t weft_file_position(const weft_file *f);

/* May wait. Makes the file `size` bytes long, cutting it off or adding zero bytes. The position stays. 0, or < 0. */
WEFT_API WEFT_WAITS int weft_file_truncate(weft_file *f, int64_t size);

/* May wait. Returns once what was written is on the disk: 0; or -EIO, and then what has been lost is not known. */
WEFT_API WEFT_WAITS int weft_file_sync(weft_file *f);

/* Its descriptor, for other libraries; stays Weft's, and open until the close. That of a FIFO or a terminal is non-blocking. */
WEFT_API int weft_file_fd(const weft_file *f);

/* ---- what is known of files ---- */

enum weft_file_type { WEFT_FILE_REGULAR, WEFT_FILE_FOLDER, WEFT_FILE_LINK, WEFT_FILE_OTHER };

typedef struct weft_file_info {
    enum weft_file_type type;
    int permissions;        /* 0755 ... */
    int64_t size;           /* bytes */
    int64_t modified;       /* nanoseconds since 1970 began (UTC) */
    uint32_t user, group;   /* numbers of the owners */
    uint64_t device, inode; /* together the same for the same file */
    uint64_t links;         /* names that it has */
} weft_file_info;

/* May wait. What is known of an open file. 0, or < 0. */
WEFT_API WEFT_WAITS int weft_file_get_info(weft_file *f, weft_file_info *ret);

/* May wait. What is known of what a path names; of a link, that of what it leads to (_stat), or of the link itself (_lstat).
 * 0; -ENOENT and the like. */
#define weft_file_stat(path, ret, ...)                                                                                         \
    weft_file_stat_((path), true, (ret), &(weft_file_options){ .struct_size = sizeof(weft_file_options), __VA_ARGS__ })
#define weft_file_lstat(path, ret, ...)                                                                                        \
    weft_file_stat_((path), false, (ret), &(weft_file_options){ .struct_size = sizeof(weft_file_options), __VA_ARGS__ })
WEFT_API WEFT_WAITS int weft_file_stat_(const char *path, bool follows, weft_file_info *ret, const weft_file_options *options);

/* May wait. Gives what `from` names the name `to`, on the same file system, replacing a file that has it. Both begin in
 * .beneath. 0; -ENOENT, -EXDEV and the like. */
#define weft_file_rename(from, to, ...)                                                                                        \
    weft_file_rename_((from), (to), &(weft_file_options){ .struct_size = sizeof(weft_file_options), __VA_ARGS__ })
WEFT_API WEFT_WAITS int weft_file_rename_(const char *from, const char *to, const weft_file_options *options);

/* May wait. Removes a name of a file, or a link; with its last name, and close, the file goes. 0; -ENOENT; -EISDIR a folder. */
#define weft_file_remove(path, ...)                                                                                            \
    weft_file_remove_((path), &(weft_file_options){ .struct_size = sizeof(weft_file_options), __VA_ARGS__ })
WEFT_API WEFT_WAITS int weft_file_remove_(const char *path, const weft_file_options *options);

#ifdef __cplusplus
}
#endif
#endif
