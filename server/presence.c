/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Who is in a room, by name, and the notices that tell of it.
 *
 * A person is there as often as it has seats (one for each window). What members have been told is kept with each, so that a
 * notice is the difference between what is and what was told: who left and came back in between is in none.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/check.h"
#include "lib/base/memory.h"
#include "server/rooms.h"

/* ---- people ---- */

static void make_due(weft_topic *topic)
{
    if (!topic->is_due && topic->announcer)
        weft_hub_announce(topic->announcer, topic);
}

int weft_presence_join(weft_topic *topic, const char *name, weft_person **ret_person)
{
    size_t size = strlen(name);
    weft_table_node *node = weft_table_find(&topic->people, name, size);
    weft_person *person = node ? CONTAINER_OF(node, weft_person, node) : NULL;
    if (!person) {
        person = weft_mem_alloc(sizeof *person + size + 1);
        if (!person)
            return -ENOMEM;
        *person = (weft_person){ .node = { .name = person->name, .name_size = size } };
        memcpy(person->name, name, size + 1);
        if (weft_table_add(&topic->people, &person->node) < 0) {
            weft_mem_free(person);
            return -ENOMEM;
        }
        weft_list_append(&topic->in_order, &person->in_order);
    }
    if (person->count++ == 0 && !person->is_told)
        make_due(topic);
    *ret_person = person;
    return 0;
}

static void free_person(weft_topic *topic, weft_person *person)
{
    weft_list_unlink(&person->in_order);
    weft_table_remove(&topic->people, &person->node);
    weft_mem_free(person);
}

void weft_presence_leave(weft_topic *topic, weft_person *person)
{
    if (--person->count > 0)
        return;
    if (person->is_told)
        make_due(topic);
    else
        free_person(topic, person); /* nobody knew */
}

void weft_presence_free(weft_topic *topic)
{
    while (!weft_list_is_empty(&topic->in_order))
        free_person(topic, CONTAINER_OF(topic->in_order.next, weft_person, in_order));
    weft_list_remove(&topic->in_due);
    topic->is_due = false;
}

/* ---- texts ---- */

enum { NAME_JSON_MOST = WEFT_MEMBER_NAME_MOST * 6 + 3, TEXT_ROOM = 256 };

struct text {
    char *data;
    size_t size, room;
};

static void put(struct text *t, const char *data, size_t size)
{
    CHECK(size <= t->room - t->size);
    memcpy(t->data + t->size, data, size);
    t->size += size;
}

static void put_format(struct text *t, const char *format, ...) WEFT_PRINTF(2, 3);
static void put_format(struct text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int size = vsnprintf(t->data + t->size, t->room - t->size, format, args);
    va_end(args);
    CHECK(size >= 0 && (size_t)size < t->room - t->size);
    t->size += (size_t)size;
}

/* The name is UTF-8: that was checked when it joined. */
static void put_name(struct text *t, const char *name, bool is_first)
{
    put(t, is_first ? "\"" : ",\"", is_first ? 1 : 2);
    for (; *name; name++) {
        if (*name == '"' || *name == '\\')
            put(t, "\\", 1);
        if ((unsigned char)*name < 0x20)
            put_format(t, "\\u%04x", *name);
        else
            put(t, name, 1);
    }
    put(t, "\"", 1);
}

static weft_post *post_of(weft_topic *topic, struct text *t, const char *kind)
{
    const weft_message msg = { t->data, t->size, true };
    const weft_send_options options = { .transient = true };
    weft_post *post = weft_post_new(&msg, &options, topic->part_count);
    weft_mem_free(t->data);
    if (post)
        post->kind = kind;
    return post;
}

/* ---- notices ---- */

static size_t put_names(struct text *t, const weft_topic *topic, bool joined)
{
    size_t count = 0;
    LIST_EACH (link, &topic->in_order) {
        const weft_person *person = CONTAINER_OF(link, weft_person, in_order);
        if ((person->count > 0) != joined || person->is_told == joined)
            continue;
        if (count < WEFT_PRESENT_MOST)
            put_name(t, person->name, count == 0);
        count++;
    }
    return count;
}

static void mark_told(weft_topic *topic)
{
    for (weft_list *link = topic->in_order.next, *next; link != &topic->in_order; link = next) {
        weft_person *person = CONTAINER_OF(link, weft_person, in_order);
        next = link->next;
        person->is_told = true;
        if (person->count == 0)
            free_person(topic, person);
    }
}

static bool has_news(const weft_topic *topic)
{
    LIST_EACH (link, &topic->in_order) {
        const weft_person *person = CONTAINER_OF(link, weft_person, in_order);
        if ((person->count > 0) != person->is_told)
            return true;
    }
    return false;
}

static bool make_room(struct text *t, size_t names)
{
    *t = (struct text){ .room = TEXT_ROOM + names * NAME_JSON_MOST };
    t->data = weft_mem_alloc(t->room);
    return t->data;
}

static size_t at_most(size_t count)
{
    return count < WEFT_PRESENT_MOST ? count : WEFT_PRESENT_MOST;
}

weft_post *weft_presence_notice(weft_topic *topic)
{
    struct text t;
    topic->is_due = false;
    if (!has_news(topic))
        return NULL;
    if (!make_room(&t, 2 * at_most(topic->people.count))) {
        topic->is_due = true;
        return NULL;
    }
    put_format(&t, "{\"presence\":{\"joined\":[");
    size_t joined = put_names(&t, topic, true);
    put_format(&t, "],\"left\":[");
    size_t left = put_names(&t, topic, false);
    put_format(&t, "],");
    if (joined > WEFT_PRESENT_MOST)
        put_format(&t, "\"joined_more\":%zu,", joined - WEFT_PRESENT_MOST);
    if (left > WEFT_PRESENT_MOST)
        put_format(&t, "\"left_more\":%zu,", left - WEFT_PRESENT_MOST);
    put_format(&t, "\"count\":%zu}}", topic->people.count - left);
    weft_post *post = post_of(topic, &t, "presence");
    if (post)
        mark_told(topic);
    else
        topic->is_due = true;
    return post;
}

static size_t present_count(const weft_topic *topic)
{
    size_t count = 0;
    LIST_EACH (link, &topic->in_order)
        count += CONTAINER_OF(link, weft_person, in_order)->count > 0;
    return count;
}

weft_post *weft_presence_hello(weft_topic *topic, uint64_t id, uint64_t number, bool has_gap)
{
    struct text t;
    if (!make_room(&t, at_most(topic->people.count)))
        return NULL;
    char position[WEFT_POSITION_SIZE];
    weft_topic_position(topic, number, position);
    bool names = topic->rooms->options.presence;
    put_format(&t, "{\"hello\":{\"you\":%llu,\"at\":\"%s\",\"gap\":%s,\"count\":%zu", (unsigned long long)id, position,
               has_gap ? "true" : "false", names ? present_count(topic) : topic->members);
    if (names) {
        size_t count = 0;
        put_format(&t, ",\"present\":[");
        LIST_EACH (link, &topic->in_order) {
            const weft_person *person = CONTAINER_OF(link, weft_person, in_order);
            if (person->count > 0 && count < WEFT_PRESENT_MOST)
                put_name(&t, person->name, count++ == 0);
        }
        put_format(&t, "]");
    }
    put_format(&t, "}}");
    weft_post *post = post_of(topic, &t, "hello");
    if (post) {
        post->epoch = topic->epoch;
        post->number = number;
    }
    return post;
}
