/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * OpenSSL's own memory runs out: at the n-th of its allocations, or from there on, in all of a connection's life and in the
 * making of contexts. The connection ends, or nothing is noticed; nothing crashes, and nothing is left.
 *
 * Each EVERY-th allocation fails, with another one first for each way of failing; WEFT_TEST_EVERY=1 is all of them, and takes
 * minutes. OpenSSL takes other functions for its memory only before it has allocated anything, so this is a program of its own.
 */
#include "harness.h"

#include "lib/net/tls_openssl.h"

enum { EVERY = 3, KEPT = 16 }; /* some allocations OpenSSL keeps for good, when it meets a failure for the first time */

static uint64_t every;

/* ---- memory ---- */

static struct {
    bool is_armed, goes_on; /* the n-th fails, and all behind it */
    uint64_t count, fail_at;
    int64_t live; /* allocations */
} heap;

static bool is_out(void)
{
    if (!heap.is_armed)
        return false;
    heap.count++;
    return heap.goes_on ? heap.count >= heap.fail_at : heap.count == heap.fail_at;
}

static void *take(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    void *p = is_out() ? NULL : malloc(size);
    heap.live += p != NULL;
    return p;
}

static void give(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    heap.live -= p != NULL;
    free(p);
}

static void *retake(void *p, size_t size, const char *file, int line)
{
    if (!p)
        return take(size, file, line);
    if (size == 0) {
        give(p, file, line);
        return NULL;
    }
    return is_out() ? NULL : realloc(p, size);
}

static void arm(uint64_t fail_at, bool goes_on)
{
    heap.is_armed = true;
    heap.goes_on = goes_on;
    heap.count = 0;
    heap.fail_at = fail_at;
}

/* Has the n-th allocation been asked for? */
static bool disarm(void)
{
    heap.is_armed = false;
    return heap.count >= heap.fail_at;
}

/* ---- a connection ---- */

static weft_app *app;
static struct {
    uint64_t fail_at;
    bool goes_on, has_struck, is_answered;
} life;

static int live(void *arg)
{
    client c;
    (void)arg;
    weft_server *server = harness_open(app);
    if (!server)
        return -ENOMEM;
    arm(life.fail_at, life.goes_on);
    life.is_answered = false;
    if (client_open(&c, server, 65536) == 0) {
        if (client_send(&c, TEXT(GET("/") POST("/echo", 5) "abcde" GET("/big/40000"))) == 0)
            settle();
        client_shutdown(&c);
        settle();
        life.is_answered = c.got_size > 40000;
        WEFT_CHECK(c.got_size == 0 || memcmp(c.got, TEXT("HTTP/1.1 200 OK\r\n")) == 0);
        client_close(&c, false);
    }
    life.has_struck = disarm();
    WEFT_CHECK(weft_sleep(40 * WEFT_SECOND) == 0); /* every limit passes */
    harness_close(server);
    return 0;
}

static void one_life(uint64_t fail_at, bool goes_on)
{
    life.fail_at = fail_at;
    life.goes_on = goes_on;
    int rc = weft_test_run(live, NULL, NULL, .quiet = true);
    WEFT_CHECK(rc == 0 || rc == -ENOMEM);
    weft_tls_clear_errors();
}

static int a_connection(void)
{
    app = harness_app();
    for (int i = 0; i < 3; i++)
        one_life(UINT64_MAX, false); /* what is kept for good is made now */
    WEFT_CHECK(life.is_answered);
    for (int goes_on = 0; goes_on < 2; goes_on++) {
        int64_t before = heap.live;
        uint64_t n = (uint64_t)goes_on, answered = 0;
        do {
            one_life(n += every, goes_on);
            answered += life.is_answered;
        } while (life.has_struck && n < 20000);
        printf("# %llu allocations, %llu answered all the same, %lld left\n", (unsigned long long)n,
               (unsigned long long)answered, (long long)(heap.live - before));
        WEFT_CHECK(n > 500 && n < 20000 && answered < n / every);
        one_life(UINT64_MAX, false);
        WEFT_CHECK(life.is_answered && heap.live <= before + KEPT);
    }
    weft_app_free(app);
    return 0;
}

/* ---- contexts ---- */

static void drop_record(void *context, enum weft_log_level level, const char *line, size_t size)
{
    (void)context;
    (void)level;
    (void)line;
    (void)size;
}

/* True if all of it could be made. */
static bool make_contexts(void)
{
    weft_tls_context *ours = NULL, *theirs = NULL;
    weft_tls_words words;
    int rc = weft_tls_server_new(&ours, &(weft_tls_options){ .self_signed = true });
    int loaded = rc == 0 ? weft_tls_reload(ours, false, &words) : rc;
    int made = weft_tls_client_new(&theirs, .insecure = true);
    WEFT_CHECK((rc == 0 || rc == -ENOMEM) && (loaded == 1 || loaded < 0) && made <= 0);
    weft_tls_context_free(ours);
    weft_tls_context_free(theirs);
    weft_tls_clear_errors();
    return loaded == 1 && made == 0;
}

static int contexts(void)
{
    weft_log_set_sink(drop_record, NULL);
    WEFT_CHECK(make_contexts() && make_contexts());
    for (int goes_on = 0; goes_on < 2; goes_on++) {
        int64_t before = heap.live;
        uint64_t n = (uint64_t)goes_on, made = 0;
        bool has_struck;
        do {
            arm(n += every, goes_on);
            made += make_contexts();
            has_struck = disarm();
        } while (has_struck && n < 50000);
        printf("# %llu allocations, made %llu times all the same, %lld left\n", (unsigned long long)n, (unsigned long long)made,
               (long long)(heap.live - before));
        WEFT_CHECK(n > 500 && n < 50000 && made < n / every && make_contexts() && heap.live <= before + KEPT);
    }
    weft_log_set_sink(NULL, NULL);
    return 0;
}

static const weft_test tests[] = {
    PLAIN(a_connection),
    TEST(contexts),
};

int main(int argc, char **argv)
{
    if (CRYPTO_set_mem_functions(take, retake, give) != 1)
        return 99;
    const char *text = getenv("WEFT_TEST_EVERY");
    every = text ? strtoul(text, NULL, 10) : EVERY;
    setenv("WEFT_TEST_TLS", "1", 1);
    return weft_test_main(tests, COUNT(tests), argc, argv);
}
