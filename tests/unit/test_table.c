/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Tables of names, beside a plain array. */
#include "tests/unit/unit.h"

#include "lib/base/memory.h"
#include "lib/base/random.h"
#include "lib/base/table.h"

struct entry {
    weft_table_node node;
    bool is_in;
    char name[16];
};

static void set_name(struct entry *e, int n)
{
    snprintf(e->name, sizeof e->name, "%.*s%d", n % 9, "abcdefgh", n);
    e->node.name = e->name;
    e->node.name_size = strlen(e->name);
}

static void test_beside_an_array(void **state)
{
    (void)state;
    enum { MANY = 500 };
    static struct entry entries[MANY];
    weft_table table;
    uint64_t random = 1;
    weft_table_init(&table, 1, 2);
    for (int i = 0; i < MANY; i++)
        set_name(&entries[i], i);
    size_t count = 0;
    for (int step = 0; step < 20000; step++) {
        struct entry *e = &entries[weft_random_below(&random, MANY)];
        weft_table_node *found = weft_table_find(&table, e->name, e->node.name_size);
        assert_ptr_equal(found, e->is_in ? &e->node : NULL);
        bool grows = step / 2500 % 2 == 0; /* full and empty by turns */
        if (!e->is_in && (grows || step % 5 == 0)) {
            assert_int_equal(weft_table_add(&table, &e->node), 0);
            e->is_in = true;
            count++;
        } else if (e->is_in && (!grows || step % 5 == 0)) {
            weft_table_remove(&table, &e->node);
            e->is_in = false;
            count--;
        }
        assert_int_equal(table.count, count);
    }
    for (int i = 0; i < MANY; i++)
        if (entries[i].is_in)
            weft_table_remove(&table, &entries[i].node);
    assert_null(table.chains);
}

/* A table that cannot grow goes on; only the first chains are needed. */
static void test_without_memory(void **state)
{
    (void)state;
    static struct entry entries[100];
    weft_table table;
    weft_table_init(&table, 3, 4);
    weft_faults faults = { .fail_at = 1 };
    weft_faults *former = weft_mem_set_faults(&faults);
    set_name(&entries[0], 0);
    assert_int_equal(weft_table_add(&table, &entries[0].node), -ENOMEM);
    faults = (weft_faults){ .fail_at = 2, .fail_after = true };
    for (int i = 0; i < 100; i++) {
        set_name(&entries[i], i);
        assert_int_equal(weft_table_add(&table, &entries[i].node), 0);
    }
    for (int i = 0; i < 100; i++)
        assert_ptr_equal(weft_table_find(&table, entries[i].name, entries[i].node.name_size), &entries[i].node);
    assert_null(weft_table_find(&table, "x", 1));
    for (int i = 0; i < 100; i++)
        weft_table_remove(&table, &entries[i].node);
    weft_mem_set_faults(former);
    assert_null(table.chains);
}

/* The reference's vectors: key 00 01 .. 0f, input 00 01 ..; of SipHash-1-3, sizes 0 to 8. */
static void test_hash(void **state)
{
    (void)state;
    weft_table table;
    weft_table_init(&table, UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908));
    static const uint64_t expected[] = { UINT64_C(0xabac0158050fc4dc), UINT64_C(0xc9f49bf37d57ca93) };
    static const char input[] = { 0, 1, 2, 3, 4, 5, 6, 7 };
    for (size_t size = 0; size < COUNT(expected); size++) {
        weft_table_node node = { .name = input, .name_size = size };
        assert_int_equal(weft_table_add(&table, &node), 0);
        assert_true(node.hash == expected[size]);
        weft_table_remove(&table, &node);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_beside_an_array),
        cmocka_unit_test(test_without_memory),
        cmocka_unit_test(test_hash),
    };
    return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
