/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Members who join a room, say something and leave, so many a second, and the proof that each was sent every message of its
 * stay once and in order.
 *
 *     churn PORT PATH JOINS RATE SAYS
 *
 * PATH is followed by the member's number. Each says a few times "SENDER.NUMBER;", behind the word SAYS ("" or "say x " of the
 * chat), the first time at once and the last time after some milliseconds, and leaves when it has heard that: by a close
 * handshake, a close without waiting, an end of TCP, or a reset. Some stay from the beginning to the end and record all. All
 * members of a room are sent its messages in one order: so what one has heard must be a part of the record without a hole, from
 * before its first word to its last.
 *
 * The first come at once, as many as there may be at a time, and none leaves before all are in: whatever stalls later, there
 * are never more at a time, and what the server holds by then is the most that it needs.
 *
 * Prints "a third" after a third of the joins, and "JOINS joins, RATE a second, MESSAGES messages, DELIVERIES deliveries"; the
 * exit status is 0 if everything held.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    STAYERS = 4,
    AT_ONCE = 300,  /* members at a time; beyond it joins wait */
    WORDS_MOST = 3, /* messages of one member */
    STAY_MOST = 60, /* milliseconds */
    PATIENCE = 30,  /* seconds without anything */
    PER_SENDER = 4, /* ids */
    ADDRESSES = 50, /* 127.0.0.x, so that ports do not run short */
    INPUT_ROOM = 128 * 1024,
};

enum state { CONNECTING, SHAKING, INSIDE, SAID_ALL, CLOSING };

typedef struct member {
    int fd;
    unsigned number;
    enum state state;
    int said, heard; /* of its own words */
    double ends;     /* when it says its last word */
    uint32_t *ids;   /* all it has heard */
    size_t id_count, id_room;
    char *input; /* what is no whole frame yet */
    size_t input_size;
} member;

static struct {
    const char *path, *says;
    unsigned port, joins, begun, entered, left;
    unsigned crowd; /* that come first, at once */
    int epoll;
    member *inside[AT_ONCE + STAYERS];
    int inside_count;
    member *stayers[STAYERS];
    member *gone; /* what is left of the others: their numbers and ids */
    uint64_t sent, deliveries;
} all;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
static void fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

static void *must(void *memory)
{
    if (!memory)
        fail("memory is out");
    return memory;
}

/* ---- sending ---- */

static void send_all(const member *m, const void *data, size_t size)
{
    if (send(m->fd, data, size, MSG_NOSIGNAL) != (ssize_t)size)
        fail("%u cannot send: %s", m->number, strerror(errno));
}

static void send_frame(const member *m, int opcode, const void *data, size_t size)
{
    char frame[200] = { (char)(0x80 | opcode), (char)(0x80 | size) }; /* a key that changes nothing */
    memcpy(frame + 6, data, size);
    send_all(m, frame, 6 + size);
}

static void say(member *m)
{
    char text[100];
    int size = snprintf(text, sizeof text, "%s%u.%d;", all.says, m->number, ++m->said);
    send_frame(m, 1, text, (size_t)size);
    all.sent++;
}

/* ---- coming and going ---- */

static member *dial(unsigned number)
{
    member *m = must(calloc(1, sizeof *m));
    struct sockaddr_in from = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + number % ADDRESSES) };
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)all.port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int on = 1;
    m->number = number;
    m->input = must(malloc(INPUT_ROOM));
    m->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    setsockopt(m->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    setsockopt(m->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(m->fd, (struct sockaddr *)&from, sizeof from) < 0 ||
        (connect(m->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS))
        fail("%u cannot connect: %s", number, strerror(errno));
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = m };
    epoll_ctl(all.epoll, EPOLL_CTL_ADD, m->fd, &event);
    all.inside[all.inside_count++] = m;
    return m;
}

static void shake(member *m)
{
    char request[500];
    int size = snprintf(request, sizeof request,
                        "GET %s%u HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                        all.path, m->number);
    send_all(m, request, (size_t)size);
    m->state = SHAKING;
}

static void hang_up(member *m)
{
    close(m->fd);
    free(m->input);
    for (int i = 0; i < all.inside_count; i++)
        if (all.inside[i] == m)
            all.inside[i] = all.inside[--all.inside_count];
    if (m->number >= STAYERS) {
        all.gone[all.left++] = *m;
        free(m);
    }
}

static void leave(member *m)
{
    static const struct linger resets = { .l_onoff = 1, .l_linger = 0 };
    switch (m->number % 4) {
    case 0:
        send_frame(m, 8, "\x03\xe8", 2);
        m->state = CLOSING; /* until the server's close has come */
        return;
    case 1:
        send_frame(m, 8, "\x03\xe8", 2);
        break;
    case 2:
        setsockopt(m->fd, SOL_SOCKET, SO_LINGER, &resets, sizeof resets);
        break;
    default:
        break;
    }
    hang_up(m);
}

/* ---- receiving ---- */

static void hear(member *m, const char *text)
{
    unsigned sender, number;
    if (sscanf(text, "%u.%u;", &sender, &number) != 2 || number == 0 || number > WORDS_MOST || sender >= all.joins + STAYERS)
        fail("%u hears \"%s\"", m->number, text);
    if (m->id_count == m->id_room) {
        m->id_room = m->id_room ? 2 * m->id_room : 64;
        m->ids = must(realloc(m->ids, m->id_room * sizeof *m->ids));
    }
    m->ids[m->id_count++] = sender * PER_SENDER + number;
    all.deliveries++;
    if (sender == m->number && (int)number != ++m->heard)
        fail("%u hears its own word %u when %d is next", m->number, number, m->heard);
}

/* False: it has been closed, as it wished. */
static bool take_frame(member *m, int opcode, char *payload, size_t size)
{
    char text[400] = "";
    if (opcode == 8 && m->state == CLOSING) {
        hang_up(m);
        return false;
    }
    if (opcode == 9) {
        send_frame(m, 10, payload, size);
        return true;
    }
    if (opcode != 1)
        fail("%u is sent a frame of kind %d: %.*s", m->number, opcode, (int)size, payload);
    if (payload[0] == '{') { /* of the chat: {... "text":"17.1;"}, or a notice */
        char *at = memmem(payload, size, "\"text\":\"", 8);
        if (!at)
            return true;
        size -= (size_t)(at + 8 - payload);
        payload = at + 8;
    }
    memcpy(text, payload, size < sizeof text ? size : sizeof text - 1);
    hear(m, text);
    return true;
}

/* Takes whole frames; false: it is gone. */
static bool take_input(member *m)
{
    size_t at = 0;
    if (m->state == SHAKING) {
        char *end = memmem(m->input, m->input_size, "\r\n\r\n", 4);
        if (!end)
            return true;
        if (memcmp(m->input, "HTTP/1.1 101", 12) != 0)
            fail("%u is answered %.30s", m->number, m->input);
        at = (size_t)(end + 4 - m->input);
        m->state = INSIDE;
        all.entered++;
        m->ends = now() + (double)(m->number * 2654435761u % STAY_MOST) / 1e3;
        say(m);
    }
    while (m->input_size - at >= 2) {
        const unsigned char *frame = (unsigned char *)m->input + at;
        size_t size = frame[1], header = 2;
        if (size == 126 && m->input_size - at >= 4) {
            size = (size_t)frame[2] << 8 | frame[3];
            header = 4;
        }
        if (frame[1] > 126 || m->input_size - at < header + size)
            break;
        at += header + size;
        if (!take_frame(m, frame[0] & 15, m->input + at - size, size))
            return false;
    }
    m->input_size -= at;
    memmove(m->input, m->input + at, m->input_size);
    return true;
}

/* False: it is gone. */
static bool receive(member *m)
{
    for (;;) {
        ssize_t size = recv(m->fd, m->input + m->input_size, INPUT_ROOM - m->input_size, 0);
        if (size < 0 && errno == EAGAIN)
            return true;
        if (size <= 0)
            fail("%u is ended: %s", m->number, size < 0 ? strerror(errno) : "no more comes");
        m->input_size += (size_t)size;
        if (!take_input(m))
            return false;
    }
}

static void go_on(member *m, unsigned events)
{
    if (m->state == CONNECTING && events & EPOLLOUT)
        shake(m);
    if (!(events & (EPOLLIN | EPOLLERR | EPOLLHUP)) || !receive(m))
        return;
    if (m->state == SAID_ALL && m->heard == m->said)
        leave(m);
}

/* Those whose time has come say their last words. */
static void say_last_words(double time)
{
    if (all.entered < STAYERS + all.crowd)
        return;
    for (int i = 0; i < all.inside_count; i++) {
        member *m = all.inside[i];
        if (m->state != INSIDE || m->number < STAYERS || m->heard < m->said || time < m->ends)
            continue;
        for (unsigned more = 1 + m->number % (WORDS_MOST - 1); more > 0; more--)
            say(m);
        m->state = SAID_ALL;
    }
}

/* ---- the proof ---- */

static void check(const member *m, const uint32_t *place)
{
    if (m->heard != m->said || m->id_count == 0)
        fail("%u has heard %d of its %d words", m->number, m->heard, m->said);
    uint32_t first = place[m->ids[0]];
    for (size_t i = 0; i < m->id_count; i++)
        if (place[m->ids[i]] != first + i)
            fail("%u hears %u.%u as its %zu. message, which is the %u. of all; its first was the %u.", m->number,
                 m->ids[i] / PER_SENDER, m->ids[i] % PER_SENDER, i, place[m->ids[i]], first);
}

static void check_all(void)
{
    uint32_t *place = must(calloc((size_t)(all.joins + STAYERS + 1) * PER_SENDER, sizeof *place)); /* in the record, from 1 */
    const member *record = all.stayers[0];
    for (size_t i = 0; i < record->id_count; i++) {
        if (place[record->ids[i]])
            fail("%u.%u comes twice", record->ids[i] / PER_SENDER, record->ids[i] % PER_SENDER);
        place[record->ids[i]] = (uint32_t)i + 1;
    }
    for (unsigned i = 0; i < all.left; i++)
        check(&all.gone[i], place);
    for (int i = 1; i < STAYERS; i++)
        check(all.stayers[i], place);
    free(place);
}

/* ---- the evening ---- */

/* Lets what is due happen for at most so long; true if anything came. */
static bool turn(double seconds)
{
    struct epoll_event events[256];
    int count = epoll_wait(all.epoll, events, 256, seconds > 0 ? (int)(seconds * 1e3) + 1 : 0);
    for (int i = 0; i < count; i++)
        go_on(events[i].data.ptr, events[i].events);
    say_last_words(now());
    return count > 0;
}

static bool have_recorded_all(void)
{
    bool have = true;
    for (int i = 0; i < STAYERS; i++) /* the first heard its own word first, the others came later */
        have &= all.stayers[i]->id_count == all.sent - (uint64_t)i;
    return have;
}

int main(int argc, char **argv)
{
    if (argc != 6)
        return 2;
    all.port = (unsigned)strtoul(argv[1], NULL, 10);
    all.path = argv[2];
    all.joins = (unsigned)strtoul(argv[3], NULL, 10);
    double rate = strtod(argv[4], NULL);
    all.says = argv[5];
    all.epoll = epoll_create1(EPOLL_CLOEXEC);
    all.gone = must(calloc(all.joins + 1, sizeof *all.gone));
    for (unsigned i = 0; i < STAYERS; i++) { /* one after the other, so that each hears all later ones */
        all.stayers[i] = dial(i);
        for (double limit = now() + PATIENCE; all.stayers[i]->heard == 0;)
            if (!turn(0.1) && now() > limit)
                fail("a stayer does not hear itself");
    }
    all.crowd = all.joins < AT_ONCE - STAYERS ? all.joins : AT_ONCE - STAYERS;
    double began = now() - all.crowd / rate, moved = now();
    uint64_t progress = 0;
    while (all.left < all.joins || !have_recorded_all()) {
        double time = now();
        while (all.begun < all.joins && all.inside_count < AT_ONCE && began + all.begun / rate <= time) {
            dial(STAYERS + all.begun++);
            if (all.begun == all.joins / 3)
                printf("a third\n"), fflush(stdout);
        }
        turn(0.0005);
        if (all.deliveries + all.left > progress)
            moved = time;
        else if (time - moved > PATIENCE)
            fail("nothing comes any more: %u have left, %d are there, of %llu messages the first has heard %zu", all.left,
                 all.inside_count, (unsigned long long)all.sent, all.stayers[0]->id_count);
        progress = all.deliveries + all.left;
    }
    double seconds = now() - began;
    check_all();
    printf("%u joins, %.0f a second, %llu messages, %llu deliveries\n", all.left, all.left / seconds,
           (unsigned long long)all.sent, (unsigned long long)all.deliveries);
    return 0;
}
