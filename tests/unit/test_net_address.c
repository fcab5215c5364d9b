/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
#include "tests/unit/unit.h"

#include "lib/net/address.h"

/* What is read, and written again in its normal form. */
static void test_reads(void **state)
{
    (void)state;
    static const struct {
        const char *text, *normal;
        int family, port;
    } cases[] = {
        { "127.0.0.1:80", "127.0.0.1:80", AF_INET, 80 },
        { "0.0.0.0:0", "0.0.0.0:0", AF_INET, 0 },
        { "localhost:8080", "127.0.0.1:8080", AF_INET, 8080 },
        { "10.1.2.3:65535", "10.1.2.3:65535", AF_INET, 65535 },
        { "1.2.3.4:00080", "1.2.3.4:80", AF_INET, 80 },
        { "[::1]:80", "[::1]:80", AF_INET6, 80 },
        { "[::]:80", "[::]:80", AF_INET6, 80 },
        { "[2001:DB8:0:0::1]:443", "[2001:db8::1]:443", AF_INET6, 443 },
        { "[::ffff:1.2.3.4]:5", "1.2.3.4:5", AF_INET6, 5 },
        { ":80", "[::]:80", AF_INET6, 80 },
        { "unix:/tmp/a", "unix:/tmp/a", AF_UNIX, 0 },
        { "unix:a:80", "unix:a:80", AF_UNIX, 0 },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        weft_address address;
        char text[256];
        if (weft_address_parse(&address, cases[i].text) != 0)
            fail_msg("%s is not read", cases[i].text);
        assert_int_equal(address.sa.any.sa_family, cases[i].family);
        assert_int_equal(weft_address_port(&address), cases[i].port);
        assert_int_equal(address.is_everywhere, cases[i].text[0] == ':');
        assert_string_equal(weft_address_format(&address, text, sizeof text), cases[i].normal);
    }
}

static void test_refuses(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "80",
        ":",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:000080",
        "127.0.0.1:99999",
        "127.0.0.1:+80",
        "127.0.0.1:-1",
        "127.0.0.1: 80",
        "127.0.0.1:80 ",
        "127.0.0.1:8o",
        "127.0.0.1:0x50",
        " 127.0.0.1:80",
        "127.1:80",
        "127.0.0.256:80",
        "0127.0.0.1:80",
        "example.org:80",
        "LOCALHOST:80",
        "localhost",
        "*:80",
        "::1:80",
        "[::1]",
        "[::1]80",
        "[::1:80",
        "::1]:80",
        "[]:80",
        "[:80",
        "[1.2.3.4]:80",
        "[::1%lo]:80",
        "[::1]]:80",
        "[12345678901234567890123456789012345678901234567890]:80",
        "http://127.0.0.1:80",
        "unix:",
        "tcp:80",
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        weft_address address = { .size = 4711 };
        if (weft_address_parse(&address, cases[i]) != -EINVAL)
            fail_msg("\"%s\" is read", cases[i]);
        assert_int_equal(address.size, 4711); /* written only on success */
    }
}

static void test_path_limit(void **state)
{
    (void)state;
    enum { PATH_MAX_SIZE = sizeof((struct sockaddr_un *)0)->sun_path - 1 };
    char text[5 + PATH_MAX_SIZE + 2] = "unix:";
    memset(text + 5, 'x', PATH_MAX_SIZE + 1);
    weft_address address;
    assert_int_equal(weft_address_parse(&address, text), -EINVAL);
    text[5 + PATH_MAX_SIZE] = '\0';
    assert_int_equal(weft_address_parse(&address, text), 0);
    char again[sizeof text];
    assert_string_equal(weft_address_format(&address, again, sizeof again), text);
}

static void test_formats_what_the_kernel_gives(void **state)
{
    (void)state;
    char text[64];
    weft_address unnamed = { .size = offsetof(struct sockaddr_un, sun_path) };
    unnamed.sa.un.sun_family = AF_UNIX;
    assert_string_equal(weft_address_format(&unnamed, text, sizeof text), "unix");
    weft_address unended = { .size = sizeof(struct sockaddr_un) };
    unended.sa.un.sun_family = AF_UNIX;
    memset(unended.sa.un.sun_path, 'y', sizeof unended.sa.un.sun_path);
    char path[256];
    assert_int_equal(strlen(weft_address_format(&unended, path, sizeof path)), 5 + sizeof unended.sa.un.sun_path);
    assert_int_equal(strlen(weft_address_format(&unended, path, 10)), 9); /* cut to fit */
    weft_address other = { .size = sizeof(struct sockaddr) };
    other.sa.any.sa_family = AF_UNSPEC;
    assert_string_equal(weft_address_format(&other, text, sizeof text), "unknown");
}

static void test_port(void **state)
{
    (void)state;
    weft_address address;
    assert_int_equal(weft_address_parse(&address, "127.0.0.1:0"), 0);
    weft_address_set_port(&address, 4711);
    assert_int_equal(weft_address_port(&address), 4711);
    assert_int_equal(weft_address_parse(&address, "[::1]:1"), 0);
    weft_address_set_port(&address, 65535);
    assert_int_equal(weft_address_port(&address), 65535);
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *text, *name; /* NULL: it is none */
        int port;
    } cases[] = {
        { "example.org:80", "example.org", 80 },
        { "localhost:8080", "localhost", 8080 },
        { "a:1", "a", 1 },
        { "a-b_c.D9:65535", "a-b_c.D9", 65535 },
        { "example.org.:80", "example.org.", 80 },
        { "4u.example:80", "4u.example", 80 },
        { "example.4u:80", "example.4u", 80 },
        { "", NULL, 0 },
        { ":80", NULL, 0 },
        { "example.org", NULL, 0 },
        { "example.org:", NULL, 0 },
        { "example.org:0", NULL, 0 },
        { "example.org:65536", NULL, 0 },
        { "example.org:80x", NULL, 0 },
        { "example.org:80:80", NULL, 0 },
        { "exam ple:80", NULL, 0 },
        { "ex\xc3\xa4mple:80", NULL, 0 },
        { "example.org/:80", NULL, 0 },
        { "user@example.org:80", NULL, 0 },
        { ".:80", NULL, 0 },
        { ".example:80", NULL, 0 },
        { "127.0.0.1:80", NULL, 0 },
        { "127.1:80", NULL, 0 },
        { "127.1.:80", NULL, 0 },
        { "2130706433:80", NULL, 0 },
        { "0x7f000001:80", NULL, 0 },
        { "example.0X1:80", NULL, 0 },
        { "example..:80", NULL, 0 },
        { "[::1]:80", NULL, 0 },
        { "unix:/tmp/a", NULL, 0 },
    };
    char name[WEFT_ADDRESS_NAME_SIZE];
    int port;
    for (size_t i = 0; i < COUNT(cases); i++) {
        int rc = weft_address_split_name(cases[i].text, name, &port);
        if (rc != (cases[i].name ? 0 : -EINVAL))
            fail_msg("\"%s\" gives %d", cases[i].text, rc);
        if (rc < 0)
            continue;
        assert_string_equal(name, cases[i].name);
        assert_int_equal(port, cases[i].port);
    }
    char longest[WEFT_ADDRESS_NAME_SIZE + 4];
    for (size_t size = WEFT_ADDRESS_NAME_SIZE - 1; size <= WEFT_ADDRESS_NAME_SIZE; size++) {
        memset(longest, 'x', size);
        memcpy(longest + size, ":80", 4);
        assert_int_equal(weft_address_split_name(longest, name, &port), size < WEFT_ADDRESS_NAME_SIZE ? 0 : -EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads),      cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_path_limit), cmocka_unit_test(test_formats_what_the_kernel_gives),
        cmocka_unit_test(test_port),       cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
