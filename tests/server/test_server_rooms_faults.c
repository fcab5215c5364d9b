/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Rooms when memory runs out, and what must not grow. */
#include "tests/server/sitter.h"

#include <malloc.h>

#include "lib/base/memory.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Fails the n-th allocation of what follows, until `stop_faults`. */
static weft_faults faults;

static void fail_nth(uint64_t n)
{
    faults = (weft_faults){ .fail_at = n };
    weft_mem_set_faults(&faults);
}

static bool stop_faults(void)
{
    weft_mem_set_faults(NULL);
    return faults.struck;
}

static void keep_messages(weft_rooms *rooms, int count)
{
    for (int i = 1; i <= count; i++) {
        char text[16];
        int size = snprintf(text, sizeof text, "m%d", i);
        const weft_message msg = { text, (size_t)size, true };
        WEFT_CHECK(weft_room_publish(rooms, "r", &msg) == 0);
    }
}

enum { SMALL_KEPT = 64 }; /* buffers of 256 bytes that the loop keeps for the next ones */

/* Takes those that the loop keeps, so that each new one asks for memory; gives them back. */
static void hold_small(weft_shared **held)
{
    for (int i = 0; i < SMALL_KEPT; i++)
        WEFT_CHECK((held[i] = weft_shared_new(1)));
}

static void release_small(weft_shared **held)
{
    for (int i = 0; i < SMALL_KEPT; i++)
        weft_shared_unref(held[i]);
}

/* Who joins with `.since` is given all that it missed, or does not join, or is told that something is missing. */
static int test_memory_for_the_history_runs_out(void)
{
    for (int drops = 0; drops < 2; drops++) {
        weft_rooms *rooms = weft_rooms_new(NULL, .history = 5, .greets = true,
                                           .slow = drops ? WEFT_SLOW_DROP_OLDEST : WEFT_SLOW_DISCONNECT);
        int refused = 0, gaps = 0;
        keep_messages(rooms, 3);
        bool struck = true;
        for (uint64_t n = 1; struck; n++) {
            sitter one;
            weft_shared *held[SMALL_KEPT];
            WEFT_CHECK(sitter_open(&one, 10000, 0) == 0 && n < 100);
            hold_small(held);
            fail_nth(n);
            int rc = sitter_join(&one, rooms, "r", .since = "0");
            struck = stop_faults();
            release_small(held);
            settle();
            if (rc < 0) {
                WEFT_CHECK(rc == -ENOMEM && weft_list_is_empty(&one.subscriber.members) &&
                           weft_rooms_stats(rooms).members == 0);
                refused++;
            } else if (weft_member_has_gap(one.seat)) {
                WEFT_CHECK(drops && weft_member_dropped(one.seat) > 0);
                gaps++;
            } else {
                WEFT_CHECK(strstr(sitter_got(&one), "hello:") && strstr(sitter_got(&one), ";m1;m2;m3;"));
            }
            sitter_close(&one);
        }
        WEFT_CHECK(refused > 3 && (gaps > 3) == drops);
        check_nothing_is_left(rooms);
    }
    return 0;
}

/* The same when there is no room in its queue. */
static int test_no_room_for_the_history(void)
{
    for (int drops = 0; drops < 2; drops++) {
        weft_rooms *rooms = weft_rooms_new(NULL, .history = 20, .slow = drops ? WEFT_SLOW_DROP_OLDEST : WEFT_SLOW_DISCONNECT);
        sitter one;
        keep_messages(rooms, 20);
        WEFT_CHECK(sitter_open(&one, 1, 0) == 0);
        weft_transport_read_stop(&one.peer);
        int rc = sitter_join(&one, rooms, "r", .since = "0");
        WEFT_CHECK(rc == (drops ? 0 : -ENOBUFS));
        if (drops)
            WEFT_CHECK(weft_member_has_gap(one.seat) && weft_member_dropped(one.seat) == 10);
        WEFT_CHECK(weft_rooms_stats(rooms).members == (unsigned)drops);
        weft_transport_read_start(&one.peer);
        settle();
        if (drops)
            WEFT_CHECK(sitter_has(&one, "m11;m12;m13;m14;m15;m16;m17;m18;m19;m20;"));
        sitter_close(&one);
        check_nothing_is_left(rooms);
    }
    return 0;
}

/* A message that cannot be encoded for one member still can be for the next: not all are cut for one allocation. */
static int test_memory_for_a_message_runs_out(void)
{
    weft_rooms *rooms = weft_rooms_new(NULL, 0);
    sitter all[3];
    open_all(all, 3, 1000);
    for (int i = 0; i < 3; i++)
        WEFT_CHECK(sitter_join(&all[i], rooms, "r") == 0);
    WEFT_CHECK(sitter_say(&all[0], "one") == 0);
    fail_nth(1);
    settle();
    WEFT_CHECK(stop_faults());
    int cuts = 0;
    for (int i = 0; i < 3; i++) {
        cuts += all[i].cuts;
        WEFT_CHECK(strcmp(sitter_got(&all[i]), all[i].cuts ? "" : "one;") == 0);
    }
    WEFT_CHECK(cuts == 1 && weft_rooms_stats(rooms).disconnected == 1 && weft_rooms_stats(rooms).delivered == 2);
    close_all(all, 3);
    check_nothing_is_left(rooms);
    return 0;
}

/* ---- what must not grow ---- */

/* One connection joins and leaves 100,000 rooms, some with presence, with and without a turn of the loop between. */
static int test_seats_that_were_left_are_gone(void)
{
    enum { MANY = 100000, WARM_UP = 1000 };
    weft_rooms *rooms = weft_rooms_new(NULL, .presence = true, .greets = true);
    sitter one;
    size_t before = 0;
    WEFT_CHECK(sitter_open(&one, 100000, 1) == 0);
    for (int i = 0; i < MANY; i++) {
        char name[16];
        snprintf(name, sizeof name, "room %d", i);
        WEFT_CHECK(sitter_join(&one, rooms, name, .name = name) == 0);
        weft_room_leave(one.seat);
        if (i % 50 == 0 || i < WARM_UP) {
            settle();
            sitter_forget(&one);
        }
        if (i == WARM_UP)
            before = mallinfo2().uordblks;
    }
    settle();
    size_t after = mallinfo2().uordblks;
    WEFT_CHECK(after <= before + 20000 + SMALL_KEPT * 272);
    WEFT_CHECK(weft_list_is_empty(&one.subscriber.members) && rooms->topics.count == 0 && one.cuts == 0);
    sitter_close(&one);
    check_nothing_is_left(rooms);
    return 0;
}

static int encode_nothing(const weft_subscriber *s, const weft_delivery *delivery, weft_shared **ret_buf)
{
    (void)s, (void)delivery, (void)ret_buf;
    return 0;
}

static size_t gone_rooms(void)
{
    size_t count = 0;
    const weft_hub *hub = weft_loop_here()->hubs;
    LIST_EACH (link, &hub->gone_rooms)
        count++;
    return count;
}

/* A hub that always has mail forgets the rooms that are left, once what was sent to them before has been delivered. */
static int test_rooms_that_were_left_are_gone(void)
{
    enum { CROWD = 5000, TURNS = 1000 };
    static const weft_subscriber_ops ops = { .encode = encode_nothing };
    weft_rooms *rooms = weft_rooms_new(NULL, 0);
    weft_subscriber crowd;
    weft_outbox outbox = { .error = 0 };
    weft_member *seat;
    weft_subscriber_init(&crowd, &ops, &outbox, 0);
    const weft_join_options options = { .struct_size = sizeof options };
    const weft_message msg = { "x", 1, true };
    for (int i = 0; i < CROWD; i++)
        WEFT_CHECK(weft_room_join_subscriber(rooms, &crowd, "busy", &seat, &options) == 0);
    const weft_hub *hub = weft_loop_here()->hubs;
    size_t most = 0;
    for (int i = 0; i < TURNS; i++) {
        while (hub->mail_in - hub->mail_out < 2 * WEFT_BATCH_MOST) /* there is always more */
            WEFT_CHECK(weft_room_publish(rooms, "busy", &msg) == 0);
        WEFT_CHECK(weft_room_join_subscriber(rooms, &crowd, "left", &seat, &options) == 0);
        weft_room_leave(seat);
        uint64_t out = hub->mail_out;
        for (const weft_list *at = hub->cursor; hub->cursor == at && hub->mail_out == out;) /* until it has gone on */
            WEFT_CHECK(weft_yield() == 0);
        if (gone_rooms() > most)
            most = gone_rooms();
    }
    WEFT_CHECK(most > 0 && most < 200);
    weft_subscriber_close(&crowd);
    check_nothing_is_left(rooms);
    return 0;
}

static const weft_test tests[] = {
    { .name = "memory for the history runs out", .body = test_memory_for_the_history_runs_out },
    { .name = "no room for the history", .body = test_no_room_for_the_history },
    { .name = "memory for a message runs out", .body = test_memory_for_a_message_runs_out },
    { .name = "seats that were left are gone", .body = test_seats_that_were_left_are_gone },
    { .name = "rooms that were left are gone", .body = test_rooms_that_were_left_are_gone },
};

int main(int argc, char **argv)
{
    return weft_test_main(tests, COUNT(tests), argc, argv);
}
