/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Three layers, each of which asks the next: `weft_ws_reader_next` finds frames, `read_payload` takes what has come of a data
 * frame, `add_plain` and `add_compressed` put it into the message. A small message that is whole takes a shorter way,
 * `read_small`.
 *
 * A buffer doubles as bytes come. Only once 64 KiB have come is the rest of the frame believed and made room for at once. Large
 * buffers go to the loop's spares, where the next large message finds pages that the kernel need not clear.
 */
#include "lib/ws/reader.h"

#include <errno.h>
#include <string.h>

#include <weft/error.h>

#include "lib/base/check.h"
#include "lib/base/memory.h"
#include "lib/base/sanitize.h"

enum {
    FIRST_ROOM = WEFT_WS_SMALL,
    SMALL_KEPT = 64,
    BELIEVED = 64 * 1024,        /* so much of a frame has to come before its length counts */
    PART_SIZE = 64 * 1024,       /* of a part that is handed out, about */
    SPARE_MIN = 32 * 1024,       /* smaller buffers go back to the heap, */
    SPARE_MAX = 2 * 1024 * 1024, /* and larger ones too */
    PIECE = 4096,                /* of compressed payload, unmasked on the stack */
    PIECE_OF_PART = 128,         /* the same, when a part is wanted: it becomes up to 132 KiB */
    SPARES = sizeof((weft_ws_store *)0)->spares / sizeof((weft_ws_store *)0)->spares[0],
};

bool weft_ws_close_code_is_valid(int code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

static enum weft_ws_kind fail_by(weft_ws_event *event, enum weft_ws_limit limit, int code, const char *words)
{
    event->code = (uint16_t)code;
    event->limit = limit;
    event->words = words;
    return WEFT_WS_FAILED;
}

static enum weft_ws_kind fail(weft_ws_event *event, int code, const char *words)
{
    return fail_by(event, WEFT_WS_LIMIT_NONE, code, words);
}

static enum weft_ws_kind fail_size(weft_ws_event *event)
{
    return fail_by(event, WEFT_WS_LIMIT_MESSAGE, 1009, "a message that is too large");
}

static enum weft_ws_kind fail_memory(weft_ws_event *event)
{
    return fail(event, 1013, "out of memory");
}

static enum weft_ws_kind fail_cut_text(weft_ws_event *event)
{
    return fail(event, 1007, "a text that ends in the middle of a character");
}

/* ---- buffers ---- */

void weft_ws_store_init(weft_ws_store *store, uint64_t *buffered, size_t budget)
{
    *store = (weft_ws_store){ .buffered = buffered, .budget = budget };
}

void weft_ws_store_close(weft_ws_store *store)
{
    for (int i = 0; i < SPARES; i++)
        weft_mem_free(store->spares[i].data);
    for (void *small; (small = store->small);) {
        store->small = *(void **)small;
        weft_mem_free(small);
    }
    weft_inflate_free(store->inflate);
    weft_ws_contexts_close(&store->contexts);
}

/* Other threads may read it. */
static void count(weft_ws_store *store, int64_t more)
{
    __atomic_store_n(store->buffered, *store->buffered + (uint64_t)more, __ATOMIC_RELAXED);
}

/* A buffer of at least `room` bytes, and its true size. The heap is asked as rarely as can be: a malloc and its free are 250
 * instructions, of the 2,300 that an echo of 64 bytes takes. */
static char *take_buffer(weft_ws_store *store, size_t room, size_t *ret_room)
{
    if (room <= WEFT_WS_SMALL) {
        char *small = store->small;
        *ret_room = WEFT_WS_SMALL;
        if (!small)
            return weft_mem_alloc(WEFT_WS_SMALL);
        store->small = *(void **)(void *)small;
        store->small_count--;
        SANITIZE_UNPOISON(small, WEFT_WS_SMALL);
        return small;
    }
    for (int i = 0; room >= SPARE_MIN && i < SPARES; i++) {
        struct weft_ws_spare spare = store->spares[i];
        if (spare.room < room)
            continue;
        store->spares[i] = (struct weft_ws_spare){ NULL, 0 };
        *ret_room = spare.room;
        SANITIZE_UNPOISON(spare.data, spare.room);
        return spare.data;
    }
    *ret_room = room;
    return weft_mem_alloc(room);
}

static void give_buffer(weft_ws_store *store, char *data, size_t room)
{
    if (room == WEFT_WS_SMALL && store->small_count < SMALL_KEPT) {
        *(void **)(void *)data = store->small;
        store->small = data;
        store->small_count++;
        SANITIZE_POISON(data + sizeof(void *), WEFT_WS_SMALL - sizeof(void *));
        return;
    }
    for (int i = 0; room >= SPARE_MIN && room <= SPARE_MAX && i < SPARES; i++) {
        if (store->spares[i].room >= room)
            continue;
        char *smaller = store->spares[i].data;
        store->spares[i] = (struct weft_ws_spare){ data, room };
        SANITIZE_POISON(data, room);
        data = smaller;
        break;
    }
    weft_mem_free(data);
}

void weft_ws_reader_release(weft_ws_reader *r)
{
    if (r->data) {
        give_buffer(r->store, r->data, r->room);
        count(r->store, -(int64_t)r->room);
    }
    r->data = NULL;
    r->size = r->room = 0;
    r->taken = r->fragments = 0; /* what was handed out in parts does not count for the rest */
    r->is_delivered = false;
}

/* Makes room for `more` bytes and a NUL; `expected` may come in all. False with the event: it cannot be had. */
static bool make_room(weft_ws_reader *r, size_t more, size_t expected, weft_ws_event *event)
{
    size_t needed = r->size + more + 1;
    if (needed <= r->room)
        return true;
    size_t room = r->room ? 2 * r->room : FIRST_ROOM;
    if (room < needed)
        room = needed;
    if (expected + 1 >= needed && (room > expected || r->size + more >= BELIEVED))
        room = expected + 1;
    uint64_t held = *r->store->buffered;
    if (held > r->store->budget || room > r->store->budget - held) {
        fail_by(event, WEFT_WS_LIMIT_BUFFERED, 1013, "all messages together would buffer too much");
        return false;
    }
    char *data = take_buffer(r->store, room, &room);
    if (!data) {
        fail_memory(event);
        return false;
    }
    if (r->size > 0)
        memcpy(data, r->data, r->size);
    if (r->data)
        give_buffer(r->store, r->data, r->room);
    count(r->store, (int64_t)room - (int64_t)r->room);
    r->data = data;
    r->room = room;
    return true;
}

/* ---- decompressing ---- */

static bool take_inflate(weft_ws_reader *r)
{
    if (r->inflate)
        return true;
    if (!r->keeps_context && r->store->inflate) {
        r->inflate = r->store->inflate; /* its window is one of 2^15, and does for all */
        r->store->inflate = NULL;
        weft_inflate_reset(r->inflate);
        return true;
    }
    r->inflate = weft_inflate_new(r->keeps_context ? r->window_bits : WEFT_DEFLATE_WINDOW_MAX);
    return r->inflate;
}

static void give_inflate(weft_ws_reader *r)
{
    if (!r->inflate || r->keeps_context)
        return;
    if (r->store->inflate)
        weft_inflate_free(r->inflate);
    else
        r->store->inflate = r->inflate;
    r->inflate = NULL;
}

void weft_ws_reader_close(weft_ws_reader *r)
{
    weft_ws_reader_release(r);
    if (r->context)
        weft_ws_context_give(&r->store->contexts, r->context, false);
    r->context = NULL;
    weft_inflate_free(r->inflate);
    r->inflate = NULL;
}

static void fail_inflate(int64_t rc, weft_ws_event *event)
{
    if (rc == -ENOMEM)
        fail_memory(event);
    else if (rc == -E2BIG)
        fail_by(event, WEFT_WS_LIMIT_INFLATE, 1009, "a message that inflates too much");
    else
        fail(event, 1007, "what is no deflate stream");
}

static bool check_text(weft_ws_reader *r, size_t from, weft_ws_event *event)
{
    if (!r->is_text || weft_utf8_check(&r->utf8, r->data + from, r->size - from))
        return true;
    fail(event, 1007, "a text that is not UTF-8");
    return false;
}

/* Inflates in[0, size). False with the event. */
static bool inflate_all(weft_ws_reader *r, bool is_limited, const char *in, size_t size, weft_ws_event *event)
{
    size_t at = 0, written;
    do {
        if (!make_room(r, FIRST_ROOM, 0, event))
            return false;
        size_t room = r->room - r->size - 1;
        int64_t rc = weft_inflate_run(r->inflate, r->inflate_ratio, in, size, &at, r->data + r->size, room);
        if (rc < 0) {
            fail_inflate(rc, event);
            return false;
        }
        written = (size_t)rc;
        r->size += written;
        if (is_limited && r->size > r->limit) {
            fail_size(event);
            return false;
        }
        if (!check_text(r, r->size - written, event))
            return false;
    } while (written > 0 || at < size); /* what is wrong behind what was written, the next call says */
    return true;
}

/* ---- payloads ---- */

/* Is what is still to come of a frame too much for the message? */
static bool is_too_large(const weft_ws_reader *r, bool is_compressed, uint64_t left)
{
    size_t most = r->limit, before = r->size;
    if (is_compressed) { /* what does not compress may grow a little; empty blocks, which give nothing, are bounded too */
        most = r->limit < SIZE_MAX / 2 ? r->limit + r->limit / 64 + 1024 : SIZE_MAX;
        before = r->taken;
    }
    return before > most || left > most - before;
}

/* `is_limited`: all of the frame is to be in one buffer; else only what has come. The count of bytes taken, or -1 with the
 * event. */
static int64_t add_plain(weft_ws_reader *r, bool is_limited, const char *in, size_t size, weft_ws_event *event)
{
    uint64_t left = r->frame.size - r->frame_taken;
    size_t expected = is_limited && left < SIZE_MAX / 2 ? r->size + (size_t)left : 0;
    if (!is_limited && size > PART_SIZE)
        size = PART_SIZE;
    if (!make_room(r, size, expected, event))
        return -1;
    if (weft_ws_frame_take(r->context, &r->frame, r->frame_taken, in, size, r->data + r->size) < 0) {
        fail(event, 1002, "a malformed frame");
        return -1;
    }
    r->size += size;
    return check_text(r, r->size - size, event) ? (int64_t)size : -1;
}

/* The same; for a part no more than makes about PART_SIZE of it. */
static int64_t add_compressed(weft_ws_reader *r, bool is_limited, const char *in, size_t size, weft_ws_event *event)
{
    char piece[PIECE];
    size_t at = 0, most = is_limited ? PIECE : PIECE_OF_PART;
    do {
        size_t here = size - at < most ? size - at : most;
        if (weft_ws_frame_take(r->context, &r->frame, r->frame_taken + at, in + at, here, piece) < 0) {
            fail(event, 1002, "a malformed frame");
            return -1;
        }
        if (here > 0 && !inflate_all(r, is_limited, piece, here, event))
            return -1;
        at += here;
    } while (at < size && (is_limited || r->size < PART_SIZE));
    return (int64_t)at;
}

static void end_frame(weft_ws_reader *r)
{
    weft_ws_context_give(&r->store->contexts, r->context, true);
    r->context = NULL;
    r->in_frame = false;
}

/* The last frame's last byte has come. */
static enum weft_ws_kind end_message(weft_ws_reader *r, weft_ws_event *event)
{
    if (r->is_compressed) {
        if (weft_inflate_end(r->inflate, r->keeps_context) < 0)
            return fail(event, 1007, "a deflate stream that is cut off");
        give_inflate(r);
    }
    if (r->is_text && !weft_utf8_is_whole(&r->utf8))
        return fail_cut_text(event);
    if (!make_room(r, 0, 0, event))
        return WEFT_WS_FAILED;
    r->data[r->size] = '\0';
    r->in_message = false;
    r->is_delivered = true;
    return WEFT_WS_MESSAGE;
}

/* Takes what has come of the present data frame. WEFT_WS_MORE to go on. */
static enum weft_ws_kind read_payload(weft_ws_reader *r, enum weft_ws_want want, const char *in, size_t size, size_t *ret_taken,
                                      weft_ws_event *event)
{
    uint64_t left = r->frame.size - r->frame_taken;
    bool is_limited = want == WEFT_WS_WANT_MESSAGE;
    if (is_limited && is_too_large(r, r->is_compressed, left)) /* of a frame that was begun in parts */
        return fail_size(event);
    if (!r->context && !(r->context = weft_ws_context_take(&r->store->contexts)))
        return fail_memory(event);
    size_t here = size < left ? size : (size_t)left;
    int64_t taken = r->is_compressed ? add_compressed(r, is_limited, in, here, event)
                                     : add_plain(r, is_limited, in, here, event);
    if (taken < 0)
        return WEFT_WS_FAILED;
    *ret_taken += (size_t)taken;
    r->frame_taken += (uint64_t)taken;
    if (is_limited)
        r->taken += (size_t)taken;
    if (r->frame_taken == r->frame.size) {
        end_frame(r);
        if (r->frame.is_final)
            return end_message(r, event);
    }
    if (want == WEFT_WS_WANT_PART && r->size > 0) {
        r->is_delivered = true;
        return WEFT_WS_PART;
    }
    return WEFT_WS_MORE;
}

/* The last bytes of a frame come by the way of all, with what follows it: to read them alone would be a read more. */
struct iovec weft_ws_reader_room(const weft_ws_reader *r)
{
    uint64_t left = r->in_frame && !r->is_compressed && !r->is_delivered ? r->frame.size - r->frame_taken : 0;
    bool has_room = left > BELIEVED && left < r->room - r->size;
    return has_room ? (struct iovec){ r->data + r->size, (size_t)left } : (struct iovec){ NULL, 0 };
}

/* ---- frames ---- */

/* May this data frame come now? WEFT_WS_MORE if so. */
static enum weft_ws_kind judge_frame(const weft_ws_reader *r, enum weft_ws_want want, const weft_ws_frame *frame,
                                     weft_ws_event *event)
{
    bool continues = frame->opcode == WEFT_WS_CONTINUATION;
    if (continues != r->in_message)
        return fail(event, 1002, continues ? "a continuation of nothing" : "a new message inside another");
    if (want == WEFT_WS_WANT_MESSAGE && continues && r->fragments >= r->fragment_limit)
        return fail_by(event, WEFT_WS_LIMIT_FRAGMENTS, 1009, "a message of too many fragments");
    if (want == WEFT_WS_WANT_MESSAGE && is_too_large(r, continues ? r->is_compressed : frame->is_compressed, frame->size))
        return fail_size(event);
    return WEFT_WS_MORE;
}

static enum weft_ws_kind begin_frame(weft_ws_reader *r, enum weft_ws_want want, const weft_ws_frame *frame,
                                     weft_ws_event *event)
{
    if (!r->in_message) {
        r->is_compressed = frame->is_compressed;
        if (r->is_compressed && !take_inflate(r))
            return fail_memory(event);
        r->in_message = true;
        r->is_text = frame->opcode == WEFT_WS_TEXT;
        r->utf8 = (weft_utf8){ 0 };
        r->fragments = 0;
        r->taken = 0;
    }
    if (want == WEFT_WS_WANT_MESSAGE)
        r->fragments++;
    r->frame = *frame;
    r->frame_taken = 0;
    r->in_frame = true;
    return WEFT_WS_MORE;
}

static enum weft_ws_kind read_close(weft_ws_event *event)
{
    if (event->size == 0) {
        event->code = 1005;
        return WEFT_WS_CLOSED;
    }
    if (event->size == 1)
        return fail(event, 1002, "half a close code");
    int code = (unsigned char)event->bytes[0] << 8 | (unsigned char)event->bytes[1];
    if (!weft_ws_close_code_is_valid(code))
        return fail(event, 1002, "a close code that may not be sent");
    weft_utf8 utf8 = { 0 };
    event->size = (uint8_t)(event->size - 2);
    memmove(event->bytes, event->bytes + 2, event->size);
    if (!weft_utf8_check(&utf8, event->bytes, event->size) || !weft_utf8_is_whole(&utf8))
        return fail(event, 1007, "a reason that is not UTF-8");
    event->code = (uint16_t)code;
    return WEFT_WS_CLOSED;
}

/* A control frame, all of which is there. */
static enum weft_ws_kind read_control(weft_ws_reader *r, const weft_ws_frame *frame, const char *in, weft_ws_event *event)
{
    int rc = weft_ws_frame_take_whole(&r->store->contexts, frame, in + frame->header_size, event->bytes);
    if (rc < 0)
        return rc == -ENOMEM ? fail_memory(event) : fail(event, 1002, "a malformed frame");
    event->size = (uint8_t)frame->size;
    return frame->opcode == WEFT_WS_PING ? WEFT_WS_PINGED : frame->opcode == WEFT_WS_PONG ? WEFT_WS_PONGED : read_close(event);
}

/* Most messages: small, in one frame, all of which is there. */
static bool is_small(const weft_ws_reader *r, const weft_ws_frame *frame, size_t size)
{
    return frame->is_final && !frame->is_compressed && !r->in_message && frame->opcode != WEFT_WS_CONTINUATION &&
           frame->size < WEFT_WS_SMALL && frame->size <= r->limit && frame->size <= size - frame->header_size;
}

/* Such a one, at once: by the way of the others it takes 200 instructions more. */
static enum weft_ws_kind read_small(weft_ws_reader *r, const weft_ws_frame *frame, const char *in, weft_ws_event *event)
{
    size_t size = (size_t)frame->size;
    if (!make_room(r, size, 0, event))
        return WEFT_WS_FAILED;
    int rc = weft_ws_frame_take_whole(&r->store->contexts, frame, in, r->data);
    if (rc < 0)
        return rc == -ENOMEM ? fail_memory(event) : fail(event, 1002, "a malformed frame");
    r->data[size] = '\0';
    r->size = size;
    r->is_text = frame->opcode == WEFT_WS_TEXT;
    r->utf8 = (weft_utf8){ 0 };
    if (!check_text(r, 0, event))
        return WEFT_WS_FAILED;
    if (!weft_utf8_is_whole(&r->utf8))
        return fail_cut_text(event);
    r->is_delivered = true;
    return WEFT_WS_MESSAGE;
}

/* One step: a header, a control frame, or what there is of a payload. *ret_taken grows when something was used up. */
static enum weft_ws_kind step(weft_ws_reader *r, enum weft_ws_want want, const char *in, size_t size, size_t *ret_taken,
                              weft_ws_event *event)
{
    if (r->in_frame)
        return want == WEFT_WS_WANT_CONTROL ? WEFT_WS_AHEAD : read_payload(r, want, in, size, ret_taken, event);
    weft_ws_frame frame;
    const char *words = NULL;
    int rc = weft_ws_frame_read(&frame, r->role, r->window_bits != 0, in, size, &words);
    if (rc < 0)
        return fail(event, 1002, words);
    if (rc == 0)
        return WEFT_WS_MORE;
    if (weft_ws_is_control(&frame)) {
        if (size - frame.header_size < frame.size)
            return WEFT_WS_MORE;
        *ret_taken += frame.header_size + (size_t)frame.size;
        return read_control(r, &frame, in, event);
    }
    if (want == WEFT_WS_WANT_CONTROL)
        return WEFT_WS_AHEAD;
    if (LIKELY(is_small(r, &frame, size))) {
        *ret_taken += frame.header_size + (size_t)frame.size;
        return read_small(r, &frame, in + frame.header_size, event);
    }
    enum weft_ws_kind kind = judge_frame(r, want, &frame, event);
    if (kind == WEFT_WS_FAILED || (frame.size > 0 && size == frame.header_size))
        return kind; /* it is begun when a byte of its payload is there: until then nothing is held for it */
    kind = begin_frame(r, want, &frame, event);
    if (kind != WEFT_WS_FAILED)
        *ret_taken += frame.header_size;
    if (kind == WEFT_WS_MORE && frame.size == 0)
        kind = read_payload(r, want, in + frame.header_size, 0, ret_taken, event);
    return kind;
}

enum weft_ws_kind weft_ws_reader_next(weft_ws_reader *r, enum weft_ws_want want, const char *in, size_t size, size_t *ret_taken,
                                      weft_ws_event *event)
{
    size_t taken = 0, before;
    enum weft_ws_kind kind;
    if (r->is_delivered && want != WEFT_WS_WANT_CONTROL) /* else it is still in use */
        weft_ws_reader_release(r);
    event->words = NULL;
    do {
        before = taken;
        kind = size > taken ? step(r, want, in + taken, size - taken, &taken, event) : WEFT_WS_MORE;
    } while (kind == WEFT_WS_MORE && taken > before);
    *ret_taken = taken;
    return kind;
}
