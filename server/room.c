/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Rooms, as programs see them: sets, seats, and what can be asked of them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "lib/base/check.h"
#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "lib/base/random.h"
#include "server/app.h"
#include "server/rooms.h"

enum {
    EMPTY_DEFAULT = 1000,
    ROOMS_DEFAULT = 100000,
    HISTORY_SIZE_DEFAULT = 64 * 1024,
    HISTORY_BUDGET_DEFAULT = 64 * 1024 * 1024,
    TRY_AGAIN_LATER = 1013,
    POLICY = 1008,
};

static const weft_duration DEBOUNCE = 500 * WEFT_MILLISECOND;

/* ---- sets ---- */

static bool fill_in(weft_rooms_options *ret, const weft_rooms_options *given)
{
    size_t size = given->struct_size < sizeof *ret ? given->struct_size : sizeof *ret;
    *ret = (weft_rooms_options){ 0 };
    memcpy(ret, given, size);
    ret->struct_size = sizeof *ret;
    if (ret->slow_code == 0)
        ret->slow_code = TRY_AGAIN_LATER;
    if (ret->history_size == 0)
        ret->history_size = HISTORY_SIZE_DEFAULT;
    if (ret->history_budget == 0)
        ret->history_budget = HISTORY_BUDGET_DEFAULT;
    if (ret->empty_most == 0)
        ret->empty_most = EMPTY_DEFAULT;
    if (ret->rooms_most == 0)
        ret->rooms_most = ROOMS_DEFAULT;
    if (ret->debounce == 0)
        ret->debounce = DEBOUNCE;
    return ret->slow <= WEFT_SLOW_KEEP_LATEST && (ret->slow_code == TRY_AGAIN_LATER || ret->slow_code == POLICY) &&
           ret->history >= 0 && ret->history <= WEFT_HISTORY_MOST && ret->history_size <= WEFT_HISTORY_SIZE_MOST &&
           ret->empty_most > 0 && ret->rooms_most > 0 && ret->debounce > 0;
}

weft_rooms *weft_rooms_new_(weft_app *app, const weft_rooms_options *options)
{
    weft_rooms *rooms = weft_mem_calloc(1, sizeof *rooms);
    if (!rooms)
        return NULL;
    uint64_t seeds[3] = { 0 };
    if (!fill_in(&rooms->options, options) || getrandom(seeds, sizeof seeds, 0) != sizeof seeds) {
        weft_mem_free(rooms);
        return NULL;
    }
    rooms->magic = WEFT_ROOMS_MAGIC;
    rooms->random = seeds[2];
    atomic_init(&rooms->hub_count, 0);
    weft_table_init(&rooms->topics, seeds[0], seeds[1]);
    weft_list_init(&rooms->empty);
    pthread_mutex_init(&rooms->lock, NULL);
    if (app) {
        pthread_mutex_lock(&app->lock);
        rooms->next = app->rooms;
        app->rooms = rooms;
        pthread_mutex_unlock(&app->lock);
    }
    return rooms;
}

void weft_rooms_free(weft_rooms *rooms)
{
    if (!rooms)
        return;
    IS_A(rooms, WEFT_ROOMS_MAGIC);
    if (weft_here)
        weft_hub_end(rooms);
    CHECK(atomic_load(&rooms->hub_count) == 0);
    rooms->options.empty_most = 0;
    while (!weft_list_is_empty(&rooms->empty))
        weft_topic_keep_or_free(CONTAINER_OF(rooms->empty.next, weft_topic, in_empty));
    CHECK(rooms->topics.count == 0);
    pthread_mutex_destroy(&rooms->lock);
    rooms->magic = 0;
    weft_mem_free(rooms);
}

weft_rooms *weft_app_rooms(weft_app *app)
{
    pthread_mutex_lock(&app->lock);
    weft_rooms *rooms = app->default_rooms;
    pthread_mutex_unlock(&app->lock);
    if (rooms)
        return rooms;
    rooms = weft_rooms_new(app, 0);
    if (!rooms)
        return NULL;
    pthread_mutex_lock(&app->lock);
    if (!app->default_rooms)
        app->default_rooms = rooms; /* if two threads come at once, one set stays unused */
    rooms = app->default_rooms;
    pthread_mutex_unlock(&app->lock);
    return rooms;
}

void weft_app_free_rooms(weft_app *app)
{
    while (app->rooms) {
        weft_rooms *rooms = app->rooms;
        app->rooms = rooms->next;
        weft_rooms_free(rooms);
    }
}

weft_room_stats weft_rooms_stats(weft_rooms *rooms)
{
    IS_A(rooms, WEFT_ROOMS_MAGIC);
    pthread_mutex_lock(&rooms->lock);
    weft_room_stats stats = rooms->stats;
    stats.rooms = rooms->busy_count;
    pthread_mutex_unlock(&rooms->lock);
    return stats;
}

/* ---- positions ---- */

/* The number that a client has seen the posts of up to; *ret_gap: not all after it is there. With the lock held. */
static uint64_t number_of(const weft_topic *topic, const char *since, bool *ret_gap)
{
    *ret_gap = false;
    if (!since || !*since)
        return topic->number;
    if (strcmp(since, "0") == 0)
        return topic->forgotten;
    char *end;
    errno = 0;
    uint64_t epoch = strtoull(since, &end, 16), number = 0;
    bool is_one = errno == 0 && *end == '-' && end[1] >= '0' && end[1] <= '9';
    if (is_one)
        number = strtoull(end + 1, &end, 10);
    if (is_one && errno == 0 && *end == '\0' && epoch == topic->epoch && number <= topic->number && number >= topic->forgotten)
        return number;
    *ret_gap = true;
    return topic->forgotten;
}

/* ---- joining ---- */

/* UTF-8 by RFC 3629 §4: no surrogates, nothing overlong. */
static bool is_utf8(const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at;) {
        unsigned lead = *at++;
        int more = lead < 0x80 ? 0 : lead < 0xc2 ? -1 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : lead < 0xf5 ? 3 : -1;
        if (more < 0)
            return false;
        if ((lead == 0xe0 && *at < 0xa0) || (lead == 0xed && *at > 0x9f) || (lead == 0xf0 && *at < 0x90) ||
            (lead == 0xf4 && *at > 0x8f))
            return false;
        for (; more > 0; more--)
            if ((*at++ & 0xc0) != 0x80)
                return false;
    }
    return true;
}

/* What is to be given to a new member. */
struct missed {
    weft_member *member;
    weft_post *hello;
    weft_post **posts;
    size_t count;
    int rc;
};

static void collect(struct missed *missed, const weft_topic *topic, uint64_t number)
{
    LIST_EACH (link, &topic->history) {
        weft_post *post = CONTAINER_OF(link, weft_post, in_history);
        if (post->number <= number)
            continue;
        atomic_fetch_add_explicit(&post->refs, 1, memory_order_relaxed);
        missed->posts[missed->count++] = post;
    }
}

/* All of it, or what the policy leaves of it; or else the reason, after which it must not stay: it has been greeted as one
 * that misses nothing. */
static void give_missed(void *arg)
{
    struct missed *missed = arg;
    weft_member *member = missed->member;
    uint64_t dropped = member->subscriber->dropped;
    missed->rc = missed->hello ? weft_hub_give(member, missed->hello) : 0;
    weft_post_unref(missed->hello);
    for (size_t i = 0; i < missed->count; i++) {
        if (missed->rc == 0)
            missed->rc = weft_hub_give(member, missed->posts[i]);
        weft_post_unref(missed->posts[i]);
    }
    weft_mem_free(missed->posts);
    if (member->subscriber->dropped > dropped)
        member->has_gap = true;
}

/* With the lock held: the part of the topic on this loop. */
static weft_room *part_of(weft_topic *topic, weft_hub *hub)
{
    LIST_EACH (link, &topic->parts)
        if (CONTAINER_OF(link, weft_room, in_topic)->hub == hub)
            return CONTAINER_OF(link, weft_room, in_topic);
    weft_room *room = weft_mem_alloc(sizeof *room);
    if (!room)
        return NULL;
    *room = (weft_room){ .topic = topic, .hub = hub };
    weft_list_init(&room->members);
    weft_list_init(&room->in_gone);
    return room;
}

/* With the lock held: everything that may fail, then what may not. */
static int take_seat(weft_member *member, const char *name, const weft_join_options *options, struct missed *missed)
{
    weft_rooms *rooms = member->hub->rooms;
    weft_topic *topic = weft_topic_get(rooms, name, strlen(name));
    if (!topic)
        return -ENOMEM;
    int rc = topic->part_count == 0 && rooms->busy_count >= (size_t)rooms->options.rooms_most ? -ENOSPC : 0;
    weft_room *room = rc == 0 ? part_of(topic, member->hub) : NULL;
    if (!room) {
        if (topic->part_count == 0)
            weft_topic_keep_or_free(topic);
        return rc < 0 ? rc : -ENOMEM;
    }
    bool is_new = weft_list_is_empty(&room->members);
    if (!topic->is_due)
        topic->announcer = member->hub;
    if (rooms->options.presence && *member->name)
        rc = weft_presence_join(topic, member->name, &member->person);
    uint64_t number = number_of(topic, options->since, &member->has_gap);
    topic->members++; /* it is counted in the hello */
    if (rc == 0 && rooms->options.greets &&
        !(missed->hello = weft_presence_hello(topic, rooms->last_member + 1, number, member->has_gap)))
        rc = -ENOMEM;
    if (rc < 0) {
        topic->members--;
        if (member->person)
            weft_presence_leave(topic, member->person);
        if (is_new) {
            weft_hub_release(member->hub, topic);
            weft_mem_free(room);
        }
        if (topic->part_count == 0)
            weft_topic_keep_or_free(topic);
        return rc;
    }
    if (is_new) {
        weft_list_append(&topic->parts, &room->in_topic);
        if (topic->part_count++ == 0)
            rooms->busy_count++;
        weft_topic_keep_or_free(topic);
    }
    if (missed->posts)
        collect(missed, topic, number);
    rooms->stats.members++;
    member->id = ++rooms->last_member;
    member->seen = topic->number;
    member->room = room;
    member->hub->member_count++;
    weft_list_append(&room->members, &member->in_room);
    return 0;
}

static weft_member *new_member(weft_hub *hub, weft_subscriber *s, const weft_join_options *options)
{
    const char *name = options->name ? options->name : "";
    size_t size = strlen(name);
    weft_member *member = weft_mem_alloc(sizeof *member + size + 1);
    if (!member)
        return NULL;
    *member = (weft_member){ .magic = WEFT_MEMBER_MAGIC, .hub = hub, .subscriber = s, .data = options->data };
    memcpy(member->name, name, size + 1);
    return member;
}

static void free_member(weft_member *member)
{
    member->magic = 0;
    weft_mem_free(member);
}

int weft_room_join_subscriber(weft_rooms *rooms, weft_subscriber *s, const char *name, weft_member **ret_member,
                              const weft_join_options *options)
{
    if (options->rooms)
        rooms = options->rooms;
    if (!rooms)
        return -ENOMEM;
    IS_A(rooms, WEFT_ROOMS_MAGIC);
    size_t size = strlen(name);
    if (size == 0 || size > WEFT_ROOM_NAME_MOST ||
        (options->name && (strlen(options->name) > WEFT_MEMBER_NAME_MOST || !is_utf8(options->name))))
        return -EINVAL;
    if (!s->ops)
        return WEFT_ECLOSED;
    weft_hub *hub = weft_hub_here(rooms);
    weft_member *member = hub ? new_member(hub, s, options) : NULL;
    struct missed missed = { 0 };
    int rc = member ? 0 : -ENOMEM;
    if (rc == 0 && options->since && *options->since && rooms->options.history > 0) {
        missed.posts = weft_mem_alloc((size_t)rooms->options.history * sizeof(weft_post *));
        rc = missed.posts ? 0 : -ENOMEM;
    }
    if (rc == 0) {
        pthread_mutex_lock(&rooms->lock);
        rc = take_seat(member, name, options, &missed);
        pthread_mutex_unlock(&rooms->lock);
    }
    if (rc < 0) {
        weft_mem_free(missed.posts);
        if (member)
            free_member(member);
        if (hub)
            weft_callback_soon(hub->loop, &hub->deliver); /* which frees it if it has no member */
        return rc;
    }
    weft_list_append(&s->members, &member->in_subscriber);
    missed.member = member;
    weft_on_loop_stack(give_missed, &missed); /* to compress is deep */
    if (missed.rc < 0) {
        weft_room_leave(member);
        return missed.rc;
    }
    *ret_member = member;
    return 0;
}

void weft_room_leave(weft_member *me)
{
    if (!me)
        return;
    IS_A(me, WEFT_MEMBER_MAGIC);
    if (me->room)
        weft_hub_leave(me);
    weft_list_unlink(&me->in_subscriber);
    free_member(me);
}

/* ---- subscribers ---- */

void weft_subscriber_init(weft_subscriber *s, const weft_subscriber_ops *ops, weft_outbox *outbox, unsigned variant)
{
    *s = (weft_subscriber){ .ops = ops, .outbox = outbox, .variant = variant };
    weft_list_init(&s->members);
}

void weft_subscriber_leave(weft_subscriber *s)
{
    if (!s->ops)
        return;
    s->ops = NULL;
    LIST_EACH (link, &s->members) {
        weft_member *member = CONTAINER_OF(link, weft_member, in_subscriber);
        if (member->room)
            weft_hub_leave(member);
    }
}

void weft_subscriber_close(weft_subscriber *s)
{
    weft_subscriber_leave(s);
    weft_list *node;
    while ((node = weft_list_shift(&s->members)))
        free_member(CONTAINER_OF(node, weft_member, in_subscriber));
}

/* ---- what can be asked ---- */

uint64_t weft_member_id(const weft_member *me)
{
    IS_A(me, WEFT_MEMBER_MAGIC);
    return me->id;
}

const char *weft_member_name(const weft_member *me)
{
    IS_A(me, WEFT_MEMBER_MAGIC);
    return me->name;
}

void *weft_member_data(const weft_member *me)
{
    IS_A(me, WEFT_MEMBER_MAGIC);
    return me->data;
}

bool weft_member_has_gap(const weft_member *me)
{
    IS_A(me, WEFT_MEMBER_MAGIC);
    return me->has_gap;
}

uint64_t weft_member_dropped(const weft_member *me)
{
    IS_A(me, WEFT_MEMBER_MAGIC);
    return me->subscriber->dropped;
}

size_t weft_room_count(const weft_member *me)
{
    IS_A(me, WEFT_MEMBER_MAGIC);
    if (!me->room)
        return 0;
    pthread_mutex_lock(&me->hub->rooms->lock);
    size_t count = me->room->topic->members;
    pthread_mutex_unlock(&me->hub->rooms->lock);
    return count;
}

void weft_room_present(const weft_member *me, bool (*fn)(void *context, const char *name, int count), void *context)
{
    IS_A(me, WEFT_MEMBER_MAGIC);
    if (!me->room)
        return;
    pthread_mutex_lock(&me->hub->rooms->lock);
    LIST_EACH (link, &me->room->topic->in_order) {
        const weft_person *person = CONTAINER_OF(link, weft_person, in_order);
        if (person->count > 0 && !fn(context, person->name, person->count))
            break;
    }
    pthread_mutex_unlock(&me->hub->rooms->lock);
}
