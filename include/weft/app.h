/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The application: routes, state, and running it.
 *
 *     int main(int argc, char **argv)
 *     {
 *         weft_app *app = weft_app_new();
 *         weft_get(app, "/", hello);
 *         weft_get(app, "/{name}", hello);
 *         return weft_app_main(app, argc, argv);
 *     }
 *
 * An app is set up on one thread before it serves, and is read-only while it does.
 *
 * A pattern is a path, each segment of which is
 *
 *     users       a literal: itself
 *     {id:int}    a whole number that fits 64 bits: an optional '-' and 1 to 19 digits; weft_param_int gives it
 *     {name}      one segment that is not empty
 *     {path...}   at the end only: all that is left, "css/site.css", or nothing ("/files/{path...}" matches "/files/", but not
 *                 "/files"). Safe to append to the name of a folder: it does not begin with '/', and no segment in it is
 *                 empty, "." or ".."; a path with "//" or %2F there is not matched
 *
 * in that order of precedence, segment by segment; where the better one leads nowhere further down, the next is tried. Escapes
 * are decoded in each segment (%2F never splits), "." and ".." are resolved before, a slash at the end is significant. GET
 * answers HEAD too, unless HEAD has a route of its own, and OPTIONS and 405 are answered without one.
 *
 * Routes come in groups, of which the app is the outermost: a prefix of their patterns, and defaults of their options.
 *
 *     static void add_users(weft_routes *users)
 *     {
 *         weft_get(users, "", list);                              // /api/v1/users
 *         weft_get(users, "/{id:int}", show, .name = "user");     // /api/v1/users/{id:int}; weft_url builds it by its name
 *     }
 *     …
 *     weft_routes *api = weft_under(app, "/api/v1", .timeout = 5 * WEFT_SECOND);
 *     add_users(weft_under(api, "/users"));
 *
 * Mistakes in routes (a malformed pattern, two that match the same, two with one name) are kept, and weft_app_main reports each
 * in a line and exits with status 2. The flag --routes shows what there is.
 */
#ifndef WEFT_APP_H
#define WEFT_APP_H

#include <weft/log.h>
#include <weft/request.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A handler is a task: it may wait anywhere. It makes one reply and returns 0, or returns an error: WEFT_EHTTP(404) answers
 * 404; WEFT_EDEADLINE, and WEFT_ECANCELED when the app is stopping, 503; anything else is logged with its trail and answers
 * 500. No reply and no error is a 500. */
typedef int weft_handler(weft_request *req);

/* Options of a route; of a group, the defaults of its routes and groups. */
typedef struct weft_route_options {
    size_t struct_size;
    weft_duration timeout; /* from the request's head to the end of the handler; 0 is the app's (300 s); WEFT_NO_LIMIT */
    int64_t body_limit;    /* bytes; 0 is the app's (1 MiB); WEFT_NO_LIMIT; a larger body is answered 413 */
    size_t stack_size;     /* of the handler's task: 16 KiB to 8 MiB; 0 is 64 KiB */
    const char *name; /* for weft_url, logs and reports (NULL: they say the pattern). Copied. No two patterns may have the same;
                         a group's goes before those of its routes: "api" and "user" make "api.user" */
    bool finish_when_client_leaves; /* let the handler run on when the client has gone; else it is cancelled. If the group
                                       says so, all its routes do */
    const char *file;               /* where the route is added, for reports; set by the macros below */
    int line;
} weft_route_options;

/* An empty app. NULL when memory is out. */
WEFT_API weft_app *weft_app_new(void);

/* Gives it back. Only when it does not serve (weft_app_main does this itself); an app under test (weft/test.h) may be given
 * back at any time. NULL is fine. */
WEFT_API void weft_app_free(weft_app *app);

/* ---- routes ---- */

typedef struct weft_routes weft_routes;

/* Has `method` and `pattern` (both copied) answered by h. The method "*" is each that the pattern has no other route for, also
 * HEAD and OPTIONS. Returns 0, or, kept for weft_app_main too: -EINVAL a malformed method or pattern, or an option out of its
 * range, -EEXIST a pattern that matches the same or another that has the name, -ENOMEM. */
WEFT_API int weft_route_with(weft_app *app, const char *method, const char *pattern, weft_handler *h,
                             const weft_route_options *options);

/* The same in a group, behind whose prefix the pattern goes: "/x", "/" and "" make "/api/x", "/api/" and "/api". */
WEFT_API int weft_routes_route_with(weft_routes *routes, const char *method, const char *pattern, weft_handler *h,
                                    const weft_route_options *options);

/* A group of routes below a prefix (copied), which begins with '/' and does not end with one; parameters are fine, a tail is
 * not; "" has only the defaults. Groups nest; they belong to the app. Never NULL: what is wrong is kept for weft_app_main, and
 * the routes of that group are passed over. */
WEFT_API weft_routes *weft_under_with(weft_app *app, const char *prefix, const weft_route_options *defaults);
WEFT_API weft_routes *weft_routes_under_with(weft_routes *routes, const char *prefix, const weft_route_options *defaults);

/* In these, `where` is a weft_app or a weft_routes, and options may follow: `.timeout = 5 * WEFT_SECOND`. */
#define weft_under(where, ...) weft_under_((where), __VA_ARGS__, )
#define weft_under_(where, prefix, ...)                                                                                        \
    _Generic((where), weft_app *                                                                                               \
             : weft_under_with, weft_routes *                                                                                  \
             : weft_routes_under_with)((where), (prefix),                                                                      \
                                       &(weft_route_options){ .struct_size = sizeof(weft_route_options), __VA_ARGS__ })
#define weft_route(where, method, pattern, ...) weft_route_((where), (method), (pattern), __VA_ARGS__, )
#define weft_route_(where, method, pattern, h, ...)                                                                            \
    _Generic((where), weft_app *                                                                                               \
             : weft_route_with, weft_routes *                                                                                  \
             : weft_routes_route_with)(                                                                                        \
        (where), (method), (pattern), (h),                                                                                     \
        &(weft_route_options){ .struct_size = sizeof(weft_route_options), .file = __FILE__, .line = __LINE__, __VA_ARGS__ })
#define weft_get(where, pattern, ...)    weft_route_((where), "GET", (pattern), __VA_ARGS__, )
#define weft_post(where, pattern, ...)   weft_route_((where), "POST", (pattern), __VA_ARGS__, )
#define weft_put(where, pattern, ...)    weft_route_((where), "PUT", (pattern), __VA_ARGS__, )
#define weft_patch(where, pattern, ...)  weft_route_((where), "PATCH", (pattern), __VA_ARGS__, )
#define weft_delete(where, pattern, ...) weft_route_((where), "DELETE", (pattern), __VA_ARGS__, )
#define weft_any(where, pattern, ...)    weft_route_((where), "*", (pattern), __VA_ARGS__, )

/* ---- state and settings ---- */

/* The state that handlers reach through weft_app_state(req). Borrowed; set before serving. */
WEFT_API void weft_app_set(weft_app *app, void *state);
WEFT_API void *weft_app_state(const weft_request *req);

/* One record a request: the formats that tools know, with the duration in microseconds and how it ended ("-", "gone", "cut")
 * behind them; or an object on a line. docs/http.md has all of it. */
enum weft_access_log_format { WEFT_ACCESS_LOG_COMMON, WEFT_ACCESS_LOG_COMBINED, WEFT_ACCESS_LOG_JSON };

/* Settings of an app; weft_app_main reads them from flags and WEFT_… environment variables. 0 or NULL is the default. */
typedef struct weft_app_options {
    size_t struct_size;
    const char *const *listen; /* "127.0.0.1:8080", "[::]:80", ":8080" (all addresses), "unix:/path"; copied; def. ":8080" */
    size_t listen_count;
    enum weft_log_level log_level; /* WEFT_LOG_ERROR is 0: set log_level_is_set too */
    bool log_level_is_set;
    int workers;                      /* threads, each with a loop (1; at most 256; WEFT_WORKERS_AUTO of weft/worker.h) */
    bool debug;                       /* debug mode (weft/debug.h), and more words in the log */
    int max_connections;              /* default: 0.9 of the limit on open files, less 64 */
    weft_duration announce;           /* stopping: how long weft_stopping() is true before the door is closed (0) */
    weft_duration drain;              /* stopping: how long requests in flight may take (15 s) */
    weft_duration fresh_connection;   /* stopping: for the one request of a connection that was just accepted (5 s) */
    weft_duration websocket_drain;    /* stopping: for WebSockets to answer our close, within drain (10 s) */
    weft_duration cancel;             /* stopping: after that, for tasks to end once cancelled (5 s) */
    weft_duration cleanup;            /* stopping: how long shields hold then (3 s) */
    weft_duration request_timeout;    /* the routes' default (300 s) */
    weft_duration head_timeout;       /* a whole request head, from its first byte (10 s) */
    weft_duration keep_alive_timeout; /* an idle connection (75 s, or a thousandth sooner) */
    weft_duration body_timeout;       /* a body of which nothing comes (30 s) */
    weft_duration write_timeout;      /* a write of which nothing goes (30 s) */
    weft_duration linger_timeout;     /* after a last reply, for the client to end the connection (2 s) */
    int64_t body_limit;               /* the routes' default, bytes (1 MiB) */
    int body_rate;        /* bytes a second that a body must come at, on average, once 30 s were spent waiting for it (500) */
    size_t buffer_budget; /* what bodies, unread input and unsent output of all connections of a loop may hold together, bytes
                           * (256 MiB); past it 503, or reading and writing pause */
    size_t request_line_limit, field_limit, head_limit; /* bytes (8 KiB, 8 KiB, 16 KiB) */
    int field_count_limit;                              /* (100) */
    size_t chunk_line_limit;                            /* a chunk's size with its extensions, bytes (256) */
    size_t chunk_extension_limit;                       /* the extensions of a whole body, bytes (4 KiB) */
    size_t trailer_limit;                               /* all trailers, bytes (16 KiB) */
    int trailer_count_limit;                            /* (32) */
    int discard_limit;       /* bytes that are passed over of a body nobody reads, or after a last reply (256 KiB) */
    int keep_alive_requests; /* requests on a connection: up to a tenth less, by chance, so that not all end at once (no limit)
                              */
    size_t output_high;      /* unsent bytes of a connection, past which who writes waits until a quarter is left (64 KiB) */
    size_t read_ahead;       /* unread bytes of a connection, past which reading pauses (16 KiB) */
    int64_t websocket_message_limit;    /* bytes of a message, decompressed: this and what follows are the defaults of weft/ws.h
                                           (1 MiB) */
    int websocket_fragment_limit;       /* frames of a message (1,024) */
    int websocket_inflate_ratio;        /* past its first 64 KiB a message may inflate to so many times its size (25) */
    int websocket_control_rate;         /* pings and pongs of a client in a second (1,000) */
    weft_duration websocket_ping_every; /* when nothing was heard for so long (30 s) */
    weft_duration websocket_dead_after; /* when nothing was heard for so long the client is dropped (60 s) */
    weft_duration websocket_close_timeout; /* for the client to answer our close (5 s) */
    size_t websocket_queue_size;           /* what rooms may queue for a socket: bytes (1 MiB), */
    int websocket_queue_count;             /* and messages (1,000) */
    /* Networks, separated by commas ("10.0.0.0/8,::1,unix"), of balancers that begin each connection with a PROXY header (1 or
     * 2). Then connections from elsewhere, and those without a header, are reset. Copied. Default: no headers. */
    const char *proxy_protocol;
    weft_duration proxy_timeout; /* for the whole header (5 s) */
    size_t proxy_header_limit;   /* of version 2, bytes, with its TLVs (4 KiB) */
    const char *access_log; /* a file, appended to and opened anew at SIGHUP; "-" is standard output; copied; default: none */
    enum weft_access_log_format access_log_format;
    size_t access_log_buffer; /* what may wait to be written, bytes (1 MiB); past it records are dropped, and counted */
    enum weft_log_format log_format;
    weft_duration stall_limit; /* who holds the loop for longer is named (1 s; in debug mode 100 ms); WEFT_NO_LIMIT */
} weft_app_options;

/* Takes the settings that are not 0 over into the app. 0, -EINVAL (with a logged line saying which), -ENOMEM. */
WEFT_API int weft_app_configure(weft_app *app, const weft_app_options *options);

/* Serves until stopped, on the calling thread, which must have no loop. SIGTERM and SIGINT stop it (they, and SIGQUIT, are
 * blocked in this thread and all it makes from then on, and read by a thread of their own; so is SIGHUP, with an access log in
 * a file); a second one cancels what is left, a third exits at once. Returns 0 after a stop in which nothing was cut, 75 if
 * something was, or < 0 when it could not start (-EADDRINUSE …), after a logged line. */
WEFT_API int weft_app_serve(weft_app *app);

/* Begins to stop a serving app, as SIGTERM would, or cancels its start. From any thread, once its first hook has begun;
 * idempotent. */
WEFT_API void weft_app_stop(weft_app *app);

/* Is the app stopping? Long handlers ask, and wind up. */
WEFT_API bool weft_stopping(const weft_request *req);

/* Reads flags and environment, serves, and frees the app (NULL: says that memory is out). Returns the exit status: 0, 1 could
 * not start, 2 a bad flag or route, 75 something was cut when stopping. `--help` lists the flags, `--routes` the routes. The
 * program is expected to exit then: SIGTERM and SIGINT stay blocked, so that one which comes late changes nothing. */
WEFT_API int weft_app_main(weft_app *app, int argc, char **argv);

/* What an app has counted since it was made, over all its servers; the names are those of docs/http.md. */
typedef struct weft_counter {
    const char *name;  /* "requests", "limit_head_timeout", "closed_reset"; static */
    const char *words; /* what it is; static */
    uint64_t value;
    bool is_level; /* what is there now; else it only ever grows */
} weft_counter;

/* Writes the first `room` counters, in the same order each time, and returns how many there are. From any thread, at any time.
 */
WEFT_API size_t weft_app_counters(const weft_app *app, weft_counter *ret_counters, size_t room);

/* The port of the n-th listener while it serves (for `:0`), or 0 for a unix socket or n past the last. */
WEFT_API int weft_app_port(const weft_app *app, size_t n);

#ifdef __cplusplus
}
#endif
#endif
