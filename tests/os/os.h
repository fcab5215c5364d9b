/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* What the tests of lib/os share: a folder of their own, plain files in it, counting descriptors, and disks that hang. */
#ifndef WEFT_TESTS_OS_H
#define WEFT_TESTS_OS_H

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <weft/folder.h>

#include "lib/base/sanitize.h"
#include "lib/task/threads.h"
#include "tests/core/core.h"

/* The folder of this program, made by OS_TEST_MAIN. */
static char os_root[64];

/* root/name; of the last eight calls. */
static inline const char *os_path(const char *name)
{
    static char paths[8][512];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", os_root, name);
    return path;
}

static inline void os_put(const char *name, const char *text)
{
    FILE *file = fopen(os_path(name), "w");
    WEFT_CHECK(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

/* The content, or "(missing)"; of the last call. */
static inline const char *os_get(const char *name)
{
    static char text[4096];
    FILE *file = fopen(os_path(name), "r");
    if (!file)
        return "(missing)";
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

static inline bool os_has(const char *name, const char *text)
{
    return strcmp(os_get(name), text) == 0;
}

/* How many names a folder has beside "." and ".."; -1 without one. */
static inline int os_count(const char *path)
{
    DIR *folder = opendir(path);
    int count = -2;
    while (folder && readdir(folder))
        count++;
    if (folder)
        closedir(folder);
    return folder ? count : -1;
}

/* Open descriptors of this process. */
static inline int os_descriptors(void)
{
    return os_count("/proc/self/fd") - 1;
}

/* Keeps the whole loop waiting, so that threads get to end what they have begun. */
static inline void os_block(long milliseconds)
{
    nanosleep(&(struct timespec){ .tv_nsec = milliseconds * 1000000 }, NULL);
}

/* Jobs that keep all threads for files at work until a byte comes for each. */
struct os_gate {
    int ends[2];
    weft_job jobs[4];
    int open;
};

static inline int os_stand(void *arg)
{
    char byte;
    return read(((struct os_gate *)arg)->ends[0], &byte, 1) == 1 ? 0 : -EIO;
}

static inline void os_passed(weft_job *job)
{
    ((struct os_gate *)job->arg)->open++;
}

static inline void os_shut(struct os_gate *gate)
{
    WEFT_CHECK(pipe(gate->ends) == 0);
    gate->open = 0;
    for (size_t i = 0; i < COUNT(gate->jobs); i++) {
        gate->jobs[i] = (weft_job){ .fn = os_stand, .arg = gate, .name = "gate", .done = os_passed };
        WEFT_CHECK(weft_threads_submit(WEFT_THREADS_FILES, &gate->jobs[i], false) == 0);
    }
}

static inline int os_open_gate(struct os_gate *gate)
{
    WEFT_CHECK(write(gate->ends[1], "0123", 4) == 4);
    while (gate->open < 4)
        WEFT_TRY(weft_yield());
    close(gate->ends[0]);
    close(gate->ends[1]);
    return 0;
}

static inline void os_remove_root(void)
{
    char command[192];
    snprintf(command, sizeof command, "chmod -R u+rwx %s; rm -rf %s", os_root, os_root);
    if (system(command) != 0)
        fprintf(stderr, "cannot remove %s\n", os_root);
}

/* Empties the folder, so that a test can be repeated. */
static inline void os_renew_root(void)
{
    os_remove_root();
    WEFT_CHECK(mkdir(os_root, 0700) == 0);
}

#ifdef WEFT_TSAN
/* libuv closes descriptors by a bare syscall(), which the sanitizer does not see: it takes the next one of that number for the
 * one before, which another thread has made. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:weft_spawn_run\nrace:weft_fd_of_syscall\n";
}
#endif

/* Has the kernel a call by this number? Valgrind 3.19 knows neither openat2 nor pidfd_open. */
static inline bool os_has_call(long number)
{
    return syscall(number, -1, NULL, NULL, 0) >= 0 || errno != ENOSYS;
}

static inline int os_test_main(const weft_test *tests, size_t count, int argc, char **argv)
{
    snprintf(os_root, sizeof os_root, "/tmp/weft-os-XXXXXX");
    if (!mkdtemp(os_root))
        return 2;
    int status = weft_test_main(tests, count, argc, argv);
    os_remove_root();
    return status;
}

/* For tests of child processes, which need pidfd_open. */
#define OS_CHILD_TEST_MAIN(tests)                                                                                              \
    int main(int argc, char **argv)                                                                                            \
    {                                                                                                                          \
        if (!os_has_call(SYS_pidfd_open)) {                                                                                    \
            puts("1..0 # SKIP there is no pidfd_open");                                                                        \
            return 0;                                                                                                          \
        }                                                                                                                      \
        return os_test_main(tests, COUNT(tests), argc, argv);                                                                  \
    }

#define OS_TEST_MAIN(tests)                                                                                                    \
    int main(int argc, char **argv)                                                                                            \
    {                                                                                                                          \
        return os_test_main(tests, COUNT(tests), argc, argv);                                                                  \
    }

#endif
