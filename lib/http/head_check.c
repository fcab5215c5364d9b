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

/* Looks for the next stop in the present line. Its CR may be no further away than the line's limit: returns false, with *at
 * where looking ended, if there was no stop up to there, or in all that has come. */
static ALWAYS_INLINE bool find_in_line(const weft_head_check *c, const char *data, size_t *at, size_t size, size_t limit,
                                       enum stops stops, bool by_blocks)
{
    size_t end = limit < size - c->line ? c->line + limit + 1 : size;
    *at = find(data, *at, end, stops, by_blocks);
    return *at < end;
}

/* Nothing wrong in data[0, at), and the end has not come: is it too much already? */
static ALWAYS_INLINE int64_t stop_at(weft_head_check *c, size_t at, size_t limit, bool is_whole_limit, int too_large)
{
    c->at = (uint32_t)at;
    return is_whole_limit || at - c->line > limit ? -too_large : 0;
}

static ALWAYS_INLINE int64_t run(weft_head_check *c, const char *data, size_t size, const weft_http_limits *limits,
                                 bool by_blocks)
{
    DCHECK(limits->head <= WEFT_HTTP_HEAD_MAX);
    size_t at = c->at;
    const bool is_full = size >= limits->head; /* a head that has not ended by then is too large */
    if (is_full)
        size = limits->head;
    for (;;) {
        switch ((enum state)c->state) {
        case BEFORE_REQUEST:
            if (size == 0)
                return 0;
            if (data[0] == '\r') {
                if (size < 2)
                    return stop_at(c, at, limits->request_line, is_full, 414);
                if (data[1] != '\n')
                    return -400;
                at = c->line = 2;
            }
            c->state = REQUEST_LINE;
            continue;
        case REQUEST_LINE: {
            bool found = find_in_line(c, data, &at, size, limits->request_line, STOPS_IN_LINE, by_blocks);
            if (at > c->line && (data[c->line] == ' ' || data[c->line] == ':'))
                return -400;
            if (!found)
                return stop_at(c, at, limits->request_line, is_full, 414);
            if (data[at] != '\r' || at == c->line)
                return -400;
            break;
        }
        case LINE_START:
            if (at == size)
                return stop_at(c, at, limits->field, is_full, 431);
            if (data[at] == '\r') {
                if (at + 1 == size)
                    return stop_at(c, at, limits->field, is_full, 431);
                return data[at + 1] == '\n' ? (int64_t)at + 2 : -400;
            }
            if (c->field_count >= limits->field_count)
                return -431;
            c->field_count++;
            c->state = NAME;
            continue;
        case NAME:
            if (!find_in_line(c, data, &at, size, limits->field, STOPS_IN_NAME, by_blocks))
                return stop_at(c, at, limits->field, is_full, 431);
            if (data[at] != ':' || at == c->line)
                return -400;
            at++;
            c->state = VALUE;
            continue;
        case VALUE:
            if (!find_in_line(c, data, &at, size, limits->field, STOPS_IN_VALUE, by_blocks))
                return stop_at(c, at, limits->field, is_full, 431);
            if (data[at] != '\r')
                return -400;
            break;
        }
        /* at the CR that ends a line */
        if (at + 1 == size)
            return stop_at(c, at, SIZE_MAX, is_full, c->state == REQUEST_LINE ? 414 : 431);
        if (data[at + 1] != '\n')
            return -400;
        at += 2;
        c->line = (uint32_t)at;
        c->state = LINE_START;
    }
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
    return run(check, data, size, limits, true);
}

int64_t weft_head_check_run_scalar(weft_head_check *check, const char *data, size_t size, const weft_http_limits *limits)
{
    return run(check, data, size, limits, false);
}
