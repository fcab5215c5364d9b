/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * What a peer sends, from bytes to messages (RFC 6455 §5.4 to §5.6, RFC 7692): frames put together, decompressed, UTF-8 checked
 * as it arrives, limits kept, control frames passed on between fragments. Bytes in, events out; it knows no socket.
 *
 *     for (;;) {
 *         kind = weft_ws_reader_next(&reader, WEFT_WS_WANT_MESSAGE, at, size, &taken, &event);
 *         at += taken, size -= taken;
 *         if (kind == WEFT_WS_MESSAGE) ... reader.data, reader.size ...
 *         if (kind == WEFT_WS_MORE) break;                       // what is left unread comes again, with more behind it
 *     }
 *
 * The reader keeps no bytes of a header or a control frame: they stay with the caller until they are whole (at most 139). A
 * message is kept in a buffer that grows with what has come, not with what has been announced, and that goes back when the
 * next one is asked for (not by WANT_CONTROL). So an idle reader owns nothing but the decompressor's window, if that was agreed
 * to be kept.
 */
#ifndef WEFT_LIB_WS_READER_H
#define WEFT_LIB_WS_READER_H

#include <sys/uio.h>

#include "lib/codec/deflate.h"
#include "lib/ws/frame.h"
#include "lib/ws/utf8.h"

enum { WEFT_WS_SMALL = 256 }; /* bytes of the buffer that a small message gets */

/* What all readers of a loop share. */
typedef struct weft_ws_store {
    weft_ws_contexts contexts;
    uint64_t *buffered;    /* bytes that all buffers of the loop hold together: counted here, */
    size_t budget;         /* and at most so many */
    struct weft_ws_spare { /* large buffers that are kept, the last used first */
        char *data;
        size_t room;
    } spares[4];
    void *small; /* buffers of WEFT_WS_SMALL bytes, linked by their first word */
    unsigned small_count;
    weft_inflate *inflate; /* one that nobody uses; NULL */
} weft_ws_store;

/* What is to be read now. Control frames in front of it always are. */
enum weft_ws_want {
    WEFT_WS_WANT_CONTROL, /* nothing of a message: stops in front of it */
    WEFT_WS_WANT_MESSAGE, /* a whole one */
    WEFT_WS_WANT_PART,    /* what there is of one; the limits on messages do not hold */
};

enum weft_ws_kind {
    WEFT_WS_MORE,    /* no event without more bytes */
    WEFT_WS_AHEAD,   /* only for WANT_CONTROL: bytes of a message come next */
    WEFT_WS_MESSAGE, /* whole, or the last part of one: data, size, is_text */
    WEFT_WS_PART,    /* more of it follows */
    WEFT_WS_PINGED,  /* event->bytes is what the pong is to carry */
    WEFT_WS_PONGED,
    WEFT_WS_CLOSED, /* event->code (1005: none was given) and bytes, the reason */
    WEFT_WS_FAILED, /* event->code to close with, and words; nothing more can be read */
};

/* Which limit a failure is for. */
enum weft_ws_limit {
    WEFT_WS_LIMIT_NONE,
    WEFT_WS_LIMIT_MESSAGE,   /* reader.limit */
    WEFT_WS_LIMIT_FRAGMENTS, /* reader.fragment_limit */
    WEFT_WS_LIMIT_INFLATE,   /* reader.inflate_ratio */
    WEFT_WS_LIMIT_BUFFERED,  /* store.budget */
};

typedef struct weft_ws_event {
    uint16_t code;
    uint8_t size;
    char bytes[WEFT_WS_CONTROL_MAX];
    enum weft_ws_limit limit; /* of a failure */
    const char *words;        /* of a failure: static */
} weft_ws_event;

typedef struct weft_ws_reader {
    weft_ws_store *store;
    weft_ws_context *context; /* in the middle of a frame */
    weft_inflate *inflate;    /* in a compressed message, or between messages that share a window */
    char *data;               /* the message so far; NUL-terminated once it is whole */
    size_t size, room;
    size_t limit;        /* of a message, bytes */
    size_t taken;        /* payload of this message as it came, without what was taken in parts */
    weft_ws_frame frame; /* the data frame under way */
    uint64_t frame_taken;
    uint32_t fragment_limit, fragments; /* those taken in parts do not count */
    uint32_t inflate_ratio; /* past WEFT_INFLATE_FREE a message may inflate to so many times what has come of it; not 0 */
    weft_utf8 utf8;
    uint8_t role;
    uint8_t window_bits; /* of the peer's compressor; 0: compression was not agreed on */
    bool keeps_context;  /* the peer's compressor does */
    bool in_frame;       /* a part of a data frame's payload is still to come */
    bool in_message;     /* between its first frame and the last */
    bool is_text, is_compressed;
    bool is_delivered; /* data was handed out: it goes back when more of a message is wanted */
} weft_ws_reader;

void weft_ws_store_init(weft_ws_store *store, uint64_t *buffered, size_t budget);
void weft_ws_store_close(weft_ws_store *store);

/* All of it is zero but what the caller sets: store, role, limits, window_bits, keeps_context. */
void weft_ws_reader_close(weft_ws_reader *r);

/* The next event from in[0, size), of which *ret_taken bytes are used up. */
enum weft_ws_kind weft_ws_reader_next(weft_ws_reader *r, enum weft_ws_want want, const char *in, size_t size, size_t *ret_taken,
                                      weft_ws_event *event);

/* Where the next bytes of a large frame's payload may be put, in place of a buffer that they would be copied from: they are
 * then given to weft_ws_reader_next as `in`, which unmasks them where they lie. Of length 0 when there is no such frame; else
 * valid until the next call. */
struct iovec weft_ws_reader_room(const weft_ws_reader *r);

/* Lets go of the message that was handed out, now. */
void weft_ws_reader_release(weft_ws_reader *r);

/* May this code be sent in a close frame? 1000-1003, 1007-1014, 3000-4999. */
bool weft_ws_close_code_is_valid(int code);

#endif
