/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Request targets, as wild as they come, against a second reading that splits, decodes and resolves one step after the other,
 * in memory of its own, without a thought to speed; and queries against one that cuts them at '&' and '='. The sanitizers look
 * at the rest.
 *
 * By itself this runs good targets, changed at random from a fixed seed. With clang it is a fuzzer: see meson.build beside it.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/arena.h"
#include "lib/base/check.h"
#include "lib/base/random.h"
#include "lib/http/target.h"
#include "tests/rounds.h"

enum { TARGET_MAX = 300 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned accepted, refused;

static int hex(char c)
{
    const char *digits = "0123456789abcdef0123456789ABCDEF", *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) % 16 : -1;
}

/* The byte of the escape that text begins with, or -1. */
static int escape(const char *text, size_t size)
{
    int byte = size >= 3 && hex(text[1]) >= 0 && hex(text[2]) >= 0 ? hex(text[1]) * 16 + hex(text[2]) : -1;
    return byte == 0 ? -1 : byte;
}

/* ---- paths ---- */

/* The normal form of a path into `out`, which has room; false if it is to be refused. */
static bool normal_path(const char *path, size_t size, char *out)
{
    static char segments[TARGET_MAX][TARGET_MAX];
    size_t count = 0;
    bool ends_in_slash = false;
    for (size_t at = 0; at < size;) {
        char *segment = segments[count];
        size_t length = 0;
        for (at++; at < size && path[at] != '/'; at++) {
            int byte = (unsigned char)path[at];
            if (byte == '%') {
                byte = escape(path + at, size - at);
                if (byte < 0)
                    return false;
                at += 2;
                if (byte == '/' || byte == '%') {
                    memcpy(segment + length, byte == '/' ? "%2F" : "%25", 3);
                    length += 3;
                    continue;
                }
            }
            segment[length++] = (char)byte;
        }
        segment[length] = '\0';
        ends_in_slash = false;
        if (strcmp(segment, "..") == 0) {
            if (count == 0)
                return false;
            count--;
            ends_in_slash = at == size;
        } else if (strcmp(segment, ".") == 0) {
            ends_in_slash = at == size;
        } else {
            count++;
        }
    }
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(segments[i]);
        *out++ = '/';
        memcpy(out, segments[i], length);
        out += length;
    }
    if (ends_in_slash || count == 0)
        *out++ = '/';
    *out = '\0';
    return true;
}

/* ---- queries ---- */

static size_t decode_query(const char *text, size_t size, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < size; i++) {
        int byte = text[i] == '%' ? escape(text + i, size - i) : -1;
        out[n++] = byte >= 0 ? (char)byte : text[i] == '+' ? ' ' : text[i];
        i += byte >= 0 ? 2 : 0;
    }
    out[n] = '\0';
    return n;
}

static bool find_field(const char *query, const char *name, char *value)
{
    for (const char *at = query; at;) {
        size_t size = strcspn(at, "&"), name_size = 0;
        char decoded[TARGET_MAX];
        while (name_size < size && at[name_size] != '=')
            name_size++;
        decode_query(at, name_size, decoded);
        if (strcmp(decoded, name) == 0 && size > 0) {
            size_t skipped = name_size < size ? name_size + 1 : size;
            decode_query(at + skipped, size - skipped, value);
            return true;
        }
        at = at[size] ? at + size + 1 : NULL;
    }
    return false;
}

static void check_query(weft_arena *arena, const char *query, const char *name)
{
    const char *found = NULL;
    char expected[TARGET_MAX];
    bool is_there = find_field(query, name, expected);
    CHECK(weft_http_query_find(arena, query, name, &found) == (is_there ? 1 : 0));
    CHECK(!is_there || strcmp(found, expected) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size >= TARGET_MAX)
        return 0;
    for (size_t i = 0; i < size; i++)
        if (data[i] <= ' ' || data[i] > 0x7e) /* which the head's check lets nobody see */
            return 0;
    char *text = malloc(size + 1), raw[TARGET_MAX], expected[2 * TARGET_MAX];
    CHECK(text);
    memcpy(text, data, size);
    text[size] = '\0';
    memcpy(raw, text, size + 1);
    weft_http_target target = { 0 };
    const char *reason = NULL;
    int rc = weft_http_target_parse(&target, text, size, false, &reason);
    CHECK(rc == 0 || (rc == 400 && reason));
    accepted += rc == 0;
    refused += rc != 0;
    if (raw[0] == '/') {
        size_t path_size = strcspn(raw, "?#");
        bool is_good = normal_path(raw, path_size, expected) && !strchr(raw, '#');
        CHECK(is_good == (rc == 0));
        if (is_good) {
            CHECK(strcmp(target.path, expected) == 0 && target.path_size == strlen(expected) && !target.host);
            CHECK(target.has_escapes || !strchr(target.path, '%'));
            CHECK(raw[path_size] == '?' ? strcmp(target.query, raw + path_size + 1) == 0 : target.query == NULL);
        }
    }
    if (rc == 0) {
        weft_arena_pool pool;
        weft_arena arena;
        weft_bytes decoded;
        weft_arena_pool_init(&pool, 0);
        weft_arena_init(&arena, &pool);
        CHECK(weft_http_decode(&arena, target.path, target.path_size, &decoded) == 0 && decoded.size <= target.path_size);
        CHECK(!target.host || weft_http_is_host(target.host, strlen(target.host)));
        if (target.query) {
            check_query(&arena, target.query, "a");
            check_query(&arena, target.query, "b c");
            check_query(&arena, target.query, "");
        }
        weft_arena_free(&arena);
    }
    free(text);
    return 0;
}

#ifndef WEFT_LIBFUZZER
int main(void)
{
    int all = rounds(100000);
    static const char *const seeds[] = {
        "/a/b/../c%20d?a=f&b+c=%41&x",
        "/./../%2e%2E/%2f",
        "http://example.org:80/x/./y?a",
        "HTTPS://[::1]/%25%2F/..",
        "/a//b/../../c/.?b%20c=d&a&a=",
        "*",
        "/?=x&a=%zz+%00",
        "http://a?b=c/../d",
    };
    static const char marks[] = "/%.?#&=+2fFeE05:@[]x";
    uint64_t seed = 13;
    for (int round = 0; round < all; round++) {
        char text[TARGET_MAX];
        const char *start = seeds[weft_random_below(&seed, sizeof seeds / sizeof *seeds)];
        size_t size = strlen(start);
        memcpy(text, start, size);
        for (uint64_t changes = weft_random_below(&seed, 6); changes > 0 && size > 0; changes--) {
            size_t at = weft_random_below(&seed, size);
            switch (weft_random_below(&seed, 3)) {
            case 0:
                text[at] = marks[weft_random_below(&seed, sizeof marks - 1)];
                break;
            case 1:
                memmove(text + at, text + at + 1, --size - at);
                break;
            default:
                memmove(text + at + 1, text + at, size++ - at);
                text[at] = marks[weft_random_below(&seed, sizeof marks - 1)];
                break;
            }
        }
        LLVMFuzzerTestOneInput((const uint8_t *)text, size);
    }
    bool is_good = accepted > (unsigned)all / 10 && refused > (unsigned)all / 10;
    printf("1..1\n%s 1 - %d targets, of which %u are accepted and %u refused\n", is_good ? "ok" : "not ok", all, accepted,
           refused);
    return is_good ? 0 : 1;
}
#endif
