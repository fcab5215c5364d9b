/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The handler walks up with the compiler's unwinder, from its own frame through that of the signal to the function that was
 * interrupted, on whatever stack that runs. The unwinder allocates on its first walk, and takes no lock on later ones: so
 * there is a first walk when a thread is opened. A SIGURG of somebody else goes to whoever wanted it before.
 */
#include "lib/task/sample.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unwind.h>

static _Thread_local struct weft_sample *here;

static pthread_once_t sampling = PTHREAD_ONCE_INIT;
static struct sigaction former_urgent;

struct walk {
    struct weft_sample *sample;
    bool is_inside; /* past the signal's frame */
};

static _Unwind_Reason_Code take(struct _Unwind_Context *context, void *arg)
{
    struct walk *walk = arg;
    int was_interrupted = 0;
    uintptr_t address = _Unwind_GetIPInfo(context, &was_interrupted);
    walk->is_inside = walk->is_inside || was_interrupted;
    if (!walk->is_inside)
        return _URC_NO_REASON;
    if (address == 0 || walk->sample->count == WEFT_SAMPLE_FRAMES)
        return _URC_END_OF_STACK;
    /* an interrupted instruction is where it is; the others are return addresses, which may lie behind their function */
    walk->sample->addresses[walk->sample->count++] = (void *)(address + (was_interrupted ? 1 : 0));
    return _URC_NO_REASON;
}

static void on_urgent(int number, siginfo_t *info, void *context)
{
    struct weft_sample *sample = here;
    if (sample && atomic_load(&sample->is_wanted)) {
        int kept_errno = errno;
        atomic_store(&sample->is_wanted, false);
        sample->count = 0;
        _Unwind_Backtrace(take, &(struct walk){ .sample = sample });
        atomic_store(&sample->is_taken, true);
        errno = kept_errno;
    } else if (former_urgent.sa_flags & SA_SIGINFO) {
        former_urgent.sa_sigaction(number, info, context);
    } else if (former_urgent.sa_handler != SIG_DFL && former_urgent.sa_handler != SIG_IGN) {
        former_urgent.sa_handler(number);
    }
}

static void install(void)
{
    struct sigaction action = { .sa_sigaction = on_urgent, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };
    sigemptyset(&action.sa_mask);
    sigaction(SIGURG, &action, &former_urgent);
}

void weft_sample_open(struct weft_sample *sample)
{
    pthread_once(&sampling, install);
    _Unwind_Backtrace(take, &(struct walk){ .sample = sample });
    here = sample;
}

void weft_sample_close(void)
{
    here = NULL;
}

size_t weft_sample_take(struct weft_sample *sample, pthread_t thread)
{
    enum { TRIES = 100 }; /* of a millisecond */
    atomic_store(&sample->is_taken, false);
    atomic_store(&sample->is_wanted, true);
    if (pthread_kill(thread, SIGURG) != 0)
        return 0;
    for (int i = 0; i < TRIES; i++) {
        if (atomic_load(&sample->is_taken))
            return sample->count;
        poll(NULL, 0, 1);
    }
    return 0; /* the signal is blocked there, or the machine is too busy; a late answer changes nothing that is read */
}
