/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
#include "lib/net/transport.h"

#include <errno.h>

#include "lib/base/check.h"
#include "lib/net/net.h"

struct iovec weft_transport_input_place(weft_transport *t)
{
    struct iovec room = t->events->room ? t->events->room(t) : (struct iovec){ NULL, 0 };
    return room.iov_len > 0 ? room : (struct iovec){ weft_net_lend_input(t->loop->net), WEFT_NET_INPUT };
}

int weft_transport_send(weft_transport *t, const struct iovec *parts, int count)
{
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += parts[i].iov_len;
    int64_t sent = weft_transport_try_send(t, parts, count);
    if (sent == -EAGAIN)
        sent = 0;
    if (sent < 0)
        return (int)sent;
    return (size_t)sent == size ? 0 : weft_transport_queue(t, parts, count, (size_t)sent);
}

int weft_transport_lend(weft_transport *t, weft_transport_loan *loan)
{
    CHECK(t->queued == 0);
    if (t->ops->lend)
        return t->ops->lend(t, loan);
    int rc = weft_transport_queue(t, &loan->part, 1, 0);
    if (rc == 0)
        loan->returned(loan);
    return rc;
}
