/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* The smallest broadcast server: each message goes as it came to every member of the room, the sender included. */
#include <weft.h>

static int chat(weft_request *req)
{
    weft_ws *ws;
    weft_member *me;
    weft_message msg;
    int rc;
    WEFT_TRY(weft_ws_accept(req, &ws));
    WEFT_TRY(weft_room_join(ws, weft_param(req, "room"), &me)); /* left when the handler ends, however it ends */
    while ((rc = weft_ws_receive(ws, &msg)) > 0)
        (void)weft_room_send(me, &msg);
    return rc;
}

int main(int argc, char **argv)
{
    weft_app *app = weft_app_new();
    weft_get(app, "/ws/chat/{room}", chat);
    return weft_app_main(app, argc, argv);
}
