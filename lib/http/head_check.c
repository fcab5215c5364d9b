/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * One scan over the bytes, from one byte that matters to the next: in a request line that is its CR, in a field's line the
 * ':' and the CR. A search stops at whatever may not be there as well, so that one comparison afterwards tells good from bad.
 *
 *     state           at the stop                               then
 *     BEFORE_REQUEST  CRLF is skipped, once                     REQUEST_LINE
 *     REQUEST_LINE    CRLF ends the line                        LINE_START
 *     LINE_START      CRLF is the end; else a field is counted  NAME
 *     NAME            ':' that is not the line's first          VALUE
 *     VALUE           CRLF ends the line                        LINE_START
 *
 * A CR that is the last byte so far is not passed: `at` stays on it. Every search is bounded by the limits, so an endless
 * line is refused at the byte that is too much.
 *
 * 16 bytes at a time: byte by byte this was a third of the instructions of a browser's head.
 */
#include "lib/http/head_check.h"

#include "lib/base/check.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#define BLOCK 16
#elif defined(__ARM_NEON) && defined(__aarch64__)
#include <arm_neon.h>
#define BLOCK 16
#endif

#define ALWAYS_INLINE inline __attribute__((always_inline))

enum state { BEFORE_REQUEST, REQUEST_LINE, LINE_START, NAME, VALUE };

enum stops {
    STOPS_IN_LINE,  /* all but visible ASCII and SP */
    STOPS_IN_NAME,  /* the same, SP and ':' */
    STOPS_IN_VALUE, /* control bytes but HTAB, and DEL */
};

static ALWAYS_INLINE bool is_stop(char byte, enum stops stops)
{
    unsigned char c = (unsigned char)byte;
    switch (stops) {
    case STOPS_IN_LINE:
        return c < 0x20 || c >= 0x7f;
    case STOPS_IN_NAME:
        return c <= 0x20 || c >= 0x7f || c == ':';
    case STOPS_IN_VALUE:
    default:
        return (c < 0x20 && c != '\t') || c == 0x7f;
    }
}

#if defined(__SSE2__)
#define MASK_BITS 1 /* bits of a mask for each byte */
typedef uint32_t block_mask;

static ALWAYS_INLINE block_mask find_in_block(const char *data, enum stops stops)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)data);
    __m128i del = _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f));
    __m128i found;
    if (stops == STOPS_IN_VALUE) {
        __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
        found = _mm_andnot_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('\t')), control);
    } else if (stops == STOPS_IN_NAME) { /* compared with their sign, bytes from 0x80 on are small */
        found = _mm_or_si128(_mm_cmplt_epi8(v, _mm_set1_epi8(0x21)), _mm_cmpeq_epi8(v, _mm_set1_epi8(':')));
    } else {
        found = _mm_cmplt_epi8(v, _mm_set1_epi8(0x20));
    }
    return (block_mask)_mm_movemask_epi8(_mm_or_si128(found, del));
}
#elif defined(BLOCK)
#define MASK_BITS 4
typedef uint64_t block_mask;

static ALWAYS_INLINE block_mask find_in_block(const char *data, enum stops stops)
{
    uint8x16_t v = vld1q_u8((const uint8_t *)(const void *)data);
    uint8x16_t found;
    if (stops == STOPS_IN_VALUE) {
        found = vbicq_u8(vcltq_u8(v, vdupq_n_u8(0x20)), vceqq_u8(v, vdupq_n_u8('\t')));
        found = vorrq_u8(found, vceqq_u8(v, vdupq_n_u8(0x7f)));
    } else if (stops == STOPS_IN_NAME) {
        found = vorrq_u8(vcltq_u8(v, vdupq_n_u8(0x21)), vceqq_u8(v, vdupq_n_u8(':')));
        found = vorrq_u8(found, vcgeq_u8(v, vdupq_n_u8(0x7f)));
    } else {
        found = vorrq_u8(vcltq_u8(v, vdupq_n_u8(0x20)), vcgeq_u8(v, vdupq_n_u8(0x7f)));
    }
    return vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(vreinterpretq_u16_u8(found), 4)), 0);
}
#endif

/* The first stop in data[at, end), or end. */
static ALWAYS_INLINE size_t find(const char *data, size_t at, size_t end, enum stops stops, bool by_blocks)
{
#ifdef BLOCK
    if (by_blocks && end >= BLOCK) {
        for (; end - at >= BLOCK; at += BLOCK) {
            block_mask mask = find_in_block(data + at, stops);
            if (mask)
                return at + (size_t)__builtin_ctzll(mask) / MASK_BITS;
        }
        if (at == end)
            return end;
        /* the last block reaches back over bytes already passed */
        block_mask mask = find_in_block(data + end - BLOCK, stops) >> ((BLOCK - (end - at)) * MASK_BITS);
        return mask ? at + (size_t)__builtin_ctzll(mask) / MASK_BITS : end;
    }
#else
    (void)by_blocks;
#endif
    while (at < end && !is_stop(data[at], stops))
        at++;
    return at;
}

/* From `at` on, where a line begins: passes whole good fields while they come, and returns where the first line begins that is
 * not passed. What is wrong with that one, if anything, is the states' business; so this only saves their bookkeeping, which
 * was two thirds of the 1,640 instructions of a browser's head. */
static ALWAYS_INLINE size_t pass_fields(const char *data, size_t at, size_t size, const weft_http_limits *limits,
                                        uint16_t *field_count)
{
#ifdef BLOCK
    if (size < BLOCK)
        return at;
    const size_t last_block = size - BLOCK;
    for (; *field_count < limits->field_count; ++*field_count) {
        size_t line = at;
        block_mask mask;
        for (;; at += BLOCK) {
            if (at > last_block)
                return line;
            if ((mask = find_in_block(data + at, STOPS_IN_NAME)))
                break;
        }
        at += (size_t)__builtin_ctzll(mask) / MASK_BITS;
        if (data[at] != ':' || at == line)
            return line;
        for (at++;; at += BLOCK) {
            if (at > last_block)
                return line;
            if ((mask = find_in_block(data + at, STOPS_IN_VALUE)))
                break;
        }
        at += (size_t)__builtin_ctzll(mask) / MASK_BITS;
        if (data[at] != '\r' || at - line > limits->field || at + 1 == size || data[at + 1] != '\n')
            return line;
        at += 2;
    }
#else
    (void)data, (void)size, (void)limits, (void)field_count;
#endif
    return at;
}

/* Where looking in a line that began at `line` must end: at the end of what is there, or behind the place where its CR may be
 * at the latest. */
static ALWAYS_INLINE size_t end_of_window(size_t line, size_t size, size_t limit)
{
    return limit < size - line ? line + limit + 1 : size;
}

/* Nothing is wrong with the bytes before `at`, but the head does not end there. `too_large` is the status if it is too much
 * already: the line is, or no more of the head may come. */
static ALWAYS_INLINE int64_t stop_at(weft_head_check *c, const weft_head_check *now, size_t at, size_t limit, bool is_full,
                                     int too_large)
{
    *c = *now;
    c->at = (uint32_t)at;
    if (LIKELY(!is_full && at - now->line <= limit))
        return 0;
    c->excess = at - now->line <= limit ? WEFT_HEAD_LONG : too_large == 414 ? WEFT_HEAD_LONG_LINE : WEFT_HEAD_LONG_FIELD;
    return -too_large;
}

/* The state is kept in a local copy: the compiler must believe that `data` could alias the caller's. */
static ALWAYS_INLINE int64_t run(weft_head_check *c, const char *data, size_t size, const weft_http_limits *limits,
                                 bool by_blocks)
{
    DCHECK(limits->head <= WEFT_HTTP_HEAD_MAX);
    weft_head_check now = *c;
    size_t end, at = now.at;
    const size_t field_limit = limits->field, line_limit = limits->request_line;
    const bool is_full = size >= limits->head; /* a head that has not ended by then is too large */
    if (is_full)
        size = limits->head;
    for (;;) {
        switch ((enum state)now.state) {
        case BEFORE_REQUEST:
            if (size == 0)
                return 0;
            if (data[0] == '\r') {
                if (size < 2)
                    return stop_at(c, &now, at, line_limit, is_full, 414);
                if (data[1] != '\n')
                    return -400;
                at = now.line = 2;
            }
            now.state = REQUEST_LINE;
            __attribute__((fallthrough));
        case REQUEST_LINE:
            end = end_of_window(now.line, size, line_limit);
            at = find(data, at, end, STOPS_IN_LINE, by_blocks);
            if (at > now.line && (data[now.line] == ' ' || data[now.line] == ':'))
                return -400;
            if (at == end)
                return stop_at(c, &now, at, line_limit, is_full, 414);
            if (data[at] != '\r' || at == now.line)
                return -400;
            if (at + 1 == size)
                return stop_at(c, &now, at, line_limit, is_full, 414);
            break;
        case LINE_START:
            if (by_blocks)
                at = now.line = (uint32_t)pass_fields(data, at, size, limits, &now.field_count);
            if (at == size)
                return stop_at(c, &now, at, field_limit, is_full, 431);
            if (data[at] == '\r') {
                if (at + 1 == size)
                    return stop_at(c, &now, at, field_limit, is_full, 431);
                c->field_count = now.field_count;
                return data[at + 1] == '\n' ? (int64_t)at + 2 : -400;
            }
            if (now.field_count >= limits->field_count) {
                c->excess = WEFT_HEAD_MANY_FIELDS;
                return -431;
            }
            now.field_count++;
            now.state = NAME;
            __attribute__((fallthrough));
        case NAME:
            end = end_of_window(now.line, size, field_limit);
            at = find(data, at, end, STOPS_IN_NAME, by_blocks);
            if (at == end)
                return stop_at(c, &now, at, field_limit, is_full, 431);
            if (data[at] != ':' || at == now.line)
                return -400;
            at++;
            now.state = VALUE;
            __attribute__((fallthrough));
        case VALUE:
            end = end_of_window(now.line, size, field_limit);
            at = find(data, at, end, STOPS_IN_VALUE, by_blocks);
            if (at == end)
                return stop_at(c, &now, at, field_limit, is_full, 431);
            if (data[at] != '\r')
                return -400;
            if (at + 1 == size)
                return stop_at(c, &now, at, field_limit, is_full, 431);
            break;
        }
        /* at the CR that ends a line, and there is a byte behind it */
        if (data[at + 1] != '\n')
            return -400;
        at += 2;
        now.line = (uint32_t)at;
        now.state = LINE_START;
    }
}

/* ---- names ---- */

/* tchar of RFC 9110 §5.6.2, 32 bytes a line. */
/* clang-format off */
static const bool token_bytes[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 1, 0, 1, 1, 1, 1, 1, 0, 0, 1, 1, 0, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0,
    0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 0, 1, 0,
};
/* clang-format on */

size_t weft_http_token_size(const char *text, size_t size)
{
    size_t at = 0;
#if defined(__SSE2__)
    while (size - at >= BLOCK) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(text + at));
        __m128i small = _mm_or_si128(v, _mm_set1_epi8(0x20)); /* maps no other byte onto a letter */
        __m128i letter = _mm_and_si128(_mm_cmpgt_epi8(small, _mm_set1_epi8('a' - 1)),
                                       _mm_cmplt_epi8(small, _mm_set1_epi8('z' + 1)));
        __m128i digit = _mm_and_si128(_mm_cmpgt_epi8(v, _mm_set1_epi8('0' - 1)), _mm_cmplt_epi8(v, _mm_set1_epi8('9' + 1)));
        __m128i usual = _mm_or_si128(_mm_or_si128(letter, digit), _mm_cmpeq_epi8(v, _mm_set1_epi8('-')));
        unsigned others = (unsigned)_mm_movemask_epi8(usual) ^ 0xffff;
        at += others ? (size_t)__builtin_ctz(others) : BLOCK;
        if (others && !token_bytes[(unsigned char)text[at]])
            return at;
        at += others != 0; /* one of the rare ones, as '_' */
    }
#endif
    while (at < size && token_bytes[(unsigned char)text[at]])
        at++;
    return at;
}

/* ---- public ---- */

void weft_head_check_init(weft_head_check *check)
{
    *check = (weft_head_check){ .state = BEFORE_REQUEST };
}

void weft_head_check_init_trailers(weft_head_check *check)
{
    *check = (weft_head_check){ .state = LINE_START };
}

int64_t weft_head_check_run(weft_head_check *check, const char *data, size_t size, const weft_http_limits *limits)
{
    return run(check, data, size, limits, true);
}

int64_t weft_head_check_run_scalar(weft_head_check *check, const char *data, size_t size, const weft_http_limits *limits)
{
    return run(check, data, size, limits, false);
}
