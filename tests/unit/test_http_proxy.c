/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* PROXY headers: each is read whole and at every length of its beginning, which must need more until it is whole, and be
 * refused at the first byte that decides. */
#include "tests/unit/unit.h"

#include "lib/http/proxy.h"
#include "lib/net/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#define SIGNATURE      "\r\n\r\n\0\r\nQUIT\n"
#define V2(bytes)      TEXT(SIGNATURE bytes)
#define IN_ADDRESSES   "\xc0\x00\x02\x01\xc6\x33\x64\x07\x12\x34\x01\xbb"
#define ZEROS_16       "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define IN6_ADDRESSES  "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01" ZEROS_16 "\x12\x34\x01\xbb"
#define MAPPED         "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x01" ZEROS_16 "\x12\x34\x01\xbb"
#define ZEROS_108      ZEROS_16 ZEROS_16 ZEROS_16 ZEROS_16 ZEROS_16 ZEROS_16 "\0\0\0\0\0\0\0\0\0\0\0\0"
#define UNIX_ADDRESSES ZEROS_108 ZEROS_108

enum { LIMIT = 300 };

static void test_reads(void **state)
{
    (void)state;
    static const struct {
        const char *data;
        size_t size;
        const char *client;
    } cases[] = {
        { TEXT("PROXY TCP4 192.0.2.1 198.51.100.7 51234 443\r\n"), "192.0.2.1" },
        { TEXT("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), "255.255.255.255" },
        { TEXT("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n"), "0.0.0.0" },
        { TEXT("PROXY TCP6 2001:DB8::1 ::1 51234 443\r\n"), "2001:db8::1" },
        { TEXT("PROXY TCP6 ::ffff:192.0.2.1 ::1 51234 443\r\n"), "192.0.2.1" },
        { TEXT("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
          "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" },
        { TEXT("PROXY UNKNOWN\r\n"), "" },
        { TEXT("PROXY UNKNOWN whatever it  is\r\n"), "" },
        { TEXT("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
          "" },
        { V2("\x21\x11\0\x0c" IN_ADDRESSES), "192.0.2.1" },
        { V2("\x21\x11\0\x11" IN_ADDRESSES "\x04\0\2ab"), "192.0.2.1" }, /* with a TLV */
        { V2("\x21\x21\0\x24" IN6_ADDRESSES), "2001:db8::1" },
        { V2("\x21\x21\0\x24" MAPPED), "192.0.2.1" },
        { V2("\x21\x31\0\xd8" UNIX_ADDRESSES), "unix" },
        { V2("\x21\x12\0\x0c" IN_ADDRESSES), "" }, /* datagrams */
        { V2("\x21\x00\0\0"), "" },
        { V2("\x21\x00\0\5abcde"), "" },
        { V2("\x20\x00\0\0"), "" },                /* LOCAL */
        { V2("\x20\x11\0\x0c" IN_ADDRESSES), "" }, /* LOCAL: the addresses do not count */
        { V2("\x20\xff\0\1x"), "" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        weft_proxy_header header;
        char data[512];
        for (size_t size = 0; size < cases[i].size; size++) {
            char *cut = malloc(size ? size : 1); /* of the exact size, for the address sanitizer */
            memcpy(cut, cases[i].data, size);
            if (weft_proxy_read(&header, cut, size, LIMIT) != 0)
                fail_msg("number %zu: not read on at %zu", i, size);
            free(cut);
        }
        memcpy(data, cases[i].data, cases[i].size);
        memcpy(data + cases[i].size, "GET / HTTP", 10);
        for (size_t more = 0; more <= 10; more++)
            assert_int_equal(weft_proxy_read(&header, data, cases[i].size + more, LIMIT), cases[i].size);
        assert_string_equal(header.client, cases[i].client);
    }
}

/* Refused when the byte at `at` has come, and needing more before. */
static void test_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *data;
        size_t size;
        size_t at; /* 0: the last byte */
    } cases[] = {
        { TEXT("GET / HTTP/1.1\r\n"), 1 },
        { TEXT("POST / HTTP/1.1\r\n"), 2 },
        { TEXT("proxy TCP4"), 1 },
        { TEXT("\0"), 1 },
        { TEXT("\r\nGET"), 3 },
        { TEXT("PROXY\r\n"), 6 },
        { TEXT("PROXY \r\n"), 0 },
        { TEXT("PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n"), 0 },
        { TEXT("PROXY TCP 1.2.3.4 1.2.3.4 1 2\r\n"), 0 },
        { TEXT("PROXY UNKNOWNX\r\n"), 0 },
        { TEXT("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n"), 0 },
        { TEXT("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\rX"), 0 },
        { TEXT("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n"), 0 },
        { TEXT("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n"), 0 },
        { TEXT("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n"), 0 },
        { TEXT("PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n"), 0 },
        { TEXT("PROXY TCP4 1.2.3.4\t1.2.3.4 1 2\r\n"), 0 },
        { TEXT("PROXY TCP4 1.2.3.4 1.2.3 1 2\r\n"), 0 },
        { TEXT("PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n"), 0 },
        { TEXT("PROXY TCP4 ::1 ::1 1 2\r\n"), 0 },
        { TEXT("PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n"), 0 },
        { TEXT("PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n"), 0 },
        { TEXT("PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n"), 0 },
        { TEXT("PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n"), 0 },
        { TEXT("PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n"), 0 },
        { TEXT("PROXY TCP4 1.2.3.4 1.2.3.4 1 000002\r\n"), 0 },
        { TEXT("PROXY TCP4 1.2.3.4\0 1.2.3.4 1 2\r\n"), 0 },
        { TEXT("PROXY UNKNOWN "
               "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
          107 },
        { V2("\x11\x11\0\x0c"), 13 },
        { V2("\x31"), 13 },
        { V2("\x22"), 13 },
        { V2("\x21\x41\0\0"), 0 },
        { V2("\x21\x13\0\x0c" IN_ADDRESSES), 0 },
        { V2("\x21\x11\0\x0b"
             "\xc0\x00\x02\x01\xc6\x33\x64\x07\x12\x34\x01"),
          0 },
        { V2("\x21\x21\0\x0c" IN_ADDRESSES), 0 },
        { V2("\x21\x31\0\x24" IN6_ADDRESSES), 0 },
        { V2("\x21\x11\x01\x1d"), 0 }, /* a byte more than the limit */
        { V2("\x20\x00\xff\xff"), 0 },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        weft_proxy_header header;
        size_t at = cases[i].at ? cases[i].at : cases[i].size;
        for (size_t size = 0; size <= cases[i].size; size++) {
            int64_t rc = weft_proxy_read(&header, cases[i].data, size, LIMIT);
            if (rc != (size < at ? 0 : -400))
                fail_msg("number %zu: %d at %zu", i, (int)rc, size);
        }
        bool is_large = i + 2 >= COUNT(cases);
        assert_int_equal(weft_proxy_is_too_large(cases[i].data, cases[i].size, LIMIT), is_large);
    }
}

static void test_networks(void **state)
{
    (void)state;
    static const struct {
        const char *network, *in, *out;
    } cases[] = {
        { "10.0.0.0/8", "10.255.0.1", "11.0.0.0" },
        { "192.0.2.1", "192.0.2.1", "192.0.2.2" },
        { "192.0.2.128/25", "192.0.2.200", "192.0.2.127" },
        { "0.0.0.0/0", "1.2.3.4", "::1" },
        { "::1", "::1", "::2" },
        { "fc00::/7", "fc00::1", "fe00::1" },
        { "::/0", "2001:db8::1", "1.2.3.4" },
        { "::/0", "::1", "::ffff:1.2.3.4" },
        { "10.0.0.0/8", "::ffff:10.1.2.3", "::ffff:11.1.2.3" },
    };
    static const char *const wrong[] = { "",         "10.0.0.0/33", "10.0.0.1/8",  "10.0.0.0/", "10.0.0.0/08", "10.0.0.0/-1",
                                         "10.0.0/8", "::1/129",     "fd00::1/8",   "localhost", "UNIX",        "10.0.0.0/8 ",
                                         " ::1",     "::1/0",       "10.0.0.0/8/8" };
    for (size_t i = 0; i < COUNT(cases); i++) {
        weft_network network;
        assert_int_equal(weft_network_parse(&network, cases[i].network, strlen(cases[i].network)), 0);
        for (int is_out = 0; is_out < 2; is_out++) {
            const char *text = is_out ? cases[i].out : cases[i].in;
            struct sockaddr_in in = { .sin_family = AF_INET };
            struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
            bool is_in = inet_pton(AF_INET, text, &in.sin_addr) == 1;
            assert_true(is_in || inet_pton(AF_INET6, text, &in6.sin6_addr) == 1);
            const struct sockaddr *address = is_in ? (const struct sockaddr *)&in : (const struct sockaddr *)&in6;
            if (weft_network_has(&network, address) == (is_out == 1))
                fail_msg("%s and %s", cases[i].network, text);
        }
        assert_false(weft_network_has(&network, &(struct sockaddr){ .sa_family = AF_UNIX }));
    }
    for (size_t i = 0; i < COUNT(wrong); i++) {
        weft_network network;
        if (weft_network_parse(&network, wrong[i], strlen(wrong[i])) != -EINVAL)
            fail_msg("%s is read", wrong[i]);
    }
    weft_network network;
    assert_int_equal(weft_network_parse(&network, "unix,10.0.0.0/8", 4), 0);
    assert_true(weft_network_has(&network, &(struct sockaddr){ .sa_family = AF_UNIX }));
    assert_false(weft_network_has(&network, &(struct sockaddr){ .sa_family = AF_UNSPEC }));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_networks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
