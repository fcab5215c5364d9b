/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* The ring of bytes between two threads: wrap-around, exactly full, and two threads that hammer on it. */
#include "tests/rounds.h"
#include "tests/unit/unit.h"

#include <pthread.h>
#include <sched.h>

#include "lib/base/memory.h"
#include "lib/base/random.h"
#include "lib/base/ring.h"

/* All that is peeked at, as one text. */
static size_t read_all(const weft_ring *ring, size_t most, char *out)
{
    struct iovec parts[2];
    size_t size = weft_ring_peek(ring, most, parts);
    assert_int_equal(size, parts[0].iov_len + parts[1].iov_len);
    memcpy(out, parts[0].iov_base, parts[0].iov_len);
    memcpy(out + parts[0].iov_len, parts[1].iov_base, parts[1].iov_len);
    return size;
}

static void sizes_are_powers_of_two(void **state)
{
    static const size_t asked[] = { 0, 1, 64, 65, 1000, 1024, 1 << 20 }, got[] = { 64, 64, 64, 128, 1024, 1024, 1 << 20 };
    (void)state;
    for (size_t i = 0; i < COUNT(asked); i++) {
        weft_ring ring;
        assert_int_equal(weft_ring_init(&ring, asked[i]), 0);
        assert_int_equal(ring.size, got[i]);
        weft_ring_close(&ring);
    }
}

static void no_memory(void **state)
{
    (void)state;
    weft_faults faults = { .fail_at = 1 };
    weft_mem_set_faults(&faults);
    weft_ring ring;
    int rc = weft_ring_init(&ring, 64);
    weft_mem_set_faults(NULL);
    assert_int_equal(rc, -ENOMEM);
    assert_int_equal(weft_ring_init(&ring, SIZE_MAX), -ENOMEM);
}

static void empty_at_first(void **state)
{
    (void)state;
    weft_ring ring;
    struct iovec parts[2];
    assert_int_equal(weft_ring_init(&ring, 64), 0);
    assert_int_equal(weft_ring_used(&ring), 0);
    assert_int_equal(weft_ring_peek(&ring, 64, parts), 0);
    assert_int_equal(parts[0].iov_len, 0);
    assert_int_equal(parts[1].iov_len, 0);
    weft_ring_close(&ring);
}

static void whole_or_not_at_all(void **state)
{
    (void)state;
    weft_ring ring;
    char data[128], out[128];
    memset(data, 'x', sizeof data);
    assert_int_equal(weft_ring_init(&ring, 64), 0);
    assert_false(weft_ring_put(&ring, data, 65));
    assert_true(weft_ring_put(&ring, "abc", 3));
    assert_false(weft_ring_put(&ring, data, 62));
    assert_int_equal(weft_ring_used(&ring), 3); /* nothing of what did not fit is there */
    assert_true(weft_ring_put(&ring, data, 61));
    assert_int_equal(weft_ring_used(&ring), 64);
    assert_false(weft_ring_put(&ring, "y", 1)); /* exactly full */
    assert_true(weft_ring_put(&ring, "y", 0));
    assert_int_equal(read_all(&ring, 64, out), 64);
    assert_memory_equal(out, "abc", 3);
    assert_memory_equal(out + 3, data, 61);
    weft_ring_take(&ring, 1);
    assert_false(weft_ring_put(&ring, "yz", 2));
    assert_true(weft_ring_put(&ring, "y", 1));
    assert_int_equal(read_all(&ring, 64, out), 64);
    assert_memory_equal(out, "bc", 2);
    assert_int_equal(out[63], 'y');
    weft_ring_close(&ring);
}

static void exactly_full_at_each_place(void **state)
{
    (void)state;
    weft_ring ring;
    char data[64], out[64];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)('0' + i);
    assert_int_equal(weft_ring_init(&ring, 64), 0);
    for (size_t at = 0; at < 64; at++) {
        struct iovec parts[2];
        assert_true(weft_ring_put(&ring, data, 64));
        assert_int_equal(weft_ring_peek(&ring, 64, parts), 64);
        assert_int_equal(parts[0].iov_len, 64 - at);
        assert_int_equal(read_all(&ring, 64, out), 64);
        assert_memory_equal(out, data, 64);
        weft_ring_take(&ring, 64);
        assert_true(weft_ring_put(&ring, "-", 1)); /* the next one begins a byte further on */
        weft_ring_take(&ring, 1);
    }
    weft_ring_close(&ring);
}

static void wraps_in_every_split(void **state)
{
    (void)state;
    weft_ring ring;
    char out[64];
    assert_int_equal(weft_ring_init(&ring, 64), 0);
    for (int i = 0; i < 1000; i++) {
        char text[32];
        size_t size = (size_t)snprintf(text, sizeof text, "record %d\n", i), taken = (size_t)i % size;
        assert_true(weft_ring_put(&ring, text, size));
        assert_int_equal(read_all(&ring, taken, out), taken);
        assert_memory_equal(out, text, taken);
        weft_ring_take(&ring, taken);
        assert_int_equal(read_all(&ring, 64, out), size - taken);
        assert_memory_equal(out, text + taken, size - taken);
        weft_ring_take(&ring, size - taken);
    }
    weft_ring_close(&ring);
}

static void counts_wrap_with_their_type(void **state)
{
    (void)state;
    weft_ring ring;
    char out[64];
    assert_int_equal(weft_ring_init(&ring, 64), 0);
    atomic_store(&ring.head, SIZE_MAX - 31); /* 32 bytes before the count begins anew */
    atomic_store(&ring.tail, SIZE_MAX - 31);
    ring.tail_seen = SIZE_MAX - 31;
    for (int i = 0; i < 8; i++)
        assert_true(weft_ring_put(&ring, "abcdefgh", 8));
    assert_false(weft_ring_put(&ring, "i", 1));
    assert_int_equal(weft_ring_used(&ring), 64);
    assert_int_equal(read_all(&ring, 64, out), 64);
    for (int i = 0; i < 8; i++)
        assert_memory_equal(out + 8 * i, "abcdefgh", 8);
    weft_ring_take(&ring, 64);
    assert_int_equal(weft_ring_used(&ring), 0);
    weft_ring_close(&ring);
}

/* ---- two threads ---- */

enum { RECORD_MAX = 60, HAMMERED_SIZE = 512 };

struct hammered {
    weft_ring ring;
    int records;
    uint64_t put_sum, put_size;
    uint64_t full; /* times that it was full */
};

/* Fowler, Noll and Vo's sum: of the bytes and of their order. */
static uint64_t add_sum(uint64_t sum, const char *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        sum = (sum ^ (unsigned char)data[i]) * 1099511628211u;
    return sum;
}

static void *put_records(void *arg)
{
    struct hammered *h = arg;
    uint64_t random = 42;
    for (int i = 0; i < h->records; i++) {
        char record[RECORD_MAX];
        size_t size = 1 + (size_t)weft_random_below(&random, RECORD_MAX - 1);
        for (size_t k = 0; k + 1 < size; k++)
            record[k] = (char)('a' + weft_random_below(&random, 26));
        record[size - 1] = '\n';
        while (!weft_ring_put(&h->ring, record, size)) {
            h->full++;
            sched_yield();
        }
        h->put_sum = add_sum(h->put_sum, record, size);
        h->put_size += size;
    }
    return NULL;
}

static void two_threads(void **state)
{
    (void)state;
    static struct hammered h;
    pthread_t thread;
    uint64_t sum = 0, size = 0, records = 0, random = 7;
    h.records = rounds(100000);
    assert_int_equal(weft_ring_init(&h.ring, HAMMERED_SIZE), 0);
    assert_int_equal(pthread_create(&thread, NULL, put_records, &h), 0);
    while (records < (unsigned)h.records) {
        char out[HAMMERED_SIZE];
        size_t most = 1 + (size_t)weft_random_below(&random, HAMMERED_SIZE), n = read_all(&h.ring, most, out);
        if (n == 0)
            sched_yield();
        if (n > 0 && n < most)
            assert_int_equal(out[n - 1], '\n'); /* all there was: it ends with a record */
        for (size_t i = 0; i < n; i++)
            records += out[i] == '\n';
        sum = add_sum(sum, out, n);
        size += n;
        weft_ring_take(&h.ring, n);
    }
    pthread_join(thread, NULL);
    assert_int_equal(weft_ring_used(&h.ring), 0);
    assert_int_equal(size, h.put_size);
    assert_true(sum == h.put_sum);
    assert_true(h.full > 0);
    weft_ring_close(&h.ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_powers_of_two),
        cmocka_unit_test(no_memory),
        cmocka_unit_test(empty_at_first),
        cmocka_unit_test(whole_or_not_at_all),
        cmocka_unit_test(exactly_full_at_each_place),
        cmocka_unit_test(wraps_in_every_split),
        cmocka_unit_test(counts_wrap_with_their_type),
        cmocka_unit_test(two_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
