/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Two read the body side by side. Ours goes first, byte by byte over the framing only, and is the strict one; llhttp is fed
 * what ours has passed, and the payload by its address and size, which costs it the same however much it is. What both say
 * about the payload must agree. Where llhttp refuses bytes that ours has passed, its verdict stands, so whatever ours takes
 * for granted is still looked at.
 *
 *     state          what it takes                             then
 *     SIZE_FIRST     a hexadecimal digit                       SIZE
 *     SIZE           digits; CR; or stops before ';'           SIZE_LF, EXTENSION
 *     EXTENSION …    the extensions; stops before CR           SIZE_CR
 *     SIZE_CR        CR                                        SIZE_LF
 *     SIZE_LF        LF: now the size is known                 PAYLOAD, or TRAILERS when it is 0
 *     PAYLOAD        as many bytes                             PAYLOAD_CR
 *     PAYLOAD_CR     CR                                        PAYLOAD_LF
 *     PAYLOAD_LF     LF                                        SIZE_FIRST
 *     TRAILERS       fields and a blank line                   END
 *     END, REFUSED   nothing
 *
 * llhttp never sees the extensions: it reads them in its own way, and each version in another (8.1 takes `;a=` and `;a=b"c"`,
 * and refuses `;a="\""`). They mean nothing to us (RFC 9112 §7.1.1), so the line is parsed without them.
 *
 * Nor is it the llhttp that has parsed the request's head: that one may be in doubt whether a body follows, when the request
 * asks for an upgrade as well. A fresh one reads a head of our own, of the least that announces a chunked body.
 */
#include "lib/http/chunked.h"

#include <errno.h>
#include <llhttp.h>
#include <string.h>

#include "lib/base/check.h"
#include "lib/http/field.h"
#include "lib/http/head_check.h"

enum state {
    SIZE_FIRST,
    SIZE,
    SIZE_CR,
    SIZE_LF,
    PAYLOAD,
    PAYLOAD_CR,
    PAYLOAD_LF,
    EXTENSION, /* from here on, inside of a line's extensions: before ';' */
    EXTENSION_NAME_FIRST,
    EXTENSION_NAME,
    EXTENSION_VALUE_FIRST,
    EXTENSION_VALUE,
    EXTENSION_QUOTED,
    EXTENSION_ESCAPED, /* to here */
    TRAILERS,
    END,
    REFUSED,
};

#define DIGITS_MAX 16

struct weft_chunked {
    llhttp_t llhttp;
    weft_arena *arena;
    const weft_chunked_limits *limits;
    uint8_t state; /* enum state */
    uint8_t digit_count, digit_max;
    uint8_t excess;       /* enum weft_chunked_excess */
    bool is_complete;     /* llhttp has seen the end */
    int16_t verdict;      /* when REFUSED: the negative status, or -ENOMEM */
    uint32_t line_size;   /* of the present size line, so far */
    size_t extensions;    /* bytes, in this message so far */
    uint64_t left;        /* of the present chunk: its size as far as it was read; then the bytes still to come */
    int64_t declared;     /* in all chunks */
    weft_bytes by_llhttp; /* the payload that it has found in what it was fed last */
    const char *reason;
    weft_head_check check; /* over the trailers */
    char *section;         /* the trailers, as far as they were cut; in the end all of them, unless there are none */
    uint32_t section_size, section_room;
    int field_count, field_max;
    weft_trailer *fields;
};

static int refuse(weft_chunked *c, int verdict, const char *reason)
{
    c->state = REFUSED;
    c->verdict = (int16_t)verdict;
    c->reason = reason;
    return verdict;
}

static int on_body(llhttp_t *llhttp, const char *at, size_t size)
{
    weft_chunked *c = llhttp->data;
    if (c->by_llhttp.size > 0)
        return -1;
    c->by_llhttp = (weft_bytes){ .data = at, .size = size };
    return 0;
}

static int on_trailer_name(llhttp_t *llhttp, const char *at, size_t size)
{
    weft_chunked *c = llhttp->data;
    if (!c)
        return 0; /* still in our own head */
    if (c->field_count >= c->field_max)
        return -1;
    c->fields[c->field_count++] = (weft_trailer){ .name = { at, size }, .value = { at + size, 0 } };
    return 0;
}

static int on_trailer_value(llhttp_t *llhttp, const char *at, size_t size)
{
    weft_chunked *c = llhttp->data;
    if (!c || size == 0)
        return 0;
    weft_trailer *field = c->field_count > 0 ? &c->fields[c->field_count - 1] : NULL;
    if (!field || field->value.size > 0)
        return -1;
    field->value = (weft_bytes){ .data = at, .size = size };
    return 0;
}

static int on_message_complete(llhttp_t *llhttp)
{
    weft_chunked *c = llhttp->data;
    c->is_complete = true;
    return HPE_PAUSED; /* nothing may follow */
}

static const llhttp_settings_t settings = {
    .on_body = on_body,
    .on_header_field = on_trailer_name,
    .on_header_value = on_trailer_value,
    .on_message_complete = on_message_complete,
};

weft_chunked *weft_chunked_new(weft_arena *arena, const weft_chunked_limits *limits)
{
    static const char head[] = "PUT / HTTP/1.1\r\nTransfer-Encoding:chunked\r\n\r\n";
    CHECK(limits->trailers <= WEFT_HTTP_HEAD_MAX && limits->size_line <= UINT32_MAX);
    weft_chunked *c = weft_arena_alloc(arena, sizeof(*c));
    if (!c)
        return NULL;
    *c = (weft_chunked){ .arena = arena, .limits = limits };
    c->digit_max = limits->size_line < DIGITS_MAX ? (uint8_t)limits->size_line : DIGITS_MAX;
    weft_head_check_init_trailers(&c->check);
    llhttp_init(&c->llhttp, HTTP_REQUEST, &settings);
    llhttp_errno_t error = llhttp_execute(&c->llhttp, head, sizeof(head) - 1);
    CHECK(error == HPE_OK);
    c->llhttp.data = c;
    return c;
}

weft_chunked *weft_chunked_copy(const weft_chunked *c)
{
    weft_chunked *copy = weft_arena_alloc(c->arena, sizeof(*copy));
    if (!copy)
        return NULL;
    *copy = *c;
    copy->llhttp.data = copy;
    copy->section_room = copy->section_size; /* to add to it, it takes one of its own */
    return copy;
}

/* Shows llhttp what ours has passed. 0, or it is refused. */
static int feed(weft_chunked *c, const char *data, size_t size)
{
    c->by_llhttp = (weft_bytes){ 0 };
    if (size == 0 || LIKELY(llhttp_execute(&c->llhttp, data, size) == HPE_OK))
        return 0;
    const char *reason = llhttp_get_error_reason(&c->llhttp);
    return refuse(c, -400, reason ? reason : "a chunked body that is read in two ways");
}

static int hex_digit(char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    char small = (char)(byte | 0x20);
    return small >= 'a' && small <= 'f' ? small - 'a' + 10 : -1;
}

/* The digits of a size, as far as they came. False with the reason when what follows them may not. */
static bool read_digits(weft_chunked *c, const char *data, size_t size, size_t *at)
{
    uint64_t left = c->left;
    size_t i = *at, end = size - i <= (size_t)(c->digit_max - c->digit_count) ? size : i + (c->digit_max - c->digit_count);
    const size_t first = i;
    int digit = 0;
    for (; i < end && (digit = hex_digit(data[i])) >= 0; i++) {
        if (left > (uint64_t)INT64_MAX >> 4) {
            c->reason = "a chunk size beyond measure";
            break;
        }
        left = left << 4 | (uint64_t)digit;
    }
    c->digit_count = (uint8_t)(c->digit_count + (i - first));
    c->left = left;
    *at = i;
    if (UNLIKELY(c->reason))
        return false;
    if (i == size || (c->digit_count > 0 && (data[i] == '\r' || data[i] == ';')))
        return true;
    c->reason = hex_digit(data[i]) >= 0 ? "a chunk size of too many digits" : "a malformed chunk size";
    return false;
}

/* The line has ended: the size is that of a chunk, or the last one's 0. */
static int begin_chunk(weft_chunked *c)
{
    if (c->left == 0) {
        c->state = TRAILERS;
        return 0;
    }
    if (c->left > (uint64_t)(INT64_MAX - c->declared))
        return refuse(c, -413, "a chunked body beyond measure");
    c->declared += (int64_t)c->left;
    c->state = PAYLOAD;
    return 0;
}

/* Goes on with data[*at, size) in the states from SIZE_FIRST to SIZE_LF, or behind payload, as far as they last. *at is moved
 * behind what is good. */
static int read_size_line(weft_chunked *c, const char *data, size_t size, size_t *at)
{
    for (; *at < size; ++*at) {
        char byte = data[*at];
        switch ((enum state)c->state) {
        case PAYLOAD_CR:
            if (byte != '\r')
                return refuse(c, -400, "a chunk without CRLF behind its data");
            c->state = PAYLOAD_LF;
            break;
        case PAYLOAD_LF:
            if (byte != '\n')
                return refuse(c, -400, "a chunk without CRLF behind its data");
            c->state = SIZE_FIRST;
            break;
        case SIZE_FIRST:
            c->left = 0;
            c->digit_count = 0;
            c->state = SIZE;
            __attribute__((fallthrough));
        case SIZE:
            if (!read_digits(c, data, size, at))
                return refuse(c, -400, c->reason);
            if (*at == size)
                return 0;
            if (data[*at] == ';') {
                c->line_size = c->digit_count;
                c->state = EXTENSION;
                return 0;
            }
            c->state = SIZE_LF;
            break;
        case SIZE_CR:
            DCHECK(byte == '\r');
            c->state = SIZE_LF;
            break;
        case SIZE_LF:
            if (byte != '\n')
                return refuse(c, -400, "a chunk size line that does not end in CRLF");
            ++*at;
            return begin_chunk(c);
        default:
            return 0;
        }
    }
    return 0;
}

/* The state behind one byte of the extensions (RFC 9112 §7.1.1); REFUSED if it may not stand there. */
static enum state pass_extension_byte(enum state state, char byte)
{
    unsigned char b = (unsigned char)byte;
    switch (state) {
    case EXTENSION: /* at first, and behind a quoted value */
        return byte == ';' ? EXTENSION_NAME_FIRST : byte == '\r' ? SIZE_CR : REFUSED;
    case EXTENSION_NAME_FIRST:
        return weft_http_is_token(&byte, 1) ? EXTENSION_NAME : REFUSED;
    case EXTENSION_NAME:
        if (byte == '=')
            return EXTENSION_VALUE_FIRST;
        return weft_http_is_token(&byte, 1) ? EXTENSION_NAME : pass_extension_byte(EXTENSION, byte);
    case EXTENSION_VALUE_FIRST:
        if (byte == '"')
            return EXTENSION_QUOTED;
        return weft_http_is_token(&byte, 1) ? EXTENSION_VALUE : REFUSED;
    case EXTENSION_VALUE:
        return weft_http_is_token(&byte, 1) ? EXTENSION_VALUE : pass_extension_byte(EXTENSION, byte);
    case EXTENSION_QUOTED:
        if (byte == '"')
            return EXTENSION;
        if (byte == '\\')
            return EXTENSION_ESCAPED;
        __attribute__((fallthrough));
    case EXTENSION_ESCAPED:
        return byte == '\t' || (b >= 0x20 && b != 0x7f) ? EXTENSION_QUOTED : REFUSED;
    default:
        return REFUSED;
    }
}

/* Goes on with data[*at, size) within the extensions, up to their CR. */
static int read_extensions(weft_chunked *c, const char *data, size_t size, size_t *at)
{
    for (; *at < size; ++*at) {
        enum state state = pass_extension_byte((enum state)c->state, data[*at]);
        if (state == REFUSED)
            return refuse(c, -400, "a malformed chunk extension");
        c->state = (uint8_t)state;
        if (state == SIZE_CR)
            return 0;
        if (++c->line_size > c->limits->size_line) {
            c->excess = WEFT_CHUNKED_LONG_LINE;
            return refuse(c, -400, "a chunk size line that is too long");
        }
        if (++c->extensions > c->limits->extensions) {
            c->excess = WEFT_CHUNKED_LONG_EXTENSIONS;
            return refuse(c, -413, "chunk extensions that are too long");
        }
    }
    return 0;
}

static bool is_one_of(const weft_bytes *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(names[i]) == name->size && weft_http_same_text(names[i], name->data, name->size))
            return true;
    return false;
}

/* Ends the texts of each trailer, and leaves out those that may not be seen. */
static int judge_trailers(weft_chunked *c)
{
    static const char *const refused[] = { "content-length", "host", "transfer-encoding" };
    static const char *const left_out[] = {
        /* connection and routing */
        "connection", "expect", "forwarded", "keep-alive", "max-forwards", "proxy-connection", "te", "trailer", "upgrade",
        "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip",
        /* who asks */
        "authorization", "cookie", "origin", "proxy-authorization", "set-cookie",
        /* what is asked for, and on which conditions */
        "cache-control", "if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "pragma", "range",
        /* what the content is */
        "content-encoding", "content-range", "content-type"
    };
    int kept = 0;
    for (int i = 0; i < c->field_count; i++) {
        weft_trailer field = c->fields[i];
        if (is_one_of(&field.name, refused, sizeof(refused) / sizeof(*refused)))
            return refuse(c, -400, "a trailer that belongs in the head");
        if (is_one_of(&field.name, left_out, sizeof(left_out) / sizeof(*left_out)))
            continue;
        const char *value = field.value.data;
        while (field.value.size > 0 && (value[field.value.size - 1] == ' ' || value[field.value.size - 1] == '\t'))
            field.value.size--;
        c->section[(size_t)(field.name.data - c->section) + field.name.size] = '\0';
        c->section[(size_t)(value - c->section) + field.value.size] = '\0';
        c->fields[kept++] = field;
    }
    c->field_count = kept;
    return 0;
}

/* The whole section, which the byte check has passed: shown to llhttp, which must find its end where we do. */
static int parse_trailers(weft_chunked *c, const char *data, size_t size)
{
    c->field_max = c->check.field_count;
    if (c->field_max > 0 && !(c->fields = weft_arena_alloc(c->arena, (size_t)c->field_max * sizeof(*c->fields))))
        return refuse(c, -ENOMEM, "out of memory");
    llhttp_errno_t error = llhttp_execute(&c->llhttp, data, size);
    if (!c->is_complete) {
        const char *reason = error == HPE_OK ? NULL : llhttp_get_error_reason(&c->llhttp);
        return refuse(c, -400, reason ? reason : "trailers that are read in two ways");
    }
    if (c->field_count != c->field_max || llhttp_get_error_pos(&c->llhttp) != data + size)
        return refuse(c, -400, "trailers that are read in two ways");
    int rc = judge_trailers(c);
    if (rc < 0)
        return rc;
    c->state = END;
    return WEFT_CHUNKED_END;
}

/* Adds to the part of the section that is kept. */
static int keep_trailers(weft_chunked *c, const char *data, size_t size)
{
    size_t needed = c->section_size + size;
    if (needed > c->section_room) {
        size_t room = c->section_room > 0 ? 2 * (size_t)c->section_room : 256;
        if (room < needed)
            room = needed;
        char *section = weft_arena_alloc(c->arena, room);
        if (!section)
            return refuse(c, -ENOMEM, "out of memory");
        if (c->section_size > 0)
            memcpy(section, c->section, c->section_size);
        c->section = section;
        c->section_room = (uint32_t)room;
    }
    if (size > 0)
        memcpy(c->section + c->section_size, data, size);
    c->section_size = (uint32_t)needed;
    return 0;
}

/* Most bodies have no trailers, and their end is not looked for further than its CRLF. Others are checked where they lie if
 * they came in one piece, else in the arena, with as much behind them as could still belong to them. */
static int read_trailers(weft_chunked *c, const char *data, size_t size, size_t *ret_taken)
{
    const weft_http_limits limits = { .field = c->limits->trailer_field,
                                      .head = c->limits->trailers,
                                      .field_count = c->limits->trailer_count };
    size_t before = c->section_size;
    size_t taken = size;
    if (before > 0) {
        if (taken > limits.head - before)
            taken = limits.head - before;
        int rc = keep_trailers(c, data, taken);
        if (rc < 0)
            return rc;
    }
    int64_t rc = weft_head_check_run(&c->check, before > 0 ? c->section : data, before + taken, &limits);
    if (rc == -431)
        c->excess = c->check.excess == WEFT_HEAD_MANY_FIELDS ? WEFT_CHUNKED_MANY_TRAILERS : WEFT_CHUNKED_LONG_TRAILERS;
    if (rc < 0)
        return refuse(c, (int)rc, rc == -431 ? "trailers that are too large" : "malformed trailers");
    if (rc == 0) {
        *ret_taken = taken;
        return before > 0 ? WEFT_CHUNKED_MORE : keep_trailers(c, data, taken);
    }
    size_t section_size = (size_t)rc;
    *ret_taken = section_size - before;
    if (before == 0 && c->check.field_count > 0) {
        int kept = keep_trailers(c, data, section_size);
        if (kept < 0)
            return kept;
    }
    return parse_trailers(c, c->section ? c->section : data, section_size);
}

/* Hands out what there is of the chunk in payload[0, size), once llhttp has found the same there. */
static int give_payload(weft_chunked *c, const char *unfed, const char *payload, size_t size, weft_bytes *ret_payload)
{
    if (size > c->left)
        size = (size_t)c->left;
    if (UNLIKELY(feed(c, unfed, (size_t)(payload - unfed) + size) < 0))
        return c->verdict;
    if (UNLIKELY(c->by_llhttp.data != payload || c->by_llhttp.size != size))
        return refuse(c, -400, "a chunk that is read in two ways");
    c->left -= size;
    if (c->left == 0)
        c->state = PAYLOAD_CR;
    *ret_payload = (weft_bytes){ .data = payload, .size = size };
    return WEFT_CHUNKED_PAYLOAD;
}

int weft_chunked_next(weft_chunked *c, const char *data, size_t size, size_t *ret_consumed, weft_bytes *ret_payload)
{
    size_t at = 0, fed = 0; /* data[fed, at) has passed, and llhttp has not seen it */
    size_t taken = 0;
    int rc;
    *ret_consumed = 0;
    if (c->state == END)
        return WEFT_CHUNKED_END;
    if (c->state == REFUSED)
        return c->verdict;
    while (at < size) {
        switch ((enum state)c->state) {
        case PAYLOAD:
            rc = give_payload(c, data + fed, data + at, size - at, ret_payload);
            if (rc == WEFT_CHUNKED_PAYLOAD)
                *ret_consumed = at + ret_payload->size;
            return rc;
        case TRAILERS:
            if (feed(c, data + fed, at - fed) < 0)
                return c->verdict;
            rc = read_trailers(c, data + at, size - at, &taken);
            if (rc >= 0)
                *ret_consumed = at + taken;
            return rc;
        case EXTENSION:
        case EXTENSION_NAME_FIRST:
        case EXTENSION_NAME:
        case EXTENSION_VALUE_FIRST:
        case EXTENSION_VALUE:
        case EXTENSION_QUOTED:
        case EXTENSION_ESCAPED:
            if (feed(c, data + fed, at - fed) < 0 || read_extensions(c, data, size, &at) < 0)
                return c->verdict;
            fed = at;
            break;
        default:
            if (UNLIKELY(read_size_line(c, data, size, &at) < 0)) {
                feed(c, data + fed, at - fed); /* which may have found an offence before this one */
                return c->verdict;
            }
            break;
        }
    }
    if (feed(c, data + fed, at - fed) < 0)
        return c->verdict;
    *ret_consumed = size;
    return WEFT_CHUNKED_MORE;
}

int64_t weft_chunked_declared(const weft_chunked *c)
{
    return c->declared;
}

const char *weft_chunked_reason(const weft_chunked *c)
{
    return c->reason;
}

enum weft_chunked_excess weft_chunked_excess(const weft_chunked *c)
{
    return (enum weft_chunked_excess)c->excess;
}

const weft_trailer *weft_chunked_trailers(const weft_chunked *c, int *ret_count)
{
    *ret_count = c->state == END ? c->field_count : 0;
    return c->fields;
}

const char *weft_chunked_find(const weft_chunked *c, const char *name)
{
    int count;
    const weft_trailer *fields = weft_chunked_trailers(c, &count);
    size_t size = strlen(name);
    for (int i = 0; i < count; i++)
        if (fields[i].name.size == size && weft_http_same_text(fields[i].name.data, name, size))
            return fields[i].value.data;
    return NULL;
}

size_t weft_chunk_head(char out[WEFT_CHUNK_HEAD_MAX], size_t size)
{
    static const char digits[] = "0123456789abcdef";
    CHECK(size > 0);
    size_t count = (67 - (size_t)__builtin_clzll(size)) / 4;
    for (size_t i = count; i-- > 0; size >>= 4)
        out[i] = digits[size & 15];
    memcpy(out + count, "\r\n", 2);
    return count + 2;
}
