/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Networks as people write them: "10.0.0.0/8", "192.0.2.1" (one address), "fd00::/8", "::1", and "unix" for every peer over a
 * unix socket. Bits behind the prefix must be 0. An IPv4 address that has come through an IPv6 socket is an IPv4 address.
 */
#ifndef WEFT_LIB_NET_NETWORK_H
#define WEFT_LIB_NET_NETWORK_H

#include <sys/socket.h>

#include <weft/base.h>

typedef struct weft_network {
    uint8_t family;    /* AF_INET, AF_INET6, AF_UNIX */
    uint8_t bits;      /* of the prefix */
    uint8_t bytes[16]; /* of the address */
} weft_network;

/* 0, or -EINVAL; *ret_network is written only on success. `text` has `size` bytes. */
int weft_network_parse(weft_network *ret_network, const char *text, size_t size);

/* Does the network have the address? */
bool weft_network_has(const weft_network *network, const struct sockaddr *address);

#endif
