/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
#include "lib/base/table.h"

#include <errno.h>
#include <string.h>

#include "lib/base/check.h"
#include "lib/base/memory.h"

enum { CHAINS_LEAST = 8 };

/* ---- SipHash-1-3 ---- */

static uint64_t turn(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

static void mix(uint64_t v[4])
{
    v[0] += v[1], v[1] = turn(v[1], 13) ^ v[0], v[0] = turn(v[0], 32);
    v[2] += v[3], v[3] = turn(v[3], 16) ^ v[2];
    v[0] += v[3], v[3] = turn(v[3], 21) ^ v[0];
    v[2] += v[1], v[1] = turn(v[1], 17) ^ v[2], v[2] = turn(v[2], 32);
}

static uint64_t hash_of(const uint64_t key[2], const char *data, size_t size)
{
    uint64_t v[4] = { key[0] ^ UINT64_C(0x736f6d6570736575), key[1] ^ UINT64_C(0x646f72616e646f6d),
                      key[0] ^ UINT64_C(0x6c7967656e657261), key[1] ^ UINT64_C(0x7465646279746573) };
    uint64_t last = (uint64_t)size << 56;
    for (; size >= 8; data += 8, size -= 8) {
        uint64_t word;
        memcpy(&word, data, 8); /* in the machine's order: the hash never leaves it */
        v[3] ^= word;
        mix(v);
        v[0] ^= word;
    }
    for (size_t i = 0; i < size; i++)
        last |= (uint64_t)(unsigned char)data[i] << (8 * i);
    v[3] ^= last;
    mix(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        mix(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* ---- chains ---- */

void weft_table_init(weft_table *table, uint64_t key0, uint64_t key1)
{
    *table = (weft_table){ .key = { key0, key1 } };
}

static weft_table_node **chain_of(const weft_table *table, uint64_t hash)
{
    return &table->chains[hash & (table->chain_count - 1)];
}

static bool resize(weft_table *table, size_t chain_count)
{
    weft_table_node **chains = weft_mem_calloc(chain_count, sizeof(weft_table_node *));
    if (!chains)
        return false;
    weft_table former = *table;
    table->chains = chains;
    table->chain_count = chain_count;
    for (size_t i = 0; i < former.chain_count; i++)
        for (weft_table_node *node = former.chains[i], *next; node; node = next) {
            next = node->next;
            weft_table_node **chain = chain_of(table, node->hash);
            node->next = *chain;
            *chain = node;
        }
    weft_mem_free(former.chains);
    return true;
}

weft_table_node *weft_table_find(const weft_table *table, const char *name, size_t name_size)
{
    if (table->count == 0)
        return NULL;
    uint64_t hash = hash_of(table->key, name, name_size);
    for (weft_table_node *node = *chain_of(table, hash); node; node = node->next)
        if (node->hash == hash && node->name_size == name_size && memcmp(node->name, name, name_size) == 0)
            return node;
    return NULL;
}

int weft_table_add(weft_table *table, weft_table_node *node)
{
    if (table->count >= table->chain_count && !resize(table, table->chain_count ? table->chain_count * 2 : CHAINS_LEAST) &&
        table->chain_count == 0)
        return -ENOMEM;
    node->hash = hash_of(table->key, node->name, node->name_size);
    weft_table_node **chain = chain_of(table, node->hash);
    node->next = *chain;
    *chain = node;
    table->count++;
    return 0;
}

void weft_table_remove(weft_table *table, weft_table_node *node)
{
    weft_table_node **at = chain_of(table, node->hash);
    while (*at != node) {
        CHECK(*at);
        at = &(*at)->next;
    }
    *at = node->next;
    table->count--;
    if (table->count == 0) {
        weft_mem_free(table->chains);
        table->chains = NULL;
        table->chain_count = 0;
    } else if (table->count < table->chain_count / 4) {
        resize(table, table->chain_count / 2); /* or stays large */
    }
}
