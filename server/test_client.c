/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The in-process client of weft/test.h: a memory stream into the real connection code.
 *
 * The server runs in a task of its own in the loop's root group, and lives as long as anybody holds it: every exchange does,
 * until the task that made it ends (a deferred call, which also frees the reply).
 */
#include <weft/test.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/check.h"
#include "lib/base/memory.h"
#include "lib/http/chunked.h"
#include "lib/http/field.h"
#include "server/connection.h"

enum { MEMORY_CAPACITY = 64 * 1024, FIRST_ROOM = 1024 };

struct test_server {
    weft_app *app;
    weft_server *server;
    size_t holders;
    bool is_open, has_failed;
    weft_wait *idle;   /* its task's, until nobody holds it */
    weft_list openers; /* waits for it to be open */
};

/* One request and its reply. */
struct exchange {
    weft_transport transport; /* the client's end */
    struct test_server *host;
    weft_arena arena; /* of the reply's texts */
    char *input;      /* what came, NUL-terminated */
    size_t size, room;
    bool is_over, is_broken, has_failed, is_closed;
    bool is_spent; /* its task has ended: free it once it is closed */
    weft_wait *wait;
};

/* ---- the server's task ---- */

static void withdraw_idle(weft_wait *wait)
{
    ((struct test_server *)(uintptr_t)wait->on)->idle = NULL;
}

struct opener {
    weft_wait wait;
    weft_list link;
};

static void withdraw_opener(weft_wait *wait)
{
    weft_list_remove(&CONTAINER_OF(wait, struct opener, wait)->link);
}

static void tell_openers(struct test_server *host)
{
    weft_list *node;
    while ((node = host->openers.next) != &host->openers)
        weft_wait_settle(&CONTAINER_OF(node, struct opener, link)->wait, 0);
}

static int host_app(void *arg)
{
    struct test_server *host = arg;
    int rc = weft_server_open(&host->server, host->app);
    host->is_open = rc == 0;
    host->has_failed = rc < 0;
    tell_openers(host);
    while (host->holders > 0) {
        weft_wait wait = WEFT_WAIT("test client", host, withdraw_idle);
        wait.is_uncut = true;
        host->idle = &wait;
        weft_wait_park(&wait);
    }
    weft_here->test_client = NULL;
    if (rc == 0)
        weft_server_close(host->server);
    weft_mem_free(host);
    return 0;
}

static void release(struct test_server *host)
{
    if (--host->holders == 0 && host->idle)
        weft_wait_settle(host->idle, 0);
}

/* The server of this loop, held, and open or failed. NULL with *ret_error. */
static struct test_server *hold(weft_app *app, int *ret_error)
{
    weft_loop *loop = weft_here;
    struct test_server *host = loop->test_client;
    *ret_error = -ENOMEM;
    if (!host) {
        host = weft_mem_calloc(1, sizeof *host);
        if (!host)
            return NULL;
        host->app = app;
        weft_list_init(&host->openers);
        struct weft_task_spec spec = { .fn = host_app, .arg = host, .name = "test server", .file = __FILE__, .line = __LINE__ };
        if (weft_task_start(&loop->root, &spec, NULL) < 0) {
            weft_mem_free(host);
            return NULL;
        }
        loop->test_client = host;
    } else if (host->app != app) {
        *ret_error = -EBUSY;
        return NULL;
    }
    host->holders++;
    return host;
}

static int wait_open(struct test_server *host)
{
    if (!host->is_open && !host->has_failed) {
        struct opener opener = { .wait = WEFT_WAIT("test server", host, withdraw_opener) };
        weft_list_append(&host->openers, &opener.link);
        int rc = weft_wait_park(&opener.wait);
        if (rc < 0)
            return rc;
    }
    return host->has_failed ? -ENOMEM : 0;
}

/* ---- the client's end ---- */

static void free_exchange(struct exchange *x)
{
    if (!x->is_spent || !x->is_closed)
        return;
    struct test_server *host = x->host;
    weft_arena_free(&x->arena);
    weft_mem_free(x->input);
    weft_mem_free(x);
    release(host);
}

static void wake(struct exchange *x)
{
    if (x->wait)
        weft_wait_settle(x->wait, 0);
}

static bool store(struct exchange *x, const char *data, size_t size)
{
    size_t room = x->room ? x->room : FIRST_ROOM;
    while (room < x->size + size + 1)
        room *= 2;
    if (room > x->room) {
        char *input = weft_mem_realloc(x->input, room);
        if (!input)
            return false;
        x->input = input;
        x->room = room;
    }
    memcpy(x->input + x->size, data, size);
    x->size += size;
    x->input[x->size] = '\0';
    return true;
}

static void on_input(weft_transport *t, char *data, int64_t size)
{
    struct exchange *x = CONTAINER_OF(t, struct exchange, transport);
    if (size > 0 && store(x, data, (size_t)size))
        return;
    x->has_failed = size > 0;
    x->is_broken = size < 0;
    x->is_over = true;
    weft_transport_close(t, false);
    wake(x);
}

static void on_drained(weft_transport *t, int error)
{
    (void)t;
    (void)error; /* the end of input tells as much */
}

static void on_closed(weft_transport *t)
{
    struct exchange *x = CONTAINER_OF(t, struct exchange, transport);
    x->is_closed = true;
    free_exchange(x);
}

static const weft_transport_events client_events = { .input = on_input, .drained = on_drained, .closed = on_closed };

static void spend(void *arg)
{
    struct exchange *x = arg;
    x->is_spent = true;
    weft_transport_close(&x->transport, true);
    free_exchange(x);
}

/* A connection between the two ends. 0 or -errno. */
static int connect_ends(struct exchange *x)
{
    weft_connection *c = weft_connection_new(x->host->server);
    if (!c)
        return -ENOMEM;
    int rc = weft_transport_open_pair(&x->transport, &c->transport, weft_here, MEMORY_CAPACITY, &client_events,
                                      &weft_connection_events);
    if (rc < 0) {
        weft_connection_abandon(c);
        return rc;
    }
    x->is_closed = false;
    weft_connection_start(c);
    return weft_transport_read_start(&x->transport);
}

static int send_request(struct exchange *x, const weft_test_request_options *o)
{
    char length[64] = "";
    if (o->body)
        snprintf(length, sizeof length, "Content-Length: %zu\r\n", o->body_size);
    const char *parts[] = { o->method ? o->method : "GET",
                            " ",
                            o->target ? o->target : "/",
                            " HTTP/1.1\r\nHost: test\r\nConnection: close\r\n",
                            length,
                            o->fields ? o->fields : "",
                            "\r\n" };
    enum { PARTS = sizeof parts / sizeof parts[0] };
    struct iovec iov[PARTS + 1];
    for (int i = 0; i < PARTS; i++)
        iov[i] = (struct iovec){ (void *)(uintptr_t)parts[i], strlen(parts[i]) };
    iov[PARTS] = (struct iovec){ (void *)(uintptr_t)o->body, o->body ? o->body_size : 0 };
    return weft_transport_send(&x->transport, iov, PARTS + 1);
}

static void withdraw_exchange(weft_wait *wait)
{
    ((struct exchange *)(uintptr_t)wait->on)->wait = NULL;
}

static int wait_reply(struct exchange *x)
{
    while (!x->is_over) {
        weft_wait wait = WEFT_WAIT("test reply", x, withdraw_exchange);
        x->wait = &wait;
        int rc = weft_wait_park(&wait);
        if (rc < 0)
            return rc;
    }
    return x->has_failed ? -ENOMEM : 0;
}

/* ---- reading the reply ---- */

const char *weft_test_field(const weft_test_reply *reply, const char *name, size_t *ret_size)
{
    size_t name_size = strlen(name);
    for (const char *line = strstr(reply->head, "\r\n"); line && line[2] && line[2] != '\r'; line = strstr(line + 2, "\r\n")) {
        const char *end = strstr(line + 2, "\r\n"), *colon = strchr(line + 2, ':');
        if (!end || !colon || colon > end || (size_t)(colon - line - 2) != name_size ||
            !weft_http_same_text(line + 2, name, name_size))
            continue;
        const char *value = colon + 1 + strspn(colon + 1, " ");
        if (ret_size)
            *ret_size = (size_t)(end - value);
        return value;
    }
    return NULL;
}

/* Takes the chunks out of the body, in place. False if it ends in the middle. */
static bool join_chunks(struct exchange *x, char *body, size_t size, size_t *ret_size)
{
    static const weft_chunked_limits limits = WEFT_CHUNKED_LIMITS_DEFAULT;
    weft_chunked *chunked = weft_chunked_new(&x->arena, &limits);
    size_t joined = 0;
    int rc = WEFT_CHUNKED_MORE;
    while (chunked && size > 0) {
        size_t consumed;
        weft_bytes payload = { NULL, 0 };
        rc = weft_chunked_next(chunked, body + joined, size, &consumed, &payload);
        if (rc != WEFT_CHUNKED_PAYLOAD)
            break;
        memmove(body + joined, payload.data, payload.size);
        memmove(body + joined + payload.size, body + joined + consumed, size - consumed);
        joined += payload.size;
        size -= consumed;
    }
    *ret_size = joined;
    return rc == WEFT_CHUNKED_END;
}

/* The status of a reply's first line; 0 if it is none. */
static int status_of(const char *line)
{
    static const char version[] = "HTTP/1.1 ";
    return line && strncmp(line, version, sizeof version - 1) == 0 ? (int)strtol(line + sizeof version - 1, NULL, 10) : 0;
}

static void read_reply(struct exchange *x, weft_test_reply *reply, bool is_head)
{
    char *blank = x->input ? strstr(x->input, "\r\n\r\n") : NULL;
    int status;
    while ((status = status_of(x->input)) == 100 && blank) { /* 100 Continue */
        x->size -= (size_t)(blank + 4 - x->input);
        memmove(x->input, blank + 4, x->size + 1);
        blank = strstr(x->input, "\r\n\r\n");
    }
    reply->is_cut = x->is_broken;
    if (!blank || status < 100) {
        reply->status = WEFT_EPROTOCOL;
        reply->is_cut = true;
        return;
    }
    char *body = blank + 4;
    size_t head_size = (size_t)(body - x->input), size = x->size - head_size, value_size;
    char *head = weft_arena_copy(&x->arena, x->input, head_size);
    if (!head) {
        reply->status = -ENOMEM;
        return;
    }
    reply->status = status;
    reply->head = head;
    const char *length = weft_test_field(reply, "Content-Length", &value_size);
    if (weft_test_field(reply, "Transfer-Encoding", NULL) && !is_head)
        reply->is_cut = !join_chunks(x, body, size, &size) || reply->is_cut;
    else if (length && !is_head)
        reply->is_cut = reply->is_cut || strtoull(length, NULL, 10) != size;
    body[size] = '\0';
    reply->body = body;
    reply->body_size = size;
}

/* ---- public ---- */

static struct exchange *begin(weft_app *app, int *ret_error)
{
    struct exchange *x = weft_mem_calloc(1, sizeof *x);
    *ret_error = -ENOMEM;
    if (!x)
        return NULL;
    x->is_closed = true;
    weft_arena_init(&x->arena, &weft_here->arenas);
    x->host = hold(app, ret_error);
    if (!x->host) {
        weft_mem_free(x);
        return NULL;
    }
    *ret_error = weft_defer(spend, x);
    if (*ret_error == 0)
        return x;
    spend(x);
    return NULL;
}

weft_test_reply weft_test_request_(struct weft_app *app, const weft_test_request_options *given)
{
    weft_test_request_options o = { 0 };
    memcpy(&o, given, given->struct_size < sizeof o ? given->struct_size : sizeof o);
    weft_test_reply reply = { .head = "", .body = "" };
    reply.status = weft_wait_check("test request");
    if (reply.status < 0)
        return reply;
    struct exchange *x = begin(app, &reply.status);
    if (!x)
        return reply;
    int rc = wait_open(x->host);
    if (rc == 0)
        rc = connect_ends(x);
    if (rc == 0)
        rc = send_request(x, &o);
    if (rc == 0)
        rc = wait_reply(x);
    reply.status = rc;
    if (rc == 0)
        read_reply(x, &reply, o.method && strcmp(o.method, "HEAD") == 0);
    return reply;
}
