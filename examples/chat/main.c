/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* The chat as a program of its own: open http://localhost:8080/chat in two windows. */
#include <weft.h>

void chat_add(weft_app *app); /* chat.c */

static int front(weft_request *req)
{
    WEFT_TRY(weft_set_header(req, "Location", "/chat"));
    return weft_reply_text(req, 302, "The chat is at /chat.\n");
}

int main(int argc, char **argv)
{
    weft_app *app = weft_app_new();
    weft_get(app, "/", front);
    chat_add(app);
    return weft_app_main(app, argc, argv);
}
