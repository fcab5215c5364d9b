/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Rooms: what one member sends, all of them receive.
 *
 *     static int chat(weft_request *req)
 *     {
 *         weft_ws *ws;
 *         weft_member *me;
 *         weft_message msg;
 *         int rc;
 *         WEFT_TRY(weft_ws_accept(req, &ws));
 *         WEFT_TRY(weft_room_join(ws, weft_param(req, "room"), &me));   // left when the handler ends, however it ends
 *         while ((rc = weft_ws_receive(ws, &msg)) > 0)
 *             weft_room_send(me, &msg);
 *         return rc;
 *     }
 *
 * A seat in a room belongs to a WebSocket (weft/ws.h) or a stream of events (weft/sse.h), and is left when that ends, or by
 * weft_room_leave. A room is there while it has members, or a history; an empty one costs nothing. Rooms with the same
 * settings come in sets; an app has a set with the default ones, for programs that need no other.
 *
 * Every member receives each message once, all in the same order, also in rooms whose members are on several loops: each
 * message of a room has a number, and the room's epoch and a number are a position, "5f0c1a9e-17". A message is encoded once
 * for all members of a kind; sending never waits, for a member that does not keep up has a bounded queue and then a policy.
 *
 * With `.history`, a client that was cut off joins with `.since` (the position of the last message that it has seen) and is
 * sent what it has missed, or learns that there is a gap. A stream of events has positions as ids, so that a browser's
 * EventSource does that by itself; WebSockets get them by `.positions`.
 *
 * Notices are what a room says itself: JSON objects of one member, as text, or as an event with that name.
 *
 *     {"hello":{"you":17,"at":"5f0c1a9e-16","gap":false,"count":2,"present":["Ann","Bob"]}}     .greets
 *     {"presence":{"joined":["Cy"],"left":[],"count":3}}                                        .presence
 *     {"dropped":12}                                                                            .tells_dropped
 *
 * A seat is used on its loop's thread only; weft_room_publish may be called from any thread.
 */
#ifndef WEFT_ROOM_H
#define WEFT_ROOM_H

#include <weft/message.h>
#include <weft/time.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weft_app;
struct weft_request;
struct weft_ws;
typedef struct weft_rooms weft_rooms;
typedef struct weft_member weft_member;

/* ---- sets of rooms ---- */

/* What becomes of a member whose queue is full (1 MiB, or 1,000 messages). */
enum weft_slow {
    WEFT_SLOW_DISCONNECT,  /* it is ended, with a close code */
    WEFT_SLOW_DROP_OLDEST, /* it misses the oldest that wait */
    WEFT_SLOW_KEEP_LATEST  /* of those with the same key it gets only the latest, while it does not keep up; then as before */
};

typedef struct weft_rooms_options {
    size_t struct_size;
    enum weft_slow slow;
    int slow_code;       /* the close code: 1013, the default, or 1008 */
    int history;         /* the latest messages of each room that are kept, at most 500; 0 for none */
    size_t history_size; /* and their bytes (64 KiB; at most 512 KiB) */
    size_t
        history_budget; /* bytes of all rooms' histories (64 MiB): past it empty rooms go, and who sends forgets its oldest */
    int empty_most;     /* rooms without members that are kept for their history (1,000); the oldest goes first */
    int rooms_most;     /* rooms that have members (100,000) */
    bool positions;     /* a message that is a JSON object goes out with a first member more: "at", its position */
    bool greets;        /* the first message to each member is the notice "hello" */
    bool presence;      /* joins and leaves are told to all, by the members' names */
    bool tells_dropped; /* a member that has missed messages is told how many, when it reads on */
    weft_duration debounce; /* of presence: who is back within it has not left (500 ms) */
} weft_rooms_options;

/* Makes a set, which belongs to the app and ends with it; NULL for `app`: it is the caller's, and ends with weft_rooms_free.
 * NULL when memory is out, or an option is out of its range. */
WEFT_API weft_rooms *weft_rooms_new_(struct weft_app *app, const weft_rooms_options *options);
#define weft_rooms_new(app, ...)                                                                                               \
    weft_rooms_new_((app), &(weft_rooms_options){ .struct_size = sizeof(weft_rooms_options), __VA_ARGS__ })

/* Only of sets without an app, and when no room has members; loops of other threads that had some must have gone on a turn
 * since, or ended. NULL is fine. */
WEFT_API void weft_rooms_free(weft_rooms *rooms);

typedef struct weft_room_stats {
    uint64_t rooms, members;   /* now */
    uint64_t kept, kept_bytes; /* messages in histories, now */
    uint64_t sent, delivered;  /* messages; references to them appended to members' queues */
    uint64_t dropped;          /* messages that members have missed by the policy */
    uint64_t disconnected;     /* members that were */
} weft_room_stats;

/* From any thread. */
WEFT_API weft_room_stats weft_rooms_stats(weft_rooms *rooms);

/* ---- seats ---- */

typedef struct weft_join_options {
    size_t struct_size;
    weft_rooms *rooms; /* NULL: the app's */
    const char *name;  /* whom presence tells of, at most 64 bytes; several members may have the same (one person's windows);
                          copied; NULL: nobody */
    const char *since; /* a position: first what was sent after it; NULL or "": nothing; "0": all that is kept. One that is
                          none, or of another epoch, as that of a server before its restart, is a gap: all that is kept */
    void *data;        /* the caller's, for weft_member_data */
} weft_join_options;

/* Takes a seat in the room of this name (1 to 255 bytes) for a WebSocket or a request that streams events. 0 and *ret_member;
 * -EINVAL a name or an option; -ENOSPC there are too many rooms; -ENOMEM; -ENOBUFS: what waits for it leaves no room for what
 * it has missed; WEFT_ECLOSED it has ended. Never waits. */
WEFT_API int weft_room_join_ws(struct weft_ws *ws, const char *room, weft_member **ret_member,
                               const weft_join_options *options);
WEFT_API int weft_room_join_request(struct weft_request *req, const char *room, weft_member **ret_member,
                                    const weft_join_options *options);
#define weft_room_join(on, room, ...) weft_room_join_((on), (room), __VA_ARGS__, )
#define weft_room_join_(on, room, ret_member, ...)                                                                             \
    _Generic((on), struct weft_ws *                                                                                            \
             : weft_room_join_ws, struct weft_request *                                                                        \
             : weft_room_join_request)((on), (room), (ret_member),                                                             \
                                       &(weft_join_options){ .struct_size = sizeof(weft_join_options), __VA_ARGS__ })

/* What was heard; the texts belong to the request. */
typedef struct weft_heard {
    weft_message message;
    const char *position; /* for the next `.since` */
    bool has_gap;         /* `.since` could not be met: something may have been missed */
} weft_heard;

/* May wait: for the next message in the room (no notice), without a seat before or after: for long polling. With `.since`, in
 * rooms with a history, it is the first after that position, at once if there is one. Returns 1; the errors of joining;
 * WEFT_EGONE when the client has gone; the reason that cut it short. */
WEFT_API WEFT_WAITS int weft_room_wait_(struct weft_request *req, const char *room, weft_heard *ret_heard,
                                        const weft_join_options *options);
#define weft_room_wait(req, room, ...) weft_room_wait_with_((req), (room), __VA_ARGS__, )
#define weft_room_wait_with_(req, room, ret_heard, ...)                                                                        \
    weft_room_wait_((req), (room), (ret_heard), &(weft_join_options){ .struct_size = sizeof(weft_join_options), __VA_ARGS__ })

/* Leaves before the WebSocket or the stream ends, and gives the seat back: `me` is not to be used any more. What was sent
 * before may still arrive. NULL is fine. (A seat that is left because the WebSocket or the stream was closed stays until the
 * handler has ended: it can be asked, but not be sent from, WEFT_ECLOSED.) */
WEFT_API void weft_room_leave(weft_member *me);

WEFT_API uint64_t weft_member_id(const weft_member *me);      /* unlike any other's of the set; from 1 */
WEFT_API const char *weft_member_name(const weft_member *me); /* "" for nobody */
WEFT_API void *weft_member_data(const weft_member *me);
WEFT_API bool weft_member_has_gap(const weft_member *me);     /* `.since` could not be met */
WEFT_API uint64_t weft_member_dropped(const weft_member *me); /* messages that its WebSocket or stream has missed */
WEFT_API size_t weft_room_count(const weft_member *me);       /* members of the room, on all loops */

/* Calls fn(context, name, count) for each name that is present, with how many members have it, in the order in which they came,
 * until it returns false. With `.presence` only. fn must not call anything of rooms, nor wait. */
WEFT_API void weft_room_present(const weft_member *me, bool (*fn)(void *context, const char *name, int count), void *context);

/* ---- sending ---- */

/* Is this member to receive it? Called on each member's thread, perhaps later, with a copy of the context. Must not wait. */
typedef bool weft_room_predicate(const weft_member *member, const void *context);

typedef struct weft_send_options {
    size_t struct_size;
    bool except_me;             /* to all but the sender */
    uint64_t to;                /* to the member with this id alone */
    weft_room_predicate *where; /* to those for which it holds */
    const void *context;        /* its context: context_size bytes, copied */
    size_t context_size;
    uint64_t key;   /* what it replaces, for WEFT_SLOW_KEEP_LATEST; 0 for nothing */
    bool transient; /* not for the history: "Ann is typing"; with `to` or `where` none is */
} weft_send_options;

/* Sends a message (copied) to the members of the room; the sender is one of them. Never waits. 0; -ENOMEM; WEFT_ECLOSED: it has
 * left; -ENOBUFS: members' threads are so far behind (10,000 messages) that nothing was sent to anybody. */
WEFT_API int weft_room_send_(weft_member *me, const weft_message *msg, const weft_send_options *options);
#define weft_room_send(me, ...) weft_room_send_with_((me), __VA_ARGS__, )
#define weft_room_send_with_(me, msg, ...)                                                                                     \
    weft_room_send_((me), (msg), &(weft_send_options){ .struct_size = sizeof(weft_send_options), __VA_ARGS__ })

/* The same to a room of this name, from anywhere: any task, any thread. `except_me` has no meaning. Also -EINVAL. */
WEFT_API int weft_room_publish_(weft_rooms *rooms, const char *room, const weft_message *msg, const weft_send_options *options);
#define weft_room_publish(rooms, room, ...) weft_room_publish_with_((rooms), (room), __VA_ARGS__, )
#define weft_room_publish_with_(rooms, room, msg, ...)                                                                         \
    weft_room_publish_((rooms), (room), (msg), &(weft_send_options){ .struct_size = sizeof(weft_send_options), __VA_ARGS__ })

#ifdef __cplusplus
}
#endif
#endif
