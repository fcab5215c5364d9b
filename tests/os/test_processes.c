/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Child processes: what each call does, and that nothing stays behind: no zombie, no descriptor, no child. */
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include <weft/process.h>

#include "tests/core/tools.h"
#include "tests/os/os.h"

#ifdef WEFT_TSAN
enum { TOOL_HAS_CHILDREN = 1 };
#else
enum { TOOL_HAS_CHILDREN = 0 };
#endif

/* Has this process any child, ended or not? */
static bool has_children(void)
{
    siginfo_t info;
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/* The thread sanitizer has a child of its own, with two descriptors, once it has found a race and looked whether to tell it. */
static bool no_children(void)
{
    return TOOL_HAS_CHILDREN || !has_children();
}

static bool is_as_before(int descriptors)
{
    int more = os_descriptors() - descriptors;
    bool is_alone = no_children();
    if (more || !is_alone)
        printf("# left: %d descriptors%s\n", more, is_alone ? "" : ", and children");
    return TOOL_HAS_CHILDREN || (!more && is_alone);
}

#define SH(script) WEFT_ARGV("/bin/sh", "-c", script)

/* ---- whole runs ---- */

/* Runs it and checks what came of it; the text is the output, then the errors. */
static int check_run(const char *const *argv, const char *input, int code, const char *output, const char *errors)
{
    weft_process_result done;
    int rc = weft_process_run(&done, argv, .input = { input, strlen(input) });
    WEFT_CHECK(rc == 0);
    WEFT_TRY(rc);
    WEFT_CHECK(done.status.code == code && done.status.signal == 0);
    WEFT_CHECK(done.output.size == strlen(output) && strcmp(done.output.data, output) == 0);
    WEFT_CHECK(done.errors.size == strlen(errors) && strcmp(done.errors.data, errors) == 0);
    weft_process_result_drop(&done);
    WEFT_CHECK(!done.output.data && no_children());
    return 0;
}

static int runs(void)
{
    WEFT_TRY(check_run(WEFT_ARGV("sort", "-r"), "a\nc\nb\n", 0, "c\nb\na\n", ""));
    WEFT_TRY(check_run(WEFT_ARGV("echo", "$HOME", "*; exit 3"), "", 0, "$HOME *; exit 3\n", "")); /* no shell */
    WEFT_TRY(check_run(SH("echo out; echo err >&2; exit 7"), "", 7, "out\n", "err\n"));
    WEFT_TRY(check_run(WEFT_ARGV("true"), "nobody reads this", 0, "", ""));
    weft_process_result done;
    WEFT_TRY(weft_process_run(&done, SH("echo out; echo err >&2"), .joins_errors = true));
    WEFT_CHECK(strcmp(done.output.data, "out\nerr\n") == 0 && !done.errors.data);
    weft_process_result_drop(&done);
    WEFT_TRY(weft_process_run(&done, SH("kill -9 $$")));
    WEFT_CHECK(done.status.code == -1 && done.status.signal == SIGKILL);
    weft_process_result_drop(&done);
    WEFT_TRY(weft_process_run(&done, SH("pwd; echo $A-$HOME"), .folder = "/usr",
                              .environment = (const char *const[]){ "A=b c", NULL }));
    WEFT_CHECK(strcmp(done.output.data, "/usr\nb c-\n") == 0);
    weft_process_result_drop(&done);
    return 0;
}

static int cannot_start(void)
{
    weft_process *p;
    weft_process_result done;
    int before = os_descriptors();
    os_put("no_program", "neither magic nor interpreter\n");
    WEFT_CHECK(weft_process_open(&p, WEFT_ARGV("/no/such/program")) == -ENOENT);
    WEFT_CHECK(weft_process_open(&p, WEFT_ARGV("no-such-program-in-the-path")) == -ENOENT);
    WEFT_CHECK(weft_process_open(&p, WEFT_ARGV(os_path("no_program"))) == -EACCES);
    WEFT_CHECK(chmod(os_path("no_program"), 0700) == 0);
    WEFT_CHECK(weft_process_open(&p, WEFT_ARGV(os_path("no_program"))) == -ENOEXEC); /* no shell is tried */
    WEFT_CHECK(weft_process_open(&p, WEFT_ARGV("true"), .folder = "/no/such/folder") == -ENOENT);
    WEFT_CHECK(weft_process_open(&p, WEFT_ARGV("true"), .output = WEFT_IO_FD(999)) == -EBADF);
    WEFT_CHECK(weft_process_open(&p, WEFT_ARGV("true"), .output = WEFT_IO_OUTPUT) == -EINVAL);
    WEFT_CHECK(weft_process_open(&p, WEFT_ARGV("true"), .input = 9) == -EINVAL);
    WEFT_CHECK(weft_process_open(&p, WEFT_ARGV("true"), .grace = -1) == -EINVAL);
    WEFT_CHECK(weft_process_open(&p, (const char *const[]){ NULL }) == -EINVAL);
    memset(&done, 0xee, sizeof done);
    WEFT_CHECK(weft_process_run(&done, WEFT_ARGV("/no/such/program")) == -ENOENT && !done.output.data && !done.errors.data);
    WEFT_CHECK(is_as_before(before));
    return 0;
}

static int floods(void)
{
    weft_process_result done;
    size_t size = 3000000;
    char *much = malloc(size);
    memset(much, 'x', size);
    WEFT_TRY(weft_process_run(&done, SH("cat; head -c 1000000 /dev/zero >&2"), .input = { much, size }));
    WEFT_CHECK(done.output.size == size && memcmp(done.output.data, much, size) == 0 && done.errors.size == 1000000);
    weft_process_result_drop(&done);
    free(much);
    WEFT_CHECK(weft_process_run(&done, WEFT_ARGV("yes"), .limit = 100000) == -EFBIG);
    WEFT_CHECK(!done.output.data && no_children());
    WEFT_CHECK(weft_process_run(&done, SH("yes >&2"), .limit = 100000) == -EFBIG);
    WEFT_TRY(weft_process_run(&done, WEFT_ARGV("printf", "%100s", ""), .limit = 100));
    WEFT_CHECK(done.output.size == 100);
    weft_process_result_drop(&done);
    WEFT_CHECK(weft_process_run(&done, WEFT_ARGV("printf", "%101s", ""), .limit = 100) == -EFBIG);
    return 0;
}

/* ---- what a child gets ---- */

static int descriptors_of_a_child(void)
{
    weft_process_result done;
    int left_open = dup(STDOUT_FILENO); /* not close-on-exec */
    weft_process *other;
    WEFT_TRY(weft_process_open(&other, WEFT_ARGV("cat"), .input = WEFT_IO_PIPE, .output = WEFT_IO_PIPE));
    WEFT_TRY(weft_process_run(&done, WEFT_ARGV("ls", "/proc/self/fd")));
    WEFT_CHECK(strcmp(done.output.data, "0\n1\n2\n3\n") == 0); /* 3 is the folder that ls lists */
    weft_process_result_drop(&done);
    weft_process_close(other);
    close(left_open);

    weft_process *p;
    weft_process_status status;
    weft_file *log;
    WEFT_TRY(weft_file_open(&log, os_path("log"), "w"));
    WEFT_TRY(weft_process_open(&p, SH("cat; echo out; echo err >&2"), .input = WEFT_IO_NULL,
                               .output = WEFT_IO_FD(weft_file_fd(log)), .errors = WEFT_IO_OUTPUT));
    WEFT_CHECK(!weft_process_input(p) && !weft_process_output(p) && !weft_process_errors(p));
    WEFT_TRY(weft_process_wait(p, &status));
    WEFT_CHECK(status.code == 0 && os_has("log", "out\nerr\n"));
    weft_process_close(p);
    WEFT_TRY(weft_file_close(log));
    return 0;
}

static int signals_of_a_child(void)
{
    /* This thread blocks SIGPIPE (pairs and pipes have it do so) and SIGUSR1, and ignores SIGPIPE and SIGUSR2. */
    sigset_t usr1;
    weft_process_result done;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &usr1, NULL);
    signal(SIGINT, SIG_DFL); /* a shell has jobs in its background ignore these two */
    signal(SIGQUIT, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGUSR2, SIG_IGN);
    WEFT_TRY(weft_process_run(&done, WEFT_ARGV("grep", "^Sig[BI]", "/proc/self/status")));
    char *blocked = strstr(done.output.data, "SigBlk:"), *ignored = strstr(done.output.data, "SigIgn:");
    unsigned long of_libc = 3ul << 31; /* 32 and 33, which posix_spawn leaves ignored and every libc sets for itself */
    WEFT_CHECK(blocked && strtoul(blocked + 7, NULL, 16) == 0);
    WEFT_CHECK(ignored && (strtoul(ignored + 7, NULL, 16) & ~of_libc) == 1ul << (SIGUSR2 - 1));
    weft_process_result_drop(&done);
    WEFT_TRY(weft_process_run(&done, SH("yes | head -n 1"))); /* ends because yes dies of SIGPIPE */
    WEFT_CHECK(strcmp(done.output.data, "y\n") == 0 && done.errors.size == 0);
    weft_process_result_drop(&done);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGUSR2, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
    return 0;
}

/* ---- talking ---- */

static int talks(void)
{
    weft_process *p;
    weft_process_status status = { 0 };
    char buf[64];
    WEFT_TRY(weft_process_open(&p, WEFT_ARGV("cat"), .input = WEFT_IO_PIPE, .output = WEFT_IO_PIPE));
    for (int i = 0; i < 3; i++) {
        WEFT_TRY(weft_stream_write(weft_process_input(p), "ping", 4));
        WEFT_CHECK(weft_stream_read(weft_process_output(p), buf, sizeof buf) == 4 && memcmp(buf, "ping", 4) == 0);
    }
    WEFT_CHECK(weft_process_id(p) > 1 && weft_process_kill(p, 0) == 0);
    weft_process_end_input(p);
    weft_process_end_input(p);
    WEFT_CHECK(!weft_process_input(p) && weft_stream_read(weft_process_output(p), buf, sizeof buf) == 0);
    WEFT_TRY(weft_process_wait(p, &status));
    WEFT_CHECK(status.code == 0 && weft_process_kill(p, SIGTERM) == -ESRCH && no_children());
    WEFT_TRY(weft_process_wait(p, &status)); /* again */
    weft_process_close(p);
    weft_process_close(NULL);

    /* A child that ends: writing to it fails, and no signal ends us; what it wrote is still there. */
    WEFT_TRY(weft_process_open(&p, SH("echo last; exec 0<&-; exit 2"), .input = WEFT_IO_PIPE, .output = WEFT_IO_PIPE));
    WEFT_TRY(weft_process_wait(p, &status));
    WEFT_CHECK(status.code == 2 && weft_stream_write(weft_process_input(p), "x", 1) == -EPIPE);
    WEFT_CHECK(weft_stream_read(weft_process_output(p), buf, sizeof buf) == 5);
    weft_process_close(p);
    return 0;
}

static int wait_task(void *arg)
{
    weft_process_status status;
    int rc = weft_process_wait(arg, &status);
    return rc < 0 ? rc : status.code;
}

static int several_wait(void)
{
    weft_process *p;
    int waited = 0, rc;
    WEFT_TRY(weft_process_open(&p, SH("read x; exit 5"), .input = WEFT_IO_PIPE));
    WEFT_GROUP (g, .keep_ended = true) {
        weft_ended ended;
        for (int i = 0; i < 3; i++)
            weft_go(&g, wait_task, p);
        WEFT_TRY(weft_yield());
        weft_process_end_input(p);
        while ((rc = weft_group_next(&g, &ended)) > 0)
            waited += ended.result;
    }
    WEFT_CHECK(waited == 15);
    weft_process_close(p);

    WEFT_TRY(weft_process_open(&p, WEFT_ARGV("sleep", "1000")));
    WEFT_GROUP (h, .on_error = WEFT_COLLECT) {
        weft_ended ended;
        weft_go(&h, wait_task, p);
        WEFT_TRY(weft_yield());
        weft_process_close(p); /* while a task waits for it */
        WEFT_CHECK(weft_group_next(&h, &ended) == 1 && ended.result == WEFT_ECLOSED);
    }
    WEFT_CHECK(no_children());
    return 0;
}

/* ---- ending ---- */

static int run_in_real_time(weft_task_fn *fn)
{
    int before = os_descriptors();
    WEFT_CHECK(weft_test_run(fn, NULL, NULL, .real_time = true) == 0);
    WEFT_CHECK(is_as_before(before));
    return 0;
}

static const char deaf[] = "trap '' TERM; echo ready; while :; do sleep 1000 & wait; done";

static int open_deaf(weft_process **ret, weft_duration grace)
{
    char buf[16];
    WEFT_TRY(weft_process_open(ret, SH(deaf), .output = WEFT_IO_PIPE, .own_group = true, .grace = grace));
    return weft_stream_read(weft_process_output(*ret), buf, sizeof buf) == 6 ? 0 : -EPROTO;
}

static int deaf_child(void *arg)
{
    (void)arg;
    weft_process *p;
    WEFT_TRY(open_deaf(&p, 100 * MS));
    weft_duration start = weft_now();
    weft_process_close(p);
    WEFT_CHECK(weft_now() - start >= 99 * MS && no_children());

    /* Cut short while it closes: the shield holds. */
    WEFT_TRY(open_deaf(&p, 100 * MS));
    start = weft_now();
    WEFT_TIMEOUT (limit, 10 * MS) {
        weft_process_close(p);
        WEFT_CHECK(weft_now() - start >= 99 * MS && no_children());
    }

    /* Dropped: the loop sees to it. */
    WEFT_TRY(open_deaf(&p, 50 * MS));
    weft_process_drop(&p);
    WEFT_CHECK(has_children());
    for (int i = 0; i < 1000 && !no_children(); i++)
        WEFT_TRY(weft_sleep(10 * MS));
    WEFT_CHECK(no_children());

    /* Dropped, and the loop ends: it is killed at once. */
    WEFT_TRY(open_deaf(&p, WEFT_HOUR));
    weft_process_drop(&p);
    return 0;
}

static int a_child_that_ignores_term(void)
{
    return run_in_real_time(deaf_child);
}

static int a_child_in_virtual_time(void)
{
    weft_process *p;
    WEFT_TRY(open_deaf(&p, 50 * MS));
    weft_process_close(p); /* its grace is real */
    WEFT_CHECK(no_children());
    return 0;
}

/* Is it there, and no zombie (which is its parent's affair)? */
static bool is_running(long pid)
{
    char path[64], text[512] = "";
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    const char *name_end = size > 0 ? strrchr(text, ')') : NULL;
    return name_end && name_end[2] != 'Z' && name_end[2] != 'X';
}

static bool ends_soon(long pid)
{
    for (int i = 0; i < 10000 && is_running(pid); i++)
        os_block(1);
    return pid > 1 && !is_running(pid);
}

/* TERM is enough for the child, and the rest of the group goes too. */
static int whole_groups(void)
{
    weft_process *p;
    weft_bytes line;
    WEFT_TRY(weft_process_open(&p, SH("(trap '' TERM; exec sh -c 'echo $$; exec sleep 1000') & wait"), .output = WEFT_IO_PIPE,
                               .own_group = true, .grace = WEFT_HOUR));
    WEFT_CHECK(weft_stream_line(weft_process_output(p), &line, 0) == 1);
    long grandchild = strtol(line.data, NULL, 10);
    WEFT_CHECK(grandchild > 1 && grandchild != weft_process_id(p) && is_running(grandchild));
    weft_process_close(p);
    WEFT_CHECK(ends_soon(grandchild) && no_children());

    /* A child that ends by itself: its group is there until it is closed. */
    weft_process_status status;
    WEFT_TRY(weft_process_open(&p, SH("sh -c 'echo $$; exec sleep 1000' & exit 6"), .output = WEFT_IO_PIPE, .own_group = true));
    WEFT_CHECK(weft_stream_line(weft_process_output(p), &line, 0) == 1);
    grandchild = strtol(line.data, NULL, 10);
    WEFT_TRY(weft_process_wait(p, &status));
    WEFT_CHECK(status.code == 6 && weft_process_kill(p, SIGTERM) == -ESRCH && is_running(grandchild));
    weft_process_close(p);
    WEFT_CHECK(ends_soon(grandchild) && no_children());
    return 0;
}

static int timed_out(void *arg)
{
    (void)arg;
    weft_process_result done;
    WEFT_CHECK(weft_process_run(&done, WEFT_ARGV("sleep", "1000"), .timeout = 50 * MS) == WEFT_EDEADLINE);
    WEFT_CHECK(!done.output.data && no_children());
    WEFT_TIMEOUT (limit, 50 * MS) {
        WEFT_CHECK(weft_process_run(&done, SH(deaf), .grace = 50 * MS) == WEFT_EDEADLINE && no_children());
    }
    /* A grandchild that keeps the output open when the child has ended, and one that does not: both are ended too. */
    WEFT_CHECK(weft_process_run(&done, SH("sleep 1000 & echo $! > grandchild"), .timeout = 200 * MS, .folder = os_root) ==
               WEFT_EDEADLINE);
    WEFT_CHECK(ends_soon(strtol(os_get("grandchild"), NULL, 10)));
    WEFT_TRY(weft_process_run(&done, SH("sleep 1000 <&- >&- 2>&- & echo $! > grandchild"), .folder = os_root));
    WEFT_CHECK(ends_soon(strtol(os_get("grandchild"), NULL, 10)));
    weft_process_result_drop(&done);
    return 0;
}

static int runs_that_are_timed_out(void)
{
    return run_in_real_time(timed_out);
}

static int left_open(void *arg)
{
    weft_process *p;
    (void)arg;
    weft_log_set_level(WEFT_LOG_ERROR);
    WEFT_TRY(weft_process_open(&p, WEFT_ARGV("sleep", "1000"), .input = WEFT_IO_PIPE));
    return 0;
}

static int children_left_open(void)
{
    return run_in_real_time(left_open);
}

/* ---- many ---- */

/* All threads for files are in the hands of a disk that hangs. */
static int a_hanging_disk_holds_up_no_child(void)
{
    struct os_gate gate;
    os_shut(&gate);
    WEFT_TRY(check_run(SH("echo started"), "", 0, "started\n", ""));
    return os_open_gate(&gate);
}

static int run_one(void *arg)
{
    char text[32];
    int number = (int)(intptr_t)arg;
    snprintf(text, sizeof text, "%d", number);
    weft_process_result done;
    WEFT_TRY(weft_process_run(&done, SH("read x; echo $x; exit $((x % 7))"), .input = { text, strlen(text) }));
    snprintf(text + strlen(text), 2, "\n");
    WEFT_CHECK(done.status.code == number % 7 && strcmp(done.output.data, text) == 0);
    weft_process_result_drop(&done);
    return 0;
}

static int many_at_once(void)
{
    int before = os_descriptors();
    WEFT_GROUP (g) {
        for (intptr_t i = 0; i < 200; i++)
            weft_go(&g, run_one, i);
    }
    for (int i = 0; i < 100 && os_descriptors() != before; i++)
        WEFT_TRY(weft_yield()); /* streams are closed a turn later */
    WEFT_CHECK(is_as_before(before));
    return g.result;
}

/* Two loops in two threads, each with children: neither takes the other's. */
static int run_some(void *arg)
{
    WEFT_GROUP (g) {
        for (intptr_t i = 0; i < 20; i++)
            weft_go(&g, run_one, i);
    }
    *(int *)arg = g.result;
    return 0;
}

static void *run_loop(void *result)
{
    weft_run(run_some, result);
    return NULL;
}

static int two_loops(void)
{
    pthread_t threads[2];
    int results[2] = { -1, -1 };
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, run_loop, &results[i]);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    WEFT_CHECK(results[0] == 0 && results[1] == 0 && no_children());
    return 0;
}

/* Somebody who reaps every child takes the status, and is told so; nothing hangs. */
static int reaped_by_others(void)
{
    weft_process *p;
    weft_process_status status;
    WEFT_TRY(weft_process_open(&p, WEFT_ARGV("true")));
    WEFT_CHECK(waitpid(weft_process_id(p), NULL, 0) > 0);
    WEFT_CHECK(weft_process_wait(p, &status) == -ECHILD);
    weft_process_close(p);
    return 0;
}

/* ---- the table of waits, and torture ---- */

static int refused(void)
{
    weft_process *p, *other;
    weft_process_status status;
    weft_process_result done;
    WEFT_TRY(weft_process_open(&p, WEFT_ARGV("true")));
    WEFT_TRY(weft_process_wait(p, &status));
    WEFT_TIMEOUT (limit, 0) {
        WEFT_CHECK(weft_process_wait(p, &status) == WEFT_EDEADLINE);
        WEFT_CHECK(weft_process_open(&other, WEFT_ARGV("true")) == WEFT_EDEADLINE);
        WEFT_CHECK(weft_process_run(&done, WEFT_ARGV("true")) == WEFT_EDEADLINE && no_children());
        weft_process_close(p); /* never refused */
    }
    return 0;
}

struct waiter {
    weft_process *p;
    weft_scope *scope;
    int rc, next_rc;
    weft_process_status status;
};

static int wait_in_scope(void *arg)
{
    struct waiter *w = arg;
    WEFT_TIMEOUT (s, WEFT_NO_LIMIT) {
        w->scope = &s;
        w->rc = weft_process_wait(w->p, &w->status);
        w->next_rc = weft_yield();
    }
    return 0;
}

/* The reason while it waits; the child is not concerned. */
static int cut_while_parked(void)
{
    struct waiter w = { .status = { .code = 77 } };
    WEFT_TRY(weft_process_open(&w.p, SH("read x; exit 4"), .input = WEFT_IO_PIPE));
    WEFT_GROUP (g) {
        weft_go(&g, wait_in_scope, &w);
        WEFT_TRY(weft_yield());
        weft_cancel(w.scope);
    }
    WEFT_CHECK(w.rc == WEFT_ECANCELED && w.next_rc == WEFT_ECANCELED && w.status.code == 77);
    weft_process_end_input(w.p);
    WEFT_TRY(weft_process_wait(w.p, &w.status));
    WEFT_CHECK(w.status.code == 4);
    weft_process_close(w.p);
    return g.result;
}

/* Opening is cut when the child has been started already: it does not stay. */
static int open_in_scope(void *arg)
{
    struct waiter *w = arg;
    WEFT_TIMEOUT (s, WEFT_NO_LIMIT) {
        w->scope = &s;
        w->rc = weft_process_open(&w->p, WEFT_ARGV("sleep", "1000"), .input = WEFT_IO_PIPE);
    }
    return 0;
}

static int cut_while_starting(void)
{
    int before = os_descriptors();
    for (long wait = 0; wait < 30; wait += 3) {
        struct waiter w = { 0 };
        WEFT_GROUP (g) {
            weft_go(&g, open_in_scope, &w);
            WEFT_TRY(weft_yield());
            os_block(wait);
            weft_cancel(w.scope);
        }
        WEFT_CHECK(w.rc == WEFT_ECANCELED);
    }
    weft_process *p;
    WEFT_TRY(weft_process_open(&p, WEFT_ARGV("true")));
    weft_process_close(p);
    for (int i = 0; i < 1000 && !no_children(); i++)
        WEFT_TRY(weft_yield());
    (void)before;
    return 0;
}

static int torture_body(void *arg)
{
    int *rc = arg;
    weft_process *p __attribute__((cleanup(weft_process_drop))) = NULL;
    weft_process_status status;
    weft_process_result done = { 0 };
    *rc = weft_process_run(&done, SH("cat; echo e >&2"), .input = { "x", 1 });
    WEFT_CHECK(*rc == 0 || !done.output.data);
    weft_process_result_drop(&done);
    if (*rc == 0)
        *rc = weft_process_open(&p, WEFT_ARGV("sleep", "0"), .input = WEFT_IO_PIPE, .errors = WEFT_IO_PIPE);
    if (*rc == 0)
        *rc = weft_process_wait(p, &status);
    if (*rc == 0) {
        weft_process *q;
        *rc = weft_process_open(&q, WEFT_ARGV("sleep", "1000"));
        if (*rc == 0)
            weft_process_close(q);
    }
    return 0;
}

static int cancel_each_wait(enum weft_cancel_when when)
{
    uint64_t waits = 1, struck = 0;
    int rc, before = os_descriptors();
    for (uint64_t n = 0; n <= waits; n++) {
        weft_test_report report;
        int run = weft_test_run(torture_body, &rc, &report, .cancel_at = n, .cancel_when = when);
        WEFT_CHECK(run == 0 && (n == 0 ? rc == 0 : rc == 0 || rc == WEFT_ECANCELED));
        WEFT_CHECK(is_as_before(before));
        waits = n == 0 ? report.waits : waits;
        struck += report.struck;
    }
    WEFT_CHECK(waits >= 6 && struck * 3 > waits);
    return 0;
}

static int each_wait_cancelled_before(void)
{
    return cancel_each_wait(WEFT_CANCEL_BEFORE);
}

static int each_wait_cancelled_when_parked(void)
{
    return cancel_each_wait(WEFT_CANCEL_PARKED);
}

static int each_wait_cancelled_when_woken(void)
{
    return cancel_each_wait(WEFT_CANCEL_WOKEN);
}

static int each_allocation_failed(void)
{
    uint64_t allocations = 1;
    int rc, before = os_descriptors();
    for (uint64_t n = 0; n <= allocations; n++) {
        weft_test_report report;
        rc = 0;
        int run = weft_test_run(torture_body, &rc, &report, .fail_at = n);
        WEFT_CHECK((run == 0 || run == -ENOMEM) && (rc == 0 || rc == -ENOMEM || rc == WEFT_ECANCELED));
        WEFT_CHECK(is_as_before(before));
        allocations = n == 0 ? report.allocations : allocations;
    }
    WEFT_CHECK(allocations > 15);
    return 0;
}

static const weft_test tests[] = {
    TEST(runs),
    TEST(cannot_start),
    TEST(floods),
    TEST(descriptors_of_a_child),
    TEST(signals_of_a_child),
    TEST(talks),
    TEST(several_wait),
    PLAIN(a_child_that_ignores_term),
    TEST(a_child_in_virtual_time),
    TEST(whole_groups),
    PLAIN(runs_that_are_timed_out),
    PLAIN(children_left_open),
    TEST(a_hanging_disk_holds_up_no_child),
    TEST(many_at_once),
    PLAIN(two_loops),
    TEST(reaped_by_others),
    TEST(refused),
    TEST(cut_while_parked),
    TEST(cut_while_starting),
    PLAIN(each_wait_cancelled_before),
    PLAIN(each_wait_cancelled_when_parked),
    PLAIN(each_wait_cancelled_when_woken),
    PLAIN(each_allocation_failed),
};

OS_CHILD_TEST_MAIN(tests)
