/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Who is in a room, by name, and the notices that tell of it.
 *
 * A person is there as often as it has seats (one for each window). What members have been told is kept with each, so that a
 * notice is the difference between what is and what was told: who left and came back in between is in none.
 *
 *     seats  told
 *       0     no     it is not there
 *       1+    no     in `in_order` and in `news`: to be told to have joined
 *       1+    yes    in `in_order`
 *       0     yes    in `news`: to be told to have left
 *
 * So a join or a leave costs the same however many are present. The list that each newcomer is greeted with is of at most
 * WEFT_PRESENT_MOST names; it is encoded when somebody comes for whom it is not right any more.
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

static void forget_names(weft_topic *topic)
{
    weft_mem_free(topic->names);
    topic->names = NULL;
}

static void free_person(weft_topic *topic, weft_person *person)
{
    weft_list_unlink(&person->in_order);
    weft_list_unlink(&person->in_news);
    weft_table_remove(&topic->people, &person->node);
    weft_mem_free(person);
}

/* With the name of one who is not there; NULL when memory is out. */
static weft_person *new_person(weft_topic *topic, const char *name, size_t size)
{
    weft_person *person = weft_mem_alloc(sizeof *person + size + 1);
    if (!person)
        return NULL;
    *person = (weft_person){ .node = { .name = person->name, .name_size = size } };
    memcpy(person->name, name, size + 1);
    weft_list_init(&person->in_order);
    weft_list_init(&person->in_news);
    if (weft_table_add(&topic->people, &person->node) == 0)
        return person;
    weft_mem_free(person);
    return NULL;
}

static void come(weft_topic *topic, weft_person *person)
{
    weft_list_append(&topic->in_order, &person->in_order);
    if (++topic->present_count <= WEFT_PRESENT_MOST)
        forget_names(topic);
    if (person->is_told) {
        weft_list_remove(&person->in_news); /* it is back before anybody was told */
    } else {
        weft_list_append(&topic->news, &person->in_news);
        make_due(topic);
    }
}

int weft_presence_join(weft_topic *topic, const char *name, weft_person **ret_person)
{
    size_t size = strlen(name);
    weft_table_node *node = weft_table_find(&topic->people, name, size);
    weft_person *person = node ? CONTAINER_OF(node, weft_person, node) : new_person(topic, name, size);
    if (!person)
        return -ENOMEM;
    if (person->count++ == 0)
        come(topic, person);
    *ret_person = person;
    return 0;
}

void weft_presence_leave(weft_topic *topic, weft_person *person)
{
    if (--person->count > 0)
        return;
    weft_list_remove(&person->in_order);
    topic->present_count--;
    if (person->is_named)
        forget_names(topic);
    person->is_named = false;
    if (person->is_told) {
        weft_list_append(&topic->news, &person->in_news);
        make_due(topic);
    } else {
        free_person(topic, person); /* nobody knew */
    }
}

static void free_all(weft_topic *topic, weft_list *list, bool is_news)
{
    while (!weft_list_is_empty(list))
        free_person(topic,
                    is_news ? CONTAINER_OF(list->next, weft_person, in_news) : CONTAINER_OF(list->next, weft_person, in_order));
}

void weft_presence_free(weft_topic *topic)
{
    free_all(topic, &topic->news, true);
    free_all(topic, &topic->in_order, false);
    topic->present_count = 0;
    forget_names(topic);
    weft_list_remove(&topic->in_due);
    topic->is_due = false;
}

/* ---- texts ---- */

enum { NAME_JSON_MOST = WEFT_MEMBER_NAME_MOST * 6 + 3, TEXT_ROOM = 256 };

struct text {
    char *data;
    size_t size, room;
};

static bool make_room(struct text *t, size_t size)
{
    *t = (struct text){ .room = size };
    t->data = weft_mem_alloc(size);
    return t->data;
}

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

/* Of the news; at most WEFT_PRESENT_MOST are named. How many are there? */
static size_t put_news(struct text *t, const weft_topic *topic, bool joined)
{
    size_t count = 0;
    LIST_EACH (link, &topic->news) {
        const weft_person *person = CONTAINER_OF(link, weft_person, in_news);
        if ((person->count > 0) != joined)
            continue;
        if (count < WEFT_PRESENT_MOST)
            put_name(t, person->name, count == 0);
        count++;
    }
    return count;
}

weft_post *weft_presence_notice(weft_topic *topic)
{
    struct text t;
    size_t names = 0;
    LIST_EACH (link, &topic->news)
        if (++names == 2 * WEFT_PRESENT_MOST)
            break;
    if (!make_room(&t, TEXT_ROOM + names * NAME_JSON_MOST))
        return NULL;
    put_format(&t, "{\"presence\":{\"joined\":[");
    size_t joined = put_news(&t, topic, true);
    put_format(&t, "],\"left\":[");
    size_t left = put_news(&t, topic, false);
    put_format(&t, "],");
    if (joined > WEFT_PRESENT_MOST)
        put_format(&t, "\"joined_more\":%zu,", joined - WEFT_PRESENT_MOST);
    if (left > WEFT_PRESENT_MOST)
        put_format(&t, "\"left_more\":%zu,", left - WEFT_PRESENT_MOST);
    put_format(&t, "\"count\":%zu}}", topic->present_count);
    return post_of(topic, &t, "presence");
}

void weft_presence_told(weft_topic *topic)
{
    weft_list *node;
    while ((node = weft_list_shift(&topic->news))) {
        weft_person *person = CONTAINER_OF(node, weft_person, in_news);
        weft_list_init(node);
        person->is_told = true;
        if (person->count == 0)
            free_person(topic, person);
    }
}

/* The names that a hello lists, as the inside of an array. */
static bool encode_names(weft_topic *topic)
{
    struct text t;
    size_t count = topic->present_count < WEFT_PRESENT_MOST ? topic->present_count : WEFT_PRESENT_MOST, put_count = 0;
    if (topic->names)
        return true;
    if (!make_room(&t, count * NAME_JSON_MOST + 1))
        return false;
    LIST_EACH (link, &topic->in_order) {
        weft_person *person = CONTAINER_OF(link, weft_person, in_order);
        if (put_count == count)
            break;
        put_name(&t, person->name, put_count++ == 0);
        person->is_named = true;
    }
    topic->names_size = t.size;
    topic->names = weft_mem_realloc(t.data, t.size + 1); /* it stays */
    if (!topic->names)
        topic->names = t.data;
    return true;
}

weft_post *weft_presence_hello(weft_topic *topic, uint64_t id, uint64_t number, bool has_gap)
{
    struct text t;
    bool has_names = topic->rooms->options.presence;
    if ((has_names && !encode_names(topic)) || !make_room(&t, TEXT_ROOM + (has_names ? topic->names_size : 0)))
        return NULL;
    char position[WEFT_POSITION_SIZE];
    weft_topic_position(topic, number, position);
    put_format(&t, "{\"hello\":{\"you\":%llu,\"at\":\"%s\",\"gap\":%s,\"count\":%zu", (unsigned long long)id, position,
               has_gap ? "true" : "false", has_names ? topic->present_count : topic->members);
    if (has_names) {
        put_format(&t, ",\"present\":[");
        put(&t, topic->names, topic->names_size);
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
