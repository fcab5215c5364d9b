/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The inside of rooms, in two halves.
 *
 *     the exchange (exchange.c, presence.c): what all threads share of a set of rooms, under one lock. Topics by name: numbers,
 *         history, who is present, and which hubs have members.
 *     a hub (hub.c, recall.c): the part of a set on one loop: its rooms and their members, which no other thread touches.
 *
 *                        publish: number it, keep it, put it into the mail of each hub with members
 *      any thread ───────────────────────────────────────────────────────────────> exchange
 *                                                                                      │ mail; a wake-up when it was empty
 *      subscribers' outboxes <── references, in slices <── encoded once a kind <── hub ┘  (one for each loop)
 *
 * The sender's own loop gets its mail like the others: so all members see one order, and a number that a member has seen tells
 * which ones it has not. Nothing but the exchange knows that the loops are threads of one process.
 */
#ifndef WEFT_SERVER_ROOMS_H
#define WEFT_SERVER_ROOMS_H

#include <pthread.h>
#include <stdatomic.h>

#include <weft/room.h>

#include "lib/base/table.h"
#include "lib/task/loop.h"
#include "server/subscriber.h"

#define WEFT_ROOMS_MAGIC  0x600a5e7du
#define WEFT_MEMBER_MAGIC 0x3e3be55au
#define WEFT_POST_MAGIC   0x9057a11du

struct weft_hub;
struct weft_room;
struct weft_topic;

enum {
    WEFT_ROOM_NAME_MOST = 255,
    WEFT_MEMBER_NAME_MOST = 64,
    WEFT_PRESENT_MOST = 100, /* names in one notice */
    WEFT_HISTORY_MOST = 500,
    WEFT_HISTORY_SIZE_MOST = 512 * 1024,
    WEFT_MAIL_MOST = 10000,                 /* messages that wait for a hub, */
    WEFT_MAIL_SIZE_MOST = 16 * 1024 * 1024, /* and their bytes */
    WEFT_ENCODED_MOST = 12,                 /* encodings of one post: more than there are kinds of members */
    WEFT_BATCH_MOST = 32,                   /* posts that are delivered together */
    WEFT_JOINED_MOST = 32 * 1024,           /* bytes of a batch that goes to members as one buffer */
    WEFT_POSITION_SIZE = 40,                /* of a position as text, with its NUL */
};

/* ---- posts ---- */

/* A post on its way to a hub. */
struct weft_mail {
    weft_list link; /* in the hub's mail */
    struct weft_room *room;
    struct weft_post *post;
};

/* A message as the exchange keeps and forwards it: shared by threads, and not changed once it is published. */
typedef struct weft_post {
    unsigned magic;
    atomic_uint refs;
    uint64_t epoch, number; /* its position */
    uint64_t sender;        /* a member's id, for `except_me`; 0 */
    uint64_t to, key;       /* of weft_send_options */
    weft_room_predicate *where;
    const void *context;
    const char *kind; /* of a notice, else NULL */
    bool is_text, is_kept;
    weft_list in_history; /* of its topic */
    size_t size;
    const char *data;
    size_t mail_count;
    struct weft_mail mail[]; /* one for each hub that it may go to; then the context and the data */
} weft_post;

weft_post *weft_post_new(const weft_message *msg, const weft_send_options *options, size_t mail_count);
void weft_post_unref(weft_post *post);

/* ---- the exchange ---- */

struct weft_rooms {
    unsigned magic;
    weft_rooms *next; /* of the app's */
    weft_rooms_options options;
    atomic_size_t hub_count;

    pthread_mutex_t lock; /* over all that follows, and what is said to be under it elsewhere */
    weft_table topics;
    weft_list empty; /* topics without members, the one that has been so for longest first */
    size_t empty_count, busy_count;
    uint64_t last_member, random;
    weft_room_stats stats;
};

/* A room, as all threads see it; under the lock. */
typedef struct weft_topic {
    weft_table_node node; /* in rooms->topics */
    weft_rooms *rooms;
    weft_list parts; /* struct weft_room: its members on each loop */
    size_t part_count;
    size_t members;
    weft_list in_empty;
    uint64_t epoch, number; /* of the latest post; the numbers begin at 1 */
    uint64_t forgotten;     /* the highest number that has left the history */
    weft_list history;
    size_t history_count, history_size;
    weft_table people;        /* struct weft_person, by name; with presence */
    weft_list in_order, news; /* those who are present; those of whom something is to be told */
    size_t present_count;     /* of `in_order` */
    char *names;              /* the first of them, in JSON, for hellos; NULL: to be encoded anew */
    size_t names_size;
    bool is_due; /* joins or leaves are to be told, by `announcer` */
    struct weft_hub *announcer;
    weft_list in_due;  /* in one of the announcer's lists */
    weft_duration due; /* on its clock */
    char name[];
} weft_topic;

typedef struct weft_person {
    weft_table_node node; /* in the topic's people */
    weft_list in_order;   /* of their coming, while it is present */
    weft_list in_news;
    int count;     /* members with this name */
    bool is_told;  /* that it is present */
    bool is_named; /* in the topic's `names` */
    char name[];
} weft_person;

/* All these with the lock held. */
weft_topic *weft_topic_get(weft_rooms *rooms, const char *name, size_t size); /* finds or makes; NULL when memory is out */
weft_topic *weft_topic_find(weft_rooms *rooms, const char *name, size_t size);
void weft_topic_keep_or_free(weft_topic *topic);            /* after something of it has gone: frees it when nothing is left */
int weft_topic_publish(weft_topic *topic, weft_post *post); /* 0; -ENOBUFS; -EAGAIN: it needs more room for mail */
void weft_topic_position(const weft_topic *topic, uint64_t number, char text[WEFT_POSITION_SIZE]);

/* ---- presence.c; with the lock held ---- */

int weft_presence_join(weft_topic *topic, const char *name, weft_person **ret_person);
void weft_presence_leave(weft_topic *topic, weft_person *person);
/* The notice of the news; NULL when memory is out. */
weft_post *weft_presence_notice(weft_topic *topic);
/* It has been published: the news are none any more. */
void weft_presence_told(weft_topic *topic);
/* To the member with this id, which is given what came after `number`. NULL when memory is out. */
weft_post *weft_presence_hello(weft_topic *topic, uint64_t id, uint64_t number, bool has_gap);
void weft_presence_free(weft_topic *topic);

/* ---- hubs ---- */

/* A post of a history as it was encoded for one kind of member. */
struct weft_recalled {
    uint64_t epoch, number;
    const weft_subscriber_ops *ops;
    unsigned variant;
    weft_shared *buf; /* NULL: an empty place */
};

typedef struct weft_hub {
    weft_rooms *rooms;
    weft_loop *loop;
    struct weft_hub *next; /* of the loop's */
    size_t member_count;
    weft_list mail; /* under the lock, as are the counts and flags */
    size_t mail_count, mail_size;
    bool is_woken, is_posted; /* `deliver` is due; `post` is on its way */
    struct weft_loop_post post;
    weft_callback deliver;

    weft_list at_hand;       /* mail that has been taken */
    weft_list gone_rooms;    /* that mail may still name, in the order of their going */
    uint64_t mail_in;        /* pieces of mail that ever came, under the lock; */
    uint64_t mail_out;       /* and that have been delivered */
    size_t batch_count;      /* the first so many at hand are for one room, and are being delivered; 0: none is */
    const weft_list *cursor; /* the next member for the batch; the room's head when there is none */
    bool is_joined;          /* the batch is for each member alike: it goes as one buffer where it can */
    struct weft_batched {
        struct weft_mail *mail;
        struct weft_encodings {
            size_t count;
            struct weft_encoded {
                const weft_subscriber_ops *ops;
                unsigned variant;
                int rc;
                weft_shared *buf;
            } all[WEFT_ENCODED_MOST];
        } encoded;
    } batch[WEFT_BATCH_MOST];
    struct weft_encodings joined;   /* of the batch; rc 0: it cannot be put together for these */
    struct weft_recalled *recalled; /* by recall.c; NULL: nobody has joined yet who was given something */
    size_t recalled_size;           /* bytes of their buffers */
    size_t done_count, done_size;   /* of the mail, and of the figures, since the lock was last held */
    uint64_t delivered, dropped, disconnected;

    weft_list newly_due; /* topics to announce, for which the hub has still to set a time; under the lock */
    weft_list due;       /* the others, in the order of their times */
    weft_timer announce;
} weft_hub;

/* The members of a room on one loop. */
typedef struct weft_room {
    weft_topic *topic;
    weft_hub *hub;
    weft_list in_topic; /* under the lock */
    weft_list in_gone;
    uint64_t gone_at; /* the hub's mail_in then */
    weft_list members;
} weft_room;

struct weft_member {
    unsigned magic;
    weft_room *room; /* NULL once it has left */
    weft_hub *hub;
    weft_subscriber *subscriber;
    weft_list in_room, in_subscriber;
    uint64_t id;
    uint64_t seen; /* the number of the latest post before it joined, or that it was given then */
    bool has_gap;
    void *data;
    weft_person *person; /* NULL without presence */
    char name[];
};

/* The hub of this thread's loop, made if need be; NULL when memory is out. */
weft_hub *weft_hub_here(weft_rooms *rooms);

/* With the lock held: mail is there, or a topic is due. */
void weft_hub_wake(weft_hub *hub);

/* One post to one member, outside the mail: of what it has missed. 0, also when it was dropped by the policy, and counted;
 * -ENOBUFS or -ENOMEM where nothing may be dropped. */
int weft_hub_give(weft_member *member, const weft_post *post);

/* What has been encoded of a history's post for a subscriber of this kind, with a reference for the caller; NULL. */
weft_shared *weft_recall(const weft_hub *hub, const weft_subscriber *s, const weft_post *post);

/* Keeps what has just been encoded, if the post is of a history and there is memory. */
void weft_recall_keep(weft_hub *hub, const weft_subscriber *s, const weft_post *post, weft_shared *buf);

/* Gives all of it back. */
void weft_recall_end(weft_hub *hub);

/* The member leaves, on its thread. The seat stays. */
void weft_hub_leave(weft_member *member);

/* The set is to be freed: frees its hub here, if that has no members and only waits for its last turn. */
void weft_hub_end(weft_rooms *rooms);

/* With the lock held, from any thread: has the hub announce the topic, after the debounce. */
void weft_hub_announce(weft_hub *hub, weft_topic *topic);

/* With the lock held: the hub has no members of the topic any more, and announces nothing of it. */
void weft_hub_release(weft_hub *hub, weft_topic *topic);

/* What weft_room_join is, for any kind of subscriber; `rooms` unless the options say otherwise. */
int weft_room_join_subscriber(weft_rooms *rooms, weft_subscriber *s, const char *name, weft_member **ret_member,
                              const weft_join_options *options);

/* The set of an app for programs that need no other; made when first asked for. NULL when memory is out. */
weft_rooms *weft_app_rooms(struct weft_app *app);
void weft_app_free_rooms(struct weft_app *app);

#endif
