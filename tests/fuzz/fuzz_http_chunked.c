/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Chunked bodies from the wire, as wild as they come. Each is decoded whole, byte by byte and in pieces of many sizes, with one
 * result; and by a second decoder, written down after the RFC without a thought to speed or to input that comes in pieces,
 * which must say the same. The sanitizers look at the rest.
 *
 * By itself this runs the bodies of corpus/http_chunked, then the same changed at random from a fixed seed: a test that takes
 * a moment. With clang it is a fuzzer: see meson.build beside it.
 */
#include <ctype.h>
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/arena.h"
#include "lib/base/check.h"
#include "lib/base/random.h"
#include "lib/http/chunked.h"
#include "lib/http/field.h"
#include "lib/http/head_check.h"
#include "tests/rounds.h"
#include "tests/unit/grow.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned accepted, refused; /* bodies: the short test sees whether its input was any good */

/* Small ones, so that a short input reaches them. */
static const weft_chunked_limits limits = {
    .size_line = 40, .extensions = 60, .trailer_field = 80, .trailers = 160, .trailer_count = 4
};

typedef struct decoded {
    int rc;     /* WEFT_CHUNKED_MORE, WEFT_CHUNKED_END or a negative status */
    size_t end; /* of the body */
    char *payload;
    size_t payload_size;
    int64_t declared;
    const char *reason;
    char *trailers;
} decoded;

static void add(char **text, size_t *size, const char *more, size_t more_size)
{
    *text = grow(*text, *size, more_size + 1);
    CHECK(*text);
    memcpy(*text + *size, more, more_size);
    *size += more_size;
    (*text)[*size] = '\0';
}

static void note_trailers(decoded *d, const weft_chunked *chunked)
{
    int count;
    size_t size = 0;
    const weft_trailer *trailers = weft_chunked_trailers(chunked, &count);
    add(&d->trailers, &size, "", 0);
    for (int i = 0; i < count; i++) {
        CHECK(strlen(trailers[i].name.data) == trailers[i].name.size);
        CHECK(strlen(trailers[i].value.data) == trailers[i].value.size);
        CHECK(weft_chunked_find(chunked, trailers[i].name.data));
        add(&d->trailers, &size, trailers[i].name.data, trailers[i].name.size);
        add(&d->trailers, &size, "=", 1);
        add(&d->trailers, &size, trailers[i].value.data, trailers[i].value.size);
        add(&d->trailers, &size, "\n", 1);
    }
}

/* In pieces of 1 to `piece_max` bytes. */
static decoded decode(const char *data, size_t size, size_t piece_max, uint64_t seed)
{
    weft_arena_pool pool;
    weft_arena arena;
    weft_arena_pool_init(&pool, 0);
    weft_arena_init(&arena, &pool);
    weft_chunked *chunked = weft_chunked_new(&arena, &limits);
    CHECK(chunked);
    decoded d = { .rc = WEFT_CHUNKED_MORE };
    size_t at = 0, limit = 0;
    while (d.rc != WEFT_CHUNKED_END && d.rc >= 0 && at < size) {
        if (limit <= at)
            limit = at + (piece_max > 1 ? 1 + weft_random_below(&seed, piece_max) : 1);
        if (limit > size)
            limit = size;
        size_t consumed;
        weft_bytes payload;
        d.rc = weft_chunked_next(chunked, data + at, limit - at, &consumed, &payload);
        CHECK(consumed <= limit - at);
        if (d.rc == WEFT_CHUNKED_PAYLOAD) {
            CHECK(payload.size > 0 && payload.data + payload.size == data + at + consumed);
            add(&d.payload, &d.payload_size, payload.data, payload.size);
            CHECK(weft_chunked_declared(chunked) >= (int64_t)d.payload_size);
        }
        CHECK(d.rc != WEFT_CHUNKED_MORE || consumed == limit - at);
        at += consumed;
    }
    if (d.rc == WEFT_CHUNKED_PAYLOAD)
        d.rc = WEFT_CHUNKED_MORE;
    size_t consumed;
    weft_bytes payload;
    int again = weft_chunked_next(chunked, data + size, 0, &consumed, &payload);
    CHECK(again == d.rc && consumed == 0);
    d.end = d.rc == WEFT_CHUNKED_END ? at : 0;
    d.declared = weft_chunked_declared(chunked);
    d.reason = weft_chunked_reason(chunked);
    CHECK((d.reason != NULL) == (d.rc < 0));
    note_trailers(&d, chunked);
    weft_arena_free(&arena);
    return d;
}

static bool is_token_byte(char byte)
{
    return byte && (isalnum((unsigned char)byte) || strchr("!#$%&'*+-.^_`|~", byte));
}

/* The size line at *at: 1 and *at behind it, 0 if it is cut, or a negative status. */
static int reference_line(const char *s, size_t size, size_t *at, size_t *extensions, uint64_t *ret_size)
{
    enum { SEMICOLON, NAME_FIRST, NAME, VALUE_FIRST, VALUE, QUOTED, ESCAPED } in = SEMICOLON;
    size_t line = *at, i = line;
    *ret_size = 0;
    for (; i < size && isxdigit((unsigned char)s[i]); i++) {
        if (i - line == 16 || (i - line == 15 && s[line] > '7'))
            return -400;
        *ret_size = *ret_size * 16 + (uint64_t)(isdigit((unsigned char)s[i]) ? s[i] - '0' : tolower(s[i]) - 'a' + 10);
    }
    if (i < size && i == line)
        return -400;
    for (;; i++) {
        if (i == size)
            return 0;
        bool may_end = in == SEMICOLON || in == NAME || in == VALUE;
        char c = s[i];
        if (c == '\r' && may_end)
            break;
        if (c == ';' && may_end)
            in = NAME_FIRST;
        else if (in == NAME && c == '=')
            in = VALUE_FIRST;
        else if ((in == NAME_FIRST || in == NAME) && is_token_byte(c))
            in = NAME;
        else if ((in == VALUE_FIRST || in == VALUE) && is_token_byte(c))
            in = VALUE;
        else if ((in == VALUE_FIRST || in == QUOTED) && c == '"')
            in = in == QUOTED ? SEMICOLON : QUOTED;
        else if (in == QUOTED && c == '\\')
            in = ESCAPED;
        else if ((in == QUOTED || in == ESCAPED) && (c == '\t' || !iscntrl((unsigned char)c)))
            in = QUOTED;
        else
            return -400;
        if (i + 1 - line > limits.size_line)
            return -400;
        if (++*extensions > limits.extensions)
            return -413;
    }
    *at = i + 2;
    return i + 1 == size ? 0 : s[i + 1] == '\n' ? 1 : -400;
}

static int reference_trailers(const char *s, size_t size)
{
    static const char *const wrong[] = { "Content-Length", "Transfer-Encoding", "Host" };
    const weft_http_limits head_limits = { .field = limits.trailer_field,
                                           .head = limits.trailers,
                                           .field_count = limits.trailer_count };
    weft_head_check check;
    weft_head_check_init_trailers(&check);
    int64_t end = weft_head_check_run_scalar(&check, s, size, &head_limits);
    if (end <= 0)
        return (int)end;
    for (const char *line = s; *line != '\r'; line = (const char *)memchr(line, '\n', size - (size_t)(line - s)) + 1) {
        size_t name_size = (size_t)((const char *)memchr(line, ':', size - (size_t)(line - s)) - line);
        for (size_t i = 0; i < name_size; i++)
            if (!is_token_byte(line[i]))
                return -400;
        for (size_t i = 0; i < 3; i++)
            if (strlen(wrong[i]) == name_size && strncasecmp(wrong[i], line, name_size) == 0)
                return -400;
    }
    return (int)end;
}

/* What is expected of the whole body. */
static decoded reference(const char *s, size_t size)
{
    decoded d = { 0 };
    size_t at = 0, extensions = 0;
    for (;;) {
        uint64_t chunk = 0;
        int rc = reference_line(s, size, &at, &extensions, &chunk);
        if (rc <= 0) {
            d.rc = rc;
            return d;
        }
        if (chunk == 0)
            break;
        if (chunk > (uint64_t)(INT64_MAX - d.declared)) {
            d.rc = -413;
            return d;
        }
        d.declared += (int64_t)chunk;
        size_t there = chunk < size - at ? (size_t)chunk : size - at;
        add(&d.payload, &d.payload_size, s + at, there);
        at += there;
        if (at < size && s[at] != '\r')
            d.rc = -400;
        else if (at + 1 < size && s[at + 1] != '\n')
            d.rc = -400;
        if (d.rc < 0 || at + 2 > size)
            return d;
        at += 2;
    }
    int end = reference_trailers(s + at, size - at);
    d.rc = end > 0 ? WEFT_CHUNKED_END : end;
    d.end = end > 0 ? at + (size_t)end : 0;
    return d;
}

static void check_same(const decoded *a, const decoded *b)
{
    CHECK(a->rc == b->rc);
    CHECK(a->end == b->end);
    CHECK(a->declared == b->declared);
    CHECK(a->payload_size == b->payload_size);
    CHECK(a->payload_size == 0 || memcmp(a->payload, b->payload, a->payload_size) == 0);
}

static void drop(decoded *d)
{
    free(d->payload);
    free(d->trailers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size ? size : 1); /* of the exact size, for the address sanitizer */
    CHECK(text);
    if (size > 0)
        memcpy(text, data, size);
    decoded expected = reference(text, size);
    decoded whole = decode(text, size, SIZE_MAX - size, 1);
    check_same(&whole, &expected);
    for (size_t piece_max = 1; piece_max <= 64; piece_max *= 4) {
        decoded cut = decode(text, size, piece_max, size);
        check_same(&cut, &expected);
        CHECK(cut.reason == whole.reason || strcmp(cut.reason, whole.reason) == 0);
        CHECK(strcmp(cut.trailers, whole.trailers) == 0);
        drop(&cut);
    }
    accepted += whole.rc == WEFT_CHUNKED_END;
    refused += whole.rc < 0;
    drop(&whole);
    drop(&expected);
    free(text);
    return 0;
}

#ifndef WEFT_LIBFUZZER
#define BODY_MAX 512

typedef struct body {
    char text[BODY_MAX];
    size_t size;
} body;

static size_t read_corpus(const char *folder, body *bodies, size_t max)
{
    size_t count = 0;
    DIR *dir = opendir(folder);
    CHECK(dir);
    for (struct dirent *entry; count < max && (entry = readdir(dir));) {
        char path[1024];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        FILE *file = fopen(path, "rb");
        CHECK(file);
        bodies[count].size = fread(bodies[count].text, 1, BODY_MAX, file);
        fclose(file);
        count++;
    }
    closedir(dir);
    return count;
}

static int by_text(const void *a, const void *b)
{
    const body *x = a, *y = b;
    if (x->size != y->size)
        return x->size < y->size ? -1 : 1;
    return memcmp(x->text, y->text, x->size);
}

static void change(body *b, uint64_t *seed)
{
    static const char marks[] = "\r\n\t\0 ;=\"\\:019afAFgx-+,";
    size_t at = weft_random_below(seed, b->size), length = 1 + weft_random_below(seed, b->size - at);
    switch (weft_random_below(seed, 4)) {
    case 0:
        b->text[at] = marks[weft_random_below(seed, sizeof(marks) - 1)];
        break;
    case 1:
        b->text[at] = (char)weft_random_next(seed);
        break;
    case 2: /* a piece out */
        length = length < 16 ? length : 16;
        memmove(b->text + at, b->text + at + length, b->size - at - length);
        b->size -= length;
        break;
    default: /* a piece twice */
        length = length < 16 ? length : 16;
        if (b->size + length > BODY_MAX)
            break;
        memmove(b->text + at + length, b->text + at, b->size - at);
        b->size += length;
        break;
    }
}

int main(int argc, char **argv)
{
    int all = rounds(40000);
    static body bodies[512];
    CHECK(argc == 2);
    size_t count = read_corpus(argv[1], bodies, 512);
    CHECK(count > 0);
    qsort(bodies, count, sizeof(*bodies), by_text); /* a folder has no order of its own */
    for (size_t i = 0; i < count; i++)
        LLVMFuzzerTestOneInput((const uint8_t *)bodies[i].text, bodies[i].size);
    uint64_t seed = 7;
    for (int round = 0; round < all; round++) {
        body b = bodies[weft_random_below(&seed, count)];
        for (uint64_t changes = weft_random_below(&seed, 4); changes > 0 && b.size > 0; changes--)
            change(&b, &seed);
        LLVMFuzzerTestOneInput((const uint8_t *)b.text, b.size);
    }
    bool is_good = accepted > (unsigned)all / 10 && refused > (unsigned)all / 10;
    printf("1..1\n%s 1 - %zu bodies, and %d made from them, of which %u are accepted and %u refused\n",
           is_good ? "ok" : "not ok", count, all, accepted, refused);
    return is_good ? 0 : 1;
}
#endif
