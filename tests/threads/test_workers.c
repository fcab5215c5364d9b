/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * An app with two workers under load, for the thread sanitizer above all: requests, WebSockets in a room that spans the
 * workers, a worker that is held, hooks that fail or are cut short, and stops in the middle of it. The clients are plain
 * threads with blocking sockets.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <weft.h>

#include <weft/test.h>

enum { WORKERS = 2, CLIENTS = 4, VISITS = 60, ASKS = 5, SITTERS = 6, MESSAGES = 40, SECONDS_AT_MOST = 20 };

#ifdef WEFT_TSAN
/* libuv closes descriptors by syscall(), which the sanitizer does not see: it takes the next use of a number for a race. */
const char *__tsan_default_suppressions(void);

const char *__tsan_default_suppressions(void)
{
    return "race:^eventfd$\nrace:^epoll_create1$\nrace:^pipe2$\nrace:^__interceptor_eventfd$\n"
           "race:^__interceptor_epoll_create1$\n";
}
#endif

/* ---- the app ---- */

struct state {
    atomic_int visits, visits_of_workers; /* the latter added up when they stop */
    atomic_int started;
    atomic_bool is_held, is_released;
    int fails; /* which worker's start */
    bool sleeps_in_start;
    pthread_t thread;
    weft_app *app;
    int result;
};

static struct state *present; /* of the test that runs: hooks are given the app alone */

struct mine {
    int visits;
};

static int worker_start(weft_app *app, void **ret_state)
{
    struct state *state = present;
    struct mine *mine = calloc(1, sizeof *mine);
    int number = atomic_fetch_add(&state->started, 1), rc = mine ? 0 : -ENOMEM;
    (void)app;
    *ret_state = mine;
    if (rc == 0 && number > 0 && state->sleeps_in_start)
        rc = weft_sleep(WEFT_HOUR);
    if (rc == 0 && number == state->fails)
        rc = -EIO;
    if (rc < 0)
        free(mine);
    return rc;
}

static void worker_stop(weft_app *app, void *arg)
{
    struct mine *mine = arg;
    (void)app;
    atomic_fetch_add(&present->visits_of_workers, mine->visits);
    free(mine);
}

static int visit(weft_request *req)
{
    struct state *state = weft_app_state(req);
    ((struct mine *)weft_worker_state(req))->visits++;
    atomic_fetch_add(&state->visits, 1);
    return weft_reply_text(req, 200, "%d", weft_worker_number(req));
}

static void pause_for(weft_duration d)
{
    nanosleep(&(struct timespec){ .tv_nsec = d }, NULL);
}

/* Holds its worker's loop. */
static int hold(weft_request *req)
{
    struct state *state = weft_app_state(req);
    atomic_store(&state->is_held, true);
    for (int i = 0; !atomic_load(&state->is_released) && i < SECONDS_AT_MOST * 1000; i++)
        pause_for(WEFT_MILLISECOND);
    return visit(req);
}

static int sit(weft_request *req)
{
    weft_ws *ws;
    weft_member *me;
    weft_message msg;
    int rc;
    WEFT_TRY(weft_ws_accept(req, &ws));
    WEFT_TRY(weft_room_join(ws, "r", &me));
    while ((rc = weft_ws_receive(ws, &msg)) > 0)
        WEFT_TRY(weft_room_send(me, &msg));
    return rc;
}

static void *serve(void *arg)
{
    struct state *state = arg;
    state->result = weft_app_serve(state->app);
    return NULL;
}

static void begin(struct state *state)
{
    static const char *const listen[] = { "127.0.0.1:0" };
    present = state;
    state->app = weft_app_new();
    weft_app_set(state->app, state);
    weft_app_hooks(state->app, .worker_start = worker_start, .worker_stop = worker_stop);
    weft_get(state->app, "/", visit);
    weft_get(state->app, "/hold", hold);
    weft_get(state->app, "/sit", sit);
    weft_app_options options = {
        .struct_size = sizeof options,
        .listen = listen,
        .listen_count = 1,
        .workers = WORKERS,
        .log_level = WEFT_LOG_ERROR,
        .log_level_is_set = true,
        .stall_limit = WEFT_MINUTE,
        .drain = SECONDS_AT_MOST * WEFT_SECOND,
    };
    WEFT_CHECK(weft_app_configure(state->app, &options) == 0);
    WEFT_CHECK(pthread_create(&state->thread, NULL, serve, state) == 0);
}

/* Until all of its workers listen. */
static int port_of(struct state *state)
{
    int port = 0;
    while (atomic_load(&state->started) < WORKERS || (port = weft_app_port(state->app, 0)) == 0)
        pause_for(WEFT_MILLISECOND);
    return port;
}

static int end(struct state *state)
{
    weft_app_stop(state->app);
    pthread_join(state->thread, NULL);
    weft_app_free(state->app);
    return state->result;
}

static uint64_t counter(const weft_app *app, const char *name)
{
    weft_counter counters[100];
    size_t count = weft_app_counters(app, counters, 100);
    for (size_t i = 0; i < count && i < 100; i++)
        if (strcmp(counters[i].name, name) == 0)
            return counters[i].value;
    return 0;
}

/* ---- a client ---- */

/* -errno if it is refused. */
static int connect_to(int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct timeval limit = { .tv_sec = SECONDS_AT_MOST };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    WEFT_CHECK(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    int error = -errno;
    close(fd);
    return error;
}

static bool send_all(int fd, const void *data, size_t size)
{
    return send(fd, data, size, MSG_NOSIGNAL) == (ssize_t)size; /* of a blocking socket, and little */
}

/* Up to the blank line. */
static bool read_head(int fd, char *head, size_t room)
{
    for (size_t size = 0; size + 1 < room && recv(fd, head + size, 1, 0) == 1;) {
        head[++size] = '\0';
        if (size >= 4 && strcmp(head + size - 4, "\r\n\r\n") == 0)
            return true;
    }
    return false;
}

static bool read_exactly(int fd, void *data, size_t size)
{
    return recv(fd, data, size, MSG_WAITALL) == (ssize_t)size;
}

/* The number of the worker that answers; -1 if none does. */
static int ask(int fd, const char *path)
{
    char request[100], head[1000], digit;
    int size = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path);
    if (!send_all(fd, request, (size_t)size) || !read_head(fd, head, sizeof head))
        return -1;
    bool is_whole = strncmp(head, "HTTP/1.1 200 OK\r\n", 17) == 0 && strstr(head, "\r\nContent-Length: 1\r\n") &&
                    read_exactly(fd, &digit, 1);
    WEFT_CHECK(is_whole);
    return is_whole ? digit - '0' : -1;
}

struct client {
    int port, number;
    atomic_bool *is_over;
    int answers, refusals;
    unsigned failures;
    pthread_t thread;
};

static void run_clients(struct client *clients, size_t count, void *(*fn)(void *arg), int port, atomic_bool *is_over)
{
    for (size_t i = 0; i < count; i++) {
        clients[i] = (struct client){ .port = port, .number = (int)i, .is_over = is_over };
        WEFT_CHECK(pthread_create(&clients[i].thread, NULL, fn, &clients[i]) == 0);
    }
}

/* Returns the sum of the answers. */
static int join_clients(struct client *clients, size_t count)
{
    int answers = 0;
    for (size_t i = 0; i < count; i++) {
        pthread_join(clients[i].thread, NULL);
        WEFT_CHECK(clients[i].failures == 0);
        answers += clients[i].answers;
    }
    return answers;
}

static void *visit_often(void *arg)
{
    struct client *c = arg;
    for (int i = 0; i < VISITS; i++) {
        int fd = connect_to(c->port);
        WEFT_CHECK(fd >= 0);
        for (int j = 0; j < ASKS; j++)
            c->answers += ask(fd, "/") >= 0;
        close(fd);
    }
    c->failures = weft_test_failures(); /* they are counted by thread */
    return NULL;
}

static int test_requests(void)
{
    struct state state = { .fails = -1 };
    struct client clients[CLIENTS];
    uint64_t last = 0;
    begin(&state);
    run_clients(clients, CLIENTS, visit_often, port_of(&state), NULL);
    while (last < CLIENTS * VISITS * ASKS) { /* what is read while they serve only ever grows */
        uint64_t now = counter(state.app, "replies");
        WEFT_CHECK(now >= last);
        last = now;
        pause_for(WEFT_MILLISECOND);
    }
    WEFT_CHECK(join_clients(clients, CLIENTS) == CLIENTS * VISITS * ASKS);
    WEFT_CHECK(counter(state.app, "connections") == CLIENTS * VISITS);
    WEFT_CHECK(end(&state) == 0);
    WEFT_CHECK(state.visits == CLIENTS * VISITS * ASKS && state.visits_of_workers == state.visits);
    return 0;
}

/* ---- a room ---- */

static int open_socket(int port)
{
    static const char shake[] = "GET /sit HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    char head[1000];
    int fd = connect_to(port);
    WEFT_CHECK(fd >= 0 && send_all(fd, shake, sizeof shake - 1) && read_head(fd, head, sizeof head) &&
               strncmp(head, "HTTP/1.1 101 ", 13) == 0);
    return fd;
}

/* A frame of at most 125 bytes, with a mask of zeros. */
static void send_frame(int fd, int opcode, const void *payload, size_t size)
{
    unsigned char frame[6 + 125] = { (unsigned char)(0x80 | opcode), (unsigned char)(0x80 | size) };
    memcpy(frame + 6, payload, size);
    WEFT_CHECK(send_all(fd, frame, 6 + size));
}

/* Returns its opcode; -1 at the end. The payload is NUL-terminated. */
static int read_frame(int fd, char payload[126])
{
    unsigned char head[2];
    if (!read_exactly(fd, head, 2) || head[1] > 125 || (head[1] > 0 && !read_exactly(fd, payload, head[1])))
        return -1;
    payload[head[1]] = '\0';
    return head[0] & 15;
}

/* All messages, those of each sender in order; then 1001, which it echoes, and the end. */
static void *listen_to_all(void *arg)
{
    struct client *c = arg;
    int fd = c->port, last[SITTERS] = { 0 }; /* the socket, here */
    char payload[126];
    while (read_frame(fd, payload) == 1) {
        int from, number;
        WEFT_CHECK(sscanf(payload, "%d.%d", &from, &number) == 2 && from >= 0 && from < SITTERS && number == ++last[from]);
        c->answers++;
    }
    WEFT_CHECK((unsigned char)payload[0] == 1001 / 256 && (unsigned char)payload[1] == 1001 % 256);
    send_frame(fd, 8, payload, 2);
    WEFT_CHECK(read_frame(fd, payload) == -1);
    c->failures = weft_test_failures();
    return NULL;
}

static int test_a_room(void)
{
    struct state state = { .fails = -1 };
    struct client clients[SITTERS], visitors[1];
    int sockets[SITTERS];
    begin(&state);
    int port = port_of(&state);
    for (int i = 0; i < SITTERS; i++) {
        sockets[i] = open_socket(port);
        clients[i] = (struct client){ .port = sockets[i], .number = i };
    }
    while (counter(state.app, "replies") < SITTERS)
        pause_for(WEFT_MILLISECOND);
    pause_for(100 * WEFT_MILLISECOND); /* until they have joined */
    for (int i = 0; i < SITTERS; i++)
        WEFT_CHECK(pthread_create(&clients[i].thread, NULL, listen_to_all, &clients[i]) == 0);
    run_clients(visitors, 1, visit_often, port, NULL);
    for (int n = 1; n <= MESSAGES; n++)
        for (int i = 0; i < SITTERS; i++) {
            char text[32];
            send_frame(sockets[i], 1, text, (size_t)snprintf(text, sizeof text, "%d.%d", i, n));
        }
    WEFT_CHECK(join_clients(visitors, 1) == VISITS * ASKS);
    pause_for(300 * WEFT_MILLISECOND);
    WEFT_CHECK(end(&state) == 0);
    WEFT_CHECK(join_clients(clients, SITTERS) == SITTERS * SITTERS * MESSAGES);
    for (int i = 0; i < SITTERS; i++)
        close(sockets[i]);
    return 0;
}

/* ---- held, and stopped ---- */

/* Connects anew for each request until that is refused: whoever is let in is answered. */
static void *visit_until_refused(void *arg)
{
    struct client *c = arg;
    for (;;) {
        int fd = connect_to(c->port);
        if (fd < 0) {
            WEFT_CHECK(fd == -ECONNREFUSED);
            break;
        }
        WEFT_CHECK(ask(fd, "/") >= 0);
        c->answers++;
        close(fd);
    }
    c->failures = weft_test_failures();
    return NULL;
}

static void *hold_a_worker(void *arg)
{
    struct client *c = arg;
    int fd = connect_to(c->port);
    c->answers += fd >= 0 && ask(fd, "/hold") >= 0;
    close(fd);
    return NULL;
}

static void await_visits(struct state *state, int more)
{
    int enough = atomic_load(&state->visits) + more;
    for (int i = 0; atomic_load(&state->visits) < enough && i < SECONDS_AT_MOST * 1000; i++)
        pause_for(WEFT_MILLISECOND);
    WEFT_CHECK(atomic_load(&state->visits) >= enough);
}

/* One that is held keeps the clients that come to its door waiting: soon there are visits only where others accept for it. */
static void stop_under_load(bool is_held)
{
    struct state state = { .fails = -1 };
    struct client clients[CLIENTS], holder[1];
    begin(&state);
    int port = port_of(&state);
    if (is_held) {
        run_clients(holder, 1, hold_a_worker, port, NULL);
        while (!atomic_load(&state.is_held))
            pause_for(WEFT_MILLISECOND);
    }
    run_clients(clients, CLIENTS, visit_until_refused, port, NULL);
    await_visits(&state, 200);
    weft_app_stop(state.app);
    if (is_held) {
        pause_for(200 * WEFT_MILLISECOND);
        atomic_store(&state.is_released, true);
    }
    WEFT_CHECK(end(&state) == 0);
    int answers = join_clients(clients, CLIENTS);
    if (is_held)
        WEFT_CHECK(join_clients(holder, 1) == 1);
    WEFT_CHECK(state.visits == answers + is_held);
    WEFT_CHECK(state.visits_of_workers == state.visits);
}

static int test_a_stop_under_load(void)
{
    stop_under_load(false);
    return 0;
}

static int test_a_stop_while_one_is_held(void)
{
    stop_under_load(true);
    return 0;
}

/* ---- starts ---- */

static int test_a_start_that_fails(void)
{
    for (int i = 0; i < 5; i++) {
        struct state state = { .fails = 1 };
        begin(&state);
        pthread_join(state.thread, NULL);
        WEFT_CHECK(state.result == -EIO);
        weft_app_free(state.app);
    }
    return 0;
}

static int test_a_start_that_is_cut_short(void)
{
    for (int i = 0; i < 5; i++) {
        struct state state = { .fails = -1, .sleeps_in_start = true };
        begin(&state);
        while (atomic_load(&state.started) < WORKERS)
            pause_for(WEFT_MILLISECOND);
        pause_for(i * WEFT_MILLISECOND);
        WEFT_CHECK(end(&state) == 0);
    }
    return 0;
}

static const weft_test tests[] = {
    { .name = "requests", .plain = test_requests },
    { .name = "a room that spans the workers, and how it is stopped", .plain = test_a_room },
    { .name = "a stop under load", .plain = test_a_stop_under_load },
    { .name = "a stop while one is held", .plain = test_a_stop_while_one_is_held },
    { .name = "a start that fails", .plain = test_a_start_that_fails },
    { .name = "a start that is cut short", .plain = test_a_start_that_is_cut_short },
};

int main(int argc, char **argv)
{
    return weft_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
