/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Routes: groups, whole numbers, the rest of a path, and URLs built by name. `routes --routes` prints them.
 *
 *     curl -i localhost:8080/api/v1/notes/7
 *     curl -i localhost:8080/api/v1/notes/7/versions/-1
 *     curl -i -X POST localhost:8080/api/v1/notes
 *     curl -i localhost:8080/files/css/site.css
 */
#include <weft.h>

#include <inttypes.h>

static int front(weft_request *req)
{
    return weft_reply_text(req, 200, "%s\n%s\n", weft_url(req, "notes.note", "id", "7"),
                           weft_url(req, "file", "path", "notes/a b.txt", "download", "1"));
}

static int list(weft_request *req)
{
    return weft_reply_json(req, 200, "[{s:i, s:s}]", "id", 7, "url", weft_url(req, "notes.note", "id", "7"));
}

static int create(weft_request *req)
{
    int id = 8;
    return weft_reply_redirect(req, 303, weft_url(req, "notes.note", "id", weft_format(req, "%d", id)));
}

static int show(weft_request *req)
{
    return weft_reply_text(req, 200, "note %" PRId64 "\n", weft_param_int(req, "id"));
}

static int show_latest(weft_request *req)
{
    return weft_reply_text(req, 200, "the latest note\n");
}

static int show_version(weft_request *req)
{
    return weft_reply_text(req, 200, "note %" PRId64 ", version %" PRId64 "\n", weft_param_int(req, "id"),
                           weft_param_int(req, "version"));
}

static int file(weft_request *req)
{
    return weft_reply_text(req, 200, "file \"%s\"\n", weft_param(req, "path"));
}

/* Routes of a part of the program; where they are mounted is the caller's affair. */
static void add_notes(weft_routes *notes)
{
    weft_get(notes, "", list);
    weft_post(notes, "", create, .body_limit = 64 * 1024);
    weft_get(notes, "/latest", show_latest);
    weft_get(notes, "/{id:int}", show, .name = "note");
    weft_get(notes, "/{id:int}/versions/{version:int}", show_version);
}

int main(int argc, char **argv)
{
    weft_app *app = weft_app_new();
    weft_get(app, "/", front);
    weft_get(app, "/files/{path...}", file, .name = "file");
    weft_routes *api = weft_under(app, "/api/v1", .timeout = 5 * WEFT_SECOND);
    add_notes(weft_under(api, "/notes", .name = "notes"));
    return weft_app_main(app, argc, argv);
}
