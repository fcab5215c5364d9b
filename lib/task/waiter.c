/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Lines of waiters. */
#include "lib/task/waiter.h"

#include "lib/task/task.h"

void weft_waiting_withdraw(weft_wait *wait)
{
    weft_list_remove(&CONTAINER_OF(wait, struct weft_waiting, wait)->waiter.link);
}

int weft_waiting_park(struct weft_waiting *waiting, weft_list *line)
{
    waiting->waiter.wait = &waiting->wait;
    weft_list_append(line, &waiting->waiter.link);
    int rc = weft_wait_park(&waiting->wait);
    return rc < 0 ? rc : waiting->waiter.result;
}

void weft_waiter_serve(weft_waiter *waiter, int result)
{
    waiter->result = result;
    weft_wait_settle(waiter->wait, waiter->index);
}

void weft_waiter_serve_all(weft_list *line, int result)
{
    weft_waiter *waiter;
    while ((waiter = weft_waiter_first(line))) /* no task runs in here, so nobody joins the line meanwhile */
        weft_waiter_serve(waiter, result);
}

void weft_waiter_check_none(const weft_list *line, const char *event)
{
    const weft_waiter *waiter = weft_waiter_first(line);
    if (waiter)
        weft_misuse_die("%s while task %s waits on it", event, waiter->wait->task->name);
}
