/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Hubs: the members of rooms on one loop, and what brings them their mail.
 *
 * Mail is delivered in the order in which it was published. A post goes to the members of its room in slices of SLICE, so that
 * a room of 100,000 does not hold the loop; `cursor` is the next of them, and whoever leaves moves it on. Who joins meanwhile
 * is behind it, and is passed over by the post's number. Nobody is called while the lock is held.
 *
 * A hub is there while it has members; what it leaves behind (rooms that mail may still name, a post under way in the loop's
 * inbox) is dealt with by the last call of `deliver`, which frees it.
 */
#include <errno.h>
#include <string.h>

#include "lib/base/check.h"
#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "server/rooms.h"

enum {
    SLICE = 4096,        /* deliveries in one turn: 0.2 to 0.4 ms */
    ANNOUNCE_MOST = 128, /* topics whose news are told at once */
};

/* ---- waking ---- */

static void deliver_posted(void *arg);

void weft_hub_wake(weft_hub *hub)
{
    if (hub->is_woken || hub->is_posted)
        return;
    hub->is_woken = true;
    if (hub->loop == weft_here) {
        weft_callback_soon(hub->loop, &hub->deliver);
        return;
    }
    hub->is_posted = true;
    hub->post = (struct weft_loop_post){ .fn = deliver_posted, .arg = hub };
    weft_loop_post_embedded(hub->loop, &hub->post);
}

void weft_hub_announce(weft_hub *hub, weft_topic *topic)
{
    topic->is_due = true;
    topic->announcer = hub;
    weft_list_append(&hub->newly_due, &topic->in_due);
    weft_hub_wake(hub);
}

/* ---- encoding ---- */

/* A JSON object with its position as the first member: {"at":"5f0c1a9e-17", ...}. NULL when memory is out. */
static char *with_position(const weft_post *post, size_t *ret_size)
{
    char position[WEFT_POSITION_SIZE + 16];
    const weft_topic place = { .epoch = post->epoch };
    memcpy(position, "{\"at\":\"", 7);
    weft_topic_position(&place, post->number, position + 7);
    size_t size = strlen(position), rest = 1;
    position[size++] = '"';
    while (rest < post->size && memchr(" \t\r\n", post->data[rest], 4))
        rest++;
    if (rest < post->size && post->data[rest] != '}')
        position[size++] = ',';
    char *text = weft_mem_alloc(size + post->size);
    if (!text)
        return NULL;
    memcpy(text, position, size);
    memcpy(text + size, post->data + 1, post->size - 1);
    *ret_size = size + post->size - 1;
    return text;
}

static int encode(const weft_hub *hub, const weft_subscriber *s, const weft_post *post, weft_shared **ret_buf)
{
    const weft_rooms_options *options = &hub->rooms->options;
    weft_delivery delivery = { post->data, post->size, post->is_text, post->kind, post->epoch, post->number };
    char *text = NULL;
    if (options->positions && !post->kind && post->is_text && post->size > 1 && post->data[0] == '{') {
        text = with_position(post, &delivery.size);
        if (!text)
            return -ENOMEM;
        delivery.data = text;
    }
    int rc = s->ops->encode(s, &delivery, ret_buf);
    weft_mem_free(text);
    if (rc > 0) {
        (*ret_buf)->may_drop = options->slow != WEFT_SLOW_DISCONNECT;
        (*ret_buf)->key = post->key;
    }
    return rc;
}

/* What has been encoded for subscribers of its kind; NULL: nothing yet. */
static struct weft_encoded *find_encoded(struct weft_encodings *encoded, const weft_subscriber *s)
{
    for (size_t i = 0; i < encoded->count; i++)
        if (encoded->all[i].ops == s->ops && encoded->all[i].variant == s->variant)
            return &encoded->all[i];
    return NULL;
}

/* Keeps it, which takes over the buffer; of more kinds than there is room for the last one makes room. */
static void keep_encoded(struct weft_encodings *encoded, const weft_subscriber *s, int rc, weft_shared *buf)
{
    if (encoded->count == WEFT_ENCODED_MOST)
        weft_shared_unref(encoded->all[--encoded->count].buf);
    encoded->all[encoded->count++] = (struct weft_encoded){ .ops = s->ops, .variant = s->variant, .rc = rc, .buf = buf };
}

static void forget_encoded(struct weft_encodings *encoded)
{
    while (encoded->count > 0)
        weft_shared_unref(encoded->all[--encoded->count].buf);
}

/* The buffer stays the batch's. */
static int encode_once(weft_hub *hub, struct weft_batched *b, const weft_subscriber *s, weft_shared **ret_buf)
{
    const struct weft_encoded *e = find_encoded(&b->encoded, s);
    if (e) {
        *ret_buf = e->buf;
        return e->rc;
    }
    weft_shared *buf = NULL;
    int rc = encode(hub, s, b->mail->post, &buf);
    if (LIKELY(rc >= 0)) /* else there may be memory for the next one: not all are to miss it */
        keep_encoded(&b->encoded, s, rc, buf);
    *ret_buf = buf;
    return rc;
}

/* All of the batch in one buffer; NULL: it is too much, nothing of it is for them, or memory is out. */
static weft_shared *join(weft_hub *hub, const weft_subscriber *s)
{
    weft_shared *parts[WEFT_BATCH_MOST];
    size_t size = 0, count = 0;
    for (size_t i = 0; i < hub->batch_count; i++) {
        int rc = encode_once(hub, &hub->batch[i], s, &parts[count]);
        if (rc < 0)
            return NULL;
        if (rc > 0)
            size += parts[count++]->size;
    }
    weft_shared *all = count > 1 && size <= WEFT_JOINED_MOST ? weft_shared_new(size) : NULL;
    if (!all)
        return NULL;
    char *at = all->data;
    for (size_t i = 0; i < count; i++) {
        memcpy(at, parts[i]->data, parts[i]->size);
        at += parts[i]->size;
    }
    all->count = (uint32_t)count;
    return all;
}

/* The same, once; the buffer stays the batch's. NULL: the parts are to be given one by one. */
static weft_shared *join_once(weft_hub *hub, const weft_subscriber *s)
{
    const struct weft_encoded *e = find_encoded(&hub->joined, s);
    if (e)
        return e->buf;
    weft_shared *buf = s->ops->joins ? join(hub, s) : NULL;
    keep_encoded(&hub->joined, s, buf != NULL, buf);
    return buf;
}

/* ---- members that do not keep up ---- */

static void miss(weft_hub *hub, weft_subscriber *s, uint64_t count)
{
    s->dropped += count;
    s->untold += count;
    hub->dropped += count;
}

static int put(weft_subscriber *s, weft_shared *buf)
{
    return s->ops->append ? s->ops->append(s, buf) : weft_outbox_append(s->outbox, buf);
}

static void tell_dropped(weft_subscriber *s)
{
    char text[40];
    static const char before[] = "{\"dropped\":";
    memcpy(text, before, sizeof before - 1);
    size_t size = sizeof before - 1, digits = 0;
    char number[24];
    for (uint64_t n = s->untold; n > 0; n /= 10)
        number[digits++] = (char)('0' + n % 10);
    while (digits > 0)
        text[size++] = number[--digits];
    text[size++] = '}';
    weft_delivery delivery = { .data = text, .size = size, .is_text = true, .kind = "dropped" };
    weft_shared *buf = NULL;
    if (s->ops->encode(s, &delivery, &buf) > 0 && put(s, buf) == 0)
        s->untold = 0;
    weft_shared_unref(buf);
}

static bool drop_oldest(weft_subscriber *s)
{
    return s->ops->drop_oldest ? s->ops->drop_oldest(s) : weft_outbox_drop_oldest(s->outbox);
}

static void drop_key(weft_subscriber *s, uint64_t key)
{
    if (s->ops->drop_key)
        s->ops->drop_key(s, key);
    else if (s->outbox->is_blocked)
        weft_outbox_drop_key(s->outbox, key);
}

/* What `encode` said, and gave: appends it, as the policy has it. 0, also when it was dropped and counted, or when the
 * subscriber has failed, which ends it without us; -ENOBUFS or -ENOMEM: it has missed what it may not. */
static int hand_over(weft_hub *hub, weft_subscriber *s, int rc, weft_shared *buf)
{
    enum weft_slow slow = hub->rooms->options.slow;
    if (rc == 0)
        return 0;
    if (rc > 0) {
        if (slow == WEFT_SLOW_KEEP_LATEST && buf->key)
            drop_key(s, buf->key); /* replaced, and so not missed */
        rc = put(s, buf);
        while (rc == -ENOBUFS && slow != WEFT_SLOW_DISCONNECT && drop_oldest(s)) {
            miss(hub, s, 1);
            rc = put(s, buf);
        }
        hub->delivered += rc == 0 ? buf->count : 0;
    }
    if (rc == 0 || rc == WEFT_ECLOSED || s->outbox->error)
        return 0;
    miss(hub, s, 1);
    return slow == WEFT_SLOW_DISCONNECT ? rc : 0;
}

/* What `encode` said, and gave. False: the member has been cut, and may be gone. */
static bool give(weft_hub *hub, weft_subscriber *s, int rc, weft_shared *buf)
{
    const weft_rooms_options *options = &hub->rooms->options;
    if (hand_over(hub, s, rc, buf) == 0)
        return true;
    hub->disconnected++;
    s->ops->cut(s, options->slow_code, "does not keep up with the room");
    return false;
}

int weft_hub_give(weft_member *member, const weft_post *post)
{
    weft_hub *hub = member->hub;
    weft_subscriber *s = member->subscriber;
    weft_shared *buf = weft_recall(hub, s, post);
    int rc = 1;
    if (!buf && (rc = encode(hub, s, post, &buf)) > 0)
        weft_recall_keep(hub, s, post, buf);
    rc = hand_over(hub, s, rc, buf);
    weft_shared_unref(buf);
    return rc;
}

void weft_subscriber_on_low(weft_subscriber *s)
{
    if (s->untold == 0)
        return;
    LIST_EACH (link, &s->members) {
        const weft_member *member = CONTAINER_OF(link, weft_member, in_subscriber);
        if (member->room && member->hub->rooms->options.tells_dropped) {
            tell_dropped(s);
            return;
        }
    }
}

/* ---- the mail ---- */

/* Is it for each member that it finds in the room? */
static bool is_for_all(const weft_post *post)
{
    return !post->sender && !post->to && !post->where;
}

static bool is_for(const weft_post *post, const weft_member *member)
{
    if (post->number <= member->seen || post->sender == member->id)
        return false;
    if (post->to && post->to != member->id)
        return false;
    return !post->where || post->where(member, post->context);
}

static void begin_batch(weft_hub *hub)
{
    weft_room *room = CONTAINER_OF(hub->at_hand.next, struct weft_mail, link)->room;
    hub->is_joined = hub->rooms->options.slow == WEFT_SLOW_DISCONNECT; /* else they are dropped one by one */
    LIST_EACH (link, &hub->at_hand) {
        struct weft_mail *mail = CONTAINER_OF(link, struct weft_mail, link);
        if (mail->room != room || hub->batch_count == WEFT_BATCH_MOST)
            break;
        struct weft_batched *b = &hub->batch[hub->batch_count++];
        b->mail = mail;
        b->encoded.count = 0;
        hub->is_joined &= is_for_all(mail->post);
    }
    hub->is_joined &= hub->batch_count > 1;
    hub->cursor = room->members.next;
}

/* Those that no mail names any more. */
static void free_gone_rooms(weft_hub *hub)
{
    while (!weft_list_is_empty(&hub->gone_rooms)) {
        weft_room *room = CONTAINER_OF(hub->gone_rooms.next, weft_room, in_gone);
        if (room->gone_at > hub->mail_out)
            return;
        weft_list_unlink(&room->in_gone);
        weft_mem_free(room);
    }
}

static void end_batch(weft_hub *hub)
{
    for (size_t i = 0; i < hub->batch_count; i++) {
        struct weft_batched *b = &hub->batch[i];
        forget_encoded(&b->encoded);
        weft_list_unlink(&b->mail->link);
        hub->done_count++;
        hub->done_size += b->mail->post->size;
        weft_post_unref(b->mail->post);
    }
    forget_encoded(&hub->joined);
    hub->mail_out += hub->batch_count;
    hub->batch_count = 0;
    hub->cursor = NULL;
    free_gone_rooms(hub);
}

static void give_batch(weft_hub *hub, weft_member *member)
{
    weft_subscriber *s = member->subscriber;
    weft_shared *buf;
    if (UNLIKELY(s->untold > 0) && hub->rooms->options.tells_dropped && !weft_outbox_is_high(s->outbox))
        tell_dropped(s);
    if (hub->is_joined && hub->batch[0].mail->post->number > member->seen && (buf = join_once(hub, s))) {
        (void)give(hub, s, 1, buf);
        return;
    }
    for (size_t i = 0; i < hub->batch_count; i++) {
        if (!is_for(hub->batch[i].mail->post, member))
            continue;
        int rc = encode_once(hub, &hub->batch[i], s, &buf);
        if (!give(hub, s, rc, buf))
            return;
    }
}

/* Goes on with the batch, or with the next one. False: not all of the room has it yet. */
static bool deliver_batch(weft_hub *hub, int *budget)
{
    if (hub->batch_count == 0)
        begin_batch(hub);
    const weft_room *room = hub->batch[0].mail->room;
    while (hub->cursor != &room->members) {
        if (*budget <= 0)
            return false;
        weft_member *member = CONTAINER_OF((weft_list *)(uintptr_t)hub->cursor, weft_member, in_room);
        hub->cursor = hub->cursor->next;
        give_batch(hub, member);
        *budget -= (int)hub->batch_count;
    }
    *budget -= (int)hub->batch_count; /* for a room that has become empty as well */
    end_batch(hub);
    return true;
}

/* With the lock held: gives topics that have news their time, by this loop's clock. */
static void set_due(weft_hub *hub)
{
    weft_duration due = weft_clock_add(weft_loop_clock(hub->loop), hub->rooms->options.debounce);
    LIST_EACH (link, &hub->newly_due)
        CONTAINER_OF(link, weft_topic, in_due)->due = due;
    weft_list_append_all(&hub->due, &hub->newly_due);
    if (!weft_list_is_empty(&hub->due) && !weft_timer_is_set(&hub->announce))
        weft_timer_set(&hub->loop->wheel, &hub->announce, weft_tick_of(CONTAINER_OF(hub->due.next, weft_topic, in_due)->due));
}

/* Under the lock: what is new, and how far we are. Is there nothing left? */
static bool exchange_mail(weft_hub *hub)
{
    weft_rooms *rooms = hub->rooms;
    pthread_mutex_lock(&rooms->lock);
    hub->is_woken = false;
    hub->mail_count -= hub->done_count;
    hub->mail_size -= hub->done_size;
    rooms->stats.delivered += hub->delivered;
    rooms->stats.dropped += hub->dropped;
    rooms->stats.disconnected += hub->disconnected;
    hub->done_count = hub->done_size = 0;
    hub->delivered = hub->dropped = hub->disconnected = 0;
    weft_list_append_all(&hub->at_hand, &hub->mail);
    set_due(hub);
    pthread_mutex_unlock(&rooms->lock);
    return weft_list_is_empty(&hub->at_hand);
}

static void free_hub(weft_hub *hub)
{
    for (weft_hub **at = (weft_hub **)(void *)&hub->loop->hubs; *at; at = &(*at)->next)
        if (*at == hub) {
            *at = hub->next;
            break;
        }
    weft_timer_clear(&hub->announce);
    weft_callback_clear(&hub->deliver);
    weft_recall_end(hub);
    atomic_fetch_sub(&hub->rooms->hub_count, 1);
    weft_mem_free(hub);
}

static void drop_mail(weft_hub *hub, weft_list *mail)
{
    weft_list *node;
    while ((node = weft_list_shift(mail))) {
        weft_post_unref(CONTAINER_OF(node, struct weft_mail, link)->post);
        hub->mail_out++;
    }
}

void weft_hub_end(weft_rooms *rooms)
{
    weft_hub *hub = weft_here->hubs;
    while (hub && hub->rooms != rooms)
        hub = hub->next;
    if (!hub || hub->member_count > 0)
        return;
    pthread_mutex_lock(&rooms->lock);
    if (hub->is_posted)
        weft_loop_withdraw(hub->loop, &hub->post); /* from now on nobody posts to it: it has no members */
    pthread_mutex_unlock(&rooms->lock);
    end_batch(hub);
    drop_mail(hub, &hub->at_hand);
    drop_mail(hub, &hub->mail);
    free_gone_rooms(hub);
    free_hub(hub);
}

static void deliver(weft_callback *callback)
{
    weft_hub *hub = CONTAINER_OF(callback, weft_hub, deliver);
    int budget = SLICE;
    bool is_done = exchange_mail(hub);
    while (!is_done && budget > 0) {
        if (!deliver_batch(hub, &budget))
            break;
        is_done = weft_list_is_empty(&hub->at_hand) && exchange_mail(hub);
    }
    if (!is_done) {
        weft_callback_soon(hub->loop, &hub->deliver);
        return;
    }
    if (hub->member_count > 0)
        return;
    pthread_mutex_lock(&hub->rooms->lock);
    bool is_posted = hub->is_posted;
    pthread_mutex_unlock(&hub->rooms->lock);
    if (!is_posted)
        free_hub(hub);
}

static void deliver_posted(void *arg)
{
    weft_hub *hub = arg;
    pthread_mutex_lock(&hub->rooms->lock);
    hub->is_posted = false;
    pthread_mutex_unlock(&hub->rooms->lock);
    weft_callback_clear(&hub->deliver);
    deliver(&hub->deliver);
}

/* ---- presence ---- */

/* What cannot be told now, because memory is out or a hub is far behind, stays news. */
static void announce_news(weft_hub *hub, weft_topic *topic)
{
    if (weft_list_is_empty(&topic->news))
        return;
    weft_post *post = weft_presence_notice(topic);
    if (post && weft_topic_publish(topic, post) == 0)
        weft_presence_told(topic);
    else
        weft_hub_announce(hub, topic);
    weft_post_unref(post);
}

static void announce_due(weft_timer *timer)
{
    weft_hub *hub = CONTAINER_OF(timer, weft_hub, announce);
    weft_duration now = weft_loop_clock(hub->loop);
    pthread_mutex_lock(&hub->rooms->lock);
    for (int n = 0; n < ANNOUNCE_MOST && !weft_list_is_empty(&hub->due); n++) {
        weft_topic *topic = CONTAINER_OF(hub->due.next, weft_topic, in_due);
        if (topic->due > now)
            break;
        weft_list_remove(&topic->in_due);
        topic->is_due = false;
        announce_news(hub, topic);
    }
    if (!weft_list_is_empty(&hub->due))
        weft_hub_wake(hub); /* sets the timer anew */
    pthread_mutex_unlock(&hub->rooms->lock);
}

/* ---- coming and going ---- */

weft_hub *weft_hub_here(weft_rooms *rooms)
{
    for (weft_hub *hub = weft_here->hubs; hub; hub = hub->next)
        if (hub->rooms == rooms)
            return hub;
    weft_hub *hub = weft_mem_alloc(sizeof *hub);
    if (!hub)
        return NULL;
    *hub = (weft_hub){ .rooms = rooms, .loop = weft_here, .next = weft_here->hubs };
    weft_list_init(&hub->mail);
    weft_list_init(&hub->at_hand);
    weft_list_init(&hub->gone_rooms);
    weft_list_init(&hub->newly_due);
    weft_list_init(&hub->due);
    weft_callback_init(&hub->deliver, deliver);
    weft_timer_init(&hub->announce, announce_due);
    weft_here->hubs = hub;
    atomic_fetch_add(&rooms->hub_count, 1);
    return hub;
}

void weft_hub_release(weft_hub *hub, weft_topic *topic)
{
    if (topic->announcer != hub)
        return;
    topic->announcer = NULL;
    if (!topic->is_due)
        return;
    weft_list_remove(&topic->in_due);
    topic->is_due = false;
    if (topic->part_count > 0)
        weft_hub_announce(CONTAINER_OF(topic->parts.next, weft_room, in_topic)->hub, topic);
}

/* With the lock held: the last member of the topic here has left. */
static void remove_part(weft_room *room)
{
    weft_topic *topic = room->topic;
    weft_list_unlink(&room->in_topic);
    topic->part_count--;
    if (topic->part_count == 0)
        topic->rooms->busy_count--;
    weft_hub_release(room->hub, topic);
}

void weft_hub_leave(weft_member *member)
{
    weft_room *room = member->room;
    weft_hub *hub = member->hub;
    weft_topic *topic = room->topic;
    if (hub->cursor == &member->in_room)
        hub->cursor = member->in_room.next;
    weft_list_unlink(&member->in_room);
    member->room = NULL;
    bool is_last = weft_list_is_empty(&room->members);
    pthread_mutex_lock(&hub->rooms->lock);
    topic->members--;
    hub->rooms->stats.members--;
    if (!topic->is_due)
        topic->announcer = hub;
    if (member->person)
        weft_presence_leave(topic, member->person);
    member->person = NULL;
    if (is_last) {
        remove_part(room);
        weft_topic_keep_or_free(topic);
        room->gone_at = hub->mail_in;
    }
    pthread_mutex_unlock(&hub->rooms->lock);
    hub->member_count--;
    if (!is_last)
        return;
    weft_list_append(&hub->gone_rooms, &room->in_gone);
    free_gone_rooms(hub);
    if (hub->member_count == 0)
        weft_callback_soon(hub->loop, &hub->deliver); /* which frees it, if nobody has come by then */
}
