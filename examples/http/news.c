/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* News by server-sent events: POST /news tells everybody who listens at GET /news, and who was cut off is told later. */
#include <weft.h>

static weft_rooms *rooms; /* made before serving, and the app's */

static int news(weft_request *req)
{
    weft_member *me;
    WEFT_TRY(weft_events_begin(req));
    WEFT_TRY(weft_room_join(req, "news", &me, .rooms = rooms, .since = weft_events_last_id(req)));
    return weft_events_wait(req);
}

static int publish(weft_request *req)
{
    weft_bytes body;
    WEFT_TRY(weft_body(req, &body));
    weft_message msg = { .data = body.data, .size = body.size, .is_text = true };
    WEFT_TRY(weft_room_publish(rooms, "news", &msg));
    return weft_reply_text(req, 202, "told %d\n", (int)weft_rooms_stats(rooms).members);
}

int main(int argc, char **argv)
{
    weft_app *app = weft_app_new();
    rooms = weft_rooms_new(app, .history = 100, .slow = WEFT_SLOW_DROP_OLDEST, .tells_dropped = true);
    weft_get(app, "/news", news);
    weft_post(app, "/news", publish);
    return weft_app_main(app, argc, argv);
}
