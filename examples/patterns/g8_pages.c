/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* A source in pages: a generator that fetches one after the other over HTTP, each only when it is asked for. The server is of
 * this program too, in a thread of its own. */
#include <weft.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>

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
    char text[128];
};

/* GET /pages/n: the last line that comes is the page. */
static int fetch(const struct source *source, int n, struct page *page)
{
    __attribute__((cleanup(weft_stream_drop))) weft_stream *s = NULL;
    weft_bytes line;
    int rc, size = snprintf(page->text, sizeof page->text, "GET /pages/%d HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", n,
                            source->address);
    WEFT_TRY(weft_connect(&s, source->address));
    WEFT_TRY(weft_stream_write(s, page->text, (size_t)size));
    while ((rc = weft_stream_line(s, &line, 0)) > 0)
        snprintf(page->text, sizeof page->text, "%s", line.data);
    return rc;
}

static int fetch_pages(weft_generator *g, void *source)
{
    struct page page;
    for (int n = 1; n <= ((struct source *)source)->pages; n++) {
        WEFT_TRY(fetch(source, n, &page));
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
    const weft_app_options options = { sizeof options, .listen = (const char *[]){ "127.0.0.1:0" }, .listen_count = 1,
                                       .log_level_is_set = true };
    if (weft_app_configure(app, &options) < 0 || pthread_create(&server, NULL, serve, app) != 0)
        return 1;
    int rc = weft_run(consume, app);
    weft_app_stop(app);
    pthread_join(server, NULL);
    weft_app_free(app);
    return rc < 0;
}
