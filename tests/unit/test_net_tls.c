/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* TLS over the transport in memory, by the table of transports alone, in virtual time. */
#include "tests/unit/tls_pair.h"

static int test_bytes_arrive(void)
{
    probe server, client;
    struct weft_tls_description d;
    char text[16];
    WEFT_TRY(open_ready(&server, &client, 65536));
    WEFT_CHECK(strcmp(weft_transport_peer(&client.t, text, sizeof text), "memory") == 0);
    WEFT_CHECK(probe_send(&client, "one", 3) == 0 && probe_send(&client, " two", 4) == 0);
    WEFT_CHECK(server.inputs == 0); /* later, from the loop */
    WEFT_CHECK(probe_send(&server, "back", 4) == 0);
    settle();
    WEFT_CHECK(probe_got(&server, "one two") && probe_got(&client, "back"));
    WEFT_CHECK(server.drains == 0 && client.drains == 0);
    WEFT_CHECK(weft_tls_is(&server.t) && weft_tls_describe(&server.t, &d));
    WEFT_CHECK(strcmp(d.version, "TLSv1.3") == 0 && strcmp(d.cipher, "TLS_AES_128_GCM_SHA256") == 0);
    WEFT_CHECK(!d.server_name && !d.has_certificate && !d.is_resumed);
    const struct weft_tls_counts *counts = weft_tls_counts_of(weft_loop_here());
    WEFT_CHECK(counts->handshakes == 2 && counts->refused + counts->slow + counts->cut == 0);
    close_pair(&server, &client);
    return 0;
}

/* The handshake and the bytes, in input events of one byte, and with a pipe that takes little. */
static int test_every_split(void)
{
    static const size_t capacities[] = { 1, 7, 65536 };
    for (size_t i = 0; i < COUNT(capacities); i++) {
        probe server, client;
        WEFT_TRY(open_tls(&server, &client, capacities[i]));
        inner_knobs(&server)->input_most = 1;
        inner_knobs(&client)->input_most = 1;
        probe_read(&server);
        probe_read(&client);
        while (connects == 0)
            settle();
        WEFT_CHECK(connect_error == 0);
        for (int n = 0; n < 10; n++)
            WEFT_CHECK(probe_send(&client, "ping", 4) == 0 && probe_send(&server, "pong", 4) == 0);
        while (server.got_size < 40 || client.got_size < 40)
            settle();
        WEFT_CHECK(server.t.queued == 0 && client.t.queued == 0);
        WEFT_CHECK(probe_shutdown(&client) == 0);
        while (server.ends == 0)
            settle();
        close_pair(&server, &client);
    }
    return 0;
}

/* Each record cut in two at each of its bytes. */
static int test_records_cut_anywhere(void)
{
    size_t one = 0;
    for (size_t cut = 0; cut == 0 || cut < one; cut++) {
        probe server, client;
        WEFT_TRY(open_ready(&server, &client, 65536));
        weft_transport *inner = weft_tls_inner(&client.t);
        weft_memory_knobs *knobs = weft_memory_knobs_of(inner);
        knobs->send_most = cut; /* the first part; the rest is queued */
        WEFT_CHECK(probe_send(&client, "record", 6) == 0);
        one = cut == 0 ? 6 + 22 : one;
        settle();
        WEFT_CHECK(probe_got(&server, "record") && server.inputs == 1);
        close_pair(&server, &client);
    }
    return 0;
}

static int test_back_pressure(void)
{
    enum { SIZE = 300 * 1000 };
    probe server, client;
    char *data = malloc(SIZE);
    probe_pattern(data, SIZE);
    WEFT_TRY(open_ready(&server, &client, 50 * 1000));
    weft_transport_read_stop(&server.t);
    int64_t taken = probe_try(&client, data, SIZE);
    WEFT_CHECK(taken > 0 && taken < SIZE && client.t.queued > 0);
    WEFT_CHECK(probe_try(&client, data + taken, 1) == -EAGAIN); /* order holds */
    WEFT_CHECK(weft_transport_unsent(&client.t) > 0);
    WEFT_CHECK(probe_send(&client, data + taken, (size_t)(SIZE - taken)) == 0);
    settle();
    WEFT_CHECK(server.inputs == 0 && client.drains == 0);
    server.stops_itself = true;
    probe_read(&server);
    settle();
    WEFT_CHECK(server.inputs == 1 && weft_transport_has_unread(&server.t));
    server.stops_itself = false;
    server.spoils = true;
    probe_read(&server);
    while (server.got_size < SIZE)
        settle();
    WEFT_CHECK(server.got_size == SIZE && memcmp(server.got, data, SIZE) == 0);
    WEFT_CHECK(client.drains == 1 && client.drain_error == 0 && client.t.queued == 0);
    close_pair(&server, &client);
    free(data);
    return 0;
}

/* Many parts, of which a record is made where they fit one. */
static int test_send_in_parts(void)
{
    enum { LARGE = 50 * 1000 };
    static char large[LARGE];
    char expected[LARGE + 8];
    probe server, client;
    probe_pattern(large, LARGE);
    WEFT_TRY(open_ready(&server, &client, 100));
    struct iovec parts[] = { { NULL, 0 }, { (char[]){ "abc" }, 3 }, { NULL, 0 }, { large, LARGE }, { (char[]){ "defgh" }, 5 } };
    WEFT_CHECK(weft_transport_send(&client.t, parts, COUNT(parts)) == 0);
    WEFT_CHECK(weft_transport_send(&client.t, parts, 3) == 0);
    while (server.got_size < LARGE + 11)
        settle();
    memcpy(expected, "abc", 3);
    memcpy(expected + 3, large, LARGE);
    memcpy(expected + 3 + LARGE, "defgh", 5);
    WEFT_CHECK(server.got_size == LARGE + 11 && memcmp(server.got, expected, LARGE + 8) == 0);
    WEFT_CHECK(memcmp(server.got + LARGE + 8, "abc", 3) == 0);
    close_pair(&server, &client);
    return 0;
}

static int test_reading_stops(void)
{
    probe server, client;
    WEFT_TRY(open_ready(&server, &client, 65536));
    server.stops_itself = true;
    WEFT_CHECK(probe_send(&client, "1", 1) == 0);
    settle();
    WEFT_CHECK(probe_send(&client, "2", 1) == 0);
    probe_close(&client, false);
    settle();
    WEFT_CHECK(probe_got(&server, "1") && server.ends == 0);
    WEFT_CHECK(weft_transport_has_unread(&server.t));
    probe_read(&server);
    weft_transport_read_stop(&server.t);
    settle();
    WEFT_CHECK(probe_got(&server, "1"));
    probe_read(&server);
    settle();
    WEFT_CHECK(probe_got(&server, "12") && server.ends == 0);
    probe_read(&server);
    settle();
    WEFT_CHECK(server.ends == 1 && server.errors == 0);
    close_pair(&server, &client);
    return 0;
}

static int test_half_close(void)
{
    probe server, client;
    WEFT_TRY(open_ready(&server, &client, 65536));
    WEFT_CHECK(probe_send(&client, "request", 7) == 0);
    WEFT_CHECK(probe_shutdown(&client) == 0 && probe_shutdown(&client) == 0);
    WEFT_CHECK(probe_send(&client, "x", 1) == -EPIPE);
    settle();
    WEFT_CHECK(probe_got(&server, "request") && server.ends == 1);
    WEFT_CHECK(probe_send(&server, "answer", 6) == 0);
    settle();
    WEFT_CHECK(probe_got(&client, "answer") && client.ends == 0);
    probe_close(&server, false);
    settle();
    WEFT_CHECK(client.ends == 1 && client.errors == 0);
    close_pair(&server, &client);
    return 0;
}

/* An end of the inner transport that TLS has not announced. */
static int test_end_without_notice(void)
{
    probe server, client;
    WEFT_TRY(open_ready(&server, &client, 65536));
    WEFT_CHECK(probe_send(&client, "some", 4) == 0);
    WEFT_CHECK(weft_transport_shutdown(weft_tls_inner(&client.t)) == 0);
    settle();
    WEFT_CHECK(probe_got(&server, "some") && server.errors == 1 && server.error == -ECONNRESET && server.ends == 0);
    WEFT_CHECK(weft_tls_counts_of(weft_loop_here())->cut == 1);
    close_pair(&server, &client);

    WEFT_TRY(open_ready(&server, &client, 65536));
    WEFT_CHECK(probe_shutdown(&server) == 0); /* whose peer has nothing left to say that matters */
    WEFT_CHECK(weft_transport_shutdown(weft_tls_inner(&client.t)) == 0);
    settle();
    WEFT_CHECK(server.ends == 1 && server.errors == 0);
    WEFT_CHECK(weft_tls_counts_of(weft_loop_here())->cut == 1);
    close_pair(&server, &client);
    return 0;
}

/* The pipe breaks after each number of bytes of the client's: of its handshake, and of what follows. */
static int test_breaks_anywhere(void)
{
    bool is_whole = false;
    for (size_t n = 0; !is_whole; n++) {
        probe server, client;
        WEFT_TRY(open_tls(&server, &client, 65536));
        weft_memory_knobs *knobs = inner_knobs(&client);
        knobs->breaks = true;
        knobs->break_after = n;
        probe_read(&server);
        settle();
        if (connects == 1 && connect_error == 0) {
            probe_read(&client);
            probe_send(&client, "x", 1);
        }
        settle();
        is_whole = server.got_size == 1;
        WEFT_CHECK(server.ends == 0 && server.errors <= 1);
        close_pair(&server, &client);
    }
    return 0;
}

static int test_no_tls(void)
{
    static const struct {
        const char *sent;
        size_t size;
        bool is_answered;
    } cases[] = {
        { "GET / HTTP/1.1\r\n", 16, true },
        { "G", 1, true },
        { "\x80\x2e\x01\x03\x01", 5, false },
        { "\0\0\0\0\0", 5, false },
        { "SSH-2.0-x\r\n", 11, true },
        { "\x16\x03\x01\xff\xff\x01\x00\x00", 8, false },
        { "\x16\x03\x01\x00\x05hello", 10, false },
    };
    weft_tls_context *context = new_server();
    for (size_t i = 0; i < COUNT(cases); i++) {
        probe server, raw;
        WEFT_TRY(open_raw(&server, &raw, context));
        WEFT_CHECK(probe_send(&raw, cases[i].sent, cases[i].size) == 0);
        settle();
        WEFT_CHECK(server.errors == 1 && server.error == WEFT_ETLS && server.got_size == 0);
        WEFT_CHECK(probe_send(&server, "x", 1) == WEFT_ETLS);
        static const char begin[] = "HTTP/1.1 400 Bad Request\r\n";
        bool is_answer = raw.got_size > sizeof begin && memcmp(raw.got, begin, sizeof begin - 1) == 0;
        WEFT_CHECK(is_answer == cases[i].is_answered);
        if (!cases[i].is_answered && raw.got_size > 0)
            WEFT_CHECK(raw.got[0] == 21 && raw.got_size == 7); /* an alert */
        WEFT_CHECK(weft_tls_counts_of(weft_loop_here())->refused == i + 1);
        close_pair(&server, &raw);
    }
    weft_tls_context_free(context);
    return 0;
}

static int test_silence_at_first(void)
{
    weft_tls_context *context = new_server();
    probe server, raw;
    WEFT_TRY(open_raw(&server, &raw, context));
    WEFT_CHECK(probe_shutdown(&raw) == 0); /* somebody who looks whether the port is open */
    settle();
    WEFT_CHECK(server.ends == 1 && server.errors == 0);
    close_pair(&server, &raw);

    WEFT_TRY(open_raw(&server, &raw, context));
    WEFT_CHECK(probe_send(&raw, "\x16\x03\x01\x02", 4) == 0); /* and then nothing */
    WEFT_CHECK(weft_sleep(9900 * WEFT_MILLISECOND) == 0 && server.errors == 0);
    WEFT_CHECK(weft_sleep(200 * WEFT_MILLISECOND) == 0 && server.errors == 1 && server.error == -ETIMEDOUT);
    WEFT_CHECK(weft_tls_counts_of(weft_loop_here())->slow == 1);
    close_pair(&server, &raw);
    weft_tls_context_free(context);
    return 0;
}

/* A record of which a byte comes now and then. */
static int test_slow_record(void)
{
    probe server, client;
    WEFT_TRY(open_ready(&server, &client, 65536));
    WEFT_CHECK(weft_sleep(WEFT_HOUR) == 0 && server.errors == 0); /* idle is not slow */
    static char bytes[] = "\x17\x03\x03\x01 a record of 288 bytes, of which";
    weft_transport *inner = weft_tls_inner(&client.t);
    for (int i = 0; i < 29; i++) {
        WEFT_CHECK(weft_transport_send(inner, &(struct iovec){ bytes + i, 1 }, 1) == 0);
        WEFT_CHECK(weft_sleep(WEFT_SECOND) == 0 && server.errors == 0);
    }
    WEFT_CHECK(weft_sleep(2 * WEFT_SECOND) == 0 && server.errors == 1 && server.error == -ETIMEDOUT);
    close_pair(&server, &client);

    WEFT_TRY(open_ready(&server, &client, 65536)); /* records that come, each a little late, may come for hours */
    for (int i = 0; i < 10; i++) {
        inner_knobs(&client)->send_most = 3;
        weft_transport_read_stop(weft_tls_inner(&server.t));
        WEFT_CHECK(probe_send(&client, "x", 1) == 0);
        WEFT_CHECK(weft_sleep(20 * WEFT_SECOND) == 0);
        WEFT_CHECK(weft_transport_read_start(weft_tls_inner(&server.t)) == 0);
        settle();
    }
    WEFT_CHECK(server.errors == 0 && server.got_size == 10);
    close_pair(&server, &client);
    return 0;
}

static int test_tampering(void)
{
    probe server, client;
    WEFT_TRY(open_ready(&server, &client, 65536));
    char record[] = "\x17\x03\x03\x00\x20 32 bytes that nobody encrypted..";
    WEFT_CHECK(weft_transport_send(weft_tls_inner(&client.t), &(struct iovec){ record, 5 + 32 }, 1) == 0);
    settle();
    WEFT_CHECK(server.errors == 1 && server.error == WEFT_ETLS && server.got_size == 0);
    WEFT_CHECK(client.errors == 1 && client.error == WEFT_ETLS); /* was told by an alert */
    close_pair(&server, &client);
    return 0;
}

static int test_close_in_an_event(void)
{
    probe server, client;
    WEFT_TRY(open_ready(&server, &client, 65536));
    server.closes_itself = true;
    WEFT_CHECK(probe_send(&client, "bye", 3) == 0);
    settle();
    WEFT_CHECK(server.closes == 1 && probe_got(&server, "bye"));
    WEFT_CHECK(client.ends == 1 && client.errors == 0);
    close_pair(&server, &client);
    return 0;
}

static int test_verification(void)
{
    weft_tls_context *ours = new_server(), *theirs;
    WEFT_TRY(weft_tls_client_new(&theirs));
    probe server, client;
    WEFT_TRY(open_tls_with(&server, &client, 65536, ours,
                           &(struct weft_tls_wrap_options){ .context = theirs, .name = "localhost", .alpn = "http/1.1" }));
    probe_read(&server);
    settle();
    WEFT_CHECK(connects == 1 && connect_error == WEFT_ECERTIFICATE && *weft_tls_verdict(&client.t));
    WEFT_CHECK(server.errors == 1 && server.error == WEFT_ETLS); /* was told by an alert */
    close_pair(&server, &client);

    /* A protocol that we do not speak is refused. */
    weft_tls_context *blind = new_client();
    WEFT_TRY(open_tls_with(&server, &client, 65536, ours,
                           &(struct weft_tls_wrap_options){ .context = blind, .name = "localhost", .alpn = "h2" }));
    probe_read(&server);
    settle();
    WEFT_CHECK(connects == 1 && connect_error == WEFT_ETLS && server.error == WEFT_ETLS);
    close_pair(&server, &client);

    static const char *const names[] = { "", ".example.org" };
    for (size_t i = 0; i < COUNT(names); i++)
        WEFT_CHECK(open_tls_with(&server, &client, 65536, ours,
                                 &(struct weft_tls_wrap_options){ .context = theirs, .name = names[i] }) == -EINVAL);
    WEFT_CHECK(open_tls_with(&server, &client, 65536, ours,
                             &(struct weft_tls_wrap_options){ .context = theirs, .name = "a", .alpn = "" }) == -EINVAL);
    weft_tls_context_free(blind);
    weft_tls_context_free(ours);
    weft_tls_context_free(theirs);
    return 0;
}

static weft_tls_context *kept_server, *kept_client;

static int exchange(void *arg)
{
    enum { SIZE = 100 * 1000 };
    static char data[SIZE];
    probe server, client;
    (void)arg;
    int rc = open_tls_with(&server, &client, 9000, kept_server, &(struct weft_tls_wrap_options){ .context = kept_client });
    if (rc < 0)
        return rc;
    weft_transport_read_start(&server.t);
    while (connects == 0 && server.errors == 0 && weft_sleep(WEFT_MILLISECOND) == 0)
        continue;
    if (connects == 1 && connect_error == 0) {
        WEFT_CHECK(weft_transport_read_start(&client.t) == 0);
        rc = weft_transport_send(&client.t, &(struct iovec){ data, 3000 }, 1);
        for (int i = 0; i < 50 && server.got_size < 3000 && weft_sleep(WEFT_MILLISECOND) == 0; i++)
            continue;
        weft_transport_send(&server.t, &(struct iovec){ data, 3000 }, 1);
        if (rc == 0)
            rc = weft_transport_send(&client.t, &(struct iovec){ data, SIZE }, 1);
        for (int i = 0; i < 200 && server.got_size < 3000 + SIZE && weft_sleep(WEFT_MILLISECOND) == 0; i++)
            continue;
        WEFT_CHECK(rc < 0 || server.errors > 0 || client.errors > 0 || server.got_size == 3000 + SIZE);
    }
    weft_transport_close(&client.t, false);
    weft_transport_close(&server.t, false);
    while (client.closes + server.closes < 2 && weft_sleep(WEFT_MILLISECOND) == 0)
        continue;
    free(client.got);
    free(server.got);
    return rc < 0 ? rc : connects == 1 && connect_error < 0 ? connect_error : 0;
}

static int test_memory_runs_out(void)
{
    weft_test_report report = { .struck = true };
    kept_server = new_server();
    kept_client = new_client();
    WEFT_CHECK(weft_test_run(exchange, NULL, NULL) == 0);
    for (uint64_t n = 1; report.struck; n++) {
        weft_test_run(exchange, NULL, &report, .fail_at = n, .quiet = true);
        WEFT_CHECK(n < 1000);
        weft_test_run(exchange, NULL, NULL, .fail_at = n, .fail_after = true, .quiet = true);
    }
    weft_tls_context_free(kept_server);
    weft_tls_context_free(kept_client);
    return 0;
}

static const weft_test tests[] = {
    { .name = "bytes arrive, from the loop", .body = test_bytes_arrive },
    { .name = "byte by byte, and through a narrow pipe", .body = test_every_split },
    { .name = "records cut anywhere", .body = test_records_cut_anywhere },
    { .name = "back-pressure: queued, drained, in order", .body = test_back_pressure },
    { .name = "a send in parts", .body = test_send_in_parts },
    { .name = "reading stops and goes on", .body = test_reading_stops },
    { .name = "one direction ends", .body = test_half_close },
    { .name = "an end that was not announced", .body = test_end_without_notice },
    { .name = "a pipe that breaks after n bytes", .body = test_breaks_anywhere },
    { .name = "what is no TLS", .body = test_no_tls },
    { .name = "a client that says nothing", .body = test_silence_at_first },
    { .name = "a record that does not end", .body = test_slow_record },
    { .name = "bytes that nobody encrypted", .body = test_tampering },
    { .name = "a close inside an event", .body = test_close_in_an_event },
    { .name = "a certificate that is not trusted, a protocol not spoken", .body = test_verification },
    { .name = "the n-th allocation fails", .plain = test_memory_runs_out },
};

int main(int argc, char **argv)
{
    return weft_test_main(tests, COUNT(tests), argc, argv);
}
