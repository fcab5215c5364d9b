/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * llhttp judges what says where a message begins and ends: the request line, the fields that frame, and the blank line. It is
 * shown these, one after the other, and is stopped before the body; if nothing frames, line and blank line in one call. All
 * other fields are cut by ourselves: mostly by the byte check on its way (head_check.h), else here. The check has passed them,
 * so each is a line with a colon and without control bytes, and what is left to judge is that its name is a token. llhttp goes
 * over names byte by byte, and a browser sends a dozen fields that mean nothing to it: 2,500 instructions of 8,800.
 *
 * The parts of a line are NUL-terminated once llhttp has seen it: it reads the bytes behind a part.
 *
 * Never trusted to llhttp 8: that the request line has single spaces and ends in HTTP/1.x (it takes HTTP/0.9, RTSP and ICE),
 * the methods, Host, what a transfer coding may be, keep-alive (it overlooks "close\t"). No leniency flag is ever set.
 */
#include "lib/http/head.h"

#include <errno.h>
#include <llhttp.h>
#include <string.h>

#include "lib/base/check.h"
#include "lib/http/field.h"
#include "lib/http/target.h"

typedef struct parse {
    llhttp_t llhttp;
    char *line, *line_end; /* of the request line, with its CRLF */
    bool has_line;         /* llhttp has seen it */
    const char *target;
    size_t target_size;
    bool is_complete; /* on_headers_complete has been called; what llhttp knew then: */
    uint64_t content_length;
} parse;

/* What the fields said, as far as it takes more than one to judge. */
typedef struct framing {
    int host_count, length_count, coding_count;
    const weft_http_field *coding;
    const weft_http_field *length;
    size_t host_size;
    bool closes, keeps, names_upgrade, has_upgrade, expects_continue;
} framing;

static int on_url(llhttp_t *llhttp, const char *at, size_t size)
{
    parse *p = llhttp->data;
    if (p->target)
        return -1;
    p->target = at;
    p->target_size = size;
    return 0;
}

static int on_headers_complete(llhttp_t *llhttp)
{
    parse *p = llhttp->data;
    p->is_complete = true;
    p->content_length = llhttp->content_length;
    return HPE_PAUSED; /* the body is not its business, whatever it thinks there is of one */
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_headers_complete = on_headers_complete,
};

#ifdef WEFT_LLHTTP_SSE42
int llhttp__internal_execute_sse42(llhttp_t *llhttp, const char *data, const char *end); /* llhttp_sse42.c */
#endif

/* Of the two builds of llhttp's state machine, if there are two, the better one for this processor. */
static llhttp_errno_t execute(llhttp_t *llhttp, const char *data, const char *end)
{
#ifdef WEFT_LLHTTP_SSE42
    if (LIKELY(__builtin_cpu_supports("sse4.2")))
        return (llhttp_errno_t)llhttp__internal_execute_sse42(llhttp, data, end);
#endif
    return llhttp_execute(llhttp, data, (size_t)(end - data));
}

static int refuse(weft_http_head *head, int status, const char *reason)
{
    head->reason = reason;
    return status;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int served_method(const char *name, size_t size)
{
    static const char names[][8] = { "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS" };
    for (int i = 0; i < (int)(sizeof(names) / sizeof(*names)); i++)
        if (strlen(names[i]) == size && memcmp(names[i], name, size) == 0)
            return i;
    return -1;
}

/* The first line of a head that cannot be served, read by ourselves, so that the answer does not hang on how far llhttp came:
 * the protocol is judged first, then the method, then what llhttp said of the rest. */
static int refuse_by_line(weft_http_head *head, char *line, const char *end, const char *otherwise)
{
    const char *cr = memchr(line, '\r', (size_t)(end - line));
    char *space = memchr(line, ' ', (size_t)(cr - line));
    size_t method_size = space ? (size_t)(space - line) : 0;
    if (!weft_http_is_token(line, method_size))
        return refuse(head, 400, "the request line does not begin with a method");
    const char *version = memrchr(line, ' ', (size_t)(cr - line));
    version++;
    if (version == space + 1 || cr - version != 8 || memcmp(version, "HTTP/", 5) != 0 || !is_digit(version[5]) ||
        version[6] != '.' || !is_digit(version[7]))
        return refuse(head, 400, "the request line does not end in an HTTP version");
    if (version[5] == '0')
        return refuse(head, 400, "HTTP/0.9 is not served");
    if (version[5] != '1' || (version[7] != '0' && version[7] != '1'))
        return refuse(head, 505, "HTTP versions other than 1.0 and 1.1 are not served");
    int method = served_method(line, method_size);
    *space = '\0';
    head->method = line;
    if (method < 0)
        return refuse(head, 501, "the method is not one that is served");
    return refuse(head, 400, otherwise);
}

/* Fills in what the request line tells. False when it is not "METHOD target HTTP/1.x", or not a method that is served. */
static bool read_line(weft_http_head *head, const parse *p, char *line, const char *end)
{
    static const uint8_t methods[] = {
        [HTTP_GET] = WEFT_HTTP_GET + 1,         [HTTP_HEAD] = WEFT_HTTP_HEAD + 1,     [HTTP_POST] = WEFT_HTTP_POST + 1,
        [HTTP_PUT] = WEFT_HTTP_PUT + 1,         [HTTP_DELETE] = WEFT_HTTP_DELETE + 1, [HTTP_PATCH] = WEFT_HTTP_PATCH + 1,
        [HTTP_OPTIONS] = WEFT_HTTP_OPTIONS + 1,
    };
    static const uint8_t sizes[] = { 3, 4, 4, 3, 6, 5, 7 };
    unsigned by_llhttp = p->llhttp.method;
    if (!p->target || by_llhttp >= sizeof(methods) || !methods[by_llhttp])
        return false;
    unsigned method = methods[by_llhttp] - 1u;
    char *target = line + (p->target - line);
    char *version = target + p->target_size; /* " HTTP/1.1\r\n" */
    if (target != line + sizes[method] + 1 || end - version < 11 || memcmp(version, " HTTP/1.", 8) != 0 ||
        (version[8] != '0' && version[8] != '1') || version[9] != '\r')
        return false;
    head->method_id = (uint8_t)method;
    head->version_minor = (uint8_t)(version[8] - '0');
    head->method = line;
    head->target = target;
    head->target_size = (uint16_t)p->target_size;
    target[-1] = '\0';
    *version = '\0';
    return true;
}

/* Is the text, of this size and without control bytes, `lower` in any case? Setting the bit that makes letters small maps no
 * other of these bytes onto a letter or onto '-'. */
static inline __attribute__((always_inline)) bool is_named(const char *name, const char *lower, size_t size)
{
    if (size >= 8) {
        uint64_t first, last, lower_first, lower_last;
        memcpy(&first, name, 8);
        memcpy(&lower_first, lower, 8);
        for (size_t i = 8; i + 8 < size; i += 8) {
            memcpy(&last, name + i, 8);
            memcpy(&lower_last, lower + i, 8);
            if ((last | UINT64_C(0x2020202020202020)) != lower_last)
                return false;
        }
        memcpy(&last, name + size - 8, 8);
        memcpy(&lower_last, lower + size - 8, 8);
        return (first | UINT64_C(0x2020202020202020)) == lower_first && (last | UINT64_C(0x2020202020202020)) == lower_last;
    }
    uint32_t first, last, lower_first, lower_last;
    memcpy(&first, name, 4);
    memcpy(&lower_first, lower, 4);
    memcpy(&last, name + size - 4, 4);
    memcpy(&lower_last, lower + size - 4, 4);
    return (first | 0x20202020u) == lower_first && (last | 0x20202020u) == lower_last;
}

#define IS_NAMED(name, lower) is_named(name, lower, sizeof(lower) - 1)

/* False for the two that everybody sends, of which llhttp has nothing to say: what they ask for is decided here. */
static bool read_connection(framing *f, const char *value, size_t size)
{
    if (LIKELY(size == 10 && IS_NAMED(value, "keep-alive"))) {
        f->keeps = true;
        return false;
    }
    if (size == 5 && IS_NAMED(value, "close")) {
        f->closes = true;
        return false;
    }
    weft_bytes member;
    while (weft_http_list_next(&value, &size, &member)) {
        if (member.size == 5 && weft_http_same_text(member.data, "close", 5))
            f->closes = true;
        else if (member.size == 10 && weft_http_same_text(member.data, "keep-alive", 10))
            f->keeps = true;
        else if (member.size == 7 && weft_http_same_text(member.data, "upgrade", 7))
            f->names_upgrade = true;
    }
    return true;
}

static void read_expect(weft_http_head *head, framing *f, const char *value, size_t size)
{
    weft_bytes member;
    while (weft_http_list_next(&value, &size, &member)) {
        if (member.size == 12 && weft_http_same_text(member.data, "100-continue", 12))
            f->expects_continue = true;
        else if (member.size > 0)
            head->expects_unknown = true;
    }
}

/* The fields that the server itself obeys. True for those that frame the message, or the next one: llhttp has to see them. */
static inline bool note_field(weft_http_head *head, framing *f, const weft_http_field *field, const char *name,
                              const char *value)
{
    switch (field->name_size) {
    case 4:
        if (IS_NAMED(name, "host")) {
            head->host = value;
            f->host_size = field->value_size;
            f->host_count++;
        }
        return false;
    case 6:
        if (IS_NAMED(name, "expect"))
            read_expect(head, f, value, field->value_size);
        return false;
    case 7:
        if (!IS_NAMED(name, "upgrade"))
            return false;
        f->has_upgrade |= field->value_size > 0;
        return true;
    case 10:
        if (!IS_NAMED(name, "connection"))
            return false;
        return read_connection(f, value, field->value_size);
    case 14:
        if (!IS_NAMED(name, "content-length"))
            return false;
        f->length = field;
        f->length_count++;
        return true;
    case 17:
        if (!IS_NAMED(name, "transfer-encoding"))
            return false;
        f->coding = field;
        f->coding_count++;
        return true;
    default:
        return false;
    }
}

static inline bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static const char read_in_two_ways[] = "a head that is read in two ways";

/* Cuts the `count` fields from `at` to the blank line, which ends the head. NULL, or why it is refused. */
static const char *cut_fields(weft_http_field *field, int count, const char *data, const char *at, const char *end)
{
    for (; at < end && *at != '\r'; field++) {
        if (UNLIKELY(count-- == 0))
            return read_in_two_ways;
        const char *name = at, *colon = at + weft_http_token_size(at, (size_t)(end - at));
        const char *value = colon + 1, *cr = colon < end ? memchr(colon, '\r', (size_t)(end - colon)) : NULL;
        if (UNLIKELY(!cr || *colon != ':' || colon == name))
            return "a field's name that is no token";
        while (is_space(*value))
            value++;
        const char *value_end = cr;
        while (value_end > value && is_space(value_end[-1]))
            value_end--;
        *field = (weft_http_field){ .name = (uint16_t)(name - data),
                                    .name_size = (uint16_t)(colon - name),
                                    .value = (uint16_t)(value - data),
                                    .value_size = (uint16_t)(value_end - value) };
        at = cr + 2;
    }
    return LIKELY(count == 0 && at + 2 == end) ? NULL : read_in_two_ways;
}

/* Has llhttp judge the request line, and, if `is_last`, that the head ends behind it: fields that nothing depends on lie
 * between. 0, or the status to refuse it with. */
static int take_line(weft_http_head *head, parse *p, bool is_last)
{
    char behind[2];
    llhttp_errno_t error;
    p->has_line = true;
    if (is_last) {
        memcpy(behind, p->line_end, 2);
        memcpy(p->line_end, "\r\n", 2);
        error = execute(&p->llhttp, p->line, p->line_end + 2);
        memcpy(p->line_end, behind, 2);
        if (LIKELY(p->is_complete && llhttp_get_error_pos(&p->llhttp) == p->line_end + 2))
            error = HPE_OK;
    } else {
        error = execute(&p->llhttp, p->line, p->line_end);
    }
    if (UNLIKELY(error != HPE_OK))
        return refuse_by_line(head, p->line, p->line_end, llhttp_get_error_reason(&p->llhttp));
    if (UNLIKELY(!read_line(head, p, p->line, p->line_end)))
        return refuse_by_line(head, p->line, p->line_end, "a malformed request line");
    return 0;
}

/* Takes the fields into the head's table, those that frame through llhttp. 0, or the status to refuse the head with. */
static int read_fields(weft_http_head *head, parse *p, framing *f, const weft_http_field *cut)
{
    char *data = head->data;
    weft_http_field *field = head->fields, *fields_end = field + head->field_count;
    for (; field < fields_end; field++, cut++) {
        *field = *cut;
        char *name = data + field->name, *value = data + field->value;
        if (note_field(head, f, field, name, value)) {
            const char *cr = value + field->value_size;
            while (is_space(*cr))
                cr++;
            int status = p->has_line ? 0 : take_line(head, p, false);
            if (UNLIKELY(status != 0))
                return status;
            if (UNLIKELY(execute(&p->llhttp, name, cr + 2) != HPE_OK))
                return refuse(head, 400, llhttp_get_error_reason(&p->llhttp));
        }
        name[field->name_size] = '\0';
        value[field->value_size] = '\0';
    }
    return 0;
}

/* Shows llhttp the end of the head, and what it has not seen before. */
static int end_fields(weft_http_head *head, parse *p, const char *end)
{
    if (LIKELY(!p->has_line))
        return take_line(head, p, true);
    llhttp_errno_t error = execute(&p->llhttp, end - 2, end);
    if (UNLIKELY(!p->is_complete))
        return refuse(head, 400, error == HPE_OK ? "no whole head" : llhttp_get_error_reason(&p->llhttp));
    return LIKELY(llhttp_get_error_pos(&p->llhttp) == end) ? 0 : refuse(head, 400, read_in_two_ways);
}

/* RFC 9112 §3.2. */
static int judge_host(weft_http_head *head, const framing *f)
{
    if (f->host_count > 1)
        return refuse(head, 400, "more than one Host");
    if (f->host_count == 0)
        return head->version_minor == 0 ? 0 : refuse(head, 400, "no Host");
    if (!weft_http_is_host(head->host, f->host_size))
        return refuse(head, 400, "a Host that is none");
    return 0;
}

/* RFC 9112 §6.1: only `chunked`, once and alone. Other codings are 501, however they are combined; broken lists are 400. */
static int judge_coding(weft_http_head *head, const framing *f)
{
    const char *list = head->data + f->coding->value;
    size_t left = f->coding->value_size;
    if (head->version_minor == 0)
        return refuse(head, 400, "Transfer-Encoding on HTTP/1.0");
    if (f->length_count > 0)
        return refuse(head, 400, "Transfer-Encoding with Content-Length");
    if (f->coding_count > 1)
        return refuse(head, 400, "more than one Transfer-Encoding");
    if (left == 7 && weft_http_same_text(list, "chunked", 7)) {
        head->is_chunked = true;
        return 0;
    }
    bool has_other = false, is_last_chunked = false;
    weft_bytes member;
    while (weft_http_list_next(&list, &left, &member)) {
        const char *parameter = memchr(member.data, ';', member.size);
        size_t size = parameter ? (size_t)(parameter - member.data) : member.size;
        while (size > 0 && (member.data[size - 1] == ' ' || member.data[size - 1] == '\t'))
            size--;
        if (!weft_http_is_token(member.data, size))
            return refuse(head, 400, "a malformed Transfer-Encoding");
        if (is_last_chunked)
            return refuse(head, 400, "a transfer coding after chunked");
        if (size == 7 && weft_http_same_text(member.data, "chunked", 7)) {
            if (parameter)
                return refuse(head, 400, "chunked with a parameter");
            is_last_chunked = true;
        } else {
            has_other = true;
        }
    }
    return has_other ? refuse(head, 501, "a transfer coding that is not chunked")
                     : refuse(head, 400, "a malformed Transfer-Encoding");
}

/* RFC 9112 §6.2, and no list of equal lengths either. */
static int judge_length(weft_http_head *head, const framing *f, uint64_t by_llhttp)
{
    const char *digit = head->data + f->length->value;
    int64_t length = 0;
    if (f->length_count > 1)
        return refuse(head, 400, "more than one Content-Length");
    if (f->length->value_size == 0)
        return refuse(head, 400, "an empty Content-Length");
    for (; *digit; digit++) {
        if (!is_digit(*digit))
            return refuse(head, 400, "a Content-Length that is no number");
        if (__builtin_mul_overflow(length, 10, &length) || __builtin_add_overflow(length, *digit - '0', &length))
            return refuse(head, 400, "a Content-Length beyond measure");
    }
    if ((uint64_t)length != by_llhttp)
        return refuse(head, 400, "a Content-Length that is read in two ways");
    head->content_length = length;
    return 0;
}

static int judge(weft_http_head *head, const framing *f, uint64_t length_by_llhttp)
{
    int status = judge_host(head, f);
    if (status == 0 && f->coding)
        status = judge_coding(head, f);
    if (status == 0 && f->length)
        status = judge_length(head, f, length_by_llhttp);
    if (status != 0)
        return status;
    bool is_1_1 = head->version_minor > 0;
    head->has_body = head->is_chunked || head->content_length > 0;
    head->keep_alive = !f->closes && (is_1_1 || f->keeps);
    head->wants_upgrade = is_1_1 && f->has_upgrade && f->names_upgrade;
    head->expects_continue = is_1_1 && f->expects_continue && head->has_body;
    return 0;
}

int weft_http_head_parse_cut(weft_http_head *head, weft_arena *arena, char *data, size_t size, int field_count,
                             const weft_head_cuts *cuts)
{
    *head = (weft_http_head){ .data = data, .content_length = -1 };
    if (size > WEFT_HTTP_HEAD_MAX)
        return refuse(head, 431, "a head beyond measure");
    head->fields = weft_arena_alloc(arena, (size_t)field_count * sizeof(*head->fields)); /* not NULL for 0 either */
    if (!head->fields)
        return -ENOMEM;
    parse p;
    p.target = NULL;
    p.has_line = p.is_complete = false;
    p.content_length = 0;
    llhttp_init(&p.llhttp, HTTP_REQUEST, &settings);
    p.llhttp.data = &p;
    p.line = data[0] == '\r' ? data + 2 : data; /* the CRLF that may come before a request */
    const weft_http_field *cut = cuts->fields;
    const char *wrong = NULL;
    if (LIKELY(cuts->fields_at > 0 && cuts->count == (unsigned)field_count)) {
        p.line_end = data + cuts->fields_at;
    } else {
        p.line_end = memchr(p.line, '\n', (size_t)(data + size - p.line));
        CHECK(p.line_end);
        p.line_end++;
        wrong = cut_fields(head->fields, field_count, data, p.line_end, data + size);
        cut = head->fields;
    }
    if (UNLIKELY(wrong != NULL)) {
        int status = take_line(head, &p, false);
        return status ? status : refuse(head, 400, wrong);
    }
    head->field_count = (uint16_t)field_count;
    framing f = { 0 };
    int status = read_fields(head, &p, &f, cut);
    if (LIKELY(status == 0))
        status = end_fields(head, &p, data + size);
    return status ? status : judge(head, &f, p.content_length);
}

int weft_http_head_parse(weft_http_head *head, weft_arena *arena, char *data, size_t size, int field_count)
{
    static const weft_head_cuts none;
    return weft_http_head_parse_cut(head, arena, data, size, field_count, &none);
}

const char *weft_http_head_find(const weft_http_head *head, const char *name)
{
    size_t size = strlen(name);
    for (unsigned i = 0; i < head->field_count; i++) {
        const weft_http_field *field = &head->fields[i];
        if (field->name_size == size && weft_http_same_text(head->data + field->name, name, size))
            return head->data + field->value;
    }
    return NULL;
}
