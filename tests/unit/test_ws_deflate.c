/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Compressed messages (RFC 7692): cut everywhere, wrong, repetitive, bombs, and in parts. */
#include "unit.h"

#include <zlib.h>

#include "lib/base/memory.h"
#include "lib/base/random.h"
#include "ws_feed.h"

#define Z "\0\0\0\0"

/* Raw deflate of a message, as one that keeps no context sends it. */
static size_t compress_message(char *out, size_t room, const char *data, size_t size, int flush)
{
    z_stream z = { 0 };
    deflateInit2(&z, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
    z.next_in = (unsigned char *)(uintptr_t)data;
    z.avail_in = (unsigned)size;
    z.next_out = (unsigned char *)out;
    z.avail_out = (unsigned)room;
    deflate(&z, flush);
    size_t made = room - z.avail_out;
    deflateEnd(&z);
    return flush == Z_SYNC_FLUSH ? made - 4 : made;
}

/* What it says may hold NULs. */
static bool has_failed(const feed *f, const char *how)
{
    return f->is_over && f->said_size >= 5 && memcmp(f->said + f->said_size - 5, how, 5) == 0;
}

static void open_deflate(feed *f)
{
    feed_open(f, WEFT_WS_SERVER);
    f->reader.window_bits = 15;
}

static void compressed(void **state)
{
    (void)state;
    static const char text[] = "Hello Hello Hello, compressed Hello";
    char z[200], bytes[300];
    size_t size = compress_message(z, sizeof z, text, sizeof text - 1, Z_SYNC_FLUSH);
    for (size_t cut = 0; cut <= size; cut++) { /* in two fragments, each byte by byte */
        feed f;
        open_deflate(&f);
        size_t all = feed_frame(bytes, 0x41, z, cut, 9);
        all += feed_frame(bytes + all, 0x89, "p", 1, 8);
        all += feed_frame(bytes + all, 0x80, z + cut, size - cut, 7);
        all += feed_frame(bytes + all, 0xc1, z, size, 6);
        for (size_t at = 0; at < all; at++)
            feed_bytes(&f, bytes + at, 1);
        assert_string_equal(f.said, "P(p)T(Hello Hello Hello, compressed Hello)T(Hello Hello Hello, compressed Hello)");
        assert_null(f.reader.inflate);
        assert_int_equal(feed_close(&f), 0);
    }
}

/* RFC 7692 §7.2.3, its bytes. */
static void compressed_examples(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
    } examples[] = {
        { "\xc1\x87" Z "\xf2\x48\xcd\xc9\xc9\x07\x00", 13 },
        { "\x41\x83" Z "\xf2\x48\xcd\x80\x84" Z "\xc9\xc9\x07\x00", 19 },
        { "\xc1\x8b" Z "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", 17 },
        { "\xc1\x88" Z "\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 14 },
        { "\xc1\x8d" Z "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", 19 },
    };
    for (size_t i = 0; i < COUNT(examples); i++) {
        feed f;
        open_deflate(&f);
        feed_bytes(&f, examples[i].bytes, examples[i].size);
        assert_string_equal(f.said, "T(Hello)");
        feed_close(&f);
    }
    feed f; /* the second message refers to the first */
    open_deflate(&f);
    f.reader.keeps_context = true;
    feed_bytes(&f, "\xc1\x87" Z "\xf2\x48\xcd\xc9\xc9\x07\x00\xc1\x85" Z "\xf2\x00\x11\x00\x00", 24);
    assert_string_equal(f.said, "T(Hello)T(Hello)");
    feed_close(&f);
    open_deflate(&f); /* which needs what was not kept */
    feed_bytes(&f, "\xc1\x87" Z "\xf2\x48\xcd\xc9\xc9\x07\x00\xc1\x85" Z "\xf2\x00\x11\x00\x00", 24);
    assert_string_equal(f.said, "T(Hello)F1007");
    feed_close(&f);
}

static void compressed_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        const char *says;
    } cases[] = {
        { "\xc2\x84" Z "\xff\xff\xff\xff", 10, "F1007" },             /* no block of that kind */
        { "\xc2\x83" Z "\x00\x05\x00", 9, "F1007" },                  /* cut in the middle */
        { "\xc1\x86" Z "\xf2\x48\xcd\xc9\xc9\x07", 12, "F1007" },     /* without the header of the empty block */
        { "\xc1\x83" Z "\xf2\x48\xcd", 9, "F1007" },                  /* in the middle of its codes */
        { "\xc1\x87" Z "\xf3\x48\xcd\xc9\xc9\x07\x00", 13, "F1007" }, /* a stream that ends, and no block behind it */
        { "\x42\x81" Z "\x00\xc0\x81" Z "\x00", 14, "F1002" },        /* RSV1 on a continuation */
        { "\xc9\x80" Z, 6, "F1002" },                                 /* and on a ping */
        { "\xc1\x87" Z "\x00\x01\x00\xfe\xff\xff\x00", 13, "F1007" }, /* inflates to what is not UTF-8 */
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        feed f;
        open_deflate(&f);
        feed_bytes(&f, cases[i].bytes, cases[i].size);
        assert_string_equal(f.said, cases[i].says);
        assert_int_equal(feed_close(&f), 0);
    }
}

static void bombs(void **state)
{
    (void)state;
    enum { SIZE = 16 * 1024 * 1024 };
    char *zeros = calloc(1, SIZE), *z = malloc(64 * 1024), *bytes = malloc(70 * 1024);
    size_t size = compress_message(z, 64 * 1024, zeros, SIZE, Z_SYNC_FLUSH);
    assert_true(size < 20 * 1024);
    feed f;
    open_deflate(&f);
    f.reader.limit = SIZE_MAX;
    size_t all = feed_frame(bytes, 0xc2, z, size, 2);
    feed_bytes(&f, bytes, all);
    assert_string_equal(f.said, "F1009");
    assert_true(f.reader.room < 1024 * 1024); /* it was stopped long before */
    assert_int_equal(feed_close(&f), 0);
    open_deflate(&f); /* the message's limit comes before the ratio */
    f.reader.limit = 1000;
    feed_bytes(&f, bytes, all);
    assert_string_equal(f.said, "F1009");
    feed_close(&f);
    open_deflate(&f); /* 64 KiB are free */
    size = compress_message(z, 64 * 1024, zeros, 64 * 1024, Z_SYNC_FLUSH);
    feed_bytes(&f, bytes, feed_frame(bytes, 0xc2, z, size, 2));
    assert_int_equal(f.byte_count, 64 * 1024);
    feed_close(&f);
    open_deflate(&f); /* empty blocks give nothing, for ever */
    f.reader.limit = 1000;
    for (int i = 0; i < 100 && !f.is_over; i++) {
        char blocks[100];
        for (int k = 0; k < 100; k += 5)
            memcpy(blocks + k, "\x00\x00\x00\xff\xff", 5);
        feed_bytes(&f, bytes, feed_frame(bytes, i == 0 ? 0x42 : 0x00, blocks, sizeof blocks, 1));
    }
    assert_string_equal(f.said, "F1009");
    feed_close(&f);
    free(zeros);
    free(z);
    free(bytes);
}

/* A long list of objects that are nearly alike, as an interface answers: it compresses to a fiftieth, and is no bomb. */
static size_t make_json(char *out, size_t room)
{
    size_t size = 0;
    for (int i = 0; size + 100 < room; i++)
        size += (size_t)snprintf(
            out + size, 100, "{\"id\":%d,\"name\":\"somebody\",\"email\":\"\",\"is_active\":true,\"tags\":[]},", 1000 + i % 10);
    return size;
}

static void repetitive_messages(void **state)
{
    (void)state;
    enum { SIZE = 300 * 1024 };
    char *text = malloc(SIZE), *z = malloc(SIZE), *bytes = malloc(SIZE + 14);
    static const size_t sizes[] = { 60 * 1024, 70 * 1024, 300 * 1024 };
    for (size_t i = 0; i < COUNT(sizes); i++) {
        size_t size = make_json(text, sizes[i]), made = compress_message(z, SIZE, text, size, Z_SYNC_FLUSH);
        assert_true(size > 50 * made); /* far more than 25 : 1 */
        feed f;
        open_deflate(&f);
        feed_bytes(&f, bytes, feed_frame(bytes, 0xc1, z, made, 2));
        if (size <= 64 * 1024 + 25 * made)
            assert_int_equal(f.byte_count, size);
        else
            assert_string_equal(f.said, "F1009");
        assert_true((i == 2) == (f.byte_count == 0));
        assert_int_equal(feed_close(&f), 0);
    }
    free(text);
    free(z);
    free(bytes);
}

/* Limits hold for what a whole receive takes: what went out in parts before does not count for it. */
static void the_rest_behind_parts(void **state)
{
    (void)state;
    enum { SIZE = 20000, REST = 600 };
    char *text = malloc(SIZE), *z = malloc(2 * SIZE), *bytes = malloc(2 * SIZE);
    uint64_t seed = 3;
    for (size_t i = 0; i < SIZE; i++)
        text[i] = (char)weft_random_below(&seed, 256);
    for (int compresses = 0; compresses < 2; compresses++)
        for (int more = 0; more < 2; more++) {
            feed f;
            open_deflate(&f);
            f.reader.limit = 3000;
            f.reader.fragment_limit = 3;
            const char *data = compresses ? z : text;
            size_t size = compresses ? compress_message(z, 2 * SIZE, text, SIZE, Z_SYNC_FLUSH) : SIZE;
            size_t step = (size - REST) / 10, at = 0;
            for (int i = 0; i < 10; i++, at += step) {
                f.want = i == 0 ? WEFT_WS_WANT_MESSAGE : WEFT_WS_WANT_PART; /* a receive that was cut short, and then parts */
                feed_bytes(&f, bytes, feed_frame(bytes, i > 0 ? 0 : compresses ? 0x42 : 0x02, data + at, step, 2));
            }
            assert_false(f.is_over);
            size_t given = f.byte_count;
            f.want = WEFT_WS_WANT_MESSAGE;
            for (int i = 0; i < 2 + more; i++, at += 100)
                feed_bytes(&f, bytes, feed_frame(bytes, 0x00, data + at, 100, 3));
            feed_bytes(&f, bytes, feed_frame(bytes, 0x80, data + at, size - at, 3));
            if (more)
                assert_true(has_failed(&f, "F1009")); /* a fourth fragment of the rest */
            else
                assert_true(!f.is_over && f.byte_count == SIZE && given < SIZE);
            assert_int_equal(feed_close(&f), 0);
        }
    free(text);
    free(z);
    free(bytes);
}

/* A frame of a part's message, in the middle of which a whole receive begins, is held to the limit too, compressed or not. */
static void a_frame_behind_parts(void **state)
{
    (void)state;
    for (int compresses = 0; compresses < 2; compresses++) {
        feed f;
        char blocks[1000];
        open_deflate(&f);
        f.reader.limit = 1000;
        f.want = WEFT_WS_WANT_PART;
        for (int k = 0; k < 1000; k += 5)
            memcpy(blocks + k, "\x00\x00\x00\xff\xff", 5);
        feed_bytes(&f, compresses ? "\xc2\xff\0\0\1\0\0\0\0\0" Z : "\x82\xff\0\0\1\0\0\0\0\0" Z, 14);
        feed_bytes(&f, blocks, sizeof blocks);
        assert_false(f.is_over);
        f.want = WEFT_WS_WANT_MESSAGE;
        feed_bytes(&f, blocks, 5);
        assert_true(f.is_over);
        assert_true(has_failed(&f, "F1009"));
        assert_int_equal(feed_close(&f), 0);
    }
}

/* What did not compress at first has earned a ratio that a bomb behind it may use up: each part stays small all the same. */
static void parts_stay_small(void **state)
{
    (void)state;
    enum { NOISE = 400 * 1024, ZEROS = 8 * 1024 * 1024, SIZE = NOISE + ZEROS };
    char *text = calloc(1, SIZE), *z = malloc(NOISE * 2), *bytes = malloc(NOISE * 2 + 14);
    uint64_t seed = 4;
    for (size_t i = 0; i < NOISE; i++)
        text[i] = (char)weft_random_below(&seed, 256);
    size_t made = compress_message(z, NOISE * 2, text, SIZE, Z_SYNC_FLUSH), all = feed_frame(bytes, 0xc2, z, made, 0), got = 0;
    feed f;
    open_deflate(&f);
    enum weft_ws_kind kind = WEFT_WS_PART;
    for (size_t at = 0, taken; kind != WEFT_WS_MESSAGE; at += taken) {
        weft_ws_event event;
        kind = weft_ws_reader_next(&f.reader, WEFT_WS_WANT_PART, bytes + at, all - at, &taken, &event);
        assert_true(kind == WEFT_WS_PART || kind == WEFT_WS_MESSAGE);
        assert_true(f.reader.size < 200 * 1024 && f.reader.room < 520 * 1024);
        assert_memory_equal(f.reader.data, text + got, f.reader.size);
        got += f.reader.size;
    }
    assert_int_equal(got, SIZE);
    assert_int_equal(feed_close(&f), 0);
    free(text);
    free(z);
    free(bytes);
}

/* Each allocation of a life fails once: it ends as if memory were out, and gives everything back. */
static void allocations_fail(void **state)
{
    (void)state;
    char z[200], bytes[3000], text[2000];
    memset(text, 't', sizeof text);
    size_t size = compress_message(z, sizeof z, text, sizeof text, Z_SYNC_FLUSH);
    for (uint64_t n = 1; n < 200; n++) {
        weft_faults faults = { .fail_at = n };
        feed f;
        open_deflate(&f);
        weft_mem_set_faults(&faults);
        feed_bytes(&f, bytes, feed_frame(bytes, 0xc1, z, size, 4));
        feed_bytes(&f, bytes, feed_frame(bytes, 0x02, text, sizeof text, 4));
        feed_bytes(&f, bytes, feed_frame(bytes, 0x89, "x", 1, 4));
        feed_bytes(&f, bytes, feed_frame(bytes, 0x80, text, 10, 4));
        weft_mem_set_faults(NULL);
        assert_true(faults.struck == (strstr(f.said, "F1013") != NULL));
        assert_int_equal(feed_close(&f), 0);
        if (!faults.struck)
            return;
    }
    fail();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compressed),           cmocka_unit_test(compressed_examples),
        cmocka_unit_test(compressed_wrong),     cmocka_unit_test(bombs),
        cmocka_unit_test(repetitive_messages),  cmocka_unit_test(the_rest_behind_parts),
        cmocka_unit_test(a_frame_behind_parts), cmocka_unit_test(parts_stay_small),
        cmocka_unit_test(allocations_fail),
    };
    return cmocka_run_group_tests_name("compressed WebSocket messages", tests, NULL, NULL);
}
