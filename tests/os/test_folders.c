/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Folders: paths that want to lead out of one, with links that change meanwhile; removing trees; walking. */
#include <pthread.h>
#include <stdatomic.h>

#include "lib/os/beneath.h"
#include "lib/os/tree.h"
#include "tests/core/tools.h"
#include "tests/os/os.h"

/* ---- beneath ---- */

/* in/      a file, a folder with a file, links inside and out
 * secret   what nobody may reach from in/ */
static void make_ground(void)
{
    os_renew_root();
    WEFT_CHECK(mkdir(os_path("in"), 0700) == 0 && mkdir(os_path("in/sub"), 0700) == 0);
    os_put("secret", "secret");
    os_put("in/file", "file");
    os_put("in/sub/file", "sub file");
    WEFT_CHECK(symlink("../secret", os_path("in/out")) == 0 && symlink(os_path("secret"), os_path("in/absolute")) == 0);
    WEFT_CHECK(symlink("..", os_path("in/up")) == 0 && symlink("sub/file", os_path("in/inside")) == 0);
    WEFT_CHECK(symlink("sub", os_path("in/to_sub")) == 0 && symlink("/proc/self/root", os_path("in/magic")) == 0);
}

static const char *const ways_out[] = {
    "../secret", "..",        "/etc/passwd",      "sub/../../secret", "out", "absolute",
    "up",        "up/secret", "magic/etc/passwd", "sub/../..",        "/",   "to_sub/../../secret",
};

static int ways_out_are_refused(void)
{
    if (!os_has_call(SYS_openat2))
        return 0; /* then links are refused wherever they lead: see below */
    make_ground();
    weft_folder *in;
    weft_file *f;
    weft_file_info info;
    weft_bytes text;
    WEFT_TRY(weft_folder_open(&in, os_path("in")));
    for (size_t i = 0; i < COUNT(ways_out); i++) {
        WEFT_CHECK(weft_file_open(&f, ways_out[i], "r", .beneath = in) == -EXDEV);
        WEFT_CHECK(weft_file_load(ways_out[i], 100, &text, .beneath = in) == -EXDEV);
        WEFT_CHECK(weft_file_stat(ways_out[i], &info, .beneath = in) == -EXDEV);
    }
    WEFT_CHECK(weft_file_save("../secret", "x", 1, .beneath = in) == -EXDEV);
    WEFT_CHECK(weft_file_save("up/secret", "x", 1, .beneath = in) == -EXDEV);
    WEFT_CHECK(weft_file_remove("../secret", .beneath = in) == -EXDEV);
    WEFT_CHECK(weft_file_rename("file", "../file", .beneath = in) == -EXDEV);
    WEFT_CHECK(weft_file_rename("up/secret", "x", .beneath = in) == -EXDEV);
    WEFT_CHECK(weft_folder_make("../made", .beneath = in) == -EXDEV);
    WEFT_CHECK(weft_folder_remove_tree("up/in", .beneath = in) == -EXDEV);
    weft_walk *walk;
    weft_folder *up;
    WEFT_CHECK(weft_walk_open(&walk, "..", .beneath = in) == -EXDEV);
    WEFT_CHECK(weft_folder_open(&up, "up", .beneath = in) == -EXDEV);
    WEFT_CHECK(os_has("secret", "secret") && os_count(os_root) == 2);

    WEFT_TRY(weft_file_open(&f, "to_sub/../inside", "r", .beneath = in)); /* leads nowhere outside */
    WEFT_TRY(weft_file_close(f));
    WEFT_TRY(weft_file_save("sub/new", "new", 3, .beneath = in));
    WEFT_TRY(weft_file_rename("sub/new", "newer", .beneath = in));
    WEFT_CHECK(os_has("in/newer", "new"));
    WEFT_TRY(weft_folder_make("sub/made", .beneath = in));
    WEFT_TRY(weft_folder_remove("sub/made", .beneath = in));
    WEFT_TRY(weft_folder_open(&up, "sub", .beneath = in));
    WEFT_CHECK(weft_file_load("../file", 100, &text, .beneath = up) == -EXDEV);
    weft_folder_close(up);
    WEFT_TRY(weft_file_remove("newer", .beneath = in));
    weft_folder_close(in);
    weft_folder_close(NULL);
    return 0;
}

/* Without openat2: as safe, and follows nothing. */
static int stepping(void)
{
    make_ground();
    int in = open(os_path("in"), O_PATH | O_DIRECTORY), before = os_descriptors();
    static const char *const good[] = { "file", "./file", "sub/file", "sub//./file", ".", "sub/", "./sub/." };
    for (size_t i = 0; i < COUNT(good); i++) {
        int fd = weft_beneath_step(in, good[i], O_RDONLY, 0);
        WEFT_CHECK(fd >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC));
        close(fd);
    }
    for (size_t i = 0; i < COUNT(ways_out); i++) {
        int fd = weft_beneath_step(in, ways_out[i], O_RDONLY, 0);
        WEFT_CHECK(fd == -EXDEV || fd == -ELOOP || fd == -ENOTDIR);
    }
    WEFT_CHECK(weft_beneath_step(in, "inside", O_RDONLY, 0) == -ELOOP);
    WEFT_CHECK(weft_beneath_step(in, "to_sub/file", O_RDONLY, 0) == -ENOTDIR);
    WEFT_CHECK(weft_beneath_step(in, "", O_RDONLY, 0) == -ENOENT);
    WEFT_CHECK(weft_beneath_step(in, "file/", O_RDONLY, 0) == -ENOTDIR);
    WEFT_CHECK(weft_beneath_step(in, "file/x", O_RDONLY, 0) == -ENOTDIR);
    char name[300];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    WEFT_CHECK(weft_beneath_step(in, name, O_RDONLY, 0) == -ENAMETOOLONG);
    int fd = weft_beneath_step(in, "sub/made", O_WRONLY | O_CREAT | O_EXCL, 0640);
    struct stat st;
    WEFT_CHECK(fd >= 0 && fstat(fd, &st) == 0 && (st.st_mode & 0777) == 0640);
    close(fd);
    WEFT_CHECK(os_descriptors() == before);
    close(in);
    return 0;
}

/* Somebody turns a folder into a link to outside and back, again and again; no read may ever see the secret. */
struct swapper {
    char at[128], real[128], link[128];
    atomic_bool ends;
};

static void *swap(void *arg)
{
    struct swapper *s = arg;
    while (!s->ends) {
        rename(s->at, s->real);
        symlink("../outside", s->at);
        unlink(s->at);
        rename(s->real, s->at);
    }
    return NULL;
}

static int read_under_swap(int (*open_it)(int folder, const char *path, int flags, mode_t mode))
{
    make_ground();
    WEFT_CHECK(mkdir(os_path("outside"), 0700) == 0);
    os_put("outside/file", "secret");
    struct swapper s = { .ends = false };
    snprintf(s.at, sizeof s.at, "%s", os_path("in/sub"));
    snprintf(s.real, sizeof s.real, "%s", os_path("in/real"));
    pthread_t thread;
    pthread_create(&thread, NULL, swap, &s);
    int in = open(os_path("in"), O_PATH | O_DIRECTORY), good = 0, bad = 0;
    int rounds = 20000 / (int)tools_slowness();
    for (int i = 0; i < rounds || (good == 0 && i < 100 * rounds); i++) {
        char buf[16] = "";
        int fd = open_it(in, "sub/file", O_RDONLY, 0);
        if (fd >= 0 && read(fd, buf, sizeof buf) > 0) {
            good += strcmp(buf, "sub file") == 0;
            bad += strcmp(buf, "secret") == 0;
        }
        if (fd >= 0)
            close(fd);
    }
    s.ends = true;
    pthread_join(thread, NULL);
    close(in);
    WEFT_CHECK(bad == 0 && good > 0);
    return 0;
}

static int links_that_change_openat2(void)
{
    return read_under_swap(weft_beneath_open);
}

static int links_that_change_stepping(void)
{
    return read_under_swap(weft_beneath_step);
}

/* ---- trees ---- */

static void make_tree(const char *at)
{
    char path[128];
    WEFT_CHECK(mkdir(os_path(at), 0700) == 0);
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/d%d", at, i);
        WEFT_CHECK(mkdir(os_path(path), 0700) == 0);
        for (int j = 0; j < 100; j++) {
            snprintf(path, sizeof path, "%s/d%d/f%d", at, i, j);
            os_put(path, "x");
        }
    }
    snprintf(path, sizeof path, "%s/d0/link", at);
    WEFT_CHECK(symlink("../../secret_folder", os_path(path)) == 0);
    snprintf(path, sizeof path, "%s/d0/fifo", at);
    WEFT_CHECK(mkfifo(os_path(path), 0600) == 0);
}

static int trees_are_removed(void)
{
    make_ground();
    WEFT_CHECK(mkdir(os_path("secret_folder"), 0700) == 0);
    os_put("secret_folder/kept", "kept");
    make_tree("tree");
    int before = os_descriptors();
    WEFT_TRY(weft_folder_remove_tree(os_path("tree")));
    WEFT_CHECK(os_count(os_path("tree")) == -1 && os_has("secret_folder/kept", "kept"));
    WEFT_CHECK(weft_folder_remove_tree(os_path("tree")) == -ENOENT);
    WEFT_CHECK(symlink("secret_folder", os_path("tree")) == 0);
    WEFT_TRY(weft_folder_remove_tree(os_path("tree"))); /* the link alone */
    WEFT_CHECK(os_has("secret_folder/kept", "kept") && os_descriptors() == before);

    /* Deeper than is followed: an error, and what could be removed has gone. */
    int fd = open(os_root, O_PATH | O_DIRECTORY);
    for (int i = 0; i <= WEFT_TREE_DEPTH; i++) {
        WEFT_CHECK(mkdirat(fd, "deep", 0700) == 0);
        int next = openat(fd, "deep", O_PATH | O_DIRECTORY);
        close(fd);
        fd = next;
    }
    close(fd);
    WEFT_CHECK(weft_folder_remove_tree(os_path("deep")) == -ELOOP);
    WEFT_CHECK(weft_file_rename(os_path("deep/deep"), os_path("deeper")) == 0);
    WEFT_TRY(weft_folder_remove_tree(os_path("deeper")));
    WEFT_TRY(weft_folder_remove_tree(os_path("deep")));
    WEFT_CHECK(os_descriptors() == before);
    return 0;
}

/* The tree's folder is swapped for a link to outside while it is removed. */
static int trees_that_change(void)
{
    for (int round = 0; round < 20; round++) {
        make_ground();
        WEFT_CHECK(mkdir(os_path("outside"), 0700) == 0 && mkdir(os_path("in/sub/deep"), 0700) == 0);
        os_put("outside/file", "kept");
        struct swapper s = { .ends = false };
        snprintf(s.at, sizeof s.at, "%s", os_path("in/sub"));
        snprintf(s.real, sizeof s.real, "%s", os_path("real"));
        pthread_t thread;
        pthread_create(&thread, NULL, swap, &s);
        int rc = weft_folder_remove_tree(os_path("in"));
        s.ends = true;
        pthread_join(thread, NULL);
        WEFT_CHECK(rc == 0 || rc == -ENOTEMPTY || rc == -ENOTDIR);
        WEFT_CHECK(os_has("outside/file", "kept"));
    }
    return 0;
}

/* ---- walking ---- */

static int count_walk(const char *path, int depth, int count[4])
{
    weft_walk *walk;
    weft_walk_entry entry;
    int rc;
    memset(count, 0, 4 * sizeof *count);
    WEFT_TRY(weft_walk_open(&walk, path, .depth = depth));
    while ((rc = weft_walk_next(walk, &entry)) > 0) {
        char full[700];
        struct stat st;
        snprintf(full, sizeof full, "%s/%s", path, entry.path);
        const char *slash = strrchr(entry.path, '/');
        WEFT_CHECK(lstat(full, &st) == 0 && strcmp(slash ? slash + 1 : entry.path, entry.name) == 0);
        WEFT_CHECK(entry.depth <= depth && entry.error == 0 && (entry.depth > 1) == !!slash);
        count[entry.type]++;
    }
    WEFT_CHECK(weft_walk_next(walk, &entry) == rc);
    weft_walk_close(walk);
    return rc;
}

static int walks(void)
{
    make_ground();
    make_tree("tree");
    int count[4], before = os_descriptors();
    WEFT_TRY(count_walk(os_path("tree"), 10, count));
    WEFT_CHECK(count[WEFT_FILE_REGULAR] == 300 && count[WEFT_FILE_FOLDER] == 3);
    WEFT_CHECK(count[WEFT_FILE_LINK] == 1 && count[WEFT_FILE_OTHER] == 1);
    WEFT_TRY(count_walk(os_path("tree"), 1, count));
    WEFT_CHECK(count[WEFT_FILE_REGULAR] == 0 && count[WEFT_FILE_FOLDER] == 3);
    weft_walk *walk;
    WEFT_CHECK(weft_walk_open(&walk, os_path("tree"), .depth = 201) == -EINVAL);
    WEFT_CHECK(weft_walk_open(&walk, os_path("secret")) == -ENOTDIR);
    WEFT_CHECK(weft_walk_open(&walk, os_path("none")) == -ENOENT);
    weft_walk_close(NULL);
    WEFT_CHECK(os_descriptors() == before);
    return 0;
}

static int walks_with_skips(void)
{
    make_ground();
    make_tree("tree");
    WEFT_CHECK(mkdir(os_path("tree/d1/closed"), 0) == 0);
    weft_walk *walk;
    weft_walk_entry entry;
    int rc, files = 0, errors = 0;
    WEFT_TRY(weft_walk_open(&walk, os_path("tree")));
    while ((rc = weft_walk_next(walk, &entry)) > 0) {
        if (entry.type == WEFT_FILE_FOLDER && strcmp(entry.name, "d1") != 0 && strcmp(entry.name, "closed") != 0)
            weft_walk_skip(walk);
        files += entry.type == WEFT_FILE_REGULAR;
        if (entry.error) {
            WEFT_CHECK(entry.error == -EACCES && strcmp(entry.path, "d1/closed") == 0);
            errors++;
        }
    }
    WEFT_CHECK(rc == 0 && files == 100 && errors == (geteuid() != 0)); /* to root nothing is closed */
    weft_walk_close(walk);

    /* A folder that goes away between being told and being entered, and one that becomes a link. */
    WEFT_CHECK(mkdir(os_path("one"), 0700) == 0 && mkdir(os_path("one/gone"), 0700) == 0);
    WEFT_TRY(weft_walk_open(&walk, os_path("one")));
    WEFT_CHECK(weft_walk_next(walk, &entry) == 1 && strcmp(entry.path, "gone") == 0);
    WEFT_CHECK(rmdir(os_path("one/gone")) == 0 && symlink("../in", os_path("one/gone")) == 0);
    rc = weft_walk_next(walk, &entry);
    WEFT_CHECK(rc == 1 && entry.error < 0); /* told that it cannot be entered, and not what is in `in` */
    while ((rc = weft_walk_next(walk, &entry)) > 0)
        WEFT_CHECK(strcmp(entry.name, "file") != 0);
    weft_walk_close(walk);
    return rc;
}

/* Closed in the middle, with a thread at work for it. */
static int ask(void *arg)
{
    weft_walk_entry entry;
    int rc = weft_walk_next(arg, &entry);
    return rc < 0 ? rc : 0;
}

static int walks_closed_while_asked(void)
{
    make_ground();
    make_tree("tree");
    int before = os_descriptors();
    weft_walk *walk;
    weft_walk_entry entry;
    WEFT_TRY(weft_walk_open(&walk, os_path("tree")));
    WEFT_GROUP (g) {
        weft_go(&g, ask, walk);
        WEFT_TRY(weft_yield());
        WEFT_CHECK(weft_walk_next(walk, &entry) == -EBUSY);
        weft_walk_close(walk);
    }
    WEFT_CHECK(g.result == WEFT_ECLOSED && os_descriptors() == before);
    return 0;
}

static const weft_test tests[] = {
    TEST(ways_out_are_refused),
    PLAIN(stepping),
    PLAIN(links_that_change_openat2),
    PLAIN(links_that_change_stepping),
    TEST(trees_are_removed),
    TEST(trees_that_change),
    TEST(walks),
    TEST(walks_with_skips),
    TEST(walks_closed_while_asked),
};

OS_TEST_MAIN(tests)
