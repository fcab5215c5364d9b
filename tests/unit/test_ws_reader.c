/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The rules of what a peer may send, as bytes written by hand: whole, split at each byte, byte by byte, behind another message,
 * and between two fragments of one. The mask of most is zeros, so that payloads can be read. What a client may send a server
 * may too, without the mask: so a reader in each role is held to each rule.
 */
#include "unit.h"

#include "ws_feed.h"

#define Z "\0\0\0\0"

static const struct rule {
    const char *name, *bytes;
    size_t size;
    const char *says;
    const char *inside; /* between two fragments; NULL: it fails there as a message in another does */
} rules[] = {
#define RULE(name, bytes, says, inside)                                                                                        \
    {                                                                                                                          \
        name, bytes, sizeof(bytes) - 1, says, inside                                                                           \
    }
    RULE("a text", "\x81\x85" Z "Hello", "T(Hello)", NULL),
    RULE("RFC 6455 §5.7: a masked text", "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", "T(Hello)", NULL),
    RULE("an empty text", "\x81\x80" Z, "T()", NULL),
    RULE("binary", "\x82\x83" Z "\xff\xfe\xfd", "B(\xff\xfe\xfd)", NULL),
    RULE("two fragments",
         "\x01\x83" Z "Hel"
         "\x80\x82" Z "lo",
         "T(Hello)", NULL),
    RULE("empty fragments",
         "\x02\x80" Z "\x00\x80" Z "\x00\x81" Z "x"
         "\x80\x80" Z,
         "B(x)", NULL),
    RULE("a ping between fragments",
         "\x01\x81" Z "a"
         "\x89\x82" Z "hi"
         "\x80\x81" Z "b",
         "P(hi)T(ab)", NULL),
    RULE("a close between fragments",
         "\x01\x81" Z "a"
         "\x88\x82" Z "\x03\xe8"
         "\x80\x81" Z "b",
         "C1000()", NULL),
    RULE("a ping", "\x89\x80" Z, "P()", "P()"),
    RULE("a ping of 125 bytes",
         "\x89\xfd" Z "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
         "0123456789012345678901234",
         "P(0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
         "0123456789012345678901234)",
         "P(0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
         "0123456789012345678901234)"),
    RULE("a pong nobody asked for", "\x8a\x81" Z "x", "Q(x)", "Q(x)"),

    RULE("RSV1 that was not agreed on", "\xc1\x81" Z "a", "F1002", "F1002"),
    RULE("RSV2", "\xa1\x81" Z "a", "F1002", "F1002"),
    RULE("RSV3", "\x91\x81" Z "a", "F1002", "F1002"),
    RULE("RSV1 on a ping", "\xc9\x80" Z, "F1002", "F1002"),
    RULE("opcode 3", "\x83\x80" Z, "F1002", "F1002"),
    RULE("opcode 7", "\x87\x80" Z, "F1002", "F1002"),
    RULE("opcode 11", "\x8b\x80" Z, "F1002", "F1002"),
    RULE("opcode 15", "\x8f\x80" Z, "F1002", "F1002"),
    RULE("no mask",
         "\x81\x01"
         "a",
         "F1002", "F1002"),
    RULE("a ping without a mask", "\x89\x00", "F1002", "F1002"),
    RULE("a length of 125 in two bytes", "\x82\xfe\x00\x7d" Z, "F1002", "F1002"),
    RULE("a length of 0 in eight bytes", "\x82\xff\0\0\0\0\0\0\0\0" Z, "F1002", "F1002"),
    RULE("a length of 65535 in eight bytes", "\x82\xff\0\0\0\0\0\0\xff\xff" Z, "F1002", "F1002"),
    RULE("a length of 2^63", "\x82\xff\x80\0\0\0\0\0\0\0" Z, "F1002", "F1002"),
    RULE("a length of 2^40", "\x82\xff\0\0\x01\0\0\0\0\0" Z, "F1009", "F1002"),
    RULE("a ping of 126 bytes", "\x89\xfe\x00\x7e" Z, "F1002", "F1002"),
    RULE("a ping with a length of eight bytes", "\x89\xff\0\0\0\0\0\x01\0\0" Z, "F1002", "F1002"),
    RULE("half a ping", "\x09\x80" Z, "F1002", "F1002"),
    RULE("half a close", "\x08\x80" Z, "F1002", "F1002"),
    RULE("a continuation of nothing", "\x80\x81" Z "a", "F1002", "T(aa)"),
    RULE("the beginning of a continuation of nothing", "\x00\x81" Z "a", "F1002", ""),
    RULE("a text in a text",
         "\x01\x81" Z "a"
         "\x81\x81" Z "b",
         "F1002", "F1002"),
    RULE("binary in a text",
         "\x01\x81" Z "a"
         "\x02\x81" Z "b",
         "F1002", "F1002"),

    RULE("a close without a code", "\x88\x80" Z, "C1005()", "C1005()"),
    RULE("half a code", "\x88\x81" Z "\x03", "F1002", "F1002"),
    RULE("1000", "\x88\x82" Z "\x03\xe8", "C1000()", "C1000()"),
    RULE("1000 with a reason",
         "\x88\x85" Z "\x03\xe8"
         "bye",
         "C1000(bye)", "C1000(bye)"),
    RULE("a reason that is not UTF-8", "\x88\x84" Z "\x03\xe8\xc3\x28", "F1007", "F1007"),
    RULE("a reason that ends in a character", "\x88\x83" Z "\x03\xe8\xc3", "F1007", "F1007"),

    RULE("é", "\x81\x82" Z "\xc3\xa9", "T(\xc3\xa9)", NULL),
    RULE("é in two fragments",
         "\x01\x81" Z "\xc3"
         "\x80\x81" Z "\xa9",
         "T(\xc3\xa9)", NULL),
    RULE("U+10FFFF", "\x81\x84" Z "\xf4\x8f\xbf\xbf", "T(\xf4\x8f\xbf\xbf)", NULL),
    RULE("beyond U+10FFFF", "\x81\x84" Z "\xf4\x90\x80\x80", "F1007", NULL),
    RULE("a surrogate", "\x81\x83" Z "\xed\xa0\x80", "F1007", NULL),
    RULE("an overlong form", "\x81\x82" Z "\xc0\xaf", "F1007", NULL),
    RULE("a text that ends in a character", "\x81\x81" Z "\xc3", "F1007", NULL),
    RULE("a wrong byte long before the end", "\x81\xfe\x01\x00" Z "ab\xff", "F1007", NULL),
    RULE("a wrong byte in the second fragment",
         "\x01\x81" Z "\xc3"
         "\x80\x81" Z "\x28",
         "F1007", NULL),
    RULE("bytes that are no text, as binary", "\x82\x82" Z "\xc3\x28", "B(\xc3\x28)", NULL),
};

static const char begin[] = "\x01\x81" Z "a", end[] = "\x80\x81" Z "b", other[] = "\x81\x81" Z "o";

static const char *const role_names[] = { "a server", "a client" };

/* `bytes` as a client gets them from a server: frames without mask and key; what is no whole frame stays cut as it is. */
static size_t unmask(char *out, const char *bytes, size_t size)
{
    size_t at = 0, made = 0;
    while (at < size) {
        size_t more = size - at > 1 ? (bytes[at + 1] & 0x7f) == 126 ? 2 : (bytes[at + 1] & 0x7f) == 127 ? 8 : 0 : 0;
        size_t header = size - at < 2 + more ? size - at : 2 + more, key = at + header;
        uint64_t length = more ? 0 : size - at > 1 ? (unsigned char)bytes[at + 1] & 0x7f : 0;
        for (size_t i = 0; i < more && at + 2 + i < size; i++)
            length = length << 8 | (unsigned char)bytes[at + 2 + i];
        memcpy(out + made, bytes + at, header);
        if (header > 1)
            out[made + 1] = (char)(out[made + 1] & 0x7f);
        made += header;
        at = key + 4 < size ? key + 4 : size;
        for (uint64_t i = 0; i < length && at < size; i++)
            out[made++] = (char)(bytes[at++] ^ bytes[key + (i & 3)]);
    }
    return made;
}

/* A rule as it is for this role. */
static struct rule for_role(const struct rule *rule, enum weft_ws_role role, char *bytes)
{
    struct rule r = *rule;
    if (role == WEFT_WS_SERVER)
        return r;
    r.bytes = bytes;
    r.size = unmask(bytes, rule->bytes, rule->size);
    return r;
}

/* The rules about the mask itself are the server's. */
static bool has_rule(const struct rule *rule, enum weft_ws_role role)
{
    return role == WEFT_WS_SERVER || rule->bytes[1] & 0x80;
}

static size_t append(char *bytes, size_t size, enum weft_ws_role role, const char *frames, size_t frames_size)
{
    if (role == WEFT_WS_CLIENT)
        return size + unmask(bytes + size, frames, frames_size);
    memcpy(bytes + size, frames, frames_size);
    return size + frames_size;
}

static void check(const struct rule *rule, const char *how, feed *f, const char *expected)
{
    if (strcmp(f->said, expected) != 0)
        print_error("%s, %s, %s: it says %s, not %s\n", role_names[f->reader.role], rule->name, how, f->said, expected);
    assert_string_equal(f->said, expected);
    assert_int_equal(feed_close(f), 0);
}

static void whole_and_split(enum weft_ws_role role, const struct rule *r)
{
    feed f;
    for (size_t at = 0; at <= r->size; at++) {
        feed_open(&f, role);
        feed_bytes(&f, r->bytes, at);
        feed_bytes(&f, r->bytes + at, r->size - at);
        check(r, "split", &f, r->says);
    }
    feed_open(&f, role);
    for (size_t at = 0; at < r->size; at++)
        feed_bytes(&f, r->bytes + at, 1);
    check(r, "byte by byte", &f, r->says);
}

static void behind_another(enum weft_ws_role role, const struct rule *r)
{
    char bytes[600], expected[600];
    size_t size = append(bytes, 0, role, other, sizeof other - 1);
    memcpy(bytes + size, r->bytes, r->size);
    size = append(bytes, size + r->size, role, other, sizeof other - 1);
    bool ends = strchr(r->says, 'F') || strchr(r->says, 'C') || !*r->says;
    snprintf(expected, sizeof expected, "T(o)%s%s", r->says, ends ? "" : "T(o)");
    feed f;
    feed_open(&f, role);
    feed_bytes(&f, bytes, size);
    check(r, "coalesced", &f, expected);
}

static void inside_fragments(enum weft_ws_role role, const struct rule *r)
{
    char bytes[600], expected[600];
    size_t size = append(bytes, 0, role, begin, sizeof begin - 1);
    memcpy(bytes + size, r->bytes, r->size);
    size += r->size;
    const char *says = r->inside ? r->inside : "F1002";
    bool goes_on = *says == 'P' || *says == 'Q';
    if (goes_on)
        size = append(bytes, size, role, end, sizeof end - 1);
    snprintf(expected, sizeof expected, "%s%s", says, goes_on ? "T(ab)" : "");
    for (size_t at = 0; at <= size; at++) {
        feed f;
        feed_open(&f, role);
        feed_bytes(&f, bytes, at);
        feed_bytes(&f, bytes + at, size - at);
        check(r, "inside", &f, expected);
    }
}

static void each_rule(void (*run)(enum weft_ws_role role, const struct rule *rule))
{
    for (int role = WEFT_WS_SERVER; role <= WEFT_WS_CLIENT; role++)
        for (size_t i = 0; i < COUNT(rules); i++) {
            char bytes[600];
            struct rule rule = for_role(&rules[i], (enum weft_ws_role)role, bytes);
            if (has_rule(&rules[i], (enum weft_ws_role)role))
                run((enum weft_ws_role)role, &rule);
        }
}

static void rules_whole_and_split(void **state)
{
    (void)state;
    each_rule(whole_and_split);
}

static void rules_behind_another(void **state)
{
    (void)state;
    each_rule(behind_another);
}

static void rules_inside_fragments(void **state)
{
    (void)state;
    each_rule(inside_fragments);
}

static void close_codes(void **state)
{
    (void)state;
    for (int code = 0; code < 65536; code++) {
        bool is_valid = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
        char bytes[16] = "\x88\x82" Z, expected[16];
        bytes[6] = (char)(code >> 8);
        bytes[7] = (char)code;
        feed f;
        feed_open(&f, WEFT_WS_SERVER);
        feed_bytes(&f, bytes, 8);
        snprintf(expected, sizeof expected, is_valid ? "C%d()" : "F1002", code);
        assert_string_equal(f.said, expected);
        feed_close(&f);
    }
}

/* Whatever it is: who should mask and does not, or does and should not, is refused at the second byte. */
static void masks(void **state)
{
    (void)state;
    static const unsigned char firsts[] = { 0x81, 0x82, 0x01, 0x02, 0x88, 0x89, 0x8a };
    for (size_t i = 0; i < COUNT(firsts); i++)
        for (int role = WEFT_WS_SERVER; role <= WEFT_WS_CLIENT; role++)
            for (int masked = 0; masked < 2; masked++) {
                feed f;
                char frame[2] = { (char)firsts[i], masked ? '\x80' : '\0' };
                bool is_right = masked == (role == WEFT_WS_SERVER);
                feed_open(&f, (enum weft_ws_role)role);
                feed_bytes(&f, frame, 2);
                assert_true(is_right == (strcmp(f.said, "F1002") != 0));
                assert_int_equal(feed_close(&f), 0);
            }
    feed f; /* also between fragments, and behind good frames */
    feed_open(&f, WEFT_WS_CLIENT);
    feed_bytes(&f, "\x81\x05Hello\x01\x01h\x80\x81" Z "i", 17);
    assert_string_equal(f.said, "T(Hello)F1002");
    feed_close(&f);
}

/* What either role writes the other reads, each length, whatever the key. */
static void written_frames_are_read(void **state)
{
    (void)state;
    static const size_t sizes[] = { 0, 1, 7, 125, 126, 127, 65535, 65536, 100000 };
    static const uint8_t keys[][4] = { { 0, 0, 0, 0 }, { 1, 2, 3, 4 }, { 0xff, 0, 0x80, 0x7f } };
    for (size_t i = 0; i < COUNT(sizes); i++)
        for (size_t k = 0; k <= COUNT(keys); k++) {
            const uint8_t *key = k < COUNT(keys) ? keys[k] : NULL; /* NULL: a server writes */
            size_t size = sizes[i], taken;
            char *bytes = malloc(WEFT_WS_HEADER_MAX + size);
            feed f;
            weft_ws_event event;
            feed_open(&f, key ? WEFT_WS_SERVER : WEFT_WS_CLIENT);
            int header = weft_ws_frame_write(&f.store.contexts, bytes, WEFT_WS_BINARY, true, false, size, key);
            assert_int_equal(header, (size > 65535 ? 10 : size > 125 ? 4 : 2) + (key ? 4 : 0));
            for (size_t at = 0; at < size; at++)
                bytes[(size_t)header + at] = (char)(at * 11 + at / 256);
            if (key)
                weft_ws_mask(bytes + header, bytes + header, size, key, 0);
            assert_int_equal(weft_ws_reader_next(&f.reader, f.want, bytes, (size_t)header + size, &taken, &event),
                             WEFT_WS_MESSAGE);
            assert_true(taken == (size_t)header + size && f.reader.size == size && !f.reader.is_text);
            for (size_t at = 0; at < size; at++)
                assert_true(f.reader.data[at] == (char)(at * 11 + at / 256));
            free(bytes);
            assert_int_equal(feed_close(&f), 0);
        }
}

/* ---- sizes ---- */

static void each_length(void **state)
{
    (void)state;
    static const size_t sizes[] = { 0, 1, 7, 8, 9, 125, 126, 127, 4095, 4096, 4097, 8192, 65535, 65536, 200000, 1024 * 1024 };
    for (size_t i = 0; i < COUNT(sizes); i++) {
        size_t size = sizes[i], steps[] = { SIZE_MAX, 1000, 13 };
        char *payload = malloc(size + 1), *bytes = malloc(size + 14);
        for (size_t k = 0; k < size; k++)
            payload[k] = (char)(k * 31 + k / 7);
        size_t all = feed_frame(bytes, 0x82, payload, size, 5);
        for (size_t s = 0; s < COUNT(steps) && (s < 2 || size < 100000); s++) {
            feed f;
            feed_open(&f, WEFT_WS_SERVER);
            for (size_t at = 0, step; at < all; at += step) {
                step = all - at < steps[s] ? all - at : steps[s];
                if (at + step < all) {
                    feed_bytes(&f, bytes + at, step);
                    assert_true(f.buffered <= 2 * (at + step) + 512 || at + step >= 64 * 1024); /* it believes what has come */
                    continue;
                }
                weft_ws_event event;
                char *last = malloc(f.unread_size + step);
                if (f.unread_size > 0)
                    memcpy(last, f.unread, f.unread_size);
                memcpy(last + f.unread_size, bytes + at, step);
                size_t taken;
                assert_int_equal(weft_ws_reader_next(&f.reader, f.want, last, f.unread_size + step, &taken, &event),
                                 WEFT_WS_MESSAGE);
                assert_int_equal(taken, f.unread_size + step);
                free(last);
                assert_int_equal(f.reader.size, size);
                assert_memory_equal(f.reader.data, payload, size);
                assert_int_equal(f.reader.data[size], 0);
            }
            assert_null(f.reader.context);
            assert_int_equal(feed_close(&f), 0);
        }
        free(payload);
        free(bytes);
    }
}

/* What there is room for is put where it will lie; `steps` tells how much at a time. */
static void fill_room(size_t size, const size_t *steps, size_t step_count)
{
    feed f;
    weft_ws_event event;
    char *payload = malloc(size), *bytes = malloc(size + 14);
    size_t taken;
    for (size_t k = 0; k < size; k++)
        payload[k] = (char)(k * 31 + k / 7);
    size_t all = feed_frame(bytes, 0x82, payload, size, 5), at = 64 * 1024;
    feed_open(&f, WEFT_WS_SERVER);
    feed_bytes(&f, bytes, at);
    assert_int_equal(weft_ws_reader_room(&f.reader).iov_len, 0); /* its length is not believed yet */
    feed_bytes(&f, bytes + at, 100);
    at += 100;
    struct iovec room = weft_ws_reader_room(&f.reader);
    assert_int_equal(room.iov_len, all - at);
    for (size_t n = 0; room.iov_len > 0; n++, room = weft_ws_reader_room(&f.reader)) {
        size_t step = steps[n % step_count] < room.iov_len ? steps[n % step_count] : room.iov_len;
        assert_true(room.iov_len > 64 * 1024);
        memcpy(room.iov_base, bytes + at, step);
        enum weft_ws_kind kind = weft_ws_reader_next(&f.reader, f.want, room.iov_base, step, &taken, &event);
        assert_int_equal(taken, step);
        at += step;
        assert_int_equal(kind, at == all ? WEFT_WS_MESSAGE : WEFT_WS_MORE);
    }
    if (at < all)
        assert_int_equal(weft_ws_reader_next(&f.reader, f.want, bytes + at, all - at, &taken, &event), WEFT_WS_MESSAGE);
    assert_int_equal(f.reader.size, size);
    assert_memory_equal(f.reader.data, payload, size);
    assert_int_equal(f.reader.data[size], 0);
    assert_int_equal(feed_close(&f), 0);
    free(payload);
    free(bytes);
}

static void large_frames_where_they_lie(void **state)
{
    (void)state;
    static const size_t whole[] = { SIZE_MAX }, odd[] = { 1, 4095, 4096, 4097, 3, 70001 };
    fill_room(1024 * 1024, whole, 1);
    fill_room(1024 * 1024, odd, COUNT(odd));
    fill_room(64 * 1024 + 64 * 1024 + 87, whole, 1); /* a byte more than what comes by the way of all */
}

/* Of a frame that is not wanted whole, or not as it lies, or whose message is in use. */
static void no_room(void **state)
{
    (void)state;
    enum { SIZE = 300 * 1024 };
    char *bytes = calloc(1, SIZE + 14);
    feed f;
    feed_open(&f, WEFT_WS_SERVER);
    assert_int_equal(weft_ws_reader_room(&f.reader).iov_len, 0);
    f.want = WEFT_WS_WANT_PART;
    feed_bytes(&f, "\x82\xff\0\0\0\0\0\4\xb0\0" Z, 14);
    feed_bytes(&f, bytes, 100 * 1024);
    assert_int_equal(weft_ws_reader_room(&f.reader).iov_len, 0);
    feed_close(&f);

    feed_open(&f, WEFT_WS_SERVER);
    f.reader.window_bits = 15;
    feed_bytes(&f, "\xc2\xff\0\0\0\0\0\4\xb0\0" Z, 14);
    for (int i = 0; i < 20 * 1024; i++) /* empty stored blocks */
        feed_bytes(&f, "\0\0\0\xff\xff", 5);
    assert_false(f.is_over);
    assert_int_equal(weft_ws_reader_room(&f.reader).iov_len, 0);
    feed_close(&f);

    feed_open(&f, WEFT_WS_SERVER);
    feed_bytes(&f, bytes, feed_frame(bytes, 0x82, bytes + 14, 10, 0));
    assert_int_equal(f.message_count, 1);
    assert_int_equal(weft_ws_reader_room(&f.reader).iov_len, 0);
    feed_close(&f);
    free(bytes);
}

static void limits_to_the_byte(void **state)
{
    (void)state;
    char payload[200] = "", bytes[600];
    for (int more = 0; more < 2; more++) {
        feed f;
        feed_open(&f, WEFT_WS_SERVER);
        f.reader.limit = 100;
        size_t size = feed_frame(bytes, 0x82, payload, 100 + (size_t)more, 1);
        feed_bytes(&f, bytes, size);
        assert_int_equal(f.said[0], more ? 'F' : 'B');
        feed_close(&f);
        feed_open(&f, WEFT_WS_SERVER);
        f.reader.limit = 100;
        size = feed_frame(bytes, 0x02, payload, 60, 1);
        size += feed_frame(bytes + size, 0x80, payload, 40 + (size_t)more, 1);
        feed_bytes(&f, bytes, size);
        assert_int_equal(f.said[0], more ? 'F' : 'B');
        assert_true(!more || strcmp(f.said, "F1009") == 0);
        feed_close(&f);
    }
}

static void fragments_to_the_limit(void **state)
{
    (void)state;
    for (int count = 1024; count <= 1025; count++) {
        feed f;
        char frame[16];
        feed_open(&f, WEFT_WS_SERVER);
        for (int i = 0; i < count; i++) {
            unsigned first = (i == 0 ? 2 : 0) | (i == count - 1 ? 0x80 : 0);
            feed_bytes(&f, frame, feed_frame(frame, first, "x", 1, 3));
        }
        if (count == 1025)
            assert_string_equal(f.said, "F1009");
        else
            assert_int_equal(f.byte_count, 1024);
        feed_close(&f);
    }
}

static void the_budget_is_kept(void **state)
{
    (void)state;
    feed f;
    feed_open(&f, WEFT_WS_SERVER);
    f.store.budget = 10000;
    char *bytes = calloc(1, 20014);
    size_t size = feed_frame(bytes, 0x82, bytes, 9000, 0);
    feed_bytes(&f, bytes, size);
    assert_int_equal(f.byte_count, 9000);
    size = feed_frame(bytes, 0x82, bytes, 20000, 0);
    feed_bytes(&f, bytes, size);
    assert_non_null(strstr(f.said, "F1013"));
    feed_close(&f);
    free(bytes);
}

static void parts(void **state)
{
    (void)state;
    feed f;
    feed_open(&f, WEFT_WS_SERVER);
    f.reader.limit = 3; /* does not hold for parts */
    f.want = WEFT_WS_WANT_PART;
    feed_bytes(&f, "\x02\x84" Z "ab", 8);
    feed_bytes(&f,
               "cd"
               "\x89\x80" Z,
               8);
    feed_bytes(&f, "\x80\x84" Z "efgh", 10);
    assert_string_equal(f.said, "p(ab)p(cd)P()B(efgh)");
    feed_close(&f);
}

/* A frame of 2^40 bytes: what is held is what has come. */
static void parts_of_a_huge_frame(void **state)
{
    (void)state;
    feed f;
    char *bytes = calloc(1, 64 * 1024);
    feed_open(&f, WEFT_WS_SERVER);
    f.want = WEFT_WS_WANT_PART;
    feed_bytes(&f, "\x82\xff\0\0\1\0\0\0\0\0" Z, 14);
    for (int i = 0; i < 3; i++) {
        feed_bytes(&f, bytes, 64 * 1024);
        assert_false(f.is_over); /* by the budget */
    }
    assert_int_equal(f.byte_count, 3 * 64 * 1024);
    f.want = WEFT_WS_WANT_MESSAGE; /* for the rest of it the limit holds */
    feed_bytes(&f, bytes, 1);
    assert_true(f.is_over);
    feed_close(&f);
    free(bytes);
}

static void a_message_stays_while_nothing_is_wanted(void **state)
{
    (void)state;
    feed f;
    weft_ws_event event;
    size_t taken;
    feed_open(&f, WEFT_WS_SERVER);
    assert_int_equal(weft_ws_reader_next(&f.reader, WEFT_WS_WANT_MESSAGE, "\x81\x82" Z "ab", 8, &taken, &event),
                     WEFT_WS_MESSAGE);
    assert_int_equal(weft_ws_reader_next(&f.reader, WEFT_WS_WANT_CONTROL, "\x89\x80" Z, 6, &taken, &event), WEFT_WS_PINGED);
    assert_non_null(f.reader.data);
    assert_string_equal(f.reader.data, "ab");
    assert_int_equal(weft_ws_reader_next(&f.reader, WEFT_WS_WANT_MESSAGE, "", 0, &taken, &event), WEFT_WS_MORE);
    assert_null(f.reader.data);
    feed_close(&f);
}

static void nothing_of_a_message_without_a_receiver(void **state)
{
    (void)state;
    feed f;
    feed_open(&f, WEFT_WS_SERVER);
    f.want = WEFT_WS_WANT_CONTROL;
    feed_bytes(&f,
               "\x89\x81" Z "1"
               "\x81\x82" Z "ab"
               "\x89\x81" Z "2",
               22);
    assert_string_equal(f.said, "P(1)");
    assert_int_equal(f.unread_size, 15);
    assert_int_equal(f.buffered, 0);
    f.want = WEFT_WS_WANT_MESSAGE;
    feed_bytes(&f, "", 0);
    assert_string_equal(f.said, "P(1)T(ab)P(2)");
    feed_close(&f);
}

static void a_header_alone_holds_nothing(void **state)
{
    (void)state;
    feed f;
    feed_open(&f, WEFT_WS_SERVER);
    feed_bytes(&f, "\x82\xfe\x10\x00" Z, 8);
    assert_null(f.reader.context);
    assert_int_equal(f.buffered, 0);
    feed_bytes(&f, "x", 1);
    assert_non_null(f.reader.context);
    assert_true(f.buffered > 0 && f.buffered < 1000);
    assert_int_equal(feed_close(&f), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_whole_and_split),
        cmocka_unit_test(rules_behind_another),
        cmocka_unit_test(rules_inside_fragments),
        cmocka_unit_test(close_codes),
        cmocka_unit_test(masks),
        cmocka_unit_test(written_frames_are_read),
        cmocka_unit_test(each_length),
        cmocka_unit_test(large_frames_where_they_lie),
        cmocka_unit_test(no_room),
        cmocka_unit_test(limits_to_the_byte),
        cmocka_unit_test(fragments_to_the_limit),
        cmocka_unit_test(the_budget_is_kept),
        cmocka_unit_test(parts),
        cmocka_unit_test(parts_of_a_huge_frame),
        cmocka_unit_test(a_message_stays_while_nothing_is_wanted),
        cmocka_unit_test(nothing_of_a_message_without_a_receiver),
        cmocka_unit_test(a_header_alone_holds_nothing),
    };
    return cmocka_run_group_tests_name("WebSocket reader", tests, NULL, NULL);
}
