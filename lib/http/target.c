/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Everything is done in place, and nothing becomes longer: a decoded byte takes the room of three. */
#include "lib/http/target.h"

#include <errno.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "lib/base/check.h"
#include "lib/http/field.h"

/* Where the scan of a path must look closer. */
static const bool path_stops[256] = { ['\0'] = true, ['?'] = true, ['#'] = true, ['%'] = true, ['.'] = true };

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that the escape at `at` ("%41") stands for; -1 for a bad one, and for %00. */
static int escaped_byte(const char *at, const char *end)
{
    if (end - at < 3)
        return -1;
    int high = hex_value(at[1]), low = hex_value(at[2]);
    int byte = high < 0 || low < 0 ? -1 : high * 16 + low;
    return byte == 0 ? -1 : byte;
}

/* Decodes one segment to `to` (which is not behind `from`), keeping %2F and %25. The end of what it wrote, or NULL. */
static char *decode_segment(char *to, const char *from, const char *end)
{
    while (from < end) {
        if (*from != '%') {
            *to++ = *from++;
            continue;
        }
        int byte = escaped_byte(from, end);
        if (byte < 0)
            return NULL;
        if (byte == '/' || byte == '%') {
            memcpy(to, byte == '/' ? "%2F" : "%25", 3);
            to += 3;
        } else {
            *to++ = (char)byte;
        }
        from += 3;
    }
    return to;
}

/* Makes path[0, *size) normal, segment by segment. Inlined, it would make every other path pay for its registers. */
static __attribute__((noinline)) const char *normalise(char *path, size_t *size)
{
    const char *from = path, *end = path + *size;
    char *to = path; /* everything before it is done; a segment is written with the slash before it */
    while (from < end) {
        const char *segment = from + 1;
        const char *slash = memchr(segment, '/', (size_t)(end - segment));
        const char *segment_end = slash ? slash : end;
        char *start = to + 1; /* *from is a slash, and so will be *to */
        char *stop = decode_segment(start, segment, segment_end);
        if (!stop)
            return "a bad escape in the target";
        *to = '/';
        from = segment_end;
        size_t length = (size_t)(stop - start);
        if (length == 0 || length > 2 || memcmp(start, "..", length) != 0) {
            to = stop;
            continue;
        }
        if (length == 2) {
            if (to == path)
                return "a target above the root";
            while (*--to != '/') {
            }
        }
        if (from == end) /* "/a/." and "/a/b/.." end in a slash */
            to++;
    }
    *to = '\0';
    *size = (size_t)(to - path);
    return NULL;
}

/* From the path on: finds its end, and makes it normal if it is not. */
static const char *read_path(weft_http_target *target, char *path, char *end)
{
    bool is_normal = true;
    char *at = path;
    for (;; at++) {
        if (LIKELY(!path_stops[(unsigned char)*at]))
            continue;
        if (*at == '.' || *at == '%')
            is_normal = is_normal && *at == '.' && at[-1] != '/';
        else
            break;
    }
    target->path = path;
    target->path_size = (size_t)(at - path);
    if (*at == '?') {
        *at++ = '\0';
        target->query = at;
        at = memchr(at, '#', (size_t)(end - at));
    }
    if (at && *at == '#')
        return "a fragment in the target";
    target->has_escapes = !is_normal;
    return is_normal ? NULL : normalise(path, &target->path_size);
}

/* "http://host:port/path": the host is moved two bytes to the front, over the slashes, for its NUL and a path's slash. */
static const char *read_absolute(weft_http_target *target, char *text, char *end, bool is_options)
{
    size_t scheme = (size_t)(end - text) > 7 && weft_http_same_text(text, "http://", 7)    ? 7
                    : (size_t)(end - text) > 8 && weft_http_same_text(text, "https://", 8) ? 8
                                                                                           : 0;
    if (scheme == 0)
        return "a target of a form or scheme that is not served";
    char *host = text + scheme;
    size_t size = strcspn(host, "/?#");
    if (!weft_http_is_host(host, size))
        return "a target whose authority is no host";
    memmove(host - 2, host, size);
    host[size - 2] = '\0';
    target->host = host - 2;
    char *path = host + size;
    if (*path == '/')
        return read_path(target, path, end);
    if (*path == '\0' && is_options) { /* OPTIONS for the server itself (RFC 9112 §3.2.4) */
        path[-1] = '*';
        target->path = path - 1;
        target->path_size = 1;
        return NULL;
    }
    path[-1] = '/';
    return read_path(target, path - 1, end);
}

int weft_http_target_parse(weft_http_target *target, char *text, size_t size, bool is_options, const char **ret_reason)
{
    const char *wrong;
    *target = (weft_http_target){ 0 };
    if (LIKELY(*text == '/')) {
        wrong = read_path(target, text, text + size);
    } else if (size == 1 && *text == '*') {
        target->path = text;
        target->path_size = 1;
        wrong = is_options ? NULL : "a target \"*\" without OPTIONS";
    } else {
        wrong = read_absolute(target, text, text + size, is_options);
    }
    if (LIKELY(!wrong))
        return 0;
    *ret_reason = wrong;
    return 400;
}

/* unreserved and sub-delims of RFC 3986, of which a host's name is made. A table of bits took 209 instructions for
 * "localhost:8080". */
__extension__ static const bool name_bytes[256] = {
    ['!'] = true, ['$'] = true,         ['&' ... '.'] = true, ['0' ... '9'] = true, [';'] = true,
    ['='] = true, ['A' ... 'Z'] = true, ['_'] = true,         ['a' ... 'z'] = true, ['~'] = true,
};

static inline bool is_name_byte(char byte)
{
    return name_bytes[(unsigned char)byte];
}

/* "[::1]" at text[0, size): the size of it with the brackets, or 0. */
static __attribute__((noinline)) size_t address_size(const char *text, size_t size)
{
    const char *close = memchr(text, ']', size);
    if (!close || close - text < 3)
        return 0;
    bool is_future = text[1] == 'v' || text[1] == 'V';
    for (const char *at = text + (is_future ? 2 : 1); at < close; at++)
        if (hex_value(*at) < 0 && *at != ':' && *at != '.' && !(is_future && is_name_byte(*at)))
            return 0;
    return (size_t)(close - text) + 1;
}

/* How many bytes at the front of text[0, size) are letters, digits, '-' or '.', as far as eights of them show. */
static inline size_t usual_size(const char *text, size_t size)
{
    size_t at = 0;
#if defined(__SSE2__)
    for (; size - at >= 8; at += 8) {
        __m128i v = _mm_loadl_epi64((const __m128i *)(const void *)(text + at));
        __m128i small = _mm_or_si128(v, _mm_set1_epi8(0x20)); /* compared as in head_check.c */
        __m128i letter = _mm_cmpgt_epi8(_mm_add_epi8(small, _mm_set1_epi8(0x7f - 'z')), _mm_set1_epi8(0x7f - 26));
        __m128i digit = _mm_cmpgt_epi8(_mm_add_epi8(v, _mm_set1_epi8(0x7f - '9')), _mm_set1_epi8(0x7f - 10));
        __m128i mark = _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('-')), _mm_cmpeq_epi8(v, _mm_set1_epi8('.')));
        unsigned usual = (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(letter, digit), mark)) & 0xff;
        if (usual != 0xff)
            return at + (size_t)__builtin_ctz(~usual);
    }
#else
    (void)text, (void)size;
#endif
    return at;
}

/* How much of text[0, size) is a host's name; 0 if a bad escape is in it. */
static inline size_t name_size(const char *text, size_t size)
{
    const char *at = text + usual_size(text, size), *end = text + size;
    for (;;) {
        while (at < end && is_name_byte(*at))
            at++;
        if (LIKELY(at == end || *at != '%'))
            return (size_t)(at - text);
        if (escaped_byte(at, end) < 0)
            return 0;
        at += 3;
    }
}

bool weft_http_is_host(const char *text, size_t size)
{
    size_t at = size > 0 && text[0] == '[' ? address_size(text, size) : name_size(text, size);
    if (at == 0 || at == size)
        return at > 0;
    if (text[at++] != ':')
        return false;
    unsigned port = 0;
    for (; at < size; at++) {
        unsigned digit = (unsigned)(unsigned char)text[at] - '0';
        port = port * 10 + digit;
        if (digit > 9 || port > 65535)
            return false;
    }
    return true; /* "host:" is allowed (RFC 3986 §3.2.3) */
}

int weft_http_decode(weft_arena *arena, const char *text, size_t size, weft_bytes *ret_decoded)
{
    if (size >= SIZE_MAX / 2)
        return -ENOMEM;
    const char *end = text + size;
    char *copy = weft_arena_alloc(arena, size + 1), *to = copy;
    if (!copy)
        return -ENOMEM;
    while (text < end) {
        int byte = *text == '%' ? escaped_byte(text, end) : (unsigned char)*text;
        if (byte < 0)
            return -EINVAL;
        *to++ = (char)byte;
        text += *text == '%' ? 3 : 1;
    }
    *to = '\0';
    *ret_decoded = (weft_bytes){ .data = copy, .size = (size_t)(to - copy) };
    return 0;
}

/* The next byte of a query's text, decoded; moves *at behind it. */
static char query_byte(const char **at, const char *end)
{
    char c = *(*at)++;
    if (c == '+')
        return ' ';
    int byte = c == '%' ? escaped_byte(*at - 1, end) : -1;
    if (byte < 0)
        return c;
    *at += 2;
    return (char)byte;
}

static bool query_name_is(const char *at, const char *end, const char *name)
{
    for (; at < end; name++)
        if (*name == '\0' || query_byte(&at, end) != *name)
            return false;
    return *name == '\0';
}

int weft_http_query_find(weft_arena *arena, const char *query, const char *name, const char **ret_value)
{
    while (query && *query) {
        const char *end = query + strcspn(query, "&");
        const char *equals = memchr(query, '=', (size_t)(end - query));
        const char *name_end = equals ? equals : end;
        if (end > query && query_name_is(query, name_end, name)) {
            const char *at = equals ? equals + 1 : end;
            char *value = weft_arena_alloc(arena, (size_t)(end - at) + 1), *to = value;
            if (!value)
                return -ENOMEM;
            while (at < end)
                *to++ = query_byte(&at, end);
            *to = '\0';
            *ret_value = value;
            return 1;
        }
        query = *end ? end + 1 : end;
    }
    return 0;
}
