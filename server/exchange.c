/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The exchange of a set of rooms: what threads share of it. Everything here is done under its lock, in a time that does not
 * depend on how many members there are, and encodes, sends and calls nothing.
 *
 * A topic is there while it has members somewhere (a part for each hub with some), or a history, or names that are still to be
 * said to have left. One number is spent on each post, also on those that no history keeps; `forgotten` tells from which number
 * on the history is whole, so that a position can be met exactly when it is not below that.
 *
 * To publish is all or nothing: when one hub's mail is full, nobody gets the post. Room for the mail is in the post itself.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/check.h"
#include "lib/base/memory.h"
#include "lib/base/random.h"
#include "server/rooms.h"

/* ---- posts ---- */

weft_post *weft_post_new(const weft_message *msg, const weft_send_options *options, size_t mail_count)
{
    size_t fixed = sizeof(weft_post) + mail_count * sizeof(struct weft_mail);
    size_t context_size = options->where ? options->context_size : 0, context_room = (context_size + 15) & ~(size_t)15;
    if (msg->size > SIZE_MAX / 4 || context_size > SIZE_MAX / 4)
        return NULL;
    weft_post *post = weft_mem_alloc(fixed + context_room + msg->size);
    if (!post)
        return NULL;
    *post = (weft_post){
        .magic = WEFT_POST_MAGIC,
        .to = options->to,
        .key = options->key,
        .where = options->where,
        .is_text = msg->is_text,
        .is_kept = !options->transient && !options->to && !options->where,
        .size = msg->size,
        .mail_count = mail_count,
    };
    atomic_init(&post->refs, 1);
    char *context = (char *)post + fixed;
    if (context_size > 0)
        memcpy(context, options->context, context_size);
    if (msg->size > 0)
        memcpy(context + context_room, msg->data, msg->size);
    post->context = context;
    post->data = context + context_room;
    return post;
}

void weft_post_unref(weft_post *post)
{
    if (!post)
        return;
    IS_A(post, WEFT_POST_MAGIC);
    if (atomic_fetch_sub_explicit(&post->refs, 1, memory_order_acq_rel) > 1)
        return;
    post->magic = 0;
    weft_mem_free(post);
}

static void ref(weft_post *post)
{
    atomic_fetch_add_explicit(&post->refs, 1, memory_order_relaxed);
}

/* ---- topics ---- */

weft_topic *weft_topic_find(weft_rooms *rooms, const char *name, size_t size)
{
    weft_table_node *node = weft_table_find(&rooms->topics, name, size);
    return node ? CONTAINER_OF(node, weft_topic, node) : NULL;
}

weft_topic *weft_topic_get(weft_rooms *rooms, const char *name, size_t size)
{
    weft_topic *topic = weft_topic_find(rooms, name, size);
    if (topic)
        return topic;
    topic = weft_mem_alloc(sizeof *topic + size + 1);
    if (!topic)
        return NULL;
    *topic = (weft_topic){ .rooms = rooms, .epoch = weft_random_next(&rooms->random) };
    memcpy(topic->name, name, size);
    topic->name[size] = '\0';
    topic->node.name = topic->name;
    topic->node.name_size = size;
    weft_list_init(&topic->parts);
    weft_list_init(&topic->in_empty);
    weft_list_init(&topic->history);
    weft_list_init(&topic->in_order);
    weft_list_init(&topic->news);
    weft_list_init(&topic->in_due);
    weft_table_init(&topic->people, weft_random_next(&rooms->random), weft_random_next(&rooms->random));
    if (weft_table_add(&rooms->topics, &topic->node) < 0) {
        weft_mem_free(topic);
        return NULL;
    }
    return topic;
}

static void forget_oldest(weft_topic *topic)
{
    weft_post *post = CONTAINER_OF(weft_list_shift(&topic->history), weft_post, in_history);
    topic->forgotten = post->number;
    topic->history_count--;
    topic->history_size -= post->size;
    topic->rooms->stats.kept--;
    topic->rooms->stats.kept_bytes -= post->size;
    weft_post_unref(post);
}

static void free_topic(weft_topic *topic)
{
    while (topic->history_count > 0)
        forget_oldest(topic);
    weft_presence_free(topic);
    if (!weft_list_is_empty(&topic->in_empty))
        topic->rooms->empty_count--;
    weft_list_remove(&topic->in_empty);
    weft_list_remove(&topic->in_due);
    weft_table_remove(&topic->rooms->topics, &topic->node);
    weft_mem_free(topic);
}

/* Of all rooms together no more is kept than the budget allows: rooms without members give way, then this one's oldest. */
static void keep_to_budget(weft_topic *topic)
{
    weft_rooms *rooms = topic->rooms;
    while (rooms->stats.kept_bytes > rooms->options.history_budget) {
        weft_topic *oldest = rooms->empty_count > 0 ? CONTAINER_OF(rooms->empty.next, weft_topic, in_empty) : NULL;
        if (oldest && oldest != topic)
            free_topic(oldest);
        else if (topic->history_count > 0)
            forget_oldest(topic);
        else
            return;
    }
}

/* Also called again for one that is empty already. */
void weft_topic_keep_or_free(weft_topic *topic)
{
    weft_rooms *rooms = topic->rooms;
    if (topic->part_count > 0) {
        if (!weft_list_is_empty(&topic->in_empty))
            rooms->empty_count--;
        weft_list_remove(&topic->in_empty);
        return;
    }
    weft_presence_free(topic); /* nobody is left to be told */
    if (topic->history_count == 0) {
        free_topic(topic);
        return;
    }
    if (weft_list_is_empty(&topic->in_empty)) {
        weft_list_append(&rooms->empty, &topic->in_empty);
        rooms->empty_count++;
    }
    while (rooms->empty_count > (size_t)rooms->options.empty_most)
        free_topic(CONTAINER_OF(rooms->empty.next, weft_topic, in_empty)); /* it may be this one */
}

void weft_topic_position(const weft_topic *topic, uint64_t number, char text[WEFT_POSITION_SIZE])
{
    snprintf(text, WEFT_POSITION_SIZE, "%llx-%llu", (unsigned long long)topic->epoch, (unsigned long long)number);
}

/* ---- publishing ---- */

static void keep(weft_topic *topic, weft_post *post)
{
    const weft_rooms_options *options = &topic->rooms->options;
    if (!post->is_kept)
        return;
    if (options->history == 0 || post->size > options->history_size) { /* a gap: larger than all of it */
        while (topic->history_count > 0)
            forget_oldest(topic);
        topic->forgotten = post->number;
        return;
    }
    ref(post);
    weft_list_append(&topic->history, &post->in_history);
    topic->history_count++;
    topic->history_size += post->size;
    topic->rooms->stats.kept++;
    topic->rooms->stats.kept_bytes += post->size;
    while (topic->history_count > (size_t)options->history || topic->history_size > options->history_size)
        forget_oldest(topic);
    keep_to_budget(topic);
}

int weft_topic_publish(weft_topic *topic, weft_post *post)
{
    if (topic->part_count > post->mail_count)
        return -EAGAIN;
    LIST_EACH (link, &topic->parts) {
        const weft_hub *hub = CONTAINER_OF(link, weft_room, in_topic)->hub;
        if (hub->mail_count >= WEFT_MAIL_MOST || (hub->mail_size > 0 && hub->mail_size + post->size > WEFT_MAIL_SIZE_MOST))
            return -ENOBUFS;
    }
    post->epoch = topic->epoch;
    post->number = ++topic->number;
    keep(topic, post);
    if (!post->kind)
        topic->rooms->stats.sent++;
    size_t i = 0;
    LIST_EACH (link, &topic->parts) {
        weft_room *room = CONTAINER_OF(link, weft_room, in_topic);
        struct weft_mail *mail = &post->mail[i++];
        *mail = (struct weft_mail){ .room = room, .post = post };
        ref(post);
        weft_list_append(&room->hub->mail, &mail->link);
        room->hub->mail_in++;
        room->hub->mail_count++;
        room->hub->mail_size += post->size;
        weft_hub_wake(room->hub);
    }
    return 0;
}

/* From any thread. NULL for `topic`: the one with this name. */
static int publish(weft_rooms *rooms, weft_topic *topic, const char *name, const weft_message *msg,
                   const weft_send_options *options, uint64_t sender)
{
    for (;;) {
        weft_post *post = weft_post_new(msg, options, atomic_load(&rooms->hub_count));
        if (!post)
            return -ENOMEM;
        post->sender = options->except_me ? sender : 0;
        int rc = 0;
        pthread_mutex_lock(&rooms->lock);
        weft_topic *to = topic;
        if (!to && rooms->options.history > 0 && post->is_kept) {
            to = weft_topic_get(rooms, name, strlen(name));
            rc = to ? 0 : -ENOMEM;
        } else if (!to) {
            to = weft_topic_find(rooms, name, strlen(name));
        }
        if (to)
            rc = weft_topic_publish(to, post);
        if (to && to->part_count == 0)
            weft_topic_keep_or_free(to);
        pthread_mutex_unlock(&rooms->lock);
        weft_post_unref(post);
        if (rc != -EAGAIN) /* another hub has come since it was made */
            return rc;
    }
}

int weft_room_send_(weft_member *me, const weft_message *msg, const weft_send_options *options)
{
    IS_A(me, WEFT_MEMBER_MAGIC);
    if (!me->room)
        return WEFT_ECLOSED;
    return publish(me->hub->rooms, me->room->topic, NULL, msg, options, me->id);
}

int weft_room_publish_(weft_rooms *rooms, const char *room, const weft_message *msg, const weft_send_options *options)
{
    IS_A(rooms, WEFT_ROOMS_MAGIC);
    size_t size = strlen(room);
    if (size == 0 || size > WEFT_ROOM_NAME_MOST)
        return -EINVAL;
    return publish(rooms, NULL, room, msg, options, 0);
}
