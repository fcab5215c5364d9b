/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* A source in pages: a generator that fetches one after the other over HTTP, each only when it is asked for. The server is of
 * this program too, in a thread of its own. */
#include <weft.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int page(weft_request *req)
{
    int64_t n = weft_param_int(req, "n");
    printf("  asked for page %d\n", (int)n);
    return weft_reply_text(req, 200, "items %d and %d", (int)n * 2 - 1, (int)n * 2);
}

static void *serve(void *app)
{
    return weft_app_serve(app) < 0 ? app : NULL;
}

struct source {
    char address[32];
    int pages;
};

struct page {
    char text[1024];
};

/* GET path: the body into *page. */
static int fetch(const char *address, const char *path, struct page *page)
{
    __attribute__((cleanup(weft_stream_drop))) weft_stream *s = NULL;
    char request[200], reply[1024];
    size_t size = 0;
    int64_t n;
    WEFT_TRY(weft_connect(&s, address));
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, address);
    WEFT_TRY(weft_stream_write(s, request, strlen(request)));
    while ((n = weft_stream_read(s, reply + size, sizeof reply - 1 - size)) > 0)
        size += (size_t)n;
    reply[size] = '\0';
    const char *body = strstr(reply, "\r\n\r\n");
    if (n < 0 || !body || strncmp(reply, "HTTP/1.1 200 ", 13) != 0)
        return n < 0 ? (int)n : WEFT_EPROTOCOL;
    snprintf(page->text, sizeof page->text, "%s", body + 4);
    return 0;
}

static int fetch_pages(weft_generator *g, void *arg)
{
    const struct source *source = arg;
    struct page page;
    char path[32];
    for (int i = 1; i <= source->pages; i++) {
        snprintf(path, sizeof path, "/pages/%d", i);
        WEFT_TRY(fetch(source->address, path, &page));
        WEFT_TRY(weft_generator_yield(g, &page));
    }
    return 0;
}

static int consume(void *app)
{
    int rc = 0;
    struct source source = { .pages = 3 };
    WEFT_RETRY (up, .tries = 100, .delay = 10 * WEFT_MILLISECOND, .factor = 1) /* until it listens */
        up.result = weft_app_port(app, 0) > 0 ? 0 : -EAGAIN;
    snprintf(source.address, sizeof source.address, "127.0.0.1:%d", weft_app_port(app, 0));
    WEFT_FOR_EACH (struct page, page, weft_generator_new(struct page, fetch_pages, &source), .result = &rc)
        puts(page.text);
    return rc;
}

int main(void)
{
    pthread_t server;
    weft_app *app = weft_app_new();
    weft_get(app, "/pages/{n:int}", page);
    weft_app_configure(app, &(weft_app_options){ .struct_size = sizeof(weft_app_options),
                                                 .listen = (const char *[]){ "127.0.0.1:0" },
                                                 .listen_count = 1,
                                                 .log_level_is_set = true });
    if (pthread_create(&server, NULL, serve, app) != 0)
        return 1;
    int rc = weft_run(consume, app);
    weft_app_stop(app);
    pthread_join(server, NULL);
    weft_app_free(app);
    return rc < 0;
}
