/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Who is present in rooms, and what is told of it, in virtual time. */
#include "tests/server/sitter.h"

#include <time.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool collect_name(void *context, const char *name, int count)
{
    char *text = context;
    size_t size = strlen(text);
    snprintf(text + size, 100 - size, "%s*%d ", name, count);
    return true;
}

static int test_presence(void)
{
    weft_rooms *rooms = weft_rooms_new(NULL, .presence = true, .greets = true);
    sitter all[4];
    char names[100] = "";
    open_all(all, 4, 10000);
    WEFT_CHECK(sitter_join(&all[0], rooms, "r", .name = "Ann") == 0);
    settle();
    WEFT_CHECK(strstr(sitter_got(&all[0]), "\"count\":1,\"present\":[\"Ann\"]}}"));
    sitter_forget(&all[0]);
    WEFT_CHECK(weft_sleep(WEFT_SECOND) == 0);
    WEFT_CHECK(sitter_has(&all[0], "presence:{\"presence\":{\"joined\":[\"Ann\"],\"left\":[],\"count\":1}};"));
    sitter_forget(&all[0]);
    WEFT_CHECK(sitter_join(&all[1], rooms, "r", .name = "B\"\\\n") == 0 &&
               sitter_join(&all[2], rooms, "r", .name = "Ann") == 0);
    WEFT_CHECK(sitter_join(&all[3], rooms, "r", .name = "Dan") == 0);
    weft_room_leave(all[3].seat); /* came and went within the debounce: nobody is told */
    WEFT_CHECK(weft_sleep(WEFT_SECOND) == 0);
    WEFT_CHECK(sitter_has(&all[0], "presence:{\"presence\":{\"joined\":[\"B\\\"\\\\\\u000a\"],\"left\":[],\"count\":2}};"));
    weft_room_present(all[0].seat, collect_name, names);
    WEFT_CHECK(strcmp(names, "Ann*2 B\"\\\n*1 ") == 0);
    sitter_forget(&all[0]);
    weft_room_leave(all[2].seat); /* one of two windows */
    weft_room_leave(all[1].seat);
    WEFT_CHECK(sitter_join(&all[1], rooms, "r", .name = "B\"\\\n") == 0); /* back at once */
    WEFT_CHECK(weft_sleep(WEFT_SECOND) == 0);
    WEFT_CHECK(sitter_has(&all[0], ""));
    weft_room_leave(all[1].seat);
    WEFT_CHECK(weft_sleep(WEFT_SECOND) == 0);
    WEFT_CHECK(sitter_has(&all[0], "presence:{\"presence\":{\"joined\":[],\"left\":[\"B\\\"\\\\\\u000a\"],\"count\":1}};"));
    close_all(all, 4);
    check_nothing_is_left(rooms);
    return 0;
}

static int test_a_crowd_is_present(void)
{
    enum { MANY = 250 };
    weft_rooms *rooms = weft_rooms_new(NULL, .presence = true);
    sitter *all = calloc(MANY, sizeof *all);
    open_all(all, MANY, 100000);
    for (int i = 0; i < MANY; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%d", i);
        WEFT_CHECK(sitter_join(&all[i], rooms, "r", .name = name) == 0);
    }
    WEFT_CHECK(weft_sleep(WEFT_SECOND) == 0);
    WEFT_CHECK(strstr(sitter_got(&all[0]), "\"n99\"],\"left\":[],\"joined_more\":150,\"count\":250}}"));
    close_all(all, MANY);
    free(all);
    check_nothing_is_left(rooms);
    return 0;
}

/* What the hello of a newcomer lists is right after any joins and leaves, and names the first hundred. */
static int test_newcomers_are_told_who_is_there(void)
{
    enum { MANY = 120 };
    weft_rooms *rooms = weft_rooms_new(NULL, .presence = true, .greets = true);
    sitter *all = calloc(MANY, sizeof *all), late;
    open_all(all, MANY, 1000000);
    for (int i = 0; i < MANY; i++) {
        char name[16], expected[64];
        snprintf(name, sizeof name, "n%d", i);
        WEFT_CHECK(sitter_join(&all[i], rooms, "r", .name = name) == 0);
        settle();
        snprintf(expected, sizeof expected, "\"count\":%d,\"present\":[\"n0\"", i + 1);
        WEFT_CHECK(strstr(sitter_got(&all[i]), expected));
        snprintf(expected, sizeof expected, "\"n%d\"]}}", i < 100 ? i : 99);
        WEFT_CHECK(strstr(sitter_got(&all[i]), expected));
    }
    weft_room_leave(all[110].seat); /* is not listed */
    weft_room_leave(all[0].seat);
    weft_room_leave(all[50].seat);
    WEFT_CHECK(sitter_open(&late, 1000000, 0) == 0 && sitter_join(&late, rooms, "r", .name = "late") == 0);
    settle();
    const char *got = sitter_got(&late);
    WEFT_CHECK(strstr(got, "\"count\":118,\"present\":[\"n1\",") && strstr(got, "\"n49\",\"n51\",") &&
               strstr(got, "\"n101\"]}}"));
    WEFT_CHECK(sitter_join(&all[0], rooms, "r", .name = "n0") == 0); /* comes last now */
    WEFT_CHECK(weft_sleep(WEFT_SECOND) == 0);
    sitter_forget(&late);
    weft_room_leave(late.seat);
    WEFT_CHECK(sitter_join(&late, rooms, "r", .name = "late") == 0);
    settle();
    WEFT_CHECK(strstr(sitter_got(&late), "\"count\":119,\"present\":[\"n1\","));
    close_all(all, MANY);
    sitter_close(&late);
    free(all);
    check_nothing_is_left(rooms);
    return 0;
}

/* A notice that cannot be sent, because a hub is far behind, is sent later: nobody believes that it was. */
static int test_a_notice_is_refused(void)
{
    weft_rooms *rooms = weft_rooms_new(NULL, .presence = true);
    sitter all[2];
    open_all(all, 2, 10000);
    WEFT_CHECK(sitter_join(&all[0], rooms, "r", .name = "Ann") == 0 && weft_sleep(WEFT_SECOND) == 0);
    sitter_forget(&all[0]);
    WEFT_CHECK(sitter_join(&all[1], rooms, "r", .name = "Bob") == 0 && weft_sleep(10 * WEFT_MILLISECOND) == 0);
    weft_hub *hub = weft_loop_here()->hubs;
    hub->mail_count += WEFT_MAIL_MOST;
    WEFT_CHECK(weft_sleep(3 * WEFT_SECOND) == 0);
    WEFT_CHECK(sitter_has(&all[0], ""));
    hub->mail_count -= WEFT_MAIL_MOST;
    WEFT_CHECK(weft_sleep(WEFT_SECOND) == 0);
    WEFT_CHECK(sitter_has(&all[0], "presence:{\"presence\":{\"joined\":[\"Bob\"],\"left\":[],\"count\":2}};"));
    close_all(all, 2);
    check_nothing_is_left(rooms);
    return 0;
}

/* Many rooms with news at once: all are told. */
static int test_many_rooms_have_news(void)
{
    enum { MANY = 1000 };
    weft_rooms *rooms = weft_rooms_new(NULL, .presence = true);
    sitter one;
    weft_member *seats[MANY];
    WEFT_CHECK(sitter_open(&one, 10000000, 1) == 0);
    for (int i = 0; i < MANY; i++) {
        char name[16];
        snprintf(name, sizeof name, "room %d", i);
        WEFT_CHECK(weft_room_join_subscriber(rooms, &one.subscriber, name, &seats[i],
                                             &(weft_join_options){ .struct_size = sizeof(weft_join_options), .name = name }) ==
                   0);
    }
    WEFT_CHECK(weft_sleep(WEFT_SECOND) == 0);
    int told = 0;
    for (const char *at = sitter_got(&one); (at = strstr(at, "presence:")); at++)
        told++;
    WEFT_CHECK(told == MANY);
    sitter_close(&one);
    check_nothing_is_left(rooms);
    return 0;
}

/* ---- what a join costs ---- */

static int encode_nothing(const weft_subscriber *s, const weft_delivery *delivery, weft_shared **ret_buf)
{
    (void)s, (void)delivery, (void)ret_buf;
    return 0;
}

static double cpu_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double join_many(weft_rooms *rooms, weft_subscriber *crowd, int first, int count)
{
    double began = cpu_now();
    for (int i = first; i < first + count; i++) {
        char name[16];
        weft_member *seat;
        snprintf(name, sizeof name, "n%d", i);
        WEFT_CHECK(weft_room_join_subscriber(rooms, crowd, "r", &seat,
                                             &(weft_join_options){ .struct_size = sizeof(weft_join_options), .name = name }) ==
                   0);
    }
    return cpu_now() - began;
}

/* A flood of joins with greetings: the last cost what the first did, not in proportion to how many are there. Of many parts the
 * quickest is compared, which a busy machine disturbs least; walking all who are there would take a hundred times as long. */
static int test_a_join_costs_the_same_in_a_crowd(void)
{
    enum { PARTS = 250, PART = 200, COMPARED = 30 };
    static const weft_subscriber_ops ops = { .encode = encode_nothing };
    weft_rooms *rooms = weft_rooms_new(NULL, .presence = true, .greets = true);
    weft_subscriber crowd;
    weft_outbox outbox = { .error = 0 };
    double first = 1000, last = 1000;
    weft_subscriber_init(&crowd, &ops, &outbox, 0);
    for (int part = 0; part < PARTS; part++) {
        double took = join_many(rooms, &crowd, part * PART, PART);
        if (part > 0 && part <= COMPARED && took < first) /* the first one has few to list */
            first = took;
        if (part >= PARTS - COMPARED && took < last)
            last = took;
        settle();
    }
    fprintf(stderr, "# %.1f us a join, then %.1f\n", first / PART * 1e6, last / PART * 1e6);
    WEFT_CHECK(last < 20 * first);
    weft_subscriber_close(&crowd);
    check_nothing_is_left(rooms);
    return 0;
}

static const weft_test tests[] = {
    { .name = "presence, debounced", .body = test_presence },
    { .name = "a crowd is present", .body = test_a_crowd_is_present },
    { .name = "newcomers are told who is there", .body = test_newcomers_are_told_who_is_there },
    { .name = "a notice is refused", .body = test_a_notice_is_refused },
    { .name = "many rooms have news", .body = test_many_rooms_have_news },
    { .name = "a join costs the same in a crowd", .body = test_a_join_costs_the_same_in_a_crowd },
};

int main(int argc, char **argv)
{
    return weft_test_main(tests, COUNT(tests), argc, argv);
}
