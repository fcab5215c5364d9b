/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Waiting for a room's next message, as long polling does: a subscriber that sits for one message. It has no outbox to speak
 * of: what is appended is the message itself, of which the first is kept.
 */
#include <errno.h>
#include <string.h>

#include "lib/task/wait.h"
#include "server/request.h"
#include "server/rooms.h"

struct poll {
    weft_subscriber subscriber;
    weft_outbox outbox; /* is never sent anywhere */
    weft_wait *wait;
    weft_shared *got; /* a struct found, and the data */
};

struct found {
    uint64_t epoch, number;
    bool is_text;
};

static struct poll *poll_of(const weft_subscriber *s)
{
    return CONTAINER_OF((weft_subscriber *)(uintptr_t)s, struct poll, subscriber);
}

static int encode(const weft_subscriber *s, const weft_delivery *delivery, weft_shared **ret_buf)
{
    (void)s;
    if (delivery->kind)
        return 0;
    const struct found found = { delivery->epoch, delivery->number, delivery->is_text };
    weft_shared *buf = weft_shared_new(sizeof found + delivery->size);
    if (!buf)
        return -ENOMEM;
    memcpy(buf->data, &found, sizeof found);
    if (delivery->size > 0)
        memcpy(buf->data + sizeof found, delivery->data, delivery->size);
    *ret_buf = buf;
    return 1;
}

static int append(weft_subscriber *s, weft_shared *buf)
{
    struct poll *p = poll_of(s);
    if (p->got)
        return 0;
    p->got = weft_shared_ref(buf);
    if (p->wait)
        weft_wait_settle(p->wait, 1);
    return 0;
}

/* There was no memory for a message: what comes next would not be the next. */
static void cut(weft_subscriber *s, int code, const char *why)
{
    struct poll *p = poll_of(s);
    (void)code;
    (void)why;
    weft_subscriber_leave(s);
    if (p->wait)
        weft_wait_settle(p->wait, -ENOMEM);
}

static const weft_subscriber_ops poll_ops = { .encode = encode, .append = append, .cut = cut };

static void withdraw(weft_wait *wait)
{
    ((struct poll *)(uintptr_t)wait->on)->wait = NULL;
}

static int copy(weft_request *req, const weft_shared *buf, bool has_gap, weft_heard *ret_heard)
{
    struct found found;
    size_t size = buf->size - sizeof found;
    memcpy(&found, buf->data, sizeof found);
    const weft_topic place = { .epoch = found.epoch };
    char text[WEFT_POSITION_SIZE];
    weft_topic_position(&place, found.number, text);
    const char *data = weft_arena_copy(&req->arena, buf->data + sizeof found, size);
    const char *position = weft_arena_copy(&req->arena, text, strlen(text));
    if (!data || !position)
        return -ENOMEM;
    *ret_heard = (weft_heard){ { data, size, found.is_text }, position, has_gap };
    return 1;
}

int weft_room_wait_(weft_request *req, const char *room, weft_heard *ret_heard, const weft_join_options *options)
{
    int rc = weft_wait_check("room wait");
    if (rc < 0)
        return rc == WEFT_ECANCELED && weft_request_gone(req) ? WEFT_EGONE : rc;
    struct poll p = { .got = NULL };
    weft_member *member;
    weft_subscriber_init(&p.subscriber, &poll_ops, &p.outbox, 0);
    rc = weft_room_join_subscriber(weft_app_rooms(req->connection->server->app), &p.subscriber, room, &member, options);
    bool has_gap = rc == 0 && weft_member_has_gap(member);
    if (rc == 0 && !p.got) {
        weft_wait wait = WEFT_WAIT("room wait", &p, withdraw);
        p.wait = &wait;
        rc = weft_wait_park(&wait);
    }
    weft_subscriber_close(&p.subscriber);
    if (rc >= 0) /* one may have been dropped, for want of memory, before the one that came */
        rc = copy(req, p.got, has_gap || p.subscriber.dropped > 0, ret_heard);
    weft_shared_unref(p.got);
    return rc == WEFT_ECANCELED && weft_request_gone(req) ? WEFT_EGONE : rc;
}
