/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * PROXY headers from the wire, as wild as they come: at every length of the input the verdict must be the one that follows from
 * its bytes, "more" until it is final and then the same for ever, and an address that was told must be one. The sanitizers look
 * at the rest.
 *
 * By itself this runs good headers, changed at random from a fixed seed. With clang it is a fuzzer: see meson.build beside it.
 */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/check.h"
#include "lib/base/random.h"
#include "lib/http/proxy.h"
#include "tests/rounds.h"

enum { LIMIT = 300, INPUT_MAX = 400 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned accepted, refused;

static bool is_address(const char *text)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1 || strcmp(text, "unix") == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weft_proxy_header header, again;
    if (size > INPUT_MAX)
        return 0;
    int64_t rc = weft_proxy_read(&header, (const char *)data, size, LIMIT);
    CHECK(rc == -400 || (rc >= 0 && rc <= (int64_t)size));
    CHECK(!header.client[0] || rc < 0 || is_address(header.client));
    accepted += rc > 0;
    refused += rc < 0;
    bool is_over = false;
    for (size_t n = 0; n <= size; n++) {
        char *cut = malloc(n ? n : 1); /* of the exact size, for the address sanitizer */
        CHECK(cut);
        memcpy(cut, data, n);
        int64_t then = weft_proxy_read(&again, cut, n, LIMIT);
        free(cut);
        CHECK(then == (is_over ? rc : then == 0 ? 0 : rc));
        CHECK(then <= 0 || strcmp(again.client, header.client) == 0);
        is_over = is_over || then != 0;
        if (then < 0 && weft_proxy_is_too_large((const char *)data, n, LIMIT))
            CHECK(n >= 16 && 16 + (data[14] << 8 | data[15]) > LIMIT);
    }
    CHECK(is_over == (rc != 0));
    CHECK(rc != 0 || size < LIMIT);
    return 0;
}

#ifndef WEFT_LIBFUZZER
int main(void)
{
    int all = rounds(40000);
#define SEED(text)                                                                                                             \
    {                                                                                                                          \
        text, sizeof(text) - 1                                                                                                 \
    }
    static const struct {
        const char *text;
        size_t size;
    } seeds[] = {
        SEED("PROXY TCP4 192.0.2.1 198.51.100.7 51234 443\r\nGET"),
        SEED("PROXY TCP6 2001:db8::1 ::ffff:1.2.3.4 1 65535\r\n"),
        SEED("PROXY UNKNOWN\r\nPROXY"),
        SEED("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\x00\x02\x01\xc6\x33\x64\x07\x12\x34\x01\xbb"),
        SEED("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x11\xc0\x00\x02\x01\xc6\x33\x64\x07\x12\x34\x01\xbb\x04\0\2abGET"),
        SEED("\r\n\r\n\0\r\nQUIT\n\x20\x00\0\1x"),
    };
    static const char marks[] = "\r\n\0 :./012569afPTU\x11\x20\x21\x22\x31";
    uint64_t seed = 11;
    for (int round = 0; round < all; round++) {
        size_t which = weft_random_below(&seed, sizeof seeds / sizeof *seeds), size = seeds[which].size;
        char text[INPUT_MAX];
        memcpy(text, seeds[which].text, size);
        for (uint64_t changes = weft_random_below(&seed, 4); changes > 0 && size > 0; changes--) {
            size_t at = weft_random_below(&seed, size);
            if (weft_random_below(&seed, 2))
                text[at] = marks[weft_random_below(&seed, sizeof marks - 1)];
            else if (weft_random_below(&seed, 2))
                text[at] = (char)weft_random_next(&seed);
            else
                memmove(text + at, text + at + 1, --size - at);
        }
        LLVMFuzzerTestOneInput((const uint8_t *)text, size);
    }
    bool is_good = accepted > (unsigned)all / 10 && refused > (unsigned)all / 10;
    printf("1..1\n%s 1 - %d headers, of which %u are accepted and %u refused\n", is_good ? "ok" : "not ok", all, accepted,
           refused);
    return is_good ? 0 : 1;
}
#endif
