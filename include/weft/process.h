/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Child processes: other programs, with streams to talk to them.
 *
 *     weft_process_result done = { 0 };
 *     WEFT_TRY(weft_process_run(&done, WEFT_ARGV("sort", "-u"), .input = words, .timeout = 10 * WEFT_SECOND));
 *     fwrite(done.output.data, 1, done.output.size, stdout);
 *     weft_process_result_drop(&done);
 *
 * or, to talk while it runs:
 *
 *     weft_process *p __attribute__((cleanup(weft_process_drop))) = NULL;
 *     WEFT_TRY(weft_process_open(&p, WEFT_ARGV("bc"), .input = WEFT_IO_PIPE, .output = WEFT_IO_PIPE));
 *     WEFT_TRY(weft_stream_write(weft_process_input(p), "6 * 7\n", 6));
 *     n = weft_stream_read(weft_process_output(p), buf, sizeof buf);
 *     ...
 *     WEFT_TRY(weft_process_wait(p, &status));
 *
 * No shell is between: arguments arrive as they are. The child gets its three standard descriptors and no other; no signal is
 * blocked in it, and SIGPIPE, SIGCHLD and SIGXFSZ are not ignored (what else this program ignores, as under nohup, it ignores
 * too).
 *
 * A child never outlives its weft_process, and never stays behind as a zombie: it is reaped when it ends, whether anybody waits
 * or not (one of .own_group when it is closed, for its number is the group's). A child that has not ended when its weft_process
 * is closed or dropped gets SIGTERM, and SIGKILL when it has not ended after .grace; the loop sees to that even when nobody
 * waits any more. At the loop's end what is left is killed. The program must not ignore SIGCHLD, nor wait for children of which
 * it does not know (wait, waitpid(-1)): both lose their status.
 *
 * A process is for the tasks of one loop. Linux 5.3 or later.
 */
#ifndef WEFT_PROCESS_H
#define WEFT_PROCESS_H

#include <weft/file.h>
#include <weft/stream.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_process weft_process;

/* Where a standard descriptor of the child leads. */
enum weft_io {
    WEFT_IO_INHERIT, /* where this program's does */
    WEFT_IO_PIPE,    /* to a stream: weft_process_input, _output, _errors */
    WEFT_IO_NULL,    /* /dev/null */
    WEFT_IO_OUTPUT,  /* .errors only: where .output does */
    WEFT_IO_FD_BASE_ = 16
};
#define WEFT_IO_FD(fd) (WEFT_IO_FD_BASE_ + (fd)) /* to this descriptor, which stays the caller's: weft_file_fd(log) */

typedef struct weft_process_options {
    size_t struct_size;
    const char *const *environment; /* "NAME=value" ..., NULL; NULL is this program's */
    const char *folder;             /* where it begins; NULL is this program's current one */
    int input, output, errors;      /* WEFT_IO_ */
    bool own_group;                 /* in a process group of its own, which does not outlive the process either */
    weft_duration grace;            /* from SIGTERM to SIGKILL; 0 is two seconds */
} weft_process_options;

/* An argument vector in place: WEFT_ARGV("ls", "-l", path). */
#define WEFT_ARGV(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* May wait. Starts a program: argv[0], looked up in this program's PATH if there is no "/" in it, with the arguments argv,
 * which end with NULL. Returns 0 with *ret set once the program runs; or < 0, with no child: -ENOENT, -EACCES, -ENOEXEC and the
 * like, also of .folder; -E2BIG; -EAGAIN, -ENOMEM, -EMFILE; -EINVAL; -ENOSYS no pidfd_open; the reason. Everything is copied.
 * weft_process_open(&p, WEFT_ARGV("make", "-j2"), .folder = "/src") */
#define weft_process_open(ret, argv, ...)                                                                                      \
    weft_process_open_((ret), (argv), &(weft_process_options){ .struct_size = sizeof(weft_process_options), __VA_ARGS__ },     \
                       __FILE__, __LINE__)
WEFT_API WEFT_WAITS int weft_process_open_(weft_process **ret, const char *const *argv, const weft_process_options *options,
                                           const char *file, int line);

/* The other ends of the child's pipes, or NULL where there is none. They belong to the process: neither close them (for the
 * input see weft_process_end_input; weft_stream_shutdown is for sockets) nor use them after it. What a child wrote can be read
 * after its end. */
WEFT_API weft_stream *weft_process_input(const weft_process *p);
WEFT_API weft_stream *weft_process_output(const weft_process *p);
WEFT_API weft_stream *weft_process_errors(const weft_process *p);

/* Closes the pipe to the child's input, so that it reads an end behind what was written. Idempotent. Never waits. */
WEFT_API void weft_process_end_input(weft_process *p);

typedef struct weft_process_status {
    int code;   /* what it exited with, 0 to 255; -1 if a signal ended it */
    int signal; /* that signal; 0 if it exited */
} weft_process_status;

/* May wait. Waits until the child has ended, and tells how. Several tasks may wait, and ask again. 0; -ECHILD it has ended, but
 * somebody else has taken the status; WEFT_ECLOSED it was closed meanwhile; the reason: the child is not concerned. */
WEFT_API WEFT_WAITS int weft_process_wait(weft_process *p, weft_process_status *ret);

/* Sends a signal to the child (.own_group: to its group). 0; -ESRCH it has ended; -EPERM, -EINVAL. Never waits. */
WEFT_API int weft_process_kill(weft_process *p, int signal);

/* Its number, for reports: after its end it may be another's. */
WEFT_API int weft_process_id(const weft_process *p);

/* May wait. Ends the child, as said above, if it has not ended, and frees the process; once, it is never refused. It waits for
 * the child's end, under a shield: reasons do not cut it short, except for the last stage of stopping, which kills the child at
 * once. With .own_group, signals go to all of the group, and what is left of it when the child has ended is killed. NULL is
 * fine. */
WEFT_API void weft_process_close(weft_process *p);

/* The same without waiting, for __attribute__((cleanup(weft_process_drop))): the loop sees to the rest. */
WEFT_API void weft_process_drop(weft_process **p);

/* ---- whole runs ---- */

typedef struct weft_process_result {
    weft_process_status status;
    weft_bytes output, errors; /* what it wrote, a NUL behind each (no errors if joined); for weft_process_result_drop */
} weft_process_result;

typedef struct weft_process_run_options {
    size_t struct_size;
    weft_bytes input;      /* what the child reads, and then an end */
    weft_duration timeout; /* for all of it; 0 or WEFT_NO_LIMIT for none */
    size_t limit;          /* bytes of the output, and of the errors; 0 is 16 MiB */
    bool joins_errors;     /* into the output, as 2>&1 does */
    const char *const *environment;
    const char *folder;
    weft_duration grace;
} weft_process_run_options;

/* May wait. Runs a program to its end, in a process group of its own: gives it `input`, collects what it writes. Returns 0 when
 * it has ended and both its outputs are closed, however it ended: look at ret->status. (Of what it has left running in its
 * group nothing stays.) Otherwise the child, and its group, has been ended (see weft_process_close), and *ret is empty:
 * WEFT_EDEADLINE, also for .timeout; -EFBIG it wrote more than the limit; the reason; -ENOMEM; as weft_process_open. That the
 * child does not read all its input is no error. weft_process_run(&done, WEFT_ARGV("convert", from, to), .timeout =
 * WEFT_MINUTE) */
#define weft_process_run(ret, argv, ...)                                                                                       \
    weft_process_run_((ret), (argv),                                                                                           \
                      &(weft_process_run_options){ .struct_size = sizeof(weft_process_run_options), __VA_ARGS__ })
WEFT_API WEFT_WAITS int weft_process_run_(weft_process_result *ret, const char *const *argv,
                                          const weft_process_run_options *options);

/* Gives back what weft_process_run made, and empties it. For __attribute__((cleanup)) too. */
WEFT_API void weft_process_result_drop(weft_process_result *result);

#ifdef __cplusplus
}
#endif
#endif
