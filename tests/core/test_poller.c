/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* The poller without a loop: each kind of it over real sockets, and one that refuses. */
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weft/fd.h>

#include "lib/task/poller.h"
#include "tests/core/core.h"

typedef struct end {
    weft_polled polled;
    weft_poller *poller;
    struct end *closes, *quiets; /* when it is told */
    int peer;                    /* a descriptor */
    int told, events, closed;
    bool has_input; /* what it answers */
} end;

static bool on_ready(weft_polled *p, int events)
{
    end *e = CONTAINER_OF(p, end, polled);
    WEFT_CHECK(p->fd >= 0 && events && (events & ~p->wanted) == 0);
    e->told++;
    e->events |= events;
    if (e->closes && e->closes->polled.fd >= 0)
        weft_polled_close(e->poller, &e->closes->polled);
    if (e->quiets)
        weft_polled_want(e->poller, &e->quiets->polled, 0);
    return e->has_input;
}

static void on_closed(weft_polled *p)
{
    CONTAINER_OF(p, end, polled)->closed++;
}

static const weft_polled_events events = { .ready = on_ready, .closed = on_closed };

static void open_end(weft_poller *poller, end *e)
{
    int fds[2] = { -1, -1 };
    WEFT_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    *e = (end){ .poller = poller, .peer = fds[1] };
    WEFT_CHECK(weft_polled_open(poller, &e->polled, fds[0], &events) == 0);
}

static void close_end(end *e)
{
    if (e->polled.fd >= 0)
        weft_polled_close(e->poller, &e->polled);
    if (e->peer >= 0)
        close(e->peer);
    WEFT_CHECK(e->closed == 0);
    weft_poller_settle(e->poller);
    WEFT_CHECK(e->closed == 1);
}

/* What it was told in one turn, which does not wait. */
static int told(end *e)
{
    e->told = e->events = 0;
    weft_poller_settle(e->poller);
    e->poller->kind->wait(e->poller, 0);
    return e->events;
}

static void put(int fd)
{
    WEFT_CHECK(write(fd, "x", 1) == 1);
}

static void for_each_kind(void (*test)(weft_poller *poller, int uv))
{
    static const weft_poller_kind *const kinds[] = { &WEFT_POLLER_BEST, &weft_poller_poll };
    for (size_t i = 0; i < COUNT(kinds); i++) {
        weft_poller poller;
        int uv = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        WEFT_CHECK(weft_poller_open(&poller, kinds[i], uv) == 0);
        test(&poller, uv);
        weft_poller_close(&poller);
        close(uv);
    }
}

static void tells(weft_poller *poller, int uv)
{
    end e;
    open_end(poller, &e);
    WEFT_CHECK(told(&e) == 0);
    put(e.peer);
    WEFT_CHECK(told(&e) == 0);
    weft_polled_want(poller, &e.polled, WEFT_FD_READ);
    WEFT_CHECK(!weft_poller_is_settled(poller));
    WEFT_CHECK(told(&e) == WEFT_FD_READ && e.told == 1 && weft_poller_is_settled(poller));
    WEFT_CHECK(told(&e) == WEFT_FD_READ); /* as long as it is */
    weft_polled_want(poller, &e.polled, WEFT_FD_READ | WEFT_FD_WRITE);
    WEFT_CHECK(told(&e) == (WEFT_FD_READ | WEFT_FD_WRITE) && e.told == 1);
    weft_polled_want(poller, &e.polled, WEFT_FD_WRITE);
    WEFT_CHECK(told(&e) == WEFT_FD_WRITE);
    weft_polled_want(poller, &e.polled, 0);
    WEFT_CHECK(told(&e) == 0);
    close(e.peer);
    e.peer = -1;
    WEFT_CHECK(told(&e) == 0); /* that it has gone is only told to who wants something */
    weft_polled_want(poller, &e.polled, WEFT_FD_READ);
    WEFT_CHECK(told(&e) == WEFT_FD_READ);

    WEFT_CHECK(!poller->kind->wait(poller, 0));
    WEFT_CHECK(eventfd_write(uv, 1) == 0 && poller->kind->wait(poller, 1000));
    close_end(&e);
}

static int each_kind_tells_what_is_wanted(void)
{
    for_each_kind(tells);
    return 0;
}

/* The kernel is told once, of what is wanted when the poll begins. */
static void changes(weft_poller *poller, int uv)
{
    end e;
    (void)uv;
    open_end(poller, &e);
    for (int i = 0; i < 10; i++)
        weft_polled_want(poller, &e.polled, i % 4);
    weft_polled_want(poller, &e.polled, 0);
    WEFT_CHECK(told(&e) == 0 && e.polled.asked == 0 && weft_poller_is_settled(poller));
    weft_polled_want(poller, &e.polled, WEFT_FD_WRITE);
    WEFT_CHECK(told(&e) == WEFT_FD_WRITE && e.polled.asked == WEFT_FD_WRITE);
    weft_polled_want(poller, &e.polled, 0);
    weft_polled_close(poller, &e.polled); /* with a change that was not told */
    close_end(&e);
}

static int changes_are_told_once(void)
{
    for_each_kind(changes);
    return 0;
}

/* Of two that are ready, the first that is told closes the other, whose number another one has at once. */
static void replaces(weft_poller *poller, int uv)
{
    end a, b, next;
    (void)uv;
    open_end(poller, &a);
    open_end(poller, &b);
    a.closes = &b;
    b.closes = &a;
    weft_polled_want(poller, &a.polled, WEFT_FD_READ);
    weft_polled_want(poller, &b.polled, WEFT_FD_READ);
    put(a.peer);
    put(b.peer);
    told(&a);
    WEFT_CHECK(a.told + b.told == 1 && a.closed + b.closed == 0);
    a.closes = b.closes = NULL;
    open_end(poller, &next);
    weft_polled_want(poller, &next.polled, WEFT_FD_READ);
    weft_poller_settle(poller); /* says who was closed */
    WEFT_CHECK(a.closed + b.closed == 1);
    WEFT_CHECK(told(&next) == 0);
    close_end(&next);
    end *left = a.closed ? &b : &a, *gone = a.closed ? &a : &b;
    close_end(left);
    close(gone->peer);
}

static int who_is_closed_is_not_told(void)
{
    for_each_kind(replaces);
    return 0;
}

/* Of two that are ready, the first that is told has the other want nothing any more. */
static void quiets(weft_poller *poller, int uv)
{
    end a, b;
    (void)uv;
    open_end(poller, &a);
    open_end(poller, &b);
    a.quiets = &b;
    b.quiets = &a;
    weft_polled_want(poller, &a.polled, WEFT_FD_READ);
    weft_polled_want(poller, &b.polled, WEFT_FD_READ);
    put(a.peer);
    put(b.peer);
    told(&a);
    WEFT_CHECK(a.told + b.told == 1);
    b.told = 0;
    told(&a);
    WEFT_CHECK(a.told + b.told == 1);
    close_end(&a);
    close_end(&b);
}

static int who_wants_nothing_any_more_is_not_told(void)
{
    for_each_kind(quiets);
    return 0;
}

/* As a child has one for a moment: what the kernel tells of the copy is not told to who has the number now. */
static void is_copied(weft_poller *poller, int uv)
{
    end e, next;
    (void)uv;
    open_end(poller, &e);
    weft_polled_want(poller, &e.polled, WEFT_FD_READ);
    WEFT_CHECK(told(&e) == 0);
    int number = e.polled.fd, copy = dup(number);
    put(e.peer);
    weft_polled_close(poller, &e.polled);
    WEFT_CHECK(told(&e) == 0);
    open_end(poller, &next);
    WEFT_CHECK(next.polled.fd == number);
    weft_polled_want(poller, &next.polled, WEFT_FD_READ);
    for (int i = 0; i < 3; i++)
        WEFT_CHECK(told(&next) == 0);
    close(copy);
    close(e.peer);
    put(next.peer);
    WEFT_CHECK(told(&next) == WEFT_FD_READ && e.told == 0 && e.closed == 1);
    close_end(&next);
}

static int a_copy_of_a_closed_one_is_not_mistaken(void)
{
    for_each_kind(is_copied);
    return 0;
}

/* One that others have copies of, as a listening socket's may be, is not told of any more at all: else the poll would return at
 * once for as long as it is ready. */
static void is_forgotten(weft_poller *poller, int uv)
{
    end e;
    (void)uv;
    open_end(poller, &e);
    weft_polled_want(poller, &e.polled, WEFT_FD_READ);
    put(e.peer);
    WEFT_CHECK(told(&e) == WEFT_FD_READ);
    int copy = dup(e.polled.fd);
    weft_polled_forget(poller, &e.polled);
    weft_polled_close(poller, &e.polled);
    weft_duration start = weft_now();
    weft_poller_settle(poller);
    poller->kind->wait(poller, 20);
    WEFT_CHECK(weft_now() - start >= 20 * MS && e.closed == 1);
    close(copy);
    close(e.peer);
}

static int what_is_forgotten_wakes_nobody(void)
{
    for_each_kind(is_forgotten);
    return 0;
}

/* A new one is read at once, as long as there is mostly something; then now and then. */
static void is_new(weft_poller *poller, int uv)
{
    enum { MANY = 200 };
    int tries[2] = { 0 };
    (void)uv;
    for (int has_input = 1; has_input >= 0; has_input--) {
        for (int i = 0; i < MANY; i++) {
            end e;
            open_end(poller, &e);
            e.has_input = has_input;
            e.polled.is_new = true;
            WEFT_CHECK(weft_poller_is_settled(poller)); /* nothing is wanted yet */
            weft_polled_want(poller, &e.polled, WEFT_FD_READ);
            WEFT_CHECK(weft_poller_settle(poller) == (has_input && e.told));
            tries[has_input] += e.told;
            WEFT_CHECK(!e.polled.is_new && e.polled.asked == WEFT_FD_READ);
            close_end(&e);
        }
    }
    WEFT_CHECK(tries[1] == MANY && tries[0] >= MANY / 16 && tries[0] < MANY / 8);
}

static int new_ones_are_read_at_once_while_that_is_worth_it(void)
{
    for_each_kind(is_new);
    return 0;
}

static void closes_in_its_try(weft_poller *poller, int uv)
{
    end e;
    (void)uv;
    open_end(poller, &e);
    e.closes = &e;
    e.has_input = true;
    e.polled.is_new = true;
    weft_polled_want(poller, &e.polled, WEFT_FD_READ);
    WEFT_CHECK(weft_poller_settle(poller));
    WEFT_CHECK(e.told == 1 && e.closed == 1 && weft_poller_is_settled(poller));
    close(e.peer);
}

static int a_new_one_may_be_closed_at_once(void)
{
    for_each_kind(closes_in_its_try);
    return 0;
}

/* ---- one that refuses ---- */

static int refusals;

static int open_nothing(weft_poller *poller)
{
    (void)poller;
    return 0;
}

static void close_nothing(weft_poller *poller)
{
    (void)poller;
}

static int refuse(weft_poller *poller, const weft_polled *p)
{
    (void)poller;
    (void)p;
    return refusals-- > 0 ? -ENOSPC : 0;
}

static bool wait_for_nothing(weft_poller *poller, int timeout)
{
    (void)poller;
    (void)timeout;
    return false;
}

static void count_line(void *context, enum weft_log_level level, const char *line, size_t size)
{
    int *lines = context;
    (void)size;
    WEFT_CHECK(level == WEFT_LOG_WARNING && strstr(line, "cannot be polled: "));
    (*lines)++;
}

static int what_is_refused_is_tried(void)
{
    static const weft_poller_kind kind = { open_nothing, close_nothing, refuse, wait_for_nothing };
    weft_poller poller;
    end e, other;
    int lines = 0;
    weft_log_set_sink(count_line, &lines);
    WEFT_CHECK(weft_poller_open(&poller, &kind, -1) == 0);
    open_end(&poller, &e);
    open_end(&poller, &other);
    weft_polled_want(&poller, &e.polled, WEFT_FD_READ);
    weft_polled_want(&poller, &other.polled, WEFT_FD_WRITE);
    refusals = 6;
    for (int turn = 1; turn <= 3; turn++) {
        WEFT_CHECK(!weft_poller_settle(&poller) && !weft_poller_is_settled(&poller));
        WEFT_CHECK(e.told == turn && e.events == WEFT_FD_READ && other.told == turn && other.events == WEFT_FD_WRITE);
        WEFT_CHECK(e.polled.asked == 0);
    }
    WEFT_CHECK(!weft_poller_settle(&poller) && weft_poller_is_settled(&poller) && e.told == 3);
    WEFT_CHECK(e.polled.asked == WEFT_FD_READ && lines == 1);

    refusals = 1;
    weft_polled_want(&poller, &e.polled, WEFT_FD_WRITE);
    e.closes = &e; /* in the try */
    WEFT_CHECK(!weft_poller_settle(&poller) && e.closed == 0);
    WEFT_CHECK(!weft_poller_settle(&poller) && e.closed == 1 && weft_poller_is_settled(&poller));
    WEFT_CHECK(lines == 1); /* once a second at most */
    close(e.peer);
    close_end(&other);
    weft_poller_close(&poller);
    weft_log_set_sink(NULL, NULL);
    return 0;
}

/* ---- memory runs out ---- */

static int opens_many(void *arg)
{
    enum { MANY = 200 };
    static end ends[MANY];
    weft_poller poller;
    int count = 0, lines = 0;
    (void)arg;
    weft_log_set_sink(count_line, &lines);
    int uv = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rc = weft_poller_open(&poller, &weft_poller_poll, uv);
    for (; rc == 0 && count < MANY; count++) {
        end *e = &ends[count];
        int fds[2] = { -1, -1 };
        WEFT_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
        *e = (end){ .poller = &poller, .peer = fds[1] };
        rc = weft_polled_open(&poller, &e->polled, fds[0], &events);
        if (rc < 0) {
            close(fds[0]); /* still ours */
            close(fds[1]);
            break;
        }
        weft_polled_want(&poller, &e->polled, WEFT_FD_WRITE);
    }
    if (poller.list) {
        weft_poller_settle(&poller); /* what has no room yet is told all the same */
        poller.kind->wait(&poller, 0);
        for (int i = 0; i < count; i++)
            WEFT_CHECK(ends[i].told >= 1);
        for (int i = 0; i < count; i++)
            close_end(&ends[i]);
        weft_poller_close(&poller);
    }
    weft_log_set_sink(NULL, NULL);
    close(uv);
    return rc;
}

static int the_nth_allocation_fails(void)
{
    weft_test_report report = { .struck = true };
    for (uint64_t n = 1; report.struck; n++) {
        int rc = weft_test_run(opens_many, NULL, &report, .fail_at = n, .quiet = true);
        WEFT_CHECK(n < 200 && (rc == 0 || (report.struck && rc == -ENOMEM)));
    }
    return 0;
}

static const weft_test tests[] = {
    PLAIN(each_kind_tells_what_is_wanted),
    PLAIN(changes_are_told_once),
    PLAIN(who_is_closed_is_not_told),
    PLAIN(who_wants_nothing_any_more_is_not_told),
    PLAIN(a_copy_of_a_closed_one_is_not_mistaken),
    PLAIN(what_is_forgotten_wakes_nobody),
    PLAIN(new_ones_are_read_at_once_while_that_is_worth_it),
    PLAIN(a_new_one_may_be_closed_at_once),
    TEST(what_is_refused_is_tried),
    PLAIN(the_nth_allocation_fails),
};

TEST_MAIN(tests)
