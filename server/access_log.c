/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Records are made by hand, without printf, in a buffer on the loop's stack, and put into the ring whole. Each field has a
 * budget of its own, so that the record's size is bounded by construction: the sum is asserted below.
 *
 * The text of a field is escaped eight plain bytes at a time; plain ones are those that both kinds of format write as they are.
 */
#include "server/access_log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/check.h"
#include "lib/base/clock.h"
#include "lib/base/format.h"
#include "lib/base/memory.h"
#include "server/connection.h"
#include "server/request.h"

enum {
    LINE_ROOM = 2048,
    FIELD_ROOM = 600,
    CLIENT_ROOM = 96,
    REST_ROOM = 400, /* names of members, numbers, times */
};

_Static_assert((int)LINE_ROOM + 2 * (int)FIELD_ROOM + FIELD_ROOM / 2 + (int)CLIENT_ROOM + (int)REST_ROOM <=
                   WEFT_ACCESS_RECORD_MAX,
               "a record has room for the longest fields");

struct weft_access_log {
    weft_access_ring *ring;
    weft_loop *loop;
    enum weft_access_log_format format;
    weft_duration second_begins; /* of the stamp, on the loop's clock */
    struct weft_access_stamp stamp;
};

/* ---- escaping ---- */

static char *put(char *at, const char *text, size_t size)
{
    memcpy(at, text, size);
    return at + size;
}

#define PUT(at, literal) put((at), (literal), sizeof(literal) - 1)

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

#define EACH_BYTE(value) (UINT64_C(0x0101010101010101) * (value))

/* Are all eight bytes plain? Each term has the high bit of a byte that is not; a borrow or carry into the next byte only comes
 * from one that is not plain itself. */
static bool are_plain(uint64_t eight)
{
    uint64_t high = EACH_BYTE(0x80), quote = eight ^ EACH_BYTE('"'), slash = eight ^ EACH_BYTE('\\');
    uint64_t odd = eight | (eight - EACH_BYTE(0x20)) | (eight + EACH_BYTE(0x01)) | ((quote - EACH_BYTE(0x01)) & ~quote) |
                   ((slash - EACH_BYTE(0x01)) & ~slash);
    return !(odd & high);
}

static char *put_hex(char *at, unsigned char c)
{
    static const char digits[] = "0123456789abcdef";
    *at++ = digits[c >> 4];
    *at++ = digits[c & 15];
    return at;
}

/* The size of the UTF-8 sequence that text[0, size) begins with (RFC 3629), at least 2; 0 for none. */
static size_t sequence_size(const unsigned char *text, size_t size)
{
    unsigned char first = text[0], low = 0x80, high = 0xbf;
    size_t n = first >= 0xc2 && first <= 0xdf ? 2 : first >= 0xe0 && first <= 0xef ? 3 : first >= 0xf0 && first <= 0xf4 ? 4 : 0;
    if (n == 0 || n > size)
        return 0;
    if (first == 0xe0)
        low = 0xa0; /* longer than it need be */
    else if (first == 0xed)
        high = 0x9f; /* surrogates */
    else if (first == 0xf0)
        low = 0x90;
    else if (first == 0xf4)
        high = 0x8f; /* above U+10FFFF */
    if (text[1] < low || text[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if (text[i] < 0x80 || text[i] > 0xbf)
            return 0;
    return n;
}

enum { ESCAPED_MAX = 6 };

/* Puts one byte or UTF-8 sequence that is not plain, at most ESCAPED_MAX bytes; *ret_taken of the text. */
static char *put_odd(char *at, const unsigned char *text, size_t size, bool is_json, size_t *ret_taken)
{
    unsigned char c = *text;
    *ret_taken = 1;
    if (!is_json)
        return put_hex(PUT(at, "\\x"), c);
    if (c == '"' || c == '\\') {
        *at++ = '\\';
        *at++ = (char)c;
        return at;
    }
    if (c < 0x80)
        return put_hex(PUT(at, "\\u00"), c);
    size_t n = sequence_size(text, size);
    if (n == 0)
        return put_hex(PUT(at, "\\\\x"), c);
    *ret_taken = n;
    if (c == 0xc2 && text[1] < 0xa0) /* C1 control characters: terminals may obey them */
        return put_hex(PUT(at, "\\u00"), text[1]);
    return put(at, (const char *)text, n);
}

/* Puts text[0, size) escaped, at most `room` bytes: what is longer is cut. */
static char *put_text(char *at, size_t room, const char *text, size_t size, bool is_json)
{
    char *begin = at, *limit = at + room - ESCAPED_MAX - 3;
    const char *end = text + size, *tail = size >= 8 ? text + (size & ~(size_t)7) : NULL;
    const char *start = text;
    while (text < end && at <= limit) {
        uint64_t eight;
        if (end - text >= 8 && limit - at >= 8 && (memcpy(&eight, text, 8), are_plain(eight))) {
            at = put(at, text, 8);
            text += 8;
        } else if (text == tail && at - begin == text - start && limit - at >= 8 &&
                   (memcpy(&eight, end - 8, 8), are_plain(eight))) {
            at = put(at - 8 + (end - text), end - 8, 8); /* the last ones, with some that were put already */
            text = end;
        } else if (is_plain((unsigned char)*text)) {
            *at++ = *text++;
        } else {
            size_t taken;
            at = put_odd(at, (const unsigned char *)text, (size_t)(end - text), is_json, &taken);
            text += taken;
        }
    }
    return text < end ? PUT(at, "...") : at;
}

/* ---- the formats ---- */

static char *put_number(char *at, int64_t n)
{
    return at + weft_format_number(at, n > 0 ? (uint64_t)n : 0);
}

/* A quoted field of combined. */
static char *put_quoted(char *at, const char *text)
{
    *at++ = '"';
    at = text ? put_text(at, FIELD_ROOM - 2, text, strlen(text), false) : PUT(at, "-");
    *at++ = '"';
    return at;
}

static size_t format_common(char *line, bool is_combined, const struct weft_access_stamp *stamp,
                            const struct weft_access_record *r)
{
    char *at = r->client ? put_text(line, CLIENT_ROOM, r->client, strlen(r->client), false) : PUT(line, "-");
    at = PUT(at, " - - [");
    at = put(at, stamp->common, sizeof stamp->common - 1);
    at = PUT(at, "] \"");
    at = r->line.size > 0 ? put_text(at, LINE_ROOM, r->line.data, r->line.size, false) : PUT(at, "-");
    at = PUT(at, "\" ");
    at = r->status ? put_number(at, r->status) : PUT(at, "-");
    *at++ = ' ';
    at = put_number(at, r->body_size);
    *at++ = ' ';
    if (is_combined) {
        at = put_quoted(at, r->referer);
        *at++ = ' ';
        at = put_quoted(at, r->user_agent);
        *at++ = ' ';
    }
    at = r->duration >= 0 ? put_number(at, r->duration / WEFT_MICROSECOND) : PUT(at, "-");
    *at++ = ' ';
    at = r->end ? put(at, r->end, strlen(r->end)) : PUT(at, "-");
    *at++ = '\n';
    return (size_t)(at - line);
}

/* `,"name":"text"`; the name comes with what is around it. */
#define PUT_MEMBER(at, name, room, text, size) put_end(put_text(PUT((at), ",\"" name "\":\""), (room), (text), (size), true))

static char *put_end(char *at)
{
    *at++ = '"';
    return at;
}

/* Method, target and version; or what came in their place. */
static char *put_line_members(char *at, const weft_bytes *line)
{
    const char *text = line->data, *first = memchr(text, ' ', line->size), *last = memrchr(text, ' ', line->size);
    const char *end = text + line->size;
    if (!first || first == last || end - last > 16 || first - text > 32)
        return PUT_MEMBER(at, "request", LINE_ROOM, text, line->size);
    at = PUT_MEMBER(at, "method", 250, text, (size_t)(first - text));
    at = PUT_MEMBER(at, "target", LINE_ROOM - 400, first + 1, (size_t)(last - first - 1));
    return PUT_MEMBER(at, "version", 150, last + 1, (size_t)(end - last - 1));
}

static size_t format_json(char *line, const struct weft_access_stamp *stamp, const struct weft_access_record *r)
{
    char *at = PUT(line, "{\"time\":\"");
    at = put(at, stamp->json, sizeof stamp->json - 1);
    int ms = (int)(r->time / WEFT_MILLISECOND % 1000);
    *at++ = '.';
    *at++ = (char)('0' + ms / 100);
    *at++ = (char)('0' + ms / 10 % 10);
    *at++ = (char)('0' + ms % 10);
    at = PUT(at, "Z\"");
    if (r->client)
        at = PUT_MEMBER(at, "client", CLIENT_ROOM, r->client, strlen(r->client));
    if (r->line.size > 0)
        at = put_line_members(at, &r->line);
    if (r->status)
        at = put_number(PUT(at, ",\"status\":"), r->status);
    at = put_number(PUT(at, ",\"bytes\":"), r->body_size);
    if (r->duration >= 0)
        at = put_number(PUT(at, ",\"duration_us\":"), r->duration / WEFT_MICROSECOND);
    if (r->referer)
        at = PUT_MEMBER(at, "referer", FIELD_ROOM, r->referer, strlen(r->referer));
    if (r->user_agent)
        at = PUT_MEMBER(at, "user_agent", FIELD_ROOM, r->user_agent, strlen(r->user_agent));
    if (r->route)
        at = PUT_MEMBER(at, "route", FIELD_ROOM / 2, r->route, strlen(r->route));
    if (r->end)
        at = PUT_MEMBER(at, "end", 16, r->end, strlen(r->end));
    at = PUT(at, "}\n");
    return (size_t)(at - line);
}

size_t weft_access_format(char line[WEFT_ACCESS_RECORD_MAX], enum weft_access_log_format format,
                          const struct weft_access_stamp *stamp, const struct weft_access_record *record)
{
    return format == WEFT_ACCESS_LOG_JSON ? format_json(line, stamp, record)
                                          : format_common(line, format == WEFT_ACCESS_LOG_COMBINED, stamp, record);
}

void weft_access_stamp_set(struct weft_access_stamp *stamp, int64_t second)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct tm utc = { 0 };
    time_t seconds = (time_t)second;
    gmtime_r(&seconds, &utc);
    unsigned year = (unsigned)(utc.tm_year < 8100 ? utc.tm_year + 1900 : 9999) % 10000;
    unsigned month = (unsigned)utc.tm_mon % 12 + 1, day = (unsigned)utc.tm_mday % 100, hour = (unsigned)utc.tm_hour % 100;
    unsigned minute = (unsigned)utc.tm_min % 100, sec = (unsigned)utc.tm_sec % 100;
    stamp->second = second;
    snprintf(stamp->common, sizeof stamp->common, "%02u/%.3s/%04u:%02u:%02u:%02u +0000", day, months + 3 * (month - 1), year,
             hour, minute, sec);
    snprintf(stamp->json, sizeof stamp->json, "%04u-%02u-%02uT%02u:%02u:%02u", year, month, day, hour, minute, sec);
}

/* ---- the writer ---- */

/* How many were dropped, as a record of the JSON format. */
static size_t note_dropped(char *line, size_t size, uint64_t dropped)
{
    struct weft_access_stamp stamp;
    weft_access_stamp_set(&stamp, (int64_t)time(NULL));
    int n = snprintf(line, size, "{\"time\":\"%sZ\",\"dropped\":%llu}\n", stamp.json, (unsigned long long)dropped);
    return n < 0 || (size_t)n >= size ? 0 : (size_t)n;
}

int weft_access_log_start(weft_access_writer **ret_writer, const weft_app *app, size_t loop_count)
{
    const struct weft_settings *s = &app->settings;
    *ret_writer = NULL;
    if (!app->access_log)
        return 0;
    int rc = weft_access_writer_start(ret_writer,
                                      &(struct weft_access_writer_options){
                                          .path = app->access_log,
                                          .ring_count = loop_count,
                                          .ring_size = s->access_log_buffer,
                                          .log_level = s->log_level,
                                          .note = s->access_log_format == WEFT_ACCESS_LOG_JSON ? note_dropped : NULL,
                                      });
    if (rc < 0)
        weft_log(WEFT_LOG_ERROR, "the access log %s cannot be opened: %s", app->access_log, weft_strerror(rc));
    return rc;
}

void weft_access_log_stop(weft_access_writer *writer)
{
    struct weft_access_counts n;
    if (!writer)
        return;
    weft_access_writer_stop(writer, &n);
    weft_log(n.dropped || n.lost ? WEFT_LOG_WARNING : WEFT_LOG_INFO,
             "access log: %llu records written, %llu dropped, %llu could not be written", (unsigned long long)n.written,
             (unsigned long long)n.dropped, (unsigned long long)n.lost);
}

/* ---- one loop's log ---- */

weft_access_log *weft_access_log_new(weft_access_writer *writer, size_t n, weft_loop *loop, enum weft_access_log_format format)
{
    weft_access_log *log = weft_mem_calloc(1, sizeof *log);
    if (!log)
        return NULL;
    log->ring = weft_access_writer_ring(writer, n);
    log->loop = loop;
    log->format = format;
    log->second_begins = WEFT_NO_LIMIT;
    return log;
}

void weft_access_log_free(weft_access_log *log)
{
    weft_mem_free(log);
}

/* The stamp of `now`, a time of the loop's clock: the calendar is asked once a second. */
static void set_stamp(weft_access_log *log, weft_duration now)
{
    struct timespec real;
    clock_gettime(CLOCK_REALTIME, &real);
    log->second_begins = now - real.tv_nsec;
    weft_access_stamp_set(&log->stamp, (int64_t)real.tv_sec);
}

static void put_record(weft_access_log *log, weft_duration now, struct weft_access_record *record)
{
    char line[WEFT_ACCESS_RECORD_MAX];
    if (UNLIKELY(now < log->second_begins || now - log->second_begins >= WEFT_SECOND))
        set_stamp(log, now);
    record->time = log->stamp.second * WEFT_SECOND + (now - log->second_begins);
    weft_access_put(log->ring, line, weft_access_format(line, log->format, &log->stamp, record));
}

/* The first line of data[0, size), as far as a record may show it. */
static weft_bytes first_line(const char *data, size_t size)
{
    size_t n = size < LINE_ROOM ? size : LINE_ROOM;
    const char *end = n ? memchr(data, '\n', n) : NULL;
    if (end)
        n = (size_t)(end - data);
    if (n > 0 && data[n - 1] == '\r')
        n--;
    return (weft_bytes){ (char *)(uintptr_t)data, n };
}

void weft_access_log_connected(weft_access_log *log, weft_connection *c)
{
    (void)log;
    weft_connection_note_client(c);
}

void weft_access_log_begin_again(weft_access_log *log, weft_request *req)
{
    req->began = weft_loop_clock(log->loop);
}

void weft_access_log_begin(weft_access_log *log, weft_request *req, const char *head, size_t size)
{
    weft_bytes line = first_line(head, size);
    weft_access_log_begin_again(log, req);
    req->line.data = weft_arena_copy(&req->arena, line.data, line.size);
    req->line.size = req->line.data ? line.size : 0;
}

/* How a request ended that did not end well. */
static const char *end_of(const weft_connection *c)
{
    if (c->is_broken || (c->has_ended && c->state == WEFT_CONNECTION_CLOSING))
        return "gone";
    return c->state == WEFT_CONNECTION_CLOSING ? "cut" : NULL;
}

void weft_access_log_end(weft_access_log *log, const weft_request *req)
{
    weft_duration now = weft_loop_clock(log->loop);
    bool has_fields = log->format != WEFT_ACCESS_LOG_COMMON;
    put_record(log, now,
               &(struct weft_access_record){
                   .client = req->connection->client,
                   .line = req->line,
                   .status = req->status,
                   .body_size = req->body_sent,
                   .duration = now - req->began,
                   .referer = has_fields ? weft_http_head_find(&req->head, "Referer") : NULL,
                   .user_agent = has_fields ? weft_http_head_find(&req->head, "User-Agent") : NULL,
                   .route = req->route ? req->route->label : NULL,
                   .end = end_of(req->connection),
               });
}

void weft_access_log_refusal(weft_access_log *log, const weft_connection *c, int status, size_t body_size, weft_bytes input)
{
    put_record(log, weft_loop_clock(log->loop),
               &(struct weft_access_record){
                   .client = c->client,
                   .line = first_line(input.data, input.size),
                   .status = status,
                   .body_size = (int64_t)body_size,
                   .duration = -1,
                   .end = end_of(c),
               });
}
