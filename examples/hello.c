/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* The smallest server: GET / and GET /{name}. Try it with `build/examples/hello --port 8080`. */
#include <weft.h>

static int hello(weft_request *req)
{
    return weft_reply_text(req, 200, "Hello, %s!", weft_param_or(req, "name", "Anonymous"));
}

int main(int argc, char **argv)
{
    weft_app *app = weft_app_new();
    weft_get(app, "/", hello);
    weft_get(app, "/{name}", hello);
    return weft_app_main(app, argc, argv);
}
