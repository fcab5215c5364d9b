/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * What a WebSocket's peer may send, as wild as it comes: handshakes, frames and messages.
 *
 * Frames go through our reader whole, byte by byte and in random pieces, which must say the same; and through wslay's event
 * interface, the reference. Where the two differ is known, and nothing else may differ:
 *
 *   1. It refuses the close codes 1012 to 1014, which have been registered since; we take them.
 *   2. It fails a text at the end of the first frame in which it is wrong; we at the first wrong byte, so that we may have
 *      failed where it still waits for more.
 *   3. It fails a close as soon as its code or reason is wrong; we when the whole frame, at most 131 bytes, has come.
 *   4. A close of one byte is one without a code to it; to us, and RFC 6455 §5.5.1, it is malformed.
 *   5. Compressed messages it hands over as they came: they are not compared.
 *
 * What comes in parts must be as much as what comes whole.
 *
 * By itself this runs the inputs of corpus/ws, then the same changed at random from a fixed seed: a test that takes a moment.
 * With clang it is a fuzzer: see meson.build beside it. The first byte chooses what is fuzzed.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wslay/wslay.h>

#include "lib/base/check.h"
#include "lib/base/random.h"
#include "lib/ws/handshake.h"
#include "tests/rounds.h"
#include "tests/unit/ws_feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned accepted, messages; /* the short test sees whether its input was any good */

/* ---- handshakes: lines "name:value" ---- */

static void fuzz_handshake(const char *data, size_t size)
{
    static const char *const ours[] = { "a", "b", NULL };
    weft_ws_handshake h = { .is_get = true, .is_1_1 = true };
    weft_ws_terms terms = { .protocols = ours, .deflates = true, .keeps_our_context = true, .keeps_their_context = true };
    weft_ws_answer answer;
    char *copy = malloc(size ? size : 1), *end = copy + size;
    CHECK(copy);
    if (size > 0)
        memcpy(copy, data, size);
    for (char *at = copy; at < end;) {
        char *line_end = memchr(at, '\n', (size_t)(end - at));
        line_end = line_end ? line_end : end;
        char *colon = memchr(at, ':', (size_t)(line_end - at));
        if (colon)
            weft_ws_handshake_field(&h, at, (size_t)(colon - at), colon + 1, (size_t)(line_end - colon - 1));
        at = line_end + 1;
    }
    int status = weft_ws_handshake_judge(&h, &terms, &answer);
    CHECK(status == 0 || status == 400 || status == 403 || status == 426);
    CHECK((status == 0) == (answer.words == NULL));
    if (status == 0) {
        accepted++;
        CHECK(strlen(answer.accept) == WEFT_WS_ACCEPT_SIZE);
        CHECK(!answer.deflate.is_on ||
              (strncmp(answer.extension, "permessage-deflate", 18) == 0 && answer.deflate.our_window >= 9 &&
               answer.deflate.our_window <= 15 && answer.deflate.their_window >= 8 && answer.deflate.their_window <= 15));
    }
    free(copy);
}

/* ---- frames, through our reader ---- */

struct how {
    enum weft_ws_role role;
    uint8_t window_bits;
    bool keeps_context, in_parts;
};

static void read_ours(feed *f, const char *data, size_t size, size_t step, struct how how)
{
    feed_open(f, how.role);
    f->reader.limit = 4000;
    f->reader.window_bits = how.window_bits;
    f->reader.keeps_context = how.keeps_context;
    f->want = how.in_parts ? WEFT_WS_WANT_PART : WEFT_WS_WANT_MESSAGE;
    uint64_t seed = step;
    for (size_t at = 0; at < size && !f->is_over;) {
        size_t here = step == SIZE_MAX ? size : step == 0 ? 1 : 1 + weft_random_below(&seed, step);
        here = here < size - at ? here : size - at;
        feed_bytes(f, data + at, here);
        at += here;
    }
}

static bool has_failed(const feed *f)
{
    return f->said_size >= 5 && f->is_over && f->said[f->said_size - 5] == 'F';
}

static void fuzz_frames(const char *data, size_t size, struct how how, feed *ret_whole)
{
    static const size_t steps[] = { 0, 7, 100 };
    read_ours(ret_whole, data, size, SIZE_MAX, how);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        feed f;
        read_ours(&f, data, size, steps[i], how);
        CHECK(strcmp(f.said, ret_whole->said) == 0 && f.message_count == ret_whole->message_count);
        CHECK(feed_close(&f) == 0);
        how.in_parts = true;
        read_ours(&f, data, size, steps[i], how);
        CHECK(has_failed(ret_whole) || ret_whole->reader.in_message || f.byte_count == ret_whole->byte_count);
        CHECK(feed_close(&f) == 0);
        how.in_parts = false;
    }
    messages += (unsigned)ret_whole->message_count;
}

/* ---- and through wslay's events ---- */

struct theirs {
    const char *at;
    size_t left;
    feed said; /* only what it has said is used */
};

static ssize_t on_receive(wslay_event_context_ptr context, uint8_t *buf, size_t size, int flags, void *user)
{
    struct theirs *t = user;
    (void)flags;
    size = size < t->left ? size : t->left;
    if (size == 0) {
        wslay_event_set_error(context, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    memcpy(buf, t->at, size);
    t->at += size;
    t->left -= size;
    return (ssize_t)size;
}

static ssize_t on_send(wslay_event_context_ptr context, const uint8_t *data, size_t size, int flags, void *user)
{
    (void)context;
    (void)data;
    (void)flags;
    (void)user;
    return (ssize_t)size;
}

static void on_message(wslay_event_context_ptr context, const struct wslay_event_on_msg_recv_arg *arg, void *user)
{
    struct theirs *t = user;
    const char *data = arg->msg ? (const char *)arg->msg : "";
    (void)context;
    switch (arg->opcode) {
    case WSLAY_TEXT_FRAME:
        feed_say(&t->said, "T", 0, data, arg->msg_length);
        break;
    case WSLAY_BINARY_FRAME:
        feed_say(&t->said, "B", 0, data, arg->msg_length);
        break;
    case WSLAY_PING:
        feed_say(&t->said, "P", 0, data, arg->msg_length);
        break;
    case WSLAY_PONG:
        feed_say(&t->said, "Q", 0, data, arg->msg_length);
        break;
    default:
        feed_say(&t->said, "C", arg->status_code ? arg->status_code : 1005, arg->msg_length > 2 ? data + 2 : "",
                 arg->msg_length > 2 ? arg->msg_length - 2 : 0);
        t->said.is_over = true;
        break;
    }
}

/* What it says; false if it fails. */
static bool read_theirs(struct theirs *t, const char *data, size_t size)
{
    static const struct wslay_event_callbacks callbacks = { .recv_callback = on_receive,
                                                            .send_callback = on_send,
                                                            .on_msg_recv_callback = on_message };
    wslay_event_context_ptr context;
    memset(t, 0, sizeof *t);
    t->at = data;
    t->left = size;
    CHECK(wslay_event_context_server_init(&context, &callbacks, t) == 0);
    wslay_event_config_set_max_recv_msg_length(context, 4000);
    bool is_fine = true;
    while (is_fine && t->left > 0 && !t->said.is_over && wslay_event_get_read_enabled(context)) {
        size_t before = t->left;
        is_fine = wslay_event_recv(context) == 0;
        if (t->left == before)
            break;
    }
    if (!wslay_event_get_read_enabled(context) && !t->said.is_over)
        is_fine = false;
    uint16_t sent = wslay_event_get_status_code_sent(context);
    is_fine = is_fine && (t->said.is_over || !wslay_event_get_close_sent(context) || sent == 0);
    wslay_event_context_free(context);
    return is_fine;
}

/* The events before the failure, if there is one. */
static size_t before_failure(const feed *f)
{
    return f->said_size >= 5 && f->is_over && f->said[f->said_size - 5] == 'F' ? f->said_size - 5 : f->said_size;
}

static bool has_new_code(const char *said)
{
    return strstr(said, "C1012") || strstr(said, "C1013") || strstr(said, "C1014");
}

static void compare(const char *data, size_t size, const feed *ours)
{
    struct theirs theirs;
    bool is_fine = read_theirs(&theirs, data, size);
    size_t said = before_failure(ours);
    bool has_failed = said < ours->said_size;
    if (has_new_code(ours->said))
        return;
    bool waits_for_close = ours->unread_size > 0 && (unsigned char)ours->unread[0] == 0x88;
    if (has_failed && strcmp(theirs.said.said + said, "C1005()") == 0)
        theirs.said.said_size = said; /* the close of one byte */
    bool begins_alike = theirs.said.said_size <= ours->said_size &&
                        memcmp(theirs.said.said, ours->said, said < theirs.said.said_size ? said : theirs.said.said_size) == 0;
    if (begins_alike && (has_failed || waits_for_close || (is_fine && strcmp(theirs.said.said, ours->said) == 0)))
        return;
    fprintf(stderr, "ours:   %s\ntheirs: %s%s\nbytes: ", ours->said, theirs.said.said, is_fine ? "" : " failed");
    for (size_t i = 0; i < size; i++)
        fprintf(stderr, "%02x ", (unsigned char)data[i]);
    fprintf(stderr, "\n");
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const char *rest = (const char *)data + 1;
    feed f;
    switch (data[0] % 5) {
    case 0:
        fuzz_handshake(rest, size - 1);
        return 0;
    case 1:
        fuzz_frames(rest, size - 1, (struct how){ .role = WEFT_WS_SERVER }, &f);
        compare(rest, size - 1, &f);
        break;
    case 2:
        fuzz_frames(rest, size - 1, (struct how){ .role = WEFT_WS_SERVER, .window_bits = 15 }, &f);
        break;
    case 3:
        fuzz_frames(rest, size - 1, (struct how){ .role = WEFT_WS_CLIENT }, &f);
        break;
    default:
        fuzz_frames(rest, size - 1, (struct how){ .role = WEFT_WS_CLIENT, .window_bits = 9, .keeps_context = true }, &f);
        break;
    }
    CHECK(feed_close(&f) == 0);
    return 0;
}

#ifndef WEFT_LIBFUZZER

enum { INPUT_MAX = 600, INPUTS_MAX = 100 };

struct input {
    size_t size;
    char text[INPUT_MAX];
};

static size_t read_corpus(const char *folder, struct input *inputs)
{
    size_t count = 0;
    DIR *dir = opendir(folder);
    CHECK(dir);
    for (struct dirent *entry; count < INPUTS_MAX && (entry = readdir(dir));) {
        char path[1024];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        FILE *file = fopen(path, "rb");
        CHECK(file);
        inputs[count].size = fread(inputs[count].text, 1, INPUT_MAX, file);
        CHECK(inputs[count].size > 1);
        fclose(file);
        count++;
    }
    closedir(dir);
    return count;
}

static int by_text(const void *a, const void *b)
{
    return memcmp(((const struct input *)a)->text, ((const struct input *)b)->text, INPUT_MAX);
}

int main(int argc, char **argv)
{
    static struct input inputs[INPUTS_MAX];
    int all = rounds(30000);
    CHECK(argc == 2);
    size_t count = read_corpus(argv[1], inputs);
    CHECK(count > 0);
    qsort(inputs, count, sizeof *inputs, by_text); /* a folder has no order of its own */
    for (size_t i = 0; i < count; i++)
        LLVMFuzzerTestOneInput((const uint8_t *)inputs[i].text, inputs[i].size);
    static const char marks[] = "\x80\x81\x88\x89\x01\x02\x7e\x7f\xfe\xff\xc3\0=;,\" \n:";
    uint64_t seed = 5;
    for (int round = 0; round < all; round++) {
        uint8_t text[INPUT_MAX];
        const struct input *input = &inputs[weft_random_below(&seed, count)];
        size_t size = input->size;
        memcpy(text, input->text, size);
        for (uint64_t changes = weft_random_below(&seed, 4); changes > 0; changes--) {
            size_t at = 1 + weft_random_below(&seed, size - 1), length = 1 + weft_random_below(&seed, size - at);
            switch (weft_random_below(&seed, 4)) {
            case 0:
                text[at] = (uint8_t)marks[weft_random_below(&seed, sizeof marks - 1)];
                break;
            case 1:
                text[at] ^= (uint8_t)(1U << weft_random_below(&seed, 8));
                break;
            case 2: /* a piece out */
                memmove(text + at, text + at + length, size - at - length);
                size -= length;
                break;
            default: /* a piece twice */
                length = length < 24 ? length : 24;
                if (size + length > sizeof text)
                    break;
                memmove(text + at + length, text + at, size - at);
                size += length;
                break;
            }
            if (size < 2)
                break;
        }
        LLVMFuzzerTestOneInput(text, size);
    }
    bool is_good = accepted > (unsigned)(all < 30000 ? all / 100 : 500) && messages > (unsigned)all;
    printf("1..1\n%s 1 - %d changed inputs: %u handshakes accepted, %u events\n", is_good ? "ok" : "not ok", all, accepted,
           messages);
    return is_good ? 0 : 1;
}
#endif
