/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The opening handshake (RFC 6455 §4.2, RFC 7692 §7.1): from the fields of a request to what 101 says, or to the status that
 * refuses it. It knows no socket, and no parser of heads: fields are handed in one by one.
 *
 *     weft_ws_handshake h = { 0 };
 *     for each field: weft_ws_handshake_field(&h, name, name_size, value, value_size);
 *     status = weft_ws_handshake_judge(&h, &options, &answer);             // 0: agreed
 */
#ifndef WEFT_LIB_WS_HANDSHAKE_H
#define WEFT_LIB_WS_HANDSHAKE_H

#include <weft/base.h>

enum {
    WEFT_WS_ACCEPT_SIZE = 28,    /* of Sec-WebSocket-Accept, without a NUL */
    WEFT_WS_EXTENSION_MAX = 160, /* of Sec-WebSocket-Extensions, with its NUL */
    WEFT_WS_LISTS_MAX = 8,       /* fields of one name */
};

/* What the peer has asked for. Texts are borrowed. */
typedef struct weft_ws_handshake {
    weft_bytes host, key, version, origin;
    weft_bytes protocols[WEFT_WS_LISTS_MAX], extensions[WEFT_WS_LISTS_MAX];
    int protocol_count, extension_count;
    bool names_upgrade, names_websocket; /* Connection and Upgrade do */
    bool has_key_twice, has_too_many;
    bool is_get, is_1_1, has_body; /* set by the caller, */
    bool is_secure;                /* and this: it has come by TLS, which we speak */
} weft_ws_handshake;

/* What we would agree to. Lists end in NULL, and may be NULL. */
typedef struct weft_ws_terms {
    const char *const *protocols; /* in our order of preference */
    const char *const *origins;   /* besides the host's own; "*" is any */
    bool deflates;                /* permessage-deflate may be agreed on */
    bool keeps_our_context;       /* unless the peer asks us not to */
    bool keeps_their_context;
} weft_ws_terms;

/* permessage-deflate, as agreed. */
typedef struct weft_ws_deflate_terms {
    bool is_on;
    bool keeps_our_context, keeps_their_context;
    uint8_t our_window, their_window; /* bits */
    bool says_our_window, says_their_window;
} weft_ws_deflate_terms;

typedef struct weft_ws_answer {
    char accept[WEFT_WS_ACCEPT_SIZE + 1];
    const char *protocol; /* one of our list; NULL for none */
    weft_ws_deflate_terms deflate;
    char extension[WEFT_WS_EXTENSION_MAX]; /* "" for none */
    const char *words;                     /* of a refusal; static */
} weft_ws_answer;

/* Takes a field of the request in, in their order. */
void weft_ws_handshake_field(weft_ws_handshake *h, const char *name, size_t name_size, const char *value, size_t value_size);

/* 0 with *ret_answer; or the status that refuses it, with its words: 400, 403, 426 (for another version, and for what asks for
 * no WebSocket), 500 when there is no SHA-1. */
int weft_ws_handshake_judge(const weft_ws_handshake *h, const weft_ws_terms *terms, weft_ws_answer *ret_answer);

/* Sec-WebSocket-Accept for a key, NUL-terminated. 0 or < 0. */
int weft_ws_accept_of(const char *key, size_t size, char ret_accept[WEFT_WS_ACCEPT_SIZE + 1]);

#endif
