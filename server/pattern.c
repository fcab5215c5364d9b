/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Reading and building are each other's inverse: a path that was built is matched with the values that it was built of. */
#include "server/pattern.h"

#include <errno.h>
#include <string.h>

/* ---- values ---- */

bool weft_pattern_read_int(const char *text, size_t size, int64_t *ret_number)
{
    bool is_negative = size > 0 && *text == '-';
    if (size - is_negative < 1 || size - is_negative > 19 || size == 0)
        return false;
    uint64_t n = 0; /* 19 digits fit */
    for (size_t i = is_negative; i < size; i++) {
        unsigned digit = (unsigned)(unsigned char)text[i] - '0';
        if (digit > 9)
            return false;
        n = n * 10 + digit;
    }
    if (n > (uint64_t)INT64_MAX + is_negative)
        return false;
    *ret_number = (int64_t)(is_negative ? 0 - n : n);
    return true;
}

static bool is_dots(const char *text, size_t size)
{
    return (size == 1 || size == 2) && memcmp(text, "..", size) == 0;
}

bool weft_pattern_is_tail(const char *rest)
{
    if (*rest == '/')
        return false;
    for (; *rest; rest++)
        if ((rest[0] == '/' && rest[1] == '/') || (rest[0] == '%' && rest[1] == '2' && rest[2] == 'F'))
            return false;
    return true;
}

/* ---- reading ---- */

static bool is_name(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!is_letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return size > 0;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Brings a literal to the form of a path that was made normal, in place. */
static const char *read_literal(char *text, size_t *size)
{
    char *to = text, *end = text + *size;
    for (char *from = text; from < end; from++) {
        unsigned char c = (unsigned char)*from;
        if (c == '{' || c == '}')
            return "a brace that is not the first or last of its segment (a literal one is written %7B or %7D)";
        if (c == '?' || c == '#' || c < 0x20 || c == 0x7f)
            return "a byte that no path has";
        if (c != '%') {
            *to++ = *from;
            continue;
        }
        int high = end - from > 2 ? hex_value(from[1]) : -1, low = high >= 0 ? hex_value(from[2]) : -1;
        int byte = high * 16 + low;
        if (high < 0 || low < 0 || byte == 0)
            return "a bad escape";
        if (byte == '/' || byte == '%') {
            memcpy(to, byte == '/' ? "%2F" : "%25", 3);
            to += 3;
        } else {
            *to++ = (char)byte;
        }
        from += 2;
    }
    *size = (size_t)(to - text);
    return is_dots(text, *size) ? "a segment of dots, which no path has" : NULL;
}

/* What is between two braces, text[0, size): takes its kind off its end. */
static void read_kind(weft_segment *segment, const char *text, size_t size)
{
    *segment = (weft_segment){ .kind = WEFT_SEGMENT_PLAIN, .text = text, .size = size };
    if (size >= 4 && memcmp(text + size - 4, ":int", 4) == 0) {
        segment->kind = WEFT_SEGMENT_INT;
        segment->size -= 4;
    } else if (size >= 3 && memcmp(text + size - 3, "...", 3) == 0) {
        segment->kind = WEFT_SEGMENT_TAIL;
        segment->size -= 3;
    }
}

/* One segment of text[0, size). Returns what is wrong with it, or NULL. */
static const char *read_segment(weft_segment *segment, char *text, size_t size)
{
    if (size < 2 || text[0] != '{' || text[size - 1] != '}') {
        const char *wrong = read_literal(text, &size);
        text[size] = '\0';
        *segment = (weft_segment){ .kind = WEFT_SEGMENT_LITERAL, .text = text, .size = size };
        return wrong;
    }
    read_kind(segment, text + 1, size - 2);
    if (segment->size == 0)
        return "a parameter without a name";
    const char *colon = memchr(segment->text, ':', segment->size);
    if (colon && is_name(segment->text, (size_t)(colon - segment->text)))
        return "a parameter of a kind that there is not (there are {name}, {name:int} and {name...})";
    text[1 + segment->size] = '\0';
    return is_name(segment->text, segment->size) ? NULL : "a parameter whose name is not made of letters, digits and '_'";
}

/* May the last segment that was read follow those before it? */
static const char *check_segment(const weft_pattern *pattern, bool is_last)
{
    const weft_segment *segment = &pattern->segments[pattern->count - 1];
    if (segment->kind == WEFT_SEGMENT_LITERAL)
        return segment->size == 0 && !is_last ? "an empty segment" : NULL;
    if (segment->kind == WEFT_SEGMENT_TAIL && !is_last)
        return "something behind a {name...}, which takes all that is left";
    for (const weft_segment *other = pattern->segments; other < segment; other++)
        if (other->kind != WEFT_SEGMENT_LITERAL && strcmp(other->text, segment->text) == 0)
            return "a parameter's name twice";
    return pattern->param_count > WEFT_ROUTE_PARAM_MAX ? "too many parameters" : NULL;
}

const char *weft_pattern_read(weft_pattern *pattern, char *text)
{
    pattern->count = pattern->param_count = 0;
    if (*text != '/')
        return "no '/' at its start";
    for (char *at = text + 1, *end;; at = end + 1) {
        if (pattern->count == WEFT_ROUTE_SEGMENT_MAX)
            return "too many segments";
        end = at + strcspn(at, "/");
        bool is_last = *end == '\0';
        weft_segment *segment = &pattern->segments[pattern->count++];
        const char *wrong = read_segment(segment, at, (size_t)(end - at));
        pattern->param_count += segment->kind != WEFT_SEGMENT_LITERAL;
        if (!wrong)
            wrong = check_segment(pattern, is_last);
        if (wrong || is_last)
            return wrong;
    }
}

/* ---- building ---- */

static bool is_unreserved(char c) /* RFC 3986 §2.3 */
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("-._~", c));
}

static char *put_encoded(char *to, char c)
{
    static const char digits[] = "0123456789ABCDEF";
    *to++ = '%';
    *to++ = digits[(unsigned char)c >> 4];
    *to++ = digits[(unsigned char)c & 15];
    return to;
}

/* All but unreserved bytes and those of `kept` are encoded: what results needs no care in HTML or a header field either. */
static char *put_text(char *to, const char *text, size_t size, const char *kept)
{
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (is_unreserved(c) || (c && strchr(kept, c)))
            *to++ = c;
        else
            to = put_encoded(to, c);
    }
    return to;
}

/* Could the parameter have matched this value? */
static bool is_value_of(const weft_segment *param, const char *value)
{
    int64_t number;
    size_t size = strlen(value);
    switch (param->kind) {
    case WEFT_SEGMENT_INT:
        return weft_pattern_read_int(value, size, &number);
    case WEFT_SEGMENT_TAIL:
        for (const char *at = value, *end;; at = end + 1) {
            end = at + strcspn(at, "/");
            if (is_dots(at, (size_t)(end - at)) || (end == at && *end))
                return false;
            if (!*end)
                return true;
        }
    default:
        return size > 0 && !is_dots(value, size);
    }
}

static const char *value_of(const weft_segment *param, const weft_pattern_value *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(values[i].name) == param->size && memcmp(values[i].name, param->text, param->size) == 0)
            return values[i].value;
    return NULL;
}

/* What is between the braces behind `brace`. */
static weft_bytes between_braces(const char *brace)
{
    return (weft_bytes){ .data = brace + 1, .size = strcspn(brace + 1, "}") };
}

static bool has_param(const char *pattern, const char *name)
{
    for (const char *brace = pattern; (brace = strchr(brace, '{')); brace++) {
        weft_segment param;
        weft_bytes inside = between_braces(brace);
        read_kind(&param, inside.data, inside.size);
        if (strlen(name) == param.size && memcmp(name, param.text, param.size) == 0)
            return true;
    }
    return false;
}

static char *put_query(char *to, const char *pattern, const weft_pattern_value *values, size_t count)
{
    char before = '?';
    for (size_t i = 0; i < count; i++) {
        if (has_param(pattern, values[i].name))
            continue;
        *to++ = before;
        to = put_text(to, values[i].name, strlen(values[i].name), "");
        *to++ = '=';
        to = put_text(to, values[i].value, strlen(values[i].value), "");
        before = '&';
    }
    return to;
}

int weft_pattern_build(weft_arena *arena, const char *pattern, const weft_pattern_value *values, size_t count, char **ret_url,
                       weft_bytes *ret_param)
{
    size_t room = strlen(pattern) * 3 + 1;
    for (size_t i = 0; i < count; i++)
        room += (strlen(values[i].name) + strlen(values[i].value)) * 3 + 2;
    char *url = weft_arena_alloc(arena, room), *to = url;
    if (!url)
        return -ENOMEM;
    for (const char *at = pattern; *at;) {
        if (*at != '{') { /* of a literal; escapes are there already */
            to = put_text(to, at++, 1, "/%!$&'()*+,;=:@");
            continue;
        }
        weft_segment param;
        weft_bytes inside = between_braces(at);
        read_kind(&param, inside.data, inside.size);
        const char *value = value_of(&param, values, count);
        if (!value || !is_value_of(&param, value)) {
            *ret_param = inside;
            return value ? -EINVAL : -ENOENT;
        }
        to = put_text(to, value, strlen(value), param.kind == WEFT_SEGMENT_TAIL ? "/" : "");
        at = inside.data + inside.size + 1;
    }
    to = put_query(to, pattern, values, count);
    *to = '\0';
    weft_arena_trim(arena, url, room, (size_t)(to - url) + 1);
    *ret_url = url;
    return 0;
}
