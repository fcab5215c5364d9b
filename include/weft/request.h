/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * A request and its reply, as a handler sees them.
 *
 * Everything a request hands out (parameters, header fields, memory of weft_alloc) lives in the request's arena until the
 * handler and its deferred calls have ended; nothing of it is freed by the handler. A request is a group: tasks started in it
 * by weft_spawn are cancelled and joined at its end. Only the handler's task, and tasks it waits for, may use it.
 */
#ifndef WEFT_REQUEST_H
#define WEFT_REQUEST_H

#include <weft/task.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_app weft_app;
typedef struct weft_request weft_request;

/* ---- what was asked ---- */

/* "GET" and so on; the path of the target, decoded, without the query; the query as it came, without '?', or NULL. */
WEFT_API const char *weft_method(const weft_request *req);
WEFT_API const char *weft_path(const weft_request *req);
WEFT_API const char *weft_query_string(const weft_request *req);

/* The part of the path that {name} matched, percent-decoded. Never NULL: asking for a name that the route's pattern does not
 * have ends the program with a message. weft_param_or returns `otherwise` then. */
WEFT_API const char *weft_param(const weft_request *req, const char *name);
WEFT_API const char *weft_param_or(const weft_request *req, const char *name, const char *otherwise);

/* The number that {name:int} matched. It never fails; for a parameter of another kind, or none, it ends the program. */
WEFT_API int64_t weft_param_int(const weft_request *req, const char *name);

/* The path of the route called `route` (its .name) with these parameters, pairs of name and text:
 *
 *     weft_url(req, "user", "id", "42")    ->  "/users/42"
 *
 * Values are encoded (a tail's slashes stay); pairs that the pattern has no parameter for become a query, "?page=2". In the
 * request's arena. NULL, with a logged error that says why, for an unknown name, a parameter without a value or one that could
 * not have matched it (no number for an {x:int}; empty; dots), more than 32 pairs, or when memory is out. */
#define weft_url(req, ...) weft_url_with((req), __VA_ARGS__, (const char *)0)
WEFT_API char *weft_url_with(weft_request *req, const char *route, ...) WEFT_SENTINEL;

/* The first value of a field of the query ("?a=1&b"; decoded, '+' is a space), "" for one without '='. NULL if absent. */
WEFT_API const char *weft_query(weft_request *req, const char *name);

/* The value of a header field, without white space around it; the name in any case. The first, where there are several.
 * NULL if absent. */
WEFT_API const char *weft_header(const weft_request *req, const char *name);

/* May wait. The whole body, collected, NUL-terminated, in the arena; the same again when called again. Returns 0, or an error
 * to hand up, which answers 413 (larger than the route's body_limit), 408 (it stopped coming), 400 (a malformed chunk) or 503
 * (past the app's buffer_budget); the same one when called again; WEFT_EGONE; -EINVAL after
 * weft_body_read; -EBUSY while another task waits for the body; -ENOMEM; the reason that cut it short. */
WEFT_API WEFT_WAITS int weft_body(weft_request *req, weft_bytes *ret_body);

/* May wait. The next bytes of the body, at least one, at most `size`, as they come: for bodies that are larger than memory
 * should hold. The client is slowed down to the pace of the reading: 16 KiB are read ahead. The route's body_limit holds here
 * too. Returns the count, 0 at the end, or < 0: an error to hand up, which answers 413, 408 or (a malformed chunk) 400;
 * the same one when called again; WEFT_EGONE; -EINVAL after weft_body, or for size 0; -EBUSY while another
 * task waits for the body; -ENOMEM; the reason that cut it short. */
WEFT_API WEFT_WAITS int64_t weft_body_read(weft_request *req, void *buf, size_t size);

/* Has the client gone (a reset, or an end of input after the reply's head)? */
WEFT_API bool weft_request_gone(const weft_request *req);

/* The client's address without its port, "192.0.2.1" or "2001:db8::1"; "unix" over a unix socket, "memory" in a test. Behind a
 * balancer that speaks the PROXY protocol (proxy_protocol in weft_app_options) what that one told. */
WEFT_API const char *weft_client_address(const weft_request *req);

/* ---- memory ---- */

/* Memory for as long as the request lives: aligned to 16, not cleared. NULL when memory is out. */
WEFT_API void *weft_alloc(weft_request *req, size_t size);
WEFT_API char *weft_format(weft_request *req, const char *format, ...) WEFT_PRINTF(2, 3);

/* ---- the reply: one per request; made whole, sent when the handler waits or ends ----
 * Each returns 0; -EALREADY when a reply was made before (that one stands); -EINVAL for a status outside 200 to 599, or a
 * body with a status that has none (204, 304); -ENOMEM; an error that answers 503 for a body of more than 16 KiB that does not
 * fit into the loop's buffer_budget any more. They never wait and are never cut short, also in a cancelled request.
 * Where several clients have asked at once, a reply leaves when all of them have been served, but 32 of them at most; and once
 * a fraction of a millisecond has passed, behind the handler that runs then.
 */

/* text/plain; charset=utf-8, formatted. A format of just "%s" is as cheap as the bytes. */
WEFT_API int weft_reply_text(weft_request *req, int status, const char *format, ...) WEFT_PRINTF(3, 4);

/* Any bytes (copied) of the given type; `type` NULL sends no Content-Type; -EINVAL for one with control bytes or of more than
 * 1 KiB. */
WEFT_API int weft_reply_bytes(weft_request *req, int status, const char *type, const void *data, size_t size);

/* application/json, in the format of jansson's json_pack: "{s:s, s:i}", "name", name, "count", 3. -EINVAL for a format or
 * values that make no JSON (text that is not UTF-8), logged with jansson's words. */
WEFT_API int weft_reply_json(weft_request *req, int status, const char *pack_format, ...);

/* No body. */
WEFT_API int weft_reply_empty(weft_request *req, int status);

/* A redirect (301, 302, 303, 307, 308) to `location`: a path or an absolute URL; -EINVAL for control bytes, another status, or
 * NULL (what weft_url has logged already). */
WEFT_API int weft_reply_redirect(weft_request *req, int status, const char *location);

/* Begins a reply whose body follows in pieces by weft_write. `length` is what all pieces together will have, in bytes, or -1 if
 * that is not known: then it is chunked (on HTTP/1.0 the close of the connection ends it). The route's timeout ends here.
 * A body for which the client awaits its 100 is to be read before: none is sent after this, and the connection closes then.
 * -EINVAL also for a `type` with control bytes or of more than 1 KiB, and for a length below -1. */
WEFT_API int weft_reply_stream(weft_request *req, int status, const char *type, int64_t length);

/* May wait. Writes a piece; when more than 64 KiB are unsent, waits until 16 KiB are left. The first, without weft_reply_stream
 * before it, begins a reply with status 200 and the type application/octet-stream. Pieces are sent when the handler waits or
 * ends: to send one at once, weft_yield(). What is longer than 256 KiB is written in several, with a wait between them: when
 * that is cut short, the stream has failed. The stream ends well when the handler returns 0 or more, having written what it
 * promised; else the connection is cut, so that the client can tell. Returns 0, or < 0: WEFT_EGONE; -EMSGSIZE more than was
 * promised; -EALREADY after a whole reply, or after the end of the stream, as in a deferred call; -EBUSY while another task
 * waits in a write; the reason that cut it short. */
WEFT_API WEFT_WAITS int weft_write(weft_request *req, const void *data, size_t size);

/* Adds a trailer field, sent behind the last chunk of a chunked stream. 0; -EINVAL for another reply, after the end of the
 * stream, or as weft_set_header; -ENOMEM. */
WEFT_API int weft_set_trailer(weft_request *req, const char *name, const char *value);

/* Adds a header field to the reply, before it is made; both are copied. 0; -EALREADY after the reply; -EINVAL for a name that
 * is no token, a value with control bytes other than a tab, a field that is the server's own (Content-Length, Connection,
 * Transfer-Encoding, Date), one of more than 16 KiB, or more than 32 KiB of fields in all; -ENOMEM. */
WEFT_API int weft_set_header(weft_request *req, const char *name, const char *value);

#ifdef __cplusplus
}
#endif
#endif
