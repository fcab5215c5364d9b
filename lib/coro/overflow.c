/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
#include "lib/coro/overflow.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/memory.h"

static _Thread_local weft_overflow_watch *here;

static pthread_once_t installed = PTHREAD_ONCE_INIT;
static struct sigaction former_segv, former_bus;

/* A fault repeats when the handler returns, and kills; a signal that was sent has to be sent again. */
static void take_default(int number, const siginfo_t *info)
{
    sigaction(number, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL);
    if (info->si_code <= 0)
        raise(number);
}

static void pass_on(const struct sigaction *former, int number, siginfo_t *info, void *context)
{
    bool was_sent = info->si_code <= 0;
    if (former->sa_flags & SA_SIGINFO)
        former->sa_sigaction(number, info, context);
    else if (former->sa_handler == SIG_DFL || (former->sa_handler == SIG_IGN && !was_sent))
        take_default(number, info);
    else if (former->sa_handler != SIG_IGN)
        former->sa_handler(number);
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    weft_overflow_watch *watch = here;
    if (watch && watch->report(watch->context, info->si_addr))
        take_default(number, info);
    else
        pass_on(number == SIGBUS ? &former_bus : &former_segv, number, info, context);
}

static void install(void)
{
    struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    sigemptyset(&action.sa_mask);
    sigaction(SIGSEGV, &action, &former_segv);
    sigaction(SIGBUS, &action, &former_bus);
}

static size_t signal_stack_size(void)
{
    long size = sysconf(_SC_SIGSTKSZ); /* what the processor's registers need can be more than the constant */
    return (size > 0 ? (size_t)size : (size_t)SIGSTKSZ) + 16 * 1024;
}

int weft_overflow_open(weft_overflow_watch *watch)
{
    pthread_once(&installed, install);
    size_t size = signal_stack_size();
    watch->signal_stack = weft_mem_alloc(size);
    if (!watch->signal_stack)
        return -ENOMEM;
    stack_t former;
    if (sigaltstack(&(stack_t){ .ss_sp = watch->signal_stack, .ss_size = size }, &former) != 0) {
        int error = -errno;
        weft_mem_free(watch->signal_stack);
        return error;
    }
    watch->had_former = !(former.ss_flags & SS_DISABLE);
    watch->former_stack = former.ss_sp;
    watch->former_size = former.ss_size;
    here = watch;
    return 0;
}

void weft_overflow_close(weft_overflow_watch *watch)
{
    here = NULL;
    stack_t former = { .ss_sp = watch->former_stack, .ss_size = watch->former_size, .ss_flags = SS_DISABLE };
    if (watch->had_former)
        former.ss_flags = 0;
    sigaltstack(&former, NULL);
    weft_mem_free(watch->signal_stack);
    watch->signal_stack = NULL;
}
