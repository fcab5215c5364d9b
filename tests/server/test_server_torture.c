/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * A whole life of connections, again and again: the n-th allocation fails, the n-th wait is cancelled, the connection breaks at
 * each byte, and many run at once in shuffled order with splits chosen by the seed. Whatever happens, nothing crashes, nothing
 * is left, and what is answered is answered right.
 */
#include "harness.h"

#include "lib/base/memory.h"
#include "lib/base/random.h"

static weft_app *app;

/* By TLS each life begins with two handshakes' work: not every byte is tried then. */
static size_t step(size_t by_tls)
{
    return harness_is_by_tls() ? by_tls : 1;
}

/* ---- handlers that use what there is ---- */

static void deferred(void *arg)
{
    (void)arg;
    (void)!weft_sleep(MS);
}

static int part(void *arg)
{
    WEFT_TRY(weft_sleep(2 * MS));
    ++*(int *)arg;
    return 0;
}

/* Tasks, a group, a deferred call, a header field, memory. */
static int busy(weft_request *req)
{
    int count = 0;
    weft_task *task;
    WEFT_TRY(weft_defer(deferred, NULL));
    WEFT_TRY(weft_spawn(&task, part, &count));
    WEFT_GROUP (both) {
        weft_go(&both, part, &count);
        weft_go(&both, part, &count);
    }
    WEFT_TRY(both.result);
    WEFT_TRY(weft_await(task));
    if (count != 3) /* one was cancelled by itself, which is no error of its group */
        return WEFT_ECANCELED;
    WEFT_TRY(weft_set_header(req, "X-Count", "3"));
    char *text = weft_format(req, "%d", count);
    return text ? weft_reply_text(req, 200, "%s of %s", text, weft_query(req, "of") ? weft_query(req, "of") : "?") : -ENOMEM;
}

static int deep(weft_request *req)
{
    WEFT_TRY(weft_yield());
    return weft_reply_json(req, 200, "{s:s}", "deep", weft_param(req, "x"));
}

static int sums(weft_request *req)
{
    unsigned char buf[64];
    unsigned sum = 0;
    int64_t n;
    while ((n = weft_body_read(req, buf, sizeof buf)) > 0)
        for (int64_t i = 0; i < n; i++)
            sum += buf[i];
    return n < 0 ? (int)n : weft_reply_text(req, 200, "%u", sum);
}

static int streams(weft_request *req)
{
    WEFT_TRY(weft_reply_stream(req, 200, NULL, -1));
    for (int i = 0; i < 3; i++) {
        WEFT_TRY(weft_write(req, "abc", 3));
        WEFT_TRY(weft_sleep(MS));
    }
    return 0;
}

static weft_app *torture_app(void)
{
    weft_app *made = harness_app();
    weft_get(made, "/busy", busy);
    weft_get(made, "/deep/{x}", deep, .stack_size = 128 * 1024);
    weft_post(made, "/sums", sums);
    weft_get(made, "/streams", streams);
    return made;
}

/* ---- requests and their replies ---- */

#define OK_TEXT(n, more, body) STATUS("200 OK") PLAIN_TEXT LENGTH(n) more "\r\n" body

static const struct exchange {
    const char *ask, *reply;
} exchanges[] = {
    { GET("/"), FRONT },
    { GET("/hello/%41b"), OK_TEXT(10, "", "Hello, Ab!") },
    { POST("/echo", 10) "0123456789", ECHO(10, "0123456789") },
    { "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nT: v\r\n\r\n",
      ECHO(7, "abcdefg") },
    { POST("/sums", 5) "12345", OK_TEXT(3, "", "255") },
    { GET("/busy?of=a+b"), OK_TEXT(8, "X-Count: 3\r\n", "3 of a b") },
    { GET("/deep/x"), STATUS("200 OK") TYPE("application/json") LENGTH(12) "\r\n{\"deep\":\"x\"}" },
    { GET("/streams"), STATUS("200 OK") "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\nabc\r\n3\r\nabc\r\n0\r\n\r\n" },
    { GET("/none"), NOT_FOUND },
    { GET("/sleep/3"), OK_TEXT(5, "", "slept") },
};

struct text {
    char data[40000];
    size_t size;
};

static void add(struct text *t, const char *words)
{
    size_t size = strlen(words);
    memcpy(t->data + t->size, words, size);
    t->size += size;
}

static void add_all(struct text *in, struct text *out)
{
    in->size = out->size = 0;
    for (size_t i = 0; i < COUNT(exchanges); i++) {
        add(in, exchanges[i].ask);
        add(out, exchanges[i].reply);
    }
    char *body = memset(calloc(1, 5001), 'b', 5000); /* so large that it takes memory everywhere */
    add(in, POST("/echo", 5000));
    add(in, body);
    add(out, STATUS("200 OK") TYPE("application/octet-stream") LENGTH(5000) "\r\n");
    add(out, body);
    free(body);
}

/* ---- one life: everything, pipelined, over a narrow pipe ---- */

struct life {
    struct text in, out;
    size_t break_after; /* of the server's output */
    bool breaks, resets;
    size_t send_only; /* bytes of the input, then `resets` or an end */
    bool is_whole;    /* all replies have come, exact */
    bool is_honest;   /* or some of them, or one says that something failed */
};

static int live(void *arg)
{
    struct life *life = arg;
    life->is_whole = false;
    life->is_honest = true;
    weft_server *server = harness_open(app);
    if (!server)
        return -ENOMEM;
    client c;
    if (client_open(&c, server, 512) == 0) {
        server_knobs(&c)->breaks = life->breaks;
        server_knobs(&c)->break_after = life->break_after;
        size_t size = life->send_only < life->in.size ? life->send_only : life->in.size;
        if (client_send(&c, life->in.data, size) == 0) {
            WEFT_SHIELD (living, WEFT_HOUR) {
                WEFT_CHECK(weft_sleep(life->resets ? 5 * MS : WEFT_SECOND) == 0);
            }
            life->is_whole = client_has(&c, life->out.data, life->out.size);
            life->is_honest = c.got_size == 0 || client_has(&c, life->out.data, c.got_size) || strstr(c.got, "HTTP/1.1 503 ") ||
                              strstr(c.got, "HTTP/1.1 500 ");
        }
        client_close(&c, life->resets);
    }
    WEFT_SHIELD (ending, WEFT_HOUR) {
        WEFT_CHECK(weft_sleep(40 * WEFT_SECOND) == 0); /* every limit passes */
    }
    harness_close(server);
    return 0;
}

static struct life *new_life(void)
{
    struct life *life = calloc(1, sizeof *life);
    life->is_honest = true; /* also if there is no life at all */
    add_all(&life->in, &life->out);
    life->send_only = SIZE_MAX;
    app = torture_app();
    return life;
}

static int end_life(struct life *life)
{
    free(life);
    weft_app_free(app);
    return 0;
}

static int nothing_fails(void)
{
    struct life *life = new_life();
    WEFT_CHECK(weft_test_run(live, life, NULL) == 0 && life->is_whole);
    return end_life(life);
}

/* What has come is the beginning of what was expected, or ends in an answer that says what is the matter. */
static int allocations_fail(void)
{
    struct life *life = new_life();
    weft_test_report report = { .struck = true };
    uint64_t n = 0, whole = 0;
    while (report.struck && n < 2000) {
        n++;
        int rc = weft_test_run(live, life, &report, .fail_at = n);
        WEFT_CHECK(rc == 0 || rc == -ENOMEM);
        whole += life->is_whole;
        WEFT_CHECK(life->is_honest);
        rc = weft_test_run(live, life, NULL, .fail_at = n, .fail_after = true);
        WEFT_CHECK(rc == 0 || rc == -ENOMEM);
    }
    WEFT_CHECK(n > 20 && n < 2000 && whole > 0);
    return end_life(life);
}

static int waits_are_cancelled(void)
{
    struct life *life = new_life();
    for (int when = WEFT_CANCEL_BEFORE; when <= WEFT_CANCEL_WOKEN; when++) {
        weft_test_report report = { .struck = true };
        uint64_t n = 0, waits = 1;
        while (n < waits && n < 2000) {
            n++;
            int rc = weft_test_run(live, life, &report, .cancel_at = n, .cancel_when = (enum weft_cancel_when)when);
            WEFT_CHECK((rc == 0 || rc == WEFT_ECANCELED) && life->is_honest);
            waits = report.waits;
        }
        WEFT_CHECK(n > 20 && n < 2000);
    }
    return end_life(life);
}

static int breaks_at_each_byte_of_the_reply(void)
{
    struct life *life = new_life();
    life->breaks = true;
    for (life->break_after = 0; life->break_after < life->out.size; life->break_after += step(13)) {
        WEFT_CHECK(weft_test_run(live, life, NULL) == 0);
        WEFT_CHECK(!life->is_whole && life->is_honest);
    }
    return end_life(life);
}

static int ends_at_each_byte_of_the_request(void)
{
    struct life *life = new_life();
    for (int resets = 0; resets < 2; resets++) {
        life->resets = resets;
        for (life->send_only = 0; life->send_only < life->in.size; life->send_only += step(13))
            WEFT_CHECK(weft_test_run(live, life, NULL) == 0);
    }
    return end_life(life);
}

/* ---- many at once ---- */

enum { CLIENTS = 20, ASKS = 12, SPLITS = 40 };

static int compare(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return x < y ? -1 : x > y;
}

struct one {
    weft_server *server;
    uint64_t random;
    bool is_right;
};

static int be_client(void *arg)
{
    struct one *one = arg;
    struct text *in = malloc(sizeof *in), *out = malloc(sizeof *out);
    size_t splits[SPLITS];
    client c;
    in->size = out->size = 0;
    for (int i = 0; i < ASKS; i++) {
        const struct exchange *e = &exchanges[weft_random_below(&one->random, COUNT(exchanges))];
        add(in, e->ask);
        add(out, e->reply);
    }
    for (size_t i = 0; i < SPLITS; i++)
        splits[i] = 1 + weft_random_below(&one->random, in->size);
    qsort(splits, SPLITS, sizeof *splits, compare);
    WEFT_TRY(client_open(&c, one->server, 64 + weft_random_below(&one->random, 2000)));
    server_knobs(&c)->splits = splits;
    server_knobs(&c)->split_count = SPLITS;
    server_knobs(&c)->send_most = weft_random_below(&one->random, 300);
    for (size_t at = 0; at < in->size;) {
        size_t size = 1 + weft_random_below(&one->random, 400);
        if (size > in->size - at)
            size = in->size - at;
        client_send(&c, in->data + at, size);
        at += size;
        WEFT_TRY(weft_sleep((weft_duration)weft_random_below(&one->random, 3) * MS));
    }
    WEFT_TRY(weft_sleep(WEFT_SECOND));
    one->is_right = client_got(&c, out->data, out->size);
    server_knobs(&c)->splits = NULL;
    server_knobs(&c)->split_count = 0;
    client_close(&c, weft_random_below(&one->random, 2));
    free(in);
    free(out);
    return 0;
}

static int be_many(void *arg)
{
    uint64_t random = *(uint64_t *)arg;
    weft_server *server = harness_open(app);
    struct one ones[CLIENTS];
    WEFT_GROUP (all) {
        for (size_t i = 0; i < CLIENTS; i++) {
            ones[i] = (struct one){ .server = server, .random = random * 1000003 + i + 1 };
            weft_go(&all, be_client, &ones[i]);
        }
    }
    WEFT_CHECK(all.result == 0);
    bool is_right = true;
    for (size_t i = 0; i < CLIENTS; i++)
        is_right = is_right && ones[i].is_right;
    WEFT_CHECK(is_right && server->counts.requests == CLIENTS * ASKS && server->counts.replies == CLIENTS * ASKS);
    harness_close(server);
    return is_right ? 0 : -EIO;
}

static int many_at_once(void)
{
    enum { SEEDS = 1000 };
    app = torture_app();
    for (uint64_t seed = 1; seed <= SEEDS; seed += step(10)) {
        int rc = weft_test_run(be_many, &seed, NULL, .seed = seed);
        WEFT_CHECK(rc == 0);
        if (rc < 0) {
            printf("# seed %llu\n", (unsigned long long)seed);
            break;
        }
    }
    weft_app_free(app);
    return 0;
}

static const weft_test tests[] = {
    PLAIN(nothing_fails),
    PLAIN(allocations_fail),
    PLAIN(waits_are_cancelled),
    PLAIN(breaks_at_each_byte_of_the_reply),
    PLAIN(ends_at_each_byte_of_the_request),
    PLAIN(many_at_once),
};

int main(int argc, char **argv)
{
    return weft_test_main(tests, COUNT(tests), argc, argv);
}
