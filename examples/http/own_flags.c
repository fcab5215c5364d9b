/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* A program with arguments of its own: own_flags ADDRESS GREETING */
#include <weft.h>

#include <stdio.h>

static int greet(weft_request *req)
{
    const char *greeting = weft_app_state(req);
    return weft_reply_text(req, 200, "%s, %s!\n", greeting, weft_param(req, "name"));
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: own_flags ADDRESS GREETING\n");
        return 2;
    }
    weft_app *app = weft_app_new();
    if (!app)
        return 1;
    const char *const listen[] = { argv[1] };
    weft_app_options options = {
        .struct_size = sizeof options,
        .listen = listen,
        .listen_count = 1,
        .request_timeout = 10 * WEFT_SECOND,
        .body_limit = 64 * 1024,
    };
    weft_app_set(app, argv[2]);
    int rc = weft_get(app, "/{name}", greet);
    if (rc == 0)
        rc = weft_app_configure(app, &options);
    if (rc == 0)
        rc = weft_app_serve(app);
    weft_app_free(app);
    return rc < 0 ? 1 : rc;
}
