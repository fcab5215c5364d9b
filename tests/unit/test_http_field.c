/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
#include "tests/unit/unit.h"

#include "lib/http/field.h"

static void tokens(void **state)
{
    (void)state;
    assert_true(weft_http_is_token(TEXT("GET")));
    assert_true(weft_http_is_token(TEXT("!#$%&'*+-.^_`|~09azAZ")));
    assert_false(weft_http_is_token(TEXT("")));
    /* each byte: exactly RFC 9110's 77 characters */
    int count = 0;
    for (int c = 0; c < 256; c++) {
        char byte = (char)c;
        bool is_token = weft_http_is_token(&byte, 1);
        count += is_token;
        if (c <= 0x20 || c >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", c))
            assert_false(is_token);
    }
    assert_int_equal(count, 77);
    assert_false(weft_http_is_token(TEXT("a\0b")));
}

static void values(void **state)
{
    (void)state;
    assert_true(weft_http_is_field_value(TEXT("")));
    assert_true(weft_http_is_field_value(TEXT("a \t b \xc3\xa9 \xff~")));
    for (int c = 0; c < 256; c++) {
        char text[3] = { 'a', (char)c, 'b' };
        assert_int_equal(weft_http_is_field_value(text, 3), (c >= 0x20 && c != 0x7f) || c == '\t');
    }
}

/* Is it a member of the list, in any case? */
static bool list_has(const char *list, size_t size, const char *member)
{
    size_t member_size = strlen(member);
    weft_bytes found;
    while (weft_http_list_next(&list, &size, &found))
        if (found.size == member_size && weft_http_same_text(found.data, member, member_size))
            return true;
    return false;
}

static void lists(void **state)
{
    (void)state;
    assert_true(list_has(TEXT("close"), "close"));
    assert_true(list_has(TEXT("close\t"), "close"));
    assert_true(list_has(TEXT("keep-alive, \tCLOSE\t "), "close"));
    assert_true(list_has(TEXT(",,close,"), "close"));
    assert_true(list_has(TEXT("Upgrade,close"), "upgrade"));
    assert_false(list_has(TEXT(""), "close"));
    assert_false(list_has(TEXT(","), "close"));
    assert_false(list_has(TEXT("closed"), "close"));
    assert_false(list_has(TEXT("clos"), "close"));
    assert_false(list_has(TEXT("close keep-alive"), "close"));
    assert_false(list_has(TEXT("\x43los\x45x"), "close"));
    assert_false(list_has("close", 4, "close")); /* no byte behind its end counts */
}

static void members(void **state)
{
    (void)state;
    static const char *const expected[] = { "a", "", "b c", "" };
    const char *at = " a ,, b c\t, ,";
    size_t left = strlen(at), n = 0;
    weft_bytes member;
    while (weft_http_list_next(&at, &left, &member)) {
        assert_true(n < COUNT(expected));
        assert_int_equal(member.size, strlen(expected[n]));
        assert_memory_equal(member.data, expected[n], member.size);
        n++;
    }
    assert_int_equal(n, COUNT(expected));
}

static void same_text(void **state)
{
    (void)state;
    assert_true(weft_http_same_text("aZ-9", "Az-9", 4));
    assert_true(weft_http_same_text("x", "y", 0));
    /* only letters have a case */
    for (int a = 0; a < 256; a++)
        for (int b = 0; b < 256; b++) {
            char x = (char)a, y = (char)b;
            bool are_letters = (a | 0x20) == (b | 0x20) && (a | 0x20) >= 'a' && (a | 0x20) <= 'z';
            assert_int_equal(weft_http_same_text(&x, &y, 1), a == b || are_letters);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens),  cmocka_unit_test(values),    cmocka_unit_test(lists),
        cmocka_unit_test(members), cmocka_unit_test(same_text),
    };
    return cmocka_run_group_tests_name("http field", tests, NULL, NULL);
}
