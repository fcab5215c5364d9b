/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Two routes that match the same, and one that is malformed. */
#include <weft.h>

static int nothing(weft_request *req)
{
    return weft_reply_empty(req, 204);
}

int main(int argc, char **argv)
{
    weft_app *app = weft_app_new();
    weft_get(app, "/users/{id}", nothing);
    weft_get(app, "/users/{name}", nothing);
    weft_get(app, "no/slash", nothing);
    return weft_app_main(app, argc, argv);
}
