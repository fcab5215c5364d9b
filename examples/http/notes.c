/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Notes over HTTP: routes, parameters, the query, bodies, replies and errors. */
#include <weft.h>

#include <string.h>

enum { NOTES_MAX = 100, NOTE_SIZE = 200 };

struct notes {
    int count;
    struct note {
        bool is_there;
        char text[NOTE_SIZE + 1];
    } all[NOTES_MAX];
};

/* The note that {id} names. */
static int find_note(weft_request *req, struct note **ret_note)
{
    struct notes *notes = weft_app_state(req);
    int64_t id = weft_param_int(req, "id");
    if (id < 1 || id > notes->count || !notes->all[id - 1].is_there)
        return WEFT_EHTTP(404);
    *ret_note = &notes->all[id - 1];
    return 0;
}

static int create(weft_request *req)
{
    struct notes *notes = weft_app_state(req);
    weft_bytes body;
    WEFT_TRY(weft_body(req, &body)); /* may wait: others may have created notes meanwhile */
    if (body.size == 0 || strlen(body.data) != body.size)
        return weft_reply_text(req, 422, "a note is text, and not empty\n");
    if (notes->count == NOTES_MAX)
        return WEFT_EHTTP(507);
    struct note *note = &notes->all[notes->count++];
    note->is_there = true;
    memcpy(note->text, body.data, body.size + 1);
    WEFT_TRY(weft_set_header(req, "Location", weft_format(req, "/notes/%d", notes->count)));
    return weft_reply_json(req, 201, "{s:i}", "id", notes->count);
}

static int show(weft_request *req)
{
    struct note *note;
    WEFT_TRY(find_note(req, &note));
    return weft_reply_text(req, 200, "%s\n", note->text);
}

static int replace(weft_request *req)
{
    struct note *note;
    weft_bytes body;
    WEFT_TRY(weft_body(req, &body));
    WEFT_TRY(find_note(req, &note)); /* after the wait: the note could have been removed in it */
    memcpy(note->text, body.data, body.size + 1);
    return weft_reply_empty(req, 204);
}

static int erase(weft_request *req)
{
    struct note *note;
    WEFT_TRY(find_note(req, &note));
    note->is_there = false;
    return weft_reply_empty(req, 204);
}

/* GET /notes?word=milk */
static int search(weft_request *req)
{
    const struct notes *notes = weft_app_state(req);
    const char *word = weft_query(req, "word");
    int found = 0;
    for (int i = 0; i < notes->count; i++)
        found += notes->all[i].is_there && (!word || strstr(notes->all[i].text, word));
    return weft_reply_json(req, 200, "{s:i, s:s}", "found", found, "word", word ? word : "");
}

static int agent(weft_request *req)
{
    const char *agent = weft_header(req, "User-Agent");
    if (!agent)
        return WEFT_EHTTP(400);
    return weft_reply_text(req, 200, "%s asks with %s\n", agent, weft_method(req));
}

static int old(weft_request *req)
{
    return weft_reply_redirect(req, 301, "/notes");
}

static int slow(weft_request *req)
{
    WEFT_TRY(weft_sleep(10 * WEFT_SECOND));
    return weft_reply_text(req, 200, "at last\n");
}

int main(int argc, char **argv)
{
    static struct notes notes;
    weft_app *app = weft_app_new();
    weft_app_set(app, &notes);
    weft_get(app, "/notes", search);
    weft_post(app, "/notes", create, .body_limit = NOTE_SIZE);
    weft_get(app, "/notes/{id:int}", show);
    weft_put(app, "/notes/{id:int}", replace, .body_limit = NOTE_SIZE);
    weft_delete(app, "/notes/{id:int}", erase);
    weft_get(app, "/agent", agent);
    weft_get(app, "/old-notes", old);
    weft_get(app, "/slow", slow, .timeout = 300 * WEFT_MILLISECOND);
    return weft_app_main(app, argc, argv);
}
