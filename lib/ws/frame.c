/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * wslay asks by on_want for what has come, into its buffer, and hands out what it has recognised in chunks of at most that
 * buffer. Of a payload it looks at no byte, since it is shown no mask: so it is told only how many there are, and they are
 * unmasked right from where they lie to where they belong. All that is fed is taken out in the same call: a context between two
 * calls holds a place in a frame, and no bytes.
 *
 * A context is clean when its frame is whole: then it expects a header again. After an error, or in the middle of a frame, it
 * is freed and made anew (55 ns).
 */
#include "lib/ws/frame.h"

#include <errno.h>
#include <string.h>
#include <wslay/wslay.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <weft/error.h>

#include "lib/base/check.h"
#include "lib/base/memory.h"

enum { CONTEXTS_KEPT = 64 };

struct weft_ws_context {
    weft_ws_context *next; /* in the pool */
    wslay_frame_context_ptr wslay;
    size_t payload_left;   /* bytes that wslay has not been told of */
    char header_bytes[16]; /* more than a header: copied as a whole, which takes two instructions */
    uint8_t header_size;   /* 0 once wslay has it */
    uint8_t sent_size;     /* of the header that wslay has made */
};

/* ---- headers ---- */

static uint64_t read_number(const char *data, int size)
{
    uint64_t n = 0;
    for (int i = 0; i < size; i++)
        n = n << 8 | (unsigned char)data[i];
    return n;
}

static int refuse(const char *words, const char **ret_words)
{
    *ret_words = words;
    return WEFT_EPROTOCOL;
}

/* The first byte: FIN, RSV and the opcode. */
static const char *judge_first(unsigned char byte, bool may_compress)
{
    unsigned opcode = byte & 0x0f;
    if (byte & 0x30)
        return "a reserved bit is set";
    if (opcode > WEFT_WS_PONG || (opcode > WEFT_WS_BINARY && opcode < WEFT_WS_CLOSE))
        return "an unknown opcode";
    if ((byte & 0x40) && (!may_compress || opcode == WEFT_WS_CONTINUATION || opcode >= WEFT_WS_CLOSE))
        return "a frame is marked as compressed that may not be";
    if (opcode >= WEFT_WS_CLOSE && !(byte & 0x80))
        return "a control frame in fragments";
    return NULL;
}

/* The second one: the mask bit and the short length. */
static const char *judge_second(unsigned char first, unsigned char second, enum weft_ws_role role)
{
    if (!!(second & 0x80) != (role == WEFT_WS_SERVER))
        return role == WEFT_WS_SERVER ? "a frame without a mask" : "a server's frame with a mask";
    if ((first & 0x0f) >= WEFT_WS_CLOSE && (second & 0x7f) > WEFT_WS_CONTROL_MAX)
        return "a control frame of more than 125 bytes";
    return NULL;
}

int weft_ws_frame_read(weft_ws_frame *frame, enum weft_ws_role role, bool may_compress, const char *data, size_t size,
                       const char **ret_words)
{
    if (size == 0)
        return 0;
    unsigned char first = (unsigned char)data[0];
    const char *words = judge_first(first, may_compress);
    if (words || size == 1)
        return words ? refuse(words, ret_words) : 0;
    unsigned char second = (unsigned char)data[1];
    words = judge_second(first, second, role);
    if (words)
        return refuse(words, ret_words);
    int more = (second & 0x7f) == 126 ? 2 : (second & 0x7f) == 127 ? 8 : 0;
    if (more == 8 && size > 2 && (data[2] & 0x80))
        return refuse("a length of more than 63 bits", ret_words);
    if (size < 2 + (size_t)more)
        return 0;
    uint64_t length = more ? read_number(data + 2, more) : second & 0x7f;
    if ((more == 2 && length < 126) || (more == 8 && length <= 0xffff))
        return refuse("a length in more bytes than it needs", ret_words);
    bool is_masked = second & 0x80;
    size_t header_size = 2 + (size_t)more + (is_masked ? 4 : 0);
    if (size < header_size)
        return 0;
    *frame = (weft_ws_frame){
        .size = length,
        .opcode = first & 0x0f,
        .header_size = (uint8_t)header_size,
        .is_final = first & 0x80,
        .is_compressed = first & 0x40,
        .is_masked = is_masked,
    };
    if (is_masked)
        memcpy(frame->key, data + 2 + more, 4);
    return 1;
}

/* ---- masking ---- */

void weft_ws_mask(char *out, const char *in, size_t size, const uint8_t key[4], uint64_t at)
{
    unsigned char turned[4];
    for (unsigned i = 0; i < 4; i++)
        turned[i] = key[(at + i) & 3];
    uint32_t half;
    memcpy(&half, turned, 4);
    const uint64_t mask = (uint64_t)half << 32 | half;
    size_t i = 0;
#ifdef __SSE2__
    const __m128i wide = _mm_set1_epi64x((long long)mask);
    for (; size - i >= 16; i += 16)
        _mm_storeu_si128((__m128i *)(void *)(out + i),
                         _mm_xor_si128(_mm_loadu_si128((const __m128i *)(const void *)(in + i)), wide));
#endif
    for (; size - i >= 8; i += 8) {
        uint64_t word;
        memcpy(&word, in + i, 8);
        word ^= mask;
        memcpy(out + i, &word, 8);
    }
    for (; i < size; i++)
        out[i] = (char)(in[i] ^ turned[i & 3]);
}

/* ---- contexts ---- */

/* wslay wants input: its buffer always has room for a header. */
static ssize_t on_want(uint8_t *buf, size_t room, int flags, void *user_data)
{
    weft_ws_context *context = user_data;
    (void)flags;
    size_t header = context->header_size;
    CHECK(header <= room);
    memcpy(buf, context->header_bytes, header);
    context->header_size = 0;
    size_t payload = context->payload_left < room - header ? context->payload_left : room - header;
    context->payload_left -= payload;
    return (ssize_t)(header + payload);
}

/* wslay has made a header, and then passes the payload on, which is sent from where it lies. */
static ssize_t on_made(const uint8_t *data, size_t size, int flags, void *user_data)
{
    weft_ws_context *context = user_data;
    (void)flags;
    if (context->sent_size == 0) {
        memcpy(context->header_bytes, data, size);
        context->sent_size = (uint8_t)size;
    }
    return (ssize_t)size;
}

static bool init_wslay(weft_ws_context *context)
{
    static const struct wslay_frame_callbacks callbacks = { .send_callback = on_made, .recv_callback = on_want };
    return wslay_frame_context_init(&context->wslay, &callbacks, context) == 0;
}

weft_ws_context *weft_ws_context_take(weft_ws_contexts *pool)
{
    weft_ws_context *context = pool->free;
    if (context) {
        pool->free = context->next;
        pool->free_count--;
        return context;
    }
    context = weft_mem_alloc(sizeof *context);
    if (!context)
        return NULL;
    context->payload_left = 0;
    context->header_size = 0;
    if (init_wslay(context))
        return context;
    weft_mem_free(context);
    return NULL;
}

void weft_ws_context_give(weft_ws_contexts *pool, weft_ws_context *context, bool is_clean)
{
    if (!is_clean) {
        wslay_frame_context_free(context->wslay);
        is_clean = init_wslay(context);
        if (!is_clean) {
            weft_mem_free(context);
            return;
        }
    }
    if (pool->free_count >= CONTEXTS_KEPT) {
        wslay_frame_context_free(context->wslay);
        weft_mem_free(context);
        return;
    }
    context->next = pool->free;
    pool->free = context;
    pool->free_count++;
}

void weft_ws_contexts_close(weft_ws_contexts *pool)
{
    weft_ws_context *context;
    while ((context = pool->free)) {
        pool->free = context->next;
        wslay_frame_context_free(context->wslay);
        weft_mem_free(context);
    }
    pool->free_count = 0;
}

/* ---- payloads ---- */

/* The header as wslay is to see it: without the mask. */
static void feed_header(weft_ws_context *context, const weft_ws_frame *frame)
{
    unsigned char *at = (unsigned char *)context->header_bytes;
    int more = frame->size > 0xffff ? 8 : frame->size > WEFT_WS_CONTROL_MAX ? 2 : 0;
    at[0] = (unsigned char)((frame->is_final ? 0x80 : 0) | (frame->is_compressed ? 0x40 : 0) | frame->opcode);
    at[1] = more == 8 ? 127 : more == 2 ? 126 : (unsigned char)frame->size;
    for (int i = 0; i < more; i++)
        at[2 + i] = (unsigned char)(frame->size >> (8 * (more - 1 - i)));
    context->header_size = (uint8_t)(2 + more);
}

int weft_ws_frame_take(weft_ws_context *context, const weft_ws_frame *frame, uint64_t taken, const char *in, size_t size,
                       char *out)
{
    if (taken == 0)
        feed_header(context, frame);
    context->payload_left = size;
    size_t done = 0;
    do {
        struct wslay_frame_iocb iocb;
        ssize_t got = wslay_frame_recv(context->wslay, &iocb);
        bool agrees = got >= 0 && iocb.opcode == frame->opcode && iocb.payload_length == frame->size &&
                      (size_t)got <= size - done && (got > 0 || frame->size == 0);
        if (!agrees)
            return WEFT_EPROTOCOL;
        done += (size_t)got;
    } while (done < size);
    if (frame->is_masked)
        weft_ws_mask(out, in, size, frame->key, taken);
    else if (size > 0)
        memmove(out, in, size);
    return 0;
}

int weft_ws_frame_take_whole(weft_ws_contexts *pool, const weft_ws_frame *frame, const char *in, char *out)
{
    weft_ws_context *context = weft_ws_context_take(pool);
    if (!context)
        return -ENOMEM;
    int rc = weft_ws_frame_take(context, frame, 0, in, (size_t)frame->size, out);
    weft_ws_context_give(pool, context, rc == 0);
    return rc;
}

/* ---- headers that we send ---- */

/* Where the header of such a frame is kept once it has been made: to ask wslay takes 280 instructions. NULL for other frames.
 */
static char *made_header(weft_ws_contexts *pool, enum weft_ws_opcode opcode, bool is_final, bool is_compressed, uint64_t size)
{
    bool is_kept = is_final && !is_compressed && size <= WEFT_WS_CONTROL_MAX &&
                   (opcode == WEFT_WS_TEXT || opcode == WEFT_WS_BINARY);
    return is_kept ? pool->made[opcode == WEFT_WS_BINARY][size] : NULL;
}

/* The header without a mask. Its size, or -ENOMEM. */
static int make_header(weft_ws_contexts *pool, char out[WEFT_WS_HEADER_MAX], enum weft_ws_opcode opcode, bool is_final,
                       bool is_compressed, uint64_t size)
{
    weft_ws_context *context = weft_ws_context_take(pool);
    if (!context)
        return -ENOMEM;
    static const uint8_t nothing[1];
    struct wslay_frame_iocb iocb = {
        .fin = is_final,
        .rsv = is_compressed ? WSLAY_RSV1_BIT : WSLAY_RSV_NONE,
        .opcode = (uint8_t)opcode,
        .payload_length = size,
        .data = nothing,
        .data_length = (size_t)size,
    };
    context->sent_size = 0;
    ssize_t sent = wslay_frame_send(context->wslay, &iocb);
    int header_size = context->sent_size;
    memcpy(out, context->header_bytes, WEFT_WS_HEADER_MAX);
    weft_ws_context_give(pool, context, sent >= 0 && (uint64_t)sent == size);
    CHECK(sent >= 0 && (uint64_t)sent == size);
    return header_size;
}

int weft_ws_frame_write(weft_ws_contexts *pool, char out[WEFT_WS_HEADER_MAX], enum weft_ws_opcode opcode, bool is_final,
                        bool is_compressed, uint64_t size, const uint8_t *key)
{
    char *made = made_header(pool, opcode, is_final, is_compressed, size);
    int header_size = 2;
    if (made && made[0])
        memcpy(out, made, 2);
    else
        header_size = make_header(pool, out, opcode, is_final, is_compressed, size);
    if (header_size < 0)
        return header_size;
    if (made)
        memcpy(made, out, 2);
    if (!key)
        return header_size;
    out[1] = (char)(out[1] | 0x80);
    memcpy(out + header_size, key, 4);
    return header_size + 4;
}
