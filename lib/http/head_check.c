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

#include <string.h>

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
    STOPS_IN_LINE,          /* all but visible ASCII and SP */
    STOPS_IN_NAME,          /* the same, SP and ':' */
    STOPS_IN_VALUE,         /* control bytes but HTAB, and DEL */
    STOPS_QUICKLY_IN_NAME,  /* all but letters, digits and '-' */
    STOPS_QUICKLY_IN_VALUE, /* control bytes, HTAB too, and DEL */
};

/* tchar of RFC 9110 §5.6.2, 32 bytes a line. */
/* clang-format off */
static const bool token_bytes[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 1, 0, 1, 1, 1, 1, 1, 0, 0, 1, 1, 0, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0,
    0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 0, 1, 0,
};
/* clang-format on */

static ALWAYS_INLINE bool is_token_byte(char byte)
{
    return token_bytes[(unsigned char)byte];
}

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

/* Letters, digits and '-'. */
static ALWAYS_INLINE __m128i usual_in_name(__m128i v)
{
    __m128i small = _mm_or_si128(v, _mm_set1_epi8(0x20)); /* maps no other byte onto a letter */
    /* moved so that the last of them is the greatest number with a sign: one comparison is enough */
    __m128i letter = _mm_cmpgt_epi8(_mm_add_epi8(small, _mm_set1_epi8(0x7f - 'z')), _mm_set1_epi8(0x7f - 26));
    __m128i digit = _mm_cmpgt_epi8(_mm_add_epi8(v, _mm_set1_epi8(0x7f - '9')), _mm_set1_epi8(0x7f - 10));
    return _mm_or_si128(_mm_or_si128(letter, digit), _mm_cmpeq_epi8(v, _mm_set1_epi8('-')));
}

static ALWAYS_INLINE block_mask find_in_block(const char *data, enum stops stops)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)data);
    __m128i del = _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f));
    __m128i found;
    if (stops == STOPS_QUICKLY_IN_NAME)
        return (block_mask)_mm_movemask_epi8(usual_in_name(v)) ^ 0xffff;
    if (stops == STOPS_QUICKLY_IN_VALUE) {
        found = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
    } else if (stops == STOPS_IN_VALUE) {
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
    if (stops == STOPS_QUICKLY_IN_NAME) {
        uint8x16_t letter = vcltq_u8(vsubq_u8(vorrq_u8(v, vdupq_n_u8(0x20)), vdupq_n_u8('a')), vdupq_n_u8(26));
        uint8x16_t digit = vcltq_u8(vsubq_u8(v, vdupq_n_u8('0')), vdupq_n_u8(10));
        found = vmvnq_u8(vorrq_u8(vorrq_u8(letter, digit), vceqq_u8(v, vdupq_n_u8('-'))));
    } else if (stops == STOPS_QUICKLY_IN_VALUE) {
        found = vorrq_u8(vcltq_u8(v, vdupq_n_u8(0x20)), vceqq_u8(v, vdupq_n_u8(0x7f)));
    } else if (stops == STOPS_IN_VALUE) {
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

#ifdef BLOCK
/* As `find` in what is there, of which the last block begins at `last`. */
static ALWAYS_INLINE size_t find_quickly(const char *data, size_t at, size_t last, enum stops stops)
{
    block_mask mask;
    for (; LIKELY(at <= last); at += BLOCK)
        if ((mask = find_in_block(data + at, stops)))
            return at + (size_t)__builtin_ctzll(mask) / MASK_BITS;
    if (at >= last + BLOCK)
        return last + BLOCK;
    mask = find_in_block(data + last, stops) >> ((at - last) * MASK_BITS);
    return mask ? at + (size_t)__builtin_ctzll(mask) / MASK_BITS : last + BLOCK;
}

/* SP or HTAB, of the bytes that a value may hold. */
static ALWAYS_INLINE bool is_space(char byte)
{
    return (unsigned char)byte <= ' ';
}

static ALWAYS_INLINE bool is_crlf(const char *at)
{
    return memcmp(at, "\r\n", 2) == 0;
}
#endif

/* From `line` on, where a line begins: passes and cuts whole good fields while they come, and returns where the first line
 * begins that is not passed. What is wrong with that one, if anything, is the states' business; so this only saves their
 * bookkeeping, and the parser a second look at each line, which was 2,000 instructions of a browser's head. */
static ALWAYS_INLINE size_t pass_fields(const char *data, size_t line, size_t size, const weft_http_limits *limits,
                                        uint16_t *field_count, weft_head_cuts *cuts)
{
#ifdef BLOCK
    if (size < BLOCK || *field_count > limits->field_count)
        return line;
    const size_t last = size - BLOCK, limit = limits->field;
    unsigned most = (unsigned)limits->field_count - *field_count, room = WEFT_HEAD_CUTS - cuts->count;
    weft_http_field *const first = cuts->fields + cuts->count, *field = first;
    for (weft_http_field *const full = first + (most < room ? most : room); field < full; field++) {
        size_t colon = find_quickly(data, line, last, STOPS_QUICKLY_IN_NAME);
        if (colon == line || colon == size)
            break;
        if (UNLIKELY(data[colon] != ':')) { /* without a call, for which every field would lose the constants */
            while (colon < size && is_token_byte(data[colon]))
                colon++;
            if (colon == size || data[colon] != ':')
                break;
        }
        size_t end = find_quickly(data, colon + 1, last, STOPS_QUICKLY_IN_VALUE);
        while (UNLIKELY(end < size && data[end] == '\t'))
            end = find_quickly(data, end + 1, last, STOPS_QUICKLY_IN_VALUE);
        if (UNLIKELY(end + 1 >= size || !is_crlf(data + end) || end - line > limit))
            break;
        size_t value = colon + 1, value_end = end;
        while (is_space(data[value]) && value < end)
            value++;
        while (UNLIKELY(is_space(data[value_end - 1])) && value_end > value)
            value_end--;
        *field = (weft_http_field){ .name = (uint16_t)line,
                                    .name_size = (uint16_t)(colon - line),
                                    .value = (uint16_t)value,
                                    .value_size = (uint16_t)(value_end - value) };
        line = end + 2;
    }
    cuts->count += (uint32_t)(field - first);
    *field_count = (uint16_t)(*field_count + (field - first));
#else
    (void)data, (void)size, (void)limits, (void)field_count, (void)cuts;
#endif
    return line;
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
                                 bool by_blocks, weft_head_cuts *cuts)
{
    DCHECK(limits->head <= WEFT_HTTP_HEAD_MAX);
    cuts->fields_at = cuts->count = 0;
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
                at = now.line = (uint32_t)pass_fields(data, at, size, limits, &now.field_count, cuts);
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
        if (now.state == REQUEST_LINE)
            cuts->fields_at = now.line;
        now.state = LINE_START;
    }
}

/* ---- public ---- */

size_t weft_http_token_size(const char *text, size_t size)
{
    size_t at = 0;
#if defined(__SSE2__)
    while (size - at >= BLOCK) {
        block_mask others = find_in_block(text + at, STOPS_QUICKLY_IN_NAME);
        at += others ? (size_t)__builtin_ctz(others) : BLOCK;
        if (others && !is_token_byte(text[at]))
            return at;
        at += others != 0; /* one of the rare ones, as '_' */
    }
#endif
    while (at < size && is_token_byte(text[at]))
        at++;
    return at;
}

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
    weft_head_cuts unused;
    return run(check, data, size, limits, true, &unused);
}

int64_t weft_head_check_run_cutting(weft_head_check *check, const char *data, size_t size, const weft_http_limits *limits,
                                    weft_head_cuts *ret_cuts)
{
    return run(check, data, size, limits, true, ret_cuts);
}

int64_t weft_head_check_run_scalar(weft_head_check *check, const char *data, size_t size, const weft_http_limits *limits)
{
    weft_head_cuts unused;
    return run(check, data, size, limits, false, &unused);
}
