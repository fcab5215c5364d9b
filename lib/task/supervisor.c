/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The thread polls a signalfd and an eventfd, by which it is told to stop the app or to end. Words to the loop go by posts,
 * which lie in the supervisor itself: they cannot fail, and what the loop has not heard by the end is taken back.
 *
 * The end: what is still to be read then was meant for what has ended. A list of tasks, or a log opened anew, is of no use to
 * anybody. Of requests to stop, those that come after one that has been heard ask for what has happened, and must not kill,
 * by the signal's default, a process that is about to report a clean end. But if none has been heard (the start failed), it is
 * the program that is asked, and the signal takes its way once the mask is restored. What the caller had blocked before is left
 * to it.
 */
#include "lib/task/supervisor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "lib/task/report.h"
#include "lib/task/watchdog.h"

struct weft_supervisor {
    struct weft_supervisor_options options;
    weft_loop *loop;
    pthread_t thread;
    sigset_t former_mask;
    uint64_t former_supervised; /* of the loop */
    int signal_fd, event_fd;
    atomic_bool is_ending;
    atomic_int asked; /* requests to stop by call */
    struct weft_loop_post stop, cancel, list;
    atomic_bool is_list_posted;
    weft_watchdog watchdog;
    /* the thread's own */
    int count;          /* requests seen */
    weft_duration ends; /* when the process is ended; WEFT_NO_LIMIT while nobody asked to stop */
};

static void say(const char *words, size_t size)
{
    ssize_t written = write(STDERR_FILENO, words, size);
    (void)written;
}

#define SAY(literal) say(literal, sizeof(literal) - 1)

static void print_tasks(void *arg)
{
    weft_supervisor *s = arg;
    atomic_store(&s->is_list_posted, false);
    weft_tasks_tell(s->options.list_head);
}

static void tell_stop(void *arg)
{
    weft_supervisor *s = arg;
    s->options.stop(s->options.context, 1);
}

static void tell_cancel(void *arg)
{
    weft_supervisor *s = arg;
    s->options.stop(s->options.context, 2);
}

static void ask_for_list(weft_supervisor *s)
{
    if (!atomic_exchange(&s->is_list_posted, true))
        weft_loop_post_embedded(s->loop, &s->list);
}

static void count_request(weft_supervisor *s)
{
    s->count++;
    weft_duration ends = weft_clock_add(weft_clock_monotonic(), s->count == 1 ? s->options.limit : s->options.hurry_limit);
    if (ends < s->ends)
        s->ends = ends;
    if (s->count < 3) {
        weft_loop_post_embedded(s->loop, s->count == 1 ? &s->stop : &s->cancel);
        return;
    }
    SAY("weft: asked to stop for the third time: exits at once\n");
    _exit(WEFT_EXIT_CUT);
}

static void ask_for_all_lists(weft_supervisor *s)
{
    ask_for_list(s);
    if (s->options.list)
        s->options.list(s->options.context);
}

static void read_signals(weft_supervisor *s)
{
    struct signalfd_siginfo info;
    while (read(s->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGQUIT)
            ask_for_all_lists(s);
        else if (info.ssi_signo == SIGHUP)
            s->options.hangup(s->options.hangup_context);
        else
            count_request(s);
    }
}

static void read_events(weft_supervisor *s)
{
    uint64_t n;
    ssize_t size = read(s->event_fd, &n, sizeof n);
    (void)size;
    if (atomic_exchange(&s->asked, 0) > 0 && s->count == 0)
        count_request(s);
}

static int poll_timeout(const weft_supervisor *s)
{
    weft_duration left = weft_watchdog_period(&s->watchdog);
    if (s->ends != WEFT_NO_LIMIT) {
        weft_duration until_end = s->ends - weft_clock_monotonic();
        left = until_end < left ? until_end : left;
    }
    if (left == WEFT_NO_LIMIT)
        return -1;
    return left <= 0 ? 0 : left > WEFT_HOUR ? 3600000 : (int)(left / WEFT_MILLISECOND) + 1;
}

static void *supervise(void *arg)
{
    weft_supervisor *s = arg;
    while (!atomic_load(&s->is_ending)) {
        struct pollfd fds[2] = { { .fd = s->signal_fd, .events = POLLIN }, { .fd = s->event_fd, .events = POLLIN } };
        poll(fds, 2, poll_timeout(s));
        if (s->signal_fd >= 0)
            read_signals(s);
        read_events(s);
        weft_watchdog_look(&s->watchdog);
        if (s->ends != WEFT_NO_LIMIT && weft_clock_monotonic() >= s->ends) {
            SAY("weft: the last limit of the stop has passed, and tasks have not ended: exits\n");
            _exit(WEFT_EXIT_CUT);
        }
    }
    return NULL;
}

static void wake(weft_supervisor *s)
{
    uint64_t one = 1;
    ssize_t size = write(s->event_fd, &one, sizeof one);
    (void)size;
}

static void prepare_post(struct weft_loop_post *post, void (*fn)(void *arg), weft_supervisor *s)
{
    weft_list_init(&post->link);
    post->fn = fn;
    post->arg = s;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

static int open_fds(weft_supervisor *s, const sigset_t *signals)
{
    s->signal_fd = -1;
    if (!s->options.leaves_signals && (s->signal_fd = signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
        return -errno;
    s->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->event_fd >= 0)
        return 0;
    int error = -errno;
    close_fd(s->signal_fd);
    return error;
}

/* With every signal blocked: they are for other threads. */
static int start_thread(weft_supervisor *s)
{
    sigset_t all, former;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &former);
    int rc = -pthread_create(&s->thread, NULL, supervise, s);
    pthread_sigmask(SIG_SETMASK, &former, NULL);
    return rc;
}

int weft_supervisor_start(weft_supervisor **ret_supervisor, weft_loop *loop, const struct weft_supervisor_options *options)
{
    weft_supervisor *s = weft_mem_calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    s->options = *options;
    s->loop = loop;
    s->ends = WEFT_NO_LIMIT;
    prepare_post(&s->stop, tell_stop, s);
    prepare_post(&s->cancel, tell_cancel, s);
    prepare_post(&s->list, print_tasks, s);
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGQUIT);
    if (options->hangup)
        sigaddset(&signals, SIGHUP);
    int rc = open_fds(s, &signals);
    if (rc < 0) {
        weft_mem_free(s);
        return rc;
    }
    if (!options->leaves_signals)
        pthread_sigmask(SIG_BLOCK, &signals, &s->former_mask);
    weft_watchdog_open(&s->watchdog, loop, options->stall_limit, loop->debug);
    rc = start_thread(s);
    if (rc < 0) {
        weft_watchdog_close(&s->watchdog);
        if (!options->leaves_signals)
            pthread_sigmask(SIG_SETMASK, &s->former_mask, NULL);
        close_fd(s->signal_fd);
        close(s->event_fd);
        weft_mem_free(s);
        return rc;
    }
    s->former_supervised = loop->supervised;
    for (int signal = 1; signal < 64; signal++)
        loop->supervised |= (uint64_t)(!options->leaves_signals && sigismember(&signals, signal) == 1) << signal;
    *ret_supervisor = s;
    return 0;
}

void weft_supervisor_request_stop(weft_supervisor *s)
{
    atomic_fetch_add(&s->asked, 1);
    wake(s);
}

static void drop_signal(const weft_supervisor *s, int number)
{
    sigset_t one;
    if (sigismember(&s->former_mask, number))
        return;
    sigemptyset(&one);
    sigaddset(&one, number);
    while (sigtimedwait(&one, NULL, &(struct timespec){ 0 }) > 0)
        ;
}

/* Those signals only: others may have been blocked since by others, as SIGPIPE is while sockets are used; one that is pending
 * would end the program. */
static void unblock(const weft_supervisor *s)
{
    static const int numbers[] = { SIGTERM, SIGINT, SIGQUIT, SIGHUP };
    sigset_t ours;
    sigemptyset(&ours);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (!sigismember(&s->former_mask, numbers[i]) && (numbers[i] != SIGHUP || s->options.hangup))
            sigaddset(&ours, numbers[i]);
    pthread_sigmask(SIG_UNBLOCK, &ours, NULL);
}

static void restore_mask(const weft_supervisor *s)
{
    drop_signal(s, SIGQUIT);
    if (s->options.hangup)
        drop_signal(s, SIGHUP);
    if (s->count > 0) {
        drop_signal(s, SIGTERM);
        drop_signal(s, SIGINT);
    }
    unblock(s);
}

void weft_supervisor_end(weft_supervisor *s)
{
    atomic_store(&s->is_ending, true);
    wake(s);
    pthread_join(s->thread, NULL);
    weft_loop_withdraw(s->loop, &s->stop);
    weft_loop_withdraw(s->loop, &s->cancel);
    weft_loop_withdraw(s->loop, &s->list);
    weft_watchdog_close(&s->watchdog);
    if (!s->options.leaves_signals)
        restore_mask(s);
    s->loop->supervised = s->former_supervised;
    close_fd(s->signal_fd);
    close(s->event_fd);
    weft_mem_free(s);
}
