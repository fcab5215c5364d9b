/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The first test of all: the llhttp that is linked is the strict one. Built without strict mode, llhttp 8 takes a TAB in a
 * target and a CR without LF at the end of a head, and is not safe to use. If this fails, nothing else counts.
 */
#include "tests/unit/unit.h"

#include <llhttp.h>

static int on_headers_complete(llhttp_t *llhttp)
{
    *(bool *)llhttp->data = true;
    return 0;
}

#ifdef WEFT_LLHTTP_SSE42
int llhttp__internal_execute_sse42(llhttp_t *llhttp, const char *data, const char *end);

static bool has_second_build(void)
{
    return __builtin_cpu_supports("sse4.2");
}

static int execute_second(llhttp_t *llhttp, const char *text, size_t size)
{
    return llhttp__internal_execute_sse42(llhttp, text, text + size);
}
#else
static bool has_second_build(void)
{
    return false;
}

static int execute_second(llhttp_t *llhttp, const char *text, size_t size)
{
    return llhttp_execute(llhttp, text, size);
}
#endif

struct outcome {
    bool has_ended; /* the head has */
    int error;
    size_t error_at;
    uint64_t content_length;
    uint16_t flags;
};

static struct outcome parse(const char *text, size_t size, bool by_second)
{
    struct outcome outcome = { 0 };
    llhttp_settings_t settings;
    llhttp_settings_init(&settings);
    settings.on_headers_complete = on_headers_complete;
    llhttp_t llhttp;
    llhttp_init(&llhttp, HTTP_REQUEST, &settings);
    llhttp.data = &outcome.has_ended;
    outcome.error = by_second ? execute_second(&llhttp, text, size) : (int)llhttp_execute(&llhttp, text, size);
    outcome.error_at = outcome.error ? (size_t)(llhttp_get_error_pos(&llhttp) - text) : 0;
    outcome.content_length = llhttp.content_length;
    outcome.flags = llhttp.flags;
    return outcome;
}

static void assert_agree(const char *text, size_t size)
{
    struct outcome first = parse(text, size, false), second = parse(text, size, true);
    assert_int_equal(first.has_ended, second.has_ended);
    assert_int_equal(first.error, second.error);
    assert_int_equal(first.error_at, second.error_at);
    assert_int_equal(first.content_length, second.content_length);
    assert_int_equal(first.flags, second.flags);
}

/* Has the whole been parsed without an error, to the end of its head? By both builds, if there are two. */
static bool accepts(const char *text, size_t size)
{
    struct outcome outcome = parse(text, size, false);
    if (has_second_build())
        assert_agree(text, size);
    return outcome.error == HPE_OK && outcome.has_ended;
}

static void accepts_a_request(void **state)
{
    (void)state;
    assert_true(accepts(TEXT("GET /a?b=c HTTP/1.1\r\nHost: a\r\n\r\n")));
    assert_true(accepts(TEXT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n")));
}

static void refuses_a_tab_in_the_target(void **state)
{
    (void)state;
    assert_false(accepts(TEXT("GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n")));
    assert_false(accepts(TEXT("GET /a\fb HTTP/1.1\r\nHost: a\r\n\r\n")));
}

static void refuses_high_bytes_in_the_target(void **state)
{
    (void)state;
    assert_false(accepts(TEXT("GET /caf\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n")));
}

static void refuses_cr_without_lf_at_the_end(void **state)
{
    (void)state;
    assert_false(accepts(TEXT("GET / HTTP/1.1\r\nHost: a\r\n\rX")));
}

static void refuses_cr_without_lf_behind_a_field(void **state)
{
    (void)state;
    assert_false(accepts(TEXT("GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n")));
}

static void refuses_two_framings(void **state)
{
    (void)state;
    assert_false(accepts(TEXT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n")));
    assert_false(accepts(TEXT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nabcde")));
}

static void refuses_a_request_behind_close(void **state)
{
    (void)state;
    assert_false(accepts(TEXT("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")));
}

static void refuses_bad_chunk_sizes(void **state)
{
    (void)state;
    static const char head[] = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    static const char *const bodies[] = {
        "-1\r\n", "+1\r\n", "0x1\r\n", " 1\r\n", "10000000000000000\r\n", "1\rab", "1\r\nabc"
    };
    for (size_t i = 0; i < COUNT(bodies); i++) {
        char text[128];
        int size = snprintf(text, sizeof(text), "%s%s", head, bodies[i]);
        assert_false(accepts(text, (size_t)size));
    }
}

static void two_builds_agree_on_every_byte(void **state)
{
    (void)state;
    char text[] = "POST /a?b=c HTTP/1.1\r\nHost: a\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) Gecko\r\n"
                  "Content-Length: 0000000000000000002\r\nConnection: keep-alive, x-something, close  \r\n\r\n";
    if (!has_second_build())
        skip();
    for (size_t i = 0; i < sizeof text - 1; i++) {
        char kept = text[i];
        assert_agree(text, i);
        for (int byte = 0; byte < 256; byte++) {
            text[i] = (char)byte;
            assert_agree(text, sizeof text - 1);
        }
        text[i] = kept;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_a_request),
        cmocka_unit_test(refuses_a_tab_in_the_target),
        cmocka_unit_test(refuses_high_bytes_in_the_target),
        cmocka_unit_test(refuses_cr_without_lf_at_the_end),
        cmocka_unit_test(refuses_cr_without_lf_behind_a_field),
        cmocka_unit_test(refuses_two_framings),
        cmocka_unit_test(refuses_a_request_behind_close),
        cmocka_unit_test(refuses_bad_chunk_sizes),
        cmocka_unit_test(two_builds_agree_on_every_byte),
    };
    return cmocka_run_group_tests_name("llhttp is strict", tests, NULL, NULL);
}
