/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Rooms with subscribers over memory, in virtual time. */
#include <errno.h>
#include <stdio.h>

#include "lib/base/random.h"
#include "tests/server/sitter.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Members of six kinds, one beside the other: each message is still encoded once for each kind. */
static int test_many_kinds(void)
{
    weft_rooms *rooms = weft_rooms_new(NULL, 0);
    sitter all[12];
    const unsigned kinds[] = { 2, 3, 4, 5, 0, 6 };
    for (int i = 0; i < 12; i++) {
        WEFT_CHECK(sitter_open(&all[i], 1000, kinds[i % 6]) == 0);
        WEFT_CHECK(sitter_join(&all[i], rooms, "a") == 0);
    }
    sitter_encodes = 0;
    WEFT_CHECK(sitter_say(&all[0], "one") == 0);
    settle();
    for (int i = 0; i < 12; i++)
        WEFT_CHECK(sitter_has(&all[i], "one;"));
    WEFT_CHECK(sitter_encodes == 1); /* of kind 0 */
    close_all(all, 12);
    check_nothing_is_left(rooms);
    return 0;
}

static int test_everybody_gets_it(void)
{
    weft_rooms *rooms = weft_rooms_new(NULL, 0);
    sitter all[4];
    open_all(all, 4, 1000);
    for (int i = 0; i < 3; i++)
        WEFT_CHECK(sitter_join(&all[i], rooms, "a") == 0 && weft_member_id(all[i].seat) == (uint64_t)i + 1);
    WEFT_CHECK(sitter_join(&all[3], rooms, "b") == 0);
    sitter_encodes = 0;
    WEFT_CHECK(sitter_say(&all[0], "one") == 0 && sitter_say(&all[1], "two") == 0 && sitter_say(&all[3], "elsewhere") == 0);
    WEFT_CHECK(weft_room_count(all[0].seat) == 3 && weft_rooms_stats(rooms).rooms == 2);
    settle();
    for (int i = 0; i < 3; i++)
        WEFT_CHECK(sitter_has(&all[i], "one;two;"));
    WEFT_CHECK(sitter_has(&all[3], "elsewhere;") && sitter_encodes == 3); /* once for each message */
    weft_room_leave(all[1].seat);
    weft_room_leave(NULL);
    weft_subscriber_leave(&all[3].subscriber); /* its connection has been closed, but its handler goes on */
    WEFT_CHECK(sitter_say(&all[3], "gone") == WEFT_ECLOSED && weft_room_count(all[3].seat) == 0);
    WEFT_CHECK(sitter_join(&all[3], rooms, "b") == WEFT_ECLOSED);
    WEFT_CHECK(sitter_say(&all[2], "three") == 0);
    settle();
    WEFT_CHECK(sitter_has(&all[0], "one;two;three;") && sitter_has(&all[1], "one;two;"));
    WEFT_CHECK(weft_rooms_stats(rooms).sent == 4 && weft_rooms_stats(rooms).delivered == 9);
    WEFT_CHECK(sitter_join(&all[0], rooms, "") == -EINVAL && sitter_join(&all[0], rooms, "x", .name = "\xff") == -EINVAL);
    close_all(all, 4);
    check_nothing_is_left(rooms);
    return 0;
}

static bool is_older(const weft_member *member, const void *age)
{
    return *(const int *)weft_member_data(member) > *(const int *)age;
}

static int test_some_of_them(void)
{
    weft_rooms *rooms = weft_rooms_new(NULL, 0);
    sitter all[3];
    int ages[] = { 20, 40, 60 }, age = 30;
    open_all(all, 3, 1000);
    for (int i = 0; i < 3; i++)
        WEFT_CHECK(sitter_join(&all[i], rooms, "a", .data = &ages[i]) == 0);
    const weft_message msg = { "hi", 2, true }, bytes = { "\0\1", 2, false };
    WEFT_CHECK(weft_room_send(all[0].seat, &msg, .except_me = true) == 0);
    WEFT_CHECK(weft_room_send(all[0].seat, &msg, .to = weft_member_id(all[2].seat)) == 0);
    WEFT_CHECK(weft_room_send(all[0].seat, &msg, .where = is_older, .context = &age, .context_size = sizeof age) == 0);
    WEFT_CHECK(weft_room_send(all[0].seat, &bytes) == 0); /* not for this kind */
    age = 100;                                            /* it was copied */
    settle();
    WEFT_CHECK(sitter_has(&all[0], "") && sitter_has(&all[1], "hi;hi;") && sitter_has(&all[2], "hi;hi;hi;"));
    WEFT_CHECK(weft_room_publish(rooms, "a", &msg) == 0 && weft_room_publish(rooms, "nobody", &msg) == 0);
    WEFT_CHECK(weft_room_publish(rooms, "", &msg) == -EINVAL);
    settle();
    WEFT_CHECK(sitter_has(&all[0], "hi;"));
    close_all(all, 3);
    check_nothing_is_left(rooms);
    return 0;
}

/* Fills the first one's queue: its peer does not read. `big` of them are more than the queue holds. */
static void say_many(sitter *from, int first, int count)
{
    for (int i = first; i < first + count; i++) {
        char text[16];
        snprintf(text, sizeof text, "m%d", i);
        WEFT_CHECK(sitter_say(from, text) == 0);
        settle();
    }
}

static int test_drop_oldest(void)
{
    weft_rooms *rooms = weft_rooms_new(NULL, .slow = WEFT_SLOW_DROP_OLDEST, .tells_dropped = true);
    sitter all[2];
    WEFT_CHECK(sitter_open(&all[0], 1, 0) == 0 && sitter_open(&all[1], 100000, 0) == 0);
    weft_transport_read_stop(&all[0].peer);
    for (int i = 0; i < 2; i++)
        WEFT_CHECK(sitter_join(&all[i], rooms, "a") == 0);
    say_many(&all[1], 1, 20);
    WEFT_CHECK(weft_member_dropped(all[0].seat) == 9 && weft_member_dropped(all[1].seat) == 0);
    WEFT_CHECK(all[1].got_size == 9 * 3 + 11 * 4); /* nobody else was delayed */
    weft_transport_read_start(&all[0].peer);
    settle();
    WEFT_CHECK(sitter_has(&all[0], "m1;m11;m12;m13;m14;m15;m16;m17;m18;m19;m20;dropped:{\"dropped\":9};"));
    WEFT_CHECK(weft_rooms_stats(rooms).dropped == 9);
    close_all(all, 2);
    check_nothing_is_left(rooms);
    return 0;
}

static int test_keep_latest(void)
{
    weft_rooms *rooms = weft_rooms_new(NULL, .slow = WEFT_SLOW_KEEP_LATEST);
    sitter all[2];
    WEFT_CHECK(sitter_open(&all[0], 1, 0) == 0 && sitter_open(&all[1], 100000, 0) == 0);
    weft_transport_read_stop(&all[0].peer);
    for (int i = 0; i < 2; i++)
        WEFT_CHECK(sitter_join(&all[i], rooms, "a") == 0);
    for (int i = 1; i <= 30; i++) {
        char text[16];
        snprintf(text, sizeof text, "k%d=%d", i % 3 + 1, i);
        const weft_message msg = { text, strlen(text), true };
        WEFT_CHECK(weft_room_send(all[1].seat, &msg, .key = (uint64_t)(i % 3 + 1)) == 0);
        settle();
    }
    weft_transport_read_start(&all[0].peer);
    settle();
    WEFT_CHECK(sitter_has(&all[0], "k2=1;k2=28;k3=29;k1=30;") && weft_member_dropped(all[0].seat) == 0);
    close_all(all, 2);
    check_nothing_is_left(rooms);
    return 0;
}

static int test_disconnect(void)
{
    for (int closes = 0; closes < 2; closes++) {
        weft_rooms *rooms = weft_rooms_new(NULL, .slow_code = 1008);
        sitter all[3];
        WEFT_CHECK(sitter_open(&all[0], 1, 0) == 0 && sitter_open(&all[1], 1, 0) == 0 && sitter_open(&all[2], 100000, 0) == 0);
        for (int i = 0; i < 3; i++) {
            all[i].closes_when_cut = closes;
            WEFT_CHECK(sitter_join(&all[i], rooms, "a") == 0);
        }
        weft_transport_read_stop(&all[0].peer);
        weft_transport_read_stop(&all[1].peer);
        say_many(&all[2], 1, 30);
        WEFT_CHECK(all[0].cuts == 1 && all[0].cut_code == 1008 && all[1].cuts == 1 && all[2].cuts == 0);
        if (!closes)
            WEFT_CHECK(sitter_say(&all[0], "too late") == WEFT_ECLOSED); /* its seat is still there */
        WEFT_CHECK(weft_rooms_stats(rooms).disconnected == 2 && weft_rooms_stats(rooms).members == 1);
        close_all(all, 3);
        check_nothing_is_left(rooms);
    }
    return 0;
}

/* "EPOCH-NUMBER" of the room. */
static const char *position(weft_rooms *rooms, const char *room, uint64_t number)
{
    static char text[WEFT_POSITION_SIZE];
    pthread_mutex_lock(&rooms->lock);
    weft_topic *topic = weft_topic_find(rooms, room, strlen(room));
    if (topic)
        weft_topic_position(topic, number, text);
    pthread_mutex_unlock(&rooms->lock);
    return text;
}

static int test_history(void)
{
    weft_rooms *rooms = weft_rooms_new(NULL, .history = 5, .greets = true);
    sitter a, b;
    char expected[300];
    WEFT_CHECK(sitter_open(&a, 1000, 0) == 0 && sitter_open(&b, 1000, 0) == 0);
    WEFT_CHECK(sitter_join(&a, rooms, "r") == 0);
    for (int i = 1; i <= 4; i++)
        say_many(&a, i, 1);
    const weft_message typing = { "typing", 6, true };
    WEFT_CHECK(weft_room_send(a.seat, &typing, .transient = true) == 0); /* number 5, not kept */
    WEFT_CHECK(sitter_say(&a, "m6") == 0);
    WEFT_CHECK(sitter_join(&b, rooms, "r", .since = position(rooms, "r", 2)) == 0 && !weft_member_has_gap(b.seat));
    settle();
    snprintf(expected, sizeof expected, "hello:{\"hello\":{\"you\":2,\"at\":\"%s\",\"gap\":false,\"count\":2}};m3;m4;m6;",
             position(rooms, "r", 2));
    WEFT_CHECK(sitter_has(&b, expected)); /* once: m6 was under way when it joined */
    WEFT_CHECK(sitter_say(&a, "m7") == 0 && sitter_say(&a, "m8") == 0);
    settle();
    weft_room_leave(b.seat);
    sitter_forget(&b);
    WEFT_CHECK(sitter_join(&b, rooms, "r", .since = position(rooms, "r", 1)) == 0 && weft_member_has_gap(b.seat));
    settle();
    WEFT_CHECK(strstr(sitter_got(&b), "\"gap\":true,\"count\":2}};m3;m4;m6;m7;m8;"));
    static const char *const wrong[] = {
        "1-1", "nonsense", "-", "1-", "1-x", "99999999999999999999-1", "ff-18446744073709551616"
    };
    for (size_t i = 0; i < COUNT(wrong); i++) {
        weft_room_leave(b.seat);
        WEFT_CHECK(sitter_join(&b, rooms, "r", .since = wrong[i]) == 0 && weft_member_has_gap(b.seat));
        settle();
    }
    weft_room_leave(b.seat);
    sitter_forget(&b);
    WEFT_CHECK(sitter_join(&b, rooms, "r", .since = position(rooms, "r", 99)) == 0 && weft_member_has_gap(b.seat));
    settle();
    weft_room_leave(b.seat);
    WEFT_CHECK(sitter_join(&b, rooms, "r", .since = "0") == 0 && !weft_member_has_gap(b.seat));
    settle();
    weft_room_leave(b.seat);
    sitter_forget(&b);
    WEFT_CHECK(sitter_join(&b, rooms, "r") == 0 && !weft_member_has_gap(b.seat));
    settle();
    WEFT_CHECK(!strstr(sitter_got(&b), "m8"));
    sitter_close(&a);
    sitter_close(&b);
    settle();
    weft_room_stats stats = weft_rooms_stats(rooms);
    WEFT_CHECK(stats.rooms == 0 && stats.kept == 5 && stats.kept_bytes == 10); /* kept for who comes back */
    check_nothing_is_left(rooms);
    return 0;
}

/* Joins the room as one who has seen nothing, and leaves: it has been given this. */
static void check_given(sitter *one, weft_rooms *rooms, const char *room, const char *expected)
{
    sitter_forget(one);
    WEFT_CHECK(sitter_join(one, rooms, room, .since = "0") == 0);
    settle();
    WEFT_CHECK(sitter_has(one, expected));
    weft_room_leave(one->seat);
}

/* Those who come back are given one buffer of what they have missed, of each room and for each kind of member. */
static int test_what_was_missed_is_encoded_once(void)
{
    weft_rooms *rooms = weft_rooms_new(NULL, .history = 6);
    rooms->random = 1; /* of the places in the table: no two share one */
    sitter talkers[2], others[3];
    open_all(talkers, 2, 1000);
    for (int i = 0; i < 3; i++)
        WEFT_CHECK(sitter_open(&others[i], 1000, (unsigned)i % 2) == 0);
    WEFT_CHECK(sitter_join(&talkers[0], rooms, "r") == 0 && sitter_join(&talkers[1], rooms, "s") == 0);
    for (int i = 1; i <= 6; i++) {
        say_many(&talkers[0], i, 1);
        say_many(&talkers[1], i + 10, 1);
    }
    settle();
    const weft_hub *hub = weft_loop_here()->hubs;
    WEFT_CHECK(!hub->recalled);
    sitter_encodes = 0;
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 3; i++) {
            check_given(&others[i], rooms, "r", "m1;m2;m3;m4;m5;m6;");
            check_given(&others[i], rooms, "s", "m11;m12;m13;m14;m15;m16;");
        }
    }
    WEFT_CHECK(sitter_encodes == 12 && hub->recalled_size == 2 * (6 * 3 + 6 * 4)); /* of kind 0, and bytes of both kinds */
    say_many(&talkers[0], 7, 1);
    settle();
    sitter_encodes = 0;
    check_given(&others[0], rooms, "r", "m2;m3;m4;m5;m6;m7;");
    check_given(&others[2], rooms, "r", "m2;m3;m4;m5;m6;m7;");
    WEFT_CHECK(sitter_encodes == 1);
    close_all(talkers, 2);
    close_all(others, 3);
    check_nothing_is_left(rooms);
    return 0;
}

/* No more than four full histories of it, whatever has been asked for. */
static int test_what_was_encoded_is_bounded(void)
{
    enum { SIZE = 40, ROOMS = 30 };
    weft_rooms *rooms = weft_rooms_new(NULL, .history = 10, .history_size = 100);
    sitter talker, other;
    char name[16], text[SIZE + 1], expected[2 * SIZE + 3];
    WEFT_CHECK(sitter_open(&talker, 1000, 0) == 0 && sitter_open(&other, 1000, 0) == 0);
    WEFT_CHECK(sitter_join(&talker, rooms, "the hub is to stay") == 0);
    const weft_hub *hub = weft_loop_here()->hubs;
    for (int i = 0; i < ROOMS; i++) {
        snprintf(name, sizeof name, "room %d", i);
        snprintf(text, sizeof text, "%0*d", SIZE, i);
        const weft_message msg = { text, SIZE, true };
        WEFT_CHECK(weft_room_publish(rooms, name, &msg) == 0 && weft_room_publish(rooms, name, &msg) == 0);
    }
    for (int i = 0; i < 2 * ROOMS; i++) {
        snprintf(name, sizeof name, "room %d", i / 2);
        snprintf(expected, sizeof expected, "%0*d;%0*d;", SIZE, i / 2, SIZE, i / 2);
        check_given(&other, rooms, name, expected);
        WEFT_CHECK(hub->recalled_size > 0 && hub->recalled_size <= 400);
    }
    sitter_close(&talker);
    sitter_close(&other);
    check_nothing_is_left(rooms);
    return 0;
}

static int test_empty_rooms_are_bounded(void)
{
    weft_rooms *rooms = weft_rooms_new(NULL, .history = 3, .empty_most = 10, .rooms_most = 2);
    const weft_message msg = { "x", 1, true };
    for (int i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof name, "room %d", i);
        WEFT_CHECK(weft_room_publish(rooms, name, &msg) == 0);
    }
    WEFT_CHECK(weft_rooms_stats(rooms).kept == 10 && rooms->topics.count == 10);
    sitter one;
    WEFT_CHECK(sitter_open(&one, 100, 0) == 0);
    WEFT_CHECK(sitter_join(&one, rooms, "room 99", .since = "0") == 0);
    WEFT_CHECK(sitter_join(&one, rooms, "b") == 0 && sitter_join(&one, rooms, "c") == -ENOSPC);
    WEFT_CHECK(rooms->topics.count == 11 && rooms->empty_count == 9);
    settle();
    WEFT_CHECK(sitter_has(&one, "x;"));
    sitter_close(&one);
    WEFT_CHECK(!weft_rooms_new(NULL, .history = 501) && !weft_rooms_new(NULL, .slow_code = 1000));
    check_nothing_is_left(rooms);
    return 0;
}

static int test_the_budget_of_all_histories(void)
{
    weft_rooms *rooms = weft_rooms_new(NULL, .history = 100, .history_budget = 1000);
    char data[100];
    memset(data, 'x', sizeof data);
    const weft_message msg = { data, sizeof data, true };
    for (int i = 0; i < 5; i++)
        for (int n = 0; n < 3; n++) {
            char name[16];
            snprintf(name, sizeof name, "room %d", i);
            WEFT_CHECK(weft_room_publish(rooms, name, &msg) == 0);
        }
    WEFT_CHECK(weft_rooms_stats(rooms).kept == 9 && rooms->topics.count == 3); /* the two oldest rooms have gone */
    for (int n = 0; n < 20; n++)
        WEFT_CHECK(weft_room_publish(rooms, "room 4", &msg) == 0);
    WEFT_CHECK(weft_rooms_stats(rooms).kept == 10 && weft_rooms_stats(rooms).kept_bytes == 1000 && rooms->topics.count == 1);
    check_nothing_is_left(rooms);
    return 0;
}

/* A set is freed in the same turn in which its last member left, and with mail still to be delivered. */
static int test_freed_at_once(void)
{
    for (int yields = 0; yields < 3; yields++) {
        weft_rooms *rooms = weft_rooms_new(NULL, .history = 3, .presence = true);
        sitter one;
        WEFT_CHECK(sitter_open(&one, 1000, 0) == 0 && sitter_join(&one, rooms, "r", .name = "Ann") == 0);
        WEFT_CHECK(sitter_say(&one, "unheard") == 0);
        for (int i = 0; i < yields; i++)
            WEFT_CHECK(weft_yield() == 0);
        weft_subscriber_close(&one.subscriber);
        weft_rooms_free(rooms);
        sitter_close(&one);
        WEFT_CHECK(!weft_loop_here()->hubs);
    }
    return 0;
}

static void *say_from_afar(void *rooms)
{
    const weft_message msg = { "unheard", 7, true };
    WEFT_CHECK(weft_room_publish(rooms, "r", &msg) == 0);
    return NULL;
}

/* The same with another thread's post under way to this loop. */
static int test_freed_with_a_post_under_way(void)
{
    weft_rooms *rooms = weft_rooms_new(NULL, 0);
    sitter one;
    pthread_t thread;
    WEFT_CHECK(sitter_open(&one, 1000, 0) == 0 && sitter_join(&one, rooms, "r") == 0);
    WEFT_CHECK(pthread_create(&thread, NULL, say_from_afar, rooms) == 0 && pthread_join(thread, NULL) == 0);
    weft_subscriber_close(&one.subscriber);
    weft_rooms_free(rooms);
    WEFT_CHECK(!weft_loop_here()->hubs);
    sitter_close(&one);
    return 0;
}

static int test_positions(void)
{
    weft_rooms *rooms = weft_rooms_new(NULL, .positions = true);
    sitter one;
    char expected[300] = "";
    WEFT_CHECK(sitter_open(&one, 1000, 0) == 0 && sitter_join(&one, rooms, "r") == 0);
    static const char *const said[] = { "{\"a\":1}", "{}", "{ }", "[1]", "", "{" };
    for (size_t i = 0; i < COUNT(said); i++)
        WEFT_CHECK(sitter_say(&one, said[i]) == 0);
    settle();
    char at[3][WEFT_POSITION_SIZE];
    for (int i = 0; i < 3; i++)
        snprintf(at[i], sizeof at[i], "%s", position(rooms, "r", (uint64_t)i + 1));
    snprintf(expected, sizeof expected, "{\"at\":\"%s\",\"a\":1};{\"at\":\"%s\"};{\"at\":\"%s\" };[1];;{;", at[0], at[1],
             at[2]);
    WEFT_CHECK(sitter_has(&one, expected));
    sitter_close(&one);
    check_nothing_is_left(rooms);
    return 0;
}

/* Members come and go at random while others talk: each gets, from each sender, everything that was sent while it was there,
 * once and in order. What a member got is "S.N;" for sender S and its N-th message. */
static int test_joins_and_leaves(void)
{
    enum { MANY = 40, STEPS = 6000 };
    weft_rooms *rooms = weft_rooms_new(NULL, 0);
    sitter *all = calloc(MANY, sizeof *all);
    int said[MANY] = { 0 };
    int(*since)[MANY] = calloc(MANY, sizeof *since); /* what each sender had said when a member joined */
    uint64_t random = 7;
    bool is_in[MANY] = { 0 };
    long joins = 0;
    for (int step = 0; step < STEPS; step++) {
        int i = (int)weft_random_below(&random, MANY);
        if (!is_in[i]) {
            WEFT_CHECK(sitter_open(&all[i], 1000000, 0) == 0 && sitter_join(&all[i], rooms, "r") == 0);
            memcpy(since[i], said, sizeof said);
            is_in[i] = true;
            joins++;
        } else if (step % 4 == 0) {
            settle();
            int next[MANY];
            for (int s = 0; s < MANY; s++)
                next[s] = since[i][s] + 1;
            char *at = (char *)(uintptr_t)sitter_got(&all[i]);
            bool is_right = true;
            while (*at) {
                long s = strtol(at, &at, 10), n = strtol(at + 1, &at, 10);
                is_right &= s >= 0 && s < MANY && *at++ == ';' && n == next[s]++;
            }
            for (int s = 0; s < MANY; s++)
                is_right &= next[s] == said[s] + 1;
            WEFT_CHECK(is_right);
            sitter_close(&all[i]);
            is_in[i] = false;
        } else {
            char text[32];
            snprintf(text, sizeof text, "%d.%d", i, ++said[i]);
            WEFT_CHECK(sitter_say(&all[i], text) == 0);
            if (step % 16 == 3) {
                WEFT_CHECK(weft_yield() == 0);
            } else if (step % 4 == 1) {
                settle(); /* else the bound of ten messages is hit */
            }
        }
    }
    WEFT_CHECK(joins > 500);
    for (int i = 0; i < MANY; i++)
        if (is_in[i])
            sitter_close(&all[i]);
    free(all);
    free(since);
    check_nothing_is_left(rooms);
    return 0;
}

/* A room of many is delivered to in slices; members leave and join in between. */
static int test_slices(void)
{
    enum { MANY = 10000 };
    weft_rooms *rooms = weft_rooms_new(NULL, 0);
    sitter *all = calloc(MANY + 1, sizeof *all);
    open_all(all, MANY + 1, 100);
    for (int i = 0; i < MANY; i++)
        WEFT_CHECK(sitter_join(&all[i], rooms, "r") == 0);
    WEFT_CHECK(sitter_say(&all[0], "one") == 0 && sitter_say(&all[0], "two") == 0);
    int has_begun = 0;
    while (has_begun == 0) {
        WEFT_CHECK(weft_yield() == 0);
        for (int i = 0; i < MANY; i++)
            has_begun += all[i].outbox.count > 0 || all[i].got_size > 0;
    }
    WEFT_CHECK(has_begun <= 4096);
    for (int i = has_begun; i < MANY; i += 2)
        weft_room_leave(all[i].seat); /* the next one among them */
    WEFT_CHECK(sitter_join(&all[MANY], rooms, "r") == 0);
    settle();
    settle();
    for (int i = 0; i < MANY; i++)
        WEFT_CHECK(strcmp(sitter_got(&all[i]), i >= has_begun && (i - has_begun) % 2 == 0 ? "" : "one;two;") == 0);
    WEFT_CHECK(sitter_has(&all[MANY], ""));
    for (int i = 0; i <= MANY; i++) {
        weft_subscriber_close(&all[i].subscriber);
        weft_outbox_close(&all[i].outbox);
        weft_transport_close(&all[i].t, false);
        weft_transport_close(&all[i].peer, false);
    }
    settle();
    for (int i = 0; i <= MANY; i++)
        free(all[i].got);
    free(all);
    check_nothing_is_left(rooms);
    return 0;
}

static int test_flood(void)
{
    weft_rooms *rooms = weft_rooms_new(NULL, 0);
    sitter one;
    WEFT_CHECK(sitter_open(&one, 1000, 0) == 0 && sitter_join(&one, rooms, "r") == 0);
    int sent = 0, rc = 0;
    while ((rc = sitter_say(&one, "x")) == 0)
        sent++;
    WEFT_CHECK(rc == -ENOBUFS && sent == WEFT_MAIL_MOST);
    settle();
    WEFT_CHECK(one.cuts == 1); /* more in a turn than the queue holds */
    sitter_close(&one);
    check_nothing_is_left(rooms);
    return 0;
}

static int evening(void *arg)
{
    (void)arg;
    weft_rooms *rooms = weft_rooms_new(NULL, .history = 4, .presence = true, .greets = true, .positions = true,
                                       .slow = WEFT_SLOW_DROP_OLDEST, .tells_dropped = true);
    if (!rooms)
        return -ENOMEM;
    sitter all[3];
    memset(all, 0, sizeof all);
    int rc = 0;
    for (int round = 0; round < 2; round++) {
        int opened = 0;
        for (; opened < 3; opened++) {
            rc = sitter_open(&all[opened], 20, (unsigned)opened);
            if (rc < 0 && !all[opened].t.is_open)
                break;
            if (rc == 0)
                rc = sitter_join(&all[opened], rooms, "r", .name = opened ? "Bob" : "Ann", .since = "0");
            WEFT_CHECK(rc == 0 || rc == -ENOMEM);
            for (int i = 0; rc == 0 && i < 8; i++)
                (void)sitter_say(&all[opened], "{\"x\":1}");
            (void)!weft_sleep(WEFT_SECOND);
        }
        for (int i = 0; i < opened; i++)
            sitter_close(&all[i]);
    }
    (void)!weft_sleep(WEFT_MILLISECOND);
    WEFT_CHECK(atomic_load(&rooms->hub_count) == 0);
    weft_rooms_free(rooms);
    return rc;
}

static int test_memory_runs_out(void)
{
    weft_test_report report = { .struck = true };
    for (uint64_t n = 1; report.struck; n++) {
        int rc = weft_test_run(evening, NULL, &report, .fail_at = n);
        WEFT_CHECK(rc == 0 || rc == -ENOMEM);
        WEFT_CHECK(n < 2000);
        weft_test_run(evening, NULL, NULL, .fail_at = n, .fail_after = true);
    }
    return 0;
}

static const weft_test tests[] = {
    { .name = "everybody gets it, encoded once", .body = test_everybody_gets_it },
    { .name = "many kinds of members", .body = test_many_kinds },
    { .name = "some of them get it", .body = test_some_of_them },
    { .name = "slow: drop the oldest, and tell", .body = test_drop_oldest },
    { .name = "slow: keep the latest of each key", .body = test_keep_latest },
    { .name = "slow: disconnect", .body = test_disconnect },
    { .name = "history, resume and gaps", .body = test_history },
    { .name = "what was missed is encoded once", .body = test_what_was_missed_is_encoded_once },
    { .name = "what was encoded of histories is bounded", .body = test_what_was_encoded_is_bounded },
    { .name = "empty rooms are bounded", .body = test_empty_rooms_are_bounded },
    { .name = "the budget of all histories", .body = test_the_budget_of_all_histories },
    { .name = "a set that is freed at once", .body = test_freed_at_once },
    { .name = "freed with a post under way", .body = test_freed_with_a_post_under_way },
    { .name = "positions in JSON", .body = test_positions },
    { .name = "joins and leaves while others talk", .body = test_joins_and_leaves },
    { .name = "slices, with joins and leaves between", .body = test_slices },
    { .name = "a flood is refused", .body = test_flood },
    { .name = "the n-th allocation fails", .plain = test_memory_runs_out },
};

int main(int argc, char **argv)
{
    return weft_test_main(tests, COUNT(tests), argc, argv);
}
