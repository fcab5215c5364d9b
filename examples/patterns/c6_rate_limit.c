/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Fifty calls a second, five at once after a quiet time: twenty calls take at least 300 ms. */
#include <weft.h>
#include <stdio.h>

struct client {
    weft_rate limit;
    weft_duration start;
    int at_once, calls;
};

static int call(void *arg)
{
    struct client *client = arg;
    WEFT_TRY(weft_rate_take(&client->limit, 1));
    client->calls++;
    if (weft_now() - client->start < 20 * WEFT_MILLISECOND)
        client->at_once++;
    return 0;
}

static int call_often(void *unused)
{
    (void)unused;
    struct client client = { .start = weft_now() };
    weft_rate_init(&client.limit, 50, WEFT_SECOND, 5);
    WEFT_GROUP (g) {
        for (int i = 0; i < 20; i++)
            weft_go(&g, call, &client);
    }
    weft_duration took = weft_now() - client.start;
    weft_rate_close(&client.limit);
    printf("%d calls, at most 5 at once: %s\n", client.calls, client.at_once <= 5 ? "yes" : "no");
    printf("15 of them waited 20 ms each for a token: %s\n", took >= 300 * WEFT_MILLISECOND ? "yes" : "no");
    return g.result;
}

int main(void)
{
    return weft_run(call_often, NULL) < 0;
}
