/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Files: what each call does, and how it fails. */
#include <grp.h>

#include "lib/os/file.h"
#include "tests/core/child.h"
#include "tests/os/os.h"

static int modes(void)
{
    os_renew_root();
    weft_file *f;
    char buf[16];
    WEFT_TRY(weft_file_open(&f, os_path("modes"), "w"));
    WEFT_CHECK(weft_file_read(f, buf, 1) == -EBADF);
    WEFT_TRY(weft_file_write(f, "hello", 5));
    WEFT_CHECK(weft_file_position(f) == 5);
    WEFT_TRY(weft_file_close(f));
    WEFT_CHECK(os_has("modes", "hello"));

    WEFT_TRY(weft_file_open(&f, os_path("modes"), "r"));
    WEFT_CHECK(weft_file_write(f, "x", 1) == -EBADF && weft_file_truncate(f, 0) == -EBADF);
    WEFT_CHECK(weft_file_read(f, buf, 2) == 2 && memcmp(buf, "he", 2) == 0);
    WEFT_CHECK(weft_file_read(f, buf, sizeof buf) == 3 && memcmp(buf, "llo", 3) == 0);
    WEFT_CHECK(weft_file_read(f, buf, sizeof buf) == 0 && weft_file_read(f, buf, 0) == -EINVAL);
    WEFT_TRY(weft_file_close(f));

    WEFT_TRY(weft_file_open(&f, os_path("modes"), "a"));
    WEFT_TRY(weft_file_write(f, ", you", 5));
    WEFT_TRY(weft_file_close(f));
    WEFT_TRY(weft_file_open(&f, os_path("modes"), "r+b"));
    WEFT_TRY(weft_file_write(f, "J", 1));
    WEFT_CHECK(weft_file_read(f, buf, 4) == 4 && memcmp(buf, "ello", 4) == 0);
    WEFT_TRY(weft_file_close(f));
    WEFT_CHECK(os_has("modes", "Jello, you"));

    WEFT_CHECK(weft_file_open(&f, os_path("modes"), "wx") == -EEXIST);
    WEFT_TRY(weft_file_open(&f, os_path("new"), "wx", .permissions = 0600));
    weft_file_info info;
    WEFT_TRY(weft_file_get_info(f, &info));
    WEFT_CHECK(info.type == WEFT_FILE_REGULAR && info.permissions == 0600 && info.size == 0 && info.links == 1);
    WEFT_TRY(weft_file_close(f));
    static const char *const wrong[] = { "", "q", "rx", "r++x", "rw" };
    for (size_t i = 0; i < COUNT(wrong); i++)
        WEFT_CHECK(weft_file_open(&f, os_path("modes"), wrong[i]) == -EINVAL);
    WEFT_CHECK(weft_file_open(&f, os_path("nothing"), "r") == -ENOENT);
    WEFT_CHECK(weft_file_open(&f, os_root, "r") == -EISDIR);
    return weft_file_close(NULL);
}

static int positions(void)
{
    weft_file *f;
    char buf[8];
    WEFT_TRY(weft_file_open(&f, os_path("positions"), "w+"));
    WEFT_TRY(weft_file_pwrite(f, "abcdef", 6, 2));
    WEFT_CHECK(weft_file_position(f) == 0 && weft_file_pread(f, buf, 3, 4) == 3 && memcmp(buf, "cde", 3) == 0);
    WEFT_CHECK(weft_file_pread(f, buf, 3, 100) == 0 && weft_file_pread(f, buf, 3, -1) == -EINVAL);
    WEFT_CHECK(weft_file_seek(f, -1) == -EINVAL && weft_file_seek(f, 6) == 0);
    WEFT_CHECK(weft_file_read(f, buf, 8) == 2 && memcmp(buf, "ef", 2) == 0 && weft_file_position(f) == 8);
    WEFT_TRY(weft_file_truncate(f, 3));
    WEFT_TRY(weft_file_sync(f));
    weft_file_info info;
    WEFT_TRY(weft_file_get_info(f, &info));
    WEFT_CHECK(info.size == 3 && weft_file_position(f) == 8);
    return weft_file_close(f);
}

/* More than a work takes at a time. */
static int large_files(void)
{
    size_t size = 1000 * 1000;
    char *data = malloc(size), *back = malloc(size);
    for (size_t i = 0; i < size; i++)
        data[i] = (char)(i * i >> 7);
    weft_file *f;
    WEFT_TRY(weft_file_open(&f, os_path("large"), "w+"));
    WEFT_TRY(weft_file_write(f, data, size));
    WEFT_CHECK(weft_file_seek(f, 0) == 0);
    size_t got = 0;
    int64_t n;
    while ((n = weft_file_read(f, back + got, size - got)) > 0)
        got += (size_t)n;
    WEFT_CHECK(got == size && memcmp(data, back, size) == 0);
    WEFT_TRY(weft_file_close(f));
    weft_bytes loaded;
    WEFT_CHECK(weft_file_load(os_path("large"), size - 1, &loaded) == -EFBIG);
    WEFT_TRY(weft_file_load(os_path("large"), size, &loaded));
    WEFT_CHECK(loaded.size == size && memcmp(loaded.data, data, size) == 0 && loaded.data[size] == '\0');
    weft_bytes_drop(&loaded);
    WEFT_CHECK(loaded.data == NULL && loaded.size == 0);
    free(data);
    free(back);
    return 0;
}

static int full_disk(void)
{
    weft_file *f;
    WEFT_TRY(weft_file_open(&f, "/dev/full", "w"));
    WEFT_CHECK(weft_file_write(f, "x", 1) == -ENOSPC);
    WEFT_CHECK(weft_file_write(f, "x", 1) == -ENOSPC);
    WEFT_CHECK(weft_file_position(f) == 0);
    return weft_file_close(f);
}

/* ---- lines ---- */

static int expect_line(weft_file *f, const char *expected)
{
    weft_bytes line = { 0 };
    int rc = weft_file_line(f, &line);
    WEFT_CHECK(rc == 1 && line.size == strlen(expected) && strcmp(line.data, expected) == 0);
    return rc;
}

static int lines(void)
{
    weft_file *f;
    weft_bytes line;
    char rest[8];
    os_put("lines", "one\n\nthree\r\nlast");
    WEFT_TRY(weft_file_open(&f, os_path("lines"), "r+"));
    WEFT_TRY(expect_line(f, "one"));
    WEFT_CHECK(weft_file_position(f) == 4);
    WEFT_TRY(expect_line(f, ""));
    WEFT_TRY(expect_line(f, "three\r"));
    WEFT_CHECK(weft_file_read(f, rest, 2) == 2 && memcmp(rest, "la", 2) == 0);
    WEFT_TRY(expect_line(f, "st"));
    WEFT_CHECK(weft_file_line(f, &line) == 0 && weft_file_line(f, &line) == 0);
    WEFT_TRY(weft_file_write(f, "\nmore\n", 6)); /* at the end: a reader that was there goes on */
    WEFT_CHECK(weft_file_line(f, &line) == 0 && weft_file_seek(f, 4) == 0);
    WEFT_TRY(expect_line(f, ""));
    WEFT_TRY(weft_file_write(f, "THR", 3)); /* where the next line begins, not behind what was read ahead */
    WEFT_TRY(expect_line(f, "ee\r"));
    WEFT_TRY(weft_file_close(f));
    WEFT_CHECK(os_has("lines", "one\n\nTHRee\r\nlast\nmore\n"));
    return 0;
}

/* Lines of all lengths around the limit and the size of a read. */
static int long_lines(void)
{
    enum { LIMIT = 40000 };
    static const size_t sizes[] = { LIMIT, LIMIT + 1, 0, 16383, 16384, 16385, 3 * LIMIT, 1, LIMIT + 1, LIMIT };
    FILE *file = fopen(os_path("long"), "w");
    for (size_t i = 0; i < COUNT(sizes); i++) {
        for (size_t n = 0; n < sizes[i]; n++)
            fputc((int)('a' + i), file);
        if (i + 1 < COUNT(sizes))
            fputc('\n', file);
    }
    fclose(file);
    weft_file *f;
    weft_bytes line;
    WEFT_TRY(weft_file_open(&f, os_path("long"), "r", .line_limit = LIMIT));
    for (size_t i = 0; i < COUNT(sizes); i++) {
        int rc = weft_file_line(f, &line);
        WEFT_CHECK(rc == (sizes[i] > LIMIT ? -EMSGSIZE : 1));
        WEFT_CHECK(rc < 0 || line.size == sizes[i]);
        WEFT_CHECK(rc < 0 || sizes[i] == 0 || (line.data[0] == (char)('a' + i) && line.data[line.size - 1] == line.data[0]));
    }
    WEFT_CHECK(weft_file_line(f, &line) == 0);
    return weft_file_close(f);
}

/* ---- whole files ---- */

static int saved_files(void)
{
    os_renew_root();
    weft_file_info info;
    weft_bytes text;
    WEFT_TRY(weft_file_save(os_path("saved"), "first", 5, .permissions = 0640));
    WEFT_TRY(weft_file_save(os_path("saved"), "second", 6));
    WEFT_TRY(weft_file_stat(os_path("saved"), &info));
    WEFT_CHECK(info.permissions == 0640 && info.size == 6 && os_has("saved", "second"));
    WEFT_TRY(weft_file_save(os_path("saved"), NULL, 0));
    WEFT_TRY(weft_file_load(os_path("saved"), 0, &text));
    WEFT_CHECK(text.size == 0 && text.data && text.data[0] == '\0');
    weft_bytes_drop(&text);

    WEFT_CHECK(chmod(os_path("saved"), 06755) == 0); /* the owner may be another one now */
    WEFT_TRY(weft_file_save(os_path("saved"), NULL, 0));
    WEFT_TRY(weft_file_stat(os_path("saved"), &info));
    WEFT_CHECK(info.permissions == 0755);

    WEFT_CHECK(symlink("saved", os_path("link")) == 0);
    WEFT_TRY(weft_file_save(os_path("link"), "third", 5));
    WEFT_CHECK(os_has("saved", "") && os_has("link", "third"));

    int before = os_count(os_root);
    WEFT_CHECK(weft_file_save(os_path("none/saved"), "x", 1) == -ENOENT);
    WEFT_CHECK(mkdir(os_path("folder"), 0700) == 0 && weft_file_save(os_path("folder"), "x", 1) == -EISDIR);
    WEFT_CHECK(weft_file_save(os_path(".."), "x", 1) == -EINVAL && weft_file_save("/", "x", 1) == -EINVAL);
    WEFT_CHECK(os_count(os_root) == before + 1); /* what was made beside has gone */
    memset(&text, 0xee, sizeof text);
    WEFT_CHECK(weft_file_load(os_path("folder"), 10, &text) == -EISDIR && !text.data && text.size == 0);
    WEFT_TRY(weft_file_load("/proc/self/status", 100000, &text)); /* its size is said to be 0 */
    WEFT_CHECK(text.size > 100 && strncmp(text.data, "Name:", 5) == 0);
    weft_bytes_drop(&text);
    return 0;
}

/* Its permissions are its group's, not another's. */
static int saved_with_its_group(void)
{
    enum { ANOTHER = 12345 };
    weft_file_info info;
    os_put("grouped", "former");
    if (chmod(os_path("grouped"), 0640) < 0 || chown(os_path("grouped"), (uid_t)-1, ANOTHER) < 0)
        return 0; /* only the superuser may give a file to any group */
    WEFT_TRY(weft_file_save(os_path("grouped"), "new", 3));
    WEFT_TRY(weft_file_stat(os_path("grouped"), &info));
    WEFT_CHECK(info.group == ANOTHER && info.permissions == 0640 && os_has("grouped", "new"));
    return 0;
}

static int save_as_nobody(void *unused)
{
    (void)unused;
    return weft_file_save(os_path("open/grouped"), "new", 3);
}

static int run_as_nobody(void)
{
    return setgroups(0, NULL) == 0 && setgid(65534) == 0 && setuid(65534) == 0 ? weft_run(save_as_nobody, NULL) : 1;
}

static int saved_without_its_group(void)
{
    if (geteuid() != 0)
        return 0;
    os_renew_root();
    WEFT_CHECK(chmod(os_root, 0755) == 0 && mkdir(os_path("open"), 0700) == 0 && chmod(os_path("open"), 0777) == 0);
    os_put("open/grouped", "former");
    WEFT_CHECK(chmod(os_path("open/grouped"), 0664) == 0 && chown(os_path("open/grouped"), 65534, 0) == 0);
    child c = child_run(run_as_nobody);
    struct stat st;
    WEFT_CHECK(child_exited_with(&c, 0) && stat(os_path("open/grouped"), &st) == 0);
    WEFT_CHECK(st.st_gid == 65534 && (st.st_mode & 07777) == 0644); /* the new group may no more than all may */
    return 0;
}

/* Readers see the one content or the other, whole. */
struct replacement {
    char contents[2][5000];
    bool ends;
    int reads;
};

static int replace_often(void *arg)
{
    struct replacement *r = arg;
    for (int i = 0; i < 40; i++)
        WEFT_TRY(weft_file_save(os_path("atomic"), r->contents[i % 2], sizeof r->contents[0]));
    r->ends = true;
    return 0;
}

static int read_often(void *arg)
{
    struct replacement *r = arg;
    while (!r->ends) {
        weft_bytes text;
        WEFT_TRY(weft_file_load(os_path("atomic"), 100000, &text));
        WEFT_CHECK(text.size == sizeof r->contents[0] &&
                   (memcmp(text.data, r->contents[0], text.size) == 0 || memcmp(text.data, r->contents[1], text.size) == 0));
        weft_bytes_drop(&text);
        r->reads++;
    }
    return 0;
}

static int saved_whole(void)
{
    static struct replacement r;
    memset(r.contents[0], 'a', sizeof r.contents[0]);
    memset(r.contents[1], 'b', sizeof r.contents[1]);
    WEFT_TRY(weft_file_save(os_path("atomic"), r.contents[1], sizeof r.contents[1]));
    WEFT_GROUP (g) {
        weft_go(&g, replace_often, &r);
        weft_go(&g, read_often, &r);
    }
    WEFT_CHECK(r.reads > 0);
    return g.result;
}

/* ---- names ---- */

static int names(void)
{
    os_renew_root();
    weft_file_info info, again;
    os_put("a", "a");
    WEFT_CHECK(symlink("a", os_path("to_a")) == 0 && symlink("nowhere", os_path("dangling")) == 0);
    WEFT_TRY(weft_file_stat(os_path("to_a"), &info));
    WEFT_TRY(weft_file_stat(os_path("a"), &again));
    WEFT_CHECK(info.type == WEFT_FILE_REGULAR && info.size == 1 && info.inode == again.inode && info.device == again.device);
    WEFT_CHECK(info.user == getuid() && info.modified > (int64_t)1600000000 * WEFT_SECOND);
    WEFT_TRY(weft_file_lstat(os_path("to_a"), &info));
    WEFT_CHECK(info.type == WEFT_FILE_LINK);
    WEFT_CHECK(weft_file_stat(os_path("dangling"), &info) == -ENOENT && weft_file_lstat(os_path("dangling"), &info) == 0);
    WEFT_TRY(weft_file_stat(os_root, &info));
    WEFT_CHECK(info.type == WEFT_FILE_FOLDER);
    WEFT_TRY(weft_file_stat("/dev/null", &info));
    WEFT_CHECK(info.type == WEFT_FILE_OTHER);

    os_put("b", "b");
    WEFT_TRY(weft_file_rename(os_path("a"), os_path("b")));
    WEFT_CHECK(os_has("b", "a") && os_has("a", "(missing)"));
    WEFT_CHECK(weft_file_rename(os_path("a"), os_path("b")) == -ENOENT);
    WEFT_TRY(weft_file_remove(os_path("b")));
    WEFT_CHECK(weft_file_remove(os_path("b")) == -ENOENT);
    WEFT_TRY(weft_file_remove(os_path("to_a")));
    WEFT_TRY(weft_folder_make(os_path("d"), .permissions = 0700));
    WEFT_CHECK(weft_folder_make(os_path("d")) == -EEXIST && weft_folder_make(os_path("x/y")) == -ENOENT);
    WEFT_CHECK(weft_file_remove(os_path("d")) == -EISDIR);
    os_put("d/f", "");
    WEFT_CHECK(weft_folder_remove(os_path("d")) == -ENOTEMPTY && weft_folder_remove(os_path("d/f")) == -ENOTDIR);
    WEFT_TRY(weft_file_remove(os_path("d/f")));
    WEFT_TRY(weft_folder_remove(os_path("d/")));
    WEFT_CHECK(weft_file_stat(NULL, &info) == -EINVAL);
    return weft_file_remove(os_path("dangling"));
}

static int temporary(void)
{
    weft_file *f;
    char buf[256], small[4];
    int before = os_count(os_root);
    WEFT_TRY(weft_file_temporary(&f, os_root));
    WEFT_TRY(weft_file_write(f, "gone", 4));
    WEFT_CHECK(weft_file_pread(f, buf, 8, 0) == 4 && os_count(os_root) == before);
    WEFT_TRY(weft_file_close(f));
    WEFT_TRY(weft_file_temporary(&f, NULL));
    WEFT_TRY(weft_file_close(f));
    WEFT_CHECK(weft_file_temporary(&f, os_path("none")) == -ENOENT);

    int fd = weft_file_open_and_unlink(os_root, 0600); /* where the file system has none without a name */
    WEFT_CHECK(fd >= 0 && os_count(os_root) == before && write(fd, "gone", 4) == 4 && lseek(fd, 0, SEEK_SET) == 0);
    struct stat st;
    WEFT_CHECK(read(fd, buf, 8) == 4 && fstat(fd, &st) == 0 && st.st_nlink == 0 && (st.st_mode & 07777) == 0600);
    close(fd);
    WEFT_CHECK(weft_file_open_and_unlink(os_path("none"), 0600) == -ENOENT);

    WEFT_TRY(weft_folder_temporary(buf, sizeof buf, os_root));
    weft_file_info info;
    WEFT_TRY(weft_file_stat(buf, &info));
    WEFT_CHECK(info.type == WEFT_FILE_FOLDER && info.permissions == 0700 && strncmp(buf, os_root, strlen(os_root)) == 0);
    WEFT_TRY(weft_folder_remove(buf));
    WEFT_CHECK(weft_folder_temporary(small, sizeof small, os_root) == -ERANGE && os_count(os_root) == before);
    return 0;
}

/* ---- two at once, and the end ---- */

struct reader {
    weft_file *f;
    int64_t rc;
    char buf[8];
};

static int read_task(void *arg)
{
    struct reader *r = arg;
    r->rc = weft_file_read(r->f, r->buf, sizeof r->buf);
    return 0;
}

/* A FIFO is as slow a disk as can be. */
static int slow_disk(void)
{
    os_renew_root();
    WEFT_CHECK(mkfifo(os_path("fifo"), 0600) == 0);
    weft_file *f, *writer;
    WEFT_CHECK(weft_file_open(&writer, os_path("fifo"), "w") == -ENXIO); /* and keeps no thread waiting */
    WEFT_TRY(weft_file_open(&f, os_path("fifo"), "r"));
    WEFT_TRY(weft_file_open(&writer, os_path("fifo"), "w"));
    struct reader r = { .f = f };
    char buf[8];
    WEFT_GROUP (g) {
        weft_go(&g, read_task, &r);
        WEFT_TRY(weft_yield());
        WEFT_CHECK(weft_file_read(f, buf, 1) == -EBUSY && weft_file_seek(f, 0) == -EBUSY);
        WEFT_CHECK(weft_file_pread(f, buf, 1, 0) == -ESPIPE && weft_file_pwrite(writer, "x", 1, 0) == -ESPIPE);
        WEFT_TRY(weft_file_write(writer, "slow", 4));
    }
    WEFT_CHECK(r.rc == 4 && memcmp(r.buf, "slow", 4) == 0);
    WEFT_CHECK(weft_file_seek(f, 0) == -ESPIPE);

    /* Closed by another task while one reads: the call that has begun ends well, then the descriptor is closed. */
    r.rc = 0;
    WEFT_GROUP (h) {
        weft_go(&h, read_task, &r);
        WEFT_TRY(weft_yield());
        weft_file_drop(&f);
        WEFT_TRY(weft_file_write(writer, "end", 3));
    }
    WEFT_CHECK(r.rc == 3);
    int rc = 0;
    for (int i = 0; i < 1000 && rc == 0; i++)
        rc = weft_file_write(writer, "x", 1);
    WEFT_CHECK(rc == -EPIPE); /* and no signal comes */
    WEFT_TRY(weft_file_close(writer));
    return g.result;
}

static int line_task(void *arg)
{
    weft_bytes line;
    return weft_file_line(arg, &line) == WEFT_ECLOSED ? 0 : -EIO;
}

/* A line lives in its file: one that comes when another task has closed that is not told. */
static int line_of_a_closed_file(void)
{
    os_renew_root();
    WEFT_CHECK(mkfifo(os_path("fifo"), 0600) == 0);
    weft_file *f, *writer;
    WEFT_TRY(weft_file_open(&f, os_path("fifo"), "r"));
    WEFT_TRY(weft_file_open(&writer, os_path("fifo"), "w"));
    WEFT_GROUP (g) {
        weft_go(&g, line_task, f);
        WEFT_TRY(weft_yield());
        weft_file_drop(&f);
        WEFT_TRY(weft_file_write(writer, "line\n", 5));
    }
    WEFT_TRY(weft_file_close(writer));
    return g.result;
}

static int left_open(void *arg)
{
    (void)arg;
    weft_file *f;
    weft_folder *folder;
    weft_walk *walk;
    weft_log_set_level(WEFT_LOG_ERROR);
    WEFT_TRY(weft_file_open(&f, os_path("left"), "w"));
    WEFT_TRY(weft_folder_open(&folder, os_root));
    WEFT_TRY(weft_walk_open(&walk, os_root));
    return 0;
}

static int closed_at_the_end_of_the_loop(void)
{
    int before = os_descriptors();
    WEFT_CHECK(weft_run(left_open, NULL) == 0);
    WEFT_CHECK(os_descriptors() == before);
    return 0;
}

static const weft_test tests[] = {
    TEST(modes),
    TEST(positions),
    TEST(large_files),
    TEST(full_disk),
    TEST(lines),
    TEST(long_lines),
    TEST(saved_files),
    TEST(saved_with_its_group),
    PLAIN(saved_without_its_group),
    TEST(saved_whole),
    TEST(names),
    TEST(temporary),
    TEST(slow_disk),
    TEST(line_of_a_closed_file),
    PLAIN(closed_at_the_end_of_the_loop),
};

OS_TEST_MAIN(tests)
