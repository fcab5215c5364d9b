/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * A whole connection, over memory in virtual time: what a peer sends is the input behind its first four bytes, which say how.
 *
 *     'd' ...   differential: the bytes whole, one at a time and in two other ways, must give the same replies. Only interim
 *               ones may differ, and a connection may end earlier where a body was left unread.
 *     else      faults: pieces that come late, a reset at any of them, a peer that reads little or nothing, a pipe that breaks,
 *               an allocation that fails; nothing may crash or be left, and what comes must look like replies.
 *
 * The other three bytes are the seed of all that is random. By itself this plays corpus/connection, and then the same changed
 * at random from a fixed seed; with clang it is a fuzzer: see meson.build beside it.
 */
#include <dirent.h>

#include "lib/base/check.h"
#include "lib/base/random.h"
#include "tests/server/harness.h"

enum { INPUT_MAX = 4096, CONTROL_SIZE = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static weft_app *app;
static unsigned long served; /* requests: the short test sees whether its input was any good */

/* ---- an app that answers with what it was asked ---- */

static int answer(weft_request *req, weft_bytes body, const char *kind)
{
    unsigned hash = 5381;
    for (size_t i = 0; i < body.size; i++)
        hash = hash * 33 + (unsigned char)body.data[i];
    const char *query = weft_query_string(req), *host = weft_header(req, "host"), *x = weft_header(req, "x");
    return weft_reply_text(req, 200, "%s %s %s ?%s host %s x %s body %zu %x", kind, weft_method(req), weft_path(req),
                           query ? query : "-", host ? host : "-", x ? x : "-", body.size, hash);
}

static int collects(weft_request *req)
{
    weft_bytes body;
    WEFT_TRY(weft_body(req, &body));
    return answer(req, body, "collected");
}

static int reads(weft_request *req)
{
    char all[8192], buf[100];
    size_t size = 0;
    int64_t n;
    while ((n = weft_body_read(req, buf, sizeof buf)) > 0) {
        if (size + (size_t)n > sizeof all)
            return WEFT_EHTTP(507);
        memcpy(all + size, buf, (size_t)n);
        size += (size_t)n;
    }
    WEFT_TRY((int)n);
    return answer(req, (weft_bytes){ all, size }, "read");
}

static int streams(weft_request *req)
{
    weft_bytes body;
    WEFT_TRY(weft_body(req, &body));
    WEFT_TRY(weft_reply_stream(req, 200, "text/plain", -1));
    for (int i = 0; i < 3; i++) {
        WEFT_TRY(weft_write(req, "piece", 5));
        WEFT_TRY(weft_sleep(MS));
    }
    return weft_set_trailer(req, "X-Size", weft_param_or(req, "n", "1"));
}

static int large(weft_request *req)
{
    static char data[100000];
    WEFT_TRY(weft_reply_stream(req, 200, NULL, sizeof data));
    return weft_write(req, data, sizeof data);
}

static int ignores(weft_request *req)
{
    return weft_reply_text(req, 200, "ignored");
}

static void make_app(void)
{
    if (app)
        return;
    app = weft_app_new();
    CHECK(app);
    weft_app_options options = { .struct_size = sizeof options, .body_limit = 2000, .head_limit = 2000, .discard_limit = 1000 };
    CHECK(weft_app_configure(app, &options) == 0);
    weft_any(app, "/{path...}", collects);
    weft_any(app, "/read", reads);
    weft_any(app, "/stream", streams);
    weft_any(app, "/large", large);
    weft_any(app, "/ignore", ignores);
    CHECK(app->problem_count == 0);
}

/* ---- playing ---- */

enum way { WHOLE, BYTE_BY_BYTE, PIECES, FAULTS };

struct play {
    const char *in;
    size_t in_size;
    enum way way;
    uint64_t random;
    char *out; /* what has come, dates masked; NULL for nothing */
    size_t out_size;
    bool left_unread; /* so the end of the connection depends on what had come by then */
};

static bool chance(struct play *p, uint64_t of)
{
    return weft_random_below(&p->random, of) == 0;
}

static void set_faults(struct play *p, client *c)
{
    weft_memory_knobs *knobs = server_knobs(c);
    knobs->input_most = chance(p, 2) ? 0 : 1 + weft_random_below(&p->random, 40);
    knobs->send_most = chance(p, 2) ? 0 : 1 + weft_random_below(&p->random, 300);
    knobs->refuses_send = chance(p, 8);
    knobs->breaks = chance(p, 6);
    knobs->break_after = weft_random_below(&p->random, 1000);
    c->sips = chance(p, 6);
    if (chance(p, 8))
        client_stop(c);
}

static weft_duration pause(struct play *p)
{
    if (p->way == FAULTS && chance(p, 8))
        return (weft_duration)weft_random_below(&p->random, 40000) * MS;
    return (weft_duration)weft_random_below(&p->random, 4) * MS;
}

/* Sends it in pieces; false if it was reset instead. */
static bool send_pieces(struct play *p, client *c)
{
    for (size_t at = 0; at < p->in_size;) {
        size_t left = p->in_size - at, size = 1 + weft_random_below(&p->random, left < 200 ? left : 200);
        if (p->way == FAULTS && chance(p, 40))
            return false;
        client_send(c, p->in + at, size);
        at += size;
        (void)!weft_sleep(pause(p));
        if (p->way == FAULTS && c->sips && !c->has_ended && !c->error && chance(p, 2))
            client_read(c);
    }
    return true;
}

static int live(void *arg)
{
    struct play *p = arg;
    client c;
    bool was_sent = true;
    weft_server *server = harness_open(app);
    if (!server)
        return -ENOMEM;
    if (client_open(&c, server, p->way == FAULTS ? 64 + weft_random_below(&p->random, 4000) : 4096) == 0) {
        if (p->way == BYTE_BY_BYTE)
            server_knobs(&c)->input_most = 1;
        if (p->way == FAULTS)
            set_faults(p, &c);
        if (p->way >= PIECES)
            was_sent = send_pieces(p, &c);
        else
            client_send(&c, p->in, p->in_size);
        if (was_sent && p->way != FAULTS)
            (void)!weft_sleep(5 * WEFT_SECOND); /* an end before a stream's would cut it */
        if (was_sent && (p->way != FAULTS || chance(p, 2)))
            client_shutdown(&c);
        if (was_sent)
            (void)!weft_sleep(WEFT_MINUTE);
        client_has(&c, "", 0); /* masks the dates */
        p->out = c.got;
        p->out_size = c.got_size;
        c.got = NULL;
        client_close(&c, !was_sent);
    }
    (void)!weft_sleep(10 * WEFT_MINUTE); /* every limit passes */
    const struct weft_server_counts *counts = &server->counts;
    p->left_unread = counts->closed[WEFT_END_UNREAD_BODY] > 0 || counts->limits[WEFT_LIMIT_DISCARD] > 0;
    served += counts->requests;
    CHECK(counts->buffered == 0 && counts->open == 0);
    harness_close(server);
    return 0;
}

static void run(struct play *p, uint64_t fail_at)
{
    int rc = weft_test_run(live, p, NULL, .seed = p->way == FAULTS ? p->random | 1 : 0, .fail_at = fail_at);
    CHECK(rc == 0 || (rc == -ENOMEM && fail_at > 0));
    CHECK(weft_test_failures() == 0);
}

/* ---- what must hold ---- */

static void drop(struct play *p, const char *line)
{
    const size_t size = strlen(line);
    for (char *at = p->out; at && (at = memmem(at, p->out_size - (size_t)(at - p->out), line, size));) {
        p->out_size -= size;
        memmove(at, at + size, p->out_size - (size_t)(at - p->out));
    }
}

/* Takes the interim replies out: whether there is one depends on what had come when the body was asked for. */
static void drop_interim(struct play *p)
{
    drop(p, "HTTP/1.1 100 Continue\r\n\r\n");
}

static void show(const char *what, const struct play *p)
{
    fprintf(stderr, "%s (%zu bytes):\n%.*s\n", what, p->out_size, (int)p->out_size, p->out ? p->out : "");
}

static void compare(const struct play *whole, struct play *other)
{
    struct play expected = *whole;
    bool may_end = whole->left_unread || other->left_unread;
    expected.out = whole->out ? memcpy(malloc(whole->out_size + 1), whole->out, whole->out_size) : NULL;
    if (may_end) { /* and the last reply before the end says so */
        drop(&expected, CLOSE);
        drop(other, CLOSE);
    }
    size_t least = expected.out_size < other->out_size ? expected.out_size : other->out_size;
    bool is_same = expected.out_size == other->out_size || may_end;
    if (!is_same || (least > 0 && memcmp(expected.out, other->out, least) != 0)) {
        show("whole", &expected);
        show(other->way == PIECES ? "in pieces" : "byte by byte", other);
        abort();
    }
    free(expected.out);
}

static void play_all_ways(const char *in, size_t size, uint64_t seed)
{
    struct play whole = { .in = in, .in_size = size, .way = WHOLE };
    run(&whole, 0);
    drop_interim(&whole);
    for (int i = 0; i < 3; i++) {
        struct play other = { .in = in, .in_size = size, .way = i ? PIECES : BYTE_BY_BYTE, .random = seed + (uint64_t)i };
        run(&other, 0);
        drop_interim(&other);
        compare(&whole, &other);
        free(other.out);
    }
    free(whole.out);
}

static void play_with_faults(const char *in, size_t size, uint64_t seed)
{
    struct play p = { .in = in, .in_size = size, .way = FAULTS, .random = seed };
    run(&p, chance(&p, 2) ? 1 + weft_random_below(&p.random, 60) : 0);
    CHECK(p.out_size == 0 || memcmp(p.out, "HTTP/1.1 ", p.out_size < 9 ? p.out_size : 9) == 0);
    free(p.out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < CONTROL_SIZE || size > INPUT_MAX)
        return 0;
    make_app();
    uint64_t seed = (uint64_t)data[1] << 16 | (uint64_t)data[2] << 8 | data[3];
    const char *in = (const char *)data + CONTROL_SIZE;
    if (data[0] == 'd')
        play_all_ways(in, size - CONTROL_SIZE, seed);
    else
        play_with_faults(in, size - CONTROL_SIZE, seed);
    return 0;
}

#ifndef WEFT_LIBFUZZER
typedef struct input {
    size_t size;
    char text[INPUT_MAX];
} input;

static int by_text(const void *a, const void *b)
{
    const input *x = a, *y = b;
    return x->size != y->size ? (x->size < y->size ? -1 : 1) : memcmp(x->text, y->text, x->size);
}

static size_t read_corpus(const char *folder, input *inputs, size_t most)
{
    size_t count = 0;
    DIR *dir = opendir(folder);
    CHECK(dir);
    for (struct dirent *entry; (entry = readdir(dir)) && count < most;) {
        char path[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        FILE *file = fopen(path, "rb");
        CHECK(file);
        inputs[count].size = fread(inputs[count].text, 1, INPUT_MAX, file);
        fclose(file);
        count++;
    }
    closedir(dir);
    qsort(inputs, count, sizeof *inputs, by_text); /* a folder has no order of its own */
    return count;
}

static void change(input *in, uint64_t *seed)
{
    static const char marks[] = "\r\n\0 :/;,=0123456789abcdefx";
    size_t at = CONTROL_SIZE + weft_random_below(seed, in->size - CONTROL_SIZE);
    switch (weft_random_below(seed, 3)) {
    case 0:
        in->text[at] = marks[weft_random_below(seed, sizeof marks - 1)];
        break;
    case 1:
        in->text[at] = (char)weft_random_next(seed);
        break;
    default:
        memmove(in->text + at, in->text + at + 1, --in->size - at);
        break;
    }
}

int main(int argc, char **argv)
{
    enum { MOST = 256, ROUNDS = 2000 };
    static input inputs[MOST];
    CHECK(argc == 2);
    size_t count = read_corpus(argv[1], inputs, MOST);
    for (size_t i = 0; i < count; i++)
        LLVMFuzzerTestOneInput((const uint8_t *)inputs[i].text, inputs[i].size);
    uint64_t seed = 5;
    for (int round = 0; round < ROUNDS; round++) {
        input in = inputs[weft_random_below(&seed, count)];
        in.text[0] = round % 2 ? 'd' : 'f';
        for (int i = 1; i < CONTROL_SIZE; i++)
            in.text[i] = (char)weft_random_next(&seed);
        for (uint64_t changes = weft_random_below(&seed, 3); changes > 0 && in.size > CONTROL_SIZE + 1; changes--)
            change(&in, &seed);
        LLVMFuzzerTestOneInput((const uint8_t *)in.text, in.size);
    }
    bool is_good = served > ROUNDS;
    printf("1..1\n%s 1 - %zu connections, and %d made from them, with %lu requests\n", is_good ? "ok" : "not ok", count, ROUNDS,
           served);
    weft_app_free(app);
    return is_good ? 0 : 1;
}
#endif
