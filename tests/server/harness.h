/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Clients in memory for tests of the server, which belongs to a task of its own in the test's loop, in virtual time.
 *
 *     weft_server *server = harness_open(app);
 *     client c;
 *     client_open(&c, server, 4096);
 *     client_send(&c, TEXT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
 *     settle();
 *     CHECK_GOT(&c, FRONT);
 *     client_close(&c, false);
 *     harness_close(server);                                   // checks that no connection is left
 */
#ifndef WEFT_TESTS_SERVER_HARNESS_H
#define WEFT_TESTS_SERVER_HARNESS_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft.h>

#include <weft/test.h>

#include "lib/net/tls.h"
#include "lib/net/transport_memory.h"
#include "lib/task/wait.h"
#include "server/connection.h"
#include "server/request.h"

#define MS           WEFT_MILLISECOND
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TEXT(text)   (text), sizeof(text) - 1 /* of a literal, which may hold NUL */
#define TEST(function)                                                                                                         \
    {                                                                                                                          \
        .name = #function, .body = function                                                                                    \
    }
#define PLAIN(function)                                                                                                        \
    {                                                                                                                          \
        .name = #function, .plain = function                                                                                   \
    }

/* Makes run_FUNCTION of a function(void *), which is run in real time: for PLAIN. */
#define REAL(function)                                                                                                         \
    static int run_##function(void)                                                                                            \
    {                                                                                                                          \
        return weft_test_run(function, NULL, NULL, .real_time = true);                                                         \
    }

/* What a reply looks like; the value of Date is masked in what has been got. */
#define DATE          "Date: xxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n"
#define CLOSE         "Connection: close\r\n"
#define KEEP_ALIVE    "Connection: keep-alive\r\n"
#define TYPE(type)    "Content-Type: " type "\r\n"
#define PLAIN_TEXT    TYPE("text/plain; charset=utf-8")
#define LENGTH(size)  "Content-Length: " #size "\r\n"
#define STATUS(words) "HTTP/1.1 " words "\r\n" DATE

#define FRONT          STATUS("200 OK") PLAIN_TEXT LENGTH(5) "\r\nfront"
#define FRONT_CLOSE    STATUS("200 OK") PLAIN_TEXT LENGTH(5) CLOSE "\r\nfront"
#define NOT_FOUND      STATUS("404 Not Found") PLAIN_TEXT LENGTH(14) "\r\n404 Not Found\n"
#define GET(path)      "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST(path, n)  "POST " path " HTTP/1.1\r\nHost: a\r\nContent-Length: " #n "\r\n\r\n"
#define ECHO(n, bytes) STATUS("200 OK") TYPE("application/octet-stream") LENGTH(n) "\r\n" bytes

/* An app with the routes that many tests use: GET / (text "front"), GET /hello/{name} ("Hello, NAME!"), POST /echo, POST
 * /ignore (answers "ignored" and reads no body), GET /sleep/{ms} ("slept"), GET /big/{n} (n bytes 'x'). Ends the program when
 * memory is out. */
weft_app *harness_app(void);

/* A server in a task of its own, so that cancelling its requests does not cancel the test; its log is kept. NULL when memory is
 * out. */
weft_server *harness_open(weft_app *app);

/* Closes it, whatever is under way. */
void harness_close_now(weft_server *server);

/* The same, and checks that every connection had been given back before. */
void harness_close(weft_server *server);

/* The log since harness_open, each record with its newline; NUL-terminated. */
extern char harness_log[64 * 1024];

/* A connection of the server over a pair of unix sockets, in real time. The kernel buffers `send_buffer` bytes of what is sent
 * to the client; 0: as many as usual. Returns the client's end, which does not block, and which the caller closes. */
int harness_connect(weft_server *server, int send_buffer);

typedef struct client {
    weft_transport t;
    weft_connection *connection; /* the server's end: only while the server has it */
    char *got;                   /* all that has come, dates masked by client_got; NUL-terminated */
    size_t got_size;
    bool has_ended;
    bool is_closed;
    bool is_connected; /* by TLS */
    bool sips;         /* stops to read after each event of input */
    int error;
} client;

/* 0 or -ENOMEM: then there is nothing to close. */
int client_open(client *c, weft_server *server, size_t capacity);

/* One that comes by TLS, from a balancer that says `header` in clear before it: the server awaits it. `each`: bytes that the
 * server gets at a time; 0 for all. 0, or -ENOMEM with nothing to close. */
int client_open_behind_proxy(client *c, weft_server *server, const char *header, size_t size, size_t each);

int client_send(client *c, const char *data, size_t size);
void client_shutdown(client *c);

/* Takes no more input, until client_read. */
void client_stop(client *c);
void client_read(client *c);

/* Forgets what it has got. */
void client_forget(client *c);

/* May wait, also when cancelled. Closes, waits for the end of it, and gives the memory back. */
void client_close(client *c, bool resets);

/* Lets everything happen that needs no time: a millisecond passes. */
void settle(void);

/* Has it got exactly these bytes? */
bool client_has(client *c, const char *expected, size_t size);

/* The same, and prints both if not. */
bool client_got(client *c, const char *expected, size_t size);
#define CHECK_GOT(c, expected) WEFT_CHECK(client_got((c), TEXT(expected)))

/* Is what it has got one reply, whole, with this status, and nothing behind it? Prints it if not. */
bool client_got_one(client *c, int status);

/* The knobs of the server's end. */
static inline weft_memory_knobs *server_knobs(client *c)
{
    weft_transport *t = &c->connection->transport;
    return weft_memory_knobs_of(weft_tls_is(t) ? weft_tls_inner(t) : t);
}

/* Is the program to tell its scripts in place of playing them: --tell? tests/pytest/test_dialogues.py plays them to clients. */
bool harness_tells(int argc, char **argv);

/* Prints bytes as hexadecimal digits. A script is a line "SAYS:HEARS" of what the client says and what it must hear. */
void harness_tell(const char *data, size_t size);

/* Do the clients come by TLS? With WEFT_TEST_TLS in the environment. */
bool harness_is_by_tls(void);

#endif
