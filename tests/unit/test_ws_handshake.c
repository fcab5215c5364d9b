/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* The opening handshake: each rule by itself, and what is agreed on. */
#include "unit.h"

#include "lib/ws/handshake.h"

#define GOOD_KEY "dGhlIHNhbXBsZSBub25jZQ=="

/* Fields of a request, "Name: value" lines, over those of a good handshake that they replace ("Name" alone leaves one out). */
static void read_fields(weft_ws_handshake *h, const char *lines)
{
    static const char *const good[] = { "Host: example.org", "Connection: Upgrade", "Upgrade: websocket",
                                        "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " GOOD_KEY };
    *h = (weft_ws_handshake){ .is_get = true, .is_1_1 = true };
    for (size_t i = 0; i < COUNT(good); i++) {
        char name[40] = "\n";
        size_t name_size = strcspn(good[i], ":");
        memcpy(name + 1, good[i], name_size);
        name[1 + name_size] = '\0';
        char shown[600];
        snprintf(shown, sizeof shown, "\n%s", lines);
        if (!strstr(shown, name))
            weft_ws_handshake_field(h, good[i], name_size, good[i] + name_size + 2, strlen(good[i]) - name_size - 2);
    }
    while (*lines) {
        size_t size = strcspn(lines, "\n"), name_size = strcspn(lines, ":\n");
        if (name_size + 2 <= size)
            weft_ws_handshake_field(h, lines, name_size, lines + name_size + 2, size - name_size - 2);
        lines += size + (lines[size] == '\n');
    }
}

static int judge(const char *lines, const weft_ws_terms *terms, weft_ws_answer *answer)
{
    static const weft_ws_terms none;
    weft_ws_handshake h;
    read_fields(&h, lines);
    return weft_ws_handshake_judge(&h, terms ? terms : &none, answer);
}

static void the_key_of_the_rfc(void **state)
{
    (void)state;
    weft_ws_answer answer;
    assert_int_equal(judge("", NULL, &answer), 0);
    assert_string_equal(answer.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_null(answer.protocol);
    assert_string_equal(answer.extension, "");
}

static void each_rule(void **state)
{
    (void)state;
    static const struct {
        const char *lines;
        int status;
    } cases[] = {
        { "Connection: keep-alive, Upgrade", 0 },
        { "Connection: close\nConnection: x, uPGRADE ,y", 0 },
        { "Upgrade: h2c, WebSocket", 0 },
        { "Connection", 426 },
        { "Connection: keep-alive", 426 },
        { "Connection: upgraded", 426 },
        { "Upgrade", 426 },
        { "Upgrade: h2c", 426 },
        { "Upgrade: websocket2", 426 },
        { "Sec-WebSocket-Version", 426 },
        { "Sec-WebSocket-Version: 8", 426 },
        { "Sec-WebSocket-Version: 8, 13", 426 },
        { "Sec-WebSocket-Version: 13\nSec-WebSocket-Version: 13", 400 },
        { "Sec-WebSocket-Key", 400 },
        { "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", 0 },
        { "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAB==", 400 }, /* unused bits */
        { "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAA=", 400 }, /* 17 bytes */
        { "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA", 400 },     /* 15 */
        { "Sec-WebSocket-Key: AAAAAAAAAAA AAAAAAAAAA==", 400 },
        { "Sec-WebSocket-Key: " GOOD_KEY "\nSec-WebSocket-Key: " GOOD_KEY, 400 },
        { "Origin: http://example.org", 0 },
        { "Origin: https://Example.ORG", 0 },
        { "Origin: http://example.org:80", 0 },
        { "Origin: https://example.org:443", 0 },
        { "Origin: http://example.org:8080", 403 },
        { "Origin: http://example.org:443", 403 },
        { "Origin: http://example.org.evil.example", 403 },
        { "Origin: http://evil.example", 403 },
        { "Origin: http://example.or", 403 },
        { "Origin: null", 403 },
        { "Origin: file://example.org", 403 },
        { "Origin: ", 403 },
        { "Host: example.org:8080\nOrigin: http://example.org:8080", 0 },
        { "Host: example.org:8080\nOrigin: http://example.org", 403 },
        { "Host: example.org:80\nOrigin: http://example.org", 0 },
        { "Host: [::1]:8080\nOrigin: http://[::1]:8080", 0 },
        { "Origin: http://example.org\nOrigin: http://evil.example", 400 },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        weft_ws_answer answer;
        int status = judge(cases[i].lines, NULL, &answer);
        if (status != cases[i].status)
            print_error("%s: %d\n", cases[i].lines, status);
        assert_int_equal(status, cases[i].status);
        assert_true(status == 0 || answer.words);
    }
}

static void only_get_and_1_1(void **state)
{
    (void)state;
    static const weft_ws_terms none;
    weft_ws_answer answer;
    weft_ws_handshake h;
    read_fields(&h, "");
    h.is_get = false;
    assert_int_equal(weft_ws_handshake_judge(&h, &none, &answer), 400);
    read_fields(&h, "");
    h.is_1_1 = false;
    assert_int_equal(weft_ws_handshake_judge(&h, &none, &answer), 400);
    read_fields(&h, "");
    h.has_body = true;
    assert_int_equal(weft_ws_handshake_judge(&h, &none, &answer), 400);
}

/* Where we speak TLS ourselves, a page of the same host that came without it is none of ours. */
static void origins_over_tls(void **state)
{
    (void)state;
    static const char *const plain[] = { "http://example.org", NULL };
    static const weft_ws_terms none;
    weft_ws_terms listed = { .origins = plain };
    weft_ws_answer answer;
    weft_ws_handshake h;
    read_fields(&h, "Origin: https://example.org");
    h.is_secure = true;
    assert_int_equal(weft_ws_handshake_judge(&h, &none, &answer), 0);
    read_fields(&h, "Origin: http://example.org");
    assert_int_equal(weft_ws_handshake_judge(&h, &none, &answer), 0);
    h.is_secure = true;
    assert_int_equal(weft_ws_handshake_judge(&h, &none, &answer), 403);
    assert_int_equal(weft_ws_handshake_judge(&h, &listed, &answer), 0);
}

static void listed_origins(void **state)
{
    (void)state;
    static const char *const one[] = { "https://app.example", NULL }, *const any[] = { "*", NULL };
    weft_ws_terms terms = { .origins = one };
    weft_ws_answer answer;
    assert_int_equal(judge("Origin: https://APP.example", &terms, &answer), 0);
    assert_int_equal(judge("Origin: http://app.example", &terms, &answer), 403);
    assert_int_equal(judge("Origin: https://app.example.evil", &terms, &answer), 403);
    assert_int_equal(judge("Origin: http://example.org", &terms, &answer), 0); /* the host's own stays */
    terms.origins = any;
    assert_int_equal(judge("Origin: null", &terms, &answer), 0);
}

static void protocols(void **state)
{
    (void)state;
    static const char *const ours[] = { "v2", "v1", NULL };
    static const struct {
        const char *lines, *agreed;
    } cases[] = {
        { "", NULL },
        { "Sec-WebSocket-Protocol: v1, v2", "v2" }, /* ours is the preference */
        { "Sec-WebSocket-Protocol: v1", "v1" },
        { "Sec-WebSocket-Protocol: x\nSec-WebSocket-Protocol: y, v1", "v1" },
        { "Sec-WebSocket-Protocol: V2", NULL }, /* case counts */
        { "Sec-WebSocket-Protocol: v, v22,", NULL },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        weft_ws_terms terms = { .protocols = ours };
        weft_ws_answer answer;
        assert_int_equal(judge(cases[i].lines, &terms, &answer), 0);
        if (!cases[i].agreed)
            assert_null(answer.protocol);
        else
            assert_string_equal(answer.protocol, cases[i].agreed);
    }
}

static void deflate(void **state)
{
    (void)state;
#define PMD   "permessage-deflate"
#define NOCTX PMD "; server_no_context_takeover; client_no_context_takeover"
#define EXT   "Sec-WebSocket-Extensions: "
    static const struct {
        const char *lines;
        bool keeps;
        const char *agreed;
    } cases[] = {
        { "", false, "" },
        { EXT PMD, false, NOCTX },
        { EXT PMD, true, PMD },
        { EXT PMD "; client_max_window_bits", false, NOCTX },
        { EXT PMD "; client_max_window_bits=10", true, PMD "; client_max_window_bits=10" },
        { EXT PMD "; client_max_window_bits=8", true, PMD "; client_max_window_bits=8" },
        { EXT PMD "; server_max_window_bits=9", true, PMD "; server_max_window_bits=9" },
        { EXT PMD ";server_max_window_bits=\"15\"", true, PMD "; server_max_window_bits=15" },
        { EXT PMD "; server_no_context_takeover", true, PMD "; server_no_context_takeover" },
        { EXT PMD "; client_no_context_takeover; server_max_window_bits=12; client_max_window_bits=11", true,
          PMD "; client_no_context_takeover; server_max_window_bits=12; client_max_window_bits=11" },
        { EXT PMD "; server_max_window_bits=8", true, "" }, /* zlib makes none */
        { EXT PMD "; server_max_window_bits=8, " PMD, true, PMD },
        { EXT PMD "; server_max_window_bits", true, "" },
        { EXT PMD "; server_max_window_bits=16", true, "" },
        { EXT PMD "; server_max_window_bits=07", true, "" },
        { EXT PMD "; client_max_window_bits=0", true, "" },
        { EXT PMD "; client_max_window_bits=", true, "" },
        { EXT PMD "; server_no_context_takeover=1", true, "" },
        { EXT PMD "; server_no_context_takeover; server_no_context_takeover", true, "" },
        { EXT PMD "; unknown", true, "" },
        { EXT PMD ";", true, PMD },
        { EXT "x-other, " PMD, true, PMD },
        { EXT "x-other\n" EXT PMD, true, PMD },
        { EXT "permessage-deflate2", true, "" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        weft_ws_terms terms = { .deflates = true, .keeps_our_context = cases[i].keeps, .keeps_their_context = cases[i].keeps };
        weft_ws_answer answer;
        assert_int_equal(judge(cases[i].lines, &terms, &answer), 0);
        if (strcmp(answer.extension, cases[i].agreed) != 0)
            print_error("%s\n", cases[i].lines);
        assert_string_equal(answer.extension, cases[i].agreed);
        assert_true(answer.deflate.is_on == (*cases[i].agreed != '\0'));
    }
    weft_ws_answer answer;
    assert_int_equal(judge(EXT PMD, NULL, &answer), 0);
    assert_false(answer.deflate.is_on);
}

static void too_many_fields(void **state)
{
    (void)state;
    char lines[600] = "";
    for (int i = 0; i < WEFT_WS_LISTS_MAX + 1; i++)
        snprintf(lines + strlen(lines), sizeof lines - strlen(lines), "Sec-WebSocket-Protocol: a\n");
    weft_ws_answer answer;
    assert_int_equal(judge(lines, NULL, &answer), 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_key_of_the_rfc),
        cmocka_unit_test(each_rule),
        cmocka_unit_test(only_get_and_1_1),
        cmocka_unit_test(origins_over_tls),
        cmocka_unit_test(listed_origins),
        cmocka_unit_test(protocols),
        cmocka_unit_test(deflate),
        cmocka_unit_test(too_many_fields),
    };
    return cmocka_run_group_tests_name("WebSocket handshake", tests, NULL, NULL);
}
