/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* A copy of a chunked body's reader, taken at each byte: it goes on as the first would, whatever the other is given. */
#include <string.h>

#include "lib/http/chunked.h"
#include "unit.h"

static const weft_chunked_limits limits = WEFT_CHUNKED_LIMITS_DEFAULT;

/* Feeds all of `text`, as one piece; what there is of payload is added to `payload`. The last result. */
static int feed(weft_chunked *chunked, const char *text, size_t size, char *payload)
{
    int rc = WEFT_CHUNKED_PAYLOAD;
    while (rc == WEFT_CHUNKED_PAYLOAD) {
        size_t consumed;
        weft_bytes run;
        rc = weft_chunked_next(chunked, text, size, &consumed, &run);
        if (rc == WEFT_CHUNKED_PAYLOAD) {
            size_t had = strlen(payload);
            memcpy(payload + had, run.data, run.size);
            payload[had + run.size] = '\0';
        }
        text += consumed;
        size -= consumed;
    }
    return rc;
}

static const char body[] = "3\r\nabc\r\n4;x=\"y\"\r\ndefg\r\n0\r\nOne: first\r\nTwo: second\r\n\r\n";

static void check_all(const weft_chunked *chunked, const char *payload)
{
    int count;
    weft_chunked_trailers(chunked, &count);
    assert_string_equal(payload, "abcdefg");
    assert_int_equal(count, 2);
    assert_string_equal(weft_chunked_find(chunked, "one"), "first");
    assert_string_equal(weft_chunked_find(chunked, "two"), "second");
}

static void goes_on_alone(void **state)
{
    (void)state;
    const size_t size = sizeof body - 1;
    for (size_t at = 0; at < size; at++) {
        weft_arena_pool pool;
        weft_arena arena;
        char before[16] = "", other[200] = "", ahead[16], after[16];
        weft_arena_pool_init(&pool, 0);
        weft_arena_init(&arena, &pool);
        weft_chunked *chunked = weft_chunked_new(&arena, &limits);
        assert_int_equal(feed(chunked, body, at, before), WEFT_CHUNKED_MORE);
        weft_chunked *misled = weft_chunked_copy(chunked), *copy = weft_chunked_copy(chunked);
        assert_true(misled && copy);
        feed(misled, "zzzz\r\nzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz\r\n\r\n0\r\n\r\n", 53, other);
        memcpy(ahead, before, sizeof ahead);
        memcpy(after, before, sizeof after);
        assert_int_equal(feed(copy, body + at, size - at, ahead), WEFT_CHUNKED_END);
        check_all(copy, ahead);
        assert_int_equal(feed(chunked, body + at, size - at, after), WEFT_CHUNKED_END);
        check_all(chunked, after);
        check_all(copy, ahead);
        weft_arena_free(&arena);
        weft_arena_pool_close(&pool);
    }
}

/* A refusal and an end are copied too. */
static void is_over_as_the_first(void **state)
{
    (void)state;
    static const char *const texts[] = { "0\r\n\r\n", "x" };
    static const int results[] = { WEFT_CHUNKED_END, -400 };
    for (size_t i = 0; i < 2; i++) {
        weft_arena_pool pool;
        weft_arena arena;
        char payload[16] = "";
        weft_arena_pool_init(&pool, 0);
        weft_arena_init(&arena, &pool);
        weft_chunked *chunked = weft_chunked_new(&arena, &limits);
        assert_int_equal(feed(chunked, texts[i], strlen(texts[i]), payload), results[i]);
        assert_int_equal(feed(weft_chunked_copy(chunked), "1\r\na\r\n", 6, payload), results[i]);
        assert_string_equal(payload, "");
        weft_arena_free(&arena);
        weft_arena_pool_close(&pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(goes_on_alone), cmocka_unit_test(is_over_as_the_first) };
    return cmocka_run_group_tests_name("copies of chunked bodies", tests, NULL, NULL);
}
