/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* A handler that asks two places at once, with one deadline for both. */
#include <weft.h>

#include <stdio.h>

struct user {
    int id;
    char name[40];
};

struct orders {
    int user, count;
};

static int load_user(void *arg)
{
    struct user *user = arg;
    WEFT_TRY(weft_sleep(200 * WEFT_MILLISECOND)); /* a database, in real life */
    snprintf(user->name, sizeof user->name, "user %d", user->id);
    return 0;
}

static int load_orders(void *arg)
{
    struct orders *orders = arg;
    WEFT_TRY(weft_sleep(300 * WEFT_MILLISECOND));
    orders->count = 3;
    return 0;
}

static int profile(weft_request *req)
{
    struct user user = { .id = 7 };
    struct orders orders = { .user = 7 };
    WEFT_GROUP (both, .timeout = 2 * WEFT_SECOND) {
        weft_go(&both, load_user, &user);
        weft_go(&both, load_orders, &orders);
    }
    WEFT_TRY(both.result);
    return weft_reply_json(req, 200, "{s:s, s:i}", "name", user.name, "orders", orders.count);
}

int main(int argc, char **argv)
{
    weft_app *app = weft_app_new();
    weft_get(app, "/profile", profile);
    return weft_app_main(app, argc, argv);
}
