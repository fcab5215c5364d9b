/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Frames (RFC 6455 §5): the door to wslay, through its frame-level interface.
 *
 * wslay shows no field of a header before the first byte of the payload, and looks at neither RSV bits, unknown opcodes nor the
 * mask. So the at most 14 bytes of a header are read and judged here, each as it arrives; then wslay is fed the header without
 * its mask bit and key, and the payload is unmasked by words while it is copied out of wslay: 17 ns for a frame of
 * 64 bytes, against 190 with its own unmasking.
 *
 * A context of wslay holds 4 KiB. Contexts come from a pool, which a loop has for each role; one is held only between the
 * first and the last byte of a payload, so never by an idle connection.
 */
#ifndef WEFT_LIB_WS_FRAME_H
#define WEFT_LIB_WS_FRAME_H

#include <weft/base.h>

enum weft_ws_role { WEFT_WS_SERVER, WEFT_WS_CLIENT }; /* what we are: a server's peer masks, a client's does not */

enum weft_ws_opcode {
    WEFT_WS_CONTINUATION = 0,
    WEFT_WS_TEXT = 1,
    WEFT_WS_BINARY = 2,
    WEFT_WS_CLOSE = 8,
    WEFT_WS_PING = 9,
    WEFT_WS_PONG = 10,
};

enum { WEFT_WS_HEADER_MAX = 14, WEFT_WS_CONTROL_MAX = 125 };

typedef struct weft_ws_context weft_ws_context;

typedef struct weft_ws_contexts {
    weft_ws_context *free;
    unsigned free_count;
    char made[2][WEFT_WS_CONTROL_MAX + 1]
             [2]; /* headers of whole texts, and of binaries, by their size: zeros until one is made */
} weft_ws_contexts;

/* A header. */
typedef struct weft_ws_frame {
    uint64_t size; /* of the payload */
    uint8_t key[4];
    uint8_t opcode;
    uint8_t header_size;
    bool is_final;
    bool is_compressed; /* RSV1 */
    bool is_masked;
} weft_ws_frame;

static inline bool weft_ws_is_control(const weft_ws_frame *frame)
{
    return frame->opcode >= WEFT_WS_CLOSE;
}

/* Reads a header from its first `size` bytes; `may_compress`: RSV1 has been agreed on. Returns 1 with *frame, 0 for more bytes
 * (what is there is right so far), or WEFT_EPROTOCOL with words. */
int weft_ws_frame_read(weft_ws_frame *frame, enum weft_ws_role role, bool may_compress, const char *data, size_t size,
                       const char **ret_words);

/* A context for one frame; NULL when memory is out. It goes back when the whole payload has been taken (`is_clean`), or when
 * the frame is given up. */
weft_ws_context *weft_ws_context_take(weft_ws_contexts *pool);
void weft_ws_context_give(weft_ws_contexts *pool, weft_ws_context *context, bool is_clean);
void weft_ws_contexts_close(weft_ws_contexts *pool);

/* Takes the next `size` bytes of the frame's payload, of which `taken` were taken before, through a context that belongs to
 * this frame, and writes them unmasked to `out`, which may be `in`. 0, or WEFT_EPROTOCOL: wslay objects. */
int weft_ws_frame_take(weft_ws_context *context, const weft_ws_frame *frame, uint64_t taken, const char *in, size_t size,
                       char *out);

/* The same for a frame whose whole payload is there, through a context of the pool. -ENOMEM too. */
int weft_ws_frame_take_whole(weft_ws_contexts *pool, const weft_ws_frame *frame, const char *in, char *out);

/* Writes the header of a frame that we send; `key` is the mask's, NULL for none (a server's). Its size, or -ENOMEM. */
int weft_ws_frame_write(weft_ws_contexts *pool, char out[WEFT_WS_HEADER_MAX], enum weft_ws_opcode opcode, bool is_final,
                        bool is_compressed, uint64_t size, const uint8_t *key);

/* Masks or unmasks `size` bytes, which begin `at` bytes into the payload, from `in` to `out` (which may be the same). */
void weft_ws_mask(char *out, const char *in, size_t size, const uint8_t key[4], uint64_t at);

#endif
