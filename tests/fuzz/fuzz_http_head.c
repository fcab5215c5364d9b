/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Heads from the wire, as wild as they come: byte check, parser and target. What must hold whatever the input is checked here;
 * the sanitizers look at the rest.
 *
 * By itself this runs good heads, changed at random from a fixed seed: a test that takes a moment. With clang it is a fuzzer:
 * see meson.build beside it.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/arena.h"
#include "lib/base/check.h"
#include "lib/base/random.h"
#include "lib/http/head.h"
#include "lib/http/head_check.h"
#include "lib/http/target.h"
#include "tests/rounds.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned accepted, cut; /* heads, and those cut by the check: the short test sees whether its input was any good */

static const weft_http_limits limits = { .request_line = 200, .field = 300, .head = 1000, .field_count = 20 };

/* Whole and byte by byte, with vectors and without: one verdict. */
static int64_t check_all_ways(const char *text, size_t size, int *ret_field_count, weft_head_cuts *ret_cuts)
{
    weft_head_check whole, pieces;
    weft_head_check_init(&whole);
    int64_t rc = weft_head_check_run_cutting(&whole, text, size, &limits, ret_cuts);
    *ret_field_count = whole.field_count;
    weft_head_check_init(&pieces);
    int64_t again = 0;
    for (size_t at = 0; again == 0 && at <= size; at++)
        again = weft_head_check_run_scalar(&pieces, text, at, &limits);
    CHECK(again == rc);
    CHECK(rc <= (int64_t)size);
    return rc;
}

/* A part of the head, NUL-terminated where it is said to end. */
static void check_text(const weft_http_head *head, size_t head_size, const char *text, size_t size)
{
    CHECK(text >= head->data && text + size < head->data + head_size);
    CHECK(strlen(text) == size);
}

static void check_target(weft_http_head *head)
{
    weft_http_target target;
    const char *reason = NULL;
    if (weft_http_target_parse(&target, head->target, head->target_size, head->method_id == WEFT_HTTP_OPTIONS, &reason) != 0) {
        CHECK(reason);
        return;
    }
    CHECK(strlen(target.path) == target.path_size);
    CHECK(target.path[0] == '/' || strcmp(target.path, "*") == 0);
    CHECK(!strstr(target.path, "/../") && !strstr(target.path, "/./"));
    CHECK(target.path_size < 3 || strcmp(target.path + target.path_size - 3, "/..") != 0);
    for (const char *at = target.path; (at = strchr(at, '%')); at += 3)
        CHECK(strncmp(at, "%2F", 3) == 0 || strncmp(at, "%25", 3) == 0);
    if (target.host)
        CHECK(weft_http_is_host(target.host, strlen(target.host)));
}

/* The parser's own cuts give what the check's gave, byte for byte. */
static void check_own_cuts(const weft_http_head *head, weft_arena *arena, const uint8_t *data, size_t size, int field_count,
                           int status)
{
    weft_http_head again;
    char *copy = malloc(size);
    CHECK(copy);
    memcpy(copy, data, size);
    CHECK(weft_http_head_parse(&again, arena, copy, size, field_count) == status);
    CHECK(status == 0 || strcmp(again.reason, head->reason) == 0);
    CHECK(status != 0 || (memcmp(copy, head->data, size) == 0 && again.field_count == head->field_count &&
                          memcmp(again.fields, head->fields, head->field_count * sizeof(*head->fields)) == 0 &&
                          again.content_length == head->content_length && again.is_chunked == head->is_chunked &&
                          again.keep_alive == head->keep_alive && again.wants_upgrade == head->wants_upgrade &&
                          again.expects_continue == head->expects_continue));
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int field_count;
    weft_head_cuts cuts;
    int64_t head_size = check_all_ways((const char *)data, size, &field_count, &cuts);
    if (head_size <= 0)
        return 0;
    weft_arena_pool pool;
    weft_arena arena;
    weft_arena_pool_init(&pool, 0);
    weft_arena_init(&arena, &pool);
    char *copy = malloc((size_t)head_size); /* of the exact size, for the address sanitizer */
    CHECK(copy);
    memcpy(copy, data, (size_t)head_size);
    weft_http_head head;
    int status = weft_http_head_parse_cut(&head, &arena, copy, (size_t)head_size, field_count, &cuts);
    cut += status == 0 && cuts.fields_at > 0 && cuts.count == (unsigned)field_count;
    check_own_cuts(&head, &arena, data, (size_t)head_size, field_count, status);
    CHECK(status == 0 || ((status == 400 || status == 501 || status == 505) && head.reason));
    if (status == 0) {
        accepted++;
        CHECK(!(head.is_chunked && head.content_length >= 0));
        CHECK(head.version_minor == 0 ? !head.is_chunked : head.host != NULL);
        check_text(&head, (size_t)head_size, head.method, strlen(head.method));
        check_text(&head, (size_t)head_size, head.target, head.target_size);
        for (int i = 0; i < head.field_count; i++) {
            const weft_http_field *field = &head.fields[i];
            check_text(&head, (size_t)head_size, weft_http_field_name(&head, field), field->name_size);
            check_text(&head, (size_t)head_size, weft_http_field_value(&head, field), field->value_size);
            CHECK(weft_http_head_find(&head, weft_http_field_name(&head, field)));
        }
        check_target(&head);
    }
    free(copy);
    weft_arena_free(&arena);
    return 0;
}

#ifndef WEFT_LIBFUZZER
int main(void)
{
    static const char *const seeds[] = {
        "GET /a/b/../c%20d?e=f HTTP/1.1\r\nHost: example.org:80\r\nConnection: keep-alive, Upgrade\r\nUpgrade: "
        "websocket\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
        "\r\nPUT http://[::1]:8080/x HTTP/1.0\r\nHost: a\r\nContent-Length: 12\r\nX: caf\xc3\xa9\t\r\n\r\nbody",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\nY:\r\n\r\n",
    };
    static const char marks[] = "\r\n\t\0 :/.%,;?#*@[]12567fFHx";
    uint64_t seed = 3;
    int all = rounds(100000);
    for (int round = 0; round < all; round++) {
        char text[512];
        const char *start = seeds[weft_random_below(&seed, sizeof(seeds) / sizeof(*seeds))];
        size_t size = strlen(start);
        memcpy(text, start, size);
        for (uint64_t changes = weft_random_below(&seed, 5); changes > 0 && size > 0; changes--) {
            size_t at = weft_random_below(&seed, size), length = 1 + weft_random_below(&seed, size - at);
            switch (weft_random_below(&seed, 4)) {
            case 0:
                text[at] = marks[weft_random_below(&seed, sizeof(marks) - 1)];
                break;
            case 1:
                text[at] = (char)weft_random_next(&seed);
                break;
            case 2: /* a piece out */
                memmove(text + at, text + at + length, size - at - length);
                size -= length;
                break;
            default: /* a piece twice */
                length = length < 16 ? length : 16;
                if (size + length > sizeof(text))
                    break;
                memmove(text + at + length, text + at, size - at);
                size += length;
                break;
            }
        }
        LLVMFuzzerTestOneInput((const uint8_t *)text, size);
    }
#if defined(__SSE2__) || defined(__aarch64__)
    bool is_good = accepted > (unsigned)all / 10 && cut > accepted / 2;
#else
    bool is_good = accepted > (unsigned)all / 10;
#endif
    printf("1..1\n%s 1 - %d heads, of which %u are accepted, %u cut by the check\n", is_good ? "ok" : "not ok", all, accepted,
           cut);
    return is_good ? 0 : 1;
}
#endif
