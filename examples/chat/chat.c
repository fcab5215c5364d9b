/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * A chat: rooms, names, history on joining, presence, typing notices, and going on where one was after a break.
 *
 * A client sends "say ID TEXT", where the ID is its own, and "typing". It is sent JSON: what somebody said, with that ID and
 * with its position in the room; who is typing; the room's notices (weft/room.h); and "ready", once it has been given what it
 * had missed. A client sends again what has not come back to it, and shows what has come twice once: so nothing is lost when
 * the connection breaks, or the server is restarted.
 */
#include <weft.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Adds the page at /chat, and what it talks to at /chat/ws/{room}. */
void chat_add(weft_app *app);

/* page.html, style.css and app.js, by embed.py */
extern const char chat_page[], chat_style[], chat_app[];
extern const size_t chat_page_size, chat_style_size, chat_app_size;

enum {
    NAME_MOST = 64, /* bytes, as rooms take them */
    ID_MOST = 40,
    MESSAGE_MOST = 8 * 1024,
    JSON_MOST = 2 * (MESSAGE_MOST + NAME_MOST + ID_MOST) + 100,
};

static weft_rooms *rooms; /* made before serving, and the app's */

/* ---- JSON ---- */

struct json {
    size_t size;
    char text[JSON_MOST];
};

static void put(struct json *j, const char *text)
{
    size_t size = strlen(text);
    memcpy(j->text + j->size, text, size);
    j->size += size;
}

/* As the inside of a string; of the control characters only line ends and tabs stay. At most twice its size. */
static void put_string(struct json *j, const char *text, size_t size)
{
    char *at = j->text + j->size;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if ((unsigned char)c < 0x20 && c != '\n' && c != '\t')
            continue;
        if (c == '"' || c == '\\' || c == '\n' || c == '\t')
            *at++ = '\\';
        *at++ = c == '\n' ? 'n' : c == '\t' ? 't' : c;
    }
    j->size = (size_t)(at - j->text);
}

static weft_message message_of(const struct json *j)
{
    return (weft_message){ .data = j->text, .size = j->size, .is_text = true };
}

/* ---- what a client says ---- */

static int64_t milliseconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int say(weft_member *me, const char *id, size_t id_size, const char *text, size_t size)
{
    struct json j = { 0 };
    char time[40];
    snprintf(time, sizeof time, "\",\"time\":%lld,\"text\":\"", (long long)milliseconds_now());
    put(&j, "{\"type\":\"say\",\"id\":\"");
    put_string(&j, id, id_size);
    put(&j, "\",\"from\":\"");
    put_string(&j, weft_member_name(me), strlen(weft_member_name(me)));
    put(&j, time);
    put_string(&j, text, size);
    put(&j, "\"}");
    weft_message msg = message_of(&j);
    int rc;
    while ((rc = weft_room_send(me, &msg)) == -ENOBUFS) /* everybody is far behind: slow this one down */
        WEFT_TRY(weft_sleep(10 * WEFT_MILLISECOND));
    return rc;
}

static int tell_typing(weft_member *me)
{
    struct json j = { 0 };
    put(&j, "{\"type\":\"typing\",\"from\":\"");
    put_string(&j, weft_member_name(me), strlen(weft_member_name(me)));
    put(&j, "\"}");
    weft_message msg = message_of(&j);
    (void)weft_room_send(me, &msg, .except_me = true, .transient = true); /* a notice that is lost does no harm */
    return 0;
}

static int hear(weft_member *me, const weft_message *msg)
{
    const char *text = msg->data;
    if (msg->is_text && msg->size == 6 && memcmp(text, "typing", 6) == 0)
        return tell_typing(me);
    const char *id = text + 4, *end = msg->size > 4 ? memchr(id, ' ', msg->size - 4) : NULL;
    if (!msg->is_text || !end || memcmp(text, "say ", 4) != 0 || end - id > ID_MOST)
        return 0; /* a client of another version: nothing that we know */
    return say(me, id, (size_t)(end - id), end + 1, (size_t)(text + msg->size - (end + 1)));
}

static int chat(weft_request *req)
{
    const char *name = weft_query(req, "name");
    weft_ws *ws;
    weft_member *me;
    weft_message msg;
    int rc;
    if (!name || !*name || strlen(name) > NAME_MOST)
        return weft_fail(WEFT_EHTTP(400), "?name= of 1 to %d bytes is needed", NAME_MOST);
    WEFT_TRY(weft_ws_accept(req, &ws, .message_limit = MESSAGE_MOST));
    WEFT_TRY(weft_room_join(ws, weft_param(req, "room"), &me, .rooms = rooms, .name = weft_query(req, "name"),
                            .since = weft_query(req, "since")));
    WEFT_TRY(weft_ws_send_text(ws, "{\"type\":\"ready\"}"));
    while ((rc = weft_ws_receive(ws, &msg)) > 0)
        WEFT_TRY(hear(me, &msg));
    return rc;
}

/* ---- the page ---- */

static int page(weft_request *req)
{
    return weft_reply_bytes(req, 200, "text/html; charset=utf-8", chat_page, chat_page_size);
}

static int style(weft_request *req)
{
    return weft_reply_bytes(req, 200, "text/css; charset=utf-8", chat_style, chat_style_size);
}

static int icon(weft_request *req)
{
    static const char svg[] = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'>"
                              "<rect width='32' height='32' rx='9' fill='#5b5bd6'/><path d='M8 11h16M8 16h16M8 21h10' "
                              "stroke='#fff' stroke-width='2.6' stroke-linecap='round'/></svg>";
    return weft_reply_bytes(req, 200, "image/svg+xml", svg, sizeof svg - 1);
}

static int script(weft_request *req)
{
    return weft_reply_bytes(req, 200, "text/javascript; charset=utf-8", chat_app, chat_app_size);
}

void chat_add(weft_app *app)
{
    rooms = weft_rooms_new(app, .history = 200, .positions = true, .greets = true, .presence = true, .tells_dropped = true,
                           .slow = WEFT_SLOW_DISCONNECT);
    weft_get(app, "/chat", page);
    weft_get(app, "/chat/style.css", style);
    weft_get(app, "/chat/app.js", script);
    weft_get(app, "/chat/icon.svg", icon);
    weft_get(app, "/chat/ws/{room}", chat);
}
