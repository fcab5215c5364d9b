/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Files: written, read, read by line; a disk that takes its time (a FIFO, here) does not keep the loop waiting. */
#include <weft.h>
#include <stdio.h>
#include <sys/stat.h>

static int tick(void *arg)
{
    for (;;) {
        WEFT_TRY(weft_sleep(10 * WEFT_MILLISECOND));
        ++*(int *)arg;
    }
}

static int print_lines(const char *path, int most)
{
    weft_file *f __attribute__((cleanup(weft_file_drop))) = NULL;
    weft_bytes line;
    int rc = 0;
    WEFT_TRY(weft_file_open(&f, path, "r"));
    for (int number = 1; number <= most && (rc = weft_file_line(f, &line)) > 0; number++)
        printf("line %d: %s\n", number, line.data);
    return rc;
}

static int append(const char *path, const char *text, size_t size)
{
    weft_file *f __attribute__((cleanup(weft_file_drop))) = NULL;
    WEFT_TRY(weft_file_open(&f, path, "a"));
    WEFT_TRY(weft_file_write(f, text, size));
    return weft_file_sync(f);
}

/* Opened both ways, so that it is there for the reader from the beginning. */
static int write_late(void *path)
{
    weft_file *f __attribute__((cleanup(weft_file_drop))) = NULL;
    WEFT_TRY(weft_file_open(&f, path, "r+"));
    WEFT_TRY(weft_sleep(100 * WEFT_MILLISECOND));
    return weft_file_write(f, "at last\n", 8);
}

static int read_slowly(const char *path)
{
    int ticks = 0;
    WEFT_GROUP (background) {
        weft_go(&background, tick, &ticks);
        weft_go(&background, write_late, path);
        WEFT_TRY(weft_sleep(20 * WEFT_MILLISECOND));
        int before = ticks;
        WEFT_TRY(print_lines(path, 1));
        printf("meanwhile the ticker went on: %s\n", ticks - before >= 3 ? "yes" : "no");
        break;
    }
    return background.result;
}

static int use_files(void *unused)
{
    (void)unused;
    char folder[256], names[300], slow[300];
    weft_bytes text __attribute__((cleanup(weft_bytes_drop))) = { 0 };
    WEFT_TRY(weft_folder_temporary(folder, sizeof folder, NULL));
    snprintf(names, sizeof names, "%s/names", folder);
    snprintf(slow, sizeof slow, "%s/slow", folder);

    WEFT_TRY(weft_file_save(names, "Ann\nBob\n", 8)); /* replaces it whole, or not at all */
    WEFT_TRY(append(names, "Cid\n", 4));
    WEFT_TRY(weft_file_load(names, 1024, &text)); /* 1024 bytes at most */
    printf("%zu bytes\n", text.size);
    WEFT_TRY(print_lines(names, 10));

    mkfifo(slow, 0600);
    WEFT_TRY(read_slowly(slow));
    return weft_folder_remove_tree(folder);
}

int main(void)
{
    return weft_run(use_files, NULL) < 0;
}
