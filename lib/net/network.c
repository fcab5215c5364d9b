/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
#include "lib/net/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

/* "8", "0", "128": digits without leading zeros, at most `most`. */
static int parse_bits(const char *text, unsigned most, uint8_t *ret_bits)
{
    unsigned bits = 0;
    size_t size = strlen(text);
    if (size < 1 || size > 3 || (text[0] == '0' && size > 1))
        return -EINVAL;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return -EINVAL;
        bits = bits * 10 + (unsigned)(*text - '0');
    }
    if (bits > most)
        return -EINVAL;
    *ret_bits = (uint8_t)bits;
    return 0;
}

/* Are the first `bits` bits the same? */
static bool is_same(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    return memcmp(a, b, whole) == 0 && (rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0);
}

static bool ends_in_zeros(const weft_network *network, unsigned size)
{
    uint8_t prefix[16] = { 0 };
    unsigned whole = network->bits / 8, rest = network->bits % 8;
    memcpy(prefix, network->bytes, whole);
    if (rest > 0)
        prefix[whole] = (uint8_t)(network->bytes[whole] & (0xff << (8 - rest)));
    return memcmp(prefix, network->bytes, size) == 0;
}

int weft_network_parse(weft_network *ret_network, const char *text, size_t size)
{
    weft_network network = { .family = AF_UNIX };
    char copy[INET6_ADDRSTRLEN + 4];
    if (size >= sizeof copy || memchr(text, '\0', size))
        return -EINVAL;
    memcpy(copy, text, size);
    copy[size] = '\0';
    if (strcmp(copy, "unix") != 0) {
        bool is_in6 = strchr(copy, ':') != NULL;
        unsigned most = is_in6 ? 128 : 32;
        char *slash = strchr(copy, '/');
        network.family = is_in6 ? AF_INET6 : AF_INET;
        network.bits = (uint8_t)most;
        if (slash)
            *slash = '\0';
        if (inet_pton(network.family, copy, network.bytes) != 1 || (slash && parse_bits(slash + 1, most, &network.bits) < 0) ||
            !ends_in_zeros(&network, most / 8))
            return -EINVAL;
    }
    *ret_network = network;
    return 0;
}

bool weft_network_has(const weft_network *network, const struct sockaddr *address)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    switch (address->sa_family) {
    case AF_UNIX:
        return network->family == AF_UNIX;
    case AF_INET:
        memcpy(&in, address, sizeof in);
        return network->family == AF_INET && is_same(network->bytes, (const uint8_t *)&in.sin_addr, network->bits);
    case AF_INET6:
        memcpy(&in6, address, sizeof in6);
        if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr))
            return network->family == AF_INET && is_same(network->bytes, &in6.sin6_addr.s6_addr[12], network->bits);
        return network->family == AF_INET6 && is_same(network->bytes, in6.sin6_addr.s6_addr, network->bits);
    default:
        return false;
    }
}
