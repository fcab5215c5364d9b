/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* The transport in memory, by its table alone, in virtual time: a sleep of a millisecond ends when all has been said. */
#include "tests/unit/net_probe.h"

#include "lib/net/net.h"
#include "lib/net/transport_memory.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void settle(void)
{
    WEFT_CHECK(weft_sleep(WEFT_MILLISECOND) == 0);
}

static int open_pair(probe *a, probe *b, size_t capacity)
{
    memset(a, 0, sizeof *a);
    memset(b, 0, sizeof *b);
    return weft_transport_open_pair(&a->t, &b->t, weft_loop_here(), capacity, &probe_events, &probe_events);
}

static void close_pair(probe *a, probe *b)
{
    if (a->closes == 0)
        probe_close(a, false);
    if (b->closes == 0)
        probe_close(b, false);
    settle();
    WEFT_CHECK(a->closes == 1 && b->closes == 1);
    free(a->got);
    free(b->got);
}

static int test_bytes_arrive(void)
{
    probe a, b;
    char text[16];
    WEFT_TRY(open_pair(&a, &b, 100));
    WEFT_CHECK(strcmp(weft_transport_peer(&a.t, text, sizeof text), "memory") == 0);
    probe_read(&a);
    WEFT_CHECK(probe_send(&b, "one", 3) == 0 && probe_send(&b, " two", 4) == 0);
    WEFT_CHECK(a.inputs == 0); /* later, from the loop */
    WEFT_CHECK(probe_send(&a, "back", 4) == 0);
    settle();
    WEFT_CHECK(probe_got(&a, "one two") && a.inputs == 1);
    WEFT_CHECK(b.inputs == 0); /* it does not read */
    probe_read(&b);
    settle();
    WEFT_CHECK(probe_got(&b, "back"));
    WEFT_CHECK(a.drains == 0 && b.drains == 0); /* nothing had to be queued */
    close_pair(&a, &b);
    return 0;
}

static int test_reading_stops(void)
{
    probe a, b;
    WEFT_TRY(open_pair(&a, &b, 100));
    probe_read(&a);
    WEFT_CHECK(probe_send(&b, "1", 1) == 0);
    weft_transport_read_stop(&a.t);
    settle();
    WEFT_CHECK(a.inputs == 0);
    probe_read(&a);
    probe_read(&a);
    settle();
    WEFT_CHECK(probe_got(&a, "1"));
    weft_transport_read_stop(&a.t);
    weft_transport_read_stop(&a.t);
    probe_close(&b, false);
    settle();
    WEFT_CHECK(a.ends == 0); /* the end too is only said while reading */
    probe_read(&a);
    settle();
    WEFT_CHECK(a.ends == 1);
    close_pair(&a, &b);
    return 0;
}

static int test_input_is_at_most_the_buffer(void)
{
    enum { SIZE = 200 * 1024 };
    probe a, b;
    char *data = malloc(SIZE);
    probe_pattern(data, SIZE);
    WEFT_TRY(open_pair(&a, &b, SIZE));
    a.spoils = true; /* the buffer is the loop's, not the pipe's */
    probe_read(&a);
    WEFT_CHECK(probe_send(&b, data, SIZE) == 0 && b.t.queued == 0);
    settle();
    WEFT_CHECK(a.got_size == SIZE && memcmp(a.got, data, SIZE) == 0);
    WEFT_CHECK(a.largest == WEFT_NET_INPUT && a.inputs == 4);
    close_pair(&a, &b);
    free(data);
    return 0;
}

static int test_the_owner_has_room(void)
{
    char data[300], room[200];
    probe a, b;
    probe_pattern(data, sizeof data);
    WEFT_TRY(open_pair(&a, &b, sizeof data));
    a.room = room;
    a.room_size = sizeof room;
    probe_read(&a);
    WEFT_CHECK(probe_send(&b, data, 50) == 0);
    settle();
    WEFT_CHECK(a.in_room == 50 && a.inputs == 1);
    WEFT_CHECK(probe_send(&b, data + 50, 250) == 0);
    settle();
    WEFT_CHECK(a.in_room == 200 && a.inputs == 3 && memcmp(room, data, 200) == 0); /* no byte more */
    WEFT_CHECK(a.got_size == 300 && memcmp(a.got, data, 300) == 0);
    close_pair(&a, &b);
    return 0;
}

static int test_splits(void)
{
    static const char text[] = "abcdefghij";
    probe a, b;
    WEFT_TRY(open_pair(&a, &b, 100));
    weft_memory_knobs_of(&a.t)->input_most = 1;
    probe_read(&a);
    WEFT_CHECK(probe_send(&b, text, 10) == 0);
    settle();
    WEFT_CHECK(probe_got(&a, text) && a.inputs == 10 && a.largest == 1);
    close_pair(&a, &b);

    static const size_t splits[] = { 1, 2, 7 };
    WEFT_TRY(open_pair(&a, &b, 100));
    weft_memory_knobs_of(&a.t)->splits = splits;
    weft_memory_knobs_of(&a.t)->split_count = COUNT(splits);
    probe_read(&a);
    WEFT_CHECK(probe_send(&b, text, 5) == 0);
    settle();
    WEFT_CHECK(a.inputs == 3 && a.largest == 3); /* a b cde */
    WEFT_CHECK(probe_send(&b, text + 5, 5) == 0);
    settle();
    WEFT_CHECK(probe_got(&a, text) && a.inputs == 5 && a.largest == 3); /* fg hij */
    close_pair(&a, &b);
    return 0;
}

static int test_back_pressure(void)
{
    probe a, b;
    WEFT_TRY(open_pair(&a, &b, 10));
    weft_memory_knobs_of(&a.t)->input_most = 4;
    WEFT_CHECK(probe_try(&b, "0123456789ABC", 13) == 10);
    WEFT_CHECK(probe_try(&b, "A", 1) == -EAGAIN);
    WEFT_CHECK(probe_send(&b, "ABCDEFGH", 8) == 0 && b.t.queued == 8 && weft_transport_unsent(&b.t) == 8);
    settle();
    WEFT_CHECK(b.drains == 0 && b.t.queued == 8); /* nobody reads */
    a.stops_itself = true;
    probe_read(&a);
    settle();
    WEFT_CHECK(probe_got(&a, "0123") && b.t.queued == 4 && b.drains == 0);
    WEFT_CHECK(probe_try(&b, "I", 1) == -EAGAIN); /* order holds */
    WEFT_CHECK(probe_send(&b, "I", 1) == 0 && b.t.queued == 5);
    a.stops_itself = false;
    probe_read(&a);
    settle();
    WEFT_CHECK(probe_got(&a, "0123456789ABCDEFGHI"));
    WEFT_CHECK(b.drains == 1 && b.drain_error == 0 && b.t.queued == 0);
    close_pair(&a, &b);
    return 0;
}

static int test_refused_sends_are_queued(void)
{
    probe a, b;
    WEFT_TRY(open_pair(&a, &b, 100));
    weft_memory_knobs_of(&b.t)->refuses_send = true;
    probe_read(&a);
    WEFT_CHECK(probe_try(&b, "x", 1) == -EAGAIN);
    WEFT_CHECK(probe_send(&b, "xyz", 3) == 0 && b.t.queued == 3);
    settle();
    WEFT_CHECK(probe_got(&a, "xyz") && b.drains == 1 && b.drain_error == 0);
    close_pair(&a, &b);
    return 0;
}

/* The parts of a send, cut by try_send at each byte. */
static int test_send_in_parts(void)
{
    for (size_t most = 1; most <= 9; most++) {
        probe a, b;
        WEFT_TRY(open_pair(&a, &b, 100));
        weft_memory_knobs_of(&b.t)->send_most = most;
        struct iovec parts[] = {
            { NULL, 0 }, { (char[]){ "abc" }, 3 }, { NULL, 0 }, { (char[]){ "d" }, 1 }, { (char[]){ "efgh" }, 4 }, { NULL, 0 }
        };
        WEFT_CHECK(weft_transport_send(&b.t, parts, COUNT(parts)) == 0);
        WEFT_CHECK(b.t.queued == (most < 8 ? 8 - most : 0));
        probe_read(&a);
        settle();
        WEFT_CHECK(probe_got(&a, "abcdefgh"));
        close_pair(&a, &b);
    }
    return 0;
}

static int test_half_close(void)
{
    probe a, b;
    WEFT_TRY(open_pair(&a, &b, 4));
    WEFT_CHECK(probe_send(&b, "request", 7) == 0 && b.t.queued == 3);
    WEFT_CHECK(probe_shutdown(&b) == 0 && probe_shutdown(&b) == 0);
    WEFT_CHECK(probe_send(&b, "x", 1) == -EPIPE);
    probe_read(&a);
    probe_read(&b);
    settle();
    WEFT_CHECK(probe_got(&a, "request") && a.ends == 1 && a.errors == 0 && b.drains == 1);
    WEFT_CHECK(!a.t.is_reading);
    probe_read(&a);
    settle();
    WEFT_CHECK(a.ends == 1); /* said once */
    WEFT_CHECK(probe_send(&a, "answer", 6) == 0);
    settle();
    WEFT_CHECK(probe_got(&b, "answer") && b.ends == 0);
    close_pair(&a, &b);
    return 0;
}

static int test_orderly_close(void)
{
    probe a, b;
    WEFT_TRY(open_pair(&a, &b, 100));
    WEFT_CHECK(probe_send(&b, "last", 4) == 0);
    probe_close(&b, false);
    WEFT_CHECK(b.closes == 0);
    settle();
    WEFT_CHECK(b.closes == 1);
    WEFT_CHECK(probe_send(&a, "x", 1) == -EPIPE);
    probe_read(&a);
    settle();
    WEFT_CHECK(probe_got(&a, "last") && a.ends == 1 && a.errors == 0);
    close_pair(&a, &b);
    return 0;
}

static int test_queued_bytes_are_given_up(void)
{
    probe a, b;
    WEFT_TRY(open_pair(&a, &b, 4));
    WEFT_CHECK(probe_send(&b, "12345678", 8) == 0);
    probe_close(&b, false);
    probe_read(&a);
    settle();
    WEFT_CHECK(probe_got(&a, "1234") && a.ends == 1 && b.drains == 0);
    close_pair(&a, &b);
    return 0;
}

static int test_reset(void)
{
    probe a, b;
    WEFT_TRY(open_pair(&a, &b, 100));
    WEFT_CHECK(probe_send(&b, "some", 4) == 0);
    probe_close(&b, true);
    WEFT_CHECK(probe_send(&a, "x", 1) == -ECONNRESET && probe_shutdown(&a) == -ENOTCONN);
    probe_read(&a);
    settle();
    WEFT_CHECK(probe_got(&a, "some") && a.ends == 0 && a.errors == 1 && a.error == -ECONNRESET);
    close_pair(&a, &b);
    return 0;
}

static int test_close_with_unread_input_resets(void)
{
    probe a, b;
    WEFT_TRY(open_pair(&a, &b, 4));
    probe_read(&a);
    WEFT_CHECK(probe_send(&a, "nobody reads", 12) == 0 && a.t.queued == 8);
    settle();
    probe_close(&b, false);
    settle();
    WEFT_CHECK(a.errors == 1 && a.error == -ECONNRESET && a.ends == 0);
    WEFT_CHECK(a.drains == 1 && a.drain_error == -ECONNRESET && a.t.queued == 0);
    close_pair(&a, &b);
    return 0;
}

static int test_close_in_an_event(void)
{
    probe a, b;
    WEFT_TRY(open_pair(&a, &b, 100));
    weft_memory_knobs_of(&a.t)->input_most = 1;
    a.closes_itself = true;
    probe_read(&a);
    probe_read(&b);
    WEFT_CHECK(probe_send(&b, "abc", 3) == 0);
    settle();
    WEFT_CHECK(probe_got(&a, "a") && a.closes == 1 && b.errors == 1);
    close_pair(&a, &b);
    return 0;
}

static int test_both_close_at_once(void)
{
    probe a, b;
    WEFT_TRY(open_pair(&a, &b, 100));
    probe_read(&a);
    probe_read(&b);
    WEFT_CHECK(probe_send(&a, "x", 1) == 0);
    probe_close(&a, false);
    probe_close(&b, true);
    settle();
    WEFT_CHECK(a.closes == 1 && b.closes == 1 && b.inputs == 0 && a.errors == 0);
    free(a.got);
    free(b.got);
    return 0;
}

/* The pipe breaks after each number of bytes, sent at once or queued. */
static int test_breaks(void)
{
    static const char text[] = "0123456789";
    for (size_t after = 0; after <= 10; after++) {
        for (int queued = 0; queued < 2; queued++) {
            probe a, b;
            WEFT_TRY(open_pair(&a, &b, 100));
            weft_memory_knobs *knobs = weft_memory_knobs_of(&b.t);
            knobs->breaks = true;
            knobs->break_after = after;
            knobs->refuses_send = queued;
            probe_read(&a);
            probe_read(&b);
            int rc = probe_send(&b, text, 10);
            WEFT_CHECK(rc == (after == 0 && !queued ? -ECONNRESET : 0));
            settle();
            bool is_whole = after == 10;
            WEFT_CHECK(a.got_size == after && memcmp(a.got ? a.got : "", text, after) == 0);
            WEFT_CHECK(a.errors == !is_whole && b.errors == !is_whole);
            WEFT_CHECK(b.drains == (queued || (after > 0 && after < 10)));
            WEFT_CHECK(b.drain_error == (is_whole ? 0 : b.drains ? -ECONNRESET : 0));
            knobs->refuses_send = false;
            WEFT_CHECK(probe_send(&b, "x", 1) == -ECONNRESET);
            close_pair(&a, &b);
        }
    }
    return 0;
}

/* Much more than the capacity, there and back, one answering from its input event. */
static int test_echo(void)
{
    enum { SIZE = 300 * 1000 };
    char *data = malloc(SIZE);
    probe_pattern(data, SIZE);
    probe a, b;
    WEFT_TRY(open_pair(&a, &b, 777));
    b.echoes = true;
    probe_read(&a);
    probe_read(&b);
    for (size_t at = 0; at < SIZE; at += 1000)
        WEFT_CHECK(probe_send(&a, data + at, 1000) == 0);
    WEFT_CHECK(probe_shutdown(&a) == 0);
    settle();
    WEFT_CHECK(a.got_size == SIZE && memcmp(a.got, data, SIZE) == 0);
    WEFT_CHECK(b.ends == 1 && a.drains == 1 && a.drain_error == 0);
    close_pair(&a, &b);
    free(data);
    return 0;
}

/* ---- memory runs out ---- */

static int exchange(void *arg)
{
    (void)arg;
    static char data[5000];
    probe_pattern(data, sizeof data);
    probe a, b;
    int rc = open_pair(&a, &b, 1000);
    if (rc < 0) {
        WEFT_CHECK(rc == -ENOMEM && !a.t.is_open && !b.t.is_open);
        return 0;
    }
    probe_read(&a);
    size_t sent = 0;
    rc = 0;
    for (size_t at = 0; at < sizeof data && rc == 0; at += 500) {
        struct iovec part = { data + at, 500 };
        int64_t taken = weft_transport_try_send(&b.t, &part, 1);
        WEFT_CHECK(taken >= 0 || taken == -EAGAIN || taken == -ENOMEM);
        size_t skip = taken > 0 ? (size_t)taken : 0;
        rc = weft_transport_queue(&b.t, &part, 1, skip);
        WEFT_CHECK(rc == 0 || rc == -ENOMEM);
        sent += rc == 0 ? 500 : skip;
    }
    while (a.got_size < sent && weft_sleep(WEFT_MILLISECOND) == 0)
        continue;
    WEFT_CHECK(a.got_size == sent && (sent == 0 || memcmp(a.got, data, sent) == 0));
    probe_close(&a, false);
    probe_close(&b, false);
    while (a.closes + b.closes < 2 && weft_sleep(WEFT_MILLISECOND) == 0)
        continue;
    free(a.got);
    free(b.got);
    return 0;
}

static int test_memory_runs_out(void)
{
    weft_test_report report = { .struck = true };
    for (uint64_t n = 1; report.struck; n++) {
        int rc = weft_test_run(exchange, NULL, &report, .fail_at = n);
        WEFT_CHECK(rc == 0 || rc == -ENOMEM);
        WEFT_CHECK(n < 1000);
        weft_test_run(exchange, NULL, NULL, .fail_at = n, .fail_after = true);
    }
    return 0;
}

static const weft_test tests[] = {
    { .name = "bytes arrive, from the loop", .body = test_bytes_arrive },
    { .name = "reading stops and goes on", .body = test_reading_stops },
    { .name = "an input event is at most the loop's buffer", .body = test_input_is_at_most_the_buffer },
    { .name = "input where its owner has room", .body = test_the_owner_has_room },
    { .name = "input in chosen splits", .body = test_splits },
    { .name = "back-pressure: queued, drained, in order", .body = test_back_pressure },
    { .name = "refused sends are queued", .body = test_refused_sends_are_queued },
    { .name = "a send in parts, cut anywhere", .body = test_send_in_parts },
    { .name = "one direction ends after what is queued", .body = test_half_close },
    { .name = "an orderly close", .body = test_orderly_close },
    { .name = "a close gives up what is queued", .body = test_queued_bytes_are_given_up },
    { .name = "a reset, after the bytes before it", .body = test_reset },
    { .name = "a close with unread input resets", .body = test_close_with_unread_input_resets },
    { .name = "a close inside an event", .body = test_close_in_an_event },
    { .name = "both close at once", .body = test_both_close_at_once },
    { .name = "a pipe that breaks after n bytes", .body = test_breaks },
    { .name = "an echo of much more than the capacity", .body = test_echo },
    { .name = "the n-th allocation fails", .plain = test_memory_runs_out },
};

int main(int argc, char **argv)
{
    return weft_test_main(tests, COUNT(tests), argc, argv);
}
