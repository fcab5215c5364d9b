/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Offers of permessage-deflate are tried in the peer's order; the first that we can keep to is agreed on. One with a parameter
 * that is unknown, doubled or out of its range is passed over, as RFC 7692 §7.1 has it, and so is one that wants a window of
 * 2^8 from us, which zlib does not make.
 */
#include "lib/ws/handshake.h"

#include <stdio.h>
#include <string.h>

#include "lib/crypto/crypto.h"

enum { KEY_SIZE = 24, KEY_BYTES = 16 };

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

static bool same_text(weft_bytes a, const char *b, size_t size)
{
    if (a.size != size)
        return false;
    for (size_t i = 0; i < size; i++)
        if (lower(a.data[i]) != lower(b[i]))
            return false;
    return true;
}

static bool is_word(weft_bytes a, const char *word)
{
    return same_text(a, word, strlen(word));
}

static weft_bytes trim(weft_bytes a)
{
    while (a.size > 0 && (a.data[0] == ' ' || a.data[0] == '\t'))
        a.data++, a.size--;
    while (a.size > 0 && (a.data[a.size - 1] == ' ' || a.data[a.size - 1] == '\t'))
        a.size--;
    return a;
}

/* The next part of *rest up to `mark`, trimmed; false when nothing is left. */
static bool next_part(weft_bytes *rest, char mark, weft_bytes *ret_part)
{
    if (!rest->data || rest->size == 0)
        return false;
    const char *end = memchr(rest->data, mark, rest->size);
    size_t size = end ? (size_t)(end - rest->data) : rest->size;
    *ret_part = trim((weft_bytes){ rest->data, size });
    size_t passed = end ? size + 1 : size;
    *rest = (weft_bytes){ rest->data + passed, rest->size - passed };
    return true;
}

static bool list_has(weft_bytes list, const char *word)
{
    weft_bytes part;
    while (next_part(&list, ',', &part))
        if (is_word(part, word))
            return true;
    return false;
}

/* ---- the fields ---- */

static void add(weft_bytes *list, int *count, weft_ws_handshake *h, weft_bytes value)
{
    if (*count < WEFT_WS_LISTS_MAX)
        list[(*count)++] = value;
    else
        h->has_too_many = true;
}

static void set_once(weft_bytes *field, weft_ws_handshake *h, weft_bytes value)
{
    h->has_key_twice = h->has_key_twice || field->data;
    *field = value;
}

void weft_ws_handshake_field(weft_ws_handshake *h, const char *name, size_t name_size, const char *value, size_t value_size)
{
    weft_bytes n = { name, name_size }, v = trim((weft_bytes){ value, value_size });
    if (is_word(n, "connection"))
        h->names_upgrade = h->names_upgrade || list_has(v, "upgrade");
    else if (is_word(n, "upgrade"))
        h->names_websocket = h->names_websocket || list_has(v, "websocket");
    else if (is_word(n, "host"))
        h->host = v;
    else if (is_word(n, "origin"))
        set_once(&h->origin, h, v);
    else if (is_word(n, "sec-websocket-key"))
        set_once(&h->key, h, v);
    else if (is_word(n, "sec-websocket-version"))
        set_once(&h->version, h, v);
    else if (is_word(n, "sec-websocket-protocol"))
        add(h->protocols, &h->protocol_count, h, v);
    else if (is_word(n, "sec-websocket-extensions"))
        add(h->extensions, &h->extension_count, h, v);
}

/* ---- the origin ---- */

/* "example.com:80" without the port that its scheme has anyway. */
static weft_bytes without_port(weft_bytes host, const char *port)
{
    size_t size = strlen(port);
    if (host.size > size && memcmp(host.data + host.size - size, port, size) == 0)
        host.size -= size;
    return host;
}

/* scheme://host is of the same host as the request; the scheme may differ, as behind a proxy that speaks TLS for us. Where we
 * speak it ourselves, http is somebody else: such a page may have been changed on its way. */
static bool is_same_host(weft_bytes origin, weft_bytes host, bool must_be_secure)
{
    static const char http[] = "http://", https[] = "https://";
    bool is_secure = origin.size > sizeof https - 1 && same_text((weft_bytes){ origin.data, sizeof https - 1 }, https, 8);
    bool is_plain = origin.size > sizeof http - 1 && same_text((weft_bytes){ origin.data, sizeof http - 1 }, http, 7);
    if (!is_secure && (!is_plain || must_be_secure))
        return false;
    size_t skip = is_secure ? sizeof https - 1 : sizeof http - 1;
    const char *port = is_secure ? ":443" : ":80";
    weft_bytes theirs = without_port((weft_bytes){ origin.data + skip, origin.size - skip }, port);
    host = without_port(host, port);
    return theirs.size > 0 && same_text(theirs, host.data ? host.data : "", host.size);
}

static bool may_come_from(const weft_ws_handshake *h, const weft_ws_terms *terms)
{
    if (!h->origin.data || is_same_host(h->origin, h->host, h->is_secure))
        return true;
    for (const char *const *origin = terms->origins; origin && *origin; origin++)
        if (strcmp(*origin, "*") == 0 || is_word(h->origin, *origin))
            return true;
    return false;
}

/* ---- what is agreed on ---- */

static bool offers_protocol(const weft_ws_handshake *h, const char *protocol)
{
    for (int i = 0; i < h->protocol_count; i++) {
        weft_bytes list = h->protocols[i], part;
        while (next_part(&list, ',', &part))
            if (part.size == strlen(protocol) && memcmp(part.data, protocol, part.size) == 0) /* case counts */
                return true;
    }
    return false;
}

/* "15", or quoted: from 8 to 15, in digits without a zero in front. 0 for anything else. */
static uint8_t read_window(weft_bytes value)
{
    if (value.size >= 2 && value.data[0] == '"' && value.data[value.size - 1] == '"')
        value = (weft_bytes){ value.data + 1, value.size - 2 };
    if (value.size == 1 && (value.data[0] == '8' || value.data[0] == '9'))
        return (uint8_t)(value.data[0] - '0');
    if (value.size == 2 && value.data[0] == '1' && value.data[1] >= '0' && value.data[1] <= '5')
        return (uint8_t)(10 + value.data[1] - '0');
    return 0;
}

/* One parameter of an offer, as far as it concerns us. False: the offer is to be passed over. */
static bool take_parameter(weft_ws_deflate_terms *terms, weft_bytes parameter, unsigned *seen)
{
    static const char *const names[] = { "server_no_context_takeover", "client_no_context_takeover", "server_max_window_bits",
                                         "client_max_window_bits" };
    weft_bytes rest = parameter, name, value = { NULL, 0 };
    bool has_value = memchr(parameter.data, '=', parameter.size);
    if (!next_part(&rest, '=', &name))
        return false;
    if (has_value)
        value = trim(rest);
    unsigned which = 0;
    while (which < 4 && !is_word(name, names[which]))
        which++;
    if (which == 4 || (*seen >> which & 1))
        return false;
    *seen |= 1U << which;
    uint8_t window = has_value ? read_window(value) : 0;
    switch (which) {
    case 0:
        terms->keeps_our_context = false;
        return !has_value;
    case 1:
        terms->keeps_their_context = false;
        return !has_value;
    case 2:
        terms->our_window = window;
        terms->says_our_window = true;
        return window >= 9;
    default:
        if (has_value)
            terms->their_window = window;
        terms->says_their_window = has_value;
        return !has_value || window >= 8;
    }
}

static bool take_offer(weft_bytes offer, const weft_ws_terms *ours, weft_ws_deflate_terms *ret_terms)
{
    weft_bytes part;
    unsigned seen = 0;
    weft_ws_deflate_terms terms = {
        .is_on = true,
        .keeps_our_context = ours->keeps_our_context,
        .keeps_their_context = ours->keeps_their_context,
        .our_window = 15,
        .their_window = 15,
    };
    if (!next_part(&offer, ';', &part) || !is_word(part, "permessage-deflate"))
        return false;
    while (next_part(&offer, ';', &part))
        if (!take_parameter(&terms, part, &seen))
            return false;
    *ret_terms = terms;
    return true;
}

static void agree_on_deflate(const weft_ws_handshake *h, const weft_ws_terms *ours, weft_ws_answer *answer)
{
    for (int i = 0; i < h->extension_count; i++) {
        weft_bytes list = h->extensions[i], offer;
        while (next_part(&list, ',', &offer)) {
            weft_ws_deflate_terms *t = &answer->deflate;
            if (!take_offer(offer, ours, t))
                continue;
            char ours_bits[32] = "", theirs_bits[32] = "";
            if (t->says_our_window)
                snprintf(ours_bits, sizeof ours_bits, "; server_max_window_bits=%d", t->our_window);
            if (t->says_their_window)
                snprintf(theirs_bits, sizeof theirs_bits, "; client_max_window_bits=%d", t->their_window);
            snprintf(answer->extension, sizeof answer->extension, "permessage-deflate%s%s%s%s",
                     t->keeps_our_context ? "" : "; server_no_context_takeover",
                     t->keeps_their_context ? "" : "; client_no_context_takeover", ours_bits, theirs_bits);
            return;
        }
    }
}

int weft_ws_accept_of(const char *key, size_t size, char ret_accept[WEFT_WS_ACCEPT_SIZE + 1])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char text[KEY_SIZE + sizeof guid];
    unsigned char digest[WEFT_SHA1_SIZE];
    if (size != KEY_SIZE)
        return -1;
    memcpy(text, key, KEY_SIZE);
    memcpy(text + KEY_SIZE, guid, sizeof guid);
    int rc = weft_sha1(text, KEY_SIZE + sizeof guid - 1, digest);
    if (rc < 0)
        return rc;
    ret_accept[weft_base64_encode(ret_accept, digest, WEFT_SHA1_SIZE)] = '\0';
    return 0;
}

static int refuse(weft_ws_answer *answer, int status, const char *words)
{
    answer->words = words;
    return status;
}

int weft_ws_handshake_judge(const weft_ws_handshake *h, const weft_ws_terms *terms, weft_ws_answer *answer)
{
    unsigned char key[KEY_SIZE];
    *answer = (weft_ws_answer){ .words = NULL };
    if (!h->names_websocket || !h->names_upgrade)
        return refuse(answer, 426, "this is for WebSockets");
    if (!h->is_get || !h->is_1_1)
        return refuse(answer, 400, "a WebSocket begins with GET and HTTP/1.1");
    if (h->has_body)
        return refuse(answer, 400, "a handshake has no body");
    if (h->has_key_twice || h->has_too_many)
        return refuse(answer, 400, "a field of the handshake comes twice");
    if (!is_word(h->version, "13"))
        return refuse(answer, 426, "the version of WebSockets here is 13");
    if (h->key.size != KEY_SIZE || weft_base64_decode(key, h->key.data, h->key.size) != KEY_BYTES)
        return refuse(answer, 400, "Sec-WebSocket-Key is no 16 bytes in base64");
    if (!may_come_from(h, terms))
        return refuse(answer, 403, "this origin may not connect");
    for (const char *const *protocol = terms->protocols; protocol && *protocol && !answer->protocol; protocol++)
        if (offers_protocol(h, *protocol))
            answer->protocol = *protocol;
    if (terms->deflates)
        agree_on_deflate(h, terms, answer);
    return weft_ws_accept_of(h->key.data, h->key.size, answer->accept) < 0 ? refuse(answer, 500, "no SHA-1") : 0;
}
