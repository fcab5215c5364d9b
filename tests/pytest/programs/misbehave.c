/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Handlers that do what handlers must not do, for tests of what the server makes of it. */
#include <weft.h>

#include <stdio.h>

/* Never waits: the loop hangs. */
static int spin(weft_request *req)
{
    volatile bool is_done = false;
    while (!is_done)
        continue;
    return weft_reply_empty(req, 204);
}

/* Waits, and heeds no result. */
static int stubborn(weft_request *req)
{
    volatile bool is_done = false;
    while (!is_done)
        (void)!weft_sleep(WEFT_SECOND);
    return weft_reply_empty(req, 204);
}

static __attribute__((noinline)) int deeper(volatile char *above, int depth)
{
    volatile char room[1024];
    room[0] = above[0];
    return depth == 0 ? 0 : deeper(room, depth - 1) + room[0];
}

static int overflow(weft_request *req)
{
    volatile char room[16] = "";
    return weft_reply_text(req, 200, "%d", deeper(room, 1000000));
}

static int shielded(weft_request *req)
{
    int rc = weft_sleep(WEFT_HOUR);
    WEFT_SHIELD (clean_up, WEFT_SECOND) {
        if (weft_sleep(300 * WEFT_MILLISECOND) == 0)
            fprintf(stderr, "cleaned up\n");
    }
    (void)req;
    return rc;
}

static int stop(weft_request *req)
{
    weft_app_stop(weft_app_state(req));
    return weft_reply_text(req, 200, "stopping");
}

int main(int argc, char **argv)
{
    weft_app *app = weft_app_new();
    weft_app_configure(app, &(weft_app_options){
                                .struct_size = sizeof(weft_app_options),
                                .cancel = 600 * WEFT_MILLISECOND,
                                .cleanup = 1600 * WEFT_MILLISECOND,
                            });
    weft_app_set(app, app);
    weft_get(app, "/spin", spin);
    weft_get(app, "/stubborn", stubborn);
    weft_get(app, "/overflow/{depth}", overflow);
    weft_get(app, "/shielded", shielded);
    weft_get(app, "/stop", stop);
    return weft_app_main(app, argc, argv);
}
