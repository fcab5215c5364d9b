/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Outboxes over memory ends, in virtual time: a sleep of a millisecond ends when all has been said. */
#include "tests/unit/net_probe.h"

#include <sys/socket.h>

#include "lib/base/memory.h"
#include "lib/net/outbox.h"
#include "lib/net/transport_memory.h"
#include "tests/unit/real_time.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A sender with its outbox, and the peer's end. */
typedef struct pair {
    weft_transport t;
    weft_outbox outbox;
    int drains, lows, failures, error, closes;
    bool closes_when_low;
    probe peer;
} pair;

static void pair_input(weft_transport *t, char *data, int64_t size)
{
    (void)t, (void)data, (void)size;
}

static void pair_drained(weft_transport *t, int error)
{
    pair *p = CONTAINER_OF(t, pair, t);
    p->drains++;
    weft_outbox_on_drained(&p->outbox, error);
}

static void pair_closed(weft_transport *t)
{
    CONTAINER_OF(t, pair, t)->closes++;
}

static const weft_transport_events pair_events = { .input = pair_input, .drained = pair_drained, .closed = pair_closed };

static void pair_low(weft_outbox *o)
{
    pair *p = CONTAINER_OF(o, pair, outbox);
    WEFT_CHECK(!weft_outbox_is_high(o));
    p->lows++;
    if (p->closes_when_low)
        weft_outbox_close(o);
}

static void pair_failed(weft_outbox *o, int error)
{
    pair *p = CONTAINER_OF(o, pair, outbox);
    p->failures++;
    p->error = error;
    weft_outbox_close(o);
    weft_transport_close(&p->t, false);
}

static const weft_outbox_rules rules = {
    .size_most = 1000,
    .count_most = 20,
    .size_high = 400,
    .count_high = 10,
    .low = pair_low,
    .failed = pair_failed,
};

static const weft_outbox_rules large_rules = {
    .size_most = WEFT_OUTBOX_SIZE_MOST,
    .count_most = WEFT_OUTBOX_COUNT_MOST,
    .size_high = WEFT_OUTBOX_SIZE_HIGH,
    .count_high = WEFT_OUTBOX_COUNT_HIGH,
    .low = pair_low,
    .failed = pair_failed,
};

static int open_pair(pair *p, size_t capacity)
{
    memset(p, 0, sizeof *p);
    WEFT_TRY(weft_transport_open_pair(&p->t, &p->peer.t, weft_loop_here(), capacity, &pair_events, &probe_events));
    int rc = weft_outbox_open(&p->outbox, &p->t, &rules);
    WEFT_CHECK(rc == 0 || rc == -ENOMEM);
    return rc;
}

static void settle(void)
{
    WEFT_CHECK(weft_sleep(WEFT_MILLISECOND) == 0);
}

static void close_pair(pair *p)
{
    weft_outbox_close(&p->outbox);
    weft_outbox_close(&p->outbox);
    if (p->t.is_open)
        weft_transport_close(&p->t, false);
    if (p->peer.closes == 0)
        probe_close(&p->peer, false);
    settle();
    WEFT_CHECK(p->closes == 1 && p->peer.closes == 1);
    free(p->peer.got);
}

static weft_shared *shared(const char *text)
{
    weft_shared *buf = weft_shared_new(strlen(text));
    if (buf)
        memcpy(buf->data, text, buf->size);
    return buf;
}

static int append(pair *p, const char *text)
{
    weft_shared *buf = shared(text);
    int rc = buf ? weft_outbox_append(&p->outbox, buf) : -ENOMEM;
    weft_shared_unref(buf);
    return rc;
}

static int append_front(pair *p, const char *text)
{
    weft_shared *buf = shared(text);
    int rc = buf ? weft_outbox_append_front(&p->outbox, buf) : -ENOMEM;
    weft_shared_unref(buf);
    return rc;
}

static int test_one_message_to_many(void)
{
    enum { MANY = 50 };
    pair *pairs = calloc(MANY, sizeof *pairs);
    for (int i = 0; i < MANY; i++) {
        WEFT_TRY(open_pair(&pairs[i], 100));
        probe_read(&pairs[i].peer);
    }
    weft_shared *one = shared("one "), *two = shared("two");
    weft_faults counter = { 0 };
    weft_faults *former = weft_mem_set_faults(&counter);
    for (int round = 0; round < 2; round++) {
        uint64_t before = counter.count;
        for (int i = 0; i < MANY; i++) {
            WEFT_CHECK(weft_outbox_append(&pairs[i].outbox, one) == 0 && weft_outbox_append(&pairs[i].outbox, two) == 0);
            WEFT_CHECK(pairs[i].peer.inputs == (size_t)round && pairs[i].outbox.size == 7 && pairs[i].outbox.count == 2);
        }
        WEFT_CHECK(round == 0 || counter.count == before); /* the slab has its chunk: no allocation for a delivery */
        WEFT_CHECK(one->refs == MANY + 1);
        weft_mem_set_faults(former);
        settle();
        weft_mem_set_faults(&counter);
    }
    weft_mem_set_faults(former);
    WEFT_CHECK(one->refs == 1 && two->refs == 1);
    for (int i = 0; i < MANY; i++) {
        WEFT_CHECK(probe_got(&pairs[i].peer, "one twoone two") && pairs[i].peer.inputs == 2); /* a write for both */
        WEFT_CHECK(pairs[i].drains == 0 && weft_outbox_is_empty(&pairs[i].outbox) && pairs[i].outbox.size == 0);
        close_pair(&pairs[i]);
    }
    weft_shared_unref(one);
    weft_shared_unref(two);
    free(pairs);
    return 0;
}

/* What the transport takes at once, and what the pipe holds: every size of both. */
static int test_cut_everywhere(void)
{
    static const char all[] = "abcdefghijklmnop";
    for (size_t capacity = 1; capacity < sizeof all; capacity++)
        for (size_t most = 0; most <= capacity; most++) {
            pair p;
            WEFT_TRY(open_pair(&p, capacity));
            weft_memory_knobs_of(&p.t)->send_most = most;
            probe_read(&p.peer);
            WEFT_CHECK(append(&p, "ab") == 0 && append(&p, "cdefg") == 0 && append(&p, "h") == 0);
            settle();
            WEFT_CHECK(append(&p, "ijk") == 0 && append(&p, "lmnop") == 0);
            settle();
            WEFT_CHECK(probe_got(&p.peer, all) && weft_outbox_is_empty(&p.outbox) && p.outbox.size == 0);
            close_pair(&p);
        }
    return 0;
}

static int test_refused_sends(void)
{
    pair p;
    WEFT_TRY(open_pair(&p, 100));
    weft_memory_knobs_of(&p.t)->refuses_send = true;
    probe_read(&p.peer);
    WEFT_CHECK(append(&p, "one ") == 0 && append(&p, "two ") == 0 && append(&p, "three") == 0);
    settle();
    WEFT_CHECK(probe_got(&p.peer, "one two three") && p.drains == 3);
    close_pair(&p);
    return 0;
}

static int test_a_peer_that_never_reads(void)
{
    pair slow, quick;
    WEFT_TRY(open_pair(&slow, 10));
    WEFT_TRY(open_pair(&quick, 10));
    probe_read(&quick.peer);
    weft_shared *buf = shared("0123456789abcde");
    int sent = 0;
    while (weft_outbox_append(&slow.outbox, buf) == 0) {
        WEFT_CHECK(weft_outbox_append(&quick.outbox, buf) == 0);
        settle();
        sent++;
        WEFT_CHECK(quick.peer.got_size == (size_t)sent * buf->size && sent <= 100);
    }
    WEFT_CHECK(sent == (int)rules.count_most + 1); /* one is with the transport: a copy in memory, on loan with a socket */
    WEFT_CHECK(weft_outbox_append(&slow.outbox, buf) == -ENOBUFS && slow.outbox.count == rules.count_most);
    WEFT_CHECK(buf->refs == 1 + rules.count_most && weft_outbox_is_high(&slow.outbox) && slow.lows == 0);
    probe_read(&slow.peer);
    settle();
    WEFT_CHECK(slow.peer.got_size == (size_t)sent * buf->size && slow.lows == 1 && !weft_outbox_is_high(&slow.outbox));
    WEFT_CHECK(buf->refs == 1);
    weft_shared_unref(buf);
    close_pair(&slow);
    close_pair(&quick);
    return 0;
}

static int test_bounds(void)
{
    pair p;
    WEFT_TRY(open_pair(&p, 1));
    weft_shared *large = weft_shared_new(rules.size_most * 2), *rest = weft_shared_new(rules.size_most - 3);
    memset(large->data, 'x', large->size);
    memset(rest->data, 'y', rest->size);
    WEFT_CHECK(weft_outbox_append(&p.outbox, large) == 0); /* alone it may be any size */
    WEFT_CHECK(append(&p, "a") == -ENOBUFS);
    probe_read(&p.peer);
    settle();
    WEFT_CHECK(p.peer.got_size == large->size && p.outbox.size == 0);
    WEFT_CHECK(weft_outbox_append(&p.outbox, rest) == 0 && append(&p, "abc") == 0 && append(&p, "d") == -ENOBUFS);
    WEFT_CHECK(append_front(&p, "ping") == 0); /* no bound */
    settle();
    weft_shared_unref(large);
    weft_shared_unref(rest);
    close_pair(&p);
    return 0;
}

/* Several messages in one buffer count as so many. */
static int test_buffers_of_several(void)
{
    pair p;
    WEFT_TRY(open_pair(&p, 1));
    weft_shared *nine = shared("123456789");
    nine->count = 9;
    WEFT_CHECK(append(&p, "ab") == 0);
    settle(); /* the first is with the transport */
    WEFT_CHECK(p.outbox.count == 0 && weft_outbox_append(&p.outbox, nine) == 0 && weft_outbox_append(&p.outbox, nine) == 0);
    WEFT_CHECK(p.outbox.count == 18 && weft_outbox_append(&p.outbox, nine) == -ENOBUFS);
    WEFT_CHECK(append(&p, "c") == 0 && append(&p, "d") == 0 && append(&p, "e") == -ENOBUFS &&
               p.outbox.count == rules.count_most);
    probe_read(&p.peer);
    settle();
    WEFT_CHECK(probe_got(&p.peer, "ab123456789123456789cd") && p.outbox.count == 0 && p.outbox.size == 0 && nine->refs == 1);
    weft_shared_unref(nine);
    close_pair(&p);
    return 0;
}

/* A control frame goes in front of what is queued, and never inside a frame, wherever that was cut. */
static int test_in_front(void)
{
    for (size_t most = 1; most <= 12; most++) {
        pair p;
        WEFT_TRY(open_pair(&p, most));
        WEFT_CHECK(append(&p, "<abcd>") == 0 && append(&p, "<efgh>") == 0 && append(&p, "<ijkl>") == 0);
        settle(); /* `most` bytes have left, the cut frame is with the transport */
        WEFT_CHECK(append_front(&p, "(1)") == 0);
        probe_read(&p.peer);
        settle();
        static const char *const expected[] = { "<abcd>(1)<efgh><ijkl>", "<abcd><efgh>(1)<ijkl>", "<abcd><efgh><ijkl>(1)" };
        WEFT_CHECK(probe_got(&p.peer, expected[most / 6]));
        close_pair(&p);
    }
    pair p;
    WEFT_TRY(open_pair(&p, 100));
    probe_read(&p.peer);
    WEFT_CHECK(append(&p, "data") == 0 && append_front(&p, "2 ") == 0 && append_front(&p, "1 ") == 0 && append(&p, ".") == 0);
    settle();
    WEFT_CHECK(probe_got(&p.peer, "1 2 data."));
    close_pair(&p);
    return 0;
}

static int test_send_from_elsewhere(void)
{
    for (size_t most = 1; most <= 9; most++) {
        pair p;
        WEFT_TRY(open_pair(&p, 4));
        weft_memory_knobs_of(&p.t)->send_most = most;
        char text[] = "abcdefg";
        struct iovec parts[] = { { text, 2 }, { text + 2, 0 }, { text + 2, 5 } };
        WEFT_CHECK(weft_outbox_send(&p.outbox, parts, 3) == 0);
        WEFT_CHECK(append_front(&p, "(1)") == 0);
        WEFT_CHECK(weft_outbox_send(&p.outbox, parts, 3) == 0); /* behind what is queued */
        memset(text, '#', sizeof text);
        probe_read(&p.peer);
        settle();
        WEFT_CHECK(probe_got(&p.peer, "abcdefg(1)abcdefg"));
        close_pair(&p);
    }
    pair p;
    WEFT_TRY(open_pair(&p, 100));
    probe_read(&p.peer);
    char text[] = "at once";
    WEFT_CHECK(weft_outbox_send(&p.outbox, &(struct iovec){ text, 7 }, 1) == 0 && weft_outbox_is_empty(&p.outbox));
    WEFT_CHECK(append(&p, ", flushed") == 0 && weft_outbox_flush(&p.outbox) == 0 && weft_outbox_is_empty(&p.outbox));
    settle();
    WEFT_CHECK(probe_got(&p.peer, "at once, flushed"));
    close_pair(&p);
    return 0;
}

static int append_as(pair *p, const char *text, bool may_drop, uint64_t key)
{
    weft_shared *buf = shared(text);
    buf->may_drop = may_drop;
    buf->key = key;
    int rc = weft_outbox_append(&p->outbox, buf);
    weft_shared_unref(buf);
    return rc;
}

static int test_dropping(void)
{
    pair p;
    WEFT_TRY(open_pair(&p, 3));
    WEFT_CHECK(!weft_outbox_drop_oldest(&p.outbox));
    WEFT_CHECK(append_as(&p, "begun ", true, 7) == 0);
    settle();
    WEFT_CHECK(!weft_outbox_drop_oldest(&p.outbox) && weft_outbox_drop_key(&p.outbox, 7) == 0); /* it has begun to leave */
    WEFT_CHECK(append_as(&p, "kept ", false, 0) == 0 && append_as(&p, "old ", true, 0) == 0);
    WEFT_CHECK(append_as(&p, "a1 ", true, 1) == 0 && append_as(&p, "b1 ", true, 2) == 0 && append_as(&p, "a2 ", true, 1) == 0);
    WEFT_CHECK(weft_outbox_drop_oldest(&p.outbox));
    WEFT_CHECK(weft_outbox_drop_key(&p.outbox, 1) == 2 && weft_outbox_drop_key(&p.outbox, 0) == 0);
    WEFT_CHECK(append_as(&p, "a3", true, 1) == 0);
    WEFT_CHECK(!weft_outbox_is_empty(&p.outbox));
    probe_read(&p.peer);
    settle();
    WEFT_CHECK(probe_got(&p.peer, "begun kept b1 a3") && p.outbox.size == 0 && p.outbox.count == 0);
    close_pair(&p);

    WEFT_TRY(open_pair(&p, 3)); /* all that waits, but not the rest of a frame */
    WEFT_CHECK(weft_outbox_send(&p.outbox, &(struct iovec){ (char *)"whole ", 6 }, 1) == 0);
    WEFT_CHECK(append(&p, "x") == 0 && append(&p, "y") == 0);
    weft_outbox_drop_waiting(&p.outbox);
    WEFT_CHECK(append(&p, "end") == 0);
    probe_read(&p.peer);
    settle();
    WEFT_CHECK(probe_got(&p.peer, "whole end"));
    close_pair(&p);
    return 0;
}

static int test_close_with_entries(void)
{
    for (int cut = 0; cut < 2; cut++) {
        pair p;
        WEFT_TRY(open_pair(&p, 4));
        weft_shared *buf = shared("0123456789");
        for (int i = 0; i < 5; i++)
            WEFT_CHECK(weft_outbox_append(&p.outbox, buf) == 0);
        if (cut)
            settle();
        weft_outbox_close(&p.outbox);
        WEFT_CHECK(buf->refs == 1 && weft_outbox_append(&p.outbox, buf) == WEFT_ECLOSED);
        WEFT_CHECK(append_front(&p, "x") == WEFT_ECLOSED && weft_outbox_flush(&p.outbox) == WEFT_ECLOSED);
        probe_read(&p.peer);
        settle();
        WEFT_CHECK(p.peer.got_size == (cut ? 10 : 0)); /* the frame that was cut is whole, for it was the transport's */
        weft_shared_unref(buf);
        close_pair(&p);
    }
    pair p;
    WEFT_TRY(open_pair(&p, 4)); /* closed inside an event of its own */
    p.closes_when_low = true;
    for (int i = 0; i < 12; i++)
        WEFT_CHECK(append(&p, "0123456789") == 0);
    probe_read(&p.peer);
    settle();
    WEFT_CHECK(p.lows == 1 && p.outbox.transport == NULL);
    close_pair(&p);
    return 0;
}

static int test_a_pipe_that_breaks(void)
{
    for (size_t at = 0; at < 30; at++) {
        pair p;
        WEFT_TRY(open_pair(&p, 10));
        weft_memory_knobs_of(&p.t)->breaks = true;
        weft_memory_knobs_of(&p.t)->break_after = at;
        probe_read(&p.peer);
        weft_shared *buf = shared("0123456789");
        for (int i = 0; i < 3; i++)
            WEFT_CHECK(weft_outbox_append(&p.outbox, buf) == 0);
        settle();
        WEFT_CHECK(p.peer.got_size == at && buf->refs == 1);
        if (p.failures == 0) /* all was taken before it broke: the next one is told */
            WEFT_CHECK(append(&p, "x") == 0);
        settle();
        WEFT_CHECK(p.failures == 1 && p.error == -ECONNRESET);
        weft_shared_unref(buf);
        close_pair(&p);
    }
    return 0;
}

static int test_hand_over(void)
{
    for (size_t capacity = 1; capacity < 20; capacity++) {
        pair p;
        WEFT_TRY(open_pair(&p, capacity));
        WEFT_CHECK(append(&p, "one ") == 0 && append(&p, "two ") == 0 && append(&p, "three ") == 0);
        if (capacity % 2)
            settle();
        WEFT_CHECK(weft_outbox_hand_over(&p.outbox) == 0 && weft_outbox_is_empty(&p.outbox));
        WEFT_CHECK(weft_transport_send(&p.t, &(struct iovec){ (char *)"four ", 5 }, 1) == 0);
        WEFT_CHECK(append(&p, "five") == 0);
        probe_read(&p.peer);
        settle();
        WEFT_CHECK(probe_got(&p.peer, "one two three four five"));
        close_pair(&p);
    }
    return 0;
}

static int count_turns(void *turns)
{
    for (;;) {
        WEFT_TRY(weft_yield());
        ++*(int *)turns;
    }
}

/* Many dirty outboxes are flushed in slices, between which others run. */
static int test_slices(void)
{
    enum { MANY = 3000 };
    pair *pairs = calloc(MANY, sizeof *pairs);
    int turns = 0;
    weft_shared *buf = shared("x");
    for (int i = 0; i < MANY; i++) {
        WEFT_TRY(open_pair(&pairs[i], 100));
        WEFT_CHECK(weft_outbox_append(&pairs[i].outbox, buf) == 0);
    }
    WEFT_GROUP (others) {
        weft_go(&others, count_turns, &turns);
        uint32_t most = 0, before = buf->refs;
        while (buf->refs > 1) {
            WEFT_CHECK(weft_yield() == 0);
            most = before - buf->refs > most ? before - buf->refs : most;
            before = buf->refs;
        }
        WEFT_CHECK(most > 0 && most <= 1024 && turns >= 2);
        break;
    }
    for (int i = 0; i < MANY; i++) {
        weft_outbox_close(&pairs[i].outbox);
        weft_transport_close(&pairs[i].t, false);
        probe_close(&pairs[i].peer, false);
    }
    settle();
    weft_shared_unref(buf);
    free(pairs);
    return 0;
}

static int conversation(void *arg)
{
    (void)arg;
    pair p;
    int rc = open_pair(&p, 5);
    if (rc < 0 && !p.t.is_open)
        return rc;
    if (rc == 0) {
        probe_read(&p.peer);
        for (int i = 0; i < 3; i++) {
            (void)append(&p, "abcdefgh");
            (void)append_front(&p, "0123456789");
            (void)weft_outbox_send(&p.outbox, &(struct iovec){ (char *)"ijklmnop", 8 }, 1);
            (void)!weft_sleep(WEFT_MILLISECOND);
        }
        if (p.outbox.transport)
            (void)weft_outbox_hand_over(&p.outbox);
    }
    weft_outbox_close(&p.outbox);
    weft_transport_close(&p.t, false);
    probe_close(&p.peer, false);
    (void)!weft_sleep(WEFT_MILLISECOND);
    free(p.peer.got);
    return rc;
}

static int test_memory_runs_out(void)
{
    weft_test_report report = { .struck = true };
    for (uint64_t n = 1; report.struck; n++) {
        int rc = weft_test_run(conversation, NULL, &report, .fail_at = n);
        WEFT_CHECK(rc == 0 || rc == -ENOMEM);
        WEFT_CHECK(n < 1000);
        weft_test_run(conversation, NULL, NULL, .fail_at = n, .fail_after = true);
    }
    return 0;
}

/* ---- over sockets, where what is cut is lent and not copied ---- */

static void open_sockets(pair *p)
{
    int fds[2] = { -1, -1 };
    memset(p, 0, sizeof *p);
    WEFT_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    WEFT_CHECK(weft_transport_open_fd(&p->t, weft_loop_here(), fds[0], false, &pair_events) == 0);
    WEFT_CHECK(weft_transport_open_fd(&p->peer.t, weft_loop_here(), fds[1], false, &probe_events) == 0);
    WEFT_CHECK(weft_outbox_open(&p->outbox, &p->t, &large_rules) == 0);
}

static void close_sockets(pair *p)
{
    weft_outbox_close(&p->outbox);
    if (p->t.is_open)
        weft_transport_close(&p->t, false);
    if (p->peer.closes == 0)
        probe_close(&p->peer, false);
    WAIT_UNTIL(p->closes == 1 && p->peer.closes == 1);
    free(p->peer.got);
}

/* Appends until one is lent. */
static size_t fill(pair *p, weft_shared *buf)
{
    size_t size = 0;
    while (!p->outbox.loan || p->outbox.count < 4) {
        WEFT_CHECK(weft_outbox_append(&p->outbox, buf) == 0);
        size += buf->size;
        if (p->outbox.count % 2 == 0)
            WEFT_CHECK(weft_sleep(WEFT_MILLISECOND) == 0);
    }
    return size;
}

static int slow_socket(void *arg)
{
    (void)arg;
    pair p;
    open_sockets(&p);
    weft_shared *buf = weft_shared_new(100001);
    probe_pattern(buf->data, buf->size);
    size_t size = fill(&p, buf);
    WEFT_CHECK(p.outbox.loan && p.t.queued <= buf->size && weft_transport_unsent(&p.t) <= p.t.queued);
    WEFT_CHECK(p.outbox.size > p.t.queued && buf->refs == 1 + p.outbox.count);
    probe_read(&p.peer);
    WAIT_UNTIL(p.peer.got_size == size);
    for (size_t at = 0; at < size; at += buf->size)
        WEFT_CHECK(memcmp(p.peer.got + at, buf->data, buf->size) == 0);
    WAIT_UNTIL(weft_outbox_is_empty(&p.outbox) && !p.outbox.is_blocked);
    WEFT_CHECK(buf->refs == 1 && p.drains >= 1 && p.lows >= 1 && !p.outbox.loan && p.t.queued == 0);

    weft_transport_read_stop(&p.peer.t); /* copies queued behind a loan wait for it */
    size += fill(&p, buf);
    WEFT_CHECK(weft_outbox_hand_over(&p.outbox) == 0);
    WEFT_CHECK(weft_transport_unsent(&p.t) <= p.t.queued && p.t.queued > 2 * buf->size);
    WEFT_CHECK(append(&p, "end") == 0);
    probe_read(&p.peer);
    WAIT_UNTIL(p.peer.got_size == size + 3);
    for (size_t at = 0; at < size; at += buf->size)
        WEFT_CHECK(memcmp(p.peer.got + at, buf->data, buf->size) == 0);
    WEFT_CHECK(memcmp(p.peer.got + size, "end", 3) == 0);

    weft_transport_read_stop(&p.peer.t); /* closed while one is lent */
    fill(&p, buf);
    weft_outbox_close(&p.outbox);
    WEFT_CHECK(buf->refs == 2);
    close_sockets(&p);
    WEFT_CHECK(buf->refs == 1);

    open_sockets(&p); /* the peer goes while one is lent, and a copy waits behind it */
    fill(&p, buf);
    WEFT_CHECK(weft_transport_queue(&p.t, &(struct iovec){ buf->data, buf->size }, 1, 0) == 0);
    probe_close(&p.peer, false);
    WAIT_UNTIL(p.failures == 1);
    WEFT_CHECK((p.error == -EPIPE || p.error == -ECONNRESET) && buf->refs == 1);
    close_sockets(&p);
    weft_shared_unref(buf);
    return 0;
}

static int test_sockets(void)
{
    return weft_test_run(slow_socket, NULL, NULL, .real_time = true);
}

static const weft_test tests[] = {
    { .name = "one message to many, by reference", .body = test_one_message_to_many },
    { .name = "writes that are cut, at every place", .body = test_cut_everywhere },
    { .name = "a transport that takes nothing at once", .body = test_refused_sends },
    { .name = "a peer that never reads, and one that does", .body = test_a_peer_that_never_reads },
    { .name = "the bounds", .body = test_bounds },
    { .name = "buffers of several messages", .body = test_buffers_of_several },
    { .name = "in front, never inside a frame", .body = test_in_front },
    { .name = "frames that lie elsewhere", .body = test_send_from_elsewhere },
    { .name = "dropping the oldest, and by key", .body = test_dropping },
    { .name = "a close with entries queued", .body = test_close_with_entries },
    { .name = "a pipe that breaks after n bytes", .body = test_a_pipe_that_breaks },
    { .name = "handing over what is left", .body = test_hand_over },
    { .name = "slices, between which others run", .body = test_slices },
    { .name = "sockets that are slow, closed, broken", .plain = test_sockets },
    { .name = "the n-th allocation fails", .plain = test_memory_runs_out },
};

int main(int argc, char **argv)
{
    return weft_test_main(tests, COUNT(tests), argc, argv);
}
