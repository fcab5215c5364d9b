/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Digests, base64, randomness, UTF-8 and deflate: what WebSockets rest on. */
#include "unit.h"

#include "lib/base/memory.h"
#include "lib/base/random.h"
#include "lib/codec/deflate.h"
#include "lib/crypto/crypto.h"
#include "lib/ws/utf8.h"
#include "tests/rounds.h"

#include <weft/error.h>

static void sha1(void **state)
{
    (void)state;
    unsigned char digest[WEFT_SHA1_SIZE];
    char hex[2 * WEFT_SHA1_SIZE + 1];
    assert_int_equal(weft_sha1("abc", 3, digest), 0);
    for (int i = 0; i < WEFT_SHA1_SIZE; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    assert_string_equal(hex, "a9993e364706816aba3e25717850c26c9cd0d89d");
}

static void base64(void **state)
{
    (void)state;
    static const char *const pairs[][2] = { { "", "" },
                                            { "f", "Zg==" },
                                            { "fo", "Zm8=" },
                                            { "foo", "Zm9v" },
                                            { "foob", "Zm9vYg==" },
                                            { "fooba", "Zm9vYmE=" },
                                            { "\xff\xfe", "//4=" } };
    for (size_t i = 0; i < COUNT(pairs); i++) {
        char out[32];
        size_t size = strlen(pairs[i][0]);
        size_t made = weft_base64_encode(out, pairs[i][0], size);
        assert_int_equal(made, strlen(pairs[i][1]));
        assert_int_equal(made, WEFT_BASE64_SIZE(size));
        assert_memory_equal(out, pairs[i][1], made);
        assert_int_equal(weft_base64_decode(out, pairs[i][1], made), (int64_t)size);
        assert_memory_equal(out, pairs[i][0], size);
    }
    static const char *const wrong[] = {
        "Z", "Zg=", "Zh==", "Zm9=", "Zg==Zg==", "Z===", "====", "Zm 8", "Zm8\n", "Zm8-", "=Zm8"
    };
    for (size_t i = 0; i < COUNT(wrong); i++) {
        char out[32];
        assert_int_equal(weft_base64_decode(out, wrong[i], strlen(wrong[i])), -EINVAL);
    }
}

static void randomness(void **state)
{
    (void)state;
    unsigned char a[32] = { 0 }, b[32] = { 0 };
    assert_int_equal(weft_random_bytes(a, sizeof a), 0);
    assert_int_equal(weft_random_bytes(b, sizeof b), 0);
    assert_memory_not_equal(a, b, sizeof a);
}

/* ---- UTF-8 ---- */

/* Decodes as RFC 3629 defines it, in the plainest way. */
static bool is_utf8(const unsigned char *s, size_t size)
{
    for (size_t i = 0; i < size;) {
        unsigned c = s[i++];
        int more = c < 0x80 ? 0 : c >= 0xc0 && c < 0xe0 ? 1 : c >= 0xe0 && c < 0xf0 ? 2 : c >= 0xf0 && c < 0xf8 ? 3 : -1;
        static const unsigned least[] = { 0, 0x80, 0x800, 0x10000 }, masks[] = { 0x7f, 0x1f, 0x0f, 0x07 };
        if (more < 0)
            return false;
        unsigned point = c & masks[more];
        for (int k = 0; k < more; k++) {
            if (i == size || (s[i] & 0xc0) != 0x80)
                return false;
            point = point << 6 | (s[i++] & 0x3f);
        }
        if (point < least[more] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
            return false;
    }
    return true;
}

static void all_of_two_and_three(void **state)
{
    (void)state;
    unsigned all = (unsigned)rounds(1 << 18);
    for (unsigned n = 0; n < 1U << 24; n += n < all || (n >> 16 >= 0xe0 && n >> 16 <= 0xf4 && (n & 7) == 0) ? 1 : 257) {
        unsigned char bytes[] = { (unsigned char)(n >> 16), (unsigned char)(n >> 8), (unsigned char)n };
        weft_utf8 u = { 0 };
        bool is_right = weft_utf8_check(&u, (char *)bytes, 3) && weft_utf8_is_whole(&u);
        if (is_right != is_utf8(bytes, 3))
            fail();
    }
}

/* Random texts of few kinds of bytes, whole and in two pieces, at each alignment. */
static void random_texts(void **state)
{
    (void)state;
    static const unsigned char kinds[] = { 'a', 'b', 0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x98, 0x80, 0xed, 0xa0, 0xff };
    int all = rounds(200000);
    uint64_t seed = 7;
    for (int round = 0; round < all; round++) {
        unsigned char text[64];
        size_t size = weft_random_below(&seed, sizeof text), cut = size ? weft_random_below(&seed, size) : 0;
        for (size_t i = 0; i < size; i++)
            text[i] = weft_random_below(&seed, 3) ? 'x' : kinds[weft_random_below(&seed, sizeof kinds)];
        weft_utf8 whole = { 0 }, two = { 0 };
        bool a = weft_utf8_check(&whole, (char *)text, size) && weft_utf8_is_whole(&whole);
        bool b = weft_utf8_check(&two, (char *)text, cut) && weft_utf8_check(&two, (char *)text + cut, size - cut) &&
                 weft_utf8_is_whole(&two);
        if (a != b || a != is_utf8(text, size))
            fail();
    }
}

static void the_first_wrong_byte(void **state)
{
    (void)state;
    static const char text[] = "0123456789abcdef0123456789\xf4\x90";
    for (size_t size = 0; size < sizeof text - 1; size++) {
        weft_utf8 u = { 0 };
        assert_true(weft_utf8_check(&u, text, size)); /* whatever comes later */
    }
    weft_utf8 u = { 0 };
    assert_false(weft_utf8_check(&u, text, sizeof text - 1));
}

/* ---- deflate ---- */

static void there_and_back(void **state)
{
    (void)state;
    if (!weft_deflate_is_there())
        return;
    uint64_t seed = 1;
    for (int window = WEFT_DEFLATE_WINDOW_MIN; window <= WEFT_DEFLATE_WINDOW_MAX; window++)
        for (int keeps = 0; keeps < 2; keeps++) {
            weft_deflate *z = weft_deflate_new(window, 1);
            weft_inflate *i = weft_inflate_new(window);
            assert_true(z && i);
            for (int round = 0; round < 20; round++) {
                char in[5000], out[6000], z_out[6000];
                size_t size = weft_random_below(&seed, sizeof in), at = 0, got = 0;
                for (size_t k = 0; k < size; k++)
                    in[k] = (char)('a' + weft_random_below(&seed, 4));
                assert_true(weft_deflate_bound(z, size) <= sizeof z_out);
                int64_t made = weft_deflate_message(z, in, size, z_out, weft_deflate_bound(z, size), keeps);
                assert_true(made >= 1);
                for (int64_t n = 1; at < (size_t)made || n > 0; got += (size_t)n) { /* room for a few bytes at a time */
                    n = weft_inflate_run(i, 25, z_out, (size_t)made, &at, out + got, 100);
                    assert_true(n >= 0);
                }
                assert_int_equal(weft_inflate_end(i, keeps), 0);
                assert_int_equal(got, size);
                assert_memory_equal(in, out, size);
            }
            weft_deflate_free(z);
            weft_inflate_free(i);
        }
}

/* What is cut off anywhere is no message, though nothing in it is wrong; and the next one is read as if it had never been. */
static void cut_off(void **state)
{
    (void)state;
    char in[3000], out[4000], z_out[4000];
    uint64_t seed = 7;
    if (!weft_deflate_is_there())
        return;
    for (size_t k = 0; k < sizeof in; k++)
        in[k] = (char)('a' + weft_random_below(&seed, 16) * weft_random_below(&seed, 2));
    for (int level = 1; level <= 9; level += 8)
        for (size_t size = 5; size <= sizeof in; size = size * 3 + 2) {
            weft_deflate *z = weft_deflate_new(15, level);
            weft_inflate *i = weft_inflate_new(15);
            assert_true(z && i);
            size_t made = (size_t)weft_deflate_message(z, in, size, z_out, weft_deflate_bound(z, size), false);
            for (size_t cut = 0; cut <= made; cut++) {
                size_t at = 0;
                int64_t n = weft_inflate_run(i, 25, z_out, cut, &at, out, sizeof out);
                assert_true(n >= 0 && n <= (int64_t)size && at == cut);
                assert_int_equal(weft_inflate_end(i, false), cut == made || cut == 0 ? 0 : WEFT_EPROTOCOL);
            }
            weft_deflate_free(z);
            weft_inflate_free(i);
        }
}

/* 64 KiB may come out of however little; what is beyond that is held against all that went in, to the byte. */
static void ratio_to_the_byte(void **state)
{
    (void)state;
    enum { ROOM = 512 * 1024 };
    if (!weft_deflate_is_there())
        return;
    char *zeros = calloc(1, ROOM), *z_out = malloc(ROOM), *out = malloc(ROOM);
    size_t step = rounds(ROOM) < ROOM ? 4093 : 1021; /* fewer under Valgrind */
    weft_deflate *z = weft_deflate_new(15, 9);
    weft_inflate *i = weft_inflate_new(15);
    assert_true(z && i && zeros && z_out && out);
    for (size_t size = 60 * 1024; size < ROOM; size += step) {
        size_t at = 0, made = (size_t)weft_deflate_message(z, zeros, size, z_out, ROOM, false);
        int64_t n = weft_inflate_run(i, 25, z_out, made, &at, out, ROOM);
        bool is_bomb = size > WEFT_INFLATE_FREE && size - WEFT_INFLATE_FREE > 25 * made;
        assert_true(is_bomb ? n == -E2BIG : n == (int64_t)size);
        weft_inflate_reset(i);
    }
    weft_deflate_free(z);
    weft_inflate_free(i);
    free(zeros);
    free(z_out);
    free(out);
}

static void deflate_without_memory(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 20; n++) {
        weft_faults faults = { .fail_at = n };
        weft_mem_set_faults(&faults);
        weft_deflate *z = weft_deflate_new(15, 1);
        weft_inflate *i = weft_inflate_new(15);
        weft_mem_set_faults(NULL);
        assert_true(faults.struck == (!z || !i) || !weft_deflate_is_there());
        weft_deflate_free(z);
        weft_inflate_free(i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha1),
        cmocka_unit_test(base64),
        cmocka_unit_test(randomness),
        cmocka_unit_test(all_of_two_and_three),
        cmocka_unit_test(random_texts),
        cmocka_unit_test(the_first_wrong_byte),
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(cut_off),
        cmocka_unit_test(ratio_to_the_byte),
        cmocka_unit_test(deflate_without_memory),
    };
    return cmocka_run_group_tests_name("crypto", tests, NULL, NULL);
}
